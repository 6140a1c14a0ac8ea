//! Quiet hours: when mail is held back, in the time of the user.

use chrono::offset::LocalResult;
use chrono::{DateTime, Days, NaiveTime, Offset, TimeDelta, TimeZone, Timelike, Utc};
use chrono_tz::Tz;

/// The hours of every day in which a user gets no mail; over midnight where the end comes before the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct QuietHours {
    pub(super) start: NaiveTime,
    pub(super) end: NaiveTime,
    pub(super) zone: Tz,
}

impl QuietHours {
    /// Says whether it is quiet. Where start and end are the same, it never is.
    fn is_quiet(&self, now: DateTime<Utc>) -> bool {
        let time = now.with_timezone(&self.zone).time();
        if self.start <= self.end {
            self.start <= time && time < self.end
        } else {
            self.start <= time || time < self.end
        }
    }

    /// Returns when the quiet that is now ends, if it is quiet.
    pub(super) fn until(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        if !self.is_quiet(now) {
            return None;
        }
        let local = now.with_timezone(&self.zone).naive_local();
        let ends_tomorrow = self.start > self.end && local.time() >= self.start;
        let date = if ends_tomorrow { local.date() + Days::new(1) } else { local.date() };
        let mut end = date.and_time(self.end);
        let end = loop {
            match self.zone.from_local_datetime(&end) {
                LocalResult::Single(moment) => break moment.to_utc(),
                // Clocks went back: the hour comes twice, and its first pass may be over.
                LocalResult::Ambiguous(first, second) => {
                    let (first, second) = (first.to_utc(), second.to_utc());
                    break if first > now { first } else { second };
                }
                // Clocks went forward over the end: quiet ends where they went to.
                LocalResult::None => end = end.with_second(0).unwrap_or(end) + TimeDelta::minutes(1),
            }
        };
        let end = self.until_clocks_change(now, end).unwrap_or(end);
        // It may be quiet there again, where the clocks went over all of the time between two quiet hours.
        self.until(end).or(Some(end))
    }
}

impl QuietHours {
    /// Returns the first minute before `end` that is not quiet: clocks that go back over the start end the quiet, too.
    fn until_clocks_change(&self, now: DateTime<Utc>, end: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let offset = |moment: DateTime<Utc>| moment.with_timezone(&self.zone).offset().fix();
        if offset(now) == offset(end) {
            return None;
        }
        let first = now.with_second(0)?.with_nanosecond(0)? + TimeDelta::minutes(1);
        std::iter::successors(Some(first), |minute| Some(*minute + TimeDelta::minutes(1)))
            .take_while(|minute| *minute < end)
            .find(|minute| !self.is_quiet(*minute))
    }
}

/// Reads a time of the day: `22:00` or `22:00:00`.
pub(crate) fn parse_time(text: &str) -> Option<NaiveTime> {
    let is_plain = text.bytes().all(|b| b.is_ascii_digit() || b == b':');
    let parsed = NaiveTime::parse_from_str(text, "%H:%M:%S").or_else(|_| NaiveTime::parse_from_str(text, "%H:%M"));
    // A leap second is no time that comes every day.
    parsed.ok().filter(|time| is_plain && time.nanosecond() < 1_000_000_000)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn time(minute: u32) -> NaiveTime {
        NaiveTime::from_hms_opt(minute / 60, minute % 60, 0).unwrap()
    }

    #[test]
    fn times_are_hours_and_minutes() {
        assert_eq!(parse_time("22:05"), Some(time(22 * 60 + 5)));
        assert_eq!(parse_time("22:05:00"), parse_time("22:05"));
        for bad in ["", "24:00", "22", "22:60", "+2:00", "10:00 PM", "23:59:60", "22:05:00.5"] {
            assert_eq!(parse_time(bad), None, "{bad}");
        }
    }

    #[test]
    fn quiet_goes_on_where_clocks_jump_over_all_that_lies_between() {
        // Only from 02:00 to 02:15 it is not quiet, and in this night there is no such time.
        let hours = QuietHours { start: time(135), end: time(120), zone: Tz::America__New_York };

        let end = hours.until("2026-03-08T06:15:00Z".parse().unwrap());

        assert_eq!(end, Some("2026-03-09T06:00:00Z".parse().unwrap()));
    }

    #[test]
    fn quiet_ends_where_clocks_go_back_over_its_start() {
        // At 02:00 it is 01:30 again, a minute before quiet begins.
        let hours = QuietHours { start: time(91), end: time(120), zone: Tz::Australia__Lord_Howe };

        let end = hours.until("2026-04-04T14:31:00Z".parse().unwrap());

        assert_eq!(end, Some("2026-04-04T15:00:00Z".parse().unwrap()));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        /// The end is what somebody finds who looks at the clock on the wall every minute, over both changes of clocks.
        #[test]
        fn quiet_ends_at_the_first_minute_that_is_not_quiet(
            zone in prop::sample::select(vec![
                Tz::UTC, Tz::Europe__Berlin, Tz::Europe__London, Tz::America__New_York, Tz::Asia__Kolkata,
                Tz::Australia__Lord_Howe, Tz::Africa__Casablanca, Tz::America__Santiago,
            ]),
            start in 0_u32..1440,
            length in 0_u32..1440,
            night in prop::sample::select(vec![
                "2026-03-08", "2026-03-29", "2026-04-04", "2026-04-05", "2026-09-06", "2026-10-03", "2026-10-25",
                "2026-11-01", "2026-06-15", "2026-02-15", "2026-03-22",
            ]),
            minute in 0_i64..2880,
        ) {
            let hours = QuietHours { start: time(start), end: time((start + length) % 1440), zone };
            let midnight: DateTime<Utc> = format!("{night}T00:00:00Z").parse().unwrap();
            let now = midnight - TimeDelta::days(1) + TimeDelta::minutes(minute);
            let is_quiet = |moment: &DateTime<Utc>| {
                let local = moment.with_timezone(&zone);
                let minute = local.hour() * 60 + local.minute();
                (minute + 1440 - start) % 1440 < length
            };

            let first = (0..4000).map(|m| now + TimeDelta::minutes(m)).find(|moment| !is_quiet(moment)).unwrap();

            prop_assert_eq!(hours.until(now), (first != now).then_some(first));
        }
    }
}
