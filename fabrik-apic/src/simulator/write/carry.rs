//! The steps of a plan, carried out.

use super::plan::{Plan, Step};
use super::relation::{self, Targets};
use crate::simulator::class::{Class, Role};
use crate::simulator::event::{Change, Event};
use crate::simulator::mit::{
    Affected, Author, Logbook, Transaction, Tree, classes_above, creation_set, default_body, modification_set,
    remove_subtree, time_text,
};

/// Carries out a plan that was made for this tree, and returns what changed in order.
pub(in crate::simulator) fn carry_out(
    tree: &mut Tree,
    logbook: &mut Logbook,
    plan: Plan,
    author: &Author,
) -> Vec<Event> {
    let at = time_text(author.at);
    let transaction = logbook.begin(&author.user, &author.session_id, &at);
    let targets = Targets::default();
    let mut change = Carrier { tree, logbook, transaction, at: &at, events: Vec::new(), targets };
    for step in plan.steps {
        match step {
            Step::Create { class, dn, values } => change.create(class, &dn, &values),
            Step::Modify { dn, values } => change.modify(&dn, values),
            Step::Delete { dn } => change.delete(&dn),
        }
    }
    change.follow_targets();
    change.events
}

struct Carrier<'a> {
    tree: &'a mut Tree,
    logbook: &'a mut Logbook,
    transaction: Transaction<'a>,
    at: &'a str,
    events: Vec<Event>,
    /// What has come or gone, so that relations to it are formed or broken.
    targets: Targets,
}

impl Carrier<'_> {
    fn create(&mut self, class: &'static Class, dn: &str, values: &[(usize, String)]) {
        let mut set: Vec<(&str, &str)> =
            values.iter().map(|(place, value)| (class.attributes[*place].name, value.as_str())).collect();
        set.push(("uid", "15374"));
        let body = default_body(class, dn, self.at, &set);
        let id = self.tree.add_body(class.id, body);
        let resolved = relation::resolve(self.tree, id);
        if !resolved.is_empty() {
            let body = self.tree.node(id).body().with(&resolved);
            self.tree.replace(id, body);
        }
        self.targets.note(self.tree, id);
        self.events.push(Event::created(self.tree.node(id), classes_above(self.tree, id)));
        let body = self.tree.node(id).body();
        let given = class.attributes.iter().enumerate().filter(|(place, attribute)| {
            attribute.role == Role::Naming || values.iter().any(|(given, _)| given == place)
        });
        let set = creation_set(given.map(|(place, attribute)| (attribute.name, body.value(place))));
        self.record(&Affected::of(self.tree, id, Change::Created, set));
    }

    fn modify(&mut self, dn: &str, mut values: Vec<(usize, String)>) {
        let Some(id) = self.tree.find(dn) else { return };
        let body = self.tree.node(id).body();
        values.retain(|(place, value)| body.value(*place) != value);
        if values.is_empty() {
            return;
        }
        let class = self.tree.node(id).class();
        let set = modification_set(
            values.iter().map(|(place, new)| (class.attributes[*place].name, body.value(*place), &**new)),
        );
        values.push((class.mod_ts, self.at.to_owned()));
        let body = body.with(&values);
        self.tree.replace(id, body);
        let mut places: Vec<usize> = values.into_iter().map(|(place, _)| place).collect();
        let resolved = relation::resolve(self.tree, id);
        let body = self.tree.node(id).body().with(&resolved);
        self.tree.replace(id, body);
        places.extend(resolved.into_iter().map(|(place, _)| place));
        self.events.push(Event::modified(self.tree.node(id), &places, classes_above(self.tree, id)));
        self.record(&Affected::of(self.tree, id, Change::Modified, set));
    }

    fn delete(&mut self, dn: &str) {
        let Some(id) = self.tree.find(dn) else { return };
        let mut affected = Vec::new();
        let (events, targets) = (&mut self.events, &mut self.targets);
        remove_subtree(self.tree, id, |tree, id| {
            let node = tree.node(id);
            events.push(Event::deleted(node, classes_above(tree, id)));
            targets.note(tree, id);
            if node.class().is_config {
                affected.push(Affected::of(tree, id, Change::Deleted, String::new()));
            }
        });
        for affected in affected {
            self.record(&affected);
        }
    }

    /// Lets relations follow the objects that have come or gone. They have no record: nobody wrote them.
    fn follow_targets(&mut self) {
        for id in self.targets.relations(self.tree) {
            let mut changes = relation::resolve(self.tree, id);
            let node = self.tree.node(id);
            changes.retain(|(place, value)| node.body().value(*place) != value);
            if changes.is_empty() {
                continue;
            }
            changes.push((node.class().mod_ts, self.at.to_owned()));
            let places: Vec<usize> = changes.iter().map(|(place, _)| *place).collect();
            let body = node.body().with(&changes);
            self.tree.replace(id, body);
            self.events.push(Event::modified(self.tree.node(id), &places, classes_above(self.tree, id)));
        }
    }

    fn record(&mut self, affected: &Affected) {
        let event = self.logbook.record(self.tree, &self.transaction, affected);
        self.events.push(event);
    }
}
