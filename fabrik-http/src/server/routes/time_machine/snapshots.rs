//! Lists of snapshots, and what is said about one.

use axum::extract::{FromRequestParts, State};
use axum::http::request::Parts;
use chrono::{DateTime, NaiveDate, NaiveTime, TimeDelta, TimeZone, Utc};
use fabrik_core::time::{DayEdge, parse_edge};
use fabrik_core::{Annotate, Snapshot, annotate, parse_timezone, resolve};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Value, json};

use super::detail::reference_in_path;
use crate::server::audit::{Actor, Category, Entry};
use crate::server::captures::of_snapshots;
use crate::server::describe::{Describe, Operation};
use crate::server::error::ApiError;
use crate::server::extract::{Body, Json, Path, Query};
use crate::server::page::{self, Page};
use crate::server::queries;
use crate::server::registry::{Access, Registry, Route};
use crate::server::state::AppState;
use crate::server::time_machine::{Permitted, SnapshotShown, find, history_filter};

pub(super) fn declare(registry: &mut Registry) {
    registry.add(
        Route::get("/api/time-machine/snapshots/", "time_machine_snapshots", Access::Login, list)
            .about("Lists the snapshots of a saved query without their rows, the newest first.")
            .errors(&[404]),
    );
    registry.add(
        Route::get("/api/time-machine/snapshots/{id}/head/", "time_machine_snapshot_head", Access::Login, head)
            .about("Returns a snapshot without its rows, as lists show it. It is named as for its rows."),
    );
    registry.add(
        Route::post(
            "/api/time-machine/snapshots/{id}/annotate/",
            "time_machine_snapshot_annotate",
            Access::Login,
            change,
        )
        .about(
            "Changes the annotation, the label or the pin of a snapshot; an empty text or null clears. For whoever may \
             change the query, or captured the snapshot.",
        ),
    );
}

/// Which snapshots to list.
#[derive(Deserialize, JsonSchema)]
struct SnapshotsQuery {
    /// The saved query.
    saved_query: i64,
    /// Only those of this connection.
    #[serde(default)]
    apic_connection: Option<i64>,
    /// Only the newest at or before a moment: `2026-01-15T10:30:00Z`, `-7d`, `latest` or `latest~2`.
    #[serde(default)]
    at: Option<String>,
    /// Only those of a day, YYYY-MM-DD.
    #[serde(default)]
    date: Option<String>,
    /// The time zone of that day, an IANA name.
    #[serde(default)]
    timezone: Option<String>,
    /// Only those captured at or after this date or time.
    #[serde(default)]
    from_date: Option<String>,
    /// Only those captured up to this date or time.
    #[serde(default)]
    to_date: Option<String>,
    /// Only those that differ from the one before, or only those that do not.
    #[serde(default)]
    has_changes: Option<bool>,
    /// Only those with this label.
    #[serde(default)]
    label: Option<String>,
    /// Only those whose annotation has these words.
    #[serde(default)]
    search: Option<String>,
    /// `-captured_at` or `captured_at`.
    #[serde(default)]
    ordering: Option<String>,
    /// Which page, from 1.
    #[serde(default)]
    #[expect(dead_code, reason = "documented here, read with the page size")]
    page: Option<String>,
    /// How many items a page has, at most 200.
    #[serde(default)]
    #[expect(dead_code, reason = "documented here, read with the page")]
    page_size: Option<String>,
}

/// What a request was sent to, for the addresses of other pages.
struct Address {
    path: String,
    query: Vec<(String, String)>,
}

impl FromRequestParts<AppState> for Address {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &AppState) -> Result<Self, ApiError> {
        let query = url::form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes());
        Ok(Self { path: parts.uri.path().to_owned(), query: query.into_owned().collect() })
    }
}

impl Describe for Address {}

/// A page of snapshots.
struct SnapshotPage(Value);

impl axum::response::IntoResponse for SnapshotPage {
    fn into_response(self) -> axum::response::Response {
        axum::Json(self.0).into_response()
    }
}

impl Describe for SnapshotPage {
    fn describe(operation: &mut Operation<'_>) {
        let item = operation.schemas.given::<SnapshotShown>();
        operation.json_response(200, &page::envelope_schema(&item));
    }
}

