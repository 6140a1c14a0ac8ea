//! The simulated controller as a process.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, ChildStdout, Command};

use crate::folder::Folder;

/// Starts a simulator and returns what it printed before it waits.
fn start(folder: &Folder, arguments: &[&str]) -> (Child, BufReader<ChildStdout>, String) {
    let arguments = [&["apic-sim", "--listen", "127.0.0.1:0", "--objects", "300"], arguments].concat();
    let mut child = folder.command(&arguments).spawn().unwrap();
    let mut reader = BufReader::new(child.stdout.take().unwrap());
    let mut told = String::new();
    while !told.contains("/api/class/fvTenant.json") {
        assert!(reader.read_line(&mut told).unwrap() > 0, "it ended after {told}");
    }
    (child, reader, told)
}

fn word_after<'t>(told: &'t str, before: &str) -> &'t str {
    let rest = &told[told.find(before).unwrap_or_else(|| panic!("{before} in {told}")) + before.len()..];
    rest.split_ascii_whitespace().next().unwrap()
}

/// Sends the signal that a service manager stops a process with.
fn terminate(child: &Child) {
    let status = Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
    assert!(status.success());
}

#[test]
fn simulator_lets_in_who_has_the_printed_password_and_ends_when_it_is_told_to() {
    let folder = Folder::new();
    let (mut child, mut reader, told) = start(&folder, &["--http"]);
    let address = word_after(&told, "http://");
    let password = word_after(&told, "password     ");

    let body = format!(r#"{{"aaaUser":{{"attributes":{{"name":"admin","pwd":"{password}"}}}}}}"#);
    let mut stream = TcpStream::connect(address).unwrap();
    let length = body.len();
    write!(
        stream,
        "POST /api/aaaLogin.json HTTP/1.1\r\nHost: apic\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    terminate(&child);
    let mut rest = String::new();
    reader.read_to_string(&mut rest).unwrap();

    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.contains("\"token\":\""), "{answer}");
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert!(rest.ends_with("Stopped.\n"), "{rest}");
    assert!(TcpStream::connect(address).is_err());
}

#[test]
fn certificate_is_written_and_a_given_password_is_not_printed() {
    let folder = Folder::new();
    let (mut child, _reader, told) =
        start(&folder, &["--password", "not-to-be-seen", "--certificate", "apic.pem", "--churn", "5"]);

    terminate(&child);

    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert!(told.contains("https://127.0.0.1:") && told.contains("SHA-256 "), "{told}");
    assert!(!told.contains("not-to-be-seen"), "{told}");
    assert!(fs::read_to_string(folder.path("apic.pem")).unwrap().starts_with("-----BEGIN CERTIFICATE-----"));
}

#[test]
fn arguments_that_make_no_sense_are_refused() {
    let folder = Folder::new();
    for (arguments, part) in [
        (&["apic-sim", "--churn=-1"][..], "churn \"-1\" is not a number of objects per second"),
        (&["apic-sim", "--churn", "NaN"], "churn \"NaN\""),
        (&["apic-sim", "--password", ""], "the password is empty"),
    ] {
        folder.run(arguments).refused(2, &[part]);
    }
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    folder.run(&["apic-sim", "--listen", &address]).refused(1, &["cannot listen on", &address]);
}
