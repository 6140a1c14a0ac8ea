//! A heatmap as a calendar: a column for each week, a row for each weekday.

use std::io::{self, Write};

use chrono::{Datelike, NaiveDate, Weekday};
use fabrik_core::{Heatmap, HeatmapDay};

use crate::cli::output::{Ink, Output, Paint};
use crate::cli::text::{counted, visible};

/// What the rows are called, in front of the weeks.
const WEEKDAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
/// The width of a week: two columns for its days and one between.
const WEEK_COLUMNS: usize = 3;

/// How much happened on a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Heat {
    NoSnapshot,
    Nothing,
    Little,
    Some,
    Much,
}

impl Heat {
    const ALL: [Self; 5] = [Self::NoSnapshot, Self::Nothing, Self::Little, Self::Some, Self::Much];

    /// Judges a day by the hottest of all.
    fn of(snapshot_count: u64, score: f64, hottest: f64) -> Self {
        if snapshot_count == 0 {
            return Self::NoSnapshot;
        }
        // Thirds of the root: most days have a small part of what a change window has.
        match (score / hottest).sqrt() {
            _ if score <= 0.0 => Self::Nothing,
            share if share <= 1.0 / 3.0 => Self::Little,
            share if share <= 2.0 / 3.0 => Self::Some,
            _ => Self::Much,
        }
    }

    fn cell(self, paint: Paint) -> String {
        let (sign, color) = match self {
            Self::NoSnapshot => (' ', 236),
            Self::Nothing => ('.', 65),
            Self::Little => (':', 178),
            Self::Some => ('*', 208),
            Self::Much => ('#', 160),
        };
        if paint.on { paint.with(Ink::Ground(color), "  ") } else { format!("{sign} ") }
    }

    fn meaning(self) -> &'static str {
        match self {
            Self::NoSnapshot => "no snapshot",
            Self::Nothing => "no change",
            Self::Little => "little",
            Self::Some => "some",
            Self::Much => "much",
        }
    }
}

/// Prints the calendar, what its cells mean, and the hottest days.
pub(super) fn print(heatmap: &Heatmap, query: &str, out: &mut Output) -> io::Result<()> {
    let snapshots = heatmap.days.iter().map(|day| day.snapshot_count).sum();
    let changed: u64 = heatmap.days.iter().map(|day| day.has_changes).sum();
    let query = out.paint.with(Ink::Bold, &visible(query));
    let snapshots = counted(snapshots, "snapshot", "snapshots");
    writeln!(out, "{query}, {} ({}): {snapshots}, {changed} with changes", heatmap.window, heatmap.timezone)?;

    let hottest = heatmap.days.iter().map(|day| day.change_score).fold(0.0, f64::max);
    let heats = heatmap.days.iter().map(|day| (day.date, Heat::of(day.snapshot_count, day.change_score, hottest)));
    let weeks = weeks(heats);
    let fitting = (out.columns.saturating_sub(4) / WEEK_COLUMNS).max(1);
    // A year is wider than most terminals: what does not fit goes below.
    for weeks in weeks.chunks(fitting) {
        let text = block(weeks, out.paint);
        write!(out, "\n{text}")?;
    }
    let legend: Vec<String> =
        Heat::ALL.into_iter().map(|heat| format!("{} {}", heat.cell(out.paint), heat.meaning())).collect();
    writeln!(out, "\n    {}", legend.join("   "))?;

    let mut days: Vec<&HeatmapDay> = heatmap.days.iter().filter(|day| day.change_score > 0.0).collect();
    days.sort_by(|one, other| other.change_score.total_cmp(&one.change_score));
    for day in days.iter().take(3) {
        writeln!(out, "    {}  {:.2} % of rows", day.date.format("%a %Y-%m-%d"), day.change_score * 100.0)?;
    }
    Ok(())
}

type Week = [Option<(NaiveDate, Heat)>; 7];

/// Puts days into weeks from Monday to Sunday.
fn weeks(days: impl IntoIterator<Item = (NaiveDate, Heat)>) -> Vec<Week> {
    let mut weeks: Vec<Week> = Vec::new();
    for (date, heat) in days {
        let weekday = date.weekday();
        if weeks.is_empty() || weekday == Weekday::Mon {
            weeks.push([None; 7]);
        }
        if let Some(week) = weeks.last_mut() {
            week[weekday.num_days_from_monday() as usize] = Some((date, heat));
        }
    }
    weeks
}

fn block(weeks: &[Week], paint: Paint) -> String {
    let mut text = months(weeks);
    for (weekday, name) in WEEKDAYS.into_iter().enumerate() {
        let mut line = format!("{name} ");
        for week in weeks {
            line.push_str(&week[weekday].map_or_else(|| "  ".to_owned(), |(_, heat)| heat.cell(paint)));
            line.push(' ');
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// Names each month above the week in which it starts, and the first one above the first week unless the
/// next is too near.
fn months(weeks: &[Week]) -> String {
    let mut line = String::new();
    let (mut named, mut named_at) = (None, 0);
    for (i, week) in weeks.iter().enumerate() {
        let Some((last, _)) = week.iter().flatten().last() else { continue };
        let month = Some((last.year(), last.month()));
        let column = 4 + i * WEEK_COLUMNS;
        if named != month {
            if line.len() >= column {
                line.truncate(named_at);
            }
            line.push_str(&" ".repeat(column - line.len()));
            line.push_str(&last.format("%b").to_string());
            (named, named_at) = (month, column);
        }
    }
    line.push('\n');
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weeks_are_columns_and_weekdays_rows() {
        // A Thursday to the Tuesday after next; -1 stands for a day without a snapshot.
        let first: NaiveDate = "2026-01-29".parse().unwrap();
        let scores = [0.0, 0.01, -1.0, 0.4, 1.0, 0.0, -1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.09];
        let days = first.iter_days().zip(scores.map(|score| Heat::of(u64::from(score >= 0.0), score, 1.0)));

        let text = block(&weeks(days), Paint { on: false });

        let expected = ["    Feb", "Mon    #  .", "Tue    .  :", "Wed", "Thu .  .", "Fri :  .", "Sat    .", "Sun *  ."];
        assert_eq!(text.lines().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn every_level_has_its_own_colour() {
        let cells: std::collections::HashSet<String> =
            Heat::ALL.into_iter().map(|heat| heat.cell(Paint { on: true })).collect();

        assert_eq!(cells.len(), 5);
    }
}
