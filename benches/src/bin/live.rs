//! Measures a live capture: from the socket of a simulated controller into the store.

#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, reason = "the table is the result")]

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::Duration;

use clap::Parser;
use fabrik_benches::{Checks, Figure, Report, Result, Run, find_fabrik, median, run_with_peak};
use serde_json::Value;
use tempfile::TempDir;

const USER: &str = "admin";
const PASSWORD: &str = "measured";
/// The page size that a capture takes by itself.
const PAGE_SIZE: u64 = 5000;

/// Capture a class from a simulated controller on this machine, beside a Python loop that reads the same pages.
#[derive(Debug, Parser)]
struct Options {
    /// The command. [default: `fabrik` beside this program]
    #[arg(long, env = "FABRIK_BIN", value_name = "FILE")]
    program: Option<PathBuf>,
    /// How many objects the simulated fabric has, of all classes.
    #[arg(long, default_value_t = 950_000)]
    objects: u64,
    /// The class that is captured.
    #[arg(long, default_value = "fvCEp")]
    class: String,
    /// How often to measure.
    #[arg(long, default_value_t = 3)]
    runs: usize,
    /// Leave out the Python baseline, and with it the rate and the number of rows that it finds.
    #[arg(long)]
    no_baselines: bool,
}

fn main() -> ExitCode {
    fabrik_benches::exit(run(&Options::parse()))
}

fn run(options: &Options) -> Result<Checks> {
    let program = find_fabrik(options.program.as_deref())?;
    let controller = Controller::start(&program, options.objects)?;
    let scratch = tempfile::tempdir()?;
    let captures = Captures { program: &program, url: &controller.url, class: &options.class, scratch: &scratch };

    let (mut walls, mut rows) = (Vec::new(), 0);
    for run in 0..options.runs.max(1) {
        let captured = captures.run(run)?;
        walls.push(captured.wall);
        rows = serde_json::from_slice::<Value>(&captured.stdout)?["row_count"].as_u64().ok_or("no row_count")?;
    }
    let wall = median(&walls);
    let peak = captures.peak()?;

    let mut checks = Checks::default();
    let (mut times, mut peaks) = (Report::default(), Report::default());
    let baseline = match options.no_baselines {
        true => None,
        false => Some(Baseline::measure(&controller.url, &options.class, &scratch)?),
    };
    let name = "Python, requests and json";
    let operation = "capture of a class, live";
    let time = baseline.as_ref().map(|base| (name, Figure::Time(base.time)));
    times.add(operation, rows, None, Figure::Time(wall), time);
    peaks.add(
        operation,
        rows,
        None,
        Figure::Bytes(peak),
        baseline.as_ref().map(|base| (name, Figure::Bytes(base.peak))),
    );
    print!("Time, from the start of the process to its end:\n\n{times}\nPeak memory:\n\n{peaks}");
    if let Some(base) = &baseline {
        checks.equal(format_args!("rows of the capture and of the loop"), rows, base.rows);
        let rate = |time: Duration| base.bytes as f64 / 1e6 / time.as_secs_f64();
        println!(
            "\n{:.0} MB of JSON: {:.0} MB/s captured, {:.0} MB/s read by the loop",
            base.bytes as f64 / 1e6,
            rate(wall),
            rate(base.time)
        );
    }
    Ok(checks)
}

/// A simulated controller in a process of its own, which ends with this value.
struct Controller {
    process: Child,
    url: String,
}

impl Controller {
    fn start(program: &Path, objects: u64) -> Result<Self> {
        let mut process = Command::new(program)
            .args(["apic-sim", "--http", "--listen", "127.0.0.1:0", "--user", USER, "--password", PASSWORD])
            .args(["--objects", &objects.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut lines = BufReader::new(process.stdout.take().ok_or("no standard output")?).lines();
        let url = lines.by_ref().find_map(|line| {
            let line = line.ok()?;
            line.split_whitespace().find(|word| word.starts_with("http://")).map(str::to_owned)
        });
        // The rest of what it prints must go somewhere.
        std::thread::spawn(move || lines.for_each(drop));
        match url {
            Some(url) => Ok(Self { process, url }),
            None => {
                process.kill()?;
                Err("the simulated controller did not say where it is".into())
            }
        }
    }
}

impl Drop for Controller {
    fn drop(&mut self) {
        // It may have ended already; then there is nothing left to do.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Captures into stores of their own.
struct Captures<'a> {
    program: &'a Path,
    url: &'a str,
    class: &'a str,
    scratch: &'a TempDir,
}

impl Captures<'_> {
    fn run(&self, run: usize) -> Result<Run> {
        let arguments = self.prepare(&format!("run-{run}.db"))?;
        Run::of(Path::new("/usr/bin/env"), &self.with_key(&arguments))
    }

    fn peak(&self) -> Result<u64> {
        let arguments = self.prepare("peak.db")?;
        run_with_peak(Path::new("/usr/bin/env"), &self.with_key(&arguments))
    }

    /// Makes a store with a connection, and returns what captures into it.
    fn prepare(&self, name: &str) -> Result<Vec<String>> {
        let store = format!("sqlite:{}", self.scratch.path().join(name).display());
        let add = ["--store", &store, "connections", "add", "sim", "--url", self.url, "--username", USER];
        let add: Vec<String> =
            add.into_iter().chain(["--password-env", "MEASURED_PASSWORD"]).map(str::to_owned).collect();
        Run::of(Path::new("/usr/bin/env"), &self.with_key(&add))?;
        let capture = ["--store", &store, "capture", "--query", "measured", "--class", self.class, "--format", "json"];
        Ok(capture.map(str::to_owned).to_vec())
    }

    /// Puts the key and the password into the environment of the command.
    fn with_key(&self, arguments: &[String]) -> Vec<String> {
        let key = format!("FABRIK_SECRET_KEY={}", "5".repeat(64));
        let password = format!("MEASURED_PASSWORD={PASSWORD}");
        let program = self.program.display().to_string();
        [key, password, program].into_iter().chain(arguments.iter().cloned()).collect()
    }
}

/// What the Python loop found and took.
struct Baseline {
    time: Duration,
    bytes: u64,
    rows: u64,
    peak: u64,
}

impl Baseline {
    fn measure(url: &str, class: &str, scratch: &TempDir) -> Result<Self> {
        let environment = scratch.path().join("python");
        let text = |parts: &[&str]| parts.iter().map(|&part| part.to_owned()).collect::<Vec<_>>();
        let place = environment.display().to_string();
        Run::of(Path::new("/usr/bin/env"), &text(&["python3", "-m", "venv", &place]))?;
        let python = environment.join("bin/python");
        Run::of(&python, &text(&["-m", "pip", "install", "--quiet", "requests==2.32.5"]))?;
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/python/page_loop.py");
        let size = PAGE_SIZE.to_string();
        let arguments = text(&[script, url, USER, PASSWORD, class, &size]);
        let ran = Run::of(&python, &arguments)?;
        let peak = run_with_peak(&python, &arguments)?;
        let found: Value = serde_json::from_slice(&ran.stdout)?;
        let number = |name: &str| found[name].as_u64().ok_or_else(|| format!("the loop told no {name}"));
        let seconds = found["seconds"].as_f64().ok_or("the loop told no seconds")?;
        Ok(Self { time: Duration::from_secs_f64(seconds), bytes: number("bytes")?, rows: number("rows")?, peak })
    }
}
