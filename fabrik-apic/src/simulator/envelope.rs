//! Answers that are not about objects of the fabric: logins and what belongs to them.

use std::borrow::Cow;

use bytes::Bytes;
use quick_xml::escape::escape;
use serde_json::{Map, Value};

use super::render::Format;

/// An element of `imdata`: a name, attributes and elements below.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Element {
    pub(super) name: Cow<'static, str>,
    pub(super) attributes: Vec<(Cow<'static, str>, String)>,
    pub(super) children: Vec<Self>,
}

impl Element {
    pub(super) fn new(name: impl Into<Cow<'static, str>>) -> Self {
        Self { name: name.into(), ..Self::default() }
    }

    #[must_use]
    pub(super) fn with(mut self, name: impl Into<Cow<'static, str>>, value: impl Into<String>) -> Self {
        self.attributes.push((name.into(), value.into()));
        self
    }

    #[must_use]
    pub(super) fn with_child(mut self, child: Self) -> Self {
        self.children.push(child);
        self
    }

    /// Returns `{"name":{"attributes":{…},"children":[…]}}`; no children leave out the list.
    fn to_json(&self) -> Value {
        let mut inside = Map::new();
        inside.insert("attributes".into(), self.flat_json());
        if !self.children.is_empty() {
            inside.insert("children".into(), self.children.iter().map(Self::to_json).collect());
        }
        Value::Object(Map::from_iter([(self.name.to_string(), Value::Object(inside))]))
    }

    /// Returns the attributes alone.
    fn flat_json(&self) -> Value {
        let pairs = self.attributes.iter().map(|(name, value)| (name.to_string(), Value::from(value.as_str())));
        Value::Object(pairs.collect())
    }

    fn write_xml(&self, out: &mut String) {
        out.push('<');
        out.push_str(&self.name);
        for (name, value) in &self.attributes {
            out.push(' ');
            out.push_str(name);
            out.push_str("=\"");
            out.push_str(&escape(value.as_str()));
            out.push('"');
        }
        if self.children.is_empty() {
            out.push_str("/>");
            return;
        }
        out.push('>');
        for child in &self.children {
            child.write_xml(out);
        }
        out.push_str("</");
        out.push_str(&self.name);
        out.push('>');
    }
}

/// Renders a whole answer.
pub(super) fn envelope(elements: &[Element], format: Format) -> Bytes {
    match format {
        Format::Json => json_envelope(elements.iter().map(Element::to_json).collect()),
        Format::Xml => xml_envelope(elements),
    }
}

/// Renders elements without their names and the level of `attributes`, as the list of login domains is.
pub(super) fn flat_envelope(elements: &[Element], format: Format) -> Bytes {
    match format {
        Format::Json => json_envelope(elements.iter().map(Element::flat_json).collect()),
        Format::Xml => xml_envelope(elements),
    }
}

fn json_envelope(imdata: Vec<Value>) -> Bytes {
    format!(r#"{{"totalCount":"{}","imdata":{}}}"#, imdata.len(), Value::from(imdata)).into()
}

fn xml_envelope(elements: &[Element]) -> Bytes {
    let mut out = format!(r#"<?xml version="1.0" encoding="UTF-8"?><imdata totalCount="{}">"#, elements.len());
    for element in elements {
        element.write_xml(&mut out);
    }
    out.push_str("</imdata>");
    out.into()
}

#[cfg(test)]
mod tests {
    use super::{Element, envelope, flat_envelope};
    use crate::simulator::render::Format;

    fn element() -> Element {
        Element::new("a").with("x", "1 < \"2\"").with_child(Element::new("b"))
    }

    #[test]
    fn json_nests_attributes_and_children() {
        let text = envelope(&[element()], Format::Json);

        let expected = r#"{"totalCount":"1","imdata":[{"a":{"attributes":{"x":"1 < \"2\""},"children":[{"b":{"attributes":{}}}]}}]}"#;
        assert_eq!(text, expected);
    }

    #[test]
    fn xml_begins_with_its_prolog_and_escapes_values() {
        let text = envelope(&[element()], Format::Xml);

        let expected = r#"<?xml version="1.0" encoding="UTF-8"?><imdata totalCount="1"><a x="1 &lt; &quot;2&quot;"><b/></a></imdata>"#;
        assert_eq!(text, expected);
    }

    #[test]
    fn flat_json_is_the_attributes_alone() {
        let text = flat_envelope(&[Element::new("a").with("name", "local")], Format::Json);

        assert_eq!(text, r#"{"totalCount":"1","imdata":[{"name":"local"}]}"#);
    }
}
