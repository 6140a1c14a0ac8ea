//! Rows: one record each, as they travel from a source into a snapshot and out again.
//!
//! A row is a set of attributes in name order. Its names are kept apart as a [`Shape`], because the
//! objects of one class all have the same names; its values are one run of bytes (see [`codec`]).

pub(crate) mod codec;
pub(crate) mod json;

use std::fmt;
use std::sync::Arc;

use hashbrown::HashMap;
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use serde_json::value::RawValue;

use crate::error::{Error, shorten};
use codec::{put_bytes, put_value, take_encoded, take_value, take_varint};

/// The column that holds the distinguished name.
pub const DN: &str = "dn";
/// The column that holds the class of a managed object.
pub const CLASS_NAME: &str = "className";
/// The longest row that is taken, in bytes of its values. Longer ones are an input error.
pub const MAX_ROW_BYTES: usize = 16 << 20;
/// The longest names of a row, all together, in bytes. A leaf holds up to 96 rows, each perhaps with names of its own.
const MAX_NAMES_BYTES: usize = 256 << 10;
/// How deep the value of one attribute may nest.
pub const MAX_DEPTH: usize = 100;

/// The value of one attribute, as it was given.
///
/// The order is that of the variants and then of the texts; it only serves to make results repeatable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Value<'a> {
    /// JSON `null`, which is not the same as an absent attribute.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number with the digits it was written with: `1.0` and `1` differ.
    Number(&'a str),
    /// A string.
    String(&'a str),
    /// An array or object as compact JSON with sorted member names.
    Json(&'a str),
}

impl Value<'_> {
    /// Appends the compact JSON text of the value.
    pub fn write_json(&self, out: &mut Vec<u8>) {
        match self {
            Self::Null => out.extend_from_slice(b"null"),
            Self::Bool(true) => out.extend_from_slice(b"true"),
            Self::Bool(false) => out.extend_from_slice(b"false"),
            Self::Number(text) | Self::Json(text) => out.extend_from_slice(text.as_bytes()),
            Self::String(text) => json::write_string(text, out),
        }
    }

    /// Returns the length of [`Value::write_json`]'s output, in bytes.
    fn json_len(&self) -> usize {
        match self {
            Self::Null | Self::Bool(true) => 4,
            Self::Bool(false) => 5,
            Self::Number(text) | Self::Json(text) => text.len(),
            Self::String(text) => json::string_len(text),
        }
    }
}

impl fmt::Display for Value<'_> {
    /// Writes a string as it is and everything else as JSON.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Bool(value) => value.fmt(f),
            Self::Number(text) | Self::String(text) | Self::Json(text) => f.write_str(text),
        }
    }
}

impl Serialize for Value<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::String(text) => serializer.serialize_str(text),
            Self::Number(text) | Self::Json(text) => {
                let raw: &RawValue = serde_json::from_str(text).map_err(serde::ser::Error::custom)?;
                raw.serialize(serializer)
            }
        }
    }
}

/// The attribute names that rows share: strictly ascending by bytes.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Shape {
    names: Box<[Box<str>]>,
    /// The names as they stand in a leaf: their number, then each with its length before it.
    encoded: Box<[u8]>,
    dn: Option<usize>,
}

impl fmt::Debug for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.names).finish()
    }
}

impl Shape {
    /// `names` must be strictly ascending.
    pub(crate) fn new(names: Vec<Box<str>>) -> Self {
        debug_assert!(names.is_sorted_by(|before, after| before < after));
        let mut encoded = Vec::with_capacity(names.iter().map(|name| name.len() + 1).sum::<usize>() + 2);
        codec::put_varint(&mut encoded, names.len() as u64);
        for name in &names {
            put_bytes(&mut encoded, name.as_bytes());
        }
        let dn = names.iter().position(|name| &**name == DN);
        Self { names: names.into(), encoded: encoded.into(), dn }
    }

