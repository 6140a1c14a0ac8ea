//! What an input can be, and how to tell from its first bytes.

use std::fmt;
use std::str::FromStr;

use fabrik_core::Error;

use crate::framing::tree::begins_an_object;
use crate::framing::value::ends_with_its_value;
use crate::input::Input;
use crate::moquery::is_moquery;
use crate::naming;

/// The form of a recorded file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum InputFormat {
    /// APIC objects: an answer with its `imdata`, a bare list of objects, or one object a line.
    Apic,
    /// One JSON object a line: flat rows, or APIC objects as in an answer's `imdata`.
    Ndjson,
    /// A JSON array of flat rows or of APIC objects, or a whole APIC answer.
    Json,
    /// Comma-separated values; the first line names the columns.
    Csv,
    /// APIC objects as XML: an answer with its `imdata`, or one tree of objects.
    Xml,
    /// What `moquery` prints: text, or an answer as JSON or XML.
    Moquery,
    /// A configuration export: trees of objects as JSON or XML, packed or a single one, whose DNs follow from their
    /// naming properties.
    ConfigExport,
    /// A folder, a zip archive or a tar archive of files of any other form.
    Archive,
}

impl InputFormat {
    /// All formats.
    pub const ALL: [Self; 8] =
        [Self::Apic, Self::Ndjson, Self::Json, Self::Csv, Self::Xml, Self::Moquery, Self::ConfigExport, Self::Archive];

    /// Returns the name: `apic`, `ndjson`, `json`, `csv`, `xml`, `moquery`, `config-export` or `archive`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Apic => "apic",
            Self::Ndjson => "ndjson",
            Self::Json => "json",
            Self::Csv => "csv",
            Self::Xml => "xml",
            Self::Moquery => "moquery",
            Self::ConfigExport => "config-export",
            Self::Archive => "archive",
        }
    }

    /// Returns whether flat rows are not of this format.
    pub(crate) fn has_objects_only(self) -> bool {
        matches!(self, Self::Apic | Self::Xml | Self::Moquery | Self::ConfigExport)
    }

    /// Returns the format that the files of an archive have to have, when the archive was said to be of this one.
    pub(crate) fn of_members(self) -> Option<Self> {
        (self != Self::Archive).then_some(self)
    }

    fn describe(self) -> &'static str {
        match self {
            Self::Apic => "APIC objects",
            Self::Ndjson => "one JSON object a line",
            Self::Json => "a JSON array of rows or an APIC answer",
            Self::Csv => "comma-separated values",
            Self::Xml => "APIC objects in XML",
            Self::Moquery => "what moquery prints",
            Self::ConfigExport => "a configuration export",
            Self::Archive => "a folder, a zip archive or a tar archive",
        }
    }
}

impl fmt::Display for InputFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for InputFormat {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::ALL.into_iter().find(|format| format.name() == text).ok_or_else(|| Error::InvalidArgument {
            field: "format",
            value: text.chars().take(120).collect(),
            expected: "apic, ndjson, json, csv, xml, moquery, config-export or archive".to_owned(),
        })
    }
}

/// How the rows of an input are held together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Container {
    /// `[row, row]`
    Array,
    /// `{"totalCount": "2", "imdata": [row, row]}`
    Envelope,
    /// A row a line.
    Lines,
    /// A header line and a line for each row.
    Table,
    /// APIC objects one after the other, each over any number of lines: as a rule one, with everything below it.
    Trees,
    /// Elements, which are APIC objects.
    Xml,
    /// Objects as moquery prints them.
    Moquery,
    /// Several files.
    Tar,
}

