//! The certificate that a simulator signs itself, and TLS with it.

use std::fmt::Write;
use std::net::IpAddr;
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use rcgen::{CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs as provider;
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use super::failure::SimulatorError;

/// A certificate with the settings of a server that shows it.
pub(super) struct Certificate {
    pub(super) pem: String,
    pub(super) fingerprint: String,
    pub(super) config: Arc<ServerConfig>,
}

impl Certificate {
    /// Makes a certificate for this machine and for the address the simulator listens on.
    pub(super) fn generate(address: IpAddr) -> Result<Self, SimulatorError> {
        let mut names = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
        let address = address.to_string();
        if !names.contains(&address) {
            names.push(address);
        }
        let tls = |source: rcgen::Error| SimulatorError::Tls { source: source.into() };
        let key = KeyPair::generate().map_err(tls)?;
        let mut params = CertificateParams::new(names).map_err(tls)?;
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::OrganizationName, "Fabrik");
        params.distinguished_name.push(DnType::CommonName, "APIC simulator");
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let certificate = params.self_signed(&key).map_err(tls)?;

        let mut config = ServerConfig::builder_with_provider(Arc::new(provider::default_provider()))
            .with_safe_default_protocol_versions()
            .and_then(|builder| {
                let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
                builder.with_no_client_auth().with_single_cert(vec![certificate.der().clone()], key)
            })
            .map_err(|source| SimulatorError::Tls { source: source.into() })?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { pem: certificate.pem(), fingerprint: fingerprint(certificate.der()), config: Arc::new(config) })
    }
}

/// Returns the SHA-256 digest as browsers and `openssl x509 -fingerprint` print it.
fn fingerprint(der: &[u8]) -> String {
    let mut text = String::new();
    for byte in digest(&SHA256, der).as_ref() {
        let colon = if text.is_empty() { "" } else { ":" };
        let _ = write!(text, "{colon}{byte:02X}");
    }
    text
}