    /// Returns the names in ascending order.
    pub fn names(&self) -> impl ExactSizeIterator<Item = &str> {
        self.names.iter().map(|name| &**name)
    }

    /// Returns the name at a place, counted from 0; `None` behind the last.
    pub(crate) fn name(&self, place: usize) -> Option<&str> {
        self.names.get(place).map(|name| &**name)
    }

    pub(crate) fn len(&self) -> usize {
        self.names.len()
    }

    pub(crate) fn encoded(&self) -> &[u8] {
        &self.encoded
    }

    pub(crate) fn position(&self, name: &str) -> Option<usize> {
        if name == DN {
            return self.dn;
        }
        self.names.binary_search_by(|have| (**have).cmp(name)).ok()
    }
}

/// A borrowed row.
#[derive(Clone, Copy)]
pub struct RowRef<'a> {
    pub(crate) shape: &'a Shape,
    pub(crate) values: &'a [u8],
}

impl<'a> RowRef<'a> {
    /// Returns the attributes in name order.
    pub fn attributes(self) -> impl Iterator<Item = (&'a str, Value<'a>)> {
        let mut rest = self.values;
        self.shape.names.iter().map(move |name| (&**name, take_value(&mut rest)))
    }

    /// Returns the value of one attribute, or `None` where the row has no such attribute.
    #[must_use]
    pub fn get(self, name: &str) -> Option<Value<'a>> {
        let place = self.shape.position(name)?;
        Some(self.cursor().attribute(place).1)
    }

    pub(crate) fn cursor(self) -> RowCursor<'a> {
        RowCursor { shape: self.shape, place: 0, rest: self.values }
    }

    /// Returns the DN when the row has one that is a string and not empty.
    #[must_use]
    pub fn dn(self) -> Option<&'a str> {
        match self.get(DN) {
            Some(Value::String(dn)) if !dn.is_empty() => Some(dn),
            _ => None,
        }
    }

    /// Returns the class: of the envelope, else of a `class` column.
    #[must_use]
    pub fn class_name(self) -> Option<&'a str> {
        [CLASS_NAME, "class"].into_iter().find_map(|column| match self.get(column) {
            Some(Value::String(class)) => Some(class),
            _ => None,
        })
    }

    /// Appends the row as one compact JSON object, members in name order.
    pub fn write_json(self, out: &mut Vec<u8>) {
        write_object(self.attributes(), out);
    }

    /// Copies the row.
    #[must_use]
    pub fn to_row(self) -> Row {
        Row { shape: Arc::new(self.shape.clone()), values: self.values.into() }
    }
}

impl PartialEq for RowRef<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.values == other.values && self.shape.encoded == other.shape.encoded
    }
}

impl fmt::Debug for RowRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.attributes()).finish()
    }
}

impl Serialize for RowRef<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.shape.len()))?;
        for (name, value) in self.attributes() {
            map.serialize_entry(name, &value)?;
        }
        map.end()
    }
}

/// Reads some attributes of a row in name order, passing over those between them.
#[derive(Debug)]
pub(crate) struct RowCursor<'a> {
    shape: &'a Shape,
    place: usize,
    rest: &'a [u8],
}

impl<'a> RowCursor<'a> {
    /// Returns the attribute at a place, counted from 0, which must lie behind those that were read.
    pub(crate) fn attribute(&mut self, place: usize) -> (&'a str, Value<'a>) {
        for _ in self.place..place {
            take_encoded(&mut self.rest);
        }
        self.place = place + 1;
        (&self.shape.names[place], take_value(&mut self.rest))
    }
}

/// An owned row.
#[derive(Clone, PartialEq, Eq)]
pub struct Row {
    pub(crate) shape: Arc<Shape>,
    pub(crate) values: Box<[u8]>,
}

impl Row {
    /// Borrows the row, to read it.
    #[must_use]
    pub fn as_ref(&self) -> RowRef<'_> {
        RowRef { shape: &self.shape, values: &self.values }
    }
}

