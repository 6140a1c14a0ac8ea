//! Every route, called by everybody: who is let in follows from the declaration alone.

use fabrik_http::server::{Access, declared_routes};
use serde_json::json;

use crate::server::Server;

/// Who calls, and whether the declaration lets them in.
struct Role {
    name: &'static str,
    token: Option<String>,
    allowed: fn(&Access) -> bool,
}

/// Puts an id that is not there into a path: what is refused is refused before anything is looked for.
fn filled(path: &str) -> String {
    path.replace("{id}", "987654")
        .replace("{name}", "nothing")
        .replace("{job_id}", "018f0000-0000-7000-8000-000000000000")
}

/// Adds a user who holds every permission whose codename has `part` in it, and logs in.
async fn holder(server: &Server, root: &str, name: &str, part: &str) -> String {
    let id = server.user(name, false).await;
    let found = server.get(&format!("/api/auth/permissions/?page_size=200&search={part}")).token(root).send().await;
    assert_eq!(found.body["next"], serde_json::Value::Null, "all fit on one page");
    let ids: Vec<_> = found.body["results"].as_array().unwrap().iter().map(|one| one["id"].clone()).collect();
    assert!(!ids.is_empty());
    let path = format!("/api/auth/management/{id}/");
    let changed = server.call("PATCH", &path).token(root).json(&json!({ "permission_ids": ids })).send().await;
    assert_eq!(changed.status, 200, "{}", changed.text);
    server.login(name).await.0
}

#[tokio::test]
async fn every_route_lets_in_whom_its_declaration_names() {
    // What is off is refused to everybody.
    let server = Server::with(&[("auth.allow_registration", "true")]).await;
    let root = server.token("root", true).await;
    let roles = [
        Role { name: "anonymous", token: None, allowed: |access| *access == Access::Public },
        Role {
            name: "a user",
            token: Some(server.token("mara", false).await),
            allowed: |access| matches!(access, Access::Public | Access::Login),
        },
        Role {
            name: "a viewer",
            token: Some(holder(&server, &root, "viewer", "view_").await),
            allowed: |access| match access {
                Access::Permission(codename) => codename.contains(".view_"),
                other => matches!(other, Access::Public | Access::Login),
            },
        },
        Role {
            name: "an owner of all permissions",
            token: Some(holder(&server, &root, "owner", "").await),
            allowed: |access| *access != Access::Admin,
        },
        Role { name: "an administrator", token: Some(root), allowed: |_| true },
    ];
    let routes = declared_routes();
    assert!(routes.len() > 30, "{}", routes.len());

    for route in &routes {
        for role in &roles {
            // The last calls of a role would end its session.
            if route.path == "/api/auth/logout/" {
                continue;
            }
            let mut call = server.call(route.method.as_str(), &filled(&route.path));
            if let Some(token) = &role.token {
                call = call.token(token);
            }
            let reply = call.json(&json!({})).send().await;
            let name = format!("{} {} as {}: {} {}", route.method, route.path, role.name, reply.status, reply.text);
            assert!(reply.status < 500, "{name}");
            if (role.allowed)(&route.access) {
                assert!(![401, 403].contains(&reply.status), "{name}");
            } else {
                assert_eq!(reply.status, if role.token.is_none() { 401 } else { 403 }, "{name}");
            }
        }
    }
}

#[tokio::test]
async fn what_is_public_is_a_short_list() {
    let public: Vec<_> = declared_routes()
        .into_iter()
        .filter(|route| route.access == Access::Public)
        .map(|route| format!("{} {}", route.method, route.path))
        .collect();

    let expected = [
        "POST /api/auth/email/verify/",
        "POST /api/auth/ldap-login/",
        "POST /api/auth/login/",
        "POST /api/auth/mfa-login/",
        "GET /api/auth/oidc/providers/",
        "POST /api/auth/oidc/token/",
        "GET /api/auth/oidc/{name}/callback/",
        "GET /api/auth/oidc/{name}/login/",
        "POST /api/auth/password-reset/",
        "POST /api/auth/password-reset/confirm/",
        "POST /api/auth/register/",
        "POST /api/auth/setup/",
        "POST /api/auth/token/refresh/",
        "POST /api/auth/token/verify/",
        "GET /api/dashboard/platform-info/",
        "GET /api/docs/",
        "GET /api/docs/assets/{name}/",
        "GET /api/health/",
        "GET /api/health/ready/",
        "GET /api/redoc/",
        "GET /api/schema/",
        "GET /metrics/",
        "GET /reset/",
        "GET /setup/",
        "GET /signed-in/",
        "GET /verify-email/",
        "GET /ws/chain-execution/{job_id}/",
        "GET /ws/notifications/",
    ];
    assert_eq!(public, expected);
}
