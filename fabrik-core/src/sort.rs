//! Sorts rows by key in bounded memory.
//!
//! Rows collect in memory up to a limit. What goes beyond is sorted and set aside as a run in an unnamed
//! temporary file, and the runs are merged at the end: the external merge sort of Knuth, TAOCP 3, §5.4.
//! An unnamed file vanishes with the process, however that ends.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rayon::prelude::*;

use crate::error::{Error, Result};
use crate::key::{KeySpec, TAG_DN};
use crate::row::codec::put_varint;
use crate::row::{RowBatch, RowRef, Shape, ShapeTable};
use crate::tree::leaf::{LeafRows, compare_content};

/// How many samples of how many rows show what a capture is like.
const SAMPLES: usize = 64;
const SAMPLE_ROWS: usize = 24;

/// How much memory sorting may take, and where the rest goes.
#[derive(Clone, Debug)]
pub(crate) struct SortLimits {
    pub(crate) memory_bytes: usize,
    /// `None` keeps everything in memory.
    pub(crate) spill_dir: Option<PathBuf>,
}

/// Takes rows in any order.
#[derive(Debug)]
pub(crate) struct RowSorter {
    key: KeySpec,
    limits: SortLimits,
    shapes: ShapeTable,
    held: Held,
    held_bytes: usize,
    runs: Vec<File>,
    /// Taken when the first run was set aside.
    samples: Vec<LeafRows>,
}

/// Rows in memory.
#[derive(Debug, Default)]
struct Held {
    arenas: Vec<Arena>,
    slots: Vec<Slot>,
}

#[derive(Debug)]
struct Arena {
    values: Vec<u8>,
    /// Keys other than DNs, without their tags. A DN is read where it stands among the values.
    keys: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    arena: u32,
    shape: u32,
    key_start: u32,
    key_len: u32,
    values_start: u32,
    values_len: u32,
    tag: u8,
}

impl Held {
    fn key(&self, slot: Slot) -> (u8, &[u8]) {
        let arena = &self.arenas[slot.arena as usize];
        let bytes = if slot.tag == TAG_DN { &arena.values } else { &arena.keys };
        (slot.tag, &bytes[slot.key_start as usize..][..slot.key_len as usize])
    }

    fn values(&self, slot: Slot) -> &[u8] {
        &self.arenas[slot.arena as usize].values[slot.values_start as usize..][..slot.values_len as usize]
    }

    /// Takes some rows here and there, once they are sorted.
    fn samples(&self) -> Vec<LeafRows> {
        if self.slots.len() < SAMPLES * SAMPLE_ROWS {
            return Vec::new();
        }
        let mut key = Vec::new();
        let sample = |i: usize| {
            let start = i * (self.slots.len() - SAMPLE_ROWS) / SAMPLES;
            let mut rows = LeafRows::default();
            for &slot in &self.slots[start..start + SAMPLE_ROWS] {
                let (tag, bytes) = self.key(slot);
                key.clear();
                key.push(tag);
                key.extend_from_slice(bytes);
                rows.push(&key, slot.shape, self.values(slot));
            }
            rows
        };
        (0..SAMPLES).map(sample).collect()
    }

    fn sort(&mut self, shapes: &ShapeTable) {
        let mut slots = std::mem::take(&mut self.slots);
        slots.par_sort_unstable_by(|&before, &after| {
            self.key(before).cmp(&self.key(after)).then_with(|| {
                let row = |slot: Slot| RowRef { shape: shapes.get(slot.shape), values: self.values(slot) };
                compare_content(row(before), row(after))
            })
        });
        self.slots = slots;
    }
}

impl RowSorter {
    pub(crate) fn new(key: KeySpec, limits: SortLimits) -> Self {
        Self {
            key,
            limits,
            shapes: ShapeTable::default(),
            held: Held::default(),
            held_bytes: 0,
            runs: Vec::new(),
            samples: Vec::new(),
        }
    }

