//! Snapshots that hold different attributes are compared in what both have, and nothing else is a change.

use fabrik_core::store::MemoryStore;
use fabrik_core::{
    ComparedCoverage, Coverage, DiffOptions, DiffSummary, KeySpec, Lifecycle, Report, Snapshot, TimelineOptions,
    Verdict, compare as start, timeline, view, warnings,
};
use proptest::prelude::*;

use crate::helpers::{VecSource, block_on, compare, keyed, options, partial};
use crate::model::{self, Counts, Row, assert_same_changes, to_json};

const FULL: Coverage = Coverage::Full;
const CONFIG: Coverage = Coverage::ConfigOnly;

fn capture<S: AsRef<str>>(store: &MemoryStore, number: u32, coverage: Coverage, rows: &[S]) -> Snapshot {
    let mut source = VecSource::new(rows).with_coverage(coverage);
    block_on(fabrik_core::capture(store, &mut source, &options(number))).unwrap().snapshot
}

fn both_ways(store: &MemoryStore, one: &Snapshot, other: &Snapshot) -> [DiffSummary; 2] {
    [(one, other), (other, one)].map(|(before, after)| compare(store, before, after, DiffOptions::default()).1)
}

/// What a source may have left out: attributes, rows of a class, subtrees.
#[derive(Clone, Debug)]
struct Left {
    attributes: Vec<&'static str>,
    class: Option<&'static str>,
    subtrees: Option<Vec<&'static str>>,
}

fn left() -> impl Strategy<Value = Left> {
    let attributes = prop::sample::subsequence(vec!["a", "a.x", "b", "", "modTs", "ä", "className", "dn"], 0..5);
    let class = prop::option::of(prop::sample::select(vec!["fvBD", "fvTenant"]));
    let subtrees = prop::option::of(prop::sample::subsequence(vec!["uni/tn-1", "uni/tn-2", "ü", "uni/tn-0/"], 0..3));
    (attributes, class, subtrees).prop_map(|(attributes, class, subtrees)| Left { attributes, class, subtrees })
}

impl Left {
    fn take_out(&self, rows: &mut Vec<Row>) {
        rows.retain(|row| self.class.is_none_or(|class| model::class_name(row).as_deref() != Some(class)));
        rows.retain(|row| model::dn(row).is_none() || !self.may_lack(row));
        rows.iter_mut().for_each(|row| row.retain(|name, _| !self.attributes.contains(&name.as_str())));
    }

    fn may_lack(&self, row: &Row) -> bool {
        let Some(subtrees) = &self.subtrees else { return false };
        let is_in = |dn: &str, top: &str| format!("{dn}/").starts_with(&format!("{}/", top.trim_end_matches('/')));
        subtrees.is_empty() || model::dn(row).is_none_or(|dn| subtrees.iter().any(|top| is_in(&dn, top)))
    }

    fn verdict(&self) -> Verdict {
        self.subtrees.as_ref().map_or(Verdict::Complete, |subtrees| partial(subtrees))
    }
}

