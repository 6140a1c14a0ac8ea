//! Controllers: real ones, and the simulated one.

use std::fmt;
use std::num::{NonZeroU32, NonZeroU64};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use fabrik_apic::demo::Churn;
use fabrik_apic::simulator::{Scheme, Simulator, SimulatorOptions};
use fabrik_apic::{ApicError, ApicQuery, Client, ConnectionOptions, Credentials, Filter, FilterError, Verification};
use fabrik_core::Error;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};
use serde_json::json;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::time::timeout;

use crate::engine;
use crate::error::{Failure, raise};
use crate::store::text;

/// How long the end of a session may take.
const LOGOUT: Duration = Duration::from_secs(5);

/// Who is asked, and as whom. Holds a secret, which nothing shows.
#[pyclass(name = "Client", module = "fabrik._fabrik", frozen)]
pub(crate) struct PyClient {
    pub(crate) options: ConnectionOptions,
    pub(crate) credentials: Credentials,
    controller: Controller,
}

impl fmt::Debug for PyClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PyClient").field("url", &self.options.url).finish_non_exhaustive()
    }
}

/// What it takes to ask a controller from another thread.
#[derive(Clone)]
pub(crate) struct Controller {
    pub(crate) client: Client,
    /// The name it is saved under.
    pub(crate) name: Option<String>,
    threads: Arc<Threads>,
    keeps_session: Arc<AtomicBool>,
}

/// The threads that talk to a controller.
struct Threads(Option<Runtime>);

impl Threads {
    fn start() -> std::io::Result<Self> {
        Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("fabrik-apic")
            .enable_all()
            .build()
            .map(|runtime| Self(Some(runtime)))
    }

    fn handle(&self) -> &Handle {
        self.0.as_ref().expect("they run until they are dropped").handle()
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        // Whoever drops them has no time to wait for an answer that nobody wants any more.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

impl Controller {
    pub(crate) fn runtime(&self) -> &Handle {
        self.threads.handle()
    }

    /// Ends the session, unless the next question comes soon. One that is not ended here ends by itself.
    pub(crate) fn rest(&self) {
        if !self.keeps_session.load(Ordering::SeqCst) {
            // What the caller waits for is done or called off, and a controller may be slow.
            let _ = self.runtime().block_on(async { timeout(LOGOUT, self.client.logout()).await });
        }
    }
}

impl PyClient {
    /// Prepares to ask; nothing is sent yet.
    pub(crate) fn prepare(
        options: ConnectionOptions,
        credentials: Credentials,
        name: Option<String>,
    ) -> Result<Self, Failure> {
        let client = Client::new(options.clone(), credentials.clone());
        let client = client.map_err(|error| Failure::of_controller(&options.url, error))?;
        let threads = Arc::new(Threads::start().map_err(|error| {
            Failure::Engine(Error::Storage {
                operation: "starting threads to ask a controller",
                location: options.url.clone(),
                source: error.into(),
            })
        })?);
        let controller = Controller { client, name, threads, keeps_session: Arc::default() };
        Ok(Self { options, credentials, controller })
    }

    pub(crate) fn controller(&self) -> Controller {
        self.controller.clone()
    }
}

/// How a controller is reached.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct Reached {
    url: String,
    username: String,
    password: Option<String>,
    domain: Option<String>,
    certificate: Option<String>,
    /// A private key in PEM form.
    key: Option<String>,
    verify: Verify,
    requests_per_second: u32,
    timeout_seconds: u64,
}

/// Whether a certificate is checked, or by which authorities in PEM form.
#[derive(FromPyObject)]
enum Verify {
    Flag(bool),
    Authority(String),
}

impl Reached {
    fn into_parts(self) -> Result<(ConnectionOptions, Credentials), Error> {
        let wrong = |field, value: String, expected: &str| Error::InvalidArgument {
            field,
            value,
            expected: expected.to_owned(),
        };
        let mut options = ConnectionOptions::new(self.url);
        options.verification = match self.verify {
            Verify::Flag(true) => Verification::System,
            Verify::Flag(false) => Verification::Off,
            Verify::Authority(pem) => Verification::Authority(pem),
        };
        options.requests_per_second = NonZeroU32::new(self.requests_per_second)
            .ok_or_else(|| wrong("requests_per_second", "0".to_owned(), "a number from 1 on"))?;
        options.timeout_seconds = NonZeroU64::new(self.timeout_seconds)
            .ok_or_else(|| wrong("timeout", "0".to_owned(), "a second at least"))?;
        let username = self.username;
        let credentials = match (self.password, self.certificate, self.key) {
            (Some(password), None, None) => {
                Credentials::Password { username, domain: self.domain, password: password.into() }
            }
            (None, Some(certificate), Some(key)) => Credentials::Certificate { username, certificate, key: key.into() },
            // None of them is repeated: they are secrets.
            _ => {
                let expected = "a password, or a certificate's name and its private key";
                return Err(wrong("password", String::new(), expected));
            }
        };
        Ok((options, credentials))
    }
}

#[pymethods]
impl PyClient {
    #[new]
    fn new(py: Python<'_>, reached: Reached) -> PyResult<Self> {
        let (options, credentials) = reached.into_parts().map_err(|error| raise(py, error.into()))?;
        Self::prepare(options, credentials, None).map_err(|failure| raise(py, failure))
    }

