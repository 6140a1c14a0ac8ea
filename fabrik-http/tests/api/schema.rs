//! The OpenAPI document.

use fabrik_http::server::{Access, declared_routes};
use openapiv3::{OpenAPI, ReferenceOr};
use serde_json::Value;

use crate::server::Server;

async fn document() -> Value {
    Server::start().await.get("/api/schema/").send().await.body
}

#[tokio::test]
async fn document_is_openapi_3_0_and_has_every_route() {
    let document = document().await;
    let parsed: OpenAPI = serde_json::from_value(document.clone()).unwrap();

    assert_eq!(parsed.openapi, "3.0.3");
    let mut documented = 0;
    for path in parsed.paths.paths.values() {
        let ReferenceOr::Item(path) = path else { panic!("paths are written out") };
        documented += path.iter().count();
    }
    let routes = declared_routes();
    assert_eq!(documented, routes.len());
    for route in routes {
        let operation = &document["paths"][&route.path][route.method.as_str().to_lowercase()];
        let name = format!("{} {}", route.method, route.path);
        assert!(operation.is_object(), "{name}");
        assert!(!operation["summary"].as_str().unwrap().is_empty(), "{name}");
        let statuses: Vec<_> = operation["responses"].as_object().unwrap().keys().map(String::as_str).collect();
        let success = if route.path.starts_with("/ws/") { &["101"][..] } else { &["2", "3"] };
        let is_success = |status: &str| success.iter().any(|start| status.starts_with(start));
        assert!(statuses.iter().any(|status| is_success(status)), "{name}: {statuses:?}");
        assert!(["429", "500"].iter().all(|status| statuses.contains(status)), "{name}: {statuses:?}");
        let is_public = route.access == Access::Public;
        assert_eq!(operation["security"] == serde_json::json!([]), is_public, "{name}");
        assert!(is_public || statuses.contains(&"401"), "{name}");
    }
}

#[tokio::test]
async fn references_lead_somewhere_and_nothing_is_of_a_later_version() {
    let document = document().await;
    let mut stack = vec![&document];

    while let Some(value) = stack.pop() {
        match value {
            Value::Object(object) => {
                if let Some(reference) = object.get("$ref").and_then(Value::as_str) {
                    let pointer = reference.strip_prefix('#').unwrap();
                    assert!(document.pointer(pointer).is_some(), "{reference}");
                    assert_eq!(object.len(), 1, "siblings of a reference are ignored in 3.0: {value}");
                }
                assert!(!object.get("type").is_some_and(Value::is_array), "{value}");
                assert!(!object.contains_key("const") && !object.contains_key("prefixItems"), "{value}");
                stack.extend(object.values());
            }
            Value::Array(items) => stack.extend(items),
            _ => {}
        }
    }
}

#[tokio::test]
async fn document_comes_as_yaml_on_request() {
    let server = Server::start().await;

    let yaml = server.get("/api/schema/").header("accept", "application/yaml").send().await;

    assert_eq!(yaml.header("content-type"), "application/yaml");
    assert!(yaml.text.contains("\"openapi\": \"3.0.3\"\n"));
}

#[tokio::test]
async fn hidden_fields_are_taken_and_never_given() {
    let document = document().await;
    let schemas = &document["components"]["schemas"];

    assert!(schemas["UserCreate"]["properties"]["password"].is_object());
    for name in ["User", "UserPatch", "UserReplace", "UserProfile"] {
        assert!(schemas[name].is_object() && schemas[name]["properties"].get("password").is_none(), "{name}");
    }
}
