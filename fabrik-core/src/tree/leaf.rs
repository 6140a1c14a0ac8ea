//! Leaves: the nodes that hold rows.
//!
//! | field | bytes | meaning |
//! | --- | --- | --- |
//! | kind | 1 | 1 |
//! | layout | 1 | 1 |
//! | count | varint | rows; 0 only in the leaf of an empty snapshot |
//! | keys | per row | varint bytes shared with the key before, then bytes of its own |
//! | shapes | varint | how many different sets of names the rows have |
//! | shape | per shape, in order of first use | names, columns, usual values |
//! | names | in a shape | varint count, then each name as bytes, ascending |
//! | columns | in a shape, 1 per name | 0: each row has its own value; 1: there is a usual value; 2: the value is the DN in the row's key |
//! | usual values | in a shape | the value of each column of kind 1 |
//! | shape number | varint per row | which shape it has; left out when there is only one |
//! | row | per row | a bit for each column of kind 1, lowest first, in whole bytes: set when its value is not the usual one; then the values of the columns of kind 0 and of those with their bit set |
//!
//! Rows stand in order of key, then of names, then of values. A value is usual when more than half of the
//! shape's rows in this leaf have it; kind 2 is for the column `dn` where the key is the DN. So equal rows give
//! equal bytes. Varint, bytes and values are those of [`codec`](crate::row::codec).
//!
//! Usual values, because the objects of a class agree on most attributes: a leaf is about a third the size
//! of its rows, and hashing, compressing and comparing cost that much less. Rows one after the other and
//! not columns, because then a new row is one insertion and the next version of a leaf a small difference.

use std::ops::Range;

use bytes::Bytes;

use super::{Keys, LAYOUT, LEAF, put_key};
use crate::key::{TAG_DN, dn_of};
use crate::row::codec::{Malformed, Reader, put_value, put_varint, take_encoded, take_str, take_value, take_varint};
use crate::row::{CLASS_NAME, DN, Row, RowRef, ShapeTable, Value, write_object};

const OWN: u8 = 0;
const USUAL: u8 = 1;
const KEY: u8 = 2;

/// The rows of a leaf under construction, in their final order.
#[derive(Debug, Default)]
pub(crate) struct LeafRows {
    keys: Vec<u8>,
    values: Vec<u8>,
    rows: Vec<LeafRowEnd>,
}

#[derive(Clone, Copy, Debug)]
struct LeafRowEnd {
    key: usize,
    values: usize,
    shape: u32,
}

impl LeafRows {
    pub(crate) fn push(&mut self, key: &[u8], shape: u32, values: &[u8]) {
        self.keys.extend_from_slice(key);
        self.values.extend_from_slice(values);
        self.rows.push(LeafRowEnd { key: self.keys.len(), values: self.values.len(), shape });
    }

    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    pub(crate) fn value_bytes(&self) -> usize {
        self.values.len()
    }

    fn range(&self, i: usize, end: impl Fn(&LeafRowEnd) -> usize) -> Range<usize> {
        let start = if i == 0 { 0 } else { end(&self.rows[i - 1]) };
        start..end(&self.rows[i])
    }

    pub(crate) fn key(&self, i: usize) -> &[u8] {
        &self.keys[self.range(i, |row| row.key)]
    }

