//! Captures: a source's rows become a snapshot.

use std::path::PathBuf;

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};

use crate::chunk::NewChunk;
use crate::diff::summarize;
use crate::error::{Error, Result};
use crate::id::{ChunkId, SnapshotId, VersionHash};
use crate::key::KeySpec;
use crate::snapshot::{ChangeSummary, RetentionPolicy, Series, Snapshot};
use crate::sort::{RowSorter, SortLimits, SortedRows};
use crate::source::Source;
use crate::store::{ReadChunks, SnapshotFilter, Store, Transaction};
use crate::tree::builder::{Built, TreeBuilder};
use crate::tree::reader::{Child, TreeReader, children};
use crate::tree::{Node, branch::Branch};

/// The longest annotation, in characters.
pub const MAX_ANNOTATION_CHARS: usize = 10_000;
/// The longest label, in characters.
pub const MAX_LABEL_CHARS: usize = 100;
/// The longest name of a query or connection, in characters.
pub const MAX_NAME_CHARS: usize = 200;

/// The longest key of a row, in bytes. A branch holds up to 256 of them and must stay small enough to be read.
const MAX_KEY_BYTES: usize = 64 << 10;

/// How far the clocks of a controller and of the machine that captures may differ.
const CLOCKS_DIFFER: TimeDelta = TimeDelta::minutes(5);

/// What a capture needs to know beside the rows.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct CaptureOptions {
    /// The name of the snapshot to be; make a new one for each capture.
    pub id: SnapshotId,
    /// When the rows were read. May lie in the past, so that history can be imported.
    pub captured_at: DateTime<Utc>,
    /// The time by the caller's clock: `captured_at` may then lie no more than five minutes after it. `None`
    /// allows any time.
    pub now: Option<DateTime<Utc>>,
    /// Who captures.
    pub captured_by: String,
    /// The name of the query.
    pub query: String,
    /// The name of the connection, where several fabrics are kept apart.
    pub connection: Option<String>,
    /// What to sort the rows by.
    pub key: KeySpec,
    /// How long to keep the snapshot.
    pub retention_policy: RetentionPolicy,
    /// Whether to keep it whatever its policy says.
    pub pinned: bool,
    /// Free text, at most [`MAX_ANNOTATION_CHARS`].
    pub annotation: Option<String>,
    /// A short tag, at most [`MAX_LABEL_CHARS`].
    pub label: Option<String>,
    /// Whether to store nothing where the snapshot before tells the same.
    pub skip_duplicate: bool,
    /// How much memory rows may take while they are sorted.
    pub memory_bytes: usize,
    /// Where rows beyond that go; `None` keeps all in memory.
    pub spill_dir: Option<PathBuf>,
}

impl CaptureOptions {
    /// Starts from a query's name, with no connection, key `auto`, 30 days, no pin, 64 MiB and no folder to spill to.
    #[must_use]
    pub fn new(id: SnapshotId, query: impl Into<String>, captured_at: DateTime<Utc>) -> Self {
        Self {
            id,
            captured_at,
            now: None,
            captured_by: String::new(),
            query: query.into(),
            connection: None,
            key: KeySpec::default(),
            retention_policy: RetentionPolicy::default(),
            pinned: false,
            annotation: None,
            label: None,
            skip_duplicate: false,
            memory_bytes: 64 << 20,
            spill_dir: None,
        }
    }

    /// Stores nothing where the snapshot before tells the same: equal rows under the same key, as complete, and kept for
    /// at least as long. A capture with an annotation or label of its own is stored in any case.
    #[must_use]
    pub fn with_duplicate_skipped(mut self, skip: bool) -> Self {
        self.skip_duplicate = skip;
        self
    }

    fn check(&self) -> Result<()> {
        if let Some(now) = self.now
            && self.captured_at > now + CLOCKS_DIFFER
        {
            let expected = format!("a time that is not in the future; it is now {}", crate::time::format(now));
            return Err(Error::invalid("captured_at", crate::time::format(self.captured_at), expected));
        }
        check_name("query", &self.query)?;
        if let Some(connection) = &self.connection {
            check_name("connection", connection)?;
        }
        check_annotation(self.annotation.as_deref(), self.label.as_deref())
    }
}

/// Refuses what cannot be the name of a query or connection; `field` says in the error which of them it is.
///
/// # Errors
///
/// [`ErrorKind::InvalidInput`](crate::ErrorKind::InvalidInput) when it is empty, too long or has control characters.
pub fn check_name(field: &'static str, name: &str) -> Result<()> {
    let fits = !name.trim().is_empty() && name.chars().count() <= MAX_NAME_CHARS && !name.contains(char::is_control);
    if fits { Ok(()) } else { Err(Error::invalid(field, name, format!("a name of 1 to {MAX_NAME_CHARS} characters"))) }
}

pub(crate) fn check_annotation(annotation: Option<&str>, label: Option<&str>) -> Result<()> {
    for (field, text, most) in [("annotation", annotation, MAX_ANNOTATION_CHARS), ("label", label, MAX_LABEL_CHARS)] {
        if let Some(text) = text
            && text.chars().count() > most
        {
            return Err(Error::invalid(field, text, format!("at most {most} characters")));
        }
    }
    Ok(())
}

