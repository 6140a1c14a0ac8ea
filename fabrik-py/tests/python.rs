//! The Python module as Python sees it: its laws by pytest and hypothesis, its types by mypy and pyright.
//!
//! The module that this very build made is laid out as the wheel would be, in the build folder. What the tests need is
//! installed from `requirements.txt` and `pyright/` into the same folder, once.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

#[path = "../../fabrik-apic/tests/clients/environment.rs"]
mod environment;

#[test]
fn the_module_keeps_its_laws() {
    let mut pytest = python(["-m", "pytest", "--quiet"]);
    let told = step(pytest.arg(ours("tests")).env("FABRIK_BIN", command()));

    say(&told.lines().last().map(|line| format!("pytest: {line}")).expect("pytest ends with a summary"));
}

#[test]
fn types_hold_for_mypy() {
    let mut mypy = python(["-m", "mypy", "--strict", "--no-error-summary", "--cache-dir"]);
    step(mypy.arg(scratch("mypy")).arg(package().join("fabrik")).arg(typed()));
}

#[test]
fn types_hold_for_pyright() {
    let node = environment::node("fabrik-py-pyright", &ours("tests/pyright"));
    let folder = package();
    typed();
    // It ignores what is not said relative to its settings, and finds nothing wrong with no files.
    let settings = r#"{"typeCheckingMode": "standard", "pythonVersion": "3.9", "include": ["fabrik", "typed"]}"#;
    fs::write(folder.join("pyrightconfig.json"), settings).expect("the build folder can be written");

    let mut pyright = Command::new("node");
    pyright.arg(node.join("node_modules/pyright/index.js")).arg("--outputjson");
    let told = step(pyright.arg("--project").arg(folder).arg("--pythonpath").arg(interpreter()));

    let found: serde_json::Value = serde_json::from_str(&told).expect("it was asked for JSON");
    let n_files = found["summary"]["filesAnalyzed"].as_u64();
    assert!(n_files.is_some_and(|n_files| n_files > 10), "it must look at the package: {told}");
}

#[test]
fn the_stub_names_what_the_native_module_has() {
    let mut stubtest = python(["-m", "mypy.stubtest", "fabrik._fabrik"]);
    step(stubtest.env("MYPYPATH", package()).current_dir(scratch("stubtest")));
}

/// Returns the folder that has the package, laid out as the wheel has it.
fn package() -> &'static Path {
    static PACKAGE: OnceLock<PathBuf> = OnceLock::new();
    PACKAGE.get_or_init(|| {
        let folder = scratch("package");
        let package = folder.join("fabrik");
        renew(&package);
        copy(&ours("python/fabrik"), &package);
        let built = built_here().join(format!("{}fabrik_py{}", env::consts::DLL_PREFIX, env::consts::DLL_SUFFIX));
        let native = package.join("_fabrik.abi3.so");
        if let Err(error) = fs::copy(&built, native) {
            panic!("{} is built together with this test, but cannot be copied: {error}", built.display());
        }
        folder
    })
}

/// Makes an empty folder of what may be there from another run.
fn renew(folder: &Path) {
    if folder.exists() {
        fs::remove_dir_all(folder).expect("the build folder can be written");
    }
    fs::create_dir_all(folder).expect("the build folder can be written");
}

/// Copies what belongs to a package from one folder to another.
fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).expect("the package is beside its tests") {
        let source = entry.expect("the folder of the package can be read").path();
        let name = source.file_name().expect("what is in a folder has a name");
        if matches!(source.extension().and_then(OsStr::to_str), Some("py" | "pyi" | "typed")) {
            fs::copy(&source, to.join(name)).expect("the build folder can be written");
        }
    }
}

/// Returns the folder where this build put the libraries that belong to its tests.
fn built_here() -> PathBuf {
    let test = env::current_exe().expect("the system knows this program");
    test.parent().expect("a program is in a folder").to_owned()
}

/// Returns the `fabrik` command, which a build of the workspace makes before any test runs.
fn command() -> PathBuf {
    let command = built_here().with_file_name(format!("fabrik{}", env::consts::EXE_SUFFIX));
    assert!(
        command.exists(),
        "the module is compared with the command, and {} is missing: cargo build -p fabrik-http --bin fabrik",
        command.display()
    );
    command
}

/// Returns a folder with all in Python that shows how the package is used: the examples, and what only checkers read.
fn typed() -> &'static Path {
    static TYPED: OnceLock<PathBuf> = OnceLock::new();
    TYPED.get_or_init(|| {
        let folder = package().join("typed");
        renew(&folder);
        let entries = fs::read_dir(ours("../examples")).expect("the examples are beside the packages");
        let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("the folder can be read").path()).collect();
        files.retain(|path| path.extension().is_some_and(|extension| extension == "py"));
        assert!(!files.is_empty(), "there are examples in Python");
        files.push(ours("tests/typed.py"));
        for file in files {
            let name = file.file_name().expect("a file has a name");
            fs::copy(&file, folder.join(name)).expect("the build folder can be written");
        }
        folder
    })
}

/// Returns the interpreter that has what the tests need.
fn interpreter() -> &'static Path {
    static PYTHON: OnceLock<PathBuf> = OnceLock::new();
    PYTHON.get_or_init(|| environment::python("fabrik-py-environment", &ours("tests/requirements.txt")))
}

/// Returns a command of that interpreter, which sees the package and nothing of this machine's settings.
fn python<const N: usize>(arguments: [&str; N]) -> Command {
    let mut command = Command::new(interpreter());
    for (name, _) in env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("FABRIK_")) {
        command.env_remove(name);
    }
    command.args(arguments).env("PYTHONPATH", package()).env("PYTHONDONTWRITEBYTECODE", "1");
    command.env("FABRIK_EXAMPLES", ours("../examples")).env("MPLBACKEND", "agg");
    command
}

/// Returns a folder of the build for one purpose.
fn scratch(purpose: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("fabrik-py").join(purpose);
    fs::create_dir_all(&folder).expect("the build folder can be written");
    folder
}

fn ours(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn step(command: &mut Command) -> String {
    environment::step(command, "it failed")
}

/// Prints a line that the test harness does not hold back.
fn say(line: &str) {
    writeln!(io::stdout(), "{line}").expect("standard output is open");
}
