//! Captures: a saved query is run on a controller, and its rows become a snapshot.
//!
//! What the store does not know of a capture lies in the database under the id of the snapshot: written before the
//! capture, completed after it. Where the server dies in between, a job makes both agree.

mod facts;
mod risk;
mod watched;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use fabrik_apic::graph::Variables;
use fabrik_core::{CaptureOptions, RetentionPolicy, Snapshot, SnapshotId};
use serde_json::json;
use uuid::Uuid;

use super::audit::{Actor, Category, Entry};
use super::connections::Connection;
use super::error::{ApiError, chain};
use super::queries::{self, SavedQuery};
use super::state::AppState;
use super::time_machine::global::{self, TimeMachineGlobal};
use watched::{Watched, Watching};

pub(crate) use facts::{Facts, TABLE as FACTS, forget, of_snapshot, of_snapshots, purge};
pub(crate) use watched::in_order;

/// What is to be captured, and on whose behalf.
#[derive(Clone, Debug)]
pub(crate) struct Capturing<'a> {
    pub(crate) query: &'a SavedQuery,
    pub(crate) connection: &'a Connection,
    pub(crate) variables: &'a Variables,
    pub(crate) retention_policy: RetentionPolicy,
    pub(crate) annotation: Option<String>,
    pub(crate) label: Option<String>,
    /// Who the audit log names.
    pub(crate) actor: Actor,
    /// The user, where there is one: who may annotate the snapshot.
    pub(crate) user_id: Option<i64>,
    /// Who captured, by name.
    pub(crate) username: String,
    pub(crate) execution: Execution,
}

/// What made a capture happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Execution {
    /// Somebody asked for it.
    Manual,
    /// A task did.
    Scheduled { task: i64, execution: Uuid },
}

/// A finished capture.
#[derive(Clone, Debug)]
pub(crate) struct Captured {
    pub(crate) snapshot: Snapshot,
    /// The snapshot before it on the same connection.
    pub(crate) previous: Option<Snapshot>,
    pub(crate) is_duplicate: bool,
    /// Whether there is no snapshot, as the one before tells the same and duplicates of schedules are not kept.
    pub(crate) is_skipped: bool,
    /// What is worth telling about it, in sentences.
    pub(crate) warnings: Vec<String>,
    pub(crate) facts: Facts,
}

/// Why there is no snapshot; nothing was stored.
#[derive(Debug)]
pub(crate) struct CaptureError {
    /// What a client is told.
    pub(crate) error: ApiError,
    /// Why, in a sentence for people.
    pub(crate) message: String,
}

impl From<ApiError> for CaptureError {
    fn from(error: ApiError) -> Self {
        Self { message: sentence(&error), error }
    }
}

