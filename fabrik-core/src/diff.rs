//! What changed between two snapshots.

mod attributes;
mod ignore;
mod merge;
mod options;
mod report;
mod summary;
mod unknown;
mod visibility;
mod walk;

use std::collections::VecDeque;
use std::sync::Arc;

use serde::Serialize;

use crate::error::Result;
use crate::key::{KeySpec, dn_of, is_hash};
use crate::row::{Row, RowRef, ShapeTable, Value};
use crate::severity::{Judgement, Risk};
use crate::snapshot::Snapshot;
use crate::sort::{RowSorter, SortLimits};
use crate::store::ReadChunks;
use crate::tree::leaf::LeafRow;
use crate::tree::reader::TreeReader;
use attributes::{Places, cancel_common, for_each_difference, keep};
use merge::MergedRows;
use unknown::Unknown;
use visibility::{ClassVisibility, Visibilities, Visibility};
use walk::{Group, Walk, cancel_rows};

pub use ignore::Ignore;
pub use options::DiffOptions;
pub use report::{Report, warnings};
pub use summary::{DiffSummary, NoiseCounts};
pub use unknown::ComparedCoverage;

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

impl ChangeKind {
    /// Returns its name: `added`, `removed` or `changed`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Removed => "removed",
            Self::Changed => "changed",
        }
    }
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
    /// The attributes that differ and are not hidden, in name order: where to find them in the two rows.
    fields: Vec<Places>,
    judgement: Option<Box<Judgement>>,
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
        let mut before = self.before.as_ref().map(|row| row.as_ref().cursor());
        let mut after = self.after.as_ref().map(|row| row.as_ref().cursor());
        self.fields.iter().map(move |places| {
            let before = before.as_mut().zip(places.before).map(|(row, place)| row.attribute(place as usize));
            let after = after.as_mut().zip(places.after).map(|(row, place)| row.attribute(place as usize));
            let (name, _) = after.or(before).expect("an attribute that differs is on one side at least");
            FieldChange { name, before: before.map(|(_, value)| value), after: after.map(|(_, value)| value) }
        })
    }

    /// Returns how much it matters; `None` where changes are not judged.
    #[must_use]
    pub fn judgement(&self) -> Option<&Judgement> {
        self.judgement.as_deref()
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
    let reader = TreeReader::cached(store);
    let aligned = before.key.stores_like(&after.key);
    let key = options.key.clone().unwrap_or_else(|| if aligned { after.key.clone() } else { KeySpec::Auto });
    let by_visible_hash = (options.ignore.has_attributes() || options.noise.is_some()) && key != KeySpec::Dn;
    let summary = DiffSummary {
        noise: options.noise.as_ref().map(|_| NoiseCounts::default()),
        risk: options.severity.as_ref().map(|_| Risk::default()),
        ..DiffSummary::default()
    };
    let mut comparison = Comparison {
        coverage: ComparedCoverage::of(before, after),
        unknown: Unknown::find(reader, before, after, &key).await?,
        summary,
        shapes: ShapeTable::default(),
        visibilities: Visibilities::default(),
        stored_duplicates: [before.duplicate_keys, after.duplicate_keys],
        key: Arc::new(key),
        by_visible_hash,
        set_aside: None,
        input: Input::Done,
        at_hand: [Vec::new(), Vec::new()],
        waiting: VecDeque::new(),
        options,
    };
    // Rows known by a hash of what is visible do not stand in the order of the stored hash.
    let out_of_order = comparison.by_visible_hash && *comparison.key == KeySpec::Hash;
    if aligned && !out_of_order && comparison.key.stores_like(&before.key) {
        // Those without a DN stand behind all that have one, which need not wait for them.
        if comparison.by_visible_hash && *comparison.key == KeySpec::Auto {
            comparison.set_aside = Some([comparison.sorter(), comparison.sorter()]);
        }
        comparison.input = Input::Walk(Box::new(Walk::start(reader, before.root, after.root).await?));
        return Ok(comparison);
    }
    let mut sorters = [comparison.sorter(), comparison.sorter()];
    if aligned {
        let mut walk = Walk::start(reader, before.root, after.root).await?;
        while let Some(groups) = walk.next().await? {
            for group in &groups {
                for row in &group.before {
                    comparison.sort_in(&mut sorters[0], row.row())?;
                }
                for row in &group.after {
                    comparison.sort_in(&mut sorters[1], row.row())?;
                }
            }
            walk.reuse(groups);
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
    /// Where rows come in order but those that are known by their content: these, to be sorted.
    set_aside: Option<[RowSorter; 2]>,
    summary: DiffSummary,
    shapes: ShapeTable,
    visibilities: Visibilities,
    coverage: ComparedCoverage,
    unknown: Unknown,
    stored_duplicates: [u64; 2],
    input: Input<'s>,
    /// Room for the rows of one key, empty between keys.
    at_hand: [Vec<Row>; 2],
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
                    groups.iter().try_for_each(|group| self.take_group(group))?;
                    walk.reuse(groups);
                    self.input = Input::Walk(walk);
                    Ok(true)
                }
                None if self.set_aside.is_some() => {
                    self.summary.unchanged += walk.counted.unchanged;
                    let [older, newer] = self.set_aside.take().expect("it was just seen");
                    self.input = Input::Sorted(Box::new(MergedRows::new(older, newer)?));
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
                    self.settle_rows(&key, &mut older, &mut newer);
                    self.input = Input::Sorted(rows);
                    Ok(true)
                }
                None => Ok(false),
            },
            Input::Done => Ok(false),
        }
    }

    /// Settles the rows of one key, or sets them aside where their order is another.
    fn take_group(&mut self, group: &Group) -> Result<()> {
        let Some(mut sorters) = self.set_aside.take() else {
            self.settle_group(group);
            return Ok(());
        };
        if is_hash(&group.key) {
            group.before.iter().try_for_each(|row| self.sort_in(&mut sorters[0], row.row()))?;
            group.after.iter().try_for_each(|row| self.sort_in(&mut sorters[1], row.row()))?;
        } else {
            self.summary.duplicate_keys += u64::from(group.before.len() > 1 || group.after.len() > 1);
            self.settle_group(group);
        }
        self.set_aside = Some(sorters);
        Ok(())
    }

    fn settle_group(&mut self, group: &Group) {
        // Counting alone needs no copies of rows, unless what they hold decides.
        let pairs = group.before.len().min(group.after.len()) as u64;
        let simple = self.options.ignore.is_empty()
            && self.options.noise.is_none()
            && self.options.severity.is_none()
            && !(*self.key == KeySpec::Dn && is_hash(&group.key))
            && self.unknown.is_nothing();
        if self.options.summary_only && simple {
            self.summary.changed += pairs;
            self.summary.removed += group.before.len() as u64 - pairs;
            self.summary.added += group.after.len() as u64 - pairs;
            return;
        }
        let [mut older, mut newer] = std::mem::take(&mut self.at_hand);
        older.extend(group.before.iter().map(|row| row.row().to_row(&mut self.shapes)));
        newer.extend(group.after.iter().map(|row| row.row().to_row(&mut self.shapes)));
        self.settle_rows(&group.key, &mut older, &mut newer);
        self.at_hand = [older, newer];
    }

    /// Pairs what is left of one key, first with first, and empties both lists.
    fn settle_rows(&mut self, key: &[u8], older: &mut Vec<Row>, newer: &mut Vec<Row>) {
        if *self.key == KeySpec::Dn && is_hash(key) {
            self.summary.unkeyed += (older.drain(..).len() + newer.drain(..).len()) as u64;
            return;
        }
        if self.unknown.is_attributes() && older.len() + newer.len() > 2 {
            self.summary.unchanged += cancel_common(older, newer);
        }
        let (mut older, mut newer) = (older.drain(..), newer.drain(..));
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
        let DiffOptions { ignore, noise, .. } = &self.options;
        let noise = noise.as_deref();
        // Mostly everything counts, and nothing need be looked up.
        let counts_all = noise.is_none() && !ignore.has_attributes();
        let mut visible = (!counts_all).then(|| {
            let class = after.as_ref().class_name();
            (class, self.visibilities.of(class, noise))
        });
        let (mut differs, mut n_noise, mut fields) = (false, 0, Vec::new());
        for_each_difference(before.as_ref(), after.as_ref(), |difference| {
            if difference.places.is_one_sided() && self.unknown.is_attributes() {
                return;
            }
            differs = true;
            let of_name = |(class, visible): &mut (Option<&str>, &mut ClassVisibility)| {
                visible.of(difference.name, *class, ignore, noise)
            };
            match visible.as_mut().map_or(Visibility::Shown, of_name) {
                Visibility::Shown => fields.push(difference.places),
                Visibility::Noise => n_noise += 1,
                Visibility::Hidden => {}
            }
        });
        if !differs {
            self.summary.unchanged += 1;
            return;
        }
        let is_hidden = || !ignore.is_empty() && ignore.hides_dn(dn_of(key).or_else(|| after.as_ref().dn()));
        if fields.is_empty() && n_noise == 0 || is_hidden() {
            self.summary.hidden += 1;
            return;
        }
        if let Some(counts) = &mut self.summary.noise {
            counts.noise_attributes += n_noise;
            counts.noise_changes += u64::from(fields.is_empty());
        }
        if !fields.is_empty() {
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
        } else if let Some(counts) = &mut self.summary.noise
            && self.visibilities.of(row.as_ref().class_name(), self.options.noise.as_deref()).is_noise
        {
            counts.noise_changes += 1;
        } else if kind == ChangeKind::Removed {
            self.summary.removed += 1;
            self.give(kind, Some(row), None, Vec::new());
        } else {
            self.summary.added += 1;
            self.give(kind, None, Some(row), Vec::new());
        }
    }

    fn give(&mut self, kind: ChangeKind, before: Option<Row>, after: Option<Row>, fields: Vec<Places>) {
        if self.options.summary_only && self.options.severity.is_none() {
            return;
        }
        let mut change = Change { kind, before, after, key: Arc::clone(&self.key), fields, judgement: None };
        if let (Some(model), Some(risk)) = (&self.options.severity, &mut self.summary.risk) {
            let decision = model.decide(&change);
            let is_given = decision.severity >= self.options.min_severity;
            risk.add(decision.severity, is_given);
            // What is not given needs no words.
            if self.options.summary_only || !is_given {
                return;
            }
            change.judgement = Some(Box::new(decision.explain(&change)));
        }
        self.waiting.push_back(change);
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
        let DiffOptions { ignore, noise, .. } = &self.options;
        let noise = noise.as_deref();
        let visibility = self.visibilities.of(class, noise);
        // Where all of a class is noise, its rows are still different rows.
        let is_noise = visibility.is_noise;
        keep(row, |name| match visibility.of(name, class, ignore, noise) {
            Visibility::Shown => true,
            Visibility::Noise => is_noise,
            Visibility::Hidden => false,
        })
    }
}
