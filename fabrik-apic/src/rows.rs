//! Rows from a JSON input: blocks are parsed in parallel while the next one is read.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::ops::Range;

use fabrik_core::{Result, RowBatch, RowBatchBuilder};
use rayon::prelude::*;

use crate::framing::tree::Part;
use crate::framing::{Block, RowSplitter};
use crate::object::{self, ObjectProblem};
use crate::origin::Origin;
use crate::unfold::Unfolder;

/// How much text makes a batch. Fewer bytes cost more per row, more take longer to reach all cores.
const BATCH_TEXT_BYTES: usize = 512 << 10;

/// What the rows of an input are. An input has rows of one kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RowKind {
    /// Managed objects.
    Object,
    /// Objects whose members are the attributes.
    Flat,
}

/// Reads the rows of a JSON array, an APIC answer, lines of JSON or trees of objects.
#[derive(Debug)]
pub(crate) struct JsonRows {
    splitter: RowSplitter,
    origin: Origin,
    /// Unknown until the first row was seen.
    kind: Option<RowKind>,
    next: Option<Result<Option<Block>>>,
    /// One for each slice of a block; they keep what they learned of the attribute names.
    builders: Vec<RowBatchBuilder>,
    /// For objects that cannot be read side by side.
    unfolder: Unfolder,
}

impl JsonRows {
    /// `kind` is for inputs that can have rows of one kind only.
    pub(crate) fn new(splitter: RowSplitter, origin: Origin, kind: Option<RowKind>, unfolder: Unfolder) -> Self {
        Self { splitter, origin, kind, next: None, builders: Vec::new(), unfolder }
    }

    /// Adds the next batches to `ready`, none of them empty; returns false after the last row.
    pub(crate) fn read_into(&mut self, ready: &mut VecDeque<RowBatch>) -> Result<bool> {
        let next = self.next.take().unwrap_or_else(|| self.splitter.next_block());
        let Some(block) = next? else { return Ok(false) };
        let kind = *self.kind.get_or_insert_with(|| kind_of(&block));
        let is_plain = block.parts.is_empty() && (kind == RowKind::Flat || self.unfolder.is_plain());
        let slices = if is_plain { slice_rows(&block.rows) } else { Vec::new() };
        self.builders.resize_with(slices.len().max(self.builders.len()).max(1), RowBatchBuilder::default);

        let Self { splitter, origin, builders, unfolder, .. } = self;
        let parse = || -> Vec<Result<RowBatch>> {
            if !is_plain {
                let rows = &mut builders[0];
                return vec![unfold(&block, kind, unfolder, rows, origin).map(|()| rows.take())];
            }
            let work = slices.into_par_iter().zip(builders.par_iter_mut());
            work.map(|(slice, builder)| {
                let rows = &block.rows[slice.clone()];
                parse_rows(&block.text, rows, kind, builder).map_err(|fault| {
                    let row = block.first_row + (slice.start + fault.place) as u64;
                    origin.row_error(row, block.offset + fault.at as u64, fault.problem)
                })
            })
            .collect()
        };
        let (next, batches) = rayon::join(|| splitter.next_block(), parse);
        self.next = Some(next);
        self.splitter.recycle(block);
        for batch in batches {
            let batch = batch?;
            if !batch.is_empty() {
                ready.push_back(batch);
            }
        }
        Ok(true)
    }

    /// Returns, after the last row, how many there were and were announced, and what read the objects.
    pub(crate) fn finish(self) -> (RowCount, Unfolder) {
        let count = RowCount { n_rows: self.splitter.n_rows(), announced: self.splitter.total_count() };
        (count, self.unfolder)
    }
}

/// How many rows an input has and should have, not counting what is nested below them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct RowCount {
    pub(crate) n_rows: u64,
    pub(crate) announced: Option<u64>,
}

/// Reads a count as the controller writes one: digits and nothing else.
pub(crate) fn parse_count(text: &str) -> Option<u64> {
    Some(text).filter(|digits| !digits.starts_with('+')).and_then(|digits| digits.parse().ok())
}

/// Reads the rows of a block one after the other: objects that are given in parts, or that need one another.
fn unfold(
    block: &Block,
    kind: RowKind,
    unfolder: &mut Unfolder,
    rows: &mut RowBatchBuilder,
    origin: &Origin,
) -> Result<()> {
    let fail = |row: u64, range: &Range<usize>, problem: ObjectProblem| {
        let text = std::str::from_utf8(&block.text[range.clone()]).unwrap_or_default();
        let (problem, within) = locate(&problem.to_string(), text);
        origin.row_error(row, block.offset + (range.start + within) as u64, problem)
    };
    let utf8 = |row: u64, range: &Range<usize>| {
        std::str::from_utf8(&block.text[range.clone()]).map_err(|error| {
            let at = block.offset + (range.start + error.valid_up_to()) as u64;
            origin.row_error(row, at, "it is not valid UTF-8")
        })
    };
    for (row, range) in (block.first_row..).zip(&block.rows) {
        unfolder.add_whole(rows, utf8(row, range)?).map_err(|problem| fail(row, range, problem))?;
    }
    // A block has parts of one object only.
    let row = block.first_row;
    for part in &block.parts {
        let place = part.start()..part.start();
        if kind == RowKind::Flat {
            let problem = "it is an APIC object; expected a flat row like the first".to_owned();
            return Err(fail(row, &place, ObjectProblem::Invalid(problem)));
        }
        let class_of = |range: &Range<usize>| -> Result<Cow<'_, str>> {
            serde_json::from_str::<Text<'_>>(utf8(row, range)?)
                .map(|Text(class)| class)
                .map_err(|error| fail(row, range, ObjectProblem::Invalid(error.to_string())))
        };
        match part {
            Part::Object { class, attributes } => {
                let class = class_of(class)?;
                let added = unfolder.begin(rows, &class, utf8(row, attributes)?);
                added.map_err(|problem| fail(row, attributes, problem))?;
            }
            Part::Root { class } => {
                unfolder.begin_root(&class_of(class)?).map_err(|problem| fail(row, &place, problem))?;
            }
            Part::RootAttributes(attributes) => {
                let added = unfolder.add_root_attributes(rows, utf8(row, attributes)?);
                added.map_err(|problem| fail(row, attributes, problem))?;
            }
            Part::Whole(range) => {
                let added = unfolder.add_whole(rows, utf8(row, range)?);
                added.map_err(|problem| fail(row, range, problem))?;
            }
            Part::End => unfolder.end(rows).map_err(|problem| fail(row, &place, problem))?,
        }
    }
    Ok(())
}

