//! Rows from the text that `moquery` prints on a controller.
//!
//! ```text
//! Total Objects shown: 1
//!
//! # fault.Inst
//! code             : F0467
//! changeSet        :
//! descr            : Configuration failed : reason
//! dn               : uni/tn-a/fault-F0467
//! ```
//!
//! Names are padded to one width, and only a name that is longer than it pushes the colon aside. So a line whose
//! colon stands elsewhere belongs to the value before it, which has line ends in it. A blank line ends an object if
//! the next one begins behind it, or nothing at all.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::io::{BufRead, BufReader, Read};

use fabrik_core::{CLASS_NAME, Result, RowBatch, RowBatchBuilder, Value};

use crate::guard::{GuardedLines, READ_BYTES, is_too_long};
use crate::origin::Origin;
use crate::rows::{RowCount, parse_count};

const BATCH_BYTES: usize = 512 << 10;
const TOTAL: &str = "Total Objects shown:";
/// What is printed where nothing matches.
const NONE_FOUND: &str = "No Mos found";

/// Returns whether a text begins as `moquery` prints.
pub(crate) fn is_moquery(text: &[u8]) -> bool {
    let text = text.trim_ascii_start();
    text.starts_with(TOTAL.as_bytes()) || text.starts_with(NONE_FOUND.as_bytes())
}

/// Reads the objects of such a text, or of several after one another.
pub(crate) struct MoqueryRows {
    lines: GuardedLines<BufReader<Box<dyn Read + Send>>>,
    origin: Origin,
    rows: RowBatchBuilder,
    count: RowCount,
    /// The object whose lines are being read, and the number of its first line.
    object: Option<(String, u64)>,
    /// The lines of that object; the blank ones at the end may be none of it.
    text: Vec<String>,
    is_at_end: bool,
}

impl MoqueryRows {
    pub(crate) fn new(reader: Box<dyn Read + Send>, origin: Origin) -> Self {
        Self {
            lines: GuardedLines::new(BufReader::with_capacity(READ_BYTES, reader)),
            origin,
            rows: RowBatchBuilder::default(),
            count: RowCount::default(),
            object: None,
            text: Vec::new(),
            is_at_end: false,
        }
    }

    /// Adds the next batches to `ready`, none of them empty; returns false after the last row.
    pub(crate) fn read_into(&mut self, ready: &mut VecDeque<RowBatch>) -> Result<bool> {
        while !self.is_at_end && self.rows.held_bytes() < BATCH_BYTES {
            let number = self.lines.line();
            match self.read_line()? {
                Some(line) => self.take_line(line, number)?,
                None => {
                    self.end_object()?;
                    self.is_at_end = true;
                }
            }
        }
        if self.rows.is_empty() {
            return Ok(false);
        }
        ready.push_back(self.rows.take());
        Ok(true)
    }

    /// Returns, after the last row, how many there were and were announced.
    pub(crate) fn finish(self) -> RowCount {
        self.count
    }

    fn read_line(&mut self) -> Result<Option<String>> {
        let number = self.lines.line();
        let mut line = Vec::new();
        self.lines.read_until(b'\n', &mut line).map_err(|error| match error.get_ref() {
            Some(cause) if is_too_long(&error) => self.origin.error(format!("line {number}: the object: {cause}")),
            _ => self.origin.io_error(format!("reading failed on line {number}"), error),
        })?;
        if line.is_empty() {
            return Ok(None);
        }
        let is_end = |byte: &u8| matches!(byte, b'\n' | b'\r');
        line.truncate(line.iter().rposition(|byte| !is_end(byte)).map_or(0, |last| last + 1));
        String::from_utf8(line)
            .map(Some)
            .map_err(|_| self.origin.error(format!("line {number}: it is not valid UTF-8")))
    }

    fn take_line(&mut self, line: String, number: u64) -> Result<()> {
        // A line that begins an object or a list would be part of a value only behind a line that is not blank.
        let is_between = self.text.last().is_none_or(String::is_empty);
        if is_between && let Some(class) = class_of(&line) {
            self.end_object()?;
            self.lines.begin_row();
            self.object = Some((class, number));
            return Ok(());
        }
        if is_between && let Some(count) = line.strip_prefix(TOTAL) {
            self.end_object()?;
            let count = parse_count(count.trim()).ok_or_else(|| {
                self.origin
                    .error(format!("line {number}: the number of objects is {:?}; expected digits", count.trim()))
            })?;
            self.count.announced = Some(self.count.announced.unwrap_or(0).saturating_add(count));
            return Ok(());
        }
        if self.object.is_some() {
            self.text.push(line);
            return Ok(());
        }
        self.lines.begin_row();
        match line.trim() {
            "" => Ok(()),
            NONE_FOUND => {
                self.count.announced.get_or_insert(0);
                Ok(())
            }
            other => {
                let found: String = other.chars().take(120).collect();
                let expected = "expected the class of an object after '#', such as \"# fv.Tenant\"";
                Err(self.origin.error(format!("line {number}: {expected}, found {found:?}")))
            }
        }
    }

