//! A folder of its own for each test, and the command run in it.

use std::fmt;
use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// An empty folder that vanishes with the test.
pub(crate) struct Folder(TempDir);

/// What a store has in it.
#[derive(PartialEq, Eq)]
pub(crate) struct Contents {
    stats: String,
    file: Vec<u8>,
}

impl fmt::Debug for Contents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Contents").field("stats", &self.stats).field("file_bytes", &self.file.len()).finish()
    }
}

/// How a run ended.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Folder {
    pub(crate) fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    /// Makes a folder whose store has the rows of `captures` as snapshots of the query `q`, a day apart.
    pub(crate) fn with_captures(captures: &[&str]) -> Self {
        let folder = Self::new();
        for (day, rows) in captures.iter().enumerate() {
            let at = format!("2026-01-{:02}T08:00:00Z", day + 1);
            folder.run_with_input(&["capture", "--query", "q", "--from", "-", "--at", &at], rows.as_bytes()).done();
        }
        folder
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        fs::write(self.path(name), bytes).unwrap();
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_fabrik"));
        command.args(arguments).current_dir(self.0.path());
        for variable in
            ["FABRIK_STORE", "FABRIK_SECRET_KEY", "FABRIK_SECRET_KEY_FILE", "XDG_CONFIG_HOME", "NO_COLOR", "LOGNAME"]
        {
            command.env_remove(variable);
        }
        command.env("HOME", self.0.path());
        command.env("USER", "mara").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Run {
        Run::of(self.command(arguments).spawn().unwrap())
    }

    pub(crate) fn run_with_input(&self, arguments: &[&str], input: &[u8]) -> Run {
        let mut child = self.command(arguments).stdin(Stdio::piped()).spawn().unwrap();
        // One that refuses its arguments never reads.
        let _ = child.stdin.take().unwrap().write_all(input);
        Run::of(child)
    }

    /// Runs a command that is to succeed and returns its JSON.
    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        self.run(arguments).json()
    }

    /// Returns everything that a refused command must leave as it is: the figures of the store and its file.
    pub(crate) fn contents(&self) -> Contents {
        let stats = self.run(&["stats"]).done().stdout;
        let file = fs::read(self.path("fabrik.db")).unwrap();
        Contents { stats, file }
    }
}

impl Run {
    pub(crate) fn of(child: Child) -> Self {
        let output = child.wait_with_output().unwrap();
        Self {
            code: output.status.code().expect("no signal ended it"),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Requires success without a word on standard error.
    pub(crate) fn done(self) -> Self {
        assert_eq!((self.code, self.stderr.as_str()), (0, ""), "{self:?}");
        self
    }

    pub(crate) fn json(self) -> Value {
        serde_json::from_str(&self.done().stdout).unwrap()
    }

    /// Requires a failure that is told in one sentence with all these parts.
    pub(crate) fn refused(self, code: i32, parts: &[&str]) {
        assert_eq!(self.code, code, "{self:?}");
        assert_eq!(self.stdout, "");
        assert!(self.stderr.starts_with("fabrik: "), "{self:?}");
        assert_eq!(self.stderr.lines().count(), 1, "{self:?}");
        for part in parts {
            assert!(self.stderr.contains(part), "{part:?} is not in {:?}", self.stderr);
        }
    }
}

/// Writes bridge domains as an APIC answer: a name and the value of `arpFlood` each.
pub(crate) fn answer(domains: &[(&str, &str)]) -> String {
    let object = |(name, flood): &(&str, &str)| {
        format!(r#"{{"fvBD":{{"attributes":{{"dn":"uni/tn-blue/BD-{name}","name":"{name}","arpFlood":"{flood}"}}}}}}"#)
    };
    let objects: Vec<String> = domains.iter().map(object).collect();
    format!(r#"{{"totalCount":"{}","imdata":[{}]}}"#, objects.len(), objects.join(","))
}
