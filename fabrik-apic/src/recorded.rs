//! Recorded files as a source of rows.

mod completeness;

use std::collections::VecDeque;
use std::fs::File;
use std::io::{Read, Seek};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use fabrik_core::{Coverage, Result, RowBatch, Source, SourceProgress, Verdict};

use crate::archive::{ArchiveRows, InputMember};
use crate::coverage::CoverageWatch;
use crate::file::FileRows;
use crate::format::{Container, InputFormat};
use crate::framing::{STREAMED_ROW_BYTES, Sizes};
use crate::input::{Input, ZIP_MAGICS};
use crate::naming::Naming;
use crate::origin::Origin;
use crate::unfold::Unfolder;

/// How much of the input is read and parsed at a time.
const BLOCK_BYTES: usize = 2 << 20;
const SIZES: Sizes = Sizes { block_bytes: BLOCK_BYTES, streamed_row_bytes: STREAMED_ROW_BYTES };

/// The rows of a recorded file or of a folder of them: APIC answers as JSON or XML, what moquery prints, configuration
/// exports, JSON, NDJSON or CSV; plain, compressed by gzip or Zstandard, or packed as zip or tar.
///
/// Memory does not grow with the input: a few MiB, and more only for a row that is longer. Of a configuration
/// export in several files the objects next to the root are held too, up to 32 MiB.
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
    members: Vec<InputMember>,
    coverage: Option<Coverage>,
    watch: CoverageWatch,
    is_config_export: bool,
    read_bytes: Arc<AtomicU64>,
    total_bytes: Option<u64>,
}

#[derive(Debug)]
enum Reading {
    File(FileRows),
    Archive(Box<ArchiveRows>),
    AtEnd,
    Failed,
}

impl RecordedSource {
    /// Opens a file or folder and looks at its beginning; without a `format` that beginning tells it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`](fabrik_core::ErrorKind::InvalidInput) when the file cannot be opened,
    /// is empty, or is plainly of none of the formats or not of the one given.
    pub fn open(path: &Path, format: Option<InputFormat>) -> Result<Self> {
        Self::open_with(path, format, SIZES)
    }

    /// Reads what `reader` delivers; `origin` is its name in errors, such as `standard input`.
    ///
    /// A zip archive has its directory at its end, so it needs [`RecordedSource::open`].
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
        Self::start(Origin::new(origin), reader, None, format, SIZES)
    }

    /// Says which attributes the rows have, where they should not be judged by what they show.
    #[must_use]
    pub fn with_coverage(mut self, coverage: Coverage) -> Self {
        self.coverage = Some(coverage);
        self
    }

    /// Returns the files of a folder or archive that were read or passed over so far; none for a single file.
    #[must_use]
    pub fn members(&self) -> &[InputMember] {
        match &self.reading {
            Reading::Archive(archive) => archive.members(),
            _ => &self.members,
        }
    }

    fn open_with(path: &Path, format: Option<InputFormat>, sizes: Sizes) -> Result<Self> {
        let origin = Origin::new(path.display().to_string());
        let cannot_open = |error| origin.io_error("it cannot be opened", error);
        let mut file = File::open(path).map_err(cannot_open)?;
        let metadata = file.metadata().map_err(cannot_open)?;
        let of_members = format.and_then(InputFormat::of_members);
        let read_bytes = Arc::new(AtomicU64::new(0));
        if metadata.is_dir() {
            let (archive, total_bytes) =
                ArchiveRows::of_folder(path, origin.clone(), of_members, sizes, Arc::clone(&read_bytes))?;
            let reading = Reading::Archive(Box::new(archive));
            return Ok(Self::new(origin, reading, read_bytes, Some(total_bytes)));
        }
        // Of a pipe or a device the length says nothing, and what was read of it is gone.
        if !metadata.is_file() {
            return Self::start(origin, Box::new(file), None, format, sizes);
        }
        let mut magic = Vec::new();
        (&mut file).take(ZIP_MAGICS[0].len() as u64).read_to_end(&mut magic).map_err(cannot_open)?;
        file.rewind().map_err(cannot_open)?;
        if !ZIP_MAGICS.iter().any(|zip| *zip == *magic) {
            return Self::start(origin, Box::new(file), Some(metadata.len()), format, sizes);
        }
        let archive = ArchiveRows::of_zip(file, origin.clone(), of_members, sizes, Arc::clone(&read_bytes))?;
        Ok(Self::new(origin, Reading::Archive(Box::new(archive)), read_bytes, Some(metadata.len())))
    }

    fn start(
        origin: Origin,
        reader: Box<dyn Read + Send>,
        total_bytes: Option<u64>,
        format: Option<InputFormat>,
        sizes: Sizes,
    ) -> Result<Self> {
        let read_bytes = Arc::new(AtomicU64::new(0));
        let input = Input::open(reader, Arc::clone(&read_bytes))
            .map_err(|error| origin.io_error("its beginning cannot be read", error))?;
        let container = Container::detect(&input, format).map_err(|problem| origin.error(problem))?;
        let reading = if container == Container::Tar {
            let of_members = format.and_then(InputFormat::of_members);
            Reading::Archive(Box::new(ArchiveRows::of_tar(input.into_reader(), origin.clone(), of_members, sizes)))
        } else {
            let unfolder = Unfolder::new(Naming::default());
            Reading::File(FileRows::open(input, container, format, origin.clone(), sizes, unfolder, false)?)
        };
        Ok(Self::new(origin, reading, read_bytes, total_bytes))
    }

    fn new(origin: Origin, reading: Reading, read_bytes: Arc<AtomicU64>, total_bytes: Option<u64>) -> Self {
        Self {
            origin,
            reading,
            ready: VecDeque::new(),
            verdict: Verdict::Complete,
            members: Vec::new(),
            coverage: None,
            watch: CoverageWatch::new(),
            is_config_export: false,
            read_bytes,
            total_bytes,
        }
    }

    fn read_next(&mut self) -> Result<Option<RowBatch>> {
        loop {
            if let Some(batch) = self.ready.pop_front() {
                self.watch.observe(&batch);
                return Ok(Some(batch));
            }
            let has_more = match &mut self.reading {
                Reading::File(file) => file.read_into(&mut self.ready)?,
                Reading::Archive(archive) => archive.read_into(&mut self.ready)?,
                Reading::AtEnd => return Ok(None),
                // The end must not look like the end of a good input to a caller who tries again.
                Reading::Failed => return Err(self.origin.error("reading it has failed before")),
            };
            if !has_more {
                self.end()?;
            }
        }
    }

    /// Judges, after the last row, what was read.
    fn end(&mut self) -> Result<()> {
        match std::mem::replace(&mut self.reading, Reading::AtEnd) {
            Reading::File(file) => {
                self.is_config_export = file.is_config_export();
                let (count, unfolder) = file.finish();
                self.verdict = completeness::of_file(count, unfolder.unplaced(), &self.origin)?;
            }
            Reading::Archive(archive) => {
                self.is_config_export = archive.is_config_export();
                self.members = archive.members().to_vec();
                self.verdict = completeness::of_archive(archive.counts(), archive.unplaced(), &self.origin)?;
            }
            Reading::AtEnd | Reading::Failed => {}
        }
        Ok(())
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

    fn coverage(&self) -> Coverage {
        self.coverage.unwrap_or_else(|| self.watch.coverage(self.is_config_export))
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
