//! The key that secrets are sealed with, found by the environment.

use std::env;

use fabrik_apic::{KeyError, KeyPlace, Vault};

use super::exit::Failure;

/// Opens the vault with the key that there is.
pub(super) fn vault() -> Result<Vault, Failure> {
    Ok(place()?.vault()?)
}

/// Opens the vault, and makes a key file when there is no key yet.
pub(super) fn vault_or_new() -> Result<Vault, Failure> {
    Ok(place()?.vault_or_new()?)
}

fn place() -> Result<KeyPlace, Failure> {
    Ok(KeyPlace::find(|name| env::var_os(name))?)
}

impl From<KeyError> for Failure {
    fn from(error: KeyError) -> Self {
        Self::refused(&error)
    }
}
