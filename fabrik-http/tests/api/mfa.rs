//! The second step of a login.

use std::time::Duration;

use serde_json::{Value, json};
use totp_rs::{Builder, Secret, Totp};

use crate::server::{PASSWORD, Reply, Server};

/// A user with a second step.
struct Enrolled {
    access: String,
    totp: Totp,
    backup_codes: Vec<String>,
}

impl Enrolled {
    /// Returns the code of now, so many steps ahead.
    fn code(&self, server: &Server, steps: u64) -> String {
        let now = u64::try_from(server.clock.now().timestamp()).unwrap();
        self.totp.generate(now + 30 * steps).to_string()
    }

    /// Returns a code that is not right.
    fn wrong(&self, server: &Server) -> String {
        let right: Vec<_> = [0, 1].map(|steps| self.code(server, steps)).into();
        ["111111", "222222", "333333", "444444"]
            .map(str::to_owned)
            .into_iter()
            .find(|code| !right.contains(code))
            .unwrap()
    }
}

async fn enrol(server: &Server, name: &str) -> Enrolled {
    server.user(name, false).await;
    let (access, _) = server.login(name).await;
    let setup = server.post("/api/auth/mfa/setup/").token(&access).send().await;
    assert_eq!(setup.status, 200, "{}", setup.text);
    let secret = Secret::try_from_base32(setup.body["secret"].as_str().unwrap()).unwrap();
    let totp = Builder::new().with_secret(secret).build().unwrap();
    let mut enrolled = Enrolled { access, totp, backup_codes: Vec::new() };
    let code = enrolled.code(server, 0);
    let verified =
        server.post("/api/auth/mfa/verify/").token(&enrolled.access).json(&json!({ "code": code })).send().await;
    assert_eq!(verified.status, 200, "{}", verified.text);
    let codes = verified.body["backup_codes"].as_array().unwrap();
    enrolled.backup_codes = codes.iter().map(|code| code.as_str().unwrap().to_owned()).collect();
    // The code of this step is used up.
    server.clock.advance(Duration::from_secs(60));
    enrolled
}

async fn first_step(server: &Server, name: &str) -> String {
    let reply = server.try_login(name, PASSWORD).await;
    assert_eq!((reply.status, &reply.body["mfa_required"]), (202, &json!(true)), "{}", reply.text);
    assert!(reply.body.get("access").is_none());
    reply.body["mfa_token"].as_str().unwrap().to_owned()
}

async fn second_step(server: &Server, body: Value) -> Reply {
    server.post("/api/auth/mfa-login/").json(&body).send().await
}

#[tokio::test]
async fn login_with_a_second_step_takes_a_code_of_the_authenticator() {
    let server = Server::start().await;
    let mara = enrol(&server, "mara").await;
    let status = server.get("/api/auth/mfa/status/").token(&mara.access).send().await;
    assert_eq!(status.body, json!({ "mfa_enabled": true, "backup_codes_remaining": 8 }));

    let token = first_step(&server, "mara").await;
    let reply = second_step(&server, json!({ "mfa_token": token, "code": mara.code(&server, 0) })).await;

    assert_eq!(reply.status, 200, "{}", reply.text);
    assert_eq!(reply.body["user"]["mfa_enabled"], true);
    let access = reply.body["access"].as_str().unwrap();
    assert_eq!(server.get("/api/auth/profile/").token(access).send().await.status, 200);
}

#[tokio::test]
async fn the_older_form_takes_the_password_again() {
    let server = Server::start().await;
    let mara = enrol(&server, "mara").await;
    let body =
        |password: &str, field: &str, code: &str| json!({ "username": "Mara", "password": password, field: code });

    let code = mara.code(&server, 0);
    assert_eq!(second_step(&server, body("wrong", "totp_code", &code)).await.status, 401);
    assert_eq!(second_step(&server, body(PASSWORD, "totp_code", &mara.wrong(&server))).await.status, 401);
    assert_eq!(second_step(&server, body(PASSWORD, "totp_code", &code)).await.status, 200);
    assert_eq!(second_step(&server, body(PASSWORD, "backup_code", &mara.backup_codes[0])).await.status, 200);
    // Who has no second step has nothing to show here.
    server.user("ben", false).await;
    let reply = second_step(&server, json!({ "username": "ben", "password": PASSWORD, "totp_code": "123456" })).await;
    assert_eq!(reply.status, 401);
}

#[tokio::test]
async fn a_step_of_the_authenticator_is_good_once_and_never_backwards() {
    let server = Server::start().await;
    let mara = enrol(&server, "mara").await;
    let login = async |code: String| {
        let token = first_step(&server, "mara").await;
        second_step(&server, json!({ "mfa_token": token, "code": code })).await.status
    };

    let (now, next) = (mara.code(&server, 0), mara.code(&server, 1));
    assert_eq!(login(now.clone()).await, 200);
    assert_eq!(login(now.clone()).await, 401, "shown again");
    assert_eq!(login(next.clone()).await, 200, "a clock may be a step ahead");
    server.clock.advance(Duration::from_secs(30));
    assert_eq!(login(now).await, 401, "a step back, after a later one");
    assert_eq!(login(next).await, 401);
    server.clock.advance(Duration::from_secs(30));
    assert_eq!(login(mara.code(&server, 0)).await, 200);
}

