//! All settings there are, each declared once.

use crate::server::throttle::Throttles;

/// One setting: its name in the file, and what it is about.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// The name in the file; dots divide tables.
    pub key: &'static str,
    /// What holds when nothing is said.
    pub default: Option<&'static str>,
    /// Another variable of the environment that is understood, beside `FABRIK_` and the key.
    pub also: Option<&'static str>,
    /// Whether the value must never be shown.
    pub is_secret: bool,
    /// What it is about, in one line.
    pub about: &'static str,
}

impl Setting {
    const fn new(key: &'static str, default: &'static str, about: &'static str) -> Self {
        Self { key, default: Some(default), also: None, is_secret: false, about }
    }

    const fn optional(key: &'static str, about: &'static str) -> Self {
        Self { key, default: None, also: None, is_secret: false, about }
    }

    const fn secret(mut self) -> Self {
        self.is_secret = true;
        self
    }

    const fn also(mut self, variable: &'static str) -> Self {
        self.also = Some(variable);
        self
    }

    /// Returns the variable of the environment: `FABRIK_TLS_KEY` for `tls.key`.
    #[must_use]
    pub fn variable(&self) -> String {
        format!("FABRIK_{}", self.key.replace('.', "_").to_uppercase())
    }

    /// Returns all settings: [`SETTINGS`], and one for each rate.
    pub(super) fn all() -> impl Iterator<Item = Self> {
        let rates = Throttles::scopes().map(|scope| Self {
            also: Some(scope.variable()),
            ..Self::new(scope.setting(), scope.default_rate(), scope.about())
        });
        SETTINGS.iter().copied().chain(rates)
    }

    pub(super) fn named(key: &str) -> Option<Self> {
        Self::all().find(|setting| setting.key == key)
    }
}

/// All settings but the rates, which stand beside what they limit.
pub const SETTINGS: &[Setting] = &[
    Setting::new("listen", "127.0.0.1:8000", "where to listen"),
    Setting::new("store", "sqlite:fabrik.db", "where snapshots are kept"),
    Setting::optional("database", "where users and other state are kept; unless told, beside the store").secret(),
    Setting::optional("site_url", "the address that users know the server by; links begin with it").also("SITE_URL"),
    Setting::optional("tls.certificate", "a PEM file with the certificate chain"),
    Setting::optional("tls.key", "a PEM file with the key of the certificate"),
    Setting::optional("trusted_proxies", "networks whose X-Forwarded-For and X-Forwarded-Proto are believed"),
    Setting::optional("cors_origins", "other origins that browsers may call from"),
    Setting::new("body_limit_bytes", "52428800", "how large the body of a request may be"),
    Setting::new("body_timeout_seconds", "30", "how long the body of a request may take to arrive"),
    Setting::new("stop_timeout_seconds", "30", "how long requests may take to finish when the server stops"),
    Setting::new("metrics", "true", "whether /metrics is served"),
    Setting::optional("admin.username", "the first administrator, made where there are no users"),
    Setting::optional("admin.password", "the first administrator's password").secret(),
    Setting::optional("secret_key", "the key that tokens are signed with; unless told, made and kept in the database")
        .secret(),
    Setting::new("auth.access_token_minutes", "15", "how long an access token lasts"),
    Setting::new("auth.refresh_token_days", "7", "how long a refresh token lasts"),
    Setting::new("auth.lockout_failures", "5", "how many failed logins lock an account; 0 for never"),
    Setting::new("auth.lockout_minutes", "15", "how long an account stays locked"),
    Setting::new("auth.password_threads", "2", "how many passwords are hashed at the same time, each in 19 MiB"),
    Setting::new("log.filter", "info", "what is logged: a level, or levels by module"),
    Setting::new("log.format", "text", "how logs are written: text or json"),
];
