//! Questions about history: one object through time, change by day, which objects there are.

use fabrik_core::store::SnapshotFilter;
use fabrik_core::time::{DayEdge, parse_edge, parse_exact};
use fabrik_core::{KeyIndex, TimelineOptions, Window, find_query, heatmap_of, one_connection, parse_timezone, resolve};
use pyo3::prelude::*;

use crate::store::{PyStore, now, text};

/// Which snapshots a timeline considers.
#[derive(Debug, FromPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct Followed {
    query: String,
    dn: String,
    limit: u64,
    since: Option<String>,
    until: Option<String>,
    connection: Option<String>,
}

/// Follows one object.
#[pyfunction]
pub(crate) fn timeline(py: Python<'_>, store: &Bound<'_, PyStore>, followed: Followed) -> PyResult<String> {
    store.get().run(py, async move |store| {
        let Followed { query, dn, limit, since, until, connection } = followed;
        let since = since.map(|text| parse_edge("since", &text, DayEdge::Start)).transpose()?;
        let until = until.map(|text| parse_edge("until", &text, DayEdge::End)).transpose()?;
        let options = TimelineOptions::default().with_limit(limit).with_range(since, until).with_connection(connection);
        text(&fabrik_core::timeline(store, &query, &dn, &options).await?)
    })
}

/// Which snapshots a heatmap counts, and by which days.
#[derive(Debug, FromPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct Counted {
    query: Option<String>,
    connection: Option<String>,
    window: String,
    timezone: String,
    now: Option<String>,
}

/// Shows how much changed on each day, of one query or of all.
#[pyfunction]
pub(crate) fn heatmap(py: Python<'_>, store: &Bound<'_, PyStore>, counted: Counted) -> PyResult<String> {
    store.get().run(py, async move |store| {
        let Counted { query, connection, window, timezone, now: told } = counted;
        let now = told.map(|text| parse_exact("now", &text)).transpose()?.unwrap_or_else(now);
        let (window, timezone): (Window, _) = (window.parse()?, parse_timezone(&timezone)?);
        let filter = match &query {
            Some(name) => {
                let history = find_query(store, name).await?;
                match &connection {
                    Some(_) => one_connection(&history, connection.as_deref())?,
                    None => SnapshotFilter::of_query(history.query.id),
                }
            }
            None => match &connection {
                Some(name) => {
                    SnapshotFilter::default().with_connection(Some(crate::store::connection_id(store, name).await?))
                }
                None => SnapshotFilter::default(),
            },
        };
        text(&heatmap_of(store, filter, &window, timezone, now).await?)
    })
}

/// Finds DNs of a snapshot by a part of them.
#[pyfunction]
pub(crate) fn keys(
    py: Python<'_>,
    store: &Bound<'_, PyStore>,
    reference: String,
    part: String,
    limit: usize,
) -> PyResult<String> {
    store.get().run(py, async move |store| {
        let snapshot = resolve(store, &reference, now()).await?;
        text(&KeyIndex::load(store, &snapshot).await?.search(&part, limit)?)
    })
}
