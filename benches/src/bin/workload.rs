//! Captures a folder of answers whose differences are known, checks every result against them, and measures.

#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, reason = "the table is the result")]

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use fabrik_benches::{
    Checks, Figure, History, Manifest, Report, Result, Timed, baseline, bytes, check_history, check_retention,
    check_same_rows_in_another_order, duration, measure_history, median, peak_bytes, timed,
};

/// Check and measure Fabrik on a folder of numbered answers and a manifest of their known differences.
#[derive(Debug, Parser)]
struct Options {
    /// The folder with manifest.json and the files that it names.
    dir: PathBuf,
    /// Keep the store in this file, which must not be there yet. [default: a temporary one]
    #[arg(long, value_name = "FILE")]
    store: Option<PathBuf>,
    /// Check, and measure nothing.
    #[arg(long)]
    check_only: bool,
    /// Capture the first answer with its rows in other orders too.
    #[arg(long)]
    shuffle_check: bool,
    /// Leave out the baselines; those that hold all parsed rows take some thirteen times the size of a file.
    #[arg(long)]
    no_baselines: bool,
    /// Keep the store as captured: do not end with the check of the clean-up.
    #[arg(long)]
    no_retention: bool,
    /// How often to measure.
    #[arg(long, default_value_t = 9)]
    runs: usize,
    /// How often to measure a baseline that takes seconds.
    #[arg(long, default_value_t = 1)]
    baseline_runs: usize,
    /// Chooses what the clean-up deletes, and the other orders.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

fn main() -> ExitCode {
    fabrik_benches::exit(run(&Options::parse()))
}

fn run(options: &Options) -> Result<Checks> {
    let manifest = Manifest::read(&options.dir)?;
    let scratch = tempfile::tempdir()?;
    let place = options.store.clone().unwrap_or_else(|| scratch.path().join("workload.db"));
    let files = files(&options.dir, &manifest)?;

    let mut history = History::create(&place, options.seed)?;
    for (file, known) in files.iter().zip(&manifest.snapshots) {
        history.capture(file, known.taken)?;
    }
    let peak = peak_bytes();
    let disk_bytes = on_disk(&place)?;
    println!(
        "captured {} snapshots: {} on disk, {} of content, peak memory {}",
        files.len(),
        bytes(disk_bytes),
        bytes(history.snapshots().iter().map(|snapshot| snapshot.stored_bytes).sum()),
        peak.map_or_else(|| "unknown".to_owned(), bytes),
    );

    let (time, checks) = timed(|| check_history(&history, &manifest));
    let mut checks = checks?;
    println!("checked comparisons, timelines, searches and the whole store in {}", duration(time));
    if options.shuffle_check {
        checks.merge(check_same_rows_in_another_order(&history, &files[0], 0, options.seed)?);
        println!("checked other orders of the same rows");
    }
    if !options.check_only {
        measure(options, &manifest, &files, &history, disk_bytes, &mut checks)?;
    }
    if !options.no_retention {
        let (time, retained) = timed(|| check_retention(&history, &manifest, options.seed));
        checks.merge(retained?);
        println!("checked the clean-up in {}", duration(time));
    }
    Ok(checks)
}

fn files(dir: &Path, manifest: &Manifest) -> Result<Vec<PathBuf>> {
    manifest.snapshots.iter().map(|snapshot| Ok(dir.join(&snapshot.json()?.file))).collect()
}

/// Returns the length of a store's file and of what SQLite keeps beside it.
fn on_disk(place: &Path) -> Result<u64> {
    let mut log = place.as_os_str().to_owned();
    log.push("-wal");
    Ok(std::fs::metadata(place)?.len() + std::fs::metadata(log).map_or(0, |log| log.len()))
}

fn measure(
    options: &Options,
    manifest: &Manifest,
    files: &[PathBuf],
    history: &History,
    disk_bytes: u64,
    checks: &mut Checks,
) -> Result<()> {
    let last = files.len() - 1;
    let rows = manifest.snapshots[last].rows;
    let dns: Vec<&str> = manifest.probes.timeline.iter().map(|probe| probe.dn.as_str()).collect();
    let part = manifest.probes.substring_hits_in_last.keys().next().map_or("", String::as_str);
    let figures = measure_history(history, options.runs, &dns, part)?;
    let base = (!options.no_baselines).then(|| Baselines::measure(options, files, figures.timelines.as_slice()));
    let base = base.transpose()?;
    let base = base.as_ref();

    let mut report = Report::default();
    let times = history.capture_times();
    let keep = base.map(|base| ("parse, write, sync", Figure::Time(base.keep_document)));
    report.add("capture, first snapshot", rows, None, Figure::Time(times[0]), keep);
    let step = manifest.consecutive.first().map(|step| step.counts.total());
    report.add("capture, each following", rows, step, Figure::Time(median(&times[1..])), keep);

    let mut compare = |name: &str, changes, figure: Duration, pair: usize| {
        let base = base.map(|base| &base.diffs[pair]);
        let of = |name, time| (name, Figure::Time(time));
        report.add(
            name,
            rows,
            Some(changes),
            Figure::Time(figure),
            base.map(|base| of("two hash maps", base[0].total)),
        );
        if let Some([maps, python]) = base {
            let mut again =
                |name, time| report.add("", rows, Some(changes), Figure::Time(figure), Some(of(name, time)));
            again("two hash maps, parsed before", maps.diff);
            again("Python dictionaries", python.total);
            again("Python dictionaries, parsed before", python.diff);
        }
    };
    compare("compare, first two", figures.first_step.result.total(), figures.first_step.median, 0);
    compare("compare, any neighbours", figures.any_step.result, figures.any_step.median, 0);
    compare(
        "compare, first two, counts alone",
        figures.first_step.result.total(),
        figures.first_step_summary.median,
        0,
    );
    compare("compare, first and last", figures.first_last.result.total(), figures.first_last.median, 1);
    let plain = Some(("the same as it is", Figure::Time(figures.first_last.median)));
    for (operation, taken) in [
        ("compare, first and last, judged", &figures.first_last_judged),
        ("compare, first and last, without noise", &figures.first_last_without_noise),
    ] {
        report.add(operation, rows, Some(taken.result.total()), Figure::Time(taken.median), plain);
    }
    for (i, (limit, time)) in figures.timelines.iter().enumerate() {
        let base = base.map(|base| ("parse every document", Figure::Time(base.timelines[i])));
        report.add(format!("timeline over {limit}"), rows, None, Figure::Time(*time), base);
    }
    let search = Figure::Time(figures.search.median);
    report.add(
        "search of DNs",
        rows,
        None,
        search,
        base.map(|base| ("parse the document", Figure::Time(base.search.0))),
    );
    if let Some(base) = base {
        report.add("", rows, None, search, Some(("scan of DNs in memory", Figure::Time(base.search.1))));
    }
    let again = base.map(|base| ("scan of DNs in memory", Figure::Time(base.search.1)));
    report.add("search of DNs, keys in memory", rows, None, Figure::Time(figures.search_again.median), again);
    let raw: u64 = manifest.snapshots.iter().filter_map(|file| file.json().ok()).map(|file| file.bytes).sum();
    let name = format!("{} snapshots on disk", files.len());
    report.add(name, rows, None, Figure::Bytes(disk_bytes), Some(("the JSON", Figure::Bytes(raw))));
    if let Some(base) = base {
        report.add("", rows, None, Figure::Bytes(disk_bytes), Some(("zstd -3 of each file", Figure::Bytes(base.zstd))));
        for (diff, found) in base.diffs.iter().zip([figures.first_step.result, figures.first_last.result]) {
            for baseline in diff {
                checks.equal(format_args!("changes found by a baseline"), baseline.counts, found);
            }
        }
        checks.equal(format_args!("hits found by a baseline"), base.hits, figures.search.result);
    }
    print!("{report}");
    Ok(())
}

/// What the other ways take.
struct Baselines {
    keep_document: Duration,
    /// Of the first two and of the first and last: hash maps, then Python.
    diffs: [[baseline::FileDiff; 2]; 2],
    /// For as many of the newest documents as each timeline considers.
    timelines: Vec<Duration>,
    /// Parsing and scanning, and scanning alone.
    search: (Duration, Duration),
    hits: usize,
    zstd: u64,
}

impl Baselines {
    fn measure(options: &Options, files: &[PathBuf], timelines: &[(u64, Duration)]) -> Result<Self> {
        let manifest = Manifest::read(&options.dir)?;
        let runs = options.baseline_runs;
        let scratch = tempfile::NamedTempFile::new()?.into_temp_path();
        let last = &files[files.len() - 1];
        let keep = Timed::of(runs, || baseline::keep_document(last, &scratch.with_extension("json")))?;

        let both = |before: &Path, after: &Path| -> Result<[baseline::FileDiff; 2]> {
            Ok([
                fastest_of(runs, || baseline::hash_maps(before, after))?,
                fastest_of(runs, || baseline::python_dicts(before, after))?,
            ])
        };
        let first = both(&files[0], &files[1])?;
        let diffs = [first, if files.len() == 2 { first } else { both(&files[0], last)? }];

        // One pass over all documents, newest first; each timeline stops where it has enough.
        let dn = manifest.probes.timeline.first().map_or("", |probe| probe.dn.as_str());
        let (mut so_far, mut of_each) = (Duration::ZERO, Vec::new());
        for file in files.iter().rev() {
            let (time, found) = timed(|| baseline::find_in_document(file, dn));
            found?;
            so_far += time;
            of_each.push(so_far);
        }
        let timelines = timelines.iter().map(|(limit, _)| {
            let considered = usize::try_from(*limit).unwrap_or(usize::MAX).min(of_each.len());
            considered.checked_sub(1).map_or(Duration::ZERO, |i| of_each[i])
        });
        let timelines = timelines.collect();

        let part = manifest.probes.substring_hits_in_last.keys().next().map_or("", String::as_str);
        let search = Timed::of(runs, || baseline::search_document(last, part))?;
        let mut zstd = 0;
        for file in files {
            zstd += baseline::zstd_bytes(file)?;
        }
        let (hits, scan) = search.result;
        Ok(Self { keep_document: keep.median, diffs, timelines, search: (search.median, scan), hits, zstd })
    }
}

/// Takes the best of some runs, which favours the baseline.
fn fastest_of(runs: usize, mut work: impl FnMut() -> Result<baseline::FileDiff>) -> Result<baseline::FileDiff> {
    let mut best = work()?;
    for _ in 1..runs {
        let next = work()?;
        if next.total < best.total {
            best = next;
        }
    }
    Ok(best)
}
