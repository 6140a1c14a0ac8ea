//! One rule: of which changes it speaks, and what it says of them.

use std::sync::LazyLock;

use serde::{Serialize, Serializer};

use super::Severity;
use super::reason::Reason;
use crate::diff::{ChangeKind, FieldChange};
use crate::error::{Error, Result};
use crate::row::{RowRef, Value};
use crate::rules::Entry;
use crate::rules::pattern::Patterns;

const FIELDS: &str = "id, class, dn, kind, attribute, before, after, trend, severity and reason";

/// What is said of a change that no rule speaks of.
pub(super) static UNRULED: LazyLock<Reason> =
    LazyLock::new(|| Reason::parse("{object} was {kind}; no rule speaks of it").expect("its placeholders exist"));

/// One rule of a [`Model`](super::Model). Its JSON form has the fields of the table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Rule {
    id: Box<str>,
    class: Patterns,
    #[serde(skip_serializing_if = "Option::is_none")]
    dn: Option<Patterns>,
    kind: Box<[ChangeKind]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    attribute: Option<Patterns>,
    #[serde(skip_serializing_if = "Option::is_none")]
    before: Option<Patterns>,
    #[serde(skip_serializing_if = "Option::is_none")]
    after: Option<Patterns>,
    #[serde(skip_serializing_if = "Option::is_none")]
    trend: Option<Trend>,
    severity: Severity,
    #[serde(serialize_with = "text_of")]
    reason: Reason,
}

/// Where a number goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Trend {
    Rises,
    Falls,
}

impl Rule {
    /// Reads a rule of a table.
    pub(super) fn read(mut entry: Entry<'_>) -> Result<Self> {
        let class =
            entry.each("class", "a class or a list of classes, where * and ? are wild", |text| Some(text.into()))?;
        let class = class.ok_or_else(|| entry.wrong("class", "", "the classes that the rule is for"))?;
        let dn = entry.names("dn")?;
        let attribute = entry.names("attribute")?;
        let kind = entry.each("kind", "added, removed or changed, or a list of these", kind_of_name)?;
        let all = || vec![ChangeKind::Added, ChangeKind::Removed, ChangeKind::Changed];
        let kind = kind.unwrap_or_else(|| if attribute.is_some() { vec![ChangeKind::Changed] } else { all() });
        let (before, after) = (entry.values("before")?, entry.values("after")?);
        let trend = entry.each("trend", "rises or falls", |text| match text {
            "rises" => Some(Trend::Rises),
            "falls" => Some(Trend::Falls),
            _ => None,
        })?;
        let trend = match trend.as_deref() {
            None => None,
            Some([trend]) => Some(*trend),
            Some(_) => return Err(entry.wrong("trend", "a list", "rises or falls")),
        };
        let severity = entry.text("severity")?.unwrap_or_default();
        let severity = Severity::of_name(&severity)
            .ok_or_else(|| entry.wrong("severity", &severity, "critical, high, medium, low or info"))?;
        let reason = entry.text("reason")?.unwrap_or_default();
        let reason = Reason::parse(&reason).map_err(|expected| entry.wrong("reason", &reason, &expected))?;
        let rule = Self {
            id: entry.id.clone(),
            class: Patterns::new(class),
            dn,
            kind: kind.into(),
            attribute,
            before,
            after,
            trend,
            severity,
            reason,
        };
        rule.check(&entry)?;
        entry.finish(FIELDS)?;
        Ok(rule)
    }

