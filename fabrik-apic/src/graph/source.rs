//! A plan as a source of rows.

use std::collections::VecDeque;

use async_trait::async_trait;
use fabrik_core::{Coverage, Error, Result, RowBatch, RowBatchBuilder, Source, SourceProgress, Verdict};
use tokio::runtime::Handle;

use super::check::{Dns, ReadBefore, RowCheck};
use super::condition::plain_part;
use super::plan::Plan;
use crate::client::Client;
use crate::error::{ApicError, ApicResult};
use crate::filter::{Filter, Property};
use crate::live::{Learned, LiveOptions, LiveSource};
use crate::query::ApicQuery;

/// How long the names of parents in one question may be together, in bytes: a path may not have much more than 8 KiB,
/// and what is encoded takes up to three times as much.
const NAMES_BYTES: usize = 1500;

/// The rows of a plan, read from a controller while they are taken.
///
/// Parents are read first, one step after the other, and only the hashes of their DNs are kept. When they are few, the
/// rows are asked for parent by parent, several in one question; when they are many, all rows are read and those below
/// none of them are left out. The verdict is the worst of all readings.
#[derive(Debug)]
pub struct PlanSource {
    client: Client,
    options: LiveOptions,
    runtime: Handle,
    plan: Plan,
    stage: Stage,
    /// What was read in the step before.
    parents: Dns,
    verdict: Verdict,
    builder: RowBatchBuilder,
    progress: SourceProgress,
    restarts_left: u32,
    started_over: bool,
    learned: Option<Learned>,
    coverage: Coverage,
}

#[derive(Debug)]
enum Stage {
    /// The step at this place is being read.
    Step {
        place: usize,
        source: LiveSource,
        found: Dns,
    },
    Rows {
        source: LiveSource,
        parents: Option<Dns>,
        waiting: VecDeque<Asked>,
        is_single: bool,
    },
    Ended,
    Failed,
}

/// One question for rows, with the parents that it is about; `None` stands for all.
#[derive(Debug)]
struct Asked {
    query: ApicQuery,
    parents: Option<Dns>,
}

impl PlanSource {
    /// Starts to read. The post-processors of the plan are not run: a pipeline of them stands behind this.
    ///
    /// # Errors
    ///
    /// [`ApicError::InvalidOption`] when an option cannot be used.
    pub fn start(client: &Client, plan: Plan, options: &LiveOptions, runtime: &Handle) -> ApicResult<Self> {
        let mut source = Self {
            client: client.clone(),
            options: options.clone(),
            runtime: runtime.clone(),
            stage: Stage::Ended,
            parents: Dns::new(),
            verdict: Verdict::Complete,
            builder: RowBatchBuilder::default(),
            progress: SourceProgress::default(),
            restarts_left: options.restarts,
            started_over: false,
            learned: None,
            coverage: Coverage::Full,
            plan,
        };
        source.stage = match source.plan.steps.is_empty() {
            true => source.start_rows()?,
            false => source.start_step(0)?,
        };
        Ok(source)
    }

    /// Returns the plan.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Returns what is worth to be kept for the next reading, where the plan is a single query.
    #[must_use]
    pub fn learned(&self) -> Option<Learned> {
        self.learned
    }

    fn read(&self, query: &ApicQuery, restarts: u32, learned: Option<Learned>) -> ApicResult<LiveSource> {
        let mut options = self.options.clone();
        options.restarts = restarts;
        options.learned = learned;
        LiveSource::start(&self.client, query, &options, &self.runtime)
    }

    fn start_step(&self, place: usize) -> ApicResult<Stage> {
        let source = self.read(&self.plan.steps[place].query, self.options.restarts, None)?;
        Ok(Stage::Step { place, source, found: Dns::new() })
    }

