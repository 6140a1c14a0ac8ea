//! How much changed, day by day.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Days, NaiveDate, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;
use serde::{Serialize, Serializer};

use crate::error::{Error, Result};
use crate::reference::{find_query, one_connection};
use crate::store::{ReadRecords, SnapshotFilter};

/// The last days up to today: `30d`, `4w` or `1y`, at most 366 days.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    text: String,
    days: u64,
}

impl Window {
    /// Returns the number of days.
    #[must_use]
    pub fn days(&self) -> u64 {
        self.days
    }
}

impl Default for Window {
    fn default() -> Self {
        Self { text: "30d".into(), days: 30 }
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for Window {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let wrong = || Error::invalid("window", text, "1d to 366d, 1w to 52w, or 1y");
        let unit = text.chars().last().ok_or_else(wrong)?;
        let number: u64 = text[..text.len() - unit.len_utf8()].parse().map_err(|_| wrong())?;
        let days = match unit {
            'd' => Some(number),
            'w' => number.checked_mul(7),
            'y' => number.checked_mul(365),
            _ => None,
        };
        match days {
            Some(days @ 1..=366) => Ok(Self { text: text.to_owned(), days }),
            _ => Err(wrong()),
        }
    }
}

impl Serialize for Window {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Reads the name of a time zone.
///
/// # Errors
///
/// [`InvalidInput`](crate::ErrorKind::InvalidInput) when it is not one of the IANA data base.
pub fn parse_timezone(name: &str) -> Result<Tz> {
    name.parse().map_err(|_| Error::invalid("timezone", name, "an IANA name such as Europe/Berlin or UTC"))
}

/// Change by day.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Heatmap {
    /// The window as it was asked for.
    pub window: Window,
    /// The time zone whose days these are.
    pub timezone: String,
    /// Every day of the window, ascending; the last is today.
    pub days: Vec<HeatmapDay>,
}

/// What was captured on one day.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct HeatmapDay {
    /// The day in the time zone.
    pub date: NaiveDate,
    /// How many snapshots were captured.
    pub snapshot_count: u64,
    /// The mean share of rows that changed, from 0 to 1, over the day's snapshots that have one before them.
    pub change_score: f64,
    /// How many of the snapshots differ from the one before them.
    pub has_changes: u64,
}

/// Shows how much a query's result changed on each day, from the snapshots' records alone.
///
/// # Errors
///
/// [`NotFound`](crate::ErrorKind::NotFound) for an unknown query or connection.
pub async fn heatmap(
    store: &dyn ReadRecords,
    query: &str,
    connection: Option<&str>,
    window: &Window,
    timezone: Tz,
    now: DateTime<Utc>,
) -> Result<Heatmap> {
    let history = find_query(store, query).await?;
    let mut filter = SnapshotFilter::of_query(history.query.id);
    if connection.is_some() {
        filter = one_connection(&history, connection)?;
    }
    heatmap_of(store, filter, window, timezone, now).await
}

/// Shows what [`heatmap`] does for the snapshots that a filter selects, which may be none.
///
/// # Errors
///
/// Whatever the store reports.
pub async fn heatmap_of(
    store: &dyn ReadRecords,
    filter: SnapshotFilter,
    window: &Window,
    timezone: Tz,
    now: DateTime<Utc>,
) -> Result<Heatmap> {
    let today = now.with_timezone(&timezone).date_naive();
    let first = today - Days::new(window.days - 1);
    let dates = first.iter_days().take_while(|date| *date <= today);
    let mut days: Vec<HeatmapDay> =
        dates.map(|date| HeatmapDay { date, snapshot_count: 0, change_score: 0.0, has_changes: 0 }).collect();
    // Midnight may not exist in a zone; a day's slack and the date of each snapshot decide.
    let from = Utc.from_utc_datetime(&first.and_time(chrono::NaiveTime::MIN)) - TimeDelta::days(1);
    let mut scored = vec![0_u32; days.len()];
    for captured in store.changes(&filter.with_range(Some(from), None)).await? {
        let date = captured.captured_at.with_timezone(&timezone).date_naive();
        let Ok(index) = usize::try_from((date - first).num_days()) else { continue };
        let Some(day) = days.get_mut(index) else { continue };
        day.snapshot_count += 1;
        if let Some(changes) = captured.changes {
            day.has_changes += u64::from(changes.total() > 0);
            day.change_score += changes.score();
            scored[index] += 1;
        }
    }
    for (day, scored) in days.iter_mut().zip(scored) {
        day.change_score /= f64::from(scored.max(1));
    }
    Ok(Heatmap { window: window.clone(), timezone: timezone.name().to_owned(), days })
}
