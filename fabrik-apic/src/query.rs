//! What a controller is asked: classes, the classes of one node, or one object and what is below it.

use std::fmt::{self, Write as _};
use std::str::FromStr;

use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};

use crate::dn;
use crate::error::{ApicError, ApicResult};
use crate::filter::Filter;

/// What a DN in a path must not have raw; brackets and `/` belong there as they are.
const IN_PATH: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'#').add(b'<').add(b'>').add(b'?').add(b'%').add(b'`');
/// What a value in the options must not have raw.
const IN_OPTION: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'#').add(b'<').add(b'>').add(b'&').add(b'%').add(b'+');

/// Options that would change what a reading is: each with the reason why it is refused.
const REFUSED: [(&str, &str); 3] = [
    ("subscription", "a query that is only read; subscriptions are left to those who follow events"),
    ("refresh-timeout", "a query without a subscription"),
    ("delete-session", "a query that leaves its session alone"),
];
/// Options that say which part of the result is sent.
const PAGING: [&str; 2] = ["page", "page-size"];

/// A question to a controller, which can only ever be a reading.
///
/// ```
/// use fabrik_apic::{ApicQuery, Filter};
///
/// let query = ApicQuery::class("fvBD")?.with_filter(&Filter::eq("fvBD.arpFlood".parse()?, "yes"));
/// assert_eq!(query.to_string(), r#"/api/class/fvBD.json?query-target-filter=eq(fvBD.arpFlood,%22yes%22)"#);
/// assert_eq!(query.to_string().parse::<ApicQuery>()?, query);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ApicQuery {
    target: QueryTarget,
    /// In the order they were given; a name may repeat.
    options: Vec<(String, String)>,
}

/// Whom a query asks about.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum QueryTarget {
    /// All objects of these classes, at least one.
    Classes(Vec<String>),
    /// All objects of a class that one node has.
    NodeClass {
        /// The node, such as `topology/pod-1/node-101`.
        node: String,
        /// The class.
        class: String,
    },
    /// The object with this DN.
    Object(String),
}

impl ApicQuery {
    /// Asks for all objects of a class, or of several joined by commas.
    ///
    /// # Errors
    ///
    /// [`ApicError::InvalidOption`] when it is no name of a class.
    pub fn class(class: &str) -> ApicResult<Self> {
        let classes = class.split(',').map(|class| check_class(class.trim())).collect::<ApicResult<_>>()?;
        Ok(Self { target: QueryTarget::Classes(classes), options: Vec::new() })
    }

    /// Asks one node for all its objects of a class.
    ///
    /// # Errors
    ///
    /// [`ApicError::InvalidOption`] when the class or the node's DN cannot be one.
    pub fn node_class(node: &str, class: &str) -> ApicResult<Self> {
        let target = QueryTarget::NodeClass { node: check_dn(node)?, class: check_class(class)? };
        Ok(Self { target, options: Vec::new() })
    }

    /// Asks for the object with a DN.
    ///
    /// # Errors
    ///
    /// [`ApicError::InvalidOption`] when it cannot be a DN.
    pub fn object(dn: &str) -> ApicResult<Self> {
        Ok(Self { target: QueryTarget::Object(check_dn(dn)?), options: Vec::new() })
    }

    /// Asks for everything of some classes at and below an object.
    pub(crate) fn below(dn: &str, class: &str) -> ApicResult<Self> {
        Ok(Self::object(dn)?.with("query-target", "subtree").with("target-subtree-class", class))
    }

    /// Keeps only objects that match; several filters must all match.
    #[must_use]
    pub fn with_filter(self, filter: &Filter) -> Self {
        let both = match self.option("query-target-filter") {
            Some(present) => format!("and({present},{filter})"),
            None => filter.to_string(),
        };
        self.with("query-target-filter", &both)
    }

    /// Sets an option of the controller's interface, such as `rsp-subtree`, in place of any of the same name.
    ///
    /// What an option may be, the controller knows best: it is not checked here.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.options.retain(|(present, _)| present != name);
        self.options.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Returns whom it asks about.
    #[must_use]
    pub fn target(&self) -> &QueryTarget {
        &self.target
    }

    /// Returns the last value of an option, decoded.
    #[must_use]
    pub fn option(&self, name: &str) -> Option<&str> {
        self.options.iter().rev().find(|(present, _)| present == name).map(|(_, value)| value.as_str())
    }

