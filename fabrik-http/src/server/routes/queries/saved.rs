//! Saved queries: list, read, make, replace, change, delete.

mod adoption;
mod completed;

use axum::extract::State;
use fabrik_apic::graph::{Fingerprint, Version, rise};
use hashbrown::HashSet;
use schemars::JsonSchema;
use sea_query::{Alias, Expr, ExprTrait, Func, Query as Select, SelectStatement};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{PATH, categories};
use crate::server::audit::Category;
use crate::server::caller::Caller;
use crate::server::connections;
use crate::server::db::Transaction;
use crate::server::error::{ApiError, FieldErrors};
use crate::server::extract::{Path, Query};
use crate::server::folding::fold;
use crate::server::listing::Listing;
use crate::server::memberships::QUERY_SHARES;
use crate::server::model::{Field, Kind, Model, Record, Values, Verb};
use crate::server::moment::Moment;
use crate::server::queries::{self, TABLE, key_of, liked_by, narrow_to_visible};
use crate::server::quotas::{self, Stock, Switch};
use crate::server::registry::{Registry, Route};
use crate::server::resource::{
    Audited, ChangedRecord, Key, NewRecord, Resource, Shown, Write, list_among, show, unknown_ids, write,
};
use crate::server::state::AppState;
use completed::{complete_items, complete_questions};

pub(super) use completed::mark;

pub(super) fn declare(registry: &mut Registry) {
    let one = format!("{PATH}{{id}}/");
    let access = |verb| Queries::access(verb);
    for route in [
        Route::get(PATH, "queries_saved_query_list", access(Verb::View), list)
            .about("Lists the saved queries that the caller can see: own, shared and public ones, without their graphs."),
        Route::get(&one, "queries_saved_query_retrieve", access(Verb::View), retrieve)
            .about("Returns one saved query with what it asks."),
        Route::post(PATH, "queries_saved_query_create", access(Verb::Add), create).about(
            "Saves a query. It asks a graph (`flow_data`, or its parts `nodes`, `edges`, `variables` at the top) or the \
             plain form: `class_name` with `filter`, `scope` and `options`, or a `path`. `post_processors` work on the rows.",
        ),
        Route::put(&one, "queries_saved_query_replace", access(Verb::Change), replace)
            .about("Replaces one saved query; what it asks stays where none of it is given."),
        Route::patch(&one, "queries_saved_query_update", access(Verb::Change), change)
            .about("Changes fields of one saved query. Its version rises with what it asks."),
    ] {
        registry.add(route);
    }
    registry.resource::<Queries>(PATH);
}

/// A saved query in full.
pub(super) struct Queries;

/// A saved query in a list.
pub(super) struct Items;

/// Declares the fields of an item, and behind them those that only a query in full has.
macro_rules! fields {
    ($($more:expr,)*) => {
        &[
            Field::new("id", Kind::Integer, "the id of the query"),
            Field::new("name", Kind::Text { least: 3, most: 200 }, "the name, which its owner has given no other query")
                .required()
                .search()
                .order(),
            Field::new("name_key", Kind::Text { least: 0, most: 1000 }, "what names are compared by").hidden(),
            Field::new("owner_id", Kind::Integer, "whose it is").hidden(),
            Field::new("description", Kind::Text { least: 0, most: 10_000 }, "what it is for").writable().search(),
            Field::new("category", Kind::Integer, "the category").writable().nullable().filter(),
            Field::new("category_name", Kind::Text { least: 0, most: 100 }, "the name of the category").nullable().computed(),
            Field::new("tags", Kind::Text { least: 0, most: 2000 }, "words to find it by, divided by commas").writable().search(),
            Field::new("tags_list", Kind::Other(texts_schema), "the same as a list, which wins over the text").writable().computed(),
            Field::new("apic_connection", Kind::Integer, "the connection that it runs on unless told").writable().nullable().filter(),
            Field::new("created_by", Kind::Other(user_schema), "whose it is; null where the account is gone").nullable().computed(),
            Field::new("is_public", Kind::Boolean, "whether everybody sees and may run it").writable().filter(),
            Field::new("is_template", Kind::Boolean, "whether it is there to be copied").writable().filter(),
            Field::new("is_favorite", Kind::Boolean, "whether the caller likes it").computed(),
            Field::new("execution_count", Kind::Integer, "how often it was run").order(),
            Field::new("last_executed_at", Kind::Moment, "when it was run last").nullable().order(),
            Field::new("created_at", Kind::Moment, "since when there is the query").order(),
            Field::new("updated_at", Kind::Moment, "when it was changed last").order(),
            Field::new("enable_time_machine", Kind::Boolean, "whether scheduled runs are kept as snapshots").writable().filter(),
            Field::new("major_version", Kind::Integer, "rises with classes, edges, scope and options"),
            Field::new("minor_version", Kind::Integer, "rises with filters, post-processors and variables"),
            Field::new("version_string", Kind::Text { least: 0, most: 30 }, "both, such as 1.2").computed(),
            Field::new("current_version", Kind::Text { least: 0, most: 30 }, "the same").computed(),
            Field::new("current_version_hash", Kind::Text { least: 0, most: 80 }, "what it asks, as a hash"),
            Field::new("is_validation_query", Kind::Boolean, "whether it checks something").writable().filter(),
            Field::new("validation_description", Kind::Text { least: 0, most: 10_000 }, "what it checks").writable(),
            Field::new("validation_usage_count", Kind::Integer, "how often it was used to check"),
            Field::new("last_validated_at", Kind::Moment, "when it was used to check last").nullable(),
            $($more,)*
        ]
    };
}

