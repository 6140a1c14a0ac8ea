//! Who may use the Time Machine, and whose snapshots are whose.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use hashbrown::HashMap;
use sea_query::{Alias, Cond, Expr, ExprTrait, Query};

use crate::server::caller::Caller;
use crate::server::describe::{Describe, Operation};
use crate::server::error::ApiError;
use crate::server::queries::{self, SavedQuery};
use crate::server::quotas::{Switch, require};
use crate::server::state::AppState;

/// A caller whose groups allow the Time Machine.
#[derive(Clone, Debug)]
pub(crate) struct Permitted(pub(crate) Caller);

impl FromRequestParts<AppState> for Permitted {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, ApiError> {
        let caller = Caller::from_request_parts(parts, state).await?;
        require(state, &caller, Switch::CanUseTimeMachine).await?;
        Ok(Self(caller))
    }
}

impl Describe for Permitted {
    fn describe(operation: &mut Operation<'_>) {
        operation.error(403);
    }
}

/// Returns the saved query that a series belongs to, where the caller can see it. A series of none is for administrators.
pub(crate) async fn owner_of(state: &AppState, caller: &Caller, series: &str) -> Result<Option<SavedQuery>, ApiError> {
    let is_default = Cond::all()
        .add(Expr::col(Alias::new("series")).is_null())
        .add(Expr::col(Alias::new("id")).eq(default_of(series)));
    let query = Query::select()
        .column(Alias::new("id"))
        .from(Alias::new(queries::TABLE))
        .cond_where(Cond::any().add(Expr::col(Alias::new("series")).eq(series)).add(is_default))
        .take();
    match state.db().first::<(i64,)>(&query).await? {
        Some((id,)) => queries::find(state, caller, id).await.map(Some),
        None if caller.is_admin() => Ok(None),
        None => Err(ApiError::NotFound),
    }
}

/// Returns the saved query whose series has this name unless told otherwise; 0 is none.
fn default_of(series: &str) -> i64 {
    series.parse().ok().filter(|id: &i64| id.to_string() == series).unwrap_or(0)
}

/// Returns the ids and names of the saved queries that a caller can see, by their series. With `owner`, only those of
/// this user.
pub(crate) async fn visible_by_series(
    state: &AppState,
    caller: &Caller,
    owner: Option<i64>,
) -> Result<HashMap<String, (i64, String)>, ApiError> {
    let mut query = Query::select()
        .columns(["id", "name", "series"].map(|name| (Alias::new(queries::TABLE), Alias::new(name))))
        .from(Alias::new(queries::TABLE))
        .take();
    queries::narrow_to_visible(caller, &mut query);
    if let Some(owner) = owner {
        query.and_where(Expr::col((Alias::new(queries::TABLE), Alias::new("owner_id"))).eq(owner));
    }
    let rows = state.db().all::<(i64, String, Option<String>)>(&query).await?;
    Ok(rows.into_iter().map(|(id, name, series)| (series.unwrap_or_else(|| id.to_string()), (id, name))).collect())
}
