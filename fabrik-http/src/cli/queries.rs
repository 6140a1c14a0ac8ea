//! `fabrik queries`: what there are snapshots of.

use clap::Args;
use fabrik_core::{store::QueryHistory, view};

use super::exit::{Exit, Failure};
use super::format::FormatOption;
use super::output::Output;
use super::session::Session;
use super::table::{Column, Table};
use super::text::{count, moment};

/// List the queries that have snapshots, the one captured last first.
#[derive(Debug, Args)]
pub(super) struct Queries {
    #[command(flatten)]
    format: FormatOption,
}

impl Queries {
    pub(super) async fn run(&self, session: &mut Session) -> Result<Exit, Failure> {
        let store = session.open()?;
        let mut queries = store.queries().await?;
        queries.retain(|history| history.snapshot_count > 0);
        queries.sort_by_key(|history| std::cmp::Reverse(history.latest_snapshot_at));
        if self.format.is_table(&session.out) {
            print_table(&queries, &mut session.out)?;
        } else {
            session.out.json(&view::queries(&queries))?;
        }
        Ok(Exit::Done)
    }
}

fn print_table(queries: &[QueryHistory], out: &mut Output) -> Result<(), Failure> {
    let mut table = Table::new([
        Column::long("QUERY"),
        Column::number("SNAPSHOTS"),
        Column::text("LATEST"),
        Column::text("LAST CHANGE"),
        Column::long("CONNECTIONS"),
    ]);
    for history in queries {
        let connections: Vec<&str> = history.connections.iter().map(|connection| connection.name.as_str()).collect();
        table.row([
            history.query.name.clone(),
            count(history.snapshot_count),
            history.latest_snapshot_at.map_or_else(String::new, moment),
            history.last_change_at.map_or_else(String::new, moment),
            connections.join(", "),
        ]);
    }
    Ok(table.print(out)?)
}
