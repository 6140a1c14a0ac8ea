//! What can go wrong between a controller and here.

use fabrik_core::BoxError;

/// The result of everything that talks to a controller.
pub type ApicResult<T> = std::result::Result<T, ApicError>;

/// Why a controller could not be asked, or what it answered instead of objects. Print the whole source chain.
///
/// Messages speak of "the controller"; which one it is, the caller knows.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ApicError {
    /// A setting or a part of a query has a value that is not allowed.
    #[error("{field} {value:?} is not valid: expected {expected}")]
    InvalidOption {
        /// The setting, as the caller knows it.
        field: &'static str,
        /// What was given.
        value: String,
        /// What would have been accepted.
        expected: String,
    },
    /// The name or the secret is wrong.
    #[error("the controller refused the login of {user}: {text} (error {code})")]
    LoginRefused {
        /// The name that was sent, with its login domain.
        user: String,
        /// The controller's code.
        code: String,
        /// The controller's words.
        text: String,
    },
    /// The controller answered with an error of its own.
    #[error("the controller answered {path} with error {code} (HTTP {status}): {text}")]
    Controller {
        /// What was asked.
        path: String,
        /// Of the HTTP answer.
        status: u16,
        /// The controller's code.
        code: String,
        /// The controller's words.
        text: String,
    },
    /// The web server in front of the controller answered, or another one.
    #[error("{path} was answered with HTTP {status} and {body}")]
    Http {
        /// What was asked.
        path: String,
        /// Of the HTTP answer.
        status: u16,
        /// What came in place of objects, in words.
        body: String,
    },
    /// No answer, or only a part of it.
    #[error("{path}: {problem}")]
    Unreachable {
        /// What was asked.
        path: String,
        /// What happened.
        problem: String,
        /// The layer below.
        source: BoxError,
    },
    /// The certificate is not signed by anybody who is trusted, or is for another name.
    #[error(
        "the controller's certificate is not trusted; give the file of the authority that signed it, or switch off the check"
    )]
    Untrusted {
        /// The layer below.
        source: BoxError,
    },
    /// The answer took too long.
    #[error("{path} was not answered within {seconds} s")]
    TimedOut {
        /// What was asked.
        path: String,
        /// How long was waited.
        seconds: u64,
    },
    /// The answer is longer than what is read at once.
    #[error("the answer to {path} is longer than {} MiB", limit_bytes >> 20)]
    TooLong {
        /// What was asked.
        path: String,
        /// How long an answer may be.
        limit_bytes: usize,
    },
    /// What came cannot be read as objects.
    #[error("the answer to {path} cannot be read: {problem}")]
    Answer {
        /// What was asked.
        path: String,
        /// What is wrong with the answer.
        problem: String,
    },
    /// A busy controller announces objects and sends none.
    #[error("the controller is busy: for {path} it announced {announced} objects and sent none")]
    Busy {
        /// What was asked.
        path: String,
        /// How many objects there should have been.
        announced: u64,
    },
    /// Nobody waits for the answer any more.
    #[error("the reading was cancelled")]
    Cancelled,
    /// A stored secret cannot be used.
    #[error("the stored secret of {name} cannot be opened: {problem}")]
    Sealed {
        /// Whose secret it is.
        name: String,
        /// Why.
        problem: String,
    },
}

impl ApicError {
    pub(crate) fn invalid(field: &'static str, value: impl Into<String>, expected: impl Into<String>) -> Self {
        let value: String = value.into();
        Self::InvalidOption { field, value: value.chars().take(200).collect(), expected: expected.into() }
    }

    /// Returns whether the controller could not do this much at once, so that smaller questions may be answered.
    ///
    /// The texts are those that shipping clients look for, under whatever HTTP status they came.
    #[must_use]
    pub fn is_too_big(&self) -> bool {
        match self {
            Self::Controller { text, .. } => {
                ["dataset is too big", "Resolve timeout"].iter().any(|known| text.contains(known))
            }
            Self::TimedOut { .. } | Self::TooLong { .. } | Self::Http { status: 504, .. } => true,
            _ => false,
        }
    }

    /// Returns whether it may help to ask for less: also where a web server has given up on a controller that
    /// stayed busy, which it does without saying why.
    pub(crate) fn is_worth_splitting(&self) -> bool {
        self.is_too_big() || matches!(self, Self::Http { status: 502 | 503, .. } | Self::Controller { status: 503, .. })
    }

    /// Returns whether asking again may help.
    pub(crate) fn is_passing(&self) -> bool {
        match self {
            Self::Controller { status, .. } | Self::Http { status, .. } => {
                !self.is_too_big() && matches!(status, 202 | 429 | 500 | 502 | 503)
            }
            Self::Unreachable { .. } | Self::Busy { .. } | Self::Answer { .. } => true,
            _ => false,
        }
    }

    /// Returns whether other questions would end the same way.
    pub(crate) fn concerns_everything(&self) -> bool {
        match self {
            Self::Controller { status, .. } => matches!(status, 401 | 403),
            Self::Http { .. }
            | Self::Answer { .. }
            | Self::TooLong { .. }
            | Self::TimedOut { .. }
            | Self::Busy { .. } => false,
            _ => true,
        }
    }

    /// Turns it into an error of the engine: `origin` is the controller that was asked.
    #[must_use]
    pub fn into_source_error(self, origin: &str) -> fabrik_core::Error {
        let problem = self.to_string();
        let source = match self {
            Self::Unreachable { source, .. } | Self::Untrusted { source } => Some(source),
            _ => None,
        };
        fabrik_core::Error::Source { origin: origin.to_owned(), problem, source }
    }
}
