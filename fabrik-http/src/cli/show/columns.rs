//! The rows of a snapshot in columns: as CSV, and the first of them as a table.

use std::collections::BTreeSet;
use std::io::Write;

use fabrik_core::store::ReadChunks;
use fabrik_core::{CLASS_NAME, DN, Row, Snapshot, Value, rows};
use unicode_width::UnicodeWidthStr;

use crate::cli::exit::Failure;
use crate::cli::output::{Ink, Output};
use crate::cli::table::{Column, Table};
use crate::cli::text::{count, cut, quoted};

/// How many rows the table shows.
const FIRST_ROWS: usize = 20;
/// No cell of the table is wider.
const CELL_COLUMNS: usize = 40;

/// Prints all rows as CSV. Reads them twice: the header names the columns of every row.
pub(super) async fn print_csv(store: &dyn ReadChunks, snapshot: &Snapshot, out: &mut Output) -> Result<(), Failure> {
    let mut names = BTreeSet::new();
    let mut stream = rows(store, snapshot).await?;
    loop {
        let batch = stream.next_batch().await?;
        if batch.is_empty() {
            break;
        }
        for row in &batch {
            add_names(row, &mut names);
        }
    }
    let names = in_order(names);
    let mut writer = csv::Writer::from_writer(out);
    if !names.is_empty() {
        writer.write_record(&names)?;
    }
    let mut stream = rows(store, snapshot).await?;
    loop {
        let batch = stream.next_batch().await?;
        if batch.is_empty() {
            return Ok(writer.flush()?);
        }
        for row in &batch {
            writer.write_record(names.iter().map(|name| cell(row, name)))?;
        }
    }
}

/// Prints the first rows with as many columns as fit.
pub(super) async fn print_first_rows(
    store: &dyn ReadChunks,
    snapshot: &Snapshot,
    reference: &str,
    out: &mut Output,
) -> Result<(), Failure> {
    let mut first: Vec<Row> = Vec::new();
    let mut stream = rows(store, snapshot).await?;
    while first.len() < FIRST_ROWS {
        let batch = stream.next_batch().await?;
        if batch.is_empty() {
            break;
        }
        first.extend(batch);
    }
    first.truncate(FIRST_ROWS);
    if first.is_empty() {
        return Ok(());
    }
    writeln!(out)?;
    print_rows(&first, out)?;
    if snapshot.row_count > first.len() as u64 {
        let more = format!(
            "… {} more rows: `fabrik show {} --format ndjson` prints all, in full",
            count(snapshot.row_count - first.len() as u64),
            quoted(reference),
        );
        let more = out.paint.with(Ink::Dim, &more);
        writeln!(out, "{more}")?;
    }
    Ok(())
}

/// Prints rows as a table with as many columns as fit.
pub(in crate::cli) fn print_rows(rows: &[Row], out: &mut Output) -> Result<(), Failure> {
    let mut names = BTreeSet::new();
    rows.iter().for_each(|row| add_names(row, &mut names));
    print_table(rows, &in_order(names), out)
}

fn print_table(rows: &[Row], names: &[String], out: &mut Output) -> Result<(), Failure> {
    let mut left = out.columns;
    let mut shown: Vec<(&str, Vec<String>)> = Vec::new();
    for name in names {
        let limit = if name == DN { out.columns / 2 } else { CELL_COLUMNS };
        let cells: Vec<String> = rows.iter().map(|row| cut(&cell(row, name), limit).into_owned()).collect();
        let width = cells.iter().map(|cell| cell.width()).max().unwrap_or(0).max(name.width()) + 2;
        // A column that is empty in all these rows says nothing.
        if cells.iter().all(String::is_empty) {
            continue;
        }
        if width > left && !shown.is_empty() {
            break;
        }
        left = left.saturating_sub(width);
        shown.push((name, cells));
    }
    let mut table = Table::new(shown.iter().map(|(name, _)| Column::text(*name)).collect::<Vec<_>>());
    for i in 0..rows.len() {
        table.row(shown.iter().map(|(_, cells)| cells[i].clone()).collect::<Vec<_>>());
    }
    Ok(table.print(out)?)
}

fn add_names(row: &Row, names: &mut BTreeSet<String>) {
    for (name, _) in row.as_ref().attributes() {
        if !names.contains(name) {
            names.insert(name.to_owned());
        }
    }
}

/// Returns the names in order, after those that say what a row is.
fn in_order(mut names: BTreeSet<String>) -> Vec<String> {
    let mut ordered: Vec<String> = [DN, CLASS_NAME].into_iter().filter_map(|name| names.take(name)).collect();
    ordered.extend(names);
    ordered
}

fn cell(row: &Row, name: &str) -> String {
    match row.as_ref().get(name) {
        None | Some(Value::Null) => String::new(),
        Some(value) => value.to_string(),
    }
}
