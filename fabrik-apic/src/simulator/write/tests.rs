//! What clients write is what they read afterwards, and what others are told.

use serde_json::{Value, json};

use super::*;
use crate::simulator::error::ApicError;
use crate::simulator::event::{Change, Event};
use crate::simulator::mit::tests::{attribute, dns, fabric, get, parts, start};
use crate::simulator::mit::{Author, Mit};
use crate::simulator::render::Format;

fn author() -> Author {
    Author {
        user: "netops".to_owned(),
        session_id: "c2Vzc2lvbg==".to_owned(),
        at: start() + chrono::TimeDelta::hours(1),
    }
}

fn post(mit: &mut Mit, target: &str, body: &Value) -> Result<Vec<Event>, ApicError> {
    let body = PostObject::parse(body.to_string().as_bytes(), Format::Json)?;
    mit.post((!target.is_empty()).then_some(target), &body, &author())
}

fn object(mit: &Mit, dn: &str) -> Option<Value> {
    get(mit, &format!("/api/mo/{dn}.json")).1.pop()
}

fn value(mit: &Mit, dn: &str, name: &str) -> String {
    attribute(&object(mit, dn).unwrap(), name).to_owned()
}

fn everything(mit: &Mit) -> Vec<Value> {
    let mut all = get(mit, "/api/mo/uni.json?query-target=subtree").1;
    all.extend(get(mit, "/api/class/aaaModLR.json").1);
    all
}

fn tenant() -> Value {
    json!({"fvTenant": {"attributes": {"name": "new", "descr": "first"}, "children": [
        {"fvCtx": {"attributes": {"name": "v"}}},
        {"fvBD": {"attributes": {"rn": "BD-b", "arpFlood": "yes"}, "children": [
            {"fvRsCtx": {"attributes": {"tnFvCtxName": "v"}}},
            {"fvSubnet": {"attributes": {"ip": "10.9.8.1/24", "scope": "public,shared"}}},
        ]}},
        {"fvAp": {"attributes": {"dn": "uni/tn-new/ap-a"}, "children": [
            {"fvAEPg": {"attributes": {"name": "e"}, "children": [
                {"fvRsBd": {"attributes": {"tnFvBDName": "b"}}},
                {"fvRsCons": {"attributes": {"tnVzBrCPName": "nowhere"}}},
                {"fvRsPathAtt": {"attributes": {"tDn": "topology/pod-1/paths-101/pathep-[eth1/1]", "encap": "vlan-7"}}},
            ]}},
        ]}},
    ]}})
}

#[test]
fn posted_tree_is_read_back() {
    for target in ["uni", "uni/tn-new"] {
        let mut mit = fabric(2500);
        let before = mit.len();

        let events = post(&mut mit, target, &tenant()).unwrap();

        let path = "uni/tn-new/ap-a/epg-e/rspathAtt-[topology/pod-1/paths-101/pathep-[eth1/1]]";
        for (dn, name, expected) in [
            ("uni/tn-new", "descr", "first"),
            ("uni/tn-new", "annotation", ""),
            ("uni/tn-new/BD-b", "arpFlood", "yes"),
            ("uni/tn-new/BD-b", "unicastRoute", "yes"),
            ("uni/tn-new/BD-b", "modTs", "2026-03-02T05:00:00.000+02:00"),
            ("uni/tn-new/BD-b/subnet-[10.9.8.1/24]", "ip", "10.9.8.1/24"),
            ("uni/tn-new/BD-b/subnet-[10.9.8.1/24]", "scope", "public,shared"),
            ("uni/tn-new/BD-b/rsctx", "tDn", "uni/tn-new/ctx-v"),
            ("uni/tn-new/BD-b/rsctx", "state", "formed"),
            ("uni/tn-new/ap-a/epg-e/rsbd", "tDn", "uni/tn-new/BD-b"),
            ("uni/tn-new/ap-a/epg-e/rscons-nowhere", "tnVzBrCPName", "nowhere"),
            ("uni/tn-new/ap-a/epg-e/rscons-nowhere", "state", "missing-target"),
            (path, "tDn", "topology/pod-1/paths-101/pathep-[eth1/1]"),
            (path, "encap", "vlan-7"),
        ] {
            assert_eq!(value(&mit, dn, name), expected, "{dn} {name}");
        }
        assert_eq!(mit.len(), before + 20, "ten objects and ten records");
        assert_eq!(events.len(), 20);
        assert!(events.iter().all(|event| event.status == Change::Created));
    }
}

