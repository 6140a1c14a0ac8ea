//! `fabrik capture`: rows become a snapshot.

use std::io::{self, Write};
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use clap::Args;
use fabrik_apic::saved::{self, LiveCapture};
use fabrik_apic::{InputFormat, InputMember, RecordedSource};
use fabrik_core::time::parse_exact;
use fabrik_core::{CaptureOptions, Captured, Coverage, KeySpec, RetentionPolicy, SnapshotId, Verdict, capture, view};
use uuid::Uuid;

use super::exit::{Exit, Failure};
use super::format::FormatOption;
use super::keys;
use super::live::{self, Asked};
use super::output::{Ink, Output};
use super::progress::WatchedSource;
use super::session::Session;
use super::table::print_facts;
use super::text::{bytes, count, counted, moment, visible};

/// Store the rows of a file, or of a controller's answer, as a new snapshot.
#[derive(Debug, Args)]
pub(super) struct Capture {
    /// The query that the rows answer: snapshots of one name follow one another.
    #[arg(long, value_name = "NAME")]
    query: String,
    /// The controller to ask, see `fabrik connections`; with --from, the fabric that the file came from, where
    /// several are kept apart. [default: the only one]
    #[arg(long, value_name = "NAME")]
    connection: Option<String>,
    #[command(flatten)]
    asked: Asked,
    /// Let the query ask something else from now on.
    #[arg(long)]
    replace_query: bool,
    /// How many objects to ask for at a time. [default: 5000, or 100 when others are nested below them]
    #[arg(long, value_name = "N")]
    page_size: Option<NonZeroU64>,
    /// The file or folder to read, or - for standard input: APIC answers as JSON or XML, what moquery prints, a
    /// configuration export, NDJSON, a JSON array or CSV, also compressed with gzip or zstd, or many of them in a
    /// folder, zip or tar archive.
    #[arg(long, value_name = "PATH", conflicts_with_all = ["class", "path", "filter", "attributes", "replace_query", "page_size"])]
    from: Option<PathBuf>,
    /// When the rows were read, with a zone: 2026-01-15T10:30:00Z. [default: now]
    #[arg(long, value_name = "TIME", value_parser = |text: &str| parse_exact("at", text))]
    at: Option<DateTime<Utc>>,
    /// How long to keep the snapshot: 7d, 30d, 90d, 1y or forever.
    #[arg(long, value_name = "POLICY", default_value = "30d")]
    retention: RetentionPolicy,
    /// Why it was captured.
    #[arg(long, value_name = "TEXT")]
    annotation: Option<String>,
    /// A short tag, such as baseline.
    #[arg(long)]
    label: Option<String>,
    /// What identifies a row: auto (its DN, else all of it), dn, hash, or columns joined by commas.
    #[arg(long, default_value = "auto")]
    key: KeySpec,
    /// The format of the input, where it should not be recognised: apic, ndjson, json, csv, xml, moquery,
    /// config-export or archive.
    #[arg(long, value_name = "FORMAT", requires = "from")]
    input_format: Option<InputFormat>,
    /// Which attributes the rows have, where they should not be judged by it: full, config-only or naming-only.
    #[arg(long, value_name = "COVERAGE", requires = "from")]
    coverage: Option<Coverage>,
    #[command(flatten)]
    format: FormatOption,
}

impl Capture {
    pub(super) async fn run(&self, session: &mut Session) -> Result<Exit, Failure> {
        match &self.from {
            Some(file) => self.run_recorded(file, session).await,
            None => self.run_live(session).await,
        }
    }

    async fn run_recorded(&self, file: &Path, session: &mut Session) -> Result<Exit, Failure> {
        let options = self.options(session.now)?;
        let mut source = WatchedSource::new(self.recorded(file)?);
        let store = session.open_or_create()?;
        let captured = capture(&*store, &mut source, &options).await?;
        let files = describe_members(source.into_inner().members());
        print(&captured, files, self.format, &mut session.out)?;
        Ok(Exit::Done)
    }

    async fn run_live(&self, session: &mut Session) -> Result<Exit, Failure> {
        let mut options = self.options(session.now)?;
        let asked = self.asked.query()?;
        let store = session.open();
        if asked.is_none() && self.connection.is_none() {
            let has_connections = match &store {
                Ok(store) => !saved::connections(&**store).await?.is_empty(),
                Err(_) => false,
            };
            if !has_connections {
                let sentence = "nothing to read: name a file with `--from`, or save a connection to a controller with \
                                `fabrik connections add`";
                return Err(Failure::Usage(sentence.to_owned()));
            }
        }
        let store = store?;
        let connection = saved::connection(&*store, self.connection.as_deref()).await?;
        live::warn_about(&connection);
        let vault = keys::vault()?;
        let mut prepared =
            LiveCapture::prepare(&*store, &vault, &connection, &self.query, asked, self.replace_query).await?;
        prepared.options.page_size = self.page_size.map(NonZeroU64::get);
        options.connection = Some(connection.name);
        let runtime = live::runtime()?;
        let mut source = WatchedSource::new(prepared.start(runtime.handle())?);
        let captured = capture(&*store, &mut source, &options).await;
        let learned = source.into_inner().learned();
        // A session that is not ended here ends by itself soon.
        let _ = runtime.block_on(prepared.client.logout());
        let captured = captured?;
        prepared.remember(&*store, learned).await?;
        print(&captured, None, self.format, &mut session.out)?;
        Ok(Exit::Done)
    }

