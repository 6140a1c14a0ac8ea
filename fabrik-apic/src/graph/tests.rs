//! Graphs and what becomes of them.

#![expect(clippy::needless_pass_by_value, reason = "literals are given where they stand")]

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::filter::{Expression, Filter};

#[cfg(feature = "simulator")]
mod running;
mod versions;

/// A chain of classes, each with its filters, between a start and an output.
pub(super) fn flow(chain: Value) -> Question {
    let (mut nodes, mut edges) = (vec![json!({"id": "start", "type": "startNode", "data": {}})], Vec::new());
    let mut last = "start".to_owned();
    let mut add = |node: Value| {
        let id = node["id"].as_str().unwrap().to_owned();
        edges.push(json!({"source": last, "target": id}));
        last = id;
        nodes.push(node);
    };
    for (i, class) in chain.as_array().unwrap().iter().enumerate() {
        let mut data = class.clone();
        let filters = data.as_object_mut().unwrap().remove("filters").unwrap_or_default();
        add(json!({"id": format!("c{i}"), "type": "classNode", "data": data, "position": {"x": i, "y": 2}}));
        for (j, filter) in filters.as_array().into_iter().flatten().enumerate() {
            add(json!({"id": format!("f{i}{j}"), "type": "filterNode", "data": filter}));
        }
    }
    add(json!({"id": "out", "type": "outputNode", "data": {"enableTimeMachine": true}}));
    serde_json::from_value(json!({"nodes": nodes, "edges": edges, "viewport": {"zoom": 1}})).unwrap()
}

pub(super) fn eq(property: &str, value: &str) -> Value {
    json!({"filterType": "property", "property": property, "operator": "eq", "value": value})
}

fn plan(chain: Value) -> Plan {
    compile(&flow(chain), &CompileOptions::default()).unwrap()
}

fn raw(path: &str) -> String {
    percent_encoding::percent_decode_str(path).decode_utf8().unwrap().into_owned()
}

#[test]
fn plans_are_those_of_the_contract() {
    let tenant = || json!({"className": "fvTenant", "filters": [eq("name", "a")]});
    let cases = [
        (json!([tenant(), {"className": "fvBD", "filters": [eq("name", "b")]}]), "mo", "/api/mo/uni/tn-a/BD-b.json"),
        (
            json!([tenant(), {"className": "fvBD", "scope": "subtree", "filters": [eq("name", "b")]}]),
            "mo",
            "/api/mo/uni/tn-a/BD-b.json?query-target=subtree",
        ),
        (
            json!([tenant(), {"className": "fvBD"}]),
            "mo_partial",
            "/api/mo/uni/tn-a.json?query-target=subtree&target-subtree-class=fvBD",
        ),
        (
            json!([tenant(), {"className": "fvBD", "scope": "children"}]),
            "mo_partial",
            "/api/mo/uni/tn-a.json?query-target=subtree&target-subtree-class=fvBD&rsp-subtree=children",
        ),
        (json!([{"className": "fvBD", "scope": "subtree"}]), "class", "/api/class/fvBD.json?rsp-subtree=full"),
        (
            json!([tenant(), {"className": "fvBD", "filters": [eq("arpFlood", "yes")]}]),
            "class",
            "/api/class/fvBD.json?query-target-filter=and(wcard(fvBD.dn,\"uni/tn-a/\"),eq(fvBD.arpFlood,\"yes\"))",
        ),
        (
            json!([{"className": "fvTenant"}, {"className": "fvBD", "filters": [eq("name", "b")]}, {"className": "fvSubnet"}]),
            "class",
            "/api/class/fvSubnet.json?query-target-filter=wcard(fvSubnet.dn,\"/BD-b/\")",
        ),
        (
            json!([{"className": "fvSubnet", "filters": [eq("ip", "10.0.0.1/24"), eq("ip", "10.0.0.1/24")]}]),
            "class",
            "/api/class/fvSubnet.json?query-target-filter=and(eq(fvSubnet.ip,\"10.0.0.1/24\"),eq(fvSubnet.ip,\"10.0.0.1/24\"))",
        ),
        (
            json!([{"className": "fvTenant", "propertyInclude": "config-only",
                    "supplementalData": {"faults": true, "auditLogs": true, "noScoped": true, "health": false}}]),
            "class",
            "/api/class/fvTenant.json?rsp-prop-include=config-only&rsp-subtree-include=faults,no-scoped,audit-logs",
        ),
    ];
    for (chain, strategy, path) in cases {
        let plan = plan(chain.clone());
        assert_eq!((plan.strategy.name(), raw(&plan.path()).as_str()), (strategy, path), "{chain}");
        assert!(plan.steps.is_empty() && !plan.path().contains('"'), "{chain}");
    }
}

