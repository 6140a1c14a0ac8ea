//! The key that secrets are sealed with: from the environment, or from a file that only its owner can read.

use std::env;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use fabrik_apic::{Secret, SecretKey, Vault};

use super::exit::Failure;

/// Holds the key itself.
const KEY: &str = "FABRIK_SECRET_KEY";
/// Names the file that holds it.
const KEY_FILE: &str = "FABRIK_SECRET_KEY_FILE";

/// Opens the vault with the key that there is.
pub(super) fn vault() -> Result<Vault, Failure> {
    if let Some(vault) = vault_of_environment()? {
        return Ok(vault);
    }
    let path = key_file()?;
    match read_key(&path) {
        Ok(text) => parse(&text, &path.display().to_string()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(Failure::Refused(format!(
            "no key to open stored secrets: {KEY} is not set and {} is not there",
            path.display()
        ))),
        Err(error) => Err(unusable(&path, &error)),
    }
}

/// Opens the vault, and makes a key file when there is no key yet.
pub(super) fn vault_or_new() -> Result<Vault, Failure> {
    if let Some(vault) = vault_of_environment()? {
        return Ok(vault);
    }
    let path = key_file()?;
    make_key(&path).map_err(|error| unusable(&path, &error))?;
    vault()
}

fn vault_of_environment() -> Result<Option<Vault>, Failure> {
    match env::var(KEY) {
        Ok(text) if !text.is_empty() => parse(&Secret::new(text), KEY).map(Some),
        _ => Ok(None),
    }
}

fn parse(text: &Secret, origin: &str) -> Result<Vault, Failure> {
    let key: SecretKey = text.reveal().parse().map_err(|error| Failure::Refused(format!("{origin}: {error}")))?;
    Ok(Vault::new(&key))
}

fn key_file() -> Result<PathBuf, Failure> {
    let of = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let configuration = || of("XDG_CONFIG_HOME").or_else(|| of("HOME").map(|home| home.join(".config")));
    of(KEY_FILE)
        .or_else(|| configuration().map(|folder| folder.join("fabrik").join("secret.key")))
        .ok_or_else(|| Failure::Refused(format!("no place for the key of stored secrets: set {KEY} or {KEY_FILE}")))
}

/// Reads a file that nobody else may read, as `ssh` demands it of its keys.
fn read_key(path: &Path) -> io::Result<Secret> {
    let mut file = fs::File::open(path)?;
    let mode = file.metadata()?.permissions().mode();
    if mode & 0o077 != 0 {
        let problem = format!("others may read or change it (mode {:03o}); `chmod 600` it", mode & 0o777);
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, problem));
    }
    let mut text = String::new();
    file.read_to_string(&mut text)?;
    Ok(Secret::new(text))
}

fn make_key(path: &Path) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    }
    // Two commands at the same time must not make two keys: the second finds the first one's.
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(mut file) => {
            file.write_all(SecretKey::generate().to_hex().reveal().as_bytes())?;
            file.write_all(b"\n")?;
            file.sync_all()
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

fn unusable(path: &Path, error: &io::Error) -> Failure {
    Failure::Refused(format!("the key file {} cannot be used: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    #[test]
    fn a_new_key_is_readable_by_its_owner_only_and_stays() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("a/b/secret.key");

        make_key(&path).unwrap();
        let first = read_key(&path).unwrap();
        make_key(&path).unwrap();

        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(read_key(&path).unwrap().reveal(), first.reveal());
        assert!(first.reveal().parse::<SecretKey>().is_ok());
    }

    #[test]
    fn a_key_that_others_may_read_is_refused() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("secret.key");
        make_key(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();

        let error = read_key(&path).err().unwrap().to_string();

        assert_eq!(error, "others may read or change it (mode 640); `chmod 600` it");
    }
}
