//! Tables of rules: TOML that people write, read so that an error says where to look.
//!
//! ```toml
//! disable = ["the-id-of-a-rule"]   # of a table below this one
//!
//! [[rule]]
//! id = "its-own-id"
//! ```

pub(crate) mod pattern;

use std::collections::HashSet;

use serde::Serialize;
use toml::{Table, Value};

use crate::error::{Error, Result, shorten};
use pattern::Patterns;

/// One table, read as far as all tables are alike.
#[derive(Debug)]
pub(crate) struct Document<'t> {
    /// The rules, in their order.
    pub(crate) rules: Vec<Entry<'t>>,
    /// The rules of tables below that do not count.
    pub(crate) disabled: Vec<String>,
    table: &'t str,
}

/// One rule of a table, as the fields that are not yet taken from it.
#[derive(Debug)]
pub(crate) struct Entry<'t> {
    /// What the rule is called.
    pub(crate) id: Box<str>,
    table: &'t str,
    fields: Table,
}

impl<'t> Document<'t> {
    /// Reads the text of a table. `table` is what errors call it.
    pub(crate) fn parse(table: &'t str, text: &str) -> Result<Self> {
        let mut document: Table = toml::from_str(text).map_err(|error| {
            let at = error.span().map_or(0, |span| span.start);
            let before = text.get(..at).unwrap_or_default();
            let line = text.lines().nth(before.matches('\n').count()).unwrap_or_default();
            let number = before.matches('\n').count() + 1;
            wrong(table, "", &format!("line {number}"), line, &format!("TOML: {}", error.message()))
        })?;
        let disabled = match document.remove("disable") {
            None => Vec::new(),
            Some(value) => texts(&value)
                .ok_or_else(|| wrong(table, "", "disable", &shown(&value), "a list of ids of rules"))?
                .into_iter()
                .map(str::to_owned)
                .collect(),
        };
        let rules = match document.remove("rule") {
            None => Vec::new(),
            Some(Value::Array(rules)) => rules,
            Some(other) => return Err(wrong(table, "", "rule", &shown(&other), "a [[rule]] for each rule")),
        };
        if let Some((name, value)) = document.iter().next() {
            return Err(wrong(table, "", name, &shown(value), "no fields but disable and rule"));
        }
        let mut seen = HashSet::new();
        let mut entries = Vec::with_capacity(rules.len());
        for (i, rule) in rules.into_iter().enumerate() {
            let entry = Entry::new(table, i + 1, rule)?;
            if !seen.insert(entry.id.clone()) {
                return Err(entry.wrong("id", &entry.id, "an id that no other rule of the table has"));
            }
            entries.push(entry);
        }
        Ok(Self { rules: entries, disabled, table })
    }

    /// Puts the rules of this table before those of another, less those that are switched off or said anew.
    ///
    /// # Errors
    ///
    /// When a rule that is to be switched off does not exist.
    pub(crate) fn before<R>(self, below: Vec<R>, mine: Vec<R>, id: impl Fn(&R) -> &str) -> Result<Vec<R>> {
        if let Some(unknown) = self.disabled.iter().find(|wanted| !below.iter().any(|rule| id(rule) == **wanted)) {
            return Err(wrong(self.table, "", "disable", unknown, "ids of rules that exist"));
        }
        let gone: HashSet<String> =
            self.disabled.into_iter().chain(mine.iter().map(|rule| id(rule).to_owned())).collect();
        let mut rules = mine;
        rules.extend(below.into_iter().filter(|rule| !gone.contains(id(rule))));
        Ok(rules)
    }
}

impl<'t> Entry<'t> {
    fn new(table: &'t str, number: usize, rule: Value) -> Result<Self> {
        let at = format!("rule {number}");
        let Value::Table(mut fields) = rule else {
            return Err(wrong(table, &at, "rule", &shown(&rule), "a table of fields"));
        };
        let is_id = |text: &str| {
            !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
        };
        match fields.remove("id") {
            Some(Value::String(id)) if is_id(&id) => Ok(Self { id: id.into(), table, fields }),
            Some(other) => Err(wrong(table, &at, "id", &shown(&other), "a text of letters, digits, `-`, `_` and `.`")),
            None => Err(wrong(table, &at, "id", "", "an id, which every rule has")),
        }
    }

