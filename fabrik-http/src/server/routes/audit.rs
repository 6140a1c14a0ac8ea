//! The audit log: what was done, by whom, from where. Administrators read it; nobody writes it.

mod attempts;
mod export;
mod filters;
mod settings;
mod stats;

use std::collections::BTreeMap;

use sea_query::{Alias, Expr, ExprTrait, Query, SelectStatement};
use serde_json::{Value, json};

use crate::server::audit::{Category, unpack};
use crate::server::caller::Caller;
use crate::server::error::ApiError;
use crate::server::listing::Filter;
use crate::server::model::{Field, Kind, Model, Record, Verb};
use crate::server::registry::{Access, Registry};
use crate::server::resource::{Resource, list_route, retrieve_route, sentence};
use crate::server::state::AppState;

const TABLE: &str = "audit_log";

pub(super) fn declare(registry: &mut Registry) {
    let path = "/api/audit/logs/";
    registry.add(list_route::<Logs>(path).about("Lists what was done, the newest first."));
    registry.add(retrieve_route::<LogDetails>(path).about("Returns one row of the log with its content."));
    export::declare(registry);
    stats::declare(registry);
    settings::declare(registry);
    attempts::declare(registry);
}

/// The fields of every row, and those that are given beside them.
macro_rules! row_fields {
    ($($field:expr),* $(,)?) => {
        &[
            Field::new("id", Kind::Uuid, "the id of the row"),
            Field::new("sequence", Kind::Integer, "the place of the row in the chain").order(),
            Field::new("timestamp", Kind::Moment, "when it was done").order(),
            Field::new("user", Kind::Integer, "the id of the user who did it; the user may be gone").nullable().filter(),
            Field::new("user_display", Kind::Other(text_schema), "the name of the user for people").computed(),
            Field::new("username", Kind::Text { least: 0, most: 254 }, "the name of the user at that time")
                .filter()
                .search(),
            Field::new("ip_address", Kind::Text { least: 0, most: 45 }, "the address that it was asked from").filter(),
            Field::new("category", Kind::Choice(Category::NAMES), "what it is about").filter().order(),
            Field::new("category_display", Kind::Other(text_schema), "what it is about, for people").computed(),
            Field::new("action", Kind::Text { least: 0, most: 100 }, "what was done").filter().order(),
            Field::new("action_display", Kind::Other(text_schema), "what was done, for people").computed(),
            Field::new("resource_type", Kind::Text { least: 0, most: 100 }, "what it was done to: the type").filter(),
            Field::new("resource_id", Kind::Text { least: 0, most: 254 }, "what it was done to: the id"),
            Field::new("resource_name", Kind::Text { least: 0, most: 254 }, "what it was done to: the name").search(),
            Field::new("description", Kind::Text { least: 0, most: 2000 }, "what was done, as a sentence").search(),
            Field::new("metadata", Kind::ObjectText, "the details"),
            Field::new("content_size", Kind::Integer, "how many bytes of content there were"),
            Field::new("content_truncated", Kind::Boolean, "whether the content was cut"),
            Field::new("success", Kind::Boolean, "whether it was done, or only tried").filter(),
            Field::new("error_message", Kind::Text { least: 0, most: 2000 }, "why it was not done"),
            $($field,)*
        ]
    };
}

fn text_schema() -> Value {
    json!({ "type": "string" })
}

/// Rows as a list shows them.
struct Logs;

static LOG: Model = Model {
    app: "audit",
    name: "log",
    title: "AuditLog",
    table: TABLE,
    default_order: "-sequence",
    fields: row_fields![],
};

impl Resource for Logs {
    const VERBS: &'static [Verb] = &[Verb::View];

    fn model() -> &'static Model {
        &LOG
    }

    fn access(_verb: Verb) -> Access {
        Access::Admin
    }

    fn visible(_caller: &Caller, query: &mut SelectStatement) {
        hide_forgotten(query);
    }

    fn filters() -> &'static [Filter] {
        filters::OF_ROWS
    }

    async fn complete(state: &AppState, records: &mut [Record]) -> Result<(), ApiError> {
        complete_names(state, records).await
    }
}

/// One row with everything.
struct LogDetails;

static LOG_DETAILS: Model = Model {
    app: "audit",
    name: "log",
    title: "AuditLogDetail",
    table: TABLE,
    default_order: "-sequence",
    fields: row_fields![
        Field::new("user_agent", Kind::Text { least: 0, most: 200 }, "what the client said it is"),
        Field::new("content", Kind::Other(text_schema), "the content").computed().nullable(),
    ],
};

impl Resource for LogDetails {
    const VERBS: &'static [Verb] = &[Verb::View];

    fn model() -> &'static Model {
        &LOG_DETAILS
    }

    fn access(_verb: Verb) -> Access {
        Access::Admin
    }

    fn visible(_caller: &Caller, query: &mut SelectStatement) {
        hide_forgotten(query);
    }

    async fn complete(state: &AppState, records: &mut [Record]) -> Result<(), ApiError> {
        for record in records.iter_mut() {
            let query = Query::select()
                .columns(["content", "content_compressed"].map(Alias::new))
                .from(Alias::new(TABLE))
                .and_where(column("sequence").eq(record["sequence"].as_i64()))
                .take();
            let kept = state.db().first::<(Option<Vec<u8>>, bool)>(&query).await?;
            let content = match kept {
                Some((Some(content), is_compressed)) => {
                    let text = unpack(&content, is_compressed).map_err(|error| ApiError::Internal(error.into()))?;
                    Value::String(text)
                }
                _ => Value::Null,
            };
            record.insert("content".into(), content);
        }
        complete_names(state, records).await
    }
}

/// What retention emptied has nothing to show.
fn hide_forgotten(query: &mut SelectStatement) {
    query.and_where(column("forgotten_at").is_null());
}

fn column(name: &'static str) -> Expr {
    Expr::col((Alias::new(TABLE), Alias::new(name)))
}

/// Adds the names for people.
async fn complete_names(state: &AppState, records: &mut [Record]) -> Result<(), ApiError> {
    let ids: std::collections::BTreeSet<_> = records.iter().filter_map(|record| record["user"].as_i64()).collect();
    let query = Query::select()
        .columns(["id", "first_name", "last_name"].map(Alias::new))
        .from(Alias::new("auth_user"))
        .and_where(Expr::col(Alias::new("id")).is_in(ids))
        .take();
    let users: BTreeMap<_, _> = state
        .db()
        .all::<(i64, String, String)>(&query)
        .await?
        .into_iter()
        .map(|(id, first, last)| (id, format!("{first} {last}").trim().to_owned()))
        .collect();
    for record in records {
        let full_name = record["user"].as_i64().and_then(|id| users.get(&id)).filter(|name| !name.is_empty());
        let shown = full_name.map_or_else(|| record["username"].clone(), |name| name.clone().into());
        record.insert("user_display".into(), shown);
        let title = Category::title_of(record["category"].as_str().unwrap_or_default());
        record.insert("category_display".into(), title.into());
        let action = sentence(record["action"].as_str().unwrap_or_default());
        record.insert("action_display".into(), action.into());
    }
    Ok(())
}
