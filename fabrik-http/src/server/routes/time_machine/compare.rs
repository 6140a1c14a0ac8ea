//! What changed between two snapshots.

mod sent;
mod stream;

use std::sync::Arc;

use axum::extract::State;
use fabrik_core::severity::{Model, Severity};
use fabrik_core::{DiffOptions, DiffSummary, Ignore, KeySpec, Report, compare};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::server::audit::{Actor, Category, Entry};
use crate::server::captures::spill_dir;
use crate::server::error::ApiError;
use crate::server::extract::{Body, Query};
use crate::server::page::Page;
use crate::server::registry::{Access, Registry, Route};
use crate::server::state::AppState;
use crate::server::time_machine::{Found, KeyStrategy, Permitted, Reference, TimeMachineSettings, find};
use sent::{Form, Sent};

pub(super) fn declare(registry: &mut Registry) {
    registry.add(
        Route::post("/api/time-machine/compare/", "time_machine_compare", Access::Login, run)
            .about(
                "Tells what changed from one snapshot to another, which may be of different queries. Snapshots are named \
                 by id, or as `202@latest~2` and `202@-7d`. Without `severity`, added and removed rows stand in the \
                 lists as they are; with it they are in `row`, beside what is said of them. `application/x-ndjson` \
                 gives a line for each change while it is found, in the order of the keys, and the summary in the last; \
                 `application/vnd.apache.arrow.stream` a line for each attribute.",
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
    /// Rules in TOML that go before those of the server about how much a change matters. Implies `severity`.
    #[serde(default)]
    #[schemars(length(max = 200_000))]
    severity_table: Option<String>,
    /// Whether to pass over what changes by itself, and count it.
    #[serde(default)]
    noise: bool,
    /// Rules in TOML that go before those of the server about what changes by itself. Implies `noise`.
    #[serde(default)]
    #[schemars(length(max = 200_000))]
    noise_table: Option<String>,
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
    /// As lines only: whether each has `kind`, `key` and the rows `before` and `after` in full, where there are any.
    #[serde(default)]
    whole: bool,
}

impl CompareQuery {
    fn page(&self) -> Result<Option<Page>, ApiError> {
        let pairs = [("page", &self.page), ("page_size", &self.page_size)];
        let pairs: Vec<(String, String)> =
            pairs.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value.clone()?))).collect();
        if pairs.is_empty() { Ok(None) } else { Page::of(&pairs).map(Some) }
    }
}

async fn run(
    State(state): State<AppState>,
    Permitted(caller): Permitted,
    Query(parts): Query<CompareQuery>,
    form: Form,
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
    if form != Form::Json {
        if page.is_some() {
            return Err(ApiError::BadRequest("Only JSON has pages: other forms come while changes are found.".into()));
        }
        // How many changes there are is not known yet.
        told(&older, &newer, None).record(&state, &Actor::of(&caller)).await?;
        return Ok(match form {
            Form::Lines => stream::lines(&state, older, newer, options, parts.whole),
            _ => stream::arrow(&state, older, newer, options),
        });
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
    if let Some(sentence) = of_other_versions(&older, &newer) {
        report.warn(sentence);
    }
    report.describe(names(&older), names(&newer));
    told(&older, &newer, Some(report.summary())).record(&state, &Actor::of(&caller)).await?;
    let body = state.engine_body(async move |_, mut pieces| {
        report.write_json(&mut pieces)?;
        Ok(pieces)
    });
    Ok(Sent(form, body))
}

/// Says so where the query asked something else for one of the snapshots.
fn of_other_versions(older: &Found, newer: &Found) -> Option<String> {
    let version = |found: &Found| found.facts.as_ref().map(|facts| facts.query_version.clone());
    let (one, other) = (version(older)?, version(newer)?);
    let is_one_query = older.snapshot.series.query.id == newer.snapshot.series.query.id;
    (is_one_query && one != other)
        .then(|| format!("the snapshots are of different versions of the query: {one} and {other}"))
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
    let refused = |field: &'static str| move |error: fabrik_core::Error| ApiError::field(field, format!("{error}."));
    let (standing, own) = (&state.settings().severity, &request.severity_table);
    if request.severity || request.min_severity.is_some() || own.is_some() {
        options.severity = Some(match own {
            None => Arc::clone(standing),
            Some(rules) => {
                // Written out and read again: a model remembers what it was asked, so it is not copied.
                let model = Model::parse("the server's severity table", &standing.to_toml())?;
                Arc::new(model.overridden_by("severity_table", rules).map_err(refused("severity_table"))?)
            }
        });
        options.min_severity = request.min_severity.map(Severity::from).unwrap_or_default();
    }
    let (standing, own) = (&state.settings().noise, &request.noise_table);
    if request.noise || own.is_some() {
        options.noise = Some(match own {
            None => Arc::clone(standing),
            Some(rules) => {
                let table = (**standing).clone().overridden_by("noise_table", rules);
                Arc::new(table.map_err(refused("noise_table"))?)
            }
        });
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

fn told(older: &Found, newer: &Found, summary: Option<&DiffSummary>) -> Entry {
    let name = older.query.as_ref().map_or(older.snapshot.series.query.name.as_str(), |query| &query.name);
    Entry::new(
        Category::TimeMachine,
        "time_machine_snapshots_compared",
        format!("Compared two snapshots of the query {name}"),
    )
    .on("snapshot", newer.snapshot.id, name)
    .with(json!({
        "snapshot_a": older.snapshot.id.to_string(),
        "snapshot_b": newer.snapshot.id.to_string(),
        "added": summary.map(|summary| summary.added),
        "removed": summary.map(|summary| summary.removed),
        "changed": summary.map(|summary| summary.changed),
    }))
}
