//! `fabrik connections`: the controllers that can be asked.

mod add;

use std::io::Write;
use std::time::Instant;

use clap::{Args, Subcommand};
use fabrik_apic::{Client, SavedConnection, Verification, saved};
use serde_json::{Value, json};

use super::exit::{Exit, Failure};
use super::format::FormatOption;
use super::session::Session;
use super::table::{Column, Table, print_facts};
use super::{keys, live};

/// Save, list, test and remove connections to controllers.
#[derive(Debug, Args)]
pub(super) struct Connections {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Add(add::Add),
    List(List),
    Test(Test),
    Remove(Remove),
}

/// List the saved connections, without their secrets.
#[derive(Debug, Args)]
struct List {
    #[command(flatten)]
    format: FormatOption,
}

/// Log in, and say who answers.
#[derive(Debug, Args)]
struct Test {
    /// The connection. [default: the only one]
    name: Option<String>,
    #[command(flatten)]
    format: FormatOption,
}

/// Forget a connection and its secret; snapshots stay.
#[derive(Debug, Args)]
struct Remove {
    /// The connection.
    name: String,
}

impl Connections {
    pub(super) async fn run(&self, session: &mut Session) -> Result<Exit, Failure> {
        match &self.command {
            Command::Add(command) => command.run(session).await,
            Command::List(command) => command.run(session).await,
            Command::Test(command) => command.run(session).await,
            Command::Remove(command) => command.run(session).await,
        }
    }
}

impl List {
    async fn run(&self, session: &mut Session) -> Result<Exit, Failure> {
        let store = session.open()?;
        let connections = saved::connections(&*store).await?;
        let out = &mut session.out;
        if !self.format.is_table(out) {
            out.json(&connections.iter().map(facts).collect::<Vec<_>>())?;
        } else if connections.is_empty() {
            writeln!(out, "no connections; `fabrik connections add` saves one")?;
        } else {
            let columns = ["connection", "address", "user", "certificate check"].map(Column::text);
            let mut table = Table::new(columns);
            for connection in &connections {
                let (name, url) = (connection.name.clone(), connection.url.clone());
                table.row([name, url, user(connection), checked_by(&connection.verification).to_owned()]);
            }
            table.print(out)?;
        }
        Ok(Exit::Done)
    }
}

impl Test {
    async fn run(&self, session: &mut Session) -> Result<Exit, Failure> {
        let store = session.open()?;
        let connection = saved::connection(&*store, self.name.as_deref()).await?;
        live::warn_about(&connection);
        let client = Client::new(connection.options(), connection.credentials(&keys::vault()?)?)?;
        let runtime = live::runtime()?;
        let started = Instant::now();
        let controller = runtime.block_on(async {
            let controller = client.check().await;
            // A session that is not ended here ends by itself soon.
            let _ = client.logout().await;
            controller
        });
        let controller = controller.map_err(|error| live::failure(&connection.url, error))?;
        let millis = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        if !self.format.is_table(&session.out) {
            let mut facts = facts(&connection);
            facts["reachable"] = Value::Bool(true);
            facts["version"] = controller.version.into();
            facts["node"] = controller.node.into();
            facts["answered_in_ms"] = millis.into();
            session.out.json(&facts)?;
            return Ok(Exit::Done);
        }
        let known = |text: String| Some(text).filter(|text| !text.is_empty());
        writeln!(session.out, "{} answers", connection.url)?;
        print_facts(
            &mut session.out,
            &[
                ("version", known(controller.version)),
                ("node", known(controller.node)),
                ("user", Some(user(&connection))),
                ("answered in", Some(format!("{millis} ms"))),
            ],
        )?;
        Ok(Exit::Done)
    }
}

impl Remove {
    async fn run(&self, session: &mut Session) -> Result<Exit, Failure> {
        let store = session.open()?;
        if !saved::remove_connection(&*store, &self.name).await? {
            // Says which there are.
            saved::connection(&*store, Some(&self.name)).await?;
        }
        writeln!(session.out, "removed connection {}", self.name)?;
        Ok(Exit::Done)
    }
}

/// Returns what may be shown of a connection.
fn facts(connection: &SavedConnection) -> Value {
    json!({
        "name": connection.name,
        "url": connection.url,
        "username": connection.username,
        "domain": connection.domain,
        "certificate": connection.certificate,
        "verification": checked_by(&connection.verification),
        "requests_per_second": connection.requests_per_second,
        "timeout_seconds": connection.timeout_seconds,
    })
}

fn user(connection: &SavedConnection) -> String {
    match (&connection.domain, &connection.certificate) {
        (Some(domain), _) => format!("{} of {domain}", connection.username),
        (None, Some(certificate)) => format!("{}, by certificate {certificate}", connection.username),
        (None, None) => connection.username.clone(),
    }
}

fn checked_by(verification: &Verification) -> &'static str {
    match verification {
        Verification::System => "system",
        Verification::Authority(_) => "own authority",
        _ => "off",
    }
}
