//! The parameters of a step, read with tolerance for how forms write them and with errors that name the parameter.

use serde_json::{Map, Value};

use super::error::Fault;

/// The parameters of one step.
#[derive(Debug)]
pub(super) struct Config<'a>(&'a Map<String, Value>);

impl<'a> Config<'a> {
    pub(super) fn new(fields: &'a Map<String, Value>) -> Self {
        Self(fields)
    }

    /// Finds a parameter in camel case, or as a script may write it, in snake case. Null is absent.
    pub(super) fn get(&self, name: &str) -> Option<&'a Value> {
        let snake: String = name
            .chars()
            .flat_map(|c| c.is_ascii_uppercase().then_some('_').into_iter().chain([c.to_ascii_lowercase()]))
            .collect();
        let found = self.0.get(name).or_else(|| self.0.get(&snake));
        found.filter(|value| !value.is_null())
    }

    /// A text; a number or a truth value is taken as its text.
    pub(super) fn text(&self, name: &str) -> Result<Option<String>, Fault> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(plain @ (Value::Number(_) | Value::Bool(_))) => Ok(Some(plain.to_string())),
            Some(other) => Err(Fault::field(name, other, "a text")),
        }
    }

    /// A text that is not empty.
    pub(super) fn filled(&self, name: &str) -> Result<Option<String>, Fault> {
        Ok(self.text(name)?.filter(|text| !text.is_empty()))
    }

    pub(super) fn required(&self, name: &str, expected: &str) -> Result<String, Fault> {
        self.filled(name)?.ok_or_else(|| Fault::field(name, "\"\"", expected))
    }

    pub(super) fn flag(&self, name: &str) -> Result<bool, Fault> {
        match self.get(name) {
            None => Ok(false),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(Value::String(text)) if text == "true" => Ok(true),
            Some(Value::String(text)) if text == "false" || text.is_empty() => Ok(false),
            Some(other) => Err(Fault::field(name, other, "true or false")),
        }
    }

    pub(super) fn count(&self, name: &str) -> Result<Option<usize>, Fault> {
        let refused = |value: &Value| Fault::field(name, value, "a whole number from 0 on");
        match self.get(name) {
            None => Ok(None),
            Some(Value::String(text)) if text.trim().is_empty() => Ok(None),
            Some(value @ Value::String(text)) => text.trim().parse().map(Some).map_err(|_| refused(value)),
            Some(value) => {
                let number = value.as_u64().and_then(|number| usize::try_from(number).ok());
                number.map(Some).ok_or_else(|| refused(value))
            }
        }
    }

    /// A list of texts that are not empty; one text is a list of its lines, or where it has one, of its parts between
    /// `separator`s.
    pub(super) fn list(&self, name: &str, separator: char) -> Result<Vec<String>, Fault> {
        let parts: Vec<String> = match self.get(name) {
            None => Vec::new(),
            Some(Value::String(text)) => text.split(['\n', separator]).map(|part| part.trim().to_owned()).collect(),
            Some(Value::Array(values)) => {
                let text = |value: &Value| match value {
                    Value::String(text) => Ok(text.clone()),
                    other => Err(Fault::field(name, other, "a list of texts")),
                };
                values.iter().map(text).collect::<Result<_, _>>()?
            }
            Some(other) => return Err(Fault::field(name, other, "a list of texts")),
        };
        Ok(parts.into_iter().filter(|part| !part.is_empty()).collect())
    }
}
