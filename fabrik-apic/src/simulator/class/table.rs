//! The table of classes.
//!
//! An attribute is `name:kind=default`. The kinds are `i` name, `n` number, `a` address, `t` time, `b` yes or no,
//! and a list of words from low to high; none stands for text. Attributes that all classes have are left out, and
//! `%` stands for a group. In `parents`, `/` is a class without parent and `*` one that may be anywhere.
//!
//! The names of `topLocal`, `topSvc` and `fvEppCont` are made up: they stand for containers on the way to the
//! faults of static paths, of which no recording shows the class.

mod fabric;
mod tenant;

/// A line of the table.
#[derive(Clone, Copy, Debug)]
pub(super) struct Definition {
    pub(super) name: &'static str,
    pub(super) rn: &'static str,
    pub(super) parents: &'static str,
    /// What clients may set; empty for a class that they may not create.
    pub(super) config: &'static str,
    pub(super) state: &'static str,
}

const BASE: &str = "childAction= dn= modTs:t=never status=";
const CONFIG: &str = "annotation= userdom=:all:";
const OF_CONFIG: &str = "extMngdBy= lcOwn=local uid:n=0";
const GROUPS: [(&str, &str); 4] = [
    ("%tenant", "monPolDn=uni/tn-common/monepg-default"),
    ("%fabric", "monPolDn=uni/fabric/monfab-default"),
    ("%named", "forceResolve:b=yes rType=mo state=formed stateQual=none tContextDn= tDn= tRn= tType=name"),
    ("%direct", "forceResolve:b=yes rType=mo state=formed stateQual=none tType=mo"),
];

impl Definition {
    /// Returns the texts of the attributes that clients may set.
    pub(super) fn config(&self) -> impl Iterator<Item = &'static str> {
        let every = if self.config.is_empty() { "" } else { CONFIG };
        words(self.config).chain(words(every))
    }

    /// Returns the texts of all other attributes.
    pub(super) fn state(&self) -> impl Iterator<Item = &'static str> {
        let every = if self.config.is_empty() { "" } else { OF_CONFIG };
        words(self.state).chain(words(every)).chain(words(BASE))
    }
}

fn words(text: &'static str) -> impl Iterator<Item = &'static str> {
    let group = |word: &'static str| GROUPS.iter().find(|(name, _)| *name == word).map_or(word, |&(_, text)| text);
    text.split_ascii_whitespace().flat_map(move |word| group(word).split_ascii_whitespace())
}

const fn class(
    name: &'static str,
    rn: &'static str,
    parents: &'static str,
    config: &'static str,
    state: &'static str,
) -> Definition {
    Definition { name, rn, parents, config, state }
}

/// Returns the definition of every class.
pub(super) fn definitions() -> impl Iterator<Item = &'static Definition> {
    tenant::CLASSES.iter().chain(fabric::CLASSES)
}