    /// Returns the options in the order they were given, decoded.
    pub(crate) fn options(&self) -> impl Iterator<Item = (&str, &str)> {
        self.options.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Returns what it is about, for what holds for all such queries: a class, else the whole path.
    pub(crate) fn subject(&self) -> String {
        self.hit_class().map_or_else(|| self.to_string(), str::to_owned)
    }

    /// Refuses a query that asks for a part of the result only.
    ///
    /// # Errors
    ///
    /// [`ApicError::InvalidOption`] when it has an option of paging.
    pub fn check_whole(&self) -> ApicResult<()> {
        match PAGING.iter().find_map(|name| Some((*name, self.option(name)?))) {
            Some((name, value)) => Err(ApicError::invalid(name, value, "no paging: a capture reads all pages itself")),
            None => Ok(()),
        }
    }

    /// Returns whether objects are sent with others nested below them.
    pub(crate) fn is_nested(&self) -> bool {
        self.option("rsp-subtree").is_some_and(|depth| depth != "no") || self.option("rsp-subtree-include").is_some()
    }

    /// Returns the class of all hits, where it is one: what pages can be ordered by.
    pub(crate) fn hit_class(&self) -> Option<&str> {
        if self.option("rsp-subtree-include").is_some_and(|include| include.contains("no-scoped")) {
            return None;
        }
        let widened = self.option("query-target").is_some_and(|target| target != "self");
        let classes: Vec<&str> = match &self.target {
            _ if widened => self.subtree_classes(),
            QueryTarget::Classes(classes) => classes.iter().map(String::as_str).collect(),
            QueryTarget::NodeClass { class, .. } => vec![class],
            QueryTarget::Object(_) => Vec::new(),
        };
        match classes[..] {
            [class] => Some(class),
            _ => None,
        }
    }

    /// Splits a query for several classes into one for each; one that is of a single class stays as it is.
    pub(crate) fn split_by_class(&self) -> Vec<Self> {
        let widened = self.option("query-target").is_some_and(|target| target != "self");
        match &self.target {
            QueryTarget::Classes(classes) if !widened && classes.len() > 1 => {
                let of = |class: &String| QueryTarget::Classes(vec![class.clone()]);
                classes.iter().map(|class| Self { target: of(class), options: self.options.clone() }).collect()
            }
            _ if widened && self.subtree_classes().len() > 1 => {
                let of = |class: &str| self.clone().with("target-subtree-class", class);
                self.subtree_classes().into_iter().map(of).collect()
            }
            _ => vec![self.clone()],
        }
    }

    /// Returns the single class of a fabric-wide query, which can be split along the tree.
    pub(crate) fn fabric_wide_class(&self) -> Option<&str> {
        match &self.target {
            QueryTarget::Classes(classes) if self.option("query-target").is_none_or(|target| target == "self") => {
                classes.first().filter(|_| classes.len() == 1).map(String::as_str)
            }
            _ => None,
        }
    }

    /// Returns the same question about what is at and below `dn` only.
    pub(crate) fn narrowed_to(&self, dn: &str, class: &str) -> ApicResult<Self> {
        let mut narrowed = Self::below(dn, class)?;
        let kept = self.options.iter().filter(|(name, _)| name != "query-target" && name != "target-subtree-class");
        narrowed.options.extend(kept.cloned());
        Ok(narrowed)
    }

    fn subtree_classes(&self) -> Vec<&str> {
        let lists = self.options.iter().filter(|(name, _)| name == "target-subtree-class");
        lists.flat_map(|(_, list)| list.split(',')).map(str::trim).filter(|class| !class.is_empty()).collect()
    }
}

impl fmt::Display for ApicQuery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.target {
            QueryTarget::Classes(classes) => write!(f, "/api/class/{}.json", classes.join(","))?,
            QueryTarget::NodeClass { node, class } => {
                write!(f, "/api/node/class/{}/{class}.json", utf8_percent_encode(node, IN_PATH))?;
            }
            QueryTarget::Object(dn) => write!(f, "/api/mo/{}.json", utf8_percent_encode(dn, IN_PATH))?,
        }
        for (i, (name, value)) in self.options.iter().enumerate() {
            f.write_char(if i == 0 { '?' } else { '&' })?;
            write!(f, "{}={}", utf8_percent_encode(name, IN_OPTION), utf8_percent_encode(value, IN_OPTION))?;
        }
        Ok(())
    }
}

