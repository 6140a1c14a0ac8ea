//! What is done with saved queries beside changing fields: likes, copies, marks, and figures.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use sea_query::{Alias, Cond, Expr, ExprTrait, Func, Order, Query as Select};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::saved::{Items, Queries, known_connection, mark, shown};
use super::{PATH, VIEW};
use crate::server::audit::{Actor, Category, Entry};
use crate::server::caller::Caller;
use crate::server::describe::{Describe, Operation};
use crate::server::error::ApiError;
use crate::server::extract::{Body, Json, Path, Query};
use crate::server::folding::fold;
use crate::server::model::{Model, Record, Values};
use crate::server::queries::{self, FAVORITES, SHARES, TABLE, liked_by, narrow_to_visible, shared_with};
use crate::server::registry::{Access, Registry, Route};
use crate::server::resource::{Resource, Shown, read, write};
use crate::server::state::AppState;

/// How long a name may be.
const MOST_NAME: usize = 200;

pub(super) fn declare(registry: &mut Registry) {
    let of = |action: &str| format!("{PATH}{{id}}/{action}/");
    let all = |action: &str| format!("{PATH}{action}/");
    let may = |codename: &'static str| Access::Permission(codename.into());
    for route in [
        Route::post(&of("favorite"), "queries_saved_query_favorite", may(VIEW), favorite)
            .about("Likes a query, or no longer."),
        Route::post(&of("duplicate"), "queries_saved_query_duplicate", may("queries.add_saved_query"), duplicate)
            .about("Copies a query: the copy is the caller's and nobody else sees it."),
        Route::post(
            &of("mark-as-validation"),
            "queries_saved_query_mark_as_validation",
            may("queries.change_saved_query"),
            mark_as_validation,
        )
        .about("Says whether a query checks something."),
        Route::get(&all("recent"), "queries_saved_query_recent", may(VIEW), recent)
            .about("Lists the queries that the caller ran last, the last one first."),
        Route::get(&all("popular"), "queries_saved_query_popular", may(VIEW), popular)
            .about("Lists the visible queries that are run most."),
        Route::get(&all("stats"), "queries_saved_query_stats", may(VIEW), stats)
            .about("Counts the queries that the caller can see."),
    ] {
        registry.add(route);
    }
}

fn column(name: &str) -> Expr {
    Expr::col((Alias::new(TABLE), Alias::new(name)))
}

/// Whether the caller likes a query now.
#[derive(Serialize, JsonSchema)]
struct FavoriteState {
    is_favorite: bool,
}

async fn favorite(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<i64>,
) -> Result<Json<FavoriteState>, ApiError> {
    let query = queries::find(&state, &caller, id).await?;
    let mut transaction = state.db().begin().await?;
    let gone = Select::delete()
        .from_table(Alias::new(FAVORITES))
        .and_where(Expr::col(Alias::new("user_id")).eq(caller.id()))
        .and_where(Expr::col(Alias::new("query_id")).eq(id))
        .take();
    let is_favorite = transaction.run(&gone).await? == 0;
    if is_favorite {
        let insert = Select::insert()
            .into_table(Alias::new(FAVORITES))
            .columns(["user_id", "query_id"].map(Alias::new))
            .values_panic([caller.id().into(), id.into()])
            .on_conflict(
                sea_query::OnConflict::columns(["user_id", "query_id"].map(Alias::new)).do_nothing().to_owned(),
            )
            .take();
        transaction.run(&insert).await?;
    }
    Entry::new(Category::QueryManagement, "query_favorited", "Query liked, or no longer")
        .on("saved_query", id, query.name)
        .with(json!({ "is_favorite": is_favorite }))
        .append(&mut transaction, &state, &Actor::of(&caller))
        .await?;
    transaction.commit().await?;
    Ok(Json(FavoriteState { is_favorite }))
}

/// The fields that a copy has from its original, beside the name.
const COPIED: [&str; 10] = [
    "description",
    "tags",
    "category",
    "apic_connection",
    "is_template",
    "enable_time_machine",
    "enable_pagination",
    "page_size",
    "key_fields",
    "validation_description",
];

async fn duplicate(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<i64>,
) -> Result<Shown<Queries, false, 201>, ApiError> {
    let original = shown::<200>(&state, &caller, id).await?.value;
    let name = original["name"].as_str().unwrap_or_default();
    let mut values = Values::default();
    for field in COPIED {
        values.set(field, original[field].clone());
    }
    // A connection that the caller cannot see stays behind.
    if let Some(connection) = original["apic_connection"].as_i64()
        && known_connection(&state, &caller, connection).await.is_err()
    {
        values.set("apic_connection", Value::Null);
    }
    for field in super::exchange::QUESTION {
        values.set(field, original[field].clone());
    }
    values.set("name", free_name(&state, caller.id(), name, "Copy").await?);
    let copy = write::<Queries>(&state, &caller, None, values).await?.number();
    Entry::new(Category::QueryManagement, "query_duplicated", "Query copied")
        .on("saved_query", copy, name)
        .with(json!({ "original_id": id, "original_name": name }))
        .record(&state, &Actor::of(&caller))
        .await?;
    shown(&state, &caller, copy).await
}