/// Runs a query and stores its rows as a snapshot, both audited. To be called where nobody drops it half-way, such as a
/// task of its own.
pub(crate) async fn capture(state: &AppState, asked: Capturing<'_>) -> Result<Captured, CaptureError> {
    let started = Instant::now();
    let mut facts = Facts::begin(&asked, Uuid::now_v7(), state.clock().now());
    let global = global::read(state).await?;
    facts.insert(state).await?;
    match take(state, &asked, &mut facts, &global).await {
        Ok(captured) => {
            facts.execution_time_ms = i64::try_from(started.elapsed().as_millis()).unwrap_or(i64::MAX);
            if captured.is_skipped {
                forget(state, &[facts.id]).await?;
            } else {
                facts.risk_score = risk::of(state, captured.previous.as_ref(), &captured.snapshot).await;
            }
            facts.completed_at = Some(state.clock().now());
            let (is_duplicate, is_skipped) = (captured.is_duplicate(), captured.is_skipped);
            let snapshot = captured.snapshot;
            let warnings: Vec<String> = global.size_warning(snapshot.size_bytes).into_iter().collect();
            let (rows, query) = (snapshot.row_count, asked.query);
            let metadata = json!({
                "saved_query": query.id,
                "apic_connection": asked.connection.id,
                "row_count": rows,
                "version_hash": snapshot.version_hash.to_string(),
                "retention_policy": snapshot.retention_policy.name(),
                "execution_type": facts.execution_type,
                "warnings": warnings,
            });
            let entry = match captured.previous.as_ref().filter(|_| is_skipped) {
                None => Entry::new(
                    Category::TimeMachine,
                    "time_machine_snapshot_captured",
                    format!("Captured {rows} rows of the query {}", query.name),
                )
                .on("snapshot", snapshot.id, &query.name),
                Some(previous) => Entry::new(
                    Category::TimeMachine,
                    "time_machine_snapshot_skipped",
                    format!("Found the query {} as it was captured before", query.name),
                )
                .on("snapshot", previous.id, &query.name),
            };
            let mut transaction = state.db().begin().await.map_err(ApiError::from)?;
            // Of what was skipped there is nothing to complete.
            facts.complete(&mut transaction).await.map_err(ApiError::from)?;
            entry.with(metadata).append(&mut transaction, state, &asked.actor).await.map_err(ApiError::from)?;
            transaction.commit().await.map_err(ApiError::from)?;
            Ok(Captured { snapshot, previous: captured.previous, is_duplicate, is_skipped, warnings, facts })
        }
        Err(error) => {
            let error = CaptureError::from(error);
            forget(state, &[facts.id]).await?;
            Entry::new(
                Category::TimeMachine,
                "time_machine_snapshot_failed",
                format!("Could not capture the query {}", asked.query.name),
            )
            .on("saved_query", asked.query.id, &asked.query.name)
            .with(json!({ "apic_connection": asked.connection.id, "execution_type": facts.execution_type }))
            .failed(&error.message)
            .record(state, &asked.actor)
            .await
            .map_err(ApiError::from)?;
            Err(error)
        }
    }
}

/// Reads the rows and stores them.
async fn take(
    state: &AppState,
    asked: &Capturing<'_>,
    facts: &mut Facts,
    global: &TimeMachineGlobal,
) -> Result<fabrik_core::Captured, ApiError> {
    let limit_mb = global.max_snapshot_size_mb;
    let source = queries::source(state, asked.query, asked.connection, asked.variables)?;
    let watching = Arc::new(Watching::new(u64::try_from(limit_mb).unwrap_or(0) << 20));
    let mut source = Watched::new(source, Arc::clone(&watching));
    let keeps_duplicates = global.store_duplicates || asked.execution == Execution::Manual;
    let options = options(asked, facts).with_duplicate_skipped(!keeps_duplicates);
    let taken =
        state.engine(move |store| async move { Ok(fabrik_core::capture(&*store, &mut source, &options).await?) }).await;
    if let Some(size_bytes) = watching.excess() {
        return Err(ApiError::SnapshotTooLarge { size_bytes, limit_mb: u64::try_from(limit_mb).unwrap_or(0) });
    }
    facts.columns = Some(json!(watching.columns()));
    taken
}

fn options(asked: &Capturing<'_>, facts: &Facts) -> CaptureOptions {
    let mut options = CaptureOptions::new(SnapshotId::new(facts.id), &asked.query.series, facts.started_at);
    options.captured_by.clone_from(&asked.username);
    options.connection = Some(asked.connection.id.to_string());
    options.key = asked.query.key.clone();
    options.retention_policy = asked.retention_policy;
    options.annotation = asked.annotation.clone().filter(|text| !text.is_empty());
    options.label = asked.label.clone().filter(|text| !text.is_empty());
    options.spill_dir = Some(spill_dir());
    options
}

/// Returns where rows go that do not fit in memory.
pub(crate) fn spill_dir() -> PathBuf {
    std::env::temp_dir()
}

/// Says for people why something failed. What clients are not told is not for the log of others either, but who
/// schedules a capture must learn why it does not work.
fn sentence(error: &ApiError) -> String {
    match error {
        ApiError::Invalid(errors) => errors.first_sentence(),
        ApiError::BadRequest(detail) | ApiError::Refused(detail) | ApiError::Unavailable { detail, .. } => {
            detail.to_string()
        }
        ApiError::SnapshotTooLarge { size_bytes, limit_mb } => {
            format!("the result has {} MiB and more, {limit_mb} are allowed", size_bytes.div_ceil(1 << 20))
        }
        ApiError::Internal(error) => chain(&**error),
        ApiError::NotFound => "what it needs is gone".to_owned(),
        other => format!("{other:?}"),
    }
}
