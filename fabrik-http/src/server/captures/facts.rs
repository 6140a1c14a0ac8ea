//! What the store does not know of captures: rows of the database, by the ids of the snapshots.

use chrono::{DateTime, TimeDelta, Utc};
use fabrik_core::store::SnapshotFilter;
use hashbrown::{HashMap, HashSet};
use sea_query::{Alias, Expr, ExprTrait, Query, SelectStatement};
use serde_json::Value;
use uuid::Uuid;

use super::{Capturing, Execution};
use crate::server::db::{DbError, Transaction};
use crate::server::error::ApiError;
use crate::server::state::AppState;

/// The table of what is known of captures beside the store.
pub(crate) const TABLE: &str = "time_machine_capture";
/// How long a capture may take before it counts as one of a server that died.
const LONGEST: TimeDelta = TimeDelta::hours(2);
/// How many rows one statement names.
const BATCH: usize = 500;

/// What is known of a capture beside its snapshot. Names are copied, so that they survive what they name.
#[derive(Clone, Debug, sqlx::FromRow)]
pub(crate) struct Facts {
    pub(crate) id: Uuid,
    pub(crate) series: String,
    pub(crate) saved_query_id: i64,
    pub(crate) query_name: String,
    pub(crate) query_version: String,
    pub(crate) query_version_hash: String,
    pub(crate) apic_connection_id: i64,
    pub(crate) apic_connection_name: String,
    pub(crate) captured_by_id: Option<i64>,
    pub(crate) execution_type: String,
    pub(crate) execution_time_ms: i64,
    pub(crate) scheduled_task_id: Option<i64>,
    pub(crate) scheduled_execution_id: Option<Uuid>,
    /// The columns of its rows, as a list.
    pub(crate) columns: Option<Value>,
    /// How much the changes since the capture before matter, from 0 to 100, where that was judged.
    pub(crate) risk_score: Option<i64>,
    pub(crate) started_at: DateTime<Utc>,
    pub(crate) completed_at: Option<DateTime<Utc>>,
}

const COLUMNS: [&str; 17] = [
    "id",
    "series",
    "saved_query_id",
    "query_name",
    "query_version",
    "query_version_hash",
    "apic_connection_id",
    "apic_connection_name",
    "captured_by_id",
    "execution_type",
    "execution_time_ms",
    "scheduled_task_id",
    "scheduled_execution_id",
    "columns",
    "risk_score",
    "started_at",
    "completed_at",
];

impl Facts {
    pub(super) fn begin(asked: &Capturing<'_>, id: Uuid, now: DateTime<Utc>) -> Self {
        let (execution_type, task, execution) = match asked.execution {
            Execution::Manual => ("manual", None, None),
            Execution::Scheduled { task, execution } => ("scheduled", Some(task), Some(execution)),
        };
        Self {
            id,
            series: asked.query.series.clone(),
            saved_query_id: asked.query.id,
            query_name: asked.query.name.clone(),
            query_version: asked.query.version.to_string(),
            query_version_hash: asked.query.version_hash.clone(),
            apic_connection_id: asked.connection.id,
            apic_connection_name: asked.connection.name.clone(),
            captured_by_id: asked.user_id,
            execution_type: execution_type.to_owned(),
            execution_time_ms: 0,
            scheduled_task_id: task,
            scheduled_execution_id: execution,
            columns: None,
            risk_score: None,
            started_at: now,
            completed_at: None,
        }
    }

    pub(super) async fn insert(&self, state: &AppState) -> Result<(), ApiError> {
        let insert = Query::insert()
            .into_table(Alias::new(TABLE))
            .columns(COLUMNS.into_iter().chain(["captured_minute"]).map(Alias::new))
            .values_panic([
                self.id.into(),
                self.series.clone().into(),
                self.saved_query_id.into(),
                self.query_name.clone().into(),
                self.query_version.clone().into(),
                self.query_version_hash.clone().into(),
                self.apic_connection_id.into(),
                self.apic_connection_name.clone().into(),
                self.captured_by_id.into(),
                self.execution_type.clone().into(),
                self.execution_time_ms.into(),
                self.scheduled_task_id.into(),
                self.scheduled_execution_id.into(),
                self.columns.clone().into(),
                self.risk_score.into(),
                self.started_at.into(),
                self.completed_at.into(),
                self.started_at.timestamp().div_euclid(60).into(),
            ])
            .take();
        state.db().run(&insert).await?;
        Ok(())
    }

    pub(super) async fn complete(&self, transaction: &mut Transaction) -> Result<(), DbError> {
        let update = Query::update()
            .table(Alias::new(TABLE))
            .value(Alias::new("execution_time_ms"), self.execution_time_ms)
            .value(Alias::new("columns"), self.columns.clone())
            .value(Alias::new("risk_score"), self.risk_score)
            .value(Alias::new("completed_at"), self.completed_at)
            .and_where(Expr::col(Alias::new("id")).eq(self.id))
            .take();
        transaction.run(&update).await.map(|_| ())
    }

    /// Returns the names of the columns, where they are known.
    pub(crate) fn column_names(&self) -> Option<Vec<String>> {
        let names = self.columns.as_ref()?.as_array()?;
        Some(names.iter().filter_map(|name| name.as_str().map(str::to_owned)).collect())
    }
}

fn select() -> SelectStatement {
    Query::select().columns(COLUMNS.map(Alias::new)).from(Alias::new(TABLE)).take()
}

/// Returns what is known of one snapshot.
pub(crate) async fn of_snapshot(state: &AppState, id: &Uuid) -> Result<Option<Facts>, DbError> {
    state.db().first(select().and_where(Expr::col(Alias::new("id")).eq(*id))).await
}