fn take(store: &MemoryStore, number: u32, key: &KeySpec, rows: &[Row], coverage: Coverage, left: &Left) -> Snapshot {
    let mut source = VecSource::new(to_json(rows)).with_coverage(coverage).with_verdict(left.verdict());
    block_on(fabrik_core::capture(store, &mut source, &keyed(number, key))).unwrap().snapshot
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn changes_between_coverages_are_those_of_the_model(
        (mut before, mut after) in model::two_versions(40),
        left in (left(), left()),
        coverages in prop::sample::subsequence(Coverage::ALL.to_vec(), 2).prop_shuffle(),
        stored in (model::key_spec(), model::key_spec(), any::<bool>()),
        asked in model::key_spec(),
    ) {
        left.0.take_out(&mut before);
        left.1.take_out(&mut after);
        // A side without rows leaves nothing out.
        prop_assume!(!before.is_empty() && !after.is_empty());
        let store = MemoryStore::default();
        let stored = [&stored.0, if stored.2 { &stored.0 } else { &stored.1 }];
        let older = take(&store, 1, stored[0], &before, coverages[0], &left.0);
        let newer = take(&store, 2, stored[1], &after, coverages[1], &left.1);
        let options = DiffOptions::default().with_key(asked.clone());

        let (changes, summary) = compare(&store, &older, &newer, options.clone());

        let sides = [&left.0, &left.1];
        let (pairs, counts) = model::compare_common(&before, &after, &asked, |side, row| sides[side].may_lack(row));
        assert_same_changes(&changes, &pairs, &asked);
        prop_assert_eq!(Counts::from(summary), counts);
        for change in &changes {
            let fields: Vec<String> = change.fields().map(|field| field.name.to_owned()).collect();
            if let (Some(before), Some(after)) = model::pair(change) {
                prop_assert_eq!(fields, model::differences_in_common(&before, &after));
            }
        }
        let counted = compare(&store, &older, &newer, options.with_summary_only()).1;
        prop_assert_eq!(counted, summary);
        let both = 2 * (summary.changed + summary.unchanged);
        let single = summary.added + summary.removed + summary.unkeyed + summary.unknown;
        prop_assert_eq!(both + single, older.row_count + newer.row_count);
    }

    #[test]
    fn swapping_the_sides_swaps_added_and_removed_between_coverages(
        (mut before, mut after) in model::two_versions(40),
        left in (left(), left()),
        coverages in prop::sample::subsequence(Coverage::ALL.to_vec(), 2).prop_shuffle(),
        stored in model::key_spec(),
        asked in model::key_spec(),
    ) {
        left.0.take_out(&mut before);
        left.1.take_out(&mut after);
        let store = MemoryStore::default();
        let older = take(&store, 1, &stored, &before, coverages[0], &left.0);
        let newer = take(&store, 2, &stored, &after, coverages[1], &left.1);
        let options = DiffOptions::default().with_key(asked.clone());

        let (there, forth) = compare(&store, &older, &newer, options.clone());
        let (back, backward) = compare(&store, &newer, &older, options);

        let swapped = Counts { added: forth.removed, removed: forth.added, ..Counts::from(forth) };
        prop_assert_eq!(Counts::from(backward), swapped);
        let mut back: Vec<_> = back.iter().map(model::pair).map(|(before, after)| (after, before)).collect();
        let mut there: Vec<_> = there.iter().map(model::pair).collect();
        back.sort();
        there.sort();
        prop_assert_eq!(there, back);
    }

    #[test]
    fn a_snapshot_differs_in_nothing_from_one_with_fewer_attributes_and_classes(
        rows in model::rows(40),
        attributes in prop::sample::subsequence(vec!["a", "a.x", "b", "", "modTs", "ä"], 0..7),
        class in prop::option::of(prop::sample::select(vec!["fvBD", "fvTenant"])),
    ) {
        let left = Left { attributes, class, subtrees: None };
        // Rows of one key pair up whatever their class, so one row each.
        let mut rows = rows;
        rows.sort_by_key(|row| model::key(row, &KeySpec::Auto));
        rows.dedup_by_key(|row| model::key(row, &KeySpec::Auto));
        let mut fewer = rows.clone();
        left.take_out(&mut fewer);
        // A side without rows leaves nothing out.
        prop_assume!(!fewer.is_empty());
        let store = MemoryStore::default();
        let full = take(&store, 1, &KeySpec::Auto, &rows, FULL, &left);
        let config = take(&store, 2, &KeySpec::Auto, &fewer, CONFIG, &left);

        for summary in both_ways(&store, &full, &config) {
            prop_assert!(summary.is_equal(), "{:?}", summary);
        }
    }

    #[test]
    fn equal_coverages_change_nothing((before, after) in model::two_versions(40), asked in model::key_spec()) {
        let nothing = Left { attributes: vec![], class: None, subtrees: None };
        let store = MemoryStore::default();
        let older = take(&store, 1, &KeySpec::Auto, &before, CONFIG, &nothing);
        let newer = take(&store, 2, &KeySpec::Auto, &after, CONFIG, &nothing);

        let (changes, summary) = compare(&store, &older, &newer, DiffOptions::default().with_key(asked.clone()));

        let (pairs, counts) = model::compare_all(&before, &after, &asked);
        assert_same_changes(&changes, &pairs, &asked);
        prop_assert_eq!(Counts::from(summary), counts);
    }
}

