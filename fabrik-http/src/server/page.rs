//! Pages of a list: `?page=2&page_size=50`, and the envelope around them.

use serde_json::{Value, json};

use super::error::ApiError;
use super::peer::Peer;

/// How many items a page has unless told.
pub(crate) const DEFAULT_SIZE: u64 = 50;
/// How many items a page has at most; more is clamped.
pub(crate) const MAX_SIZE: u64 = 200;

/// Which page of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Page {
    number: u64,
    size: u64,
}

impl Page {
    /// Reads the page out of a query; a size that is no number is the default one.
    pub(crate) fn of(query: &[(String, String)]) -> Result<Self, ApiError> {
        let value = |name: &str| query.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
        let number = match value("page") {
            Some(text) => text.parse().ok().filter(|number| *number > 0).ok_or(ApiError::InvalidPage)?,
            None => 1,
        };
        let size = value("page_size").and_then(|text| text.parse().ok()).filter(|size| *size > 0);
        Ok(Self { number, size: size.unwrap_or(DEFAULT_SIZE).min(MAX_SIZE) })
    }

    /// Returns how many items come before this page.
    pub(crate) fn offset(self) -> u64 {
        (self.number - 1).saturating_mul(self.size)
    }

    /// Returns how many items a page has.
    pub(crate) fn limit(self) -> u64 {
        self.size
    }

    /// Fails where there is no such page among `count` items; the first one is always there.
    pub(crate) fn check(self, count: u64) -> Result<(), ApiError> {
        if self.number == 1 || self.offset() < count { Ok(()) } else { Err(ApiError::InvalidPage) }
    }

    /// Puts the items of this page into their envelope.
    pub(crate) fn envelope(
        self,
        count: u64,
        results: Value,
        peer: &Peer,
        path: &str,
        query: &[(String, String)],
    ) -> Value {
        let link = |number: u64| self.link(number, peer, path, query);
        let has_next = self.offset().saturating_add(self.size) < count;
        let mut envelope = json!({
            "count": count,
            "next": has_next.then(|| link(self.number + 1)),
            "previous": (self.number > 1).then(|| link(self.number - 1)),
        });
        envelope["results"] = results;
        envelope
    }

    fn link(self, number: u64, peer: &Peer, path: &str, query: &[(String, String)]) -> String {
        let mut text = url::form_urlencoded::Serializer::new(String::new());
        text.extend_pairs(query.iter().filter(|(key, _)| key != "page"));
        if number > 1 {
            text.append_pair("page", &number.to_string());
        }
        match text.finish() {
            query if query.is_empty() => format!("{}{path}", peer.origin()),
            query => format!("{}{path}?{query}", peer.origin()),
        }
    }
}

/// Returns the schema of an envelope around items.
pub(crate) fn envelope_schema(item: &Value) -> Value {
    json!({
        "type": "object",
        "required": ["count", "next", "previous", "results"],
        "properties": {
            "count": { "type": "integer", "format": "int64", "minimum": 0, "description": "how many items there are in all" },
            "next": { "type": "string", "format": "uri", "nullable": true, "description": "the address of the next page" },
            "previous": { "type": "string", "format": "uri", "nullable": true, "description": "the address of the page before" },
            "results": { "type": "array", "items": item },
        },
    })
}

/// Returns the parameters of every list.
pub(crate) fn parameters() -> [Value; 2] {
    [
        json!({
            "name": "page", "in": "query", "description": "which page, from 1",
            "schema": { "type": "integer", "format": "int64", "minimum": 1, "default": 1 },
        }),
        json!({
            "name": "page_size", "in": "query", "description": format!("how many items a page has; more than {MAX_SIZE} is {MAX_SIZE}"),
            "schema": { "type": "integer", "format": "int64", "minimum": 1, "default": DEFAULT_SIZE },
        }),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(query: &str) -> Result<Page, ApiError> {
        Page::of(&url::form_urlencoded::parse(query.as_bytes()).into_owned().collect::<Vec<_>>())
    }

    #[test]
    fn sizes_are_clamped_and_bad_ones_ignored() {
        for (query, size) in
            [("", 50), ("page_size=7", 7), ("page_size=201", 200), ("page_size=0", 50), ("page_size=x", 50)]
        {
            assert_eq!(page(query).unwrap().limit(), size, "{query}");
        }
    }

    #[test]
    fn pages_that_cannot_be_are_not_found() {
        for query in ["page=0", "page=-1", "page=x", "page=", "page=1.5", "page=99999999999999999999"] {
            assert!(matches!(page(query), Err(ApiError::InvalidPage)), "{query}");
        }
        assert!(page("page=2&page_size=10").unwrap().check(10).is_err());
        assert!(page("page=2&page_size=10").unwrap().check(11).is_ok());
        assert!(page(&format!("page={}", u64::MAX)).unwrap().check(11).is_err());
        assert!(page("").unwrap().check(0).is_ok());
    }
}
