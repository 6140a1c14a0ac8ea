//! Forgetting: which snapshots their policies no longer keep, and taking them out.

pub(crate) mod sweep;

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::error::Result;
use crate::id::SnapshotId;
use crate::reference::find_query;
use crate::snapshot::{RetentionPolicy, Snapshot};
use crate::store::{SnapshotFilter, Store};
use crate::timeline::time_of;

/// What a clean-up considers.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RetentionOptions {
    /// The moment to judge by.
    pub now: DateTime<Utc>,
    /// Keep the newest snapshot of each series whatever its policy says.
    pub protect_newest: bool,
    /// Only snapshots of this query.
    pub query: Option<String>,
    /// Only snapshots of these queries; one that the store does not know has none.
    pub queries: Option<Vec<String>>,
}

impl RetentionOptions {
    /// Judges by this moment, with nothing protected but what is pinned.
    #[must_use]
    pub fn new(now: DateTime<Utc>) -> Self {
        Self { now, protect_newest: false, query: None, queries: None }
    }

    /// Keeps the newest snapshot of each series.
    #[must_use]
    pub fn with_newest_protected(mut self, protect: bool) -> Self {
        self.protect_newest = protect;
        self
    }

    /// Considers only one query.
    #[must_use]
    pub fn with_query(mut self, query: Option<String>) -> Self {
        self.query = query;
        self
    }

    /// Considers only these queries, whether the store knows them or not.
    #[must_use]
    pub fn with_queries(mut self, queries: Option<Vec<String>>) -> Self {
        self.queries = queries;
        self
    }

    fn considers(&self, query: &str) -> bool {
        self.queries.as_ref().is_none_or(|queries| queries.iter().any(|name| name == query))
    }
}

/// What a clean-up would do. Nothing is done until it is [applied](apply_retention).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct RetentionPlan {
    /// How many snapshots go, by policy; all five policies are there.
    pub will_delete: BTreeMap<&'static str, u64>,
    /// Size of their rows as JSON, in bytes.
    pub total_bytes_reclaimed: u64,
    /// What the store will really have less, in bytes of content.
    pub stored_bytes_reclaimed: u64,
    /// The snapshots that go, oldest first, and why.
    pub doomed: Vec<Doomed>,
    /// The snapshots that would go if nothing protected them.
    pub protected: Vec<Protected>,
}

/// A snapshot that goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Doomed {
    /// The snapshot.
    pub snapshot_id: SnapshotId,
    /// Its query.
    pub query: String,
    /// When it was captured.
    #[serde(serialize_with = "time_of")]
    pub captured_at: DateTime<Utc>,
    /// Its policy.
    pub retention_policy: RetentionPolicy,
    /// Since when its policy no longer keeps it.
    #[serde(serialize_with = "time_of")]
    pub expires_at: DateTime<Utc>,
    /// Why it goes, in words.
    pub reason: String,
}

/// A snapshot that has expired and stays.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Protected {
    /// The snapshot.
    pub snapshot_id: SnapshotId,
    /// Its query.
    pub query: String,
    /// When it was captured.
    #[serde(serialize_with = "time_of")]
    pub captured_at: DateTime<Utc>,
    /// What protects it.
    pub protected_by: Protection,
}

/// What can protect an expired snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Protection {
    /// It is pinned.
    Pin,
    /// It is the newest of its series.
    NewestOfSeries,
}

/// What a clean-up did, in the shape of its plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct RetentionOutcome {
    /// How many snapshots went, by policy.
    pub will_delete: BTreeMap<&'static str, u64>,
    /// Size of their rows as JSON, in bytes.
    pub total_bytes_reclaimed: u64,
    /// What the store has less, in bytes of content.
    pub stored_bytes_reclaimed: u64,
    /// The snapshots that went.
    pub deleted: Vec<SnapshotId>,
    /// How many chunks went with them.
    pub chunks_deleted: u64,
}

fn no_policies() -> BTreeMap<&'static str, u64> {
    RetentionPolicy::ALL.into_iter().map(|policy| (policy.name(), 0)).collect()
}

