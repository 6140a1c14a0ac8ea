//! A comparison as lines of text.

use std::io::{self, Write};

use fabrik_core::severity::{Risk, Severity};
use fabrik_core::{Change, ChangeKind, DN, DiffSummary, Snapshot, warnings};

use crate::cli::fields::{FieldLine, write_fields};
use crate::cli::output::{Ink, Output, Paint};
use crate::cli::text::{count, counted, moment, visible};

/// Writes what was compared, the counts, and what to know before trusting them.
pub(super) fn write_head(
    before: &Snapshot,
    after: &Snapshot,
    summary: &DiffSummary,
    paint: Paint,
    out: &mut Output,
) -> io::Result<()> {
    for (sign, snapshot) in [("from", before), ("to  ", after)] {
        let name = paint.with(Ink::Bold, &visible(&snapshot.series.query.name));
        let label = snapshot.label.as_deref().map_or_else(String::new, |label| format!(", {}", visible(label)));
        let rows = counted(snapshot.row_count, "row", "rows");
        writeln!(out, "{sign} {name} {} ({rows}{label}) {}", moment(snapshot.captured_at), snapshot.id)?;
    }
    for warning in warnings(before, after) {
        writeln!(out, "{}", paint.with(Ink::Yellow, &format!("note: {}", visible(&warning))))?;
    }
    writeln!(out, "{}", describe(summary, paint))?;
    match &summary.risk {
        Some(risk) => writeln!(out, "{}", describe_risk(risk, paint)),
        None => Ok(()),
    }
}

/// Writes the score and how many changes have which severity, in one line.
pub(super) fn describe_risk(risk: &Risk, paint: Paint) -> String {
    let Some(level) = risk.risk_level else { return "risk 0 of 100: nothing changed".to_owned() };
    let with = |severity: Severity| (risk.by_severity.of(severity), severity);
    let counts = Severity::WORST_FIRST.map(with);
    let counts = counts.iter().filter(|(number, _)| *number > 0);
    let counts: Vec<String> = counts.map(|(number, severity)| format!("{} {severity}", count(*number))).collect();
    let mut line = paint.with(ink_of(level), &format!("risk {} of 100", risk.risk_score));
    line.push_str(&format!(": {}", counts.join(", ")));
    if risk.below_min_severity > 0 {
        line.push_str(&format!("; {} less severe than asked for not shown", count(risk.below_min_severity)));
    }
    line
}

fn ink_of(severity: Severity) -> Ink {
    match severity {
        Severity::Critical | Severity::High => Ink::Red,
        Severity::Medium => Ink::Yellow,
        Severity::Low => Ink::Cyan,
        Severity::Info => Ink::Dim,
    }
}

/// Writes the counts in one line; those that are nearly always zero only when they are not.
pub(super) fn describe(summary: &DiffSummary, paint: Paint) -> String {
    let mut parts = vec![
        paint.with(Ink::Green, &format!("{} added", count(summary.added))),
        paint.with(Ink::Red, &format!("{} removed", count(summary.removed))),
        paint.with(Ink::Yellow, &format!("{} changed", count(summary.changed))),
        format!("{} unchanged", count(summary.unchanged)),
    ];
    for (number, what) in [
        (summary.hidden, "hidden"),
        (summary.unkeyed, "without a DN"),
        (summary.unknown, "unknown, as a side may just not show them"),
    ] {
        if number > 0 {
            parts.push(format!("{} {what}", count(number)));
        }
    }
    if let Some(noise) = summary.noise {
        parts.push(format!("{} only noise", count(noise.noise_changes)));
    }
    if summary.duplicate_keys > 0 {
        parts.push(counted(summary.duplicate_keys, "key more than once", "keys more than once"));
    }
    parts.join(", ")
}

/// Writes one change: a line for the row and one for each attribute that differs.
pub(super) fn write_change(change: &Change, columns: usize, paint: Paint, out: &mut Vec<u8>) -> io::Result<()> {
    let (sign, ink) = match change.kind {
        ChangeKind::Added => ("+", Ink::Green),
        ChangeKind::Removed => ("-", Ink::Red),
        ChangeKind::Changed => ("~", Ink::Yellow),
    };
    let name = name_of(change);
    let class = change.row().class_name().map_or_else(String::new, |class| format!(" ({})", visible(class)));
    writeln!(out, "{} {name}{}", paint.with(ink, sign), paint.with(Ink::Dim, &class))?;
    if let Some(judgement) = change.judgement() {
        let severity = paint.with(ink_of(judgement.severity), judgement.severity.name());
        writeln!(out, "    {severity}: {}", visible(&judgement.reason))?;
    }

    let fields: Vec<FieldLine<'_>> = change.fields().map(|field| (field.name, field.before, field.after)).collect();
    write_fields(&fields, columns, paint, out)
}

/// Returns how people know the row: its DN, the columns it was paired by, or else its first columns.
pub(super) fn name_of(change: &Change) -> String {
    let mut columns: Vec<String> = Vec::new();
    let mut dn = None;
    change.for_each_key_column(|name, value| {
        if name == DN && columns.is_empty() {
            dn = Some(value.to_string());
        }
        columns.push(format!("{name}={value}"));
    });
    if columns.len() == 1
        && let Some(dn) = dn
    {
        return visible(&dn).into_owned();
    }
    if columns.is_empty() {
        columns = change.row().attributes().take(4).map(|(name, value)| format!("{name}={value}")).collect();
    }
    visible(&columns.join(" ")).into_owned()
}
