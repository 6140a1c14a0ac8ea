//! The first administrator, made by whoever has the link that the first start printed.

use axum::extract::State;
use schemars::JsonSchema;
use serde::Deserialize;

use super::auth::{LoginResponse, begin};
use crate::server::error::ApiError;
use crate::server::extract::{Body, Json};
use crate::server::first::set_up;
use crate::server::peer::Peer;
use crate::server::registry::{Access, Registry, Route};
use crate::server::state::AppState;
use crate::server::throttle::Scope;
use crate::server::users;

pub(super) fn declare(registry: &mut Registry) {
    registry.add(
        Route::post("/api/auth/setup/", "auth_setup", Access::Public, make_first_admin)
            .about("Makes the first administrator, once, for the token of the link that the first start printed.")
            .throttle(Scope::Login)
            .errors(&[403]),
    );
}

/// The token of the link, and who the administrator shall be.
#[derive(Deserialize, JsonSchema)]
struct SetupRequest {
    #[schemars(length(min = 1, max = 200))]
    token: String,
    #[schemars(length(min = 1, max = 150))]
    username: String,
    #[schemars(length(min = 1, max = 1024))]
    password: String,
}

async fn make_first_admin(
    State(state): State<AppState>,
    peer: Peer,
    Body(body): Body<SetupRequest>,
) -> Result<Json<LoginResponse, 201>, ApiError> {
    let id = set_up(&state, &peer, &body.token, &body.username, &body.password).await?;
    let user = users::by_id(state.db(), id).await?.ok_or(ApiError::NotFound)?;
    begin(&state, &user, &peer).await.map(Json)
}