    pub(crate) fn encode(&self, shapes: &ShapeTable) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.values.len() / 2 + 256);
        out.extend_from_slice(&[LEAF, LAYOUT]);
        put_varint(&mut out, self.rows.len() as u64);
        let mut previous: &[u8] = &[];
        for i in 0..self.rows.len() {
            put_key(&mut out, previous, self.key(i));
            previous = self.key(i);
        }

        let mut used: Vec<u32> = Vec::new();
        let numbers: Vec<usize> = (self.rows.iter())
            .map(|row| {
                used.iter().position(|&shape| shape == row.shape).unwrap_or_else(|| {
                    used.push(row.shape);
                    used.len() - 1
                })
            })
            .collect();
        put_varint(&mut out, used.len() as u64);
        // Each value where it stands, row by row: `cells[starts[i]..]` are those of row i.
        let mut cells: Vec<&[u8]> = Vec::with_capacity(self.rows.len() * 32);
        let mut starts: Vec<usize> = Vec::with_capacity(self.rows.len());
        for (i, row) in self.rows.iter().enumerate() {
            starts.push(cells.len());
            let mut rest = &self.values[self.range(i, |row| row.values)];
            cells.extend((0..shapes.get(row.shape).len()).map(|_| take_encoded(&mut rest)));
        }
        let mut usual: Vec<Vec<Option<&[u8]>>> = Vec::with_capacity(used.len());
        let mut columns: Vec<Vec<u8>> = Vec::with_capacity(used.len());
        for (number, &shape) in used.iter().enumerate() {
            let members: Vec<usize> = (0..self.rows.len()).filter(|&i| numbers[i] == number).collect();
            let keyed_by_dn = members.iter().all(|&i| self.key(i).first() == Some(&TAG_DN));
            let mut kinds = Vec::with_capacity(shapes.get(shape).len());
            let mut usual_here = Vec::with_capacity(kinds.capacity());
            for (column, name) in shapes.get(shape).names().enumerate() {
                let values = members.iter().map(|&i| cells[starts[i] + column]);
                let is_key = name == DN && keyed_by_dn;
                let found = if is_key { None } else { majority(values) };
                kinds.push(if is_key {
                    KEY
                } else if found.is_some() {
                    USUAL
                } else {
                    OWN
                });
                usual_here.push(found);
            }
            out.extend_from_slice(shapes.get(shape).encoded());
            out.extend_from_slice(&kinds);
            usual_here.iter().flatten().for_each(|value| out.extend_from_slice(value));
            usual.push(usual_here);
            columns.push(kinds);
        }
        if used.len() > 1 {
            numbers.iter().for_each(|&number| put_varint(&mut out, number as u64));
        }
        for (&number, &start) in numbers.iter().zip(&starts) {
            let (kinds, usual) = (&columns[number], &usual[number]);
            let bits_at = out.len();
            out.resize(bits_at + kinds.iter().filter(|kind| **kind == USUAL).count().div_ceil(8), 0);
            let mut bit = 0;
            for (column, &kind) in kinds.iter().enumerate() {
                let value = cells[start + column];
                if kind == USUAL {
                    if usual[column] != Some(value) {
                        out[bits_at + bit / 8] |= 1 << (bit % 8);
                        out.extend_from_slice(value);
                    }
                    bit += 1;
                } else if kind == OWN {
                    out.extend_from_slice(value);
                }
            }
        }
        out
    }
}

/// Returns the value that more than half of the rows have, if there is one: the vote of Boyer and Moore, and a count.
fn majority<'a>(values: impl ExactSizeIterator<Item = &'a [u8]> + Clone) -> Option<&'a [u8]> {
    let (mut leader, mut votes): (&[u8], usize) = (&[], 0);
    for value in values.clone() {
        if votes == 0 {
            (leader, votes) = (value, 1);
        } else if value == leader {
            votes += 1;
        } else {
            votes -= 1;
        }
    }
    let (rows, agree) = (values.len(), values.filter(|value| *value == leader).count());
    (agree * 2 > rows).then_some(leader)
}

/// A leaf, read from its bytes.
#[derive(Debug)]
pub(crate) struct Leaf {
    bytes: Bytes,
    keys: Keys,
    shapes: Vec<LeafShape>,
    /// For each row its shape and where it starts; the last one's start is followed by its end.
    shape_of: Vec<u32>,
    starts: Vec<u32>,
}

#[derive(Debug)]
struct LeafShape {
    names: Range<usize>,
    kinds: Range<usize>,
    /// Names, kinds and usual values: where these are equal, rows are equal when their bytes are.
    whole: Range<usize>,
    usual: Vec<Range<usize>>,
}

impl Leaf {
    /// Returns about how many bytes it takes.
    pub(super) fn memory(&self) -> usize {
        let usual: usize = self.shapes.iter().map(|shape| size_of_val(&*shape.usual)).sum();
        let rows = size_of_val(&*self.shape_of) + size_of_val(&*self.starts);
        size_of::<Self>() + self.bytes.len() + self.keys.memory() + size_of_val(&*self.shapes) + usual + rows
    }

