//! What a snapshot may lack though the fabric has it: there absence says nothing, and is no change.

use std::sync::Arc;

use hashbrown::HashSet;
use rayon::prelude::*;
use serde::Serialize;

use crate::error::Result;
use crate::key::{KeySpec, with_field};
use crate::row::{RowRef, ShapeTable, Value};
use crate::snapshot::{Coverage, Snapshot, Verdict};
use crate::tree::leaf::Leaf;
use crate::tree::reader::TreeReader;

/// Which attributes of each object the two sides of a comparison hold.
///
/// Where they differ, only attributes that both rows of a pair have are compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ComparedCoverage {
    /// Those of the older snapshot.
    pub older: Coverage,
    /// Those of the newer one.
    pub newer: Coverage,
}

impl ComparedCoverage {
    /// Takes the coverages of two snapshots. One without rows leaves nothing out, so it covers what the other does.
    #[must_use]
    pub fn of(before: &Snapshot, after: &Snapshot) -> Self {
        let older = if before.row_count == 0 { after.coverage } else { before.coverage };
        let newer = if after.row_count == 0 { older } else { after.coverage };
        Self { older, newer }
    }

    /// Returns whether the two differ.
    #[must_use]
    pub fn differs(self) -> bool {
        self.older != self.newer
    }
}

/// What is unknown of either side of a comparison.
#[derive(Debug)]
pub(super) struct Unknown {
    verdicts: [Verdict; 2],
    /// Which rows either side can be asked for, where the coverages differ.
    kinds: Option<[HashSet<Kind>; 2]>,
}

/// Rows that a snapshot can show are of a class of which it has rows, and are found by key columns that those have.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Kind {
    class: Option<Box<str>>,
    /// For each key column whether there is a value in it.
    key_columns: Box<[bool]>,
}

impl Unknown {
    /// Reads both snapshots in full where their coverages differ, and nothing where they do not.
    pub(super) async fn find(
        reader: TreeReader<'_>,
        before: &Snapshot,
        after: &Snapshot,
        key: &KeySpec,
    ) -> Result<Self> {
        let kinds = if ComparedCoverage::of(before, after).differs() {
            Some([kinds_of(reader, before, key).await?, kinds_of(reader, after, key).await?])
        } else {
            None
        };
        Ok(Self { verdicts: [before.verdict.clone(), after.verdict.clone()], kinds })
    }

    /// Returns whether all that is on one side only is a change, and every attribute too.
    pub(super) fn is_nothing(&self) -> bool {
        self.kinds.is_none() && self.verdicts.iter().all(|verdict| !matches!(verdict, Verdict::Partial { .. }))
    }

    /// Returns whether only the attributes count that both rows of a pair have.
    pub(super) fn is_attributes(&self) -> bool {
        self.kinds.is_some()
    }

    /// Returns whether a row that only the other side has may be missing from `side` because that cannot show it.
    pub(super) fn may_lack(&self, side: usize, row: RowRef<'_>, dn: Option<&str>, key: &KeySpec) -> bool {
        let of_other_kind = |kinds: &[HashSet<Kind>; 2]| !kinds[side].contains(&Kind::of(row, key));
        self.verdicts[side].may_lack(dn) || self.kinds.as_ref().is_some_and(of_other_kind)
    }
}

impl Kind {
    fn of(row: RowRef<'_>, key: &KeySpec) -> Self {
        let has = |name: &str| with_field(row, name, |value| value != Value::Null);
        let key_columns = match key {
            KeySpec::Fields(names) => names.iter().map(|name| has(name)).collect(),
            _ => [row.dn().is_some()].into(),
        };
        Self { class: row.class_name().map(Into::into), key_columns }
    }
}

async fn kinds_of(reader: TreeReader<'_>, snapshot: &Snapshot, key: &KeySpec) -> Result<HashSet<Kind>> {
    let mut kinds = HashSet::new();
    let mut scan = reader.scan(snapshot.root).await?;
    loop {
        let leaves = scan.next().await?;
        if leaves.is_empty() {
            return Ok(kinds);
        }
        let of_leaf = |leaf: &Arc<Leaf>| -> HashSet<Kind> {
            let mut shapes = ShapeTable::default();
            (0..leaf.len()).map(|i| Kind::of(leaf.row(i).to_row(&mut shapes).as_ref(), key)).collect()
        };
        let found: Vec<HashSet<Kind>> = leaves.par_iter().with_min_len(8).map(of_leaf).collect();
        kinds.extend(found.into_iter().flatten());
    }
}
