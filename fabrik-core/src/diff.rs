//! What changed between two snapshots.

mod attributes;
mod ignore;
mod merge;
mod report;
mod unknown;
mod walk;

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;

use serde::Serialize;

use crate::error::Result;
use crate::key::{KeySpec, dn_of, is_hash};
use crate::row::{Row, RowRef, ShapeTable, Value};
use crate::snapshot::Snapshot;
use crate::sort::{RowSorter, SortLimits};
use crate::store::ReadChunks;
use crate::tree::leaf::LeafRow;
use crate::tree::reader::TreeReader;
use attributes::{cancel_common, for_each_difference, keep};
use ignore::HiddenAttributes;
use merge::MergedRows;
use unknown::Unknown;
use walk::{Group, Walk, cancel_rows};

pub use ignore::Ignore;
pub use report::{Report, warnings};
pub use unknown::ComparedCoverage;

/// How to compare.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct DiffOptions {
    /// What identifies a row; `None` takes what both snapshots are sorted by, or `auto` where they differ.
    pub key: Option<KeySpec>,
    /// What to hide.
    pub ignore: Ignore,
    /// Count only; the changes themselves are not given.
    pub summary_only: bool,
    /// How much memory rows may take that must be sorted by another key; 0 stands for 64 MiB.
    pub memory_bytes: usize,
    /// Where rows beyond that go; `None` keeps all in memory.
    pub spill_dir: Option<PathBuf>,
}

impl DiffOptions {
    /// Compares by this key.
    #[must_use]
    pub fn with_key(mut self, key: KeySpec) -> Self {
        self.key = Some(key);
        self
    }

    /// Hides what these patterns match.
    #[must_use]
    pub fn with_ignore(mut self, ignore: Ignore) -> Self {
        self.ignore = ignore;
        self
    }

    /// Counts without giving the changes.
    #[must_use]
    pub fn with_summary_only(mut self) -> Self {
        self.summary_only = true;
        self
    }

    /// Names the folder for rows that do not fit in memory.
    #[must_use]
    pub fn with_spill_dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.spill_dir = Some(dir.into());
        self
    }
}

/// How many rows differ, and how many do not.
///
/// Every row of the newer snapshot is counted once among `added`, `changed`, `unchanged`, or in `hidden`,
/// `unkeyed` or `unknown`; so is every row of the older one, with `removed`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct DiffSummary {
    /// Rows only in the newer snapshot.
    pub added: u64,
    /// Rows only in the older snapshot.
    pub removed: u64,
    /// Rows in both whose attributes differ.
    pub changed: u64,
    /// Rows that are equal.
    pub unchanged: u64,
    /// Keys that belong to more than one row of a snapshot. Under a key other than the stored one, only
    /// among the rows that differ.
    pub duplicate_keys: u64,
    /// Changes that the ignore patterns hid.
    pub hidden: u64,
    /// Rows that differ and have no DN, under the key `dn`.
    pub unkeyed: u64,
    /// Rows on one side only that the other side may not show though the fabric has them: it is partial, or holds
    /// other attributes and no rows of their kind.
    pub unknown: u64,
}

impl DiffSummary {
    /// Returns whether nothing is known to differ.
    #[must_use]
    pub fn is_equal(&self) -> bool {
        self.added + self.removed + self.changed + self.unkeyed == 0
    }
}

/// What happened to a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ChangeKind {
    /// It is only in the newer snapshot.
    Added,
    /// It is only in the older snapshot.
    Removed,
    /// It is in both, with different attributes.
    Changed,
}

/// One row that differs.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Change {
    /// What happened to it.
    pub kind: ChangeKind,
    /// As it was.
    pub before: Option<Row>,
    /// As it is.
    pub after: Option<Row>,
    /// What it was paired by.
    key: Arc<KeySpec>,
    /// The attributes that differ and are not hidden, in name order.
    fields: Vec<Box<str>>,
}

/// One attribute of a changed row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FieldChange<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its value before; `None` when it was absent.
    pub before: Option<Value<'a>>,
    /// Its value after; `None` when it is absent.
    pub after: Option<Value<'a>>,
}

