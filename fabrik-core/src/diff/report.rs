//! The answer to a comparison as one JSON document, the same from every facade.

use std::io::{Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::PathBuf;

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use serde_json::{Map, Value};
use tempfile::SpooledTempFile;

use super::{Change, ChangeKind, ComparedCoverage, Comparison, DiffSummary, FieldChange};
use crate::error::{Error, Result};
use crate::key::KeySpec;
use crate::row::json;
use crate::snapshot::{Snapshot, Verdict};

/// Up to this many bytes a list of changes waits in memory, then in a temporary file.
const SPOOL_BYTES: usize = 8 << 20;

impl Change {
    /// Appends the change as the lists of the document show it: an added or removed row in full, a changed
    /// one as `{"key": {…}, "fields": {name: {"before", "after"}}}`.
    ///
    /// A change that was judged has `severity`, `reason` and `rule` besides. Then an added or removed row stands in
    /// `{"row": {…}, "severity": …}`, since it may well have a `severity` of its own.
    pub fn write_json(&self, out: &mut Vec<u8>) {
        match (self.kind, self.judgement()) {
            (ChangeKind::Changed, _) => self.write_changed_json(out),
            (_, None) => return self.row().write_json(out),
            (_, Some(_)) => {
                out.extend_from_slice(b"{\"row\":");
                self.row().write_json(out);
                out.push(b'}');
            }
        }
        self.write_judgement(out);
    }

    /// Appends the change as one object: `kind` in front of what [`write_json`](Self::write_json) shows, which for an
    /// added or removed row is `row`.
    pub fn write_line(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"kind\":\"");
        out.extend_from_slice(self.kind.name().as_bytes());
        out.extend_from_slice(b"\",");
        let start = out.len();
        match self.kind {
            ChangeKind::Changed => self.write_changed_json(out),
            ChangeKind::Added | ChangeKind::Removed => {
                out.extend_from_slice(b"{\"row\":");
                self.row().write_json(out);
                out.push(b'}');
            }
        }
        // The members stand behind the kind.
        out.remove(start);
        self.write_judgement(out);
    }

    /// Appends the change as one object with all that is known of it: `kind`, `key`, the rows `before` and `after` where
    /// there are any, of a changed row its `fields`, and where it was judged `severity`, `reason` and `rule`.
    pub fn write_whole(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"kind\":\"");
        out.extend_from_slice(self.kind.name().as_bytes());
        out.extend_from_slice(b"\",\"key\":");
        self.write_key_json(out);
        for (name, row) in [("before", &self.before), ("after", &self.after)] {
            if let Some(row) = row {
                out.extend_from_slice(b",\"");
                out.extend_from_slice(name.as_bytes());
                out.extend_from_slice(b"\":");
                row.as_ref().write_json(out);
            }
        }
        if self.kind == ChangeKind::Changed {
            out.extend_from_slice(b",\"fields\":");
            self.write_fields_json(out);
        }
        out.push(b'}');
        self.write_judgement(out);
    }

    /// Appends the members of the judgement, if any, to the object that was written last.
    fn write_judgement(&self, out: &mut Vec<u8>) {
        if let Some(judgement) = self.judgement() {
            out.pop();
            let start = out.len();
            serde_json::to_writer(&mut *out, judgement).expect("a judgement has a JSON form, and a vector takes it");
            // Its members go on where those of the change ended.
            out[start] = b',';
        }
    }

    fn write_changed_json(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"key\":");
        self.write_key_json(out);
        out.extend_from_slice(b",\"fields\":");
        self.write_fields_json(out);
        out.push(b'}');
    }

    fn write_key_json(&self, out: &mut Vec<u8>) {
        out.push(b'{');
        let mut first = true;
        self.for_each_key_column(|name, value| {
            if !std::mem::take(&mut first) {
                out.push(b',');
            }
            json::write_string(name, out);
            out.push(b':');
            value.write_json(out);
        });
        out.push(b'}');
    }

    fn write_fields_json(&self, out: &mut Vec<u8>) {
        out.push(b'{');
        for (i, field) in self.fields().enumerate() {
            if i > 0 {
                out.push(b',');
            }
            json::write_string(field.name, out);
            out.push(b':');
            field.write_json(out);
        }
        out.push(b'}');
    }
}

