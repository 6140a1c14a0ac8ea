//! What administrators do to groups beside changing fields: permissions one by one, copies, quotas.

use axum::extract::State;
use schemars::JsonSchema;
use sea_query::{Alias, Expr, ExprTrait, Query};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Groups;
use crate::server::audit::{Actor, Category, Entry};
use crate::server::caller::Caller;
use crate::server::db::Transaction;
use crate::server::error::ApiError;
use crate::server::extract::{Body, Json, Path};
use crate::server::folding::fold;
use crate::server::memberships::GROUP_PERMISSIONS;
use crate::server::quotas::{self, Limits, LimitsRequest, Template};
use crate::server::registry::{Access, Registry, Route};
use crate::server::resource::{Key, Shown, show};
use crate::server::routes::users::PermissionList;
use crate::server::state::AppState;
use crate::server::throttle::Scope;

pub(super) fn declare(registry: &mut Registry) {
    let path = |action: &str| format!("/api/auth/groups/{{id}}/{action}/");
    for route in [
        Route::post(&path("add_permissions"), "auth_group_add_permissions", Access::Admin, add_permissions)
            .about("Gives a group permissions beside those it has."),
        Route::post(&path("remove_permissions"), "auth_group_remove_permissions", Access::Admin, remove_permissions)
            .about("Takes permissions from a group."),
        Route::post(&path("clone"), "auth_group_clone", Access::Admin, copy)
            .about("Makes a group with the permissions and the quota of another, without its users."),
        Route::put(&path("quota"), "auth_group_quota_update", Access::Admin, set_quota)
            .about("Gives a group a quota; what is left out comes from the template, or is the default."),
    ] {
        registry.add(route.throttle(Scope::SensitiveAction));
    }
    registry.add(
        Route::get(&path("quota"), "auth_group_quota_retrieve", Access::Admin, quota)
            .about("Returns the quota of a group, where it has one."),
    );
    registry.add(
        Route::get("/api/auth/groups/role_templates/", "auth_group_role_templates", Access::Admin, role_templates)
            .about("Lists the quotas to begin with, by role."),
    );
}

/// Returns the name of a group, or fails where there is none.
async fn name_of(transaction: &mut Transaction, id: i64) -> Result<String, ApiError> {
    let query = Query::select()
        .column(Alias::new("name"))
        .from(Alias::new("auth_group"))
        .and_where(Expr::col(Alias::new("id")).eq(id))
        .take();
    Ok(transaction.first::<(String,)>(&query).await?.ok_or(ApiError::NotFound)?.0)
}

/// What was done to a group, for the audit log.
struct Done {
    action: &'static str,
    sentence: &'static str,
    id: i64,
    name: String,
    details: Value,
}

impl Done {
    /// Keeps what was done, and tells it.
    async fn commit(self, state: &AppState, caller: &Caller, mut transaction: Transaction) -> Result<(), ApiError> {
        Entry::new(Category::GroupPermission, self.action, self.sentence)
            .on("group", self.id, self.name)
            .with(self.details)
            .append(&mut transaction, state, &Actor::of(caller))
            .await?;
        transaction.commit().await?;
        state.callers().forget_all();
        Ok(())
    }
}

async fn add_permissions(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<i64>,
    Body(body): Body<PermissionList>,
) -> Result<Shown<Groups>, ApiError> {
    let mut transaction = state.db().begin().await?;
    let name = name_of(&mut transaction, id).await?;
    GROUP_PERMISSIONS.add_all(&mut transaction, id, &body.permission_ids, "permission_ids").await?;
    let details = json!({ "permission_ids": body.permission_ids });
    let sentence = "Permissions given to a group";
    let done = Done { action: "group_permissions_added", sentence, id, name, details };
    done.commit(&state, &caller, transaction).await?;
    show(&state, &caller, Key::Number(id)).await
}

async fn remove_permissions(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<i64>,
    Body(body): Body<PermissionList>,
) -> Result<Shown<Groups>, ApiError> {
    let mut transaction = state.db().begin().await?;
    let name = name_of(&mut transaction, id).await?;
    GROUP_PERMISSIONS.remove_all(&mut transaction, id, &body.permission_ids, "permission_ids").await?;
    let details = json!({ "permission_ids": body.permission_ids });
    let sentence = "Permissions taken from a group";
    let done = Done { action: "group_permissions_removed", sentence, id, name, details };
    done.commit(&state, &caller, transaction).await?;
    show(&state, &caller, Key::Number(id)).await
}

/// The name of the copy.
#[derive(Deserialize, JsonSchema)]
struct CloneRequest {
    #[schemars(length(min = 1, max = 150))]
    name: String,
}

async fn copy(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<i64>,
    Body(body): Body<CloneRequest>,
) -> Result<Shown<Groups, false, 201>, ApiError> {
    let limits = quotas::of_group(state.db(), id).await?;
    let mut transaction = state.db().begin().await?;
    let original = name_of(&mut transaction, id).await?;
    let insert = Query::insert()
        .into_table(Alias::new("auth_group"))
        .columns(["name", "name_key"].map(Alias::new))
        .values_panic([body.name.as_str().into(), fold(&body.name).into()])
        .returning_col(Alias::new("id"))
        .take();
    let clone = transaction.number(&insert).await.map_err(|error| match error {
        error if error.is_duplicate() => ApiError::field("name", "group with this name already exists."),
        error => error.into(),
    })?;
    GROUP_PERMISSIONS.copy(&mut transaction, id, clone).await?;
    if let Some(limits) = limits {
        quotas::set_of_group(&mut transaction, clone, &limits).await?;
    }
    let details = json!({ "original_id": id, "original_name": original });
    let done = Done { action: "group_cloned", sentence: "Group copied", id: clone, name: body.name, details };
    done.commit(&state, &caller, transaction).await?;
    Ok(show(&state, &caller, Key::Number(clone)).await?.with_status())
}

async fn quota(State(state): State<AppState>, _: Caller, Path(id): Path<i64>) -> Result<Json<Limits>, ApiError> {
    quotas::of_group(state.db(), id).await?.map(Json).ok_or(ApiError::NotFound)
}

async fn set_quota(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<i64>,
    Body(body): Body<LimitsRequest>,
) -> Result<Json<Limits>, ApiError> {
    let base = match body.template() {
        None => Limits::DEFAULT,
        Some(name) => match Template::named(name) {
            Some(template) => template.limits,
            None => return Err(ApiError::field("template", format!("\"{name}\" is not a valid choice."))),
        },
    };
    let limits = body.over(base);
    let mut transaction = state.db().begin().await?;
    let name = name_of(&mut transaction, id).await?;
    quotas::set_of_group(&mut transaction, id, &limits).await?;
    let details = json!({ "template": body.template(), "quota": limits });
    let sentence = "Quota of a group set";
    let done = Done { action: "group_quota_updated", sentence, id, name, details };
    done.commit(&state, &caller, transaction).await?;
    Ok(Json(limits))
}

/// A quota to begin with.
#[derive(Serialize, JsonSchema)]
struct RoleTemplate {
    name: &'static str,
    description: &'static str,
    quota: Limits,
}

async fn role_templates() -> Json<Vec<RoleTemplate>> {
    let shown =
        |template: Template| RoleTemplate { name: template.name, description: template.about, quota: template.limits };
    Json(Template::ALL.into_iter().map(shown).collect())
}
