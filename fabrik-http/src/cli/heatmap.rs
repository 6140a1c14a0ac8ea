//! `fabrik heatmap`: how much changed, day by day.

mod calendar;

use chrono_tz::Tz;
use clap::Args;
use fabrik_core::{Window, heatmap, parse_timezone};

use super::exit::{Exit, Failure};
use super::format::FormatOption;
use super::session::Session;

/// Show how much of a query's result changed on each day.
#[derive(Debug, Args)]
pub(super) struct Heatmap {
    /// The query.
    #[arg(long, value_name = "NAME")]
    query: String,
    /// How many days up to today: 30d, 4w or 1y, at most 366 days.
    #[arg(long, default_value = "30d")]
    window: Window,
    /// The time zone whose days count.
    #[arg(long, value_name = "ZONE", default_value = "UTC", value_parser = parse_timezone)]
    timezone: Tz,
    /// Only snapshots of this connection.
    #[arg(long, value_name = "NAME")]
    connection: Option<String>,
    #[command(flatten)]
    format: FormatOption,
}

impl Heatmap {
    /// Asks for the last 30 days of a query, for people.
    pub(super) fn table(query: impl Into<String>) -> Self {
        Self {
            query: query.into(),
            window: Window::default(),
            timezone: Tz::UTC,
            connection: None,
            format: FormatOption::table(),
        }
    }

    pub(super) async fn run(&self, session: &mut Session) -> Result<Exit, Failure> {
        let store = session.open()?;
        let connection = self.connection.as_deref();
        let found = heatmap(&*store, &self.query, connection, &self.window, self.timezone, session.now).await?;
        if self.format.is_table(&session.out) {
            calendar::print(&found, &self.query, &mut session.out)?;
        } else {
            session.out.json(&found)?;
        }
        Ok(Exit::Done)
    }
}
