//! The OpenAPI 3.0 document, written from the routes that are served.

mod yaml;

use serde_json::{Map, Value, json};

use super::api_keys;
use super::describe::{Operation, Schemas};
use super::registry::{Access, Route};
use super::validate::Components;

pub(crate) use yaml::to_yaml;

/// The document in its forms, written once.
#[derive(Debug)]
pub(crate) struct Document {
    pub(crate) json: String,
    pub(crate) yaml: String,
}

/// Writes the document, and returns the schemas that requests are checked against.
pub(crate) fn document(routes: &[Route]) -> (Document, Components) {
    let mut schemas = Schemas::new();
    let mut paths: Map<String, Value> = Map::new();
    for route in routes {
        let operation = operation(route, &mut schemas);
        let methods = paths.entry(route.meta.path.to_string()).or_insert_with(|| json!({}));
        methods[route.meta.method.as_str().to_lowercase()] = operation;
    }
    for (name, schema) in error_schemas() {
        schemas.write((name.to_owned(), schema));
    }
    let (all, shown) = schemas.finish();
    for operation in paths.values_mut().filter_map(Value::as_object_mut).flat_map(Map::values_mut) {
        require_body(operation, &all);
    }
    let document = json!({
        "openapi": "3.0.3",
        "info": {
            "title": "Fabrik",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "What changed in my network, when, by whom, and did we mean it?",
            "license": { "name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0" },
        },
        "servers": [{ "url": "/", "description": "this server" }],
        "security": [{ "bearer": [] }],
        "tags": tags(&paths),
        "paths": paths,
        "components": {
            "schemas": shown,
            "securitySchemes": {
                "bearer": {
                    "type": "http", "scheme": "bearer", "bearerFormat": "JWT",
                    "description": "the access token of a login, or an API key where `api_key` is named, too",
                },
                "api_key": {
                    "type": "apiKey", "in": "header", "name": api_keys::HEADER,
                    "description": api_keys::ABOUT,
                },
            },
            "headers": {
                "RequestId": { "description": "the id of the request, also in the log", "schema": { "type": "string" } },
                "RetryAfter": { "description": "after how many seconds to ask again", "schema": { "type": "integer", "format": "int64" } },
            },
        },
    });
    (Document { json: document.to_string(), yaml: to_yaml(&document) }, all)
}

/// A body may be left out where all of its fields may be.
fn require_body(operation: &mut Value, schemas: &Components) {
    let Some(body) = operation.get_mut("requestBody") else { return };
    let reference = body.pointer("/content/application~1json/schema/$ref").and_then(Value::as_str);
    let schema = reference.and_then(|path| schemas.get(path.rsplit('/').next()?));
    if schema.is_some_and(|schema| schema.get("required").is_none()) {
        body["required"] = false.into();
    }
}

fn tags(paths: &Map<String, Value>) -> Vec<Value> {
    let mut names: Vec<_> = paths.keys().map(|path| tag(path)).collect();
    names.sort_unstable();
    names.dedup();
    names.into_iter().map(|name| json!({ "name": name })).collect()
}

/// An operation is tagged by its app: the part of the path after `/api/`.
fn tag(path: &str) -> &str {
    path.split('/').nth(2).filter(|app| !app.is_empty()).unwrap_or("server")
}

fn operation(route: &Route, schemas: &mut Schemas) -> Value {
    let meta = &route.meta;
    let mut operation = Operation {
        schemas,
        parameters: Vec::new(),
        body: None,
        responses: [].into(),
        errors: [429, 500].into(),
        path_names: meta
            .path
            .split('/')
            .filter_map(|part| Some(part.strip_prefix('{')?.strip_suffix('}')?.to_owned()))
            .collect(),
    };
    route.describe(&mut operation);
    operation.errors.extend(&meta.errors);
    match meta.access {
        Access::Public => {}
        // An API key may be refused where a session is not.
        Access::Login => operation.errors.extend([401, 403]),
        Access::Permission(_) | Access::Admin => operation.errors.extend([401, 403]),
    }
    // An answer that says itself what it looks like with a status knows better.
    let told: Vec<_> = operation.responses.keys().copied().collect();
    for status in operation.errors.clone().into_iter().filter(|status| !told.contains(status)) {
        operation.json_response(status, &json!({ "$ref": format!("#/components/schemas/{}", error_schema(status)) }));
    }
    let Operation { parameters, body, mut responses, .. } = operation;
    for (status, response) in &mut responses {
        response["headers"]["X-Request-ID"] = json!({ "$ref": "#/components/headers/RequestId" });
        if *status == 429 {
            response["headers"]["Retry-After"] = json!({ "$ref": "#/components/headers/RetryAfter" });
        }
    }
    let responses: Map<_, _> = responses.into_iter().map(|(status, value)| (status.to_string(), value)).collect();
    let mut value = json!({
        "operationId": meta.id,
        "summary": meta.about,
        "tags": [tag(&meta.path)],
        "parameters": parameters,
        "responses": responses,
    });
    if let Some(body) = body {
        value["requestBody"] = body;
    }
    match &meta.access {
        Access::Public => value["security"] = json!([]),
        Access::Permission(codename) => value["description"] = format!("Needs the permission `{codename}`.").into(),
        Access::Admin => value["description"] = "For administrators.".into(),
        Access::Login => {}
    }
    if api_keys::opens(meta) {
        value["security"] = json!([{ "bearer": [] }, { "api_key": [] }]);
    }
    value
}

fn error_schema(status: u16) -> &'static str {
    match status {
        400 => "FieldErrors",
        401 => "LoginError",
        403 => "PermissionError",
        500.. => "ServerError",
        _ => "Problem",
    }
}

fn error_schemas() -> [(&'static str, Value); 5] {
    let detail = || json!({ "type": "string", "description": "what is wrong, for people" });
    let object = |properties: Value| json!({ "type": "object", "required": ["detail"], "properties": properties });
    [
        (
            "FieldErrors",
            json!({
                "type": "object",
                "description": "sentences by field, `non_field_errors` for what concerns none; or `detail` alone",
                "additionalProperties": { "oneOf": [{ "type": "array", "items": { "type": "string" } }, { "type": "string" }] },
            }),
        ),
        ("Problem", object(json!({ "detail": detail() }))),
        (
            "LoginError",
            object(
                json!({ "detail": detail(), "code": { "type": "string", "description": "`token_not_valid` where a token was given" } }),
            ),
        ),
        (
            "PermissionError",
            object(
                json!({ "detail": detail(), "required_permission": { "type": "string", "description": "the codename that would help" } }),
            ),
        ),
        ("ServerError", {
            let mut schema = object(json!({
                "detail": detail(),
                "error": { "type": "string", "description": "what failed, for machines" },
                "request_id": { "type": "string", "description": "what to look for in the log" },
            }));
            schema["required"] = json!(["detail", "request_id"]);
            schema
        }),
    ]
}
