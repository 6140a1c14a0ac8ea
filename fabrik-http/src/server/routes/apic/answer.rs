//! The answer of a controller to a query that was handed through.

use std::borrow::Cow;

use fabrik_apic::ApicQuery;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

/// The options that name the classes of what lies below.
const CLASSES: [&str; 2] = ["rsp-subtree-class", "target-subtree-class"];

/// Returns what an answer is narrowed to: where a query names several classes of what lies below, the last of them.
pub(super) fn target(query: &ApicQuery) -> Option<&str> {
    let list = CLASSES.iter().find_map(|name| query.option(name))?;
    let classes: Vec<_> = list.split(',').map(str::trim).filter(|class| !class.is_empty()).collect();
    classes.last().copied().filter(|_| classes.len() > 1)
}

#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(borrow)]
    imdata: Vec<&'a RawValue>,
}

#[derive(Serialize)]
struct Flat {
    #[serde(rename = "totalCount")]
    total_count: String,
    imdata: Vec<Value>,
}

/// Keeps of an answer the objects of one class, wherever they lie, with their attributes only. Objects that lie inside
/// others get a `dn` where the controller sends an `rn` alone.
pub(super) fn flatten(body: &[u8], class: &str) -> serde_json::Result<Vec<u8>> {
    let answer: Answer<'_> = serde_json::from_slice(body)?;
    let mut kept = Vec::new();
    // One object of the answer at a time is taken apart.
    for object in answer.imdata {
        walk(serde_json::from_str(object.get())?, None, class, &mut kept);
    }
    serde_json::to_vec(&Flat { total_count: kept.len().to_string(), imdata: kept })
}

fn walk(object: Map<String, Value>, parent: Option<&str>, class: &str, kept: &mut Vec<Value>) {
    for (name, mut inner) in object {
        let children = inner.get_mut("children").map(Value::take);
        let Some(Value::Object(attributes)) = inner.get_mut("attributes").map(Value::take) else { continue };
        let dn = dn_of(&attributes, parent).map(Cow::into_owned);
        if name == class {
            keep(&name, attributes, dn.as_deref(), kept);
        }
        let Some(Value::Array(children)) = children else { continue };
        for child in children {
            if let Value::Object(child) = child {
                walk(child, dn.as_deref(), class, kept);
            }
        }
    }
}

fn keep(class: &str, mut attributes: Map<String, Value>, dn: Option<&str>, kept: &mut Vec<Value>) {
    if let Some(dn) = dn {
        attributes.insert("dn".to_owned(), dn.into());
    }
    let object = Map::from_iter([("attributes".to_owned(), Value::Object(attributes))]);
    kept.push(Value::Object(Map::from_iter([(class.to_owned(), Value::Object(object))])));
}

fn dn_of<'a>(attributes: &'a Map<String, Value>, parent: Option<&str>) -> Option<Cow<'a, str>> {
    let text = |name| attributes.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    match (text("dn"), parent, text("rn")) {
        (Some(dn), _, _) => Some(dn.into()),
        (None, Some(parent), Some(rn)) => Some(format!("{parent}/{rn}").into()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn target_of(path: &str) -> Option<String> {
        target(&path.parse().unwrap()).map(str::to_owned)
    }

    #[test]
    fn the_last_of_several_classes_is_meant() {
        let below = "/api/class/fvTenant.json?rsp-subtree=full&rsp-subtree-class=fvAp,fvAEPg";
        assert_eq!(target_of(below).as_deref(), Some("fvAEPg"));
        let below = "/api/mo/uni.json?query-target=subtree&target-subtree-class=fvBD,fvCtx,fvSubnet";
        assert_eq!(target_of(below).as_deref(), Some("fvSubnet"));
        for path in ["/api/class/fvBD,fvCtx.json", "/api/mo/uni.json?target-subtree-class=fvBD"] {
            assert_eq!(target_of(path), None, "{path}");
        }
    }

    #[test]
    fn objects_of_the_class_are_kept_wherever_they_lie_and_know_where_that_is() {
        let bd = |rn: &str| json!({ "fvBD": { "attributes": { "rn": rn, "name": "b" } } });
        let body = json!({ "totalCount": "2", "imdata": [
            { "fvTenant": { "attributes": { "dn": "uni/tn-a" }, "children": [
                { "fvAp": { "attributes": { "rn": "ap-x" }, "children": [bd("BD-deep")] } },
                { "fvBD": { "attributes": { "rn": "BD-1" }, "children": [bd("inner")] } },
            ] } },
            { "fvBD": { "attributes": { "dn": "uni/tn-b/BD-2" } } },
        ] });

        let flat: Value = serde_json::from_slice(&flatten(body.to_string().as_bytes(), "fvBD").unwrap()).unwrap();

        assert_eq!(flat["totalCount"], "4");
        let dns: Vec<_> =
            flat["imdata"].as_array().unwrap().iter().map(|object| &object["fvBD"]["attributes"]["dn"]).collect();
        assert_eq!(dns, ["uni/tn-a/ap-x/BD-deep", "uni/tn-a/BD-1", "uni/tn-a/BD-1/inner", "uni/tn-b/BD-2"]);
        assert!(flat["imdata"].as_array().unwrap().iter().all(|object| object["fvBD"].get("children").is_none()));
    }

    #[test]
    fn nothing_of_the_class_is_an_empty_list() {
        let flat = flatten(br#"{"totalCount":"1","imdata":[{"fvCtx":{"attributes":{}}}]}"#, "fvBD").unwrap();

        assert_eq!(String::from_utf8(flat).unwrap(), r#"{"totalCount":"0","imdata":[]}"#);
    }
}
