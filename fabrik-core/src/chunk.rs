//! Chunks: bytes addressed by their hash.

pub(crate) mod boundary;

use bytes::Bytes;

use crate::id::ChunkId;

/// A chunk on its way into a store.
#[derive(Clone, Debug)]
pub struct NewChunk {
    /// The hash of `bytes`.
    pub id: ChunkId,
    /// The canonical bytes.
    pub bytes: Bytes,
    /// The chunk that this one takes the place of, as a hint: the store may keep only the difference.
    pub base: Option<ChunkId>,
}
