//! What is known of a snapshot beside its rows.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::error::Error;
use crate::id::{ChunkId, SnapshotId, VersionHash};
use crate::key::KeySpec;

/// A snapshot's record: everything but its rows, which lie in the tree below `root`.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Snapshot {
    /// Its name.
    pub id: SnapshotId,
    /// What was asked, and of whom.
    pub series: Series,
    /// When the rows were read from the controller.
    pub captured_at: DateTime<Utc>,
    /// Who captured it.
    pub captured_by: String,
    /// What its rows are sorted by.
    pub key: KeySpec,
    /// The root of its tree.
    pub root: ChunkId,
    /// The hash that names its content.
    pub version_hash: VersionHash,
    /// How many rows it has.
    pub row_count: u64,
    /// How many keys belong to more than one row.
    pub duplicate_keys: u64,
    /// Size of its rows as canonical JSON, in bytes, whatever they take in the store.
    pub size_bytes: u64,
    /// What this capture added to the store, in bytes.
    pub stored_bytes: u64,
    /// How long it is kept.
    pub retention_policy: RetentionPolicy,
    /// Whether it is kept whatever its policy says.
    pub pinned: bool,
    /// Free text.
    pub annotation: Option<String>,
    /// A short tag, such as `baseline`.
    pub label: Option<String>,
    /// How complete the rows are.
    pub verdict: Verdict,
    /// Which attributes of each object its rows hold.
    pub coverage: Coverage,
    /// What changed since the snapshot before it in its series, found when it was captured.
    pub changes: Option<ChangeSummary>,
}

impl Snapshot {
    /// Returns the moment from which the policy no longer keeps it; `None` for ever.
    #[must_use]
    pub fn expires_at(&self) -> Option<DateTime<Utc>> {
        self.retention_policy.keeps_for().and_then(|kept| self.captured_at.checked_add_signed(kept))
    }

    /// Returns whether its rows differ from those of the snapshot before it; false for the first of a series.
    #[must_use]
    pub fn has_changes(&self) -> bool {
        self.changes.is_some_and(|changes| changes.total() > 0)
    }
}

/// A query on a connection: the snapshots that follow one another. Compared by the ids.
#[derive(Clone, Debug)]
pub struct Series {
    /// The saved query.
    pub query: Query,
    /// The fabric it was run on, where several are kept apart.
    pub connection: Option<Connection>,
}

impl PartialEq for Series {
    fn eq(&self, other: &Self) -> bool {
        self.query.id == other.query.id
            && self.connection.as_ref().map(|connection| connection.id)
                == other.connection.as_ref().map(|connection| connection.id)
    }
}

/// A saved query, by the number the store gave it and its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// The store's number for it.
    pub id: i64,
    /// Its name.
    pub name: String,
}

/// A connection to a fabric, by the number the store gave it and its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connection {
    /// The store's number for it.
    pub id: i64,
    /// Its name.
    pub name: String,
}

/// How long a snapshot is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RetentionPolicy {
    /// 7 days.
    SevenDays,
    /// 30 days. The default.
    #[default]
    ThirtyDays,
    /// 90 days.
    NinetyDays,
    /// 365 days.
    OneYear,
    /// Until it is deleted by hand.
    Forever,
}

impl RetentionPolicy {
    /// All policies, shortest first.
    pub const ALL: [Self; 5] = [Self::SevenDays, Self::ThirtyDays, Self::NinetyDays, Self::OneYear, Self::Forever];

    /// Returns the name: `7d`, `30d`, `90d`, `1y` or `forever`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::SevenDays => "7d",
            Self::ThirtyDays => "30d",
            Self::NinetyDays => "90d",
            Self::OneYear => "1y",
            Self::Forever => "forever",
        }
    }

    /// Returns the time from capture to expiry; `None` for ever.
    #[must_use]
    pub fn keeps_for(self) -> Option<TimeDelta> {
        match self {
            Self::SevenDays => Some(TimeDelta::days(7)),
            Self::ThirtyDays => Some(TimeDelta::days(30)),
            Self::NinetyDays => Some(TimeDelta::days(90)),
            Self::OneYear => Some(TimeDelta::days(365)),
            Self::Forever => None,
        }
    }
}

