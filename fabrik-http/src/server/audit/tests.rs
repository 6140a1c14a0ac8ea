//! Laws of the chain: what was appended verifies, and whatever else is done to it is found.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::Request;
use chrono::{TimeZone, Utc};
use fabrik_core::store::MemoryStore;
use proptest::prelude::*;
use sqlx::{AssertSqlSafe, SqlitePool};
use tower::ServiceExt;

use super::*;
use crate::server::clock::Clock;
use crate::server::settings::{Layers, Origin, Settings};
use crate::server::{create_user, router, sessions};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

async fn state() -> (AppState, Clock) {
    let mut layers = Layers::defaults();
    layers.set("database", "memory:", Origin::Default).unwrap();
    let clock = Clock::manual(Utc.with_ymd_and_hms(2026, 3, 2, 12, 0, 0).unwrap());
    let settings = Settings::from_layers(&layers).unwrap();
    (AppState::open(settings, Arc::new(MemoryStore::default()), clock.clone()).await.unwrap(), clock)
}

fn pool(state: &AppState) -> &SqlitePool {
    match state.db() {
        Database::Sqlite(pool) => pool,
        Database::Postgres(_) => panic!("the test runs on SQLite"),
    }
}

async fn run(state: &AppState, sql: &str) {
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(pool(state)).await.unwrap();
}

async fn numbers(state: &AppState, sql: &str) -> Vec<i64> {
    sqlx::query_scalar(AssertSqlSafe(sql.to_owned())).fetch_all(pool(state)).await.unwrap()
}

fn entry(category: Category, number: usize) -> Entry {
    Entry::new(category, "thing_done", format!("Did thing {number}"))
        .on("thing", number, format!("thing {number}"))
        .with(json!({ "number": number }))
        .content(format!("content {number}"))
}

/// Makes a log whose beginning was dropped, that has forgotten rows in it, and others after them.
async fn aged() -> AppState {
    let (state, clock) = state().await;
    let actor = Actor::user(7, "mara", &Peer::local());
    for number in 0..3 {
        entry(Category::Ai, number).record(&state, &actor).await.unwrap();
    }
    for number in 3..9 {
        let category = if number % 2 == 0 { Category::Ai } else { Category::UserManagement };
        entry(category, number).record(&state, &actor).await.unwrap();
    }
    clock.advance(DAY * 100);
    clean_up(&state).await.unwrap();
    for number in 9..12 {
        entry(Category::Ai, number).failed("it broke").record(&state, &Actor::server()).await.unwrap();
    }
    let report = verify_audit(&state).await.unwrap();
    assert_eq!((report.is_clean(), report.rows, report.first_sequence), (true, 11, 4), "{report:?}");
    assert_eq!(numbers(&state, "SELECT count(*) FROM audit_log WHERE forgotten_at IS NOT NULL").await, [3]);
    run(
        &state,
        "CREATE TABLE saved_log AS SELECT * FROM audit_log; CREATE TABLE saved_chain AS SELECT * FROM audit_chain",
    )
    .await;
    state
}

async fn restore(state: &AppState) {
    run(
        state,
        "DELETE FROM audit_log; INSERT INTO audit_log SELECT * FROM saved_log;
         DELETE FROM audit_chain; INSERT INTO audit_chain SELECT * FROM saved_chain",
    )
    .await;
}

