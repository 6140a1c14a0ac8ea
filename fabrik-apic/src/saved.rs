//! What is kept in the store beside snapshots: connections, queries, and how classes could be read.

use fabrik_core::store::{Document, ReadRecords, Store};
use fabrik_core::{Error, Result, check_name};
use serde::{Deserialize, Serialize};
use tokio::runtime::Handle;

use crate::client::Client;
use crate::connection::SavedConnection;
use crate::error::{ApicError, ApicResult};
use crate::live::{Learned, LiveOptions, LiveSource};
use crate::query::ApicQuery;
use crate::vault::Vault;

/// The kinds of documents, by what their names are.
const CONNECTION: &str = "connection";
const QUERY: &str = "query";
/// Named `CONNECTION SUBJECT`, where the subject is a class or a path.
const READING: &str = "reading";

/// Lists the saved connections by name.
///
/// # Errors
///
/// Those of the store, and [`Error::Source`] when a record is damaged.
pub async fn connections(store: &dyn ReadRecords) -> Result<Vec<SavedConnection>> {
    let documents = store.documents(CONNECTION).await?;
    documents.iter().map(|document| open_connection(&document.name, &document.body)).collect()
}

/// Finds a saved connection; without a name, the only one.
///
/// # Errors
///
/// [`ErrorKind::InvalidInput`](fabrik_core::ErrorKind::InvalidInput) when there is none of the name, or several to choose from.
pub async fn connection(store: &dyn ReadRecords, name: Option<&str>) -> Result<SavedConnection> {
    let documents = store.documents(CONNECTION).await?;
    let names = || documents.iter().map(|document| document.name.as_str()).collect::<Vec<_>>().join(", ");
    let expected = || match documents.len() {
        0 => "the name of a connection; none is saved, `fabrik connections add` saves one".to_owned(),
        _ => format!("one of {}", names()),
    };
    let found = match (name, &documents[..]) {
        (None, [only]) => Some(only),
        (None, _) => None,
        (Some(name), _) => documents.iter().find(|document| document.name == name),
    };
    let refused =
        || Error::InvalidArgument { field: "connection", value: name.unwrap_or("").to_owned(), expected: expected() };
    let found = found.ok_or_else(refused)?;
    open_connection(&found.name, &found.body)
}

fn open_connection(name: &str, body: &str) -> Result<SavedConnection> {
    SavedConnection::from_json(name, body).map_err(|error| error.into_source_error(name))
}

/// Saves a connection, in place of one of the same name when `replace` says so.
///
/// # Errors
///
/// [`ErrorKind::InvalidInput`](fabrik_core::ErrorKind::InvalidInput) when the name is taken or cannot be one, else those of the store.
pub async fn save_connection(store: &dyn Store, connection: &SavedConnection, replace: bool) -> Result<()> {
    let name = &connection.name;
    check_name("connection", name)?;
    let mut transaction = store.begin().await?;
    let is_taken = transaction.documents(CONNECTION).await?.iter().any(|document| document.name == *name);
    if is_taken && !replace {
        let expected = "a name that no connection has yet, or the wish to replace it".to_owned();
        return Err(Error::InvalidArgument { field: "connection", value: name.clone(), expected });
    }
    transaction.put_document(&document(CONNECTION, name, connection.to_json())).await?;
    transaction.commit().await
}

/// Forgets a connection and its secret, and what was learned over it. Snapshots stay. Returns whether there was one.
///
/// # Errors
///
/// Those of the store.
pub async fn remove_connection(store: &dyn Store, name: &str) -> Result<bool> {
    let mut transaction = store.begin().await?;
    let found = transaction.delete_document(CONNECTION, name).await?;
    for reading in transaction.documents(READING).await? {
        if reading.name.starts_with(&format!("{name} ")) {
            transaction.delete_document(READING, &reading.name).await?;
        }
    }
    transaction.commit().await?;
    Ok(found)
}

#[derive(Serialize, Deserialize)]
struct SavedQuery {
    path: String,
}

/// Finds what the query of a name asks a controller; `None` when it was never captured live.
///
/// # Errors
///
/// Those of the store, and [`Error::Source`] when the record is damaged.
pub async fn query(store: &dyn ReadRecords, name: &str) -> Result<Option<ApicQuery>> {
    let documents = store.documents(QUERY).await?;
    let Some(found) = documents.into_iter().find(|document| document.name == name) else { return Ok(None) };
    let damaged = |problem: String| Error::Source { origin: format!("query {name:?}"), problem, source: None };
    let saved: SavedQuery =
        serde_json::from_str(&found.body).map_err(|error| damaged(format!("its record is damaged: {error}")))?;
    saved.path.parse().map(Some).map_err(|error: ApicError| damaged(error.to_string()))
}

