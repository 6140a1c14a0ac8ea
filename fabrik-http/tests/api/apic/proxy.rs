//! Queries that are handed through.

use fabrik_apic::simulator::{Fault, FaultRule, Scheme, Simulator};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};

use super::{CONNECTIONS, add, connection_to, controller, operator, patch, simulator};
use crate::server::{Reply, Server};

async fn execute(server: &Server, token: &str, body: &Value) -> Reply {
    server.post(&format!("{CONNECTIONS}execute_query/")).token(token).json(body).send().await
}

async fn get(server: &Server, token: &str, id: i64, path: &str) -> Reply {
    execute(server, token, &json!({ "connection_id": id, "query_path": path })).await
}

async fn started(settings: &[(&str, &str)]) -> (Server, String, Simulator, i64) {
    let server = Server::with(settings).await;
    let root = server.token("root", true).await;
    let simulator = controller();
    let id = add(&server, &root, &connection_to(&simulator)).await;
    (server, root, simulator, id)
}

fn direct(simulator: &Simulator, path: &str) -> Value {
    serde_json::from_slice(&simulator.answer(path).unwrap()).unwrap()
}

#[tokio::test]
async fn answers_are_those_of_the_controller() {
    let (server, root, simulator, id) = started(&[]).await;
    let tenant = direct(&simulator, "/api/class/fvTenant.json")["imdata"][0]["fvTenant"]["attributes"]["dn"].clone();
    let tenant = tenant.as_str().unwrap();
    let paths = [
        "/api/class/fvTenant.json".to_owned(),
        "/api/node/class/fvBD.json?order-by=fvBD.dn&page=0&page-size=3".to_owned(),
        "/api/class/fvBD,fvCtx.json".to_owned(),
        "/api/class/fvBD.json?query-target-filter=wcard(fvBD.name,\"a\")".to_owned(),
        format!("/api/mo/{tenant}.json?query-target=subtree&target-subtree-class=fvBD"),
        format!("/api/node/mo/{tenant}.json?rsp-subtree=children"),
        "/api/class/fvAEPg.json?query-target-filter=eq(fvAEPg.name,\"nothing\")&_dc=1".to_owned(),
    ];
    for path in paths {
        let reply = get(&server, &root, id, &path).await;

        assert_eq!(reply.status, 200, "{path}: {}", reply.text);
        assert_eq!(reply.body["data"], direct(&simulator, &path.replace('"', "%22")), "{path}");
        assert_eq!((&reply.body["success"], &reply.body["connection"]["id"]), (&json!(true), &json!(id)));
        assert_eq!(reply.body["connection"]["url"], simulator.url());
        assert!(reply.header("content-type").starts_with("application/json"));
    }
    // On the wire, nothing of the options is as a person writes it.
    let options: Vec<String> =
        simulator.requests().iter().filter_map(|served| Some(served.target.split_once('?')?.1.to_owned())).collect();
    assert!(options.contains(&"query-target-filter=wcard%28fvBD.name%2C%22a%22%29".to_owned()), "{options:?}");
    assert!(options.iter().all(|options| !options.contains(['(', ')', ',', '"'])), "{options:?}");
    let log = server.get("/api/audit/logs/?action=apic_query_executed").token(&root).send().await.body;
    assert_eq!(log["count"], 7);
    assert!(log["results"][0]["metadata"]["query_path"].as_str().unwrap().contains("nothing"));
}

