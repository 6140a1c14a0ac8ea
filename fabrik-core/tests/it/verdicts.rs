//! What was not captured is unknown, never removed.

use fabrik_core::store::MemoryStore;
use fabrik_core::{ChangeKind, DiffOptions, DiffSummary, Snapshot, Verdict};

use crate::helpers::{VecSource, block_on, compare, options};

fn capture(store: &MemoryStore, number: u32, rows: &[&str], verdict: Verdict) -> Snapshot {
    let mut source = VecSource::new(rows).with_verdict(verdict);
    block_on(fabrik_core::capture(store, &mut source, &options(number))).unwrap().snapshot
}

fn partial(missing: &[&str]) -> Verdict {
    // The variant may grow, so it is made from its JSON form.
    let missing: Vec<String> = missing.iter().map(|prefix| (*prefix).to_owned()).collect();
    serde_json::from_value(serde_json::json!({"status": "partial", "reason": "a shard is down", "missing": missing}))
        .unwrap()
}

const MORE: [&str; 4] =
    [r#"{"dn":"uni/tn-a"}"#, r#"{"dn":"uni/tn-b","x":1}"#, r#"{"dn":"topology/pod-1"}"#, r#"{"x":1}"#];
const LESS: [&str; 1] = [r#"{"dn":"uni/tn-b","x":2}"#];

fn both_ways(store: &MemoryStore, more: &Snapshot, less: &Snapshot) -> [DiffSummary; 2] {
    [(more, less), (less, more)].map(|(before, after)| {
        let (changes, summary) = compare(store, before, after, DiffOptions::default());
        let of = |kind| changes.iter().filter(|change| change.kind == kind).count() as u64;
        assert_eq!((summary.added, summary.removed), (of(ChangeKind::Added), of(ChangeKind::Removed)));
        let counted = block_on(fabrik_core::summarize(store, before, after)).unwrap();
        assert_eq!(counted, summary, "counting alone sees the verdict too");
        assert_eq!(2 * (summary.changed + summary.unchanged) + summary.added + summary.removed + summary.unknown, 5);
        summary
    })
}

#[test]
fn rows_that_a_partial_snapshot_lacks_are_unknown() {
    let store = MemoryStore::default();
    let more = capture(&store, 1, &MORE, Verdict::Complete);
    let less = capture(&store, 2, &LESS, partial(&[]));

    for summary in both_ways(&store, &more, &less) {
        assert_eq!((summary.removed, summary.added, summary.unknown, summary.changed), (0, 0, 3, 1));
        assert!(!summary.is_equal());
    }
}

#[test]
fn only_rows_below_what_is_missing_are_unknown_and_those_without_a_dn() {
    let store = MemoryStore::default();
    let more = capture(&store, 1, &MORE, Verdict::Complete);
    let less = capture(&store, 2, &LESS, partial(&["uni/"]));

    let [forth, back] = both_ways(&store, &more, &less);

    assert_eq!((forth.removed, forth.unknown), (1, 2));
    assert_eq!((back.added, back.unknown), (1, 2));
}

#[test]
fn rows_beyond_those_of_a_complete_snapshot_are_added_though_they_are_part() {
    let store = MemoryStore::default();
    let more = capture(&store, 1, &MORE, partial(&[]));
    let less = capture(&store, 2, &LESS, Verdict::Complete);

    let [forth, back] = both_ways(&store, &more, &less);

    assert_eq!((forth.removed, forth.unknown), (3, 0), "the complete one would have them");
    assert_eq!((back.added, back.unknown), (3, 0));
}

#[test]
fn a_capture_after_a_partial_one_counts_no_row_as_added_that_may_have_been_there() {
    let store = MemoryStore::default();
    capture(&store, 1, &LESS, partial(&[]));
    let more = capture(&store, 2, &MORE, Verdict::Complete);

    let changes = more.changes.unwrap();

    assert_eq!((changes.added, changes.changed), (0, 1));
}

#[test]
fn an_unstable_snapshot_compares_like_a_complete_one_and_warns() {
    let store = MemoryStore::default();
    let unstable = serde_json::from_str(r#"{"status":"unstable","rows_before":4,"rows_after":5}"#).unwrap();
    let more = capture(&store, 1, &MORE, Verdict::Complete);
    let less = capture(&store, 2, &LESS, unstable);

    let [forth, _] = both_ways(&store, &more, &less);

    assert_eq!((forth.removed, forth.unknown), (3, 0));
    let expected = "the newer snapshot is unstable: the controller counted 4 rows before and 5 after";
    assert_eq!(fabrik_core::warnings(&more, &less), [expected]);
}
