//! Logging in by a provider: a real one (npm's `oidc-provider`, started by the test), and one that lies on demand.

pub(crate) mod fake;
mod real;

use std::time::Duration;

use fake::{Fake, Lie};
use real::RealProvider;
use serde_json::{Value, json};
use url::Url;

use crate::server::{PASSWORD, Reply, Server};

/// A login that was begun: where the browser was sent, and what it keeps.
struct Begun {
    url: Url,
    cookie: String,
}

impl Begun {
    fn parameter(&self, name: &str) -> String {
        let mut pairs = self.url.query_pairs();
        pairs.find(|(key, _)| key == name).map_or_else(String::new, |(_, value)| value.into_owned())
    }
}

async fn begin(server: &Server, path: &str) -> Begun {
    let reply = server.get(path).send().await;
    assert_eq!(reply.status, 302, "{}", reply.text);
    let cookie = reply.header("set-cookie");
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Lax"), "{cookie}");
    let cookie = cookie.split(';').next().unwrap().to_owned();
    Begun { url: reply.header("location").parse().unwrap(), cookie }
}

/// Comes back from the provider and returns what stands behind the hash.
async fn come_back(server: &Server, provider: &str, query: &str, cookie: &str) -> Vec<(String, String)> {
    let path = format!("/api/auth/oidc/{provider}/callback/?{query}");
    let reply = server.get(&path).header("cookie", cookie).send().await;
    assert_eq!((reply.status, reply.header("cache-control")), (302, "no-store"), "{}", reply.text);
    let (page, fragment) = reply.header("location").split_once('#').unwrap();
    assert_eq!((page, reply.header("referrer-policy")), ("/signed-in/", "no-referrer"));
    url::form_urlencoded::parse(fragment.as_bytes()).into_owned().collect()
}

async fn trade(server: &Server, code: &str, cookie: &str) -> Reply {
    let body = json!({ "code": code });
    server.post("/api/auth/oidc/token/").header("cookie", cookie).json(&body).send().await
}

/// Logs in by the provider that does as it is told, and returns the reply with tokens, or the word of the refusal.
async fn log_in(server: &Server, fake: &Fake, lie: Lie) -> Result<Reply, String> {
    let begun = begin(server, "/api/auth/oidc/corp/login/").await;
    fake.expect(&begun.parameter("nonce"), lie);
    let state = begun.parameter("state");
    let told = come_back(server, "corp", &format!("code=abc&state={state}"), &begun.cookie).await;
    match &told[0] {
        (key, code) if key == "code" => Ok(trade(server, code, &begun.cookie).await),
        (_, error) => Err(error.clone()),
    }
}

fn claims(subject: &str, name: &str) -> Value {
    json!({ "sub": subject, "preferred_username": name, "groups": ["staff"] })
}

#[tokio::test]
async fn a_real_provider_lets_users_in_and_the_first_login_makes_the_account() {
    let provider = RealProvider::start("http://fab.lab/api/auth/oidc/corp/callback/");
    let settings = provider.settings();
    let settings: Vec<_> = settings.iter().map(|(key, value)| (*key, value.as_str())).collect();
    let server = Server::with(&settings).await;

    let listed = server.get("/api/auth/oidc/providers/").send().await;
    let corp = json!({ "name": "corp", "label": "Corporate login", "login_url": "/api/auth/oidc/corp/login/" });
    assert_eq!(listed.body, json!({ "providers": [corp] }));
    let mut ids = Vec::new();
    for _ in 0..2 {
        let begun = begin(&server, "/api/auth/oidc/corp/login/?next=/queries/7/").await;
        assert_eq!(begun.parameter("code_challenge_method"), "S256");
        let back = real::Browser::default().log_in(&begun.url, "sub-mara").await;
        assert_eq!(back.path(), "/api/auth/oidc/corp/callback/");
        let told = come_back(&server, "corp", back.query().unwrap(), &begun.cookie).await;
        assert_eq!(told[1], ("next".into(), "/queries/7/".into()));
        let reply = trade(&server, &told[0].1, &begun.cookie).await;
        assert_eq!((reply.status, &reply.body["user"]["is_admin"]), (200, &json!(true)), "{}", reply.text);
        let token = reply.body["access"].as_str().unwrap();
        let user = server.get("/api/auth/profile/").token(token).send().await.body;
        assert_eq!((&user["username"], &user["auth_source"]), (&json!("mara"), &json!("oidc")));
        assert_eq!((&user["email"], &user["last_name"]), (&json!("mara@idp.example"), &json!("Lind")));
        ids.push(user["id"].clone());
    }
    assert_eq!(ids[0], ids[1]);

    // Somebody whose name a local account has gets neither that account nor another.
    server.user("root", true).await;
    for (subject, word) in [("sub-taken", "error=name"), ("sub-ben", "code=")] {
        let begun = begin(&server, "/api/auth/oidc/corp/login/").await;
        let back = real::Browser::default().log_in(&begun.url, subject).await;
        let told = come_back(&server, "corp", back.query().unwrap(), &begun.cookie).await;
        assert!(format!("{}={}", told[0].0, told[0].1).starts_with(word), "{subject}: {told:?}");
    }
    let root = server.login("root").await.0;
    let ben = server.get("/api/auth/management/?username=ben").token(&root).send().await.body;
    // An address that the provider did not check is not taken over.
    assert_eq!((&ben["results"][0]["email"], &ben["results"][0]["is_admin"]), (&json!(""), &json!(false)));
}

