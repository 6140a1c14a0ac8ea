//! Errors of the engine as exceptions.

use std::error::Error as StdError;

use fabrik_apic::ApicError;
use fabrik_apic::simulator::SimulatorError;
use fabrik_core::{Error, ErrorKind};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyDict;

/// Why work failed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The engine or a source says so.
    Engine(Error),
    /// What was given cannot be used, for a reason that is a sentence.
    Refused(String),
    /// Python says so.
    Python(PyErr),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Engine(error)
    }
}

impl From<PyErr> for Failure {
    fn from(error: PyErr) -> Self {
        Self::Python(error)
    }
}

impl From<SimulatorError> for Failure {
    fn from(error: SimulatorError) -> Self {
        Self::Refused(chain(&error))
    }
}

impl From<serde_json::Error> for Failure {
    fn from(error: serde_json::Error) -> Self {
        Self::Engine(Error::Output(error.into()))
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::Engine(Error::Output(error))
    }
}

impl Failure {
    /// Names the controller that an error is about.
    pub(crate) fn of_controller(url: &str, error: ApicError) -> Self {
        Self::Engine(match error {
            ApicError::InvalidOption { field, value, expected } => Error::InvalidArgument { field, value, expected },
            error => error.into_source_error(url),
        })
    }
}

/// Makes the exception for a failure: the class by its kind, the message with all causes.
pub(crate) fn raise(py: Python<'_>, failure: Failure) -> PyErr {
    static BY_CODE: PyOnceLock<Py<PyAny>> = PyOnceLock::new();

    let make = |code: &str, message: String, details: Bound<'_, PyDict>| {
        let by_code = BY_CODE.import(py, "fabrik._errors", "by_code")?;
        by_code.call((code, message), Some(&details)).map(PyErr::from_value)
    };
    let details = PyDict::new(py);
    let made = match failure {
        Failure::Python(error) => return error,
        Failure::Refused(sentence) => make(ErrorKind::InvalidInput.code(), sentence, details),
        Failure::Engine(error) => describe(&error, &details).and_then(|code| make(code, chain(&error), details)),
    };
    made.unwrap_or_else(|problem| problem)
}

/// Notes what a caller may want to look at, and returns the code.
fn describe(error: &Error, details: &Bound<'_, PyDict>) -> PyResult<&'static str> {
    match error {
        Error::InvalidArgument { field, value, expected } => {
            details.set_item("field", field)?;
            details.set_item("value", value)?;
            details.set_item("expected", expected)?;
        }
        Error::InvalidRow { row, .. } => details.set_item("row", row)?,
        Error::Ambiguous { candidates, .. } => details.set_item("candidates", candidates)?,
        Error::Source { .. } => return Ok("source_failed"),
        Error::NotAStore { .. } => return Ok("not_a_store"),
        _ => {}
    }
    Ok(error.kind().code())
}

/// Lists the codes of the kinds that the engine tells apart.
#[pyfunction]
pub(crate) fn error_codes() -> Vec<&'static str> {
    ErrorKind::ALL.map(ErrorKind::code).into()
}

/// Joins an error and its causes by colons. What a cause repeats of the one above it is said once.
pub(crate) fn chain(error: &dyn StdError) -> String {
    let mut sentence = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let text = cause.to_string();
        if !sentence.ends_with(&text) {
            sentence.push_str(": ");
            sentence.push_str(&text);
        }
        next = cause.source();
    }
    sentence
}
