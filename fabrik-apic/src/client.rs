//! Talks to a controller, and reads.
//!
//! What is posted is a login and a logout. One method changes something, [`Client::change`], for those who hand on
//! what a person asked for; whatever captures and queries has no use for it.

mod arriving;
mod login;
mod raw;
mod session;
mod sign;
mod transport;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use fabrik_core::RowBatchBuilder;
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use reqwest::StatusCode;
use reqwest::header::{COOKIE, RETRY_AFTER};
use tokio::time::{sleep, timeout};

use crate::answer::{AnswerProblem, Page, parse_page};
use crate::connection::{ConnectionOptions, Credentials, RetryPolicy};
use crate::error::{ApicError, ApicResult};

pub use arriving::{ArrivingAnswer, RawAnswer};
pub use login::Controller;
pub use raw::Change;
use session::{Access, Session};
use transport::Transport;

/// The longest answer that is read. Pages are far shorter; a branch of the tree that is asked for at once may not be.
const MAX_BODY_BYTES: usize = 256 << 20;

/// A connection to one controller. Copies share its session, its rate limit and its sockets.
///
/// It logs in when it is first asked something, renews its session before that ends, and logs in once more when
/// the controller has forgotten it. Needs a Tokio runtime.
#[derive(Clone)]
pub struct Client(Arc<Inner>);

struct Inner {
    transport: Transport,
    session: Session,
    limiter: DefaultDirectRateLimiter,
    options: ConnectionOptions,
    /// Sets of builders that no page is being read with; they have learned the names of attributes.
    builders: Mutex<Vec<Vec<RowBatchBuilder>>>,
}

impl Inner {
    fn parse(&self, body: &[u8]) -> Result<Page, AnswerProblem> {
        let idle = || self.builders.lock().unwrap_or_else(PoisonError::into_inner);
        let mut builders = idle().pop().unwrap_or_default();
        let page = parse_page(body, &mut builders);
        idle().push(builders);
        page
    }
}

/// How a single request ended, where it did not end well.
enum Failure {
    /// The controller does not know the session (any more).
    NoSession(ApicError),
    Other {
        error: ApicError,
        /// How long the controller asked to be left alone.
        wait: Option<Duration>,
    },
}

impl From<ApicError> for Failure {
    fn from(error: ApicError) -> Self {
        Self::Other { error, wait: None }
    }
}

impl Client {
    /// Prepares a connection; nothing is sent yet.
    ///
    /// # Errors
    ///
    /// [`ApicError::InvalidOption`] when an option or a private key cannot be used.
    pub fn new(options: ConnectionOptions, credentials: Credentials) -> ApicResult<Self> {
        let transport = Transport::new(&options)?;
        let session = Session::new(credentials)?;
        let rate = options.requests_per_second;
        let limiter = RateLimiter::direct(Quota::per_second(rate).allow_burst(rate));
        Ok(Self(Arc::new(Inner { transport, session, limiter, options, builders: Mutex::default() })))
    }

