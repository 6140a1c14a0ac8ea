//! Work of the engine, which may block the thread that it runs on.

use std::future::{Future, pending};
use std::io::{self, Write};
use std::pin::pin;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::http::StatusCode;
use fabrik_core::store::{CancellableStore, Store};
use fabrik_core::{Cancel, Error, ErrorKind};
use futures_util::future::{Either, select};
use futures_util::{StreamExt, stream};
use tokio::sync::mpsc;

use super::error::ApiError;
use super::state::AppState;

/// How many pieces of an answer wait for a client that is slow to take them.
const PIECES: usize = 4;
/// How large a piece is, but for the last.
const PIECE_BYTES: usize = 64 << 10;

impl AppState {
    /// Does work of the engine where it may block. Where the caller goes away, it ends at its next call of the store, or
    /// when it next waits for something else.
    ///
    /// # Errors
    ///
    /// What the work fails with.
    pub(crate) async fn engine<T, W, F>(&self, work: W) -> Result<T, ApiError>
    where
        W: FnOnce(Arc<dyn Store>) -> F + Send + 'static,
        F: Future<Output = Result<T, ApiError>>,
        T: Send + 'static,
    {
        // Dropped with this call: nobody waits for the result then.
        let wanted = Wanted::default();
        let (store, cancel) = (self.store_while(&wanted), wanted.0.clone());
        let span = tracing::Span::current();
        let running = tokio::task::spawn_blocking(move || {
            let _entered = span.enter();
            pollster::block_on(unless(cancel, work(store)))
        });
        match running.await {
            Ok(Some(result)) => result,
            Ok(None) => Err(Error::Cancelled.into()),
            Err(error) => Err(ApiError::Internal(error.into())),
        }
    }

    /// Returns the store for work that ends once its result is not wanted any more.
    fn store_while(&self, wanted: &Wanted) -> Arc<dyn Store> {
        Arc::new(CancellableStore::new(Arc::clone(self.store()), wanted.0.clone()))
    }

    /// Returns the body of an answer that work of the engine writes while the client takes it.
    ///
    /// The work is slowed down to the client's pace and ends when the client is gone. An answer that has begun can only
    /// break off when the work fails, so that the client sees that it is not whole.
    pub(crate) fn engine_body<W, F>(&self, work: W) -> Body
    where
        W: FnOnce(Arc<dyn Store>, Pieces) -> F + Send + 'static,
        F: Future<Output = Result<Pieces, ApiError>>,
    {
        let wanted = Wanted::default();
        let (store, cancel) = (self.store_while(&wanted), wanted.0.clone());
        let (sender, receiver) = mpsc::channel(PIECES);
        let span = tracing::Span::current();
        tokio::task::spawn_blocking(move || {
            let _entered = span.enter();
            let pieces = Pieces { sender: sender.clone(), buffer: Vec::with_capacity(PIECE_BYTES) };
            // Nothing comes of work that the client does not want any more.
            let Some(finished) = pollster::block_on(unless(cancel, work(store, pieces))) else {
                return;
            };
            let finished = finished.and_then(|mut pieces| Ok(pieces.flush()?));
            if let Err(error) = finished
                && !sender.is_closed()
            {
                tracing::error!(?error, "an answer broke off");
                // Nobody is left to tell when this fails.
                let _ = sender.blocking_send(Err(io::Error::other("the answer broke off")));
            }
        });
        let pieces = stream::unfold((receiver, wanted), |(mut receiver, wanted)| async move {
            let piece: io::Result<Bytes> = receiver.recv().await?;
            Some((piece, (receiver, wanted)))
        });
        // What packs an answer asks again after its end.
        Body::from_stream(pieces.fuse())
    }
}

/// Held by whoever wants the result of some work; the work is called off when it is dropped.
#[derive(Debug, Default)]
struct Wanted(Cancel);

impl Drop for Wanted {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

/// Does some work unless it is called off: then it is dropped when it next waits, and there is nothing.
async fn unless<T>(cancel: Cancel, work: impl Future<Output = T>) -> Option<T> {
    match select(pin!(work), pin!(cancel.watch(pending::<fabrik_core::Result<()>>()))).await {
        Either::Left((result, _)) => Some(result),
        Either::Right(_) => None,
    }
}

/// Where the body of an answer is written, piece by piece.
#[derive(Debug)]
pub(crate) struct Pieces {
    sender: mpsc::Sender<io::Result<Bytes>>,
    buffer: Vec<u8>,
}

impl Pieces {
    /// Sends what `write` appended once it is enough for a piece.
    ///
    /// # Errors
    ///
    /// The client is gone.
    pub(crate) fn append(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> io::Result<()> {
        write(&mut self.buffer);
        if self.buffer.len() < PIECE_BYTES { Ok(()) } else { self.flush() }
    }
}

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.append(|buffer| buffer.extend_from_slice(bytes))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let piece = std::mem::replace(&mut self.buffer, Vec::with_capacity(PIECE_BYTES));
        let gone = |_| io::Error::new(io::ErrorKind::BrokenPipe, "the client is gone");
        self.sender.blocking_send(Ok(piece.into())).map_err(gone)
    }
}

impl From<io::Error> for ApiError {
    fn from(error: io::Error) -> Self {
        Self::Internal(error.into())
    }
}

