//! Filter expressions: what `query-target-filter` and `rsp-subtree-filter` hold.
//!
//! A [`Filter`] is built from parts or parsed from text, and printing it gives text that parses back to the
//! same filter. Printing quotes every value. How a controller wants a quote inside a value is not documented;
//! printing and parsing here use a backslash before `"` and `\`, which no controller has confirmed.

mod parse;

use std::fmt;
use std::str::FromStr;

pub use parse::FilterError;

/// A condition on objects.
///
/// ```
/// use fabrik_apic::{Filter, Property};
///
/// let name: Property = "fvTenant.name".parse()?;
/// let filter = Filter::or([Filter::eq(name.clone(), "blue"), Filter::wcard(name, "test-")]);
/// assert_eq!(filter.to_string(), r#"or(eq(fvTenant.name,"blue"),wcard(fvTenant.name,"test-"))"#);
/// assert_eq!(filter.to_string().parse::<Filter>()?, filter);
/// # Ok::<(), fabrik_apic::FilterError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    pub(crate) expression: Expression,
}

/// What a filter says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Expression {
    /// `true()` or `false()`.
    Constant(bool),
    And(Vec<Filter>),
    Or(Vec<Filter>),
    Xor(Vec<Filter>),
    Not(Box<Filter>),
    /// An operator that takes a property and one value.
    Test {
        operator: Operator,
        property: Property,
        value: String,
    },
    /// `bw(…)`: not below `low` and not above `high`.
    Between {
        property: Property,
        low: String,
        high: String,
    },
}

/// An operator that takes a property and one value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operator {
    Eq,
    Ne,
    Lt,
    Gt,
    Le,
    Ge,
    Wcard,
    AnyBit,
    AllBits,
}

impl Operator {
    /// Every operator with its name; the first of two is the one to print.
    const NAMES: [(Self, &'static str); 11] = [
        (Self::Eq, "eq"),
        (Self::Ne, "ne"),
        (Self::Lt, "lt"),
        (Self::Gt, "gt"),
        (Self::Le, "le"),
        (Self::Ge, "ge"),
        (Self::Wcard, "wcard"),
        (Self::AnyBit, "anybit"),
        (Self::AllBits, "allbits"),
        (Self::AnyBit, "anybits"),
        (Self::AllBits, "allbit"),
    ];

    fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(operator, _)| *operator == self).map_or("", |(_, name)| name)
    }

    fn from_name(name: &str) -> Option<Self> {
        Self::NAMES.iter().find(|(_, have)| *have == name).map(|(operator, _)| *operator)
    }
}

impl Filter {
    /// Matches every object.
    #[must_use]
    pub fn always() -> Self {
        Expression::Constant(true).into()
    }

    /// Matches no object.
    #[must_use]
    pub fn never() -> Self {
        Expression::Constant(false).into()
    }

    /// Matches where all parts do; without parts, always.
    #[must_use]
    pub fn and(parts: impl IntoIterator<Item = Self>) -> Self {
        Self::join(parts, Expression::And, Self::always)
    }

    /// Matches where at least one part does; without parts, never.
    #[must_use]
    pub fn or(parts: impl IntoIterator<Item = Self>) -> Self {
        Self::join(parts, Expression::Or, Self::never)
    }

    /// Matches where exactly one of the two does.
    #[must_use]
    pub fn xor(first: Self, second: Self) -> Self {
        Expression::Xor(vec![first, second]).into()
    }

    /// Matches where `part` does not.
    #[must_use]
    #[expect(clippy::should_implement_trait, reason = "the operator of the expression has this name")]
    pub fn not(part: Self) -> Self {
        Expression::Not(Box::new(part)).into()
    }

    /// Matches where the property has the value.
    #[must_use]
    pub fn eq(property: Property, value: impl Into<String>) -> Self {
        Self::test(Operator::Eq, property, value)
    }

    /// Matches objects of the property's class where it has another value.
    #[must_use]
    pub fn ne(property: Property, value: impl Into<String>) -> Self {
        Self::test(Operator::Ne, property, value)
    }

    /// Matches where the property is less than the value, by the property's own order.
    #[must_use]
    pub fn lt(property: Property, value: impl Into<String>) -> Self {
        Self::test(Operator::Lt, property, value)
    }

    /// Matches where the property is greater than the value, by the property's own order.
    #[must_use]
    pub fn gt(property: Property, value: impl Into<String>) -> Self {
        Self::test(Operator::Gt, property, value)
    }

    /// Matches where the property is not greater than the value.
    #[must_use]
    pub fn le(property: Property, value: impl Into<String>) -> Self {
        Self::test(Operator::Le, property, value)
    }

    /// Matches where the property is not less than the value.
    #[must_use]
    pub fn ge(property: Property, value: impl Into<String>) -> Self {
        Self::test(Operator::Ge, property, value)
    }

