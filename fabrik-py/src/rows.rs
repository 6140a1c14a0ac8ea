//! The rows of a snapshot.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::PathBuf;

use fabrik_core::store::Store;
use fabrik_core::{Error, Row, resolve, rows};
use pollster::block_on;
use pyo3::prelude::*;
use pyo3::types::PyList;

use crate::engine::{BATCHES, Feed, Pieces};
use crate::error::Failure;
use crate::store::{PyStore, now, on_store};
use crate::value::{Names, to_dict};

/// How many rows are made into dicts together.
const PIECE_ROWS: usize = 256;

/// The rows of a snapshot in key order, a batch at a time.
#[derive(Debug)]
#[pyclass(name = "RowBatches", module = "fabrik._fabrik", frozen)]
pub(crate) struct PyRowBatches(Pieces<Row, Names>);

/// Starts to read the rows of a snapshot.
#[pyfunction]
pub(crate) fn row_batches(py: Python<'_>, store: &Bound<'_, PyStore>, reference: String) -> PyResult<PyRowBatches> {
    let store = store.get().get(py)?;
    let feed = Feed::start(BATCHES, move |cancel, sink| {
        block_on(on_store(store, cancel, async move |store: &dyn Store| {
            let snapshot = resolve(store, &reference, now()).await?;
            let mut stream = rows(store, &snapshot).await?;
            loop {
                let batch = stream.next_batch().await?;
                if batch.is_empty() {
                    return Ok(());
                }
                sink.send(batch)?;
            }
        }))
    })?;
    Ok(PyRowBatches(Pieces::of(feed)))
}

#[pymethods]
impl PyRowBatches {
    fn __iter__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    /// The next rows as a list of dicts.
    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyList>>> {
        self.0.next(py, PIECE_ROWS, |row, names| to_dict(py, row.as_ref(), names))
    }
}

/// Writes the rows of a snapshot as a JSON array: to a file, or into the text that is returned.
#[pyfunction]
#[pyo3(signature = (store, reference, path=None))]
pub(crate) fn write_rows(
    py: Python<'_>,
    store: &Bound<'_, PyStore>,
    reference: String,
    path: Option<PathBuf>,
) -> PyResult<Option<String>> {
    store.get().run(py, async move |store| {
        let snapshot = resolve(store, &reference, now()).await?;
        let mut stream = rows(store, &snapshot).await?;
        let mut out = Output::open(path)?;
        let (mut lines, mut is_first) = (Vec::new(), true);
        out.write_all(b"[")?;
        while stream.next_lines(&mut lines).await? {
            // Within a row a line end is always escaped, so those that there are stand between rows.
            lines.iter_mut().filter(|byte| **byte == b'\n').for_each(|byte| *byte = b',');
            if lines.pop().is_some() {
                out.write_all(if std::mem::take(&mut is_first) { b"" } else { b"," })?;
                out.write_all(&lines)?;
            }
            lines.clear();
        }
        out.write_all(b"]")?;
        out.finish()
    })
}

/// Where a document goes: into a file, which is whole or not there, or into a text.
#[derive(Debug)]
pub(crate) enum Output {
    Text(Vec<u8>),
    File(BufWriter<File>, PathBuf),
}

impl Output {
    pub(crate) fn open(path: Option<PathBuf>) -> Result<Self, Failure> {
        let Some(path) = path else { return Ok(Self::Text(Vec::new())) };
        let file = File::create(&path).map_err(|error| failed(&path, error))?;
        Ok(Self::File(BufWriter::with_capacity(1 << 16, file), path))
    }

    /// Ends the document and returns its text, unless it went to a file.
    pub(crate) fn finish(self) -> Result<Option<String>, Failure> {
        match self {
            Self::Text(bytes) => {
                let text = String::from_utf8(bytes).map_err(|error| Error::Output(std::io::Error::other(error)))?;
                Ok(Some(text))
            }
            Self::File(mut file, path) => {
                file.flush().map_err(|error| failed(&path, error))?;
                Ok(None)
            }
        }
    }
}

fn failed(path: &std::path::Path, error: std::io::Error) -> Failure {
    // Python knows how to say that a file is not there or not allowed.
    let mut named = PyErr::from(error);
    Python::attach(|py| {
        if let Err(problem) = named.value(py).setattr("filename", path) {
            named = problem;
        }
    });
    Failure::Python(named)
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        match self {
            Self::Text(text) => text.write(bytes),
            Self::File(file, _) => file.write(bytes),
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        match self {
            Self::Text(_) => Ok(()),
            Self::File(file, _) => file.flush(),
        }
    }
}
