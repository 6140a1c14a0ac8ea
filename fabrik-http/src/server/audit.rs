//! The audit log: who did what, appended in the transaction of what was done, each row chained to the one before.
//!
//! A row's `content_hash` covers what it says; its `hash` covers the hash of the row before, its own place and the
//! content's hash. Who changes, removes or inserts a row breaks the chain there. Retention forgets what a row says and
//! keeps its hashes, so the chain stays whole; what it forgot and dropped it says in rows of its own, so that nobody
//! else can do the same unseen.

mod category;
mod content;
mod report;
mod retention;
mod row;
mod settings;
#[cfg(test)]
mod tests;
mod verify;

use chrono::{DateTime, Utc};
use sea_query::{Alias, Expr, ExprTrait, OnConflict, Query};
use serde_json::{Value, json};
use uuid::Uuid;

use super::caller::Caller;
use super::db::{Database, DbError, Transaction};
use super::peer::Peer;
use super::state::AppState;
use row::{Link, Row, Said};

pub(crate) use category::{Category, with_categories};
pub(crate) use content::unpack;
pub use report::{AuditDamage, AuditDamageKind, AuditHead, AuditHeadError, AuditReport};
pub(crate) use retention::clean_up;
pub use verify::{verify_audit, verify_audit_at};

const LOG: &str = "audit_log";
const CHAIN: &str = "audit_chain";
/// The id of the one row of the chain's table.
const ONLY: i64 = 1;

/// The table of the log's settings; its one row has the id 1.
pub(crate) const SETTINGS: &str = "audit_settings";
/// The action of changes to the log's settings.
pub(crate) const SETTINGS_UPDATED: &str = "audit_settings_updated";
/// The action by which retention says what it forgets.
const FORGOTTEN: &str = "audit_logs_forgotten";
/// The action by which retention says where the log begins now.
const DROPPED: &str = "audit_logs_dropped";

/// Who did what is told.
#[derive(Clone, Debug, Default)]
pub(crate) struct Actor {
    user_id: Option<i64>,
    username: String,
    ip_address: String,
    user_agent: String,
}

impl Actor {
    /// Returns the caller of a request.
    pub(crate) fn of(caller: &Caller) -> Self {
        Self { user_id: Some(caller.id()), ..Self::named(caller.username(), caller.peer()) }
    }

    /// Returns somebody who says what their name is and has not proved it.
    pub(crate) fn named(username: &str, peer: &Peer) -> Self {
        Self {
            user_id: None,
            username: username.chars().take(150).collect(),
            ip_address: peer.ip.to_string(),
            user_agent: peer.user_agent.clone(),
        }
    }

    /// Returns a user who proved who they are, before there is a session.
    pub(crate) fn user(id: i64, username: &str, peer: &Peer) -> Self {
        Self { user_id: Some(id), ..Self::named(username, peer) }
    }

    /// Returns the server itself.
    pub(crate) fn server() -> Self {
        Self { username: "system".to_owned(), ..Self::default() }
    }
}

/// What is to be told.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    category: Category,
    action: &'static str,
    resource_type: &'static str,
    resource_id: String,
    resource_name: String,
    description: String,
    metadata: Value,
    content: Option<Vec<u8>>,
    error_message: String,
}

impl Entry {
    /// Tells of an action that was done.
    pub(crate) fn new(category: Category, action: &'static str, description: impl Into<String>) -> Self {
        Self {
            category,
            action,
            resource_type: "",
            resource_id: String::new(),
            resource_name: String::new(),
            description: description.into(),
            metadata: json!({}),
            content: None,
            error_message: String::new(),
        }
    }

    /// Names what it was done to.
    #[expect(clippy::needless_pass_by_value, reason = "numbers and UUIDs are handed over as they are")]
    pub(crate) fn on(mut self, kind: &'static str, id: impl ToString, name: impl Into<String>) -> Self {
        self.resource_type = kind;
        self.resource_id = id.to_string();
        self.resource_name = name.into();
        self
    }

    /// Adds details: an object without secrets.
    pub(crate) fn with(mut self, metadata: Value) -> Self {
        self.metadata = metadata;
        self
    }

    /// Adds text to show for it, without secrets; what is longer than the log's settings allow is cut.
    #[cfg_attr(not(test), expect(dead_code, reason = "queries and captures show their answers"))]
    pub(crate) fn content(mut self, content: impl Into<Vec<u8>>) -> Self {
        self.content = Some(content.into());
        self
    }

    /// Says that it was tried and why it failed.
    pub(crate) fn failed(mut self, why: impl Into<String>) -> Self {
        self.error_message = why.into();
        self
    }