impl FromStr for ApicQuery {
    type Err = ApicError;

    /// Reads the path of a query as it is copied from a browser or a script, raw or percent-encoded.
    fn from_str(text: &str) -> ApicResult<Self> {
        const EXPECTED: &str =
            "/api/class/CLASS.json, /api/node/class/NODE/CLASS.json or /api/mo/DN.json, with options after a `?`";
        let refused = || ApicError::invalid("path", text, EXPECTED);
        let (path, options) = text.split_once('?').unwrap_or((text, ""));
        let mut segments = path.split('/').filter(|segment| !segment.is_empty());
        if !path.starts_with('/') || segments.next() != Some("api") {
            return Err(refused());
        }
        let mut form = segments.next().ok_or_else(refused)?;
        if form == "node" {
            form = segments.next().ok_or_else(refused)?;
        }
        // The rest may hold slashes inside brackets, where a doubled one would count.
        let rest = path.split_once(&format!("/{form}/")).map(|(_, rest)| rest.trim_start_matches('/'));
        let rest = rest.and_then(|rest| rest.strip_suffix(".json")).ok_or_else(refused)?;
        let rest = decode("path", rest)?;
        let target = match form {
            "mo" => QueryTarget::Object(check_dn(&rest)?),
            "class" => match dn::parent(&rest) {
                None => Self::class(&rest)?.target,
                Some(node) => Self::node_class(node, &rest[node.len() + 1..])?.target,
            },
            _ => return Err(refused()),
        };
        let mut query = Self { target, options: Vec::new() };
        for option in options.split('&').filter(|option| !option.is_empty()) {
            let (name, value) = option.split_once('=').unwrap_or((option, ""));
            let (name, value) = (decode("path", name)?, decode("path", value)?);
            if let Some((name, reason)) = REFUSED.iter().find(|(refused, _)| *refused == name) {
                if !(*name == "subscription" && value == "no") {
                    return Err(ApicError::invalid(name, value, *reason));
                }
                continue;
            }
            if !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte)) {
                return Err(ApicError::invalid("option", name, "a name of letters, digits and dashes"));
            }
            query.options.push((name, value));
        }
        Ok(query)
    }
}

fn decode(field: &'static str, text: &str) -> ApicResult<String> {
    let decoded = percent_decode_str(text).decode_utf8();
    decoded.map(String::from).map_err(|_| ApicError::invalid(field, text, "percent-encoded UTF-8"))
}

fn check_class(class: &str) -> ApicResult<String> {
    let fits = class.starts_with(|first: char| first.is_ascii_alphabetic())
        && class.chars().all(|letter| letter.is_ascii_alphanumeric());
    let expected = "the name of a class as the controller writes it, such as fvBD";
    if fits { Ok(class.to_owned()) } else { Err(ApicError::invalid("class", class, expected)) }
}