    /// Adds the row of the object that was read.
    fn end_object(&mut self) -> Result<()> {
        let Some((class, number)) = self.object.take() else { return Ok(()) };
        self.count.n_rows += 1;
        while self.text.last().is_some_and(|line| line.trim().is_empty()) {
            self.text.pop();
        }
        let added = add_object(&mut self.rows, &class, &self.text);
        self.text.clear();
        added.map_err(|problem| {
            self.rows.discard_row();
            self.origin.error(format!("row {} on line {number}: {problem}", self.count.n_rows))
        })
    }
}

impl fmt::Debug for MoqueryRows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MoqueryRows").field("origin", &self.origin).field("count", &self.count).finish_non_exhaustive()
    }
}

/// Returns the class that a line like `# fault.Inst` names: `faultInst`.
fn class_of(line: &str) -> Option<String> {
    let (package, class) = line.strip_prefix("# ")?.trim_end().split_once('.')?;
    let is_name = |name: &str| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let is_class = is_name(package) && is_name(class) && class.starts_with(|c: char| c.is_ascii_uppercase());
    is_class.then(|| format!("{package}{class}"))
}

fn add_object(rows: &mut RowBatchBuilder, class: &str, lines: &[String]) -> Result<(), String> {
    let width = colon_column(lines);
    let mut attributes: Vec<(&str, String)> = Vec::new();
    for line in lines {
        match split_line(line) {
            Some(split) if Some(split.column) == width || split.is_pushed_aside(width) => {
                attributes.push((split.name, split.value.to_owned()));
            }
            _ => match attributes.last_mut() {
                Some((_, value)) => {
                    value.push('\n');
                    value.push_str(line);
                }
                None => {
                    let found: String = line.chars().take(120).collect();
                    return Err(format!("expected an attribute, \"name : value\", found {found:?}"));
                }
            },
        }
    }
    for (name, value) in &attributes {
        rows.attribute(name, Value::String(value));
    }
    rows.attribute(CLASS_NAME, Value::String(class));
    rows.finish_row().map_err(|problem| problem.to_string())
}

/// A line that may be an attribute.
struct Split<'a> {
    name: &'a str,
    value: &'a str,
    /// Where its colon stands.
    column: usize,
}

impl Split<'_> {
    /// Returns whether the name leaves no room for padding.
    fn is_pushed_aside(&self, width: Option<usize>) -> bool {
        width.is_some_and(|width| self.column > width && self.column <= self.name.len() + 1)
    }
}

fn split_line(line: &str) -> Option<Split<'_>> {
    let name_len = line.bytes().position(|byte| !byte.is_ascii_alphanumeric() && byte != b'_')?;
    let (name, rest) = line.split_at(name_len);
    let padding = rest.len() - rest.trim_start_matches(' ').len();
    let value = rest[padding..].strip_prefix(':')?;
    let value = if value.is_empty() { value } else { value.strip_prefix(' ')? };
    (!name.is_empty()).then_some(Split { name, value, column: name_len + padding })
}

/// Returns where the colons of an object stand: in the column that most of its lines agree on.
fn colon_column(lines: &[String]) -> Option<usize> {
    let mut lines_by_column: HashMap<usize, usize> = HashMap::new();
    for split in lines.iter().filter_map(|line| split_line(line)) {
        *lines_by_column.entry(split.column).or_default() += 1;
    }
    // Of columns with as many lines the first line's, if it is one of them: an object begins with an attribute.
    let most = lines_by_column.values().max()?;
    let first = lines.first().and_then(|line| split_line(line)).map(|split| split.column);
    let candidates = || lines_by_column.iter().filter(|(_, n)| *n == most).map(|(column, _)| *column);
    candidates().find(|column| Some(*column) == first).or_else(|| candidates().min())
}

#[cfg(test)]
mod tests;
