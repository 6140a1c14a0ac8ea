//! The rows of one snapshot, streamed.

use crate::error::Result;
use crate::row::{Row, ShapeTable};
use crate::snapshot::Snapshot;
use crate::store::ReadChunks;
use crate::tree::reader::{LeafScan, TreeReader};

/// Starts to read all rows of a snapshot, in key order.
///
/// # Errors
///
/// [`Damaged`](crate::ErrorKind::Damaged) when a chunk cannot be read.
pub async fn rows<'s>(store: &'s dyn ReadChunks, snapshot: &Snapshot) -> Result<RowStream<'s>> {
    Ok(RowStream { scan: TreeReader::new(store).scan(snapshot.root).await?, shapes: ShapeTable::default() })
}

/// The rows of a snapshot in key order, some thousand in memory at a time.
#[derive(Debug)]
pub struct RowStream<'s> {
    scan: LeafScan<'s>,
    shapes: ShapeTable,
}

impl RowStream<'_> {
    /// Returns the next rows; none at the end.
    ///
    /// # Errors
    ///
    /// As [`rows`].
    pub async fn next_batch(&mut self) -> Result<Vec<Row>> {
        loop {
            let leaves = self.scan.next().await?;
            if leaves.is_empty() {
                return Ok(Vec::new());
            }
            let rows: Vec<Row> = leaves
                .iter()
                .flat_map(|leaf| (0..leaf.len()).map(|i| leaf.row(i)))
                .map(|row| row.to_row(&mut self.shapes))
                .collect();
            if !rows.is_empty() {
                return Ok(rows);
            }
        }
    }

    /// Appends the next rows as JSON objects, a line each, without copying them out first; false at the end.
    ///
    /// # Errors
    ///
    /// As [`rows`].
    pub async fn next_lines(&mut self, out: &mut Vec<u8>) -> Result<bool> {
        let leaves = self.scan.next().await?;
        for leaf in &leaves {
            for i in 0..leaf.len() {
                leaf.row(i).write_json(out);
                out.push(b'\n');
            }
        }
        Ok(!leaves.is_empty())
    }
}
