//! The command itself, with sockets and signals.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Output, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::server::PASSWORD;

/// A server in a folder of its own; it ends with the test.
struct Process {
    child: Child,
    out: BufReader<ChildStdout>,
    address: String,
    folder: TempDir,
}

fn command(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fabrik"));
    command.current_dir(folder).args(arguments).env_clear();
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

impl Process {
    fn start(folder: TempDir, arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let mut all = vec!["serve", "--listen", "127.0.0.1:0", "--set", "log.filter=warn"];
        all.extend(arguments);
        let mut child =
            command(folder.path(), &all).envs(environment.iter().copied()).stderr(Stdio::inherit()).spawn().unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut address = String::new();
        let mut line = String::new();
        while address.is_empty() && out.read_line(&mut line).unwrap() > 0 {
            if let Some(rest) = line.strip_prefix("serving ") {
                address = rest.trim().trim_end_matches("/api/docs/").to_owned();
            }
            line.clear();
        }
        assert!(!address.is_empty(), "the server says where it serves");
        Self { child, out, address, folder }
    }

    fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address.rsplit('/').next().unwrap()).unwrap()
    }

    /// Tells the server to stop, waits for it, and returns its exit code.
    fn stop(&mut self) -> Option<i32> {
        self.signal();
        self.child.wait().unwrap().code()
    }

    fn signal(&self) {
        let status = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().unwrap();
        assert!(status.success());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

/// Sends a request over a plain socket and returns the status and the body.
fn exchange(mut stream: TcpStream, method: &str, path: &str, body: &Value) -> (u16, Value) {
    let body = body.to_string();
    let length = body.len();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nhost: fab.lab\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    )
    .unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let status = text.split(' ').nth(1).unwrap().parse().unwrap();
    (status, serde_json::from_str(text.rsplit("\r\n\r\n").next().unwrap()).unwrap_or(Value::Null))
}

fn login(process: &Process, name: &str, password: &str) -> u16 {
    let body = json!({ "username": name, "password": password });
    exchange(process.connect(), "POST", "/api/auth/login/", &body).0
}

#[test]
fn server_keeps_its_state_beside_the_store_over_restarts() {
    let admin = [("FABRIK_ADMIN_USERNAME", "root"), ("FABRIK_ADMIN_PASSWORD", PASSWORD)];
    let mut first = Process::start(folder(), &["--store", "sqlite:lab.db"], &admin);
    assert_eq!(exchange(first.connect(), "GET", "/api/health/ready/", &json!({})), (200, json!({ "status": "ready" })));
    let (status, tokens) =
        exchange(first.connect(), "POST", "/api/auth/login/", &json!({ "username": "root", "password": PASSWORD }));
    assert_eq!(status, 200);
    assert_eq!(first.stop(), Some(0));
    let kept = std::mem::replace(&mut first.folder, folder());
    assert!(kept.path().join("lab.db").exists() && kept.path().join("lab-server.db").exists());
    #[cfg(unix)]
    {
        let mode = std::os::unix::fs::PermissionsExt::mode(
            &kept.path().join("lab-server.db").metadata().unwrap().permissions(),
        );
        assert_eq!(mode & 0o777, 0o600);
    }

    let second = Process::start(kept, &["--store", "sqlite:lab.db"], &[]);
    let verify = exchange(second.connect(), "POST", "/api/auth/token/verify/", &json!({ "token": tokens["access"] }));
    assert_eq!(verify, (200, json!({})));
}

#[test]
fn requests_under_way_finish_when_the_server_stops() {
    let mut process = Process::start(folder(), &[], &[]);
    let mut stream = process.connect();
    // The second half of the body comes after the signal.
    let body = json!({ "username": "nobody", "password": "x" }).to_string();
    let (head, tail) = body.split_at(10);
    let length = body.len();
    write!(stream, "POST /api/auth/login/ HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: {length}\r\nexpect: 100-continue\r\n\r\n").unwrap();
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    assert!(line.starts_with("HTTP/1.1 100"), "the handler reads: {line}");
    stream.write_all(head.as_bytes()).unwrap();
    process.signal();
    // The listener is gone before the request is.
    while TcpStream::connect(process.address.rsplit('/').next().unwrap()).is_ok() {}
    stream.write_all(tail.as_bytes()).unwrap();
    let mut answer = String::new();
    reader.read_to_string(&mut answer).unwrap();

    assert!(answer.contains("HTTP/1.1 401"), "{answer}");
    assert_eq!(process.child.wait().unwrap().code(), Some(0));
}

