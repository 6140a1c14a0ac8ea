//! One complete answer of a controller, in memory: its objects as rows, and what it says of them.

use std::fmt;
use std::ops::Range;

use fabrik_core::{RowBatch, RowBatchBuilder};
use rayon::prelude::*;

use crate::framing::Problem;
use crate::framing::document::DocumentScanner;
use crate::object::{self, ControllerError, ObjectProblem};
use crate::rows::{RowFault, RowKind, parse_rows, slice_rows};

/// The longest excerpt of a body that is no JSON, in characters.
const EXCERPT_CHARS: usize = 200;

/// The rows of one answer, `{"totalCount":"…","imdata":[…]}`.
#[derive(Debug)]
pub(crate) struct Page {
    /// The objects and everything nested below them, in the order of the answer; no batch is empty.
    pub(crate) batches: Vec<RowBatch>,
    /// How many objects match the query over all pages.
    pub(crate) total_count: u64,
    /// How many objects are in this answer, not counting those below them.
    pub(crate) n_objects: u64,
    /// The DN of the last object.
    pub(crate) last_dn: Option<String>,
}

/// Why a body is not the answer to a query.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum AnswerProblem {
    /// The controller says that it cannot answer.
    #[error("{}", ControllerError { code: code.clone(), text: text.clone() })]
    ControllerError {
        /// Digits as a rule; empty where the body has none. Not the HTTP status in general.
        code: String,
        /// In the controller's words.
        text: String,
    },
    /// The body comes from a web server in between, or from something else that is no controller.
    #[error("the body is {}: {excerpt}", if *is_html { "a web page" } else { "not JSON" })]
    NotJson {
        /// Its first words; of a web page those that a reader would see.
        excerpt: String,
        /// Whether it looks like a web page.
        is_html: bool,
    },
    /// The body ends before the answer does.
    #[error("the answer is cut off after {n_bytes} bytes, in which {n_objects} objects are complete")]
    Truncated {
        /// Objects that are there as a whole.
        n_objects: u64,
        /// The length of the body.
        n_bytes: u64,
    },
    /// The body is JSON, or begins like it, and not what an answer looks like.
    #[error("{problem}")]
    Invalid {
        /// What is wrong, and where.
        problem: String,
    },
}

/// Reads one complete answer, its objects in parallel.
///
/// `builders` is kept from page to page, because builders learn the names of attributes; it may begin empty.
pub(crate) fn parse_page(bytes: &[u8], builders: &mut Vec<RowBatchBuilder>) -> Result<Page, AnswerProblem> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    check_beginning(bytes)?;
    let mut scanner = DocumentScanner::new(true);
    let mut objects = Vec::new();
    let explain = |problem: Problem| invalid(problem.at, problem.text);
    scanner.scan(bytes, &mut objects).map_err(explain)?;
    if scanner.is_cut_off() {
        return Err(AnswerProblem::Truncated { n_objects: objects.len() as u64, n_bytes: bytes.len() as u64 });
    }
    scanner.finish().map_err(explain)?;

    let batches = parse_objects(bytes, &objects, builders)?;
    let Some(total_count) = scanner.total_count() else {
        return Err(AnswerProblem::Invalid { problem: "the answer has no \"totalCount\"".to_owned() });
    };
    Ok(Page {
        batches,
        total_count,
        n_objects: objects.len() as u64,
        last_dn: objects.last().and_then(|object| dn_at(bytes, object)),
    })
}

/// Refuses what does not even begin like an answer.
fn check_beginning(bytes: &[u8]) -> Result<(), AnswerProblem> {
    let text = bytes.trim_ascii_start();
    match text.first() {
        None => Err(AnswerProblem::Truncated { n_objects: 0, n_bytes: bytes.len() as u64 }),
        Some(b'{') => Ok(()),
        Some(b'[') => Err(invalid(bytes.len() - text.len(), "expected an answer with \"imdata\", found an array")),
        Some(&first) => {
            // Four bytes are the longest character; more than enough is looked at for the words between tags.
            let text = String::from_utf8_lossy(&text[..text.len().min(EXCERPT_CHARS * 4 * 8)]).into_owned();
            let is_html = first == b'<';
            let excerpt = if is_html { visible_words(&text) } else { first_words(text.split_whitespace()) };
            Err(AnswerProblem::NotJson { excerpt, is_html })
        }
    }
}

fn parse_objects(
    bytes: &[u8],
    objects: &[Range<usize>],
    builders: &mut Vec<RowBatchBuilder>,
) -> Result<Vec<RowBatch>, AnswerProblem> {
    let slices = slice_rows(objects);
    builders.resize_with(slices.len().max(builders.len()), RowBatchBuilder::default);
    let work = slices.into_par_iter().zip(builders.par_iter_mut());
    let parsed: Vec<_> = work
        .map(|(slice, builder)| {
            parse_rows(bytes, &objects[slice.clone()], RowKind::Object, builder).map_err(|fault| {
                // What it holds of this answer must not turn up in the next one.
                *builder = RowBatchBuilder::default();
                explain(fault, slice.start)
            })
        })
        .collect();
    let mut batches = Vec::with_capacity(parsed.len());
    for batch in parsed {
        batches.push(batch?);
    }
    batches.retain(|batch| !batch.is_empty());
    Ok(batches)
}

fn explain(fault: RowFault, n_before: usize) -> AnswerProblem {
    match fault.problem {
        ObjectProblem::Controller(ControllerError { code, text }) => AnswerProblem::ControllerError { code, text },
        ObjectProblem::Invalid(problem) => {
            invalid(fault.at, format_args!("object {}: {problem}", n_before + fault.place + 1))
        }
    }
}

fn invalid(at: usize, problem: impl fmt::Display) -> AnswerProblem {
    AnswerProblem::Invalid { problem: format!("at byte {at}: {problem}") }
}

fn dn_at(bytes: &[u8], object: &Range<usize>) -> Option<String> {
    let text = std::str::from_utf8(&bytes[object.clone()]).ok()?;
    object::dn_of(text).or_else(|| object::dn_of(&object::repair_escapes(text)?))
}

/// Returns the first words of a web page that a reader would see.
fn visible_words(page: &str) -> String {
    let words = page.split('<').flat_map(|piece| {
        let text = piece.split_once('>').map_or("", |(_, text)| text);
        text.split_whitespace()
    });
    first_words(words)
}

fn first_words<'a>(words: impl Iterator<Item = &'a str>) -> String {
    let mut excerpt = String::new();
    for word in words {
        if !excerpt.is_empty() {
            excerpt.push(' ');
        }
        let room = EXCERPT_CHARS.saturating_sub(excerpt.chars().count());
        excerpt.extend(word.chars().filter(|c| !c.is_control()).take(room));
        if room <= word.chars().count() {
            break;
        }
    }
    excerpt
}

#[cfg(test)]
mod tests;
