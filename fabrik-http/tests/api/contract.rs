//! The table of contract lines and the tests that hold them does not rot.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use fabrik_http::server::declared_routes;

/// The parts of the API that the table is about.
const COVERED: [&str; 6] =
    ["/api/apic/", "/api/queries/", "/api/time-machine/", "/api/dashboard/", "/api/ws-ticket/", "/ws/"];

/// A line of a table: what the contract says, and the names of the tests.
struct Line {
    text: String,
    what: String,
    tests: Vec<String>,
}

/// Returns the texts between backticks.
fn quoted(text: &str) -> impl Iterator<Item = String> {
    text.split('`').skip(1).step_by(2).map(str::to_owned)
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Returns the lines of all tables but their heads.
fn lines() -> Vec<Line> {
    let text = fs::read_to_string(root().join("fabrik-http/tests/contract.md")).unwrap();
    let rows = text.lines().filter(|line| line.starts_with('|') && !line.starts_with("| ---"));
    let lines = rows.map(|line| {
        // A bar within backticks is part of what is said.
        let cells: Vec<&str> = line.trim().trim_matches('|').split(" | ").map(str::trim).collect();
        let [_, what, tests] = cells[..] else { panic!("three cells: {line}") };
        Line { text: line.to_owned(), what: what.to_owned(), tests: quoted(tests).collect() }
    });
    lines.filter(|line| !line.text.starts_with("| section ")).collect()
}

/// Adds the tests of the files below a folder, by the path that `cargo test` has for them without `tests`.
fn collect(folder: &Path, module: &[String], found: &mut BTreeSet<String>) {
    let mut entries: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let mut module = module.to_vec();
        if !["main", "lib", "tests"].contains(&name.as_str()) {
            module.push(name);
        }
        if path.is_dir() {
            collect(&path, &module, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let mut is_test = false;
            for line in fs::read_to_string(&path).unwrap().lines().map(str::trim) {
                if line.starts_with("#[test]") || line.starts_with("#[tokio::test") {
                    is_test = true;
                } else if let Some((_, rest)) = line.split_once("fn ").filter(|_| is_test) {
                    let name = rest.split('(').next().unwrap();
                    found.insert([&module[..], &[name.to_owned()]].concat().join("::"));
                    is_test = false;
                }
            }
        }
    }
}

/// Returns all tests there are: `api::queries::…` is in this program, `http::`, `apic::` and `core::` are in the crates.
fn tests() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let root = root();
    for (folder, module) in [
        ("fabrik-http/tests", &[][..]),
        ("fabrik-http/src", &["http"]),
        ("fabrik-apic/src", &["apic"]),
        ("fabrik-apic/tests", &["apic"]),
        ("fabrik-core/src", &["core"]),
        ("fabrik-core/tests", &["core"]),
    ] {
        let module: Vec<String> = module.iter().map(|&part| part.to_owned()).collect();
        collect(&root.join(folder), &module, &mut found);
    }
    found
}

#[test]
fn every_test_that_the_table_names_is_there() {
    let there = tests();
    assert!(there.contains("api::contract::every_test_that_the_table_names_is_there"), "{there:?}");
    let lines = lines();
    assert!(lines.len() > 100, "{}", lines.len());

    let mut wrong = BTreeMap::new();
    for line in &lines {
        let missing: Vec<_> = line.tests.iter().filter(|test| !there.contains(*test)).collect();
        if line.tests.is_empty() || !missing.is_empty() {
            wrong.insert(&line.text, missing);
        }
    }

    assert!(wrong.is_empty(), "these lines have no tests, or tests that are not there: {wrong:#?}");
}

#[test]
fn every_route_is_in_the_table() {
    let named: BTreeSet<String> = lines().iter().flat_map(|line| quoted(&line.what).collect::<Vec<_>>()).collect();
    let routes: BTreeSet<String> = declared_routes()
        .into_iter()
        .filter(|route| COVERED.iter().any(|start| route.path.starts_with(start)))
        .map(|route| format!("{} {}", route.method, route.path))
        .collect();

    let lacking: Vec<_> = routes.difference(&named).collect();
    assert!(lacking.is_empty(), "the table lacks {lacking:#?}");
    let is_route =
        |name: &&String| ["GET /", "POST /", "PUT /", "PATCH /", "DELETE /"].iter().any(|verb| name.starts_with(verb));
    let gone: Vec<_> = named.difference(&routes).filter(is_route).collect();
    assert!(gone.is_empty(), "the table has {gone:#?}");
}
