//! What comes with a hit: objects below it, and records about it.

use chrono::{DateTime, Utc};

use super::select::is_in_time;
use super::tree::{Node, NodeId, Tree};
use crate::dn;
use crate::simulator::class::{self, ClassId};
use crate::simulator::error::ApicError;
use crate::simulator::query::{Depth, Included, Nesting, Request};
use crate::simulator::render::{Naming, Renderer};

/// The rules by which one query nests.
#[derive(Debug)]
pub(super) struct Nest<'a> {
    tree: &'a Tree,
    request: &'a Request,
    now: DateTime<Utc>,
}

/// An object to nest, and what of the objects below it.
#[derive(Debug)]
struct Kept {
    id: NodeId,
    below: Below,
}

#[derive(Debug)]
enum Below {
    Everything,
    These(Vec<Kept>),
}

impl Below {
    fn is_empty(&self) -> bool {
        matches!(self, Self::These(kept) if kept.is_empty())
    }
}

impl<'a> Nest<'a> {
    /// Returns `None` where nothing comes with a hit. Included objects that are the hits themselves do not.
    pub(super) fn new(tree: &'a Tree, request: &'a Request, now: DateTime<Utc>) -> Option<Self> {
        let nesting = &request.nesting;
        let nests = nesting.depth != Depth::Nothing || !nesting.include.kinds.is_empty();
        nests.then_some(Self { tree, request, now })
    }

    /// Writes a hit with what comes with it.
    pub(super) fn render(&self, id: NodeId, renderer: &mut Renderer) -> Result<(), ApicError> {
        let node = self.tree.node(id);
        if self.nesting().include.no_scoped {
            return renderer.object(node, Naming::Dn, |_| Ok(()));
        }
        renderer.object(node, Naming::Dn, |renderer| {
            match self.below(id, true) {
                Below::Everything => self.render_children(id, renderer)?,
                Below::These(kept) => self.render_kept(&kept, renderer)?,
            }
            for record in self.records(id) {
                let record = self.tree.node(record);
                let rn = dn::split(record.dn()).last().unwrap_or_default().to_owned();
                renderer.object(record, Naming::Both(&rn), |_| Ok(()))?;
            }
            Ok(())
        })
    }

    /// Returns whether anything comes with a hit.
    pub(super) fn comes_with_something(&self, id: NodeId) -> bool {
        let below = match self.below(id, true) {
            Below::Everything => self.tree.children(id).next().is_some(),
            below @ Below::These(_) => !below.is_empty(),
        };
        below || self.records(id).next().is_some()
    }

    /// Returns what comes with a hit, without the objects that only lead there.
    pub(super) fn flat(&self, id: NodeId) -> Vec<NodeId> {
        let nesting = self.nesting();
        let nothing_special = nesting.include.kinds.is_empty();
        let deep = nesting.include.subtree || nesting.depth == Depth::Full;
        let candidates: Vec<NodeId> =
            if deep { self.tree.subtree(id).skip(1).collect() } else { self.tree.children(id).collect() };
        let wanted = |id: &NodeId| {
            let node = self.tree.node(*id);
            (nothing_special || self.includes(node)) && self.matches(node)
        };
        let records = self.records(id).filter(|&id| self.matches(self.tree.node(id)));
        candidates.into_iter().filter(wanted).chain(records).collect()
    }

    fn nesting(&self) -> &'a Nesting {
        &self.request.nesting
    }

    /// Picks from what is below an object; `top` is true for a hit.
    fn below(&self, id: NodeId, top: bool) -> Below {
        let nesting = self.nesting();
        let restricted = nesting.classes.is_some() || nesting.filter.is_some();
        if nesting.depth == Depth::Full && !restricted {
            return Below::Everything;
        }
        let reaches = match nesting.depth {
            Depth::Nothing => false,
            Depth::Children => top,
            Depth::Full => true,
        };
        let includes = top || nesting.include.subtree;
        let deeper = nesting.depth == Depth::Full || (nesting.include.subtree && !nesting.include.kinds.is_empty());
        let kept = self.tree.children(id).filter_map(|id| {
            let node = self.tree.node(id);
            let matched = reaches && self.matches(node);
            if matched && nesting.depth == Depth::Full {
                // A match keeps its own subtree, as in the controller's own evaluator.
                return Some(Kept { id, below: Below::Everything });
            }
            let below = if deeper { self.below(id, false) } else { Below::These(Vec::new()) };
            let wanted = matched || (includes && self.includes(node));
            // What leads to something wanted stays, whatever it is.
            (wanted || !below.is_empty()).then_some(Kept { id, below })
        });
        Below::These(kept.collect())
    }

    fn matches(&self, node: &Node) -> bool {
        let nesting = self.nesting();
        nesting.classes.as_ref().is_none_or(|classes| classes.contains(&node.class_id()))
            && nesting.filter.as_ref().is_none_or(|filter| filter.holds(node.class_id(), node.body(), None))
    }

    fn includes(&self, node: &Node) -> bool {
        self.nesting().include.kinds.iter().any(|kind| match kind {
            Included::Health => node.class().name == "healthInst",
            Included::Faults => node.class().name == "faultInst",
            Included::Relations => node.class().is_relation(),
            Included::AuditLogs | Included::EventLogs | Included::Absent => false,
        })
    }

    /// Returns the log records about an object, and about what is below it when that is asked for.
    fn records(&self, id: NodeId) -> impl Iterator<Item = NodeId> {
        let tree = self.tree;
        let dn = tree.node(id).dn();
        let include = &self.nesting().include;
        let classes = include.kinds.iter().filter_map(|kind| -> Option<ClassId> {
            match kind {
                Included::AuditLogs => Some(class::known("aaaModLR").id),
                Included::EventLogs => Some(class::known("eventRecord").id),
                Included::Health | Included::Faults | Included::Relations | Included::Absent => None,
            }
        });
        // The records stand in the order of their DNs, which begin with the object they are about.
        let prefixes = [Some(format!("subj-[{dn}]/")), include.subtree.then(|| format!("subj-[{dn}/"))];
        let request = self.request;
        let now = self.now;
        classes
            .flat_map(move |class| {
                let of_prefix = |prefix: &String| tree.of_class_with_prefix(class, prefix).to_vec();
                prefixes.iter().flatten().flat_map(of_prefix).collect::<Vec<_>>()
            })
            .filter(move |&id| is_in_time(tree, request, id, now))
    }

    fn render_children(&self, id: NodeId, renderer: &mut Renderer) -> Result<(), ApicError> {
        for child in self.tree.children(id) {
            let node = self.tree.node(child);
            renderer.object(node, Naming::Rn(self.rn(child)), |renderer| self.render_children(child, renderer))?;
        }
        Ok(())
    }

    fn render_kept(&self, kept: &[Kept], renderer: &mut Renderer) -> Result<(), ApicError> {
        for Kept { id, below } in kept {
            let node = self.tree.node(*id);
            renderer.object(node, Naming::Rn(self.rn(*id)), |renderer| match below {
                Below::Everything => self.render_children(*id, renderer),
                Below::These(kept) => self.render_kept(kept, renderer),
            })?;
        }
        Ok(())
    }

    fn rn(&self, id: NodeId) -> &'a str {
        let dn = self.tree.node(id).dn();
        let parent = self.tree.parent(id).map_or(0, |parent| self.tree.node(parent).dn().len() + 1);
        &dn[parent..]
    }
}
