//! Comparisons are those of two multisets of rows, whatever the trees look like.

use fabrik_core::store::MemoryStore;
use fabrik_core::{ChangeKind, DiffOptions, KeySpec, Report, Snapshot, Value};
use proptest::prelude::*;

use crate::helpers::{block_on, capture, capture_with, compare, json, keyed, stores};
use crate::model::{self, Counts, Row, assert_same_changes, sorted, to_json};

fn by(key: &KeySpec) -> DiffOptions {
    DiffOptions::default().with_key(key.clone())
}

fn take_two(store: &MemoryStore, keys: [&KeySpec; 2], before: &[Row], after: &[Row]) -> [Snapshot; 2] {
    let older = capture_with(store, &keyed(1, keys[0]), to_json(before)).snapshot;
    [older, capture_with(store, &keyed(2, keys[1]), to_json(after)).snapshot]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn changes_are_those_of_the_model(
        (before, after) in model::two_versions(40),
        stored in model::key_spec(),
        asked in model::key_spec(),
    ) {
        let store = MemoryStore::default();
        let [older, newer] = take_two(&store, [&stored, &stored], &before, &after);

        for key in [&stored, &asked] {
            let (changes, summary) = compare(&store, &older, &newer, by(key));

            let (pairs, counts) = model::compare_all(&before, &after, key);
            assert_same_changes(&changes, &pairs, key);
            prop_assert_eq!(Counts::from(summary), counts);
            if *key == stored {
                prop_assert_eq!(summary.duplicate_keys, model::duplicate_keys(&before, &after, key));
            }
        }
    }

    #[test]
    fn snapshots_sorted_by_different_keys_compare_alike(
        (before, after) in model::two_versions(40),
        stored in (model::key_spec(), model::key_spec()),
        asked in model::key_spec(),
    ) {
        let store = MemoryStore::default();
        let [older, newer] = take_two(&store, [&stored.0, &stored.1], &before, &after);

        let (changes, summary) = compare(&store, &older, &newer, by(&asked));

        let (pairs, counts) = model::compare_all(&before, &after, &asked);
        assert_same_changes(&changes, &pairs, &asked);
        prop_assert_eq!(Counts::from(summary), counts);
    }

    #[test]
    fn every_row_is_counted_once(
        (before, after) in model::two_versions(40),
        stored in model::key_spec(),
        asked in model::key_spec(),
    ) {
        let store = MemoryStore::default();
        let [older, newer] = take_two(&store, [&stored, &stored], &before, &after);

        let (_, found) = compare(&store, &older, &newer, by(&asked));

        let both = 2 * (found.changed + found.unchanged);
        prop_assert_eq!(both + found.added + found.removed + found.unkeyed, older.row_count + newer.row_count);
    }

    #[test]
    fn a_snapshot_does_not_differ_from_itself(
        rows in model::rows(40),
        stored in model::key_spec(),
        asked in model::key_spec(),
    ) {
        let store = MemoryStore::default();
        let [older, newer] = take_two(&store, [&stored, &asked], &rows, &rows);

        for other in [&older, &newer] {
            let (changes, summary) = compare(&store, &older, other, by(&asked));

            prop_assert!(changes.is_empty() && summary.is_equal());
            prop_assert_eq!(summary.unchanged, rows.len() as u64);
        }
    }

    #[test]
    fn swapping_the_sides_swaps_added_and_removed(
        (before, after) in model::two_versions(40),
        stored in model::key_spec(),
        asked in model::key_spec(),
    ) {
        let store = MemoryStore::default();
        let [older, newer] = take_two(&store, [&stored, &stored], &before, &after);

        let (there, forth) = compare(&store, &older, &newer, by(&asked));
        let (back, backward) = compare(&store, &newer, &older, by(&asked));

        let swapped = Counts { added: forth.removed, removed: forth.added, ..Counts::from(forth) };
        prop_assert_eq!(Counts::from(backward), swapped);
        prop_assert_eq!(backward.duplicate_keys, forth.duplicate_keys);
        let mut back: Vec<_> = back.iter().map(model::pair).map(|(before, after)| (after, before)).collect();
        let mut there: Vec<_> = there.iter().map(model::pair).collect();
        back.sort();
        there.sort();
        prop_assert_eq!(there, back);
    }

    #[test]
    fn applying_the_changes_to_before_gives_after(
        (before, after) in model::two_versions(40),
        stored in model::key_spec(),
        asked in model::key_spec(),
    ) {
        prop_assume!(asked != KeySpec::Dn, "rows without a DN are not among the changes then");
        let store = MemoryStore::default();
        let [older, newer] = take_two(&store, [&stored, &stored], &before, &after);

        let (changes, _) = compare(&store, &older, &newer, by(&asked));

        let mut rows = before;
        for change in &changes {
            let (gone, come) = model::pair(change);
            if let Some(gone) = gone {
                let at = rows.iter().position(|row| *row == gone).expect("what is gone was there");
                rows.swap_remove(at);
            }
            rows.extend(come);
        }
        prop_assert_eq!(sorted(to_json(&rows)), sorted(to_json(&after)));
    }

    #[test]
    fn counting_alone_gives_the_same_counts(
        (before, after) in model::two_versions(40),
        stored in model::key_spec(),
        asked in model::key_spec(),
    ) {
        let store = MemoryStore::default();
        let [older, newer] = take_two(&store, [&stored, &stored], &before, &after);
        let (_, full) = compare(&store, &older, &newer, by(&asked));

        let (changes, summary) = compare(&store, &older, &newer, by(&asked).with_summary_only());

        prop_assert!(changes.is_empty());
        prop_assert_eq!(summary, full);
        let default = block_on(fabrik_core::summarize(&store, &older, &newer)).unwrap();
        prop_assert_eq!(default, compare(&store, &older, &newer, DiffOptions::default()).1);
    }

    #[test]
    fn the_fields_of_a_change_are_the_attributes_that_differ((before, after) in model::two_versions(40)) {
        let store = MemoryStore::default();
        let [older, newer] = take_two(&store, [&KeySpec::Auto; 2], &before, &after);

        for change in compare(&store, &older, &newer, DiffOptions::default()).0 {
            let found: Vec<(String, Option<String>, Option<String>)> = change
                .fields()
                .map(|field| {
                    let text = |value: Option<Value<'_>>| value.map(|value| serde_json::to_string(&value).unwrap());
                    (field.name.to_owned(), text(field.before), text(field.after))
                })
                .collect();

            let expected: Vec<_> = match model::pair(&change) {
                (Some(before), Some(after)) => (model::differences(&before, &after).into_iter())
                    .map(|name| (name.clone(), before.get(&name).cloned(), after.get(&name).cloned()))
                    .collect(),
                _ => vec![],
            };
            prop_assert_eq!(found, expected);
        }
    }

    #[test]
    fn little_memory_and_a_folder_give_the_same_result(
        (before, after) in model::two_versions(40),
        asked in model::key_spec(),
    ) {
        let store = MemoryStore::default();
        let [older, newer] = take_two(&store, [&KeySpec::Auto, &KeySpec::Hash], &before, &after);
        let folder = tempfile::tempdir().unwrap();
        let mut tight = by(&asked).with_spill_dir(folder.path());
        tight.memory_bytes = 1;

        let (changes, summary) = compare(&store, &older, &newer, tight);

        let (expected, counts) = compare(&store, &older, &newer, by(&asked));
        let pairs = |changes: &[fabrik_core::Change]| changes.iter().map(model::pair).collect::<Vec<_>>();
        prop_assert_eq!(pairs(&changes), pairs(&expected));
        prop_assert_eq!(summary, counts);
    }
}