impl Change {
    /// Returns the row: as it is, or as it was when it is gone.
    #[must_use]
    pub fn row(&self) -> RowRef<'_> {
        let row = self.after.as_ref().or(self.before.as_ref());
        row.expect("a change has a row on one side at least").as_ref()
    }

    /// Returns the attributes that differ, in name order; none for an added or removed row.
    pub fn fields(&self) -> impl ExactSizeIterator<Item = FieldChange<'_>> {
        self.fields.iter().map(|name| FieldChange {
            name,
            before: self.before.as_ref().and_then(|row| row.as_ref().get(name)),
            after: self.after.as_ref().and_then(|row| row.as_ref().get(name)),
        })
    }

    /// Calls `each` with every key column and its value: the DN, or the key fields.
    pub fn for_each_key_column(&self, mut each: impl FnMut(&str, Value<'_>)) {
        let row = self.row();
        match &*self.key {
            KeySpec::Fields(names) => {
                names.iter().for_each(|name| crate::key::with_field(row, name, |value| each(name, value)));
            }
            _ => {
                if let Some(dn) = row.dn() {
                    each(crate::row::DN, Value::String(dn));
                }
            }
        }
    }
}

/// Compares two snapshots of one store, which may be of different queries.
///
/// The result is that of two multisets of rows: equal rows cancel first, the rest pair up by key, and what
/// then has no partner was added or removed. Equal parts of the two trees are passed over unread, so the
/// cost follows the number of changes `c`, not of rows `n`: about `c · log n` chunk reads. Two snapshots
/// that are sorted by different keys share nothing to pass over and are read in full.
///
/// What a side cannot show is unknown and no change: rows that a partial snapshot may have missed, and where the
/// [`Coverage`](crate::Coverage) of the two differs, attributes that only one row of a pair has, and rows on one side
/// only of which the other has no kind. A kind is a class together with the key columns that have a value; a row
/// that has nothing to go by but all of its columns is of no kind. Then rows of one key that are equal in the
/// attributes that both sides have cancel as well, and both snapshots are read in full.
///
/// # Errors
///
/// [`ErrorKind::Damaged`](crate::ErrorKind::Damaged) when a chunk of either snapshot cannot be read.
pub async fn compare<'s>(
    store: &'s dyn ReadChunks,
    before: &Snapshot,
    after: &Snapshot,
    options: DiffOptions,
) -> Result<Comparison<'s>> {
    let reader = TreeReader::new(store);
    let aligned = before.key.stores_like(&after.key);
    let key = options.key.clone().unwrap_or_else(|| if aligned { after.key.clone() } else { KeySpec::Auto });
    let by_visible_hash = options.ignore.has_attributes() && key != KeySpec::Dn;
    let mut comparison = Comparison {
        coverage: ComparedCoverage::of(before, after),
        unknown: Unknown::find(reader, before, after, &key).await?,
        summary: DiffSummary::default(),
        shapes: ShapeTable::default(),
        hidden: HiddenAttributes::default(),
        stored_duplicates: [before.duplicate_keys, after.duplicate_keys],
        key: Arc::new(key),
        by_visible_hash,
        input: Input::Done,
        waiting: VecDeque::new(),
        options,
    };
    // Rows known by a hash of what is visible do not stand in the order of the stored hash.
    let hashed = comparison.by_visible_hash && !matches!(*comparison.key, KeySpec::Fields(_));
    if aligned && !hashed && comparison.key.stores_like(&before.key) {
        comparison.input = Input::Walk(Box::new(Walk::start(reader, before.root, after.root).await?));
        return Ok(comparison);
    }
    let mut sorters = [comparison.sorter(), comparison.sorter()];
    if aligned {
        let mut walk = Walk::start(reader, before.root, after.root).await?;
        while let Some(groups) = walk.next().await? {
            for group in groups {
                for row in &group.before {
                    comparison.sort_in(&mut sorters[0], row.row())?;
                }
                for row in &group.after {
                    comparison.sort_in(&mut sorters[1], row.row())?;
                }
            }
        }
        comparison.summary.unchanged = walk.counted.unchanged;
    } else {
        for (sorter, snapshot) in sorters.iter_mut().zip([before, after]) {
            let mut scan = reader.scan(snapshot.root).await?;
            loop {
                let leaves = scan.next().await?;
                if leaves.is_empty() {
                    break;
                }
                for leaf in leaves {
                    (0..leaf.len()).try_for_each(|i| comparison.sort_in(sorter, leaf.row(i)))?;
                }
            }
        }
    }
    let [older, newer] = sorters;
    comparison.input = Input::Sorted(Box::new(MergedRows::new(older, newer)?));
    Ok(comparison)
}

