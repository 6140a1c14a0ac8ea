//! A row of the log as it is kept, and its hashes.
//!
//! `content_hash` is the SHA-256 of what the row says, written as a JSON list. `hash` is the SHA-256 of: the `hash` of
//! the row before (32 bytes; none before the first), the sequence and the time in microseconds (8 bytes each, big
//! endian), the id (16 bytes), the length of the category's name (8 bytes, big endian) and the name, and `content_hash`
//! (32 bytes). What retention leaves of a row is therefore still bound to its place.

use chrono::{DateTime, Utc};
use sea_query::{Alias, Query, SelectStatement};
use serde_json::json;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::LOG;
use crate::server::db::{DbError, Row as DbRow};

/// A row as it is kept.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) link: Link,
    pub(super) said: Said,
    pub(super) hash: Vec<u8>,
    /// When retention took what the row said.
    pub(super) forgotten_at: Option<DateTime<Utc>>,
}

/// What binds a row to its place; retention leaves it.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) sequence: i64,
    pub(super) id: Uuid,
    pub(super) timestamp: DateTime<Utc>,
    pub(super) category: String,
    pub(super) content_hash: Vec<u8>,
}

impl Link {
    /// Hashes the link onto the row before.
    pub(super) fn hash(&self, before: &[u8]) -> Vec<u8> {
        Sha256::new()
            .chain_update(before)
            .chain_update(self.sequence.to_be_bytes())
            .chain_update(self.timestamp.timestamp_micros().to_be_bytes())
            .chain_update(self.id.as_bytes())
            .chain_update((self.category.len() as u64).to_be_bytes())
            .chain_update(&self.category)
            .chain_update(&self.content_hash)
            .finalize()
            .to_vec()
    }
}

/// What a row says; retention takes it. The default is a row that says nothing.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Said {
    pub(super) user: Option<i64>,
    pub(super) username: String,
    pub(super) ip_address: String,
    pub(super) user_agent: String,
    pub(super) action: String,
    pub(super) resource_type: String,
    pub(super) resource_id: String,
    pub(super) resource_name: String,
    pub(super) description: String,
    /// JSON, to the letter as it was hashed.
    pub(super) metadata: String,
    pub(super) content: Option<Vec<u8>>,
    pub(super) content_compressed: bool,
    pub(super) content_size: i64,
    pub(super) content_truncated: bool,
    pub(super) success: bool,
    pub(super) error_message: String,
}

impl Said {
    /// Hashes it as a JSON list, which no two rows that say different things share.
    pub(super) fn hash(&self) -> Vec<u8> {
        let content = self.content.as_ref().map(|content| hex(&Sha256::digest(content)));
        let said = json!([
            self.user,
            self.username,
            self.ip_address,
            self.user_agent,
            self.action,
            self.resource_type,
            self.resource_id,
            self.resource_name,
            self.description,
            self.metadata,
            content,
            self.content_compressed,
            self.content_size,
            self.content_truncated,
            self.success,
            self.error_message,
        ]);
        Sha256::digest(said.to_string().as_bytes()).to_vec()
    }

    /// Returns the columns and what to write into them.
    pub(super) fn columns(&self) -> [(&'static str, sea_query::Value); 16] {
        [
            ("user", self.user.into()),
            ("username", self.username.clone().into()),
            ("ip_address", self.ip_address.clone().into()),
            ("user_agent", self.user_agent.clone().into()),
            ("action", self.action.clone().into()),
            ("resource_type", self.resource_type.clone().into()),
            ("resource_id", self.resource_id.clone().into()),
            ("resource_name", self.resource_name.clone().into()),
            ("description", self.description.clone().into()),
            ("metadata", self.metadata.clone().into()),
            ("content", self.content.clone().into()),
            ("content_compressed", self.content_compressed.into()),
            ("content_size", self.content_size.into()),
            ("content_truncated", self.content_truncated.into()),
            ("success", self.success.into()),
            ("error_message", self.error_message.clone().into()),
        ]
    }

    fn read(row: &DbRow) -> Result<Self, DbError> {
        let text = |column| Ok::<_, DbError>(row.get::<String>(column)?.unwrap_or_default());
        let switch = |column| Ok::<_, DbError>(row.get::<bool>(column)?.unwrap_or_default());
        Ok(Self {
            user: row.get("user")?,
            username: text("username")?,
            ip_address: text("ip_address")?,
            user_agent: text("user_agent")?,
            action: text("action")?,
            resource_type: text("resource_type")?,
            resource_id: text("resource_id")?,
            resource_name: text("resource_name")?,
            description: text("description")?,
            metadata: text("metadata")?,
            content: row.get("content")?,
            content_compressed: switch("content_compressed")?,
            content_size: row.get("content_size")?.unwrap_or_default(),
            content_truncated: switch("content_truncated")?,
            success: switch("success")?,
            error_message: text("error_message")?,
        })
    }
}

impl Row {
    /// Makes the row that comes after one with the hash `before`.
    pub(super) fn after(before: &[u8], link: Link, said: Said) -> Self {
        let hash = link.hash(before);
        Self { link, said, hash, forgotten_at: None }
    }

    /// Returns the statement that adds the row.
    pub(super) fn insert(&self) -> sea_query::InsertStatement {
        let mut columns: Vec<(&str, sea_query::Value)> = vec![
            ("sequence", self.link.sequence.into()),
            ("id", self.link.id.into()),
            ("timestamp", self.link.timestamp.into()),
            ("category", self.link.category.clone().into()),
            ("content_hash", self.link.content_hash.clone().into()),
            ("hash", self.hash.clone().into()),
        ];
        columns.extend(self.said.columns());
        let (names, values): (Vec<_>, Vec<sea_query::Expr>) =
            columns.into_iter().map(|(name, value)| (Alias::new(name), value.into())).unzip();
        Query::insert().into_table(Alias::new(LOG)).columns(names).values_panic(values).take()
    }

    /// Returns a query for rows with everything in them.
    pub(super) fn select() -> SelectStatement {
        let own = ["sequence", "id", "timestamp", "category", "content_hash", "hash", "forgotten_at"];
        let said = Said::default().columns().map(|(name, _)| name);
        Query::select().columns(own.into_iter().chain(said).map(Alias::new)).from(Alias::new(LOG)).take()
    }

    /// Reads a row of [`Row::select`].
    pub(super) fn read(row: &DbRow) -> Result<Self, DbError> {
        let link = Link {
            sequence: row.get("sequence")?.unwrap_or_default(),
            id: row.get("id")?.unwrap_or_default(),
            timestamp: row.get("timestamp")?.unwrap_or_default(),
            category: row.get("category")?.unwrap_or_default(),
            content_hash: row.get("content_hash")?.unwrap_or_default(),
        };
        let hash = row.get("hash")?.unwrap_or_default();
        Ok(Self { link, said: Said::read(row)?, hash, forgotten_at: row.get("forgotten_at")? })
    }
}

/// Writes bytes as hex digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a string takes everything");
        text
    })
}
