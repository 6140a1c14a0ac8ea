use std::io::{Cursor, Read};

use proptest::prelude::*;

use super::*;

fn splitter(text: &[u8], container: Container, block_bytes: usize) -> RowSplitter {
    let reader = Box::new(Cursor::new(text.to_vec()));
    RowSplitter::new(reader, 0, container, Origin::new("here"), sizes(block_bytes))
}

fn sizes(block_bytes: usize) -> Sizes {
    Sizes { block_bytes, streamed_row_bytes: STREAMED_ROW_BYTES }
}

/// Returns the texts of all rows, each checked to stand where its block says.
fn split(text: &str, container: Container, block_bytes: usize) -> Result<(Vec<String>, Option<u64>)> {
    let mut splitter = splitter(text.as_bytes(), container, block_bytes);
    let mut rows = Vec::new();
    while let Some(block) = splitter.next_block()? {
        assert_eq!(block.first_row, rows.len() as u64 + 1);
        for row in &block.rows {
            let row_text = std::str::from_utf8(&block.text[row.clone()]).unwrap();
            let start = usize::try_from(block.offset).unwrap() + row.start;
            assert_eq!(&text[start..start + row.len()], row_text);
            rows.push(row_text.to_owned());
        }
        splitter.recycle(block);
    }
    assert_eq!(splitter.n_rows(), rows.len() as u64);
    Ok((rows, splitter.total_count()))
}

fn problem(text: &str, container: Container) -> String {
    let problems: Vec<String> =
        [1, 3, 1000].map(|block_bytes| split(text, container, block_bytes).unwrap_err().to_string()).to_vec();
    assert!(problems.iter().all(|problem| *problem == problems[0]), "{problems:?}");
    problems[0].strip_prefix("here cannot be captured: ").unwrap().to_owned()
}

