//! Recorded files as a source of rows.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use fabrik_core::{Result, RowBatch, Source, SourceProgress, Verdict};

use crate::format::{Container, InputFormat};
use crate::framing::RowSplitter;
use crate::input::Input;
use crate::origin::Origin;
use crate::rows::{JsonRows, RowKind};
use crate::table::TableRows;

/// How much of the input is read and parsed at a time.
const BLOCK_BYTES: usize = 2 << 20;

/// The rows of a recorded file: APIC answers, JSON, NDJSON or CSV, plain or compressed by gzip or Zstandard.
///
/// Memory does not grow with the input: a few MiB, and more only for a row that is longer.
///
/// [`Source::next_batch`] reads with blocking calls and parses on the rayon pool, so an asynchronous
/// caller with other things to do runs it on a thread of its own.
///
/// ```
/// use fabrik_apic::RecordedSource;
/// use fabrik_core::Source;
///
/// # pollster::block_on(async {
/// let text = r#"[{"fvTenant":{"attributes":{"dn":"uni/tn-blue","name":"blue"}}}]"#;
/// let mut source = RecordedSource::from_reader("an example", Box::new(text.as_bytes()), None)?;
///
/// let batch = source.next_batch().await?.expect("there is a row");
/// assert_eq!(batch.iter().next().and_then(|row| row.class_name()), Some("fvTenant"));
/// assert!(source.next_batch().await?.is_none());
/// # Ok::<(), fabrik_core::Error>(()) })?;
/// # Ok::<(), fabrik_core::Error>(())
/// ```
#[derive(Debug)]
pub struct RecordedSource {
    origin: Origin,
    reading: Reading,
    ready: VecDeque<RowBatch>,
    verdict: Verdict,
    read_bytes: Arc<AtomicU64>,
    total_bytes: Option<u64>,
}

#[derive(Debug)]
enum Reading {
    Json(Box<JsonRows>),
    Table(Box<TableRows>),
    AtEnd,
    Failed,
}

impl RecordedSource {
    /// Opens a file and looks at its beginning; without a `format` that beginning tells it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`](fabrik_core::ErrorKind::InvalidInput) when the file cannot be opened,
    /// is empty, or is plainly of none of the formats or not of the one given.
    pub fn open(path: &Path, format: Option<InputFormat>) -> Result<Self> {
        let origin = Origin::new(path.display().to_string());
        let cannot_open = |error| origin.io_error("it cannot be opened", error);
        let file = File::open(path).map_err(cannot_open)?;
        let metadata = file.metadata().map_err(cannot_open)?;
        if metadata.is_dir() {
            let source = io::Error::from(io::ErrorKind::IsADirectory);
            return Err(origin.io_error("expected a file, found a directory", source));
        }
        // Of a pipe or a device the length says nothing.
        let total_bytes = metadata.is_file().then_some(metadata.len());
        Self::start(origin, Box::new(file), total_bytes, format, BLOCK_BYTES)
    }

    /// Reads what `reader` delivers; `origin` is its name in errors, such as `standard input`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`](fabrik_core::ErrorKind::InvalidInput) when nothing can be read or the
    /// input is plainly of none of the formats or not of the one given.
    pub fn from_reader(
        origin: impl Into<String>,
        reader: Box<dyn Read + Send>,
        format: Option<InputFormat>,
    ) -> Result<Self> {
        Self::start(Origin::new(origin), reader, None, format, BLOCK_BYTES)
    }

    fn start(
        origin: Origin,
        reader: Box<dyn Read + Send>,
        total_bytes: Option<u64>,
        format: Option<InputFormat>,
        block_bytes: usize,
    ) -> Result<Self> {
        let read_bytes = Arc::new(AtomicU64::new(0));
        let input = Input::open(reader, Arc::clone(&read_bytes))
            .map_err(|error| origin.io_error("its beginning cannot be read", error))?;
        let container = Container::detect(&input, format).map_err(|problem| origin.error(problem))?;
        let reading = if container == Container::Table {
            Reading::Table(Box::new(TableRows::open(input.into_reader(), origin.clone())?))
        } else {
            let is_apic = container == Container::Envelope || format == Some(InputFormat::Apic);
            let offset = input.skipped_bytes;
            let splitter = RowSplitter::new(input.into_reader(), offset, container, origin.clone(), block_bytes);
            Reading::Json(Box::new(JsonRows::new(splitter, origin.clone(), is_apic.then_some(RowKind::Object))))
        };
        Ok(Self { origin, reading, ready: VecDeque::new(), verdict: Verdict::Complete, read_bytes, total_bytes })
    }

    fn read_next(&mut self) -> Result<Option<RowBatch>> {
        loop {
            if let Some(batch) = self.ready.pop_front() {
                return Ok(Some(batch));
            }
            match &mut self.reading {
                Reading::Json(rows) => {
                    if !rows.read_into(&mut self.ready)? {
                        self.verdict = rows.verdict()?;
                        self.reading = Reading::AtEnd;
                    }
                }
                Reading::Table(table) => match table.next_batch()? {
                    Some(batch) => return Ok(Some(batch)),
                    None => self.reading = Reading::AtEnd,
                },
                Reading::AtEnd => return Ok(None),
                // The end must not look like the end of a good input to a caller who tries again.
                Reading::Failed => return Err(self.origin.error("reading it has failed before")),
            }
        }
    }
}

#[async_trait]
impl Source for RecordedSource {
    async fn next_batch(&mut self) -> Result<Option<RowBatch>> {
        let batch = self.read_next();
        if batch.is_err() {
            self.reading = Reading::Failed;
            self.ready.clear();
        }
        batch
    }

    fn verdict(&self) -> Verdict {
        self.verdict.clone()
    }

    fn progress(&self) -> SourceProgress {
        SourceProgress {
            read_bytes: self.read_bytes.load(Ordering::Relaxed),
            total_bytes: self.total_bytes,
            ..SourceProgress::default()
        }
    }
}

#[cfg(test)]
mod tests;
