//! Mail through a mail server that others wrote.
//!
//! It is installed from `tests/smtp/requirements.txt` into a virtual environment of the build folder, once.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use fabrik_http::server::run_jobs;
use serde_json::{Value, json};

use crate::server::Server;

const WEBHOOKS: &str = "/api/notifications/webhooks/";

struct MailServer {
    process: Child,
    output: BufReader<ChildStdout>,
    port: String,
}

impl MailServer {
    fn start() -> Self {
        let mut process = Command::new(python())
            .arg(folder().join("server.py"))
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut output = BufReader::new(process.stdout.take().unwrap());
        let mut port = String::new();
        output.read_line(&mut port).unwrap();
        Self { process, output, port: port.trim().to_owned() }
    }

    /// Returns the mails that came, once no more can come.
    fn received(mut self) -> Vec<Value> {
        drop(self.process.stdin.take());
        let lines = self.output.lines().map(|line| serde_json::from_str(&line.unwrap()).unwrap()).collect();
        assert!(self.process.wait().unwrap().success());
        lines
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/smtp")
}

/// Returns the interpreter of a virtual environment that has the mail server.
fn python() -> PathBuf {
    let environment = Path::new(env!("CARGO_TARGET_TMPDIR")).join("smtp");
    let python = environment.join(if cfg!(windows) { "Scripts/python.exe" } else { "bin/python" });
    let (requirements, stamp) = (folder().join("requirements.txt"), environment.join("stamp"));
    let wanted = fs::read_to_string(&requirements).unwrap();
    if fs::read_to_string(&stamp).is_ok_and(|have| have == wanted) {
        return python;
    }
    // What a run left unfinished is made anew.
    if environment.exists() {
        fs::remove_dir_all(&environment).unwrap();
    }
    let base = std::env::var("PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let step = |command: &mut Command| assert!(command.status().unwrap().success(), "{command:?}");
    step(Command::new(base).args(["-m", "venv"]).arg(&environment));
    let install = ["-m", "pip", "install", "--quiet", "--no-deps", "--requirement"];
    step(Command::new(&python).args(install).arg(&requirements));
    fs::write(&stamp, wanted).unwrap();
    python
}

/// Lets a webhook fail until its owner is told, by mail.
async fn provoke_a_mail(server: &Server) {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = closed.local_addr().unwrap();
    drop(closed);
    let mara = server.token("mara", false).await;
    let webhook = json!({ "name": "Bücher\n", "url": format!("http://{address}/") });
    let made = server.post(WEBHOOKS).token(&mara).json(&webhook).send().await;
    assert_eq!(made.status, 201, "{}", made.text);
    let test = format!("{WEBHOOKS}{}/test/", made.body["id"].as_str().unwrap());
    for _ in 0..6 {
        let (mara, _) = server.login("mara").await;
        assert_eq!(server.post(&test).token(&mara).send().await.status, 201);
        run_jobs(&server.state).await;
        server.clock.advance(Duration::from_secs(24 * 60 * 60));
    }
    run_jobs(&server.state).await;
}

#[tokio::test]
async fn notices_reach_a_mail_server_that_wants_a_login() {
    let mail_server = MailServer::start();
    let server = Server::with(&[
        ("webhooks.allow_private", "true"),
        ("email.host", "127.0.0.1"),
        ("email.port", &mail_server.port),
        ("email.security", "none"),
        ("email.username", "fabrik"),
        ("email.password", "a secret"),
        ("email.from", "Fabrik <fabrik@lab.example>"),
    ])
    .await;

    provoke_a_mail(&server).await;

    let received = mail_server.received();
    let [mail] = &received[..] else { panic!("one mail: {received:?}") };
    assert_eq!((&mail["from"], &mail["to"]), (&json!("fabrik@lab.example"), &json!(["mara@lab.example"])));
    let headers = &mail["headers"];
    assert_eq!(headers["subject"].as_str().unwrap().trim_end(), "[Fabrik] The webhook Bücher  was switched off");
    assert_eq!((&headers["from"], &headers["to"]), (&json!("Fabrik <fabrik@lab.example>"), &json!("mara@lab.example")));
    assert_eq!((&headers["auto-submitted"], &mail["defects"]), (&json!("auto-generated"), &json!([])));
    assert!(mail["text"].as_str().unwrap().contains("Nothing could be delivered to it for 5 days."), "{mail}");
}