#[tokio::test]
async fn a_backup_code_is_good_once_and_a_new_set_voids_the_old() {
    let server = Server::start().await;
    let mara = enrol(&server, "mara").await;
    assert_eq!(mara.backup_codes.len(), 8);
    assert!(mara.backup_codes.iter().all(|code| code.len() == 8 && !code.contains(['I', 'O', '0', '1'])));
    let login = async |code: &str| {
        let token = first_step(&server, "mara").await;
        second_step(&server, json!({ "mfa_token": token, "code": code })).await.status
    };

    assert_eq!(login(&mara.backup_codes[0].to_lowercase()).await, 200);
    assert_eq!(login(&mara.backup_codes[0]).await, 401);
    let status = server.get("/api/auth/mfa/status/").token(&mara.access).send().await;
    assert_eq!(status.body["backup_codes_remaining"], 7);
    let renew = |password: &str| {
        server.post("/api/auth/mfa/backup-codes/").token(&mara.access).json(&json!({ "password": password })).send()
    };
    assert_eq!(renew("wrong").await.status, 400);
    let renewed = renew(PASSWORD).await;
    assert_eq!((renewed.status, renewed.body["backup_codes"].as_array().unwrap().len()), (200, 8));
    assert_eq!(login(&mara.backup_codes[1]).await, 401);
    assert_eq!(login(renewed.body["backup_codes"][7].as_str().unwrap()).await, 200);
}

#[tokio::test]
async fn the_token_of_the_first_step_is_good_once_for_five_minutes_and_for_nothing_else() {
    let server = Server::start().await;
    let mara = enrol(&server, "mara").await;
    let token = first_step(&server, "mara").await;
    let with = |token: &str, code: String| second_step(&server, json!({ "mfa_token": token, "code": code }));

    assert_eq!(server.get("/api/auth/profile/").token(&token).send().await.status, 401);
    let refreshed = server.post("/api/auth/token/refresh/").json(&json!({ "refresh": token })).send().await;
    assert_eq!(refreshed.status, 401);
    let verified = server.post("/api/auth/token/verify/").json(&json!({ "token": token })).send().await;
    assert_eq!(verified.status, 401);
    for other in [mara.access.as_str(), "junk"] {
        let reply = with(other, mara.code(&server, 0)).await;
        assert_eq!((reply.status, &reply.body["code"]), (401, &json!("token_not_valid")), "{other}");
    }
    assert_eq!(with(&token, mara.code(&server, 0)).await.status, 200);
    server.clock.advance(Duration::from_secs(60));
    assert_eq!(with(&token, mara.code(&server, 0)).await.status, 401, "used");
    let late = first_step(&server, "mara").await;
    server.clock.advance(Duration::from_secs(300));
    assert_eq!(with(&late, mara.code(&server, 0)).await.status, 401, "expired");
}

#[tokio::test]
async fn a_changed_password_or_a_switched_off_account_voids_the_first_step() {
    let server = Server::start().await;
    let root = server.token("root", true).await;
    let mara = enrol(&server, "mara").await;
    let token = first_step(&server, "mara").await;
    let body =
        json!({ "old_password": PASSWORD, "new_password": "another Horse", "new_password_confirm": "another Horse" });
    let changed = server.call("PUT", "/api/auth/password/change/").token(&mara.access).json(&body).send().await;
    assert_eq!(changed.status, 200, "{}", changed.text);

    let reply = second_step(&server, json!({ "mfa_token": token, "code": mara.code(&server, 0) })).await;
    assert_eq!((reply.status, &reply.body["code"]), (401, &json!("token_not_valid")));

    let ben = enrol(&server, "ben").await;
    let (root_again, _) = server.login("root").await;
    drop(root);
    let token = first_step(&server, "ben").await;
    let found = server.get("/api/auth/management/?search=ben").token(&root_again).send().await;
    let path = format!("/api/auth/management/{}/", found.body["results"][0]["id"]);
    let off = server.call("PATCH", &path).token(&root_again).json(&json!({ "is_active": false })).send().await;
    assert_eq!(off.status, 200, "{}", off.text);
    let reply = second_step(&server, json!({ "mfa_token": token, "code": ben.code(&server, 0) })).await;
    assert_eq!(reply.status, 401);
}

#[tokio::test]
async fn wrong_codes_lock_the_account_and_the_right_password_does_not_clear_them() {
    let server = Server::start().await;
    let mara = enrol(&server, "mara").await;

    for _ in 0..5 {
        let token = first_step(&server, "mara").await;
        let reply = second_step(&server, json!({ "mfa_token": token, "code": mara.wrong(&server) })).await;
        assert_eq!(reply.status, 401, "{}", reply.text);
    }

    assert_eq!(server.try_login("mara", PASSWORD).await.status, 429);
    server.clock.advance(Duration::from_secs(15 * 60));
    let token = first_step(&server, "mara").await;
    let reply = second_step(&server, json!({ "mfa_token": token, "code": mara.code(&server, 0) })).await;
    assert_eq!(reply.status, 200);
}

