//! The audit log of a server beside the store, checked by the command.

use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::http::Request;
use fabrik_core::store::MemoryStore;
use fabrik_http::server::settings::{Layers, Origin};
use fabrik_http::server::{AppState, Clock, Settings, create_user, router};
use rusqlite::Connection;
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::folder::{Folder, answer};

const PASSWORD: &str = "Correct horse, battery";

/// Makes a folder with a store and, at `file`, the database of a server on which three groups were made.
fn with_log(file: &str) -> Folder {
    let folder = Folder::with_captures(&[&answer(&[("app", "no")])]);
    let mut layers = Layers::defaults();
    let place = format!("sqlite:{}", folder.path(file).display());
    layers.set("database", &place, Origin::Default).unwrap();
    let settings = Settings::from_layers(&layers).unwrap();
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let state = AppState::open(settings, Arc::new(MemoryStore::default()), Clock::system()).await.unwrap();
        create_user(&state, "root", "root@lab.example", PASSWORD, true).await.unwrap();
        let send = async |path: &str, token: &str, body: Value| -> Value {
            let request = Request::post(path).header("content-type", "application/json");
            let request =
                if token.is_empty() { request } else { request.header("authorization", format!("Bearer {token}")) };
            let reply = router(&state).oneshot(request.body(Body::from(body.to_string())).unwrap()).await.unwrap();
            assert!(reply.status().is_success());
            serde_json::from_slice(&to_bytes(reply.into_body(), usize::MAX).await.unwrap()).unwrap()
        };
        let login = send("/api/auth/login/", "", json!({ "username": "root", "password": PASSWORD })).await;
        for name in ["one", "two", "three"] {
            send("/api/auth/groups/", login["access"].as_str().unwrap(), json!({ "name": name })).await;
        }
    });
    folder
}

#[test]
fn verify_checks_the_log_beside_the_store_and_names_the_first_row_that_lies() {
    let folder = with_log("fabrik-server.db");
    let clean = folder.json(&["verify"]);
    assert!(clean["audit"]["rows"].as_u64().unwrap() >= 3, "{clean}");
    assert_eq!(clean["audit"]["damage"], json!([]));
    let head = format!("{}:{}", clean["audit"]["last_sequence"], clean["audit"]["last_hash"].as_str().unwrap());
    let table = folder.run(&["verify", "--format", "table"]).done().stdout;
    assert!(table.contains("the audit log is whole") && table.contains(&head), "{table}");

    let database = Connection::open(folder.path("fabrik-server.db")).unwrap();
    let changed = "UPDATE audit_log SET description = 'nothing' WHERE resource_name = 'two'";
    assert_eq!(database.execute(changed, []).unwrap(), 1);
    let sequence: i64 =
        database.query_row("SELECT sequence FROM audit_log WHERE resource_name = 'two'", [], |row| row.get(0)).unwrap();

    let run = folder.run(&["verify"]);
    assert_eq!((run.code, run.stderr.as_str()), (4, ""));
    let found: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(found["audit"]["damage"], json!([{ "sequence": sequence, "kind": "content_changed" }]));
    assert_eq!(found["damage"], json!([]));
    let table = folder.run(&["verify", "--format", "table"]);
    let told = format!("- row {sequence}: what it says was changed");
    assert!(table.code == 4 && table.stdout.contains(&told), "{table:?}");
    database.execute("DELETE FROM audit_log WHERE resource_name = 'three'", []).unwrap();
    let found: Value = serde_json::from_str(&folder.run(&["verify"]).stdout).unwrap();
    assert_eq!(found["audit"]["damage"].as_array().unwrap().last().unwrap()["kind"], "row_missing");
}

#[test]
fn a_noted_row_shows_that_the_log_was_cut_or_written_anew() {
    let folder = with_log("fabrik-server.db");
    let clean = folder.json(&["verify"]);
    let last = clean["audit"]["last_sequence"].as_i64().unwrap();
    let noted = format!("{last}:{}", clean["audit"]["last_hash"].as_str().unwrap());
    assert_eq!(folder.json(&["verify", "--audit-head", &noted]), clean);

    let database = Connection::open(folder.path("fabrik-server.db")).unwrap();
    let cut = "DELETE FROM audit_log WHERE resource_name = 'three'; UPDATE audit_chain SET last_sequence = last_sequence \
               - 1, last_hash = (SELECT hash FROM audit_log ORDER BY sequence DESC LIMIT 1)";
    database.execute_batch(cut).unwrap();

    assert_eq!(folder.json(&["verify"])["audit"]["damage"], json!([]));
    let run = folder.run(&["verify", "--audit-head", &noted]);
    let found: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!((run.code, &found["audit"]["damage"]), (4, &json!([{ "sequence": last, "kind": "row_missing" }])));
    let other = format!("{}:{}", last - 1, "0".repeat(64));
    let run = folder.run(&["verify", "--audit-head", &other]);
    let found: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!((run.code, &found["audit"]["damage"][0]["kind"]), (4, &json!("not_as_noted")));
    folder.run(&["verify", "--audit-head", "17"]).refused(2, &["expected SEQUENCE:HASH"]);
    folder
        .run(&["verify", "--audit-head", &noted, "--server-database", "sqlite:nowhere.db"])
        .refused(1, &["cannot be compared: there is no audit log"]);
}

#[test]
fn verify_finds_the_log_where_it_is_told_to_be_and_says_where_there_is_none() {
    let folder = with_log("elsewhere.db");

    assert_eq!(folder.json(&["verify"])["audit"], Value::Null);
    let table = folder.run(&["verify", "--format", "table"]).done().stdout;
    assert!(table.contains("no audit log: no server keeps its state in sqlite:fabrik-server.db"), "{table}");
    assert!(!folder.path("fabrik-server.db").exists());
    for arguments in [
        &["verify", "--server-database", "sqlite:elsewhere.db"][..],
        &["verify", "--set", "database=sqlite:elsewhere.db"],
    ] {
        assert!(folder.json(arguments)["audit"]["rows"].as_u64().unwrap() >= 3);
    }
    folder.write("fabrik.toml", "database = \"sqlite:elsewhere.db\"\n");
    assert!(folder.json(&["verify"])["audit"]["rows"].as_u64().unwrap() >= 3);
    folder.run(&["verify", "--server-database", "nowhere"]).refused(2, &["expected sqlite:PATH"]);
}