/// From when and until when, each where it was said.
type Range = (Option<DateTime<Utc>>, Option<DateTime<Utc>>);

impl SnapshotsQuery {
    /// Returns the edges of what is asked for.
    fn range(&self) -> Result<Range, ApiError> {
        let edge = |field, text: &Option<String>, edge| {
            text.as_deref().map(|text| parse_edge(field, text, edge)).transpose().map_err(ApiError::from)
        };
        let mut from = edge("from_date", &self.from_date, DayEdge::Start)?;
        let mut to = edge("to_date", &self.to_date, DayEdge::End)?;
        if let (Some(first), Some(last)) = (from, to)
            && first > last
        {
            return Err(ApiError::field("from_date", "It must not be after to_date."));
        }
        if let Some(text) = &self.date {
            let date = NaiveDate::parse_from_str(text, "%Y-%m-%d")
                .map_err(|_| ApiError::field("date", "Date has wrong format. Use YYYY-MM-DD."))?;
            let zone = parse_timezone(self.timezone.as_deref().unwrap_or("UTC"))?;
            // A day begins when the one before it has ended; midnight itself may not exist.
            let begins = |date: NaiveDate| {
                let midnight = date.and_time(NaiveTime::MIN);
                (0..24).find_map(|hour| zone.from_local_datetime(&(midnight + TimeDelta::hours(hour))).earliest())
            };
            let day = date.succ_opt().and_then(|next| Some((begins(date)?, begins(next)?)));
            let (begin, end) = day.ok_or_else(|| ApiError::field("date", "There is no such day."))?;
            let (begin, end) = (begin.with_timezone(&Utc), end.with_timezone(&Utc) - TimeDelta::microseconds(1));
            from = Some(from.map_or(begin, |from| from.max(begin)));
            to = Some(to.map_or(end, |to| to.min(end)));
        }
        Ok((from, to))
    }

    /// Returns whether a snapshot is one of those asked for, as far as the store cannot tell.
    fn takes(&self, snapshot: &Snapshot) -> bool {
        let annotation = snapshot.annotation.as_deref().unwrap_or_default().to_lowercase();
        let words = self.search.as_deref().unwrap_or_default().to_lowercase();
        self.has_changes.is_none_or(|wanted| snapshot.has_changes() == wanted)
            && self.label.as_ref().is_none_or(|label| snapshot.label.as_ref() == Some(label))
            && words.split_whitespace().all(|word| annotation.contains(word))
    }
}

async fn list(
    State(state): State<AppState>,
    Permitted(caller): Permitted,
    address: Address,
    Query(asked): Query<SnapshotsQuery>,
) -> Result<SnapshotPage, ApiError> {
    let query = queries::find(&state, &caller, asked.saved_query).await?;
    let page = Page::of(&address.query)?;
    let (from, to) = asked.range()?;
    let is_oldest_first = asked.ordering.as_deref() == Some("captured_at");
    let (series, now) = (query.series.clone(), state.clock().now());
    let mut found = state
        .engine(async move |store| {
            let filter = history_filter(&*store, &series, asked.apic_connection).await?.with_range(from, to);
            let found = match &asked.at {
                Some(at) => {
                    let reference = match asked.apic_connection {
                        Some(connection) => format!("{series}@{connection}@{at}"),
                        None => format!("{series}@{at}"),
                    };
                    match resolve(&*store, &reference, now).await {
                        Ok(snapshot) => vec![snapshot],
                        Err(error) if error.kind() == fabrik_core::ErrorKind::NotFound => Vec::new(),
                        Err(error) => return Err(at_error(error)),
                    }
                }
                None => store.snapshots(&filter).await?,
            };
            Ok(found.into_iter().filter(|snapshot| asked.takes(snapshot)).collect::<Vec<_>>())
        })
        .await?;
    if is_oldest_first {
        found.reverse();
    }
    let count = found.len() as u64;
    page.check(count)?;
    let first = usize::try_from(page.offset()).unwrap_or(usize::MAX);
    let shown: Vec<Snapshot> =
        found.into_iter().skip(first).take(usize::try_from(page.limit()).unwrap_or(usize::MAX)).collect();
    let ids: Vec<_> = shown.iter().map(|snapshot| *snapshot.id.as_uuid()).collect();
    let facts = of_snapshots(&state, &ids).await?;
    let results: Vec<SnapshotShown> = shown
        .iter()
        .map(|snapshot| SnapshotShown::new(snapshot, Some(&query), facts.get(snapshot.id.as_uuid())))
        .collect();
    let envelope = page.envelope(count, json!(results), caller.peer(), &address.path, &address.query);
    Ok(SnapshotPage(envelope))
}

