//! Measures the server: small authenticated requests a second, memory while idle, and how soon it answers.

#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, reason = "the table is the result")]

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::thread;
use std::time::Duration;

use clap::Parser;
use fabrik_benches::{
    Checks, Figure, PASSWORD, PATH, Report, Result, Run, Server, USER, find_fabrik, free_address, median,
};

/// Ask the server for small things with `wrk`, beside a Django REST Framework application with the same endpoint.
#[derive(Debug, Parser)]
struct Options {
    /// The command. [default: `fabrik` beside this program]
    #[arg(long, env = "FABRIK_BIN", value_name = "FILE")]
    program: Option<PathBuf>,
    /// How long each measurement lasts.
    #[arg(long, default_value_t = 10, value_name = "SECONDS")]
    seconds: u64,
    /// How many connections ask at the same time.
    #[arg(long, default_value_t = 32)]
    connections: u32,
    /// How often to measure.
    #[arg(long, default_value_t = 3)]
    runs: usize,
    /// Leave out the Python baseline.
    #[arg(long)]
    no_baselines: bool,
}

fn main() -> ExitCode {
    fabrik_benches::exit(run(&Options::parse()))
}

fn run(options: &Options) -> Result<Checks> {
    let program = find_fabrik(options.program.as_deref())?;
    let scratch = tempfile::tempdir()?;
    let mut checks = Checks::default();

    let mut starts = Vec::new();
    for _ in 0..options.runs.max(1) {
        starts.push(Server::fabrik(&program, scratch.path(), None)?.start_time());
    }
    let server = Server::fabrik(&program, scratch.path(), None)?;
    // A moment for what a start leaves running.
    thread::sleep(Duration::from_secs(2));
    let idle = server.memory()?;
    let ours = Load::of(&server, options, &mut checks)?;
    let after = server.memory()?;
    drop(server);

    let baseline = match options.no_baselines {
        true => None,
        false => {
            let server = django(scratch.path())?;
            let (start, idle) = (server.start_time(), server.memory()?);
            Some((Load::of(&server, options, &mut checks)?, start, idle))
        }
    };

    let name = "Django REST Framework";
    let beside = |pick: fn(&(Load, Duration, u64)) -> Figure| baseline.as_ref().map(|base| (name, pick(base)));
    let mut report = Report::default();
    let mean = |load: &Load| Duration::from_secs_f64(1.0 / load.rate.max(f64::MIN_POSITIVE));
    let base_mean = baseline.as_ref().map(|(load, ..)| (name, Figure::Time(mean(load))));
    report.add("request, authenticated: time per request", 1, None, Figure::Time(mean(&ours)), base_mean);
    report.add("the same, 99th percentile", 1, None, Figure::Time(ours.p99), beside(|base| Figure::Time(base.0.p99)));
    report.add("start to first answer", 0, None, Figure::Time(median(&starts)), beside(|base| Figure::Time(base.1)));
    report.add("memory, idle", 0, None, Figure::Bytes(idle), beside(|base| Figure::Bytes(base.2)));
    report.add("memory, after the load", 0, None, Figure::Bytes(after), None);
    println!("{report}\n{:.0} requests a second over {} connections", ours.rate, options.connections);
    if let Some((load, ..)) = &baseline {
        println!("{:.0} requests a second by {name}: {:.1} times fewer", load.rate, ours.rate / load.rate);
    }
    Ok(checks)
}

/// Installs the baseline and starts it.
fn django(scratch: &Path) -> Result<Server> {
    let sources = concat!(env!("CARGO_MANIFEST_DIR"), "/python/drf");
    let environment = scratch.join("django");
    let text = |parts: &[&str]| parts.iter().map(|&part| part.to_owned()).collect::<Vec<_>>();
    let place = environment.display().to_string();
    Run::of(Path::new("/usr/bin/env"), &text(&["python3", "-m", "venv", &place]))?;
    let python = environment.join("bin/python");
    let requirements = format!("{sources}/requirements.txt");
    Run::of(&python, &text(&["-m", "pip", "install", "--quiet", "--requirement", &requirements]))?;
    let database = format!("DRF_DATABASE={}", scratch.join("django.db").display());
    let python = python.display().to_string();
    let app = format!("{sources}/app.py");
    Run::of(Path::new("/usr/bin/env"), &text(&[&database, &python, &app, USER, PASSWORD]))?;
    let address = free_address()?;
    // As its documentation recommends: twice the cores and one.
    let workers = 2 * thread::available_parallelism()?.get() + 1;
    let mut command = Command::new(environment.join("bin/gunicorn"));
    command.args(["--chdir", sources, "--workers", &workers.to_string(), "--worker-class", "gthread"]);
    command.args(["--threads", "2", "--keep-alive", "60", "--log-level", "warning"]);
    command.args(["--bind", &address.to_string(), "app:application"]);
    command.env("DRF_DATABASE", scratch.join("django.db"));
    Server::start(&mut command, address)
}

/// What a load found.
struct Load {
    /// Requests a second.
    rate: f64,
    p99: Duration,
}

impl Load {
    /// Asks for some seconds, several times, and returns the medians.
    fn of(server: &Server, options: &Options, checks: &mut Checks) -> Result<Self> {
        let (mut rates, mut p99s) = (Vec::new(), Vec::new());
        for _ in 0..options.runs.max(1) {
            let arguments = [
                "wrk".to_owned(),
                "--threads=2".to_owned(),
                format!("--connections={}", options.connections),
                format!("--duration={}s", options.seconds),
                "--latency".to_owned(),
                format!("--header=Authorization: Bearer {}", server.token()),
                format!("http://{}{PATH}", server.address()),
            ];
            let ran = Run::of(Path::new("/usr/bin/env"), &arguments)?;
            let told = String::from_utf8_lossy(&ran.stdout);
            checks.equal(format_args!("answers that are no success"), told.contains("Non-2xx"), false);
            let after = |name: &str| told.lines().find_map(|line| line.trim().strip_prefix(name)).map(str::trim);
            rates.push(after("Requests/sec:").ok_or("wrk told no rate")?.parse::<f64>()?);
            p99s.push(wrk_time(after("99%").ok_or("wrk told no percentile")?)?);
        }
        rates.sort_by(f64::total_cmp);
        Ok(Self { rate: rates[rates.len() / 2], p99: median(&p99s) })
    }
}

/// Reads a time as `wrk` writes it: `843.00us`, `1.20ms`, `2.50s`.
fn wrk_time(text: &str) -> Result<Duration> {
    let unit = text.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
    let number: f64 = text[..text.len() - unit.len()].parse()?;
    let seconds = match unit {
        "us" => number / 1e6,
        "ms" => number / 1e3,
        "s" => number,
        _ => return Err(format!("{text} is no time").into()),
    };
    Ok(Duration::from_secs_f64(seconds))
}
