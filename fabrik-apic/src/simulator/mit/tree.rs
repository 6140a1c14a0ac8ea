//! The objects, found by their DN, by their class and by their place below one another.

use std::cmp::Ordering;
use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashTable};
use rayon::prelude::*;

use super::body::Body;
use crate::dn;
use crate::simulator::class::{self, Class, ClassId, Role};

/// An object in the tree; another object gets the number when this one is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct NodeId(u32);

impl NodeId {
    /// Stands for no object.
    const NONE: Self = Self(u32::MAX);

    fn some(self) -> Option<Self> {
        (self != Self::NONE).then_some(self)
    }
}

/// An object and its neighbours.
#[derive(Debug)]
pub(crate) struct Node {
    body: Body,
    class: ClassId,
    parent: NodeId,
    first_child: NodeId,
    last_child: NodeId,
    previous: NodeId,
    next: NodeId,
}

impl Node {
    pub(crate) fn class(&self) -> &'static Class {
        self.class.get()
    }

    pub(crate) fn class_id(&self) -> ClassId {
        self.class
    }

    pub(crate) fn body(&self) -> &Body {
        &self.body
    }

    pub(crate) fn dn(&self) -> &str {
        self.body.value(self.class().dn)
    }

    /// Returns a value by the name of its attribute.
    pub(crate) fn value(&self, name: &str) -> Option<&str> {
        self.class().position(name).map(|place| self.body.value(place))
    }
}

/// All objects.
#[derive(Debug)]
pub(crate) struct Tree {
    nodes: Vec<Node>,
    free: Vec<NodeId>,
    by_dn: HashTable<NodeId>,
    hasher: DefaultHashBuilder,
    /// The objects of each class, ascending by DN once [`Tree::settle`] has run.
    by_class: Vec<Vec<NodeId>>,
    settled: bool,
}

