//! Why a change matters, as a sentence with gaps.

use std::fmt::Write;

use super::rule::name_of_kind;
use crate::diff::{Change, FieldChange};
use crate::error::shorten;
use crate::row::{DN, Value};

const PLACEHOLDERS: &str = "a sentence with no placeholders but {class}, {object}, {name}, {kind}, {attribute}, \
                            {before}, {after} and {row.NAME}";

/// A sentence with gaps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reason {
    text: Box<str>,
    parts: Box<[Part]>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(Box<str>),
    Class,
    Object,
    Name,
    Kind,
    Attribute,
    Before,
    After,
    Row(Box<str>),
}

impl Reason {
    /// Reads a sentence; the error says what was expected.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        if text.trim().is_empty() {
            return Err(PLACEHOLDERS.to_owned());
        }
        let (mut parts, mut plain, mut rest) = (Vec::new(), String::new(), text);
        while let Some(brace) = rest.find('{') {
            plain.push_str(&rest[..brace]);
            rest = &rest[brace + 1..];
            if let Some(after) = rest.strip_prefix('{') {
                plain.push('{');
                rest = after;
                continue;
            }
            let end = rest.find('}').ok_or("a closing brace after each opening one")?;
            let part = match &rest[..end] {
                "class" => Part::Class,
                "object" => Part::Object,
                "name" => Part::Name,
                "kind" => Part::Kind,
                "attribute" => Part::Attribute,
                "before" => Part::Before,
                "after" => Part::After,
                other => match other.strip_prefix("row.") {
                    Some(name) if !name.is_empty() => Part::Row(name.into()),
                    _ => return Err(PLACEHOLDERS.to_owned()),
                },
            };
            if !plain.is_empty() {
                parts.push(Part::Text(std::mem::take(&mut plain).into()));
            }
            parts.push(part);
            rest = &rest[end + 1..];
        }
        plain.push_str(rest);
        if !plain.is_empty() {
            parts.push(Part::Text(plain.into()));
        }
        Ok(Self { text: text.into(), parts: parts.into() })
    }

    /// Returns the sentence as it was written.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Fills the gaps. `field` is the attribute that decided, if one did.
    pub(super) fn fill(&self, change: &Change, field: Option<FieldChange<'_>>) -> String {
        let mut out = String::with_capacity(self.text.len() + 32);
        for part in &self.parts {
            match part {
                Part::Text(text) => out.push_str(text),
                Part::Class => out.push_str(&shorten(change.row().class_name().unwrap_or("row"))),
                Part::Object => out.push_str(&object(change)),
                Part::Name => out.push_str(&name(change)),
                Part::Kind => out.push_str(name_of_kind(change.kind)),
                Part::Attribute => out.push_str(&shorten(field.map_or("", |field| field.name))),
                Part::Before => out.push_str(&shown(field.and_then(|field| field.before))),
                Part::After => out.push_str(&shown(field.and_then(|field| field.after))),
                Part::Row(name) => out.push_str(&shown(change.row().get(name))),
            }
        }
        out
    }
}

/// Returns a value so that empty and absent can be told apart.
fn shown(value: Option<Value<'_>>) -> String {
    match value {
        None => "(absent)".to_owned(),
        Some(Value::String("")) => "\"\"".to_owned(),
        Some(Value::String(text) | Value::Number(text) | Value::Json(text)) => shorten(text),
        Some(other) => other.to_string(),
    }
}

/// Returns what the row is known by: its DN, else the columns it was paired by.
fn object(change: &Change) -> String {
    let mut columns = String::new();
    let (mut count, mut dn) = (0, None);
    change.for_each_key_column(|name, value| {
        if name == DN && count == 0 {
            dn = Some(value.to_string());
        }
        let space = if count == 0 { "" } else { " " };
        write!(columns, "{space}{name}={value}").expect("a string takes everything");
        count += 1;
    });
    match dn {
        Some(dn) if count == 1 => shorten(&dn),
        _ if count == 0 => "a row".to_owned(),
        _ => shorten(&columns),
    }
}

/// Returns the name of the row, else the last part of its DN, else what it is known by.
fn name(change: &Change) -> String {
    if let Some(Value::String(name)) = change.row().get("name")
        && !name.is_empty()
    {
        return shorten(name);
    }
    let Some(dn) = change.row().dn() else { return object(change) };
    let mut depth = 0_usize;
    let slash = dn.char_indices().rev().find(|(_, c)| {
        match c {
            ']' => depth += 1,
            '[' => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth == 0 && *c == '/'
    });
    shorten(slash.map_or(dn, |(at, _)| &dn[at + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sentence_is_read_with_its_gaps() {
        let reason = Reason::parse("{name}: {{x} {row.code}").unwrap();

        assert_eq!(*reason.parts, [Part::Name, Part::Text(": {x} ".into()), Part::Row("code".into())]);
        for wrong in ["", " ", "{", "{nam", "{nam}", "{row.}", "{}", "a {before"] {
            assert!(Reason::parse(wrong).is_err(), "{wrong}");
        }
    }
}
