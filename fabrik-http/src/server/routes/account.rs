//! The own account: profile, preferences, password; what is used and how the server does.

mod overview;

use axum::extract::State;
use chrono_tz::Tz;
use schemars::JsonSchema;
use sea_query::{ExprTrait, SelectStatement};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::server::audit::{Actor, Category, Entry};
use crate::server::caller::Caller;
use crate::server::error::{ApiError, FieldErrors};
use crate::server::extract::{Body, Json};
use crate::server::memberships::{USER_GROUPS, count_by, newest_members};
use crate::server::model::{Field, Kind, Model, Record, Values};
use crate::server::passwords::weaknesses;
use crate::server::quotas::{self, Features, Stock};
use crate::server::registry::{Access, Registry, Route};
use crate::server::resource::{Audited, ChangedRecord, Key, Resource, Shown, Write, show, write};
use crate::server::sessions::{self, Which};
use crate::server::state::AppState;
use crate::server::throttle::Scope;
use crate::server::{lockout, mail, mfa, permissions, reset_codes, users};

pub(super) fn declare(registry: &mut Registry) {
    let path = "/api/auth/profile/";
    registry.add(read::<Profile>(path, "auth_profile_retrieve").about("Returns the own account."));
    registry.add(change::<Profile, false>(path, "auth_profile_update").about("Changes fields of the own account."));
    registry.add(
        Route::put(path, "auth_profile_replace", Access::Login, write_own::<Profile, true>)
            .about("Replaces the fields of the own account."),
    );
    let path = "/api/auth/preferences/";
    registry.add(
        read::<Preferences>(path, "auth_preferences_retrieve").about("Returns how times are shown to the caller."),
    );
    registry.add(
        change::<Preferences, false>(path, "auth_preferences_update")
            .about("Changes how times are shown to the caller."),
    );
    let path = "/api/auth/session-timeout/";
    registry.add(
        read::<SessionTimeout>(path, "auth_session_timeout_retrieve")
            .about("Returns after how many idle minutes a client logs out; 0 is never."),
    );
    registry.add(
        change::<SessionTimeout, false>(path, "auth_session_timeout_update")
            .about("Changes after how many idle minutes a client logs out; 0 is never."),
    );
    overview::declare(registry);
    let path = "/api/auth/password/change/";
    for route in [
        Route::put(path, "auth_password_change", Access::Login, change_password),
        Route::patch(path, "auth_password_change_partial", Access::Login, change_password),
    ] {
        let about = "Changes the own password and ends all other sessions.";
        registry.add(route.about(about).throttle(Scope::SensitiveAction));
    }
}

fn read<R: Resource>(path: &str, id: &'static str) -> Route {
    Route::get(path, id, Access::Login, show_own::<R>)
}

fn change<R: Resource, const WHOLE: bool>(path: &str, id: &'static str) -> Route {
    Route::patch(path, id, Access::Login, write_own::<R, WHOLE>)
}

async fn show_own<R: Resource>(State(state): State<AppState>, caller: Caller) -> Result<Shown<R>, ApiError> {
    show(&state, &caller, Key::Number(caller.id())).await
}

async fn write_own<R: Resource, const WHOLE: bool>(
    State(state): State<AppState>,
    caller: Caller,
    body: ChangedRecord<R, WHOLE>,
) -> Result<Shown<R>, ApiError> {
    let key = write::<R>(&state, &caller, Some(Key::Number(caller.id())), body.values).await?;
    show(&state, &caller, key).await
}

/// The account as its user sees it.
struct Profile;

