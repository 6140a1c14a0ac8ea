//! WebSockets: the handshake with its ticket, and the talk on one connection.
//!
//! A socket ends when its client may no longer listen (4001, 4403), when what it listens to is over (1000) and when the
//! server stops (1001). A client that is too slow loses frames and is told so; one that does not answer is let go.

use std::borrow::Cow;
use std::sync::LazyLock;
use std::time::Duration;

use axum::extract::FromRequestParts;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code};
use axum::http::header;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};

use super::caller::{self, Caller};
use super::describe::{Describe, Operation};
use super::error::{ApiError, chain};
use super::events::{Channel, Heard, frame};
use super::peer::Peer;
use super::state::AppState;
use super::throttle::{Bucket, Scope};
use super::tickets;

/// How long a message of a client may be; all that there are are short.
const LONGEST: usize = 16 * 1024;
/// How long a client may take to take a frame, and to answer a goodbye.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long nothing but pings may pass.
const IDLE: Duration = Duration::from_secs(24 * 3600);
/// How many sockets look at the same time whether their client may still listen.
static LOOKING: LazyLock<Semaphore> = LazyLock::new(|| Semaphore::new(4));

/// What a socket is about.
pub(crate) trait Topic: Send + Sync + 'static {
    /// Returns what is listened to.
    fn channel(&self, caller: &Caller) -> Channel;

    /// Returns whether the caller may listen.
    fn is_open_to(&self, state: &AppState, caller: &Caller) -> impl Future<Output = Result<bool, ApiError>> + Send;

    /// Returns what a client has to know that has just come, or may have missed something.
    fn news(&self, state: &AppState, caller: &Caller) -> impl Future<Output = Result<Vec<Heard>, ApiError>> + Send;

    /// Answers a message with a frame, or says that there is no such message.
    fn answer(
        &self,
        state: &AppState,
        caller: &Caller,
        message: &ClientMessage,
    ) -> impl Future<Output = Result<Answer, ApiError>> + Send;
}

/// What a client said: `{"type": …, "data": {…}}`, or the fields beside the type.
#[derive(Debug)]
pub(crate) struct ClientMessage(Value);

impl ClientMessage {
    fn read(text: &str) -> Option<Self> {
        let value: Value = serde_json::from_str(text).ok()?;
        value["type"].is_string().then_some(Self(value))
    }

    /// Returns what it is.
    pub(crate) fn kind(&self) -> &str {
        self.0["type"].as_str().unwrap_or_default()
    }

    /// Returns a number of it.
    pub(crate) fn number(&self, name: &str) -> Option<i64> {
        self.0["data"].get(name).or_else(|| self.0.get(name))?.as_i64()
    }
}

/// What comes back for a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// A frame.
    Frame(String),
    /// Nothing: what was done is heard as an event.
    Nothing,
    /// The message makes no sense, for this reason.
    Error(Cow<'static, str>),
}

impl Answer {
    /// Says that there is no such message.
    pub(crate) fn unknown(message: &ClientMessage) -> Self {
        let kind: String = message.kind().chars().take(50).collect();
        Self::Error(format!("There is no message {kind:?} here.").into())
    }
}

/// A handshake that is allowed from where it came; whether its ticket is good shows when it is accepted.
#[derive(Debug)]
pub(crate) struct Handshake {
    upgrade: WebSocketUpgrade,
    ticket: Option<String>,
    peer: Peer,
}

impl FromRequestParts<AppState> for Handshake {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, ApiError> {
        let Ok(peer) = Peer::from_request_parts(parts, state).await;
        // Other than with requests, a browser asks nobody whether a page of another origin may open a socket here.
        if let Some(origin) = parts.headers.get(header::ORIGIN) {
            let origin = origin.to_str().unwrap_or_default();
            let others = &state.settings().cors_origins;
            if !origin.eq_ignore_ascii_case(peer.origin()) && !others.iter().any(|other| other == origin) {
                return Err(ApiError::Refused("WebSockets are not open to pages of this origin.".into()));
            }
        }
        let upgrade = WebSocketUpgrade::from_request_parts(parts, state)
            .await
            .map_err(|_| ApiError::BadRequest("This address is for WebSockets.".into()))?;
        let query = parts.uri.query().unwrap_or_default();
        let ticket = url::form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "ticket");
        Ok(Self { upgrade, ticket: ticket.map(|(_, ticket)| ticket.into_owned()), peer })
    }
}

impl Describe for Handshake {
    fn describe(operation: &mut Operation<'_>) {
        operation.parameter(json!({
            "name": "ticket", "in": "query", "required": false, "schema": { "type": "string" },
            "description": "a ticket of `/api/ws-ticket/`; without a good one the socket is closed with 4001",
        }));
        operation.error(400);
        operation.error(403);
        operation.error(503);
    }
}

