//! What goes wrong on demand, as a client sees it.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use reqwest::header::RETRY_AFTER;

use super::{Client, start, tenant};
use crate::simulator::{Fault, FaultRule};

const QUERY: &str = "/api/class/fvBD.json?order-by=fvBD.dn";

fn page(page: usize) -> String {
    format!("{QUERY}&page={page}&page-size=5")
}

#[tokio::test]
async fn busy_page_has_a_count_and_no_objects_and_goes_away() {
    let simulator = start();
    let client = Client::logged_in(&simulator).await;
    let right = client.get(QUERY).await;
    let busy = simulator.faults().next(1, "fvBD", Fault::BusyPage);

    let got = client.get(QUERY).await;

    assert_eq!((got.status, got.total_count()), (200, right.total_count()));
    assert!(got.dns().is_empty());
    assert_eq!(client.get(QUERY).await.text, right.text);
    assert_eq!(simulator.faults().hits(busy), 1);
}

#[tokio::test]
async fn web_server_fails_with_pages_of_its_own() {
    let simulator = start();
    let client = Client::logged_in(&simulator).await;

    for status in [404, 502, 503, 504] {
        simulator.faults().next(1, "fvBD", Fault::HtmlPage { status });
        let got = client.get(QUERY).await;
        assert_eq!(got.status, status);
        assert!(got.text.contains("Cisco APIC"), "{}", got.text);
    }
    simulator.faults().next(1, "fvBD", Fault::Refused { status: 429, retry_after: Some(3) });
    let got = client.get(QUERY).await;
    assert_eq!((got.status, got.headers[RETRY_AFTER].to_str().unwrap()), (429, "3"));
}

#[tokio::test]
async fn cut_connection_is_an_error_in_the_middle_of_the_body() {
    let simulator = start();
    let client = Client::logged_in(&simulator).await;
    simulator.faults().next(1, "fvBD", Fault::CutBody { after: 100 });

    let request = client.http.get(format!("{}{QUERY}", client.url));
    let mut response =
        request.header("Cookie", format!("APIC-cookie={}", client.token.as_deref().unwrap())).send().await.unwrap();

    assert_eq!(response.status(), 200);
    assert_eq!(response.chunk().await.unwrap().unwrap().len(), 100);
    assert!(response.chunk().await.is_err());
    assert_eq!(client.get(QUERY).await.status, 200);
}

#[tokio::test]
async fn truncated_body_is_whole_for_http_and_no_json() {
    let simulator = start();
    let client = Client::logged_in(&simulator).await;
    simulator.faults().next(1, "fvBD", Fault::TruncatedBody { after: 100 });

    let got = client.get(QUERY).await;

    assert_eq!((got.status, got.text.len()), (200, 100));
}

#[tokio::test]
async fn too_big_query_stays_too_big_on_every_page_until_it_matches_less() {
    let simulator = start();
    let client = Client::logged_in(&simulator).await;
    let all = client.get(QUERY).await.dns();
    simulator.faults().add(FaultRule::new(Fault::TooBig { status: 503, threshold: all.len() - 1 }));

    let got = client.get(&page(0)).await;
    let from_the_second = format!("{QUERY}&query-target-filter=ge(fvBD.dn,\"{}\")", all[1]);
    let part = client.get(&from_the_second).await;
    let count = client.get("/api/class/fvBD.json?rsp-subtree-include=count").await;

    assert_eq!(
        (got.status, got.error_text().as_str()),
        (503, "Unable to process the query, result dataset is too big")
    );
    assert_eq!((part.status, part.total_count()), (200, all.len() - 1));
    assert_eq!(count.status, 200);
}

#[tokio::test]
async fn lost_node_fails_for_good_and_with_it_every_query_that_needs_it() {
    let simulator = start();
    let client = Client::logged_in(&simulator).await;
    simulator.faults().lose_node(101);

    for target in [
        "/api/node/class/topology/pod-1/node-101/l1PhysIf.json",
        "/api/mo/topology/pod-1/node-101.json",
        "/api/class/l1PhysIf.xml?page=1&page-size=1",
        "/api/class/l1PhysIf.json?query-target-filter=wcard(l1PhysIf.dn,%22node-101/%22)",
    ] {
        let got = client.get(target).await;
        assert!(got.status == 503 && got.text.contains("Unable to deliver the message, Resolve timeout"), "{got:?}");
    }
    for target in [
        "/api/node/class/topology/pod-1/node-102/l1PhysIf.json",
        "/api/node/class/topology/pod-1/node-1011/l1PhysIf.json",
        "/api/class/fabricNode.json",
        "/api/class/fvTenant.json",
    ] {
        assert_eq!(client.get(target).await.status, 200, "{target}");
    }
}

#[tokio::test]
async fn slow_answer_takes_its_time() {
    let simulator = start();
    let client = Client::logged_in(&simulator).await;
    simulator.faults().next(1, "fvBD", Fault::Slow { delay: Duration::from_millis(300) });

    let begin = Instant::now();
    assert_eq!(client.get(QUERY).await.status, 200);

    assert!(begin.elapsed() >= Duration::from_millis(300));
}

