//! Requests signed with a private key, in place of a session.
//!
//! A controller takes the signature of method, path and body in four cookies, see "Signature-Based Transactions":
//! <https://www.cisco.com/c/en/us/td/docs/switches/datacenter/aci/apic/sw/kb/b_KB_Signature_Based_Transactions.html>.

use std::fmt;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeyPair;
use aws_lc_rs::signature::RSA_PKCS1_SHA256;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use percent_encoding::percent_decode_str;
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject;

use crate::error::{ApicError, ApicResult};
use crate::secret::Secret;

/// Signs requests in the name of a user's certificate.
pub(super) struct Signer {
    key: KeyPair,
    certificate_dn: String,
}

impl Signer {
    /// `key` is an RSA key in PEM form, PKCS#1 or PKCS#8.
    pub(super) fn new(username: &str, certificate: &str, key: &Secret) -> ApicResult<Self> {
        // What was given is a secret and stays out of the message.
        let refused = || {
            ApicError::invalid(
                "private_key",
                "(not shown)",
                "an RSA key of 2048 bits or more in PEM form, without a password",
            )
        };
        let key = match PrivateKeyDer::from_pem_slice(key.reveal().as_bytes()).map_err(|_| refused())? {
            PrivateKeyDer::Pkcs1(key) => KeyPair::from_der(key.secret_pkcs1_der()),
            PrivateKeyDer::Pkcs8(key) => KeyPair::from_pkcs8(key.secret_pkcs8_der()),
            _ => return Err(refused()),
        };
        let certificate_dn = format!("uni/userext/user-{username}/usercert-{certificate}");
        Ok(Self { key: key.map_err(|_| refused())?, certificate_dn })
    }

    /// Returns the cookies for a request without a body.
    pub(super) fn cookie(&self, method: &str, path: &str) -> ApicResult<String> {
        // Signed is what the controller sees after it has undone the encoding.
        let text = [method.as_bytes(), &percent_decode_str(path).collect::<Vec<u8>>()].concat();
        let mut signature = vec![0; self.key.public_modulus_len()];
        let signed = self.key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), &text, &mut signature);
        signed.map_err(|_| ApicError::invalid("private_key", "(not shown)", "a key that can sign"))?;
        Ok(format!(
            "APIC-Request-Signature={}; APIC-Certificate-Algorithm=v1.0; APIC-Certificate-Fingerprint=fingerprint; \
             APIC-Certificate-DN={}",
            BASE64_STANDARD.encode(&signature),
            self.certificate_dn
        ))
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signer").field("certificate_dn", &self.certificate_dn).finish_non_exhaustive()
    }
}