static ITEM: Model = Model {
    app: "queries",
    name: "saved_query",
    title: "SavedQueryItem",
    table: TABLE,
    default_order: "-created_at",
    fields: fields! {},
};

static QUERY: Model = Model {
    app: "queries",
    name: "saved_query",
    title: "SavedQuery",
    table: TABLE,
    default_order: "-created_at",
    fields: fields! {
        Field::new("series", Kind::Text { least: 1, most: 200 },
            "the name of its history in the store of snapshots, the id unless told; an administrator may name one that is \
             there already and belongs to no other query, as long as the query has no snapshots of its own")
            .writable().kept().nullable(),
        Field::new("key_fields", Kind::Other(texts_schema), "the columns that rows of its snapshots are known by; none is the DN")
            .writable().nullable(),
        Field::new("enable_pagination", Kind::Boolean, "whether its rows are shown page by page").writable(),
        Field::new("page_size", Kind::Range { least: 1, most: 1000 }, "how many rows a page shows").writable(),
        Field::new("shared_with", Kind::Ids, "the users who may see and run it, too").writable().computed(),
        Field::new("shared_with_users", Kind::Other(users_schema), "the same with their names").computed(),
        Field::new("can_edit", Kind::Boolean, "whether the caller may change it").computed(),
        Field::new("can_delete", Kind::Boolean, "whether the caller may delete it").computed(),
        Field::new("flow_data", Kind::Other(flow_schema), "the graph: nodes, edges, variables; null for the plain form")
            .writable().nullable().computed(),
        Field::new("nodes", Kind::Other(list_schema), "the nodes of the graph").writable().nullable().computed(),
        Field::new("edges", Kind::Other(list_schema), "the edges of the graph").writable().nullable().computed(),
        Field::new("variables", Kind::Other(list_schema), "the values that a run is given").writable().nullable().computed(),
        Field::new("post_processors", Kind::Other(list_schema),
            "the steps that work on the rows, after those of the graph's nodes")
            .writable().computed(),
        Field::new("class_name", Kind::Text { least: 0, most: 1000 }, "the class of the plain form").writable().nullable().computed(),
        Field::new("filter", Kind::Text { least: 0, most: 100_000 }, "which objects of the class, as the controller writes it")
            .writable().nullable().computed(),
        Field::new("scope", Kind::Text { least: 0, most: 20 }, "self, children or subtree").writable().nullable().computed(),
        Field::new("options", Kind::Other(options_schema), "further options of the controller's interface")
            .writable().computed(),
        Field::new("path", Kind::Text { least: 0, most: 100_000 }, "in place of a class, what to ask as a path")
            .writable().nullable().computed(),
        Field::new("generated_query", Kind::Text { least: 0, most: 200_000 },
            "what the controller is asked where no variable is given; null where that is not enough")
            .nullable().computed(),
        Field::new("problem", Kind::Text { least: 0, most: 100_000 }, "why it cannot run without more").nullable().computed(),
        Field::new("version_history", Kind::Other(history_schema), "its versions, the newest first").computed(),
        Field::new("question", Kind::Text { least: 0, most: 10_000_000 }, "what it asks").hidden(),
    },
};

fn texts_schema() -> Value {
    json!({ "type": "array", "items": { "type": "string", "maxLength": 1000 }, "maxItems": 100 })
}