#[tokio::test]
async fn of_several_classes_below_the_last_is_shown_flat() {
    let (server, root, simulator, id) = started(&[]).await;

    let path = "/api/class/fvTenant.json?rsp-subtree=full&rsp-subtree-class=fvBD,fvSubnet";
    let reply = get(&server, &root, id, path).await;

    let objects = reply.body["data"]["imdata"].as_array().unwrap();
    let mut dns: Vec<_> =
        objects.iter().map(|object| object["fvSubnet"]["attributes"]["dn"].as_str().unwrap().to_owned()).collect();
    dns.sort_unstable();
    let all = direct(&simulator, "/api/mo/uni.json?query-target=subtree&target-subtree-class=fvSubnet");
    let all = all["imdata"].as_array().unwrap();
    // Those below an EPG are not below a bridge domain, and what the controller nests it filters itself.
    let mut expected: Vec<_> = all
        .iter()
        .map(|object| object["fvSubnet"]["attributes"]["dn"].as_str().unwrap().to_owned())
        .filter(|dn| dn.contains("/BD-"))
        .collect();
    expected.sort_unstable();
    dns.retain(|dn| dn.contains("/BD-"));
    assert!(!expected.is_empty());
    assert_eq!(dns, expected);
    assert_eq!(reply.body["data"]["totalCount"], objects.len().to_string());
}

#[tokio::test]
async fn failures_say_whose_they_are() {
    let (server, root, simulator, id) = started(&[]).await;

    let refused = get(&server, &root, id, "/api/class/fvNoSuchClass.json").await;
    assert_eq!((refused.status, &refused.body["success"]), (400, &json!(false)), "{}", refused.text);
    assert_eq!(refused.body["connection"]["id"], id);
    assert!(refused.body["error"].as_str().unwrap().contains("the controller answered"), "{}", refused.text);
    assert_eq!(get(&server, &root, 987_654, "/api/class/fvBD.json").await.status, 404);
    patch(&server, &root, id, &json!({ "is_active": false })).await;
    let inactive = get(&server, &root, id, "/api/class/fvBD.json").await;
    assert_eq!(inactive.status, 400);
    assert!(inactive.body["detail"].as_str().unwrap().contains("switched off"), "{}", inactive.text);
    patch(&server, &root, id, &json!({ "is_active": true, "password": "wrong" })).await;
    let login = get(&server, &root, id, "/api/class/fvBD.json").await;
    assert!(login.status == 400 && login.text.contains("refused the login"), "{}", login.text);
    patch(&server, &root, id, &json!({ "password": super::SECRET, "timeout": 1 })).await;
    let slow = FaultRule::new(Fault::Slow { delay: std::time::Duration::from_secs(30) }).with_text("fvBD");
    simulator.faults().add(slow);
    let slow = get(&server, &root, id, "/api/class/fvBD.json").await;
    assert_eq!((slow.status, &slow.body["error"]), (504, &json!("apic_timeout")), "{}", slow.text);
    let body = json!({ "host": "https://127.0.0.1:1", "password": "x", "timeout": 30 });
    patch(&server, &root, id, &body).await;
    let gone = get(&server, &root, id, "/api/class/fvBD.json").await;
    assert_eq!((gone.status, &gone.body["error"]), (502, &json!("apic_unavailable")), "{}", gone.text);
    assert!(gone.body["request_id"].is_string());
    let failed = server.get("/api/audit/logs/?action=apic_query_executed&success=false").token(&root).send().await;
    assert_eq!(failed.body["count"], 6, "{}", failed.text);
}

#[tokio::test]
async fn an_answer_that_is_too_long_is_told_as_such() {
    let (server, root, _simulator, id) = started(&[("apic.max_answer_bytes", "2000")]).await;

    let long = get(&server, &root, id, "/api/class/fvBD.json").await;

    assert_eq!((long.status, &long.body["error"]), (502, &json!("apic_answer_too_long")), "{}", long.text);
    assert!(long.body["detail"].as_str().unwrap().contains("longer than 2000 bytes"), "{}", long.text);
    let short = get(&server, &root, id, "/api/class/fvNoSuch.json").await;
    assert_eq!(short.status, 400, "{}", short.text);
}

