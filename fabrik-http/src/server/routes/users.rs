//! User administration.

mod actions;

use sea_query::{Alias, Expr, ExprTrait, Query, SelectStatement};
use serde_json::Value;

use super::account::{complete_groups, groups_schema, names_schema};
use crate::server::audit::Category;
use crate::server::caller::Caller;
use crate::server::error::{ApiError, FieldErrors};
use crate::server::first::{BAD_NAME, is_name_character};
use crate::server::listing::Filter;
use crate::server::memberships::{USER_GROUPS, USER_PERMISSIONS, group_named};
use crate::server::model::{Field, Kind, Model, Record, Values, Verb};
use crate::server::passwords::weaknesses;
use crate::server::permissions::{ADMIN, USERS};
use crate::server::quotas::Stock;
use crate::server::registry::{Access, Registry};
use crate::server::resource::{Audited, Key, Resource, Write};
use crate::server::state::AppState;
use crate::server::throttle::Scope;
use crate::server::{authority, mfa, sessions};

pub(super) use actions::PermissionList;

pub(super) fn declare(registry: &mut Registry) {
    registry.resource::<Users>("/api/auth/management/");
    actions::declare(registry);
}

/// Users as administrators see them.
struct Users;

static USER: Model = Model {
    app: "auth",
    name: "user",
    title: "User",
    table: "auth_user",
    default_order: "-date_joined,-id",
    fields: &[
        Field::new("id", Kind::Integer, "the id of the user").order(),
        Field::new("username", Kind::Text { least: 1, most: 150 }, "the name to log in with")
            .required()
            .fixed()
            .unique()
            .filter()
            .search()
            .order(),
        Field::new("email", Kind::Email, "the address for mail").required().unique().filter().search().order(),
        Field::new("first_name", Kind::Text { least: 0, most: 150 }, "the first name").writable().search().order(),
        Field::new("last_name", Kind::Text { least: 0, most: 150 }, "the last name").writable().search().order(),
        Field::new("is_active", Kind::Boolean, "whether the user may log in").writable().filter(),
        Field::new("is_staff", Kind::Boolean, "whether the user belongs to those who run the server")
            .changeable()
            .filter(),
        Field::new("is_superuser", Kind::Boolean, "whether the user may do everything").changeable().filter(),
        Field::new("is_admin", Kind::Boolean, "whether the user passes all checks").computed(),
        Field::new("email_verified", Kind::Boolean, "whether the address was proved to be the user's").filter(),
        Field::new("mfa_enabled", Kind::Boolean, "whether a login has a second step").computed(),
        Field::new("auth_source", Kind::Choice(&["local", "ldap", "oidc"]), "who checks the password").filter(),
        Field::new("last_login", Kind::Moment, "when tokens were last given").nullable().order(),
        Field::new("date_joined", Kind::Moment, "since when there is the account").order(),
        Field::new("groups", Kind::Other(groups_schema), "the groups that the user is in").computed(),
        Field::new("group_names", Kind::Other(names_schema), "their names").computed(),
        Field::new("query_count", Kind::Integer, "how many queries the user saved").computed(),
        Field::new("password", Kind::Text { least: 1, most: 1024 }, "the password").required().fixed().hidden(),
        Field::new("password_confirm", Kind::Text { least: 1, most: 1024 }, "the password again")
            .computed()
            .required()
            .fixed()
            .hidden(),
        Field::new("group_ids", Kind::Ids, "the groups that the user shall be in").computed().writable().hidden(),
        Field::new("permission_ids", Kind::Ids, "the permissions that the user shall hold directly")
            .computed()
            .changeable()
            .hidden(),
    ],
};

impl Resource for Users {
    const WRITE_SCOPE: Option<Scope> = Some(Scope::SensitiveAction);
    const AUDIT: Option<Audited> = Some(Audited {
        category: Category::UserManagement,
        created: "user_created",
        updated: "user_updated",
        deleted: "user_deleted",
        name: "username",
    });

