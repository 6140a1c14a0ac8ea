//! A controller for each test, and captures from it.

use std::num::NonZeroU32;
use std::time::Duration;

use chrono::{DateTime, Utc};
use fabrik_apic::simulator::{Scheme, Simulator, SimulatorOptions, SimulatorUser};
use fabrik_apic::{
    ApicQuery, Client, ConnectionOptions, Credentials, Learned, LiveOptions, LiveSource, RecordedSource, Secret,
    Verification,
};
use fabrik_core::store::MemoryStore;
use fabrik_core::{CaptureOptions, Captured, Error, Snapshot, SnapshotId, capture};
use tokio::runtime::{Builder, Runtime};
use uuid::Uuid;

pub(crate) const PASSWORD: &str = "correct-horse";

/// A controller, a store and a connection between them.
pub(crate) struct Fabric {
    pub(crate) simulator: Simulator,
    pub(crate) store: MemoryStore,
    pub(crate) client: Client,
    pub(crate) options: LiveOptions,
    pub(crate) learned: Option<Learned>,
    runtime: Runtime,
    captures: u32,
}

impl Fabric {
    pub(crate) fn new(objects: usize) -> Self {
        Self::with(plain().with_objects(objects))
    }

    pub(crate) fn with(options: SimulatorOptions) -> Self {
        let simulator = Simulator::start(options).unwrap();
        let client = Client::new(connection(&simulator), admin()).unwrap();
        let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let mut options = LiveOptions::default();
        options.page_size = Some(200);
        Self { simulator, store: MemoryStore::default(), client, options, learned: None, runtime, captures: 0 }
    }

    pub(crate) fn run<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }

    pub(crate) fn start(&self, path: &str) -> LiveSource {
        let query: ApicQuery = path.parse().unwrap();
        LiveSource::start(&self.client, &query, &self.options, self.runtime.handle()).unwrap()
    }

    /// Captures what the controller has of a query.
    pub(crate) fn capture(&mut self, path: &str) -> Result<Captured, Error> {
        let mut source = self.start(path);
        let options = self.capture_options(path);
        let captured = pollster::block_on(capture(&self.store, &mut source, &options));
        self.learned = source.learned();
        captured
    }

    /// Captures what the controller itself says it has, without a network in between.
    pub(crate) fn truth(&mut self, path: &str) -> Snapshot {
        let answer = self.simulator.answer(path).unwrap();
        let mut source = RecordedSource::from_reader("truth", Box::new(std::io::Cursor::new(answer)), None).unwrap();
        let options = self.capture_options("truth");
        pollster::block_on(capture(&self.store, &mut source, &options)).unwrap().snapshot
    }

    fn capture_options(&mut self, query: &str) -> CaptureOptions {
        self.captures += 1;
        let start: DateTime<Utc> = "2026-03-02T08:00:00Z".parse().unwrap();
        let at = start + chrono::TimeDelta::minutes(i64::from(self.captures));
        CaptureOptions::new(SnapshotId::new(Uuid::from_u128(u128::from(self.captures))), query, at)
    }

    /// Returns how many requests had a path that begins so.
    pub(crate) fn requests_to(&self, path: &str) -> usize {
        self.simulator.requests().iter().filter(|served| served.target.starts_with(path)).count()
    }
}

pub(crate) fn plain() -> SimulatorOptions {
    let admin = SimulatorUser::new("admin").with_password(PASSWORD);
    SimulatorOptions::default().without_users().with_user(admin).with_scheme(Scheme::Http).with_objects(3000)
}

pub(crate) fn admin() -> Credentials {
    Credentials::Password { username: "admin".into(), domain: None, password: Secret::new(PASSWORD) }
}

/// Reaches a controller without a long wait between two tries.
pub(crate) fn connection(simulator: &Simulator) -> ConnectionOptions {
    let mut options = ConnectionOptions::new(simulator.url());
    options.requests_per_second = NonZeroU32::new(100_000).unwrap();
    options.retry.first_delay = Duration::from_millis(1);
    if let Some(pem) = simulator.certificate_pem() {
        options.verification = Verification::Authority(pem.to_owned());
    }
    options
}