    /// Logs in and says who answers, as a document.
    fn check(&self, py: Python<'_>) -> PyResult<String> {
        let controller = self.controller();
        engine::run(py, move |cancel| {
            let client = controller.client.clone();
            let checking = async {
                // An error of the controller is none of the engine, so it is kept aside.
                cancel.watch(async { Ok(client.check().await) }).await
            };
            let found = controller.runtime().block_on(checking)?;
            controller.rest();
            let found = found.map_err(|error| Failure::of_controller(client.url(), error))?;
            text(&json!({ "version": found.version, "node": found.node, "user": found.user }))
        })
    }

    /// Whether the session is kept between questions.
    fn keep_session(&self, keep: bool) {
        self.controller.keeps_session.store(keep, Ordering::SeqCst);
    }

    /// Ends the session, if there is one.
    fn logout(&self, py: Python<'_>) -> PyResult<()> {
        let controller = self.controller();
        engine::run(py, move |cancel| {
            let client = controller.client.clone();
            // A session that is not ended here ends by itself soon.
            let _ = controller.runtime().block_on(cancel.watch(async { Ok(client.logout().await) }))?;
            Ok(())
        })
    }

    /// Everything that it takes to log in, the secret included: for whoever saves the connection elsewhere.
    fn login<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let login = PyDict::new(py);
        match &self.credentials {
            Credentials::Password { username, domain, password } => {
                login.set_item("username", username)?;
                login.set_item("domain", domain)?;
                login.set_item("password", password.reveal())?;
            }
            Credentials::Certificate { username, certificate, key } => {
                login.set_item("username", username)?;
                login.set_item("certificate", certificate)?;
                login.set_item("key", key.reveal())?;
            }
            _ => return Err(raise(py, Failure::Refused("these credentials are of an unknown kind".to_owned()))),
        }
        Ok(login)
    }

    /// The address of the controller.
    #[getter]
    fn url(&self) -> &str {
        &self.options.url
    }

    /// The name it is saved under.
    #[getter]
    fn name(&self) -> Option<&str> {
        self.controller.name.as_deref()
    }

    /// What may be shown of the connection, as a document.
    #[getter]
    fn facts(&self, py: Python<'_>) -> PyResult<String> {
        let (username, domain, certificate) = match &self.credentials {
            Credentials::Password { username, domain, .. } => (username, domain.clone(), None),
            Credentials::Certificate { username, certificate, .. } => (username, None, Some(certificate.clone())),
            _ => return Err(raise(py, Failure::Refused("these credentials are of an unknown kind".to_owned()))),
        };
        let facts = json!({
            "name": self.controller.name,
            "url": self.options.url,
            "username": username,
            "domain": domain,
            "certificate": certificate,
            "verification": checked_by(&self.options.verification),
            "requests_per_second": self.options.requests_per_second,
            "timeout_seconds": self.options.timeout_seconds,
        });
        text(&facts).map_err(|failure| raise(py, failure))
    }

    fn __repr__(&self) -> String {
        format!("<Client of {}>", self.options.url)
    }
}

/// Says how a certificate is checked.
pub(crate) fn checked_by(verification: &Verification) -> &'static str {
    match verification {
        Verification::System => "system",
        Verification::Authority(_) => "own authority",
        _ => "off",
    }
}

/// What a controller is to be asked.
#[derive(Debug, FromPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct Question {
    class_name: Option<String>,
    dn: Option<String>,
    path: Option<String>,
    filter: Option<String>,
    attributes: Option<String>,
    options: Vec<(String, String)>,
}

/// Checks a question and returns its text, a path with its options.
#[pyfunction]
pub(crate) fn question(py: Python<'_>, asked: Question) -> PyResult<String> {
    let Question { class_name, dn, path, filter, attributes, options } = asked;
    let refused = |text: &str, error| Failure::Refused(format!("filter {text:?} is not valid: {error}"));
    let filter: Option<Filter> =
        filter.map(|text| text.parse().map_err(|error: FilterError| raise(py, refused(&text, error)))).transpose()?;
    let read = || -> Result<ApicQuery, ApicError> {
        let mut query = match (&class_name, &dn, &path) {
            (Some(class), None, _) => ApicQuery::class(class)?,
            (Some(class), Some(node), _) => ApicQuery::node_class(node, class)?,
            (None, Some(dn), _) => ApicQuery::object(dn)?,
            (None, None, Some(path)) => path.parse()?,
            (None, None, None) => {
                return Err(invalid("path", "", "a class, a DN or a path such as /api/class/fvBD.json"));
            }
        };
        if let Some(filter) = &filter {
            query = query.with_filter(filter);
        }
        if let Some(attributes) = &attributes {
            if !["config-only", "naming-only"].contains(&attributes.as_str()) {
                return Err(invalid("attributes", attributes, "config-only or naming-only"));
            }
            query = query.with("rsp-prop-include", attributes);
        }
        for (name, value) in &options {
            query = query.with(name, value);
        }
        query.check_whole()?;
        Ok(query)
    };
    read().map(|query| query.to_string()).map_err(|error| raise(py, Failure::of_controller("", error)))
}

