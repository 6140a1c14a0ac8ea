//! Steps that work on rows between a source and whoever takes them: filter, project, sort, count and so on.
//!
//! A [`Pipeline`] is compiled once from [`StepSpec`]s, which refuses what cannot run, and then takes [`Item`]s and gives
//! items, in order. Most steps look at one item at a time. A sort, a group and a join need all of them: those hold at
//! most [`ProcessLimits::memory_bytes`] and end with an error beyond. [`Processed`] puts a pipeline behind a
//! [`Source`](crate::Source), so that a capture stores what comes out.
//!
//! An item is a row, or a bare value where a step has made one of it (`dn-extract`, `aggregate` …). Where a bare value
//! has to be a row, its only column is [`VALUE`].
//!
//! Expressions (`map-transform`, and `filter_rows` beyond a plain comparison) are a small language without loops, files
//! or clocks, see [`Expression`]. JavaScript is not run; where a step holds some, the error shows what to write instead.

mod columns;
mod condition;
mod config;
mod error;
mod expression;
mod item;
mod javascript;
mod patterns;
mod source;
mod text;
mod whole;

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::row::{RowBatch, RowBatchBuilder};
use config::Config;
pub use error::StepError;
use error::{Fault, Origin};
pub use expression::{Expression, ExpressionError};
pub use item::{Cell, Item, Record};
pub use source::Processed;

/// The column of a bare value that has to be a row.
pub const VALUE: &str = "value";
/// The most steps that a pipeline has.
pub const MAX_STEPS: usize = 100;

/// One step as it is written down: its kind, its parameters, and whether it is left out for now.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct StepSpec {
    /// The kind, such as `filter_rows` or `array-sort`; `-` and `_` are the same.
    #[serde(alias = "type", alias = "kind", alias = "processor_type")]
    pub processor_type: String,
    /// The parameters of the kind.
    #[serde(default, deserialize_with = "null_as_default", skip_serializing_if = "serde_json::Map::is_empty")]
    pub config: serde_json::Map<String, serde_json::Value>,
    /// Whether the step is skipped.
    #[serde(
        default,
        deserialize_with = "null_as_default",
        alias = "is_paused",
        alias = "paused",
        skip_serializing_if = "std::ops::Not::not"
    )]
    pub is_paused: bool,
}

impl StepSpec {
    /// Makes a step of a kind with its parameters; anything but an object counts as none.
    #[must_use]
    pub fn new(kind: impl Into<String>, config: serde_json::Value) -> Self {
        let config = match config {
            serde_json::Value::Object(config) => config,
            _ => serde_json::Map::new(),
        };
        Self { processor_type: kind.into(), config, is_paused: false }
    }

    /// Returns the kind in its one spelling.
    #[must_use]
    pub fn kind(&self) -> String {
        self.processor_type.trim().to_ascii_lowercase().replace('_', "-")
    }
}

fn null_as_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// What a pipeline may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProcessLimits {
    /// How much one step may hold, roughly, in bytes. 256 MiB.
    pub memory_bytes: usize,
}

impl Default for ProcessLimits {
    fn default() -> Self {
        Self { memory_bytes: 256 << 20 }
    }
}

impl ProcessLimits {
    /// Sets how much one step may hold.
    #[must_use]
    pub fn with_memory_bytes(mut self, memory_bytes: usize) -> Self {
        self.memory_bytes = memory_bytes;
        self
    }
}

/// Steps that are ready to run.
///
/// ```
/// use fabrik_core::process::{Item, Pipeline, ProcessLimits, StepSpec};
/// use serde_json::json;
///
/// let steps = [
///     StepSpec::new("filter_rows", json!({"condition": "item.arpFlood == 'yes'"})),
///     StepSpec::new("dn-extract", json!({"extractPattern": "BD-([^/]+)"})),
/// ];
/// let mut pipeline = Pipeline::compile(&steps, ProcessLimits::default())?;
/// let rows = json!([{"dn": "uni/tn-a/BD-web", "arpFlood": "yes"}, {"dn": "uni/tn-a/BD-db", "arpFlood": "no"}]);
/// let items = pipeline.run(Item::all_from_json(&rows))?;
/// assert_eq!(serde_json::to_value(&items)?, json!(["web"]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Default)]
pub struct Pipeline {
    stages: Vec<Placed>,
}

#[derive(Debug)]
struct Placed {
    origin: Origin,
    stage: Box<dyn Stage>,
}

/// A step at work. `out` takes what the next step gets.
trait Stage: fmt::Debug + Send {
    fn push(&mut self, item: Item, out: &mut Vec<Item>) -> Result<(), Fault>;

    /// Gives what was held back; the stage is then as new.
    fn finish(&mut self, _out: &mut Vec<Item>) -> Result<(), Fault> {
        Ok(())
    }
}

