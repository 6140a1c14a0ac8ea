//! What is kept of logins under way: only fingerprints of what a browser or a provider shows again.

use chrono::TimeDelta;
use sea_query::{Alias, DeleteStatement, Expr, ExprTrait, Query, ReturningClause};

use crate::server::error::ApiError;
use crate::server::secrets::{fingerprint, random_token};
use crate::server::state::AppState;

const LOGINS: &str = "auth_login_under_way";
const CODES: &str = "auth_login_code";
/// How long a login at the provider may take.
pub(crate) const LOGIN_LIFE: TimeDelta = TimeDelta::minutes(10);
/// How long the page may take to trade its code.
const CODE_LIFE: TimeDelta = TimeDelta::seconds(60);

/// A login under way.
#[derive(sqlx::FromRow)]
pub(super) struct UnderWay {
    pub(super) provider: String,
    pub(super) redirect_uri: String,
    pub(super) nonce: String,
    pub(super) verifier: String,
    pub(super) next: String,
}

impl UnderWay {
    /// Keeps the login until the browser comes back with the state.
    pub(super) async fn keep(&self, state: &AppState, token: &str, browser: &str) -> Result<(), ApiError> {
        let columns = ["state", "browser", "provider", "redirect_uri", "nonce", "verifier", "next", "expires_at"];
        let insert = Query::insert()
            .into_table(Alias::new(LOGINS))
            .columns(columns.map(Alias::new))
            .values_panic([
                fingerprint(token).into(),
                fingerprint(browser).into(),
                self.provider.as_str().into(),
                self.redirect_uri.as_str().into(),
                self.nonce.as_str().into(),
                self.verifier.as_str().into(),
                self.next.as_str().into(),
                (state.clock().now() + LOGIN_LIFE).into(),
            ])
            .take();
        state.db().run(&insert).await?;
        Ok(())
    }

    /// Returns the login that this browser began with a state, and forgets it: of two who ask, one gets it.
    pub(super) async fn take(state: &AppState, token: &str, browser: &str) -> Result<Option<Self>, ApiError> {
        let columns = ["provider", "redirect_uri", "nonce", "verifier", "next"].map(Alias::new);
        let taken = taking(state, LOGINS, "state", token, browser, Query::returning().columns(columns));
        Ok(state.db().first(&taken).await?)
    }
}

/// Keeps that a browser may trade a code for tokens of a user, and returns the code.
pub(super) async fn keep_code(state: &AppState, user_id: i64, browser: &str) -> Result<String, ApiError> {
    let code = random_token();
    let insert = Query::insert()
        .into_table(Alias::new(CODES))
        .columns(["code", "browser", "user_id", "expires_at"].map(Alias::new))
        .values_panic([
            fingerprint(&code).into(),
            fingerprint(browser).into(),
            user_id.into(),
            (state.clock().now() + CODE_LIFE).into(),
        ])
        .take();
    state.db().run(&insert).await?;
    Ok(code)
}

/// Returns whom a code is for, and forgets it: of two who ask, one gets it.
pub(super) async fn take_code(state: &AppState, code: &str, browser: &str) -> Result<Option<i64>, ApiError> {
    let taken = taking(state, CODES, "code", code, browser, Query::returning().column(Alias::new("user_id")));
    Ok(state.db().first::<(i64,)>(&taken).await?.map(|(id,)| id))
}

/// Forgets what nobody came back for.
pub(crate) async fn purge(state: &AppState) -> Result<(), ApiError> {
    for table in [LOGINS, CODES] {
        let over = Expr::col(Alias::new("expires_at")).lte(state.clock().now());
        state.db().run(&Query::delete().from_table(Alias::new(table)).and_where(over).take()).await?;
    }
    Ok(())
}

fn taking(
    state: &AppState,
    table: &'static str,
    key: &'static str,
    token: &str,
    browser: &str,
    returning: ReturningClause,
) -> DeleteStatement {
    Query::delete()
        .from_table(Alias::new(table))
        .and_where(Expr::col(Alias::new(key)).eq(fingerprint(token)))
        .and_where(Expr::col(Alias::new("browser")).eq(fingerprint(browser)))
        .and_where(Expr::col(Alias::new("expires_at")).gt(state.clock().now()))
        .returning(returning)
        .take()
}
