//! The providers that users log in with: OpenID Connect, and plain OAuth 2.

use std::fmt;
use std::path::PathBuf;

use secrecy::SecretString;
use url::Url;

use super::{Layers, SettingError};

/// One provider.
#[derive(Clone)]
pub(crate) struct ProviderSettings {
    /// The name in addresses.
    pub(crate) name: String,
    pub(crate) label: String,
    pub(crate) kind: ProviderKind,
    pub(crate) client_id: String,
    /// What the server proves itself with; providers may know clients without.
    pub(crate) client_secret: Option<SecretString>,
    pub(crate) scopes: Vec<String>,
    pub(crate) ca: Option<PathBuf>,
    pub(crate) username_claim: String,
    pub(crate) groups_claim: String,
    pub(crate) admin_group: Option<String>,
    pub(crate) require_group: Option<String>,
    pub(crate) allow_signup: bool,
}

/// How a provider tells who somebody is.
#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "there are as many as somebody configured")]
pub(crate) enum ProviderKind {
    /// By a signed ID token; everything else is found out from the issuer, which is written as the provider writes it.
    Oidc { issuer: String },
    /// By an address that answers with claims.
    OAuth2(Addresses),
}

/// Where a provider of plain OAuth 2 is asked what, and which claim stays the same for a user for ever.
#[derive(Clone, Debug)]
pub(crate) struct Addresses {
    pub(crate) authorize: Url,
    pub(crate) token: Url,
    pub(crate) userinfo: Url,
    pub(crate) subject_claim: String,
}

/// The name says enough to know it by.
impl fmt::Debug for ProviderSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, kind, .. } = self;
        f.debug_struct("ProviderSettings").field("name", name).field("kind", kind).finish_non_exhaustive()
    }
}

/// Types what the layers say of all providers, by name.
pub(super) fn providers(layers: &Layers) -> Result<Vec<ProviderSettings>, SettingError> {
    let mut providers: Vec<ProviderSettings> = Vec::new();
    for prefix in ["oidc.", "oauth2."] {
        for name in layers.names(prefix) {
            let provider = provider(layers, prefix, &name)?;
            if providers.iter().any(|other| other.name == name) {
                let expected = "another name, as there is an oidc provider of this one";
                return Err(layers.refuse(&format!("{prefix}{name}.client_id"), expected));
            }
            providers.push(provider);
        }
    }
    providers.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(providers)
}

fn provider(layers: &Layers, prefix: &str, name: &str) -> Result<ProviderSettings, SettingError> {
    let key = |field: &str| format!("{prefix}{name}.{field}");
    let text = |field: &str| layers.text(&key(field)).map(str::to_owned);
    let required = |field: &str, expected: &str| text(field).ok_or_else(|| layers.refuse(&key(field), expected));
    let address = |field: &str| -> Result<Url, SettingError> {
        let expected = "an address like https://login.lab";
        let url: Url = layers.parse(&key(field), expected)?;
        let is_right = matches!(url.scheme(), "http" | "https") && url.has_host();
        if is_right { Ok(url) } else { Err(layers.refuse(&key(field), expected)) }
    };
    let kind = if prefix == "oidc." {
        address("issuer")?;
        ProviderKind::Oidc { issuer: required("issuer", "an address")? }
    } else {
        ProviderKind::OAuth2(Addresses {
            authorize: address("authorize_url")?,
            token: address("token_url")?,
            userinfo: address("userinfo_url")?,
            subject_claim: required("subject_claim", "a claim like id")?,
        })
    };
    let scopes = text("scopes").unwrap_or_default();
    Ok(ProviderSettings {
        label: text("label").unwrap_or_else(|| name.to_owned()),
        kind,
        client_id: required("client_id", "the name that the provider knows this server by")?,
        client_secret: text("client_secret").map(SecretString::from),
        scopes: scopes.split([',', ' ']).filter(|scope| !scope.is_empty()).map(str::to_owned).collect(),
        ca: text("ca").map(PathBuf::from),
        username_claim: required("username_claim", "a claim like preferred_username")?,
        groups_claim: required("groups_claim", "a claim like groups")?,
        admin_group: text("admin_group"),
        require_group: text("require_group"),
        allow_signup: layers.parse(&key("allow_signup"), "true or false")?,
        name: name.to_owned(),
    })
}
