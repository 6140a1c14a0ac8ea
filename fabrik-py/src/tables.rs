//! The tables of rules that a comparison is read with.

use std::sync::Arc;

use fabrik_core::noise::Table;
use fabrik_core::severity::Model;
use pyo3::prelude::*;
use pyo3::types::PyTuple;
use serde::Serialize;

use crate::error::{Failure, raise};
use crate::store::text;
use crate::value::loads;

/// What changes by itself: a table of attributes, and of whole classes, whose changes nobody made.
#[derive(Debug)]
#[pyclass(module = "fabrik", frozen)]
pub(crate) struct NoiseTable(Arc<Table>);

/// How much a change matters: a table of rules that gives each change a severity and says why.
#[derive(Debug)]
#[pyclass(module = "fabrik", frozen)]
pub(crate) struct SeverityModel(Arc<Model>);

impl NoiseTable {
    pub(crate) fn table(&self) -> Arc<Table> {
        Arc::clone(&self.0)
    }
}

impl SeverityModel {
    pub(crate) fn model(&self) -> Arc<Model> {
        Arc::clone(&self.0)
    }
}

fn listed<'py>(py: Python<'py>, rules: &impl Serialize) -> PyResult<Bound<'py, PyAny>> {
    loads(py, &text(rules).map_err(|failure| raise(py, failure))?)
}

/// Makes what pickle calls to make a table anew from its text.
fn reduced<'py>(table: &Bound<'py, PyAny>, toml: String) -> PyResult<Bound<'py, PyTuple>> {
    let parse = table.get_type().getattr("parse")?;
    (parse, (toml,)).into_pyobject(table.py())
}

fn refuse(py: Python<'_>, error: fabrik_core::Error) -> PyErr {
    raise(py, Failure::Engine(error))
}

#[pymethods]
impl NoiseTable {
    /// The rules that come with Fabrik.
    #[staticmethod]
    fn standard() -> Self {
        Self(Arc::new(Table::standard()))
    }

    /// Reads a table that stands alone, TOML with a [[rule]] for each rule. Errors call it by its name.
    #[staticmethod]
    #[pyo3(signature = (text, name="the noise table"))]
    fn parse(py: Python<'_>, text: &str, name: &str) -> PyResult<Self> {
        Table::parse(name, text).map(|table| Self(Arc::new(table))).map_err(|error| refuse(py, error))
    }

    /// Returns a table with the rules of a text before these.
    #[pyo3(signature = (text, name="the noise table"))]
    fn overridden_by(&self, py: Python<'_>, text: &str, name: &str) -> PyResult<Self> {
        let table = (*self.0).clone().overridden_by(name, text);
        table.map(|table| Self(Arc::new(table))).map_err(|error| refuse(py, error))
    }

    /// The rules as one table, which read alone gives the same.
    fn to_toml(&self) -> String {
        self.0.to_toml()
    }

    /// The rules as dicts, in the order in which they are asked.
    #[getter]
    fn rules<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        listed(py, &self.0.rules().iter().map(|rule| &**rule).collect::<Vec<_>>())
    }

    fn __eq__(&self, other: &Self) -> bool {
        self.0 == other.0
    }

    fn __hash__(&self, py: Python<'_>) -> PyResult<isize> {
        self.to_toml().into_pyobject(py)?.hash()
    }

    fn __repr__(&self) -> String {
        format!("<NoiseTable of {} rules>", self.0.rules().len())
    }

    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyTuple>> {
        reduced(slf.as_any(), slf.get().to_toml())
    }
}

#[pymethods]
impl SeverityModel {
    /// The rules that come with Fabrik.
    #[staticmethod]
    fn standard() -> Self {
        Self(Arc::new(Model::standard()))
    }

    /// Reads a table that stands alone, TOML with a [[rule]] for each rule. Errors call it by its name.
    #[staticmethod]
    #[pyo3(signature = (text, name="the severity table"))]
    fn parse(py: Python<'_>, text: &str, name: &str) -> PyResult<Self> {
        Model::parse(name, text).map(|model| Self(Arc::new(model))).map_err(|error| refuse(py, error))
    }

    /// Returns a table with the rules of a text before these.
    #[pyo3(signature = (text, name="the severity table"))]
    fn overridden_by(&self, py: Python<'_>, text: &str, name: &str) -> PyResult<Self> {
        let model = Model::parse(name, &self.to_toml()).and_then(|model| model.overridden_by(name, text));
        model.map(|model| Self(Arc::new(model))).map_err(|error| refuse(py, error))
    }

    /// The rules as one table, which read alone gives the same.
    fn to_toml(&self) -> String {
        self.0.to_toml()
    }

    /// The rules as dicts, in the order in which they are asked.
    #[getter]
    fn rules<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        listed(py, &self.0.rules().iter().map(|rule| &**rule).collect::<Vec<_>>())
    }

    fn __eq__(&self, other: &Self) -> bool {
        self.0.rules() == other.0.rules()
    }

    fn __hash__(&self, py: Python<'_>) -> PyResult<isize> {
        self.to_toml().into_pyobject(py)?.hash()
    }

    fn __repr__(&self) -> String {
        format!("<SeverityModel of {} rules>", self.0.rules().len())
    }

    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyTuple>> {
        reduced(slf.as_any(), slf.get().to_toml())
    }
}
