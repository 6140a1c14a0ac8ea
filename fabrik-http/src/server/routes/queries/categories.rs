//! Categories of saved queries: a tree.

use axum::extract::State;
use hashbrown::HashMap;
use schemars::JsonSchema;
use sea_query::{Alias, Expr, ExprTrait, Order, Query as Select};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::server::audit::Category;
use crate::server::caller::Caller;
use crate::server::db::{DbError, Transaction};
use crate::server::error::ApiError;
use crate::server::extract::{NoContent, Path, Query};
use crate::server::model::{Field, Kind, Model, Record, Values, Verb};
use crate::server::moment::Moment;
use crate::server::queries::TABLE as QUERIES;
use crate::server::registry::{Registry, Route};
use crate::server::resource::{Audited, Key, Resource, Write, delete, unknown_ids};
use crate::server::state::AppState;

const PATH: &str = "/api/queries/categories/";
/// How many levels the tree has at most.
const LEVELS: usize = 10;

pub(super) fn declare(registry: &mut Registry) {
    registry.resource::<Categories>(PATH);
    let (one, access) = (format!("{PATH}{{id}}/"), Categories::access(Verb::Delete));
    registry.add(
        Route::delete(&one, "queries_query_category_delete", access, remove)
            .about(
                "Deletes one category; its queries stay. One with categories below it goes only with `?force=true`; those \
                 then move up to where it was.",
            )
            .errors(&[409]),
    );
}

/// Categories: everybody's.
struct Categories;

static CATEGORY: Model = Model {
    app: "queries",
    name: "query_category",
    title: "QueryCategory",
    table: "query_category",
    default_order: "name",
    fields: &[
        Field::new("id", Kind::Integer, "the id of the category"),
        Field::new("name", Kind::Text { least: 1, most: 100 }, "the name").required().unique().search().order(),
        Field::new("description", Kind::Text { least: 0, most: 10_000 }, "what it is for").writable().search(),
        Field::new("color", Kind::Text { least: 0, most: 32 }, "its color, such as `#3b82f6`").writable(),
        Field::new("parent", Kind::Integer, "the category that it is below").writable().nullable().filter(),
        Field::new("children", Kind::Other(ids_schema), "the categories right below it").computed(),
        Field::new("icon", Kind::Text { least: 0, most: 100 }, "the name of its icon").writable(),
        Field::new("query_count", Kind::Integer, "how many queries are in it").order(),
        Field::new("created_at", Kind::Moment, "since when there is the category").order(),
        Field::new("updated_at", Kind::Moment, "when it was changed last"),
    ],
};

fn ids_schema() -> Value {
    json!({ "type": "array", "items": { "type": "integer", "format": "int64" } })
}

impl Resource for Categories {
    // Deleting takes more than an id.
    const VERBS: &'static [Verb] = &[Verb::View, Verb::Add, Verb::Change];
    const AUDIT: Option<Audited> = Some(Audited {
        category: Category::CategoryManagement,
        created: "category_created",
        updated: "category_updated",
        deleted: "category_deleted",
        name: "name",
    });

    fn model() -> &'static Model {
        &CATEGORY
    }

    async fn complete(state: &AppState, records: &mut [Record]) -> Result<(), ApiError> {
        let ids: Vec<i64> = records.iter().filter_map(|record| record["id"].as_i64()).collect();
        let query = Select::select()
            .columns(["parent", "id"].map(Alias::new))
            .from(Alias::new(CATEGORY.table))
            .and_where(Expr::col(Alias::new("parent")).is_in(ids))
            .order_by(Alias::new("id"), Order::Asc)
            .take();
        let mut below: HashMap<i64, Vec<i64>> = HashMap::new();
        for (parent, id) in state.db().all::<(i64, i64)>(&query).await? {
            below.entry(parent).or_default().push(id);
        }
        for record in records {
            let children = record["id"].as_i64().and_then(|id| below.remove(&id)).unwrap_or_default();
            record.insert("children".to_owned(), json!(children));
        }
        Ok(())
    }

    async fn before_write(write: &mut Write<'_>, key: Option<Key>) -> Result<(), ApiError> {
        if let Some(parent) = write.values.get("parent").and_then(Value::as_i64) {
            check_place(write.transaction, parent, key.map(Key::number)).await?;
        }
        let now = Moment(write.state.clock().now()).to_string();
        if key.is_none() {
            write.values.set("created_at", now.clone());
        }
        write.values.set("updated_at", now);
        Ok(())
    }

    async fn before_delete(write: &mut Write<'_>, key: Key) -> Result<(), ApiError> {
        let parents = parents(write.transaction).await?;
        let id = key.number();
        let below = parents.values().filter(|parent| **parent == Some(id)).count();
        if below == 0 {
            return Ok(());
        }
        if write.values.get("force").is_none_or(|force| *force != true) {
            let detail = format!("The category has {below} below it; ?force=true moves them up and deletes it.");
            return Err(ApiError::Conflict(detail.into()));
        }
        let up = Select::update()
            .table(Alias::new(CATEGORY.table))
            .value(Alias::new("parent"), parents.get(&id).copied().flatten())
            .value(Alias::new("updated_at"), write.state.clock().now())
            .and_where(Expr::col(Alias::new("parent")).eq(id))
            .take();
        write.transaction.run(&up).await?;
        Ok(())
    }
}

