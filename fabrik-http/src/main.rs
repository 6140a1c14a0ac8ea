//! The `fabrik` command: snapshots of what a fabric answered, what changed between them, when, and by whom.
#![forbid(unsafe_code)]

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::run()
}
