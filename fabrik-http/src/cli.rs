//! The command line: parse, call the engine, print.

mod annotate;
mod apic_sim;
mod capture;
mod cleanup;
mod compare;
mod config;
mod connections;
mod demo;
mod dns;
mod exit;
mod fields;
mod format;
mod heatmap;
mod keys;
mod live;
mod output;
mod place;
mod progress;
mod queries;
mod query;
mod serve;
mod server_options;
mod session;
mod show;
mod snapshots;
mod stats;
mod table;
mod text;
mod timeline;
mod user;
mod verify;

use std::error::Error as _;
use std::io::{self, Write};
use std::process::ExitCode;

use chrono::{DateTime, Utc};
use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use fabrik_core::time::parse_exact;

use exit::{Exit, Failure};
use place::StorePlace;
use session::Session;

/// How a snapshot is named, shown below the help of every command that takes one.
const REFERENCES: &str = "\
A snapshot is named by its id or the beginning of it, or as
  QUERY@latest, QUERY@latest~2          the newest of a query, or the second before it
  QUERY@2026-01-15T10:30:00Z            the newest at or before that moment
  QUERY@-7d                             the same, counted back from now (m, h, d, w)
  QUERY@CONNECTION@latest               any of these for one connection, where there are several";

/// What changed in my network, when, by whom, and did we mean it?
#[derive(Debug, Parser)]
#[command(
    name = "fabrik",
    version,
    max_term_width = 110,
    after_help = "\
Exit codes: 0 done, 1 failed, 2 wrong usage, 3 different (compare --exit-code), 4 damage found."
)]
struct Cli {
    /// Where snapshots are kept: sqlite:PATH, postgres://USER@HOST/DATABASE, or memory: for a store that ends with the
    /// command.
    // A password in the variable is not for the help to show.
    #[arg(
        long,
        global = true,
        env = "FABRIK_STORE",
        hide_env_values = true,
        default_value = "sqlite:fabrik.db",
        value_name = "STORE"
    )]
    store: StorePlace,
    /// The time to take for now, so that a result can be had again. [default: the clock]
    #[arg(long, global = true, value_name = "TIME", value_parser = |text: &str| parse_exact("now", text))]
    now: Option<DateTime<Utc>>,
    /// Print without colours, as with NO_COLOR set.
    #[arg(long, global = true)]
    no_color: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Capture(capture::Capture),
    Compare(compare::Compare),
    Timeline(timeline::Timeline),
    Heatmap(heatmap::Heatmap),
    Dns(dns::Dns),
    Queries(queries::Queries),
    Query(query::QueryCommand),
    Connections(connections::Connections),
    Snapshots(snapshots::Snapshots),
    Show(show::Show),
    Annotate(annotate::Annotate),
    Cleanup(cleanup::Cleanup),
    Verify(verify::Verify),
    Stats(stats::Stats),
    Demo(demo::Demo),
    ApicSim(apic_sim::ApicSim),
    Serve(serve::Serve),
    User(user::User),
    Config(config::Config),
}

impl Command {
    async fn run(&self, session: &mut Session) -> Result<Exit, Failure> {
        match self {
            Self::Capture(command) => command.run(session).await,
            Self::Compare(command) => command.run(session).await,
            Self::Timeline(command) => command.run(session).await,
            Self::Heatmap(command) => command.run(session).await,
            Self::Dns(command) => command.run(session).await,
            Self::Queries(command) => command.run(session).await,
            Self::Query(command) => command.run(session).await,
            Self::Connections(command) => command.run(session).await,
            Self::Snapshots(command) => command.run(session).await,
            Self::Show(command) => command.run(session).await,
            Self::Annotate(command) => command.run(session).await,
            Self::Cleanup(command) => command.run(session).await,
            Self::Verify(command) => command.run(session).await,
            Self::Stats(command) => command.run(session).await,
            Self::Demo(command) => command.run(session).await,
            Self::ApicSim(command) => command.run(session).await,
            Self::Serve(command) => command.run(session).await,
            Self::User(command) => command.run(session).await,
            Self::Config(command) => command.run(session).await,
        }
    }
}

/// Runs the command that the process was started with.
pub(super) fn run() -> ExitCode {
    let parsed = Cli::command().try_get_matches_from(std::env::args_os()).and_then(|matches| {
        let is_store_given = matches.value_source("store") == Some(ValueSource::CommandLine);
        // To the letter: the place in it does not show its password.
        let store = matches.get_raw("store").filter(|_| is_store_given).and_then(Iterator::last);
        let store = store.and_then(std::ffi::OsStr::to_str).map(str::to_owned);
        Ok((Cli::from_arg_matches(&matches)?, store))
    });
    match parsed {
        Ok((cli, store)) => run_parsed(cli, store),
        Err(error) => refuse(&error),
    }
}

fn run_parsed(cli: Cli, store: Option<String>) -> ExitCode {
    let mut session = Session::new(cli.store, cli.now, cli.no_color).with_store_flag(store);
    let result = pollster::block_on(async {
        let result = cli.command.run(&mut session).await;
        let result = match result {
            Ok(exit) => session.out.flush().map(|()| exit).map_err(Failure::from),
            Err(failure) => {
                // What was printed before the failure belongs to the result; the failure itself says the rest.
                let _ = session.out.flush();
                Err(failure)
            }
        };
        match result {
            Ok(exit) => Ok(exit),
            Err(failure) => Err(session.explain(failure).await),
        }
    });
    match result {
        Ok(exit) => exit.into(),
        Err(failure) => failure.report(),
    }
}

/// Prints why the arguments were not taken: our own sentence where a value was wrong, else that of clap.
fn refuse(error: &clap::Error) -> ExitCode {
    if error.kind() == ErrorKind::ValueValidation
        && let Some(reason) = error.source()
    {
        let _ = writeln!(io::stderr(), "fabrik: {reason}");
    } else {
        let _ = error.print();
    }
    if error.use_stderr() { Exit::Usage.into() } else { Exit::Done.into() }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::Cli;

    #[test]
    fn definition_is_consistent() {
        Cli::command().debug_assert();
    }
}
