//! The laws of telling: nothing is lost, nothing is told twice, nobody is woken up.

use std::sync::Arc;
use std::time::Duration;

use chrono::{TimeDelta, Timelike};
use chrono_tz::Tz;
use fabrik_core::store::MemoryStore;
use proptest::prelude::*;
use sea_query::Order;

use super::*;
use crate::server::clock::Clock;
use crate::server::memberships::ESCALATION_TARGETS;
use crate::server::settings::{Layers, Origin, Settings};
use crate::server::users::{self, NewUser};

const START: &str = "2026-03-28T12:00:00Z";

async fn server() -> (AppState, Clock) {
    server_on(&database().await).await
}

async fn server_on(database: &str) -> (AppState, Clock) {
    let mut layers = Layers::defaults();
    layers.set("database", database, Origin::Default).unwrap();
    let clock = Clock::manual(START.parse().unwrap());
    let settings = Settings::from_layers(&layers).unwrap();
    let state = AppState::open(settings, Arc::new(MemoryStore::default()), clock.clone()).await.unwrap();
    (state, clock)
}

/// Returns a database of its own: in memory, or on the PostgreSQL that the environment names.
async fn database() -> String {
    use sqlx::{AssertSqlSafe, Connection, Executor};
    let Ok(address) = std::env::var("FABRIK_TEST_POSTGRES") else { return "memory:".to_owned() };
    let name = format!("fabrik_{}", Uuid::now_v7().simple());
    let mut connection = sqlx::PgConnection::connect(&format!("{address}/postgres")).await.unwrap();
    connection.execute(AssertSqlSafe(format!("CREATE DATABASE {name}"))).await.unwrap();
    format!("{address}/{name}")
}

async fn user(state: &AppState, username: &str) -> i64 {
    let email = format!("{username}@lab.example");
    let user = NewUser { username, email: &email, password_hash: "", is_superuser: false, expires_at: None };
    let mut transaction = state.db().begin().await.unwrap();
    let id = users::add(&mut transaction, &user, state.clock().now()).await.unwrap();
    transaction.commit().await.unwrap();
    id
}

async fn set(state: &AppState, table: &'static str, id: i64, values: Vec<(&'static str, sea_query::Value)>) {
    let values = values.into_iter().map(|(name, value)| (Alias::new(name), Expr::from(value)));
    let id = Expr::col(Alias::new("id")).eq(id);
    let update = Query::update().table(Alias::new(table)).values(values).and_where(id).take();
    assert_eq!(state.db().run(&update).await.unwrap(), 1);
}

