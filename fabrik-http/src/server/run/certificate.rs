//! The certificate: read at the start, and again when its files were replaced.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use axum_server::tls_rustls::RustlsConfig;
use blake3::Hash;

use crate::server::error::chain;

/// The files of a certificate, and what was last read of them.
#[derive(Debug)]
pub(super) struct Certificate {
    certificate: PathBuf,
    key: PathBuf,
    config: RustlsConfig,
    /// What was last tried, so that bad files are complained about once.
    tried: Hash,
}

impl Certificate {
    /// Reads the files.
    pub(super) async fn read(certificate: &Path, key: &Path) -> io::Result<Self> {
        let (pem, key_pem) = (std::fs::read(certificate)?, std::fs::read(key)?);
        let tried = hash(&pem, &key_pem);
        let config = RustlsConfig::from_pem(pem, key_pem).await?;
        Ok(Self { certificate: certificate.to_owned(), key: key.to_owned(), config, tried })
    }

    /// Returns what connections are begun with; it follows the files.
    pub(super) fn config(&self) -> RustlsConfig {
        self.config.clone()
    }

    /// Looks at the files again and again. Connections that are open keep the certificate that they began with.
    pub(super) async fn follow(mut self, every: Duration) {
        loop {
            tokio::time::sleep(every).await;
            match self.look().await {
                Ok(false) => {}
                Ok(true) => tracing::info!(certificate = %self.certificate.display(), "the certificate was replaced"),
                Err(error) => tracing::warn!(
                    certificate = %self.certificate.display(),
                    error = %chain(&error),
                    "the new certificate cannot be used, the old one stays"
                ),
            }
        }
    }

    /// Takes over files that have changed, and says whether they had.
    async fn look(&mut self) -> io::Result<bool> {
        // A file may be away for a moment while it is replaced.
        let (Ok(pem), Ok(key_pem)) = (std::fs::read(&self.certificate), std::fs::read(&self.key)) else {
            return Ok(false);
        };
        let found = hash(&pem, &key_pem);
        if found == self.tried {
            return Ok(false);
        }
        self.tried = found;
        self.config.reload_from_pem(pem, key_pem).await?;
        Ok(true)
    }
}

fn hash(pem: &[u8], key_pem: &[u8]) -> Hash {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&(pem.len() as u64).to_le_bytes()).update(pem).update(key_pem);
    hasher.finalize()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn write(folder: &Path) {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        std::fs::write(folder.join("cert.pem"), made.cert.pem()).unwrap();
        std::fs::write(folder.join("key.pem"), made.signing_key.serialize_pem()).unwrap();
    }

    #[tokio::test]
    async fn new_files_are_taken_over_and_bad_ones_are_not() {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let folder = tempfile::tempdir().unwrap();
        write(folder.path());
        let mut certificate =
            Certificate::read(&folder.path().join("cert.pem"), &folder.path().join("key.pem")).await.unwrap();
        let config = certificate.config();
        let first = config.get_inner();

        assert!(!certificate.look().await.unwrap());
        write(folder.path());
        assert!(certificate.look().await.unwrap());
        let second = config.get_inner();
        assert!(!Arc::ptr_eq(&first, &second));
        std::fs::write(folder.path().join("cert.pem"), "half").unwrap();
        assert!(certificate.look().await.is_err());
        assert!(!certificate.look().await.unwrap());
        std::fs::remove_file(folder.path().join("key.pem")).unwrap();
        assert!(!certificate.look().await.unwrap());
        assert!(Arc::ptr_eq(&config.get_inner(), &second));
    }
}
