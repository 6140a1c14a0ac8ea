//! Working on what is queued: claimed by one UPDATE, kept by a lease, within a number at the same time.

use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use sea_query::{Alias, ExprTrait, Order, Query};
use tokio::sync::watch;
use uuid::Uuid;

use super::execution::{BY_SCHEDULE, EXECUTION, column, update};
use super::outcome::{self, LONGEST};
use super::task::Task;
use super::work::{Queries, Work};
use crate::server::db::DbError;
use crate::server::error::ApiError;
use crate::server::notifications::Told;
use crate::server::state::AppState;

/// How many executions a server works on at the same time.
const AT_ONCE: usize = 4;
/// How long a server is believed to live after it last said so, and how often it says so.
const LEASE: TimeDelta = TimeDelta::minutes(2);
const HEARTBEAT: Duration = Duration::from_secs(30);
/// How many of the queue are looked at to claim one of them.
const LOOKED_AT: u64 = 16;

/// What works on executions, one for a server.
#[derive(Debug)]
pub(crate) struct Runner {
    /// Names this server in the executions that it claimed.
    id: Uuid,
    work: RwLock<Arc<dyn Work>>,
    /// How many workers there are.
    busy: watch::Sender<usize>,
    /// What was told in transactions of others, to be published after them.
    untold: Mutex<Told>,
}

impl Default for Runner {
    fn default() -> Self {
        Self {
            id: Uuid::now_v7(),
            work: RwLock::new(Arc::new(Queries)),
            busy: watch::Sender::new(0),
            untold: Mutex::default(),
        }
    }
}

impl Runner {
    /// Returns what names this server.
    pub(super) fn id(&self) -> Uuid {
        self.id
    }

    /// Puts other work in the place of queries.
    #[cfg(test)]
    pub(super) fn set_work(&self, work: Arc<dyn Work>) {
        *self.work.write().unwrap_or_else(PoisonError::into_inner) = work;
    }

    /// Keeps what was told until it is published.
    pub(crate) fn tell_later(&self, told: Told) {
        self.untold.lock().unwrap_or_else(PoisonError::into_inner).extend(told);
    }

    /// Publishes what was told.
    pub(crate) async fn tell(&self, state: &AppState) -> Result<(), DbError> {
        let told = std::mem::take(&mut *self.untold.lock().unwrap_or_else(PoisonError::into_inner));
        told.publish(state).await
    }

    fn work(&self) -> Arc<dyn Work> {
        Arc::clone(&self.work.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Waits until nothing is worked on.
    pub(crate) async fn settled(&self) {
        // It only fails when this runner is gone, which it is not.
        let _ = self.busy.subscribe().wait_for(|busy| *busy == 0).await;
    }

    /// Lets what is under way finish for a while; what does not is left for other servers to try again.
    pub(crate) async fn finish(&self, state: &AppState, wait: Duration) -> Result<(), ApiError> {
        if tokio::time::timeout(wait, self.settled()).await.is_err() {
            outcome::give_up(state, self.id).await?;
        }
        Ok(())
    }

    /// Takes one of the places for workers, if one is free.
    fn enter(&self) -> bool {
        self.busy.send_if_modified(|busy| {
            let is_free = *busy < AT_ONCE;
            *busy += usize::from(is_free);
            is_free
        })
    }
}

/// A worker's place, given back whatever happens.
struct Place(AppState);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.runner().busy.send_modify(|busy| *busy -= 1);
    }
}

/// An execution that was claimed.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    pub(crate) id: Uuid,
    pub(crate) task: Task,
    pub(crate) run: Uuid,
    pub(crate) connection: Option<i64>,
    pub(crate) attempt: i64,
    /// Whether nobody asked for the run.
    pub(crate) is_by_schedule: bool,
    pub(crate) started_at: DateTime<Utc>,
}

/// Starts workers for what is queued; each goes on until nothing is.
pub(crate) fn take_up(state: &AppState) {
    while state.runner().enter() {
        let place = Place(state.clone());
        let state = state.clone();
        tokio::spawn(async move {
            let _place = place;
            if let Err(error) = work_off(&state).await {
                tracing::warn!(?error, "scheduled executions could not be worked on");
            }
        });
    }
}

async fn work_off(state: &AppState) -> Result<(), ApiError> {
    while !state.is_stopping()
        && let Some(job) = claim(state).await?
    {
        execute(state, &job).await?;
    }
    Ok(())
}

/// Claims the most urgent execution that may run now.
async fn claim(state: &AppState) -> Result<Option<Job>, DbError> {
    let now = state.clock().now();
    let query = Query::select()
        .columns(
            ["id", "scheduled_task", "run_id", "apic_connection_id", "retry_attempt", "triggered_by"].map(Alias::new),
        )
        .from(Alias::new(EXECUTION.table))
        .and_where(column("status").eq("pending"))
        .and_where(column("ready_at").lte(now))
        .order_by(Alias::new("urgency"), Order::Asc)
        .order_by(Alias::new("ready_at"), Order::Asc)
        .order_by(Alias::new("id"), Order::Asc)
        .limit(LOOKED_AT)
        .take();
    let queued = state.db().all::<(Uuid, i64, Uuid, Option<i64>, i64, String)>(&query).await?;
    for (id, task, run, connection, attempt, triggered_by) in queued {
        let claim = update(id)
            .value(Alias::new("status"), "running")
            .value(Alias::new("started_at"), now)
            .value(Alias::new("worker"), state.runner().id)
            .value(Alias::new("lease_until"), now + LEASE)
            .and_where(column("status").eq("pending"))
            .take();
        if state.db().run(&claim).await? == 0 {
            continue;
        }
        let rows = state.db().rows(&Task::query(task)).await?;
        if let Some(row) = rows.first() {
            let task = Task(super::task::TASK.record(row)?);
            let is_by_schedule = triggered_by == BY_SCHEDULE;
            return Ok(Some(Job { id, task, run, connection, attempt, is_by_schedule, started_at: now }));
        }
    }
    Ok(None)
}

/// Does one execution and writes down what came of it.
async fn execute(state: &AppState, job: &Job) -> Result<(), ApiError> {
    let work = state.runner().work();
    let result = tokio::select! {
        result = tokio::time::timeout(LONGEST.to_std().unwrap_or_default(), work.run(state, job)) => {
            result.unwrap_or_else(|_| Err(outcome::took_too_long()))
        }
        lost = renew(state, job.id) => {
            tracing::warn!(execution = %job.id, error = ?lost.err(), "a scheduled execution was taken away");
            return Ok(());
        }
    };
    outcome::end(state, job, result).await
}

/// Says again and again that the work goes on; ends where the execution is not ours any more.
async fn renew(state: &AppState, id: Uuid) -> Result<(), DbError> {
    loop {
        tokio::time::sleep(HEARTBEAT).await;
        let renewal = update(id)
            .value(Alias::new("lease_until"), state.clock().now() + LEASE)
            .and_where(column("worker").eq(state.runner().id))
            .and_where(column("status").eq("running"))
            .take();
        match state.db().run(&renewal).await {
            Ok(0) => return Ok(()),
            Ok(_) => {}
            // The lease outlasts some failures; whoever finds it ended decides.
            Err(error) => tracing::warn!(execution = %id, %error, "a lease could not be renewed"),
        }
    }
}