async fn want(state: &AppState, user: i64, values: Vec<(&'static str, sea_query::Value)>) {
    ensure_preferences(state, user).await.unwrap();
    set(state, "notification_preference", user, values).await;
}

async fn say(state: &AppState, users: &[i64], source: Source, severity: Severity, title: &str) {
    let mut transaction = state.db().begin().await.unwrap();
    let told =
        tell(state, &mut transaction, users, &Notice::new(source, severity, title, "What happened.")).await.unwrap();
    transaction.commit().await.unwrap();
    told.publish(state).await.unwrap();
}

/// Returns all mail that was handed over: to whom, subject, text, when.
async fn mails(state: &AppState) -> Vec<(String, String, String, DateTime<Utc>)> {
    let query = Query::select()
        .columns(["recipient", "subject", "body", "queued_at"].map(Alias::new))
        .from(Alias::new("mail_outbox"))
        .order_by(Alias::new("id"), Order::Asc)
        .take();
    state.db().all(&query).await.unwrap()
}

async fn titles(state: &AppState, user: i64) -> Vec<String> {
    let inbox = recent(state, user, 200).await.unwrap();
    inbox.iter().map(|one| one["title"].as_str().unwrap().to_owned()).collect()
}

const MINUTE: Duration = Duration::from_secs(60);
const SOME: [Source; 3] = [Source::ScheduledTaskFailure, Source::ConnectionHealth, Source::TimeMachineCleanup];

#[derive(Debug, Clone)]
struct Wish {
    digest: Option<u32>,
    quiet: Option<(u32, u32)>,
    zone: Tz,
    least: usize,
}

fn wishes() -> impl Strategy<Value = Wish> {
    let zones = vec![Tz::UTC, Tz::Europe__Berlin, Tz::Australia__Lord_Howe, Tz::America__New_York];
    (
        prop::option::of(1_u32..180),
        prop::option::of((0_u32..1440, 0_u32..1200)),
        prop::sample::select(zones),
        0_usize..4,
    )
        .prop_map(|(digest, quiet, zone, least)| Wish { digest, quiet, zone, least })
}

/// The wall clock of the user, in minutes, is within the quiet hours.
fn is_quiet(wish: &Wish, moment: DateTime<Utc>) -> bool {
    let local = moment.with_timezone(&wish.zone);
    wish.quiet.is_some_and(|(start, length)| (local.hour() * 60 + local.minute() + 1440 - start) % 1440 < length)
}

async fn check(wish: Wish, notices: Vec<(u32, usize, usize)>) {
    let (state, clock) = server().await;
    let mara = user(&state, "mara").await;
    set(&state, "auth_user", mara, vec![("display_timezone", wish.zone.name().into())]).await;
    let time = |minute: u32| format!("{:02}:{:02}:00", minute / 60, minute % 60);
    let (start, length) = wish.quiet.unwrap_or((0, 0));
    let values = vec![
        ("email_min_severity", SEVERITIES[wish.least].into()),
        ("digest_enabled", wish.digest.is_some().into()),
        ("digest_interval_minutes", i64::from(wish.digest.unwrap_or(60)).into()),
        ("quiet_hours_enabled", wish.quiet.is_some().into()),
        ("quiet_hours_start", time(start).into()),
        ("quiet_hours_end", time((start + length) % 1440).into()),
    ];
    want(&state, mara, values).await;

    let mut told = Vec::new();
    for (index, (pause, source, severity)) in notices.into_iter().enumerate() {
        for _ in 0..pause {
            clock.advance(7 * MINUTE);
            hand_over(&state).await.unwrap();
        }
        say(&state, &[mara], SOME[source], Severity::ALL[severity], &format!("<{index}>")).await;
        told.push((source, severity, clock.now()));
    }
    // The longest quiet and the longest digest end within this.
    for _ in 0..(36 * 60 / 7) {
        clock.advance(7 * MINUTE);
        hand_over(&state).await.unwrap();
    }

    let mails = mails(&state).await;
    for (index, (_, severity, _)) in told.iter().enumerate() {
        let times = mails.iter().map(|mail| mail.2.matches(&format!("<{index}>")).count()).sum::<usize>();
        assert_eq!(times, usize::from(*severity >= wish.least), "notice {index} of {told:?} in {mails:?}");
    }
    for (recipient, _, text, at) in &mails {
        assert_eq!(recipient, "mara@lab.example");
        assert!(!is_quiet(&wish, *at), "mailed at {at}");
        let inside: Vec<_> = (0..told.len()).filter(|index| text.contains(&format!("<{index}>"))).collect();
        let first = told[inside[0]];
        match wish.digest {
            None => assert_eq!(inside.len(), 1),
            Some(minutes) => {
                assert!(inside.iter().all(|index| told[*index].0 == first.0), "one source a digest");
                assert!(*at >= first.2 + TimeDelta::minutes(minutes.into()), "{at} is too soon after {}", first.2);
            }
        }
    }
    assert_eq!(titles(&state, mara).await.len(), told.len(), "the inbox has all");
    hand_over(&state).await.unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    /// Over both digest and quiet hours, with the change of clocks in the night after the start.
    #[test]
    fn every_notice_is_mailed_once_and_never_in_quiet_hours(
        wish in wishes(),
        notices in prop::collection::vec((0_u32..60, 0_usize..3, 0_usize..4), 1..10),
    ) {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(check(wish, notices));
    }
}

#[tokio::test]
async fn switches_say_who_is_told_and_where() {
    let (state, _) = server().await;
    let (all, no_source, no_inbox, no_mail) = (
        user(&state, "all").await,
        user(&state, "no_source").await,
        user(&state, "no_inbox").await,
        user(&state, "no_mail").await,
    );
    let gone = user(&state, "gone").await;
    set(&state, "auth_user", gone, vec![("is_active", false.into())]).await;
    want(&state, no_source, vec![("connection_health", false.into())]).await;
    want(&state, no_inbox, vec![("in_app_enabled", false.into())]).await;
    want(&state, no_mail, vec![("email_enabled", false.into())]).await;

    let everybody = [all, all, no_source, no_inbox, no_mail, gone, 987_654];
    say(&state, &everybody, Source::ConnectionHealth, Severity::Warning, "Lost").await;
    hand_over(&state).await.unwrap();

    let mut told = Vec::new();
    for id in [all, no_source, no_inbox, no_mail, gone] {
        told.push(titles(&state, id).await.len());
    }
    assert_eq!(told, [1, 0, 0, 1, 0]);
    let mut recipients: Vec<_> = mails(&state).await.into_iter().map(|mail| mail.0).collect();
    recipients.sort();
    assert_eq!(recipients, ["all@lab.example", "no_inbox@lab.example"]);
}

#[tokio::test]
async fn what_nobody_reads_is_told_to_others_once() {
    let (state, clock) = server().await;
    let (mara, chief) = (user(&state, "mara").await, user(&state, "chief").await);
    let columns = ["source", "min_severity", "wait_minutes", "created_at"].map(Alias::new);
    let insert = Query::insert()
        .into_table(Alias::new("escalation_rule"))
        .columns(columns)
        .values_panic(["connection_health".into(), "warning".into(), 30.into(), clock.now().into()])
        .returning_col(Alias::new("id"))
        .take();
    let rule = state.db().number(&insert).await.unwrap();
    let mut transaction = state.db().begin().await.unwrap();
    ESCALATION_TARGETS.set(&mut transaction, rule, &[mara, chief], "target_users").await.unwrap();
    transaction.commit().await.unwrap();
    say(&state, &[mara], Source::ConnectionHealth, Severity::Error, "Lost").await;
    say(&state, &[mara], Source::ConnectionHealth, Severity::Info, "Found").await;
    say(&state, &[mara], Source::SystemMaintenance, Severity::Error, "Disk").await;
    say(&state, &[mara], Source::ConnectionHealth, Severity::Error, "Read").await;
    let read = recent(&state, mara, 1).await.unwrap()[0]["id"].as_i64().unwrap();
    assert!(mark_read(&state, mara, read).await.unwrap());

    clock.advance(29 * MINUTE);
    escalate(&state).await.unwrap();
    assert_eq!(titles(&state, chief).await, Vec::<String>::new());
    clock.advance(MINUTE);
    for _ in 0..3 {
        escalate(&state).await.unwrap();
        clock.advance(31 * MINUTE);
    }

    assert_eq!(titles(&state, chief).await, ["Unread: Lost"]);
    assert_eq!(titles(&state, mara).await.len(), 4, "who has it is not told again");
}

#[tokio::test]
async fn two_servers_on_one_database_tell_once() {
    let folder = tempfile::tempdir().unwrap();
    let database = match database().await {
        memory if memory == "memory:" => format!("sqlite:{}", folder.path().join("server.db").display()),
        place => place,
    };
    let ((one, _), (other, _)) = (server_on(&database).await, server_on(&database).await);
    let mut users = Vec::new();
    for number in 0..8 {
        users.push(user(&one, &format!("user{number}")).await);
    }
    want(&one, users[0], vec![("digest_enabled", true.into()), ("digest_interval_minutes", 0_i64.into())]).await;
    for title in ["a", "b", "c"] {
        say(&one, &users, Source::ConnectionHealth, Severity::Error, title).await;
    }

    let (first, second) = tokio::join!(hand_over(&one), hand_over(&other));

    first.unwrap();
    second.unwrap();
    assert_eq!(mails(&one).await.len(), 1 + 7 * 3);
}

#[tokio::test]
async fn notifications_are_forgotten_in_time() {
    let (state, clock) = server().await;
    let mara = user(&state, "mara").await;
    for title in ["read", "unread"] {
        say(&state, &[mara], Source::SystemMaintenance, Severity::Info, title).await;
    }
    let read = recent(&state, mara, 2).await.unwrap()[1]["id"].as_i64().unwrap();
    mark_read(&state, mara, read).await.unwrap();
    let after = async |days: u64| {
        clock.advance(Duration::from_secs(days * 24 * 60 * 60));
        purge(&state).await.unwrap();
        titles(&state, mara).await
    };

    assert_eq!(after(90).await, ["unread", "read"]);
    assert_eq!(after(1).await, ["unread"]);
    assert_eq!(after(89).await, ["unread"]);
    assert_eq!(after(1).await, Vec::<String>::new());
}

/// What is queued for the webhooks of a user: events and titles.
async fn queued(state: &AppState, owner: i64) -> Vec<(String, String)> {
    let webhooks = Query::select()
        .column(Alias::new("id"))
        .from(Alias::new(webhooks::WEBHOOK))
        .and_where(Expr::col(Alias::new("owner_id")).eq(owner))
        .take();
    let query = Query::select()
        .columns(["event", "body"].map(Alias::new))
        .from(Alias::new(webhooks::DELIVERY))
        .and_where(Expr::col(Alias::new("webhook_id")).in_subquery(webhooks))
        .order_by(Alias::new("id"), Order::Asc)
        .take();
    let rows: Vec<(String, String)> = state.db().all(&query).await.unwrap();
    let title = |body: &str| serde_json::from_str::<Value>(body).unwrap()["data"]["title"].as_str().unwrap().to_owned();
    rows.into_iter().map(|(event, body)| (event, title(&body))).collect()
}

#[tokio::test]
async fn webhooks_hear_what_their_owners_may_and_want_to_know() {
    let (state, clock) = server().await;
    let (mara, ben, root) = (user(&state, "mara").await, user(&state, "ben").await, user(&state, "root").await);
    set(&state, "auth_user", root, vec![("is_superuser", true.into())]).await;
    let webhook = async |owner: i64, sources: Value, least: &str, all_users: bool| {
        let columns = ["id", "owner_id", "name", "url", "secret", "sources", "min_severity", "all_users", "created_at"];
        let insert = Query::insert()
            .into_table(Alias::new(webhooks::WEBHOOK))
            .columns(columns.map(Alias::new))
            .values_panic([
                Uuid::now_v7().into(),
                owner.into(),
                "hook".into(),
                "https://hooks.example.com/".into(),
                "".into(),
                sources.into(),
                least.into(),
                all_users.into(),
                clock.now().into(),
            ])
            .take();
        state.db().run(&insert).await.unwrap();
    };
    webhook(mara, json!(["connection_health"]), "warning", false).await;
    // Somebody who was an administrator once.
    webhook(ben, json!([]), "info", true).await;
    webhook(root, json!([]), "error", true).await;

    say(&state, &[mara], Source::ConnectionHealth, Severity::Warning, "Lost").await;
    say(&state, &[mara], Source::ConnectionHealth, Severity::Info, "Found").await;
    say(&state, &[mara], Source::SystemMaintenance, Severity::Error, "Disk").await;
    say(&state, &[ben], Source::ConnectionHealth, Severity::Error, "Down").await;

    let pair = |event: &str, title: &str| (event.to_owned(), title.to_owned());
    assert_eq!(queued(&state, mara).await, [pair("connection_health", "Lost")]);
    assert_eq!(queued(&state, ben).await, [pair("connection_health", "Down")]);
    assert_eq!(queued(&state, root).await, [pair("system_maintenance", "Disk"), pair("connection_health", "Down")]);
}
