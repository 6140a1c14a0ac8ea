//! Permissions by codename: which there are, and who has which.
//!
//! The verbs are view, add, change and delete. Running something that changes nothing here, such as a query, needs
//! *view* of it and no more.

use std::collections::BTreeMap;

use hashbrown::HashSet;
use sea_query::{Alias, Expr, ExprTrait, JoinType, OnConflict, Order, Query, SelectStatement};

use super::db::{Database, DbError, Transaction};

/// The group whose members pass all checks.
pub(crate) const ADMIN: &str = "Admin";
/// The group that every new user gets.
pub(crate) const USERS: &str = "Users";

/// Adds the permissions that the routes name to those that are there.
pub(crate) async fn declare(db: &Database, codenames: &BTreeMap<String, String>) -> Result<(), DbError> {
    let known: Vec<(String,)> =
        db.all(&Query::select().column(Alias::new("codename")).from(Alias::new("auth_permission")).take()).await?;
    let known: HashSet<_> = known.into_iter().map(|(codename,)| codename).collect();
    // One transaction, because each commit waits for the disk.
    let mut transaction = db.begin().await?;
    for (codename, name) in codenames.iter().filter(|(codename, _)| !known.contains(*codename)) {
        let (app, rest) = codename.split_once('.').unwrap_or(("", codename));
        let model = rest.split_once('_').map_or(rest, |(_, model)| model);
        let content_type = content_type(&mut transaction, app, model).await?;
        let insert = Query::insert()
            .into_table(Alias::new("auth_permission"))
            .columns(["codename", "name", "app_label", "model", "content_type_id"].map(Alias::new))
            .values_panic([
                codename.as_str().into(),
                name.as_str().into(),
                app.into(),
                model.into(),
                content_type.into(),
            ])
            .on_conflict(OnConflict::column(Alias::new("codename")).do_nothing().to_owned())
            .take();
        transaction.run(&insert).await?;
    }
    transaction.commit().await
}

/// Returns the id of what permissions of a model are about.
async fn content_type(transaction: &mut Transaction, app: &str, model: &str) -> Result<i64, DbError> {
    let insert = Query::insert()
        .into_table(Alias::new("auth_content_type"))
        .columns(["app_label", "model"].map(Alias::new))
        .values_panic([app.into(), model.into()])
        .on_conflict(OnConflict::columns(["app_label", "model"].map(Alias::new)).do_nothing().to_owned())
        .take();
    transaction.run(&insert).await?;
    let query = Query::select()
        .column(Alias::new("id"))
        .from(Alias::new("auth_content_type"))
        .and_where(Expr::col(Alias::new("app_label")).eq(app))
        .and_where(Expr::col(Alias::new("model")).eq(model))
        .take();
    transaction.number(&query).await
}

/// A permission, and by what somebody has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) id: i64,
    pub(crate) codename: String,
    pub(crate) name: String,
    /// The groups that bring it; none where it is held directly.
    pub(crate) groups: Vec<String>,
}

/// Returns the permissions that a user holds directly, by codename.
pub(crate) async fn held_directly(db: &Database, user_id: i64) -> Result<Vec<Held>, DbError> {
    let mut query = held_through("auth_user_permission", user_id_is("auth_user_permission", user_id));
    query.columns(["id", "name"].map(|name| (Alias::new("auth_permission"), Alias::new(name))));
    query.order_by((Alias::new("auth_permission"), Alias::new("codename")), Order::Asc);
    let rows = db.all::<(String, i64, String)>(&query).await?;
    let held = |(codename, id, name)| Held { id, codename, name, groups: Vec::new() };
    Ok(rows.into_iter().map(held).collect())
}

/// Returns the permissions that a user holds by groups, by codename.
pub(crate) async fn held_by_groups(db: &Database, user_id: i64) -> Result<Vec<Held>, DbError> {
    let mut query = held_through("auth_group_permission", user_id_is("auth_user_group", user_id));
    join_groups(&mut query);
    query.columns(["id", "name"].map(|name| (Alias::new("auth_permission"), Alias::new(name))));
    query.column((Alias::new("auth_group"), Alias::new("name")));
    query.inner_join(
        Alias::new("auth_group"),
        column("auth_group", "id").equals((Alias::new("auth_user_group"), Alias::new("group_id"))),
    );
    query.order_by((Alias::new("auth_permission"), Alias::new("codename")), Order::Asc);
    query.order_by((Alias::new("auth_group"), Alias::new("name")), Order::Asc);
    let mut held: Vec<Held> = Vec::new();
    for (codename, id, name, group) in db.all::<(String, i64, String, String)>(&query).await? {
        match held.last_mut().filter(|last| last.id == id) {
            Some(last) => last.groups.push(group),
            None => held.push(Held { id, codename, name, groups: vec![group] }),
        }
    }
    Ok(held)
}

