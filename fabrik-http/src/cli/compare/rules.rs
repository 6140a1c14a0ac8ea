//! The tables of rules that a comparison is read with: what matters how much, and what is noise.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Args, ValueEnum};
use fabrik_core::severity::{Model, Severity};
use fabrik_core::{DiffOptions, DiffSummary, noise};

use crate::cli::exit::{Failure, chain};

/// How much changes matter, and which do not count.
#[derive(Debug, Default, Args)]
pub(super) struct RuleOptions {
    /// Say how much each change matters and why, and how risky all are together, from 0 to 100.
    #[arg(long)]
    severity: bool,
    /// Rules in TOML that go before those of Fabrik. Implies --severity.
    #[arg(long, value_name = "FILE")]
    severity_table: Option<PathBuf>,
    /// Count less severe changes without showing them. Implies --severity.
    #[arg(long, value_name = "LEVEL", value_parser = ["critical", "high", "medium", "low", "info"])]
    min_severity: Option<String>,
    /// Whether to pass over what changes by itself, such as modTs and counters. It is counted. [default: off, or on
    /// with --noise-table]
    #[arg(long, value_enum)]
    noise: Option<Noise>,
    /// Rules in TOML that go before those of Fabrik about what changes by itself.
    #[arg(long, value_name = "FILE")]
    noise_table: Option<PathBuf>,
}

/// Whether the noise table is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Noise {
    /// What changes by itself is passed over.
    On,
    /// Every difference is a change.
    Off,
}

impl RuleOptions {
    /// Reads the tables that are asked for.
    pub(super) fn apply(&self, options: &mut DiffOptions) -> Result<(), Failure> {
        if self.severity || self.severity_table.is_some() || self.min_severity.is_some() {
            let model = match &self.severity_table {
                Some(path) => Model::standard().overridden_by(&name_of(path), &read(path)?)?,
                None => Model::standard(),
            };
            options.severity = Some(Arc::new(model));
        }
        options.min_severity = self.least()?;
        let is_on = self.noise.unwrap_or(if self.noise_table.is_some() { Noise::On } else { Noise::Off });
        if is_on == Noise::On {
            let table = match &self.noise_table {
                Some(path) => noise::Table::standard().overridden_by(&name_of(path), &read(path)?)?,
                None => noise::Table::standard(),
            };
            options.noise = Some(Arc::new(table));
        }
        Ok(())
    }

    fn least(&self) -> Result<Severity, Failure> {
        Ok(self.min_severity.as_deref().map(str::parse).transpose()?.unwrap_or_default())
    }

    /// Returns whether a comparison counts as one of different snapshots.
    pub(super) fn differs(&self, summary: &DiffSummary) -> bool {
        match &summary.risk {
            // What is below is as good as equal to who asks for more. Rows without a key are not judged, and differ.
            Some(risk) => risk.by_severity.total() > risk.below_min_severity || summary.unkeyed > 0,
            None => !summary.is_equal(),
        }
    }
}

fn name_of(path: &Path) -> String {
    path.display().to_string()
}

fn read(path: &Path) -> Result<String, Failure> {
    fs::read_to_string(path)
        .map_err(|error| Failure::Refused(format!("cannot read the table {}: {}", path.display(), chain(&error))))
}
