//! What is to be mailed: held back while it is quiet, gathered where a digest is wanted, then handed to the outbox.

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use sea_query::{Alias, Cond, Expr, ExprTrait, Query};

use super::preferences::{self, Recipient};
use super::quiet::{QuietHours, parse_time};
use super::{Content, Severity};
use crate::server::db::{DbError, Transaction};
use crate::server::error::ApiError;
use crate::server::mail::Mail;
use crate::server::state::AppState;

const TABLE: &str = "notification_mail";
/// How many users one round serves at most.
const ROUND: u64 = 200;

/// Holds a notice until it is due.
pub(super) async fn hold(
    transaction: &mut Transaction,
    recipient: &Recipient,
    content: &Content,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    let due = recipient.digest.map_or(now, |wait| now + wait);
    let columns = ["user_id", "source", "type", "title", "message", "created_at", "due_at"].map(Alias::new);
    let insert = Query::insert()
        .into_table(Alias::new(TABLE))
        .columns(columns)
        .values_panic([
            recipient.id.into(),
            content.source.clone().into(),
            content.severity.name().into(),
            content.title.clone().into(),
            content.message.clone().into(),
            now.into(),
            due.into(),
        ])
        .take();
    transaction.run(&insert).await.map(|_| ())
}

/// How a user wants mail, when it is due.
#[derive(sqlx::FromRow)]
struct Wishes {
    email: String,
    is_active: bool,
    display_timezone: String,
    email_enabled: bool,
    digest_enabled: bool,
    quiet_hours_enabled: bool,
    quiet_hours_start: String,
    quiet_hours_end: String,
}

impl Wishes {
    async fn of(transaction: &mut Transaction, user_id: i64) -> Result<Option<Self>, DbError> {
        let (user, preference) = (Alias::new("auth_user"), Alias::new(preferences::TABLE));
        let query = Query::select()
            .columns(["email", "is_active", "display_timezone"].map(|name| (user.clone(), Alias::new(name))))
            .columns(
                ["email_enabled", "digest_enabled", "quiet_hours_enabled", "quiet_hours_start", "quiet_hours_end"]
                    .map(|name| (preference.clone(), Alias::new(name))),
            )
            .from(user.clone())
            .inner_join(
                preference.clone(),
                Expr::col((preference, Alias::new("id"))).equals((user.clone(), Alias::new("id"))),
            )
            .and_where(Expr::col((user, Alias::new("id"))).eq(user_id))
            .take();
        transaction.first(&query).await
    }

    fn zone(&self) -> Tz {
        self.display_timezone.parse().unwrap_or(Tz::UTC)
    }

    /// Returns until when mail is held back, if it is now.
    fn quiet_until(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let (start, end) = (parse_time(&self.quiet_hours_start)?, parse_time(&self.quiet_hours_end)?);
        let hours = QuietHours { start, end, zone: self.zone() };
        if self.quiet_hours_enabled { hours.until(now) } else { None }
    }
}

/// A notice that is held.
#[derive(sqlx::FromRow)]
struct Held {
    id: i64,
    source: String,
    r#type: String,
    title: String,
    message: String,
    created_at: DateTime<Utc>,
}

/// Hands what is due to the outbox, unless it is quiet.
pub(crate) async fn hand_over(state: &AppState) -> Result<(), ApiError> {
    let now = state.clock().now();
    let query = Query::select()
        .distinct()
        .column(Alias::new("user_id"))
        .from(Alias::new(TABLE))
        .and_where(col("due_at").lte(now))
        .limit(ROUND)
        .take();
    for (user_id,) in state.db().all::<(i64,)>(&query).await? {
        let mut transaction = state.db().begin().await?;
        hand_over_to(&mut transaction, user_id, state.settings().site_url.as_deref(), now).await?;
        transaction.commit().await?;
    }
    Ok(())
}

async fn hand_over_to(
    transaction: &mut Transaction,
    user_id: i64,
    site_url: Option<&str>,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    let due = || Cond::all().add(col("user_id").eq(user_id)).add(col("due_at").lte(now));
    let wishes = Wishes::of(transaction, user_id).await?;
    let Some(wishes) = wishes.filter(|wishes| wishes.is_active && wishes.email_enabled && !wishes.email.is_empty())
    else {
        // Mail was switched off in between.
        take(transaction, due()).await?;
        return Ok(());
    };
    if let Some(end) = wishes.quiet_until(now) {
        let wait = Query::update().table(Alias::new(TABLE)).value(Alias::new("due_at"), end).cond_where(due()).take();
        transaction.run(&wait).await?;
        return Ok(());
    }
    if !wishes.digest_enabled {
        for held in take(transaction, due()).await? {
            letter(&wishes, std::slice::from_ref(&held), site_url).queue(transaction, now).await?;
        }
        return Ok(());
    }
    let sources =
        Query::select().distinct().column(Alias::new("source")).from(Alias::new(TABLE)).cond_where(due()).take();
    for (source,) in transaction.all::<(String,)>(&sources).await? {
        // What came after the first of a digest goes with it.
        let of_source = Cond::all().add(col("user_id").eq(user_id)).add(col("source").eq(source));
        let held = take(transaction, of_source).await?;
        if !held.is_empty() {
            letter(&wishes, &held, site_url).queue(transaction, now).await?;
        }
    }
    Ok(())
}

/// Takes what is held: of two servers that ask for the same, one gets it.
async fn take(transaction: &mut Transaction, which: Cond) -> Result<Vec<Held>, DbError> {
    let columns = ["id", "source", "type", "title", "message", "created_at"].map(Alias::new);
    let gone = Query::delete()
        .from_table(Alias::new(TABLE))
        .cond_where(which)
        .returning(Query::returning().columns(columns))
        .take();
    let mut held: Vec<Held> = transaction.all(&gone).await?;
    held.sort_by_key(|held| held.id);
    Ok(held)
}

/// Writes one mail about one notice, or about several of one source.
fn letter(wishes: &Wishes, held: &[Held], site_url: Option<&str>) -> Mail {
    let subject = match held {
        [one] => one.title.clone(),
        _ => {
            let gravest = held.iter().map(|held| Severity::named(&held.r#type)).max().unwrap_or(Severity::Info);
            let source = held.first().map_or_else(String::new, |held| held.source.replace('_', " "));
            format!("{} notifications, {source}, up to {}", held.len(), gravest.name())
        }
    };
    let mut text = String::new();
    for held in held {
        let at = held.created_at.with_timezone(&wishes.zone()).format("%Y-%m-%d %H:%M:%S %Z");
        text.push_str(&format!("{}\n{} · {at}\n\n{}\n\n", held.title, held.r#type, held.message));
    }
    if let Some(site) = site_url {
        text.push_str(&format!("{site}\n"));
    }
    Mail { to: wishes.email.clone(), subject: format!("[Fabrik] {subject}"), text }
}

fn col(name: &'static str) -> Expr {
    Expr::col(Alias::new(name))
}
