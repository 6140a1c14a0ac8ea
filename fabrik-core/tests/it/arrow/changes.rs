//! The changes of a comparison as record batches.

use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_ipc::reader::StreamReader;
use fabrik_core::arrow::{ChangeBatches, write_changes_ipc};
use fabrik_core::severity::Model;
use fabrik_core::store::{MemoryStore, ReadChunks};
use fabrik_core::{DiffOptions, KeySpec, Snapshot};
use proptest::prelude::*;

use crate::helpers::{block_on, capture, compare};
use crate::model::{self, Row, json};

/// A line: the texts, and in the places of the flags `true` or `false`.
type Line = Vec<Option<String>>;

fn batches(store: &dyn ReadChunks, before: &Snapshot, after: &Snapshot, options: DiffOptions) -> Vec<RecordBatch> {
    block_on(async {
        let comparison = fabrik_core::compare(store, before, after, options).await.unwrap();
        let mut stream = ChangeBatches::new(comparison);
        let mut batches = Vec::new();
        while let Some(batch) = stream.next_batch().await.unwrap() {
            assert_eq!(batch.schema(), ChangeBatches::schema());
            assert!((1..=8192).contains(&batch.num_rows()));
            batches.push(batch);
        }
        batches
    })
}

fn lines_of(batches: &[RecordBatch]) -> Vec<Line> {
    batches.iter().flat_map(|batch| (0..batch.num_rows()).map(|i| line(batch, i))).collect()
}

fn lines(store: &dyn ReadChunks, before: &Snapshot, after: &Snapshot, options: DiffOptions) -> Vec<Line> {
    lines_of(&batches(store, before, after, options))
}

fn line(batch: &RecordBatch, i: usize) -> Line {
    let cell = |column: &arrow_array::ArrayRef| {
        let text = |column: &arrow_array::ArrayRef| match column.as_string_opt::<i32>() {
            Some(texts) => texts.value(i).to_owned(),
            None => column.as_boolean().value(i).to_string(),
        };
        (!column.is_null(i)).then(|| text(column))
    };
    batch.columns().iter().map(cell).collect()
}

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

/// Returns the text of a value and whether it is JSON.
fn shown(value: Option<&String>) -> [Option<String>; 2] {
    let Some(value) = value else { return [None, None] };
    match serde_json::from_str(value) {
        Ok(serde_json::Value::String(text)) => [Some(text), some("false")],
        _ => [Some(value.clone()), some("true")],
    }
}

/// Returns the lines that a change must have, up to `missing`.
fn expected((before, after): &(Option<Row>, Option<Row>), key: &KeySpec) -> Vec<Line> {
    let row = after.as_ref().or(before.as_ref()).unwrap();
    let key = match key {
        KeySpec::Fields(names) => {
            let value = |name: &str| row.get(name).cloned().unwrap_or_else(|| "null".to_owned());
            let members: Vec<String> =
                names.iter().map(|name| format!("{}:{}", model::quote(name), value(name))).collect();
            Some(format!("{{{}}}", members.join(",")))
        }
        _ => model::dn(row),
    };
    let line = |kind: &str, attribute: Option<&String>, before: [_; 2], after: [_; 2], missing: Option<&str>| {
        let head = [some(kind), key.clone(), model::dn(row), model::class_name(row), attribute.cloned()];
        let [before, before_is_json] = before;
        let [after, after_is_json] = after;
        let tail = [before, after, before_is_json, after_is_json, missing.map(str::to_owned)];
        head.into_iter().chain(tail).collect()
    };
    let whole = |row: &Row| [Some(json(row)), some("true")];
    match (before, after) {
        (Some(before), Some(after)) => (model::differences(before, after).iter())
            .map(|name| {
                let missing = if !before.contains_key(name) {
                    Some("before")
                } else {
                    (!after.contains_key(name)).then_some("after")
                };
                line("changed", Some(name), shown(before.get(name)), shown(after.get(name)), missing)
            })
            .collect(),
        (Some(before), None) => vec![line("removed", None, whole(before), [None, None], None)],
        (None, Some(after)) => vec![line("added", None, [None, None], whole(after), None)],
        (None, None) => unreachable!("a change has a side"),
    }
}

