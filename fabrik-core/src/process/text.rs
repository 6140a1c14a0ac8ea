//! `text-operations`: on the text of each item, or of one column of each row; `join` on all of them.

use std::mem;

use regex::Regex;

use super::config::Config;
use super::error::Fault;
use super::item::{Cell, Item};
use super::patterns;
use super::{ProcessLimits, Stage};

/// The operations, as errors list them.
const OPERATIONS: &str = "split, join, trim, upper, lower, replace or substring";

/// Reads which operation it is.
pub(super) fn new(config: &Config<'_>, limits: ProcessLimits) -> Result<Box<dyn Stage>, Fault> {
    let operation = config.required("operation", OPERATIONS)?;
    let field = config.filled("field")?;
    let operation = match operation.as_str() {
        "join" => {
            let delimiter = config.text("delimiter")?.unwrap_or_else(|| ",".to_owned());
            return Ok(Box::new(Join { delimiter, field, limits, joined: String::new(), n_items: 0 }));
        }
        "split" => Operation::Split {
            separator: config.text("separator")?.unwrap_or_else(|| ",".to_owned()),
            limit: config.count("limit")?.filter(|limit| *limit > 0),
        },
        "trim" => Operation::Trim,
        "upper" => Operation::Upper,
        "lower" => Operation::Lower,
        "replace" => Operation::Replace {
            find: patterns::read(config, "find", "")?
                .ok_or_else(|| Fault::field("find", "\"\"", "a regular expression"))?,
            with: config.text("replaceWith")?.unwrap_or_default(),
        },
        "substring" => Operation::Substring { start: config.count("start")?.unwrap_or(0), end: config.count("end")? },
        other => return Err(Fault::field("operation", format_args!("{other:?}"), OPERATIONS)),
    };
    Ok(Box::new(TextOperation { operation, field }))
}

#[derive(Debug)]
enum Operation {
    Split { separator: String, limit: Option<usize> },
    Trim,
    Upper,
    Lower,
    Replace { find: Regex, with: String },
    Substring { start: usize, end: Option<usize> },
}

impl Operation {
    /// Returns what becomes of a text; `None` when that is too long.
    fn apply(&self, text: &str) -> Option<Cell> {
        Some(Cell::text(match self {
            Self::Trim => text.trim().to_owned(),
            Self::Upper => text.to_uppercase(),
            Self::Lower => text.to_lowercase(),
            Self::Replace { find, with } => patterns::replace(find, text, with, true, patterns::MAX_TEXT_BYTES)?,
            Self::Substring { start, end } => {
                // Counted in characters; the wrong way round means the same part.
                let end = end.unwrap_or(usize::MAX);
                let (from, to) = (*start.min(&end), *start.max(&end));
                text.chars().skip(from).take(to - from).collect()
            }
            Self::Split { separator, limit } => {
                let limit = limit.unwrap_or(usize::MAX);
                let parts: Vec<String> = match separator.as_str() {
                    "" => text.chars().take(limit).map(String::from).collect(),
                    separator => text.split(separator).take(limit).map(str::to_owned).collect(),
                };
                return Some(Cell::from_json(&parts.into()));
            }
        }))
    }
}

#[derive(Debug)]
struct TextOperation {
    operation: Operation,
    field: Option<String>,
}

impl Stage for TextOperation {
    fn push(&mut self, mut item: Item, out: &mut Vec<Item>) -> Result<(), Fault> {
        let too_long = |item: &Item| {
            Fault::new(format!("the text becomes longer than {} bytes", patterns::MAX_TEXT_BYTES)).at(item)
        };
        match (&self.field, &mut item) {
            (Some(field), Item::Row(record)) => {
                if let Some(place) = record.column_of(field) {
                    match self.operation.apply(&record.cell_mut(place).to_text()) {
                        Some(changed) => *record.cell_mut(place) = changed,
                        None => return Err(too_long(&item)),
                    }
                }
            }
            (_, whole) => match self.operation.apply(&whole.to_text()) {
                Some(changed) => *whole = Item::Bare(changed),
                None => return Err(too_long(whole)),
            },
        }
        out.push(item);
        Ok(())
    }
}

/// `join`: all texts in one.
#[derive(Debug)]
struct Join {
    delimiter: String,
    field: Option<String>,
    limits: ProcessLimits,
    joined: String,
    n_items: u64,
}

impl Stage for Join {
    fn push(&mut self, item: Item, _out: &mut Vec<Item>) -> Result<(), Fault> {
        let text = match &self.field {
            None => item.to_text(),
            Some(field) => match item.at(field) {
                Some(cell) => cell.to_string().into(),
                None => return Ok(()),
            },
        };
        if self.n_items > 0 {
            self.joined.push_str(&self.delimiter);
        }
        self.n_items += 1;
        self.joined.push_str(&text);
        // What is joined becomes the value of one row.
        let most = self.limits.memory_bytes.min(patterns::MAX_TEXT_BYTES);
        if self.joined.len() > most {
            return Err(Fault::new(format!("the joined text becomes longer than {most} bytes")).at(&item));
        }
        Ok(())
    }

    fn finish(&mut self, out: &mut Vec<Item>) -> Result<(), Fault> {
        self.n_items = 0;
        out.push(Item::Bare(Cell::text(mem::take(&mut self.joined))));
        Ok(())
    }
}
