//! Finds DNs by a part of them.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

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
/// How many searches an index remembers: the last of as many people who type at once.
const MOST_RECENT: usize = 64;
/// How many places of DNs it remembers of each, so that a search takes 32 KiB at most.
const MOST_PLACES: usize = 4_096;

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

/// The DNs of one snapshot in memory, ready to be searched: twice the length of each and some 40 bytes more, and up to
/// 2 MiB for what was found lately.
#[derive(Debug, Default)]
pub struct KeyIndex {
    blocks: Vec<Block>,
    recent: Recent,
}

/// What was found lately, the last in front: whoever types on is answered from what the letters before had found.
#[derive(Debug, Default)]
struct Recent(Mutex<VecDeque<(Arc<str>, Arc<Hits>)>>);

/// Where a text is.
#[derive(Debug, Default)]
struct Hits {
    /// How many DNs contain it.
    total: usize,
    /// The first of them, ascending: all where they are not too many.
    places: Vec<Place>,
}

/// A block and an entry in it.
type Place = (u32, u32);

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

    /// Finds DNs as [`search_keys`] does. Nothing is read: this looks at every DN, on all cores, or only at those that the
    /// text without its last letters was found in shortly before.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) for a limit of 0.
    pub fn search(&self, part: &str, limit: usize) -> Result<KeyPage> {
        check_limit(limit)?;
        let hits = self.hits(&part.to_lowercase());
        let shown = hits.places.iter().take(limit.min(MAX_LIMIT)).map(|&(block, entry)| {
            let (block, entry) = (&self.blocks[block as usize], entry as usize);
            KeyEntry {
                dn: block.dn(entry).to_owned(),
                class_name: block.entries[entry].class.as_deref().map(str::to_owned),
            }
        });
        let dns: Vec<KeyEntry> = shown.collect();
        Ok(KeyPage { count: dns.len(), total_matches: hits.total, truncated: hits.total > dns.len(), dns })
    }

    fn hits(&self, wanted: &str) -> Arc<Hits> {
        let finder = memmem::Finder::new(wanted.as_bytes());
        let found = match self.recent.find(wanted) {
            Some((known, hits)) if *known == *wanted => return hits,
            Some((_, wider)) => wider.narrowed(|&(block, entry)| self.blocks[block as usize].has(entry, &finder)),
            None => {
                let hits = |(number, block): (usize, &Block)| block.hits(narrow(number), &finder);
                Hits::of(self.blocks.par_iter().with_min_len(8).enumerate().map(hits).collect())
            }
        };
        let found = Arc::new(found);
        self.recent.remember(wanted, Arc::clone(&found));
        found
    }
}

/// Numbers blocks and their entries, of which there is one for each row of a snapshot at most.
fn narrow(number: usize) -> u32 {
    u32::try_from(number).expect("an index has fewer than 2^32 entries")
}

impl Recent {
    /// Returns the hits of a text, or else of the longest of its beginnings that all hits are known of.
    fn find(&self, wanted: &str) -> Option<(Arc<str>, Arc<Hits>)> {
        let mut recent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let helps = |(known, hits): &&(Arc<str>, Arc<Hits>)| {
            **known == *wanted || (hits.places.len() == hits.total && wanted.starts_with(&**known))
        };
        let best = recent.iter().filter(helps).max_by_key(|(known, _)| known.len()).cloned()?;
        if *best.0 == *wanted
            && let Some(place) = recent.iter().position(|(known, _)| *known == best.0)
            && let Some(used) = recent.remove(place)
        {
            recent.push_front(used);
        }
        Some(best)
    }

    fn remember(&self, wanted: &str, hits: Arc<Hits>) {
        let mut recent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Somebody else may have typed the same in the meantime.
        recent.retain(|(known, _)| **known != *wanted);
        recent.push_front((wanted.into(), hits));
        recent.truncate(MOST_RECENT);
    }
}

impl Hits {
    /// Puts together what was found in one block after the other.
    fn of(found: Vec<Vec<Place>>) -> Self {
        let total = found.iter().map(Vec::len).sum();
        let keep = if total > MOST_PLACES { MAX_LIMIT } else { total };
        Self { total, places: found.into_iter().flatten().take(keep).collect() }
    }

    /// Returns those of all places that have something else, too.
    fn narrowed(&self, has: impl Fn(&Place) -> bool) -> Self {
        let places: Vec<Place> = self.places.iter().copied().filter(has).collect();
        Self { total: places.len(), places }
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

    /// Returns whether the DN of an entry contains what is looked for.
    fn has(&self, entry: u32, finder: &memmem::Finder<'_>) -> bool {
        let entry = entry as usize;
        let start = if entry == 0 { 0 } else { self.entries[entry - 1].folded_end };
        // Without the line end.
        finder.find(&self.folded.as_bytes()[start..self.entries[entry].folded_end - 1]).is_some()
    }

    /// Returns the entries whose DN contains what is looked for, as places in the block `number`.
    fn hits(&self, number: u32, finder: &memmem::Finder<'_>) -> Vec<Place> {
        if finder.needle().is_empty() {
            return (0..narrow(self.entries.len())).map(|entry| (number, entry)).collect();
        }
        let mut hits = Vec::new();
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
                hits.push((number, narrow(entry)));
                from = end;
            } else {
                from = at + 1;
            }
        }
        hits
    }
}
