//! Settings: a file, the environment and flags, in this order; what comes later wins.
//!
//! Each setting is declared once, in [`SETTINGS`]. `fabrik config check` prints that table with values and origins.

mod layers;
mod rate;
mod table;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use chrono::TimeDelta;
use ipnet::IpNet;
use secrecy::SecretString;

use super::db::DatabasePlace;
use super::throttle::{Scope, Throttles};

pub use layers::{Layers, Origin, SettingError, Shown};
pub use rate::Rate;
pub use table::{SETTINGS, Setting};

/// What the server was told, checked and typed.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Settings {
    /// Where to listen.
    pub listen: SocketAddr,
    /// Where the server's own state is.
    pub database: DatabasePlace,
    /// The address that users know the server by, without a path.
    pub site_url: Option<String>,
    /// The certificate and its key, as PEM files, to answer with TLS.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// Who may say in forwarded headers where a request came from.
    pub trusted_proxies: Vec<IpNet>,
    /// The other origins that browsers may call from; none unless told.
    pub cors_origins: Vec<String>,
    /// How large the body of a request may be.
    pub body_limit_bytes: usize,
    /// How long the body of a request may take to arrive.
    pub body_timeout: Duration,
    /// How long requests may take to finish when the server stops.
    pub stop_timeout: Duration,
    /// Whether `/metrics` is served.
    pub metrics: bool,
    /// The first administrator, made where there are no users.
    pub admin: Option<(String, SecretString)>,
    /// The key that tokens are signed with; made and kept in the database unless told.
    pub secret_key: Option<SecretString>,
    /// How long an access token lasts.
    pub access_token_life: TimeDelta,
    /// How long a refresh token lasts.
    pub refresh_token_life: TimeDelta,
    /// How many failed logins lock an account.
    pub lockout_failures: u32,
    /// How long an account stays locked.
    pub lockout_life: TimeDelta,
    /// How many passwords are hashed at the same time; each takes 19 MiB.
    pub password_threads: usize,
    /// What is logged.
    pub log: String,
    /// Whether logs are JSON.
    pub log_json: bool,
    /// How often what may be asked.
    pub(crate) rates: Vec<(Scope, Rate)>,
}

impl Settings {
    /// Types what the layers say.
    ///
    /// # Errors
    ///
    /// The first setting with a value that makes no sense, by its name, value and origin.
    pub fn from_layers(layers: &Layers) -> Result<Self, SettingError> {
        let store = layers.text("store").unwrap_or_default();
        let tls = match (layers.text("tls.certificate"), layers.text("tls.key")) {
            (Some(certificate), Some(key)) => Some((certificate.into(), key.into())),
            (None, None) => None,
            (Some(_), None) => return Err(layers.refuse("tls.key", "a file, as tls.certificate is given")),
            (None, Some(_)) => return Err(layers.refuse("tls.certificate", "a file, as tls.key is given")),
        };
        let admin = match (layers.text("admin.username"), layers.text("admin.password")) {
            (Some(username), Some(password)) => Some((username.to_owned(), SecretString::from(password))),
            (None, None) => None,
            (Some(_), None) => return Err(layers.refuse("admin.password", "a password, as admin.username is given")),
            (None, Some(_)) => return Err(layers.refuse("admin.username", "a name, as admin.password is given")),
        };
        let secret_key = layers.text("secret_key");
        if secret_key.is_some_and(|key| key.len() < 32) {
            return Err(layers.refuse("secret_key", "at least 32 characters"));
        }
        let rates = Throttles::scopes()
            .map(|scope| Ok((scope, layers.parse(scope.setting(), "5/min, 30/s burst 50, or off")?)))
            .collect::<Result<_, SettingError>>()?;
        Ok(Self {
            listen: layers.parse("listen", "an address with a port, like 127.0.0.1:8000")?,
            database: match layers.text("database") {
                Some(_) => layers.parse("database", "sqlite:PATH, memory: or postgres://USER@HOST/DATABASE")?,
                None => DatabasePlace::beside(store),
            },
            site_url: site_url(layers)?,
            tls,
            trusted_proxies: layers.list("trusted_proxies", "networks like 10.0.0.0/8, divided by commas", network)?,
            cors_origins: layers.list("cors_origins", "origins like https://ui.lab, divided by commas", origin)?,
            body_limit_bytes: layers.parse("body_limit_bytes", "a number of bytes")?,
            body_timeout: Duration::from_secs(layers.parse("body_timeout_seconds", "a number of seconds")?),
            stop_timeout: Duration::from_secs(layers.parse("stop_timeout_seconds", "a number of seconds")?),
            metrics: layers.parse("metrics", "true or false")?,
            admin,
            secret_key: secret_key.map(SecretString::from),
            access_token_life: TimeDelta::minutes(layers.parse::<u32>("auth.access_token_minutes", "minutes")?.into()),
            refresh_token_life: TimeDelta::days(layers.parse::<u16>("auth.refresh_token_days", "days")?.into()),
            lockout_failures: layers.parse("auth.lockout_failures", "a number, 0 for never")?,
            lockout_life: TimeDelta::minutes(layers.parse::<u32>("auth.lockout_minutes", "minutes")?.into()),
            password_threads: layers
                .parse::<std::num::NonZeroUsize>("auth.password_threads", "a number above 0")?
                .get(),
            log: layers.text("log.filter").unwrap_or_default().to_owned(),
            log_json: match layers.text("log.format") {
                Some("json") => true,
                Some("text") => false,
                _ => return Err(layers.refuse("log.format", "json or text")),
            },
            rates,
        })
    }
}

fn site_url(layers: &Layers) -> Result<Option<String>, SettingError> {
    let Some(text) = layers.text("site_url") else { return Ok(None) };
    origin(text)
        .map(Some)
        .ok_or_else(|| layers.refuse("site_url", "an address without a path, like https://fabrik.lab"))
}

/// Reads `https://host[:port]`, which is also how a browser names where a page came from.
fn origin(text: &str) -> Option<String> {
    let url = url::Url::parse(text).ok()?;
    let is_origin = matches!(url.scheme(), "http" | "https") && url.path() == "/" && url.query().is_none();
    is_origin.then(|| url.origin().ascii_serialization())
}

fn network(text: &str) -> Option<IpNet> {
    text.parse().ok().or_else(|| text.parse::<std::net::IpAddr>().ok().map(IpNet::from))
}

#[cfg(test)]
mod tests;
