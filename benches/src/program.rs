//! Whole programs: how long they run and how much memory they take.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::Result;
use crate::measure::peak_in;

/// GNU time, which asks the kernel when the program has ended.
const GNU_TIME: &str = "/usr/bin/time";

/// What one run of a program was.
#[derive(Clone, Debug)]
pub struct Run {
    /// From start to end.
    pub wall: Duration,
    /// What it printed.
    pub stdout: Vec<u8>,
}

impl Run {
    /// Runs a program to its end.
    ///
    /// # Errors
    ///
    /// When it cannot be started or ends with another exit code than 0.
    pub fn of(program: &Path, arguments: &[String]) -> Result<Self> {
        let start = Instant::now();
        let output = Command::new(program).args(arguments).stdin(Stdio::null()).output();
        let output = output.map_err(|error| format!("{}: {error}", program.display()))?;
        let wall = start.elapsed();
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            return Err(format!("{} {}: {said}", program.display(), arguments.join(" ")).into());
        }
        Ok(Self { wall, stdout: output.stdout })
    }
}

/// Returns the `fabrik` command: the one that was named, else that beside the program that runs.
///
/// # Errors
///
/// When it is not there.
pub fn find_fabrik(named: Option<&Path>) -> Result<PathBuf> {
    let program = match named {
        Some(program) => program.to_owned(),
        None => std::env::current_exe()?.with_file_name(format!("fabrik{}", std::env::consts::EXE_SUFFIX)),
    };
    if !program.exists() {
        return Err(format!("{}: there is no such file; build it with --release first", program.display()).into());
    }
    Ok(program)
}

/// Runs a program to its end and returns the most memory it held, in bytes.
///
/// Without GNU time the program is watched while it runs, which may miss its last millisecond.
///
/// # Errors
///
/// As [`Run::of`].
pub fn run_with_peak(program: &Path, arguments: &[String]) -> Result<u64> {
    if Path::new(GNU_TIME).exists() {
        let result = tempfile::NamedTempFile::new()?;
        let mut all = vec!["-f".to_owned(), "%M".to_owned(), "-o".to_owned(), result.path().display().to_string()];
        all.push(program.display().to_string());
        all.extend_from_slice(arguments);
        Run::of(Path::new(GNU_TIME), &all)?;
        let text = fs::read_to_string(result.path())?;
        return Ok(text.trim().parse::<u64>()? * 1024);
    }
    let mut child = Command::new(program).args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).spawn()?;
    let status_file = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        peak = fs::read_to_string(&status_file).ok().and_then(|status| peak_in(&status)).unwrap_or(0).max(peak);
        thread::sleep(Duration::from_micros(500));
    };
    if status.success() { Ok(peak) } else { Err(format!("{} ended with {status}", program.display()).into()) }
}
