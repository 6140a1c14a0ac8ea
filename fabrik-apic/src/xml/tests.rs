use std::path::Path;

use fabrik_core::Verdict;
use proptest::prelude::*;
use serde_json::Value;

use crate::format::InputFormat;
use crate::testing::{Tree, problem, read, trees};

#[test]
fn elements_become_rows() {
    let text = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<imdata totalCount=\"2\" subscriptionId=\"7\">\
        <fvBD dn=\"uni/tn-a/BD-b\" descr=\"a &lt; b &amp;&#10;c\nd\"><fvSubnet rn=\"subnet-[10.0.0.1/24]\"/></fvBD>\
        <!-- a comment --><fvBD dn='uni/tn-a/BD-c'></fvBD></imdata>";

    let read = read(text, None).unwrap();

    assert_eq!(
        read.rows,
        [
            r#"{"className":"fvBD","descr":"a < b &\nc\nd","dn":"uni/tn-a/BD-b"}"#,
            r#"{"className":"fvSubnet","dn":"uni/tn-a/BD-b/subnet-[10.0.0.1/24]","rn":"subnet-[10.0.0.1/24]"}"#,
            r#"{"className":"fvBD","dn":"uni/tn-a/BD-c"}"#,
        ]
    );
    assert_eq!(read.verdict, Verdict::Complete);
}

#[test]
fn announced_count_decides_the_verdict() {
    let verdict = |count| read(format!("<imdata totalCount=\"{count}\"><a><b/></a></imdata>"), None).unwrap().verdict;

    assert_eq!(verdict(1), Verdict::Complete);
    assert!(matches!(verdict(2), Verdict::Partial { expected_rows: Some(2), .. }));
    assert!(problem("<imdata totalCount=\"3\"></imdata>").contains("announced 3 objects and sent none"));
    assert_eq!(read("<imdata totalCount=\"0\"/>", None).unwrap().rows, Vec::<String>::new());
}

#[test]
fn error_of_the_controller_is_no_row() {
    let text =
        "<imdata totalCount=\"1\"><error code=\"403\" text=\"Token was invalid (Error: Token timeout)\"/></imdata>";

    assert_eq!(
        problem(text),
        "line 1, at byte 23: row 1: the controller answered with error 403: Token was invalid (Error: Token timeout)"
    );
}

#[test]
fn fault_is_named_with_its_line() {
    for (text, expected) in [
        (
            "<imdata>\n<a x=\"1\"/>\n<b x=\"1\" x=\"2\"/>\n</imdata>",
            "line 3, at byte 20: row 2: object of class \"b\": attribute \"x\" is there twice",
        ),
        (
            "<imdata>\n<a className=\"b\"/></imdata>",
            "line 2, at byte 9: row 1: object of class \"a\": attribute \"className\"",
        ),
        (
            "<imdata>\n<a x=\"&own;\"/></imdata>",
            "line 2, at byte 9: row 1: attribute \"x\": at 1..4: unrecognized entity `own`",
        ),
        (
            "<imdata>\n<a x=\"&#0;\"/></imdata>",
            "line 2, at byte 9: row 1: attribute \"x\": invalid character reference",
        ),
        ("<imdata>\n<a x=1/></imdata>", "line 2, at byte 9: row 1: an attribute cannot be read"),
        ("<imdata>\n<a>text</a></imdata>", "line 2, at byte 12: row 1: expected elements"),
        ("<imdata>\n<a>&lt;</a></imdata>", "line 2, at byte 12: row 1: expected elements"),
        ("<imdata><![CDATA[x]]></imdata>", "line 1, at byte 8: expected elements"),
        ("<imdata><a></imdata>", "line 1, at byte 11: row 1: it is not well-formed XML"),
        ("<imdata><a></a>", "line 1, at byte 15: row 1: the input ends inside 1 open elements"),
        ("<imdata/><a/>", "line 1, at byte 9: expected the end of the input, found another element, \"a\""),
        ("<imdata totalCount=\"x\"/>", "line 1, at byte 0: \"totalCount\" is \"x\"; expected a number"),
        ("<?xml version=\"1.0\" encoding=\"latin1\"?><imdata/>", "line 1, at byte 0: the text is encoded as latin1"),
        ("<imdata><a", "line 1, at byte 8: it is not well-formed XML"),
    ] {
        let problem = problem(text);
        assert!(problem.starts_with(expected), "{text}: {problem}");
    }
    assert!(problem(b"<imdata><a x=\"\xff\"/></imdata>").contains("not valid UTF-8"));
}

#[test]
fn document_types_are_refused_before_any_entity_grows() {
    let bomb = "<?xml version=\"1.0\"?><!DOCTYPE x [<!ENTITY a \"aaaaaaaaaa\"><!ENTITY b \"&a;&a;&a;&a;&a;&a;&a;\">]>\
                <imdata><x y=\"&b;\"/></imdata>";

    assert!(problem(bomb).contains("it has a document type"), "{}", problem(bomb));
}

#[test]
fn depth_is_limited_and_takes_no_stack() {
    let nested = |levels: usize| format!("<imdata>{}{}</imdata>", "<a>".repeat(levels), "</a>".repeat(levels));

    assert_eq!(read(nested(100), None).unwrap().rows.len(), 100);
    assert!(problem(nested(101)).contains("nest deeper than 100 levels"));
    assert!(problem("<a>".repeat(100_000)).contains("nest deeper than 100 levels"));
}

#[test]
fn element_without_end_does_not_fill_the_memory() {
    let endless = |text: &'static str| std::io::Read::chain(text.as_bytes(), std::io::repeat(b'x'));
    for text in ["<imdata><a x=\"", "<imdata><!--", "<imdata><", "<imdata><a>"] {
        let source = crate::RecordedSource::from_reader("here", Box::new(endless(text)), None);

        let error = crate::testing::drain(&mut source.unwrap()).unwrap_err();

        assert!(error.to_string().contains("longer than 32 MiB"), "{error}");
    }
}

#[test]
fn recorded_replies_are_the_same_in_xml() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/data/apic");
    let mut n_files = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|ending| ending != "json") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let value: Value = serde_json::from_str(&text).unwrap();
        let objects = value.get("imdata").unwrap_or(&value).as_array().unwrap();
        let trees: Vec<Tree> = objects.iter().map(|object| Tree::from_json(object.as_object().unwrap())).collect();

        assert_eq!(read(Tree::answer_xml(&trees), None).unwrap(), read(text, None).unwrap(), "{}", path.display());
        n_files += 1;
    }
    assert!(n_files > 10);
}

proptest! {
    #[test]
    fn xml_and_json_of_the_same_objects_give_the_same_rows(trees in trees()) {
        let json = read(Tree::answer_json(&trees, false), None).unwrap();
        let xml = read(Tree::answer_xml(&trees), None).unwrap();

        prop_assert_eq!(json, xml);
    }

    #[test]
    fn cut_off_answer_is_an_error(trees in trees(), cut in any::<prop::sample::Index>()) {
        let text = Tree::answer_xml(&trees);
        let text = text.trim_end().as_bytes();

        prop_assert!(read(&text[..cut.index(text.len())], Some(InputFormat::Xml)).is_err());
    }

    #[test]
    fn any_text_is_read_or_refused(
        text in r#"<(imdata|a)[<>/="'&;#!?\-\[\] a0x]{0,40}"#,
        trees in trees(),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let _ = read(text, None);
        let mut mutated = Tree::answer_xml(&trees).into_bytes();
        let at = at.index(mutated.len());
        mutated[at] = byte;
        let _ = read(mutated, None);
    }
}
