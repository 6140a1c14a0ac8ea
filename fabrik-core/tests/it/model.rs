//! The engine's semantics a second time, as simply as can be: rows are maps, snapshots are lists.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use fabrik_core::{Change, ChangeKind, DiffSummary, KeySpec};
use proptest::prelude::*;

/// A row: attribute names and the compact JSON texts of their values.
pub(crate) type Row = BTreeMap<String, String>;

/// Returns a row as canonical JSON.
pub(crate) fn json(row: &Row) -> String {
    let members: Vec<String> = row.iter().map(|(name, value)| format!("{}:{value}", quote(name))).collect();
    format!("{{{}}}", members.join(","))
}

pub(crate) fn quote(text: &str) -> String {
    serde_json::to_string(text).unwrap()
}

fn unquote(text: &str) -> Option<String> {
    text.starts_with('"').then(|| serde_json::from_str(text).unwrap())
}

pub(crate) fn dn(row: &Row) -> Option<String> {
    row.get("dn").and_then(|value| unquote(value)).filter(|dn| !dn.is_empty())
}

pub(crate) fn class_name(row: &Row) -> Option<String> {
    ["className", "class"].into_iter().find_map(|column| row.get(column).and_then(|value| unquote(value)))
}

/// The rank of a value's kind among others, and its text.
fn ranked(value: &str) -> (u8, String) {
    match value.as_bytes()[0] {
        b'n' => (0, String::new()),
        b't' | b'f' => (1, value.into()),
        b'"' => (3, unquote(value).unwrap()),
        b'{' | b'[' => (4, value.into()),
        _ => (2, value.into()),
    }
}

fn varint(out: &mut Vec<u8>, mut number: usize) {
    while number >= 128 {
        out.push(u8::try_from(number % 128).unwrap() + 128);
        number /= 128;
    }
    out.push(u8::try_from(number).unwrap());
}

/// Returns what rows of one key are ordered by: the stored bytes of their names and then of their values.
pub(crate) fn content(row: &Row) -> Vec<u8> {
    let mut out = Vec::new();
    varint(&mut out, row.len());
    for name in row.keys() {
        varint(&mut out, name.len());
        out.extend_from_slice(name.as_bytes());
    }
    for value in row.values() {
        let (tag, text) = match ranked(value) {
            (0, _) => (0, String::new()),
            (1, text) => (if text == "true" { 2 } else { 1 }, String::new()),
            (2, text) => (3, text),
            (3, text) => (4, text),
            (_, text) => (5, text),
        };
        varint(&mut out, text.len() * 8 + tag);
        out.extend_from_slice(text.as_bytes());
    }
    out
}

/// What a row is paired by.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Key {
    Dn(String),
    Fields(Vec<(u8, String)>),
    /// Rows like these stand in the order of a hash, which the model does not know.
    Content(Vec<u8>),
}

pub(crate) fn key(row: &Row, spec: &KeySpec) -> Key {
    let by_content = || Key::Content(content(row));
    match spec {
        KeySpec::Auto | KeySpec::Dn => dn(row).map_or_else(by_content, Key::Dn),
        KeySpec::Hash => by_content(),
        KeySpec::Fields(names) => {
            let field = |name: &str| ranked(&field(row, name).unwrap_or_else(|| "null".into()));
            Key::Fields(names.iter().map(|name| field(name)).collect())
        }
    }
}

/// Returns a column, or what a dotted path leads to; of two paths the one with the longest name first goes last.
fn field(row: &Row, path: &str) -> Option<String> {
    if let Some(value) = row.get(path) {
        return Some(value.clone());
    }
    path.match_indices('.').find_map(|(dot, _)| {
        let members: Row = members(row.get(&path[..dot])?)?;
        field(&members, &path[dot + 1..])
    })
}

fn members(object: &str) -> Option<Row> {
    let members: BTreeMap<String, Box<serde_json::value::RawValue>> = serde_json::from_str(object).ok()?;
    Some(members.into_iter().map(|(name, value)| (name, value.get().to_owned())).collect())
}

/// A change as the model states it.
pub(crate) type Pair = (Option<Row>, Option<Row>);

/// Takes rows that are equal out of both lists; returns how many.
fn cancel(before: &mut Vec<Row>, after: &mut Vec<Row>) -> u64 {
    let had = before.len();
    before.retain(|row| match after.iter().position(|other| other == row) {
        Some(found) => {
            after.swap_remove(found);
            false
        }
        None => true,
    });
    (had - before.len()) as u64
}

