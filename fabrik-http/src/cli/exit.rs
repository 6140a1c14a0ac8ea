//! How a command ends: its exit code, and the sentence on standard error when it fails.

use std::error::Error as StdError;
use std::io::{self, Write};
use std::process::ExitCode;

use fabrik_core::{Error, ErrorKind};

/// A way to end, by exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Exit {
    /// All is done.
    Done = 0,
    /// Something failed.
    Failed = 1,
    /// The arguments make no sense.
    Usage = 2,
    /// The snapshots differ, and the caller wanted to know by the exit code.
    Different = 3,
    /// The store is damaged.
    Damaged = 4,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why a command did not do what it was asked to.
#[derive(Debug)]
pub(super) enum Failure {
    /// The engine or a source says so.
    Engine(Error),
    /// Standard output does not take more.
    Output(io::Error),
    /// The command itself says so.
    Refused(String),
    /// The arguments are fine one by one, not together.
    Usage(String),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::Output(error) => Self::Output(error),
            error => Self::Engine(error),
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

impl From<serde_json::Error> for Failure {
    fn from(error: serde_json::Error) -> Self {
        Self::Output(error.into())
    }
}

impl From<csv::Error> for Failure {
    fn from(error: csv::Error) -> Self {
        match error.into_kind() {
            csv::ErrorKind::Io(error) => Self::Output(error),
            other => Self::Output(io::Error::other(format!("{other:?}"))),
        }
    }
}

impl Failure {
    /// Says why the command cannot go on, with all causes.
    pub(super) fn refused(error: &(dyn StdError + 'static)) -> Self {
        Self::Refused(chain(error))
    }

    /// Prints the failure with all its causes on standard error and returns the exit code.
    ///
    /// A reader that has seen enough and closed the pipe is no failure.
    pub(super) fn report(&self) -> ExitCode {
        if self.is_closed_pipe() {
            return Exit::Done.into();
        }
        // Nobody is left to tell when this fails, too.
        let _ = writeln!(io::stderr(), "fabrik: {}", self.sentence());
        self.exit().into()
    }

    /// Returns whether the reader of standard output went away.
    pub(super) fn is_closed_pipe(&self) -> bool {
        matches!(self, Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }

    fn sentence(&self) -> String {
        match self {
            Self::Engine(error) => chain(error),
            Self::Output(error) => format!("cannot write the result: {}", chain(error)),
            Self::Refused(sentence) | Self::Usage(sentence) => sentence.clone(),
        }
    }

    fn exit(&self) -> Exit {
        match self {
            Self::Engine(Error::InvalidArgument { .. }) | Self::Usage(_) => Exit::Usage,
            Self::Engine(error) if error.kind() == ErrorKind::Damaged => Exit::Damaged,
            _ => Exit::Failed,
        }
    }
}

/// Joins an error and its causes by colons. What a cause repeats of the one above it is said once.
pub(super) fn chain(error: &dyn StdError) -> String {
    let mut sentence = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let text = cause.to_string();
        if !sentence.ends_with(&text) {
            sentence.push_str(": ");
            sentence.push_str(&text);
        }
        next = cause.source();
    }
    // One line, whatever a file or an answer had in it.
    super::text::visible(&sentence).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_of_failure_have_their_exit_codes() {
        let argument = Error::InvalidArgument { field: "window", value: "x".into(), expected: "30d".into() };
        let input = Error::Source { origin: "a.json".into(), problem: "it is empty".into(), source: None };
        let record = Error::RecordDamaged { snapshot: "?".into(), problem: "cut short".into() };

        assert_eq!(Failure::from(argument).exit(), Exit::Usage);
        assert_eq!(Failure::from(input).exit(), Exit::Failed);
        assert_eq!(Failure::from(record).exit(), Exit::Damaged);
        assert_eq!(Failure::Refused("no".into()).exit(), Exit::Failed);
    }

    #[test]
    fn causes_follow_in_one_line() {
        let cause = io::Error::other("first\nsecond");
        let error = Error::Source { origin: "a".into(), problem: "p".into(), source: Some(cause.into()) };

        assert_eq!(chain(&error), "a cannot be captured: p: first\\nsecond");
    }

    #[test]
    fn closed_pipe_is_recognised_through_the_engine() {
        let closed = || io::Error::from(io::ErrorKind::BrokenPipe);

        assert!(Failure::from(closed()).is_closed_pipe());
        assert!(Failure::from(Error::Output(closed())).is_closed_pipe());
        assert!(Failure::from(csv::Error::from(closed())).is_closed_pipe());
        assert!(Failure::from(serde_json::Error::io(closed())).is_closed_pipe());
        assert!(!Failure::from(io::Error::other("disk")).is_closed_pipe());
    }
}
