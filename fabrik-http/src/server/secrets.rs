//! Secrets of the server itself: random, made once, kept in the database.

use aws_lc_rs::rand;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use sea_query::{Alias, Expr, ExprTrait, OnConflict, Query};

use super::clock::Clock;
use super::db::{Database, DbError};

const TABLE: &str = "server_secret";

/// Returns bytes that nobody can guess.
pub(crate) fn random_bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    rand::fill(&mut bytes).expect("the system gives random bytes");
    bytes
}

/// Returns a text that nobody can guess: 256 bits, safe in an address.
pub(crate) fn random_token() -> String {
    BASE64_URL_SAFE_NO_PAD.encode(random_bytes::<32>())
}

/// Returns what is kept of a token: enough to know it again, nothing to use it.
pub(crate) fn fingerprint(token: &str) -> Vec<u8> {
    blake3::hash(token.as_bytes()).as_bytes().to_vec()
}

/// Returns the key that tokens are signed with, the same for all servers on one database.
pub(crate) async fn signing_key(db: &Database, clock: &Clock) -> Result<Vec<u8>, DbError> {
    keep_unless_there(db, clock, "signing_key", random_bytes::<32>().to_vec()).await?;
    let key = read(db, "signing_key").await?;
    Ok(key.expect("the key was just kept"))
}

/// Reads a secret.
pub(crate) async fn read(db: &Database, name: &str) -> Result<Option<Vec<u8>>, DbError> {
    let query = Query::select().column(Alias::new("value")).from(Alias::new(TABLE)).and_where(named(name)).take();
    Ok(db.first::<(Vec<u8>,)>(&query).await?.map(|(value,)| value))
}

/// Keeps a secret; one that is there stays, so that the first of two servers wins.
pub(crate) async fn keep_unless_there(db: &Database, clock: &Clock, name: &str, value: Vec<u8>) -> Result<(), DbError> {
    let columns = ["name", "value", "created_at"].map(Alias::new);
    let insert = Query::insert()
        .into_table(Alias::new(TABLE))
        .columns(columns)
        .values_panic([name.into(), value.into(), clock.now().into()])
        .on_conflict(OnConflict::column(Alias::new("name")).do_nothing().to_owned())
        .take();
    db.run(&insert).await.map(|_| ())
}

/// Forgets a secret and returns whether it was there: of two who ask, one gets yes.
pub(crate) async fn forget(db: &Database, name: &str) -> Result<bool, DbError> {
    let gone = Query::delete().from_table(Alias::new(TABLE)).and_where(named(name)).take();
    Ok(db.run(&gone).await? > 0)
}

fn named(name: &str) -> Expr {
    Expr::col(Alias::new("name")).eq(name)
}
