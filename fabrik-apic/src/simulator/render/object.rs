//! Objects of the tree as JSON or XML.

use super::Format;
use super::escape;
use super::labels::Labels;
use crate::simulator::class::Role;
use crate::simulator::error::ApicError;
use crate::simulator::mit::Node;
use crate::simulator::query::Properties;

/// How an object says where it is.
#[derive(Clone, Copy, Debug)]
pub(in crate::simulator) enum Naming<'a> {
    /// By its DN, as hits do.
    Dn,
    /// By its name below the object around it.
    Rn(&'a str),
    /// By both: it is shown inside an object that is not its parent.
    Both(&'a str),
}

/// Writes objects one after the other, each with what is nested in it.
#[derive(Debug)]
pub(in crate::simulator) struct Renderer {
    out: Vec<u8>,
    format: Format,
    properties: Properties,
    /// How many more objects may come.
    left: usize,
}

impl Renderer {
    pub(in crate::simulator) fn new(out: Vec<u8>, format: Format, properties: Properties, limit: usize) -> Self {
        Self { out, format, properties, left: limit }
    }

    pub(in crate::simulator) fn into_inner(self) -> Vec<u8> {
        self.out
    }

    /// Writes an object; `children` writes what is nested in it, with [`Renderer::begin_child`] before each.
    pub(in crate::simulator) fn object(
        &mut self,
        node: &Node,
        naming: Naming<'_>,
        children: impl FnOnce(&mut Self) -> Result<(), ApicError>,
    ) -> Result<(), ApicError> {
        self.left = self.left.checked_sub(1).ok_or_else(ApicError::too_big)?;
        if self.format == Format::Json && self.out.last() == Some(&b'}') {
            self.out.push(b',');
        }
        self.attributes(node, naming);
        match self.format {
            Format::Json => {
                self.out.push(b'}');
                let before = self.out.len();
                self.out.extend_from_slice(b",\"children\":[");
                let empty = self.out.len();
                children(self)?;
                if self.out.len() == empty {
                    self.out.truncate(before);
                } else {
                    self.out.push(b']');
                }
                self.out.extend_from_slice(b"}}");
            }
            Format::Xml => {
                self.out.push(b'>');
                let empty = self.out.len();
                children(self)?;
                if self.out.len() == empty {
                    self.out.truncate(empty - 1);
                    self.out.extend_from_slice(b"/>");
                } else {
                    self.out.extend_from_slice(b"</");
                    self.out.extend_from_slice(node.class().name.as_bytes());
                    self.out.push(b'>');
                }
            }
        }
        Ok(())
    }

    fn attributes(&mut self, node: &Node, naming: Naming<'_>) {
        let (class, body) = (node.class(), node.body());
        let labels = Labels::of(class, self.format);
        let (with_dn, rn) = match naming {
            Naming::Dn => (true, None),
            Naming::Rn(rn) => (false, Some(rn)),
            Naming::Both(rn) => (true, Some(rn)),
        };
        let (escaped, rn_label) = match self.format {
            Format::Json => (body.escapes().json, Labels::JSON_RN),
            Format::Xml => (body.escapes().xml, Labels::XML_RN),
        };
        let (format, properties, out) = (self.format, self.properties, &mut self.out);
        out.reserve(labels.len + body.len() + 64);
        out.extend_from_slice(&labels.head);
        // The first label does not end a value before it.
        let mut skip = Labels::FIRST;
        for (place, label) in labels.attributes.iter().enumerate() {
            if place == class.rn_before
                && let Some(rn) = rn
            {
                out.extend_from_slice(&rn_label[std::mem::take(&mut skip)..]);
                escape::write(format, rn.as_bytes(), out);
            }
            if place == class.dn {
                if !with_dn {
                    continue;
                }
            } else if properties != Properties::All && !shows(properties, class.attributes[place].role) {
                continue;
            }
            out.extend_from_slice(&label[std::mem::take(&mut skip)..]);
            let value = body.value_bytes(place);
            if escaped {
                escape::write(format, value, out);
            } else {
                out.extend_from_slice(value);
            }
        }
        out.push(b'"');
    }
}

fn shows(properties: Properties, role: Role) -> bool {
    match properties {
        Properties::All => true,
        Properties::Naming => role == Role::Naming,
        Properties::Config => role != Role::State,
        Properties::State => role == Role::State,
    }
}
