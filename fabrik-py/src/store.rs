//! The store behind a time machine: opening it, and doing work on it.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use chrono::{DateTime, Utc};
use fabrik_core::store::{
    CancellableStore, MemoryStore, OpenMode, PostgresAddress, PostgresStore, SnapshotFilter, SqliteStore, Store,
};
use fabrik_core::time::{DayEdge, parse_edge};
use fabrik_core::{Annotate, Cancel, Error, SnapshotId, explain_damage, find_query, one_connection, resolve, view};
use pollster::block_on;
use pyo3::prelude::*;
use serde::Serialize;

use crate::engine::{self, Errand};
use crate::error::{Failure, raise};

/// An open store.
#[pyclass(name = "Store", module = "fabrik._fabrik", frozen)]
pub(crate) struct PyStore {
    place: Place,
    /// `None` once it is closed.
    opened: Mutex<Option<Arc<dyn Store>>>,
}

impl fmt::Debug for PyStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PyStore").field("place", &self.place.to_string()).finish_non_exhaustive()
    }
}

/// Where a store is.
#[derive(Clone)]
enum Place {
    Memory,
    Sqlite(PathBuf),
    Postgres(Box<PostgresAddress>),
}

impl fmt::Display for Place {
    /// Leaves out the password of a database.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory => f.write_str("memory:"),
            Self::Sqlite(path) => write!(f, "sqlite:{}", path.display()),
            Self::Postgres(address) => address.fmt(f),
        }
    }
}

impl Place {
    /// Reads an address as the command does, and takes a bare path for that of a file.
    fn parse(address: &str) -> Result<Self, Error> {
        match address.split_once(':') {
            // SQLite takes no name for that of a file which is gone when it is closed.
            None if address.is_empty() => Err(Self::wrong(address)),
            Some(("memory", "")) => Ok(Self::Memory),
            Some(("sqlite", path)) if !path.is_empty() => Ok(Self::Sqlite(path.into())),
            // It tells what is wrong without the text, which may hold a password.
            Some(("postgres" | "postgresql", _)) => Ok(Self::Postgres(Box::new(address.parse()?))),
            Some((scheme, rest)) if rest.is_empty() || rest.starts_with("//") || scheme == "sqlite" => {
                Err(Self::wrong(address))
            }
            _ => Ok(Self::Sqlite(address.into())),
        }
    }

    fn wrong(address: &str) -> Error {
        let expected = "memory:, sqlite:PATH, a path, or postgres://USER@HOST/DATABASE".to_owned();
        Error::InvalidArgument { field: "address", value: address.to_owned(), expected }
    }

    fn open(&self, mode: OpenMode) -> Result<Arc<dyn Store>, Error> {
        Ok(match self {
            Self::Memory => Arc::new(MemoryStore::default()),
            Self::Sqlite(path) => Arc::new(SqliteStore::open(path, mode)?),
            Self::Postgres(address) => Arc::new(block_on(PostgresStore::open(address, mode))?),
        })
    }
}

#[pymethods]
impl PyStore {
    /// Opens a store; `path` takes the text for the path of a file whatever it looks like.
    #[staticmethod]
    #[pyo3(signature = (address, *, is_path=false, create=true))]
    fn open(py: Python<'_>, address: PathBuf, is_path: bool, create: bool) -> PyResult<Self> {
        let mode = if create { OpenMode::Create } else { OpenMode::Existing };
        let place = match address.to_str() {
            Some(text) if !is_path || text.is_empty() => Place::parse(text),
            _ => Ok(Place::Sqlite(address)),
        };
        let place = place.map_err(|error| raise(py, error.into()))?;
        let wanted = place.clone();
        let opened = engine::run(py, move |_| Ok(wanted.open(mode)?))?;
        Ok(Self { place, opened: Mutex::new(Some(opened)) })
    }

    /// Where the store is, without a password.
    #[getter]
    fn address(&self) -> String {
        self.place.to_string()
    }

    /// The path of the file, where it is one.
    #[getter]
    fn path(&self) -> Option<PathBuf> {
        match &self.place {
            Place::Sqlite(path) => Some(path.clone()),
            _ => None,
        }
    }

    /// Whether it was closed.
    #[getter]
    fn closed(&self) -> bool {
        self.opened.lock().unwrap_or_else(PoisonError::into_inner).is_none()
    }

    /// Lets go of the store. Iterators that are under way keep it until they end.
    fn close(&self, py: Python<'_>) {
        let opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner).take();
        py.detach(move || drop(opened));
    }

    fn __repr__(&self) -> String {
        format!("<Store {}>", self.place)
    }
}

impl PyStore {
    /// Returns the store.
    pub(crate) fn get(&self, py: Python<'_>) -> PyResult<Arc<dyn Store>> {
        let opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner).clone();
        opened.ok_or_else(|| raise(py, Failure::Refused(format!("the time machine on {} is closed", self.place))))
    }

    /// Does work on the store while the interpreter is released.
    pub(crate) fn run<T, W>(&self, py: Python<'_>, work: W) -> PyResult<T>
    where
        T: Send + 'static,
        W: AsyncFnOnce(&dyn Store) -> Result<T, Failure> + Send + 'static,
    {
        let store = self.get(py)?;
        engine::run(py, move |cancel| block_on(on_store(store, cancel, work)))
    }

    /// Does work on the store that has errands for the caller's thread.
    pub(crate) fn run_for<T, W>(
        &self,
        py: Python<'_>,
        prepare: impl FnOnce(engine::Bell) -> (Option<Box<dyn Errand>>, W),
    ) -> PyResult<T>
    where
        T: Send + 'static,
        W: AsyncFnOnce(&dyn Store, Cancel) -> Result<T, Failure> + Send + 'static,
    {
        let store = self.get(py)?;
        engine::run_for(py, |bell| {
            let (errand, work) = prepare(bell);
            let with_cancel = move |cancel: Cancel| {
                let passed = cancel.clone();
                block_on(on_store(store, cancel, async move |store: &dyn Store| work(store, passed).await))
            };
            (errand, with_cancel)
        })
    }
}

