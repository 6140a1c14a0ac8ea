//! The pages, as a real browser draws them under their own policy, without any network but this machine.

use std::process::Command;

use crate::served::Process;

/// Lets Chromium load a page and returns the document that its scripts made, and what its console said.
fn draw(address: &str) -> (String, Vec<String>) {
    let profile = tempfile::tempdir().unwrap();
    let program = std::env::var("CHROMIUM").unwrap_or_else(|_| "chromium".to_owned());
    let output = Command::new(&program)
        .args(["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--enable-logging=stderr"])
        // Every other address fails to resolve, so that a page that needs one shows it.
        .arg("--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1")
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .args(["--virtual-time-budget=20000", "--dump-dom", address])
        .output()
        .unwrap_or_else(|error| panic!("the pages are tested with Chromium, and {program} does not start: {error}"));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said = String::from_utf8_lossy(&output.stderr);
    let console = said.lines().filter(|line| line.contains(":CONSOLE:")).map(str::to_owned).collect();
    (String::from_utf8(output.stdout).unwrap(), console)
}

#[test]
fn pages_are_drawn_from_this_server_alone() {
    let server = Process::start(tempfile::tempdir().unwrap(), &[], &[]);
    let expected = [
        // The names of operations come from the document, so the scripts ran and could read it.
        // Swagger UI draws what can be seen without scrolling.
        ("/api/docs/", "/api/apic/connections/"),
        ("/api/redoc/", "/api/auth/token/refresh/"),
        ("/setup/", "password"),
    ];

    for (path, part) in expected {
        let (document, console) = draw(&format!("{}{path}", server.address));
        assert!(document.contains(part), "{path} has no {part}: {document:.2000}");
        // The one thing that ReDoc asks of another address is its logo, and the policy says no.
        let unexpected: Vec<_> = console.iter().filter(|line| !line.contains("redoc/logo-mini.svg")).collect();
        assert!(unexpected.is_empty(), "{path}: {unexpected:?}");
    }
}
