//! Rows taken apart: the attributes in which two differ, and those that lists of them have in common.

use std::cmp::Ordering;
use std::sync::Arc;

use hashbrown::HashSet;

use super::walk::cancel_rows;
use crate::row::codec::put_value;
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
    /// Only one of the rows has it.
    pub(super) is_one_sided: bool,
}

/// Calls `each` with every attribute that is not the same in both rows, in name order.
pub(super) fn for_each_difference<'a>(before: RowRef<'a>, after: RowRef<'a>, mut each: impl FnMut(Difference<'a>)) {
    let (mut older, mut newer) = (before.attributes().peekable(), after.attributes().peekable());
    loop {
        let order = match (older.peek(), newer.peek()) {
            (None, None) => return,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some((one, _)), Some((other, _))) => one.cmp(other),
        };
        let was = if order.is_le() { older.next() } else { None };
        let is = if order.is_ge() { newer.next() } else { None };
        match (was, is) {
            (Some((name, before)), Some((_, after))) if before != after => {
                each(Difference { name, is_one_sided: false })
            }
            (Some((name, _)), None) | (None, Some((name, _))) => each(Difference { name, is_one_sided: true }),
            _ => {}
        }
    }
}
