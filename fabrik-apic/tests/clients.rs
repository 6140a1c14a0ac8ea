//! Clients that others wrote, against the simulator.
//!
//! They are installed from `clients/requirements.txt` into a virtual environment of the build folder, once, and
//! each of them is driven by a script of that folder, which says what it checked.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use environment::told;
use fabrik_apic::simulator::{Fault, FaultRule, Simulator, SimulatorOptions, SimulatorUser};
use rcgen::{CertificateParams, KeyPair, PKCS_RSA_SHA256, RsaKeySize};

#[allow(dead_code, reason = "not every test needs Node")]
#[path = "clients/environment.rs"]
mod environment;

#[test]
fn acitoolkit_cannot_tell_the_simulator_from_a_controller() {
    run("use_acitoolkit.py");
}

#[test]
fn aciclient_cannot_tell_the_simulator_from_a_controller() {
    run("use_aciclient.py");
}

#[test]
fn pyaci_cannot_tell_the_simulator_from_a_controller() {
    run("use_pyaci.py");
}

/// Starts a simulator and lets a script talk to it.
fn run(script: &str) {
    let python = python();
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("the build folder can be written");
    let key = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).expect("a key can be made");
    let params = CertificateParams::new(Vec::new()).expect("no names are fine");
    let certificate = params.self_signed(&key).expect("a certificate can be made");
    let robot = SimulatorUser::new("robot").with_certificate("key1", certificate.pem());
    let options = SimulatorOptions::default().with_objects(2000).with_user(robot);
    let simulator = Simulator::start(options).expect("the simulator starts");
    // Once per script: what the client reads in pages after this must be whole.
    let too_big = Fault::TooBig { status: 400, threshold: 0 };
    simulator.faults().add(FaultRule::new(too_big).with_times(1).with_text("_dc=too-big"));

    let write = |name: &str, text: &str| -> PathBuf {
        let path = folder.path().join(name);
        fs::write(&path, text).expect("the build folder can be written");
        path
    };
    let trusted = write("certificate.pem", simulator.certificate_pem().expect("the simulator speaks https"));
    let output = Command::new(python)
        .arg(scripts().join(script))
        .current_dir(folder.path())
        .env("APIC_URL", simulator.url())
        .env("APIC_USER", "admin")
        .env("APIC_PASSWORD", "simulator")
        .env("APIC_CERTIFICATE", trusted)
        .env("APIC_KEY", write("key.pem", &key.serialize_pem()))
        .env("NO_PROXY", "127.0.0.1")
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .output()
        .unwrap_or_else(|error| panic!("{} does not start: {error}", python.display()));

    let answers: Vec<String> = simulator
        .requests()
        .iter()
        .map(|served| format!("{} {} {} {:?}", served.status, served.method, served.target, served.warnings))
        .collect();
    let asked = format!("the simulator was asked:\n{}", answers.join("\n"));
    assert!(output.status.success(), "{script} failed\n{}{asked}", told(&output));
    let told = told(&output);
    assert!(
        told.contains("ok      login succeeds") && told.contains("all checks passed"),
        "{script} checked too little\n{told}"
    );
}

fn scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients")
}

/// Returns the interpreter of a virtual environment that has the clients.
fn python() -> &'static Path {
    static PYTHON: OnceLock<PathBuf> = OnceLock::new();
    PYTHON.get_or_init(|| environment::python("apic-clients", &scripts().join("requirements.txt")))
}
