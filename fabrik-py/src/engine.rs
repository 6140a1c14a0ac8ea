//! Work of the engine, on threads of its own, while Python goes on and listens for signals.

use std::cell::RefCell;
use std::panic::resume_unwind;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use fabrik_core::{Cancel, Error, Result};
use pyo3::prelude::*;
use pyo3::sync::MutexExt;
use pyo3::types::PyList;

use crate::error::{Failure, raise};

/// How long a caller waits before it looks for signals.
const WAKE: Duration = Duration::from_millis(50);
/// How many batches of the engine's own size wait for an iterator that is slow to take them.
pub(crate) const BATCHES: usize = 3;

thread_local! {
    /// What calls off the calls that this thread makes now, where a task does so.
    static CURRENT: RefCell<Option<Cancel>> = const { RefCell::new(None) };
}

/// Calls off what is called through it, from another thread.
#[derive(Debug)]
#[pyclass(name = "Cancel", module = "fabrik._fabrik", frozen)]
pub(crate) struct PyCancel(Cancel);

#[pymethods]
impl PyCancel {
    #[new]
    fn new() -> Self {
        Self(Cancel::default())
    }

    /// Calls the work off; again changes nothing.
    fn cancel(&self) {
        self.0.cancel();
    }

    /// Calls `call` so that `cancel` ends what it does in the engine.
    fn run<'py>(&self, call: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let before = CURRENT.replace(Some(self.0.clone()));
        let result = call.call0();
        CURRENT.set(before);
        result
    }
}

fn current() -> Cancel {
    CURRENT.with_borrow(Clone::clone).unwrap_or_default()
}

/// What the caller's thread does for the work while it waits: what must happen where Python called from.
pub(crate) trait Errand {
    /// Does what the work asked for by its [`Bell`].
    fn answer(&mut self, py: Python<'_>) -> PyResult<()>;

    /// Is called now and then.
    fn tick(&mut self, py: Python<'_>) -> PyResult<()>;

    /// Lets go of the work, which must not wait for an answer any more.
    fn abandon(&mut self);
}

/// Lets the work ask the caller's thread for something.
#[derive(Clone, Debug)]
pub(crate) struct Bell(mpsc::Sender<()>);

impl Bell {
    pub(crate) fn ring(&self) {
        // Nobody listens any more once the work was called off.
        let _ = self.0.send(());
    }
}

/// Does work while the interpreter is released. A signal calls it off; the exception is raised once it has ended.
pub(crate) fn run<T: Send + 'static>(
    py: Python<'_>,
    work: impl FnOnce(Cancel) -> Result<T, Failure> + Send + 'static,
) -> PyResult<T> {
    run_for(py, |_| (None, work))
}

/// Does work that may have errands for the caller's thread.
pub(crate) fn run_for<T, W>(py: Python<'_>, prepare: impl FnOnce(Bell) -> (Option<Box<dyn Errand>>, W)) -> PyResult<T>
where
    T: Send + 'static,
    W: FnOnce(Cancel) -> Result<T, Failure> + Send + 'static,
{
    let cancel = current();
    let (sender, mut receiver) = mpsc::channel();
    let (mut errand, work) = prepare(Bell(sender.clone()));
    let working = {
        let cancel = cancel.clone();
        spawn(move || {
            // Held to the end, which the caller sees when it goes.
            let _sender = sender;
            work(cancel)
        })?
    };
    let mut looked_at = Instant::now();
    let stopped = loop {
        let received;
        (received, receiver) = py.detach(move || (receiver.recv_timeout(WAKE), receiver));
        let mut step = match (received, &mut errand) {
            (Err(RecvTimeoutError::Disconnected), _) => break None,
            (Ok(()), Some(errand)) => errand.answer(py),
            (Ok(()), None) | (Err(RecvTimeoutError::Timeout), _) => Ok(()),
        };
        // Work with many errands leaves no time in which nothing comes.
        if step.is_ok() && looked_at.elapsed() >= WAKE {
            looked_at = Instant::now();
            step = py.check_signals().and_then(|()| errand.as_mut().map_or(Ok(()), |errand| errand.tick(py)));
        }
        if let Err(error) = step {
            cancel.cancel();
            if let Some(errand) = &mut errand {
                errand.abandon();
            }
            break Some(error);
        }
    };
    let result = py.detach(|| working.join());
    match (stopped, result) {
        (Some(error), _) => Err(error),
        (None, Ok(result)) => result.map_err(|failure| raise(py, failure)),
        (None, Err(panic)) => resume_unwind(panic),
    }
}

fn spawn<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> PyResult<JoinHandle<T>> {
    Ok(thread::Builder::new().name("fabrik".to_owned()).spawn(work)?)
}

/// What an iterator takes, a batch at a time, from a thread that makes it ahead. Dropped, it ends the thread.
#[derive(Debug)]
pub(crate) struct Feed<T> {
    receiver: Mutex<mpsc::Receiver<Result<T, Failure>>>,
    making: Mutex<Option<JoinHandle<()>>>,
    cancel: Cancel,
}

/// What an iterator hands out of a [`Feed`]: pieces of its batches, small enough that the garbage collector does not go
/// through them while they are used.
#[derive(Debug)]
pub(crate) struct Pieces<T, M> {
    feed: Feed<Vec<T>>,
    /// The rest of the last batch, and what is kept between pieces.
    held: Mutex<(std::vec::IntoIter<T>, M)>,
}

impl<T: Send + 'static, M: Default> Pieces<T, M> {
    pub(crate) fn of(feed: Feed<Vec<T>>) -> Self {
        Self { feed, held: Mutex::new((Vec::new().into_iter(), M::default())) }
    }

    /// Makes a list of the next items, at most so many; `None` at the end.
    pub(crate) fn next<'py, P: IntoPyObject<'py>>(
        &self,
        py: Python<'py>,
        most: usize,
        mut make: impl FnMut(T, &mut M) -> PyResult<P>,
    ) -> PyResult<Option<Bound<'py, PyList>>> {
        loop {
            {
                let mut held = self.held.lock_py_attached(py).unwrap_or_else(PoisonError::into_inner);
                let (rest, kept) = &mut *held;
                let piece = rest.by_ref().take(most).map(|item| make(item, kept)).collect::<PyResult<Vec<P>>>()?;
                if !piece.is_empty() {
                    return PyList::new(py, piece).map(Some);
                }
            }
            let Some(batch) = self.feed.next(py)? else { return Ok(None) };
            let mut held = self.held.lock_py_attached(py).unwrap_or_else(PoisonError::into_inner);
            // Another thread may have put a batch there meanwhile; its rest comes first.
            let mut items: Vec<T> = std::mem::take(&mut held.0).collect();
            items.extend(batch);
            held.0 = items.into_iter();
        }
    }
}

