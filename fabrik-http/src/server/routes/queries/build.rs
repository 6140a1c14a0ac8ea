//! What helps to draw a query: what it would ask, what would come, and what may hang below what.

use axum::extract::State;
use fabrik_apic::graph::{
    CompileOptions, Containment, Question, Strategy, Variables, children_of, is_known, may_contain, parents_of,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::execute::{JsonRows, begin_run};
use super::saved::known_connection;
use super::{PATH, VIEW};
use crate::server::caller::Caller;
use crate::server::error::ApiError;
use crate::server::extract::{Body, Json, Query};
use crate::server::model::Values;
use crate::server::queries::{self, Compiled, read};
use crate::server::registry::{Access, Registry, Route};
use crate::server::state::AppState;

/// How many rows a preview shows.
const PREVIEW: u64 = 50;

pub(super) fn declare(registry: &mut Registry) {
    let all = |action: &str| format!("{PATH}{action}/");
    let may = || Access::Permission(VIEW.into());
    for route in [
        Route::post(&all("preview"), "queries_saved_query_preview", may(), preview)
            .about("Runs a graph that is not saved, up to a node where one is named, and shows the first 50 rows.")
            .errors(&[400, 429, 502, 503]),
        Route::post(&all("generate-query"), "queries_saved_query_generate_query", may(), generate)
            .about("Compiles a graph that is not saved: what the controller would be asked, and what that costs it."),
        Route::post(&all("validate-connection"), "queries_saved_query_validate_connection", may(), validate)
            .about("Says whether objects of one class may hang directly below those of another."),
        Route::get(&all("child-classes"), "queries_saved_query_child_classes", may(), child_classes)
            .about("Lists the classes that are known to hang directly below a class; there may be others."),
    ] {
        registry.add(route);
    }
}

/// A graph, or the plain form.
#[derive(Deserialize, JsonSchema)]
struct GraphRequest {
    /// The graph: nodes, edges, variables.
    flow_data: Map<String, Value>,
    /// Only up to this node.
    #[serde(default)]
    preview_node_id: Option<String>,
    /// The values of its variables.
    #[serde(default)]
    variables: Option<Map<String, Value>>,
    /// `MO`, `Class` or `NodeClass`, in place of what is found.
    #[serde(default)]
    force_strategy: Option<String>,
    /// The connection, to run it.
    #[serde(default)]
    connection_id: Option<i64>,
    /// The same.
    #[serde(default)]
    apic_connection: Option<i64>,
}

impl GraphRequest {
    fn question(&self) -> Result<Question, ApiError> {
        let mut values = Values::default();
        values.set("flow_data", Value::Object(self.flow_data.clone()));
        Ok(queries::take_question(&mut values, None)?.expect("a new question is there, or an error"))
    }

    fn compile(&self) -> Result<Compiled, ApiError> {
        let variables: Variables = self.variables.clone().unwrap_or_default().into_iter().collect();
        let mut options = CompileOptions::default().with_variables(variables);
        if let Some(node) = self.preview_node_id.as_deref().filter(|node| !node.is_empty()) {
            options = options.with_preview_node(node);
        }
        let question = self.question()?;
        if let Some(forced) = self.force_strategy.as_deref().filter(|forced| !forced.is_empty()) {
            let strategy: Strategy = forced.parse().map_err(|error| queries::refuse_graph(&question, &error))?;
            options = options.with_strategy(strategy);
        }
        Compiled::new(&question, &options)
    }
}

/// The first rows of a graph.
#[derive(Serialize, JsonSchema)]
struct PreviewAnswer {
    success: bool,
    /// At most 50.
    results: Vec<Value>,
    /// How many are shown.
    count: usize,
    /// Whether there are more.
    truncated: bool,
    /// What the controller was asked.
    query: String,
    is_preview: bool,
}

async fn preview(
    State(state): State<AppState>,
    caller: Caller,
    Body(body): Body<GraphRequest>,
) -> Result<Json<PreviewAnswer>, ApiError> {
    let Some(connection) = body.connection_id.or(body.apic_connection) else {
        return Err(ApiError::field("connection_id", "This field is required."));
    };
    let compiled = body.compile()?;
    let connection = known_connection(&state, &caller, connection).await?;
    begin_run(&state, &caller).await?;
    let query = compiled.plan.path();
    let mut source = compiled.start(&state, &connection)?;
    let (rows, outcome) = state
        .engine(|_| async move {
            let mut rows = JsonRows::default();
            let outcome = read(&mut *source, Some(PREVIEW), &mut rows).await?;
            Ok((rows, outcome))
        })
        .await?;
    let results = rows.values();
    let count = results.len();
    Ok(Json(PreviewAnswer { success: true, results, count, truncated: outcome.is_truncated, query, is_preview: true }))
}

/// What the controller would be asked.
#[derive(Serialize, JsonSchema)]
struct GeneratedQuery {
    success: bool,
    preview_query: String,
    /// `mo`, `mo_partial`, `class` or `node_class`.
    strategy: &'static str,
    /// `low`, `medium` or `high`.
    estimated_cost: String,
    suggestions: Vec<String>,
    metadata: GeneratedMetadata,
}

/// What a compiled query is made of.
#[derive(Serialize, JsonSchema)]
struct GeneratedMetadata {
    /// The classes from the root to the target.
    chain: Vec<String>,
    /// The class of the rows, where it is one.
    target: Option<String>,
    /// The DN that is asked about.
    dn: Option<String>,
    /// How many conditions there are.
    conditions: usize,
    /// The paths that are read before.
    steps: Vec<String>,
    /// Whether rows are left out here, after the controller has sent them.
    checked_here: bool,
    /// What all queries take together, by experience.
    estimated_ms: u64,
}

async fn generate(_: Caller, Body(body): Body<GraphRequest>) -> Result<Json<GeneratedQuery>, ApiError> {
    let plan = body.compile()?.plan;
    let cost = serde_json::to_value(plan.estimated_cost).map_err(|error| ApiError::Internal(error.into()))?;
    Ok(Json(GeneratedQuery {
        success: true,
        preview_query: plan.path(),
        strategy: plan.strategy.name(),
        estimated_cost: cost.as_str().unwrap_or_default().to_owned(),
        suggestions: plan.suggestions,
        metadata: GeneratedMetadata {
            chain: plan.metadata.chain,
            target: plan.target,
            dn: plan.metadata.dn,
            conditions: plan.metadata.conditions,
            steps: plan.metadata.steps,
            checked_here: plan.metadata.checked_here,
            estimated_ms: plan.metadata.estimated_ms,
        },
    }))
}

/// Two classes.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct ContainmentRequest {
    #[schemars(length(min = 1, max = 200))]
    parent_class: String,
    #[schemars(length(min = 1, max = 200))]
    child_class: String,
}

