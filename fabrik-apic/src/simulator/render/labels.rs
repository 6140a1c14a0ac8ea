//! The fixed text around the values of an object, made once per class.

use std::sync::LazyLock;

use super::Format;
use crate::simulator::class::{self, Class};

/// What stands before the values of one class in one format.
#[derive(Debug)]
pub(super) struct Labels {
    /// Up to the first attribute.
    pub(super) head: Box<[u8]>,
    /// From the value before to the value of this attribute; [`Labels::FIRST`] bytes less for the first.
    pub(super) attributes: Vec<Box<[u8]>>,
    /// How many bytes all of it has.
    pub(super) len: usize,
}

impl Labels {
    /// How many bytes of a label end the value before.
    pub(super) const FIRST: usize = 2;
    pub(super) const JSON_RN: &[u8] = b"\",\"rn\":\"";
    pub(super) const XML_RN: &[u8] = b"\" rn=\"";

    /// Returns the labels of a class.
    pub(super) fn of(class: &Class, format: Format) -> &'static Self {
        static ALL: LazyLock<[Vec<Labels>; 2]> = LazyLock::new(|| {
            [Format::Json, Format::Xml]
                .map(|format| class::all().iter().map(|class| Labels::new(class, format)).collect())
        });
        let [json, xml] = &*ALL;
        match format {
            Format::Json => &json[class.id.index()],
            Format::Xml => &xml[class.id.index()],
        }
    }

    fn new(class: &Class, format: Format) -> Self {
        let (head, before, after) = match format {
            Format::Json => (format!("{{\"{}\":{{\"attributes\":{{", class.name), "\",\"", "\":\""),
            Format::Xml => (format!("<{} ", class.name), "\" ", "=\""),
        };
        let attributes: Vec<Box<[u8]>> = class
            .attributes
            .iter()
            .map(|attribute| format!("{before}{}{after}", attribute.name).into_bytes().into_boxed_slice())
            .collect();
        let len = head.len() + attributes.iter().map(|label| label.len()).sum::<usize>();
        Self { head: head.into_bytes().into_boxed_slice(), attributes, len }
    }
}