    /// Appends it to the log. To be called last in a transaction: until its end nobody else can append.
    pub(crate) async fn append(
        self,
        transaction: &mut Transaction,
        state: &AppState,
        actor: &Actor,
    ) -> Result<(), DbError> {
        self.append_at(transaction, actor, state.clock().now()).await
    }

    async fn append_at(
        mut self,
        transaction: &mut Transaction,
        actor: &Actor,
        timestamp: DateTime<Utc>,
    ) -> Result<(), DbError> {
        let kept = settings::of_category(transaction, self.category).await?;
        if !kept.is_enabled && !self.is_always_kept() {
            return Ok(());
        }
        let category = self.category.name().to_owned();
        let content = self.content.take();
        let mut said = self.said_by(actor);
        if let Some(content) = content {
            // Compressing takes a moment, which other requests need not wait for.
            let packing = tokio::task::spawn_blocking(move || {
                content::pack(content, kept.content, &mut said);
                said
            });
            said = packing.await.map_err(|_| sqlx::Error::WorkerCrashed)?;
        }
        // The update comes before the reading, because it makes others wait.
        let (sequence, before) = step(transaction).await?;
        let link = Link { sequence, id: Uuid::now_v7(), timestamp, category, content_hash: said.hash() };
        let row = Row::after(&before, link, said);
        transaction.run(&row.insert()).await?;
        let remember = Query::update()
            .table(Alias::new(CHAIN))
            .value(Alias::new("last_hash"), row.hash)
            .and_where(Expr::col(Alias::new("id")).eq(ONLY))
            .take();
        transaction.run(&remember).await?;
        Ok(())
    }

    /// Failed logins, and what is done to the log itself, cannot be switched off.
    fn is_always_kept(&self) -> bool {
        let is_failed_login = self.category == Category::LoginLogout && !self.error_message.is_empty();
        is_failed_login || [SETTINGS_UPDATED, FORGOTTEN, DROPPED].contains(&self.action)
    }

    fn said_by(self, actor: &Actor) -> Said {
        // PostgreSQL keeps no null characters in a text.
        let text = |text: String| if text.contains('\0') { text.replace('\0', "\u{fffd}") } else { text };
        Said {
            user: actor.user_id,
            username: text(actor.username.clone()),
            ip_address: actor.ip_address.clone(),
            user_agent: text(actor.user_agent.clone()),
            action: self.action.to_owned(),
            resource_type: self.resource_type.to_owned(),
            resource_id: text(self.resource_id),
            resource_name: text(self.resource_name),
            description: text(self.description),
            metadata: self.metadata.to_string(),
            success: self.error_message.is_empty(),
            error_message: text(self.error_message),
            ..Said::default()
        }
    }

    /// Appends it to the log in a transaction of its own: for what was tried and not done.
    pub(crate) async fn record(self, state: &AppState, actor: &Actor) -> Result<(), DbError> {
        let mut transaction = state.db().begin().await?;
        self.append(&mut transaction, state, actor).await?;
        transaction.commit().await
    }
}

/// Takes the next place in the chain, which nobody else can take until the transaction ends, and the hash before it.
async fn step(transaction: &mut Transaction) -> Result<(i64, Vec<u8>), DbError> {
    let update = Query::update()
        .table(Alias::new(CHAIN))
        .value(Alias::new("last_sequence"), Expr::col(Alias::new("last_sequence")).add(1))
        .and_where(Expr::col(Alias::new("id")).eq(ONLY))
        .returning(Query::returning().columns(["last_sequence", "last_hash"].map(Alias::new)))
        .take();
    transaction.first(&update).await?.ok_or_else(|| sqlx::Error::RowNotFound.into())
}

/// The ends of the chain.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
struct Chain {
    first_sequence: i64,
    hash_before_first: Vec<u8>,
    last_sequence: i64,
    last_hash: Vec<u8>,
}

impl Chain {
    fn select() -> sea_query::SelectStatement {
        let columns = ["first_sequence", "hash_before_first", "last_sequence", "last_hash"].map(Alias::new);
        Query::select().columns(columns).from(Alias::new(CHAIN)).and_where(Expr::col(Alias::new("id")).eq(ONLY)).take()
    }
}

/// Begins the chain where there is none.
pub(crate) async fn begin_chain(db: &Database) -> Result<(), DbError> {
    let columns = ["id", "first_sequence", "hash_before_first", "last_sequence", "last_hash"].map(Alias::new);
    let insert = Query::insert()
        .into_table(Alias::new(CHAIN))
        .columns(columns)
        .values_panic([ONLY.into(), 1_i64.into(), Vec::<u8>::new().into(), 0_i64.into(), Vec::<u8>::new().into()])
        .on_conflict(OnConflict::column(Alias::new("id")).do_nothing().to_owned())
        .take();
    db.run(&insert).await.map(|_| ())
}
