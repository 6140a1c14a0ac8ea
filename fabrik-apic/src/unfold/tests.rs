use fabrik_core::{Coverage, Verdict};
use proptest::prelude::*;

use crate::format::InputFormat;
use crate::testing::{ReadBack, Tree, gzip, problem, read, tar};

/// The relative name of an object, as this test understands its class.
fn rn(tree: &Tree) -> String {
    let value = |name: &str| tree.attributes[name].as_str();
    match tree.class.as_str() {
        "polUni" => "uni".to_owned(),
        "fvTenant" => format!("tn-{}", value("name")),
        "fvAp" => format!("ap-{}", value("name")),
        "fvAEPg" => format!("epg-{}", value("name")),
        "fvBD" => format!("BD-{}", value("name")),
        "fvSubnet" => format!("subnet-[{}]", value("ip")),
        "fvRsCtx" => "rsctx".to_owned(),
        "fvRsPathAtt" => format!("rspathAtt-[{}]", value("tDn")),
        other => panic!("no class of this test: {other}"),
    }
}

/// The rows of a tree, by this test's understanding.
fn model(tree: &Tree, parent: &str, rows: &mut Vec<String>) {
    let dn = if parent.is_empty() { rn(tree) } else { format!("{parent}/{}", rn(tree)) };
    let mut row = tree.attributes.clone();
    row.insert("dn".to_owned(), dn.clone());
    row.insert("className".to_owned(), tree.class.clone());
    rows.push(serde_json::to_string(&row).unwrap());
    for child in &tree.children {
        model(child, &dn, rows);
    }
}

fn expected(tree: &Tree) -> ReadBack {
    let mut rows = Vec::new();
    model(tree, "", &mut rows);
    ReadBack { rows, verdict: Verdict::Complete, coverage: Coverage::ConfigOnly }.sorted()
}

fn export() -> Tree {
    let subnet = Tree::new("fvSubnet", &[("ip", "10.0.0.1/24"), ("scope", "public")], vec![]);
    let context = Tree::new("fvRsCtx", &[("tnFvCtxName", "v")], vec![]);
    let domain = Tree::new("fvBD", &[("name", "b"), ("descr", "it's")], vec![subnet, context]);
    let path = Tree::new("fvRsPathAtt", &[("tDn", "topology/pod-1/paths-101/pathep-[eth1/1]")], vec![]);
    let group = Tree::new("fvAEPg", &[("name", "e")], vec![path]);
    let profile = Tree::new("fvAp", &[("name", "a")], vec![group]);
    Tree::new("polUni", &[], vec![Tree::new("fvTenant", &[("name", "t")], vec![domain, profile])])
}

