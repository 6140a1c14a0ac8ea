//! Timelines are those of looking the key up in every snapshot.

use std::collections::BTreeMap;

use fabrik_core::store::MemoryStore;
use fabrik_core::{ErrorKind, Lifecycle, Timeline, TimelineOptions, TimelineValue, timeline};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::helpers::{block_on, capture, capture_with, json as json_of, keyed, minute, options, stores};
use crate::model::{self, Row, to_json};

fn follow(store: &MemoryStore, dn: &str, options: &TimelineOptions) -> Timeline {
    block_on(timeline(store, "q", dn, options)).unwrap()
}

/// The attributes of a DN in each snapshot, as the model finds them: the first row in content order, and how many.
fn lookups(versions: &[Vec<Row>], dn: &str) -> Vec<Option<(Row, usize)>> {
    let of_version = |rows: &Vec<Row>| {
        let mut found: Vec<&Row> = rows.iter().filter(|row| model::dn(row).as_deref() == Some(dn)).collect();
        found.sort_by_key(|row| model::content(row));
        found.first().map(|row| ((*row).clone(), found.len()))
    };
    versions.iter().map(of_version).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn points_and_evolution_are_those_of_naive_lookups(
        versions in prop::collection::vec(model::rows(30), 1..7),
        dn in prop::sample::select(vec!["uni/tn-0", "uni/tn-1", "uni/tn-11", "uni", "ü", "absent", ""]),
        limit in 1..8_u64,
        from in prop::option::of(0..7_u32),
        to in prop::option::of(0..8_u32),
    ) {
        prop_assume!(from.zip(to).is_none_or(|(from, to)| from <= to));
        let store = MemoryStore::default();
        for (rows, number) in versions.iter().zip(1..) {
            capture(&store, number, to_json(rows));
        }
        let options = TimelineOptions::default().with_limit(limit).with_range(from.map(minute), to.map(minute));

        let found = follow(&store, dn, &options);

        let mut considered: Vec<(u32, Option<(Row, usize)>)> = (1..).zip(lookups(&versions, dn))
            .filter(|(number, _)| from.is_none_or(|from| *number >= from) && to.is_none_or(|to| *number <= to))
            .collect();
        let limit = usize::try_from(limit).unwrap();
        considered.drain(..considered.len().saturating_sub(limit));
        prop_assert_eq!(found.snapshot_count, considered.len());
        prop_assert_eq!(found.points.len(), considered.len());
        for (point, (number, row)) in found.points.iter().zip(&considered) {
            prop_assert_eq!(point.executed_at, minute(*number));
            prop_assert_eq!(point.present, row.is_some());
            prop_assert_eq!(point.rows, row.as_ref().map_or(0, |(_, rows)| *rows));
            let shown = point.attributes.as_ref().map(|row| json_of(row.as_ref()));
            prop_assert_eq!(shown, row.as_ref().map(|(row, _)| model::json(row)));
        }
        let present: Vec<(u32, &Row)> =
            considered.iter().filter_map(|(number, row)| Some((*number, &row.as_ref()?.0))).collect();
        let mut evolution: BTreeMap<&String, Vec<(u32, Option<&String>)>> = BTreeMap::new();
        for name in present.iter().flat_map(|(_, row)| row.keys()) {
            evolution.insert(name, present.iter().map(|(number, row)| (*number, row.get(name))).collect());
        }
        let names: Vec<String> = evolution.keys().map(|name| (*name).clone()).collect();
        prop_assert_eq!(&found.tracked_attributes, &names);
        let changes =
            |values: &[(u32, Option<&String>)]| values.windows(2).filter(|pair| pair[0].1 != pair[1].1).count();
        let mut expected: Vec<_> = evolution.into_iter().collect();
        expected.sort_by_key(|(name, values)| (std::cmp::Reverse(changes(values)), (*name).clone()));
        for (attribute, (name, values)) in found.attribute_evolution.iter().zip(&expected) {
            let text = |value: &TimelineValue| value.get().map(|value| serde_json::to_string(&value).unwrap());
            prop_assert_eq!(&&attribute.attribute, name);
            prop_assert_eq!(attribute.change_count, changes(values));
            prop_assert_eq!(attribute.is_stable, changes(values) == 0);
            let shown: Vec<_> = attribute.values.iter().map(|point| (point.executed_at, text(&point.value))).collect();
            let wanted: Vec<_> = values.iter().map(|(number, value)| (minute(*number), value.cloned())).collect();
            prop_assert_eq!(shown, wanted);
            let flagged: Vec<bool> = attribute.values.iter().map(|point| point.changed).collect();
            let expected: Vec<bool> = (0..values.len()).map(|i| i > 0 && values[i - 1].1 != values[i].1).collect();
            prop_assert_eq!(flagged, expected);
            let mut distinct: Vec<String> = Vec::new();
            for value in values.iter().filter_map(|(_, value)| value.cloned()) {
                if !distinct.contains(&value) {
                    distinct.push(value);
                }
            }
            prop_assert_eq!(attribute.distinct_values.iter().filter_map(text).collect::<Vec<_>>(), distinct);
        }
        prop_assert_eq!(found.attribute_evolution.len(), expected.len());
    }
}