#[test]
fn parents_with_other_conditions_are_read_first() {
    let plan = plan(json!([
        {"className": "fvTenant", "filters": [eq("name", "a"), eq("descr", "x")]},
        {"className": "fvBD"},
        {"className": "fvSubnet"},
    ]));

    let paths: Vec<String> = plan.steps.iter().map(|step| raw(&step.query.to_string())).collect();
    assert_eq!(
        paths,
        [
            "/api/class/fvTenant.json?query-target-filter=and(eq(fvTenant.name,\"a\"),eq(fvTenant.descr,\"x\"))&rsp-prop-include=naming-only"
        ]
    );
    assert_eq!(raw(&plan.path()), "/api/class/fvSubnet.json?query-target-filter=wcard(fvSubnet.dn,\"uni/tn-a/BD-\")");
    assert_eq!((plan.metadata.estimated_ms, plan.estimated_cost), (3000, Cost::High));
    assert!(plan.suggestions.iter().any(|text| text.starts_with("fvTenant is read first")), "{:?}", plan.suggestions);
}

#[test]
fn patterns_become_filters_that_find_enough() {
    let pattern = |kind: &str, text: &str, negate: bool| json!({"property": "name", "type": kind, "pattern": text, "negate": negate});
    let of = |filter: Value| {
        let plan = plan(json!([{"className": "fvBD", "filters": [filter]}]));
        (plan.query.option("query-target-filter").map(str::to_owned), plan.metadata.checked_here)
    };
    let some = |text: &str| Some(text.to_owned());

    assert_eq!(
        of(json!({"property": "name", "operator": "contains", "value": "web"})),
        (some("wcard(fvBD.name,\"web\")"), false)
    );
    assert_eq!(
        of(json!({"property": "name", "operator": "wcard", "value": ".*web.*"})),
        (some("wcard(fvBD.name,\"web\")"), false)
    );
    assert_eq!(
        of(json!({"property": "name", "operator": "wcard", "value": "web"})),
        (some("wcard(fvBD.name,\"web\")"), true)
    );
    assert_eq!(
        of(json!({"property": "name", "operator": "wcard", "value": "(a|b)"})),
        (some("wcard(fvBD.name,\"(a|b)\")"), false)
    );
    let groups = json!({"groupCombineOperator": "or", "patternGroups": [
        {"patterns": [pattern("starts", "a-", false), pattern("ends", "-z", false)], "logicalOperator": "and"},
        {"patterns": [pattern("contains", "x", true)]},
    ]});
    assert_eq!(
        of(groups),
        (some("or(and(wcard(fvBD.name,\"a-\"),wcard(fvBD.name,\"-z\")),not(wcard(fvBD.name,\"x\")))"), true)
    );
    // The opposite of what is found too widely is not known.
    assert_eq!(of(json!({"wildcardPatterns": [pattern("starts", "a", true)]})), (None, true));
    let either = json!({"logicalOperator": "xor", "wildcardPatterns": [pattern("contains", "a", false), pattern("contains", "b", false)]});
    assert_eq!(of(either), (some("xor(wcard(fvBD.name,\"a\"),wcard(fvBD.name,\"b\"))"), false));
}