    fn start_rows(&mut self) -> ApicResult<Stage> {
        let mut waiting = self.queries()?;
        let Some(first) = waiting.pop_front() else { return Ok(Stage::Ended) };
        let is_single = waiting.is_empty();
        // Of several readings each would only void itself, so that beginning again is decided here.
        let restarts = if is_single { self.options.restarts } else { 0 };
        let source = self.read(&first.query, restarts, self.options.learned.filter(|_| self.plan.steps.is_empty()))?;
        self.coverage = source.coverage();
        Ok(Stage::Rows { source, parents: first.parents, waiting, is_single })
    }

    /// Returns what the rows are read with, now that the parents are known.
    fn queries(&self) -> ApicResult<VecDeque<Asked>> {
        let query = &self.plan.query;
        let all = || Ok([Asked { query: query.clone(), parents: None }].into());
        let (Some(_), Some(parents), Some(class)) = (self.plan.check.joined, self.parents.few(), &self.plan.target)
        else {
            return all();
        };
        // Too wide where a name has characters that may mean more than themselves; all rows are checked anyhow.
        if parents.iter().any(|parent| plain_part(parent).len() < 3) {
            return all();
        }
        let dn = Property::new(class, "dn").map_err(|error| ApicError::invalid("class", class, error.to_string()))?;
        let mut asked = VecDeque::new();
        let mut rest = parents;
        while !rest.is_empty() {
            let mut len_bytes = 0;
            let fits = |parent: &&String| {
                len_bytes += plain_part(parent).len() + class.len() + 15;
                len_bytes <= NAMES_BYTES
            };
            let (part, after) = rest.split_at(rest.iter().take_while(fits).count().max(1));
            let filter = Filter::or(part.iter().map(|parent| Filter::wcard(dn.clone(), plain_part(parent))));
            let mut parents = Dns::new();
            for parent in part {
                let _ = parents.add(parent);
            }
            asked.push_back(Asked { query: query.clone().with_filter(&filter), parents: Some(parents) });
            rest = after;
        }
        Ok(asked)
    }

    fn fail(&mut self, error: ApicError) -> Error {
        self.stage = Stage::Failed;
        error.into_source_error(self.client.url())
    }

    fn refuse(&mut self, problem: String) -> Error {
        self.stage = Stage::Failed;
        Error::Source { origin: self.client.url().to_owned(), problem, source: None }
    }

    /// Adds what a reading that has ended says of itself.
    fn close(&mut self, verdict: Verdict, progress: SourceProgress) {
        self.verdict = worst(std::mem::take(&mut self.verdict), verdict);
        self.progress.read_bytes += progress.read_bytes;
        self.progress.rows += progress.rows;
        self.progress.pages += progress.pages;
    }

    async fn advance_step(&mut self) -> Result<()> {
        let Stage::Step { place, source, found } = &mut self.stage else { return Ok(()) };
        let place = *place;
        let batch = source.next_batch().await?;
        if source.has_started_over() {
            *found = Dns::new();
        }
        match batch {
            Some(batch) => {
                let check = &self.plan.steps[place].check;
                let above = ReadBefore { all: &self.parents, part: None };
                let kept = check.keep(&batch, above, &mut self.builder);
                let added = kept.map(|rows| {
                    let dns = rows
                        .iter()
                        .filter(|row| row.class_name() == Some(&check.class))
                        .filter_map(|row| row.dn().map(str::to_owned));
                    let mut fits = true;
                    dns.for_each(|dn| fits &= found.add(&dn));
                    fits
                });
                match added {
                    Ok(true) => Ok(()),
                    Ok(false) => {
                        let class = check.class.clone();
                        Err(self
                            .refuse(format!("more than {} objects of {class} match; filter them further", Dns::MOST)))
                    }
                    Err(problem) => Err(self.refuse(problem)),
                }
            }
            None => {
                let (verdict, progress) = (source.verdict(), source.progress());
                self.parents = std::mem::replace(found, Dns::new());
                self.close(verdict, progress);
                let next = match place + 1 < self.plan.steps.len() {
                    true => self.start_step(place + 1),
                    false => self.start_rows(),
                };
                self.stage = next.map_err(|error| self.fail(error))?;
                Ok(())
            }
        }
    }

