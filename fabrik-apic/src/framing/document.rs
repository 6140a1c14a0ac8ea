//! Rows in a JSON array: the whole document, or the `imdata` of an APIC answer.

use std::borrow::Cow;
use std::ops::Range;

use serde::de::IgnoredAny;

use super::value::ValueEnd;
use super::{Problem, kind_of_value};
use crate::rows::parse_count;

/// Reads the document around the rows, in a text that grows.
#[derive(Debug)]
pub(crate) struct DocumentScanner {
    expect: Expect,
    value: Option<(Token, ValueEnd)>,
    value_start: usize,
    at: usize,
    is_envelope: bool,
    members: EnvelopeMembers,
}

/// What was read of an APIC answer beside its objects.
#[derive(Debug, Default)]
struct EnvelopeMembers {
    name: String,
    total_count: Option<u64>,
    has_imdata: bool,
}

/// What may come next, between values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expect {
    Opening,
    FirstNameOrClose,
    Name,
    Colon,
    MemberValue,
    CommaOrClose,
    FirstRowOrClose,
    Row,
    RowCommaOrClose,
    Nothing,
}

/// What the value under way is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token {
    Name,
    Member,
    Row,
}

impl DocumentScanner {
    pub(crate) fn new(is_envelope: bool) -> Self {
        Self {
            expect: Expect::Opening,
            value: None,
            value_start: 0,
            at: 0,
            is_envelope,
            members: EnvelopeMembers::default(),
        }
    }

    /// Adds the rows that end in `text` to `rows`.
    pub(crate) fn scan(&mut self, text: &[u8], rows: &mut Vec<Range<usize>>) -> Result<(), Problem> {
        while self.at < text.len() {
            if let Some((token, end)) = &mut self.value {
                let Some(value_end) = end.find(text, self.at) else {
                    self.at = text.len();
                    return Ok(());
                };
                let token = *token;
                self.value = None;
                self.at = value_end;
                match token {
                    Token::Row => rows.push(self.value_start..value_end),
                    Token::Name => self.end_name(&text[self.value_start..value_end])?,
                    Token::Member => self.end_member(&text[self.value_start..value_end])?,
                }
            } else if matches!(text[self.at], b' ' | b'\t' | b'\r' | b'\n') {
                self.at += 1;
            } else {
                self.step(text[self.at])?;
            }
        }
        Ok(())
    }

    /// Says what is missing when the text ends here.
    pub(crate) fn finish(&self) -> Result<(), Problem> {
        match &self.value {
            Some((Token::Row, _)) => {
                return Err(Problem::in_next_row(self.value_start, "the input ends in the middle of it"));
            }
            Some(_) => return Err(Problem::at(self.value_start, "the input ends in the middle of a member")),
            None => {}
        }
        if self.expect != Expect::Nothing {
            return Err(Problem::at(self.at, format!("the input ends where {} was expected", self.expect.describe())));
        }
        if self.is_envelope && !self.members.has_imdata {
            return Err(Problem::at(
                self.at,
                "the answer has no \"imdata\"; expected an array of objects under this name",
            ));
        }
        Ok(())
    }

    /// Returns whether the value under way is a row.
    pub(super) fn is_in_row(&self) -> bool {
        matches!(self.value, Some((Token::Row, _)))
    }

    /// Goes on at `at`, where the row under way ends.
    pub(super) fn end_row(&mut self, at: usize) {
        self.value = None;
        self.at = at;
    }

    /// Returns whether more was to come.
    pub(crate) fn is_cut_off(&self) -> bool {
        self.value.is_some() || self.expect != Expect::Nothing
    }

    /// Returns the number of objects that the controller announced.
    pub(crate) fn total_count(&self) -> Option<u64> {
        self.members.total_count
    }

    /// Returns where the text begins that is needed again.
    pub(super) fn unfinished_from(&self) -> usize {
        if self.value.is_some() { self.value_start } else { self.at }
    }

    /// Follows the text when its first `n_bytes` are dropped.
    pub(super) fn drop_front(&mut self, n_bytes: usize) {
        self.at -= n_bytes;
        self.value_start = self.value_start.saturating_sub(n_bytes);
    }

