//! Finds the chunks that nothing needs any more: mark from the roots that stay, keep the bases of what is
//! marked, and the rest is garbage.
//!
//! It cannot race a capture that is about to use a chunk again: a store has one write transaction at a time,
//! and both a capture's question "which of these do you lack?" and the deletion happen inside theirs.

use hashbrown::{HashMap, HashSet};

use crate::error::Result;
use crate::id::{ChunkId, ChunkPrefix};
use crate::store::{ReadChunks, ReadRecords, StoredChunk};
use crate::tree::Node;
use crate::tree::reader::TreeReader;

/// Branches read together.
const AT_ONCE: usize = 256;

/// Chunks that nothing needs.
#[derive(Debug)]
pub(crate) struct Garbage {
    pub(crate) chunks: Vec<ChunkPrefix>,
    pub(crate) stored_bytes: u64,
}

/// Lists the chunks that no tree below `roots` needs, itself or as a base.
pub(crate) async fn garbage(
    chunks: &dyn ReadChunks,
    records: &dyn ReadRecords,
    roots: impl IntoIterator<Item = ChunkId>,
) -> Result<Garbage> {
    let reached = reachable(chunks, roots).await?;
    let stored = records.stored_chunks().await?;
    let bases: HashMap<ChunkPrefix, ChunkPrefix> =
        stored.iter().filter_map(|chunk| Some((chunk.id, chunk.base?))).collect();
    let mut needed: HashSet<ChunkPrefix> = HashSet::with_capacity(reached.len());
    for id in &reached {
        let mut next = Some(ChunkPrefix::from(id));
        while let Some(chunk) = next
            && needed.insert(chunk)
        {
            next = bases.get(&chunk).copied();
        }
    }
    let unneeded: Vec<&StoredChunk> = stored.iter().filter(|chunk| !needed.contains(&chunk.id)).collect();
    Ok(Garbage {
        stored_bytes: unneeded.iter().map(|chunk| chunk.stored_bytes).sum(),
        chunks: unneeded.into_iter().map(|chunk| chunk.id).collect(),
    })
}

/// Returns the ids of all nodes below the roots. Reads branches, each once, and no leaves but roots.
pub(crate) async fn reachable(
    chunks: &dyn ReadChunks,
    roots: impl IntoIterator<Item = ChunkId>,
) -> Result<HashSet<ChunkId>> {
    let reader = TreeReader::new(chunks);
    let mut reached: HashSet<ChunkId> = HashSet::new();
    let mut unread: Vec<ChunkId> = roots.into_iter().filter(|root| reached.insert(*root)).collect();
    while !unread.is_empty() {
        let batch = unread.split_off(unread.len().saturating_sub(AT_ONCE));
        for node in reader.nodes(&batch).await? {
            let Node::Branch(branch) = node else { continue };
            for entry in branch.entries() {
                // Nodes below the lowest branches are leaves: known by id, with nothing below them.
                if reached.insert(entry.id) && branch.level() > 1 {
                    unread.push(entry.id);
                }
            }
        }
    }
    Ok(reached)
}
