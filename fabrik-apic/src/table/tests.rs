use std::io::Cursor;

use proptest::prelude::*;

use super::*;

fn read(text: impl Into<Vec<u8>>) -> Result<Vec<String>> {
    let mut table = TableRows::open(Box::new(Cursor::new(text.into())), Origin::new("here"))?;
    let mut rows = Vec::new();
    while let Some(batch) = table.next_batch()? {
        rows.extend(batch.iter().map(|row| serde_json::to_string(&row).unwrap()));
    }
    Ok(rows)
}

fn problem(text: impl Into<Vec<u8>>) -> String {
    let error = read(text).unwrap_err().to_string();
    error.strip_prefix("here cannot be captured: ").unwrap().to_owned()
}

#[test]
fn every_value_is_the_string_that_was_written() {
    let rows = read("dn,x,y\nuni,NaN,\r\n\"a,\"\"b\"\"\n\", 01 ,null\n").unwrap();

    assert_eq!(rows, [r#"{"dn":"uni","x":"NaN","y":""}"#, r#"{"dn":"a,\"b\"\n","x":" 01 ","y":"null"}"#]);
}

#[test]
fn last_line_end_may_be_missing() {
    for text in ["a,b\n1,2", "a,b\n1,2\n", "a,b\r\n1,2\r\n", "a,b\n1,\"2\"", "a,b\n1,2\n\n"] {
        assert_eq!(read(text).unwrap(), [r#"{"a":"1","b":"2"}"#], "{text:?}");
    }
}

#[test]
fn header_alone_has_no_rows() {
    for text in ["a,b", "a,b\n", "a"] {
        assert_eq!(read(text).unwrap(), Vec::<String>::new());
    }
}

#[test]
fn malformed_table_is_refused_with_its_place() {
    for (text, expected) in [
        ("a,b\n1,2\n1\n", "row 2 on line 3: expected 2 fields as in the header, found 1"),
        ("a,b\n\"1\n\",2\n1,2,3", "row 2 on line 4: expected 2 fields as in the header, found 3"),
        ("a,b,a\n", "the header names column \"a\" twice"),
        ("a,,b\n", "column 2 of the header has no name"),
        ("a,b\n1,\"2\n", "row 1 on line 2: the input ends inside a quoted field"),
        ("a,b\n1,\"2\n3,4\n5,6\n", "row 1 on line 2: the input ends inside a quoted field"),
    ] {
        assert_eq!(problem(text), expected, "{text:?}");
    }
    assert!(problem("a,\"b\n").contains("ends inside a quoted field"));
    assert_eq!(problem(b"a,b\n1,2\n1,\xfc\n"), "row 2 on line 3: it is not valid UTF-8");
}

#[test]
fn open_quote_does_not_fill_the_memory() {
    let endless = std::io::repeat(b'x').take(1 << 40);
    let reader = Box::new(Cursor::new(b"a,b\n1,2\n1,\"").chain(endless));
    let mut table = TableRows::open(reader, Origin::new("here")).unwrap();

    let error = table.next_batch().unwrap_err().to_string();

    assert!(error.ends_with("row 2: it is longer than 32 MiB"), "{error}");
}

proptest! {
    #[test]
    fn written_tables_read_back(
        records in prop::collection::vec(prop::collection::vec("[a-c\",\n\r ü]{0,6}", 3), 0..8),
    ) {
        let mut writer = csv::Writer::from_writer(Vec::new());
        writer.write_record(["x", "y", "z"]).unwrap();
        for record in &records {
            writer.write_record(record).unwrap();
        }

        let rows = read(writer.into_inner().unwrap()).unwrap();

        let expected: Vec<String> = records
            .iter()
            .map(|fields| serde_json::json!({"x": fields[0], "y": fields[1], "z": fields[2]}).to_string())
            .collect();
        prop_assert_eq!(rows, expected);
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..60), text in "[ab,\"\n\r\u{1}]{0,40}") {
        let _ = read(bytes);
        let _ = read(text);
    }
}
