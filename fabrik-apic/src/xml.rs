//! Rows from XML: an APIC answer, `<imdata totalCount="…">` with its objects nested as elements, or a tree of
//! objects without one.
//!
//! Elements are objects and XML attributes their attributes. Text, document types and entities of one's own have no
//! meaning there and are refused, so what an entity may grow into never matters.

use std::collections::VecDeque;
use std::fmt;
use std::io::{BufReader, Read};

use fabrik_core::{Error, Result, RowBatch, RowBatchBuilder, Value};
use quick_xml::Reader;
use quick_xml::errors::Error as XmlError;
use quick_xml::escape::unescape;
use quick_xml::events::{BytesStart, Event};

use crate::guard::{GuardedLines, READ_BYTES, is_too_long};
use crate::naming::RnFormat;
use crate::object::{ControllerError, ERROR_CLASS, KnownAttributes, ObjectProblem, PSEUDO_CLASS};
use crate::origin::Origin;
use crate::rows::{RowCount, parse_count};
use crate::unfold::Unfolder;

const BATCH_BYTES: usize = 512 << 10;

/// Reads the objects of an XML document, one element at a time.
pub(crate) struct XmlRows {
    reader: Reader<GuardedLines<BufReader<Box<dyn Read + Send>>>>,
    origin: Origin,
    offset: u64,
    unfolder: Unfolder,
    rows: RowBatchBuilder,
    buffer: Vec<u8>,
    count: RowCount,
    /// Elements that are open, the root included.
    depth: usize,
    has_imdata: bool,
    has_root: bool,
    is_at_end: bool,
}

impl XmlRows {
    /// `offset` is where `reader` stands in the input.
    pub(crate) fn new(reader: Box<dyn Read + Send>, offset: u64, origin: Origin, unfolder: Unfolder) -> Self {
        let lines = GuardedLines::new(BufReader::with_capacity(READ_BYTES, reader));
        Self {
            reader: Reader::from_reader(lines),
            origin,
            offset,
            unfolder,
            rows: RowBatchBuilder::default(),
            buffer: Vec::new(),
            count: RowCount::default(),
            depth: 0,
            has_imdata: false,
            has_root: false,
            is_at_end: false,
        }
    }

    /// Adds the next batches to `ready`, none of them empty; returns false after the last row.
    pub(crate) fn read_into(&mut self, ready: &mut VecDeque<RowBatch>) -> Result<bool> {
        while !self.is_at_end && self.rows.held_bytes() < BATCH_BYTES {
            self.read_event()?;
        }
        if self.rows.is_empty() {
            return Ok(false);
        }
        ready.push_back(self.rows.take());
        Ok(true)
    }

    /// Returns, after the last row, how many there were and were announced, and what read the objects.
    pub(crate) fn finish(self) -> (RowCount, Unfolder) {
        (self.count, self.unfolder)
    }

    fn read_event(&mut self) -> Result<()> {
        // Taken out, because the event borrows it while the rest of this is needed.
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.clear();
        self.reader.get_mut().begin_row();
        let place = (self.reader.get_ref().line(), self.reader.buffer_position());
        let event = self.reader.read_event_into(&mut buffer).map_err(|error| self.explain(error))?;
        let taken = match event {
            Event::Start(element) => self.begin_element(&element),
            Event::Empty(element) => self.begin_element(&element).and_then(|()| self.end_element()),
            Event::End(_) => self.end_element(),
            Event::Decl(declaration) => match declaration.encoding() {
                Some(Ok(encoding)) if !encoding.eq_ignore_ascii_case(b"utf-8") => Err(invalid(format!(
                    "the text is encoded as {}; expected UTF-8",
                    String::from_utf8_lossy(&encoding)
                ))),
                _ => Ok(()),
            },
            Event::Text(text) if text.iter().all(u8::is_ascii_whitespace) => Ok(()),
            Event::Text(_) | Event::CData(_) | Event::GeneralRef(_) => {
                Err(invalid("expected elements, which are objects, and found text between them"))
            }
            Event::DocType(_) => Err(invalid("it has a document type, which no answer has; it is not read")),
            Event::Comment(_) | Event::PI(_) => Ok(()),
            Event::Eof => self.end_document(),
        };
        taken.map_err(|problem| self.error_at(place, &problem))?;
        self.buffer = buffer;
        Ok(())
    }

    fn begin_element(&mut self, element: &BytesStart<'_>) -> Result<(), ObjectProblem> {
        let name = element.name();
        let class = std::str::from_utf8(name.as_ref()).map_err(|_| not_utf8())?;
        if self.depth == 0 {
            if self.has_root {
                return Err(invalid(format!("expected the end of the input, found another element, {class:?}")));
            }
            self.has_root = true;
            if class == PSEUDO_CLASS {
                self.has_imdata = true;
                self.depth = 1;
                return self.read_envelope(element);
            }
        }
        self.depth += 1;
        let top_depth = if self.has_imdata { 2 } else { 1 };
        if self.depth == top_depth {
            self.count.n_rows += 1;
        }
        if class == ERROR_CLASS {
            return Err(ObjectProblem::Controller(controller_error(element)?));
        }
        let rows = &mut self.rows;
        self.unfolder.begin_filled(rows, class, |rows, format| add_attributes(rows, element, format))
    }