    pub(super) fn parse(bytes: &Bytes) -> Result<Self, Malformed> {
        if u32::try_from(bytes.len()).is_err() {
            return Err("it is longer than 4 GiB");
        }
        let mut reader = Reader::new(bytes);
        reader.take(2)?;
        let count = reader.len()?;
        if count > bytes.len() {
            return Err("it has an impossible number of rows");
        }
        let keys = Keys::parse(&mut reader, count)?;
        let n_shapes = reader.len()?;
        if n_shapes > count || (n_shapes == 0) != (count == 0) {
            return Err("it has an impossible number of shapes");
        }
        let shapes = (0..n_shapes).map(|_| LeafShape::parse(&mut reader, bytes)).collect::<Result<Vec<_>, _>>()?;

        let mut shape_of = vec![0; count];
        if n_shapes > 1 {
            for shape in &mut shape_of {
                let number = reader.len()?;
                if number >= n_shapes {
                    return Err("a row has an unknown shape");
                }
                *shape = u32::try_from(number).map_err(|_| "a row has an unknown shape")?;
            }
        }
        let at = |reader: &Reader<'_>| u32::try_from(reader.position()).map_err(|_| "it is longer than 4 GiB");
        let mut starts = Vec::with_capacity(count + 1);
        for (i, &shape) in shape_of.iter().enumerate() {
            starts.push(at(&reader)?);
            let shape = &shapes[shape as usize];
            let bits = reader.take(shape.usual.len().div_ceil(8))?;
            let mut bit = 0;
            for &kind in &bytes[shape.kinds.clone()] {
                if kind == USUAL {
                    if bits[bit / 8] >> (bit % 8) & 1 == 1 {
                        reader.value()?;
                    }
                    bit += 1;
                } else if kind == OWN {
                    reader.value()?;
                } else if dn_of(keys.get(i)).is_none() {
                    return Err("a row takes its DN from a key without one");
                }
            }
        }
        starts.push(at(&reader)?);
        if !reader.is_at_end() {
            return Err("it goes on after its end");
        }
        Ok(Self { keys, shapes, shape_of, starts, bytes: bytes.clone() })
    }

    pub(crate) fn len(&self) -> usize {
        self.keys.len()
    }

    pub(crate) fn key(&self, i: usize) -> &[u8] {
        self.keys.get(i)
    }

    pub(crate) fn row(&self, i: usize) -> LeafRow<'_> {
        LeafRow { leaf: self, index: i }
    }

    /// Returns the rows that have this key.
    pub(crate) fn rows_with(&self, key: &[u8]) -> Range<usize> {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = (low + high) / 2;
            if self.key(middle) < key { low = middle + 1 } else { high = middle }
        }
        let mut end = low;
        while end < self.len() && self.key(end) == key {
            end += 1;
        }
        low..end
    }

    fn shape_of(&self, i: usize) -> &LeafShape {
        &self.shapes[self.shape_of[i] as usize]
    }
}

impl LeafShape {
    fn parse(reader: &mut Reader<'_>, bytes: &[u8]) -> Result<Self, Malformed> {
        let start = reader.position();
        let n_names = reader.len()?;
        let mut previous = None;
        for _ in 0..n_names {
            let name = reader.str()?;
            if previous.is_some_and(|previous| previous >= name) {
                return Err("its names are not ascending");
            }
            previous = Some(name);
        }
        let names = start..reader.position();
        reader.take(n_names)?;
        let kinds = names.end..reader.position();
        let mut usual = Vec::with_capacity(n_names);
        for &kind in &bytes[kinds.clone()] {
            match kind {
                USUAL => {
                    let start = reader.position();
                    reader.value()?;
                    usual.push(start..reader.position());
                }
                OWN | KEY => {}
                _ => return Err("a column has an unknown kind"),
            }
        }
        Ok(Self { names, kinds, whole: start..reader.position(), usual })
    }
}

/// One row of a leaf.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LeafRow<'a> {
    leaf: &'a Leaf,
    index: usize,
}

