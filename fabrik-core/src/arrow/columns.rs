//! Which columns a snapshot has, and what Arrow type holds each without loss.

use std::collections::HashMap as Metadata;
use std::sync::Arc;

use arrow_schema::{DataType, Field, Schema, SchemaRef};
use hashbrown::HashMap;
use rayon::prelude::*;

use super::float::{EXACT, Whole, write_float};
use super::{JSON, WHOLE};
use crate::error::Result;
use crate::row::{CLASS_NAME, DN, Value};
use crate::snapshot::Snapshot;
use crate::store::ReadChunks;
use crate::tree::leaf::{Leaf, LeafRow};
use crate::tree::reader::TreeReader;

/// How many leaves one thread looks at.
const LEAVES_PER_TASK: usize = 64;

/// The columns of a snapshot: `dn` and `className` first, where there are such, and then the others by name.
#[derive(Clone, Debug)]
pub struct Columns {
    schema: SchemaRef,
    kinds: Arc<[Kind]>,
}

/// What the values of a column have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Bool,
    Int,
    Float(Whole),
    Json,
}

impl Columns {
    /// Finds the columns of a snapshot. Reads all of it once.
    ///
    /// # Errors
    ///
    /// [`Damaged`](crate::ErrorKind::Damaged) when a chunk cannot be read.
    pub async fn find(store: &dyn ReadChunks, snapshot: &Snapshot) -> Result<Self> {
        let mut scan = TreeReader::new(store).scan(snapshot.root).await?;
        let mut found = Found::default();
        loop {
            let leaves = scan.next().await?;
            if leaves.is_empty() {
                return Ok(found.into_columns());
            }
            let here = leaves.par_chunks(LEAVES_PER_TASK).map(Found::of).reduce(Found::default, Found::merged);
            found = found.merged(here);
        }
    }

    /// Returns the schema of record batches with these columns. Every field may be null.
    #[must_use]
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    pub(super) fn kinds(&self) -> &[Kind] {
        &self.kinds
    }

    fn new(columns: Vec<(String, Kind)>) -> Self {
        let fields: Vec<Field> = columns.iter().map(|(name, kind)| kind.field(name)).collect();
        let kinds = columns.into_iter().map(|(_, kind)| kind).collect();
        Self { schema: Arc::new(Schema::new(fields)), kinds }
    }
}

impl Kind {
    fn field(self, name: &str) -> Field {
        let says = |key: &str, value: &str| Metadata::from([(key.to_owned(), value.to_owned())]);
        match self {
            Self::Text => Field::new(name, DataType::Utf8, true),
            Self::Bool => Field::new(name, DataType::Boolean, true),
            Self::Int => Field::new(name, DataType::Int64, true),
            Self::Float(Whole::WithFraction) => Field::new(name, DataType::Float64, true),
            Self::Float(Whole::Digits) => {
                Field::new(name, DataType::Float64, true).with_metadata(says(WHOLE, "digits"))
            }
            Self::Json => Field::new(name, DataType::Utf8, true).with_metadata(says(JSON, "true")),
        }
    }
}

/// The kinds that a column may still be, after what was seen of it: a bit each.
type Candidates = u8;

const TEXT: Candidates = 1;
const BOOL: Candidates = 1 << 1;
const INT: Candidates = 1 << 2;
const FLOAT: Candidates = 1 << 3;
const FLOAT_OR_DIGITS: Candidates = 1 << 4;
const ANY: Candidates = TEXT | BOOL | NUMBER;
const NUMBER: Candidates = INT | FLOAT | FLOAT_OR_DIGITS;

