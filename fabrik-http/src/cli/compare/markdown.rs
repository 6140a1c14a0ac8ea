//! A comparison as a report to paste into a change ticket.

use std::io::{self, Write};

use fabrik_core::{Change, ChangeKind, DiffSummary, Snapshot, Value, warnings};

use super::terminal::name_of;
use crate::cli::output::{Output, Paint};
use crate::cli::text::{count, cut, moment, visible};

/// Longer values are cut; whoever needs them whole takes another format.
const VALUE_COLUMNS: usize = 120;

/// Writes the title, what was compared and the counts.
pub(super) fn write_head(
    before: &Snapshot,
    after: &Snapshot,
    summary: &DiffSummary,
    ignored: &[String],
    out: &mut Output,
) -> io::Result<()> {
    writeln!(out, "# Changes in {}\n", text(&after.series.query.name))?;
    writeln!(out, "| | before | after |\n| --- | --- | --- |")?;
    let mut line = |title: &str, fact: &dyn Fn(&Snapshot) -> String| {
        writeln!(out, "| {title} | {} | {} |", fact(before), fact(after))
    };
    if before.series != after.series {
        line("query", &|snapshot| text(&snapshot.series.query.name))?;
    }
    if before.series.connection.is_some() || after.series.connection.is_some() {
        line("connection", &|snapshot| {
            snapshot.series.connection.as_ref().map_or_else(String::new, |connection| text(&connection.name))
        })?;
    }
    line("captured at", &|snapshot| moment(snapshot.captured_at))?;
    line("captured by", &|snapshot| text(&snapshot.captured_by))?;
    line("rows", &|snapshot| count(snapshot.row_count))?;
    if before.label.is_some() || after.label.is_some() {
        line("label", &|snapshot| text(snapshot.label.as_deref().unwrap_or_default()))?;
    }
    line("snapshot", &|snapshot| format!("`{}`", snapshot.id))?;
    for warning in warnings(before, after) {
        writeln!(out, "\n> **Note:** {}", text(&warning))?;
    }
    writeln!(out, "\n**{}**", super::terminal::describe(summary, Paint { on: false }))?;
    if let Some(risk) = &summary.risk {
        writeln!(out, "\n**{}**", super::terminal::describe_risk(risk, Paint { on: false }))?;
    }
    if !ignored.is_empty() {
        let patterns: Vec<String> = ignored.iter().map(|pattern| code(pattern)).collect();
        writeln!(out, "\nNot shown: {}", patterns.join(", "))?;
    }
    Ok(())
}

/// Returns the heading of a kind of change with the head of its table.
pub(super) fn heading(kind: ChangeKind, summary: &DiffSummary) -> String {
    let (title, number, columns) = match kind {
        ChangeKind::Added => ("Added", summary.added, "object | class"),
        ChangeKind::Removed => ("Removed", summary.removed, "object | class"),
        ChangeKind::Changed => ("Changed", summary.changed, "object | attribute | before | after"),
    };
    let judged = if summary.risk.is_some() { "severity | why | " } else { "" };
    let rule = ["---"].repeat(judged.matches('|').count() + columns.matches('|').count() + 1).join(" | ");
    format!("\n## {title} ({})\n\n| {judged}{columns} |\n| {rule} |\n", count(number))
}

/// Writes a change as lines of its table.
pub(super) fn write_change(change: &Change, out: &mut Vec<u8>) -> io::Result<()> {
    let name = code(&name_of(change));
    let judged = change.judgement().map(|judgement| format!("{} | {} | ", judgement.severity, text(&judgement.reason)));
    let judged = judged.unwrap_or_default();
    if change.kind != ChangeKind::Changed {
        return writeln!(out, "| {judged}{name} | {} |", text(change.row().class_name().unwrap_or_default()));
    }
    for (i, field) in change.fields().enumerate() {
        let blank = if judged.is_empty() { "" } else { " |  | " };
        let (judged, name) = if i == 0 { (judged.as_str(), name.as_str()) } else { (blank, "") };
        writeln!(out, "| {judged}{name} | {} | {} | {} |", text(field.name), shown(field.before), shown(field.after))?;
    }
    Ok(())
}

fn shown(value: Option<Value<'_>>) -> String {
    match value {
        None => "*absent*".to_owned(),
        Some(Value::String("")) => "*empty*".to_owned(),
        Some(value) => code(&cut(&visible(&value.to_string()), VALUE_COLUMNS)),
    }
}

/// Writes text so that nothing in it is taken for markup.
fn text(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in visible(text).chars() {
        if matches!(c, '\\' | '`' | '*' | '_' | '[' | ']' | '<' | '>' | '|' | '#' | '~' | '&') {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

/// Writes text as code that keeps to its cell.
fn code(text: &str) -> String {
    // A backtick ends code, and a bar a cell even within code, unless it is escaped.
    let fence = if text.contains('`') { "``" } else { "`" };
    let space = if fence.len() > 1 { " " } else { "" };
    format!("{fence}{space}{}{space}{fence}", text.replace('|', "\\|"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_stay_in_their_cells() {
        assert_eq!(code("a|b"), "`a\\|b`");
        assert_eq!(code("a`b"), "`` a`b ``");
        assert_eq!(text("<b>*x*</b> | y"), "\\<b\\>\\*x\\*\\</b\\> \\| y");
    }

    #[test]
    fn absent_and_empty_are_told_apart() {
        assert_eq!(shown(None), "*absent*");
        assert_eq!(shown(Some(Value::String(""))), "*empty*");
        assert_eq!(shown(Some(Value::Number("1.0"))), "`1.0`");
    }
}