impl Pipeline {
    /// Prepares steps; paused ones are left out and not looked at.
    ///
    /// # Errors
    ///
    /// A [`StepError`] that names the first step which cannot run, and why.
    pub fn compile(steps: &[StepSpec], limits: ProcessLimits) -> Result<Self, StepError> {
        if let Some(extra) = steps.get(MAX_STEPS) {
            let origin = Origin { index: MAX_STEPS + 1, kind: extra.kind() };
            return Err(origin.error(Fault::new(format!("expected at most {MAX_STEPS} steps, found {}", steps.len()))));
        }
        let mut stages = Vec::new();
        for (i, step) in steps.iter().enumerate().filter(|(_, step)| !step.is_paused) {
            let origin = Origin { index: i + 1, kind: step.kind() };
            let stage = build(step, limits).map_err(|fault| origin.error(fault))?;
            stages.push(Placed { origin, stage });
        }
        Ok(Self { stages })
    }

    /// Returns whether nothing happens to the items.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.stages.is_empty()
    }

    /// Takes items and returns those that are done with all steps.
    ///
    /// # Errors
    ///
    /// A [`StepError`] that names the step, the item and the expression at fault. The pipeline is then of no more use.
    pub fn push(&mut self, items: Vec<Item>) -> Result<Vec<Item>, StepError> {
        feed(&mut self.stages, items)
    }

    /// Ends the input and returns what steps had held back. The pipeline is then as new.
    ///
    /// # Errors
    ///
    /// As [`Pipeline::push`].
    pub fn finish(&mut self) -> Result<Vec<Item>, StepError> {
        let mut done = Vec::new();
        for i in 0..self.stages.len() {
            let (placed, rest) = self.stages[i..].split_first_mut().expect("i is less than their number");
            let mut held = Vec::new();
            placed.stage.finish(&mut held).map_err(|fault| placed.origin.error(fault))?;
            done.append(&mut feed(rest, held)?);
        }
        Ok(done)
    }

    /// Takes all items at once and returns all that come out.
    ///
    /// # Errors
    ///
    /// As [`Pipeline::push`].
    pub fn run(&mut self, items: Vec<Item>) -> Result<Vec<Item>, StepError> {
        let mut done = self.push(items)?;
        done.append(&mut self.finish()?);
        Ok(done)
    }

    /// Forgets all items that steps hold back.
    fn start_over(&mut self) {
        for placed in &mut self.stages {
            // What a step gave or complained about belongs to rows that are void.
            let _ = placed.stage.finish(&mut Vec::new());
        }
    }
}

fn feed(stages: &mut [Placed], mut items: Vec<Item>) -> Result<Vec<Item>, StepError> {
    for Placed { origin, stage } in stages {
        let mut out = Vec::with_capacity(items.len());
        for item in items {
            stage.push(item, &mut out).map_err(|fault| origin.error(fault))?;
        }
        items = out;
    }
    Ok(items)
}

/// The kinds of steps, as errors list them.
const KINDS: &str = "filter_rows, dn-extract, regex-transform, array-sort, pattern-filter, field-extract, flatten, \
                     map-transform, text-operations, aggregate, rename, limit or dedupe";

fn build(step: &StepSpec, limits: ProcessLimits) -> Result<Box<dyn Stage>, Fault> {
    let config = Config::new(&step.config);
    Ok(match step.kind().as_str() {
        "filter-rows" => Box::new(condition::FilterRows::new(&config)?),
        "dn-extract" => Box::new(patterns::DnExtract::new(&config)?),
        "regex-transform" => Box::new(patterns::RegexTransform::new(&config)?),
        "array-sort" => Box::new(whole::ArraySort::new(&config, limits)?),
        "pattern-filter" => Box::new(patterns::PatternFilter::new(&config)?),
        "field-extract" => Box::new(columns::FieldExtract::new(&config)?),
        "flatten" => Box::new(columns::Flatten::new(&config)?),
        "map-transform" => Box::new(columns::MapTransform::new(&config)?),
        "text-operations" => text::new(&config, limits)?,
        "aggregate" => Box::new(whole::Aggregate::new(&config, limits)?),
        "rename" => Box::new(columns::Rename::new(&config)?),
        "limit" => Box::new(whole::Limit::new(&config)?),
        "dedupe" => Box::new(whole::Dedupe::new(&config, limits)?),
        "javascript" => return Err(javascript::refuse_code(config.text("code")?.as_deref().unwrap_or(""))),
        kind => return Err(Fault::new(format!("kind {kind:?} is not valid: expected {KINDS}"))),
    })
}

/// Turns items into rows; a bare value becomes a row of the one column [`VALUE`].
///
/// # Errors
///
/// [`InvalidInput`](crate::ErrorKind::InvalidInput) when an item cannot be a row, such as one that is too long. `first`
/// is the number of the first item in an error.
pub fn to_rows(items: &[Item], builder: &mut RowBatchBuilder, first: u64) -> crate::Result<RowBatch> {
    for (number, item) in (first..).zip(items) {
        item.write_row(builder).map_err(|problem| problem.at(number))?;
    }
    Ok(builder.take())
}

#[cfg(test)]
mod tests;
