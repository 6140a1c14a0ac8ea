//! Whether the engine finds exactly what is known.

use std::collections::BTreeSet;
use std::fmt;
use std::io::Write;
use std::path::Path;

use chrono::{DateTime, TimeDelta, Utc};
use fabrik_core::store::{ReadRecords, SnapshotFilter, SqliteStore};
use fabrik_core::{
    Annotate, DiffOptions, DiffSummary, Ignore, KeySpec, Lifecycle, RetentionOptions, RetentionPolicy, Snapshot,
    TimelineOptions, annotate, apply_retention, compare, plan_retention, rows, search_keys, stats, timeline, verify,
};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use crate::{Counts, History, KnownStep, Manifest, Probe, QUERY, Random, Result, capture_file, digest};

/// How many checks came out right, and which did not.
#[derive(Debug, Default)]
pub struct Checks {
    passed: u64,
    failures: Vec<String>,
}

impl Checks {
    /// Returns how many came out right.
    #[must_use]
    pub fn passed(&self) -> u64 {
        self.passed
    }

    /// Returns those that did not, in words.
    #[must_use]
    pub fn failures(&self) -> &[String] {
        &self.failures
    }

    /// Notes whether something is as it is known to be.
    #[expect(clippy::needless_pass_by_value, reason = "what is compared was found for this alone")]
    pub fn equal<T: PartialEq + fmt::Debug>(&mut self, what: fmt::Arguments<'_>, found: T, known: T) {
        if found == known {
            self.passed += 1;
        } else {
            self.failures.push(format!("{what}: found {found:?}, known is {known:?}"));
        }
    }

    /// Adds those of another list.
    pub fn merge(&mut self, other: Self) {
        self.passed += other.passed;
        self.failures.extend(other.failures);
    }
}

/// Checks every comparison, timeline and search that the manifest knows the answer to, and the whole store.
///
/// # Errors
///
/// Whatever the engine reports.
pub fn check_history(history: &History, manifest: &Manifest) -> Result<Checks> {
    let mut checks = Checks::default();
    let store = history.open()?;
    pollster::block_on(async {
        let snapshots = history.snapshots();
        for (place, (snapshot, known)) in snapshots.iter().zip(&manifest.snapshots).enumerate() {
            checks.equal(format_args!("rows of {place}"), snapshot.row_count, known.rows);
            checks.equal(format_args!("duplicate keys of {place}"), snapshot.duplicate_keys, 0);
        }
        for step in &manifest.consecutive {
            let counted = snapshots[step.to].changes.map(|changes| Counts {
                added: changes.added,
                removed: changes.removed,
                changed: changes.changed,
            });
            checks.equal(format_args!("changes of {} at its capture", step.to), counted, Some(step.counts));
        }
        for step in manifest.consecutive.iter().chain(&manifest.first_last) {
            check_step(&mut checks, &store, snapshots, step, &manifest.timestamps).await?;
        }
        let last = snapshots.last().ok_or("no snapshots")?;
        let none = compare(&store, last, last, DiffOptions::default()).await?.finish().await?;
        checks.equal(format_args!("the last compared with itself"), none.unchanged, last.row_count);
        checks.equal(format_args!("the last compared with itself is equal"), none.is_equal(), true);

        let places: Vec<usize> = (0..snapshots.len()).collect();
        for probe in &manifest.probes.timeline {
            check_timeline(&mut checks, &store, probe, &places).await?;
        }
        for (part, hits) in &manifest.probes.substring_hits_in_last {
            let page = search_keys(&store, QUERY, None, part, 200).await?;
            checks.equal(format_args!("DNs that contain {part:?}"), page.total_matches, *hits);
            checks.equal(format_args!("DNs given for {part:?}"), page.dns.len(), (*hits).min(200));
        }
        check_store(&mut checks, &store, snapshots.len()).await
    })?;
    Ok(checks)
}

async fn check_store(checks: &mut Checks, store: &SqliteStore, snapshots: usize) -> Result<()> {
    let found = verify(store).await?;
    checks.equal(format_args!("snapshots verified"), found.snapshots, snapshots as u64);
    checks.equal(format_args!("damage found"), found.damage, Vec::new());
    checks.equal(format_args!("chunks that nothing needs"), found.unreferenced_chunks, 0);
    Ok(())
}