#[test]
fn what_was_read_can_be_written_and_changes_nothing() {
    let mut mit = fabric(2500);
    let before = everything(&mit);
    for query in
        ["rsp-subtree=full&rsp-subtree-class=fvBD,fvAEPg,fvAp", "rsp-subtree=no", "rsp-prop-include=config-only"]
    {
        let url = format!("/api/class/fvCtx,fvBD,fvSubnet,vzBrCP,l3extOut.json?{query}");
        for object in get(&mit, &url).1 {
            let has_state_below = object.to_string().contains("fvCEp") || object.to_string().contains("faultInst");
            if !has_state_below {
                post(&mut mit, "uni", &object).unwrap();
            }
        }
    }
    assert_eq!(everything(&mit), before);
}

#[test]
fn attributes_and_children_that_are_not_sent_stay() {
    let mut mit = fabric(2500);
    post(&mut mit, "uni", &tenant()).unwrap();

    let events = post(&mut mit, "uni/tn-new", &json!({"fvTenant": {"attributes": {"nameAlias": "Neu"}}})).unwrap();

    assert_eq!(
        (value(&mit, "uni/tn-new", "descr"), value(&mit, "uni/tn-new", "nameAlias")),
        ("first".into(), "Neu".into())
    );
    assert!(object(&mit, "uni/tn-new/BD-b").is_some());
    let [change, record] = &events[..] else { panic!("{events:?}") };
    assert_eq!((change.status, change.dn.as_str()), (Change::Modified, "uni/tn-new"));
    let names: Vec<&str> = change.attributes.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, ["nameAlias", "modTs"]);
    assert_eq!((record.status, record.class), (Change::Created, "aaaModLR"));
}

#[test]
fn records_tell_who_changed_what() {
    let mut mit = fabric(2500);
    let created = post(&mut mit, "uni", &tenant()).unwrap();
    let modified =
        post(&mut mit, "uni/tn-new", &json!({"fvTenant": {"attributes": {"descr": "second", "nameAlias": "N"}}}))
            .unwrap();
    let deleted = mit.delete("uni/tn-new/ap-a", &author()).unwrap();

    let record = |events: &[Event], affected: &str| -> Vec<(String, String)> {
        let has = |event: &&Event| event.attributes.contains(&("affected", affected.to_owned()));
        let event = events.iter().filter(|event| event.class == "aaaModLR").find(has).unwrap();
        event.attributes.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect()
    };
    let field =
        |record: &[(String, String)], name: &str| record.iter().find(|(have, _)| have == name).unwrap().1.clone();
    for (record, ind, change_set, descr) in [
        (record(&created, "uni/tn-new"), "creation", "descr:first, name:new", "Tenant new created"),
        (
            record(&modified, "uni/tn-new"),
            "modification",
            "descr (Old: first, New: second), nameAlias (New: N)",
            "Tenant new modified",
        ),
        (record(&deleted, "uni/tn-new/ap-a/epg-e"), "deletion", "", "AEPg e deleted"),
    ] {
        assert_eq!(field(&record, "ind"), ind);
        assert_eq!(field(&record, "changeSet"), change_set);
        assert_eq!(field(&record, "descr"), descr);
        assert_eq!((field(&record, "user"), field(&record, "sessionId")), ("netops".into(), "c2Vzc2lvbg==".into()));
        assert_eq!(field(&record, "created"), "2026-03-02T05:00:00.000+02:00");
    }
    let transactions = |events: &[Event]| -> std::collections::BTreeSet<String> {
        let records = events.iter().filter(|event| event.class == "aaaModLR");
        records
            .flat_map(|event| event.attributes.iter().filter(|(name, _)| *name == "txId"))
            .map(|(_, id)| id.clone())
            .collect()
    };
    assert_eq!((transactions(&created).len(), transactions(&deleted).len()), (1, 1));
    assert_ne!(transactions(&created), transactions(&deleted));
    let (_, kept) = get(&mit, "/api/mo/uni/tn-new.json?rsp-subtree-include=audit-logs,no-scoped");
    assert_eq!(kept.len(), 2);
}

