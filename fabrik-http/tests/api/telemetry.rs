//! Traces, as a collector gets them over a socket.

use std::collections::BTreeMap;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::routing::post;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use prost::Message;
use serde_json::json;
use tokio::sync::mpsc;

use crate::served::{Process, folder};
use crate::server::PASSWORD;

type Received = (HeaderMap, ExportTraceServiceRequest);

/// Starts a collector that hands over what it gets.
async fn collector() -> (String, mpsc::UnboundedReceiver<Received>) {
    async fn take(State(out): State<mpsc::UnboundedSender<Received>>, headers: HeaderMap, body: Bytes) {
        out.send((headers, ExportTraceServiceRequest::decode(body).unwrap())).unwrap();
    }
    let (sender, receiver) = mpsc::unbounded_channel();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let app = Router::new().route("/v1/traces", post(take)).with_state(sender);
    tokio::spawn(async move { axum::serve(listener, app).await });
    (address, receiver)
}

fn attributes(pairs: &[KeyValue]) -> BTreeMap<String, String> {
    let text = |value: &Option<AnyValue>| match value.as_ref().and_then(|value| value.value.clone()) {
        Some(Value::StringValue(text)) => text,
        Some(Value::IntValue(number)) => number.to_string(),
        other => format!("{other:?}"),
    };
    pairs.iter().map(|pair| (pair.key.clone(), text(&pair.value))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_request_is_a_span_and_the_last_ones_are_sent_at_the_stop() {
    let (address, mut received) = collector().await;
    let environment = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", address.as_str()),
        ("OTEL_EXPORTER_OTLP_HEADERS", "x-collector-token=abc"),
        ("OTEL_SERVICE_NAME", "fabrik-of-the-test"),
        ("FABRIK_ADMIN_USERNAME", "root"),
        ("FABRIK_ADMIN_PASSWORD", PASSWORD),
    ];
    let mut process = Process::start(folder(), &[], &environment);
    let client = reqwest::Client::new();
    let login = client
        .post(format!("{}/api/auth/login/", process.address))
        .header("content-type", "application/json")
        .body(json!({ "username": "root", "password": PASSWORD }).to_string())
        .send()
        .await
        .unwrap();
    let login: serde_json::Value = serde_json::from_str(&login.text().await.unwrap()).unwrap();
    let answer = client
        .get(format!("{}/api/auth/management/{}/?secret=marker", process.address, login["user"]["id"]))
        .header("authorization", format!("Bearer {}", login["access"].as_str().unwrap()))
        .header("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
        .header("x-request-id", "of-the-test")
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 200);
    let stopped = tokio::task::spawn_blocking(move || process.stop()).await.unwrap();
    assert_eq!(stopped, Some(0));

    let mut spans: Vec<Span> = Vec::new();
    while let Ok((headers, request)) = received.try_recv() {
        assert_eq!(
            (&headers["x-collector-token"], &headers["content-type"]),
            (&"abc".parse().unwrap(), &"application/x-protobuf".parse().unwrap())
        );
        for resource in request.resource_spans {
            let about = attributes(&resource.resource.unwrap().attributes);
            assert_eq!(about["service.name"], "fabrik-of-the-test");
            spans.extend(resource.scope_spans.into_iter().flat_map(|scope| scope.spans));
        }
    }
    let named = |name: &str| {
        let found: Vec<_> = spans.iter().filter(|span| span.name == name).collect();
        assert_eq!(found.len(), 1, "{name}: {:?}", spans.iter().map(|span| &span.name).collect::<Vec<_>>());
        found[0]
    };
    named("POST /api/auth/login/");
    let span = named("GET /api/auth/management/{id}/");
    assert_eq!(span.kind, i32::from(SpanKind::Server as u8));
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    assert_eq!(hex(&span.trace_id), "0af7651916cd43dd8448eb211c80319c");
    assert_eq!(hex(&span.parent_span_id), "b7ad6b7169203331");
    let about = attributes(&span.attributes);
    assert_eq!(about["http.request.method"], "GET");
    assert_eq!(about["http.route"], "/api/auth/management/{id}/");
    assert_eq!(about["http.response.status_code"], "200");
    assert_eq!(about["user.id"], login["user"]["id"].to_string());
    assert_eq!(about["request_id"], "of-the-test");
    // Statements are events of the request that ran them, without their values.
    assert!(span.events.iter().any(|event| attributes(&event.attributes).values().any(|text| text.contains("SELECT"))));
    let everything = format!("{spans:?}");
    assert!(!everything.contains("marker") && !everything.contains(PASSWORD), "{everything}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_is_away_stops_nothing() {
    let away = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let address = format!("telemetry.otlp_endpoint=http://{away}");
    let mut process = Process::start(folder(), &["--set", &address], &[]);

    let answer = reqwest::get(format!("{}/api/health/", process.address)).await.unwrap();

    assert_eq!(answer.status(), 200);
    assert_eq!(tokio::task::spawn_blocking(move || process.stop()).await.unwrap(), Some(0));
}
