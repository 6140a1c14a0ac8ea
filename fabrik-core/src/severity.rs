//! How much a change matters: a table of rules that gives each change a severity and says why.
//!
//! ```
//! use fabrik_core::severity::Model;
//!
//! let site = r#"
//! disable = ["tenant"]
//!
//! [[rule]]
//! id = "lab"
//! class = "*"
//! dn = "uni/tn-lab/*"
//! severity = "info"
//! reason = "{object} is in the laboratory"
//! "#;
//! let model = Model::standard().overridden_by("site.toml", site)?;
//! # assert_eq!(model.rules()[0].id(), "lab");
//! # Ok::<(), fabrik_core::Error>(())
//! ```
//!
//! A table is TOML with a `[[rule]]` for each rule:
//!
//! | field | says | when left out |
//! | --- | --- | --- |
//! | `id` | what the rule is called, once in a table | required |
//! | `class` | of which classes, with `*` and `?` as wild cards; rows without a class have the empty one | required |
//! | `dn` | of which DNs | any row, with a DN or without |
//! | `kind` | what happened: `added`, `removed`, `changed` | `changed` if `attribute` is there, else any |
//! | `attribute` | which attribute; for rows that came or went without wild cards | any, or none |
//! | `before`, `after` | its value; an absent one is the empty text | any |
//! | `trend` | whether the number it is `rises` or `falls` | either, or no number |
//! | `severity` | `critical`, `high`, `medium`, `low` or `info` | required |
//! | `reason` | why, see below | required |
//!
//! Where several texts may stand, one or a list of them does.
//!
//! A row that came or went is judged by the first rule that speaks of it. Of a changed row each attribute is, and
//! the worst of those counts, of equals the first in name order. What no rule speaks of is medium.
//!
//! In a reason `{class}`, `{object}` (the DN, or what the row is known by), `{name}`, `{kind}`, `{attribute}`,
//! `{before}` and `{after}` stand for what the change has there, and `{row.NAME}` for an attribute of the row as it is,
//! or as it was when it is gone. `{{` is a brace.

mod reason;
mod rule;
mod score;

use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, PoisonError, RwLock};

use hashbrown::HashMap;
use serde::{Serialize, Serializer};

use crate::diff::{Change, ChangeKind};
use crate::error::{Error, Result};
use crate::rules::{self, Document};

pub use rule::Rule;
pub use score::{Risk, SeverityCounts};

/// The rules that come with Fabrik.
const STANDARD: &str = include_str!("severity/default.toml");
/// Beyond this many classes their rules are looked up anew each time: what calls itself a class may be anything.
const MOST_CLASSES: usize = 4096;

/// How much a change matters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// It looks different and works the same.
    #[default]
    Info,
    /// Tuning, monitoring, what comes and goes by itself.
    Low,
    /// Structure: what is there and how it hangs together.
    Medium,
    /// Security and policy: who may talk to whom, who may log in.
    High,
    /// Traffic may stop.
    Critical,
}

impl Severity {
    /// All of them, worst first.
    pub const WORST_FIRST: [Self; 5] = [Self::Critical, Self::High, Self::Medium, Self::Low, Self::Info];

    /// Returns its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::High => "high",
            Self::Medium => "medium",
            Self::Low => "low",
            Self::Info => "info",
        }
    }

    fn of_name(name: &str) -> Option<Self> {
        Self::WORST_FIRST.into_iter().find(|severity| severity.name() == name)
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Severity {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::of_name(text).ok_or_else(|| Error::invalid("severity", text, "critical, high, medium, low or info"))
    }
}

/// What the rules say of a change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Judgement {
    /// How much it matters.
    pub severity: Severity,
    /// Why.
    pub reason: String,
    /// The rule that says so; null when none speaks of it. JSON has its id.
    #[serde(serialize_with = "id_of")]
    pub rule: Option<Arc<Rule>>,
}

/// The rules that judge changes, those that come first before the others.
#[derive(Debug)]
pub struct Model {
    rules: Vec<Arc<Rule>>,
    /// For each class seen so far the rules that may speak of it.
    by_class: RwLock<HashMap<Box<str>, Arc<ClassRules>>>,
}

/// The rules for one class, by what happened, in order.
#[derive(Debug, Default)]
struct ClassRules {
    by_kind: [Vec<Arc<Rule>>; 3],
}

/// The rule that decides, and by which of the attributes that differ.
#[derive(Debug)]
pub(crate) struct Decision {
    pub(crate) severity: Severity,
    rule: Option<Arc<Rule>>,
    field: usize,
}

impl Model {
    /// Returns the rules that come with Fabrik.
    #[must_use]
    pub fn standard() -> Self {
        Self::parse("the standard severity table", STANDARD).expect("the embedded table is valid, which a test shows")
    }

