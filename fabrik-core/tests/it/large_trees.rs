//! Trees of several levels: what is passed over unread changes no result.

use std::collections::BTreeMap;

use fabrik_core::store::{MemoryStore, ReadChunks};
use fabrik_core::{ChangeKind, DiffOptions, KeySpec, RowBatchBuilder, Snapshot, Value, summarize};
use proptest::prelude::*;

use crate::helpers::{VecSource, assert_sound, block_on, capture, compare, json, options, read};

/// The values of the rows of each key, ascending.
type Rows = BTreeMap<u32, Vec<u32>>;

fn once(keys: impl IntoIterator<Item = u32>) -> Rows {
    keys.into_iter().map(|key| (key, vec![0])).collect()
}

fn dn(key: u32) -> String {
    format!("uni/tn-{key:06}")
}

fn take(store: &MemoryStore, number: u32, rows: &Rows) -> Snapshot {
    let mut builder = RowBatchBuilder::default();
    for (key, values) in rows {
        for value in values {
            builder.attribute("dn", Value::String(&dn(*key)));
            // Of one length, so that their order as text and as stored bytes is that of the numbers.
            builder.attribute("v", Value::Number(&(1_000_000 + value).to_string()));
            builder.finish_row().unwrap();
        }
    }
    let mut source = VecSource::of(builder.take());
    block_on(fabrik_core::capture(store, &mut source, &options(number))).unwrap().snapshot
}

/// Asserts that comparing gives what comparing the two maps gives.
fn assert_compares(store: &MemoryStore, older: (&Snapshot, &Rows), newer: (&Snapshot, &Rows)) {
    let (changes, summary) = compare(store, older.0, newer.0, DiffOptions::default());

    let mut expected: Vec<(ChangeKind, String, Option<u32>, Option<u32>)> = Vec::new();
    let mut counts = [0_u64; 5];
    let keys: std::collections::BTreeSet<&u32> = older.1.keys().chain(newer.1.keys()).collect();
    for key in keys {
        let sides = [older.1, newer.1].map(|rows| rows.get(key).cloned().unwrap_or_default());
        counts[4] += u64::from(sides.iter().any(|rows| rows.len() > 1));
        let [mut before, mut after] = sides;
        before.retain(|value| match after.iter().position(|other| other == value) {
            Some(at) => {
                after.remove(at);
                counts[3] += 1;
                false
            }
            None => true,
        });
        for i in 0..before.len().max(after.len()) {
            let (before, after) = (before.get(i).copied(), after.get(i).copied());
            let (kind, count) = match (before, after) {
                (Some(_), Some(_)) => (ChangeKind::Changed, 2),
                (Some(_), None) => (ChangeKind::Removed, 1),
                _ => (ChangeKind::Added, 0),
            };
            counts[count] += 1;
            expected.push((kind, dn(*key), before, after));
        }
    }
    let value = |row: &Option<fabrik_core::Row>| {
        row.as_ref().map(|row| row.as_ref().get("v").unwrap().to_string().parse::<u32>().unwrap() - 1_000_000)
    };
    let found: Vec<_> = (changes.iter())
        .map(|change| (change.kind, change.row().dn().unwrap().to_owned(), value(&change.before), value(&change.after)))
        .collect();
    assert_eq!(found.len(), expected.len());
    if let Some(at) = (0..found.len()).find(|&at| found[at] != expected[at]) {
        panic!("change {at} is {:?} and not {:?}", found[at], expected[at]);
    }
    assert_eq!([summary.added, summary.removed, summary.changed, summary.unchanged], counts[..4]);
    assert_eq!(summary.duplicate_keys, counts[4], "keys with duplicates");
    assert_eq!(block_on(summarize(store, older.0, newer.0)).unwrap(), summary);
}

fn assert_compares_both_ways(store: &MemoryStore, one: (&Snapshot, &Rows), other: (&Snapshot, &Rows)) {
    assert_compares(store, one, other);
    assert_compares(store, other, one);
}

