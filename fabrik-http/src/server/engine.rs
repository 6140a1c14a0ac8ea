//! Work of the engine, which may block the thread that it runs on.

use std::future::Future;
use std::io::{self, Write};
use std::pin::pin;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::http::StatusCode;
use fabrik_core::store::Store;
use fabrik_core::{Error, ErrorKind};
use futures_util::future::{Either, select};
use futures_util::stream;
use tokio::sync::{mpsc, oneshot};

use super::error::ApiError;
use super::state::AppState;

/// How many pieces of an answer wait for a client that is slow to take them.
const PIECES: usize = 4;
/// How large a piece is, but for the last.
const PIECE_BYTES: usize = 64 << 10;

impl AppState {
    /// Does work of the engine where it may block. Where the caller goes away, it ends when it next waits for something.
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
        let store = Arc::clone(self.store());
        // Dropped with this call: whoever waits on the other side learns that nobody waits for the result.
        let (_waiting, gone) = oneshot::channel::<()>();
        let span = tracing::Span::current();
        let running = tokio::task::spawn_blocking(move || {
            let _entered = span.enter();
            pollster::block_on(async move {
                match select(pin!(work(store)), gone).await {
                    Either::Left((result, _)) => Some(result),
                    Either::Right(_) => None,
                }
            })
        });
        match running.await {
            Ok(Some(result)) => result,
            Ok(None) => Err(ApiError::Internal("nobody waits for this work any more".into())),
            Err(error) => Err(ApiError::Internal(error.into())),
        }
    }

    /// Returns the body of an answer that work of the engine writes while the client takes it.
    ///
    /// The work is slowed down to the client's pace and fails when the client is gone. An answer that has begun can only
    /// break off when the work fails, so that the client sees that it is not whole.
    pub(crate) fn engine_body<W, F>(&self, work: W) -> Body
    where
        W: FnOnce(Arc<dyn Store>, Pieces) -> F + Send + 'static,
        F: Future<Output = Result<Pieces, ApiError>>,
    {
        let store = Arc::clone(self.store());
        let (sender, receiver) = mpsc::channel(PIECES);
        let span = tracing::Span::current();
        tokio::task::spawn_blocking(move || {
            let _entered = span.enter();
            let pieces = Pieces { sender: sender.clone(), buffer: Vec::with_capacity(PIECE_BYTES) };
            let finished = pollster::block_on(work(store, pieces));
            let finished = finished.and_then(|mut pieces| Ok(pieces.flush()?));
            if let Err(error) = finished
                && !sender.is_closed()
            {
                tracing::error!(?error, "an answer broke off");
                // Nobody is left to tell when this fails.
                let _ = sender.blocking_send(Err(io::Error::other("the answer broke off")));
            }
        });
        let pieces = stream::unfold(receiver, |mut receiver| async move {
            let piece: io::Result<Bytes> = receiver.recv().await?;
            Some((piece, receiver))
        });
        Body::from_stream(pieces)
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
            _ => Self::Internal(error.into()),
        }
    }
}
