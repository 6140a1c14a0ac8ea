//! Chunks as frames: what all stores that keep differences do alike, whatever they call a chunk by.

use std::hash::Hash;

use bytes::Bytes;
use hashbrown::HashMap;
use rayon::prelude::*;

use super::frame::{self, Dictionaries, Dictionary, Packer, needs_dictionary};
use crate::chunk::NewChunk;
use crate::error::{Error, Result};
use crate::id::ChunkId;

/// After this many differences one after the other a chunk is stored whole again.
pub(super) const MAX_CHAIN: u32 = 16;
/// Fewer chunks than this are not worth waking another core for.
const FEW: usize = 16;

/// A chunk as it lies in a store that calls it `K`.
#[derive(Debug)]
pub(super) struct Stored<K> {
    pub(super) key: K,
    pub(super) base: Option<K>,
    pub(super) frame: Vec<u8>,
}

/// Chunks fetched from a store with those they are stored against, each once.
#[derive(Debug)]
pub(super) struct Fetched<K> {
    chunks: Vec<Stored<K>>,
    places: HashMap<K, usize>,
}

impl<K: Copy + Eq + Hash + Send + Sync> Fetched<K> {
    pub(super) fn with_capacity(count: usize) -> Self {
        Self { chunks: Vec::with_capacity(count), places: HashMap::with_capacity(count) }
    }

    /// Adds a chunk unless it is there, and returns its place.
    pub(super) fn add(&mut self, chunk: Stored<K>) -> usize {
        let place = *self.places.entry(chunk.key).or_insert(self.chunks.len());
        if place == self.chunks.len() {
            self.chunks.push(chunk);
        }
        place
    }

    #[cfg(feature = "sqlite")]
    pub(super) fn len(&self) -> usize {
        self.chunks.len()
    }

    /// Returns where a chunk is, if it is there.
    #[cfg(feature = "postgres")]
    pub(super) fn place(&self, key: &K) -> Option<usize> {
        self.places.get(key).copied()
    }

    /// Returns the base of the chunk at `place` when it has one that is not among them yet.
    #[cfg(feature = "sqlite")]
    pub(super) fn absent_base(&self, place: usize) -> Option<K> {
        self.chunks[place].base.filter(|base| !self.places.contains_key(base))
    }

    /// Returns the numbers of the dictionaries that are needed, with repeats.
    pub(super) fn dictionaries(&self) -> impl Iterator<Item = u64> {
        self.chunks.iter().filter_map(|chunk| needs_dictionary(&chunk.frame))
    }

    /// Returns the bytes of the chunks `ids`, which are at `places`, each checked against its id.
    pub(super) fn read(&self, ids: &[ChunkId], places: &[usize], dictionaries: &Dictionaries) -> Result<Vec<Bytes>> {
        let unpacked = self.unpack(dictionaries);
        let check = |(id, &place): (&ChunkId, &usize)| match &unpacked[place] {
            Ok(bytes) if ChunkId::of(bytes) == *id => Ok(bytes.clone()),
            Ok(_) => Err(Error::damaged(*id, "its bytes do not match its id")),
            Err(problem) => Err(Error::damaged(*id, problem.clone())),
        };
        if ids.len() < FEW {
            return ids.iter().zip(places).map(check).collect();
        }
        ids.par_iter().zip(places).map(check).collect()
    }

    /// Unpacks frames, bases before what is stored against them, each level on all cores.
    fn unpack(&self, dictionaries: &Dictionaries) -> Vec<Result<Bytes, String>> {
        let mut levels: Vec<Vec<usize>> = Vec::new();
        for place in 0..self.chunks.len() {
            let bases =
                std::iter::successors(Some(place), |&place| self.places.get(&self.chunks[place].base?).copied());
            // A circle of bases is damage; cutting it leaves a frame without its base, which is then reported.
            let level = bases.take(self.chunks.len()).count() - 1;
            if levels.len() <= level {
                levels.resize_with(level + 1, Vec::new);
            }
            levels[level].push(place);
        }
        let mut unpacked: Vec<Option<Result<Bytes, String>>> = vec![None; self.chunks.len()];
        for level in levels {
            let one = |&place: &usize| {
                let chunk = &self.chunks[place];
                let base = chunk.base.and_then(|base| self.places.get(&base));
                let base = base.and_then(|&base| unpacked[base].as_ref()?.as_ref().ok());
                frame::unpack(&chunk.frame, base.map(|bytes| &bytes[..]), dictionaries).map(Bytes::from)
            };
            let done: Vec<Result<Bytes, String>> = if level.len() < FEW {
                level.iter().map(one).collect()
            } else {
                level.par_iter().with_min_len(FEW).map(one).collect()
            };
            for (place, bytes) in level.into_iter().zip(done) {
                unpacked[place] = Some(bytes);
            }
        }
        unpacked.into_iter().map(|bytes| bytes.unwrap_or_else(|| Err("its base is missing".into()))).collect()
    }
}

/// Packs chunks on all cores, each as a difference to its base where that is clearly shorter.
pub(super) fn pack(chunks: &[NewChunk], bases: &[Option<&Bytes>], dictionary: Option<&Dictionary>) -> Vec<Vec<u8>> {
    (chunks.par_iter().zip(bases).with_min_len(64))
        .map_init(
            || Packer::new(dictionary),
            |packer, (chunk, base)| packer.pack(&chunk.bytes, base.map(|bytes| &bytes[..])),
        )
        .collect()
}
