//! Passwords and private keys in memory.

use zeroize::Zeroizing;

/// A password, token or private key: it has no `Debug`, no `Display`, and is wiped from memory when dropped.
#[derive(Clone)]
#[expect(missing_debug_implementations, reason = "a secret must not get into a log by accident")]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes the text over.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    /// Shows the text to whoever has to send it.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self::new(text)
    }
}
