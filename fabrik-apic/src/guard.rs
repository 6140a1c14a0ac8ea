//! Limits to what a reader may be made to hold.

use std::io::{self, BufRead, Read};

use memchr::memchr_iter;

use crate::framing::MAX_ROW_TEXT_BYTES;

/// The buffer of a reader below a limit: it fetches so much ahead.
pub(crate) const READ_BYTES: usize = 64 << 10;

/// Says that more was wanted for one row than a row may have.
#[derive(Debug, thiserror::Error)]
#[error("it is longer than {} MiB", MAX_ROW_TEXT_BYTES >> 20)]
pub(crate) struct RowTooLong;

/// Stops a parser that would read without end for one row, and knows the line that it has come to.
#[derive(Debug)]
pub(crate) struct GuardedLines<R> {
    reader: R,
    allowance: usize,
    line: u64,
}

impl<R> GuardedLines<R> {
    /// Allows as much as one row may take.
    pub(crate) fn new(reader: R) -> Self {
        Self { reader, allowance: MAX_ROW_TEXT_BYTES, line: 1 }
    }

    /// Allows as much again for the next row.
    pub(crate) fn begin_row(&mut self) {
        self.allowance = MAX_ROW_TEXT_BYTES;
    }

    /// Returns the line, counted from 1, in which the next byte stands.
    pub(crate) fn line(&self) -> u64 {
        self.line
    }
}

impl<R: BufRead> Read for GuardedLines<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.fill_buf()?.read(buffer)?;
        self.consume(n);
        Ok(n)
    }
}

impl<R: BufRead> BufRead for GuardedLines<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.allowance == 0 {
            return Err(io::Error::other(RowTooLong));
        }
        let buffer = self.reader.fill_buf()?;
        Ok(&buffer[..buffer.len().min(self.allowance)])
    }

    fn consume(&mut self, n_bytes: usize) {
        // What is consumed was in the buffer, which costs nothing to ask for again.
        if let Ok(buffer) = self.reader.fill_buf() {
            self.line += memchr_iter(b'\n', &buffer[..n_bytes.min(buffer.len())]).count() as u64;
        }
        self.allowance = self.allowance.saturating_sub(n_bytes);
        self.reader.consume(n_bytes);
    }
}

/// Finds whether an error of reading means that a row is too long.
pub(crate) fn is_too_long(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|cause| cause.is::<RowTooLong>())
}
