//! Logging in and out, and telling who asks.

use std::sync::Arc;
use std::time::Duration;

use super::call::Call;
use super::envelope::{Element, envelope, flat_envelope};
use super::error::ApicError;
use super::mit::VERSION;
use super::options::Scheme;
use super::render::{Answer, Format};
use super::reply::Reply;
use super::session::{Grant, Session};
use super::signature::{Signed, Signer};
use super::state::State;
use super::write::PostObject;

/// Who makes a request.
pub(super) enum Caller {
    /// Somebody who logged in.
    Session(Arc<Session>),
    /// Somebody who signed the request and has no session.
    Signer(Signer),
}

impl Caller {
    pub(super) fn user(&self) -> &str {
        match self {
            Self::Session(session) => &session.user,
            Self::Signer(signer) => &signer.user,
        }
    }

    pub(super) fn session_id(&self) -> &str {
        match self {
            Self::Session(session) => &session.id,
            Self::Signer(_) => "",
        }
    }
}

/// Finds out who makes a request.
pub(super) fn authenticate(state: &State, call: &Call) -> Result<Caller, ApicError> {
    let cookies = call.cookies();
    if let Some(token) = cookies.get("APIC-cookie") {
        let session = state.sessions().find(token, state.now()).ok_or_else(token_timeout)?;
        let parameter = call.param("challenge");
        let challenge = call.header("APIC-challenge").or(parameter.as_deref());
        return if session.accepts(challenge) {
            Ok(Caller::Session(session))
        } else {
            Err(ApicError::new(403, 403, "Token was invalid (Error: challenge is missing or wrong)"))
        };
    }
    let signed = Signed { method: call.method.as_str(), target: &call.target, body: &call.body };
    match state.signers.check(&cookies, &signed) {
        Some(Ok(signer)) => Ok(Caller::Signer(signer)),
        Some(Err(_)) => Err(ApicError::new(403, 403, "Signature was invalid (Error: Signature verification failed)")),
        None => Err(ApicError::new(
            403,
            403,
            "Need a valid webtoken cookie (named APIC-Cookie) or a signed request with signature in the cookie \
             APIC-Request-Signature for all REST API requests",
        )),
    }
}

fn token_timeout() -> ApicError {
    ApicError::new(403, 403, "Token was invalid (Error: Token timeout)")
}

/// `POST /api/aaaLogin` starts a session.
pub(super) fn login(state: &State, call: &Call, format: Format) -> Result<Reply, ApicError> {
    let body = PostObject::parse(&call.body, format)?;
    let name = body
        .attribute("name")
        .filter(|_| body.class() == "aaaUser")
        .ok_or_else(|| ApicError::bad_request(400, "Invalid request: a login is an aaaUser with a name"))?;
    let password = body.attribute("pwd").unwrap_or_default();
    let wrong = || ApicError::new(401, 401, "Username or password is incorrect - FAILED local authentication");
    let (domain, name) = split_domain(name);
    if domain.is_some_and(|domain| !state.options.login_domains.iter().any(|have| have == domain)) {
        return Err(wrong());
    }
    let user = state.options.users.iter().find(|user| user.name == name).ok_or_else(wrong)?;
    if user.password.as_deref() != Some(password) {
        return Err(wrong());
    }
    let challenged = call.param("gui-token-request").is_some_and(|value| value == "yes");
    let grant = state.sessions().open(name, challenged, state.now());
    Ok(welcome(state, &grant, domain, format).with_cookie(cookie(state, &grant.token)))
}

/// `GET` or `POST /api/aaaRefresh` renews a token.
pub(super) fn refresh(state: &State, call: &Call, format: Format) -> Result<Reply, ApicError> {
    authenticate(state, call)?;
    let cookies = call.cookies();
    let grant = cookies.get("APIC-cookie").and_then(|token| state.sessions().renew(token, state.now()));
    let grant = grant.ok_or_else(token_timeout)?;
    Ok(welcome(state, &grant, None, format).with_cookie(cookie(state, &grant.token)))
}

/// `POST /api/aaaLogout` ends a session.
pub(super) fn logout(state: &State, call: &Call, format: Format) -> Result<Reply, ApicError> {
    if let Caller::Session(session) = authenticate(state, call)? {
        state.sessions().close(&session.id);
        state.sweep();
    }
    Ok(Reply::ok(Answer::empty(format).into_bytes(None), format))
}

/// `POST /api/requestAppToken` gives an app a token, in the body alone.
pub(super) fn app_token(state: &State, call: &Call, format: Format) -> Result<Reply, ApicError> {
    match authenticate(state, call)? {
        Caller::Signer(signer) if signer.app => {
            let grant = state.sessions().open(&signer.user, false, state.now());
            Ok(welcome(state, &grant, None, format))
        }
        _ => Err(ApicError::new(403, 403, "Only a request signed by an app gets a token for it")),
    }
}

