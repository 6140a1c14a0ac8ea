//! `fabrik serve`: the API over HTTP.

use std::io::Write;
use std::net::SocketAddr;

use clap::Args;
use fabrik_core::store::OpenMode;
use fabrik_http::server::settings::Origin;
use fabrik_http::server::{AppState, Clock, FirstStart, Settings, first_start, serve, site_address, start_logging};

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
        // The one crypto back end of the process; somebody may have said so before.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let store = place.open(OpenMode::Create, settings.store_cache_bytes)?;
        block_on(async {
            let logging = start_logging(&settings).map_err(usage)?;
            // Before anything else, so that a signal during the start is not lost.
            let stop = stop_signal().map_err(|error| Failure::Refused(format!("cannot wait for signals: {error}")))?;
            let state =
                AppState::open(settings, store, Clock::system()).await.map_err(|error| Failure::refused(&error))?;
            let first = first_start(&state).await.map_err(|error| Failure::refused(&error))?;
            let mut told = Ok(());
            let settings = state.settings().clone();
            // Only now is the port known that a link leads to.
            let started = |bound: SocketAddr| told = tell(&mut session.out, &first, &settings, bound);
            let served = serve(state, started, stop).await;
            logging.stop().await;
            told?;
            served.map_err(|error| Failure::refused(&error))
        })?;
        Ok(Exit::Done)
    }
}

/// Tells where the server is, and on a first start how to become its administrator.
fn tell(out: &mut impl Write, first: &FirstStart, settings: &Settings, bound: SocketAddr) -> std::io::Result<()> {
    let site = site_address(settings, bound);
    match first {
        FirstStart::HasUsers => {}
        FirstStart::AdminMade(name) => writeln!(out, "made the administrator {name}")?,
        FirstStart::Link(path) => writeln!(out, "no users yet: open {site}{path} once to become the administrator")?,
    }
    let scheme = if settings.tls.is_some() { "https" } else { "http" };
    let here = if bound.ip().is_unspecified() { &site } else { &format!("{scheme}://{bound}") };
    writeln!(out, "serving {here}/api/docs/")?;
    out.flush()
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
