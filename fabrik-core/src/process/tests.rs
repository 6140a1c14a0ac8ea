//! Every step against a simple model of it, and the laws that hold between steps.

#![expect(clippy::needless_pass_by_value, reason = "literals are given where they stand")]

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::*;

mod capturing;
mod expressions;

pub(super) fn try_run(steps: Json, rows: &Json) -> Result<Json, StepError> {
    let steps: Vec<StepSpec> = serde_json::from_value(steps).unwrap();
    let mut pipeline = Pipeline::compile(&steps, ProcessLimits::default())?;
    Ok(serde_json::to_value(pipeline.run(Item::all_from_json(rows))?).unwrap())
}

pub(super) fn run(kind: &str, config: Json, rows: Json) -> Json {
    try_run(json!([{"processorType": kind, "config": config}]), &rows).unwrap()
}

pub(super) fn fail(kind: &str, config: Json, rows: Json) -> String {
    try_run(json!([{"processorType": kind, "config": config}]), &rows).unwrap_err().to_string()
}

fn bds() -> Json {
    json!([
        {"className": "fvBD", "dn": "uni/tn-a/BD-web", "name": "web", "mtu": "9000", "arpFlood": "yes"},
        {"className": "fvBD", "dn": "uni/tn-a/BD-db", "name": "db", "mtu": "1500", "arpFlood": "no"},
        {"className": "fvBD", "dn": "uni/tn-b/BD-web", "name": "web", "mtu": "900", "arpFlood": "yes"},
        {"className": "fvBD", "dn": "uni/tn-b/BD-old", "name": "old", "arpFlood": "no"},
    ])
}

fn names(rows: &Json) -> Vec<&str> {
    rows.as_array().unwrap().iter().map(|row| row["dn"].as_str().unwrap().rsplit('/').next().unwrap()).collect()
}

#[test]
fn conditions_compare_as_the_contract_says() {
    for (condition, kept) in [
        ("", 4),
        ("item.arpFlood == 'yes'", 2),
        ("item.arpFlood === yes", 2),
        ("item.arpFlood !== \"yes\"", 2),
        ("item.mtu > 1000", 2),
        ("item.mtu >= 1500", 2),
        ("item.mtu < 1000", 1),
        ("item.mtu <= 'many'", 0),
        ("item.name > a", 0),
        ("item.mtu == 9000", 1),
        ("item.mtu == null", 1),
        ("item.mtu != null", 3),
        ("item.attributes.name == web", 2),
        ("item.fvBD.attributes.name == web", 2),
        ("item.name == 'web' and item.mtu|default('0')|int > 1000", 1),
    ] {
        let rows = run("filter_rows", json!({"condition": condition}), bds());
        assert_eq!(rows.as_array().unwrap().len(), kept, "{condition}");
    }
}

#[test]
fn enveloped_objects_are_rows_of_their_attributes() {
    let answer = json!({"totalCount": "1", "imdata": [{"fvBD": {"attributes": {"dn": "uni/tn-a/BD-b", "name": "b"}}}]});

    let extracted = run("dn-extract", json!({"removePrefix": "uni/", "extractPattern": "BD-(.+)"}), answer.clone());
    let kept = run("filter_rows", json!({"condition": "item.attributes.name == 'b'"}), answer);

    assert_eq!(extracted, json!(["b"]));
    assert_eq!(kept, json!([{"dn": "uni/tn-a/BD-b", "name": "b", "className": "fvBD"}]));
}

#[test]
fn dn_extract_keeps_what_does_not_match() {
    let extracted = run("dn-extract", json!({"removePrefix": "^uni/", "extractPattern": "tn-a/BD-([^/]+)"}), bds());

    assert_eq!(extracted, json!(["web", "db", "tn-b/BD-web", "tn-b/BD-old"]));
    assert_eq!(run("dn-extract", json!({}), json!(["bare", {"name": "no dn"}])), json!([]));
}

#[test]
fn replacing_follows_groups_and_flags() {
    for (config, expected) in [
        (json!({"pattern": "a", "replacement": "<$&>"}), "<a>b<a>A"),
        (json!({"pattern": "a", "replacement": "x", "flags": "gi"}), "xbxx"),
        (json!({"pattern": "a", "replacement": "x", "flags": ""}), "xbaA"),
        (json!({"pattern": "(a)(b)", "replacement": "$2$1$$$3"}), "ba$$3aA"),
    ] {
        assert_eq!(run("regex-transform", config.clone(), json!(["abaA"])), json!([expected]), "{config}");
    }
    let of_field = json!({"pattern": "uni/", "replacement": "", "applyTo": "dn"});
    let rows = json!([{"dn": "uni/x", "name": "uni/y"}, {"name": "uni/z"}]);
    assert_eq!(run("regex-transform", of_field, rows), json!([{"dn": "x", "name": "uni/y"}, {"name": "uni/z"}]));
    let untouched = json!([{"dn": "uni/x"}]);
    assert_eq!(run("regex-transform", json!({"pattern": "uni", "replacement": ""}), untouched.clone()), untouched);
}