impl fmt::Debug for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_ref().fmt(f)
    }
}

impl Serialize for Row {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.as_ref().serialize(serializer)
    }
}

/// Appends attributes as one compact JSON object.
pub(crate) fn write_object<'a>(attributes: impl Iterator<Item = (&'a str, Value<'a>)>, out: &mut Vec<u8>) {
    out.push(b'{');
    for (i, (name, value)) in attributes.enumerate() {
        if i > 0 {
            out.push(b',');
        }
        json::write_string(name, out);
        out.push(b':');
        value.write_json(out);
    }
    out.push(b'}');
}

/// Interns shapes, so that the rows of one class share one.
#[derive(Debug, Default)]
pub(crate) struct ShapeTable {
    shapes: Vec<Arc<Shape>>,
    by_encoding: HashMap<Box<[u8]>, u32>,
    /// Room to put the values of a row together.
    values: Vec<u8>,
}

impl ShapeTable {
    pub(crate) fn intern(&mut self, shape: &Arc<Shape>) -> u32 {
        if let Some(&index) = self.by_encoding.get(shape.encoded()) {
            return index;
        }
        self.insert(Arc::clone(shape))
    }

    /// Interns the shape whose encoding this is; the encoding must be valid.
    pub(crate) fn intern_encoded(&mut self, encoded: &[u8]) -> u32 {
        if let Some(&index) = self.by_encoding.get(encoded) {
            return index;
        }
        let mut rest = encoded;
        let count = take_varint(&mut rest);
        let names = (0..count).map(|_| codec::take_str(&mut rest).into()).collect();
        self.insert(Arc::new(Shape::new(names)))
    }

    /// Makes a row of encoded names, which must be valid, and of the values that `put` appends.
    pub(crate) fn make_row(&mut self, names: &[u8], put: impl FnOnce(&mut Vec<u8>)) -> Row {
        let shape = self.intern_encoded(names);
        self.values.clear();
        put(&mut self.values);
        // Copied out, since a row keeps no more than it needs, and giving room back costs more than a copy.
        Row { shape: Arc::clone(self.get(shape)), values: self.values.as_slice().into() }
    }

    fn insert(&mut self, shape: Arc<Shape>) -> u32 {
        let index = u32::try_from(self.shapes.len()).expect("fewer than 2^32 shapes: each takes over a hundred bytes");
        self.by_encoding.insert(shape.encoded().into(), index);
        self.shapes.push(shape);
        index
    }

    pub(crate) fn get(&self, index: u32) -> &Arc<Shape> {
        &self.shapes[index as usize]
    }
}

/// Some rows of a source, in the order of arrival. The unit in which rows travel.
#[derive(Debug, Default)]
pub struct RowBatch {
    shapes: Vec<Arc<Shape>>,
    arena: Vec<u8>,
    rows: Vec<RowSlot>,
    size_bytes: u64,
}

#[derive(Clone, Copy, Debug)]
struct RowSlot {
    shape: u32,
    start: usize,
}

impl RowBatch {
    /// Returns the names of the attributes that its rows have, once for every set of names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.shapes.iter().flat_map(|shape| shape.names())
    }

    /// Returns the number of rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Returns whether there are no rows.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Returns the size of the rows as canonical JSON, in bytes, without anything between them.
    #[must_use]
    pub fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// Returns the rows in the order of arrival.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = RowRef<'_>> {
        (0..self.rows.len()).map(|i| self.row(i))
    }

    pub(crate) fn row(&self, i: usize) -> RowRef<'_> {
        let slot = self.rows[i];
        let end = self.rows.get(i + 1).map_or(self.arena.len(), |next| next.start);
        RowRef { shape: &self.shapes[slot.shape as usize], values: &self.arena[slot.start..end] }
    }

    pub(crate) fn shapes(&self) -> &[Arc<Shape>] {
        &self.shapes
    }

    pub(crate) fn shape_index(&self, i: usize) -> u32 {
        self.rows[i].shape
    }

    /// Returns the values of all rows, one after the other.
    pub(crate) fn values(&self) -> &[u8] {
        &self.arena
    }

    pub(crate) fn into_values(self) -> Vec<u8> {
        self.arena
    }
}

