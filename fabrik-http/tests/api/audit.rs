//! The audit log over HTTP.

use std::collections::BTreeSet;
use std::time::Duration;

use fabrik_http::server::{run_jobs, verify_audit, verify_audit_at};
use serde_json::{Value, json};

use crate::server::{PASSWORD, Server};

const LOGS: &str = "/api/audit/logs/";
const SETTINGS: &str = "/api/audit/settings/";
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

async fn make_group(server: &Server, token: &str, name: &str) -> i64 {
    let made = server.post("/api/auth/groups/").token(token).json(&json!({ "name": name })).send().await;
    assert_eq!(made.status, 201, "{}", made.text);
    made.body["id"].as_i64().unwrap()
}

async fn make_user(server: &Server, token: &str, name: &str) -> i64 {
    let body = json!({
        "username": name, "email": format!("{name}@lab.example"), "password": PASSWORD, "password_confirm": PASSWORD,
    });
    let made = server.post("/api/auth/management/").token(token).json(&body).send().await;
    assert_eq!(made.status, 201, "{}", made.text);
    made.body["id"].as_i64().unwrap()
}

/// Returns all rows that match, of however many pages.
async fn rows(server: &Server, token: &str, query: &str) -> Vec<Value> {
    let reply = server.get(&format!("{LOGS}?page_size=200&{query}")).token(token).send().await;
    assert_eq!(reply.status, 200, "{query}: {}", reply.text);
    assert_eq!(reply.body["next"], Value::Null, "all fit on one page");
    reply.body["results"].as_array().unwrap().clone()
}

async fn change_settings(server: &Server, token: &str, body: &Value) {
    let reply = server.call("PATCH", SETTINGS).token(token).json(body).send().await;
    assert_eq!(reply.status, 200, "{}", reply.text);
}

/// Makes a log of different rows over three days: of two administrators, from two addresses, done and undone.
async fn busy() -> (Server, String) {
    let server = Server::with(&[("trusted_proxies", "127.0.0.0/8")]).await;
    server.user("root", true).await;
    server.user("other", true).await;
    for (day, name) in [(0, "root"), (1, "other"), (2, "root")] {
        // Access tokens do not last a day.
        let token = &server.login(name).await.0;
        make_group(&server, token, &format!("team {day}")).await;
        make_user(&server, token, &format!("user{day}")).await;
        let moved = json!({ "name": format!("crew {day}") });
        let id = make_group(&server, token, &format!("old {day}")).await;
        let path = format!("/api/auth/groups/{id}/");
        let call = server.call("PATCH", &path).token(token).header("x-forwarded-for", "192.0.2.17");
        assert_eq!(call.json(&moved).send().await.status, 200);
        assert_eq!(server.call("DELETE", &path).token(token).send().await.status, 204);
        server.clock.advance(DAY);
    }
    let (root, _) = server.login("root").await;
    (server, root)
}

#[tokio::test]
async fn rows_tell_who_did_what_to_what_and_from_where() {
    let server = Server::with(&[("trusted_proxies", "127.0.0.0/8")]).await;
    let token = server.token("root", true).await;
    let id = make_user(&server, &token, "mara").await;
    let path = format!("/api/auth/management/{id}/");
    let body = json!({ "first_name": "Mara", "is_active": true });
    let call = server.call("PATCH", &path).token(&token).header("x-forwarded-for", "192.0.2.17");
    assert_eq!(call.header("user-agent", "curl/8").json(&body).send().await.status, 200);

    let row = rows(&server, &token, "action=user_updated").await.remove(0);

    let names: BTreeSet<_> = row.as_object().unwrap().keys().map(String::as_str).collect();
    let expected = BTreeSet::from([
        "id",
        "sequence",
        "timestamp",
        "user",
        "user_display",
        "username",
        "ip_address",
        "category",
        "category_display",
        "action",
        "action_display",
        "resource_type",
        "resource_id",
        "resource_name",
        "description",
        "metadata",
        "content_size",
        "content_truncated",
        "success",
        "error_message",
    ]);
    assert_eq!(names, expected);
    for (name, value) in [
        ("timestamp", json!("2026-03-02T12:00:00+00:00")),
        ("user", json!(1)),
        ("user_display", json!("root")),
        ("username", json!("root")),
        ("ip_address", json!("192.0.2.17")),
        ("category", json!("user_management")),
        ("category_display", json!("User management")),
        ("action_display", json!("User updated")),
        ("resource_type", json!("user")),
        ("resource_id", json!(id.to_string())),
        ("resource_name", json!("mara")),
        ("success", json!(true)),
        ("error_message", json!("")),
    ] {
        assert_eq!(row[name], value, "{name}");
    }
    // What was written and did not change is no change.
    assert_eq!(row["metadata"]["changes"], json!({ "first_name": { "before": "", "after": "Mara" } }));
    assert_eq!(row["metadata"]["fields"], json!(["first_name", "is_active"]));
    let one = server.get(&format!("{LOGS}{}/", row["id"].as_str().unwrap())).token(&token).send().await;
    assert_eq!((one.status, &one.body["user_agent"], &one.body["content"]), (200, &json!("curl/8"), &Value::Null));
    let made = rows(&server, &token, "action=user_created").await.remove(0);
    assert_eq!(made["metadata"]["values"]["email"], "mara@lab.example");
    assert!(made["metadata"]["fields"].as_array().unwrap().contains(&json!("password")));
    for secret in [PASSWORD, "argon2"] {
        assert!(!made.to_string().contains(secret));
    }
}

