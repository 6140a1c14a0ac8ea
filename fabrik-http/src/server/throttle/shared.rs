//! Token buckets that servers on one database share.
//!
//! A bucket is one number: the moment at which it will be full again. Taking a token moves it by the time that a token
//! takes to come back, unless the bucket would have to be more than empty. That is the generic cell rate algorithm, as in
//! the buckets of the process: <https://en.wikipedia.org/wiki/Generic_cell_rate_algorithm>. A bucket that is full has no
//! row, and one statement does it all, so servers cannot take the same token.

use std::time::Duration;

use chrono::{DateTime, Utc};
use governor::Quota;
use sea_query::{Alias, CaseStatement, Expr, ExprTrait, OnConflict, Query};

use crate::server::db::{Database, DbError};
use crate::server::error::ApiError;
use crate::server::state::AppState;

const TABLE: &str = "server_throttle";
const FULL_AT: &str = "full_at_micros";

/// Takes a token, or returns how long it takes until there is one.
pub(super) async fn take(
    db: &Database,
    bucket: &str,
    quota: &Quota,
    now: DateTime<Utc>,
) -> Result<Option<Duration>, DbError> {
    let now = now.timestamp_micros();
    let step = i64::try_from(quota.replenish_interval().as_micros()).unwrap_or(i64::MAX / 4);
    let latest = now.saturating_add(step.saturating_mul(i64::from(quota.burst_size().get()) - 1));
    let full_at = || Expr::col((Alias::new(TABLE), Alias::new(FULL_AT)));
    let from: Expr = CaseStatement::new().case(full_at().gt(now), full_at()).finally(now).into();
    let conflict = OnConflict::column(Alias::new("bucket"))
        .value(Alias::new(FULL_AT), from.add(step))
        .action_and_where(full_at().lte(latest))
        .to_owned();
    let insert = Query::insert()
        .into_table(Alias::new(TABLE))
        .columns(["bucket", FULL_AT].map(Alias::new))
        .values_panic([bucket.into(), (now + step).into()])
        .on_conflict(conflict)
        .returning_col(Alias::new(FULL_AT))
        .take();
    if !db.all::<(i64,)>(&insert).await?.is_empty() {
        return Ok(None);
    }
    let query = Query::select()
        .column(Alias::new(FULL_AT))
        .from(Alias::new(TABLE))
        .and_where(Expr::col(Alias::new("bucket")).eq(bucket))
        .take();
    let full_at = db.first::<(i64,)>(&query).await?.map_or(latest, |(full_at,)| full_at);
    let wait = u64::try_from(full_at - latest).unwrap_or(0);
    Ok(Some(Duration::from_micros(std::cmp::max(wait, 1))))
}

/// Forgets the buckets that are full again.
pub(crate) async fn purge(state: &AppState) -> Result<(), ApiError> {
    let is_full = Expr::col(Alias::new(FULL_AT)).lte(state.clock().now().timestamp_micros());
    state.db().run(&Query::delete().from_table(Alias::new(TABLE)).and_where(is_full).take()).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use proptest::prelude::*;

    use super::*;
    use crate::server::clock::Clock;
    use crate::server::db::DatabasePlace;
    use crate::server::settings::Rate;
    use crate::server::throttle::{Bucket, Scope, Throttles};

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20))]

        #[test]
        fn shared_buckets_do_what_those_of_the_process_do(
            count in 1_u32..8, burst in 1_u32..5, pauses in prop::collection::vec(0_u64..40, 1..40)
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let db = DatabasePlace::Memory.connect().await.unwrap();
                let clock = Clock::manual(DateTime::UNIX_EPOCH + TimeDelta::days(20_000));
                let rate: Rate = format!("{count}/min burst {burst}").parse().unwrap();
                let throttles = Throttles::new(&[(Scope::Login, rate)], &clock);
                // In whole microseconds, as the database counts.
                for pause in pauses {
                    clock.advance(Duration::from_secs(pause));
                    let here = throttles.take_here(Scope::Login, Bucket::User(1)).err();
                    let shared = take(&db, "login", &rate.quota().unwrap(), clock.now()).await.unwrap();
                    let micros = |wait: Option<Duration>| wait.map(|wait| wait.as_secs_f64().round());
                    assert_eq!(micros(shared), micros(here));
                }
            });
        }
    }
}
