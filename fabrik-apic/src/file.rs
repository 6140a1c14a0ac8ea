//! One file, whatever its form, as rows.

use std::collections::VecDeque;

use fabrik_core::{Result, RowBatch};

use crate::format::{Container, InputFormat};
use crate::framing::{RowSplitter, Sizes};
use crate::input::Input;
use crate::moquery::MoqueryRows;
use crate::naming::Naming;
use crate::origin::Origin;
use crate::rows::{JsonRows, RowCount, RowKind};
use crate::table::TableRows;
use crate::unfold::Unfolder;
use crate::xml::XmlRows;

/// Reads the rows of one file, or of one member of an archive.
#[derive(Debug)]
pub(crate) struct FileRows {
    reading: Reading,
    is_config_export: bool,
}

#[derive(Debug)]
enum Reading {
    Json(Box<JsonRows>),
    Xml(Box<XmlRows>),
    /// Forms that need no unfolder keep it for the next file.
    Table(Box<TableRows>, Box<Unfolder>),
    Moquery(Box<MoqueryRows>, Box<Unfolder>),
}

impl FileRows {
    /// Begins to read; `container` is what `input` was found to be, and not an archive. Objects of a configuration
    /// export are made one with those of earlier members where `is_member`.
    pub(crate) fn open(
        input: Input,
        container: Container,
        format: Option<InputFormat>,
        origin: Origin,
        sizes: Sizes,
        mut unfolder: Unfolder,
        is_member: bool,
    ) -> Result<Self> {
        let is_config_export = format == Some(InputFormat::ConfigExport) || container.is_config_tree(&input);
        let naming = if is_config_export { Naming::ByClass } else { Naming::AsSent };
        unfolder.begin_file(naming, is_config_export && is_member);
        let offset = input.skipped_bytes;
        let reader = input.into_reader();
        let reading = match container {
            Container::Table => Reading::Table(Box::new(TableRows::open(reader, origin)?), Box::new(unfolder)),
            Container::Moquery => Reading::Moquery(Box::new(MoqueryRows::new(reader, origin)), Box::new(unfolder)),
            Container::Xml => Reading::Xml(Box::new(XmlRows::new(reader, offset, origin, unfolder))),
            json => {
                let is_apic = matches!(json, Container::Envelope | Container::Trees)
                    || format.is_some_and(InputFormat::has_objects_only);
                let kind = is_apic.then_some(RowKind::Object);
                let splitter = RowSplitter::new(reader, offset, json, origin.clone(), sizes);
                Reading::Json(Box::new(JsonRows::new(splitter, origin, kind, unfolder)))
            }
        };
        Ok(Self { reading, is_config_export })
    }

    /// Adds the next batches to `ready`, none of them empty; returns false after the last row.
    pub(crate) fn read_into(&mut self, ready: &mut VecDeque<RowBatch>) -> Result<bool> {
        match &mut self.reading {
            Reading::Json(rows) => rows.read_into(ready),
            Reading::Xml(rows) => rows.read_into(ready),
            Reading::Moquery(rows, _) => rows.read_into(ready),
            Reading::Table(table, _) => {
                let batch = table.next_batch()?;
                let has_more = batch.is_some();
                ready.extend(batch);
                Ok(has_more)
            }
        }
    }

    /// Returns whether this is a tree of configuration, without the DNs that an answer has.
    pub(crate) fn is_config_export(&self) -> bool {
        self.is_config_export
    }

    /// Returns, after the last row, how many there were and were announced, and the unfolder for the next file.
    pub(crate) fn finish(self) -> (RowCount, Unfolder) {
        match self.reading {
            Reading::Json(rows) => rows.finish(),
            Reading::Xml(rows) => rows.finish(),
            Reading::Moquery(rows, unfolder) => (rows.finish(), *unfolder),
            Reading::Table(_, unfolder) => (RowCount::default(), *unfolder),
        }
    }
}