#[test]
fn distinguished_names_are_made_of_naming_properties() {
    let tree = export();

    let read_back = read(tree.to_json(false), None).unwrap();

    let dns: Vec<&str> = read_back.rows.iter().map(|row| row.split(r#""dn":""#).nth(1).unwrap()).collect();
    assert!(dns[4].starts_with(r#"uni/tn-t/BD-b/rsctx""#), "{dns:?}");
    assert_eq!(read_back.sorted(), expected(&tree));
    assert_eq!(read(tree.to_xml(), None).unwrap().sorted(), expected(&tree));
    assert_eq!(read(tree.to_json(true), None).unwrap().sorted(), expected(&tree));
    let below_root = Tree::new("topRoot", &[], vec![tree.clone()]);
    assert_eq!(read(below_root.to_json(false), None).unwrap().sorted(), expected(&tree));
    assert_eq!(read(below_root.to_xml(), None).unwrap().sorted(), expected(&tree));
}

#[test]
fn written_names_win_over_the_table() {
    let named = Tree::new("fvBD", &[("name", "b"), ("rn", "BD-other")], vec![]);
    let elsewhere = Tree::new("fvBD", &[("name", "b"), ("dn", "else/where")], vec![]);
    let tree = Tree::new("polUni", &[("dn", "uni")], vec![named, elsewhere]);

    let rows = read(tree.to_json(false), None).unwrap().rows;

    assert!(rows[1].contains(r#""dn":"uni/BD-other""#) && rows[2].contains(r#""dn":"else/where""#), "{rows:?}");
}

#[test]
fn objects_without_a_place_are_rows_and_are_named() {
    let below = Tree::new("fvSubnet", &[("ip", "10.0.0.1/24")], vec![]);
    let unknown = Tree::new("xyThing", &[("name", "x")], vec![below]);
    let nameless = Tree::new("fvBD", &[("descr", "no name")], vec![]);
    let tenant = Tree::new("fvTenant", &[("name", "t")], vec![unknown.clone(), unknown, nameless]);
    let tree = Tree::new("polUni", &[], vec![tenant]);

    for text in [tree.to_json(false), tree.to_json(true), tree.to_xml()] {
        let read = read(text, None).unwrap();

        let without_dn: Vec<&String> = read.rows.iter().filter(|row| !row.contains("\"dn\"")).collect();
        assert_eq!((read.rows.len(), without_dn.len()), (7, 5), "{:?}", read.rows);
        assert_eq!(
            read.verdict,
            Verdict::Partial {
                reason: "5 rows have no DN, because none can be made from the attributes of \
                         fvBD (1), fvSubnet (2), xyThing (2)"
                    .to_owned(),
                expected_rows: None,
                missing: vec!["uni/tn-t".to_owned()],
            }
        );
    }
}

#[test]
fn class_that_is_no_root_needs_a_place_at_the_top() {
    let tree = Tree::new("fvTenant", &[("name", "t")], vec![]);

    let unplaced = read(tree.to_json(false), Some(InputFormat::ConfigExport)).unwrap();
    let placed = Tree::new("fvTenant", &[("name", "t"), ("dn", "uni/tn-t")], vec![Tree::new("fvRsCtx", &[], vec![])]);
    let placed = read(placed.to_json(false), Some(InputFormat::ConfigExport)).unwrap();

    assert!(matches!(unplaced.verdict, Verdict::Partial { missing, .. } if missing.is_empty()));
    assert!(placed.rows[1].contains(r#""dn":"uni/tn-t/rsctx""#), "{:?}", placed.rows);
    assert_eq!((placed.verdict, placed.coverage), (Verdict::Complete, Coverage::ConfigOnly));
}

#[test]
fn root_with_attributes_behind_its_children_is_held_to_its_place() {
    let tree = |dn: &str| {
        format!(
            r#"{{"polUni":{{"children":[{}],"attributes":{{"dn":"{dn}"}}}}}}"#,
            r#"{"fvTenant":{"attributes":{"name":"t"}}}"#
        )
    };

    assert_eq!(read(tree("uni"), None).unwrap().rows.len(), 2);
    assert!(problem(tree("elsewhere")).contains(r#"has the DN "elsewhere" in attributes behind its children"#));
}

#[test]
fn contradicting_objects_are_both_kept() {
    let tenant =
        |descr: &str| Tree::new("polUni", &[], vec![Tree::new("fvTenant", &[("name", "t"), ("descr", descr)], vec![])]);
    let files: Vec<_> = ["a", "b", "a"]
        .iter()
        .enumerate()
        .map(|(i, descr)| (format!("ce2_x_{i}.json"), tenant(descr).to_json(false).into_bytes()))
        .collect();

    let read = read(tar(&files), None).unwrap();

    assert_eq!(read.rows.iter().filter(|row| row.contains("fvTenant")).count(), 2, "{:?}", read.rows);
    assert_eq!(read.rows.iter().filter(|row| row.contains("polUni")).count(), 1);
}

#[test]
fn malformed_tree_is_refused() {
    for (text, part) in [
        (r#"{"polUni":{"attributes":{},"attributes":{}}}"#, "\"attributes\" is there twice"),
        (r#"{"polUni":{"attributes":{},"children":[],"children":[]}}"#, "\"children\" is there twice"),
        (r#"{"polUni":{"attributes":{},"name":"x"}}"#, "found member \"name\""),
        (r#"{"polUni":{"attributes":{}},"b":{"attributes":{}}}"#, "its class as the only member"),
        (r#"{"polUni":{"attributes":{},"children":[{"a":{}}]}}"#, "neither attributes nor children"),
        (r#"{"polUni":{"attributes":{},"children":[{}]}}"#, "expected the class of an APIC object"),
        (r#"{"polUni":{"attributes":{},"children":[5]}}"#, "expected an APIC object or ']', found a number"),
        (
            r#"{"polUni":{"attributes":{},"children":[{"a":{"attributes":[]}}]}}"#,
            "expected an object with the attributes",
        ),
        (
            r#"{"polUni":{"attributes":{},"children":[{"a":{"attributes":{"x":}}}]}}"#,
            "row 1 at byte 63: expected value",
        ),
        (r#"{"polUni":{"attributes":{},"children":[{"a":{"attributes":{}}}"#, "the input ends in the middle of it"),
        (r#"{"polUni":{"attributes":{}}} x"#, "row 2 at byte 29: expected an APIC object"),
        (
            r#"{"polUni":{"attributes":{},"children":[{"error":{"attributes":{"code":"1","text":"no"}}}]}}"#,
            "error 1: no",
        ),
    ] {
        let problem = problem(text);
        assert!(problem.contains(part), "{text}: {problem}");
    }
    let deep = |levels: usize| {
        format!("{}{}", r#"{"polUni":{"attributes":{},"children":["#.repeat(levels), "]}}".repeat(levels))
    };
    assert_eq!(read(deep(100), None).unwrap().rows.len(), 100);
    assert!(problem(deep(101)).contains("nest deeper than 100 levels"));
    assert!(problem(deep(50_000)).contains("nest deeper than 100 levels"));
}

#[test]
fn invalid_escape_of_some_controllers_is_repaired() {
    let text = r#"{"polUni":{"attributes":{},"children":[{"fvTenant":{"attributes":{"name":"it\'s"}}}]}}"#;

    assert!(read(text, None).unwrap().rows.iter().any(|row| row.contains(r#""dn":"uni/tn-it's""#)));
}

/// Trees of an export: siblings of one class have different names.
fn exports() -> impl Strategy<Value = Tree> {
    let text = || "[ -~ä]{0,5}";
    let subnets = prop::collection::btree_map("1[0-9.]{1,3}/24", text(), 0..3).prop_map(|subnets| {
        let subnet = |(ip, descr): (String, String)| Tree::new("fvSubnet", &[("ip", &ip), ("descr", &descr)], vec![]);
        subnets.into_iter().map(subnet).collect::<Vec<_>>()
    });
    let domains =
        prop::collection::btree_map("[a-c]{1,2}", (text(), subnets, any::<bool>()), 0..3).prop_map(|domains| {
            let domain = |(name, (descr, mut children, has_context)): (String, (String, Vec<Tree>, bool))| {
                if has_context {
                    children.push(Tree::new("fvRsCtx", &[("tnFvCtxName", "v")], vec![]));
                }
                Tree::new("fvBD", &[("name", &name), ("descr", &descr)], children)
            };
            domains.into_iter().map(domain).collect::<Vec<_>>()
        });
    let paths = prop::collection::btree_map("topology/[a-c]{1,2}-\\[eth1/[0-9]\\]", text(), 0..3).prop_map(|paths| {
        let path = |(dn, encap): (String, String)| Tree::new("fvRsPathAtt", &[("tDn", &dn), ("encap", &encap)], vec![]);
        paths.into_iter().map(path).collect::<Vec<_>>()
    });
    let groups = prop::collection::btree_map("[a-c]{1,2}", (text(), paths), 0..3);
    let profiles = prop::collection::btree_map("[a-c]{1,2}", (text(), groups), 0..3).prop_map(|profiles| {
        let group = |(name, (prio, paths)): (String, (String, Vec<Tree>))| {
            Tree::new("fvAEPg", &[("name", &name), ("prio", &prio)], paths)
        };
        let profile = |(name, (descr, groups)): (String, (String, std::collections::BTreeMap<_, _>))| {
            Tree::new("fvAp", &[("name", &name), ("descr", &descr)], groups.into_iter().map(group).collect())
        };
        profiles.into_iter().map(profile).collect::<Vec<_>>()
    });
    let tenants = prop::collection::btree_map("[a-c]{1,2}", (text(), domains, profiles), 0..4);
    tenants.prop_map(|tenants| {
        let tenant = |(name, (descr, domains, profiles)): (String, (String, Vec<Tree>, Vec<Tree>))| {
            Tree::new("fvTenant", &[("name", &name), ("descr", &descr)], [domains, profiles].concat())
        };
        Tree::new("polUni", &[], tenants.into_iter().map(tenant).collect())
    })
}

/// Cuts a tree into members, each with the ancestors of what it holds. What ancestors do not need to be named may be
/// left out in all members but one.
fn split(tree: &Tree, level: usize, n_members: usize, choose: &mut impl FnMut(usize) -> usize) -> Vec<Option<Tree>> {
    let home = choose(n_members);
    if level > super::MERGED_LEVELS {
        return (0..n_members).map(|member| (member == home).then(|| tree.clone())).collect();
    }
    let mut children: Vec<Vec<Tree>> = vec![Vec::new(); n_members];
    for child in &tree.children {
        for (member, part) in split(child, level + 1, n_members, choose).into_iter().enumerate() {
            children[member].extend(part);
        }
    }
    children
        .into_iter()
        .enumerate()
        .map(|(member, children)| {
            let mut part = Tree { children, ..tree.clone() };
            if member != home {
                part.attributes.retain(|name, _| name == "name" || name == "ip" || choose(2) == 0);
            }
            (member == home || !part.children.is_empty()).then_some(part)
        })
        .collect()
}

proptest! {
    #[test]
    fn export_in_members_gives_the_rows_of_the_whole(
        tree in exports(),
        n_members in 1..5_usize,
        choices in prop::collection::vec(any::<prop::sample::Index>(), 1..40),
        forms in prop::collection::vec((any::<bool>(), any::<bool>(), any::<bool>()), 5),
    ) {
        let mut choices = choices.iter().cycle();
        let mut choose = |n: usize| choices.next().unwrap().index(n);
        let members = split(&tree, 1, n_members, &mut choose);
        let files: Vec<(String, Vec<u8>)> = members
            .into_iter()
            .flatten()
            .zip(forms)
            .enumerate()
            .map(|(i, (part, (is_xml, children_first, below_top)))| {
                let (part, suffix) = match below_top {
                    true => (Tree::new("topRoot", &[], vec![part]), "_idfile"),
                    false => (part, ""),
                };
                match is_xml {
                    true => (format!("ce2_p-2026_{i}{suffix}.xml"), part.to_xml().into_bytes()),
                    false => (format!("ce2_p-2026_{i}{suffix}.json"), part.to_json(children_first).into_bytes()),
                }
            })
            .collect();

        let archive = read(gzip(&tar(&files)), None).unwrap().sorted();

        prop_assert_eq!(archive, expected(&tree));
    }

    #[test]
    fn one_file_gives_the_rows_of_its_tree(tree in exports(), children_first in any::<bool>()) {
        prop_assert_eq!(read(tree.to_json(children_first), None).unwrap().sorted(), expected(&tree));
        prop_assert_eq!(read(tree.to_xml(), None).unwrap().sorted(), expected(&tree));
    }

    #[test]
    fn cut_off_export_is_an_error(tree in exports(), cut in any::<prop::sample::Index>()) {
        let text = tree.to_json(false);

        prop_assert!(read(&text.as_bytes()[..cut.index(text.len())], Some(InputFormat::ConfigExport)).is_err());
    }

    #[test]
    fn changed_export_is_read_or_refused(tree in exports(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        for mut bytes in [tree.to_json(false).into_bytes(), tree.to_json(true).into_bytes(), tree.to_xml().into_bytes()] {
            let at = at.index(bytes.len());
            bytes[at] = byte;
            let _ = read(bytes.clone(), None);
            let _ = read(bytes, Some(InputFormat::ConfigExport));
        }
    }
}
