//! The rows of one snapshot, streamed.

use std::collections::BTreeSet;

use rayon::prelude::*;

use crate::error::Result;
use crate::row::{Row, ShapeTable};
use crate::snapshot::Snapshot;
use crate::store::ReadChunks;
use crate::tree::reader::{LeafScan, TreeReader};

/// How many leaves a thread writes at a time.
const LEAVES_A_TEXT: usize = 16;

/// Starts to read all rows of a snapshot, in key order.
///
/// # Errors
///
/// [`Damaged`](crate::ErrorKind::Damaged) when a chunk cannot be read.
pub async fn rows<'s>(store: &'s dyn ReadChunks, snapshot: &Snapshot) -> Result<RowStream<'s>> {
    Ok(RowStream { scan: TreeReader::new(store).scan(snapshot.root).await?, shapes: ShapeTable::default() })
}

/// Finds the names of all attributes that rows of a snapshot have, without reading their values.
///
/// # Errors
///
/// As [`rows`].
pub async fn column_names(store: &dyn ReadChunks, snapshot: &Snapshot) -> Result<BTreeSet<String>> {
    let mut scan = TreeReader::new(store).scan(snapshot.root).await?;
    let mut names = BTreeSet::new();
    loop {
        let leaves = scan.next().await?;
        if leaves.is_empty() {
            return Ok(names);
        }
        let mut known: &[u8] = &[];
        for row in leaves.iter().flat_map(|leaf| (0..leaf.len()).map(|i| leaf.row(i))) {
            // Rows of a class have the same names and stand together.
            if std::mem::replace(&mut known, row.encoded_names()) != known {
                for name in row.names().filter(|name| !names.contains(*name)).collect::<Vec<_>>() {
                    names.insert(name.to_owned());
                }
            }
        }
    }
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
        let texts = leaves.par_chunks(LEAVES_A_TEXT).map(|leaves| {
            let mut text = Vec::new();
            for leaf in leaves {
                for i in 0..leaf.len() {
                    leaf.row(i).write_json(&mut text);
                    text.push(b'\n');
                }
            }
            text
        });
        for text in texts.collect::<Vec<_>>() {
            out.extend_from_slice(&text);
        }
        Ok(!leaves.is_empty())
    }
}
