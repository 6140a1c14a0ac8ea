//! Documents: small texts by kind and name.

use sqlx::{PgConnection, query};

use super::PostgresStore;
use super::records::text;
use crate::error::Result;
use crate::store::Document;

pub(super) async fn list(store: &PostgresStore, connection: &mut PgConnection, kind: &str) -> Result<Vec<Document>> {
    let failed = || store.failed("listing documents");
    let rows = query("SELECT name, body FROM document WHERE kind = $1 ORDER BY name")
        .bind(kind.as_bytes())
        .fetch_all(connection)
        .await
        .map_err(failed())?;
    let document = |row| Ok(Document { kind: kind.into(), name: text(&row, 0)?, body: text(&row, 1)? });
    rows.into_iter().map(document).collect::<sqlx::Result<_>>().map_err(failed())
}

pub(super) async fn put(store: &PostgresStore, connection: &mut PgConnection, document: &Document) -> Result<()> {
    query(
        "INSERT INTO document (kind, name, body) VALUES ($1, $2, $3)
         ON CONFLICT (kind, name) DO UPDATE SET body = excluded.body",
    )
    .bind(document.kind.as_bytes())
    .bind(document.name.as_bytes())
    .bind(document.body.as_bytes())
    .execute(connection)
    .await
    .map_err(store.failed("storing a document"))?;
    Ok(())
}

pub(super) async fn delete(
    store: &PostgresStore,
    connection: &mut PgConnection,
    kind: &str,
    name: &str,
) -> Result<bool> {
    let deleted = query("DELETE FROM document WHERE kind = $1 AND name = $2")
        .bind(kind.as_bytes())
        .bind(name.as_bytes())
        .execute(connection)
        .await
        .map_err(store.failed("deleting a document"))?;
    Ok(deleted.rows_affected() > 0)
}
