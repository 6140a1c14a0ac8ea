//! One managed object, however much is nested below it, cut into the texts of single objects.
//!
//! A whole fabric can be one object: a configuration export, or a query for `uni` with everything below.
//! So an object is handed out as soon as its attributes are known, and its children after it. What is held is the
//! text of one object's attributes. Attributes that come after the children are no rule, but JSON allows it; such an
//! object is handed out as a whole.

use std::ops::Range;

use super::value::ValueEnd;
use super::{Problem, kind_of_value};
use crate::naming;
use crate::object::MAX_LEVELS;

/// What is found of an object, in the order of the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// An object begins: the JSON texts of its class and of its attributes.
    Object { class: Range<usize>, attributes: Range<usize> },
    /// A root begins whose attributes may follow: its class tells its place.
    Root { class: Range<usize> },
    /// The attributes of the root under way.
    RootAttributes(Range<usize>),
    /// An object with everything below it.
    Whole(Range<usize>),
    /// The object under way ends.
    End,
}

impl Part {
    /// Returns where the part stands in the text.
    pub(crate) fn start(&self) -> usize {
        match self {
            Self::Object { class, .. } | Self::Root { class } => class.start,
            Self::RootAttributes(range) | Self::Whole(range) => range.start,
            Self::End => 0,
        }
    }
}

/// Reads one object in a text that grows.
#[derive(Debug)]
pub(super) struct TreeScanner {
    expect: Expect,
    value: Option<(Token, ValueEnd)>,
    value_start: usize,
    at: usize,
    /// Of the object whose attributes are still to come.
    begun: Option<Begun>,
    open: Vec<Open>,
}

/// An object that was not handed out yet.
#[derive(Debug)]
struct Begun {
    start: usize,
    class: Range<usize>,
}

/// An object whose end is still to come.
#[derive(Debug, Default)]
struct Open {
    has_attributes: bool,
    has_children: bool,
    /// Whether it is the object above all roots.
    is_above_roots: bool,
}

/// What may come next, between values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expect {
    Object,
    Class,
    ClassColon,
    Body,
    FirstMember,
    Member,
    AttributesColon,
    ChildrenColon,
    Attributes,
    Children,
    MemberCommaOrClose,
    FirstChildOrClose,
    ChildCommaOrClose,
    Close,
    Nothing,
}

/// What the value under way is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token {
    Class,
    Member,
    Attributes,
    Whole,
}

impl TreeScanner {
    /// Begins with the object at `start`.
    pub(super) fn new(start: usize) -> Self {
        Self { expect: Expect::Object, value: None, value_start: start, at: start, begun: None, open: Vec::new() }
    }

    /// Adds what ends in `text` to `parts`; returns where the outermost object ends, when it does.
    pub(super) fn scan(&mut self, text: &[u8], parts: &mut Vec<Part>) -> Result<Option<usize>, Problem> {
        while self.expect != Expect::Nothing {
            let Some(&byte) = text.get(self.at) else { return Ok(None) };
            if let Some((token, end)) = &mut self.value {
                let Some(value_end) = end.find(text, self.at) else {
                    self.at = text.len();
                    return Ok(None);
                };
                let token = *token;
                self.value = None;
                self.at = value_end;
                self.end_value(token, text, parts)?;
            } else if matches!(byte, b' ' | b'\t' | b'\r' | b'\n') {
                self.at += 1;
            } else {
                self.step(byte, text, parts)?;
            }
        }
        Ok(Some(self.at))
    }

    /// Returns where the text begins that is needed again.
    pub(super) fn unfinished_from(&self) -> usize {
        match (&self.begun, &self.value) {
            (Some(begun), _) => begun.start,
            (None, Some(_)) => self.value_start,
            (None, None) => self.at,
        }
    }

