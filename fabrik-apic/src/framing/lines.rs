//! Rows that stand on a line each.

use std::ops::Range;

use memchr::memchr;

use super::{Problem, kind_of_value};

/// Finds the lines of a text that grows.
#[derive(Debug, Default)]
pub(super) struct LineScanner {
    line_start: usize,
    at: usize,
}

impl LineScanner {
    /// Adds the lines that end in `text` to `rows`; the last line has ended when `is_all`.
    pub(super) fn scan(&mut self, text: &[u8], is_all: bool, rows: &mut Vec<Range<usize>>) -> Result<(), Problem> {
        while let Some(length) = memchr(b'\n', &text[self.at..]) {
            let line_end = self.at + length;
            self.end_line(text, line_end, rows)?;
            self.line_start = line_end + 1;
            self.at = self.line_start;
        }
        self.at = text.len();
        if is_all {
            self.end_line(text, text.len(), rows)?;
            self.line_start = text.len();
        }
        Ok(())
    }

    fn end_line(&self, text: &[u8], line_end: usize, rows: &mut Vec<Range<usize>>) -> Result<(), Problem> {
        let line = &text[self.line_start..line_end];
        let start = self.line_start + (line.len() - line.trim_ascii_start().len());
        let row = line.trim_ascii();
        match row.first() {
            None => Ok(()),
            Some(b'{') => {
                rows.push(start..start + row.len());
                Ok(())
            }
            Some(&byte) => {
                Err(Problem::in_next_row(start, format!("expected a JSON object, found {}", kind_of_value(byte))))
            }
        }
    }

    /// Goes on at `at`, where a row ends; its line may have no other.
    pub(super) fn go_on_at(&mut self, at: usize) {
        self.line_start = at;
        self.at = at;
    }

    /// Returns where the text begins that is needed again.
    pub(super) fn unfinished_from(&self) -> usize {
        self.line_start
    }

    /// Follows the text when its first `n_bytes` are dropped.
    pub(super) fn drop_front(&mut self, n_bytes: usize) {
        self.line_start -= n_bytes;
        self.at -= n_bytes;
    }
}
