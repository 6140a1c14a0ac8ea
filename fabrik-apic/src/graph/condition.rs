//! Conditions on the objects of a class: what a controller is asked, and what has to be checked here.
//!
//! A controller tells `wcard` by whether a text is contained; how it reads a pattern is not documented. So it is only
//! ever sent a plain text, which finds too much rather than too little, and beginnings and ends are checked here.

use std::cmp::Ordering;
use std::net::IpAddr;

use super::GraphError;
use crate::filter::{Expression, Filter, Operator, Property};

/// What objects must be like.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Condition {
    Constant(bool),
    Test { property: String, operator: Operator, value: String },
    Between { property: String, low: String, high: String },
    Pattern { property: String, place: Place, text: String },
    Not(Box<Self>),
    Join(Join, Vec<Self>),
}

/// Where in a value a text must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Start,
    End,
    Anywhere,
}

/// How several conditions are one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Join {
    And,
    Or,
    Xor,
}

impl Join {
    pub(super) fn of(self, mut parts: Vec<Condition>) -> Condition {
        match parts.pop() {
            Some(only) if parts.is_empty() => only,
            Some(last) => {
                parts.push(last);
                Condition::Join(self, parts)
            }
            None => Condition::Constant(true),
        }
    }
}

/// The characters that mean themselves in every reading of a pattern.
fn is_plain(c: char) -> bool {
    c.is_alphanumeric()
        || matches!(c, '_' | '-' | '/' | ':' | ' ' | ',' | '@' | '=' | '#' | '%' | '&' | ';' | '<' | '>')
}

/// Returns the longest part of a text without characters that could mean more than themselves.
pub(super) fn plain_part(text: &str) -> &str {
    text.split(|c| !is_plain(c)).max_by_key(|part| part.len()).unwrap_or("")
}

impl Condition {
    pub(super) fn contains(property: String, text: String) -> Self {
        Self::Pattern { property, place: Place::Anywhere, text }
    }

    pub(super) fn starts(property: String, text: String) -> Self {
        Self::Pattern { property, place: Place::Start, text }
    }

    pub(super) fn ends(property: String, text: String) -> Self {
        Self::Pattern { property, place: Place::End, text }
    }

    /// Reads a pattern as people write it: `v` and `v.*` begin with it, `.*v` ends with it, `.*v.*` contains it. Any
    /// other is left to the controller as it is.
    pub(super) fn wcard(property: String, pattern: String) -> Self {
        let open = |text: &str| {
            let cut = text.strip_prefix(".*").or_else(|| text.strip_prefix('*'));
            cut.map(str::to_owned)
        };
        let close = |text: &str| {
            let cut = text.strip_suffix(".*").or_else(|| text.strip_suffix('*'));
            cut.map(str::to_owned)
        };
        let anchored = pattern.strip_prefix('^').is_some();
        let text = pattern.strip_prefix('^').unwrap_or(&pattern);
        let ends_here = text.ends_with('$') && !anchored;
        let text = text.strip_suffix('$').unwrap_or(text);
        let (place, core) = match (open(text), close(text)) {
            (Some(rest), Some(_)) => (Place::Anywhere, close(&rest).unwrap_or(rest)),
            (Some(rest), None) => (Place::End, rest),
            (None, Some(rest)) => (Place::Start, rest),
            (None, None) if ends_here => (Place::End, text.to_owned()),
            (None, None) => (Place::Start, text.to_owned()),
        };
        let is_text = core.chars().all(|c| is_plain(c) || c == '.');
        match is_text && !(anchored && pattern.ends_with('$')) {
            true => Self::Pattern { property, place, text: core },
            false => Self::Test { property, operator: Operator::Wcard, value: pattern },
        }
    }

    /// Reads a filter as a condition on the objects of one class; on those of another, nothing holds.
    pub(super) fn from_filter(class: &str, filter: &Filter) -> Self {
        let all = |parts: &[Filter]| parts.iter().map(|part| Self::from_filter(class, part)).collect();
        let own = |property: &Property| (property.class() == class).then(|| property.name().to_owned());
        match &filter.expression {
            Expression::Constant(value) => Self::Constant(*value),
            Expression::And(parts) => Self::Join(Join::And, all(parts)),
            Expression::Or(parts) => Self::Join(Join::Or, all(parts)),
            Expression::Xor(parts) => Self::Join(Join::Xor, all(parts)),
            Expression::Not(part) => Self::Not(Box::new(Self::from_filter(class, part))),
            Expression::Test { operator, property, value } => match own(property) {
                Some(property) => Self::Test { property, operator: *operator, value: value.clone() },
                None => Self::Constant(false),
            },
            Expression::Between { property, low, high } => match own(property) {
                Some(property) => Self::Between { property, low: low.clone(), high: high.clone() },
                None => Self::Constant(false),
            },
        }
    }

    /// Returns the conditions that all must hold.
    pub(super) fn conjuncts(self) -> Vec<Self> {
        match self {
            Self::Join(Join::And, parts) => parts.into_iter().flat_map(Self::conjuncts).collect(),
            other => vec![other],
        }
    }

    /// Returns the property and value of an equality.
    pub(super) fn as_equality(&self) -> Option<(&str, &str)> {
        match self {
            Self::Test { property, operator: Operator::Eq, value } => Some((property, value)),
            _ => None,
        }
    }

