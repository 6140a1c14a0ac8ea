//! Groups: who belongs together, and what they may.

use sea_query::{Alias, Expr, ExprTrait, Func, Query};
use serde_json::{Value, json};

use crate::server::error::ApiError;
use crate::server::memberships::GROUP_PERMISSIONS;
use crate::server::model::{Field, Kind, Model, Record, Verb};
use crate::server::permissions::{ADMIN, USERS};
use crate::server::registry::{Access, Registry};
use crate::server::resource::{Key, Resource, Write};
use crate::server::state::AppState;
use crate::server::throttle::Scope;

pub(super) fn declare(registry: &mut Registry) {
    registry.resource::<Groups>("/api/auth/groups/");
}

struct Groups;

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
        Field::new("user_count", Kind::Integer, "how many users are in it").computed(),
        Field::new("permission_ids", Kind::Ids, "what its members shall be allowed").computed().writable().hidden(),
    ],
};

fn permissions_schema() -> Value {
    let properties = json!({ "id": { "type": "integer", "format": "int64" }, "codename": { "type": "string" } });
    json!({ "type": "array", "items": { "type": "object", "required": ["id", "codename"], "properties": properties } })
}

impl Resource for Groups {
    const WRITE_SCOPE: Option<Scope> = Some(Scope::SensitiveAction);

    fn model() -> &'static Model {
        &GROUP
    }

    fn access(_verb: Verb) -> Access {
        Access::Admin
    }

    async fn complete(state: &AppState, records: &mut [Record]) -> Result<(), ApiError> {
        let ids: Vec<_> = records.iter().filter_map(|record| record["id"].as_i64()).collect();
        let mut permissions = GROUP_PERMISSIONS.of(state.db(), &ids, "codename").await?;
        for (id, record) in ids.iter().zip(records) {
            let held = permissions.remove(id).unwrap_or_default();
            let held: Vec<_> =
                held.into_iter().map(|(id, codename)| json!({ "id": id, "codename": codename })).collect();
            record.insert("permissions".into(), held.into());
            let members = Query::select()
                .expr(Func::count(Expr::col(Alias::new("user_id"))))
                .from(Alias::new("auth_user_group"))
                .and_where(Expr::col(Alias::new("group_id")).eq(*id))
                .take();
            record.insert("user_count".into(), state.db().number(&members).await?.into());
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
        match write.values.take_ids("permission_ids") {
            Some(ids) => GROUP_PERMISSIONS.set(write.transaction, key.number(), &ids, "permission_ids").await,
            None => Ok(()),
        }
    }

    async fn before_delete(write: &mut Write<'_>, key: Key) -> Result<(), ApiError> {
        match built_in(write, key).await? {
            Some(name) => Err(ApiError::BadRequest(format!("The group {name} cannot be deleted.").into())),
            None => Ok(()),
        }
    }
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