/// A JSON string, borrowed unless it holds an escape.
#[derive(serde::Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

fn kind_of(block: &Block) -> RowKind {
    if !block.parts.is_empty() {
        return RowKind::Object;
    }
    let first = block.rows.first().and_then(|row| std::str::from_utf8(&block.text[row.clone()]).ok());
    let is_object = first.is_some_and(|text| {
        object::is_object(text) || object::repair_escapes(text).is_some_and(|repaired| object::is_object(&repaired))
    });
    if is_object { RowKind::Object } else { RowKind::Flat }
}

/// Cuts the rows of a block into runs of about [`BATCH_TEXT_BYTES`].
pub(crate) fn slice_rows(rows: &[Range<usize>]) -> Vec<Range<usize>> {
    let mut slices = Vec::new();
    let mut first = 0;
    for (i, row) in rows.iter().enumerate() {
        if row.end - rows[first].start >= BATCH_TEXT_BYTES || i + 1 == rows.len() {
            slices.push(first..i + 1);
            first = i + 1;
        }
    }
    slices
}

/// What is wrong with a row.
#[derive(Debug)]
pub(crate) struct RowFault {
    /// Its place among the rows that were given, counted from 0.
    pub(crate) place: usize,
    /// Where the fault is in the text, in bytes.
    pub(crate) at: usize,
    pub(crate) problem: ObjectProblem,
}

/// Parses the rows at these places in `text`; between them is only ASCII.
///
/// When it fails, the rows before the fault are in the builder or lost.
pub(crate) fn parse_rows(
    text: &[u8],
    rows: &[Range<usize>],
    kind: RowKind,
    builder: &mut RowBatchBuilder,
) -> std::result::Result<RowBatch, RowFault> {
    let (Some(first), Some(last)) = (rows.first(), rows.last()) else { return Ok(RowBatch::default()) };

    // Once over the whole slice is faster than row by row.
    let start = first.start;
    let text = std::str::from_utf8(&text[start..last.end]).map_err(|error| {
        let at = start + error.valid_up_to();
        let place = rows.partition_point(|row| row.end <= at);
        RowFault { place, at, problem: ObjectProblem::Invalid("it is not valid UTF-8".to_owned()) }
    })?;
    let row_text = |row: &Range<usize>| &text[row.start - start..row.end - start];

    let mut parsed = push_rows(builder, kind, rows.iter().map(|row| Cow::Borrowed(row_text(row))));
    if parsed.is_err() && kind == RowKind::Object && text.contains(r"\'") {
        // Rows before the one that failed are in the builder already, so all of them are read again.
        *builder = RowBatchBuilder::default();
        let repaired = rows.iter().map(|row| {
            let text = row_text(row);
            object::repair_escapes(text).map_or(Cow::Borrowed(text), Cow::Owned)
        });
        parsed = push_rows(builder, kind, repaired);
    }
    parsed.map_err(|(place, problem)| match problem {
        ObjectProblem::Invalid(problem) => {
            let (problem, within) = locate(&problem, row_text(&rows[place]));
            RowFault { place, at: rows[place].start + within, problem: ObjectProblem::Invalid(problem) }
        }
        problem => RowFault { place, at: rows[place].start, problem },
    })?;
    Ok(builder.take())
}

/// Adds rows; fails with the place of the first that cannot be read.
fn push_rows<'a>(
    builder: &mut RowBatchBuilder,
    kind: RowKind,
    rows: impl Iterator<Item = Cow<'a, str>>,
) -> std::result::Result<(), (usize, ObjectProblem)> {
    for (place, text) in rows.enumerate() {
        let pushed = match kind {
            RowKind::Object => object::push_object(builder, &text),
            RowKind::Flat if object::is_object(&text) => {
                Err(ObjectProblem::Invalid("it is an APIC object; expected a flat row like the first".to_owned()))
            }
            RowKind::Flat => builder.push_json(&text).map_err(|problem| ObjectProblem::Invalid(problem.to_string())),
        };
        pushed.map_err(|problem| (place, problem))?;
    }
    Ok(())
}

/// Turns the place at the end of a parser's message, which counts lines of the row, into bytes from its start.
fn locate(problem: &str, text: &str) -> (String, usize) {
    let place = problem.rsplit_once(" at line ").and_then(|(problem, place)| {
        let (line, column) = place.split_once(" column ")?;
        Some((problem, line.parse::<usize>().ok()?, column.parse::<usize>().ok()?))
    });
    let Some((problem, line, column)) = place else { return (problem.to_owned(), 0) };
    // In a document a row is cut where its brackets close, so only a line can end too early.
    let problem = match problem.starts_with("EOF while parsing") {
        true => "the line ends in the middle of the object; expected one JSON object a line",
        false => problem,
    };
    let lines_before = text.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum::<usize>();
    (problem.to_owned(), (lines_before + column.saturating_sub(1)).min(text.len()))
}
