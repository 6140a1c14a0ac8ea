use super::*;

#[test]
fn hits_carry_dn_and_nested_objects_carry_rn() {
    let dn = some_dn("fvAEPg");
    let (count, objects) = get(small(), &format!("/api/mo/{dn}.json?rsp-subtree=children"));

    assert_eq!(count, 1, "nested objects do not count");
    let (class, body) = parts(&objects[0]);
    assert_eq!((class, body["attributes"]["rn"].as_str()), ("fvAEPg", None));
    let children = body["children"].as_array().unwrap();
    assert!(children.len() > 2);
    for child in children {
        assert!(!attribute(child, "rn").is_empty());
        assert!(parts(child).1["attributes"].get("dn").is_none());
        assert!(parts(child).1.get("children").is_none(), "only one level");
    }
}

#[test]
fn attributes_are_strings_and_the_ones_every_object_has() {
    let (_, objects) = get(small(), "/api/class/fvBD.json");
    for object in &objects {
        let attributes = parts(object).1["attributes"].as_object().unwrap();
        assert!(attributes.values().all(Value::is_string));
        assert!(attributes.keys().is_sorted());
        for name in ["dn", "status", "childAction", "modTs", "uid", "monPolDn", "lcOwn", "annotation", "userdom"] {
            assert!(attributes.contains_key(name), "{name}");
        }
        assert_eq!((attribute(object, "status"), attribute(object, "childAction")), ("", ""));
    }
}

#[test]
fn class_shows_the_attributes_of_a_recorded_answer() {
    for (file, text) in [
        ("faultInst", include_str!("../../../../../examples/data/apic/faultInst-before.json")),
        ("fvAEPg", include_str!("../../../../../examples/data/apic/fvAEPg-with-children.json")),
        ("l3extOut", include_str!("../../../../../examples/data/apic/l3extOut-tree.json")),
        ("topSystem", include_str!("../../../../../examples/data/apic/topSystem-before.json")),
    ] {
        let recorded: Vec<Value> = serde_json::from_str(text).unwrap();
        let mut missing = Vec::new();
        let mut waiting: Vec<&Value> = recorded.iter().collect();
        while let Some(object) = waiting.pop() {
            let (class, body) = parts(object);
            waiting.extend(body["children"].as_array().into_iter().flatten());
            let Some(class) = class::find(class) else { continue };
            let names = body["attributes"].as_object().unwrap().keys().filter(|name| *name != "rn");
            missing.extend(
                names.filter(|name| class.position(name).is_none()).map(|name| format!("{}.{name}", class.name)),
            );
        }
        missing.sort();
        missing.dedup();
        // What only some releases and some kinds of domain have.
        missing.retain(|name| !name.starts_with("fvRsDomAtt.") && name != "fvAEPg.pcTagAllocSrc");
        assert!(missing.is_empty(), "{file}: {missing:?}");
    }
}

#[test]
fn unknown_dn_and_class_without_objects_are_empty_answers() {
    for url in [
        "/api/mo/uni/tn-nobody.json",
        "/api/node/mo/no/such/thing.json",
        "/api/class/isisAdjEp.json",
        "/api/class/fvStCEp.json?order-by=fvCEp.dn",
        "/api/mo/uni/tn-nobody.json?query-target=subtree&target-subtree-class=fvBD,vmmDomP",
    ] {
        assert_eq!(get(small(), url), (0, Vec::new()), "{url}");
    }
}

#[test]
fn page_past_the_end_is_empty_with_the_same_count() {
    let (count, _) = get(small(), "/api/class/fvBD.json");

    assert_eq!(get(small(), "/api/class/fvBD.json?page=1000&page-size=10"), (count, Vec::new()));
    assert_eq!(
        get(small(), &format!("/api/class/fvBD.json?page={}&page-size={}", u64::MAX, u64::MAX)),
        (count, Vec::new())
    );
}

