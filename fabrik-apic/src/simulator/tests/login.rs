//! Sessions: how they begin, go on and end.

use std::time::Duration;

use reqwest::header::{COOKIE, SET_COOKIE};

use super::{Client, start, start_with, token_of};
use crate::simulator::{SimulatorOptions, SimulatorUser};

const QUERY: &str = "/api/class/fvTenant.json";
const TIMEOUT: &str = "Token was invalid (Error: Token timeout)";

#[tokio::test]
async fn login_answers_all_attributes_that_clients_read() {
    let simulator = start();
    let mut client = Client::new(&simulator);

    let login = client.log_in().await;

    let object = &login.json()["imdata"][0]["aaaLogin"];
    let attributes = object["attributes"].as_object().unwrap();
    for name in [
        "token",
        "siteFingerprint",
        "refreshTimeoutSeconds",
        "maximumLifetimeSeconds",
        "guiIdleTimeoutSeconds",
        "restTimeoutSeconds",
        "creationTime",
        "firstLoginTime",
        "userName",
        "remoteUser",
        "unixUserId",
        "sessionId",
        "lastName",
        "firstName",
        "changePassword",
        "version",
        "buildTime",
        "node",
    ] {
        assert!(attributes[name].is_string(), "{name} in {attributes:?}");
    }
    assert_eq!(attributes["refreshTimeoutSeconds"], "600");
    assert_eq!(attributes["userName"], "admin");
    assert!(attributes["creationTime"].as_str().unwrap().parse::<u64>().is_ok());
    let children = object["children"].as_array().unwrap();
    assert_eq!(children[0]["aaaUserDomain"]["attributes"]["name"], "all");
    assert_eq!(
        children[0]["aaaUserDomain"]["children"][1]["aaaWriteRoles"]["children"][0]["role"]["attributes"]["name"],
        "admin"
    );
    let tenants = client.get(QUERY).await.total_count();
    assert_eq!(children.iter().filter(|child| child.get("DnDomainMapEntry").is_some()).count(), tenants);
}

#[tokio::test]
async fn token_is_in_the_body_and_in_the_cookie() {
    let simulator = start();

    let login = Client::new(&simulator).log_in().await;

    let cookie = login.headers[SET_COOKIE].to_str().unwrap();
    assert!(cookie.starts_with(&format!("APIC-cookie={};", token_of(&login))), "{cookie}");
    assert!(cookie.contains("HttpOnly") && !cookie.contains("Secure"), "{cookie}");
}

#[tokio::test]
async fn xml_login_has_the_same_attributes() {
    let simulator = start();

    let login = Client::new(&simulator).post("/api/aaaLogin.xml", "<aaaUser name=\"admin\" pwd=\"simulator\" />").await;

    assert_eq!(login.status, 200);
    assert!(
        login.text.starts_with("<?xml version=\"1.0\" encoding=\"UTF-8\"?><imdata totalCount=\"1\"><aaaLogin token=\"")
    );
    for piece in [" version=\"", " userName=\"admin\"", " refreshTimeoutSeconds=\"600\"", "<aaaUserDomain name=\"all\""]
    {
        assert!(login.text.contains(piece), "{piece} in {}", login.text);
    }
}

#[tokio::test]
async fn wrong_name_password_or_domain_is_401_with_the_text_of_a_controller() {
    let simulator = start();
    let client = Client::new(&simulator);

    for (name, password) in
        [("admin", "wrong"), ("nobody", "simulator"), (r"apic:nowhere\admin", "simulator"), ("admin", "")]
    {
        let got = client.try_log_in(name, password).await;
        assert_eq!(got.status, 401, "{name}");
        assert_eq!(got.json()["imdata"][0]["error"]["attributes"]["code"], "401");
        assert_eq!(got.error_text(), "Username or password is incorrect - FAILED local authentication");
        assert!(!got.headers.contains_key(SET_COOKIE));
    }
    let no_password = r#"{"aaaUser":{"attributes":{"name":"admin"}}}"#;
    assert_eq!(client.post("/api/aaaLogin.json", no_password).await.status, 401);
}

