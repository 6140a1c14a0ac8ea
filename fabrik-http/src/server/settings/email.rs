//! How mail leaves the server.

use std::path::PathBuf;
use std::str::FromStr;

use secrecy::SecretString;

use super::{Layers, SettingError};

/// How mail leaves the server.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct EmailSettings {
    /// The server that takes mail; without one, mail is written into a folder.
    pub server: Option<SmtpServer>,
    /// Who mail is from.
    pub from: String,
    /// The folder for mail where there is no server.
    pub outbox: Option<PathBuf>,
}

/// A server that takes mail.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SmtpServer {
    /// Its name.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The name and the password to log in with.
    pub credentials: Option<(String, SecretString)>,
    /// How what is said stays private.
    pub security: SmtpSecurity,
}

/// How what is said to a mail server stays private.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SmtpSecurity {
    /// TLS from the first byte.
    Tls,
    /// TLS after a greeting, and nothing without it.
    StartTls,
    /// Nothing is private.
    None,
}

impl SmtpSecurity {
    fn port(self) -> u16 {
        match self {
            Self::Tls => 465,
            Self::StartTls => 587,
            Self::None => 25,
        }
    }
}

impl FromStr for SmtpSecurity {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "tls" => Ok(Self::Tls),
            "starttls" => Ok(Self::StartTls),
            "none" => Ok(Self::None),
            _ => Err(()),
        }
    }
}

impl EmailSettings {
    pub(super) fn from_layers(layers: &Layers) -> Result<Self, SettingError> {
        let from = layers.text("email.from").unwrap_or_default();
        if from.parse::<lettre::message::Mailbox>().is_err() {
            return Err(layers.refuse("email.from", "an address, like Fabrik <fabrik@lab.example>"));
        }
        let security: SmtpSecurity = layers.parse("email.security", "tls, starttls or none")?;
        let port = match layers.text("email.port") {
            Some(_) => layers.parse("email.port", "a port")?,
            None => security.port(),
        };
        let credentials = match (layers.text("email.username"), layers.text("email.password")) {
            (Some(username), Some(password)) => Some((username.to_owned(), SecretString::from(password))),
            (None, None) => None,
            (Some(_), None) => return Err(layers.refuse("email.password", "a password, as email.username is given")),
            (None, Some(_)) => return Err(layers.refuse("email.username", "a name, as email.password is given")),
        };
        let server =
            layers.text("email.host").map(|host| SmtpServer { host: host.to_owned(), port, credentials, security });
        Ok(Self { server, from: from.to_owned(), outbox: layers.text("email.outbox").map(PathBuf::from) })
    }
}
