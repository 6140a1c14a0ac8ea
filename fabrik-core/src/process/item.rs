//! What steps work on: rows and bare values, with paths into them.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::Value as Json;

use super::VALUE;
use crate::error::shorten;
use crate::row::{CLASS_NAME, DN, RowBatchBuilder, RowError, RowRef, Value, json};

/// What a controller's object keeps its attributes under.
const ATTRIBUTES: &str = "attributes";

/// One value.
///
/// Its number or JSON text is valid JSON.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Cell {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number with the digits it was written with.
    Number(Box<str>),
    /// A text.
    Text(Box<str>),
    /// An array or object as JSON text.
    Json(Box<str>),
}

impl Cell {
    /// Makes the value of a text.
    pub fn text(text: impl Into<Box<str>>) -> Self {
        Self::Text(text.into())
    }

    /// Makes the value of a JSON value.
    #[must_use]
    pub fn from_json(value: &Json) -> Self {
        match value {
            Json::Null => Self::Null,
            Json::Bool(value) => Self::Bool(*value),
            Json::Number(number) => Self::Number(number.to_string().into()),
            Json::String(text) => Self::Text(text.as_str().into()),
            nested => Self::Json(nested.to_string().into()),
        }
    }

    /// Makes a number, where it is one; whole numbers have no fraction.
    pub(super) fn from_f64(number: f64) -> Option<Self> {
        const EXACT: f64 = 9_007_199_254_740_992.0;
        if number.fract() == 0.0 && number.abs() <= EXACT {
            return Some(Self::Number(format!("{}", number + 0.0).into()));
        }
        serde_json::Number::from_f64(number).map(|number| Self::Number(number.to_string().into()))
    }

    pub(super) fn from_value(value: Value<'_>) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(value) => Self::Bool(value),
            Value::Number(text) => Self::Number(text.into()),
            Value::String(text) => Self::Text(text.into()),
            Value::Json(text) => Self::Json(text.into()),
        }
    }

    pub(super) fn as_value(&self) -> Value<'_> {
        match self {
            Self::Null => Value::Null,
            Self::Bool(value) => Value::Bool(*value),
            Self::Number(text) => Value::Number(text),
            Self::Text(text) => Value::String(text),
            Self::Json(text) => Value::Json(text),
        }
    }

    /// Returns the number that this is or that its text says.
    pub(super) fn as_f64(&self) -> Option<f64> {
        let text = match self {
            Self::Number(text) | Self::Text(text) => text.trim(),
            _ => return None,
        };
        // Words such as `inf` are texts, not numbers.
        let begins = text.strip_prefix(['-', '+']).unwrap_or(text);
        if !begins.starts_with(|first: char| first.is_ascii_digit() || first == '.') {
            return None;
        }
        text.parse().ok().filter(|number: &f64| number.is_finite())
    }

    /// Returns the text of a text, else the JSON text.
    pub(super) fn to_text(&self) -> Cow<'_, str> {
        match self {
            Self::Number(text) | Self::Text(text) | Self::Json(text) => Cow::Borrowed(text),
            Self::Null => Cow::Borrowed("null"),
            Self::Bool(value) => Cow::Borrowed(if *value { "true" } else { "false" }),
        }
    }

    pub(super) fn to_json(&self) -> Json {
        match self {
            Self::Null => Json::Null,
            Self::Bool(value) => Json::Bool(*value),
            Self::Text(text) => Json::String(text.to_string()),
            Self::Number(text) | Self::Json(text) => {
                serde_json::from_str(text).unwrap_or_else(|_| Json::String(text.to_string()))
            }
        }
    }

    pub(super) fn len_bytes(&self) -> usize {
        size_of::<Self>() + self.to_text().len()
    }

    fn write(&self, builder: &mut RowBatchBuilder, name: &str) -> Result<(), RowError> {
        match self {
            // Members in order, none twice: what is stored must be in the one form that it can have.
            Self::Json(text) => builder.attribute_json(name, text),
            plain => {
                builder.attribute(name, plain.as_value());
                Ok(())
            }
        }
    }
}