/// Returns a name that a user has given no query yet: `name (Copy)`, `name (Copy 2)` and so on.
pub(super) async fn free_name(state: &AppState, owner: i64, name: &str, word: &str) -> Result<String, ApiError> {
    let taken = Select::select()
        .column(Alias::new("name_key"))
        .from(Alias::new(TABLE))
        .and_where(Expr::col(Alias::new("owner_id")).eq(owner))
        .take();
    let taken = state.db().all::<(String,)>(&taken).await?;
    let mut names = (1..).map(|number| {
        let end = if number == 1 { format!(" ({word})") } else { format!(" ({word} {number})") };
        let kept: String = name.chars().take(MOST_NAME - end.chars().count()).collect();
        kept + &end
    });
    Ok(names.find(|name| !taken.contains(&(fold(name),))).expect("fewer names are taken than there are numbers"))
}

/// Whether a query checks something.
#[derive(Deserialize, JsonSchema)]
struct MarkRequest {
    is_validation_query: bool,
}

async fn mark_as_validation(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<i64>,
    Body(body): Body<MarkRequest>,
) -> Result<Shown<Queries>, ApiError> {
    let mut values = Values::default();
    values.set("is_validation_query", body.is_validation_query);
    write::<Queries>(&state, &caller, Some(crate::server::resource::Key::Number(id)), values).await?;
    shown(&state, &caller, id).await
}

/// How many queries are listed.
#[derive(Deserialize, JsonSchema)]
struct SavedQueryLimit {
    /// 1 to 200; more is 200.
    #[serde(default = "ten")]
    #[schemars(range(min = 1))]
    limit: u32,
}

fn ten() -> u32 {
    10
}

impl SavedQueryLimit {
    fn number(&self) -> u64 {
        u64::from(self.limit).clamp(1, 200)
    }
}

/// A bare list of queries.
struct Bare(Vec<Value>);

impl IntoResponse for Bare {
    fn into_response(self) -> Response {
        axum::Json(self.0).into_response()
    }
}

impl Describe for Bare {
    fn describe(operation: &mut Operation<'_>) {
        let item = operation.schemas.write(Items::model().read_schema());
        operation.json_response(200, &json!({ "type": "array", "items": item }));
    }
}

impl Bare {
    async fn of(state: &AppState, caller: &Caller, records: Vec<Record>) -> Result<Self, ApiError> {
        let mut records: Vec<_> = records.into_iter().map(Value::Object).collect();
        mark(state, caller, &mut records).await?;
        Ok(Self(records))
    }
}

fn items() -> &'static Model {
    Items::model()
}

async fn recent(
    State(state): State<AppState>,
    caller: Caller,
    Query(limit): Query<SavedQueryLimit>,
) -> Result<Bare, ApiError> {
    let log = Alias::new("query_execution");
    let of_log = |name: &str| Expr::col((Alias::new("query_execution"), Alias::new(name)));
    let mut ids = Select::select()
        .expr(column("id"))
        .from(Alias::new(TABLE))
        .inner_join(log, of_log("query").equals((Alias::new(TABLE), Alias::new("id"))))
        .and_where(of_log("executed_by").eq(caller.id()))
        .group_by_col((Alias::new(TABLE), Alias::new("id")))
        .order_by_expr(Func::max(of_log("executed_at")).into(), Order::Desc)
        .order_by((Alias::new(TABLE), Alias::new("id")), Order::Desc)
        .limit(limit.number())
        .take();
    narrow_to_visible(&caller, &mut ids);
    let ids: Vec<i64> = state.db().all::<(i64,)>(&ids).await?.into_iter().map(|(id,)| id).collect();
    let mut query = items().select();
    query.and_where(items().id_column().is_in(ids.iter().copied()));
    let mut records = read::<Items>(&state, &query).await?;
    records.sort_by_key(|record| ids.iter().position(|id| record["id"] == *id));
    Bare::of(&state, &caller, records).await
}

async fn popular(
    State(state): State<AppState>,
    caller: Caller,
    Query(limit): Query<SavedQueryLimit>,
) -> Result<Bare, ApiError> {
    let mut query = items().select();
    narrow_to_visible(&caller, &mut query);
    query
        .and_where(column("execution_count").gt(0))
        .order_by((Alias::new(TABLE), Alias::new("execution_count")), Order::Desc)
        .order_by((Alias::new(TABLE), Alias::new("id")), Order::Asc)
        .limit(limit.number());
    let records = read::<Items>(&state, &query).await?;
    Bare::of(&state, &caller, records).await
}

/// How many queries the caller can see.
#[derive(Serialize, JsonSchema)]
struct SavedQueryStats {
    total_queries: i64,
    /// The own ones.
    my_queries: i64,
    /// Those that the own ones are shared with others, and those of others that are shared with the caller.
    shared_queries: i64,
    public_queries: i64,
    favorite_queries: i64,
}

async fn stats(State(state): State<AppState>, caller: Caller) -> Result<Json<SavedQueryStats>, ApiError> {
    let count = async |condition: Cond| {
        let mut query = Select::select().expr(Func::count(column("id"))).from(Alias::new(TABLE)).take();
        narrow_to_visible(&caller, &mut query);
        state.db().number(query.cond_where(condition)).await
    };
    let by_me = Select::select().column(Alias::new("query_id")).from(Alias::new(SHARES)).take();
    let shared = Cond::any()
        .add(column("id").in_subquery(shared_with(caller.id())))
        .add(column("owner_id").eq(caller.id()).and(column("id").in_subquery(by_me)));
    Ok(Json(SavedQueryStats {
        total_queries: count(Cond::all()).await?,
        my_queries: count(Cond::all().add(column("owner_id").eq(caller.id()))).await?,
        shared_queries: count(shared).await?,
        public_queries: count(Cond::all().add(column("is_public").eq(true))).await?,
        favorite_queries: count(Cond::all().add(column("id").in_subquery(liked_by(caller.id())))).await?,
    }))
}
