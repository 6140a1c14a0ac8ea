//! Changes to what is said about a snapshot; its content never changes.

use crate::capture::check_annotation;
use crate::error::{Error, Result};
use crate::id::SnapshotId;
use crate::snapshot::Snapshot;
use crate::store::{SnapshotFilter, Store};

/// What to change. `None` leaves a thing as it is; `Some(None)` clears it, as does an empty text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Annotate {
    /// The free text.
    pub annotation: Option<Option<String>>,
    /// The short tag.
    pub label: Option<Option<String>>,
    /// Whether the snapshot is kept whatever its policy says.
    pub pinned: Option<bool>,
}

/// Changes the annotation, label or pin of a snapshot and returns it as it is then.
///
/// # Errors
///
/// [`NotFound`](crate::ErrorKind::NotFound) when there is no such snapshot,
/// [`InvalidInput`](crate::ErrorKind::InvalidInput) when a text is too long.
pub async fn annotate(store: &dyn Store, id: SnapshotId, change: &Annotate) -> Result<Snapshot> {
    let text = |given: &Option<Option<String>>| given.clone().flatten().filter(|text| !text.is_empty());
    check_annotation(text(&change.annotation).as_deref(), text(&change.label).as_deref())?;
    let mut transaction = store.begin().await?;
    let this = SnapshotFilter::default().with_id_prefix(id.as_uuid().simple().to_string());
    let mut snapshot = transaction
        .snapshots(&this)
        .await?
        .pop()
        .ok_or_else(|| Error::SnapshotNotFound { reference: id.to_string(), hint: String::new() })?;
    if change.annotation.is_some() {
        snapshot.annotation = text(&change.annotation);
    }
    if change.label.is_some() {
        snapshot.label = text(&change.label);
    }
    snapshot.pinned = change.pinned.unwrap_or(snapshot.pinned);
    transaction.put_snapshot(&snapshot).await?;
    transaction.commit().await?;
    Ok(snapshot)
}