#[test]
fn last_page_of_a_query_that_repeats_it_counts() {
    let url = "/api/class/fvBD.json?order-by=fvBD.dn";

    let repeated = get(small(), &format!("{url}&page-size=50&page=0&page-size=3&page=2"));

    assert_eq!(repeated, get(small(), &format!("{url}&page=2&page-size=3")));
}

#[test]
fn path_is_read_raw_or_encoded_with_slashes_doubled() {
    let dn = some_dn("fvRsPathAtt");
    let encoded = dn.replace('/', "%2F").replace('[', "%5B").replace(']', "%5d");
    let expected = get(small(), &format!("/api/mo/{dn}.json"));

    assert_eq!(expected.0, 1);
    for path in [format!("/api/node/mo/{dn}"), format!("/api//mo//{dn}"), format!("/api/mo/{encoded}")] {
        assert_eq!(get(small(), &format!("{path}.json")), expected, "{path}");
    }
    let (_, raw) =
        get(small(), &format!("/api/class/fvRsPathAtt.json?query-target-filter=eq(fvRsPathAtt.dn,\"{dn}\")"));
    assert_eq!(raw, expected.1);
}

#[test]
fn classes_of_a_node_are_those_below_it() {
    let (count, objects) = get(small(), "/api/node/class/topology/pod-1/node-101/l1PhysIf.json");

    assert!(count > 0);
    assert!(dns(&objects).iter().all(|dn| dn.starts_with("topology/pod-1/node-101/sys/")));
    let (count, _) = get(small(), "/api/node/class/topology/pod-1/node-101/fabricNode,topSystem.json");
    assert_eq!(count, 2);
}

#[test]
fn several_classes_are_a_union() {
    let count = |classes: &str| get(small(), &format!("/api/class/{classes}.json")).0;

    assert_eq!(count("fvBD,fvCtx,fvBD"), count("fvBD") + count("fvCtx"));
    let url = "/api/mo/uni.json?query-target=subtree&target-subtree-class=fvBD&target-subtree-class=fvCtx,fvAp";
    assert_eq!(get(small(), url).0, count("fvBD") + count("fvCtx") + count("fvAp"));
}

#[test]
fn children_leave_out_the_root_and_subtree_has_it() {
    let dn = some_dn("fvTenant");
    let (_, children) = get(small(), &format!("/api/mo/{dn}.json?query-target=children"));
    let (_, subtree) = get(small(), &format!("/api/mo/{dn}.json?query-target=subtree"));

    assert!(!dns(&children).contains(&dn.as_str()) && dns(&subtree).contains(&dn.as_str()));
    assert!(subtree.len() > children.len());
}

#[test]
fn count_is_one_object_that_tells_it() {
    let (expected, _) = get(small(), "/api/class/fvCEp.json");

    let (total, objects) = get(small(), "/api/class/fvCEp.json?rsp-subtree-include=count");

    let (class, _) = parts(&objects[0]);
    assert_eq!((total, objects.len(), class), (1, 1, "moCount"));
    assert_eq!(attribute(&objects[0], "count"), expected.to_string());
    assert_eq!((attribute(&objects[0], "dn"), attribute(&objects[0], "modTs")), ("cnt", "never"));
}

#[test]
fn property_sets_keep_what_they_are_for() {
    let dn = some_dn("fvBD");
    let names = |include: &str| -> Vec<String> {
        let (_, objects) = get(small(), &format!("/api/mo/{dn}.json?rsp-prop-include={include}"));
        parts(&objects[0]).1["attributes"].as_object().unwrap().keys().cloned().collect()
    };

    assert_eq!(names("naming-only"), ["dn", "name"]);
    let config = names("config-only");
    for gone in ["modTs", "uid", "childAction", "status", "lcOwn", "monPolDn", "pcTag", "seg"] {
        assert!(!config.contains(&gone.to_owned()), "{gone}");
    }
    for kept in ["dn", "name", "descr", "arpFlood", "annotation", "unicastRoute", "mac"] {
        assert!(config.contains(&kept.to_owned()), "{kept}");
    }
    assert_eq!(names("all").len(), config.len() + names("oper").len() - 1, "dn is in both");
}

