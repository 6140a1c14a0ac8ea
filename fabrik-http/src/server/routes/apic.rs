//! Connections to controllers.

mod actions;
mod answer;

use fabrik_apic::{ApicError, Client, ConnectionOptions, Credentials, Secret};
use hashbrown::HashMap;
use sea_query::{Alias, Expr, ExprTrait, LockType, Query, SelectStatement};
use serde_json::{Value, json};

use crate::server::audit::{Actor, Category, Entry};
use crate::server::caller::Caller;
use crate::server::connections::{self, TABLE, column, may_edit};
use crate::server::db::{Database, DbError};
use crate::server::error::{ApiError, FieldErrors};
use crate::server::memberships::CONNECTION_SHARES;
use crate::server::model::{Field, Kind, Model, Record, Values, Verb};
use crate::server::moment::Moment;
use crate::server::quotas::{self, Stock, Switch};
use crate::server::registry::{Access, Registry};
use crate::server::resource::{Audited, Key, Resource, Write};
use crate::server::state::AppState;

pub(super) fn declare(registry: &mut Registry) {
    let path = "/api/apic/connections/";
    registry.resource::<Connections>(path);
    actions::declare(registry, path);
}

/// Returns who may use connections for what changes nothing: who may see them.
fn viewers() -> Access {
    Access::Permission(CONNECTION.codename(Verb::View).into())
}

/// Connections: the own ones, those shared with the caller, and public ones; administrators see all.
struct Connections;

static CONNECTION: Model = Model {
    app: "apic",
    name: "apic_connection",
    title: "ApicConnection",
    table: TABLE,
    default_order: "name",
    fields: &[
        Field::new("id", Kind::Integer, "the id of the connection").order(),
        Field::new("name", Kind::Text { least: 3, most: 100 }, "the name").required().filter().search().order(),
        Field::new("description", Kind::Text { least: 0, most: 2000 }, "what it is for").writable().search(),
        Field::new(
            "host",
            Kind::Text { least: 1, most: 500 },
            "the address of the controller, such as https://apic1.example.net; may be given as `url`, too",
        )
        .writable()
        .filter()
        .search()
        .order(),
        Field::new("url", Kind::Text { least: 1, most: 500 }, "the same as `host`").computed().writable(),
        Field::new("username", Kind::Text { least: 1, most: 150 }, "the user to log in as").required().search().order(),
        Field::new("login_domain", Kind::Text { least: 0, most: 150 }, "the login domain, unless the controller's own")
            .writable(),
        Field::new(
            "password",
            Kind::Text { least: 1, most: 1024 },
            "the password; unless given it stays, but not with another host, username or login_domain",
        )
        .computed()
        .required()
        .kept()
        .hidden(),
        Field::new("verify_ssl", Kind::Boolean, "whether the controller's certificate is checked").writable().filter(),
        Field::new(
            "ca_certificate",
            Kind::Text { least: 0, most: 100_000 },
            "the authorities to check it by, in PEM form; those of the machine unless given",
        )
        .writable(),
        Field::new("timeout", Kind::Range { least: 1, most: 600 }, "how many seconds an answer may take").writable(),
        Field::new("is_active", Kind::Boolean, "whether it may be used").writable().filter(),
        Field::new("is_public", Kind::Boolean, "whether everybody may see and use it").writable().filter(),
        Field::new("is_default", Kind::Boolean, "whether it is the first choice of its owner, who has one at most")
            .writable()
            .filter(),
        Field::new("shared_with", Kind::Ids, "the users who may see and use it").computed().writable(),
        Field::new("owner_id", Kind::Integer, "whose it is; nobody's once the user is gone").nullable().filter(),
        Field::new("created_by", Kind::Other(user_schema), "whose it is").computed().nullable(),
        Field::new("last_tested_at", Kind::Moment, "when it was tested last").nullable().order(),
        Field::new("last_test_status", Kind::Choice(&["success", "failed"]), "what came of it").nullable().filter(),
        Field::new("last_test_message", Kind::Text { least: 0, most: 1000 }, "what came of it, in words"),
        Field::new("created_at", Kind::Moment, "since when there is the connection").order(),
        Field::new("updated_at", Kind::Moment, "when it was changed last").order(),
        Field::new("can_edit", Kind::Boolean, "whether the caller may change it").computed(),
        Field::new("can_delete", Kind::Boolean, "whether the caller may delete it").computed(),
        Field::new("warnings", Kind::Other(warnings_schema), "what is not safe about it, in words").computed(),
    ],
};

fn user_schema() -> Value {
    let text = || json!({ "type": "string" });
    json!({
        "type": "object",
        "required": ["id", "username", "first_name", "last_name"],
        "properties": {
            "id": { "type": "integer", "format": "int64" },
            "username": text(), "first_name": text(), "last_name": text(),
        },
    })
}

fn warnings_schema() -> Value {
    json!({ "type": "array", "items": { "type": "string" } })
}

const UNVERIFIED: &str =
    "The controller's certificate is not checked: whoever answers at its address gets the password.";
