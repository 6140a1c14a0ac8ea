//! Where a JSON value ends, found without reading what it means.

use memchr::memchr2;

/// Finds the end of one value, over as many pieces of text as it takes.
///
/// Brackets of both kinds are only counted: whether they match is for the parser to say.
#[derive(Debug, Default)]
pub(super) struct ValueEnd {
    depth: usize,
    state: State,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Start,
    Outside,
    InString,
    AfterBackslash,
    InScalar,
}

impl ValueEnd {
    /// Goes on at `text[from..]` and returns where the value ends, or `None` when it goes on past `text`.
    pub(super) fn find(&mut self, text: &[u8], from: usize) -> Option<usize> {
        let mut at = from;
        while at < text.len() {
            match self.state {
                State::Start => {
                    self.state = match text[at] {
                        b'{' | b'[' | b'"' => State::Outside,
                        _ => State::InScalar,
                    };
                }
                State::Outside => {
                    let byte = text[at];
                    at += 1;
                    match byte {
                        b'"' => self.state = State::InString,
                        b'{' | b'[' => self.depth += 1,
                        b'}' | b']' => {
                            self.depth -= 1;
                            if self.depth == 0 {
                                return Some(at);
                            }
                        }
                        _ => {}
                    }
                }
                State::InString => {
                    let found = at + memchr2(b'"', b'\\', &text[at..])?;
                    at = found + 1;
                    if text[found] == b'\\' {
                        self.state = State::AfterBackslash;
                    } else {
                        self.state = State::Outside;
                        if self.depth == 0 {
                            return Some(at);
                        }
                    }
                }
                State::AfterBackslash => {
                    at += 1;
                    self.state = State::InString;
                }
                State::InScalar => {
                    let is_end = |byte: &u8| matches!(byte, b',' | b'}' | b']' | b' ' | b'\t' | b'\r' | b'\n');
                    return text[at..].iter().position(is_end).map(|length| at + length);
                }
            }
        }
        None
    }
}

/// Returns whether a text is one value with nothing but blanks behind it.
pub(crate) fn ends_with_its_value(text: &[u8]) -> bool {
    ValueEnd::default().find(text, 0).is_some_and(|end| text[end..].trim_ascii().is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn value_ends_where_its_bracket_closes() {
        for (text, length) in [
            (r#"{"a":"}"},"#, 9),
            (r#"{"a":"\"}"}]"#, 11),
            (r#"{"a":["\\"]}  "#, 12),
            (r#""a\"b","#, 6),
            ("12,", 2),
            ("true}", 4),
            ("[]", 2),
        ] {
            assert_eq!(ValueEnd::default().find(text.as_bytes(), 0), Some(length), "{text}");
            // The same, a byte at a time.
            let mut finder = ValueEnd::default();
            let ends = (0..text.len()).find_map(|at| finder.find(&text.as_bytes()[..=at], at));
            assert_eq!(ends, Some(length), "{text}");
        }
    }

    #[test]
    fn unfinished_value_has_no_end() {
        for text in [r#"{"a":"}"#, r#"{"a":"\"}"#, "[[]", "12", r#""a\""#] {
            assert_eq!(ValueEnd::default().find(text.as_bytes(), 0), None, "{text}");
        }
    }
}
