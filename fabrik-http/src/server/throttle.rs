//! How often who may ask: token buckets by user or address.
//!
//! Two layers, as behind a reverse proxy: zones by address come first and hold for every path, known or not; then the
//! rate of the caller and that of the route's own scope. Each rate is a setting.
//!
//! Where several servers share a database, so do they the buckets of what guards secrets (`shared`): who guesses at a
//! password gains nothing by asking another server. The general rates only spread the load; they hold for each server,
//! since a statement for every request would cost more than it protects.

mod shared;

use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use governor::state::keyed::HashMapStateStore;
use governor::{Quota, RateLimiter, middleware::NoOpMiddleware};
use hashbrown::HashMap;

use super::clock::Clock;
use super::db::Database;
use super::error::ApiError;
use super::settings::Rate;

pub(crate) use shared::purge;

/// What a rate is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Scope {
    /// Everything below `/api/` and `/ws/`, by address.
    ZoneApi,
    /// Guessing at accounts, by address.
    ZoneLogin,
    /// Callers who are not logged in.
    Anonymous,
    /// Callers who are.
    User,
    Login,
    Mfa,
    Registration,
    PasswordReset,
    TokenRefresh,
    EmailVerify,
    EmailSend,
    Webhook,
    SensitiveAction,
}

/// Scope, setting, variable of the environment, rate, and what it limits.
type ScopeRow = (Scope, &'static str, &'static str, &'static str, &'static str);

#[rustfmt::skip]
const SCOPES: &[ScopeRow] = &[
    (Scope::ZoneApi, "rate_limit.zone_api", "RATE_LIMIT_ZONE_API", "30/s burst 50", "all requests, by address"),
    (Scope::ZoneLogin, "rate_limit.zone_login", "RATE_LIMIT_ZONE_LOGIN", "5/min burst 3", "login and password reset, by address"),
    (Scope::Anonymous, "rate_limit.anon", "RATE_LIMIT_ANON", "60/min", "requests without login, by address"),
    (Scope::User, "rate_limit.user", "RATE_LIMIT_USER", "300/min", "requests with login, by user"),
    (Scope::Login, "rate_limit.login", "RATE_LIMIT_LOGIN", "10/min", "logins"),
    (Scope::Mfa, "rate_limit.mfa", "RATE_LIMIT_MFA", "10/min", "second factors"),
    (Scope::Registration, "rate_limit.registration", "RATE_LIMIT_REGISTRATION", "5/hour", "registrations"),
    (Scope::PasswordReset, "rate_limit.password_reset", "RATE_LIMIT_PASSWORD_RESET", "5/hour", "password resets"),
    (Scope::TokenRefresh, "rate_limit.token_refresh", "RATE_LIMIT_TOKEN_REFRESH", "30/min", "token refreshes"),
    (Scope::EmailVerify, "rate_limit.email_verify", "RATE_LIMIT_EMAIL_VERIFY", "10/hour", "e-mail verifications"),
    (Scope::EmailSend, "rate_limit.email_send", "RATE_LIMIT_EMAIL_SEND", "5/hour", "verification mails"),
    (Scope::Webhook, "rate_limit.webhook", "RATE_LIMIT_WEBHOOK", "120/min", "webhooks received"),
    (Scope::SensitiveAction, "rate_limit.sensitive_action", "RATE_LIMIT_SENSITIVE_ACTION", "10/hour", "password changes and user administration"),
];

impl Scope {
    fn row(self) -> &'static ScopeRow {
        SCOPES.iter().find(|row| row.0 == self).expect("every scope has its row")
    }

    /// Returns whether servers on one database count together.
    fn is_shared(self) -> bool {
        !matches!(self, Self::ZoneApi | Self::Anonymous | Self::User | Self::Webhook)
    }

    /// Returns the name of the setting.
    pub(crate) fn setting(self) -> &'static str {
        self.row().1
    }

    /// Returns the contract's name of the variable of the environment.
    pub(crate) fn variable(self) -> &'static str {
        self.row().2
    }

    /// Returns the rate that holds unless told.
    pub(crate) fn default_rate(self) -> &'static str {
        self.row().3
    }

    /// Returns what it limits.
    pub(crate) fn about(self) -> &'static str {
        self.row().4
    }
}

/// Whom a bucket belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Bucket {
    User(i64),
    Address(IpAddr),
}

