//! `fabrik cleanup`: forgetting what no policy keeps any more.

use std::collections::BTreeMap;
use std::io::Write;
use std::num::NonZeroU64;

use clap::Args;
use fabrik_core::{
    DoomedBy, Protection, RetentionOptions, RetentionOutcome, RetentionPlan, RetentionPolicy, apply_retention,
    plan_retention,
};

use super::exit::{Exit, Failure};
use super::format::FormatOption;
use super::output::{Ink, Output};
use super::session::Session;
use super::table::{Column, Table};
use super::text::{bytes, counted, moment};

/// Show which snapshots have expired or are too many, and with --execute delete them.
#[derive(Debug, Args)]
pub(super) struct Cleanup {
    /// Delete them; without this nothing is changed.
    #[arg(long)]
    execute: bool,
    /// Keep the newest snapshot of every query and connection, expired or not.
    #[arg(long)]
    keep_newest: bool,
    /// Of every query and connection keep only the N newest of those that have not expired. Older ones that are pinned or
    /// kept for ever stay.
    #[arg(long, value_name = "N")]
    max_per_series: Option<NonZeroU64>,
    /// Only snapshots of this query.
    #[arg(long, value_name = "NAME")]
    query: Option<String>,
    #[command(flatten)]
    format: FormatOption,
}

impl Cleanup {
    /// Previews what would go, for people.
    pub(super) fn table() -> Self {
        Self { execute: false, keep_newest: false, max_per_series: None, query: None, format: FormatOption::table() }
    }

    pub(super) async fn run(&self, session: &mut Session) -> Result<Exit, Failure> {
        let store = session.open()?;
        let options = RetentionOptions::new(session.now)
            .with_newest_protected(self.keep_newest)
            .with_max_per_series(self.max_per_series)
            .with_query(self.query.clone());
        let plan = plan_retention(&*store, &options).await?;
        let out = &mut session.out;
        match (self.execute, self.format.is_table(out)) {
            (false, false) => out.json(&plan)?,
            (false, true) => print_plan(&plan, out)?,
            (true, is_table) => {
                let outcome = apply_retention(&*store, &plan).await?;
                if is_table { print_outcome(&outcome, out)? } else { out.json(&outcome)? }
            }
        }
        Ok(Exit::Done)
    }
}

fn print_plan(plan: &RetentionPlan, out: &mut Output) -> Result<(), Failure> {
    let doomed = plan.will_delete.values().sum();
    writeln!(
        out,
        "{} would go{}: {} of rows, {} in the store",
        counted(doomed, "snapshot", "snapshots"),
        by_policy(&plan.will_delete),
        bytes(plan.total_bytes_reclaimed),
        bytes(plan.stored_bytes_reclaimed),
    )?;
    if !plan.doomed.is_empty() {
        let mut table = Table::new([
            Column::text("SNAPSHOT"),
            Column::long("QUERY"),
            Column::text("CAPTURED AT"),
            Column::text("POLICY"),
            Column::text("KEPT UNTIL"),
            Column::text("WHY"),
        ]);
        for snapshot in &plan.doomed {
            table.row([
                snapshot.snapshot_id.to_string(),
                snapshot.query.clone(),
                moment(snapshot.captured_at),
                snapshot.retention_policy.to_string(),
                moment(snapshot.expires_at),
                match snapshot.doomed_by {
                    DoomedBy::Policy => "expired",
                    DoomedBy::Count => "too many",
                }
                .to_owned(),
            ]);
        }
        table.print(out)?;
    }
    if !plan.protected.is_empty() {
        writeln!(out, "would go, but protected:")?;
        let mut table = Table::new([
            Column::text("SNAPSHOT"),
            Column::long("QUERY"),
            Column::text("CAPTURED AT"),
            Column::text("PROTECTED"),
        ]);
        for snapshot in &plan.protected {
            let protection = match snapshot.protected_by {
                Protection::Pin => "it is pinned",
                Protection::NewestOfSeries => "it is the newest",
                Protection::Forever => "it is kept for ever",
            };
            table.row([
                snapshot.snapshot_id.to_string(),
                snapshot.query.clone(),
                moment(snapshot.captured_at),
                protection.to_owned(),
            ]);
        }
        table.print(out)?;
    }
    if doomed > 0 {
        let hint = out.paint.with(Ink::Dim, "nothing was changed; --execute deletes them");
        writeln!(out, "{hint}")?;
    }
    Ok(())
}

fn print_outcome(outcome: &RetentionOutcome, out: &mut Output) -> Result<(), Failure> {
    let deleted = outcome.will_delete.values().sum();
    writeln!(
        out,
        "{} deleted{}: {} of rows, {} in {} of the store",
        counted(deleted, "snapshot", "snapshots"),
        by_policy(&outcome.will_delete),
        bytes(outcome.total_bytes_reclaimed),
        bytes(outcome.stored_bytes_reclaimed),
        counted(outcome.chunks_deleted, "chunk", "chunks"),
    )?;
    Ok(())
}

/// Lists the policies that delete anything, shortest first: ` (12 of 7d, 3 of 30d)`.
fn by_policy(counts: &BTreeMap<&'static str, u64>) -> String {
    let counts: Vec<String> = RetentionPolicy::ALL
        .into_iter()
        .filter_map(|policy| Some((policy, counts.get(policy.name()).filter(|count| **count > 0)?)))
        .map(|(policy, count)| format!("{count} of {policy}"))
        .collect();
    if counts.is_empty() { String::new() } else { format!(" ({})", counts.join(", ")) }
}
