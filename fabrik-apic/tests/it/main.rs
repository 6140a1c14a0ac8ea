//! Live captures from the simulated controller, with everything that can go wrong.

mod captures;
mod fabric;
mod faults;
mod sessions;
