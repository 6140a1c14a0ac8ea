//! Cuts an input into the texts of single rows, a block at a time.
//!
//! Only as much is understood of the JSON as it takes to find where a row ends; what is between the
//! rows is checked in full. Memory holds a block and the row that was cut off at its end.

pub(crate) mod document;
mod lines;
pub(crate) mod tree;
pub(crate) mod value;

use std::fmt;
use std::io::Read;
use std::ops::Range;

use fabrik_core::{Error, MAX_ROW_BYTES, Result};

use crate::format::Container;
use crate::origin::Origin;
use document::DocumentScanner;
use lines::LineScanner;
use tree::{Part, TreeScanner};

/// The longest text of a row: the same content takes more bytes as indented and escaped JSON than as values.
pub(crate) const MAX_ROW_TEXT_BYTES: usize = 2 * MAX_ROW_BYTES;

/// How much of an unfinished row is held before it is read as a tree, where it begins like one.
pub(crate) const STREAMED_ROW_BYTES: usize = 8 << 20;

/// A piece of the input with whole rows in it, or with parts of one.
#[derive(Debug, Default)]
pub(crate) struct Block {
    pub(crate) text: Vec<u8>,
    /// Where the rows are in `text`, ascending; between them is only ASCII.
    pub(crate) rows: Vec<Range<usize>>,
    /// Parts of one row, which is an object too large to be held; then there are no rows.
    pub(crate) parts: Vec<Part>,
    /// The number of the first row, counted from 1 over the whole input.
    pub(crate) first_row: u64,
    /// Where `text` begins in the input, in bytes.
    pub(crate) offset: u64,
}

/// How much is read and held.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sizes {
    /// How much is read at a time.
    pub(crate) block_bytes: usize,
    /// Up to where a row is held whole; see [`STREAMED_ROW_BYTES`].
    pub(crate) streamed_row_bytes: usize,
}

/// Reads an input block by block.
pub(crate) struct RowSplitter {
    reader: Box<dyn Read + Send>,
    origin: Origin,
    scanner: Scanner,
    /// Reads a row that is too large to be held; then the scanner waits for its end.
    tree: Option<TreeScanner>,
    sizes: Sizes,
    /// What was read and not handed on, with its place in the input.
    text: Vec<u8>,
    offset: u64,
    n_rows: u64,
    is_at_end: bool,
    /// Whether `text` goes on behind what was scanned.
    has_more_text: bool,
    /// An error behind rows that are still good.
    failed: Option<Error>,
    spare: Block,
}

impl RowSplitter {
    /// `offset` is where `reader` stands in the input; `container` must hold JSON.
    pub(crate) fn new(
        reader: Box<dyn Read + Send>,
        offset: u64,
        container: Container,
        origin: Origin,
        sizes: Sizes,
    ) -> Self {
        let scanner = match container {
            Container::Lines => Scanner::Lines(LineScanner::default()),
            Container::Trees => Scanner::Trees { at: 0 },
            _ => Scanner::Document(DocumentScanner::new(container == Container::Envelope)),
        };
        Self {
            reader,
            origin,
            scanner,
            tree: None,
            sizes,
            text: Vec::new(),
            offset,
            n_rows: 0,
            is_at_end: false,
            has_more_text: false,
            failed: None,
            spare: Block::default(),
        }
    }

