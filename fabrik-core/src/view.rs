//! Records as the API shows them: the same from the command line, HTTP and Python.

use serde::Serialize;

use crate::capture::Captured;
use crate::snapshot::{Coverage, RetentionPolicy, Snapshot, Verdict};
use crate::store::QueryHistory;
use crate::time::format;

/// A snapshot without its rows.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct SnapshotView {
    /// Its id.
    pub id: String,
    /// The number of its query.
    pub saved_query: i64,
    /// The name of its query.
    pub query_name: String,
    /// The number of its connection, if any.
    pub apic_connection: Option<i64>,
    /// The name of its connection, if any.
    pub apic_connection_name: Option<String>,
    /// When it was captured.
    pub captured_at: String,
    /// By whom.
    pub captured_by: String,
    /// How many rows it has.
    pub row_count: u64,
    /// The hash of its content.
    pub version_hash: String,
    /// Size of its rows as JSON, in bytes.
    pub size_bytes: u64,
    /// What it added to the store, in bytes.
    pub stored_bytes: u64,
    /// How long it is kept.
    pub retention_policy: RetentionPolicy,
    /// Until when; null for ever.
    pub expires_at: Option<String>,
    /// Whether it is kept whatever the policy says.
    pub pinned: bool,
    /// Free text.
    pub annotation: Option<String>,
    /// A short tag.
    pub label: Option<String>,
    /// How complete it is.
    pub verdict: Verdict,
    /// Which attributes of each object it holds.
    pub coverage: Coverage,
    /// What identifies its rows.
    pub key_strategy: String,
    /// How many keys belong to more than one row.
    pub duplicate_keys: u64,
    /// Whether it differs from the one before it in its series.
    pub has_changes: bool,
    /// The changed share of rows, from 0 to 1; null for the first of a series.
    pub change_score: Option<f64>,
    /// The counts behind that; null for the first of a series.
    pub changes: Option<ChangesView>,
}

/// What changed since the snapshot before.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct ChangesView {
    /// The snapshot before.
    pub previous_snapshot_id: String,
    /// Rows that came.
    pub added: u64,
    /// Rows that went.
    pub removed: u64,
    /// Rows whose attributes differ.
    pub changed: u64,
    /// Rows that are equal.
    pub unchanged: u64,
}

/// Shows a snapshot.
#[must_use]
pub fn snapshot(snapshot: &Snapshot) -> SnapshotView {
    let connection = snapshot.series.connection.as_ref();
    SnapshotView {
        id: snapshot.id.to_string(),
        saved_query: snapshot.series.query.id,
        query_name: snapshot.series.query.name.clone(),
        apic_connection: connection.map(|connection| connection.id),
        apic_connection_name: connection.map(|connection| connection.name.clone()),
        captured_at: format(snapshot.captured_at),
        captured_by: snapshot.captured_by.clone(),
        row_count: snapshot.row_count,
        version_hash: snapshot.version_hash.to_string(),
        size_bytes: snapshot.size_bytes,
        stored_bytes: snapshot.stored_bytes,
        retention_policy: snapshot.retention_policy,
        expires_at: snapshot.expires_at().map(format),
        pinned: snapshot.pinned,
        annotation: snapshot.annotation.clone(),
        label: snapshot.label.clone(),
        verdict: snapshot.verdict.clone(),
        coverage: snapshot.coverage,
        key_strategy: snapshot.key.to_string(),
        duplicate_keys: snapshot.duplicate_keys,
        has_changes: snapshot.has_changes(),
        change_score: snapshot.changes.map(|changes| changes.score()),
        changes: snapshot.changes.map(|changes| ChangesView {
            previous_snapshot_id: changes.previous.to_string(),
            added: changes.added,
            removed: changes.removed,
            changed: changes.changed,
            unchanged: changes.unchanged,
        }),
    }
}

/// The answer to a capture.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct CapturedView {
    /// The new snapshot.
    #[serde(flatten)]
    pub snapshot: SnapshotView,
    /// Whether its rows equal those of the one before.
    pub is_duplicate: bool,
    /// The one before; null for the first of a series.
    pub previous_snapshot_id: Option<String>,
}

/// Shows a capture.
#[must_use]
pub fn captured(captured: &Captured) -> CapturedView {
    CapturedView {
        snapshot: snapshot(&captured.snapshot),
        is_duplicate: captured.is_duplicate(),
        previous_snapshot_id: captured.previous.as_ref().map(|previous| previous.id.to_string()),
    }
}

/// Queries that have snapshots.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct QueriesView {
    /// One each, that with the newest snapshot first.
    pub queries: Vec<QueryView>,
}

/// A query that has snapshots.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct QueryView {
    /// Its number.
    pub id: i64,
    /// Its name.
    pub name: String,
    /// How many snapshots it has.
    pub snapshot_count: u64,
    /// When the newest was captured.
    pub latest_snapshot_at: Option<String>,
    /// When the newest that differs from the one before it was captured.
    pub last_change_at: Option<String>,
    /// The names of the connections it was captured on.
    pub connections: Vec<String>,
}

/// Shows the queries that have snapshots.
#[must_use]
pub fn queries(histories: &[QueryHistory]) -> QueriesView {
    let mut shown: Vec<&QueryHistory> = histories.iter().filter(|history| history.snapshot_count > 0).collect();
    shown.sort_by(|one, other| {
        (other.latest_snapshot_at.cmp(&one.latest_snapshot_at)).then_with(|| one.query.name.cmp(&other.query.name))
    });
    let view = |history: &QueryHistory| QueryView {
        id: history.query.id,
        name: history.query.name.clone(),
        snapshot_count: history.snapshot_count,
        latest_snapshot_at: history.latest_snapshot_at.map(format),
        last_change_at: history.last_change_at.map(format),
        connections: history.connections.iter().map(|connection| connection.name.clone()).collect(),
    };
    QueriesView { queries: shown.into_iter().map(view).collect() }
}

/// Snapshots of a query.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct SnapshotsView {
    /// How many there are.
    pub count: usize,
    /// They, newest first.
    pub results: Vec<SnapshotView>,
}

/// Shows snapshots.
#[must_use]
pub fn snapshots(snapshots: &[Snapshot]) -> SnapshotsView {
    SnapshotsView { count: snapshots.len(), results: snapshots.iter().map(snapshot).collect() }
}
