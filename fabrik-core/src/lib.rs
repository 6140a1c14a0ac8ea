//! The Fabrik engine: what changed in my network, when, by whom, and did we mean it?
//!
//! A **snapshot** is the complete set of rows that a query returned at one moment. Fabrik keeps snapshots as
//! search trees of immutable, content-addressed chunks, so that what two snapshots share is stored once and
//! passed over unread when they are compared: bytes stored, time to compare and time to follow an object
//! depend on what changed, not on the size of the fabric.
//!
//! ```
//! use async_trait::async_trait;
//! use chrono::DateTime;
//! use fabrik_core::store::MemoryStore;
//! use fabrik_core::{CaptureOptions, DiffOptions, RowBatch, RowBatchBuilder, SnapshotId, Source, Verdict};
//!
//! #[derive(Debug)]
//! struct Rows(Option<RowBatch>);
//!
//! #[async_trait]
//! impl Source for Rows {
//!     async fn next_batch(&mut self) -> fabrik_core::Result<Option<RowBatch>> {
//!         Ok(self.0.take())
//!     }
//!     fn verdict(&self) -> Verdict {
//!         Verdict::Complete
//!     }
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # pollster::block_on(async {
//! let store = MemoryStore::default();
//! let mut taken = Vec::new();
//! for (second, json) in [(0, r#"{"dn":"uni/tn-a","descr":""}"#), (60, r#"{"dn":"uni/tn-a","descr":"web"}"#)] {
//!     let mut rows = RowBatchBuilder::default();
//!     rows.push_json(json)?;
//!     let at = DateTime::from_timestamp(second, 0).ok_or("out of range")?;
//!     let options = CaptureOptions::new(SnapshotId::new(uuid::Uuid::now_v7()), "tenants", at);
//!     taken.push(fabrik_core::capture(&store, &mut Rows(Some(rows.take())), &options).await?.snapshot);
//! }
//! let mut changes = fabrik_core::compare(&store, &taken[0], &taken[1], DiffOptions::default()).await?;
//! let batch = changes.next_batch().await?;
//! let field = batch[0].fields().next().ok_or("no field")?;
//! assert_eq!((field.name, field.after.map(|value| value.to_string())), ("descr", Some("web".into())));
//! # Ok(()) }) }
//! ```
//!
//! # Where things are
//!
//! - [`capture`] takes rows from a [`Source`] into a [`store`]; [`rows`] streams them out again.
//! - [`process`] has the steps that may work on rows in between.
//! - [`compare`], [`timeline`], [`heatmap`] and [`search_keys`] ask what changed.
//! - [`severity`] tells how much a change matters, [`noise`] what changes by itself; both are tables of rules.
//! - [`resolve`] finds the snapshot a person means by `QUERY@-7d`.
//! - [`plan_retention`] and [`apply_retention`] forget; [`verify`] checks, [`stats`] measures.
//! - [`Cancel`] calls off any of these.
//! - [`view`] has the JSON shapes that all facades share; `arrow` has rows and changes as Arrow record batches.
//!
//! The engine reads no clock, no environment and no network: time, identity and folders are arguments. A store reaches
//! what it is told to: a file, or a database that may lie across a network.
//!
//! # Features
//!
//! - `sqlite` (default): the store in one SQLite file.
//! - `process` (default): the steps of [`process`] that work on rows before they are stored.
//! - `postgres`: the store in a PostgreSQL database, for many processes.
//! - `arrow`: the module `arrow`: snapshots and changes as Arrow record batches, and record batches as rows.
//! - `parquet`: snapshots as Parquet files.
//! - `conformance`: the laws that every store must pass, for stores written elsewhere.

#![forbid(unsafe_code)]

mod annotate;
#[cfg(feature = "arrow")]
pub mod arrow;
mod cancel;
mod capture;
mod chunk;
mod diff;
mod error;
mod heatmap;
mod id;
mod key;
pub mod noise;
#[cfg(feature = "process")]
pub mod process;
mod reference;
mod retention;
mod row;
mod rows;
mod rules;
mod search;
pub mod severity;
mod snapshot;
mod sort;
mod source;
mod stats;
pub mod store;
pub mod time;
mod timeline;
mod tree;
mod verify;
pub mod view;

pub use annotate::{Annotate, annotate};
pub use cancel::{Cancel, CancellableSource};
pub use capture::{
    CaptureOptions, Captured, MAX_ANNOTATION_CHARS, MAX_LABEL_CHARS, MAX_NAME_CHARS, capture, check_name,
};
pub use chunk::NewChunk;
pub use diff::{
    Change, ChangeKind, ComparedCoverage, Comparison, DiffOptions, DiffSummary, FieldChange, Ignore, NoiseCounts,
    Report, compare, summarize, warnings,
};
pub use error::{BoxError, Error, ErrorKind, Result};
pub use heatmap::{Heatmap, HeatmapDay, Window, heatmap, heatmap_of, parse_timezone};
pub use id::{ChunkId, ChunkPrefix, SnapshotId, VersionHash};
pub use key::KeySpec;
pub use reference::{find_query, one_connection, resolve};
pub use retention::{
    Doomed, DoomedBy, Protected, Protection, RetentionOptions, RetentionOutcome, RetentionPlan, apply_retention,
    plan_retention,
};
pub use row::{
    CLASS_NAME, DN, MAX_DEPTH, MAX_ROW_BYTES, Row, RowBatch, RowBatchBuilder, RowError, RowRef, Shape, Value,
};
pub use rows::{RowStream, column_names, rows};
pub use search::{KeyEntry, KeyIndex, KeyPage, search_keys};
pub use snapshot::{ChangeSummary, Connection, Coverage, Query, RetentionPolicy, Series, Snapshot, Verdict};
pub use source::{Source, SourceProgress};
pub use stats::{Stats, stats};
pub use timeline::{
    AttributeEvolution, EvolutionPoint, Lifecycle, LifecycleEvent, Timeline, TimelineOptions, TimelinePoint,
    TimelineValue, timeline, timeline_of,
};
pub use verify::{Damage, Verification, explain_damage, verify};
