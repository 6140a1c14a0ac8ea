//! Notifications: what users are told, in the application, by mail and by webhooks, and how they want it.
//!
//! [`tell`] writes all of it in the transaction of what it tells about; what is handed on is read from the database by
//! jobs, so nothing is lost when the server stops. [`Told::publish`] comes after the commit.

mod escalation;
mod inbox;
mod mails;
mod preferences;
mod quiet;
#[cfg(test)]
mod tests;

use chrono::{DateTime, Utc};
use sea_query::{Alias, Cond, Expr, ExprTrait, Query};
use serde_json::{Value, json};
use uuid::Uuid;

use super::db::{DbError, Transaction};
use super::memberships::group_named;
use super::permissions::ADMIN;
use super::state::AppState;
use super::webhooks;

pub(crate) use escalation::escalate;
pub(crate) use inbox::{
    NOTIFICATION, Written, count_unread, delete, delete_read, mark_all_read, mark_read, publish_count, publish_new,
    purge, recent, write_own,
};
pub(crate) use mails::hand_over;
pub(crate) use preferences::ensure as ensure_preferences;
pub(crate) use quiet::parse_time;

/// Where notices come from; users have a switch for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(dead_code, reason = "each part of the server will tell of its own")]
pub(crate) enum Source {
    ScheduledTaskSuccess,
    ScheduledTaskFailure,
    AwxExecutionSuccess,
    AwxExecutionFailure,
    QueryExecutionFailure,
    ConnectionHealth,
    TimeMachineCleanup,
    SystemMaintenance,
    TimeMachineDrift,
}

/// The names of the sources, in the order of the declaration; a switch has the name of its source.
pub(crate) const SOURCES: &[&str] = &[
    "scheduled_task_success",
    "scheduled_task_failure",
    "awx_execution_success",
    "awx_execution_failure",
    "query_execution_failure",
    "connection_health",
    "time_machine_cleanup",
    "system_maintenance",
    "time_machine_drift",
];

impl Source {
    /// Returns the name in the API and in the database.
    pub(crate) fn name(self) -> &'static str {
        SOURCES[self as usize]
    }
}

/// How grave a notice is, from the least to the most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Severity {
    Info,
    Success,
    Warning,
    Error,
}

/// The names of the severities, from the least to the most.
pub(crate) const SEVERITIES: &[&str] = &["info", "success", "warning", "error"];

impl Severity {
    const ALL: [Self; 4] = [Self::Info, Self::Success, Self::Warning, Self::Error];

    /// Returns the name in the API and in the database.
    pub(crate) fn name(self) -> &'static str {
        SEVERITIES[self as usize]
    }

    /// Returns the severity with a name; a name that is none is the gravest, so that nothing is passed over.
    pub(crate) fn named(name: &str) -> Self {
        Self::ALL.into_iter().find(|severity| severity.name() == name).unwrap_or(Self::Error)
    }
}

/// What is to be told.
#[derive(Clone, Debug)]
pub(crate) struct Notice {
    pub(crate) source: Source,
    pub(crate) severity: Severity,
    pub(crate) title: String,
    pub(crate) message: String,
    pub(crate) related_task_id: Option<i64>,
    pub(crate) related_execution_id: Option<Uuid>,
    /// An object without secrets.
    pub(crate) metadata: Value,
}

impl Notice {
    /// Says something that is about no task.
    pub(crate) fn new(
        source: Source,
        severity: Severity,
        title: impl Into<String>,
        message: impl Into<String>,
    ) -> Self {
        Self {
            source,
            severity,
            title: title.into(),
            message: message.into(),
            related_task_id: None,
            related_execution_id: None,
            metadata: json!({}),
        }
    }

    fn content(&self, id: Uuid) -> Content {
        Content {
            notice_id: id,
            source: self.source.name().to_owned(),
            severity: self.severity,
            title: self.title.clone(),
            message: self.message.clone(),
            related_task_id: self.related_task_id,
            related_execution_id: self.related_execution_id,
            metadata: self.metadata.clone(),
        }
    }
}

/// A notice as it is kept for each user.
#[derive(Clone, Debug)]
struct Content {
    notice_id: Uuid,
    source: String,
    severity: Severity,
    title: String,
    message: String,
    related_task_id: Option<i64>,
    related_execution_id: Option<Uuid>,
    metadata: Value,
}

/// What was told: to be published once the transaction was committed.
#[derive(Debug, Default)]
#[must_use = "publish it after the commit"]
pub(crate) struct Told(Vec<(i64, i64)>);

impl Told {
    /// Adds what else was told in the same transaction.
    pub(crate) fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// Tells those who are connected.
    pub(crate) async fn publish(self, state: &AppState) -> Result<(), DbError> {
        for (user, id) in self.0 {
            inbox::publish_new(state, user, id).await?;
        }
        Ok(())
    }
}

/// Tells users of something, each in the way they want it, and webhooks.
pub(crate) async fn tell(
    state: &AppState,
    transaction: &mut Transaction,
    users: &[i64],
    notice: &Notice,
) -> Result<Told, DbError> {
    let id = Uuid::now_v7();
    webhooks::queue(state, transaction, users, id, notice).await?;
    hand_out(transaction, users, &notice.content(id), Switches::Honoured, state.clock().now()).await
}

/// Tells users of something, each in the way they want it, and no webhooks.
pub(crate) async fn tell_people(
    state: &AppState,
    transaction: &mut Transaction,
    users: &[i64],
    notice: &Notice,
) -> Result<Told, DbError> {
    hand_out(transaction, users, &notice.content(Uuid::now_v7()), Switches::Honoured, state.clock().now()).await
}

/// Returns the users who pass all checks: those to tell what concerns the server.
pub(crate) async fn administrators(transaction: &mut Transaction) -> Result<Vec<i64>, DbError> {
    let members = Query::select()
        .column(Alias::new("user_id"))
        .from(Alias::new("auth_user_group"))
        .and_where(Expr::col(Alias::new("group_id")).in_subquery(group_named(ADMIN)))
        .take();
    let is_admin = Cond::any()
        .add(Expr::col(Alias::new("is_superuser")).eq(true))
        .add(Expr::col(Alias::new("id")).in_subquery(members));
    let query = Query::select()
        .column(Alias::new("id"))
        .from(Alias::new("auth_user"))
        .cond_where(is_admin)
        .and_where(Expr::col(Alias::new("is_active")).eq(true))
        .take();
    Ok(transaction.all::<(i64,)>(&query).await?.into_iter().map(|(id,)| id).collect())
}

/// Whether the switches of users for sources count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Switches {
    Honoured,
    /// Somebody decided that these users shall know.
    Overridden,
}

/// Writes a notice into inboxes, and for the post where it is wanted there.
async fn hand_out(
    transaction: &mut Transaction,
    users: &[i64],
    content: &Content,
    switches: Switches,
    now: DateTime<Utc>,
) -> Result<Told, DbError> {
    let mut told = Told::default();
    for recipient in preferences::recipients(transaction, users, &content.source).await? {
        let is_forced = switches == Switches::Overridden;
        if !recipient.wants_source && !is_forced {
            continue;
        }
        if recipient.in_app || is_forced {
            let id = inbox::insert(transaction, recipient.id, content, now).await?;
            told.0.push((recipient.id, id));
        }
        if recipient.wants_mail && content.severity >= recipient.mail_from {
            mails::hold(transaction, &recipient, content, now).await?;
        }
    }
    Ok(told)
}
