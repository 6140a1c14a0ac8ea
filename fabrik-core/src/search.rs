//! Finds DNs by a part of them.

use std::sync::Arc;

use memchr::memmem;
use rayon::prelude::*;
use serde::Serialize;

use crate::error::{Error, Result};
use crate::key::dn_of;
use crate::reference::{find_query, one_connection};
use crate::snapshot::Snapshot;
use crate::store::{ReadChunks, Store};
use crate::tree::leaf::Leaf;
use crate::tree::reader::TreeReader;

/// The most DNs one search gives.
const MAX_LIMIT: usize = 200;

/// Some DNs of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct KeyPage {
    /// The DNs, ascending by bytes.
    pub dns: Vec<KeyEntry>,
    /// How many are given.
    pub count: usize,
    /// How many there are.
    pub total_matches: usize,
    /// Whether there are more than are given.
    pub truncated: bool,
}

/// A DN and what it names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct KeyEntry {
    /// The DN.
    pub dn: String,
    /// The class of the object, where the row says so.
    #[serde(rename = "className")]
    pub class_name: Option<String>,
}

/// Finds the DNs of the newest snapshot of a query that contain `part`, whatever the case of their letters.
///
/// An empty part finds all. At most `limit` are given, and never more than 200; all are counted. Without a
/// snapshot there is nothing to find. Reads the whole snapshot and holds all its
/// keys; who asks often keeps a [`KeyIndex`].
///
/// # Errors
///
/// [`NotFound`](crate::ErrorKind::NotFound) for an unknown query or connection,
/// [`InvalidInput`](crate::ErrorKind::InvalidInput) for a limit of 0.
pub async fn search_keys(
    store: &dyn Store,
    query: &str,
    connection: Option<&str>,
    part: &str,
    limit: usize,
) -> Result<KeyPage> {
    check_limit(limit)?;
    let history = find_query(store, query).await?;
    let newest = store.snapshots(&one_connection(&history, connection)?.with_page(0, 1)).await?.pop();
    match newest {
        Some(newest) => KeyIndex::load(store, &newest).await?.search(part, limit),
        None => KeyIndex::default().search(part, limit),
    }
}

fn check_limit(limit: usize) -> Result<()> {
    if limit == 0 { Err(Error::invalid("limit", "0", "a number from 1 to 200")) } else { Ok(()) }
}

/// The DNs of one snapshot in memory, ready to be searched: twice the length of each and some 40 bytes more.
#[derive(Debug, Default)]
pub struct KeyIndex {
    blocks: Vec<Block>,
}

/// DNs of some leaves, ascending, each once.
#[derive(Debug, Default)]
struct Block {
    dns: String,
    /// The same in lower case, with a line end after each, so that one pass over it finds all.
    folded: String,
    entries: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    dn_end: usize,
    folded_end: usize,
    class: Option<Arc<str>>,
}

impl KeyIndex {
    /// Reads the DNs of a snapshot and their classes, which means every chunk of it.
    ///
    /// # Errors
    ///
    /// [`Damaged`](crate::ErrorKind::Damaged) when a chunk cannot be read.
    pub async fn load(store: &dyn ReadChunks, snapshot: &Snapshot) -> Result<Self> {
        let mut scan = TreeReader::new(store).scan(snapshot.root).await?;
        let mut index = Self::default();
        loop {
            let leaves = scan.next().await?;
            if leaves.is_empty() {
                return Ok(index);
            }
            let blocks: Vec<Block> = leaves.par_chunks(32).map(Block::of).collect();
            for mut block in blocks {
                // Rows of one DN may lie on both sides of a block's edge.
                if index.blocks.last().is_some_and(|last| last.last_dn() == block.first_dn()) {
                    block.drop_first();
                }
                index.blocks.extend((!block.entries.is_empty()).then_some(block));
            }
        }
    }

