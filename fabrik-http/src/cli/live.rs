//! What commands that ask a controller have in common.

use std::io::{self, Write};

use clap::Args;
use fabrik_apic::{ApicError, ApicQuery, Filter, FilterError, SavedConnection, Verification};
use fabrik_core::Error;
use tokio::runtime::{Builder, Runtime};

use super::exit::Failure;

/// What to ask a controller.
#[derive(Debug, Args)]
pub(super) struct Asked {
    /// Ask for all objects of a class, such as fvBD.
    #[arg(long, value_name = "CLASS", conflicts_with = "path")]
    class: Option<String>,
    /// Ask what a path asks: /api/class/fvBD.json?rsp-subtree=full or /api/mo/uni/tn-common.json.
    #[arg(long, value_name = "/api/…")]
    path: Option<String>,
    #[command(flatten)]
    narrowed: Narrowed,
}

/// Which objects of a query, and how much of each.
#[derive(Debug, Args)]
pub(super) struct Narrowed {
    /// Only objects that match, such as eq(fvBD.arpFlood,"yes").
    #[arg(long, value_name = "EXPRESSION", value_parser = parse_filter)]
    filter: Option<Filter>,
    /// Only some attributes: config-only or naming-only.
    #[arg(long, value_name = "ATTRIBUTES", value_parser = ["config-only", "naming-only"])]
    attributes: Option<String>,
}

impl Asked {
    /// Returns the query; `None` when none is named.
    pub(super) fn query(&self) -> Result<Option<ApicQuery>, Failure> {
        let query = match (&self.class, &self.path) {
            (Some(class), _) => ApicQuery::class(class)?,
            (None, Some(path)) => path.parse()?,
            (None, None) if self.narrowed.is_whole() => return Ok(None),
            (None, None) => {
                let sentence = "--filter and --attributes need a --class or a --path that they narrow";
                return Err(Failure::Usage(sentence.to_owned()));
            }
        };
        Ok(Some(self.narrowed.apply(query)))
    }
}

impl Narrowed {
    fn is_whole(&self) -> bool {
        self.filter.is_none() && self.attributes.is_none()
    }

    /// Narrows a query.
    pub(super) fn apply(&self, mut query: ApicQuery) -> ApicQuery {
        if let Some(filter) = &self.filter {
            query = query.with_filter(filter);
        }
        if let Some(attributes) = &self.attributes {
            query = query.with("rsp-prop-include", attributes);
        }
        query
    }
}

fn parse_filter(text: &str) -> Result<Filter, String> {
    text.parse().map_err(|error: FilterError| format!("filter {text:?} is not valid: {error}"))
}

/// Starts what asks controllers while the command does its own work.
pub(super) fn runtime() -> Result<Runtime, Failure> {
    let started = Builder::new_multi_thread().worker_threads(2).enable_all().build();
    started.map_err(|error| Failure::Refused(format!("no threads to ask a controller: {error}")))
}

/// Says on standard error what is dangerous about a connection.
pub(super) fn warn_about(connection: &SavedConnection) {
    let name = super::text::visible(&connection.name);
    if connection.verification == Verification::Off {
        warn(&format!("connection {name} does not check the certificate: whoever answers gets the secret"));
    }
    if connection.url.starts_with("http:") {
        warn(&format!("connection {name} sends its secret unencrypted"));
    }
}

/// Prints a warning on standard error.
pub(super) fn warn(sentence: &str) {
    // A warning that nobody can read is no reason to stop.
    let _ = writeln!(io::stderr(), "fabrik: warning: {sentence}");
}

/// Names the controller that an error is about.
pub(super) fn failure(url: &str, error: ApicError) -> Failure {
    match error {
        ApicError::InvalidOption { .. } => error.into(),
        error => error.into_source_error(url).into(),
    }
}

impl From<ApicError> for Failure {
    fn from(error: ApicError) -> Self {
        match error {
            ApicError::InvalidOption { field, value, expected } => {
                Self::Engine(Error::InvalidArgument { field, value, expected })
            }
            error => Self::Refused(error.to_string()),
        }
    }
}
