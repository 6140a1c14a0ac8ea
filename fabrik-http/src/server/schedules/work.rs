//! What an execution does: it runs the saved query as the owner of the task, and captures what it finds.

use std::fmt;

use futures_util::future::BoxFuture;
use serde_json::Value;
use uuid::Uuid;

use super::execution::Failure;
use super::runner::Job;
use super::system;
use crate::server::caller::{self, Caller};
use crate::server::error::{ApiError, chain};
use crate::server::notifications::Notice;
use crate::server::state::AppState;

/// What is done with an execution; tests put something of their own in its place.
pub(crate) trait Work: fmt::Debug + Send + Sync {
    /// Does it. Dropped where the server loses the execution.
    fn run<'a>(&'a self, state: &'a AppState, job: &'a Job) -> BoxFuture<'a, Result<Done, Failure>>;
}

/// What an execution found.
#[derive(Clone, Debug, Default)]
pub(crate) struct Done {
    /// Where it ran, as far as it ran anywhere.
    pub(crate) connection: Option<(i64, String)>,
    pub(crate) rows: Option<i64>,
    pub(crate) snapshot: Option<Uuid>,
    /// An object that tells more.
    pub(crate) result: Value,
    /// What changed since the last capture, where it is worth telling.
    pub(crate) drift: Option<Notice>,
}

/// Runs saved queries, and the tasks of the server.
#[derive(Debug)]
pub(crate) struct Queries;

impl Work for Queries {
    fn run<'a>(&'a self, state: &'a AppState, job: &'a Job) -> BoxFuture<'a, Result<Done, Failure>> {
        Box::pin(async move {
            if job.task.flag("is_system_task") {
                return system::run(state, job).await;
            }
            let owner = owner(state, job).await?;
            super::asked::run(state, job, &owner).await
        })
    }
}

/// Returns the owner, with what the owner may do now: nobody's task runs for those who may no longer log in.
async fn owner(state: &AppState, job: &Job) -> Result<Caller, Failure> {
    let found = match job.task.owner() {
        Some(id) => caller::of_user(state, id).await.map_err(|error| failure(&error))?,
        None => None,
    };
    found.ok_or_else(|| Failure::lasting("owner_gone", "The owner of the task is gone or not active."))
}

/// Turns an error of the API into what an execution tells. What the server or a controller failed with may pass.
pub(super) fn failure(error: &ApiError) -> Failure {
    match error {
        ApiError::Invalid(errors) => Failure::lasting("invalid", errors.first_sentence()),
        ApiError::BadRequest(detail) => Failure::lasting("invalid", detail.to_string()),
        ApiError::Refused(detail) => Failure::lasting("forbidden", detail.to_string()),
        ApiError::Forbidden { .. } => Failure::lasting("forbidden", "The owner of the task may not do this any more."),
        ApiError::NotFound => {
            Failure::lasting("not_found", "What the task needs is gone, or its owner cannot see it any more.")
        }
        ApiError::Unavailable { detail, error, .. } => Failure::passing(error, detail.to_string()),
        ApiError::Internal(error) => {
            Failure { causes: chain(&**error), ..Failure::passing("internal", "The server failed.") }
        }
        other => Failure::passing("failed", format!("{other:?}")),
    }
}
