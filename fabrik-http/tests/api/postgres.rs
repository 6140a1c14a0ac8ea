//! Everything here once more, on PostgreSQL.

use std::process::{Command, Stdio};

use fabrik_core::store::conformance::postgres::server;

#[test]
fn every_test_passes_on_postgresql() {
    // Whoever set it runs on PostgreSQL now, be it this test.
    if std::env::var_os("FABRIK_TEST_POSTGRES").is_some() || std::env::var_os("FABRIK_TEST_POSTGRES_STORE").is_some() {
        return;
    }
    // The library that connects wants a host, whatever the parameter says.
    let url = server().url("unused").replace("@/postgres", "@localhost/");
    let (address, _) = url.split_once("&schema").unwrap();
    // The command and its limits are tested by themselves and do not know this database.
    let skipped = ["--skip", "postgres::", "--skip", "process::", "--skip", "limits::", "--skip", "migrations::"];

    run(&skipped, "FABRIK_TEST_POSTGRES", address);
}

#[test]
fn snapshots_are_kept_in_postgresql_as_they_are_elsewhere() {
    if std::env::var_os("FABRIK_TEST_POSTGRES").is_some() || std::env::var_os("FABRIK_TEST_POSTGRES_STORE").is_some() {
        return;
    }
    // The command that is killed has a store of its own.
    let chosen = ["time_machine::", "schedules::", "dashboard::", "--skip", "killed::"];
    run(&chosen, "FABRIK_TEST_POSTGRES_STORE", "1");
}

/// Runs tests of this program with a variable of the environment.
fn run(arguments: &[&str], name: &str, value: &str) {
    let run = Command::new(std::env::current_exe().unwrap())
        .args(arguments)
        .env(name, value)
        .stdin(Stdio::null())
        .output()
        .unwrap();

    let text = String::from_utf8_lossy(&run.stdout);
    assert!(run.status.success(), "{text}\n{}", String::from_utf8_lossy(&run.stderr));
    let summary = text.lines().rev().find(|line| line.starts_with("test result: ok.")).unwrap();
    println!("on PostgreSQL: {summary}");
    assert!(!summary.contains(" 0 passed"));
}
