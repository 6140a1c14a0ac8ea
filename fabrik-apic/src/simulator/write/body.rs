//! The body of a POST, JSON or XML.

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};
use serde_json::Value;

use crate::simulator::error::ApicError;
use crate::simulator::render::Format;

/// How deep objects may nest, and so how deep a tree can grow by one POST.
const MAX_DEPTH: usize = 40;

/// The tree of objects in the body of a POST.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PostObject {
    pub(super) class: String,
    pub(super) attributes: Vec<(String, String)>,
    pub(super) children: Vec<Self>,
}

impl PostObject {
    /// Parses a body.
    pub(crate) fn parse(body: &[u8], format: Format) -> Result<Self, ApicError> {
        match format {
            Format::Json => parse_json(body),
            Format::Xml => parse_xml(body),
        }
    }

    /// Returns the name of the class.
    pub(crate) fn class(&self) -> &str {
        &self.class
    }

    /// Returns an attribute; logins are read from the same kind of body.
    pub(crate) fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(have, _)| have == name).map(|(_, value)| value.as_str())
    }
}

#[cfg(test)]
impl PostObject {
    pub(in crate::simulator) fn into_children(self) -> Vec<Self> {
        self.children
    }

    /// Sorts attributes by name, throughout.
    pub(in crate::simulator) fn sort_attributes(&mut self) {
        self.attributes.sort();
        self.children.iter_mut().for_each(Self::sort_attributes);
    }
}

fn parse_json(body: &[u8]) -> Result<PostObject, ApicError> {
    let value: Value = serde_json::from_slice(body)
        .map_err(|error| failed("JSON", format_args!("invalid data at line '{}'", error.line().max(1))))?;
    object_of_json(&value, 0)
}

fn object_of_json(value: &Value, depth: usize) -> Result<PostObject, ApicError> {
    let invalid = || failed("JSON", format_args!("invalid data at line '1'"));
    if depth > MAX_DEPTH {
        return Err(failed("JSON", format_args!("objects nest deeper than {MAX_DEPTH} levels")));
    }
    let mut members = value.as_object().ok_or_else(invalid)?.iter();
    let (Some((class, members)), None) = (members.next(), members.next()) else { return Err(invalid()) };
    let mut object = PostObject { class: class.clone(), attributes: Vec::new(), children: Vec::new() };
    for (name, value) in members.as_object().ok_or_else(invalid)? {
        match name.as_str() {
            "attributes" => {
                for (name, value) in value.as_object().ok_or_else(invalid)? {
                    let value = value.as_str().ok_or_else(|| {
                        failed("JSON", format_args!("incomplete attribute value at line: 1 ({name})"))
                    })?;
                    object.attributes.push((name.clone(), value.to_owned()));
                }
            }
            "children" => {
                for child in value.as_array().ok_or_else(invalid)? {
                    object.children.push(object_of_json(child, depth + 1)?);
                }
            }
            _ => return Err(failed("JSON", format_args!("unknown attribute '{name}'"))),
        }
    }
    Ok(object)
}

fn parse_xml(body: &[u8]) -> Result<PostObject, ApicError> {
    let text = std::str::from_utf8(body).map_err(|_| failed("XML", format_args!("the body is not UTF-8")))?;
    let invalid = |problem: &dyn std::fmt::Display| failed("XML", format_args!("{problem}"));
    let mut reader = Reader::from_str(text);
    let mut open: Vec<PostObject> = Vec::new();
    let mut root: Option<PostObject> = None;
    loop {
        let event = reader.read_event().map_err(|error| invalid(&error))?;
        let finished = match event {
            Event::Start(element) => {
                if open.len() > MAX_DEPTH {
                    return Err(invalid(&format_args!("objects nest deeper than {MAX_DEPTH} levels")));
                }
                open.push(object_of_element(&element)?);
                None
            }
            Event::Empty(element) => Some(object_of_element(&element)?),
            Event::End(_) => open.pop(),
            Event::Eof if open.is_empty() => return root.ok_or_else(|| invalid(&"the body has no element")),
            Event::Eof => return Err(invalid(&"the body ends within an element")),
            Event::Text(text) if !text.iter().all(u8::is_ascii_whitespace) => {
                return Err(invalid(&"text between the elements"));
            }
            Event::CData(_) | Event::GeneralRef(_) => return Err(invalid(&"text between the elements")),
            // A prolog, comments and blanks say nothing. Entities of its own a body does not get.
            _ => None,
        };
        let Some(object) = finished else { continue };
        match open.last_mut() {
            Some(parent) => parent.children.push(object),
            None if root.is_some() => return Err(invalid(&"more than one element at the top")),
            None => root = Some(object),
        }
    }
}

