//! The time of the simulator: it passes by itself, and tests can push it on.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};

/// Two times that start together: the one sessions live by, and the one of the fabric.
///
/// They are apart so that a test can let a month pass in the fabric without being logged out by it.
#[derive(Debug)]
pub(super) struct Clock {
    origin: Instant,
    start: DateTime<Utc>,
    sessions_ahead_ms: AtomicU64,
    fabric_ahead_ms: AtomicU64,
}

impl Clock {
    pub(super) fn new(start: DateTime<Utc>) -> Self {
        Self { origin: Instant::now(), start, sessions_ahead_ms: AtomicU64::new(0), fabric_ahead_ms: AtomicU64::new(0) }
    }

    /// Returns how long the simulator has been running, for the ends of tokens and subscriptions.
    pub(super) fn uptime(&self) -> Duration {
        self.origin.elapsed() + Duration::from_millis(self.sessions_ahead_ms.load(Ordering::Relaxed))
    }

    /// Returns the moment the fabric is at.
    pub(super) fn fabric_time(&self) -> DateTime<Utc> {
        self.moment(self.origin.elapsed() + Duration::from_millis(self.fabric_ahead_ms.load(Ordering::Relaxed)))
    }

    /// Returns the moment that is `uptime` after the start.
    pub(super) fn moment(&self, uptime: Duration) -> DateTime<Utc> {
        let since = TimeDelta::from_std(uptime).unwrap_or(TimeDelta::MAX);
        self.start.checked_add_signed(since).unwrap_or(DateTime::<Utc>::MAX_UTC)
    }

    pub(super) fn advance_sessions(&self, by: Duration) {
        self.sessions_ahead_ms.fetch_add(millis(by), Ordering::Relaxed);
    }

    pub(super) fn advance_fabric(&self, by: Duration) {
        self.fabric_ahead_ms.fetch_add(millis(by), Ordering::Relaxed);
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
