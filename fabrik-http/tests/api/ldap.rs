//! Logging in by a directory: a real `slapd` (Debian's package `slapd`) in a folder of its own.

pub(crate) mod slapd;

use std::net::TcpListener;

use serde_json::{Value, json};
use slapd::{Slapd, Tls};

use crate::server::{PASSWORD, Reply, Server};

const REFUSED: &str = "No active account found with the given credentials";

async fn log_in(server: &Server, name: &str, password: &str) -> Reply {
    server.post("/api/auth/ldap-login/").json(&json!({ "username": name, "password": password })).send().await
}

async fn server(slapd: &Slapd, more: &[(&str, &str)]) -> Server {
    let settings = slapd.settings();
    let mut all: Vec<(&str, &str)> = settings.iter().map(|(key, value)| (*key, value.as_str())).collect();
    all.extend(more);
    Server::with(&all).await
}

async fn profile(server: &Server, login: &Reply) -> Value {
    assert_eq!(login.status, 200, "{}", login.text);
    server.get("/api/auth/profile/").token(login.body["access"].as_str().unwrap()).send().await.body
}

#[tokio::test]
async fn the_first_login_makes_the_user_and_others_bring_it_up_to_date() {
    let slapd = Slapd::start(Tls::None);
    let server = server(&slapd, &[("ldap.admin_group", "admins")]).await;

    let first = log_in(&server, "mara", "mara's password").await;
    let user = profile(&server, &first).await;
    assert_eq!(first.body["user"]["is_admin"], false);
    assert_eq!((&user["username"], &user["auth_source"]), (&json!("mara"), &json!("ldap")));
    assert_eq!((&user["first_name"], &user["last_name"]), (&json!("Mara"), &json!("Lind")));
    assert_eq!((&user["email"], &user["group_names"]), (&json!("mara@lab.example"), &json!(["Users"])));

    let mara = "uid=mara,ou=people,dc=lab";
    slapd.add_value("cn=admins,ou=groups,dc=lab", "member", mara).await;
    slapd.replace(mara, "sn", "Berg").await;
    let second = log_in(&server, "MARA", "mara's password").await;
    let user = profile(&server, &second).await;
    assert_eq!(second.body["user"]["id"], first.body["user"]["id"]);
    assert_eq!((&second.body["user"]["is_admin"], &user["last_name"]), (&json!(true), &json!("Berg")));

    slapd.remove_value("cn=admins,ou=groups,dc=lab", "member", mara).await;
    let third = log_in(&server, "mara", "mara's password").await;
    assert_eq!(third.body["user"]["is_admin"], false);
}

#[tokio::test]
async fn what_is_no_name_or_no_password_lets_nobody_in() {
    let slapd = Slapd::start(Tls::None);
    let server = server(&slapd, &[]).await;

    let names = ["*", "*)(uid=*", "mara)(objectClass=*", "mara*", "mar\\61", "(uid=mara)", "nobody"];
    for name in names {
        let reply = log_in(&server, name, "mara's password").await;
        assert_eq!((reply.status, &reply.body["detail"]), (401, &json!(REFUSED)), "{name:?}");
    }
    assert_eq!(log_in(&server, "mara\0", "mara's password").await.status, 400);
    let wrong = log_in(&server, "mara", "wrong").await;
    assert_eq!((wrong.status, &wrong.body["detail"]), (401, &json!(REFUSED)));
    // This directory takes a name without a password for an anonymous login, as many do.
    let empty = log_in(&server, "mara", "").await;
    assert_eq!((empty.status, empty.body), (400, json!({ "password": ["This field may not be blank."] })));
    let missing = server.post("/api/auth/ldap-login/").json(&json!({ "username": "mara" })).send().await;
    assert_eq!((missing.status, missing.body), (400, json!({ "password": ["This field is required."] })));
}

#[tokio::test]
async fn failures_lock_an_account_however_its_name_is_written() {
    let slapd = Slapd::start(Tls::None);
    let server = server(&slapd, &[]).await;

    // To a directory, all of these are one name.
    for name in ["mara", "Mara", " mara", "mara ", "mara  "] {
        assert_eq!(log_in(&server, name, "wrong").await.status, 401, "{name:?}");
    }

    for name in ["mara", "  mara"] {
        let locked = log_in(&server, name, "mara's password").await;
        assert_eq!((locked.status, locked.header("retry-after")), (429, "900"), "{name:?}");
    }
    assert_eq!(log_in(&server, "ben", "ben's password").await.status, 200);
    server.clock.advance(std::time::Duration::from_secs(900));
    assert_eq!(log_in(&server, "mara", "mara's password").await.status, 200);
}

