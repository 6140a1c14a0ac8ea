//! Descriptions of the classes, as the controller serves them for tools that generate code from them.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::class::{self, Class, Role};

/// Below it are `<package>/<class>.json`.
pub(super) const PREFIX: &str = "/doc/jsonmeta/";

/// The root of all, which has no object and no line in the table of classes.
const ROOT: &str = "topRoot";

/// Returns the description of a class by its address below [`PREFIX`], such as `fv/Tenant`.
pub(super) fn describe(address: &str) -> Option<Bytes> {
    let (package, local) = address.split_once('/')?;
    let name = format!("{package}{local}");
    let described = if name == ROOT { None } else { Some(class::find(&name)?) };
    let meta = Map::from_iter([(qualified(&name), description(&name, described))]);
    Some(Value::Object(meta).to_string().into())
}

fn description(name: &str, class: Option<&Class>) -> Value {
    let contained: Vec<&Class> = class::all().iter().filter(|child| child.may_be_below(class)).collect();
    // Where two begin alike, the one that may be here and only here decides.
    let mut rn_map = BTreeMap::new();
    for child in &contained {
        let format = rn_format(child);
        let prefix = format.split_inclusive('-').next().unwrap_or_default().to_owned();
        if is_bound(child) {
            rn_map.insert(prefix, qualified(child.name));
        } else {
            rn_map.entry(prefix).or_insert_with(|| qualified(child.name));
        }
    }
    let contains: Map<String, Value> = contained.iter().map(|child| (qualified(child.name), "".into())).collect();
    json!({
        "className": local(name),
        "classPkg": &name[..name.len() - local(name).len()],
        "contains": contains,
        "identifiedBy": class.map_or_else(Vec::new, naming),
        "isAbstract": false,
        "isConfigurable": class.is_some_and(|class| class.is_config),
        "properties": class.map_or_else(Map::new, properties),
        "rnFormat": class.map_or_else(String::new, rn_format),
        "rnMap": rn_map,
    })
}

/// Returns whether a class has a place of its own, and is not anywhere.
fn is_bound(class: &Class) -> bool {
    !class.may_be_below(None) || !class::all().iter().all(|parent| class.may_be_below(Some(parent)))
}

fn naming(class: &Class) -> Vec<&'static str> {
    class.naming.iter().map(|&place| class.attributes[place].name).collect()
}

/// Returns the format of the relative name with the properties in braces.
fn rn_format(class: &Class) -> String {
    let braced: Vec<String> = naming(class).iter().map(|name| format!("{{{name}}}")).collect();
    class.rn.write(braced.iter().map(String::as_str))
}

fn properties(class: &Class) -> Map<String, Value> {
    let property = |attribute: &class::Attribute| {
        let is_naming = attribute.role == Role::Naming;
        let is_configurable = class.is_config && attribute.role != Role::State;
        (attribute.name.to_owned(), json!({ "isConfigurable": is_configurable, "isNaming": is_naming }))
    };
    class.attributes.iter().map(property).collect()
}

/// Returns `fv:Tenant` for `fvTenant`.
fn qualified(name: &str) -> String {
    let local = local(name);
    format!("{}:{local}", &name[..name.len() - local.len()])
}

fn local(name: &str) -> &str {
    name.find(|next: char| next.is_ascii_uppercase()).map_or(name, |at| &name[at..])
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::describe;

    fn described(address: &str) -> Value {
        serde_json::from_slice(&describe(address).unwrap()).unwrap()
    }

    #[test]
    fn class_says_how_its_objects_are_named_and_what_is_below() {
        let meta = &described("fv/Tenant")["fv:Tenant"];

        assert_eq!(meta["rnFormat"], "tn-{name}");
        assert_eq!(meta["identifiedBy"], serde_json::json!(["name"]));
        assert_eq!(meta["rnMap"]["BD-"], "fv:BD");
        assert_eq!(meta["contains"]["fv:BD"], "");
        assert_eq!(meta["properties"]["descr"]["isConfigurable"], true);
        assert_eq!(meta["properties"]["modTs"]["isConfigurable"], false);
        assert!(meta["contains"].get("fv:AEPg").is_none());
    }

    #[test]
    fn every_class_can_be_reached_from_the_root() {
        let mut reached = std::collections::BTreeSet::new();
        let mut open = vec!["top:Root".to_owned()];
        while let Some(name) = open.pop() {
            if reached.insert(name.clone()) {
                let meta = described(&name.replace(':', "/"));
                open.extend(meta[&name]["contains"].as_object().unwrap().keys().cloned());
            }
        }

        assert_eq!(reached.len(), crate::simulator::class::all().len() + 1);
    }

    #[test]
    fn unknown_class_has_no_description() {
        assert!(describe("fv/NoSuch").is_none() && describe("fvTenant").is_none() && describe("").is_none());
    }
}