impl Container {
    /// Tells the container from the first bytes, or says why the input is none, or not what `format` allows.
    pub(crate) fn detect(input: &Input, format: Option<InputFormat>) -> Result<Self, String> {
        let text = input.head.trim_ascii_start();
        if text.is_empty() {
            return Err(if input.is_whole {
                "empty input; expected rows as JSON, NDJSON, XML or CSV".to_owned()
            } else {
                "nothing but white space at the beginning; expected rows as JSON, NDJSON, XML or CSV".to_owned()
            });
        }
        if text.starts_with(b"\xff\xfe") || text.starts_with(b"\xfe\xff") {
            return Err("the text is encoded as UTF-16; expected UTF-8".to_owned());
        }
        let found = match text[0] {
            _ if input.begins_a_tar() => Self::Tar,
            _ if input.begins_an_archive() => {
                return Err("it is a zip archive, which is read from a file of its own only".to_owned());
            }
            b'[' => Self::Array,
            b'{' if begins_an_envelope(text) => Self::Envelope,
            b'{' if format != Some(InputFormat::Ndjson) && begins_a_tree(text, input.is_whole) => Self::Trees,
            b'{' => Self::Lines,
            b'<' if is_web_page(text) => {
                return Err("it is an HTML page, as a web server sends in place of an answer; \
                            expected JSON, NDJSON, XML or CSV"
                    .to_owned());
            }
            b'<' => Self::Xml,
            _ if is_moquery(text) => Self::Moquery,
            _ => Self::Table,
        };
        let allowed = match (format, found) {
            (Some(InputFormat::Csv), container) if container != Self::Tar => return Ok(Self::Table),
            (Some(InputFormat::ConfigExport), Self::Lines) => return Ok(Self::Trees),
            (None, Self::Table) => return text_is_a_table(text, input.is_whole).map(|()| Self::Table),
            (None, _) | (Some(_), Self::Tar) => true,
            (Some(InputFormat::Apic), container) => {
                matches!(container, Self::Array | Self::Envelope | Self::Lines | Self::Trees)
            }
            (Some(InputFormat::Json), container) => matches!(container, Self::Array | Self::Envelope),
            (Some(InputFormat::Ndjson), container) => container == Self::Lines,
            (Some(InputFormat::Xml), container) => container == Self::Xml,
            (Some(InputFormat::Moquery), container) => {
                matches!(container, Self::Moquery | Self::Array | Self::Envelope | Self::Xml)
            }
            (Some(InputFormat::ConfigExport), container) => {
                matches!(container, Self::Trees | Self::Xml | Self::Array | Self::Envelope)
            }
            (Some(InputFormat::Csv | InputFormat::Archive), _) => false,
        };
        match format {
            Some(format) if !allowed => Err(format!("expected {}, found {}", format.describe(), found.describe())),
            _ => Ok(found),
        }
    }

    /// Returns whether this is the tree of a configuration export: it begins with a root instead of an answer.
    pub(crate) fn is_config_tree(self, input: &Input) -> bool {
        let text = input.head.trim_ascii_start();
        match self {
            Self::Trees => first_member_name(text).is_some_and(naming::is_root),
            Self::Xml => root_element(text).is_some_and(naming::is_root),
            _ => false,
        }
    }

    fn describe(self) -> &'static str {
        match self {
            Self::Array => "a JSON array",
            Self::Envelope => "an APIC answer",
            Self::Lines => "a JSON object that is no APIC answer",
            Self::Table => "text that does not begin with '[', '{' or '<'",
            Self::Trees => "an APIC object that is in no list",
            Self::Xml => "XML",
            Self::Moquery => "what moquery prints as text",
            Self::Tar => "a tar archive",
        }
    }
}

/// Returns whether the object's first member is one that the controller sends beside its objects.
fn begins_an_envelope(text: &[u8]) -> bool {
    matches!(first_member_name(text), Some("totalCount" | "imdata" | "subscriptionId"))
}

/// Returns the name of an object's first member, unless it has escapes.
fn first_member_name(text: &[u8]) -> Option<&str> {
    let name = text.strip_prefix(b"{")?.trim_ascii_start().strip_prefix(b"\"")?;
    std::str::from_utf8(&name[..memchr::memchr2(b'"', b'\\', name)?]).ok()
}

/// Returns whether an APIC object begins that is not one of those that stand on a line each.
fn begins_a_tree(text: &[u8], is_whole: bool) -> bool {
    if !begins_an_object(text) {
        return false;
    }
    if first_member_name(text).is_some_and(naming::is_root) {
        return true;
    }
    let line_end = memchr::memchr(b'\n', text);
    let line = &text[..line_end.unwrap_or(text.len())];
    let is_whole_line = line_end.is_some() || is_whole;
    !(is_whole_line && ends_with_its_value(line))
}

/// Returns whether an XML text is a page for people.
fn is_web_page(text: &[u8]) -> bool {
    const ELEMENTS: [&str; 8] = ["body", "center", "h1", "head", "hr", "html", "p", "title"];
    let doctype = b"<!doctype html";
    let begins_as_page = text.get(..doctype.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(doctype));
    begins_as_page || root_element(text).is_some_and(|name| ELEMENTS.contains(&name.to_ascii_lowercase().as_str()))
}

/// Returns the name of the first element in a text that begins with markup.
fn root_element(text: &[u8]) -> Option<&str> {
    let mut rest = text;
    loop {
        rest = rest.trim_ascii_start().strip_prefix(b"<")?;
        let end: &[u8] = match rest {
            [b'?', ..] => b"?>",
            [b'!', b'-', b'-', ..] => b"-->",
            [b'!', ..] => b">",
            _ => break,
        };
        rest = &rest[memchr::memmem::find(rest, end)? + end.len()..];
    }
    let is_end = |byte: &u8| byte.is_ascii_whitespace() || matches!(byte, b'/' | b'>');
    std::str::from_utf8(&rest[..rest.iter().position(is_end)?]).ok()
}

