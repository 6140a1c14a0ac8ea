//! One request to a webhook.

use std::net::SocketAddr;
use std::sync::OnceLock;
use std::time::Duration;

use aws_lc_rs::hmac;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::{Client, redirect};
use uuid::Uuid;

use super::address::{check_url, is_public};
use crate::server::clock::Clock;
use crate::server::error::chain;
use crate::server::settings::Settings;

/// How long a receiver may take.
const TIMEOUT: Duration = Duration::from_secs(10);
/// How much of an answer is kept.
const ANSWER_BYTES: usize = 1024;

/// What calls webhooks.
#[derive(Debug)]
pub(crate) struct Courier {
    client: OnceLock<Client>,
    allow_private: bool,
}

/// What is to be sent, and where.
pub(super) struct Parcel<'a> {
    pub(super) id: Uuid,
    pub(super) url: &'a str,
    pub(super) event: &'a str,
    pub(super) body: &'a str,
    pub(super) secret: &'a [u8],
}

/// What came of it.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    pub(super) status: Option<u16>,
    pub(super) answer: String,
    /// Why it counts as failed; empty where it does not.
    pub(super) error: String,
    pub(super) duration: Duration,
}

impl Courier {
    /// Learns where webhooks may lead.
    pub(crate) fn new(settings: &Settings) -> Self {
        Self { client: OnceLock::new(), allow_private: settings.webhooks_allow_private }
    }

    /// Says whether webhooks may lead to private addresses.
    pub(crate) fn allows_private(&self) -> bool {
        self.allow_private
    }

    /// Sends one request; every failure is part of what came of it.
    pub(super) async fn send(&self, parcel: &Parcel<'_>, clock: &Clock) -> Outcome {
        let started = clock.elapsed();
        let mut outcome = Outcome::default();
        if let Err(error) = self.try_send(parcel, clock, &mut outcome).await {
            outcome.error = error;
        }
        outcome.duration = clock.elapsed().saturating_sub(started);
        outcome
    }

    async fn try_send(&self, parcel: &Parcel<'_>, clock: &Clock, outcome: &mut Outcome) -> Result<(), String> {
        // The resolver is asked for names only, so addresses are checked here.
        let url = check_url(parcel.url, self.allow_private)?;
        let timestamp = clock.now().timestamp().to_string();
        let request = self
            .client()?
            .post(url)
            .header("Content-Type", "application/json")
            .header("X-Fabrik-Event", parcel.event)
            .header("X-Fabrik-Delivery", parcel.id.to_string())
            .header("X-Fabrik-Signature", signature(parcel.secret, &timestamp, parcel.body))
            .header("X-Fabrik-Timestamp", timestamp)
            .body(parcel.body.to_owned());
        let explain = |error: reqwest::Error| chain(&error.without_url());
        let mut response = request.send().await.map_err(explain)?;
        let status = response.status();
        outcome.status = Some(status.as_u16());
        let mut answer = Vec::new();
        while answer.len() < ANSWER_BYTES
            && let Some(part) = response.chunk().await.map_err(explain)?
        {
            answer.extend_from_slice(&part[..part.len().min(ANSWER_BYTES - answer.len())]);
        }
        outcome.answer = String::from_utf8_lossy(&answer).replace('\0', "\u{fffd}");
        if status.is_success() { Ok(()) } else { Err(format!("the receiver answered {status}")) }
    }

    fn client(&self) -> Result<Client, String> {
        if let Some(client) = self.client.get() {
            return Ok(client.clone());
        }
        let resolver = PublicResolver { allow_private: self.allow_private };
        let client = Client::builder()
            .user_agent(concat!("fabrik/", env!("CARGO_PKG_VERSION")))
            .timeout(TIMEOUT)
            // A redirect may lead anywhere, and a proxy would resolve names by itself.
            .redirect(redirect::Policy::none())
            .no_proxy()
            .dns_resolver(resolver)
            .build()
            .map_err(|error| chain(&error))?;
        Ok(self.client.get_or_init(|| client).clone())
    }
}

/// Signs a body: the timestamp is part of it, so that a receiver can refuse what comes again later.
fn signature(secret: &[u8], timestamp: &str, body: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
    let mut context = hmac::Context::with_key(&key);
    for part in [timestamp, ".", body] {
        context.update(part.as_bytes());
    }
    let hex: String = context.sign().as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256={hex}")
}

/// Resolves names and leaves out private addresses: what it returns is what is connected to.
#[derive(Clone, Copy, Debug)]
struct PublicResolver {
    allow_private: bool,
}

impl Resolve for PublicResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let allow_private = self.allow_private;
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let allowed: Vec<SocketAddr> = found.filter(|address| allow_private || is_public(address.ip())).collect();
            if allowed.is_empty() {
                return Err("the name leads into a private network".into());
            }
            Ok::<Addrs, _>(Box::new(allowed.into_iter()))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::settings::Layers;

    #[tokio::test]
    async fn addresses_that_became_private_are_not_called() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let courier = Courier::new(&Settings::from_layers(&Layers::defaults()).unwrap());

        for host in ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]"] {
            let url = format!("http://{host}:{port}/");
            let parcel = Parcel { id: Uuid::nil(), url: &url, event: "test", body: "{}", secret: b"s" };
            let outcome = courier.send(&parcel, &Clock::system()).await;
            assert!(outcome.error.contains("private"), "{host}: {outcome:?}");
        }
        let nobody = tokio::time::timeout(Duration::ZERO, listener.accept()).await;
        assert!(nobody.is_err(), "nobody was called");
    }

    #[tokio::test]
    async fn names_that_lead_to_private_addresses_are_not_resolved() {
        let resolve = async |allow_private| {
            let name = "localhost".parse().unwrap();
            PublicResolver { allow_private }.resolve(name).await.map(Iterator::count).is_ok()
        };

        assert!(!resolve(false).await);
        assert!(resolve(true).await);
    }
}
