//! Rows for Fabrik: from a live controller, from recorded files, and from a simulated controller.
//!
//! [`LiveSource`] asks a controller through a [`Client`], with which it only ever reads, and judges how complete the rows are.
//! [`RecordedSource`] reads a file, a folder or a stream: APIC answers as JSON or XML, what moquery prints,
//! configuration exports, folders and archives of such files, and JSON, NDJSON or CSV from anywhere else. It tells
//! the form of the input by its content, cuts it into single rows without ever holding the whole, and unfolds the
//! objects that an APIC nests below one another. Both are a [`Source`](fabrik_core::Source) of the engine.
//!
//! - [`ApicQuery`], [`Filter`]: what is asked.
//! - [`graph`]: queries that were drawn or written down, compiled into what is asked.
//! - [`Client`], [`ConnectionOptions`], [`Credentials`]: who is asked, and as whom.
//! - [`LiveSource`]: a live query as a source of rows.
//! - [`saved`]: connections and queries that are kept in the store, with their secrets in a [`Vault`].
//! - [`RecordedSource`], [`InputFormat`], [`InputMember`]: files as a source of rows.
//! - `simulator`: a controller for tests and demonstrations, with the feature of that name; [`demo`]: the fabric
//!   behind it.
//! - [`dn`]: how distinguished names are cut into relative names.
//!
//! # Coverage
//!
//! A live query says by its options which attributes it asks for. A file does not, so it counts as full, unless all its
//! rows plainly show that they are configuration only: they have `annotation`, which every configured object has, and
//! nothing that only a running controller keeps (`modTs`, `childAction`, `status` …). A configuration export is what
//! its name says. [`RecordedSource::with_coverage`] says it instead.
//!
//! # Configuration exports
//!
//! An export has no DNs below its root; they are made from a table of how each class names its objects. An object of
//! a class that is not there, and that carries neither `dn` nor `rn`, becomes a row without a DN, and the verdict is
//! partial and names the class. The objects next to the root (`uni`, `uni/tn-a`, `uni/tn-a/ap-b`) may occur in
//! several files of one export and become one row; where two of them contradict each other, both are kept.

#![forbid(unsafe_code)]

mod answer;
mod archive;
mod client;
mod connection;
mod coverage;
pub mod demo;
pub mod dn;
mod error;
mod file;
mod filter;
mod format;
mod framing;
pub mod graph;
mod guard;
mod input;
mod live;
mod moquery;
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
#[cfg(test)]
mod testing;
mod unfold;
mod vault;
mod xml;

pub use archive::InputMember;
pub use client::{ArrivingAnswer, Change, Client, Controller, RawAnswer};
pub use connection::{ConnectionOptions, Credentials, RetryPolicy, SavedConnection, Verification};
pub use error::{ApicError, ApicResult};
pub use filter::{Filter, FilterError, Property};
pub use format::InputFormat;
pub use live::{Learned, LiveOptions, LiveSource, Way};
pub use query::{ApicQuery, QueryTarget};
pub use recorded::RecordedSource;
pub use secret::Secret;
#[cfg(unix)]
pub use vault::{KeyError, KeyPlace};
pub use vault::{SecretKey, Vault};
