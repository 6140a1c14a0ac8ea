//! Settings of users, and those for all.

use axum::extract::State;
use serde_json::json;

use crate::server::audit::{Actor, Category, Entry};
use crate::server::caller::Caller;
use crate::server::error::ApiError;
use crate::server::extract::{Body, Json};
use crate::server::registry::{Access, Registry, Route};
use crate::server::state::AppState;
use crate::server::time_machine::global::{self, TimeMachineGlobal, TimeMachineGlobalPatch};
use crate::server::time_machine::{Permitted, TimeMachineSettings, TimeMachineSettingsPatch};

const PATH: &str = "/api/time-machine/settings/";
const GLOBAL_PATH: &str = "/api/time-machine/settings/global/";
const UPDATED: &str = "time_machine_settings_updated";

pub(super) fn declare(registry: &mut Registry) {
    registry.add(
        Route::get(PATH, "time_machine_settings_retrieve", Access::Login, show)
            .about("Returns the caller's settings: the defaults where nothing was saved."),
    );
    registry.add(
        Route::patch(PATH, "time_machine_settings_update", Access::Login, change)
            .about("Changes the caller's settings."),
    );
    registry.add(
        Route::get(GLOBAL_PATH, "time_machine_global_retrieve", Access::Admin, show_global)
            .about("Returns what holds for all users."),
    );
    registry.add(
        Route::patch(GLOBAL_PATH, "time_machine_global_update", Access::Admin, change_global)
            .about("Changes what holds for all users."),
    );
}

async fn show(
    State(state): State<AppState>,
    Permitted(caller): Permitted,
) -> Result<Json<TimeMachineSettings>, ApiError> {
    TimeMachineSettings::of(&state, caller.id()).await.map(Json)
}

async fn change(
    State(state): State<AppState>,
    Permitted(caller): Permitted,
    Body(patch): Body<TimeMachineSettingsPatch>,
) -> Result<Json<TimeMachineSettings>, ApiError> {
    let before = TimeMachineSettings::of(&state, caller.id()).await?;
    let after = before.with(patch);
    let entry = Entry::new(Category::TimeMachine, UPDATED, "Changed the own settings of the Time Machine")
        .on("time_machine_settings", caller.id(), caller.username())
        .with(json!({ "before": before, "after": after }));
    let mut transaction = state.db().begin().await?;
    after.save(&mut transaction, caller.id()).await?;
    entry.append(&mut transaction, &state, &Actor::of(&caller)).await?;
    transaction.commit().await?;
    Ok(Json(after))
}

async fn show_global(State(state): State<AppState>) -> Result<Json<TimeMachineGlobal>, ApiError> {
    global::read(&state).await.map(Json)
}

async fn change_global(
    State(state): State<AppState>,
    caller: Caller,
    Body(patch): Body<TimeMachineGlobalPatch>,
) -> Result<Json<TimeMachineGlobal>, ApiError> {
    let before = global::read(&state).await?;
    let after = before.with(patch);
    let entry = Entry::new(Category::SystemSettings, UPDATED, "Changed the settings of the Time Machine for all")
        .on("time_machine_settings", "global", "global")
        .with(json!({ "before": before, "after": after }));
    let mut transaction = state.db().begin().await?;
    after.save(&mut transaction).await?;
    entry.append(&mut transaction, &state, &Actor::of(&caller)).await?;
    transaction.commit().await?;
    Ok(Json(after))
}
