//! The course of a reading: count, read, count again, judge, and begin again where that may help.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use fabrik_core::{Value, Verdict};
use tokio::sync::{Semaphore, mpsc};

use super::pages::SMALLER;
use super::tally::Tally;
use super::{Delivery, Learned, LiveOptions, LiveProgress, Way};
use crate::client::Client;
use crate::error::{ApicError, ApicResult};
use crate::query::ApicQuery;

/// Reads a query and hands its rows over.
#[derive(Debug)]
pub(super) struct Reader {
    pub(super) client: Client,
    pub(super) options: LiveOptions,
    pub(super) progress: Arc<LiveProgress>,
    /// One for each page that may be in memory.
    pub(super) turns: Semaphore,
    query: ApicQuery,
    sender: mpsc::Sender<Delivery>,
    /// Whether rows were handed over since the beginning or the last start over.
    has_delivered: AtomicBool,
}

/// How a reading ended.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) verdict: Verdict,
    pub(super) learned: Option<Learned>,
}

impl Reader {
    pub(super) fn new(
        client: Client,
        query: ApicQuery,
        options: LiveOptions,
        sender: mpsc::Sender<Delivery>,
        progress: Arc<LiveProgress>,
    ) -> Self {
        let turns = Semaphore::new(options.parallel);
        Self { client, options, progress, turns, query, sender, has_delivered: AtomicBool::new(false) }
    }

    pub(super) async fn read(mut self) -> ApicResult<Outcome> {
        let usual = self.page_size(&self.query);
        let mut plan = self.options.learned.unwrap_or(Learned { way: Way::Whole, page_size: usual });
        let mut restarts = self.options.restarts;
        loop {
            self.options.page_size = Some(plan.page_size);
            let tally = match self.read_once(plan.way).await {
                Ok(tally) => tally,
                Err(error) if error.is_worth_splitting() => {
                    plan = next_plan(plan, usual, &self.query).ok_or(error)?;
                    self.start_over().await?;
                    continue;
                }
                Err(error) => return Err(error),
            };
            if !tally.is_inconsistent() || restarts == 0 {
                let learned = (plan != Learned { way: Way::Whole, page_size: usual }).then_some(plan);
                return Ok(Outcome { verdict: tally.verdict(), learned });
            }
            restarts -= 1;
            self.start_over().await?;
        }
    }

    async fn read_once(&self, way: Way) -> ApicResult<Tally> {
        let mut sum: Option<Tally> = None;
        for query in self.query.split_by_class() {
            let before = self.count(&query).await?;
            let mut tally = match (way, query.fabric_wide_class()) {
                (Way::Tree, Some(class)) => self.read_tree(&query, class, before).await?,
                _ => self.read_pages(&query, self.page_size(&query)).await.map_err(|broken| broken.error)?,
            };
            if before.is_some() && tally.announced != before {
                tally.moved_to = tally.moved_to.or(tally.announced);
                tally.announced = before;
            }
            if tally.missing.is_empty() {
                // The last count says most; where it is that of the beginning, the one in between that differed.
                let after = self.count(&query).await?;
                let moved_to = after.filter(|after| tally.announced.is_some_and(|before| before != *after));
                tally.moved_to = moved_to.or(tally.moved_to);
            }
            match &mut sum {
                Some(sum) => sum.add_reading(tally),
                None => sum = Some(tally),
            }
        }
        Ok(sum.unwrap_or_default())
    }

    /// Asks how many objects there are; `None` when even that is too much for the controller.
    async fn count(&self, query: &ApicQuery) -> ApicResult<Option<u64>> {
        // Queries with something included, or without an order, are counted by their first answer.
        if query.option("rsp-subtree-include").is_some() || query.hit_class().is_none() {
            return Ok(None);
        }
        let counting = query.clone().with("rsp-subtree-include", "count").with("rsp-subtree", "no");
        let path = counting.to_string();
        let page = match self.client.page(&path, 0).await {
            Ok(fetched) => fetched.page,
            Err(error) if error.is_worth_splitting() => return Ok(None),
            Err(error) => return Err(error),
        };
        let row = page.batches.iter().flat_map(|batch| batch.iter()).next();
        let count = row.filter(|row| row.class_name() == Some("moCount")).and_then(|row| row.get("count"));
        let count = match count {
            Some(Value::String(count)) => count.parse().ok(),
            _ => None,
        };
        let problem = || "it is not a count".to_owned();
        count.map(Some).ok_or_else(|| ApicError::Answer { path, problem: problem() })
    }

    async fn start_over(&self) -> ApicResult<()> {
        for number in
            [&self.progress.body_bytes, &self.progress.objects, &self.progress.announced, &self.progress.pages]
        {
            number.store(0, Ordering::Relaxed);
        }
        if self.has_delivered.swap(false, Ordering::Relaxed) { self.deliver(Delivery::StartOver).await } else { Ok(()) }
    }

    pub(super) async fn deliver(&self, delivery: Delivery) -> ApicResult<()> {
        if matches!(delivery, Delivery::Rows(_)) {
            self.has_delivered.store(true, Ordering::Relaxed);
        }
        self.sender.send(delivery).await.map_err(|_| ApicError::Cancelled)
    }
}

/// Returns what to try after something was too big: smaller pages, then parts with pages of the usual size.
fn next_plan(failed: Learned, usual: u64, query: &ApicQuery) -> Option<Learned> {
    let can_split = query.split_by_class().iter().any(|query| query.fabric_wide_class().is_some());
    match failed.way {
        Way::Whole
            if failed.page_size >= usual && usual > SMALLER && query.split_by_class()[0].hit_class().is_some() =>
        {
            Some(Learned { way: Way::Whole, page_size: usual / SMALLER })
        }
        Way::Whole if can_split => Some(Learned { way: Way::Tree, page_size: usual }),
        _ => None,
    }
}