static PROFILE: Model = Model {
    app: "auth",
    name: "profile",
    title: "UserProfile",
    table: "auth_user",
    default_order: "id",
    fields: &[
        Field::new("id", Kind::Integer, "the id of the user"),
        Field::new("username", Kind::Text { least: 1, most: 150 }, "the name to log in with"),
        Field::new("email", Kind::Email, "the address for mail").writable().unique(),
        Field::new("first_name", Kind::Text { least: 0, most: 150 }, "the first name").writable(),
        Field::new("last_name", Kind::Text { least: 0, most: 150 }, "the last name").writable(),
        Field::new("date_joined", Kind::Moment, "since when there is the account"),
        Field::new("last_login", Kind::Moment, "when tokens were last given").nullable(),
        Field::new("is_staff", Kind::Boolean, "whether the user belongs to those who run the server"),
        Field::new("is_superuser", Kind::Boolean, "whether the user may do everything"),
        Field::new("is_active", Kind::Boolean, "whether the user may log in"),
        Field::new("is_admin", Kind::Boolean, "whether the user passes all checks").computed(),
        Field::new("email_verified", Kind::Boolean, "whether the address was proved to be the user's"),
        Field::new("auth_source", Kind::Choice(&["local", "ldap", "oidc"]), "who checks the password"),
        Field::new("mfa_enabled", Kind::Boolean, "whether a login has a second step").computed(),
        Field::new("email_service_available", Kind::Boolean, "whether the server sends mail").computed(),
        Field::new("query_count", Kind::Integer, "how many queries the user saved").computed(),
        Field::new("favorite_count", Kind::Integer, "how many queries are the user's favorites").computed(),
        Field::new("effective_features", Kind::Other(features_schema), "what the user's groups allow").computed(),
        Field::new("profile", Kind::Other(preferences_schema), "how times are shown").computed().writable(),
        Field::new("groups", Kind::Other(own_groups_schema), "the groups that the user is in").computed(),
        Field::new("group_names", Kind::Other(names_schema), "their names").computed(),
        Field::new("display_timezone", Kind::Text { least: 1, most: 64 }, "part of profile").hidden(),
        Field::new("date_format", DATE_FORMAT, "part of profile").hidden(),
        Field::new("time_format", TIME_FORMAT, "part of profile").hidden(),
    ],
};

const DATE_FORMAT: Kind = Kind::Choice(&["DD/MM/YYYY", "MM/DD/YYYY", "YYYY-MM-DD"]);
const TIME_FORMAT: Kind = Kind::Choice(&["24h", "12h"]);

/// Returns the schema of the part of a profile that says how times are shown.
fn preferences_schema() -> Value {
    let properties: Value =
        PREFERENCES.changeable().map(|field| (field.name.to_owned(), field.schema())).collect::<Record>().into();
    json!({ "type": "object", "properties": properties })
}

/// Returns the schema of the switches.
fn features_schema() -> Value {
    let on_or_off = |name: &&str| ((*name).to_owned(), json!({ "type": "boolean" }));
    let properties: Record = Features::NAMES.iter().map(on_or_off).collect();
    json!({ "type": "object", "required": Features::NAMES, "properties": properties })
}

/// Returns the schema of the groups that the own account shows.
fn own_groups_schema() -> Value {
    let number = || json!({ "type": "integer", "format": "int64" });
    let text = || json!({ "type": "string" });
    let user = json!({ "id": number(), "username": text() });
    let users = json!({ "type": "object", "required": ["id", "username"], "properties": user });
    let properties = json!({
        "id": number(), "name": text(), "permission_count": number(), "user_count": number(),
        "recent_users": { "type": "array", "items": users },
    });
    let required = ["id", "name", "permission_count", "user_count", "recent_users"];
    json!({ "type": "array", "items": { "type": "object", "required": required, "properties": properties } })
}

/// Returns the schema of a list of groups.
pub(super) fn groups_schema() -> Value {
    let properties = json!({ "id": { "type": "integer", "format": "int64" }, "name": { "type": "string" } });
    json!({ "type": "array", "items": { "type": "object", "required": ["id", "name"], "properties": properties } })
}

/// Returns the schema of a list of names.
pub(super) fn names_schema() -> Value {
    json!({ "type": "array", "items": { "type": "string" } })
}

/// How changes of the own account are told.
const fn audited(updated: &'static str) -> Option<Audited> {
    // Accounts are neither made nor deleted here.
    Some(Audited { category: Category::UserManagement, created: "", updated, deleted: "", name: "username" })
}

impl Resource for Profile {
    const AUDIT: Option<Audited> = audited("profile_updated");

