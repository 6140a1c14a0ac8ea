//! Two servers on one PostgreSQL see one truth.

use fabrik_core::store::conformance::postgres::server as postgres;
use sqlx::Connection;
use tokio::sync::watch;

use super::*;
use crate::server::{caller, tickets};

/// Two servers that hear each other, and the address of their database.
async fn two(settings: &[(&str, &str)]) -> (Live, Live, String) {
    let address = postgres().url(postgres().new_address().schema());
    let settings: Vec<_> = [("database", &*address)].into_iter().chain(settings.iter().copied()).collect();
    let clock = Clock::manual(DateTime::UNIX_EPOCH + TimeDelta::days(20_000));
    let (one, other) = (Live::at(&settings, clock.clone()).await, Live::at(&settings, clock).await);
    for server in [&one, &other] {
        until(&mut server.state.events().gaps(), 0).await;
    }
    (one, other, address)
}

/// Waits until a count is above `before`.
async fn until(count: &mut watch::Receiver<u64>, before: u64) {
    timeout(LIMIT, count.wait_for(|count| *count > before)).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_ticket_of_one_server_is_good_once_on_either() {
    let (one, other, _) = two(&[]).await;
    let mara = one.user("mara", false).await;
    let peer = Peer::local();

    for _ in 0..20 {
        let ticket = one.ticket(&mara).await;
        let taken =
            tokio::join!(tickets::redeem(&one.state, &ticket, &peer), tickets::redeem(&other.state, &ticket, &peer),);
        let taken = [taken.0.unwrap(), taken.1.unwrap()];
        assert_eq!(taken.iter().flatten().map(caller::Caller::id).collect::<Vec<_>>(), [mara.id]);
    }
}

#[tokio::test]
async fn rates_that_guard_secrets_are_shared() {
    let (one, other, _) = two(&[("rate_limit.login", "3/hour"), ("rate_limit.anon", "3/hour")]).await;
    let login = async |server: &Live| {
        let body = json!({ "username": "mara", "password": "wrong" });
        server.call(Method::POST, "/api/auth/login/", "", body).await.0
    };
    let look = async |server: &Live| server.call(Method::GET, "/api/auth/profile/", "", json!({})).await.0;

    let statuses = [login(&one).await, login(&other).await, login(&one).await, login(&other).await];
    assert_eq!(statuses, [401, 401, 401, 429]);
    one.clock.advance(Duration::from_secs(20 * 60));
    assert_eq!((login(&other).await, login(&one).await), (401, 429));
    // The general rates hold for each server.
    one.clock.advance(Duration::from_secs(3600));
    for server in [&one, &other] {
        assert_eq!(
            [look(server).await, look(server).await, look(server).await, look(server).await],
            [401, 401, 401, 429]
        );
    }
}

#[tokio::test]
async fn failed_logins_on_both_servers_lock_the_account_on_both() {
    let (one, other, _) = two(&[]).await;
    one.user("mara", false).await;
    let login = async |server: &Live, password: &str| {
        let body = json!({ "username": "mara", "password": password });
        server.call(Method::POST, "/api/auth/login/", "", body).await.0
    };

    for server in [&one, &other, &one, &other, &one] {
        assert_eq!(login(server, "wrong").await, 401);
    }
    assert_eq!((login(&one, PASSWORD).await, login(&other, PASSWORD).await), (429, 429));
}

#[tokio::test]
async fn a_session_that_ends_on_one_server_has_ended_on_the_other() {
    let (one, other, _) = two(&[]).await;
    let mara = one.user("mara", false).await;
    let job = open_job(&one.state, mara.id).await.unwrap();
    let client = other.follow(job, &mara).await;
    let look = async || other.call(Method::GET, "/api/auth/profile/", &mara.token, json!({})).await.0;
    // Now the other server remembers her, and the clock stands: it would for ever.
    assert_eq!(look().await, 200);
    let mut changes = other.state.callers().changes();
    let before = *changes.borrow();

    assert_eq!(one.call(Method::POST, "/api/auth/logout/", &mara.token, json!({})).await.0, 204);
    until(&mut changes, before).await;

    assert_eq!(look().await, 401);
    assert_eq!(client.code().await, 4001);
}

#[tokio::test]
async fn events_cross_in_order_however_long() {
    let (one, other, _) = two(&[]).await;
    let channel = Channel::Notifications(7);
    let (mut here, mut there) =
        (one.state.events().listen(channel.clone()), other.state.events().listen(channel.clone()));

    let lengths = [3, 20_000, 5, 100_000, 0];
    for length in lengths {
        one.state.events().publish(&one.state, &channel, "n", json!("x".repeat(length))).await;
    }

    for length in lengths {
        let text = frame(&one.state, "n", &json!("x".repeat(length)));
        let heard = Heard::Frame { number: 0, text };
        assert_eq!(here.recv().await.unwrap(), heard);
        assert_eq!(timeout(LIMIT, there.recv()).await.unwrap().unwrap(), heard);
    }
    // Nobody hears themselves.
    assert!(here.try_recv().is_err());
}

#[tokio::test]
async fn a_job_of_one_server_is_followed_on_the_other() {
    let (one, other, _) = two(&[]).await;
    let mara = one.user("mara", false).await;
    let job = open_job(&one.state, mara.id).await.unwrap();
    one.publish(job, "one").await;

    let mut client = other.follow(job, &mara).await;
    assert_eq!(client.kind().await, "one");
    one.publish(job, "two").await;
    assert_eq!(client.kind().await, "two");
    one.publish(job, "done").await;
    close_job(&one.state, job).await.unwrap();
    assert_eq!(client.end().await, (1000, vec!["done".to_owned()]));
    assert_eq!(other.follow(job, &mara).await.end().await, (1000, vec!["done".to_owned()]));
}

#[tokio::test]
async fn what_a_server_missed_while_it_was_cut_off_is_told_when_it_is_back() {
    let (one, other, address) = two(&[]).await;
    let mara = one.user("mara", false).await;
    let job = open_job(&one.state, mara.id).await.unwrap();
    let mut client = other.follow(job, &mara).await;
    one.publish(job, "one").await;
    assert_eq!(client.kind().await, "one");
    let mut gaps = other.state.events().gaps();
    let before = *gaps.borrow();

    let place: fabrik_core::store::PostgresAddress = address.parse().unwrap();
    let mut connection = sqlx::PgConnection::connect_with(place.options()).await.unwrap();
    let listeners = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query = $1";
    let query = format!("LISTEN \"{}_server_events\"", place.schema());
    let cut = sqlx::query(listeners).bind(query).execute(&mut connection).await.unwrap();
    assert_eq!(cut.rows_affected(), 2);
    // Nobody listens now, or only again: either way the frame arrives, and once.
    one.publish(job, "two").await;
    until(&mut gaps, before).await;
    one.publish(job, "three").await;
    close_job(&one.state, job).await.unwrap();

    let (code, kinds) = client.end().await;
    assert_eq!(code, 1000);
    assert!(kinds == ["two", "three"] || kinds == ["three"], "{kinds:?}");
}
