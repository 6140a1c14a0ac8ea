//! Measures the `fabrik` command as a whole: from its start to its end, and the most memory it held.

#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, reason = "the table is the result")]

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use fabrik_benches::{
    Checks, Counts, Figure, Manifest, QUERY, Report, Result, Run, Timed, baseline, find_fabrik, median, run_with_peak,
};
use serde_json::Value;

/// Measure the fabrik command on folders of numbered answers, beside Python dictionaries of the same files.
#[derive(Debug, Parser)]
struct Options {
    /// Folders with manifest.json and the files that it names.
    #[arg(required = true)]
    dirs: Vec<PathBuf>,
    /// The command. [default: `fabrik` beside this program]
    #[arg(long, env = "FABRIK_BIN", value_name = "FILE")]
    program: Option<PathBuf>,
    /// How often to measure what takes less than a second or so; a capture is measured once per snapshot.
    #[arg(long, default_value_t = 11)]
    runs: usize,
    /// Capture no more than this many of each folder.
    #[arg(long, default_value_t = 30, value_name = "N", value_parser = clap::value_parser!(u16).range(2..))]
    snapshots: u16,
    /// Leave out the Python baseline.
    #[arg(long)]
    no_baselines: bool,
}

fn main() -> ExitCode {
    fabrik_benches::exit(run(&Options::parse()))
}

fn run(options: &Options) -> Result<Checks> {
    let program = find_fabrik(options.program.as_deref())?;
    let (mut checks, mut times, mut peaks) = (Checks::default(), Report::default(), Report::default());
    for dir in &options.dirs {
        Measured { options, program: &program, checks: &mut checks, times: &mut times, peaks: &mut peaks }.run(dir)?;
    }
    print!("Time from start to end:\n\n{times}\nPeak memory:\n\n{peaks}");
    Ok(checks)
}

/// Where the figures of one folder go.
struct Measured<'a> {
    options: &'a Options,
    program: &'a Path,
    checks: &'a mut Checks,
    times: &'a mut Report,
    peaks: &'a mut Report,
}

