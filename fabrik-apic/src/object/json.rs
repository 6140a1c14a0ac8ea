//! How a managed object is read from its JSON, attribute by attribute into a row.

use std::borrow::Cow;
use std::fmt;

use fabrik_core::{RowBatchBuilder, Value};
use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error as _, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::naming::{MAX_NAMING_PROPERTIES, Naming, RnFormat};

/// One object without its children's content. The attributes are in the row that was begun for it.
pub(super) struct Object<'a> {
    pub(super) class: Cow<'a, str>,
    pub(super) body: BodyParts<'a>,
}

/// What an object has beside its class.
#[derive(Default)]
pub(super) struct BodyParts<'a> {
    pub(super) known: KnownAttributes<'a>,
    pub(super) children: Option<Vec<&'a RawValue>>,
}

/// The attributes that place an object in the tree.
#[derive(Debug, Default)]
pub(crate) struct KnownAttributes<'a> {
    pub(crate) dn: Known<'a>,
    pub(crate) rn: Known<'a>,
    /// The values of the class's naming properties, in the order of its format.
    pub(crate) naming: [Known<'a>; MAX_NAMING_PROPERTIES],
    /// Whether any attribute says anything.
    pub(crate) has_values: bool,
}

impl<'a> KnownAttributes<'a> {
    /// Remembers the value if it places the object.
    pub(crate) fn note(&mut self, name: &str, value: Known<'a>, format: Option<&RnFormat>) {
        self.has_values |= !matches!(&value, Known::Text(text) if text.is_empty());
        match name {
            "dn" => self.dn = value,
            "rn" => self.rn = value,
            _ => {
                if let Some(place) = format.and_then(|format| format.position(name)) {
                    self.naming[place] = value;
                }
            }
        }
    }
}

impl KnownAttributes<'static> {
    /// As [`KnownAttributes::note`], for a value that does not last.
    pub(crate) fn note_copy(&mut self, name: &str, value: &str, format: Option<&RnFormat>) {
        self.has_values |= !value.is_empty();
        if matches!(name, "dn" | "rn") || format.is_some_and(|format| format.position(name).is_some()) {
            self.note(name, Known::Text(Cow::Owned(value.to_owned())), format);
        }
    }
}

/// An attribute as far as it is known.
#[derive(Debug, Default)]
pub(crate) enum Known<'a> {
    /// The object does not have it.
    #[default]
    Absent,
    Text(Cow<'a, str>),
    /// Something else than a string, which places nothing.
    NotText,
}

/// Reads an object whose attributes go to the row under way.
pub(super) fn read_object<'a>(
    rows: &mut RowBatchBuilder,
    text: &'a str,
    naming: Naming,
) -> serde_json::Result<Object<'a>> {
    // Nearly all values are strings; where one is not, the row is read again with care for its digits.
    read(text, ObjectSeed { rows, values: Values::Strings, naming }).or_else(|_| {
        rows.discard_row();
        read(text, ObjectSeed { rows, values: Values::Any, naming })
    })
}

/// Reads an object's attributes alone, `{"name":"value",…}`, into the row under way.
pub(super) fn read_attributes<'a>(
    rows: &mut RowBatchBuilder,
    text: &'a str,
    format: Option<&'static RnFormat>,
) -> serde_json::Result<KnownAttributes<'a>> {
    read(text, AttributesSeed { rows, values: Values::Strings, format }).or_else(|_| {
        rows.discard_row();
        read(text, AttributesSeed { rows, values: Values::Any, format })
    })
}

fn read<'a, S: DeserializeSeed<'a>>(text: &'a str, seed: S) -> serde_json::Result<S::Value> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let value = seed.deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(value)
}

/// Which values an attribute may have.
#[derive(Clone, Copy)]
enum Values {
    /// Only strings: the fast way.
    Strings,
    /// Every JSON value, as it was written.
    Any,
}

struct ObjectSeed<'b> {
    rows: &'b mut RowBatchBuilder,
    values: Values,
    naming: Naming,
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
        let body = map.next_value_seed(BodySeed {
            rows: self.rows,
            values: self.values,
            format: self.naming.format_of(&class),
        })?;
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
    format: Option<&'static RnFormat>,
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
                    let seed = AttributesSeed { rows: &mut *self.rows, values: self.values, format: self.format };
                    known = Some(map.next_value_seed(seed)?);
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
    format: Option<&'static RnFormat>,
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
            known.note(&name, text, self.format);
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
pub(super) struct Members<'a>(pub(super) Vec<(Cow<'a, str>, &'a RawValue)>);

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
