use std::collections::{BTreeMap, BTreeSet};

use chrono::TimeDelta;

use super::*;
use crate::simulator::event::Change;

const CHURN: Churn = Churn { changed: 60, added: 40, removed: 30, touched: 10 };

/// Every object with all its attributes.
fn contents(mit: &Mit) -> BTreeMap<String, Vec<(String, String)>> {
    let ids = class::all().iter().flat_map(|class| mit.tree.of_class(class.id));
    ids.map(|&id| {
        let node = mit.tree.node(id);
        let names = node.class().attributes.iter().map(|attribute| attribute.name.to_owned());
        (node.dn().to_owned(), names.zip(node.body().values().map(str::to_owned)).collect())
    })
    .collect()
}

#[test]
fn events_turn_the_tree_before_into_the_tree_after() {
    let mut mit = fabric(2500);
    let mut expected = contents(&mit);
    for hour in 1..=5 {
        let events = mit.advance(start() + TimeDelta::hours(hour), &CHURN);
        assert!(events.len() > 100);
        for event in events {
            match event.status {
                Change::Created => {
                    let mut attributes: Vec<(String, String)> =
                        event.attributes.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
                    attributes.extend([("dn".to_owned(), event.dn.clone()), ("status".to_owned(), String::new())]);
                    attributes.sort();
                    assert_eq!(expected.insert(event.dn, attributes), None);
                }
                Change::Modified => {
                    let attributes = expected.get_mut(&event.dn).unwrap();
                    assert!(event.attributes.iter().any(|(name, _)| *name == "modTs"));
                    for (name, value) in event.attributes {
                        attributes.iter_mut().find(|(have, _)| have == name).unwrap().1 = value;
                    }
                }
                Change::Deleted => assert!(expected.remove(&event.dn).is_some(), "{}", event.dn),
            }
        }
        let actual = contents(&mit);
        let differs = actual.iter().find(|(dn, object)| expected.get(*dn) != Some(object));
        assert_eq!(differs, None, "expected {:?}", differs.and_then(|(dn, _)| expected.get(dn)));
        assert_eq!(actual.len(), expected.len());
        assert_eq!(mit.now(), start() + TimeDelta::hours(hour));
    }
}

#[test]
fn same_steps_give_the_same_events() {
    let run = || {
        let mut mit = fabric(2500);
        mit.advance(start() + TimeDelta::hours(1), &CHURN).iter().map(|event| format!("{event:?}")).collect::<Vec<_>>()
    };

    assert_eq!(run(), run());
}

#[test]
fn changes_of_people_leave_a_record_and_those_of_the_fabric_do_not() {
    let mut mit = fabric(2500);
    let before = get(&mit, "/api/class/aaaModLR.json").0;

    let events = mit.advance(start() + TimeDelta::hours(1), &Churn { changed: 300, ..CHURN });

    let recorded: BTreeSet<String> = events
        .iter()
        .filter(|event| event.class == "aaaModLR")
        .flat_map(|event| event.attributes.iter().find(|(name, _)| *name == "affected"))
        .map(|(_, dn)| dn.clone())
        .collect();
    assert_eq!(get(&mit, "/api/class/aaaModLR.json").0, before + recorded.len());
    assert!(recorded.len() > 10);
    assert!(!recorded.iter().any(|dn| dn.contains("/cep-") || dn.contains("/fault-") || dn.contains("/sys/")));
    let added = events.iter().find(|event| event.class == "fvRsPathAtt" && event.status == Change::Created);
    assert!(added.is_none_or(|event| recorded.contains(&event.dn)));
}

#[test]
fn what_people_removed_does_not_come_back_and_their_values_stay() {
    let mut mit = fabric(2500);
    let author = Author { user: "admin".to_owned(), session_id: String::new(), at: start() };
    let (_, groups) = get(&mit, "/api/class/fvAEPg.json?order-by=fvAEPg.dn");
    let gone: Vec<String> = dns(&groups).iter().step_by(2).map(|dn| (*dn).to_owned()).collect();
    for dn in &gone {
        mit.delete(dn, &author).unwrap();
    }
    let mark = PostObject::parse(
        br#"{"fvAEPg":{"attributes":{"descr":"mine","exceptionTag":"7"}}}"#,
        crate::simulator::render::Format::Json,
    );
    let kept = dns(&groups)[1].to_owned();
    mit.post(Some(&kept), &mark.unwrap(), &author).unwrap();

    for hour in 1..=10 {
        mit.advance(start() + TimeDelta::hours(hour), &Churn { changed: 200, added: 100, ..CHURN });
    }

    let (_, all) = get(&mit, "/api/mo/uni.json?query-target=subtree");
    for dn in dns(&all) {
        assert!(!gone.iter().any(|gone| crate::simulator::query::is_within(dn, gone)), "{dn}");
    }
    assert_eq!(attribute(&get(&mit, &format!("/api/mo/{kept}.json")).1[0], "exceptionTag"), "7");
}

#[test]
fn endpoint_that_comes_has_its_address_below_it() {
    let mut mit = fabric(2500);

    let events = mit.advance(start() + TimeDelta::hours(1), &Churn { added: 80, ..Churn::default() });

    let new: Vec<&Event> = events.iter().filter(|event| event.class == "fvCEp").collect();
    assert!(!new.is_empty());
    for event in new {
        let ip = event.attributes.iter().find(|(name, _)| *name == "ip").unwrap();
        let below = format!("{}/ip-[{}]", event.dn, ip.1);
        assert_eq!(mit.tree.find(&below).is_some(), ip.1 != "0.0.0.0", "{below}");
    }
}

#[test]
fn subscription_selects_by_class_place_and_filter() {
    let mut mit = fabric(2500);
    let events = mit.advance(start() + TimeDelta::hours(1), &CHURN);
    let selected = |url: &str| -> usize {
        let request = super::request(url).unwrap();
        events.iter().filter(|event| request.selects(event)).count()
    };
    let where_ = |test: &dyn Fn(&Event) -> bool| events.iter().filter(|event| test(event)).count();

    assert_eq!(selected("/api/class/fvCEp.json"), where_(&|event| event.class == "fvCEp"));
    assert_eq!(
        selected("/api/mo/uni/tn-common.json?query-target=subtree"),
        where_(&|event| event.dn.starts_with("uni/tn-common/") || event.dn == "uni/tn-common")
    );
    assert_eq!(
        selected("/api/class/fvTenant.json?query-target=subtree&target-subtree-class=fvCEp,faultInst"),
        where_(&|event| event.dn.starts_with("uni/tn-") && ["fvCEp", "faultInst"].contains(&event.class))
    );
    assert_eq!(
        selected("/api/class/fvCEp.json?query-target-filter=wcard(fvCEp.status,\"created\")"),
        where_(&|event| event.class == "fvCEp" && event.status == Change::Created)
    );
    assert_eq!(
        selected("/api/class/fvAEPg.json?query-target=children"),
        where_(&|event| {
            crate::dn::parent(&event.dn)
                .and_then(|dn| dn.rsplit_once('/'))
                .is_some_and(|(_, rn)| rn.starts_with("epg-"))
                && event.dn.starts_with("uni/tn-")
        })
    );
    assert!(selected("/api/class/fvCEp.json") > 0 && selected("/api/class/fvBD.json") > 0);
    let one = &events.iter().find(|event| event.class == "fvCEp").unwrap().dn;
    assert!(selected(&format!("/api/mo/{one}.json")) >= 1);
    assert_eq!(selected("/api/mo/uni.json"), 0);
}