#[test]
fn a_first_start_prints_a_link_that_works_once() {
    let folder = folder();
    let mut child = command(folder.path(), &["serve", "--listen", "127.0.0.1:0"]).spawn().unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    out.read_line(&mut line).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();

    assert!(line.starts_with("no users yet: open http://127.0.0.1:0/setup/#"), "{line}");
}

#[tokio::test]
async fn tls_is_served_from_certificate_files() {
    let folder = folder();
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::fs::write(folder.path().join("cert.pem"), made.cert.pem()).unwrap();
    std::fs::write(folder.path().join("key.pem"), made.signing_key.serialize_pem()).unwrap();
    let process = Process::start(folder, &["--set", "tls.certificate=cert.pem", "--set", "tls.key=key.pem"], &[]);
    assert!(process.address.starts_with("https://127.0.0.1:"));
    let authority = reqwest::Certificate::from_pem(made.cert.pem().as_bytes()).unwrap();
    let client = reqwest::Client::builder().tls_certs_only([authority]).build().unwrap();

    let address = process.address.replace("127.0.0.1", "localhost");
    let answer = client.get(format!("{address}/api/health/")).send().await.unwrap();

    assert_eq!(answer.status(), 200);
    assert!(answer.headers().contains_key("strict-transport-security"));
}

fn run(folder: &Path, arguments: &[&str], input: &str, environment: &[(&str, &str)]) -> Output {
    let mut child = command(folder, arguments).envs(environment.iter().copied()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

#[test]
fn users_are_made_and_let_in_again_beside_a_running_server() {
    let mut process = Process::start(folder(), &["--set", "rate_limit.zone_login=off"], &[]);
    let place = process.folder.path().to_owned();

    let made = run(&place, &["user", "create", "mara", "--admin"], PASSWORD, &[]);
    assert!(made.status.success(), "{made:?}");
    assert_eq!(login(&process, "mara", PASSWORD), 200);
    let weak = run(&place, &["user", "create", "ben"], "12345678\n", &[]);
    assert!(!weak.status.success() && String::from_utf8_lossy(&weak.stderr).contains("too common"), "{weak:?}");
    for _ in 0..5 {
        assert_eq!(login(&process, "mara", "wrong"), 401);
    }
    assert_eq!(login(&process, "mara", PASSWORD), 429);
    let reset = run(&place, &["user", "reset-password", "mara"], "Another horse, battery\n", &[]);
    assert!(reset.status.success(), "{reset:?}");
    assert_eq!(login(&process, "mara", "Another horse, battery"), 200);
    let recovered = run(&place, &["user", "recover", "--minutes", "5"], "", &[]);
    let text = String::from_utf8_lossy(&recovered.stdout).into_owned();
    let words: Vec<_> = text.split_whitespace().collect();
    let after = |word: &str| words[words.iter().position(|other| *other == word).unwrap() + 1];
    assert_eq!(login(&process, after("administrator"), words[words.len() - 1]), 200, "{text}");
    assert_eq!(process.stop(), Some(0));
    let mut rest = String::new();
    process.out.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "");
}

#[test]
fn config_check_prints_all_settings_and_no_secret() {
    let folder = folder();
    std::fs::write(folder.path().join("fabrik.toml"), "[rate_limit]\nlogin = '99/min'\n").unwrap();
    let secret = "0123456789abcdef0123456789abcdef";

    let checked = run(
        folder.path(),
        &["config", "check", "--store", "sqlite:x.db", "--set", "metrics=false"],
        "",
        &[("FABRIK_SECRET_KEY", secret)],
    );

    let text = String::from_utf8_lossy(&checked.stdout).into_owned();
    assert!(checked.status.success(), "{checked:?}");
    let line = |key: &str| text.lines().find(|line| line.trim_start().starts_with(key)).unwrap().to_owned();
    assert!(line("rate_limit.login").contains("99/min") && line("rate_limit.login").contains("fabrik.toml"));
    assert!(line("secret_key").contains("********") && line("secret_key").contains("FABRIK_SECRET_KEY"));
    assert!(line("store").contains("--store") && line("metrics").contains("--set"));
    assert!(!text.contains(secret));
    assert!(text.contains("kept in sqlite:x-server.db"));
    let wrong = run(folder.path(), &["config", "check", "--set", "listen=here"], "", &[]);
    assert_eq!(wrong.status.code(), Some(2));
}
