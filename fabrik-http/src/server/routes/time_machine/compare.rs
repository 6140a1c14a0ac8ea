//! What changed between two snapshots.

use std::sync::Arc;

use axum::body::Body as RawBody;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use fabrik_core::severity::Severity;
use fabrik_core::{DiffOptions, Ignore, KeySpec, Report, compare};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::document::{list, moment, number, object, or_null, row, switch, text, with_optional};
use crate::server::audit::{Actor, Category, Entry};
use crate::server::captures::spill_dir;
use crate::server::describe::{Describe, Operation};
use crate::server::error::ApiError;
use crate::server::extract::{Body, Query};
use crate::server::page::Page;
use crate::server::registry::{Access, Registry, Route};
use crate::server::state::AppState;
use crate::server::time_machine::{Found, KeyStrategy, Permitted, Reference, TimeMachineSettings, find};

pub(super) fn declare(registry: &mut Registry) {
    registry.add(
        Route::post("/api/time-machine/compare/", "time_machine_compare", Access::Login, run)
            .about(
                "Tells what changed from one snapshot to another, which may be of different queries. Snapshots are named \
                 by id, or as `202@latest~2` and `202@-7d`. Without `severity`, added and removed rows stand in the \
                 lists as they are; with it they are in `row`, beside what is said of them.",
            )
            .errors(&[404]),
    );
}

/// What to compare.
#[derive(Deserialize, JsonSchema)]
struct CompareRequest {
    /// The snapshot before.
    #[schemars(length(min = 1))]
    snapshot_a: String,
    /// The snapshot after.
    #[schemars(length(min = 1))]
    snapshot_b: String,
    /// The saved query that a moment like `@-7d` is about.
    #[serde(default)]
    saved_query: Option<i64>,
    /// The columns that identify a row; dotted names reach into nested values.
    #[serde(default)]
    key_fields: Option<Vec<String>>,
    /// What identifies a row, where no columns are named; unless told, as the caller's settings say.
    #[serde(default)]
    key_strategy: Option<KeyStrategy>,
    /// Attributes to pass over.
    #[serde(default)]
    ignore_fields: Vec<String>,
    /// What to pass over: ATTRIBUTE, CLASS.ATTRIBUTE or a DN, with * and ?.
    #[serde(default)]
    ignore: Vec<String>,
    /// Whether to say how much each change matters, and how risky all are together.
    #[serde(default)]
    severity: bool,
    /// Where changes are judged, the least severe ones to give; the others are counted.
    #[serde(default)]
    min_severity: Option<SeverityName>,
    /// Whether to pass over what changes by itself, and count it.
    #[serde(default)]
    noise: bool,
}

/// How much a change matters.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum SeverityName {
    Critical,
    High,
    Medium,
    Low,
    Info,
}

impl From<SeverityName> for Severity {
    fn from(name: SeverityName) -> Self {
        match name {
            SeverityName::Critical => Self::Critical,
            SeverityName::High => Self::High,
            SeverityName::Medium => Self::Medium,
            SeverityName::Low => Self::Low,
            SeverityName::Info => Self::Info,
        }
    }
}

/// How much of the answer to give.
#[derive(Deserialize, JsonSchema)]
struct CompareQuery {
    /// Whether to count only.
    #[serde(default)]
    summary_only: bool,
    /// Which page of the changes, from 1; all of them unless a page or its size is told.
    #[serde(default)]
    page: Option<String>,
    /// How many changes a page has, at most 200.
    #[serde(default)]
    page_size: Option<String>,
}

impl CompareQuery {
    fn page(&self) -> Result<Option<Page>, ApiError> {
        let pairs = [("page", &self.page), ("page_size", &self.page_size)];
        let pairs: Vec<(String, String)> =
            pairs.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value.clone()?))).collect();
        if pairs.is_empty() { Ok(None) } else { Page::of(&pairs).map(Some) }
    }
}

/// A comparison on its way.
struct Sent(RawBody);

impl IntoResponse for Sent {
    fn into_response(self) -> Response {
        ([(header::CONTENT_TYPE, "application/json")], self.0).into_response()
    }
}

