//! When a task runs: pure, from a schedule, a time zone and a moment to the next run.
//!
//! A schedule is read off the clock on the wall. Where its hours are named (daily, weekly, monthly, `30 2 * * *`), a
//! time that the change to summer time skips runs at the next moment that there is, and one that there is twice runs at
//! the first. Where every hour counts (hourly, `*/15 * * * *`), what matters is the distance: what is skipped is skipped,
//! and the hour that comes twice has its runs twice.

use chrono::{DateTime, DurationRound, NaiveDateTime, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;
use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};

/// A clock is never set forward by more than this; Samoa left out a whole day in 2011.
const WIDEST_GAP: TimeDelta = TimeDelta::days(2);

/// A schedule, without its time zone.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Schedule {
    /// At one moment.
    Once(DateTime<Utc>),
    /// In each hour, at this minute.
    Hourly(u32),
    /// Every day at this second of the day.
    Daily(TimeOfDay),
    /// In each week on this day, 0 for Monday.
    Weekly(u32, TimeOfDay),
    /// In each month on this day.
    Monthly(u32, TimeOfDay),
    /// As a cron expression of five fields says.
    Cron(String),
}

/// A time on the wall.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TimeOfDay {
    hour: u32,
    minute: u32,
    second: u32,
}

impl TimeOfDay {
    /// Reads `03:30` or `03:30:00`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split(':');
        let mut next = |below: u32| -> Option<u32> {
            let part = parts.next()?;
            let is_plain = part.len() == 2 && part.bytes().all(|b| b.is_ascii_digit());
            is_plain.then(|| part.parse().ok()).flatten().filter(|number| *number < below)
        };
        let (hour, minute) = (next(24)?, next(60)?);
        let second = if text.len() > 5 { next(60)? } else { 0 };
        parts.next().is_none().then_some(Self { hour, minute, second })
    }
}

impl std::fmt::Display for TimeOfDay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:02}:{:02}:{:02}", self.hour, self.minute, self.second)
    }
}

/// The names of the days, Monday first.
pub(crate) const DAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

/// A schedule that was understood.
#[derive(Clone, Debug)]
pub(crate) enum Recurrence {
    Once(DateTime<Utc>),
    Repeated {
        cron: Box<Cron>,
        /// Whether the hours are named, so that no change of the clock may lose or double a run.
        is_by_wall: bool,
    },
}

impl Recurrence {
    /// Understands a schedule, or says in a sentence why a cron expression makes no sense.
    pub(crate) fn of(schedule: &Schedule) -> Result<Self, String> {
        let pattern = match schedule {
            Schedule::Once(moment) => return Ok(Self::Once(*moment)),
            Schedule::Cron(expression) => return Self::of_expression(expression),
            Schedule::Hourly(minute) => format!("0 {minute} * * * *"),
            Schedule::Daily(at) => format!("{} * * *", Self::wall(*at)),
            // In cron a week begins on Sunday.
            Schedule::Weekly(day, at) => format!("{} * * {}", Self::wall(*at), (day + 1) % 7),
            Schedule::Monthly(day, at) => format!("{} {day} * *", Self::wall(*at)),
        };
        let parser = CronParser::builder().seconds(Seconds::Required).year(Year::Disallowed).build();
        let cron = parser.parse(&pattern).map_err(|error| format!("{pattern}: {error}"))?;
        Ok(Self::repeated(cron))
    }

    fn wall(at: TimeOfDay) -> String {
        format!("{} {} {}", at.second, at.minute, at.hour)
    }

    fn of_expression(expression: &str) -> Result<Self, String> {
        let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
        let cron = parser.parse(expression).map_err(|error| format!("This is no cron expression: {error}"))?;
        Ok(Self::repeated(cron))
    }

    fn repeated(cron: Cron) -> Self {
        let is_by_wall = !cron.pattern.hours.from_wildcard;
        Self::Repeated { cron: Box::new(cron), is_by_wall }
    }

    /// Returns the first run after a moment, if there is any.
    pub(crate) fn next_after(&self, after: DateTime<Utc>, zone: Tz) -> Option<DateTime<Utc>> {
        // Runs are at whole seconds.
        let after = after.duration_trunc(TimeDelta::seconds(1)).unwrap_or(after);
        match self {
            Self::Once(moment) => (*moment > after).then_some(*moment),
            Self::Repeated { cron, is_by_wall: false } => {
                cron.find_next_occurrence(&after.with_timezone(&zone), false).ok().map(|next| next.to_utc())
            }
            Self::Repeated { cron, is_by_wall: true } => {
                let mut wall = after.with_timezone(&zone).naive_local();
                loop {
                    // UTC has no gaps, so it stands for the wall.
                    wall = cron.find_next_occurrence(&wall.and_utc(), false).ok()?.naive_utc();
                    let moment = first_moment(wall, zone)?;
                    if moment > after {
                        return Some(moment);
                    }
                }
            }
        }
    }
}