impl FieldChange<'_> {
    /// Appends `{"before", "after"}`; a side where the attribute is absent is null and named in `missing`.
    fn write_json(&self, out: &mut Vec<u8>) {
        let side = |value: Option<crate::row::Value<'_>>, out: &mut Vec<u8>| match value {
            Some(value) => value.write_json(out),
            None => out.extend_from_slice(b"null"),
        };
        out.extend_from_slice(b"{\"before\":");
        side(self.before, out);
        out.extend_from_slice(b",\"after\":");
        side(self.after, out);
        match (self.before, self.after) {
            (None, _) => out.extend_from_slice(b",\"missing\":\"before\"}"),
            (_, None) => out.extend_from_slice(b",\"missing\":\"after\"}"),
            _ => out.push(b'}'),
        }
    }
}

/// Says what a reader of a comparison should know before trusting it.
#[must_use]
pub fn warnings(before: &Snapshot, after: &Snapshot) -> Vec<String> {
    let mut warnings = Vec::new();
    if before.series.query.id != after.series.query.id {
        warnings.push(format!(
            "the snapshots are of different queries: {:?} and {:?}",
            before.series.query.name, after.series.query.name
        ));
    }
    let connection =
        |snapshot: &Snapshot| snapshot.series.connection.as_ref().map(|connection| connection.name.clone());
    if connection(before) != connection(after) {
        let name = |snapshot| connection(snapshot).map_or_else(|| "none".to_owned(), |name| format!("{name:?}"));
        warnings.push(format!("the snapshots are of different connections: {} and {}", name(before), name(after)));
    }
    if !before.key.stores_like(&after.key) {
        warnings.push(format!("the snapshots are sorted by different keys: {} and {}", before.key, after.key));
    }
    for (side, snapshot) in [("older", before), ("newer", after)] {
        match &snapshot.verdict {
            Verdict::Partial { reason, .. } => warnings.push(format!("the {side} snapshot is partial: {reason}")),
            Verdict::Unstable { rows_before, rows_after } => warnings.push(format!(
                "the {side} snapshot is unstable: the controller counted {rows_before} rows before and {rows_after} after"
            )),
            Verdict::Complete => {}
        }
    }
    let coverage = ComparedCoverage::of(before, after);
    if coverage.differs() {
        warnings.push(format!(
            "compared only the attributes that both have: the older is {}, the newer {}",
            coverage.older, coverage.newer
        ));
    }
    warnings
}

/// A snapshot as the head of the document shows it.
#[derive(Debug, Serialize)]
struct Head<'a> {
    id: String,
    query: &'a str,
    captured_at: String,
    row_count: u64,
    version_hash: String,
}

impl<'a> Head<'a> {
    fn of(snapshot: &'a Snapshot) -> Self {
        Self {
            id: snapshot.id.to_string(),
            query: &snapshot.series.query.name,
            captured_at: crate::time::format(snapshot.captured_at),
            row_count: snapshot.row_count,
            version_hash: snapshot.version_hash.to_string(),
        }
    }

    fn members(&self) -> Map<String, Value> {
        match serde_json::to_value(self) {
            Ok(Value::Object(members)) => members,
            _ => Map::new(),
        }
    }
}

/// The changes of one kind, as JSON, in memory or in a temporary file when they are many.
#[derive(Debug)]
struct ChangeList {
    bytes: SpooledTempFile,
    buffer: Vec<u8>,
}

impl ChangeList {
    fn new(dir: Option<&PathBuf>) -> Self {
        let bytes = match dir {
            Some(dir) => SpooledTempFile::new_in(SPOOL_BYTES, dir),
            // Without a folder nothing may go to disk.
            None => SpooledTempFile::new(usize::MAX),
        };
        Self { bytes, buffer: Vec::new() }
    }

    fn push(&mut self, change: &Change) -> Result<()> {
        self.buffer.clear();
        if self.bytes.stream_position().map_err(Error::Output)? > 0 {
            self.buffer.push(b',');
        }
        change.write_json(&mut self.buffer);
        self.bytes.write_all(&self.buffer).map_err(Error::Output)
    }

    fn write_to(&mut self, out: &mut dyn Write) -> std::io::Result<()> {
        self.bytes.seek(SeekFrom::Start(0))?;
        out.write_all(b"[")?;
        let mut block = vec![0; 64 << 10];
        loop {
            let len = self.bytes.read(&mut block)?;
            if len == 0 {
                return out.write_all(b"]");
            }
            out.write_all(&block[..len])?;
        }
    }
}

