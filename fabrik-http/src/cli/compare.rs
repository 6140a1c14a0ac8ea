//! `fabrik compare`: what changed between two snapshots.

mod markdown;
mod rules;
mod terminal;

use std::io::{self, Read, Seek, SeekFrom, Write};

use clap::{Args, ValueEnum};
use fabrik_core::severity::Severity;
use fabrik_core::{
    Change, ChangeKind, ComparedCoverage, Comparison, DiffOptions, DiffSummary, Ignore, KeySpec, Report, Snapshot,
    compare, resolve, warnings,
};
use serde::Serialize;
use tempfile::SpooledTempFile;

use super::exit::{Exit, Failure};
use super::output::Output;
use super::session::Session;
use rules::RuleOptions;

/// Show what changed from one snapshot to another, which may be of different queries.
#[derive(Debug, Args)]
#[command(after_help = super::REFERENCES)]
pub(super) struct Compare {
    /// The snapshot before.
    #[arg(value_name = "A")]
    pub(super) before: String,
    /// The snapshot after.
    #[arg(value_name = "B")]
    pub(super) after: String,
    /// Pair rows by these columns; dotted names reach into nested values.
    #[arg(long, value_name = "FIELD,FIELD", value_parser = |text: &str| KeySpec::fields(text.split(',')),
          conflicts_with = "key_strategy")]
    key_fields: Option<KeySpec>,
    /// Pair rows by their DN, by DN or else content, or by content alone. [default: as the snapshots are stored]
    #[arg(long, value_enum)]
    key_strategy: Option<KeyStrategy>,
    /// Hide changes: ATTRIBUTE, CLASS.ATTRIBUTE or a DN, with * and ? as wild cards. May be repeated.
    #[arg(long, value_name = "PATTERN")]
    pub(super) ignore: Vec<String>,
    #[command(flatten)]
    rules: RuleOptions,
    /// Count only.
    #[arg(long)]
    summary: bool,
    /// End with exit code 3 when the snapshots differ, with --min-severity when a change is at least so severe.
    #[arg(long)]
    exit_code: bool,
    /// How to print the result. [default: table in a terminal, else json]
    #[arg(long, value_enum)]
    pub(super) format: Option<CompareFormat>,
}

/// What identifies a row, without naming columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum KeyStrategy {
    /// The DN; rows without one are counted, not compared.
    Dn,
    /// The DN where a row has one, else all its columns.
    Auto,
    /// All columns: rows are added or removed, never changed.
    Hash,
}

/// The forms of a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum CompareFormat {
    /// Text with a line for each change, the default in a terminal.
    Table,
    /// One JSON document, the default elsewhere.
    Json,
    /// A JSON object for each change, and the summary in the last.
    Ndjson,
    /// A report for a change ticket.
    Markdown,
}

impl Compare {
    /// Compares two snapshots with no options, for people.
    pub(super) fn table(before: impl Into<String>, after: impl Into<String>) -> Self {
        Self {
            before: before.into(),
            after: after.into(),
            key_fields: None,
            key_strategy: None,
            ignore: Vec::new(),
            rules: RuleOptions::default(),
            summary: false,
            exit_code: false,
            format: Some(CompareFormat::Table),
        }
    }

    pub(super) async fn run(&self, session: &mut Session) -> Result<Exit, Failure> {
        let options = self.options()?;
        let store = session.open()?;
        let before = resolve(&*store, &self.before, session.now).await?;
        let after = resolve(&*store, &self.after, session.now).await?;
        let comparison = compare(&*store, &before, &after, options).await?;
        let summary = self.print(comparison, &before, &after, &mut session.out).await?;
        Ok(if self.exit_code && self.rules.differs(&summary) { Exit::Different } else { Exit::Done })
    }

    fn options(&self) -> Result<DiffOptions, Failure> {
        let mut options = DiffOptions::default().with_spill_dir(std::env::temp_dir());
        options.ignore = Ignore::parse(&self.ignore)?;
        options.summary_only = self.summary;
        options.key = self.key_strategy.map(|strategy| match strategy {
            KeyStrategy::Dn => KeySpec::Dn,
            KeyStrategy::Auto => KeySpec::Auto,
            KeyStrategy::Hash => KeySpec::Hash,
        });
        if let Some(fields) = &self.key_fields {
            options.key = Some(fields.clone());
        }
        self.rules.apply(&mut options)?;
        Ok(options)
    }

