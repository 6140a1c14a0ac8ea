//! Request lines with characters that an HTTP library refuses but a controller takes.
//!
//! Scripts send filters as they are written, `eq(fvTenant.name,"common")`, with the quotes unencoded. The parser
//! of URIs takes them in a path but not in a query, so they are encoded on the way in.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum_server::accept::Accept;
use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Wraps the connections of another acceptor in [`LenientStream`].
#[derive(Clone, Debug)]
pub(super) struct LenientAcceptor<A>(pub(super) A);

impl<I, S, A> Accept<I, S> for LenientAcceptor<A>
where
    A: Accept<I, S>,
    A::Future: Send + 'static,
{
    type Stream = LenientStream<A::Stream>;
    type Service = A::Service;
    type Future = Pin<Box<dyn Future<Output = io::Result<(Self::Stream, Self::Service)>> + Send>>;

    fn accept(&self, stream: I, service: S) -> Self::Future {
        let accepting = self.0.accept(stream, service);
        Box::pin(async move {
            let (stream, service) = accepting.await?;
            Ok((LenientStream::new(stream), service))
        })
    }
}

/// A connection whose request lines are rewritten while they are read.
#[derive(Debug)]
pub(super) struct LenientStream<S> {
    inner: S,
    rewriter: Rewriter,
    /// What was read and rewritten, and not yet handed on.
    ready: BytesMut,
}

impl<S> LenientStream<S> {
    fn new(inner: S) -> Self {
        Self { inner, rewriter: Rewriter::default(), ready: BytesMut::new() }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for LenientStream<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.ready.is_empty() {
            let mut bytes = [0; 4096];
            let mut read = ReadBuf::new(&mut bytes);
            match Pin::new(&mut this.inner).poll_read(cx, &mut read) {
                Poll::Ready(Ok(())) => this.rewriter.rewrite(read.filled(), &mut this.ready),
                other => return other,
            }
        }
        let len_bytes = this.ready.len().min(out.remaining());
        out.put_slice(&this.ready[..len_bytes]);
        this.ready.advance(len_bytes);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for LenientStream<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(cx, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }
}

/// Follows a connection just far enough to know which bytes are request lines.
#[derive(Debug, Default)]
struct Rewriter {
    part: Part,
    /// The beginning of the header line at hand.
    line: Vec<u8>,
    content_length: u64,
    /// Whether what follows the headers is not delimited by a length: chunks, or another protocol.
    opaque: bool,
}

#[derive(Debug, Default)]
enum Part {
    #[default]
    RequestLine,
    Headers,
    Body(u64),
    /// Until the connection ends; its later request lines go as they come.
    Opaque,
}

impl Rewriter {
    /// No header that matters is longer.
    const LONGEST_LINE: usize = 256;

    fn rewrite(&mut self, mut bytes: &[u8], out: &mut BytesMut) {
        while let Some(&byte) = bytes.first() {
            match self.part {
                Part::RequestLine | Part::Headers => {
                    self.step(byte, out);
                    bytes = &bytes[1..];
                }
                Part::Body(left) => {
                    let len_bytes = bytes.len().min(usize::try_from(left).unwrap_or(usize::MAX));
                    out.extend_from_slice(&bytes[..len_bytes]);
                    bytes = &bytes[len_bytes..];
                    let left = left - len_bytes as u64;
                    self.part = if left == 0 { Part::RequestLine } else { Part::Body(left) };
                }
                Part::Opaque => {
                    out.extend_from_slice(bytes);
                    return;
                }
            }
        }
    }

    fn step(&mut self, byte: u8, out: &mut BytesMut) {
        if matches!(self.part, Part::RequestLine) {
            match byte {
                b'"' => out.extend_from_slice(b"%22"),
                b'<' => out.extend_from_slice(b"%3C"),
                b'>' => out.extend_from_slice(b"%3E"),
                b'`' => out.extend_from_slice(b"%60"),
                _ => out.extend_from_slice(&[byte]),
            }
        } else {
            out.extend_from_slice(&[byte]);
        }
        if byte != b'\n' {
            if byte != b'\r' && self.line.len() < Self::LONGEST_LINE {
                self.line.push(byte);
            }
            return;
        }
        let line = std::mem::take(&mut self.line);
        match self.part {
            // An empty line may precede a request line.
            Part::RequestLine if line.is_empty() => {}
            Part::RequestLine => (self.part, self.content_length, self.opaque) = (Part::Headers, 0, false),
            _ if line.is_empty() => {
                self.part = match (self.opaque, self.content_length) {
                    (true, _) => Part::Opaque,
                    (false, 0) => Part::RequestLine,
                    (false, length) => Part::Body(length),
                };
            }
            _ => self.note_header(&line),
        }
    }

    fn note_header(&mut self, line: &[u8]) {
        let line = String::from_utf8_lossy(line);
        let Some((name, value)) = line.split_once(':') else { return };
        if name.eq_ignore_ascii_case("content-length") {
            self.content_length = value.trim().parse().unwrap_or(0);
        } else if name.eq_ignore_ascii_case("transfer-encoding") || name.eq_ignore_ascii_case("upgrade") {
            self.opaque = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;

    use super::Rewriter;

    /// Rewrites what arrives in pieces of `size` bytes.
    fn rewritten(text: &str, size: usize) -> String {
        let mut rewriter = Rewriter::default();
        let mut out = BytesMut::new();
        for piece in text.as_bytes().chunks(size) {
            rewriter.rewrite(piece, &mut out);
        }
        String::from_utf8(out.to_vec()).unwrap()
    }

    #[test]
    fn quotes_are_encoded_in_request_lines_and_nowhere_else() {
        let body = "{\"a\":\"GET /\\\"x\\\" HTTP/1.1\r\n\r\n\"}";
        let length = body.len();
        let sent = format!(
            "\r\nGET /a?f=eq(x,\"1\") HTTP/1.1\r\nX: \"q\"\r\n\r\n\
             POST /b\"c HTTP/1.1\r\nCONTENT-length: {length}\r\n\r\n{body}\
             GET /d?<\"> HTTP/1.1\r\n\r\n"
        );
        let expected = format!(
            "\r\nGET /a?f=eq(x,%221%22) HTTP/1.1\r\nX: \"q\"\r\n\r\n\
             POST /b%22c HTTP/1.1\r\nCONTENT-length: {length}\r\n\r\n{body}\
             GET /d?%3C%22%3E HTTP/1.1\r\n\r\n"
        );

        for size in [1, 2, 7, 64, 4096] {
            assert_eq!(rewritten(&sent, size), expected, "in pieces of {size} bytes");
        }
    }

    #[test]
    fn frames_of_a_websocket_are_left_alone() {
        let sent = "GET /socketA HTTP/1.1\r\nUpgrade: websocket\r\n\r\n\"frame\"\r\n\r\n\"frame\"";

        assert_eq!(rewritten(sent, 5), sent);
    }
}