/// Finds the snapshots that have expired, and what deleting them would free.
///
/// Reads the branches of all trees that stay, which is about one chunk for every 1 500 rows that differ.
///
/// # Errors
///
/// [`NotFound`](crate::ErrorKind::NotFound) for an unknown query, and whatever the store reports.
pub async fn plan_retention(store: &dyn Store, options: &RetentionOptions) -> Result<RetentionPlan> {
    let only = match &options.query {
        Some(name) => Some(find_query(store, name).await?.query.id),
        None => None,
    };
    let all = store.snapshots(&SnapshotFilter::default()).await?;
    let mut plan = RetentionPlan {
        will_delete: no_policies(),
        total_bytes_reclaimed: 0,
        stored_bytes_reclaimed: 0,
        doomed: Vec::new(),
        protected: Vec::new(),
    };
    let mut kept: Vec<&Snapshot> = Vec::new();
    // Newest first, so the first of a series is its newest.
    let mut series_seen: Vec<&Snapshot> = Vec::new();
    for snapshot in &all {
        let is_newest = !series_seen.iter().any(|seen| seen.series == snapshot.series);
        if is_newest {
            series_seen.push(snapshot);
        }
        let expired = snapshot.expires_at().filter(|expires| *expires <= options.now);
        let query = &snapshot.series.query;
        let considered = only.is_none_or(|only| query.id == only) && options.considers(&query.name);
        let Some(expires_at) = expired.filter(|_| considered) else {
            kept.push(snapshot);
            continue;
        };
        let protection = if snapshot.pinned {
            Some(Protection::Pin)
        } else if options.protect_newest && is_newest {
            Some(Protection::NewestOfSeries)
        } else {
            None
        };
        let (query, captured_at) = (snapshot.series.query.name.clone(), snapshot.captured_at);
        if let Some(protected_by) = protection {
            plan.protected.push(Protected { snapshot_id: snapshot.id, query, captured_at, protected_by });
            kept.push(snapshot);
            continue;
        }
        *plan.will_delete.entry(snapshot.retention_policy.name()).or_default() += 1;
        plan.total_bytes_reclaimed += snapshot.size_bytes;
        plan.doomed.push(Doomed {
            snapshot_id: snapshot.id,
            query,
            captured_at,
            retention_policy: snapshot.retention_policy,
            expires_at,
            reason: format!("policy {} kept it until {}", snapshot.retention_policy, crate::time::format(expires_at)),
        });
    }
    if !plan.doomed.is_empty() {
        let roots = kept.iter().map(|snapshot| snapshot.root);
        plan.stored_bytes_reclaimed = sweep::garbage(store, store, roots).await?.stored_bytes;
    }
    plan.doomed.reverse();
    plan.protected.reverse();
    Ok(plan)
}

/// Deletes the snapshots of a plan and the content that no other snapshot needs, in one transaction.
///
/// A snapshot that was pinned, or went, since the plan was made is passed over. What every other snapshot
/// reads stays as it is.
///
/// # Errors
///
/// Whatever the store reports; it is then as it was.
pub async fn apply_retention(store: &dyn Store, plan: &RetentionPlan) -> Result<RetentionOutcome> {
    let mut outcome = RetentionOutcome {
        will_delete: no_policies(),
        total_bytes_reclaimed: 0,
        stored_bytes_reclaimed: 0,
        deleted: Vec::new(),
        chunks_deleted: 0,
    };
    if plan.doomed.is_empty() {
        return Ok(outcome);
    }
    let mut transaction = store.begin().await?;
    let mut kept = Vec::new();
    for snapshot in transaction.snapshots(&SnapshotFilter::default()).await? {
        if snapshot.pinned || !plan.doomed.iter().any(|doomed| doomed.snapshot_id == snapshot.id) {
            kept.push(snapshot.root);
            continue;
        }
        *outcome.will_delete.entry(snapshot.retention_policy.name()).or_default() += 1;
        outcome.total_bytes_reclaimed += snapshot.size_bytes;
        outcome.deleted.push(snapshot.id);
    }
    outcome.deleted.reverse();
    transaction.delete_snapshots(&outcome.deleted).await?;
    let garbage = sweep::garbage(&*transaction, &*transaction, kept).await?;
    outcome.chunks_deleted = garbage.chunks.len() as u64;
    outcome.stored_bytes_reclaimed = transaction.delete_chunks(&garbage.chunks).await?;
    transaction.commit().await?;
    Ok(outcome)
}
