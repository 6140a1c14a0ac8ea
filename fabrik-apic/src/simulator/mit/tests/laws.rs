use std::collections::BTreeSet;

use fabrik_core::Source;

use super::*;
use crate::RecordedSource;
use crate::dn;

#[test]
fn pages_in_order_are_the_whole_answer_cut_up() {
    for (class, order) in
        [("fvCEp", "fvCEp.dn"), ("fvIp", "fvIp.addr|desc"), ("faultInst", "faultInst.severity,faultInst.dn")]
    {
        let url = format!("/api/node/class/{class}.json?order-by={order}");
        let (count, all) = get(small(), &url);
        let mut pages = Vec::new();
        for page in 0.. {
            let (total, objects) = get(small(), &format!("{url}&page-size=70&page={page}"));
            assert_eq!(total, count, "the same on every page");
            if objects.is_empty() {
                break;
            }
            pages.extend(objects);
        }
        assert_eq!(all.len(), count);
        assert_eq!(pages, all);
    }
}

#[test]
fn order_by_dn_is_ascending_and_desc_turns_it_about() {
    let (_, up) = get(small(), "/api/class/fvAEPg.json?order-by=fvAEPg.dn|asc");
    let (_, mut down) = get(small(), "/api/class/fvAEPg.json?order-by=fvAEPg.dn%7Cdesc");

    assert!(up.len() > 10 && dns(&up).is_sorted());
    down.reverse();
    assert_eq!(up, down);
}

#[test]
fn addresses_are_sorted_as_addresses() {
    let (_, objects) = get(small(), "/api/class/fvIp.json?order-by=fvIp.addr");

    let addresses: Vec<std::net::IpAddr> =
        objects.iter().map(|object| attribute(object, "addr").parse().unwrap()).collect();
    assert!(addresses.is_sorted());
    let texts: Vec<&str> = objects.iter().map(|object| attribute(object, "addr")).collect();
    assert!(!texts.is_sorted(), "the test needs addresses that text would sort otherwise");
}

#[test]
fn every_object_has_a_parent_and_its_class_fits_the_name() {
    let mit = small();
    for class in class::all() {
        for &id in mit.tree.of_class(class.id) {
            let node = mit.tree.node(id);
            let rn = dn::split(node.dn()).last().unwrap();
            assert!(class.rn.matches(rn), "{}: {}", class.name, node.dn());
            let parent = mit.tree.parent(id);
            let expected = dn::parent(node.dn()).filter(|dn| !dn.starts_with("subj-["));
            assert_eq!(parent.map(|id| mit.tree.node(id).dn()), expected, "{}", node.dn());
            let parent = parent.map(|id| mit.tree.node(id).class());
            assert!(class.may_be_below(parent), "{} below {:?}", node.dn(), parent.map(|class| class.name));
        }
    }
}

#[test]
fn classes_together_are_the_tree() {
    let mit = small();

    let dns: BTreeSet<&str> =
        class::all().iter().flat_map(|class| mit.tree.of_class(class.id)).map(|&id| mit.tree.node(id).dn()).collect();

    assert_eq!(dns.len(), mit.len());
    assert!(dns.iter().all(|dn| mit.tree.find(dn).is_some()));
}

#[test]
fn size_is_what_was_asked_for_and_the_seed_decides() {
    for objects in [2500, 10_000] {
        let mit = fabric(objects);
        assert_eq!(mit.len(), objects);
    }
    let url = "/api/mo/uni.json?query-target=subtree";
    let again = try_get(&fabric(2500), url).unwrap();
    assert_eq!(try_get(small(), url).unwrap(), again);
    let other = Mit::generate(&FabricOptions { seed: 8, objects: 2500, start: start() });
    assert_ne!(try_get(&other, url).unwrap(), again);
}

#[test]
fn generated_fabric_has_all_that_clients_ask_for() {
    for class in [
        "polUni",
        "infraInfra",
        "fabricTopology",
        "fabricPod",
        "fabricNode",
        "topSystem",
        "l1PhysIf",
        "ethpmPhysIf",
        "fvTenant",
        "fvCtx",
        "fvBD",
        "fvSubnet",
        "fvAp",
        "fvAEPg",
        "fvRsBd",
        "fvRsCtx",
        "fvRsCons",
        "fvRsProv",
        "fvRsPathAtt",
        "fvRsDomAtt",
        "vzBrCP",
        "vzSubj",
        "vzFilter",
        "vzEntry",
        "vzRsSubjFiltAtt",
        "l3extOut",
        "l3extInstP",
        "l3extLNodeP",
        "fvCEp",
        "fvIp",
        "faultInst",
        "aaaUserEp",
        "aaaUser",
        "aaaDomain",
        "aaaModLR",
        "healthInst",
        "fabricPathEp",
        "eventRecord",
    ] {
        let (count, objects) = get(fabric_of_ten_thousand(), &format!("/api/class/{class}.json?page-size=1"));
        assert!(count > 0 && objects.len() == 1, "{class}");
    }
}