    /// Follows the text when its first `n_bytes` are dropped.
    pub(super) fn drop_front(&mut self, n_bytes: usize) {
        self.at -= n_bytes;
        self.value_start = self.value_start.saturating_sub(n_bytes);
        if let Some(begun) = &mut self.begun {
            begun.start -= n_bytes;
            // Not there before the class was read.
            begun.class = begun.class.start.saturating_sub(n_bytes)..begun.class.end.saturating_sub(n_bytes);
        }
    }

    /// Says what makes the text longer than it may be.
    pub(super) fn describe_length(&self) -> &'static str {
        match self.value {
            Some((Token::Whole, _)) => "the children of an object without attributes before them are longer than",
            _ => "an object's attributes are longer than",
        }
    }

    fn step(&mut self, byte: u8, text: &[u8], parts: &mut Vec<Part>) -> Result<(), Problem> {
        let next = match (self.expect, byte) {
            (Expect::Object | Expect::FirstChildOrClose, b'{') => {
                self.begun = Some(Begun { start: self.at, class: 0..0 });
                Expect::Class
            }
            (Expect::FirstChildOrClose | Expect::ChildCommaOrClose, b']') => Expect::MemberCommaOrClose,
            (Expect::Class, b'"') => return self.begin(Token::Class),
            (Expect::ClassColon, b':') => Expect::Body,
            (Expect::Body, b'{') => {
                let is_above_roots =
                    self.begun.as_ref().is_some_and(|begun| is_above_roots(&text[begun.class.clone()]));
                self.open.push(Open { is_above_roots, ..Open::default() });
                if self.open.len() > MAX_LEVELS {
                    return Err(self.problem(format!("its objects nest deeper than {MAX_LEVELS} levels")));
                }
                Expect::FirstMember
            }
            (Expect::FirstMember | Expect::Member, b'"') => return self.begin(Token::Member),
            (Expect::FirstMember | Expect::MemberCommaOrClose, b'}') => self.end_body(parts)?,
            (Expect::AttributesColon, b':') => Expect::Attributes,
            (Expect::ChildrenColon, b':') => Expect::Children,
            (Expect::Attributes, b'{') => return self.begin(Token::Attributes),
            (Expect::Children, b'[') if self.begun.is_none() => Expect::FirstChildOrClose,
            (Expect::Children, b'[') => return self.begin_children_without_attributes(text, parts),
            (Expect::MemberCommaOrClose, b',') => Expect::Member,
            (Expect::ChildCommaOrClose, b',') => Expect::Object,
            (Expect::Close, b'}') => self.after_object(),
            (Expect::Close, b',') => {
                return Err(self.problem("expected an APIC object, which has its class as the only member"));
            }
            (expect, _) => {
                return Err(self.problem(format!("expected {}, found {}", expect.describe(), kind_of_value(byte))));
            }
        };
        self.at += 1;
        self.expect = next;
        Ok(())
    }

    fn begin(&mut self, token: Token) -> Result<(), Problem> {
        self.value = Some((token, ValueEnd::default()));
        self.value_start = self.at;
        Ok(())
    }

    fn end_value(&mut self, token: Token, text: &[u8], parts: &mut Vec<Part>) -> Result<(), Problem> {
        let range = self.value_start..self.at;
        self.expect = match token {
            Token::Class => {
                let begun = self.begun.as_mut().expect("a class is read of an object that was begun");
                begun.class = range;
                Expect::ClassColon
            }
            Token::Member => self.end_member_name(&text[range])?,
            Token::Attributes => {
                parts.push(match self.begun.take() {
                    Some(Begun { class, .. }) => Part::Object { class, attributes: range },
                    None => Part::RootAttributes(range),
                });
                Expect::MemberCommaOrClose
            }
            Token::Whole => {
                self.begun = None;
                self.open.pop();
                parts.push(Part::Whole(range));
                self.after_object()
            }
        };
        Ok(())
    }

    fn end_member_name(&mut self, name: &[u8]) -> Result<Expect, Problem> {
        let open = self.open.last_mut().expect("a member is read of an object that is open");
        let (is_there, next) = match name {
            br#""attributes""# => (&mut open.has_attributes, Expect::AttributesColon),
            br#""children""# => (&mut open.has_children, Expect::ChildrenColon),
            _ => {
                let name = String::from_utf8_lossy(&name[..name.len().min(120)]).into_owned();
                let problem = "expected \"attributes\" or \"children\" in an APIC object, found member";
                return Err(Problem::in_next_row(self.value_start, format!("{problem} {name}")));
            }
        };
        if std::mem::replace(is_there, true) {
            let name = String::from_utf8_lossy(name).into_owned();
            return Err(Problem::in_next_row(self.value_start, format!("member {name} is there twice")));
        }
        Ok(next)
    }

    /// Goes on with children whose parent was not handed out yet.
    fn begin_children_without_attributes(&mut self, text: &[u8], parts: &mut Vec<Part>) -> Result<(), Problem> {
        let begun = self.begun.as_ref().expect("only called then");
        let class = serde_json::from_slice::<&str>(&text[begun.class.clone()]).unwrap_or_default();
        let is_at_top = match self.open.as_slice() {
            [_] => true,
            [above, _] => above.is_above_roots,
            _ => false,
        };
        if is_at_top && naming::is_root(class) {
            parts.push(Part::Root { class: begun.class.clone() });
            self.begun = None;
            self.expect = Expect::FirstChildOrClose;
            self.at += 1;
            return Ok(());
        }
        self.at = begun.start;
        self.begin(Token::Whole)
    }

    fn end_body(&mut self, parts: &mut Vec<Part>) -> Result<Expect, Problem> {
        if self.begun.is_some() {
            return Err(self.problem("the APIC object has neither attributes nor children"));
        }
        self.open.pop();
        parts.push(Part::End);
        Ok(Expect::Close)
    }

    fn after_object(&self) -> Expect {
        if self.open.is_empty() { Expect::Nothing } else { Expect::ChildCommaOrClose }
    }

    fn problem(&self, text: impl Into<String>) -> Problem {
        Problem::in_next_row(self.at, text)
    }
}

