//! Changes are judged as the rules say, one after the other.

use std::sync::Arc;

use fabrik_core::severity::{Model, Severity, SeverityCounts};
use fabrik_core::store::MemoryStore;
use fabrik_core::{Change, ChangeKind, DiffOptions, ErrorKind, KeySpec};
use proptest::prelude::*;

use crate::helpers::{capture, capture_with, compare, keyed};
use crate::model::{self, to_json};

/// A rule as plainly as can be.
#[derive(Clone, Debug)]
struct Plain {
    id: String,
    class: Vec<&'static str>,
    dn: Option<&'static str>,
    kind: Option<Vec<&'static str>>,
    attribute: Option<&'static str>,
    before: Option<&'static str>,
    after: Option<&'static str>,
    trend: Option<&'static str>,
    severity: &'static str,
}

const REASON: &str = "{kind} {class} {object} {attribute}: {before} to {after}, a is {row.a} {{";

impl Plain {
    fn toml(&self) -> String {
        let mut text = format!("[[rule]]\nid = {:?}\nclass = {:?}\n", self.id, self.class);
        if let Some(kind) = &self.kind {
            text.push_str(&format!("kind = {kind:?}\n"));
        }
        for (field, value) in [
            ("dn", self.dn),
            ("attribute", self.attribute),
            ("before", self.before),
            ("after", self.after),
            ("trend", self.trend),
        ] {
            if let Some(value) = value {
                text.push_str(&format!("{field} = {value:?}\n"));
            }
        }
        text + &format!("severity = {:?}\nreason = {REASON:?}\n\n", self.severity)
    }

    fn is_about(&self, kind: &str) -> bool {
        match &self.kind {
            Some(kinds) => kinds.contains(&kind),
            None => self.attribute.is_none() || kind == "changed",
        }
    }

    /// Whether the rule speaks of a row, or of an attribute of it with its texts before and after.
    fn speaks(&self, kind: &str, row: &model::Row, field: Option<(&str, &str, &str)>) -> bool {
        let class = model::class_name(row).unwrap_or_default();
        if !self.is_about(kind) || !self.class.iter().any(|wanted| glob(wanted, &class)) {
            return false;
        }
        if self.dn.is_some_and(|wanted| !model::dn(row).is_some_and(|dn| glob(wanted, &dn))) {
            return false;
        }
        let holds = |wanted: Option<&str>, text: &str| wanted.is_none_or(|wanted| glob(wanted, text));
        match (self.attribute, field) {
            (None, _) => true,
            (Some(attribute), Some((name, before, after))) => {
                let (old, new) = (before.parse::<f64>(), after.parse::<f64>());
                let trend = match (self.trend, old, new) {
                    (None, ..) => true,
                    (Some("rises"), Ok(old), Ok(new)) => old < new,
                    (Some(_), Ok(old), Ok(new)) => old > new,
                    _ => false,
                };
                trend && glob(attribute, name) && holds(self.before, before) && holds(self.after, after)
            }
            (Some(attribute), None) => {
                let wanted = if kind == "added" { self.after } else { self.before };
                row.get(attribute).is_some_and(|value| holds(wanted, &text(value)))
            }
        }
    }
}

fn glob(pattern: &str, text: &str) -> bool {
    let mut rest = pattern.chars();
    match rest.next() {
        None => text.is_empty(),
        Some('*') => {
            let ends = text.char_indices().map(|(at, _)| at).chain([text.len()]);
            ends.map(|at| &text[at..]).any(|text| glob(rest.as_str(), text))
        }
        Some(wanted) => {
            let mut chars = text.chars();
            chars.next().is_some_and(|c| (wanted == '?' || wanted == c) && glob(rest.as_str(), chars.as_str()))
        }
    }
}

fn text(json: &str) -> String {
    serde_json::from_str::<String>(json).unwrap_or_else(|_| json.to_owned())
}