fn check_dn(dn: &str) -> ApicResult<String> {
    let dn = dn.trim_matches('/');
    // What builds the URL would walk up at a segment of dots, and takes a backslash for a slash.
    let stays = !dn.contains('\\') && dn.split('/').all(|segment| segment != "." && segment != "..");
    let fits = !dn.is_empty() && stays && !dn.contains(char::is_control) && dn::is_balanced(dn);
    let expected = "a DN with closed brackets, such as uni/tn-common";
    if fits { Ok(dn.to_owned()) } else { Err(ApicError::invalid("dn", dn, expected)) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn paths_of_scripts_and_browsers_are_read() {
        let cases = [
            ("/api//node/class/fvTenant.json?", "/api/class/fvTenant.json"),
            ("/api/mo/uni/tn-a%5b1%5D.json", "/api/mo/uni/tn-a[1].json"),
            (
                r#"/api/node/class/topology/pod-1/node-101/l1PhysIf.json?query-target-filter=eq(l1PhysIf.id,"eth1/1")"#,
                "/api/node/class/topology/pod-1/node-101/l1PhysIf.json?query-target-filter=eq(l1PhysIf.id,%22eth1/1%22)",
            ),
            (
                "/api/mo/uni/tn-t/ap-a/epg-e/rspathAtt-[topology/pod-1/paths-101/pathep-[eth1/1]].json?_dc=1",
                "/api/mo/uni/tn-t/ap-a/epg-e/rspathAtt-[topology/pod-1/paths-101/pathep-[eth1/1]].json?_dc=1",
            ),
            ("/api/class/fvBD,fvCtx.json?subscription=no", "/api/class/fvBD,fvCtx.json"),
        ];
        for (text, expected) in cases {
            assert_eq!(text.parse::<ApicQuery>().unwrap().to_string(), expected);
        }
    }

    #[test]
    fn what_is_no_reading_is_refused_by_name() {
        for text in ["/api/aaaLogin.json", "/api/aaaLogout.json", "api/class/fvBD.json", "/api/class/fvBD.xml", "/api"]
        {
            let error = text.parse::<ApicQuery>().unwrap_err().to_string();
            assert!(error.starts_with(&format!("path {text:?} is not valid: expected /api/class/")), "{error}");
        }
        let error = "/api/class/fvBD.json?subscription=yes".parse::<ApicQuery>().unwrap_err().to_string();
        assert!(error.starts_with(r#"subscription "yes" is not valid"#), "{error}");
        let error = "/api/class/fv-BD.json".parse::<ApicQuery>().unwrap_err().to_string();
        assert!(error.starts_with(r#"class "fv-BD" is not valid"#), "{error}");
        for dn in
            ["uni/../aaaLogout", "../aaaLogout", "uni/%2e%2E/aaaLogout", "uni/./x", "uni/x-[a/../../b]", "uni\\..\\x"]
        {
            let error = format!("/api/mo/{dn}.json").parse::<ApicQuery>().unwrap_err().to_string();
            assert!(error.starts_with("dn \""), "{error}");
        }
        let error = "/api/class/fvBD.json?a%3Db=c".parse::<ApicQuery>().unwrap_err().to_string();
        assert!(error.starts_with(r#"option "a=b" is not valid"#), "{error}");
        let error = "/api/mo/uni/tn-[a.json".parse::<ApicQuery>().unwrap_err().to_string();
        assert!(error.starts_with(r#"dn "uni/tn-[a" is not valid"#), "{error}");
    }

    #[test]
    fn pages_of_one_class_can_be_ordered() {
        let class_of = |path: &str| path.parse::<ApicQuery>().unwrap().hit_class().map(str::to_owned);

        assert_eq!(class_of("/api/class/fvBD.json").as_deref(), Some("fvBD"));
        assert_eq!(class_of("/api/class/fvBD.json?rsp-subtree=full").as_deref(), Some("fvBD"));
        let below = "/api/mo/uni.json?query-target=subtree&target-subtree-class=fvCEp";
        assert_eq!(class_of(below).as_deref(), Some("fvCEp"));
        for path in [
            "/api/class/fvBD,fvCtx.json",
            "/api/mo/uni.json",
            "/api/class/fvBD.json?query-target=subtree",
            "/api/class/fvTenant.json?rsp-subtree-include=faults,no-scoped",
        ] {
            assert_eq!(class_of(path), None, "{path}");
        }
    }

    #[test]
    fn several_classes_become_a_query_each() {
        let split = |path: &str| -> Vec<String> {
            path.parse::<ApicQuery>().unwrap().split_by_class().iter().map(ToString::to_string).collect()
        };

        assert_eq!(split("/api/class/fvBD,fvCtx.json"), ["/api/class/fvBD.json", "/api/class/fvCtx.json"]);
        assert_eq!(
            split("/api/mo/uni.json?query-target=subtree&target-subtree-class=a&target-subtree-class=b,c").len(),
            3
        );
    }

    proptest! {
        #[test]
        fn printing_and_reading_give_the_query_back(
            // Without dots, which may walk up.
            dn in "[a-z]{1,4}(/[a-z]{1,3}-\\[[ -\\-/-Z^-~äß]{0,9}\\]){0,3}",
            value in "\\PC{0,20}",
        ) {
            let query = ApicQuery::object(&dn).unwrap().with("query-target-filter", &value).with("x", &dn);

            prop_assert_eq!(query.to_string().parse::<ApicQuery>().unwrap(), query);
        }

        #[test]
        fn no_text_makes_the_reader_panic(text in "(/api/)?(node/)?(mo|class)?\\PC{0,40}") {
            let _ = text.parse::<ApicQuery>();
        }
    }
}
