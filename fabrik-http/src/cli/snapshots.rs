//! `fabrik snapshots`: the snapshots of a query.

use clap::Args;
use fabrik_core::store::{CapturedQuery, SnapshotFilter};
use fabrik_core::{ChangeSummary, Coverage, Snapshot, Verdict, find_query, view};

use super::exit::{Exit, Failure};
use super::format::FormatOption;
use super::output::Output;
use super::session::Session;
use super::table::{Column, Table};
use super::text::{count, moment};

/// List the snapshots of a query, newest first.
#[derive(Debug, Args)]
pub(super) struct Snapshots {
    /// The query.
    #[arg(long, value_name = "NAME")]
    query: String,
    /// Only those of this connection.
    #[arg(long, value_name = "NAME")]
    connection: Option<String>,
    #[command(flatten)]
    format: FormatOption,
}

impl Snapshots {
    pub(super) async fn run(&self, session: &mut Session) -> Result<Exit, Failure> {
        let store = session.open()?;
        let history = find_query(&*store, &self.query).await?;
        let mut filter = SnapshotFilter::of_query(history.query.id);
        if let Some(name) = &self.connection {
            filter = filter.with_connection(Some(connection_id(&history, name)?));
        }
        let snapshots = store.snapshots(&filter).await?;
        if self.format.is_table(&session.out) {
            print_table(&snapshots, &mut session.out)?;
        } else {
            session.out.json(&view::snapshots(&snapshots))?;
        }
        Ok(Exit::Done)
    }
}

fn connection_id(history: &CapturedQuery, name: &str) -> Result<i64, Failure> {
    let found = history.connections.iter().find(|connection| connection.name == name);
    found.map(|connection| connection.id).ok_or_else(|| {
        let names: Vec<&str> = history.connections.iter().map(|connection| connection.name.as_str()).collect();
        let known = if names.is_empty() {
            "none has a connection".to_owned()
        } else {
            format!("there are {}", names.join(", "))
        };
        Failure::Refused(format!("query {:?} has no snapshots of connection {name:?}; {known}", history.query.name))
    })
}

fn print_table(snapshots: &[Snapshot], out: &mut Output) -> Result<(), Failure> {
    // Nearly always all are complete and full, and then nothing needs to be said.
    let shows_state = snapshots.iter().any(|snapshot| !state(snapshot).is_empty());
    let mut columns = vec![
        Column::text("SNAPSHOT"),
        Column::text("CAPTURED AT"),
        Column::number("ROWS"),
        Column::text("CHANGES"),
        Column::text("KEPT"),
        Column::long("LABEL"),
        Column::long("ANNOTATION"),
    ];
    if shows_state {
        columns.insert(3, Column::text("STATE"));
    }
    let mut table = Table::new(columns);
    for snapshot in snapshots {
        let mut cells = vec![
            snapshot.id.to_string(),
            moment(snapshot.captured_at),
            count(snapshot.row_count),
            snapshot.changes.as_ref().map_or_else(String::new, short_changes),
            format!("{}{}", snapshot.retention_policy.name(), if snapshot.pinned { ", pinned" } else { "" }),
            snapshot.label.clone().unwrap_or_default(),
            snapshot.annotation.clone().unwrap_or_default(),
        ];
        if shows_state {
            cells.insert(3, state(snapshot));
        }
        table.row(cells);
    }
    Ok(table.print(out)?)
}

/// Says in what a snapshot is less than complete and full: `partial, config-only`.
fn state(snapshot: &Snapshot) -> String {
    let verdict = (snapshot.verdict != Verdict::Complete).then(|| snapshot.verdict.name());
    let coverage = (snapshot.coverage != Coverage::Full).then(|| snapshot.coverage.name());
    verdict.into_iter().chain(coverage).collect::<Vec<_>>().join(", ")
}

/// Writes the counts with the signs that a comparison uses: `+1 -0 ~3`, or `=` when nothing changed.
pub(super) fn short_changes(changes: &ChangeSummary) -> String {
    if changes.total() == 0 {
        return "=".to_owned();
    }
    format!("+{} -{} ~{}", changes.added, changes.removed, changes.changed)
}
