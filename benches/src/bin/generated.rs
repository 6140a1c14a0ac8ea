//! Checks and measures Fabrik on a made-up fabric of several sizes, so that no data is needed from elsewhere.

#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, reason = "the table is the result")]

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use clap::Parser;
use fabrik_apic::demo::{Churn, DemoFabric, DemoOptions, Step};
use fabrik_benches::{
    Checks, Counts, Figure, History, KnownStep, Manifest, Probe, Probes, Report, Result, SnapshotFile, baseline, bytes,
    check_history, check_retention, check_same_rows_in_another_order, digest, duration, measure_history, median,
    peak_bytes,
};

/// Check and measure Fabrik on a made-up fabric in which the same number of rows changes whatever its size.
#[derive(Debug, Parser)]
struct Options {
    /// The numbers of rows, joined by commas.
    #[arg(long, value_delimiter = ',', default_value = "10000,100000", value_name = "N,N")]
    rows: Vec<usize>,
    /// How many snapshots of each.
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u16).range(2..), value_name = "N")]
    snapshots: u16,
    /// How many rows differ from one to the next: three fifths changed, one added, one removed.
    #[arg(long, default_value_t = 500, value_name = "N")]
    changes: usize,
    /// Check, and measure nothing.
    #[arg(long)]
    check_only: bool,
    /// Leave out the baselines.
    #[arg(long)]
    no_baselines: bool,
    /// How often to measure.
    #[arg(long, default_value_t = 9)]
    runs: usize,
    /// Chooses the fabric.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Only write the answers and what is known of them into a new folder, for the other measurements.
    #[arg(long, value_name = "DIR")]
    write: Option<PathBuf>,
}

fn main() -> ExitCode {
    fabrik_benches::exit(run(&Options::parse()))
}

fn run(options: &Options) -> Result<Checks> {
    if let Some(dir) = &options.write {
        let [rows] = options.rows[..] else { return Err("--write takes one number of rows".into()) };
        fs::create_dir(dir).map_err(|error| format!("{}: {error}", dir.display()))?;
        return write(options, rows, dir);
    }
    let (mut checks, mut report, mut growth) = (Checks::default(), Report::default(), Vec::new());
    for &rows in &options.rows {
        growth.push(one_size(options, rows, &mut checks, &mut report)?);
    }
    if !options.check_only {
        print!("{report}");
        print_growth(&options.rows, &growth);
    }
    Ok(checks)
}