#[tokio::test]
async fn a_good_token_of_the_other_provider_lets_in() {
    let fake = Fake::start().await;
    let server = Server::with(&fake.settings()).await;

    let reply = log_in(&server, &fake, Lie::None(claims("1", "mara"))).await.unwrap();

    assert_eq!((reply.status, &reply.body["user"]["username"]), (200, &json!("mara")), "{}", reply.text);
    let form = fake.last_form();
    assert_eq!(form["grant_type"], "authorization_code");
    assert_eq!(form["redirect_uri"], "http://fab.lab/api/auth/oidc/corp/callback/");
}

#[tokio::test]
async fn the_verifier_is_the_one_of_the_challenge() {
    use base64::Engine;
    use sha2::Digest;
    let fake = Fake::start().await;
    let server = Server::with(&fake.settings()).await;
    let begun = begin(&server, "/api/auth/oidc/corp/login/").await;
    fake.expect(&begun.parameter("nonce"), Lie::None(claims("1", "mara")));

    come_back(&server, "corp", &format!("code=abc&state={}", begun.parameter("state")), &begun.cookie).await;

    let verifier = fake.last_form()["code_verifier"].clone();
    let hash = sha2::Sha256::digest(verifier.as_bytes());
    assert_eq!(base64::prelude::BASE64_URL_SAFE_NO_PAD.encode(hash), begun.parameter("code_challenge"));
}

#[tokio::test]
async fn tokens_that_are_not_right_let_nobody_in() {
    let fake = Fake::start().await;
    let server = Server::with(&fake.settings()).await;

    for (name, lie) in [
        ("another nonce", Lie::Nonce),
        ("no nonce", Lie::NoNonce),
        ("another key", Lie::OtherKey),
        ("no signature", Lie::NoSignature),
        ("the secret as key", Lie::SecretAsKey),
        ("another audience", Lie::Claim("aud", json!("others"))),
        ("several audiences", Lie::Claim("aud", json!(["fabrik", "others"]))),
        ("another issuer", Lie::Claim("iss", json!("https://evil.example"))),
        ("expired", Lie::Claim("exp", json!(fake::now() - 1))),
        ("no ID token", Lie::NoIdToken),
        ("the claims of somebody else", Lie::OtherUserInfo),
        ("an error", Lie::Refusal),
    ] {
        let denied = log_in(&server, &fake, lie).await;
        assert_eq!(denied.err().as_deref(), Some("invalid"), "{name}");
    }
    let root = server.token("root", true).await;
    assert_eq!(server.get("/api/auth/management/").token(&root).send().await.body["count"], 1);
}

