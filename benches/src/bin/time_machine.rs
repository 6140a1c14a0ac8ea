//! Measures the Time Machine over HTTP: from the request to the last byte of the answer, on loopback.

#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, reason = "the table is the result")]

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use chrono::{DateTime, TimeDelta, Utc};
use clap::Parser;
use fabrik_apic::demo::{Churn, DemoFabric, DemoOptions};
use fabrik_benches::{Checks, Figure, History, QUERY, Report, Result, Run, Server, Timed, find_fabrik};
use fabrik_core::store::conformance::postgres::PostgresServer;
use fabrik_core::store::{OpenMode, SqliteStore};
use fabrik_core::{CaptureOptions, SnapshotId, capture};
use serde_json::{Value, json};
use uuid::Uuid;

/// The series of the small fabric that is captured every hour for a year.
const YEAR: &str = "a year";

/// Ask the Time Machine of a server, beside a server's way that keeps each snapshot as one document in PostgreSQL.
#[derive(Debug, Parser)]
struct Options {
    /// The command. [default: `fabrik` beside this program]
    #[arg(long, env = "FABRIK_BIN", value_name = "FILE")]
    program: Option<PathBuf>,
    /// How many rows a snapshot has.
    #[arg(long, default_value_t = 100_000)]
    rows: usize,
    /// How many snapshots a timeline considers; at most 100.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u16).range(2..=100))]
    snapshots: u16,
    /// How many snapshots of a small fabric the heatmap of a year has.
    #[arg(long, default_value_t = 8760)]
    hours: i32,
    /// How many documents the baseline keeps.
    #[arg(long, default_value_t = 10)]
    documents: usize,
    /// How many clients type at the same time.
    #[arg(long, default_value_t = 20)]
    clients: u32,
    /// How often to measure.
    #[arg(long, default_value_t = 9)]
    runs: usize,
    /// Leave out the baseline.
    #[arg(long)]
    no_baselines: bool,
}

fn main() -> ExitCode {
    fabrik_benches::exit(run(&Options::parse()))
}

fn run(options: &Options) -> Result<Checks> {
    let program = find_fabrik(options.program.as_deref())?;
    let scratch = tempfile::tempdir()?;
    let place = scratch.path().join("measured.db");
    let made = Made::capture(options, scratch.path(), &place)?;
    println!("captured {} snapshots of {} rows, and {} small ones", options.snapshots, options.rows, options.hours);
    let server = Server::fabrik(&program, scratch.path(), Some(&place))?;
    let asked = Asked::measure(options, &server, &made)?;
    let mut checks = Checks::default();
    let changes = made.changed_at_first_step;
    checks.equal(format_args!("changes of the first step"), asked.changes, changes);

    let baseline = match options.no_baselines {
        true => None,
        false => Some(Baseline::measure(&made, scratch.path())?),
    };
    if let Some(base) = &baseline {
        checks.equal(format_args!("changes found by the baseline"), base.changes, changes);
    }
    let name = format!("documents in PostgreSQL, {} of them", made.files.len());
    let beside = |pick: fn(&Baseline) -> Duration| baseline.as_ref().map(|base| (&*name, Figure::Time(pick(base))));
    let rows = options.rows as u64;
    let mut report = Report::default();
    let changes = Some(changes);
    report.add("compare, first two", rows, changes, Figure::Time(asked.compare), beside(|base| base.compare));
    let of = format!("timeline over {}", options.snapshots);
    report.add(of, rows, None, Figure::Time(asked.timeline), beside(|base| base.timeline));
    report.add("search of DNs, the first of a snapshot", rows, None, Figure::Time(asked.first_typed), None);
    let typing = format!("search of DNs, 99th percentile of {} clients", options.clients);
    report.add(typing, rows, None, Figure::Time(asked.typing), beside(|base| base.search));
    report.add("heatmap of a year", options.hours.unsigned_abs().into(), None, Figure::Time(asked.heatmap), None);
    report.add("snapshot, all rows", rows, None, Figure::Time(asked.detail), beside(|base| base.detail));
    println!("{report}");
    let rate = asked.detail_bytes as f64 / 1e6 / asked.detail.as_secs_f64();
    println!("a snapshot of {:.0} MB: {rate:.0} MB/s", asked.detail_bytes as f64 / 1e6);
    println!("memory of the server after all this: {}", Figure::Bytes(server.memory()?));
    Ok(checks)
}

