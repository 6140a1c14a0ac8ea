//! Objects that arrive one by one, parents before children, become rows.
//!
//! This is the slow and thorough way, for trees that are too large to be held and for configuration exports. There
//! one object may stand in several files, since each holds the objects of one shard and their ancestors. The first
//! [`MERGED_LEVELS`] levels are therefore held back until the end of the last file and merged by DN; what lies deeper
//! belongs to one shard, and goes on at once.

mod merged;

use std::borrow::Cow;

use fabrik_core::{RowBatch, RowBatchBuilder, RowRef};

use crate::dn;
use crate::naming::{Naming, RnFormat};
use crate::object::{
    self, KnownAttributes, ObjectProblem, Place, Placer, check_level, finish_object, push_attributes, push_one, walk,
};
use merged::MergedRows;

/// How many levels below the root above all roots may occur in several files: `uni`, `uni/tn-a`, `uni/tn-a/ap-b`.
const MERGED_LEVELS: usize = 3;

/// Turns the objects of one tree, or of several that are to become one, into rows.
#[derive(Debug, Default)]
pub(crate) struct Unfolder {
    adder: RowAdder,
    /// The objects above the next one.
    open: Vec<Open>,
}

/// An object whose children are being read.
#[derive(Debug)]
struct Open {
    place: Place<'static>,
    /// The class of a root whose attributes were not seen yet.
    without_attributes: Option<String>,
}

impl Unfolder {
    /// Names objects by `naming`.
    pub(crate) fn new(naming: Naming) -> Self {
        Self { adder: RowAdder { placer: Placer::new(naming), ..RowAdder::default() }, open: Vec::new() }
    }

    /// Begins another file: its objects are named by `naming`, and made one with those of earlier files if
    /// `is_merging`.
    pub(crate) fn begin_file(&mut self, naming: Naming, is_merging: bool) {
        self.open.clear();
        self.adder.placer.naming = naming;
        self.adder.is_merging = is_merging;
    }

    /// Returns whether objects need nothing but what each carries, so that they may be read side by side.
    pub(crate) fn is_plain(&self) -> bool {
        self.adder.placer.naming == Naming::AsSent && !self.adder.is_merging
    }

    /// Begins an object whose attributes are the text of a JSON object.
    pub(crate) fn begin(
        &mut self,
        rows: &mut RowBatchBuilder,
        class: &str,
        attributes: &str,
    ) -> Result<(), ObjectProblem> {
        let attributes = repaired(attributes);
        self.begin_with(rows, |rows, parent, placer| push_attributes(rows, class, &attributes, parent, placer))
    }

