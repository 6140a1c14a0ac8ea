//! Relative names: how the controller makes an object's from its class and its naming properties.
//!
//! A configuration export leaves out what follows from the naming properties, `dn` and `rn`, so whoever reads one
//! needs each class's format. A class that is not in the table is placed by what its objects carry, or not at all:
//! a guess would be a wrong key.

mod formats;

use std::collections::HashMap;
use std::sync::OnceLock;

use formats::FORMATS;

/// The most properties that one relative name is made of.
pub(crate) const MAX_NAMING_PROPERTIES: usize = 3;
/// The class above all roots. Its DN is empty.
pub(crate) const ROOT_CLASS: &str = "topRoot";
/// Classes whose objects have a DN of one relative name, so that they need no parent to be placed.
const ROOTS: [&str; 3] = ["compUni", "fabricTopology", "polUni"];

/// Where the DN of an object comes from that does not carry it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Naming {
    /// From its `rn` alone: an answer has one on every nested object.
    #[default]
    AsSent,
    /// From its `rn`, or else from its naming properties.
    ByClass,
}

impl Naming {
    /// Returns how relative names of this class are made, where they are made here.
    pub(crate) fn format_of(self, class: &str) -> Option<&'static RnFormat> {
        match self {
            Self::AsSent => None,
            Self::ByClass => RnFormat::of(class),
        }
    }

    /// Returns the DN above an object that stands at the top of its input.
    pub(crate) fn implied_parent(self, class: &str) -> Option<&'static str> {
        (self == Self::ByClass && ROOTS.contains(&class)).then_some("")
    }
}

/// Returns whether the class alone tells an object's DN.
pub(crate) fn is_root(class: &str) -> bool {
    class == ROOT_CLASS || ROOTS.contains(&class)
}

/// How the relative names of a class are written, such as `subnet-[{ip}]`.
#[derive(Debug)]
pub(crate) struct RnFormat {
    parts: Vec<Part>,
    properties: Vec<&'static str>,
}

#[derive(Debug)]
enum Part {
    Literal(&'static str),
    /// The value of the property at this place.
    Property(usize),
}

impl RnFormat {
    /// Returns the format of a class.
    pub(crate) fn of(class: &str) -> Option<&'static Self> {
        static TABLE: OnceLock<HashMap<&'static str, RnFormat>> = OnceLock::new();
        let table = TABLE.get_or_init(|| FORMATS.iter().map(|&(class, format)| (class, Self::parse(format))).collect());
        table.get(class)
    }

    fn parse(format: &'static str) -> Self {
        let mut parts = Vec::new();
        let mut properties = Vec::new();
        let mut rest = format;
        while let Some((literal, after)) = rest.split_once('{') {
            let (property, after) = after.split_once('}').expect("a test reads the whole table");
            if !literal.is_empty() {
                parts.push(Part::Literal(literal));
            }
            parts.push(Part::Property(properties.len()));
            properties.push(property);
            rest = after;
        }
        if !rest.is_empty() {
            parts.push(Part::Literal(rest));
        }
        Self { parts, properties }
    }

    /// Returns the place of a naming property among them.
    pub(crate) fn position(&self, property: &str) -> Option<usize> {
        self.properties.iter().position(|have| *have == property)
    }

    /// Returns the naming properties, in the order of the relative name.
    pub(crate) fn properties(&self) -> &[&'static str] {
        &self.properties
    }

    /// Returns how all relative names begin; all of it where there are no naming properties.
    pub(crate) fn prefix(&self) -> &'static str {
        match self.parts.first() {
            Some(Part::Literal(text)) => text,
            _ => "",
        }
    }

    /// Returns the relative name for these values of the naming properties; `None` where one is absent.
    pub(crate) fn write(&self, values: &[Option<&str>; MAX_NAMING_PROPERTIES]) -> Option<String> {
        let mut rn = String::new();
        for part in &self.parts {
            rn.push_str(match part {
                Part::Literal(text) => text,
                Part::Property(place) => values[*place]?,
            });
        }
        Some(rn)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_format_can_be_read() {
        for (class, format) in FORMATS {
            let balanced = format.matches('{').count() == format.matches('}').count();
            assert!(balanced && !format.is_empty() && !format.contains('/'), "{class}: {format}");
            let parsed = RnFormat::of(class).unwrap();
            assert!(parsed.properties.len() <= MAX_NAMING_PROPERTIES, "{class}: {format}");
            let values = ["{0}", "{1}", "{2}"].map(Some);
            let written = parsed.write(&values).unwrap();
            let expected = parsed.properties.iter().enumerate().fold((*format).to_owned(), |text, (i, property)| {
                text.replacen(&format!("{{{property}}}"), &format!("{{{i}}}"), 1)
            });
            assert_eq!(written, expected, "{class}");
        }
    }

    #[test]
    fn table_is_sorted_and_names_no_class_twice() {
        let unsorted = FORMATS.windows(2).find(|pair| pair[0].0 >= pair[1].0);

        assert_eq!(unsorted, None);
    }

    #[test]
    fn relative_names_are_made_of_naming_properties() {
        let write = |class: &str, values: [Option<&str>; 3]| RnFormat::of(class).unwrap().write(&values);

        assert_eq!(write("fvTenant", [Some("blue"), None, None]).as_deref(), Some("tn-blue"));
        assert_eq!(write("fvSubnet", [Some("10.0.0.1/24"), None, None]).as_deref(), Some("subnet-[10.0.0.1/24]"));
        assert_eq!(write("fvRsCtx", [None; 3]).as_deref(), Some("rsctx"));
        assert_eq!(
            write("fvnsEncapBlk", [Some("vlan-1"), Some("vlan-9"), None]).as_deref(),
            Some("from-[vlan-1]-to-[vlan-9]")
        );
        assert_eq!(write("fvnsEncapBlk", [Some("vlan-1"), None, None]), None);
        assert!(RnFormat::of("noSuchClass").is_none());
    }
}
