//! The socket of a user's notifications.

use axum::extract::State;
use serde_json::json;

use crate::server::caller::Caller;
use crate::server::error::ApiError;
use crate::server::events::{Channel, Heard, frame};
use crate::server::notifications::{count_unread, mark_read, recent};
use crate::server::registry::{Access, Registry, Route};
use crate::server::socket::{Answer, ClientMessage, Handshake, Topic, Upgraded};
use crate::server::state::AppState;

/// How many notifications are listed unless told, and at most; as over HTTP.
const RECENT: (i64, i64) = (10, 200);

pub(super) fn declare(registry: &mut Registry) {
    registry.add(
        Route::get("/ws/notifications/", "ws_notifications", Access::Public, follow)
            .about("Follows the caller's notifications. Messages: `ping`, `mark_read` {notification_id}, `get_recent` {limit}.")
            .exempt(),
    );
}

async fn follow(State(state): State<AppState>, handshake: Handshake) -> Result<Upgraded, ApiError> {
    handshake.accept(state, Inbox)
}

/// The notifications of whoever comes.
struct Inbox;

impl Topic for Inbox {
    fn channel(&self, caller: &Caller) -> Channel {
        Channel::Notifications(caller.id())
    }

    async fn is_open_to(&self, _: &AppState, _: &Caller) -> Result<bool, ApiError> {
        Ok(true)
    }

    async fn news(&self, state: &AppState, caller: &Caller) -> Result<Vec<Heard>, ApiError> {
        let count = count_unread(state, caller.id()).await?;
        let text = frame(state, "notification_count", &json!({ "count": count }));
        Ok(vec![Heard::Frame { number: 0, text }])
    }

    async fn answer(&self, state: &AppState, caller: &Caller, message: &ClientMessage) -> Result<Answer, ApiError> {
        match message.kind() {
            "mark_read" => {
                let Some(id) = message.number("notification_id") else {
                    return Ok(Answer::Error("notification_id: A valid integer is required.".into()));
                };
                // What was read is told to all sockets of the user, this one among them.
                let is_there = mark_read(state, caller.id(), id).await?;
                Ok(if is_there { Answer::Nothing } else { Answer::Error("There is no such notification.".into()) })
            }
            "get_recent" => {
                let limit = message.number("limit").unwrap_or(RECENT.0).clamp(1, RECENT.1).unsigned_abs();
                let data = json!({ "notifications": recent(state, caller.id(), limit).await? });
                Ok(Answer::Frame(frame(state, "recent_notifications", &data)))
            }
            _ => Ok(Answer::unknown(message)),
        }
    }
}
