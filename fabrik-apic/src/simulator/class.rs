//! The classes the simulator knows: names, properties, and how relative names are made from them.

mod known;
mod rn;
mod table;

use std::collections::HashMap;
use std::sync::LazyLock;

pub(crate) use rn::RnFormat;
use table::Definition;

/// A class by its place in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct ClassId(u16);

impl ClassId {
    /// Returns the class.
    pub(crate) fn get(self) -> &'static Class {
        &registry().classes[usize::from(self.0)]
    }

    /// Returns its place in the table.
    pub(crate) fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// A class of managed objects. Attributes are ascending by name, `dn` among them and `rn` not.
#[derive(Debug)]
pub(crate) struct Class {
    pub(crate) id: ClassId,
    pub(crate) name: &'static str,
    pub(crate) rn: RnFormat,
    pub(crate) attributes: Vec<Attribute>,
    /// Places of the attributes that name an object, in the order of the relative name.
    pub(crate) naming: Vec<usize>,
    /// Places of attributes that every object has.
    pub(crate) dn: usize,
    pub(crate) mod_ts: usize,
    pub(crate) status: usize,
    /// Where `rn` would stand among the attributes.
    pub(crate) rn_before: usize,
    /// Whether clients may create and change objects.
    pub(crate) is_config: bool,
    /// The classes that may be above, see the table.
    parents: &'static str,
}

/// An attribute of a class.
#[derive(Debug)]
pub(crate) struct Attribute {
    pub(crate) name: &'static str,
    pub(crate) default: &'static str,
    pub(crate) kind: Kind,
    pub(crate) role: Role,
}

/// Which values an attribute takes and how they are ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Text,
    Number,
    Address,
    Time,
    /// A name of 1 to 64 letters, digits and `_.:-`.
    Name,
    /// One of these words, apart by `|` and ascending.
    Words(&'static str),
}

/// What an attribute is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Naming,
    Config,
    State,
}

impl Class {
    /// Returns the place of an attribute.
    pub(crate) fn position(&self, name: &str) -> Option<usize> {
        self.attributes.binary_search_by(|attribute| attribute.name.cmp(name)).ok()
    }

    /// Returns whether objects of this class may be directly below objects of another.
    pub(crate) fn may_be_below(&self, parent: Option<&Self>) -> bool {
        let parent = parent.map_or("/", |parent| parent.name);
        self.parents == "*" || self.parents.split_ascii_whitespace().any(|name| name == parent)
    }

    /// Returns whether this is a relation, seen from either end.
    pub(crate) fn is_relation(&self) -> bool {
        let local = self.local_name();
        let is_kind = |kind: &str| {
            local.strip_prefix(kind).is_some_and(|rest| rest.starts_with(|next: char| next.is_ascii_uppercase()))
        };
        is_kind("Rs") || is_kind("Rt")
    }

    /// Returns the name without its package: `AEPg` of `fvAEPg`.
    pub(crate) fn local_name(&self) -> &'static str {
        local_name(self.name)
    }
}

fn local_name(class: &str) -> &str {
    class.find(|next: char| next.is_ascii_uppercase()).map_or(class, |at| &class[at..])
}

/// Finds a class that the fabric can have objects of.
pub(crate) fn find(name: &str) -> Option<&'static Class> {
    registry().by_name.get(name).map(|id| id.get())
}

/// Finds a class that is known to be in the table.
pub(crate) fn known(name: &'static str) -> &'static Class {
    find(name).unwrap_or_else(|| unreachable!("class {name} is in the table, a test looks for all of them"))
}

/// Returns every class of the table.
pub(crate) fn all() -> &'static [Class] {
    &registry().classes
}

/// Returns the classes that a name in a query stands for: none for a class that has no objects here, several
/// for a class that others derive from, and `None` for what no controller knows.
pub(crate) fn resolve(name: &str) -> Option<Vec<ClassId>> {
    if let Some(class) = find(name) {
        return Some(vec![class.id]);
    }
    match name {
        "faultInfo" => Some(vec![known("faultInst").id]),
        _ => known::is_known(name).then(Vec::new),
    }
}

/// Finds the class of an object from where it is: below `parent`, with this relative name.
pub(crate) fn by_rn(parent: Option<&Class>, rn: &str) -> Option<&'static Class> {
    let fits = |class: &&Class| class.may_be_below(parent) && class.rn.matches(rn);
    let candidates = registry().classes.iter().filter(|class| class.parents != "*");
    // Of `node-{id}` and `node` the longer prefix decides, as the more precise one.
    candidates.filter(fits).max_by_key(|class| class.rn.prefix().len())
}

struct Registry {
    classes: Vec<Class>,
    by_name: HashMap<&'static str, ClassId>,
}

