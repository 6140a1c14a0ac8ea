//! Saved queries carried from one server to another: what they ask, without ids, owners and connections.

use std::collections::BTreeSet;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use sea_query::{Alias, Expr, ExprTrait, Query as Select};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::actions::free_name;
use super::saved::{Queries, shown};
use super::{PATH, VIEW};
use crate::server::audit::{Actor, Category, Entry};
use crate::server::caller::Caller;
use crate::server::describe::{Describe, Operation, reason};
use crate::server::error::{ApiError, FieldErrors};
use crate::server::extract::{Body, Json};
use crate::server::folding::fold;
use crate::server::model::Values;
use crate::server::moment::Moment;
use crate::server::queries::{self, TABLE, sentence};
use crate::server::quotas::{self, Switch};
use crate::server::registry::{Access, Registry, Route};
use crate::server::resource::{Key, Resource, unknown_ids, write};
use crate::server::state::AppState;
use crate::server::validate::check_object;

/// The version of the format.
const VERSION: &str = "1.0";
/// The fields that say what a query asks.
pub(super) const QUESTION: [&str; 7] =
    ["flow_data", "post_processors", "class_name", "filter", "scope", "options", "path"];
/// The other fields that are carried.
const CARRIED: [&str; 10] = [
    "name",
    "description",
    "tags_list",
    "key_fields",
    "is_template",
    "is_validation_query",
    "validation_description",
    "enable_time_machine",
    "enable_pagination",
    "page_size",
];

pub(super) fn declare(registry: &mut Registry) {
    let all = |action: &str| format!("{PATH}{action}/");
    let view = || Access::Permission(VIEW.into());
    let add = || Access::Permission("queries.add_saved_query".into());
    for route in [
        Route::post(&all("export"), "queries_saved_query_export", view(), export)
            .about("Returns queries as a file, without ids, owners and connections."),
        Route::post(&all("import_queries"), "queries_saved_query_import", add(), import).about(
            "Saves the queries of a file, each that can be. 201 when one was saved; 400 with the same answer when none was.",
        ),
        Route::post(&all("export-validation"), "queries_saved_query_export_validation", view(), export_validation)
            .about("Returns queries that check something as a file: those named, or all that are visible."),
        Route::post(&all("import-validation"), "queries_saved_query_import_validation", add(), import_validation)
            .about("Saves queries that check something; says what to do where a name is taken."),
    ] {
        registry.add(route);
    }
}

/// Which queries.
#[derive(Deserialize, JsonSchema)]
struct ExportRequest {
    /// 1 to 100 ids, none twice.
    #[schemars(length(min = 1, max = 100))]
    query_ids: Vec<i64>,
}

/// Which queries.
#[derive(Deserialize, JsonSchema)]
struct ValidationExportRequest {
    /// At most 100 ids, none twice; all where left out.
    #[serde(default)]
    #[schemars(length(max = 100))]
    query_ids: Option<Vec<i64>>,
}

/// Queries as a file.
#[derive(Serialize, JsonSchema)]
struct QueryFile {
    /// `1.0`.
    version: &'static str,
    exported_at: Moment,
    /// The name of who exported.
    exported_by: String,
    query_count: usize,
    queries: Vec<Value>,
}

impl IntoResponse for QueryFile {
    fn into_response(self) -> Response {
        let name = format!("attachment; filename=\"fabrik-queries-{}.json\"", self.exported_at.0.format("%Y-%m-%d"));
        ([(header::CONTENT_DISPOSITION, name)], axum::Json(self)).into_response()
    }
}

impl Describe for QueryFile {
    fn describe(operation: &mut Operation<'_>) {
        let schema = operation.schemas.given::<Self>();
        let header = json!({ "description": "the name of the file", "schema": { "type": "string" } });
        let answer = json!({
            "description": reason(200),
            "headers": { "Content-Disposition": header },
            "content": { "application/json": { "schema": schema } },
        });
        operation.response(200, answer);
    }
}

async fn export(
    State(state): State<AppState>,
    caller: Caller,
    Body(body): Body<ExportRequest>,
) -> Result<QueryFile, ApiError> {
    if body.query_ids.is_empty() {
        return Err(ApiError::field("query_ids", "Ensure this field has at least 1 elements."));
    }
    file_of(&state, &caller, &body.query_ids).await
}

async fn export_validation(
    State(state): State<AppState>,
    caller: Caller,
    Body(body): Body<ValidationExportRequest>,
) -> Result<QueryFile, ApiError> {
    let ids = match body.query_ids {
        Some(ids) => ids,
        None => {
            let mut query = Select::select()
                .column((Alias::new(TABLE), Alias::new("id")))
                .from(Alias::new(TABLE))
                .and_where(Expr::col(Alias::new("is_validation_query")).eq(true))
                .order_by((Alias::new(TABLE), Alias::new("id")), sea_query::Order::Asc)
                .take();
            queries::narrow_to_visible(&caller, &mut query);
            state.db().all::<(i64,)>(&query).await?.into_iter().map(|(id,)| id).collect()
        }
    };
    file_of(&state, &caller, &ids).await
}

