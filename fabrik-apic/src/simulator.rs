//! An APIC for tests and demonstrations, which third-party clients cannot tell from a controller.
//!
//! A [`Simulator`] is a generated fabric behind a real socket, with threads of its own. It answers logins, queries
//! and changes as a controller does, tells websockets what happens, and does wrong on demand ([`Faults`]).
//!
//! ```
//! use fabrik_apic::simulator::{Scheme, Simulator, SimulatorOptions};
//!
//! let options = SimulatorOptions::default().with_scheme(Scheme::Http).with_objects(500);
//! let simulator = Simulator::start(options)?;
//! assert!(simulator.url().starts_with("http://127.0.0.1:"));
//! # Ok::<(), fabrik_apic::simulator::SimulatorError>(())
//! ```

mod call;
mod class;
mod clock;
mod cookie;
mod envelope;
mod error;
mod evaluate;
mod event;
mod failure;
mod fault;
mod http;
mod login;
mod meta;
mod mit;
mod options;
mod query;
mod render;
mod reply;
mod request_line;
mod served;
mod session;
mod signature;
mod socket;
mod spoil;
mod state;
mod subscription;
mod throttle;
mod tls;
mod write;

use std::fmt;
use std::future::Future;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::pin::Pin;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use axum::Router;
use axum_server::accept::NoDelayAcceptor;
use axum_server::tls_rustls::{RustlsAcceptor, RustlsConfig};
use bytes::Bytes;
use tokio::runtime;
use tokio::sync::oneshot;
use tokio::time::{MissedTickBehavior, interval};

use crate::demo::Churn;
use request_line::LenientAcceptor;
use state::State;
use tls::Certificate;
use write::PostObject;

pub use failure::SimulatorError;
pub use fault::{Fault, FaultId, FaultRule, Faults};
pub use mit::FabricOptions;
pub use options::{Refusal, Scheme, SimulatorOptions, SimulatorUser, random_password};
pub use served::Served;

/// A running simulator, which ends when it is dropped.
///
/// It answers on threads of its own, so that a test may use it with or without an async runtime. Everything that
/// can be asked of it here goes past HTTP and is not in [`Simulator::requests`].
pub struct Simulator {
    state: Arc<State>,
    certificate: Option<Certificate>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Simulator {
    /// Makes a fabric and listens.
    ///
    /// # Errors
    ///
    /// When the address is taken, a certificate of a user is none, or the machine gives no threads.
    pub fn start(options: SimulatorOptions) -> Result<Self, SimulatorError> {
        let address = options.listen;
        let listen = |source| SimulatorError::Listen { address, source };
        let listener = TcpListener::bind(address).map_err(listen)?;
        listener.set_nonblocking(true).map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        let certificate = match options.scheme {
            Scheme::Https => Some(Certificate::generate(address.ip())?),
            Scheme::Http => None,
        };
        let state = Arc::new(State::new(options, address)?);

        let runtime = runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("apic-simulator")
            .enable_all()
            .build()
            .map_err(|source| SimulatorError::Runtime { source })?;
        let serving = {
            let _inside = runtime.enter();
            serving(Arc::clone(&state), listener, certificate.as_ref()).map_err(listen)?
        };
        let (stop, stopped) = oneshot::channel();
        let ticking = tick(Arc::clone(&state));
        // A runtime must not be dropped inside another one, where the simulator itself may be.
        let run = move || {
            runtime.block_on(async {
                tokio::select! {
                    _ = serving => {}
                    () = ticking => {}
                    _ = stopped => {}
                }
            });
            runtime.shutdown_timeout(Duration::from_secs(1));
        };
        let thread = thread::Builder::new()
            .name("apic-simulator".into())
            .spawn(run)
            .map_err(|source| SimulatorError::Runtime { source })?;
        Ok(Self { state, certificate, stop: Some(stop), thread: Some(thread) })
    }

    /// Returns where clients reach it: scheme, address and port, without a slash at the end.
    #[must_use]
    pub fn url(&self) -> String {
        let scheme = if self.certificate.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.address())
    }