impl From<Error> for ApiError {
    /// Tells a client what it can do about it, and hides the rest.
    fn from(error: Error) -> Self {
        let unavailable = |status, detail, error| Self::Unavailable { status, detail, error };
        match (error.kind(), &error) {
            (_, Error::InvalidArgument { field, value, expected }) => {
                Self::field(&field.replace(' ', "_"), format!("{value:?} is not valid: expected {expected}."))
            }
            (ErrorKind::NotFound, _) => Self::NotFound,
            (_, Error::Source { .. }) => {
                unavailable(StatusCode::BAD_GATEWAY, super::error::chain(&error).into(), "source_failed")
            }
            (ErrorKind::InvalidInput | ErrorKind::Ambiguous, _) => Self::BadRequest(error.to_string().into()),
            (ErrorKind::Locked, _) => unavailable(
                StatusCode::SERVICE_UNAVAILABLE,
                "Somebody else is writing to the store of snapshots. Try again.".into(),
                "store_locked",
            ),
            (ErrorKind::StorageFull, _) => {
                unavailable(StatusCode::SERVICE_UNAVAILABLE, "No space is left for snapshots.".into(), "storage_full")
            }
            (ErrorKind::Cancelled, _) => {
                unavailable(StatusCode::SERVICE_UNAVAILABLE, "The work was interrupted.".into(), "cancelled")
            }
            _ => Self::Internal(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};
    use std::time::{Duration, Instant};

    use axum::body::to_bytes;
    use fabrik_core::store::{MemoryStore, OpenMode, SqliteStore};

    use super::*;
    use crate::server::Clock;
    use crate::server::settings::{Layers, Origin, Settings};

    /// How long work goes on that nobody calls off, so that a test which fails ends.
    const LONGEST: Duration = Duration::from_secs(20);

    async fn states() -> Vec<(AppState, Option<tempfile::TempDir>)> {
        let folder = tempfile::tempdir().unwrap();
        let file = SqliteStore::open(folder.path().join("lab.db"), OpenMode::Create).unwrap();
        let stores: [(Arc<dyn Store>, _); 2] =
            [(Arc::new(MemoryStore::default()), None), (Arc::new(file), Some(folder))];
        let mut states = Vec::new();
        for (store, folder) in stores {
            let mut layers = Layers::defaults();
            layers.set("database", "memory:", Origin::Default).unwrap();
            let settings = Settings::from_layers(&layers).unwrap();
            states.push((AppState::open(settings, store, Clock::system()).await.unwrap(), folder));
        }
        states
    }

    /// Asks a store that never waits again and again, and tells how it began and how it ended.
    async fn ask(store: Arc<dyn Store>, begun: Sender<()>) -> Result<(), ApiError> {
        let started = Instant::now();
        while started.elapsed() < LONGEST {
            store.queries().await?;
            let _ = begun.send(());
        }
        Ok(())
    }

    /// Returns whether work was called off.
    fn was_called_off(ended: &Receiver<Result<(), ApiError>>) -> bool {
        matches!(ended.recv().unwrap(), Err(ApiError::Unavailable { error: "cancelled", .. }))
    }

    #[tokio::test]
    async fn work_on_a_store_that_never_waits_ends_with_who_asked_for_it() {
        for (state, _folder) in states().await {
            let ((begun, begins), (ending, ended)) = (channel(), channel());
            let asking = tokio::spawn(async move {
                let work = move |store| async move {
                    let result = ask(store, begun).await;
                    ending.send(result).unwrap();
                    Ok(())
                };
                state.engine(work).await
            });
            while begins.try_recv().is_err() {
                tokio::task::yield_now().await;
            }

            asking.abort();
            let _ = asking.await;

            assert!(was_called_off(&ended));
        }
    }

    #[tokio::test]
    async fn work_for_an_answer_ends_when_nobody_takes_it() {
        for (state, _folder) in states().await {
            let ((begun, begins), (ending, ended)) = (channel(), channel());
            let body = state.engine_body(move |store, mut pieces| async move {
                pieces.write_all(b"first")?;
                pieces.flush()?;
                let result = ask(store, begun).await;
                ending.send(result).unwrap();
                Ok(pieces)
            });
            let mut stream = body.into_data_stream();
            assert_eq!(stream.next().await.unwrap().unwrap(), "first");
            begins.recv().unwrap();

            drop(stream);

            assert!(was_called_off(&ended));
        }
    }

    #[tokio::test]
    async fn work_that_waits_for_something_else_ends_too() {
        let (state, _folder) = states().await.swap_remove(0);
        let ((begun, begins), (held, ended)) = (channel::<()>(), channel::<()>());
        let asking = tokio::spawn(async move {
            let work = move |_| async move {
                let _held = held;
                begun.send(()).unwrap();
                pending::<Result<(), ApiError>>().await
            };
            state.engine(work).await
        });
        while begins.try_recv().is_err() {
            tokio::task::yield_now().await;
        }

        asking.abort();
        let _ = asking.await;

        assert!(ended.recv().is_err(), "it was dropped");
    }

    #[tokio::test]
    async fn an_answer_that_is_taken_is_whole() {
        let (state, _folder) = states().await.swap_remove(0);
        let body = state.engine_body(async move |store, mut pieces| {
            for number in 0..50_000 {
                write!(pieces, "{number},")?;
                if number % 10_000 == 0 {
                    store.queries().await?;
                }
            }
            Ok(pieces)
        });

        let bytes = to_bytes(body, usize::MAX).await.unwrap();

        assert!(bytes.ends_with(b"49998,49999,"));
    }
}
