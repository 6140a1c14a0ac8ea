//! Saved queries that take over a history that is there already: one that the command line captured, or that of a query
//! that was deleted.

use fabrik_core::store::SnapshotFilter;
use sea_query::{Alias, Expr, ExprTrait, Func, Query as Select};

use crate::server::caller::Caller;
use crate::server::error::{ApiError, FieldErrors};
use crate::server::model::Values;
use crate::server::queries::{self, TABLE};
use crate::server::resource::{Key, Write};
use crate::server::state::AppState;

const FIELD: &str = "series";

/// Takes out a series that stays as it is, and fails where a query would leave snapshots of its own behind.
pub(super) async fn prepare(
    state: &AppState,
    caller: &Caller,
    values: &mut Values,
    key: Option<Key>,
) -> Result<(), ApiError> {
    let (Some(wanted), Some(key)) = (values.get(FIELD), key) else { return Ok(()) };
    let query = queries::find(state, caller, key.number()).await?;
    let default = query.id.to_string();
    if wanted.as_str().unwrap_or(&default) == query.series {
        values.take(FIELD);
        return Ok(());
    }
    if !caller.is_admin() {
        return Err(ApiError::field(FIELD, "Only administrators adopt a history."));
    }
    let own = query.series;
    let n_snapshots = state
        .engine(async move |store| match store.query(&own).await? {
            Some(captured) => Ok(store.changes(&SnapshotFilter::of_query(captured.query.id)).await?.len()),
            None => Ok(0),
        })
        .await?;
    if n_snapshots > 0 {
        let sentence = format!("The query has {n_snapshots} snapshots of its own, which nobody would find any more.");
        return Err(ApiError::field(FIELD, sentence));
    }
    Ok(())
}

/// Checks a series that the query with the id `own` is to have; 0 is one that is made.
pub(super) async fn check(
    write: &mut Write<'_>,
    own: i64,
    series: &str,
    errors: &mut FieldErrors,
) -> Result<(), ApiError> {
    if !write.caller.is_admin() {
        errors.add(FIELD, "Only administrators adopt a history.");
    } else if let Err(error) = fabrik_core::check_name("series", series) {
        errors.add(FIELD, format!("{error}."));
    }
    let others = Select::select()
        .expr(Func::count(Expr::col(Alias::new("id"))))
        .from(Alias::new(TABLE))
        .and_where(Expr::col(Alias::new("series")).eq(series))
        .and_where(Expr::col(Alias::new("id")).ne(own))
        .take();
    if write.transaction.number(&others).await? > 0 {
        errors.add(FIELD, "Another saved query has this history.");
    }
    Ok(())
}

/// Fails where the series that was written is a number that another query has, or may have one day: it is the history of the
/// query with this id. Ids are given once, so one below that of a query and without one is that of a query that is gone.
pub(super) async fn check_number(write: &mut Write<'_>, id: i64) -> Result<(), ApiError> {
    let Some(series) = write.values.text(FIELD) else { return Ok(()) };
    if !series.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(());
    }
    // A number that is none, such as one with a zero in front, is no default either, but looks like one.
    let number: i64 = series.parse().ok().filter(|number: &i64| number.to_string() == series).unwrap_or(i64::MAX);
    let living = Select::select()
        .expr(Func::count(Expr::col(Alias::new("id"))))
        .from(Alias::new(TABLE))
        .and_where(Expr::col(Alias::new("id")).eq(number))
        .take();
    if number == id || (number < id && write.transaction.number(&living).await? == 0) {
        return Ok(());
    }
    Err(ApiError::field(FIELD, "A number is the history of the saved query with this id."))
}
