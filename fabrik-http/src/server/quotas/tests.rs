//! Quotas against a model, and under two callers at the same time.

use std::sync::Arc;

use axum::http::{HeaderMap, HeaderValue, header};
use chrono::{TimeZone, Timelike};
use fabrik_core::store::MemoryStore;
use futures_util::future::join_all;
use proptest::prelude::*;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection, Executor};

use super::*;
use crate::server::caller::authenticate;
use crate::server::clock::Clock;
use crate::server::memberships::{USER_GROUPS, USER_PERMISSIONS, group_named};
use crate::server::peer::Peer;
use crate::server::settings::{Layers, Origin, Settings};
use crate::server::{create_user, permissions, sessions};

async fn start() -> (AppState, Clock) {
    let mut layers = Layers::defaults();
    let mut place = "memory:".to_owned();
    if let Ok(address) = std::env::var("FABRIK_TEST_POSTGRES") {
        let name = format!("fabrik_{}", uuid::Uuid::now_v7().simple());
        let mut connection = sqlx::PgConnection::connect(&format!("{address}/postgres")).await.unwrap();
        connection.execute(AssertSqlSafe(format!("CREATE DATABASE {name}"))).await.unwrap();
        place = format!("{address}/{name}");
    }
    layers.set("database", &place, Origin::Default).unwrap();
    let clock = Clock::manual(Utc.with_ymd_and_hms(2026, 3, 2, 12, 0, 0).unwrap());
    let settings = Settings::from_layers(&layers).unwrap();
    let state = AppState::open(settings, Arc::new(MemoryStore::default()), clock.clone()).await.unwrap();
    (state, clock)
}

/// Adds a user in the group Users, with these limits for the group.
async fn caller(state: &AppState, limits: Option<Limits>) -> Caller {
    let id = create_user(state, "mara", "", "Correct horse, battery", false).await.unwrap();
    if let Some(limits) = limits {
        let (group,) = state.db().first::<(i64,)>(&group_named("Users")).await.unwrap().unwrap();
        let mut transaction = state.db().begin().await.unwrap();
        assert!(USER_GROUPS.has(&mut transaction, id, group).await.unwrap());
        set_of_group(&mut transaction, group, &limits).await.unwrap();
        transaction.commit().await.unwrap();
    }
    let access = sessions::begin(state, id, &Peer::local()).await.unwrap().access;
    let mut headers = HeaderMap::new();
    headers.insert(header::AUTHORIZATION, HeaderValue::try_from(format!("Bearer {access}")).unwrap());
    authenticate(state, &headers, &Peer::local()).await.unwrap().unwrap()
}

fn daily(limit: i64) -> Limits {
    Limits { query_execution_daily: limit, ..Limits::DEFAULT }
}

const DAILY: Quota = Quota::QueryExecutionDaily;

/// Makes limits of small numbers and switches, in the order of the columns.
fn any_limits() -> impl Strategy<Value = Value> {
    (prop::collection::vec(0..4_i64, 9), prop::collection::vec(any::<bool>(), 8)).prop_map(|(numbers, switches)| {
        let values = numbers.into_iter().map(Value::from).chain(switches.into_iter().map(Value::from));
        Limits::COLUMNS.iter().map(|name| (*name).to_owned()).zip(values).collect()
    })
}

fn limits(json: &Value) -> Limits {
    let request: LimitsRequest = serde_json::from_value(json.clone()).unwrap();
    request.over(Limits::DEFAULT)
}

proptest! {
    #[test]
    fn of_several_groups_the_most_generous_of_each_holds(groups in prop::collection::vec(any_limits(), 0..4)) {
        let effective = json!(effective(groups.iter().map(limits).collect()));

        for name in Limits::COLUMNS {
            let values: Vec<_> = groups.iter().map(|group| &group[*name]).collect();
            let expected = if values.is_empty() {
                json!(Limits::DEFAULT)[*name].clone()
            } else if values[0].is_boolean() {
                values.contains(&&json!(true)).into()
            } else if values.contains(&&json!(0)) {
                0.into()
            } else {
                values.iter().filter_map(|value| value.as_i64()).max().into()
            };
            prop_assert_eq!(&effective[*name], &expected, "{}", name);
        }
    }
}

#[test]
fn templates_have_the_names_they_are_listed_by() {
    assert_eq!(Template::ALL.map(|template| template.name), Template::NAMES);
    for name in Template::NAMES {
        assert_eq!(Template::named(name).map(|template| template.name), Some(*name));
    }
}