    /// Takes the rows of a batch.
    pub(crate) fn add(&mut self, batch: RowBatch) -> Result<()> {
        let too_large = || Error::invalid("row batch", format!("{} rows", batch.len()), "at most 4 GiB in one batch");
        let shapes: Vec<u32> = batch.shapes().iter().map(|shape| self.shapes.intern(shape)).collect();
        let arena = u32::try_from(self.held.arenas.len()).map_err(|_| too_large())?;
        let mut keys = Vec::new();
        let mut key = Vec::new();
        let start_of_values = batch.values().as_ptr() as usize;
        for (i, row) in batch.iter().enumerate() {
            let offset_of = |bytes: &[u8]| bytes.as_ptr() as usize - start_of_values;
            let dn = if matches!(self.key, KeySpec::Auto | KeySpec::Dn) { row.dn() } else { None };
            let (tag, key_start, key_len) = match dn {
                Some(dn) => (TAG_DN, offset_of(dn.as_bytes()), dn.len()),
                None => {
                    key.clear();
                    self.key.write_key(row, &mut key);
                    let start = keys.len();
                    keys.extend_from_slice(&key[1..]);
                    (key[0], start, key.len() - 1)
                }
            };
            let small = |number: usize| u32::try_from(number).map_err(|_| too_large());
            self.held.slots.push(Slot {
                arena,
                shape: shapes[batch.shape_index(i) as usize],
                key_start: small(key_start)?,
                key_len: small(key_len)?,
                values_start: small(if row.values.is_empty() { 0 } else { offset_of(row.values) })?,
                values_len: small(row.values.len())?,
                tag,
            });
        }
        self.held_bytes += batch.values().len() + keys.len() + batch.len() * size_of::<Slot>();
        self.held.arenas.push(Arena { values: batch.into_values(), keys });
        if self.held_bytes > self.limits.memory_bytes
            && let Some(dir) = self.limits.spill_dir.clone()
        {
            self.spill(&dir)?;
        }
        Ok(())
    }

    /// Takes one row.
    pub(crate) fn add_row(&mut self, key: &[u8], row: RowRef<'_>, shape: &Arc<Shape>) -> Result<()> {
        // Rows that come one by one are few: the leftovers of a comparison.
        const ARENA_BYTES: usize = 1 << 20;
        let shape = self.shapes.intern(shape);
        if self.held.arenas.last().is_none_or(|arena| arena.values.len() > ARENA_BYTES) {
            self.held.arenas.push(Arena { values: Vec::new(), keys: Vec::new() });
        }
        let index = self.held.arenas.len() - 1;
        let arena = &mut self.held.arenas[index];
        let bytes = if key[0] == TAG_DN { &mut arena.values } else { &mut arena.keys };
        let too_large = || Error::invalid("row", format!("{} bytes", row.values.len()), "at most 4 GiB");
        let small = |number: usize| u32::try_from(number).map_err(|_| too_large());
        let key_start = small(bytes.len())?;
        bytes.extend_from_slice(&key[1..]);
        let values_start = small(arena.values.len())?;
        arena.values.extend_from_slice(row.values);
        self.held.slots.push(Slot {
            arena: small(index)?,
            shape,
            key_start,
            key_len: small(key.len() - 1)?,
            values_start,
            values_len: small(row.values.len())?,
            tag: key[0],
        });
        self.held_bytes += key.len() + row.values.len() + size_of::<Slot>();
        if self.held_bytes > self.limits.memory_bytes
            && let Some(dir) = self.limits.spill_dir.clone()
        {
            self.spill(&dir)?;
        }
        Ok(())
    }

    /// Sorts what is in memory and sets it aside.
    fn spill(&mut self, dir: &Path) -> Result<()> {
        let failed = |source| Error::Spill { location: dir.display().to_string(), source };
        let mut held = std::mem::take(&mut self.held);
        self.held_bytes = 0;
        held.sort(&self.shapes);
        if self.runs.is_empty() {
            self.samples = held.samples();
        }
        let mut file = BufWriter::with_capacity(1 << 20, tempfile::tempfile_in(dir).map_err(failed)?);
        let mut head = Vec::new();
        for &slot in &held.slots {
            let (tag, key) = held.key(slot);
            head.clear();
            put_varint(&mut head, key.len() as u64 + 1);
            head.push(tag);
            head.extend_from_slice(key);
            put_varint(&mut head, u64::from(slot.shape));
            put_varint(&mut head, u64::from(slot.values_len));
            file.write_all(&head).map_err(failed)?;
            file.write_all(held.values(slot)).map_err(failed)?;
        }
        let mut file = file.into_inner().map_err(|error| failed(error.into_error()))?;
        file.seek(SeekFrom::Start(0)).map_err(failed)?;
        self.runs.push(file);
        Ok(())
    }

