//! Answers as the controller sent them, for those who show them to somebody; and the one way to change something.

use reqwest::header::COOKIE;
use reqwest::{Method, StatusCode};
use serde::Deserialize;

use super::session::Access;
use super::{Attempts, Client, Failure, Reply, explain};
use crate::answer::AnswerProblem;
use crate::error::{ApicError, ApicResult};
use crate::query::{ApicQuery, QueryTarget};

/// A change of one object, as somebody asked for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Makes or changes the object and what is below it, as this JSON says.
    Post(String),
    /// Deletes the object and everything below it.
    Delete,
}

impl Client {
    /// Reads one answer, unchanged: JSON without an error in it, of `limit_bytes` at most.
    ///
    /// It is not paged: what the controller leaves out of an answer is not asked for.
    ///
    /// # Errors
    ///
    /// [`ApicError::Controller`] when the controller says that it cannot answer, [`ApicError::TooLong`], else what stood
    /// in the way.
    pub async fn answer(&self, query: &ApicQuery, limit_bytes: usize) -> ApicResult<Vec<u8>> {
        let path = query.to_string();
        let mut attempts = Attempts::new(self.0.options.retry);
        loop {
            match self.ask_in_session(&path, None, limit_bytes).await {
                Ok(body) => return Ok(body),
                Err(failure) => attempts.pause(failure).await?,
            }
        }
    }

    /// Changes an object, and returns the answer unchanged. Nothing else here changes anything, and nothing here calls
    /// this by itself.
    ///
    /// It is sent once: nobody knows whether a change without an answer was made.
    ///
    /// # Errors
    ///
    /// [`ApicError::InvalidOption`] when the query names no object or the credentials are a certificate, else as for
    /// [`Client::answer`].
    pub async fn change(&self, query: &ApicQuery, change: &Change, limit_bytes: usize) -> ApicResult<Vec<u8>> {
        let path = query.to_string();
        if !matches!(query.target(), QueryTarget::Object(_)) {
            return Err(ApicError::invalid("path", path, "/api/mo/DN.json: one object is changed at a time"));
        }
        if self.0.session.is_signed() {
            return Err(ApicError::invalid("credentials", "a certificate", "a password: changes are not signed"));
        }
        self.ask_in_session(&path, Some(change), limit_bytes).await.map_err(|failure| match failure {
            Failure::NoSession(error) | Failure::Other { error, .. } => error,
        })
    }

    /// Asks within the session; when the controller has forgotten it, once more within a new one.
    async fn ask_in_session(
        &self,
        path: &str,
        change: Option<&Change>,
        limit_bytes: usize,
    ) -> Result<Vec<u8>, Failure> {
        let access = self.0.session.access(self).await?;
        match self.ask(path, change, &access, limit_bytes).await {
            Err(Failure::NoSession(_)) if !self.0.session.is_signed() => {
                let access = self.0.session.access_after(self, &access).await?;
                self.ask(path, change, &access, limit_bytes).await
            }
            other => other,
        }
    }

    async fn ask(
        &self,
        path: &str,
        change: Option<&Change>,
        access: &Access,
        limit_bytes: usize,
    ) -> Result<Vec<u8>, Failure> {
        let transport = &self.0.transport;
        let request = match change {
            None => transport.get(path)?,
            Some(Change::Post(body)) => transport.change(Method::POST, path)?.body(body.clone()),
            Some(Change::Delete) => transport.change(Method::DELETE, path)?,
        };
        let request = request.header(COOKIE, self.0.session.cookie("GET", path, access)?);
        let reply = self.send_within(path, request, limit_bytes).await?;
        self.judge(path, reply).await
    }

    /// Looks through an answer and returns it where it is one.
    pub(super) async fn judge(&self, path: &str, reply: Reply) -> Result<Vec<u8>, Failure> {
        let Reply { status, body, wait } = reply;
        // Looking through it takes long enough to keep others from being served by the same thread.
        let looked = tokio::task::spawn_blocking(move || look(&body).map_or_else(|| Ok(body), Err)).await;
        let looked = looked.map_err(|panic| ApicError::Answer {
            path: path.to_owned(),
            problem: format!("reading it failed: {panic}"),
        })?;
        let problem = match looked {
            Ok(body) if status == StatusCode::OK => return Ok(body),
            Ok(_) => None,
            Err(problem) => Some(problem),
        };
        let error = explain(path, status, problem);
        if status == StatusCode::FORBIDDEN {
            return Err(Failure::NoSession(error));
        }
        Err(Failure::Other { error, wait })
    }
}

/// Returns what is wrong with an answer.
fn look(body: &[u8]) -> Option<AnswerProblem> {
    match serde_json::from_slice::<Envelope>(body) {
        Ok(Envelope { imdata }) => {
            let Failed { code, text } = imdata.into_iter().find_map(|item| item.error)?.attributes;
            Some(AnswerProblem::ControllerError { code, text })
        }
        // Whoever knows answers better says what this is.
        Err(error) => Some(match crate::answer::parse_page(body, &mut Vec::new()) {
            Err(problem) => problem,
            Ok(_) => AnswerProblem::Invalid { problem: format!("it is not JSON to the letter: {error}") },
        }),
    }
}

#[derive(Deserialize)]
struct Envelope {
    imdata: Vec<Item>,
}

#[derive(Deserialize)]
struct Item {
    error: Option<Refusal>,
}

#[derive(Deserialize)]
struct Refusal {
    attributes: Failed,
}

#[derive(Deserialize)]
struct Failed {
    #[serde(default)]
    code: String,
    #[serde(default)]
    text: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_in_an_answer_is_found() {
        let body = br#"{"totalCount":"1","imdata":[{"error":{"attributes":{"code":"121","text":"no such class"}}}]}"#;

        let problem = AnswerProblem::ControllerError { code: "121".into(), text: "no such class".into() };
        assert_eq!(look(body), Some(problem));
    }

    #[test]
    fn objects_are_no_problem_and_everything_else_is() {
        assert_eq!(look(br#"{"totalCount":"1","imdata":[{"fvBD":{"attributes":{"error":"x"}}}]}"#), None);
        assert_eq!(look(br#"{"totalCount":"0","imdata":[]}"#), None);
        for body in [&b""[..], b"<html>Bad Gateway</html>", b"{}", b"[]", br#"{"totalCount":"1","imdata":[{"a"#] {
            assert!(look(body).is_some(), "{body:?}");
        }
        // A controller escapes an apostrophe so, which no reader of JSON takes.
        let odd = br#"{"totalCount":"1","imdata":[{"fvBD":{"attributes":{"dn":"uni/a","descr":"it\'s"}}}]}"#;
        assert!(matches!(look(odd), Some(AnswerProblem::Invalid { .. })));
    }
}
