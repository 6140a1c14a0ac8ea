//! What was not captured is unknown, never removed.

use fabrik_core::store::MemoryStore;
use fabrik_core::{
    ChangeKind, DiffOptions, DiffSummary, Lifecycle, Snapshot, TimelineOptions, Verdict, Window, heatmap,
    parse_timezone, timeline,
};

use crate::helpers::{VecSource, block_on, compare, options, partial};

fn capture(store: &MemoryStore, number: u32, rows: &[&str], verdict: Verdict) -> Snapshot {
    let mut source = VecSource::new(rows).with_verdict(verdict);
    block_on(fabrik_core::capture(store, &mut source, &options(number))).unwrap().snapshot
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

#[test]
fn what_is_missing_ends_at_the_boundaries_of_a_dn() {
    let lacks = |missing: &[&str], dn: &str| partial(missing).may_lack(Some(dn));

    assert!(["uni/tn-a", "uni/tn-a/BD-x", "uni/tn-a/"].iter().all(|dn| lacks(&["uni/tn-a"], dn)));
    assert!(["uni/tn-a", "uni/tn-a/BD-x"].iter().all(|dn| lacks(&["topology", "uni/tn-a/"], dn)));
    assert!(["uni/tn-ab", "uni/tn-", "uni", "", "x/uni/tn-a"].iter().all(|dn| !lacks(&["uni/tn-a"], dn)));
    assert!(["uni/tn-a", "topology", ""].iter().all(|dn| lacks(&[""], dn) && lacks(&[], dn)));
    assert!(partial(&["uni/tn-a"]).may_lack(None), "nobody knows where a row without a DN belongs");
    assert!(!Verdict::Complete.may_lack(Some("uni/tn-a")) && !Verdict::Complete.may_lack(None));
}

#[test]
fn a_neighbour_of_what_is_missing_is_removed_and_not_unknown() {
    let store = MemoryStore::default();
    let more = capture(&store, 1, &[r#"{"dn":"uni/tn-a"}"#, r#"{"dn":"uni/tn-ab"}"#], Verdict::Complete);
    let less = capture(&store, 2, &[], partial(&["uni/tn-a"]));

    let (_, forth) = compare(&store, &more, &less, DiffOptions::default());
    let (_, back) = compare(&store, &less, &more, DiffOptions::default());

    assert_eq!((forth.removed, forth.unknown), (1, 1));
    assert_eq!((back.added, back.unknown), (1, 1));
}

#[test]
fn a_key_that_a_partial_snapshot_may_have_missed_was_not_deleted() {
    let store = MemoryStore::default();
    let rows = [r#"{"dn":"uni/tn-a"}"#, r#"{"dn":"uni/tn-ab"}"#];
    capture(&store, 1, &rows, Verdict::Complete);
    let less = capture(&store, 2, &[], partial(&["uni/tn-a"]));
    capture(&store, 3, &rows, Verdict::Complete);
    let follow = |dn: &str| block_on(timeline(&store, "q", dn, &TimelineOptions::default())).unwrap();

    let missed = follow("uni/tn-a");
    let deleted = follow("uni/tn-ab");

    assert_eq!(
        missed.points.iter().map(|point| (point.present, point.unknown)).collect::<Vec<_>>(),
        [(true, false), (false, true), (true, false)]
    );
    assert_eq!(missed.lifecycle, []);
    let events = deleted.lifecycle.iter().map(|event| event.event);
    assert_eq!(events.collect::<Vec<_>>(), [Lifecycle::Deleted, Lifecycle::Recreated]);
    assert_eq!(deleted.lifecycle[0].snapshot_id, less.id);
    let json = serde_json::to_value(&missed).unwrap();
    assert_eq!((&json["points"][1]["unknown"], json["points"][0].get("unknown")), (&true.into(), None));
}

#[test]
fn a_partial_snapshot_is_no_change_in_the_heatmap() {
    let store = MemoryStore::default();
    for (number, rows, verdict) in
        [(1, &MORE[..], Verdict::Complete), (2, &MORE[..1], partial(&[])), (3, &MORE[..], Verdict::Complete)]
    {
        capture(&store, number, rows, verdict);
    }
    let zone = parse_timezone("UTC").unwrap();

    let found = block_on(heatmap(&store, "q", None, &Window::default(), zone, crate::helpers::day(0))).unwrap();

    let today = found.days.last().unwrap();
    assert_eq!((today.snapshot_count, today.has_changes), (3, 0));
    assert!(today.change_score.abs() < f64::EPSILON);
}
