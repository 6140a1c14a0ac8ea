//! What is checked here of rows that a controller was asked for too widely.

use fabrik_core::{RowBatch, RowBatchBuilder, RowRef, Value};
use hashbrown::HashSet;

use super::chain::RnPattern;
use super::condition::Condition;
use crate::dn;

/// What the objects of a class, and what is nested below them, must be like.
#[derive(Clone, Debug, Default)]
pub(super) struct RowCheck {
    pub(super) class: String,
    /// What is above, from the root down; true where it is directly above the next.
    pub(super) above: Vec<(RnPattern, bool)>,
    pub(super) condition: Option<Condition>,
    /// Whether one of the objects that were read before must be above, and if so, whether directly.
    pub(super) joined: Option<bool>,
    /// Rows of this class only, whatever they are below.
    pub(super) only: Option<String>,
}

impl RowCheck {
    pub(super) fn is_empty(&self) -> bool {
        self.above.is_empty() && self.condition.is_none() && self.joined.is_none() && self.only.is_none()
    }

    /// Returns the rows of a batch that are meant. A batch has what is nested below an object right after it.
    ///
    /// Fails in words.
    pub(super) fn keep(
        &self,
        batch: &RowBatch,
        above: ReadBefore<'_>,
        builder: &mut RowBatchBuilder,
    ) -> Result<RowBatch, String> {
        let mut accepted: Option<&str> = None;
        for row in batch.iter() {
            let is_kept = if let Some(only) = &self.only {
                row.class_name() == Some(only)
            } else if row.class_name() == Some(&self.class) {
                let is_kept = self.accepts(row, above)?;
                accepted = row.dn().filter(|_| is_kept);
                is_kept
            } else {
                let below = accepted.and_then(|top| row.dn()?.strip_prefix(top));
                below.is_some_and(|rest| rest.starts_with('/'))
            };
            if is_kept {
                row.attributes().for_each(|(name, value)| builder.attribute(name, value));
                builder.finish_row().map_err(|error| error.to_string())?;
            }
        }
        Ok(builder.take())
    }

    fn accepts(&self, row: RowRef<'_>, read_before: ReadBefore<'_>) -> Result<bool, String> {
        let dn = row.dn().ok_or_else(|| format!("an object of class {} has no dn", self.class))?;
        let rns: Vec<&str> = dn::split(dn).collect();
        if !fits(&self.above, &rns[..rns.len().saturating_sub(1)]) {
            return Ok(false);
        }
        let is_joined = match self.joined {
            None => true,
            Some(true) => dn::parent(dn).is_some_and(|parent| read_before.is_meant(parent)),
            Some(false) => {
                let mut ancestors = std::iter::successors(dn::parent(dn), |dn| dn::parent(dn));
                ancestors.find(|dn| read_before.all.contains(dn)).is_some_and(|nearest| read_before.is_meant(nearest))
            }
        };
        let value_of = |name: &str| match row.get(name)? {
            Value::String(text) => Some(text.to_owned()),
            other => Some(other.to_string()),
        };
        match &self.condition {
            Some(condition) if is_joined => condition
                .holds(&value_of)
                .map_err(|name| format!("{dn} came without the property {name}, by which it is to be filtered")),
            _ => Ok(is_joined),
        }
    }
}

/// Returns whether relative names have these patterns in their order, with others in between where that is allowed.
fn fits(patterns: &[(RnPattern, bool)], rns: &[&str]) -> bool {
    let Some(((pattern, is_direct), before)) = patterns.split_last() else { return true };
    let places = if *is_direct { rns.len().saturating_sub(1)..rns.len() } else { 0..rns.len() };
    places.rev().any(|place| pattern.matches(rns[place]) && fits(before, &rns[..place]))
}

/// The objects that were read before: all, and those that the current question is about.
#[derive(Clone, Copy, Debug)]
pub(super) struct ReadBefore<'a> {
    pub(super) all: &'a Dns,
    /// A row that is below objects of two questions must come once only.
    pub(super) part: Option<&'a Dns>,
}

impl ReadBefore<'_> {
    fn is_meant(self, dn: &str) -> bool {
        self.part.unwrap_or(self.all).contains(dn)
    }
}

/// The objects that were read before, by the hash of their DN: 16 bytes and the space around them for each.
#[derive(Debug, Default)]
pub(super) struct Dns {
    hashes: HashSet<[u8; 16]>,
    /// The DNs themselves, as long as they are few.
    few: Option<Vec<String>>,
}

impl Dns {
    /// How many objects are asked about by name, rather than reading everything.
    const FEW: usize = 200;
    /// How many objects there may be at all: some hundred MiB.
    pub(super) const MOST: usize = 8_000_000;

    pub(super) fn new() -> Self {
        Self { hashes: HashSet::new(), few: Some(Vec::new()) }
    }

    /// Adds a DN; false when there are too many.
    pub(super) fn add(&mut self, dn: &str) -> bool {
        if self.hashes.insert(hash(dn)) {
            match &mut self.few {
                Some(few) if few.len() < Self::FEW => few.push(dn.to_owned()),
                _ => self.few = None,
            }
        }
        self.hashes.len() <= Self::MOST
    }

    fn contains(&self, dn: &str) -> bool {
        self.hashes.contains(&hash(dn))
    }

    /// Returns all, when they are few.
    pub(super) fn few(&self) -> Option<&[String]> {
        self.few.as_deref()
    }
}

fn hash(dn: &str) -> [u8; 16] {
    blake3::hash(dn.as_bytes()).as_bytes()[..16].try_into().expect("a hash has 32 bytes")
}