/// What a comparison found.
struct Found {
    summary: DiffSummary,
    dns: [Vec<String>; 3],
    attributes: u64,
}

async fn find(store: &SqliteStore, before: &Snapshot, after: &Snapshot, options: DiffOptions) -> Result<Found> {
    let mut comparison = compare(store, before, after, options).await?;
    let mut found = Found { summary: DiffSummary::default(), dns: Default::default(), attributes: 0 };
    loop {
        let batch = comparison.next_batch().await?;
        if batch.is_empty() {
            break;
        }
        for change in batch {
            found.attributes += change.fields().len() as u64;
            let dn = change.row().dn().ok_or("a row without a DN")?;
            found.dns[change.kind as usize].push(dn.to_owned());
        }
    }
    found.summary = *comparison.summary();
    Ok(found)
}

/// Compares one pair by every way that must give the same.
async fn check_step(
    checks: &mut Checks,
    store: &SqliteStore,
    snapshots: &[Snapshot],
    step: &KnownStep,
    timestamps: &[String],
) -> Result<()> {
    let (before, after) = (&snapshots[step.from], &snapshots[step.to]);
    let pair = format!("{} -> {}", step.from, step.to);
    let known = step.counts;
    let ways = [("stored key", None), ("key field dn", Some(KeySpec::fields(["dn"])?)), ("key dn", Some(KeySpec::Dn))];
    for (way, key) in ways {
        let mut options = DiffOptions::default();
        options.key = key;
        let found = find(store, before, after, options).await?;
        check_counts(checks, &format!("{pair} by {way}"), &found.summary, known, after.row_count);
        checks.equal(format_args!("{pair} by {way}: hidden"), found.summary.hidden, 0);
        if let Some(attributes) = step.changed_attributes {
            checks.equal(format_args!("{pair} by {way}: attributes"), found.attributes, attributes);
        }
        let digests = [&step.added_sha256, &step.removed_sha256, &step.changed_sha256];
        for ((kind, dns), digest_known) in ["added", "removed", "changed"].into_iter().zip(found.dns).zip(digests) {
            checks.equal(format_args!("{pair} by {way}: keys of {kind} ascend"), dns.is_sorted(), true);
            checks.equal(format_args!("{pair} by {way}: DNs {kind}"), &digest(&dns), digest_known);
        }
    }

    let summary = compare(store, before, after, DiffOptions::default().with_summary_only()).await?.finish().await?;
    check_counts(checks, &format!("{pair} counted"), &summary, known, after.row_count);

    let back = compare(store, after, before, DiffOptions::default()).await?.finish().await?;
    let swapped = Counts { added: known.removed, removed: known.added, changed: known.changed };
    check_counts(checks, &format!("{pair} backwards"), &back, swapped, before.row_count);

    let options = DiffOptions::default().with_ignore(Ignore::parse(timestamps)?);
    let found = find(store, before, after, options).await?;
    let left = Counts { changed: step.changed_ignoring_timestamps, ..known };
    let hidden = known.changed - left.changed;
    checks.equal(format_args!("{pair} without time stamps: counts"), counts(&found.summary), left);
    checks.equal(format_args!("{pair} without time stamps: hidden"), found.summary.hidden, hidden);
    Ok(())
}

fn counts(summary: &DiffSummary) -> Counts {
    Counts { added: summary.added, removed: summary.removed, changed: summary.changed }
}

fn check_counts(checks: &mut Checks, what: &str, summary: &DiffSummary, known: Counts, rows_after: u64) {
    checks.equal(format_args!("{what}: counts"), counts(summary), known);
    let unchanged = rows_after - known.added - known.changed;
    checks.equal(format_args!("{what}: unchanged"), summary.unchanged, unchanged);
    checks.equal(format_args!("{what}: unkeyed"), summary.unkeyed, 0);
}

