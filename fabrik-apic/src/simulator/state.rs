//! What all requests of a simulator share.
//!
//! Locks are taken in the order of the fields: who holds the one of the fabric may take that of the
//! subscriptions, and nobody waits for the fabric while holding another.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use chrono::DateTime;

use super::clock::Clock;
use super::error::ApicError;
use super::event::Event;
use super::failure::SimulatorError;
use super::fault::Rules;
use super::mit::{Author, FabricOptions, Mit};
use super::options::SimulatorOptions;
use super::query::Request;
use super::served::RequestLog;
use super::session::Sessions;
use super::signature::Signers;
use super::subscription::Subscriptions;
use super::throttle::Throttle;
use crate::demo::Churn;

/// A simulator without its socket.
pub(super) struct State {
    mit: RwLock<Mit>,
    sessions: Mutex<Sessions>,
    subscriptions: Mutex<Subscriptions>,
    /// How often the state of each unfinished change is still "in progress".
    pub(super) pending: Mutex<HashMap<u64, usize>>,
    pub(super) options: SimulatorOptions,
    pub(super) address: SocketAddr,
    pub(super) clock: Clock,
    pub(super) signers: Signers,
    pub(super) rules: Rules,
    pub(super) throttle: Throttle,
    pub(super) log: RequestLog,
}

impl State {
    pub(super) fn new(options: SimulatorOptions, address: SocketAddr) -> Result<Self, SimulatorError> {
        let start = options.start.unwrap_or_else(|| DateTime::from(SystemTime::now()));
        let fabric = FabricOptions { seed: options.seed, objects: options.objects, start };
        Ok(Self {
            mit: RwLock::new(Mit::generate(&fabric)),
            sessions: Mutex::new(Sessions::new(options.refresh_timeout, options.maximum_lifetime)),
            subscriptions: Mutex::new(Subscriptions::new()),
            pending: Mutex::default(),
            address,
            clock: Clock::new(start),
            signers: Signers::new(&options.users)?,
            rules: Rules::default(),
            throttle: Throttle::new(&options),
            log: RequestLog::default(),
            options,
        })
    }

    pub(super) fn mit(&self) -> RwLockReadGuard<'_, Mit> {
        self.mit.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn sessions(&self) -> MutexGuard<'_, Sessions> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn subscriptions(&self) -> MutexGuard<'_, Subscriptions> {
        self.subscriptions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn now(&self) -> Duration {
        self.clock.uptime()
    }

    /// Returns who changes the fabric now, which is never before anything that has happened in it.
    pub(super) fn author(&self, user: &str, session_id: &str) -> Author {
        let at = self.clock.fabric_time().max(self.mit().now());
        Author { user: user.to_owned(), session_id: session_id.to_owned(), at }
    }

    /// Answers a query as a whole body.
    pub(super) fn answer(&self, path: &str, query: Option<&str>) -> Result<Bytes, ApicError> {
        let request = Request::parse(path, query)?;
        Ok(self.mit().query(&request, usize::MAX)?.into_bytes(None))
    }

    /// Changes the fabric and tells the subscribers, before anybody can see the change.
    pub(super) fn change(
        &self,
        change: impl FnOnce(&mut Mit) -> Result<Vec<Event>, ApicError>,
    ) -> Result<Vec<Event>, ApicError> {
        let mut mit: RwLockWriteGuard<'_, Mit> = self.mit.write().unwrap_or_else(PoisonError::into_inner);
        let events = change(&mut mit)?;
        self.subscriptions().publish(&events, self.now());
        Ok(events)
    }

    /// Lets the fabric catch up with its clock, and returns how many objects changed.
    pub(super) fn churn(&self, churn: &Churn) -> usize {
        let to = self.clock.fabric_time();
        self.change(|mit| Ok(mit.advance(to, churn))).map_or(0, |events| events.len())
    }

    /// Notes a change whose state is "in progress" for so many questions, and returns its number.
    pub(super) fn begin_pending(&self, polls: usize) -> u64 {
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        let id = pending.keys().max().map_or(1, |last| last + 1);
        pending.insert(id, polls);
        id
    }

    /// Ends all sessions and what belongs to them.
    pub(super) fn expire_tokens(&self) {
        self.sessions().close_all();
        self.sweep();
    }

    /// Forgets what is over: tokens, and the subscriptions and websockets of sessions without one.
    pub(super) fn sweep(&self) {
        let now = self.now();
        let mut sessions = self.sessions();
        sessions.sweep(now);
        self.subscriptions().sweep(now, |session| sessions.is_open(session, now));
    }
}