/// A finished capture.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Captured {
    /// The new snapshot.
    pub snapshot: Snapshot,
    /// The snapshot before it in its series.
    pub previous: Option<Snapshot>,
    /// Whether nothing was stored, as the one before tells the same; see [`CaptureOptions::with_duplicate_skipped`].
    pub is_skipped: bool,
}

impl Captured {
    /// Returns whether the rows equal those of the snapshot before; then all content is shared.
    #[must_use]
    pub fn is_duplicate(&self) -> bool {
        self.previous.as_ref().is_some_and(|previous| previous.root == self.snapshot.root)
    }
}

/// Stores all rows of `source` as a new snapshot.
///
/// Reads the source to its end before it writes anything, then writes in one transaction: when this
/// returns, the snapshot is durable; when it fails, the store is as it was. Rows that the store has already
/// cost no space, whatever their order. The changes since the snapshot before it in its series are counted
/// on the way, and those of the snapshot after it are counted anew when history is filled in.
///
/// # Errors
///
/// [`ErrorKind::InvalidInput`](crate::ErrorKind::InvalidInput) when the source or an option is refused, and
/// whatever the store reports.
pub async fn capture(store: &dyn Store, source: &mut dyn Source, options: &CaptureOptions) -> Result<Captured> {
    options.check()?;
    let (mut rows, size_bytes) = read_all(source, options).await?;

    let mut transaction = store.begin().await?;
    let same_id = SnapshotFilter::default().with_id_prefix(options.id.as_uuid().simple().to_string());
    if !transaction.snapshots(&same_id).await?.is_empty() {
        return Err(Error::invalid("id", options.id.to_string(), "an id that no snapshot has yet"));
    }
    let series = transaction.series(&options.query, options.connection.as_deref()).await?;
    let (previous, next) = neighbours(&*transaction, &series, options).await?;

    let mut replaced = match previous.as_ref().or(next.as_ref()) {
        Some(neighbour) => Replaced::read(&*transaction, neighbour.root).await?,
        None => Replaced::default(),
    };
    if previous.is_none() {
        let samples = rows.samples();
        transaction.learn(&samples.iter().map(|sample| sample.encode(&rows.shapes)).collect::<Vec<_>>()).await?;
    }
    let mut builder = TreeBuilder::default();
    let mut stored_bytes = 0;
    while let Some(row) = rows.next()? {
        if row.key.len() > MAX_KEY_BYTES {
            let text = String::from_utf8_lossy(&row.key[1..]).into_owned();
            return Err(Error::invalid("key of a row", text, format!("at most {MAX_KEY_BYTES} bytes")));
        }
        builder.push(row.key, row.shape, row.values);
        if builder.is_due() {
            let built = builder.take_built(&rows.shapes);
            stored_bytes += store_built(&mut *transaction, built, &mut replaced).await?;
        }
    }
    let (built, root) = builder.finish(&rows.shapes);
    stored_bytes += store_built(&mut *transaction, built, &mut replaced).await?;

    let mut snapshot = Snapshot {
        id: options.id,
        series,
        captured_at: stored_time(options),
        captured_by: options.captured_by.clone(),
        key: options.key.clone(),
        root: root.id,
        version_hash: VersionHash::of_root(&root.bytes),
        row_count: root.rows,
        duplicate_keys: root.duplicate_keys,
        size_bytes,
        stored_bytes,
        retention_policy: options.retention_policy,
        pinned: options.pinned,
        annotation: options.annotation.clone(),
        label: options.label.clone(),
        verdict: source.verdict(),
        coverage: source.coverage(),
        changes: None,
    };
    if let Some(previous) = &previous {
        snapshot.changes = Some(changes_since(&*transaction, previous, &snapshot).await?);
    }
    if options.skip_duplicate && previous.as_ref().is_some_and(|previous| tells_the_same(previous, &snapshot)) {
        // The transaction ends without a commit, so it leaves no trace.
        return Ok(Captured { snapshot, previous, is_skipped: true });
    }
    transaction.put_snapshot(&snapshot).await?;
    if let Some(mut next) = next {
        next.changes = Some(changes_since(&*transaction, &snapshot, &next).await?);
        transaction.put_snapshot(&next).await?;
    }
    transaction.commit().await?;
    Ok(Captured { snapshot, previous, is_skipped: false })
}

/// Returns whether a snapshot adds nothing to the one before it.
fn tells_the_same(previous: &Snapshot, snapshot: &Snapshot) -> bool {
    previous.root == snapshot.root
        && previous.key == snapshot.key
        && previous.verdict == snapshot.verdict
        && previous.coverage == snapshot.coverage
        && (previous.pinned || previous.retention_policy >= snapshot.retention_policy)
        && snapshot.annotation.is_none()
        && snapshot.label.is_none()
}

