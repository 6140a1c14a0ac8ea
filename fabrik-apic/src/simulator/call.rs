//! One request, taken apart.

use std::borrow::Cow;

use axum::http::{HeaderMap, Method};
use bytes::Bytes;
use percent_encoding::percent_decode_str;

use super::cookie::Cookies;
use super::render::Format;

/// A request with its body.
pub(super) struct Call {
    pub(super) method: Method,
    /// Path and query as they came, encoded or not.
    pub(super) target: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Call {
    pub(super) fn path(&self) -> &str {
        self.target.split_once('?').map_or(&self.target, |(path, _)| path)
    }

    pub(super) fn query(&self) -> Option<&str> {
        self.target.split_once('?').map(|(_, query)| query)
    }

    /// Returns the path decoded, with doubled slashes folded, without the suffix that names the format.
    ///
    /// `None` when there is no such suffix: the web server serves nothing there.
    pub(super) fn address(&self) -> Option<(String, Format)> {
        let path = percent_decode_str(self.path()).decode_utf8_lossy();
        let (stem, format) = match (path.strip_suffix(".json"), path.strip_suffix(".xml")) {
            (Some(stem), _) => (stem, Format::Json),
            (None, Some(stem)) => (stem, Format::Xml),
            (None, None) => return None,
        };
        let mut folded = stem.to_owned();
        while folded.contains("//") {
            folded = folded.replace("//", "/");
        }
        Some((folded, format))
    }

    /// Returns the value of a query parameter; the last one wins, as on the controller.
    pub(super) fn param(&self, name: &str) -> Option<Cow<'_, str>> {
        let pairs = self.query()?.split('&').filter_map(|pair| pair.split_once('='));
        let value = pairs.rev().find(|(have, _)| *have == name)?.1;
        Some(percent_decode_str(value).decode_utf8_lossy())
    }

    pub(super) fn cookies(&self) -> Cookies<'_> {
        Cookies::of(&self.headers)
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderMap, Method};
    use bytes::Bytes;

    use super::Call;
    use crate::simulator::render::Format;

    fn call(target: &str) -> Call {
        Call { method: Method::POST, target: target.to_owned(), headers: HeaderMap::new(), body: Bytes::new() }
    }

    #[test]
    fn address_is_decoded_and_folded() {
        let address = |target| call(target).address();

        assert_eq!(address("/api//aaaRefresh.json?x=1"), Some(("/api/aaaRefresh".into(), Format::Json)));
        assert_eq!(address("/api/mo/a-%5Bb%2Fc%5D.xml"), Some(("/api/mo/a-[b/c]".into(), Format::Xml)));
        assert_eq!(address("/api/class/fvTenant"), None);
    }

    #[test]
    fn last_parameter_wins() {
        let call = call("/api/x.json?id=1&page=0&id=%32");

        assert_eq!(call.param("id").as_deref(), Some("2"));
        assert_eq!(call.param("missing"), None);
    }
}
