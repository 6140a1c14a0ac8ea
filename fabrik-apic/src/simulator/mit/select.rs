//! Which objects a query hits, in the order in which it wants them.
//!
//! The order of work is that of the controller: the base set, widened by the target, cut by classes and filter,
//! replaced by what is included when the objects themselves are not wanted, sorted.

use std::borrow::Cow;
use std::cmp::{Ordering, Reverse};
use std::collections::HashSet;

use chrono::{DateTime, Utc};

use super::nest::Nest;
use super::tree::{NodeId, Tree};
use crate::simulator::class::ClassId;
use crate::simulator::evaluate::Key;
use crate::simulator::query::{Base, Order, Request, Target};

/// Returns all hits of a query, on all pages.
pub(super) fn select<'a>(tree: &'a Tree, request: &Request, now: DateTime<Utc>) -> Cow<'a, [NodeId]> {
    let mut hits = widen(tree, base(tree, &request.base), request.target);
    let cuts = request.target_classes.is_some() || request.filter.is_some() || request.time_range.is_some();
    if cuts {
        hits.to_mut().retain(|&id| passes(tree, request, id, now));
    }
    let include = &request.nesting.include;
    if (include.required || include.no_scoped)
        && let Some(nest) = Nest::new(tree, request, now)
    {
        if include.no_scoped {
            hits = distinct(hits.iter().flat_map(|&id| nest.flat(id)).collect()).into();
        } else {
            hits.to_mut().retain(|&id| nest.comes_with_something(id));
        }
    } else if include.required || include.no_scoped {
        hits = Cow::Borrowed(&[]);
    }
    if !request.order.is_empty() && !is_in_order(tree, request, &hits) {
        sort(tree, &request.order, hits.to_mut());
    }
    hits
}

fn base<'a>(tree: &'a Tree, base: &Base) -> Cow<'a, [NodeId]> {
    match base {
        Base::Object(dn) => tree.find(dn).into_iter().collect::<Vec<_>>().into(),
        Base::Classes { node: None, classes } => match classes.as_slice() {
            [class] => Cow::Borrowed(tree.of_class(*class)),
            classes => classes.iter().flat_map(|&class| tree.of_class(class)).copied().collect::<Vec<_>>().into(),
        },
        Base::Classes { node: Some(node), classes } => {
            let below = format!("{node}/");
            let itself = tree.find(node).filter(|&id| classes.contains(&tree.node(id).class_id()));
            let below = classes.iter().flat_map(|&class| tree.of_class_with_prefix(class, &below)).copied();
            itself.into_iter().chain(below).collect::<Vec<_>>().into()
        }
    }
}

fn widen<'a>(tree: &'a Tree, base: Cow<'a, [NodeId]>, target: Target) -> Cow<'a, [NodeId]> {
    match target {
        Target::Itself => base,
        Target::Children => distinct(base.iter().flat_map(|&id| tree.children(id)).collect()).into(),
        Target::Subtree => distinct(base.iter().flat_map(|&id| tree.subtree(id)).collect()).into(),
    }
}

/// Keeps the first of several that are the same: objects of a base set may be below one another.
fn distinct(mut ids: Vec<NodeId>) -> Vec<NodeId> {
    let mut seen = HashSet::with_capacity(ids.len());
    ids.retain(|&id| seen.insert(id));
    ids
}

fn passes(tree: &Tree, request: &Request, id: NodeId, now: DateTime<Utc>) -> bool {
    let node = tree.node(id);
    let class = node.class_id();
    request.target_classes.as_ref().is_none_or(|classes| classes.contains(&class))
        && request.filter.as_ref().is_none_or(|filter| filter.holds(class, node.body(), None))
        && is_in_time(tree, request, id, now)
}

/// Returns whether an object is none of a log or lies in the range of time that is asked for.
pub(super) fn is_in_time(tree: &Tree, request: &Request, id: NodeId, now: DateTime<Utc>) -> bool {
    let node = tree.node(id);
    let Some(range) = request.time_range else { return true };
    let is_log = matches!(node.class().name, "aaaModLR" | "eventRecord");
    !is_log || node.value("created").is_some_and(|created| range.contains(created, now))
}

/// Returns whether the hits come from the index of one class, which is in the wanted order already.
fn is_in_order(tree: &Tree, request: &Request, hits: &[NodeId]) -> bool {
    let by_dn = |class: ClassId| matches!(request.order[..], [Order { class: of, place, descending: false }] if of == class && place == class.get().dn);
    match &request.base {
        Base::Classes { node: None, classes } if request.target == Target::Itself => match classes.as_slice() {
            [class] => by_dn(*class) && hits.first().is_none_or(|&id| tree.node(id).class_id() == *class),
            _ => false,
        },
        _ => false,
    }
}

/// Sorts by the keys in turn, and by DN where they are equal, so that pages fit together.
fn sort(tree: &Tree, order: &[Order], hits: &mut [NodeId]) {
    // Turned about as a whole, so that one kind of key serves both directions.
    #[derive(PartialEq, Eq, PartialOrd, Ord)]
    enum Directed {
        Ascending(Option<Key>),
        Descending(Reverse<Option<Key>>),
    }
    let key = |id: NodeId, order: &Order| {
        let node = tree.node(id);
        let kind = order.class.get().attributes[order.place].kind;
        let key = (node.class_id() == order.class).then(|| Key::to_sort(kind, node.body().value(order.place)));
        if order.descending { Directed::Descending(Reverse(key)) } else { Directed::Ascending(key) }
    };
    let mut keyed: Vec<(Vec<Directed>, NodeId)> =
        hits.iter().map(|&id| (order.iter().map(|order| key(id, order)).collect(), id)).collect();
    let compare = |one: &(Vec<Directed>, NodeId), other: &(Vec<Directed>, NodeId)| -> Ordering {
        one.0.cmp(&other.0).then_with(|| tree.compare_dns(one.1, other.1))
    };
    keyed.sort_unstable_by(compare);
    for (place, (_, id)) in hits.iter_mut().zip(keyed) {
        *place = id;
    }
}
