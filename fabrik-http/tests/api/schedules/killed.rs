//! A server that is killed while it runs what is due.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use fabrik_apic::simulator::{Scheme, Simulator, SimulatorOptions, SimulatorUser};
use rusqlite::Connection;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{EXECUTIONS, TASKS};
use crate::served::{Process, ask, command, folder};
use crate::server::PASSWORD;

const ARGUMENTS: [&str; 6] =
    ["--store", "sqlite:lab.db", "--set", "rate_limit.user=off", "--set", "rate_limit.zone_api=off"];
/// Long enough for a capture of a few thousand objects in a debug build on a busy machine.
const PATIENCE: Duration = Duration::from_secs(90);

const DUE: &str = "UPDATE scheduled_task SET next_run_at = '2026-01-01T00:00:00+00:00' WHERE NOT is_system_task";

/// Opens the database of a server, which may be running.
fn database(folder: &Path) -> Connection {
    let database = Connection::open(folder.join("lab-server.db")).unwrap();
    database.busy_timeout(PATIENCE).unwrap();
    database
}

fn number(folder: &Path, select: &str) -> i64 {
    database(folder).query_row(select, (), |row| row.get(0)).unwrap()
}

/// Does to the files of a server that rests what hours without one do: the task is due, leases are over.
fn let_hours_pass(folder: &Path) {
    let database = database(folder);
    for change in [
        DUE,
        "UPDATE scheduled_execution SET lease_until = '2026-01-01T00:00:00+00:00' WHERE status = 'running'",
        "UPDATE time_machine_capture SET started_at = '2026-01-01T00:00:00+00:00'",
    ] {
        database.execute(change, ()).unwrap();
    }
}

fn until(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "{what}");
        thread::yield_now();
    }
}

fn ids(folder: &Path, select: &str) -> BTreeSet<String> {
    let database = database(folder);
    let mut select = database.prepare(select).unwrap();
    let ids = select.query_map((), |row| row.get::<_, [u8; 16]>(0)).unwrap();
    ids.map(|id| Uuid::from_bytes(id.unwrap()).to_string()).collect()
}

