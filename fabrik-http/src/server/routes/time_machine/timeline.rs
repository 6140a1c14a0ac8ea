//! One object through time.

use axum::extract::State;
use fabrik_core::store::SnapshotFilter;
use fabrik_core::time::{DayEdge, parse_edge};
use fabrik_core::{Timeline, TimelineOptions, timeline_of};
use hashbrown::HashSet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::document::{Document, Documented, list, moment, number, object, row, switch, text, with_optional};
use crate::server::error::ApiError;
use crate::server::extract::Query;
use crate::server::queries;
use crate::server::registry::{Access, Registry, Route};
use crate::server::state::AppState;
use crate::server::time_machine::{Permitted, history_filter};

pub(super) fn declare(registry: &mut Registry) {
    registry.add(
        Route::get("/api/time-machine/timeline/", "time_machine_timeline", Access::Login, show)
            .about("Follows one object through the newest snapshots of a query, shown oldest first.")
            .errors(&[404]),
    );
}

/// Which object, and which snapshots.
#[derive(Deserialize, JsonSchema)]
struct TimelineQuery {
    /// The saved query.
    saved_query_id: i64,
    /// The DN of the object, exactly.
    #[schemars(length(min = 1))]
    dn: String,
    /// How many snapshots to look at: the newest of the range. More than 100 are 100.
    #[serde(default = "twenty")]
    #[schemars(range(min = 1))]
    limit: u64,
    /// Only snapshots from this date or time on.
    #[serde(default)]
    from_date: Option<String>,
    /// Only snapshots up to this date or time.
    #[serde(default)]
    to_date: Option<String>,
    /// Only snapshots of this connection.
    #[serde(default)]
    apic_connection: Option<i64>,
}

fn twenty() -> u64 {
    20
}

/// An object through time, and on which connections it was looked for.
#[derive(Serialize)]
struct Shown {
    #[serde(flatten)]
    timeline: Timeline,
    /// More than one mix the points of several fabrics.
    connections: Vec<i64>,
}

impl Documented for Shown {
    fn schema() -> Value {
        let point = with_optional(
            object([
                ("snapshot_id", text("the snapshot")),
                ("executed_at", moment("when it was captured")),
                ("present", switch("whether it has the object")),
                ("attributes", row()),
            ]),
            [
                ("unknown", switch("whether the object may have been there all the same")),
                ("rows", number("how many rows have this DN, where there are several")),
            ],
        );
        let value = object([
            ("executed_at", moment("when it was captured")),
            ("snapshot_id", text("the snapshot")),
            ("value", json!({ "nullable": true, "description": "the value; null where the attribute is absent" })),
            ("changed", switch("whether it differs from the value before")),
        ]);
        let evolution = with_optional(
            object([
                ("attribute", text("its name")),
                ("change_count", number("how often it changed")),
                ("is_stable", switch("whether it never did")),
                (
                    "distinct_values",
                    list("the values, in the order they were first seen", &json!({ "nullable": true })),
                ),
                ("values", list("one for each point where the object is present", &value)),
            ]),
            [],
        );
        let event = object([
            ("event", json!({ "type": "string", "enum": ["created", "deleted", "recreated"] })),
            ("snapshot_id", text("the snapshot")),
            ("executed_at", moment("when it was captured")),
        ]);
        object([
            ("dn", text("the DN")),
            ("saved_query_id", number("the saved query")),
            ("snapshot_count", number("how many points there are")),
            ("points", list("one for each snapshot, oldest first", &point)),
            ("attribute_evolution", list("one for each attribute, most changes first", &evolution)),
            ("tracked_attributes", list("the names of all attributes seen, ascending", &text("a name"))),
            ("lifecycle", list("when the object came and went", &event)),
            ("connections", list("the connections of the points", &json!({ "type": "integer", "format": "int64" }))),
        ])
    }
}

async fn show(
    State(state): State<AppState>,
    Permitted(caller): Permitted,
    Query(asked): Query<TimelineQuery>,
) -> Result<Document<Shown>, ApiError> {
    let edge = |field, text: &Option<String>, edge| {
        text.as_deref().map(|text| parse_edge(field, text, edge)).transpose().map_err(ApiError::from)
    };
    let from = edge("from_date", &asked.from_date, DayEdge::Start)?;
    let to = edge("to_date", &asked.to_date, DayEdge::End)?;
    let options = TimelineOptions::default().with_limit(asked.limit).with_range(from, to);
    let query = queries::find(&state, &caller, asked.saved_query_id).await?;
    let shown = state
        .engine(async move |store| {
            let filter = history_filter(&*store, &query.series, asked.apic_connection).await?;
            let timeline = timeline_of(&*store, query.id, filter.clone(), &asked.dn, &options).await?;
            let connections = connections(&*store, filter.with_range(from, to), &timeline).await?;
            Ok(Shown { timeline, connections })
        })
        .await?;
    Ok(Document(shown))
}

/// Returns the connections that the points of a timeline are of.
async fn connections(
    store: &dyn fabrik_core::store::Store,
    filter: SnapshotFilter,
    timeline: &Timeline,
) -> Result<Vec<i64>, ApiError> {
    let points = timeline.points.len() as u64;
    let snapshots = store.snapshots(&filter.with_page(0, points)).await?;
    let names = snapshots.into_iter().filter_map(|snapshot| snapshot.series.connection.map(|one| one.name));
    let ids: HashSet<i64> = names.filter_map(|name| name.parse().ok()).collect();
    let mut ids: Vec<i64> = ids.into_iter().collect();
    ids.sort_unstable();
    Ok(ids)
}
