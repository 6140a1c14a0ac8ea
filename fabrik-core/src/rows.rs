//! The rows of one snapshot, streamed.

use std::collections::BTreeSet;
use std::io::Write;
use std::sync::Arc;

use rayon::prelude::*;

use crate::error::{Error, Result};
use crate::row::{Row, ShapeTable};
use crate::snapshot::Snapshot;
use crate::store::ReadChunks;
use crate::tree::leaf::Leaf;
use crate::tree::reader::{LeafScan, TreeReader};

/// How many leaves a thread writes at a time.
const LEAVES_A_TEXT: usize = 16;

/// Starts to read all rows of a snapshot, in key order.
///
/// # Errors
///
/// [`Damaged`](crate::ErrorKind::Damaged) when a chunk cannot be read.
pub async fn rows<'s>(store: &'s dyn ReadChunks, snapshot: &Snapshot) -> Result<RowStream<'s>> {
    Ok(RowStream {
        scan: TreeReader::new(store).scan(snapshot.root).await?,
        shapes: ShapeTable::default(),
        names: BTreeSet::new(),
    })
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
        note_names(&leaves, &mut names);
    }
}

/// Adds the names of all attributes that rows of some leaves have.
fn note_names(leaves: &[Arc<Leaf>], names: &mut BTreeSet<String>) {
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

/// The rows of a snapshot in key order, some thousand in memory at a time.
#[derive(Debug)]
pub struct RowStream<'s> {
    scan: LeafScan<'s>,
    shapes: ShapeTable,
    names: BTreeSet<String>,
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
            note_names(&leaves, &mut self.names);
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
            let (mut text, mut names) = (Vec::new(), BTreeSet::new());
            note_names(leaves, &mut names);
            for leaf in leaves {
                for i in 0..leaf.len() {
                    leaf.row(i).write_json(&mut text);
                    text.push(b'\n');
                }
            }
            (text, names)
        });
        for (text, mut names) in texts.collect::<Vec<_>>() {
            out.extend_from_slice(&text);
            self.names.append(&mut names);
        }
        Ok(!leaves.is_empty())
    }

    /// Returns the names of all attributes of the rows that were read so far.
    #[must_use]
    pub fn column_names(&self) -> &BTreeSet<String> {
        &self.names
    }

    /// Writes the rows that are left as JSON objects, a line each.
    ///
    /// # Errors
    ///
    /// As [`rows`]; [`Storage`](crate::ErrorKind::Storage) when `out` fails.
    pub async fn write_lines(&mut self, out: &mut dyn Write) -> Result<()> {
        let mut lines = Vec::new();
        while self.next_lines(&mut lines).await? {
            out.write_all(&lines).map_err(Error::Output)?;
            lines.clear();
        }
        Ok(())
    }

    /// Writes the rows that are left as a JSON array.
    ///
    /// # Errors
    ///
    /// As [`RowStream::write_lines`].
    pub async fn write_array(&mut self, out: &mut dyn Write) -> Result<()> {
        let (mut lines, mut before): (_, &[u8]) = (Vec::new(), b"[");
        while self.next_lines(&mut lines).await? {
            // Within a row a line end is always escaped, so those that there are stand between rows.
            lines.iter_mut().filter(|byte| **byte == b'\n').for_each(|byte| *byte = b',');
            if lines.pop().is_some() {
                out.write_all(before).and_then(|()| out.write_all(&lines)).map_err(Error::Output)?;
                before = b",";
            }
            lines.clear();
        }
        let end: &[u8] = if before == b"[" { b"[]" } else { b"]" };
        out.write_all(end).map_err(Error::Output)
    }
}
