//! Calling work off: a flag that ends it at its next call of a store or a source.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Poll, Waker};

use async_trait::async_trait;

use crate::error::{Error, Result};
use crate::row::RowBatch;
use crate::snapshot::{Coverage, Verdict};
use crate::source::{Source, SourceProgress};

/// A flag that calls work off. Clones are the same flag, which is never taken back: each piece of work has its own.
///
/// [`CancellableStore`](crate::store::CancellableStore) and [`CancellableSource`] watch it for the engine, which then
/// ends with an error of kind [`Cancelled`](crate::ErrorKind::Cancelled) and leaves the store as it was. A commit that
/// has begun is finished.
#[derive(Clone, Debug, Default)]
pub struct Cancel(Arc<State>);

#[derive(Debug, Default)]
struct State {
    is_cancelled: AtomicBool,
    /// Whoever waits for something else meanwhile.
    wakers: Mutex<Vec<Waker>>,
}

impl Cancel {
    /// Calls the work off. Again changes nothing.
    pub fn cancel(&self) {
        self.0.is_cancelled.store(true, Ordering::SeqCst);
        let wakers = std::mem::take(&mut *self.0.wakers.lock().unwrap_or_else(PoisonError::into_inner));
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Returns whether the work was called off.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.0.is_cancelled.load(Ordering::SeqCst)
    }

    /// Refuses to go on once the work was called off.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Cancelled`](crate::ErrorKind::Cancelled).
    pub fn check(&self) -> Result<()> {
        if self.is_cancelled() { Err(Error::Cancelled) } else { Ok(()) }
    }

    /// Does some work unless it was called off; what waits when that happens is dropped.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Cancelled`](crate::ErrorKind::Cancelled), and what the work fails with.
    pub async fn watch<T>(&self, work: impl Future<Output = Result<T>> + Send) -> Result<T> {
        self.check()?;
        let mut work = pin!(work);
        poll_fn(|context| match work.as_mut().poll(context) {
            Poll::Ready(result) => Poll::Ready(result),
            Poll::Pending => {
                self.wake(context.waker());
                // Looked at after the waker is known, so that a flag set in between is not missed.
                self.check().map_or_else(|error| Poll::Ready(Err(error)), |()| Poll::Pending)
            }
        })
        .await
    }

    /// Lets [`cancel`](Self::cancel) wake the task as well.
    fn wake(&self, waker: &Waker) {
        let mut wakers = self.0.wakers.lock().unwrap_or_else(PoisonError::into_inner);
        if !wakers.iter().any(|known| known.will_wake(waker)) {
            wakers.push(waker.clone());
        }
    }
}

/// Hands every call on to another source until the work is called off.
#[derive(Debug)]
pub struct CancellableSource<'s> {
    inner: &'s mut dyn Source,
    cancel: Cancel,
}

impl<'s> CancellableSource<'s> {
    /// Watches `cancel` between batches, and while the source waits for one.
    pub fn new(inner: &'s mut dyn Source, cancel: Cancel) -> Self {
        Self { inner, cancel }
    }
}

#[async_trait]
impl Source for CancellableSource<'_> {
    async fn next_batch(&mut self) -> Result<Option<RowBatch>> {
        self.cancel.watch(self.inner.next_batch()).await
    }

    fn has_started_over(&mut self) -> bool {
        self.inner.has_started_over()
    }

    fn verdict(&self) -> Verdict {
        self.inner.verdict()
    }

    fn coverage(&self) -> Coverage {
        self.inner.coverage()
    }

    fn progress(&self) -> SourceProgress {
        self.inner.progress()
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::sync::mpsc;
    use std::thread;

    use pollster::block_on;

    use super::*;
    use crate::error::ErrorKind;

    #[test]
    fn work_goes_on_until_it_is_called_off() {
        let cancel = Cancel::default();

        let before = block_on(cancel.watch(async { Ok(7) })).unwrap();
        cancel.clone().cancel();
        let after = block_on(cancel.watch(async { Ok(7) })).unwrap_err();

        assert_eq!((before, after.kind()), (7, ErrorKind::Cancelled));
    }

    #[test]
    fn work_that_waits_for_ever_ends_when_it_is_called_off() {
        let cancel = Cancel::default();
        let (started, waits) = mpsc::channel();
        let waiting = {
            let cancel = cancel.clone();
            let work = async move {
                started.send(()).unwrap();
                pending::<Result<()>>().await
            };
            thread::spawn(move || block_on(cancel.watch(work)))
        };
        waits.recv().unwrap();

        cancel.cancel();

        assert_eq!(waiting.join().unwrap().unwrap_err().kind(), ErrorKind::Cancelled);
    }
}