    /// Returns whether a controller can be asked exactly this.
    pub(super) fn is_exact(&self) -> bool {
        match self {
            Self::Constant(_) | Self::Test { .. } | Self::Between { .. } => true,
            Self::Pattern { place, text, .. } => {
                *place == Place::Anywhere && !text.is_empty() && text.chars().all(is_plain)
            }
            Self::Not(part) => part.is_exact(),
            Self::Join(_, parts) => parts.iter().all(Self::is_exact),
        }
    }

    /// Returns what to ask a controller: exactly this, or something wider; `None` stands for everything.
    pub(super) fn to_filter(&self, class: &str) -> Result<Option<Filter>, GraphError> {
        let of = |name: &str| {
            Property::new(class, name).map_err(|_| GraphError::new("property", name, "the name of a property"))
        };
        Ok(match self {
            Self::Constant(true) => None,
            Self::Constant(false) => Some(Filter::never()),
            Self::Test { property, operator, value } => {
                let (property, operator, value) = (of(property)?, *operator, value.clone());
                Some(Expression::Test { property, operator, value }.into())
            }
            Self::Between { property, low, high } => Some(Filter::bw(of(property)?, low, high)),
            Self::Pattern { property, text, .. } => match plain_part(text) {
                "" => None,
                plain => Some(Filter::wcard(of(property)?, plain)),
            },
            // What is wider than a part is no longer wider than its opposite.
            Self::Not(part) if part.is_exact() => Some(part.to_filter(class)?.map_or_else(Filter::never, Filter::not)),
            Self::Not(_) => None,
            Self::Join(Join::And, parts) => {
                let filters = parts.iter().map(|part| part.to_filter(class)).collect::<Result<Vec<_>, _>>()?;
                let filters: Vec<Filter> = filters.into_iter().flatten().collect();
                (!filters.is_empty()).then(|| and(filters))
            }
            Self::Join(Join::Or, parts) => {
                let filters = parts.iter().map(|part| part.to_filter(class)).collect::<Result<Option<Vec<_>>, _>>()?;
                filters.map(Filter::or)
            }
            Self::Join(Join::Xor, parts) if self.is_exact() => {
                let filters = parts.iter().map(|part| Ok(part.to_filter(class)?.unwrap_or_else(Filter::always)));
                filters.collect::<Result<Vec<_>, GraphError>>()?.into_iter().reduce(Filter::xor)
            }
            Self::Join(Join::Xor, _) => None,
        })
    }

    /// Returns what is still to be checked of objects that the controller has sent for [`Condition::to_filter`].
    pub(super) fn rest(&self) -> Option<Self> {
        match self {
            exact if exact.is_exact() => None,
            Self::Join(Join::And, parts) => Some(Join::And.of(parts.iter().filter_map(Self::rest).collect())),
            other => Some(other.clone()),
        }
    }

    /// Returns whether it holds for an object; fails with the name of a property that the object lacks.
    pub(super) fn holds(&self, value_of: &dyn Fn(&str) -> Option<String>) -> Result<bool, String> {
        let value_of_property = |name: &String| value_of(name).ok_or_else(|| name.clone());
        Ok(match self {
            Self::Constant(value) => *value,
            Self::Test { property, operator, value } => {
                let have = value_of_property(property)?;
                let order = compare(&have, value);
                let flags = || value.split(',').map(|flag| have.split(',').any(|present| present == flag));
                match operator {
                    Operator::Eq => have == *value,
                    Operator::Ne => have != *value,
                    Operator::Lt => order == Ordering::Less,
                    Operator::Gt => order == Ordering::Greater,
                    Operator::Le => order != Ordering::Greater,
                    Operator::Ge => order != Ordering::Less,
                    Operator::Wcard => have.contains(value.as_str()),
                    Operator::AnyBit => flags().any(|is_set| is_set),
                    Operator::AllBits => flags().all(|is_set| is_set),
                }
            }
            Self::Between { property, low, high } => {
                let have = value_of_property(property)?;
                compare(&have, low) != Ordering::Less && compare(&have, high) != Ordering::Greater
            }
            Self::Pattern { property, place, text } => {
                let have = value_of_property(property)?;
                match place {
                    Place::Start => have.starts_with(text),
                    Place::End => have.ends_with(text),
                    Place::Anywhere => have.contains(text),
                }
            }
            Self::Not(part) => !part.holds(value_of)?,
            Self::Join(join, parts) => {
                let held = parts.iter().map(|part| part.holds(value_of)).collect::<Result<Vec<_>, _>>()?;
                match join {
                    Join::And => held.iter().all(|held| *held),
                    Join::Or => held.iter().any(|held| *held),
                    Join::Xor => held.iter().filter(|held| **held).count() % 2 == 1,
                }
            }
        })
    }
}

/// Joins filters; one needs no operator around it.
pub(super) fn and(mut filters: Vec<Filter>) -> Filter {
    if filters.len() == 1
        && let Some(only) = filters.pop()
    {
        return only;
    }
    Filter::and(filters)
}

/// Compares as numbers or addresses where both are, else as texts.
fn compare(before: &str, after: &str) -> Ordering {
    let address = |text: &str| {
        let (address, length) = text.split_once('/').unwrap_or((text, "255"));
        Some((address.parse::<IpAddr>().ok()?, length.parse::<u8>().ok()?))
    };
    match (before.parse::<f64>(), after.parse::<f64>()) {
        (Ok(before), Ok(after)) => before.total_cmp(&after),
        _ => match (address(before), address(after)) {
            (Some(before), Some(after)) => before.cmp(&after),
            _ => before.cmp(after),
        },
    }
}
