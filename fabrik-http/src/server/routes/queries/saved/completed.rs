//! What queries show that is in no column of theirs.

use fabrik_apic::graph::CompileOptions;
use hashbrown::{HashMap, HashSet};
use sea_query::{Alias, Expr, ExprTrait, Order, Query as Select};
use serde_json::{Value, json};

use super::{column, divided};
use crate::server::caller::Caller;
use crate::server::error::ApiError;
use crate::server::model::Record;
use crate::server::queries::{self, Compiled, SHARES, TABLE, liked_by, sentence};
use crate::server::state::AppState;

/// Completes what queries have in lists.
pub(super) async fn complete_items(state: &AppState, records: &mut [Record]) -> Result<(), ApiError> {
    let ids: Vec<_> = records.iter().filter_map(|record| record["id"].as_i64()).collect();
    let (user, category) = (Alias::new("auth_user"), Alias::new("query_category"));
    let names = Select::select()
        .expr(column("id"))
        .column((user.clone(), Alias::new("id")))
        .column((user.clone(), Alias::new("username")))
        .column((category.clone(), Alias::new("name")))
        .from(Alias::new(TABLE))
        .left_join(
            user.clone(),
            Expr::col((user, Alias::new("id"))).equals((Alias::new(TABLE), Alias::new("owner_id"))),
        )
        .left_join(
            category.clone(),
            Expr::col((category, Alias::new("id"))).equals((Alias::new(TABLE), Alias::new("category"))),
        )
        .and_where(column("id").is_in(ids))
        .take();
    type Names = (i64, Option<i64>, Option<String>, Option<String>);
    let names = state.db().all::<Names>(&names).await?;
    let mut names: HashMap<_, _> =
        names.into_iter().map(|(id, user, name, category)| (id, (user, name, category))).collect();
    for record in records {
        let id = record["id"].as_i64().unwrap_or_default();
        let (user, username, category) = names.remove(&id).unwrap_or_default();
        let version = format!("{}.{}", record["major_version"], record["minor_version"]);
        let tags = json!(divided(record["tags"].as_str().unwrap_or_default()));
        record.insert("created_by".into(), user.map(|id| json!({ "id": id, "username": username })).into());
        record.insert("category_name".into(), category.into());
        record.insert("tags_list".into(), tags);
        record.insert("version_string".into(), version.clone().into());
        record.insert("current_version".into(), version.into());
        record.insert("is_favorite".into(), false.into());
    }
    Ok(())
}

/// Completes what only queries in full have.
pub(super) async fn complete_questions(state: &AppState, records: &mut [Record]) -> Result<(), ApiError> {
    let ids: Vec<_> = records.iter().filter_map(|record| record["id"].as_i64()).collect();
    let asked: HashMap<_, _> = queries::all(state, &ids).await?.into_iter().map(|query| (query.id, query)).collect();
    for record in records {
        let Some(query) = record["id"].as_i64().and_then(|id| asked.get(&id)) else { continue };
        record.insert("series".into(), query.series.as_str().into());
        if record["key_fields"] == Value::Null {
            record.insert("key_fields".into(), json!([]));
        }
        queries::show(&query.question, record);
        let (path, problem) = match Compiled::new(&query.question, &CompileOptions::default()) {
            Ok(compiled) => (Some(compiled.plan.path()), None),
            Err(error) => (None, Some(sentence(&error))),
        };
        record.insert("generated_query".into(), path.into());
        record.insert("problem".into(), problem.into());
        let history = queries::history(state, query.id).await?;
        record.insert("version_history".into(), json!(history));
        let users = shared_users(state, query.id).await?;
        record.insert("shared_with".into(), users.iter().map(|(id, _)| *id).collect::<Vec<_>>().into());
        let users: Vec<_> = users.into_iter().map(|(id, name)| json!({ "id": id, "username": name })).collect();
        record.insert("shared_with_users".into(), users.into());
        record.insert("can_edit".into(), false.into());
        record.insert("can_delete".into(), false.into());
    }
    Ok(())
}

async fn shared_users(state: &AppState, id: i64) -> Result<Vec<(i64, String)>, ApiError> {
    let (share, user) = (Alias::new(SHARES), Alias::new("auth_user"));
    let query = Select::select()
        .columns(["id", "username"].map(|name| (user.clone(), Alias::new(name))))
        .from(share.clone())
        .inner_join(
            user.clone(),
            Expr::col((user.clone(), Alias::new("id"))).equals((share.clone(), Alias::new("user_id"))),
        )
        .and_where(Expr::col((share, Alias::new("query_id"))).eq(id))
        .order_by((user, Alias::new("id")), Order::Asc)
        .take();
    Ok(state.db().all(&query).await?)
}

/// Says in records what depends on who looks at them.
pub(in crate::server::routes::queries) async fn mark(
    state: &AppState,
    caller: &Caller,
    records: &mut [Value],
) -> Result<(), ApiError> {
    let liked: HashSet<i64> =
        state.db().all::<(i64,)>(&liked_by(caller.id())).await?.into_iter().map(|(id,)| id).collect();
    for record in records {
        let is_liked = record["id"].as_i64().is_some_and(|id| liked.contains(&id));
        record["is_favorite"] = is_liked.into();
        let may_edit = caller.is_admin() || record["created_by"]["id"] == caller.id();
        for name in ["can_edit", "can_delete"] {
            if record.get(name).is_some() {
                record[name] = may_edit.into();
            }
        }
    }
    Ok(())
}
