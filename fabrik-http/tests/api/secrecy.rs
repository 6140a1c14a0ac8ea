//! No secret is told: not by `config check`, not by errors, not by a log of everything.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::process::Command;

use serde_json::json;

use crate::ldap::slapd::{Slapd, Tls};
use crate::oidc::fake::{Fake, Lie, SECRET};
use crate::served::{command, folder};

const MARKER: &str = "Marker-3f9c2a71-of-a-Secret";

/// Ends a process that a failing test left.
struct Running(std::process::Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_logs_everything_logs_no_secret() {
    let (slapd, fake) = (Slapd::start(Tls::None), Fake::start().await);
    let place = folder();
    let mut arguments = vec!["serve".to_owned(), "--listen".to_owned(), "127.0.0.1:0".to_owned()];
    let mut set = |key: &str, value: &str| arguments.extend(["--set".to_owned(), format!("{key}={value}")]);
    for (key, value) in slapd.settings() {
        set(key, &value);
    }
    for (key, value) in fake.settings() {
        set(key, value);
    }
    set("log.filter", "trace");
    // The collector's address answers with 404, so its refusal is logged, too.
    set("telemetry.otlp_endpoint", fake.settings()[0].1);
    set("telemetry.otlp_headers", &format!("authorization={MARKER}"));
    set("admin.username", "root");
    set("admin.password", MARKER);
    set("secret_key", &format!("{MARKER} {MARKER}"));
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    let mut process = command(place.path(), &arguments);
    process.stderr(File::create(place.path().join("log")).unwrap());
    let mut child = Running(process.spawn().unwrap());
    let mut printed = Vec::new();
    let mut lines = BufReader::new(child.0.stdout.take().unwrap()).lines();
    while !printed.last().is_some_and(|line: &String| line.starts_with("serving ")) {
        printed.push(lines.next().unwrap().unwrap());
    }
    let address = printed.last().unwrap().trim_start_matches("serving ").trim_end_matches("/api/docs/").to_owned();

    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let mut told = vec![MARKER.to_owned(), SECRET.to_owned(), "'s password".to_owned(), "an access token".to_owned()];
    let post = async |path: &str, body: serde_json::Value, cookie: &str| {
        let request = client.post(format!("{address}{path}")).header("content-type", "application/json");
        let reply = request.header("cookie", cookie).body(body.to_string()).send().await.unwrap();
        assert_eq!(reply.status(), 200, "{path}");
        let tokens: serde_json::Value = serde_json::from_str(&reply.text().await.unwrap()).unwrap();
        ["access", "refresh"].map(|kind| tokens[kind].as_str().unwrap().to_owned())
    };
    told.extend(post("/api/auth/login/", json!({ "username": "root", "password": MARKER }), "").await);
    let mara = json!({ "username": "mara", "password": "mara's password" });
    let tokens = post("/api/auth/ldap-login/", mara, "").await;
    let token = tokens[1].clone();
    told.extend(tokens);
    told.extend(post("/api/auth/token/refresh/", json!({ "refresh": token }), "").await);
    let begun = client.get(format!("{address}/api/auth/oidc/corp/login/")).send().await.unwrap();
    let location: url::Url = begun.headers()["location"].to_str().unwrap().parse().unwrap();
    let parameter = |name: &str| location.query_pairs().find(|(key, _)| key == name).unwrap().1.into_owned();
    let cookie = begun.headers()["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
    // This server has the time of the machine.
    let user = json!({ "sub": "1", "preferred_username": "octo", "exp": chrono::Utc::now().timestamp() + 60 });
    fake.expect(&parameter("nonce"), Lie::None(user));
    let back = format!("{address}/api/auth/oidc/corp/callback/?code=Code-of-the-Provider&state={}", parameter("state"));
    let landed = client.get(back).header("cookie", &cookie).send().await.unwrap();
    let fragment = landed.headers()["location"].to_str().unwrap().split_once('#').unwrap().1.to_owned();
    let code = fragment.strip_prefix("code=").unwrap().split('&').next().unwrap().to_owned();
    told.extend(post("/api/auth/oidc/token/", json!({ "code": code }), &cookie).await);
    let kept = cookie.split_once('=').unwrap().1.to_owned();
    told.extend([code, kept, "Code-of-the-Provider".to_owned(), parameter("state"), parameter("nonce")]);

    let stopped = Command::new("kill").args(["-TERM", &child.0.id().to_string()]).status().unwrap();
    assert!(stopped.success() && child.0.wait().unwrap().success());
    printed.extend(lines.map(Result::unwrap));
    let log = fs::read_to_string(place.path().join("log")).unwrap();
    assert!(log.contains("answered") && log.contains("TRACE"), "everything is logged");
    for secret in told {
        assert!(!printed.join("\n").contains(&secret), "{secret} is printed");
        let line = log.lines().find(|line| line.contains(&secret));
        assert!(line.is_none(), "{secret} is logged: {line:?}");
    }
}

#[test]
fn config_check_knows_every_secret_as_one() {
    let values = [
        ("admin.password", MARKER.to_owned()),
        ("database", format!("postgres://fabrik:{MARKER}@127.0.0.1/fabrik")),
        ("ldap.bind_password", MARKER.to_owned()),
        ("oauth2.forge.client_secret", MARKER.to_owned()),
        ("oidc.corp.client_secret", MARKER.to_owned()),
        ("secret_key", format!("{MARKER} {MARKER}")),
        ("telemetry.otlp_headers", format!("authorization={MARKER}")),
    ];
    let others = [
        ("admin.username", "root"),
        ("ldap.url", "ldap://dir.lab"),
        ("ldap.bind_dn", "cn=reader"),
        ("ldap.user_base", "dc=lab"),
        ("oidc.corp.issuer", "https://login.lab"),
        ("oidc.corp.client_id", "fabrik"),
        ("oauth2.forge.authorize_url", "https://forge.lab/a"),
        ("oauth2.forge.token_url", "https://forge.lab/t"),
        ("oauth2.forge.userinfo_url", "https://forge.lab/u"),
        ("oauth2.forge.client_id", "fabrik"),
        ("telemetry.otlp_endpoint", "http://collector.lab"),
    ];
    let mut pairs: Vec<String> = others.iter().map(|(key, value)| format!("{key}={value}")).collect();
    pairs.extend(values.iter().map(|(key, value)| format!("{key}={value}")));
    let check = |last: Option<&str>| {
        let set = pairs.iter().map(String::as_str).chain(last).flat_map(|pair| ["--set", pair]);
        let arguments: Vec<_> = ["config", "check"].into_iter().chain(set).collect();
        let output = command(folder().path(), &arguments).output().unwrap();
        let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        (output.status.code(), text.concat())
    };

    let (code, text) = check(None);
    assert_eq!(code, Some(0), "{text}");
    assert_eq!(text.matches("********").count(), values.len(), "{text}");
    assert!(!text.contains("Marker"), "{text}");
    // With a value that makes no sense, for those that can have one.
    for pair in ["secret_key=Marker", "telemetry.otlp_headers=Marker", "database=Marker://x"] {
        let (code, text) = check(Some(pair));
        assert_eq!(code, Some(2), "{text}");
        assert!(!text.contains("Marker"), "{text}");
    }
}
