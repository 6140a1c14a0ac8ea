//! Headers of answers: ids, tags, what protects browsers.

use crate::server::Server;

#[tokio::test]
async fn every_answer_has_an_id_and_short_plain_ones_are_taken_over() {
    let server = Server::start().await;
    let id = async |given: &str| {
        let reply = server.get("/api/nothing/").header("x-request-id", given).send().await;
        reply.header("x-request-id").to_owned()
    };

    assert_eq!(id("abc-1.2_X").await, "abc-1.2_X");
    for bad in ["", "with space", "<script>", &"x".repeat(65)] {
        let made = id(bad).await;
        assert!(made != bad && made.len() == 36, "{bad}: {made}");
    }
}

#[tokio::test]
async fn unchanged_answers_are_not_sent_again() {
    let server = Server::start().await;
    let token = server.token("mara", false).await;
    let get = || server.get("/api/auth/profile/").token(&token);

    let first = get().send().await;
    let tag = first.header("etag").to_owned();
    assert!(tag.starts_with("W/\""));
    let second = get().header("if-none-match", &tag).send().await;
    assert_eq!((second.status, second.text.as_str(), second.header("etag")), (304, "", tag.as_str()));
    assert!(!second.header("x-request-id").is_empty());
    assert_eq!(get().header("if-none-match", "\"other\"").send().await.status, 200);
    // An error is no content to keep.
    assert_eq!(server.get("/api/auth/profile/").header("if-none-match", "*").send().await.status, 401);
}

#[tokio::test]
async fn answers_are_compressed_on_request() {
    let server = Server::start().await;

    let plain = server.get("/api/schema/").send().await;
    let packed = server.get("/api/schema/").header("accept-encoding", "gzip").send().await;

    assert_eq!((plain.header("content-encoding"), packed.header("content-encoding")), ("", "gzip"));
    assert!(packed.text.len() < plain.text.len() / 2);
}

#[tokio::test]
async fn browsers_are_told_what_not_to_do() {
    let server = Server::start().await;
    let reply = server.get("/api/nothing/").send().await;

    for (name, value) in [
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
        ("referrer-policy", "strict-origin-when-cross-origin"),
        ("content-security-policy", "default-src 'none'; frame-ancestors 'none'"),
        ("server", "fabrik"),
        ("cache-control", "private, no-cache"),
    ] {
        assert_eq!(reply.header(name), value, "{name}");
    }
    assert!(!reply.header("permissions-policy").is_empty());
    assert_eq!(reply.header("strict-transport-security"), "");
    let secure = Server::with(&[("site_url", "https://fab.lab")]).await;
    assert!(!secure.get("/api/nothing/").send().await.header("strict-transport-security").is_empty());
}

#[tokio::test]
async fn other_origins_may_call_only_where_told() {
    let closed = Server::start().await;
    let open = Server::with(&[("cors_origins", "https://ui.lab, http://localhost:3000")]).await;
    let allowed = async |server: &Server, origin: &str| {
        let call = server.call("OPTIONS", "/api/auth/profile/").header("origin", origin);
        let reply = call.header("access-control-request-method", "GET").send().await;
        reply.header("access-control-allow-origin").to_owned()
    };

    assert_eq!(allowed(&closed, "https://ui.lab").await, "");
    assert_eq!(allowed(&open, "https://ui.lab").await, "https://ui.lab");
    assert_eq!(allowed(&open, "https://evil.lab").await, "");
}

#[tokio::test]
async fn pages_show_nothing_of_other_servers() {
    let server = Server::start().await;

    for (path, asset) in [
        ("/api/docs/", "swagger-ui-bundle.js"),
        ("/api/redoc", "redoc.standalone.js"),
        ("/reset/", "reset.js"),
        ("/setup/", "setup.js"),
        ("/verify-email/", "verify-email.js"),
    ] {
        let page = server.get(path).send().await;
        assert_eq!(page.status, 200);
        assert!(page.header("content-security-policy").starts_with("default-src 'self';"));
        assert!(page.text.contains(asset) && !page.text.contains("http"), "{path}");
        let file = server.get(&format!("/api/docs/assets/{asset}")).send().await;
        assert_eq!((file.status, file.header("content-type")), (200, "text/javascript; charset=utf-8"));
        assert!(!file.text.is_empty());
    }
}