#[tokio::test]
async fn a_secret_is_in_force_once_a_code_proved_it() {
    let server = Server::start().await;
    server.user("mara", false).await;
    let (access, _) = server.login("mara").await;
    let setup = async || server.post("/api/auth/mfa/setup/").token(&access).send().await;
    let verify = async |code: &str| {
        server.post("/api/auth/mfa/verify/").token(&access).json(&json!({ "code": code })).send().await.status
    };

    assert_eq!(verify("123456").await, 400, "there is no secret yet");
    let first = setup().await;
    assert!(first.body["otpauth_uri"].as_str().unwrap().starts_with("otpauth://totp/Fabrik:mara?"));
    assert!(first.body["qr_code"].as_str().unwrap().starts_with("data:image/png;base64,"));
    assert_eq!(server.try_login("mara", PASSWORD).await.status, 200, "not in force yet");
    let second = setup().await;
    let code = |reply: &Reply| {
        let secret = Secret::try_from_base32(reply.body["secret"].as_str().unwrap()).unwrap();
        let now = u64::try_from(server.clock.now().timestamp()).unwrap();
        Builder::new().with_secret(secret).build().unwrap().generate(now).to_string()
    };
    assert_eq!(verify(&code(&first)).await, 400, "a newer secret took its place");
    assert_eq!(verify(&code(&second)).await, 200);
    assert_eq!(setup().await.status, 400, "it is on already");
    assert_eq!(server.try_login("mara", PASSWORD).await.status, 202);
}

#[tokio::test]
async fn turning_it_off_needs_the_password() {
    let server = Server::start().await;
    let mara = enrol(&server, "mara").await;
    let disable = |body: Value| server.post("/api/auth/mfa/disable/").token(&mara.access).json(&body).send();

    assert_eq!(disable(json!({})).await.status, 400);
    assert_eq!(disable(json!({ "code": mara.code(&server, 0) })).await.status, 400);
    assert_eq!(disable(json!({ "password": "wrong" })).await.status, 400);
    assert_eq!(server.try_login("mara", PASSWORD).await.status, 202);
    assert_eq!(disable(json!({ "password": PASSWORD })).await.status, 200);
    assert_eq!(server.try_login("mara", PASSWORD).await.status, 200);
    assert_eq!(disable(json!({ "password": PASSWORD })).await.status, 400);
    for _ in 0..5 {
        disable(json!({ "password": "wrong" })).await;
    }
    assert_eq!(disable(json!({ "password": PASSWORD })).await.status, 429);
}

#[tokio::test]
async fn a_second_step_without_its_fields_says_which_is_missing() {
    let server = Server::start().await;

    for (body, field) in [
        (json!({}), "mfa_token"),
        (json!({ "mfa_token": "x" }), "code"),
        (json!({ "username": "mara" }), "password"),
        (json!({ "username": "mara", "password": "x" }), "totp_code"),
    ] {
        let reply = second_step(&server, body).await;
        assert_eq!((reply.status, reply.body), (400, json!({ field: ["This field is required."] })));
    }
}

#[tokio::test]
async fn a_login_begins_on_one_server_and_ends_on_another() {
    let folder = tempfile::tempdir().unwrap();
    let file = format!("sqlite:{}", folder.path().join("state.db").display());
    let one = Server::with(&[("database", &file)]).await;
    let other = one.another().await;
    let mara = enrol(&one, "mara").await;

    let token = first_step(&one, "mara").await;
    let wrong = second_step(&other, json!({ "mfa_token": token, "code": mara.wrong(&one) })).await;
    assert_eq!(wrong.status, 401);
    let ended = second_step(&other, json!({ "mfa_token": token, "code": mara.code(&one, 0) })).await;

    assert_eq!(ended.status, 200, "{}", ended.text);
    let again = second_step(&one, json!({ "mfa_token": token, "code": mara.code(&one, 1) })).await;
    assert_eq!(again.status, 401, "what was used there is used here");
    let access = ended.body["access"].as_str().unwrap();
    for server in [&one, &other] {
        let profile = server.get("/api/auth/profile/").token(access).send().await;
        assert_eq!((profile.status, &profile.body["username"]), (200, &json!("mara")));
    }
    // Five wrong codes lock wherever they were tried.
    for server in [&one, &other, &one, &other, &one] {
        let token = first_step(server, "mara").await;
        let refused = second_step(server, json!({ "mfa_token": token, "code": mara.wrong(&one) })).await;
        assert_eq!(refused.status, 401, "{}", refused.text);
    }
    assert_eq!(other.try_login("mara", PASSWORD).await.status, 429);
    let refreshed =
        other.post("/api/auth/token/refresh/").json(&json!({ "refresh": ended.body["refresh"] })).send().await;
    assert_eq!(refreshed.status, 200, "{}", refreshed.text);
    let spent = one.post("/api/auth/token/refresh/").json(&json!({ "refresh": ended.body["refresh"] })).send().await;
    assert_eq!(spent.status, 401, "{}", spent.text);
}
