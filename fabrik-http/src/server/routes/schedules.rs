//! Scheduled tasks: the own ones; administrators see all, and those of the server.

mod actions;
mod executions;
mod settings;

use std::collections::BTreeMap;

use sea_query::{Alias, Expr, ExprTrait, Query, SelectStatement};
use serde_json::{Value, json};

use crate::server::audit::Category;
use crate::server::caller::Caller;
use crate::server::connections;
use crate::server::db::Transaction;
use crate::server::error::{ApiError, FieldErrors};
use crate::server::model::{Model, Record, Values, Verb};
use crate::server::moment::Moment;
use crate::server::queries;
use crate::server::quotas::{self, Stock, Switch};
use crate::server::registry::Registry;
use crate::server::resource::{Audited, Key, Resource, Write};
use crate::server::schedules::{APIC_QUERY, ONLY, SETTINGS, TASK, Task, WHEN, cancel_pending, percent};
use crate::server::state::AppState;
use crate::server::time_machine::TimeMachineSettings;

const PATH: &str = "/api/queries/scheduled-tasks/";

pub(super) fn declare(registry: &mut Registry) {
    // Before the resource: what is no id is no task.
    actions::declare(registry);
    registry.resource::<Tasks>(PATH);
    executions::declare(registry);
    settings::declare(registry);
}

/// Scheduled tasks.
#[derive(Debug)]
struct Tasks;

impl Resource for Tasks {
    const AUDIT: Option<Audited> = Some(Audited {
        category: Category::TaskManagement,
        created: "scheduled_task_created",
        updated: "scheduled_task_updated",
        deleted: "scheduled_task_deleted",
        name: "name",
    });

    fn model() -> &'static Model {
        &TASK
    }

    fn visible(caller: &Caller, query: &mut SelectStatement) {
        if !caller.is_admin() {
            query.and_where(Expr::col((Alias::new(TASK.table), Alias::new("owner_id"))).eq(caller.id()));
        }
    }

    async fn complete(state: &AppState, records: &mut [Record]) -> Result<(), ApiError> {
        let ids = |name: &str| -> Vec<i64> { records.iter().filter_map(|record| record[name].as_i64()).collect() };
        let owners = names(state, "auth_user", "username", ids("owner_id")).await?;
        let queries = names(state, queries::TABLE, "name", ids("saved_query")).await?;
        for record in records {
            let owner = record["owner_id"].as_i64().and_then(|id| Some((id, owners.get(&id)?)));
            let owner = owner.map(|(id, username)| json!({ "id": id, "username": username }));
            record.insert("created_by".into(), owner.into());
            let query = record["saved_query"].as_i64().and_then(|id| queries.get(&id));
            record.insert("query_name".into(), query.cloned().into());
            let number = |name: &str| record[name].as_i64().unwrap_or_default();
            let (well, badly) = (number("success_count"), number("failure_count"));
            record.insert("success_rate".into(), percent(well, well + badly));
            let described = Task(record.clone()).schedule().map(|(schedule, zone)| schedule.describe(zone));
            record.insert("schedule_description".into(), described.unwrap_or_default().into());
        }
        Ok(())
    }

    async fn prepare(state: &AppState, caller: &Caller, values: &mut Values, key: Option<Key>) -> Result<(), ApiError> {
        if key.is_none() {
            quotas::require(state, caller, Switch::CanCreateScheduled).await?;
            if values.text("task_type").is_some_and(|kind| kind != APIC_QUERY) {
                return Err(ApiError::field("task_type", "Only the server has tasks of this type."));
            }
        }
        check_asked(state, caller, values, key.is_none()).await?;
        if key.is_none() && values.get("auto_capture").is_none() {
            values.set("auto_capture", TimeMachineSettings::of(state, caller.id()).await?.auto_capture_enabled);
        }
        Ok(())
    }

    async fn before_write(write: &mut Write<'_>, key: Option<Key>) -> Result<(), ApiError> {
        let now = write.state.clock().now();
        let is_new = key.is_none();
        let before = match key {
            Some(key) => Task::lock(write.transaction, key.number()).await?.ok_or(ApiError::NotFound)?,
            None => {
                quotas::check_stock(write.transaction, write.caller, Stock::ScheduledTasks).await?;
                fill(write, now).await?;
                Task::blank()
            }
        };
        if before.flag("is_system_task") {
            check_system(write)?;
        }
        Task::normalize(&mut write.values);
        let after = before.clone().with(&write.values);
        after.schedule().map_err(ApiError::Invalid)?;
        if !is_new && !before.flag("is_system_task") && after.0.get("saved_query").is_none_or(Value::is_null) {
            return Err(ApiError::field("saved_query", "This field may not be null."));
        }
        let is_active = after.text("status") == "active";
        let is_moved = WHEN.iter().any(|name| before.0.get(*name) != after.0.get(*name));
        if !is_active {
            write.values.set("next_run_at", Value::Null);
        } else if is_new || is_moved || before.text("status") != "active" {
            let Some(next) = after.next_after(now) else {
                let field = if after.text("frequency") == "once" { "scheduled_datetime" } else { "cron_expression" };
                return Err(ApiError::field(field, "There is no such moment to come."));
            };
            write.values.set("next_run_at", Moment(next).to_string());
        }
        write.values.set("updated_at", Moment(now).to_string());
        if !is_active && !is_new {
            // What it would try again it does not.
            let told = cancel_pending(write.state, write.transaction, &before).await?;
            write.state.runner().tell_later(told);
        }
        Ok(())
    }

    async fn before_delete(write: &mut Write<'_>, key: Key) -> Result<(), ApiError> {
        let task = Task::lock(write.transaction, key.number()).await?.ok_or(ApiError::NotFound)?;
        if task.flag("is_system_task") {
            return Err(ApiError::Refused("Tasks of the server cannot be deleted.".into()));
        }
        Ok(())
    }
}