/// Reads a source to its end; returns its rows in order and their size as JSON. Of a source that starts over only
/// the last delivery counts.
async fn read_all(source: &mut dyn Source, options: &CaptureOptions) -> Result<(SortedRows, u64)> {
    let limits = SortLimits { memory_bytes: options.memory_bytes, spill_dir: options.spill_dir.clone() };
    let empty = || (RowSorter::new(options.key.clone(), limits.clone()), 0);
    let (mut sorter, mut size_bytes) = empty();
    loop {
        let batch = source.next_batch().await?;
        if source.has_started_over() {
            (sorter, size_bytes) = empty();
        }
        let Some(batch) = batch else { return Ok((sorter.finish()?, size_bytes)) };
        size_bytes += batch.size_bytes();
        sorter.add(batch)?;
    }
}

async fn changes_since(chunks: &dyn Transaction, previous: &Snapshot, newer: &Snapshot) -> Result<ChangeSummary> {
    let summary = summarize(chunks, previous, newer).await?;
    Ok(ChangeSummary {
        previous: previous.id,
        added: summary.added,
        removed: summary.removed,
        changed: summary.changed,
        unchanged: summary.unchanged,
    })
}

/// Returns the time of capture as records keep it, to the microsecond: what is finer must not decide an order.
fn stored_time(options: &CaptureOptions) -> DateTime<Utc> {
    options.captured_at.trunc_subsecs(6)
}

/// Finds the snapshots of the series just before and just after the new one.
async fn neighbours(
    records: &dyn Transaction,
    series: &Series,
    options: &CaptureOptions,
) -> Result<(Option<Snapshot>, Option<Snapshot>)> {
    let captured_at = stored_time(options);
    let place = (captured_at, options.id);
    let of_series = SnapshotFilter::of_series(series);
    let mut previous = None;
    // Few snapshots share a moment: the first page nearly always decides.
    for page in 0.. {
        let up_to_now = of_series.clone().with_range(None, Some(captured_at)).with_page(page * 8, 8);
        let found = records.snapshots(&up_to_now).await?;
        let last_page = found.len() < 8;
        previous = found.into_iter().find(|snapshot| (snapshot.captured_at, snapshot.id) < place);
        if previous.is_some() || last_page {
            break;
        }
    }
    let newest = records.snapshots(&of_series.clone().with_page(0, 1)).await?.pop();
    if newest.is_none_or(|newest| (newest.captured_at, newest.id) < place) {
        return Ok((previous, None));
    }
    let later = records.snapshots(&of_series.with_range(Some(captured_at), None)).await?;
    let next = later.into_iter().rev().find(|snapshot| (snapshot.captured_at, snapshot.id) > place);
    Ok((previous, next))
}

/// Stores the nodes that the store lacks, each next to the one it takes the place of.
async fn store_built(transaction: &mut dyn Transaction, built: Vec<Built>, replaced: &mut Replaced) -> Result<u64> {
    let mut chunks: Vec<NewChunk> = Vec::new();
    for node in built {
        let base = replaced.node_at(node.level, &node.middle_key);
        if base != Some(node.id) {
            chunks.push(NewChunk { id: node.id, bytes: node.bytes, base });
        }
    }
    let ids: Vec<ChunkId> = chunks.iter().map(|chunk| chunk.id).collect();
    let missing = transaction.missing(&ids).await?;
    let mut is_missing = missing.into_iter();
    chunks.retain(|_| is_missing.next().unwrap_or(true));
    if chunks.is_empty() { Ok(0) } else { transaction.put_chunks(chunks).await }
}

/// The nodes of an older tree, by level, walked along as the nodes of the new one come in key order.
#[derive(Debug, Default)]
struct Replaced {
    levels: Vec<Level>,
    root: Option<(u8, ChunkId)>,
}

#[derive(Debug)]
struct Level {
    nodes: Vec<Child>,
    next: usize,
}

impl Replaced {
    /// Reads the branches of the older tree, which is about one row in 1 500; no leaves.
    async fn read(chunks: &dyn ReadChunks, root: ChunkId) -> Result<Self> {
        let reader = TreeReader::new(chunks);
        let node = reader.node(root).await?;
        let mut levels = Vec::new();
        let top = node.level();
        if let Node::Branch(branch) = node {
            let mut branches: Vec<std::sync::Arc<Branch>> = vec![branch];
            for level in (0..top).rev() {
                let nodes = children(branches.iter().cloned());
                if level > 0 {
                    let ids: Vec<ChunkId> = nodes.iter().map(Child::id).collect();
                    branches = reader.branches(&ids, level).await?;
                }
                levels.push(Level { nodes, next: 0 });
            }
            levels.reverse();
        }
        Ok(Self { levels, root: Some((top, root)) })
    }

    /// Returns the node of `level` in whose range `key` falls. Keys come in order on each level.
    fn node_at(&mut self, level: u8, key: &[u8]) -> Option<ChunkId> {
        if let Some(level) = self.levels.get_mut(usize::from(level)) {
            while level.nodes.get(level.next + 1).is_some_and(|node| node.first_key() <= key) {
                level.next += 1;
            }
            return level.nodes.get(level.next).map(Child::id);
        }
        self.root.and_then(|(top, root)| (top == level).then_some(root))
    }
}
