//! Finds DNs by a part of them.

use rayon::prelude::*;
use serde::Serialize;

use crate::error::{Error, Result};
use crate::key::dn_of;
use crate::reference::{find_query, one_connection};
use crate::store::Store;
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
/// snapshot there is nothing to find.
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
    if limit == 0 {
        return Err(Error::invalid("limit", "0", "a number from 1 to 200"));
    }
    let limit = limit.min(MAX_LIMIT);
    let history = find_query(store, query).await?;
    let newest = store.snapshots(&one_connection(&history, connection)?.with_page(0, 1)).await?.pop();
    let mut page = KeyPage { dns: Vec::new(), count: 0, total_matches: 0, truncated: false };
    let Some(newest) = newest else { return Ok(page) };
    let wanted = Part::new(part);
    let mut scan = TreeReader::new(store).scan(newest.root).await?;
    let mut last: Option<String> = None;
    loop {
        let leaves = scan.next().await?;
        if leaves.is_empty() {
            break;
        }
        let hits: Vec<Vec<usize>> = leaves.par_iter().map(|leaf| wanted.hits(leaf)).collect();
        for (leaf, rows) in leaves.iter().zip(hits) {
            for row in rows {
                let dn = dn_of(leaf.key(row)).expect("only DNs are hits");
                if last.as_deref() == Some(dn) {
                    continue;
                }
                page.total_matches += 1;
                if page.dns.len() < limit {
                    let class_name = leaf.row(row).class_name().map(str::to_owned);
                    page.dns.push(KeyEntry { dn: dn.to_owned(), class_name });
                }
                last = Some(dn.to_owned());
            }
        }
    }
    page.count = page.dns.len();
    page.truncated = page.total_matches > page.count;
    Ok(page)
}

/// What is looked for, in lower case.
#[derive(Debug)]
struct Part {
    lower: String,
    finder: memchr::memmem::Finder<'static>,
}

impl Part {
    fn new(part: &str) -> Self {
        let lower = part.to_lowercase();
        Self { finder: memchr::memmem::Finder::new(lower.as_bytes()).into_owned(), lower }
    }

    /// Returns the rows whose DN contains it.
    fn hits(&self, leaf: &Leaf) -> Vec<usize> {
        let mut folded = Vec::new();
        let mut hits = Vec::new();
        for row in 0..leaf.len() {
            let Some(dn) = dn_of(leaf.key(row)) else { continue };
            let found = if self.lower.is_empty() {
                true
            } else if dn.is_ascii() {
                folded.clear();
                folded.extend_from_slice(dn.as_bytes());
                folded.make_ascii_lowercase();
                self.finder.find(&folded).is_some()
            } else {
                dn.to_lowercase().contains(&self.lower)
            };
            if found {
                hits.push(row);
            }
        }
        hits
    }
}
