use std::io::Cursor;

use fabrik_core::Source;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::recorded::RecordedSource;

fn parse(body: impl AsRef<[u8]>) -> Result<Page, AnswerProblem> {
    parse_page(body.as_ref(), &mut Vec::new())
}

fn rows(batches: &[RowBatch]) -> Vec<String> {
    batches.iter().flat_map(RowBatch::iter).map(|row| serde_json::to_string(&row).unwrap()).collect()
}

/// Reads the same body as if it were a file.
fn recorded(body: &str) -> Vec<String> {
    let mut source = RecordedSource::from_reader("here", Box::new(Cursor::new(body.to_owned())), None).unwrap();
    let mut batches = Vec::new();
    while let Some(batch) = pollster::block_on(source.next_batch()).unwrap() {
        batches.push(batch);
    }
    rows(&batches)
}

fn bridge_domain(name: &str) -> Value {
    json!({"fvBD": {
        "attributes": {"dn": format!("uni/tn-a/BD-{name}"), "name": name},
        "children": [{"fvSubnet": {"attributes": {"rn": "subnet-[10.0.0.1/24]"}}}],
    }})
}

fn answer(total_count: usize, objects: &[Value]) -> String {
    json!({"totalCount": total_count.to_string(), "imdata": objects}).to_string()
}

#[test]
fn page_says_what_it_holds() {
    let page = parse(answer(7, &[bridge_domain("a"), bridge_domain("b"), bridge_domain("c")])).unwrap();

    assert_eq!((page.total_count, page.n_objects), (7, 3));
    assert_eq!(page.last_dn.as_deref(), Some("uni/tn-a/BD-c"));
    assert_eq!(rows(&page.batches).len(), 6);
}

#[test]
fn empty_page_has_no_rows_and_may_announce_some() {
    for total_count in [0, 5] {
        let page = parse(answer(total_count, &[])).unwrap();

        assert_eq!((page.total_count, page.n_objects, page.batches.len()), (total_count as u64, 0, 0));
        assert_eq!(page.last_dn, None);
    }
}

#[test]
fn error_of_the_controller_keeps_its_code_and_text() {
    let error = json!({"error": {"attributes": {"code": "403", "text": "Token was invalid (Error: Token timeout)"}}});

    let problem = parse(answer(1, &[error])).unwrap_err();

    let expected = AnswerProblem::ControllerError {
        code: "403".to_owned(),
        text: "Token was invalid (Error: Token timeout)".to_owned(),
    };
    assert_eq!(problem, expected);
    assert_eq!(problem.to_string(), "the controller answered with error 403: Token was invalid (Error: Token timeout)");
}

#[test]
fn web_page_is_told_by_the_words_a_reader_sees() {
    let page = "<html>\r\n<head><title>503 Service Temporarily Unavailable</title></head>\r\n<body>\
                <hr><center>Cisco APIC</center></body></html>";

    assert_eq!(
        parse(page).unwrap_err(),
        AnswerProblem::NotJson { excerpt: "503 Service Temporarily Unavailable Cisco APIC".to_owned(), is_html: true }
    );
    let long = "word ".repeat(10_000);
    let AnswerProblem::NotJson { excerpt, is_html: false } = parse(&long).unwrap_err() else { panic!("no JSON") };
    assert!(excerpt.chars().count() <= EXCERPT_CHARS + 1, "{excerpt}");
    assert!(long.starts_with(&excerpt));
}

#[test]
fn what_is_no_answer_is_refused() {
    for (body, part) in [
        (r#"[{"a":{"attributes":{}}}]"#, "found an array"),
        (r#"{"imdata":[]}"#, "no \"totalCount\""),
        (r#"{"totalCount":"1"}"#, "no \"imdata\""),
        (r#"{"totalCount":"x","imdata":[]}"#, "expected a number"),
        (r#"{"totalCount":"0","imdata":[]} x"#, "expected the end"),
        (r#"{"totalCount":"1","imdata":[{"a":{}}]}"#, "object 1: the APIC object has neither"),
        (r#"{"totalCount":"1","imdata":[{"a":{"attributes":{}}}, 5]}"#, "expected a JSON object, found a number"),
    ] {
        let problem = parse(body).unwrap_err();
        assert!(matches!(problem, AnswerProblem::Invalid { .. }), "{body}: {problem:?}");
        assert!(problem.to_string().contains(part), "{body}: {problem}");
    }
}

#[test]
fn fault_is_found_among_many_objects() {
    let mut objects: Vec<String> = (0..20_000).map(|n| bridge_domain(&n.to_string()).to_string()).collect();
    objects[17_654] = r#"{"fvBD":{"attributes":{"dn":}}}"#.to_owned();
    let body = format!(r#"{{"totalCount":"20000","imdata":[{}]}}"#, objects.join(","));
    let at = body.find(r#""dn":}"#).unwrap() + 5;

    let problem = parse(body).unwrap_err();

    assert_eq!(problem.to_string(), format!("at byte {at}: object 17655: expected value"));
}

#[test]
fn invalid_escape_of_some_controllers_is_repaired() {
    let body = r#"{"totalCount":"1","imdata":[{"a":{"attributes":{"dn":"uni/a","x":"it\'s"}}}]}"#;

    let page = parse(body).unwrap();

    assert_eq!(rows(&page.batches), [r#"{"className":"a","dn":"uni/a","x":"it's"}"#]);
    assert_eq!(page.last_dn.as_deref(), Some("uni/a"));
}

#[test]
fn builders_carry_nothing_from_one_page_to_the_next() {
    let mut builders = Vec::new();
    let good = answer(1, &[bridge_domain("a")]);
    let expected = rows(&parse_page(good.as_bytes(), &mut builders).unwrap().batches);

    parse_page(answer(2, &[bridge_domain("b"), json!({"fvBD": 5})]).as_bytes(), &mut builders).unwrap_err();

    assert_eq!(rows(&parse_page(good.as_bytes(), &mut builders).unwrap().batches), expected);
}

proptest! {
    #[test]
    fn page_has_the_rows_of_the_same_answer_in_a_file(names in prop::collection::vec("[a-z\"\\\\']{0,5}", 0..6)) {
        let objects: Vec<Value> = names.iter().map(|name| bridge_domain(name)).collect();
        let body = answer(names.len(), &objects);

        let page = parse(&body).unwrap();

        prop_assert_eq!(rows(&page.batches), recorded(&body));
        prop_assert_eq!(page.n_objects, names.len() as u64);
    }

    #[test]
    fn cut_off_answer_is_told_from_a_wrong_one(n in 0..4_usize, cut in any::<prop::sample::Index>()) {
        let objects: Vec<Value> = (0..n).map(|n| bridge_domain(&n.to_string())).collect();
        let body = answer(n, &objects);
        let length = cut.index(body.len());

        let problem = parse(&body[..length]).unwrap_err();

        prop_assert!(matches!(problem, AnswerProblem::Truncated { n_bytes, .. } if n_bytes == length as u64), "{}", problem);
    }

    #[test]
    fn any_bytes_are_an_answer_or_a_problem(
        bytes in prop::collection::vec(any::<u8>(), 0..80),
        text in r#"\{?"?(totalCount|imdata)?[\[\]{}",:\\'a1< ]{0,60}"#,
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let _ = parse(bytes);
        let _ = parse(text);
        let mut mutated = answer(2, &[bridge_domain("a"), bridge_domain("b")]).into_bytes();
        let at = at.index(mutated.len());
        mutated[at] = byte;
        let _ = parse(mutated);
    }
}
