use proptest::prelude::*;

use super::*;

/// Returns the rows of one object as JSON texts.
fn unfold(text: &str) -> Result<Vec<String>, String> {
    let mut rows = RowBatchBuilder::default();
    push_object(&mut rows, text).map_err(|problem| problem.to_string())?;
    let batch = rows.take();
    Ok(batch.iter().map(|row| serde_json::to_string(&row).unwrap()).collect())
}

fn nested(levels: usize) -> String {
    let opening = r#"{"a":{"attributes":{},"children":["#.repeat(levels - 1);
    format!(r#"{opening}{{"a":{{"attributes":{{}}}}}}{}"#, "]}}".repeat(levels - 1))
}

#[test]
fn object_becomes_its_attributes_and_its_class() {
    let rows = unfold(r#"{"fvBD":{"attributes":{"name":"b","dn":"uni/BD-b"}}}"#).unwrap();

    assert_eq!(rows, [r#"{"className":"fvBD","dn":"uni/BD-b","name":"b"}"#]);
}

#[test]
fn children_follow_their_parent_and_get_their_dn() {
    let text = r#"{"a":{"children":[
        {"b":{"attributes":{"rn":"b-[x/y]"},"children":[{"c":{"attributes":{"rn":"c"}}}]}},
        {"d":{"attributes":{"dn":"else/where","rn":"d"},"children":[{"e":{"attributes":{"rn":"e"}}}]}},
        {"f":{"attributes":{"name":"n"},"children":[{"g":{"attributes":{"rn":"g"}}}]}}
    ],"attributes":{"dn":"uni"}}}"#;

    assert_eq!(
        unfold(text).unwrap(),
        [
            r#"{"className":"a","dn":"uni"}"#,
            r#"{"className":"b","dn":"uni/b-[x/y]","rn":"b-[x/y]"}"#,
            r#"{"className":"c","dn":"uni/b-[x/y]/c","rn":"c"}"#,
            r#"{"className":"d","dn":"else/where","rn":"d"}"#,
            r#"{"className":"e","dn":"else/where/e","rn":"e"}"#,
            r#"{"className":"f","name":"n"}"#,
            r#"{"className":"g","rn":"g"}"#,
        ]
    );
}

#[test]
fn values_that_are_not_strings_keep_their_digits() {
    let text = r#"{"a":{"attributes":{"x":1.0,"s":"é\"","y":-0,"z":1e400,"l":[2, {"b":1,"a":2}],"t":true,"n":null}}}"#;

    assert_eq!(
        unfold(text).unwrap(),
        [r#"{"className":"a","l":[2,{"a":2,"b":1}],"n":null,"s":"é\"","t":true,"x":1.0,"y":-0,"z":1e400}"#]
    );
}

#[test]
fn imdata_is_no_row_but_its_children_are() {
    let rows = unfold(r#"{"imdata":{"attributes":{"totalCount":"1"},"children":[{"a":{"attributes":{}}}]}}"#).unwrap();

    assert_eq!(rows, [r#"{"className":"a"}"#]);
}

#[test]
fn empty_and_absent_parts_are_accepted() {
    assert_eq!(unfold(r#"{"a":{"attributes":{},"children":[]}}"#).unwrap(), [r#"{"className":"a"}"#]);
    assert_eq!(unfold(r#"{"a":{"children":[]}}"#).unwrap(), [r#"{"className":"a"}"#]);
}

#[test]
fn malformed_object_is_refused() {
    for (text, part) in [
        (r#"{"a":{"attributes":{"x":"1","x":"2"}}}"#, "\"x\" is there twice"),
        (r#"{"a":{"attributes":{"className":"b"}}}"#, "\"className\" is there twice"),
        (r#"{"a":{"attributes":{},"attributes":{}}}"#, "\"attributes\" is there twice"),
        (r#"{"a":{"children":[],"children":[]}}"#, "\"children\" is there twice"),
        (r#"{"a":{"attributes":{}},"b":{"attributes":{}}}"#, "found \"a\" and \"b\""),
        (r#"{"a":{"attributes":{},"name":"x"}}"#, "found member \"name\""),
        (r#"{"a":{}}"#, "neither attributes nor children"),
        (r#"{}"#, "without members"),
        (r#"{"dn":"uni"}"#, "expected an APIC object"),
        (r#"{"a":{"attributes":"x"}}"#, "expected an object with the attributes"),
        (r#"{"a":{"attributes":{},"children":{}}}"#, "expected a sequence"),
        (r#"{"a":{"attributes":{},"children":[5]}}"#, "1 levels below"),
        (r#"{"a":{"attributes":{"x":}}}"#, "expected value"),
        (r#"{"a":{"attributes":{}}"#, "EOF"),
        (r#"{"a":{"attributes":{}}}}"#, "trailing"),
    ] {
        let problem = unfold(text).expect_err(text);
        assert!(problem.contains(part), "{text}: {problem}");
    }
}

#[test]
fn error_of_the_controller_keeps_its_code_and_text() {
    for code in [r#""403""#, "403"] {
        let text = format!(r#"{{"error":{{"attributes":{{"text":"Token was invalid","code":{code}}}}}}}"#);
        assert_eq!(unfold(&text).unwrap_err(), "the controller answered with error 403: Token was invalid");
    }
    assert!(unfold(r#"{"error":{"attributes":{}}}"#).unwrap_err().contains("answered with an error"));
}

#[test]
fn depth_is_limited_and_takes_no_stack() {
    assert_eq!(unfold(&nested(100)).unwrap().len(), 100);
    for levels in [101, 10_000] {
        assert!(unfold(&nested(levels)).unwrap_err().contains("nest deeper than 100 levels"));
    }
}

#[test]
fn shape_of_an_object_is_recognised() {
    for text in [r#"{"a":{"attributes":{}}}"#, r#"{ "a" : { "children" : [] } }"#, r#"{"a":{"x":1,"attributes":{}}}"#] {
        assert!(is_object(text), "{text}");
    }
    for text in [
        "",
        "{",
        "{}",
        "[]",
        r#"{"a":1}"#,
        r#"{"a":{}}"#,
        r#"{"a":{"attributes":1}}"#,
        r#"{"a":{"attributes":{}},"b":1}"#,
        r#"{"a":{"attributes":{}}"#,
    ] {
        assert!(!is_object(text), "{text}");
    }
}

#[test]
fn only_the_escaped_apostrophe_is_repaired() {
    assert_eq!(repair_escapes(r"it\'s \\' \n \'").as_deref(), Some(r"it's \\' \n '"));
    assert_eq!(repair_escapes(r"\\' \\\\"), None);
    assert_eq!(repair_escapes("plain 'text'"), None);
}

proptest! {
    #[test]
    fn repair_leaves_valid_json_alone(text in any::<String>()) {
        prop_assert_eq!(repair_escapes(&serde_json::to_string(&text).unwrap()), None);
    }

    #[test]
    fn any_text_is_unfolded_or_refused(text in r#"[\[\]{}",:\\'a1 ]{0,60}"#) {
        let _ = unfold(&text);
        let _ = is_object(&text);
        let _ = repair_escapes(&text);
    }
}