#[test]
fn excluding_patterns_win() {
    let config = json!({"includePatterns": ["WEB", "db"], "excludePatterns": ["tn-b"], "field": "dn"});
    assert_eq!(names(&run("pattern-filter", config, bds())), ["BD-web", "BD-db"]);
    let config = json!({"includePatterns": "WEB", "field": "dn", "caseSensitive": true});
    assert_eq!(names(&run("pattern-filter", config, bds())), Vec::<&str>::new());
    assert_eq!(names(&run("pattern-filter", json!({"includePatterns": ["\"mtu\":\"900\""]}), bds())), ["BD-web"]);
}

#[test]
fn columns_are_projected_by_path() {
    let rows = json!([{"dn": "x", "a": {"b": 1, "c": [2]}}, {"dn": "y"}]);

    let flat = run("field-extract", json!({"fields": ["attributes.dn", "a.b"]}), rows.clone());
    let nested = run("field-extract", json!({"fields": ["a.b", "a.c", "dn"], "keepStructure": true}), rows.clone());

    assert_eq!(flat, json!([{"dn": "x", "b": 1}, {"dn": "y"}]));
    assert_eq!(nested, json!([{"dn": "x", "a": {"b": 1, "c": [2]}}, {"dn": "y"}]));
    let error = fail("field-extract", json!({"fields": ["a.name", "b.name"]}), rows);
    assert!(error.contains("a.name has the same"), "{error}");
}

#[test]
fn arrays_flatten_by_depth_and_rows_by_name() {
    let rows = json!([[1, [2, [3]]], "x", {"a": {"b": {"c": 1}, "d": {}}}]);
    let flat = json!({"a.b.c": 1, "a.d": {}});

    assert_eq!(run("flatten", json!({}), rows.clone()), json!([1, [2, [3]], "x", flat]));
    assert_eq!(run("flatten", json!({"depth": 2}), rows.clone()), json!([1, 2, [3], "x", flat]));
    assert_eq!(run("flatten", json!({"depth": 0}), rows), json!([1, 2, 3, "x", flat]));
    let error = fail("flatten", json!({}), json!([{"a": {"b": 1}, "a.b": 2}]));
    assert!(error.contains("two values become column \"a.b\""), "{error}");
}

#[test]
fn texts_are_worked_on() {
    for (config, expected) in [
        (json!({"operation": "split", "separator": "/"}), json!([["uni", " Tn-ä ", "x"]])),
        (json!({"operation": "split", "separator": "/", "limit": 2}), json!([["uni", " Tn-ä "]])),
        (json!({"operation": "upper"}), json!(["UNI/ TN-Ä /X"])),
        (json!({"operation": "lower"}), json!(["uni/ tn-ä /x"])),
        (json!({"operation": "replace", "find": " *(/) *", "replaceWith": "$1$1"}), json!(["uni//Tn-ä//x"])),
        (json!({"operation": "substring", "start": 8, "end": 5}), json!(["Tn-"])),
        (json!({"operation": "substring", "start": "11"}), json!(["x"])),
    ] {
        assert_eq!(run("text-operations", config.clone(), json!(["uni/ Tn-ä /x"])), expected, "{config}");
    }
    assert_eq!(run("text-operations", json!({"operation": "trim"}), json!([" a ", 5])), json!(["a", "5"]));
    assert_eq!(
        run("text-operations", json!({"operation": "join", "delimiter": "|"}), json!(["a", 5, true])),
        json!(["a|5|true"])
    );
    let of_field = json!({"operation": "upper", "field": "name"});
    assert_eq!(run("text-operations", of_field, json!([{"name": "a", "x": "b"}])), json!([{"name": "A", "x": "b"}]));
}

#[test]
fn numbers_are_aggregated_from_texts() {
    let of = |operation: &str| run("aggregate", json!({"operation": operation, "field": "mtu"}), bds());

    assert_eq!(run("aggregate", json!({"operation": "count"}), bds()), json!([4]));
    assert_eq!(of("sum"), json!([11_400]));
    assert_eq!(of("avg"), json!([3800]));
    assert_eq!((of("min"), of("max")), (json!([900]), json!([9000])));
    let none = |operation: &str| run("aggregate", json!({"operation": operation, "field": "no"}), bds());
    assert_eq!((none("avg"), none("min"), none("sum")), (json!([0]), json!([null]), json!([0])));
    let sums = run("aggregate", json!({"operation": "sum", "field": "mtu", "groupBy": "name"}), bds());
    assert_eq!(sums, json!([{"name": "web", "sum": 9900}, {"name": "db", "sum": 1500}, {"name": "old", "sum": 0}]));
    let grouped = run("aggregate", json!({"operation": "group", "groupBy": "name"}), bds());
    assert_eq!(grouped[0]["web"], json!([bds()[0], bds()[2]]));
}