const PLAIN: &str = "The connection is not encrypted: whoever listens on the way gets the password.";

/// Where a password goes to: who changes one of these must know the password.
const TARGET: [&str; 3] = ["host", "username", "login_domain"];
/// What a test was about, beside those.
const TESTED: [&str; 3] = ["password", "verify_ssl", "ca_certificate"];

impl Resource for Connections {
    const AUDIT: Option<Audited> = Some(Audited {
        category: Category::ApicManagement,
        created: "apic_connection_created",
        updated: "apic_connection_updated",
        deleted: "apic_connection_deleted",
        name: "name",
    });

    fn model() -> &'static Model {
        &CONNECTION
    }

    fn visible(caller: &Caller, query: &mut SelectStatement) {
        connections::visible(caller, query);
    }

    async fn complete(state: &AppState, records: &mut [Record]) -> Result<(), ApiError> {
        let ids: Vec<_> = records.iter().filter_map(|record| record["id"].as_i64()).collect();
        let owners: Vec<_> = records.iter().filter_map(|record| record["owner_id"].as_i64()).collect();
        let shares = CONNECTION_SHARES.of(state.db(), &ids, "username").await?;
        let users = users(state.db(), &owners).await?;
        for (id, record) in ids.iter().zip(records) {
            let shared = shares.get(id).into_iter().flatten().map(|(user, _)| *user).collect::<Vec<_>>();
            let owner = record["owner_id"].as_i64().and_then(|owner| users.get(&owner)).cloned();
            let host = record["host"].clone();
            let is_plain = host.as_str().is_some_and(|host| host.starts_with("http://"));
            let warnings = [(is_plain, PLAIN), (!is_plain && record["verify_ssl"] == false, UNVERIFIED)];
            let warnings: Vec<_> = warnings.iter().filter(|(is, _)| *is).map(|(_, warning)| *warning).collect();
            record.insert("url".into(), host);
            record.insert("shared_with".into(), shared.into());
            record.insert("created_by".into(), owner.unwrap_or_default());
            record.insert("warnings".into(), warnings.into());
        }
        Ok(())
    }

    fn complete_for(caller: &Caller, records: &mut [Record]) {
        for record in records {
            let is_theirs = may_edit(caller, record["owner_id"].as_i64());
            let may = |verb| is_theirs && caller.has(&CONNECTION.codename(verb));
            let (can_edit, can_delete) = (may(Verb::Change), may(Verb::Delete));
            record.insert("can_edit".into(), can_edit.into());
            record.insert("can_delete".into(), can_delete.into());
        }
    }

    async fn prepare(state: &AppState, caller: &Caller, values: &mut Values, _: Option<Key>) -> Result<(), ApiError> {
        check(values)?;
        let is_shared = values.get("shared_with").and_then(Value::as_array).is_some_and(|users| !users.is_empty());
        if is_shared || values.get("is_public").is_some_and(|is| *is == true) {
            quotas::require(state, caller, Switch::CanShareResources).await?;
        }
        Ok(())
    }

    async fn before_write(write: &mut Write<'_>, key: Option<Key>) -> Result<(), ApiError> {
        let now = Moment(write.state.clock().now()).to_string();
        write.values.set("updated_at", now.as_str());
        let owner = match key {
            Some(key) => change(write, key.number()).await?,
            None => {
                if write.values.get("host").is_none() {
                    return Err(ApiError::field("host", "This field is required."));
                }
                quotas::check_stock(write.transaction, write.caller, Stock::ApicConnections).await?;
                write.values.set("owner_id", write.caller.id());
                write.values.set("created_at", now);
                Some(write.caller.id())
            }
        };
        if let Some(owner) = owner
            && write.values.get("is_default").is_some_and(|is| *is == true)
        {
            take_default(write, owner).await?;
        }
        Ok(())
    }

    async fn after_write(write: &mut Write<'_>, key: Key) -> Result<(), ApiError> {
        let id = key.number();
        if let Some(users) = write.values.take_ids("shared_with") {
            CONNECTION_SHARES.set(write.transaction, id, &users, "shared_with").await?;
        }
        if let Some(Value::String(password)) = write.values.take("password") {
            connections::keep_password(write.transaction, write.state, id, &password).await?;
        }
        if write.values.get("verify_ssl").is_some_and(|is| *is == false) {
            let (name,) = stored::<(String,)>(write, id, &["name"]).await?;
            Entry::new(Category::ApicManagement, "apic_connection_unverified", UNVERIFIED)
                .on(CONNECTION.name, id, name)
                .append(write.transaction, write.state, &Actor::of(write.caller))
                .await?;
        }
        Ok(())
    }

    async fn before_delete(write: &mut Write<'_>, key: Key) -> Result<(), ApiError> {
        let (owner,) = stored::<(Option<i64>,)>(write, key.number(), &["owner_id"]).await?;
        if !may_edit(write.caller, owner) {
            return Err(ApiError::forbidden());
        }
        write.state.controllers().forget(key.number());
        Ok(())
    }
}

