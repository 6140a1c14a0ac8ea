//! Searching for DNs by a part of them.

use std::collections::BTreeMap;

use fabrik_core::store::MemoryStore;
use fabrik_core::{ErrorKind, KeyIndex, search_keys};
use proptest::prelude::*;

use crate::helpers::{block_on, capture, capture_with, list, options};
use crate::model::{self, to_json};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn matches_are_those_of_a_naive_search(
        rows in model::rows(60),
        part in prop::sample::select(vec!["", "uni", "UNI/TN-1", "-1", "[X", "Ü", "ü", "absent", "İ", "\u{212a}"]),
        limit in 1..20_usize,
    ) {
        let store = MemoryStore::default();
        capture(&store, 1, [r#"{"dn":"uni/tn-old"}"#]);
        capture(&store, 2, to_json(&rows));

        let page = block_on(search_keys(&store, "q", None, part, limit)).unwrap();

        // Of each DN the class of every row, after the row's content.
        type Classes = Vec<(Vec<u8>, Option<String>)>;
        let mut classes: BTreeMap<String, Classes> = BTreeMap::new();
        for row in &rows {
            if let Some(dn) = model::dn(row).filter(|dn| dn.to_lowercase().contains(&part.to_lowercase())) {
                classes.entry(dn).or_default().push((model::content(row), model::class_name(row)));
            }
        }
        prop_assert_eq!(page.total_matches, classes.len());
        prop_assert_eq!(page.count, classes.len().min(limit));
        prop_assert_eq!(page.truncated, classes.len() > limit);
        prop_assert_eq!(page.dns.len(), page.count);
        for (found, (dn, mut rows)) in page.dns.iter().zip(classes) {
            rows.sort();
            prop_assert_eq!(&found.dn, &dn);
            prop_assert_eq!(&found.class_name, &rows[0].1);
        }
    }
}

/// People who type, letter by letter and all at once, find in one index what each finds in one of their own.
#[test]
fn what_was_typed_before_changes_nothing() {
    // More than an index remembers the places of, and one with a line end.
    let mut dns: Vec<String> = (0..6_000).map(|i| format!("uni/tn-{:02}/BD-{i:04}", i % 30)).collect();
    dns.push("uni/tn-07\n/BD-X".into());
    dns.sort();
    let store = MemoryStore::default();
    capture(&store, 1, dns.iter().map(|dn| serde_json::json!({ "dn": dn }).to_string()));
    let snapshot = list(&store).remove(0);
    let index = block_on(KeyIndex::load(&store, &snapshot)).unwrap();
    let typed = ["UNI/tn-07/bd-0", "uni/tn-07\n/BD", "n-29/BD-59", "bd-123", "D-1230", "uni/tn-31", "\n/bd"];

    for round in 0..2 {
        for length in 0..=typed.iter().map(|text| text.len()).max().unwrap() {
            for text in typed {
                // In the second round letters are taken back.
                let length = if round == 0 { length } else { text.len().saturating_sub(length) };
                let part = &text[..length.min(text.len())];

                let page = index.search(part, 20).unwrap();

                let wanted = part.to_lowercase();
                let expected: Vec<&String> = dns.iter().filter(|dn| dn.to_lowercase().contains(&wanted)).collect();
                assert_eq!((page.total_matches, page.truncated), (expected.len(), expected.len() > 20), "{part:?}");
                let found = page.dns.iter().map(|entry| &entry.dn);
                assert!(found.eq(expected.into_iter().take(20)), "{part:?}");
            }
        }
    }
}

#[test]
fn at_most_two_hundred_are_given_and_all_are_counted() {
    let store = MemoryStore::default();
    capture(&store, 1, (0..1_000).map(|i| format!(r#"{{"dn":"uni/tn-{i:04}","className":"fvTenant"}}"#)));

    let page = block_on(search_keys(&store, "q", None, "TN-", usize::MAX)).unwrap();

    assert_eq!((page.count, page.total_matches, page.truncated), (200, 1_000, true));
    assert_eq!((&*page.dns[0].dn, page.dns[199].class_name.as_deref()), ("uni/tn-0000", Some("fvTenant")));
    let json = serde_json::to_value(&page).unwrap();
    assert_eq!(json["dns"][0], serde_json::json!({"dn": "uni/tn-0000", "className": "fvTenant"}));
}

#[test]
fn each_connection_has_its_own_newest_snapshot() {
    let store = MemoryStore::default();
    for (number, connection) in [(1, "east"), (2, "west")] {
        let mut options = options(number);
        options.connection = Some(connection.into());
        capture_with(&store, &options, [format!(r#"{{"dn":"uni/tn-{connection}"}}"#)]);
    }

    let east = block_on(search_keys(&store, "q", Some("east"), "", 10)).unwrap();

    assert_eq!(east.dns.len(), 1);
    assert_eq!(east.dns[0].dn, "uni/tn-east");
    assert_eq!(block_on(search_keys(&store, "q", None, "", 10)).unwrap_err().kind(), ErrorKind::Ambiguous);
    assert_eq!(block_on(search_keys(&store, "q", Some("north"), "", 10)).unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(block_on(search_keys(&store, "r", None, "", 10)).unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(block_on(search_keys(&store, "q", Some("east"), "", 0)).unwrap_err().kind(), ErrorKind::InvalidInput);
}
