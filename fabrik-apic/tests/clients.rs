//! Clients that others wrote, against the simulator.
//!
//! They are installed from `clients/requirements.txt` into a virtual environment of the build folder, once, and
//! each of them is driven by a script of that folder, which says what it checked.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use fabrik_apic::simulator::{Fault, FaultRule, Simulator, SimulatorOptions, SimulatorUser};
use rcgen::{CertificateParams, KeyPair, PKCS_RSA_SHA256, RsaKeySize};

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

fn told(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Returns the interpreter of a virtual environment that has the clients.
fn python() -> &'static Path {
    static PYTHON: OnceLock<PathBuf> = OnceLock::new();
    PYTHON.get_or_init(|| {
        let base = env::var("PYTHON").unwrap_or_else(|_| "python3".to_owned());
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("apic-clients");
        let python = folder.join(if cfg!(windows) { "Scripts/python.exe" } else { "bin/python" });
        let requirements = scripts().join("requirements.txt");
        let stamp = folder.join("stamp");
        let wanted = fs::read_to_string(&requirements).expect("the list of clients can be read");
        if fs::read_to_string(&stamp).is_ok_and(|have| have == wanted) {
            return python;
        }
        // What a run left unfinished is made anew.
        if folder.exists() {
            fs::remove_dir_all(&folder).expect("the old environment can be removed");
        }
        step(Command::new(&base).args(["-m", "venv"]).arg(&folder), "a virtual environment cannot be made");
        let install = ["-m", "pip", "install", "--quiet", "--no-deps", "--requirement"];
        step(Command::new(&python).args(install).arg(&requirements), "the clients cannot be installed");
        fs::write(&stamp, wanted).expect("the environment can be written");
        python
    })
}

fn step(command: &mut Command, failure: &str) {
    match command.output() {
        Ok(output) => assert!(output.status.success(), "{failure}: {command:?}\n{}", told(&output)),
        Err(error) => panic!("{failure}: {command:?} does not start, these tests need Python 3.10 or later: {error}"),
    }
}
