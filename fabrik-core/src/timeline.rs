//! One key through time.

use chrono::{DateTime, Utc};
use serde::{Serialize, Serializer};

use crate::error::{Error, Result};
use crate::id::{ChunkId, SnapshotId};
use crate::key::KeySpec;
use crate::reference::{find_query, one_connection};
use crate::row::{Row, RowBatchBuilder, ShapeTable, Value};
use crate::snapshot::{Coverage, Snapshot};
use crate::store::{SnapshotFilter, Store};
use crate::tree::Node;
use crate::tree::reader::TreeReader;

/// How many snapshots are considered unless said otherwise.
const DEFAULT_LIMIT: u64 = 20;
/// How many are at most.
const MAX_LIMIT: u64 = 100;

/// Which snapshots a timeline considers.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TimelineOptions {
    /// The newest so many in the range; 20 unless set, larger values become 100.
    pub limit: u64,
    /// Captured at or after this moment.
    pub from: Option<DateTime<Utc>>,
    /// Captured up to this moment, itself included.
    pub to: Option<DateTime<Utc>>,
    /// Of this connection, where the query was captured on several.
    pub connection: Option<String>,
}

impl Default for TimelineOptions {
    fn default() -> Self {
        Self { limit: DEFAULT_LIMIT, from: None, to: None, connection: None }
    }
}

impl TimelineOptions {
    /// Considers at most this many snapshots.
    #[must_use]
    pub fn with_limit(mut self, limit: u64) -> Self {
        self.limit = limit;
        self
    }

    /// Considers only snapshots of this range.
    #[must_use]
    pub fn with_range(mut self, from: Option<DateTime<Utc>>, to: Option<DateTime<Utc>>) -> Self {
        (self.from, self.to) = (from, to);
        self
    }

    /// Considers only this connection.
    #[must_use]
    pub fn with_connection(mut self, connection: Option<String>) -> Self {
        self.connection = connection;
        self
    }

    fn check(&self) -> Result<()> {
        if self.limit == 0 {
            return Err(Error::invalid("limit", "0", "a number from 1 to 100"));
        }
        match (self.from, self.to) {
            (Some(from), Some(to)) if from > to => {
                Err(Error::invalid("from_date", crate::time::format(from), "a time that is not after to_date"))
            }
            _ => Ok(()),
        }
    }
}

/// What one key was in each snapshot, and how each of its attributes changed.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Timeline {
    /// The DN.
    pub dn: String,
    /// The number of the query.
    pub saved_query_id: i64,
    /// How many snapshots were considered: the number of points.
    pub snapshot_count: usize,
    /// One for each snapshot, oldest first.
    pub points: Vec<TimelinePoint>,
    /// One for each attribute, those with the most changes first, then by name.
    pub attribute_evolution: Vec<AttributeEvolution>,
    /// The names of all attributes seen, ascending.
    pub tracked_attributes: Vec<String>,
    /// When the key came and went.
    pub lifecycle: Vec<LifecycleEvent>,
}

/// What a key was in one snapshot.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct TimelinePoint {
    /// The snapshot.
    pub snapshot_id: SnapshotId,
    /// When it was captured.
    #[serde(serialize_with = "time_of")]
    pub executed_at: DateTime<Utc>,
    /// Whether it has the key.
    pub present: bool,
    /// Whether it lacks the key and that says nothing: it is partial and may have missed it, or it is of a coverage of
    /// which no snapshot considered has the key while one of another has.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub unknown: bool,
    /// The row; an empty object in JSON when the key is absent.
    #[serde(serialize_with = "row_or_empty")]
    pub attributes: Option<Row>,
    /// How many rows have the key, when there are several; the first is shown.
    #[serde(skip_serializing_if = "is_one")]
    pub rows: usize,
    #[serde(skip)]
    coverage: Coverage,
}

/// How one attribute changed.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct AttributeEvolution {
    /// Its name.
    pub attribute: String,
    /// How often its value differed from the one before.
    pub change_count: usize,
    /// Whether it never did.
    pub is_stable: bool,
    /// Its values in the order of first appearance.
    pub distinct_values: Vec<TimelineValue>,
    /// Its value in each snapshot that has the key, oldest first. Snapshots of a coverage of which none shows the
    /// attribute are left out.
    pub values: Vec<EvolutionPoint>,
}

/// The value of an attribute in one snapshot.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct EvolutionPoint {
    /// When it was captured.
    #[serde(serialize_with = "time_of")]
    pub executed_at: DateTime<Utc>,
    /// The snapshot.
    pub snapshot_id: SnapshotId,
    /// The value; null when the row lacks the attribute.
    pub value: TimelineValue,
    /// Whether it differs from the value before, across a gap as well.
    pub changed: bool,
}