fn list_schema() -> Value {
    json!({ "type": "array", "items": { "type": "object", "additionalProperties": true }, "maxItems": 10_000 })
}

fn flow_schema() -> Value {
    json!({ "type": "object", "additionalProperties": true })
}

fn options_schema() -> Value {
    json!({ "type": "object", "additionalProperties": { "type": "string" } })
}

fn user_schema() -> Value {
    json!({
        "type": "object", "required": ["id", "username"],
        "properties": { "id": { "type": "integer", "format": "int64" }, "username": { "type": "string" } },
    })
}

fn users_schema() -> Value {
    json!({ "type": "array", "items": user_schema() })
}

fn history_schema() -> Value {
    let text = json!({ "type": "string" });
    json!({ "type": "array", "items": {
        "type": "object",
        "required": ["version", "hash", "changes", "created_at", "created_by_id", "created_by_username"],
        "properties": {
            "version": text, "hash": text, "changes": text,
            "created_at": { "type": "string", "format": "date-time" },
            "created_by_id": { "type": "integer", "format": "int64", "nullable": true },
            "created_by_username": text,
        },
    } })
}

fn column(name: &str) -> Expr {
    Expr::col((Alias::new(TABLE), Alias::new(name)))
}

impl Resource for Items {
    const VERBS: &'static [Verb] = &[];

    fn model() -> &'static Model {
        &ITEM
    }

    fn visible(caller: &Caller, query: &mut SelectStatement) {
        narrow_to_visible(caller, query);
    }

    async fn complete(state: &AppState, records: &mut [Record]) -> Result<(), ApiError> {
        complete_items(state, records).await
    }
}

impl Resource for Queries {
    // The other routes say more than what is stored.
    const VERBS: &'static [Verb] = &[Verb::Delete];
    const AUDIT: Option<Audited> = Some(Audited {
        category: Category::QueryManagement,
        created: "query_created",
        updated: "query_updated",
        deleted: "query_deleted",
        name: "name",
    });

    fn model() -> &'static Model {
        &QUERY
    }

    fn visible(caller: &Caller, query: &mut SelectStatement) {
        narrow_to_visible(caller, query);
    }

    async fn complete(state: &AppState, records: &mut [Record]) -> Result<(), ApiError> {
        complete_items(state, records).await?;
        complete_questions(state, records).await
    }

    async fn prepare(state: &AppState, caller: &Caller, values: &mut Values, key: Option<Key>) -> Result<(), ApiError> {
        if key.is_none() {
            quotas::require(state, caller, Switch::CanCreateQueries).await?;
        }
        let shares = values.get("shared_with").and_then(Value::as_array).is_some_and(|ids| !ids.is_empty());
        if shares || values.get("is_public").is_some_and(|value| *value == true) {
            quotas::require(state, caller, Switch::CanShareResources).await?;
        }
        if let Some(id) = values.get("apic_connection").and_then(Value::as_i64) {
            let before = match key {
                Some(key) => queries::find(state, caller, key.number()).await?.connection_id,
                None => None,
            };
            // What was there may stay, also where the caller cannot see it.
            if before != Some(id) {
                known_connection(state, caller, id).await?;
            }
        }
        adoption::prepare(state, caller, values, key).await
    }

    async fn before_write(write: &mut Write<'_>, key: Option<Key>) -> Result<(), ApiError> {
        let before = match key {
            Some(key) => Some(stored(write.transaction, write.caller, key.number()).await?),
            None => None,
        };
        let question = queries::take_question(&mut write.values, before.as_ref().map(|before| &before.query.question))?;
        check(write, before.as_ref()).await?;
        let now = Moment(write.state.clock().now()).to_string();
        write.values.set("updated_at", now.clone());
        let (version, fingerprint, changes) = match (&before, &question) {
            (_, None) => return Ok(()),
            (None, Some(question)) => {
                quotas::check_stock(write.transaction, write.caller, Stock::SavedQueries).await?;
                write.values.set("owner_id", write.caller.id());
                write.values.set("created_at", now);
                (Version::FIRST, Fingerprint::of(question), "created".to_owned())
            }
            (Some(before), Some(question)) => match rise(before.query.version, &before.query.question, question) {
                Some(rise) => (rise.version, rise.fingerprint, rise.changes),
                None => (before.query.version, Fingerprint::of(question), String::new()),
            },
        };
        write
            .values
            .set("question", serde_json::to_string(&question).map_err(|error| ApiError::Internal(error.into()))?);
        write.values.set("major_version", version.major);
        write.values.set("minor_version", version.minor);
        write.values.set("current_version_hash", fingerprint.to_string());
        if !changes.is_empty() {
            write.values.set("version_history", json!([version.to_string(), fingerprint.to_string(), changes]));
        }
        Ok(())
    }

    async fn after_write(write: &mut Write<'_>, key: Key) -> Result<(), ApiError> {
        let id = key.number();
        adoption::check_number(write, id).await?;
        if let Some(entry) = write.values.take("version_history") {
            let text = |place: usize| entry[place].as_str().unwrap_or_default();
            let entry = [text(0), text(1), text(2)];
            queries::keep_version(write.transaction, write.state, write.caller, id, entry).await?;
        }
        if let Some(ids) = write.values.take_ids("shared_with") {
            QUERY_SHARES.set(write.transaction, id, &ids, "shared_with").await?;
        }
        if let Some(ids) = write.values.take_ids("recount") {
            categories::recount(write.transaction, ids).await?;
        }
        Ok(())
    }

    async fn before_delete(write: &mut Write<'_>, key: Key) -> Result<(), ApiError> {
        let before = stored(write.transaction, write.caller, key.number()).await?;
        if let Some(category) = before.category {
            let gone = Select::update()
                .table(Alias::new(TABLE))
                .value(Alias::new("category"), None::<i64>)
                .and_where(Expr::col(Alias::new("id")).eq(key))
                .take();
            write.transaction.run(&gone).await?;
            categories::recount(write.transaction, [category]).await?;
        }
        Ok(())
    }
}

