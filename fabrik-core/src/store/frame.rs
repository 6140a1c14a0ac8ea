//! Frames: how the bytes of a chunk lie in a store that keeps differences.
//!
//! | first byte | the rest |
//! | --- | --- |
//! | 0 | the bytes themselves |
//! | 1 | one zstd frame |
//! | 2 | one zstd frame that needs the bytes of the chunk's base as its prefix |
//! | 3 | the number of a dictionary (varint), one zstd frame that needs it |
//!
//! zstd frames are those of RFC 8878 and carry their content size. A prefix is what zstd's
//! `ZSTD_CCtx_refPrefix` means by it: content that the decoder is taken to have seen just before. A dictionary
//! is content of the same kind, made of chunks from all over the first tree of a series; it halves what a leaf
//! takes that stands alone.

use std::cell::RefCell;
use std::fmt;

use std::sync::{Arc, OnceLock};

use hashbrown::HashMap;
use zstd::zstd_safe::{self, CCtx, CDict, CParameter, DCtx, DDict};

use crate::row::codec::{Reader, put_varint};

const PLAIN: u8 = 0;
const ZSTD: u8 = 1;
const DELTA: u8 = 2;
const WITH_DICTIONARY: u8 = 3;

/// Level 3 packs whole leaves within a few percent of level 9, at several times its speed.
const LEVEL: i32 = 3;
/// Differences are few and short: a higher level costs little and saves a tenth.
const DELTA_LEVEL: i32 = 6;
/// No dictionary is longer. Half of it costs 5 % more space for first versions, twice of it saves 5 %.
const DICTIONARY_BYTES: usize = 512 << 10;
/// Fewer bytes of samples than this make no dictionary that would pay for itself.
const WORTHWHILE_BYTES: usize = 128 << 10;
/// No chunk is larger; a frame that claims to be is not one of ours.
const MAX_CHUNK_BYTES: u64 = 64 << 20;

/// Returns the number of the dictionary that a frame needs.
pub(crate) fn needs_dictionary(frame: &[u8]) -> Option<u64> {
    match frame.split_first() {
        Some((&WITH_DICTIONARY, rest)) => Reader::new(rest).varint().ok(),
        _ => None,
    }
}

/// Returns whether a frame can only be read next to its base.
pub(crate) fn needs_base(frame: &[u8]) -> bool {
    frame.first() == Some(&DELTA)
}

/// A dictionary ready for use.
pub(crate) struct Dictionary {
    number: u64,
    content: Vec<u8>,
    /// Made when the first chunk is packed: most processes only read.
    pack: OnceLock<CDict<'static>>,
    unpack: DDict<'static>,
}

impl fmt::Debug for Dictionary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dictionary").field("number", &self.number).finish_non_exhaustive()
    }
}

/// The dictionaries of a store, by number.
pub(crate) type Dictionaries = HashMap<u64, Arc<Dictionary>>;

impl Dictionary {
    pub(crate) fn new(number: u64, content: Vec<u8>) -> Self {
        Self { number, unpack: DDict::create(&content), content, pack: OnceLock::new() }
    }

    fn pack(&self) -> &CDict<'static> {
        self.pack.get_or_init(|| CDict::create(&self.content, LEVEL))
    }

    /// Makes the content of a dictionary from chunks like those to come, where that pays: when there is none
    /// yet, or the one there is does little for these.
    ///
    /// It is some of the samples, one after the other. Training one (zstd's FastCOVER) saves another 5 % of
    /// first versions and takes longer than all the rest of a first capture.
    pub(crate) fn make(samples: &[Vec<u8>], current: Option<&Self>) -> Option<Vec<u8>> {
        if samples.iter().map(Vec::len).sum::<usize>() < WORTHWHILE_BYTES {
            return None;
        }
        if let Some(current) = current {
            let mut packer = Packer::new(None);
            let mut with_current = Packer::new(Some(current));
            let tried = samples.iter().step_by(samples.len().div_ceil(16));
            let (alone, with) = tried.fold((0, 0), |(alone, with), chunk| {
                (alone + packer.pack(chunk, None).len(), with + with_current.pack(chunk, None).len())
            });
            if with * 5 < alone * 4 {
                return None;
            }
        }
        let mut content = Vec::with_capacity(DICTIONARY_BYTES);
        for sample in samples {
            if content.len() + sample.len() > DICTIONARY_BYTES {
                break;
            }
            content.extend_from_slice(sample);
        }
        Some(content)
    }
}

/// Packs chunks. Making one costs more than using it on a few KiB, so one is kept per thread at work.
pub(crate) struct Packer<'b> {
    context: CCtx<'b>,
    dictionary: Option<&'b Dictionary>,
}