/// Does work on a store until it is called off, and adds to a damaged chunk the snapshots that it hurts.
pub(crate) async fn on_store<T, W>(store: Arc<dyn Store>, cancel: Cancel, work: W) -> Result<T, Failure>
where
    W: AsyncFnOnce(&dyn Store) -> Result<T, Failure>,
{
    let cancellable = CancellableStore::new(Arc::clone(&store), cancel);
    match work(&cancellable).await {
        Err(Failure::Engine(error)) => Err(Failure::Engine(explain_damage(&*store, error).await)),
        result => result,
    }
}

/// Returns what counts as now.
pub(crate) fn now() -> DateTime<Utc> {
    DateTime::from(SystemTime::now())
}

/// Writes a document for Python to read.
pub(crate) fn text(document: &impl Serialize) -> Result<String, Failure> {
    Ok(serde_json::to_string(document)?)
}

/// Finds the snapshot that a reference names.
#[pyfunction]
pub(crate) fn snapshot(py: Python<'_>, store: &Bound<'_, PyStore>, reference: String) -> PyResult<String> {
    store.get().run(py, async move |store| text(&view::snapshot(&resolve(store, &reference, now()).await?)))
}

/// Lists the queries that have snapshots.
#[pyfunction]
pub(crate) fn queries(py: Python<'_>, store: &Bound<'_, PyStore>) -> PyResult<String> {
    store.get().run(py, async move |store| text(&view::queries(&store.queries().await?)))
}

/// Which snapshots to list.
#[derive(Debug, FromPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct Listed {
    query: Option<String>,
    connection: Option<String>,
    since: Option<String>,
    until: Option<String>,
    limit: Option<u64>,
}

/// Lists snapshots, newest first.
#[pyfunction]
pub(crate) fn snapshots(py: Python<'_>, store: &Bound<'_, PyStore>, listed: Listed) -> PyResult<String> {
    store.get().run(py, async move |store| {
        let edge =
            |field, text: &Option<String>, edge| text.as_deref().map(|text| parse_edge(field, text, edge)).transpose();
        let (since, until) =
            (edge("since", &listed.since, DayEdge::Start)?, edge("until", &listed.until, DayEdge::End)?);
        let connection = listed.connection.as_deref();
        let mut found = match &listed.query {
            Some(query) => {
                let history = find_query(store, query).await?;
                let filter = match connection {
                    Some(_) => one_connection(&history, connection)?,
                    None => SnapshotFilter::of_query(history.query.id),
                };
                store.snapshots(&limited(filter.with_range(since, until), listed.limit)).await?
            }
            None => {
                let mut filter = SnapshotFilter::default().with_range(since, until);
                if let Some(name) = connection {
                    filter = filter.with_connection(Some(connection_id(store, name).await?));
                }
                store.snapshots(&limited(filter, listed.limit)).await?
            }
        };
        if let Some(limit) = listed.limit {
            found.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        }
        text(&view::snapshots(&found))
    })
}

fn limited(filter: SnapshotFilter, limit: Option<u64>) -> SnapshotFilter {
    match limit {
        Some(limit) => filter.with_page(0, limit),
        None => filter,
    }
}

/// Finds the number of a connection that any query was captured on.
pub(crate) async fn connection_id(store: &dyn Store, name: &str) -> Result<i64, Error> {
    let histories = store.queries().await?;
    let mut connections = histories.iter().flat_map(|history| &history.connections);
    if let Some(found) = connections.find(|connection| connection.name == name) {
        return Ok(found.id);
    }
    let mut names: Vec<&str> =
        histories.iter().flat_map(|history| &history.connections).map(|one| one.name.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    let expected = match &names[..] {
        [] => "no connection, as nothing was captured on one".to_owned(),
        names => format!("a connection that snapshots were captured on: {}", names.join(", ")),
    };
    Err(Error::InvalidArgument { field: "connection", value: name.to_owned(), expected })
}

/// What to change of a snapshot: a text that is not given stays, an empty one goes.
#[derive(Debug, FromPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct Noted {
    annotation: Option<String>,
    label: Option<String>,
    pinned: Option<bool>,
}

/// Changes the annotation, label or pin of a snapshot.
#[pyfunction]
pub(crate) fn annotate(
    py: Python<'_>,
    store: &Bound<'_, PyStore>,
    reference: String,
    noted: Noted,
) -> PyResult<String> {
    store.get().run(py, async move |store| {
        let Noted { annotation, label, pinned } = noted;
        let change = Annotate { annotation: annotation.map(Some), label: label.map(Some), pinned };
        let id: SnapshotId = resolve(store, &reference, now()).await?.id;
        text(&view::snapshot(&fabrik_core::annotate(store, id, &change).await?))
    })
}

/// Checks everything in the store.
#[pyfunction]
pub(crate) fn verify(py: Python<'_>, store: &Bound<'_, PyStore>) -> PyResult<String> {
    store.get().run(py, async move |store| text(&fabrik_core::verify(store).await?))
}

/// Measures the store.
#[pyfunction]
pub(crate) fn stats(py: Python<'_>, store: &Bound<'_, PyStore>) -> PyResult<String> {
    store.get().run(py, async move |store| text(&fabrik_core::stats(store).await?))
}
