//! Noise rules hide changes when reading, and count what they hide.

use fabrik_core::store::MemoryStore;
use fabrik_core::{DiffOptions, Ignore, KeySpec};
use proptest::prelude::*;

use crate::helpers::{capture, capture_with, compare, keyed};
use crate::model::{self, Counts, assert_same_changes, to_json};

/// A pattern and what it is meant to hide: attributes of a class, or DNs that start so.
#[derive(Clone, Debug)]
enum Pattern {
    Attribute(&'static str, Option<&'static str>, &'static str),
    Dn(&'static str, &'static str),
}

impl Pattern {
    fn text(&self) -> &'static str {
        match self {
            Self::Attribute(text, ..) | Self::Dn(text, _) => text,
        }
    }
}

fn patterns() -> impl Strategy<Value = Vec<Pattern>> {
    let all = vec![
        Pattern::Attribute("modTs", None, "modTs"),
        Pattern::Attribute("a", None, "a"),
        Pattern::Attribute("b*", None, "b"),
        Pattern::Attribute("fvBD.a", Some("fvBD"), "a"),
        Pattern::Attribute("fv?enant.b", Some("fvTenant"), "b"),
        Pattern::Attribute("*.modTs", None, "modTs"),
        Pattern::Attribute("className", None, "className"),
        Pattern::Dn("uni/tn-1*", "uni/tn-1"),
        Pattern::Dn("dn:uni*", "uni"),
    ];
    prop::collection::vec(prop::sample::select(all), 0..4)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn what_patterns_hide_is_what_a_naive_filter_hides(
        (before, after) in model::two_versions(30),
        stored in model::key_spec(),
        asked in model::key_spec(),
        patterns in patterns(),
    ) {
        let store = MemoryStore::default();
        let older = capture_with(&store, &keyed(1, &stored), to_json(&before)).snapshot;
        let newer = capture_with(&store, &keyed(2, &stored), to_json(&after)).snapshot;
        let ignore = Ignore::parse(patterns.iter().map(Pattern::text)).unwrap();
        let options = || DiffOptions::default().with_key(asked.clone()).with_ignore(ignore.clone());

        let (changes, summary) = compare(&store, &older, &newer, options());

        let hides = |row: &model::Row, name: &str| patterns.iter().any(|pattern| match pattern {
            Pattern::Attribute(_, class, attribute) =>
                *attribute == name && class.is_none_or(|class| model::class_name(row).as_deref() == Some(class)),
            Pattern::Dn(..) => false,
        });
        let hides_dn = |dn: &str| {
            patterns.iter().any(|pattern| matches!(pattern, Pattern::Dn(_, start) if dn.starts_with(start)))
        };
        let (pairs, counts) = model::compare(&before, &after, &asked, hides, hides_dn);
        prop_assert_eq!(Counts::from(summary), counts);
        assert_same_changes(&changes, &pairs, &asked);
        for change in &changes {
            if let (Some(before), Some(after)) = model::pair(change) {
                let shown: Vec<String> = change.fields().map(|field| field.name.to_owned()).collect();
                let expected: Vec<String> =
                    model::differences(&before, &after).into_iter().filter(|name| !hides(&after, name)).collect();
                prop_assert_eq!(shown, expected);
            }
        }
        prop_assert_eq!(compare(&store, &older, &newer, options().with_summary_only()).1, summary);
    }
}

#[test]
fn a_row_that_differs_in_noise_alone_is_hidden_and_counted() {
    let store = MemoryStore::default();
    let older =
        capture(&store, 1, [r#"{"dn":"a","modTs":"1","x":1}"#, r#"{"dn":"b","modTs":"1","x":1}"#, r#"{"dn":"c"}"#]);
    let newer =
        capture(&store, 2, [r#"{"dn":"a","modTs":"2","x":1}"#, r#"{"dn":"b","modTs":"2","x":2}"#, r#"{"dn":"d"}"#]);
    let ignore = Ignore::parse(["modTs", "dn:d"]).unwrap();

    let (changes, summary) = compare(&store, &older, &newer, DiffOptions::default().with_ignore(ignore));

    assert_eq!((summary.changed, summary.hidden, summary.added, summary.removed), (1, 2, 0, 1));
    assert_eq!(changes[0].fields().map(|field| field.name.to_owned()).collect::<Vec<_>>(), ["x"]);
}

#[test]
fn rows_known_by_their_content_pair_up_by_what_is_visible() {
    let store = MemoryStore::default();
    let older =
        capture_with(&store, &keyed(1, &KeySpec::Hash), [r#"{"name":"a","uid":"1"}"#, r#"{"name":"b","uid":"2"}"#])
            .snapshot;
    let newer =
        capture_with(&store, &keyed(2, &KeySpec::Hash), [r#"{"name":"a","uid":"7"}"#, r#"{"name":"c","uid":"2"}"#])
            .snapshot;
    let ignore = Ignore::parse(["uid"]).unwrap();

    let (_, summary) = compare(&store, &older, &newer, DiffOptions::default().with_ignore(ignore));

    assert_eq!((summary.hidden, summary.added, summary.removed, summary.changed), (1, 1, 1, 0));
}
