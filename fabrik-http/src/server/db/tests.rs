//! Both databases, asked for what they hold.

use std::collections::BTreeSet;

use fabrik_core::store::conformance::postgres::server as postgres;

use super::*;

/// A column: table, name, type in the words of SQLite, whether it may be null.
type Column = (String, String, String, bool);
/// An index: table, columns (an expression is "?"), whether it is unique, whether it holds for some rows only.
type Index = (String, Vec<String>, bool, bool);

async fn sqlite() -> (BTreeSet<Column>, BTreeSet<Index>) {
    let Database::Sqlite(pool) = DatabasePlace::Memory.connect().await.unwrap() else { panic!("it is SQLite") };
    let tables = "m.type = 'table' AND m.name NOT LIKE 'sqlite!_%' ESCAPE '!' AND m.name NOT LIKE '!_sqlx%' ESCAPE '!'";
    let columns: Vec<(String, String, String, bool, i64)> = sqlx::query_as(AssertSqlSafe(format!(
        "SELECT m.name, p.name, p.type, p.\"notnull\" = 0, p.pk FROM sqlite_master m, pragma_table_info(m.name) p WHERE {tables}"
    )))
    .fetch_all(&pool)
    .await
    .unwrap();
    let columns = columns.into_iter().map(|(table, name, kind, nullable, key)| {
        // The number that SQLite counts up is of this type only, and never null.
        let kind = if kind == "INTEGER" { "BIGINT".to_owned() } else { kind };
        (table, name, kind, nullable && key == 0)
    });
    let indexes: Vec<(String, String, bool, bool)> = sqlx::query_as(AssertSqlSafe(format!(
        "SELECT m.name, l.name, l.\"unique\", l.partial FROM sqlite_master m, pragma_index_list(m.name) l WHERE {tables}"
    )))
    .fetch_all(&pool)
    .await
    .unwrap();
    let mut found = BTreeSet::new();
    for (table, index, unique, partial) in indexes {
        let names = "SELECT COALESCE(name, '?') FROM pragma_index_info($1) ORDER BY seqno";
        let names: Vec<(String,)> = sqlx::query_as(names).bind(index).fetch_all(&pool).await.unwrap();
        found.insert((table, names.into_iter().map(|(name,)| name).collect(), unique, partial));
    }
    (columns.collect(), found)
}

async fn postgresql() -> (BTreeSet<Column>, BTreeSet<Index>, BTreeSet<String>) {
    let place: DatabasePlace = postgres().url(postgres().new_address().schema()).parse().unwrap();
    let Database::Postgres(pool) = place.connect().await.unwrap() else { panic!("it is PostgreSQL") };
    let columns: Vec<(String, String, String, bool)> = sqlx::query_as(
        "SELECT table_name::text, column_name::text, data_type::text, is_nullable = 'YES' FROM information_schema.columns \
         WHERE table_schema = current_schema() AND table_name NOT LIKE '!_sqlx%' ESCAPE '!'",
    )
    .fetch_all(&pool)
    .await
    .unwrap();
    let columns = columns.into_iter().map(|(table, name, kind, nullable)| {
        let kind = match &*kind {
            "timestamp with time zone" => "DATETIME".to_owned(),
            "bytea" => "BLOB".to_owned(),
            other => other.to_uppercase(),
        };
        (table, name, kind, nullable)
    });
    let indexes: Vec<(String, Vec<String>, bool, bool, bool)> = sqlx::query_as(
        "SELECT t.relname::text, ARRAY(SELECT COALESCE(a.attname::text, '?') FROM unnest(i.indkey) WITH ORDINALITY k(n, at) \
         LEFT JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = k.n AND k.n > 0 ORDER BY k.at), \
         i.indisunique, i.indpred IS NOT NULL, i.indisprimary \
         FROM pg_index i JOIN pg_class t ON t.oid = i.indrelid JOIN pg_namespace n ON n.oid = t.relnamespace \
         WHERE n.nspname = current_schema() AND t.relname NOT LIKE '!_sqlx%' ESCAPE '!'",
    )
    .fetch_all(&pool)
    .await
    .unwrap();
    // The key that SQLite counts up has no index of its own.
    let counted: Vec<(String,)> = sqlx::query_as(
        "SELECT table_name::text FROM information_schema.columns \
         WHERE table_schema = current_schema() AND is_identity = 'YES'",
    )
    .fetch_all(&pool)
    .await
    .unwrap();
    let counted: BTreeSet<String> = counted.into_iter().map(|(table,)| table).collect();
    let indexes = indexes
        .into_iter()
        .filter(|(table, _, _, _, is_primary)| !(*is_primary && counted.contains(table)))
        .map(|(table, names, unique, partial, _)| (table, names, unique, partial));
    (columns.collect(), indexes.collect(), counted)
}

#[tokio::test]
async fn both_databases_hold_the_same_tables_columns_and_indexes() {
    let (sqlite, postgresql) = (sqlite().await, postgresql().await);

    assert!(sqlite.0.len() > 50 && sqlite.1.len() > 10 && !postgresql.2.is_empty());
    assert_eq!(sqlite.0, postgresql.0);
    assert_eq!(sqlite.1, postgresql.1);
}

#[tokio::test]
async fn two_servers_make_one_schema_at_the_same_time() {
    let place: DatabasePlace = postgres().url(postgres().new_address().schema()).parse().unwrap();

    let (one, other) = tokio::join!(place.connect(), place.connect());

    one.unwrap().ping().await.unwrap();
    other.unwrap().ping().await.unwrap();
}
