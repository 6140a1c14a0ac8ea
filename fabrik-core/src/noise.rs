//! What changes by itself: a table of attributes, and of whole classes, whose changes nobody made.
//!
//! A table is TOML with a `[[rule]]` for each rule:
//!
//! | field | says | when left out |
//! | --- | --- | --- |
//! | `id` | what the rule is called, once in a table | required |
//! | `class` | of which classes, with `*` and `?` as wild cards; rows without a class have the empty one | all |
//! | `attribute` | which attributes | the rows as a whole: they come and go by themselves, too |
//! | `keep` | true for what is no noise, whatever later rules say | false |
//!
//! The first rule that speaks of an attribute decides. Snapshots keep everything: noise is passed over when reading,
//! and counted.

use std::sync::Arc;

use serde::Serialize;

use crate::error::Result;
use crate::rules::pattern::Patterns;
use crate::rules::{self, Document, Entry};

/// The rules that come with Fabrik.
const STANDARD: &str = include_str!("noise/default.toml");

/// One rule of a [`Table`]. Its JSON form has the fields of the table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Rule {
    id: Box<str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    class: Option<Patterns>,
    #[serde(skip_serializing_if = "Option::is_none")]
    attribute: Option<Patterns>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    keep: bool,
}

/// The rules that tell noise, those that come first before the others.
///
/// ```
/// use fabrik_core::noise::Table;
///
/// let site = "[[rule]]\nid = 'our-users'\nclass = 'aaaUser'\nattribute = 'modTs'\nkeep = true\n";
/// let table = Table::standard().overridden_by("site.toml", site)?;
/// assert!(table.is_noise(Some("fvBD"), "modTs"));
/// assert!(!table.is_noise(Some("aaaUser"), "modTs"));
/// # Ok::<(), fabrik_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    rules: Vec<Arc<Rule>>,
}

impl Rule {
    fn read(mut entry: Entry<'_>) -> Result<Self> {
        let (class, attribute) = (entry.names("class")?, entry.names("attribute")?);
        if class.is_none() && attribute.is_none() {
            return Err(entry.wrong("class", "", "a class or an attribute"));
        }
        let keep = entry.flag("keep")?.unwrap_or_default();
        Ok(Self { id: entry.finish("id, class, attribute and keep")?, class, attribute, keep })
    }

    /// Returns what the rule is called.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Returns the classes it is for, as they were written; none for all.
    pub fn classes(&self) -> impl Iterator<Item = &str> {
        self.class.iter().flat_map(Patterns::texts)
    }

    fn is_of(&self, class: Option<&str>) -> bool {
        self.class.as_ref().is_none_or(|wanted| wanted.matches(class.unwrap_or_default()))
    }
}

impl Table {
    /// Returns the rules that come with Fabrik.
    #[must_use]
    pub fn standard() -> Self {
        Self::parse("the standard noise table", STANDARD).expect("the embedded table is valid, which a test shows")
    }

    /// Reads a table that stands alone. `table` is what errors call it.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) naming table, rule, field and value.
    pub fn parse(table: &str, text: &str) -> Result<Self> {
        Self { rules: Vec::new() }.overridden_by(table, text)
    }

    /// Puts the rules of a table before these. It may switch off rules of these by `disable = ["id"]`, and a rule with
    /// the id of one of these stands for it.
    ///
    /// # Errors
    ///
    /// As [`Table::parse`], and when a rule that is to be switched off does not exist.
    pub fn overridden_by(self, table: &str, text: &str) -> Result<Self> {
        let mut document = Document::parse(table, text)?;
        let entries = std::mem::take(&mut document.rules);
        let mine = entries.into_iter().map(|entry| Rule::read(entry).map(Arc::new)).collect::<Result<_>>()?;
        Ok(Self { rules: document.before(self.rules, mine, |rule| rule.id())? })
    }

    /// Returns the rules in the order in which they are asked.
    #[must_use]
    pub fn rules(&self) -> &[Arc<Rule>] {
        &self.rules
    }

    /// Writes the rules as one table, which read alone gives the same.
    #[must_use]
    pub fn to_toml(&self) -> String {
        rules::to_toml(&self.rules.iter().map(|rule| &**rule).collect::<Vec<_>>())
    }

    /// Returns whether an attribute of rows of a class changes by itself.
    #[must_use]
    pub fn is_noise(&self, class: Option<&str>, attribute: &str) -> bool {
        let speaks = |rule: &&Arc<Rule>| {
            rule.is_of(class) && rule.attribute.as_ref().is_none_or(|wanted| wanted.matches(attribute))
        };
        self.rules.iter().find(speaks).is_some_and(|rule| !rule.keep)
    }

    /// Returns whether rows of a class come and go by themselves.
    #[must_use]
    pub fn is_noise_class(&self, class: Option<&str>) -> bool {
        let speaks = |rule: &&Arc<Rule>| rule.attribute.is_none() && rule.is_of(class);
        self.rules.iter().find(speaks).is_some_and(|rule| !rule.keep)
    }
}

impl Default for Table {
    fn default() -> Self {
        Self::standard()
    }
}
