//! Where traces go.

use std::collections::HashMap;
use std::fmt;

use secrecy::SecretString;
use url::Url;

use super::{Layers, SettingError};

/// The collector of traces.
#[derive(Clone)]
pub(crate) struct TelemetrySettings {
    /// Where traces are posted.
    pub(crate) endpoint: Url,
    /// Headers that the collector wants; they may prove who sends.
    pub(crate) headers: HashMap<String, SecretString>,
    pub(crate) service_name: String,
}

/// Without headers, and without what may stand before the host.
impl fmt::Debug for TelemetrySettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TelemetrySettings").field("host", &self.endpoint.host_str()).finish_non_exhaustive()
    }
}

impl TelemetrySettings {
    /// Types what the layers say; nothing without a collector.
    pub(super) fn from_layers(layers: &Layers) -> Result<Option<Self>, SettingError> {
        let Some(text) = layers.text("telemetry.otlp_endpoint") else { return Ok(None) };
        let expected = "an address like http://collector.lab:4318";
        let path = "v1/traces";
        // The variable of the environment names what the paths of all signals follow.
        let text =
            if text.ends_with(path) { text.to_owned() } else { format!("{}/{path}", text.trim_end_matches('/')) };
        let endpoint = text.parse::<Url>().ok().filter(|url| {
            let has_secret = !url.username().is_empty() || url.password().is_some();
            matches!(url.scheme(), "http" | "https") && url.has_host() && !has_secret
        });
        let pairs = layers.list("telemetry.otlp_headers", "NAME=VALUE, divided by commas", |item| {
            let (name, value) = item.split_once('=')?;
            let name = axum::http::HeaderName::try_from(name.trim()).ok()?;
            axum::http::HeaderValue::try_from(value.trim()).ok()?;
            Some((name.to_string(), SecretString::from(value.trim())))
        })?;
        Ok(Some(Self {
            endpoint: endpoint.ok_or_else(|| layers.refuse("telemetry.otlp_endpoint", expected))?,
            headers: pairs.into_iter().collect(),
            service_name: layers.text("telemetry.service_name").unwrap_or("fabrik").to_owned(),
        }))
    }
}