#[test]
fn equal_rows_cancel_before_others_pair_up() {
    let store = MemoryStore::default();
    let row = |v: u32| format!(r#"{{"dn":"a","v":{v}}}"#);
    let older = capture(&store, 1, [row(1), row(2), row(2), row(3)]);
    let newer = capture(&store, 2, [row(2), row(5), row(4)]);

    let (changes, summary) = compare(&store, &older, &newer, DiffOptions::default());

    let shown: Vec<String> = changes
        .iter()
        .map(|change| {
            let side = |row: &Option<fabrik_core::Row>| {
                row.as_ref().map_or("-".into(), |row| row.as_ref().get("v").unwrap().to_string())
            };
            format!("{:?} {} {}", change.kind, side(&change.before), side(&change.after))
        })
        .collect();
    assert_eq!(shown, ["Changed 1 4", "Changed 2 5", "Removed 3 -"]);
    assert_eq!((summary.unchanged, summary.changed, summary.removed, summary.duplicate_keys), (1, 2, 1, 1));
}

#[test]
fn three_equal_rows_against_two_are_one_removed_and_two_unchanged() {
    for (stored, asked) in
        [(KeySpec::Hash, KeySpec::Hash), (KeySpec::Auto, KeySpec::Auto), (KeySpec::Auto, KeySpec::Hash)]
    {
        let store = MemoryStore::default();
        let older = capture_with(&store, &keyed(1, &stored), ["{\"v\":1}"; 3]).snapshot;
        let newer = capture_with(&store, &keyed(2, &stored), ["{\"v\":1}"; 2]).snapshot;

        let (changes, summary) = compare(&store, &older, &newer, by(&asked));

        assert_eq!((changes.len(), summary.removed, summary.unchanged), (1, 1, 2));
        assert_eq!(changes[0].kind, ChangeKind::Removed);
    }
}

#[test]
fn rows_without_a_dn_are_unkeyed_only_under_the_key_dn() {
    let store = MemoryStore::default();
    let older = capture(&store, 1, [r#"{"v":1}"#, r#"{"v":2}"#, r#"{"dn":"","v":3}"#, r#"{"dn":"a"}"#]);
    let newer = capture(&store, 2, [r#"{"v":1}"#, r#"{"v":9}"#, r#"{"dn":7,"v":3}"#, r#"{"dn":"a"}"#]);

    let (changes, by_dn) = compare(&store, &older, &newer, by(&KeySpec::Dn));
    let (_, auto) = compare(&store, &older, &newer, by(&KeySpec::Auto));

    assert!(changes.is_empty());
    assert_eq!((by_dn.unkeyed, by_dn.unchanged, by_dn.added, by_dn.removed), (4, 2, 0, 0));
    assert_eq!((auto.unkeyed, auto.unchanged, auto.added, auto.removed), (0, 2, 2, 2));
}

#[test]
fn an_exact_column_wins_over_a_path_and_an_exact_member_over_a_deeper_one() {
    let store = MemoryStore::default();
    let older = capture(
        &store,
        1,
        [r#"{"a":{"b":{"c":"deep"},"b.c":"exact"},"v":1}"#, r#"{"x.y":"exact","x":{"y":"deep"},"v":1}"#],
    );
    let newer = capture(&store, 2, [r#"{"a":{"b.c":"exact"},"v":1}"#, r#"{"x.y":"exact","v":1}"#]);

    let (changes, summary) = compare(&store, &older, &newer, by(&KeySpec::fields(["a.b.c", "x.y"]).unwrap()));

    assert_eq!((summary.changed, summary.added, summary.removed), (2, 0, 0));
    let mut keys = Vec::new();
    changes.iter().for_each(|change| change.for_each_key_column(|name, value| keys.push(format!("{name}={value}"))));
    keys.sort();
    assert_eq!(keys, ["a.b.c=exact", "a.b.c=null", "x.y=exact", "x.y=null"]);
}

#[test]
fn changes_to_many_key_fields_keep_their_texts_apart() {
    let store = MemoryStore::default();
    let key = KeySpec::fields(["a", "b"]).unwrap();
    let texts = ["", "\\u0000", "\\u0000\\u0000", "x", "x\\u0000", "\\u00ff"];
    let rows: Vec<String> = (texts.iter())
        .flat_map(|a| texts.map(|b| format!(r#"{{"a":"{a}","b":"{b}"}}"#)))
        .chain([r#"{"a":"1"}"#, r#"{"a":1}"#, r#"{"a":null}"#, "{}", r#"{"b":null}"#].map(str::to_owned))
        .collect();

    let snapshot = capture_with(&store, &keyed(1, &key), &rows).snapshot;

    assert_eq!(snapshot.row_count, 41);
    assert_eq!(snapshot.duplicate_keys, 1, "an absent column is taken for null in a key, and so nothing else");
}

#[test]
fn a_report_has_the_shape_of_the_interface() {
    for store in stores() {
        let older = capture(&*store, 1, [r#"{"dn":"a","x":1,"y":"p"}"#, r#"{"dn":"b"}"#, r#"{"dn":"d","n":1.0}"#]);
        let newer =
            capture(&*store, 2, [r#"{"dn":"a","x":1.0,"z":null}"#, r#"{"dn":"c","x":1.50}"#, r#"{"dn":"d","n":1.0}"#]);
        let report = |options: DiffOptions| {
            block_on(async {
                let comparison = fabrik_core::compare(&*store, &older, &newer, options).await.unwrap();
                let mut out = Vec::new();
                Report::collect(comparison, &older, &newer).await.unwrap().write_json(&mut out).unwrap();
                String::from_utf8(out).unwrap()
            })
        };

        let text = report(DiffOptions::default());

        let tail = &text[text.find("\"summary\"").unwrap()..];
        assert_eq!(
            tail,
            concat!(
                r#""summary":{"added":1,"removed":1,"changed":1,"unchanged":1,"#,
                r#""duplicate_keys":0,"hidden":0,"unkeyed":0,"unknown":0},"#,
                r#""added":[{"dn":"c","x":1.50}],"removed":[{"dn":"b"}],"changed":[{"key":{"dn":"a"},"fields":{"#,
                r#""x":{"before":1,"after":1.0},"y":{"before":"p","after":null,"missing":"after"},"#,
                r#""z":{"before":null,"after":null,"missing":"before"}}}]}"#,
                "\n"
            )
        );
        let document: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(document["snapshot_a"]["id"], older.id.to_string());
        assert_eq!((&document["identical"], &document["key"]), (&false.into(), &"auto".into()));
        let only_counts: serde_json::Value =
            serde_json::from_str(&report(DiffOptions::default().with_summary_only())).unwrap();
        assert_eq!(only_counts["summary"], document["summary"]);
        assert!(only_counts.get("added").is_none());
    }
}

#[test]
fn a_summary_of_equal_snapshots_reads_nothing_below_their_roots() {
    let store = fabrik_core::store::FaultyStore::new(MemoryStore::default());
    let rows: Vec<String> = (0..5_000).map(|i| format!(r#"{{"dn":"uni/tn-{i}"}}"#)).collect();
    let older = capture(&store, 1, &rows);
    let newer = capture(&store, 2, &rows);
    store.fail_at(2);

    let summary = block_on(fabrik_core::summarize(&store, &older, &newer)).unwrap();

    assert_eq!((summary.unchanged, summary.is_equal()), (5_000, true));
}

#[test]
fn warnings_say_what_makes_two_snapshots_hard_to_compare() {
    let store = MemoryStore::default();
    let older = capture(&store, 1, ["{}"]);
    let mut options = keyed(2, &KeySpec::Hash);
    (options.query, options.connection) = ("r".into(), Some("east".into()));
    let newer = capture_with(&store, &options, ["{}"]).snapshot;

    assert_eq!(
        fabrik_core::warnings(&older, &newer),
        [
            "the snapshots are of different queries: \"q\" and \"r\"",
            "the snapshots are of different connections: none and \"east\"",
            "the snapshots are sorted by different keys: auto and hash",
        ]
    );
    assert!(fabrik_core::warnings(&older, &older).is_empty());
    assert_eq!(
        json(
            block_on(fabrik_core::rows(&store, &older))
                .map(|mut rows| block_on(rows.next_batch()).unwrap().remove(0))
                .unwrap()
                .as_ref()
        ),
        "{}"
    );
}
