//! What happens by itself while time passes.
//!
//! The demo fabric decides what happens; here it is carried over to the tree, which people may have changed
//! meanwhile: what they removed stays away, and only attributes that the demo fabric changes are changed.

use chrono::{DateTime, Utc};

use super::body::Body;
use super::generate::{DemoReader, user_of};
use super::log::{Affected, Logbook, creation_set, modification_set};
use super::tree::{NodeId, Tree};
use super::{classes_above, remove_subtree, time_text};
use crate::demo::{Churn, DemoFabric};
use crate::simulator::class::{self, Class, Role};
use crate::simulator::event::{Change, Event};

/// Lets time pass and returns what happened.
pub(super) fn advance(
    tree: &mut Tree,
    fabric: &mut DemoFabric,
    logbook: &mut Logbook,
    to: DateTime<Utc>,
    churn: &Churn,
) -> Vec<Event> {
    let before = fabric.clone();
    let (_, step) = fabric.advance_with_ids(to, churn);
    let end = time_text(fabric.now());
    let mut carrier = Carrier { tree, logbook, reader: DemoReader::default(), end, events: Vec::new() };
    for id in step.removed {
        carrier.remove(&before.dn(id));
    }
    for id in step.changed.into_iter().chain(step.touched) {
        carrier.change(&before, fabric, id);
    }
    for id in step.added {
        carrier.create(fabric, id);
    }
    carrier.events
}

/// Carries changes over to the tree.
#[derive(Debug)]
struct Carrier<'a> {
    tree: &'a mut Tree,
    logbook: &'a mut Logbook,
    reader: DemoReader,
    /// The end of the step, as text.
    end: String,
    events: Vec<Event>,
}

impl Carrier<'_> {
    fn remove(&mut self, dn: &str) {
        let Some(id) = self.tree.find(dn) else { return };
        let affected = Affected::of(self.tree, id, Change::Deleted, String::new());
        let is_config = self.tree.node(id).class().is_config;
        let at = self.end.clone();
        let events = &mut self.events;
        remove_subtree(self.tree, id, |tree, id| events.push(Event::deleted(tree.node(id), classes_above(tree, id))));
        if is_config {
            self.record(&affected, dn, &at);
        }
    }

    fn change(&mut self, before: &DemoFabric, after: &DemoFabric, id: u32) {
        let class = class::known(after.class_name(id));
        let old = self.reader.body(before, id, class);
        let new = self.reader.body(after, id, class);
        let Some(id) = self.tree.find(new.value(class.dn)) else { return };
        let changed: Vec<usize> =
            (0..class.attributes.len()).filter(|&place| old.value(place) != new.value(place)).collect();
        self.replace(id, class, &new, &changed);
        if class.name == "fvCEp" && class.position("ip").is_some_and(|place| changed.contains(&place)) {
            self.readdress(id, old.value(class.position("ip").unwrap_or(0)).to_owned().as_str());
        }
    }

    /// Gives an object the values that have changed, with the event and the record of it.
    fn replace(&mut self, id: NodeId, class: &Class, new: &Body, changed: &[usize]) {
        let current = self.tree.node(id).body();
        let values: Vec<(usize, String)> = changed.iter().map(|&place| (place, new.value(place).to_owned())).collect();
        let config = changed.iter().filter(|&&place| class.attributes[place].role == Role::Config);
        let set = modification_set(
            config.map(|&place| (class.attributes[place].name, current.value(place), new.value(place))),
        );
        let body = current.with(&values);
        self.tree.replace(id, body);
        self.events.push(Event::modified(self.tree.node(id), changed, classes_above(self.tree, id)));
        if class.is_config && !set.is_empty() {
            let affected = Affected::of(self.tree, id, Change::Modified, set);
            self.record(&affected, new.value(class.dn), new.value(class.mod_ts));
        }
    }

    fn create(&mut self, fabric: &DemoFabric, id: u32) {
        let class = class::known(fabric.class_name(id));
        let body = self.reader.body(fabric, id, class);
        let dn = body.value(class.dn).to_owned();
        // What people made in the meantime stays theirs, and below what they removed nothing grows.
        let parent = crate::dn::parent(&dn).map(str::to_owned);
        if self.tree.find(&dn).is_some() || !parent.is_some_and(|parent| self.has_place(&parent, class)) {
            return;
        }
        let at = body.value(class.mod_ts).to_owned();
        let id = self.tree.add_body(class.id, body);
        self.events.push(Event::created(self.tree.node(id), classes_above(self.tree, id)));
        if class.is_config {
            let node = self.tree.node(id);
            let given = class.attributes.iter().enumerate().filter(|(place, attribute)| {
                attribute.role != Role::State && node.body().value(*place) != attribute.default
            });
            let set = creation_set(given.map(|(place, attribute)| (attribute.name, node.body().value(place))));
            let affected = Affected::of(self.tree, id, Change::Created, set);
            self.record(&affected, &dn, &at);
        }
        if class.name == "fvCEp" {
            self.readdress(id, "0.0.0.0");
        }
    }

    /// Returns whether there is an object for the new one to be below. Containers that lead to a fault are made.
    fn has_place(&mut self, parent: &str, class: &Class) -> bool {
        if self.tree.find(parent).is_some() {
            return true;
        }
        if class.name != "faultInst" || !parent.starts_with("topology/") {
            return false;
        }
        let above = std::iter::successors(Some(parent), |dn| crate::dn::parent(dn));
        let mut missing: Vec<&str> = above.take_while(|dn| self.tree.find(dn).is_none()).collect();
        let made = self.tree.ensure(parent, &self.end).is_some();
        missing.reverse();
        for id in missing.into_iter().filter_map(|dn| self.tree.find(dn)) {
            self.events.push(Event::created(self.tree.node(id), classes_above(self.tree, id)));
        }
        made
    }

    /// Lets the address below an endpoint follow the endpoint's own.
    fn readdress(&mut self, endpoint: NodeId, old: &str) {
        let (dn, value) = {
            let node = self.tree.node(endpoint);
            (node.dn().to_owned(), |name: &str| node.value(name).unwrap_or_default().to_owned())
        };
        let new = value("ip");
        let (bd, context, path, created) = (value("bdDn"), value("vrfDn"), value("fabricPathDn"), value("modTs"));
        self.remove(&format!("{dn}/ip-[{old}]"));
        let dn = format!("{dn}/ip-[{new}]");
        if new == "0.0.0.0" || self.tree.find(&dn).is_some() {
            return;
        }
        let set = [("bdDn", &*bd), ("createTs", &*created), ("fabricPathDn", &*path), ("vrfDn", &*context)];
        let id = self.tree.add(class::known("fvIp"), &dn, &created, &set);
        self.events.push(Event::created(self.tree.node(id), classes_above(self.tree, id)));
    }

    fn record(&mut self, affected: &Affected, dn: &str, at: &str) {
        let transaction = self.logbook.begin(user_of(dn), "", at);
        let event = self.logbook.record(self.tree, &transaction, affected);
        self.events.push(event);
    }
}