    fn options(&self, now: DateTime<Utc>) -> Result<CaptureOptions, Failure> {
        let captured_at = self.at.unwrap_or(now);
        let mut options = capture_options(&self.query, captured_at);
        options.now = Some(now);
        options.connection.clone_from(&self.connection);
        options.key = self.key.clone();
        options.retention_policy = self.retention;
        options.annotation.clone_from(&self.annotation);
        options.label.clone_from(&self.label);
        Ok(options)
    }

    fn recorded(&self, path: &Path) -> Result<RecordedSource, Failure> {
        let source = if path == Path::new("-") {
            RecordedSource::from_reader("standard input", Box::new(io::stdin()), self.input_format)?
        } else {
            RecordedSource::open(path, self.input_format)?
        };
        Ok(match self.coverage {
            Some(coverage) => source.with_coverage(coverage),
            None => source,
        })
    }
}

/// Returns the options that every capture of this command has in common.
pub(super) fn capture_options(query: &str, captured_at: DateTime<Utc>) -> CaptureOptions {
    let mut options = CaptureOptions::new(SnapshotId::new(Uuid::now_v7()), query, captured_at);
    let user =
        ["USER", "LOGNAME"].into_iter().filter_map(|name| std::env::var(name).ok()).find(|name| !name.is_empty());
    options.captured_by = user.unwrap_or_else(|| "unknown".to_owned());
    options.spill_dir = Some(std::env::temp_dir());
    options
}

/// Says how many files were read and which were passed over; `None` where there was but one.
fn describe_members(members: &[InputMember]) -> Option<String> {
    const MOST_NAMED: usize = 5;
    let skipped: Vec<&InputMember> = members.iter().filter(|member| member.skipped.is_some()).collect();
    let n_read = (members.len() - skipped.len()) as u64;
    let mut text = match members {
        [] => return None,
        _ => format!("{} read", counted(n_read, "file", "files")),
    };
    if !skipped.is_empty() {
        let named: Vec<String> = skipped.iter().take(MOST_NAMED).map(|member| visible(&member.name).into()).collect();
        let more = if skipped.len() > MOST_NAMED { " …" } else { "" };
        text.push_str(&format!(", {} passed over: {}{more}", count(skipped.len() as u64), named.join(", ")));
    }
    Some(text)
}

fn print(captured: &Captured, files: Option<String>, format: FormatOption, out: &mut Output) -> Result<(), Failure> {
    if !format.is_table(out) {
        return Ok(out.json(&view::captured(captured))?);
    }
    let snapshot = &captured.snapshot;
    let stored =
        format!("{}, of which {} are new to the store", bytes(snapshot.size_bytes), bytes(snapshot.stored_bytes));
    let changes = match (&snapshot.changes, &captured.previous) {
        (Some(changes), Some(previous)) => Some(format!(
            "{} since {}: {} added, {} removed, {} changed",
            if captured.is_duplicate() { "none".to_owned() } else { counted(changes.total(), "row", "rows") },
            moment(previous.captured_at),
            count(changes.added),
            count(changes.removed),
            count(changes.changed),
        )),
        _ => None,
    };
    let heading = out.paint.with(Ink::Bold, &visible(&snapshot.series.query.name));
    writeln!(out, "captured {heading}: {}", counted(snapshot.row_count, "row", "rows"))?;
    print_facts(
        out,
        &[
            ("snapshot", Some(snapshot.id.to_string())),
            ("captured at", Some(moment(snapshot.captured_at))),
            ("changes", changes),
            ("size", Some(stored)),
            ("kept", Some(kept(snapshot))),
            ("files", files),
            ("verdict", (snapshot.verdict != Verdict::Complete).then(|| describe_verdict(&snapshot.verdict))),
            ("coverage", (snapshot.coverage != Coverage::Full).then(|| snapshot.coverage.to_string())),
        ],
    )?;
    Ok(())
}

/// Says how long a snapshot stays.
pub(super) fn kept(snapshot: &fabrik_core::Snapshot) -> String {
    let pinned = if snapshot.pinned { ", and pinned" } else { "" };
    match snapshot.expires_at() {
        Some(expires_at) => format!("{} until {}{pinned}", snapshot.retention_policy.name(), moment(expires_at)),
        None => format!("forever{pinned}"),
    }
}

/// Says in words how complete a snapshot is.
pub(super) fn describe_verdict(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Partial { reason, .. } => format!("partial: {reason}"),
        Verdict::Unstable { rows_before, rows_after } => {
            format!("unstable: {rows_before} rows were counted before and {rows_after} after")
        }
        verdict => verdict.name().to_owned(),
    }
}
