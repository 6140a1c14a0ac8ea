//! A live controller as a source of rows, with a judgement of how complete they are.
//!
//! A controller answers in pages, changes while it is read, and refuses what is too big. So a query is counted
//! first, read in ordered pages, some at a time, and counted again; what came is checked against what was
//! announced. A class that cannot be read whole is read along the tree: one question for each tenant, node and
//! so on, in parts that are split again where necessary. How each class could be read is remembered.

mod pages;
mod parts;
mod reader;
mod tally;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use fabrik_core::{Coverage, Error, Result, RowBatch, Source, SourceProgress, Verdict};
use serde::{Deserialize, Serialize};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::client::Client;
use crate::error::{ApicError, ApicResult};
use crate::query::ApicQuery;
use reader::{Outcome, Reader};

/// How many batches may wait to be taken. What was read and not taken is all that a source holds.
const WAITING_BATCHES: usize = 4;

/// How a live query is read.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct LiveOptions {
    /// How many requests are under way at the same time. 4.
    pub parallel: usize,
    /// How many objects a page has: 5000, or 100 when others are nested below them.
    pub page_size: Option<u64>,
    /// How often to begin again when the rows changed while they were read. Once.
    pub restarts: u32,
    /// What an earlier reading of the same query on the same connection has learned.
    pub learned: Option<Learned>,
}

impl Default for LiveOptions {
    fn default() -> Self {
        Self { parallel: 4, page_size: None, restarts: 1, learned: None }
    }
}

/// How a class could be read, to be kept for the next time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Learned {
    /// In one piece or in parts.
    pub way: Way,
    /// How many objects a page may have.
    pub page_size: u64,
}

/// Into which parts a reading is cut.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    /// None: pages of the whole.
    #[default]
    Whole,
    /// Tenants, nodes and other branches of the tree.
    Tree,
}

/// The rows of a query, read from a controller while they are taken.
///
/// The reading runs on a Tokio runtime and ends when the source is dropped. The source itself can be awaited
/// on any executor.
#[derive(Debug)]
pub struct LiveSource {
    origin: String,
    coverage: Coverage,
    deliveries: mpsc::Receiver<Delivery>,
    reading: JoinHandle<()>,
    progress: Arc<LiveProgress>,
    started_over: bool,
    end: End,
}

#[derive(Debug)]
enum End {
    NotYet,
    Reached(Outcome),
    Failed,
}

/// What the reading hands over.
enum Delivery {
    Rows(RowBatch),
    /// What came before is void.
    StartOver,
    End(ApicResult<Outcome>),
}

#[derive(Debug, Default)]
struct LiveProgress {
    body_bytes: AtomicU64,
    objects: AtomicU64,
    announced: AtomicU64,
    pages: AtomicU64,
}

impl LiveSource {
    /// Starts to read.
    ///
    /// # Errors
    ///
    /// [`ApicError::InvalidOption`] when the query asks for single pages.
    pub fn start(client: &Client, query: &ApicQuery, options: &LiveOptions, runtime: &Handle) -> ApicResult<Self> {
        query.check_whole()?;
        if options.parallel == 0 || options.page_size == Some(0) {
            return Err(ApicError::invalid("parallel or page_size", "0", "a number from 1 on"));
        }
        let progress = Arc::new(LiveProgress::default());
        let (sender, deliveries) = mpsc::channel(WAITING_BATCHES);
        let reader = Reader::new(client.clone(), query.clone(), options.clone(), sender.clone(), Arc::clone(&progress));
        let reading = runtime.spawn(async move {
            let outcome = reader.read().await;
            // Nobody waits for it when the source has been dropped.
            let _ = sender.send(Delivery::End(outcome)).await;
        });
        let coverage = match query.option("rsp-prop-include") {
            Some("naming-only") => Coverage::NamingOnly,
            Some(include) if include.starts_with("config-") => Coverage::ConfigOnly,
            _ => Coverage::Full,
        };
        let origin = client.url().to_owned();
        Ok(Self { origin, coverage, deliveries, reading, progress, started_over: false, end: End::NotYet })
    }

    /// Returns what is worth to be kept for the next reading of the same query; `None` before the end, and when
    /// there is nothing that the defaults do not say.
    #[must_use]
    pub fn learned(&self) -> Option<Learned> {
        match &self.end {
            End::Reached(outcome) => outcome.learned,
            _ => None,
        }
    }
}

#[async_trait]
impl Source for LiveSource {
    async fn next_batch(&mut self) -> Result<Option<RowBatch>> {
        loop {
            match (&self.end, self.deliveries.recv().await) {
                (End::Reached(_), _) => return Ok(None),
                (End::NotYet, Some(Delivery::Rows(batch))) => return Ok(Some(batch)),
                (End::NotYet, Some(Delivery::StartOver)) => self.started_over = true,
                (End::NotYet, Some(Delivery::End(Ok(outcome)))) => self.end = End::Reached(outcome),
                (End::NotYet, Some(Delivery::End(Err(error)))) => {
                    self.end = End::Failed;
                    return Err(error.into_source_error(&self.origin));
                }
                (End::NotYet, None) | (End::Failed, _) => {
                    self.end = End::Failed;
                    let problem = "reading it has failed before".to_owned();
                    return Err(Error::Source { origin: self.origin.clone(), problem, source: None });
                }
            }
        }
    }

    fn has_started_over(&mut self) -> bool {
        std::mem::take(&mut self.started_over)
    }

    fn verdict(&self) -> Verdict {
        match &self.end {
            End::Reached(outcome) => outcome.verdict.clone(),
            End::NotYet | End::Failed => Verdict::Complete,
        }
    }

    fn coverage(&self) -> Coverage {
        self.coverage
    }

    fn progress(&self) -> SourceProgress {
        let read = |number: &AtomicU64| number.load(Ordering::Relaxed);
        SourceProgress {
            read_bytes: read(&self.progress.body_bytes),
            rows: read(&self.progress.objects),
            total_rows: Some(read(&self.progress.announced)).filter(|announced| *announced > 0),
            pages: read(&self.progress.pages),
            ..SourceProgress::default()
        }
    }
}

impl Drop for LiveSource {
    fn drop(&mut self) {
        self.reading.abort();
    }
}

impl fmt::Debug for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Rows(_) => "Rows",
            Self::StartOver => "StartOver",
            Self::End(_) => "End",
        })
    }
}
