//! The sessions with controllers: one for each connection, as long as it stays what it is.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fabrik_apic::Client;
use futures_util::future::join_all;
use hashbrown::HashMap;
use tokio::runtime::Handle;
use tokio::time::timeout;

use super::Connection;
use super::test::UnderWay;
use crate::server::error::ApiError;
use crate::server::state::AppState;

/// How long a session may be of no use to anybody. It also ends those of connections that another server deleted.
const IDLE: Duration = Duration::from_secs(15 * 60);
/// How long a controller may take to hear that a session is over; it then ends by itself.
const GOODBYE: Duration = Duration::from_secs(5);

/// The clients that this server has, by connection.
#[derive(Debug, Default)]
pub(crate) struct Controllers {
    clients: Mutex<HashMap<i64, Kept>>,
    pub(super) tests: UnderWay,
}

#[derive(Debug)]
struct Kept {
    client: Client,
    /// What the connection was when the client was made.
    fingerprint: blake3::Hash,
    /// When it was last asked for, by the server's clock.
    used: Duration,
}

impl Controllers {
    /// Returns the client of a connection; one of what it was before says goodbye.
    pub(super) fn client(&self, state: &AppState, connection: &Connection) -> Result<Client, ApiError> {
        let (now, fingerprint) = (state.clock().elapsed(), connection.fingerprint());
        let mut clients = self.clients();
        if let Some(kept) = clients.get_mut(&connection.id)
            && kept.fingerprint == fingerprint
        {
            kept.used = now;
            return Ok(kept.client.clone());
        }
        let client = Client::new(connection.options(), connection.credentials(state)?);
        // Everything was checked when it was written.
        let client = client.map_err(|error| ApiError::Internal(error.into()))?;
        let before = clients.insert(connection.id, Kept { client: client.clone(), fingerprint, used: now });
        drop(clients);
        say_goodbye(before.map(|kept| kept.client));
        Ok(client)
    }

    /// Ends the session of a connection that is not what it was.
    pub(crate) fn forget(&self, id: i64) {
        let kept = self.clients().remove(&id);
        say_goodbye(kept.map(|kept| kept.client));
    }

    /// Ends all sessions, and waits for it a while.
    pub(crate) async fn end(&self) {
        let kept: Vec<_> = self.clients().drain().map(|(_, kept)| kept.client).collect();
        join_all(kept.iter().map(log_out)).await;
    }

    fn clients(&self) -> MutexGuard<'_, HashMap<i64, Kept>> {
        self.clients.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ends the sessions that nobody has used for a while.
pub(crate) fn tidy(state: &AppState) {
    let now = state.clock().elapsed();
    let is_idle = |_: &i64, kept: &mut Kept| now.saturating_sub(kept.used) > IDLE;
    let idle: Vec<_> = state.controllers().clients().extract_if(is_idle).map(|(_, kept)| kept.client).collect();
    say_goodbye(idle);
}

/// Ends sessions beside what the caller does.
pub(super) fn say_goodbye(clients: impl IntoIterator<Item = Client>) {
    // Without a runtime nobody has logged in.
    let Ok(runtime) = Handle::try_current() else { return };
    for client in clients {
        runtime.spawn(async move { log_out(&client).await });
    }
}

async fn log_out(client: &Client) {
    match timeout(GOODBYE, client.logout()).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(controller = client.url(), %error, "a session was not ended"),
        Err(_) => tracing::debug!(controller = client.url(), "a session was not ended in time"),
    }
}

impl Connection {
    /// Returns a digest of everything that a session depends on.
    pub(super) fn fingerprint(&self) -> blake3::Hash {
        let mut hasher = blake3::Hasher::new();
        let numbers = [i64::from(self.verify_ssl), self.timeout].map(|number| number.to_string());
        let texts = [&self.host, &self.username, &self.login_domain, &self.ca_certificate, &self.secret];
        for text in texts.into_iter().chain(&numbers) {
            hasher.update(&(text.len() as u64).to_be_bytes()).update(text.as_bytes());
        }
        hasher.finalize()
    }
}