impl Bucket {
    /// Returns the bucket of an address; one of IPv6 stands for its /64, which is what one customer has at least.
    pub(crate) fn of_address(address: IpAddr) -> Self {
        Self::Address(match address.to_canonical() {
            IpAddr::V6(v6) => {
                let [a, b, c, d, ..] = v6.segments();
                Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
            }
            v4 => v4,
        })
    }
}

impl std::fmt::Display for Bucket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::User(id) => write!(f, "user {id}"),
            Self::Address(address) => address.fmt(f),
        }
    }
}

type Limiter = RateLimiter<Bucket, HashMapStateStore<Bucket>, Clock, NoOpMiddleware<Duration>>;

/// All buckets there are.
pub(crate) struct Throttles {
    quotas: HashMap<Scope, Quota>,
    limiters: HashMap<Scope, Limiter>,
    clock: Clock,
}

impl std::fmt::Debug for Throttles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.limiters.keys()).finish()
    }
}

impl Throttles {
    /// Returns all scopes, in the order in which settings are shown.
    pub(crate) fn scopes() -> impl Iterator<Item = Scope> {
        SCOPES.iter().map(|row| row.0)
    }

    /// Fills all buckets.
    pub(crate) fn new(rates: &[(Scope, Rate)], clock: &Clock) -> Self {
        let quotas: HashMap<_, _> = rates.iter().filter_map(|(scope, rate)| Some((*scope, rate.quota()?))).collect();
        let limiter = |quota: &Quota| RateLimiter::hashmap_with_clock(*quota, clock.clone());
        let limiters = quotas.iter().map(|(scope, quota)| (*scope, limiter(quota))).collect();
        Self { quotas, limiters, clock: clock.clone() }
    }

    /// Takes a token of the bucket, or fails with how long it takes until there is one.
    pub(crate) async fn take(&self, db: &Database, scope: Scope, bucket: Bucket) -> Result<(), ApiError> {
        let wait = match (self.quotas.get(&scope), db) {
            (None, _) => None,
            (Some(quota), Database::Postgres(_)) if scope.is_shared() => {
                let key = format!("{} {bucket}", scope.setting());
                shared::take(db, &key, quota, self.clock.now()).await?
            }
            _ => self.take_here(scope, bucket).err(),
        };
        wait.map_or(Ok(()), |wait| Err(ApiError::Throttled(wait)))
    }

    /// Takes a token of a bucket of this process.
    fn take_here(&self, scope: Scope, bucket: Bucket) -> Result<(), Duration> {
        let Some(limiter) = self.limiters.get(&scope) else { return Ok(()) };
        limiter.check_key(&bucket).map_err(|not_until| not_until.wait_time_from(self.clock.elapsed()))
    }

    /// Forgets the buckets that are full again.
    pub(crate) fn forget_full(&self) {
        for limiter in self.limiters.values() {
            limiter.retain_recent();
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;

    #[test]
    fn bucket_lets_its_burst_through_and_then_one_at_a_time() {
        let clock = Clock::manual(DateTime::UNIX_EPOCH);
        let throttles = Throttles::new(&[(Scope::Login, "6/min burst 2".parse().unwrap())], &clock);
        let (mara, ben) = (Bucket::User(1), Bucket::User(2));

        assert_eq!(throttles.take_here(Scope::Login, mara), Ok(()));
        assert_eq!(throttles.take_here(Scope::Login, mara), Ok(()));
        assert_eq!(throttles.take_here(Scope::Login, mara), Err(Duration::from_secs(10)));
        assert_eq!(throttles.take_here(Scope::Login, ben), Ok(()));
        clock.advance(Duration::from_secs(10));
        assert_eq!(throttles.take_here(Scope::Login, mara), Ok(()));
        assert!(throttles.take_here(Scope::Login, mara).is_err());
        assert_eq!(throttles.take_here(Scope::Mfa, mara), Ok(()));
    }

    #[test]
    fn addresses_of_one_network_share_a_bucket() {
        let bucket = |text: &str| Bucket::of_address(text.parse().unwrap());

        assert_eq!(bucket("2001:db8:0:1::1"), bucket("2001:db8:0:1:ffff::2"));
        assert_ne!(bucket("2001:db8:0:1::1"), bucket("2001:db8:0:2::1"));
        assert_eq!(bucket("::ffff:192.0.2.1"), bucket("192.0.2.1"));
        assert_ne!(bucket("192.0.2.1"), bucket("192.0.2.2"));
    }
}