/// Returns what each category is below. Until the transaction ends nobody else moves one, so that two moves that are right by
/// themselves make no circle.
async fn parents(transaction: &mut Transaction) -> Result<HashMap<i64, Option<i64>>, DbError> {
    let query = Select::select()
        .columns(["id", "parent"].map(Alias::new))
        .from(Alias::new(CATEGORY.table))
        .order_by(Alias::new("id"), Order::Asc)
        .lock_exclusive()
        .take();
    Ok(transaction.all::<(i64, Option<i64>)>(&query).await?.into_iter().collect())
}

/// Fails where a category cannot be below `parent`; one that is made has no id.
async fn check_place(transaction: &mut Transaction, parent: i64, id: Option<i64>) -> Result<(), ApiError> {
    let parents = parents(transaction).await?;
    if !parents.contains_key(&parent) {
        return Err(unknown_ids("parent", &[parent]));
    }
    let above = |id: i64| std::iter::successors(Some(id), |id| parents.get(id).copied().flatten());
    if id.is_some_and(|id| above(parent).any(|other| other == id)) {
        return Err(ApiError::field("parent", "A category cannot be below itself."));
    }
    // How many levels begin with the category: those from each one below it up to it.
    let height = id.map_or(1, |id| {
        let to_it = |other: i64| above(other).position(|one| one == id);
        parents.keys().filter_map(|other| to_it(*other)).max().map_or(1, |most| most + 1)
    });
    if above(parent).count() + height > LEVELS {
        return Err(ApiError::field("parent", format!("Categories have at most {LEVELS} levels.")));
    }
    Ok(())
}

/// How to delete.
#[derive(Deserialize, JsonSchema)]
struct DeleteQuery {
    /// Also where there are categories below it: they move up.
    #[serde(default)]
    force: bool,
}

async fn remove(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<i64>,
    Query(how): Query<DeleteQuery>,
) -> Result<NoContent, ApiError> {
    let mut values = Values::default();
    values.set("force", how.force);
    delete::<Categories>(&state, &caller, Key::Number(id), values).await
}

/// Returns the name of a category, where there is one with this id.
pub(super) async fn name_of(transaction: &mut Transaction, id: i64) -> Result<Option<String>, DbError> {
    let query = Select::select()
        .column(Alias::new("name"))
        .from(Alias::new(CATEGORY.table))
        .and_where(CATEGORY.id_column().eq(id))
        .take();
    Ok(transaction.first::<(String,)>(&query).await?.map(|(name,)| name))
}

/// Counts the queries of categories anew.
pub(super) async fn recount(transaction: &mut Transaction, ids: impl IntoIterator<Item = i64>) -> Result<(), DbError> {
    // In order, so that two who count never wait for each other.
    for id in ids.into_iter().collect::<std::collections::BTreeSet<_>>() {
        let count = Select::select()
            .expr(Expr::cust("COUNT(*)"))
            .from(Alias::new(QUERIES))
            .and_where(Expr::col(Alias::new("category")).eq(id))
            .take();
        let update = Select::update()
            .table(Alias::new(CATEGORY.table))
            .value(Alias::new("query_count"), Expr::SubQuery(None, Box::new(count.into())))
            .and_where(Expr::col(Alias::new("id")).eq(id))
            .take();
        transaction.run(&update).await?;
    }
    Ok(())
}
