//! What can be captured: rows that Python makes, files, bytes, and what a controller answers.

use std::fmt;
use std::io::{self, Cursor, Read};
use std::path::PathBuf;
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use fabrik_apic::{ApicQuery, InputFormat, RecordedSource};
use fabrik_core::{Coverage, Error, Result, RowBatch, RowBatchBuilder, Source, SourceProgress, Verdict};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::{PyBytes, PyIterator};

use crate::apic::PyClient;
use crate::engine::{Bell, Errand};
use crate::error::{Failure, raise};
use crate::value::push_row;

/// How many rows are taken from Python at a time, at most.
const BATCH_ROWS: usize = 4096;
/// And how many bytes of values, about.
const BATCH_BYTES: usize = 1 << 20;
/// And how long a slow iterator may take to make them.
const BATCH_TIME: Duration = Duration::from_millis(50);
/// How much of a file object is asked for at a time.
const READ_BYTES: usize = 1 << 20;

/// What a capture takes its rows from, once.
#[pyclass(name = "Input", module = "fabrik._fabrik", frozen)]
pub(crate) struct PyInput(Mutex<Option<Input>>);

/// Where rows come from, before anything is read.
pub(crate) enum Input {
    /// An iterator of mappings.
    Rows(Py<PyIterator>),
    /// A recorded file.
    Recorded { place: Place, format: Option<InputFormat>, coverage: Option<Coverage> },
    /// Any other source of rows.
    Source(Box<dyn Source>),
    /// A controller.
    Live(Live),
}

/// Where a recorded file is.
pub(crate) enum Place {
    Path(PathBuf),
    Bytes(PyBackedBytes),
    /// An object with `read`, and what errors call it.
    File(Py<PyAny>, String),
}

/// A question to a controller.
pub(crate) struct Live {
    pub(crate) client: Py<PyClient>,
    /// `None` asks what the query asked before.
    pub(crate) query: Option<ApicQuery>,
    pub(crate) replace: bool,
    pub(crate) page_size: Option<u64>,
}

impl PyInput {
    fn of(input: Input) -> Self {
        Self(Mutex::new(Some(input)))
    }

    /// Takes any source of rows.
    pub(crate) fn of_source(source: Box<dyn Source>) -> Self {
        Self::of(Input::Source(source))
    }

    pub(crate) fn take(&self, py: Python<'_>) -> PyResult<Input> {
        let taken = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        taken.ok_or_else(|| raise(py, Failure::Refused("these rows were captured before; give them anew".to_owned())))
    }
}

#[pymethods]
impl PyInput {
    /// Takes an iterator of mappings.
    #[staticmethod]
    fn rows(iterator: Bound<'_, PyIterator>) -> Self {
        Self::of(Input::Rows(iterator.unbind()))
    }

    /// Takes a path, bytes, or an object with `read` whose name in errors is `name`.
    #[staticmethod]
    #[pyo3(signature = (place, *, format=None, coverage=None, name=None))]
    fn recorded(
        py: Python<'_>,
        place: Bound<'_, PyAny>,
        format: Option<&str>,
        coverage: Option<&str>,
        name: Option<String>,
    ) -> PyResult<Self> {
        let place = if let Ok(bytes) = place.extract::<PyBackedBytes>() {
            Place::Bytes(bytes)
        } else if place.hasattr("read")? {
            Place::File(place.unbind(), name.unwrap_or_else(|| "a stream".to_owned()))
        } else {
            Place::Path(place.extract()?)
        };
        let parsed = || -> Result<_> {
            Ok(Input::Recorded {
                place,
                format: format.map(str::parse).transpose()?,
                coverage: coverage.map(str::parse).transpose()?,
            })
        };
        parsed().map(Self::of).map_err(|error| raise(py, error.into()))
    }

    /// Asks a controller: the text of a query, or `None` for what the query of that name asked before.
    #[staticmethod]
    #[pyo3(signature = (client, path, *, replace=false, page_size=None))]
    fn live(
        py: Python<'_>,
        client: Py<PyClient>,
        path: Option<&str>,
        replace: bool,
        page_size: Option<u64>,
    ) -> PyResult<Self> {
        let query = path.map(str::parse).transpose().map_err(|error| raise(py, Failure::of_controller("", error)))?;
        Ok(Self::of(Input::Live(Live { client, query, replace, page_size })))
    }

