//! What users want to be told, and how.

use chrono::TimeDelta;
use sea_query::{Alias, Expr, ExprTrait, OnConflict, Query};

use super::Severity;
use crate::server::db::{DbError, Transaction};
use crate::server::error::ApiError;
use crate::server::state::AppState;

pub(super) const TABLE: &str = "notification_preference";

/// Who is told, and how that user wants it.
#[derive(Debug)]
pub(super) struct Recipient {
    pub(super) id: i64,
    pub(super) wants_source: bool,
    pub(super) in_app: bool,
    pub(super) wants_mail: bool,
    pub(super) mail_from: Severity,
    /// How long mail is gathered; not at all unless told.
    pub(super) digest: Option<TimeDelta>,
}

/// Makes the preferences of a user who has none yet.
pub(crate) async fn ensure(state: &AppState, user_id: i64) -> Result<(), ApiError> {
    let mut transaction = state.db().begin().await?;
    make(&mut transaction, &[user_id]).await?;
    Ok(transaction.commit().await?)
}

/// Makes the preferences of those active users who have none yet.
async fn make(transaction: &mut Transaction, users: &[i64]) -> Result<(), DbError> {
    let active = Query::select()
        .column(Alias::new("id"))
        .from(Alias::new("auth_user"))
        .and_where(Expr::col(Alias::new("id")).is_in(users.iter().copied()))
        .and_where(Expr::col(Alias::new("is_active")).eq(true))
        .take();
    let insert = Query::insert()
        .into_table(Alias::new(TABLE))
        .columns([Alias::new("id")])
        .select_from(active)
        .expect("one column is written and one is selected")
        .on_conflict(OnConflict::column(Alias::new("id")).do_nothing().to_owned())
        .take();
    transaction.run(&insert).await.map(|_| ())
}

/// Returns those of the users who are active, each once, with what they want of a source.
pub(super) async fn recipients(
    transaction: &mut Transaction,
    users: &[i64],
    source: &str,
) -> Result<Vec<Recipient>, DbError> {
    make(transaction, users).await?;
    let (table, user) = (Alias::new(TABLE), Alias::new("auth_user"));
    let columns = [
        "id",
        source,
        "in_app_enabled",
        "email_enabled",
        "email_min_severity",
        "digest_enabled",
        "digest_interval_minutes",
    ];
    let query = Query::select()
        .columns(columns.map(|name| (table.clone(), Alias::new(name))))
        .column((user.clone(), Alias::new("email")))
        .from(table.clone())
        .inner_join(user.clone(), Expr::col((user.clone(), Alias::new("id"))).equals((table.clone(), Alias::new("id"))))
        .and_where(Expr::col((table, Alias::new("id"))).is_in(users.iter().copied()))
        .and_where(Expr::col((user, Alias::new("is_active"))).eq(true))
        .take();
    let rows = transaction.rows(&query).await?;
    let recipient = |row: &crate::server::db::Row| -> Result<Recipient, DbError> {
        let flag = |name: &str| Ok::<_, DbError>(row.get::<bool>(name)?.unwrap_or(false));
        let email = row.get::<String>("email")?.unwrap_or_default();
        let minutes = row.get::<i64>("digest_interval_minutes")?.unwrap_or(0);
        Ok(Recipient {
            id: row.get("id")?.unwrap_or(0),
            wants_source: flag(source)?,
            in_app: flag("in_app_enabled")?,
            wants_mail: flag("email_enabled")? && !email.is_empty(),
            mail_from: Severity::named(&row.get::<String>("email_min_severity")?.unwrap_or_default()),
            digest: flag("digest_enabled")?.then(|| TimeDelta::minutes(minutes)),
        })
    };
    rows.iter().map(recipient).collect()
}