/// Says which parameter is wrong where a moment is: the core speaks of a snapshot.
pub(super) fn at_error(error: fabrik_core::Error) -> ApiError {
    match error.kind() {
        fabrik_core::ErrorKind::InvalidInput | fabrik_core::ErrorKind::Ambiguous => {
            ApiError::field("at", format!("{error}."))
        }
        _ => error.into(),
    }
}

async fn head(
    State(state): State<AppState>,
    Permitted(caller): Permitted,
    Path(id): Path<String>,
) -> Result<Json<SnapshotShown>, ApiError> {
    let found = find(&state, &caller, reference_in_path(&id)?, None).await?;
    Ok(Json(SnapshotShown::new(&found.snapshot, found.query.as_ref(), found.facts.as_ref())))
}

/// What to say about a snapshot.
#[derive(Deserialize, JsonSchema)]
struct AnnotateRequest {
    /// Free text.
    #[serde(default, deserialize_with = "given")]
    #[schemars(with = "Option<String>", length(max = 10_000))]
    annotation: Option<Option<String>>,
    /// A short tag.
    #[serde(default, deserialize_with = "given")]
    #[schemars(with = "Option<String>", length(max = 100))]
    label: Option<Option<String>>,
    /// Whether it is kept whatever its policy says.
    #[serde(default)]
    pinned: Option<bool>,
}

/// Tells null from what was left out.
fn given<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<String>>, D::Error> {
    Option::<String>::deserialize(deserializer).map(Some)
}

/// What is said about a snapshot.
#[derive(Serialize, JsonSchema)]
struct AnnotatedSnapshot {
    /// The snapshot.
    id: String,
    /// Free text.
    annotation: Option<String>,
    /// A short tag.
    label: Option<String>,
    /// Whether it is kept whatever its policy says.
    pinned: bool,
}

async fn change(
    State(state): State<AppState>,
    Permitted(caller): Permitted,
    Path(id): Path<String>,
    Body(request): Body<AnnotateRequest>,
) -> Result<Json<AnnotatedSnapshot>, ApiError> {
    let found = find(&state, &caller, reference_in_path(&id)?, None).await?;
    let may_edit = match &found.query {
        Some(query) => queries::may_edit(&caller, query),
        None => caller.is_admin(),
    };
    let captured_it = found.facts.as_ref().is_some_and(|facts| facts.captured_by_id == Some(caller.id()));
    if !may_edit && !captured_it {
        return Err(ApiError::forbidden());
    }
    if request.annotation.is_none() && request.label.is_none() && request.pinned.is_none() {
        return Err(ApiError::field("annotation", "Give an annotation, a label or pinned."));
    }
    let id = found.snapshot.id;
    let change = Annotate { annotation: request.annotation, label: request.label, pinned: request.pinned };
    let snapshot = state.engine(async move |store| Ok(annotate(&*store, id, &change).await?)).await?;
    let name = found.query.as_ref().map_or(snapshot.series.query.name.as_str(), |query| &query.name);
    Entry::new(
        Category::TimeMachine,
        "time_machine_snapshot_annotated",
        format!("Changed what is said about a snapshot of the query {name}"),
    )
    .on("snapshot", id, name)
    .with(json!({ "annotation": snapshot.annotation, "label": snapshot.label, "pinned": snapshot.pinned }))
    .record(&state, &Actor::of(&caller))
    .await?;
    Ok(Json(AnnotatedSnapshot {
        id: snapshot.id.to_string(),
        annotation: snapshot.annotation,
        label: snapshot.label,
        pinned: snapshot.pinned,
    }))
}
