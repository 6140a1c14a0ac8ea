//! The API as its clients use it: requests in, answers out.
#![expect(clippy::unwrap_used, reason = "a failing test panics")]

mod account;
mod errors;
mod groups;
mod headers;
mod login;
mod matrix;
mod migrations;
mod process;
mod schema;
mod server;
mod setup;
mod throttles;
mod tokens;
mod users;
