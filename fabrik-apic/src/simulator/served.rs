//! What the simulator was asked, for the assertions of tests.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

/// One request and the status of its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Served {
    /// The method.
    pub method: String,
    /// Path and query as they came, without the token of a websocket.
    pub target: String,
    /// The HTTP status.
    pub status: u16,
    /// What was tolerated in the request but should not be in it.
    pub warnings: Vec<String>,
}

/// The newest requests, and how many were under way at once.
#[derive(Debug, Default)]
pub(super) struct RequestLog {
    served: Mutex<VecDeque<Served>>,
    now: AtomicUsize,
    most: AtomicUsize,
}

impl RequestLog {
    const CAPACITY: usize = 50_000;

    pub(super) fn push(&self, served: Served) {
        let mut log = self.served.lock().unwrap_or_else(PoisonError::into_inner);
        if log.len() == Self::CAPACITY {
            log.pop_front();
        }
        log.push_back(served);
    }

    pub(super) fn requests(&self) -> Vec<Served> {
        self.served.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    pub(super) fn clear(&self) {
        self.served.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.most.store(self.now.load(Ordering::Relaxed), Ordering::Relaxed);
    }

    /// Counts a request as under way until the guard goes.
    pub(super) fn enter(&self) -> UnderWay<'_> {
        let now = self.now.fetch_add(1, Ordering::Relaxed) + 1;
        self.most.fetch_max(now, Ordering::Relaxed);
        UnderWay { log: self }
    }

    pub(super) fn most_at_once(&self) -> usize {
        self.most.load(Ordering::Relaxed)
    }
}

/// A request that has no answer yet.
pub(super) struct UnderWay<'l> {
    log: &'l RequestLog,
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.log.now.fetch_sub(1, Ordering::Relaxed);
    }
}