#[test]
fn array_is_cut_into_its_rows() {
    let text = r#" [ {"a":"]},{"} ,{"b":[{"c":"\\\""}]}, {} ] "#;
    for block_bytes in 1..text.len() + 2 {
        let (rows, total_count) = split(text, Container::Array, block_bytes).unwrap();
        assert_eq!(rows, [r#"{"a":"]},{"}"#, r#"{"b":[{"c":"\\\""}]}"#, "{}"]);
        assert_eq!(total_count, None);
    }
}

#[test]
fn members_of_an_answer_come_in_any_order() {
    for text in [
        r#"{"totalCount":"2","imdata":[{"a":1},{"b":2}]}"#,
        r#"{ "imdata" : [{"a":1} , {"b":2}] , "totalCount" : 2 }"#,
        r#"{"subscriptionId":"7]","imdata":[{"a":1},{"b":2}],"more":{"x":[1,"}"]},"totalCount":"2"}"#,
        r#"{"imd\u0061ta":[{"a":1},{"b":2}],"totalCount":"2","x":null}"#,
    ] {
        for block_bytes in [1, 2, 7, 1000] {
            let (rows, total_count) = split(text, Container::Envelope, block_bytes).unwrap();
            assert_eq!(rows, [r#"{"a":1}"#, r#"{"b":2}"#], "{text}");
            assert_eq!(total_count, Some(2), "{text}");
        }
    }
}

#[test]
fn blank_lines_and_a_missing_last_line_end_are_accepted() {
    for block_bytes in [1, 2, 7, 1000] {
        let (rows, _) = split("\n{\"a\":1}\r\n\n  {\"b\":2} ", Container::Lines, block_bytes).unwrap();
        assert_eq!(rows, [r#"{"a":1}"#, r#"{"b":2}"#]);
    }
}

#[test]
fn fault_around_the_rows_is_named_with_its_place() {
    for (text, expected) in [
        (r#"[{"a":1} {"b":2}]"#, "after row 1, at byte 9: expected ',' or ']', found '{'"),
        (r#"[{"a":1},]"#, "row 2 at byte 9: expected a JSON object, found ']'"),
        (r#"[{"a":1},17]"#, "row 2 at byte 9: expected a JSON object, found a number"),
        (r#"["a"]"#, "row 1 at byte 1: expected a JSON object, found a string"),
        (r#"[null]"#, "row 1 at byte 1: expected a JSON object, found null"),
        (r#"[[1]]"#, "row 1 at byte 1: expected a JSON object, found an array"),
        (r#"[{"a":1}]]"#, "after row 1, at byte 9: expected the end of the input, found ']'"),
        (r#"[{"a":1}"#, "after row 1, at byte 8: the input ends where ',' or ']' was expected"),
        (r#"[{"a":1},{"b"#, "row 2 at byte 9: the input ends in the middle of it"),
        ("[", "at byte 1: the input ends where a row or ']' was expected"),
    ] {
        assert_eq!(problem(text, Container::Array), expected, "{text}");
    }
}

#[test]
fn fault_in_an_answer_is_named_with_its_place() {
    for (text, expected) in [
        (r#"{"imdata":{}}"#, "at byte 10: \"imdata\" is an object; expected an array of objects"),
        (r#"{"totalCount":"x","imdata":[]}"#, "at byte 14: \"totalCount\" is \"x\"; expected a number"),
        (r#"{"totalCount":-1,"imdata":[]}"#, "at byte 14: \"totalCount\" is -1; expected a number"),
        (r#"{"totalCount":1.5,"imdata":[]}"#, "at byte 14: \"totalCount\" is 1.5; expected a number"),
        (r#"{"totalCount":"","imdata":[]}"#, "at byte 14: \"totalCount\" is \"\"; expected a number"),
        (r#"{"imdata":[],"imdata":[]}"#, "at byte 13: member \"imdata\" is there twice"),
        (r#"{"totalCount":"0","totalCount":"0"}"#, "at byte 18: member \"totalCount\" is there twice"),
        (
            r#"{"subscriptionId":tru,"imdata":[]}"#,
            "at byte 18: the value of member \"subscriptionId\" is not valid JSON",
        ),
        (r#"{"imdata":[],}"#, "at byte 13: expected a member name, found '}'"),
        (r#"{"imdata" []}"#, "at byte 10: expected ':', found '['"),
        (r#"{"imdata":[{"a":1}]"#, "after row 1, at byte 19: the input ends where ',' or '}' was expected"),
        (r#"{"imdata":[],"totalCount":"1"#, "at byte 26: the input ends in the middle of a member"),
    ] {
        assert_eq!(problem(text, Container::Envelope), expected, "{text}");
    }
    assert!(problem(r#"{"totalCount":"0"}"#, Container::Envelope).contains("the answer has no \"imdata\""));
}

#[test]
fn line_that_is_no_object_is_named() {
    assert_eq!(problem("{\"a\":1}\n 5\n", Container::Lines), "row 2 at byte 9: expected a JSON object, found a number");
}

#[test]
fn rows_before_a_fault_are_handed_out_first() {
    let mut splitter = splitter(br#"[{"a":1},{"b":2},x"#, Container::Array, 1000);

    assert_eq!(splitter.next_block().unwrap().unwrap().rows.len(), 2);
    assert!(splitter.next_block().is_err());
}

#[test]
fn row_longer_than_the_limit_is_refused_before_its_end_is_seen() {
    for (beginning, container) in [("[{},{\"a\":\"", Container::Array), ("{}\n{\"a\":\"", Container::Lines)] {
        let endless = std::io::repeat(b'x').take(1 << 40);
        let reader = Box::new(Cursor::new(beginning.as_bytes()).chain(endless));
        let mut splitter = RowSplitter::new(reader, 0, container, Origin::new("here"), sizes(4 << 20));

        assert_eq!(splitter.next_block().unwrap().unwrap().rows.len(), 1);
        let error = splitter.next_block().unwrap_err().to_string();

        let start = beginning.find(",{").map_or(3, |at| at + 1);
        assert!(error.ends_with(&format!("row 2 at byte {start}: it is longer than 32 MiB")), "{error}");
    }
}

#[test]
fn white_space_without_end_is_not_kept() {
    let blanks = std::io::repeat(b'\n').take(64 << 20);
    let reader = Box::new(Cursor::new(b"[").chain(blanks).chain(Cursor::new(b"{}]")));
    let mut splitter = RowSplitter::new(reader, 0, Container::Array, Origin::new("here"), sizes(1 << 20));

    let block = splitter.next_block().unwrap().unwrap();

    assert!(block.text.capacity() < 8 << 20, "{}", block.text.capacity());
    assert_eq!(block.offset + block.rows[0].start as u64, (64 << 20) + 1);
}

proptest! {
    #[test]
    fn any_text_is_split_or_refused(text in r#"[\[\]{}",:\\a1 \n]{0,60}"#, block_bytes in 1..64_usize) {
        for container in [Container::Array, Container::Envelope, Container::Lines] {
            let _ = split(&text, container, block_bytes);
        }
    }
}
