//! Filters from text.
//!
//! Clients write blanks, leave numbers unquoted and spell `allbits` as `allbit`; a published request even
//! leaves out the comma between two parts. All of that is accepted, the last with a warning.

use super::{Expression, Filter, Operator, Property};

/// How deep expressions may nest, so that a hostile text cannot use up the stack.
const MAX_DEPTH: usize = 64;
/// How much of the text an error shows.
const SHOWN_CHARS: usize = 24;

/// A text is not a filter.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected {expected} at position {position} of the filter, found {found}")]
pub struct FilterError {
    position: usize,
    expected: &'static str,
    found: String,
}

impl FilterError {
    pub(super) fn new(position: usize, expected: &'static str, rest: &str) -> Self {
        let shown: String = rest.chars().take(SHOWN_CHARS).collect();
        let found = if rest.is_empty() { "the end".to_owned() } else { format!("{shown:?}") };
        Self { position, expected, found }
    }

    /// Returns the place in bytes where the text stops making sense.
    #[must_use]
    pub fn position(&self) -> usize {
        self.position
    }
}

pub(super) fn parse(text: &str) -> Result<(Filter, Vec<String>), FilterError> {
    let mut parser = Parser { text, at: 0, warnings: Vec::new() };
    let filter = parser.filter(0)?;
    parser.skip_blanks();
    if parser.rest().is_empty() { Ok((filter, parser.warnings)) } else { Err(parser.error("the end of the filter")) }
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    warnings: Vec<String>,
}

impl<'a> Parser<'a> {
    fn filter(&mut self, depth: usize) -> Result<Filter, FilterError> {
        if depth > MAX_DEPTH {
            return Err(self.error("no more than 64 nested expressions"));
        }
        self.skip_blanks();
        let start = self.at;
        let name = self.word(|byte| byte.is_ascii_alphabetic());
        let group = matches!(name, "and" | "or" | "xor" | "not" | "true" | "false");
        let operator = Operator::from_name(name);
        if !group && operator.is_none() && name != "bw" {
            self.at = start;
            return Err(self.error("an operator such as eq or and"));
        }
        self.expect('(', "\"(\" after the operator")?;
        let expression = if group {
            self.group(name, depth)?
        } else {
            let property = self.property()?;
            self.expect(',', "\",\" after the property")?;
            let value = self.value()?;
            match operator {
                Some(operator) => Expression::Test { operator, property, value },
                None => {
                    self.expect(',', "\",\" between the two values")?;
                    Expression::Between { property, low: value, high: self.value()? }
                }
            }
        };
        self.expect(')', "\")\"")?;
        Ok(expression.into())
    }

    /// Parses what is between the parentheses of an operator on filters.
    fn group(&mut self, name: &str, depth: usize) -> Result<Expression, FilterError> {
        let mut parts = Vec::new();
        let constant = matches!(name, "true" | "false");
        self.skip_blanks();
        if !(constant && self.rest().starts_with(')')) {
            loop {
                parts.push(self.filter(depth + 1)?);
                self.skip_blanks();
                if self.rest().starts_with(',') {
                    self.at += 1;
                } else if self.rest().starts_with(|next: char| next.is_ascii_alphabetic()) {
                    self.warnings.push(format!("filter: \",\" is missing at position {}", self.at));
                } else {
                    break;
                }
            }
        }
        Ok(match name {
            "and" => Expression::And(parts),
            "or" => Expression::Or(parts),
            "xor" => Expression::Xor(parts),
            // What stands inside a constant does not matter.
            "true" | "false" => Expression::Constant(name == "true"),
            _ if parts.len() > 1 => return Err(self.error("one expression in not(…)")),
            _ => match parts.pop() {
                Some(part) => Expression::Not(Box::new(part)),
                None => return Err(self.error("an expression in not(…)")),
            },
        })
    }

    fn property(&mut self) -> Result<Property, FilterError> {
        self.skip_blanks();
        let start = self.at;
        let class = self.word(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b':'));
        let dot = self.rest().starts_with('.');
        self.at += usize::from(dot);
        let name = self.word(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        Property::new(class, name).ok().filter(|_| dot).ok_or_else(|| {
            self.at = start;
            self.error("a property such as fvTenant.name")
        })
    }

    fn value(&mut self) -> Result<String, FilterError> {
        self.skip_blanks();
        if self.rest().starts_with('"') {
            return self.quoted();
        }
        let rest = self.rest();
        let end = rest.find([',', ')', '(', '"']).unwrap_or(rest.len());
        let value = rest[..end].trim_ascii_end();
        if value.is_empty() || rest[end..].starts_with(['(', '"']) {
            return Err(self.error("a value, best in double quotes"));
        }
        self.at += end;
        Ok(value.to_owned())
    }

    fn quoted(&mut self) -> Result<String, FilterError> {
        let body = &self.rest()[1..];
        let mut value = String::new();
        let mut chars = body.char_indices().peekable();
        while let Some((at, next)) = chars.next() {
            match next {
                '"' => {
                    self.at += at + 2;
                    return Ok(value);
                }
                // A backslash before anything else stands for itself: clients do not escape it.
                '\\' => value.push(chars.next_if(|(_, next)| matches!(next, '"' | '\\')).map_or('\\', |(_, c)| c)),
                _ => value.push(next),
            }
        }
        Err(self.error("a value that ends with a double quote"))
    }

    fn expect(&mut self, token: char, what: &'static str) -> Result<(), FilterError> {
        self.skip_blanks();
        if !self.rest().starts_with(token) {
            return Err(self.error(what));
        }
        self.at += token.len_utf8();
        Ok(())
    }

    fn word(&mut self, belongs: impl Fn(u8) -> bool) -> &'a str {
        let rest = self.rest();
        let end = rest.bytes().position(|byte| !belongs(byte)).unwrap_or(rest.len());
        self.at += end;
        &rest[..end]
    }

    fn skip_blanks(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_ascii_start().len();
    }

    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn error(&self, expected: &'static str) -> FilterError {
        FilterError::new(self.at, expected, self.rest())
    }
}
