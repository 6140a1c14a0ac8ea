//! Connections to controllers, against a simulated one.

mod proxy;
mod sessions;
mod sharing;

use fabrik_apic::simulator::{Scheme, Simulator, SimulatorOptions, SimulatorUser};
use serde_json::{Value, json};

use crate::server::{Reply, Server};

pub(crate) const CONNECTIONS: &str = "/api/apic/connections/";
/// What the simulated controller lets `reader` in with.
pub(crate) const SECRET: &str = "Marker-81c0-of-a-Controller";

/// Starts a controller whose certificate nobody knows.
pub(crate) fn controller() -> Simulator {
    simulator(Scheme::Https)
}

pub(crate) fn simulator(scheme: Scheme) -> Simulator {
    let reader = SimulatorUser::new("reader").with_password(SECRET);
    let options = SimulatorOptions::default().without_users().with_user(reader).with_scheme(scheme);
    Simulator::start(options.with_objects(1000)).unwrap()
}

/// Returns a connection to a controller as it is made.
pub(crate) fn connection_to(simulator: &Simulator) -> Value {
    json!({
        "name": "Lab fabric", "host": simulator.url(), "username": "reader", "password": SECRET,
        "ca_certificate": simulator.certificate_pem().unwrap_or_default(),
    })
}

/// Makes a connection and returns its id.
pub(crate) async fn add(server: &Server, token: &str, connection: &Value) -> i64 {
    let made = server.post(CONNECTIONS).token(token).json(connection).send().await;
    assert_eq!(made.status, 201, "{}", made.text);
    made.body["id"].as_i64().unwrap()
}

pub(crate) async fn patch(server: &Server, token: &str, id: i64, change: &Value) -> Reply {
    server.call("PATCH", &format!("{CONNECTIONS}{id}/")).token(token).json(change).send().await
}

async fn test(server: &Server, token: &str, id: i64) -> Reply {
    server.post(&format!("{CONNECTIONS}{id}/test_connection/")).token(token).send().await
}

async fn show(server: &Server, token: &str, id: i64) -> Value {
    server.get(&format!("{CONNECTIONS}{id}/")).token(token).send().await.body
}

/// Adds a user who holds every permission on connections, and returns the token.
pub(crate) async fn operator(server: &Server, root: &str, name: &str) -> String {
    let id = server.user(name, false).await;
    let path = "/api/auth/permissions/?page_size=200&search=apic_connection";
    let found = server.get(path).token(root).send().await;
    let ids: Vec<_> = found.body["results"].as_array().unwrap().iter().map(|one| one["id"].clone()).collect();
    assert_eq!(ids.len(), 4, "{}", found.text);
    let body = json!({ "permission_ids": ids });
    let changed = server.call("PATCH", &format!("/api/auth/management/{id}/")).token(root).json(&body).send().await;
    assert_eq!(changed.status, 200, "{}", changed.text);
    server.login(name).await.0
}