    /// Goes on to the next question for rows, or begins again when one of them was not consistent.
    fn next_rows(&mut self, verdict: Verdict, progress: SourceProgress) -> Result<()> {
        let Stage::Rows { waiting, is_single, .. } = &mut self.stage else { return Ok(()) };
        let is_single = *is_single;
        let next = waiting.pop_front();
        let again = !is_single && self.restarts_left > 0 && matches!(verdict, Verdict::Unstable { .. });
        if again {
            self.restarts_left -= 1;
            self.started_over = true;
            self.stage = self.start_rows().map_err(|error| self.fail(error))?;
            return Ok(());
        }
        self.close(verdict, progress);
        match next {
            None => self.stage = Stage::Ended,
            Some(asked) => {
                let started = self.read(&asked.query, 0, None).map_err(|error| self.fail(error))?;
                if let Stage::Rows { source, parents, .. } = &mut self.stage {
                    *source = started;
                    *parents = asked.parents;
                }
            }
        }
        Ok(())
    }
}

#[async_trait]
impl Source for PlanSource {
    async fn next_batch(&mut self) -> Result<Option<RowBatch>> {
        loop {
            match &mut self.stage {
                Stage::Ended => return Ok(None),
                Stage::Failed => return Err(self.refuse("reading it has failed before".to_owned())),
                Stage::Step { .. } => {
                    if let Err(error) = self.advance_step().await {
                        self.stage = Stage::Failed;
                        return Err(error);
                    }
                }
                Stage::Rows { source, parents, .. } => {
                    let batch = source.next_batch().await;
                    self.started_over |= source.has_started_over();
                    match batch {
                        Err(error) => {
                            self.stage = Stage::Failed;
                            return Err(error);
                        }
                        Ok(Some(batch)) => {
                            let check: &RowCheck = &self.plan.check;
                            let kept = match check.is_empty() {
                                true => Ok(batch),
                                false => {
                                    let above = ReadBefore { all: &self.parents, part: parents.as_ref() };
                                    check.keep(&batch, above, &mut self.builder)
                                }
                            };
                            let kept = kept.map_err(|problem| self.refuse(problem))?;
                            // An empty one says that what came before is void.
                            if !kept.is_empty() || self.started_over {
                                return Ok(Some(kept));
                            }
                        }
                        Ok(None) => {
                            let (verdict, progress) = (source.verdict(), source.progress());
                            self.learned = source.learned().filter(|_| self.plan.steps.is_empty());
                            self.next_rows(verdict, progress)?;
                        }
                    }
                }
            }
        }
    }

    fn has_started_over(&mut self) -> bool {
        std::mem::take(&mut self.started_over)
    }

    fn verdict(&self) -> Verdict {
        self.verdict.clone()
    }

    fn coverage(&self) -> Coverage {
        self.coverage
    }

    fn progress(&self) -> SourceProgress {
        let (Stage::Step { source, .. } | Stage::Rows { source, .. }) = &self.stage else { return self.progress };
        let now = source.progress();
        SourceProgress {
            read_bytes: self.progress.read_bytes + now.read_bytes,
            rows: self.progress.rows + now.rows,
            pages: self.progress.pages + now.pages,
            total_rows: now.total_rows.filter(|_| self.progress.rows == 0),
            ..now
        }
    }
}

/// Returns what two readings together are worth.
fn worst(before: Verdict, after: Verdict) -> Verdict {
    match (before, after) {
        (Verdict::Complete, other) | (other, Verdict::Complete) => other,
        (Verdict::Partial { reason, mut missing, .. }, Verdict::Partial { reason: other, missing: more, .. }) => {
            // Not known which in one of them is not known which in all.
            let is_known = !missing.is_empty() && !more.is_empty();
            missing.extend(more);
            let missing = if is_known { missing } else { Vec::new() };
            let reason = if reason == other { reason } else { format!("{reason}; {other}") };
            Verdict::Partial { reason, expected_rows: None, missing }
        }
        (partial @ Verdict::Partial { .. }, _) | (_, partial @ Verdict::Partial { .. }) => partial,
        (unstable, _) => unstable,
    }
}
