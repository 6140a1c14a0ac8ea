//! Where rows come from.

use std::fmt;

use async_trait::async_trait;

use crate::error::Result;
use crate::row::RowBatch;
use crate::snapshot::{Coverage, Verdict};

/// One run of a query: a stream of rows and, at its end, a judgement of how complete they are.
///
/// A source holds a bounded number of rows at a time. What it cannot deliver as rows (an error body,
/// a cut-off file) is an error, never an empty or shorter stream.
#[async_trait]
pub trait Source: fmt::Debug + Send {
    /// Returns the next rows in the order of arrival, and `None` after the last.
    async fn next_batch(&mut self) -> Result<Option<RowBatch>>;

    /// Returns true, once, when what [`Source::next_batch`] just returned begins the stream anew, also when that
    /// was `None`: everything delivered before it is void.
    ///
    /// A source starts over when it finds that what it delivered was not one consistent state, such as pages read
    /// while the number of rows moved. Whoever takes rows asks after every batch, and forgets all earlier rows.
    fn has_started_over(&mut self) -> bool {
        false
    }

    /// Returns how complete the rows were; meaningful once [`Source::next_batch`] has returned `None`.
    fn verdict(&self) -> Verdict;

    /// Returns which attributes of each object were delivered; meaningful once [`Source::next_batch`] has returned
    /// `None`.
    fn coverage(&self) -> Coverage {
        Coverage::Full
    }

    /// Returns how far the source has come.
    fn progress(&self) -> SourceProgress {
        SourceProgress::default()
    }
}

/// How far a source has come, for a progress display.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SourceProgress {
    /// Bytes of input read so far, as they lie in the file or on the wire.
    pub read_bytes: u64,
    /// Bytes of input in all, when known.
    pub total_bytes: Option<u64>,
    /// Rows read so far; 0 where the source does not count them.
    pub rows: u64,
    /// Rows in all, when known.
    pub total_rows: Option<u64>,
    /// Pages read so far; 0 where the input has none.
    pub pages: u64,
    /// Pages in all, when known.
    pub total_pages: Option<u64>,
}
