//! What nodes say: a class with its options, conditions, and post-processors.

use fabrik_core::process::StepSpec;
use serde_json::{Map, Value};

use super::GraphError;
use super::condition::{Condition, Join};
use super::flow::Node;
use super::plan::Strategy;
use crate::filter::{Filter, Operator};

/// How much of what is below an object is wanted with it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Scope {
    #[default]
    Own,
    Children,
    Subtree,
}

impl Scope {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Own => "self",
            Self::Children => "children",
            Self::Subtree => "subtree",
        }
    }

    /// Returns how `rsp-subtree` calls it.
    pub(super) fn nested(self) -> Option<&'static str> {
        match self {
            Self::Own => None,
            Self::Children => Some("children"),
            Self::Subtree => Some("full"),
        }
    }
}

/// A class and what is wanted of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct ClassSpec {
    pub(super) class: String,
    pub(super) scope: Scope,
    /// `rsp-prop-include`, where it is not all.
    pub(super) properties: Option<String>,
    /// What `rsp-subtree-include` lists.
    pub(super) include: Vec<&'static str>,
    pub(super) strategy: Option<Strategy>,
}

/// What can be asked for besides, by the name of its flag and of the controller's option.
const INCLUDES: [(&str, &str); 13] = [
    ("health", "health"),
    ("faults", "faults"),
    ("stats", "stats"),
    ("relations", "relations"),
    ("tasks", "tasks"),
    ("deploymentRecords", "deployment-records"),
    ("countOnly", "count"),
    ("noScoped", "no-scoped"),
    ("required", "required"),
    ("auditLogs", "audit-logs"),
    ("eventLogs", "event-logs"),
    ("faultRecords", "fault-records"),
    ("healthRecords", "health-records"),
];

/// Returns a field as text; empty where it is absent or null.
pub(super) fn text(data: &Map<String, Value>, field: &str) -> Result<String, GraphError> {
    match data.get(field) {
        None | Some(Value::Null) => Ok(String::new()),
        Some(Value::String(text)) => Ok(text.clone()),
        Some(plain @ (Value::Number(_) | Value::Bool(_))) => Ok(plain.to_string()),
        Some(other) => Err(GraphError::new(field, other.to_string(), "a text")),
    }
}

pub(super) fn check_class(class: &str) -> Result<(), GraphError> {
    let fits = class.starts_with(|first: char| first.is_ascii_alphabetic())
        && class.chars().all(|letter| letter.is_ascii_alphanumeric());
    let expected = "the name of a class as the controller writes it, such as fvBD";
    if fits { Ok(()) } else { Err(GraphError::new("className", class, expected)) }
}

impl ClassSpec {
    pub(super) fn of(node: &Node) -> Result<Self, GraphError> {
        Self::read(&node.data).map_err(|error| error.at(&node.id))
    }

    pub(super) fn read(data: &Map<String, Value>) -> Result<Self, GraphError> {
        let class = text(data, "className")?;
        check_class(&class)?;
        let scope = match text(data, "scope")?.as_str() {
            "" | "self" => Scope::Own,
            "children" => Scope::Children,
            "subtree" => Scope::Subtree,
            other => return Err(GraphError::new("scope", other, "self, children or subtree")),
        };
        let properties = match text(data, "propertyInclude")?.as_str() {
            "" | "all" => None,
            known @ ("naming-only" | "config-only") => Some(known.to_owned()),
            other => return Err(GraphError::new("propertyInclude", other, "all, naming-only or config-only")),
        };
        let strategy = match text(data, "forceStrategy")?.as_str() {
            "" | "auto" => None,
            name => Some(name.parse().map_err(|_| GraphError::new("forceStrategy", name, Strategy::FORCED))?),
        };
        let mut include = Vec::new();
        match data.get("supplementalData") {
            None | Some(Value::Null) => {}
            Some(Value::Object(flags)) => {
                for (flag, value) in flags {
                    let known = INCLUDES.iter().find(|(name, option)| name == flag || option == flag);
                    match (known, value) {
                        (Some((_, option)), Value::Bool(true)) => include.push(*option),
                        (None, Value::Bool(true)) => {
                            let names: Vec<&str> = INCLUDES.iter().map(|(name, _)| *name).collect();
                            let expected = format!("one of {}", names.join(", "));
                            return Err(GraphError::new("supplementalData", flag, expected));
                        }
                        // Off, or a range of time, which no controller takes here.
                        _ => {}
                    }
                }
            }
            Some(other) => return Err(GraphError::new("supplementalData", other.to_string(), "an object of flags")),
        }
        // In one order, whatever the order of the flags.
        include.sort_by_key(|option| INCLUDES.iter().position(|(_, name)| name == option));
        Ok(Self { class, scope, properties, include, strategy })
    }
}

/// Returns the operators by the names that forms give them.
fn operator(name: &str) -> Option<Operator> {
    Some(match name {
        "" | "eq" | "equals" => Operator::Eq,
        "ne" => Operator::Ne,
        "gt" => Operator::Gt,
        "lt" => Operator::Lt,
        "ge" => Operator::Ge,
        "le" => Operator::Le,
        _ => return None,
    })
}

const OPERATORS: &str = "eq, ne, gt, lt, ge, le, wcard, contains, starts or ends";