    /// Matches where the property lies between two values, both included.
    #[must_use]
    pub fn bw(property: Property, low: impl Into<String>, high: impl Into<String>) -> Self {
        Expression::Between { property, low: low.into(), high: high.into() }.into()
    }

    /// Matches where the property contains the text.
    #[must_use]
    pub fn wcard(property: Property, text: impl Into<String>) -> Self {
        Self::test(Operator::Wcard, property, text)
    }

    /// Matches where the property has at least one of the flags, a list with commas.
    #[must_use]
    pub fn anybit(property: Property, flags: impl Into<String>) -> Self {
        Self::test(Operator::AnyBit, property, flags)
    }

    /// Matches where the property has all of the flags, a list with commas.
    #[must_use]
    pub fn allbits(property: Property, flags: impl Into<String>) -> Self {
        Self::test(Operator::AllBits, property, flags)
    }

    /// Parses a filter and tells what it had to tolerate, such as a missing comma between two parts.
    ///
    /// # Errors
    ///
    /// A [`FilterError`] with the place where the text stops making sense.
    pub fn parse_with_warnings(text: &str) -> Result<(Self, Vec<String>), FilterError> {
        parse::parse(text)
    }

    fn test(operator: Operator, property: Property, value: impl Into<String>) -> Self {
        Expression::Test { operator, property, value: value.into() }.into()
    }

    /// An operator without arguments cannot be written, so that no parts become what they mean.
    fn join(parts: impl IntoIterator<Item = Self>, operator: fn(Vec<Self>) -> Expression, empty: fn() -> Self) -> Self {
        let parts: Vec<Self> = parts.into_iter().collect();
        if parts.is_empty() { empty() } else { operator(parts).into() }
    }
}

impl From<Expression> for Filter {
    fn from(expression: Expression) -> Self {
        Self { expression }
    }
}

impl FromStr for Filter {
    type Err = FilterError;

    fn from_str(text: &str) -> Result<Self, FilterError> {
        parse::parse(text).map(|(filter, _)| filter)
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.expression {
            Expression::Constant(true) => f.write_str("true()"),
            Expression::Constant(false) => f.write_str("false()"),
            Expression::And(parts) => write_parts(f, "and", parts),
            Expression::Or(parts) => write_parts(f, "or", parts),
            Expression::Xor(parts) => write_parts(f, "xor", parts),
            Expression::Not(part) => write!(f, "not({part})"),
            Expression::Test { operator, property, value } => {
                write!(f, "{}({property},{})", operator.name(), Quoted(value))
            }
            Expression::Between { property, low, high } => {
                write!(f, "bw({property},{},{})", Quoted(low), Quoted(high))
            }
        }
    }
}

fn write_parts(f: &mut fmt::Formatter<'_>, name: &str, parts: &[Filter]) -> fmt::Result {
    write!(f, "{name}(")?;
    for (place, part) in parts.iter().enumerate() {
        write!(f, "{}{part}", if place == 0 { "" } else { "," })?;
    }
    f.write_str(")")
}

struct Quoted<'a>(&'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"")?;
        for part in self.0.split_inclusive(['"', '\\']) {
            match part.strip_suffix(['"', '\\']) {
                Some(plain) => write!(f, "{plain}\\{}", &part[plain.len()..])?,
                None => f.write_str(part)?,
            }
        }
        f.write_str("\"")
    }
}

/// A property of a class, `fvTenant.name`.
///
/// Both names consist of letters, digits and `_`; that of a class may have `:` besides.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Property {
    class: String,
    name: String,
}

impl Property {
    /// Names a property.
    ///
    /// # Errors
    ///
    /// A [`FilterError`] when one of the names is empty or has other characters.
    pub fn new(class: &str, name: &str) -> Result<Self, FilterError> {
        let bad = |byte: &u8, colon: bool| !(byte.is_ascii_alphanumeric() || *byte == b'_' || (colon && *byte == b':'));
        for (part, colon, what) in [(class, true, "the name of a class"), (name, false, "the name of a property")] {
            if part.is_empty() || part.bytes().any(|byte| bad(&byte, colon)) {
                return Err(FilterError::new(0, what, part));
            }
        }
        Ok(Self { class: class.to_owned(), name: name.to_owned() })
    }

    /// Returns the name of the class.
    #[must_use]
    pub fn class(&self) -> &str {
        &self.class
    }

    /// Returns the name of the property within its class.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl FromStr for Property {
    type Err = FilterError;

    fn from_str(text: &str) -> Result<Self, FilterError> {
        let (class, name) =
            text.split_once('.').ok_or_else(|| FilterError::new(0, "a property such as fvTenant.name", text))?;
        Self::new(class, name)
    }
}

impl fmt::Display for Property {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.class, self.name)
    }
}

#[cfg(test)]
mod tests;
