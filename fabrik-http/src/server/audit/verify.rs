//! Verification: does the log still say what was appended?
//!
//! It tells of every row that was changed, removed, inserted or moved. Who can write to the database can also write the
//! whole chain anew; whoever noted the hash of the last row elsewhere sees that, too.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use sea_query::{Alias, Expr, ExprTrait, Func, Order, Query};
use serde_json::Value;

use super::report::{AuditDamage, AuditDamageKind, AuditHead, AuditReport};
use super::row::{Row, Said, hex};
use super::{CHAIN, Chain, DROPPED, FORGOTTEN};
use crate::server::db::{Database, DatabasePlace, DbError};
use crate::server::state::AppState;

/// How many rows are read at once.
const BATCH: u64 = 1_000;
/// How many places of damage are told.
const MOST: usize = 1_000;
/// How often the reading begins anew because retention moved the beginning meanwhile.
const TRIES: usize = 3;

/// Reads the audit log of a server and checks it.
///
/// # Errors
///
/// A database that fails.
pub async fn verify_audit(state: &AppState) -> Result<AuditReport, DbError> {
    verify(state.db(), None).await
}

/// Reads the audit log in the database at a place and checks it; there may be none.
///
/// Where a row was noted, the log must have it. Nothing is made or changed there, and a server may run on it meanwhile.
///
/// # Errors
///
/// A database that cannot be reached or fails.
pub async fn verify_audit_at(place: &DatabasePlace, noted: Option<&AuditHead>) -> Result<Option<AuditReport>, DbError> {
    let Some(db) = place.connect_existing().await? else { return Ok(None) };
    let report = if has_log(&db).await? { Some(verify(&db, noted).await?) } else { None };
    db.close().await;
    Ok(report)
}

async fn has_log(db: &Database) -> Result<bool, DbError> {
    let (table, column) = match db {
        Database::Sqlite(_) => ("sqlite_master", "name"),
        Database::Postgres(_) => ("pg_tables", "tablename"),
    };
    let mut query = Query::select()
        .expr(Func::count(Expr::col(sea_query::Asterisk)))
        .from(Alias::new(table))
        .and_where(Expr::col(Alias::new(column)).eq(CHAIN))
        .take();
    if let Database::Postgres(_) = db {
        query.and_where(Expr::col(Alias::new("schemaname")).eq(Expr::cust("current_schema()")));
    }
    Ok(db.number(&query).await? > 0)
}

async fn verify(db: &Database, noted: Option<&AuditHead>) -> Result<AuditReport, DbError> {
    let mut tries = 1;
    loop {
        let beginning = db.first::<Chain>(&Chain::select()).await?;
        let report = Walk::new(beginning.clone(), noted).walk(db).await?;
        let moved = db.first::<Chain>(&Chain::select()).await?;
        let first = |chain: &Option<Chain>| chain.as_ref().map(|chain| chain.first_sequence);
        if first(&beginning) == first(&moved) || tries == TRIES {
            return Ok(report);
        }
        tries += 1;
    }
}

/// The way along the rows.
struct Walk<'a> {
    noted: Option<&'a AuditHead>,
    chain: Option<Chain>,
    rows: u64,
    /// The sequence of the row read last.
    at: i64,
    /// The hash of the row read last, where it could be read.
    before: Option<Vec<u8>>,
    /// The youngest forgotten row of each category, by when it was forgotten, that no announcement was found for yet.
    forgotten: BTreeMap<(DateTime<Utc>, String), (DateTime<Utc>, i64)>,
    is_beginning_announced: bool,
    damage: Vec<AuditDamage>,
}

impl<'a> Walk<'a> {
    fn new(chain: Option<Chain>, noted: Option<&'a AuditHead>) -> Self {
        let first = chain.as_ref().map_or(1, |chain| chain.first_sequence);
        Self {
            noted,
            rows: 0,
            at: first - 1,
            before: chain.as_ref().map(|chain| chain.hash_before_first.clone()),
            forgotten: BTreeMap::new(),
            is_beginning_announced: first == 1,
            damage: Vec::new(),
            chain,
        }
    }

    fn hurt(&mut self, sequence: i64, kind: AuditDamageKind) {
        if self.damage.len() < MOST {
            self.damage.push(AuditDamage { sequence, kind });
        }
    }

    async fn walk(mut self, db: &Database) -> Result<AuditReport, DbError> {
        self.find_inserted_before(db).await?;
        let first = self.at + 1;
        // What the first row follows is still known when retention dropped it.
        if let Some(before) = self.before.clone() {
            self.compare_with_noted(self.at, &before);
        }
        loop {
            while self.read_batch(db).await? {}
            let end = db.first::<Chain>(&Chain::select()).await?;
            // More was appended while this was read.
            let is_behind = end.as_ref().is_some_and(|end| end.last_sequence > self.at) && end != self.chain;
            self.chain = end;
            if !is_behind {
                break;
            }
        }
        let (last_sequence, last_hash) = self.check_end();
        if let Some(noted) = self.noted.filter(|noted| noted.sequence > self.at) {
            self.hurt(noted.sequence, AuditDamageKind::RowMissing);
        }
        // These come last, because an announcement that was damaged is the damage, and not what it announced.
        for (_, sequence) in std::mem::take(&mut self.forgotten).into_values() {
            self.hurt(sequence, AuditDamageKind::ForgottenUnannounced);
        }
        if !self.is_beginning_announced {
            self.hurt(first, AuditDamageKind::BeginningUnannounced);
        }
        Ok(AuditReport {
            rows: self.rows,
            first_sequence: first,
            last_sequence,
            last_hash: hex(&last_hash),
            damage: self.damage,
        })
    }

