//! Reads everything and says what is damaged.

use std::sync::Arc;

use hashbrown::{HashMap, HashSet};
use serde::Serialize;

use crate::error::{Error, Result};
use crate::id::{ChunkId, ChunkPrefix, SnapshotId, VersionHash};
use crate::snapshot::Snapshot;
use crate::store::{ReadChunks, SnapshotFilter, Store};
use crate::tree::reader::{LEAVES_AT_ONCE, TreeReader};
use crate::tree::{Node, branch::Branch};

/// What a store was found to be.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Verification {
    /// Snapshots checked.
    pub snapshots: u64,
    /// Chunks read and checked against their ids.
    pub chunks: u64,
    /// Rows in those of them that are leaves.
    pub rows: u64,
    /// Chunks that no snapshot needs. They take space and hurt nothing; the next clean-up takes them.
    pub unreferenced_chunks: u64,
    /// What is wrong; empty when all is well.
    pub damage: Vec<Damage>,
}

/// Something that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Damage {
    /// The snapshots that it hurts, oldest first; none when it concerns the store as a whole.
    pub snapshots: Vec<SnapshotId>,
    /// The chunk, when it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chunk: Option<String>,
    /// What is wrong, in words.
    pub problem: String,
}

impl Verification {
    /// Returns whether nothing is wrong.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.damage.is_empty()
    }
}

/// What is known of a node once everything below it was checked.
#[derive(Clone, Debug)]
struct Checked {
    level: u8,
    rows: u64,
    first_key: Arc<[u8]>,
    /// Not known where the node that has it is damaged.
    last_key: Option<Arc<[u8]>>,
    /// The damaged chunks at or below it.
    damaged: Arc<[ChunkId]>,
}

/// Checks every chunk against its id, every tree for order and counts, every record against its tree, and the
/// store's indexes. Changes nothing. Each chunk is read once; memory grows with the number of chunks.
///
/// # Errors
///
/// Only when the store cannot be read at all. Damage is a result.
pub async fn verify(store: &dyn Store) -> Result<Verification> {
    let mut found = Verification::default();
    let snapshots = store.snapshots(&SnapshotFilter::default()).await?;
    found.snapshots = snapshots.len() as u64;
    for problem in store.check().await? {
        found.damage.push(Damage { snapshots: Vec::new(), chunk: None, problem });
    }
    let mut walk = Check { reader: TreeReader::new(store), checked: HashMap::new(), problems: HashMap::new(), rows: 0 };
    let mut hurt: HashMap<ChunkId, Vec<SnapshotId>> = HashMap::new();
    for snapshot in snapshots.iter().rev() {
        let root = walk.check(snapshot.root).await?;
        for &chunk in &*root.damaged {
            let hurts = hurt.entry(chunk).or_default();
            // Leaves full of one row are the same chunk several times in one tree.
            if hurts.last() != Some(&snapshot.id) {
                hurts.push(snapshot.id);
            }
        }
        if root.damaged.is_empty() {
            for problem in contradictions(store, snapshot, &root).await? {
                found.damage.push(Damage { snapshots: vec![snapshot.id], chunk: None, problem });
            }
        }
    }
    let mut damaged: Vec<(&ChunkId, &String)> = walk.problems.iter().collect();
    damaged.sort_unstable();
    for (chunk, problem) in damaged {
        found.damage.push(Damage {
            snapshots: hurt.remove(chunk).unwrap_or_default(),
            chunk: Some(chunk.to_string()),
            problem: problem.clone(),
        });
    }
    found.rows = walk.rows;
    found.chunks = walk.checked.len() as u64;
    let stored = store.stored_chunks().await?;
    let mut needed: HashSet<ChunkPrefix> = walk.checked.keys().map(ChunkPrefix::from).collect();
    let bases: HashMap<ChunkPrefix, ChunkPrefix> =
        stored.iter().filter_map(|chunk| Some((chunk.id, chunk.base?))).collect();
    for id in walk.checked.keys() {
        let mut base = bases.get(&ChunkPrefix::from(id));
        while let Some(chunk) = base
            && needed.insert(*chunk)
        {
            base = bases.get(chunk);
        }
    }
    found.unreferenced_chunks = stored.iter().filter(|chunk| !needed.contains(&chunk.id)).count() as u64;
    Ok(found)
}

/// Compares a record with the tree it points to.
async fn contradictions(store: &dyn Store, snapshot: &Snapshot, root: &Checked) -> Result<Vec<String>> {
    let mut problems = Vec::new();
    if root.rows != snapshot.row_count {
        problems.push(format!("the record says {} rows, the tree has {}", snapshot.row_count, root.rows));
    }
    let bytes = store.read_chunks(&[snapshot.root]).await?;
    if VersionHash::of_root(&bytes[0]) != snapshot.version_hash {
        problems.push(format!("the record's version hash {} is not that of its root", snapshot.version_hash));
    }
    Ok(problems)
}

#[derive(Debug)]
struct Check<'s> {
    reader: TreeReader<'s>,
    checked: HashMap<ChunkId, Checked>,
    problems: HashMap<ChunkId, String>,
    rows: u64,
}

