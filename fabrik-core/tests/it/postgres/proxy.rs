//! A wire to the server that can be cut.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::spawn;

use fabrik_core::store::PostgresAddress;
use fabrik_core::store::conformance::postgres::{PostgresServer, server};

/// When to cut the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cut {
    /// Before the server hears of the commit.
    BeforeCommit,
    /// When the server has heard of it, and before anybody hears its answer.
    AfterCommit,
}

/// Hands everything on, until a commit passes; once.
pub(super) fn address(schema: &str, cut: Cut) -> PostgresAddress {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    // These threads end with the connections, and the first with the tests.
    spawn(move || {
        let is_whole = Arc::new(AtomicBool::new(true));
        for client in listener.incoming() {
            let (client, is_whole) = (client.unwrap(), Arc::clone(&is_whole));
            let server = UnixStream::connect(server().folder().join(".s.PGSQL.5432")).unwrap();
            let (mut answers, to) = (server.try_clone().unwrap(), client.try_clone().unwrap());
            spawn(move || {
                let _ = std::io::copy(&mut answers, &mut &to);
                let _ = to.shutdown(Shutdown::Both);
            });
            spawn(move || hand_on(client, server, cut, &is_whole));
        }
    });
    let (user, password) = (PostgresServer::USER, PostgresServer::PASSWORD);
    format!("postgres://{user}:{password}@127.0.0.1:{port}/postgres?schema={schema}").parse().unwrap()
}

fn hand_on(mut client: TcpStream, mut server: UnixStream, cut: Cut, is_whole: &AtomicBool) {
    let mut buffer = vec![0; 1 << 16];
    loop {
        let len = client.read(&mut buffer).unwrap_or(0);
        let said = &buffer[..len];
        // The message of a statement without values: its kind, its length, its text and a NUL.
        let is_commit = said.windows(12).any(|part| part == b"Q\0\0\0\x0bCOMMIT\0");
        let cuts = is_commit && is_whole.swap(false, Ordering::SeqCst);
        if cuts {
            client.shutdown(Shutdown::Both).unwrap();
        }
        let is_held_back = cuts && cut == Cut::BeforeCommit;
        // What is not held back is sent before the wire is cut.
        let has_ended = len == 0 || is_held_back || server.write_all(said).is_err();
        if has_ended || cuts {
            // Only this way: the server must not be kept from reading what it was sent.
            let _ = server.shutdown(Shutdown::Write);
            return;
        }
    }
}
