//! What a scheduled task is: its fields, and what they mean together.

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use sea_query::{Expr, ExprTrait, LockType, SelectStatement};
use serde_json::{Value, json};

use super::recurrence::{Recurrence, Schedule, TimeOfDay};
use crate::server::db::{DbError, Transaction};
use crate::server::error::FieldErrors;
use crate::server::model::{Field, Kind, Model, Record, Values};

/// The priorities, the least first.
pub(crate) const PRIORITIES: &[&str] = &["low", "medium", "high"];
/// Whether a task runs by its schedule: it does, it rests, or it may not be run at all.
pub(crate) const STATUSES: &[&str] = &["active", "paused", "disabled"];
/// The kinds of schedules.
const FREQUENCIES: &[&str] = &["once", "hourly", "daily", "weekly", "monthly", "cron"];
/// What runs a saved query; all other types are for tasks of the server.
pub(crate) const APIC_QUERY: &str = "apic_query";
const TYPES: &[&str] = &[APIC_QUERY, "system_maintenance", "system_monitoring", "system_sync", "system_snapshot"];
const POLICIES: &[&str] = &["7d", "30d", "90d", "1y", "forever"];
/// The fields that decide when a task runs.
pub(crate) const WHEN: [&str; 8] = [
    "frequency",
    "cron_expression",
    "minute_of_hour",
    "time_of_day",
    "day_of_week",
    "day_of_month",
    "scheduled_datetime",
    "timezone",
];
/// Every month has this day.
const LAST_DAY: i64 = 28;

/// The table of tasks and its fields.
pub(crate) static TASK: Model = Model {
    app: "queries",
    name: "scheduled_task",
    title: "ScheduledTask",
    table: "scheduled_task",
    default_order: "-priority,order,name",
    fields: &[
        Field::new("id", Kind::Integer, "the id of the task"),
        Field::new("owner_id", Kind::Integer, "whose it is; null for tasks of the server").nullable(),
        Field::new("created_by", Kind::Other(user_schema), "whose it is; null for tasks of the server")
            .computed()
            .nullable(),
        Field::new("name", Kind::Text { least: 1, most: 200 }, "the name").required().search().order(),
        Field::new("description", Kind::Text { least: 0, most: 2000 }, "what it is for").writable().search(),
        Field::new("priority", Kind::Choice(PRIORITIES), "what is run first where much is due")
            .writable()
            .filter()
            .order(),
        Field::new("order", Kind::Range { least: 0, most: 1_000_000 }, "the place in lists and among equal priorities")
            .writable()
            .order(),
        Field::new("task_type", Kind::Choice(TYPES), "what it runs; all but apic_query are tasks of the server")
            .writable()
            .fixed()
            .filter(),
        Field::new("category", Kind::Text { least: 0, most: 100 }, "a word to find it by").writable().filter(),
        Field::new("is_system_task", Kind::Boolean, "whether it is a task of the server").filter(),
        Field::new("system_task_handler", Kind::Text { least: 0, most: 100 }, "what the server does then").nullable(),
        Field::new("saved_query", Kind::Integer, "the saved query that it runs").writable().nullable().filter(),
        Field::new("query_name", Kind::Text { least: 0, most: 200 }, "its name; null when it is gone")
            .computed()
            .nullable(),
        Field::new("apic_connection_ids", Kind::Ids, "where it runs, each by itself; none for the query's own")
            .writable(),
        Field::new("variable_values", Kind::Other(object_schema), "what the query's variables stand for").writable(),
        Field::new("frequency", Kind::Choice(FREQUENCIES), "the kind of schedule").writable().filter(),
        Field::new("cron_expression", Kind::Text { least: 0, most: 200 }, "five fields, as cron reads them").writable(),
        Field::new("minute_of_hour", Kind::Range { least: 0, most: 59 }, "the minute of hourly runs").writable(),
        Field::new("time_of_day", Kind::Text { least: 5, most: 8 }, "the time of daily, weekly and monthly runs")
            .writable(),
        Field::new("day_of_week", Kind::Range { least: 0, most: 6 }, "the day of weekly runs, 0 for Monday").writable(),
        Field::new("day_of_month", Kind::Range { least: 1, most: 31 }, "the day of monthly runs; 28 at most is kept")
            .writable(),
        Field::new("scheduled_datetime", Kind::Moment, "when a task that runs once does").writable().nullable(),
        Field::new("timezone", Kind::Text { least: 1, most: 60 }, "the IANA time zone of the schedule").writable(),
        Field::new(
            "auto_capture",
            Kind::Boolean,
            "whether each run captures a snapshot, also of a query that does not ask for it",
        )
        .writable(),
        Field::new(
            "retention_policy",
            Kind::Choice(POLICIES),
            "how long captures are kept; null for the owner's choice",
        )
        .writable()
        .nullable(),
        Field::new("retry_enabled", Kind::Boolean, "whether what failed is tried again").writable(),
        Field::new("retry_count", Kind::Range { least: 0, most: 100 }, "how often it is tried again").writable(),
        Field::new("retry_interval_minutes", Kind::Range { least: 0, most: 1440 }, "how long it rests before")
            .writable(),
        Field::new("email_on_success", Kind::Boolean, "whether a mail tells of runs that went well").writable(),
        Field::new("email_on_failure", Kind::Boolean, "whether a mail tells of runs that failed, or in part")
            .writable(),
        Field::new("email_recipients", Kind::Other(addresses_schema), "whom mail goes to; none for the owner")
            .writable(),
        Field::new("log_retention_days", Kind::Range { least: 1, most: 3650 }, "how long executions are kept")
            .writable(),
        Field::new("status", Kind::Choice(STATUSES), "whether it runs by its schedule").writable().filter(),
        Field::new("last_run_at", Kind::Moment, "when it ran last").nullable().order(),
        Field::new("last_run_status", Kind::Choice(&["success", "partial", "failed"]), "how the last run ended")
            .nullable()
            .filter(),
        Field::new("next_run_at", Kind::Moment, "when it runs next").nullable().order(),
        Field::new("execution_count", Kind::Integer, "how often it ran"),
        Field::new("success_count", Kind::Integer, "how many runs went well on all connections, with all rows"),
        Field::new("failure_count", Kind::Integer, "how many runs failed, in part at least"),
        Field::new("schedule_description", Kind::Text { least: 0, most: 500 }, "the schedule in words").computed(),
        Field::new("success_rate", Kind::Other(rate_schema), "the share of runs that went well, in percent")
            .computed()
            .nullable(),
        Field::new("created_at", Kind::Moment, "since when there is the task").order(),
        Field::new("updated_at", Kind::Moment, "when it was changed last").order(),
    ],
};

