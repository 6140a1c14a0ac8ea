//! Captures: rows become a snapshot.

use std::sync::{Arc, Mutex};

use fabrik_apic::LiveSource;
use fabrik_apic::saved::LiveCapture;
use fabrik_core::store::Store;
use fabrik_core::time::parse_exact;
use fabrik_core::{Cancel, CancellableSource, CaptureOptions, Captured, SnapshotId, Source, SourceProgress, view};
use pyo3::prelude::*;
use uuid::Uuid;

use crate::apic::Controller;
use crate::engine::Errand;
use crate::error::{Failure, raise};
use crate::source::{
    Input, Place, PyInput, PythonRows, RecordedPlace, Watch, WatchedSource, file_reader, open_recorded, python_rows,
};
use crate::store::{PyStore, now, text};

/// What a capture is told beside its rows.
#[derive(Debug, FromPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct Told {
    query: String,
    connection: Option<String>,
    annotation: Option<String>,
    label: Option<String>,
    retention_policy: String,
    pinned: bool,
    captured_by: Option<String>,
    captured_at: Option<String>,
    key: Option<crate::diff::Key>,
}

impl Told {
    fn options(self) -> fabrik_core::Result<CaptureOptions> {
        let now = now();
        let captured_at = self.captured_at.map(|text| parse_exact("captured_at", &text)).transpose()?.unwrap_or(now);
        let mut options = CaptureOptions::new(SnapshotId::new(Uuid::now_v7()), self.query, captured_at);
        options.now = Some(now);
        options.captured_by = self.captured_by.unwrap_or_else(user);
        options.connection = self.connection;
        options.retention_policy = self.retention_policy.parse()?;
        options.pinned = self.pinned;
        options.annotation = self.annotation;
        options.label = self.label;
        options.spill_dir = Some(std::env::temp_dir());
        if let Some(key) = self.key {
            options.key = key.parse()?;
        }
        Ok(options)
    }
}

/// Returns who is logged in, as the command does.
fn user() -> String {
    let user =
        ["USER", "LOGNAME"].into_iter().filter_map(|name| std::env::var(name).ok()).find(|name| !name.is_empty());
    user.unwrap_or_else(|| "unknown".to_owned())
}

/// What the rows come from, on the thread that captures them.
enum Ready {
    Rows(PythonRows),
    Recorded(RecordedPlace, Option<fabrik_apic::InputFormat>, Option<fabrik_core::Coverage>),
    Source(Box<dyn Source>),
    Live(Box<Asked>),
}

/// A question to a controller, ready to be asked.
struct Asked {
    controller: Controller,
    query: Option<fabrik_apic::ApicQuery>,
    replace: bool,
    page_size: Option<u64>,
}

/// Stores all rows of an input as a new snapshot. `progress` is called now and then with the figures of the source.
#[pyfunction]
#[pyo3(signature = (store, input, told, progress=None))]
pub(crate) fn capture(
    py: Python<'_>,
    store: &Bound<'_, PyStore>,
    input: &Bound<'_, PyInput>,
    told: Told,
    progress: Option<Py<PyAny>>,
) -> PyResult<String> {
    let options = told.options().map_err(|error| raise(py, error.into()))?;
    let input = input.get().take(py)?;
    let reached = Arc::new(Mutex::new(SourceProgress::default()));
    let noted = Arc::clone(&reached);
    store.get().run_for(py, move |bell| {
        let mut errand: Option<Box<dyn Errand>> = None;
        let ready = match input {
            Input::Rows(iterator) => {
                let (rows, half) = python_rows(iterator, bell);
                errand = Some(Box::new(half));
                Ready::Rows(rows)
            }
            Input::Recorded { place, format, coverage } => {
                let place = match place {
                    Place::Path(path) => RecordedPlace::Path(path),
                    Place::Bytes(bytes) => RecordedPlace::Bytes(bytes),
                    Place::File(file, name) => {
                        let (reader, half) = file_reader(file, bell);
                        errand = Some(Box::new(half));
                        RecordedPlace::File(reader, name)
                    }
                };
                Ready::Recorded(place, format, coverage)
            }
            Input::Source(source) => Ready::Source(source),
            Input::Live(live) => Ready::Live(Box::new(Asked {
                controller: live.client.get().controller(),
                query: live.query,
                replace: live.replace,
                page_size: live.page_size,
            })),
        };
        let watch = Watch::new(errand, progress, reached);
        let work = async move |store: &dyn Store, cancel: Cancel| {
            let captured = match ready {
                Ready::Rows(mut rows) => take(store, &mut rows, &options, noted, cancel).await?,
                Ready::Source(mut source) => take(store, &mut *source, &options, noted, cancel).await?,
                Ready::Recorded(place, format, coverage) => {
                    let mut source = open_recorded(place, format, coverage)?;
                    take(store, &mut source, &options, noted, cancel).await?
                }
                Ready::Live(asked) => ask(store, *asked, options, noted, cancel).await?,
            };
            text(&view::captured(&captured))
        };
        (Some(Box::new(watch) as Box<dyn Errand>), work)
    })
}

async fn take(
    store: &dyn Store,
    source: &mut dyn Source,
    options: &CaptureOptions,
    noted: Arc<Mutex<SourceProgress>>,
    cancel: Cancel,
) -> Result<Captured, Failure> {
    let mut watched = WatchedSource::new(source, noted);
    Ok(fabrik_core::capture(store, &mut CancellableSource::new(&mut watched, cancel), options).await?)
}

/// Captures what a controller answers, and keeps what was asked and learned for the next time.
async fn ask(
    store: &dyn Store,
    asked: Asked,
    mut options: CaptureOptions,
    noted: Arc<Mutex<SourceProgress>>,
    cancel: Cancel,
) -> Result<Captured, Failure> {
    let Asked { controller, query, replace, page_size } = asked;
    options.connection = options.connection.or_else(|| controller.name.clone());
    let connection = options.connection.as_deref();
    let client = controller.client.clone();
    let mut prepared = LiveCapture::with_client(store, client, connection, &options.query, query, replace).await?;
    prepared.options.page_size = page_size;
    let started = prepared.start(controller.runtime());
    let mut source: LiveSource = started.map_err(|error| Failure::of_controller(controller.client.url(), error))?;
    let captured = take(store, &mut source, &options, noted, cancel).await;
    let learned = source.learned();
    drop(source);
    controller.rest();
    let captured = captured?;
    prepared.remember(store, learned).await?;
    Ok(captured)
}
