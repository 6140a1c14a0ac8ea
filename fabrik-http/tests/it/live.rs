//! Connections, and captures and queries over them, from a simulated controller.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use fabrik_apic::simulator::{Fault, FaultRule, Scheme, Simulator, SimulatorOptions, SimulatorUser};

use crate::folder::{Folder, Run};

const PASSWORD: &str = "correct-horse-battery";

fn controller() -> Simulator {
    let admin = SimulatorUser::new("admin").with_password(PASSWORD);
    let options = SimulatorOptions::default().without_users().with_user(admin).with_scheme(Scheme::Https);
    Simulator::start(options.with_objects(2000)).unwrap()
}

/// Makes a folder with the connection `lab` to a controller whose certificate is checked.
fn connected(simulator: &Simulator) -> Folder {
    let folder = Folder::new();
    folder.write("ca.pem", simulator.certificate_pem().unwrap());
    add(&folder, &simulator.url(), &["lab", "--ca-file", "ca.pem"]).done();
    folder
}

fn add(folder: &Folder, url: &str, arguments: &[&str]) -> Run {
    folder.write("password", format!("{PASSWORD}\n"));
    let common = ["connections", "add", "--url", url, "--username", "admin", "--password-file", "password"];
    folder.run(&[&common, arguments].concat())
}

#[test]
fn a_connection_is_saved_tried_listed_and_removed() {
    let simulator = controller();
    let folder = connected(&simulator);

    let listed = folder.json(&["connections", "list"]);
    assert_eq!(listed[0]["name"], "lab");
    assert_eq!(listed[0]["verification"], "own authority");
    let tested = folder.json(&["connections", "test"]);
    assert_eq!((&tested["reachable"], &tested["username"]), (&true.into(), &"admin".into()));
    assert!(!tested["version"].as_str().unwrap().is_empty());
    folder.run(&["connections", "remove", "lab"]).done();

    assert_eq!(folder.json(&["connections", "list"]), serde_json::json!([]));
    folder.run(&["connections", "remove", "lab"]).refused(2, &["connection \"lab\"", "none is saved"]);
    folder.run(&["connections", "test"]).refused(2, &["none is saved"]);
}

#[test]
fn secrets_are_nowhere_to_be_read() {
    let simulator = controller();
    let folder = connected(&simulator);

    let key = folder.path(".config/fabrik/secret.key");
    assert_eq!(fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
    for entry in fs::read_dir(folder.path("")).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() && !path.ends_with("password") {
            let bytes = fs::read(&path).unwrap();
            assert!(!bytes.windows(PASSWORD.len()).any(|window| window == PASSWORD.as_bytes()), "{}", path.display());
        }
    }
    let listed = folder.run(&["connections", "list"]).done().stdout;
    assert!(!listed.contains("secret") && !listed.contains("v1."), "{listed}");
}

#[test]
fn a_lost_or_other_key_is_told() {
    let simulator = controller();
    let folder = connected(&simulator);

    let other = folder.command(&["connections", "test"]).env("FABRIK_SECRET_KEY", "7".repeat(64)).spawn().unwrap();
    Run::of(other).refused(1, &["connection \"lab\"", "sealed with another key"]);
    let bad = folder.command(&["connections", "test"]).env("FABRIK_SECRET_KEY", "hunter2").spawn().unwrap();
    Run::of(bad).refused(1, &["FABRIK_SECRET_KEY", "64 hexadecimal digits"]);
    fs::set_permissions(folder.path(".config/fabrik/secret.key"), fs::Permissions::from_mode(0o644)).unwrap();
    folder.run(&["connections", "test"]).refused(1, &["secret.key", "mode 644"]);
    fs::remove_file(folder.path(".config/fabrik/secret.key")).unwrap();
    folder.run(&["connections", "test"]).refused(1, &["no key to open stored secrets", "secret.key"]);
}

#[test]
fn bad_connections_are_refused_by_name_and_nothing_is_saved() {
    let simulator = controller();
    let folder = connected(&simulator);
    let url = simulator.url();

    add(&folder, "apic1", &["other"]).refused(2, &["url \"apic1\"", "https://"]);
    add(&folder, &url, &[""]).refused(2, &["connection \"\""]);
    add(&folder, &url, &["lab"]).refused(2, &["connection \"lab\"", "a name that no connection has yet"]);
    add(&folder, &url, &["other", "--ca-file", "password"]).refused(2, &["ca_file", "PEM"]);
    add(&folder, &url, &["other", "--ca-file", "nowhere.pem"]).refused(1, &["nowhere.pem"]);
    let common = ["connections", "add", "other", "--url", &url, "--username", "admin"];
    folder.run(&common).refused(2, &["no password", "--password-env"]);
    folder.run(&[&common[..], &["--password-env", "NOT_SET"]].concat()).refused(1, &["NOT_SET"]);
    folder.write("empty", "\n");
    folder.run(&[&common[..], &["--password-file", "empty"]].concat()).refused(1, &["empty"]);

    assert_eq!(folder.json(&["connections", "list"]).as_array().unwrap().len(), 1);
}

#[test]
fn a_connection_without_a_check_warns() {
    let simulator = controller();
    let folder = Folder::new();

    let added = add(&folder, &simulator.url(), &["lab", "--insecure"]);
    assert_eq!(added.code, 0);
    assert!(added.stderr.starts_with("fabrik: warning: connection lab does not check the certificate"), "{added:?}");

    let tested = folder.run(&["connections", "test"]);
    assert_eq!(tested.code, 0);
    assert!(tested.stderr.contains("warning"), "{tested:?}");
}

