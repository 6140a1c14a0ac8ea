//! Several files as one source: a folder, a zip archive or a tar archive, read one member after the other.
//!
//! Nothing is written to disk, and a name is only a name: members are streamed. What plainly is no data (a README, a
//! log) is passed over and remembered; a member that should be data and cannot be read is an error.

mod folder;
mod skip;
mod tar;
mod zip;

use std::collections::VecDeque;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use fabrik_core::{Result, RowBatch};

use crate::file::FileRows;
use crate::format::{Container, InputFormat};
use crate::framing::Sizes;
use crate::input::Input;
use crate::naming::Naming;
use crate::origin::Origin;
use crate::rows::RowCount;
use crate::unfold::Unfolder;
use folder::FolderMembers;
use tar::TarMembers;
use zip::ZipMembers;

/// The most members that are read: the names of all are kept.
const MAX_MEMBERS: usize = 100_000;

/// One file of a folder or archive, and what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct InputMember {
    /// Its path within the folder or archive.
    pub name: String,
    /// How many rows were read from it, before objects that occur in several members were made one.
    pub rows: u64,
    /// Why it was passed over, when it was.
    pub skipped: Option<&'static str>,
}

/// A member as its container hands it out.
pub(crate) enum Found {
    /// To be read.
    Data { name: String, reader: Box<dyn Read + Send> },
    /// Nothing that could be read.
    Other { name: String, why: &'static str },
}

/// Where members come from.
#[derive(Debug)]
enum Members {
    Folder(FolderMembers),
    Tar(TarMembers),
    Zip(Box<ZipMembers>),
}

impl Members {
    fn next(&mut self) -> Result<Option<Found>> {
        match self {
            Self::Folder(folder) => folder.next(),
            Self::Tar(tar) => tar.next(),
            Self::Zip(zip) => zip.next(),
        }
    }
}

/// Reads the rows of all members.
#[derive(Debug)]
pub(crate) struct ArchiveRows {
    members: Members,
    origin: Origin,
    format: Option<InputFormat>,
    sizes: Sizes,
    current: Option<Current>,
    /// Between members; the member under way has it else.
    unfolder: Option<Unfolder>,
    read: Vec<InputMember>,
    counts: Vec<MemberCount>,
    is_config_export: bool,
}

#[derive(Debug)]
struct Current {
    rows: FileRows,
    name: String,
    n_rows: u64,
    first_class: Option<String>,
}

/// What a member says of how many objects there are.
#[derive(Clone, Debug)]
pub(crate) struct MemberCount {
    pub(crate) name: String,
    pub(crate) count: RowCount,
    /// Of its first row.
    pub(crate) class: Option<String>,
}

impl ArchiveRows {
    /// Looks for the files of a folder; returns their size in bytes too.
    pub(crate) fn of_folder(
        path: &Path,
        origin: Origin,
        format: Option<InputFormat>,
        sizes: Sizes,
        read_bytes: Arc<AtomicU64>,
    ) -> Result<(Self, u64)> {
        let (folder, total_bytes) = FolderMembers::open(path, origin.clone(), read_bytes)?;
        Ok((Self::new(Members::Folder(folder), origin, format, sizes), total_bytes))
    }

    /// Reads the directory of a zip archive.
    pub(crate) fn of_zip(
        file: File,
        origin: Origin,
        format: Option<InputFormat>,
        sizes: Sizes,
        read_bytes: Arc<AtomicU64>,
    ) -> Result<Self> {
        let zip = ZipMembers::open(file, origin.clone(), read_bytes)?;
        Ok(Self::new(Members::Zip(Box::new(zip)), origin, format, sizes))
    }

    /// Reads a tar archive, decompressed, as it arrives.
    pub(crate) fn of_tar(
        reader: Box<dyn Read + Send>,
        origin: Origin,
        format: Option<InputFormat>,
        sizes: Sizes,
    ) -> Self {
        Self::new(Members::Tar(TarMembers::new(reader, origin.clone())), origin, format, sizes)
    }

    fn new(members: Members, origin: Origin, format: Option<InputFormat>, sizes: Sizes) -> Self {
        Self {
            members,
            origin,
            format,
            sizes,
            current: None,
            unfolder: Some(Unfolder::new(Naming::default())),
            read: Vec::new(),
            counts: Vec::new(),
            is_config_export: false,
        }
    }