/// When a key came or went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct LifecycleEvent {
    /// What happened.
    pub event: Lifecycle,
    /// The first snapshot that shows it.
    pub snapshot_id: SnapshotId,
    /// When that was captured.
    #[serde(serialize_with = "time_of")]
    pub executed_at: DateTime<Utc>,
}

/// What can happen to a key between two snapshots.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Lifecycle {
    /// It appeared for the first time in the snapshots considered.
    Created,
    /// It vanished.
    Deleted,
    /// It came back.
    Recreated,
}

/// An owned value, or none where a row lacks the attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimelineValue(Option<Row>);

impl TimelineValue {
    fn of(value: Option<Value<'_>>) -> Self {
        Self(value.map(|value| {
            let mut rows = RowBatchBuilder::default();
            rows.attribute("value", value);
            rows.finish_row().expect("one attribute is not there twice, and no longer than the row it is of");
            rows.take().row(0).to_row()
        }))
    }

    /// Returns the value; `None` where the row lacks the attribute.
    #[must_use]
    pub fn get(&self) -> Option<Value<'_>> {
        self.0.as_ref().and_then(|row| row.as_ref().get("value"))
    }
}

impl Serialize for TimelineValue {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.get().serialize(serializer)
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_one(rows: &usize) -> bool {
    *rows <= 1
}

pub(crate) fn time_of<S: Serializer>(time: &DateTime<Utc>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&crate::time::format(*time))
}

fn row_or_empty<S: Serializer>(row: &Option<Row>, serializer: S) -> Result<S::Ok, S::Error> {
    match row {
        Some(row) => row.serialize(serializer),
        None => serializer.collect_map(std::iter::empty::<((), ())>()),
    }
}

/// Follows one DN through the newest snapshots of a query.
///
/// Reads one path through each tree, and of those only the nodes that differ: for `k` snapshots with some
/// change in each, about `k` roots and a few nodes more.
///
/// # Errors
///
/// [`NotFound`](crate::ErrorKind::NotFound) for an unknown query, and
/// [`InvalidInput`](crate::ErrorKind::InvalidInput) for a limit of 0, a range that ends before it starts, or
/// snapshots that are not sorted by DN.
pub async fn timeline(store: &dyn Store, query: &str, dn: &str, options: &TimelineOptions) -> Result<Timeline> {
    options.check()?;
    let history = find_query(store, query).await?;
    let filter = one_connection(&history, options.connection.as_deref())?;
    timeline_of(store, history.query.id, filter, dn, options).await
}

/// Follows one DN as [`timeline`] does through the snapshots that a filter selects, which may be none; `query` is the
/// number to show for the query. The connection of the options does not count.
///
/// # Errors
///
/// As [`timeline`].
pub async fn timeline_of(
    store: &dyn Store,
    query: i64,
    filter: SnapshotFilter,
    dn: &str,
    options: &TimelineOptions,
) -> Result<Timeline> {
    options.check()?;
    let filter = filter.with_range(options.from, options.to).with_page(0, options.limit.min(MAX_LIMIT));
    let mut snapshots = store.snapshots(&filter).await?;
    snapshots.reverse();
    let mut points = points(store, &snapshots, dn).await?;
    mark_unknown(&mut points, &snapshots, dn);
    let (tracked_attributes, attribute_evolution) = evolution(&points);
    Ok(Timeline {
        dn: dn.to_owned(),
        saved_query_id: query,
        snapshot_count: points.len(),
        lifecycle: lifecycle(&points),
        points,
        attribute_evolution,
        tracked_attributes,
    })
}

/// Finds the row of the DN in each snapshot, going down all trees together.
async fn points(store: &dyn Store, snapshots: &[Snapshot], dn: &str) -> Result<Vec<TimelinePoint>> {
    if let Some(other) = snapshots.iter().find(|snapshot| !snapshot.key.stores_like(&KeySpec::Auto)) {
        return Err(Error::invalid(
            "dn",
            dn,
            format!("a query captured by DN; snapshot {} is keyed by {}", other.id, other.key),
        ));
    }
    let reader = TreeReader::cached(store);
    let mut key = vec![crate::key::TAG_DN];
    key.extend_from_slice(dn.as_bytes());
    let mut shapes = ShapeTable::default();
    let mut found: Vec<(Option<Row>, usize)> = vec![(None, 0); snapshots.len()];
    // For each node of the current level the snapshots whose path leads through it.
    let mut level: Vec<(ChunkId, Vec<usize>)> = Vec::new();
    for (i, snapshot) in snapshots.iter().enumerate() {
        visit(&mut level, snapshot.root, i);
    }
    while !level.is_empty() {
        let ids: Vec<ChunkId> = level.iter().map(|(id, _)| *id).collect();
        let nodes = reader.nodes(&ids).await?;
        let mut below = Vec::new();
        for (node, (_, through)) in nodes.iter().zip(&level) {
            match node {
                Node::Branch(branch) => {
                    for child in branch.children_with(&key) {
                        through.iter().for_each(|&i| visit(&mut below, branch.entry(child).id, i));
                    }
                }
                Node::Leaf(leaf) => {
                    let rows = leaf.rows_with(&key);
                    for &i in through {
                        if found[i].0.is_none() && !rows.is_empty() {
                            found[i].0 = Some(leaf.row(rows.start).to_row(&mut shapes));
                        }
                        found[i].1 += rows.len();
                    }
                }
            }
        }
        level = below;
    }
    let point = |(snapshot, (row, rows)): (&Snapshot, (Option<Row>, usize))| TimelinePoint {
        snapshot_id: snapshot.id,
        executed_at: snapshot.captured_at,
        present: row.is_some(),
        unknown: false,
        attributes: row,
        rows,
        coverage: snapshot.coverage,
    };
    Ok(snapshots.iter().zip(found).map(point).collect())
}

