//! The options of a query.

use std::borrow::Cow;

use chrono::TimeDelta;
use percent_encoding::percent_decode_str;

use super::{Depth, Include, Included, Order, Page, Properties, Request, SubscriptionOptions, Target, TimeRange};
use crate::filter::Filter;
use crate::simulator::class::{self, ClassId};
use crate::simulator::error::ApicError;
use crate::simulator::evaluate::{Condition, not_found, parse_time, unresolved_class};

/// Reads a query string into a request. Where an option is repeated its last value counts, but for lists of
/// classes, which add up; options that no controller has are passed over, as it does.
pub(super) fn apply(query: &str, request: &mut Request) -> Result<(), ApicError> {
    let (mut number, mut size) = (None, None);
    let (mut subscribe, mut refresh_timeout) = (false, None);
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let (name, value) = (decode(name)?, decode(value)?);
        let value = &*value;
        let nesting = &mut request.nesting;
        match &*name {
            "query-target" => {
                let known = [("self", Target::Itself), ("children", Target::Children), ("subtree", Target::Subtree)];
                request.target = choose(&name, value, &known)?;
            }
            "target-subtree-class" => add_classes(&mut request.target_classes, value)?,
            // What is left empty is left out.
            "query-target-filter" | "rsp-subtree-filter" if value.is_empty() => {}
            "query-target-filter" => request.filter = Some(condition(&name, value, &mut request.warnings)?),
            "rsp-subtree" => {
                let known = [("no", Depth::Nothing), ("children", Depth::Children), ("full", Depth::Full)];
                nesting.depth = choose(&name, value, &known)?;
            }
            "rsp-subtree-class" => add_classes(&mut nesting.classes, value)?,
            "rsp-subtree-filter" => nesting.filter = Some(condition(&name, value, &mut request.warnings)?),
            "rsp-subtree-include" => nesting.include = include(value)?,
            "rsp-prop-include" => {
                let known = [
                    ("all", Properties::All),
                    ("naming-only", Properties::Naming),
                    ("config-only", Properties::Config),
                    ("config-explicit", Properties::Config),
                    ("config-all", Properties::Config),
                    ("oper", Properties::State),
                ];
                request.properties = choose(&name, value, &known)?;
            }
            "order-by" => request.order = order(value)?,
            "page" => number = Some(whole_number(&name, value)?),
            "page-size" => size = Some(whole_number(&name, value)?),
            "time-range" => request.time_range = Some(time_range(value)?),
            "subscription" => subscribe = choose(&name, value, &[("yes", true), ("no", false)])?,
            "refresh-timeout" => refresh_timeout = Some(whole_number(&name, value)?),
            _ => {}
        }
    }
    request.page = match (number, size) {
        (_, Some(0)) => return Err(invalid("page-size", "0", "at least 1")),
        (number, Some(size)) => Some(Page { number: number.unwrap_or(0), size }),
        // A page of no given size holds everything.
        (Some(_), None) | (None, None) => None,
    };
    let refresh_timeout = refresh_timeout.map(|seconds: usize| seconds as u64);
    request.subscription = subscribe.then_some(SubscriptionOptions { refresh_timeout });
    Ok(())
}

fn decode(text: &str) -> Result<Cow<'_, str>, ApicError> {
    let text = if text.contains('+') { Cow::Owned(text.replace('+', " ")) } else { Cow::Borrowed(text) };
    let decoded = percent_decode_str(&text).decode_utf8().map(Cow::into_owned);
    decoded.map(Cow::Owned).map_err(|_| invalid("query", &text, "UTF-8"))
}

fn invalid(name: &str, value: &str, expected: &str) -> ApicError {
    ApicError::bad_request(400, format!("Invalid value '{value}' for {name}: expected {expected}"))
}

fn choose<T: Copy>(name: &str, value: &str, known: &[(&str, T)]) -> Result<T, ApicError> {
    known.iter().find(|(word, _)| *word == value).map(|&(_, meaning)| meaning).ok_or_else(|| {
        let words: Vec<&str> = known.iter().map(|(word, _)| *word).collect();
        invalid(name, value, &format!("one of {}", words.join(", ")))
    })
}

