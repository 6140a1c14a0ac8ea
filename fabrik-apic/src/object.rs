//! Managed objects, `{"<class>":{"attributes":{…},"children":[…]}}`, and the rows that they become.
//!
//! Every object is a row of its own: its attributes and its class. Children follow their parent; one
//! that carries only its `rn` gets the DN that the controller left out.

use std::borrow::Cow;
use std::fmt;

use fabrik_core::{CLASS_NAME, DN, RowBatchBuilder, Value};
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, Visitor};
use serde_json::value::RawValue;

/// How deep objects may nest. The deepest known class lies about twenty levels below its root.
const MAX_LEVELS: usize = 100;
/// The class under which the controller reports that it cannot answer.
const ERROR_CLASS: &str = "error";
/// What holds the objects of an answer; some tools write it as if it were an object itself.
const PSEUDO_CLASS: &str = "imdata";

/// Adds the object in `text` and everything below it to `rows`.
///
/// When it fails, rows of the same object may have been added already.
pub(crate) fn push_object(rows: &mut RowBatchBuilder, text: &str) -> Result<(), String> {
    let mut dns: Vec<String> = Vec::new();
    // Not a recursion: how deep an input nests must not decide how much of the stack is used.
    let mut waiting = vec![Waiting { text, parent: None, level: 1 }];
    while let Some(Waiting { text, parent, level }) = waiting.pop() {
        if level > MAX_LEVELS {
            return Err(format!("its objects nest deeper than {MAX_LEVELS} levels"));
        }
        let parent_dn = parent.map(|place: usize| dns[place].as_str());
        let object =
            push_one(rows, text, parent_dn).map_err(|problem| match (level, problem.rsplit_once(" at line ")) {
                // The parser counted from where the child begins, which nobody can find again.
                (2.., Some((problem, _))) => format!("an object {} levels below it: {problem}", level - 1),
                _ => problem,
            })?;
        if object.children.is_empty() {
            continue;
        }
        let place = object.dn.map(|dn| {
            dns.push(dn.into_owned());
            dns.len() - 1
        });
        let children = object.children.iter().rev();
        waiting.extend(children.map(|child| Waiting { text: child.get(), parent: place, level: level + 1 }));
    }
    Ok(())
}

/// Returns whether `text` is shaped like a managed object; it may be no JSON at all.
pub(crate) fn is_object(text: &str) -> bool {
    // All but one row in very many are told by their beginning: the value of the first member.
    let after_name = text.strip_prefix('{').and_then(|text| text.trim_ascii_start().strip_prefix('"'));
    let value = after_name.and_then(|text| text.split_once('"')).and_then(|(_, text)| {
        let text = text.trim_ascii_start().strip_prefix(':')?;
        Some(text.trim_ascii_start())
    });
    if !value.is_some_and(|value| value.starts_with('{')) {
        return false;
    }
    let Ok(Members(object)) = serde_json::from_str(text) else { return false };
    let [(_, body)] = object.as_slice() else { return false };
    let Ok(Members(members)) = serde_json::from_str(body.get()) else { return false };
    members.iter().any(|(name, value)| match &**name {
        "attributes" => value.get().starts_with('{'),
        "children" => true,
        _ => false,
    })
}

/// Replaces the escape `\'`, which JSON does not have and some controllers send, by `'`.
///
/// Returns `None` where `text` has none.
pub(crate) fn repair_escapes(text: &str) -> Option<String> {
    let mut repaired = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        let escaped = rest[at + 1..].chars().next()?;
        let after = at + 1 + escaped.len_utf8();
        repaired.push_str(if escaped == '\'' { &rest[..at] } else { &rest[..after] });
        if escaped == '\'' {
            repaired.push('\'');
        }
        rest = &rest[after..];
    }
    repaired.push_str(rest);
    (repaired.len() < text.len()).then_some(repaired)
}

struct Waiting<'a> {
    text: &'a str,
    /// Of the parent's DN in the list of DNs.
    parent: Option<usize>,
    level: usize,
}

/// What of an object its children need.
struct Pushed<'a> {
    dn: Option<Cow<'a, str>>,
    children: Vec<&'a RawValue>,
}

/// Adds the row of one object, without its children.
fn push_one<'a>(rows: &mut RowBatchBuilder, text: &'a str, parent_dn: Option<&str>) -> Result<Pushed<'a>, String> {
    // Nearly all values are strings; where one is not, the row is read again with care for its digits.
    let object = read_object(rows, text, Values::Strings).or_else(|_| {
        rows.discard_row();
        read_object(rows, text, Values::Any)
    });
    let Object { class, body } = match object {
        Ok(object) => object,
        Err(error) => {
            rows.discard_row();
            return Err(error.to_string());
        }
    };
    if class == ERROR_CLASS {
        rows.discard_row();
        return Err(describe_error(text));
    }
    if class == PSEUDO_CLASS {
        rows.discard_row();
        return Ok(Pushed { dn: None, children: body.children.unwrap_or_default() });
    }
    let dn = match (body.known.dn, body.known.rn, parent_dn) {
        (Known::Text(dn), ..) if !dn.is_empty() => Some(dn),
        (Known::Absent, Known::Text(rn), Some(parent)) if !rn.is_empty() => {
            let dn = format!("{parent}/{rn}");
            rows.attribute(DN, Value::String(&dn));
            Some(Cow::Owned(dn))
        }
        _ => None,
    };
    rows.attribute(CLASS_NAME, Value::String(&class));
    rows.finish_row().map_err(|problem| format!("object of class {class:?}: {problem}"))?;
    Ok(Pushed { dn, children: body.children.unwrap_or_default() })
}