/// Checks what the schema cannot say, and brings addresses into their form.
fn check(values: &mut Values) -> Result<(), ApiError> {
    let mut errors = FieldErrors::default();
    let url = values.take("url");
    if let Some(Value::String(url)) = &url {
        match values.text("host") {
            Some(host) if host != url => errors.add("url", "This is the same as host, which says something else."),
            _ => values.set("host", url.as_str()),
        }
    }
    if let Some(host) = values.text("host") {
        match connections::normalize(host) {
            Ok(host) => values.set("host", host),
            Err(sentence) => errors.add(if url.is_some() { "url" } else { "host" }, sentence),
        }
    }
    for name in ["name", "username", "login_domain", "password"] {
        if values.text(name).is_some_and(|text| text.contains(char::is_control)) {
            errors.add(name, "Control characters are not allowed.");
        }
    }
    if values.text("login_domain").is_some_and(|domain| domain.contains(['\\', '/', ':'])) {
        errors.add("login_domain", "Expected the name of a login domain, without slashes and colons.");
    }
    if let Some(authority) = values.text("ca_certificate")
        && is_no_authority(authority)
    {
        errors.add("ca_certificate", "Expected certificates in PEM form.");
    }
    errors.into_result()
}

/// Tries what a client would do with the certificates, with nobody's password.
fn is_no_authority(pem: &str) -> bool {
    let mut options = ConnectionOptions::new("https://controller.invalid");
    options.verification = connections::verification(true, pem);
    let nobody =
        Credentials::Password { username: "nobody".to_owned(), domain: None, password: Secret::new(String::new()) };
    !pem.trim().is_empty() && matches!(Client::new(options, nobody), Err(ApicError::InvalidOption { .. }))
}

/// Checks a change of a connection that the caller can see, and returns its owner.
async fn change(write: &mut Write<'_>, id: i64) -> Result<Option<i64>, ApiError> {
    type Before = (Option<i64>, String, String, String);
    let columns = ["owner_id", "host", "username", "login_domain"];
    let (owner, host, username, login_domain) = stored::<Before>(write, id, &columns).await?;
    if !may_edit(write.caller, owner) {
        return Err(ApiError::forbidden());
    }
    let before = [host, username, login_domain];
    let differs = |(field, before): (&&'static str, &String)| {
        write.values.text(field).is_some_and(|text| text != before).then_some(*field)
    };
    let moved: Vec<_> = TARGET.iter().zip(&before).filter_map(differs).collect();
    if let Some(field) = moved.first()
        && write.values.get("password").is_none()
    {
        let sentence = format!("The password is needed where {field} changes: it would be sent somewhere else.");
        return Err(ApiError::field("password", sentence));
    }
    if !moved.is_empty() || TESTED.iter().any(|field| write.values.get(field).is_some()) {
        // What was tested is not what will be used.
        for field in ["last_tested_at", "last_test_status"] {
            write.values.set(field, Value::Null);
        }
        write.values.set("last_test_message", "");
        write.state.controllers().forget(id);
    }
    Ok(owner)
}

/// Takes the place of the first choice from the owner's other connections.
async fn take_default(write: &mut Write<'_>, owner: i64) -> Result<(), DbError> {
    // Of two who do it at the same time, the second waits here.
    let lock = Query::select()
        .column(Alias::new("id"))
        .from(Alias::new("auth_user"))
        .and_where(Expr::col(Alias::new("id")).eq(owner))
        .lock(LockType::NoKeyUpdate)
        .take();
    write.transaction.first::<(i64,)>(&lock).await?;
    let update = Query::update()
        .table(Alias::new(TABLE))
        .value(Alias::new("is_default"), false)
        .and_where(Expr::col(Alias::new("owner_id")).eq(owner))
        .and_where(Expr::col(Alias::new("is_default")).eq(true))
        .take();
    write.transaction.run(&update).await.map(|_| ())
}

async fn stored<T: crate::server::db::FromAnyRow>(
    write: &mut Write<'_>,
    id: i64,
    columns: &[&'static str],
) -> Result<T, ApiError> {
    let query = Query::select()
        .columns(columns.iter().map(|name| Alias::new(*name)))
        .from(Alias::new(TABLE))
        .and_where(column("id").eq(id))
        .take();
    write.transaction.first(&query).await?.ok_or(ApiError::NotFound)
}

/// Returns these users as a connection shows its owner.
async fn users(db: &Database, ids: &[i64]) -> Result<HashMap<i64, Value>, DbError> {
    let query = Query::select()
        .columns(["id", "username", "first_name", "last_name"].map(Alias::new))
        .from(Alias::new("auth_user"))
        .and_where(Expr::col(Alias::new("id")).is_in(ids.iter().copied()))
        .take();
    let users = db.all::<(i64, String, String, String)>(&query).await?;
    let shown = users.into_iter().map(|(id, username, first_name, last_name)| {
        let shown = json!({ "id": id, "username": username, "first_name": first_name, "last_name": last_name });
        (id, shown)
    });
    Ok(shown.collect())
}
