//! Long answers, handed on while they arrive.

use std::fmt;
use std::time::Duration;

use reqwest::header::{COOKIE, RETRY_AFTER};
use reqwest::{Response, StatusCode};
use tokio::time::timeout;

use super::session::Access;
use super::{Attempts, Client, Failure, Reply, transport};
use crate::error::{ApicError, ApicResult};
use crate::query::ApicQuery;

/// How much of an answer is looked at before it is handed on. What is shorter, as errors are, is looked through in full.
const HEAD_BYTES: usize = 64 << 10;

/// An answer as the controller sends it: JSON.
#[derive(Debug)]
pub enum RawAnswer {
    /// All of it, without an error in it.
    Whole(Vec<u8>),
    /// A long one that begins with objects.
    Arriving(Box<ArrivingAnswer>),
}

/// A long answer that is taken piece by piece.
pub struct ArrivingAnswer {
    path: String,
    head: Option<Vec<u8>>,
    response: Response,
    scan: Scan,
    read_bytes: usize,
    limit_bytes: usize,
    /// How long a piece may take.
    seconds: u64,
}

impl fmt::Debug for ArrivingAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ArrivingAnswer").field("path", &self.path).field("read_bytes", &self.read_bytes).finish()
    }
}

impl ArrivingAnswer {
    /// Returns the next piece; `None` after the last.
    ///
    /// # Errors
    ///
    /// [`ApicError::TooLong`] when the answer is longer than is wanted, [`ApicError::Answer`] when it ends in the middle, else
    /// what cut the connection. The pieces before are then no answer.
    pub async fn next_piece(&mut self) -> ApicResult<Option<Vec<u8>>> {
        if let Some(head) = self.head.take() {
            return Ok(Some(head));
        }
        let piece = timeout(Duration::from_secs(self.seconds), self.response.chunk()).await;
        let piece = piece.map_err(|_| ApicError::TimedOut { path: self.path.clone(), seconds: self.seconds })?;
        let Some(piece) = piece.map_err(|error| transport::explain(&self.path, error))? else {
            return if self.scan.is_whole() {
                Ok(None)
            } else {
                Err(ApicError::Answer { path: self.path.clone(), problem: "it ends in the middle".to_owned() })
            };
        };
        self.read_bytes += piece.len();
        if self.read_bytes > self.limit_bytes {
            return Err(ApicError::TooLong { path: self.path.clone(), limit_bytes: self.limit_bytes });
        }
        Ok(Some(self.scan.pass(&piece)))
    }
}

impl Client {
    /// Begins to read one answer of `limit_bytes` at most, for those who hand it on.
    ///
    /// Unlike [`Client::answer`] it holds no long answer. That has a price: what goes wrong after its beginning is known when
    /// part of it has been handed on, and it is not asked for again. It is not paged, either.
    ///
    /// # Errors
    ///
    /// As for [`Client::answer`], as far as it is known by then.
    pub async fn open(&self, query: &ApicQuery, limit_bytes: usize) -> ApicResult<RawAnswer> {
        let path = query.to_string();
        let mut attempts = Attempts::new(self.0.options.retry);
        loop {
            match self.open_in_session(&path, limit_bytes).await {
                Ok(answer) => return Ok(answer),
                Err(failure) => attempts.pause(failure).await?,
            }
        }
    }

    /// Asks within the session; when the controller has forgotten it, once more within a new one.
    async fn open_in_session(&self, path: &str, limit_bytes: usize) -> Result<RawAnswer, Failure> {
        let access = self.0.session.access(self).await?;
        match self.try_open(path, &access, limit_bytes).await {
            Err(Failure::NoSession(_)) if !self.0.session.is_signed() => {
                let access = self.0.session.access_after(self, &access).await?;
                self.try_open(path, &access, limit_bytes).await
            }
            other => other,
        }
    }

    async fn try_open(&self, path: &str, access: &Access, limit_bytes: usize) -> Result<RawAnswer, Failure> {
        let request = self.0.transport.get(path)?.header(COOKIE, self.0.session.cookie("GET", path, access)?);
        self.0.limiter.until_ready().await;
        let seconds = self.0.options.timeout_seconds.get();
        let too_long = || ApicError::TooLong { path: path.to_owned(), limit_bytes };
        let beginning = async {
            let mut response = request.send().await.map_err(|error| transport::explain(path, error))?;
            if response.content_length().is_some_and(|length| usize::try_from(length).is_ok_and(|n| n > limit_bytes)) {
                return Err(too_long());
            }
            let is_good = response.status() == StatusCode::OK;
            let mut head = Vec::new();
            while let Some(piece) = response.chunk().await.map_err(|error| transport::explain(path, error))? {
                head.extend_from_slice(&piece);
                if head.len() > limit_bytes {
                    return Err(too_long());
                }
                if is_good && head.len() >= HEAD_BYTES && begins_with_objects(&head) {
                    return Ok((response, head, true));
                }
            }
            Ok((response, head, false))
        };
        let beginning = timeout(Duration::from_secs(seconds), beginning).await;
        let (response, head, is_arriving) =
            beginning.unwrap_or_else(|_| Err(ApicError::TimedOut { path: path.to_owned(), seconds }))?;
        let mut scan = Scan::default();
        let mended = scan.pass(&head);
        if is_arriving {
            return Ok(RawAnswer::Arriving(Box::new(ArrivingAnswer {
                path: path.to_owned(),
                head: Some(mended),
                response,
                scan,
                read_bytes: head.len(),
                limit_bytes,
                seconds,
            })));
        }
        let wait = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
        let reply = Reply { status: response.status(), body: mended, wait: wait.map(Duration::from_secs) };
        self.judge(path, reply).await.map(RawAnswer::Whole)
    }
}

