//! `fabrik timeline`: one object through time.

use std::io::Write;

use chrono::{DateTime, Utc};
use clap::Args;
use fabrik_core::time::{DayEdge, parse_edge};
use fabrik_core::{Lifecycle, SnapshotId, Timeline as Points, TimelineOptions, timeline};

use super::exit::{Exit, Failure};
use super::fields::{FieldLine, write_fields};
use super::format::FormatOption;
use super::output::{Ink, Output};
use super::session::Session;
use super::text::{counted, moment, visible};

/// Follow one object through the newest snapshots of a query.
#[derive(Debug, Args)]
pub(super) struct Timeline {
    /// The query.
    #[arg(long, value_name = "NAME")]
    query: String,
    /// The DN of the object.
    #[arg(long)]
    dn: String,
    /// How many snapshots to look at, at most 100.
    #[arg(long, value_name = "N", default_value_t = 20)]
    limit: u64,
    /// Only snapshots from this date or time on.
    #[arg(long, value_name = "TIME", value_parser = |text: &str| parse_edge("from_date", text, DayEdge::Start))]
    from_date: Option<DateTime<Utc>>,
    /// Only snapshots up to this date or time.
    #[arg(long, value_name = "TIME", value_parser = |text: &str| parse_edge("to_date", text, DayEdge::End))]
    to_date: Option<DateTime<Utc>>,
    /// Only snapshots of this connection.
    #[arg(long, value_name = "NAME")]
    connection: Option<String>,
    #[command(flatten)]
    format: FormatOption,
}

impl Timeline {
    /// Follows one object of a query from a moment on, for people.
    pub(super) fn table(query: impl Into<String>, dn: impl Into<String>, from: DateTime<Utc>) -> Self {
        Self {
            query: query.into(),
            dn: dn.into(),
            limit: 20,
            from_date: Some(from),
            to_date: None,
            connection: None,
            format: FormatOption::table(),
        }
    }

    pub(super) async fn run(&self, session: &mut Session) -> Result<Exit, Failure> {
        let store = session.open()?;
        let options = TimelineOptions::default()
            .with_limit(self.limit)
            .with_range(self.from_date, self.to_date)
            .with_connection(self.connection.clone());
        let points = timeline(&*store, &self.query, &self.dn, &options).await?;
        if self.format.is_table(&session.out) {
            print_points(&points, &self.query, &mut session.out)?;
        } else {
            session.out.json(&points)?;
        }
        Ok(Exit::Done)
    }
}

fn print_points(timeline: &Points, query: &str, out: &mut Output) -> Result<(), Failure> {
    let snapshots = u64::try_from(timeline.snapshot_count).unwrap_or(u64::MAX);
    let dn = out.paint.with(Ink::Bold, &visible(&timeline.dn));
    writeln!(out, "{dn} in {}: {}", visible(query), counted(snapshots, "snapshot", "snapshots"))?;
    let (columns, paint) = (out.columns, out.paint);
    for point in &timeline.points {
        let event = timeline.lifecycle.iter().find(|event| event.snapshot_id == point.snapshot_id);
        let changes = changes_at(timeline, point.snapshot_id);
        let (sign, ink, state) = match event.map(|event| event.event) {
            Some(Lifecycle::Created) => ("+", Ink::Green, "created"),
            Some(Lifecycle::Recreated) => ("+", Ink::Green, "created again"),
            Some(Lifecycle::Deleted) => ("-", Ink::Red, "deleted"),
            None if point.unknown => ("?", Ink::Dim, "not captured"),
            None if !point.present => (" ", Ink::Dim, "absent"),
            None if changes.is_empty() => ("=", Ink::Dim, ""),
            None => ("~", Ink::Yellow, "changed"),
        };
        let line = format!("{sign} {}  {}  {state}", moment(point.executed_at), point.snapshot_id);
        writeln!(out, "{}", paint.with(ink, line.trim_end()))?;
        write_fields(&changes, columns, paint, out)?;
    }
    Ok(())
}

/// Returns the attributes that differ from when the object was last seen, by name.
fn changes_at(timeline: &Points, snapshot: SnapshotId) -> Vec<FieldLine<'_>> {
    let mut changes = Vec::new();
    for attribute in &timeline.attribute_evolution {
        for pair in attribute.values.windows(2) {
            if pair[1].changed && pair[1].snapshot_id == snapshot {
                changes.push((attribute.attribute.as_str(), pair[0].value.get(), pair[1].value.get()));
            }
        }
    }
    changes.sort_by_key(|(name, ..)| *name);
    changes
}
