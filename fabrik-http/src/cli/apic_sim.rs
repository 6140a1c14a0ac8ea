//! `fabrik apic-sim`: a controller to try things on, without a fabric.

use std::error::Error as _;
use std::fmt::Write as _;
use std::fs;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::mpsc;
use std::thread;

use clap::Args;
use fabrik_apic::simulator::{Scheme, Simulator, SimulatorError, SimulatorOptions, SimulatorUser, random_password};

use super::exit::{Exit, Failure};
use super::output::Ink;
use super::session::Session;
use super::text::counted;

/// Run a simulated APIC with a generated fabric, until Ctrl-C.
#[derive(Debug, Args)]
pub(super) struct ApicSim {
    /// Where to listen; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:8443", value_name = "ADDRESS")]
    listen: SocketAddr,
    /// Speak plain http instead of https.
    #[arg(long)]
    http: bool,
    /// Who can log in.
    #[arg(long, default_value = "admin", value_name = "NAME")]
    user: String,
    /// The password. [default: a new one, which is printed]
    #[arg(long, value_name = "PASSWORD")]
    password: Option<Password>,
    /// Which fabric: the same seed and size give the same objects.
    #[arg(long, default_value_t = 1, value_name = "N")]
    seed: u64,
    /// How many objects the fabric has at first.
    #[arg(long, default_value_t = 10_000, value_name = "N")]
    objects: usize,
    /// How many objects change, come or go in a second.
    #[arg(long, default_value_t = 0.0, value_name = "RATE", value_parser = parse_rate)]
    churn: f64,
    /// Write the certificate to this file, for clients that verify it.
    #[arg(long, value_name = "FILE", conflicts_with = "http")]
    certificate: Option<PathBuf>,
}

/// A password that is not shown by accident.
#[derive(Clone)]
struct Password(String);

impl std::fmt::Debug for Password {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Password")
    }
}

impl std::str::FromStr for Password {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.is_empty() { Err("the password is empty".to_owned()) } else { Ok(Self(text.to_owned())) }
    }
}

fn parse_rate(text: &str) -> Result<f64, String> {
    text.parse()
        .ok()
        .filter(|rate| (0.0..=100_000.0).contains(rate))
        .ok_or_else(|| format!("churn {text:?} is not a number of objects per second from 0 to 100000"))
}

impl ApicSim {
    pub(super) async fn run(&self, session: &mut Session) -> Result<Exit, Failure> {
        // Before anything is printed: who reads the address may end the command at once.
        let signals = Signals::watch()?;
        let generated = self.password.is_none();
        let password = self.password.as_ref().map_or_else(random_password, |password| password.0.clone());
        let options = SimulatorOptions::default()
            .with_listen(self.listen)
            .with_scheme(if self.http { Scheme::Http } else { Scheme::Https })
            .without_users()
            .with_user(SimulatorUser::new(self.user.as_str()).with_password(password.as_str()))
            .with_seed(self.seed)
            .with_objects(self.objects)
            .with_start(session.now)
            .with_churn_per_second(self.churn);
        let simulator = Simulator::start(options).map_err(|error| refused(&error))?;
        if let (Some(path), Some(pem)) = (&self.certificate, simulator.certificate_pem()) {
            fs::write(path, pem)
                .map_err(|error| Failure::Refused(format!("cannot write {}: {error}", path.display())))?;
        }
        self.introduce(session, &simulator, generated.then_some(password.as_str()))?;
        session.out.flush()?;
        signals.wait();
        drop(simulator);
        writeln!(session.out, "Stopped.")?;
        Ok(Exit::Done)
    }

    /// Prints where it is and how to talk to it.
    fn introduce(&self, session: &mut Session, simulator: &Simulator, generated: Option<&str>) -> io::Result<()> {
        let url = simulator.url();
        let objects = counted(u64::try_from(simulator.len()).unwrap_or(u64::MAX), "object", "objects");
        let out = &mut session.out;
        let heading = out.paint.with(Ink::Bold, &url);
        writeln!(out, "Simulated APIC at {heading} with {objects}, seed {}. Ctrl-C ends it.\n", self.seed)?;
        writeln!(out, "  user         {}", self.user)?;
        match generated {
            Some(password) => writeln!(out, "  password     {password}")?,
            None => writeln!(out, "  password     as given")?,
        }
        if let Some(fingerprint) = simulator.certificate_fingerprint() {
            writeln!(out, "  certificate  SHA-256 {fingerprint}")?;
        }
        let mut trust = String::new();
        if let Some(path) = &self.certificate {
            let _ = write!(trust, "--cacert '{}' ", path.display());
            writeln!(out, "               trusted by clients that are given {}", path.display())?;
        } else if simulator.certificate_pem().is_some() {
            trust.push_str("--insecure ");
            writeln!(out, "               signed by itself; --certificate FILE writes it for clients to trust")?;
        }
        let password = generated.unwrap_or("PASSWORD");
        writeln!(out, "\nLog in and ask:\n")?;
        writeln!(
            out,
            "  curl {trust}--cookie-jar apic.cookies {url}/api/aaaLogin.json \\\n    \
             --data '{{\"aaaUser\":{{\"attributes\":{{\"name\":\"{}\",\"pwd\":\"{password}\"}}}}}}'",
            self.user
        )?;
        writeln!(out, "  curl {trust}--cookie apic.cookies '{url}/api/class/fvTenant.json?order-by=fvTenant.dn'\n")
    }
}

fn refused(error: &SimulatorError) -> Failure {
    let cause = error.source().map(|source| format!(": {source}")).unwrap_or_default();
    Failure::Refused(format!("{error}{cause}"))
}

/// Waits for Ctrl-C, or for what a service manager sends, on a thread with a runtime of its own.
struct Signals {
    thread: thread::JoinHandle<()>,
}

impl Signals {
    /// Begins to catch the signals.
    fn watch() -> Result<Self, Failure> {
        let failed = |error: io::Error| Failure::Refused(format!("cannot wait for Ctrl-C: {error}"));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let (ready, caught) = mpsc::channel();
        let watch = move || {
            runtime.block_on(async {
                match Caught::begin() {
                    Ok(caught) => {
                        let _ = ready.send(Ok(()));
                        caught.wait().await;
                    }
                    Err(error) => {
                        let _ = ready.send(Err(error));
                    }
                }
            });
        };
        let thread = thread::Builder::new().name("signals".to_owned()).spawn(watch).map_err(failed)?;
        match caught.recv() {
            Ok(Ok(())) => Ok(Self { thread }),
            Ok(Err(error)) => Err(failed(error)),
            Err(_) => Err(failed(io::Error::other("the thread for it has ended"))),
        }
    }

    fn wait(self) {
        let _ = self.thread.join();
    }
}

#[cfg(unix)]
struct Caught {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Caught {
    fn begin() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    async fn wait(mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

#[cfg(not(unix))]
struct Caught;

#[cfg(not(unix))]
impl Caught {
    fn begin() -> io::Result<Self> {
        Ok(Self)
    }

    async fn wait(self) {
        let _ = tokio::signal::ctrl_c().await;
    }
}