/// Returns which kinds hold this value without loss; numbers are only looked into where the answer still matters.
fn candidates(value: Value<'_>, left: Candidates, scratch: &mut String) -> Candidates {
    match value {
        Value::Null => ANY,
        Value::String(_) => TEXT,
        Value::Bool(_) => BOOL,
        Value::Json(_) => 0,
        Value::Number(_) if left & NUMBER == 0 => 0,
        Value::Number(text) => match text.parse::<i64>() {
            // A float has the digits of every whole number up to a size, and of none beyond it.
            Ok(number) if text != "-0" => INT | if number.unsigned_abs() < EXACT { FLOAT_OR_DIGITS } else { 0 },
            _ => float_candidates(text, left, scratch),
        },
    }
}

fn float_candidates(text: &str, left: Candidates, scratch: &mut String) -> Candidates {
    let Some(number) = text.parse::<f64>().ok().filter(|number| number.is_finite()) else { return 0 };
    let mut found = 0;
    for (whole, candidate) in [(Whole::WithFraction, FLOAT), (Whole::Digits, FLOAT_OR_DIGITS)] {
        if left & candidate != 0 {
            scratch.clear();
            write_float(number, whole, scratch);
            found |= if scratch == text { candidate } else { 0 };
        }
    }
    found
}

fn kind_of(left: Candidates) -> Kind {
    // A column of nulls is one of texts.
    [
        (TEXT, Kind::Text),
        (BOOL, Kind::Bool),
        (INT, Kind::Int),
        (FLOAT, Kind::Float(Whole::WithFraction)),
        (FLOAT_OR_DIGITS, Kind::Float(Whole::Digits)),
    ]
    .into_iter()
    .find_map(|(candidate, kind)| (left & candidate != 0).then_some(kind))
    .unwrap_or(Kind::Json)
}

/// What was seen so far of each column.
#[derive(Debug, Default)]
struct Found {
    left: HashMap<String, Candidates>,
}

impl Found {
    fn of(leaves: &[Arc<Leaf>]) -> Self {
        let (mut names, mut left, mut scratch) = (HashMap::<String, usize>::new(), Vec::new(), String::new());
        let mut places = Places::default();
        for row in rows_of(leaves) {
            let column_of = |name: &str| {
                *names.entry_ref(name).or_insert_with(|| {
                    left.push(ANY);
                    left.len() - 1
                })
            };
            let places = places.of(row, column_of);
            for (&column, value) in places.iter().zip(row.values()) {
                if left[column] != 0 {
                    left[column] &= candidates(value, left[column], &mut scratch);
                }
            }
        }
        Self { left: names.into_iter().map(|(name, column)| (name, left[column])).collect() }
    }

    fn merged(mut self, other: Self) -> Self {
        for (name, left) in other.left {
            *self.left.entry(name).or_insert(ANY) &= left;
        }
        self
    }

    fn into_columns(self) -> Columns {
        let mut columns: Vec<(String, Kind)> =
            self.left.into_iter().map(|(name, left)| (name, kind_of(left))).collect();
        let rank = |name: &str| [DN, CLASS_NAME].iter().position(|first| *first == name).unwrap_or(2);
        columns.sort_unstable_by(|(one, _), (other, _)| rank(one).cmp(&rank(other)).then_with(|| one.cmp(other)));
        Columns::new(columns)
    }
}

/// Returns the rows of leaves, in order.
pub(super) fn rows_of(leaves: &[Arc<Leaf>]) -> impl Iterator<Item = LeafRow<'_>> {
    leaves.iter().flat_map(|leaf| (0..leaf.len()).map(|i| leaf.row(i)))
}

/// For each set of names which columns its values belong to, found once for all rows that have them.
#[derive(Debug, Default)]
pub(super) struct Places(HashMap<Vec<u8>, Box<[usize]>>);

impl Places {
    /// Returns the column of each value of a row; `column_of` finds it for a name.
    pub(super) fn of(&mut self, row: LeafRow<'_>, column_of: impl FnMut(&str) -> usize) -> &[usize] {
        self.0.entry_ref(row.encoded_names()).or_insert_with(|| row.names().map(column_of).collect())
    }
}
