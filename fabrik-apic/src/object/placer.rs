//! Which DN an object has that does not carry it.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use super::json::{Known, KnownAttributes};
use crate::naming::{Naming, ROOT_CLASS};

/// How many classes and places are told apart in a report.
const MOST_REPORTED: usize = 64;

/// Finds the DN of each object, and remembers for which there was no way to.
#[derive(Debug, Default)]
pub(crate) struct Placer {
    pub(crate) naming: Naming,
    unplaced: Unplaced,
}

/// Where an object is in the tree.
#[derive(Clone, Debug)]
pub(crate) enum Place<'a> {
    /// Above everything: what is below it carries its whole DN, or is a root.
    Top,
    /// At a DN; the empty one is the root above all roots.
    At(Cow<'a, str>),
    /// Somewhere: its DN is not known.
    Unknown,
}

impl Place<'_> {
    /// Copies the DN.
    pub(crate) fn into_owned(self) -> Place<'static> {
        match self {
            Self::Top => Place::Top,
            Self::At(dn) => Place::At(Cow::Owned(dn.into_owned())),
            Self::Unknown => Place::Unknown,
        }
    }

    /// Returns the DN where there is one.
    pub(crate) fn dn(&self) -> Option<&str> {
        match self {
            Self::At(dn) if !dn.is_empty() => Some(dn),
            _ => None,
        }
    }
}

/// Objects that belong somewhere, nobody knows where.
#[derive(Debug, Default)]
struct Unplaced {
    n: u64,
    by_class: BTreeMap<String, u64>,
    of_other_classes: u64,
    parents: BTreeSet<String>,
    may_be_anywhere: bool,
}

impl Placer {
    /// Names objects by `naming`.
    pub(crate) fn new(naming: Naming) -> Self {
        Self { naming, unplaced: Unplaced::default() }
    }

    /// Returns where an object below `parent` is.
    pub(crate) fn place<'a>(&mut self, class: &str, known: KnownAttributes<'a>, parent: &Place<'_>) -> Place<'a> {
        let KnownAttributes { dn, rn, naming, .. } = known;
        let has_dn = match dn {
            Known::Text(dn) if !dn.is_empty() => return Place::At(dn),
            Known::Absent => false,
            _ => true,
        };
        if self.naming == Naming::ByClass && class == ROOT_CLASS {
            return Place::At(Cow::Borrowed(""));
        }
        let parent_dn = match parent {
            Place::At(dn) => Some(&**dn),
            Place::Top => self.naming.implied_parent(class),
            Place::Unknown => None,
        };
        let rn = match &rn {
            Known::Text(rn) if !rn.is_empty() => Some(Cow::Borrowed(&**rn)),
            _ => self.naming.format_of(class).and_then(|format| {
                let values = naming.each_ref().map(|known| match known {
                    Known::Text(value) => Some(&**value),
                    _ => None,
                });
                format.write(&values).map(Cow::Owned)
            }),
        };
        match (parent_dn, rn) {
            (Some(""), Some(rn)) if !has_dn => return Place::At(Cow::Owned(rn.into_owned())),
            (Some(parent), Some(rn)) if !has_dn => return Place::At(Cow::Owned(format!("{parent}/{rn}"))),
            _ => {}
        }
        if self.naming == Naming::ByClass {
            self.unplaced.note(class, parent);
        }
        Place::Unknown
    }

    /// Says which objects could not be placed, and below which DNs they belong, where that is known of all of them;
    /// `None` when every object has its place.
    pub(crate) fn report(&self) -> Option<(String, Vec<String>)> {
        let Unplaced { n, by_class, of_other_classes, parents, may_be_anywhere } = &self.unplaced;
        if *n == 0 {
            return None;
        }
        let mut classes: Vec<String> = by_class.iter().map(|(class, n)| format!("{class} ({n})")).collect();
        if *of_other_classes > 0 {
            classes.push(format!("other classes ({of_other_classes})"));
        }
        let rows = if *n == 1 { "1 row has" } else { &format!("{n} rows have") };
        let reason = format!("{rows} no DN, because none can be made from the attributes of {}", classes.join(", "));
        let parents = if *may_be_anywhere { Vec::new() } else { parents.iter().cloned().collect() };
        Some((reason, parents))
    }
}

impl Unplaced {
    fn note(&mut self, class: &str, parent: &Place<'_>) {
        self.n += 1;
        if let Some(n) = self.by_class.get_mut(class) {
            *n += 1;
        } else if self.by_class.len() < MOST_REPORTED {
            self.by_class.insert(class.to_owned(), 1);
        } else {
            self.of_other_classes += 1;
        }
        match parent {
            Place::At(dn) if self.parents.len() < MOST_REPORTED || self.parents.contains(&**dn) => {
                self.parents.insert(dn.clone().into_owned());
            }
            Place::At(_) | Place::Top => self.may_be_anywhere = true,
            // Its parent was noted.
            Place::Unknown => {}
        }
    }
}
