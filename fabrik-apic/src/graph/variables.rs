//! Values that are given for each run, and where they go.
//!
//! `${id}` stands for the value of a variable in every text of classes, filters and post-processors. A value is only ever
//! part of one text: where that text is an expression or a pattern, it is put in as a literal.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::GraphError;
use super::flow::{Flow, Kind, Node};

/// A value that is given for each run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Variable {
    /// What stands between `${` and `}`.
    pub id: String,
    /// What a person is asked for.
    #[serde(default)]
    pub label: String,
    /// Which values it takes.
    #[serde(default, rename = "type")]
    pub kind: VariableKind,
    /// Whether a run needs a value.
    #[serde(default)]
    pub required: bool,
    /// The value of a run that gives none.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub default_value: Value,
    /// The values of a `select`: texts, or objects with a `value`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<Value>,
    /// A field of a node that has this value, besides all places that name it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub binding: Option<Binding>,
    /// Everything else.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// Which values a variable takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum VariableKind {
    /// Any text.
    #[default]
    Text,
    /// One of its options.
    Select,
    /// A number.
    Number,
}

/// A field of a node.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Binding {
    /// The node.
    pub node_id: String,
    /// Its field, with dots into nested ones.
    pub field_path: String,
}

/// The values of a run by the ids of their variables.
pub type Variables = BTreeMap<String, Value>;

fn plain(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
        _ => None,
    }
}

impl Variable {
    fn check(&self, given: Option<&Value>) -> Result<Option<String>, GraphError> {
        let field = || format!("variables.{}", self.id);
        let is_empty = |value: &&Value| value.is_null() || value.as_str() == Some("");
        let value =
            given.filter(|value| !is_empty(value)).or(Some(&self.default_value).filter(|value| !is_empty(value)));
        let Some(value) = value else {
            return if self.required {
                Err(GraphError::new(field(), "", "a value, which is required"))
            } else {
                Ok(None)
            };
        };
        let text = plain(value).ok_or_else(|| GraphError::new(field(), value.to_string(), "a text or a number"))?;
        match self.kind {
            VariableKind::Text => {}
            VariableKind::Number if text.parse::<f64>().is_ok_and(f64::is_finite) => {}
            VariableKind::Number => return Err(GraphError::new(field(), text, "a number")),
            VariableKind::Select => {
                let options: Vec<String> =
                    self.options.iter().filter_map(|option| plain(option.get("value").unwrap_or(option))).collect();
                if !options.contains(&text) {
                    return Err(GraphError::new(field(), text, format!("one of {}", options.join(", "))));
                }
            }
        }
        Ok(Some(text))
    }
}

/// Checks the values of a run against the variables that there are, and adds the defaults.
fn values(variables: &[Variable], given: &Variables) -> Result<BTreeMap<String, Option<String>>, GraphError> {
    for (i, variable) in variables.iter().enumerate() {
        let fits = !variable.id.is_empty()
            && variable.id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
        if !fits || variables[..i].iter().any(|other| other.id == variable.id) {
            return Err(GraphError::new("variables", &*variable.id, "ids of letters, digits, _ and -, none twice"));
        }
    }
    if let Some(unknown) = given.keys().find(|id| variables.iter().all(|variable| variable.id != **id)) {
        let known: Vec<&str> = variables.iter().map(|variable| variable.id.as_str()).collect();
        let expected =
            if known.is_empty() { "no variables".to_owned() } else { format!("one of {}", known.join(", ")) };
        return Err(GraphError::new("variables", &**unknown, expected));
    }
    variables.iter().map(|variable| Ok((variable.id.clone(), variable.check(given.get(&variable.id))?))).collect()
}

/// How a value is put into a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Syntax {
    /// As it is.
    Plain,
    /// As a literal of an expression, in quotes unless there are some around it.
    Expression,
    /// As a pattern that matches just it.
    Pattern,
}

/// The fields of post-processors that are not plain texts.
const EXPRESSIONS: [&str; 3] = ["condition", "expression", "code"];
const PATTERNS: [&str; 6] = ["pattern", "removePrefix", "extractPattern", "includePatterns", "excludePatterns", "find"];

/// Puts the values of a run into a graph.
pub(super) fn substitute(flow: &Flow, given: &Variables) -> Result<Flow, GraphError> {
    let values = values(&flow.variables, given)?;
    let mut flow = flow.clone();
    for variable in &flow.variables {
        let Some(binding) = &variable.binding else { continue };
        let field = format!("variables.{}.binding", variable.id);
        let expected = "a node and a field of the graph";
        let Some(node) = flow.nodes.iter_mut().find(|node| node.id == binding.node_id) else {
            return Err(GraphError::new(field, &*binding.node_id, expected));
        };
        if let Some(Some(value)) = values.get(&variable.id) {
            let path = binding.field_path.strip_prefix("data.").unwrap_or(&binding.field_path);
            bind(&mut node.data, path, value).ok_or_else(|| GraphError::new(field, path, expected))?;
        }
    }
    for node in &mut flow.nodes {
        substitute_node(node, &values).map_err(|error| error.at(&node.id))?;
    }
    Ok(flow)
}

