//! Connections to controllers that are saved in the store, with their secrets sealed.

use fabrik_apic::{KeyError, KeyPlace, SavedConnection, saved};
use pyo3::prelude::*;
use serde_json::{Value, json};

use crate::apic::{PyClient, checked_by};
use crate::error::{Failure, raise};
use crate::store::{PyStore, text};

/// Returns the place of the key to secrets, found as the command finds it.
fn key_place() -> Result<KeyPlace, Failure> {
    Ok(KeyPlace::find(|name| std::env::var_os(name))?)
}

impl From<KeyError> for Failure {
    fn from(error: KeyError) -> Self {
        match std::error::Error::source(&error) {
            Some(cause) => Self::Refused(format!("{error}: {cause}")),
            None => Self::Refused(error.to_string()),
        }
    }
}

/// Returns what may be shown of a connection.
fn facts(connection: &SavedConnection) -> Value {
    json!({
        "name": connection.name,
        "url": connection.url,
        "username": connection.username,
        "domain": connection.domain,
        "certificate": connection.certificate,
        "verification": checked_by(&connection.verification),
        "requests_per_second": connection.requests_per_second,
        "timeout_seconds": connection.timeout_seconds,
    })
}

/// Lists the saved connections by name, without their secrets.
#[pyfunction]
pub(crate) fn connections(py: Python<'_>, store: &Bound<'_, PyStore>) -> PyResult<String> {
    store
        .get()
        .run(py, async move |store| text(&saved::connections(store).await?.iter().map(facts).collect::<Vec<_>>()))
}

/// Opens a saved connection; without a name, the only one.
#[pyfunction]
#[pyo3(signature = (store, name=None))]
pub(crate) fn saved_client(py: Python<'_>, store: &Bound<'_, PyStore>, name: Option<String>) -> PyResult<PyClient> {
    let connection = store.get().run(py, async move |store| Ok(saved::connection(store, name.as_deref()).await?))?;
    let open = || {
        let vault = key_place()?.vault()?;
        let credentials = connection.credentials(&vault);
        let credentials = credentials.map_err(|error| Failure::of_controller(&connection.url, error))?;
        PyClient::prepare(connection.options(), credentials, Some(connection.name.clone()))
    };
    open().map_err(|failure| raise(py, failure))
}

/// Saves a connection under a name, its secret sealed by a key that is made where there is none.
#[pyfunction]
#[pyo3(signature = (store, name, client, *, replace=false))]
pub(crate) fn save_connection(
    py: Python<'_>,
    store: &Bound<'_, PyStore>,
    name: String,
    client: &Bound<'_, PyClient>,
    replace: bool,
) -> PyResult<String> {
    let client = client.get();
    let (options, credentials) = (client.options.clone(), client.credentials.clone());
    store.get().run(py, async move |store| {
        let vault = key_place()?.vault_or_new()?;
        let sealed = SavedConnection::seal(&name, &options, &credentials, &vault);
        let connection = sealed.map_err(|error| Failure::of_controller(&options.url, error))?;
        saved::save_connection(store, &connection, replace).await?;
        text(&facts(&connection))
    })
}

/// Forgets a connection and its secret; snapshots stay.
#[pyfunction]
pub(crate) fn remove_connection(py: Python<'_>, store: &Bound<'_, PyStore>, name: String) -> PyResult<()> {
    store.get().run(py, async move |store| {
        if !saved::remove_connection(store, &name).await? {
            // Says which there are.
            saved::connection(store, Some(&name)).await?;
        }
        Ok(())
    })
}