    fn model() -> &'static Model {
        &PROFILE
    }

    fn visible(caller: &Caller, query: &mut SelectStatement) {
        query.and_where(PROFILE.id_column().eq(caller.id()));
    }

    async fn complete(state: &AppState, records: &mut [Record]) -> Result<(), ApiError> {
        for record in records.iter_mut() {
            let id = record["id"].as_i64().unwrap_or_default();
            let Some(user) = users::by_id(state.db(), id).await? else { continue };
            let is_admin = user.is_superuser || permissions::is_in_admin(state.db(), id).await?;
            record.insert("is_admin".into(), is_admin.into());
            let limits = quotas::limits_of(state.db(), id, user.is_superuser).await?;
            record.insert("effective_features".into(), json!(limits.features()));
            record.insert("query_count".into(), Stock::SavedQueries.of_one(state.db(), id).await?.into());
            record.insert("favorite_count".into(), Stock::FavoriteQueries.of_one(state.db(), id).await?.into());
            record.insert("mfa_enabled".into(), mfa::is_enabled(state.db(), &[id]).await?.contains(&id).into());
            record.insert("email_service_available".into(), mail::is_configured(state.settings()).into());
            record.insert(
                "profile".into(),
                json!({
                    "display_timezone": user.display_timezone,
                    "date_format": user.date_format,
                    "time_format": user.time_format,
                }),
            );
        }
        complete_groups(state, records).await?;
        for record in records {
            complete_own_groups(state, record).await?;
        }
        Ok(())
    }

    async fn before_write(write: &mut Write<'_>, _key: Option<Key>) -> Result<(), ApiError> {
        if let Some(Value::Object(mut profile)) = write.values.take("profile") {
            for field in PREFERENCES.changeable() {
                if let Some(value) = profile.remove(field.name) {
                    write.values.set(field.name, value);
                }
            }
        }
        // Who changes the address has not proved yet that it is theirs.
        if let Some(email) = write.values.text("email") {
            let user = users::by_id_within(write.transaction, write.caller.id()).await?;
            if user.is_some_and(|user| user.email != email) {
                write.values.set("email_verified", false);
            }
        }
        check_timezone(&write.values)
    }
}

/// Adds to users the groups they are in.
pub(super) async fn complete_groups(state: &AppState, records: &mut [Record]) -> Result<(), ApiError> {
    let ids: Vec<_> = records.iter().filter_map(|record| record["id"].as_i64()).collect();
    let mut groups = USER_GROUPS.of(state.db(), &ids, "name").await?;
    for (id, record) in ids.iter().zip(records) {
        let groups = groups.remove(id).unwrap_or_default();
        record.insert("group_names".into(), groups.iter().map(|(_, name)| name.as_str()).collect::<Vec<_>>().into());
        let groups: Vec<_> = groups.into_iter().map(|(id, name)| json!({ "id": id, "name": name })).collect();
        record.insert("groups".into(), groups.into());
    }
    Ok(())
}

/// Adds to the groups of the own account how large they are, and who is in them.
async fn complete_own_groups(state: &AppState, record: &mut Record) -> Result<(), ApiError> {
    let Some(groups) = record.get_mut("groups").and_then(Value::as_array_mut) else { return Ok(()) };
    let ids: Vec<_> = groups.iter().filter_map(|group| group["id"].as_i64()).collect();
    let permissions = count_by(state.db(), "auth_group_permission", "group_id", &ids).await?;
    let users = count_by(state.db(), "auth_user_group", "group_id", &ids).await?;
    let mut recent = newest_members(state.db(), &ids, RECENT_USERS).await?;
    for (id, group) in ids.iter().zip(groups) {
        let count = |of: &hashbrown::HashMap<i64, i64>| of.get(id).copied().unwrap_or_default();
        group["permission_count"] = count(&permissions).into();
        group["user_count"] = count(&users).into();
        let recent = recent.remove(id).unwrap_or_default();
        group["recent_users"] =
            recent.into_iter().map(|(id, username)| json!({ "id": id, "username": username })).collect();
    }
    Ok(())
}

/// How many of a group's users the own account shows.
const RECENT_USERS: u64 = 3;

/// How times are shown to the caller.
struct Preferences;

