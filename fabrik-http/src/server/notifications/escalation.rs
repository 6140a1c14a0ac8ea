//! Escalation: what nobody has read after a while is told to others.

use chrono::{DateTime, TimeDelta, Utc};
use sea_query::{Alias, Cond, Expr, ExprTrait, Func, OnConflict, Query};
use serde_json::Value;
use uuid::Uuid;

use super::{Content, SEVERITIES, Severity, Switches, Told, hand_out};
use crate::server::db::{DbError, Transaction};
use crate::server::error::ApiError;
use crate::server::state::AppState;

const NOTIFICATION: &str = "notification";
const DONE: &str = "escalation";
/// How many notices a round looks at for one rule at most.
const ROUND: u64 = 200;
/// How long it is remembered what was escalated; a notice is forgotten sooner.
const KEPT: TimeDelta = TimeDelta::days(400);

#[derive(sqlx::FromRow)]
struct Rule {
    id: i64,
    source: String,
    min_severity: String,
    wait_minutes: i64,
    created_at: DateTime<Utc>,
}

/// One of the notifications of a notice.
#[derive(sqlx::FromRow)]
struct Unread {
    source: String,
    r#type: String,
    title: String,
    message: String,
    related_task_id: Option<i64>,
    related_execution_id: Option<Uuid>,
    metadata: Value,
}

/// Tells the targets of every rule what waits for longer than the rule says, once.
pub(crate) async fn escalate(state: &AppState) -> Result<(), ApiError> {
    let columns = ["id", "source", "min_severity", "wait_minutes", "created_at"].map(Alias::new);
    let rules = Query::select()
        .columns(columns)
        .from(Alias::new("escalation_rule"))
        .and_where(Expr::col(Alias::new("is_active")).eq(true))
        .take();
    for rule in state.db().all::<Rule>(&rules).await? {
        for notice_id in waiting(state, &rule).await? {
            let mut transaction = state.db().begin().await?;
            let told = escalate_one(state, &mut transaction, &rule, notice_id).await?;
            transaction.commit().await?;
            told.publish(state).await?;
        }
    }
    let old = Expr::col(Alias::new("escalated_at")).lt(state.clock().now() - KEPT);
    state.db().run(&Query::delete().from_table(Alias::new(DONE)).and_where(old).take()).await?;
    Ok(())
}

/// Returns the notices that nobody has read for so long, and that the rule has not told yet.
async fn waiting(state: &AppState, rule: &Rule) -> Result<Vec<Uuid>, DbError> {
    let least = Severity::named(&rule.min_severity) as usize;
    let until = state.clock().now() - TimeDelta::minutes(rule.wait_minutes);
    let done = Query::select()
        .column(Alias::new("notice_id"))
        .from(Alias::new(DONE))
        .and_where(Expr::col(Alias::new("rule_id")).eq(rule.id))
        .take();
    let read = Query::select()
        .column(Alias::new("notice_id"))
        .from(Alias::new(NOTIFICATION))
        .and_where(Expr::col(Alias::new("is_read")).eq(true))
        .and_where(Expr::col(Alias::new("notice_id")).is_not_null())
        .take();
    let query = Query::select()
        .column(Alias::new("notice_id"))
        .from(Alias::new(NOTIFICATION))
        .and_where(Expr::col(Alias::new("notice_id")).is_not_null())
        .and_where(Expr::col(Alias::new("source")).eq(rule.source.as_str()))
        .and_where(Expr::col(Alias::new("type")).is_in(SEVERITIES[least..].iter().copied()))
        .and_where(Expr::col(Alias::new("is_read")).eq(false))
        // A new rule is about what comes, not about all that lies there.
        .and_where(Expr::col(Alias::new("created_at")).gte(rule.created_at))
        .and_where(Expr::col(Alias::new("notice_id")).not_in_subquery(done))
        .and_where(Expr::col(Alias::new("notice_id")).not_in_subquery(read))
        .group_by_col(Alias::new("notice_id"))
        .cond_having(Cond::all().add(Expr::expr(Func::min(Expr::col(Alias::new("created_at")))).lte(until)))
        .limit(ROUND)
        .take();
    Ok(state.db().all::<(Uuid,)>(&query).await?.into_iter().map(|(id,)| id).collect())
}

async fn escalate_one(
    state: &AppState,
    transaction: &mut Transaction,
    rule: &Rule,
    notice_id: Uuid,
) -> Result<Told, DbError> {
    let now = state.clock().now();
    let columns = ["notice_id", "rule_id", "escalated_at"].map(Alias::new);
    let claim = Query::insert()
        .into_table(Alias::new(DONE))
        .columns(columns)
        .values_panic([notice_id.into(), rule.id.into(), now.into()])
        .on_conflict(OnConflict::columns([Alias::new("notice_id"), Alias::new("rule_id")]).do_nothing().to_owned())
        .take();
    if transaction.run(&claim).await? == 0 {
        return Ok(Told::default());
    }
    let columns =
        ["source", "type", "title", "message", "related_task_id", "related_execution_id", "metadata"].map(Alias::new);
    let of_notice = || Expr::col(Alias::new("notice_id")).eq(notice_id);
    let query = Query::select().columns(columns).from(Alias::new(NOTIFICATION)).and_where(of_notice()).limit(1).take();
    let Some(unread) = transaction.first::<Unread>(&query).await? else { return Ok(Told::default()) };
    let holders =
        Query::select().column(Alias::new("user")).from(Alias::new(NOTIFICATION)).and_where(of_notice()).take();
    let targets = Query::select()
        .column(Alias::new("user_id"))
        .from(Alias::new("escalation_target"))
        .and_where(Expr::col(Alias::new("rule_id")).eq(rule.id))
        .and_where(Expr::col(Alias::new("user_id")).not_in_subquery(holders))
        .take();
    let targets: Vec<_> = transaction.all::<(i64,)>(&targets).await?.into_iter().map(|(id,)| id).collect();
    let prefix = "Unread: ";
    let title = unread.title.strip_prefix(prefix).unwrap_or(&unread.title);
    let content = Content {
        notice_id,
        source: unread.source,
        severity: Severity::named(&unread.r#type),
        title: format!("{prefix}{title}"),
        message: unread.message,
        related_task_id: unread.related_task_id,
        related_execution_id: unread.related_execution_id,
        metadata: unread.metadata,
    };
    hand_out(transaction, &targets, &content, Switches::Overridden, now).await
}