/// Fills a [`RowBatch`], an attribute at a time.
///
/// Names that arrive in the same order as an earlier row's cost one look-up a row: sorting them and
/// looking for a name that is there twice happens once per order.
///
/// ```
/// use fabrik_core::{RowBatchBuilder, Value};
///
/// let mut rows = RowBatchBuilder::default();
/// rows.attribute("dn", Value::String("uni/tn-blue"));
/// rows.attribute("descr", Value::String(""));
/// rows.finish_row()?;
/// rows.push_json(r#"{"dn":"uni/tn-red","mtu":9000}"#)?;
/// assert_eq!(rows.take().len(), 2);
/// # Ok::<(), fabrik_core::RowError>(())
/// ```
#[derive(Debug, Default)]
pub struct RowBatchBuilder {
    batch: RowBatch,
    orders: HashMap<Box<[u8]>, NameOrder>,
    /// Of the row under way: its names in the order of arrival, encoded, and its values.
    names: Vec<u8>,
    values: Vec<u8>,
    value_starts: Vec<usize>,
    value_json_bytes: usize,
}

/// What the first row with these names in this order taught us.
#[derive(Debug)]
struct NameOrder {
    shape: Arc<Shape>,
    /// The shape's index in the current batch, with the batch it belongs to.
    in_batch: Option<u32>,
    /// For each name in ascending order its place in the order of arrival; `None` when that is the same.
    arrival: Option<Box<[usize]>>,
    /// Bytes of JSON around the values: names, quotes, colons, commas, braces.
    frame_bytes: usize,
}

/// Why a row was refused. The caller knows where it stood and adds that.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct RowError(pub(crate) String);

impl RowError {
    /// States why a row cannot be taken.
    pub fn new(problem: impl Into<String>) -> Self {
        Self(problem.into())
    }

    /// Says where the row stood, counted from 1.
    #[must_use]
    pub fn at(self, row: u64) -> Error {
        Error::InvalidRow { row, problem: self.0 }
    }
}

impl RowBatchBuilder {
    /// Adds an attribute to the row under way.
    pub fn attribute(&mut self, name: &str, value: Value<'_>) {
        put_bytes(&mut self.names, name.as_bytes());
        self.value_starts.push(self.values.len());
        put_value(&mut self.values, value);
        self.value_json_bytes += value.json_len();
    }

    /// Adds an attribute whose value is given as JSON text, keeping its digits.
    ///
    /// The text is one value as a parser hands it over, such as serde_json's `RawValue`: rows are read too often to check
    /// twice that it is JSON.
    ///
    /// # Errors
    ///
    /// When it names a member twice or nests deeper than [`MAX_DEPTH`].
    pub fn attribute_json(&mut self, name: &str, text: &str) -> Result<(), RowError> {
        json::with_value(text, |value| self.attribute(name, value))
            .map_err(|problem| RowError(format!("attribute {:?}: {problem}", shorten(name))))
    }

    /// Adds a whole row given as the text of a flat JSON object.
    ///
    /// # Errors
    ///
    /// When the text is no JSON object or has a member twice; the row is dropped, earlier ones stay.
    pub fn push_json(&mut self, text: &str) -> Result<(), RowError> {
        let read = json::each_member(text, |name, value| self.attribute_json(name, value));
        if let Err(problem) = read {
            self.discard_row();
            return Err(problem);
        }
        self.finish_row()
    }

