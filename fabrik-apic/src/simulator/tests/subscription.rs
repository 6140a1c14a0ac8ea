//! Websockets and what they tell.

use std::time::Duration;

use futures_util::StreamExt;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use super::{Client, start, tenant};
use crate::simulator::Simulator;

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

async fn open(simulator: &Simulator, client: &Client) -> Socket {
    let token = client.token.as_deref().unwrap();
    connect_async(format!("ws://{}/socket{token}", simulator.address())).await.unwrap().0
}

/// Returns the next frame, or `None` when the websocket is closed.
async fn frame(socket: &mut Socket) -> Option<String> {
    loop {
        match timeout(Duration::from_secs(10), socket.next()).await.expect("a frame within ten seconds") {
            Some(Ok(Message::Text(text))) => return Some(text.to_string()),
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
            _ => return None,
        }
    }
}

async fn json_frame(socket: &mut Socket) -> Value {
    serde_json::from_str(&frame(socket).await.unwrap()).unwrap()
}

fn id_of(text: &str) -> String {
    let id: Value = serde_json::from_str(text).unwrap();
    id["subscriptionId"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn change_arrives_under_the_id_of_the_answer() {
    let simulator = start();
    let client = Client::logged_in(&simulator).await;
    let mut socket = open(&simulator, &client).await;
    let answer = client.get("/api/class/fvTenant.json?subscription=yes&page-size=1").await;
    let id = id_of(&answer.text);
    assert!(id.len() == 17 && id.parse::<u64>().unwrap() > 1 << 53, "{id}");

    client.post("/api/mo/uni/tn-new.json", &tenant("new")).await;
    let created = json_frame(&mut socket).await;
    client.post("/api/mo/uni/tn-new.json", &tenant("new").replace("made", "changed")).await;
    let modified = json_frame(&mut socket).await;
    client.delete("/api/mo/uni/tn-new.json").await;
    let deleted = json_frame(&mut socket).await;

    for (frame, status) in [(&created, "created"), (&modified, "modified"), (&deleted, "deleted")] {
        assert_eq!(frame["subscriptionId"], serde_json::json!([id]), "{frame}");
        let attributes = &frame["imdata"][0]["fvTenant"]["attributes"];
        assert_eq!(
            (&attributes["status"], &attributes["dn"], &attributes["rn"]),
            (&status.into(), &"uni/tn-new".into(), &"".into()),
            "{frame}"
        );
    }
    assert_eq!(created["imdata"][0]["fvTenant"]["attributes"]["name"], "new");
    assert_eq!(modified["imdata"][0]["fvTenant"]["attributes"]["descr"], "changed by a test");
}

#[tokio::test]
async fn one_frame_serves_all_subscriptions_of_a_session_in_one_format() {
    let simulator = start();
    let client = Client::logged_in(&simulator).await;
    let mut socket = open(&simulator, &client).await;
    let first = id_of(&client.get("/api/class/fvTenant.json?subscription=yes").await.text);
    let second = id_of(&client.get("/api/mo/uni/tn-new.json?subscription=yes").await.text);
    let xml = client.get("/api/class/fvTenant.xml?subscription=yes").await;
    client.get("/api/class/fvBD.json?subscription=yes").await;

    client.post("/api/mo/uni/tn-new.json", &tenant("new")).await;

    let frames = [frame(&mut socket).await.unwrap(), frame(&mut socket).await.unwrap()];
    let json: Value = frames.iter().find_map(|text| serde_json::from_str(text).ok()).unwrap();
    assert_eq!(json["subscriptionId"], serde_json::json!([first, second]));
    let xml_frame = frames.iter().find(|text| text.starts_with("<?xml")).unwrap();
    let id = xml.text.split_once("subscriptionId=\"").unwrap().1.split('"').next().unwrap();
    assert!(xml_frame.contains(&format!("subscriptionId=\"{id}\"")), "{xml_frame}");
}

#[tokio::test]
async fn sessions_hear_only_of_their_own_subscriptions() {
    let simulator = start();
    let listener = Client::logged_in(&simulator).await;
    let other = Client::logged_in(&simulator).await;
    let mut socket = open(&simulator, &listener).await;
    other.get("/api/class/fvTenant.json?subscription=yes").await;
    let mine = id_of(&listener.get("/api/class/fvAp.json?subscription=yes").await.text);

    simulator.post(Some("uni/tn-new"), &tenant("new")).unwrap();
    let profile = r#"{"fvAp":{"attributes":{"name":"shop"}}}"#;
    simulator.post(Some("uni/tn-new/ap-shop"), profile).unwrap();

    let first = json_frame(&mut socket).await;
    assert_eq!(first["subscriptionId"], serde_json::json!([mine]));
    assert_eq!(first["imdata"][0]["fvAp"]["attributes"]["dn"], "uni/tn-new/ap-shop");
}

#[tokio::test]
async fn subscription_lapses_after_a_minute_unless_it_is_refreshed() {
    let simulator = start();
    let client = Client::logged_in(&simulator).await;
    let id = id_of(&client.get("/api/class/fvTenant.json?subscription=yes").await.text);
    let refresh = format!("/api//subscriptionRefresh.json?id={id}");

    simulator.advance_sessions(Duration::from_secs(35));
    let by_get = client.get(&refresh).await;
    simulator.advance_sessions(Duration::from_secs(35));
    let by_post = client.post(&refresh, "").await;
    simulator.advance_sessions(Duration::from_secs(60));
    let late = client.get(&refresh).await;

    assert_eq!((by_get.status, by_post.status, late.status), (200, 200, 400));
    assert_eq!(simulator.subscriptions(), 0);
}

#[tokio::test]
async fn lifetime_of_a_subscription_can_be_chosen() {
    let simulator = start();
    let client = Client::logged_in(&simulator).await;
    let id = id_of(&client.get("/api/class/fvTenant.json?subscription=yes&refresh-timeout=300").await.text);

    simulator.advance_sessions(Duration::from_secs(200));
    assert_eq!(client.get(&format!("/api/subscriptionRefresh.json?id={id}&refresh-timeout=100")).await.status, 200);
    simulator.advance_sessions(Duration::from_secs(100));

    assert_eq!(client.get(&format!("/api/subscriptionRefresh.json?id={id}")).await.status, 400);
}

#[tokio::test]
async fn subscription_of_another_session_cannot_be_refreshed() {
    let simulator = start();
    let client = Client::logged_in(&simulator).await;
    let other = Client::logged_in(&simulator).await;

    let id = id_of(&client.get("/api/class/fvTenant.json?subscription=yes").await.text);

    assert_eq!(other.get(&format!("/api/subscriptionRefresh.json?id={id}")).await.status, 400);
    assert_eq!(client.get("/api/subscriptionRefresh.json?id=1").await.status, 400);
}

#[tokio::test]
async fn websocket_outlives_the_token_it_was_opened_with_and_ends_with_the_session() {
    let simulator = start();
    let mut client = Client::logged_in(&simulator).await;
    let mut socket = open(&simulator, &client).await;
    simulator.advance_sessions(Duration::from_secs(500));
    client.token = Some(super::token_of(&client.get("/api/aaaRefresh.json").await));
    client.get("/api/class/fvTenant.json?subscription=yes&refresh-timeout=3600").await;

    simulator.advance_sessions(Duration::from_secs(500));
    simulator.post(Some("uni/tn-new"), &tenant("new")).unwrap();
    let heard = json_frame(&mut socket).await;
    simulator.faults().expire_tokens();

    assert_eq!(heard["imdata"][0]["fvTenant"]["attributes"]["dn"], "uni/tn-new");
    assert_eq!(frame(&mut socket).await, None);
    assert_eq!(simulator.subscriptions(), 0);
}

#[tokio::test]
async fn websocket_with_a_wrong_token_is_refused() {
    let simulator = start();

    let error = connect_async(format!("ws://{}/socketA/b+c==", simulator.address())).await.unwrap_err();

    assert!(error.to_string().contains("403"), "{error}");
}

#[tokio::test]
async fn closed_websocket_can_be_opened_again() {
    let simulator = start();
    let client = Client::logged_in(&simulator).await;
    let mut socket = open(&simulator, &client).await;
    client.get("/api/class/fvTenant.json?subscription=yes").await;

    simulator.faults().close_websockets();
    assert_eq!(frame(&mut socket).await, None);
    let mut socket = open(&simulator, &client).await;
    simulator.post(Some("uni/tn-new"), &tenant("new")).unwrap();

    assert_eq!(json_frame(&mut socket).await["imdata"][0]["fvTenant"]["attributes"]["status"], "created");
}
