//! The management information tree: every object of the fabric, found by its DN or its class.

mod body;
mod churn;
mod generate;
mod log;
mod nest;
mod select;
mod tree;

use chrono::{DateTime, Utc};

use super::class::{self, ClassId};
use super::error::ApicError;
use super::event::Event;
use super::query::Request;
use super::render::{Answer, Naming, Renderer, plain_object};
use super::write::{self, PostObject};
use crate::demo::{Churn, DemoFabric, write_time};

pub(crate) use generate::VERSION;

pub(super) use body::Body;
pub(super) use log::{Affected, Logbook, Transaction, creation_set, modification_set};
pub(super) use tree::{Node, NodeId, Tree, default_body};

/// What the fabric of a simulator is made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FabricOptions {
    /// Chooses one of 2^64 fabrics.
    pub seed: u64,
    /// How many objects it has; a fabric of fewer than some 2000 has more, so that it is whole.
    pub objects: usize,
    /// The moment it is at first.
    pub start: DateTime<Utc>,
}

/// Who changes something, and when.
#[derive(Clone, Debug)]
pub(crate) struct Author {
    /// The name of the user.
    pub(crate) user: String,
    /// The session, as the login told it.
    pub(crate) session_id: String,
    /// The moment.
    pub(crate) at: DateTime<Utc>,
}

/// The management information tree.
#[derive(Debug)]
pub(crate) struct Mit {
    tree: Tree,
    /// Where most objects come from and what happens to them by itself.
    fabric: DemoFabric,
    logbook: Logbook,
    now: DateTime<Utc>,
}

impl Mit {
    /// Makes the tree of a fabric.
    pub(crate) fn generate(options: &FabricOptions) -> Self {
        let generated = generate::generate(options);
        Self { tree: generated.tree, fabric: generated.fabric, logbook: generated.logbook, now: options.start }
    }

    /// Returns the number of objects.
    pub(crate) fn len(&self) -> usize {
        self.tree.len()
    }

    /// Returns the moment the fabric is at.
    pub(crate) fn now(&self) -> DateTime<Utc> {
        self.now
    }

    /// Answers a GET; an answer of more than `limit` objects, nested ones among them, is refused.
    pub(crate) fn query(&self, request: &Request, limit: usize) -> Result<Answer, ApicError> {
        let hits = select::select(&self.tree, request, self.now);
        let format = request.format();
        if request.nesting.include.count {
            let count = hits.len().to_string();
            let attributes =
                [("childAction", ""), ("count", &count), ("dn", "cnt"), ("modTs", "never"), ("status", "")];
            return Ok(Answer::of_one(format, &plain_object(format, "moCount", &attributes)));
        }
        let page = request.page.map_or(&*hits, |page| {
            let start = page.number.saturating_mul(page.size).min(hits.len());
            &hits[start..hits.len().min(start.saturating_add(page.size))]
        });
        if page.len() > limit {
            return Err(ApicError::too_big());
        }
        let size = page.first().map_or(0, |&id| self.tree.node(id).body().len() * 2);
        let out = Answer::room(size * page.len());
        let mut renderer = Renderer::new(out, format, request.properties, limit);
        let nest = nest::Nest::new(&self.tree, request, self.now);
        for &id in page {
            let node = self.tree.node(id);
            match &nest {
                Some(nest) => nest.render(id, &mut renderer)?,
                None => renderer.object(node, Naming::Dn, |_| Ok(()))?,
            }
        }
        Ok(Answer::new(format, hits.len(), renderer.into_inner()))
    }

    /// Carries out a POST, wholly or not at all, and returns what changed in order.
    ///
    /// `target` is the DN in the URL, `None` where the body holds the DNs.
    pub(crate) fn post(
        &mut self,
        target: Option<&str>,
        body: &PostObject,
        author: &Author,
    ) -> Result<Vec<Event>, ApicError> {
        let plan = write::plan_post(&self.tree, target, body)?;
        self.now = self.now.max(author.at);
        Ok(write::carry_out(&mut self.tree, &mut self.logbook, plan, author))
    }

    /// Removes an object and everything below it, and returns what changed in order: nothing where it is not there.
    pub(crate) fn delete(&mut self, dn: &str, author: &Author) -> Result<Vec<Event>, ApicError> {
        let plan = write::plan_delete(&self.tree, dn)?;
        self.now = self.now.max(author.at);
        Ok(write::carry_out(&mut self.tree, &mut self.logbook, plan, author))
    }

    /// Removes an object as it happens by itself: state may go, too, and nothing is written down about it.
    pub(crate) fn vanish(&mut self, dn: &str) -> Vec<Event> {
        let Some(id) = self.tree.find(dn) else { return Vec::new() };
        let mut events = Vec::new();
        let note = |tree: &Tree, id| events.push(Event::deleted(tree.node(id), classes_above(tree, id)));
        remove_subtree(&mut self.tree, id, note);
        events
    }

    /// Lets time pass and returns what happened in it, in order.
    pub(crate) fn advance(&mut self, to: DateTime<Utc>, churn: &Churn) -> Vec<Event> {
        let events = churn::advance(&mut self.tree, &mut self.fabric, &mut self.logbook, to, churn);
        self.now = self.now.max(self.fabric.now());
        events
    }
}

/// Returns a moment as a controller writes it.
pub(super) fn time_text(at: DateTime<Utc>) -> String {
    let mut text = String::new();
    write_time(at.timestamp_millis(), &mut text);
    text
}

/// Returns the classes above an object, the nearest first.
pub(super) fn classes_above(tree: &Tree, id: NodeId) -> Vec<ClassId> {
    tree.ancestors(id).map(|above| tree.node(above).class_id()).collect()
}

/// Removes an object and everything below it; `each` sees every one of them before, each before its children.
pub(super) fn remove_subtree(tree: &mut Tree, id: NodeId, mut each: impl FnMut(&Tree, NodeId)) {
    let ids: Vec<NodeId> = tree.subtree(id).collect();
    for &id in &ids {
        each(tree, id);
    }
    for &id in ids.iter().rev() {
        tree.remove(id);
    }
}

/// Returns the class of log records of changes.
pub(super) fn mod_lr() -> &'static class::Class {
    class::known("aaaModLR")
}

#[cfg(test)]
pub(super) mod tests;