/// Returns the level of the root, as it stands in its bytes.
fn height(store: &MemoryStore, snapshot: &Snapshot) -> u8 {
    let root = block_on(store.read_chunks(&[snapshot.root])).unwrap();
    if root[0][0] == 2 { root[0][2] } else { 0 }
}

#[derive(Clone, Debug)]
enum Edit {
    Change(u32),
    Remove(u32),
    Insert(u32),
    Repeat(u32, u32),
    RemoveRange(u32, u32),
}

fn edit() -> impl Strategy<Value = Edit> {
    let key = 0..4_000_u32;
    prop_oneof![
        4 => key.clone().prop_map(Edit::Change),
        3 => key.clone().prop_map(Edit::Remove),
        2 => (0..5_000_u32).prop_map(Edit::Insert),
        3 => (key.clone(), 1..300_u32).prop_map(|(key, times)| Edit::Repeat(key, times)),
        1 => (key, 1..2_000_u32).prop_map(|(key, length)| Edit::RemoveRange(key, length)),
    ]
}

fn apply(rows: &mut Rows, edit: &Edit) {
    match *edit {
        Edit::Change(key) => {
            if let Some(value) = rows.get_mut(&key).and_then(|values| values.last_mut()) {
                *value += 500;
            }
        }
        Edit::Remove(key) => {
            if let Some(values) = rows.get_mut(&key) {
                values.pop();
            }
        }
        Edit::Insert(key) => rows.entry(key).or_default().push(7_000),
        Edit::Repeat(key, times) => rows.entry(key).or_default().extend((0..times).map(|i| 1_000 + i / 2)),
        Edit::RemoveRange(key, length) => rows.retain(|other, _| !(key..key + length).contains(other)),
    }
    rows.retain(|_, values| {
        values.sort_unstable();
        !values.is_empty()
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_few_edits_of_thousands_of_rows_compare_like_maps(
        repeats in 1..4_usize,
        first in prop::collection::vec(edit(), 0..6),
        edits in prop::collection::vec(edit(), 0..10),
    ) {
        let store = MemoryStore::default();
        let keys = 4_000 / u32::try_from(repeats).unwrap();
        let mut before: Rows = (0..keys).map(|key| (key, vec![0; repeats])).collect();
        first.iter().for_each(|edit| apply(&mut before, edit));
        let mut after = before.clone();
        edits.iter().for_each(|edit| apply(&mut after, edit));

        let older = take(&store, 1, &before);
        let newer = take(&store, 2, &after);

        assert_compares_both_ways(&store, (&older, &before), (&newer, &after));
        prop_assert_eq!(older.duplicate_keys, before.values().filter(|values| values.len() > 1).count() as u64);
        assert_sound(&store);
    }
}

#[test]
fn a_hundred_thousand_rows_compare_like_maps() {
    let store = MemoryStore::default();
    let all = once(0..120_000);
    let whole = take(&store, 1, &all);
    assert!(height(&store, &whole) >= 3, "the tree has branches on three levels");
    let mut number = 1;
    let mut against_all = |rows: &Rows| {
        number += 1;
        let other = take(&store, number, rows);
        assert_compares_both_ways(&store, (&whole, &all), (&other, rows));
    };

    // A few edits, far apart.
    let mut edited = all.clone();
    [0, 1, 59_999, 119_999].into_iter().for_each(|key| apply(&mut edited, &Edit::Change(key)));
    [500, 77_777].into_iter().for_each(|key| apply(&mut edited, &Edit::Remove(key)));
    apply(&mut edited, &Edit::Insert(200_000));
    against_all(&edited);
    // A long range is gone: branches of the two sides cover different stretches.
    against_all(&once((0..20_000).chain(97_000..120_000)));
    // Every hundredth row is left: one branch there is as wide as a hundred here.
    against_all(&once((0..120_000).step_by(100)));
    // Nothing in common, on either side of each other, and nothing at all.
    against_all(&once(120_000..150_000));
    against_all(&once([]));
    assert_eq!(read(&store, &whole).len(), 120_000);
}

#[test]
fn one_key_with_thousands_of_rows_compares_like_a_map() {
    let store = MemoryStore::default();
    let mut before = once(0..3_000);
    before.insert(1_500, (0..5_000).map(|i| i / 3).collect());
    let mut after = before.clone();
    after.get_mut(&1_500).unwrap().retain(|value| value % 7 != 0);
    after.get_mut(&1_500).unwrap().extend([2_000; 400]);
    let fewer = once((0..3_000).filter(|key| *key != 1_500));

    let older = take(&store, 1, &before);
    let newer = take(&store, 2, &after);
    let without = take(&store, 3, &fewer);

    assert_compares_both_ways(&store, (&older, &before), (&newer, &after));
    assert_compares_both_ways(&store, (&older, &before), (&without, &fewer));
    assert_sound(&store);
}

#[test]
fn a_key_that_fills_leaves_by_itself_is_one_duplicate() {
    let filled = |times: u32, value: fn(u32) -> u32| {
        let mut rows = once(0..50);
        rows.insert(25, (0..times).map(value).collect());
        rows
    };
    for value in [|_| 0, |i| i] {
        for (times, more) in [(95, 96), (96, 97), (97, 98), (96, 192), (191, 193), (288, 289), (1, 400)] {
            let store = MemoryStore::default();
            let (before, after) = (filled(times, value), filled(more, value));

            let older = take(&store, 1, &before);
            let newer = take(&store, 2, &after);

            assert_compares_both_ways(&store, (&older, &before), (&newer, &after));
        }
    }
}

#[test]
fn a_key_on_both_sides_of_a_passed_over_leaf_is_one_duplicate() {
    let store = MemoryStore::default();
    let twice: Rows = (0..2_000).map(|key| (key, vec![0, 1])).collect();
    let older = take(&store, 1, &twice);
    for (key, number) in (0..2_000).step_by(40).zip(2..) {
        let mut thrice = twice.clone();
        thrice.get_mut(&key).unwrap().push(2);

        let newer = take(&store, number, &thrice);

        let summary = block_on(summarize(&store, &older, &newer)).unwrap();
        assert_eq!((summary.added, summary.duplicate_keys), (1, 2_000), "a third row of key {key}");
    }
}

#[test]
fn a_snapshot_of_one_leaf_compares_with_one_of_many_levels() {
    let store = MemoryStore::default();
    let many = once(0..30_000);
    let whole = take(&store, 1, &many);
    for (number, keys) in
        [(2, vec![]), (3, vec![0]), (4, vec![29_999]), (5, vec![15_000, 40_000]), (6, (100..107).collect())]
    {
        let few = once(keys);

        let small = take(&store, number, &few);

        assert_eq!(height(&store, &small), 0);
        assert_compares_both_ways(&store, (&whole, &many), (&small, &few));
    }
}

#[test]
fn one_changed_attribute_adds_a_path_and_no_more() {
    let store = MemoryStore::default();
    let rows = once(0..30_000);
    take(&store, 1, &rows);
    let before = block_on(fabrik_core::stats(&store)).unwrap().chunks;
    let mut changed = rows;
    apply(&mut changed, &Edit::Change(12_345));

    let newer = take(&store, 2, &changed);

    let added = block_on(fabrik_core::stats(&store)).unwrap().chunks - before;
    assert_eq!(added, u64::from(height(&store, &newer)) + 1, "a leaf, and the branches above it");
}

#[test]
fn a_comparison_by_other_keys_counts_the_rows_that_it_passed_over() {
    let store = MemoryStore::default();
    let row = |i: u32, v: u32| format!(r#"{{"dn":"uni/tn-{i:05}","name":"n{}","v":{v}}}"#, i % 1_000);
    let older = capture(&store, 1, (0..5_000).map(|i| row(i, 0)));
    let newer = capture(&store, 2, (0..5_000).map(|i| row(i, u32::from(i % 1_000 == 17))));

    let by_name = DiffOptions::default().with_key(KeySpec::fields(["name"]).unwrap());
    let (changes, summary) = compare(&store, &older, &newer, by_name);

    assert_eq!((summary.changed, summary.unchanged, summary.duplicate_keys), (5, 4_995, 1));
    assert!(changes.iter().all(|change| json(change.row()).contains(r#""name":"n17""#)));
}
