//! Websockets that tell a session what changes.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::http::request::Parts;
use axum::response::Response;
use percent_encoding::percent_decode_str;
use tokio::sync::mpsc;

use super::error::ApicError;
use super::render::Format;
use super::reply::Reply;
use super::state::State;

/// What the path of a websocket begins with; the token follows without a slash.
pub(super) const PREFIX: &str = "/socket";

/// Opens a websocket, if its path ends in a good token.
pub(super) async fn open(state: Arc<State>, mut parts: Parts) -> Response {
    let path = parts.uri.path().to_owned();
    let token = path.strip_prefix(PREFIX).unwrap_or_default();
    let decoded = percent_decode_str(token).decode_utf8_lossy();
    let now = state.now();
    let session = {
        let sessions = state.sessions();
        sessions.find(token, now).or_else(|| sessions.find(&decoded, now))
    };
    let Some(session) = session else {
        let error = ApicError::new(403, 403, "Token was invalid (Error: Token timeout)");
        return Reply::error(&error, Format::Json).into_response();
    };
    match WebSocketUpgrade::from_request_parts(&mut parts, &()).await {
        Ok(upgrade) => {
            let (serial, frames) = state.subscriptions().connect(&session.id);
            upgrade.on_upgrade(move |socket| async move {
                relay(socket, frames).await;
                state.subscriptions().disconnect(serial);
            })
        }
        Err(_) => Reply::html(400).into_response(),
    }
}

/// Sends frames until the client leaves or the session is over.
async fn relay(mut socket: WebSocket, mut frames: mpsc::Receiver<String>) {
    loop {
        tokio::select! {
            frame = frames.recv() => match frame {
                Some(frame) => {
                    if socket.send(Message::Text(frame.into())).await.is_err() {
                        return;
                    }
                }
                None => {
                    let _ = socket.send(Message::Close(None)).await;
                    return;
                }
            },
            message = socket.recv() => match message {
                Some(Ok(Message::Close(_)) | Err(_)) | None => return,
                Some(Ok(_)) => {}
            },
        }
    }
}