fn shown(json: Option<&String>) -> String {
    match json.map(|json| text(json)) {
        None => "(absent)".to_owned(),
        Some(text) if text.is_empty() => "\"\"".to_owned(),
        Some(text) => text,
    }
}

fn rule() -> impl Strategy<Value = Plain> {
    let class = prop::sample::subsequence(vec!["fvBD", "fv?enant", "*", "", "nothing"], 1..3);
    let kinds = prop::option::of(prop::sample::subsequence(vec!["added", "removed", "changed"], 1..=3));
    let dn = prop::option::weighted(0.2, prop::sample::select(vec!["uni/tn-1*", "uni", "*"]));
    let attribute = prop::option::weighted(0.7, prop::sample::select(vec!["a", "b", "modTs", "*", "?", "a*"]));
    let value = || prop::option::weighted(0.3, prop::sample::select(vec!["1", "", "?", "*", "true", "1*", "null"]));
    let trend = prop::option::weighted(0.2, prop::sample::select(vec!["rises", "falls"]));
    let severity = prop::sample::select(Severity::WORST_FIRST.map(Severity::name).to_vec());
    (class, kinds, dn, attribute, value(), value(), trend, severity).prop_map(
        |(class, kind, dn, attribute, before, after, trend, severity)| {
            let mut rule = Plain { id: String::new(), class, dn, kind, attribute, before, after, trend, severity };
            if rule.attribute.is_none() {
                (rule.before, rule.after, rule.trend) = (None, None, None);
            }
            if rule.is_about("added") {
                rule.before = None;
            }
            if rule.is_about("removed") {
                rule.after = None;
            }
            if rule.is_about("added") || rule.is_about("removed") {
                rule.trend = None;
                rule.attribute = rule.attribute.map(|name| if name.contains(['*', '?']) { "a" } else { name });
            }
            rule
        },
    )
}

fn rules() -> impl Strategy<Value = Vec<Plain>> {
    prop::collection::vec(rule(), 0..8).prop_map(|mut rules| {
        rules.iter_mut().enumerate().for_each(|(i, rule)| rule.id = format!("rule-{i}"));
        rules
    })
}

