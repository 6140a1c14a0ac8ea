//! Clients that are slow, silent, or too many.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::served::{Process, folder};

/// What takes longer than this does not come.
const LIMIT: Duration = Duration::from_secs(30);
const GET: &[u8] = b"GET /api/health/ HTTP/1.1\r\nhost: fab.lab\r\n\r\n";

fn start(settings: &[&str]) -> Process {
    let arguments: Vec<_> = settings.iter().flat_map(|setting| ["--set", setting]).collect();
    Process::start(folder(), &arguments, &[])
}

fn connect(process: &Process) -> TcpStream {
    let stream = process.connect();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    stream
}

/// Reads until the server closes, and returns what it said.
fn rest(mut stream: TcpStream) -> String {
    let mut bytes = Vec::new();
    let mut part = [0; 4096];
    loop {
        match stream.read(&mut part) {
            Ok(0) => break,
            Ok(read) => bytes.extend(&part[..read]),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => break,
            Err(error) => panic!("the server does not close: {error}"),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn is_served(process: &Process) -> bool {
    let mut stream = connect(process);
    let mut start = [0; 15];
    stream.write_all(GET).and_then(|()| stream.read_exact(&mut start)).is_ok() && &start == b"HTTP/1.1 200 OK"
}

#[test]
fn who_does_not_finish_a_request_is_cut_off() {
    let process = start(&["head_timeout_seconds=1", "body_timeout_seconds=1"]);
    let saying = |words: &[u8]| {
        let mut stream = connect(&process);
        stream.write_all(words).unwrap();
        stream
    };

    let silent = saying(b"");
    // As the preface of HTTP/2 begins: the server cannot know yet what is spoken.
    let undecided = saying(b"PRI * HTTP/2");
    let half_a_head = saying(b"GET /api/health/ HTTP/1.1\r\nhost: fab.lab\r\nx-slow: ");
    let idle = saying(GET);
    let half_a_body = saying(
        b"POST /api/auth/login/ HTTP/1.1\r\nhost: fab.lab\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{",
    );

    assert_eq!(rest(silent), "");
    assert_eq!(rest(undecided), "");
    assert!(!rest(half_a_head).contains(" 200 "));
    assert!(rest(idle).starts_with("HTTP/1.1 200 OK"));
    assert!(rest(half_a_body).starts_with("HTTP/1.1 408 "));
    assert!(is_served(&process));
}

#[test]
fn one_connection_too_many_is_closed_and_a_place_that_is_left_is_free() {
    let process = start(&["connections=2"]);
    let mut held: Vec<_> = (0..2).map(|_| connect(&process)).collect();
    for stream in &mut held {
        stream.write_all(GET).unwrap();
        stream.read_exact(&mut [0; 15]).unwrap();
    }

    assert_eq!(rest(connect(&process)), "");
    drop(held);
    let deadline = Instant::now() + LIMIT;
    while !is_served(&process) {
        assert!(Instant::now() < deadline, "the places are free again");
    }
}

/// Writes a frame of HTTP/2.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut bytes = vec![length[1], length[2], length[3], kind, flags];
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

// Kinds of frames.
const HEADERS: u8 = 1;
const RESET: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
/// Why the connection ends.
const ENHANCE_YOUR_CALM: u8 = 11;

#[test]
fn streams_that_are_opened_and_reset_end_the_connection() {
    let process = start(&[]);
    let mut stream = connect(&process);
    let mut reader = stream.try_clone().unwrap();
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").unwrap();
    stream.write_all(&frame(SETTINGS, 0, 0, &[])).unwrap();
    // GET / of fab.lab, in the words that HPACK has for it.
    let head = [&[0x82, 0x86, 0x84, 0x41, 7][..], b"fab.lab"].concat();
    let mut flood = Vec::new();
    for number in 0..10_000 {
        flood.extend(frame(HEADERS, 0x5, number * 2 + 1, &head));
        flood.extend(frame(RESET, 0, number * 2 + 1, &8_u32.to_be_bytes()));
    }
    // The server may be gone before all is written, which is the point.
    let writer = std::thread::spawn(move || stream.write_all(&flood));

    let mut header = [0; 9];
    let mut reason = None;
    while reader.read_exact(&mut header).is_ok() {
        let mut payload = vec![0; u32::from_be_bytes([0, header[0], header[1], header[2]]) as usize];
        if reader.read_exact(&mut payload).is_err() {
            break;
        }
        if header[3] == GOAWAY {
            reason = Some(payload[7]);
        }
    }
    drop(reader);
    let _ = writer.join().unwrap();

    assert_eq!(reason, Some(ENHANCE_YOUR_CALM));
    assert!(is_served(&process));
}

/// Returns how much memory a process has, in KiB.
fn memory(process: &Process) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.child.id())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Returns how many files this process may open; the server inherits the limit.
fn open_files() -> u64 {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap();
    let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    line.split_whitespace().nth(3).unwrap().parse().unwrap_or(u64::MAX)
}

#[test]
fn ten_thousand_idle_connections_are_held_and_others_are_served() {
    const MANY: u64 = 10_000;
    if open_files() < MANY + 500 {
        println!("skipped: this process may open {} files, `ulimit -n {}` helps", open_files(), MANY + 500);
        return;
    }
    let process = start(&["head_timeout_seconds=600", "rate_limit.zone_api=off"]);
    assert!(is_served(&process));
    let before = memory(&process);

    // Each has asked once, so that the server has all that a connection needs.
    let mut held = Vec::new();
    for _ in 0..MANY {
        let mut stream = connect(&process);
        stream.write_all(GET).unwrap();
        stream.read_exact(&mut [0; 15]).unwrap();
        held.push(stream);
    }

    let after = memory(&process);
    println!("{MANY} idle connections: {before} KiB before, {after} KiB with them");
    let started = Instant::now();
    assert!(is_served(&process));
    assert!(started.elapsed() < Duration::from_secs(5));
    assert!(after - before < MANY * 40, "{before} KiB before, {after} KiB with them");
    held[9_999].write_all(GET).unwrap();
}