    async fn find_inserted_before(&mut self, db: &Database) -> Result<(), DbError> {
        let before = Row::select()
            .and_where(Expr::col(Alias::new("sequence")).lte(self.at))
            .order_by(Alias::new("sequence"), Order::Asc)
            .limit(MOST as u64)
            .take();
        for row in db.rows(&before).await? {
            let sequence = row.get::<i64>("sequence").ok().flatten().unwrap_or_default();
            self.hurt(sequence, AuditDamageKind::RowInserted);
        }
        Ok(())
    }

    /// Reads the next rows and returns whether there were any.
    async fn read_batch(&mut self, db: &Database) -> Result<bool, DbError> {
        let query = Row::select()
            .and_where(Expr::col(Alias::new("sequence")).gt(self.at))
            .order_by(Alias::new("sequence"), Order::Asc)
            .limit(BATCH)
            .take();
        let start = self.at;
        for row in db.rows(&query).await? {
            self.rows += 1;
            match (Row::read(&row), row.get::<i64>("sequence")) {
                (Ok(row), _) => self.check(row),
                (Err(_), Ok(Some(sequence))) => {
                    self.pass_gap(sequence);
                    self.hurt(sequence, AuditDamageKind::RowUnreadable);
                    self.at = sequence;
                    self.before = None;
                }
                // Without a place of its own it does not lead further.
                (Err(_), _) => self.hurt(self.at + 1, AuditDamageKind::RowUnreadable),
            }
        }
        Ok(self.at > start)
    }

    /// Tells of the gap before a row, if there is one.
    fn pass_gap(&mut self, sequence: i64) {
        if sequence > self.at + 1 {
            self.hurt(self.at + 1, AuditDamageKind::RowMissing);
            self.before = None;
        }
    }

    fn check(&mut self, row: Row) {
        let sequence = row.link.sequence;
        self.pass_gap(sequence);
        match row.forgotten_at {
            None if row.said.hash() != row.link.content_hash => self.hurt(sequence, AuditDamageKind::ContentChanged),
            None => self.hear(&row.said, row.link.timestamp),
            Some(_) if row.said != Said::default() => self.hurt(sequence, AuditDamageKind::ContentChanged),
            Some(when) => {
                let youngest =
                    self.forgotten.entry((when, row.link.category.clone())).or_insert((row.link.timestamp, sequence));
                youngest.0 = Ord::max(youngest.0, row.link.timestamp);
            }
        }
        if self.before.as_ref().is_some_and(|before| row.link.hash(before) != row.hash) {
            self.hurt(sequence, AuditDamageKind::LinkBroken);
        }
        self.compare_with_noted(sequence, &row.hash);
        self.at = sequence;
        self.before = Some(row.hash);
    }

    fn compare_with_noted(&mut self, sequence: i64, hash: &[u8]) {
        if self.noted.is_some_and(|noted| noted.sequence == sequence && noted.hash != hex(hash)) {
            self.hurt(sequence, AuditDamageKind::NotAsNoted);
        }
    }

    /// Takes what retention announced.
    fn hear(&mut self, said: &Said, timestamp: DateTime<Utc>) {
        if said.action != FORGOTTEN && said.action != DROPPED {
            return;
        }
        let metadata: Value = serde_json::from_str(&said.metadata).unwrap_or_default();
        if said.action == DROPPED {
            let first = self.chain.as_ref().map(|chain| chain.first_sequence);
            self.is_beginning_announced |= first.is_some() && metadata["first_sequence"].as_i64() == first;
            return;
        }
        self.forgotten.retain(|(when, category), (youngest, _)| {
            let before = metadata["before"][&**category].as_str();
            let before = before.and_then(|text| DateTime::parse_from_rfc3339(text).ok());
            *when != timestamp || before.is_none_or(|before| *youngest >= before)
        });
    }

    /// Compares the end of the rows with the end of the chain, and returns the latter.
    fn check_end(&mut self) -> (i64, Vec<u8>) {
        let Some(chain) = self.chain.clone() else {
            self.hurt(self.at, AuditDamageKind::HeadMismatch);
            return (self.at, self.before.clone().unwrap_or_default());
        };
        if chain.last_sequence > self.at {
            self.hurt(self.at + 1, AuditDamageKind::RowMissing);
        } else if chain.last_sequence < self.at {
            self.hurt(chain.last_sequence + 1, AuditDamageKind::RowInserted);
        } else if self.before.as_ref() != Some(&chain.last_hash) {
            self.hurt(self.at, AuditDamageKind::HeadMismatch);
        }
        (chain.last_sequence, chain.last_hash)
    }
}
