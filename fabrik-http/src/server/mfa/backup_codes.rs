//! Codes for who has no authenticator at hand: eight, each good once.

use sea_query::{Alias, Expr, ExprTrait, Func, Query};

use crate::server::db::{Database, DbError, Transaction};
use crate::server::error::ApiError;
use crate::server::secrets;
use crate::server::state::AppState;

const TABLE: &str = "auth_backup_code";
/// How many a set has.
const COUNT: usize = 8;
/// How many characters a code has; an authenticator's have six.
pub(super) const LENGTH: usize = 8;
/// Letters and digits that are not taken for each other; 32, so that a byte has no favourites among them.
const ALPHABET: &[u8; 32] = b"ABCDEFGHJKLMNPQRSTUVWXYZ23456789";

/// Makes a set.
pub(super) fn generate() -> Vec<String> {
    let letter = |byte: u8| char::from(ALPHABET[usize::from(byte) % ALPHABET.len()]);
    (0..COUNT).map(|_| secrets::random_bytes::<LENGTH>().map(letter).iter().collect()).collect()
}

/// Returns what is kept of codes: 40 bits would be found quickly behind a fast hash.
pub(super) async fn stretch(state: &AppState, codes: Vec<String>, salt: &[u8]) -> Result<Vec<Vec<u8>>, ApiError> {
    let salt = salt.try_into().map_err(|_| ApiError::Internal("a salt does not have 16 bytes".into()))?;
    state.passwords().stretch(codes, salt).await
}

/// Keeps a set in place of the one before.
pub(super) async fn replace(transaction: &mut Transaction, user_id: i64, stretched: &[Vec<u8>]) -> Result<(), DbError> {
    transaction.run(&Query::delete().from_table(Alias::new(TABLE)).and_where(of(user_id)).take()).await?;
    let mut insert = Query::insert().into_table(Alias::new(TABLE)).columns(["user_id", "code"].map(Alias::new)).take();
    for code in stretched {
        insert.values_panic([user_id.into(), code.clone().into()]);
    }
    transaction.run(&insert).await.map(|_| ())
}

/// Spends a code and returns whether it was there.
pub(super) async fn spend(state: &AppState, user_id: i64, code: &str, salt: &[u8]) -> Result<bool, ApiError> {
    let stretched = stretch(state, vec![code.to_uppercase()], salt).await?.pop();
    let gone = Query::delete()
        .from_table(Alias::new(TABLE))
        .and_where(of(user_id))
        .and_where(Expr::col(Alias::new("code")).eq(stretched))
        .take();
    Ok(state.db().run(&gone).await? > 0)
}

/// Returns how many codes a user has left.
pub(crate) async fn remaining(db: &Database, user_id: i64) -> Result<i64, DbError> {
    let count = Func::count(Expr::col(Alias::new("code")));
    db.number(&Query::select().expr(count).from(Alias::new(TABLE)).and_where(of(user_id)).take()).await
}

fn of(user_id: i64) -> Expr {
    Expr::col(Alias::new("user_id")).eq(user_id)
}
