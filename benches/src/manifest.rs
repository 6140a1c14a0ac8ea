//! Inputs whose differences are known beforehand.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::Result;

/// The file that says what is known of a folder of answers.
const FILE: &str = "manifest.json";

/// What is known of a series of answers; `README.md` describes the file.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Manifest {
    /// The answers, in the order of capture.
    pub snapshots: Vec<SnapshotFile>,
    /// What differs from each answer to the next.
    pub consecutive: Vec<KnownStep>,
    /// What differs from the first to the last, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_last: Option<KnownStep>,
    /// Questions about single objects, with their answers.
    pub probes: Probes,
    /// Attributes that `changed_ignoring_timestamps` does not count.
    #[serde(default = "timestamps")]
    pub timestamps: Vec<String>,
}

/// One answer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SnapshotFile {
    /// When it was given.
    pub taken: DateTime<Utc>,
    /// How many rows it has.
    pub rows: u64,
    /// The files that hold it, by format; `json` is read.
    pub files: BTreeMap<String, NamedFile>,
}

/// A file of the folder.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct NamedFile {
    /// Its name.
    pub file: String,
    /// Its length.
    pub bytes: u64,
}

/// What is known to differ between two answers.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct KnownStep {
    /// The place of the older one.
    pub from: usize,
    /// The place of the newer one.
    pub to: usize,
    /// How many rows differ.
    #[serde(flatten)]
    pub counts: Counts,
    /// How many rows differ in more than their time stamps.
    pub changed_ignoring_timestamps: u64,
    /// How many attributes differ in the changed rows, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changed_attributes: Option<u64>,
    /// [`digest`] of the DNs added.
    pub added_sha256: String,
    /// [`digest`] of the DNs removed.
    pub removed_sha256: String,
    /// [`digest`] of the DNs changed.
    pub changed_sha256: String,
}

/// How many rows differ.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Rows only in the newer answer.
    pub added: u64,
    /// Rows only in the older answer.
    pub removed: u64,
    /// Rows in both that are not equal.
    pub changed: u64,
}

impl Counts {
    /// Returns how many rows differ in all.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.added + self.removed + self.changed
    }
}

/// Questions about single objects.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Probes {
    /// Objects and what happened to them.
    pub timeline: Vec<Probe>,
    /// Parts of DNs, and how many DNs of the last answer contain them, whatever the case.
    pub substring_hits_in_last: BTreeMap<String, usize>,
}

/// An object and what happened to it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Probe {
    /// Its DN.
    pub dn: String,
    /// Whether the first answer has it.
    pub in_first: bool,
    /// The place of the first answer that shows a change, and `added`, `removed` or `changed`.
    pub events: Vec<(usize, String)>,
}

impl Probe {
    /// Returns whether the answer at a place has the object.
    #[must_use]
    pub fn is_present(&self, place: usize) -> bool {
        let last = self.events.iter().rfind(|(at, event)| *at <= place && event != "changed");
        last.map_or(self.in_first, |(_, event)| event == "added")
    }
}

impl Manifest {
    /// Reads the manifest of a folder.
    ///
    /// # Errors
    ///
    /// When it is not there, or says nothing of an answer that it names.
    pub fn read(dir: &Path) -> Result<Self> {
        let path = dir.join(FILE);
        let file = File::open(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        let manifest: Self = serde_json::from_reader(BufReader::new(file))?;
        let steps = manifest.consecutive.iter().chain(&manifest.first_last);
        if manifest.snapshots.len() < 2 || steps.into_iter().any(|step| step.to >= manifest.snapshots.len()) {
            return Err(
                format!("{}: it needs two snapshots at least, and all that it speaks of", path.display()).into()
            );
        }
        Ok(manifest)
    }

    /// Writes the manifest into a folder.
    ///
    /// # Errors
    ///
    /// When the file cannot be written.
    pub fn write(&self, dir: &Path) -> Result<()> {
        std::fs::write(dir.join(FILE), serde_json::to_vec_pretty(self)?)?;
        Ok(())
    }
}

impl SnapshotFile {
    /// Names the file of an answer as `snap-0007.json`.
    #[must_use]
    pub fn new(place: usize, taken: DateTime<Utc>, rows: u64, bytes: u64) -> Self {
        let file = NamedFile { file: format!("snap-{place:04}.json"), bytes };
        Self { taken, rows, files: BTreeMap::from([("json".to_owned(), file)]) }
    }

    /// Returns the JSON file.
    ///
    /// # Errors
    ///
    /// When there is none.
    pub fn json(&self) -> Result<&NamedFile> {
        self.files.get("json").ok_or_else(|| "a snapshot without a JSON file".into())
    }
}

/// Returns SHA-256 over DNs in ascending order, each with a line end after it, in hexadecimal digits.
pub fn digest<'a>(sorted_dns: impl IntoIterator<Item = &'a String>) -> String {
    let mut hasher = Sha256::new();
    for dn in sorted_dns {
        hasher.update(dn.as_bytes());
        hasher.update(b"\n");
    }
    hasher.finalize().iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn timestamps() -> Vec<String> {
    ["modTs", "lastTransition"].map(str::to_owned).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probe_knows_where_its_object_is() {
        let events = [(2, "changed"), (3, "removed"), (5, "added"), (6, "changed")];
        let events = events.map(|(at, event)| (at, event.to_owned())).to_vec();
        let probe = Probe { dn: "uni".to_owned(), in_first: true, events };

        let places: Vec<usize> = (0..8).filter(|&place| probe.is_present(place)).collect();

        assert_eq!(places, [0, 1, 2, 5, 6, 7]);
    }

    #[test]
    fn digest_is_that_of_lines() {
        let dns = ["uni".to_owned()];

        // printf 'uni\n' | sha256sum
        assert_eq!(digest(&dns), "3d9e1bb6ac302460250f664a3a56955bd99cd19d8f4b4b8274c71b80a929afef");
    }
}
