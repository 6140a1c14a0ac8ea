//! What users have that is counted.

use hashbrown::HashMap;
use sea_query::SelectStatement;

use super::Quota;
use crate::server::db::{Database, DbError};
use crate::server::{connections, queries, schedules};

/// Something a user has any number of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Stock {
    SavedQueries,
    FavoriteQueries,
    SharedQueries,
    ScheduledTasks,
    ApicConnections,
    /// AWX executions that run now.
    #[cfg_attr(not(test), expect(dead_code, reason = "comes with AWX"))]
    AwxExecutions,
}

/// Returns the query that counts the stock of these users: rows of a user's id and a number.
type Counting = fn(&[i64]) -> SelectStatement;

/// How each kind is counted. Nobody has any of a kind that is not listed.
///
/// Whoever adds a table of such things adds its line here, and `check_stock` before it inserts.
const COUNTED: &[(Stock, Counting)] = &[
    (Stock::ApicConnections, connections::counting),
    (Stock::SavedQueries, queries::counting),
    (Stock::FavoriteQueries, queries::counting_favorites),
    (Stock::SharedQueries, queries::counting_shared),
    (Stock::ScheduledTasks, schedules::counting),
];

impl Stock {
    /// Returns the quota that limits it.
    pub(crate) fn quota(self) -> Option<Quota> {
        match self {
            Self::SavedQueries => Some(Quota::SavedQueries),
            Self::ScheduledTasks => Some(Quota::ScheduledTasks),
            Self::ApicConnections => Some(Quota::ApicConnections),
            Self::AwxExecutions => Some(Quota::AwxConcurrent),
            Self::FavoriteQueries | Self::SharedQueries => None,
        }
    }

    /// Returns the query that counts it, where there is something to count.
    pub(super) fn counting(self, owners: &[i64]) -> Option<SelectStatement> {
        COUNTED.iter().find(|(stock, _)| *stock == self).map(|(_, counting)| counting(owners))
    }

    /// Counts it for each of these users.
    pub(crate) async fn of(self, db: &Database, owners: &[i64]) -> Result<HashMap<i64, i64>, DbError> {
        match self.counting(owners) {
            Some(query) => Ok(db.all::<(i64, i64)>(&query).await?.into_iter().collect()),
            None => Ok(HashMap::new()),
        }
    }

    /// Counts it for one user.
    pub(crate) async fn of_one(self, db: &Database, owner: i64) -> Result<i64, DbError> {
        Ok(self.of(db, &[owner]).await?.get(&owner).copied().unwrap_or_default())
    }
}