#[tokio::test]
async fn a_local_account_of_the_same_name_is_not_taken_over() {
    let slapd = Slapd::start(Tls::None);
    let server = server(&slapd, &[]).await;
    server.user("mara", true).await;

    let reply = log_in(&server, "mara", "mara's password").await;

    assert_eq!((reply.status, &reply.body["detail"]), (401, &json!(REFUSED)));
    assert_eq!(server.try_login("mara", PASSWORD).await.status, 200);
}

#[tokio::test]
async fn an_account_of_the_directory_has_no_password_here() {
    let slapd = Slapd::start(Tls::None);
    let server = server(&slapd, &[]).await;
    let login = log_in(&server, "mara", "mara's password").await;
    let token = login.body["access"].as_str().unwrap();

    for password in ["mara's password", "x"] {
        assert_eq!(server.try_login("mara", password).await.status, 401);
    }
    let change =
        json!({ "old_password": "mara's password", "new_password": PASSWORD, "new_password_confirm": PASSWORD });
    let changed = server.call("PUT", "/api/auth/password/change/").token(token).json(&change).send().await;
    assert_eq!(changed.status, 400, "{}", changed.text);
}

#[tokio::test]
async fn an_account_that_is_switched_off_here_stays_off() {
    let slapd = Slapd::start(Tls::None);
    let server = server(&slapd, &[]).await;
    let root = server.token("root", true).await;
    let id = log_in(&server, "mara", "mara's password").await.body["user"]["id"].clone();
    let path = format!("/api/auth/management/{id}/");
    let off = server.call("PATCH", &path).token(&root).json(&json!({ "is_active": false })).send().await;
    assert_eq!(off.status, 200, "{}", off.text);

    assert_eq!(log_in(&server, "mara", "mara's password").await.status, 401);
}

#[tokio::test]
async fn only_members_of_the_required_group_log_in() {
    let slapd = Slapd::start(Tls::None);
    let server = server(&slapd, &[("ldap.require_group", "CN=staff,ou=groups,dc=lab")]).await;

    assert_eq!(log_in(&server, "mara", "mara's password").await.status, 200);
    assert_eq!(log_in(&server, "ben", "ben's password").await.status, 401);
}

#[tokio::test]
async fn connections_are_encrypted_and_certificates_checked() {
    let slapd = Slapd::start(Tls::Required);
    for (url, start_tls) in [(slapd.url("ldap"), "true"), (slapd.url("ldaps"), "false")] {
        let server = server(&slapd, &[("ldap.url", &url), ("ldap.start_tls", start_tls)]).await;
        assert_eq!(log_in(&server, "mara", "mara's password").await.status, 200, "{url}");

        let stranger = slapd::certificate().0;
        let other = slapd.write("other.pem", &stranger);
        let wary = [("ldap.url", url.as_str()), ("ldap.start_tls", start_tls), ("ldap.ca", &other)];
        let refused = log_in(&self::server(&slapd, &wary).await, "mara", "mara's password").await;
        assert_eq!(refused.status, 503, "{url}");
        let trusting = [wary[0], wary[1], wary[2], ("ldap.verify", "false")];
        let trusted = log_in(&self::server(&slapd, &trusting).await, "mara", "mara's password").await;
        assert_eq!(trusted.status, 200, "{url}");
    }
    // Without encryption, this directory takes no password.
    let plain = server(&slapd, &[]).await;
    assert_eq!(log_in(&plain, "mara", "mara's password").await.status, 503);
}