fn user_schema() -> Value {
    json!({ "type": "object", "required": ["id", "username"], "properties": {
        "id": { "type": "integer", "format": "int64" }, "username": { "type": "string" },
    } })
}

fn object_schema() -> Value {
    json!({ "type": "object", "additionalProperties": true })
}

fn addresses_schema() -> Value {
    json!({ "type": "array", "maxItems": 20, "items": { "type": "string", "format": "email", "maxLength": 254 } })
}

fn rate_schema() -> Value {
    json!({ "type": "number" })
}

/// Returns a share in percent, to a tenth; nothing of nothing.
pub(crate) fn percent(part: i64, whole: i64) -> Value {
    if whole == 0 {
        return Value::Null;
    }
    // Tenths of a percent, rounded; then a number that JSON shows as it is meant.
    let tenths = (part * 2000 + whole) / (whole * 2);
    json!(f64::from(i32::try_from(tenths).unwrap_or(1000)) / 10.0)
}

/// A task as it is stored.
#[derive(Clone, Debug)]
pub(crate) struct Task(pub(crate) Record);

impl Task {
    /// Reads a task and keeps others from it until the transaction ends.
    pub(crate) async fn lock(transaction: &mut Transaction, id: i64) -> Result<Option<Self>, DbError> {
        let mut query = Self::query(id);
        query.lock(LockType::Update);
        let rows = transaction.rows(&query).await?;
        rows.first().map(|row| TASK.record(row).map(Self)).transpose()
    }

    /// Returns the query that reads a task.
    pub(crate) fn query(id: i64) -> SelectStatement {
        TASK.select().and_where(TASK.id_column().eq(Expr::val(id))).take()
    }

    /// Returns what a new task is unless told.
    pub(crate) fn blank() -> Self {
        let Value::Object(record) = json!({
            "frequency": null, "cron_expression": "", "minute_of_hour": 0, "time_of_day": "00:00:00", "day_of_week": 0,
            "day_of_month": 1, "scheduled_datetime": null, "timezone": "UTC", "status": "active",
            "is_system_task": false, "apic_connection_ids": [], "variable_values": {}, "email_recipients": [],
        }) else {
            unreachable!("it is an object")
        };
        Self(record)
    }

    /// Returns the task as it will be once these values are written.
    pub(crate) fn with(mut self, values: &Values) -> Self {
        for name in values.names() {
            self.0.insert(name.to_owned(), values.get(name).cloned().unwrap_or_default());
        }
        self
    }

    pub(crate) fn id(&self) -> i64 {
        self.number("id")
    }

    pub(crate) fn owner(&self) -> Option<i64> {
        self.0.get("owner_id").and_then(Value::as_i64)
    }

