//! Runs in the background, followed over a socket.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::extract::State;
use fabrik_apic::graph::{Node, Question};
use fabrik_core::{RowRef, Source, SourceProgress};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, json};
use tokio::time::{Instant, MissedTickBehavior, interval_at};
use uuid::Uuid;

use super::rows::address;
use super::{Begun, ExecuteRequest, begin};
use crate::server::caller::Caller;
use crate::server::error::ApiError;
use crate::server::events::{Channel, close_job, open_job};
use crate::server::extract::{Body, Json, Path};
use crate::server::notifications::{self, Notice, Severity};
use crate::server::queries::{self, Keeping, KeptLines, Outcome, Sink, read, sentence};
use crate::server::state::AppState;

/// How often progress is told.
const PACE: Duration = Duration::from_millis(500);

/// A run in the background.
#[derive(Serialize, JsonSchema)]
pub(super) struct BackgroundRun {
    job_id: Uuid,
    /// The id in the log of runs.
    execution_id: Uuid,
    /// Where to hear how it goes.
    websocket: String,
    /// Where its rows are once it has gone well.
    rows: String,
}

pub(super) async fn execute_background(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<i64>,
    Body(request): Body<ExecuteRequest>,
) -> Result<Json<BackgroundRun, 202>, ApiError> {
    let begun = begin(&state, &caller, id, request).await?;
    let job_id = open_job(&state, caller.id()).await?;
    let execution_id = begun.execution.id();
    tokio::spawn(async move {
        let follow = Follow { state: state.clone(), channel: Channel::Job(job_id), user: caller.id() };
        follow.run(begun).await;
        if let Err(error) = close_job(&state, job_id).await {
            tracing::warn!(?error, job = %job_id, "a job could not be closed");
        }
    });
    let (websocket, rows) = (format!("/ws/chain-execution/{job_id}/"), address(execution_id));
    Ok(Json(BackgroundRun { job_id, execution_id, websocket, rows }))
}

/// How far a run has come, for whoever tells it.
#[derive(Debug, Default)]
struct Counters {
    rows: AtomicU64,
    read: AtomicU64,
    total: AtomicU64,
}

/// Rows that are counted and kept.
struct Kept {
    counters: Arc<Counters>,
    lines: KeptLines,
}

impl Sink for Kept {
    fn row(&mut self, row: RowRef<'_>) -> Result<(), ApiError> {
        self.counters.rows.fetch_add(1, Ordering::Relaxed);
        self.lines.row(row);
        Ok(())
    }

    fn start_over(&mut self) -> Result<(), ApiError> {
        self.counters.rows.store(0, Ordering::Relaxed);
        self.lines.start_over();
        Ok(())
    }

    fn progress(&mut self, progress: SourceProgress) {
        self.counters.read.store(progress.rows, Ordering::Relaxed);
        self.counters.total.store(progress.total_rows.unwrap_or(0), Ordering::Relaxed);
    }
}

impl Counters {
    /// Returns how much is done in percent, as far as that is known.
    fn percent(&self) -> u64 {
        let (read, total) = (self.read.load(Ordering::Relaxed), self.total.load(Ordering::Relaxed));
        (read.min(total) * 100).checked_div(total).unwrap_or(0).min(99)
    }
}

/// Whoever follows a run in the background.
struct Follow {
    state: AppState,
    channel: Channel,
    user: i64,
}

impl Follow {
    async fn tell(&self, kind: &str, data: Value) {
        self.state.events().publish(&self.state, &self.channel, kind, data).await;
    }

