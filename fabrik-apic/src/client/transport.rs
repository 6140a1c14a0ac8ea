//! HTTP to one address: certificates, proxies and what goes wrong on the way.

use std::error::Error as StdError;
use std::io;
use std::time::Duration;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::{Certificate, Method, RequestBuilder, redirect};
use url::{Host, Url};

use crate::connection::{ConnectionOptions, Verification};
use crate::error::{ApicError, ApicResult};

/// What the options of a query have as something else on the wire: all that means nothing by itself, such as the
/// parentheses and commas of a filter. What divides the options stays, and so does what is encoded already.
const IN_OPTIONS: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'&').remove(b'%');
/// How long a connection may take to be made.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);

/// Sends requests to the address of a controller.
#[derive(Debug)]
pub(super) struct Transport {
    http: reqwest::Client,
    base: Url,
}

impl Transport {
    pub(super) fn new(options: &ConnectionOptions) -> ApicResult<Self> {
        let base = options.parsed_url()?;
        let mut builder = reqwest::Client::builder()
            .connect_timeout(CONNECT_WITHIN)
            // A controller never sends elsewhere; following would hand the session to somebody else.
            .redirect(redirect::Policy::none())
            .tls_backend_rustls();
        // Proxies of the environment are for what lies beyond this machine.
        if is_loopback(&base) {
            builder = builder.no_proxy();
        }
        builder = match &options.verification {
            Verification::System => builder,
            Verification::Authority(pem) => {
                let certificates = Certificate::from_pem_bundle(pem.as_bytes()).ok().filter(|all| !all.is_empty());
                let refused = || ApicError::invalid("ca_file", first_line(pem), "certificates in PEM form");
                builder.tls_certs_only(certificates.ok_or_else(refused)?)
            }
            Verification::Off => builder.tls_danger_accept_invalid_certs(true),
        };
        let http = builder.build().map_err(|error| explain("preparing the connection", error))?;
        Ok(Self { http, base })
    }

    /// Starts the request for a path with its options.
    pub(super) fn get(&self, path: &str) -> ApicResult<RequestBuilder> {
        self.request(Method::GET, path)
    }

    /// Starts a login or logout.
    pub(super) fn post_session(&self, path: &'static str, body: String) -> ApicResult<RequestBuilder> {
        Ok(self.request(Method::POST, path)?.header("Content-Type", "application/json").body(body))
    }

    /// Starts what somebody asked to be changed.
    pub(super) fn change(&self, method: Method, path: &str) -> ApicResult<RequestBuilder> {
        Ok(self.request(method, path)?.header("Content-Type", "application/json"))
    }

    fn request(&self, method: Method, path: &str) -> ApicResult<RequestBuilder> {
        let url = self.base.join(path);
        let mut url = url.map_err(|error| ApicError::invalid("path", path, format!("a path of a URL ({error})")))?;
        if let Some(options) = url.query().map(encoded) {
            url.set_query(Some(&options));
        }
        Ok(self.http.request(method, url))
    }
}

/// Encodes options as controllers want them.
fn encoded(options: &str) -> String {
    let option = |option: &str| match option.split_once('=') {
        Some((name, value)) => {
            format!("{}={}", utf8_percent_encode(name, IN_OPTIONS), utf8_percent_encode(value, IN_OPTIONS))
        }
        None => utf8_percent_encode(option, IN_OPTIONS).to_string(),
    };
    options.split('&').map(option).collect::<Vec<_>>().join("&")
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or("")
}

/// Says in our words why a request got no answer.
pub(super) fn explain(path: &str, error: reqwest::Error) -> ApicError {
    // The address is told by whoever reports the error, and only once.
    let error = error.without_url();
    if is_untrusted(&error) {
        return ApicError::Untrusted { source: Box::new(error) };
    }
    let problem = if error.is_connect() || error.is_timeout() {
        "there is no connection to the controller"
    } else if error.is_decode() || error.is_body() {
        "the connection was cut before the answer was complete"
    } else {
        "the request failed"
    };
    ApicError::Unreachable { path: path.to_owned(), problem: problem.to_owned(), source: Box::new(error) }
}

fn is_untrusted(error: &reqwest::Error) -> bool {
    let mut next: Option<&(dyn StdError + 'static)> = Some(error);
    while let Some(error) = next {
        // An I/O error names the cause of what it wraps as its own, and so hides the error in between.
        let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        let rustls = error.downcast_ref::<rustls::Error>().or_else(|| wrapped?.downcast_ref::<rustls::Error>());
        if let Some(rustls::Error::InvalidCertificate(_)) = rustls {
            return true;
        }
        next = match wrapped {
            Some(wrapped) => Some(wrapped),
            None => error.source(),
        };
    }
    false
}

#[cfg(test)]
mod tests {
    use percent_encoding::percent_decode_str;
    use proptest::prelude::*;

    use super::*;
    use crate::query::ApicQuery;

    #[test]
    fn filters_are_sent_encoded_to_the_last_comma() {
        let query: ApicQuery =
            r#"/api/class/fvBD.json?query-target-filter=and(eq(fvBD.name,"a b"),wcard(fvBD.dn,"tn-[x]"))&page=0"#
                .parse()
                .unwrap();

        let path = query.to_string();
        let (_, options) = path.split_once('?').unwrap();

        let expected = "query-target-filter=and%28eq%28fvBD.name%2C%22a%20b%22%29%2C\
                        wcard%28fvBD.dn%2C%22tn-%5Bx%5D%22%29%29&page=0";
        assert_eq!(encoded(options), expected);
        assert_eq!(encoded("_dc=1&a=b=c&alone"), "_dc=1&a=b%3Dc&alone");
    }

    proptest! {
        #[test]
        fn encoding_changes_how_options_are_written_and_not_what_they_say(value in "\\PC{0,20}") {
            let query = ApicQuery::class("fvBD").unwrap().with("query-target-filter", &value).with("page", "0");
            let path = query.to_string();
            let (_, options) = path.split_once('?').unwrap();

            let sent = encoded(options);

            let once = sent.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~&%=".contains(&byte));
            prop_assert!(once, "{}", sent);
            prop_assert_eq!(encoded(&sent), sent.as_str());
            let decoded = |text: &str| percent_decode_str(text).collect::<Vec<u8>>();
            prop_assert_eq!(decoded(&sent), decoded(options));
            prop_assert_eq!(format!("/api/class/fvBD.json?{sent}").parse::<ApicQuery>().unwrap(), query);
        }
    }
}
