//! References: how a person names a snapshot.
//!
//! | reference | means |
//! | --- | --- |
//! | `01987c3e-…`, `01987C3E` | the snapshot with this id, or the only one whose id starts like this |
//! | `QUERY@latest` | the newest of a query |
//! | `QUERY@latest~2` | the second before that |
//! | `QUERY@2026-01-15T10:30:00Z` | the newest at or before that moment |
//! | `QUERY@-7d` | the same, counted back from now; also `m`, `h`, `w` |
//! | `QUERY@CONNECTION@latest` | any of these for one connection, where a query was captured on several |
//!
//! A query's name may contain spaces and `@`: the part after the last `@` is the moment.

use chrono::{DateTime, Utc};

use crate::error::{Error, Result};
use crate::snapshot::Snapshot;
use crate::store::{CapturedQuery, ReadRecords, SnapshotFilter};
use crate::time::{parse_exact, parse_span};

/// The fewest digits that an id may be cut to.
const SHORTEST_PREFIX: usize = 4;
/// How many candidates an ambiguous reference lists.
const CANDIDATES: u64 = 5;

/// Which of the snapshots of a series is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Moment {
    /// This many before the newest.
    Latest(u64),
    /// The newest at or before.
    AsOf(DateTime<Utc>),
}

impl Moment {
    fn parse(text: &str, now: DateTime<Utc>) -> Option<Self> {
        if text == "latest" {
            return Some(Self::Latest(0));
        }
        if let Some(back) = text.strip_prefix("latest~") {
            return back.parse().ok().map(Self::Latest);
        }
        if let Some(span) = text.strip_prefix('-') {
            return now.checked_sub_signed(parse_span(span)?).map(Self::AsOf);
        }
        parse_exact("moment", text).ok().map(Self::AsOf)
    }
}

/// Finds the snapshot that a reference names.
///
/// # Errors
///
/// [`NotFound`](crate::ErrorKind::NotFound) when there is none, [`Ambiguous`](crate::ErrorKind::Ambiguous) when
/// there are several, and [`InvalidInput`](crate::ErrorKind::InvalidInput) when the text is no reference at all.
pub async fn resolve(store: &dyn ReadRecords, reference: &str, now: DateTime<Utc>) -> Result<Snapshot> {
    if let Some((series, moment)) = reference.rsplit_once('@') {
        return resolve_moment(store, reference, series, moment, now).await;
    }
    let digits: String = reference.chars().filter(|c| *c != '-').collect::<String>().to_ascii_lowercase();
    if digits.len() < SHORTEST_PREFIX || digits.len() > 32 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(match find_query(store, reference).await {
            Ok(_) => Error::SnapshotNotFound {
                reference: reference.to_owned(),
                hint: format!("; it is a query: write \"{reference}@latest\" for its newest snapshot"),
            },
            Err(_) => Error::invalid(
                "snapshot",
                reference,
                format!(
                    "an id, its first {SHORTEST_PREFIX} or more digits, or QUERY@latest, QUERY@latest~2, QUERY@TIME, QUERY@-7d"
                ),
            ),
        });
    }
    let mut found = store.snapshots(&SnapshotFilter::default().with_id_prefix(digits).with_page(0, CANDIDATES)).await?;
    if found.len() > 1 {
        let candidates = found.iter().map(|snapshot| snapshot.id.to_string()).collect();
        return Err(Error::Ambiguous { reference: reference.to_owned(), candidates });
    }
    found.pop().ok_or_else(|| not_found(reference, ""))
}

fn not_found(reference: &str, hint: &str) -> Error {
    Error::SnapshotNotFound { reference: reference.to_owned(), hint: hint.to_owned() }
}

async fn resolve_moment(
    store: &dyn ReadRecords,
    reference: &str,
    series: &str,
    moment: &str,
    now: DateTime<Utc>,
) -> Result<Snapshot> {
    let Some(moment) = Moment::parse(moment, now) else {
        if store.query(reference).await?.is_some() {
            return Err(not_found(
                reference,
                &format!("; it is a query: write \"{reference}@latest\" for its newest snapshot"),
            ));
        }
        return Err(Error::invalid(
            "snapshot",
            reference,
            "latest, latest~N, a time with a zone or a span such as -7d after the last @",
        ));
    };
    let filter = series_filter(store, series).await?;
    let filter = match moment {
        Moment::Latest(back) => filter.with_page(back, 1),
        Moment::AsOf(time) => filter.with_range(None, Some(time)).with_page(0, 1),
    };
    let hint = match moment {
        Moment::Latest(_) => "; the query has fewer snapshots",
        Moment::AsOf(_) => "; the query has none that early",
    };
    store.snapshots(&filter).await?.pop().ok_or_else(|| not_found(reference, hint))
}

/// Finds the series that `QUERY` or `QUERY@CONNECTION` names.
async fn series_filter(store: &dyn ReadRecords, series: &str) -> Result<SnapshotFilter> {
    if let Some(found) = store.query(series).await? {
        return one_connection(&found, None);
    }
    for (at, _) in series.rmatch_indices('@') {
        let (query, connection) = (&series[..at], &series[at + 1..]);
        if let Some(found) = store.query(query).await? {
            return one_connection(&found, Some(connection));
        }
    }
    Err(query_not_found(store, series).await)
}

/// Selects the snapshots of a query on one connection: the one named, or the only one there is.
///
/// # Errors
///
/// [`NotFound`](crate::ErrorKind::NotFound) when the query was not captured on the one named,
/// [`Ambiguous`](crate::ErrorKind::Ambiguous) when none is named and there are several.
pub fn one_connection(captured: &CapturedQuery, connection: Option<&str>) -> Result<SnapshotFilter> {
    let of_query = SnapshotFilter::of_query(captured.query.id);
    let name = &captured.query.name;
    match connection {
        Some(wanted) => match captured.connections.iter().find(|connection| connection.name == wanted) {
            Some(connection) => Ok(of_query.with_connection(Some(connection.id))),
            None => Err(Error::QueryNotFound {
                name: format!("{name}@{wanted}"),
                hint: match &captured.connections[..] {
                    [] => format!("; {name:?} was captured without a connection"),
                    some => format!("; {name:?} was captured on {}", names(some.iter().map(|one| &one.name))),
                },
            }),
        },
        None if captured.connections.len() > 1 => Err(Error::Ambiguous {
            reference: name.clone(),
            candidates: captured.connections.iter().map(|connection| format!("{name}@{}", connection.name)).collect(),
        }),
        None => Ok(of_query),
    }
}

fn names<'a>(names: impl Iterator<Item = &'a String>) -> String {
    names.map(|name| format!("{name:?}")).collect::<Vec<_>>().join(", ")
}

/// Finds a query by its exact name.
///
/// # Errors
///
/// [`NotFound`](crate::ErrorKind::NotFound), naming queries that are there.
pub async fn find_query(store: &dyn ReadRecords, name: &str) -> Result<CapturedQuery> {
    match store.query(name).await? {
        Some(found) => Ok(found),
        None => Err(query_not_found(store, name).await),
    }
}

async fn query_not_found(store: &dyn ReadRecords, name: &str) -> Error {
    let histories = match store.queries().await {
        Ok(histories) => histories,
        Err(error) => return error,
    };
    let hint = match &histories[..] {
        [] => "; the store has no queries yet".to_owned(),
        some => format!("; there is {}", names(some.iter().take(8).map(|history| &history.query.name))),
    };
    Error::QueryNotFound { name: name.to_owned(), hint }
}