/// A live capture in the making: whom to ask, what, and how it could be read before.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct LiveCapture {
    /// The connection to the controller.
    pub client: Client,
    /// What it is asked.
    pub query: ApicQuery,
    /// How.
    pub options: LiveOptions,
    name: String,
    connection: Option<String>,
    is_new: bool,
}

impl LiveCapture {
    /// Looks up everything that a capture of the query `name` needs.
    ///
    /// `asked` is what to ask when the query is new, or to replace what it asked before, which `replace` must
    /// allow: snapshots of one name should answer one question.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`](fabrik_core::ErrorKind::InvalidInput) when the connection is unknown, its secret
    /// cannot be opened, or it is not clear what to ask.
    pub async fn prepare(
        store: &dyn ReadRecords,
        vault: &Vault,
        connection: &SavedConnection,
        name: &str,
        asked: Option<ApicQuery>,
        replace: bool,
    ) -> Result<Self> {
        let client =
            connection.credentials(vault).and_then(|credentials| Client::new(connection.options(), credentials));
        let client = client.map_err(|error| as_error(error, &connection.url))?;
        Self::with_client(store, client, Some(&connection.name), name, asked, replace).await
    }

    /// Does what [`prepare`](Self::prepare) does for a controller that need not be saved. Without the name of a
    /// connection nothing is known or kept of how the query could be read.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`](fabrik_core::ErrorKind::InvalidInput) when it is not clear what to ask.
    pub async fn with_client(
        store: &dyn ReadRecords,
        client: Client,
        connection: Option<&str>,
        name: &str,
        asked: Option<ApicQuery>,
        replace: bool,
    ) -> Result<Self> {
        let known = query(store, name).await?;
        let is_new = asked.is_some() && asked != known;
        let query = match (asked, known) {
            (Some(asked), Some(known)) if asked != known && !replace => {
                let expected = format!("{known}, which this query has asked so far, or the wish to replace it");
                return Err(Error::InvalidArgument { field: "path", value: asked.to_string(), expected });
            }
            (Some(asked), _) => asked,
            (None, Some(known)) => known,
            (None, None) => {
                let expected = "a query that was captured live before, or with it a class or a path to ask for";
                let (field, value) = ("query", name.to_owned());
                return Err(Error::InvalidArgument { field, value, expected: expected.to_owned() });
            }
        };
        query.check_whole().map_err(|error| as_error(error, client.url()))?;
        let mut options = LiveOptions::default();
        if let Some(connection) = connection {
            let learned = reading_name(connection, &query);
            let learned = store.documents(READING).await?.into_iter().find(|document| document.name == learned);
            // What cannot be read is learned again.
            options.learned = learned.and_then(|document| serde_json::from_str(&document.body).ok());
        }
        let (name, connection) = (name.to_owned(), connection.map(str::to_owned));
        Ok(Self { client, query, options, name, connection, is_new })
    }

    /// Starts to read.
    ///
    /// # Errors
    ///
    /// [`ApicError::InvalidOption`] when the options are not allowed.
    pub fn start(&self, runtime: &Handle) -> ApicResult<LiveSource> {
        LiveSource::start(&self.client, &self.query, &self.options, runtime)
    }

    /// Keeps what the query asks and how it could be read, for the next time.
    ///
    /// # Errors
    ///
    /// Those of the store.
    pub async fn remember(&self, store: &dyn Store, learned: Option<Learned>) -> Result<()> {
        let reading = self.connection.as_deref().map(|connection| reading_name(connection, &self.query));
        if !self.is_new && (reading.is_none() || learned == self.options.learned) {
            return Ok(());
        }
        let mut transaction = store.begin().await?;
        if self.is_new {
            let saved = SavedQuery { path: self.query.to_string() };
            transaction.put_document(&document(QUERY, &self.name, to_json(&saved))).await?;
        }
        match (reading, learned) {
            (Some(reading), Some(learned)) => {
                transaction.put_document(&document(READING, &reading, to_json(&learned))).await?;
            }
            (Some(reading), None) => drop(transaction.delete_document(READING, &reading).await?),
            (None, _) => {}
        }
        transaction.commit().await
    }
}

fn as_error(error: ApicError, url: &str) -> Error {
    match error {
        ApicError::InvalidOption { field, value, expected } => Error::InvalidArgument { field, value, expected },
        error => error.into_source_error(url),
    }
}

fn reading_name(connection: &str, query: &ApicQuery) -> String {
    format!("{connection} {}", query.subject())
}

fn document(kind: &str, name: &str, body: String) -> Document {
    Document { kind: kind.to_owned(), name: name.to_owned(), body }
}

fn to_json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("names, numbers and texts have a JSON form")
}