impl fmt::Display for RetentionPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for RetentionPolicy {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::ALL
            .into_iter()
            .find(|policy| policy.name() == text)
            .ok_or_else(|| Error::invalid("retention policy", text, "7d, 30d, 90d, 1y or forever"))
    }
}

impl Serialize for RetentionPolicy {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for RetentionPolicy {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// How complete the rows of a snapshot are.
///
/// What was not captured is unknown in a comparison, never removed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Verdict {
    /// Everything the query matched, as far as the source can tell.
    #[default]
    Complete,
    /// Some rows are missing.
    Partial {
        /// Why, and which, in words.
        reason: String,
        /// Rows the source announced, when it did.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        expected_rows: Option<u64>,
        /// The tops of subtrees of which rows are missing, as DNs; empty when it is not known which.
        #[serde(skip_serializing_if = "Vec::is_empty", default)]
        missing: Vec<String>,
    },
    /// The number of rows moved while they were read.
    Unstable {
        /// Rows counted before reading.
        rows_before: u64,
        /// Rows counted after reading.
        rows_after: u64,
    },
}

impl Verdict {
    /// Returns `complete`, `partial` or `unstable`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Partial { .. } => "partial",
            Self::Unstable { .. } => "unstable",
        }
    }

    /// Returns whether a row of this DN may exist and just not have been captured.
    ///
    /// What is missing of a partial snapshot are subtrees: a DN and all below it. Of a row without a DN nothing can be
    /// said.
    #[must_use]
    pub fn may_lack(&self, dn: Option<&str>) -> bool {
        let Self::Partial { missing, .. } = self else { return false };
        let holds = |dn: &str, top: &str| {
            let top = top.strip_suffix('/').unwrap_or(top);
            let below = dn.strip_prefix(top);
            below.is_some_and(|below| top.is_empty() || below.is_empty() || below.starts_with('/'))
        };
        missing.is_empty() || dn.is_none_or(|dn| missing.iter().any(|top| holds(dn, top)))
    }
}

/// Which attributes of each object a source delivered.
///
/// Where the coverages of two snapshots differ, a comparison speaks only of the attributes that both have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Coverage {
    /// All attributes. The default.
    #[default]
    Full,
    /// Those that configure the object: a configuration export, or an answer asked for configuration only.
    ConfigOnly,
    /// Those that name the object.
    NamingOnly,
}

impl Coverage {
    /// All coverages, widest first.
    pub const ALL: [Self; 3] = [Self::Full, Self::ConfigOnly, Self::NamingOnly];

    /// Returns the name: `full`, `config-only` or `naming-only`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::ConfigOnly => "config-only",
            Self::NamingOnly => "naming-only",
        }
    }
}

impl fmt::Display for Coverage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Coverage {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::ALL
            .into_iter()
            .find(|coverage| coverage.name() == text)
            .ok_or_else(|| Error::invalid("coverage", text, "full, config-only or naming-only"))
    }
}

impl Serialize for Coverage {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for Coverage {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// How many rows differ between a snapshot and the one before it in its series.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangeSummary {
    /// The snapshot before.
    pub previous: SnapshotId,
    /// Rows only in the newer one.
    pub added: u64,
    /// Rows only in the older one.
    pub removed: u64,
    /// Rows in both, with different attributes.
    pub changed: u64,
    /// Rows that are equal.
    pub unchanged: u64,
}

impl ChangeSummary {
    /// Returns how many rows were added, removed or changed.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.added + self.removed + self.changed
    }

    /// Returns the changed share of all rows on either side, from 0 to 1.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a share of 2^53 rows and more may be off by a rounding")]
    pub fn score(&self) -> f64 {
        self.total() as f64 / (self.total() + self.unchanged).max(1) as f64
    }
}
