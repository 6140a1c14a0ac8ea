//! A source that is watched while it is captured: how large it is, and which columns it has.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use fabrik_core::{CLASS_NAME, Coverage, DN, Error, Result, RowBatch, Source, SourceProgress, Verdict};

/// What was seen of a source. Shared with whoever started it.
#[derive(Debug)]
pub(super) struct Watching {
    /// How many bytes of rows are taken; 0 for any number.
    most_bytes: u64,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    size_bytes: u64,
    columns: BTreeSet<String>,
}

impl Watching {
    pub(super) fn new(most_bytes: u64) -> Self {
        Self { most_bytes, seen: Mutex::default() }
    }

    fn seen(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns how many bytes there were when that was too many.
    pub(super) fn excess(&self) -> Option<u64> {
        let size_bytes = self.seen().size_bytes;
        (self.most_bytes > 0 && size_bytes > self.most_bytes).then_some(size_bytes)
    }

    /// Returns the columns, those first that say what a row is.
    pub(super) fn columns(&self) -> Vec<String> {
        in_order(self.seen().columns.clone())
    }
}

/// Puts names of columns in order: those first that say what a row is.
pub(crate) fn in_order(mut names: BTreeSet<String>) -> Vec<String> {
    let mut ordered: Vec<String> = [DN, CLASS_NAME].into_iter().filter_map(|name| names.take(name)).collect();
    ordered.extend(names);
    ordered
}

/// A source that is watched.
#[derive(Debug)]
pub(super) struct Watched {
    source: Box<dyn Source>,
    watching: Arc<Watching>,
    has_started_over: bool,
}

impl Watched {
    pub(super) fn new(source: Box<dyn Source>, watching: Arc<Watching>) -> Self {
        Self { source, watching, has_started_over: false }
    }
}

#[async_trait]
impl Source for Watched {
    async fn next_batch(&mut self) -> Result<Option<RowBatch>> {
        let batch = self.source.next_batch().await?;
        if self.source.has_started_over() {
            self.has_started_over = true;
            *self.watching.seen() = Seen::default();
        }
        let Some(batch) = batch else { return Ok(None) };
        {
            let mut seen = self.watching.seen();
            seen.size_bytes += batch.size_bytes();
            for name in batch.names() {
                if !seen.columns.contains(name) {
                    seen.columns.insert(name.to_owned());
                }
            }
        }
        if self.watching.excess().is_some() {
            return Err(Error::Source {
                origin: "the query".to_owned(),
                problem: "its result is too large".to_owned(),
                source: None,
            });
        }
        Ok(Some(batch))
    }

    fn has_started_over(&mut self) -> bool {
        std::mem::take(&mut self.has_started_over)
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

#[cfg(test)]
mod tests {
    use fabrik_core::RowBatchBuilder;

    use super::*;

    #[derive(Debug)]
    struct Batches(Vec<(&'static str, bool)>, bool);

    #[async_trait]
    impl Source for Batches {
        async fn next_batch(&mut self) -> Result<Option<RowBatch>> {
            let Some((json, starts_over)) = self.0.pop() else { return Ok(None) };
            self.1 = starts_over;
            let mut rows = RowBatchBuilder::default();
            rows.push_json(json).unwrap();
            Ok(Some(rows.take()))
        }

        fn has_started_over(&mut self) -> bool {
            std::mem::take(&mut self.1)
        }

        fn verdict(&self) -> Verdict {
            Verdict::Complete
        }
    }

    fn watch(most_bytes: u64, batches: &[(&'static str, bool)]) -> (Result<()>, Watching) {
        let watching = Arc::new(Watching::new(most_bytes));
        let batches = Batches(batches.iter().rev().copied().collect(), false);
        let mut source = Watched::new(Box::new(batches), Arc::clone(&watching));
        let result = pollster::block_on(async {
            while source.next_batch().await?.is_some() {}
            Ok(())
        });
        drop(source);
        (result, Arc::into_inner(watching).unwrap())
    }

    #[test]
    fn what_a_source_took_back_does_not_count() {
        let batches = [(r#"{"dn":"a","gone":"1"}"#, false), (r#"{"name":"x","className":"c","dn":"a"}"#, true)];

        let (result, watching) = watch(40, &batches);

        assert!(result.is_ok());
        assert_eq!(watching.columns(), ["dn", "className", "name"]);
        assert_eq!(watching.excess(), None);
    }

    #[test]
    fn a_result_that_is_too_large_ends() {
        let batches = [(r#"{"dn":"a"}"#, false), (r#"{"dn":"b"}"#, false)];

        let (result, watching) = watch(15, &batches);

        assert!(result.is_err());
        assert_eq!(watching.excess(), Some(20));
        assert!(watch(0, &batches).0.is_ok());
    }
}