    fn end_element(&mut self) -> Result<(), ObjectProblem> {
        self.depth = self.depth.saturating_sub(1);
        if self.depth == 0 && self.has_imdata {
            return Ok(());
        }
        self.unfolder.end(&mut self.rows)
    }

    fn end_document(&mut self) -> Result<(), ObjectProblem> {
        if self.depth > 0 {
            return Err(invalid(format!("the input ends inside {} open elements", self.depth)));
        }
        if !self.has_root {
            return Err(invalid("the input ends before its first element"));
        }
        self.is_at_end = true;
        Ok(())
    }

    /// Reads what an answer says of itself.
    fn read_envelope(&mut self, element: &BytesStart<'_>) -> Result<(), ObjectProblem> {
        for_each_attribute(element, |name, value| {
            if name == "totalCount" {
                let count = parse_count(value);
                let count = count.ok_or_else(|| invalid(format!("\"totalCount\" is {value:?}; expected a number")))?;
                if self.count.announced.replace(count).is_some() {
                    return Err(invalid("attribute \"totalCount\" is there twice"));
                }
            }
            Ok(())
        })
    }

    fn error_at(&self, (line, position): (u64, u64), problem: &ObjectProblem) -> Error {
        let offset = self.offset + position;
        let problem = match self.count.n_rows {
            0 => problem.to_string(),
            row => format!("row {row}: {problem}"),
        };
        self.origin.error(format!("line {line}, at byte {offset}: {problem}"))
    }

    fn explain(&self, error: XmlError) -> Error {
        let place = (self.reader.get_ref().line(), self.reader.error_position());
        match error {
            XmlError::Io(error) if is_too_long(&error) => {
                self.error_at(place, &invalid(error.get_ref().map_or_else(String::new, ToString::to_string)))
            }
            XmlError::Io(error) => {
                // The cause is shared with the reader, so its words have to do.
                let error = std::io::Error::new(error.kind(), error.to_string());
                self.origin.io_error(format!("reading failed after row {}", self.count.n_rows), error)
            }
            other => self.error_at(place, &invalid(format!("it is not well-formed XML: {other}"))),
        }
    }
}

impl fmt::Debug for XmlRows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("XmlRows").field("origin", &self.origin).field("count", &self.count).finish_non_exhaustive()
    }
}

/// Adds an element's attributes to the row under way.
fn add_attributes(
    rows: &mut RowBatchBuilder,
    element: &BytesStart<'_>,
    format: Option<&RnFormat>,
) -> Result<KnownAttributes<'static>, ObjectProblem> {
    let mut known = KnownAttributes::default();
    for_each_attribute(element, |name, value| {
        rows.attribute(name, Value::String(value));
        known.note_copy(name, value, format);
        Ok(())
    })?;
    Ok(known)
}

fn controller_error(element: &BytesStart<'_>) -> Result<ControllerError, ObjectProblem> {
    let mut error = ControllerError { code: String::new(), text: String::new() };
    for_each_attribute(element, |name, value| {
        match name {
            "code" => value.clone_into(&mut error.code),
            "text" => value.clone_into(&mut error.text),
            _ => {}
        }
        Ok(())
    })?;
    Ok(error)
}

/// Calls `each` with the name and the unescaped value of every attribute.
///
/// Line ends inside a value stay as they are: XML would have a reader make them blanks, but then the rows would
/// differ from those of the same answer in JSON.
fn for_each_attribute(
    element: &BytesStart<'_>,
    mut each: impl FnMut(&str, &str) -> Result<(), ObjectProblem>,
) -> Result<(), ObjectProblem> {
    let mut attributes = element.attributes();
    // A row refuses a name that is there twice, and does so without comparing each with each.
    for attribute in attributes.with_checks(false) {
        let attribute = attribute.map_err(|error| invalid(format!("an attribute cannot be read: {error}")))?;
        let name = std::str::from_utf8(attribute.key.as_ref()).map_err(|_| not_utf8())?;
        let raw = std::str::from_utf8(&attribute.value).map_err(|_| not_utf8())?;
        let value = unescape(raw).map_err(|error| invalid(format!("attribute {name:?}: {error}")))?;
        each(name, &value)?;
    }
    Ok(())
}

fn invalid(problem: impl Into<String>) -> ObjectProblem {
    ObjectProblem::Invalid(problem.into())
}

fn not_utf8() -> ObjectProblem {
    invalid("it is not valid UTF-8")
}

#[cfg(test)]
mod tests;