#[tokio::test]
async fn a_login_is_good_once_in_its_browser_and_for_ten_minutes() {
    let fake = Fake::start().await;
    let server = Server::with(&fake.settings()).await;
    let expired = vec![("error".to_owned(), "expired".to_owned())];
    let begin = async || {
        let begun = begin(&server, "/api/auth/oidc/corp/login/").await;
        fake.expect(&begun.parameter("nonce"), Lie::None(claims("1", "mara")));
        let query = format!("code=abc&state={}", begun.parameter("state"));
        (begun, query)
    };

    let (begun, query) = begin().await;
    assert_eq!(come_back(&server, "corp", "code=abc&state=guess", &begun.cookie).await, expired);
    assert_eq!(come_back(&server, "corp", "code=abc", &begun.cookie).await, expired);
    // Whoever sends somebody else the end of their own login logs nobody in.
    assert_eq!(come_back(&server, "corp", &query, "").await, expired);
    assert_eq!(come_back(&server, "corp", &query, "fabrik_oidc=other").await, expired);
    assert_eq!(come_back(&server, "corp", &query, &begun.cookie).await[0].0, "code");
    assert_eq!(come_back(&server, "corp", &query, &begun.cookie).await, expired);

    let (begun, query) = begin().await;
    server.clock.advance(Duration::from_secs(601));
    assert_eq!(come_back(&server, "corp", &query, &begun.cookie).await, expired);

    let (begun, query) = begin().await;
    let wrong_issuer = format!("{query}&iss=https://evil.example");
    let told = come_back(&server, "corp", &wrong_issuer, &begun.cookie).await;
    assert_eq!(told[0].1, "invalid");

    let (begun, _) = begin().await;
    let state = begun.parameter("state");
    let told = come_back(&server, "corp", &format!("error=access_denied&state={state}"), &begun.cookie).await;
    assert_eq!(told[0].1, "denied");
}

#[tokio::test]
async fn a_login_by_a_provider_begins_on_one_server_and_ends_on_others() {
    let fake = Fake::start().await;
    let folder = tempfile::tempdir().unwrap();
    let file = format!("sqlite:{}", folder.path().join("state.db").display());
    let settings = [&fake.settings()[..], &[("database", &*file)]].concat();
    let one = Server::with(&settings).await;
    let (other, third) = (one.another().await, one.another().await);
    let begun = begin(&one, "/api/auth/oidc/corp/login/").await;
    fake.expect(&begun.parameter("nonce"), Lie::None(claims("1", "mara")));
    let query = format!("code=abc&state={}", begun.parameter("state"));

    let code = come_back(&other, "corp", &query, &begun.cookie).await.remove(0);
    let reply = trade(&third, &code.1, &begun.cookie).await;

    assert_eq!((code.0.as_str(), reply.status), ("code", 200), "{}", reply.text);
    assert_eq!(reply.body["user"]["username"], "mara");
    assert_eq!(trade(&one, &code.1, &begun.cookie).await.status, 401, "what was used there is used here");
    assert_eq!(come_back(&one, "corp", &query, &begun.cookie).await[0].1, "expired");
    let access = reply.body["access"].as_str().unwrap();
    assert_eq!(one.get("/api/auth/profile/").token(access).send().await.status, 200);
}

#[tokio::test]
async fn a_code_is_good_once_in_its_browser_and_for_a_minute() {
    let fake = Fake::start().await;
    let server = Server::with(&fake.settings()).await;
    let code = async || {
        let begun = begin(&server, "/api/auth/oidc/corp/login/").await;
        fake.expect(&begun.parameter("nonce"), Lie::None(claims("1", "mara")));
        let query = format!("code=abc&state={}", begun.parameter("state"));
        (come_back(&server, "corp", &query, &begun.cookie).await[0].1.clone(), begun.cookie)
    };

    let (first, cookie) = code().await;
    assert_eq!(trade(&server, &first, "").await.status, 401);
    assert_eq!(trade(&server, &first, "fabrik_oidc=other").await.status, 401);
    assert_eq!(trade(&server, &first, &cookie).await.status, 200);
    assert_eq!(trade(&server, &first, &cookie).await.status, 401);
    let (second, cookie) = code().await;
    server.clock.advance(Duration::from_secs(61));
    assert_eq!(trade(&server, &second, &cookie).await.status, 401);
}

#[tokio::test]
async fn only_paths_of_this_server_are_gone_to() {
    let fake = Fake::start().await;
    let server = Server::with(&fake.settings()).await;

    for (next, gone) in [("/a?b=c", "/a?b=c"), ("//evil.example", "/"), ("https://evil.example", "/"), ("/\\evil", "/")]
    {
        let next: String = url::form_urlencoded::byte_serialize(next.as_bytes()).collect();
        let begun = begin(&server, &format!("/api/auth/oidc/corp/login/?next={next}")).await;
        fake.expect(&begun.parameter("nonce"), Lie::None(claims("1", "mara")));
        let query = format!("code=abc&state={}", begun.parameter("state"));
        assert_eq!(come_back(&server, "corp", &query, &begun.cookie).await[1].1, gone);
    }
}

