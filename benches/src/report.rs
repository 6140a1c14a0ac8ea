//! The table of results.

use std::fmt;
use std::time::Duration;

/// Something measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Figure {
    /// How long it took.
    Time(Duration),
    /// How much it takes.
    Bytes(u64),
}

impl Figure {
    fn number(self) -> f64 {
        match self {
            Self::Time(time) => time.as_secs_f64(),
            Self::Bytes(bytes) => bytes as f64,
        }
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Time(time) => f.pad(&duration(*time)),
            Self::Bytes(count) => f.pad(&bytes(*count)),
        }
    }
}

/// Writes a time with three digits.
#[must_use]
pub fn duration(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    match seconds {
        1.0.. => three_digits(seconds, "s"),
        1e-3.. => three_digits(seconds * 1e3, "ms"),
        _ => three_digits(seconds * 1e6, "µs"),
    }
}

/// Writes a number of bytes with three digits, in units of 1024.
#[must_use]
pub fn bytes(count: u64) -> String {
    let (mut number, mut unit) = (count as f64, 0);
    while number >= 999.5 && unit < 3 {
        number /= 1024.0;
        unit += 1;
    }
    three_digits(number, ["B", "KiB", "MiB", "GiB"][unit])
}

fn three_digits(number: f64, unit: &str) -> String {
    let decimals = match number {
        99.95.. => 0,
        9.995.. => 1,
        _ => 2,
    };
    format!("{number:.decimals$} {unit}")
}

/// Results, one a line, as a Markdown table.
#[derive(Debug, Default)]
pub struct Report {
    lines: Vec<[String; 7]>,
}

const HEADINGS: [&str; 7] = ["operation", "rows", "changes", "median", "baseline", "its median", "ratio"];

impl Report {
    /// Adds a line. The ratio says how many times the baseline is above the figure.
    pub fn add(
        &mut self,
        operation: impl Into<String>,
        rows: u64,
        changes: Option<u64>,
        figure: Figure,
        baseline: Option<(&str, Figure)>,
    ) {
        let ratio = baseline.map(|(_, base)| base.number() / figure.number().max(f64::MIN_POSITIVE));
        self.lines.push([
            operation.into(),
            rows.to_string(),
            changes.map_or_else(String::new, |changes| changes.to_string()),
            figure.to_string(),
            baseline.map_or_else(String::new, |(name, _)| name.to_owned()),
            baseline.map_or_else(String::new, |(_, base)| base.to_string()),
            ratio.map_or_else(String::new, |ratio| format!("{}×", three_digits(ratio, "").trim_end())),
        ]);
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut widths = HEADINGS.map(str::len);
        for line in &self.lines {
            for (width, cell) in widths.iter_mut().zip(line) {
                *width = cell.chars().count().max(*width);
            }
        }
        let mut row = |cells: [&str; 7]| -> fmt::Result {
            for (i, (cell, width)) in cells.into_iter().zip(widths).enumerate() {
                let is_number = matches!(i, 1..=3 | 5 | 6);
                if is_number { write!(f, "| {cell:>width$} ")? } else { write!(f, "| {cell:<width$} ")? }
            }
            writeln!(f, "|")
        };
        row(HEADINGS)?;
        row(["---", "---:", "---:", "---:", "---", "---:", "---:"])?;
        self.lines.iter().try_for_each(|line| row(std::array::from_fn(|i| line[i].as_str())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_have_three_digits() {
        assert_eq!(duration(Duration::from_micros(12_345)), "12.3 ms");
        assert_eq!(duration(Duration::from_nanos(999)), "1.00 µs");
        assert_eq!(bytes(7_600_000), "7.25 MiB");
        assert_eq!(bytes(0), "0.00 B");
    }

    #[test]
    fn ratio_is_baseline_over_figure() {
        let mut report = Report::default();
        let base = Figure::Time(Duration::from_millis(300));

        report.add("compare", 10, Some(2), Figure::Time(Duration::from_millis(3)), Some(("two maps", base)));

        assert!(report.to_string().contains("| two maps |     300 ms |  100× |"), "{report}");
    }
}