/// Judges a change by going through all rules for all attributes: severity, rule, reason.
fn naive(rules: &[Plain], change: &Change) -> (String, Option<String>, String) {
    let (before, after) = model::pair(change);
    let row = after.as_ref().or(before.as_ref()).unwrap();
    let empty = model::Row::new();
    let (older, newer) = (before.as_ref().unwrap_or(&empty), after.as_ref().unwrap_or(&empty));
    let kind = match change.kind {
        ChangeKind::Added => "added",
        ChangeKind::Removed => "removed",
        ChangeKind::Changed => "changed",
    };
    let fields = if kind == "changed" { model::differences(older, newer) } else { Vec::new() };
    let mut found: Vec<(Option<&Plain>, Option<&String>)> = Vec::new();
    for name in &fields {
        let side = |row: &model::Row| row.get(name).map_or_else(String::new, |value| text(value));
        let (was, is) = (side(older), side(newer));
        found.push((rules.iter().find(|rule| rule.speaks(kind, row, Some((name, &was, &is)))), Some(name)));
    }
    if kind != "changed" {
        found.push((rules.iter().find(|rule| rule.speaks(kind, row, None)), None));
    }
    let rank = |rule: Option<&Plain>| {
        let name = rule.map_or("medium", |rule| rule.severity);
        Severity::WORST_FIRST.iter().position(|severity| severity.name() == name).unwrap()
    };
    // Of equals `min_by_key` takes the first.
    let (rule, field) = found.into_iter().min_by_key(|(rule, _)| rank(*rule)).unwrap();
    let object = model::dn(row).unwrap_or_else(|| "a row".to_owned());
    let class = model::class_name(row).unwrap_or_else(|| "row".to_owned());
    let reason = match rule {
        None => format!("{object} was {kind}; no rule speaks of it"),
        Some(_) => {
            let side = |row: &model::Row| shown(field.and_then(|name| row.get(name)));
            let name = field.map_or("", String::as_str);
            let of_row = shown(row.get("a"));
            format!("{kind} {class} {object} {name}: {} to {}, a is {of_row} {{", side(older), side(newer))
        }
    };
    (rule.map_or("medium", |rule| rule.severity).to_owned(), rule.map(|rule| rule.id.clone()), reason)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn judgements_are_those_of_the_first_rules_that_speak(
        (before, after) in model::two_versions(30),
        key in prop::sample::select(vec![KeySpec::Auto, KeySpec::Dn, KeySpec::Hash]),
        rules in rules(),
        least in prop::sample::select(Severity::WORST_FIRST.to_vec()),
    ) {
        let store = MemoryStore::default();
        let older = capture_with(&store, &keyed(1, &key), to_json(&before)).snapshot;
        let newer = capture_with(&store, &keyed(2, &key), to_json(&after)).snapshot;
        let text: String = rules.iter().map(Plain::toml).collect();
        let model = Arc::new(Model::parse("a table", &text).unwrap());
        let options = || DiffOptions::default().with_key(key.clone()).with_severity(Arc::clone(&model));

        let (all, plain) = compare(&store, &older, &newer, DiffOptions::default().with_key(key.clone()));
        let (judged, summary) = compare(&store, &older, &newer, options());

        let mut counts = SeverityCounts::default();
        prop_assert_eq!(all.len(), judged.len());
        for (change, judged) in all.iter().zip(&judged) {
            prop_assert!(change.judgement().is_none());
            prop_assert_eq!(model::pair(change), model::pair(judged));
            let judgement = judged.judgement().unwrap();
            let (severity, rule, reason) = naive(&rules, judged);
            prop_assert_eq!(judgement.severity.name(), severity);
            prop_assert_eq!(judgement.rule.as_ref().map(|rule| rule.id().to_owned()), rule);
            prop_assert_eq!(&judgement.reason, &reason);
            prop_assert_eq!(model.severity(judged), judgement.severity);
            counts.add(judgement.severity);
        }
        let risk = summary.risk.unwrap();
        prop_assert_eq!((risk.by_severity, risk.risk_score), (counts, counts.score()));
        prop_assert_eq!(counts.total(), plain.added + plain.removed + plain.changed);

        let (some, of_some) = compare(&store, &older, &newer, options().with_min_severity(least));
        prop_assert_eq!(some.len() as u64, counts.at_least(least));
        prop_assert!(some.iter().all(|change| change.judgement().unwrap().severity >= least));
        let of_some = of_some.risk.unwrap();
        prop_assert_eq!(of_some.below_min_severity, counts.total() - counts.at_least(least));
        prop_assert_eq!(of_some.by_severity, counts);
        let counted = compare(&store, &older, &newer, options().with_summary_only());
        prop_assert_eq!((counted.0.len(), counted.1), (0, summary));
    }

    #[test]
    fn a_table_reads_back_as_it_was_written(rules in rules()) {
        let text: String = rules.iter().map(Plain::toml).collect();

        let model = Model::parse("a table", &text).unwrap();

        prop_assert_eq!(&Model::parse("again", &model.to_toml()).unwrap(), &model);
        let ids: Vec<&str> = model.rules().iter().map(|rule| rule.id()).collect();
        prop_assert_eq!(ids, rules.iter().map(|rule| rule.id.as_str()).collect::<Vec<_>>());
    }
}

#[test]
fn the_standard_table_reads_back_and_names_plausible_classes() {
    let model = Model::standard();

    assert!(model.rules().len() > 80);
    assert_eq!(Model::parse("again", &model.to_toml()).unwrap(), model);
    for class in model.rules().iter().flat_map(|rule| rule.classes()) {
        assert!(crate::noise::is_plausible_class(class), "{class}");
    }
}