impl fmt::Debug for Packer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Packer").finish_non_exhaustive()
    }
}

impl<'b> Packer<'b> {
    pub(crate) fn new(dictionary: Option<&'b Dictionary>) -> Self {
        Self { context: CCtx::create(), dictionary }
    }

    /// Packs `bytes`, as a difference to `base` where that is clearly shorter.
    pub(crate) fn pack(&mut self, bytes: &[u8], base: Option<&'b [u8]>) -> Vec<u8> {
        let Some(base) = base else { return self.pack_alone(bytes) };
        self.set_level(DELTA_LEVEL);
        self.context.ref_prefix(base).expect("a context between frames takes a prefix");
        let delta = self.compress(vec![DELTA], bytes);
        if delta.len() < bytes.len() / 16 {
            return delta;
        }
        // A difference that saves nearly nothing is not worth one more read each time.
        let alone = self.pack_alone(bytes);
        if delta.len() < alone.len() / 8 * 7 { delta } else { alone }
    }

    fn pack_alone(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.set_level(LEVEL);
        let frame = match self.dictionary {
            None => self.compress(vec![ZSTD], bytes),
            Some(dictionary) => {
                let mut head = vec![WITH_DICTIONARY];
                put_varint(&mut head, dictionary.number);
                self.context.ref_cdict(dictionary.pack()).expect("a context between frames takes a dictionary");
                let frame = self.compress(head, bytes);
                self.context.disable_dictionary().expect("a context between frames drops its dictionary");
                frame
            }
        };
        if frame.len() <= bytes.len() {
            return frame;
        }
        let mut plain = Vec::with_capacity(bytes.len() + 1);
        plain.push(PLAIN);
        plain.extend_from_slice(bytes);
        plain
    }

    fn set_level(&mut self, level: i32) {
        self.context.set_parameter(CParameter::CompressionLevel(level)).expect("the level is one that zstd has");
        // The store knows which dictionary a frame needs.
        self.context.set_parameter(CParameter::DictIdFlag(false)).expect("zstd has this flag");
    }

    /// Appends a zstd frame to `frame`.
    fn compress(&mut self, mut frame: Vec<u8>, bytes: &[u8]) -> Vec<u8> {
        let head = frame.len();
        frame.resize(head + zstd_safe::compress_bound(bytes.len()), 0);
        let written = self.context.compress2(&mut frame[head..], bytes);
        frame.truncate(head + written.expect("zstd compresses anything into a buffer of its own bound"));
        frame.shrink_to_fit();
        frame
    }
}

thread_local! {
    /// Making a context takes longer than unpacking a leaf.
    static UNPACK: RefCell<DCtx<'static>> = RefCell::new(DCtx::create());
}

/// Returns the bytes of a frame, or what is wrong with it.
pub(crate) fn unpack(frame: &[u8], base: Option<&[u8]>, dictionaries: &Dictionaries) -> Result<Vec<u8>, String> {
    let (&kind, mut packed) = frame.split_first().ok_or("its frame is empty")?;
    let mut dictionary = None;
    match kind {
        PLAIN => return Ok(packed.to_vec()),
        ZSTD | DELTA => {}
        WITH_DICTIONARY => {
            let mut reader = Reader::new(packed);
            let number = reader.varint()?;
            packed = &packed[reader.position()..];
            dictionary = Some(dictionaries.get(&number).ok_or_else(|| format!("dictionary {number} is missing"))?);
        }
        _ => return Err("its frame has an unknown kind".into()),
    }
    let size = match zstd_safe::get_frame_content_size(packed) {
        Ok(Some(size)) if size <= MAX_CHUNK_BYTES => usize::try_from(size).map_err(|error| error.to_string())?,
        _ => return Err("its frame does not say a possible size".into()),
    };
    let mut bytes = Vec::with_capacity(size);
    let unpacked = UNPACK.with_borrow_mut(|context| match (kind, dictionary) {
        (DELTA, _) => {
            // Content without a dictionary's magic number is taken as a prefix: a node starts with 1 or 2.
            let base = base.ok_or("its frame needs a base and has none")?;
            Ok(context.decompress_using_dict(&mut bytes, packed, base))
        }
        (_, Some(dictionary)) => Ok(context.decompress_using_ddict(&mut bytes, packed, &dictionary.unpack)),
        _ => Ok::<_, String>(context.decompress(&mut bytes, packed)),
    })?;
    match unpacked {
        Ok(len) if len == size => Ok(bytes),
        Ok(len) => Err(format!("its frame holds {len} bytes in place of {size}")),
        Err(code) => Err(format!("its frame cannot be unpacked: {}", zstd_safe::get_error_name(code))),
    }
}
