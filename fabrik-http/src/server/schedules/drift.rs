//! What changed since the last capture, told by its worst changes.

use std::sync::Arc;

use fabrik_core::severity::Severity as Risk;
use fabrik_core::store::Store;
use fabrik_core::{Change, ChangeKind, DiffOptions, DiffSummary, Error, Snapshot, Value, compare};
use serde_json::json;

use crate::server::captures;
use crate::server::error::ApiError;
use crate::server::notifications::{Notice, Severity, Source};
use crate::server::state::AppState;

/// How many changes a notice names.
const NAMED: usize = 5;
/// How much of a value a notice shows.
const MOST_CHARS: usize = 60;

/// What there is to tell of two snapshots.
#[derive(Debug)]
struct Drift {
    summary: DiffSummary,
    /// The worst changes, the worst first.
    worst: Vec<Named>,
}

/// A change in a line.
#[derive(Debug)]
struct Named {
    severity: Risk,
    line: String,
}

/// Returns the notice of what changed from one snapshot to the next, unless that is nothing but noise.
pub(super) async fn notice(
    state: &AppState,
    query: &str,
    connection: &str,
    before: Snapshot,
    after: Snapshot,
) -> Result<Option<Notice>, ApiError> {
    let ids = (before.id, after.id);
    let options = DiffOptions::default()
        .with_noise(Arc::clone(&state.settings().noise))
        .with_severity(Arc::clone(&state.settings().severity))
        .with_spill_dir(captures::spill_dir());
    let drift = state.engine(move |store| async move { Ok(find(&*store, &before, &after, options).await?) }).await?;
    if drift.summary.is_equal() {
        return Ok(None);
    }
    let risk = drift.summary.risk.unwrap_or_default();
    let level = risk.risk_level.unwrap_or_default();
    let severity = match level {
        Risk::Critical | Risk::High => Severity::Error,
        Risk::Medium => Severity::Warning,
        Risk::Low | Risk::Info => Severity::Info,
    };
    let plural = |count: u64| if count == 1 { "change" } else { "changes" };
    let (added, removed, changed) = (drift.summary.added, drift.summary.removed, drift.summary.changed);
    let total = added + removed + changed;
    let mut message = format!(
        "{total} {} on {connection}: {added} added, {removed} removed, {changed} changed. Risk {level} ({} of 100).",
        plural(total),
        risk.risk_score
    );
    for named in &drift.worst {
        message.push_str(&format!("\n{}: {}", named.severity, named.line));
    }
    let named = u64::try_from(drift.worst.len()).unwrap_or_default();
    if total > named {
        message.push_str(&format!("\nand {} more", total - named));
    }
    let noise = drift.summary.noise.unwrap_or_default();
    if noise.noise_changes > 0 {
        message.push_str(&format!("\n{} more changed by themselves", noise.noise_changes));
    }
    let mut notice =
        Notice::new(Source::TimeMachineDrift, severity, format!("{query} changed on {connection}: {level}"), message);
    notice.metadata = json!({
        "snapshot_a": ids.0.to_string(),
        "snapshot_b": ids.1.to_string(),
        "summary": drift.summary,
        "risk_score": risk.risk_score,
        "risk_level": level,
    });
    Ok(Some(notice))
}

/// Compares two snapshots without noise and keeps the worst changes.
async fn find(store: &dyn Store, before: &Snapshot, after: &Snapshot, options: DiffOptions) -> Result<Drift, Error> {
    let mut comparison = compare(store, before, after, options).await?;
    let mut worst: Vec<Named> = Vec::new();
    loop {
        let batch = comparison.next_batch().await?;
        if batch.is_empty() {
            return Ok(Drift { summary: *comparison.summary(), worst });
        }
        for change in &batch {
            let severity = change.judgement().map_or(Risk::Info, |judgement| judgement.severity);
            if worst.len() < NAMED || worst.last().is_some_and(|least| least.severity < severity) {
                // Behind those that are as bad and came before.
                let place = worst.partition_point(|other| other.severity >= severity);
                worst.insert(place, Named { severity, line: line(change) });
                worst.truncate(NAMED);
            }
        }
    }
}

