//! What only the inside tells about logins: mails, codes of administrators, and how much was hashed.

use std::time::Duration;

use super::super::{lockout, reset_codes, router, secrets};
use super::*;

const PASSWORD: &str = "Correct horse, battery";
const NEW: &str = "another Horse, staple";

/// A server with all its routes.
struct Whole {
    state: AppState,
    clock: Clock,
    router: Router,
}

impl Whole {
    async fn start(settings: &[(&str, &str)]) -> Self {
        let mut layers = Layers::defaults();
        for scope in Throttles::scopes() {
            layers.set(scope.setting(), "off", Origin::Default).unwrap();
        }
        layers.set("database", "memory:", Origin::Default).unwrap();
        if let Ok(address) = std::env::var("FABRIK_TEST_POSTGRES") {
            layers.set("database", &new_database(&address).await, Origin::Default).unwrap();
        }
        for (key, value) in settings {
            layers.set(key, value, Origin::Default).unwrap();
        }
        let clock = Clock::manual(DateTime::UNIX_EPOCH + chrono::TimeDelta::days(20_000));
        let settings = Settings::from_layers(&layers).unwrap();
        let state = AppState::open(settings, Arc::new(MemoryStore::default()), clock.clone()).await.unwrap();
        let router = router(&state);
        Self { state, clock, router }
    }

    async fn user(&self, name: &str) -> i64 {
        create_user(&self.state, name, &format!("{name}@lab.example"), PASSWORD, false).await.unwrap()
    }

    async fn set(&self, id: i64, column: &'static str, value: impl Into<sea_query::Value>) {
        let mut transaction = self.state.db().begin().await.unwrap();
        users::set_within(&mut transaction, id, vec![(column, value.into())]).await.unwrap();
        transaction.commit().await.unwrap();
        self.state.callers().forget_all();
    }

    async fn post(&self, path: &str, token: Option<&str>, body: Value) -> Reply {
        self.post_to("fab.lab", path, token, body).await
    }

    async fn post_to(&self, host: &str, path: &str, token: Option<&str>, body: Value) -> Reply {
        let mut request = Request::builder().method(Method::POST).uri(path).header("host", host);
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let request = request.header("content-type", "application/json").body(RawBody::from(body.to_string()));
        let response = self.router.clone().oneshot(request.unwrap()).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = axum::body::to_bytes(body, usize::MAX).await.unwrap();
        let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        Reply { status: parts.status.as_u16(), headers: parts.headers, body }
    }

    async fn login(&self, name: &str, password: &str) -> Reply {
        self.post("/api/auth/login/", None, json!({ "username": name, "password": password })).await
    }

    /// Asks for a new password and returns the mails that there are then, to whom and with what.
    async fn ask(&self, login: &str) -> Vec<(String, String)> {
        let reply = self.post("/api/auth/password-reset/", None, json!({ "username": login })).await;
        assert_eq!(reply.status, 200);
        self.mails().await
    }

    async fn mails(&self) -> Vec<(String, String)> {
        crate::server::run_jobs(&self.state).await;
        let query = sea_query::Query::select()
            .columns(["recipient", "body"].map(Alias::new))
            .from(Alias::new("mail_outbox"))
            .order_by(Alias::new("id"), sea_query::Order::Asc)
            .take();
        self.state.db().all(&query).await.unwrap()
    }

    async fn confirm(&self, token: &str, password: &str) -> Reply {
        let body = json!({ "token": token, "new_password": password, "new_password_confirm": password });
        self.post("/api/auth/password-reset/confirm/", None, body).await
    }

    async fn confirm_code(&self, username: &str, code: &str) -> Reply {
        let body = json!({
            "method": "code", "username": username, "code": code, "new_password": NEW, "new_password_confirm": NEW,
        });
        self.post("/api/auth/password-reset/confirm/", None, body).await
    }

    /// Returns the actions of the audit log, oldest first, and whether they were done.
    async fn audited(&self) -> Vec<(String, bool)> {
        let query = sea_query::Query::select()
            .columns(["action", "success"].map(Alias::new))
            .from(Alias::new("audit_log"))
            .order_by(Alias::new("sequence"), sea_query::Order::Asc)
            .take();
        self.state.db().all(&query).await.unwrap()
    }
}

async fn new_database(address: &str) -> String {
    use sqlx::{AssertSqlSafe, Connection, Executor};
    let name = format!("fabrik_{}", uuid::Uuid::now_v7().simple());
    let mut connection = sqlx::PgConnection::connect(&format!("{address}/postgres")).await.unwrap();
    connection.execute(AssertSqlSafe(format!("CREATE DATABASE {name}"))).await.unwrap();
    format!("{address}/{name}")
}