impl Tree {
    /// Makes a tree to be filled by [`Tree::add`] and then to be settled.
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            nodes: Vec::with_capacity(capacity),
            free: Vec::new(),
            by_dn: HashTable::with_capacity(capacity),
            hasher: DefaultHashBuilder::default(),
            by_class: class::all().iter().map(|_| Vec::new()).collect(),
            settled: false,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.nodes.len() - self.free.len()
    }

    pub(crate) fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.0 as usize]
    }

    pub(crate) fn find(&self, dn: &str) -> Option<NodeId> {
        self.by_dn.find(self.hasher.hash_one(dn), |&id| self.node(id).dn() == dn).copied()
    }

    /// Returns the objects of a class, ascending by DN.
    pub(crate) fn of_class(&self, class: ClassId) -> &[NodeId] {
        &self.by_class[class.index()]
    }

    /// Returns the objects of a class whose DNs begin with `prefix`.
    pub(crate) fn of_class_with_prefix(&self, class: ClassId, prefix: &str) -> &[NodeId] {
        let ids = self.of_class(class);
        let start = ids.partition_point(|&id| self.node(id).dn() < prefix);
        let len = ids[start..].partition_point(|&id| self.node(id).dn().starts_with(prefix));
        &ids[start..start + len]
    }

    pub(crate) fn parent(&self, id: NodeId) -> Option<NodeId> {
        self.node(id).parent.some()
    }

    pub(crate) fn children(&self, id: NodeId) -> impl Iterator<Item = NodeId> {
        std::iter::successors(self.node(id).first_child.some(), |&child| self.node(child).next.some())
    }

    /// Returns an object and all below it, each before its children.
    pub(crate) fn subtree(&self, id: NodeId) -> impl Iterator<Item = NodeId> {
        let mut waiting = vec![id];
        std::iter::from_fn(move || {
            let next = waiting.pop()?;
            let from = waiting.len();
            waiting.extend(self.children(next));
            waiting[from..].reverse();
            Some(next)
        })
    }

    /// Returns the objects above, the nearest first.
    pub(crate) fn ancestors(&self, id: NodeId) -> impl Iterator<Item = NodeId> {
        std::iter::successors(self.parent(id), |&above| self.parent(above))
    }

    /// Adds an object with the values of its class's attributes in order. Its DN is not there yet.
    pub(crate) fn add_body(&mut self, class: ClassId, body: Body) -> NodeId {
        let none = NodeId::NONE;
        let node = Node { body, class, parent: none, first_child: none, last_child: none, previous: none, next: none };
        let hash = self.hasher.hash_one(node.dn());
        let id = match self.free.pop() {
            Some(id) => {
                self.nodes[id.0 as usize] = node;
                id
            }
            None => {
                let id = NodeId(u32::try_from(self.nodes.len()).expect("fewer than 2^32 objects fit into memory"));
                self.nodes.push(node);
                id
            }
        };
        let (nodes, hasher) = (&self.nodes, &self.hasher);
        self.by_dn.insert_unique(hash, id, |&id| hasher.hash_one(nodes[id.0 as usize].dn()));
        if self.settled {
            let parent = dn::parent(self.node(id).dn()).and_then(|dn| self.find(dn));
            self.link(id, parent);
            let place = self.place_in_class(id);
            self.by_class[class.index()].insert(place, id);
        } else {
            self.by_class[class.index()].push(id);
        }
        id
    }

    /// Adds an object with some of its values; the others are the naming ones of its DN and the class's defaults.
    ///
    /// Returns the object with this DN where there is one.
    pub(crate) fn add(&mut self, class: &'static Class, dn: &str, mod_ts: &str, set: &[(&str, &str)]) -> NodeId {
        match self.find(dn) {
            Some(id) => id,
            None => self.add_body(class.id, default_body(class, dn, mod_ts, set)),
        }
    }

    /// Finds an object, and makes it and those above it where it is missing and its class is plain from the DN.
    pub(crate) fn ensure(&mut self, dn: &str, mod_ts: &str) -> Option<NodeId> {
        if let Some(id) = self.find(dn) {
            return Some(id);
        }
        let parent_dn = dn::parent(dn);
        let parent = match parent_dn {
            Some(parent) => Some(self.ensure(parent, mod_ts)?),
            None => None,
        };
        let rn = parent_dn.map_or(dn, |parent| &dn[parent.len() + 1..]);
        let class = class::by_rn(parent.map(|id| self.node(id).class()), rn)?;
        Some(self.add(class, dn, mod_ts, &[]))
    }

    /// Gives an object other values; its DN stays.
    pub(crate) fn replace(&mut self, id: NodeId, body: Body) {
        self.nodes[id.0 as usize].body = body;
    }

    /// Removes an object that has no children.
    pub(crate) fn remove(&mut self, id: NodeId) {
        let place = self.place_in_class(id);
        let class = self.node(id).class;
        self.by_class[class.index()].remove(place);
        let hash = self.hasher.hash_one(self.node(id).dn());
        if let Ok(entry) = self.by_dn.find_entry(hash, |&have| have == id) {
            entry.remove();
        }
        self.unlink(id);
        self.free.push(id);
    }

    /// Makes the objects that are missing above others.
    pub(crate) fn complete(&mut self, mod_ts: &str) {
        for nth in 0..self.nodes.len() {
            let parent = dn::parent(self.nodes[nth].dn());
            if let Some(missing) = parent.filter(|dn| self.find(dn).is_none()).map(str::to_owned) {
                self.ensure(&missing, mod_ts);
            }
        }
    }

    /// Ends the filling: links the objects to those above them and puts everything in order.
    pub(crate) fn settle(&mut self, mod_ts: &str) {
        self.complete(mod_ts);
        for nth in 0..self.nodes.len() {
            let parent = dn::parent(self.nodes[nth].dn()).and_then(|dn| self.find(dn));
            self.link(NodeId(u32::try_from(nth).expect("the number of an object")), parent);
        }
        let mut by_class = std::mem::take(&mut self.by_class);
        for ids in &mut by_class {
            ids.par_sort_unstable_by(|&one, &other| self.compare_dns(one, other));
        }
        self.by_class = by_class;
        self.settled = true;
    }

    pub(crate) fn compare_dns(&self, one: NodeId, other: NodeId) -> Ordering {
        let bytes = |id| {
            let node = self.node(id);
            node.body.value_bytes(node.class().dn)
        };
        bytes(one).cmp(bytes(other))
    }

    fn place_in_class(&self, id: NodeId) -> usize {
        self.of_class(self.node(id).class).partition_point(|&other| self.compare_dns(other, id).is_lt())
    }

    fn link(&mut self, id: NodeId, parent: Option<NodeId>) {
        let Some(parent) = parent else { return };
        let previous = self.node(parent).last_child;
        let node = &mut self.nodes[id.0 as usize];
        (node.parent, node.previous) = (parent, previous);
        match previous.some() {
            Some(previous) => self.nodes[previous.0 as usize].next = id,
            None => self.nodes[parent.0 as usize].first_child = id,
        }
        self.nodes[parent.0 as usize].last_child = id;
    }

    fn unlink(&mut self, id: NodeId) {
        let Node { parent, previous, next, .. } = *self.node(id);
        let Some(parent) = parent.some() else { return };
        match previous.some() {
            Some(previous) => self.nodes[previous.0 as usize].next = next,
            None => self.nodes[parent.0 as usize].first_child = next,
        }
        match next.some() {
            Some(next) => self.nodes[next.0 as usize].previous = previous,
            None => self.nodes[parent.0 as usize].last_child = previous,
        }
    }
}

/// Makes the values of an object of which only some are known.
pub(crate) fn default_body(class: &Class, dn: &str, mod_ts: &str, set: &[(&str, &str)]) -> Body {
    let rn = dn::parent(dn).map_or(dn, |parent| &dn[parent.len() + 1..]);
    let naming = class.rn.values(rn).unwrap_or_default();
    Body::new(class.attributes.iter().enumerate().map(|(place, attribute)| {
        if place == class.dn {
            return dn;
        }
        if let Some((_, value)) = set.iter().find(|(name, _)| *name == attribute.name) {
            return value;
        }
        let named = class.naming.iter().zip(&naming).find(|(naming, _)| **naming == place);
        match named {
            Some((_, value)) if attribute.role == Role::Naming => value,
            _ if place == class.mod_ts => mod_ts,
            _ => attribute.default,
        }
    }))
}
