//! Groups: who belongs together, and what they may.

mod actions;

use hashbrown::HashMap;
use sea_query::{Alias, Expr, ExprTrait, Order, Query};
use serde_json::{Map, Value, json};

use crate::server::audit::Category;
use crate::server::db::{Database, DbError};
use crate::server::error::ApiError;
use crate::server::memberships::{GROUP_PERMISSIONS, count_by, newest_members};
use crate::server::model::{Field, Kind, Model, Record, Verb};
use crate::server::permissions::{ADMIN, USERS, category};
use crate::server::quotas::{self, Template};
use crate::server::registry::{Access, Registry};
use crate::server::resource::{Audited, Key, Resource, Write};
use crate::server::state::AppState;
use crate::server::throttle::Scope;

pub(super) fn declare(registry: &mut Registry) {
    registry.resource::<Groups>("/api/auth/groups/");
    actions::declare(registry);
}

/// Groups as administrators see them.
struct Groups;

/// How many of its users a group shows.
const SHOWN_USERS: u64 = 50;

static GROUP: Model = Model {
    app: "auth",
    name: "group",
    title: "Group",
    table: "auth_group",
    default_order: "name",
    fields: &[
        Field::new("id", Kind::Integer, "the id of the group").order(),
        Field::new("name", Kind::Text { least: 1, most: 150 }, "the name")
            .required()
            .unique()
            .filter()
            .search()
            .order(),
        Field::new("permissions", Kind::Other(permissions_schema), "what its members may").computed(),
        Field::new(
            "permissions_by_category",
            Kind::Other(by_category_schema),
            "what its members may, by the part of the product",
        )
        .computed(),
        Field::new("user_count", Kind::Integer, "how many users are in it").computed(),
        Field::new("users", Kind::Other(users_schema), "the users in it, the newest 50").computed(),
        Field::new("permission_ids", Kind::Ids, "what its members shall be allowed").computed().writable().hidden(),
        Field::new("template", Kind::Choice(Template::NAMES), "the role template whose quota it begins with")
            .computed()
            .writable()
            .fixed()
            .hidden(),
    ],
};

fn permissions_schema() -> Value {
    list_schema(&["codename", "name"])
}

fn users_schema() -> Value {
    list_schema(&["username"])
}

fn by_category_schema() -> Value {
    json!({ "type": "object", "additionalProperties": permissions_schema() })
}

/// Returns the schema of a list of ids with some texts.
fn list_schema(texts: &[&str]) -> Value {
    let mut properties = Map::from_iter([("id".to_owned(), json!({ "type": "integer", "format": "int64" }))]);
    properties.extend(texts.iter().map(|name| ((*name).to_owned(), json!({ "type": "string" }))));
    let required: Vec<_> = properties.keys().cloned().collect();
    json!({ "type": "array", "items": { "type": "object", "required": required, "properties": properties } })
}

impl Resource for Groups {
    const WRITE_SCOPE: Option<Scope> = Some(Scope::SensitiveAction);
    const AUDIT: Option<Audited> = Some(Audited {
        category: Category::GroupPermission,
        created: "group_created",
        updated: "group_updated",
        deleted: "group_deleted",
        name: "name",
    });

    fn model() -> &'static Model {
        &GROUP
    }

    fn access(_verb: Verb) -> Access {
        Access::Admin
    }

    async fn complete(state: &AppState, records: &mut [Record]) -> Result<(), ApiError> {
        let ids: Vec<_> = records.iter().filter_map(|record| record["id"].as_i64()).collect();
        let mut permissions = permissions_of(state.db(), &ids).await?;
        let counts = count_by(state.db(), "auth_user_group", "group_id", &ids).await?;
        let mut users = newest_members(state.db(), &ids, SHOWN_USERS).await?;
        for (id, record) in ids.iter().zip(records) {
            let mut all = Vec::new();
            let mut by_category = Map::new();
            for (app, permission) in permissions.remove(id).unwrap_or_default() {
                if let Value::Array(same) = by_category.entry(category(&app)).or_insert_with(|| json!([])) {
                    same.push(permission.clone());
                }
                all.push(permission);
            }
            record.insert("permissions".into(), all.into());
            record.insert("permissions_by_category".into(), by_category.into());
            record.insert("user_count".into(), counts.get(id).copied().unwrap_or_default().into());
            let users = users.remove(id).unwrap_or_default();
            let users: Vec<_> =
                users.into_iter().map(|(id, username)| json!({ "id": id, "username": username })).collect();
            record.insert("users".into(), users.into());
        }
        Ok(())
    }

    async fn before_write(write: &mut Write<'_>, key: Option<Key>) -> Result<(), ApiError> {
        let Some(key) = key else { return Ok(()) };
        if let Some(name) = write.values.text("name").map(str::to_owned)
            && let Some(built_in) = built_in(write, key).await?
            && name != built_in
        {
            return Err(ApiError::field("name", format!("The group {built_in} cannot be renamed.")));
        }
        Ok(())
    }

    async fn after_write(write: &mut Write<'_>, key: Key) -> Result<(), ApiError> {
        if let Some(ids) = write.values.take_ids("permission_ids") {
            GROUP_PERMISSIONS.set(write.transaction, key.number(), &ids, "permission_ids").await?;
        }
        if let Some(template) = write.values.text("template").and_then(Template::named) {
            quotas::set_of_group(write.transaction, key.number(), &template.limits).await?;
        }
        Ok(())
    }

    async fn before_delete(write: &mut Write<'_>, key: Key) -> Result<(), ApiError> {
        match built_in(write, key).await? {
            Some(name) => Err(ApiError::BadRequest(format!("The group {name} cannot be deleted.").into())),
            None => Ok(()),
        }
    }
}

/// Returns the permissions of each group, each with its app.
async fn permissions_of(db: &Database, groups: &[i64]) -> Result<HashMap<i64, Vec<(String, Value)>>, DbError> {
    let (pair, permission) = (Alias::new("auth_group_permission"), Alias::new("auth_permission"));
    let query = Query::select()
        .column((pair.clone(), Alias::new("group_id")))
        .columns(["id", "codename", "name", "app_label"].map(|name| (permission.clone(), Alias::new(name))))
        .from(pair.clone())
        .inner_join(
            permission.clone(),
            Expr::col((permission.clone(), Alias::new("id"))).equals((pair.clone(), Alias::new("permission_id"))),
        )
        .and_where(Expr::col((pair, Alias::new("group_id"))).is_in(groups.iter().copied()))
        .order_by((permission, Alias::new("codename")), Order::Asc)
        .take();
    let mut of: HashMap<_, Vec<_>> = HashMap::new();
    for (group, id, codename, name, app) in db.all::<(i64, i64, String, String, String)>(&query).await? {
        of.entry(group).or_default().push((app, json!({ "id": id, "codename": codename, "name": name })));
    }
    Ok(of)
}

/// Returns the name of a group that the server needs.
async fn built_in(write: &mut Write<'_>, key: Key) -> Result<Option<String>, ApiError> {
    let query = Query::select()
        .column(Alias::new("name"))
        .from(Alias::new("auth_group"))
        .and_where(Expr::col(Alias::new("id")).eq(key))
        .take();
    let name = write.transaction.first::<(String,)>(&query).await?.map(|(name,)| name);
    Ok(name.filter(|name| [ADMIN, USERS].contains(&name.as_str())))
}
