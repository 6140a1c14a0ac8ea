use super::*;

fn row(text: &str) -> Row {
    let mut rows = RowBatchBuilder::default();
    rows.push_json(text).unwrap();
    rows.take().row(0).to_row()
}

fn refused(text: &str) -> String {
    let mut rows = RowBatchBuilder::default();
    let problem = rows.push_json(text).unwrap_err().to_string();
    assert!(rows.is_empty());
    rows.push_json(r#"{"after":1}"#).unwrap();
    assert_eq!(rows.take().size_bytes(), 11, "a refused row leaves nothing behind");
    problem
}

fn json(row: &Row) -> String {
    let mut out = Vec::new();
    row.as_ref().write_json(&mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn members_come_out_sorted_and_values_as_they_were() {
    let row = row(r#"{"z":1.0,"a":"x\u00e4\n","n":null,"t":true,"f":false,"e":1E5,"o":{"b":[1, 2.50],"a":{}}}"#);

    assert_eq!(json(&row), r#"{"a":"xä\n","e":1E5,"f":false,"n":null,"o":{"a":{},"b":[1,2.50]},"t":true,"z":1.0}"#);
}

#[test]
fn size_is_that_of_the_canonical_json() {
    for text in [
        r#"{}"#,
        r#"{"a":"\u0001\t\"ö\\"}"#,
        r#"{"b":[ 1 , 2 ],"a\n":{"y":0, "x":-1}}"#,
        r#"{"t":true,"f":false,"n":null}"#,
    ] {
        let mut rows = RowBatchBuilder::default();
        rows.push_json(text).unwrap();
        let batch = rows.take();

        let mut out = Vec::new();
        batch.row(0).write_json(&mut out);

        assert_eq!(batch.size_bytes(), out.len() as u64, "{text}");
    }
}

#[test]
fn a_member_that_is_there_twice_is_refused_by_name() {
    assert_eq!(refused(r#"{"dn":"a","x":1,"dn":"b"}"#), r#"attribute "dn" is there twice"#);
    assert_eq!(refused(r#"{"o":{"p":{"q":1,"q":1}}}"#), r#"attribute "o": member "q" is there twice"#);
}

#[test]
fn deep_nesting_is_refused_and_does_not_overflow_the_stack() {
    let deep = format!("{{\"a\":{}{}}}", "[".repeat(10_000), "]".repeat(10_000));

    assert!(refused(&deep).contains("nests deeper than 100 levels"));
}

#[test]
fn text_that_is_no_object_is_refused() {
    for text in ["[]", "1", "{", r#"{"a":01}"#, r#"{"a":"\ud800"}"#, r#"{"a":1} x"#, "{\"a\":\"\n\"}"] {
        assert!(!refused(text).is_empty(), "{text}");
    }
}

#[test]
fn rows_of_one_class_share_a_shape_whatever_the_order_of_their_names() {
    let mut rows = RowBatchBuilder::default();
    rows.push_json(r#"{"a":1,"b":2}"#).unwrap();
    rows.push_json(r#"{"b":2,"a":1}"#).unwrap();
    let batch = rows.take();

    assert_eq!(batch.shapes().len(), 1);
    assert_eq!(batch.row(0), batch.row(1));
}

#[test]
fn a_dotted_path_reaches_into_nested_values() {
    let text = r#"{"a":{"b.c":1,"b":{"c":2,"d":[3]}}}"#;

    assert_eq!(json::member_at(text, "a.b.c"), Some("1"));
    assert_eq!(json::member_at(text, "a.b.d"), Some("[3]"));
    assert_eq!(json::member_at(text, "a.x"), None);
}