#[test]
fn deletion_removes_all_below_and_may_be_repeated() {
    let mut mit = fabric(2500);
    let dn = "uni/tn-common";
    let (below, _) = get(&mit, "/api/mo/uni/tn-common.json?query-target=subtree");
    let (before, (groups, _)) = (mit.len(), get(&mit, "/api/class/fvAEPg.json"));

    let events = mit.delete(dn, &author()).unwrap();

    let records = events.iter().filter(|event| event.class == "aaaModLR").count();
    let gone: Vec<&Event> = events.iter().filter(|event| event.status == Change::Deleted).collect();
    assert!(below > 20 && gone.len() == below && records > 5);
    assert_eq!(mit.len(), before - below + records);
    for event in gone {
        assert_eq!(get(&mit, &format!("/api/mo/{}.json", event.dn)).0, 0);
    }
    assert!(get(&mit, "/api/class/fvAEPg.json").0 < groups);
    assert_eq!(mit.delete(dn, &author()).unwrap().len(), 0);
    let again = json!({"fvTenant": {"attributes": {"dn": dn, "status": "deleted"}}});
    assert_eq!(post(&mut mit, "", &again).unwrap().len(), 0);
}

#[test]
fn one_bad_object_rejects_the_whole_post() {
    let mut mit = fabric(600);
    post(&mut mit, "uni", &json!({"fvTenant": {"attributes": {"name": "there"}}})).unwrap();
    let before = everything(&mit);
    for (bad, code, text) in [
        (json!({"fvNoSuch": {"attributes": {"name": "x"}}}), 122, "unknown managed object class fvNoSuch"),
        (json!({"fvBD": {"attributes": {"name": "x", "nosuch": "1"}}}), 400, "unknown attribute 'nosuch'"),
        (
            json!({"fvBD": {"attributes": {"name": "x", "arpFlood": "maybe"}}}),
            120,
            "unknown property value maybe, name arpFlood, class fvBD",
        ),
        (
            json!({"fvBD": {"attributes": {"name": "a b"}}}),
            801,
            "property name of uni/tn-bad/BD-a b failed validation for value 'a b'",
        ),
        (
            json!({"fvBD": {"attributes": {"name": "x", "descr": "d".repeat(129)}}}),
            801,
            "property descr of uni/tn-bad/BD-x failed validation",
        ),
        (json!({"fvBD": {"attributes": {"descr": "x"}}}), 107, "naming property name of class fvBD is missing"),
        (
            json!({"fvBD": {"attributes": {"rn": "BD-x", "name": "y"}}}),
            107,
            "Create-only and naming props cannot be modified after creation, class=fvBD, prop=name",
        ),
        (json!({"fvBD": {"attributes": {"rn": "ap-x"}}}), 107, "wrong rn prefix ap-x"),
        (json!({"fvBD": {"attributes": {"dn": "uni/tn-there/BD-x"}}}), 107, "Invalid DN"),
        (json!({"fvSubnet": {"attributes": {"ip": "10.0.0.1/24"}}}), 107, "Invalid DN"),
        (json!({"fvBD": {"attributes": {"name": "x", "status": "modified"}}}), 107, "cannot delete or modify"),
        (
            json!({"fvBD": {"attributes": {"name": "x", "status": "gone"}}}),
            120,
            "unknown property value gone, name status",
        ),
        (
            json!({"fvBD": {"attributes": {"name": "x"}, "children": [{"fvSubnet": {"attributes": {"ip": "ten"}}}]}}),
            801,
            "property ip",
        ),
    ] {
        let body = json!({"polUni": {"attributes": {}, "children": [
            {"fvTenant": {"attributes": {"name": "there", "descr": "changed"}}},
            {"fvTenant": {"attributes": {"name": "bad"}, "children": [bad]}},
        ]}});

        let error = post(&mut mit, "uni", &body).unwrap_err();

        assert!((error.status, error.code) == (400, code) && error.text.contains(text), "{body}: {error}");
        assert_eq!(everything(&mit), before, "{body}");
    }
    let exists = json!({"fvTenant": {"attributes": {"name": "there", "status": "created"}}});
    assert_eq!(post(&mut mit, "uni", &exists).unwrap_err().code, 103);
    for (target, body) in [
        ("topology/pod-1", json!({"fabricPod": {"attributes": {"id": "2"}}})),
        ("", json!({"fvTenant": {"attributes": {"name": "x"}}})),
    ] {
        assert_eq!(post(&mut mit, target, &body).unwrap_err().code, 107, "{target}");
    }
    assert_eq!(mit.delete("topology/pod-1", &author()).unwrap_err().code, 107);
    assert_eq!(everything(&mit), before);
}

