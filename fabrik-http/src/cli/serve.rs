//! `fabrik serve`: the API over HTTP.

use std::io::Write;
use std::net::SocketAddr;

use clap::Args;
use fabrik_core::store::OpenMode;
use fabrik_http::server::settings::Origin;
use fabrik_http::server::{AppState, Clock, FirstStart, Settings, first_start, serve, start_logging};

use super::exit::{Exit, Failure};
use super::place::StorePlace;
use super::server_options::{ServerOptions, block_on, usage};
use super::session::Session;

/// Serve the API until told to stop by Ctrl-C or SIGTERM; `fabrik config check` explains the settings.
#[derive(Debug, Args)]
pub(super) struct Serve {
    /// Where to listen. [default: 127.0.0.1:8000]
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
    #[command(flatten)]
    options: ServerOptions,
}

impl Serve {
    pub(super) async fn run(&self, session: &mut Session) -> Result<Exit, Failure> {
        let mut layers = self.options.layers(session)?;
        if let Some(listen) = &self.listen {
            layers.set("listen", listen, Origin::Flag("--listen".to_owned())).map_err(usage)?;
        }
        let settings = Settings::from_layers(&layers).map_err(usage)?;
        let place: StorePlace = layers.text("store").unwrap_or_default().parse()?;
        start_logging(&settings);
        // The one crypto back end of the process; somebody may have said so before.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let store = place.open(OpenMode::Create)?;
        block_on(async {
            // Before anything else, so that a signal during the start is not lost.
            let stop = stop_signal().map_err(|error| Failure::Refused(format!("cannot wait for signals: {error}")))?;
            let state =
                AppState::open(settings, store, Clock::system()).await.map_err(|error| Failure::refused(&error))?;
            match first_start(&state).await.map_err(|error| Failure::refused(&error))? {
                FirstStart::HasUsers => {}
                FirstStart::AdminMade(name) => writeln!(session.out, "made the administrator {name}")?,
                FirstStart::Link(link) => {
                    writeln!(session.out, "no users yet: open {link} once to become the administrator")?
                }
            }
            let is_tls = state.settings().tls.is_some();
            let mut told = Ok(());
            let started = |address: SocketAddr| {
                let scheme = if is_tls { "https" } else { "http" };
                told =
                    writeln!(session.out, "serving {scheme}://{address}/api/docs/").and_then(|()| session.out.flush());
            };
            let served = serve(state, started, stop).await;
            told?;
            served.map_err(|error| Failure::refused(&error))
        })?;
        Ok(Exit::Done)
    }
}

/// Returns what ends when the process is told to stop.
fn stop_signal() -> std::io::Result<impl Future<Output = ()> + Send + 'static> {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        Ok(async move {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        })
    }
    #[cfg(not(unix))]
    Ok(async {
        let _ = tokio::signal::ctrl_c().await;
    })
}