async fn file_of(state: &AppState, caller: &Caller, ids: &[i64]) -> Result<QueryFile, ApiError> {
    quotas::require(state, caller, Switch::CanExportData).await?;
    if ids.iter().collect::<BTreeSet<_>>().len() < ids.len() {
        return Err(ApiError::field("query_ids", "An id is there twice."));
    }
    let visible = queries::visible_ids(state, caller).await?;
    let unknown: Vec<_> = ids.iter().copied().filter(|id| visible.binary_search(id).is_err()).collect();
    if !unknown.is_empty() {
        return Err(unknown_ids("query_ids", &unknown));
    }
    let mut queries = Vec::with_capacity(ids.len());
    for id in ids {
        let query = shown::<200>(state, caller, *id).await?.value;
        let fields = CARRIED.iter().chain(&QUESTION).chain(&["category_name", "generated_query"]);
        queries.push(fields.map(|name| ((*name).to_owned(), query[*name].clone())).collect::<Map<_, _>>().into());
    }
    Entry::new(Category::QueryManagement, "queries_exported", "Queries exported")
        .with(json!({ "query_ids": ids }))
        .record(state, &Actor::of(caller))
        .await?;
    Ok(QueryFile {
        version: VERSION,
        exported_at: Moment(state.clock().now()),
        exported_by: caller.username().to_owned(),
        query_count: queries.len(),
        queries,
    })
}

/// A file of queries.
#[derive(Deserialize, JsonSchema)]
struct ImportRequest {
    /// `1.0`.
    version: String,
    /// At most 100, no name twice.
    #[schemars(length(max = 100))]
    queries: Vec<Map<String, Value>>,
}

/// What was saved of a file.
#[derive(Serialize, JsonSchema)]
struct ImportAnswer {
    success_count: usize,
    error_count: usize,
    created_queries: Vec<ImportedQuery>,
    errors: Vec<ImportError>,
}

/// A query that was saved.
#[derive(Serialize, JsonSchema)]
struct ImportedQuery {
    id: i64,
    name: String,
}

/// A query that was not saved.
#[derive(Serialize, JsonSchema)]
struct ImportError {
    /// Its place in the file, from 0.
    index: usize,
    name: String,
    error: String,
}

impl IntoResponse for ImportAnswer {
    fn into_response(self) -> Response {
        let is_in_vain = self.success_count == 0 && self.error_count > 0;
        let status = if is_in_vain { StatusCode::BAD_REQUEST } else { StatusCode::CREATED };
        (status, axum::Json(self)).into_response()
    }
}

impl Describe for ImportAnswer {
    fn describe(operation: &mut Operation<'_>) {
        let schema = operation.schemas.given::<Self>();
        operation.json_response(201, &schema);
        // Where no query could be saved, the same tells why of each; a body that makes no sense is refused by fields.
        let invalid = json!({ "$ref": "#/components/schemas/FieldErrors" });
        operation.json_response(400, &json!({ "anyOf": [schema, invalid] }));
    }
}

fn name_of(item: &Map<String, Value>) -> &str {
    item.get("name").and_then(Value::as_str).unwrap_or_default()
}

fn refuse_repeated(queries: &[Map<String, Value>]) -> Result<(), ApiError> {
    let mut names = BTreeSet::new();
    match queries.iter().map(name_of).find(|name| !name.is_empty() && !names.insert(fold(name))) {
        Some(name) => Err(ApiError::field("queries", format!("The name \"{name}\" is there twice."))),
        None => Ok(()),
    }
}

async fn import(
    State(state): State<AppState>,
    caller: Caller,
    Body(body): Body<ImportRequest>,
) -> Result<ImportAnswer, ApiError> {
    if body.version != VERSION {
        return Err(ApiError::field("version", format!("\"{}\" is not a valid choice.", body.version)));
    }
    refuse_repeated(&body.queries)?;
    quotas::require(&state, &caller, Switch::CanCreateQueries).await?;
    let (mut created_queries, mut errors) = (Vec::new(), Vec::new());
    for (index, item) in body.queries.into_iter().enumerate() {
        let name = name_of(&item).to_owned();
        match save(&state, &caller, item, None, &[]).await {
            Ok(id) => created_queries.push(ImportedQuery { id, name }),
            Err(error) => errors.push(ImportError { index, name, error: told(error)? }),
        }
    }
    tell(&state, &caller, created_queries.iter().map(|query| query.id).collect(), errors.len()).await?;
    Ok(ImportAnswer { success_count: created_queries.len(), error_count: errors.len(), created_queries, errors })
}

async fn tell(state: &AppState, caller: &Caller, ids: Vec<i64>, errors: usize) -> Result<(), ApiError> {
    let entry = Entry::new(Category::QueryManagement, "queries_imported", "Queries imported");
    let entry = entry.with(json!({ "query_ids": ids, "error_count": errors }));
    Ok(entry.record(state, &Actor::of(caller)).await?)
}

/// Returns what is said of a query that cannot be saved; where the server fails, all ends.
fn told(error: ApiError) -> Result<String, ApiError> {
    match error {
        ApiError::Internal(_) => Err(error),
        other => Ok(sentence(&other)),
    }
}

