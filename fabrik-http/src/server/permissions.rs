//! Permissions by codename: which there are, and who has which.

use std::collections::BTreeMap;

use hashbrown::HashSet;
use sea_query::{Alias, Expr, ExprTrait, JoinType, OnConflict, Query, SelectStatement};

use super::db::{Database, DbError};

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
        let insert = Query::insert()
            .into_table(Alias::new("auth_permission"))
            .columns(["codename", "name", "app_label", "model"].map(Alias::new))
            .values_panic([codename.as_str().into(), name.as_str().into(), app.into(), model.into()])
            .on_conflict(OnConflict::column(Alias::new("codename")).do_nothing().to_owned())
            .take();
        transaction.run(&insert).await?;
    }
    transaction.commit().await
}

/// Returns the codenames that a user has, directly or by a group.
pub(crate) async fn of_user(db: &Database, user_id: i64) -> Result<HashSet<String>, DbError> {
    let direct = held_through("auth_user_permission", user_id_is("auth_user_permission", user_id));
    let mut by_group = held_through("auth_group_permission", user_id_is("auth_user_group", user_id));
    by_group.join(
        JoinType::InnerJoin,
        Alias::new("auth_user_group"),
        column("auth_user_group", "group_id").equals((Alias::new("auth_group_permission"), Alias::new("group_id"))),
    );
    let mut held: HashSet<_> = HashSet::new();
    for query in [direct, by_group] {
        held.extend(db.all::<(String,)>(&query).await?.into_iter().map(|(codename,)| codename));
    }
    Ok(held)
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
