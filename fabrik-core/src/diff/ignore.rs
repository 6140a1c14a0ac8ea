//! Patterns of what a reader does not want to see of a comparison.

use std::str::FromStr;

use wildmatch::WildMatch;

use crate::error::Error;

/// Patterns of changes to hide. They act when reading; snapshots keep everything.
///
/// | pattern | hides |
/// | --- | --- |
/// | `modTs` | the attribute, in every class |
/// | `fvBD.modTs`, `*.uid`, `fv*.descr` | the attribute, in classes of that name |
/// | `uni/tn-test/*`, `dn:uni` | every change of rows with such a DN |
///
/// `*` stands for any characters, slashes included, and `?` for one. A pattern with a slash or that starts
/// with `dn:` is one of DNs; brackets in it mean themselves.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ignore {
    attributes: Vec<AttributePattern>,
    dns: Vec<WildMatch>,
}

#[derive(Clone, Debug, PartialEq)]
struct AttributePattern {
    class: Option<WildMatch>,
    attribute: WildMatch,
}

impl Ignore {
    /// Reads patterns.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) naming the first pattern that is none.
    pub fn parse<S: AsRef<str>>(patterns: impl IntoIterator<Item = S>) -> Result<Self, Error> {
        let mut ignore = Self::default();
        for pattern in patterns {
            ignore.add(pattern.as_ref())?;
        }
        Ok(ignore)
    }

    fn add(&mut self, pattern: &str) -> Result<(), Error> {
        let wrong = || {
            Error::invalid(
                "ignore pattern",
                pattern,
                "ATTRIBUTE, CLASS.ATTRIBUTE, or a DN with a slash or after `dn:`, where * and ? are wild",
            )
        };
        if let Some(dn) = pattern.strip_prefix("dn:").or_else(|| pattern.contains('/').then_some(pattern)) {
            if dn.is_empty() {
                return Err(wrong());
            }
            self.dns.push(WildMatch::new(dn));
            return Ok(());
        }
        let is_name = |name: &str| {
            !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '*' | '?' | ':'))
        };
        let (class, attribute) = match pattern.split_once('.') {
            Some((class, attribute)) => (Some(class), attribute),
            None => (None, pattern),
        };
        if !is_name(attribute) || !class.is_none_or(is_name) {
            return Err(wrong());
        }
        self.attributes
            .push(AttributePattern { class: class.map(WildMatch::new), attribute: WildMatch::new(attribute) });
        Ok(())
    }

    /// Returns whether nothing is hidden.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.attributes.is_empty() && self.dns.is_empty()
    }

    /// Returns whether rows of this DN are hidden.
    pub(crate) fn hides_dn(&self, dn: Option<&str>) -> bool {
        dn.is_some_and(|dn| self.dns.iter().any(|pattern| pattern.matches(dn)))
    }

    pub(crate) fn has_attributes(&self) -> bool {
        !self.attributes.is_empty()
    }

    /// Returns whether an attribute of rows of a class is hidden.
    pub(super) fn hides_attribute(&self, class: Option<&str>, name: &str) -> bool {
        self.attributes.iter().any(|pattern| {
            pattern.attribute.matches(name)
                && pattern.class.as_ref().is_none_or(|wanted| wanted.matches(class.unwrap_or_default()))
        })
    }
}

impl FromStr for Ignore {
    type Err = Error;

    /// Reads one pattern.
    fn from_str(pattern: &str) -> Result<Self, Error> {
        Self::parse([pattern])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attribute_patterns_match_with_and_without_a_class() {
        let ignore = Ignore::parse(["modTs", "fvBD.descr", "*.uid", "eqpt*.*Last"]).unwrap();

        assert!(ignore.hides_attribute(Some("fvBD"), "modTs"));
        assert!(ignore.hides_attribute(None, "modTs"));
        assert!(ignore.hides_attribute(Some("fvBD"), "descr"));
        assert!(!ignore.hides_attribute(Some("fvAEPg"), "descr"));
        assert!(ignore.hides_attribute(Some("any"), "uid"));
        assert!(ignore.hides_attribute(Some("eqptTemp"), "valueLast"));
        assert!(!ignore.hides_attribute(Some("eqptTemp"), "modTsX"));
    }

    #[test]
    fn dn_patterns_cross_slashes_and_take_brackets_as_they_are() {
        let ignore = Ignore::parse(["uni/tn-a/*subnet-[10.*]", "dn:uni"]).unwrap();

        assert!(ignore.hides_dn(Some("uni/tn-a/BD-b/subnet-[10.0.0.1/24]")));
        assert!(!ignore.hides_dn(Some("uni/tn-a/BD-b/subnet-1")));
        assert!(ignore.hides_dn(Some("uni")));
        assert!(!ignore.hides_dn(Some("uni/tn-a")));
        assert!(!ignore.hides_dn(None));
    }

    #[test]
    fn a_bad_pattern_is_named() {
        for pattern in ["", ".", "a.b.c", "a b", "dn:", ".x", "x."] {
            let error = Ignore::parse(["modTs", pattern]).unwrap_err().to_string();

            assert!(error.contains(&format!("{pattern:?}")), "{error}");
        }
    }
}
