//! All settings there are, each declared once.

use crate::server::throttle::Throttles;

/// One setting: its name in the file, and what it is about.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// The name in the file; dots divide tables. A `*` stands for a name that the file chooses: such a setting is there
    /// once for each name.
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
        Self::all().find(|setting| setting.covers(key))
    }

    /// Returns whether the setting is there once for each name that the file chooses.
    pub(super) fn is_family(&self) -> bool {
        self.key.contains('*')
    }

    /// Returns the key as people read it: `oidc.<name>.issuer`.
    pub(super) fn shown_key(&self) -> String {
        self.key.replace('*', "<name>")
    }

    pub(super) fn covers(&self, key: &str) -> bool {
        match self.key.split_once('*') {
            None => self.key == key,
            Some((before, after)) => {
                let name = key.strip_prefix(before).and_then(|rest| rest.strip_suffix(after));
                name.is_some_and(is_chosen_name)
            }
        }
    }

    /// Returns the key that a variable of the environment sets: `oidc.corp.issuer` for `FABRIK_OIDC_CORP_ISSUER`.
    pub(super) fn key_of(&self, variable: &str) -> Option<String> {
        let (before, after) = self.key.split_once('*')?;
        let upper = |part: &str| part.replace('.', "_").to_uppercase();
        let name = variable.strip_prefix(&format!("FABRIK_{}", upper(before)))?.strip_suffix(&upper(after))?;
        let name = name.to_lowercase().replace('_', "-");
        is_chosen_name(&name).then(|| self.key.replace('*', &name))
    }
}

/// A name that the file chooses stands in addresses, too.
fn is_chosen_name(name: &str) -> bool {
    let is_plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    (1..=32).contains(&name.len()) && name.bytes().all(is_plain)
}

