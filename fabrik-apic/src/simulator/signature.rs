//! Requests that are signed instead of carrying a token.
//!
//! Signed is the method, then the path with the query, then the body, with nothing between them; RSA with PKCS #1
//! v1.5 padding over SHA-256. Clients differ in whether they sign the path as they send it or before it was
//! encoded, so both are tried.

use std::borrow::Cow;
use std::collections::HashMap;

use aws_lc_rs::signature::{RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::percent_decode_str;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, SubjectPublicKeyInfoDer};

use super::cookie::Cookies;
use super::failure::SimulatorError;
use super::options::SimulatorUser;

/// Somebody who signed a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Signer {
    pub(super) user: String,
    pub(super) app: bool,
}

/// The public keys of all users, by the DN that requests carry.
pub(super) struct Signers {
    keys: HashMap<String, (Signer, Vec<u8>)>,
}

impl Signers {
    pub(super) fn new(users: &[SimulatorUser]) -> Result<Self, SimulatorError> {
        let mut keys = HashMap::new();
        for user in users {
            for certificate in &user.certificates {
                let key = public_key(&certificate.pem).ok_or_else(|| SimulatorError::UserCertificate {
                    user: user.name.clone(),
                    certificate: certificate.name.clone(),
                })?;
                let signer = Signer { user: user.name.clone(), app: user.app };
                keys.insert(user.certificate_dn(&certificate.name), (signer, key));
            }
        }
        Ok(Self { keys })
    }

    /// Returns who signed a request, if the signature is good; `None` when it is not signed at all.
    pub(super) fn check(&self, cookies: &Cookies<'_>, signed: &Signed<'_>) -> Option<Result<Signer, BadSignature>> {
        let signature = cookies.get("APIC-Request-Signature")?;
        Some(self.verify(cookies, signature, signed).ok_or(BadSignature))
    }

    fn verify(&self, cookies: &Cookies<'_>, signature: &str, signed: &Signed<'_>) -> Option<Signer> {
        if cookies.get("APIC-Certificate-Algorithm") != Some("v1.0")
            || cookies.get("APIC-Certificate-Fingerprint") != Some("fingerprint")
        {
            return None;
        }
        let (signer, key) = self.keys.get(cookies.get("APIC-Certificate-DN")?)?;
        let signature = STANDARD.decode(signature).ok()?;
        let key = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, key);
        let good = signed.spellings().any(|text| key.verify(&text, &signature).is_ok());
        good.then(|| signer.clone())
    }
}

/// The signature is not that of a user with the certificate it names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BadSignature;

/// What a signature is about.
pub(super) struct Signed<'r> {
    pub(super) method: &'r str,
    pub(super) target: &'r str,
    pub(super) body: &'r [u8],
}

impl Signed<'_> {
    /// Returns the texts that a client may have signed for this request.
    fn spellings(&self) -> impl Iterator<Item = Vec<u8>> {
        let sent = Cow::Borrowed(self.target.as_bytes());
        let decoded = Cow::from(percent_decode_str(self.target));
        let folded = Cow::Owned(self.target.replace("//", "/").trim_end_matches('?').as_bytes().to_vec());
        [sent, decoded, folded].into_iter().map(|target| [self.method.as_bytes(), &target, self.body].concat())
    }
}

/// Returns the `SubjectPublicKeyInfo` of a certificate, or of a public key alone.
fn public_key(pem: &str) -> Option<Vec<u8>> {
    if let Ok(certificate) = CertificateDer::from_pem_slice(pem.as_bytes()) {
        let certificate = webpki::EndEntityCert::try_from(&certificate).ok()?;
        return Some(certificate.subject_public_key_info().to_vec());
    }
    SubjectPublicKeyInfoDer::from_pem_slice(pem.as_bytes()).ok().map(|key| key.to_vec())
}
