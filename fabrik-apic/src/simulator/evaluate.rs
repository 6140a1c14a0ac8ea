//! Filters and orders on the objects of the tree.

use std::cmp::Ordering;
use std::net::IpAddr;

use chrono::{DateTime, NaiveDate, NaiveDateTime};

use super::class::{self, ClassId, Kind};
use super::error::ApicError;
use super::mit::Body;
use crate::demo::OFFSET_HOURS;
use crate::filter::{Expression, Filter, Operator, Property};

/// A filter whose classes and properties have been found in the table.
#[derive(Clone, Debug)]
pub(crate) enum Condition {
    Constant(bool),
    All(Vec<Self>),
    Any(Vec<Self>),
    Odd(Vec<Self>),
    Not(Box<Self>),
    Test { class: ClassId, place: usize, check: Check },
}

/// What one value is asked.
#[derive(Clone, Debug)]
pub(crate) enum Check {
    Compare { operator: Operator, value: Comparable },
    Between { low: Comparable, high: Comparable },
    Contains(String),
    AnyOf(Vec<String>),
    AllOf(Vec<String>),
}

/// A value with its place in the order of its kind.
#[derive(Clone, Debug)]
pub(crate) struct Comparable {
    kind: Kind,
    text: String,
    key: Option<Key>,
}

impl Condition {
    /// Looks up what a filter names.
    pub(crate) fn compile(filter: &Filter) -> Result<Self, ApicError> {
        let all = |parts: &[Filter]| parts.iter().map(Self::compile).collect::<Result<Vec<_>, _>>();
        Ok(match &filter.expression {
            Expression::Constant(value) => Self::Constant(*value),
            Expression::And(parts) => Self::All(all(parts)?),
            Expression::Or(parts) => Self::Any(all(parts)?),
            Expression::Xor(parts) => Self::Odd(all(parts)?),
            Expression::Not(part) => Self::Not(Box::new(Self::compile(part)?)),
            Expression::Between { property, low, high } => Self::test(property, |kind| {
                let value = |text| Comparable::parse(kind, text, property);
                Ok(Check::Between { low: value(low)?, high: value(high)? })
            })?,
            Expression::Test { operator, property, value } => Self::test(property, |kind| {
                let flags = || value.split(',').map(|flag| flag.trim().to_owned()).collect();
                Ok(match operator {
                    Operator::Wcard => Check::Contains(value.clone()),
                    Operator::AnyBit => Check::AnyOf(flags()),
                    Operator::AllBits => Check::AllOf(flags()),
                    _ => Check::Compare { operator: *operator, value: Comparable::parse(kind, value, property)? },
                })
            })?,
        })
    }

    /// Makes the test of a property, one for each class that the name stands for.
    fn test(property: &Property, check: impl Fn(Kind) -> Result<Check, ApicError>) -> Result<Self, ApicError> {
        let classes = class::resolve(property.class()).ok_or_else(|| unresolved_class(property.class()))?;
        let tests = classes.into_iter().map(|id| {
            let class = id.get();
            let place = class.position(property.name()).ok_or_else(|| not_found(property.name(), class.name))?;
            Ok(Self::Test { class: id, place, check: check(class.attributes[place].kind)? })
        });
        Ok(Self::Any(tests.collect::<Result<_, ApicError>>()?))
    }

    /// Returns whether an object meets the condition; `status` is the one in an event.
    pub(crate) fn holds(&self, class: ClassId, body: &Body, status: Option<&str>) -> bool {
        match self {
            Self::Constant(value) => *value,
            Self::All(parts) => parts.iter().all(|part| part.holds(class, body, status)),
            Self::Any(parts) => parts.iter().any(|part| part.holds(class, body, status)),
            Self::Odd(parts) => parts.iter().filter(|part| part.holds(class, body, status)).count() % 2 == 1,
            Self::Not(part) => !part.holds(class, body, status),
            // A test of another class fails whatever it asks.
            Self::Test { class: of, .. } if *of != class => false,
            Self::Test { place, check, .. } => {
                let status = status.filter(|_| *place == class.get().status);
                check.holds(status.unwrap_or_else(|| body.value(*place)))
            }
        }
    }
}