#[tokio::test]
async fn a_long_answer_is_handed_on_while_it_arrives_and_breaks_off_where_it_is_not_whole() {
    let (server, root, simulator, id) = started(&[]).await;
    let path = "/api/mo/uni.json?query-target=subtree";
    let text = simulator.answer(path).unwrap();
    assert!(text.len() > 200_000, "{}", text.len());

    let whole = get(&server, &root, id, path).await;
    assert_eq!((whole.status, &whole.body["data"]), (200, &direct(&simulator, path)));
    let escaped = FaultRule::new(Fault::InvalidEscape).with_text("subtree");
    simulator.faults().add(escaped);
    let mended = get(&server, &root, id, path).await;
    assert_eq!(mended.body["data"], whole.body["data"]);

    for fault in [Fault::CutBody { after: 150_000 }, Fault::TruncatedBody { after: 150_000 }] {
        simulator.faults().clear();
        simulator.faults().add(FaultRule::new(fault).with_text("subtree"));
        let body = json!({ "connection_id": id, "query_path": path });
        let broken = server.post(&format!("{CONNECTIONS}execute_query/")).token(&root).json(&body).broken().await;
        // What came is the beginning of the same answer.
        let came = broken.expect_err("it must not end as if it were whole");
        assert!(came.len() > 100_000 && whole.text.as_bytes().starts_with(&came), "{}", came.len());
    }
}

/// Paths that somebody may think of who wants more than to read.
fn paths() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        Just("/".to_owned()),
        Just("..".to_owned()),
        Just(".".to_owned()),
        Just("%2e%2e".to_owned()),
        Just("%2F".to_owned()),
        Just("%252f".to_owned()),
        Just("\\".to_owned()),
        Just("%5c".to_owned()),
        Just("\r\n".to_owned()),
        Just("%0d%0a".to_owned()),
        Just("?".to_owned()),
        Just("#".to_owned()),
        Just("&".to_owned()),
        Just("[".to_owned()),
        Just("]".to_owned()),
        Just("@127.0.0.1".to_owned()),
        Just("api".to_owned()),
        Just("aaaLogout".to_owned()),
        Just("aaaRefresh".to_owned()),
        Just("subscription=yes".to_owned()),
        Just("subscr%69ption=yes".to_owned()),
        Just("delete-session=1".to_owned()),
        Just("class".to_owned()),
        Just("mo".to_owned()),
        Just("node".to_owned()),
        Just("uni".to_owned()),
        Just("fvBD".to_owned()),
        Just(".json".to_owned()),
        Just(".xml".to_owned()),
        Just(" ".to_owned()),
        "\\PC{1,3}",
    ];
    let start = prop_oneof![
        3 => Just("/api/class/".to_owned()),
        3 => Just("/api/mo/".to_owned()),
        2 => Just("/api/node/mo/".to_owned()),
        1 => Just("/api/node/class/".to_owned()),
        1 => Just("/api/".to_owned()),
        1 => Just("https://127.0.0.1/api/class/".to_owned()),
        1 => Just("//evil/api/class/".to_owned()),
        1 => Just(String::new()),
    ];
    let end = prop_oneof![Just(".json".to_owned()), Just(String::new()), Just(".json?page=0".to_owned())];
    (start, prop::collection::vec(part, 0..7), end)
        .prop_map(|(start, parts, end)| format!("{start}{}{end}", parts.concat()))
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_but_readings_reaches_a_controller() {
    let server = Server::start().await;
    let root = server.token("root", true).await;
    let simulator = simulator(Scheme::Http);
    let id = add(&server, &root, &connection_to(&simulator)).await;
    let mut runner = TestRunner::default();
    let mut paths: Vec<_> = (0..1500).map(|_| paths().new_tree(&mut runner).unwrap().current()).collect();
    paths.extend(
        [
            "/api/aaaLogout.json",
            "/api/class/../aaaLogout.json",
            "/api/mo/uni/../../aaaLogout.json",
            "/api/mo/%2e%2e/aaaLogout.json",
            "/api/mo/x-[a/../../aaaLogout].json",
            "/api/mo/..%2faaaLogout.json",
            "/api/mo/\\..\\aaaLogout.json",
            "/api/class/fvBD.json?subscription=yes",
            "/api/class/fvBD.json?x=1%26subscription%3Dyes",
            "/api/class/fvBD.json?subscription%3Dyes",
            "/api/class/fvBD.json%3fsubscription=yes",
            "/api/class/fvBD.json HTTP/1.1\r\nGET /api/aaaLogout.json",
            "/socket",
            "/",
        ]
        .map(str::to_owned),
    );
    let good =
        ["/api/class/fvBD.json", "/api/mo/uni.json?_dc=1", "/api/node/mo/uni.json", "/api/class/fvBD,fvCtx.json"];
    paths.extend(good.map(str::to_owned));
    let mut answered = 0;

    for path in &paths {
        let reply = get(&server, &root, id, path).await;

        assert!([200, 400].contains(&reply.status), "{path:?}: {} {}", reply.status, reply.text);
        answered += usize::from(reply.status == 200);
    }

    let mut reached = 0;
    for served in simulator.requests() {
        let (path, options) = served.target.split_once('?').unwrap_or((&served.target, ""));
        let sessions = [("POST", "/api/aaaLogin.json"), ("GET", "/api/aaaRefresh.json")];
        let is_session = sessions.contains(&(served.method.as_str(), path)) && options.is_empty();
        let is_reading = served.method == "GET"
            && (path.starts_with("/api/class/")
                || path.starts_with("/api/node/class/")
                || path.starts_with("/api/mo/"))
            && path.ends_with(".json")
            && path.split('/').all(|segment| ![".", ".."].contains(&segment))
            && !options.split('&').any(|option| option.starts_with("subscription") || option.starts_with("delete"));
        assert!(is_session || is_reading, "{served:?}");
        reached += usize::from(is_reading);
    }
    assert!(answered >= good.len() && reached >= answered, "{answered} were answered, {reached} reached it");
    assert_eq!(simulator.requests().iter().filter(|served| served.target.contains("aaaLogin")).count(), 1);
    assert_eq!(simulator.subscriptions(), 0);
}

