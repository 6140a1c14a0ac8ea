//! A server that is killed while it captures, and while it cleans up.

use std::collections::BTreeSet;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use chrono::{TimeDelta, Utc};
use fabrik_apic::simulator::{Scheme, Simulator, SimulatorOptions, SimulatorUser};
use fabrik_core::store::{OpenMode, SqliteStore};
use fabrik_core::{CaptureOptions, RetentionPolicy, RowBatch, RowBatchBuilder, SnapshotId, Source, Verdict};
use rusqlite::Connection;
use serde_json::{Value, json};
use tempfile::TempDir;
use uuid::Uuid;

use super::{API, SECRET};
use crate::served::{Process, ask, command, folder};
use crate::server::PASSWORD;

#[test]
fn a_server_killed_while_it_captures_has_whole_snapshots_or_none() {
    let reader = SimulatorUser::new("reader").with_password(SECRET);
    let options = SimulatorOptions::default().without_users().with_user(reader).with_scheme(Scheme::Http);
    let simulator = Simulator::start(options.with_objects(5000)).unwrap();
    let admin = [("FABRIK_ADMIN_USERNAME", "root"), ("FABRIK_ADMIN_PASSWORD", PASSWORD)];
    let mut process = Process::start(folder(), &ARGUMENTS, &admin);
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
        process = Process::start(kept, &ARGUMENTS, &admin);
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
    verify(process.folder.path());
}

/// Rows that differ from snapshot to snapshot, so that a cleanup has much to delete.
#[derive(Debug)]
struct Rows(Option<RowBatch>);

impl Rows {
    fn new(number: usize) -> Self {
        let mut rows = RowBatchBuilder::default();
        for row in 0..400 {
            let version = if row % 8 == number % 8 { number } else { 0 };
            let text = json!({ "dn": format!("uni/tn-{row}"), "version": version, "text": Uuid::now_v7().to_string() });
            rows.push_json(&text.to_string()).unwrap();
        }
        Self(Some(rows.take()))
    }
}

#[async_trait]
impl Source for Rows {
    async fn next_batch(&mut self) -> fabrik_core::Result<Option<RowBatch>> {
        Ok(self.0.take())
    }

    fn verdict(&self) -> Verdict {
        Verdict::Complete
    }
}

/// How many snapshots have expired, and how many have not.
const EXPIRED: usize = 120;
const KEPT: usize = 5;

/// The command line of the server, without rates where a burst of requests would be too many.
const ARGUMENTS: [&str; 6] =
    ["--store", "sqlite:lab.db", "--set", "rate_limit.user=off", "--set", "rate_limit.zone_api=off"];

/// A folder with the files of a server: old snapshots of a query beside young ones, and what is known of them.
struct Old {
    folder: TempDir,
    token: String,
    query: i64,
    kept: BTreeSet<String>,
}

impl Old {
    fn new() -> Self {
        let admin = [("FABRIK_ADMIN_USERNAME", "root"), ("FABRIK_ADMIN_PASSWORD", PASSWORD)];
        let mut process = Process::start(folder(), &ARGUMENTS, &admin);
        let login = json!({ "username": "root", "password": PASSWORD });
        let (_, tokens) = ask(process.host(), "", "POST", "/api/auth/login/", &login).unwrap();
        let token = tokens["access"].as_str().unwrap().to_owned();
        let query = json!({ "name": "Old", "class_name": "fvBD" });
        let (status, query) = ask(process.host(), &token, "POST", "/api/queries/saved-queries/", &query).unwrap();
        assert_eq!(status, 201, "{query}");
        let query = query["id"].as_i64().unwrap();
        assert_eq!(process.stop(), Some(0));
        let folder = std::mem::replace(&mut process.folder, folder());
        let kept = fill(folder.path(), query);
        Self { folder, token, query, kept }
    }

    /// Returns a copy of the files.
    fn copy(&self) -> TempDir {
        let copy = folder();
        for entry in std::fs::read_dir(self.folder.path()).unwrap() {
            let entry = entry.unwrap();
            std::fs::copy(entry.path(), copy.path().join(entry.file_name())).unwrap();
        }
        copy
    }

    fn listed(&self, process: &Process) -> BTreeSet<String> {
        let path = format!("{API}snapshots/?saved_query={}&page_size=200", self.query);
        let (status, list) = ask(process.host(), &self.token, "GET", &path, &json!({})).unwrap();
        assert_eq!(status, 200, "{list}");
        let snapshots = list["results"].as_array().unwrap();
        assert!(snapshots.iter().all(|one| one["query_name"] == "Old" && one["query_version"] == "1.0"), "{list}");
        snapshots.iter().map(|one| one["id"].as_str().unwrap().to_owned()).collect()
    }
}