fn fabric_of_ten_thousand() -> &'static Mit {
    static FABRIC: LazyLock<Mit> = LazyLock::new(|| fabric(10_000));
    &FABRIC
}

#[test]
fn relations_lead_to_objects_that_are_there() {
    let mit = fabric_of_ten_thousand();
    for class in [
        "fvRsBd",
        "fvRsCtx",
        "fvRsCons",
        "fvRsProv",
        "vzRsSubjFiltAtt",
        "l3extRsEctx",
        "fvRsBDToOut",
        "fvRsTenantMonPol",
    ] {
        let (_, objects) = get(mit, &format!("/api/class/{class}.json"));
        for object in &objects {
            assert!(mit.tree.find(attribute(object, "tDn")).is_some(), "{object}");
        }
    }
}

#[test]
fn the_recorded_source_reads_the_same_attributes() {
    let url = "/api/mo/uni/tn-common.json?rsp-subtree=full";
    let text = try_get(small(), url).unwrap();
    let (_, flat) = get(small(), "/api/mo/uni/tn-common.json?query-target=subtree");

    let mut source = RecordedSource::from_reader("an answer", Box::new(std::io::Cursor::new(text)), None).unwrap();
    let mut read = BTreeSet::new();
    while let Some(batch) = pollster::block_on(source.next_batch()).unwrap() {
        for row in batch.iter() {
            let attributes: Vec<String> = row
                .attributes()
                .filter(|(name, _)| !matches!(*name, "rn" | fabrik_core::CLASS_NAME))
                .map(|(name, value)| match value {
                    fabrik_core::Value::String(value) => format!("{name}={value}"),
                    other => panic!("{name} is {other:?}"),
                })
                .collect();
            read.insert(attributes.join("\n"));
        }
    }

    let expected: BTreeSet<String> = flat
        .iter()
        .map(|object| {
            let mut attributes: Vec<String> = parts(object).1["attributes"]
                .as_object()
                .unwrap()
                .iter()
                .map(|(name, value)| format!("{name}={}", value.as_str().unwrap()))
                .collect();
            attributes.sort();
            attributes.join("\n")
        })
        .collect();
    let read: BTreeSet<String> = read
        .into_iter()
        .map(|text| {
            let mut lines: Vec<&str> = text.split('\n').collect();
            lines.sort_unstable();
            lines.join("\n")
        })
        .collect();
    assert_eq!(read, expected);
}

#[test]
fn xml_says_what_json_says() {
    for query in ["rsp-subtree=full", "query-target=subtree", "rsp-subtree=full&rsp-prop-include=config-only"] {
        let json = try_get(small(), &format!("/api/mo/uni/tn-common.json?{query}")).unwrap();
        let xml = try_get(small(), &format!("/api/mo/uni/tn-common.xml?{query}")).unwrap();
        assert!(xml.starts_with("<?xml version=\"1.0\" encoding=\"UTF-8\"?>"));

        let json: Value = serde_json::from_str(&json).unwrap();
        let from_json: Vec<PostObject> = json["imdata"]
            .as_array()
            .unwrap()
            .iter()
            .map(|object| {
                PostObject::parse(object.to_string().as_bytes(), crate::simulator::render::Format::Json).unwrap()
            })
            .collect();
        let from_xml = PostObject::parse(xml.as_bytes(), crate::simulator::render::Format::Xml).unwrap();

        assert_eq!(from_xml.attribute("totalCount"), json["totalCount"].as_str());
        assert_eq!(sorted(from_xml.into_children()), sorted(from_json));
    }
}

/// The JSON reader sorts members, XML keeps the order of the controller.
fn sorted(mut objects: Vec<PostObject>) -> Vec<PostObject> {
    for object in &mut objects {
        object.sort_attributes();
    }
    objects
}