#[test]
fn an_untrusted_certificate_and_a_wrong_password_are_told() {
    let simulator = controller();
    let folder = Folder::new();
    add(&folder, &simulator.url(), &["lab"]).done();
    folder.run(&["connections", "test"]).refused(1, &[&simulator.url(), "certificate is not trusted"]);

    folder.write("ca.pem", simulator.certificate_pem().unwrap());
    folder.write("wrong", "something-else");
    let url = simulator.url();
    let arguments = ["connections", "add", "lab", "--replace", "--url", &url, "--username", "admin"];
    folder.run(&[&arguments[..], &["--password-file", "wrong", "--ca-file", "ca.pem"]].concat()).done();
    folder.run(&["connections", "test"]).refused(1, &["refused the login of admin", "error 401"]);
}

#[test]
fn a_query_is_remembered_and_its_captures_can_be_compared() {
    let simulator = controller();
    let folder = connected(&simulator);
    let first = folder.json(&["capture", "--query", "tenants", "--class", "fvTenant"]);
    let queries = folder.json(&["queries"]);
    assert_eq!(queries["queries"][0]["name"], "tenants", "{queries}");
    let posted = r#"{"fvTenant":{"attributes":{"name":"brand-new"}}}"#;
    simulator.post(Some("uni/tn-brand-new"), posted).unwrap();

    let second = folder.json(&["capture", "--query", "tenants"]);

    assert_eq!(second["row_count"].as_u64(), first["row_count"].as_u64().map(|count| count + 1));
    let report = folder.json(&["compare", "tenants@latest~1", "tenants@latest"]);
    assert_eq!(report["summary"]["added"], 1);
    let changed = ["capture", "--query", "tenants", "--class", "fvBD"];
    folder
        .run(&changed)
        .refused(2, &["/api/class/fvBD.json", "/api/class/fvTenant.json, which this query has asked so far"]);
    folder.run(&[&changed[..], &["--replace-query"]].concat()).done();
    folder.run(&["capture", "--query", "new"]).refused(2, &["query \"new\"", "a class or a path"]);
}

#[test]
fn what_to_ask_is_checked_before_anybody_is_asked() {
    let simulator = controller();
    let folder = connected(&simulator);
    let capture = |arguments: &[&str]| folder.run(&[&["capture", "--query", "q"], arguments].concat());

    capture(&["--class", "fv-BD"]).refused(2, &["class \"fv-BD\""]);
    capture(&["--path", "/api/aaaLogin.json"]).refused(2, &["path \"/api/aaaLogin.json\""]);
    capture(&["--path", "/api/class/fvBD.json?page=1"]).refused(2, &["page \"1\"", "a capture reads all pages"]);
    capture(&["--class", "fvBD", "--filter", "eq(fvBD.name"]).refused(2, &["eq(fvBD.name"]);
    capture(&["--filter", "eq(fvBD.name,\"a\")"]).refused(2, &["--class"]);
    capture(&["--class", "fvBD", "--connection", "nowhere"]).refused(2, &["connection \"nowhere\"", "one of lab"]);

    assert_eq!(simulator.requests().len(), 0);
}

#[test]
fn an_error_of_the_controller_stores_nothing() {
    let simulator = controller();
    let folder = connected(&simulator);
    folder.run(&["capture", "--query", "q", "--class", "fvNothing"]).refused(1, &["(HTTP 400)", "unresolved class"]);

    let missing = FaultRule::new(Fault::HtmlPage { status: 404 }).with_text("fvBD");
    simulator.faults().add(missing);
    folder.run(&["capture", "--query", "q", "--class", "fvBD"]).refused(1, &["HTTP 404", "a web page"]);

    assert_eq!(folder.json(&["queries"])["queries"], serde_json::json!([]));
}

#[test]
fn rows_are_printed_and_not_stored() {
    let simulator = controller();
    let folder = connected(&simulator);

    let lines = folder.run(&["query", "fvBD", "--limit", "3"]).done().stdout;
    let rows: Vec<serde_json::Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(rows.len(), 3);
    let name = rows[1]["name"].as_str().unwrap();
    let filter = format!("eq(fvBD.name,\"{name}\")");
    let found = folder.json(&["query", "/api/class/fvBD.json", "--filter", &filter, "--format", "json"]);
    assert!(found.as_array().unwrap().iter().all(|row| row["name"] == name));
    assert!(!found.as_array().unwrap().is_empty());
    let none = folder.json(&["query", "fvBD", "--filter", "eq(fvBD.name,\"nobody\")", "--format", "json"]);
    assert_eq!(none, serde_json::json!([]));
    let table = folder.run(&["query", "fvTenant", "--format", "table"]).done().stdout;
    assert!(table.starts_with("dn "), "{table}");

    assert_eq!(folder.json(&["queries"])["queries"], serde_json::json!([]));
}

#[test]
fn a_session_is_ended_after_each_command() {
    let simulator = controller();
    let folder = connected(&simulator);

    folder.run(&["query", "fvTenant"]).done();
    folder.run(&["capture", "--query", "q", "--class", "fvTenant"]).done();

    let count = |path: &str| simulator.requests().iter().filter(|served| served.target.starts_with(path)).count();
    assert_eq!((count("/api/aaaLogin"), count("/api/aaaLogout")), (2, 2));
}
