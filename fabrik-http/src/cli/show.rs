//! `fabrik show`: one snapshot with its rows.

pub(super) mod columns;

use std::io::Write;

use clap::{Args, ValueEnum};
use fabrik_core::arrow::{write_ipc, write_parquet};
use fabrik_core::{Coverage, Snapshot, Verdict, resolve, rows, view};

use super::capture::{describe_verdict, kept};
use super::exit::{Exit, Failure};
use super::output::Output;
use super::session::Session;
use super::snapshots::short_changes;
use super::table::print_facts;
use super::text::{bytes, count, moment};

/// Show a snapshot with its rows.
#[derive(Debug, Args)]
#[command(after_help = super::REFERENCES)]
pub(super) struct Show {
    /// The snapshot.
    snapshot: String,
    /// How to print it. [default: table in a terminal, else json]
    #[arg(long, value_enum)]
    format: Option<ShowFormat>,
}

/// The forms of a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ShowFormat {
    /// What is known of the snapshot and its first rows, the default in a terminal.
    Table,
    /// One JSON document with the rows last, the default elsewhere.
    Json,
    /// A JSON object for each row.
    Ndjson,
    /// A line for each row below the names of all columns; absent and null are both empty.
    Csv,
    /// An Arrow IPC stream with a column for each attribute; not into a terminal.
    Arrow,
    /// A Parquet file with a column for each attribute; not into a terminal.
    Parquet,
}

impl Show {
    pub(super) async fn run(&self, session: &mut Session) -> Result<Exit, Failure> {
        if let Some(format) = self.format {
            refuse_bytes_in_a_terminal(format, session.out.is_terminal)?;
        }
        let store = session.open()?;
        let snapshot = resolve(&*store, &self.snapshot, session.now).await?;
        let out = &mut session.out;
        let default = if out.is_terminal { ShowFormat::Table } else { ShowFormat::Json };
        match self.format.unwrap_or(default) {
            ShowFormat::Json => {
                let mut head = serde_json::to_vec(&view::snapshot(&snapshot))?;
                // The rows become the last member of the object.
                head.pop();
                head.extend_from_slice(b",\"rows\":");
                out.write_all(&head)?;
                rows(&*store, &snapshot).await?.write_array(out).await?;
                out.write_all(b"}\n")?;
            }
            ShowFormat::Ndjson => rows(&*store, &snapshot).await?.write_lines(out).await?,
            ShowFormat::Csv => columns::print_csv(&*store, &snapshot, out).await?,
            ShowFormat::Arrow => write_ipc(&*store, &snapshot, out).await?,
            ShowFormat::Parquet => write_parquet(&*store, &snapshot, out).await?,
            ShowFormat::Table => {
                print_head(&snapshot, out)?;
                columns::print_first_rows(&*store, &snapshot, &self.snapshot, out).await?;
            }
        }
        Ok(Exit::Done)
    }
}

fn refuse_bytes_in_a_terminal(format: ShowFormat, is_terminal: bool) -> Result<(), Failure> {
    let (name, ending) = match format {
        ShowFormat::Arrow => ("arrow", "arrows"),
        ShowFormat::Parquet => ("parquet", "parquet"),
        _ => return Ok(()),
    };
    if !is_terminal {
        return Ok(());
    }
    let problem =
        format!("--format {name} writes bytes that no terminal shows: expected a file, `> rows.{ending}`, or a pipe");
    Err(Failure::Usage(problem))
}

/// Prints what is known of a snapshot beside its rows.
pub(super) fn print_head(snapshot: &Snapshot, out: &mut Output) -> std::io::Result<()> {
    let connection = snapshot.series.connection.as_ref().map(|connection| connection.name.clone());
    print_facts(
        out,
        &[
            ("snapshot", Some(snapshot.id.to_string())),
            ("query", Some(snapshot.series.query.name.clone())),
            ("connection", connection),
            ("captured at", Some(format!("{} by {}", moment(snapshot.captured_at), snapshot.captured_by))),
            ("rows", Some(format!("{} ({})", count(snapshot.row_count), bytes(snapshot.size_bytes)))),
            ("duplicate keys", (snapshot.duplicate_keys > 0).then(|| count(snapshot.duplicate_keys))),
            ("changes", snapshot.changes.as_ref().map(short_changes)),
            ("key", Some(snapshot.key.to_string())),
            ("version", Some(snapshot.version_hash.to_string())),
            ("kept", Some(kept(snapshot))),
            ("verdict", (snapshot.verdict != Verdict::Complete).then(|| describe_verdict(&snapshot.verdict))),
            ("coverage", (snapshot.coverage != Coverage::Full).then(|| snapshot.coverage.to_string())),
            ("label", snapshot.label.clone()),
            ("annotation", snapshot.annotation.clone()),
        ],
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_no_text_is_kept_out_of_a_terminal() {
        for &format in ShowFormat::value_variants() {
            let is_text = !matches!(format, ShowFormat::Arrow | ShowFormat::Parquet);

            assert_eq!(refuse_bytes_in_a_terminal(format, true).is_ok(), is_text, "{format:?}");
            assert!(refuse_bytes_in_a_terminal(format, false).is_ok(), "{format:?}");
        }
    }
}