/// The answer to a handshake.
#[derive(Debug)]
pub(crate) struct Upgraded(Response);

impl IntoResponse for Upgraded {
    fn into_response(self) -> Response {
        self.0
    }
}

impl Describe for Upgraded {
    fn describe(operation: &mut Operation<'_>) {
        let about = "The socket is open; frames are `{\"type\", \"timestamp\", \"data\"}`. It is closed with 4001 where \
                     there is no good ticket, and with 4403 where the caller may not listen.";
        operation.response(101, json!({ "description": about }));
    }
}

impl Handshake {
    /// Accepts the connection and talks about a topic with whoever the ticket stands for.
    pub(crate) fn accept(self, state: AppState, topic: impl Topic) -> Result<Upgraded, ApiError> {
        let Self { upgrade, ticket, peer } = self;
        let Some(place) = state.events().enter().filter(|_| !state.is_stopping()) else {
            return Err(ApiError::Unavailable {
                status: axum::http::StatusCode::SERVICE_UNAVAILABLE,
                detail: "There is no place for another WebSocket.".into(),
                error: "too_many_sockets",
            });
        };
        // Small buffers: most sockets are idle, and there may be many.
        let upgrade = upgrade.read_buffer_size(4096).write_buffer_size(0).max_write_buffer_size(8 << 20);
        let upgrade = upgrade.max_message_size(LONGEST).max_frame_size(LONGEST);
        Ok(Upgraded(upgrade.on_upgrade(async move |mut socket| {
            let goodbye = match greet(&state, ticket, &peer).await {
                Ok(Some(caller)) => Talk { state: &state, caller, topic, sent: 0 }.run(&mut socket).await,
                Ok(None) => Some(Goodbye::NO_TICKET),
                Err(error) => Some(Goodbye::failed(error)),
            };
            if let Some(goodbye) = goodbye {
                // It may be gone, which is what was wanted.
                let _ = timeout(PATIENCE, goodbye.say(&mut socket)).await;
            }
            drop(place);
        })))
    }
}

async fn greet(state: &AppState, ticket: Option<String>, peer: &Peer) -> Result<Option<Caller>, ApiError> {
    match ticket {
        Some(ticket) => tickets::redeem(state, &ticket, peer).await,
        None => Ok(None),
    }
}

/// Why a socket is closed, as its client is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Goodbye(u16, &'static str);

impl Goodbye {
    const NO_TICKET: Self = Self(4001, "a ticket is needed");
    const LOGGED_OUT: Self = Self(4001, "the session has ended");
    const NOT_YOURS: Self = Self(4403, "not allowed");
    const OVER: Self = Self(close_code::NORMAL, "over");
    const IDLE: Self = Self(close_code::NORMAL, "idle");
    const STOPPING: Self = Self(close_code::AWAY, "the server stops");
    const FAILED: Self = Self(close_code::ERROR, "the server failed");

    fn failed(error: ApiError) -> Self {
        log(error);
        Self::FAILED
    }

    /// Says it, and waits for the client to say it, too: what is closed at once may not arrive.
    async fn say(self, socket: &mut WebSocket) {
        let Self(code, reason) = self;
        if socket.send(Message::Close(Some(CloseFrame { code, reason: reason.into() }))).await.is_ok() {
            while let Some(Ok(_)) = socket.recv().await {}
        }
    }
}

fn log(error: ApiError) {
    let error = match error {
        ApiError::Internal(error) => chain(&*error),
        other => format!("{other:?}"),
    };
    tracing::error!(error, "a socket failed");
}

/// The talk on one connection.
struct Talk<'a, T> {
    state: &'a AppState,
    caller: Caller,
    topic: T,
    /// The number of the last frame that went out.
    sent: i64,
}

/// How a step of the talk ends that is the last one: with a word, or because the client is gone.
type Last = Option<Goodbye>;

