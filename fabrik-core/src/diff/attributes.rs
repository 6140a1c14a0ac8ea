//! Rows taken apart: the attributes in which two differ, and those that lists of them have in common.

use std::cmp::Ordering;
use std::sync::Arc;

use hashbrown::HashSet;

use super::walk::cancel_rows;
use crate::row::codec::{put_value, take_encoded};
use crate::row::{Row, RowRef, Shape};

/// Copies some attributes of a row.
pub(super) fn keep(row: RowRef<'_>, mut keeps: impl FnMut(&str) -> bool) -> Row {
    let (mut names, mut values) = (Vec::new(), Vec::new());
    for (name, value) in row.attributes() {
        if keeps(name) {
            names.push(name.into());
            put_value(&mut values, value);
        }
    }
    Row { shape: Arc::new(Shape::new(names)), values: values.into() }
}

/// Takes rows that are equal in the attributes that both lists have out of them; returns how many. The others stay
/// in the order of those attributes, so that those which agree in more of them are likely to become pairs.
pub(super) fn cancel_common(older: &mut Vec<Row>, newer: &mut Vec<Row>) -> u64 {
    let names =
        |rows: &[Row]| -> HashSet<Box<str>> { rows.iter().flat_map(|row| row.shape.names()).map(Into::into).collect() };
    let (of_older, of_newer) = (names(older), names(newer));
    let is_common = |name: &str| of_older.contains(name) && of_newer.contains(name);
    cancel_rows(older, newer, |row| {
        let common = keep(row.as_ref(), is_common);
        [common.shape.encoded(), &common.values].concat()
    })
}

/// An attribute that is not the same in two rows.
#[derive(Debug)]
pub(super) struct Difference<'a> {
    pub(super) name: &'a str,
    pub(super) places: Places,
}

/// Where an attribute stands among those of a row before and after; `None` where the row lacks it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Places {
    pub(super) before: Option<u32>,
    pub(super) after: Option<u32>,
}

impl Places {
    pub(super) fn is_one_sided(self) -> bool {
        self.before.is_none() || self.after.is_none()
    }
}

/// Calls `each` with every attribute that is not the same in both rows, in name order.
pub(super) fn for_each_difference<'a>(before: RowRef<'a>, after: RowRef<'a>, mut each: impl FnMut(Difference<'a>)) {
    // Rows of one class share a shape: then only their values can differ.
    let is_same_shape = std::ptr::eq(before.shape, after.shape);
    let (mut i, mut j) = (0_u32, 0_u32);
    let (mut older, mut newer) = (before.values, after.values);
    loop {
        let names = (before.shape.name(i as usize), after.shape.name(j as usize));
        let (name, order) = match names {
            (None, None) => return,
            (Some(name), None) => (name, Ordering::Less),
            (None, Some(name)) => (name, Ordering::Greater),
            (Some(name), Some(_)) if is_same_shape => (name, Ordering::Equal),
            (Some(one), Some(other)) => {
                let order = one.cmp(other);
                (if order.is_le() { one } else { other }, order)
            }
        };
        // Values are equal when their bytes are.
        let was = order.is_le().then(|| take_encoded(&mut older));
        let is = order.is_ge().then(|| take_encoded(&mut newer));
        if was != is {
            each(Difference { name, places: Places { before: was.map(|_| i), after: is.map(|_| j) } });
        }
        (i, j) = (i + u32::from(order.is_le()), j + u32::from(order.is_ge()));
    }
}
