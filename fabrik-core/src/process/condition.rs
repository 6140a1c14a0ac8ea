//! `filter_rows`: a comparison of one column with a literal, or any expression.

use std::cmp::Ordering;

use super::Stage;
use super::config::Config;
use super::error::Fault;
use super::expression::Expression;
use super::item::{Cell, Item};
use super::javascript;

/// What stands for the item in a condition.
const ITEM: &str = "item";

/// Keeps the rows for which a condition holds; an empty one holds for all.
#[derive(Debug)]
pub(super) struct FilterRows(Option<Condition>);

#[derive(Debug)]
pub(super) enum Condition {
    Comparison(Comparison),
    Expression(Box<Expression>),
}

/// `item.path op literal`.
#[derive(Debug, PartialEq)]
pub(super) struct Comparison {
    path: String,
    operator: Operator,
    literal: Literal,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    Equal,
    NotEqual,
    Order(&'static [Ordering]),
}

#[derive(Debug, PartialEq)]
enum Literal {
    Null,
    Bool(bool),
    Number(f64),
    Text(String),
}

/// Longer ones first, so that none is taken for its beginning.
const OPERATORS: [(&str, Operator); 8] = [
    ("===", Operator::Equal),
    ("!==", Operator::NotEqual),
    ("==", Operator::Equal),
    ("!=", Operator::NotEqual),
    (">=", Operator::Order(&[Ordering::Greater, Ordering::Equal])),
    ("<=", Operator::Order(&[Ordering::Less, Ordering::Equal])),
    (">", Operator::Order(&[Ordering::Greater])),
    ("<", Operator::Order(&[Ordering::Less])),
];

impl FilterRows {
    pub(super) fn new(config: &Config<'_>) -> Result<Self, Fault> {
        let text = config.text("condition")?.unwrap_or_default();
        let text = text.trim();
        if text.is_empty() {
            return Ok(Self(None));
        }
        if let Some(comparison) = Comparison::parse(text) {
            return Ok(Self(Some(Condition::Comparison(comparison))));
        }
        let expression =
            Expression::compile(text, ITEM).map_err(|error| javascript::explain("condition", text, ITEM, &error))?;
        Ok(Self(Some(Condition::Expression(Box::new(expression)))))
    }
}

impl Stage for FilterRows {
    fn push(&mut self, item: Item, out: &mut Vec<Item>) -> Result<(), Fault> {
        let holds = match &self.0 {
            None => true,
            Some(Condition::Comparison(comparison)) => comparison.holds(&item),
            Some(Condition::Expression(expression)) => expression
                .holds(&item)
                .map_err(|error| Fault::new(error.to_string()).in_expression(expression.text()).at(&item))?,
        };
        if holds {
            out.push(item);
        }
        Ok(())
    }
}

impl Comparison {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let rest = text.trim().strip_prefix(ITEM)?.strip_prefix('.')?;
        let end = rest.find(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '.' | '-'))).unwrap_or(rest.len());
        let (path, rest) = rest.split_at(end);
        let rest = rest.trim_start();
        let (sign, operator) = OPERATORS.iter().find(|(sign, _)| rest.starts_with(sign))?;
        if path.is_empty() {
            return None;
        }
        let literal = Literal::parse(rest[sign.len()..].trim())?;
        Some(Self { path: path.to_owned(), operator: *operator, literal })
    }

    fn holds(&self, item: &Item) -> bool {
        let cell = item.at(&self.path);
        let cell = cell.as_deref().unwrap_or(&Cell::Null);
        match self.operator {
            Operator::Equal => self.literal.is(cell),
            Operator::NotEqual => !self.literal.is(cell),
            Operator::Order(wanted) => {
                let order = self.literal.as_f64().and_then(|number| cell.as_f64()?.partial_cmp(&number));
                order.is_some_and(|order| wanted.contains(&order))
            }
        }
    }
}

impl Literal {
    fn parse(text: &str) -> Option<Self> {
        if let Some(quoted) = quoted(text) {
            return Some(Self::Text(quoted));
        }
        match text {
            "null" | "undefined" | "none" => return Some(Self::Null),
            "true" => return Some(Self::Bool(true)),
            "false" => return Some(Self::Bool(false)),
            _ => {}
        }
        if let Some(number) = Cell::text(text).as_f64() {
            return Some(Self::Number(number));
        }
        // Neither part of an expression nor of a path into the item.
        let is_word = !text.is_empty()
            && !text.starts_with("item.")
            && text.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | ':' | '/'))
            && text.starts_with(|first: char| first.is_alphanumeric() || first == '_');
        is_word.then(|| Self::Text(text.to_owned()))
    }

    fn is(&self, cell: &Cell) -> bool {
        match self {
            Self::Null => *cell == Cell::Null,
            Self::Bool(value) => *cell == Cell::Bool(*value) || *cell == Cell::text(value.to_string()),
            Self::Number(number) => cell.as_f64() == Some(*number),
            Self::Text(text) => *cell != Cell::Null && *cell.to_text() == **text,
        }
    }

    fn as_f64(&self) -> Option<f64> {
        match self {
            Self::Number(number) => Some(*number),
            Self::Text(text) => Cell::text(text.as_str()).as_f64(),
            _ => None,
        }
    }
}

/// Returns what stands between two quotes of one kind, with a backslash before what it protects.
fn quoted(text: &str) -> Option<String> {
    let mut chars = text.chars();
    let quote = chars.next().filter(|c| matches!(c, '"' | '\''))?;
    let mut inner = String::new();
    while let Some(next) = chars.next() {
        match next {
            '\\' => inner.push(match chars.next()? {
                'n' => '\n',
                'r' => '\r',
                't' => '\t',
                'u' => {
                    let digits: String = chars.by_ref().take(4).collect();
                    char::from_u32(u32::from_str_radix(&digits, 16).ok()?)?
                }
                other => other,
            }),
            c if c == quote => return chars.as_str().is_empty().then_some(inner),
            c => inner.push(c),
        }
    }
    None
}
