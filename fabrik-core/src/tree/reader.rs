//! Reads trees.

use std::sync::Arc;

use rayon::prelude::*;

use super::Node;
use super::branch::Branch;
use super::cache::NodeCache;
use super::leaf::Leaf;
use crate::error::{Error, Result};
use crate::id::ChunkId;
use crate::store::ReadChunks;

/// How many leaves are read together: enough to keep all cores busy, a few MiB in memory.
pub(crate) const LEAVES_AT_ONCE: usize = 512;

/// Reads nodes of one store.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TreeReader<'s> {
    store: &'s dyn ReadChunks,
    cache: Option<&'s NodeCache>,
}

/// A node seen from its parent, not yet read.
#[derive(Clone, Debug)]
pub(crate) struct Child {
    parent: Arc<Branch>,
    index: usize,
}

impl Child {
    pub(crate) fn id(&self) -> ChunkId {
        self.parent.entry(self.index).id
    }

    pub(crate) fn first_key(&self) -> &[u8] {
        self.parent.entry(self.index).first_key
    }

    pub(crate) fn rows(&self) -> u64 {
        self.parent.entry(self.index).rows
    }

    /// Returns whether the node before it ends with the key that it starts with.
    pub(crate) fn is_continued(&self) -> bool {
        self.parent.entry(self.index).continued
    }
}

/// Lists the children of some branches, in order.
pub(crate) fn children(branches: impl IntoIterator<Item = Arc<Branch>>) -> Vec<Child> {
    let of = |parent: Arc<Branch>| (0..parent.len()).map(move |index| Child { parent: Arc::clone(&parent), index });
    branches.into_iter().flat_map(of).collect()
}

impl<'s> TreeReader<'s> {
    pub(crate) fn new(store: &'s dyn ReadChunks) -> Self {
        Self { store, cache: None }
    }

    /// Reads nodes that the store's cache has from there, and leaves the others in it.
    pub(crate) fn cached(store: &'s dyn ReadChunks) -> Self {
        Self { store, cache: store.node_cache() }
    }

    pub(crate) async fn nodes(&self, ids: &[ChunkId]) -> Result<Vec<Node>> {
        let Some(cache) = self.cache else { return self.read(ids).await };
        let known: Vec<Option<Node>> = ids.iter().map(|&id| cache.get(id)).collect();
        let unknown: Vec<ChunkId> =
            ids.iter().zip(&known).filter(|(_, node)| node.is_none()).map(|(&id, _)| id).collect();
        let mut read = self.read(&unknown).await?.into_iter();
        unknown.iter().zip(read.as_slice()).for_each(|(&id, node)| cache.keep(id, node));
        Ok(known.into_iter().filter_map(|node| node.or_else(|| read.next())).collect())
    }

    async fn read(&self, ids: &[ChunkId]) -> Result<Vec<Node>> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let read = self.store.read_chunks(ids).await?;
        if ids.len() < 16 {
            return ids.iter().zip(read).map(|(&id, bytes)| Node::parse(id, &bytes)).collect();
        }
        ids.par_iter().zip(read).map(|(&id, bytes)| Node::parse(id, &bytes)).collect()
    }

    pub(crate) async fn node(&self, id: ChunkId) -> Result<Node> {
        Ok(self.nodes(&[id]).await?.pop().expect("one id gives one node"))
    }

    /// Reads nodes that must be leaves.
    pub(crate) async fn leaves(&self, ids: &[ChunkId]) -> Result<Vec<Arc<Leaf>>> {
        let nodes = self.nodes(ids).await?.into_iter().zip(ids);
        nodes
            .map(|(node, &id)| match node {
                Node::Leaf(leaf) => Ok(leaf),
                Node::Branch(_) => Err(Error::damaged(id, "it is a branch where a leaf belongs")),
            })
            .collect()
    }

    /// Reads nodes that must be branches of `level`.
    pub(crate) async fn branches(&self, ids: &[ChunkId], level: u8) -> Result<Vec<Arc<Branch>>> {
        let nodes = self.nodes(ids).await?.into_iter().zip(ids);
        nodes
            .map(|(node, &id)| match node {
                Node::Branch(branch) if branch.level() == level => Ok(branch),
                _ => Err(Error::damaged(id, format!("it is no branch of level {level}"))),
            })
            .collect()
    }

    /// Lists the branches just above the leaves, in order; none when the root is the only leaf.
    ///
    /// Holds about one branch in memory for every 1 500 rows.
    pub(crate) async fn lowest_branches(&self, root: ChunkId) -> Result<Lowest> {
        let mut branches = match self.node(root).await? {
            Node::Leaf(leaf) => return Ok(Lowest::OnlyLeaf(leaf)),
            Node::Branch(branch) => vec![branch],
        };
        while branches[0].level() > 1 {
            let level = branches[0].level() - 1;
            let ids: Vec<ChunkId> = branches.iter().flat_map(|branch| branch.entries().map(|entry| entry.id)).collect();
            branches = self.branches(&ids, level).await?;
        }
        Ok(Lowest::Branches(branches))
    }

    /// Reads the leaves of a tree in order, some at a time.
    pub(crate) async fn scan(self, root: ChunkId) -> Result<LeafScan<'s>> {
        Ok(match self.lowest_branches(root).await? {
            Lowest::OnlyLeaf(leaf) => LeafScan { reader: self, only: Some(leaf), ids: Vec::new(), next: 0 },
            Lowest::Branches(branches) => {
                let ids = branches.iter().flat_map(|branch| branch.entries().map(|entry| entry.id)).collect();
                LeafScan { reader: self, only: None, ids, next: 0 }
            }
        })
    }
}

/// What lies just above the leaves of a tree.
#[derive(Debug)]
pub(crate) enum Lowest {
    OnlyLeaf(Arc<Leaf>),
    Branches(Vec<Arc<Branch>>),
}

/// The leaves of a tree in order.
#[derive(Debug)]
pub(crate) struct LeafScan<'s> {
    reader: TreeReader<'s>,
    only: Option<Arc<Leaf>>,
    ids: Vec<ChunkId>,
    next: usize,
}

impl LeafScan<'_> {
    /// Returns the next leaves; none at the end.
    pub(crate) async fn next(&mut self) -> Result<Vec<Arc<Leaf>>> {
        if let Some(only) = self.only.take() {
            return Ok(vec![only]);
        }
        let end = (self.next + LEAVES_AT_ONCE).min(self.ids.len());
        let leaves = self.reader.leaves(&self.ids[self.next..end]).await?;
        self.next = end;
        Ok(leaves)
    }
}
