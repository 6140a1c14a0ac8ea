//! The API's document, as other people's programs read it: a validator, two generators of clients, and a fuzzer.
//!
//! They are installed from the lists in `generated/` into the build folder, once.
#![expect(clippy::unwrap_used, reason = "a failing test panics")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use environment::step;
use serde_json::json;
use served::{Process, exchange};
use tempfile::TempDir;

#[path = "../../fabrik-apic/tests/clients/environment.rs"]
mod environment;
#[allow(dead_code, reason = "other tests read what the server prints")]
#[path = "api/served.rs"]
mod served;

const PASSWORD: &str = "Correct horse, battery";

/// What fuzzing must not find. What is left out judges taste: a body that fits the schema may still be refused by a
/// rule that no schema can say, such as a name that is taken, and numbers are taken for texts.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,\
                      response_headers_conformance,response_schema_conformance,unsupported_method,ignored_auth";

/// Starts a server with one administrator and without limits on how often it is asked.
fn start() -> Process {
    let rates = [
        "zone_api",
        "zone_login",
        "anon",
        "user",
        "login",
        "mfa",
        "registration",
        "password_reset",
        "token_refresh",
        "email_verify",
        "email_send",
        "webhook",
        "sensitive_action",
    ];
    let off: Vec<_> = rates.iter().map(|rate| format!("rate_limit.{rate}=off")).collect();
    let mut arguments = vec!["--set", "auth.lockout_failures=0"];
    for setting in &off {
        arguments.extend(["--set", setting]);
    }
    let admin = [("FABRIK_ADMIN_USERNAME", "root"), ("FABRIK_ADMIN_PASSWORD", PASSWORD)];
    Process::start(tempfile::tempdir().unwrap(), &arguments, &admin)
}

fn ours(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/generated").join(name)
}

/// Returns a program of the virtual environment.
fn program(name: &str) -> PathBuf {
    static PYTHON: OnceLock<PathBuf> = OnceLock::new();
    let python = PYTHON.get_or_init(|| environment::python("generated-clients", &ours("requirements.txt")));
    python.with_file_name(name)
}

/// Returns a command that knows the server.
fn command(program: impl AsRef<std::ffi::OsStr>, server: &Process, folder: &Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir(folder).env("FABRIK_URL", &server.address).env("FABRIK_PASSWORD", PASSWORD);
    command.env("NO_PROXY", "127.0.0.1").env("PYTHONDONTWRITEBYTECODE", "1");
    command
}

/// Writes the document of a server into a new folder.
fn document(server: &Process) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("schema.json");
    let (status, document) = exchange(server.connect(), "GET", "/api/schema/", &json!({}));
    assert_eq!(status, 200);
    fs::write(&path, document.to_string()).unwrap();
    (folder, path)
}

#[test]
fn document_passes_the_validator() {
    let server = start();
    let (folder, path) = document(&server);

    let told = step(
        command(program("openapi-spec-validator"), &server, folder.path()).arg(&path),
        "the document is not valid",
    );
    assert!(told.contains("OK"), "{told}");
}

#[test]
fn python_client_type_checks_and_logs_in() {
    let server = start();
    let (folder, path) = document(&server);
    let here = folder.path();

    let generate = ["generate", "--meta", "none", "--overwrite", "--output-path", "fabrik_client", "--path"];
    let told = step(
        command(program("openapi-python-client"), &server, here).args(generate).arg(&path),
        "no client can be generated",
    );
    // It leaves out what it does not understand, and says so.
    assert!(!told.contains("WARNING") && !told.contains("unsupported"), "{told}");
    fs::copy(ours("use_python.py"), here.join("use_python.py")).unwrap();
    step(
        command(program("mypy"), &server, here).args(["--strict", "fabrik_client", "use_python.py"]),
        "the client does not type-check",
    );
    let told = step(command(program("python"), &server, here).arg("use_python.py"), "the client does not work");
    assert!(told.contains("logged in as root"), "{told}");
}

#[test]
fn typescript_client_type_checks_and_logs_in() {
    let server = start();
    let (folder, path) = document(&server);
    let here = folder.path();
    let packages = environment::node("generated-clients-node", &ours("typescript"));
    let bin = |name: &str| packages.join("node_modules/.bin").join(name);
    for name in ["orval.config.cjs", "tsconfig.json", "login.ts"] {
        fs::copy(ours("typescript").join(name), here.join(name)).unwrap();
    }

    step(
        command(bin("orval"), &server, here).args(["--config", "orval.config.cjs"]).env("FABRIK_SCHEMA", &path),
        "no client can be generated",
    );
    step(command(bin("tsc"), &server, here).args(["-p", "."]), "the client does not type-check");
    let told = step(command("node", &server, here).arg("built/login.js"), "the client does not work");
    assert!(told.contains("logged in as root"), "{told}");
}

#[test]
fn fuzzing_finds_no_server_error_and_no_undocumented_answer() {
    let server = start();
    let folder = tempfile::tempdir().unwrap();

    let told = step(
        command(program("schemathesis"), &server, folder.path())
            .args(["run", "--checks", CHECKS, "--max-examples", "8", "--seed", "20260422", "--workers", "1"])
            .args(["--phases", "coverage,fuzzing,stateful", "--no-color"])
            // It would end the session that everything else needs.
            .args(["--exclude-operation-id", "auth_logout"])
            .arg(format!("{}/api/schema/", server.address))
            .env("SCHEMATHESIS_HOOKS", ours("hooks.py")),
        "fuzzing found something",
    );
    assert!(told.contains("No issues found") || told.contains("passed"), "{told}");
}