/// Where the thread of a [`Feed`] puts what it made.
#[derive(Debug)]
pub(crate) struct Sink<T>(mpsc::SyncSender<Result<T, Failure>>);

impl<T> Sink<T> {
    /// Hands over a batch, waiting for room.
    pub(crate) fn send(&self, batch: T) -> Result<()> {
        self.0.send(Ok(batch)).map_err(|_| Error::Cancelled)
    }
}

impl<T: Send + 'static> Feed<T> {
    /// Starts to make batches, of which at most so many wait for an iterator that is slow to take them.
    pub(crate) fn start(
        most_waiting: usize,
        make: impl FnOnce(Cancel, &Sink<T>) -> Result<(), Failure> + Send + 'static,
    ) -> PyResult<Self> {
        let cancel = Cancel::default();
        let (sender, receiver) = mpsc::sync_channel(most_waiting);
        let making = {
            let cancel = cancel.clone();
            spawn(move || {
                let sink = Sink(sender);
                if let Err(failure) = make(cancel, &sink) {
                    // Nobody is left to tell when the iterator is gone.
                    let _ = sink.0.send(Err(failure));
                }
            })?
        };
        Ok(Self { receiver: Mutex::new(receiver), making: Mutex::new(Some(making)), cancel })
    }

    /// Returns the next batch; `None` at the end, and then again.
    pub(crate) fn next(&self, py: Python<'_>) -> PyResult<Option<T>> {
        let task = current();
        loop {
            let received = py.detach(|| {
                let receiver = self.receiver.lock().unwrap_or_else(PoisonError::into_inner);
                receiver.recv_timeout(WAKE)
            });
            match received {
                Ok(Ok(batch)) => return Ok(Some(batch)),
                Ok(Err(failure)) => return Err(raise(py, failure)),
                Err(RecvTimeoutError::Disconnected) => return self.end(py).map(|()| None),
                Err(RecvTimeoutError::Timeout) => {
                    py.check_signals()?;
                    task.check().map_err(|error| raise(py, error.into()))?;
                }
            }
        }
    }

    /// Returns the next batch; `None` at the end. Waits without the interpreter and hears no signals: for a caller that may
    /// be any thread.
    pub(crate) fn next_anywhere(&self) -> Option<Result<T, Failure>> {
        self.receiver.lock().unwrap_or_else(PoisonError::into_inner).recv().ok()
    }

    /// Passes on a panic of the thread, where it ended by one.
    fn end(&self, py: Python<'_>) -> PyResult<()> {
        let making = self.making.lock().unwrap_or_else(PoisonError::into_inner).take();
        match making.map(|making| py.detach(|| making.join())) {
            Some(Err(panic)) => resume_unwind(panic),
            _ => Ok(()),
        }
    }
}

impl<T> Drop for Feed<T> {
    fn drop(&mut self) {
        self.cancel.cancel();
    }
}
