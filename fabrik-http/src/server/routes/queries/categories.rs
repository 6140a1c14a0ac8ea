//! Categories of saved queries.

use sea_query::{Alias, Expr, ExprTrait, Query};

use crate::server::audit::Category;
use crate::server::db::{DbError, Transaction};
use crate::server::error::ApiError;
use crate::server::model::{Field, Kind, Model};
use crate::server::moment::Moment;
use crate::server::queries::TABLE as QUERIES;
use crate::server::registry::Registry;
use crate::server::resource::{Audited, Key, Resource, Write};

pub(super) fn declare(registry: &mut Registry) {
    registry.resource::<Categories>("/api/queries/categories/");
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
        Field::new("icon", Kind::Text { least: 0, most: 100 }, "the name of its icon").writable(),
        Field::new("query_count", Kind::Integer, "how many queries are in it").order(),
        Field::new("created_at", Kind::Moment, "since when there is the category").order(),
        Field::new("updated_at", Kind::Moment, "when it was changed last"),
    ],
};

impl Resource for Categories {
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

    async fn before_write(write: &mut Write<'_>, key: Option<Key>) -> Result<(), ApiError> {
        let now = Moment(write.state.clock().now()).to_string();
        if key.is_none() {
            write.values.set("created_at", now.clone());
        }
        write.values.set("updated_at", now);
        Ok(())
    }
}

/// Returns the name of a category, where there is one with this id.
pub(super) async fn name_of(transaction: &mut Transaction, id: i64) -> Result<Option<String>, DbError> {
    let query = Query::select()
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
        let count = Query::select()
            .expr(Expr::cust("COUNT(*)"))
            .from(Alias::new(QUERIES))
            .and_where(Expr::col(Alias::new("category")).eq(id))
            .take();
        let update = Query::update()
            .table(Alias::new(CATEGORY.table))
            .value(Alias::new("query_count"), Expr::SubQuery(None, Box::new(count.into())))
            .and_where(Expr::col(Alias::new("id")).eq(id))
            .take();
        transaction.run(&update).await?;
    }
    Ok(())
}