#[tokio::test]
async fn changes_are_refused_unless_the_setting_lets_owners_make_them() {
    let (server, root, simulator, id) = started(&[]).await;
    let tenant = json!({ "fvTenant": { "attributes": { "name": "new" } } });
    let post =
        json!({ "connection_id": id, "query_path": "/api/mo/uni/tn-new.json", "method": "POST", "data": tenant });
    for method in ["POST", "PUT", "DELETE"] {
        let mut body = post.clone();
        body["method"] = method.into();
        let refused = execute(&server, &root, &body).await;
        assert_eq!(refused.status, 400, "{}", refused.text);
        assert!(refused.body["method"][0].as_str().unwrap().contains("Only GET"), "{}", refused.text);
    }
    assert!(simulator.requests().is_empty());

    let (server, root, simulator, id) = started(&[("apic.allow_writes", "true")]).await;
    let other = operator(&server, &root, "other").await;
    patch(&server, &root, id, &json!({ "is_public": true })).await;
    let mut post = post;
    post["connection_id"] = id.into();
    assert_eq!(execute(&server, &other, &post).await.status, 403);
    assert!(simulator.requests().is_empty());
    let made = execute(&server, &root, &post).await;
    assert_eq!(made.status, 200, "{}", made.text);
    assert_eq!(direct(&simulator, "/api/mo/uni/tn-new.json")["totalCount"], "1");
    let delete = json!({ "connection_id": id, "query_path": "/api/mo/uni/tn-new.json", "method": "DELETE" });
    assert_eq!(execute(&server, &root, &delete).await.status, 200);
    assert_eq!(direct(&simulator, "/api/mo/uni/tn-new.json")["totalCount"], "0");
    let class = json!({ "connection_id": id, "query_path": "/api/class/fvBD.json", "method": "DELETE" });
    assert_eq!(execute(&server, &root, &class).await.status, 400);
}
