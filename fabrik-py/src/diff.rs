//! What changed between two snapshots.

use std::path::PathBuf;

use fabrik_core::store::Store;
use fabrik_core::{Change, ChangeKind, DiffOptions, Ignore, KeySpec, Report, compare, resolve};
use pollster::block_on;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};

use crate::engine::{Feed, Pieces};
use crate::error::raise;
use crate::rows::Output;
use crate::store::{PyStore, now, on_store};
use crate::tables::{NoiseTable, SeverityModel};
use crate::value::{Names, to_dict, to_python};

/// How many changes travel together.
const BATCH_CHANGES: usize = 1024;
/// How many batches wait: the engine finds changes by ten thousands at a time, and then reads on for a while.
const BATCHES_WAITING: usize = 24;
/// How many are made into dicts together, five for each.
const PIECE_CHANGES: usize = 64;

/// What identifies a row: a word or columns joined by commas, or a list of columns.
#[derive(Debug, FromPyObject)]
pub(crate) enum Key {
    Text(String),
    Fields(Vec<String>),
}

impl Key {
    pub(crate) fn parse(&self) -> fabrik_core::Result<KeySpec> {
        match self {
            Self::Text(text) => text.parse(),
            Self::Fields(names) => KeySpec::fields(names.iter().map(String::as_str)),
        }
    }
}

/// How to compare, read and found valid.
#[derive(Clone, Debug)]
#[pyclass(name = "DiffOptions", module = "fabrik._fabrik", frozen)]
pub(crate) struct PyDiffOptions(pub(crate) DiffOptions);

#[pymethods]
impl PyDiffOptions {
    #[new]
    #[pyo3(signature = (*, key=None, ignore=None, noise=None, severity=None, min_severity=None))]
    fn new(
        py: Python<'_>,
        key: Option<Key>,
        ignore: Option<Vec<String>>,
        noise: Option<PyRef<'_, NoiseTable>>,
        severity: Option<PyRef<'_, SeverityModel>>,
        min_severity: Option<&str>,
    ) -> PyResult<Self> {
        let mut options = DiffOptions::default().with_spill_dir(std::env::temp_dir());
        let read = |options: &mut DiffOptions| -> fabrik_core::Result<()> {
            options.key = key.map(|key| key.parse()).transpose()?;
            options.ignore = Ignore::parse(ignore.unwrap_or_default())?;
            options.min_severity = min_severity.map(str::parse).transpose()?.unwrap_or_default();
            Ok(())
        };
        read(&mut options).map_err(|error| raise(py, error.into()))?;
        options.noise = noise.map(|table| table.table());
        options.severity = severity.map(|model| model.model());
        Ok(Self(options))
    }
}

/// Two snapshots and how to compare them.
#[derive(Debug, FromPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct Compared {
    before: String,
    after: String,
    options: Py<PyDiffOptions>,
}

impl Compared {
    /// Takes what the work needs, without anything of Python.
    pub(crate) fn into_parts(self) -> (String, String, DiffOptions) {
        (self.before, self.after, self.options.get().0.clone())
    }
}

/// The changes in key order, a batch at a time.
#[derive(Debug)]
#[pyclass(name = "ChangeBatches", module = "fabrik._fabrik", frozen)]
pub(crate) struct PyChangeBatches(Pieces<Change, Names>);

/// The rows of a change as they were and are, made into dicts when somebody looks.
#[derive(Debug)]
#[pyclass(name = "ChangedRows", module = "fabrik._fabrik", frozen)]
pub(crate) struct PyChangedRows(Change);

#[pymethods]
impl PyChangedRows {
    /// The row as it was; `None` for an added one.
    fn before<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyDict>>> {
        self.0.before.as_ref().map(|row| to_dict(py, row.as_ref(), &mut Names::default())).transpose()
    }

    /// The row as it is; `None` for a removed one.
    fn after<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyDict>>> {
        self.0.after.as_ref().map(|row| to_dict(py, row.as_ref(), &mut Names::default())).transpose()
    }

    /// The DN, as the row has it.
    fn dn(&self) -> Option<&str> {
        self.0.row().dn()
    }

    /// The class, as the row has it.
    fn class_name(&self) -> Option<&str> {
        self.0.row().class_name()
    }

    /// The columns that the row was paired by, with their values.
    fn key<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        key_of(py, &self.0, &mut Names::default())
    }
}