    /// Ends the input.
    pub(crate) fn finish(mut self) -> Result<SortedRows> {
        if let Some(dir) = self.limits.spill_dir.clone()
            && !self.runs.is_empty()
        {
            self.spill(&dir)?;
            let mut heads = BinaryHeap::with_capacity(self.runs.len());
            for file in self.runs {
                let mut head = Head {
                    input: BufReader::with_capacity(256 << 10, file),
                    location: dir.display().to_string(),
                    key: Vec::new(),
                    shape: 0,
                    names: None,
                    values: Vec::new(),
                };
                if head.advance(&self.shapes)? {
                    heads.push(head);
                }
            }
            let rows = Rows::Merged { heads, started: false, samples: self.samples };
            return Ok(SortedRows { shapes: self.shapes, rows });
        }
        self.held.sort(&self.shapes);
        Ok(SortedRows { shapes: self.shapes, rows: Rows::Held { held: self.held, next: 0, key: Vec::new() } })
    }
}

/// Rows in order of key, rows of one key in order of content.
#[derive(Debug)]
pub(crate) struct SortedRows {
    pub(crate) shapes: ShapeTable,
    rows: Rows,
}

#[derive(Debug)]
enum Rows {
    Held { held: Held, next: usize, key: Vec<u8> },
    Merged { heads: BinaryHeap<Head>, started: bool, samples: Vec<LeafRows> },
}

/// A row on its way out of the sorter.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SortedRow<'a> {
    pub(crate) key: &'a [u8],
    pub(crate) shape: u32,
    pub(crate) values: &'a [u8],
}

impl SortedRows {
    /// Returns what leaves from all over the key range look like; none when there are few rows.
    pub(crate) fn samples(&mut self) -> Vec<LeafRows> {
        match &mut self.rows {
            Rows::Held { held, .. } => held.samples(),
            Rows::Merged { samples, .. } => std::mem::take(samples),
        }
    }

    /// Returns the next row; `None` after the last.
    pub(crate) fn next(&mut self) -> Result<Option<SortedRow<'_>>> {
        match &mut self.rows {
            Rows::Held { held, next, key } => {
                let Some(&slot) = held.slots.get(*next) else { return Ok(None) };
                *next += 1;
                let (tag, bytes) = held.key(slot);
                key.clear();
                key.push(tag);
                key.extend_from_slice(bytes);
                Ok(Some(SortedRow { key, shape: slot.shape, values: held.values(slot) }))
            }
            Rows::Merged { heads, started, .. } => {
                if *started
                    && let Some(mut head) = heads.peek_mut()
                    && !head.advance(&self.shapes)?
                {
                    PeekMut::pop(head);
                }
                *started = true;
                Ok(heads.peek().map(|head| SortedRow { key: &head.key, shape: head.shape, values: &head.values }))
            }
        }
    }
}

/// The first row of a run that was not yet taken.
#[derive(Debug)]
struct Head {
    input: BufReader<File>,
    location: String,
    key: Vec<u8>,
    shape: u32,
    names: Option<Arc<Shape>>,
    values: Vec<u8>,
}

impl Head {
    /// Moves to the next row of the run; false at its end.
    fn advance(&mut self, shapes: &ShapeTable) -> Result<bool> {
        self.read(shapes).map_err(|source| Error::Spill { location: self.location.clone(), source })
    }

    fn read(&mut self, shapes: &ShapeTable) -> std::io::Result<bool> {
        use std::io::Read;
        if self.input.fill_buf()?.is_empty() {
            return Ok(false);
        }
        let fill = |input: &mut BufReader<File>, buffer: &mut Vec<u8>, len: u64| {
            buffer.clear();
            input.take(len).read_to_end(buffer).map(|_| ())
        };
        let len = read_varint(&mut self.input)?;
        fill(&mut self.input, &mut self.key, len)?;
        self.shape = u32::try_from(read_varint(&mut self.input)?).map_err(std::io::Error::other)?;
        self.names = Some(Arc::clone(shapes.get(self.shape)));
        let len = read_varint(&mut self.input)?;
        fill(&mut self.input, &mut self.values, len)?;
        Ok(true)
    }

    fn names(&self) -> &[u8] {
        self.names.as_ref().map_or(&[], |shape| shape.encoded())
    }
}

fn read_varint(input: &mut impl std::io::Read) -> std::io::Result<u64> {
    let (mut number, mut shift) = (0, 0);
    loop {
        let mut byte = [0];
        input.read_exact(&mut byte)?;
        number |= u64::from(byte[0] & 0x7f) << shift;
        if byte[0] < 0x80 {
            return Ok(number);
        }
        shift += 7;
    }
}

impl Ord for Head {
    /// Reversed, because the standard heap gives its greatest first.
    fn cmp(&self, other: &Self) -> Ordering {
        (&other.key, other.names(), &other.values).cmp(&(&self.key, self.names(), &self.values))
    }
}

impl PartialOrd for Head {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Head {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Head {}