#[test]
fn ancestors_of_a_wanted_class_stay_and_others_are_cut() {
    let (_, objects) = get(small(), "/api/class/fvTenant.json?rsp-subtree=full&rsp-subtree-class=fvRsBd");

    let with_groups = objects.iter().filter(|tenant| parts(tenant).1.get("children").is_some()).count();
    let without = objects.iter().find(|tenant| attribute(tenant, "name") == "mgmt").unwrap();
    assert!(with_groups > 0);
    assert!(parts(without).1.get("children").is_none(), "still there, without children");
    let mut waiting: Vec<&Value> = objects.iter().collect();
    while let Some(object) = waiting.pop() {
        let (class, body) = parts(object);
        assert!(["fvTenant", "fvAp", "fvAEPg", "fvRsBd"].contains(&class), "{class}");
        // What is below a match is its own affair.
        waiting.extend(body["children"].as_array().into_iter().flatten().filter(|_| class != "fvRsBd"));
    }
    let (required, _) =
        get(small(), "/api/class/fvTenant.json?rsp-subtree=full&rsp-subtree-class=fvRsBd&rsp-subtree-include=required");
    assert_eq!(required, with_groups);
}

#[test]
fn included_objects_are_children_or_stand_alone() {
    let (count, objects) = get(small(), "/api/class/fvTenant.json?rsp-subtree-include=health");
    for tenant in &objects {
        let children = parts(tenant).1["children"].as_array().unwrap();
        assert_eq!((children.len(), parts(&children[0]).0, attribute(&children[0], "rn")), (1, "healthInst", "health"));
    }

    let (alone, objects) = get(small(), "/api/class/fvTenant.json?rsp-subtree-include=health,no-scoped");
    assert_eq!(alone, count);
    assert!(objects.iter().all(|object| attribute(object, "dn").ends_with("/health")));

    let (faults, objects) = get(small(), "/api/mo/topology.json?rsp-subtree-include=faults,no-scoped,subtree");
    let (all, _) = get(small(), "/api/class/faultInst.json?query-target-filter=wcard(faultInst.dn,\"topology/\")");
    assert!(faults > 0 && faults == all && objects.iter().all(|object| parts(object).0 == "faultInst"));

    let (relations, _) =
        get(small(), &format!("/api/mo/{}.json?rsp-subtree-include=relations,no-scoped", some_dn("fvAEPg")));
    assert!(relations >= 2);
    let (stats, _) = get(small(), "/api/mo/uni.json?rsp-subtree-include=stats,no-scoped");
    assert_eq!(stats, 0);
}

#[test]
fn records_are_found_by_what_they_are_about() {
    let (count, records) = get(small(), "/api/class/aaaModLR.json?order-by=aaaModLR.created|desc");
    let newest = &records[0];
    let affected = attribute(newest, "affected");
    assert_eq!(attribute(newest, "dn"), format!("subj-[{affected}]/mod-{}", attribute(newest, "id")));

    let (_, with) = get(small(), &format!("/api/mo/{affected}.json?rsp-subtree-include=audit-logs"));
    let children = parts(&with[0]).1["children"].as_array().unwrap();
    assert!(children.iter().any(|child| attribute(child, "dn") == attribute(newest, "dn")));

    let tenants = "/api/mo/uni.json?rsp-subtree-include=audit-logs,no-scoped,subtree&order-by=aaaModLR.created|desc";
    let (total, page) = get(small(), &format!("{tenants}&page=0&page-size=3"));
    assert_eq!((total, page.len()), (count, 3));
    assert_eq!(&page[0], newest);
}

