//! The records of what people change.

use std::collections::VecDeque;

use super::tree::{NodeId, Tree};
use super::{classes_above, mod_lr};
use crate::simulator::class::Class;
use crate::simulator::event::{Change, Event};

/// How many records are kept; older ones go.
const MOST_RECORDS: usize = 100_000;
/// The first record; ids are not counted from one.
const FIRST_ID: u64 = 4_294_967_297;
const FIRST_TRANSACTION: u64 = 576_460_752_300_000_001;

/// Writes the records.
#[derive(Debug)]
pub(crate) struct Logbook {
    next_id: u64,
    next_transaction: u64,
    /// The records there are, the oldest first.
    records: VecDeque<NodeId>,
}

/// What all records of one change have in common.
#[derive(Clone, Debug)]
pub(crate) struct Transaction<'a> {
    id: u64,
    user: &'a str,
    session_id: &'a str,
    /// The moment, as text.
    created: &'a str,
}

impl Default for Logbook {
    fn default() -> Self {
        Self { next_id: FIRST_ID, next_transaction: FIRST_TRANSACTION, records: VecDeque::new() }
    }
}

impl Logbook {
    /// Begins a change.
    pub(crate) fn begin<'a>(&mut self, user: &'a str, session_id: &'a str, created: &'a str) -> Transaction<'a> {
        self.next_transaction += 1;
        Transaction { id: self.next_transaction, user, session_id, created }
    }

    /// Writes the record of one changed object and returns the event that tells of it.
    pub(crate) fn record(&mut self, tree: &mut Tree, transaction: &Transaction<'_>, affected: &Affected) -> Event {
        let Affected { class, dn, name, change, change_set } = affected;
        let (ind, done) = match *change {
            Change::Created => ("creation", "created"),
            Change::Modified => ("modification", "modified"),
            Change::Deleted => ("deletion", "deleted"),
        };
        self.next_id += 1;
        let (id, transaction_id) = (self.next_id.to_string(), transaction.id.to_string());
        // One of three codes in a row for each class; the real numbers are in no public table.
        let code = format!("E{}", 4_210_000 + class.id.index() * 3 + *change as usize);
        let blank = if name.is_empty() { "" } else { " " };
        let set: [(&str, &str); 9] = [
            ("affected", dn),
            ("changeSet", change_set),
            ("code", &code),
            ("created", transaction.created),
            ("descr", &format!("{}{blank}{name} {done}", class.local_name())),
            ("ind", ind),
            ("sessionId", transaction.session_id),
            ("txId", &transaction_id),
            ("user", transaction.user),
        ];
        let node = tree.add(mod_lr(), &format!("subj-[{dn}]/mod-{id}"), "never", &set);
        self.records.push_back(node);
        while self.records.len() > MOST_RECORDS {
            if let Some(oldest) = self.records.pop_front() {
                tree.remove(oldest);
            }
        }
        Event::created(tree.node(node), classes_above(tree, node))
    }
}

/// A changed object, as a record speaks of it.
#[derive(Clone, Debug)]
pub(crate) struct Affected {
    class: &'static Class,
    dn: String,
    /// The value of its first naming property.
    name: String,
    change: Change,
    change_set: String,
}

impl Affected {
    /// Describes an object of the tree.
    pub(crate) fn of(tree: &Tree, id: NodeId, change: Change, change_set: String) -> Self {
        let node = tree.node(id);
        let class = node.class();
        let name = class.naming.first().map_or("", |&place| node.body().value(place)).to_owned();
        Self { class, dn: node.dn().to_owned(), name, change, change_set }
    }
}

/// Writes the change set of a new object: what it was given.
pub(crate) fn creation_set<'a>(values: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    values.map(|(name, value)| format!("{name}:{value}")).collect::<Vec<_>>().join(", ")
}

/// Writes the change set of a changed object: name, old and new value of each attribute.
pub(crate) fn modification_set<'a>(values: impl Iterator<Item = (&'a str, &'a str, &'a str)>) -> String {
    values
        .map(|(name, old, new)| match old {
            "" => format!("{name} (New: {new})"),
            _ => format!("{name} (Old: {old}, New: {new})"),
        })
        .collect::<Vec<_>>()
        .join(", ")
}