/// Returns whether an answer begins with an object that is none of the controller's errors.
fn begins_with_objects(head: &[u8]) -> bool {
    const NAME: &[u8] = b"\"imdata\"";
    let Some(place) = head.windows(NAME.len()).position(|window| window == NAME) else { return false };
    let mut rest = head[place + NAME.len()..].iter().copied().filter(|byte| !byte.is_ascii_whitespace());
    let mut expect = |bytes: &[u8]| bytes.iter().all(|byte| rest.next() == Some(*byte));
    expect(b":[{\"") && {
        let name: Vec<u8> = rest.take_while(|byte| *byte != b'"').take(1000).collect();
        !name.is_empty() && name != b"error"
    }
}

/// Follows JSON as it passes: whether all that was begun has ended. A controller escapes apostrophes, which JSON does not
/// know; these escapes are taken out.
#[derive(Debug, Default)]
struct Scan {
    depth: u64,
    is_in_text: bool,
    /// Whether a backslash came whose fate the next byte decides.
    is_escaped: bool,
    has_begun: bool,
}

impl Scan {
    fn is_whole(&self) -> bool {
        self.has_begun && self.depth == 0 && !self.is_in_text
    }

    /// Takes the next bytes and returns what to hand on of them.
    fn pass(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut passed = Vec::with_capacity(bytes.len() + 1);
        for &byte in bytes {
            if std::mem::take(&mut self.is_escaped) {
                if byte != b'\'' {
                    passed.push(b'\\');
                }
            } else {
                match byte {
                    b'\\' if self.is_in_text => {
                        self.is_escaped = true;
                        continue;
                    }
                    b'"' => self.is_in_text = !self.is_in_text,
                    b'{' | b'[' if !self.is_in_text => (self.depth, self.has_begun) = (self.depth + 1, true),
                    b'}' | b']' if !self.is_in_text => self.depth = self.depth.saturating_sub(1),
                    _ => {}
                }
            }
            passed.push(byte);
        }
        passed
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn passed(scan: &mut Scan, text: &str, cut: usize) -> String {
        let pieces = text.as_bytes().chunks(cut.max(1));
        String::from_utf8(pieces.flat_map(|piece| scan.pass(piece)).collect()).unwrap()
    }

    proptest! {
        #[test]
        fn json_passes_as_it_is_and_is_whole_at_its_end_alone(texts in prop::collection::vec("[\\PC\"\\\\'\n]{0,8}", 0..6), cut in 1..9_usize) {
            let text = json!({ "imdata": texts.iter().map(|text| json!({ text: [text, {}] })).collect::<Vec<_>>() }).to_string();
            let mut scan = Scan::default();
            prop_assert_eq!(passed(&mut scan, &text, cut), &*text);
            prop_assert!(scan.is_whole());
            for end in (1..text.len()).filter(|end| text.is_char_boundary(*end)) {
                let mut scan = Scan::default();
                passed(&mut scan, &text[..end], cut);
                prop_assert!(!scan.is_whole(), "{}", &text[..end]);
            }
        }

        #[test]
        fn escapes_that_json_does_not_know_are_taken_out(text in "[a\\\\'\"]{0,12}", cut in 1..9_usize) {
            let good = json!([text]).to_string();
            let bad = good.replace('\'', "\\'");

            let mended = passed(&mut Scan::default(), &bad, cut);

            prop_assert_eq!(serde_json::from_str::<Value>(&mended).unwrap(), json!([text]));
        }
    }

    #[test]
    fn errors_are_told_from_objects() {
        for (head, expected) in [
            (&br#"{"totalCount":"2","imdata":[{"fvBD":{"attributes":{"#[..], true),
            (b"{ \"imdata\" : [\n { \"fvBD\": {", true),
            (br#"{"imdata":[{"error":{"attributes":{"code":"1"}}}]}"#, false),
            (br#"{"imdata":[],"totalCount":"0"}"#, false),
            (b"<html>imdata</html>", false),
            (b"", false),
        ] {
            assert_eq!(begins_with_objects(head), expected, "{}", String::from_utf8_lossy(head));
        }
    }
}