/// `GET /api/aaaListDomains` says what can stand before the user name; the list is flat, unlike every other.
pub(super) fn list_domains(state: &State, format: Format) -> Reply {
    let kind = |domain: &str| if is_local(domain) { "local" } else { "tacacs" };
    let domain = |name: &String| Element::new("aaaLoginDomain").with("name", name.as_str()).with("type", kind(name));
    let domains: Vec<Element> = state.options.login_domains.iter().map(domain).collect();
    Reply::ok(flat_envelope(&domains, format), format)
}

fn is_local(domain: &str) -> bool {
    matches!(domain, "local" | "fallback" | "DefaultAuth")
}

/// Splits `apic:domain\user`, or `apic#domain\\user` as terminals spell it.
fn split_domain(name: &str) -> (Option<&str>, &str) {
    let split =
        name.strip_prefix("apic:").or_else(|| name.strip_prefix("apic#")).and_then(|rest| rest.split_once('\\'));
    match split {
        Some((domain, user)) => (Some(domain), user.trim_start_matches('\\')),
        None => (None, name),
    }
}

fn cookie(state: &State, token: &str) -> String {
    let secure = if state.options.scheme == Scheme::Https { "; Secure" } else { "" };
    format!("APIC-cookie={token}; path=/; HttpOnly{secure}")
}

/// Answers a login or a refresh.
fn welcome(state: &State, grant: &Grant, domain: Option<&str>, format: Format) -> Reply {
    let seconds = |duration: Duration| duration.as_secs().to_string();
    let epoch = |uptime: Duration| state.clock.moment(uptime).timestamp().to_string();
    let remote = domain.is_some_and(|domain| !is_local(domain));
    let session = &grant.session;
    let mut login = Element::new("aaaLogin")
        .with("token", grant.token.as_str())
        .with("siteFingerprint", "NdxD72K/uXaUK0wn")
        .with("refreshTimeoutSeconds", seconds(state.options.refresh_timeout))
        .with("maximumLifetimeSeconds", seconds(state.options.maximum_lifetime))
        .with("guiIdleTimeoutSeconds", "1200")
        .with("restTimeoutSeconds", "90")
        .with("creationTime", epoch(state.now()))
        .with("firstLoginTime", epoch(session.since))
        .with("userName", session.user.as_str())
        .with("remoteUser", remote.to_string())
        .with("unixUserId", "15374")
        .with("sessionId", session.id.as_str())
        .with("lastName", "")
        .with("firstName", "")
        .with("changePassword", "no")
        .with("version", VERSION)
        .with("buildTime", "Tue Aug 03 18:56:31 UTC 2021")
        .with("node", "topology/pod-1/node-1");
    if let Some(url_token) = session.url_token() {
        login = login.with("urlToken", url_token);
    }
    let role = Element::new("role").with("name", "admin");
    let all = Element::new("aaaUserDomain")
        .with("name", "all")
        .with("rolesR", "admin")
        .with("rolesW", "admin")
        .with_child(Element::new("aaaReadRoles"))
        .with_child(Element::new("aaaWriteRoles").with_child(role));
    login = login.with_child(all);
    for tenant in tenants(state) {
        let entry = Element::new("DnDomainMapEntry")
            .with("dn", tenant)
            .with("readPrivileges", "admin")
            .with("writePrivileges", "admin");
        login = login.with_child(entry);
    }
    Reply::ok(envelope(&[login], format), format)
}

/// Returns the DNs of all tenants.
fn tenants(state: &State) -> Vec<String> {
    let Ok(body) = state.answer("/api/class/fvTenant.json", Some("order-by=fvTenant.dn")) else { return Vec::new() };
    let body: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
    let objects = body["imdata"].as_array().map_or(&[][..], Vec::as_slice);
    objects.iter().filter_map(|object| object["fvTenant"]["attributes"]["dn"].as_str()).map(String::from).collect()
}

#[cfg(test)]
mod tests {
    use super::split_domain;

    #[test]
    fn login_domain_is_told_from_the_user() {
        assert_eq!(split_domain(r"apic:tacacs\ops"), (Some("tacacs"), "ops"));
        assert_eq!(split_domain(r"apic#tacacs\\ops"), (Some("tacacs"), "ops"));
        assert_eq!(split_domain("admin"), (None, "admin"));
        assert_eq!(split_domain(r"apic:admin"), (None, "apic:admin"));
    }
}
