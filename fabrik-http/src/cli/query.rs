//! `fabrik query`: ask a controller and print what it answers.

use std::io::Write;

use clap::{Args, ValueEnum};
use fabrik_apic::{ApicQuery, Client, LiveOptions, LiveSource, saved};
use fabrik_core::{Row, Source, Verdict};

use super::capture::describe_verdict;
use super::exit::{Exit, Failure};
use super::keys;
use super::live::{self, Narrowed};
use super::output::Output;
use super::session::Session;
use super::show::columns;

/// How many rows a table has, when nothing else is said.
const TABLE_ROWS: usize = 20;

/// Ask a controller and print the rows; nothing is stored.
#[derive(Debug, Args)]
pub(super) struct QueryCommand {
    /// A class, such as fvBD, or a path: /api/mo/uni/tn-common.json?query-target=subtree.
    query: String,
    /// The connection to ask. [default: the only one]
    #[arg(long, value_name = "NAME")]
    connection: Option<String>,
    #[command(flatten)]
    narrowed: Narrowed,
    /// At most this many rows. [default: 20 in a table, else all]
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// How to print it. [default: table in a terminal, else ndjson]
    #[arg(long, value_enum)]
    format: Option<QueryFormat>,
}

/// The forms of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum QueryFormat {
    /// The first rows with as many columns as fit.
    Table,
    /// A JSON object for each row.
    Ndjson,
    /// One JSON array.
    Json,
}

impl QueryCommand {
    pub(super) async fn run(&self, session: &mut Session) -> Result<Exit, Failure> {
        let query = if self.query.starts_with('/') { self.query.parse()? } else { ApicQuery::class(&self.query)? };
        let query = self.narrowed.apply(query);
        let store = session.open()?;
        let connection = saved::connection(&*store, self.connection.as_deref()).await?;
        live::warn_about(&connection);
        let client = Client::new(connection.options(), connection.credentials(&keys::vault()?)?)?;
        let runtime = live::runtime()?;
        let mut options = LiveOptions::default();
        // One page after the other, so that rows are printed in the controller's order, and what is printed stays.
        (options.parallel, options.restarts) = (1, 0);
        let mut source = LiveSource::start(&client, &query, &options, runtime.handle())?;
        let printed = self.print(&mut source, &mut session.out).await;
        drop(source);
        // A session that is not ended here ends by itself soon.
        let _ = runtime.block_on(client.logout());
        printed?;
        Ok(Exit::Done)
    }

    async fn print(&self, source: &mut LiveSource, out: &mut Output) -> Result<(), Failure> {
        let format = self.format.unwrap_or(if out.is_terminal { QueryFormat::Table } else { QueryFormat::Ndjson });
        let limit = self.limit.unwrap_or(if format == QueryFormat::Table { TABLE_ROWS } else { usize::MAX });
        let mut shown = Shown { format, rows: Vec::new(), text: Vec::new(), n_rows: 0 };
        let mut is_all = true;
        'reading: while let Some(batch) = source.next_batch().await? {
            if source.has_started_over() {
                let sentence = "the controller changed while it was read; what was printed is not one answer";
                return Err(Failure::Refused(sentence.to_owned()));
            }
            for row in batch.iter() {
                if shown.n_rows == limit {
                    is_all = false;
                    break 'reading;
                }
                shown.add(&row.to_row());
            }
            shown.write(out)?;
        }
        shown.finish(out)?;
        let verdict = source.verdict();
        if is_all && verdict != Verdict::Complete {
            live::warn(&format!("these are not all rows: {}", describe_verdict(&verdict)));
        }
        if !is_all && format == QueryFormat::Table && self.limit.is_none() {
            writeln!(out, "… more rows: --format ndjson prints all, in full")?;
        }
        Ok(())
    }
}

struct Shown {
    format: QueryFormat,
    /// Rows of a table, which is printed when all are known.
    rows: Vec<Row>,
    /// Text that waits to be written.
    text: Vec<u8>,
    n_rows: usize,
}

impl Shown {
    fn add(&mut self, row: &Row) {
        match self.format {
            QueryFormat::Table => self.rows.push(row.clone()),
            QueryFormat::Ndjson => {
                row.as_ref().write_json(&mut self.text);
                self.text.push(b'\n');
            }
            QueryFormat::Json => {
                self.text.push(if self.n_rows == 0 { b'[' } else { b',' });
                row.as_ref().write_json(&mut self.text);
            }
        }
        self.n_rows += 1;
    }

    fn write(&mut self, out: &mut Output) -> Result<(), Failure> {
        out.write_all(&self.text)?;
        self.text.clear();
        Ok(())
    }

    fn finish(mut self, out: &mut Output) -> Result<(), Failure> {
        self.write(out)?;
        match self.format {
            QueryFormat::Table if self.rows.is_empty() => Ok(writeln!(out, "no rows")?),
            QueryFormat::Table => columns::print_rows(&self.rows, out),
            QueryFormat::Ndjson => Ok(()),
            QueryFormat::Json if self.n_rows == 0 => Ok(out.write_all(b"[]\n")?),
            QueryFormat::Json => Ok(out.write_all(b"]\n")?),
        }
    }
}