#[test]
fn what_a_killed_server_ran_is_tried_again_once_and_all_agrees() {
    let reader = SimulatorUser::new("reader").with_password("Marker-81c0");
    let options = SimulatorOptions::default().without_users().with_user(reader).with_scheme(Scheme::Http);
    let simulator = Simulator::start(options.with_objects(3000)).unwrap();
    let admin = [("FABRIK_ADMIN_USERNAME", "root"), ("FABRIK_ADMIN_PASSWORD", PASSWORD)];
    let mut process = Process::start(folder(), &ARGUMENTS, &admin);
    let login = json!({ "username": "root", "password": PASSWORD });
    let (_, tokens) = ask(process.host(), "", "POST", "/api/auth/login/", &login).unwrap();
    let token = tokens["access"].as_str().unwrap().to_owned();
    let made = |process: &Process, path: &str, body: &Value| {
        let (status, made) = ask(process.host(), &token, "POST", path, body).unwrap();
        assert_eq!(status, 201, "{made}");
        made["id"].as_i64().unwrap()
    };
    let body = json!({ "name": "Lab", "host": simulator.url(), "username": "reader", "password": "Marker-81c0" });
    let connection = made(&process, "/api/apic/connections/", &body);
    let body = json!({ "name": "All", "path": "/api/mo/uni.json?query-target=subtree", "apic_connection": connection });
    let query = made(&process, "/api/queries/saved-queries/", &body);
    // Nothing is tried again but what an end of the server interrupted.
    let body = json!({ "name": "Watch", "saved_query": query, "frequency": "monthly", "auto_capture": true, "retry_enabled": false });
    let task = made(&process, TASKS, &body);

    // Killed when an execution has begun, while the controller is asked, when a capture was noted, and as it ends.
    let running = "SELECT count(*) FROM scheduled_execution WHERE status = 'running' AND lease_until > '2026-02'";
    let over = "SELECT count(*) FROM scheduled_execution WHERE status IN ('success', 'failed')";
    for round in 0..4 {
        kill(&mut process);
        let files = std::mem::replace(&mut process.folder, folder());
        let_hours_pass(files.path());
        simulator.clear_requests();
        let was_over = number(files.path(), over);
        process = Process::start(files, &ARGUMENTS, &[]);
        let place = process.folder.path();
        until("the moment to kill the server comes", || {
            // A run that was given up lets nothing else begin before the task is due again.
            if number(place, "SELECT count(*) FROM scheduled_execution WHERE status IN ('pending', 'running')") == 0 {
                database(place).execute(DUE, ()).unwrap();
            }
            match round {
                0 => number(place, running) > 0,
                1 => simulator.requests().iter().any(|served| served.target.contains("subtree")),
                2 => simulator.requests().iter().filter(|served| served.target.contains("subtree")).count() > 2,
                _ => number(place, over) > was_over,
            }
        });
    }
    kill(&mut process);
    let files = std::mem::replace(&mut process.folder, folder());
    let_hours_pass(files.path());
    process = Process::start(files, &ARGUMENTS, &[]);
    let place = process.folder.path();
    until("all runs end", || {
        number(place, "SELECT count(*) FROM scheduled_execution WHERE status IN ('pending', 'running')") == 0
            && number(place, "SELECT count(*) FROM scheduled_task WHERE next_run_at < '2026-02' AND NOT is_system_task")
                == 0
    });

    let get = |path: &str| {
        let (status, body) = ask(process.host(), &token, "GET", path, &json!({})).unwrap();
        assert_eq!(status, 200, "{body}");
        body
    };
    let executions = get(&format!("{EXECUTIONS}?task_id={task}&page_size=200"))["results"].clone();
    let mut runs: BTreeMap<&str, Vec<&Value>> = BTreeMap::new();
    for execution in executions.as_array().unwrap() {
        runs.entry(execution["run_id"].as_str().unwrap()).or_default().push(execution);
    }
    let mut interrupted = 0;
    for run in runs.values_mut() {
        run.sort_by_key(|execution| execution["retry_attempt"].as_i64());
        assert!(run.len() <= 2, "an interruption is made up for once: {run:?}");
        for (attempt, execution) in run.iter().enumerate() {
            assert_eq!(execution["retry_attempt"], attempt);
            let is_last = attempt + 1 == run.len();
            let told = (execution["status"].as_str().unwrap(), execution["error_type"].as_str().unwrap());
            interrupted += usize::from(told.1 == "interrupted");
            let allowed: &[_] = if is_last {
                &[("success", ""), ("failed", "interrupted"), ("cancelled", "")]
            } else {
                &[("failed", "interrupted")]
            };
            assert!(allowed.contains(&told) && (told.0 != "failed" || attempt > 0 || !is_last), "{run:?}");
        }
    }
    assert!(interrupted >= 2, "{executions}");
    let shown = get(&format!("{TASKS}{task}/"));
    let count = |name: &str| shown[name].as_u64().unwrap();
    assert_eq!(count("execution_count"), runs.len() as u64);
    assert_eq!(count("success_count") + count("failure_count"), runs.len() as u64, "{shown}");
    let notices = get("/api/notifications/notifications/?page_size=200")["results"].clone();
    let titled = |text: &str| {
        notices.as_array().unwrap().iter().filter(|one| one["title"].as_str().unwrap().starts_with(text)).count()
    };
    assert_eq!(titled("Scheduled task Watch"), runs.len(), "each run is told once: {notices}");

    let listed = get(&format!("/api/time-machine/snapshots/?saved_query={query}&page_size=200"));
    let snapshots = listed["results"].as_array().unwrap();
    let ids_of: BTreeSet<_> = snapshots.iter().map(|one| one["id"].as_str().unwrap().to_owned()).collect();
    for snapshot in snapshots {
        assert_eq!((&snapshot["execution_type"], &snapshot["scheduled_task_id"]), (&json!("scheduled"), &json!(task)));
    }
    for execution in executions.as_array().unwrap().iter().filter(|one| one["status"] == "success") {
        let its = snapshots.iter().find(|one| one["id"] == execution["snapshot_id"]).unwrap();
        assert_eq!(its["scheduled_task_execution_id"], execution["id"]);
        assert_eq!(its["row_count"], execution["result_count"]);
    }
    // What was being captured when the server was killed is forgotten or completed hours later.
    kill(&mut process);
    let files = std::mem::replace(&mut process.folder, folder());
    database(files.path())
        .execute("UPDATE time_machine_capture SET started_at = '2026-01-01T00:00:00+00:00'", ())
        .unwrap();
    process = Process::start(files, &ARGUMENTS, &[]);
    let place = process.folder.path();
    until("what is known agrees with what is there", || {
        ids(place, "SELECT id FROM time_machine_capture") == ids_of
            && number(place, "SELECT count(*) FROM time_machine_capture WHERE completed_at IS NULL") == 0
    });
    let verified = command(place, &["--store", "sqlite:lab.db", "verify"]).output().unwrap();
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stdout));
    println!("{} runs, {interrupted} interruptions, {} snapshots", runs.len(), ids_of.len());
}

fn kill(process: &mut Process) {
    process.child.kill().unwrap();
    process.child.wait().unwrap();
}
