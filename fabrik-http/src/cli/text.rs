//! Text for people: sizes, moments, and values that are safe to show.

use std::borrow::Cow;
use std::fmt::Write;

use chrono::{DateTime, Utc};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Writes control characters as escapes, so that no value moves the cursor or recolours a terminal.
pub(super) fn visible(text: &str) -> Cow<'_, str> {
    // Beside control characters, those that reverse the direction of what follows.
    let is_unsafe = |c: char| c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    if !text.contains(is_unsafe) {
        return text.into();
    }
    let mut shown = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if is_unsafe(c) { shown.extend(c.escape_default()) } else { shown.push(c) }
    }
    shown.into()
}

/// Shortens text to `width` columns, the last of them an ellipsis where something was cut.
pub(super) fn cut(text: &str, width: usize) -> Cow<'_, str> {
    if text.width() <= width {
        return text.into();
    }
    let mut used = 0;
    let mut short: String = text
        .chars()
        .take_while(|c| {
            used += c.width().unwrap_or(0);
            used < width
        })
        .collect();
    short.push('…');
    short.into()
}

/// Fills text with spaces up to `width` columns.
pub(super) fn pad(text: &str, width: usize) -> String {
    format!("{text}{}", " ".repeat(width.saturating_sub(text.width())))
}

/// Writes a moment to the second: `2026-03-02 08:16:01Z`.
pub(super) fn moment(time: DateTime<Utc>) -> String {
    time.format("%Y-%m-%d %H:%M:%SZ").to_string()
}

/// Writes a number of bytes with three digits: `91.2 KiB`.
pub(super) fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    // In 1024ths of the unit, so that whole numbers suffice.
    let (mut rest, mut unit) = (bytes, 0);
    while rest >= 1024 * 1024 && unit + 1 < UNITS.len() {
        rest /= 1024;
        unit += 1;
    }
    format!("{}.{} {}", rest / 1024, rest % 1024 * 10 / 1024, UNITS[unit])
}

/// Writes a number in groups of three digits: `1 204 317`.
pub(super) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            grouped.push(' ');
        }
        grouped.push(digit);
    }
    grouped
}

/// Writes a number and what is counted, in the plural where it belongs: `1 row`, `2 rows`.
pub(super) fn counted(number: u64, singular: &str, plural: &str) -> String {
    let mut text = count(number);
    write!(text, " {}", if number == 1 { singular } else { plural }).expect("a String takes any text");
    text
}

/// Quotes an argument for a shell, where it needs that.
pub(super) fn quoted(argument: &str) -> String {
    let is_plain =
        |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/' | ':' | '@' | '~' | '+' | '=' | ',');
    if !argument.is_empty() && !argument.starts_with('~') && argument.chars().all(is_plain) {
        return argument.to_owned();
    }
    format!("'{}'", argument.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_cannot_act_on_a_terminal() {
        assert_eq!(visible("a\x1b[31mb\nc\u{202e}d"), "a\\u{1b}[31mb\\nc\\u{202e}d");
        assert!(matches!(visible("Gebäude ✓"), Cow::Borrowed(_)));
    }

    #[test]
    fn cut_counts_columns_not_bytes() {
        assert_eq!(cut("Gebäude", 7), "Gebäude");
        assert_eq!(cut("Gebäude", 6), "Gebäu…");
        assert_eq!(cut("日本語", 4), "日…");
    }

    #[test]
    fn sizes_have_a_unit_that_fits() {
        for (size, text) in
            [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (1_048_575, "1023.9 KiB"), (1_610_612_736, "1.5 GiB")]
        {
            assert_eq!(bytes(size), text);
        }
        assert_eq!(bytes(u64::MAX), "16383.9 PiB");
    }

    #[test]
    fn numbers_are_grouped() {
        assert_eq!(count(1_204_317), "1 204 317");
        assert_eq!(count(999), "999");
        assert_eq!(counted(1, "row", "rows"), "1 row");
        assert_eq!(counted(2000, "row", "rows"), "2 000 rows");
    }

    #[test]
    fn arguments_are_quoted_where_a_shell_would_take_them_apart() {
        assert_eq!(quoted("BD@latest~2"), "BD@latest~2");
        assert_eq!(quoted("BD subnets@-7d"), "'BD subnets@-7d'");
        assert_eq!(quoted("it's"), "'it'\\''s'");
        assert_eq!(quoted("~x"), "'~x'");
    }
}
