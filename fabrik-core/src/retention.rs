//! Forgetting: which snapshots their policies no longer keep, and taking them out.

pub(crate) mod sweep;

use std::collections::BTreeMap;
use std::num::NonZeroU64;

use chrono::{DateTime, Utc};
use hashbrown::HashMap;
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
    /// How many snapshots a series may have, but for older ones that are pinned or kept for ever; `None` for any number.
    pub max_per_series: Option<NonZeroU64>,
    /// Only snapshots of this query.
    pub query: Option<String>,
    /// Only snapshots of these queries; one that the store does not know has none.
    pub queries: Option<Vec<String>>,
}

impl RetentionOptions {
    /// Judges by this moment, with nothing protected but what is pinned.
    #[must_use]
    pub fn new(now: DateTime<Utc>) -> Self {
        Self { now, protect_newest: false, max_per_series: None, query: None, queries: None }
    }

    /// Keeps the newest snapshot of each series.
    #[must_use]
    pub fn with_newest_protected(mut self, protect: bool) -> Self {
        self.protect_newest = protect;
        self
    }

    /// Keeps of each series only the newest of what its policies keep.
    ///
    /// Older ones go although their time is not over, unless they are pinned or kept for ever. Such ones count when they
    /// are among the newest, so that what was captured last never goes for their sake.
    #[must_use]
    pub fn with_max_per_series(mut self, most: Option<NonZeroU64>) -> Self {
        self.max_per_series = most;
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
    /// How many of them go before their time is over, because their series has enough newer ones.
    pub over_count: u64,
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
    /// Until when its policy keeps it.
    #[serde(serialize_with = "time_of")]
    pub expires_at: DateTime<Utc>,
    /// What lets it go.
    pub doomed_by: DoomedBy,
    /// Why it goes, in words.
    pub reason: String,
}

/// What can let a snapshot go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DoomedBy {
    /// The time that its policy keeps it is over.
    Policy,
    /// Its series has enough newer ones.
    Count,
}

/// A snapshot that would go and stays.
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

/// What can protect a snapshot that would go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Protection {
    /// It is pinned.
    Pin,
    /// It is the newest of its series.
    NewestOfSeries,
    /// Its policy keeps it for ever, whatever the number.
    Forever,
}

/// What a clean-up did, in the shape of its plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct RetentionOutcome {
    /// How many snapshots went, by policy.
    pub will_delete: BTreeMap<&'static str, u64>,
    /// How many of them went because their series had enough newer ones.
    pub over_count: u64,
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

/// Finds the snapshots that have expired or are more than their series may have, and what deleting them would free.
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
        over_count: 0,
        total_bytes_reclaimed: 0,
        stored_bytes_reclaimed: 0,
        doomed: Vec::new(),
        protected: Vec::new(),
    };
    let mut kept: Vec<&Snapshot> = Vec::new();
    let mut places: HashMap<(i64, Option<i64>), Place> = HashMap::new();
    // Newest first, so the first of a series is its newest.
    for snapshot in &all {
        let query = &snapshot.series.query;
        let series = (query.id, snapshot.series.connection.as_ref().map(|connection| connection.id));
        let place = places.entry(series).or_default();
        let considered = only.is_none_or(|only| query.id == only) && options.considers(&query.name);
        let fate = if considered { place.fate(snapshot, options) } else { Fate::Stays };
        place.take(&fate);
        let (query, captured_at) = (query.name.clone(), snapshot.captured_at);
        match fate {
            Fate::Stays => kept.push(snapshot),
            Fate::Protected(protected_by) => {
                plan.protected.push(Protected { snapshot_id: snapshot.id, query, captured_at, protected_by });
                kept.push(snapshot);
            }
            Fate::Doomed { expires_at, doomed_by, reason } => {
                *plan.will_delete.entry(snapshot.retention_policy.name()).or_default() += 1;
                plan.over_count += u64::from(doomed_by == DoomedBy::Count);
                plan.total_bytes_reclaimed += snapshot.size_bytes;
                plan.doomed.push(Doomed {
                    snapshot_id: snapshot.id,
                    query,
                    captured_at,
                    retention_policy: snapshot.retention_policy,
                    expires_at,
                    doomed_by,
                    reason,
                });
            }
        }
    }
    if !plan.doomed.is_empty() {
        let roots = kept.iter().map(|snapshot| snapshot.root);
        plan.stored_bytes_reclaimed = sweep::garbage(store, store, roots).await?.stored_bytes;
    }
    plan.doomed.reverse();
    plan.protected.reverse();
    Ok(plan)
}

/// How far down a series the walk has come, from its newest snapshot.
#[derive(Debug, Default)]
struct Place {
    seen: u64,
    /// How many of those seen their policies keep, or something that protects them.
    stay: u64,
}

/// What becomes of a snapshot.
#[derive(Debug)]
enum Fate {
    Stays,
    Protected(Protection),
    Doomed { expires_at: DateTime<Utc>, doomed_by: DoomedBy, reason: String },
}

impl Place {
    /// Decides about the next snapshot of the series.
    fn fate(&self, snapshot: &Snapshot, options: &RetentionOptions) -> Fate {
        let expires_at = snapshot.expires_at();
        if let Some(expires_at) = expires_at.filter(|expires_at| *expires_at <= options.now) {
            return if snapshot.pinned {
                Fate::Protected(Protection::Pin)
            } else if options.protect_newest && self.seen == 0 {
                Fate::Protected(Protection::NewestOfSeries)
            } else {
                let until = crate::time::format(expires_at);
                let reason = format!("policy {} kept it until {until}", snapshot.retention_policy);
                Fate::Doomed { expires_at, doomed_by: DoomedBy::Policy, reason }
            };
        }
        match options.max_per_series {
            Some(most) if self.stay >= most.get() => match expires_at {
                _ if snapshot.pinned => Fate::Protected(Protection::Pin),
                None => Fate::Protected(Protection::Forever),
                Some(expires_at) => {
                    let reason = format!("its query and connection have {most} newer ones");
                    Fate::Doomed { expires_at, doomed_by: DoomedBy::Count, reason }
                }
            },
            _ => Fate::Stays,
        }
    }

    fn take(&mut self, fate: &Fate) {
        self.seen += 1;
        self.stay += u64::from(!matches!(fate, Fate::Doomed { .. }));
    }
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
        over_count: 0,
        total_bytes_reclaimed: 0,
        stored_bytes_reclaimed: 0,
        deleted: Vec::new(),
        chunks_deleted: 0,
    };
    if plan.doomed.is_empty() {
        return Ok(outcome);
    }
    let doomed: HashMap<SnapshotId, DoomedBy> =
        plan.doomed.iter().map(|doomed| (doomed.snapshot_id, doomed.doomed_by)).collect();
    let mut transaction = store.begin().await?;
    let mut kept = Vec::new();
    for snapshot in transaction.snapshots(&SnapshotFilter::default()).await? {
        let Some(doomed_by) = doomed.get(&snapshot.id).filter(|_| !snapshot.pinned) else {
            kept.push(snapshot.root);
            continue;
        };
        *outcome.will_delete.entry(snapshot.retention_policy.name()).or_default() += 1;
        outcome.over_count += u64::from(*doomed_by == DoomedBy::Count);
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
