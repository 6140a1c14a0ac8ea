//! Who the client is to the controller: a session that is renewed in time, or signatures.

use std::fmt;

use reqwest::header::COOKIE;
use serde_json::json;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::Client;
use super::login::{self, Controller, Granted};
use super::sign::Signer;
use crate::connection::Credentials;
use crate::error::ApicResult;
use crate::secret::Secret;

const LOGIN: &str = "/api/aaaLogin.json";
const REFRESH: &str = "/api/aaaRefresh.json";
const LOGOUT: &str = "/api/aaaLogout.json";

/// How requests show who sends them.
pub(super) enum Session {
    /// By a token that a login gave.
    Token(TokenSession),
    /// Each by its own signature.
    Signed(Signer),
}

pub(super) struct TokenSession {
    /// The name to log in with, which carries the login domain.
    user: String,
    password: Secret,
    /// Held while a login or renewal is under way, so that there is only one at a time.
    current: Mutex<Option<Current>>,
}

struct Current {
    access: Access,
    renew_at: Instant,
    /// When it cannot be renewed any more.
    ends_at: Instant,
}

/// What a request shows; nothing when requests are signed.
#[derive(Clone)]
pub(super) struct Access {
    token: Secret,
}

impl Session {
    pub(super) fn new(credentials: Credentials) -> ApicResult<Self> {
        match credentials {
            Credentials::Password { username, domain, password } => {
                let user = match domain {
                    Some(domain) => format!("apic:{domain}\\{username}"),
                    None => username,
                };
                Ok(Self::Token(TokenSession { user, password, current: Mutex::new(None) }))
            }
            Credentials::Certificate { username, certificate, key } => {
                Ok(Self::Signed(Signer::new(&username, &certificate, &key)?))
            }
        }
    }

    pub(super) fn is_signed(&self) -> bool {
        matches!(self, Self::Signed(_))
    }

    /// Returns the cookies of a request.
    pub(super) fn cookie(&self, method: &str, path: &str, access: &Access) -> ApicResult<String> {
        match self {
            Self::Token(_) => Ok(access.cookie()),
            Self::Signed(signer) => signer.cookie(method, path),
        }
    }

    /// Returns a session that holds, renewed or made where necessary.
    pub(super) async fn access(&self, client: &Client) -> ApicResult<Access> {
        let Self::Token(session) = self else { return Ok(Access { token: Secret::new("") }) };
        let mut current = session.current.lock().await;
        let now = Instant::now();
        if let Some(held) = &*current {
            if now < held.renew_at {
                return Ok(held.access.clone());
            }
            // A renewal that fails is no harm: a login follows, and says what is wrong.
            if now < held.ends_at
                && let Ok(granted) = session.renew(client, &held.access).await
            {
                let ends_at = held.ends_at;
                return Ok(keep(&mut current, granted, Some(ends_at)));
            }
        }
        let granted = session.log_in(client).await?;
        Ok(keep(&mut current, granted, None))
    }

    /// Returns a new session in place of one that the controller has forgotten; of many who ask, one logs in.
    pub(super) async fn access_after(&self, client: &Client, forgotten: &Access) -> ApicResult<Access> {
        let Self::Token(session) = self else { return Ok(forgotten.clone()) };
        let mut current = session.current.lock().await;
        if let Some(held) = &*current
            && held.access.token.reveal() != forgotten.token.reveal()
        {
            return Ok(held.access.clone());
        }
        *current = None;
        let granted = session.log_in(client).await?;
        Ok(keep(&mut current, granted, None))
    }

    /// Logs in, whatever session there is.
    pub(super) async fn start_anew(&self, client: &Client) -> ApicResult<Controller> {
        let Self::Token(session) = self else { return Ok(Controller::default()) };
        let mut current = session.current.lock().await;
        let granted = session.log_in(client).await?;
        let controller = granted.controller.clone();
        keep(&mut current, granted, None);
        Ok(controller)
    }

    /// Logs out, where there is a session.
    pub(super) async fn end(&self, client: &Client) -> ApicResult<()> {
        let Self::Token(session) = self else { return Ok(()) };
        let Some(held) = session.current.lock().await.take() else { return Ok(()) };
        let body = json!({"aaaUser": {"attributes": {"name": session.user}}}).to_string();
        let request = client.0.transport.post_session(LOGOUT, body)?.header(COOKIE, held.access.cookie());
        client.send(LOGOUT, request).await?;
        Ok(())
    }
}

impl TokenSession {
    async fn log_in(&self, client: &Client) -> ApicResult<Granted> {
        let attributes = json!({"name": self.user, "pwd": self.password.reveal()});
        let body = json!({"aaaUser": {"attributes": attributes}}).to_string();
        let reply = client.send(LOGIN, client.0.transport.post_session(LOGIN, body)?).await?;
        login::read(LOGIN, &self.user, reply.status.as_u16(), &reply.body)
    }

    async fn renew(&self, client: &Client, access: &Access) -> ApicResult<Granted> {
        let request = client.0.transport.get(REFRESH)?.header(COOKIE, access.cookie());
        let reply = client.send(REFRESH, request).await?;
        login::read(REFRESH, &self.user, reply.status.as_u16(), &reply.body)
    }
}

impl Access {
    fn cookie(&self) -> String {
        format!("APIC-cookie={}", self.token.reveal())
    }
}

/// Keeps what was granted; a renewed session ends when the first one would have.
fn keep(current: &mut Option<Current>, granted: Granted, ends_at: Option<Instant>) -> Access {
    let now = Instant::now();
    let access = Access { token: granted.token };
    // A quarter of the time is left for a request under way to arrive.
    let renew_at = now + granted.refresh_within.mul_f64(0.75);
    let ends_at = ends_at.unwrap_or(now + granted.lives_for);
    *current = Some(Current { access: access.clone(), renew_at, ends_at });
    access
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Token(session) => f.debug_struct("Token").field("user", &session.user).finish_non_exhaustive(),
            Self::Signed(signer) => f.debug_tuple("Signed").field(signer).finish(),
        }
    }
}
