//! Progress on standard error, while a terminal watches.

use std::time::Duration;

use async_trait::async_trait;
use fabrik_core::{Result, RowBatch, Source, SourceProgress, Verdict};
use indicatif::{ProgressBar, ProgressStyle};

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
    rows: u64,
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
        Self { source, rows: 0, progress }
    }
}

#[async_trait]
impl<S: Source> Source for WatchedSource<S> {
    async fn next_batch(&mut self) -> Result<Option<RowBatch>> {
        let batch = self.source.next_batch().await?;
        self.progress.0.set_position(self.source.progress().read_bytes);
        match &batch {
            Some(batch) => self.rows += batch.len() as u64,
            None => {
                self.progress.0.set_style(style("{spinner} {msg} {elapsed}"));
                self.progress.0.set_message(format!("storing {} rows", self.rows));
                self.progress.0.enable_steady_tick(Duration::from_millis(100));
            }
        }
        Ok(batch)
    }

    fn verdict(&self) -> Verdict {
        self.source.verdict()
    }

    fn progress(&self) -> SourceProgress {
        self.source.progress()
    }
}