/// Returns the first moment at which the clock on the wall shows a time, or one after it.
fn first_moment(wall: NaiveDateTime, zone: Tz) -> Option<DateTime<Utc>> {
    if let Some(moment) = zone.from_local_datetime(&wall).earliest() {
        return Some(moment.to_utc());
    }
    // Clocks are set at whole minutes.
    let mut shown = wall.duration_trunc(TimeDelta::minutes(1)).ok()?;
    while shown - wall < WIDEST_GAP {
        shown += TimeDelta::minutes(1);
        if let Some(moment) = zone.from_local_datetime(&shown).earliest() {
            return Some(moment.to_utc());
        }
    }
    None
}

impl Schedule {
    /// Says in words when a task runs.
    pub(crate) fn describe(&self, zone: Tz) -> String {
        let when = match self {
            Self::Once(moment) => {
                return format!("Once at {} {zone}", moment.with_timezone(&zone).format("%Y-%m-%d %H:%M:%S"));
            }
            Self::Hourly(minute) => format!("Every hour at minute {minute}"),
            Self::Daily(at) => format!("Every day at {at}"),
            Self::Weekly(day, at) => {
                let day = usize::try_from(*day).ok().and_then(|day| DAYS.get(day)).copied().unwrap_or_default();
                format!("Every {day} at {at}")
            }
            Self::Monthly(day, at) => format!("On day {day} of every month at {at}"),
            Self::Cron(expression) => match Recurrence::of(self) {
                Ok(Recurrence::Repeated { cron, .. }) => cron.describe(),
                _ => expression.clone(),
            },
        };
        format!("{when} {zone}")
    }
}

#[cfg(test)]
mod tests {
    use chrono::{Datelike, Timelike};
    use proptest::prelude::*;

    use super::*;

    const ZONES: [Tz; 7] = [
        Tz::UTC,
        Tz::Europe__Berlin,
        Tz::America__New_York,
        Tz::Australia__Lord_Howe,
        Tz::America__Santiago,
        Tz::Asia__Kolkata,
        Tz::Pacific__Apia,
    ];

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    /// Whether the wall shows a time of the schedule, read field by field.
    fn is_shown(schedule: &Schedule, wall: NaiveDateTime) -> bool {
        let is = |at: &TimeOfDay| (wall.hour(), wall.minute()) == (at.hour, at.minute);
        match schedule {
            Schedule::Once(_) => false,
            Schedule::Hourly(minute) => wall.minute() == *minute,
            Schedule::Daily(at) => is(at),
            Schedule::Weekly(day, at) => wall.weekday().num_days_from_monday() == *day && is(at),
            Schedule::Monthly(day, at) => wall.day() == *day && is(at),
            Schedule::Cron(text) => match text.as_str() {
                "*/15 * * * *" => wall.minute().is_multiple_of(15),
                "*/20 2 * * *" => wall.minute().is_multiple_of(20) && wall.hour() == 2,
                "30 1,2 * * 1-5" => {
                    wall.minute() == 30 && [1, 2].contains(&wall.hour()) && wall.weekday().num_days_from_monday() < 5
                }
                other => unreachable!("{other}"),
            },
        }
    }

    fn counts_every_hour(schedule: &Schedule) -> bool {
        matches!(schedule, Schedule::Hourly(_)) || *schedule == Schedule::Cron("*/15 * * * *".to_owned())
    }

    /// Goes from minute to minute and looks at the wall.
    fn naive(schedule: &Schedule, zone: Tz, after: DateTime<Utc>, most: usize) -> Vec<DateTime<Utc>> {
        let minute = TimeDelta::minutes(1);
        let mut runs = Vec::new();
        let mut moment = after.duration_trunc(minute).unwrap();
        for _ in 0..60 * 24 * 40 {
            moment += minute;
            let wall = moment.with_timezone(&zone).naive_local();
            let before = (moment - minute).with_timezone(&zone).naive_local();
            let is_new = counts_every_hour(schedule)
                || zone.from_local_datetime(&wall).earliest().is_some_and(|first| first == moment);
            let mut runs_now = is_new && is_shown(schedule, wall);
            let mut skipped = before + minute;
            while !counts_every_hour(schedule) && skipped < wall {
                runs_now |= is_shown(schedule, skipped);
                skipped += minute;
            }
            if runs_now {
                runs.push(moment);
                if runs.len() == most {
                    break;
                }
            }
        }
        runs
    }

