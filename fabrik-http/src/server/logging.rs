//! Logs on standard error: text for people, JSON for machines.

use tracing_subscriber::EnvFilter;

use super::settings::Settings;

/// Starts logging as the settings say; a process does this once.
pub fn start_logging(settings: &Settings) {
    let filter = EnvFilter::try_new(&settings.log).unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // Somebody may have started a log before, as tests do; then theirs goes on.
    let _ = if settings.log_json {
        builder.json().with_current_span(true).with_span_list(false).try_init()
    } else {
        builder.with_ansi(false).try_init()
    };
}