#[tokio::test]
async fn a_directory_that_is_off_or_away_is_told_apart() {
    let off = Server::start().await;
    let reply = log_in(&off, "mara", "x").await;
    assert_eq!((reply.status, &reply.body["detail"]), (400, &json!("LDAP login is not enabled.")));

    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = format!("ldap://{nobody}");
    let away = Server::with(&[("ldap.url", &url), ("ldap.user_base", "dc=lab")]).await;
    let reply = log_in(&away, "mara", "x").await;
    assert_eq!((reply.status, &reply.body["error"]), (503, &json!("ldap_unavailable")));
    assert_eq!(reply.body["request_id"], reply.header("x-request-id"));

    // One that takes connections and says nothing is away, too.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ldap://{}", silent.local_addr().unwrap());
    let settings = [("ldap.url", url.as_str()), ("ldap.user_base", "dc=lab"), ("ldap.timeout_seconds", "1")];
    assert_eq!(log_in(&Server::with(&settings).await, "mara", "x").await.status, 503);
}

#[tokio::test]
async fn an_own_account_that_the_directory_refuses_is_no_fault_of_the_user() {
    let slapd = Slapd::start(Tls::None);
    let server = server(&slapd, &[("ldap.bind_password", "hunter2hunter2")]).await;
    let root = server.token("root", true).await;

    for _ in 0..6 {
        assert_eq!(log_in(&server, "mara", "mara's password").await.status, 503);
    }
    let status = server.get("/api/auth/ldap/status/").token(&root).send().await;
    assert_eq!(status.body["status"], "unreachable");
    assert!(status.text.contains("result 49") && !status.text.contains("hunter2"), "{}", status.text);
}

#[tokio::test]
async fn administrators_look_into_the_directory() {
    let slapd = Slapd::start(Tls::None);
    let server = server(&slapd, &[]).await;
    let root = server.token("root", true).await;
    let get = async |path: &str| {
        let reply = server.get(path).token(&root).send().await;
        assert_eq!(reply.status, 200, "{}", reply.text);
        reply.body
    };

    let status = get("/api/auth/ldap/status/").await;
    assert_eq!((&status["status"], &status["url"]), (&json!("ok"), &json!(slapd.url("ldap"))));
    assert_eq!(status["is_encrypted"], false);
    // More than this directory gives at a time, so it was asked for pages.
    let all = get("/api/auth/ldap/users/?limit=1000").await;
    assert_eq!((all["results"].as_array().unwrap().len(), &all["is_truncated"]), (302, &json!(false)));
    let some = get("/api/auth/ldap/users/?limit=250").await;
    assert_eq!((some["results"].as_array().unwrap().len(), &some["is_truncated"]), (250, &json!(true)));
    let found = get("/api/auth/ldap/users/?search=mar").await;
    let mara = json!({
        "dn": "uid=mara,ou=people,dc=lab", "username": "mara", "email": "mara@lab.example",
        "first_name": "Mara", "last_name": "Lind",
    });
    assert_eq!(found["results"], json!([mara]));
    assert_eq!(get("/api/auth/ldap/users/?search=*").await["results"], json!([]));
    let groups = get("/api/auth/ldap/groups/").await;
    let staff = json!({ "dn": "cn=staff,ou=groups,dc=lab", "name": "staff", "member_count": 1 });
    assert!(groups["results"].as_array().unwrap().contains(&staff), "{groups}");
}

#[tokio::test]
async fn the_test_of_a_directory_says_which_step_fails() {
    let slapd = Slapd::start(Tls::None);
    let server = server(&slapd, &[]).await;
    let root = server.token("root", true).await;
    let test = async |body: Value| {
        let reply = server.post("/api/auth/ldap/test/").token(&root).json(&body).send().await;
        assert_eq!(reply.status, 200, "{}", reply.text);
        let steps = reply.body["steps"].as_array().unwrap().iter();
        let steps: Vec<_> =
            steps.map(|step| format!("{}={}", step["name"].as_str().unwrap(), step["success"])).collect();
        (reply.body["success"].as_bool().unwrap(), steps.join(" "))
    };

    assert_eq!(test(json!({})).await, (true, "connect=true search=true".into()));
    let right = test(json!({ "username": "mara", "password": "mara's password" })).await;
    assert_eq!(right, (true, "connect=true search=true find=true groups=true login=true".into()));
    let wrong = test(json!({ "username": "mara", "password": "wrong" })).await;
    assert_eq!(wrong, (false, "connect=true search=true find=true groups=true login=false".into()));
    assert_eq!(test(json!({ "username": "nobody" })).await, (false, "connect=true search=true find=false".into()));
}
