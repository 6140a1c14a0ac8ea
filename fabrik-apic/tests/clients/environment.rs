//! Where programs of others are installed for tests: once, in the build folder, from lists with fixed versions.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Returns the interpreter of a virtual environment that has what the file `requirements` lists.
pub(crate) fn python(name: &str, requirements: &Path) -> PathBuf {
    let base = env::var("PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let python = folder.join(if cfg!(windows) { "Scripts/python.exe" } else { "bin/python" });
    install_once(&folder, &read(requirements), || {
        step(Command::new(&base).args(["-m", "venv"]).arg(&folder), "a virtual environment cannot be made");
        let install = ["-m", "pip", "install", "--quiet", "--no-deps", "--requirement"];
        step(Command::new(&python).args(install).arg(requirements), "what the tests need cannot be installed");
    });
    python
}

/// Returns a folder that has what the `package.json` and `package-lock.json` of another one list.
pub(crate) fn node(name: &str, packages: &Path) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let lock = packages.join("package-lock.json");
    install_once(&folder, &read(&lock), || {
        fs::create_dir_all(&folder).expect("the build folder can be written");
        for file in ["package.json", "package-lock.json"] {
            fs::copy(packages.join(file), folder.join(file)).expect("the build folder can be written");
        }
        let install = ["ci", "--no-audit", "--no-fund", "--loglevel=error"];
        step(Command::new("npm").args(install).current_dir(&folder), "what the tests need cannot be installed");
    });
    folder
}

/// Runs `install` unless the folder has what is wanted; what a run left unfinished is made anew.
fn install_once(folder: &Path, wanted: &str, install: impl FnOnce()) {
    let stamp = folder.join("stamp");
    if fs::read_to_string(&stamp).is_ok_and(|have| have == wanted) {
        return;
    }
    if folder.exists() {
        fs::remove_dir_all(folder).expect("the old environment can be removed");
    }
    install();
    fs::write(&stamp, wanted).expect("the environment can be written");
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{} cannot be read: {error}", path.display()))
}

/// Runs a command to its end and returns what it printed; panics where it fails.
pub(crate) fn step(command: &mut Command, failure: &str) -> String {
    match command.output() {
        Ok(output) => {
            assert!(output.status.success(), "{failure}: {command:?}\n{}", told(&output));
            told(&output)
        }
        Err(error) => panic!("{failure}: {command:?} does not start: {error}"),
    }
}

/// Returns what a command printed.
pub(crate) fn told(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}
