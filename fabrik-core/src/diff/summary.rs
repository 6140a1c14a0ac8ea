//! What a comparison counts.

use serde::Serialize;

use crate::severity::Risk;

/// How many rows differ, and how many do not.
///
/// Every row of the newer snapshot is counted once among `added`, `changed`, `unchanged`, or in `hidden`,
/// `unkeyed`, `unknown` or `noise_changes`; so is every row of the older one, with `removed`.
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
    /// What changed by itself, where that is told apart; its fields stand beside the others in JSON.
    #[serde(flatten)]
    pub noise: Option<NoiseCounts>,
    /// What the changes amount to, where they are judged; its fields stand beside the others in JSON.
    #[serde(flatten)]
    pub risk: Option<Risk>,
}

/// How much changed by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct NoiseCounts {
    /// Rows that came, went or changed by themselves, in nothing else that is not hidden.
    pub noise_changes: u64,
    /// Attributes that changed by themselves, in those rows and in rows that changed otherwise as well.
    pub noise_attributes: u64,
}

impl DiffSummary {
    /// Returns whether nothing is known to differ.
    #[must_use]
    pub fn is_equal(&self) -> bool {
        self.added + self.removed + self.changed + self.unkeyed == 0
    }
}
