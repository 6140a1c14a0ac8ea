//! The native half of the Python module `fabrik`.

use pyo3::prelude::*;

/// What `fabrik` is built on; private to the package.
#[pymodule(name = "_fabrik", gil_used = false)]
mod native {}
