//! What it takes to reach a controller, and how that is kept.

use std::fmt;
use std::num::{NonZeroU32, NonZeroU64};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use url::Url;

use crate::error::{ApicError, ApicResult};
use crate::secret::Secret;
use crate::vault::Vault;

/// Requests a second that a controller is asked at most, where nothing else was said.
const REQUESTS_PER_SECOND: NonZeroU32 = NonZeroU32::new(30).expect("30 is not 0");
/// How long an answer may take, where nothing else was said: a controller gives up after 90 seconds itself.
const TIMEOUT_SECONDS: NonZeroU64 = NonZeroU64::new(100).expect("100 is not 0");

/// Where a controller is and how to treat it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConnectionOptions {
    /// Its address: `https://apic1.example.net`, or with `http` where an operator has switched that on.
    pub url: String,
    /// How its certificate is checked.
    pub verification: Verification,
    /// How many requests it gets a second at most. 30.
    pub requests_per_second: NonZeroU32,
    /// How long an answer may take. 100, ten more than the controller allows itself.
    pub timeout_seconds: NonZeroU64,
    /// What happens when it is busy or cannot be reached.
    pub retry: RetryPolicy,
}

/// How often and when a request is repeated that failed in a way that may pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RetryPolicy {
    /// How often it is sent at most. 5.
    pub attempts: u32,
    /// How long to wait before the second time; each further wait is twice as long. Half a second.
    pub first_delay: Duration,
    /// The longest wait, also when the controller asks for a longer one. A minute.
    pub longest_delay: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self { attempts: 5, first_delay: Duration::from_millis(500), longest_delay: Duration::from_secs(60) }
    }
}

/// How a controller's certificate is checked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verify", content = "authority", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Verification {
    /// By the authorities that this machine trusts.
    #[default]
    System,
    /// By these authorities only, in PEM form.
    Authority(String),
    /// Not at all: whoever answers gets the password.
    Off,
}

/// Who asks.
#[derive(Clone)]
#[non_exhaustive]
pub enum Credentials {
    /// A user with a password.
    Password {
        /// The name.
        username: String,
        /// The login domain, where it is not the controller's default.
        domain: Option<String>,
        /// The password.
        password: Secret,
    },
    /// A user with a certificate, whose key signs every request.
    Certificate {
        /// The name.
        username: String,
        /// The name under which the controller knows the certificate.
        certificate: String,
        /// The private key in PEM form, without a password.
        key: Secret,
    },
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, username) = match self {
            Self::Password { username, .. } => ("Password", username),
            Self::Certificate { username, .. } => ("Certificate", username),
        };
        f.debug_struct(kind).field("username", username).finish_non_exhaustive()
    }
}

impl ConnectionOptions {
    /// Takes the defaults for everything but the address.
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            verification: Verification::default(),
            requests_per_second: REQUESTS_PER_SECOND,
            timeout_seconds: TIMEOUT_SECONDS,
            retry: RetryPolicy::default(),
        }
    }

    pub(crate) fn parsed_url(&self) -> ApicResult<Url> {
        let expected = "the address of a controller, such as https://apic1.example.net, without a path or a user";
        let refused = || ApicError::invalid("url", hide_user(&self.url), expected);
        let url = Url::parse(&self.url).map_err(|_| refused())?;
        let plain = matches!(url.scheme(), "https" | "http")
            && url.has_host()
            && url.username().is_empty()
            && url.password().is_none()
            && url.path() == "/"
            && url.query().is_none()
            && url.fragment().is_none();
        if plain { Ok(url) } else { Err(refused()) }
    }
}

/// Keeps a password that was written into an address out of messages.
fn hide_user(url: &str) -> String {
    match url.rsplit_once('@') {
        Some((_, host)) => format!("(user)@{host}"),
        None => url.to_owned(),
    }
}

/// A connection as it is kept: everything but the secret can be read.
///
/// Its JSON form is the body of a stored document.
#[derive(Clone, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SavedConnection {
    /// Its name.
    #[serde(skip)]
    pub name: String,
    /// The address of the controller.
    pub url: String,
    /// The user's name.
    pub username: String,
    /// The login domain.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub domain: Option<String>,
    /// The name of the user's certificate, where requests are signed.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub certificate: Option<String>,
    /// How the controller's certificate is checked.
    pub verification: Verification,
    /// How many requests the controller gets a second at most.
    pub requests_per_second: NonZeroU32,
    /// How long an answer may take.
    pub timeout_seconds: NonZeroU64,
    /// The password or key, sealed.
    secret: String,
}

