//! Branches: the nodes that list other nodes.
//!
//! | field | bytes | meaning |
//! | --- | --- | --- |
//! | kind | 1 | 2 |
//! | layout | 1 | 1 |
//! | level | 1 | 1 above leaves, and so on |
//! | count | varint | children, at least one |
//! | keys | per child | the first key below it: varint bytes shared with the key before, then bytes of its own |
//! | rows | varint per child | rows below it `<< 1`, plus 1 when its first key is also the last key before it |
//! | ids | 32 per child | the children's ids |
//!
//! Children stand in key order. Varint and bytes are those of a row's [values](crate::row::codec).

use super::{BRANCH, Keys, LAYOUT, MAX_LEVEL, put_key};
use crate::id::ChunkId;
use crate::row::codec::{Malformed, Reader, put_varint};

/// One child of a branch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry<'a> {
    pub(crate) first_key: &'a [u8],
    pub(crate) id: ChunkId,
    pub(crate) rows: u64,
    /// The node before ends with the key that this one starts with: rows of one key lie on both sides.
    pub(crate) continued: bool,
}

/// A branch, read from its bytes.
#[derive(Debug)]
pub(crate) struct Branch {
    level: u8,
    keys: Keys,
    rows: Vec<u64>,
    ids: Vec<ChunkId>,
}

impl Branch {
    /// Returns about how many bytes it takes.
    pub(super) fn memory(&self) -> usize {
        size_of::<Self>() + self.keys.memory() + size_of_val(&*self.rows) + size_of_val(&*self.ids)
    }

    pub(crate) fn encode<'a>(level: u8, entries: impl ExactSizeIterator<Item = Entry<'a>> + Clone) -> Vec<u8> {
        let mut out = vec![BRANCH, LAYOUT, level];
        put_varint(&mut out, entries.len() as u64);
        let mut previous: &[u8] = &[];
        for entry in entries.clone() {
            put_key(&mut out, previous, entry.first_key);
            previous = entry.first_key;
        }
        for entry in entries.clone() {
            put_varint(&mut out, entry.rows << 1 | u64::from(entry.continued));
        }
        for entry in entries {
            out.extend_from_slice(entry.id.as_bytes());
        }
        out
    }

    pub(super) fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(&bytes[2..]);
        let level = reader.byte()?;
        if level == 0 || level > MAX_LEVEL {
            return Err("its level is out of range");
        }
        let count = reader.len()?;
        if count == 0 || count > bytes.len() / 32 {
            return Err("it has an impossible number of children");
        }
        let keys = Keys::parse(&mut reader, count)?;
        let rows = (0..count).map(|_| reader.varint()).collect::<Result<_, _>>()?;
        let ids = (0..count)
            .map(|_| reader.take(32).map(|id| ChunkId::from_bytes(id.try_into().expect("32 bytes were taken"))))
            .collect::<Result<_, _>>()?;
        if !reader.is_at_end() {
            return Err("it goes on after its end");
        }
        Ok(Self { level, keys, rows, ids })
    }

    pub(crate) fn level(&self) -> u8 {
        self.level
    }

    pub(crate) fn len(&self) -> usize {
        self.ids.len()
    }

    pub(crate) fn entry(&self, i: usize) -> Entry<'_> {
        Entry {
            first_key: self.keys.get(i),
            id: self.ids[i],
            rows: self.rows[i] >> 1,
            continued: self.rows[i] & 1 == 1,
        }
    }

    pub(crate) fn entries(&self) -> impl ExactSizeIterator<Item = Entry<'_>> + Clone {
        (0..self.len()).map(|i| self.entry(i))
    }

    /// Returns the children that may hold `key`: more than one only where rows of one key fill nodes.
    pub(crate) fn children_with(&self, key: &[u8]) -> std::ops::Range<usize> {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = (low + high) / 2;
            if self.keys.get(middle) <= key { low = middle + 1 } else { high = middle }
        }
        let end = low;
        let mut start = end.saturating_sub(1);
        while start > 0 && self.keys.get(start) == key && self.rows[start] & 1 == 1 {
            start -= 1;
        }
        start..end
    }
}
