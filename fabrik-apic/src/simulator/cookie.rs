//! Cookies as clients send them, which is not always as they should.

use axum::http::HeaderMap;
use axum::http::header::COOKIE;

/// The cookies of one request.
pub(super) struct Cookies<'r> {
    pairs: Vec<(&'r str, &'r str)>,
}

impl<'r> Cookies<'r> {
    /// Reads all `Cookie` headers.
    ///
    /// A pair ends at `;` only: signatures and tokens hold `=` and `/`. Parts without a `=`, such as the
    /// `HttpOnly` of a client that sends back what `Set-Cookie` said, are left out.
    pub(super) fn of(headers: &'r HeaderMap) -> Self {
        let pairs = headers
            .get_all(COOKIE)
            .iter()
            .filter_map(|value| std::str::from_utf8(value.as_bytes()).ok())
            .flat_map(|value| value.split(';'))
            .filter_map(|pair| pair.split_once('='))
            .map(|(name, value)| (name.trim(), unquoted(value.trim())))
            .collect();
        Self { pairs }
    }

    /// Returns the value of the first cookie of this name, in any case, that is not empty.
    pub(super) fn get(&self, name: &str) -> Option<&'r str> {
        self.pairs.iter().find(|(have, value)| have.eq_ignore_ascii_case(name) && !value.is_empty()).map(|pair| pair.1)
    }
}

fn unquoted(value: &str) -> &str {
    value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderMap, HeaderValue, header::COOKIE};

    use super::Cookies;

    fn token(header: &str) -> Option<String> {
        let mut headers = HeaderMap::new();
        headers.append(COOKIE, HeaderValue::from_str(header).unwrap());
        Cookies::of(&headers).get("APIC-cookie").map(String::from)
    }

    #[test]
    fn name_is_matched_without_regard_to_case() {
        for name in ["APIC-cookie", "APIC-Cookie", "apic-cookie"] {
            assert_eq!(token(&format!("{name}=a/b+c==")).as_deref(), Some("a/b+c=="), "{name}");
        }
    }

    #[test]
    fn token_is_picked_out_of_an_echoed_set_cookie() {
        assert_eq!(token("APIC-cookie=a/b==; path=/; HttpOnly; HttpOnly; Secure").as_deref(), Some("a/b=="));
        assert_eq!(token("other=1;  APIC-Cookie=\"quoted\"").as_deref(), Some("quoted"));
    }

    #[test]
    fn nothing_is_found_where_nothing_was_sent() {
        assert_eq!(token("APIC-cookie=; path=/"), None);
        assert_eq!(token("XAPIC-cookie=1"), None);
    }
}
