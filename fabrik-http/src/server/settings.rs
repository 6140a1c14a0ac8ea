//! Settings: a file, the environment and flags, in this order; what comes later wins.
//!
//! Each setting is declared once, in [`SETTINGS`]. `fabrik config check` prints that table with values and origins.

mod email;
mod layers;
mod ldap;
mod rate;
mod rules;
mod sso;
mod table;
mod telemetry;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use chrono_tz::Tz;
use fabrik_core::noise;
use fabrik_core::severity::Model;
use ipnet::IpNet;
use secrecy::SecretString;

use super::db::DatabasePlace;
use super::throttle::{Scope, Throttles};

pub use email::{EmailSettings, SmtpSecurity, SmtpServer};
pub use layers::{Layers, Origin, SettingError, Shown};
pub(crate) use ldap::LdapSettings;
pub use rate::Rate;
pub(crate) use sso::{Addresses, ProviderKind, ProviderSettings};
pub use table::{SETTINGS, Setting};
pub(crate) use telemetry::TelemetrySettings;

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
    /// How often to look whether the certificate was replaced.
    pub tls_reload: Duration,
    /// Who may say in forwarded headers where a request came from.
    pub trusted_proxies: Vec<IpNet>,
    /// The other origins that browsers may call from; none unless told.
    pub cors_origins: Vec<String>,
    /// How many connections are kept at the same time.
    pub connections: u32,
    /// How long the head of a request may take to arrive, and a connection may be idle.
    pub head_timeout: Duration,
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
    /// How long the token of a mail for a new password lasts.
    pub password_reset_life: TimeDelta,
    /// Whether people may make accounts for themselves.
    pub allow_registration: bool,
    /// How many passwords are hashed at the same time; each takes 19 MiB.
    pub password_threads: usize,
    /// How mail leaves the server.
    pub email: EmailSettings,
    /// How long notifications are kept once they were read.
    pub notifications_read_life: TimeDelta,
    /// How long notifications are kept that nobody read.
    pub notifications_unread_life: TimeDelta,
    /// Whether webhooks may lead to private addresses.
    pub webhooks_allow_private: bool,
    /// Whether owners of connections may hand changes through to controllers.
    pub apic_allow_writes: bool,
    /// How long an answer of a controller may be that is handed through.
    pub apic_answer_bytes: usize,
    /// How many bytes of what comparisons and timelines read are kept in memory; 0 for none.
    pub store_cache_bytes: u64,
    /// How many bytes of rows of runs in the background are kept for each user; 0 for none.
    pub kept_rows_bytes: u64,
    /// How long such rows are kept.
    pub kept_rows_life: TimeDelta,
    /// The time zone of the server's clock on the wall.
    pub time_zone: Tz,
    /// What says how much a change matters.
    pub severity: Arc<Model>,
    /// What changes by itself.
    pub noise: Arc<noise::Table>,
    /// How often a WebSocket is asked whether it is still there.
    pub socket_ping: Duration,
    /// What is logged.
    pub log: String,
    /// Whether logs are JSON.
    pub log_json: bool,
    /// The directory that checks passwords.
    pub(crate) ldap: Option<LdapSettings>,
    /// The providers that users log in with.
    pub(crate) providers: Vec<ProviderSettings>,
    /// Where traces go.
    pub(crate) telemetry: Option<TelemetrySettings>,
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
                None => DatabasePlace::beside(store)
                    .map_err(|_| layers.refuse("store", "sqlite:PATH, memory: or postgres://USER@HOST/DATABASE"))?,
            },
            site_url: site_url(layers)?,
            tls,
            tls_reload: some_seconds(layers, "tls.reload_seconds")?,
            trusted_proxies: layers.list("trusted_proxies", "networks like 10.0.0.0/8, divided by commas", network)?,
            cors_origins: layers.list("cors_origins", "origins like https://ui.lab, divided by commas", origin)?,
            connections: match layers.parse("connections", "a number")? {
                // Each is a place of a semaphore, and a file of the process.
                number @ 1..=1_000_000 => number,
                _ => return Err(layers.refuse("connections", "a number from 1 to 1000000")),
            },
            head_timeout: some_seconds(layers, "head_timeout_seconds")?,
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
            password_reset_life: TimeDelta::minutes(
                layers.parse::<u32>("auth.password_reset_minutes", "minutes")?.into(),
            ),
            allow_registration: layers.parse("auth.allow_registration", "true or false")?,
            password_threads: layers
                .parse::<std::num::NonZeroUsize>("auth.password_threads", "a number above 0")?
                .get(),
            email: EmailSettings::from_layers(layers)?,
            notifications_read_life: TimeDelta::days(
                layers.parse::<u16>("notifications.retention_read_days", "days")?.into(),
            ),
            notifications_unread_life: TimeDelta::days(
                layers.parse::<u16>("notifications.retention_unread_days", "days")?.into(),
            ),
            webhooks_allow_private: layers.parse("webhooks.allow_private", "true or false")?,
            apic_allow_writes: layers.parse("apic.allow_writes", "true or false")?,
            apic_answer_bytes: layers
                .parse::<std::num::NonZeroUsize>("apic.max_answer_bytes", "a number of bytes above 0")?
                .get(),
            store_cache_bytes: layers.parse("store_cache_bytes", "a number of bytes, 0 for none")?,
            kept_rows_bytes: layers.parse("queries.kept_rows_bytes", "a number of bytes, 0 for none")?,
            kept_rows_life: TimeDelta::minutes(layers.parse::<u32>("queries.kept_rows_minutes", "minutes")?.into()),
            time_zone: layers.parse("time_zone", "an IANA name such as Europe/Berlin or UTC")?,
            severity: rules::severity(layers)?,
            noise: rules::noise(layers)?,
            socket_ping: some_seconds(layers, "socket.ping_seconds")?,
            log: layers.text("log.filter").unwrap_or_default().to_owned(),
            log_json: match layers.text("log.format") {
                Some("json") => true,
                Some("text") => false,
                _ => return Err(layers.refuse("log.format", "json or text")),
            },
            ldap: LdapSettings::from_layers(layers)?,
            providers: sso::providers(layers)?,
            telemetry: TelemetrySettings::from_layers(layers)?,
            rates,
        })
    }
}

fn some_seconds(layers: &Layers, key: &'static str) -> Result<Duration, SettingError> {
    Ok(Duration::from_secs(layers.parse::<std::num::NonZeroU32>(key, "a number of seconds above 0")?.get().into()))
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