impl fmt::Display for Cell {
    /// Writes a text as it is and everything else as JSON.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_text())
    }
}

impl Serialize for Cell {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.as_value().serialize(serializer)
    }
}

/// The columns of a row, no name twice, in the order in which they came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record(Vec<(Arc<str>, Cell)>);

impl Record {
    /// Returns the columns.
    pub fn columns(&self) -> impl ExactSizeIterator<Item = (&str, &Cell)> {
        self.0.iter().map(|(name, cell)| (&**name, cell))
    }

    /// Returns the value of a column.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Cell> {
        self.0.iter().find(|(have, _)| **have == *name).map(|(_, cell)| cell)
    }

    /// Sets a column, in the place of one of the same name.
    pub fn set(&mut self, name: &str, cell: Cell) {
        match self.0.iter_mut().find(|(have, _)| **have == *name) {
            Some((_, present)) => *present = cell,
            None => self.0.push((name.into(), cell)),
        }
    }

    /// Returns the value at a dotted path: a column, or a member of a nested value. What a controller's object has
    /// around its attributes may be named and need not.
    #[must_use]
    pub fn at(&self, path: &str) -> Option<Cow<'_, Cell>> {
        self.direct(path).or_else(|| {
            let within = path.strip_prefix(self.class_name()?).and_then(|rest| rest.strip_prefix('.')).unwrap_or(path);
            self.direct(within.strip_prefix(ATTRIBUTES)?.strip_prefix('.')?)
        })
    }

    fn direct(&self, path: &str) -> Option<Cow<'_, Cell>> {
        if let Some(cell) = self.get(path) {
            return Some(Cow::Borrowed(cell));
        }
        path.match_indices('.').find_map(|(dot, _)| {
            let Some(Cell::Json(text)) = self.get(&path[..dot]) else { return None };
            let found = json::member_at(text, &path[dot + 1..])?;
            json::with_value(found, Cell::from_value).ok().map(Cow::Owned)
        })
    }

    /// Returns the name of the column that a path stands for, where it is one.
    pub(super) fn column_of(&self, path: &str) -> Option<usize> {
        let place = |name: &str| self.0.iter().position(|(have, _)| **have == *name);
        place(path).or_else(|| {
            let class = self.class_name().unwrap_or("");
            let within = path.strip_prefix(class).and_then(|rest| rest.strip_prefix('.')).unwrap_or(path);
            place(within.strip_prefix(ATTRIBUTES)?.strip_prefix('.')?)
        })
    }

    pub(super) fn class_name(&self) -> Option<&str> {
        match self.get(CLASS_NAME) {
            Some(Cell::Text(class)) => Some(class),
            _ => Some(""),
        }
    }

    pub(super) fn cell_mut(&mut self, place: usize) -> &mut Cell {
        &mut self.0[place].1
    }

    pub(super) fn rename(&mut self, place: usize, name: &str) {
        self.0[place].0 = name.into();
    }

    fn from_json(members: &serde_json::Map<String, Json>) -> Self {
        Self(members.iter().map(|(name, value)| (name.as_str().into(), Cell::from_json(value))).collect())
    }
}

impl<N: Into<Arc<str>>> FromIterator<(N, Cell)> for Record {
    /// Collects columns; of two with one name the later wins.
    fn from_iter<I: IntoIterator<Item = (N, Cell)>>(columns: I) -> Self {
        let mut record = Self::default();
        for (name, cell) in columns {
            record.set(&name.into(), cell);
        }
        record
    }
}

impl Serialize for Record {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, cell) in self.columns() {
            map.serialize_entry(name, cell)?;
        }
        map.end()
    }
}

/// What a step takes and gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// A row.
    Row(Record),
    /// A value by itself.
    Bare(Cell),
}

impl Item {
    /// Copies a row, with the names of columns that other rows had before.
    pub(super) fn from_row(row: RowRef<'_>, names: &mut Names) -> Self {
        Self::Row(Record(row.attributes().map(|(name, value)| (names.intern(name), Cell::from_value(value))).collect()))
    }

