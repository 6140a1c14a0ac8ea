//! Rows that may come again, held until they cannot.

use std::collections::{BTreeMap, HashMap};

use fabrik_core::{RowBatch, RowBatchBuilder, RowRef, Value};

/// How much is held. What comes when this is full goes on at once.
const MAX_HELD_BYTES: usize = 32 << 20;
/// What holding a row costs beside its text and twice its DN.
const OVERHEAD_BYTES: usize = 128;
const BATCH_BYTES: usize = 512 << 10;

/// The first rows of each DN, with what later ones add to them.
#[derive(Debug, Default)]
pub(super) struct MergedRows {
    /// As JSON: rows of one class share their names in a batch, single ones would each have a copy.
    texts: Vec<Box<[u8]>>,
    by_dn: HashMap<Box<str>, usize>,
    held_bytes: usize,
    n_handed_out: usize,
    builder: RowBatchBuilder,
}

impl MergedRows {
    /// Holds a row, or makes it one with the row of the same DN; returns whether it is taken.
    ///
    /// It is not when that row contradicts it: no value is dropped for another.
    pub(super) fn take(&mut self, row: RowRef<'_>) -> bool {
        let Some(dn) = row.dn() else { return false };
        if let Some(&place) = self.by_dn.get(dn) {
            return self.merge(place, row);
        }
        let text = text_of(row);
        let size = text.len() + 2 * dn.len() + OVERHEAD_BYTES;
        if self.held_bytes + size > MAX_HELD_BYTES {
            return false;
        }
        self.held_bytes += size;
        self.by_dn.insert(dn.into(), self.texts.len());
        self.texts.push(text);
        true
    }

    fn merge(&mut self, place: usize, row: RowRef<'_>) -> bool {
        if self.texts[place] == text_of(row) {
            return true;
        }
        push_text(&mut self.builder, &self.texts[place]);
        let held = self.builder.take();
        let mut attributes: BTreeMap<&str, Value<'_>> = held.iter().flat_map(RowRef::attributes).collect();
        for (name, value) in row.attributes() {
            if *attributes.entry(name).or_insert(value) != value {
                return false;
            }
        }
        for (name, value) in attributes {
            self.builder.attribute(name, value);
        }
        // Each was short enough, and yet both may be too long for one.
        if self.builder.finish_row().is_err() {
            return false;
        }
        if let Some(merged) = self.builder.take().iter().next() {
            let text = text_of(merged);
            self.held_bytes = self.held_bytes - self.texts[place].len() + text.len();
            self.texts[place] = text;
        }
        true
    }

    /// Hands out what is held, a batch at a time; `None` when all is handed out.
    pub(super) fn next_batch(&mut self) -> Option<RowBatch> {
        self.by_dn = HashMap::new();
        while self.builder.held_bytes() < BATCH_BYTES {
            let Some(text) = self.texts.get_mut(self.n_handed_out) else { break };
            push_text(&mut self.builder, &std::mem::take(text));
            self.n_handed_out += 1;
        }
        (!self.builder.is_empty()).then(|| self.builder.take())
    }
}

fn text_of(row: RowRef<'_>) -> Box<[u8]> {
    let mut text = Vec::new();
    row.write_json(&mut text);
    text.into()
}

fn push_text(rows: &mut RowBatchBuilder, text: &[u8]) {
    let text = std::str::from_utf8(text).expect("a row writes itself as UTF-8");
    rows.push_json(text).expect("it was a row before");
}