/// How many keys belong to more than one row on either side.
pub(crate) fn duplicate_keys(before: &[Row], after: &[Row], spec: &KeySpec) -> u64 {
    let mut counts: BTreeMap<Key, [u64; 2]> = BTreeMap::new();
    for (side, rows) in [before, after].into_iter().enumerate() {
        rows.iter().for_each(|row| counts.entry(key(row, spec)).or_default()[side] += 1);
    }
    counts.values().filter(|[older, newer]| *older > 1 || *newer > 1).count() as u64
}

/// Compares two lists of rows.
///
/// Returns the pairs in key order and the counts, all but those of duplicates. `hides` tells whether an
/// attribute of a row is hidden, `hides_dn` whether all of one is.
pub(crate) fn compare(
    before: &[Row],
    after: &[Row],
    spec: &KeySpec,
    hides: impl Fn(&Row, &str) -> bool,
    hides_dn: impl Fn(&str) -> bool,
) -> (Vec<(Key, Pair)>, Counts) {
    let mut counts = Counts::default();
    let (mut older, mut newer) = (before.to_vec(), after.to_vec());
    counts.unchanged = cancel(&mut older, &mut newer);
    let visible = |row: &Row| -> Row {
        row.iter().filter(|(name, _)| !hides(row, name)).map(|(name, value)| (name.clone(), value.clone())).collect()
    };
    let mut groups: BTreeMap<Key, [Vec<Row>; 2]> = BTreeMap::new();
    for (side, rows) in [older, newer].into_iter().enumerate() {
        for row in rows {
            let key = match key(&row, spec) {
                Key::Content(_) if *spec != KeySpec::Dn => Key::Content(content(&visible(&row))),
                key => key,
            };
            groups.entry(key).or_default()[side].push(row);
        }
    }
    let all_hidden = |older: &Row, newer: &Row| differences(older, newer).iter().all(|name| hides(newer, name));
    let mut pairs = Vec::new();
    for (key, mut sides) in groups {
        if *spec == KeySpec::Dn && matches!(key, Key::Content(_)) {
            counts.unkeyed += sides.iter().map(|rows| rows.len() as u64).sum::<u64>();
            continue;
        }
        sides.iter_mut().for_each(|rows| rows.sort_by_key(content));
        let [mut older, mut newer] = sides.map(IntoIterator::into_iter);
        loop {
            let pair = (older.next(), newer.next());
            let Some(row) = pair.1.as_ref().or(pair.0.as_ref()) else { break };
            let hidden = dn(row).is_some_and(|dn| hides_dn(&dn))
                || matches!(&pair, (Some(older), Some(newer)) if all_hidden(older, newer));
            match (&pair, hidden) {
                (_, true) => counts.hidden += 1,
                ((Some(_), Some(_)), _) => counts.changed += 1,
                ((Some(_), None), _) => counts.removed += 1,
                (_, _) => counts.added += 1,
            }
            if !hidden {
                pairs.push((key.clone(), pair));
            }
        }
    }
    (pairs, counts)
}

/// Compares with nothing hidden.
pub(crate) fn compare_all(before: &[Row], after: &[Row], spec: &KeySpec) -> (Vec<(Key, Pair)>, Counts) {
    compare(before, after, spec, |_, _| false, |_| false)
}