/// Follows one object through the snapshots that are left; `places` says which, ascending.
async fn check_timeline(checks: &mut Checks, store: &SqliteStore, probe: &Probe, places: &[usize]) -> Result<()> {
    let newest = &places[places.len().saturating_sub(100)..];
    let found = timeline(store, QUERY, &probe.dn, &TimelineOptions::default().with_limit(100)).await?;
    let dn = &probe.dn;
    checks.equal(format_args!("points of {dn}"), found.points.len(), newest.len());
    for (i, (point, &place)) in found.points.iter().zip(newest).enumerate() {
        checks.equal(format_args!("{dn} in {place}"), point.present, probe.is_present(place));
        // Between neighbours the history says exactly what happened.
        let before = i.checked_sub(1).filter(|&before| newest[before] + 1 == place).map(|i| &found.points[i]);
        if let Some(before) = before {
            let event = match (before.present, point.present) {
                (false, true) => Some("added"),
                (true, false) => Some("removed"),
                _ if before.attributes != point.attributes => Some("changed"),
                _ => None,
            };
            let known = probe.events.iter().find(|(at, _)| *at == place).map(|(_, event)| event.as_str());
            checks.equal(format_args!("event of {dn} at {place}"), event, known);
        }
    }
    let present: Vec<bool> = newest.iter().map(|&place| probe.is_present(place)).collect();
    let known = (1..present.len()).filter_map(|i| match (present[i - 1], present[i]) {
        (true, false) => Some(Lifecycle::Deleted),
        (false, true) if present[..i].contains(&true) => Some(Lifecycle::Recreated),
        (false, true) => Some(Lifecycle::Created),
        _ => None,
    });
    let events: Vec<Lifecycle> = found.lifecycle.iter().map(|event| event.event).collect();
    checks.equal(format_args!("lifecycle of {dn}"), events, known.collect());
    Ok(())
}

/// Deletes snapshots in some rounds, by their policies and random pins, and checks that exactly those go that
/// must and that the others still read and compare as before.
///
/// # Errors
///
/// Whatever the engine reports.
pub fn check_retention(history: &History, manifest: &Manifest, seed: u64) -> Result<Checks> {
    let mut checks = Checks::default();
    let store = history.open()?;
    let mut random = Random::new(seed);
    pollster::block_on(async {
        let snapshots = history.snapshots();
        let mut contents = Vec::new();
        for snapshot in snapshots {
            contents.push(content(&store, snapshot).await?);
        }
        let last = snapshots.last().ok_or("no snapshots")?.captured_at;
        let mut left: Vec<usize> = (0..snapshots.len()).collect();
        for days in [0, 8, 40, 100, 400] {
            let mut pinned = BTreeSet::new();
            for &place in &left {
                let pin = random.below(3) == 0;
                let change = Annotate { pinned: Some(pin), ..Annotate::default() };
                annotate(&store, snapshots[place].id, &change).await?;
                if pin {
                    pinned.insert(place);
                }
            }
            let now = last + TimeDelta::days(days);
            let stays = |place: &usize| {
                let snapshot = &snapshots[*place];
                pinned.contains(place) || !is_expired(snapshot.retention_policy, snapshot.captured_at, now)
            };
            let (kept, doomed): (Vec<usize>, Vec<usize>) = left.iter().copied().partition(stays);
            let before = stats(&store).await?.stored_bytes;

            let plan = plan_retention(&store, &RetentionOptions::new(now)).await?;
            let planned: Vec<_> = plan.doomed.iter().map(|doomed| doomed.snapshot_id).collect();
            let outcome = apply_retention(&store, &plan).await?;

            let known: Vec<_> = doomed.iter().map(|&place| snapshots[place].id).collect();
            checks.equal(format_args!("planned after {days} days"), &planned, &known);
            checks.equal(format_args!("deleted after {days} days"), &outcome.deleted, &known);
            let freed = (plan.stored_bytes_reclaimed, before - stats(&store).await?.stored_bytes);
            let said = outcome.stored_bytes_reclaimed;
            checks.equal(format_args!("bytes planned and freed after {days} days"), freed, (said, said));

            left = kept;
            check_left(&mut checks, &store, manifest, snapshots, &contents, &left).await?;
            if left.is_empty() {
                break;
            }
        }
        Ok::<(), Box<dyn std::error::Error>>(())
    })?;
    Ok(checks)
}