impl Expect {
    fn describe(self) -> &'static str {
        match self {
            Self::Object => "an APIC object",
            Self::Class => "the class of an APIC object",
            Self::ClassColon | Self::AttributesColon | Self::ChildrenColon => "':'",
            Self::Body => "an APIC object: its class with attributes or children",
            Self::FirstMember => "\"attributes\", \"children\" or '}'",
            Self::Member => "\"attributes\" or \"children\"",
            Self::Attributes => "an object with the attributes",
            Self::Children => "an array of objects",
            Self::MemberCommaOrClose => "',' or '}'",
            Self::FirstChildOrClose => "an APIC object or ']'",
            Self::ChildCommaOrClose => "',' or ']'",
            Self::Close => "'}'",
            Self::Nothing => "nothing",
        }
    }
}

/// Tells the class above all roots by its JSON text.
fn is_above_roots(class: &[u8]) -> bool {
    class.strip_prefix(b"\"").and_then(|class| class.strip_suffix(b"\"")) == Some(naming::ROOT_CLASS.as_bytes())
}

/// Returns whether a text begins like a managed object, as far as it goes: `{"class":{"attributes":{` or
/// `{"class":{"children":[`. Only then is it read as a tree.
pub(crate) fn begins_an_object(text: &[u8]) -> bool {
    fn after<'a>(text: &'a [u8], token: &[u8]) -> Option<&'a [u8]> {
        text.trim_ascii_start().strip_prefix(token)
    }
    let after_body = || {
        let text = after(after(text, b"{")?, b"\"")?;
        let quote = memchr::memchr(b'"', text)?;
        after(after(&text[quote + 1..], b":")?, b"{")
    };
    let begins = |name: &[u8], value: &[u8]| {
        let text = after(after(after_body()?, name)?, b":")?;
        after(text, value)
    };
    begins(br#""attributes""#, b"{").is_some() || begins(br#""children""#, b"[").is_some()
}
