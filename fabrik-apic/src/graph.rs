//! Queries that a person has drawn or written down, compiled into questions to a controller.
//!
//! A [`Question`] is a graph ([`Flow`]: classes in a chain of containment, filters, post-processors), or its plain form
//! (a class with a filter and options, or a path). [`compile`] turns it into a [`Plan`]: one query for the rows that are
//! wanted, and before it, where parents have conditions that a DN cannot express, [`Step`]s that read those parents.
//! [`PlanSource`] runs a plan as a source of rows. What the controller cannot be asked exactly, it is asked too widely,
//! and the rest is left out on this side: the rows are always those that were meant.
//!
//! - [`Containment`]: what is known of which class hangs below which.
//! - [`Fingerprint`], [`rise`]: whether two questions mean the same, and how their version rises.

mod chain;
mod check;
mod condition;
mod flow;
mod model;
mod node;
mod plan;
mod question;
mod source;
mod variables;
mod version;

pub use flow::{Edge, Flow, Node};
pub use model::{Containment, children_of, is_known, may_contain, parents_of};
pub use plan::{CompileOptions, Cost, Plan, PlanMetadata, Step, Strategy, compile};
pub use question::{PlainQuery, Question};
pub use source::PlanSource;
pub use variables::{Binding, Variable, VariableKind, Variables};
pub use version::{Change, Fingerprint, Rise, Version, rise};

/// A question has a part that cannot be compiled.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}{field} {value:?} is not valid: expected {expected}", place(node))]
pub struct GraphError {
    node: Option<String>,
    field: String,
    value: String,
    expected: String,
}

fn place(node: &Option<String>) -> String {
    node.as_ref().map_or_else(String::new, |node| format!("node {node:?}: "))
}

impl GraphError {
    pub(crate) fn new(field: impl Into<String>, value: impl Into<String>, expected: impl Into<String>) -> Self {
        let value: String = value.into();
        let value = value.chars().take(200).collect();
        Self { node: None, field: field.into(), value, expected: expected.into() }
    }

    pub(crate) fn at(mut self, node: &str) -> Self {
        self.node = Some(node.to_owned());
        self
    }

    /// Returns the id of the node at fault, where it is one.
    #[must_use]
    pub fn node(&self) -> Option<&str> {
        self.node.as_deref()
    }

    /// Returns the field at fault.
    #[must_use]
    pub fn field(&self) -> &str {
        &self.field
    }
}

impl From<crate::ApicError> for GraphError {
    fn from(error: crate::ApicError) -> Self {
        match error {
            crate::ApicError::InvalidOption { field, value, expected } => Self::new(field, value, expected),
            // Nothing is sent while a question is compiled, so that only options can be wrong.
            other => Self::new("query", other.to_string(), "a query that can be sent"),
        }
    }
}

#[cfg(test)]
mod tests;