proptest! {
    #[test]
    fn batches_hold_exactly_the_changes(
        (before, after) in model::two_versions(20),
        key in prop_oneof![Just(KeySpec::Auto), Just(KeySpec::fields(["a", "className"]).unwrap())],
    ) {
        let store = MemoryStore::default();
        let before = capture(&store, 1, before.iter().map(json));
        let after = capture(&store, 2, after.iter().map(json));
        let options = DiffOptions::default().with_key(key.clone());

        let found = lines(&store, &before, &after, options.clone());

        let (changes, _) = compare(&store, &before, &after, options);
        let expected: Vec<Line> = changes.iter().flat_map(|change| expected(&model::pair(change), &key)).collect();
        let facts = |line: &Line| line[..10].to_vec();
        prop_assert_eq!(found.iter().map(facts).collect::<Vec<_>>(), expected);
        prop_assert!(found.iter().all(|line| line[10..] == [None, None, None]));
    }
}

#[test]
fn a_stream_reads_back_as_the_batches() {
    let store = MemoryStore::default();
    let before = capture(&store, 1, [r#"{"dn":"uni/tn-a","a":"1"}"#, r#"{"dn":"uni/tn-b"}"#]);
    let after = capture(&store, 2, [r#"{"dn":"uni/tn-a","a":"2"}"#]);

    for (older, newer) in [(&before, &after), (&before, &before)] {
        let mut stream = Vec::new();
        block_on(async {
            let comparison = fabrik_core::compare(&store, older, newer, DiffOptions::default()).await.unwrap();
            write_changes_ipc(comparison, &mut stream).await.unwrap();
        });

        let reader = StreamReader::try_new(stream.as_slice(), None).unwrap();
        assert_eq!(reader.schema(), ChangeBatches::schema());
        let read: Vec<RecordBatch> = reader.map(Result::unwrap).collect();
        assert_eq!(read, batches(&store, older, newer, DiffOptions::default()));
    }
}

#[test]
fn a_judged_change_says_how_much_it_matters_on_each_line() {
    let store = MemoryStore::default();
    let before = capture(&store, 1, [r#"{"dn":"uni/tn-a","className":"fvTenant","a":"1","b":"1"}"#]);
    let after = capture(&store, 2, [r#"{"dn":"uni/tn-a","className":"fvTenant","a":"2","b":"2"}"#]);
    let options = DiffOptions::default().with_severity(Arc::new(Model::standard()));

    let found = lines(&store, &before, &after, options.clone());

    let (changes, _) = compare(&store, &before, &after, options);
    let judgement = changes[0].judgement().unwrap();
    let rule = judgement.rule.as_ref().map(|rule| rule.id().to_owned());
    assert_eq!(found.len(), 2);
    for line in found {
        assert_eq!(line[10..], [some(judgement.severity.name()), Some(judgement.reason.clone()), rule.clone()]);
    }
}

#[test]
fn a_change_of_long_values_goes_over_several_batches() {
    let store = MemoryStore::default();
    let row = |letter: &str| {
        let members: Vec<String> = (0..10).map(|i| format!("\"a{i}\":{:?}", letter.repeat(1 << 20))).collect();
        format!("{{\"dn\":\"uni\",{}}}", members.join(","))
    };
    let before = capture(&store, 1, [row("x"), r#"{"dn":"a"}"#.to_owned()]);
    let after = capture(&store, 2, [row("y"), r#"{"dn":"z"}"#.to_owned()]);

    let found = batches(&store, &before, &after, DiffOptions::default());

    assert!(found.len() > 2 && found.iter().all(|batch| batch.num_rows() < 6));
    let attributes: Vec<String> =
        lines_of(&found).into_iter().map(|line| line[4].clone().unwrap_or_default()).collect();
    assert_eq!(attributes, ["", "a0", "a1", "a2", "a3", "a4", "a5", "a6", "a7", "a8", "a9", ""]);
}