/// Writes a change in a line: what it is about, what happened, and why that matters.
fn line(change: &Change) -> String {
    let mut key = Vec::new();
    change.for_each_key_column(|_, value| key.push(short(&value.to_string())));
    let mut line = key.join(" ");
    match change.kind {
        ChangeKind::Added => line.push_str(" added"),
        ChangeKind::Removed => line.push_str(" removed"),
        ChangeKind::Changed => {
            let shown =
                |value: Option<Value<'_>>| value.map_or_else(|| "absent".to_owned(), |value| short(&value.to_string()));
            let fields: Vec<_> = change
                .fields()
                .take(3)
                .map(|field| format!("{} {} → {}", field.name, shown(field.before), shown(field.after)))
                .collect();
            line.push_str(&format!(" {}", fields.join(", ")));
            let more = change.fields().len().saturating_sub(3);
            if more > 0 {
                line.push_str(&format!(" and {more} more"));
            }
        }
    }
    if let Some(judgement) = change.judgement() {
        line.push_str(&format!(" ({})", judgement.reason));
    }
    line
}

/// A value as long as a line bears it. Quotes and control characters of others do not break it.
fn short(text: &str) -> String {
    let plain: String = text.chars().filter(|c| !c.is_control()).take(MOST_CHARS + 1).collect();
    match plain.char_indices().nth(MOST_CHARS) {
        Some((end, _)) => format!("{}…", &plain[..end]),
        None => plain,
    }
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;
    use fabrik_core::store::MemoryStore;
    use fabrik_core::{CaptureOptions, RowBatch, RowBatchBuilder, SnapshotId, Source, Verdict};
    use uuid::Uuid;

    use super::*;
    use crate::server::settings::{Layers, Origin};
    use crate::server::{Clock, Settings};

    #[derive(Debug)]
    struct Rows(Option<RowBatch>);

    #[async_trait]
    impl Source for Rows {
        async fn next_batch(&mut self) -> fabrik_core::Result<Option<RowBatch>> {
            Ok(self.0.take())
        }

        fn verdict(&self) -> Verdict {
            Verdict::Complete
        }
    }

    async fn captured(store: &dyn Store, row: &serde_json::Value) -> Snapshot {
        let mut rows = RowBatchBuilder::default();
        rows.push_json(&row.to_string()).unwrap();
        let options = CaptureOptions::new(SnapshotId::new(Uuid::now_v7()), "tenants", Clock::system().now());
        fabrik_core::capture(store, &mut Rows(Some(rows.take())), &options).await.unwrap().snapshot
    }

    #[tokio::test]
    async fn what_changes_by_itself_is_not_told() {
        let mut layers = Layers::defaults();
        layers.set("database", "memory:", Origin::Default).unwrap();
        let store = Arc::new(MemoryStore::default());
        let settings = Settings::from_layers(&layers).unwrap();
        let state = AppState::open(settings, Arc::clone(&store) as _, Clock::system()).await.unwrap();
        let row = |changed: &str, name: &str| {
            let class = "fvTenant";
            json!({ "dn": "uni/tn-a", "className": class, "modTs": changed, "nameAlias": name })
        };
        let first = captured(&*store, &row("2026-03-02T12:00:00.000+00:00", "a")).await;
        let later = captured(&*store, &row("2026-03-02T13:00:00.000+00:00", "a")).await;
        let renamed = captured(&*store, &row("2026-03-02T14:00:00.000+00:00", "b")).await;
        assert!(later.has_changes(), "it is captured all the same");

        let quiet = notice(&state, "Tenants", "Lab", first, later.clone()).await.unwrap();
        let told = notice(&state, "Tenants", "Lab", later, renamed).await.unwrap().unwrap();

        assert!(quiet.is_none(), "{quiet:?}");
        assert!(told.message.contains("1 change on Lab: 0 added, 0 removed, 1 changed"), "{}", told.message);
        assert!(!told.message.contains("modTs"), "{}", told.message);
    }
}