impl<'a> LeafRow<'a> {
    pub(crate) fn key(self) -> &'a [u8] {
        self.leaf.key(self.index)
    }

    fn shape(self) -> &'a LeafShape {
        self.leaf.shape_of(self.index)
    }

    /// Returns the names as they stand in the leaf; equal for rows with the same attributes.
    pub(crate) fn encoded_names(self) -> &'a [u8] {
        &self.leaf.bytes[self.shape().names.clone()]
    }

    /// Returns the names in ascending order.
    pub(crate) fn names(self) -> impl Iterator<Item = &'a str> {
        let mut names = self.encoded_names();
        let count = take_varint(&mut names);
        (0..count).map(move |_| take_str(&mut names))
    }

    /// Returns the values in name order.
    pub(crate) fn values(self) -> impl Iterator<Item = Value<'a>> {
        self.encoded().map(move |encoded| encoded.map_or_else(|| self.key_dn(), |mut encoded| take_value(&mut encoded)))
    }

    fn bytes(self) -> &'a [u8] {
        &self.leaf.bytes[self.leaf.starts[self.index] as usize..self.leaf.starts[self.index + 1] as usize]
    }

    /// Returns the encoded values in name order; `None` stands for the DN of the key.
    fn encoded(self) -> impl Iterator<Item = Option<&'a [u8]>> {
        let shape = self.shape();
        let (bits, mut own) = self.bytes().split_at(shape.usual.len().div_ceil(8));
        let mut bit = 0;
        self.leaf.bytes[shape.kinds.clone()].iter().map(move |&kind| match kind {
            USUAL => {
                let is_own = bits[bit / 8] >> (bit % 8) & 1 == 1;
                bit += 1;
                Some(if is_own { take_encoded(&mut own) } else { &self.leaf.bytes[shape.usual[bit - 1].clone()] })
            }
            KEY => None,
            _ => Some(take_encoded(&mut own)),
        })
    }

    /// Returns the DN of the key, where a column takes it from there; the reader has checked that there is one.
    fn key_dn(self) -> Value<'a> {
        dn_of(self.key()).map_or(Value::Null, Value::String)
    }

    /// Returns the attributes in name order.
    pub(crate) fn attributes(self) -> impl Iterator<Item = (&'a str, Value<'a>)> {
        self.names().zip(self.values())
    }

    /// Appends the encoded values, that of the key included.
    fn put_values(self, out: &mut Vec<u8>) {
        for encoded in self.encoded() {
            match encoded {
                Some(encoded) => out.extend_from_slice(encoded),
                None => put_value(out, self.key_dn()),
            }
        }
    }

    /// Returns bytes that are equal for equal rows and order the rows of one key as [`compare_content`] does.
    pub(crate) fn content(self) -> Vec<u8> {
        let mut content = self.encoded_names().to_vec();
        self.put_values(&mut content);
        content
    }

    pub(crate) fn write_json(self, out: &mut Vec<u8>) {
        write_object(self.attributes(), out);
    }

    /// Returns the value of a column without reading those after it.
    fn get(self, wanted: &str) -> Option<Value<'a>> {
        let mut names = self.encoded_names();
        let count = usize::try_from(take_varint(&mut names)).ok()?;
        let position = (0..count).find(|_| {
            let len = usize::try_from(take_varint(&mut names)).expect("lengths in memory fit");
            let (name, rest) = names.split_at(len);
            names = rest;
            name == wanted.as_bytes()
        })?;
        let encoded = self.encoded().nth(position)?;
        Some(encoded.map_or_else(|| self.key_dn(), |mut encoded| take_value(&mut encoded)))
    }

    pub(crate) fn class_name(self) -> Option<&'a str> {
        [CLASS_NAME, "class"].into_iter().find_map(|column| match self.get(column) {
            Some(Value::String(class)) => Some(class),
            _ => None,
        })
    }

    /// Copies the row out of the leaf.
    pub(crate) fn to_row(self, shapes: &mut ShapeTable) -> Row {
        shapes.make_row(self.encoded_names(), |values| self.put_values(values))
    }
}

impl PartialEq for LeafRow<'_> {
    /// Compares the attributes; the keys are expected to be equal.
    fn eq(&self, other: &Self) -> bool {
        let whole = |row: &Self| &row.leaf.bytes[row.shape().whole.clone()];
        if whole(self) == whole(other) {
            return self.bytes() == other.bytes();
        }
        self.encoded_names() == other.encoded_names()
            && self.encoded().zip(other.encoded()).all(|values| match values {
                (Some(mine), Some(theirs)) => mine == theirs,
                (None, None) => true,
                // One leaf takes the DN from the key; the other writes it out, because it has rows of the same
                // shape without a DN.
                (Some(mut own), None) | (None, Some(mut own)) => take_value(&mut own) == self.key_dn(),
            })
    }
}

/// Orders rows of one key, so that their order does not depend on how they arrived.
pub(crate) fn compare_content(one: RowRef<'_>, other: RowRef<'_>) -> std::cmp::Ordering {
    one.shape.encoded().cmp(other.shape.encoded()).then_with(|| one.values.cmp(other.values))
}
