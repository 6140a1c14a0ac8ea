//! Mail: queued in the transaction of what it tells about, sent in the background.
//!
//! The outbox is a table, so mail survives a restart and a mail server that is down. It is sent over SMTP, or written
//! into a folder where no server is set. Every server on the database sends; a row is claimed before it is sent.

mod outbox;
mod post;
#[cfg(test)]
mod tests;

use chrono::{DateTime, Utc};
use sea_query::{Alias, Query};

use super::db::{DbError, Transaction};
use super::settings::Settings;

pub(crate) use outbox::{next_try, purge, send_due};
pub(crate) use post::Post;

const TABLE: &str = "mail_outbox";

/// A message in plain text.
#[derive(Clone, Debug)]
pub(crate) struct Mail {
    /// The address it goes to.
    pub(crate) to: String,
    pub(crate) subject: String,
    pub(crate) text: String,
}

impl Mail {
    /// Queues it; it is sent once the transaction has ended.
    pub(crate) async fn queue(self, transaction: &mut Transaction, now: DateTime<Utc>) -> Result<(), DbError> {
        let columns = ["recipient", "subject", "body", "queued_at", "next_try_at"].map(Alias::new);
        let insert = Query::insert()
            .into_table(Alias::new(TABLE))
            .columns(columns)
            .values_panic([self.to.into(), self.subject.into(), self.text.into(), now.into(), now.into()])
            .take();
        transaction.run(&insert).await.map(|_| ())
    }
}

/// Says whether a server that takes mail is set, so that users get what is sent to them.
#[must_use]
pub(crate) fn is_configured(settings: &Settings) -> bool {
    settings.email.server.is_some()
}
