//! The engine as a caller uses it: one binary, a module per subject.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod helpers;
mod model;

mod annotating;
#[cfg(feature = "arrow")]
mod arrow;
#[cfg(feature = "sqlite")]
mod caching;
mod cancelling;
mod capturing;
mod comparing;
mod conformance;
mod coverages;
#[cfg(feature = "sqlite")]
mod damage;
mod faults;
mod format;
mod heatmap;
mod history;
mod ignoring;
mod large_trees;
mod noise;
#[cfg(feature = "sqlite")]
mod opening;
#[cfg(feature = "postgres")]
mod postgres;
mod references;
mod retention;
mod searching;
mod severity;
mod timelines;
mod verdicts;