/// Compares two lists of rows of which `lacks` tells, by side and row, what either may not show, and which hold
/// different attributes: then only those count that both rows of a pair have.
pub(crate) fn compare_common(
    before: &[Row],
    after: &[Row],
    spec: &KeySpec,
    lacks: impl Fn(usize, &Row) -> bool,
) -> (Vec<(Key, Pair)>, Counts) {
    let mut counts = Counts::default();
    let (mut older, mut newer) = (before.to_vec(), after.to_vec());
    counts.unchanged = cancel(&mut older, &mut newer);
    let mut groups: BTreeMap<Key, [Vec<Row>; 2]> = BTreeMap::new();
    for (side, rows) in [older, newer].into_iter().enumerate() {
        rows.into_iter().for_each(|row| groups.entry(key(&row, spec)).or_default()[side].push(row));
    }
    let mut pairs = Vec::new();
    for (key, [mut older, mut newer]) in groups {
        if *spec == KeySpec::Dn && matches!(key, Key::Content(_)) {
            counts.unkeyed += (older.len() + newer.len()) as u64;
            continue;
        }
        let has = |rows: &[Row], name: &str| rows.iter().any(|row| row.contains_key(name));
        let (had, has_now) = (older.clone(), newer.clone());
        let common = |row: &Row| -> Row {
            row.clone().into_iter().filter(|(name, _)| has(&had, name) && has(&has_now, name)).collect()
        };
        for rows in [&mut older, &mut newer] {
            rows.sort_by_key(|row| (content(&common(row)), content(row)));
        }
        older.retain(|row| match newer.iter().position(|other| common(other) == common(row)) {
            Some(found) => {
                newer.remove(found);
                counts.unchanged += 1;
                false
            }
            None => true,
        });
        let [mut older, mut newer] = [older, newer].map(IntoIterator::into_iter);
        loop {
            let unknown = |side: usize, row: &Row, others: &[Row]| {
                let is_alike = |other: &Row| kind(other, spec) == kind(row, spec);
                matches!(key, Key::Content(_)) || lacks(side, row) || !others.iter().any(is_alike)
            };
            let pair = (older.next(), newer.next());
            match &pair {
                (None, None) => break,
                (Some(older), Some(newer)) => {
                    if differences_in_common(older, newer).is_empty() {
                        counts.unchanged += 1;
                        continue;
                    }
                    counts.changed += 1;
                }
                (Some(row), None) if unknown(1, row, after) => {
                    counts.unknown += 1;
                    continue;
                }
                (None, Some(row)) if unknown(0, row, before) => {
                    counts.unknown += 1;
                    continue;
                }
                (Some(_), None) => counts.removed += 1,
                (None, Some(_)) => counts.added += 1,
            }
            pairs.push((key.clone(), pair));
        }
    }
    (pairs, counts)
}

/// The class of a row, and which key columns have a value.
fn kind(row: &Row, spec: &KeySpec) -> (Option<String>, Vec<bool>) {
    let columns = match spec {
        KeySpec::Fields(names) => {
            names.iter().map(|name| field(row, name).is_some_and(|text| text != "null")).collect()
        }
        _ => vec![dn(row).is_some()],
    };
    (class_name(row), columns)
}

/// Names the attributes that both rows have and that differ, ascending.
pub(crate) fn differences_in_common(before: &Row, after: &Row) -> Vec<String> {
    let mut names = differences(before, after);
    names.retain(|name| before.contains_key(name) && after.contains_key(name));
    names
}

/// Names the attributes that differ, ascending.
pub(crate) fn differences(before: &Row, after: &Row) -> Vec<String> {
    let mut names: Vec<&String> = before.keys().chain(after.keys()).collect();
    names.sort();
    names.dedup();
    names.into_iter().filter(|name| before.get(*name) != after.get(*name)).cloned().collect()
}

/// The counts of a comparison.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) added: u64,
    pub(crate) removed: u64,
    pub(crate) changed: u64,
    pub(crate) unchanged: u64,
    pub(crate) hidden: u64,
    pub(crate) unkeyed: u64,
    pub(crate) unknown: u64,
}

impl From<DiffSummary> for Counts {
    fn from(summary: DiffSummary) -> Self {
        Self {
            added: summary.added,
            removed: summary.removed,
            changed: summary.changed,
            unchanged: summary.unchanged,
            hidden: summary.hidden,
            unkeyed: summary.unkeyed,
            unknown: summary.unknown,
        }
    }
}

/// Returns the engine's change as the model would state it, after checking what it says of itself.
pub(crate) fn pair(change: &Change) -> Pair {
    let side =
        |row: &Option<fabrik_core::Row>| row.as_ref().map(|row| members(&super::helpers::json(row.as_ref())).unwrap());
    let pair = (side(&change.before), side(&change.after));
    let kind = match &pair {
        (Some(_), Some(_)) => ChangeKind::Changed,
        (Some(_), None) => ChangeKind::Removed,
        _ => ChangeKind::Added,
    };
    assert_eq!(change.kind, kind);
    pair
}

/// Asserts that the engine found these pairs, in this order; of rows known by a hash the order is its own.
pub(crate) fn assert_same_changes(found: &[Change], expected: &[(Key, Pair)], spec: &KeySpec) {
    let in_model_order = |one: &(Key, Pair), other: &(Key, Pair)| match (&one.0, &other.0) {
        (Key::Content(_), Key::Content(_)) => format!("{:?}", one.1).cmp(&format!("{:?}", other.1)),
        (one, other) => one.cmp(other),
    };
    let mut found: Vec<(Key, Pair)> =
        (found.iter().map(pair)).map(|pair| (key(pair.1.as_ref().or(pair.0.as_ref()).unwrap(), spec), pair)).collect();
    let ascends = found.is_sorted_by(|one, other| match (&one.0, &other.0) {
        (Key::Content(_), Key::Content(_)) => true,
        (one, other) => one.cmp(other) != Ordering::Greater,
    });
    assert!(ascends, "changes come in key order");
    let mut expected = expected.to_vec();
    found.sort_by(in_model_order);
    expected.sort_by(in_model_order);
    let pairs = |changes: Vec<(Key, Pair)>| changes.into_iter().map(|(_, pair)| pair).collect::<Vec<_>>();
    assert_eq!(pairs(found), pairs(expected));
}