#[tokio::test]
async fn rows_survive_the_user_who_is_told_of() {
    let server = Server::start().await;
    let root = server.token("root", true).await;
    let other = server.token("other", true).await;
    make_group(&server, &other, "team").await;
    let other_id = rows(&server, &root, "action=group_created").await[0]["user"].clone();

    assert_eq!(
        server.call("DELETE", &format!("/api/auth/management/{other_id}/")).token(&root).send().await.status,
        204
    );

    let row = rows(&server, &root, "action=group_created").await.remove(0);
    assert_eq!((&row["user"], &row["username"], &row["user_display"]), (&other_id, &json!("other"), &json!("other")));
    let gone = rows(&server, &root, "action=user_deleted").await.remove(0);
    assert_eq!(gone["metadata"]["values"]["username"], "other");
}

#[tokio::test]
async fn nobody_but_administrators_reads_the_log_and_nobody_writes_it() {
    let server = Server::start().await;
    let root = server.token("root", true).await;
    let mara = server.token("mara", false).await;
    let id = make_group(&server, &root, "team").await;
    let row = rows(&server, &root, "").await.remove(0)["id"].as_str().unwrap().to_owned();
    let one = format!("{LOGS}{row}/");

    for path in
        [LOGS, &one, "/api/audit/logs/export/", "/api/audit/logs/stats/", SETTINGS, "/api/audit/login-attempts/"]
    {
        assert_eq!(server.get(path).send().await.status, 401, "{path}");
        assert_eq!(server.get(path).token(&mara).send().await.status, 403, "{path}");
        assert_eq!(server.get(path).token(&root).send().await.status, 200, "{path}");
    }
    for path in [LOGS, &one] {
        for verb in ["POST", "PUT", "PATCH", "DELETE"] {
            let reply = server.call(verb, path).token(&root).json(&json!({ "description": "x" })).send().await;
            assert_eq!(reply.status, 405, "{verb} {path}");
        }
    }
    assert_eq!(rows(&server, &root, "").await[0]["resource_id"], id.to_string());
}