#[test]
fn a_paused_step_is_as_if_it_were_not_there() {
    let steps = json!([
        {"processorType": "javascript", "config": {"code": "broken("}, "isPaused": true},
        {"type": "limit", "config": {"count": 1}},
    ]);

    assert_eq!(names(&try_run(steps, &bds()).unwrap()), ["BD-web"]);
}

#[test]
fn errors_name_the_step_the_row_and_the_expression() {
    let steps = json!([
        {"processorType": "limit", "config": {"count": 9}},
        {"processorType": "map-transform", "config": {"expression": "item.mtu|int"}},
    ]);

    let error = try_run(steps, &bds()).unwrap_err();

    assert_eq!((error.index(), error.kind(), error.row()), (2, "map-transform", Some("uni/tn-b/BD-old")));
    assert_eq!(error.expression(), Some("item.mtu|int"));
    assert!(error.to_string().starts_with("step 2 (map-transform) failed at \"uni/tn-b/BD-old\""), "{error}");
}

#[test]
fn wrong_parameters_are_named() {
    for (kind, config, expected) in [
        ("sort_of", json!({}), "kind \"sort-of\" is not valid: expected filter_rows"),
        ("aggregate", json!({"operation": "median"}), "operation \"median\" is not valid: expected count, sum"),
        ("aggregate", json!({"operation": "sum"}), "field \"\" is not valid: expected the column"),
        ("array-sort", json!({"numeric": 3}), "numeric 3 is not valid: expected true or false"),
        ("limit", json!({"count": -1}), "count -1 is not valid: expected a whole number"),
        ("dn-extract", json!({"extractPattern": "("}), "extractPattern is no regular expression"),
        ("pattern-filter", json!({"includePatterns": ["(?=x)"]}), "without look-around"),
        ("field-extract", json!({}), "fields [] is not valid: expected at least one column"),
        ("rename", json!({"columns": {"a": "x", "b": "x"}}), "each there once"),
    ] {
        let error = fail(kind, config, json!([]));
        assert!(error.starts_with("step 1 (") && error.contains(expected), "{error}");
    }
}

#[test]
fn what_needs_all_items_ends_at_its_limit() {
    for step in [
        StepSpec::new("array-sort", json!({})),
        StepSpec::new("aggregate", json!({"operation": "group", "groupBy": "name"})),
        StepSpec::new("aggregate", json!({"operation": "count", "groupBy": "name"})),
        StepSpec::new("dedupe", json!({})),
        StepSpec::new("text-operations", json!({"operation": "join"})),
    ] {
        let limits = ProcessLimits::default().with_memory_bytes(2000);
        let mut pipeline = Pipeline::compile(std::slice::from_ref(&step), limits).unwrap();
        let rows: Vec<Json> = (0..1000).map(|i| json!({"dn": format!("uni/tn-{i}"), "name": i})).collect();

        let error = pipeline.run(Item::all_from_json(&rows.into())).unwrap_err();

        assert!(error.problem().contains("2000 bytes"), "{error}");
        assert!(error.row().is_some_and(|row| row.starts_with("uni/tn-")), "{error}");
    }
}

/// Rows of few different values, so that they meet.
fn rows() -> impl Strategy<Value = Vec<Json>> {
    let value = prop_oneof![
        "[a-c]{0,2}".prop_map(Json::from),
        (-3..30_i64).prop_map(Json::from),
        "1?[0-9]".prop_map(Json::from),
        Just(Json::Null)
    ];
    let row = prop::collection::btree_map("[a-d]", value, 0..4);
    prop::collection::vec(row.prop_map(|row| json!(row)), 0..12)
}

