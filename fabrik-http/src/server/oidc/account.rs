//! From claims to an account.

use chrono::{DateTime, Utc};
use sea_query::{Alias, Expr, ExprTrait, Query, SelectStatement, UpdateStatement};
use serde_json::{Value, json};

use super::Denied;
use super::provider::Claims;
use crate::server::audit::{Actor, Category, Entry};
use crate::server::db::{DbError, Transaction};
use crate::server::error::ApiError;
use crate::server::outside::Outsider;
use crate::server::peer::Peer;
use crate::server::settings::ProviderSettings;
use crate::server::state::AppState;
use crate::server::users;

const IDENTITIES: &str = "auth_identity";
const SOURCE: &str = "oidc";

/// Returns the id of the account of a subject: made at the first login, brought up to date at others.
pub(super) async fn keep(
    state: &AppState,
    settings: &ProviderSettings,
    claims: &Claims,
    peer: &Peer,
) -> Result<Result<i64, Denied>, ApiError> {
    let groups = groups(&claims.all[settings.groups_claim.as_str()]);
    if !settings.require_group.as_ref().is_none_or(|wanted| groups.contains(&wanted.as_str())) {
        return Ok(Err(Denied::NotInGroup));
    }
    let outsider = outsider(settings, &claims.all, &groups);
    let known = state.db().first::<(i64,)>(&owner(settings, &claims.subject)).await?;
    let user = match known {
        Some((id,)) => users::by_id(state.db(), id).await?,
        None => None,
    };
    let now = state.clock().now();
    match &user {
        Some(user) if !user.is_active || user.expires_at.is_some_and(|end| end <= now) => {
            return Ok(Err(Denied::Inactive));
        }
        Some(_) => {}
        None if !settings.allow_signup => return Ok(Err(Denied::NoSignup)),
        None if !outsider.has_good_name() => return Ok(Err(Denied::NoName)),
        None if users::by_name(state.db(), &outsider.username).await?.is_some() => return Ok(Err(Denied::NameTaken)),
        None => {}
    }
    let mut transaction = state.db().begin().await?;
    let (id, username) = match &user {
        Some(user) => {
            outsider.update(&mut transaction, user.id).await?;
            transaction.run(&seen(settings, &claims.subject, now)).await?;
            (user.id, &user.username)
        }
        None => match make(&mut transaction, state, settings, &claims.subject, &outsider).await {
            Err(error) if error.is_duplicate() => return Ok(Err(Denied::NameTaken)),
            made => (made?, &outsider.username),
        },
    };
    Entry::new(Category::LoginLogout, "oidc_login", format!("Logged in by {}.", settings.label))
        .on("user", id, username)
        .with(json!({ "provider": settings.name, "is_new": user.is_none(), "is_admin": outsider.is_admin }))
        .append(&mut transaction, state, &Actor::user(id, username, peer))
        .await?;
    transaction.commit().await?;
    state.callers().forget_all();
    Ok(Ok(id))
}

fn outsider(settings: &ProviderSettings, claims: &Value, groups: &[&str]) -> Outsider {
    let text = |claim: &str| claims[claim].as_str().unwrap_or_default().to_owned();
    let mut outsider = Outsider {
        username: text(&settings.username_claim),
        // An address that the provider did not check may be somebody else's.
        email: if claims["email_verified"] == true { text("email") } else { String::new() },
        first_name: text("given_name"),
        last_name: text("family_name"),
        is_admin: settings.admin_group.as_ref().map(|wanted| groups.contains(&wanted.as_str())),
    };
    if outsider.first_name.is_empty() && outsider.last_name.is_empty() {
        outsider.first_name = text("name");
    }
    outsider
}

/// Makes an account for a subject.
async fn make(
    transaction: &mut Transaction,
    state: &AppState,
    settings: &ProviderSettings,
    subject: &str,
    outsider: &Outsider,
) -> Result<i64, DbError> {
    let id = outsider.add(transaction, state, SOURCE).await?;
    let now = state.clock().now();
    let insert = Query::insert()
        .into_table(Alias::new(IDENTITIES))
        .columns(["provider", "subject", "user_id", "created_at", "last_login_at"].map(Alias::new))
        .values_panic([settings.name.as_str().into(), subject.into(), id.into(), now.into(), now.into()])
        .take();
    transaction.run(&insert).await?;
    Ok(id)
}

fn seen(settings: &ProviderSettings, subject: &str, now: DateTime<Utc>) -> UpdateStatement {
    Query::update()
        .table(Alias::new(IDENTITIES))
        .value(Alias::new("last_login_at"), now)
        .and_where(Expr::col(Alias::new("provider")).eq(settings.name.as_str()))
        .and_where(Expr::col(Alias::new("subject")).eq(subject))
        .take()
}

/// Returns the query for whose account a subject has.
fn owner(settings: &ProviderSettings, subject: &str) -> SelectStatement {
    Query::select()
        .column(Alias::new("user_id"))
        .from(Alias::new(IDENTITIES))
        .and_where(Expr::col(Alias::new("provider")).eq(settings.name.as_str()))
        .and_where(Expr::col(Alias::new("subject")).eq(subject))
        .take()
}

/// Reads groups: a list of names, or one name.
fn groups(claim: &Value) -> Vec<&str> {
    match claim {
        Value::String(name) => vec![name],
        Value::Array(names) => names.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}
