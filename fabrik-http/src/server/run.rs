//! Serving until told to stop.

use std::future::Future;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::time::Duration;

use axum::Extension;
use axum_server::Handle;
use axum_server::accept::DefaultAcceptor;
use axum_server::tls_rustls::{RustlsAcceptor, RustlsConfig};

use super::error::ApiError;
use super::peer::OverTls;
use super::state::AppState;
use super::{lockout, passwords, router, sessions, users};

/// How often what has run out is forgotten.
const TIDY: Duration = Duration::from_secs(60);
/// How long a client may take to send the head of a request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(15);

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
    let address = state.settings().listen;
    let listen = |source| ServeError::Listen { address, source };
    let listener = TcpListener::bind(address).map_err(listen)?;
    listener.set_nonblocking(true).map_err(listen)?;
    let handle = Handle::new();
    let app = router(&state);
    let tidying = tokio::spawn(tidy(state.clone()));
    tokio::spawn(stop_gracefully(state.clone(), handle.clone(), stop));
    tokio::task::spawn_blocking(passwords::warm_up);
    started(listener.local_addr().map_err(listen)?);
    let result = match state.settings().tls.clone() {
        None => {
            let mut server = axum_server::from_tcp(listener).map_err(listen)?.acceptor(DefaultAcceptor).handle(handle);
            limit_heads(server.http_builder());
            server.serve(app.into_make_service_with_connect_info::<SocketAddr>()).await
        }
        Some((certificate, key)) => {
            let config = RustlsConfig::from_pem_file(&certificate, &key).await.map_err(|source| ServeError::Tls {
                certificate,
                key,
                source,
            })?;
            let app = app.layer(Extension(OverTls));
            let acceptor = RustlsAcceptor::new(config);
            let mut server = axum_server::from_tcp(listener).map_err(listen)?.acceptor(acceptor).handle(handle);
            limit_heads(server.http_builder());
            server.serve(app.into_make_service_with_connect_info::<SocketAddr>()).await
        }
    };
    tidying.abort();
    state.db().close().await;
    result.map_err(ServeError::Broken)
}

/// A client that sends its head a byte a minute holds nothing for long.
fn limit_heads(builder: &mut hyper_util::server::conn::auto::Builder<hyper_util::rt::TokioExecutor>) {
    builder.http1().timer(hyper_util::rt::TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT);
}

async fn stop_gracefully(state: AppState, handle: Handle<SocketAddr>, stop: impl Future<Output = ()>) {
    stop.await;
    state.stop();
    tracing::info!("stopping");
    handle.graceful_shutdown(Some(state.settings().stop_timeout));
}

/// Forgets, again and again, what has run out.
async fn tidy(state: AppState) {
    let mut ticks = tokio::time::interval(TIDY);
    loop {
        ticks.tick().await;
        state.throttles().forget_full();
        state.metrics().upkeep();
        let tidied: Result<(), ApiError> = async {
            users::purge(state.db(), state.clock().now()).await?;
            lockout::purge(&state).await?;
            sessions::purge(&state).await
        }
        .await;
        if let Err(error) = tidied {
            tracing::warn!(?error, "could not forget what has run out");
        }
    }
}