/// Values that look alike and are not.
fn value() -> impl Strategy<Value = String> {
    prop::sample::select(vec![
        "null",
        "true",
        "false",
        "0",
        "1",
        "1.0",
        "1e0",
        "-0",
        "\"\"",
        "\"1\"",
        "\"true\"",
        "\"null\"",
        "\"a\"",
        "\"A\"",
        "\"ä\\n\\\"\"",
        "\"\\u0000\"",
        "\"{}\"",
        "[]",
        "{}",
        "[1]",
        "[1.0]",
        "[[1],null]",
        r#"{"x":1}"#,
        r#"{"x":{"y":"a"}}"#,
        r#"{"x":{"y":"b"},"x.y":"a"}"#,
        r#"{"x":null}"#,
    ])
    .prop_map(str::to_owned)
}

/// Rows of few names and few values, so that keys meet, rows repeat and single attributes differ.
pub(crate) fn row() -> impl Strategy<Value = Row> {
    let dn = prop_oneof![
        6 => (0..12_u8).prop_map(|n| Some(quote(&format!("uni/tn-{n}")))),
        2 => prop::sample::select(vec!["\"\"", "null", "7", "\"uni\"", "\"uni/tn-1/BD-[x]\"", "\"ü\""])
            .prop_map(|text| Some(text.to_owned())),
        1 => Just(None),
    ];
    let class = prop::option::of(prop::sample::select(vec!["\"fvBD\"", "\"fvTenant\"", "1"]).prop_map(str::to_owned));
    let others = prop::collection::btree_map(
        prop::sample::select(vec!["a", "a.x", "b", "", "modTs", "class", "ä"]).prop_map(str::to_owned),
        value(),
        0..3,
    );
    (dn, class, others).prop_map(|(dn, class, mut row)| {
        row.extend(dn.map(|dn| ("dn".to_owned(), dn)));
        row.extend(class.map(|class| ("className".to_owned(), class)));
        row
    })
}

/// Some rows; about one in three is there more than once.
pub(crate) fn rows(most: usize) -> impl Strategy<Value = Vec<Row>> {
    prop::collection::vec((row(), prop_oneof![3 => Just(1_usize), 1 => 2..4_usize]), 0..most)
        .prop_map(|rows| rows.into_iter().flat_map(|(row, times)| vec![row; times]).collect())
}

/// Two lists of rows that have much in common.
pub(crate) fn two_versions(most: usize) -> impl Strategy<Value = (Vec<Row>, Vec<Row>)> {
    let edits =
        prop::collection::vec((any::<prop::sample::Index>(), prop_oneof![row().prop_map(Some), Just(None)]), 0..8);
    (rows(most), edits, rows(6)).prop_map(|(before, edits, new)| {
        let mut after = before.clone();
        for (index, edit) in edits {
            if after.is_empty() {
                break;
            }
            let at = index.index(after.len());
            match edit {
                Some(row) => after[at].extend(row),
                None => drop(after.swap_remove(at)),
            }
        }
        after.extend(new);
        (before, after)
    })
}

/// Every kind of key, with columns that exist, that do not, and that lie within others.
pub(crate) fn key_spec() -> impl Strategy<Value = KeySpec> {
    prop::sample::select(vec![
        KeySpec::Auto,
        KeySpec::Dn,
        KeySpec::Hash,
        KeySpec::fields(["dn"]).unwrap(),
        KeySpec::fields(["a"]).unwrap(),
        KeySpec::fields(["className", "a.x"]).unwrap(),
        KeySpec::fields(["a.x.y", "b"]).unwrap(),
        KeySpec::fields(["absent"]).unwrap(),
    ])
}

pub(crate) fn to_json(rows: &[Row]) -> Vec<String> {
    rows.iter().map(json).collect()
}

/// Returns rows as JSON, in an order that two lists with the same rows share.
pub(crate) fn sorted(mut rows: Vec<String>) -> Vec<String> {
    rows.sort();
    rows
}