    pub(crate) fn number(&self, name: &str) -> i64 {
        self.0.get(name).and_then(Value::as_i64).unwrap_or_default()
    }

    pub(crate) fn flag(&self, name: &str) -> bool {
        self.0.get(name).and_then(Value::as_bool).unwrap_or_default()
    }

    pub(crate) fn text(&self, name: &str) -> &str {
        self.0.get(name).and_then(Value::as_str).unwrap_or_default()
    }

    /// Returns the connections to run on; the query's own where there is `None`.
    pub(crate) fn connections(&self) -> Vec<Option<i64>> {
        let ids = self.0.get("apic_connection_ids").and_then(Value::as_array).into_iter().flatten();
        let ids: Vec<_> = ids.filter_map(Value::as_i64).map(Some).collect();
        if ids.is_empty() { vec![None] } else { ids }
    }

    /// Returns the addresses that mail goes to.
    pub(crate) fn recipients(&self) -> Vec<String> {
        let list = self.0.get("email_recipients").and_then(Value::as_array).into_iter().flatten();
        list.filter_map(Value::as_str).map(str::to_owned).collect()
    }

    /// Returns 0 for what is run first.
    pub(crate) fn urgency(&self) -> i64 {
        let place = PRIORITIES.iter().rev().position(|name| *name == self.text("priority"));
        place.and_then(|place| i64::try_from(place).ok()).unwrap_or(1)
    }

    /// Returns the schedule and its time zone, or what is wrong with them.
    pub(crate) fn schedule(&self) -> Result<(Schedule, Tz), FieldErrors> {
        let mut errors = FieldErrors::default();
        let zone = self.text("timezone").parse::<Tz>().ok();
        if zone.is_none() {
            errors.add("timezone", format!("\"{}\" is no IANA time zone.", self.text("timezone")));
        }
        let small = |name: &str| u32::try_from(self.number(name)).unwrap_or_default();
        let mut time = || match TimeOfDay::parse(self.text("time_of_day")) {
            Some(time) => Some(time),
            None => {
                errors.add("time_of_day", "Give a time like 03:30 or 03:30:00.");
                None
            }
        };
        let schedule = match self.text("frequency") {
            "hourly" => Some(Schedule::Hourly(small("minute_of_hour"))),
            "daily" => time().map(Schedule::Daily),
            "weekly" => time().map(|time| Schedule::Weekly(small("day_of_week"), time)),
            "monthly" => {
                let day = u32::try_from(self.number("day_of_month").clamp(1, LAST_DAY)).unwrap_or(1);
                time().map(|time| Schedule::Monthly(day, time))
            }
            "once" => {
                let moment = DateTime::parse_from_rfc3339(self.text("scheduled_datetime")).ok();
                if moment.is_none() {
                    errors.add("scheduled_datetime", "A task that runs once needs the moment when.");
                }
                moment.map(|moment| Schedule::Once(moment.to_utc()))
            }
            "cron" => {
                let schedule = Schedule::Cron(self.text("cron_expression").to_owned());
                match Recurrence::of(&schedule) {
                    Ok(_) => Some(schedule),
                    Err(sentence) => {
                        errors.add("cron_expression", sentence);
                        None
                    }
                }
            }
            _ => {
                errors.add("frequency", "This field is required.");
                None
            }
        };
        match (schedule, zone) {
            (Some(schedule), Some(zone)) if errors.is_empty() => Ok((schedule, zone)),
            _ => Err(errors),
        }
    }

    /// Returns the first run after a moment, if there is any.
    pub(crate) fn next_after(&self, after: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let (schedule, zone) = self.schedule().ok()?;
        Recurrence::of(&schedule).ok()?.next_after(after, zone)
    }

    /// Returns a time or day as it is kept: written in full, and a day that every month has.
    pub(crate) fn normalize(values: &mut Values) {
        if let Some(time) = values.text("time_of_day").and_then(TimeOfDay::parse) {
            values.set("time_of_day", time.to_string());
        }
        if let Some(day) = values.get("day_of_month").and_then(Value::as_i64) {
            values.set("day_of_month", Ord::min(day, LAST_DAY));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_rounded_to_a_tenth() {
        assert_eq!(percent(0, 0), Value::Null);
        assert_eq!(percent(2, 3), json!(66.7));
        assert_eq!(percent(3, 3), json!(100.0));
        assert_eq!(percent(1, 16), json!(6.3));
    }

    #[test]
    fn what_is_urgent_comes_first() {
        let urgency = |priority: &str| Task([("priority".to_owned(), json!(priority))].into_iter().collect()).urgency();

        assert_eq!(["high", "medium", "low"].map(urgency), [0, 1, 2]);
    }
}
