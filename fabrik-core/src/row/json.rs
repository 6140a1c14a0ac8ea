//! Rows from JSON text and back, without a document in between.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::{MAX_DEPTH, RowError, Value};

/// Appends `text` as a JSON string: escaped are the quote, the backslash and the control characters.
pub(crate) fn write_string(text: &str, out: &mut Vec<u8>) {
    if string_len(text) == text.len() + 2 {
        out.push(b'"');
        out.extend_from_slice(text.as_bytes());
        out.push(b'"');
    } else {
        serde_json::to_writer(out, text).expect("a string always has a JSON form, and a vector takes it");
    }
}

/// Returns the length of [`write_string`]'s output, in bytes.
pub(crate) fn string_len(text: &str) -> usize {
    let special = text.bytes().map(|byte| usize::from(byte < 0x20 || byte == b'"' || byte == b'\\')).sum::<usize>();
    if special == 0 {
        return text.len() + 2;
    }
    let escapes = text.bytes().map(|byte| match byte {
        b'"' | b'\\' | 0x08 | 0x09 | 0x0a | 0x0c | 0x0d => 1,
        0x00..0x20 => 5,
        _ => 0,
    });
    text.len() + 2 + escapes.sum::<usize>()
}

/// Calls `each` with the name and the JSON text of every member of the object in `text`.
pub(crate) fn each_member(text: &str, each: impl FnMut(&str, &str) -> Result<(), RowError>) -> Result<(), RowError> {
    let mut problem = None;
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let read = Members { each, problem: &mut problem }.deserialize(&mut deserializer).and_then(|()| deserializer.end());
    match (problem, read) {
        (Some(problem), _) => Err(problem),
        (None, Err(error)) => Err(RowError(error.to_string())),
        (None, Ok(())) => Ok(()),
    }
}

/// Calls `then` with the value in the JSON text.
pub(crate) fn with_value<T>(text: &str, then: impl FnOnce(Value<'_>) -> T) -> Result<T, String> {
    match text.as_bytes().first() {
        Some(b'"') => {
            let inner = &text[1..text.len() - 1];
            if inner.as_bytes().contains(&b'\\') {
                let unescaped: String = serde_json::from_str(text).map_err(|error| error.to_string())?;
                Ok(then(Value::String(&unescaped)))
            } else {
                Ok(then(Value::String(inner)))
            }
        }
        Some(b'{' | b'[') => {
            let mut canonical = Vec::with_capacity(text.len());
            canonicalize(text, MAX_DEPTH, &mut canonical)?;
            let canonical = String::from_utf8(canonical).expect("JSON of valid texts is valid UTF-8");
            Ok(then(Value::Json(&canonical)))
        }
        Some(b't') => Ok(then(Value::Bool(true))),
        Some(b'f') => Ok(then(Value::Bool(false))),
        Some(b'n') => Ok(then(Value::Null)),
        _ => Ok(then(Value::Number(text))),
    }
}

/// Appends the value as compact JSON with sorted member names. `text` has passed the parser before.
fn canonicalize(text: &str, depth: usize, out: &mut Vec<u8>) -> Result<(), String> {
    if depth == 0 {
        return Err(format!("it nests deeper than {MAX_DEPTH} levels"));
    }
    match text.as_bytes().first() {
        Some(b'{') => {
            let mut members: Vec<(String, Vec<u8>)> = Vec::new();
            each_member(text, |name, value| {
                let mut canonical = Vec::with_capacity(value.len());
                canonicalize(value, depth - 1, &mut canonical).map_err(RowError)?;
                members.push((name.to_owned(), canonical));
                Ok(())
            })
            .map_err(|error| error.0)?;
            members.sort_unstable_by(|before, after| before.0.cmp(&after.0));
            if let Some(pair) = members.windows(2).find(|pair| pair[0].0 == pair[1].0) {
                return Err(format!("member {:?} is there twice", pair[0].0));
            }
            out.push(b'{');
            for (i, (name, value)) in members.iter().enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                write_string(name, out);
                out.push(b':');
                out.extend_from_slice(value);
            }
            out.push(b'}');
            Ok(())
        }
        Some(b'[') => {
            let mut problem = None;
            let mut deserializer = serde_json::Deserializer::from_str(text);
            let mut first = true;
            out.push(b'[');
            let each = |item: &str| {
                if !std::mem::take(&mut first) {
                    out.push(b',');
                }
                canonicalize(item, depth - 1, out)
            };
            let read = deserializer.deserialize_seq(Items { each, problem: &mut problem });
            if let Some(problem) = problem {
                return Err(problem);
            }
            read.map_err(|error| error.to_string())?;
            out.push(b']');
            Ok(())
        }
        Some(b'"') => with_value(text, |value| value.write_json(out)),
        _ => {
            out.extend_from_slice(text.as_bytes());
            Ok(())
        }
    }
}

/// Reads `path` (member names joined by dots) out of the JSON text of an object.
pub(crate) fn member_at<'a>(text: &'a str, path: &str) -> Option<&'a str> {
    let mut members: Vec<(Cow<'a, str>, &'a str)> = Vec::new();
    let mut deserializer = serde_json::Deserializer::from_str(text);
    deserializer.deserialize_map(BorrowedMembers(&mut members)).ok()?;
    // A member whose own name has dots wins over a path through several.
    if let Some((_, value)) = members.iter().find(|(name, _)| name == path) {
        return Some(value);
    }
    for (name, value) in members {
        if let Some(rest) = path.strip_prefix(&*name).and_then(|rest| rest.strip_prefix('.'))
            && let Some(found) = member_at(value, rest)
        {
            return Some(found);
        }
    }
    None
}

struct Members<'p, F> {
    each: F,
    problem: &'p mut Option<RowError>,
}

impl<'de, F: FnMut(&str, &str) -> Result<(), RowError>> DeserializeSeed<'de> for Members<'_, F> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de, F: FnMut(&str, &str) -> Result<(), RowError>> Visitor<'de> for Members<'_, F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key_seed(Name)? {
            let value: &RawValue = map.next_value()?;
            if let Err(problem) = (self.each)(&name, value.get()) {
                *self.problem = Some(problem);
                return Err(serde::de::Error::custom("stopped"));
            }
        }
        Ok(())
    }
}

struct BorrowedMembers<'p, 'de>(&'p mut Vec<(Cow<'de, str>, &'de str)>);

impl<'de> Visitor<'de> for BorrowedMembers<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key_seed(Name)? {
            let value: &'de RawValue = map.next_value()?;
            self.0.push((name, value.get()));
        }
        Ok(())
    }
}

struct Items<'p, F> {
    each: F,
    problem: &'p mut Option<String>,
}

impl<'de, F: FnMut(&str) -> Result<(), String>> Visitor<'de> for Items<'_, F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON array")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut items: A) -> Result<(), A::Error> {
        while let Some(item) = items.next_element::<&RawValue>()? {
            if let Err(problem) = (self.each)(item.get()) {
                *self.problem = Some(problem);
                return Err(serde::de::Error::custom("stopped"));
            }
        }
        Ok(())
    }
}

/// Reads a member name, borrowed unless it holds an escape.
struct Name;

impl<'de> DeserializeSeed<'de> for Name {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Name {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a member name")
    }

    fn visit_borrowed_str<E>(self, name: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(name))
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(name.to_owned()))
    }
}