impl Check {
    fn holds(&self, value: &str) -> bool {
        let mut flags = value.split(',').map(str::trim);
        match self {
            Self::Contains(text) => value.contains(text.as_str()),
            Self::AnyOf(wanted) => flags.any(|flag| wanted.iter().any(|wanted| wanted == flag)),
            Self::AllOf(wanted) => wanted.iter().all(|wanted| flags.clone().any(|flag| flag == wanted)),
            Self::Between { low, high } => {
                low.order(value).is_some_and(Ordering::is_ge) && high.order(value).is_some_and(Ordering::is_le)
            }
            Self::Compare { operator, value: wanted } => {
                let order = wanted.order(value);
                match operator {
                    Operator::Eq => order == Some(Ordering::Equal),
                    Operator::Ne => order != Some(Ordering::Equal),
                    Operator::Lt => order.is_some_and(Ordering::is_lt),
                    Operator::Gt => order.is_some_and(Ordering::is_gt),
                    Operator::Le => order.is_some_and(Ordering::is_le),
                    Operator::Ge => order.is_some_and(Ordering::is_ge),
                    Operator::Wcard | Operator::AnyBit | Operator::AllBits => false,
                }
            }
        }
    }
}

impl Comparable {
    fn parse(kind: Kind, text: &str, property: &Property) -> Result<Self, ApicError> {
        let key = Key::of(kind, text);
        if key.is_none() && !matches!(kind, Kind::Text | Kind::Name) {
            let text = format!("Incorrect filter format for {property}: '{text}' is not a value of this property");
            return Err(ApicError::bad_request(400, text));
        }
        Ok(Self { kind, text: text.to_owned(), key })
    }

    /// Returns how a value of an object relates to this one, `None` where the value has no place in the order.
    fn order(&self, value: &str) -> Option<Ordering> {
        match &self.key {
            Some(key) => Key::of(self.kind, value).map(|value| value.cmp(key)),
            None => Some(value.cmp(&self.text)),
        }
    }
}

/// The place of a value in the order of its kind.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Key {
    /// A value that is not of its kind comes before all that are.
    Text(String),
    Number(i128),
    /// Addresses of version 4 before 6, then by number, then by length of the mask.
    Address(bool, u128, Option<u8>),
    Time(Option<i64>),
    Word(usize),
}

impl Key {
    fn of(kind: Kind, text: &str) -> Option<Self> {
        match kind {
            Kind::Text | Kind::Name => None,
            Kind::Number => text.parse().ok().map(Self::Number),
            Kind::Address => {
                let (address, mask) = match text.split_once('/') {
                    Some((address, mask)) => (address, Some(mask.parse().ok()?)),
                    None => (text, None),
                };
                Some(match address.parse().ok()? {
                    IpAddr::V4(address) => Self::Address(false, u32::from(address).into(), mask),
                    IpAddr::V6(address) => Self::Address(true, address.into(), mask),
                })
            }
            Kind::Time if text == "never" => Some(Self::Time(None)),
            Kind::Time => parse_time(text).map(|ms| Self::Time(Some(ms))),
            Kind::Words(words) => words.split('|').position(|word| word == text).map(Self::Word),
        }
    }

    /// Returns the key by which objects are sorted.
    pub(crate) fn to_sort(kind: Kind, text: &str) -> Self {
        Self::of(kind, text).unwrap_or_else(|| Self::Text(text.to_owned()))
    }
}

/// Reads a moment: with an offset, or in the display time zone of the controller with less and less of it.
pub(crate) fn parse_time(text: &str) -> Option<i64> {
    // The sign of an offset that was not encoded comes out of a query as a blank.
    let text = text.trim().replace(' ', "+");
    if let Ok(at) = DateTime::parse_from_rfc3339(&text) {
        return Some(at.timestamp_millis());
    }
    let local = ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%dT%H:%M"]
        .iter()
        .find_map(|format| NaiveDateTime::parse_from_str(&text, format).ok())
        .or_else(|| NaiveDate::parse_from_str(&text, "%Y-%m-%d").ok()?.and_hms_opt(0, 0, 0))?;
    Some(local.and_utc().timestamp_millis() - OFFSET_HOURS * 3_600_000)
}

/// Makes the error for a class that no controller knows.
pub(crate) fn unresolved_class(name: &str) -> ApicError {
    ApicError::bad_request(400, format!("Request in error: unresolved class for {name}"))
}