/// Checks what a clean-up left: all snapshots in full, and every question whose answer is known.
async fn check_left(
    checks: &mut Checks,
    store: &SqliteStore,
    manifest: &Manifest,
    snapshots: &[Snapshot],
    contents: &[String],
    left: &[usize],
) -> Result<()> {
    check_store(checks, store, left.len()).await?;
    let stored = store.snapshots(&SnapshotFilter::default()).await?;
    let ids: Vec<_> = stored.iter().rev().map(|snapshot| snapshot.id).collect();
    checks.equal(format_args!("snapshots left"), ids, left.iter().map(|&place| snapshots[place].id).collect());
    for &place in left {
        checks.equal(format_args!("rows of {place}"), &content(store, &snapshots[place]).await?, &contents[place]);
    }
    for step in manifest.consecutive.iter().chain(&manifest.first_last) {
        if left.contains(&step.from) && left.contains(&step.to) {
            check_step(checks, store, snapshots, step, &manifest.timestamps).await?;
        }
    }
    if !left.is_empty() {
        for probe in &manifest.probes.timeline {
            check_timeline(checks, store, probe, left).await?;
        }
    }
    Ok(())
}

/// Says independently of the engine when a policy ends.
fn is_expired(policy: RetentionPolicy, captured_at: DateTime<Utc>, now: DateTime<Utc>) -> bool {
    let days = match policy {
        RetentionPolicy::SevenDays => 7,
        RetentionPolicy::ThirtyDays => 30,
        RetentionPolicy::NinetyDays => 90,
        RetentionPolicy::OneYear => 365,
        RetentionPolicy::Forever => return false,
    };
    now - captured_at >= TimeDelta::days(days)
}

/// Reads a snapshot in full and returns a digest of its rows.
async fn content(store: &SqliteStore, snapshot: &Snapshot) -> Result<String> {
    let mut stream = rows(store, snapshot).await?;
    let (mut hasher, mut lines, mut count) = (Sha256::new(), Vec::new(), 0);
    while stream.next_lines(&mut lines).await? {
        count += memchr::memchr_iter(b'\n', &lines).count();
        hasher.update(&lines);
        lines.clear();
    }
    Ok(format!("{count} rows, {:?}", hasher.finalize()))
}

/// Captures the rows of an answer again in some other orders: each must have the version hash of the original
/// and share all its content.
///
/// # Errors
///
/// When the file is no answer in the form of `{"totalCount", "imdata"}`, or the store fails.
pub fn check_same_rows_in_another_order(history: &History, file: &Path, place: usize, seed: u64) -> Result<Checks> {
    #[derive(serde::Deserialize)]
    struct Answer<'a> {
        #[serde(borrow)]
        imdata: Vec<&'a RawValue>,
    }
    let mut checks = Checks::default();
    let text = std::fs::read(file)?;
    let mut rows = serde_json::from_slice::<Answer<'_>>(&text)?.imdata;
    let original = &history.snapshots()[place];
    let dir = tempfile::tempdir()?;
    let store = SqliteStore::open(dir.path().join("orders.db"), fabrik_core::store::OpenMode::Create)?;
    let mut random = Random::new(seed);
    for round in 0..3 {
        match round {
            0 => rows.sort_unstable_by_key(|row| row.get()),
            1 => rows.reverse(),
            _ => random.shuffle(&mut rows),
        }
        let mut shuffled = tempfile::NamedTempFile::new()?;
        let mut out = std::io::BufWriter::new(shuffled.as_file_mut());
        write!(out, "{{\"totalCount\":\"{}\",\"imdata\":[", rows.len())?;
        for (i, row) in rows.iter().enumerate() {
            out.write_all(if i == 0 { b"" } else { b"," })?;
            out.write_all(row.get().as_bytes())?;
        }
        out.write_all(b"]}")?;
        out.flush()?;
        drop(out);
        let at = original.captured_at + TimeDelta::hours(round);
        let captured = capture_file(&store, shuffled.path(), at, RetentionPolicy::Forever)?;
        let hash = captured.snapshot.version_hash.to_string();
        checks.equal(format_args!("version hash in order {round}"), hash, original.version_hash.to_string());
        if round > 0 {
            checks.equal(format_args!("order {round} is a duplicate"), captured.is_duplicate(), true);
            checks.equal(format_args!("bytes added by order {round}"), captured.snapshot.stored_bytes, 0);
        }
    }
    Ok(checks)
}
