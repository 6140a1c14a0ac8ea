//! How much the changes of a capture matter, judged once.

use std::sync::Arc;

use fabrik_core::{DiffOptions, Snapshot, compare};

use super::spill_dir;
use crate::server::error::ApiError;
use crate::server::state::AppState;

/// Returns the risk score that a comparison with the snapshot before shows, with nothing passed over as noise; `None` where
/// there is none before.
///
/// The capture is done whatever becomes of this, so a failure is only logged.
pub(super) async fn of(state: &AppState, previous: Option<&Snapshot>, snapshot: &Snapshot) -> Option<i64> {
    let previous = previous?;
    if previous.root == snapshot.root {
        return Some(0);
    }
    match judge(state, previous.clone(), snapshot.clone()).await {
        Ok(score) => Some(score),
        Err(error) => {
            tracing::warn!(?error, snapshot = %snapshot.id, "the changes of a capture could not be judged");
            None
        }
    }
}

async fn judge(state: &AppState, previous: Snapshot, snapshot: Snapshot) -> Result<i64, ApiError> {
    let severity = Arc::clone(&state.settings().severity);
    let options = DiffOptions::default().with_severity(severity).with_spill_dir(spill_dir());
    let judged = state.engine(move |store| async move {
        let mut comparison = compare(&*store, &previous, &snapshot, options).await?;
        while !comparison.next_batch().await?.is_empty() {}
        Ok(comparison.summary().risk.unwrap_or_default().risk_score)
    });
    Ok(judged.await?.into())
}