    /// Takes an object that hands out Arrow data.
    #[staticmethod]
    fn arrow(table: &Bound<'_, PyAny>) -> PyResult<Self> {
        crate::arrow::input(table)
    }

    fn __repr__(&self) -> String {
        let held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        format!("<Input of {}>", held.as_ref().map_or("nothing any more", Input::kind))
    }
}

impl Input {
    fn kind(&self) -> &'static str {
        match self {
            Self::Rows(_) => "an iterator",
            Self::Recorded { .. } => "a recorded file",
            Self::Source(_) => "a table",
            Self::Live(_) => "a controller",
        }
    }
}

impl fmt::Debug for PyInput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.__repr__())
    }
}

/// Opens a recorded file, which reads its beginning: on the thread that does the work.
pub(crate) fn open_recorded(
    place: RecordedPlace,
    format: Option<InputFormat>,
    coverage: Option<Coverage>,
) -> Result<RecordedSource> {
    let source = match place {
        RecordedPlace::Path(path) => RecordedSource::open(&path, format)?,
        RecordedPlace::Bytes(bytes) => RecordedSource::from_reader("bytes", Box::new(Cursor::new(bytes)), format)?,
        RecordedPlace::File(reader, name) => RecordedSource::from_reader(name, Box::new(reader), format)?,
    };
    Ok(match coverage {
        Some(coverage) => source.with_coverage(coverage),
        None => source,
    })
}

/// Where a recorded file is, for the thread that reads it.
pub(crate) enum RecordedPlace {
    Path(PathBuf),
    Bytes(PyBackedBytes),
    File(FileReader, String),
}

/// Rows that the caller's thread takes from a Python iterator, where its generator expects to run.
#[derive(Debug)]
pub(crate) struct PythonRows {
    bell: Bell,
    batches: Receiver<Option<RowBatch>>,
    is_asked: bool,
}

/// The caller's half of [`PythonRows`].
pub(crate) struct RowsErrand {
    iterator: Py<PyIterator>,
    builder: RowBatchBuilder,
    n_rows: u64,
    batches: Option<Sender<Option<RowBatch>>>,
}

/// Makes both halves.
pub(crate) fn python_rows(iterator: Py<PyIterator>, bell: Bell) -> (PythonRows, RowsErrand) {
    let (sender, batches) = mpsc::channel();
    let errand = RowsErrand { iterator, builder: RowBatchBuilder::default(), n_rows: 0, batches: Some(sender) };
    (PythonRows { bell, batches, is_asked: false }, errand)
}

#[async_trait]
impl Source for PythonRows {
    async fn next_batch(&mut self) -> Result<Option<RowBatch>> {
        if !std::mem::replace(&mut self.is_asked, true) {
            self.bell.ring();
        }
        let batch = self.batches.recv().map_err(|_| Error::Cancelled)?;
        if batch.is_some() {
            // The next is made while this one is sorted.
            self.bell.ring();
        }
        Ok(batch)
    }

    fn verdict(&self) -> Verdict {
        Verdict::Complete
    }
}

impl Errand for RowsErrand {
    fn answer(&mut self, py: Python<'_>) -> PyResult<()> {
        let mut iterator = self.iterator.bind(py).clone();
        let started = Instant::now();
        while self.builder.len() < BATCH_ROWS
            && self.builder.held_bytes() < BATCH_BYTES
            && (self.builder.is_empty() || started.elapsed() < BATCH_TIME)
        {
            let Some(row) = iterator.next().transpose()? else { break };
            self.n_rows += 1;
            push_row(&mut self.builder, &row, self.n_rows)?.map_err(|error| raise(py, error.into()))?;
        }
        let batch = (!self.builder.is_empty()).then(|| self.builder.take());
        if let Some(batches) = &self.batches {
            // The work may have failed meanwhile, and tells that itself.
            let _ = batches.send(batch);
        }
        Ok(())
    }

    fn tick(&mut self, _py: Python<'_>) -> PyResult<()> {
        Ok(())
    }

    fn abandon(&mut self) {
        self.batches = None;
    }
}

/// A file object, read by the caller's thread.
#[derive(Debug)]
pub(crate) struct FileReader {
    bell: Bell,
    pieces: Mutex<Receiver<PyBackedBytes>>,
    piece: Option<Cursor<PyBackedBytes>>,
}

/// The caller's half of [`FileReader`].
pub(crate) struct FileErrand {
    file: Py<PyAny>,
    pieces: Option<Sender<PyBackedBytes>>,
}

