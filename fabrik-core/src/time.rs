//! Times as people type and read them. Time always comes in as an argument: nothing here asks a clock.

use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime, SecondsFormat, TimeDelta, Utc};

use crate::error::{Error, Result};

/// Writes a time as ISO 8601 with an offset, with as many digits of a second as it has: `2026-03-02T08:16:01+00:00`.
#[must_use]
pub fn format(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::AutoSi, false)
}

/// Which end of a day a date without a time stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DayEdge {
    /// Its first moment.
    Start,
    /// Its last.
    End,
}

/// Reads a time that must say its zone: ISO 8601 with an offset or `Z`.
///
/// # Errors
///
/// [`InvalidInput`](crate::ErrorKind::InvalidInput) naming `field` and the text.
pub fn parse_exact(field: &'static str, text: &str) -> Result<DateTime<Utc>> {
    let wrong = || Error::invalid(field, text, "an ISO 8601 time with a zone, such as 2026-01-15T10:30:00Z");
    let time = DateTime::parse_from_rfc3339(text).or_else(|_| DateTime::parse_from_str(text, "%Y-%m-%dT%H:%M%:z"));
    time.map(|time| time.with_timezone(&Utc)).map_err(|_| wrong())
}

/// Reads the edge of a range: a time with a zone, one without (taken as UTC), or a date.
///
/// # Errors
///
/// [`InvalidInput`](crate::ErrorKind::InvalidInput) naming `field` and the text.
pub fn parse_edge(field: &'static str, text: &str, edge: DayEdge) -> Result<DateTime<Utc>> {
    if let Ok(time) = parse_exact(field, text) {
        return Ok(time);
    }
    for layout in ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%dT%H:%M"] {
        if let Ok(time) = NaiveDateTime::parse_from_str(text, layout) {
            return Ok(time.and_utc());
        }
    }
    if let Ok(day) = NaiveDate::parse_from_str(text, "%Y-%m-%d") {
        let start = day.and_time(NaiveTime::MIN).and_utc();
        return Ok(match edge {
            DayEdge::Start => start,
            DayEdge::End => start + TimeDelta::days(1) - TimeDelta::microseconds(1),
        });
    }
    Err(Error::invalid(field, text, "an ISO 8601 date or time, such as 2026-01-15 or 2026-01-15T10:30:00Z"))
}

/// Reads a length of time: a number and `m`, `h`, `d` or `w`.
pub(crate) fn parse_span(text: &str) -> Option<TimeDelta> {
    let unit = text.chars().last()?;
    let number: i64 = text[..text.len() - unit.len_utf8()].parse().ok().filter(|number| *number >= 0)?;
    match unit {
        'm' => TimeDelta::try_minutes(number),
        'h' => TimeDelta::try_hours(number),
        'd' => TimeDelta::try_days(number),
        'w' => TimeDelta::try_weeks(number),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exact_time_needs_a_zone() {
        assert_eq!(format(parse_exact("at", "2026-01-15T10:30:00+02:00").unwrap()), "2026-01-15T08:30:00+00:00");
        assert_eq!(format(parse_exact("at", "2026-01-15T10:30:00.5Z").unwrap()), "2026-01-15T10:30:00.500+00:00");
        for text in ["2026-01-15T10:30:00", "2026-01-15", "now", "", "2026-13-01T00:00:00Z"] {
            let error = parse_exact("at", text).unwrap_err().to_string();

            assert!(error.starts_with(&format!("at {text:?} is not valid")), "{error}");
        }
    }

    #[test]
    fn a_date_stands_for_either_edge_of_its_day() {
        let edge = |edge| format(parse_edge("from", "2026-01-15", edge).unwrap());

        assert_eq!(edge(DayEdge::Start), "2026-01-15T00:00:00+00:00");
        assert_eq!(edge(DayEdge::End), "2026-01-15T23:59:59.999999+00:00");
        assert_eq!(format(parse_edge("from", "2026-01-15T07:00", DayEdge::End).unwrap()), "2026-01-15T07:00:00+00:00");
    }

    #[test]
    fn spans_have_one_unit() {
        assert_eq!(parse_span("90m"), Some(TimeDelta::minutes(90)));
        assert_eq!(parse_span("2w"), Some(TimeDelta::days(14)));
        for text in ["", "d", "-1d", "1y", "1.5h", "1ä", "99999999999999w"] {
            assert_eq!(parse_span(text), None, "{text}");
        }
    }
}