/// Marks the points at which the key is absent and may exist all the same.
fn mark_unknown(points: &mut [TimelinePoint], snapshots: &[Snapshot], dn: &str) {
    let shown = coverages(points.iter().filter(|point| point.present));
    for (point, snapshot) in points.iter_mut().zip(snapshots) {
        let is_shown = shown.is_empty() || shown.contains(&point.coverage);
        point.unknown = !point.present && (!is_shown || snapshot.verdict.may_lack(Some(dn)));
    }
}

/// Lists the coverages of some points: of what none of that coverage has, nothing tells whether it could.
fn coverages<'p>(points: impl Iterator<Item = &'p TimelinePoint>) -> Vec<Coverage> {
    let mut coverages: Vec<Coverage> = points.map(|point| point.coverage).collect();
    coverages.sort_unstable();
    coverages.dedup();
    coverages
}

fn visit(level: &mut Vec<(ChunkId, Vec<usize>)>, id: ChunkId, snapshot: usize) {
    // Neighbours share nodes, so the last few are where an id is found again if at all. Leaves full of one row
    // are the same node several times in one tree, and are counted as often.
    match level.iter_mut().rev().take(8).find(|(known, _)| *known == id) {
        Some((_, through)) => through.push(snapshot),
        None => level.push((id, vec![snapshot])),
    }
}

fn lifecycle(points: &[TimelinePoint]) -> Vec<LifecycleEvent> {
    let mut events = Vec::new();
    let mut was_present = None;
    let mut existed = false;
    for point in points.iter().filter(|point| !point.unknown) {
        let event = match (was_present, point.present) {
            (Some(false), true) if existed => Some(Lifecycle::Recreated),
            (Some(false), true) => Some(Lifecycle::Created),
            (Some(true), false) => Some(Lifecycle::Deleted),
            _ => None,
        };
        let at = |event| LifecycleEvent { event, snapshot_id: point.snapshot_id, executed_at: point.executed_at };
        events.extend(event.map(at));
        was_present = Some(point.present);
        existed |= point.present;
    }
    events
}

fn evolution(points: &[TimelinePoint]) -> (Vec<String>, Vec<AttributeEvolution>) {
    let mut names: Vec<&str> =
        points.iter().filter_map(|point| point.attributes.as_ref()).flat_map(|row| row.shape.names()).collect();
    names.sort_unstable();
    names.dedup();
    let mut evolution: Vec<AttributeEvolution> = names.iter().map(|name| evolution_of(points, name)).collect();
    // A stable sort, so names stay in order among equals.
    evolution.sort_by_key(|attribute| std::cmp::Reverse(attribute.change_count));
    (names.into_iter().map(str::to_owned).collect(), evolution)
}

fn evolution_of(points: &[TimelinePoint], name: &str) -> AttributeEvolution {
    let mut values: Vec<EvolutionPoint> = Vec::new();
    let mut distinct_values: Vec<TimelineValue> = Vec::new();
    let has = |point: &&TimelinePoint| point.attributes.as_ref().is_some_and(|row| row.shape.position(name).is_some());
    let shown = coverages(points.iter().filter(has));
    for point in points.iter().filter(|point| shown.contains(&point.coverage)) {
        let Some(row) = &point.attributes else { continue };
        let value = TimelineValue::of(row.as_ref().get(name));
        let changed = values.last().is_some_and(|before| before.value != value);
        if value.get().is_some() && !distinct_values.contains(&value) {
            distinct_values.push(value.clone());
        }
        values.push(EvolutionPoint { executed_at: point.executed_at, snapshot_id: point.snapshot_id, value, changed });
    }
    let change_count = values.iter().filter(|point| point.changed).count();
    AttributeEvolution {
        attribute: name.to_owned(),
        change_count,
        is_stable: change_count == 0,
        distinct_values,
        values,
    }
}