/// Tells what the controller said in place of objects.
fn describe_error(text: &str) -> String {
    #[derive(Deserialize)]
    struct Reply {
        error: Body,
    }
    #[derive(Deserialize)]
    struct Body {
        attributes: Attributes,
    }
    #[derive(Deserialize)]
    struct Attributes {
        code: serde_json::Value,
        text: String,
    }
    match serde_json::from_str(text) {
        Ok(Reply { error: Body { attributes: Attributes { code, text } } }) => {
            let code = code.as_str().map_or_else(|| code.to_string(), str::to_owned);
            format!("the controller answered with error {code}: {text}")
        }
        Err(_) => format!("the controller answered with an error: {}", text.chars().take(200).collect::<String>()),
    }
}

fn read_object<'a>(rows: &mut RowBatchBuilder, text: &'a str, values: Values) -> serde_json::Result<Object<'a>> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let object = ObjectSeed { rows, values }.deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(object)
}

/// Which values an attribute may have.
#[derive(Clone, Copy)]
enum Values {
    /// Only strings: the fast way.
    Strings,
    /// Every JSON value, as it was written.
    Any,
}

struct Object<'a> {
    class: Cow<'a, str>,
    body: BodyParts<'a>,
}

#[derive(Default)]
struct BodyParts<'a> {
    known: KnownAttributes<'a>,
    children: Option<Vec<&'a RawValue>>,
}

/// The attributes that place an object in the tree.
#[derive(Default)]
struct KnownAttributes<'a> {
    dn: Known<'a>,
    rn: Known<'a>,
}

#[derive(Default)]
enum Known<'a> {
    #[default]
    Absent,
    Text(Cow<'a, str>),
    /// Something else than a string, which places nothing.
    NotText,
}

struct ObjectSeed<'b> {
    rows: &'b mut RowBatchBuilder,
    values: Values,
}

impl<'de> DeserializeSeed<'de> for ObjectSeed<'_> {
    type Value = Object<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for ObjectSeed<'_> {
    type Value = Object<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an APIC object: its class with attributes or children")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let Some(class) = map.next_key_seed(Text)? else {
            return Err(A::Error::custom("expected an APIC object, found an object without members"));
        };
        let body = map.next_value_seed(BodySeed { rows: self.rows, values: self.values })?;
        if let Some(member) = map.next_key_seed(Text)? {
            return Err(A::Error::custom(format_args!(
                "expected an APIC object, which has its class as the only member; found {class:?} and {member:?}"
            )));
        }
        Ok(Object { class, body })
    }
}

struct BodySeed<'b> {
    rows: &'b mut RowBatchBuilder,
    values: Values,
}

impl<'de> DeserializeSeed<'de> for BodySeed<'_> {
    type Value = BodyParts<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for BodySeed<'_> {
    type Value = BodyParts<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an APIC object: its class with attributes or children")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut known = None;
        let mut children = None;
        while let Some(name) = map.next_key_seed(Text)? {
            match &*name {
                "attributes" if known.is_none() => {
                    known = Some(map.next_value_seed(AttributesSeed { rows: &mut *self.rows, values: self.values })?);
                }
                "children" if children.is_none() => children = Some(map.next_value()?),
                "attributes" | "children" => {
                    return Err(A::Error::custom(format_args!("member {name:?} is there twice")));
                }
                _ => {
                    return Err(A::Error::custom(format_args!(
                        "expected \"attributes\" or \"children\" in an APIC object, found member {name:?}"
                    )));
                }
            }
        }
        if known.is_none() && children.is_none() {
            return Err(A::Error::custom("the APIC object has neither attributes nor children"));
        }
        Ok(BodyParts { known: known.unwrap_or_default(), children })
    }
}

struct AttributesSeed<'b> {
    rows: &'b mut RowBatchBuilder,
    values: Values,
}

impl<'de> DeserializeSeed<'de> for AttributesSeed<'_> {
    type Value = KnownAttributes<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for AttributesSeed<'_> {
    type Value = KnownAttributes<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with the attributes")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut known = KnownAttributes::default();
        while let Some(name) = map.next_key_seed(Text)? {
            let text = match self.values {
                Values::Strings => {
                    let text = map.next_value_seed(Text)?;
                    self.rows.attribute(&name, Value::String(&text));
                    Known::Text(text)
                }
                Values::Any => {
                    let raw: &'de RawValue = map.next_value()?;
                    self.rows.attribute_json(&name, raw.get()).map_err(A::Error::custom)?;
                    serde_json::from_str(raw.get()).map_or(Known::NotText, |text: String| Known::Text(text.into()))
                }
            };
            match &*name {
                "dn" => known.dn = text,
                "rn" => known.rn = text,
                _ => {}
            }
        }
        Ok(known)
    }
}

/// Reads a string, borrowed unless it holds an escape.
struct Text;

impl<'de> DeserializeSeed<'de> for Text {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Text {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(text))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(text.to_owned()))
    }
}

/// The members of any JSON object, with their names unescaped.
struct Members<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MembersVisitor;

        impl<'de> Visitor<'de> for MembersVisitor {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(name) = map.next_key_seed(Text)? {
                    members.push((name, map.next_value()?));
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(MembersVisitor)
    }
}

#[cfg(test)]
mod tests;