/// Makes the error for a property that a class does not have.
pub(crate) fn not_found(property: &str, class: &str) -> ApicError {
    ApicError::bad_request(400, format!("Prop '{property}' not found in class '{class}' property table"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulator::mit::default_body;

    fn holds(filter: &str, class: &str, dn: &str, set: &[(&str, &str)]) -> bool {
        let class = class::find(class).unwrap();
        let condition = Condition::compile(&filter.parse().unwrap()).unwrap();
        condition.holds(class.id, &default_body(class, dn, "never", set), None)
    }

    fn error(filter: &str) -> String {
        Condition::compile(&filter.parse().unwrap()).unwrap_err().text
    }

    #[test]
    fn order_is_that_of_the_property_and_not_of_the_text() {
        let ip = "uni/tn-t/ap-a/epg-e/cep-m/ip-[10.0.0.9]";
        for (filter, class, dn, set, expected) in [
            (r#"lt(fvIp.addr,"10.0.0.10")"#, "fvIp", ip, ("flags", ""), true),
            (r#"and(ge(fvIp.addr,"10.0.0.9"),le(fvIp.addr,"10.0.0.9"))"#, "fvIp", ip, ("flags", ""), true),
            (r#"gt(fvIp.addr,"10.0.0.10")"#, "fvIp", ip, ("flags", ""), false),
            ("gt(l1PhysIf.mtu,1500)", "l1PhysIf", "x/phys-[eth1/1]", ("mtu", "9000"), true),
            ("bw(l1PhysIf.mtu,\"1500\",\"9000\")", "l1PhysIf", "x/phys-[eth1/1]", ("mtu", "9000"), true),
            ("bw(l1PhysIf.mtu,\"1500\",\"8999\")", "l1PhysIf", "x/phys-[eth1/1]", ("mtu", "9000"), false),
            (r#"gt(faultInst.severity,"warning")"#, "faultInst", "x/fault-F1", ("severity", "critical"), true),
            (r#"gt(faultInst.severity,"critical")"#, "faultInst", "x/fault-F1", ("severity", "warning"), false),
            (
                r#"lt(faultInst.created,"2026-03-01T00:00:00+00:00")"#,
                "faultInst",
                "x/fault-F1",
                ("created", "2026-03-01T01:59:59.000+02:00"),
                true,
            ),
        ] {
            assert_eq!(holds(filter, class, dn, &[set]), expected, "{filter}");
        }
    }

    #[test]
    fn test_of_another_class_fails_even_when_it_asks_for_a_difference() {
        for filter in [r#"ne(fvBD.name,"x")"#, r#"eq(fvBD.name,"t")"#] {
            assert!(!holds(filter, "fvTenant", "uni/tn-t", &[]), "{filter}");
        }
        assert!(holds(r#"not(eq(fvBD.name,"t"))"#, "fvTenant", "uni/tn-t", &[]));
        assert!(holds(r#"ne(fvTenant.name,"x")"#, "fvTenant", "uni/tn-t", &[]));
    }

    #[test]
    fn flags_and_parts_of_text_are_found() {
        let set = [("scope", "public,shared")];
        let dn = "uni/tn-t/BD-b/subnet-[10.0.0.1/24]";
        for (filter, expected) in [
            (r#"anybit(fvSubnet.scope,"private,shared")"#, true),
            (r#"allbits(fvSubnet.scope,"private,shared")"#, false),
            (r#"allbit(fvSubnet.scope,"shared,public")"#, true),
            (r#"wcard(fvSubnet.dn,"BD-b/")"#, true),
            (r#"xor(wcard(fvSubnet.dn,"BD-b/"),eq(fvSubnet.virtual,"no"))"#, false),
            (r#"or(false(),and(true(),eq(fvSubnet.ip,"10.0.0.1/24")))"#, true),
        ] {
            assert_eq!(holds(filter, "fvSubnet", dn, &set), expected, "{filter}");
        }
    }

    #[test]
    fn status_of_an_event_is_not_that_of_the_object() {
        let class = class::find("fvTenant").unwrap();
        let body = default_body(class, "uni/tn-t", "never", &[]);
        let condition = Condition::compile(&r#"wcard(fvTenant.status,"created")"#.parse().unwrap()).unwrap();

        assert!(!condition.holds(class.id, &body, None));
        assert!(condition.holds(class.id, &body, Some("created")));
    }

    #[test]
    fn errors_are_worded_as_clients_expect() {
        assert!(error("eq(fvNoSuch.name,1)").contains("unresolved class for fvNoSuch"));
        assert!(error("eq(fvTenant.nam,1)").contains("not found in class"));
        assert!(error("eq(fabricNode.id,\"ten\")").contains("Incorrect filter format for"));
        assert!(error("eq(fvBD.arpFlood,\"maybe\")").contains("Incorrect filter format for"));
    }

    #[test]
    fn moments_are_read_with_and_without_offset() {
        let expected = Some(1_767_225_600_000);
        for text in [
            "2026-01-01T00:00:00Z",
            "2026-01-01T02:00:00.000+02:00",
            "2026-01-01T02:00:00.000 02:00",
            "2026-01-01T02:00:00",
            "2026-01-01T02:00",
        ] {
            assert_eq!(parse_time(text), expected, "{text}");
        }
        assert_eq!(parse_time("yesterday"), None);
    }
}
