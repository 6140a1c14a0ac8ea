//! The members of a tar archive, in the order in which they arrive.
//!
//! Header fields are read by a library; the way from header to header is gone here, because the parsers own what
//! they read from. An archive that ends without its end mark is cut off, also where that is between two members.

use std::fmt;
use std::io::{self, Read};
use std::sync::{Arc, Mutex, PoisonError};

use fabrik_core::{Error, Result};
use tar::{EntryType, Header, PaxExtensions};

use super::Found;
use crate::origin::Origin;

const BLOCK_BYTES: usize = 512;
/// The longest description of a member: its name and times.
const MAX_DESCRIPTION_BYTES: u64 = 1 << 20;

/// The members that are left to read.
#[derive(Debug)]
pub(super) struct TarMembers {
    content: Arc<Mutex<Content>>,
    origin: Origin,
    is_at_end: bool,
}

/// The archive, and how much of the member under way is left in it.
struct Content {
    reader: Box<dyn Read + Send>,
    left: u64,
    padding: u64,
}

/// What headers before a member's own say of it.
#[derive(Default)]
struct Described {
    name: Option<String>,
    size: Option<u64>,
}

impl TarMembers {
    pub(super) fn new(reader: Box<dyn Read + Send>, origin: Origin) -> Self {
        let content = Content { reader, left: 0, padding: 0 };
        Self { content: Arc::new(Mutex::new(content)), origin, is_at_end: false }
    }

    /// Finds the next member that is a file.
    pub(super) fn next(&mut self) -> Result<Option<Found>> {
        if self.is_at_end {
            return Ok(None);
        }
        let content = Arc::clone(&self.content);
        // Whoever panicked while reading left nothing half done that matters here.
        let mut content = content.lock().unwrap_or_else(PoisonError::into_inner);
        let mut described = Described::default();
        loop {
            content.skip_rest().map_err(|error| self.failed(error))?;
            let mut block = [0; BLOCK_BYTES];
            content.reader.read_exact(&mut block).map_err(|error| self.failed(error))?;
            if block.iter().all(|byte| *byte == 0) {
                // To the very end, where a compression has its checksum.
                io::copy(&mut content.reader, &mut io::sink()).map_err(|error| self.failed(error))?;
                self.is_at_end = true;
                return Ok(None);
            }
            let header = Header::from_byte_slice(&block);
            let size = self.check(header)?;
            match header.entry_type() {
                EntryType::GNULongName => {
                    let name = self.read_description(&mut content, size)?;
                    let end = name.iter().position(|byte| *byte == 0).unwrap_or(name.len());
                    described.name = Some(String::from_utf8_lossy(&name[..end]).into_owned());
                }
                EntryType::XHeader => {
                    let text = self.read_description(&mut content, size)?;
                    self.read_extensions(&text, &mut described)?;
                }
                EntryType::GNULongLink | EntryType::XGlobalHeader => content.begin(size),
                kind => {
                    let Described { name, size: described_size } = std::mem::take(&mut described);
                    let name = name.unwrap_or_else(|| String::from_utf8_lossy(&header.path_bytes()).into_owned());
                    content.begin(described_size.unwrap_or(size));
                    // Before there were types, a slash at the end told a folder.
                    if kind == EntryType::Directory || (kind == EntryType::Regular && name.ends_with('/')) {
                        continue;
                    }
                    if kind == EntryType::GNUSparse {
                        return Err(self
                            .origin
                            .member(&name)
                            .error("it is packed as a sparse file; expected a plain one"));
                    }
                    if !matches!(kind, EntryType::Regular | EntryType::Continuous) {
                        return Ok(Some(Found::Other { name, why: "a link or device" }));
                    }
                    let reader = Box::new(MemberReader(Arc::clone(&self.content)));
                    return Ok(Some(Found::Data { name, reader }));
                }
            }
        }
    }

    /// Checks a header against its checksum and returns the size in it.
    fn check(&self, header: &Header) -> Result<u64> {
        const CHECKSUM: std::ops::Range<usize> = 148..156;
        let sum = |(place, byte): (usize, &u8)| u32::from(if CHECKSUM.contains(&place) { b' ' } else { *byte });
        let found: u32 = header.as_bytes().iter().enumerate().map(sum).sum();
        match (header.cksum(), header.entry_size()) {
            (Ok(expected), Ok(size)) if expected == found => Ok(size),
            _ => Err(self.origin.error("a header of the tar archive is damaged")),
        }
    }

    fn read_description(&self, content: &mut Content, size: u64) -> Result<Vec<u8>> {
        if size > MAX_DESCRIPTION_BYTES {
            return Err(self.origin.error(format!("a name in the tar archive has {size} bytes")));
        }
        content.begin(size);
        let mut text = Vec::new();
        content.by_ref().read_to_end(&mut text).map_err(|error| self.failed(error))?;
        Ok(text)
    }

    fn read_extensions(&self, text: &[u8], described: &mut Described) -> Result<()> {
        for extension in PaxExtensions::new(text) {
            let extension = extension.map_err(|error| self.failed(error))?;
            match extension.key_bytes() {
                b"path" => described.name = Some(String::from_utf8_lossy(extension.value_bytes()).into_owned()),
                b"size" => {
                    let size = extension.value().ok().and_then(|digits| digits.parse().ok());
                    let size = size.ok_or_else(|| self.origin.error("a size in the tar archive is no number"))?;
                    described.size = Some(size);
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn failed(&self, error: io::Error) -> Error {
        if error.kind() == io::ErrorKind::UnexpectedEof {
            return self.origin.io_error("the tar archive is cut off", error);
        }
        self.origin.io_error("reading the tar archive failed", error)
    }
}

impl Content {
    /// Sets how much of a member follows.
    fn begin(&mut self, size: u64) {
        self.left = size;
        let block = BLOCK_BYTES as u64;
        self.padding = (block - size % block) % block;
    }

    fn skip_rest(&mut self) -> io::Result<()> {
        io::copy(&mut self.by_ref(), &mut io::sink())?;
        let padding = io::copy(&mut (&mut self.reader).take(self.padding), &mut io::sink())?;
        if padding < self.padding {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.padding = 0;
        Ok(())
    }
}

impl Read for Content {
    /// Reads of the member under way.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let n = self.reader.read(&mut buffer[..wanted])?;
        if n == 0 && wanted > 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the archive ends in the middle of a member"));
        }
        self.left -= n as u64;
        Ok(n)
    }
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Content").field("left", &self.left).finish_non_exhaustive()
    }
}

/// Reads the member under way.
struct MemberReader(Arc<Mutex<Content>>);

impl Read for MemberReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).read(buffer)
    }
}