fn registry() -> &'static Registry {
    static REGISTRY: LazyLock<Registry> = LazyLock::new(|| {
        let ids = (0..).map(ClassId);
        let classes: Vec<Class> =
            table::definitions().zip(ids).map(|(definition, id)| Class::new(definition, id)).collect();
        let by_name = classes.iter().map(|class| (class.name, class.id)).collect();
        Registry { classes, by_name }
    });
    &REGISTRY
}

impl Class {
    fn new(definition: &Definition, id: ClassId) -> Self {
        let Definition { name, rn, parents, config, .. } = *definition;
        let rn = RnFormat::parse(rn);
        let mut attributes: Vec<Attribute> = definition
            .config()
            .map(|text| Attribute::parse(text, Role::Config))
            .chain(definition.state().map(|text| Attribute::parse(text, Role::State)))
            .collect();
        attributes.sort_unstable_by_key(|attribute| attribute.name);
        let position = |name: &str| {
            attributes
                .binary_search_by(|attribute| attribute.name.cmp(name))
                .unwrap_or_else(|_| unreachable!("{name} is in the table, a test makes every class"))
        };
        let naming: Vec<usize> = rn.properties().map(position).collect();
        let (dn, mod_ts, status) = (position("dn"), position("modTs"), position("status"));
        for &place in &naming {
            attributes[place].role = Role::Naming;
        }
        let rn_before = attributes.partition_point(|attribute| attribute.name < "rn");
        Self { id, name, rn, attributes, naming, dn, mod_ts, status, rn_before, is_config: !config.is_empty(), parents }
    }
}

impl Attribute {
    /// Parses `name=default` or `name:kind=default`.
    fn parse(text: &'static str, role: Role) -> Self {
        let (name, default) = text.split_once('=').unwrap_or((text, ""));
        let (name, kind) = name.split_once(':').unwrap_or((name, ""));
        let kind = match kind {
            "" => Kind::Text,
            "n" => Kind::Number,
            "a" => Kind::Address,
            "t" => Kind::Time,
            "i" => Kind::Name,
            "b" => Kind::Words("no|yes"),
            words => Kind::Words(words),
        };
        Self { name, default, kind, role }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_has_its_attributes_once_and_is_there_once() {
        for class in all() {
            let names: Vec<_> = class.attributes.iter().map(|attribute| attribute.name).collect();
            assert!(names.is_sorted_by(|before, after| before < after), "{}: {names:?}", class.name);
            assert_eq!(find(class.name).map(|found| found.id), Some(class.id), "{}", class.name);
            assert!(names.iter().all(|name| !name.is_empty() && *name != "rn"), "{}", class.name);
        }
    }

    #[test]
    fn parents_are_in_the_table() {
        for class in all() {
            for parent in class.parents.split_ascii_whitespace().filter(|name| !matches!(*name, "*" | "/")) {
                assert!(find(parent).is_some(), "{} below {parent}", class.name);
            }
        }
    }

    #[test]
    fn defaults_are_values_of_their_kind() {
        for class in all() {
            for attribute in &class.attributes {
                if let Kind::Words(words) = attribute.kind {
                    let default = attribute.default;
                    assert!(words.split('|').any(|word| word == default), "{}.{}", class.name, attribute.name);
                }
            }
        }
    }

    #[test]
    fn class_is_found_from_its_place() {
        let tenant = find("fvTenant").unwrap();

        assert_eq!(by_rn(None, "uni").unwrap().name, "polUni");
        assert_eq!(by_rn(find("polUni"), "tn-a").unwrap().name, "fvTenant");
        assert_eq!(by_rn(Some(tenant), "BD-b").unwrap().name, "fvBD");
        assert_eq!(by_rn(Some(tenant), "sys").map(|class| class.name), None);
        assert_eq!(by_rn(find("fabricPod"), "node-101").unwrap().name, "fabricNode");
    }

    #[test]
    fn relations_are_told_by_their_names() {
        for (name, expected) in [("fvRsBd", true), ("fvRsPathAtt", true), ("fvBD", false), ("fabricNode", false)] {
            assert_eq!(find(name).unwrap().is_relation(), expected, "{name}");
        }
    }

    #[test]
    fn names_resolve_to_classes_with_and_without_objects() {
        assert_eq!(resolve("fvBD"), Some(vec![find("fvBD").unwrap().id]));
        assert_eq!(resolve("faultInfo"), Some(vec![find("faultInst").unwrap().id]));
        assert_eq!(resolve("isisAdjEp"), Some(Vec::new()));
        for name in ["fvNoSuch", "nosuch", "", "uni", "FvTenant", "imdata"] {
            assert_eq!(resolve(name), None, "{name}");
        }
    }
}