    /// Begins an object whose attributes `fill` adds to the row under way; it gets the format of the class's names.
    pub(crate) fn begin_filled<'a>(
        &mut self,
        rows: &mut RowBatchBuilder,
        class: &str,
        fill: impl FnOnce(&mut RowBatchBuilder, Option<&RnFormat>) -> Result<KnownAttributes<'a>, ObjectProblem>,
    ) -> Result<(), ObjectProblem> {
        self.begin_with(rows, |rows, parent, placer| {
            let known = fill(rows, placer.naming.format_of(class)).inspect_err(|_| rows.discard_row())?;
            finish_object(rows, class, known, parent, placer)
        })
    }

    /// Begins a root whose attributes follow its children, or that has none.
    pub(crate) fn begin_root(&mut self, class: &str) -> Result<(), ObjectProblem> {
        check_level(self.open.len() + 1)?;
        let parent = self.open.last().map_or(&Place::Top, |open| &open.place);
        let place = Placer::new(Naming::ByClass).place(class, KnownAttributes::default(), parent);
        self.open.push(Open { place: place.into_owned(), without_attributes: Some(class.to_owned()) });
        Ok(())
    }

    /// Adds the attributes of a root that was begun without them.
    pub(crate) fn add_root_attributes(
        &mut self,
        rows: &mut RowBatchBuilder,
        attributes: &str,
    ) -> Result<(), ObjectProblem> {
        let Some(Open { place, without_attributes: Some(class) }) = self.open.pop() else {
            return Err(ObjectProblem::Invalid("its attributes are there twice".to_owned()));
        };
        let naming = std::mem::replace(&mut self.adder.placer.naming, Naming::ByClass);
        let begun = self.begin(rows, &class, attributes);
        self.adder.placer.naming = naming;
        begun?;
        // Its children were placed by its class before its attributes were known.
        let found = self.open.last().and_then(|open| open.place.dn());
        if found == place.dn() {
            return Ok(());
        }
        Err(ObjectProblem::Invalid(format!(
            "the object of class {class:?} has the DN {:?} in attributes behind its children; expected {:?}",
            found.unwrap_or_default(),
            place.dn().unwrap_or_default(),
        )))
    }

    /// Ends the object that was begun last.
    pub(crate) fn end(&mut self, rows: &mut RowBatchBuilder) -> Result<(), ObjectProblem> {
        if self.open.last().is_some_and(|open| open.without_attributes.is_some()) {
            self.add_root_attributes(rows, "{}")?;
        }
        self.open.pop();
        Ok(())
    }

    /// Adds an object, given as a whole, and everything below it.
    pub(crate) fn add_whole(&mut self, rows: &mut RowBatchBuilder, text: &str) -> Result<(), ObjectProblem> {
        let text = repaired(text);
        let Self { adder, open } = self;
        let parent = open.last().map_or(&Place::Top, |open| &open.place);
        walk(&text, parent, open.len() + 1, |text, parent, level| {
            adder.add_row(rows, level, |rows, placer| push_one(rows, text, parent, placer))
        })
    }

    /// Hands out the rows that were held back, when all files are read; `None` when there are no more.
    pub(crate) fn next_merged(&mut self) -> Option<RowBatch> {
        self.adder.merged.next_batch()
    }

    /// Says which objects could not be placed, and below which DNs they belong, where that is known of all of them.
    pub(crate) fn unplaced(&self) -> Option<(String, Vec<String>)> {
        self.adder.placer.report()
    }

    fn begin_with<'a>(
        &mut self,
        rows: &mut RowBatchBuilder,
        push: impl FnOnce(&mut RowBatchBuilder, &Place<'_>, &mut Placer) -> Result<Place<'a>, ObjectProblem>,
    ) -> Result<(), ObjectProblem> {
        let Self { adder, open } = self;
        let level = open.len() + 1;
        check_level(level)?;
        let parent = open.last().map_or(&Place::Top, |open| &open.place);
        let place = adder.add_row(rows, level, |rows, placer| push(rows, parent, placer))?.into_owned();
        open.push(Open { place, without_attributes: None });
        Ok(())
    }
}

/// Puts each row where it belongs: among those that may come again, or to those that go on.
#[derive(Debug, Default)]
struct RowAdder {
    placer: Placer,
    is_merging: bool,
    merged: MergedRows,
    /// For a row of which it is not known yet where it goes.
    scratch: RowBatchBuilder,
}

impl RowAdder {
    fn add_row<T>(
        &mut self,
        rows: &mut RowBatchBuilder,
        level: usize,
        push: impl FnOnce(&mut RowBatchBuilder, &mut Placer) -> Result<T, ObjectProblem>,
    ) -> Result<T, ObjectProblem> {
        // One level more, as the root above all roots may be there or not.
        if !self.is_merging || level > MERGED_LEVELS + 1 {
            return push(rows, &mut self.placer);
        }
        let pushed = push(&mut self.scratch, &mut self.placer)?;
        for row in self.scratch.take().iter() {
            let may_come_again = row.dn().is_some_and(|dn| dn::split(dn).count() <= MERGED_LEVELS);
            if !may_come_again || !self.merged.take(row) {
                copy_row(row, rows);
            }
        }
        Ok(pushed)
    }
}

/// Adds a row that was one before.
fn copy_row(row: RowRef<'_>, rows: &mut RowBatchBuilder) {
    for (name, value) in row.attributes() {
        rows.attribute(name, value);
    }
    rows.finish_row().expect("a row of a batch has kept the limits and has no name twice");
}

/// Undoes an escape that JSON does not have and some controllers send.
fn repaired(text: &str) -> Cow<'_, str> {
    match text.contains(r"\'") {
        true => object::repair_escapes(text).map_or(Cow::Borrowed(text), Cow::Owned),
        false => Cow::Borrowed(text),
    }
}

#[cfg(test)]
mod tests;
