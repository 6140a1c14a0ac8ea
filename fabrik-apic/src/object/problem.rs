//! What can be wrong with an object.

use std::fmt;

use serde::Deserialize;
use serde_json::value::RawValue;

/// Why an object became no rows.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ObjectProblem {
    /// The controller put its error where an object should be.
    #[error("{0}")]
    Controller(ControllerError),
    /// It is not what an object looks like; a parser's message ends with the line and column in the object's text.
    #[error("{0}")]
    Invalid(String),
}

impl ObjectProblem {
    /// Says that the object at fault is some levels below the one that the text began with.
    pub(super) fn below(self, levels: usize) -> Self {
        match self {
            // The parser counted from where the child begins, which nobody can find again.
            Self::Invalid(problem) if levels > 0 => match problem.rsplit_once(" at line ") {
                Some((problem, _)) => Self::Invalid(format!("an object {levels} levels below it: {problem}")),
                None => Self::Invalid(problem),
            },
            other => other,
        }
    }
}

/// What the controller said in place of objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ControllerError {
    /// Digits as a rule; empty where the reply has no code.
    pub(crate) code: String,
    /// The controller's words, or the beginning of a reply that has none.
    pub(crate) text: String,
}

impl ControllerError {
    /// Reads `{"error":{"attributes":{"code":…,"text":…}}}`.
    pub(super) fn from_object(object: &str) -> Self {
        #[derive(Deserialize)]
        struct Reply<'a> {
            #[serde(borrow)]
            error: Body<'a>,
        }
        #[derive(Deserialize)]
        struct Body<'a> {
            #[serde(borrow)]
            attributes: &'a RawValue,
        }
        match serde_json::from_str::<Reply<'_>>(object) {
            Ok(Reply { error: Body { attributes } }) => Self::from_attributes(attributes.get()),
            Err(_) => Self::without_code(object),
        }
    }

    /// Reads `{"code":…,"text":…}`.
    pub(super) fn from_attributes(attributes: &str) -> Self {
        #[derive(Deserialize)]
        struct Attributes {
            code: serde_json::Value,
            text: String,
        }
        match serde_json::from_str(attributes) {
            Ok(Attributes { code, text }) => {
                Self { code: code.as_str().map_or_else(|| code.to_string(), str::to_owned), text }
            }
            Err(_) => Self::without_code(attributes),
        }
    }

    fn without_code(reply: &str) -> Self {
        Self { code: String::new(), text: reply.chars().take(200).collect() }
    }
}

impl fmt::Display for ControllerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.code.as_str() {
            "" => write!(f, "the controller answered with an error: {}", self.text),
            code => write!(f, "the controller answered with error {code}: {}", self.text),
        }
    }
}
