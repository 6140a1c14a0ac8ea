//! The rows of a snapshot as record batches.

use std::collections::VecDeque;
use std::sync::Arc;

use arrow_array::builder::{ArrayBuilder, BooleanBuilder, Float64Builder, Int64Builder, StringBuilder};
use arrow_array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow_schema::SchemaRef;
use hashbrown::HashMap;
use rayon::prelude::*;

use super::columns::{Columns, Kind, Places, rows_of};
use crate::error::Result;
use crate::row::Value;
use crate::snapshot::Snapshot;
use crate::store::ReadChunks;
use crate::tree::leaf::Leaf;
use crate::tree::reader::{LeafScan, TreeReader};

/// How many leaves become one batch, on one thread: some thousand rows.
const LEAVES_PER_BATCH: usize = 256;
/// How many cells become batches together, so that a snapshot with very many columns takes no more memory.
const CELLS_AT_ONCE: usize = 32 << 20;
/// How many rows a leaf has at most, for that count.
const ROWS_PER_LEAF: usize = 96;
/// A batch ends once its texts take this many bytes; far below the 2 GiB that a column of texts can hold.
const BATCH_BYTES: usize = 64 << 20;

/// Starts to read the rows of a snapshot as record batches, in key order. Reads all of it once to find its columns.
///
/// # Errors
///
/// [`Damaged`](crate::ErrorKind::Damaged) when a chunk cannot be read.
pub async fn row_batches<'s>(store: &'s dyn ReadChunks, snapshot: &Snapshot) -> Result<RowBatches<'s>> {
    let columns = Columns::find(store, snapshot).await?;
    RowBatches::new(store, snapshot, columns).await
}

/// The rows of a snapshot as record batches of some thousand rows, in key order.
///
/// The same content always gives the same batches.
#[derive(Debug)]
pub struct RowBatches<'s> {
    scan: LeafScan<'s>,
    columns: Columns,
    places: Arc<HashMap<String, usize>>,
    leaves: VecDeque<Arc<Leaf>>,
    ready: VecDeque<RecordBatch>,
}

impl<'s> RowBatches<'s> {
    /// Starts to read a snapshot whose columns are known.
    ///
    /// # Errors
    ///
    /// [`Damaged`](crate::ErrorKind::Damaged) when a chunk cannot be read.
    pub async fn new(store: &'s dyn ReadChunks, snapshot: &Snapshot, columns: Columns) -> Result<Self> {
        let names = columns.schema().fields().iter().enumerate();
        Ok(Self {
            scan: TreeReader::new(store).scan(snapshot.root).await?,
            places: Arc::new(names.map(|(column, field)| (field.name().clone(), column)).collect()),
            columns,
            leaves: VecDeque::new(),
            ready: VecDeque::new(),
        })
    }

    /// Returns the schema of all batches.
    #[must_use]
    pub fn schema(&self) -> &SchemaRef {
        self.columns.schema()
    }

    /// Returns the next batch, which has rows, and `None` after the last.
    ///
    /// # Errors
    ///
    /// [`Damaged`](crate::ErrorKind::Damaged) when a chunk cannot be read.
    pub async fn next_batch(&mut self) -> Result<Option<RecordBatch>> {
        loop {
            if let Some(batch) = self.ready.pop_front() {
                return Ok(Some(batch));
            }
            if self.leaves.is_empty() {
                self.leaves = self.scan.next().await?.into();
                if self.leaves.is_empty() {
                    return Ok(None);
                }
            }
            let at_once = (CELLS_AT_ONCE / ROWS_PER_LEAF / self.columns.kinds().len().max(1)).max(1);
            let leaves: Vec<Arc<Leaf>> = self.leaves.drain(..at_once.min(self.leaves.len())).collect();
            let made: Vec<Vec<RecordBatch>> =
                leaves.par_chunks(LEAVES_PER_BATCH).map(|leaves| self.batches_of(leaves)).collect();
            self.ready.extend(made.into_iter().flatten());
        }
    }

    fn batches_of(&self, leaves: &[Arc<Leaf>]) -> Vec<RecordBatch> {
        let (mut batches, mut batch) = (Vec::new(), BatchBuilder::new(&self.columns));
        let mut places = Places::default();
        for row in rows_of(leaves) {
            let places = places.of(row, |name| self.places[name]);
            for (&column, value) in places.iter().zip(row.values()) {
                batch.put(column, value);
            }
            batch.n_rows += 1;
            if batch.text_bytes > BATCH_BYTES {
                batches.push(std::mem::replace(&mut batch, BatchBuilder::new(&self.columns)).finish());
            }
        }
        if batch.n_rows > 0 {
            batches.push(batch.finish());
        }
        batches
    }
}

