//! Standard output: what it can show, and writing to it.

use std::fmt;
use std::io::{self, BufWriter, IsTerminal, Write};

use serde::Serialize;

/// Columns taken when no terminal says how many it has.
const COLUMNS: usize = 120;

/// Where results go.
pub(super) struct Output {
    writer: Box<dyn Write>,
    /// Whether somebody reads it in a terminal.
    pub(super) is_terminal: bool,
    /// What it shows in colour.
    pub(super) paint: Paint,
    /// How many columns fit.
    pub(super) columns: usize,
    limit: Option<Limit>,
}

/// Lines that may still be written, and how many were held back.
#[derive(Clone, Copy, Debug)]
struct Limit {
    left: usize,
    held_back: usize,
}

impl Output {
    /// Locks standard output for the rest of the run.
    pub(super) fn stdout(no_color: bool) -> Self {
        let stdout = io::stdout().lock();
        let is_terminal = stdout.is_terminal();
        let wants_color = !no_color && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        let columns = if is_terminal {
            terminal_size::terminal_size().map_or(COLUMNS, |(width, _)| usize::from(width.0).max(40))
        } else {
            COLUMNS
        };
        Self {
            writer: Box::new(BufWriter::with_capacity(64 << 10, stdout)),
            is_terminal,
            paint: Paint { on: is_terminal && wants_color },
            columns,
            limit: None,
        }
    }

    /// Lets the next lines through and holds back what follows, until [`Output::lift_limit`].
    pub(super) fn limit_lines(&mut self, lines: usize) {
        self.limit = Some(Limit { left: lines, held_back: 0 });
    }

    /// Lets everything through again and returns how many lines were held back.
    pub(super) fn lift_limit(&mut self) -> usize {
        self.limit.take().map_or(0, |limit| limit.held_back)
    }

    /// Writes one JSON document and a line end.
    pub(super) fn json(&mut self, document: &impl Serialize) -> io::Result<()> {
        serde_json::to_writer(&mut *self, document)?;
        self.write_all(b"\n")
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Some(limit) = &mut self.limit else { return self.writer.write(bytes) };
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            let ends = usize::from(line.ends_with(b"\n"));
            if limit.left > 0 {
                self.writer.write_all(line)?;
                limit.left -= ends;
            } else {
                limit.held_back += ends;
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

impl fmt::Debug for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Output").field("is_terminal", &self.is_terminal).finish_non_exhaustive()
    }
}

/// Puts colours around text, where there are colours.
#[derive(Clone, Copy, Debug)]
pub(super) struct Paint {
    /// Whether there are.
    pub(super) on: bool,
}

/// A colour or weight.
#[derive(Clone, Copy, Debug)]
pub(super) enum Ink {
    Bold,
    Dim,
    Red,
    Green,
    Yellow,
    Cyan,
    /// One of the 256 colours, as background of dark text.
    Ground(u8),
}

impl Paint {
    /// Returns the text in a colour, or as it is.
    pub(super) fn with(self, ink: Ink, text: &str) -> String {
        if !self.on || text.is_empty() {
            return text.to_owned();
        }
        let code = match ink {
            Ink::Bold => "1",
            Ink::Dim => "2",
            Ink::Red => "31",
            Ink::Green => "32",
            Ink::Yellow => "33",
            Ink::Cyan => "36",
            Ink::Ground(color) => return format!("\x1b[48;5;{color}m{text}\x1b[0m"),
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_appear_only_where_they_can() {
        assert_eq!(Paint { on: false }.with(Ink::Red, "a"), "a");
        assert_eq!(Paint { on: true }.with(Ink::Red, "a"), "\x1b[31ma\x1b[0m");
        assert_eq!(Paint { on: true }.with(Ink::Ground(22), " "), "\x1b[48;5;22m \x1b[0m");
        assert_eq!(Paint { on: true }.with(Ink::Bold, ""), "");
    }
}
