//! A pipeline behind a source of rows.

use async_trait::async_trait;

use super::item::Names;
use super::{Item, Pipeline, to_rows};
use crate::error::Result;
use crate::row::{RowBatch, RowBatchBuilder};
use crate::snapshot::{Coverage, Verdict};
use crate::source::{Source, SourceProgress};

/// How many items one batch has that comes from steps which gave all at once.
const BATCH_ITEMS: usize = 2000;

/// What a pipeline makes of the rows of a source: a source itself, to be captured or streamed.
///
/// Its verdict, coverage and progress are those of the source. Rows need no DN; where they have none, a capture should
/// be told the columns that name them.
#[derive(Debug)]
pub struct Processed<S> {
    source: S,
    pipeline: Pipeline,
    names: Names,
    builder: RowBatchBuilder,
    /// Items that are done and not yet taken, the next one last.
    waiting: Vec<Item>,
    n_given: u64,
    started_over: bool,
    ended: bool,
}

impl<S: Source> Processed<S> {
    /// Puts a pipeline behind a source.
    #[must_use]
    pub fn new(source: S, pipeline: Pipeline) -> Self {
        Self {
            source,
            pipeline,
            names: Names::default(),
            builder: RowBatchBuilder::default(),
            waiting: Vec::new(),
            n_given: 0,
            started_over: false,
            ended: false,
        }
    }

    /// Returns the source.
    #[must_use]
    pub fn source(&self) -> &S {
        &self.source
    }

    /// Returns the next items, not yet as rows, and `None` after the last.
    ///
    /// # Errors
    ///
    /// Those of the source, and [`Error::Step`](crate::Error::Step).
    pub async fn next_items(&mut self) -> Result<Option<Vec<Item>>> {
        loop {
            if !self.waiting.is_empty() {
                let rest = self.waiting.len().saturating_sub(BATCH_ITEMS);
                let mut items = self.waiting.split_off(rest);
                items.reverse();
                return Ok(Some(items));
            }
            if self.ended {
                return Ok(None);
            }
            let batch = self.source.next_batch().await?;
            if self.source.has_started_over() {
                self.pipeline.start_over();
                self.n_given = 0;
                self.started_over = true;
            }
            self.waiting = match batch {
                Some(batch) => {
                    let items = batch.iter().map(|row| Item::from_row(row, &mut self.names)).collect();
                    self.pipeline.push(items)?
                }
                None => {
                    self.ended = true;
                    self.pipeline.finish()?
                }
            };
            self.waiting.reverse();
            // Whoever takes rows must hear of it before any later start over.
            if self.started_over && self.waiting.is_empty() && !self.ended {
                return Ok(Some(Vec::new()));
            }
        }
    }
}

#[async_trait]
impl<S: Source> Source for Processed<S> {
    async fn next_batch(&mut self) -> Result<Option<RowBatch>> {
        let Some(items) = self.next_items().await? else { return Ok(None) };
        let batch = to_rows(&items, &mut self.builder, self.n_given + 1)?;
        self.n_given += items.len() as u64;
        Ok(Some(batch))
    }

    fn has_started_over(&mut self) -> bool {
        std::mem::take(&mut self.started_over)
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