/// A finished comparison, ready to be written as one document.
#[derive(Debug)]
pub struct Report {
    heads: [Map<String, Value>; 2],
    key: KeySpec,
    identical: bool,
    coverage: ComparedCoverage,
    warnings: Vec<String>,
    summary: DiffSummary,
    members: Vec<(&'static str, Value)>,
    n_given: u64,
    lists: Option<[ChangeList; 3]>,
}

impl Report {
    /// Runs a comparison to its end.
    ///
    /// # Errors
    ///
    /// As [`compare`](super::compare).
    pub async fn collect(comparison: Comparison<'_>, before: &Snapshot, after: &Snapshot) -> Result<Self> {
        Self::collect_page(comparison, before, after, 0..u64::MAX).await
    }

    /// Runs a comparison to its end and keeps of its changes, in the order they are found, only those in `page`. All
    /// are counted.
    ///
    /// # Errors
    ///
    /// As [`compare`](super::compare).
    pub async fn collect_page(
        mut comparison: Comparison<'_>,
        before: &Snapshot,
        after: &Snapshot,
        page: Range<u64>,
    ) -> Result<Self> {
        let dir = comparison.options.spill_dir.clone();
        let summary_only = comparison.options.summary_only;
        let mut lists = [(); 3].map(|()| ChangeList::new(dir.as_ref()));
        let mut n_given = 0;
        loop {
            let batch = comparison.next_batch().await?;
            if batch.is_empty() {
                break;
            }
            for change in &batch {
                let list = match change.kind {
                    ChangeKind::Added => 0,
                    ChangeKind::Removed => 1,
                    ChangeKind::Changed => 2,
                };
                if page.contains(&n_given) {
                    lists[list].push(change)?;
                }
                n_given += 1;
            }
        }
        Ok(Self {
            heads: [Head::of(before).members(), Head::of(after).members()],
            key: comparison.key().clone(),
            identical: before.root == after.root,
            coverage: comparison.coverage(),
            warnings: warnings(before, after),
            summary: *comparison.summary(),
            members: Vec::new(),
            n_given,
            lists: (!summary_only).then_some(lists),
        })
    }

    /// Returns the counts.
    #[must_use]
    pub fn summary(&self) -> &DiffSummary {
        &self.summary
    }

    /// Returns how many changes the comparison gave, on whatever page.
    #[must_use]
    pub fn n_given(&self) -> u64 {
        self.n_given
    }

    /// Adds to the older and the newer snapshot what else is known of them, in place of members of the same name.
    pub fn describe(&mut self, older: Map<String, Value>, newer: Map<String, Value>) {
        self.heads[0].extend(older);
        self.heads[1].extend(newer);
    }

    /// Adds something that a reader should know before trusting the comparison.
    pub fn warn(&mut self, sentence: impl Into<String>) {
        self.warnings.push(sentence.into());
    }

    /// Adds a member of the document, behind the summary.
    pub fn add(&mut self, name: &'static str, value: Value) {
        self.members.push((name, value));
    }

    fn head(&self) -> Vec<u8> {
        let mut head = Vec::new();
        let mut writer = serde_json::Serializer::new(&mut head);
        let mut write = || -> std::result::Result<(), serde_json::Error> {
            let mut map = writer.serialize_map(None)?;
            map.serialize_entry("snapshot_a", &self.heads[0])?;
            map.serialize_entry("snapshot_b", &self.heads[1])?;
            map.serialize_entry("key", &self.key)?;
            map.serialize_entry("identical", &self.identical)?;
            map.serialize_entry("coverage", &self.coverage)?;
            map.serialize_entry("warnings", &self.warnings)?;
            map.serialize_entry("summary", &self.summary)?;
            self.members.iter().try_for_each(|(name, value)| map.serialize_entry(name, value))?;
            map.end()
        };
        write().expect("the head has a JSON form, and a vector takes it");
        head.pop();
        head
    }

    /// Writes the document: what was compared, the summary, and the lists `added`, `removed`, `changed`, each in
    /// key order; without the lists when only a summary was asked for.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Storage`](crate::ErrorKind::Storage) when `out` fails.
    pub fn write_json(&mut self, out: &mut dyn Write) -> Result<()> {
        let head = self.head();
        let mut write = || {
            out.write_all(&head)?;
            for (name, list) in ["added", "removed", "changed"].into_iter().zip(self.lists.iter_mut().flatten()) {
                write!(out, ",\"{name}\":")?;
                list.write_to(out)?;
            }
            out.write_all(b"}\n")
        };
        write().map_err(Error::Output)
    }
}