/// Saves a query of a file, in place of one that is there or as a new one.
async fn save(
    state: &AppState,
    caller: &Caller,
    mut item: Map<String, Value>,
    key: Option<i64>,
    set: &[(&'static str, Value)],
) -> Result<i64, ApiError> {
    let path = item.remove("generated_query").filter(|path| !path.is_null() && path != "");
    if let Some(path) = &path
        && !path.as_str().is_some_and(|path| path.starts_with("/api/"))
    {
        return Err(ApiError::field("generated_query", "It must begin with /api/."));
    }
    let is_given = |name: &&str| item.get(*name).is_some_and(|value| !value.is_null());
    if !["flow_data", "nodes", "edges", "class_name", "path"].iter().any(is_given)
        && let Some(path) = path
    {
        item.insert("path".into(), path);
    }
    let category = match item.remove("category_name") {
        Some(Value::String(name)) => category_named(state, &name).await?,
        _ => None,
    };
    // What is only good where it came from, or is the importer's to decide.
    for name in ["category", "apic_connection", "series", "shared_with", "is_public"] {
        item.remove(name);
    }
    item.retain(|name, value| *value != Value::Null || QUESTION.contains(&name.as_str()));
    let components = state.api().components();
    let schema = components.get(&Queries::model().create_schema().0).expect("the route that saves was declared");
    let mut errors = FieldErrors::default();
    let mut item = Value::Object(item);
    check_object(schema, components, &mut item, &mut errors);
    errors.into_result()?;
    let Value::Object(item) = item else { return Err(ApiError::field("queries", "Expected a list of objects.")) };
    let mut values = Values::of(item, Queries::model().creatable());
    if let Some(category) = category {
        values.set("category", category);
    }
    for (name, value) in set {
        values.set(name, value.clone());
    }
    Ok(write::<Queries>(state, caller, key.map(Key::Number), values).await?.number())
}

async fn category_named(state: &AppState, name: &str) -> Result<Option<i64>, ApiError> {
    let query = Select::select()
        .column(Alias::new("id"))
        .from(Alias::new("query_category"))
        .and_where(Expr::col(Alias::new("name_key")).eq(fold(name)))
        .take();
    Ok(state.db().first::<(i64,)>(&query).await?.map(|(id,)| id))
}

/// A file of queries that check something.
#[derive(Deserialize, JsonSchema)]
struct ValidationImportRequest {
    /// At most 100, no name twice.
    #[schemars(length(max = 100))]
    queries: Vec<Map<String, Value>>,
    /// What to do where the caller has a query of the same name.
    #[serde(default)]
    on_duplicate: OnDuplicate,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
enum OnDuplicate {
    #[default]
    Skip,
    Overwrite,
    Rename,
}

/// What was saved of a file.
#[derive(Default, Serialize, JsonSchema)]
struct ValidationImportAnswer {
    imported: usize,
    skipped: usize,
    overwritten: usize,
    errors: Vec<ImportError>,
    queries: Vec<ImportedQuery>,
}

async fn import_validation(
    State(state): State<AppState>,
    caller: Caller,
    Body(body): Body<ValidationImportRequest>,
) -> Result<Json<ValidationImportAnswer>, ApiError> {
    refuse_repeated(&body.queries)?;
    quotas::require(&state, &caller, Switch::CanCreateQueries).await?;
    let mut answer = ValidationImportAnswer::default();
    for (index, mut item) in body.queries.into_iter().enumerate() {
        let mut name = name_of(&item).to_owned();
        let there = own_named(&state, caller.id(), &name).await?;
        match (there, body.on_duplicate) {
            (Some(_), OnDuplicate::Skip) => {
                answer.skipped += 1;
                continue;
            }
            (Some(_), OnDuplicate::Rename) => {
                name = free_name(&state, caller.id(), &name, "Copy").await?;
                item.insert("name".into(), name.as_str().into());
            }
            _ => {}
        }
        let key = there.filter(|_| body.on_duplicate == OnDuplicate::Overwrite);
        match save(&state, &caller, item, key, &[("is_validation_query", true.into())]).await {
            Ok(id) => {
                *(if key.is_some() { &mut answer.overwritten } else { &mut answer.imported }) += 1;
                answer.queries.push(ImportedQuery { id, name });
            }
            Err(error) => answer.errors.push(ImportError { index, name, error: told(error)? }),
        }
    }
    tell(&state, &caller, answer.queries.iter().map(|query| query.id).collect(), answer.errors.len()).await?;
    Ok(Json(answer))
}

async fn own_named(state: &AppState, owner: i64, name: &str) -> Result<Option<i64>, ApiError> {
    let query = Select::select()
        .column(Alias::new("id"))
        .from(Alias::new(TABLE))
        .and_where(Expr::col(Alias::new("owner_id")).eq(owner))
        .and_where(Expr::col(Alias::new("name_key")).eq(fold(name)))
        .take();
    Ok(state.db().first::<(i64,)>(&query).await?.map(|(id,)| id))
}