fn text_is_a_table(text: &[u8], is_whole: bool) -> Result<(), String> {
    let line_end = memchr::memchr(b'\n', text);
    let line = &text[..line_end.unwrap_or(text.len())];
    let is_binary = line.iter().any(|&byte| byte < b' ' && !matches!(byte, b'\t' | b'\r'));
    let is_lone_word = line_end.is_none() && is_whole && !line.contains(&b',');
    if is_binary || is_lone_word {
        return Err("it is not JSON, NDJSON, XML or CSV".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;
    use std::sync::Arc;

    use super::*;

    fn detect(text: &[u8], format: Option<InputFormat>) -> Result<Container, String> {
        let input = Input::open(Box::new(Cursor::new(text.to_vec())), Arc::default()).unwrap();
        Container::detect(&input, format)
    }

    #[test]
    fn names_round_trip() {
        for format in InputFormat::ALL {
            assert_eq!(format.to_string().parse::<InputFormat>().unwrap(), format);
        }
    }

    #[test]
    fn unknown_name_is_reported_with_what_was_expected() {
        let error = "yaml".parse::<InputFormat>().unwrap_err();

        let expected = "apic, ndjson, json, csv, xml, moquery, config-export or archive";
        assert_eq!(error.to_string(), format!("format \"yaml\" is not valid: expected {expected}"));
    }

    #[test]
    fn content_tells_the_container() {
        for (text, expected) in [
            (&b" \n[{}]"[..], Container::Array),
            (b"\xef\xbb\xbf[]", Container::Array),
            (b"{ \"imdata\" : []}", Container::Envelope),
            (b"{\"totalCount\":\"0\"", Container::Envelope),
            (b"{\"subscriptionId\":\"1\"", Container::Envelope),
            (b"{\"dn\":\"uni\"}", Container::Lines),
            (b"{}", Container::Lines),
            (b"dn,name", Container::Table),
            (b"dn\nuni\n", Container::Table),
            (br#"{"a":{"attributes":{}}}"#, Container::Lines),
            (b"{\"a\":{\"attributes\":{}}}\r\n{\"a\":1}", Container::Lines),
            (b"{\"a\":{\n\"attributes\":{}}}", Container::Trees),
            (b"{\"a\":{\"children\":[\n]}}", Container::Trees),
            (br#"{"polUni":{"attributes":{}}}"#, Container::Trees),
            (br#"{ "topRoot" : { "children" : [] } }"#, Container::Trees),
            (b"<?xml version=\"1.0\"?><imdata totalCount=\"0\"/>", Container::Xml),
            (b"<polUni/>", Container::Xml),
            (b"\nTotal Objects shown: 3\n\n# fault.Inst\n", Container::Moquery),
            (b"No Mos found\n", Container::Moquery),
        ] {
            assert_eq!(detect(text, None), Ok(expected), "{}", String::from_utf8_lossy(text));
        }
    }

    #[test]
    fn what_is_no_format_is_refused() {
        for (text, part) in [
            (&b""[..], "empty input"),
            (b" \r\n\t", "empty input"),
            (b"\xef\xbb\xbf", "empty input"),
            (b"hello", "not JSON, NDJSON, XML or CSV"),
            (b"null", "not JSON, NDJSON, XML or CSV"),
            (b"\x01\x02,\n\x00", "not JSON, NDJSON, XML or CSV"),
            (b"PK\x03\x04,\n\x00", "a zip archive"),
            (b"\xff\xfe{\0", "UTF-16"),
            (b"<html><hr><center>Cisco APIC</center>", "HTML page"),
            (b"<!DOCTYPE HTML PUBLIC \"-//IETF//DTD HTML 2.0//EN\">\n<x>", "HTML page"),
            (b"<!-- a -->\n<HEAD>", "HTML page"),
        ] {
            let problem = detect(text, None).unwrap_err();
            assert!(problem.contains(part), "{}: {problem}", String::from_utf8_lossy(text));
        }
    }

    #[test]
    fn named_format_restricts_what_is_taken() {
        assert_eq!(detect(b"a,b", Some(InputFormat::Csv)), Ok(Container::Table));
        assert_eq!(detect(b"{\"a\":1}", Some(InputFormat::Csv)), Ok(Container::Table));
        assert_eq!(detect(b"{\"imdata\":[]}", Some(InputFormat::Json)), Ok(Container::Envelope));
        assert_eq!(
            detect(b"{\"imdata\":[]}", Some(InputFormat::Ndjson)),
            Err("expected one JSON object a line, found an APIC answer".to_owned())
        );
        assert!(detect(b"{\"a\":1}", Some(InputFormat::Json)).is_err());
        assert!(detect(b"a,b\n1,2", Some(InputFormat::Apic)).is_err());
        assert!(detect(b"a,b\n1,2", Some(InputFormat::Archive)).is_err());
        assert!(detect(b"[]", Some(InputFormat::Xml)).is_err());
        assert_eq!(detect(b"[]", Some(InputFormat::Moquery)), Ok(Container::Array));
        let object = br#"{"a":{"attributes":{}}}"#;
        assert_eq!(detect(object, Some(InputFormat::ConfigExport)), Ok(Container::Trees));
        let root = br#"{"polUni":{"attributes":{}}}"#;
        assert_eq!(detect(root, Some(InputFormat::Ndjson)), Ok(Container::Lines));
    }
}
