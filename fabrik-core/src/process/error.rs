//! Why a step failed: which step, at which item, in which expression.

use std::fmt;

use super::item::Item;
use crate::error::shorten;

/// A step cannot run, or could not go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepError {
    index: usize,
    kind: String,
    row: Option<String>,
    expression: Option<String>,
    problem: String,
}

impl StepError {
    /// Returns the place of the step among all that were given, counted from 1.
    #[must_use]
    pub fn index(&self) -> usize {
        self.index
    }

    /// Returns the kind of the step.
    #[must_use]
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// Returns the key of the item at which it failed; `None` when the step itself is at fault.
    #[must_use]
    pub fn row(&self) -> Option<&str> {
        self.row.as_deref()
    }

    /// Returns the expression or pattern at fault.
    #[must_use]
    pub fn expression(&self) -> Option<&str> {
        self.expression.as_deref()
    }

    /// Returns what is wrong, without where.
    #[must_use]
    pub fn problem(&self) -> &str {
        &self.problem
    }
}

impl fmt::Display for StepError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "step {} ({})", self.index, shorten(&self.kind))?;
        if let Some(row) = &self.row {
            write!(f, " failed at {row:?}")?;
        }
        if let Some(expression) = &self.expression {
            write!(f, ", expression {expression:?}")?;
        }
        write!(f, ": {}", self.problem)
    }
}

impl std::error::Error for StepError {}

impl From<StepError> for crate::Error {
    fn from(error: StepError) -> Self {
        Self::Step(error)
    }
}

/// What a step knows of its failure; where the step stands is added by the pipeline.
#[derive(Debug)]
pub(super) struct Fault {
    row: Option<String>,
    expression: Option<String>,
    problem: String,
}

impl Fault {
    pub(super) fn new(problem: impl Into<String>) -> Self {
        Self { row: None, expression: None, problem: problem.into() }
    }

    /// A parameter has a value that is not allowed.
    pub(super) fn field(field: &str, value: impl fmt::Display, expected: &str) -> Self {
        Self::new(format!("{field} {} is not valid: expected {expected}", shorten(&value.to_string())))
    }

    pub(super) fn at(mut self, item: &Item) -> Self {
        self.row = Some(item.label());
        self
    }

    pub(super) fn in_expression(mut self, expression: &str) -> Self {
        self.expression = Some(shorten(expression));
        self
    }
}

/// Where a step stands.
#[derive(Clone, Debug)]
pub(super) struct Origin {
    pub(super) index: usize,
    pub(super) kind: String,
}

impl Origin {
    pub(super) fn error(&self, fault: Fault) -> StepError {
        let Fault { row, expression, problem } = fault;
        StepError { index: self.index, kind: self.kind.clone(), row, expression, problem }
    }
}