impl Describe for Sent {
    fn describe(operation: &mut Operation<'_>) {
        operation.json_response(200, &schema());
    }
}

async fn run(
    State(state): State<AppState>,
    Permitted(caller): Permitted,
    Query(parts): Query<CompareQuery>,
    Body(request): Body<CompareRequest>,
) -> Result<Sent, ApiError> {
    let reference = |field: &str, text: &str| {
        Reference::parse(text).ok_or_else(|| {
            ApiError::field(field, "Must be the id of a snapshot, or a query and a moment like 202@-7d.")
        })
    };
    let named = [reference("snapshot_a", &request.snapshot_a)?, reference("snapshot_b", &request.snapshot_b)?];
    let page = parts.page()?;
    let mut options = options(&state, &request, parts.summary_only)?;
    let [a, b] = named;
    let older = find(&state, &caller, a, request.saved_query).await.map_err(|error| about("snapshot_a", error))?;
    let newer = find(&state, &caller, b, request.saved_query).await.map_err(|error| about("snapshot_b", error))?;
    let by_columns = [&older, &newer].iter().any(|found| matches!(found.snapshot.key, KeySpec::Fields(_)));
    if options.key.is_none() {
        options.key = match request.key_strategy {
            Some(strategy) => strategy.key(),
            // Columns that the query names say more than what the caller usually wants.
            None if by_columns => None,
            None => TimeMachineSettings::of(&state, caller.id()).await?.diff_key_strategy.key(),
        };
    }
    let (before, after) = (older.snapshot.clone(), newer.snapshot.clone());
    let range = page.map_or(0..u64::MAX, |page| page.offset()..page.offset().saturating_add(page.limit()));
    let mut report = state
        .engine(async move |store| {
            let comparison = compare(&*store, &before, &after, options).await?;
            Ok(Report::collect_page(comparison, &before, &after, range).await?)
        })
        .await?;
    if let Some(page) = page {
        page.check(report.n_given())?;
        report.add("change_count", json!(report.n_given()));
        report.add("page", json!(page.offset() / page.limit() + 1));
        report.add("page_size", json!(page.limit()));
    }
    let version = |found: &Found| found.facts.as_ref().map(|facts| facts.query_version.clone());
    if let (Some(one), Some(other)) = (version(&older), version(&newer))
        && one != other
        && older.snapshot.series.query.id == newer.snapshot.series.query.id
    {
        report.warn(format!("the snapshots are of different versions of the query: {one} and {other}"));
    }
    report.describe(names(&older), names(&newer));
    told(&older, &newer, &report).record(&state, &Actor::of(&caller)).await?;
    let body = state.engine_body(async move |_, mut pieces| {
        report.write_json(&mut pieces)?;
        Ok(pieces)
    });
    Ok(Sent(body))
}

/// Says of which field an error is.
fn about(field: &str, error: ApiError) -> ApiError {
    match error {
        ApiError::BadRequest(sentence) => ApiError::field(field, sentence),
        ApiError::Invalid(errors) => ApiError::field(field, errors.first_sentence()),
        other => other,
    }
}

fn options(state: &AppState, request: &CompareRequest, summary_only: bool) -> Result<DiffOptions, ApiError> {
    let mut options = DiffOptions::default().with_spill_dir(spill_dir());
    let patterns: Vec<String> = request.ignore_fields.iter().chain(&request.ignore).cloned().collect();
    options.ignore = Ignore::parse(&patterns).map_err(|error| ApiError::field("ignore", format!("{error}.")))?;
    options.summary_only = summary_only;
    if let Some(names) = &request.key_fields {
        let key = KeySpec::fields(names).map_err(|error| ApiError::field("key_fields", format!("{error}.")))?;
        options.key = Some(key);
    }
    if request.severity || request.min_severity.is_some() {
        options.severity = Some(Arc::clone(&state.settings().severity));
        options.min_severity = request.min_severity.map(Severity::from).unwrap_or_default();
    }
    if request.noise {
        options.noise = Some(Arc::clone(&state.settings().noise));
    }
    Ok(options)
}