proptest! {
    #[test]
    fn two_filters_are_one_with_and(rows in rows()) {
        let both = run("filter_rows", json!({"condition": "item.a|default(0)|string == '1' and item.b|default('')|string != 'a'"}), json!(rows));
        let steps = json!([
            {"processorType": "filter_rows", "config": {"condition": "item.a|default(0)|string == '1'"}},
            {"processorType": "filter_rows", "config": {"condition": "item.b|default('')|string != 'a'"}},
        ]);
        prop_assert_eq!(try_run(steps, &json!(rows)).unwrap(), both);
    }

    #[test]
    fn comparisons_are_those_of_a_simple_model(rows in rows(), number in -3..30_i64) {
        let kept = run("filter_rows", json!({"condition": format!("item.a < {number}")}), json!(rows));
        let model = |row: &&Json| match &row["a"] {
            Json::Number(have) => have.as_i64().unwrap() < number,
            Json::String(text) => text.parse::<i64>().is_ok_and(|have| have < number),
            _ => false,
        };
        prop_assert_eq!(kept, json!(rows.iter().filter(model).collect::<Vec<_>>()));
    }

    #[test]
    fn sorting_is_that_of_the_standard_library(rows in rows(), numeric: bool, reverse: bool) {
        let sorted = run("array-sort", json!({"field": "a", "numeric": numeric, "reverse": reverse}), json!(rows));
        let text = |row: &Json| match row.get("a") {
            Some(Json::String(text)) => Some(text.clone()),
            other => other.map(ToString::to_string),
        };
        let mut model = rows.clone();
        if numeric {
            let key = |row: &Json| text(row).and_then(|text| text.parse::<i64>().ok());
            model.sort_by_key(|row| (key(row).is_none(), key(row)));
        } else {
            model.sort_by_key(|row| (text(row).is_none(), text(row)));
        }
        if reverse {
            model.reverse();
        }
        prop_assert_eq!(sorted, json!(model));
    }

    #[test]
    fn deduping_keeps_the_first_and_is_idempotent(rows in rows(), field in prop::option::of("[a-d]")) {
        let config = json!({"field": field});
        let once = run("dedupe", config.clone(), json!(rows));
        let mut seen: Vec<Json> = Vec::new();
        let model: Vec<&Json> = rows.iter().filter(|row| {
            let key = match &field {
                None => (*row).clone(),
                Some(field) => match row.get(field) {
                    None => return true,
                    Some(value) => value.clone(),
                },
            };
            let is_new = !seen.contains(&key);
            seen.push(key);
            is_new
        }).collect();
        prop_assert_eq!(&once, &json!(model));
        prop_assert_eq!(run("dedupe", config, once.clone()), once);
    }

    #[test]
    fn groups_have_all_rows(rows in rows()) {
        let counts = run("aggregate", json!({"operation": "count", "groupBy": "a"}), json!(rows));
        let total: u64 = counts.as_array().unwrap().iter().map(|group| group["count"].as_u64().unwrap()).sum();
        let grouped = run("aggregate", json!({"operation": "group", "groupBy": "a"}), json!(rows));
        let listed: usize = grouped[0].as_object().unwrap().values().map(|list| list.as_array().unwrap().len()).sum();
        let mut model: BTreeMap<String, u64> = BTreeMap::new();
        for row in &rows {
            *model.entry(row.get("a").unwrap_or(&Json::Null).to_string()).or_default() += 1;
        }
        let found: BTreeMap<String, u64> = counts.as_array().unwrap().iter()
            .map(|group| (group["a"].to_string(), group["count"].as_u64().unwrap())).collect();
        prop_assert_eq!(found, model);
        prop_assert_eq!((total, listed), (rows.len() as u64, rows.len()));
    }

    #[test]
    fn limits_are_slices(rows in rows(), offset in 0..14_usize, count in 0..14_usize) {
        let kept = run("limit", json!({"offset": offset, "count": count}), json!(rows));
        prop_assert_eq!(kept, json!(rows.iter().skip(offset).take(count).collect::<Vec<_>>()));
    }

    #[test]
    fn renaming_there_and_back_changes_nothing(rows in rows()) {
        let there = run("rename", json!({"columns": {"a": "x", "b": "a", "c": "y"}}), json!(rows));
        let model: Vec<Json> = rows.iter().map(|row| {
            let new = |name: &str| match name { "a" => "x", "b" => "a", "c" => "y", other => other }.to_owned();
            Json::Object(row.as_object().unwrap().iter().map(|(name, value)| (new(name), value.clone())).collect())
        }).collect();
        prop_assert_eq!(&there, &json!(model));
        prop_assert_eq!(run("rename", json!({"columns": {"x": "a", "a": "b", "y": "c"}}), there), json!(rows));
    }

    #[test]
    fn no_step_panics_whatever_it_is_given(
        kind in "(filter_rows|dn-extract|regex-transform|array-sort|pattern-filter|field-extract|flatten|map-transform|text-operations|aggregate)",
        name in "(condition|pattern|field|fields|expression|operation|groupBy|separator|extractPattern|depth)",
        value in prop_oneof!["\\PC{0,20}".prop_map(Json::from), any::<i64>().prop_map(Json::from), Just(json!([["x"]]))],
        operation in "(split|join|sum|group|replace)",
        rows in rows(),
    ) {
        let mut config = serde_json::Map::from_iter([("operation".to_owned(), json!(operation))]);
        config.insert(name, value);
        let _ = try_run(json!([{"processorType": kind, "config": config}]), &json!(rows));
    }
}
