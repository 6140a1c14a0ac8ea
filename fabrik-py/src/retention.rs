//! Forgetting what no policy keeps any more.

use std::num::NonZeroU64;

use fabrik_core::time::parse_exact;
use fabrik_core::{RetentionOptions, RetentionPlan, apply_retention};
use pyo3::prelude::*;

use crate::error::raise;
use crate::store::{PyStore, now, text};

/// What a clean-up would do.
#[derive(Debug)]
#[pyclass(name = "Plan", module = "fabrik._fabrik", frozen)]
pub(crate) struct PyPlan(RetentionPlan);

#[pymethods]
impl PyPlan {
    /// The plan as a document.
    #[getter]
    fn document(&self, py: Python<'_>) -> PyResult<String> {
        text(&self.0).map_err(|failure| raise(py, failure))
    }
}

/// Finds the snapshots that have expired or are too many.
#[pyfunction]
#[pyo3(signature = (store, *, query=None, protect_newest=false, max_per_series=None, now_is=None))]
pub(crate) fn plan_retention(
    py: Python<'_>,
    store: &Bound<'_, PyStore>,
    query: Option<String>,
    protect_newest: bool,
    max_per_series: Option<NonZeroU64>,
    now_is: Option<String>,
) -> PyResult<PyPlan> {
    let plan = store.get().run(py, async move |store| {
        let now = now_is.map(|text| parse_exact("now", &text)).transpose()?.unwrap_or_else(now);
        let options = RetentionOptions::new(now)
            .with_newest_protected(protect_newest)
            .with_max_per_series(max_per_series)
            .with_query(query);
        Ok(fabrik_core::plan_retention(store, &options).await?)
    })?;
    Ok(PyPlan(plan))
}

/// Deletes the snapshots of a plan, and what only they needed.
#[pyfunction]
pub(crate) fn apply_plan(py: Python<'_>, store: &Bound<'_, PyStore>, plan: &Bound<'_, PyPlan>) -> PyResult<String> {
    let plan = plan.get().0.clone();
    store.get().run(py, async move |store| text(&apply_retention(store, &plan).await?))
}