    async fn print(
        &self,
        comparison: Comparison<'_>,
        before: &Snapshot,
        after: &Snapshot,
        out: &mut Output,
    ) -> Result<DiffSummary, Failure> {
        let default = if out.is_terminal { CompareFormat::Table } else { CompareFormat::Json };
        match self.format.unwrap_or(default) {
            CompareFormat::Json => {
                let mut report = Report::collect(comparison, before, after).await?;
                report.write_json(out)?;
                Ok(*report.summary())
            }
            CompareFormat::Ndjson => print_lines(comparison, before, after, out).await,
            CompareFormat::Table => {
                let (columns, paint) = (out.columns, out.paint);
                let grouped =
                    Grouped::collect(comparison, |change, text| terminal::write_change(change, columns, paint, text));
                let mut grouped = grouped.await?;
                terminal::write_head(before, after, &grouped.summary, paint, out)?;
                grouped.write_worst_first(out)?;
                Ok(grouped.summary)
            }
            CompareFormat::Markdown => {
                let mut grouped = Grouped::collect(comparison, markdown::write_change).await?;
                markdown::write_head(before, after, &grouped.summary, &self.ignore, out)?;
                let summary = grouped.summary;
                grouped.write_by_kind(out, |kind| markdown::heading(kind, &summary))?;
                Ok(summary)
            }
        }
    }
}

/// What follows the changes, a line each.
#[derive(Serialize)]
struct LastLine<'a> {
    summary: &'a DiffSummary,
    coverage: ComparedCoverage,
    warnings: Vec<String>,
}

/// Prints each change as it is found.
async fn print_lines(
    mut comparison: Comparison<'_>,
    before: &Snapshot,
    after: &Snapshot,
    out: &mut Output,
) -> Result<DiffSummary, Failure> {
    let mut line = Vec::new();
    loop {
        let batch = comparison.next_batch().await?;
        if batch.is_empty() {
            break;
        }
        for change in &batch {
            line.clear();
            change.write_line(&mut line);
            line.push(b'\n');
            out.write_all(&line)?;
        }
    }
    let summary = *comparison.summary();
    let coverage = comparison.coverage();
    out.json(&LastLine { summary: &summary, coverage, warnings: warnings(before, after) })?;
    Ok(summary)
}

/// Up to this many bytes the text of a kind of change waits in memory, then in a temporary file.
const SPOOL_BYTES: usize = 8 << 20;

const KINDS: [ChangeKind; 3] = [ChangeKind::Added, ChangeKind::Removed, ChangeKind::Changed];

/// Changes as text, put together by severity and kind; the counts are known only after the last.
struct Grouped {
    /// For each severity, worst first, the kinds. Where changes are not judged, all are in the first.
    groups: [[SpooledTempFile; 3]; 5],
    summary: DiffSummary,
}

impl Grouped {
    async fn collect(
        mut comparison: Comparison<'_>,
        write: impl Fn(&Change, &mut Vec<u8>) -> io::Result<()>,
    ) -> Result<Self, Failure> {
        let mut groups = [(); 5].map(|()| [(); 3].map(|()| SpooledTempFile::new(SPOOL_BYTES)));
        let mut text = Vec::new();
        loop {
            let batch = comparison.next_batch().await?;
            if batch.is_empty() {
                return Ok(Self { groups, summary: *comparison.summary() });
            }
            for change in &batch {
                text.clear();
                write(change, &mut text)?;
                let severity = change.judgement().map_or(Severity::Critical, |judgement| judgement.severity);
                let rank = Severity::Critical as usize - severity as usize;
                groups[rank][change.kind as usize].write_all(&text)?;
            }
        }
    }

    /// Writes the worst changes first, by kind among equals.
    fn write_worst_first(&mut self, out: &mut Output) -> io::Result<()> {
        self.groups.iter_mut().flatten().try_for_each(|text| copy(text, out))
    }

    /// Writes the kinds that there are, each below its heading with the worst first.
    fn write_by_kind(&mut self, out: &mut Output, heading: impl Fn(ChangeKind) -> String) -> io::Result<()> {
        for kind in KINDS {
            let mut has_heading = false;
            for text in self.groups.iter_mut().map(|kinds| &mut kinds[kind as usize]) {
                if text.stream_position()? == 0 {
                    continue;
                }
                if !std::mem::replace(&mut has_heading, true) {
                    out.write_all(heading(kind).as_bytes())?;
                }
                copy(text, out)?;
            }
        }
        Ok(())
    }
}

fn copy(text: &mut SpooledTempFile, out: &mut Output) -> io::Result<()> {
    if text.stream_position()? == 0 {
        return Ok(());
    }
    text.seek(SeekFrom::Start(0))?;
    let mut block = vec![0; 64 << 10];
    loop {
        let len = text.read(&mut block)?;
        if len == 0 {
            return Ok(());
        }
        out.write_all(&block[..len])?;
    }
}