    /// Adds the next batches to `ready`, none of them empty; returns false after the last row.
    pub(crate) fn read_into(&mut self, ready: &mut VecDeque<RowBatch>) -> Result<bool> {
        loop {
            if let Some(current) = &mut self.current {
                let n_before = ready.len();
                if current.rows.read_into(ready)? {
                    for batch in ready.iter().skip(n_before) {
                        current.n_rows += batch.len() as u64;
                        if current.first_class.is_none() {
                            let first = batch.iter().next();
                            current.first_class = first.and_then(|row| row.class_name()).map(str::to_owned);
                        }
                    }
                    return Ok(true);
                }
                self.end_member();
                continue;
            }
            if let Some(found) = self.members.next()? {
                self.begin_member(found)?;
                continue;
            }
            if self.counts.is_empty() {
                let passed_over = self.read.len();
                return Err(self.origin.error(match passed_over {
                    0 => "it has no files".to_owned(),
                    n => format!("none of its {n} files has rows; the first is {:?}", self.read[0].name),
                }));
            }
            return Ok(match self.unfolder.as_mut().and_then(Unfolder::next_merged) {
                Some(batch) => {
                    ready.push_back(batch);
                    true
                }
                None => false,
            });
        }
    }

    /// Returns the members met so far.
    pub(crate) fn members(&self) -> &[InputMember] {
        &self.read
    }

    /// Returns what each member that was read says of its number of objects.
    pub(crate) fn counts(&self) -> &[MemberCount] {
        &self.counts
    }

    /// Returns whether a member was of a configuration export.
    pub(crate) fn is_config_export(&self) -> bool {
        self.is_config_export
    }

    /// Says which objects could not be placed, and below which DNs they belong.
    pub(crate) fn unplaced(&self) -> Option<(String, Vec<String>)> {
        self.unfolder.as_ref().and_then(Unfolder::unplaced)
    }

    fn begin_member(&mut self, found: Found) -> Result<()> {
        if self.read.len() >= MAX_MEMBERS {
            return Err(self.origin.error(format!("it has more than {MAX_MEMBERS} files")));
        }
        let (name, reader) = match found {
            Found::Data { name, reader } => match skip::by_name(&name) {
                Some(why) => return self.pass_over(name, why),
                None => (name, reader),
            },
            Found::Other { name, why } => return self.pass_over(name, why),
        };
        let origin = self.origin.member(&name);
        let input = Input::open(reader, Arc::default())
            .map_err(|error| origin.io_error("its beginning cannot be read", error))?;
        let container = match Container::detect(&input, self.format) {
            Ok(Container::Tar) => Err("it is an archive within the archive, which is not read".to_owned()),
            Ok(Container::Table) if self.format.is_none() && !skip::is_named_as_table(&name) => {
                Err("it is text; expected JSON, NDJSON, XML or what moquery prints".to_owned())
            }
            detected => detected,
        };
        let container = match container {
            Ok(container) => container,
            Err(problem) => match skip::by_content(&name, &input) {
                Some(why) => return self.pass_over(name, why),
                None => return Err(origin.error(problem)),
            },
        };
        let unfolder = self.unfolder.take().unwrap_or_default();
        let rows = FileRows::open(input, container, self.format, origin, self.sizes, unfolder, true)?;
        self.is_config_export |= rows.is_config_export();
        self.current = Some(Current { rows, name, n_rows: 0, first_class: None });
        Ok(())
    }

    fn end_member(&mut self) {
        let Some(Current { rows, name, n_rows, first_class }) = self.current.take() else { return };
        let (count, unfolder) = rows.finish();
        self.unfolder = Some(unfolder);
        self.read.push(InputMember { name: name.clone(), rows: n_rows, skipped: None });
        self.counts.push(MemberCount { name, count, class: first_class });
    }

    fn pass_over(&mut self, name: String, why: &'static str) -> Result<()> {
        self.read.push(InputMember { name, rows: 0, skipped: Some(why) });
        Ok(())
    }
}

#[cfg(test)]
mod tests;