/// Does something to the log and returns the first damage that is found.
async fn first_damage(state: &AppState, sql: &str) -> Option<AuditDamage> {
    run(state, sql).await;
    let found = verify_audit(state).await.unwrap().damage.first().copied();
    restore(state).await;
    found
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn whatever_is_appended_verifies(
        rows in prop::collection::vec((0..Category::ALL.len(), any::<String>(), any::<String>(), any::<Vec<u8>>()), 0..12)
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let report = runtime.block_on(async {
            let (state, _) = state().await;
            for (category, name, text, content) in &rows {
                let actor = Actor::named(name, &Peer::local());
                let entry = Entry::new(Category::ALL[*category], "thing_done", text).on("thing", name, name);
                let entry = entry.with(json!({ "text": text })).content(content.clone()).failed(text);
                entry.record(&state, &actor).await.unwrap();
            }
            verify_audit(&state).await.unwrap()
        });

        prop_assert!(report.is_clean(), "{:?}", report);
        prop_assert_eq!((report.rows, report.last_sequence), (rows.len() as u64, rows.len() as i64));
    }

    #[test]
    fn any_other_value_in_any_text_of_any_row_is_found(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), "[a-z\\PC]{1,8}"), 1..40)
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let state = aged().await;
            let sequences = numbers(&state, "SELECT sequence FROM audit_log ORDER BY sequence").await;
            for (row, column, value) in changes {
                let texts = ["username", "ip_address", "user_agent", "category", "action", "resource_type",
                    "resource_id", "resource_name", "description", "metadata", "error_message"];
                let (sequence, column) = (*row.get(&sequences), *column.get(&texts));
                let sql = format!("UPDATE audit_log SET {column} = ? WHERE sequence = ? AND {column} <> ?");
                let update = sqlx::query(AssertSqlSafe(sql)).bind(&value).bind(sequence).bind(&value);
                if update.execute(pool(&state)).await.unwrap().rows_affected() > 0 {
                    let found = verify_audit(&state).await.unwrap().damage;
                    assert_eq!(found.first().map(|damage| damage.sequence), Some(sequence), "{column} = {value:?}");
                }
                restore(&state).await;
            }
        });
    }
}

#[tokio::test]
async fn a_change_of_any_column_of_any_row_is_found_there() {
    let state = aged().await;
    let columns: Vec<(String,)> =
        sqlx::query_as("SELECT name FROM pragma_table_info('audit_log')").fetch_all(pool(&state)).await.unwrap();
    assert_eq!(columns.len(), 23);

    for sequence in numbers(&state, "SELECT sequence FROM audit_log").await {
        for (column,) in &columns {
            let other = match &**column {
                "sequence" => "sequence + 1000",
                "id" => "randomblob(16)",
                "timestamp" => "'2026-01-01 00:00:00+00:00'",
                "forgotten_at" => "'2026-01-01 00:00:00+00:00'",
                "user" => "coalesce(\"user\", 0) + 1",
                "content" => "coalesce(content, X'') || X'00'",
                "content_hash" | "hash" => "randomblob(32)",
                "content_size" => "content_size + 1",
                "content_compressed" | "content_truncated" | "success" => &format!("NOT {column}"),
                text => &format!("{text} || ' '"),
            };
            let found = first_damage(
                &state,
                &format!("UPDATE audit_log SET \"{column}\" = {other} WHERE sequence = {sequence}"),
            )
            .await;
            assert_eq!(found.map(|damage| damage.sequence), Some(sequence), "{column} of {sequence}");
        }
    }
}

#[tokio::test]
async fn values_that_cannot_be_read_are_found() {
    let state = aged().await;

    for (column, value) in [("timestamp", "'soon'"), ("id", "X'00'"), ("sequence", "'x'"), ("sequence", "6.5")] {
        let sql = format!("UPDATE audit_log SET {column} = {value} WHERE sequence = 6");
        let found = first_damage(&state, &sql).await.unwrap();
        assert_eq!(found.sequence, 6, "{column} = {value}");
    }
}

#[tokio::test]
async fn rows_that_are_removed_moved_or_added_are_found() {
    use AuditDamageKind::{BeginningUnannounced, LinkBroken, RowInserted, RowMissing};
    let state = aged().await;
    let sequences = numbers(&state, "SELECT sequence FROM audit_log ORDER BY sequence").await;
    let last = *sequences.last().unwrap();
    let told = |damage: Option<AuditDamage>| damage.map(|damage| (damage.sequence, damage.kind));

    for sequence in &sequences {
        let gone = format!("DELETE FROM audit_log WHERE sequence = {sequence}");
        assert_eq!(told(first_damage(&state, &gone).await), Some((*sequence, RowMissing)));
        let tail = format!("DELETE FROM audit_log WHERE sequence >= {sequence}");
        assert_eq!(told(first_damage(&state, &tail).await), Some((*sequence, RowMissing)));
    }
    for pair in sequences.windows(2) {
        let (one, next) = (pair[0], pair[1]);
        let swap = format!(
            "UPDATE audit_log SET sequence = -1 WHERE sequence = {one}; UPDATE audit_log SET sequence = {one} WHERE \
             sequence = {next}; UPDATE audit_log SET sequence = {next} WHERE sequence = -1"
        );
        assert_eq!(told(first_damage(&state, &swap).await), Some((one, LinkBroken)));
    }
    for sequence in [-1, 3, last + 1, last + 9] {
        let copy = format!(
            "CREATE TEMP TABLE copy AS SELECT * FROM audit_log WHERE sequence = 6; UPDATE copy SET sequence = \
             {sequence}, id = randomblob(16); INSERT INTO audit_log SELECT * FROM copy; DROP TABLE copy"
        );
        let found = first_damage(&state, &copy).await.unwrap();
        assert!(
            found.kind == RowInserted
                || found.kind == LinkBroken && found.sequence == last + 1
                || found.kind == RowMissing,
            "{found:?}"
        );
    }
    // The beginning cut off as retention does it, but for saying so.
    let cut = "UPDATE audit_chain SET first_sequence = 6, hash_before_first = (SELECT hash FROM audit_log WHERE \
               sequence = 5); DELETE FROM audit_log WHERE sequence < 6";
    assert_eq!(told(first_damage(&state, cut).await), Some((6, BeginningUnannounced)));
}