#[tokio::test]
async fn login_body_that_is_none_is_400() {
    let simulator = start();
    let client = Client::new(&simulator);

    for (target, body) in [
        ("/api/aaaLogin.json", "{\"aaaUser\":"),
        ("/api/aaaLogin.json", ""),
        ("/api/aaaLogin.xml", "<aaa"),
        ("/api/aaaLogin.json", r#"{"fvTenant":{"attributes":{"name":"admin","pwd":"simulator"}}}"#),
    ] {
        assert_eq!(client.post(target, body).await.status, 400, "{body}");
    }
}

#[tokio::test]
async fn user_without_password_cannot_log_in_with_an_empty_one() {
    let simulator = start_with(SimulatorOptions::default().with_user(SimulatorUser::new("robot")));

    assert_eq!(Client::new(&simulator).try_log_in("robot", "").await.status, 401);
}

#[tokio::test]
async fn login_domains_are_listed_without_a_login_and_taken_before_the_name() {
    let simulator = start_with(SimulatorOptions::default().with_login_domains(["local", "tacacs"]));
    let client = Client::new(&simulator);

    let domains = client.get("/api/aaaListDomains.json").await;

    assert_eq!(domains.total_count(), 2);
    assert_eq!(domains.json()["imdata"][1]["name"], "tacacs");
    let login = client.try_log_in(r"apic:tacacs\admin", "simulator").await;
    assert_eq!(login.status, 200);
    assert_eq!(login.json()["imdata"][0]["aaaLogin"]["attributes"]["remoteUser"], "true");
}

#[tokio::test]
async fn request_without_a_token_and_with_a_wrong_one_are_told_apart() {
    let simulator = start();
    let mut client = Client::new(&simulator);

    let none = client.get(QUERY).await;
    client.token = Some("eyJhbGciOi".to_owned());
    let unknown = client.get(QUERY).await;

    assert_eq!((none.status, unknown.status), (403, 403));
    assert!(none.error_text().starts_with("Need a valid webtoken cookie (named APIC-Cookie) or a signed request"));
    assert_eq!(unknown.error_text(), TIMEOUT);
}

#[tokio::test]
async fn token_is_found_in_whatever_cookie_a_client_sends() {
    let simulator = start();
    let login = Client::new(&simulator).log_in().await;
    let (token, echoed) = (token_of(&login), login.headers[SET_COOKIE].to_str().unwrap().to_owned());
    let client = Client::new(&simulator);

    for cookie in [format!("APIC-Cookie={token}"), format!("x=1; apic-cookie={token}; y=2"), echoed] {
        let request = client.http.get(format!("{}{QUERY}", client.url)).header(COOKIE, &cookie);
        assert_eq!(client.send(request).await.unwrap().status, 200, "{cookie}");
    }
}

#[tokio::test]
async fn refresh_by_get_and_by_post_gives_a_new_token_and_prolongs() {
    let simulator = start();
    let mut client = Client::logged_in(&simulator).await;
    simulator.advance_sessions(Duration::from_secs(400));

    let first = client.get("/api/aaaRefresh.json").await;
    let second = client.post("/api/aaaRefresh.json", "").await;

    assert_ne!(token_of(&first), token_of(&second));
    simulator.advance_sessions(Duration::from_secs(400));
    assert_eq!(client.get(QUERY).await.status, 403);
    for token in [token_of(&first), token_of(&second)] {
        client.token = Some(token);
        assert_eq!(client.get(QUERY).await.status, 200);
    }
    assert!(second.headers[SET_COOKIE].to_str().unwrap().contains(&token_of(&second)));
}

#[tokio::test]
async fn token_ends_at_its_timeout_and_cannot_be_renewed_then() {
    let simulator = start_with(SimulatorOptions::default().with_refresh_timeout(Duration::from_secs(1000)));
    let client = Client::logged_in(&simulator).await;

    simulator.advance_sessions(Duration::from_secs(900));
    assert_eq!(client.get(QUERY).await.status, 200);
    simulator.advance_sessions(Duration::from_secs(100));

    let got = client.get(QUERY).await;
    assert_eq!((got.status, got.error_text().as_str()), (403, TIMEOUT));
    assert_eq!(client.get("/api/aaaRefresh.json").await.status, 403);
}

#[tokio::test]
async fn logout_ends_the_token() {
    let simulator = start();
    let client = Client::logged_in(&simulator).await;

    let body = r#"{"aaaUser":{"attributes":{"name":"admin"}}}"#;
    let logout = client.post("/api/aaaLogout.json", body).await;

    assert_eq!((logout.status, logout.total_count()), (200, 0));
    assert_eq!(client.get(QUERY).await.error_text(), TIMEOUT);
}

#[tokio::test]
async fn expired_tokens_are_gone_at_once_and_a_new_login_works() {
    let simulator = start();
    let mut client = Client::logged_in(&simulator).await;

    simulator.faults().expire_tokens();

    assert_eq!(client.get(QUERY).await.status, 403);
    client.log_in().await;
    assert_eq!(client.get(QUERY).await.status, 200);
}

#[tokio::test]
async fn challenged_session_wants_its_url_token_in_a_header_or_parameter() {
    let simulator = start();
    let mut client = Client::new(&simulator);
    let body = r#"{"aaaUser":{"attributes":{"name":"admin","pwd":"simulator"}}}"#;

    let login = client.post("/api/aaaLogin.json?gui-token-request=yes", body).await;

    let challenge = login.json()["imdata"][0]["aaaLogin"]["attributes"]["urlToken"].as_str().unwrap().to_owned();
    client.token = Some(token_of(&login));
    assert_eq!(client.get(QUERY).await.status, 403);
    assert_eq!(client.get(&format!("{QUERY}?challenge={challenge}")).await.status, 200);
    assert_eq!(client.get(&format!("{QUERY}?challenge=wrong")).await.status, 403);
    let request = client.http.get(format!("{}{QUERY}", client.url)).header("APIC-challenge", &challenge);
    assert_eq!(client.send(request).await.unwrap().status, 200);
}
