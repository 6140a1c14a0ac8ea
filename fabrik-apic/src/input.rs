//! The bytes of an input: counted, decompressed, and with a look at how they begin.

use std::fmt;
use std::io::{self, BufReader, Cursor, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flate2::read::MultiGzDecoder;

/// How much of the text is looked at to tell its format.
const HEAD_BYTES: u64 = 64 << 10;
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];
/// Of a Zstandard frame: <https://www.rfc-editor.org/rfc/rfc8878#section-3.1.1>.
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// In the first header of a tar archive: <https://pubs.opengroup.org/onlinepubs/9799919799/utilities/pax.html>.
const TAR_MAGIC: &[u8] = b"ustar";
const TAR_MAGIC_AT: usize = 257;
/// Of a zip archive, and of one without members.
pub(crate) const ZIP_MAGICS: [[u8; 4]; 2] = [*b"PK\x03\x04", *b"PK\x05\x06"];
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// A readable input whose beginning is known.
pub(crate) struct Input {
    /// The first bytes of the text, at most [`HEAD_BYTES`]; a byte order mark is left out.
    pub(crate) head: Vec<u8>,
    /// Whether `head` is all there is.
    pub(crate) is_whole: bool,
    /// How many bytes of the text come before `head`.
    pub(crate) skipped_bytes: u64,
    rest: Box<dyn Read + Send>,
}

impl Input {
    /// Looks at the beginning of `reader` and undoes a compression found there.
    ///
    /// What is read from `reader` is counted in `read_bytes`, before decompression.
    pub(crate) fn open(reader: Box<dyn Read + Send>, read_bytes: Arc<AtomicU64>) -> io::Result<Self> {
        let mut reader = Counted::new(reader, read_bytes);
        let mut magic = Vec::new();
        (&mut reader).take(ZSTD_MAGIC.len() as u64).read_to_end(&mut magic)?;
        let is_gzip = magic.starts_with(&GZIP_MAGIC);
        let is_zstd = magic.starts_with(&ZSTD_MAGIC);
        let bytes = Cursor::new(magic).chain(reader);
        let mut rest: Box<dyn Read + Send> = if is_gzip {
            Box::new(MultiGzDecoder::new(BufReader::with_capacity(64 << 10, bytes)))
        } else if is_zstd {
            Box::new(zstd::Decoder::new(bytes)?)
        } else {
            Box::new(bytes)
        };

        let mut head = Vec::new();
        (&mut rest).take(HEAD_BYTES).read_to_end(&mut head)?;
        let is_whole = (head.len() as u64) < HEAD_BYTES;
        let mut skipped_bytes = 0;
        if head.starts_with(BYTE_ORDER_MARK) {
            head.drain(..BYTE_ORDER_MARK.len());
            skipped_bytes = BYTE_ORDER_MARK.len() as u64;
        }
        Ok(Self { head, is_whole, skipped_bytes, rest })
    }

    /// Returns whether it begins like an archive of files.
    pub(crate) fn begins_an_archive(&self) -> bool {
        self.begins_a_tar() || ZIP_MAGICS.iter().any(|magic| self.head.starts_with(magic))
    }

    /// Returns whether it begins like a tar archive.
    pub(crate) fn begins_a_tar(&self) -> bool {
        self.head.get(TAR_MAGIC_AT..).is_some_and(|text| text.starts_with(TAR_MAGIC))
    }

    /// Returns the text from its beginning.
    pub(crate) fn into_reader(self) -> Box<dyn Read + Send> {
        Box::new(Cursor::new(self.head).chain(self.rest))
    }
}

impl fmt::Debug for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Input").field("head_bytes", &self.head.len()).finish_non_exhaustive()
    }
}

/// Counts what is read.
#[derive(Debug)]
pub(crate) struct Counted<R> {
    reader: R,
    read_bytes: Arc<AtomicU64>,
}

impl<R> Counted<R> {
    pub(crate) fn new(reader: R, read_bytes: Arc<AtomicU64>) -> Self {
        Self { reader, read_bytes }
    }
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.reader.read(buffer)?;
        self.read_bytes.fetch_add(n as u64, Ordering::Relaxed);
        Ok(n)
    }
}
