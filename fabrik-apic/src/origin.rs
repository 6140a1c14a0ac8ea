//! The name of what is read, which every error begins with.

use std::fmt;
use std::io;
use std::sync::Arc;

use fabrik_core::Error;

/// A file name, or what else the input is known as.
#[derive(Clone, Debug)]
pub(crate) struct Origin(Arc<str>);

impl Origin {
    pub(crate) fn new(name: impl Into<String>) -> Self {
        Self(name.into().into())
    }

    /// Names a file within this one.
    pub(crate) fn member(&self, name: &str) -> Self {
        Self(format!("{}: {name}", self.0).into())
    }

    /// Reports that the input is not what was expected.
    pub(crate) fn error(&self, problem: impl Into<String>) -> Error {
        Error::Source { origin: self.0.to_string(), problem: problem.into(), source: None }
    }

    /// Reports what is wrong with one row, counted from 1, that starts at (or has its fault at) byte `offset`.
    pub(crate) fn row_error(&self, row: u64, offset: u64, problem: impl fmt::Display) -> Error {
        self.error(format!("row {row} at byte {offset}: {problem}"))
    }

    /// Reports that the layer below failed while this was done.
    pub(crate) fn io_error(&self, problem: impl Into<String>, source: io::Error) -> Error {
        Error::Source { origin: self.0.to_string(), problem: problem.into(), source: Some(Box::new(source)) }
    }
}
