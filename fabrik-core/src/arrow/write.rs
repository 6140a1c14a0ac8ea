//! A snapshot as a file.

use std::io::{self, Write};

use arrow_ipc::writer::StreamWriter;

use super::ChangeBatches;
use super::rows::row_batches;
use crate::diff::Comparison;
use crate::error::{BoxError, Error, Result};
use crate::snapshot::Snapshot;
use crate::store::ReadChunks;

/// Writes the rows of a snapshot as an Arrow IPC stream, some thousand rows at a time.
///
/// # Errors
///
/// [`Damaged`](crate::ErrorKind::Damaged) when a chunk cannot be read, [`Storage`](crate::ErrorKind::Storage) when `out`
/// fails.
pub async fn write_ipc(store: &dyn ReadChunks, snapshot: &Snapshot, out: &mut dyn Write) -> Result<()> {
    let mut batches = row_batches(store, snapshot).await?;
    let mut writer = StreamWriter::try_new(Vec::new(), batches.schema()).map_err(failed)?;
    while let Some(batch) = batches.next_batch().await? {
        writer.write(&batch).map_err(failed)?;
        pour(writer.get_mut(), out)?;
    }
    pour(&mut writer.into_inner().map_err(failed)?, out)
}

/// Writes the changes of a comparison as an Arrow IPC stream; see [`ChangeBatches`].
///
/// # Errors
///
/// As [`write_ipc`].
pub async fn write_changes_ipc(comparison: Comparison<'_>, out: &mut dyn Write) -> Result<()> {
    let mut batches = ChangeBatches::new(comparison);
    let mut writer = StreamWriter::try_new(Vec::new(), &ChangeBatches::schema()).map_err(failed)?;
    while let Some(batch) = batches.next_batch().await? {
        writer.write(&batch).map_err(failed)?;
        pour(writer.get_mut(), out)?;
    }
    pour(&mut writer.into_inner().map_err(failed)?, out)
}

/// Writes the rows of a snapshot as a Parquet file: compressed with Zstandard, in groups of at most 262 144 rows and
/// about 32 MiB, of which one is in memory. A file without columns, which is that of rows without attributes, has no rows.
///
/// # Errors
///
/// [`Damaged`](crate::ErrorKind::Damaged) when a chunk cannot be read, [`Storage`](crate::ErrorKind::Storage) when `out`
/// fails.
#[cfg(feature = "parquet")]
pub async fn write_parquet(store: &dyn ReadChunks, snapshot: &Snapshot, out: &mut dyn Write) -> Result<()> {
    use std::sync::Arc;

    use parquet::arrow::ArrowWriter;
    use parquet::basic::{Compression, ZstdLevel};
    use parquet::file::properties::WriterProperties;

    let mut batches = row_batches(store, snapshot).await?;
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_max_row_group_row_count(Some(256 << 10))
        .set_max_row_group_bytes(Some(32 << 20))
        .build();
    // The writer counts what passes through it, so what lies in the vector may be taken out in between.
    let mut writer =
        ArrowWriter::try_new(Vec::new(), Arc::clone(batches.schema()), Some(properties)).map_err(failed)?;
    while let Some(batch) = batches.next_batch().await? {
        writer.write(&batch).map_err(failed)?;
        pour(writer.inner_mut(), out)?;
    }
    pour(&mut writer.into_inner().map_err(failed)?, out)
}

/// Makes an error of what the writer of a format says, which has nothing to do with where the bytes go.
fn failed(error: impl Into<BoxError>) -> Error {
    Error::Output(io::Error::other(error))
}

/// Hands on what was written so far.
fn pour(written: &mut Vec<u8>, out: &mut dyn Write) -> Result<()> {
    out.write_all(written).map_err(Error::Output)?;
    written.clear();
    Ok(())
}
