//! Two sorted inputs, merged: for rows that had to be sorted by another key than the stored one.

use std::sync::Arc;

use crate::error::Result;
use crate::row::Row;
use crate::sort::{RowSorter, SortedRow, SortedRows};

/// Two sorted inputs, read key by key.
#[derive(Debug)]
pub(super) struct MergedRows {
    sides: [SortedSide; 2],
}

#[derive(Debug)]
struct SortedSide {
    rows: SortedRows,
    ahead: Option<(Box<[u8]>, Row)>,
}

impl SortedSide {
    fn advance(&mut self) -> Result<Option<(Box<[u8]>, Row)>> {
        let taken = self.ahead.take();
        let next = self.rows.next()?.map(|SortedRow { key, shape, values }| (key.into(), shape, values.into()));
        self.ahead =
            next.map(|(key, shape, values)| (key, Row { shape: Arc::clone(self.rows.shapes.get(shape)), values }));
        Ok(taken)
    }
}

impl MergedRows {
    pub(super) fn new(older: RowSorter, newer: RowSorter) -> Result<Self> {
        let side = |sorter: RowSorter| -> Result<SortedSide> {
            let mut side = SortedSide { rows: sorter.finish()?, ahead: None };
            side.advance()?;
            Ok(side)
        };
        Ok(Self { sides: [side(older)?, side(newer)?] })
    }

    /// Returns the next key with its rows on both sides.
    #[expect(clippy::type_complexity, reason = "a key and two lists, taken apart at once by the only caller")]
    pub(super) fn next_group(&mut self) -> Result<Option<(Box<[u8]>, Vec<Row>, Vec<Row>)>> {
        let Some(key) = self.sides.iter().filter_map(|side| Some(side.ahead.as_ref()?.0.clone())).min() else {
            return Ok(None);
        };
        let mut rows = [Vec::new(), Vec::new()];
        for (side, rows) in self.sides.iter_mut().zip(&mut rows) {
            while side.ahead.as_ref().is_some_and(|(ahead, _)| *ahead == key) {
                rows.extend(side.advance()?.map(|(_, row)| row));
            }
        }
        let [older, newer] = rows;
        Ok(Some((key, older, newer)))
    }
}
