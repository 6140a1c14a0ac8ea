use fabrik_core::Verdict;
use proptest::prelude::*;

use crate::format::InputFormat;
use crate::testing::{problem, read};

/// The package, the class in it, and the attributes.
type Printed<'a> = (&'a str, &'a str, Vec<(String, String)>);

/// Prints objects as moquery does.
fn print(objects: &[Printed<'_>]) -> String {
    let mut text = format!("Total Objects shown: {}\n\n", objects.len());
    for (package, class, attributes) in objects {
        text.push_str(&format!("# {package}.{class}\n"));
        for (name, value) in attributes {
            text.push_str(&format!("{name:<17}: {value}\n"));
        }
        text.push('\n');
    }
    text
}

#[test]
fn objects_are_read_as_they_are_printed() {
    let text = "Total Objects shown: 2\n\n\
                # fault.Inst\n\
                code             : F0467\n\
                ack              : no\n\
                changeSet        :\n\
                descr            : Configuration failed : no port : eth1/1\n\
                dn               : uni/tn-a/fault-F0467\n\
                lastTransitionTimestamp : never\n\
                rn               : fault-F0467\n\
                title            : \n\
                \n\
                # l3ext.Out\n\
                name   : b\n\
                dn     : uni/tn-a/out-b\n";

    let expected = [
        concat!(
            r#"{"ack":"no","changeSet":"","className":"faultInst","code":"F0467","#,
            r#""descr":"Configuration failed : no port : eth1/1","dn":"uni/tn-a/fault-F0467","#,
            r#""lastTransitionTimestamp":"never","rn":"fault-F0467","title":""}"#
        ),
        r#"{"className":"l3extOut","dn":"uni/tn-a/out-b","name":"b"}"#,
    ];
    for text in [text.to_owned(), text.replace('\n', "\r\n"), format!("\n{text}\n\n")] {
        let read = read(text, None).unwrap();
        assert_eq!(read.rows, expected);
        assert_eq!(read.verdict, Verdict::Complete);
    }
}

#[test]
fn value_may_have_lines_of_its_own() {
    let text = "Total Objects shown: 1\n\n\
                # lldp.AdjEp\n\
                chassisIdT   : mac\n\
                sysDesc      : NX-OS 9.3(5)\n\
                TAC support  : http://www.cisco.com/tac\n\
                \n\
                mode: full\n\
                sysName      : n9k\n";

    let read = read(text, None).unwrap();

    let description = r"NX-OS 9.3(5)\nTAC support  : http://www.cisco.com/tac\n\nmode: full";
    assert_eq!(
        read.rows,
        [format!(r#"{{"chassisIdT":"mac","className":"lldpAdjEp","sysDesc":"{description}","sysName":"n9k"}}"#)]
    );
}

#[test]
fn missing_objects_make_it_partial() {
    let objects = vec![("fv", "BD", vec![("dn".to_owned(), "uni/tn-a/BD-b".to_owned())])];
    let text = print(&objects);
    let verdict = |text: String| read(text, None).unwrap().verdict;

    assert_eq!(verdict(text.clone()), Verdict::Complete);
    let Verdict::Partial { reason, expected_rows, .. } = verdict(text.replace("shown: 1", "shown: 4")) else {
        panic!("1 of 4 objects is not complete");
    };
    assert_eq!((reason.as_str(), expected_rows), ("the controller announced 4 objects, the input has 1", Some(4)));
    // Several queries in one file.
    assert_eq!(verdict(format!("{text}{text}")), Verdict::Complete);
    assert!(matches!(verdict(format!("{text}{}", text.replace("shown: 1", "shown: 2"))), Verdict::Partial { .. }));
}

#[test]
fn nothing_found_is_complete() {
    for text in ["No Mos found\n", "Total Objects shown: 0\n\n"] {
        let read = read(text, None).unwrap();
        assert_eq!((read.rows.len(), read.verdict), (0, Verdict::Complete));
    }
    assert!(problem("Total Objects shown: 3\n\n").contains("announced 3 objects and sent none"));
}

#[test]
fn fault_is_named_with_its_line() {
    for (text, expected) in [
        ("Total Objects shown: x\n", "line 1: the number of objects is \"x\"; expected digits"),
        ("Total Objects shown: 1\n\nname : x\n", "line 3: expected the class of an object after '#'"),
        ("Total Objects shown: 1\n\n# fvBD\nname : x\n", "line 3: expected the class of an object after '#'"),
        ("Total Objects shown: 1\n\n# fv.BD\nno attribute\n", "row 1 on line 3: expected an attribute"),
        ("Total Objects shown: 1\n\n# fv.BD\na : 1\na : 2\n", "row 1 on line 3: attribute \"a\" is there twice"),
    ] {
        let problem = problem(text);
        assert!(problem.starts_with(expected), "{text}: {problem}");
    }
    assert_eq!(problem(b"Total Objects shown: 1\n\n# fv.BD\na : \xff\n"), "line 4: it is not valid UTF-8");
}

#[test]
fn line_without_end_does_not_fill_the_memory() {
    let text = "Total Objects shown: 1\n\n# fv.BD\nname : ";
    for rest in ["x", "x\n"] {
        let endless = rest.repeat(1 << 16);
        let endless = std::io::Cursor::new(endless.into_bytes().repeat(1024));
        let reader = std::io::Read::chain(text.as_bytes(), endless);
        let source = crate::RecordedSource::from_reader("here", Box::new(reader), None);

        let error = crate::testing::drain(&mut source.unwrap()).unwrap_err();

        assert!(error.to_string().contains("longer than 32 MiB"), "{error}");
    }
}

#[test]
fn json_and_xml_of_moquery_are_read_when_it_is_named() {
    for text in [r#"{"totalCount":"1","imdata":[{"a":{"attributes":{}}}]}"#, "<imdata totalCount=\"1\"><a/></imdata>"] {
        assert_eq!(read(text, Some(InputFormat::Moquery)).unwrap().rows, [r#"{"className":"a"}"#]);
    }
    assert!(read("dn,name\n", Some(InputFormat::Moquery)).is_err());
}

proptest! {
    #[test]
    fn printed_objects_read_back(
        objects in prop::collection::vec(
            (
                prop::sample::select(vec![("fv", "BD"), ("l3ext", "Out"), ("vz", "BrCP")]),
                // Longer names push the colon aside; blanks at the end of a value cannot be told from its line's.
                prop::collection::btree_map("[a-z][A-Za-z]{0,20}", "([ -~ä]{0,12}[!-~])?(\n-[ -~]{0,6}[!-~]){0,2}", 1..6),
            ),
            0..5,
        ),
    ) {
        let printed: Vec<_> = objects
            .iter()
            .map(|((package, class), attributes)| (*package, *class, attributes.clone().into_iter().collect()))
            .collect();
        // Where every name is too long for its column, nothing tells the column.
        prop_assume!(objects.iter().all(|(_, attributes)| {
            let fitting = attributes.keys().filter(|name| name.len() <= 17).count();
            2 * fitting > attributes.len()
        }));

        let read = read(print(&printed), None).unwrap();

        let expected: Vec<String> = objects
            .iter()
            .map(|((package, class), attributes)| {
                let mut row = attributes.clone();
                row.insert("className".to_owned(), format!("{package}{class}"));
                serde_json::to_string(&row).unwrap()
            })
            .collect();
        prop_assert_eq!(read.rows, expected);
        prop_assert_eq!(read.verdict, Verdict::Complete);
    }

    #[test]
    fn any_text_is_read_or_refused(text in "(# |[a-c]{1,3} *: ?|fv\\.BD|\n|Total Objects shown: [0-9]|[ -~]){0,20}") {
        let _ = read(format!("Total Objects shown: 1\n\n{text}"), None);
    }
}