    /// Returns how many DNs there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.blocks.iter().map(|block| block.entries.len()).sum()
    }

    /// Returns whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.blocks.is_empty()
    }

    /// Finds DNs as [`search_keys`] does. Looks at every DN once, on all cores; nothing is read.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) for a limit of 0.
    pub fn search(&self, part: &str, limit: usize) -> Result<KeyPage> {
        check_limit(limit)?;
        let limit = limit.min(MAX_LIMIT);
        let wanted = part.to_lowercase();
        let finder = memmem::Finder::new(wanted.as_bytes());
        let hits = |block: &Block| block.hits(&finder, limit);
        let hits: Vec<(usize, Vec<usize>)> = self.blocks.par_iter().with_min_len(8).map(hits).collect();
        let mut page = KeyPage { dns: Vec::new(), count: 0, total_matches: 0, truncated: false };
        for (block, (n_hits, hits)) in self.blocks.iter().zip(hits) {
            page.total_matches += n_hits;
            let room = limit - page.dns.len();
            page.dns.extend(hits.into_iter().take(room).map(|hit| KeyEntry {
                dn: block.dn(hit).to_owned(),
                class_name: block.entries[hit].class.as_deref().map(str::to_owned),
            }));
        }
        page.count = page.dns.len();
        page.truncated = page.total_matches > page.count;
        Ok(page)
    }
}

impl Block {
    fn of(leaves: &[Arc<Leaf>]) -> Self {
        let mut block = Self::default();
        let mut classes: Vec<Arc<str>> = Vec::new();
        for leaf in leaves {
            for i in 0..leaf.len() {
                let Some(dn) = dn_of(leaf.key(i)) else { continue };
                if block.last_dn() == Some(dn) {
                    continue;
                }
                let class = leaf.row(i).class_name().map(|name| {
                    classes.iter().find(|class| &***class == name).cloned().unwrap_or_else(|| {
                        classes.push(name.into());
                        Arc::clone(&classes[classes.len() - 1])
                    })
                });
                block.dns.push_str(dn);
                if dn.is_ascii() {
                    let start = block.folded.len();
                    block.folded.push_str(dn);
                    block.folded[start..].make_ascii_lowercase();
                } else {
                    block.folded.push_str(&dn.to_lowercase());
                }
                block.folded.push('\n');
                block.entries.push(Entry { dn_end: block.dns.len(), folded_end: block.folded.len(), class });
            }
        }
        block
    }

    fn dn(&self, i: usize) -> &str {
        let start = if i == 0 { 0 } else { self.entries[i - 1].dn_end };
        &self.dns[start..self.entries[i].dn_end]
    }

    fn first_dn(&self) -> Option<&str> {
        (!self.entries.is_empty()).then(|| self.dn(0))
    }

    fn last_dn(&self) -> Option<&str> {
        self.entries.len().checked_sub(1).map(|last| self.dn(last))
    }

    fn drop_first(&mut self) {
        let Entry { dn_end, folded_end, .. } = self.entries.remove(0);
        self.dns.drain(..dn_end);
        self.folded.drain(..folded_end);
        for entry in &mut self.entries {
            entry.dn_end -= dn_end;
            entry.folded_end -= folded_end;
        }
    }

    /// Returns how many entries have a DN that contains what is looked for, and the first of them.
    fn hits(&self, finder: &memmem::Finder<'_>, limit: usize) -> (usize, Vec<usize>) {
        if finder.needle().is_empty() {
            return (self.entries.len(), (0..self.entries.len().min(limit)).collect());
        }
        let (mut n_hits, mut hits) = (0, Vec::new());
        let (mut from, mut entry) = (0, 0);
        while let Some(found) = finder.find(&self.folded.as_bytes()[from..]) {
            let at = from + found;
            // The next hit is often close by: what a person types first is in most DNs.
            while self.entries[entry].folded_end <= at {
                entry += 1;
            }
            let end = self.entries[entry].folded_end;
            // A DN may hold a line end itself, and so may what is looked for: then it must not cross DNs.
            if at + finder.needle().len() < end {
                n_hits += 1;
                if hits.len() < limit {
                    hits.push(entry);
                }
                from = end;
            } else {
                from = at + 1;
            }
        }
        (n_hits, hits)
    }
}
