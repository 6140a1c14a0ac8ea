//! Aligned columns, and lists of names with values.

use std::io::{self, Write};

use comfy_table::{CellAlignment, ContentArrangement, Table as Grid, presets};
use unicode_width::UnicodeWidthStr;

use super::output::{Ink, Output};
use super::text::{cut, pad, visible};

/// A column: its title and how it is filled.
#[derive(Clone, Debug)]
pub(super) struct Column {
    title: String,
    fill: Fill,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fill {
    /// Text as long as it is.
    Text,
    /// Text that is shortened when the line would not fit.
    Long,
    /// A number, to the right.
    Number,
}

impl Column {
    /// Makes a column of text that is never shortened.
    pub(super) fn text(title: impl Into<String>) -> Self {
        Self { title: title.into(), fill: Fill::Text }
    }

    /// Makes a column of text that may be shortened.
    pub(super) fn long(title: impl Into<String>) -> Self {
        Self { title: title.into(), fill: Fill::Long }
    }

    /// Makes a column of numbers.
    pub(super) fn number(title: impl Into<String>) -> Self {
        Self { title: title.into(), fill: Fill::Number }
    }
}

/// Rows under titles, without lines between them.
#[derive(Debug)]
pub(super) struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<String>>,
}

/// The least width of a shortened column.
const LEAST: usize = 12;

impl Table {
    /// Starts a table.
    pub(super) fn new(columns: impl Into<Vec<Column>>) -> Self {
        Self { columns: columns.into(), rows: Vec::new() }
    }

    /// Adds a row with a cell for each column.
    pub(super) fn row(&mut self, cells: impl Into<Vec<String>>) {
        let cells: Vec<String> = cells.into();
        debug_assert_eq!(cells.len(), self.columns.len());
        self.rows.push(cells.into_iter().map(|cell| visible(&cell).into_owned()).collect());
    }

    /// Prints titles and rows.
    pub(super) fn print(mut self, out: &mut Output) -> io::Result<()> {
        self.shorten(out.columns);
        let mut grid = Grid::new();
        grid.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
        grid.set_header(self.columns.iter().map(|column| visible(&column.title)));
        grid.add_rows(&self.rows);
        for (column, wanted) in grid.column_iter_mut().zip(&self.columns) {
            column.set_padding((0, 2));
            if wanted.fill == Fill::Number {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        for (i, line) in grid.lines().enumerate() {
            let line = line.trim_end();
            if i == 0 {
                let line = out.paint.with(Ink::Bold, line);
                writeln!(out, "{line}")?;
            } else {
                writeln!(out, "{line}")?;
            }
        }
        Ok(())
    }

    /// Cuts the long columns, the widest first, until a line fits into `columns` or nothing can be cut.
    fn shorten(&mut self, columns: usize) {
        let mut widths: Vec<usize> = (self.columns.iter().enumerate())
            .map(|(i, column)| {
                let widest = self.rows.iter().map(|row| row[i].width()).max().unwrap_or(0);
                widest.max(column.title.width())
            })
            .collect();
        let gaps = 2 * widths.len().saturating_sub(1);
        let is_long = |i: &usize| self.columns[*i].fill == Fill::Long;
        while widths.iter().sum::<usize>() + gaps > columns {
            match (0..widths.len()).filter(is_long).max_by_key(|&i| widths[i]) {
                Some(widest) if widths[widest] > LEAST => widths[widest] -= 1,
                _ => break,
            }
        }
        for row in &mut self.rows {
            for (cell, &width) in row.iter_mut().zip(&widths) {
                if cell.width() > width {
                    *cell = cut(cell, width).into_owned();
                }
            }
        }
    }
}

/// Prints names and values, a pair a line; pairs without a value are left out.
pub(super) fn print_facts(out: &mut Output, facts: &[(&str, Option<String>)]) -> io::Result<()> {
    let facts = || facts.iter().filter_map(|(name, value)| Some((name, value.as_ref()?)));
    let width = facts().map(|(name, _)| name.width()).max().unwrap_or(0);
    for (name, value) in facts() {
        let name = out.paint.with(Ink::Dim, &pad(name, width));
        writeln!(out, "{name}  {}", visible(value))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_columns_share_what_has_to_go() {
        let mut table = Table::new([Column::long("a"), Column::text("b"), Column::long("c")]);
        table.row(["x".repeat(60), "y".repeat(10), "z".repeat(40)]);

        table.shorten(70);

        let widths: Vec<usize> = table.rows[0].iter().map(|cell| cell.width()).collect();
        assert_eq!(widths.iter().sum::<usize>() + 4, 70);
        assert_eq!(widths[1], 10);
        assert!(widths[0].abs_diff(widths[2]) <= 1, "{widths:?}");
    }

    #[test]
    fn a_table_that_cannot_fit_keeps_a_little_of_everything() {
        let mut table = Table::new([Column::long("a"), Column::text("b")]);
        table.row(["x".repeat(60), "y".repeat(90)]);

        table.shorten(40);

        assert_eq!(table.rows[0].iter().map(|cell| cell.width()).collect::<Vec<_>>(), [LEAST, 90]);
    }
}