#[tokio::test]
async fn invalid_escape_is_repaired_by_taking_the_backslash_away() {
    let simulator = start();
    let client = Client::logged_in(&simulator).await;
    simulator.post(Some("uni/tn-quoted"), &tenant("quoted").replace("made by a test", "it's")).unwrap();
    let right = client.get("/api/mo/uni/tn-quoted.json").await;
    simulator.faults().next(1, "quoted", Fault::InvalidEscape);

    let got = client.get("/api/mo/uni/tn-quoted.json").await;

    assert!(serde_json::from_str::<serde_json::Value>(&got.text).is_err(), "{}", got.text);
    assert_eq!(got.text.replace(r"\'", "'"), right.text);
}

#[tokio::test]
async fn wrong_count_differs_from_the_objects() {
    let simulator = start();
    let client = Client::logged_in(&simulator).await;
    let right = client.get(QUERY).await.total_count();
    simulator.faults().next(1, "fvBD", Fault::WrongTotalCount { by: 3 });

    let got = client.get(QUERY).await;

    assert_eq!((got.total_count(), got.dns().len()), (right + 3, right));
}

#[tokio::test]
async fn repeated_object_makes_pages_overlap_while_their_sum_is_right() {
    let simulator = start();
    let client = Client::logged_in(&simulator).await;
    simulator.faults().add(FaultRule::new(Fault::RepeatedObject).with_text("fvBD"));

    let (first, second) = (client.get(&page(0)).await.dns(), client.get(&page(1)).await.dns());

    assert_eq!((first.len(), second.len()), (5, 5));
    assert_eq!(first.last(), second.last());
}

#[tokio::test]
async fn shrinking_count_loses_an_object_between_pages() {
    let simulator = start();
    let client = Client::logged_in(&simulator).await;
    let all: BTreeSet<String> = client.get(QUERY).await.dns().into_iter().collect();
    simulator.faults().add(FaultRule::new(Fault::Shrink { objects: 1 }).after(1).with_times(1).with_text("fvBD"));

    let (first, second) = (client.get(&page(0)).await, client.get(&page(1)).await);

    assert_eq!((first.total_count(), second.total_count()), (all.len(), all.len() - 1));
    let missed = all.iter().nth(5).unwrap();
    assert!(!first.dns().contains(missed) && !second.dns().contains(missed));
    assert_eq!(client.get(QUERY).await.total_count(), all.len() - 1);
}

#[tokio::test]
async fn growing_count_adds_objects_between_pages() {
    let simulator = start();
    let client = Client::logged_in(&simulator).await;
    let before = simulator.len();
    simulator.faults().next(1, "fvCEp", Fault::Grow { objects: 20 });

    client.get("/api/class/fvCEp.json?page=0&page-size=1").await;

    assert!(simulator.len() >= before + 20);
}

#[tokio::test]
async fn expired_token_ends_the_session_of_that_request_only() {
    let simulator = start();
    let client = Client::logged_in(&simulator).await;
    let other = Client::logged_in(&simulator).await;
    simulator.faults().add(FaultRule::new(Fault::ExpiredToken).after(1).with_times(1).with_text("fvBD"));

    let statuses = [client.get(QUERY).await.status, client.get(QUERY).await.status, client.get(QUERY).await.status];

    assert_eq!(statuses, [200, 403, 403]);
    assert_eq!(other.get(QUERY).await.status, 200);
}

#[tokio::test]
async fn pending_change_is_done_and_says_so_when_asked_often_enough() {
    let simulator = start();
    let client = Client::logged_in(&simulator).await;
    simulator.faults().next(1, "tn-late", Fault::Pending { polls: 1 });

    let got = client.post("/api/mo/uni/tn-late.json", &tenant("late")).await;

    assert_eq!(got.status, 202);
    let text = got.error_text();
    let url = text.split_once("URL: ").unwrap().1.replace(".xml", ".json");
    assert_eq!([client.get(&url).await.status, client.get(&url).await.status], [202, 200]);
    assert_eq!(client.get("/api/mo/uni/tn-late.json").await.total_count(), 1);
}

#[tokio::test]
async fn removed_rules_leave_requests_alone() {
    let simulator = start();
    let client = Client::logged_in(&simulator).await;
    let busy = simulator.faults().add(FaultRule::new(Fault::BusyPage).with_text("fvBD"));
    simulator.faults().add(FaultRule::new(Fault::HtmlPage { status: 503 }).with_text("fvTenant"));

    simulator.faults().remove(busy);
    assert!(!client.get(QUERY).await.dns().is_empty());
    assert_eq!(client.get("/api/class/fvTenant.json").await.status, 503);
    simulator.faults().clear();
    assert_eq!(client.get("/api/class/fvTenant.json").await.status, 200);
}
