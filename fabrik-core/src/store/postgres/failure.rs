//! What PostgreSQL reports, as the errors of the engine. Nothing here repeats a password or a value of a statement.

use std::borrow::Cow;

use sqlx::error::DatabaseError;

use super::PostgresStore;
use crate::error::{BoxError, Error};

/// SQLSTATE codes, <https://www.postgresql.org/docs/current/errcodes-appendix.html>.
pub(super) const DUPLICATE_TABLE: &str = "42P07";
pub(super) const LOCK_NOT_AVAILABLE: &str = "55P03";
const DISK_FULL: &str = "53100";
const NO_DATABASE: &str = "3D000";
const WRONG_PASSWORD: &str = "28P01";
const NOT_ALLOWED_IN: &str = "28000";
const NO_PRIVILEGE: &str = "42501";

impl PostgresStore {
    /// Wraps what PostgreSQL reports, telling a full disk from other failures.
    pub(super) fn failed(&self, operation: &'static str) -> impl FnOnce(sqlx::Error) -> Error {
        failed(self.location(), operation)
    }
}

pub(super) fn failed(location: String, operation: &'static str) -> impl FnOnce(sqlx::Error) -> Error {
    move |error| {
        if code(&error).is_some_and(|code| code == DISK_FULL) {
            return Error::StorageFull { operation, location, source: Some(cause(error)) };
        }
        Error::Storage { operation, location, source: cause(error) }
    }
}

/// Wraps what is reported while a store is opened: what only another address or another right can mend says so.
pub(super) fn refused(location: String, operation: &'static str) -> impl FnOnce(sqlx::Error) -> Error {
    move |error| match code(&error).as_deref() {
        Some(NO_DATABASE | WRONG_PASSWORD | NOT_ALLOWED_IN | NO_PRIVILEGE) => {
            Error::NotAStore { location, problem: cause(error).to_string() }
        }
        _ => failed(location, operation)(error),
    }
}

pub(super) fn code(error: &sqlx::Error) -> Option<Cow<'_, str>> {
    error.as_database_error().and_then(DatabaseError::code)
}

/// Returns whether the connection is gone, so that another one may do better.
pub(super) fn is_lost(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_) | sqlx::Error::Protocol(_) | sqlx::Error::Tls(_) => true,
        // The server ended it: it stops, has crashed, or ran out of patience.
        _ => code(error).is_some_and(|code| {
            code.starts_with("57P") || code.starts_with("08") || matches!(&*code, "25P03" | "25P04")
        }),
    }
}

/// Takes PostgreSQL's sentence and code, without the line of its source that the library adds.
fn cause(error: sqlx::Error) -> BoxError {
    match error {
        sqlx::Error::Database(reported) => {
            let code = reported.code().unwrap_or_default();
            format!("PostgreSQL reports: {} (SQLSTATE {code})", reported.message()).into()
        }
        sqlx::Error::Io(error) => error.into(),
        error => error.into(),
    }
}
