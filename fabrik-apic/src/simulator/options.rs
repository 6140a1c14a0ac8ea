//! What a simulator is started with.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroU32;
use std::time::Duration;

use aws_lc_rs::rand;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};

/// What a [`Simulator`](super::Simulator) is started with.
///
/// The default listens on a free port of 127.0.0.1 with https, lets `admin` in with the password `simulator`,
/// and has a fabric of 2000 objects in which nothing changes by itself.
#[derive(Clone)]
#[non_exhaustive]
pub struct SimulatorOptions {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Whether to speak https or plain http.
    pub scheme: Scheme,
    /// Who can log in.
    pub users: Vec<SimulatorUser>,
    /// Chooses the fabric: the same seed and size give the same objects.
    pub seed: u64,
    /// How many objects the fabric has at first, about.
    pub objects: usize,
    /// The moment the fabric starts at; the clock of the machine when absent.
    pub start: Option<DateTime<Utc>>,
    /// How many objects change, come or go in a second.
    pub churn_per_second: f64,
    /// How long a token is good for without being renewed, 600 s.
    pub refresh_timeout: Duration,
    /// How long a session can be renewed, 24 h.
    pub maximum_lifetime: Duration,
    /// How many requests a second are answered before they are refused.
    pub requests_per_second: Option<NonZeroU32>,
    /// How requests above that are refused.
    pub refusal: Refusal,
    /// How many top-level objects one answer may have, 100 000.
    pub max_objects: usize,
    /// Whether answers are compressed for clients that ask for it.
    pub gzip: bool,
    /// The login domains that exist.
    pub login_domains: Vec<String>,
}

impl Default for SimulatorOptions {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            scheme: Scheme::Https,
            users: vec![SimulatorUser::new("admin").with_password("simulator")],
            seed: 1,
            objects: 2000,
            start: None,
            churn_per_second: 0.0,
            refresh_timeout: Duration::from_secs(600),
            maximum_lifetime: Duration::from_secs(86_400),
            requests_per_second: None,
            refusal: Refusal::default(),
            max_objects: 100_000,
            gzip: false,
            login_domains: ["local", "fallback", "DefaultAuth", "ExampleTacacs"].map(String::from).to_vec(),
        }
    }
}

impl SimulatorOptions {
    /// Sets where to listen.
    #[must_use]
    pub fn with_listen(mut self, listen: SocketAddr) -> Self {
        self.listen = listen;
        self
    }

    /// Sets whether to speak https or plain http.
    #[must_use]
    pub fn with_scheme(mut self, scheme: Scheme) -> Self {
        self.scheme = scheme;
        self
    }

    /// Lets one more user in, or replaces the one of that name.
    #[must_use]
    pub fn with_user(mut self, user: SimulatorUser) -> Self {
        self.users.retain(|have| have.name != user.name);
        self.users.push(user);
        self
    }

    /// Lets nobody in but the users added after this.
    #[must_use]
    pub fn without_users(mut self) -> Self {
        self.users.clear();
        self
    }

    /// Chooses the fabric.
    #[must_use]
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Sets how many objects the fabric has at first.
    #[must_use]
    pub fn with_objects(mut self, objects: usize) -> Self {
        self.objects = objects;
        self
    }

    /// Sets the moment the fabric starts at.
    #[must_use]
    pub fn with_start(mut self, start: DateTime<Utc>) -> Self {
        self.start = Some(start);
        self
    }

    /// Sets how many objects change, come or go in a second.
    #[must_use]
    pub fn with_churn_per_second(mut self, churn: f64) -> Self {
        self.churn_per_second = churn;
        self
    }

    /// Sets how long a token is good for without being renewed.
    #[must_use]
    pub fn with_refresh_timeout(mut self, timeout: Duration) -> Self {
        self.refresh_timeout = timeout;
        self
    }

