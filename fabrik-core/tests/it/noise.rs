//! What changes by itself is passed over, and counted.

use std::sync::Arc;

use fabrik_core::noise::Table;
use fabrik_core::store::MemoryStore;
use fabrik_core::{DiffOptions, Ignore, KeySpec};
use proptest::prelude::*;

use crate::helpers::{capture, capture_with, compare, keyed};
use crate::model::{self, Counts, assert_same_changes, to_json};

/// A class as the controller names them: its package in small letters, then the rest; or part of such.
pub(crate) fn is_plausible_class(class: &str) -> bool {
    let letters = class.chars().all(|c| c.is_ascii_alphanumeric() || c == '*');
    let starts = class.starts_with(|c: char| c.is_ascii_lowercase() || c == '*');
    letters && starts && (class.contains('*') || class.contains(|c: char| c.is_ascii_uppercase()))
}

/// Attributes of a class, any where there is none, that are noise.
type Plain = (Option<&'static str>, &'static str);

fn table(rules: &[Plain]) -> Table {
    let rule = |(i, (class, attribute)): (usize, &Plain)| {
        let class = class.map_or_else(String::new, |class| format!("class = {class:?}\n"));
        format!("[[rule]]\nid = 'r{i}'\n{class}attribute = {attribute:?}\n")
    };
    Table::parse("a table", &rules.iter().enumerate().map(rule).collect::<String>()).unwrap()
}

fn plain_rules() -> impl Strategy<Value = Vec<Plain>> {
    let all = vec![(None, "modTs"), (None, "a"), (Some("fvBD"), "b"), (Some("fvTenant"), "a"), (None, "className")];
    prop::collection::vec(prop::sample::select(all), 0..4)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// Noise is to be found as patterns to ignore are, under every key; only the counts differ.
    #[test]
    fn noise_is_passed_over_as_ignored_attributes_are(
        (before, after) in model::two_versions(30),
        stored in model::key_spec(),
        asked in model::key_spec(),
        rules in plain_rules(),
    ) {
        let store = MemoryStore::default();
        let older = capture_with(&store, &keyed(1, &stored), to_json(&before)).snapshot;
        let newer = capture_with(&store, &keyed(2, &stored), to_json(&after)).snapshot;
        let options = || DiffOptions::default().with_key(asked.clone()).with_noise(Arc::new(table(&rules)));

        let (changes, summary) = compare(&store, &older, &newer, options());

        let is_noise = |row: &model::Row, name: &str| {
            let class = model::class_name(row);
            rules.iter().any(|(of, attribute)| *attribute == name && of.is_none_or(|of| class.as_deref() == Some(of)))
        };
        let (pairs, mut counts) = model::compare(&before, &after, &asked, is_noise, |_| false);
        let noise = summary.noise.unwrap();
        prop_assert_eq!(noise.noise_changes, counts.hidden);
        counts.hidden = 0;
        prop_assert_eq!(Counts::from(summary), counts);
        assert_same_changes(&changes, &pairs, &asked);
        for change in &changes {
            if let (Some(before), Some(after)) = model::pair(change) {
                let shown: Vec<String> = change.fields().map(|field| field.name.to_owned()).collect();
                let mut expected = model::differences(&before, &after);
                expected.retain(|name| !is_noise(&after, name));
                prop_assert_eq!(shown, expected);
            }
        }
        prop_assert_eq!(compare(&store, &older, &newer, options().with_summary_only()).1, summary);
    }

    /// With noise rules on, what is left out is exactly what they say, and it is counted.
    #[test]
    fn what_noise_leaves_out_adds_up(
        (before, after) in model::two_versions(30),
        key in prop::sample::select(vec![KeySpec::Dn, KeySpec::fields(["dn"]).unwrap()]),
        rules in plain_rules(),
        whole in prop::option::of(prop::sample::select(vec!["fvBD", "fv*"])),
    ) {
        let store = MemoryStore::default();
        let older = capture(&store, 1, to_json(&before));
        let newer = capture(&store, 2, to_json(&after));
        let whole_rule =
            whole.map_or_else(String::new, |class| format!("[[rule]]\nid = 'all'\nclass = {class:?}\n"));
        let noise = table(&rules).overridden_by("more", &whole_rule).unwrap();
        let off = DiffOptions::default().with_key(key.clone());

        let (all, of_all) = compare(&store, &older, &newer, off.clone());
        let (left, of_left) = compare(&store, &older, &newer, off.with_noise(Arc::new(noise.clone())));

        let mut expected = Vec::new();
        let (mut noise_changes, mut noise_attributes) = (0, 0);
        for change in &all {
            let class = change.row().class_name();
            let mut names: Vec<String> = change.fields().map(|field| field.name.to_owned()).collect();
            let had = names.len();
            names.retain(|name| !noise.is_noise(class, name));
            noise_attributes += (had - names.len()) as u64;
            let is_noise = if had == 0 { noise.is_noise_class(class) } else { names.is_empty() };
            if is_noise {
                noise_changes += 1;
            } else {
                expected.push((model::pair(change), names));
            }
        }
        let found: Vec<_> = left
            .iter()
            .map(|change| (model::pair(change), change.fields().map(|field| field.name.to_owned()).collect::<Vec<_>>()))
            .collect();
        prop_assert_eq!(found, expected);
        let counted = of_left.noise.unwrap();
        prop_assert_eq!((counted.noise_changes, counted.noise_attributes), (noise_changes, noise_attributes));
        prop_assert_eq!(
            of_left.added + of_left.removed + of_left.changed + noise_changes,
            of_all.added + of_all.removed + of_all.changed
        );
        prop_assert_eq!(of_left.unchanged, of_all.unchanged);
        prop_assert!(of_all.noise.is_none());
    }
}