fn whole_number(name: &str, value: &str) -> Result<usize, ApicError> {
    value.parse().map_err(|_| invalid(name, value, "a whole number"))
}

fn add_classes(list: &mut Option<Vec<ClassId>>, value: &str) -> Result<(), ApicError> {
    let list = list.get_or_insert_default();
    for name in value.split(',').map(str::trim).filter(|name| !name.is_empty()) {
        list.extend(class::resolve(name).ok_or_else(|| unresolved_class(name))?);
    }
    Ok(())
}

fn condition(name: &str, value: &str, warnings: &mut Vec<String>) -> Result<Condition, ApicError> {
    let (filter, tolerated) = Filter::parse_with_warnings(value)
        .map_err(|error| ApicError::bad_request(400, format!("Invalid value '{value}' for {name}: {error}")))?;
    warnings.extend(tolerated.into_iter().map(|warning| format!("{name}: {warning}")));
    Condition::compile(&filter)
}

fn include(value: &str) -> Result<Include, ApicError> {
    let mut include = Include::default();
    for word in value.split(',').map(str::trim).filter(|word| !word.is_empty()) {
        match word {
            "count" => include.count = true,
            "no-scoped" => include.no_scoped = true,
            "required" => include.required = true,
            "subtree" => include.subtree = true,
            "health" => include.kinds.push(Included::Health),
            "faults" => include.kinds.push(Included::Faults),
            "audit-logs" => include.kinds.push(Included::AuditLogs),
            "event-logs" => include.kinds.push(Included::EventLogs),
            "relations" | "relations-with-parent" => include.kinds.push(Included::Relations),
            "health-records" | "fault-records" | "fault-count" | "stats" | "state" | "tasks" | "ep-records"
            | "deployment" | "deployment-records" | "full-deployment" | "port-deployment" | "add-mo-list" => {
                include.kinds.push(Included::Absent)
            }
            _ => return Err(invalid("rsp-subtree-include", word, "what can be included, such as faults or count")),
        }
    }
    Ok(include)
}

fn order(value: &str) -> Result<Vec<Order>, ApicError> {
    let mut order = Vec::new();
    for key in value.split(',').map(str::trim).filter(|key| !key.is_empty()) {
        let (property, direction) = key.split_once('|').unwrap_or((key, "asc"));
        let descending = choose("order-by", direction, &[("asc", false), ("desc", true)])?;
        let (name, attribute) =
            property.split_once('.').ok_or_else(|| invalid("order-by", key, "a property such as fvTenant.dn"))?;
        for class in class::resolve(name).ok_or_else(|| unresolved_class(name))? {
            let place = class.get().position(attribute).ok_or_else(|| not_found(attribute, name))?;
            order.push(Order { class, place, descending });
        }
    }
    Ok(order)
}

fn time_range(value: &str) -> Result<TimeRange, ApicError> {
    let parsed = match value.split_once('|') {
        Some((from, to)) => parse_time(from).zip(parse_time(to)).map(|(from, to)| TimeRange::Between(from, to)),
        None => {
            let digits = value.bytes().take_while(u8::is_ascii_digit).count();
            let (count, unit) = value.split_at(digits);
            let count: i64 = count.parse().unwrap_or(-1);
            let span = match unit {
                "h" | "hour" => TimeDelta::try_hours(count),
                "d" | "day" => TimeDelta::try_days(count),
                "week" => TimeDelta::try_weeks(count),
                "month" => count.checked_mul(30).and_then(TimeDelta::try_days),
                "year" => count.checked_mul(365).and_then(TimeDelta::try_days),
                _ => None,
            };
            span.filter(|_| count > 0).map(TimeRange::Last)
        }
    };
    parsed
        .ok_or_else(|| invalid("time-range", value, "a span such as 24h, 1week or 1month, or two times with | between"))
}