/// Makes both halves.
pub(crate) fn file_reader(file: Py<PyAny>, bell: Bell) -> (FileReader, FileErrand) {
    let (sender, pieces) = mpsc::channel();
    (FileReader { bell, pieces: Mutex::new(pieces), piece: None }, FileErrand { file, pieces: Some(sender) })
}

impl Read for FileReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if let Some(piece) = &mut self.piece {
                let n = piece.read(buffer)?;
                if n > 0 || piece.get_ref().is_empty() || buffer.is_empty() {
                    return Ok(n);
                }
            }
            self.bell.ring();
            let pieces = self.pieces.lock().unwrap_or_else(PoisonError::into_inner);
            let gone = |_| io::Error::other("nobody reads it any more");
            self.piece = Some(Cursor::new(pieces.recv().map_err(gone)?));
        }
    }
}

impl Errand for FileErrand {
    fn answer(&mut self, py: Python<'_>) -> PyResult<()> {
        let read = self.file.bind(py).call_method1("read", (READ_BYTES,))?;
        let Ok(bytes) = read.cast::<PyBytes>() else {
            let kind = read.get_type().name()?;
            return Err(PyTypeError::new_err(format!("read() returned {kind}; open the file in binary mode")));
        };
        if let Some(pieces) = &self.pieces {
            // The work may have failed meanwhile, and tells that itself.
            let _ = pieces.send(PyBackedBytes::from(bytes.clone()));
        }
        Ok(())
    }

    fn tick(&mut self, _py: Python<'_>) -> PyResult<()> {
        Ok(())
    }

    fn abandon(&mut self) {
        self.pieces = None;
    }
}

/// Tells a Python callable how far a source has come, besides another errand.
pub(crate) struct Watch {
    errand: Option<Box<dyn Errand>>,
    callable: Option<Py<PyAny>>,
    progress: Arc<Mutex<SourceProgress>>,
}

impl Watch {
    pub(crate) fn new(
        errand: Option<Box<dyn Errand>>,
        callable: Option<Py<PyAny>>,
        progress: Arc<Mutex<SourceProgress>>,
    ) -> Self {
        Self { errand, callable, progress }
    }
}

impl Errand for Watch {
    fn answer(&mut self, py: Python<'_>) -> PyResult<()> {
        self.errand.as_mut().map_or(Ok(()), |errand| errand.answer(py))
    }

    fn tick(&mut self, py: Python<'_>) -> PyResult<()> {
        let Some(callable) = &self.callable else { return Ok(()) };
        let SourceProgress { read_bytes, total_bytes, rows, total_rows, pages, total_pages } =
            *self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        callable.call1(py, (read_bytes, total_bytes, rows, total_rows, pages, total_pages)).map(drop)
    }

    fn abandon(&mut self) {
        if let Some(errand) = &mut self.errand {
            errand.abandon();
        }
    }
}

/// Notes how far a source has come where another thread may look.
#[derive(Debug)]
pub(crate) struct WatchedSource<'s> {
    inner: &'s mut dyn Source,
    /// Rows that came since the source last started over, and those that came last.
    rows: u64,
    last_rows: u64,
    progress: Arc<Mutex<SourceProgress>>,
}

impl<'s> WatchedSource<'s> {
    pub(crate) fn new(inner: &'s mut dyn Source, progress: Arc<Mutex<SourceProgress>>) -> Self {
        Self { inner, rows: 0, last_rows: 0, progress }
    }
}

#[async_trait]
impl Source for WatchedSource<'_> {
    async fn next_batch(&mut self) -> Result<Option<RowBatch>> {
        let batch = self.inner.next_batch().await?;
        self.last_rows = batch.as_ref().map_or(0, |batch| batch.len() as u64);
        self.rows += self.last_rows;
        let mut progress = self.inner.progress();
        progress.rows = progress.rows.max(self.rows);
        *self.progress.lock().unwrap_or_else(PoisonError::into_inner) = progress;
        Ok(batch)
    }

    fn has_started_over(&mut self) -> bool {
        let has_started_over = self.inner.has_started_over();
        if has_started_over {
            self.rows = self.last_rows;
        }
        has_started_over
    }

    fn verdict(&self) -> Verdict {
        self.inner.verdict()
    }

    fn coverage(&self) -> Coverage {
        self.inner.coverage()
    }

    fn progress(&self) -> SourceProgress {
        self.inner.progress()
    }
}
