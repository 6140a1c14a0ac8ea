//! The language of expressions, what it refuses, and what it says of JavaScript.

use proptest::prelude::*;
use serde_json::json;

use super::super::*;
use super::{fail, run};

fn evaluate(text: &str) -> Result<serde_json::Value, ExpressionError> {
    let item = Item::from_json(
        &json!({"dn": "uni/tn-a", "name": "web", "mtu": "9000", "n": 2, "list": ["b", "a"], "className": "fvBD"}),
    );
    Ok(serde_json::to_value(Expression::compile(text, "item")?.evaluate(&item)?).unwrap())
}

#[test]
fn expressions_come_to_values() {
    for (text, expected) in [
        ("item.name|upper", json!("WEB")),
        ("item.mtu|int > 1500", json!(true)),
        ("times(item.n, 1.5)", json!(3)),
        ("item.n + 1", json!(3)),
        ("item.n / 4", json!(0.5)),
        ("item.name ~ '-' ~ item.n", json!("web-2")),
        ("item.name[0:2]", json!("we")),
        ("item.attributes.name", json!("web")),
        ("item.fvBD.attributes.name", json!("web")),
        ("item.list|join('+')", json!("b+a")),
        ("item.list[0]", json!("b")),
        ("item.dn|split('/')|last", json!("tn-a")),
        ("item.dn|regex_find('tn-(.+)')", json!("a")),
        ("item.dn|regex_replace('(n)', '<$1>')", json!("u<n>i/t<n>-a")),
        ("item.dn is matches('^uni/') and 'tn' in item.dn", json!(true)),
        ("item.none|default('-')", json!("-")),
        ("item.none is defined", json!(false)),
        ("'yes' if item.n == 2 else 'no'", json!("yes")),
        ("{'z': item.name, 'a': [1, item.n]}", json!({"a": [1, 2], "z": "web"})),
        ("none", json!(null)),
    ] {
        assert_eq!(evaluate(text).map_err(|error| error.to_string()), Ok(expected), "{text}");
    }
}

#[test]
fn the_item_itself_passes_unchanged() {
    let row = json!([{"dn": "x", "n": 1.50, "list": [{"b": 1, "a": 2}]}, "bare"]);

    assert_eq!(run("map-transform", json!({"expression": "row", "itemVar": "row"}), row.clone()), row);
}

#[test]
fn what_is_refused_says_why() {
    for (text, expected) in [
        ("", "it is empty"),
        ("item.name * 3", "expected times(x, y)"),
        ("other.name", "name \"other\" is not known"),
        ("range(9)", "name \"range\" is not known"),
        ("item.none", "the item has no such column"),
        ("item.none|upper", "the item has no such column"),
        ("item.name|nosuch", "nosuch"),
        ("item.name|include", "include"),
        ("item.name.upper()", "method"),
        (
            "item.dn|replace('', item.dn)|replace('', item.dn)|replace('', item.dn)|replace('', item.dn)|replace('', item.dn)|replace('', item.dn)",
            "longer than",
        ),
        ("1 / 0", "unable to calculate"),
        ("'x' is matches('(')", "unclosed"),
    ] {
        let error = evaluate(text).unwrap_err().to_string();
        assert!(error.contains(expected), "{text}: {error}");
    }
    let busy = format!("item.n{}", "+item.n".repeat(500));
    assert_eq!(evaluate(&busy).unwrap_err().to_string(), "it takes more than 1000 steps");
    let long = format!("1{}", "+1".repeat(3000));
    assert!(evaluate(&long).unwrap_err().to_string().contains("at most 4096"));
}

#[test]
fn javascript_is_refused_with_what_to_write() {
    for (kind, config, expected) in [
        ("map-transform", json!({"expression": "item.name.toUpperCase()"}), "write item.name|upper"),
        ("map-transform", json!({"expression": "item.n === 1 ? 'a' : 'b'"}), "write 'a' if item.n == 1 else 'b'"),
        ("map-transform", json!({"expression": "item => ({...item})"}), "write an expression such as item.name|upper"),
        (
            "filter_rows",
            json!({"condition": "item.a === 'x' && item.b !== 'y'"}),
            "write item.a == 'x' and item.b != 'y'",
        ),
        (
            "javascript",
            json!({"code": "return data.map(row => row.name);"}),
            "map-transform with the expression item.name",
        ),
        (
            "javascript",
            json!({"code": "data.filter(x => x.a === '1')"}),
            "filter_rows with the condition item.a == '1'",
        ),
        ("javascript", json!({"code": "while(true){}"}), "JavaScript is not run"),
    ] {
        let error = fail(kind, config, json!([]));
        assert!(error.contains(expected) && error.contains(&format!("step 1 ({}", kind.replace('_', "-"))), "{error}");
    }
}

proptest! {
    #[test]
    fn no_text_makes_an_expression_panic(text in "\\PC{0,60}") {
        let _ = evaluate(&text);
    }

    #[test]
    fn no_sum_of_words_makes_an_expression_panic(
        words in prop::collection::vec("(item|\\.name|\\.n|\\||upper|int|split|join|first|\\(|\\)|\\[|\\]|'a'|0|9|-|\\+|/|%|//|~| in | not | and | is | if | else |defined|,|:|\\{|\\})", 0..30),
    ) {
        let _ = evaluate(&words.concat());
    }

    #[test]
    fn quoted_literals_are_read_back(value in "\\PC{0,12}") {
        let quoted = serde_json::to_string(&value).unwrap();
        let rows = json!([{"a": value}, {"b": "x"}]);
        let kept = run("filter_rows", json!({"condition": format!("item.a == {quoted}")}), rows.clone());
        prop_assert_eq!(kept, json!([rows[0]]));
        let mapped = run("map-transform", json!({"expression": quoted}), json!([1]));
        prop_assert_eq!(mapped, json!([value]));
    }
}