#[test]
fn strategies_can_be_forced() {
    let chain = json!([{"className": "fvTenant", "filters": [eq("name", "a")]}, {"className": "fvBD", "filters": [eq("name", "b")]}]);
    let forced =
        |chain: &Value, strategy| compile(&flow(chain.clone()), &CompileOptions::default().with_strategy(strategy));

    let class = forced(&chain, super::Strategy::Class).unwrap();
    let node_class = forced(&chain, super::Strategy::NodeClass).unwrap();

    assert_eq!(
        raw(&class.path()),
        "/api/class/fvBD.json?query-target-filter=and(eq(fvBD.dn,\"uni/tn-a/BD-b\"),eq(fvBD.name,\"b\"))"
    );
    assert_eq!(
        raw(&node_class.path()),
        "/api/node/class/fvBD.json?query-target-filter=and(eq(fvBD.dn,\"uni/tn-a/BD-b\"),eq(fvBD.name,\"b\"))"
    );
    assert_eq!(node_class.path().parse::<crate::ApicQuery>().unwrap(), node_class.query);
    let error = forced(&json!([{"className": "fvBD"}]), super::Strategy::Mo).unwrap_err();
    assert!(error.to_string().starts_with("node \"c0\": force_strategy \"MO\" is not valid"), "{error}");
    let of_node = json!([{"className": "fabricPod", "filters": [eq("id", "1")]}, {"className": "fabricNode", "filters": [eq("id", "101")]}, {"className": "l1PhysIf"}]);
    assert_eq!(
        forced(&of_node, super::Strategy::NodeClass).unwrap().path(),
        "/api/node/class/topology/pod-1/node-101/l1PhysIf.json"
    );
}

#[test]
fn a_preview_ends_at_its_node() {
    let chain =
        json!([{"className": "fvTenant", "filters": [eq("name", "a"), eq("descr", "x")]}, {"className": "fvBD"}]);
    let up_to = |node: &str| compile(&flow(chain.clone()), &CompileOptions::default().with_preview_node(node));

    assert_eq!(up_to("f00").unwrap().path(), "/api/mo/uni/tn-a.json");
    assert_eq!(
        raw(&up_to("f01").unwrap().path()),
        "/api/mo/uni/tn-a.json?query-target-filter=eq(fvTenant.descr,\"x\")"
    );
    assert_eq!(up_to("c0").unwrap().path(), "/api/class/fvTenant.json");
    assert_eq!(up_to("out").unwrap().target.as_deref(), Some("fvBD"));
    assert!(up_to("start").is_err() && up_to("nobody").is_err());
}

#[test]
fn post_processors_run_from_top_to_bottom() {
    let processor = |id: &str, y: i64| {
        json!({"id": id, "type": "postProcessorNode", "position": {"x": 0, "y": y},
        "data": {"processorType": "limit", "config": {"count": y}}})
    };
    let question: Question = serde_json::from_value(json!({
        "nodes": [{"id": "c", "type": "classNode", "data": {"className": "fvBD"}}, processor("p1", 30), processor("p2", 10)],
        "edges": [{"source": "c", "target": "p1"}, {"source": "p1", "target": "p2"}],
        "post_processors": [{"processorType": "limit", "config": {"count": 50}}],
    }))
    .unwrap();

    let plan = compile(&question, &CompileOptions::default()).unwrap();

    let error = serde_json::from_value::<Question>(json!({"nodes": []})).unwrap_err();
    assert!(error.to_string().contains("missing field `edges`"), "{error}");
    let counts: Vec<&Value> = plan.processors.iter().map(|step| &step.config["count"]).collect();
    assert_eq!(counts, [10, 30, 50]);
}