const BD: &str = r#"{"className":"fvBD","dn":"uni/tn-a/BD-x","mtu":"9000","pcTag":"16386"}"#;
const FAULT: &str = r#"{"className":"faultInst","dn":"uni/tn-a/BD-x/fault-F1","severity":"minor"}"#;

#[test]
fn an_attribute_that_one_side_does_not_hold_is_no_difference() {
    let store = MemoryStore::default();
    let full = capture(&store, 1, FULL, &[BD]);
    let config = capture(&store, 2, CONFIG, &[r#"{"className":"fvBD","dn":"uni/tn-a/BD-x","mtu":"1500","new":"x"}"#]);

    let (changes, summary) = compare(&store, &full, &config, DiffOptions::default());

    assert_eq!((summary.changed, summary.unchanged, summary.unknown), (1, 0, 0));
    assert_eq!(changes[0].fields().map(|field| field.name.to_owned()).collect::<Vec<_>>(), ["mtu"]);
}

#[test]
fn rows_of_a_class_that_the_other_side_has_none_of_are_unknown() {
    let store = MemoryStore::default();
    let gone = r#"{"className":"fvBD","dn":"uni/tn-a/BD-y","mtu":"9000"}"#;
    let full = capture(&store, 1, FULL, &[BD, FAULT, gone]);
    let config = capture(&store, 2, CONFIG, &[r#"{"className":"fvBD","dn":"uni/tn-a/BD-x","mtu":"9000"}"#]);

    let [forth, back] = both_ways(&store, &full, &config);

    assert_eq!((forth.removed, forth.unknown, forth.unchanged), (1, 1, 1));
    assert_eq!((back.added, back.unknown, back.unchanged), (1, 1, 1));
    let changes = config.changes.unwrap();
    assert_eq!((changes.added, changes.removed, changes.changed, changes.unchanged), (0, 1, 0, 1), "as at capture");
}

#[test]
fn rows_of_one_key_pair_up_by_what_both_sides_hold() {
    let store = MemoryStore::default();
    let row = |v: &str, operational: &str| format!(r#"{{"dn":"a","a":"{operational}","v":"{v}"}}"#);
    let full = capture(&store, 1, FULL, &[row("1", "z"), row("2", "y"), row("3", "x")]);
    let config =
        capture(&store, 2, CONFIG, &[r#"{"dn":"a","v":"1"}"#, r#"{"dn":"a","v":"2"}"#, r#"{"dn":"a","v":"4"}"#]);

    let (changes, summary) = compare(&store, &full, &config, DiffOptions::default());

    assert_eq!((summary.unchanged, summary.changed), (2, 1));
    let field = changes[0].fields().next().unwrap();
    assert_eq!((field.before.unwrap().to_string(), field.after.unwrap().to_string()), ("3".into(), "4".into()));
}

#[test]
fn a_row_known_by_all_its_columns_alone_is_never_added_or_removed() {
    let store = MemoryStore::default();
    let full = capture(&store, 1, FULL, &[r#"{"v":1,"w":2}"#, r#"{"v":3}"#]);
    let config = capture(&store, 2, CONFIG, &[r#"{"v":1}"#, r#"{"v":3}"#]);

    for summary in both_ways(&store, &full, &config) {
        assert_eq!((summary.unknown, summary.unchanged, summary.is_equal()), (2, 1, true));
    }
}

#[test]
fn a_comparison_says_what_it_could_compare() {
    let store = MemoryStore::default();
    let full = capture(&store, 1, FULL, &[BD]);
    let config = capture(&store, 2, CONFIG, &[BD]);
    let report = |before: &Snapshot, after: &Snapshot| -> serde_json::Value {
        let comparison = block_on(start(&store, before, after, DiffOptions::default())).unwrap();
        let mut out = Vec::new();
        block_on(Report::collect(comparison, before, after)).unwrap().write_json(&mut out).unwrap();
        serde_json::from_slice(&out).unwrap()
    };

    let differs = report(&full, &config);
    let same = report(&config, &config);

    assert_eq!(differs["coverage"], serde_json::json!({"older": "full", "newer": "config-only"}));
    let sentence = "compared only the attributes that both have: the older is full, the newer config-only";
    assert_eq!(differs["warnings"], serde_json::json!([sentence]));
    assert_eq!(same["coverage"], serde_json::json!({"older": "config-only", "newer": "config-only"}));
    assert!(warnings(&config, &config).is_empty() && !ComparedCoverage::of(&config, &config).differs());
    assert_eq!(serde_json::to_value(view::snapshot(&config)).unwrap()["coverage"], "config-only");
}

#[test]
fn a_side_without_rows_leaves_nothing_out() {
    let store = MemoryStore::default();
    let rows = [r#"{"className":"fvBD","dn":"uni/tn-a/BD-b","name":"b"}"#];
    let some = capture(&store, 1, CONFIG, &rows);
    let none = capture::<&str>(&store, 2, FULL, &[]);

    let [gone, come] = both_ways(&store, &some, &none);

    assert_eq!((gone.removed, gone.unknown, come.added, come.unknown), (1, 0, 1, 0));
    assert!(warnings(&some, &none).is_empty());
}

#[test]
fn what_a_coverage_never_shows_is_not_deleted_and_its_attributes_do_not_change() {
    let store = MemoryStore::default();
    let bare = r#"{"className":"fvBD","dn":"uni/tn-a/BD-x","mtu":"9000"}"#;
    let later = BD.replace("16386", "20000");
    capture(&store, 1, FULL, &[BD, FAULT]);
    capture(&store, 2, CONFIG, &[bare]);
    capture(&store, 3, FULL, &[later.as_str(), FAULT]);
    capture(&store, 4, CONFIG, &[r#"{"className":"fvBD","dn":"uni/tn-a/BD-y"}"#]);
    let follow = |dn: &str| block_on(timeline(&store, "q", dn, &TimelineOptions::default())).unwrap();

    let bd = follow("uni/tn-a/BD-x");
    let fault = follow("uni/tn-a/BD-x/fault-F1");

    let evolution = |name: &str| bd.attribute_evolution.iter().find(|one| one.attribute == name).unwrap();
    assert_eq!((evolution("pcTag").change_count, evolution("pcTag").values.len()), (1, 2));
    assert_eq!((evolution("mtu").change_count, evolution("mtu").values.len()), (0, 3));
    assert_eq!(bd.lifecycle.iter().map(|event| event.event).collect::<Vec<_>>(), [Lifecycle::Deleted]);
    assert_eq!(fault.lifecycle, []);
    assert_eq!(fault.points.iter().map(|point| point.unknown).collect::<Vec<_>>(), [false, true, false, true]);
}

#[test]
fn names_of_coverages_read_back_and_others_are_refused() {
    for coverage in Coverage::ALL {
        assert_eq!(coverage.to_string().parse::<Coverage>().unwrap(), coverage);
        assert_eq!(serde_json::from_str::<Coverage>(&serde_json::to_string(&coverage).unwrap()).unwrap(), coverage);
    }
    let error = "Full".parse::<Coverage>().unwrap_err().to_string();
    assert!(error.contains("\"Full\"") && error.contains("full, config-only or naming-only"), "{error}");
}
