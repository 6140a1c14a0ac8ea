//! Names that are equal whatever their case.
//!
//! Databases disagree on what the lower case of a letter is: SQLite knows ASCII only, PostgreSQL what its locale says.
//! So the server folds, and keeps what it compares by in a column beside the name: `username` and `username_key`.

use hashbrown::HashSet;
use sea_query::{Alias, Expr, ExprTrait, Query};

use super::db::{Database, DbError, Transaction};

/// The columns that are compared by their fold, as `(table, column)`.
const FOLDED: [(&str, &str); 3] = [("auth_user", "username"), ("auth_user", "email"), ("auth_group", "name")];

/// Returns what a name is compared by.
pub(crate) fn fold(text: &str) -> String {
    text.to_lowercase()
}

/// Returns the column that holds the fold of another.
pub(crate) fn key_column(column: &str) -> String {
    format!("{column}_key")
}

/// Folds the names of rows that came from a server that did not.
pub(crate) async fn fill(db: &Database) -> Result<(), DbError> {
    let mut transaction = db.begin().await?;
    for (table, column) in FOLDED {
        fill_column(&mut transaction, table, column).await?;
    }
    transaction.commit().await
}

async fn fill_column(transaction: &mut Transaction, table: &str, column: &str) -> Result<(), DbError> {
    let key = key_column(column);
    let unfolded = Query::select()
        .columns(["id", column].map(Alias::new))
        .from(Alias::new(table))
        .and_where(Expr::col(Alias::new(&key)).is_null())
        .order_by(Alias::new("id"), sea_query::Order::Asc)
        .take();
    let mut rows = transaction.all::<(i64, String)>(&unfolded).await?;
    if rows.is_empty() {
        return Ok(());
    }
    let folded = Query::select()
        .column(Alias::new(&key))
        .from(Alias::new(table))
        .and_where(Expr::col(Alias::new(&key)).is_not_null())
        .take();
    let mut taken: HashSet<String> =
        transaction.all::<(String,)>(&folded).await?.into_iter().map(|(key,)| key).collect();
    // Who is spelled like the fold gets it.
    rows.sort_by_key(|(_, name)| *name != fold(name));
    for (id, name) in rows {
        let mut folded = fold(&name);
        if !folded.is_empty() && !taken.insert(folded.clone()) {
            tracing::warn!(
                table,
                column,
                id,
                "two names differ by case only; the later one goes by its exact spelling"
            );
            folded = name;
        }
        let write = Query::update()
            .table(Alias::new(table))
            .value(Alias::new(&key), folded)
            .and_where(Expr::col(Alias::new("id")).eq(id))
            .take();
        transaction.run(&write).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::db::DatabasePlace;
    use super::super::users;
    use super::*;

    async fn run(db: &Database, sql: &'static str) {
        match db {
            Database::Sqlite(pool) => sqlx::query(sql).execute(pool).await.map(|_| ()).unwrap(),
            Database::Postgres(pool) => sqlx::query(sql).execute(pool).await.map(|_| ()).unwrap(),
        }
    }

    #[tokio::test]
    async fn accounts_that_differ_by_case_alone_stay_reachable() {
        let place: DatabasePlace = "memory:".parse().unwrap();
        let db = place.connect().await.unwrap();
        let old = "INSERT INTO auth_user (username, email, date_joined) VALUES \
                   ('ÄNNE', 'Ä@lab.example', '2026-01-01 00:00:00+00:00'), ('änne', 'ä@lab.example', '2026-01-01 00:00:00+00:00'), \
                   ('ZOË', '', '2026-01-01 00:00:00+00:00'), ('Ben', '', '2026-01-01 00:00:00+00:00')";
        run(&db, old).await;

        fill(&db).await.unwrap();

        let found = async |name| users::by_name(&db, name).await.unwrap().map(|user| user.username);
        for (given, name) in
            [("ÄNNE", "ÄNNE"), ("änne", "änne"), ("Änne", "änne"), ("zoë", "ZOË"), ("ZOË", "ZOË"), ("BEN", "Ben")]
        {
            assert_eq!(found(given).await.as_deref(), Some(name), "{given}");
        }
        assert_eq!(found("zoe").await, None);
    }
}
