//! WebSockets, and the tickets that open them.

mod notifications;

use axum::extract::State;
use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

use crate::server::caller::Caller;
use crate::server::error::ApiError;
use crate::server::events::{Channel, Heard, job_state};
use crate::server::extract::{Json, Path};
use crate::server::registry::{Access, Registry, Route};
use crate::server::socket::{Answer, ClientMessage, Handshake, Topic, Upgraded};
use crate::server::state::AppState;
use crate::server::tickets;

pub(super) fn declare(registry: &mut Registry) {
    registry.add(
        Route::post("/api/ws-ticket/", "ws_ticket", Access::Login, ticket)
            .about("Gives a ticket that opens one WebSocket, once and soon."),
    );
    notifications::declare(registry);
    // Public, as the ticket says who comes; and without the rate of callers who are not logged in, which all behind one
    // address share. The zone holds.
    registry.add(
        Route::get("/ws/chain-execution/{job_id}/", "ws_chain_execution", Access::Public, follow_job)
            .about("Follows a job: its last frame first, then those to come. For its owner and administrators.")
            .exempt(),
    );
}

/// What opens a WebSocket.
#[derive(Serialize, JsonSchema)]
struct WsTicket {
    /// To be sent as `?ticket=`.
    ticket: String,
    /// How many seconds it lasts.
    expires_in: i64,
    /// The same.
    ttl: i64,
}

async fn ticket(State(state): State<AppState>, caller: Caller) -> Result<Json<WsTicket>, ApiError> {
    let ticket = tickets::issue(&state, &caller).await?;
    let seconds = tickets::LIFE.num_seconds();
    Ok(Json(WsTicket { ticket, expires_in: seconds, ttl: seconds }))
}

/// A job.
struct Job(Uuid);

impl Topic for Job {
    fn channel(&self, _: &Caller) -> Channel {
        Channel::Job(self.0)
    }

    async fn is_open_to(&self, state: &AppState, caller: &Caller) -> Result<bool, ApiError> {
        let job = job_state(state, self.0).await?;
        Ok(job.is_some_and(|job| caller.is_admin() || job.owner_id == caller.id()))
    }

    async fn news(&self, state: &AppState, _: &Caller) -> Result<Vec<Heard>, ApiError> {
        let Some(job) = job_state(state, self.0).await? else { return Ok(vec![Heard::End]) };
        let last = job.last_frame.map(|text| Heard::Frame { number: job.frames, text });
        Ok(last.into_iter().chain(job.is_finished.then_some(Heard::End)).collect())
    }

    async fn answer(&self, _: &AppState, _: &Caller, message: &ClientMessage) -> Result<Answer, ApiError> {
        Ok(Answer::unknown(message))
    }
}

async fn follow_job(
    State(state): State<AppState>,
    Path(id): Path<Uuid>,
    handshake: Handshake,
) -> Result<Upgraded, ApiError> {
    handshake.accept(state, Job(id))
}