/// Returns what is known of these snapshots; there may be nothing of some.
pub(crate) async fn of_snapshots(state: &AppState, ids: &[Uuid]) -> Result<HashMap<Uuid, Facts>, DbError> {
    let mut known = HashMap::new();
    for ids in ids.chunks(BATCH) {
        let query = select().and_where(Expr::col(Alias::new("id")).is_in(ids.iter().copied())).take();
        known.extend(state.db().all::<Facts>(&query).await?.into_iter().map(|facts| (facts.id, facts)));
    }
    Ok(known)
}

/// Forgets what is known of snapshots that are not there.
pub(crate) async fn forget(state: &AppState, ids: &[Uuid]) -> Result<(), ApiError> {
    for ids in ids.chunks(BATCH) {
        let delete = Query::delete()
            .from_table(Alias::new(TABLE))
            .and_where(Expr::col(Alias::new("id")).is_in(ids.iter().copied()))
            .take();
        state.db().run(&delete).await?;
    }
    Ok(())
}

/// Makes the database agree with the store: forgets snapshots that are gone or never came to be, and completes those
/// that came to be just before their server died.
pub(crate) async fn purge(state: &AppState) -> Result<(), ApiError> {
    // Before the store is read: what is complete by now was in the store by then.
    let query =
        Query::select().columns(["id", "started_at", "completed_at"].map(Alias::new)).from(Alias::new(TABLE)).take();
    let known = state.db().all::<(Uuid, DateTime<Utc>, Option<DateTime<Utc>>)>(&query).await?;
    if known.is_empty() {
        return Ok(());
    }
    let stored: HashSet<Uuid> = state
        .engine(async |store| {
            let all = store.snapshots(&SnapshotFilter::default()).await?;
            Ok(all.iter().map(|snapshot| *snapshot.id.as_uuid()).collect())
        })
        .await?;
    let oldest = state.clock().now() - LONGEST;
    let is_over = |started_at: DateTime<Utc>, completed_at: Option<_>| completed_at.is_some() || started_at < oldest;
    let gone: Vec<Uuid> = known
        .iter()
        .filter(|(id, started_at, completed_at)| !stored.contains(id) && is_over(*started_at, *completed_at))
        .map(|(id, ..)| *id)
        .collect();
    forget(state, &gone).await?;
    for (id, started_at, completed_at) in known {
        if completed_at.is_none() && started_at < oldest && stored.contains(&id) {
            let complete = Query::update()
                .table(Alias::new(TABLE))
                .value(Alias::new("completed_at"), started_at)
                .and_where(Expr::col(Alias::new("id")).eq(id))
                .and_where(Expr::col(Alias::new("completed_at")).is_null())
                .take();
            state.db().run(&complete).await?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use async_trait::async_trait;
    use chrono::TimeZone;
    use fabrik_core::store::MemoryStore;
    use fabrik_core::{CaptureOptions, RowBatch, SnapshotId, Source, Verdict};

    use super::*;
    use crate::server::clock::Clock;
    use crate::server::settings::{Layers, Origin, Settings};

    #[derive(Debug)]
    struct NoRows;

    #[async_trait]
    impl Source for NoRows {
        async fn next_batch(&mut self) -> fabrik_core::Result<Option<RowBatch>> {
            Ok(None)
        }

        fn verdict(&self) -> Verdict {
            Verdict::Complete
        }
    }

    fn facts(started_at: DateTime<Utc>, completed_at: Option<DateTime<Utc>>) -> Facts {
        Facts {
            id: Uuid::now_v7(),
            series: "1".to_owned(),
            saved_query_id: 1,
            query_name: "q".to_owned(),
            query_version: "1.0".to_owned(),
            query_version_hash: String::new(),
            apic_connection_id: 1,
            apic_connection_name: "c".to_owned(),
            captured_by_id: None,
            execution_type: "manual".to_owned(),
            execution_time_ms: 0,
            scheduled_task_id: None,
            scheduled_execution_id: None,
            columns: None,
            risk_score: None,
            started_at,
            completed_at,
        }
    }

    #[tokio::test]
    async fn what_a_dead_server_left_is_completed_or_forgotten() {
        let mut layers = Layers::defaults();
        layers.set("database", "memory:", Origin::Default).unwrap();
        let clock = Clock::manual(Utc.with_ymd_and_hms(2026, 3, 2, 12, 0, 0).unwrap());
        let store = Arc::new(MemoryStore::default());
        let settings = Settings::from_layers(&layers).unwrap();
        let state = AppState::open(settings, Arc::clone(&store) as _, clock.clone()).await.unwrap();
        let now = clock.now();
        let [whole, stored, lost, gone] =
            [facts(now, Some(now)), facts(now, None), facts(now, None), facts(now, Some(now))];
        for one in [&whole, &stored, &lost, &gone] {
            one.insert(&state).await.unwrap();
        }
        for one in [&whole, &stored] {
            let options = CaptureOptions::new(SnapshotId::new(one.id), "1", now);
            fabrik_core::capture(&*store, &mut NoRows, &options).await.unwrap();
        }

        purge(&state).await.unwrap();
        assert!(of_snapshot(&state, &gone.id).await.unwrap().is_none(), "its snapshot was deleted");
        assert!(of_snapshot(&state, &lost.id).await.unwrap().is_some(), "it may still be captured");

        clock.advance(Duration::from_secs(3 * 60 * 60));
        purge(&state).await.unwrap();
        assert!(of_snapshot(&state, &lost.id).await.unwrap().is_none());
        assert!(of_snapshot(&state, &stored.id).await.unwrap().unwrap().completed_at.is_some());
        assert_eq!(of_snapshots(&state, &[whole.id, stored.id, gone.id]).await.unwrap().len(), 2);
    }
}