impl SavedConnection {
    /// Checks everything that can be checked without the controller, and seals the secret.
    ///
    /// # Errors
    ///
    /// [`ApicError::InvalidOption`] when the address, the name or a key cannot be used.
    pub fn seal(name: &str, options: &ConnectionOptions, credentials: &Credentials, vault: &Vault) -> ApicResult<Self> {
        crate::client::Client::new(options.clone(), credentials.clone())?;
        let (username, domain, certificate, secret) = match credentials {
            Credentials::Password { username, domain, password } => (username, domain.clone(), None, password),
            Credentials::Certificate { username, certificate, key } => (username, None, Some(certificate.clone()), key),
        };
        for (field, part) in
            [("username", Some(username)), ("domain", domain.as_ref()), ("certificate", certificate.as_ref())]
        {
            if let Some(part) = part
                && (part.is_empty() || part.contains(|letter: char| letter.is_control() || "/\\;".contains(letter)))
            {
                return Err(ApicError::invalid(
                    field,
                    part,
                    "a name without control characters, slashes and semicolons",
                ));
            }
        }
        Ok(Self {
            name: name.to_owned(),
            url: options.url.clone(),
            username: username.clone(),
            domain,
            certificate,
            verification: options.verification.clone(),
            requests_per_second: options.requests_per_second,
            timeout_seconds: options.timeout_seconds,
            secret: vault.seal(&sealed_for(name), secret),
        })
    }

    /// Reads the body of a document.
    ///
    /// # Errors
    ///
    /// [`ApicError::Sealed`] when it was not written by this version or is damaged.
    pub fn from_json(name: &str, body: &str) -> ApicResult<Self> {
        let read: Result<Self, _> = serde_json::from_str(body);
        let mut connection = read.map_err(|error| ApicError::Sealed {
            name: format!("connection {name:?}"),
            problem: format!("its record is damaged: {error}"),
        })?;
        name.clone_into(&mut connection.name);
        Ok(connection)
    }

    /// Returns the body of a document.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("names, numbers and texts have a JSON form")
    }

    /// Returns where the controller is and how to treat it.
    #[must_use]
    pub fn options(&self) -> ConnectionOptions {
        ConnectionOptions {
            url: self.url.clone(),
            verification: self.verification.clone(),
            requests_per_second: self.requests_per_second,
            timeout_seconds: self.timeout_seconds,
            retry: RetryPolicy::default(),
        }
    }

    /// Opens the secret.
    ///
    /// # Errors
    ///
    /// [`ApicError::Sealed`] when it was sealed with another key or has been changed.
    pub fn credentials(&self, vault: &Vault) -> ApicResult<Credentials> {
        let secret = vault.open(&sealed_for(&self.name), &self.secret)?;
        let username = self.username.clone();
        Ok(match &self.certificate {
            Some(certificate) => Credentials::Certificate { username, certificate: certificate.clone(), key: secret },
            None => Credentials::Password { username, domain: self.domain.clone(), password: secret },
        })
    }
}

impl fmt::Debug for SavedConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SavedConnection").field("name", &self.name).field("url", &self.url).finish_non_exhaustive()
    }
}

/// What a secret is bound to, so that one cannot be put in another's place.
fn sealed_for(name: &str) -> String {
    format!("connection {name:?}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vault::SecretKey;

    fn saved(name: &str) -> SavedConnection {
        let options = ConnectionOptions::new("https://apic1.example.net");
        let password = Secret::new("s3cret-words");
        let credentials = Credentials::Password { username: "mara".into(), domain: Some("tacacs".into()), password };
        SavedConnection::seal(name, &options, &credentials, &Vault::new(&SecretKey::from_bytes([7; 32]))).unwrap()
    }

    #[test]
    fn what_is_kept_can_be_used_again_and_shows_no_secret() {
        let vault = Vault::new(&SecretKey::from_bytes([7; 32]));
        let body = saved("lab").to_json();
        assert!(!body.contains("s3cret"), "{body}");

        let connection = SavedConnection::from_json("lab", &body).unwrap();

        let Credentials::Password { username, domain, password } = connection.credentials(&vault).unwrap() else {
            panic!("it was saved with a password");
        };
        assert_eq!((username.as_str(), domain.as_deref(), password.reveal()), ("mara", Some("tacacs"), "s3cret-words"));
        assert_eq!(connection.options(), ConnectionOptions::new("https://apic1.example.net"));
        assert!(!format!("{connection:?}").contains("secret"));
    }

    #[test]
    fn a_secret_does_not_open_in_another_connection_or_with_another_key() {
        let body = saved("lab").to_json();

        let moved = SavedConnection::from_json("production", &body).unwrap();
        let error = moved.credentials(&Vault::new(&SecretKey::from_bytes([7; 32]))).unwrap_err().to_string();
        assert!(error.starts_with(r#"the stored secret of connection "production" cannot be opened"#), "{error}");

        let kept = SavedConnection::from_json("lab", &body).unwrap();
        let error = kept.credentials(&Vault::new(&SecretKey::from_bytes([8; 32]))).unwrap_err().to_string();
        assert!(error.contains("another key"), "{error}");
    }

    #[test]
    fn addresses_are_checked_and_passwords_in_them_not_repeated() {
        for url in ["apic1", "ftp://apic1", "https://apic1/api", "https://mara:hunter2@apic1", "https://apic1?x=1"] {
            let error = ConnectionOptions::new(url).parsed_url().unwrap_err().to_string();

            assert!(error.starts_with("url \""), "{error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}
