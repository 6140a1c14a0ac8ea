//! What the measurements of Fabrik share: inputs whose differences are known, checks against them,
//! baselines, and a table of results.
//!
//! A figure counts only when its result was right, so every binary here checks before it measures and fails
//! when anything is not exactly as known. `README.md` says what is inside the timed parts.
//!
//! - [`Manifest`]: a folder of numbered answers and what is known of them.
//! - [`History`]: those answers, captured into a store.
//! - [`Checks`], [`check_history`], [`check_retention`]: whether the engine finds what is known.
//! - [`measure_history`]: the figures that need nothing but a store.
//! - [`baseline`]: what the figures are set against.
//! - [`Report`]: the table.

#![forbid(unsafe_code)]

pub mod baseline;
mod check;
mod history;
mod manifest;
mod measure;
mod program;
mod random;
mod report;
mod server;

use std::error::Error;
use std::io::{self, Write};
use std::process::ExitCode;

pub use check::{Checks, check_history, check_retention, check_same_rows_in_another_order};
pub use history::{History, QUERY, capture_file};
pub use manifest::{Counts, KnownStep, Manifest, Probe, Probes, SnapshotFile, digest};
pub use measure::{Timed, measure_history, median, peak_bytes, timed};
pub use program::{Run, find_fabrik, run_with_peak};
pub use random::Random;
pub use report::{Figure, Report, bytes, duration};
pub use server::{PASSWORD, PATH, Server, USER, free_address};

/// The result of anything here: whoever runs a measurement reads the error.
pub type Result<T, E = Box<dyn Error>> = std::result::Result<T, E>;

/// Ends a binary: 0 when all was right, 1 with the reason otherwise.
#[must_use]
pub fn exit(result: Result<Checks>) -> ExitCode {
    let mut err = io::stderr().lock();
    // Nobody is left to tell when standard error is closed.
    match result {
        Ok(checks) if checks.failures().is_empty() => {
            let _ = writeln!(err, "{} checks passed", checks.passed());
            ExitCode::SUCCESS
        }
        Ok(checks) => {
            for failure in checks.failures() {
                let _ = writeln!(err, "WRONG: {failure}");
            }
            let _ = writeln!(err, "{} checks passed, {} FAILED", checks.passed(), checks.failures().len());
            ExitCode::FAILURE
        }
        Err(error) => {
            let mut text = error.to_string();
            let mut source = error.source();
            while let Some(cause) = source {
                text.push_str(": ");
                text.push_str(&cause.to_string());
                source = cause.source();
            }
            let _ = writeln!(err, "error: {text}");
            ExitCode::FAILURE
        }
    }
}