static PREFERENCES: Model = Model {
    app: "auth",
    name: "preferences",
    title: "Preferences",
    table: "auth_user",
    default_order: "id",
    fields: &[
        Field::new("id", Kind::Integer, "the id of the user").hidden(),
        Field::new("display_timezone", Kind::Text { least: 1, most: 64 }, "a name of the IANA time zone database")
            .changeable(),
        Field::new("date_format", DATE_FORMAT, "how dates are written").changeable(),
        Field::new("time_format", TIME_FORMAT, "how times are written").changeable(),
    ],
};

impl Resource for Preferences {
    const AUDIT: Option<Audited> = audited("preferences_updated");

    fn model() -> &'static Model {
        &PREFERENCES
    }

    async fn before_write(write: &mut Write<'_>, _key: Option<Key>) -> Result<(), ApiError> {
        check_timezone(&write.values)
    }
}

fn check_timezone(values: &Values) -> Result<(), ApiError> {
    match values.text("display_timezone") {
        Some(name) if name.parse::<Tz>().is_err() => {
            Err(ApiError::field("display_timezone", format!("\"{name}\" is not a valid choice.")))
        }
        _ => Ok(()),
    }
}

/// After how many idle minutes a client logs out.
struct SessionTimeout;

static SESSION_TIMEOUT: Model = Model {
    app: "auth",
    name: "session_timeout",
    title: "SessionTimeout",
    table: "auth_user",
    default_order: "id",
    fields: &[
        Field::new("id", Kind::Integer, "the id of the user").hidden(),
        Field::new("session_timeout_minutes", Kind::Range { least: 0, most: 525_600 }, "idle minutes; 0 is never")
            .changeable(),
    ],
};

impl Resource for SessionTimeout {
    const AUDIT: Option<Audited> = audited("session_timeout_updated");

    fn model() -> &'static Model {
        &SESSION_TIMEOUT
    }
}

/// The old password and, twice, the new one.
#[derive(Deserialize, JsonSchema)]
struct PasswordChange {
    #[schemars(length(min = 1, max = 1024))]
    old_password: String,
    #[schemars(length(min = 1, max = 1024))]
    new_password: String,
    #[schemars(length(min = 1, max = 1024))]
    new_password_confirm: String,
}

/// A sentence for people.
#[derive(Serialize, JsonSchema)]
pub(super) struct Message {
    pub(super) message: String,
}

async fn change_password(
    State(state): State<AppState>,
    caller: Caller,
    Body(body): Body<PasswordChange>,
) -> Result<Json<Message>, ApiError> {
    let user = users::by_id(state.db(), caller.id()).await?.ok_or(ApiError::NotFound)?;
    if user.auth_source != "local" {
        return Err(ApiError::BadRequest("The password of this account is kept by a directory.".into()));
    }
    if !state.passwords().verify(&body.old_password, Some(&user.password)).await? {
        return Err(ApiError::field("old_password", "The old password is not right."));
    }
    check_new_password(&body.new_password, &body.new_password_confirm, &[caller.username(), &user.email])?;
    let hash = state.passwords().hash(&body.new_password).await?;
    let mut transaction = state.db().begin().await?;
    users::set_within(&mut transaction, user.id, vec![("password", hash.into())]).await?;
    sessions::end_within(
        &mut transaction,
        &state,
        user.id,
        caller.session().map_or(Which::All, Which::AllBut),
        "password changed",
    )
    .await?;
    reset_codes::forget(&mut transaction, user.id).await?;
    Entry::new(Category::UserManagement, "password_changed", "Own password changed")
        .on("user", user.id, &user.username)
        .append(&mut transaction, &state, &Actor::of(&caller))
        .await?;
    transaction.commit().await?;
    state.callers().forget_all();
    lockout::clear(&state, &user.username).await?;
    Ok(Json(Message { message: "The password was changed.".to_owned() }))
}

/// Fails where a new password is weak or was not given twice.
pub(super) fn check_new_password(password: &str, confirm: &str, about: &[&str]) -> Result<(), ApiError> {
    let mut errors = FieldErrors::default();
    for sentence in weaknesses(password, about) {
        errors.add("new_password", sentence);
    }
    if password != confirm {
        errors.add("new_password_confirm", "The two passwords do not match.");
    }
    errors.into_result()
}