    fn model() -> &'static Model {
        &USER
    }

    fn access(_verb: Verb) -> Access {
        Access::Admin
    }

    fn filters() -> &'static [Filter] {
        &[
            Filter { name: "group_id", kind: Kind::Integer, about: "users in this group", apply: in_group },
            Filter {
                name: "permission_id",
                kind: Kind::Integer,
                about: "users who hold this permission directly",
                apply: with_permission,
            },
        ]
    }

    async fn complete(state: &AppState, records: &mut [Record]) -> Result<(), ApiError> {
        complete_groups(state, records).await?;
        let ids: Vec<_> = records.iter().filter_map(|record| record["id"].as_i64()).collect();
        let queries = Stock::SavedQueries.of(state.db(), &ids).await?;
        let with_mfa = mfa::is_enabled(state.db(), &ids).await?;
        for (id, record) in ids.iter().zip(records) {
            record.insert("query_count".into(), queries.get(id).copied().unwrap_or_default().into());
            record.insert("mfa_enabled".into(), with_mfa.contains(id).into());
            let names = record["group_names"].as_array();
            let is_in_admin = names.is_some_and(|names| names.iter().any(|name| name == ADMIN));
            let is_admin = is_in_admin || record["is_superuser"] == true;
            record.insert("is_admin".into(), is_admin.into());
        }
        Ok(())
    }

    async fn prepare(state: &AppState, _: &Caller, values: &mut Values, key: Option<Key>) -> Result<(), ApiError> {
        if key.is_some() {
            return Ok(());
        }
        let mut errors = FieldErrors::default();
        let username = values.text("username").unwrap_or_default();
        let password = values.text("password").unwrap_or_default();
        if !username.chars().all(is_name_character) {
            errors.add("username", BAD_NAME);
        }
        for sentence in weaknesses(password, &[username, values.text("email").unwrap_or_default()]) {
            errors.add("password", sentence);
        }
        if values.text("password_confirm") != Some(password) {
            errors.add("password_confirm", "The two passwords do not match.");
        }
        errors.into_result()?;
        let hash = state.passwords().hash(password).await?;
        values.set("password", hash);
        values.set("date_joined", crate::server::moment::Moment(state.clock().now()).to_string());
        Ok(())
    }

    async fn before_write(write: &mut Write<'_>, key: Option<Key>) -> Result<(), ApiError> {
        let is_making_superuser = write.values.get("is_superuser") == Some(&Value::Bool(true));
        let Some(id) = key.map(Key::number) else { return Ok(()) };
        let before = authority::target(write.transaction, write.caller, id).await?;
        if is_making_superuser && !write.caller.is_superuser() {
            return Err(ApiError::forbidden());
        }
        if id == write.caller.id() && write.values.get("is_active") == Some(&Value::Bool(false)) {
            return Err(ApiError::field("is_active", "You cannot deactivate yourself."));
        }
        if write.values.text("email").is_some_and(|email| email != before.email) {
            write.values.set("email_verified", false);
        }
        Ok(())
    }

    async fn after_write(write: &mut Write<'_>, key: Key) -> Result<(), ApiError> {
        let id = key.number();
        let is_new = write.values.get("password").is_some();
        let mut groups = write.values.take_ids("group_ids");
        if is_new && groups.is_none() {
            groups = Some(group_named_within(write, USERS).await?.into_iter().collect());
        }
        if let Some(ids) = groups {
            let admin = group_named_within(write, ADMIN).await?;
            let was_in = USER_GROUPS.has(write.transaction, id, admin.unwrap_or_default()).await?;
            let will_be_in = admin.is_some_and(|admin| ids.contains(&admin));
            if was_in != will_be_in && !write.caller.is_superuser() {
                return Err(ApiError::forbidden());
            }
            USER_GROUPS.set(write.transaction, id, &ids, "group_ids").await?;
        }
        if let Some(ids) = write.values.take_ids("permission_ids") {
            USER_PERMISSIONS.set(write.transaction, id, &ids, "permission_ids").await?;
        }
        if write.values.get("is_active") == Some(&Value::Bool(false)) {
            sessions::end_within(write.transaction, write.state, id, sessions::Which::All, "deactivated").await?;
        }
        if is_new { Ok(()) } else { authority::keep_an_admin(write.transaction, None).await }
    }

    async fn before_delete(write: &mut Write<'_>, key: Key) -> Result<(), ApiError> {
        let id = key.number();
        if id == write.caller.id() {
            return Err(ApiError::BadRequest("You cannot delete yourself.".into()));
        }
        authority::target(write.transaction, write.caller, id).await?;
        authority::keep_an_admin(write.transaction, Some(id)).await
    }
}

async fn group_named_within(write: &mut Write<'_>, name: &str) -> Result<Option<i64>, ApiError> {
    Ok(write.transaction.first::<(i64,)>(&group_named(name)).await?.map(|(id,)| id))
}

fn in_group(query: &mut SelectStatement, id: &Value) {
    narrow(query, "auth_user_group", "group_id", id);
}

fn with_permission(query: &mut SelectStatement, id: &Value) {
    narrow(query, "auth_user_permission", "permission_id", id);
}

fn narrow(query: &mut SelectStatement, table: &'static str, column: &'static str, id: &Value) {
    let owners = Query::select()
        .column(Alias::new("user_id"))
        .from(Alias::new(table))
        .and_where(Expr::col(Alias::new(column)).eq(id.as_i64()))
        .take();
    query.and_where(USER.id_column().in_subquery(owners));
}
