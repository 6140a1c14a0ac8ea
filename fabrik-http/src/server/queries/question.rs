//! What a saved query asks, between the fields of the API and the question that is kept.
//!
//! A graph is `flow_data`, or its parts at the top; the plain form is a class with a filter and options, or a path.

use fabrik_apic::graph::{Flow, PlainQuery, Question};
use fabrik_core::process::{Pipeline, ProcessLimits};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{refuse_graph, refuse_step};
use crate::server::error::{ApiError, FieldErrors, NON_FIELD};
use crate::server::model::{Record, Values};

/// The parts of a graph that are fields of their own.
const GRAPH: [&str; 3] = ["nodes", "edges", "variables"];
/// The fields of the plain form, each with its name in the question that is kept.
const PLAIN: [(&str, &str); 5] =
    [("class_name", "class"), ("filter", "filter"), ("scope", "scope"), ("options", "options"), ("path", "path")];
/// A part of both forms.
const STEPS: &str = "post_processors";

/// Takes what is asked out of what was written, over what was asked before; nothing where no field of it was written.
pub(crate) fn take_question(values: &mut Values, before: Option<&Question>) -> Result<Option<Question>, ApiError> {
    let flow_data = values.take("flow_data").filter(|value| !value.is_null());
    let graph: Vec<_> = GRAPH.into_iter().filter_map(|name| Some((name, values.take(name)?))).collect();
    let graph: Vec<_> = graph.into_iter().filter(|(_, value)| !value.is_null()).collect();
    let plain: Vec<_> = PLAIN.into_iter().filter_map(|(name, own)| Some((own, values.take(name)?))).collect();
    let steps = values.take(STEPS);
    let is_graph = flow_data.is_some() || !graph.is_empty();
    // What a query of the other form shows is null or empty, and means nothing.
    let is_plain = plain.iter().any(|(_, value)| !is_nothing(value));
    match (is_graph, is_plain, before) {
        (true, true, _) => Err(ApiError::field(NON_FIELD, "Give a graph, or the plain form, not both.")),
        (true, false, _) => graph_of(flow_data, graph, steps, before).map(Some),
        (false, true, _) => plain_of(plain, steps, before).map(Some),
        (false, false, Some(Question::Plain(_))) if !plain.is_empty() || steps.is_some() => {
            plain_of(plain, steps, before).map(Some)
        }
        (false, false, Some(Question::Graph(_))) if steps.is_some() => {
            graph_of(None, Vec::new(), steps, before).map(Some)
        }
        (false, false, Some(_)) => Ok(None),
        (false, false, None) => Err(ApiError::field("flow_data", "This field is required.")),
    }
}

fn is_nothing(value: &Value) -> bool {
    value.is_null() || value == "" || value.as_object().is_some_and(Map::is_empty)
}

fn graph_of(
    flow_data: Option<Value>,
    parts: Vec<(&'static str, Value)>,
    steps: Option<Value>,
    before: Option<&Question>,
) -> Result<Question, ApiError> {
    let is_whole = flow_data.is_some();
    let mut graph = match (flow_data, before) {
        (Some(Value::Object(graph)), _) => graph,
        (Some(_), _) => return Err(ApiError::field("flow_data", "Expected an object with nodes and edges.")),
        (None, Some(before @ Question::Graph(_))) => object_of(before),
        (None, _) => Map::new(),
    };
    let steps = steps.filter(|steps| !steps.is_null()).map(|steps| (STEPS, steps));
    for (name, value) in parts.into_iter().chain(steps) {
        // A client that writes back what it read sends all parts twice; the graph as a whole is what it works on.
        if !is_whole || !graph.contains_key(name) {
            graph.insert(name.to_owned(), value);
        }
    }
    let mut errors = FieldErrors::default();
    for name in ["nodes", "edges"] {
        let sentence = match graph.get(name) {
            Some(Value::Array(_)) => continue,
            Some(_) => "Expected a list of items.",
            None => "This field is required.",
        };
        match is_whole {
            true => errors.add("flow_data", format!("{name}: {sentence}")),
            false => errors.add(name, sentence),
        }
    }
    errors.into_result()?;
    let flow = Flow::deserialize(Value::Object(graph));
    flow.map(Question::Graph).map_err(|error| ApiError::field("flow_data", format!("It cannot be read: {error}.")))
}

fn plain_of(
    fields: Vec<(&'static str, Value)>,
    steps: Option<Value>,
    before: Option<&Question>,
) -> Result<Question, ApiError> {
    let mut plain = match before {
        Some(before @ Question::Plain(_)) => object_of(before),
        _ => Map::new(),
    };
    let is_given = |name: &str| fields.iter().any(|(own, value)| *own == name && !is_nothing(value));
    // A path says it all, and a class is no path.
    if is_given("path") {
        plain.retain(|name, _| name == STEPS);
    } else if is_given("class") {
        plain.remove("path");
    }
    for (name, value) in fields.into_iter().chain(steps.map(|steps| (STEPS, steps))) {
        match is_nothing(&value) {
            true => plain.remove(name),
            false => plain.insert(name.to_owned(), value),
        };
    }
    let plain = PlainQuery::deserialize(Value::Object(plain))
        .map_err(|error| ApiError::field(NON_FIELD, format!("The query cannot be read: {error}.")))?;
    let question = Question::Plain(plain);
    check_plain(&question)?;
    Ok(question)
}

/// Refuses a plain query that cannot run. A graph may be saved while it is being drawn.
fn check_plain(question: &Question) -> Result<(), ApiError> {
    let Question::Plain(plain) = question else { return Ok(()) };
    plain.to_query().map_err(|error| refuse_graph(question, &error))?;
    Pipeline::compile(&plain.post_processors, ProcessLimits::default()).map_err(|error| refuse_step(&error))?;
    Ok(())
}

/// Returns a question as the object that it is kept as.
fn object_of(question: &Question) -> Map<String, Value> {
    match serde_json::to_value(question) {
        Ok(Value::Object(object)) => object,
        _ => unreachable!("questions are objects with texts for names"),
    }
}

/// Writes the fields of a question into a record: of both forms, those of the other one null.
pub(crate) fn show(question: &Question, record: &mut Record) {
    let mut object = object_of(question);
    let is_graph = matches!(question, Question::Graph(_));
    let part = |name: &str, unless: Value| object.get(name).cloned().unwrap_or(unless);
    record.insert(STEPS.into(), part(STEPS, json!([])));
    for name in GRAPH {
        record.insert(name.into(), if is_graph { part(name, json!([])) } else { Value::Null });
    }
    for (name, own) in PLAIN {
        let unless = if own == "options" { json!({}) } else { Value::Null };
        record.insert(name.into(), if is_graph { unless } else { part(own, unless) });
    }
    if is_graph {
        // Both are lists in every graph.
        object.entry("variables").or_insert_with(|| json!([]));
    }
    record.insert("flow_data".into(), if is_graph { Value::Object(object) } else { Value::Null });
}