#[tokio::test]
async fn filters_agree_with_a_walk_over_all_rows() {
    let (server, token) = busy().await;
    let all = rows(&server, &token, "").await;
    assert!(all.len() >= 15, "{}", all.len());
    let sequences = |rows: &[Value]| rows.iter().map(|row| row["sequence"].as_i64().unwrap()).collect::<Vec<_>>();
    assert!(sequences(&all).is_sorted_by(|one, next| one > next), "the newest comes first");
    let text = |row: &Value, name: &str| row[name].as_str().unwrap_or_default().to_owned();
    type Check<'a> = Box<dyn Fn(&Value) -> bool + 'a>;
    let is = |name: &'static str, value: Value| -> Check<'_> { Box::new(move |row| row[name] == value) };
    let time = |check: fn(&str) -> bool| -> Check<'_> { Box::new(move |row| check(&text(row, "timestamp"))) };
    let checks: Vec<(&str, Check<'_>)> = vec![
        ("user=1", is("user", json!(1))),
        ("username=other", is("username", json!("other"))),
        ("ip=192.0.2.17", is("ip_address", json!("192.0.2.17"))),
        ("ip_address=192.0.2.17", is("ip_address", json!("192.0.2.17"))),
        ("category=group_permission", is("category", json!("group_permission"))),
        ("action=group_deleted", is("action", json!("group_deleted"))),
        ("resource_type=user", is("resource_type", json!("user"))),
        ("success=true", is("success", json!(true))),
        ("success=false", is("success", json!(false))),
        ("start_date=2026-03-03", time(|at| at >= "2026-03-03")),
        ("end_date=2026-03-03", time(|at| at < "2026-03-04")),
        ("start_date=2026-03-03&end_date=2026-03-03", time(|at| at.starts_with("2026-03-03"))),
        ("created_after=2026-03-03T12:00:00%2B00:00", time(|at| at >= "2026-03-03T12")),
        ("created_before=2026-03-03T12:00:00Z", time(|at| at <= "2026-03-03T12:00:00+00:00")),
        ("start_date=2026-03-03T12:00:01Z", time(|at| at > "2026-03-03T12:00:00+00:00")),
        ("search=CREW", Box::new(|row| text(row, "resource_name").contains("crew"))),
        (
            "search=other+created",
            Box::new(|row| text(row, "username") == "other" && text(row, "description").contains("created")),
        ),
        ("user=1&category=user_management", Box::new(|row| row["user"] == 1 && row["category"] == "user_management")),
    ];

    for (query, check) in checks {
        let expected: Vec<_> = all.iter().filter(|row| check(row)).cloned().collect();
        assert_eq!(sequences(&rows(&server, &token, query).await), sequences(&expected), "{query}");
        assert!(
            query == "success=false" || !expected.is_empty() && expected.len() < all.len() || query == "success=true"
        );
    }
    for ordering in ["timestamp", "action"] {
        let ordered = rows(&server, &token, &format!("ordering={ordering}")).await;
        assert!(ordered.iter().map(|row| text(row, ordering)).is_sorted(), "{ordering}");
    }
    // Categories have an order of their own; each comes once.
    let ordered = rows(&server, &token, "ordering=category").await;
    let mut runs: Vec<_> = ordered.iter().map(|row| text(row, "category")).collect();
    runs.dedup();
    let all: std::collections::BTreeSet<_> = runs.iter().collect();
    assert!(all.len() == runs.len() && runs.len() > 1, "{runs:?}");
    for bad in ["category=nothing", "start_date=2026-02-30", "start_date=soon", "created_after=2026-03-03", "user=x"] {
        assert_eq!(server.get(&format!("{LOGS}?{bad}")).token(&token).send().await.status, 400, "{bad}");
    }
}

#[tokio::test]
async fn csv_reads_back_as_the_list() {
    let (server, token) = busy().await;
    make_group(&server, &token, "=HYPERLINK(\"http://evil.example\")").await;

    for query in ["", "category=group_permission&ordering=action", "search=nothing-like-this"] {
        let reply = server.get(&format!("{LOGS}export/?{query}")).token(&token).send().await;

        assert_eq!(reply.status, 200, "{}", reply.text);
        assert_eq!(reply.header("content-type"), "text/csv; charset=utf-8");
        assert_eq!(reply.header("content-disposition"), "attachment; filename=\"audit-2026-03-05.csv\"");
        let listed = rows(&server, &token, query).await;
        assert_eq!(reply.header("x-total-count"), listed.len().to_string());
        let mut reader = csv::Reader::from_reader(reply.text.as_bytes());
        let names = reader.headers().unwrap().clone();
        let read: Vec<Value> = reader
            .records()
            .map(|line| {
                let line = line.unwrap();
                assert!(!line.iter().any(|cell| cell.starts_with(['=', '+', '-', '@', '\t'])), "{line:?}");
                names.iter().map(str::to_owned).zip(line.iter().map(Value::from)).collect()
            })
            .collect();
        let plain = |row: &Value| -> Value {
            let plain = |value: &Value| match value {
                Value::String(text) if text.starts_with('=') => format!("'{text}"),
                Value::String(text) => text.clone(),
                Value::Null => String::new(),
                other => other.to_string(),
            };
            row.as_object().unwrap().iter().map(|(name, value)| (name.clone(), plain(value))).collect()
        };
        assert_eq!(read, listed.iter().map(plain).collect::<Vec<_>>(), "{query}");
        assert!(!query.is_empty() || reply.text.contains("'=HYPERLINK"));
    }
}