impl Measured<'_> {
    fn run(&mut self, dir: &Path) -> Result<()> {
        let manifest = Manifest::read(dir)?;
        let count = manifest.snapshots.len().min(usize::from(self.options.snapshots));
        let answers = &manifest.snapshots[..count];
        let rows = answers[count - 1].rows;
        let scratch = tempfile::tempdir()?;
        let store = format!("sqlite:{}", scratch.path().join("command.db").display());
        let other = format!("sqlite:{}", scratch.path().join("memory.db").display());
        let capture = |store: &str, place: usize| -> Result<Vec<String>> {
            let file = dir.join(&answers[place].json()?.file).display().to_string();
            let at = answers[place].taken.to_rfc3339();
            let forever = ["--store", store, "capture", "--query", QUERY, "--retention", "forever"];
            Ok(forever.into_iter().chain(["--from", &file, "--at", &at]).map(str::to_owned).collect())
        };

        let mut walls = Vec::new();
        for place in 0..count {
            walls.push(Run::of(self.program, &capture(&store, place)?)?.wall);
        }
        let first_peak = run_with_peak(self.program, &capture(&other, 0)?)?;
        let next_peak = run_with_peak(self.program, &capture(&other, 1)?)?;
        self.add("capture, first snapshot", rows, None, walls[0], first_peak, None);
        let step = manifest.consecutive[0].counts;
        self.add("capture, each following", rows, Some(step.total()), median(&walls[1..]), next_peak, None);

        let base = match self.options.no_baselines {
            true => None,
            false => Some(python(&dir.join(&answers[0].json()?.file), &dir.join(&answers[1].json()?.file))?),
        };
        let reference = |place: usize| format!("{QUERY}@latest~{}", count - 1 - place);
        let of_store = |arguments: &[&str]| -> Vec<String> {
            ["--store", &store].iter().chain(arguments).map(|&argument| argument.to_owned()).collect()
        };
        let (first, second, last) = (reference(0), reference(1), reference(count - 1));
        let compare = of_store(&["compare", &first, &second, "--format", "json"]);
        let printed = self.measure("compare, first two", rows, Some(step.total()), &compare, base)?;
        self.checks.equal(format_args!("counts of compare"), counts(&printed)?, step);
        let summary = of_store(&["compare", &first, &second, "--summary", "--format", "json"]);
        let printed = self.measure("compare --summary", rows, Some(step.total()), &summary, base)?;
        self.checks.equal(format_args!("counts of compare --summary"), counts(&printed)?, step);
        let known = manifest.first_last.as_ref().map(|step| step.counts).filter(|_| count == manifest.snapshots.len());
        let across = of_store(&["compare", &first, &last, "--format", "json"]);
        let printed = self.measure("compare, first and last", rows, known.map(|known| known.total()), &across, base)?;
        if let Some(known) = known {
            self.checks.equal(format_args!("counts of first and last"), counts(&printed)?, known);
        }

        let Some(probe) = manifest.probes.timeline.first() else { return Ok(()) };
        let mut limits = [20, 100].map(|limit: usize| limit.min(count)).to_vec();
        limits.dedup();
        for limit in limits {
            let text = limit.to_string();
            let arguments = ["timeline", "--query", QUERY, "--dn", &probe.dn, "--limit", &text, "--format", "json"];
            let printed = self.measure(&format!("timeline over {limit}"), rows, None, &of_store(&arguments), None)?;
            let points = printed["points"].as_array().map(Vec::len);
            self.checks.equal(format_args!("points of a timeline"), points, Some(limit));
        }
        if let Some((part, _)) = manifest.probes.substring_hits_in_last.first_key_value() {
            let arguments = of_store(&["dns", "--query", QUERY, "--q", part, "--limit", "20", "--format", "json"]);
            self.measure("search of DNs", rows, None, &arguments, None)?;
        }
        Ok(())
    }

    /// Runs the command some times, and once more for its memory; returns what it printed.
    fn measure(
        &mut self,
        operation: &str,
        rows: u64,
        changes: Option<u64>,
        arguments: &[String],
        base: Option<(Duration, u64)>,
    ) -> Result<Value> {
        let mut walls = Vec::new();
        let ran = Timed::of(self.options.runs, || {
            let ran = Run::of(self.program, arguments)?;
            walls.push(ran.wall);
            Ok(ran)
        })?;
        let peak = run_with_peak(self.program, arguments)?;
        self.add(operation, rows, changes, median(&walls), peak, base);
        Ok(serde_json::from_slice(&ran.result.stdout)?)
    }

    fn add(
        &mut self,
        operation: &str,
        rows: u64,
        changes: Option<u64>,
        wall: Duration,
        peak: u64,
        base: Option<(Duration, u64)>,
    ) {
        const NAME: &str = "Python dictionaries";
        let (time, memory) = base.unzip();
        self.times.add(operation, rows, changes, Figure::Time(wall), time.map(|time| (NAME, Figure::Time(time))));
        self.peaks.add(
            operation,
            rows,
            changes,
            Figure::Bytes(peak),
            memory.map(|memory| (NAME, Figure::Bytes(memory))),
        );
    }
}

/// Measures Python dictionaries as a whole program.
fn python(before: &Path, after: &Path) -> Result<(Duration, u64)> {
    let arguments = baseline::python_arguments(before, after);
    let python = find_in_path("python3").ok_or("there is no python3")?;
    Ok((Run::of(&python, &arguments)?.wall, run_with_peak(&python, &arguments)?))
}

fn find_in_path(name: &str) -> Option<PathBuf> {
    std::env::split_paths(&std::env::var_os("PATH")?).map(|dir| dir.join(name)).find(|file| file.is_file())
}

fn counts(printed: &Value) -> Result<Counts> {
    Ok(serde_json::from_value(printed["summary"].clone())?)
}