    /// Returns the address of the controller.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.0.options.url
    }

    /// Logs in, or tries the certificate, and says who answers.
    ///
    /// # Errors
    ///
    /// [`ApicError::LoginRefused`] when the name or the secret is wrong, else what stands in the way.
    pub async fn check(&self) -> ApicResult<Controller> {
        if self.0.session.is_signed() {
            // A question that every account may ask and that has a short answer.
            self.page("/api/mo/uni.json?rsp-prop-include=naming-only", 0).await?;
            return Ok(Controller::default());
        }
        let mut attempts = Attempts::new(self.0.options.retry);
        loop {
            match self.0.session.start_anew(self).await {
                Ok(controller) => return Ok(controller),
                Err(error) => attempts.pause(error.into()).await?,
            }
        }
    }

    /// Ends the session, if there is one. The client may be used again: it then logs in again.
    ///
    /// # Errors
    ///
    /// What the controller answers, or that it cannot be reached. The session then ends by itself later.
    pub async fn logout(&self) -> ApicResult<()> {
        self.0.session.end(self).await
    }

    /// Reads one answer: asks again while the controller is busy, cannot be reached or sends half an answer.
    ///
    /// `offset` is how many objects come before those that are asked for.
    pub(crate) async fn page(&self, path: &str, offset: u64) -> ApicResult<Fetched> {
        let mut attempts = Attempts::new(self.0.options.retry);
        loop {
            let failure = match self.page_in_session(path).await {
                Ok(Fetched { page: Page { n_objects: 0, total_count: announced, .. }, .. }) if announced > offset => {
                    ApicError::Busy { path: path.to_owned(), announced }.into()
                }
                Ok(fetched) => return Ok(fetched),
                Err(failure) => failure,
            };
            attempts.pause(failure).await?;
        }
    }

    /// Asks within the session; when the controller has forgotten it, once more within a new one.
    async fn page_in_session(&self, path: &str) -> Result<Fetched, Failure> {
        let access = self.0.session.access(self).await?;
        match self.try_page(path, &access).await {
            Err(Failure::NoSession(_)) if !self.0.session.is_signed() => {
                let access = self.0.session.access_after(self, &access).await?;
                self.try_page(path, &access).await
            }
            other => other,
        }
    }

    async fn try_page(&self, path: &str, access: &Access) -> Result<Fetched, Failure> {
        let cookie = self.0.session.cookie("GET", path, access)?;
        let reply = self.send(path, self.0.transport.get(path)?.header(COOKIE, cookie)).await?;
        let Reply { status, body, wait } = reply;
        let body_bytes = body.len() as u64;
        // Parsing takes long enough to keep others from being served by the same thread.
        let inner = Arc::clone(&self.0);
        let parsed = tokio::task::spawn_blocking(move || inner.parse(&body)).await;
        let parsed = parsed.map_err(|panic| ApicError::Answer {
            path: path.to_owned(),
            problem: format!("reading it failed: {panic}"),
        })?;
        let problem = match parsed {
            Ok(page) if status == StatusCode::OK => return Ok(Fetched { page, body_bytes }),
            Ok(_) => None,
            Err(problem) => Some(problem),
        };
        let error = explain(path, status, problem);
        if status == StatusCode::FORBIDDEN {
            return Err(Failure::NoSession(error));
        }
        Err(Failure::Other { error, wait })
    }

    /// Sends a request when its turn has come, and reads the whole answer.
    async fn send(&self, path: &str, request: reqwest::RequestBuilder) -> Result<Reply, ApicError> {
        self.send_within(path, request, MAX_BODY_BYTES).await
    }

    /// Sends a request when its turn has come, and reads an answer that is not longer than this.
    async fn send_within(
        &self,
        path: &str,
        request: reqwest::RequestBuilder,
        limit_bytes: usize,
    ) -> Result<Reply, ApicError> {
        self.0.limiter.until_ready().await;
        let seconds = self.0.options.timeout_seconds.get();
        let read = async {
            let mut response = request.send().await.map_err(|error| transport::explain(path, error))?;
            let status = response.status();
            let wait = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
            let mut body = Vec::new();
            while let Some(piece) = response.chunk().await.map_err(|error| transport::explain(path, error))? {
                body.extend_from_slice(&piece);
                if body.len() > limit_bytes {
                    return Err(ApicError::TooLong { path: path.to_owned(), limit_bytes });
                }
            }
            Ok(Reply { status, body, wait: wait.map(Duration::from_secs) })
        };
        let reply = timeout(Duration::from_secs(seconds), read).await;
        reply.unwrap_or_else(|_| Err(ApicError::TimedOut { path: path.to_owned(), seconds }))
    }
}

/// How often something was tried, and how long to wait before the next time.
#[derive(Debug)]
struct Attempts {
    policy: RetryPolicy,
    tried: u32,
    delay: Duration,
}

impl Attempts {
    fn new(policy: RetryPolicy) -> Self {
        Self { policy, tried: 0, delay: policy.first_delay }
    }

    /// Waits until it is time to try again, or returns the error when it is not worth it.
    async fn pause(&mut self, failure: Failure) -> ApicResult<()> {
        let (error, wait) = match failure {
            Failure::NoSession(error) => return Err(error),
            Failure::Other { error, wait } => (error, wait),
        };
        self.tried += 1;
        if self.tried >= self.policy.attempts || !error.is_passing() {
            return Err(error);
        }
        sleep(wait.unwrap_or(self.delay).min(self.policy.longest_delay)).await;
        self.delay *= 2;
        Ok(())
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("url", &self.url()).finish_non_exhaustive()
    }
}

/// An answer with objects.
#[derive(Debug)]
pub(crate) struct Fetched {
    pub(crate) page: Page,
    /// The size of its text, after decompression.
    pub(crate) body_bytes: u64,
}

struct Reply {
    status: StatusCode,
    body: Vec<u8>,
    wait: Option<Duration>,
}

/// Says what an answer without objects means.
fn explain(path: &str, status: StatusCode, problem: Option<AnswerProblem>) -> ApicError {
    let path = path.to_owned();
    match problem {
        Some(AnswerProblem::ControllerError { code, text }) => {
            ApicError::Controller { path, status: status.as_u16(), code, text }
        }
        Some(problem) if status == StatusCode::OK => ApicError::Answer { path, problem: problem.to_string() },
        Some(problem) => ApicError::Http { path, status: status.as_u16(), body: problem.to_string() },
        None => ApicError::Http { path, status: status.as_u16(), body: "objects all the same".to_owned() },
    }
}