#[tokio::test]
async fn stats_count_what_the_list_lists() {
    let (server, token) = busy().await;

    for days in [1, 2, 30] {
        let stats = server.get(&format!("{LOGS}stats/?days={days}")).token(&token).send().await.body;

        let since = server.clock.now() - DAY * days;
        let listed = rows(&server, &token, &format!("created_after={}", since.format("%Y-%m-%dT%H:%M:%SZ"))).await;
        assert_eq!((&stats["total_logs"], &stats["days"]), (&json!(listed.len()), &json!(days)));
        for name in ["category", "action"] {
            let counts = stats[format!("by_{name}")].as_array().unwrap();
            assert!(counts.iter().map(|one| one["count"].as_i64().unwrap()).is_sorted_by(|one, next| one >= next));
            let different: BTreeSet<_> = listed.iter().map(|row| row[name].as_str().unwrap()).collect();
            assert_eq!(counts.len(), different.len());
            for one in counts {
                assert_eq!(one["count"], json!(listed.iter().filter(|row| row[name] == one[name]).count()));
            }
        }
    }
    let plain = server.get(&format!("{LOGS}stats/")).token(&token).send().await.body;
    assert_eq!(plain["days"], 30);
    assert_eq!(plain["by_category"][0]["category_display"], "Groups and permissions");
    assert_eq!(server.get(&format!("{LOGS}stats/?days=0")).token(&token).send().await.status, 400);
}

#[tokio::test]
async fn settings_begin_sensible_and_their_changes_are_told() {
    let server = Server::start().await;
    let token = server.token("root", true).await;
    let settings = server.get(SETTINGS).token(&token).send().await.body;

    let fields = settings.as_object().unwrap();
    let days: Vec<_> = fields.iter().filter(|(name, _)| name.ends_with("_retention_days")).collect();
    assert_eq!(days.len(), 20);
    assert!(days.iter().all(|(_, days)| (30..=365).contains(&days.as_i64().unwrap())), "{days:?}");
    let switches = fields.iter().filter(|(name, _)| name.ends_with("_enabled"));
    assert!(switches.clone().count() == 21 && switches.clone().all(|(_, value)| *value == true));
    let others = ["max_content_size_mb", "compress_large_content", "cleanup_time_hour", "last_cleanup_at"];
    assert_eq!(others.map(|name| settings[name].clone()), [json!(10), json!(true), json!(3), Value::Null]);

    change_settings(&server, &token, &json!({ "ai_retention_days": 0, "settings_change_enabled": false })).await;

    let row = rows(&server, &token, "category=settings_change").await.remove(0);
    assert_eq!(row["action"], "audit_settings_updated");
    let expected = json!({
        "ai_retention_days": { "before": 90, "after": 0 },
        "settings_change_enabled": { "before": true, "after": false },
    });
    assert_eq!(row["metadata"]["changes"], expected);
    let missing = server.call("PUT", SETTINGS).token(&token).json(&json!({ "cleanup_time_hour": 4 })).send().await;
    assert_eq!((missing.status, missing.body.as_object().unwrap().len()), (400, 43));
    let mut whole = settings.clone();
    whole["cleanup_time_hour"] = json!(4);
    let put = server.call("PUT", SETTINGS).token(&token).json(&whole).send().await;
    assert_eq!(
        (put.status, &put.body["cleanup_time_hour"], &put.body["ai_retention_days"]),
        (200, &json!(4), &json!(90))
    );
    // Switched off as they were, changes of these settings are told.
    assert_eq!(rows(&server, &token, "category=settings_change").await.len(), 2);
    for bad in [json!({ "cleanup_time_hour": 24 }), json!({ "ai_retention_days": -1 }), json!({ "ai_enabled": null })] {
        assert_eq!(server.call("PATCH", SETTINGS).token(&token).json(&bad).send().await.status, 400, "{bad}");
    }
}

#[tokio::test]
async fn a_category_that_is_switched_off_is_not_kept() {
    let server = Server::start().await;
    let token = server.token("root", true).await;
    change_settings(&server, &token, &json!({ "group_permission_enabled": false })).await;

    make_group(&server, &token, "unseen").await;
    change_settings(&server, &token, &json!({ "group_permission_enabled": true })).await;
    make_group(&server, &token, "seen").await;

    let names: Vec<_> = rows(&server, &token, "category=group_permission").await;
    assert_eq!(names.iter().map(|row| &row["resource_name"]).collect::<Vec<_>>(), ["seen"]);
    assert!(verify_audit(&server.state).await.unwrap().is_clean());
}

