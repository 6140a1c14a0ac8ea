//! Times and memory.

use std::fs;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use fabrik_core::{
    DiffOptions, KeyIndex, Snapshot, TimelineOptions, compare, noise, resolve, search_keys, severity, timeline,
};

use crate::{Counts, History, QUERY, Result};

/// A result and how long it took to get.
#[derive(Clone, Debug)]
pub struct Timed<T> {
    /// The median of all runs.
    pub median: Duration,
    /// What the last run gave.
    pub result: T,
}

impl<T> Timed<T> {
    /// Does the same thing `runs` times, once at least.
    ///
    /// # Errors
    ///
    /// The first of any run.
    pub fn of(runs: usize, mut work: impl FnMut() -> Result<T>) -> Result<Self> {
        let (mut time, first) = timed(&mut work);
        let mut result = first?;
        let mut times = vec![time];
        for _ in 1..runs {
            let next;
            (time, next) = timed(&mut work);
            result = next?;
            times.push(time);
        }
        Ok(Self { median: median(&times), result })
    }
}

/// Does something and says how long it took.
pub fn timed<T>(work: impl FnOnce() -> T) -> (Duration, T) {
    let start = Instant::now();
    let result = work();
    (start.elapsed(), result)
}

/// Returns the middle one of some times, the shorter of two; zero of none.
#[must_use]
pub fn median(times: &[Duration]) -> Duration {
    let mut sorted = times.to_vec();
    sorted.sort_unstable();
    sorted.get(sorted.len().saturating_sub(1) / 2).copied().unwrap_or_default()
}

/// Returns the most memory that this process has held, in bytes; `None` where the system does not say.
#[must_use]
pub fn peak_bytes() -> Option<u64> {
    fs::read_to_string("/proc/self/status").ok().and_then(|status| peak_in(&status))
}

/// Finds `VmHWM` in a `/proc` status file.
pub(crate) fn peak_in(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().trim_end_matches("kB").trim().parse::<u64>().ok().map(|kib| kib * 1024)
}

/// The figures that need nothing but the store.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct HistoryFigures {
    /// Comparing the first two snapshots.
    pub first_step: Timed<Counts>,
    /// Comparing each snapshot with the next: the median of all pairs, and the median of changes.
    pub any_step: Timed<u64>,
    /// Comparing the first two, counts alone.
    pub first_step_summary: Timed<Counts>,
    /// Comparing the first with the last.
    pub first_last: Timed<Counts>,
    /// The same with every change judged by the rules that come with the engine.
    pub first_last_judged: Timed<Counts>,
    /// The same without what changes by itself.
    pub first_last_without_noise: Timed<Counts>,
    /// Following an object through the newest snapshots: how many, and how long it took.
    pub timelines: Vec<(u64, Duration)>,
    /// Searching the DNs of the last snapshot for a part; gives how many contain it.
    pub search: Timed<usize>,
    /// The same search with the keys held in memory, as who asks often does.
    pub search_again: Timed<usize>,
}

/// Measures a store of two snapshots at least. Each run opens the store anew, so nothing of ours is cached;
/// what the operating system has cached of the file stays.
///
/// `dns` are the objects to follow, one for each run in turn; `part` is what to search for.
///
/// # Errors
///
/// Whatever the engine reports.
pub fn measure_history(history: &History, runs: usize, dns: &[&str], part: &str) -> Result<HistoryFigures> {
    let snapshots = history.snapshots();
    let (Some(first), Some(last)) = (snapshots.first(), snapshots.last()) else { return Err("no snapshots".into()) };
    let (mut times, mut changes) = (Vec::new(), Vec::new());
    for pair in snapshots.windows(2) {
        let (time, counts) = timed(|| compare_stored(history, &pair[0], &pair[1], &DiffOptions::default()));
        times.push(time);
        changes.push(counts?.total());
    }
    changes.sort_unstable();
    let any_step = Timed { median: median(&times), result: changes[changes.len() / 2] };
    let of = |before: &Snapshot, after: &Snapshot, options: &DiffOptions| {
        Timed::of(runs, || compare_stored(history, before, after, options))
    };
    let mut timelines = Vec::new();
    let mut limits = [20, 100].map(|limit: u64| limit.min(snapshots.len() as u64)).to_vec();
    limits.dedup();
    for limit in limits {
        let mut next = dns.iter().cycle();
        let taken = Timed::of(runs.max(dns.len()), || {
            let store = history.open()?;
            let dn = next.next().ok_or("no object to follow")?;
            let options = TimelineOptions::default().with_limit(limit);
            Ok(pollster::block_on(timeline(&store, QUERY, dn, &options))?)
        })?;
        timelines.push((limit, taken.median));
    }
    Ok(HistoryFigures {
        first_step: of(first, &snapshots[1], &DiffOptions::default())?,
        any_step,
        first_step_summary: of(first, &snapshots[1], &DiffOptions::default().with_summary_only())?,
        first_last: of(first, last, &DiffOptions::default())?,
        first_last_judged: {
            let model = Arc::new(severity::Model::standard());
            of(first, last, &DiffOptions::default().with_severity(model))?
        },
        first_last_without_noise: {
            let table = Arc::new(noise::Table::standard());
            of(first, last, &DiffOptions::default().with_noise(table))?
        },
        timelines,
        search: Timed::of(runs, || {
            let store = history.open()?;
            Ok(pollster::block_on(search_keys(&store, QUERY, None, part, 20))?.total_matches)
        })?,
        search_again: {
            let index = pollster::block_on(KeyIndex::load(&history.open()?, last))?;
            Timed::of(runs, || Ok(index.search(part, 20)?.total_matches))?
        },
    })
}

/// Opens the store, finds both snapshots by their ids and reads all changes.
fn compare_stored(history: &History, before: &Snapshot, after: &Snapshot, options: &DiffOptions) -> Result<Counts> {
    let store = history.open()?;
    pollster::block_on(async {
        let before = resolve(&store, &before.id.to_string(), DateTime::<Utc>::UNIX_EPOCH).await?;
        let after = resolve(&store, &after.id.to_string(), DateTime::<Utc>::UNIX_EPOCH).await?;
        let mut comparison = compare(&store, &before, &after, options.clone()).await?;
        while !comparison.next_batch().await?.is_empty() {}
        let summary = comparison.summary();
        Ok(Counts { added: summary.added, removed: summary.removed, changed: summary.changed })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn median_is_the_middle_one() {
        assert_eq!(median(&[3, 1, 2].map(Duration::from_secs)), Duration::from_secs(2));
        assert_eq!(median(&[]), Duration::ZERO);
    }

    #[test]
    fn peak_is_found_in_a_status_file() {
        assert_eq!(peak_in("Name:\tx\nVmPeak:\t 9 kB\nVmHWM:\t    2048 kB\nVmRSS:\t 1 kB\n"), Some(2 << 20));
    }
}
