//! The gate before every connection: only so many come in, and none may hold its place by doing nothing.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum_server::accept::Accept;
use futures_util::future::BoxFuture;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Sleep, sleep};

/// How much a client says at first before which it is neither known to speak HTTP/1 nor HTTP/2: the length of the latter's
/// preface. Until then, no timeout of the protocol holds.
const FIRST_WORDS: usize = 24;
/// How long a client may take nothing of an answer.
const STALL: Duration = Duration::from_secs(60);

/// Accepts connections by another acceptor, as many as there may be.
#[derive(Clone, Debug)]
pub(super) struct Gate<A> {
    inner: A,
    places: Arc<Semaphore>,
    patience: Duration,
    stall: Duration,
}

impl<A> Gate<A> {
    /// Returns a gate for `connections`, each of which has to say something within `patience`.
    pub(super) fn new(inner: A, connections: u32, patience: Duration) -> Self {
        Self { inner, places: Arc::new(Semaphore::new(connections as usize)), patience, stall: STALL }
    }
}

impl<A, I, S> Accept<I, S> for Gate<A>
where
    A: Accept<I, S>,
    A::Future: Send + 'static,
{
    type Stream = Guest<A::Stream>;
    type Service = A::Service;
    type Future = BoxFuture<'static, io::Result<(Self::Stream, Self::Service)>>;

    fn accept(&self, stream: I, service: S) -> Self::Future {
        // Without a place the connection is closed at once: one that waits would take a place elsewhere.
        let place = Arc::clone(&self.places).try_acquire_owned();
        let (accepted, patience, stall) = (self.inner.accept(stream, service), self.patience, self.stall);
        Box::pin(async move {
            let place = place.map_err(|_| io::Error::other("there is no place for another connection"))?;
            let (stream, service) = accepted.await?;
            let waiting = Some((0, Box::pin(sleep(patience))));
            Ok((Guest { stream, _place: place, waiting, stalled: None, stall }, service))
        })
    }
}

/// A connection that has a place.
#[derive(Debug)]
pub(super) struct Guest<S> {
    stream: S,
    _place: OwnedSemaphorePermit,
    /// How much was said, and until when it has to be enough.
    waiting: Option<(usize, Pin<Box<Sleep>>)>,
    stalled: Option<Pin<Box<Sleep>>>,
    stall: Duration,
}

impl<S: AsyncRead + Unpin> AsyncRead for Guest<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        if let Poll::Ready(read) = Pin::new(&mut this.stream).poll_read(cx, buf) {
            if let Some((said, _)) = &mut this.waiting {
                *said += buf.filled().len() - before;
                if *said >= FIRST_WORDS {
                    this.waiting = None;
                }
            }
            return Poll::Ready(read);
        }
        if let Some((_, until)) = &mut this.waiting {
            ready!(until.as_mut().poll(cx));
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        Poll::Pending
    }
}

impl<S> Guest<S> {
    /// Gives up on writing when it goes nowhere for too long.
    fn with_patience<T>(&mut self, written: Poll<io::Result<T>>, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        let stall = self.stall;
        ready!(self.stalled.get_or_insert_with(|| Box::pin(sleep(stall))).as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Guest<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write(cx, bytes);
        this.with_patience(written, cx)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write_vectored(cx, parts);
        this.with_patience(written, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let flushed = Pin::new(&mut this.stream).poll_flush(cx);
        this.with_patience(flushed, cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let shut = Pin::new(&mut this.stream).poll_shutdown(cx);
        this.with_patience(shut, cx)
    }
}

#[cfg(test)]
mod tests {
    use axum_server::accept::DefaultAcceptor;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
    use tokio::time::timeout;

    use super::*;

    const SHORT: Duration = Duration::from_millis(50);
    /// What takes longer than this does not come.
    const LIMIT: Duration = Duration::from_secs(20);

    async fn guest(gate: &Gate<DefaultAcceptor>) -> io::Result<(DuplexStream, Guest<DuplexStream>)> {
        let (client, server) = duplex(64);
        let (guest, ()) = gate.accept(server, ()).await?;
        Ok((client, guest))
    }

    fn gate(connections: u32) -> Gate<DefaultAcceptor> {
        Gate { stall: SHORT, ..Gate::new(DefaultAcceptor, connections, SHORT) }
    }

    #[tokio::test]
    async fn as_many_come_in_as_there_are_places() {
        let gate = gate(2);
        let (_one, _two) = (guest(&gate).await.unwrap(), guest(&gate).await.unwrap());

        assert!(guest(&gate).await.is_err());
        drop(_one);
        assert!(guest(&gate).await.is_ok());
    }

    #[tokio::test]
    async fn silence_at_first_ends_a_connection_and_later_does_not() {
        let gate = gate(9);
        let mut buf = [0; 64];
        let (mut client, mut guest_) = guest(&gate).await.unwrap();
        client.write_all(b"PRI * HTT").await.unwrap();
        assert_eq!(guest_.read(&mut buf).await.unwrap(), 9);
        let cut = timeout(LIMIT, guest_.read(&mut buf)).await.expect("it ends");
        assert_eq!(cut.unwrap_err().kind(), io::ErrorKind::TimedOut);

        let (mut client, mut guest_) = guest(&gate).await.unwrap();
        client.write_all(&[b'x'; FIRST_WORDS]).await.unwrap();
        assert_eq!(guest_.read(&mut buf).await.unwrap(), FIRST_WORDS);
        let late = async {
            sleep(SHORT * 3).await;
            client.write_all(b"y").await.unwrap();
        };
        let (read, ()) = tokio::join!(guest_.read(&mut buf), late);
        assert_eq!(read.unwrap(), 1);
    }

    #[tokio::test]
    async fn a_client_that_takes_nothing_is_let_go() {
        let (client, mut guest) = guest(&gate(1)).await.unwrap();

        let cut = timeout(LIMIT, guest.write_all(&[0; 65])).await.expect("it ends");
        assert_eq!(cut.unwrap_err().kind(), io::ErrorKind::TimedOut);
        drop(client);
    }
}
