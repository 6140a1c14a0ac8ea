//! How to compare, and what to leave out.

use std::path::PathBuf;
use std::sync::Arc;

use super::Ignore;
use crate::key::KeySpec;
use crate::noise;
use crate::severity::{Model, Severity};

/// How to compare.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct DiffOptions {
    /// What identifies a row; `None` takes what both snapshots are sorted by, or `auto` where they differ.
    pub key: Option<KeySpec>,
    /// What to hide.
    pub ignore: Ignore,
    /// What changes by itself and does not count as a change; `None` takes every difference for a change.
    pub noise: Option<Arc<noise::Table>>,
    /// What says how much a change matters; `None` asks nothing.
    pub severity: Option<Arc<Model>>,
    /// Where changes are judged, those that matter less are counted and not given.
    pub min_severity: Severity,
    /// Count only; the changes themselves are not given.
    pub summary_only: bool,
    /// How much memory rows may take that must be sorted by another key; 0 stands for 64 MiB.
    pub memory_bytes: usize,
    /// Where rows beyond that go; `None` keeps all in memory.
    pub spill_dir: Option<PathBuf>,
}

impl DiffOptions {
    /// Compares by this key.
    #[must_use]
    pub fn with_key(mut self, key: KeySpec) -> Self {
        self.key = Some(key);
        self
    }

    /// Hides what these patterns match.
    #[must_use]
    pub fn with_ignore(mut self, ignore: Ignore) -> Self {
        self.ignore = ignore;
        self
    }

    /// Passes over what changes by itself.
    #[must_use]
    pub fn with_noise(mut self, noise: Arc<noise::Table>) -> Self {
        self.noise = Some(noise);
        self
    }

    /// Judges each change.
    #[must_use]
    pub fn with_severity(mut self, severity: Arc<Model>) -> Self {
        self.severity = Some(severity);
        self
    }

    /// Gives only changes that are judged to be at least so severe.
    #[must_use]
    pub fn with_min_severity(mut self, least: Severity) -> Self {
        self.min_severity = least;
        self
    }

    /// Counts without giving the changes.
    #[must_use]
    pub fn with_summary_only(mut self) -> Self {
        self.summary_only = true;
        self
    }

    /// Names the folder for rows that do not fit in memory.
    #[must_use]
    pub fn with_spill_dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.spill_dir = Some(dir.into());
        self
    }
}
