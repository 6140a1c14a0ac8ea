//! What an input can be, and how to tell from its first bytes.

use std::fmt;
use std::str::FromStr;

use fabrik_core::Error;

use crate::input::Input;

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
}

impl InputFormat {
    /// All formats.
    pub const ALL: [Self; 4] = [Self::Apic, Self::Ndjson, Self::Json, Self::Csv];

    /// Returns the name: `apic`, `ndjson`, `json` or `csv`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Apic => "apic",
            Self::Ndjson => "ndjson",
            Self::Json => "json",
            Self::Csv => "csv",
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
            expected: "apic, ndjson, json or csv".to_owned(),
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
}

impl Container {
    /// Tells the container from the first bytes, or says why the input is none, or not what `format` allows.
    pub(crate) fn detect(input: &Input, format: Option<InputFormat>) -> Result<Self, String> {
        let text = input.head.trim_ascii_start();
        if text.is_empty() {
            return Err(if input.is_whole {
                "empty input; expected rows as JSON, NDJSON or CSV".to_owned()
            } else {
                "nothing but white space at the beginning; expected rows as JSON, NDJSON or CSV".to_owned()
            });
        }
        if text.starts_with(b"\xff\xfe") || text.starts_with(b"\xfe\xff") {
            return Err("the text is encoded as UTF-16; expected UTF-8".to_owned());
        }
        let found = match text[0] {
            b'[' => Self::Array,
            b'{' if begins_an_envelope(text) => Self::Envelope,
            b'{' => Self::Lines,
            b'<' => return Err(describe_markup(text)),
            _ => Self::Table,
        };
        let allowed = match (format, found) {
            (None, Self::Table) => return text_is_a_table(text, input.is_whole).map(|()| Self::Table),
            (Some(InputFormat::Csv), _) => return Ok(Self::Table),
            (None, _) => true,
            (Some(InputFormat::Apic), container) => container != Self::Table,
            (Some(InputFormat::Json), container) => matches!(container, Self::Array | Self::Envelope),
            (Some(InputFormat::Ndjson), container) => container == Self::Lines,
        };
        match format {
            Some(format) if !allowed => Err(format!("expected {}, found {}", format.describe(), found.describe())),
            _ => Ok(found),
        }
    }

    fn describe(self) -> &'static str {
        match self {
            Self::Array => "a JSON array",
            Self::Envelope => "an APIC answer",
            Self::Lines => "a JSON object that is no APIC answer",
            Self::Table => "text that does not begin with '[' or '{'",
        }
    }
}

impl InputFormat {
    fn describe(self) -> &'static str {
        match self {
            Self::Apic => "APIC objects",
            Self::Ndjson => "one JSON object a line",
            Self::Json => "a JSON array of rows or an APIC answer",
            Self::Csv => "comma-separated values",
        }
    }
}

/// Returns whether the object's first member is one that the controller sends beside its objects.
fn begins_an_envelope(text: &[u8]) -> bool {
    let after_brace = text[1..].trim_ascii_start();
    let Some(name) = after_brace.strip_prefix(b"\"") else { return false };
    ["totalCount\"", "imdata\"", "subscriptionId\""].iter().any(|member| name.starts_with(member.as_bytes()))
}

/// Says what kind of page came in place of JSON; the controller's web server sends such pages.
fn describe_markup(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    if !text.contains("<imdata") {
        return "it is an HTML or XML page, as a web server sends in place of an answer; \
                expected JSON, NDJSON or CSV"
            .to_owned();
    }
    let attribute = |name: &str| {
        let (_, error) = text.split_once("<error ")?;
        let (_, value) = error.split_once(&format!("{name}=\""))?;
        value.split_once('"').map(|(value, _)| value)
    };
    match (attribute("code"), attribute("text")) {
        (Some(code), Some(text)) => format!("the controller answered with error {code}: {text}"),
        _ => "it is an APIC answer in XML; expected its JSON form, from a path that ends in .json".to_owned(),
    }
}

fn text_is_a_table(text: &[u8], is_whole: bool) -> Result<(), String> {
    let line_end = memchr::memchr(b'\n', text);
    let line = &text[..line_end.unwrap_or(text.len())];
    let is_binary = line.iter().any(|&byte| byte < b' ' && !matches!(byte, b'\t' | b'\r'));
    let is_lone_word = line_end.is_none() && is_whole && !line.contains(&b',');
    if is_binary || is_lone_word {
        return Err("it is not JSON, NDJSON or CSV".to_owned());
    }
    if line.starts_with(b"Total Objects shown:") {
        return Err("it is what moquery prints as text; expected its JSON form (moquery -o json)".to_owned());
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
        let error = "xml".parse::<InputFormat>().unwrap_err();

        assert_eq!(error.to_string(), r#"format "xml" is not valid: expected apic, ndjson, json or csv"#);
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
            (b"hello", "not JSON, NDJSON or CSV"),
            (b"null", "not JSON, NDJSON or CSV"),
            (b"PK\x03\x04,\n\x00", "not JSON, NDJSON or CSV"),
            (b"\xff\xfe{\0", "UTF-16"),
            (b"<html><hr><center>Cisco APIC</center>", "HTML or XML page"),
            (b"<?xml version=\"1.0\"?><imdata totalCount=\"0\"/>", "APIC answer in XML"),
            (b"<imdata><error code=\"403\" text=\"Token was invalid\"/></imdata>", "error 403: Token was invalid"),
            (b"Total Objects shown: 3\n\n# fault.Inst\n", "moquery"),
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
    }
}