    /// Takes a text, if it is there.
    pub(crate) fn text(&mut self, field: &str) -> Result<Option<String>> {
        match self.fields.remove(field) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(self.wrong(field, &shown(&other), "a text")),
        }
    }

    /// Takes true or false, if it is there.
    pub(crate) fn flag(&mut self, field: &str) -> Result<Option<bool>> {
        match self.fields.remove(field) {
            None => Ok(None),
            Some(Value::Boolean(flag)) => Ok(Some(flag)),
            Some(other) => Err(self.wrong(field, &shown(&other), "true or false")),
        }
    }

    /// Takes a text or a list of texts, if there is any, each read by `read`.
    pub(crate) fn each<T>(
        &mut self,
        field: &str,
        expected: &str,
        read: impl Fn(&str) -> Option<T>,
    ) -> Result<Option<Vec<T>>> {
        let Some(value) = self.fields.remove(field) else { return Ok(None) };
        let texts = texts(&value).filter(|texts| !texts.is_empty());
        let read: Option<Vec<T>> = texts.and_then(|texts| texts.into_iter().map(read).collect());
        read.map(Some).ok_or_else(|| self.wrong(field, &shown(&value), expected))
    }

    /// Takes a pattern of names or a list of such, none of them empty, if there is any.
    pub(crate) fn names(&mut self, field: &str) -> Result<Option<Patterns>> {
        let expected = "a name or a list of names, where * and ? are wild";
        let name = |text: &str| (!text.is_empty()).then(|| text.into());
        Ok(self.each(field, expected, name)?.map(Patterns::new))
    }

    /// Takes a pattern of values or a list of such, if there is any.
    pub(crate) fn values(&mut self, field: &str) -> Result<Option<Patterns>> {
        let expected = "a text or a list of texts, where * and ? are wild";
        Ok(self.each(field, expected, |text| Some(text.into()))?.map(Patterns::new))
    }

    /// Says that nothing is left to take.
    ///
    /// # Errors
    ///
    /// When something is: a field that no such rule has.
    pub(crate) fn finish(self, known: &str) -> Result<Box<str>> {
        match self.fields.iter().next() {
            Some((name, value)) => Err(self.wrong(name, &shown(value), &format!("no fields but {known}"))),
            None => Ok(self.id),
        }
    }

    /// States what is wrong with a field.
    pub(crate) fn wrong(&self, field: &str, value: &str, expected: &str) -> Error {
        wrong(self.table, &format!("rule {:?}", self.id), field, value, expected)
    }
}

/// Writes rules as a table that reads back as they are.
pub(crate) fn to_toml(rules: &[impl Serialize]) -> String {
    let mut text = String::new();
    for rule in rules {
        text.push_str("[[rule]]\n");
        let rule = serde_json::to_value(rule).expect("a rule has texts, lists of texts and flags in it");
        for (name, value) in rule.as_object().into_iter().flatten() {
            // Texts, lists of texts and flags look the same in JSON and TOML, but for one character.
            text.push_str(&format!("{name} = {}\n", value.to_string().replace('\u{7f}', "\\u007F")));
        }
        text.push('\n');
    }
    text
}

fn texts(value: &Value) -> Option<Vec<&str>> {
    match value {
        Value::String(text) => Some(vec![text]),
        Value::Array(values) => values.iter().map(Value::as_str).collect(),
        _ => None,
    }
}

/// Returns a text as it is and everything else as JSON.
fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => serde_json::to_string(other).unwrap_or_default(),
    }
}

fn wrong(table: &str, rule: &str, field: &str, value: &str, expected: &str) -> Error {
    Error::InvalidTable {
        table: table.to_owned(),
        rule: rule.to_owned(),
        field: field.to_owned(),
        value: shorten(value),
        expected: expected.to_owned(),
    }
}
