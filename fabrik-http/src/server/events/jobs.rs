//! Jobs that are watched: whose they are, and how they stand.
//!
//! The last frame is kept in the database, so that it is there for a client that comes late, on whichever server, and
//! after the job is over.

use chrono::{DateTime, TimeDelta, Utc};
use sea_query::{Alias, Expr, ExprTrait, Query};
use uuid::Uuid;

use super::{Channel, Heard};
use crate::server::error::ApiError;
use crate::server::state::AppState;

const TABLE: &str = "job_channel";
/// How long a job can be looked at after its last frame.
const MEMORY: TimeDelta = TimeDelta::days(7);

/// How a job stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct JobState {
    pub(crate) owner_id: i64,
    /// How many frames there were.
    pub(crate) frames: i64,
    pub(crate) last_frame: Option<String>,
    pub(crate) is_finished: bool,
}

/// Opens the channel of a job and returns its id.
pub(crate) async fn open_job(state: &AppState, owner_id: i64) -> Result<Uuid, ApiError> {
    let id = Uuid::now_v7();
    let insert = Query::insert()
        .into_table(Alias::new(TABLE))
        .columns(["id", "owner_id", "touched_at"].map(Alias::new))
        .values_panic([id.into(), owner_id.into(), state.clock().now().into()])
        .take();
    state.db().run(&insert).await?;
    Ok(id)
}

/// Says that the job is over: its last frame stays, and its listeners are let go.
pub(crate) async fn close_job(state: &AppState, id: Uuid) -> Result<(), ApiError> {
    let now = state.clock().now();
    let update = Query::update()
        .table(Alias::new(TABLE))
        .values(
            [("finished_at", now.into()), ("touched_at", now.into())]
                .map(|(name, value): (_, Expr)| (Alias::new(name), value)),
        )
        .and_where(is(id))
        .and_where(Expr::col(Alias::new("finished_at")).is_null())
        .take();
    if state.db().run(&update).await? > 0 {
        state.events().spread(state, &Channel::Job(id), Heard::End).await;
    }
    Ok(())
}

/// Returns how a job stands.
pub(crate) async fn job_state(state: &AppState, id: Uuid) -> Result<Option<JobState>, ApiError> {
    let query = Query::select()
        .columns(["owner_id", "frames", "last_frame", "finished_at"].map(Alias::new))
        .from(Alias::new(TABLE))
        .and_where(is(id))
        .take();
    let row = state.db().first::<(i64, i64, Option<String>, Option<DateTime<Utc>>)>(&query).await?;
    Ok(row.map(|(owner_id, frames, last_frame, finished_at)| JobState {
        owner_id,
        frames,
        last_frame,
        is_finished: finished_at.is_some(),
    }))
}

/// Keeps a frame as the last one and returns its number, unless there is no such job or it is over.
pub(super) async fn keep(state: &AppState, id: Uuid, text: &str) -> Result<Option<i64>, ApiError> {
    let update = Query::update()
        .table(Alias::new(TABLE))
        .value(Alias::new("frames"), Expr::col(Alias::new("frames")).add(1))
        .value(Alias::new("last_frame"), text)
        .value(Alias::new("touched_at"), state.clock().now())
        .and_where(is(id))
        .and_where(Expr::col(Alias::new("finished_at")).is_null())
        .returning_col(Alias::new("frames"))
        .take();
    Ok(state.db().all::<(i64,)>(&update).await?.pop().map(|(number,)| number))
}

/// Forgets jobs of long ago.
pub(super) async fn purge(state: &AppState) -> Result<(), ApiError> {
    let over = Expr::col(Alias::new("touched_at")).lt(state.clock().now() - MEMORY);
    state.db().run(&Query::delete().from_table(Alias::new(TABLE)).and_where(over).take()).await?;
    Ok(())
}

fn is(id: Uuid) -> Expr {
    Expr::col(Alias::new("id")).eq(id)
}
