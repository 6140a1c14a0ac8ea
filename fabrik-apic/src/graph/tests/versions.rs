//! What counts as the same question, and which number rises.

use serde_json::{Value, json};

use super::super::*;
use super::{eq, flow};

fn chain() -> Value {
    json!([{"className": "fvTenant", "filters": [eq("name", "a"), eq("descr", "x")]}, {"className": "fvBD", "scope": "children"}])
}

fn change(older: &Question, newer: &Question) -> Option<(String, Change)> {
    rise(Version { major: 2, minor: 3 }, older, newer).map(|rise| (rise.version.to_string(), rise.change))
}

fn edited(edit: impl Fn(&mut Value)) -> Question {
    let mut value = serde_json::to_value(flow(chain())).unwrap();
    edit(&mut value);
    serde_json::from_value(value).unwrap()
}

#[test]
fn the_same_meaning_has_the_same_hash() {
    let original = flow(chain());
    let same = [
        edited(|flow| flow["nodes"][1]["position"] = json!({"x": 999, "y": -4})),
        edited(|flow| flow["viewport"] = json!({"zoom": 3})),
        edited(|flow| flow["nodes"].as_array_mut().unwrap().reverse()),
        edited(|flow| flow["edges"].as_array_mut().unwrap().reverse()),
        edited(|flow| flow["nodes"][1]["data"]["label"] = json!("My tenants")),
        edited(|flow| flow["nodes"][1]["data"]["scope"] = json!("self")),
        edited(|flow| flow["nodes"][1]["data"]["supplementalData"] = json!({"faults": false})),
        edited(|flow| flow["nodes"][5]["data"]["enableTimeMachine"] = json!(false)),
        edited(|flow| {
            *flow = serde_json::from_str(&flow.to_string().replace("\"c0\"", "\"other\"").replace("\"f01\"", "\"f\""))
                .unwrap()
        }),
        flow(
            json!([{"filters": [eq("descr", "x"), eq("name", "a")], "className": "fvTenant"}, {"scope": "children", "className": "fvBD"}]),
        ),
    ];
    for (i, question) in same.iter().enumerate() {
        assert_eq!(Fingerprint::of(question), Fingerprint::of(&original), "{i}");
        assert_eq!(change(&original, question), None, "{i}");
    }
}

#[test]
fn each_kind_of_change_raises_its_number() {
    let original = flow(chain());
    let cases = [
        (flow(json!([{"className": "fvBD"}])), Change::Major),
        (edited(|flow| flow["nodes"][1]["data"]["className"] = json!("fvCtx")), Change::Major),
        (edited(|flow| flow["nodes"][4]["data"]["scope"] = json!("subtree")), Change::Major),
        (edited(|flow| flow["nodes"][4]["data"]["propertyInclude"] = json!("config-only")), Change::Major),
        (edited(|flow| drop(flow["edges"].as_array_mut().unwrap().remove(3))), Change::Major),
        (edited(|flow| flow["nodes"][2]["data"]["value"] = json!("b")), Change::Minor),
        (edited(|flow| flow["nodes"][2]["data"]["operator"] = json!("ne")), Change::Minor),
        (edited(|flow| flow["variables"] = json!([{"id": "v"}])), Change::Minor),
        (
            edited(|flow| {
                let step = json!({"id": "p", "type": "postProcessorNode", "data": {"processorType": "limit", "config": {"count": 1}}});
                flow["nodes"].as_array_mut().unwrap().push(step);
                flow["edges"][4]["target"] = json!("p");
                flow["edges"].as_array_mut().unwrap().push(json!({"source": "p", "target": "out"}));
            }),
            Change::Minor,
        ),
    ];
    for (i, (newer, expected)) in cases.iter().enumerate() {
        let version = if *expected == Change::Major { "3.0" } else { "2.4" };
        assert_eq!(change(&original, newer), Some((version.to_owned(), *expected)), "{i}");
        assert_ne!(Fingerprint::of(&original), Fingerprint::of(newer), "{i}");
        assert_eq!(
            Fingerprint::of(&original).has_structure_of(&Fingerprint::of(newer)),
            *expected == Change::Minor,
            "{i}"
        );
    }
}

#[test]
fn a_paused_step_is_not_in_the_hash() {
    let with =
        |steps: Value| serde_json::from_value::<Question>(json!({"class": "fvBD", "post_processors": steps})).unwrap();
    let in_graph = edited(|flow| {
        let data = json!({"processorType": "limit", "config": {"count": 1}, "isPaused": true});
        flow["nodes"].as_array_mut().unwrap().push(json!({"id": "p", "type": "postProcessorNode", "data": data}));
        flow["edges"][4]["target"] = json!("p");
        flow["edges"].as_array_mut().unwrap().push(json!({"source": "p", "target": "out"}));
    });

    assert_eq!(change(&flow(chain()), &in_graph), None);
    assert_eq!(change(&with(json!([])), &with(json!([{"processorType": "limit", "isPaused": true}]))), None);
    assert_eq!(change(&with(json!([])), &with(json!([{"processorType": "limit"}]))).unwrap().1, Change::Minor);
}

#[test]
fn a_history_says_what_changed() {
    let original = flow(chain());
    let rise_to = |newer: &Question| rise(Version::FIRST, &original, newer).unwrap();

    assert_eq!(rise_to(&flow(json!([{"className": "fvBD"}]))).changes, "removed fvTenant");
    let filtered = rise_to(&edited(|flow| flow["nodes"][2]["data"]["value"] = json!("b")));
    assert_eq!((filtered.changes.as_str(), filtered.version.to_string().as_str()), ("changed filters", "1.1"));
    assert_eq!(filtered.fingerprint.to_string().len(), "sha256:ab12cd34".len());
}

#[test]
fn plain_queries_have_versions_too() {
    let plain = |value: Value| serde_json::from_value::<Question>(value).unwrap();
    let original = plain(json!({"class": "fvBD", "filter": "eq(fvBD.name,\"a\")", "scope": "children"}));

    let as_path = plain(
        json!({"path": "/api/node/class/fvBD.json?rsp-subtree=children&query-target-filter=eq(fvBD.name,%22a%22)"}),
    );
    assert_eq!(change(&original, &as_path), None);
    let other_filter = plain(json!({"class": "fvBD", "filter": "eq(fvBD.name,\"b\")", "scope": "children"}));
    assert_eq!(change(&original, &other_filter), Some(("2.4".to_owned(), Change::Minor)));
    let other_scope = plain(json!({"class": "fvBD", "filter": "eq(fvBD.name,\"a\")"}));
    assert_eq!(change(&original, &other_scope), Some(("3.0".to_owned(), Change::Major)));
}
