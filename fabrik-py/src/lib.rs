//! The native half of the Python module `fabrik`.
//!
//! It runs the engine on threads of its own and hands over documents, which are the core's own JSON, and iterators for
//! what is large. What a user sees is the Python package around it, in `python/fabrik`.

mod apic;
mod arrow;
mod capture;
mod connections;
mod diff;
mod engine;
mod error;
mod questions;
mod retention;
mod rows;
mod source;
mod store;
mod tables;
mod value;

use pyo3::pymodule;

/// What `fabrik` is built on; private to the package.
#[pymodule(name = "_fabrik", gil_used = false)]
mod native {
    use pyo3::prelude::*;

    #[pymodule_export]
    use crate::apic::{PyClient, PySimulator, question};
    #[pymodule_export]
    use crate::arrow::{changes_stream, rows_stream, write_parquet};
    #[pymodule_export]
    use crate::capture::capture;
    #[pymodule_export]
    use crate::connections::{connections, remove_connection, save_connection, saved_client};
    #[pymodule_export]
    use crate::diff::{PyChangeBatches, PyChangedRows, PyDiffOptions, change_batches, summarize, write_changes};
    #[pymodule_export]
    use crate::engine::PyCancel;
    #[pymodule_export]
    use crate::error::error_codes;
    #[pymodule_export]
    use crate::questions::{heatmap, keys, timeline};
    #[pymodule_export]
    use crate::retention::{PyPlan, apply_plan, plan_retention};
    #[pymodule_export]
    use crate::rows::{PyRowBatches, row_batches, write_rows};
    #[pymodule_export]
    use crate::source::PyInput;
    #[pymodule_export]
    use crate::store::{PyStore, annotate, queries, snapshot, snapshots, stats, verify};
    #[pymodule_export]
    use crate::tables::{NoiseTable, SeverityModel};
    #[pymodule_export]
    use crate::value::{loads, number};

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}