#[test]
fn an_object_is_named_by_dn_by_place_or_by_the_url() {
    let mut mit = fabric(2500);
    for (target, body, dn) in [
        ("", json!({"fvTenant": {"attributes": {"dn": "uni/tn-a"}}}), "uni/tn-a"),
        ("uni/tn-b", json!({"fvTenant": {"attributes": {}}}), "uni/tn-b"),
        ("uni/tn-b", json!({"fvBD": {"attributes": {"name": "x"}}}), "uni/tn-b/BD-x"),
        ("uni/tn-b/BD-y", json!({"fvBD": {"attributes": {"descr": "y"}}}), "uni/tn-b/BD-y"),
        ("uni/tn-b/BD-y", json!({"fvRsCtx": {"attributes": {"tnFvCtxName": "x"}}}), "uni/tn-b/BD-y/rsctx"),
        ("uni", json!({"fvTenant": {"attributes": {"rn": "tn-c"}}}), "uni/tn-c"),
        // What is missing above is made, as far as its class is plain.
        ("uni/tn-d/ap-x/epg-y", json!({"fvAEPg": {"attributes": {}}}), "uni/tn-d/ap-x"),
        (
            "",
            json!({"polUni": {"attributes": {}, "children": [{"fvTenant": {"attributes": {"name": "e"}}}]}}),
            "uni/tn-e",
        ),
    ] {
        post(&mut mit, target, &body).unwrap_or_else(|error| panic!("{target} {body}: {error}"));
        assert!(object(&mit, dn).is_some(), "{dn}");
    }
}

#[test]
fn deleted_and_made_again_in_one_post_is_new() {
    let mut mit = fabric(2500);
    post(&mut mit, "uni", &tenant()).unwrap();

    let body = json!({"polUni": {"attributes": {}, "children": [
        {"fvTenant": {"attributes": {"name": "new", "status": "deleted"}}},
        {"fvTenant": {"attributes": {"name": "new", "status": "created"}, "children": [{"fvAp": {"attributes": {"name": "z"}}}]}},
    ]}});
    post(&mut mit, "uni", &body).unwrap();

    let (_, below) = get(&mit, "/api/mo/uni/tn-new.json?query-target=subtree");
    assert_eq!(dns(&below), ["uni/tn-new", "uni/tn-new/ap-z"]);
    assert_eq!(value(&mit, "uni/tn-new", "descr"), "");
}

#[test]
fn relations_follow_targets_that_come_and_go() {
    let mut mit = fabric(2500);
    post(&mut mit, "uni", &tenant()).unwrap();
    let relation = "uni/tn-new/ap-a/epg-e/rscons-nowhere";
    let contract = json!({"vzBrCP": {"attributes": {"name": "nowhere"}}});

    let events = post(&mut mit, "uni/tn-common", &contract).unwrap();
    assert_eq!(
        (value(&mit, relation, "state"), value(&mit, relation, "tDn")),
        ("formed".into(), "uni/tn-common/brc-nowhere".into())
    );
    assert!(events.iter().any(|event| event.dn == relation && event.status == Change::Modified));

    post(&mut mit, "uni/tn-new", &contract).unwrap();
    assert_eq!(value(&mit, relation, "tDn"), "uni/tn-new/brc-nowhere");

    mit.delete("uni/tn-new/brc-nowhere", &author()).unwrap();
    mit.delete("uni/tn-common/brc-nowhere", &author()).unwrap();
    assert_eq!(
        (value(&mit, relation, "state"), value(&mit, relation, "tDn")),
        ("missing-target".into(), String::new())
    );
}

