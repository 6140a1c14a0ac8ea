//! A connection to the directory, and what is asked over it.

use std::sync::Arc;
use std::time::Duration;

use ldap3::adapters::{Adapter, EntriesOnly, PagedResults};
use ldap3::{Ldap, LdapConnAsync, LdapConnSettings, LdapError, LdapResult, Scope, SearchEntry, SearchOptions};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use secrecy::ExposeSecret;

use super::{Group, Person, fill};
use crate::server::settings::LdapSettings;

/// Many directories give at most a thousand entries at a time.
const PAGE: i32 = 200;

/// The password is wrong, or the entry is not there.
const INVALID_CREDENTIALS: u32 = 49;
/// Results of a bind that say something of the account, not of the directory: inappropriate authentication, an account
/// that is locked or expired by a policy, and one that may not.
const REFUSALS: [u32; 5] = [INVALID_CREDENTIALS, 48, 19, 50, 53];

/// Why the directory did not answer what it was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LdapFailure {
    /// Nobody answers there, or not in time, or not with the right certificate.
    #[error("the directory {url} cannot be reached")]
    Unreachable { url: String, source: Box<LdapError> },
    /// It took too long.
    #[error("the directory {url} did not answer within {seconds} s")]
    Timeout { url: String, seconds: u64 },
    /// The authorities cannot be read.
    #[error("the file {path} of ldap.ca cannot be used")]
    Authorities { path: String, source: rustls::pki_types::pem::Error },
    /// It does not let the server's own account in.
    #[error("the directory refused ldap.bind_dn with result {code} ({text})")]
    OwnAccount { code: u32, text: String },
    /// It answered with an error.
    #[error("the directory answered {operation} with result {code} ({text})")]
    Refused { operation: &'static str, code: u32, text: String },
    /// The connection broke.
    #[error("{operation} in the directory failed")]
    Broken { operation: &'static str, source: Box<LdapError> },
}

/// A connection on which the server's own account is logged in.
#[derive(Debug)]
pub(crate) struct Connection<'a> {
    settings: &'a LdapSettings,
    ldap: Ldap,
}

impl<'a> Connection<'a> {
    /// Connects, encrypts where the settings say so, and logs the server's own account in.
    pub(crate) async fn open(settings: &'a LdapSettings) -> Result<Self, LdapFailure> {
        let url = || settings.url.to_string();
        let mut options = LdapConnSettings::new().set_starttls(settings.start_tls).set_no_tls_verify(!settings.verify);
        if let Some(config) = authorities(settings)? {
            options = options.set_config(config);
        }
        let connecting = LdapConnAsync::from_url_with_settings(options, &settings.url);
        let connected = tokio::time::timeout(settings.timeout, connecting).await;
        let (connection, ldap) = connected
            .map_err(|_| LdapFailure::Timeout { url: url(), seconds: settings.timeout.as_secs() })?
            .map_err(|source| LdapFailure::Unreachable { url: url(), source: source.into() })?;
        // It ends when the last handle is dropped.
        tokio::spawn(async move {
            if let Err(error) = connection.drive().await {
                tracing::debug!(%error, "a connection to the directory broke");
            }
        });
        let mut opened = Self { settings, ldap };
        opened.bind_as_server().await?;
        Ok(opened)
    }

    async fn bind_as_server(&mut self) -> Result<(), LdapFailure> {
        let settings = self.settings;
        let (dn, password) =
            settings.bind.as_ref().map_or(("", ""), |(dn, password)| (dn.as_str(), password.expose_secret()));
        let LdapResult { rc, text, .. } = self.bind(dn, password).await?;
        if rc == 0 { Ok(()) } else { Err(LdapFailure::OwnAccount { code: rc, text }) }
    }

    async fn bind(&mut self, dn: &str, password: &str) -> Result<LdapResult, LdapFailure> {
        let timeout = self.settings.timeout;
        let result = self.ldap.with_timeout(timeout).simple_bind(dn, password).await;
        result.map_err(|source| self.broken("a bind", source))
    }

    /// Returns whether this is the password of an entry. The server's own account is logged in afterwards, as before.
    pub(crate) async fn is_password(&mut self, dn: &str, password: &str) -> Result<bool, LdapFailure> {
        if dn.is_empty() || password.is_empty() {
            return Ok(false);
        }
        let result = self.bind(dn, password).await?;
        self.bind_as_server().await?;
        match result.rc {
            0 => Ok(true),
            code if REFUSALS.contains(&code) => Ok(false),
            code => Err(LdapFailure::Refused { operation: "a login", code, text: result.text }),
        }
    }

    /// Returns the one entry that a name means; where it means several, it means nobody.
    pub(crate) async fn person(&mut self, username: &str) -> Result<Option<Person>, LdapFailure> {
        let filter = fill(&self.settings.user_filter, &[("username", username)]);
        let (found, _) = self.search(&self.settings.user_base, &filter, &self.person_attributes(), 2).await?;
        Ok(match found.as_slice() {
            [entry] => Some(Person::of(self.settings, entry)).filter(|person| !person.username.is_empty()),
            _ => None,
        })
    }

