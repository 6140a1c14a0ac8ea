//! Secrets at rest: sealed with XChaCha20-Poly1305 under a key that lies elsewhere.
//!
//! A sealed secret is the text `v1.<key>.<nonce>.<ciphertext>`: the first eight hexadecimal digits of the BLAKE3
//! hash of the key, so that a wrong key can be told from damage, then 24 random bytes and the ciphertext in
//! Base64 (URL alphabet, no padding). What it belongs to is authenticated with it.
//! Algorithm: <https://datatracker.ietf.org/doc/html/draft-irtf-cfrg-xchacha-03>.

#[cfg(unix)]
mod key_place;

use std::str::FromStr;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use zeroize::Zeroizing;

use crate::error::{ApicError, ApicResult};
use crate::secret::Secret;

#[cfg(unix)]
pub use key_place::{KeyError, KeyPlace};

const VERSION: &str = "v1";

/// The key that secrets are sealed with: 32 bytes, written as 64 hexadecimal digits.
#[derive(Clone, PartialEq, Eq)]
#[expect(missing_debug_implementations, reason = "a key must not get into a log by accident")]
pub struct SecretKey(Zeroizing<[u8; 32]>);

impl SecretKey {
    /// Takes 32 bytes as they are.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// Makes a new key from the system's source of randomness.
    #[must_use]
    pub fn generate() -> Self {
        Self::from_bytes(random())
    }

    /// Returns the digits, to be kept where only the owner can read them.
    #[must_use]
    pub fn to_hex(&self) -> Secret {
        Secret::new(self.0.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
    }

    fn fingerprint(&self) -> String {
        blake3::hash(&*self.0).to_hex()[..8].to_owned()
    }
}

impl FromStr for SecretKey {
    type Err = ApicError;

    fn from_str(text: &str) -> ApicResult<Self> {
        let refused = || ApicError::invalid("secret key", "(not shown)", "64 hexadecimal digits");
        let text = text.trim();
        if text.len() != 64 || !text.is_ascii() {
            return Err(refused());
        }
        let mut bytes = Zeroizing::new([0; 32]);
        for (at, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&text[2 * at..2 * at + 2], 16).map_err(|_| refused())?;
        }
        Ok(Self(bytes))
    }
}

/// Seals secrets and opens them again.
#[derive(Clone)]
#[expect(missing_debug_implementations, reason = "it holds a key")]
pub struct Vault {
    cipher: XChaCha20Poly1305,
    fingerprint: String,
}

impl Vault {
    /// Uses this key.
    #[must_use]
    pub fn new(key: &SecretKey) -> Self {
        let cipher = XChaCha20Poly1305::new((&*key.0).into());
        Self { cipher, fingerprint: key.fingerprint() }
    }

    /// Seals a secret for an owner, who must be named again to open it.
    #[must_use]
    pub fn seal(&self, owner: &str, secret: &Secret) -> String {
        let nonce: [u8; 24] = random();
        let payload = Payload { msg: secret.reveal().as_bytes(), aad: owner.as_bytes() };
        let sealed = self.cipher.encrypt(&XNonce::from(nonce), payload).expect("memory is all that sealing needs");
        format!("{VERSION}.{}.{}.{}", self.fingerprint, BASE64.encode(nonce), BASE64.encode(sealed))
    }

    /// Opens what was sealed for the same owner.
    ///
    /// # Errors
    ///
    /// [`ApicError::Sealed`] when the key is another one, or the text or its owner has been changed.
    pub fn open(&self, owner: &str, sealed: &str) -> ApicResult<Secret> {
        let refused = |problem: &str| ApicError::Sealed { name: owner.to_owned(), problem: problem.to_owned() };
        let parts: Vec<&str> = sealed.split('.').collect();
        let [VERSION, fingerprint, nonce, ciphertext] = parts[..] else {
            return Err(refused("it is not in a form that this version knows"));
        };
        if fingerprint != self.fingerprint {
            let problem =
                format!("it was sealed with another key ({fingerprint}) than the one at hand ({})", self.fingerprint);
            return Err(refused(&problem));
        }
        let damaged = || refused("it is damaged or belongs to another owner");
        let nonce: [u8; 24] = BASE64.decode(nonce).ok().and_then(|nonce| nonce.try_into().ok()).ok_or_else(damaged)?;
        let ciphertext = BASE64.decode(ciphertext).map_err(|_| damaged())?;
        let payload = Payload { msg: &ciphertext[..], aad: owner.as_bytes() };
        let opened = self.cipher.decrypt(&XNonce::from(nonce), payload).map_err(|_| damaged())?;
        String::from_utf8(opened).map(Secret::new).map_err(|_| damaged())
    }
}

fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    aws_lc_rs::rand::fill(&mut bytes).expect("the system has randomness");
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_secret_opens_for_its_owner_only() {
        let vault = Vault::new(&SecretKey::generate());
        let sealed = vault.seal("a", &Secret::new("pässword"));

        assert_eq!(vault.open("a", &sealed).ok().unwrap().reveal(), "pässword");
        assert!(vault.open("b", &sealed).is_err());
        assert_ne!(vault.seal("a", &Secret::new("pässword")), sealed);
    }

    #[test]
    fn every_changed_character_is_noticed() {
        let vault = Vault::new(&SecretKey::from_bytes([1; 32]));
        let sealed = vault.seal("a", &Secret::new("word"));

        for at in 0..sealed.len() {
            let mut changed = sealed.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();

            assert!(vault.open("a", &changed).is_err(), "at {at}: {changed}");
        }
    }

    #[test]
    fn keys_round_trip_and_bad_ones_are_not_repeated() {
        let key = SecretKey::generate();
        assert!(key.to_hex().reveal().parse::<SecretKey>().ok().unwrap() == key);

        for text in ["hunter2", "", &"g".repeat(64), &"ä".repeat(32)] {
            let error = text.parse::<SecretKey>().err().unwrap().to_string();
            assert_eq!(error, "secret key \"(not shown)\" is not valid: expected 64 hexadecimal digits");
        }
    }
}