/// A query before it is changed.
struct Stored {
    query: queries::SavedQuery,
    category: Option<i64>,
    enable_pagination: bool,
}

/// Reads a query that the caller sees, or fails where the caller may not change it.
async fn stored(transaction: &mut Transaction, caller: &Caller, id: i64) -> Result<Stored, ApiError> {
    let query = queries::within(transaction, id).await?;
    if !queries::may_edit(caller, &query) {
        return Err(ApiError::forbidden());
    }
    let rest = Select::select()
        .columns(["category", "enable_pagination"].map(Alias::new))
        .from(Alias::new(TABLE))
        .and_where(Expr::col(Alias::new("id")).eq(id))
        .take();
    let (category, enable_pagination) = transaction.first(&rest).await?.ok_or(ApiError::NotFound)?;
    Ok(Stored { query, category, enable_pagination })
}

/// Fails where there is no such connection that the caller can see.
pub(super) async fn known_connection(
    state: &AppState,
    caller: &Caller,
    id: i64,
) -> Result<connections::Connection, ApiError> {
    connections::find(state, caller, id).await.map_err(|error| match error {
        ApiError::NotFound => unknown_ids("apic_connection", &[id]),
        other => other,
    })
}

/// Checks the fields beside what is asked, and brings them into the form that is kept.
async fn check(write: &mut Write<'_>, before: Option<&Stored>) -> Result<(), ApiError> {
    let mut errors = FieldErrors::default();
    let owner = before.map_or(Some(write.caller.id()), |before| before.query.owner_id);
    if let Some(name) = write.values.text("name").map(fold) {
        let others = Select::select()
            .expr(Func::count(Expr::col(Alias::new("id"))))
            .from(Alias::new(TABLE))
            .and_where(Expr::col(Alias::new("owner_id")).eq(owner))
            .and_where(Expr::col(Alias::new("name_key")).eq(name.as_str()))
            .and_where(Expr::col(Alias::new("id")).ne(before.map_or(0, |before| before.query.id)))
            .take();
        if write.transaction.number(&others).await? > 0 {
            errors.add("name", "saved query with this name already exists.");
        }
        write.values.set("name_key", name);
    }
    match write.values.get("category").cloned() {
        Some(category) if category.as_i64() != before.and_then(|before| before.category) => {
            let old = before.and_then(|before| before.category);
            if let Some(id) = category.as_i64()
                && categories::name_of(write.transaction, id).await?.is_none()
            {
                errors.add("category", format!("Invalid pk \"{id}\" - object does not exist."));
            }
            write.values.set("recount", json!(old.into_iter().chain(category.as_i64()).collect::<Vec<_>>()));
        }
        _ => {}
    }
    let tags = write.values.take("tags_list").map(|tags| {
        let tags: Vec<_> = tags.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        tags.join(",")
    });
    if let Some(tags) = tags.or_else(|| write.values.text("tags").map(str::to_owned)) {
        let tags = divided(&tags).join(",");
        if tags.chars().count() > 2000 {
            errors.add("tags_list", "Ensure this field has no more than 2000 characters.");
        }
        write.values.set("tags", tags);
    }
    if let Some(fields) = write.values.get("key_fields") {
        match key_of(Some(fields)) {
            Ok(fabrik_core::KeySpec::Fields(_)) => {}
            Ok(_) => write.values.set("key_fields", Value::Null),
            Err(error) => return Err(error),
        }
    }
    if let Some(series) = write.values.text("series").map(str::to_owned) {
        let own = before.map_or(0, |before| before.query.id);
        adoption::check(write, own, &series, &mut errors).await?;
    }
    let is = |name: &str, unless: bool| write.values.get(name).map_or(unless, |value| *value == true);
    let time_machine = is("enable_time_machine", before.is_some_and(|before| before.query.enable_time_machine));
    let pagination = is("enable_pagination", before.is_some_and(|before| before.enable_pagination));
    if time_machine && pagination {
        errors.add("enable_pagination", "Pages and the Time Machine exclude each other: a snapshot has all rows.");
    }
    errors.into_result()
}