    /// Makes an item of a JSON value; an object is a row, and a controller's object is one of its attributes and class.
    #[must_use]
    pub fn from_json(value: &Json) -> Self {
        let Json::Object(members) = value else { return Self::Bare(Cell::from_json(value)) };
        if let [(class, body)] = members.iter().collect::<Vec<_>>()[..]
            && let Some(Json::Object(attributes)) = body.get(ATTRIBUTES)
        {
            let mut record = Record::from_json(attributes);
            record.set(CLASS_NAME, Cell::text(class.as_str()));
            if let Some(children @ Json::Array(_)) = body.get("children") {
                record.set("children", Cell::from_json(children));
            }
            return Self::Row(record);
        }
        Self::Row(Record::from_json(members))
    }

    /// Makes items of the elements of an array, or of those of an answer's `imdata`; anything else is a single item.
    #[must_use]
    pub fn all_from_json(value: &Json) -> Vec<Self> {
        match value.get("imdata").unwrap_or(value) {
            Json::Array(elements) => elements.iter().map(Self::from_json).collect(),
            single => vec![Self::from_json(single)],
        }
    }

    /// Returns the value at a path; of a bare value only a member of what it holds, or itself by the name [`VALUE`].
    pub(super) fn at(&self, path: &str) -> Option<Cow<'_, Cell>> {
        match self {
            Self::Row(record) => record.at(path),
            Self::Bare(cell) if path == VALUE => Some(Cow::Borrowed(cell)),
            Self::Bare(Cell::Json(text)) => {
                json::with_value(json::member_at(text, path)?, Cell::from_value).ok().map(Cow::Owned)
            }
            Self::Bare(_) => None,
        }
    }

    /// Returns the text of a bare text, else the JSON text.
    pub(super) fn to_text(&self) -> Cow<'_, str> {
        match self {
            Self::Bare(cell) => cell.to_text(),
            Self::Row(record) => Cow::Owned(serde_json::to_string(record).expect("columns have a JSON form")),
        }
    }

    pub(super) fn to_json(&self) -> Json {
        match self {
            Self::Bare(cell) => cell.to_json(),
            Self::Row(record) => {
                Json::Object(record.columns().map(|(name, cell)| (name.to_owned(), cell.to_json())).collect())
            }
        }
    }

    /// Returns what a person would know the item by.
    pub(super) fn label(&self) -> String {
        let named = |name: &str| self.at(name).map(|cell| cell.to_string());
        shorten(&named(DN).or_else(|| named("name")).unwrap_or_else(|| self.to_text().into_owned()))
    }

    pub(super) fn len_bytes(&self) -> usize {
        size_of::<Self>()
            + match self {
                Self::Bare(cell) => cell.len_bytes(),
                Self::Row(record) => record.0.iter().map(|(_, cell)| size_of::<Arc<str>>() + cell.len_bytes()).sum(),
            }
    }

    pub(super) fn write_row(&self, builder: &mut RowBatchBuilder) -> Result<(), RowError> {
        let written = match self {
            Self::Bare(cell) => cell.write(builder, VALUE),
            Self::Row(record) => record.0.iter().try_for_each(|(name, cell)| cell.write(builder, name)),
        };
        match written {
            Ok(()) => builder.finish_row(),
            Err(problem) => {
                builder.discard_row();
                Err(problem)
            }
        }
    }
}

impl Serialize for Item {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Row(record) => record.serialize(serializer),
            Self::Bare(cell) => cell.serialize(serializer),
        }
    }
}

/// Names of columns, each kept once however many rows have it.
#[derive(Debug, Default)]
pub(super) struct Names(hashbrown::HashSet<Arc<str>>);

impl Names {
    fn intern(&mut self, name: &str) -> Arc<str> {
        if let Some(known) = self.0.get(name) {
            return Arc::clone(known);
        }
        // Rows that all have names of their own must not make this grow for ever.
        if self.0.len() > 65_536 {
            self.0.clear();
        }
        let name: Arc<str> = name.into();
        self.0.insert(Arc::clone(&name));
        name
    }
}