#[test]
fn the_standard_table_reads_back_and_names_plausible_classes() {
    let table = Table::standard();

    assert!(table.rules().len() > 15);
    assert_eq!(Table::parse("again", &table.to_toml()).unwrap(), table);
    for class in table.rules().iter().flat_map(|rule| rule.classes()) {
        assert!(is_plausible_class(class), "{class}");
    }
}

#[test]
fn the_standard_table_tells_bookkeeping_from_configuration() {
    let table = Table::standard();

    for (class, attribute) in [("fvBD", "modTs"), ("faultInst", "lastTransition"), ("healthInst", "twScore")] {
        assert!(table.is_noise(Some(class), attribute), "{class}.{attribute}");
    }
    for (class, attribute) in [
        ("fvBD", "arpFlood"),
        ("fvBD", "descr"),
        ("fvRsPathAtt", "encap"),
        ("ethpmPhysIf", "operSt"),
        ("eqptPsu", "operSt"),
        ("healthInst", "cur"),
        ("fvRsCtx", "state"),
        ("fvRsCtx", "tDn"),
        ("bgpPeerEntry", "operSt"),
        ("fvCEp", "encap"),
    ] {
        assert!(!table.is_noise(Some(class), attribute), "{class}.{attribute}");
    }
    assert!(table.is_noise_class(Some("eqptIngrTotal5min")));
    assert!(!table.is_noise_class(Some("fvBD")) && !table.is_noise_class(None));
}

#[test]
fn rows_of_a_class_that_comes_and_goes_are_noise_and_what_is_kept_is_none() {
    let store = MemoryStore::default();
    let row = |dn: &str, class: &str, x: u8| format!(r#"{{"className":"{class}","dn":"{dn}","x":{x}}}"#);
    let older = capture(&store, 1, [row("a", "log", 1), row("b", "log", 1), row("c", "fvBD", 1)]);
    let newer = capture(&store, 2, [row("b", "log", 2), row("c", "fvBD", 2), row("d", "log", 1), row("e", "fvBD", 1)]);
    let site = "[[rule]]\nid = 'kept'\nclass = 'log'\nattribute = 'x'\nkeep = true\n";
    let table = Table::parse("t", "[[rule]]\nid = 'logs'\nclass = 'log'\n").unwrap();
    let counts = |table: &Table| {
        let (_, summary) = compare(&store, &older, &newer, DiffOptions::default().with_noise(Arc::new(table.clone())));
        let noise = summary.noise.unwrap();
        [summary.added, summary.removed, summary.changed, noise.noise_changes, noise.noise_attributes]
    };

    assert_eq!(counts(&table), [1, 0, 1, 3, 1]);
    assert_eq!(counts(&table.clone().overridden_by("site", site).unwrap()), [1, 0, 2, 2, 0]);
    assert_eq!(counts(&table.overridden_by("site", "disable = ['logs']").unwrap()), [2, 1, 2, 0, 0]);
}

#[test]
fn what_is_ignored_is_hidden_before_it_can_be_noise() {
    let store = MemoryStore::default();
    let older =
        capture(&store, 1, [r#"{"dn":"a","modTs":1}"#, r#"{"dn":"b","uid":1}"#, r#"{"dn":"c","modTs":1,"uid":1}"#]);
    let newer =
        capture(&store, 2, [r#"{"dn":"a","modTs":2}"#, r#"{"dn":"b","uid":2}"#, r#"{"dn":"c","modTs":2,"uid":2}"#]);
    let options = DiffOptions::default()
        .with_ignore(Ignore::parse(["modTs"]).unwrap())
        .with_noise(Arc::new(Table::parse("t", "[[rule]]\nid = 'all'\nattribute = ['modTs', 'uid']\n").unwrap()));

    let (_, summary) = compare(&store, &older, &newer, options);

    let noise = summary.noise.unwrap();
    assert_eq!((summary.hidden, noise.noise_changes, noise.noise_attributes, summary.changed), (1, 2, 2, 0));
}

#[test]
fn an_error_names_table_rule_field_value_and_what_was_expected() {
    for (text, parts) in [
        ("[[rule]]\nid = 'x'", vec!["rule \"x\": class \"\"", "a class or an attribute"]),
        ("[[rule]]\nid = 'x'\nclass = ''", vec!["rule \"x\": class \"\"", "a name"]),
        ("[[rule]]\nid = 'x'\nclass = 'a'\nkeep = 'yes'", vec!["keep \"yes\"", "true or false"]),
        ("[[rule]]\nid = 'x'\nclass = 'a'\nseverity = 'low'", vec!["severity \"low\"", "no fields but"]),
        ("disable = ['nothing']", vec!["disable \"nothing\"", "rules that exist"]),
    ] {
        let sentence = Table::standard().overridden_by("site.toml", text).unwrap_err().to_string();

        for part in ["site.toml: "].iter().chain(&parts) {
            assert!(sentence.contains(part), "{part:?} is not in {sentence:?}");
        }
    }
}
