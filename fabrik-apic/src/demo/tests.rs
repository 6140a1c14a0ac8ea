use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use fabrik_core::Source;
use proptest::prelude::*;

use super::{Churn, DemoFabric, DemoOptions, Step, story};

type Attributes = BTreeMap<String, String>;

fn start() -> DateTime<Utc> {
    "2026-03-02T02:00:00Z".parse().unwrap()
}

fn fabric(seed: u64, objects: usize) -> DemoFabric {
    DemoFabric::new(DemoOptions { seed, objects, start: start() })
}

fn json(fabric: &DemoFabric, order_seed: Option<u64>) -> Vec<u8> {
    let mut out = Vec::new();
    fabric.write_json(&mut out, order_seed).unwrap();
    out
}

/// Reads all rows through the source, in its order.
fn rows(fabric: &DemoFabric, order_seed: Option<u64>) -> Vec<Attributes> {
    let mut source = fabric.rows(order_seed);
    let mut rows = Vec::new();
    while let Some(batch) = pollster::block_on(source.next_batch()).unwrap() {
        let of_row = |row: fabrik_core::RowRef<'_>| {
            row.attributes().map(|(name, value)| (name.to_owned(), value.to_string())).collect()
        };
        rows.extend(batch.iter().map(of_row));
    }
    rows
}

fn by_dn(fabric: &DemoFabric) -> BTreeMap<String, Attributes> {
    let rows = rows(fabric, Some(1));
    let n_rows = rows.len();
    let by_dn: BTreeMap<String, Attributes> = rows.into_iter().map(|row| (row["dn"].clone(), row)).collect();
    assert_eq!(by_dn.len(), n_rows, "a DN repeats");
    by_dn
}

/// The step between two moments, found the slow way.
fn compare(before: &BTreeMap<String, Attributes>, after: &BTreeMap<String, Attributes>) -> Step {
    let mut step = Step::default();
    for (dn, row) in before {
        let Some(now) = after.get(dn) else {
            step.removed.push(dn.clone());
            continue;
        };
        let names: BTreeSet<&String> = row.keys().chain(now.keys()).collect();
        let differing: Vec<&String> = names.into_iter().filter(|&name| row.get(name) != now.get(name)).collect();
        match differing.as_slice() {
            [] => {}
            [only] if *only == "modTs" => step.touched.push(dn.clone()),
            several => {
                assert!(several.iter().any(|name| *name == "modTs"), "{dn} changed without its modTs");
                step.changed.push(dn.clone());
            }
        }
    }
    step.added = after.keys().filter(|dn| !before.contains_key(*dn)).cloned().collect();
    step
}

/// FNV-1a, <http://www.isthe.com/chongo/tech/comp/fnv/>.
fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3))
}

#[test]
fn same_seed_gives_the_same_bytes_for_ever() {
    let mut fabric = fabric(42, 1500);
    let first = hash(&json(&fabric, None));

    fabric.advance(start() + TimeDelta::days(1), &Churn { changed: 30, added: 20, removed: 25, touched: 10 });
    fabric.change_window(start() + TimeDelta::hours(30));
    fabric.mistake(start() + TimeDelta::hours(31));
    let second = hash(&json(&fabric, Some(5)));

    assert_eq!(
        (first, second),
        (1_433_194_641_440_742_966, 1_316_331_198_464_956_001),
        "a new sequence makes every recorded demo and benchmark another one"
    );
}

#[test]
fn another_seed_gives_another_fabric() {
    let (one, two) = (by_dn(&fabric(1, 800)), by_dn(&fabric(2, 800)));

    assert_ne!(one, two);
}

#[test]
fn rows_have_unique_dns_classes_and_times() {
    let fabric = fabric(3, 12_000);

    let rows = by_dn(&fabric);

    assert_eq!((fabric.len(), rows.len()), (12_000, 12_000));
    let classes: BTreeSet<&str> = rows.values().map(|row| row["className"].as_str()).collect();
    assert_eq!(classes.len(), 15);
    for row in rows.values() {
        let time = DateTime::parse_from_rfc3339(&row["modTs"]).unwrap();
        assert!(time <= start() && row["modTs"].len() == 29, "{row:?}");
        assert!((15..=36).contains(&row.len()), "{row:?}");
        assert_eq!((row["status"].as_str(), row["childAction"].as_str()), ("", ""));
    }
    let dns: BTreeSet<String> = fabric.dns().collect();
    assert!(dns.iter().eq(rows.keys()));
    assert!(dns.iter().any(|dn| dn.contains("[uni/tn-") && dn.contains("stpathatt-[")));
    for special in ['"', '\\', 'ü', 'Ü', 'ä'] {
        assert!(rows.values().any(|row| row.get("descr").is_some_and(|descr| descr.contains(special))), "{special}");
    }
}

#[test]
fn a_fabric_of_any_size_has_that_many_objects() {
    for objects in [0, 1, 2, 7, 20, 60, 150, 500] {
        let mut fabric = fabric(9, objects);
        assert_eq!((fabric.len(), fabric.is_empty()), (objects, objects == 0));

        for hour in 1..4 {
            let at = start() + TimeDelta::hours(hour);
            let before = by_dn(&fabric);
            let step = match hour {
                1 => fabric.change_window(at),
                2 => fabric.mistake(at),
                _ => fabric.repair(at),
            };
            assert_eq!(step, compare(&before, &by_dn(&fabric)), "{objects} objects, hour {hour}");
        }
    }
}