#[test]
fn xml_writes_what_json_writes() {
    let (mut by_json, mut by_xml) = (fabric(2500), fabric(2500));
    post(&mut by_json, "uni", &tenant()).unwrap();
    let xml = xml_of(&tenant());

    let body = PostObject::parse(xml.as_bytes(), Format::Xml).unwrap();
    by_xml.post(Some("uni"), &body, &author()).unwrap();

    assert_eq!(everything(&by_xml), everything(&by_json));
}

fn xml_of(object: &Value) -> String {
    let (class, body) = parts(object);
    let attributes: String = body["attributes"]
        .as_object()
        .unwrap()
        .iter()
        .map(|(name, value)| format!(" {name}=\"{}\"", value.as_str().unwrap()))
        .collect();
    let children: String = body["children"].as_array().into_iter().flatten().map(xml_of).collect();
    format!("<{class}{attributes}>{children}</{class}>")
}

#[test]
fn a_post_can_answer_with_what_it_changed() {
    let mut mit = fabric(600);
    let events = post(&mut mit, "uni", &tenant()).unwrap();

    let answer = Event::answer(&events, Format::Json).into_bytes(None);

    let answer: Value = serde_json::from_slice(&answer).unwrap();
    assert_eq!(answer["totalCount"], "10");
    let objects = answer["imdata"].as_array().unwrap();
    assert!(objects.len() == 10 && objects.iter().all(|object| attribute(object, "status") == "created"));
}

#[test]
fn target_of_a_write_is_the_dn_in_the_path() {
    use crate::simulator::query::parse_target;

    let dn = |text: &str| Some(text.to_owned());
    for (path, expected, format) in [
        ("/api/mo/uni/tn-a.json", dn("uni/tn-a"), Format::Json),
        ("/api//node/mo/uni/tn-a.xml", dn("uni/tn-a"), Format::Xml),
        ("/api/mo/a/b-%5Bc%2Fd%5D.json", dn("a/b-[c/d]"), Format::Json),
        ("/api/mo.json", None, Format::Json),
        ("/api/node/mo/.xml", None, Format::Xml),
    ] {
        assert_eq!(parse_target(path).unwrap(), (expected, format), "{path}");
    }
    for path in ["/api/class/fvBD.json", "/api/mox.json", "/api/mo/uni"] {
        assert_eq!(parse_target(path).unwrap_err().status, 400, "{path}");
    }
}

#[test]
fn frames_have_the_recorded_shape() {
    let mut mit = fabric(2500);
    let ids = ["72066106679951361".to_owned(), "72066106679951362".to_owned()];
    let body = json!({"fvTenant": {"attributes": {"name": "t", "descr": "a \"b\""}}});
    let created = post(&mut mit, "uni", &body).unwrap();
    let deleted = mit.delete("uni/tn-t", &author()).unwrap();

    let frame: Value = serde_json::from_str(&created[0].to_frame(Format::Json, &ids)).unwrap();
    assert_eq!(frame["subscriptionId"], json!(ids));
    let object = &frame["imdata"][0];
    assert_eq!((parts(object).0, attribute(object, "status"), attribute(object, "rn")), ("fvTenant", "created", ""));
    assert_eq!((attribute(object, "dn"), attribute(object, "descr")), ("uni/tn-t", "a \"b\""));
    assert_eq!(
        deleted[0].to_frame(Format::Json, &ids[..1]),
        r#"{"subscriptionId":["72066106679951361"],"imdata":[{"fvTenant":{"attributes":{"dn":"uni/tn-t","rn":"","status":"deleted"}}}]}"#
    );
    let xml = created[0].to_frame(Format::Xml, &ids);
    assert!(
        xml.starts_with("<?xml")
            && xml.contains("<imdata subscriptionId=\"72066106679951361,72066106679951362\"><fvTenant ")
    );
    assert!(xml.contains("descr=\"a &quot;b&quot;\"") && xml.contains("status=\"created\""));
}