    /// Returns the address it listens on.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.state.address
    }

    /// Returns the certificate for clients that verify it, unless it speaks plain http.
    #[must_use]
    pub fn certificate_pem(&self) -> Option<&str> {
        self.certificate.as_ref().map(|certificate| certificate.pem.as_str())
    }

    /// Returns the SHA-256 digest of the certificate, as pairs of hexadecimal digits with colons between.
    #[must_use]
    pub fn certificate_fingerprint(&self) -> Option<&str> {
        self.certificate.as_ref().map(|certificate| certificate.fingerprint.as_str())
    }

    /// Returns a handle that makes things go wrong.
    #[must_use]
    pub fn faults(&self) -> Faults {
        Faults::new(Arc::clone(&self.state))
    }

    /// Returns the number of objects.
    #[must_use]
    pub fn len(&self) -> usize {
        self.state.mit().len()
    }

    /// Returns whether there are no objects.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Answers a query such as `/api/class/fvTenant.json?order-by=fvTenant.dn`, with no limit to its size.
    ///
    /// # Errors
    ///
    /// [`SimulatorError::Refused`] where a controller answers an error.
    pub fn answer(&self, target: &str) -> Result<Bytes, SimulatorError> {
        let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
        Ok(self.state.answer(path, query)?)
    }

    /// Posts a JSON tree to the object `dn`, or to the root of all; the author is the user `admin`.
    ///
    /// # Errors
    ///
    /// [`SimulatorError::Refused`] where a controller answers an error. The fabric is then as it was.
    pub fn post(&self, dn: Option<&str>, json: &str) -> Result<(), SimulatorError> {
        let body = PostObject::parse(json.as_bytes(), render::Format::Json)?;
        let author = self.state.author("admin", "");
        self.state.change(|mit| mit.post(dn, &body, &author))?;
        Ok(())
    }

    /// Deletes an object and everything below it; the author is the user `admin`.
    ///
    /// # Errors
    ///
    /// [`SimulatorError::Refused`] where a controller answers an error.
    pub fn delete(&self, dn: &str) -> Result<(), SimulatorError> {
        let author = self.state.author("admin", "");
        self.state.change(|mit| mit.delete(dn, &author))?;
        Ok(())
    }

    /// Lets time pass in the fabric, in which `churn` happens, and returns how many objects changed.
    ///
    /// Tokens and subscriptions do not age by it.
    pub fn advance(&self, by: Duration, churn: &Churn) -> usize {
        self.state.clock.advance_fabric(by);
        self.state.churn(churn)
    }

    /// Lets tokens and subscriptions age, and ends those that are over by then.
    pub fn advance_sessions(&self, by: Duration) {
        self.state.clock.advance_sessions(by);
        self.state.sweep();
    }

    /// Returns the requests that were answered, oldest first; only the newest 50 000 are kept.
    #[must_use]
    pub fn requests(&self) -> Vec<Served> {
        self.state.log.requests()
    }

    /// Forgets the requests that were answered.
    pub fn clear_requests(&self) {
        self.state.log.clear();
    }

    /// Returns how many requests were under way at the same moment, at most, since they were last forgotten.
    #[must_use]
    pub fn most_requests_at_once(&self) -> usize {
        self.state.log.most_at_once()
    }

    /// Returns how many subscriptions there are.
    #[must_use]
    pub fn subscriptions(&self) -> usize {
        self.state.subscriptions().len()
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for Simulator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Simulator").field("url", &self.url()).finish_non_exhaustive()
    }
}

type Serving = Pin<Box<dyn Future<Output = io::Result<()>> + Send>>;

/// Returns what accepts connections. Must be called inside the runtime that will run it.
fn serving(state: Arc<State>, listener: TcpListener, certificate: Option<&Certificate>) -> io::Result<Serving> {
    let service = Router::new().fallback(http::serve).with_state(state).into_make_service();
    let server = axum_server::from_tcp(listener)?;
    Ok(match certificate {
        Some(certificate) => {
            let config = RustlsConfig::from_config(Arc::clone(&certificate.config));
            let acceptor = RustlsAcceptor::new(config).acceptor(NoDelayAcceptor::new());
            Box::pin(server.acceptor(LenientAcceptor(acceptor)).serve(service))
        }
        None => Box::pin(server.acceptor(LenientAcceptor(NoDelayAcceptor::new())).serve(service)),
    })
}

/// Lets things happen in the fabric by themselves, and ends what is over.
async fn tick(state: Arc<State>) {
    const TICK: Duration = Duration::from_millis(250);

    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut pace = Pace::default();
    loop {
        ticks.tick().await;
        let churn = pace.next(state.options.churn_per_second * TICK.as_secs_f64());
        if churn != Churn::default() {
            tokio::task::block_in_place(|| state.churn(&churn));
        }
        state.sweep();
    }
}

/// Divides a rate into whole objects: of ten, five change, two come, two go, and one is written as it was.
#[derive(Debug, Default)]
struct Pace {
    due: f64,
    turn: usize,
}

impl Pace {
    fn next(&mut self, objects: f64) -> Churn {
        let mut churn = Churn::default();
        self.due += objects;
        while self.due >= 1.0 {
            self.due -= 1.0;
            match self.turn % 10 {
                0 | 3 | 5 | 7 | 9 => churn.changed += 1,
                1 | 6 => churn.added += 1,
                2 | 8 => churn.removed += 1,
                _ => churn.touched += 1,
            }
            self.turn += 1;
        }
        churn
    }
}

#[cfg(test)]
mod tests;