#[test]
fn time_range_cuts_records_and_nothing_else() {
    let count = |range: &str| get(small(), &format!("/api/class/aaaModLR.json?{range}")).0;
    let all = count("");

    let (week, day) = (count("time-range=1week"), count("time-range=24h"));
    assert!(day <= week && week < all, "{day} {week} {all}");
    assert_eq!(count("time-range=3month"), all);
    assert_eq!(count("time-range=2026-01-01|2026-02-23T04:00:00.000%2B02:00") + week, all);
    assert_eq!(get(small(), "/api/class/fvBD.json?time-range=24h").0, get(small(), "/api/class/fvBD.json").0);
}

#[test]
fn wrong_values_are_refused_with_their_option() {
    for (query, name) in [
        ("query-target=all", "query-target"),
        ("rsp-subtree=some", "rsp-subtree"),
        ("rsp-prop-include=none", "rsp-prop-include"),
        ("rsp-subtree-include=fault", "rsp-subtree-include"),
        ("page=first", "page"),
        ("page-size=-1", "page-size"),
        ("page-size=0", "page-size"),
        ("order-by=fvBD", "order-by"),
        ("order-by=fvBD.dn|up", "order-by"),
        ("order-by=fvBD.nosuch", "not found in class"),
        ("order-by=fvNoSuch.dn", "unresolved class for fvNoSuch"),
        ("target-subtree-class=fvNoSuch", "unresolved class for fvNoSuch"),
        ("time-range=soon", "time-range"),
        ("subscription=maybe", "subscription"),
        ("refresh-timeout=x", "refresh-timeout"),
        ("query-target-filter=eq(", "query-target-filter"),
        ("query-target-filter=eq(fvBD.nosuch,1)", "not found in class"),
        ("query-target-filter=lt(fabricNode.id,\"x\")", "Incorrect filter format for"),
    ] {
        let error = refused(small(), &format!("/api/class/fvBD.json?{query}"));
        assert!((error.status, error.code) == (400, 400) && error.text.contains(name), "{query}: {error}");
    }
    for path in ["/api/class/fvNoSuch.json", "/api/class/fvBD,fvNoSuch.json"] {
        assert!(refused(small(), path).text.contains("unresolved class for fvNoSuch"));
    }
    for path in
        ["/api/class/fvBD", "/api/mo.json", "/other/class/fvBD.json", "/api/nothing/fvBD.json", "/api/class/fvBD.txt"]
    {
        assert_eq!(refused(small(), path).status, 400, "{path}");
    }
}

#[test]
fn unknown_options_are_passed_over() {
    let expected = get(small(), "/api/class/fvBD.json");

    assert_eq!(
        get(small(), "/api/class/fvBD.json?_dc=1&cache-session&replica=2&subscription=no&&rsp-subtree-filter="),
        expected
    );
}

#[test]
fn too_many_objects_are_refused_nested_ones_included() {
    let limited = |url: &str, limit: usize| small().query(&request(url).unwrap(), limit);
    let (count, _) = get(small(), "/api/class/fvBD.json");

    assert!(limited("/api/class/fvBD.json", count).is_ok());
    for (url, limit) in [("/api/class/fvBD.json", count - 1), ("/api/mo/uni.json?rsp-subtree=full", 100)] {
        let error = limited(url, limit).unwrap_err();
        assert_eq!(
            (error.status, error.text.as_str()),
            (400, "Unable to process the query, result dataset is too big")
        );
    }
    assert!(limited("/api/class/fvBD.json?page-size=5", 5).is_ok());
}

#[test]
fn subscription_is_read_from_the_query() {
    let of = |query: &str| request(&format!("/api/class/fvBD.json?{query}")).unwrap().subscription();

    assert_eq!(of("page-size=1"), None);
    assert_eq!(of("subscription=yes").unwrap().refresh_timeout, None);
    assert_eq!(of("subscription=yes&refresh-timeout=600").unwrap().refresh_timeout, Some(600));
    let warned = request("/api/class/fvBD.json?query-target-filter=and(eq(fvBD.name,1)eq(fvBD.mac,2))").unwrap();
    assert_eq!(warned.warnings().len(), 1);
}