/// Checks that the caller can see what the task is to ask, and finds the connection where none is named.
async fn check_asked(state: &AppState, caller: &Caller, values: &Values, is_new: bool) -> Result<(), ApiError> {
    let mut errors = FieldErrors::default();
    let query = match values.get("saved_query").and_then(Value::as_i64) {
        Some(id) => match queries::find(state, caller, id).await {
            Ok(query) => Some(query),
            Err(ApiError::NotFound) => {
                errors.add("saved_query", format!("Invalid pk \"{id}\" - object does not exist."));
                None
            }
            Err(other) => return Err(other),
        },
        None => None,
    };
    let ids = values.get("apic_connection_ids").and_then(Value::as_array).cloned().unwrap_or_default();
    for id in ids.iter().filter_map(Value::as_i64) {
        match connections::find(state, caller, id).await {
            Ok(_) => {}
            Err(ApiError::NotFound) => {
                errors.add("apic_connection_ids", format!("Invalid pk \"{id}\" - object does not exist."));
            }
            Err(other) => return Err(other),
        }
    }
    if is_new && values.get("saved_query").is_none_or(Value::is_null) {
        errors.add("saved_query", "This field is required.");
    }
    if is_new && ids.is_empty() && query.is_some_and(|query| query.connection_id.is_none()) {
        errors.add("apic_connection_ids", "Name a connection: the query has none of its own.");
    }
    errors.into_result()
}

/// Writes what a new task has that was not given.
async fn fill(write: &mut Write<'_>, now: chrono::DateTime<chrono::Utc>) -> Result<(), ApiError> {
    let columns = ["default_retry_count", "default_retry_interval_minutes", "default_log_retention_days"];
    let query = Query::select()
        .columns(columns.map(Alias::new))
        .from(Alias::new(SETTINGS))
        .and_where(Expr::col(Alias::new("id")).eq(ONLY))
        .take();
    let (count, interval, days) = write.transaction.first::<(i64, i64, i64)>(&query).await?.unwrap_or((3, 5, 30));
    let values = &mut write.values;
    let is_cron = values.text("cron_expression").is_some_and(|text| !text.is_empty());
    let defaults = [
        ("retry_count", json!(count)),
        ("retry_interval_minutes", json!(interval)),
        ("log_retention_days", json!(days)),
        ("apic_connection_ids", json!([])),
        ("variable_values", json!({})),
        ("email_recipients", json!([])),
        ("status", json!("active")),
    ];
    for (name, value) in defaults {
        if values.get(name).is_none() {
            values.set(name, value);
        }
    }
    if is_cron && values.get("frequency").is_none() {
        values.set("frequency", "cron");
    }
    values.set("owner_id", write.caller.id());
    values.set("created_at", Moment(now).to_string());
    Ok(())
}

/// What administrators may change of a task of the server.
fn check_system(write: &Write<'_>) -> Result<(), ApiError> {
    let is_allowed = |name: &&str| ["status", "priority", "order"].contains(name);
    if write.values.names().iter().all(is_allowed) {
        return Ok(());
    }
    Err(ApiError::Refused("Of a task of the server only status, priority and order can be changed.".into()))
}

/// Returns the names of records by id.
async fn names(
    state: &AppState,
    table: &'static str,
    column: &'static str,
    ids: Vec<i64>,
) -> Result<BTreeMap<i64, String>, ApiError> {
    let query = Query::select()
        .columns(["id", column].map(Alias::new))
        .from(Alias::new(table))
        .and_where(Expr::col(Alias::new("id")).is_in(ids))
        .take();
    Ok(state.db().all::<(i64, String)>(&query).await?.into_iter().collect())
}

/// Finds a task that the caller can see.
async fn find(transaction: &mut Transaction, caller: &Caller, id: i64) -> Result<Task, ApiError> {
    let mut query = Query::select().expr(TASK.id_column()).from(Alias::new(TASK.table)).take();
    Tasks::visible(caller, &mut query);
    query.and_where(TASK.id_column().eq(id));
    if transaction.rows(&query).await?.is_empty() {
        return Err(ApiError::NotFound);
    }
    Task::lock(transaction, id).await?.ok_or(ApiError::NotFound)
}

/// Returns the verb's permission, for an action.
fn permission(verb: Verb) -> crate::server::registry::Access {
    Tasks::access(verb)
}
