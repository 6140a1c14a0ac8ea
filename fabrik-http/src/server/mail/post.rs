//! How a mail leaves the server: over SMTP, or as a file.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use chrono::{DateTime, Utc};
use lettre::message::Mailbox;
use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Tls, TlsParameters};
use lettre::{AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};
use secrecy::ExposeSecret;

use crate::server::db::DatabasePlace;
use crate::server::settings::{Settings, SmtpSecurity, SmtpServer};

/// How long a mail server may take for one mail.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Where mail goes.
#[derive(Debug)]
pub(crate) struct Post {
    way: Way,
    from: Mailbox,
    has_warned: AtomicBool,
}

#[derive(Debug)]
enum Way {
    Smtp(SmtpServer),
    Folder(PathBuf),
    Nowhere,
}

/// A mail as it is sent.
pub(crate) struct Letter<'a> {
    pub(super) id: i64,
    pub(super) to: &'a str,
    pub(super) subject: &'a str,
    pub(super) text: &'a str,
    pub(super) queued_at: DateTime<Utc>,
}

/// Why a mail was not sent.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PostError {
    #[error("{to:?} is no address for mail")]
    Address { to: String, source: lettre::address::AddressError },
    #[error("the mail cannot be written")]
    Content(#[source] lettre::error::Error),
    #[error("the mail server refused the mail")]
    Refused(#[source] lettre::transport::smtp::Error),
    #[error("the mail server cannot take the mail now")]
    NotNow(#[source] lettre::transport::smtp::Error),
    #[error("the mail server cannot be reached")]
    Unreachable(#[source] lettre::transport::smtp::Error),
    #[error("the mail server took longer than {} seconds", TIMEOUT.as_secs())]
    Slow,
    #[error("the mail cannot be written to {path}")]
    File { path: String, source: std::io::Error },
    #[error("there is no mail server and no folder for mail")]
    Nowhere,
}

impl PostError {
    /// Says whether trying again is of no use.
    pub(super) fn is_final(&self) -> bool {
        matches!(self, Self::Address { .. } | Self::Content(_) | Self::Refused(_))
    }

    fn of_smtp(error: lettre::transport::smtp::Error) -> Self {
        // What is about logging in is for the administrator to put right; the mail can wait for that.
        let is_login = error.status().is_some_and(|code| ["530", "534", "535", "538"].contains(&&*code.to_string()));
        if error.is_permanent() && !is_login {
            Self::Refused(error)
        } else if error.is_permanent() || error.is_transient() || error.is_response() {
            Self::NotNow(error)
        } else {
            Self::Unreachable(error)
        }
    }
}

impl Post {
    /// Finds out where mail goes.
    pub(crate) fn new(settings: &Settings) -> Self {
        let beside = || match &settings.database {
            DatabasePlace::Sqlite(path) => {
                let stem = path.file_stem().map_or_else(|| "fabrik".into(), |stem| stem.to_string_lossy());
                Some(path.with_file_name(format!("{stem}-outbox")))
            }
            DatabasePlace::Memory | DatabasePlace::Postgres(_) => None,
        };
        let way = match (&settings.email.server, settings.email.outbox.clone().or_else(beside)) {
            (Some(server), _) => Way::Smtp(server.clone()),
            (None, Some(folder)) => Way::Folder(folder),
            (None, None) => Way::Nowhere,
        };
        let from = settings.email.from.parse().expect("the settings were checked");
        Self { way, from, has_warned: AtomicBool::new(false) }
    }

    /// Says whether mail goes anywhere; where it does not, it says so in the log, once.
    pub(super) fn is_open(&self) -> bool {
        let is_open = !matches!(self.way, Way::Nowhere);
        if !is_open && !self.has_warned.swap(true, Ordering::Relaxed) {
            tracing::warn!("mail waits, as neither email.host nor email.outbox is set");
        }
        is_open
    }

    /// Sends a mail.
    pub(super) async fn send(&self, letter: &Letter<'_>) -> Result<(), PostError> {
        let message = self.message(letter)?;
        match &self.way {
            Way::Smtp(server) => {
                let transport = transport(server).map_err(PostError::of_smtp)?;
                let sent = tokio::time::timeout(TIMEOUT, transport.send(message)).await;
                sent.map_err(|_| PostError::Slow)?.map(|_| ()).map_err(PostError::of_smtp)
            }
            Way::Folder(folder) => {
                let name = format!("{}-{}.eml", letter.queued_at.format("%Y%m%dT%H%M%S"), letter.id);
                let path = folder.join(name);
                let bytes = message.formatted();
                let shown = path.display().to_string();
                let written = tokio::task::spawn_blocking(move || write_file(&path, &bytes)).await;
                let written = written.unwrap_or_else(|error| Err(std::io::Error::other(error)));
                written.map_err(|source| PostError::File { path: shown, source })
            }
            Way::Nowhere => Err(PostError::Nowhere),
        }
    }

    fn message(&self, letter: &Letter<'_>) -> Result<Message, PostError> {
        let address = letter.to.parse();
        let address = address.map_err(|source| PostError::Address { to: letter.to.to_owned(), source })?;
        // A subject is one line, whatever a name in it says.
        let subject: String = letter.subject.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        let automatic = HeaderName::new_from_ascii_str("Auto-Submitted");
        // The same mail has the same id when it is sent again, so that readers see it once.
        let id = format!("<{}.{}@{}>", letter.queued_at.timestamp_micros(), letter.id, self.from.email.domain());
        Message::builder()
            .from(self.from.clone())
            .to(Mailbox::new(None, address))
            .subject(subject)
            .date(SystemTime::from(letter.queued_at))
            .message_id(Some(id))
            .raw_header(HeaderValue::new(automatic, "auto-generated".to_owned()))
            .header(ContentType::TEXT_PLAIN)
            .body(letter.text.to_owned())
            .map_err(PostError::Content)
    }
}

fn transport(server: &SmtpServer) -> Result<AsyncSmtpTransport<Tokio1Executor>, lettre::transport::smtp::Error> {
    let tls = match server.security {
        SmtpSecurity::Tls => Tls::Wrapper(TlsParameters::new(server.host.clone())?),
        SmtpSecurity::StartTls => Tls::Required(TlsParameters::new(server.host.clone())?),
        SmtpSecurity::None => Tls::None,
    };
    let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&server.host).port(server.port).tls(tls);
    if let Some((username, password)) = &server.credentials {
        builder = builder.credentials(Credentials::new(username.clone(), password.expose_secret().to_owned()));
    }
    Ok(builder.build())
}

/// Writes a file that only its owner can read; who watches the folder sees whole files only.
fn write_file(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let folder = path.parent().unwrap_or_else(|| Path::new("."));
    let mut folders = std::fs::DirBuilder::new();
    folders.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut folders, 0o700);
    folders.create(folder)?;
    let mut file = tempfile::Builder::new().prefix(".mail").tempfile_in(folder)?;
    std::io::Write::write_all(&mut file, bytes)?;
    file.persist(path)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::settings::Layers;

    fn written(to: &str, subject: &str) -> Result<String, PostError> {
        let post = Post::new(&Settings::from_layers(&Layers::defaults()).unwrap());
        let letter = Letter { id: 7, to, subject, text: "One\nline\n.\nBcc: eve@x.y", queued_at: DateTime::UNIX_EPOCH };
        Ok(String::from_utf8(post.message(&letter)?.formatted()).unwrap())
    }

    /// The names of the headers.
    fn headers(mail: &str) -> Vec<String> {
        let head = mail.split("\r\n\r\n").next().unwrap();
        let lines = head.split("\r\n").filter(|line| !line.starts_with([' ', '\t']));
        let mut names: Vec<_> = lines.map(|line| line.split(':').next().unwrap().to_lowercase()).collect();
        names.sort();
        names
    }

    #[test]
    fn lines_in_a_subject_or_an_address_make_no_headers() {
        let plain = headers(&written("mara@lab.example", "A task failed").unwrap());
        for subject in ["a\r\nBcc: eve@x.y", "a\nBcc: eve@x.y\n\nbody", "a\rBcc: eve@x.y", "ü\r\nBcc: eve@x.y", "a\0b"]
        {
            assert_eq!(headers(&written("mara@lab.example", subject).unwrap()), plain, "{subject:?}");
        }
        for to in ["mara@lab.example\r\nBcc: eve@x.y", "mara@lab.example\nRCPT TO:<eve@x.y>", "a@b.c, eve@x.y", ""] {
            assert!(matches!(written(to, "s"), Err(PostError::Address { .. })), "{to:?}");
        }
        assert!(plain.contains(&"auto-submitted".to_owned()));
    }
}
