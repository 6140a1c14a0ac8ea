//! What the web server in front of the controller does.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::num::NonZeroU32;

use reqwest::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, RETRY_AFTER, SERVER};

use super::{Client, start, start_with, tenant};
use crate::simulator::{Refusal, Scheme, Simulator, SimulatorOptions};

/// Sends requests as they are over one connection and returns all that comes back.
fn raw(simulator: &Simulator, requests: &str) -> String {
    let mut stream = TcpStream::connect(simulator.address()).unwrap();
    stream.write_all(requests.as_bytes()).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

#[tokio::test]
async fn paths_that_are_not_served_get_the_page_of_the_web_server() {
    let simulator = start();
    let client = Client::logged_in(&simulator).await;

    for target in ["/", "/api", "/api/class/fvTenant", "/index.html", "/api/v1/class/fvTenant.json", "/%22"] {
        let got = client.get(target).await;
        assert_eq!(got.status, 404, "{target}");
        assert!(got.text.contains("<hr><center>Cisco APIC</center>"), "{}", got.text);
        assert_eq!(
            (&got.headers[SERVER], &got.headers[CONTENT_TYPE]),
            (&"Cisco APIC".parse().unwrap(), &"text/html".parse().unwrap())
        );
    }
}

#[tokio::test]
async fn characters_of_filters_are_taken_raw_on_a_connection_that_stays_open() {
    let simulator = start();
    let token = Client::logged_in(&simulator).await.token.unwrap();
    let get = |target: &str, more: &str| {
        format!("GET {target} HTTP/1.1\r\nHost: apic\r\nCookie: APIC-cookie={token}\r\n{more}\r\n")
    };

    let filter =
        "/api/class/fvTenant.json?query-target-filter=or(eq(fvTenant.name,\"common\"),wcard(fvTenant.dn,\"[|<>`{}^\"))";
    let text = tokio::task::spawn_blocking({
        let requests = [
            get(filter, ""),
            get("/api//node/mo/uni/tn-common.json?order-by=fvTenant.dn|desc", "Connection: close\r\n"),
        ]
        .concat();
        move || raw(&simulator, &requests)
    });
    let text = text.await.unwrap();

    assert_eq!(text.matches("HTTP/1.1 200 OK").count(), 2, "{text}");
    assert_eq!(text.matches("\"totalCount\":\"1\"").count(), 2, "{text}");
}

#[tokio::test]
async fn bodies_need_no_content_type() {
    let simulator = start();
    let client = Client::logged_in(&simulator).await;

    for (name, kind) in [("a", "text/plain"), ("b", "application/x-www-form-urlencoded"), ("c", "")] {
        let mut request = client.http.post(format!("{}/api/mo/uni/tn-{name}.json", client.url)).body(tenant(name));
        if !kind.is_empty() {
            request = request.header(CONTENT_TYPE, kind);
        }
        assert_eq!(client.send(request).await.unwrap().status, 200, "{kind}");
        assert_eq!(client.get(&format!("/api/mo/uni/tn-{name}.json")).await.total_count(), 1);
    }
}

#[tokio::test]
async fn change_is_told_when_asked_for_and_can_be_undone() {
    let simulator = start();
    let client = Client::logged_in(&simulator).await;

    let post = client.post("/api/mo/uni.json?rsp-subtree=modified", &tenant("new")).await;
    let delete = client.delete("/api/node/mo/uni/tn-new.json").await;

    assert!(post.text.contains("\"uni/tn-new\"") && post.text.contains("\"created\""), "{}", post.text);
    assert_eq!((delete.status, delete.total_count()), (200, 0));
    assert_eq!(client.get("/api/mo/uni/tn-new.json").await.total_count(), 0);
    assert_eq!(client.delete("/api/class/fvTenant.json").await.status, 405);
}

#[tokio::test]
async fn certificate_is_good_for_this_machine_and_for_nobody_else() {
    let simulator = Simulator::start(SimulatorOptions::default().with_objects(300)).unwrap();
    let pem = reqwest::Certificate::from_pem(simulator.certificate_pem().unwrap().as_bytes()).unwrap();
    let trusting = Client::with(&simulator, reqwest::Client::builder().tls_certs_only([pem]));
    let strict = Client::with(&simulator, reqwest::Client::builder());

    assert_eq!(trusting.get("/api/aaaListDomains.json").await.status, 200);
    let by_name =
        trusting.http.get(format!("https://localhost:{}/api/aaaListDomains.json", simulator.address().port()));
    assert_eq!(trusting.send(by_name).await.unwrap().status, 200);
    assert!(strict.send(strict.http.get(strict.url.as_str())).await.is_err());
    assert_eq!(simulator.certificate_fingerprint().unwrap().len(), 32 * 3 - 1);
}

#[tokio::test]
async fn requests_above_the_limit_are_refused_by_the_web_server() {
    let refusal = Refusal { status: 429, retry_after: Some(7) };
    let simulator = start_with(SimulatorOptions::default().with_limit(NonZeroU32::new(2).unwrap(), refusal));
    let client = Client::new(&simulator);

    let mut statuses = Vec::new();
    for _ in 0..20 {
        let got = client.get("/api/aaaListDomains.json").await;
        if got.status == 429 {
            assert_eq!(got.headers[RETRY_AFTER], "7");
            assert!(got.text.starts_with("<html>"));
        }
        statuses.push(got.status);
    }

    assert_eq!(&statuses[..2], [200, 200]);
    assert!(statuses.contains(&429), "{statuses:?}");
}

#[tokio::test]
async fn answers_are_compressed_only_when_both_sides_want_it() {
    let simulator = start_with(SimulatorOptions::default().with_gzip(true));
    let client = Client::logged_in(&simulator).await;
    let target = format!("{}/api/class/fvBD.json", client.url);
    let plain = client.send(client.http.get(&target).header(ACCEPT_ENCODING, "identity")).await.unwrap();

    let asked = client
        .http
        .get(&target)
        .header(ACCEPT_ENCODING, "gzip")
        .header("Cookie", format!("APIC-cookie={}", client.token.as_deref().unwrap()));
    let response = asked.send().await.unwrap();

    assert!(!plain.headers.contains_key(CONTENT_ENCODING));
    assert_eq!(response.headers()[CONTENT_ENCODING], "gzip");
    let bytes = response.bytes().await.unwrap();
    let mut text = String::new();
    flate2::read::GzDecoder::new(&bytes[..]).read_to_string(&mut text).unwrap();
    assert_eq!(text, plain.text);
}

#[tokio::test]
async fn requests_are_noted_with_their_status_and_without_tokens() {
    let simulator = start();
    let client = Client::logged_in(&simulator).await;
    simulator.clear_requests();

    client.get("/api/class/fvTenant.json?page=0").await;
    client.get(&format!("/socket{}", client.token.as_deref().unwrap())).await;
    client.get("/nowhere").await;

    let requests = simulator.requests();
    let told: Vec<_> = requests.iter().map(|served| (served.target.as_str(), served.status)).collect();
    assert_eq!(told[0], ("/api/class/fvTenant.json?page=0", 200));
    assert_eq!(told[1].0, "/socket");
    assert_eq!(told[2], ("/nowhere", 404));
    assert_eq!(simulator.most_requests_at_once(), 1);
}

#[test]
fn address_that_is_taken_is_an_error() {
    let simulator = start();

    let options = SimulatorOptions::default().with_scheme(Scheme::Http).with_listen(simulator.address());
    let error = Simulator::start(options).unwrap_err();

    assert_eq!(error.to_string(), format!("cannot listen on {}", simulator.address()));
}
