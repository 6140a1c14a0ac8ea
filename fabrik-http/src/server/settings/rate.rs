//! How often something may be done: `60/min`, `30/s burst 50`, `off`.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;
use std::time::Duration;

/// A rate, or that there is no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate(Option<Limit>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Limit {
    count: NonZeroU32,
    period: Period,
    burst: NonZeroU32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Period {
    Second,
    Minute,
    Hour,
    Day,
}

/// A text that is no rate.
#[derive(Debug, thiserror::Error)]
#[error("expected a rate like 60/min or 30/s burst 50, or off")]
pub struct RateError;

impl Rate {
    /// No limit.
    pub const OFF: Self = Self(None);

    /// Returns the rate as a quota of a token bucket, unless there is no limit.
    pub(crate) fn quota(self) -> Option<governor::Quota> {
        let limit = self.0?;
        let quota = governor::Quota::with_period(limit.period.duration() / limit.count.get())?;
        Some(quota.allow_burst(limit.burst))
    }
}

impl Period {
    fn duration(self) -> Duration {
        Duration::from_secs(match self {
            Self::Second => 1,
            Self::Minute => 60,
            Self::Hour => 3600,
            Self::Day => 86_400,
        })
    }
}

impl FromStr for Rate {
    type Err = RateError;

    fn from_str(text: &str) -> Result<Self, RateError> {
        if text == "off" {
            return Ok(Self::OFF);
        }
        let (rate, burst) = match text.split_once(" burst ") {
            Some((rate, burst)) => (rate, Some(burst.trim().parse().map_err(|_| RateError)?)),
            None => (text, None),
        };
        let (count, period) = rate.split_once('/').ok_or(RateError)?;
        let count: NonZeroU32 = count.trim().parse().map_err(|_| RateError)?;
        let period = match period.trim() {
            "s" | "sec" | "second" => Period::Second,
            "m" | "min" | "minute" => Period::Minute,
            "h" | "hour" => Period::Hour,
            "d" | "day" => Period::Day,
            _ => return Err(RateError),
        };
        Ok(Self(Some(Limit { count, period, burst: burst.unwrap_or(count) })))
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(Limit { count, period, burst }) = self.0 else { return f.write_str("off") };
        let period = match period {
            Period::Second => "s",
            Period::Minute => "min",
            Period::Hour => "hour",
            Period::Day => "day",
        };
        write!(f, "{count}/{period}")?;
        if burst == count { Ok(()) } else { write!(f, " burst {burst}") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_round_trip() {
        for text in ["60/min", "30/s burst 50", "5/hour", "1/day", "off"] {
            assert_eq!(text.parse::<Rate>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn other_texts_are_no_rates() {
        for text in ["", "0/min", "5", "5/week", "5/min burst 0", "-1/s", "OFF"] {
            assert!(text.parse::<Rate>().is_err(), "{text}");
        }
    }
}
