//! Processes that are killed at any moment.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::process::Child;
use std::thread::sleep;
use std::time::Duration;

use crate::folder::{Folder, Run};

/// How many rounds, unless `FABRIK_KILL_ROUNDS` says otherwise.
const ROUNDS: u64 = 200;
/// The longest delay before a kill, in milliseconds.
const LONGEST_MS: u64 = 60;

/// Rows of which a tenth is new in every round.
fn rows(round: u64) -> String {
    let mut rows = String::new();
    for i in 0..600 {
        let version = if i % 10 == round % 10 { round } else { round / 10 };
        writeln!(rows, "{{\"dn\":\"uni/tn-{i}\",\"version\":\"{version}\",\"text\":\"{}\"}}", "lorem ipsum ".repeat(8))
            .unwrap();
    }
    rows
}

/// Kills the first after `delays[0]` milliseconds and the second after `delays[1]`.
fn kill_after(children: [&mut Child; 2], delays: [u64; 2]) {
    let mut order: Vec<(u64, &mut Child)> = delays.into_iter().zip(children).collect();
    order.sort_by_key(|(delay, _)| *delay);
    let mut waited = 0;
    for (delay, child) in order {
        sleep(Duration::from_millis(delay - waited));
        waited = delay;
        child.kill().unwrap();
    }
}

fn listed(folder: &Folder) -> BTreeSet<String> {
    let listed = folder.json(&["snapshots", "--query", "kept"]);
    let ids = listed["results"].as_array().unwrap().iter().map(|snapshot| snapshot["id"].as_str().unwrap().to_owned());
    ids.collect()
}

#[test]
fn killing_captures_and_cleanups_loses_nothing_that_was_finished() {
    let rounds = std::env::var("FABRIK_KILL_ROUNDS").map_or(ROUNDS, |rounds| rounds.parse().unwrap());
    let folder = Folder::new();
    folder.write("rows.ndjson", rows(0));
    let first = folder.json(&["capture", "--query", "kept", "--from", "rows.ndjson", "--retention", "forever"]);
    let mut finished = BTreeSet::from([first["id"].as_str().unwrap().to_owned()]);
    let (mut cut_short, mut cleaned) = (0, 0);

    for round in 1..=rounds {
        folder.write("rows.ndjson", rows(round));
        // What a cleanup may take shares most of its chunks with what it must leave.
        let old =
            ["capture", "--query", "old", "--from", "rows.ndjson", "--retention", "7d", "--at", "2026-01-01T00:00:00Z"];
        if round % 3 == 1 {
            folder.run(&old).done();
        }
        let kept = ["capture", "--query", "kept", "--from", "rows.ndjson", "--retention", "forever"];
        let mut capture = folder.command(&kept).spawn().unwrap();
        let mut cleanup = folder.command(&["cleanup", "--execute"]).spawn().unwrap();

        let delays = [round * 7 % (LONGEST_MS + 1), round * 13 % (LONGEST_MS + 1)];
        kill_after([&mut capture, &mut cleanup], delays);
        cleaned += u64::from(cleanup.wait().unwrap().success());
        match capture.try_wait().unwrap() {
            Some(status) if status.success() => {
                finished.insert(Run::of(capture).json()["id"].as_str().unwrap().to_owned());
            }
            _ => {
                cut_short += 1;
                capture.wait().unwrap();
            }
        }

        let listed = listed(&folder);
        assert!(finished.is_subset(&listed), "round {round}: {:?} are lost", finished.difference(&listed));
    }

    eprintln!("{} captures finished, {cut_short} were cut short; {cleaned} cleanups finished", finished.len());
    folder.run(&["cleanup", "--execute"]).done();
    let found = folder.json(&["verify"]);
    assert_eq!(found["damage"].as_array().unwrap().len(), 0, "{found}");
    for id in listed(&folder) {
        folder.run(&["show", &id, "--format", "ndjson"]).done();
    }
}