/// Puts a value where a dotted path leads, making the last field when it is not there.
fn bind(data: &mut Map<String, Value>, path: &str, value: &str) -> Option<()> {
    match path.split_once('.') {
        None if path.is_empty() => None,
        None => {
            data.insert(path.to_owned(), value.into());
            Some(())
        }
        Some((first, rest)) => {
            let mut inner = data.get_mut(first)?;
            let mut rest = rest;
            while let Value::Array(elements) = inner {
                let (index, after) = rest.split_once('.')?;
                inner = elements.get_mut(index.parse::<usize>().ok()?)?;
                rest = after;
            }
            bind(inner.as_object_mut()?, rest, value)
        }
    }
}

fn substitute_node(node: &mut Node, values: &BTreeMap<String, Option<String>>) -> Result<(), GraphError> {
    let is_processor = node.is(Kind::PostProcessor);
    // Labels and the like are nobody's business.
    if !matches!(Kind::of(&node.kind), Some(Kind::Class | Kind::Filter | Kind::PostProcessor)) {
        return Ok(());
    }
    for (field, value) in &mut node.data {
        if !matches!(field.as_str(), "label" | "description" | "name") {
            substitute_value(field, value, values, is_processor)?;
        }
    }
    Ok(())
}

fn substitute_value(
    field: &str,
    value: &mut Value,
    values: &BTreeMap<String, Option<String>>,
    is_processor: bool,
) -> Result<(), GraphError> {
    match value {
        Value::String(text) if text.contains("${") => {
            let syntax = match is_processor {
                true if EXPRESSIONS.contains(&field) => Syntax::Expression,
                true if PATTERNS.contains(&field) => Syntax::Pattern,
                _ => Syntax::Plain,
            };
            *text = fill(field, text, syntax, values)?;
        }
        Value::Array(elements) => {
            elements.iter_mut().try_for_each(|element| substitute_value(field, element, values, is_processor))?;
        }
        Value::Object(fields) => {
            fields.iter_mut().try_for_each(|(name, inner)| substitute_value(name, inner, values, is_processor))?;
        }
        _ => {}
    }
    Ok(())
}

fn fill(
    field: &str,
    text: &str,
    syntax: Syntax,
    values: &BTreeMap<String, Option<String>>,
) -> Result<String, GraphError> {
    let mut out = String::new();
    let mut quote = None;
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        out.push_str(before);
        quote = quote_after(before, quote);
        let (id, after) =
            after.split_once('}').ok_or_else(|| GraphError::new(field, text, "a closing } after each ${"))?;
        let value = match values.get(id) {
            Some(Some(value)) => value,
            // A variable that is not required and was not given.
            Some(None) => "",
            None => return Err(GraphError::new(field, format!("${{{id}}}"), "the id of a variable of the graph")),
        };
        match (syntax, quote) {
            (Syntax::Plain, _) => out.push_str(value),
            (Syntax::Pattern, _) => {
                for c in value.chars() {
                    if c.is_ascii_punctuation() {
                        out.push('\\');
                    }
                    out.push(c);
                }
            }
            (Syntax::Expression, quote) => {
                let literal = Value::from(value).to_string();
                match quote {
                    None => out.push_str(&literal),
                    Some(quote) => {
                        let inner = &literal[1..literal.len() - 1];
                        if quote == '\'' { out.push_str(&inner.replace('\'', "\\'")) } else { out.push_str(inner) }
                    }
                }
            }
        }
        rest = after;
    }
    out.push_str(rest);
    Ok(out)
}

/// Returns the quote that is open after a part of an expression.
fn quote_after(part: &str, mut open: Option<char>) -> Option<char> {
    let mut chars = part.chars();
    while let Some(next) = chars.next() {
        match open {
            Some(_) if next == '\\' => drop(chars.next()),
            Some(quote) if next == quote => open = None,
            Some(_) => {}
            None => open = Some(next).filter(|next| matches!(next, '"' | '\'')),
        }
    }
    open
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_stay_literals_whatever_is_around_them() {
        let values = BTreeMap::from([("x".to_owned(), Some("a' or \"b".to_owned()))]);
        for (text, expected) in [
            ("item.n == ${x}", r#"item.n == "a' or \"b""#),
            ("item.n == '${x}'", r#"item.n == 'a\' or \"b'"#),
            (r#"item.n == "${x}" and '\'' ~ ${x}"#, r#"item.n == "a' or \"b" and '\'' ~ "a' or \"b""#),
        ] {
            assert_eq!(fill("condition", text, Syntax::Expression, &values).unwrap(), expected);
        }
        assert_eq!(fill("pattern", "^${x}$", Syntax::Pattern, &values).unwrap(), r#"^a\' or \"b$"#);
    }
}
