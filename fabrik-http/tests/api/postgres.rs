//! Everything here once more, on PostgreSQL.

use std::process::{Command, Stdio};

use fabrik_core::store::conformance::postgres::server;

#[test]
fn every_test_passes_on_postgresql() {
    // Whoever set it runs on PostgreSQL now, be it this test.
    if std::env::var_os("FABRIK_TEST_POSTGRES").is_some() {
        return;
    }
    // The library that connects wants a host, whatever the parameter says.
    let url = server().url("unused").replace("@/postgres", "@localhost/");
    let (address, _) = url.split_once("&schema").unwrap();
    // The command and its limits are tested by themselves and do not know this database.
    let skipped = ["--skip", "postgres::", "--skip", "process::", "--skip", "limits::", "--skip", "migrations::"];

    let run = Command::new(std::env::current_exe().unwrap())
        .args(skipped)
        .env("FABRIK_TEST_POSTGRES", address)
        .stdin(Stdio::null())
        .output()
        .unwrap();

    let text = String::from_utf8_lossy(&run.stdout);
    assert!(run.status.success(), "{text}\n{}", String::from_utf8_lossy(&run.stderr));
    let summary = text.lines().rev().find(|line| line.starts_with("test result: ok.")).unwrap();
    println!("on PostgreSQL: {summary}");
    assert!(!summary.contains(" 0 passed"));
}
