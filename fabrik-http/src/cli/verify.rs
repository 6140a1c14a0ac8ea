//! `fabrik verify`: is the store what it says it is?

use std::io::Write;

use clap::Args;
use fabrik_core::{Verification, verify};

use super::exit::{Exit, Failure};
use super::format::FormatOption;
use super::output::{Ink, Output};
use super::progress::Progress;
use super::session::Session;
use super::text::{counted, visible};

/// Read everything in the store and check it; exit code 4 says that something is damaged.
#[derive(Debug, Args)]
pub(super) struct Verify {
    #[command(flatten)]
    format: FormatOption,
}

impl Verify {
    pub(super) async fn run(&self, session: &mut Session) -> Result<Exit, Failure> {
        let store = session.open()?;
        let progress = Progress::of_unknown("checking");
        let found = verify(&*store).await?;
        drop(progress);
        if self.format.is_table(&session.out) {
            print_table(&found, &mut session.out)?;
        } else {
            session.out.json(&found)?;
        }
        Ok(if found.is_clean() { Exit::Done } else { Exit::Damaged })
    }
}

fn print_table(found: &Verification, out: &mut Output) -> Result<(), Failure> {
    let verdict = if found.is_clean() {
        out.paint.with(Ink::Green, "the store is whole")
    } else {
        let places = u64::try_from(found.damage.len()).unwrap_or(u64::MAX);
        out.paint.with(Ink::Red, &format!("the store is damaged in {}", counted(places, "place", "places")))
    };
    writeln!(
        out,
        "{verdict}: {}, {} and {} checked",
        counted(found.snapshots, "snapshot", "snapshots"),
        counted(found.chunks, "chunk", "chunks"),
        counted(found.rows, "row", "rows"),
    )?;
    if found.unreferenced_chunks > 0 {
        let chunks = counted(found.unreferenced_chunks, "chunk is", "chunks are");
        writeln!(out, "{chunks} needed by no snapshot; a cleanup that deletes something takes them along")?;
    }
    for damage in &found.damage {
        let place = damage.chunk.as_ref().map_or_else(String::new, |chunk| format!("chunk {chunk}: "));
        writeln!(out, "- {place}{}", visible(&damage.problem))?;
        for snapshot in &damage.snapshots {
            writeln!(out, "    hurts snapshot {snapshot}")?;
        }
    }
    Ok(())
}