/// Whether one may be below the other.
#[derive(Serialize, JsonSchema)]
struct ContainmentAnswer {
    /// False only where it is known that it cannot be.
    #[serde(rename = "isValid")]
    is_valid: bool,
    /// `yes`, `no` or `unknown`.
    verdict: &'static str,
    /// A sentence for people.
    message: String,
    /// The classes that are known to be directly above the child.
    #[serde(rename = "allowedParents")]
    allowed_parents: Vec<&'static str>,
    /// The classes that are known to be directly below the parent.
    #[serde(rename = "allowedChildren")]
    allowed_children: Vec<&'static str>,
}

async fn validate(_: Caller, Body(body): Body<ContainmentRequest>) -> Json<ContainmentAnswer> {
    let (parent, child) = (&body.parent_class, &body.child_class);
    let (verdict, message) = match may_contain(parent, child) {
        Containment::Yes => ("yes", format!("{child} is directly below {parent}.")),
        Containment::No => ("no", format!("{child} is never directly below {parent}.")),
        Containment::Unknown => ("unknown", format!("It is not known whether {child} is below {parent}.")),
    };
    Json(ContainmentAnswer {
        is_valid: verdict != "no",
        verdict,
        message,
        allowed_parents: parents_of(child).0,
        allowed_children: children_of(parent),
    })
}

/// A class.
#[derive(Deserialize, JsonSchema)]
struct ChildClassesQuery {
    /// The class above.
    #[schemars(length(min = 1, max = 200))]
    parent: String,
}

/// What hangs below a class.
#[derive(Serialize, JsonSchema)]
struct ChildClasses {
    parent: String,
    /// Whether anything is known of the class.
    is_known: bool,
    /// In order of name; there may be others.
    classes: Vec<&'static str>,
}

async fn child_classes(_: Caller, Query(query): Query<ChildClassesQuery>) -> Json<ChildClasses> {
    let classes = children_of(&query.parent);
    Json(ChildClasses { is_known: is_known(&query.parent), parent: query.parent, classes })
}
