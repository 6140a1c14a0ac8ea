//! Builds a tree from sorted rows, a node at a time.

use bytes::Bytes;
use rayon::prelude::*;

use super::branch::{Branch, Entry};
use super::leaf::LeafRows;
use crate::chunk::boundary::{BRANCH, LEAF, LEAF_MAX_BYTES};
use crate::id::ChunkId;
use crate::row::ShapeTable;

/// How many leaves are cut before they are encoded and hashed together, on all cores.
const LEAVES_AT_ONCE: usize = 512;

/// A finished node.
#[derive(Debug)]
pub(crate) struct Built {
    pub(crate) id: ChunkId,
    pub(crate) bytes: Bytes,
    pub(crate) level: u8,
    /// A key in its middle: the older node around it is the one most like it, also where boundaries moved.
    pub(crate) middle_key: Box<[u8]>,
}

/// Takes rows in order and gives nodes: children before their parents, in key order on each level.
#[derive(Debug, Default)]
pub(crate) struct TreeBuilder {
    leaf: LeafRows,
    /// The leaf under way ends with the rows of its last key.
    ends_here: bool,
    /// Cut, but not yet encoded.
    cut: Vec<LeafRows>,
    last_key: Vec<u8>,
    previous_leaf_end: Option<Box<[u8]>>,
    /// The children not yet in a branch, by the level of the branch less one.
    open: Vec<Vec<OwnedEntry>>,
    /// How many nodes each level has.
    made: Vec<usize>,
    built: Vec<Built>,
    rows: u64,
    duplicate_keys: u64,
    repeats: bool,
}

#[derive(Clone, Debug)]
struct OwnedEntry {
    first_key: Box<[u8]>,
    id: ChunkId,
    rows: u64,
    continued: bool,
}

/// The top of a finished tree.
#[derive(Debug)]
pub(crate) struct Root {
    pub(crate) id: ChunkId,
    pub(crate) bytes: Bytes,
    pub(crate) rows: u64,
    pub(crate) duplicate_keys: u64,
}

impl TreeBuilder {
    /// Adds a row: keys ascending, rows of one key in the order of their content.
    pub(crate) fn push(&mut self, key: &[u8], shape: u32, values: &[u8]) {
        if self.rows > 0 && self.last_key == key {
            self.duplicate_keys += u64::from(!self.repeats);
            self.repeats = true;
        } else {
            debug_assert!(self.rows == 0 || self.last_key.as_slice() < key, "rows arrive sorted");
            self.repeats = false;
            self.last_key.clear();
            self.last_key.extend_from_slice(key);
            // Rows of one key stay together, as far as a leaf may hold them.
            if std::mem::take(&mut self.ends_here) {
                self.cut.push(std::mem::take(&mut self.leaf));
            }
        }
        self.rows += 1;
        self.leaf.push(key, shape, values);
        self.ends_here = LEAF.ends_after(self.leaf.len(), key);
        if LEAF.is_full(self.leaf.len()) || self.leaf.value_bytes() >= LEAF_MAX_BYTES {
            self.ends_here = false;
            self.cut.push(std::mem::take(&mut self.leaf));
        }
    }

    /// Returns whether enough leaves wait for [`TreeBuilder::take_built`] to be worth calling.
    pub(crate) fn is_due(&self) -> bool {
        self.cut.len() >= LEAVES_AT_ONCE || self.cut.iter().map(LeafRows::value_bytes).sum::<usize>() > 16 << 20
    }

    /// Encodes what was cut and hands over all finished nodes.
    pub(crate) fn take_built(&mut self, shapes: &ShapeTable) -> Vec<Built> {
        let cut = std::mem::take(&mut self.cut);
        let encoded: Vec<(Bytes, ChunkId)> = (cut.par_iter())
            .map(|rows| {
                let bytes = rows.encode(shapes);
                let id = ChunkId::of(&bytes);
                (Bytes::from(bytes), id)
            })
            .collect();
        for (rows, (bytes, id)) in cut.iter().zip(encoded) {
            let first_key: Box<[u8]> = if rows.len() == 0 { Box::default() } else { rows.key(0).into() };
            let continued = self.previous_leaf_end.as_deref() == Some(&first_key);
            self.previous_leaf_end = (rows.len() > 0).then(|| rows.key(rows.len() - 1).into());
            let middle_key = if rows.len() == 0 { Box::default() } else { rows.key(rows.len() / 2).into() };
            self.built.push(Built { id, bytes, level: 0, middle_key });
            self.add_child(0, OwnedEntry { first_key, id, rows: rows.len() as u64, continued });
        }
        std::mem::take(&mut self.built)
    }

    /// Ends the tree: returns the nodes not yet taken, and the root, which is the last of all nodes.
    pub(crate) fn finish(mut self, shapes: &ShapeTable) -> (Vec<Built>, Root) {
        if self.leaf.len() > 0 || self.rows == 0 {
            self.cut.push(std::mem::take(&mut self.leaf));
        }
        let mut built = self.take_built(shapes);
        let mut level = 0;
        while level < self.open.len() {
            let is_top = level + 1 == self.open.len();
            if is_top && self.made[level] == 1 {
                break;
            }
            if !self.open[level].is_empty() {
                self.close_branch(level);
            }
            level += 1;
        }
        built.append(&mut self.built);
        let top = built.last().expect("even an empty tree has a leaf");
        // With one node on the top level, that node was finished last.
        let root = Root { id: top.id, bytes: top.bytes.clone(), rows: self.rows, duplicate_keys: self.duplicate_keys };
        (built, root)
    }

    /// Lists a node of `level` in the branch above it.
    fn add_child(&mut self, level: usize, child: OwnedEntry) {
        if self.open.len() == level {
            self.open.push(Vec::new());
            self.made.push(0);
        }
        self.made[level] += 1;
        let open = &mut self.open[level];
        let ends = BRANCH.ends_after(open.len() + 1, &child.first_key);
        open.push(child);
        if ends {
            self.close_branch(level);
        }
    }

    fn close_branch(&mut self, level: usize) {
        let children = std::mem::take(&mut self.open[level]);
        let above = u8::try_from(level + 1).expect("a tree of 2^64 rows has fewer than 255 levels");
        let entries = children.iter().map(|child| Entry {
            first_key: &child.first_key,
            id: child.id,
            rows: child.rows,
            continued: child.continued,
        });
        let bytes = Bytes::from(Branch::encode(above, entries));
        let id = ChunkId::of(&bytes);
        let first = &children[0];
        let middle_key = children[children.len() / 2].first_key.clone();
        self.built.push(Built { id, bytes, level: above, middle_key });
        let entry = OwnedEntry {
            first_key: first.first_key.clone(),
            id,
            rows: children.iter().map(|child| child.rows).sum(),
            continued: first.continued,
        };
        self.add_child(level + 1, entry);
    }
}
