//! Figures for Prometheus.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::http::Method;
use metrics::{counter, describe_counter, describe_histogram, histogram};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};

/// Seconds within which requests are counted.
const BUCKETS: &[f64] = &[0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0];

/// The figures of this process. A process has one recorder, whatever number of servers it runs.
#[derive(Clone)]
pub(crate) struct Metrics(Option<Arc<PrometheusHandle>>);

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Metrics").field(&self.0.is_some()).finish()
    }
}

impl Metrics {
    /// Counts nothing.
    pub(crate) fn off() -> Self {
        Self(None)
    }

    /// Counts for the whole process.
    pub(crate) fn of_process() -> Self {
        static HANDLE: OnceLock<Option<Arc<PrometheusHandle>>> = OnceLock::new();
        let handle = HANDLE.get_or_init(|| {
            let builder = PrometheusBuilder::new().set_buckets(BUCKETS).expect("there are buckets");
            let handle = builder.install_recorder().ok()?;
            describe_counter!("fabrik_http_requests_total", "Requests answered, by method, route and status");
            describe_histogram!("fabrik_http_request_seconds", "Time to the answer, by method and route");
            Some(Arc::new(handle))
        });
        Self(handle.clone())
    }

    /// Counts one answer. Routes are templates, so their number is that of the API.
    pub(crate) fn count_request(&self, method: &Method, route: &str, status: u16, elapsed: Duration) {
        if self.0.is_none() {
            return;
        }
        // Verbs can be made up, and each would be a series of its own.
        let method = match method.as_str() {
            known @ ("GET" | "HEAD" | "POST" | "PUT" | "PATCH" | "DELETE" | "OPTIONS") => known.to_owned(),
            _ => "other".to_owned(),
        };
        let route = route.to_owned();
        histogram!("fabrik_http_request_seconds", "method" => method.clone(), "route" => route.clone())
            .record(elapsed.as_secs_f64());
        counter!("fabrik_http_requests_total", "method" => method, "route" => route, "status" => status.to_string())
            .increment(1);
    }

    /// Returns all figures in the text form of Prometheus, unless nothing is counted.
    pub(crate) fn render(&self) -> Option<String> {
        self.0.as_ref().map(|handle| handle.render())
    }

    /// Frees what the figures of the past no longer need.
    pub(crate) fn upkeep(&self) {
        if let Some(handle) = &self.0 {
            handle.run_upkeep();
        }
    }
}
