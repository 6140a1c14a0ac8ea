//! Attributes and how they changed, as lines of text.

use std::borrow::Cow;
use std::io::{self, Write};

use fabrik_core::Value;
use unicode_width::UnicodeWidthStr;

use super::output::{Ink, Paint};
use super::text::{cut, pad, visible};

/// Names line up, up to this width.
const NAME_COLUMNS: usize = 24;
/// No value is cut shorter than this.
const LEAST_VALUE: usize = 16;

/// An attribute with its value before and after; `None` where it was or is absent.
pub(super) type FieldLine<'a> = (&'a str, Option<Value<'a>>, Option<Value<'a>>);

/// Writes a line for each attribute: its name, and the value before and after.
pub(super) fn write_fields(
    fields: &[FieldLine<'_>],
    columns: usize,
    paint: Paint,
    out: &mut (impl Write + ?Sized),
) -> io::Result<()> {
    let width = fields.iter().map(|(name, ..)| name.width()).max().unwrap_or(0).min(NAME_COLUMNS);
    // Indentation, gap and arrow aside, two values share what the name leaves.
    let value_columns = (columns.saturating_sub(4 + width + 2 + 3) / 2).max(LEAST_VALUE);
    for (name, before, after) in fields {
        let before = paint.with(Ink::Red, &shown(*before, value_columns));
        let after = paint.with(Ink::Green, &shown(*after, value_columns));
        writeln!(out, "    {}  {before} → {after}", pad(&visible(name), width))?;
    }
    Ok(())
}

/// Writes a value so that empty, absent and blank can be told apart.
fn shown(value: Option<Value<'_>>, columns: usize) -> Cow<'static, str> {
    match value {
        None => "(absent)".into(),
        Some(Value::String("")) => "\"\"".into(),
        Some(value) => cut(&visible(&value.to_string()), columns).into_owned().into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_line_up_and_long_values_are_cut() {
        let long = "x".repeat(80);
        let fields = [
            ("descr", None, Some(Value::String(&long))),
            ("mtu", Some(Value::Number("1500")), Some(Value::String(""))),
        ];
        let mut out = Vec::new();

        write_fields(&fields, 60, Paint { on: false }, &mut out).unwrap();

        let expected = format!("    descr  (absent) → {}…\n    mtu    1500 → \"\"\n", "x".repeat(22));
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}
