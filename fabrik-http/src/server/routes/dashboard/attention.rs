//! What somebody should look at.

use schemars::JsonSchema;
use sea_query::{Alias, Expr, ExprTrait, Order, Query, SelectStatement};
use serde::Serialize;

use super::figures::visible_tasks;
use crate::server::caller::Caller;
use crate::server::connections;
use crate::server::error::ApiError;
use crate::server::schedules::{TASK, overdue};
use crate::server::state::AppState;

/// How many of a kind are named.
const MOST: u64 = 10;

/// How grave something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Gravity {
    Critical,
    Warning,
    Info,
}

/// Something that somebody should look at.
#[derive(Serialize, JsonSchema)]
pub(super) struct Attention {
    severity: Gravity,
    message: String,
    /// The address of what it is about.
    link: String,
}

/// Returns what the caller should look at, the gravest first.
pub(super) async fn of(state: &AppState, caller: &Caller) -> Result<Vec<Attention>, ApiError> {
    let late = overdue(state.clock().now());
    let last_run = |status: &str| Expr::col(Alias::new("last_run_status")).eq(status);
    let of_task = [
        (Gravity::Critical, last_run("failed"), "The last run of the task {} failed."),
        (Gravity::Warning, last_run("partial"), "The last run of the task {} succeeded in part."),
        (Gravity::Warning, late, "The task {} should have run and did not."),
    ];
    let mut all = Vec::new();
    for (severity, condition, sentence) in of_task {
        let mut query = named(TASK.table, condition);
        query.and_where(TASK.id_column().in_subquery(visible_tasks(caller)));
        for (id, name) in state.db().all::<(i64, String)>(&query).await? {
            let link = format!("/api/queries/scheduled-tasks/{id}/");
            all.push(Attention { severity, message: sentence.replace("{}", &name), link });
        }
    }
    let is_failing = Expr::col(Alias::new("last_test_status")).eq("failed");
    let is_active = Expr::col(Alias::new("is_active")).eq(true);
    let of_connection = [
        (Gravity::Warning, is_failing.and(is_active.clone()), "The last test of the connection {} failed."),
        (Gravity::Info, is_active.not(), "The connection {} is not active."),
    ];
    for (severity, condition, sentence) in of_connection {
        let mut query = named(connections::TABLE, condition);
        connections::visible(caller, &mut query);
        for (id, name) in state.db().all::<(i64, String)>(&query).await? {
            let link = format!("/api/apic/connections/{id}/");
            all.push(Attention { severity, message: sentence.replace("{}", &name), link });
        }
    }
    all.sort_by_key(|attention| attention.severity);
    Ok(all)
}

/// Returns the query for the ids and names of what a condition holds for.
fn named(table: &'static str, condition: Expr) -> SelectStatement {
    Query::select()
        .columns(["id", "name"].map(|name| (Alias::new(table), Alias::new(name))))
        .from(Alias::new(table))
        .and_where(condition)
        .order_by((Alias::new(table), Alias::new("id")), Order::Asc)
        .limit(MOST)
        .take()
}