    /// Reads a table that stands alone. `table` is what errors call it.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) naming table, rule, field and value.
    pub fn parse(table: &str, text: &str) -> Result<Self> {
        Self::of(Vec::new()).overridden_by(table, text)
    }

    /// Puts the rules of a table before these. It may switch off rules of these by `disable = ["id"]`, and a rule with
    /// the id of one of these stands for it.
    ///
    /// # Errors
    ///
    /// As [`Model::parse`], and when a rule that is to be switched off does not exist.
    pub fn overridden_by(self, table: &str, text: &str) -> Result<Self> {
        let mut document = Document::parse(table, text)?;
        let entries = std::mem::take(&mut document.rules);
        let mine = entries.into_iter().map(|entry| Rule::read(entry).map(Arc::new)).collect::<Result<_>>()?;
        Ok(Self::of(document.before(self.rules, mine, |rule| rule.id())?))
    }

    fn of(rules: Vec<Arc<Rule>>) -> Self {
        Self { rules, by_class: RwLock::default() }
    }

    /// Returns the rules in the order in which they are asked.
    #[must_use]
    pub fn rules(&self) -> &[Arc<Rule>] {
        &self.rules
    }

    /// Writes the rules as one table, which read alone gives the same model.
    #[must_use]
    pub fn to_toml(&self) -> String {
        rules::to_toml(&self.rules.iter().map(|rule| &**rule).collect::<Vec<_>>())
    }

    /// Returns how much a change matters and why.
    #[must_use]
    pub fn judge(&self, change: &Change) -> Judgement {
        self.decide(change).explain(change)
    }

    /// Returns how much a change matters, without a word.
    #[must_use]
    pub fn severity(&self, change: &Change) -> Severity {
        self.decide(change).severity
    }

    /// Returns which rule decides.
    pub(crate) fn decide(&self, change: &Change) -> Decision {
        let row = change.row();
        let rules = self.of_class(row.class_name().unwrap_or_default());
        let rules = &rules.by_kind[change.kind as usize];
        let (dn, unruled) = (row.dn(), Severity::Medium);
        if change.kind != ChangeKind::Changed {
            let found = rules.iter().find(|rule| rule.speaks_of_row(change.kind, row, dn));
            let severity = found.map_or(unruled, |rule| rule.severity());
            return Decision { severity, rule: found.map(Arc::clone), field: 0 };
        }
        let mut worst: Option<Decision> = None;
        for (i, field) in change.fields().enumerate() {
            let found = rules.iter().find(|rule| rule.speaks_of_field(&field, dn));
            let severity = found.map_or(unruled, |rule| rule.severity());
            if worst.as_ref().is_none_or(|worst| severity > worst.severity) {
                worst = Some(Decision { severity, rule: found.map(Arc::clone), field: i });
            }
            if severity == Severity::Critical {
                break;
            }
        }
        worst.unwrap_or(Decision { severity: unruled, rule: None, field: 0 })
    }

    fn of_class(&self, class: &str) -> Arc<ClassRules> {
        // What is in the map is whole whatever happened to a thread that held it.
        if let Some(rules) = self.by_class.read().unwrap_or_else(PoisonError::into_inner).get(class) {
            return Arc::clone(rules);
        }
        let mut found = ClassRules::default();
        for rule in self.rules.iter().filter(|rule| rule.is_of(class)) {
            for kind in [ChangeKind::Added, ChangeKind::Removed, ChangeKind::Changed] {
                if rule.is_about(kind) {
                    found.by_kind[kind as usize].push(Arc::clone(rule));
                }
            }
        }
        let found = Arc::new(found);
        let mut known = self.by_class.write().unwrap_or_else(PoisonError::into_inner);
        if known.len() < MOST_CLASSES {
            known.insert(class.into(), Arc::clone(&found));
        }
        found
    }
}

fn id_of<S: Serializer>(rule: &Option<Arc<Rule>>, serializer: S) -> Result<S::Ok, S::Error> {
    rule.as_ref().map(|rule| rule.id()).serialize(serializer)
}

impl Decision {
    /// Says why.
    pub(crate) fn explain(self, change: &Change) -> Judgement {
        let reason = self.rule.as_ref().map_or(&*rule::UNRULED, |rule| rule.reason());
        let reason = reason.fill(change, change.fields().nth(self.field));
        Judgement { severity: self.severity, reason, rule: self.rule }
    }
}

impl Default for Model {
    fn default() -> Self {
        Self::standard()
    }
}

impl Clone for Model {
    fn clone(&self) -> Self {
        Self::of(self.rules.clone())
    }
}

impl PartialEq for Model {
    fn eq(&self, other: &Self) -> bool {
        self.rules == other.rules
    }
}