#[tokio::test]
async fn what_is_too_old_is_forgotten_and_the_chain_stays_whole() {
    let server = Server::start().await;
    let token = server.token("root", true).await;
    let body = json!({ "user_management_retention_days": 0, "group_permission_retention_days": 30 });
    change_settings(&server, &token, &body).await;
    make_group(&server, &token, "first").await;
    make_user(&server, &token, "mara").await;
    make_group(&server, &token, "second").await;
    let before = verify_audit(&server.state).await.unwrap();

    server.clock.advance(DAY * 29);
    run_jobs(&server.state).await;
    let (token, _) = server.login("root").await;
    assert_eq!(rows(&server, &token, "category=group_permission").await.len(), 2);
    server.clock.advance(DAY * 2);
    run_jobs(&server.state).await;

    let (token, _) = server.login("root").await;
    assert_eq!(rows(&server, &token, "category=group_permission").await, Vec::<Value>::new());
    // The administrator and the user.
    assert_eq!(rows(&server, &token, "action=user_created").await.len(), 2);
    let told = rows(&server, &token, "action=audit_logs_forgotten").await;
    assert_eq!((told.len(), &told[0]["username"]), (1, &json!("system")));
    assert!(
        server
            .get(&format!("{LOGS}export/"))
            .token(&token)
            .send()
            .await
            .text
            .lines()
            .all(|line| !line.contains("first,"))
    );
    let after = verify_audit(&server.state).await.unwrap();
    assert_eq!((after.is_clean(), after.first_sequence), (true, before.first_sequence), "{after:?}");

    // Once nothing before it is kept, the forgotten beginning goes, too.
    change_settings(
        &server,
        &token,
        &json!({
            "user_management_retention_days": 30,
            "login_logout_retention_days": 30,
            "settings_change_retention_days": 40,
        }),
    )
    .await;
    server.clock.advance(DAY * 50);
    run_jobs(&server.state).await;
    let dropped = verify_audit(&server.state).await.unwrap();
    assert!(dropped.is_clean() && dropped.first_sequence > before.last_sequence, "{dropped:?}");
    let (token, _) = server.login("root").await;
    assert_eq!(rows(&server, &token, "action=audit_logs_dropped").await.len(), 1);
}

#[tokio::test]
async fn cleaning_up_is_done_once_a_day_at_its_hour_and_only_when_wanted() {
    let server = Server::start().await;
    let token = server.token("root", true).await;
    let last = async || {
        let (token, _) = server.login("root").await;
        server.get(SETTINGS).token(&token).send().await.body["last_cleanup_at"].clone()
    };
    change_settings(&server, &token, &json!({ "auto_cleanup_enabled": false, "cleanup_time_hour": 14 })).await;
    run_jobs(&server.state).await;
    assert_eq!(last().await, Value::Null);
    change_settings(&server, &token, &json!({ "auto_cleanup_enabled": true })).await;

    for (hours, expected) in [
        (0, "2026-03-02T12:00:00+00:00"),
        (1, "2026-03-02T12:00:00+00:00"),
        (1, "2026-03-02T14:00:00+00:00"),
        (20, "2026-03-02T14:00:00+00:00"),
        (5, "2026-03-03T15:00:00+00:00"),
    ] {
        server.clock.advance(Duration::from_secs(hours * 60 * 60));
        tokio::join!(run_jobs(&server.state), run_jobs(&server.state));
        assert_eq!(last().await, expected);
    }
}

#[tokio::test]
async fn many_writers_at_once_leave_no_gap() {
    let server = Server::start().await;
    let token = server.token("root", true).await;
    let before = verify_audit(&server.state).await.unwrap();

    let writers = (0..40).map(|i| {
        let (server, token) = (&server, &token);
        async move { make_group(server, token, &format!("team {i}")).await }
    });
    futures_util::future::join_all(writers).await;

    let after = verify_audit(&server.state).await.unwrap();
    assert!(after.is_clean(), "{after:?}");
    assert_eq!((after.rows, after.last_sequence), (before.rows + 40, before.last_sequence + 40));
    assert_ne!(after.last_hash, before.last_hash);
    // A database in memory is nobody else's to read.
    let elsewhere = verify_audit_at(&server.state.settings().database, None).await.unwrap();
    assert_eq!(elsewhere, std::env::var("FABRIK_TEST_POSTGRES").is_ok().then_some(after));
}