/// Returns the words of a text with commas, each once.
fn divided(tags: &str) -> Vec<&str> {
    let mut seen = HashSet::new();
    tags.split(',').map(str::trim).filter(|tag| !tag.is_empty() && seen.insert(*tag)).collect()
}

/// Returns a query in full, as the caller sees it.
pub(super) async fn shown<const STATUS: u16>(
    state: &AppState,
    caller: &Caller,
    id: i64,
) -> Result<Shown<Queries, false, STATUS>, ApiError> {
    let mut record = [show::<Queries>(state, caller, Key::Number(id)).await?.value];
    mark(state, caller, &mut record).await?;
    let [record] = record;
    Ok(Shown::ok(record))
}

/// Which of the visible queries.
#[derive(Deserialize, JsonSchema)]
struct MineQuery {
    /// Only those that the caller likes, or does not like.
    #[serde(default)]
    is_favorite: Option<bool>,
    /// The same.
    #[serde(default)]
    favorites: Option<bool>,
    /// Only the own ones, or those of others.
    #[serde(default)]
    my_queries: Option<bool>,
    /// The same.
    #[serde(default)]
    is_owner: Option<bool>,
}

async fn list(
    State(state): State<AppState>,
    caller: Caller,
    listing: Listing<Items>,
    Query(mine): Query<MineQuery>,
) -> Result<Shown<Items, true>, ApiError> {
    let mut page = list_among(&state, &caller, &listing, |query| {
        match mine.is_favorite.or(mine.favorites) {
            Some(true) => query.and_where(column("id").in_subquery(liked_by(caller.id()))),
            Some(false) => query.and_where(column("id").not_in_subquery(liked_by(caller.id()))),
            None => query,
        };
        match mine.my_queries.or(mine.is_owner) {
            Some(true) => query.and_where(column("owner_id").eq(caller.id())),
            Some(false) => query.and_where(column("owner_id").is_null().or(column("owner_id").ne(caller.id()))),
            None => query,
        };
    })
    .await?;
    if let Some(records) = page.value["results"].as_array_mut() {
        mark(&state, &caller, records).await?;
    }
    Ok(page)
}

async fn retrieve(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<i64>,
) -> Result<Shown<Queries>, ApiError> {
    shown(&state, &caller, id).await
}

async fn create(
    State(state): State<AppState>,
    caller: Caller,
    body: NewRecord<Queries>,
) -> Result<Shown<Queries, false, 201>, ApiError> {
    let id = write::<Queries>(&state, &caller, None, body.values).await?.number();
    shown(&state, &caller, id).await
}

async fn replace(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<i64>,
    body: ChangedRecord<Queries, true>,
) -> Result<Shown<Queries>, ApiError> {
    write::<Queries>(&state, &caller, Some(Key::Number(id)), body.values).await?;
    shown(&state, &caller, id).await
}

async fn change(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<i64>,
    body: ChangedRecord<Queries, false>,
) -> Result<Shown<Queries>, ApiError> {
    write::<Queries>(&state, &caller, Some(Key::Number(id)), body.values).await?;
    shown(&state, &caller, id).await
}