    /// Returns up to `limit` people whose name has `part` in it, and whether there are more.
    pub(crate) async fn people(&mut self, part: &str, limit: usize) -> Result<(Vec<Person>, bool), LdapFailure> {
        let pattern = if part.is_empty() { "*".to_owned() } else { format!("*{}*", ldap3::ldap_escape(part)) };
        let filter = format!("({}={pattern})", self.settings.attribute_username);
        let (found, is_cut) = self.search(&self.settings.user_base, &filter, &self.person_attributes(), limit).await?;
        Ok((found.iter().map(|entry| Person::of(self.settings, entry)).collect(), is_cut))
    }

    /// Returns the groups of a person.
    pub(crate) async fn groups_of(&mut self, person: &Person) -> Result<Vec<Group>, LdapFailure> {
        let Some(base) = &self.settings.group_base else { return Ok(Vec::new()) };
        let places = [("dn", person.dn.as_str()), ("username", person.username.as_str())];
        let filter = fill(&self.settings.group_filter, &places);
        let (found, _) = self.search(base, &filter, &["cn".to_owned()], usize::MAX).await?;
        Ok(found.iter().map(Group::of).collect())
    }

    /// Returns up to `limit` groups whose name has `part` in it, and whether there are more.
    pub(crate) async fn groups(&mut self, part: &str, limit: usize) -> Result<(Vec<Group>, bool), LdapFailure> {
        let Some(base) = &self.settings.group_base else { return Ok((Vec::new(), false)) };
        let pattern = if part.is_empty() { "*".to_owned() } else { format!("*{}*", ldap3::ldap_escape(part)) };
        let classes = ["groupOfNames", "groupOfUniqueNames", "posixGroup", "group"];
        let classes: String = classes.iter().map(|class| format!("(objectClass={class})")).collect();
        let filter = format!("(&(|{classes})(cn={pattern}))");
        let attributes = ["cn", "member", "uniqueMember", "memberUid"].map(str::to_owned);
        let (found, is_cut) = self.search(base, &filter, &attributes, limit).await?;
        Ok((found.iter().map(Group::of).collect(), is_cut))
    }

    fn person_attributes(&self) -> [String; 4] {
        let Self { settings, .. } = self;
        [
            settings.attribute_username.clone(),
            settings.attribute_email.clone(),
            settings.attribute_first_name.clone(),
            settings.attribute_last_name.clone(),
        ]
    }

    /// Reads entries page by page until there are `limit`, and returns whether there are more.
    async fn search(
        &mut self,
        base: &str,
        filter: &str,
        attributes: &[String],
        limit: usize,
    ) -> Result<(Vec<SearchEntry>, bool), LdapFailure> {
        const OPERATION: &str = "a search";
        let timeout = self.settings.timeout;
        let broken = |source| match source {
            LdapError::Timeout { .. } => timed_out(self.settings),
            source => LdapFailure::Broken { operation: OPERATION, source: source.into() },
        };
        let seconds = i32::try_from(timeout.as_secs()).unwrap_or(i32::MAX);
        let adapters: Vec<Box<dyn Adapter<_, _>>> =
            vec![Box::new(EntriesOnly::new()), Box::new(PagedResults::new(PAGE))];
        let mut stream = self
            .ldap
            .with_timeout(timeout)
            .with_search_options(SearchOptions::new().timelimit(seconds))
            .streaming_search_with(adapters, base, Scope::Subtree, filter, attributes.to_vec())
            .await
            .map_err(broken)?;
        let mut found = Vec::new();
        let deadline = tokio::time::Instant::now() + timeout.max(Duration::from_secs(1));
        loop {
            let next = tokio::time::timeout_at(deadline, stream.next()).await;
            let next = next.map_err(|_| timed_out(self.settings))?.map_err(broken)?;
            match next {
                Some(_) if found.len() == limit => {
                    // What is left is not read; the connection is told so.
                    let id = stream.ldap_handle().last_id();
                    let _ = stream.finish().await;
                    self.ldap.abandon(id).await.map_err(broken)?;
                    return Ok((found, true));
                }
                Some(entry) => found.push(SearchEntry::construct(entry)),
                None => break,
            }
        }
        let LdapResult { rc, text, .. } = stream.finish().await;
        match rc {
            0 => Ok((found, false)),
            // A limit of the directory's own cut the list.
            3 | 4 | 11 => Ok((found, true)),
            // The base is not there, so nobody is below it.
            32 => Ok((found, false)),
            code => Err(LdapFailure::Refused { operation: OPERATION, code, text }),
        }
    }

    fn broken(&self, operation: &'static str, source: LdapError) -> LdapFailure {
        match source {
            LdapError::Timeout { .. } => timed_out(self.settings),
            source => LdapFailure::Broken { operation, source: source.into() },
        }
    }
}

fn timed_out(settings: &LdapSettings) -> LdapFailure {
    LdapFailure::Timeout { url: settings.url.to_string(), seconds: settings.timeout.as_secs() }
}

/// Returns what trusts the authorities of the setting alone; without them, those of the system are trusted.
fn authorities(settings: &LdapSettings) -> Result<Option<Arc<ClientConfig>>, LdapFailure> {
    let Some(path) = settings.ca.as_ref().filter(|_| settings.verify) else { return Ok(None) };
    let unusable = |source| LdapFailure::Authorities { path: path.display().to_string(), source };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(unusable)? {
        // One that cannot be trusted is left out; with none left, no certificate is right.
        let _ = roots.add(certificate.map_err(unusable)?);
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the provider has the ciphers of these versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Some(Arc::new(config)))
}