    async fn run(&self, begun: Begun) {
        let Begun { execution, source, limit, query, path, target, .. } = begun;
        let execution_id = execution.id();
        let node = node_of(&query.question, target.as_deref());
        let status = json!({ "status": "running", "progress": 0, "message": format!("{} runs.", query.name) });
        self.tell("execution_status", status).await;
        self.tell("node_start", json!({ "node_id": node, "class_name": target })).await;
        let (lines, keeping) = Keeping::begin(&self.state, execution_id, self.user);
        let result = self.follow(source, limit, lines).await;
        let whole = result.as_ref().ok().and_then(|(outcome, size_bytes)| Some(((*size_bytes)?, outcome)));
        // Before anybody hears that the run is over.
        let is_kept = keeping.end(whole).await;
        let result = result.map(|(outcome, _)| outcome);
        let finished = execution.finish(result.as_ref().map(|outcome| outcome.rows)).await;
        let result = result.and_then(|outcome| finished.map(|took| (outcome, took)));
        match result {
            Ok((outcome, took)) => {
                self.tell("node_result", json!({ "node_id": node, "row_count": outcome.rows })).await;
                self.tell("node_complete", json!({ "node_id": node })).await;
                let status = json!({
                    "status": "completed", "progress": 100, "message": format!("{} rows.", outcome.rows),
                    "execution_id": execution_id, "query": path, "row_count": outcome.rows,
                    "truncated": outcome.is_truncated, "execution_time_ms": took,
                    "rows": is_kept.then(|| address(execution_id)),
                });
                self.tell("execution_status", status).await;
            }
            Err(error) => self.fail(execution_id, &query, &error).await,
        }
    }

    /// Reads all rows, telling how far it has come; returns what came of it, and how many bytes are kept of them if any.
    async fn follow(
        &self,
        mut source: Box<dyn Source>,
        limit: Option<u64>,
        lines: KeptLines,
    ) -> Result<(Outcome, Option<u64>), ApiError> {
        let counters = Arc::new(Counters::default());
        let mut sink = Kept { counters: Arc::clone(&counters), lines };
        let work = self.state.engine(move |_| async move {
            let outcome = read(&mut *source, limit, &mut sink).await?;
            Ok((outcome, sink.lines.finish()))
        });
        let mut work = std::pin::pin!(work);
        let mut ticks = interval_at(Instant::now() + PACE, PACE);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut told = 0;
        loop {
            tokio::select! {
                result = &mut work => return result,
                () = self.state.stopped() => return Err(ApiError::BadRequest("The server stops.".into())),
                _ = ticks.tick() => {
                    let rows = counters.rows.load(Ordering::Relaxed);
                    if rows != told {
                        told = rows;
                        let progress = json!({ "progress": counters.percent(), "row_count": rows });
                        self.tell("execution_progress", progress).await;
                    }
                }
            }
        }
    }

    async fn fail(&self, execution_id: Uuid, query: &queries::SavedQuery, error: &ApiError) {
        let kind = match error {
            ApiError::Invalid(_) => "invalid_query",
            ApiError::Unavailable { error, .. } => error,
            _ => "failed",
        };
        let text = sentence(error);
        self.tell("execution_error", json!({ "error": text, "error_type": kind })).await;
        let status = json!({
            "status": "failed", "progress": 100, "message": text, "error": text, "error_type": kind,
            "execution_id": execution_id,
        });
        self.tell("execution_status", status).await;
        if let Err(error) = self.notify(query, &text).await {
            tracing::warn!(?error, "a failed run could not be told");
        }
    }

    async fn notify(&self, query: &queries::SavedQuery, text: &str) -> Result<(), ApiError> {
        let title = format!("Query failed: {}", query.name);
        let notice = Notice::new(notifications::Source::QueryExecutionFailure, Severity::Error, title, text);
        let mut transaction = self.state.db().begin().await?;
        let told = notifications::tell(&self.state, &mut transaction, &[self.user], &notice).await?;
        transaction.commit().await?;
        Ok(told.publish(&self.state).await?)
    }
}

/// Returns the node of the graph that asks for a class.
fn node_of(question: &Question, class: Option<&str>) -> Option<String> {
    let Question::Graph(flow) = question else { return None };
    let asks = |node: &&Node| node.kind == "classNode" && node.data.get("className").and_then(Value::as_str) == class;
    flow.nodes.iter().rfind(asks).map(|node| node.id.clone())
}