/// What was captured.
struct Made {
    /// The first answers, for the baseline.
    files: Vec<PathBuf>,
    /// Objects that are there all the time.
    dns: Vec<String>,
    changed_at_first_step: u64,
}

impl Made {
    fn capture(options: &Options, scratch: &Path, place: &Path) -> Result<Self> {
        let hour = TimeDelta::hours(1);
        // So that the newest snapshots are of today, which is where windows end.
        let start = DateTime::<Utc>::from(SystemTime::now()) - hour * options.hours - hour;
        let mut fabric = DemoFabric::new(DemoOptions { seed: 1, objects: options.rows, start });
        let churn = churn(options.rows / 200);
        let mut history = History::create(place, 1)?;
        let (mut files, mut changed) = (Vec::new(), 0);
        let mut dns: Vec<String> = fabric.dns().collect();
        for number in 0..usize::from(options.snapshots) {
            if number > 0 {
                let step = fabric.advance(fabric.now() + hour, &churn);
                if number == 1 {
                    changed = (step.added.len() + step.removed.len() + step.changed.len() + step.touched.len()) as u64;
                }
            }
            let file = scratch.join(format!("{number}.json"));
            let mut out = BufWriter::with_capacity(1 << 20, File::create(&file)?);
            fabric.write_json(&mut out, Some(number as u64))?;
            out.flush()?;
            history.capture(&file, fabric.now())?;
            if number < options.documents.max(2) { files.push(file) } else { fs::remove_file(file)? }
        }
        let there: std::collections::HashSet<String> = fabric.dns().collect();
        dns.retain(|dn| there.contains(dn));
        capture_year(options, place, start)?;
        Ok(Self { files, dns, changed_at_first_step: changed })
    }
}

fn churn(changes: usize) -> Churn {
    let fifth = changes / 5;
    Churn { changed: changes - 2 * fifth, added: fifth, removed: fifth, touched: 0 }
}

/// Captures a small fabric every hour.
fn capture_year(options: &Options, place: &Path, start: DateTime<Utc>) -> Result<()> {
    let store = SqliteStore::open(place, OpenMode::Existing)?;
    let mut fabric = DemoFabric::new(DemoOptions { seed: 2, objects: 200, start });
    for number in 0..options.hours {
        if number > 0 {
            fabric.advance(fabric.now() + TimeDelta::hours(1), &churn(5));
        }
        let capturing = CaptureOptions::new(SnapshotId::new(Uuid::now_v7()), YEAR, fabric.now());
        pollster::block_on(capture(&store, &mut fabric.rows(None), &capturing))?;
    }
    Ok(())
}

/// What the server took.
struct Asked {
    compare: Duration,
    changes: u64,
    timeline: Duration,
    first_typed: Duration,
    typing: Duration,
    heatmap: Duration,
    detail: Duration,
    detail_bytes: u64,
}

impl Asked {
    fn measure(options: &Options, server: &Server, made: &Made) -> Result<Self> {
        let adopt = |series: &str| -> Result<u64> {
            let query = json!({ "name": series, "class_name": "fvBD", "series": series }).to_string();
            let made: Value = serde_json::from_str(&server.ask("POST", "/api/queries/saved-queries/", &query)?)?;
            Ok(made["id"].as_u64().ok_or("a saved query without id")?)
        };
        let (query, year) = (adopt(QUERY)?, adopt(YEAR)?);
        let first = format!("{query}@latest~{}", options.snapshots - 1);
        let second = format!("{query}@latest~{}", options.snapshots - 2);
        let body = json!({ "snapshot_a": first, "snapshot_b": second }).to_string();
        let compare = Timed::of(options.runs, || server.ask("POST", "/api/time-machine/compare/", &body))?;
        let compared: Value = serde_json::from_str(&compare.result)?;
        let count = |kind: &str| compared["summary"][kind].as_u64().unwrap_or(0);

        let mut dns = made.dns.iter().cycle().step_by(997);
        let timeline = Timed::of(options.runs, || {
            let dn = dns.next().ok_or("no object is there all the time")?;
            let limit = options.snapshots;
            server.ask(
                "GET",
                &format!("/api/time-machine/timeline/?saved_query_id={query}&dn={}&limit={limit}", quoted(dn)),
                "",
            )
        })?;
        let start = Instant::now();
        server.ask("GET", &format!("/api/time-machine/saved-queries/{query}/dns/?q=u"), "")?;
        let first_typed = start.elapsed();
        let typing = type_dns(options, server, query, &made.dns)?;
        let path = format!("/api/time-machine/heatmap/?saved_query={year}&window=366d");
        let heatmap = Timed::of(options.runs, || server.ask("GET", &path, ""))?;
        let listed = server.ask("GET", &format!("/api/time-machine/snapshots/?saved_query={query}&page_size=1"), "")?;
        let listed: Value = serde_json::from_str(&listed)?;
        let id = listed["results"][0]["id"].as_str().ok_or("no snapshot is listed")?;
        let path = format!("/api/time-machine/snapshots/{id}/");
        let detail = Timed::of(options.runs, || server.count(&path))?;
        Ok(Self {
            compare: compare.median,
            changes: count("added") + count("removed") + count("changed"),
            timeline: timeline.median,
            first_typed,
            typing,
            heatmap: heatmap.median,
            detail: detail.median,
            detail_bytes: detail.result,
        })
    }
}

