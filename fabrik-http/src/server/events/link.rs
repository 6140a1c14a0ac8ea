//! What servers on one PostgreSQL tell each other, by `NOTIFY`.
//!
//! A message is told once, to the servers that listen at the moment. So whoever begins to listen, again or for the first
//! time, takes it that something was missed: callers are looked up anew, and sockets of jobs read how their job stands.
//! On SQLite there is one server, and nothing to tell.

use std::convert::Infallible;
use std::time::Duration;

use chrono::TimeDelta;
use sea_query::{Alias, Expr, ExprTrait, Query};
use serde::{Deserialize, Serialize};
use sqlx::Executor;
use sqlx::postgres::{PgListener, PgPool, PgPoolOptions};
use tokio::time::{sleep, timeout};
use uuid::Uuid;

use super::{Channel, Heard};
use crate::server::db::{Database, DbError};
use crate::server::error::{ApiError, chain};
use crate::server::state::AppState;

const TABLE: &str = "server_message";
/// PostgreSQL takes payloads below 8000 bytes.
const LONGEST: usize = 7900;
/// How long a message that was too long is kept for those who were told of it.
const MEMORY: TimeDelta = TimeDelta::minutes(10);
/// How long connecting again waits at first and at most.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));
/// After so much silence the connection is asked whether it is there.
const SILENCE: Duration = Duration::from_secs(30);
/// How long an answer of the database may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// The name under which is told; each schema has its own.
const NAME: &str = "current_schema() || '_events'";

/// What is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Message {
    /// Who may do what has changed.
    Forget,
    /// An event.
    Heard(Channel, Heard),
    /// A message that was too long, by its id in the table.
    Kept(i64),
}

#[derive(Debug, Serialize, Deserialize)]
struct Envelope {
    from: Uuid,
    message: Message,
}

/// Tells the other servers.
pub(crate) async fn tell(state: &AppState, message: Message) {
    if let Database::Postgres(pool) = state.db()
        && let Err(error) = notify(state, pool, message).await
    {
        tracing::warn!(error = %chain(&error), "the other servers could not be told");
    }
}

async fn notify(state: &AppState, pool: &PgPool, message: Message) -> Result<(), DbError> {
    let written = |message| {
        let envelope = Envelope { from: state.events().server, message };
        serde_json::to_string(&envelope).expect("messages are plain JSON")
    };
    let mut body = written(message);
    if body.len() > LONGEST {
        let insert = Query::insert()
            .into_table(Alias::new(TABLE))
            .columns(["body", "sent_at"].map(Alias::new))
            .values_panic([body.into(), state.clock().now().into()])
            .returning_col(Alias::new("id"))
            .take();
        body = written(Message::Kept(state.db().number(&insert).await?));
    }
    sqlx::query(sqlx::AssertSqlSafe(format!("SELECT pg_notify({NAME}, $1)"))).bind(body).execute(pool).await?;
    Ok(())
}

/// Listens to the other servers and tells them of changes to callers, until the server stops.
pub(crate) async fn keep(state: AppState) {
    let Database::Postgres(pool) = state.db() else { return };
    tokio::select! {
        () = tell_changes(&state) => {}
        () = keep_listening(&state, pool) => {}
        () = state.stopped() => {}
    }
}

async fn tell_changes(state: &AppState) {
    loop {
        state.callers().changed_here().await;
        tell(state, Message::Forget).await;
    }
}

async fn keep_listening(state: &AppState, pool: &PgPool) {
    let mut pause = PAUSES.0;
    loop {
        let mut is_connected = false;
        let Err(error) = listen(state, pool, &mut is_connected).await;
        tracing::warn!(error = %chain(&error), "not listening to the other servers, trying again");
        pause = if is_connected { PAUSES.0 } else { (pause * 2).min(PAUSES.1) };
        sleep(pause).await;
    }
}

async fn listen(state: &AppState, pool: &PgPool, is_connected: &mut bool) -> Result<Infallible, DbError> {
    let (name,): (String,) = sqlx::query_as(sqlx::AssertSqlSafe(format!("SELECT {NAME}"))).fetch_one(pool).await?;
    // A connection of its own: the pool's have work to do, and come and go.
    let own = PgPoolOptions::new().max_connections(1).max_lifetime(None).idle_timeout(None);
    let own = own.acquire_timeout(PATIENCE).connect_with(pool.connect_options().as_ref().clone()).await?;
    let mut listener = PgListener::connect_with(&own).await?;
    listener.eager_reconnect(false);
    listener.listen(&name).await?;
    *is_connected = true;
    state.callers().forget_here();
    state.events().gaps.send_modify(|gaps| *gaps += 1);
    loop {
        match timeout(SILENCE, listener.try_recv()).await {
            Ok(Ok(Some(told))) => take(state, told.payload()).await?,
            Ok(Ok(None)) => return Err(sqlx::Error::PoolClosed.into()),
            Ok(Err(error)) => return Err(error.into()),
            // A connection that a firewall forgot looks like silence.
            Err(_) => {
                timeout(PATIENCE, listener.execute("SELECT 1")).await.map_err(|_| sqlx::Error::PoolTimedOut)??;
            }
        }
    }
}

/// Does what another server said. What it does not understand is of a newer version, and passed over.
async fn take(state: &AppState, body: &str) -> Result<(), DbError> {
    let Some(mut message) = read(state, body) else { return Ok(()) };
    if let Message::Kept(id) = message {
        let query = Query::select()
            .column(Alias::new("body"))
            .from(Alias::new(TABLE))
            .and_where(Expr::col(Alias::new("id")).eq(id))
            .take();
        let Some((body,)) = state.db().first::<(String,)>(&query).await? else { return Ok(()) };
        let Some(kept) = read(state, &body) else { return Ok(()) };
        message = kept;
    }
    match message {
        Message::Forget => state.callers().forget_here(),
        Message::Heard(channel, heard) => state.events().hear(&channel, heard),
        Message::Kept(_) => {}
    }
    Ok(())
}

/// Reads what another server said; nobody listens to themselves.
fn read(state: &AppState, body: &str) -> Option<Message> {
    let envelope: Envelope = serde_json::from_str(body).ok()?;
    (envelope.from != state.events().server).then_some(envelope.message)
}

/// Forgets long messages that everybody has read.
pub(super) async fn purge(state: &AppState) -> Result<(), ApiError> {
    let over = Expr::col(Alias::new("sent_at")).lt(state.clock().now() - MEMORY);
    state.db().run(&Query::delete().from_table(Alias::new(TABLE)).and_where(over).take()).await?;
    Ok(())
}
