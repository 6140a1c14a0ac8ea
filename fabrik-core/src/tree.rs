//! The search tree over a snapshot's rows: immutable nodes, each a chunk addressed by its hash.
//!
//! Rows are sorted by key and cut into [leaves](leaf); [branches](branch) list the nodes below them, cut
//! by the same kind of rule, up to one root. Equal rows give equal nodes and so equal ids, whatever the
//! order they arrived in; that is what lets a comparison skip everything that did not change, unread.

pub(crate) mod branch;
pub(crate) mod builder;
pub(crate) mod cache;
pub(crate) mod leaf;
pub(crate) mod reader;

use std::sync::Arc;

use bytes::Bytes;

use crate::error::{Error, Result};
use crate::id::ChunkId;
use branch::Branch;
use leaf::Leaf;

/// The first byte of a leaf.
const LEAF: u8 = 1;
/// The first byte of a branch.
const BRANCH: u8 = 2;
/// The second byte of every node: the version of its layout.
const LAYOUT: u8 = 1;
/// No tree is higher: with 24 children a node and more, this many levels hold more rows than fit anywhere.
const MAX_LEVEL: u8 = 16;

/// A node of the tree, shared by all who read it.
#[derive(Clone, Debug)]
pub(crate) enum Node {
    Leaf(Arc<Leaf>),
    Branch(Arc<Branch>),
}

impl Node {
    /// Reads a node from the canonical bytes under `id`.
    pub(crate) fn parse(id: ChunkId, bytes: &Bytes) -> Result<Self> {
        let damaged = |problem| Error::damaged(id, format!("it is no tree node: {problem}"));
        match bytes.get(..2) {
            Some([LEAF, LAYOUT]) => Leaf::parse(bytes).map(|leaf| Self::Leaf(Arc::new(leaf))).map_err(damaged),
            Some([BRANCH, LAYOUT]) => {
                Branch::parse(bytes).map(|branch| Self::Branch(Arc::new(branch))).map_err(damaged)
            }
            _ => Err(damaged("its first bytes are unknown")),
        }
    }

    /// Returns 0 for a leaf, else the level of the branch.
    pub(crate) fn level(&self) -> u8 {
        match self {
            Self::Leaf(_) => 0,
            Self::Branch(branch) => branch.level(),
        }
    }

    /// Returns about how many bytes it takes.
    fn memory(&self) -> usize {
        match self {
            Self::Leaf(leaf) => leaf.memory(),
            Self::Branch(branch) => branch.memory(),
        }
    }

    pub(crate) fn rows(&self) -> u64 {
        match self {
            Self::Leaf(leaf) => leaf.len() as u64,
            Self::Branch(branch) => branch.entries().map(|entry| entry.rows).sum(),
        }
    }
}

/// Appends `key` as what it shares with the one before and what is its own.
fn put_key(out: &mut Vec<u8>, previous: &[u8], key: &[u8]) {
    let shared = previous.iter().zip(key).take_while(|(before, now)| before == now).count();
    crate::row::codec::put_varint(out, shared as u64);
    crate::row::codec::put_bytes(out, &key[shared..]);
}

/// Keys of one node, one after the other.
#[derive(Debug, Default)]
struct Keys {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Keys {
    fn get(&self, i: usize) -> &[u8] {
        let start = if i == 0 { 0 } else { self.ends[i - 1] };
        &self.bytes[start..self.ends[i]]
    }

    fn len(&self) -> usize {
        self.ends.len()
    }

    fn memory(&self) -> usize {
        self.bytes.capacity() + size_of_val(&*self.ends)
    }

    /// Reads what [`put_key`] wrote, `count` times.
    fn parse(reader: &mut crate::row::codec::Reader<'_>, count: usize) -> Result<Self, &'static str> {
        let mut keys = Self { bytes: Vec::with_capacity(count * 96), ends: Vec::with_capacity(count) };
        let mut previous = 0..0;
        for _ in 0..count {
            let shared = reader.len()?;
            let suffix = reader.bytes()?;
            if shared > previous.len() {
                return Err("a key shares more than there is");
            }
            let start = keys.bytes.len();
            keys.bytes.extend_from_within(previous.start..previous.start + shared);
            keys.bytes.extend_from_slice(suffix);
            if keys.bytes[previous.clone()] > keys.bytes[start..] {
                return Err("its keys are not ascending");
            }
            previous = start..keys.bytes.len();
            keys.ends.push(keys.bytes.len());
        }
        Ok(keys)
    }
}
