//! What the figures are set against: the ways that need no engine.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{BufWriter, Read, Write};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use hashbrown::HashMap;
use serde::Deserialize;
use serde_json::Value;

use crate::{Counts, Result};

/// What [`python_dicts`] runs.
const DICT_DIFF: &str = include_str!("../python/dict_diff.py");

/// A comparison of two files and how long it took.
#[derive(Clone, Copy, Debug)]
pub struct FileDiff {
    /// From opening the files to the result.
    pub total: Duration,
    /// The part after both were parsed.
    pub diff: Duration,
    /// What it found.
    pub counts: Counts,
}

/// Compares two answers by parsing both into `serde_json` values and looking up each row of one in a hash map
/// of the other.
///
/// # Errors
///
/// When a file is no answer.
pub fn hash_maps(before: &Path, after: &Path) -> Result<FileDiff> {
    let start = Instant::now();
    let (before, after) = (rows_by_dn(parse(before)?)?, rows_by_dn(parse(after)?)?);
    let parsed = Instant::now();
    let mut counts = Counts::default();
    for (dn, row) in &after {
        match before.get(dn) {
            None => counts.added += 1,
            Some(was) if was != row => counts.changed += 1,
            Some(_) => {}
        }
    }
    counts.removed = before.keys().filter(|dn| !after.contains_key(*dn)).count() as u64;
    let diff = parsed.elapsed();
    drop((before, after));
    Ok(FileDiff { total: start.elapsed(), diff, counts })
}

/// Compares two answers with Python dictionaries of parsed JSON, as tools that store documents do. The start
/// of the interpreter is not counted.
///
/// # Errors
///
/// When there is no `python3` or it fails.
pub fn python_dicts(before: &Path, after: &Path) -> Result<FileDiff> {
    #[derive(Deserialize)]
    struct Printed {
        seconds: f64,
        diff_seconds: f64,
        #[serde(flatten)]
        counts: Counts,
    }
    let arguments = [OsStr::new("-c"), OsStr::new(DICT_DIFF), before.as_os_str(), after.as_os_str()];
    let output = Command::new("python3").args(arguments).output().map_err(|error| format!("python3: {error}"))?;
    if !output.status.success() {
        return Err(format!("python3: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    let printed: Printed = serde_json::from_slice(&output.stdout)?;
    Ok(FileDiff {
        total: Duration::from_secs_f64(printed.seconds),
        diff: Duration::from_secs_f64(printed.diff_seconds),
        counts: printed.counts,
    })
}

/// Returns the arguments with which `python3` does what [`python_dicts`] does, to measure it as a whole.
#[must_use]
pub fn python_arguments(before: &Path, after: &Path) -> Vec<String> {
    vec!["-c".to_owned(), DICT_DIFF.to_owned(), before.display().to_string(), after.display().to_string()]
}

/// Parses an answer, writes it into a new file beside `scratch` and syncs that, as a tool does that keeps whole
/// documents.
///
/// # Errors
///
/// When the file is no JSON or the new one cannot be written.
pub fn keep_document(file: &Path, scratch: &Path) -> Result<()> {
    let document = parse(file)?;
    let mut out = BufWriter::with_capacity(1 << 20, File::create(scratch)?);
    serde_json::to_writer(&mut out, &document)?;
    out.flush()?;
    out.get_ref().sync_all()?;
    drop(out);
    fs::remove_file(scratch)?;
    Ok(())
}

/// Parses an answer and returns the row of a DN.
///
/// # Errors
///
/// When the file is no answer.
pub fn find_in_document(file: &Path, dn: &str) -> Result<Option<Value>> {
    Ok(rows_of(parse(file)?)?.find(|(have, _)| have == dn).map(|(_, row)| row))
}

/// Parses an answer and counts the DNs that contain a part, whatever the case. The second time is that of the
/// scan alone, with the DNs in memory.
///
/// # Errors
///
/// When the file is no answer.
pub fn search_document(file: &Path, part: &str) -> Result<(usize, Duration)> {
    let dns: Vec<String> = rows_of(parse(file)?)?.map(|(dn, _)| dn).collect();
    let start = Instant::now();
    let part = part.to_lowercase();
    let hits = dns.iter().filter(|dn| dn.to_lowercase().contains(&part)).count();
    Ok((hits, start.elapsed()))
}

/// Returns the length of a file after `zstd -3`.
///
/// # Errors
///
/// When it cannot be read.
pub fn zstd_bytes(file: &Path) -> Result<u64> {
    let mut counting = Counting(0);
    zstd::stream::copy_encode(File::open(file)?, &mut counting, 3)?;
    Ok(counting.0)
}

/// Counts what is written.
struct Counting(u64);

impl Write for Counting {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn parse(file: &Path) -> Result<Value> {
    let mut text = Vec::new();
    File::open(file)
        .and_then(|mut file| file.read_to_end(&mut text))
        .map_err(|e| format!("{}: {e}", file.display()))?;
    Ok(serde_json::from_slice(&text)?)
}

fn rows_by_dn(document: Value) -> Result<HashMap<String, Value>> {
    Ok(rows_of(document)?.collect())
}

/// Takes an answer apart into its objects, each with its DN.
fn rows_of(mut document: Value) -> Result<impl Iterator<Item = (String, Value)>> {
    let Some(Value::Array(objects)) = document.get_mut("imdata").map(Value::take) else {
        return Err("an answer without imdata".into());
    };
    Ok(objects.into_iter().filter_map(|object| {
        let body = object.as_object()?.values().next()?;
        let dn = body.get("attributes")?.get("dn")?.as_str()?.to_owned();
        Some((dn, object))
    }))
}