/// Starts to compare.
#[pyfunction]
pub(crate) fn change_batches(
    py: Python<'_>,
    store: &Bound<'_, PyStore>,
    compared: Compared,
) -> PyResult<PyChangeBatches> {
    let store = store.get().get(py)?;
    let (before, after, options) = compared.into_parts();
    let feed = Feed::start(BATCHES_WAITING, move |cancel, sink| {
        block_on(on_store(store, cancel, async move |store: &dyn Store| {
            let (before, after) = (resolve(store, &before, now()).await?, resolve(store, &after, now()).await?);
            let mut comparison = compare(store, &before, &after, options).await?;
            let mut waiting = Vec::new();
            loop {
                let batch = comparison.next_batch().await?;
                let is_end = batch.is_empty();
                waiting.extend(batch);
                if waiting.len() >= BATCH_CHANGES || (is_end && !waiting.is_empty()) {
                    sink.send(std::mem::take(&mut waiting))?;
                }
                if is_end {
                    return Ok(());
                }
            }
        }))
    })?;
    Ok(PyChangeBatches(Pieces::of(feed)))
}

#[pymethods]
impl PyChangeBatches {
    fn __iter__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    /// The next changes as a list of dicts.
    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyList>>> {
        self.0.next(py, PIECE_CHANGES, |change, names| entry(py, &change, names))
    }

    /// The next changes as pairs of such a dict and the rows; `None` at the end.
    fn pairs<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyList>>> {
        self.0.next(py, PIECE_CHANGES, |change, names| {
            Ok((entry(py, &change, names)?, Bound::new(py, PyChangedRows(change))?))
        })
    }
}

/// Makes the dict of a change: as in the lists of the document, with its kind.
fn entry<'py>(py: Python<'py>, change: &Change, names: &mut Names) -> PyResult<Bound<'py, PyDict>> {
    let entry = PyDict::new(py);
    let kind = match change.kind {
        ChangeKind::Added => intern!(py, "added"),
        ChangeKind::Removed => intern!(py, "removed"),
        ChangeKind::Changed => intern!(py, "changed"),
    };
    entry.set_item(intern!(py, "kind"), kind)?;
    if change.kind == ChangeKind::Changed {
        entry.set_item(intern!(py, "key"), key_of(py, change, names)?)?;
        let fields = PyDict::new(py);
        for field in change.fields() {
            let sides = PyDict::new(py);
            let side =
                |value: Option<_>| value.map_or_else(|| Ok(py.None().into_bound(py)), |value| to_python(py, value));
            sides.set_item(intern!(py, "before"), side(field.before)?)?;
            sides.set_item(intern!(py, "after"), side(field.after)?)?;
            match (field.before, field.after) {
                (None, _) => sides.set_item(intern!(py, "missing"), intern!(py, "before"))?,
                (_, None) => sides.set_item(intern!(py, "missing"), intern!(py, "after"))?,
                _ => {}
            }
            fields.set_item(names.get(py, field.name), sides)?;
        }
        entry.set_item(intern!(py, "fields"), fields)?;
    } else {
        entry.set_item(intern!(py, "row"), to_dict(py, change.row(), names)?)?;
    }
    if let Some(judgement) = change.judgement() {
        entry.set_item(intern!(py, "severity"), names.get(py, judgement.severity.name()))?;
        entry.set_item(intern!(py, "reason"), &judgement.reason)?;
        entry.set_item(intern!(py, "rule"), judgement.rule.as_ref().map(|rule| names.get(py, rule.id())))?;
    }
    Ok(entry)
}

fn key_of<'py>(py: Python<'py>, change: &Change, names: &mut Names) -> PyResult<Bound<'py, PyDict>> {
    let key = PyDict::new(py);
    let mut result = Ok(());
    change.for_each_key_column(|name, value| {
        let mut set = || key.set_item(names.get(py, name), to_python(py, value)?);
        if result.is_ok() {
            result = set();
        }
    });
    result.map(|()| key)
}

/// Compares, and returns the document of the comparison without its changes.
#[pyfunction]
pub(crate) fn summarize(py: Python<'_>, store: &Bound<'_, PyStore>, compared: Compared) -> PyResult<String> {
    let (before, after, options) = compared.into_parts();
    store.get().run(py, async move |store| {
        let (before, after) = (resolve(store, &before, now()).await?, resolve(store, &after, now()).await?);
        let comparison = compare(store, &before, &after, options.with_summary_only()).await?;
        let mut report = Report::collect(comparison, &before, &after).await?;
        let mut out = Output::open(None)?;
        report.write_json(&mut out)?;
        Ok(out.finish()?.unwrap_or_default())
    })
}

/// Writes the document of the comparison: to a file, or into the text that is returned.
#[pyfunction]
#[pyo3(signature = (store, compared, path=None))]
pub(crate) fn write_changes(
    py: Python<'_>,
    store: &Bound<'_, PyStore>,
    compared: Compared,
    path: Option<PathBuf>,
) -> PyResult<Option<String>> {
    let (before, after, options) = compared.into_parts();
    store.get().run(py, async move |store| {
        let (before, after) = (resolve(store, &before, now()).await?, resolve(store, &after, now()).await?);
        let comparison = compare(store, &before, &after, options).await?;
        let mut report = Report::collect(comparison, &before, &after).await?;
        let mut out = Output::open(path)?;
        report.write_json(&mut out)?;
        out.finish()
    })
}
