//! The directory that checks passwords.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;
use url::Url;

use super::{Layers, SettingError};

/// Where the directory is, and how its entries become users.
#[derive(Clone)]
pub(crate) struct LdapSettings {
    pub(crate) url: Url,
    pub(crate) start_tls: bool,
    pub(crate) ca: Option<PathBuf>,
    pub(crate) verify: bool,
    /// The account that searches; without one, searches are anonymous.
    pub(crate) bind: Option<(String, SecretString)>,
    pub(crate) user_base: String,
    pub(crate) user_filter: String,
    pub(crate) attribute_username: String,
    pub(crate) attribute_email: String,
    pub(crate) attribute_first_name: String,
    pub(crate) attribute_last_name: String,
    pub(crate) group_base: Option<String>,
    pub(crate) group_filter: String,
    pub(crate) admin_group: Option<String>,
    pub(crate) require_group: Option<String>,
    pub(crate) timeout: Duration,
}

/// The address says enough to know it by.
impl fmt::Debug for LdapSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LdapSettings").field("url", &self.url.as_str()).finish_non_exhaustive()
    }
}

impl LdapSettings {
    /// Types what the layers say; nothing without an address.
    pub(super) fn from_layers(layers: &Layers) -> Result<Option<Self>, SettingError> {
        if layers.text("ldap.url").is_none() {
            return Ok(None);
        }
        let expected = "ldap://HOST[:PORT] or ldaps://HOST[:PORT]";
        let url: Url = layers.parse("ldap.url", expected)?;
        let is_plain = url.path().trim_matches('/').is_empty() && url.username().is_empty() && url.password().is_none();
        if !matches!(url.scheme(), "ldap" | "ldaps") || url.host_str().is_none_or(str::is_empty) || !is_plain {
            return Err(layers.refuse("ldap.url", expected));
        }
        let start_tls = layers.parse("ldap.start_tls", "true or false")?;
        if start_tls && url.scheme() == "ldaps" {
            return Err(layers.refuse("ldap.start_tls", "false, as ldaps:// is encrypted from the start"));
        }
        let bind = match (layers.text("ldap.bind_dn"), layers.text("ldap.bind_password")) {
            (Some(dn), Some(password)) => Some((dn.to_owned(), SecretString::from(password))),
            (None, None) => None,
            // A name without a password would be an anonymous login that looks like one with a name.
            (Some(_), None) => return Err(layers.refuse("ldap.bind_password", "a password, as ldap.bind_dn is given")),
            (None, Some(_)) => return Err(layers.refuse("ldap.bind_dn", "an entry, as ldap.bind_password is given")),
        };
        let text = |key: &str| layers.text(key).map(str::to_owned);
        let required = |key: &str, expected: &str| text(key).ok_or_else(|| layers.refuse(key, expected));
        let group_base = text("ldap.group_base");
        for key in ["ldap.admin_group", "ldap.require_group"] {
            if text(key).is_some() && group_base.is_none() {
                return Err(layers.refuse("ldap.group_base", &format!("an entry, as {key} is given")));
            }
        }
        Ok(Some(Self {
            url,
            start_tls,
            ca: text("ldap.ca").map(PathBuf::from),
            verify: layers.parse("ldap.verify", "true or false")?,
            bind,
            user_base: required("ldap.user_base", "an entry like ou=people,dc=lab")?,
            user_filter: filter(layers, "ldap.user_filter", &["{username}"])?,
            attribute_username: required("ldap.attribute_username", "an attribute like uid")?,
            attribute_email: required("ldap.attribute_email", "an attribute like mail")?,
            attribute_first_name: required("ldap.attribute_first_name", "an attribute like givenName")?,
            attribute_last_name: required("ldap.attribute_last_name", "an attribute like sn")?,
            group_base,
            group_filter: filter(layers, "ldap.group_filter", &["{dn}", "{username}"])?,
            admin_group: text("ldap.admin_group"),
            require_group: text("ldap.require_group"),
            timeout: Duration::from_secs(
                layers.parse::<std::num::NonZeroU16>("ldap.timeout_seconds", "seconds")?.get().into(),
            ),
        }))
    }
}

/// Reads a filter that has one of the places that are filled in.
fn filter(layers: &Layers, key: &str, places: &[&str]) -> Result<String, SettingError> {
    let text = layers.text(key).unwrap_or_default();
    let sample = places.iter().fold(text.to_owned(), |text, place| text.replace(place, "x"));
    let is_whole = places.iter().any(|place| text.contains(place)) && ldap3::parse_filter(sample).is_ok();
    let expected = format!("a filter in parentheses with {}", places.join(" or "));
    if is_whole { Ok(text.to_owned()) } else { Err(layers.refuse(key, &expected)) }
}
