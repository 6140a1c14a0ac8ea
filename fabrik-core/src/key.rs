//! What identifies a row within a snapshot.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::error::Error;
use crate::row::{RowRef, Value, json};

/// How the key of a row is found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum KeySpec {
    /// The DN where a row has one, else a hash of all columns. The default.
    #[default]
    Auto,
    /// The DN. Rows without one are kept, but a comparison counts them as unkeyed.
    Dn,
    /// A hash of all columns: rows are added or removed, never changed.
    Hash,
    /// The values of these columns; dotted names reach into nested values.
    Fields(Box<[Box<str>]>),
}

impl KeySpec {
    /// Makes a key of named columns.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) when there is no name, an empty one, one with a comma, or one
    /// twice.
    pub fn fields<S: AsRef<str>>(names: impl IntoIterator<Item = S>) -> Result<Self, Error> {
        let names: Box<[Box<str>]> = names.into_iter().map(|name| name.as_ref().trim().into()).collect();
        let expected = "one or more different column names without commas";
        if names.is_empty() || names.iter().any(|name| name.is_empty() || name.contains(',')) {
            return Err(Error::invalid("key fields", names.join(","), expected));
        }
        if names.iter().enumerate().any(|(i, name)| names[..i].contains(name)) {
            return Err(Error::invalid("key fields", names.join(","), expected));
        }
        Ok(Self::Fields(names))
    }

    /// Returns whether two specifications put every row under the same stored key.
    pub(crate) fn stores_like(&self, other: &Self) -> bool {
        let normal = |spec: &Self| if *spec == Self::Dn { Self::Auto } else { spec.clone() };
        normal(self) == normal(other)
    }

    /// Appends the key of `row` to `out`.
    ///
    /// A key is a tag and what follows it. Tag 1: the DN, to the end. Tag 2: for each field a value,
    /// escaped so that keys order by the fields' texts. Tag 3: 16 bytes of BLAKE3 over the row. Rows whose
    /// hashes met would be duplicates of one key, which every operation tells apart by content.
    pub(crate) fn write_key(&self, row: RowRef<'_>, out: &mut Vec<u8>) {
        match self {
            Self::Auto | Self::Dn => match row.dn() {
                Some(dn) => {
                    out.push(TAG_DN);
                    out.extend_from_slice(dn.as_bytes());
                }
                None => write_hash(row, out),
            },
            Self::Hash => write_hash(row, out),
            Self::Fields(names) => {
                out.push(TAG_FIELDS);
                names.iter().for_each(|name| write_field(row, name, out));
            }
        }
    }
}

/// The words that [`KeySpec`] reads as something else than the name of a column.
const STRATEGIES: [&str; 3] = ["auto", "dn", "hash"];

impl fmt::Display for KeySpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Dn => f.write_str("dn"),
            Self::Hash => f.write_str("hash"),
            // A column that is called like a strategy has a comma after it, so that its text reads back as a column.
            Self::Fields(names) if matches!(&**names, [name] if STRATEGIES.contains(&&**name)) => {
                write!(f, "{},", names[0])
            }
            Self::Fields(names) => f.write_str(&names.join(",")),
        }
    }
}

impl FromStr for KeySpec {
    type Err = Error;

    /// Takes `auto`, `dn`, `hash`, or column names joined by commas; `dn,` is the column of that name.
    fn from_str(text: &str) -> Result<Self, Error> {
        match text {
            "auto" => Ok(Self::Auto),
            "dn" => Ok(Self::Dn),
            "hash" => Ok(Self::Hash),
            names => match names.strip_suffix(',') {
                Some(name) if STRATEGIES.contains(&name) => Self::fields([name]),
                _ => Self::fields(names.split(',')),
            },
        }
    }
}

impl Serialize for KeySpec {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for KeySpec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

pub(crate) const TAG_DN: u8 = 1;
pub(crate) const TAG_FIELDS: u8 = 2;
pub(crate) const TAG_HASH: u8 = 3;

fn write_hash(row: RowRef<'_>, out: &mut Vec<u8>) {
    let mut hasher = blake3::Hasher::new();
    hasher.update(row.shape.encoded());
    hasher.update(row.values);
    out.push(TAG_HASH);
    out.extend_from_slice(&hasher.finalize().as_bytes()[..16]);
}

/// Appends one field so that keys order by kind of value and then by its text: a zero byte of the text
/// gets a 0xff after it, two zero bytes end the field.
fn write_field(row: RowRef<'_>, name: &str, out: &mut Vec<u8>) {
    with_field(row, name, |value| {
        let (kind, text) = match value {
            Value::Null => (0, ""),
            Value::Bool(false) => (1, "false"),
            Value::Bool(true) => (1, "true"),
            Value::Number(text) => (2, text),
            Value::String(text) => (3, text),
            Value::Json(text) => (4, text),
        };
        out.push(kind);
        for byte in text.bytes() {
            out.push(byte);
            if byte == 0 {
                out.push(0xff);
            }
        }
        out.extend_from_slice(&[0, 0]);
    });
}

/// Calls `then` with the value of a column or of a dotted path; null where the row has neither.
pub(crate) fn with_field<T>(row: RowRef<'_>, name: &str, then: impl FnOnce(Value<'_>) -> T) -> T {
    if let Some(value) = row.get(name) {
        return then(value);
    }
    for (dot, _) in name.match_indices('.') {
        if let Some(Value::Json(text)) = row.get(&name[..dot])
            && let Some(found) = json::member_at(text, &name[dot + 1..])
        {
            let mut then = Some(then);
            return json::with_value(found, |value| then.take().expect("called once")(value))
                .expect("stored JSON was checked when it was captured");
        }
    }
    then(Value::Null)
}

/// Returns the DN in the bytes of a key.
pub(crate) fn dn_of(key: &[u8]) -> Option<&str> {
    match key.split_first() {
        Some((&TAG_DN, dn)) => std::str::from_utf8(dn).ok(),
        _ => None,
    }
}

/// Returns whether the row had nothing but its own hash to go by.
pub(crate) fn is_hash(key: &[u8]) -> bool {
    key.first() == Some(&TAG_HASH)
}
