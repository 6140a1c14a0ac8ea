//! The filters of the log that are no columns: spans of time, and the address by its short name.

use chrono::{DateTime, NaiveDate, NaiveTime, TimeDelta, Utc};
use sea_query::{ExprTrait, SelectStatement};
use serde_json::Value;

use super::column;
use crate::server::listing::Filter;
use crate::server::model::Kind;

const START_DATE: Filter =
    Filter { name: "start_date", kind: Kind::Day, about: "from this day on, in UTC", apply: not_before };
const END_DATE: Filter =
    Filter { name: "end_date", kind: Kind::Day, about: "up to this day and with it, in UTC", apply: not_after };
const CREATED_AFTER: Filter =
    Filter { name: "created_after", kind: Kind::Moment, about: "from this moment on", apply: not_before };
const CREATED_BEFORE: Filter =
    Filter { name: "created_before", kind: Kind::Moment, about: "up to this moment", apply: not_after };

/// The filters of all rows.
pub(super) const OF_ROWS: &[Filter] = &[
    Filter { name: "ip", kind: Kind::Text { least: 0, most: 45 }, about: "the same as ip_address", apply: of_address },
    START_DATE,
    END_DATE,
    CREATED_AFTER,
    CREATED_BEFORE,
];

/// The filters of attempts to log in.
pub(super) const OF_ATTEMPTS: &[Filter] = &[START_DATE, END_DATE, CREATED_AFTER, CREATED_BEFORE];

fn of_address(query: &mut SelectStatement, ip: &Value) {
    query.and_where(column("ip_address").eq(ip.as_str().unwrap_or_default()));
}

fn not_before(query: &mut SelectStatement, from: &Value) {
    if let Some(from) = day(from).map(midnight).or_else(|| moment(from)) {
        query.and_where(column("timestamp").gte(from));
    }
}

fn not_after(query: &mut SelectStatement, to: &Value) {
    if let Some(day) = day(to) {
        query.and_where(column("timestamp").lt(midnight(day) + TimeDelta::days(1)));
    } else if let Some(to) = moment(to) {
        query.and_where(column("timestamp").lte(to));
    }
}

fn day(value: &Value) -> Option<NaiveDate> {
    NaiveDate::parse_from_str(value.as_str()?, "%Y-%m-%d").ok()
}

fn midnight(day: NaiveDate) -> DateTime<Utc> {
    day.and_time(NaiveTime::MIN).and_utc()
}

fn moment(value: &Value) -> Option<DateTime<Utc>> {
    DateTime::parse_from_rfc3339(value.as_str()?).ok().map(|moment| moment.to_utc())
}
