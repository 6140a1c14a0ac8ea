//! `fabrik stats`: what the store holds and what that takes.

use clap::Args;
use fabrik_core::{Stats as Figures, stats};

use super::exit::{Exit, Failure};
use super::format::FormatOption;
use super::output::Output;
use super::session::Session;
use super::table::print_facts;
use super::text::{bytes, count};

/// Show how much the store holds and what that takes on disk.
#[derive(Debug, Args)]
pub(super) struct Stats {
    #[command(flatten)]
    format: FormatOption,
}

impl Stats {
    pub(super) async fn run(&self, session: &mut Session) -> Result<Exit, Failure> {
        let store = session.open()?;
        let figures = stats(&*store).await?;
        if self.format.is_table(&session.out) {
            print_table(&figures, &mut session.out)?;
        } else {
            session.out.json(&figures)?;
        }
        Ok(Exit::Done)
    }
}

fn print_table(figures: &Figures, out: &mut Output) -> Result<(), Failure> {
    let links: u64 = figures.delta_chains.iter().map(|(&length, chunks)| u64::from(length) * chunks).sum();
    let average = links.checked_div(figures.chunks).unwrap_or(0);
    let longest = figures
        .delta_chains
        .keys()
        .next_back()
        .map(|longest| format!("at most {longest} chunks before one, {average} on average"));
    print_facts(
        out,
        &[
            ("queries", Some(count(figures.queries))),
            ("snapshots", Some(count(figures.snapshots))),
            ("rows", Some(format!("{} in all snapshots together", count(figures.rows)))),
            ("as JSON", Some(bytes(figures.logical_bytes))),
            ("stored", Some(format!("{} in {} chunks", bytes(figures.stored_bytes), count(figures.chunks)))),
            ("on disk", Some(format!("{}, 1 byte for {:.1} of JSON", bytes(figures.disk_bytes), figures.ratio))),
            ("chains", longest),
        ],
    )?;
    Ok(())
}
