//! Snapshots and changes as Arrow record batches, and record batches as rows.
//!
//! | in a snapshot | in Arrow |
//! | --- | --- |
//! | a column of strings | `Utf8` |
//! | of booleans | `Boolean` |
//! | of whole numbers that 64 bits hold | `Int64` |
//! | of numbers that a 64-bit float gives back digit by digit | `Float64` |
//! | any other: nested, mixed, numbers with more digits | `Utf8` with the JSON text of each value; the field has [`JSON`] |
//! | an attribute that is absent, or null | null |
//!
//! So what goes through Arrow comes back as it was, but for attributes that were null: they come back absent. A float
//! is written with its shortest digits, as Python writes it: `1.0`, `1e-07`. Where a column of floats has
//! whole numbers without a fraction (`1` beside `1.5`), its field has [`WHOLE`].
//!
//! [`row_batches`] and [`ChangeBatches`] stream out of a store, [`ArrowSource`] streams into a capture. [`write_ipc`] and
//! `write_parquet` write a snapshot as a file; they hold a bounded number of rows.
//!
//! ```
//! use std::sync::Arc;
//!
//! use arrow_array::{ArrayRef, Int64Array, RecordBatch, StringArray};
//! use chrono::DateTime;
//! use fabrik_core::arrow::{ArrowSource, row_batches};
//! use fabrik_core::{CaptureOptions, SnapshotId, store::MemoryStore};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # pollster::block_on(async {
//! let dn: ArrayRef = Arc::new(StringArray::from(vec!["uni/tn-a", "uni/tn-b"]));
//! let mtu: ArrayRef = Arc::new(Int64Array::from(vec![Some(9000), None]));
//! let batch = RecordBatch::try_from_iter_with_nullable([("dn", dn, true), ("mtu", mtu, true)])?;
//!
//! let store = MemoryStore::default();
//! let mut source = ArrowSource::new("a table", [Ok(batch.clone())]);
//! let options = CaptureOptions::new(SnapshotId::new(uuid::Uuid::now_v7()), "tenants", DateTime::UNIX_EPOCH);
//! let snapshot = fabrik_core::capture(&store, &mut source, &options).await?.snapshot;
//!
//! assert_eq!(row_batches(&store, &snapshot).await?.next_batch().await?, Some(batch));
//! # Ok(()) }) }
//! ```

mod cell;
mod changes;
mod columns;
mod float;
mod rows;
mod source;
mod write;

pub use changes::ChangeBatches;
pub use columns::Columns;
pub use rows::{RowBatches, row_batches};
pub use source::ArrowSource;
#[cfg(feature = "parquet")]
pub use write::write_parquet;
pub use write::{write_changes_ipc, write_ipc};

/// The metadata of a `Utf8` field whose values are JSON texts: under this name it says `true`.
pub const JSON: &str = "fabrik:json";
/// The metadata of a `Float64` field whose whole numbers are written without a fraction: under this name it says
/// `digits`.
pub const WHOLE: &str = "fabrik:whole";
