//! Nodes in memory, for who asks again about the same snapshots.

use std::fmt;

use quick_cache::Weighter;
use quick_cache::sync::Cache;

use super::Node;
use crate::id::ChunkId;

/// What a node takes in memory on average, for a first guess of how many there will be.
const USUAL_BYTES: u64 = 8 << 10;

/// Nodes of trees that were read lately, checked and parsed, up to so many bytes in memory.
///
/// Comparisons and timelines use it: what a person asks of a network leads through the same nodes again and again, since
/// most snapshots share most of theirs. A node never changes, so one that is here is right whatever happens to the store.
/// What reads whole snapshots passes by, and so does whoever looks for damage.
pub struct NodeCache(Cache<ChunkId, Node, InMemory>);

#[derive(Clone, Debug)]
struct InMemory;

impl Weighter<ChunkId, Node> for InMemory {
    fn weight(&self, _: &ChunkId, node: &Node) -> u64 {
        node.memory() as u64
    }
}

impl NodeCache {
    /// Keeps as many nodes as take this many bytes.
    #[must_use]
    pub fn new(bytes: u64) -> Self {
        let guess = usize::try_from(bytes / USUAL_BYTES).unwrap_or(usize::MAX);
        Self(Cache::with_weighter(guess, bytes, InMemory))
    }

    pub(super) fn get(&self, id: ChunkId) -> Option<Node> {
        self.0.get(&id)
    }

    pub(super) fn keep(&self, id: ChunkId, node: &Node) {
        self.0.insert(id, node.clone());
    }
}

impl fmt::Debug for NodeCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (nodes, bytes) = (self.0.len(), self.0.weight());
        f.debug_struct("NodeCache").field("nodes", &nodes).field("bytes", &bytes).finish_non_exhaustive()
    }
}
