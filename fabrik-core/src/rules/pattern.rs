//! Names and values as rules state them: as they are, or with wild cards.

use serde::{Serialize, Serializer};
use wildmatch::WildMatch;

/// A text with `*` for any characters and `?` for one.
#[derive(Clone, Debug)]
pub(crate) struct Pattern {
    text: Box<str>,
    /// Absent where nothing is wild, which is what most patterns are.
    wild: Option<WildMatch>,
}

/// Some patterns, of which one must match.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub(crate) struct Patterns(Box<[Pattern]>);

impl Pattern {
    /// Returns whether a text is meant.
    pub(crate) fn matches(&self, text: &str) -> bool {
        match &self.wild {
            Some(wild) => &*self.text == "*" || wild.matches(text),
            None => *self.text == *text,
        }
    }
}

impl From<&str> for Pattern {
    fn from(text: &str) -> Self {
        Self { text: text.into(), wild: text.contains(['*', '?']).then(|| WildMatch::new(text)) }
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Pattern {}

impl Serialize for Pattern {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl Patterns {
    pub(crate) fn new(patterns: Vec<Pattern>) -> Self {
        Self(patterns.into())
    }

    /// Returns whether one of them means a text.
    pub(crate) fn matches(&self, text: &str) -> bool {
        self.0.iter().any(|pattern| pattern.matches(text))
    }

    /// Returns the names where nothing is wild.
    pub(crate) fn exact(&self) -> Option<impl Iterator<Item = &str>> {
        self.0.iter().all(|pattern| pattern.wild.is_none()).then(|| self.texts())
    }

    /// Returns them as they were written.
    pub(crate) fn texts(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|pattern| &*pattern.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_matches_as_it_is_and_wild_cards_match_more() {
        let patterns = Patterns::new(vec!["fvBD".into(), "l3ext*".into(), "vz?".into()]);

        for matched in ["fvBD", "l3ext", "l3extOut", "vzA"] {
            assert!(patterns.matches(matched), "{matched}");
        }
        for other in ["", "fvBDx", "xfvBD", "L3ext", "vz", "vzAB"] {
            assert!(!patterns.matches(other), "{other}");
        }
        assert!(Pattern::from("*").matches(""));
        assert!(Pattern::from("").matches(""));
        assert!(!Pattern::from("").matches("x"));
    }
}