fn invalid(field: &'static str, value: &str, expected: &str) -> ApicError {
    ApicError::InvalidOption { field, value: value.to_owned(), expected: expected.to_owned() }
}

/// A running simulated controller.
#[pyclass(name = "Simulator", module = "fabrik._fabrik", frozen)]
pub(crate) struct PySimulator {
    /// `None` once it is closed.
    running: Mutex<Option<Simulator>>,
    url: String,
    certificate: Option<String>,
}

impl fmt::Debug for PySimulator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PySimulator").field("url", &self.url).finish_non_exhaustive()
    }
}

#[pymethods]
impl PySimulator {
    /// Makes a fabric and listens on a free port of this machine.
    #[new]
    #[pyo3(signature = (*, seed, objects, start=None, tls=true))]
    fn new(py: Python<'_>, seed: u64, objects: usize, start: Option<String>, tls: bool) -> PyResult<Self> {
        let simulator = engine::run(py, move |_| {
            let mut options = SimulatorOptions::default().with_seed(seed).with_objects(objects).with_scheme(if tls {
                Scheme::Https
            } else {
                Scheme::Http
            });
            if let Some(start) = start {
                options = options.with_start(fabrik_core::time::parse_exact("start", &start)?);
            }
            Ok(Simulator::start(options)?)
        })?;
        let certificate = simulator.certificate_pem().map(str::to_owned);
        Ok(Self { url: simulator.url(), certificate, running: Mutex::new(Some(simulator)) })
    }

    /// Where clients reach it.
    #[getter]
    fn url(&self) -> &str {
        &self.url
    }

    /// Its certificate in PEM form.
    #[getter]
    fn certificate(&self) -> Option<&str> {
        self.certificate.as_deref()
    }

    /// How many objects the fabric has.
    fn __len__(&self, py: Python<'_>) -> PyResult<usize> {
        self.with(py, |simulator| Ok(simulator.len()))
    }

    /// Lets time pass, in which so many objects change, come, go or are written again; returns how many did.
    fn advance(
        &self,
        py: Python<'_>,
        by: Duration,
        changed: usize,
        added: usize,
        removed: usize,
        touched: usize,
    ) -> PyResult<usize> {
        self.with(py, move |simulator| Ok(simulator.advance(by, &Churn { changed, added, removed, touched })))
    }

    /// Posts a JSON tree to an object, or to the root of all.
    #[pyo3(signature = (dn, json))]
    fn post(&self, py: Python<'_>, dn: Option<String>, json: String) -> PyResult<()> {
        self.with(py, move |simulator| Ok(simulator.post(dn.as_deref(), &json)?))
    }

    /// Deletes an object and everything below it.
    fn delete(&self, py: Python<'_>, dn: String) -> PyResult<()> {
        self.with(py, move |simulator| Ok(simulator.delete(&dn)?))
    }

    /// Answers a query, with no limit to its size.
    fn answer<'py>(&self, py: Python<'py>, target: String) -> PyResult<Bound<'py, PyBytes>> {
        let bytes = self.with(py, move |simulator| Ok(simulator.answer(&target)?))?;
        Ok(PyBytes::new(py, &bytes))
    }

    /// Stops it; again changes nothing.
    fn close(&self, py: Python<'_>) {
        py.detach(|| drop(self.running.lock().unwrap_or_else(PoisonError::into_inner).take()));
    }

    fn __repr__(&self) -> String {
        format!("<Simulator at {}>", self.url)
    }
}

impl PySimulator {
    fn with<T: Send>(&self, py: Python<'_>, work: impl FnOnce(&Simulator) -> Result<T, Failure> + Send) -> PyResult<T> {
        let result = py.detach(|| {
            let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
            let closed = || Failure::Refused(format!("the simulator at {} is closed", self.url));
            running.as_ref().ok_or_else(closed).and_then(work)
        });
        result.map_err(|failure| raise(py, failure))
    }
}

impl Drop for PySimulator {
    fn drop(&mut self) {
        // Stopping waits for its threads, which is not for whoever collects garbage.
        if let Some(simulator) = self.running.lock().unwrap_or_else(PoisonError::into_inner).take() {
            std::thread::spawn(move || drop(simulator));
        }
    }
}