/// Returns the ids and names of what a snapshot is of.
fn names(found: &Found) -> Map<String, Value> {
    let connection = found.snapshot.series.connection.as_ref().map(|connection| connection.name.as_str());
    let facts = found.facts.as_ref();
    let members = json!({
        "saved_query": found.query.as_ref().map(|query| query.id),
        "query_name": found.query.as_ref().map_or(found.snapshot.series.query.name.as_str(), |query| &query.name),
        "query_version": facts.map(|facts| facts.query_version.as_str()),
        "apic_connection": connection.and_then(|name| name.parse::<i64>().ok()),
        "apic_connection_name": facts.map(|facts| facts.apic_connection_name.as_str()).or(connection),
    });
    super::document::members(members)
}

fn told(older: &Found, newer: &Found, report: &Report) -> Entry {
    let name = older.query.as_ref().map_or(older.snapshot.series.query.name.as_str(), |query| &query.name);
    let summary = report.summary();
    Entry::new(
        Category::TimeMachine,
        "time_machine_snapshots_compared",
        format!("Compared two snapshots of the query {name}"),
    )
    .on("snapshot", newer.snapshot.id, name)
    .with(json!({
        "snapshot_a": older.snapshot.id.to_string(),
        "snapshot_b": newer.snapshot.id.to_string(),
        "added": summary.added,
        "removed": summary.removed,
        "changed": summary.changed,
    }))
}

fn schema() -> Value {
    let snapshot = || {
        object([
            ("id", text("the snapshot")),
            ("query", text("the name of its series in the store")),
            ("captured_at", moment("when it was captured")),
            ("row_count", number("how many rows it has")),
            ("version_hash", text("the hash of its content")),
            ("saved_query", or_null(number("its saved query"))),
            ("query_name", text("the name of that")),
            ("query_version", or_null(text("the version of that"))),
            ("apic_connection", or_null(number("the connection it was captured on"))),
            ("apic_connection_name", or_null(text("the name of that"))),
        ])
    };
    let by_severity = object(["critical", "high", "medium", "low", "info"].map(|name| (name, number("how many"))));
    let summary = with_optional(
        object([
            ("added", number("rows only in the newer snapshot")),
            ("removed", number("rows only in the older snapshot")),
            ("changed", number("rows in both whose attributes differ")),
            ("unchanged", number("rows that are equal")),
            ("duplicate_keys", number("keys that belong to more than one row of a snapshot")),
            ("hidden", number("changes that were to be passed over")),
            ("unkeyed", number("rows that differ and have no DN, under the key dn")),
            ("unknown", number("rows on one side only that the other may not show")),
        ]),
        [
            ("noise_changes", number("rows that changed by themselves; with noise")),
            ("noise_attributes", number("attributes that changed by themselves; with noise")),
            ("risk_score", number("how risky all changes are together, from 0 to 100; with severity")),
            ("risk_level", text("critical, high, medium, low or info; with severity")),
            ("by_severity", by_severity),
            ("below_min_severity", number("changes that are less severe than was asked for; with severity")),
        ],
    );
    let changed = with_optional(
        object([("key", row()), ("fields", row())]),
        [("severity", text("how much it matters")), ("reason", text("why")), ("rule", text("the rule that says so"))],
    );
    with_optional(
        object([
            ("snapshot_a", snapshot()),
            ("snapshot_b", snapshot()),
            ("key", text("what rows were matched by")),
            ("identical", switch("whether both have the same content")),
            ("coverage", row()),
            ("warnings", list("what to know before trusting this", &text("a sentence"))),
            ("summary", summary),
        ]),
        [
            ("change_count", number("how many changes there are on all pages; with a page")),
            ("page", number("which page this is; with a page")),
            ("page_size", number("how many changes a page has; with a page")),
            ("added", list("rows that came; with severity in `row`", &row())),
            ("removed", list("rows that went; with severity in `row`", &row())),
            ("changed", list("rows whose attributes differ", &changed)),
        ],
    )
}