/// Counts what differs, reading no rows that it need not read.
///
/// # Errors
///
/// As [`compare`].
pub async fn summarize(store: &dyn ReadChunks, before: &Snapshot, after: &Snapshot) -> Result<DiffSummary> {
    compare(store, before, after, DiffOptions::default().with_summary_only()).await?.finish().await
}

/// A comparison under way: a stream of changes, keys ascending, and a summary at its end.
#[derive(Debug)]
pub struct Comparison<'s> {
    options: DiffOptions,
    key: Arc<KeySpec>,
    /// Rows without a DN are known by their content, less what is hidden.
    by_visible_hash: bool,
    summary: DiffSummary,
    shapes: ShapeTable,
    hidden: HiddenAttributes,
    coverage: ComparedCoverage,
    unknown: Unknown,
    stored_duplicates: [u64; 2],
    input: Input<'s>,
    waiting: VecDeque<Change>,
}

#[derive(Debug)]
enum Input<'s> {
    /// Rows come in the order that is asked for.
    Walk(Box<Walk<'s>>),
    /// They had to be sorted by another key.
    Sorted(Box<MergedRows>),
    Done,
}

impl Comparison<'_> {
    /// Returns what rows are paired by.
    #[must_use]
    pub fn key(&self) -> &KeySpec {
        &self.key
    }

    /// Returns which attributes the two sides hold.
    #[must_use]
    pub fn coverage(&self) -> ComparedCoverage {
        self.coverage
    }

    /// Returns some more changes; none at the end. With `summary_only` there never are any.
    ///
    /// # Errors
    ///
    /// As [`compare`].
    pub async fn next_batch(&mut self) -> Result<Vec<Change>> {
        while self.waiting.is_empty() && self.advance().await? {}
        Ok(self.waiting.drain(..).collect())
    }

    /// Passes over the changes that are left and returns the counts of all.
    ///
    /// # Errors
    ///
    /// As [`compare`].
    pub async fn finish(mut self) -> Result<DiffSummary> {
        while self.advance().await? {
            self.waiting.clear();
        }
        Ok(self.summary)
    }

    /// Returns the counts so far; those of all once [`next_batch`](Self::next_batch) has returned none.
    #[must_use]
    pub fn summary(&self) -> &DiffSummary {
        &self.summary
    }

    /// Handles some more of the input; false at its end.
    async fn advance(&mut self) -> Result<bool> {
        match std::mem::replace(&mut self.input, Input::Done) {
            Input::Walk(mut walk) => match walk.next().await? {
                Some(groups) => {
                    groups.iter().for_each(|group| self.settle_group(group));
                    self.input = Input::Walk(walk);
                    Ok(true)
                }
                None => {
                    let [before, after, either] = walk.counted.duplicates;
                    self.summary.unchanged += walk.counted.unchanged;
                    // Keys in the parts passed over are the same on both sides; either count gives them.
                    let passed_over = (self.stored_duplicates[0].saturating_sub(before))
                        .max(self.stored_duplicates[1].saturating_sub(after));
                    self.summary.duplicate_keys = passed_over + either;
                    Ok(false)
                }
            },
            Input::Sorted(mut rows) => match rows.next_group()? {
                Some((key, mut older, mut newer)) => {
                    self.summary.duplicate_keys += u64::from(older.len() > 1 || newer.len() > 1);
                    self.summary.unchanged +=
                        cancel_rows(&mut older, &mut newer, |row| [row.shape.encoded(), &row.values].concat());
                    self.settle_rows(&key, older, newer);
                    self.input = Input::Sorted(rows);
                    Ok(true)
                }
                None => Ok(false),
            },
            Input::Done => Ok(false),
        }
    }

    fn settle_group(&mut self, group: &Group) {
        // Counting alone needs no copies of rows, unless what they hold decides.
        let pairs = group.before.len().min(group.after.len()) as u64;
        let simple = self.options.ignore.is_empty()
            && !(*self.key == KeySpec::Dn && is_hash(&group.key))
            && self.unknown.is_nothing();
        if self.options.summary_only && simple {
            self.summary.changed += pairs;
            self.summary.removed += group.before.len() as u64 - pairs;
            self.summary.added += group.after.len() as u64 - pairs;
            return;
        }
        let older = group.before.iter().map(|row| row.row().to_row(&mut self.shapes)).collect();
        let newer = group.after.iter().map(|row| row.row().to_row(&mut self.shapes)).collect();
        self.settle_rows(&group.key, older, newer);
    }

    /// Pairs what is left of one key, first with first.
    fn settle_rows(&mut self, key: &[u8], mut older: Vec<Row>, mut newer: Vec<Row>) {
        if *self.key == KeySpec::Dn && is_hash(key) {
            self.summary.unkeyed += (older.len() + newer.len()) as u64;
            return;
        }
        if self.unknown.is_attributes() && older.len() + newer.len() > 2 {
            self.summary.unchanged += cancel_common(&mut older, &mut newer);
        }
        let (mut older, mut newer) = (older.into_iter(), newer.into_iter());
        loop {
            match (older.next(), newer.next()) {
                (Some(before), Some(after)) => self.settle_pair(key, before, after),
                (Some(row), None) => self.settle_single(ChangeKind::Removed, key, row),
                (None, Some(row)) => self.settle_single(ChangeKind::Added, key, row),
                (None, None) => return,
            }
        }
    }

    fn settle_pair(&mut self, key: &[u8], before: Row, after: Row) {
        let dn = dn_of(key).or_else(|| after.as_ref().dn());
        let class = after.as_ref().class_name();
        let (mut differs, mut fields) = (false, Vec::new());
        for_each_difference(before.as_ref(), after.as_ref(), |difference| {
            if difference.is_one_sided && self.unknown.is_attributes() {
                return;
            }
            differs = true;
            if !self.hidden.contains(&self.options.ignore, class, difference.name) {
                fields.push(difference.name.into());
            }
        });
        if !differs {
            self.summary.unchanged += 1;
        } else if fields.is_empty() || self.options.ignore.hides_dn(dn) {
            self.summary.hidden += 1;
        } else {
            self.summary.changed += 1;
            self.give(ChangeKind::Changed, Some(before), Some(after), fields);
        }
    }

    /// Settles a row that is on one side only.
    fn settle_single(&mut self, kind: ChangeKind, key: &[u8], row: Row) {
        let dn = dn_of(key).or_else(|| row.as_ref().dn());
        let lacking_side = usize::from(kind == ChangeKind::Removed);
        // A row known by a hash of all its columns cannot be found among rows with other columns.
        let cannot_be_found = self.unknown.is_attributes() && is_hash(key);
        if self.options.ignore.hides_dn(dn) {
            self.summary.hidden += 1;
        } else if cannot_be_found || self.unknown.may_lack(lacking_side, row.as_ref(), dn, &self.key) {
            self.summary.unknown += 1;
        } else if kind == ChangeKind::Removed {
            self.summary.removed += 1;
            self.give(kind, Some(row), None, Vec::new());
        } else {
            self.summary.added += 1;
            self.give(kind, None, Some(row), Vec::new());
        }
    }

    fn give(&mut self, kind: ChangeKind, before: Option<Row>, after: Option<Row>, fields: Vec<Box<str>>) {
        if !self.options.summary_only {
            self.waiting.push_back(Change { kind, before, after, key: Arc::clone(&self.key), fields });
        }
    }

    fn sorter(&self) -> RowSorter {
        let memory_bytes = if self.options.memory_bytes == 0 { 64 << 20 } else { self.options.memory_bytes };
        // Two sorters share the memory.
        let limits = SortLimits { memory_bytes: memory_bytes / 2, spill_dir: self.options.spill_dir.clone() };
        RowSorter::new((*self.key).clone(), limits)
    }

    /// Hands a row to a sorter under the key that is asked for.
    fn sort_in(&mut self, sorter: &mut RowSorter, row: LeafRow<'_>) -> Result<()> {
        let row = row.to_row(&mut self.shapes);
        let mut key = Vec::new();
        self.key.write_key(row.as_ref(), &mut key);
        if self.by_visible_hash && is_hash(&key) {
            let visible = self.visible(row.as_ref());
            key.clear();
            self.key.write_key(visible.as_ref(), &mut key);
        }
        sorter.add_row(&key, row.as_ref(), &row.shape)
    }

    /// Copies a row without what is hidden of it.
    fn visible(&mut self, row: RowRef<'_>) -> Row {
        let class = row.class_name();
        keep(row, |name| !self.hidden.contains(&self.options.ignore, class, name))
    }
}
