//! Trying a connection: can the controller be reached, and does it let the user in?

use std::num::NonZeroU64;
use std::sync::{Mutex, PoisonError};

use fabrik_apic::Client;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared, WeakShared};
use hashbrown::HashMap;
use sea_query::{Alias, Expr, ExprTrait, Query};

use super::pool::say_goodbye;
use super::{Connection, TABLE};
use crate::server::db::{DbError, Transaction};
use crate::server::error::{ApiError, chain};
use crate::server::state::AppState;

/// How much of what a controller says is kept.
const MOST_CHARACTERS: usize = 1000;
/// How long a controller may take to answer a test, whatever the connection allows.
const WITHIN: NonZeroU64 = NonZeroU64::new(15).expect("15 is not 0");

/// What came of a test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tested {
    pub(crate) is_good: bool,
    /// A sentence for people.
    pub(crate) message: String,
}

/// A connection, and what it is.
type Key = (i64, blake3::Hash);
type Test = BoxFuture<'static, Tested>;

/// The tests that are under way, so that many who ask make one login.
#[derive(Debug, Default)]
pub(crate) struct UnderWay(Mutex<HashMap<Key, WeakShared<Test>>>);

impl UnderWay {
    fn join(&self, key: Key, test: Test) -> Shared<Test> {
        let mut under_way = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        under_way.retain(|_, test| test.upgrade().is_some());
        if let Some(test) = under_way.get(&key).and_then(WeakShared::upgrade) {
            return test;
        }
        let test = test.shared();
        under_way.extend(test.downgrade().map(|weak| (key, weak)));
        test
    }
}

/// Logs in as the connection says, in a session of its own, and out again. A connection that is switched off can be
/// tested, too.
///
/// Fails where the password cannot be opened.
pub(crate) async fn test(state: &AppState, connection: &Connection) -> Result<Tested, ApiError> {
    let mut options = connection.options();
    options.timeout_seconds = options.timeout_seconds.min(WITHIN);
    // Somebody waits for the answer.
    options.retry.attempts = 1;
    let client = Client::new(options, connection.credentials(state)?);
    let client = client.map_err(|error| ApiError::Internal(error.into()))?;
    let key = (connection.id, connection.fingerprint());
    Ok(state.controllers().tests.join(key, try_login(client).boxed()).await)
}

async fn try_login(client: Client) -> Tested {
    let tested = match client.check().await {
        Ok(controller) if controller.version.is_empty() => Tested { is_good: true, message: "Connected".to_owned() },
        Ok(controller) => {
            Tested { is_good: true, message: sentence(&format!("Connected to version {}", controller.version)) }
        }
        Err(error) => Tested { is_good: false, message: sentence(&chain(&error)) },
    };
    say_goodbye([client]);
    tested
}

/// Makes of what another machine said a text that every database keeps.
fn sentence(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).take(MOST_CHARACTERS).collect()
}

/// Keeps what came of a test.
pub(crate) async fn remember_test(
    transaction: &mut Transaction,
    state: &AppState,
    id: i64,
    tested: &Tested,
) -> Result<(), DbError> {
    let status = if tested.is_good { "success" } else { "failed" };
    let update = Query::update()
        .table(Alias::new(TABLE))
        .value(Alias::new("last_tested_at"), state.clock().now())
        .value(Alias::new("last_test_status"), status)
        .value(Alias::new("last_test_message"), tested.message.as_str())
        .and_where(Expr::col(Alias::new("id")).eq(id))
        .take();
    transaction.run(&update).await.map(|_| ())
}