    /// Takes one byte between values, or begins the value that it is the first byte of.
    fn step(&mut self, byte: u8) -> Result<(), Problem> {
        let after_array = if self.is_envelope { Expect::CommaOrClose } else { Expect::Nothing };
        let next = match (self.expect, byte) {
            (Expect::Opening, b'{') if self.is_envelope => Expect::FirstNameOrClose,
            (Expect::Opening, b'[') if !self.is_envelope => Expect::FirstRowOrClose,
            (Expect::FirstNameOrClose | Expect::CommaOrClose, b'}') => Expect::Nothing,
            (Expect::FirstNameOrClose | Expect::Name, b'"') => return self.begin(Token::Name, Expect::Colon),
            (Expect::Colon, b':') => Expect::MemberValue,
            (Expect::MemberValue, _) if self.members.name == "imdata" => {
                if byte != b'[' {
                    let found = kind_of_value(byte);
                    return Err(Problem::at(self.at, format!("\"imdata\" is {found}; expected an array of objects")));
                }
                Expect::FirstRowOrClose
            }
            (Expect::MemberValue, _) => return self.begin(Token::Member, Expect::CommaOrClose),
            (Expect::CommaOrClose, b',') => Expect::Name,
            (Expect::FirstRowOrClose | Expect::RowCommaOrClose, b']') => after_array,
            (Expect::FirstRowOrClose | Expect::Row, b'{') => return self.begin(Token::Row, Expect::RowCommaOrClose),
            (Expect::FirstRowOrClose | Expect::Row, _) => {
                let problem = format!("expected a JSON object, found {}", kind_of_value(byte));
                return Err(Problem::in_next_row(self.at, problem));
            }
            (Expect::RowCommaOrClose, b',') => Expect::Row,
            (expect, _) => {
                let problem = format!("expected {}, found {:?}", expect.describe(), char::from(byte));
                return Err(Problem::at(self.at, problem));
            }
        };
        self.at += 1;
        self.expect = next;
        Ok(())
    }

    fn begin(&mut self, token: Token, then: Expect) -> Result<(), Problem> {
        self.value = Some((token, ValueEnd::default()));
        self.value_start = self.at;
        self.expect = then;
        Ok(())
    }

    fn end_name(&mut self, text: &[u8]) -> Result<(), Problem> {
        let name: Cow<'_, str> = serde_json::from_slice(text)
            .map_err(|error| Problem::at(self.value_start, format!("a member name is no JSON string: {error}")))?;
        let is_duplicate = match &*name {
            "imdata" => std::mem::replace(&mut self.members.has_imdata, true),
            "totalCount" => self.members.total_count.is_some(),
            _ => false,
        };
        if is_duplicate {
            return Err(Problem::at(self.value_start, format!("member {name:?} is there twice")));
        }
        self.members.name = name.into_owned();
        Ok(())
    }

    fn end_member(&mut self, text: &[u8]) -> Result<(), Problem> {
        let name = &self.members.name;
        let is_json = std::str::from_utf8(text).is_ok_and(|text| serde_json::from_str::<IgnoredAny>(text).is_ok());
        if !is_json {
            return Err(Problem::at(self.value_start, format!("the value of member {name:?} is not valid JSON")));
        }
        if name == "totalCount" {
            let digits = text.strip_prefix(b"\"").and_then(|text| text.strip_suffix(b"\"")).unwrap_or(text);
            let count = std::str::from_utf8(digits).ok().and_then(parse_count).ok_or_else(|| {
                let found: String = String::from_utf8_lossy(text).chars().take(120).collect();
                Problem::at(self.value_start, format!("\"totalCount\" is {found}; expected a number"))
            })?;
            self.members.total_count = Some(count);
        }
        Ok(())
    }
}

impl Expect {
    fn describe(self) -> &'static str {
        match self {
            Self::Opening => "'[' or '{'",
            Self::FirstNameOrClose => "a member name or '}'",
            Self::Name => "a member name",
            Self::Colon => "':'",
            Self::MemberValue => "a value",
            Self::CommaOrClose => "',' or '}'",
            Self::FirstRowOrClose => "a row or ']'",
            Self::Row => "a row",
            Self::RowCommaOrClose => "',' or ']'",
            Self::Nothing => "the end of the input",
        }
    }
}
