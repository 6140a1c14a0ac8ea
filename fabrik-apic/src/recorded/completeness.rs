//! Whether all came that was announced, and all found its place.

use std::collections::HashMap;

use fabrik_core::{Result, Verdict};

use crate::archive::MemberCount;
use crate::origin::Origin;
use crate::rows::RowCount;

/// The most members that a reason names.
const MOST_NAMED: usize = 5;

/// Judges a single file.
pub(super) fn of_file(
    RowCount { n_rows, announced }: RowCount,
    unplaced: Option<(String, Vec<String>)>,
    origin: &Origin,
) -> Result<Verdict> {
    match announced {
        Some(announced) if announced > 0 && n_rows == 0 => Err(origin.error(sent_none(announced))),
        Some(announced) if announced != n_rows => {
            Ok(partial(Some(shortfall(announced, n_rows)), Some(announced), unplaced))
        }
        _ => Ok(partial(None, None, unplaced)),
    }
}

/// Judges all members of an archive.
///
/// A controller announces the same number with every page of an answer, so members of one class that announce the
/// same and hold as many together are the pages of a complete answer; so is a last page without objects.
pub(super) fn of_archive(
    counts: &[MemberCount],
    unplaced: Option<(String, Vec<String>)>,
    origin: &Origin,
) -> Result<Verdict> {
    let announcing = || counts.iter().filter_map(|member| Some((member, member.count.announced?)));
    let mut n_rows_by_answer: HashMap<(&Option<String>, u64), u64> = HashMap::new();
    for (member, announced) in announcing() {
        *n_rows_by_answer.entry((&member.class, announced)).or_default() += member.count.n_rows;
    }
    let is_complete_answer =
        |number: u64| n_rows_by_answer.iter().any(|((_, announced), n_rows)| *announced == number && *n_rows == number);

    let mut short = Vec::new();
    for (member, announced) in announcing() {
        let n_rows = member.count.n_rows;
        if n_rows == announced || n_rows_by_answer.get(&(&member.class, announced)) == Some(&announced) {
            continue;
        }
        if n_rows == 0 {
            if is_complete_answer(announced) {
                continue;
            }
            return Err(origin.member(&member.name).error(sent_none(announced)));
        }
        short.push(format!("{}: {}", member.name, shortfall(announced, n_rows)));
    }
    let reason = (!short.is_empty()).then(|| {
        let more = short.len().saturating_sub(MOST_NAMED);
        short.truncate(MOST_NAMED);
        if more > 0 {
            short.push(format!("and {more} more files"));
        }
        short.join("; ")
    });
    Ok(partial(reason, None, unplaced))
}

fn sent_none(announced: u64) -> String {
    format!("the controller announced {announced} objects and sent none, as it does when it is busy")
}

fn shortfall(announced: u64, n_rows: u64) -> String {
    format!("the controller announced {announced} objects, the input has {n_rows}")
}

fn partial(shortfall: Option<String>, expected_rows: Option<u64>, unplaced: Option<(String, Vec<String>)>) -> Verdict {
    match (shortfall, unplaced) {
        (None, None) => Verdict::Complete,
        (Some(reason), None) => Verdict::Partial { reason, expected_rows, missing: Vec::new() },
        (None, Some((reason, missing))) => Verdict::Partial { reason, expected_rows, missing },
        // Of what was not sent nobody knows where it belongs.
        (Some(short), Some((reason, _))) => {
            Verdict::Partial { reason: format!("{short}; {reason}"), expected_rows, missing: Vec::new() }
        }
    }
}