/// Fills the store of a server that rests, and its table of captures.
fn fill(folder: &Path, query: i64) -> BTreeSet<String> {
    let store = SqliteStore::open(folder.join("lab.db"), OpenMode::Create).unwrap();
    let mut database = Connection::open(folder.join("lab-server.db")).unwrap();
    let transaction = database.transaction().unwrap();
    let mut kept = BTreeSet::new();
    for number in 0..EXPIRED + KEPT {
        let id = Uuid::now_v7();
        let age = TimeDelta::minutes(i64::try_from(number).unwrap());
        let captured_at = if number < EXPIRED { Utc::now() - TimeDelta::days(60) + age } else { Utc::now() - age };
        let mut options = CaptureOptions::new(SnapshotId::new(id), query.to_string(), captured_at);
        options.connection = Some("1".to_owned());
        options.retention_policy = RetentionPolicy::SevenDays;
        pollster::block_on(fabrik_core::capture(&store, &mut Rows::new(number), &options)).unwrap();
        let insert = "INSERT INTO time_machine_capture (id, series, saved_query_id, query_name, query_version, \
                      query_version_hash, apic_connection_id, apic_connection_name, execution_type, started_at, \
                      completed_at) VALUES (?1, ?2, ?3, 'Old', '1.0', '', 1, 'Lab', 'manual', ?4, ?4)";
        let moment = captured_at.to_rfc3339();
        transaction.execute(insert, (id.as_bytes(), query.to_string(), query, moment)).unwrap();
        if number >= EXPIRED {
            kept.insert(id.to_string());
        }
    }
    transaction.commit().unwrap();
    kept
}

/// Returns of which snapshots the database of a server knows something.
fn known(folder: &Path) -> BTreeSet<String> {
    let database = Connection::open(folder.join("lab-server.db")).unwrap();
    let mut select = database.prepare("SELECT id FROM time_machine_capture").unwrap();
    let ids = select.query_map((), |row| row.get::<_, [u8; 16]>(0)).unwrap();
    ids.map(|id| Uuid::from_bytes(id.unwrap()).to_string()).collect()
}

/// Checks the store and the audit log.
fn verify(folder: &Path) {
    let verified = command(folder, &["--store", "sqlite:lab.db", "verify"]).output().unwrap();
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stdout));
}

#[test]
fn a_server_killed_while_it_cleans_up_is_whole_and_the_next_cleanup_does_the_rest() {
    let old = Old::new();
    let execute = |process: &Process| {
        let path = format!("{API}cleanup/execute/");
        ask(process.host(), &old.token, "POST", &path, &json!({})).map(|(status, body)| {
            assert_eq!(status, 200, "{body}");
            body["will_delete"]["7d"].as_u64().unwrap()
        })
    };
    // How long it takes where nobody disturbs it.
    let process = Process::start(old.copy(), &ARGUMENTS, &[]);
    assert_eq!(old.listed(&process).len(), EXPIRED + KEPT);
    let started = Instant::now();
    assert_eq!(execute(&process), Some(EXPIRED as u64));
    let took = started.elapsed();
    drop(process);

    let mut left = BTreeSet::new();
    for tenths in [0, 2, 4, 5, 6, 7, 8, 9, 10, 12] {
        let mut process = Process::start(old.copy(), &ARGUMENTS, &[]);
        let was_answered = thread::scope(|scope| {
            let cleaning = scope.spawn(|| execute(&process).is_some());
            // Not to wait for something: the moment of the kill is what differs from round to round.
            thread::sleep(took * tenths / 10);
            kill(process.child.id());
            cleaning.join().unwrap()
        });
        process.child.wait().unwrap();
        let files = std::mem::replace(&mut process.folder, folder());
        verify(files.path());

        let process = Process::start(files, &ARGUMENTS, &[]);
        let there = old.listed(&process);
        assert!(there.is_superset(&old.kept), "what has not expired stays");
        assert!(!was_answered || there == old.kept, "what was said to be gone is gone");
        // What the database knew of snapshots that are gone is forgotten by a job that runs at once.
        let deadline = Instant::now() + Duration::from_secs(30);
        while known(process.folder.path()) != there {
            assert!(Instant::now() < deadline, "what is known agrees with what is there");
            thread::yield_now();
        }
        let rest = (there.len() - KEPT) as u64;
        assert_eq!(execute(&process), Some(rest));
        assert_eq!(old.listed(&process), old.kept);
        assert_eq!(execute(&process), Some(0));
        verify(process.folder.path());
        left.insert(rest);
    }
    println!("of {EXPIRED} snapshots, kills during a cleanup of {took:?} left {left:?}");
    assert!(left.contains(&(EXPIRED as u64)), "some kills came before anything was done");
}

/// Kills a process that cannot do anything about it.
fn kill(id: u32) {
    let status = std::process::Command::new("kill").args(["-KILL", &id.to_string()]).status().unwrap();
    assert!(status.success());
}
