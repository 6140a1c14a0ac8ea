//! The limit of requests in a second, which the web server in front of a controller keeps.

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};

use super::options::{Refusal, SimulatorOptions};

/// A bucket of requests for all clients together.
pub(super) struct Throttle {
    limiter: Option<DefaultDirectRateLimiter>,
    refusal: Refusal,
}

impl Throttle {
    pub(super) fn new(options: &SimulatorOptions) -> Self {
        let limiter = options.requests_per_second.map(|limit| RateLimiter::direct(Quota::per_second(limit)));
        Self { limiter, refusal: options.refusal }
    }

    /// Takes one request out of the bucket, or says how to refuse it.
    pub(super) fn admit(&self) -> Result<(), Refusal> {
        match &self.limiter {
            Some(limiter) if limiter.check().is_err() => Err(self.refusal),
            _ => Ok(()),
        }
    }
}