    /// Sets how long a session can be renewed.
    #[must_use]
    pub fn with_maximum_lifetime(mut self, lifetime: Duration) -> Self {
        self.maximum_lifetime = lifetime;
        self
    }

    /// Sets how many requests a second are answered, and how those above that are refused.
    #[must_use]
    pub fn with_limit(mut self, requests_per_second: NonZeroU32, refusal: Refusal) -> Self {
        self.requests_per_second = Some(requests_per_second);
        self.refusal = refusal;
        self
    }

    /// Sets how many top-level objects one answer may have.
    #[must_use]
    pub fn with_max_objects(mut self, max_objects: usize) -> Self {
        self.max_objects = max_objects;
        self
    }

    /// Sets whether answers are compressed for clients that ask for it.
    #[must_use]
    pub fn with_gzip(mut self, gzip: bool) -> Self {
        self.gzip = gzip;
        self
    }

    /// Sets the login domains that exist.
    #[must_use]
    pub fn with_login_domains(mut self, domains: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.login_domains = domains.into_iter().map(Into::into).collect();
        self
    }
}

impl fmt::Debug for SimulatorOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimulatorOptions")
            .field("listen", &self.listen)
            .field("scheme", &self.scheme)
            .field("users", &self.users)
            .field("seed", &self.seed)
            .field("objects", &self.objects)
            .finish_non_exhaustive()
    }
}

/// Makes a password of 22 letters, digits, `-` and `_` that nobody can guess.
#[must_use]
pub fn random_password() -> String {
    let mut bytes = [0; 16];
    rand::fill(&mut bytes).expect("the generator of the operating system works");
    URL_SAFE_NO_PAD.encode(bytes)
}

/// How the simulator is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// TLS with a certificate that the simulator signs itself.
    Https,
    /// Nothing is encrypted.
    Http,
}

/// How a request above the limit is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The HTTP status, 503 or 429.
    pub status: u16,
    /// The seconds of the header `Retry-After`, which is absent without them.
    pub retry_after: Option<u32>,
}

impl Default for Refusal {
    /// Returns what a web server in its default settings says: 503, and nothing about when to come back.
    fn default() -> Self {
        Self { status: 503, retry_after: None }
    }
}

/// Somebody who can log in, by password, by certificate or by both.
#[derive(Clone)]
pub struct SimulatorUser {
    pub(super) name: String,
    pub(super) password: Option<String>,
    pub(super) certificates: Vec<UserCertificate>,
    pub(super) app: bool,
}

/// A certificate, or a public key alone, under its name.
#[derive(Clone)]
pub(super) struct UserCertificate {
    pub(super) name: String,
    pub(super) pem: String,
}

impl SimulatorUser {
    /// Names a user who cannot log in yet.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), password: None, certificates: Vec::new(), app: false }
    }

    /// Lets the user in with a password.
    #[must_use]
    pub fn with_password(mut self, password: impl Into<String>) -> Self {
        self.password = Some(password.into());
        self
    }

    /// Takes requests that are signed with the key of this certificate or public key (PEM, RSA).
    #[must_use]
    pub fn with_certificate(mut self, name: impl Into<String>, pem: impl Into<String>) -> Self {
        self.certificates.push(UserCertificate { name: name.into(), pem: pem.into() });
        self
    }

    /// Makes the user an app, whose DN is `appuser-…`, and which can ask for a token by certificate.
    #[must_use]
    pub fn as_app(mut self) -> Self {
        self.app = true;
        self
    }

    /// Returns the DN that requests signed with a certificate of this user carry.
    pub(super) fn certificate_dn(&self, certificate: &str) -> String {
        let kind = if self.app { "appuser" } else { "user" };
        format!("uni/userext/{kind}-{}/usercert-{certificate}", self.name)
    }
}

impl fmt::Debug for SimulatorUser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimulatorUser").field("name", &self.name).field("app", &self.app).finish_non_exhaustive()
    }
}