fn object_of_element(element: &BytesStart<'_>) -> Result<PostObject, ApicError> {
    let invalid = |problem: &dyn std::fmt::Display| failed("XML", format_args!("{problem}"));
    let name = std::str::from_utf8(element.name().into_inner()).map_err(|error| invalid(&error))?.to_owned();
    let mut object = PostObject { class: name, attributes: Vec::new(), children: Vec::new() };
    for attribute in element.attributes() {
        let attribute = attribute.map_err(|error| invalid(&error))?;
        let name = std::str::from_utf8(attribute.key.into_inner()).map_err(|error| invalid(&error))?;
        let value = attribute.unescape_value().map_err(|error| invalid(&error))?;
        object.attributes.push((name.to_owned(), value.into_owned()));
    }
    Ok(object)
}

fn failed(format: &str, problem: std::fmt::Arguments<'_>) -> ApicError {
    ApicError::bad_request(400, format!("{format} parsing failed - {problem}"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn json_and_xml_say_the_same() {
        let json = r#"{"fvTenant":{"attributes":{"name":"a<b"},"children":[{"fvAp":{"attributes":{"name":"x"}}}]}}"#;
        let xml = "<?xml version=\"1.0\"?>\n<fvTenant name=\"a&lt;b\">\n  <fvAp name='x'/>\n</fvTenant>";

        let from_json = PostObject::parse(json.as_bytes(), Format::Json).unwrap();

        assert_eq!(PostObject::parse(xml.as_bytes(), Format::Xml).unwrap(), from_json);
        assert_eq!((from_json.class(), from_json.attribute("name")), ("fvTenant", Some("a<b")));
    }

    #[test]
    fn bad_bodies_are_refused_with_the_words_of_a_controller() {
        for (body, format, expected) in [
            ("", Format::Json, "JSON parsing failed - invalid data at line '1'"),
            ("{\n{", Format::Json, "JSON parsing failed - invalid data at line '2'"),
            (
                r#"{"a":{"attributes":{"b":1}}}"#,
                Format::Json,
                "JSON parsing failed - incomplete attribute value at line: 1",
            ),
            (r#"{"a":{"attribute":{}}}"#, Format::Json, "JSON parsing failed - unknown attribute 'attribute'"),
            (r#"{"a":{},"b":{}}"#, Format::Json, "JSON parsing failed - invalid data"),
            ("<a", Format::Xml, "XML parsing failed"),
            ("<a><b></a>", Format::Xml, "XML parsing failed"),
            ("<a/><b/>", Format::Xml, "more than one element"),
            ("", Format::Xml, "no element"),
            ("<a>text</a>", Format::Xml, "text between"),
        ] {
            let error = PostObject::parse(body.as_bytes(), format).unwrap_err();
            assert!((error.status, error.code) == (400, 400) && error.text.contains(expected), "{body}: {error}");
        }
    }

    #[test]
    fn nesting_without_end_is_refused() {
        let json = r#"{"a":{"children":["#.repeat(100) + "{\"a\":{}}" + &"]}}".repeat(100);
        let xml = "<a>".repeat(100_000);

        assert!(PostObject::parse(json.as_bytes(), Format::Json).is_err());
        assert!(PostObject::parse(xml.as_bytes(), Format::Xml).is_err());
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(body in prop_oneof![any::<Vec<u8>>(), "[<>/a=\"'{}:,\\[\\] ]{0,40}".prop_map(String::into_bytes)]) {
            let _ = PostObject::parse(&body, Format::Json);
            let _ = PostObject::parse(&body, Format::Xml);
        }
    }
}
