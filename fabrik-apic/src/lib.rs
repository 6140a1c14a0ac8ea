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

pub mod demo;
pub mod dn;
mod format;
mod framing;
mod input;
mod object;
mod origin;
mod recorded;
mod rows;
mod table;

pub use format::InputFormat;
pub use recorded::RecordedSource;