/// Types DNs as people do, letter by letter, all clients at once and each one of its own, and returns the 99th percentile of the answers.
fn type_dns(options: &Options, server: &Server, query: u64, dns: &[String]) -> Result<Duration> {
    /// How many letters each of them types.
    const KEYS: usize = 35;
    /// A quick hand: five keys a second.
    const PAUSE: Duration = Duration::from_millis(200);
    let times = Mutex::new(Vec::new());
    let failures = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for client in 0..options.clients {
            let (times, failures) = (&times, &failures);
            let typed = &dns[client as usize * 997 % dns.len()];
            scope.spawn(move || {
                // No two people begin in the same moment.
                thread::sleep(PAUSE * client / options.clients);
                for key in 0..KEYS {
                    let part = typed.get(..=key % typed.len()).unwrap_or(typed);
                    let path = format!("/api/time-machine/saved-queries/{query}/dns/?q={}", quoted(part));
                    let start = Instant::now();
                    match server.ask("GET", &path, "") {
                        Ok(_) => times.lock().expect("no client panics").push(start.elapsed()),
                        Err(error) => failures.lock().expect("no client panics").push(error.to_string()),
                    }
                    thread::sleep(PAUSE);
                }
            });
        }
    });
    if let Some(failure) = failures.into_inner().expect("no client panics").pop() {
        return Err(failure.into());
    }
    let mut times = times.into_inner().expect("no client panics");
    times.sort_unstable();
    Ok(times[(times.len() * 99 / 100).min(times.len() - 1)])
}

/// Writes a text so that it can stand in an address.
fn quoted(text: &str) -> String {
    text.bytes()
        .map(|b| if b.is_ascii_alphanumeric() { char::from(b).to_string() } else { format!("%{b:02X}") })
        .collect()
}

/// What the baseline took.
struct Baseline {
    compare: Duration,
    changes: u64,
    timeline: Duration,
    search: Duration,
    detail: Duration,
}

impl Baseline {
    fn measure(made: &Made, scratch: &Path) -> Result<Self> {
        let postgres = PostgresServer::start();
        let environment = scratch.join("python");
        let text = |parts: &[&str]| parts.iter().map(|&part| part.to_owned()).collect::<Vec<_>>();
        let place = environment.display().to_string();
        Run::of(Path::new("/usr/bin/env"), &text(&["python3", "-m", "venv", &place]))?;
        let python = environment.join("bin/python");
        Run::of(&python, &text(&["-m", "pip", "install", "--quiet", "psycopg[binary]==3.2.13"]))?;
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/python/documents.py");
        let dn = made.dns.first().ok_or("no object is there all the time")?;
        let url = postgres.url("public");
        // The schema is a word of ours.
        let url = url.split("&schema=").next().unwrap_or(&url);
        let mut arguments = text(&[script, url, dn, "uni/tn-"]);
        arguments.extend(made.files.iter().map(|file| file.display().to_string()));
        let found: Value = serde_json::from_slice(&Run::of(&python, &arguments)?.stdout)?;
        let time = |name: &str| found[name].as_f64().map(Duration::from_secs_f64).ok_or(format!("no {name}"));
        let count = |name: &str| found[name].as_u64().ok_or(format!("no {name}"));
        Ok(Self {
            compare: time("compare")?,
            changes: count("added")? + count("removed")? + count("changed")?,
            timeline: time("timeline")?,
            search: time("search")?,
            detail: time("detail")?,
        })
    }
}