impl<T: Topic> Talk<'_, T> {
    async fn run(mut self, socket: &mut WebSocket) -> Last {
        match self.talk(socket).await {
            Ok(never) => match never {},
            Err(last) => last,
        }
    }

    async fn talk(&mut self, socket: &mut WebSocket) -> Result<std::convert::Infallible, Last> {
        let (state, settings) = (self.state, self.state.settings());
        // Listening begins before looking, so that nothing falls between.
        let mut changes = state.callers().changes();
        let mut gaps = state.events().gaps();
        let mut events = state.events().listen(self.topic.channel(&self.caller));
        self.look(false).await?;
        self.catch_up(socket).await?;
        let mut pings = interval_at(Instant::now() + settings.socket_ping, settings.socket_ping);
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut unanswered, mut last_word) = (0, Instant::now());
        let stopped = state.stopped();
        tokio::pin!(stopped);
        loop {
            tokio::select! {
                () = &mut stopped => return Err(Some(Goodbye::STOPPING)),
                Ok(()) = changes.changed() => self.look(true).await?,
                Ok(()) = gaps.changed() => self.catch_up(socket).await?,
                event = events.recv() => {
                    last_word = Instant::now();
                    match event {
                        Ok(heard) => self.pass(socket, heard).await?,
                        Err(RecvError::Lagged(missed)) => {
                            let text = frame(state, "lagged", &json!({ "missed": missed }));
                            send(socket, Message::Text(text.into())).await?;
                        }
                        Err(RecvError::Closed) => return Err(Some(Goodbye::OVER)),
                    }
                }
                message = socket.recv() => match message {
                    Some(Ok(Message::Text(text))) => {
                        (unanswered, last_word) = (0, Instant::now());
                        if let Some(answer) = self.answer(&text).await {
                            send(socket, Message::Text(answer.into())).await?;
                        }
                    }
                    Some(Ok(Message::Binary(_))) => {
                        let text = self.complain("Messages are text.");
                        send(socket, Message::Text(text.into())).await?;
                    }
                    Some(Ok(Message::Ping(_) | Message::Pong(_))) => unanswered = 0,
                    Some(Ok(Message::Close(_)) | Err(_)) | None => return Err(None),
                },
                _ = pings.tick() => {
                    if unanswered >= 2 {
                        return Err(None);
                    }
                    if last_word.elapsed() >= IDLE {
                        return Err(Some(Goodbye::IDLE));
                    }
                    unanswered += 1;
                    send(socket, Message::Ping(axum::body::Bytes::new())).await?;
                    // Sessions that run out, or are ended by a command, are told by nobody.
                    self.look(true).await?;
                }
            }
        }
    }

    /// Looks whether the client may listen.
    async fn look(&mut self, again: bool) -> Result<(), Last> {
        let _turn = LOOKING.acquire().await;
        if again {
            let caller = &self.caller;
            match caller::resume(self.state, caller.id(), caller.credential(), caller.peer()).await {
                Ok(Some(caller)) => self.caller = caller,
                Ok(None) => return Err(Some(Goodbye::LOGGED_OUT)),
                // The database will be back, and nobody was seen to be logged out.
                Err(error) => {
                    return {
                        log(error);
                        Ok(())
                    };
                }
            }
        }
        match self.topic.is_open_to(self.state, &self.caller).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(Some(Goodbye::NOT_YOURS)),
            Err(error) if again => {
                log(error);
                Ok(())
            }
            Err(error) => Err(Some(Goodbye::failed(error))),
        }
    }

    /// Tells a client what it has to know that has just come, or may have missed something.
    async fn catch_up(&mut self, socket: &mut WebSocket) -> Result<(), Last> {
        let news = self.topic.news(self.state, &self.caller).await.map_err(|error| Some(Goodbye::failed(error)))?;
        for heard in news {
            self.pass(socket, heard).await?;
        }
        Ok(())
    }

    /// Passes on what was heard, once.
    async fn pass(&mut self, socket: &mut WebSocket, heard: Heard) -> Result<(), Last> {
        match heard {
            Heard::End => Err(Some(Goodbye::OVER)),
            Heard::Frame { number, .. } if number > 0 && number <= self.sent => Ok(()),
            Heard::Frame { number, text } => {
                self.sent = self.sent.max(number);
                send(socket, Message::Text(text.into())).await
            }
        }
    }

    /// Returns the frame that answers a message, if one does.
    async fn answer(&self, text: &str) -> Option<String> {
        let bucket = Bucket::User(self.caller.id());
        if self.state.throttles().take(self.state.db(), Scope::User, bucket).await.is_err() {
            return Some(self.complain("Too many messages."));
        }
        let Some(message) = ClientMessage::read(text) else {
            return Some(self.complain("A message is a JSON object with a type."));
        };
        if message.kind() == "ping" {
            return Some(frame(self.state, "pong", &json!({})));
        }
        Some(match self.topic.answer(self.state, &self.caller, &message).await {
            Ok(Answer::Frame(text)) => text,
            Ok(Answer::Nothing) => return None,
            Ok(Answer::Error(sentence)) => self.complain(&sentence),
            Err(error) => {
                log(error);
                self.complain("The server failed.")
            }
        })
    }

    fn complain(&self, sentence: &str) -> String {
        frame(self.state, "error", &json!({ "detail": sentence }))
    }
}

/// Sends a message to a client that takes it in time.
async fn send(socket: &mut WebSocket, message: Message) -> Result<(), Last> {
    match timeout(PATIENCE, socket.send(message)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) | Err(_) => Err(None),
    }
}
