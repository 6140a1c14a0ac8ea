//! The members of a zip archive.
//!
//! The directory at the archive's end is read by a library, and each member from its place in the file: a reader of
//! its own, which the parsers can own, and which never delivers more than the directory promises.

use std::fmt;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use fabrik_core::Result;
use flate2::Crc;
use flate2::bufread::DeflateDecoder;
use zip::{CompressionMethod, ZipArchive};

use super::{Found, MAX_MEMBERS};
use crate::input::Counted;
use crate::origin::Origin;

const READ_BYTES: usize = 64 << 10;

/// The members that are left to read.
pub(super) struct ZipMembers {
    archive: ZipArchive<File>,
    /// Another handle to the same file, for what members hold.
    file: File,
    next: usize,
    origin: Origin,
    read_bytes: Arc<AtomicU64>,
}

impl ZipMembers {
    /// Reads the directory.
    pub(super) fn open(file: File, origin: Origin, read_bytes: Arc<AtomicU64>) -> Result<Self> {
        let broken = |error: zip::result::ZipError| origin.error(format!("the zip archive cannot be read: {error}"));
        let handle = file.try_clone().map_err(|error| origin.io_error("it cannot be opened twice", error))?;
        let mut archive = ZipArchive::new(file).map_err(broken)?;
        if archive.len() > MAX_MEMBERS {
            return Err(origin.error(format!("it has more than {MAX_MEMBERS} files")));
        }
        // Members that share bytes make a small archive into an endless one.
        if archive.has_overlapping_files().map_err(broken)? {
            return Err(origin.error("members of the zip archive overlap, which no packer makes them do"));
        }
        Ok(Self { archive, file: handle, next: 0, origin, read_bytes })
    }

    /// Finds the next member that is a file.
    pub(super) fn next(&mut self) -> Result<Option<Found>> {
        while self.next < self.archive.len() {
            let index = self.next;
            self.next += 1;
            let member = self
                .archive
                .by_index_raw(index)
                .map_err(|error| self.origin.error(format!("member {} cannot be read: {error}", index + 1)))?;
            let name = member.name().to_owned();
            if member.is_dir() {
                continue;
            }
            if member.is_symlink() {
                return Ok(Some(Found::Other { name, why: "a link" }));
            }
            let origin = self.origin.member(&name);
            if member.encrypted() {
                return Err(origin.error("it is encrypted"));
            }
            let (start, packed, method) = (member.data_start(), member.compressed_size(), member.compression());
            let expected = Expected { n_bytes: member.size(), checksum: member.crc32() };
            drop(member);

            let read_failed = |error| origin.io_error("it cannot be read", error);
            let mut file = self.file.try_clone().map_err(read_failed)?;
            file.seek(SeekFrom::Start(start)).map_err(read_failed)?;
            let bytes = Counted::new(file.take(packed), Arc::clone(&self.read_bytes));
            let bytes = BufReader::with_capacity(READ_BYTES, bytes);
            let reader: Box<dyn Read + Send> = match method {
                CompressionMethod::Stored => Box::new(Checked::new(bytes, expected)),
                CompressionMethod::Deflated => Box::new(Checked::new(DeflateDecoder::new(bytes), expected)),
                other => return Err(origin.error(format!("it is compressed by {other}; expected deflate"))),
            };
            return Ok(Some(Found::Data { name, reader }));
        }
        Ok(None)
    }
}

impl fmt::Debug for ZipMembers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ZipMembers").field("origin", &self.origin).field("next", &self.next).finish_non_exhaustive()
    }
}

/// What the directory says of a member's content.
#[derive(Clone, Copy)]
struct Expected {
    n_bytes: u64,
    checksum: u32,
}

/// Fails where the content is not what the directory says.
struct Checked<R> {
    reader: R,
    expected: Expected,
    checksum: Crc,
    n_bytes: u64,
}

impl<R: Read> Checked<R> {
    fn new(reader: R, expected: Expected) -> Self {
        Self { reader, expected, checksum: Crc::new(), n_bytes: 0 }
    }
}

impl<R: Read> Read for Checked<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        let n = self.reader.read(buffer)?;
        self.checksum.update(&buffer[..n]);
        self.n_bytes += n as u64;
        let is_short = n == 0 && self.n_bytes < self.expected.n_bytes;
        if is_short || self.n_bytes > self.expected.n_bytes {
            let problem = "its length is not that in the archive's directory";
            return Err(io::Error::new(io::ErrorKind::InvalidData, problem));
        }
        if n == 0 && self.checksum.sum() != self.expected.checksum {
            let problem = "its checksum is not that in the archive's directory";
            return Err(io::Error::new(io::ErrorKind::InvalidData, problem));
        }
        Ok(n)
    }
}