/// Takes the token out of a mail: the one word of 43 characters, behind the hash of a link or alone.
fn token(mail: &(String, String)) -> String {
    let words = mail.1.split(|c: char| c.is_whitespace() || c == '#');
    words.filter(|word| word.len() == 43).map(str::to_owned).next().unwrap()
}

#[tokio::test]
async fn refusals_hash_as_often_whether_the_user_exists_or_not() {
    let server = Whole::start(&[("auth.lockout_failures", "0"), ("auth.allow_registration", "true")]).await;
    server.user("mara").await;
    let off = server.user("off").await;
    server.set(off, "is_active", false).await;
    let directory = server.user("directory").await;
    server.set(directory, "auth_source", "ldap").await;
    let work = async |path: &str, body: Value, status: u16| {
        let before = server.state.passwords().hashed();
        let reply = server.post(path, None, body).await;
        assert_eq!(reply.status, status, "{}", reply.body);
        (server.state.passwords().hashed() - before, reply.body)
    };

    let login = |name: &str| json!({ "username": name, "password": "wrong password" });
    let known = work("/api/auth/login/", login("mara"), 401).await;
    assert_eq!(known.0, 1);
    for name in ["nobody", "off", "directory"] {
        assert_eq!(work("/api/auth/login/", login(name), 401).await, known, "{name}");
    }
    let step = |name: &str| json!({ "username": name, "password": "wrong password", "totp_code": "123456" });
    let known = work("/api/auth/mfa-login/", step("mara"), 401).await;
    assert_eq!((known.0, work("/api/auth/mfa-login/", step("nobody"), 401).await), (1, known));
    let ask = |name: &str| json!({ "username": name });
    let known = work("/api/auth/password-reset/", ask("mara"), 200).await;
    for name in ["nobody", "off", "directory", "mara@lab.example"] {
        assert_eq!(work("/api/auth/password-reset/", ask(name), 200).await, known, "{name}");
    }
    let code = |name: &str| json!({ "method": "code", "username": name, "code": "ABCDEFGH", "new_password": NEW, "new_password_confirm": NEW });
    let known = work("/api/auth/password-reset/confirm/", code("mara"), 400).await;
    assert_eq!(work("/api/auth/password-reset/confirm/", code("nobody"), 400).await, known);
    let register =
        |name: &str, email: &str| json!({ "username": name, "email": email, "password": NEW, "password_confirm": NEW });
    assert_eq!(work("/api/auth/register/", register("mara", "m@lab.example"), 400).await.0, 1);
    assert_eq!(work("/api/auth/register/", register("new", "n@lab.example"), 201).await.0, 1);
}

#[tokio::test]
async fn the_right_password_of_a_directory_user_is_refused() {
    let server = Whole::start(&[]).await;
    let id = server.user("mara").await;
    assert_eq!(server.login("mara", PASSWORD).await.status, 200);
    server.set(id, "auth_source", "ldap").await;

    assert_eq!(server.login("mara", PASSWORD).await.status, 401);
    assert_eq!(server.ask("mara").await, Vec::new());
}

#[tokio::test]
async fn a_mailed_token_sets_a_password_once_and_ends_all_sessions() {
    let server = Whole::start(&[("site_url", "https://fabrik.lab")]).await;
    server.user("mara").await;
    let session = server.login("mara", PASSWORD).await.body["access"].as_str().unwrap().to_owned();
    for _ in 0..5 {
        server.login("mara", "wrong").await;
    }
    assert_eq!(server.login("mara", PASSWORD).await.status, 429);

    let mails = server.ask("MARA").await;
    assert_eq!((mails.len(), mails[0].0.as_str()), (1, "mara@lab.example"));
    let token = token(&mails[0]);
    assert!(mails[0].1.contains(&format!("\nhttps://fabrik.lab/reset/#{token}\n")), "{}", mails[0].1);
    assert_eq!(server.confirm(&token, "password").await.status, 400, "a weak password does not use the token up");
    let near = server.confirm(&token, "Mara's secret").await;
    assert!(near.body["new_password"][0].as_str().unwrap().contains("similar"), "{}", near.body);
    assert_eq!(server.confirm(&token, NEW).await.status, 200);

    let again = server.confirm(&token, NEW).await;
    assert_eq!(again.status, 400);
    assert_eq!(again.body, json!({ "detail": "The token or code is not right, was used, or has expired." }));
    assert_eq!(server.login("mara", PASSWORD).await.status, 401);
    assert_eq!(server.login("mara", NEW).await.status, 200);
    assert_eq!(server.post("/api/auth/logout/", Some(&session), json!({})).await.status, 401);
    let audited = server.audited().await;
    for row in
        [("password_reset_requested", true), ("password_reset_completed", true), ("password_reset_completed", false)]
    {
        assert!(audited.contains(&(row.0.to_owned(), row.1)), "{row:?} in {audited:?}");
    }
}

