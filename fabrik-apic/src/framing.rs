//! Cuts an input into the texts of single rows, a block at a time.
//!
//! Only as much is understood of the JSON as it takes to find where a row ends; what is between the
//! rows is checked in full. Memory holds a block and the row that was cut off at its end.

pub(crate) mod document;
mod lines;
mod value;

use std::fmt;
use std::io::Read;
use std::ops::Range;

use fabrik_core::{Error, MAX_ROW_BYTES, Result};

use crate::format::Container;
use crate::origin::Origin;
use document::DocumentScanner;
use lines::LineScanner;

/// The longest text of a row: the same content takes more bytes as indented and escaped JSON than as values.
pub(crate) const MAX_ROW_TEXT_BYTES: usize = 2 * MAX_ROW_BYTES;

/// A piece of the input with whole rows in it.
#[derive(Debug, Default)]
pub(crate) struct Block {
    pub(crate) text: Vec<u8>,
    /// Where the rows are in `text`, ascending; between them is only ASCII.
    pub(crate) rows: Vec<Range<usize>>,
    /// The number of the first row, counted from 1 over the whole input.
    pub(crate) first_row: u64,
    /// Where `text` begins in the input, in bytes.
    pub(crate) offset: u64,
}

/// Reads an input block by block.
pub(crate) struct RowSplitter {
    reader: Box<dyn Read + Send>,
    origin: Origin,
    scanner: Scanner,
    block_bytes: usize,
    /// What was read and not handed on, with its place in the input.
    text: Vec<u8>,
    offset: u64,
    n_rows: u64,
    is_at_end: bool,
    /// An error behind rows that are still good.
    failed: Option<Error>,
    spare: Block,
}

impl RowSplitter {
    /// `offset` is where `reader` stands in the input; `container` must not be a table.
    pub(crate) fn new(
        reader: Box<dyn Read + Send>,
        offset: u64,
        container: Container,
        origin: Origin,
        block_bytes: usize,
    ) -> Self {
        let scanner = match container {
            Container::Lines => Scanner::Lines(LineScanner::default()),
            _ => Scanner::Document(DocumentScanner::new(container == Container::Envelope)),
        };
        Self {
            reader,
            origin,
            scanner,
            block_bytes,
            text: Vec::new(),
            offset,
            n_rows: 0,
            is_at_end: false,
            failed: None,
            spare: Block::default(),
        }
    }

    /// Returns the next rows, at least one, and `None` at the end of a complete input.
    pub(crate) fn next_block(&mut self) -> Result<Option<Block>> {
        let mut rows = std::mem::take(&mut self.spare.rows);
        rows.clear();
        while rows.is_empty() {
            if let Some(error) = self.failed.take() {
                return Err(error);
            }
            if self.is_at_end {
                return Ok(None);
            }
            self.read_more()?;
            let scanned = self.scanner.scan(&self.text, self.is_at_end, &mut rows);
            let problem = scanned.err().or_else(|| self.find_long_row(&mut rows));
            self.failed = problem.map(|problem| self.explain(problem, rows.len()));
            if rows.is_empty() && self.failed.is_none() {
                self.drop_front(self.scanner.unfinished_from());
            }
        }
        Ok(Some(self.cut_block(rows)))
    }

    /// Takes back a block that is done with, for its memory.
    pub(crate) fn recycle(&mut self, block: Block) {
        self.spare = block;
    }

    /// Returns the number of rows handed out.
    pub(crate) fn n_rows(&self) -> u64 {
        self.n_rows
    }

    /// Returns the number of rows that the input announced, when it did; known at its end.
    pub(crate) fn total_count(&self) -> Option<u64> {
        match &self.scanner {
            Scanner::Document(document) => document.total_count(),
            Scanner::Lines(_) => None,
        }
    }

    fn read_more(&mut self) -> Result<()> {
        self.text.reserve(self.block_bytes);
        let n_read = (&mut self.reader)
            .take(self.block_bytes as u64)
            .read_to_end(&mut self.text)
            .map_err(|error| self.origin.io_error(format!("reading failed after row {}", self.n_rows), error))?;
        self.is_at_end = n_read < self.block_bytes;
        Ok(())
    }

