//! How much changed, day by day.

use axum::extract::State;
use chrono::Days;
use fabrik_core::{HeatmapDay, Window, heatmap_of, parse_timezone};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::document::{Document, Documented, list, number, object, or_null, text};
use crate::server::error::ApiError;
use crate::server::extract::Query;
use crate::server::queries;
use crate::server::registry::{Access, Registry, Route};
use crate::server::state::AppState;
use crate::server::time_machine::{Permitted, history_filter, worst_by_day};

pub(super) fn declare(registry: &mut Registry) {
    registry.add(
        Route::get("/api/time-machine/heatmap/", "time_machine_heatmap", Access::Login, show)
            .about("Tells how much a query's result changed on each day up to today.")
            .errors(&[404]),
    );
}

/// Which days of which query.
#[derive(Deserialize, JsonSchema)]
struct HeatmapQuery {
    /// The saved query.
    saved_query: i64,
    /// The last days: 1d to 366d, 1w to 52w, or 1y.
    #[serde(default = "thirty_days")]
    window: String,
    /// The time zone whose days count, an IANA name.
    #[serde(default = "utc")]
    timezone: String,
    /// Only snapshots of this connection.
    #[serde(default)]
    apic_connection: Option<i64>,
}

fn thirty_days() -> String {
    "30d".to_owned()
}

fn utc() -> String {
    "UTC".to_owned()
}

/// Change by day, as the core counts it, with what was judged at capture.
#[derive(Serialize)]
struct Shown {
    window: Window,
    timezone: String,
    days: Vec<DayShown>,
}

#[derive(Serialize)]
struct DayShown {
    #[serde(flatten)]
    day: HeatmapDay,
    risk_max: Option<i64>,
}

impl Documented for Shown {
    fn schema() -> Value {
        let day = object([
            ("date", json!({ "type": "string", "format": "date", "description": "the day in the time zone" })),
            ("snapshot_count", number("how many snapshots were captured")),
            (
                "change_score",
                json!({
                    "type": "number",
                    "minimum": 0,
                    "maximum": 1,
                    "description": "the mean share of rows that changed, over the snapshots that have one before them",
                }),
            ),
            ("has_changes", number("how many of the snapshots differ from the one before")),
            (
                "risk_max",
                or_null(json!({
                    "type": "integer",
                    "minimum": 0,
                    "maximum": 100,
                    "description": "the worst risk score of the snapshots against those before; null where none was judged",
                })),
            ),
        ]);
        object([
            ("window", text("the window as it was asked for")),
            ("timezone", text("the time zone whose days these are")),
            ("days", list("every day of the window, ascending; the last is today", &day)),
        ])
    }
}

async fn show(
    State(state): State<AppState>,
    Permitted(caller): Permitted,
    Query(asked): Query<HeatmapQuery>,
) -> Result<Document<Shown>, ApiError> {
    let window: Window = asked.window.parse()?;
    let zone = parse_timezone(&asked.timezone)?;
    let query = queries::find(&state, &caller, asked.saved_query).await?;
    let now = state.clock().now();
    let first = now.with_timezone(&zone).date_naive() - Days::new(window.days() - 1);
    let risks = async { Ok(worst_by_day(&state, &query.series, asked.apic_connection, first, zone).await?) };
    let series = query.series.clone();
    let counted = state.engine(async move |store| {
        let filter = history_filter(&*store, &series, asked.apic_connection).await?;
        Ok(heatmap_of(&*store, filter, &window, zone, now).await?)
    });
    let (risks, counted) = tokio::try_join!(risks, counted)?;
    let days = counted.days.into_iter().map(|day| DayShown { risk_max: risks.get(&day.date).copied(), day }).collect();
    Ok(Document(Shown { window: counted.window, timezone: counted.timezone, days }))
}