    /// Returns the next rows, at least one or a part of one, and `None` at the end of a complete input.
    pub(crate) fn next_block(&mut self) -> Result<Option<Block>> {
        let Block { mut rows, mut parts, .. } = std::mem::take(&mut self.spare);
        rows.clear();
        parts.clear();
        let mut ended_row = 0;
        while rows.is_empty() && parts.is_empty() {
            if let Some(error) = self.failed.take() {
                return Err(error);
            }
            if !std::mem::take(&mut self.has_more_text) {
                if self.is_at_end {
                    return Ok(None);
                }
                self.read_more()?;
            }
            let scanned = match &mut self.tree {
                None => self.scanner.scan(&self.text, self.is_at_end, &mut rows),
                Some(tree) => tree.scan(&self.text, &mut parts).map(|end| {
                    if let Some(end) = end {
                        self.scanner.end_tree(end);
                        self.tree = None;
                        self.has_more_text = true;
                        // The block with its last parts still counts it as the next one.
                        let counts_later = u64::from(!parts.is_empty());
                        ended_row = counts_later;
                        self.n_rows += 1 - counts_later;
                    }
                }),
            };
            let problem = scanned.err().or_else(|| self.find_cut_off()).or_else(|| self.find_long_row(&mut rows));
            self.failed = problem.map(|problem| self.explain(problem, rows.len()));
            if rows.is_empty() && parts.is_empty() && self.failed.is_none() {
                self.drop_front(self.unfinished_from());
            }
        }
        let block = self.cut_block(rows, parts);
        self.n_rows += ended_row;
        Ok(Some(block))
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
            Scanner::Lines(_) | Scanner::Trees { .. } => None,
        }
    }

    fn read_more(&mut self) -> Result<()> {
        self.text.reserve(self.sizes.block_bytes);
        let n_read = (&mut self.reader)
            .take(self.sizes.block_bytes as u64)
            .read_to_end(&mut self.text)
            .map_err(|error| self.origin.io_error(format!("reading failed after row {}", self.n_rows), error))?;
        self.is_at_end = n_read < self.sizes.block_bytes;
        Ok(())
    }

    /// Returns where the text begins that is needed again.
    fn unfinished_from(&self) -> usize {
        self.tree.as_ref().map_or_else(|| self.scanner.unfinished_from(), TreeScanner::unfinished_from)
    }

    /// Reports the end of the input in the middle of a tree.
    fn find_cut_off(&self) -> Option<Problem> {
        let is_cut_off = self.tree.is_some() && self.is_at_end && !self.has_more_text;
        is_cut_off.then(|| Problem::in_next_row(self.text.len(), "the input ends in the middle of it"))
    }

    /// Begins to read a row as a tree if it is too long to be held, and else drops what follows it, whether it is
    /// known where that row ends or not.
    fn find_long_row(&mut self, rows: &mut Vec<Range<usize>>) -> Option<Problem> {
        let unfinished = self.unfinished_from();
        let unfinished_bytes = self.text.len() - unfinished;
        let begins_tree = match &self.scanner {
            Scanner::Trees { .. } => unfinished_bytes > 0,
            scanner => {
                unfinished_bytes > self.sizes.streamed_row_bytes
                    && scanner.is_in_row()
                    && tree::begins_an_object(&self.text[unfinished..])
            }
        };
        // With rows before it, its turn comes when they are handed out.
        if self.tree.is_none() && rows.is_empty() && !self.has_more_text && begins_tree {
            self.tree = Some(TreeScanner::new(unfinished));
            self.has_more_text = true;
            return None;
        }
        let finished = rows.iter().position(|row| row.len() > MAX_ROW_TEXT_BYTES);
        let start = match finished {
            Some(place) => rows.drain(place..).next()?.start,
            None if unfinished_bytes > MAX_ROW_TEXT_BYTES => unfinished,
            None => return None,
        };
        let what = self.tree.as_ref().map_or("it is longer than", TreeScanner::describe_length);
        Some(Problem::in_next_row(start, format!("{what} {} MiB", MAX_ROW_TEXT_BYTES >> 20)))
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
        self.follow_drop(n_bytes);
        self.offset += n_bytes as u64;
    }

    fn follow_drop(&mut self, n_bytes: usize) {
        match &mut self.tree {
            // The scanner gets its place back with the end of the tree.
            Some(tree) => tree.drop_front(n_bytes),
            None => self.scanner.drop_front(n_bytes),
        }
    }

    fn cut_block(&mut self, rows: Vec<Range<usize>>, parts: Vec<Part>) -> Block {
        let kept_from = if self.failed.is_some() { self.text.len() } else { self.unfinished_from() };
        let mut rest = std::mem::take(&mut self.spare.text);
        rest.clear();
        rest.extend_from_slice(&self.text[kept_from..]);
        if self.failed.is_none() {
            self.follow_drop(kept_from);
        }
        let text = std::mem::replace(&mut self.text, rest);
        let block = Block { text, first_row: self.n_rows + 1, offset: self.offset, rows, parts };
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
    /// Objects one after the other, each read as a tree.
    Trees {
        at: usize,
    },
}

impl Scanner {
    fn scan(&mut self, text: &[u8], is_all: bool, rows: &mut Vec<Range<usize>>) -> Result<(), Problem> {
        match self {
            Self::Document(document) => {
                document.scan(text, rows)?;
                if is_all { document.finish() } else { Ok(()) }
            }
            Self::Lines(lines) => lines.scan(text, is_all, rows),
            Self::Trees { at } => {
                *at += text[*at..].len() - text[*at..].trim_ascii_start().len();
                match text.get(*at) {
                    None | Some(b'{') => Ok(()),
                    Some(&byte) => {
                        let problem = format!("expected an APIC object, found {}", kind_of_value(byte));
                        Err(Problem::in_next_row(*at, problem))
                    }
                }
            }
        }
    }

    /// Returns whether the unfinished text is of a row.
    fn is_in_row(&self) -> bool {
        match self {
            Self::Document(document) => document.is_in_row(),
            Self::Lines(_) | Self::Trees { .. } => true,
        }
    }

    /// Goes on at `at`, where the row ends that was read as a tree.
    fn end_tree(&mut self, at: usize) {
        match self {
            Self::Document(document) => document.end_row(at),
            Self::Lines(lines) => lines.go_on_at(at),
            Self::Trees { at: place } => *place = at,
        }
    }

    fn unfinished_from(&self) -> usize {
        match self {
            Self::Document(document) => document.unfinished_from(),
            Self::Lines(lines) => lines.unfinished_from(),
            Self::Trees { at } => *at,
        }
    }

    fn drop_front(&mut self, n_bytes: usize) {
        match self {
            Self::Document(document) => document.drop_front(n_bytes),
            Self::Lines(lines) => lines.drop_front(n_bytes),
            Self::Trees { at } => *at -= n_bytes,
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
