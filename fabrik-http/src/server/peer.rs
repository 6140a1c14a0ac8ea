//! Where a request came from, and by which address it found the server.

use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use axum::extract::{ConnectInfo, FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use axum::middleware::Next;
use axum::response::Response;

use super::describe::Describe;
use super::settings::Settings;
use super::state::AppState;

/// The other side of a request.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    /// The address of the client, behind proxies that are trusted.
    pub(crate) ip: IpAddr,
    /// What the client says it is, shortened.
    pub(crate) user_agent: String,
    origin: Arc<str>,
}

/// Put by the listener on every request that came over TLS.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OverTls;

impl Peer {
    /// Returns `https://host[:port]`, which absolute addresses begin with.
    pub(crate) fn origin(&self) -> &str {
        &self.origin
    }

    /// Returns the other side of what no request asked for.
    pub(crate) fn local() -> Self {
        Self { ip: IpAddr::V4(Ipv4Addr::LOCALHOST), user_agent: String::new(), origin: "http://localhost".into() }
    }

    fn of(request: &Request, settings: &Settings) -> Self {
        let headers = request.headers();
        let connected = request.extensions().get::<ConnectInfo<SocketAddr>>();
        let near = connected.map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |info| info.0.ip()).to_canonical();
        let is_trusted = |ip: &IpAddr| settings.trusted_proxies.iter().any(|network| network.contains(ip));
        let (ip, is_forwarded) =
            if is_trusted(&near) { (client(headers, near, is_trusted), true) } else { (near, false) };
        let forwarded = |name: &str| headers.get(name).filter(|_| is_forwarded).and_then(|value| value.to_str().ok());
        let is_tls = match forwarded("x-forwarded-proto") {
            Some(scheme) => scheme == "https",
            None => request.extensions().get::<OverTls>().is_some(),
        };
        let host = forwarded("x-forwarded-host")
            .or_else(|| headers.get(header::HOST).and_then(|value| value.to_str().ok()))
            .or_else(|| request.uri().authority().map(axum::http::uri::Authority::as_str));
        let origin = settings.site_url.clone().unwrap_or_else(|| {
            let host = host.filter(|host| is_plain_host(host)).unwrap_or("localhost");
            format!("{}://{host}", if is_tls { "https" } else { "http" })
        });
        let agent = headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default();
        Self { ip, user_agent: agent.chars().take(200).collect(), origin: origin.into() }
    }
}

/// Walks the forwarded addresses from the near end and stops at the first one that no trusted proxy vouches for.
fn client(headers: &HeaderMap, near: IpAddr, is_trusted: impl Fn(&IpAddr) -> bool) -> IpAddr {
    let values: Vec<_> = headers.get_all("x-forwarded-for").iter().filter_map(|value| value.to_str().ok()).collect();
    let mut ip = near;
    for text in values.iter().rev().flat_map(|value| value.rsplit(',')) {
        let Ok(next) = text.trim().parse::<IpAddr>() else { break };
        ip = next.to_canonical();
        if !is_trusted(&ip) {
            break;
        }
    }
    ip
}

/// A host ends up in addresses that others follow, so it is a name or address with a port and nothing else.
fn is_plain_host(host: &str) -> bool {
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b':' | b'[' | b']');
    !host.is_empty() && host.len() <= 255 && host.bytes().all(is_plain)
}

/// Finds out who is on the other side, once a request.
pub(crate) async fn find_peer(State(state): State<AppState>, mut request: Request, next: Next) -> Response {
    let peer = Peer::of(&request, state.settings());
    request.extensions_mut().insert(peer);
    next.run(request).await
}

impl FromRequestParts<AppState> for Peer {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &AppState) -> Result<Self, Infallible> {
        Ok(parts.extensions.get::<Self>().expect("every request passes find_peer").clone())
    }
}

impl Describe for Peer {}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;
    use crate::server::settings::{Layers, Origin};

    fn peer(near: &str, headers: &[(&str, &str)]) -> Peer {
        let mut layers = Layers::defaults();
        layers.set("trusted_proxies", "10.0.0.0/8, 192.0.2.1", Origin::Default).unwrap();
        let mut request = Request::builder();
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut request = request.body(Body::empty()).unwrap();
        request.extensions_mut().insert(ConnectInfo(SocketAddr::new(near.parse().unwrap(), 1)));
        Peer::of(&request, &Settings::from_layers(&layers).unwrap())
    }

    #[test]
    fn forwarded_addresses_count_from_trusted_proxies_only() {
        let ip = |near, forwarded| peer(near, &[("x-forwarded-for", forwarded)]).ip.to_string();

        assert_eq!(ip("203.0.113.9", "198.51.100.1"), "203.0.113.9");
        assert_eq!(ip("10.0.0.1", "198.51.100.1"), "198.51.100.1");
        assert_eq!(ip("10.0.0.1", "1.1.1.1, 198.51.100.1, 10.9.9.9"), "198.51.100.1");
        assert_eq!(ip("10.0.0.1", "1.1.1.1, junk"), "10.0.0.1");
        assert_eq!(
            peer("10.0.0.1", &[("x-forwarded-for", "1.1.1.1"), ("x-forwarded-for", "2.2.2.2")]).ip.to_string(),
            "2.2.2.2"
        );
    }

    #[test]
    fn origin_follows_the_host_and_trusted_proxies() {
        let origin = |near, headers: &[(&str, &str)]| peer(near, headers).origin().to_owned();

        assert_eq!(
            origin("203.0.113.9", &[("host", "fab.lab:8000"), ("x-forwarded-proto", "https")]),
            "http://fab.lab:8000"
        );
        assert_eq!(
            origin("10.0.0.1", &[("host", "a"), ("x-forwarded-host", "fab.lab"), ("x-forwarded-proto", "https")]),
            "https://fab.lab"
        );
        assert_eq!(origin("203.0.113.9", &[("host", "evil/<script>")]), "http://localhost");
    }
}