#[tokio::test]
async fn a_daily_quota_is_full_again_at_midnight_utc() {
    let (state, clock) = start().await;
    let caller = caller(&state, Some(daily(3))).await;
    let mut used = 0;
    let mut refusals = 0;

    // Two takes every five hours, for three days.
    for _ in 0..15 {
        for _ in 0..2 {
            let taken = take_daily(&state, &caller, DAILY).await;
            if used < 3 {
                assert!(taken.is_ok(), "{}", clock.now());
                used += 1;
            } else {
                let Err(ApiError::OverQuota { detail, wait }) = taken else { panic!("{}", clock.now()) };
                assert_eq!(wait.as_secs(), u64::from(24 - clock.now().hour()) * 3600);
                assert!(detail.contains("query_execution_daily is 3"), "{detail}");
                refusals += 1;
            }
            assert_eq!(used_today(&state, caller.id(), DAILY).await.unwrap(), used);
        }
        let before = clock.now().date_naive();
        clock.advance(Duration::from_secs(5 * 3600));
        if clock.now().date_naive() != before {
            used = 0;
            purge(&state).await.unwrap();
        }
    }
    assert!(refusals > 5, "{refusals}");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_who_take_the_last_units_at_once_as_many_get_them_as_there_are() {
    let (state, _) = start().await;
    let caller = caller(&state, Some(daily(5))).await;

    let takes = (0..12).map(|_| {
        let (state, caller) = (state.clone(), caller.clone());
        tokio::spawn(async move { take_daily(&state, &caller, DAILY).await.is_ok() })
    });
    let taken = join_all(takes).await.into_iter().filter(|taken| *taken.as_ref().unwrap()).count();

    assert_eq!(taken, 5);
    assert_eq!(used_today(&state, caller.id(), DAILY).await.unwrap(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn stock_stays_within_its_quota_when_more_is_made_at_once() {
    let (state, _) = start().await;
    let caller = caller(&state, Some(Limits { max_apic_connections: 2, ..Limits::DEFAULT })).await;
    // Permissions stand for what is counted.
    let permissions: Vec<_> = permissions::all(state.db()).await.unwrap().into_iter().take(6).collect();
    let counting = Query::select()
        .column(Alias::new("user_id"))
        .expr(sea_query::Func::count(Expr::col(Alias::new("user_id"))))
        .from(Alias::new("auth_user_permission"))
        .and_where(Expr::col(Alias::new("user_id")).eq(caller.id()))
        .group_by_col(Alias::new("user_id"))
        .take();

    let made = permissions.into_iter().map(|permission| {
        let (state, caller, counting) = (state.clone(), caller.clone(), counting.clone());
        tokio::spawn(async move {
            let mut transaction = state.db().begin().await.unwrap();
            check_count(&mut transaction, &caller, Quota::ApicConnections, &counting).await?;
            USER_PERMISSIONS.add(&mut transaction, caller.id(), permission.id).await.unwrap();
            transaction.commit().await.unwrap();
            Ok::<_, ApiError>(())
        })
    });
    let made: Vec<_> = join_all(made).await.into_iter().map(Result::unwrap).collect();

    assert_eq!(made.iter().filter(|made| made.is_ok()).count(), 2);
    assert!(made.iter().all(|made| matches!(made, Ok(()) | Err(ApiError::Refused(_)))));
}

#[tokio::test]
async fn switches_hold_where_every_group_with_limits_says_off() {
    let (state, _) = start().await;
    let caller = caller(&state, Some(Limits { can_execute_queries: false, ..Limits::DEFAULT })).await;

    assert!(matches!(require(&state, &caller, Switch::CanExecuteQueries).await, Err(ApiError::Refused(_))));
    assert!(require(&state, &caller, Switch::CanUseTimeMachine).await.is_ok());
    assert!(check_stock(&mut state.db().begin().await.unwrap(), &caller, Stock::AwxExecutions).await.is_ok());
}

#[tokio::test]
async fn nothing_limits_who_has_no_limit() {
    let (state, _) = start().await;
    let caller = caller(&state, Some(daily(0))).await;

    for _ in 0..20 {
        take_daily(&state, &caller, DAILY).await.unwrap();
    }
    // What is used is counted all the same.
    assert_eq!(used_today(&state, caller.id(), DAILY).await.unwrap(), 20);
    let root = create_user(&state, "root", "", "Correct horse, battery", true).await.unwrap();
    assert_eq!(limits_of(state.db(), root, true).await.unwrap(), Limits::UNLIMITED);
}
