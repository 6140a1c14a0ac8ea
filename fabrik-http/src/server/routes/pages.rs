//! The OpenAPI document, and the pages that show it. Everything comes from this binary, nothing from another network.

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::server::describe::{Describe, Operation, reason};
use crate::server::error::ApiError;
use crate::server::extract::Path;
use crate::server::registry::{Access, Registry, Route};
use crate::server::state::AppState;

pub(super) fn declare(registry: &mut Registry) {
    registry.add(
        Route::get("/api/schema/", "schema", Access::Public, schema)
            .about("Returns the OpenAPI document of this server; as YAML for `Accept: application/yaml`.")
            .exempt(),
    );
    for (path, id, about, html) in [
        ("/api/docs/", "docs_swagger", "Shows the API in Swagger UI.", SWAGGER),
        ("/api/redoc/", "docs_redoc", "Shows the API in ReDoc.", REDOC),
        ("/setup/", "setup_page", "Asks who the first administrator shall be.", SETUP),
        ("/signed-in/", "signed_in_page", "Ends a login by a provider.", SIGNED_IN),
        ("/reset/", "reset_page", "Asks for a new password.", RESET),
        ("/verify-email/", "verify_email_page", "Takes the token that proves an address for mail.", VERIFY_EMAIL),
    ] {
        registry.add(Route::get(path, id, Access::Public, async move || Html(html)).about(about).exempt());
    }
    registry.add(
        Route::get("/api/docs/assets/{name}/", "docs_asset", Access::Public, asset)
            .about("Returns a file that these pages need.")
            .exempt(),
    );
}

const SWAGGER: &str = include_str!("../../../assets/pages/swagger.html");
const REDOC: &str = include_str!("../../../assets/pages/redoc.html");
const SETUP: &str = include_str!("../../../assets/pages/setup.html");
const SIGNED_IN: &str = include_str!("../../../assets/pages/signed-in.html");
const RESET: &str = include_str!("../../../assets/pages/reset.html");
const VERIFY_EMAIL: &str = include_str!("../../../assets/pages/verify-email.html");

/// Files by name, with their type.
#[rustfmt::skip]
const ASSETS: &[(&str, &str, &[u8])] = &[
    ("swagger.js", JAVASCRIPT, include_bytes!("../../../assets/pages/swagger.js")),
    ("setup.js", JAVASCRIPT, include_bytes!("../../../assets/pages/setup.js")),
    ("signed-in.js", JAVASCRIPT, include_bytes!("../../../assets/pages/signed-in.js")),
    ("reset.js", JAVASCRIPT, include_bytes!("../../../assets/pages/reset.js")),
    ("verify-email.js", JAVASCRIPT, include_bytes!("../../../assets/pages/verify-email.js")),
    ("swagger-ui.css", "text/css; charset=utf-8", include_bytes!("../../../assets/vendor/swagger-ui/swagger-ui.css")),
    ("swagger-ui-bundle.js", JAVASCRIPT, include_bytes!("../../../assets/vendor/swagger-ui/swagger-ui-bundle.js")),
    ("redoc.standalone.js", JAVASCRIPT, include_bytes!("../../../assets/vendor/redoc/redoc.standalone.js")),
];

const JAVASCRIPT: &str = "text/javascript; charset=utf-8";

/// Only this server, but for styles and images that the two pages draw themselves; ReDoc searches in a worker it makes.
const PAGE_POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; worker-src 'self' blob:; \
     object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);

/// The document in the form that was asked for.
struct Schema {
    text: String,
    media_type: &'static str,
}

impl IntoResponse for Schema {
    fn into_response(self) -> Response {
        ([(header::CONTENT_TYPE, self.media_type), (header::VARY, "accept")], self.text).into_response()
    }
}

impl Describe for Schema {
    fn describe(operation: &mut Operation<'_>) {
        let schema = json!({ "schema": { "type": "object" } });
        let content = json!({ "application/json": schema, "application/yaml": schema });
        operation.response(200, json!({ "description": reason(200), "content": content }));
    }
}

async fn schema(State(state): State<AppState>, headers: HeaderMap) -> Schema {
    let accepts = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let document = state.api().document();
    if accepts.contains("yaml") {
        Schema { text: document.yaml.clone(), media_type: "application/yaml" }
    } else {
        Schema { text: document.json.clone(), media_type: "application/json" }
    }
}

impl Describe for HeaderMap {}

/// A page.
struct Html(&'static str);

impl IntoResponse for Html {
    fn into_response(self) -> Response {
        let headers = [
            (header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
            (header::CONTENT_SECURITY_POLICY, PAGE_POLICY),
        ];
        (headers, self.0).into_response()
    }
}

impl Describe for Html {
    fn describe(operation: &mut Operation<'_>) {
        let content = json!({ "text/html": { "schema": { "type": "string" } } });
        operation.response(200, json!({ "description": reason(200), "content": content }));
    }
}

/// A file of a page.
struct Asset(&'static str, &'static [u8]);

impl IntoResponse for Asset {
    fn into_response(self) -> Response {
        // The server may be updated under the same address, so browsers ask whether it changed.
        ([(header::CONTENT_TYPE, self.0), (header::CACHE_CONTROL, "no-cache")], self.1).into_response()
    }
}

impl Describe for Asset {
    fn describe(operation: &mut Operation<'_>) {
        let schema = json!({ "schema": { "type": "string" } });
        let content = json!({ "text/javascript": schema, "text/css": schema });
        operation.response(200, json!({ "description": reason(200), "content": content }));
    }
}

async fn asset(Path(name): Path<String>) -> Result<Asset, ApiError> {
    let found = ASSETS.iter().find(|asset| asset.0 == name).ok_or(ApiError::NotFound)?;
    Ok(Asset(found.1, found.2))
}