/// A record batch under construction.
struct BatchBuilder<'c> {
    columns: &'c Columns,
    builders: Vec<ColumnBuilder>,
    n_rows: usize,
    text_bytes: usize,
    scratch: Vec<u8>,
}

impl<'c> BatchBuilder<'c> {
    fn new(columns: &'c Columns) -> Self {
        let builders = columns.kinds().iter().map(|&kind| ColumnBuilder::new(kind)).collect();
        Self { columns, builders, n_rows: 0, text_bytes: 0, scratch: Vec::new() }
    }

    /// Puts a value into the row under way. What is null is left out, and filled in before the next value.
    fn put(&mut self, column: usize, value: Value<'_>) {
        if value != Value::Null {
            let builder = &mut self.builders[column];
            builder.fill(self.n_rows);
            self.text_bytes += builder.append(value, &mut self.scratch);
        }
    }

    fn finish(mut self) -> RecordBatch {
        let finish = |builder: &mut ColumnBuilder| {
            builder.fill(self.n_rows);
            builder.finish()
        };
        let arrays = self.builders.iter_mut().map(finish).collect();
        // Without columns there is nothing else that knows the number of rows.
        let options = RecordBatchOptions::new().with_row_count(Some(self.n_rows));
        RecordBatch::try_new_with_options(Arc::clone(self.columns.schema()), arrays, &options)
            .expect("the builders are made after the schema and filled to one length")
    }
}

enum ColumnBuilder {
    Text(StringBuilder),
    Bool(BooleanBuilder),
    Int(Int64Builder),
    Float(Float64Builder),
    Json(StringBuilder),
}

impl ColumnBuilder {
    /// Makes a builder that takes no memory yet: of many columns most may have no value in a batch.
    fn new(kind: Kind) -> Self {
        match kind {
            Kind::Text => Self::Text(StringBuilder::with_capacity(0, 0)),
            Kind::Bool => Self::Bool(BooleanBuilder::with_capacity(0)),
            Kind::Int => Self::Int(Int64Builder::with_capacity(0)),
            Kind::Float(_) => Self::Float(Float64Builder::with_capacity(0)),
            Kind::Json => Self::Json(StringBuilder::with_capacity(0, 0)),
        }
    }

    /// Appends nulls until there are `n_rows`.
    fn fill(&mut self, n_rows: usize) {
        let lacks = n_rows - self.len();
        if lacks > 0 {
            match self {
                Self::Text(builder) | Self::Json(builder) => builder.append_nulls(lacks),
                Self::Bool(builder) => builder.append_nulls(lacks),
                Self::Int(builder) => builder.append_nulls(lacks),
                Self::Float(builder) => builder.append_nulls(lacks),
            }
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Text(builder) | Self::Json(builder) => builder.len(),
            Self::Bool(builder) => builder.len(),
            Self::Int(builder) => builder.len(),
            Self::Float(builder) => builder.len(),
        }
    }

    /// Appends a value of the builder's kind; returns how many bytes of text it has.
    fn append(&mut self, value: Value<'_>, scratch: &mut Vec<u8>) -> usize {
        match (self, value) {
            (Self::Text(builder), Value::String(text)) => {
                builder.append_value(text);
                return text.len();
            }
            (Self::Json(builder), value) => {
                scratch.clear();
                value.write_json(scratch);
                builder.append_value(std::str::from_utf8(scratch).expect("JSON of valid texts is valid UTF-8"));
                return scratch.len();
            }
            (Self::Bool(builder), Value::Bool(value)) => builder.append_value(value),
            (Self::Int(builder), Value::Number(text)) => builder.append_value(text.parse().expect(FITS)),
            (Self::Float(builder), Value::Number(text)) => builder.append_value(text.parse().expect(FITS)),
            (_, value) => unreachable!("{FITS}, but here is {value:?}"),
        }
        0
    }

    fn finish(&mut self) -> ArrayRef {
        match self {
            Self::Text(builder) | Self::Json(builder) => Arc::new(builder.finish()),
            Self::Bool(builder) => Arc::new(builder.finish()),
            Self::Int(builder) => Arc::new(builder.finish()),
            Self::Float(builder) => Arc::new(builder.finish()),
        }
    }
}

const FITS: &str = "the column got its kind after all of its values were seen";
