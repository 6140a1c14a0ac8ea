//! Live captures from the simulated controller, with everything that can go wrong.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod captures;
mod fabric;
mod faults;
mod sessions;