    /// Drops what follows a row that is too long, whether it is known where that row ends or not.
    fn find_long_row(&self, rows: &mut Vec<Range<usize>>) -> Option<Problem> {
        let finished = rows.iter().position(|row| row.len() > MAX_ROW_TEXT_BYTES);
        let start = match finished {
            Some(place) => rows.drain(place..).next()?.start,
            None if self.text.len() - self.scanner.unfinished_from() > MAX_ROW_TEXT_BYTES => {
                self.scanner.unfinished_from()
            }
            None => return None,
        };
        Some(Problem::in_next_row(start, format!("it is longer than {} MiB", MAX_ROW_TEXT_BYTES >> 20)))
    }

    fn explain(&self, problem: Problem, n_rows_before: usize) -> Error {
        let offset = self.offset + problem.at as u64;
        let row = self.n_rows + n_rows_before as u64;
        match problem.is_in_next_row {
            true => self.origin.row_error(row + 1, offset, problem.text),
            false if row == 0 => self.origin.error(format!("at byte {offset}: {}", problem.text)),
            false => self.origin.error(format!("after row {row}, at byte {offset}: {}", problem.text)),
        }
    }

    /// Forgets text without rows, such as blank lines, so that it cannot pile up.
    fn drop_front(&mut self, n_bytes: usize) {
        self.text.drain(..n_bytes);
        self.scanner.drop_front(n_bytes);
        self.offset += n_bytes as u64;
    }

    fn cut_block(&mut self, rows: Vec<Range<usize>>) -> Block {
        let kept_from = if self.failed.is_some() { self.text.len() } else { self.scanner.unfinished_from() };
        let mut rest = std::mem::take(&mut self.spare.text);
        rest.clear();
        rest.extend_from_slice(&self.text[kept_from..]);
        if self.failed.is_none() {
            self.scanner.drop_front(kept_from);
        }
        let text = std::mem::replace(&mut self.text, rest);
        let block = Block { text, first_row: self.n_rows + 1, offset: self.offset, rows };
        self.n_rows += block.rows.len() as u64;
        self.offset += kept_from as u64;
        block
    }
}

impl fmt::Debug for RowSplitter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RowSplitter")
            .field("origin", &self.origin)
            .field("offset", &self.offset)
            .field("n_rows", &self.n_rows)
            .finish_non_exhaustive()
    }
}

#[derive(Debug)]
enum Scanner {
    Document(DocumentScanner),
    Lines(LineScanner),
}

impl Scanner {
    fn scan(&mut self, text: &[u8], is_all: bool, rows: &mut Vec<Range<usize>>) -> Result<(), Problem> {
        match self {
            Self::Document(document) => {
                document.scan(text, rows)?;
                if is_all { document.finish() } else { Ok(()) }
            }
            Self::Lines(lines) => lines.scan(text, is_all, rows),
        }
    }

    fn unfinished_from(&self) -> usize {
        match self {
            Self::Document(document) => document.unfinished_from(),
            Self::Lines(lines) => lines.unfinished_from(),
        }
    }

    fn drop_front(&mut self, n_bytes: usize) {
        match self {
            Self::Document(document) => document.drop_front(n_bytes),
            Self::Lines(lines) => lines.drop_front(n_bytes),
        }
    }
}

/// What is wrong at a place in the text.
#[derive(Debug)]
pub(crate) struct Problem {
    pub(crate) at: usize,
    pub(crate) text: String,
    /// Whether it concerns the row after the last one found, or what stands between rows.
    pub(crate) is_in_next_row: bool,
}

impl Problem {
    fn at(at: usize, text: impl Into<String>) -> Self {
        Self { at, text: text.into(), is_in_next_row: false }
    }

    fn in_next_row(at: usize, text: impl Into<String>) -> Self {
        Self { at, text: text.into(), is_in_next_row: true }
    }
}

/// Names the kind of JSON value that begins with `byte`.
fn kind_of_value(byte: u8) -> String {
    match byte {
        b'{' => "an object".to_owned(),
        b'[' => "an array".to_owned(),
        b'"' => "a string".to_owned(),
        b'-' | b'0'..=b'9' => "a number".to_owned(),
        b't' | b'f' => "a truth value".to_owned(),
        b'n' => "null".to_owned(),
        other => format!("{:?}", char::from(other)),
    }
}

#[cfg(test)]
mod tests;
