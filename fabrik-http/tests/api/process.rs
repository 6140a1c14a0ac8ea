//! The command itself, with sockets and signals.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Output;

use serde_json::json;

use crate::served::{Process, command, exchange, folder};
use crate::server::PASSWORD;

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

    let link = line.strip_prefix("no users yet: open ").unwrap().split(' ').next().unwrap();
    let (site, token) = link.split_once("/setup/#").unwrap();
    let mut next = String::new();
    out.read_line(&mut next).unwrap();
    assert_eq!(next, format!("serving {site}/api/docs/\n"));
    assert!(!site.ends_with(":0"), "{site}");
    let body = json!({ "token": token, "username": "root", "password": PASSWORD });
    let connect = || TcpStream::connect(site.rsplit('/').next().unwrap()).unwrap();
    let statuses = [0, 1].map(|_| exchange(connect(), "POST", "/api/auth/setup/", &body).0);
    child.kill().unwrap();
    child.wait().unwrap();

    assert_eq!(statuses, [201, 403]);
}

#[tokio::test]
async fn tls_is_served_from_certificate_files() {
    let folder = folder();
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let write = |folder: &Path, made: &rcgen::CertifiedKey<rcgen::KeyPair>| {
        std::fs::write(folder.join("cert.pem"), made.cert.pem()).unwrap();
        std::fs::write(folder.join("key.pem"), made.signing_key.serialize_pem()).unwrap();
    };
    write(folder.path(), &made);
    let files = ["--set", "tls.certificate=cert.pem", "--set", "tls.key=key.pem", "--set", "tls.reload_seconds=1"];
    let process = Process::start(folder, &files, &[]);
    assert!(process.address.starts_with("https://127.0.0.1:"));
    let authority = reqwest::Certificate::from_pem(made.cert.pem().as_bytes()).unwrap();
    let client = reqwest::Client::builder().tls_certs_only([authority]).build().unwrap();

    let address = process.address.replace("127.0.0.1", "localhost");
    let answer = client.get(format!("{address}/api/health/")).send().await.unwrap();

    assert_eq!(answer.status(), 200);
    assert!(answer.headers().contains_key("strict-transport-security"));

    // A new certificate is used for new connections; the old one goes on.
    let next = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    write(process.folder.path(), &next);
    let get = async |trusted: &rcgen::CertifiedKey<rcgen::KeyPair>| {
        let authority = reqwest::Certificate::from_pem(trusted.cert.pem().as_bytes()).unwrap();
        let fresh = reqwest::Client::builder().tls_certs_only([authority]).build().unwrap();
        fresh.get(format!("{address}/api/health/")).send().await
    };
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
    while get(&next).await.is_err() {
        assert!(std::time::Instant::now() < deadline, "the new certificate is used");
    }
    assert!(get(&made).await.is_err());
    assert_eq!(client.get(format!("{address}/api/health/")).send().await.unwrap().status(), 200);
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
    let code = run(&place, &["user", "generate-reset-code", "mara"], "", &[]);
    let text = String::from_utf8_lossy(&code.stdout).into_owned();
    assert!(text.starts_with("mara can choose a new password with the code ") && code.status.success(), "{code:?}");
    let nobody = run(&place, &["user", "generate-reset-code", "nobody"], "", &[]);
    assert!(String::from_utf8_lossy(&nobody.stderr).contains("there is no user called nobody"), "{nobody:?}");
    let listed = run(&place, &["user", "list"], "", &[]);
    let text = String::from_utf8_lossy(&listed.stdout).into_owned();
    let line = text.lines().find(|line| line.starts_with("mara")).unwrap_or_default();
    assert!(["admin", "active", "local"].iter().all(|word| line.contains(word)), "{text}");
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
