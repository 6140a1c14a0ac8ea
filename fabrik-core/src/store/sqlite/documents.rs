//! Documents: small texts by kind and name.

use rusqlite::{Connection as Sqlite, params};

use super::SqliteStore;
use crate::error::Result;
use crate::store::Document;

pub(super) fn list(store: &SqliteStore, sqlite: &Sqlite, kind: &str) -> Result<Vec<Document>> {
    let failed = || store.failed("listing documents");
    // Texts compare as their UTF-8 bytes, the collation being BINARY.
    let mut select =
        sqlite.prepare_cached("SELECT name, body FROM document WHERE kind = ?1 ORDER BY name").map_err(failed())?;
    let document = |row: &rusqlite::Row<'_>| Ok(Document { kind: kind.into(), name: row.get(0)?, body: row.get(1)? });
    select.query_map([kind], document).and_then(Iterator::collect).map_err(failed())
}

pub(super) fn put(store: &SqliteStore, sqlite: &Sqlite, document: &Document) -> Result<()> {
    sqlite
        .prepare_cached("INSERT OR REPLACE INTO document (kind, name, body) VALUES (?1, ?2, ?3)")
        .and_then(|mut insert| insert.execute(params![document.kind, document.name, document.body]))
        .map_err(store.failed("storing a document"))?;
    Ok(())
}

pub(super) fn delete(store: &SqliteStore, sqlite: &Sqlite, kind: &str, name: &str) -> Result<bool> {
    let deleted = sqlite
        .prepare_cached("DELETE FROM document WHERE kind = ?1 AND name = ?2")
        .and_then(|mut delete| delete.execute([kind, name]))
        .map_err(store.failed("deleting a document"))?;
    Ok(deleted > 0)
}
