//! `fabrik config`: what the server was told, and by whom.

use std::io::Write;

use clap::{Args, Subcommand};
use fabrik_http::server::Settings;

use super::exit::{Exit, Failure};
use super::server_options::{ServerOptions, usage};
use super::session::Session;
use super::table::{Column, Table};

/// Explain the settings of the server.
#[derive(Debug, Args)]
pub(super) struct Config {
    #[command(subcommand)]
    command: ConfigCommand,
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Print every setting with its value and where it came from, and check that all make sense.
    Check(ServerOptions),
}

impl Config {
    pub(super) async fn run(&self, session: &mut Session) -> Result<Exit, Failure> {
        let ConfigCommand::Check(options) = &self.command;
        let layers = options.layers(session)?;
        let columns = [Column::text("setting"), Column::text("value"), Column::text("from"), Column::long("about")];
        let mut table = Table::new(columns);
        for shown in layers.shown() {
            let about = shown.setting.about.to_owned();
            table.row([shown.key, shown.value, shown.origin.to_string(), about]);
        }
        table.print(&mut session.out)?;
        let settings = Settings::from_layers(&layers).map_err(usage)?;
        writeln!(session.out, "\nthe server's own state is kept in {}", settings.database)?;
        Ok(Exit::Done)
    }
}
