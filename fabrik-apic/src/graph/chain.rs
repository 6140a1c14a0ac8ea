//! A chain of classes, each below the one before: which objects in it are named by their filters, and where they are.

use super::GraphError;
use super::condition::Condition;
use super::flow::Node;
use super::model::{self, Containment, may_contain};
use super::node::{self, ClassSpec};
use crate::dn;
use crate::naming::{MAX_NAMING_PROPERTIES, RnFormat, is_root};

/// A class of a chain with its conditions.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) spec: ClassSpec,
    /// All conditions, which all must hold.
    pub(super) conditions: Vec<Condition>,
    /// Those of them that the relative name does not say.
    pub(super) others: Vec<Condition>,
    /// The relative name, where the conditions tell it.
    pub(super) rn: Option<String>,
    pub(super) format: Option<&'static RnFormat>,
}

impl Link {
    pub(super) fn new(class: &Node, filters: &[&Node]) -> Result<Self, GraphError> {
        let spec = ClassSpec::of(class)?;
        let conditions = filters.iter().map(|filter| node::condition(&spec.class, filter));
        let conditions = conditions.collect::<Result<Vec<_>, _>>()?;
        Ok(Self::of(spec, conditions.into_iter().flat_map(Condition::conjuncts).collect()))
    }

    fn of(spec: ClassSpec, conditions: Vec<Condition>) -> Self {
        let format = RnFormat::of(&spec.class);
        let mut link = Self { spec, others: conditions.clone(), conditions, rn: None, format };
        let Some(format) = format else { return link };
        let mut values = [None; MAX_NAMING_PROPERTIES];
        for (value, property) in values.iter_mut().zip(format.properties()) {
            *value = link.conditions.iter().filter_map(Condition::as_equality).find(|(have, _)| have == property);
        }
        let rn = format.write(&values.map(|found| found.map(|(_, value)| value)));
        // A name that would be read as several is none.
        let rn = rn.filter(|rn| dn::is_balanced(rn) && dn::split(rn).count() == 1 && !rn.contains(char::is_control));
        if rn.is_some() {
            let used: Vec<(&str, &str)> = values.into_iter().flatten().collect();
            link.others = link
                .conditions
                .iter()
                .filter(|c| c.as_equality().is_none_or(|e| !used.contains(&e)))
                .cloned()
                .collect();
        }
        link.rn = rn;
        link
    }

    pub(super) fn pattern(&self) -> RnPattern {
        match (&self.rn, self.format) {
            (Some(rn), _) => RnPattern::Exact(rn.clone()),
            (None, Some(format)) => RnPattern::Prefix(format.prefix()),
            (None, None) => RnPattern::Any,
        }
    }

    /// Returns whether a DN cannot tell which of its objects are meant.
    pub(super) fn must_be_read(&self) -> bool {
        !self.others.is_empty() || self.format.is_none()
    }

    /// Returns whether every object of the class below has one of this class above it, without a condition on it.
    pub(super) fn is_implied_by(&self, below: &Self) -> bool {
        self.conditions.is_empty() && model::only_parent(&below.spec.class) == Some(self.spec.class.as_str())
    }
}

/// What is known of the relative name of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum RnPattern {
    Exact(String),
    Prefix(&'static str),
    Any,
}

impl RnPattern {
    pub(super) fn matches(&self, rn: &str) -> bool {
        match self {
            Self::Exact(exact) => rn == exact,
            Self::Prefix(prefix) => rn.starts_with(prefix),
            Self::Any => true,
        }
    }
}

pub(super) fn is_directly_below(above: &Link, below: &Link) -> bool {
    may_contain(&above.spec.class, &below.spec.class) == Containment::Yes
}

/// Returns the DN above all objects of a class, where there is only one; empty above a root.
pub(super) fn dn_above(class: &str) -> Option<String> {
    if is_root(class) {
        return Some(String::new());
    }
    let parent = model::only_parent(class)?;
    let rn = RnFormat::of(parent).filter(|format| format.properties().is_empty())?.prefix();
    Some(join(&dn_above(parent)?, rn))
}

pub(super) fn join(parent: &str, rn: &str) -> String {
    if parent.is_empty() { rn.to_owned() } else { format!("{parent}/{rn}") }
}

/// Returns the DN of the last object of a chain, where all are named and known to hang below one another.
pub(super) fn dn_of(links: &[Link]) -> Option<String> {
    let above = dn_above(&links.first()?.spec.class)?;
    let all_known = links.windows(2).all(|pair| is_directly_below(&pair[0], &pair[1]));
    let rns = links.iter().map(|link| link.rn.as_deref()).collect::<Option<Vec<&str>>>()?;
    all_known.then(|| rns.iter().fold(above, |dn, rn| join(&dn, rn)))
}
