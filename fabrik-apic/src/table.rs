//! Rows from comma-separated values.

use std::fmt;
use std::io::{self, Read};

use csv::{ReaderBuilder, StringRecord};
use fabrik_core::{Error, Result, RowBatch, RowBatchBuilder, Value};

use crate::framing::MAX_ROW_TEXT_BYTES;
use crate::guard::{READ_BYTES, RowTooLong, is_too_long};
use crate::origin::Origin;

const BATCH_BYTES: usize = 512 << 10;
/// Stands behind the text as a row of its own. If it is found inside a field instead, a quote is open there.
const END_MARK: &str = "\n\u{1}\u{2}end of table\u{3}\u{4}\n";

/// Reads a table whose first line names the columns. All values are strings.
pub(crate) struct TableRows {
    reader: csv::Reader<GuardedReader>,
    origin: Origin,
    columns: StringRecord,
    record: StringRecord,
    builder: RowBatchBuilder,
    n_rows: u64,
    is_at_end: bool,
}

impl TableRows {
    /// Reads the header.
    pub(crate) fn open(reader: Box<dyn Read + Send>, origin: Origin) -> Result<Self> {
        let guarded = GuardedReader { reader, allowance: allowance(), mark: END_MARK.as_bytes() };
        let reader = ReaderBuilder::new()
            .has_headers(false)
            // Ragged rows are told apart from the end mark here, and reported with more than a line.
            .flexible(true)
            .buffer_capacity(READ_BYTES)
            .from_reader(guarded);
        let mut table = Self {
            reader,
            origin,
            columns: StringRecord::new(),
            record: StringRecord::new(),
            builder: RowBatchBuilder::default(),
            n_rows: 0,
            is_at_end: false,
        };
        if !table.read_record()? {
            return Err(table.origin.error("empty input; expected a header line"));
        }
        table.columns = std::mem::take(&mut table.record);
        table.check_columns()?;
        Ok(table)
    }

    /// Returns the next rows, at least one, and `None` after the last.
    pub(crate) fn next_batch(&mut self) -> Result<Option<RowBatch>> {
        while !self.is_at_end && self.builder.held_bytes() < BATCH_BYTES {
            if !self.read_record()? {
                self.is_at_end = true;
                break;
            }
            self.n_rows += 1;
            if self.record.len() != self.columns.len() {
                let (found, expected) = (self.record.len(), self.columns.len());
                return Err(self.error_here(&format!("expected {expected} fields as in the header, found {found}")));
            }
            for (column, value) in self.columns.iter().zip(&self.record) {
                self.builder.attribute(column, Value::String(value));
            }
            self.builder.finish_row().map_err(|problem| self.error_here(&problem.to_string()))?;
        }
        Ok(if self.builder.is_empty() { None } else { Some(self.builder.take()) })
    }

    /// Reads one record; false at the end of the table.
    fn read_record(&mut self) -> Result<bool> {
        self.reader.get_mut().allowance = allowance();
        let has_record = self.reader.read_record(&mut self.record).map_err(|error| self.explain(error))?;
        let mark = END_MARK.trim_matches('\n');
        if !has_record || (self.record.len() == 1 && &self.record[0] == mark) {
            return Ok(false);
        }
        if self.record.iter().next_back().is_some_and(|field| field.ends_with(END_MARK)) {
            self.n_rows += 1;
            return Err(self.error_here("the input ends inside a quoted field"));
        }
        Ok(true)
    }

    fn check_columns(&self) -> Result<()> {
        let mut names: Vec<&str> = Vec::with_capacity(self.columns.len());
        for (i, name) in self.columns.iter().enumerate() {
            if name.is_empty() {
                return Err(self.origin.error(format!("column {} of the header has no name", i + 1)));
            }
            names.push(name);
        }
        names.sort_unstable();
        match names.windows(2).find(|pair| pair[0] == pair[1]) {
            Some(pair) => Err(self.origin.error(format!("the header names column {:?} twice", pair[0]))),
            None => Ok(()),
        }
    }

    /// Reports what is wrong with the record under way.
    fn error_here(&self, problem: &str) -> Error {
        let line = self.record.position().map_or(0, csv::Position::line);
        self.origin.error(format!("row {} on line {line}: {problem}", self.n_rows))
    }

    fn explain(&self, error: csv::Error) -> Error {
        let row = self.n_rows + 1;
        let line = error.position().map_or(0, csv::Position::line);
        match error.into_kind() {
            csv::ErrorKind::Io(error) => match error.get_ref() {
                Some(cause) if is_too_long(&error) => self.origin.error(format!("row {row}: {cause}")),
                _ => self.origin.io_error(format!("reading failed at row {row}"), error),
            },
            csv::ErrorKind::Utf8 { .. } => {
                self.origin.error(format!("row {row} on line {line}: it is not valid UTF-8"))
            }
            other => self.origin.error(format!("row {row} on line {line}: {other:?}")),
        }
    }
}

impl fmt::Debug for TableRows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TableRows").field("origin", &self.origin).field("n_rows", &self.n_rows).finish_non_exhaustive()
    }
}

/// How much may be read for one record: the reader below fetches its buffer ahead.
fn allowance() -> usize {
    MAX_ROW_TEXT_BYTES + READ_BYTES
}

/// Stops a record that an unclosed quote makes as long as the file, and puts [`END_MARK`] behind the text.
struct GuardedReader {
    reader: Box<dyn Read + Send>,
    allowance: usize,
    mark: &'static [u8],
}

impl Read for GuardedReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.allowance == 0 {
            return Err(io::Error::other(RowTooLong));
        }
        let n_wanted = buffer.len().min(self.allowance);
        let n = match self.reader.read(&mut buffer[..n_wanted])? {
            0 => self.mark.read(buffer)?,
            n => n,
        };
        self.allowance = self.allowance.saturating_sub(n);
        Ok(n)
    }
}

#[cfg(test)]
mod tests;
