//! What a request is answered with, before it becomes an HTTP response.

use axum::body::Body;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER, SERVER, SET_COOKIE,
};
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::stream;
use std::io::{self, Write};

use super::error::ApicError;
use super::render::Format;

/// A status, a body and the few headers that differ.
#[derive(Clone, Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) body: Bytes,
    content: Content,
    cookie: Option<String>,
    retry_after: Option<u32>,
    gzip: bool,
    /// After how many bytes of the body the connection ends.
    pub(super) cut_after: Option<usize>,
    /// What was tolerated in the request; not part of the answer.
    pub(super) warnings: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Content {
    Api(Format),
    Html,
}

impl Reply {
    pub(super) fn ok(body: Bytes, format: Format) -> Self {
        Self::new(200, body, Content::Api(format))
    }

    pub(super) fn error(error: &ApicError, format: Format) -> Self {
        Self::new(error.status, error.to_bytes(format), Content::Api(format))
    }

    /// Answers with the page of the web server in front of the controller, which speaks no JSON.
    pub(super) fn html(status: u16) -> Self {
        let reason = StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason()).unwrap_or("Error");
        let body = format!(
            "<html>\r\n<head><title>{status} {reason}</title></head>\r\n<body>\r\n\
             <center><h1>{status} {reason}</h1></center>\r\n<hr><center>Cisco APIC</center>\r\n</body>\r\n</html>\r\n"
        );
        Self::new(status, body.into(), Content::Html)
    }

    fn new(status: u16, body: Bytes, content: Content) -> Self {
        Self {
            status,
            body,
            content,
            cookie: None,
            retry_after: None,
            gzip: false,
            cut_after: None,
            warnings: Vec::new(),
        }
    }

    #[must_use]
    pub(super) fn with_cookie(mut self, cookie: String) -> Self {
        self.cookie = Some(cookie);
        self
    }

    #[must_use]
    pub(super) fn with_retry_after(mut self, seconds: Option<u32>) -> Self {
        self.retry_after = seconds;
        self
    }

    #[must_use]
    pub(super) fn with_gzip(mut self, gzip: bool) -> Self {
        self.gzip = gzip;
        self
    }

    /// Returns the format of the body, unless it is a page of the web server.
    pub(super) fn format(&self) -> Option<Format> {
        match self.content {
            Content::Api(format) => Some(format),
            Content::Html => None,
        }
    }

    pub(super) fn into_response(self) -> Response {
        let body = if self.gzip { compress(&self.body) } else { self.body };
        let len_bytes = body.len();
        let body = match self.cut_after {
            Some(after) => cut_body(&body, after),
            None => Body::from(body),
        };
        let mut response = Response::new(body);
        *response.status_mut() = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let headers = response.headers_mut();
        headers.insert(SERVER, HeaderValue::from_static("Cisco APIC"));
        headers.insert(CONTENT_LENGTH, HeaderValue::from(len_bytes));
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(self.content.mime()));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache=\"Set-Cookie, Set-Cookie2\""));
        if self.gzip {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        if let Some(cookie) = self.cookie.and_then(|cookie| HeaderValue::from_str(&cookie).ok()) {
            headers.insert(SET_COOKIE, cookie);
        }
        if let Some(seconds) = self.retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

impl Content {
    fn mime(self) -> &'static str {
        match self {
            Self::Api(Format::Json) => "application/json",
            Self::Api(Format::Xml) => "text/xml",
            Self::Html => "text/html",
        }
    }
}

fn compress(body: &[u8]) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 8), Compression::fast());
    encoder.write_all(body).and_then(|()| encoder.finish()).expect("writing to memory cannot fail").into()
}

/// Sends the beginning of a body and then ends the connection, although its length promised more.
fn cut_body(body: &Bytes, after: usize) -> Body {
    let beginning = body.slice(..after.min(body.len().saturating_sub(1)));
    Body::from_stream(stream::unfold(Some(beginning), |beginning| async move {
        match beginning {
            Some(beginning) if !beginning.is_empty() => Some((Ok(beginning), Some(Bytes::new()))),
            Some(_) => {
                // What was sent leaves the process only when the body has nothing more to give for a moment.
                tokio::task::yield_now().await;
                Some((Err(io::Error::from(io::ErrorKind::ConnectionAborted)), None))
            }
            None => None,
        }
    }))
}
