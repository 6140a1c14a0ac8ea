//! Serving until told to stop.

mod certificate;
mod gate;

use std::future::Future;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::time::Duration;

use axum::Extension;
use axum_server::Handle;
use axum_server::accept::NoDelayAcceptor;
use axum_server::tls_rustls::RustlsAcceptor;
use hyper_util::rt::{TokioExecutor, TokioTimer};

use certificate::Certificate;
use gate::Gate;

use super::events::link;
use super::peer::OverTls;
use super::settings::Settings;
use super::state::AppState;
use super::{jobs, passwords, router};

/// How often a client of HTTP/2 that says nothing is asked whether it is there, and how long it may take to answer.
const H2_PING: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(20));
/// How many requests a client of HTTP/2 may have under way.
const H2_STREAMS: u32 = 200;
/// How long sockets have to say goodbye when the server stops.
const GOODBYE: Duration = Duration::from_secs(5);

/// Why the server does not run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// Nobody can listen there.
    #[error("cannot listen on {address}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// What the system says.
        source: std::io::Error,
    },
    /// The certificate or its key cannot be used.
    #[error("the certificate {certificate} and the key {key} cannot be used")]
    Tls {
        /// The certificate.
        certificate: PathBuf,
        /// The key.
        key: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The listener broke.
    #[error("the server stopped")]
    Broken(#[source] std::io::Error),
}

/// Answers requests until `stop` ends; then takes no more, and lets those under way finish for the time of the setting.
///
/// `started` is told the address, which is news where the port was 0.
///
/// # Errors
///
/// An address that is taken, or certificate files that cannot be used.
pub async fn serve(
    state: AppState,
    started: impl FnOnce(SocketAddr),
    stop: impl Future<Output = ()> + Send + 'static,
) -> Result<(), ServeError> {
    let settings = state.settings();
    let address = settings.listen;
    let listen = |source| ServeError::Listen { address, source };
    let certificate = match &settings.tls {
        None => None,
        Some((certificate, key)) => {
            Some(Certificate::read(certificate, key).await.map_err(|source| ServeError::Tls {
                certificate: certificate.clone(),
                key: key.clone(),
                source,
            })?)
        }
    };
    let listener = TcpListener::bind(address).map_err(listen)?;
    listener.set_nonblocking(true).map_err(listen)?;
    let bound = listener.local_addr().map_err(listen)?;
    let handle = Handle::new();
    let app = router(&state);
    let mut work = jobs::start(&state);
    work.spawn(link::keep(state.clone()));
    tokio::spawn(stop_gracefully(state.clone(), handle.clone(), stop));
    tokio::task::spawn_blocking(passwords::warm_up);
    let server = axum_server::from_tcp(listener).map_err(listen)?.handle(handle);
    started(bound);
    let result = match certificate {
        None => {
            let mut server = server.acceptor(gate(NoDelayAcceptor, settings));
            limit(server.http_builder(), settings);
            server.serve(app.into_make_service_with_connect_info::<SocketAddr>()).await
        }
        Some(certificate) => {
            let acceptor = RustlsAcceptor::new(certificate.config()).handshake_timeout(settings.head_timeout);
            let mut server = server.acceptor(gate(acceptor.acceptor(NoDelayAcceptor), settings));
            work.spawn(certificate.follow(settings.tls_reload));
            limit(server.http_builder(), settings);
            let app = app.layer(Extension(OverTls));
            server.serve(app.into_make_service_with_connect_info::<SocketAddr>()).await
        }
    };
    // Sockets are no requests, so nobody waited for them yet; and whoever answers them needs the database.
    state.events().all_left(GOODBYE).await;
    if let Err(error) = state.runner().finish(&state, state.settings().stop_timeout).await {
        tracing::warn!(?error, "scheduled tasks that did not finish could not be left to others");
    }
    drop(work);
    state.controllers().end().await;
    state.db().close().await;
    result.map_err(ServeError::Broken)
}

/// Writes where a server that listens at `bound` is found: what users know it by, or else an address that can be opened
/// here.
#[must_use]
pub fn site_address(settings: &Settings, bound: SocketAddr) -> String {
    if let Some(url) = &settings.site_url {
        return url.clone();
    }
    let scheme = if settings.tls.is_some() { "https" } else { "http" };
    // What listens everywhere is found here; nobody can open 0.0.0.0.
    if bound.ip().is_unspecified() {
        return format!("{scheme}://localhost:{}", bound.port());
    }
    format!("{scheme}://{bound}")
}

fn gate<A>(acceptor: A, settings: &Settings) -> Gate<A> {
    Gate::new(acceptor, settings.connections, settings.head_timeout)
}

/// Sees to it that no client holds a connection by being slow.
fn limit(builder: &mut hyper_util::server::conn::auto::Builder<TokioExecutor>, settings: &Settings) {
    // This also ends connections that were kept for a next request which does not come.
    builder.http1().timer(TokioTimer::new()).header_read_timeout(settings.head_timeout);
    // Streams that a client opens and resets faster than they are answered are limited by the library:
    // <https://github.com/hyperium/hyper/security/advisories>.
    let mut http2 = builder.http2();
    http2.timer(TokioTimer::new()).max_concurrent_streams(H2_STREAMS);
    http2.keep_alive_interval(H2_PING.0).keep_alive_timeout(H2_PING.1);
}

async fn stop_gracefully(state: AppState, handle: Handle<SocketAddr>, stop: impl Future<Output = ()>) {
    stop.await;
    state.stop();
    tracing::info!("stopping");
    handle.graceful_shutdown(Some(state.settings().stop_timeout));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::settings::{Layers, Origin};

    #[test]
    fn a_link_leads_to_where_the_server_is_found() {
        for (bound, site_url, shown) in [
            ("127.0.0.1:8123", "", "http://127.0.0.1:8123"),
            ("[::1]:8123", "", "http://[::1]:8123"),
            ("0.0.0.0:8123", "", "http://localhost:8123"),
            ("[::]:8123", "", "http://localhost:8123"),
            ("0.0.0.0:8123", "https://fab.lab", "https://fab.lab"),
        ] {
            let mut layers = Layers::defaults();
            layers.set("site_url", site_url, Origin::Default).unwrap();

            let settings = Settings::from_layers(&layers).unwrap();

            assert_eq!(site_address(&settings, bound.parse().unwrap()), shown);
        }
    }
}