/// All settings but the rates, which stand beside what they limit.
pub const SETTINGS: &[Setting] = &[
    Setting::new("listen", "127.0.0.1:8000", "where to listen"),
    Setting::new("store", "sqlite:fabrik.db", "where snapshots are kept"),
    Setting::new(
        "store_cache_bytes",
        "67108864",
        "how many bytes of what comparisons and timelines read are kept in memory, 0 for none",
    ),
    Setting::optional("database", "where users and other state are kept; unless told, beside the store").secret(),
    Setting::optional("site_url", "the address that users know the server by; links begin with it").also("SITE_URL"),
    Setting::optional("tls.certificate", "a PEM file with the certificate chain"),
    Setting::optional("tls.key", "a PEM file with the key of the certificate"),
    Setting::new("tls.reload_seconds", "10", "how often to look whether the certificate was replaced"),
    Setting::optional("trusted_proxies", "networks whose X-Forwarded-For and X-Forwarded-Proto are believed"),
    Setting::optional("cors_origins", "other origins that browsers may call from"),
    Setting::new("connections", "20000", "how many connections are kept at the same time"),
    Setting::new(
        "head_timeout_seconds",
        "15",
        "how long the head of a request may take to arrive, and a connection idle",
    ),
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
    Setting::new("auth.password_reset_minutes", "60", "how long the token of a mail for a new password lasts"),
    Setting::new("auth.allow_registration", "false", "whether people may make accounts for themselves")
        .also("FABRIK_ALLOW_PUBLIC_REGISTRATION"),
    Setting::new("auth.password_threads", "2", "how many passwords are hashed at the same time, each in 19 MiB"),
    Setting::optional(
        "ldap.url",
        "the directory that checks passwords, ldap://HOST[:PORT] or ldaps://…; off unless told",
    )
    .also("LDAP_SERVER_URI"),
    Setting::new(
        "ldap.start_tls",
        "false",
        "whether an ldap:// connection is encrypted by StartTLS before any password",
    )
    .also("LDAP_START_TLS"),
    Setting::optional("ldap.ca", "a PEM file with the authorities that the directory's certificate is checked with"),
    Setting::new("ldap.verify", "true", "whether the directory's certificate is checked"),
    Setting::optional("ldap.bind_dn", "the account that searches the directory; without one, searches are anonymous")
        .also("LDAP_BIND_DN"),
    Setting::optional("ldap.bind_password", "its password").also("LDAP_BIND_PASSWORD").secret(),
    Setting::optional("ldap.user_base", "below which entry users are").also("LDAP_USER_SEARCH_BASE"),
    Setting::new("ldap.user_filter", "(uid={username})", "which entry is the user's").also("LDAP_USER_SEARCH_FILTER"),
    Setting::new("ldap.attribute_username", "uid", "the attribute with the name to log in with"),
    Setting::new("ldap.attribute_email", "mail", "the attribute with the address for mail"),
    Setting::new("ldap.attribute_first_name", "givenName", "the attribute with the first name"),
    Setting::new("ldap.attribute_last_name", "sn", "the attribute with the last name"),
    Setting::optional("ldap.group_base", "below which entry groups are").also("LDAP_GROUP_SEARCH_BASE"),
    Setting::new(
        "ldap.group_filter",
        "(|(member={dn})(uniqueMember={dn})(memberUid={username}))",
        "which entries are groups of a user",
    ),
    Setting::optional("ldap.admin_group", "the group, by name or DN, whose members are administrators"),
    Setting::optional("ldap.require_group", "the group, by name or DN, that only its members may log in of")
        .also("LDAP_REQUIRE_GROUP"),
    Setting::new("ldap.timeout_seconds", "10", "how long the directory may take to answer a login"),
    Setting::optional("email.host", "the server that takes mail; without one, mail is written into a folder")
        .also("EMAIL_HOST"),
    Setting::optional("email.port", "its port; unless told, 465, 587 or 25 by email.security").also("EMAIL_PORT"),
    Setting::new("email.security", "starttls", "how what is said to it stays private: tls, starttls or none")
        .also("EMAIL_SECURITY"),
    Setting::optional("email.username", "the name to log in with there").also("EMAIL_HOST_USER"),
    Setting::optional("email.password", "the password to log in with there").also("EMAIL_HOST_PASSWORD").secret(),
    Setting::new("email.from", "Fabrik <fabrik@localhost>", "who mail is from").also("EMAIL_FROM"),
    Setting::optional("email.outbox", "the folder for mail without a server; unless told, beside the database"),
    Setting::new("notifications.retention_read_days", "90", "how long notifications are kept once they were read")
        .also("NOTIFICATION_RETENTION_READ_DAYS"),
    Setting::new("notifications.retention_unread_days", "180", "how long notifications are kept that nobody read")
        .also("NOTIFICATION_RETENTION_UNREAD_DAYS"),
    Setting::new("webhooks.allow_private", "false", "whether webhooks may lead to private addresses"),
    Setting::new("apic.allow_writes", "false", "whether owners of connections may hand changes through to controllers"),
    Setting::new(
        "apic.max_answer_bytes",
        "67108864",
        "how long an answer of a controller may be that is handed through",
    ),
    Setting::new(
        "queries.kept_rows_bytes",
        "67108864",
        "how many bytes of rows of runs in the background are kept for each user, 0 for none",
    ),
    Setting::new("queries.kept_rows_minutes", "60", "how long such rows are kept"),
    Setting::new("time_zone", "UTC", "the time zone of what is done daily, an IANA name"),
    Setting::optional("severity_table", "a TOML file with rules of how much changes matter, before those of Fabrik"),
    Setting::optional("noise_table", "a TOML file with rules of what changes by itself, before those of Fabrik"),
    Setting::new("socket.ping_seconds", "45", "how often a WebSocket is asked whether it is still there"),
    Setting::new("log.filter", "info", "what is logged: a level, or levels by module"),
    Setting::new("log.format", "text", "how logs are written: text or json"),
    Setting::optional("oidc.*.issuer", "an OpenID Connect provider to log in with, by its issuer"),
    Setting::optional("oidc.*.client_id", "the name that the provider knows this server by"),
    Setting::optional("oidc.*.client_secret", "what this server proves that with").secret(),
    Setting::new("oidc.*.scopes", "openid,profile,email", "what the provider is asked to tell"),
    Setting::optional("oidc.*.label", "what the button says; unless told, the name"),
    Setting::optional("oidc.*.ca", "a PEM file with the authorities that the provider's certificate is checked with"),
    Setting::new("oidc.*.username_claim", "preferred_username", "the claim with the name of a new user"),
    Setting::new("oidc.*.groups_claim", "groups", "the claim with the groups of a user"),
    Setting::optional("oidc.*.admin_group", "the group whose members are administrators"),
    Setting::optional("oidc.*.require_group", "the group that only its members may log in of"),
    Setting::new("oidc.*.allow_signup", "true", "whether whoever logs in for the first time gets an account"),
    Setting::optional("oauth2.*.authorize_url", "an OAuth 2 provider without ID tokens, by where users are sent"),
    Setting::optional("oauth2.*.token_url", "where codes are traded for tokens"),
    Setting::optional("oauth2.*.userinfo_url", "where the claims of a user are"),
    Setting::optional("oauth2.*.client_id", "the name that the provider knows this server by"),
    Setting::optional("oauth2.*.client_secret", "what this server proves that with").secret(),
    Setting::optional("oauth2.*.scopes", "what the provider is asked to tell"),
    Setting::optional("oauth2.*.label", "what the button says; unless told, the name"),
    Setting::optional("oauth2.*.ca", "a PEM file with the authorities that the provider's certificate is checked with"),
    Setting::new("oauth2.*.subject_claim", "id", "the claim with what stays the same for a user for ever"),
    Setting::new("oauth2.*.username_claim", "login", "the claim with the name of a new user"),
    Setting::new("oauth2.*.groups_claim", "groups", "the claim with the groups of a user"),
    Setting::optional("oauth2.*.admin_group", "the group whose members are administrators"),
    Setting::optional("oauth2.*.require_group", "the group that only its members may log in of"),
    Setting::new("oauth2.*.allow_signup", "true", "whether whoever logs in for the first time gets an account"),
    Setting::optional("telemetry.otlp_endpoint", "the collector that traces go to by OTLP over HTTP; off unless told")
        .also("OTEL_EXPORTER_OTLP_ENDPOINT"),
    Setting::optional("telemetry.otlp_headers", "headers that the collector wants, NAME=VALUE, divided by commas")
        .also("OTEL_EXPORTER_OTLP_HEADERS")
        .secret(),
    Setting::new("telemetry.service_name", "fabrik", "what traces call this server").also("OTEL_SERVICE_NAME"),
];
