//! What the log keeps, as an administrator set it.

use std::time::Duration;

use chrono::TimeDelta;
use sea_query::{Alias, Expr, ExprTrait, Query, SelectStatement};

use super::content::ContentLimits;
use super::{Category, ONLY, SETTINGS};
use crate::server::db::{DbError, Row, Transaction};

/// What holds for the rows of a category.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kept {
    pub(super) is_enabled: bool,
    pub(super) content: ContentLimits,
}

/// What holds for cleaning up.
#[derive(Clone, Debug)]
pub(super) struct CleanUp {
    pub(super) is_enabled: bool,
    /// How long after midnight, UTC, it is to be done.
    pub(super) after_midnight: Duration,
    /// For how long the rows of each category are kept; those that are not named, for ever.
    pub(super) lives: Vec<(Category, TimeDelta)>,
}

/// Reads what holds for a category.
pub(super) async fn of_category(transaction: &mut Transaction, category: Category) -> Result<Kept, DbError> {
    let query = select([category.switch(), "max_content_size_mb", "compress_large_content"]);
    let row = transaction.first::<(bool, i64, bool)>(&query).await?;
    let (is_enabled, most, compress_large) = row.ok_or(sqlx::Error::RowNotFound)?;
    let most_bytes = usize::try_from(most).unwrap_or(0) * 1024 * 1024;
    Ok(Kept { is_enabled, content: ContentLimits { most_bytes, compress_large } })
}

/// Reads what holds for cleaning up.
pub(super) async fn clean_up(transaction: &mut Transaction) -> Result<CleanUp, DbError> {
    let query = select(
        ["auto_cleanup_enabled", "cleanup_time_hour"]
            .into_iter()
            .chain(Category::ALL.iter().map(|category| category.days())),
    );
    let row = transaction.rows(&query).await?.pop().ok_or(sqlx::Error::RowNotFound)?;
    let number = |row: &Row, column| Ok::<_, DbError>(row.get::<i64>(column)?.unwrap_or(0));
    let mut lives = Vec::new();
    for category in Category::ALL {
        match number(&row, category.days())? {
            days if days > 0 => lives.push((*category, TimeDelta::days(days))),
            _ => {}
        }
    }
    let hour = u64::try_from(number(&row, "cleanup_time_hour")?).unwrap_or(0);
    Ok(CleanUp {
        is_enabled: row.get("auto_cleanup_enabled")?.unwrap_or(false),
        after_midnight: Duration::from_secs(hour * 60 * 60),
        lives,
    })
}

fn select(columns: impl IntoIterator<Item = &'static str>) -> SelectStatement {
    Query::select()
        .columns(columns.into_iter().map(Alias::new))
        .from(Alias::new(SETTINGS))
        .and_where(Expr::col(Alias::new("id")).eq(ONLY))
        .take()
}