#[test]
fn errors_name_the_node_and_the_field() {
    for (chain, expected) in [
        (json!([{"className": "fv-BD"}]), "node \"c0\": className \"fv-BD\" is not valid"),
        (
            json!([{"className": "fvBD", "scope": "all"}]),
            "node \"c0\": scope \"all\" is not valid: expected self, children or subtree",
        ),
        (
            json!([{"className": "fvBD", "filters": [{"property": "x", "operator": "like"}]}]),
            "node \"f00\": operator \"like\"",
        ),
        (json!([{"className": "fvBD", "filters": [{}]}]), "node \"f00\": property \"\""),
        (
            json!([{"className": "fvBD", "filters": [{"filterType": "subscription"}]}]),
            "node \"f00\": filterType \"subscription\"",
        ),
        (json!([{"className": "fvBD", "supplementalData": {"fault": true}}]), "expected one of health, faults"),
        (json!([{"className": "fvBD", "filters": [eq("name", "${who}")]}]), "node \"f00\": value \"${who}\""),
    ] {
        let error = compile(&flow(chain), &CompileOptions::default()).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
    let node = |id: &str| json!({"id": id, "type": "classNode", "data": {"className": "fvBD"}});
    for (graph, expected) in [
        (json!({"nodes": [], "edges": []}), "at least one classNode"),
        (json!({"nodes": [node("a"), node("a")], "edges": []}), "an id that no other node has"),
        (json!({"nodes": [node("a")], "edges": [{"source": "a", "target": "b"}]}), "node \"b\": edge \"a → b\""),
        (
            json!({"nodes": [node("a"), node("b")], "edges": [{"source": "a", "target": "b"}, {"source": "b", "target": "a"}]}),
            "in a circle",
        ),
        (
            json!({"nodes": [node("a"), node("b")], "edges": [{"source": "a", "target": "b", "data": {"edgeType": "pipeline"}}]}),
            "one stage",
        ),
    ] {
        let question: Question = serde_json::from_value(graph).unwrap();
        let error = compile(&question, &CompileOptions::default()).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn variables_are_checked_and_put_in() {
    let Question::Graph(mut flow) =
        flow(json!([{"className": "fvBD", "filters": [eq("name", "${who}-x"), eq("mtu", "")]}]))
    else {
        panic!()
    };
    flow.variables = serde_json::from_value(json!([
        {"id": "who", "label": "Who", "type": "text", "required": true},
        {"id": "mtu", "type": "number", "defaultValue": 9000, "binding": {"nodeId": "f01", "fieldPath": "data.value"}},
        {"id": "kind", "type": "select", "options": ["a", {"value": "b", "label": "B"}]},
    ]))
    .unwrap();
    let question = Question::Graph(flow);
    let run = |values: Value| {
        let options = CompileOptions::default().with_variables(serde_json::from_value(values).unwrap());
        compile(&question, &options)
            .map(|plan| plan.query.option("query-target-filter").unwrap().to_owned())
            .map_err(|error| error.to_string())
    };

    assert_eq!(run(json!({"who": "we\"b"})).unwrap(), r#"and(eq(fvBD.name,"we\"b-x"),eq(fvBD.mtu,"9000"))"#);
    assert_eq!(
        run(json!({"who": "a", "mtu": "1500", "kind": "b"})).unwrap(),
        r#"and(eq(fvBD.name,"a-x"),eq(fvBD.mtu,"1500"))"#
    );
    assert!(
        run(json!({})).unwrap_err().contains("variables.who \"\" is not valid: expected a value, which is required")
    );
    assert!(
        run(json!({"who": "a", "mtu": "many"}))
            .unwrap_err()
            .contains("variables.mtu \"many\" is not valid: expected a number")
    );
    assert!(run(json!({"who": "a", "kind": "c"})).unwrap_err().contains("expected one of a, b"));
    assert!(run(json!({"who": "a", "whom": "c"})).unwrap_err().contains("expected one of who, mtu, kind"));
}

#[test]
fn plain_queries_say_the_same_as_paths() {
    let plan_of = |plain: Value| {
        let question: Question = serde_json::from_value(plain).unwrap();
        compile(&question, &CompileOptions::default()).map(|plan| raw(&plan.path())).map_err(|error| error.to_string())
    };

    let plain = json!({"class": "fvBD", "filter": "eq(fvBD.name,\"a\")", "scope": "children", "options": {"rsp-prop-include": "config-only"}});
    assert_eq!(
        plan_of(plain).unwrap(),
        "/api/class/fvBD.json?rsp-prop-include=config-only&query-target-filter=eq(fvBD.name,\"a\")&rsp-subtree=children"
    );
    assert_eq!(plan_of(json!({"path": "/api/node/mo/uni/tn-a.json"})).unwrap(), "/api/mo/uni/tn-a.json");
    for (plain, expected) in [
        (json!({"path": "/api/aaaLogin.json"}), "path"),
        (json!({"path": "/api/class/fvBD.json?page=0&page-size=2"}), "no paging"),
        (json!({"path": "/api/class/fvBD.json?subscription=yes"}), "subscription"),
        (json!({"path": "/api/class/fvBD.json?query-target-filter=eq(fvBD.name"}), "a filter"),
        (json!({"path": "/api/class/fvBD.json", "filter": "true()"}), "nothing beside a path"),
        (json!({"class": "fvBD", "options": {"delete-session": "x"}}), "one of query-target"),
        (json!({"class": "fvBD", "filter": "eq("}), "a filter"),
        (json!({}), "either a class or a path"),
    ] {
        let error = plan_of(plain).unwrap_err();
        assert!(error.contains(expected), "{error}");
    }
}

/// Returns all values in a filter.
fn literals(filter: &Filter) -> Vec<String> {
    match &filter.expression {
        Expression::Constant(_) => Vec::new(),
        Expression::And(parts) | Expression::Or(parts) | Expression::Xor(parts) => {
            parts.iter().flat_map(literals).collect()
        }
        Expression::Not(part) => literals(part),
        Expression::Test { value, .. } => vec![value.clone()],
        Expression::Between { low, high, .. } => vec![low.clone(), high.clone()],
    }
}

proptest! {
    #[test]
    fn any_value_comes_back_as_one_literal(value in "\\PC{0,12}|[\"\\\\(),a*.]{0,8}", descr in "\\PC{0,12}", negate: bool) {
        let Question::Graph(mut flow) = flow(json!([
            {"className": "fvTenant", "filters": [eq("descr", "${d}")]},
            {"className": "fvBD", "filters": [
                eq("descr", "${v}"),
                {"property": "descr", "operator": "ge", "value": "${v}"},
                {"wildcardPatterns": [{"property": "nameAlias", "operator": "ne", "pattern": "${v}", "negate": negate}]},
            ]},
        ])) else { panic!() };
        flow.variables = serde_json::from_value(json!([{"id": "v"}, {"id": "d"}])).unwrap();
        let variables = [("v".to_owned(), json!(value)), ("d".to_owned(), json!(descr))].into();
        let plan = compile(&Question::Graph(flow), &CompileOptions::default().with_variables(variables)).unwrap();
        // As it is sent, and as a controller would read it.
        let sent: crate::ApicQuery = plan.path().parse().unwrap();
        let filter: Filter = sent.option("query-target-filter").unwrap().parse().unwrap();
        prop_assert_eq!(literals(&filter), vec!["uni/tn-".to_owned(), value.clone(), value.clone(), value.clone()]);
        prop_assert_eq!(sent.options().count(), 1);
        let first: Filter = plan.steps[0].query.option("query-target-filter").unwrap().parse().unwrap();
        prop_assert_eq!(literals(&first), vec![descr]);
    }

    #[test]
    fn any_name_stays_one_relative_name(name in "\\PC{0,10}|[a/\\[\\]?#.-]{0,8}") {
        // A variable; and what a DN cannot hold, because it would lead elsewhere, which is refused.
        prop_assume!(!name.contains("${") && !name.contains('\\'));
        prop_assume!(!name.split('/').any(|segment| segment == "." || segment == ".."));
        let question = flow(json!([{"className": "fvTenant", "filters": [eq("name", &name)]}, {"className": "fvBD", "filters": [eq("name", "b")]}]));
        let plan = compile(&question, &CompileOptions::default()).unwrap();
        let sent: crate::ApicQuery = plan.path().parse().unwrap();
        prop_assert_eq!(&sent, &plan.query);
        if let crate::QueryTarget::Object(dn) = sent.target() {
            prop_assert_eq!(crate::dn::split(dn).collect::<Vec<_>>(), vec!["uni".to_owned(), format!("tn-{name}"), "BD-b".to_owned()]);
        } else {
            prop_assert!(sent.option("query-target-filter").is_some());
        }
    }

    #[test]
    fn no_graph_makes_the_compiler_panic(class in "(fv[A-Z][a-z]{0,3}|\\PC{0,5})", data in "\\PC{0,12}", field in "(scope|property|operator|value|wildcardPatterns|filter)") {
        let _ = compile(&flow(json!([{"className": class, field.clone(): data, "filters": [{field: data}]}])), &CompileOptions::default());
    }
}