#[tokio::test]
async fn a_changed_end_of_the_chain_is_found() {
    let state = aged().await;

    for change in [
        "first_sequence = first_sequence - 1",
        "first_sequence = first_sequence + 1",
        "first_sequence = 1",
        "hash_before_first = randomblob(32)",
        "last_sequence = last_sequence - 1",
        "last_sequence = last_sequence + 1",
        "last_hash = randomblob(32)",
        "id = 2",
    ] {
        assert!(first_damage(&state, &format!("UPDATE audit_chain SET {change}")).await.is_some(), "{change}");
    }
    assert!(first_damage(&state, "DELETE FROM audit_chain").await.is_some());
}

#[tokio::test]
async fn rows_that_somebody_emptied_as_retention_does_are_found() {
    let state = aged().await;
    let empty = "\"user\" = NULL, username = '', ip_address = '', user_agent = '', action = '', resource_type = '', \
                 resource_id = '', resource_name = '', description = '', metadata = '', content = NULL, \
                 content_compressed = FALSE, content_size = 0, content_truncated = FALSE, success = FALSE, \
                 error_message = '', forgotten_at = (SELECT max(forgotten_at) FROM saved_log)";

    for sequence in numbers(&state, "SELECT sequence FROM audit_log WHERE forgotten_at IS NULL").await {
        let sql = format!("UPDATE audit_log SET {empty} WHERE sequence = {sequence}");
        let found = first_damage(&state, &sql).await.unwrap();
        // Without the announcement, what it announced is found as well.
        assert!([sequence, 4, 5].contains(&found.sequence), "{sequence}: {found:?}");
    }
}

#[tokio::test]
async fn an_undone_transaction_leaves_no_row() {
    let (state, _) = state().await;
    let mut transaction = state.db().begin().await.unwrap();
    entry(Category::Ai, 1).append(&mut transaction, &state, &Actor::server()).await.unwrap();
    drop(transaction);

    entry(Category::Ai, 2).record(&state, &Actor::server()).await.unwrap();

    let report = verify_audit(&state).await.unwrap();
    assert_eq!((report.is_clean(), report.rows, report.last_sequence), (true, 1, 1));
}

#[tokio::test]
async fn failed_logins_are_kept_though_logins_are_switched_off() {
    let (state, _) = state().await;
    run(&state, "UPDATE audit_settings SET login_logout_enabled = FALSE").await;

    for (action, why) in [("login_success", ""), ("login_failed", "a wrong password"), ("logout", "")] {
        let entry = Entry::new(Category::LoginLogout, action, "Somebody came or went");
        let entry = if why.is_empty() { entry } else { entry.failed(why) };
        entry.record(&state, &Actor::server()).await.unwrap();
    }

    let kept: Vec<(String,)> = sqlx::query_as("SELECT action FROM audit_log").fetch_all(pool(&state)).await.unwrap();
    assert_eq!(kept, [("login_failed".to_owned(),)]);
}

