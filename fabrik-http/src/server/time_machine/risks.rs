//! The worst risk of each day, from what was judged when snapshots were captured.

use chrono::{DateTime, NaiveDate, Offset, TimeZone};
use chrono_tz::Tz;
use hashbrown::HashMap;
use sea_query::{Alias, Expr, ExprTrait, Query};

use crate::server::captures::FACTS;
use crate::server::db::DbError;
use crate::server::state::AppState;

const MINUTES_A_DAY: i64 = 24 * 60;

/// Returns the highest risk score of each day of a time zone from `first` to today, in a series and on one connection where
/// it is named. A day without a score has none.
///
/// The database sums up: a year of hourly captures is 366 rows, not 8 784.
pub(crate) async fn worst_by_day(
    state: &AppState,
    series: &str,
    connection: Option<i64>,
    first: NaiveDate,
    zone: Tz,
) -> Result<HashMap<NaiveDate, i64>, DbError> {
    // No zone is further from Greenwich than a day.
    let from = first.and_time(chrono::NaiveTime::MIN).and_utc().timestamp() / 60 - MINUTES_A_DAY;
    let until = state.clock().now().timestamp() / 60 + MINUTES_A_DAY;
    let mut worst = HashMap::new();
    for Period { begin, end, offset } in periods(zone, from, until) {
        let minute = || Expr::col(Alias::new("captured_minute"));
        let mut query = Query::select()
            .expr_as(Expr::cust(format!("(captured_minute + {offset}) / {MINUTES_A_DAY}")), Alias::new("local_day"))
            .expr(Expr::col(Alias::new("risk_score")).max())
            .from(Alias::new(FACTS))
            .and_where(Expr::col(Alias::new("series")).eq(series))
            .and_where(minute().gte(begin))
            .and_where(minute().lt(end))
            .and_where(Expr::col(Alias::new("risk_score")).is_not_null())
            .group_by_col(Alias::new("local_day"))
            .take();
        if let Some(connection) = connection {
            query.and_where(Expr::col(Alias::new("apic_connection_id")).eq(connection));
        }
        for (day, risk) in state.db().all::<(i64, i64)>(&query).await? {
            let Some(date) = DateTime::from_timestamp(day * MINUTES_A_DAY * 60, 0) else { continue };
            // The day on which a clock is set lies in two periods.
            let worst = worst.entry(date.date_naive()).or_insert(risk);
            *worst = Ord::max(risk, *worst);
        }
    }
    Ok(worst)
}

/// A time in which the clocks of a zone stay as far from Greenwich as they are, in minutes since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Period {
    begin: i64,
    end: i64,
    /// How many minutes the clocks are ahead.
    offset: i64,
}

/// Divides a time by where the clocks of a zone are set.
fn periods(zone: Tz, from: i64, until: i64) -> Vec<Period> {
    let offset = |minute: i64| {
        let moment = DateTime::from_timestamp(minute * 60, 0).unwrap_or_default().naive_utc();
        i64::from(zone.offset_from_utc_datetime(&moment).fix().local_minus_utc()) / 60
    };
    let mut periods = Vec::new();
    let (mut begin, mut at) = (from, from);
    while at < until {
        let next = Ord::min(at + MINUTES_A_DAY, until);
        let before = offset(at);
        if offset(next) != before {
            // The clocks are set once between, at a minute that halving finds.
            let (mut same, mut other) = (at, next);
            while other - same > 1 {
                let middle = same.midpoint(other);
                if offset(middle) == before { same = middle } else { other = middle }
            }
            periods.push(Period { begin, end: other, offset: before });
            begin = other;
        }
        at = next;
    }
    periods.push(Period { begin, end: until, offset: offset(begin) });
    periods
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_minute_of_a_year_is_on_the_day_that_its_zone_says() {
        let from = DateTime::parse_from_rfc3339("2025-11-20T00:00:00Z").unwrap().timestamp() / 60;
        let until = from + 367 * MINUTES_A_DAY;
        for zone in [Tz::UTC, Tz::Europe__Berlin, Tz::America__New_York, Tz::Australia__Lord_Howe, Tz::Asia__Kathmandu]
        {
            let periods = periods(zone, from, until);

            assert_eq!((periods[0].begin, periods[periods.len() - 1].end), (from, until), "{zone}");
            assert!(periods.windows(2).all(|two| two[0].end == two[1].begin), "{zone}: {periods:?}");
            for period in periods {
                for minute in (period.begin..period.end).step_by(15).chain([period.end - 1]) {
                    let day = (minute + period.offset) / MINUTES_A_DAY;
                    let counted = DateTime::from_timestamp(day * MINUTES_A_DAY * 60, 0).unwrap().date_naive();
                    let moment = DateTime::from_timestamp(minute * 60, 0).unwrap();
                    assert_eq!(counted, moment.with_timezone(&zone).date_naive(), "{zone} {moment}");
                }
            }
        }
    }
}
