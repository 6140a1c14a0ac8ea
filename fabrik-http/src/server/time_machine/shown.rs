//! Snapshots on the wire: what the core shows, with the server's ids and names.

use fabrik_core::{Snapshot, Verdict, view};
use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

use crate::server::captures::Facts;
use crate::server::queries::SavedQuery;

/// A snapshot without its rows.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct SnapshotShown {
    /// Its id.
    pub(crate) id: String,
    /// The saved query; null where it was captured for none.
    pub(crate) saved_query: Option<i64>,
    /// The name of the query.
    pub(crate) query_name: String,
    /// The connection that it was captured on; null where that is not known here.
    pub(crate) apic_connection: Option<i64>,
    /// The name of the connection when it was captured.
    pub(crate) apic_connection_name: Option<String>,
    /// When it was captured.
    #[schemars(schema_with = "moment")]
    pub(crate) captured_at: String,
    /// Who captured it, by name.
    pub(crate) captured_by: String,
    /// How many rows it has.
    pub(crate) row_count: u64,
    /// The hash of its content: equal hashes mean equal rows.
    pub(crate) version_hash: String,
    /// Size of its rows as JSON, in bytes.
    pub(crate) size_bytes: u64,
    /// What it added to the store, in bytes.
    pub(crate) stored_bytes: u64,
    /// How long it is kept: 7d, 30d, 90d, 1y or forever.
    pub(crate) retention_policy: String,
    /// Until when it is kept; null for ever.
    #[schemars(schema_with = "moment_or_null")]
    pub(crate) expires_at: Option<String>,
    /// Whether it is kept whatever the policy says.
    pub(crate) pinned: bool,
    /// Free text.
    pub(crate) annotation: Option<String>,
    /// A short tag.
    pub(crate) label: Option<String>,
    /// How complete it is.
    pub(crate) verdict: VerdictShown,
    /// Which attributes of each object it holds: full, config-only or naming-only.
    pub(crate) coverage: String,
    /// What identifies its rows: auto, dn, hash, or columns divided by commas.
    pub(crate) key_strategy: String,
    /// How many keys belong to more than one row.
    pub(crate) duplicate_keys: u64,
    /// Whether it differs from the one before it on the same connection.
    pub(crate) has_changes: bool,
    /// The changed share of rows, from 0 to 1; null for the first on a connection.
    pub(crate) change_score: Option<f64>,
    /// The counts behind that; null for the first on a connection.
    pub(crate) changes: Option<ChangesShown>,
    /// How much those changes matter, from 0 to 100, as a comparison with severity says; null where that was not judged.
    pub(crate) risk_score: Option<i64>,
    /// The version of the query; null where it is not known.
    pub(crate) query_version: Option<String>,
    /// The hash of that version.
    pub(crate) query_version_hash: Option<String>,
    /// `manual` or `scheduled`; null where it is not known.
    pub(crate) execution_type: Option<String>,
    /// How long the capture took, in milliseconds.
    pub(crate) execution_time_ms: Option<i64>,
    /// The task that captured it.
    pub(crate) scheduled_task_id: Option<i64>,
    /// The run of that task.
    pub(crate) scheduled_task_execution_id: Option<Uuid>,
}

/// How complete a snapshot is.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct VerdictShown {
    /// complete, partial or unstable.
    pub(crate) status: String,
    /// Why rows are missing; of a partial snapshot.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<String>,
    /// How many rows the controller announced; of a partial snapshot, where it did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) expected_rows: Option<u64>,
    /// The DNs below which rows are missing; of a partial snapshot, where it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) missing: Option<Vec<String>>,
    /// How many rows there were before reading; of an unstable snapshot.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) rows_before: Option<u64>,
    /// How many there were after reading; of an unstable snapshot.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) rows_after: Option<u64>,
}

/// What changed since the snapshot before.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct ChangesShown {
    /// The snapshot before.
    pub(crate) previous_snapshot_id: String,
    /// Rows that came.
    pub(crate) added: u64,
    /// Rows that went.
    pub(crate) removed: u64,
    /// Rows whose attributes differ.
    pub(crate) changed: u64,
    /// Rows that are equal.
    pub(crate) unchanged: u64,
}

fn moment(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({ "type": "string", "format": "date-time" })
}

fn moment_or_null(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({ "type": ["string", "null"], "format": "date-time" })
}

impl SnapshotShown {
    /// Shows a snapshot as the core does, with what the server knows besides.
    pub(crate) fn new(snapshot: &Snapshot, query: Option<&SavedQuery>, facts: Option<&Facts>) -> Self {
        let named = query.map(|query| (query.id, query.name.as_str()));
        Self::named(snapshot, named, facts)
    }

    /// Shows a snapshot of the query with this id and name.
    pub(crate) fn named(snapshot: &Snapshot, query: Option<(i64, &str)>, facts: Option<&Facts>) -> Self {
        let view = view::snapshot(snapshot);
        Self {
            id: view.id,
            saved_query: query.map(|(id, _)| id),
            query_name: query.map_or(view.query_name, |(_, name)| name.to_owned()),
            apic_connection: view.apic_connection_name.as_deref().and_then(|name| name.parse().ok()),
            apic_connection_name: facts.map(|facts| facts.apic_connection_name.clone()).or(view.apic_connection_name),
            captured_at: view.captured_at,
            captured_by: view.captured_by,
            row_count: view.row_count,
            version_hash: view.version_hash,
            size_bytes: view.size_bytes,
            stored_bytes: view.stored_bytes,
            retention_policy: view.retention_policy.name().to_owned(),
            expires_at: view.expires_at,
            pinned: view.pinned,
            annotation: view.annotation,
            label: view.label,
            verdict: VerdictShown::of(&view.verdict),
            coverage: view.coverage.name().to_owned(),
            key_strategy: view.key_strategy,
            duplicate_keys: view.duplicate_keys,
            has_changes: view.has_changes,
            change_score: view.change_score,
            changes: view.changes.map(|changes| ChangesShown {
                previous_snapshot_id: changes.previous_snapshot_id,
                added: changes.added,
                removed: changes.removed,
                changed: changes.changed,
                unchanged: changes.unchanged,
            }),
            risk_score: facts.and_then(|facts| facts.risk_score),
            query_version: facts.map(|facts| facts.query_version.clone()),
            query_version_hash: facts.map(|facts| facts.query_version_hash.clone()),
            execution_type: facts.map(|facts| facts.execution_type.clone()),
            execution_time_ms: facts.map(|facts| facts.execution_time_ms),
            scheduled_task_id: facts.and_then(|facts| facts.scheduled_task_id),
            scheduled_task_execution_id: facts.and_then(|facts| facts.scheduled_execution_id),
        }
    }
}

impl VerdictShown {
    fn of(verdict: &Verdict) -> Self {
        let mut shown = Self {
            status: verdict.name().to_owned(),
            reason: None,
            expected_rows: None,
            missing: None,
            rows_before: None,
            rows_after: None,
        };
        match verdict.clone() {
            Verdict::Partial { reason, expected_rows, missing } => {
                shown.reason = Some(reason);
                shown.expected_rows = expected_rows;
                shown.missing = Some(missing).filter(|missing| !missing.is_empty());
            }
            Verdict::Unstable { rows_before, rows_after } => {
                (shown.rows_before, shown.rows_after) = (Some(rows_before), Some(rows_after));
            }
            // Complete, or of a kind that has nothing more to say.
            _ => {}
        }
        shown
    }
}
