//! What every command works with: the store, the time, and where results go.

use std::sync::Arc;
use std::time::SystemTime;

use chrono::{DateTime, Utc};
use fabrik_core::explain_damage;
use fabrik_core::store::{OpenMode, Store};

use super::exit::Failure;
use super::output::Output;
use super::place::StorePlace;

/// One run of the command.
#[derive(Debug)]
pub(super) struct Session {
    /// Where results go.
    pub(super) out: Output,
    /// What counts as now.
    pub(super) now: DateTime<Utc>,
    place: StorePlace,
    opened: Option<Arc<dyn Store>>,
    /// The place as it was given on the command line; the server has other ways to be told.
    store_flag: Option<String>,
}

impl Session {
    /// Starts a run that prints to standard output.
    pub(super) fn new(place: StorePlace, now: Option<DateTime<Utc>>, no_color: bool) -> Self {
        let now = now.unwrap_or_else(|| DateTime::from(SystemTime::now()));
        Self { out: Output::stdout(no_color), now, place, opened: None, store_flag: None }
    }

    /// Notes the place as it was given on the command line, if it was.
    pub(super) fn with_store_flag(mut self, flag: Option<String>) -> Self {
        self.store_flag = flag;
        self
    }

    /// Returns the place where it was given on the command line.
    pub(super) fn store_flag(&self) -> Option<&str> {
        self.store_flag.as_deref()
    }

    /// Returns where the store is.
    pub(super) fn place(&self) -> &StorePlace {
        &self.place
    }

    /// Opens the store, which must be there.
    pub(super) fn open(&mut self) -> Result<Arc<dyn Store>, Failure> {
        self.open_as(OpenMode::Existing)
    }

    /// Opens the store and makes it where there is none.
    pub(super) fn open_or_create(&mut self) -> Result<Arc<dyn Store>, Failure> {
        self.open_as(OpenMode::Create)
    }

    /// The store opened first serves the whole run, so that one in memory lasts as long.
    fn open_as(&mut self, mode: OpenMode) -> Result<Arc<dyn Store>, Failure> {
        if let Some(opened) = &self.opened {
            return Ok(Arc::clone(opened));
        }
        let store = self.place.open(mode, 0)?;
        self.opened = Some(Arc::clone(&store));
        Ok(store)
    }

    /// Adds to a damaged chunk the snapshots that it hurts.
    pub(super) async fn explain(&self, failure: Failure) -> Failure {
        match (failure, &self.opened) {
            (Failure::Engine(error), Some(store)) => Failure::Engine(explain_damage(&**store, error).await),
            (failure, _) => failure,
        }
    }
}
