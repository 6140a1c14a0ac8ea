//! The HTTP facade of Fabrik: the server behind `fabrik serve`.
//!
//! [`server::router`] is the whole API without a socket; [`server::serve`] puts it behind one.
#![forbid(unsafe_code)]

pub mod server;
