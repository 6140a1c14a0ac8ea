//! Progress on standard error, while a terminal watches.

use std::time::Duration;

use async_trait::async_trait;
use fabrik_core::{Coverage, Result, RowBatch, Source, SourceProgress, Verdict};
use indicatif::{ProgressBar, ProgressStyle};

use super::text::{count, counted};

/// A line that shows how far a command is. It vanishes when dropped, and never shows without a terminal.
#[derive(Debug)]
pub(super) struct Progress(ProgressBar);

impl Progress {
    /// Shows bytes, of a total that may become known later.
    fn of_bytes() -> Self {
        let bar = ProgressBar::no_length();
        bar.set_style(style("{spinner} {msg} {bytes} at {bytes_per_sec}"));
        Self(bar)
    }

    /// Shows that something goes on, with a word for it.
    pub(super) fn of_unknown(what: &'static str) -> Self {
        let bar = ProgressBar::no_length();
        bar.set_style(style("{spinner} {msg} {elapsed}"));
        bar.set_message(what);
        bar.enable_steady_tick(Duration::from_millis(100));
        Self(bar)
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

fn style(template: &'static str) -> ProgressStyle {
    ProgressStyle::with_template(template).expect("the template is a constant that parses")
}

/// A source that shows how much of it was read.
#[derive(Debug)]
pub(super) struct WatchedSource<S> {
    source: S,
    /// Rows that came since the source last started over.
    rows: u64,
    /// Those of them that came last.
    last_rows: u64,
    progress: Progress,
}

impl<S: Source> WatchedSource<S> {
    /// Watches a source.
    pub(super) fn new(source: S) -> Self {
        let progress = Progress::of_bytes();
        if let Some(total) = source.progress().total_bytes {
            progress.0.set_length(total);
            progress.0.set_style(style("{msg} {bar:30} {bytes} of {total_bytes} at {bytes_per_sec}, {eta} left"));
        }
        progress.0.set_message("reading");
        Self { source, rows: 0, last_rows: 0, progress }
    }

    /// Returns the source, and ends the display.
    pub(super) fn into_inner(self) -> S {
        self.source
    }
}

#[async_trait]
impl<S: Source> Source for WatchedSource<S> {
    async fn next_batch(&mut self) -> Result<Option<RowBatch>> {
        let batch = self.source.next_batch().await?;
        let progress = self.source.progress();
        self.progress.0.set_position(progress.read_bytes);
        self.last_rows = batch.as_ref().map_or(0, |batch| batch.len() as u64);
        self.rows += self.last_rows;
        if batch.is_some() {
            self.progress.0.set_message(reading(&progress));
        } else {
            self.progress.0.set_style(style("{spinner} {msg} {elapsed}"));
            self.progress.0.set_message(format!("storing {}", counted(self.rows, "row", "rows")));
            self.progress.0.enable_steady_tick(Duration::from_millis(100));
        }
        Ok(batch)
    }

    fn has_started_over(&mut self) -> bool {
        let has_started_over = self.source.has_started_over();
        if has_started_over {
            self.rows = self.last_rows;
        }
        has_started_over
    }

    fn verdict(&self) -> Verdict {
        self.source.verdict()
    }

    fn coverage(&self) -> Coverage {
        self.source.coverage()
    }

    fn progress(&self) -> SourceProgress {
        self.source.progress()
    }
}

/// Says how many rows and pages were read, where the source counts them.
fn reading(progress: &SourceProgress) -> String {
    let of = |total: Option<u64>| total.map_or_else(String::new, |total| format!(" of {}", count(total)));
    let mut parts = Vec::new();
    if progress.rows > 0 || progress.total_rows.is_some() {
        parts.push(format!("{}{} rows", count(progress.rows), of(progress.total_rows)));
    }
    if progress.pages > 0 || progress.total_pages.is_some() {
        parts.push(format!("{}{} pages", count(progress.pages), of(progress.total_pages)));
    }
    if parts.is_empty() { "reading".to_owned() } else { format!("reading: {},", parts.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_source_counts_is_told() {
        let pages = SourceProgress { rows: 12_000, total_rows: Some(30_000), pages: 4, ..SourceProgress::default() };

        assert_eq!(reading(&SourceProgress { read_bytes: 7, ..SourceProgress::default() }), "reading");
        assert_eq!(reading(&pages), format!("reading: {} of {} rows, 4 pages,", count(12_000), count(30_000)));
    }
}