impl Check<'_> {
    /// Checks the tree below `root`, passing over what was checked before.
    async fn check(&mut self, root: ChunkId) -> Result<Checked> {
        // Levels from the top down, then their contents from the bottom up.
        let mut levels: Vec<Vec<(ChunkId, Arc<Branch>)>> = Vec::new();
        let mut unread: Vec<ChunkId> = if self.checked.contains_key(&root) { Vec::new() } else { vec![root] };
        while !unread.is_empty() {
            let mut branches = Vec::new();
            for ids in unread.chunks(LEAVES_AT_ONCE) {
                for (id, node) in ids.iter().zip(self.read(ids).await?) {
                    match node {
                        Ok(Node::Branch(branch)) => branches.push((*id, branch)),
                        Ok(Node::Leaf(leaf)) => {
                            let edge = |i: usize| if leaf.len() == 0 { &[][..] } else { leaf.key(i) };
                            self.rows += leaf.len() as u64;
                            let checked = Checked {
                                level: 0,
                                rows: leaf.len() as u64,
                                first_key: edge(0).into(),
                                last_key: Some(edge(leaf.len().saturating_sub(1)).into()),
                                damaged: [].into(),
                            };
                            self.checked.insert(*id, checked);
                        }
                        Err(problem) => self.report(*id, &[], problem),
                    }
                }
            }
            let mut seen = HashSet::new();
            unread = (branches.iter())
                .flat_map(|(_, branch)| branch.entries().map(|entry| entry.id))
                .filter(|id| !self.checked.contains_key(id) && seen.insert(*id))
                .collect();
            levels.push(branches);
        }
        for (id, branch) in levels.into_iter().rev().flatten() {
            match self.check_branch(&branch) {
                Ok(checked) => {
                    self.checked.insert(id, checked);
                }
                Err(problem) => {
                    let below: Vec<ChunkId> =
                        branch.entries().flat_map(|entry| self.checked[&entry.id].damaged.to_vec()).collect();
                    self.report(id, &below, problem);
                }
            }
        }
        Ok(self.checked[&root].clone())
    }

    /// Reads nodes together, and one by one where that fails, so that one damaged node does not hide others.
    async fn read(&self, ids: &[ChunkId]) -> Result<Vec<Result<Node, String>>> {
        if let Ok(nodes) = self.reader.nodes(ids).await {
            return Ok(nodes.into_iter().map(Ok).collect());
        }
        let mut nodes = Vec::with_capacity(ids.len());
        for &id in ids {
            nodes.push(match self.reader.node(id).await {
                Ok(node) => Ok(node),
                Err(Error::ChunkDamaged { problem, .. }) => Err(problem),
                Err(Error::ChunkNotFound { .. }) => Err("it is missing from the store".to_owned()),
                Err(other) => return Err(other),
            });
        }
        Ok(nodes)
    }

    /// Notes a damaged node, with the damaged ones below it.
    fn report(&mut self, id: ChunkId, below: &[ChunkId], problem: String) {
        let damaged = [&[id], below].concat().into();
        self.checked.insert(id, Checked { level: 0, rows: 0, first_key: [].into(), last_key: None, damaged });
        self.problems.insert(id, problem);
    }

    /// Compares what a branch says of its children with what they are.
    fn check_branch(&self, branch: &Branch) -> Result<Checked, String> {
        let mut damaged: Vec<ChunkId> = Vec::new();
        let mut last_key: Option<&[u8]> = None;
        for entry in branch.entries() {
            let child = &self.checked[&entry.id];
            damaged.extend_from_slice(&child.damaged);
            if child.damaged.contains(&entry.id) {
                last_key = None;
                continue;
            }
            if child.level + 1 != branch.level() {
                return Err(format!("its child {} is on level {}", entry.id, child.level));
            }
            if child.damaged.is_empty() && child.rows != entry.rows {
                return Err(format!("it counts {} rows below {}, which has {}", entry.rows, entry.id, child.rows));
            }
            if *child.first_key != *entry.first_key {
                return Err(format!("it lists {} under a key that is not its first", entry.id));
            }
            if let Some(before) = last_key {
                let continued = before == &*child.first_key;
                if before > &*child.first_key || continued != entry.continued {
                    return Err(format!("its child {} is out of order", entry.id));
                }
            }
            last_key = child.last_key.as_deref();
        }
        let edge = |i: usize| &self.checked[&branch.entry(i).id];
        Ok(Checked {
            level: branch.level(),
            rows: branch.entries().map(|entry| entry.rows).sum(),
            first_key: branch.entry(0).first_key.into(),
            last_key: edge(branch.len() - 1).last_key.clone(),
            damaged: damaged.into(),
        })
    }
}

/// Adds to an error about a chunk which snapshots cannot be read without it. Other errors come back as they are.
///
/// Walks the branches of all snapshots, so it is for the moment when something has gone wrong.
pub async fn explain_damage(store: &dyn Store, mut error: Error) -> Error {
    if let Error::ChunkDamaged { id, snapshots, .. } | Error::ChunkNotFound { id, snapshots } = &mut error
        && snapshots.is_empty()
        && let Ok(all) = store.snapshots(&SnapshotFilter::default()).await
    {
        for snapshot in all.iter().rev() {
            if reaches(store, snapshot.root, *id).await {
                snapshots.push(snapshot.id);
            }
        }
    }
    error
}

/// Returns whether `wanted` is in the tree below `root`, as far as that can be read.
async fn reaches(store: &dyn ReadChunks, root: ChunkId, wanted: ChunkId) -> bool {
    let reader = TreeReader::new(store);
    let mut unread = vec![root];
    while let Some(id) = unread.pop() {
        if id == wanted {
            return true;
        }
        if let Ok(Node::Branch(branch)) = reader.node(id).await {
            if branch.entries().any(|entry| entry.id == wanted) {
                return true;
            }
            if branch.level() > 1 {
                unread.extend(branch.entries().map(|entry| entry.id));
            }
        }
    }
    false
}