/// Returns all permissions there are, by codename.
pub(crate) async fn all(db: &Database) -> Result<Vec<Held>, DbError> {
    let query = Query::select()
        .columns(["id", "codename", "name"].map(Alias::new))
        .from(Alias::new("auth_permission"))
        .order_by(Alias::new("codename"), Order::Asc)
        .take();
    let rows = db.all::<(i64, String, String)>(&query).await?;
    Ok(rows.into_iter().map(|(id, codename, name)| Held { id, codename, name, groups: Vec::new() }).collect())
}

/// Returns the part of the product that a permission is about, for people.
pub(crate) fn category(app: &str) -> String {
    match app {
        "apic" => "APIC".to_owned(),
        "auth" => "Users and groups".to_owned(),
        "awx" => "AWX".to_owned(),
        "ai" => "AI".to_owned(),
        "mim" => "MIM".to_owned(),
        other => {
            let words = other.replace(['_', '-'], " ");
            let mut letters = words.chars();
            letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
        }
    }
}

/// Returns whether a permission can destroy something, or lets its holder reach for more.
pub(crate) fn is_dangerous(codename: &str) -> bool {
    let (app, rest) = codename.split_once('.').unwrap_or(("", codename));
    rest.starts_with("delete_") || app == "auth" && !rest.starts_with("view_")
}

/// Returns the codenames that a user has, directly or by a group.
pub(crate) async fn of_user(db: &Database, user_id: i64) -> Result<HashSet<String>, DbError> {
    let direct = held_through("auth_user_permission", user_id_is("auth_user_permission", user_id));
    let mut by_group = held_through("auth_group_permission", user_id_is("auth_user_group", user_id));
    join_groups(&mut by_group);
    let mut held: HashSet<_> = HashSet::new();
    for query in [direct, by_group] {
        held.extend(db.all::<(String,)>(&query).await?.into_iter().map(|(codename,)| codename));
    }
    Ok(held)
}

fn join_groups(query: &mut SelectStatement) {
    query.join(
        JoinType::InnerJoin,
        Alias::new("auth_user_group"),
        column("auth_user_group", "group_id").equals((Alias::new("auth_group_permission"), Alias::new("group_id"))),
    );
}

/// Returns whether a user is in the group Admin.
pub(crate) async fn is_in_admin(db: &Database, user_id: i64) -> Result<bool, DbError> {
    let query = Query::select()
        .column((Alias::new("auth_group"), Alias::new("id")))
        .from(Alias::new("auth_group"))
        .inner_join(
            Alias::new("auth_user_group"),
            column("auth_user_group", "group_id").equals((Alias::new("auth_group"), Alias::new("id"))),
        )
        .and_where(column("auth_group", "name").eq(ADMIN))
        .and_where(user_id_is("auth_user_group", user_id))
        .take();
    Ok(db.first::<(i64,)>(&query).await?.is_some())
}

/// Returns the ids of the users in a group.
pub(crate) async fn members_of(db: &Database, group: &str) -> Result<Vec<i64>, DbError> {
    let query = Query::select()
        .column((Alias::new("auth_user_group"), Alias::new("user_id")))
        .from(Alias::new("auth_user_group"))
        .inner_join(
            Alias::new("auth_group"),
            column("auth_group", "id").equals((Alias::new("auth_user_group"), Alias::new("group_id"))),
        )
        .and_where(column("auth_group", "name").eq(group))
        .take();
    Ok(db.all::<(i64,)>(&query).await?.into_iter().map(|(id,)| id).collect())
}

fn held_through(table: &'static str, whose: Expr) -> SelectStatement {
    Query::select()
        .column((Alias::new("auth_permission"), Alias::new("codename")))
        .from(Alias::new("auth_permission"))
        .inner_join(
            Alias::new(table),
            column(table, "permission_id").equals((Alias::new("auth_permission"), Alias::new("id"))),
        )
        .and_where(whose)
        .take()
}

fn column(table: &'static str, name: &'static str) -> Expr {
    Expr::col((Alias::new(table), Alias::new(name)))
}

fn user_id_is(table: &'static str, user_id: i64) -> Expr {
    column(table, "user_id").eq(user_id)
}