#[tokio::test]
async fn a_connection_is_made_changed_found_and_deleted() {
    let server = Server::start().await;
    let root = server.token("root", true).await;
    let body = json!({
        "name": "Lab fabric", "url": "APIC1.lab.example:443/", "username": "svc-read", "password": SECRET,
        "is_default": true,
    });

    let made = server.post(CONNECTIONS).token(&root).json(&body).send().await;
    assert_eq!(made.status, 201, "{}", made.text);
    let expected = json!({
        "name": "Lab fabric", "description": "", "host": "https://apic1.lab.example",
        "url": "https://apic1.lab.example", "username": "svc-read", "login_domain": "", "verify_ssl": true,
        "ca_certificate": "", "timeout": 30, "is_active": true, "is_public": false, "is_default": true,
        "shared_with": [], "last_tested_at": null, "last_test_status": null, "last_test_message": "",
        "can_edit": true, "can_delete": true, "warnings": [],
    });
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(&made.body[name], value, "{name}");
    }
    assert_eq!(made.body["created_by"]["username"], "root");
    let id = made.body["id"].as_i64().unwrap();

    // A replacement without a password keeps it.
    let path = format!("{CONNECTIONS}{id}/");
    let whole = json!({ "name": "Lab two", "username": "svc-read", "timeout": 60, "verify_ssl": false });
    let replaced = server.call("PUT", &path).token(&root).json(&whole).send().await;
    assert_eq!(replaced.status, 200, "{}", replaced.text);
    assert_eq!((&replaced.body["name"], &replaced.body["timeout"]), (&json!("Lab two"), &json!(60)));
    assert!(replaced.body["warnings"][0].as_str().unwrap().contains("certificate is not checked"));

    let second =
        json!({ "name": "Second", "host": "http://apic2.lab", "username": "a", "password": "b", "is_default": true });
    let second = server.post(CONNECTIONS).token(&root).json(&second).send().await.body;
    assert!(second["warnings"][0].as_str().unwrap().contains("not encrypted"));
    let names = async |query: &str| -> Vec<String> {
        let reply = server.get(&format!("{CONNECTIONS}?{query}")).token(&root).send().await;
        reply.body["results"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names("is_default=true").await, ["Second"]);
    assert_eq!(names("search=APIC1").await, ["Lab two"]);
    assert_eq!(names("ordering=-created_at,-name").await, ["Second", "Lab two"]);
    assert_eq!(names("verify_ssl=true").await, ["Second"]);

    assert_eq!(server.call("DELETE", &path).token(&root).send().await.status, 204);
    assert_eq!(server.get(&path).token(&root).send().await.status, 404);
    let log = server.get("/api/audit/logs/?category=apic_management&ordering=sequence&page_size=200").token(&root);
    let log = log.send().await.body;
    let mut actions: Vec<_> =
        log["results"].as_array().unwrap().iter().map(|row| row["action"].as_str().unwrap()).collect();
    actions.sort_unstable();
    assert_eq!(
        actions,
        [
            "apic_connection_created",
            "apic_connection_created",
            "apic_connection_deleted",
            "apic_connection_unverified",
            "apic_connection_updated",
        ]
    );
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_by_field() {
    let server = Server::start().await;
    let root = server.token("root", true).await;
    let good = json!({ "name": "Lab fabric", "host": "apic1.lab", "username": "mara", "password": SECRET });
    let cases = [
        ("name", json!("ab")),
        ("name", json!("a\nb c")),
        ("host", json!(format!("https://mara:{SECRET}@apic1.lab"))),
        ("host", json!("https://apic1.lab/api")),
        ("host", Value::Null),
        ("url", json!("https://apic2.lab")),
        ("username", json!("ma\u{7}ra")),
        ("login_domain", json!("a\\b")),
        ("password", json!("")),
        ("password", Value::Null),
        ("ca_certificate", json!("no certificate")),
        ("timeout", json!(0)),
        ("timeout", json!(601)),
        ("shared_with", json!([987_654])),
    ];
    for (field, value) in cases {
        let mut body = good.clone();
        body[field] = value;

        let reply = server.post(CONNECTIONS).token(&root).json(&body).send().await;

        assert_eq!(reply.status, 400, "{field}: {}", reply.text);
        assert!(reply.body[field][0].is_string(), "{field}: {}", reply.text);
        assert!(!reply.text.contains(SECRET), "{}", reply.text);
    }
    for missing in ["name", "host", "username", "password"] {
        let mut body = good.clone();
        body.as_object_mut().unwrap().remove(missing);
        let reply = server.post(CONNECTIONS).token(&root).json(&body).send().await;
        assert_eq!((reply.status, &reply.body[missing]), (400, &json!(["This field is required."])), "{missing}");
    }
    assert_eq!(server.get(CONNECTIONS).token(&root).send().await.body["count"], 0);
}

#[tokio::test]
async fn a_password_goes_nowhere_else_unless_it_is_given_again() {
    let server = Server::start().await;
    let root = server.token("root", true).await;
    let simulator = controller();
    let id = add(&server, &root, &connection_to(&simulator)).await;
    let changes = [
        json!({ "host": "https://evil.lab" }),
        json!({ "url": "https://evil.lab" }),
        json!({ "host": simulator.url().replace("https", "http") }),
        json!({ "username": "admin" }),
        json!({ "login_domain": "evil" }),
    ];
    for change in changes {
        let reply = patch(&server, &root, id, &change).await;
        assert_eq!(reply.status, 400, "{change}: {}", reply.text);
        assert!(reply.body["password"][0].as_str().unwrap().contains("password is needed"), "{}", reply.text);
        let mut with = change.clone();
        with["password"] = "another".into();
        with["name"] = "x".into();
        // The name is too short, so nothing changes: the password alone was the matter before.
        assert_eq!(patch(&server, &root, id, &with).await.body["password"], Value::Null);
    }
    // What says the same changes nothing.
    let same = json!({ "host": format!("{}/", simulator.url()), "username": "reader", "description": "same" });
    assert_eq!(patch(&server, &root, id, &same).await.status, 200);
    assert_eq!(test(&server, &root, id).await.body["status"], "success");
    let moved = patch(&server, &root, id, &json!({ "username": "other", "password": "x" })).await;
    assert_eq!((moved.status, &moved.body["last_test_status"]), (200, &Value::Null), "{}", moved.text);
}

#[tokio::test]
async fn a_test_says_what_is_wrong_and_keeps_it() {
    let server = Server::start().await;
    let root = server.token("root", true).await;
    let simulator = controller();
    let id = add(&server, &root, &connection_to(&simulator)).await;

    let good = test(&server, &root, id).await;
    assert_eq!((good.status, &good.body["success"]), (200, &json!(true)), "{}", good.text);
    assert!(good.body["message"].as_str().unwrap().starts_with("Connected"), "{}", good.text);
    let shown = show(&server, &root, id).await;
    assert_eq!((&shown["last_test_status"], &shown["last_test_message"]), (&json!("success"), &good.body["message"]));
    assert_eq!(shown["last_tested_at"], "2026-03-02T12:00:00+00:00");

    let changes = [
        (json!({ "password": "wrong" }), "refused the login"),
        (json!({ "ca_certificate": "" }), "certificate is not trusted"),
        (json!({ "host": "https://127.0.0.1:1", "password": SECRET }), "there is no connection"),
    ];
    for (change, expected) in changes {
        assert_eq!(patch(&server, &root, id, &change).await.status, 200);
        let reply = server.post(&format!("{CONNECTIONS}{id}/test/")).token(&root).send().await;
        assert_eq!((reply.status, &reply.body["status"]), (200, &json!("failed")), "{}", reply.text);
        assert!(reply.body["message"].as_str().unwrap().contains(expected), "{}", reply.text);
        assert_eq!(show(&server, &root, id).await["last_test_message"], reply.body["message"]);
    }
    let log = server.get("/api/audit/logs/?action=apic_connection_tested").token(&root).send().await.body;
    let rows = log["results"].as_array().unwrap();
    assert_eq!(rows.iter().filter(|row| row["success"] == true).count(), 1);
    assert_eq!(rows.len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_are_nowhere_to_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let file = format!("sqlite:{}", folder.path().join("state.db").display());
    let server = Server::with(&[("database", &file)]).await;
    let root = server.token("root", true).await;
    let simulator = controller();
    let id = add(&server, &root, &connection_to(&simulator)).await;
    let mut told = Vec::new();

    told.push(test(&server, &root, id).await.text);
    let query = json!({ "connection_id": id, "query_path": "/api/class/fvTenant.json" });
    told.push(server.post(&format!("{CONNECTIONS}execute_query/")).token(&root).json(&query).send().await.text);
    told.push(patch(&server, &root, id, &json!({ "password": SECRET, "description": "x" })).await.text);
    told.push(server.get(CONNECTIONS).token(&root).send().await.text);
    told.push(server.get(&format!("{CONNECTIONS}{id}/")).token(&root).send().await.text);
    told.push(server.call("DELETE", &format!("{CONNECTIONS}{id}/")).token(&root).send().await.text);
    let log = server.get("/api/audit/logs/?page_size=200").token(&root).send().await;
    assert!(log.text.contains("apic_connection_updated"), "{}", log.text);
    told.push(log.text);

    for text in told {
        assert!(!text.contains(SECRET), "{text}");
        assert!(!text.contains("APIC-cookie"), "{text}");
    }
    let files = std::fs::read_dir(folder.path()).unwrap();
    let kept: Vec<u8> = files.flat_map(|entry| std::fs::read(entry.unwrap().path()).unwrap()).collect();
    let has = |text: &str| kept.windows(text.len()).any(|part| part == text.as_bytes());
    assert!(has("Lab fabric") || std::env::var("FABRIK_TEST_POSTGRES").is_ok());
    assert!(!has(SECRET));
}
