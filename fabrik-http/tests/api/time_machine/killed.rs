//! A server that is killed while it captures.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;

use fabrik_apic::simulator::{Scheme, Simulator, SimulatorOptions, SimulatorUser};
use serde_json::{Value, json};

use super::{API, SECRET};
use crate::served::{Process, command, folder};
use crate::server::PASSWORD;

/// Asks over a plain socket; nothing where the server went away.
fn ask(host: &str, token: &str, method: &str, path: &str, body: &Value) -> Option<(u16, Value)> {
    let mut stream = TcpStream::connect(host).ok()?;
    let body = body.to_string();
    let length = body.len();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nhost: fab.lab\r\nconnection: close\r\nauthorization: Bearer {token}\r\n\
         content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    )
    .ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    let status = text.split(' ').nth(1)?.parse().ok()?;
    Some((status, serde_json::from_str(text.split_once("\r\n\r\n")?.1).unwrap_or(Value::Null)))
}

#[test]
fn a_server_killed_while_it_captures_has_whole_snapshots_or_none() {
    let reader = SimulatorUser::new("reader").with_password(SECRET);
    let options = SimulatorOptions::default().without_users().with_user(reader).with_scheme(Scheme::Http);
    let simulator = Simulator::start(options.with_objects(5000)).unwrap();
    // The names of rates as they are in a file, where a burst of logins and captures would be too many.
    let arguments = ["--store", "sqlite:lab.db", "--set", "rate_limit.user=off", "--set", "rate_limit.zone_api=off"];
    let admin = [("FABRIK_ADMIN_USERNAME", "root"), ("FABRIK_ADMIN_PASSWORD", PASSWORD)];
    let mut process = Process::start(folder(), &arguments, &admin);
    let login = json!({ "username": "root", "password": PASSWORD });
    let (status, tokens) = ask(process.host(), "", "POST", "/api/auth/login/", &login).unwrap();
    assert_eq!(status, 200, "{tokens}");
    let token = tokens["access"].as_str().unwrap().to_owned();
    let connection = json!({ "name": "Lab", "host": simulator.url(), "username": "reader", "password": SECRET });
    let made = ask(process.host(), &token, "POST", "/api/apic/connections/", &connection).unwrap();
    assert_eq!(made.0, 201, "{}", made.1);
    let query = json!({
        "name": "All", "path": "/api/mo/uni.json?query-target=subtree", "apic_connection": made.1["id"],
    });
    let (status, query) = ask(process.host(), &token, "POST", "/api/queries/saved-queries/", &query).unwrap();
    assert_eq!(status, 201, "{query}");
    let capture = json!({ "saved_query": query["id"] });

    for round in 0..4 {
        simulator.clear_requests();
        let (host, token, capture) = (process.host().to_owned(), token.clone(), capture.clone());
        let path = format!("{API}capture/");
        let capturing = thread::spawn(move || while ask(&host, &token, "POST", &path, &capture).is_some() {});
        while simulator.requests().len() < 3 + 2 * round {
            thread::yield_now();
        }
        process.child.kill().unwrap();
        process.child.wait().unwrap();
        capturing.join().unwrap();
        let kept = std::mem::replace(&mut process.folder, folder());
        process = Process::start(kept, &arguments, &admin);
    }

    let path = format!("{API}snapshots/?saved_query={}&page_size=200", query["id"]);
    let (_, list) = ask(process.host(), &token, "GET", &path, &json!({})).unwrap();
    let snapshots = list["results"].as_array().unwrap();
    assert!(!snapshots.is_empty(), "{list}");
    for snapshot in snapshots {
        let store = command(
            process.folder.path(),
            &["--store", "sqlite:lab.db", "show", snapshot["id"].as_str().unwrap(), "--format", "json"],
        )
        .output()
        .unwrap();
        let shown: Value = serde_json::from_slice(&store.stdout).unwrap();
        assert_eq!(shown["rows"].as_array().unwrap().len() as u64, snapshot["row_count"].as_u64().unwrap());
        assert_eq!((&snapshot["saved_query"], &snapshot["query_name"]), (&query["id"], &json!("All")));
        assert_eq!(snapshot["execution_type"], "manual", "what is known of it was written before it");
    }
    let captured = ask(process.host(), &token, "POST", &format!("{API}capture/"), &capture).unwrap();
    assert_eq!(captured.0, 201, "{}", captured.1);
    let verified = command(process.folder.path(), &["--store", "sqlite:lab.db", "verify"]).output().unwrap();
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stdout));
}
