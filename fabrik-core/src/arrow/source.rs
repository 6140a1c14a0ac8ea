//! Record batches as a source of rows.

use std::fmt;

use arrow_array::RecordBatch;
use arrow_schema::{ArrowError, Schema};
use async_trait::async_trait;
use hashbrown::HashSet;

use super::cell::{self, Cell};
use crate::error::{Error, Result, shorten};
use crate::row::{RowBatch, RowBatchBuilder, RowError, Value};
use crate::snapshot::Verdict;
use crate::source::{Source, SourceProgress};

/// Rows are handed on in batches of about this size.
const BATCH_BYTES: usize = 1 << 20;
const BATCH_ROWS: usize = 8192;

/// Record batches, taken as rows. A batch and what became rows of it are in memory at a time.
///
/// | in Arrow | in a row |
/// | --- | --- |
/// | null | no such attribute; null in a list; no such member of a struct |
/// | texts of any layout | string; where the field has [`JSON`](super::JSON), what the JSON text says |
/// | booleans | boolean |
/// | integers, decimals | number, with all of their digits |
/// | floats | number with its shortest digits: `1.0`; [`WHOLE`](super::WHOLE) gives `1` |
/// | dates, timestamps | string: `2026-03-01`, `2026-03-01T08:00:00+00:00` in UTC, and without an offset where there is no zone |
/// | lists, structs | nested value |
/// | dictionaries | what their entries are |
///
/// Other types, floats that are no finite numbers, and two columns of one name are refused.
pub struct ArrowSource {
    origin: String,
    batches: Box<dyn Iterator<Item = Result<RecordBatch, ArrowError>> + Send>,
    /// The batch under way and how many of its rows were taken.
    current: Option<(RecordBatch, usize)>,
    builder: RowBatchBuilder,
    rows: u64,
}

impl ArrowSource {
    /// Takes batches from whatever gives them; `origin` names it in errors.
    pub fn new<B>(origin: impl Into<String>, batches: B) -> Self
    where
        B: IntoIterator<Item = Result<RecordBatch, ArrowError>, IntoIter: Send + 'static>,
    {
        Self {
            origin: origin.into(),
            batches: Box::new(batches.into_iter()),
            current: None,
            builder: RowBatchBuilder::default(),
            rows: 0,
        }
    }

    /// Refuses batches that cannot be rows, before the first of their rows.
    fn check(&self, schema: &Schema) -> Result<()> {
        let refused = |problem: String| Error::Source { origin: self.origin.clone(), problem, source: None };
        let mut names = HashSet::new();
        for field in schema.fields() {
            let name = shorten(field.name());
            cell::check(field).map_err(|problem| refused(format!("column {name:?} {problem}")))?;
            if !names.insert(field.name()) {
                return Err(refused(format!("column {name:?} is there twice; expected names that differ")));
            }
        }
        Ok(())
    }

    /// Takes rows of a batch from one on, up to the size of a batch of rows; returns where it stopped.
    fn take_rows(&mut self, batch: &RecordBatch, from: usize) -> Result<usize> {
        let schema = batch.schema_ref();
        let mut scratch = String::new();
        for i in from..batch.num_rows() {
            if self.builder.held_bytes() >= BATCH_BYTES || self.builder.len() >= BATCH_ROWS {
                return Ok(i);
            }
            self.rows += 1;
            for (field, array) in schema.fields().iter().zip(batch.columns()) {
                let wrong = |problem: String| {
                    RowError::new(format!("column {:?} {problem}", shorten(field.name()))).at(self.rows)
                };
                match cell::read(field, array, i, &mut scratch).map_err(wrong)? {
                    Cell::Null => {}
                    Cell::Bool(value) => self.builder.attribute(field.name(), Value::Bool(value)),
                    Cell::Number(digits) => self.builder.attribute(field.name(), Value::Number(digits)),
                    Cell::Text(text) => self.builder.attribute(field.name(), Value::String(text)),
                    Cell::Json(text) => {
                        self.builder.attribute_json(field.name(), text).map_err(|error| error.at(self.rows))?;
                    }
                }
            }
            self.builder.finish_row().map_err(|error| error.at(self.rows))?;
        }
        Ok(batch.num_rows())
    }
}

#[async_trait]
impl Source for ArrowSource {
    async fn next_batch(&mut self) -> Result<Option<RowBatch>> {
        loop {
            let (batch, from) = match self.current.take() {
                Some(current) => current,
                None => match self.batches.next() {
                    Some(Ok(batch)) => {
                        self.check(batch.schema_ref())?;
                        (batch, 0)
                    }
                    Some(Err(error)) => {
                        let problem = "the record batches broke off".to_owned();
                        let source = Some(error.into());
                        return Err(Error::Source { origin: self.origin.clone(), problem, source });
                    }
                    None => return Ok((!self.builder.is_empty()).then(|| self.builder.take())),
                },
            };
            let to = self.take_rows(&batch, from)?;
            if to < batch.num_rows() {
                self.current = Some((batch, to));
                return Ok(Some(self.builder.take()));
            }
        }
    }

    fn verdict(&self) -> Verdict {
        Verdict::Complete
    }

    fn progress(&self) -> SourceProgress {
        SourceProgress { rows: self.rows, ..SourceProgress::default() }
    }
}

impl fmt::Debug for ArrowSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ArrowSource").field("origin", &self.origin).field("rows", &self.rows).finish_non_exhaustive()
    }
}
