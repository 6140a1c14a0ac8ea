//! What a POST or DELETE would do, found out before anything is done: a change happens wholly or not at all.

use std::collections::HashMap;

use super::body::PostObject;
use crate::dn;
use crate::simulator::class::{self, Attribute, Class, Kind, Role};
use crate::simulator::error::ApicError;
use crate::simulator::mit::{Body, Tree};

/// How long a description may be.
const MAX_DESCR_CHARS: usize = 128;
const MAX_NAME_CHARS: usize = 64;

/// The steps of a change, in order.
#[derive(Debug, Default)]
pub(in crate::simulator) struct Plan {
    pub(super) steps: Vec<Step>,
}

#[derive(Debug)]
pub(super) enum Step {
    /// Makes an object that is not there.
    Create { class: &'static Class, dn: String, values: Vec<(usize, String)> },
    /// Gives an object that is there these values, of which some may be the ones it has.
    Modify { dn: String, values: Vec<(usize, String)> },
    /// Removes an object that is there, and everything below it.
    Delete { dn: String },
}

/// Plans a POST to the DN `target`, or without one where the body holds the DNs.
pub(in crate::simulator) fn plan_post(tree: &Tree, target: Option<&str>, body: &PostObject) -> Result<Plan, ApicError> {
    let mut planner = Planner { tree, overlay: HashMap::new(), plan: Plan::default() };
    let class = find_class(&body.class)?;
    let dn = planner.dn_of_root(class, target, body)?;
    planner.visit(class, &dn, body)?;
    Ok(planner.plan)
}

/// Plans a DELETE; it does nothing where there is no such object.
pub(in crate::simulator) fn plan_delete(tree: &Tree, dn: &str) -> Result<Plan, ApicError> {
    let mut plan = Plan::default();
    if let Some(id) = tree.find(dn) {
        refuse_state(tree.node(id).class(), dn)?;
        plan.steps.push(Step::Delete { dn: dn.to_owned() });
    }
    Ok(plan)
}

struct Planner<'a> {
    tree: &'a Tree,
    /// Objects that the steps so far have made, `None` for those they have removed.
    overlay: HashMap<String, Option<&'static Class>>,
    plan: Plan,
}