#[tokio::test]
async fn reset_tokens_are_void_after_an_hour_a_newer_one_and_every_change() {
    let server = Whole::start(&[]).await;
    let id = server.user("mara").await;
    let last = async || token(server.ask("mara@lab.example").await.last().unwrap());

    let expired = last().await;
    server.clock.advance(Duration::from_secs(3600));
    assert_eq!(server.confirm(&expired, NEW).await.status, 400);
    let older = last().await;
    server.clock.advance(Duration::from_secs(60));
    let newer = last().await;
    assert_ne!(older, newer);
    assert_eq!(server.confirm(&older, NEW).await.status, 400);
    let hash = server.state.passwords().hash("whatever else").await.unwrap();
    server.set(id, "password", hash).await;
    assert_eq!(server.confirm(&newer, NEW).await.status, 400, "the password was changed in between");
    server.clock.advance(Duration::from_secs(60));
    let token = last().await;
    server.set(id, "email", "other@lab.example").await;
    assert_eq!(server.confirm(&token, NEW).await.status, 400, "the address was changed in between");
    server.set(id, "email", "mara@lab.example").await;
    server.set(id, "is_active", false).await;
    assert_eq!(server.confirm(&token, NEW).await.status, 400, "the account was switched off in between");
    server.set(id, "is_active", true).await;
    assert_eq!(server.confirm(&token, NEW).await.status, 200);
}

#[tokio::test]
async fn mails_name_no_host_that_a_request_brought_and_come_once_a_minute() {
    let server = Whole::start(&[]).await;
    server.user("mara").await;

    for _ in 0..3 {
        server.post_to("evil.example", "/api/auth/password-reset/", None, json!({ "username": "mara" })).await;
    }

    let mails = server.mails().await;
    assert_eq!(mails.len(), 1);
    assert!(!mails[0].1.contains("evil") && !mails[0].1.contains("http"), "{}", mails[0].1);
    assert_eq!(server.confirm(&token(&mails[0]), NEW).await.status, 200);
}

#[tokio::test]
async fn codes_of_administrators_set_a_password_once_and_wrong_ones_lock() {
    let server = Whole::start(&[]).await;
    let id = server.user("mara").await;
    let issue = async || {
        let mut transaction = server.state.db().begin().await.unwrap();
        let (code, _) = reset_codes::issue(&mut transaction, &server.state, id).await.unwrap();
        transaction.commit().await.unwrap();
        code
    };

    let code = issue().await;
    assert_eq!(server.confirm_code("ben", &code).await.status, 400);
    assert_eq!(server.confirm_code("mara", &code.to_lowercase()).await.status, 200);
    assert_eq!(server.confirm_code("mara", &code).await.status, 400);
    assert_eq!(server.login("mara", NEW).await.status, 200);
    let code = issue().await;
    for _ in 0..5 {
        assert_eq!(server.confirm_code("mara", "AAAAAAAA").await.status, 400);
    }
    assert_eq!(server.confirm_code("mara", &code).await.status, 429);
    assert_eq!(server.login("mara", NEW).await.status, 429);
}

#[tokio::test]
async fn an_address_is_verified_by_the_token_that_was_sent_there() {
    let server = Whole::start(&[]).await;
    let id = server.user("mara").await;
    let access = server.login("mara", PASSWORD).await.body["access"].as_str().unwrap().to_owned();
    let send = async || server.post("/api/auth/email/send-verification/", Some(&access), json!({})).await.status;
    let verify =
        async |token: &str| server.post("/api/auth/email/verify/", None, json!({ "token": token })).await.status;

    assert_eq!(send().await, 200);
    let first = token(server.mails().await.last().unwrap());
    server.set(id, "email", "m@lab.example").await;
    assert_eq!(verify(&first).await, 400, "the address is another one now");
    assert_eq!(send().await, 200);
    let mails = server.mails().await;
    let second = token(mails.last().unwrap());
    assert_eq!(mails.last().unwrap().0, "m@lab.example");
    assert_eq!(server.confirm(&second, NEW).await.status, 400, "it is not for passwords");
    assert_eq!(verify(&second).await, 200);
    assert_eq!(verify(&second).await, 400);
    assert_eq!(send().await, 400, "it is verified already");
}