    /// Ends the row under way and adds it to the batch.
    ///
    /// # Errors
    ///
    /// When an attribute is there twice, the row is longer than [`MAX_ROW_BYTES`] or its names take more than
    /// 256 KiB; the row is dropped, earlier ones stay.
    pub fn finish_row(&mut self) -> Result<(), RowError> {
        if self.values.len() > MAX_ROW_BYTES {
            let problem = format!("it has {} bytes; at most {MAX_ROW_BYTES} are taken", self.values.len());
            self.discard_row();
            return Err(RowError(problem));
        }
        if self.names.len() > MAX_NAMES_BYTES {
            let problem = format!("its names have {} bytes; at most {MAX_NAMES_BYTES} are taken", self.names.len());
            self.discard_row();
            return Err(RowError(problem));
        }
        if !self.orders.contains_key(self.names.as_slice()) {
            match NameOrder::learn(&self.names) {
                Ok(order) => self.orders.insert(self.names.as_slice().into(), order),
                Err(problem) => {
                    self.discard_row();
                    return Err(problem);
                }
            };
        }
        let order = self.orders.get_mut(self.names.as_slice()).expect("it was learned above");
        let shape = *order.in_batch.get_or_insert_with(|| {
            let known = self.batch.shapes.iter().position(|have| have.encoded() == order.shape.encoded());
            let index = known.unwrap_or_else(|| {
                self.batch.shapes.push(Arc::clone(&order.shape));
                self.batch.shapes.len() - 1
            });
            u32::try_from(index).expect("a batch has fewer than 2^32 rows, so shapes")
        });
        self.batch.rows.push(RowSlot { shape, start: self.batch.arena.len() });
        match &order.arrival {
            None => self.batch.arena.extend_from_slice(&self.values),
            Some(arrival) => {
                for &place in arrival {
                    let end = self.value_starts.get(place + 1).copied().unwrap_or(self.values.len());
                    self.batch.arena.extend_from_slice(&self.values[self.value_starts[place]..end]);
                }
            }
        }
        self.batch.size_bytes += (order.frame_bytes + self.value_json_bytes) as u64;
        self.discard_row();
        Ok(())
    }

    /// Drops the row under way.
    pub fn discard_row(&mut self) {
        self.names.clear();
        self.values.clear();
        self.value_starts.clear();
        self.value_json_bytes = 0;
    }

    /// Returns the bytes that the batch holds, to decide when to hand it on.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        self.batch.arena.len()
    }

    /// Returns the number of finished rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.batch.len()
    }

    /// Returns whether no row is finished.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.batch.is_empty()
    }

    /// Hands over the finished rows and starts a new batch.
    pub fn take(&mut self) -> RowBatch {
        for order in self.orders.values_mut() {
            order.in_batch = None;
        }
        // An input in which every row has names of its own must not make this table grow for ever.
        if self.orders.len() > 4096 {
            self.orders.clear();
        }
        std::mem::take(&mut self.batch)
    }
}

impl NameOrder {
    fn learn(encoded: &[u8]) -> Result<Self, RowError> {
        let mut rest = encoded;
        let mut names = Vec::new();
        while !rest.is_empty() {
            names.push(codec::take_str(&mut rest));
        }
        let mut arrival: Vec<usize> = (0..names.len()).collect();
        arrival.sort_by_key(|&place| names[place]);
        if let Some(pair) = arrival.windows(2).find(|pair| names[pair[0]] == names[pair[1]]) {
            return Err(RowError(format!("attribute {:?} is there twice", shorten(names[pair[0]]))));
        }
        let sorted: Vec<Box<str>> = arrival.iter().map(|&place| names[place].into()).collect();
        let frame_bytes = sorted.iter().map(|name| json::string_len(name) + 1).sum::<usize>() + sorted.len().max(1) + 1;
        Ok(Self {
            shape: Arc::new(Shape::new(sorted)),
            in_batch: None,
            arrival: if arrival.is_sorted() { None } else { Some(arrival.into()) },
            frame_bytes,
        })
    }
}

#[cfg(test)]
mod tests;