impl Planner<'_> {
    /// Finds out which object the root of the body is: named by its DN, by a name below the URL's DN, or by
    /// the URL alone.
    fn dn_of_root(
        &self,
        class: &'static Class,
        target: Option<&str>,
        object: &PostObject,
    ) -> Result<String, ApicError> {
        if let Some(dn) = object.attribute("dn").filter(|dn| !dn.is_empty()) {
            return Ok(dn.to_owned());
        }
        let Some(target) = target else {
            return class.rn.matches(class.rn.prefix()).then(|| class.rn.prefix().to_owned()).ok_or_else(|| {
                ApicError::bad_request(107, format!("Invalid request: object of class {} has no dn", class.name))
            });
        };
        let itself = match self.class_at(target) {
            Some(there) => there.id == class.id,
            None => class.rn.matches(rn_of(target)),
        };
        // Nothing nests in its own class, so that the URL is the object when it is of that class.
        if itself { Ok(target.to_owned()) } else { dn_of_child(class, target, object) }
    }

    fn visit(&mut self, class: &'static Class, dn: &str, object: &PostObject) -> Result<(), ApicError> {
        self.check_place(class, dn)?;
        let exists = match self.class_at(dn) {
            Some(there) if there.id != class.id => return Err(invalid_dn(dn)),
            there => there.is_some(),
        };
        let status = object.attribute("status").unwrap_or_default();
        let mut says = (false, false, false);
        for word in status.split(',').map(str::trim).filter(|word| !word.is_empty()) {
            match word {
                "created" => says.0 = true,
                "modified" => says.1 = true,
                "deleted" => says.2 = true,
                _ => return Err(unknown_value(word, "status", class, dn)),
            }
        }
        let values = values_of(class, dn, object)?;
        match (says, exists) {
            ((_, _, true), true) => {
                refuse_state(class, dn)?;
                self.overlay.insert(dn.to_owned(), None);
                self.plan.steps.push(Step::Delete { dn: dn.to_owned() });
                return Ok(());
            }
            // Repeating a deletion has no further effect.
            ((_, _, true), false) => return Ok(()),
            ((true, false, _), true) => {
                return Err(ApicError::bad_request(103, format!("Invalid request: {dn}: cannot create, it exists")));
            }
            ((false, true, _), false) => {
                let text = format!("Invalid request: {dn} does not exist: cannot delete or modify");
                return Err(ApicError::bad_request(107, text));
            }
            (_, true) if values.is_empty() => {}
            (_, true) => {
                refuse_state(class, dn)?;
                self.plan.steps.push(Step::Modify { dn: dn.to_owned(), values });
            }
            (_, false) => {
                self.create_above(dn)?;
                self.create(class, dn, values)?;
            }
        }
        for child in &object.children {
            let class = find_class(&child.class)?;
            let dn = match child.attribute("dn").filter(|dn| !dn.is_empty()) {
                Some(child) if dn::parent(child) == Some(dn) => child.to_owned(),
                Some(child) => return Err(invalid_dn(child)),
                None => dn_of_child(class, dn, child)?,
            };
            self.visit(class, &dn, child)?;
        }
        Ok(())
    }

    fn create(&mut self, class: &'static Class, dn: &str, values: Vec<(usize, String)>) -> Result<(), ApicError> {
        refuse_state(class, dn)?;
        self.overlay.insert(dn.to_owned(), Some(class));
        self.plan.steps.push(Step::Create { class, dn: dn.to_owned(), values });
        Ok(())
    }

    /// Makes what is missing above an object, as far as its class is plain from the name.
    fn create_above(&mut self, dn: &str) -> Result<(), ApicError> {
        let Some(parent) = dn::parent(dn) else { return Ok(()) };
        if self.class_at(parent).is_some() {
            return Ok(());
        }
        let class = self.class_from_dn(parent).ok_or_else(|| invalid_dn(dn))?;
        self.create_above(parent)?;
        self.create(class, parent, Vec::new())
    }

    /// Checks that an object of the class can have this DN.
    fn check_place(&self, class: &Class, dn: &str) -> Result<(), ApicError> {
        let above = match dn::parent(dn) {
            Some(parent) => Some(self.class_from_dn(parent).ok_or_else(|| invalid_dn(dn))?),
            None => None,
        };
        let fits = class.rn.matches(rn_of(dn)) && class.may_be_below(above);
        if fits { Ok(()) } else { Err(invalid_dn(dn)) }
    }

    /// Returns the class of the object with a DN, or else the one that such an object would have.
    fn class_from_dn(&self, dn: &str) -> Option<&'static Class> {
        if let Some(class) = self.class_at(dn) {
            return Some(class);
        }
        let above = match dn::parent(dn) {
            Some(parent) => Some(self.class_from_dn(parent)?),
            None => None,
        };
        class::by_rn(above, rn_of(dn))
    }

    /// Returns the class of an object as it will be after the steps so far.
    fn class_at(&self, dn: &str) -> Option<&'static Class> {
        let mut above = Some(dn);
        while let Some(dn_above) = above {
            match self.overlay.get(dn_above) {
                Some(Some(class)) if dn_above == dn => return Some(class),
                // Removed, or made anew with nothing below it.
                Some(_) => return None,
                None => above = dn::parent(dn_above),
            }
        }
        self.tree.find(dn).map(|id| self.tree.node(id).class())
    }
}

fn find_class(name: &str) -> Result<&'static Class, ApicError> {
    class::find(name).ok_or_else(|| ApicError::bad_request(122, format!("unknown managed object class {name}")))
}

fn rn_of(dn: &str) -> &str {
    dn::parent(dn).map_or(dn, |parent| &dn[parent.len() + 1..])
}

/// Names an object below another by its `rn` or its naming properties.
fn dn_of_child(class: &Class, parent: &str, object: &PostObject) -> Result<String, ApicError> {
    if let Some(rn) = object.attribute("rn").filter(|rn| !rn.is_empty()) {
        return Ok(format!("{parent}/{rn}"));
    }
    let mut values = Vec::new();
    for &place in &class.naming {
        let name = class.attributes[place].name;
        let value = object.attribute(name).unwrap_or(class.attributes[place].default);
        if value.is_empty() {
            let text = format!("Invalid request: naming property {name} of class {} is missing", class.name);
            return Err(ApicError::bad_request(107, text));
        }
        values.push(value);
    }
    Ok(format!("{parent}/{}", class.rn.write(values.into_iter())))
}

