//! Logs on standard error, text for people or JSON for machines, and traces for a collector where there is one.

use tracing_subscriber::filter::{EnvFilter, LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, fmt};

use super::settings::Settings;
use super::telemetry::{self, Telemetry, TelemetryError};

/// Why logging could not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoggingError {
    /// Traces cannot be sent.
    #[error("telemetry.otlp_endpoint cannot be used")]
    Telemetry(#[from] TelemetryError),
}

/// Logging that goes on; where traces are sent, [`Logging::stop`] sends the last ones.
#[derive(Debug)]
pub struct Logging(Option<Telemetry>);

/// Starts logging as the settings say, inside of a runtime; a process does this once.
///
/// # Errors
///
/// A collector that no traces can be sent to.
pub fn start_logging(settings: &Settings) -> Result<Logging, LoggingError> {
    let filter = EnvFilter::try_new(&settings.log).unwrap_or_else(|_| EnvFilter::new("info"));
    let Some(collector) = &settings.telemetry else {
        let builder = fmt().with_env_filter(filter).with_writer(std::io::stderr);
        // Somebody may have started a log before, as tests do; then theirs goes on.
        let _ = if settings.log_json {
            builder.json().with_current_span(true).with_span_list(false).try_init()
        } else {
            builder.with_ansi(false).try_init()
        };
        return Ok(Logging(None));
    };
    let telemetry = Telemetry::start(collector)?;
    let lines = fmt::layer().with_writer(std::io::stderr);
    let lines = if settings.log_json {
        lines.json().with_current_span(true).with_span_list(false).with_filter(filter).boxed()
    } else {
        lines.with_ansi(false).with_filter(filter).boxed()
    };
    // Only what is ours: the spans of the client that sends traces would make traces of their own.
    let ours =
        Targets::new().with_target("fabrik_http", LevelFilter::INFO).with_target("sqlx::query", LevelFilter::DEBUG);
    let traces = telemetry.layer().with_filter(ours);
    if tracing_subscriber::registry().with(lines).with(traces).try_init().is_ok() {
        telemetry::turn_on();
    }
    Ok(Logging(Some(telemetry)))
}

impl Logging {
    /// Sends what has not been sent.
    pub async fn stop(self) {
        if let Some(telemetry) = self.0 {
            telemetry.stop().await;
        }
    }
}