fn test(class: &str, property: &str, name: &str, value: String) -> Result<Condition, GraphError> {
    let own = property.strip_prefix(class).and_then(|rest| rest.strip_prefix('.')).unwrap_or(property);
    let fits = !own.is_empty() && own.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if !fits {
        return Err(GraphError::new("property", property, format!("the name of a property of {class}")));
    }
    let property = own.to_owned();
    Ok(match name {
        "contains" => Condition::contains(property, value),
        "starts" | "startsWith" => Condition::starts(property, value),
        "ends" | "endsWith" => Condition::ends(property, value),
        "wcard" => Condition::wcard(property, value),
        name => match operator(name) {
            Some(operator) => Condition::Test { property, operator, value },
            None => return Err(GraphError::new("operator", name, OPERATORS)),
        },
    })
}

fn join(data: &Map<String, Value>, fields: &[&str]) -> Result<Join, GraphError> {
    for field in fields {
        let name = text(data, field)?.to_ascii_lowercase();
        return Ok(match name.as_str() {
            "" => continue,
            "and" => Join::And,
            "or" => Join::Or,
            "xor" => Join::Xor,
            _ => return Err(GraphError::new(*field, name, "and, or or xor")),
        });
    }
    Ok(Join::And)
}

fn patterns(class: &str, data: &Map<String, Value>, field: &str) -> Result<Vec<Condition>, GraphError> {
    let list = match data.get(field) {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(Value::Array(list)) => list,
        Some(other) => return Err(GraphError::new(field, other.to_string(), "a list of patterns")),
    };
    let read = |pattern: &Value| {
        let fields = pattern.as_object();
        let fields = fields.ok_or_else(|| GraphError::new(field, pattern.to_string(), "an object with a pattern"))?;
        let value = match text(fields, "pattern")? {
            empty if empty.is_empty() => text(fields, "value")?,
            pattern => pattern,
        };
        let name = match text(fields, "type")? {
            none if none.is_empty() => text(fields, "operator")?,
            kind => kind,
        };
        let name = if name.is_empty() { "wcard" } else { &name };
        let condition = test(class, &text(fields, "property")?, name, value)?;
        let negate = fields.get("negate").and_then(Value::as_bool).unwrap_or(false);
        Ok(if negate { Condition::Not(Box::new(condition)) } else { condition })
    };
    list.iter().map(read).collect()
}

/// Reads what a filter node asks of the objects of a class.
pub(super) fn condition(class: &str, node: &Node) -> Result<Condition, GraphError> {
    read_condition(class, &node.data).map_err(|error| error.at(&node.id))
}

fn read_condition(class: &str, data: &Map<String, Value>) -> Result<Condition, GraphError> {
    match text(data, "filterType")?.as_str() {
        "" | "property" | "query-target-filter" => {}
        "subscription" => {
            let expected = "property or query-target-filter; subscriptions are left to those who follow events";
            return Err(GraphError::new("filterType", "subscription", expected));
        }
        other => return Err(GraphError::new("filterType", other, "property or query-target-filter")),
    }
    let mut parts = Vec::new();
    for field in ["expression", "filter"] {
        let expression = text(data, field)?;
        if !expression.trim().is_empty() {
            let filter: Filter = expression
                .parse()
                .map_err(|error| GraphError::new(field, &*expression, format!("a filter: {error}")))?;
            parts.push(Condition::from_filter(class, &filter));
        }
    }
    let property = text(data, "property")?;
    if !property.is_empty() {
        parts.push(test(class, &property, &text(data, "operator")?, text(data, "value")?)?);
    }
    let single = patterns(class, data, "wildcardPatterns")?;
    if !single.is_empty() {
        parts.push(join(data, &["logicalOperator"])?.of(single));
    }
    match data.get("patternGroups") {
        None | Some(Value::Null) => {}
        Some(Value::Array(groups)) => {
            let read = |group: &Value| {
                let fields = group.as_object();
                let fields = fields
                    .ok_or_else(|| GraphError::new("patternGroups", group.to_string(), "an object of patterns"))?;
                let field = if fields.contains_key("patterns") { "patterns" } else { "wildcardPatterns" };
                Ok((patterns(class, fields, field)?, join(fields, &["logicalOperator", "operator"])?))
            };
            let groups = groups.iter().map(read).collect::<Result<Vec<_>, GraphError>>()?;
            let groups: Vec<Condition> =
                groups.into_iter().filter(|(patterns, _)| !patterns.is_empty()).map(|(p, join)| join.of(p)).collect();
            if !groups.is_empty() {
                parts.push(join(data, &["groupCombineOperator"])?.of(groups));
            }
        }
        Some(other) => return Err(GraphError::new("patternGroups", other.to_string(), "a list of groups")),
    }
    match parts.is_empty() {
        true => Err(GraphError::new("property", property, format!("the name of a property of {class}"))),
        false => Ok(Join::And.of(parts)),
    }
}

/// Reads the step that a post-processor node stands for.
pub(super) fn step(node: &Node) -> Result<StepSpec, GraphError> {
    serde_json::from_value(Value::Object(node.data.clone())).map_err(|error| {
        GraphError::new("processorType", error.to_string(), "a kind of step and its config").at(&node.id)
    })
}
