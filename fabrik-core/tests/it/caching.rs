//! Nodes kept in memory: answers are the same, and are given without reading again.

use fabrik_core::store::{FaultyStore, OpenMode, SqliteStore, Store};
use fabrik_core::{DiffOptions, Snapshot, TimelineOptions};

use crate::helpers::{block_on, capture, compare, list, sqlite};

/// Captures four thousand rows three times; each time some come, go and change.
fn captured(store: &dyn Store) -> Vec<Snapshot> {
    let row = |i: u32, step: u32| {
        let version = if i % 97 == step { step } else { 0 };
        format!(r#"{{"dn":"uni/tn-{i:05}","descr":"{:08x}","version":"{version}"}}"#, i.wrapping_mul(0x9e37_79b9))
    };
    let rows = |step: u32| (step * 5..4_000 + step * 5).map(move |i| row(i, step)).collect::<Vec<_>>();
    (1..=3).for_each(|step| _ = capture(store, step, rows(step)));
    list(store)
}

/// All that comparisons of any two and some timelines say.
fn told(store: &dyn Store, snapshots: &[Snapshot]) -> Vec<String> {
    let mut told = Vec::new();
    for before in snapshots {
        for after in snapshots {
            let (changes, summary) = compare(store, before, after, DiffOptions::default());
            told.push(format!("{changes:?} {summary:?}"));
        }
    }
    for i in (0..4_010).step_by(501) {
        let options = TimelineOptions::default();
        let timeline = block_on(fabrik_core::timeline(store, "q", &format!("uni/tn-{i:05}"), &options)).unwrap();
        told.push(serde_json::to_string(&timeline).unwrap());
    }
    told
}

#[test]
fn what_is_kept_changes_no_answer() {
    let plain = sqlite();
    let snapshots = captured(&*plain);
    let expected = told(&*plain, &snapshots);
    let path = plain.path();

    // Of this tree all fits, some, or hardly a node.
    for bytes in [64 << 20, 200 << 10, 10 << 10, 1] {
        let store = SqliteStore::open(&path, OpenMode::Existing).unwrap().with_node_cache(bytes);
        for _ in 0..2 {
            assert_eq!(told(&store, &snapshots), expected, "with {bytes} bytes");
        }
    }
}

#[test]
fn what_was_asked_before_is_not_read_again() {
    let plain = sqlite();
    let snapshots = captured(&*plain);
    // A comparison makes no calls but those that read chunks.
    let calls = |store: &FaultyStore<SqliteStore>| {
        store.fail_at(0);
        compare(store, &snapshots[1], &snapshots[0], DiffOptions::default());
        store.calls()
    };
    let open = |bytes| {
        let store = SqliteStore::open(plain.path(), OpenMode::Existing).unwrap();
        FaultyStore::new(store.with_node_cache(bytes))
    };
    let (without, with) = (open(0), open(64 << 20));

    assert!(calls(&without) > 0);
    assert_eq!(calls(&with), calls(&without));
    assert_eq!(calls(&with), 0);
}

#[test]
fn who_looks_for_damage_reads_what_is_stored() {
    let plain = sqlite();
    let snapshots = captured(&*plain);
    let store = SqliteStore::open(plain.path(), OpenMode::Existing).unwrap().with_node_cache(64 << 20);
    told(&store, &snapshots);

    let connection = rusqlite::Connection::open(plain.path()).unwrap();
    connection.execute("UPDATE chunk SET frame = x'00' WHERE seq % 7 = 0", []).unwrap();

    assert!(!block_on(fabrik_core::verify(&store)).unwrap().damage.is_empty());
}
