//! The DNs of snapshots in memory, for those who type.

use std::sync::{Arc, Mutex, PoisonError};

use fabrik_core::{ChunkId, KeyIndex, KeyPage, Snapshot};
use tokio::sync::OnceCell;

use crate::server::error::ApiError;
use crate::server::state::AppState;

/// How many indexes are kept at most.
const MOST_INDEXES: usize = 16;
/// How many DNs they may have together; the one used last is kept in any case. At some 200 bytes each.
const MOST_DNS: usize = 1_000_000;
/// Up to so many DNs are searched in less time than it takes to hand the work to another thread.
const FEW: usize = 5_000;

/// Indexes by the content that they are of, the one used last in front.
#[derive(Debug, Default)]
pub(crate) struct KeyIndexes(Mutex<Vec<(ChunkId, Arc<OnceCell<KeyIndex>>)>>);

impl KeyIndexes {
    /// Finds DNs of a snapshot. Of many who ask for one that is not there yet, one reads it.
    pub(crate) async fn search(
        &self,
        state: &AppState,
        snapshot: &Snapshot,
        part: String,
        limit: usize,
    ) -> Result<KeyPage, ApiError> {
        let cell = self.cell(snapshot.root);
        let index = cell
            .get_or_try_init(|| {
                let snapshot = snapshot.clone();
                state.engine(async move |store| Ok(KeyIndex::load(&*store, &snapshot).await?))
            })
            .await?;
        self.trim();
        if index.len() <= FEW {
            return Ok(index.search(&part, limit)?);
        }
        let cell = Arc::clone(&cell);
        state
            .engine(async move |_| {
                let index = cell.get().expect("it was made above, and is never taken away");
                Ok(index.search(&part, limit)?)
            })
            .await
    }

    fn indexes(&self) -> std::sync::MutexGuard<'_, Vec<(ChunkId, Arc<OnceCell<KeyIndex>>)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn cell(&self, root: ChunkId) -> Arc<OnceCell<KeyIndex>> {
        let mut indexes = self.indexes();
        let found = match indexes.iter().position(|(known, _)| *known == root) {
            Some(place) => indexes.remove(place),
            None => (root, Arc::default()),
        };
        let cell = Arc::clone(&found.1);
        indexes.insert(0, found);
        cell
    }

    /// Forgets what was not used for long.
    fn trim(&self) {
        let mut indexes = self.indexes();
        let mut dns = 0;
        let mut n = 0;
        indexes.retain(|(_, cell)| {
            dns += cell.get().map_or(0, KeyIndex::len);
            n += 1;
            n == 1 || (n <= MOST_INDEXES && dns <= MOST_DNS)
        });
    }
}