/// The judgement of the change between two rows.
fn judged(model: Model, before: &[&str], after: &[&str]) -> String {
    let store = MemoryStore::default();
    let (older, newer) = (capture(&store, 1, before), capture(&store, 2, after));
    let (changes, _) = compare(&store, &older, &newer, DiffOptions::default().with_severity(Arc::new(model)));
    let judgement = changes[0].judgement().unwrap();
    format!("{}: {}", judgement.severity, judgement.reason)
}

#[test]
fn the_standard_table_knows_what_stops_traffic() {
    let bd = |route: &str, descr: &str| {
        format!(
            r#"{{"className":"fvBD","dn":"uni/tn-a/BD-b","name":"b","unicastRoute":"{route}","descr":"{descr}","x":"{descr}"}}"#
        )
    };
    let of = |before: String, after: String| judged(Model::standard(), &[&before], &[&after]);
    let route = r#"{"className":"fvRsPathAtt","dn":"uni/tn-a/ap-x/epg-y/rspathAtt-[topology/pod-1/paths-101/pathep-[eth1/1]]","tDn":"t"}"#;
    let fault = r#"{"className":"faultInst","code":"F0532","descr":"port down","dn":"f","severity":"critical"}"#;
    let port = |state: &str| format!(r#"{{"className":"ethpmPhysIf","dn":"p","operSt":"{state}"}}"#);

    assert_eq!(
        of(bd("yes", "old"), bd("no", "new")),
        "critical: bridge domain b does not route any more: its gateways stop answering"
    );
    assert!(of(bd("no", ""), bd("yes", "")).starts_with("high: "));
    assert_eq!(judged(Model::standard(), &[], &[fault]), "high: new critical fault F0532: port down");
    assert!(judged(Model::standard(), &[fault], &[]).starts_with("info: "));
    assert_eq!(of(port("up"), port("down")), "critical: p went down (operSt up → down)");
    assert_eq!(of(port("down"), port("up")), "low: p came up (operSt down → up)");
    assert!(judged(Model::standard(), &[route], &[]).starts_with("high: where a group is deployed: "));
    assert_eq!(judged(Model::standard(), &[], &[r#"{"a":1}"#]), "medium: row a row added");
}

#[test]
fn a_site_goes_first_and_may_switch_rules_off() {
    let bd =
        |route: &str| format!(r#"{{"className":"fvBD","dn":"uni/tn-a/BD-b","name":"b","unicastRoute":"{route}"}}"#);
    let site = "disable = ['bd-routing-off', 'bridge-domain']\n[[rule]]\nid = 'mine'\nclass = 'fvCtx'\nseverity = 'low'\nreason = 'x'\n";
    let same_id = "[[rule]]\nid = 'bd-routing-off'\nclass = 'fvBD'\nattribute = 'unicastRoute'\nseverity = 'low'\nreason = 'fine'\n";
    let of = |site: &str| {
        let model = Model::standard().overridden_by("site.toml", site).unwrap();
        judged(model, &[&bd("yes")], &[&bd("no")])
    };

    assert_eq!(of(site), "medium: fvBD uni/tn-a/BD-b changed");
    assert_eq!(of(same_id), "low: fine");
}

#[test]
fn an_error_names_table_rule_field_value_and_what_was_expected() {
    let rule = |fields: &str| format!("[[rule]]\nid = 'mine'\nseverity = 'low'\nclass = 'a'\nreason = 'x'\n{fields}");
    let changed = |from: &str, to: &str| rule("").replace(from, to);
    for (text, parts) in [
        (changed("'low'", "'urgent'"), vec!["rule \"mine\": severity \"urgent\"", "critical, high"]),
        (changed("severity = 'low'\n", ""), vec!["severity \"\"", "critical"]),
        (changed("id = 'mine'\n", ""), vec!["rule 1: id \"\"", "an id"]),
        (changed("'mine'", "'a b'"), vec!["rule 1: id \"a b\"", "letters"]),
        (changed("class = 'a'\n", ""), vec!["rule \"mine\": class \"\""]),
        (changed("'a'", "['a', 1]"), vec!["class \"[\\\"a\\\",1]\"", "a list of classes"]),
        (changed("'x'", "'{nome}'"), vec!["reason \"{nome}\"", "{name}"]),
        (rule("colour = 'red'"), vec!["colour \"red\"", "no fields but id, class"]),
        (rule("kind = 'moved'"), vec!["kind \"moved\"", "added, removed or changed"]),
        (rule("before = 'x'"), vec!["before \"x\"", "an attribute"]),
        (rule("kind = 'added'\nattribute = 'a'\nbefore = 'x'"), vec!["before \"x\"", "no kind \"added\""]),
        (rule("kind = 'added'\nattribute = 'a*'"), vec!["attribute \"a*\"", "no wild cards"]),
        (rule("attribute = 'a'\ntrend = 'up'"), vec!["trend \"up\"", "rises or falls"]),
        (rule("") + &rule(""), vec!["rule \"mine\": id \"mine\"", "no other rule"]),
        ("disable = ['nothing']".to_owned(), vec!["disable \"nothing\"", "rules that exist"]),
        ("rules = 1".to_owned(), vec!["rules \"1\"", "disable and rule"]),
        ("a = 1\n[[rule]\nid".to_owned(), vec!["line 2 \"[[rule]\"", "TOML"]),
    ] {
        let error = Model::standard().overridden_by("site.toml", &text).unwrap_err();

        let sentence = error.to_string();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        for part in ["site.toml: "].iter().chain(&parts) {
            assert!(sentence.contains(part), "{part:?} is not in {sentence:?}");
        }
    }
}

#[test]
fn json_has_severity_and_reason_only_when_asked_for() {
    let store = MemoryStore::default();
    let older = capture(&store, 1, [r#"{"dn":"a","severity":"mine","x":1}"#, r#"{"dn":"b","x":1}"#]);
    let newer = capture(&store, 2, [r#"{"dn":"b","x":2}"#]);
    let json = |options: DiffOptions| -> Vec<String> {
        let (changes, summary) = compare(&store, &older, &newer, options);
        let lines = changes.iter().map(|change| {
            let mut out = Vec::new();
            change.write_json(&mut out);
            String::from_utf8(out).unwrap()
        });
        lines.chain([serde_json::to_string(&summary).unwrap()]).collect()
    };
    let model =
        Model::parse("t", "[[rule]]\nid = 'r'\nclass = '*'\nkind = 'removed'\nseverity = 'high'\nreason = 'gone'");

    let off = json(DiffOptions::default());
    let on = json(DiffOptions::default().with_severity(Arc::new(model.unwrap())));

    let counts =
        r#"{"added":0,"removed":1,"changed":1,"unchanged":0,"duplicate_keys":0,"hidden":0,"unkeyed":0,"unknown":0"#;
    let changed = r#"{"key":{"dn":"b"},"fields":{"x":{"before":1,"after":2}}"#;
    assert_eq!(
        off,
        [r#"{"dn":"a","severity":"mine","x":1}"#.to_owned(), format!("{changed}}}"), format!("{counts}}}")]
    );
    assert_eq!(
        on,
        [
            r#"{"row":{"dn":"a","severity":"mine","x":1},"severity":"high","reason":"gone","rule":"r"}"#.to_owned(),
            format!(r#"{changed},"severity":"medium","reason":"b was changed; no rule speaks of it","rule":null}}"#),
            format!(
                r#"{counts},"risk_score":62,"risk_level":"high","by_severity":{{"critical":0,"high":1,"medium":1,"low":0,"info":0}},"below_min_severity":0}}"#
            ),
        ]
    );
}