#[test]
fn source_and_answer_hold_the_same_rows_in_the_same_order() {
    let fabric = fabric(4, 9000);
    for order_seed in [None, Some(11)] {
        let answer: serde_json::Value = serde_json::from_slice(&json(&fabric, order_seed)).unwrap();

        assert_eq!(answer["totalCount"], "9000");
        let objects = answer["imdata"].as_array().unwrap().iter().map(|object| {
            let (class, body) = object.as_object().unwrap().iter().next().unwrap();
            let mut row: Attributes = serde_json::from_value(body["attributes"].clone()).unwrap();
            row.insert("className".to_owned(), class.clone());
            row
        });
        assert!(objects.eq(rows(&fabric, order_seed)));
    }
}

#[test]
fn source_keeps_the_moment_it_was_made_at() {
    let mut fabric = fabric(5, 600);
    let before = rows(&fabric, None);
    let mut source = fabric.rows(None);

    fabric.mistake(start() + TimeDelta::hours(1));

    let batch = pollster::block_on(source.next_batch()).unwrap().unwrap();
    let modified: Vec<String> = batch.iter().map(|row| row.get("modTs").unwrap().to_string()).collect();
    assert!(modified.iter().eq(before.iter().map(|row| &row["modTs"])));
}

#[test]
fn some_removed_dns_come_back() {
    let mut fabric = fabric(6, 2000);
    let churn = Churn { added: 60, removed: 60, ..Churn::default() };

    let gone = fabric.advance(start() + TimeDelta::days(1), &churn).removed;
    let back = fabric.advance(start() + TimeDelta::days(2), &churn).added;

    assert!(back.iter().any(|dn| gone.contains(dn)));
}

#[test]
fn churn_beyond_the_fabric_stops_at_its_end() {
    let mut fabric = fabric(7, 300);
    let churn = Churn { changed: 5000, added: 10, removed: 5000, touched: 5000 };
    let before = by_dn(&fabric);

    let step = fabric.advance(start(), &churn);

    assert_eq!(step, compare(&before, &by_dn(&fabric)));
    assert_eq!(step.removed.len() + step.changed.len() + step.touched.len(), 300);
}

#[test]
fn repair_puts_everything_back_but_times_and_cleared_faults() {
    let mut fabric = fabric(8, 4000);
    let before = by_dn(&fabric);
    let mistake = fabric.mistake(start() + TimeDelta::hours(1));
    fabric.repair(start() + TimeDelta::hours(2));

    let step = compare(&before, &by_dn(&fabric));

    assert!(mistake.changed.len() > 5 && mistake.removed.len() == 3 && mistake.added.len() > 3, "{mistake:?}");
    assert!(mistake.changed.iter().all(|dn| dn.contains("/BD-")));
    assert_eq!((step.removed.len(), step.changed.len()), (0, 0));
    assert!(step.added.iter().all(|dn| dn.contains("/fault-F")));
    assert_eq!(fabric.repair(start() + TimeDelta::hours(3)), Step::default());
}

#[test]
fn story_has_a_capture_a_day_and_steps_that_are_true() {
    let chapters: Vec<_> = story(1, start()).collect();

    assert_eq!((story(1, start()).len(), chapters.len()), (36, 36));
    assert!(chapters.is_sorted_by(|before, after| before.at < after.at));
    let mut before = by_dn(&chapters[0].fabric);
    for chapter in &chapters[1..] {
        let after = by_dn(&chapter.fabric);
        assert_eq!(chapter.step, compare(&before, &after), "{}", chapter.at);
        before = after;
    }
    let labels: Vec<&str> = chapters.iter().filter_map(|chapter| chapter.label.as_deref()).collect();
    assert_eq!(labels[..3], ["baseline", "before-change", "after-change"]);
    assert_eq!(labels[3..], ["before-maintenance", "incident", "before-repair", "after-repair"]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn steps_say_what_a_comparison_finds(
        seed: u64,
        objects in 500_usize..700,
        acts in prop::collection::vec((0_u8..7, 0_usize..40, 0_usize..40, 0_usize..40, 0_usize..40, 0_i64..100), 1..7),
    ) {
        let mut fabric = fabric(seed, objects);
        let mut at = start();
        let mut before = by_dn(&fabric);
        for (act, changed, added, removed, touched, minutes) in acts {
            at += TimeDelta::minutes(minutes);
            let step = match act {
                0 => fabric.change_window(at),
                1 | 2 => fabric.mistake(at),
                3 => fabric.repair(at),
                _ => {
                    let step = fabric.advance(at, &Churn { changed, added, removed, touched });
                    let counts = (step.changed.len(), step.added.len(), step.removed.len(), step.touched.len());
                    prop_assert_eq!(counts, (changed, added, removed, touched));
                    step
                }
            };
            let after = by_dn(&fabric);
            prop_assert_eq!(step, compare(&before, &after));
            prop_assert_eq!(after.len(), fabric.len());
            before = after;
        }
    }
}