#[tokio::test]
async fn an_account_follows_the_subject_and_never_a_name_or_an_address() {
    let fake = Fake::start().await;
    let server = Server::with(&fake.settings()).await;
    server.user("mara", false).await;
    let told = |subject: &str, name: &str| {
        let mut told = claims(subject, name);
        told["email"] = json!("mara@lab.example");
        told["email_verified"] = json!(true);
        Lie::None(told)
    };

    assert_eq!(log_in(&server, &fake, told("1", "Mara")).await.err().as_deref(), Some("name"));
    let first = log_in(&server, &fake, told("1", "mara2")).await.unwrap();
    // Another name of the same subject is the same account, under the name that it was made with.
    let second = log_in(&server, &fake, told("1", "mara")).await.unwrap();
    assert_eq!(first.body["user"], second.body["user"]);
    assert_eq!(log_in(&server, &fake, told("2", "mara2")).await.err().as_deref(), Some("name"));
    assert_eq!(server.try_login("mara", PASSWORD).await.status, 200);
}

#[tokio::test]
async fn who_may_log_in_and_who_administers_follows_the_groups() {
    let fake = Fake::start().await;
    let mut settings = fake.settings();
    settings.extend([("oidc.corp.require_group", "staff"), ("oidc.corp.admin_group", "admins")]);
    let server = Server::with(&settings).await;
    let with = |groups: Value| Lie::None(json!({ "sub": "1", "preferred_username": "mara", "groups": groups }));

    assert_eq!(log_in(&server, &fake, with(json!([]))).await.err().as_deref(), Some("not_allowed"));
    for (groups, is_admin) in [(json!(["staff"]), false), (json!(["staff", "admins"]), true), (json!("staff"), false)] {
        let reply = log_in(&server, &fake, with(groups)).await.unwrap();
        assert_eq!(reply.body["user"]["is_admin"], is_admin, "{}", reply.text);
    }
}

#[tokio::test]
async fn without_signup_and_when_switched_off_nobody_comes_in() {
    let fake = Fake::start().await;
    let mut settings = fake.settings();
    let server = Server::with(&settings).await;
    let id = log_in(&server, &fake, Lie::None(claims("1", "mara"))).await.unwrap().body["user"]["id"].clone();
    let root = server.token("root", true).await;
    let path = format!("/api/auth/management/{id}/");
    server.call("PATCH", &path).token(&root).json(&json!({ "is_active": false })).send().await;
    assert_eq!(log_in(&server, &fake, Lie::None(claims("1", "mara"))).await.err().as_deref(), Some("not_allowed"));

    settings.push(("oidc.corp.allow_signup", "false"));
    let closed = Server::with(&settings).await;
    assert_eq!(log_in(&closed, &fake, Lie::None(claims("1", "mara"))).await.err().as_deref(), Some("not_allowed"));
}

#[tokio::test]
async fn a_provider_without_id_tokens_is_asked_who_it_is() {
    let fake = Fake::start().await;
    let server = Server::with(&fake.plain_settings()).await;
    let log_in = async |user: Value| {
        let begun = begin(&server, "/api/auth/oidc/forge/login/").await;
        assert_eq!(begun.parameter("scope"), "read:user");
        fake.expect("", Lie::None(user));
        let query = format!("code=abc&state={}", begun.parameter("state"));
        let told = come_back(&server, "forge", &query, &begun.cookie).await;
        (told[0].0.clone(), trade(&server, &told[0].1, &begun.cookie).await)
    };

    let (_, first) = log_in(json!({ "id": 583_231, "login": "octo", "name": "Octo Cat" })).await;
    assert_eq!((first.status, &first.body["user"]["username"]), (200, &json!("octo")), "{}", first.text);
    let (_, second) = log_in(json!({ "id": 583_231, "login": "renamed" })).await;
    assert_eq!(second.body["user"], first.body["user"]);
    assert_eq!(fake.last_form()["client_secret"], fake::SECRET);
    assert_eq!(log_in(json!({ "login": "octo" })).await.0, "error");
}

#[tokio::test]
async fn a_provider_that_is_away_or_unknown_is_told() {
    let away = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let issuer = format!("http://{away}");
    let server = Server::with(&[("oidc.corp.issuer", &issuer), ("oidc.corp.client_id", "fabrik")]).await;

    let reply = server.get("/api/auth/oidc/corp/login/").send().await;
    assert_eq!((reply.status, &reply.body["error"]), (503, &json!("oidc_unavailable")));
    for path in ["/api/auth/oidc/other/login/", "/api/auth/oidc/other/callback/"] {
        assert_eq!(server.get(path).send().await.status, 404, "{path}");
    }
}