/// The times that must not follow the number of rows.
type Growth = [(&'static str, Duration); 3];

fn one_size(options: &Options, rows: usize, checks: &mut Checks, report: &mut Report) -> Result<Growth> {
    let scratch = tempfile::tempdir()?;
    let mut made = Made::new(options, rows);
    let mut history = History::create(&scratch.path().join("generated.db"), options.seed)?;
    let mut files = Vec::new();
    let mut raw_bytes = 0;
    for place in 0..usize::from(options.snapshots) {
        let file = made.next(place, scratch.path())?;
        raw_bytes += fs::metadata(&file)?.len();
        history.capture(&file, made.fabric.now())?;
        // The baselines need the first two.
        if place < 2 { files.push(file) } else { fs::remove_file(file)? }
    }
    let peak = peak_bytes();
    let manifest = made.manifest();
    checks.merge(check_history(&history, &manifest)?);
    checks.merge(check_same_rows_in_another_order(&history, &files[0], 0, options.seed)?);
    println!("{rows} rows: {} snapshots captured and checked", options.snapshots);

    let mut growth = Growth::default();
    if !options.check_only {
        if let Some(peak) = peak {
            println!("{rows} rows: peak memory until then {}", bytes(peak));
        }
        growth = measure(options, &history, &manifest, &files, raw_bytes, checks, report)?;
    }
    checks.merge(check_retention(&history, &manifest, options.seed)?);
    println!("{rows} rows: clean-up checked");
    Ok(growth)
}

fn measure(
    options: &Options,
    history: &History,
    manifest: &Manifest,
    files: &[PathBuf],
    raw_bytes: u64,
    checks: &mut Checks,
    report: &mut Report,
) -> Result<Growth> {
    let dns: Vec<&str> = manifest.probes.timeline.iter().map(|probe| probe.dn.as_str()).collect();
    let part = manifest.probes.substring_hits_in_last.keys().next().map_or("", String::as_str);
    let figures = measure_history(history, options.runs, &dns, part)?;
    let rows = manifest.snapshots[0].rows;
    let changes = manifest.consecutive[0].counts;
    let diff = if options.no_baselines { None } else { Some(baseline::hash_maps(&files[0], &files[1])?) };
    if let Some(diff) = diff {
        checks.equal(format_args!("changes found by a baseline"), diff.counts, changes);
    }
    let times = history.capture_times();
    report.add("capture, first snapshot", rows, None, Figure::Time(times[0]), None);
    let following = median(&times[1..]);
    report.add("capture, each following", rows, Some(changes.total()), Figure::Time(following), None);
    let base = diff.map(|diff| ("two hash maps", Figure::Time(diff.total)));
    report.add("compare, first two", rows, Some(changes.total()), Figure::Time(figures.first_step.median), base);
    report.add(
        "compare, any neighbours",
        rows,
        Some(figures.any_step.result),
        Figure::Time(figures.any_step.median),
        base,
    );
    let across = figures.first_last.result.total();
    report.add("compare, first and last", rows, Some(across), Figure::Time(figures.first_last.median), base);
    let plain = Some(("the same as it is", Figure::Time(figures.first_last.median)));
    for (operation, taken) in [
        ("compare, first and last, judged", &figures.first_last_judged),
        ("compare, first and last, without noise", &figures.first_last_without_noise),
    ] {
        report.add(operation, rows, Some(taken.result.total()), Figure::Time(taken.median), plain);
    }
    for (limit, time) in &figures.timelines {
        report.add(format!("timeline over {limit}"), rows, None, Figure::Time(*time), None);
    }
    report.add("search of DNs", rows, None, Figure::Time(figures.search.median), None);
    report.add("search of DNs, keys in memory", rows, None, Figure::Time(figures.search_again.median), None);
    let stored = history.snapshots().iter().map(|snapshot| snapshot.stored_bytes).sum();
    let name = format!("{} snapshots stored", manifest.snapshots.len());
    report.add(name, rows, None, Figure::Bytes(stored), Some(("the JSON", Figure::Bytes(raw_bytes))));
    let timeline = figures.timelines.first().map_or(Duration::ZERO, |(_, time)| *time);
    Ok([
        ("compare, any neighbours", figures.any_step.median),
        ("compare, counts alone", figures.first_step_summary.median),
        ("timeline", timeline),
    ])
}

/// Says how the times grow with the rows.
fn print_growth(rows: &[usize], growth: &[Growth]) {
    let (Some(first), Some(fewest)) = (growth.first(), rows.first()) else { return };
    println!("\nGrowth from {fewest} rows on, at the same number of changes:\n");
    for (sizes, &rows) in growth.iter().zip(rows) {
        print!("{:>10} rows ({:.0}×)", rows, rows as f64 / *fewest as f64);
        for ((name, time), (_, base)) in sizes.iter().zip(first) {
            print!("  {name}: {} ({:.2}×)", duration(*time), time.as_secs_f64() / base.as_secs_f64());
        }
        println!();
    }
}

fn write(options: &Options, rows: usize, dir: &Path) -> Result<Checks> {
    let mut made = Made::new(options, rows);
    for place in 0..usize::from(options.snapshots) {
        made.next(place, dir)?;
    }
    made.manifest().write(dir)?;
    Ok(Checks::default())
}

/// A fabric that notes what happens to it.
struct Made {
    fabric: DemoFabric,
    churn: Churn,
    snapshots: Vec<SnapshotFile>,
    steps: Vec<Step>,
    first_dns: Vec<String>,
}

impl Made {
    fn new(options: &Options, rows: usize) -> Self {
        let start = DateTime::<Utc>::UNIX_EPOCH + TimeDelta::days(20_000);
        let fifth = options.changes / 5;
        Self {
            fabric: DemoFabric::new(DemoOptions { seed: options.seed, objects: rows, start }),
            churn: Churn { changed: options.changes - 2 * fifth, added: fifth, removed: fifth, touched: 0 },
            snapshots: Vec::new(),
            steps: Vec::new(),
            first_dns: Vec::new(),
        }
    }

    /// Writes the next answer, a day after the one before, its rows in an order of its own.
    fn next(&mut self, place: usize, dir: &Path) -> Result<PathBuf> {
        if place > 0 {
            self.steps.push(self.fabric.advance(self.fabric.now() + TimeDelta::days(1), &self.churn));
        } else {
            self.first_dns = self.fabric.dns().collect();
            self.first_dns.sort_unstable();
        }
        let snapshot = SnapshotFile::new(place, self.fabric.now(), self.fabric.len() as u64, 0);
        let path = dir.join(&snapshot.json()?.file);
        let mut out = BufWriter::with_capacity(1 << 20, File::create(&path)?);
        self.fabric.write_json(&mut out, Some(place as u64))?;
        out.flush()?;
        let bytes = fs::metadata(&path)?.len();
        self.snapshots.push(SnapshotFile::new(place, snapshot.taken, snapshot.rows, bytes));
        Ok(path)
    }

    /// Puts down what is known by now.
    fn manifest(&self) -> Manifest {
        let mut steps = self.steps.iter().enumerate().map(|(from, step)| {
            let mut differing: Vec<String> = step.changed.iter().chain(&step.touched).cloned().collect();
            differing.sort_unstable();
            KnownStep {
                from,
                to: from + 1,
                counts: Counts {
                    added: step.added.len() as u64,
                    removed: step.removed.len() as u64,
                    changed: differing.len() as u64,
                },
                changed_ignoring_timestamps: step.changed.len() as u64,
                changed_attributes: None,
                added_sha256: digest(&step.added),
                removed_sha256: digest(&step.removed),
                changed_sha256: digest(&differing),
            }
        });
        let mut dns: Vec<&String> = Vec::new();
        for step in [self.steps.first(), self.steps.get(self.steps.len() / 2), self.steps.last()].into_iter().flatten()
        {
            dns.extend([&step.changed, &step.removed, &step.added].into_iter().filter_map(|list| list.first()));
        }
        dns.extend(self.first_dns.first());
        dns.sort_unstable();
        dns.dedup();
        let parts = ["CTX-", "epg-", "[ETH1/", "nothing like it"];
        Manifest {
            consecutive: steps.by_ref().collect(),
            snapshots: self.snapshots.clone(),
            first_last: None,
            probes: Probes {
                timeline: dns.into_iter().map(|dn| self.probe(dn)).collect(),
                substring_hits_in_last: parts
                    .iter()
                    .map(|part| ((*part).to_owned(), self.hits(part)))
                    .collect::<BTreeMap<_, _>>(),
            },
            timestamps: vec!["modTs".to_owned()],
        }
    }

    fn probe(&self, dn: &String) -> Probe {
        let mut events = Vec::new();
        for (i, step) in self.steps.iter().enumerate() {
            let lists = [
                ("added", &step.added),
                ("removed", &step.removed),
                ("changed", &step.changed),
                ("changed", &step.touched),
            ];
            events.extend(
                lists
                    .into_iter()
                    .filter(|(_, dns)| dns.binary_search(dn).is_ok())
                    .map(|(event, _)| (i + 1, event.to_owned())),
            );
        }
        Probe { dn: dn.clone(), in_first: self.first_dns.binary_search(dn).is_ok(), events }
    }

    fn hits(&self, part: &str) -> usize {
        let part = part.to_lowercase();
        self.fabric.dns().filter(|dn| dn.to_lowercase().contains(&part)).count()
    }
}
