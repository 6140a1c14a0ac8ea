//! Relations: which object one leads to, and whether that is there.

use std::collections::HashSet;

use crate::dn;
use crate::simulator::class::{self, Class, ClassId, Role};
use crate::simulator::mit::{Node, NodeId, Tree};

const COMMON: &str = "uni/tn-common";

/// Returns what the state of a relation is now; nothing for an object that is none.
pub(super) fn resolve(tree: &Tree, id: NodeId) -> Vec<(usize, String)> {
    let node = tree.node(id);
    let class = node.class();
    let Some((target, t_dn)) = target_class(class).zip(class.position("tDn")) else { return Vec::new() };
    let (dn, rn, state, quality) = match named_by(class) {
        Some(place) => resolve_name(tree, node, target, node.body().value(place)),
        None => {
            let dn = node.body().value(t_dn);
            let state = if tree.find(dn).is_some() { "formed" } else { "missing-target" };
            (dn.to_owned(), String::new(), state, "none")
        }
    };
    let values = [("tDn", dn), ("tRn", rn), ("state", state.to_owned()), ("stateQual", quality.to_owned())];
    let places = values.into_iter().filter_map(|(name, value)| class.position(name).map(|place| (place, value)));
    places.filter(|(place, value)| node.body().value(*place) != value).collect()
}

/// Looks for a name in the relation's own tenant, then in the one that is common to all.
fn resolve_name(tree: &Tree, node: &Node, target: &Class, name: &str) -> (String, String, &'static str, &'static str) {
    let own = dn::split(node.dn()).take(2).collect::<Vec<_>>().join("/");
    let (name, places, quality) = match name {
        "" => ("default", [COMMON, COMMON], "default-target"),
        name => (name, [own.as_str(), COMMON], "none"),
    };
    let rn = target.rn.write(std::iter::once(name));
    let found = places.iter().map(|place| format!("{place}/{rn}")).find(|dn| tree.find(dn).is_some());
    match found {
        Some(dn) => (dn, rn, "formed", quality),
        None => (String::new(), rn, "missing-target", "none"),
    }
}

/// Returns the class that a relation leads to.
fn target_class(relation: &Class) -> Option<&'static Class> {
    let place = relation.position("tCl").filter(|_| relation.is_config)?;
    class::find(relation.attributes[place].default)
}

/// Returns the place of the attribute that names the target, `None` where a DN does.
fn named_by(relation: &Class) -> Option<usize> {
    relation.attributes.iter().position(|attribute| {
        attribute.role != Role::State && attribute.name.starts_with("tn") && attribute.name.ends_with("Name")
    })
}

/// Objects that have come or gone.
#[derive(Debug, Default)]
pub(super) struct Targets {
    classes: HashSet<ClassId>,
    dns: HashSet<String>,
    names: HashSet<String>,
}

impl Targets {
    /// Notes an object that has come or is about to go.
    pub(super) fn note(&mut self, tree: &Tree, id: NodeId) {
        let node = tree.node(id);
        let class = node.class();
        self.classes.insert(class.id);
        self.dns.insert(node.dn().to_owned());
        self.names.extend(class.naming.first().map(|&place| node.body().value(place).to_owned()));
    }

    /// Returns the relations that may lead to one of the objects.
    pub(super) fn relations(&self, tree: &Tree) -> Vec<NodeId> {
        let relations = class::all()
            .iter()
            .filter(|class| target_class(class).is_some_and(|target| self.classes.contains(&target.id)));
        relations
            .flat_map(|class| {
                let by_name = named_by(class).map(|place| (place, &self.names));
                let (place, wanted) = by_name.or(class.position("tDn").map(|place| (place, &self.dns))).unzip();
                let leads = move |id: &NodeId| {
                    place.zip(wanted).is_some_and(|(place, wanted)| {
                        let value = tree.node(*id).body().value(place);
                        // An empty name stands for the target called default.
                        wanted.contains(if value.is_empty() { "default" } else { value })
                    })
                };
                tree.of_class(class.id).iter().copied().filter(leads)
            })
            .collect()
    }
}
