//! What a store holds and what that takes.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::error::Result;
use crate::store::{SnapshotFilter, Store};

/// Figures of a store.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Stats {
    /// Queries that have snapshots.
    pub queries: u64,
    /// Snapshots.
    pub snapshots: u64,
    /// Rows in all of them.
    pub rows: u64,
    /// Size of all those rows as JSON, in bytes.
    pub logical_bytes: u64,
    /// What their content takes in the store, in bytes.
    pub stored_bytes: u64,
    /// What the store takes on disk, records and indexes included, in bytes.
    pub disk_bytes: u64,
    /// Logical bytes for each stored one.
    pub ratio: f64,
    /// Chunks.
    pub chunks: u64,
    /// How many chunks have how many others before them that must be read first.
    pub delta_chains: BTreeMap<u32, u64>,
}

/// Measures a store. Reads records and lists of chunks, no content.
///
/// # Errors
///
/// Whatever the store reports.
pub async fn stats(store: &dyn Store) -> Result<Stats> {
    let mut stats = Stats::default();
    let snapshots = store.snapshots(&SnapshotFilter::default()).await?;
    stats.queries = store.queries().await?.iter().filter(|history| history.snapshot_count > 0).count() as u64;
    stats.snapshots = snapshots.len() as u64;
    stats.rows = snapshots.iter().map(|snapshot| snapshot.row_count).sum();
    stats.logical_bytes = snapshots.iter().map(|snapshot| snapshot.size_bytes).sum();
    for chunk in store.stored_chunks().await? {
        stats.chunks += 1;
        stats.stored_bytes += chunk.stored_bytes;
        *stats.delta_chains.entry(chunk.chain).or_default() += 1;
    }
    stats.disk_bytes = store.disk_bytes().await?;
    stats.ratio = ratio(stats.logical_bytes, stats.stored_bytes.max(stats.disk_bytes));
    Ok(stats)
}

#[expect(clippy::cast_precision_loss, reason = "a ratio of more than 2^53 bytes may be off by a rounding")]
fn ratio(logical: u64, stored: u64) -> f64 {
    logical as f64 / stored.max(1) as f64
}
