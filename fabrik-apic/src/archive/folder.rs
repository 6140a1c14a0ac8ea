//! The files of a folder and of the folders in it, in the order of their names.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use fabrik_core::Result;

use super::{Found, MAX_MEMBERS};
use crate::input::Counted;
use crate::origin::Origin;

/// How deep folders are searched.
const MAX_DEPTH: usize = 16;

/// The files that are left to read.
#[derive(Debug)]
pub(super) struct FolderMembers {
    /// Last one first.
    files: Vec<Entry>,
    origin: Origin,
    read_bytes: Arc<AtomicU64>,
}

#[derive(Debug)]
struct Entry {
    name: String,
    path: PathBuf,
    is_file: bool,
}

impl FolderMembers {
    /// Lists the files; returns their size in bytes too.
    pub(super) fn open(path: &Path, origin: Origin, read_bytes: Arc<AtomicU64>) -> Result<(Self, u64)> {
        let mut files = Vec::new();
        let mut total_bytes = 0;
        let mut folders = vec![(path.to_owned(), String::new(), 1)];
        while let Some((folder, prefix, depth)) = folders.pop() {
            let failed = |error: io::Error| origin.io_error(format!("folder {prefix:?} cannot be listed"), error);
            for entry in fs::read_dir(&folder).map_err(failed)? {
                let entry = entry.map_err(failed)?;
                let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
                let path = entry.path();
                // A link to a folder may lead back up, so it is not followed.
                if entry.file_type().map_err(failed)?.is_dir() {
                    if depth >= MAX_DEPTH {
                        return Err(origin.error(format!("folders nest deeper than {MAX_DEPTH} levels at {name:?}")));
                    }
                    folders.push((path, format!("{name}/"), depth + 1));
                    continue;
                }
                let metadata = fs::metadata(&path).ok().filter(fs::Metadata::is_file);
                total_bytes += metadata.as_ref().map_or(0, fs::Metadata::len);
                files.push(Entry { name, path, is_file: metadata.is_some() });
                if files.len() > MAX_MEMBERS {
                    return Err(origin.error(format!("it has more than {MAX_MEMBERS} files")));
                }
            }
        }
        files.sort_unstable_by(|before, after| after.name.cmp(&before.name));
        Ok((Self { files, origin, read_bytes }, total_bytes))
    }

    /// Opens the next file.
    pub(super) fn next(&mut self) -> Result<Option<Found>> {
        let Some(Entry { name, path, is_file }) = self.files.pop() else { return Ok(None) };
        if !is_file {
            return Ok(Some(Found::Other { name, why: "not a file" }));
        }
        let file =
            File::open(&path).map_err(|error| self.origin.member(&name).io_error("it cannot be opened", error))?;
        let reader = Box::new(Counted::new(file, Arc::clone(&self.read_bytes)));
        Ok(Some(Found::Data { name, reader }))
    }
}
