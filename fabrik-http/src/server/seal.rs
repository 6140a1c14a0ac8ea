//! Secrets that the server must read again, kept so that a copy of the database alone does not tell them.
//!
//! A sealed secret is a version byte (1), a nonce of 12 bytes, and the secret under AES-256-GCM with its tag of 16
//! bytes. The key comes by HKDF-SHA-256 from the server's signing key and a purpose, so what was sealed for one purpose
//! cannot be opened for another. The signing key lies in the same database unless the setting `secret_key` gives it:
//! only then does a copy of the database tell nothing. Who changes that setting loses what was sealed.

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, Prk, Salt};

use super::state::AppState;

const VERSION: u8 = 1;
/// Sets these keys apart from others that may come of the same signing key.
const SALT: &[u8] = b"fabrik sealed secrets";

/// What the keys of all purposes come from. It has no way to be shown.
pub(crate) struct SealKey(Prk);

impl std::fmt::Debug for SealKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SealKey")
    }
}

impl SealKey {
    /// Makes the key of the server's signing key.
    pub(crate) fn new(signing_key: &[u8]) -> Self {
        Self(Salt::new(HKDF_SHA256, SALT).extract(signing_key))
    }

    fn of_purpose(&self, purpose: &str) -> RandomizedNonceKey {
        let mut key = [0; 32];
        let info = [purpose.as_bytes()];
        let expanded = self.0.expand(&info, &AES_256_GCM).expect("32 bytes are within what HKDF gives");
        expanded.fill(&mut key).expect("the key is as long as was asked for");
        RandomizedNonceKey::new(&AES_256_GCM, &key).expect("the key is as long as the cipher wants it")
    }

    fn seal(&self, purpose: &str, secret: &[u8]) -> Vec<u8> {
        let mut text = secret.to_vec();
        let nonce = self
            .of_purpose(purpose)
            .seal_in_place_append_tag(Aad::from(purpose), &mut text)
            .expect("secrets are far shorter than what the cipher takes");
        let mut sealed = vec![VERSION];
        sealed.extend_from_slice(nonce.as_ref());
        sealed.append(&mut text);
        sealed
    }

    fn open(&self, purpose: &str, sealed: &[u8]) -> Option<Vec<u8>> {
        let (nonce, text) = sealed.strip_prefix(&[VERSION])?.split_at_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut text = text.to_vec();
        let secret = self.of_purpose(purpose).open_in_place(nonce, Aad::from(purpose), &mut text).ok()?;
        Some(secret.to_vec())
    }
}

/// Seals a secret for a purpose. Sealing it again gives other bytes.
pub(crate) fn seal(state: &AppState, purpose: &str, secret: &[u8]) -> Vec<u8> {
    state.seal_key().seal(purpose, secret)
}

/// Opens what was sealed for a purpose; nothing when it was not, was changed, or the signing key is another one.
pub(crate) fn open(state: &AppState, purpose: &str, sealed: &[u8]) -> Option<Vec<u8>> {
    state.seal_key().open(purpose, sealed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> SealKey {
        SealKey::new(b"0123456789abcdef0123456789abcdef")
    }

    #[test]
    fn sealed_secrets_open_for_their_purpose_only() {
        for secret in [&b""[..], b"s", &[7; 1000]] {
            let sealed = key().seal("webhook", secret);

            assert_eq!(key().open("webhook", &sealed).as_deref(), Some(secret));
            assert_eq!(key().open("mfa", &sealed), None);
            assert_eq!(SealKey::new(b"another key").open("webhook", &sealed), None);
        }
    }

    #[test]
    fn sealing_twice_gives_other_bytes_that_hide_the_secret() {
        let (one, other) = (key().seal("p", b"a long secret"), key().seal("p", b"a long secret"));

        assert_ne!(one, other);
        assert!(!one.windows(6).any(|part| part == b"secret"));
    }

    #[test]
    fn every_changed_or_missing_byte_is_noticed() {
        let sealed = key().seal("p", b"secret");

        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert_eq!(key().open("p", &changed), None, "byte {at}");
            assert_eq!(key().open("p", &sealed[..at]), None, "cut at {at}");
        }
    }
}