    fn schedules() -> impl Strategy<Value = Schedule> {
        let time = || (0_u32..4, 0_u32..60).prop_map(|(hour, minute)| TimeOfDay { hour, minute, second: 0 });
        let crons = prop::sample::select(vec!["*/15 * * * *", "*/20 2 * * *", "30 1,2 * * 1-5"]);
        prop_oneof![
            (0_u32..60).prop_map(Schedule::Hourly),
            time().prop_map(Schedule::Daily),
            (0_u32..7, time()).prop_map(|(day, at)| Schedule::Weekly(day, at)),
            (1_u32..29, time()).prop_map(|(day, at)| Schedule::Monthly(day, at)),
            crons.prop_map(|text| Schedule::Cron(text.to_owned())),
        ]
    }

    /// Days on which some clock is set, and any others.
    fn moments() -> impl Strategy<Value = DateTime<Utc>> {
        let days = vec![
            "2026-03-07T00:00:00Z",
            "2026-03-28T00:00:00Z",
            "2026-10-24T00:00:00Z",
            "2026-10-31T00:00:00Z",
            "2026-04-03T12:00:00Z",
            "2026-10-02T12:00:00Z",
            "2026-09-05T00:00:00Z",
            "2011-12-29T00:00:00Z",
            "2027-06-01T00:00:00Z",
        ];
        (prop::sample::select(days), 0_i64..60 * 60 * 48)
            .prop_map(|(day, seconds)| at(day) + TimeDelta::seconds(seconds))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn runs_are_those_of_who_looks_at_the_wall_every_minute(
            schedule in schedules(),
            zone in prop::sample::select(ZONES.to_vec()),
            after in moments(),
        ) {
            let recurrence = Recurrence::of(&schedule).unwrap();
            let expected = naive(&schedule, zone, after, 3);
            let mut found = Vec::new();
            let mut last = after;
            while found.len() < expected.len() {
                last = recurrence.next_after(last, zone).unwrap();
                found.push(last);
            }
            prop_assert_eq!(found, expected);
        }
    }

    #[test]
    fn a_time_that_is_skipped_runs_when_the_clock_was_set_and_one_that_comes_twice_runs_once() {
        let daily = Recurrence::of(&Schedule::Daily(TimeOfDay::parse("02:30").unwrap())).unwrap();
        let next = |after: &str| daily.next_after(at(after), Tz::Europe__Berlin).unwrap();

        assert_eq!(next("2026-03-28T12:00:00Z"), at("2026-03-29T01:00:00Z"), "03:00 is the first moment after 01:59");
        assert_eq!(next("2026-03-29T01:00:00Z"), at("2026-03-30T00:30:00Z"));
        assert_eq!(next("2026-10-24T12:00:00Z"), at("2026-10-25T00:30:00Z"), "the first of the two");
        assert_eq!(next("2026-10-25T00:30:00Z"), at("2026-10-26T01:30:00Z"), "not the second one");
    }

    #[test]
    fn once_is_once() {
        let once = Recurrence::of(&Schedule::Once(at("2026-03-02T13:00:00Z"))).unwrap();

        assert_eq!(once.next_after(at("2026-03-02T12:00:00Z"), Tz::UTC), Some(at("2026-03-02T13:00:00Z")));
        assert_eq!(once.next_after(at("2026-03-02T13:00:00Z"), Tz::UTC), None);
    }

    #[test]
    fn schedules_are_told_in_words() {
        let time = TimeOfDay::parse("03:30").unwrap();
        let shown = |schedule: Schedule| schedule.describe(Tz::Europe__Berlin);

        assert_eq!(shown(Schedule::Hourly(5)), "Every hour at minute 5 Europe/Berlin");
        assert_eq!(shown(Schedule::Weekly(0, time)), "Every Monday at 03:30:00 Europe/Berlin");
        assert_eq!(shown(Schedule::Once(at("2026-03-02T13:00:00Z"))), "Once at 2026-03-02 14:00:00 Europe/Berlin");
        assert!(shown(Schedule::Cron("0 9 * * 1-5".to_owned())).contains("09:00"));
    }

    #[test]
    fn what_is_no_schedule_is_refused() {
        for text in ["", "x", "* * * *", "* * * * * *", "61 * * * *", "0 0 * * * * 2027"] {
            assert!(Recurrence::of(&Schedule::Cron(text.to_owned())).is_err(), "{text}");
        }
        for text in ["", "3:30", "24:00", "03:60", "03:30:60", "03:30:00:00", "aa:bb", "03-30", "+3:30"] {
            assert_eq!(TimeOfDay::parse(text), None, "{text}");
        }
        // A day that no February has: it is a schedule without runs.
        let never = Recurrence::of(&Schedule::Cron("0 0 30 2 *".to_owned())).unwrap();
        assert_eq!(never.next_after(at("2026-03-02T12:00:00Z"), Tz::UTC), None);
    }
}