/// Asks as an administrator and returns the body of the answer and the header that counts.
async fn get(state: &AppState, path: &str) -> (String, String) {
    // Asked again, the user is there already and is the first.
    let user = create_user(state, "root", "", "Correct horse, battery", true).await.unwrap_or(1);
    let token = sessions::begin(state, user, &Peer::local()).await.unwrap().access;
    let request = Request::get(path).header("authorization", format!("Bearer {token}")).body(Body::empty()).unwrap();
    let reply = router(state).oneshot(request).await.unwrap();
    assert_eq!(reply.status(), 200);
    let total = reply.headers().get("x-total-count").map_or("", |total| total.to_str().unwrap()).to_owned();
    let bytes = to_bytes(reply.into_body(), usize::MAX).await.unwrap();
    (String::from_utf8(bytes.to_vec()).unwrap(), total)
}

#[tokio::test]
async fn content_is_shown_as_it_was_however_it_is_kept() {
    let (state, _) = state().await;
    let large = "ä".repeat(700_000);
    for (action, content) in [("thing_small", "a\nb"), ("thing_large", &*large)] {
        let entry = Entry::new(Category::Ai, action, "Thing").content(content);
        entry.record(&state, &Actor::server()).await.unwrap();
        let (list, _) = get(&state, &format!("/api/audit/logs/?action={action}")).await;
        let list: Value = serde_json::from_str(&list).unwrap();
        let (one, _) = get(&state, &format!("/api/audit/logs/{}/", list["results"][0]["id"].as_str().unwrap())).await;
        let one: Value = serde_json::from_str(&one).unwrap();
        assert!(one["content"] == content && one["content_size"] == content.len() && one["content_truncated"] == false);
        assert!(list["results"][0].get("content").is_none());
    }
    run(&state, "UPDATE audit_settings SET max_content_size_mb = 1").await;
    entry(Category::Ai, 1).content(&*large).record(&state, &Actor::server()).await.unwrap();
    let kept = numbers(&state, "SELECT length(content) FROM audit_log WHERE content_truncated ORDER BY sequence").await;
    assert_eq!(kept, [1024 * 1024]);
    assert!(verify_audit(&state).await.unwrap().is_clean());
}

#[tokio::test]
async fn attempts_to_log_in_are_seen_as_such() {
    let (state, _) = state().await;
    for (action, why) in [
        ("login_success", ""),
        ("login_failed", "a wrong password"),
        ("mfa_login", ""),
        ("ldap_login", ""),
        ("logout", ""),
    ] {
        let entry = Entry::new(Category::LoginLogout, action, "Somebody came or went");
        let entry = if why.is_empty() { entry } else { entry.failed(why) };
        entry.record(&state, &Actor::named("mara", &Peer::local())).await.unwrap();
    }
    entry(Category::Ai, 1).record(&state, &Actor::server()).await.unwrap();

    let actions = async |query: &str| {
        let (list, _) = get(&state, &format!("/api/audit/login-attempts/?{query}")).await;
        let list: Value = serde_json::from_str(&list).unwrap();
        let rows = list["results"].as_array().unwrap().clone();
        rows.into_iter().map(|row| row["action"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(actions("").await, ["ldap_login", "mfa_login", "login_failed", "login_success"]);
    assert_eq!(actions("success=false").await, ["login_failed"]);
    assert_eq!(
        actions("username=mara&ip_address=127.0.0.1&start_date=2026-03-02&action=mfa_login").await,
        ["mfa_login"]
    );
    assert!(actions("username=ben").await.is_empty() && actions("start_date=2026-03-03").await.is_empty());
}

#[tokio::test]
async fn exports_have_ten_thousand_rows_at_most_and_say_how_many_match() {
    let (state, _) = state().await;
    // Whoever asks is told in the log, which must not be filled before.
    get(&state, "/api/audit/logs/").await;
    run(
        &state,
        "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 10003)
         INSERT INTO audit_log SELECT n + 100, randomblob(16), '2026-03-02 12:00:00+00:00', NULL, 'x', '', '', 'ai', 'done', '',
         '', '', '', '{}', NULL, FALSE, 0, FALSE, TRUE, '', X'', X'', NULL FROM n",
    )
    .await;

    let (text, total) = get(&state, "/api/audit/logs/export/?action=done&ordering=sequence").await;

    assert_eq!((text.lines().count(), &*total), (10_001, "10003"));
    let sequences = text.lines().skip(1).map(|line| line.split(',').nth(1).unwrap().parse::<u32>().unwrap());
    assert!(sequences.eq(101..=10_100));
}