/// Checks the attributes of an object and returns those to be set.
fn values_of(class: &'static Class, dn: &str, object: &PostObject) -> Result<Vec<(usize, String)>, ApicError> {
    let names = class.rn.values(rn_of(dn)).unwrap_or_default();
    let mut values: Vec<(usize, String)> = Vec::new();
    for (name, value) in &object.attributes {
        if matches!(name.as_str(), "dn" | "rn" | "status") {
            continue;
        }
        let place = class.position(name).ok_or_else(|| {
            ApicError::bad_request(400, format!("unknown attribute '{name}' in class {} ({dn})", class.name))
        })?;
        let attribute = &class.attributes[place];
        let named = class.naming.iter().position(|&naming| naming == place).and_then(|nth| names.get(nth));
        match (attribute.role, named) {
            (Role::Naming, Some(named)) if named != value => {
                let text = format!(
                    "Create-only and naming props cannot be modified after creation, class={}, prop={name}",
                    class.name
                );
                return Err(ApicError::bad_request(107, text));
            }
            (Role::Naming, _) => check_value(class, dn, attribute, value)?,
            // A password is taken and never shown.
            (Role::Config, _) if name == "pwd" => {}
            (Role::Config, _) => {
                check_value(class, dn, attribute, value)?;
                values.retain(|(have, _)| *have != place);
                values.push((place, value.clone()));
            }
            // What the controller finds out itself is passed over, so that what was read can be written.
            (Role::State, _) => {}
        }
    }
    for (&place, value) in class.naming.iter().zip(&names) {
        check_value(class, dn, &class.attributes[place], value)?;
    }
    let given: usize = values.iter().map(|(_, value)| value.len()).sum();
    if given + 2 * dn.len() > Body::MAX_BYTES / 2 {
        return Err(ApicError::bad_request(120, format!("Invalid Configuration: {dn} is too large")));
    }
    Ok(values)
}

fn check_value(class: &Class, dn: &str, attribute: &Attribute, value: &str) -> Result<(), ApicError> {
    let name = attribute.name;
    let address = |value: &str| {
        let (address, mask) = value.split_once('/').unwrap_or((value, "0"));
        address.parse::<std::net::IpAddr>().is_ok() && mask.parse::<u8>().is_ok_and(|mask| mask <= 128)
    };
    match attribute.kind {
        Kind::Words(words) if !words.split('|').any(|word| word == value) => Err(unknown_value(value, name, class, dn)),
        Kind::Number if value.parse::<i128>().is_err() => Err(unknown_value(value, name, class, dn)),
        Kind::Address if !address(value) => Err(failed_validation(name, dn, value)),
        Kind::Name if !is_name(value) => Err(failed_validation(name, dn, value)),
        Kind::Text if name == "descr" && value.chars().count() > MAX_DESCR_CHARS => {
            Err(failed_validation(name, dn, value))
        }
        _ => Ok(()),
    }
}

fn is_name(value: &str) -> bool {
    (1..=MAX_NAME_CHARS).contains(&value.len())
        && value.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b':' | b'-'))
}

fn refuse_state(class: &Class, dn: &str) -> Result<(), ApicError> {
    if class.is_config {
        return Ok(());
    }
    let text = format!("Invalid request: {dn} of class {} is not configuration: cannot delete or modify", class.name);
    Err(ApicError::bad_request(107, text))
}

fn invalid_dn(dn: &str) -> ApicError {
    let position = dn::split(dn).count();
    ApicError::bad_request(107, format!("Invalid DN {dn}, wrong rn prefix {} at position {position}", rn_of(dn)))
}

fn unknown_value(value: &str, name: &str, class: &Class, dn: &str) -> ApicError {
    let text = format!("unknown property value {value}, name {name}, class {} [(Dn0)] Dn0={dn}, ", class.name);
    ApicError::bad_request(120, text)
}

fn failed_validation(name: &str, dn: &str, value: &str) -> ApicError {
    ApicError::bad_request(801, format!("property {name} of {dn} failed validation for value '{value}'"))
}
