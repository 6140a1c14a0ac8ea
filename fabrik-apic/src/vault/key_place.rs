//! Where the key of stored secrets is kept: in a variable, or in a file that only its owner can read.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::{SecretKey, Vault};
use crate::secret::Secret;

/// Holds the key itself.
const KEY: &str = "FABRIK_SECRET_KEY";
/// Names the file that holds it.
const KEY_FILE: &str = "FABRIK_SECRET_KEY_FILE";

/// The place of the key, the same for all programs of one user.
#[derive(Clone)]
pub enum KeyPlace {
    /// The key itself, as 64 hexadecimal digits.
    Variable(Secret),
    /// The file that has it.
    File(PathBuf),
}

impl std::fmt::Debug for KeyPlace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Variable(_) => f.write_str("Variable"),
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
        }
    }
}

/// Why there is no vault.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// No variable says where the key is or should be.
    #[error("no place for the key of stored secrets: set {KEY} or {KEY_FILE}")]
    NoPlace,
    /// No key was made yet.
    #[error("no key to open stored secrets: {KEY} is not set and {} is not there", file.display())]
    NoKey {
        /// The file in which it would be.
        file: PathBuf,
    },
    /// What is there is no key.
    #[error("{origin}: {problem}")]
    NotAKey {
        /// The variable or file.
        origin: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The file cannot be used.
    #[error("the key file {} cannot be used", file.display())]
    Unusable {
        /// The file.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl KeyPlace {
    /// Finds the place by the variables of an environment, which the caller reads: the key is in `FABRIK_SECRET_KEY`,
    /// else in the file that `FABRIK_SECRET_KEY_FILE` names, else in `fabrik/secret.key` in the user's configuration.
    ///
    /// # Errors
    ///
    /// [`KeyError::NoPlace`] when no variable tells any of these.
    pub fn find(variable: impl Fn(&str) -> Option<OsString>) -> Result<Self, KeyError> {
        let of = |name: &str| variable(name).filter(|value| !value.is_empty());
        if let Some(text) = of(KEY).and_then(|text| text.into_string().ok()) {
            return Ok(Self::Variable(Secret::new(text)));
        }
        let path = |name: &str| of(name).map(PathBuf::from);
        let configuration = || path("XDG_CONFIG_HOME").or_else(|| path("HOME").map(|home| home.join(".config")));
        path(KEY_FILE)
            .or_else(|| configuration().map(|folder| folder.join("fabrik").join("secret.key")))
            .map(Self::File)
            .ok_or(KeyError::NoPlace)
    }

    /// Opens the vault with the key that there is.
    ///
    /// # Errors
    ///
    /// [`KeyError`] when there is none, or others than its owner may read it.
    pub fn vault(&self) -> Result<Vault, KeyError> {
        let parse = |text: &Secret, origin: &str| {
            let key: Result<SecretKey, _> = text.reveal().parse();
            key.map(|key| Vault::new(&key))
                .map_err(|error| KeyError::NotAKey { origin: origin.to_owned(), problem: error.to_string() })
        };
        match self {
            Self::Variable(text) => parse(text, KEY),
            Self::File(file) => match read_key(file) {
                Ok(text) => parse(&text, &file.display().to_string()),
                Err(error) if error.kind() == io::ErrorKind::NotFound => Err(KeyError::NoKey { file: file.clone() }),
                Err(source) => Err(KeyError::Unusable { file: file.clone(), source }),
            },
        }
    }

    /// Opens the vault, and makes a key file when there is no key yet.
    ///
    /// # Errors
    ///
    /// As [`KeyPlace::vault`].
    pub fn vault_or_new(&self) -> Result<Vault, KeyError> {
        if let Self::File(file) = self {
            make_key(file).map_err(|source| KeyError::Unusable { file: file.clone(), source })?;
        }
        self.vault()
    }
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
    // Two programs at the same time must not make two keys: the second finds the first one's.
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

    #[test]
    fn the_key_is_looked_for_in_the_variable_then_in_the_file_that_one_names_then_in_the_configuration() {
        let found = |set: &[(&str, &str)]| {
            let set: Vec<(String, String)> =
                set.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
            let place =
                KeyPlace::find(|name| set.iter().find(|(known, _)| known == name).map(|(_, value)| value.into()));
            place.map(|place| format!("{place:?}")).map_err(|error| error.to_string())
        };

        assert_eq!(found(&[(KEY, "ab"), (KEY_FILE, "/k")]).unwrap(), "Variable");
        assert_eq!(found(&[(KEY, ""), (KEY_FILE, "/k"), ("HOME", "/h")]).unwrap(), r#"File("/k")"#);
        assert_eq!(found(&[("XDG_CONFIG_HOME", "/c"), ("HOME", "/h")]).unwrap(), r#"File("/c/fabrik/secret.key")"#);
        assert_eq!(found(&[("HOME", "/h")]).unwrap(), r#"File("/h/.config/fabrik/secret.key")"#);
        let nowhere = "no place for the key of stored secrets: set FABRIK_SECRET_KEY or FABRIK_SECRET_KEY_FILE";
        assert_eq!(found(&[]).unwrap_err(), nowhere);
    }
}
