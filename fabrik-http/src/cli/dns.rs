//! `fabrik dns`: which objects the newest snapshot of a query has.

use std::io::Write;

use clap::Args;
use fabrik_core::{KeyPage, search_keys};

use super::exit::{Exit, Failure};
use super::format::FormatOption;
use super::output::{Ink, Output};
use super::session::Session;
use super::table::{Column, Table};

/// Find objects of a query's newest snapshot by a part of their DN.
#[derive(Debug, Args)]
pub(super) struct Dns {
    /// The query.
    #[arg(long, value_name = "NAME")]
    query: String,
    /// A part of the DN, in upper or lower case; all DNs without it.
    #[arg(long, value_name = "SUBSTRING", default_value = "")]
    q: String,
    /// How many to print, at most 200.
    #[arg(long, value_name = "N", default_value_t = 50)]
    limit: usize,
    /// The connection, where the query was captured on several.
    #[arg(long, value_name = "NAME")]
    connection: Option<String>,
    #[command(flatten)]
    format: FormatOption,
}

impl Dns {
    pub(super) async fn run(&self, session: &mut Session) -> Result<Exit, Failure> {
        let store = session.open()?;
        let page = search_keys(&*store, &self.query, self.connection.as_deref(), &self.q, self.limit).await?;
        if self.format.is_table(&session.out) {
            print_table(&page, &mut session.out)?;
        } else {
            session.out.json(&page)?;
        }
        Ok(Exit::Done)
    }
}

fn print_table(page: &KeyPage, out: &mut Output) -> Result<(), Failure> {
    let mut table = Table::new([Column::text("DN"), Column::text("CLASS")]);
    for entry in &page.dns {
        table.row([entry.dn.clone(), entry.class_name.clone().unwrap_or_default()]);
    }
    table.print(out)?;
    if page.truncated {
        let note = out.paint.with(Ink::Dim, &format!("… {} of {} that match", page.count, page.total_matches));
        writeln!(out, "{note}")?;
    }
    Ok(())
}