    /// Refuses what could never be true.
    fn check(&self, entry: &Entry<'_>) -> Result<(), Error> {
        let list = |patterns: &Patterns| patterns.texts().collect::<Vec<_>>().join(", ");
        let conditions = [("before", &self.before), ("after", &self.after)];
        if self.attribute.is_none() {
            if let Some((field, Some(value))) = conditions.iter().find(|(_, value)| value.is_some()) {
                return Err(entry.wrong(field, &list(value), "an attribute that has this value"));
            }
            if self.trend.is_some() {
                return Err(entry.wrong("trend", "", "an attribute that has this trend"));
            }
        }
        let comes_or_goes = self.kind.iter().any(|kind| *kind != ChangeKind::Changed);
        if let Some(attribute) = self.attribute.as_ref().filter(|_| comes_or_goes)
            && attribute.exact().is_none()
        {
            return Err(entry.wrong("attribute", &list(attribute), "no wild cards, or only the kind changed"));
        }
        for (kind, field, value) in
            [(ChangeKind::Added, "before", &self.before), (ChangeKind::Removed, "after", &self.after)]
        {
            if let Some(value) = value.as_ref().filter(|_| self.is_about(kind)) {
                return Err(entry.wrong(field, &list(value), &format!("no kind {:?}", name_of_kind(kind))));
            }
        }
        if self.trend.is_some() && comes_or_goes {
            return Err(entry.wrong("trend", "", "only the kind changed"));
        }
        Ok(())
    }

    /// Returns what the rule is called.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Returns how much a change matters that the rule speaks of.
    #[must_use]
    pub fn severity(&self) -> Severity {
        self.severity
    }

    /// Returns the classes it is for, as they were written.
    pub fn classes(&self) -> impl Iterator<Item = &str> {
        self.class.texts()
    }

    pub(super) fn reason(&self) -> &Reason {
        &self.reason
    }

    pub(super) fn is_of(&self, class: &str) -> bool {
        self.class.matches(class)
    }

    pub(super) fn is_about(&self, kind: ChangeKind) -> bool {
        self.kind.contains(&kind)
    }

    fn is_of_dn(&self, dn: Option<&str>) -> bool {
        self.dn.as_ref().is_none_or(|wanted| dn.is_some_and(|dn| wanted.matches(dn)))
    }

    /// Returns whether the rule, which is of the class and the kind, speaks of a row that came or went.
    pub(super) fn speaks_of_row(&self, kind: ChangeKind, row: RowRef<'_>, dn: Option<&str>) -> bool {
        let wanted = if kind == ChangeKind::Added { &self.after } else { &self.before };
        let has = |name: &str| {
            row.get(name).is_some_and(|value| wanted.as_ref().is_none_or(|wanted| wanted.matches(text(Some(value)))))
        };
        self.is_of_dn(dn) && self.attribute.as_ref().is_none_or(|attribute| attribute.texts().any(has))
    }

    /// Returns whether the rule, which is of the class and the kind, speaks of an attribute that differs.
    pub(super) fn speaks_of_field(&self, field: &FieldChange<'_>, dn: Option<&str>) -> bool {
        let holds = |wanted: &Option<Patterns>, value| wanted.as_ref().is_none_or(|wanted| wanted.matches(text(value)));
        self.attribute.as_ref().is_none_or(|attribute| attribute.matches(field.name))
            && holds(&self.before, field.before)
            && holds(&self.after, field.after)
            && self.trend.is_none_or(|trend| trend.is_of(field))
            && self.is_of_dn(dn)
    }
}

impl Trend {
    fn is_of(self, field: &FieldChange<'_>) -> bool {
        let number = |value| text(value).parse::<f64>().ok();
        match (number(field.before), number(field.after)) {
            (Some(before), Some(after)) => match self {
                Self::Rises => before < after,
                Self::Falls => before > after,
            },
            _ => false,
        }
    }
}

fn kind_of_name(name: &str) -> Option<ChangeKind> {
    let kinds = [ChangeKind::Added, ChangeKind::Removed, ChangeKind::Changed];
    kinds.into_iter().find(|kind| name_of_kind(*kind) == name)
}

/// Returns the name of a kind of change.
pub(super) fn name_of_kind(kind: ChangeKind) -> &'static str {
    match kind {
        ChangeKind::Added => "added",
        ChangeKind::Removed => "removed",
        ChangeKind::Changed => "changed",
    }
}

/// Returns a value as rules see it; an absent one is the empty text.
fn text(value: Option<Value<'_>>) -> &str {
    match value {
        None => "",
        Some(Value::Null) => "null",
        Some(Value::Bool(true)) => "true",
        Some(Value::Bool(false)) => "false",
        Some(Value::Number(text) | Value::String(text) | Value::Json(text)) => text,
    }
}

fn text_of<S: Serializer>(reason: &Reason, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(reason.text())
}