#[tokio::test]
async fn of_many_tries_at_once_no_more_than_the_limit_get_through() {
    let server = Whole::start(&[]).await;

    let tries = (0..20).map(|_| lockout::begin_try(&server.state, "mara"));
    let through = futures_util::future::join_all(tries).await.into_iter().filter(Result::is_ok).count();

    assert_eq!(through, 5);
}

#[tokio::test]
async fn nothing_of_a_key_or_token_is_in_the_database() {
    let server = Whole::start(&[]).await;
    server.user("mara").await;
    let access = server.login("mara", PASSWORD).await.body["access"].as_str().unwrap().to_owned();
    let made = server.post("/api/auth/api-keys/", Some(&access), json!({ "name": "ci", "scopes": ["*"] })).await;
    let key = made.body["key"].as_str().unwrap().to_owned();
    let setup = server.post("/api/auth/mfa/setup/", Some(&access), json!({})).await;
    let secret = totp_rs::Secret::try_from_base32(setup.body["secret"].as_str().unwrap()).unwrap();

    let query = |table: &'static str, column: &'static str| {
        sea_query::Query::select().column(Alias::new(column)).from(Alias::new(table)).take()
    };
    let kept: (Vec<u8>,) = server.state.db().first(&query("auth_api_key", "fingerprint")).await.unwrap().unwrap();
    assert_eq!(kept.0, secrets::fingerprint(&key));
    let (prefix,): (String,) = server.state.db().first(&query("auth_api_key", "prefix")).await.unwrap().unwrap();
    assert!(key.starts_with(&prefix) && prefix.len() <= 10);
    let kept: (Vec<u8>,) = server.state.db().first(&query("auth_mfa", "sealed_secret")).await.unwrap().unwrap();
    assert!(!kept.0.windows(8).any(|part| secret.as_bytes().windows(8).any(|other| part == other)));
}

#[tokio::test]
async fn every_change_of_a_login_is_audited_without_its_secrets() {
    let server = Whole::start(&[]).await;
    server.user("mara").await;
    server.login("mara", "a wrong password").await;
    let begun = server.login("mara", PASSWORD).await;
    let access = begun.body["access"].as_str().unwrap().to_owned();
    let post = async |path: &str, body: Value| {
        let reply = server.post(path, Some(&access), body).await;
        assert!(reply.status < 300, "{path}: {}", reply.body);
        reply.body
    };
    let key = post("/api/auth/api-keys/", json!({ "name": "ci", "scopes": ["*"] })).await["key"].clone();
    let secret = post("/api/auth/mfa/setup/", json!({})).await["secret"].clone();
    let totp = totp_rs::Builder::new().with_secret(totp_rs::Secret::try_from_base32(secret.as_str().unwrap()).unwrap());
    let code = totp.build().unwrap().generate(u64::try_from(server.clock.now().timestamp()).unwrap()).to_string();
    let codes = post("/api/auth/mfa/verify/", json!({ "code": code })).await["backup_codes"].clone();
    let step = server.login("mara", PASSWORD).await.body["mfa_token"].clone();
    let wrong = server.post("/api/auth/mfa-login/", None, json!({ "mfa_token": step, "code": "ZZZZZZZZ" })).await;
    assert_eq!(wrong.status, 401);
    post("/api/auth/mfa-login/", json!({ "mfa_token": step, "code": codes[0] })).await;
    post("/api/auth/mfa/backup-codes/", json!({ "password": PASSWORD })).await;
    post("/api/auth/mfa/disable/", json!({ "password": PASSWORD })).await;
    post("/api/auth/logout/", json!({})).await;

    let expected = [
        ("user_created", true),
        ("login_failed", false),
        ("login_success", true),
        ("api_key_created", true),
        ("mfa_setup", true),
        ("mfa_enabled", true),
        ("mfa_login", false),
        ("mfa_login", true),
        ("mfa_backup_codes_renewed", true),
        ("mfa_disabled", true),
        ("logout", true),
    ];
    assert_eq!(server.audited().await, expected.map(|(action, is_done)| (action.to_owned(), is_done)));
    let columns = ["username", "resource_name", "description", "metadata", "error_message"];
    let query = sea_query::Query::select().columns(columns.map(Alias::new)).from(Alias::new("audit_log")).take();
    let rows: Vec<(String, String, String, String, String)> = server.state.db().all(&query).await.unwrap();
    let log = format!("{rows:?}");
    let backup_code = &codes[0];
    for secret in [&json!(PASSWORD), &json!("a wrong password"), &key, &secret, backup_code, &step, &json!(access)] {
        assert!(!log.contains(secret.as_str().unwrap()), "{secret} in {log}");
    }
}
