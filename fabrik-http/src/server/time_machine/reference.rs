//! How a request names a snapshot: `202@latest~2`, `202@4@-7d`, `@-7d` of a query that is named elsewhere, or its id.

use std::str::FromStr;

use fabrik_core::store::{SnapshotFilter, Store};
use fabrik_core::{Snapshot, SnapshotId, resolve};

use super::access::owner_of;
use crate::server::caller::Caller;
use crate::server::captures::{self, Facts};
use crate::server::error::ApiError;
use crate::server::queries::{self, SavedQuery};
use crate::server::state::AppState;

/// What a filter gets for what the store does not know, so that nothing is found.
const NOTHING: i64 = -1;

/// A name of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reference {
    /// Its id.
    Id(SnapshotId),
    /// The newest of a query at some moment.
    Moment {
        /// The query; `None` where another part of the request names it.
        query: Option<i64>,
        /// What follows the query: a moment, or a connection, `@` and a moment.
        moment: String,
    },
    /// A series that no saved query has, and what follows it.
    Series(String),
}

impl Reference {
    /// Reads a name; `None` where the text is none.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        if let Ok(id) = SnapshotId::from_str(text) {
            return Some(Self::Id(id));
        }
        let (query, moment) = text.split_once('@')?;
        if query.is_empty() {
            return Some(Self::Moment { query: None, moment: moment.to_owned() });
        }
        Some(match query.parse() {
            Ok(id) => Self::Moment { query: Some(id), moment: moment.to_owned() },
            Err(_) => Self::Series(text.to_owned()),
        })
    }
}

/// A snapshot that a caller may see, and what is known of it.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) snapshot: Snapshot,
    /// The query, unless the snapshot was captured for none.
    pub(crate) query: Option<SavedQuery>,
    pub(crate) facts: Option<Facts>,
}

/// Finds the snapshot that a reference names, if the caller can see it. `within` is the query that the rest of the
/// request is about, if any.
pub(crate) async fn find(
    state: &AppState,
    caller: &Caller,
    reference: Reference,
    within: Option<i64>,
) -> Result<Found, ApiError> {
    let (query, text) = match reference {
        Reference::Id(id) => return find_by_id(state, caller, id).await,
        Reference::Moment { query, moment } => {
            let Some(id) = query.or(within) else {
                return Err(ApiError::BadRequest("A moment without a query names no snapshot: write 202@-7d.".into()));
            };
            let query = queries::find(state, caller, id).await?;
            let text = format!("{}@{moment}", query.series);
            (Some(query), text)
        }
        Reference::Series(text) if caller.is_admin() => (None, text),
        Reference::Series(_) => return Err(ApiError::NotFound),
    };
    let now = state.clock().now();
    let snapshot = state.engine(async move |store| Ok(resolve(&*store, &text, now).await?)).await?;
    let query = match query {
        // A series may be called like a query and one of its connections.
        Some(query) if query.series == snapshot.series.query.name => Some(query),
        _ => owner_of(state, caller, &snapshot.series.query.name).await?,
    };
    let facts = captures::of_snapshot(state, snapshot.id.as_uuid()).await?;
    Ok(Found { snapshot, query, facts })
}

/// Finds the snapshot with an id, if the caller can see it.
async fn find_by_id(state: &AppState, caller: &Caller, id: SnapshotId) -> Result<Found, ApiError> {
    let filter = SnapshotFilter::default().with_id_prefix(id.as_uuid().simple().to_string());
    let snapshot = state.engine(async move |store| Ok(store.snapshots(&filter).await?.pop())).await?;
    let snapshot = snapshot.ok_or(ApiError::NotFound)?;
    let query = owner_of(state, caller, &snapshot.series.query.name).await?;
    let facts = captures::of_snapshot(state, id.as_uuid()).await?;
    Ok(Found { snapshot, query, facts })
}

/// Selects the snapshots of a series, on one connection where it is named: none where the store does not know them.
pub(crate) async fn history_filter(
    store: &dyn Store,
    series: &str,
    connection: Option<i64>,
) -> fabrik_core::Result<SnapshotFilter> {
    let Some(captured) = store.query(series).await? else { return Ok(SnapshotFilter::of_query(NOTHING)) };
    let filter = SnapshotFilter::of_query(captured.query.id);
    Ok(match connection.map(|id| id.to_string()) {
        None => filter,
        Some(name) => {
            let known = captured.connections.iter().find(|connection| connection.name == name);
            filter.with_connection(Some(known.map_or(NOTHING, |connection| connection.id)))
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_ids_or_moments() {
        let moment = |query, moment: &str| Some(Reference::Moment { query, moment: moment.to_owned() });

        assert_eq!(Reference::parse("202@latest~2"), moment(Some(202), "latest~2"));
        assert_eq!(Reference::parse("202@4@-7d"), moment(Some(202), "4@-7d"));
        assert_eq!(Reference::parse("@-7d"), moment(None, "-7d"));
        assert_eq!(Reference::parse("bd-health@latest"), Some(Reference::Series("bd-health@latest".into())));
        let id = "5B9F2A10-77C3-4D52-8A5E-0F6A2F1D9C33";
        assert_eq!(Reference::parse(id), Reference::parse(&id.replace('-', "").to_lowercase()));
        for text in ["", "202", "latest", "5b9f"] {
            assert_eq!(Reference::parse(text), None, "{text}");
        }
    }
}
