//! Trees of objects, the forms in which they are written down, and what is read of them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{Cursor, Write as _};

use fabrik_core::{Coverage, Result, Source, Verdict};
use proptest::prelude::*;
use serde_json::{Map, Value};

use crate::format::InputFormat;
use crate::recorded::RecordedSource;

/// An object with everything below it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Tree {
    pub(crate) class: String,
    pub(crate) attributes: BTreeMap<String, String>,
    pub(crate) children: Vec<Self>,
}

impl Tree {
    pub(crate) fn new(class: &str, attributes: &[(&str, &str)], children: Vec<Self>) -> Self {
        let attributes = attributes.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Self { class: class.to_owned(), attributes, children }
    }

    /// Writes the object as JSON; attributes come behind the children if `children_first`.
    pub(crate) fn to_json(&self, children_first: bool) -> String {
        let attributes = serde_json::to_string(&self.attributes).unwrap();
        let attributes = format!("\"attributes\":{attributes}");
        let children: Vec<String> = self.children.iter().map(|child| child.to_json(children_first)).collect();
        let children = format!("\"children\":[{}]", children.join(" ,\n"));
        let members = match (self.children.is_empty(), children_first) {
            (true, _) => attributes,
            (false, true) => format!("{children},{attributes}"),
            (false, false) => format!("{attributes},{children}"),
        };
        format!("{{{}:{{{members}}}}}", serde_json::to_string(&self.class).unwrap())
    }

    pub(crate) fn to_xml(&self) -> String {
        let mut text = format!("<{}", self.class);
        for (name, value) in &self.attributes {
            write!(text, " {name}=\"{}\"", escape(value)).unwrap();
        }
        if self.children.is_empty() {
            text.push_str("/>");
            return text;
        }
        text.push('>');
        for child in &self.children {
            text.push_str(&child.to_xml());
        }
        writeln!(text, "</{}>", self.class).unwrap();
        text
    }

    /// Writes the objects of an answer.
    pub(crate) fn answer_json(trees: &[Self], children_first: bool) -> String {
        let objects: Vec<String> = trees.iter().map(|tree| tree.to_json(children_first)).collect();
        format!("{{\"totalCount\":\"{}\",\"imdata\":[{}]}}", trees.len(), objects.join(","))
    }

    pub(crate) fn answer_xml(trees: &[Self]) -> String {
        let objects: String = trees.iter().map(Self::to_xml).collect();
        format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?><imdata totalCount=\"{}\">\n{objects}</imdata>\n",
            trees.len()
        )
    }

    /// Reads an answer's object back from what `serde_json` makes of it.
    pub(crate) fn from_json(object: &Map<String, Value>) -> Self {
        let (class, body) = object.iter().next().unwrap();
        let attributes = body.get("attributes").and_then(Value::as_object).into_iter().flatten();
        Self {
            class: class.clone(),
            attributes: attributes.map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned())).collect(),
            children: body.get("children").and_then(Value::as_array).map_or_else(Vec::new, |children| {
                children.iter().map(|child| Self::from_json(child.as_object().unwrap())).collect()
            }),
        }
    }
}

/// Escapes a value for XML so that every reader gets it back as it was.
fn escape(value: &str) -> String {
    let mut escaped = String::new();
    for c in value.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '"' => escaped.push_str("&quot;"),
            c if c < ' ' => write!(escaped, "&#{};", u32::from(c)).unwrap(),
            c => escaped.push(c),
        }
    }
    escaped
}

/// Makes trees as answers have them: DNs at the top, relative names or nothing below.
pub(crate) fn trees() -> impl Strategy<Value = Vec<Tree>> {
    let value = "[ -~äß\u{1}\n\t\r\u{2028}😀]{0,6}";
    let attributes = prop::collection::btree_map("[a-c]{1,2}|name", value, 0..4);
    let class = prop::sample::select(vec!["fvBD", "fvSubnet", "aB", "polUni"]);
    let leaf = (class.clone(), attributes.clone(), prop::option::of("[a-z]{1,3}(-\\[[a-z/]{1,4}\\])?"));
    let nested = leaf.prop_map(|(class, mut attributes, rn)| {
        if let Some(rn) = rn {
            attributes.insert("rn".to_owned(), rn);
        }
        Tree { class: class.to_owned(), attributes, children: Vec::new() }
    });
    let nested = nested.prop_recursive(4, 12, 3, move |inner| {
        (class.clone(), attributes.clone(), "[a-z]{1,3}", prop::collection::vec(inner, 0..3)).prop_map(
            |(class, mut attributes, rn, children)| {
                attributes.insert("rn".to_owned(), rn);
                Tree { class: class.to_owned(), attributes, children }
            },
        )
    });
    let top = (nested, "[a-z]{1,3}(/[a-z]{1,2}){0,2}").prop_map(|(mut tree, dn)| {
        tree.attributes.remove("rn");
        // The class tells the DN of a root; see what is read when an answer has it in parts.
        let dn = if tree.class == "polUni" { "uni".to_owned() } else { dn };
        tree.attributes.insert("dn".to_owned(), dn);
        tree
    });
    prop::collection::vec(top, 0..5)
}

/// What was read of an input.
#[derive(Debug, PartialEq)]
pub(crate) struct ReadBack {
    /// As JSON texts, in the order of arrival.
    pub(crate) rows: Vec<String>,
    pub(crate) verdict: Verdict,
    pub(crate) coverage: Coverage,
}

impl ReadBack {
    pub(crate) fn sorted(mut self) -> Self {
        self.rows.sort();
        self
    }
}

pub(crate) fn drain(source: &mut RecordedSource) -> Result<ReadBack> {
    let mut rows = Vec::new();
    while let Some(batch) = pollster::block_on(source.next_batch())? {
        assert!(!batch.is_empty());
        rows.extend(batch.iter().map(|row| serde_json::to_string(&row).unwrap()));
    }
    Ok(ReadBack { rows, verdict: source.verdict(), coverage: source.coverage() })
}

pub(crate) fn read(input: impl Into<Vec<u8>>, format: Option<InputFormat>) -> Result<ReadBack> {
    drain(&mut RecordedSource::from_reader("here", Box::new(Cursor::new(input.into())), format)?)
}

/// Returns what is wrong with an input, without its name.
pub(crate) fn problem(input: impl Into<Vec<u8>>) -> String {
    let error = read(input, None).unwrap_err().to_string();
    error.strip_prefix("here").unwrap().trim_start_matches(" cannot be captured: ").to_owned()
}

/// Packs files as a tar archive.
pub(crate) fn tar(files: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, name, content.as_slice()).unwrap();
    }
    builder.into_inner().unwrap()
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Packs files as a zip archive, every other one without compression.
pub(crate) fn zip(files: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (i, (name, content)) in files.iter().enumerate() {
        let methods = [zip::CompressionMethod::Deflated, zip::CompressionMethod::Stored];
        let options = zip::write::SimpleFileOptions::default().compression_method(methods[i % 2]);
        writer.start_file(name, options).unwrap();
        writer.write_all(content).unwrap();
    }
    writer.finish().unwrap().into_inner()
}
