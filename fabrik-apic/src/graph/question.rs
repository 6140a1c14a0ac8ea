//! A saved query as it is written down: a graph, or its plain form.

use std::collections::BTreeMap;

use fabrik_core::process::StepSpec;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use super::GraphError;
use super::flow::Flow;
use super::node::ClassSpec;
use crate::filter::Filter;
use crate::query::ApicQuery;

/// What a saved query asks.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Question {
    /// A graph.
    Graph(Flow),
    /// A class or a path.
    Plain(PlainQuery),
}

impl<'de> Deserialize<'de> for Question {
    /// Reads a graph where there are `nodes` or `edges`, so that what is wrong with it is said of a graph.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        let is_graph = ["nodes", "edges"].iter().any(|field| value.get(field).is_some());
        let read = match is_graph {
            true => serde_json::from_value(value).map(Self::Graph),
            false => serde_json::from_value(value).map(Self::Plain),
        };
        read.map_err(serde::de::Error::custom)
    }
}

/// A query without a graph: a class with a filter and options, or a path.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlainQuery {
    /// The class; several apart by commas.
    #[serde(default, alias = "className", skip_serializing_if = "Option::is_none")]
    pub class: Option<String>,
    /// Which objects of the class, in the controller's own words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<String>,
    /// `self`, `children` or `subtree`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
    /// Options of the controller's interface, such as `rsp-prop-include`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub options: BTreeMap<String, String>,
    /// In place of all that, a path such as `/api/class/fvBD.json?rsp-subtree=full`.
    #[serde(default, alias = "generated_query", skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The steps that work on the rows.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub post_processors: Vec<StepSpec>,
}

/// The options that a plain query may have.
const OPTIONS: [&str; 10] = [
    "query-target",
    "target-subtree-class",
    "query-target-filter",
    "rsp-subtree",
    "rsp-subtree-class",
    "rsp-subtree-filter",
    "rsp-subtree-include",
    "rsp-prop-include",
    "order-by",
    "time-range",
];

impl PlainQuery {
    /// Returns what the controller is asked.
    ///
    /// # Errors
    ///
    /// A [`GraphError`] that names the field.
    pub fn to_query(&self) -> Result<ApicQuery, GraphError> {
        let query = match (&self.path, &self.class) {
            (Some(path), None) => {
                let others = [
                    ("filter", self.filter.is_some()),
                    ("scope", self.scope.is_some()),
                    ("options", !self.options.is_empty()),
                ];
                if let Some((field, _)) = others.iter().find(|(_, is_there)| *is_there) {
                    return Err(GraphError::new(*field, "", "nothing beside a path, which says it all"));
                }
                path.parse::<ApicQuery>()?
            }
            (None, Some(class)) => self.of_class(class)?,
            _ => {
                let value = self.path.as_deref().unwrap_or("");
                return Err(GraphError::new("path", value, "either a class or a path"));
            }
        };
        query.check_whole()?;
        if let Some(filter) = query.option("query-target-filter") {
            let checked: Result<Filter, _> = filter.parse();
            checked.map_err(|error| GraphError::new("query-target-filter", filter, format!("a filter: {error}")))?;
        }
        Ok(query)
    }

    fn of_class(&self, class: &str) -> Result<ApicQuery, GraphError> {
        let mut query = ApicQuery::class(class)?;
        for (name, value) in &self.options {
            if !OPTIONS.contains(&name.as_str()) {
                return Err(GraphError::new("options", name, format!("one of {}", OPTIONS.join(", "))));
            }
            query = query.with(name, value);
        }
        if let Some(text) = self.filter.as_deref().filter(|text| !text.trim().is_empty()) {
            let filter: Filter =
                text.parse().map_err(|error| GraphError::new("filter", text, format!("a filter: {error}")))?;
            query = query.with_filter(&filter);
        }
        if let Some(scope) = &self.scope {
            let data = Map::from_iter([
                ("className".to_owned(), Value::from("any")),
                ("scope".to_owned(), Value::from(scope.as_str())),
            ]);
            if let Some(nested) = ClassSpec::read(&data)?.scope.nested() {
                query = query.with("rsp-subtree", nested);
            }
        }
        Ok(query)
    }
}

/// Returns the class whose rows are wanted of a query that asks for several: the last of those it names below others.
pub(super) fn wanted_class(query: &ApicQuery) -> Option<String> {
    let list = query.option("rsp-subtree-class").or_else(|| query.option("target-subtree-class"))?;
    list.split(',').map(str::trim).rfind(|class| !class.is_empty()).map(str::to_owned)
}