#[test]
fn a_timeline_has_the_shape_of_the_interface() {
    for store in stores() {
        let row = |flood: &str| format!(r#"{{"dn":"uni/tn-blue/BD-app","arpFlood":"{flood}"}}"#);
        capture(&*store, 1, [row("no")]);
        capture(&*store, 2, [r#"{"dn":"other"}"#]);
        capture(&*store, 3, [row("yes")]);

        let found = block_on(timeline(&*store, "q", "uni/tn-blue/BD-app", &TimelineOptions::default())).unwrap();

        let id = |number: u32| crate::helpers::id(u128::from(number)).to_string();
        let at = |number: u32| format!("2026-03-01T00:0{number}:00+00:00");
        let dn = "uni/tn-blue/BD-app";
        let point = |number: u32, present: bool, attributes: Value| {
            let (id, at) = (id(number), at(number));
            json!({"snapshot_id": id, "executed_at": at, "present": present, "attributes": attributes})
        };
        let value = |number: u32, value: &str, changed: bool| {
            let (id, at) = (id(number), at(number));
            json!({"executed_at": at, "snapshot_id": id, "value": value, "changed": changed})
        };
        let expected: Value = json!({
            "dn": dn,
            "saved_query_id": 1,
            "snapshot_count": 3,
            "points": [
                point(1, true, json!({"dn": dn, "arpFlood": "no"})),
                point(2, false, json!({})),
                point(3, true, json!({"dn": dn, "arpFlood": "yes"})),
            ],
            "attribute_evolution": [
                {
                    "attribute": "arpFlood",
                    "change_count": 1,
                    "is_stable": false,
                    "distinct_values": ["no", "yes"],
                    "values": [value(1, "no", false), value(3, "yes", true)],
                },
                {
                    "attribute": "dn",
                    "change_count": 0,
                    "is_stable": true,
                    "distinct_values": [dn],
                    "values": [value(1, dn, false), value(3, dn, false)],
                },
            ],
            "tracked_attributes": ["arpFlood", "dn"],
            "lifecycle": [
                {"event": "deleted", "snapshot_id": id(2), "executed_at": at(2)},
                {"event": "recreated", "snapshot_id": id(3), "executed_at": at(3)},
            ],
        });
        assert_eq!(serde_json::to_value(&found).unwrap(), expected);
    }
}

#[test]
fn what_comes_and_goes_is_told_in_order() {
    let store = MemoryStore::default();
    for (present, number) in [false, true, true, false, false, true, false].into_iter().zip(1..) {
        capture(&store, number, if present { vec![r#"{"dn":"a"}"#] } else { vec![] });
    }

    let found = follow(&store, "a", &TimelineOptions::default());

    let events: Vec<(Lifecycle, _)> = found.lifecycle.iter().map(|event| (event.event, event.executed_at)).collect();
    use Lifecycle::{Created, Deleted, Recreated};
    assert_eq!(events, [(Created, minute(2)), (Deleted, minute(4)), (Recreated, minute(6)), (Deleted, minute(7))]);
}

#[test]
fn an_attribute_that_comes_counts_as_a_change_and_null_is_a_value() {
    let store = MemoryStore::default();
    for (row, number) in
        [r#"{"dn":"a"}"#, r#"{"dn":"a","x":null}"#, r#"{"dn":"a","x":1}"#, r#"{"dn":"a","x":1.0}"#].into_iter().zip(1..)
    {
        capture(&store, number, [row]);
    }

    let found = serde_json::to_value(follow(&store, "a", &TimelineOptions::default())).unwrap();

    let x = &found["attribute_evolution"][0];
    assert_eq!((&x["attribute"], &x["change_count"]), (&json!("x"), &json!(3)));
    assert_eq!(serde_json::to_string(&x["distinct_values"]).unwrap(), "[null,1,1.0]");
}

#[test]
fn all_rows_of_a_key_are_counted_however_many_leaves_they_fill() {
    let store = MemoryStore::default();
    let filler = |i: u32| format!(r#"{{"dn":"uni/tn-{i:04}"}}"#);
    let same = vec![r#"{"dn":"uni/tn-0500/same"}"#.to_owned(); 700];
    let different = (0..700).map(|i| format!(r#"{{"dn":"uni/tn-0700/different","i":"{i:03}"}}"#));
    capture(&store, 1, (0..1_000).map(filler).chain(same).chain(different));

    let same = follow(&store, "uni/tn-0500/same", &TimelineOptions::default());
    let different = follow(&store, "uni/tn-0700/different", &TimelineOptions::default());

    assert_eq!((same.points[0].rows, different.points[0].rows), (700, 700));
    assert_eq!(different.points[0].attributes.as_ref().unwrap().as_ref().get("i").unwrap().to_string(), "000");
    assert_eq!(serde_json::to_value(&same).unwrap()["points"][0]["rows"], 700);
}

#[test]
fn limits_ranges_and_keys_that_make_no_sense_are_refused() {
    let store = MemoryStore::default();
    capture_with(&store, &keyed(1, &fabrik_core::KeySpec::Hash), [r#"{"dn":"a"}"#]);
    let refused = |options: TimelineOptions| block_on(timeline(&store, "q", "a", &options)).unwrap_err();

    assert_eq!(refused(TimelineOptions::default().with_limit(0)).kind(), ErrorKind::InvalidInput);
    let backwards = refused(TimelineOptions::default().with_range(Some(minute(2)), Some(minute(1))));
    assert!(backwards.to_string().starts_with("from_date"), "{backwards}");
    assert_eq!(refused(TimelineOptions::default()).kind(), ErrorKind::InvalidInput, "sorted by hash, not by DN");
    assert_eq!(
        block_on(timeline(&store, "r", "a", &TimelineOptions::default())).unwrap_err().kind(),
        ErrorKind::NotFound
    );
}

#[test]
fn a_limit_over_a_hundred_is_a_hundred() {
    let store = MemoryStore::default();
    for number in 1..=103 {
        capture(&store, number, [r#"{"dn":"a"}"#]);
    }

    let many = follow(&store, "a", &TimelineOptions::default().with_limit(5_000));
    let usual = follow(&store, "a", &TimelineOptions::default());

    assert_eq!((many.snapshot_count, usual.snapshot_count), (100, 20));
    assert_eq!((many.points[0].executed_at, usual.points[19].executed_at), (minute(4), minute(103)));
}

#[test]
fn one_connection_is_followed_at_a_time() {
    let store = MemoryStore::default();
    for (number, connection) in [(1, "east"), (2, "west"), (3, "east")] {
        let mut options = options(number);
        options.connection = Some(connection.into());
        capture_with(&store, &options, [r#"{"dn":"a"}"#]);
    }

    let east = follow(&store, "a", &TimelineOptions::default().with_connection(Some("east".into())));

    assert_eq!(east.snapshot_count, 2);
    let ambiguous = block_on(timeline(&store, "q", "a", &TimelineOptions::default())).unwrap_err();
    assert_eq!(ambiguous.to_string(), "\"q\" is ambiguous: it may be q@east, q@west");
}
