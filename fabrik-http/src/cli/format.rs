//! The forms a result can be printed in.

use clap::{Args, ValueEnum};

use super::output::Output;

/// A table for people or JSON for programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// Aligned text, the default in a terminal.
    Table,
    /// One JSON document, the default elsewhere.
    Json,
}

/// The option that chooses between them.
#[derive(Clone, Copy, Debug, Args)]
pub(super) struct FormatOption {
    /// How to print the result. [default: table in a terminal, else json]
    #[arg(long, value_enum)]
    format: Option<Format>,
}

impl FormatOption {
    /// Returns whether to print a table.
    pub(super) fn is_table(self, out: &Output) -> bool {
        self.format.map_or(out.is_terminal, |format| format == Format::Table)
    }

    /// Asks for a table.
    pub(super) fn table() -> Self {
        Self { format: Some(Format::Table) }
    }
}
