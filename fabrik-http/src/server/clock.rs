//! The one place where the server reads the time, so that tests can move it.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use chrono::{DateTime, SubsecRound, Utc};

/// What counts as now. Clones show the same time.
#[derive(Clone, Debug)]
pub struct Clock(Arc<Hands>);

#[derive(Debug)]
enum Hands {
    System { started: Instant },
    Manual { start: DateTime<Utc>, moved_micros: AtomicI64 },
}

impl Clock {
    /// Returns the clock of the machine.
    #[must_use]
    pub fn system() -> Self {
        Self(Arc::new(Hands::System { started: Instant::now() }))
    }

    /// Returns a clock that stands at `start` until it is moved.
    #[must_use]
    pub fn manual(start: DateTime<Utc>) -> Self {
        Self(Arc::new(Hands::Manual { start, moved_micros: AtomicI64::new(0) }))
    }

    /// Moves a manual clock forward; the clock of the machine moves by itself.
    pub fn advance(&self, by: Duration) {
        if let Hands::Manual { moved_micros, .. } = &*self.0 {
            moved_micros.fetch_add(i64::try_from(by.as_micros()).unwrap_or(i64::MAX), Ordering::SeqCst);
        }
    }

    /// Returns now, in whole microseconds: what every database keeps unchanged.
    #[must_use]
    pub fn now(&self) -> DateTime<Utc> {
        match &*self.0 {
            Hands::System { .. } => DateTime::<Utc>::from(SystemTime::now()).trunc_subsecs(6),
            Hands::Manual { start, .. } => *start + self.elapsed(),
        }
    }

    /// Returns the time since this clock was made, which never runs backwards.
    pub(crate) fn elapsed(&self) -> Duration {
        match &*self.0 {
            Hands::System { started } => started.elapsed(),
            Hands::Manual { moved_micros, .. } => {
                Duration::from_micros(u64::try_from(moved_micros.load(Ordering::SeqCst)).unwrap_or(0))
            }
        }
    }
}

impl governor::clock::Clock for Clock {
    type Instant = Duration;

    fn now(&self) -> Duration {
        self.elapsed()
    }
}
