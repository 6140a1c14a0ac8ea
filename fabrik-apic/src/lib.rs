//! Rows for Fabrik from recorded files: APIC answers, and JSON, NDJSON or CSV from anywhere else.
//!
//! [`RecordedSource`] reads a file or a stream and is a [`Source`](fabrik_core::Source) of the engine.
//! It tells the form of the input by its content, cuts it into single rows without ever holding the
//! whole, and unfolds the objects that an APIC nests below one another.
//!
//! - [`RecordedSource`]: a file as a source of rows.
//! - [`InputFormat`]: what the file is, where its content shall not decide.
//! - [`dn`]: how distinguished names are cut into relative names.

#![forbid(unsafe_code)]

mod answer;
mod client;
mod connection;
pub mod demo;
pub mod dn;
mod error;
mod filter;
mod format;
mod framing;
mod input;
mod live;
mod naming;
mod object;
mod origin;
mod query;
mod recorded;
mod rows;
pub mod saved;
mod secret;
#[cfg(feature = "simulator")]
pub mod simulator;
mod table;
mod vault;

pub use client::{Client, Controller};
pub use connection::{ConnectionOptions, Credentials, RetryPolicy, SavedConnection, Verification};
pub use error::{ApicError, ApicResult};
pub use filter::{Filter, FilterError, Property};
pub use format::InputFormat;
pub use live::{Learned, LiveOptions, LiveSource, Way};
pub use query::{ApicQuery, QueryTarget};
pub use recorded::RecordedSource;
pub use secret::Secret;
pub use vault::{SecretKey, Vault};
