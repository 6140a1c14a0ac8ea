//! A pipeline between a source and a snapshot.

use std::collections::VecDeque;

use async_trait::async_trait;
use serde_json::json;
use uuid::Uuid;

use super::super::*;
use crate::row::{RowBatch, RowBatchBuilder};
use crate::snapshot::Verdict;
use crate::store::MemoryStore;
use crate::{CaptureOptions, Error, KeySpec, Result, SnapshotId, Source, capture};

/// Batches of rows, some of which begin anew.
#[derive(Debug)]
struct Batches(VecDeque<(Vec<String>, bool)>, bool);

#[async_trait]
impl Source for Batches {
    async fn next_batch(&mut self) -> Result<Option<RowBatch>> {
        let Some((rows, starts_over)) = self.0.pop_front() else { return Ok(None) };
        self.1 = starts_over;
        let mut builder = RowBatchBuilder::default();
        rows.iter().for_each(|row| builder.push_json(row).unwrap());
        Ok(Some(builder.take()))
    }

    fn has_started_over(&mut self) -> bool {
        std::mem::take(&mut self.1)
    }

    fn verdict(&self) -> Verdict {
        Verdict::Complete
    }
}

impl Batches {
    fn new(batches: Vec<(Vec<serde_json::Value>, bool)>) -> Self {
        let texts = |rows: Vec<serde_json::Value>| rows.iter().map(ToString::to_string).collect();
        Self(batches.into_iter().map(|(rows, starts_over)| (texts(rows), starts_over)).collect(), false)
    }
}

fn captured(source: Batches, steps: serde_json::Value, key: KeySpec) -> Result<Vec<String>> {
    let steps: Vec<StepSpec> = serde_json::from_value(steps).unwrap();
    let pipeline = Pipeline::compile(&steps, ProcessLimits::default())?;
    let mut source = Processed::new(source, pipeline);
    let store = MemoryStore::default();
    let mut options =
        CaptureOptions::new(SnapshotId::new(Uuid::from_u128(1)), "query", "2026-03-02T08:00:00Z".parse().unwrap());
    options.key = key;
    pollster::block_on(async {
        let captured = capture(&store, &mut source, &options).await?;
        let mut rows = crate::rows(&store, &captured.snapshot).await?;
        let mut lines = Vec::new();
        while rows.next_lines(&mut lines).await? {}
        Ok(String::from_utf8(lines).unwrap().lines().map(str::to_owned).collect())
    })
}

#[test]
fn a_snapshot_has_what_the_steps_made() {
    let rows = [r#"{"dn":"uni/tn-a","x":1.50,"y":{"b":1,"a":2}}"#, r#"{"dn":"uni/tn-b","x":2}"#].map(str::to_owned);
    let source = Batches([(rows.to_vec(), false)].into(), false);
    let steps = json!([{"processorType": "filter_rows", "config": {"condition": "item.x < 2"}}]);

    let lines = captured(source, steps, KeySpec::Auto).unwrap();

    assert_eq!(lines, [r#"{"dn":"uni/tn-a","x":1.50,"y":{"a":2,"b":1}}"#]);
}

#[test]
fn rows_without_a_dn_are_named_by_their_fields() {
    let rows = ["a", "b", "a"].map(|name| json!({"dn": format!("uni/{name}"), "name": name})).to_vec();
    let steps = json!([{"processorType": "aggregate", "config": {"operation": "count", "groupBy": "name"}}]);

    let lines = captured(Batches::new(vec![(rows, false)]), steps, KeySpec::fields(["name"]).unwrap()).unwrap();

    assert_eq!(lines, [r#"{"count":2,"name":"a"}"#, r#"{"count":1,"name":"b"}"#]);
}

#[test]
fn bare_values_become_rows_of_one_column() {
    let rows = vec![json!({"dn": "uni/tn-b"}), json!({"dn": "uni/tn-a"})];
    let steps = json!([{"processorType": "dn-extract", "config": {}}]);

    let lines = captured(Batches::new(vec![(rows, false)]), steps, KeySpec::fields([VALUE]).unwrap()).unwrap();

    assert_eq!(lines, [r#"{"value":"uni/tn-a"}"#, r#"{"value":"uni/tn-b"}"#]);
}

#[test]
fn rows_before_a_start_over_do_not_count() {
    for steps in [
        json!([{"processorType": "aggregate", "config": {"operation": "count", "groupBy": "n"}}]),
        json!([{"processorType": "dedupe", "config": {}}, {"processorType": "map-transform", "config": {"expression": "{'n': item.n, 'count': 1}"}}]),
    ] {
        let batches =
            vec![(vec![json!({"n": 1})], false), (vec![json!({"n": 2})], false), (vec![json!({"n": 1})], true)];

        let lines = captured(Batches::new(batches), steps, KeySpec::fields(["n"]).unwrap()).unwrap();

        assert_eq!(lines, [r#"{"count":1,"n":1}"#]);
    }
}

#[test]
fn a_failing_step_stores_nothing_and_says_which_it_was() {
    let steps = json!([{"processorType": "map-transform", "config": {"expression": "item.none"}}]);

    let error =
        captured(Batches::new(vec![(vec![json!({"dn": "uni/tn-a"})], false)]), steps, KeySpec::Auto).unwrap_err();

    let Error::Step(step) = error else { panic!("{error}") };
    assert_eq!((step.index(), step.row()), (1, Some("uni/tn-a")));
}

#[test]
fn many_rows_come_in_batches_of_bounded_size() {
    let rows: Vec<serde_json::Value> = (0..5000).map(|n| json!({"dn": format!("uni/{n}"), "n": n})).collect();
    let steps = [StepSpec::new("array-sort", json!({"field": "n", "numeric": true}))];
    let pipeline = Pipeline::compile(&steps, ProcessLimits::default()).unwrap();
    let mut source = Processed::new(Batches::new(vec![(rows, false)]), pipeline);

    let mut sizes = Vec::new();
    while let Some(batch) = pollster::block_on(source.next_batch()).unwrap() {
        sizes.push(batch.len());
    }

    assert_eq!((sizes.iter().sum::<usize>(), sizes.iter().max()), (5000, Some(&2000)));
}
