//! Comparisons that are sent while they are made.

use std::io::Write;

use fabrik_core::arrow::write_changes_ipc;
use fabrik_core::{DiffOptions, compare, warnings};
use serde_json::json;

use super::of_other_versions;
use super::sent::{Form, Sent};
use crate::server::state::AppState;
use crate::server::time_machine::Found;

/// Gives a line for each change as it is found, and the summary in the last.
pub(super) fn lines(state: &AppState, older: Found, newer: Found, options: DiffOptions, is_whole: bool) -> Sent {
    let body = state.engine_body(async move |store, mut pieces| {
        let (before, after) = (&older.snapshot, &newer.snapshot);
        let mut comparison = compare(&*store, before, after, options).await?;
        loop {
            let batch = comparison.next_batch().await?;
            if batch.is_empty() {
                break;
            }
            for change in &batch {
                pieces.append(|line| {
                    match is_whole {
                        true => change.write_whole(line),
                        false => change.write_line(line),
                    }
                    line.push(b'\n');
                })?;
            }
        }
        let mut sentences = warnings(before, after);
        sentences.extend(of_other_versions(&older, &newer));
        let last = json!({ "summary": comparison.summary(), "coverage": comparison.coverage(), "warnings": sentences });
        writeln!(pieces, "{last}")?;
        Ok(pieces)
    });
    Sent(Form::Lines, body)
}

/// Gives the changes as an Arrow stream, a line for each attribute.
pub(super) fn arrow(state: &AppState, older: Found, newer: Found, options: DiffOptions) -> Sent {
    let body = state.engine_body(async move |store, mut pieces| {
        let comparison = compare(&*store, &older.snapshot, &newer.snapshot, options).await?;
        write_changes_ipc(comparison, &mut pieces).await?;
        Ok(pieces)
    });
    Sent(Form::Arrow, body)
}
