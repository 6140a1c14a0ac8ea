//! History filled in: captures out of order leave the records that captures in order would.

use chrono::TimeDelta;
use fabrik_core::ChangeSummary;
use fabrik_core::store::MemoryStore;
use proptest::prelude::*;

use crate::helpers::{assert_sound, block_on, capture, capture_with, list, minute, options, stores};
use crate::model::{self, to_json};

/// Asserts that each record says what changed since the one listed after it.
fn assert_changes_are_those_between_neighbours(store: &dyn fabrik_core::store::Store) {
    let listed = list(store);
    for (i, newer) in listed.iter().enumerate() {
        let expected = listed.get(i + 1).map(|older| {
            let found = block_on(fabrik_core::summarize(store, older, newer)).unwrap();
            ChangeSummary {
                previous: older.id,
                added: found.added,
                removed: found.removed,
                changed: found.changed,
                unchanged: found.unchanged,
            }
        });
        assert_eq!(newer.changes, expected, "of snapshot {}", newer.id);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn summaries_are_those_between_neighbours_whatever_the_order_of_captures(
        versions in prop::collection::vec((model::rows(12), 0..6_u32), 1..8),
    ) {
        let store = MemoryStore::default();

        for ((rows, at), number) in versions.iter().zip(1..) {
            let mut options = options(number);
            options.captured_at = minute(*at);
            capture_with(&store, &options, to_json(rows));
        }

        assert_changes_are_those_between_neighbours(&store);
        assert_sound(&store);
    }
}

#[test]
fn a_capture_between_two_is_the_next_ones_previous() {
    for store in stores() {
        let first = capture(&*store, 1, [r#"{"dn":"a"}"#]);
        let third = capture(&*store, 3, [r#"{"dn":"a"}"#, r#"{"dn":"b"}"#, r#"{"dn":"c"}"#]);
        assert_eq!(third.changes.unwrap().added, 2);

        let second = capture(&*store, 2, [r#"{"dn":"a"}"#, r#"{"dn":"b"}"#]);

        assert_eq!(second.changes.unwrap().previous, first.id);
        let third = crate::helpers::listed(&*store, third.id);
        assert_eq!(third.changes.map(|changes| (changes.previous, changes.added)), Some((second.id, 1)));
        assert_changes_are_those_between_neighbours(&*store);
    }
}

#[test]
fn more_than_a_page_of_captures_may_share_a_moment() {
    for store in stores() {
        let at_once = |number: u32| {
            let mut options = options(number);
            options.captured_at = minute(0);
            capture_with(&*store, &options, [format!(r#"{{"dn":"{number}"}}"#)]);
        };

        (2..30).step_by(2).for_each(at_once);
        (1..30).step_by(2).rev().for_each(at_once);

        assert_eq!(list(&*store).len(), 29);
        assert_changes_are_those_between_neighbours(&*store);
    }
}

#[test]
fn moments_closer_than_a_microsecond_go_by_id() {
    for store in stores() {
        for (number, nanoseconds) in [(2, 900), (1, 100), (4, 200), (3, 999)] {
            let mut options = options(number);
            options.captured_at = minute(0) + TimeDelta::nanoseconds(nanoseconds);
            capture_with(&*store, &options, [format!(r#"{{"dn":"{number}"}}"#)]);
        }

        assert_changes_are_those_between_neighbours(&*store);
    }
}
