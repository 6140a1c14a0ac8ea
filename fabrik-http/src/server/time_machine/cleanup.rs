//! Forgetting snapshots that no policy keeps any more: by hand, and daily.

use fabrik_core::{RetentionOptions, RetentionOutcome, RetentionPlan, apply_retention, plan_retention};
use hashbrown::HashSet;
use serde_json::json;
use uuid::Uuid;

use super::global;
use crate::server::audit::{Actor, Category, Entry};
use crate::server::captures;
use crate::server::error::{ApiError, chain};
use crate::server::notifications::{self, Notice, Severity, Source};
use crate::server::state::AppState;

/// What a cleanup is limited to; unless told, to nothing.
#[derive(Debug, Default)]
pub(crate) struct Scope {
    /// Only snapshots of these series.
    pub(crate) series: Option<Vec<String>>,
    /// The newest of each series stays, also where the settings do not say so.
    pub(crate) keep_newest: bool,
    /// Only these snapshots.
    pub(crate) only: Option<HashSet<Uuid>>,
}

/// Returns what a cleanup would do now. What it would free is that of all in the series, whichever are named.
pub(crate) async fn plan(state: &AppState, scope: Scope) -> Result<RetentionPlan, ApiError> {
    let global = global::read(state).await?;
    let options = RetentionOptions::new(state.clock().now())
        .with_newest_protected(scope.keep_newest || global.keep_newest)
        .with_max_per_series(global.max_per_series())
        .with_queries(scope.series);
    let mut plan = state.engine(async move |store| Ok(plan_retention(&*store, &options).await?)).await?;
    if let Some(only) = scope.only {
        plan.doomed.retain(|doomed| only.contains(doomed.snapshot_id.as_uuid()));
    }
    Ok(plan)
}

/// Deletes what has expired, first in the store and then in the database, and tells of it.
///
/// To be called where nobody drops it half-way, such as a task of its own. A server that dies in between leaves rows of
/// the database that [`captures::purge`] forgets.
pub(crate) async fn execute(
    state: &AppState,
    scope: Scope,
    actor: &Actor,
    trigger: &'static str,
) -> Result<(RetentionPlan, RetentionOutcome), ApiError> {
    let done = delete(state, scope).await;
    let deleted = done.as_ref().map_or(0, |(_, outcome)| outcome.deleted.len());
    let mut entry = Entry::new(
        Category::TimeMachine,
        "time_machine_cleanup_executed",
        format!("Deleted {deleted} snapshots that had expired or were too many"),
    );
    let notice = match &done {
        Ok((plan, outcome)) => {
            entry = entry.with(json!({
                "trigger": trigger,
                "deleted": outcome.will_delete,
                "over_count": outcome.over_count,
                "total_bytes_reclaimed": outcome.total_bytes_reclaimed,
                "stored_bytes_reclaimed": outcome.stored_bytes_reclaimed,
                "protected": plan.protected.len(),
            }));
            (deleted > 0).then(|| {
                let message = format!(
                    "{deleted} snapshots that had expired or were too many ({}) were deleted; the store has {} bytes less.",
                    outcome.over_count, outcome.stored_bytes_reclaimed
                );
                Notice::new(Source::TimeMachineCleanup, Severity::Info, "Time Machine cleanup", message)
            })
        }
        Err(error) => {
            let why = match error {
                ApiError::Internal(error) => chain(&**error),
                other => format!("{other:?}"),
            };
            entry = entry.with(json!({ "trigger": trigger })).failed(&why);
            let message = format!("Snapshots that had expired or were too many could not be deleted: {why}.");
            Some(Notice::new(Source::TimeMachineCleanup, Severity::Error, "Time Machine cleanup failed", message))
        }
    };
    let mut transaction = state.db().begin().await?;
    let mut told = None;
    if let Some(notice) = notice {
        let users = notifications::administrators(&mut transaction).await?;
        told = Some(notifications::tell(state, &mut transaction, &users, &notice).await?);
    }
    entry.append(&mut transaction, state, actor).await?;
    transaction.commit().await?;
    if let Some(told) = told {
        told.publish(state).await?;
    }
    done
}

async fn delete(state: &AppState, scope: Scope) -> Result<(RetentionPlan, RetentionOutcome), ApiError> {
    let plan = plan(state, scope).await?;
    let (plan, outcome) = state
        .engine(async move |store| {
            let outcome = apply_retention(&*store, &plan).await?;
            Ok((plan, outcome))
        })
        .await?;
    let gone: Vec<_> = outcome.deleted.iter().map(|id| *id.as_uuid()).collect();
    captures::forget(state, &gone).await?;
    Ok((plan, outcome))
}
