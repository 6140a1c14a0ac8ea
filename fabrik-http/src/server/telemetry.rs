//! Traces for a collector, by OTLP over HTTP: one span per request, with the statements that it ran as events.
//!
//! Nothing of this runs unless a collector is set; a request then costs one look at a flag.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use axum::http::{HeaderMap, Method};
use opentelemetry::propagation::TextMapPropagator;
use opentelemetry::trace::{Status, TraceContextExt, TracerProvider};
use opentelemetry_http::{Bytes, HeaderExtractor, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{ExporterBuildError, Protocol, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::SdkTracerProvider;
use secrecy::ExposeSecret;
use tracing::{Span, Subscriber};
use tracing_opentelemetry::{OpenTelemetryLayer, OpenTelemetrySpanExt};
use tracing_subscriber::registry::LookupSpan;

use super::settings::TelemetrySettings;

/// How long a collector may take for a batch, and the last one when the server stops.
const TIMEOUT: Duration = Duration::from_secs(5);

static IS_ON: AtomicBool = AtomicBool::new(false);

/// What sends traces.
#[derive(Debug)]
pub(crate) struct Telemetry(SdkTracerProvider);

/// Why traces cannot be sent.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TelemetryError {
    /// There can be no client.
    #[error("no client for HTTP can be made")]
    Client(#[source] reqwest::Error),
    /// There is no runtime.
    #[error("traces are sent by a runtime, and there is none")]
    Runtime(#[from] tokio::runtime::TryCurrentError),
    /// There can be no exporter.
    #[error("no exporter of traces can be made")]
    Exporter(#[from] ExporterBuildError),
}

impl Telemetry {
    /// Starts to send traces, in batches and in the background.
    pub(crate) fn start(settings: &TelemetrySettings) -> Result<Self, TelemetryError> {
        let client = reqwest::Client::builder().timeout(TIMEOUT).build().map_err(TelemetryError::Client)?;
        let headers = settings.headers.iter().map(|(name, value)| (name.clone(), value.expose_secret().to_owned()));
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(Sender { client, runtime: tokio::runtime::Handle::try_current()? })
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(settings.endpoint.as_str())
            .with_timeout(TIMEOUT)
            .with_headers(headers.collect())
            .build()?;
        let resource = Resource::builder_empty()
            .with_service_name(settings.service_name.clone())
            .with_attribute(opentelemetry::KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
            .build();
        Ok(Self(SdkTracerProvider::builder().with_resource(resource).with_batch_exporter(exporter).build()))
    }

    /// Returns what makes spans out of ours.
    pub(crate) fn layer<S>(&self) -> OpenTelemetryLayer<S, opentelemetry_sdk::trace::SdkTracer>
    where
        S: Subscriber + for<'span> LookupSpan<'span>,
    {
        tracing_opentelemetry::layer().with_tracer(self.0.tracer("fabrik")).with_location(false).with_threads(false)
    }

    /// Sends what has not been sent, and stops.
    pub(crate) async fn stop(self) {
        IS_ON.store(false, Ordering::Relaxed);
        // It waits for the thread of the batches, which waits for this runtime.
        let stopped = tokio::task::spawn_blocking(move || self.0.shutdown_with_timeout(TIMEOUT)).await;
        if let Ok(Err(error)) = stopped {
            tracing::warn!(%error, "the last traces could not be sent");
        }
    }
}

/// Says that requests shall be traced.
pub(crate) fn turn_on() {
    IS_ON.store(true, Ordering::Relaxed);
}

/// Returns the span of a request: a part of the trace of whoever sent it, where that is told.
pub(crate) fn request_span(request_id: &str, headers: &HeaderMap) -> Span {
    if !IS_ON.load(Ordering::Relaxed) {
        return tracing::info_span!("request", request_id);
    }
    let span = tracing::info_span!("request", request_id, otel.kind = "server");
    let parent = TraceContextPropagator::new().extract(&HeaderExtractor(headers));
    if parent.span().span_context().is_valid() {
        // It fails for spans that nobody listens to.
        let _ = span.set_parent(parent);
    }
    span
}

/// Tells how a request went.
pub(crate) fn finish_span(span: &Span, method: &Method, route: &str, status: u16, user: Option<i64>) {
    if !IS_ON.load(Ordering::Relaxed) {
        return;
    }
    // The route is known only now, when a field for the name would come too late.
    span.context().span().update_name(format!("{method} {route}"));
    span.set_attribute("http.request.method", method.to_string());
    span.set_attribute("http.route", route.to_owned());
    span.set_attribute("http.response.status_code", i64::from(status));
    if let Some(user) = user {
        span.set_attribute("user.id", user.to_string());
    }
    if status >= 500 {
        span.set_status(Status::error(""));
    }
}

/// Our client for HTTP. Batches are sent from a thread of their own, which has no runtime, so ours does it.
#[derive(Debug)]
struct Sender {
    client: reqwest::Client,
    runtime: tokio::runtime::Handle,
}

#[async_trait]
impl HttpClient for Sender {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let request = reqwest::Request::try_from(request)?;
        let client = self.client.clone();
        let sending = self.runtime.spawn(async move {
            let mut response = client.execute(request).await?;
            let mut answer = Response::new(Bytes::new());
            *answer.status_mut() = response.status();
            *answer.headers_mut() = std::mem::take(response.headers_mut());
            // What a collector says beside its status changes nothing, so it is not read.
            Ok::<_, reqwest::Error>(answer)
        });
        Ok(sending.await??)
    }
}
