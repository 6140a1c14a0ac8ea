//! Mail through a mail server that others wrote.
//!
//! It is installed from `tests/smtp/requirements.txt` into a virtual environment of the build folder, once.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::LazyLock;
use std::time::Duration;

use fabrik_apic::simulator::{Scheme, Simulator, SimulatorOptions, SimulatorUser};
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

/// Returns the interpreter of a virtual environment that has the mail server, made by whichever test comes first.
fn python() -> &'static Path {
    static PYTHON: LazyLock<PathBuf> = LazyLock::new(make_environment);
    &PYTHON
}

fn make_environment() -> PathBuf {
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

#[tokio::test]
async fn what_schedules_tell_reaches_a_mail_server() {
    let mail_server = MailServer::start();
    let settings = [
        ("email.host", "127.0.0.1"),
        ("email.port", &*mail_server.port),
        ("email.security", "none"),
        ("email.username", "fabrik"),
        ("email.password", "a secret"),
        ("email.from", "Fabrik <fabrik@lab.example>"),
    ];
    let server = Server::with(&settings).await;
    server.user("root", true).await;
    let send = async |verb: &str, path: &str, body: &Value| {
        let token = server.login("root").await.0;
        let reply = server.call(verb, path).token(&token).json(body).send().await;
        assert!(reply.status < 300, "{path}: {}", reply.text);
        reply.body
    };
    let preferences = "/api/notifications/preferences/";
    let own = send("GET", preferences, &json!({})).await["results"][0]["id"].clone();
    let wanted = json!({ "email_min_severity": "info", "scheduled_task_success": false });
    send("PATCH", &format!("{preferences}{own}/"), &wanted).await;
    let reader = SimulatorUser::new("reader").with_password("Marker-81c0");
    let options = SimulatorOptions::default().without_users().with_user(reader).with_scheme(Scheme::Http);
    let simulator = Simulator::start(options.with_objects(1000)).unwrap();
    let body = json!({ "name": "Lab", "host": simulator.url(), "username": "reader", "password": "Marker-81c0" });
    let connection = send("POST", "/api/apic/connections/", &body).await["id"].clone();
    let body = json!({ "name": "Tenants", "class_name": "fvTenant", "apic_connection": connection });
    let query = send("POST", "/api/queries/saved-queries/", &body).await["id"].clone();
    let body = json!({
        "name": "Nightly", "saved_query": query, "frequency": "hourly", "auto_capture": true, "retry_enabled": false,
        "email_on_failure": true, "email_recipients": ["ops@lab.example"],
    });
    send("POST", "/api/queries/scheduled-tasks/", &body).await;
    let pass_an_hour = async || {
        server.clock.advance(Duration::from_secs(60 * 60));
        run_jobs(&server.state).await;
    };

    pass_an_hour().await;
    let tenant = r#"{"fvTenant":{"attributes":{"dn":"uni/tn-brandnew","name":"brandnew","status":"created"}}}"#;
    simulator.post(Some("uni/tn-brandnew"), tenant).unwrap();
    pass_an_hour().await;
    drop(simulator);
    pass_an_hour().await;

    let mut received = mail_server.received();
    received.sort_by_key(|mail| (mail["to"].to_string(), mail["headers"]["subject"].to_string()));
    let found: Vec<_> = received
        .iter()
        .map(|mail| (mail["to"][0].as_str().unwrap(), mail["headers"]["subject"].as_str().unwrap().trim_end()))
        .collect();
    let [(ops, failed), (root, failed_too), (root_too, drifted)] = found[..] else { panic!("three mails: {found:?}") };
    assert_eq!((ops, root, root_too), ("ops@lab.example", "root@lab.example", "root@lab.example"));
    assert!(failed.contains("Scheduled task Nightly failed") && failed_too.contains("Scheduled task Nightly failed"));
    assert!(drifted.contains("Tenants changed on Lab"), "{drifted}");
    let text = |place: usize| received[place]["text"].as_str().unwrap();
    assert!(text(2).contains("1 change on Lab: 1 added, 0 removed, 0 changed"), "{}", text(2));
    assert!(text(2).contains("uni/tn-brandnew added"), "{}", text(2));
    assert!(text(0).contains("Lab") && !text(0).contains("Marker-81c0"), "{}", text(0));
}
