//! What handlers work with.

use std::sync::Arc;

use fabrik_core::store::Store;
use secrecy::ExposeSecret;
use tokio::sync::watch;

use super::caller::Callers;
use super::clock::Clock;
use super::connections::Controllers;
use super::db::{Database, DbError};
use super::events::Events;
use super::mail::Post;
use super::metrics::Metrics;
use super::passwords::Passwords;
use super::registry::{Api, Route};
use super::schedules::{self, Runner};
use super::seal::SealKey;
use super::settings::Settings;
use super::throttle::Throttles;
use super::time_machine::KeyIndexes;
use super::tokens::TokenKey;
use super::webhooks::Courier;
use super::{audit, first, folding, permissions, secrets};

/// The state of a server. Clones share it.
#[derive(Clone, Debug)]
pub struct AppState(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    settings: Settings,
    clock: Clock,
    db: Database,
    store: Arc<dyn Store>,
    api: Api,
    throttles: Throttles,
    passwords: Passwords,
    token_key: TokenKey,
    seal_key: SealKey,
    callers: Callers,
    events: Events,
    post: Post,
    courier: Courier,
    controllers: Controllers,
    key_indexes: KeyIndexes,
    runner: Runner,
    metrics: Metrics,
    is_stopping: watch::Sender<bool>,
}

impl AppState {
    /// Connects to the database, brings it up to date, and makes what a first start needs.
    ///
    /// # Errors
    ///
    /// A database that cannot be reached, written or brought up to date.
    pub async fn open(settings: Settings, store: Arc<dyn Store>, clock: Clock) -> Result<Self, DbError> {
        let (api, _) = super::routes::registry().finish();
        Self::open_with(settings, store, clock, api).await
    }

    /// Opens a server that serves other routes than ours.
    pub(crate) async fn open_with(
        settings: Settings,
        store: Arc<dyn Store>,
        clock: Clock,
        api: Api,
    ) -> Result<Self, DbError> {
        let db = settings.database.connect().await?;
        let signing_key = match &settings.secret_key {
            Some(key) => key.expose_secret().as_bytes().to_vec(),
            None => secrets::signing_key(&db, &clock).await?,
        };
        folding::fill(&db).await?;
        audit::begin_chain(&db).await?;
        permissions::declare(&db, api.codenames()).await?;
        let inner = Inner {
            throttles: Throttles::new(&settings.rates, &clock),
            passwords: Passwords::new(settings.password_threads),
            token_key: TokenKey::new(&signing_key),
            seal_key: SealKey::new(&signing_key),
            callers: Callers::default(),
            events: Events::new(settings.connections),
            post: Post::new(&settings),
            courier: Courier::new(&settings),
            controllers: Controllers::default(),
            key_indexes: KeyIndexes::default(),
            runner: Runner::default(),
            metrics: if settings.metrics { Metrics::of_process() } else { Metrics::off() },
            is_stopping: watch::Sender::new(false),
            settings,
            clock,
            db,
            store,
            api,
        };
        let state = Self(Arc::new(inner));
        first::make_groups(&state).await?;
        schedules::make_tasks(&state).await?;
        Ok(state)
    }

    /// Returns what the server was told.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.0.settings
    }

    /// Returns what counts as now.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.0.clock
    }

    /// Returns where the server's own state is.
    pub(crate) fn db(&self) -> &Database {
        &self.0.db
    }

    /// Returns where snapshots are.
    pub(crate) fn store(&self) -> &Arc<dyn Store> {
        &self.0.store
    }

    /// Returns the routes as they were declared.
    pub(crate) fn api(&self) -> &Api {
        &self.0.api
    }

    /// Returns who may ask how often.
    pub(crate) fn throttles(&self) -> &Throttles {
        &self.0.throttles
    }

    /// Returns what hashes and checks passwords.
    pub(crate) fn passwords(&self) -> &Passwords {
        &self.0.passwords
    }

    /// Returns what tokens are signed with.
    pub(crate) fn token_key(&self) -> &TokenKey {
        &self.0.token_key
    }

    /// Returns what secrets are sealed with.
    pub(crate) fn seal_key(&self) -> &SealKey {
        &self.0.seal_key
    }

    /// Returns who asked lately.
    pub(crate) fn callers(&self) -> &Callers {
        &self.0.callers
    }

    /// Returns what connected clients are told by.
    pub(crate) fn events(&self) -> &Events {
        &self.0.events
    }

    /// Returns what mail leaves by.
    pub(crate) fn post(&self) -> &Post {
        &self.0.post
    }

    /// Returns what calls webhooks.
    pub(crate) fn courier(&self) -> &Courier {
        &self.0.courier
    }

    /// Returns what works on scheduled tasks.
    pub(crate) fn runner(&self) -> &Runner {
        &self.0.runner
    }

    /// Returns the sessions with controllers.
    pub(crate) fn controllers(&self) -> &Controllers {
        &self.0.controllers
    }

    /// Returns the DNs of snapshots that were searched lately.
    pub(crate) fn key_indexes(&self) -> &KeyIndexes {
        &self.0.key_indexes
    }

    /// Returns the figures.
    pub(crate) fn metrics(&self) -> &Metrics {
        &self.0.metrics
    }

    /// Says that the server takes no more work.
    pub(crate) fn stop(&self) {
        self.0.is_stopping.send_replace(true);
    }

    /// Returns whether the server takes no more work.
    pub(crate) fn is_stopping(&self) -> bool {
        *self.0.is_stopping.borrow()
    }

    /// Waits until the server takes no more work.
    pub(crate) async fn stopped(&self) {
        // It only fails when this state is gone, which it is not.
        let _ = self.0.is_stopping.subscribe().wait_for(|is_stopping| *is_stopping).await;
    }

    /// Builds the routes that this state was opened with.
    pub(crate) fn mount(&self, routes: Vec<Route>) -> axum::Router<Self> {
        super::registry::mount(routes, self)
    }
}
