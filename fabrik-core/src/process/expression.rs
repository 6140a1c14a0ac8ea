//! Expressions over one item: paths, comparison, arithmetic, texts and regular expressions.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use minijinja::value::{Enumerator, Object, Rest, Serde, Value, ValueKind};
use minijinja::{Environment, Error, ErrorKind, UndefinedBehavior, filters, tests};
use regex::Regex;

use super::item::{Cell, Item, Record};
use super::patterns;
use crate::error::shorten;
use crate::row::{DN, json};

/// How long the text of an expression may be, in bytes.
const MAX_LEN_BYTES: usize = 4096;
/// How many instructions one evaluation may take. What people write takes some dozens.
const FUEL: u64 = 1000;
/// How long a text may become that an expression makes, in bytes.
const MAX_TEXT_BYTES: usize = 1 << 20;
/// How many regular expressions are kept compiled.
const MAX_REGEXES: usize = 256;

/// An expression over one item, in the language of Jinja templates' expressions.
///
/// `item.name` is a column; `item["a.b"]` one with dots in its name. There are `==`, `<`, `and`, `or`, `not`, `in`, `+`,
/// `-`, `/`, `//`, `%`, `~` (texts together), `x if c else y`, lists and maps; `times(x, y)` multiplies. Filters follow a
/// bar: `upper`, `lower`, `trim`, `length`, `first`, `last`, `abs`, `int`, `float`, `round`, `string`, `default(x)`,
/// `replace(from, to)`, `split(by)`, `join(by)`, `regex_find(pattern)`, `regex_replace(pattern, with)`. Tests follow `is`:
/// `defined`, `none`, `number`, `string`, `startingwith(x)`, `endingwith(x)`, `matches(pattern)`.
///
/// The values of a controller are texts: `item.mtu|int > 1500` compares numbers. A column that is not there is an error,
/// unless `default` or `is defined` take care of it. There are no loops, no files and no clock.
pub struct Expression {
    text: String,
    variable: String,
    compiled: minijinja::Expression<'static, 'static>,
}

/// An expression cannot be read, or came to no value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ExpressionError(String);

impl Expression {
    /// Reads an expression in which `variable` stands for the item.
    ///
    /// # Errors
    ///
    /// An [`ExpressionError`] that says what is not understood.
    pub fn compile(text: &str, variable: &str) -> Result<Self, ExpressionError> {
        let refused = |problem: String| Err(ExpressionError(problem));
        if text.len() > MAX_LEN_BYTES {
            return refused(format!("it has {} bytes; expected at most {MAX_LEN_BYTES}", text.len()));
        }
        if text.trim().is_empty() {
            return refused(format!("it is empty; expected an expression such as {variable}.name"));
        }
        let fits = variable.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
            && variable.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        if !fits {
            return refused(format!("variable {:?} is not valid: expected letters, digits and _", shorten(variable)));
        }
        // The language would also repeat texts with it, which can fill the memory in one short expression.
        let outside = without_texts(text);
        if outside.contains('*') {
            return refused("`*` is not known; expected times(x, y)".to_owned());
        }
        if let Some(method) = method_call(&outside) {
            return refused(format!("method {method:?} is not known; expected a filter such as {variable}.name|upper"));
        }
        let compiled = ENVIRONMENT.compile_expression_owned(text.to_owned());
        let compiled = compiled.map_err(|error| ExpressionError(describe(&error)))?;
        let mut unknown: Vec<String> = compiled.undeclared_variables(false).into_iter().collect();
        unknown.retain(|name| name != variable && !FUNCTIONS.contains(&name.as_str()));
        unknown.sort();
        if let Some(name) = unknown.first() {
            return refused(format!("name {:?} is not known; expected {variable} or {variable}.NAME", shorten(name)));
        }
        Ok(Self { text: text.to_owned(), variable: variable.to_owned(), compiled })
    }

    /// Returns the text.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Evaluates it for an item.
    ///
    /// # Errors
    ///
    /// An [`ExpressionError`] when it uses what is not there, or comes to something that is no value.
    pub fn evaluate(&self, item: &Item) -> Result<Item, ExpressionError> {
        self.value(item).and_then(|value| to_item(&value))
    }

    /// Evaluates it for an item as a condition: nothing, zero and the empty text are false.
    ///
    /// # Errors
    ///
    /// As [`Expression::evaluate`].
    pub fn holds(&self, item: &Item) -> Result<bool, ExpressionError> {
        let value = self.value(item)?;
        if value.is_undefined() { Err(ExpressionError(UNDEFINED.to_owned())) } else { Ok(value.is_true()) }
    }

    fn value(&self, item: &Item) -> Result<Value, ExpressionError> {
        let value = match item {
            Item::Row(record) => Value::from_object(Columns(record.clone())),
            Item::Bare(cell) => to_value(cell),
        };
        let context = Value::from_pairs([(self.variable.as_str(), value)]);
        self.compiled.eval(context).map_err(|error| ExpressionError(describe(&error)))
    }
}

impl fmt::Debug for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Expression").field(&self.text).finish()
    }
}

const UNDEFINED: &str = "it comes to nothing: the item has no such column; |default(\"\") gives one";

fn describe(error: &Error) -> String {
    match error.kind() {
        ErrorKind::OutOfFuel => format!("it takes more than {FUEL} steps"),
        ErrorKind::UndefinedError => UNDEFINED.to_owned(),
        kind => match error.detail() {
            Some(detail) => format!("{kind}: {}", shorten(detail)),
            None => kind.to_string(),
        },
    }
}

/// Returns what is outside of texts; each text is one quote.
fn without_texts(text: &str) -> String {
    let mut outside = String::new();
    let mut quote = None;
    let mut chars = text.chars();
    while let Some(next) = chars.next() {
        match quote {
            Some(_) if next == '\\' => drop(chars.next()),
            Some(open) if next == open => quote = None,
            Some(_) => {}
            None => {
                quote = Some(next).filter(|next| matches!(next, '"' | '\''));
                outside.push(next);
            }
        }
    }
    outside
}

/// Finds `.name(`, which no value here has.
fn method_call(outside: &str) -> Option<&str> {
    outside.match_indices('.').find_map(|(dot, _)| {
        let rest = outside[dot + 1..].trim_start();
        let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(rest.len());
        (end > 0 && rest[end..].trim_start().starts_with('(')).then(|| &rest[..end])
    })
}

/// A row as expressions see it.
#[derive(Debug)]
struct Columns(Record);

impl Object for Columns {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let name = key.as_str()?;
        if let Some(cell) = self.0.get(name) {
            return Some(to_value(cell));
        }
        // What is around the attributes of a controller's object may be named.
        let is_envelope = name == "attributes" || (!name.is_empty() && self.0.class_name() == Some(name));
        if is_envelope { Some(Value::from_dyn_object(Arc::clone(self))) } else { self.0.at(name).map(|c| to_value(&c)) }
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        let names: Vec<Value> = self.0.columns().map(|(name, _)| Value::from(name)).collect();
        Enumerator::Iter(Box::new(names.into_iter()))
    }
}

fn to_value(cell: &Cell) -> Value {
    match cell {
        Cell::Null => Value::from(()),
        Cell::Bool(value) => Value::from(*value),
        Cell::Text(text) => Value::from(&**text),
        Cell::Number(text) => match (text.parse::<i64>(), text.parse::<f64>()) {
            (Ok(whole), _) => Value::from(whole),
            (_, Ok(number)) => Value::from(number),
            _ => Value::from(&**text),
        },
        Cell::Json(_) => Value::from(Serde(cell.to_json())),
    }
}

fn to_item(value: &Value) -> Result<Item, ExpressionError> {
    if let Some(columns) = value.downcast_object_ref::<Columns>() {
        return Ok(Item::Row(columns.0.clone()));
    }
    Ok(match value.kind() {
        ValueKind::Undefined => return Err(ExpressionError(UNDEFINED.to_owned())),
        ValueKind::None => Item::Bare(Cell::Null),
        ValueKind::Bool => Item::Bare(Cell::Bool(value.is_true())),
        ValueKind::String => Item::Bare(Cell::text(value.as_str().unwrap_or_default())),
        ValueKind::Number if value.is_integer() => Item::Bare(Cell::Number(value.to_string().into())),
        ValueKind::Number => {
            let cell = f64::try_from(value.clone()).ok().and_then(Cell::from_f64);
            Item::Bare(cell.ok_or_else(|| ExpressionError(format!("it comes to {value}, which is no number")))?)
        }
        ValueKind::Seq | ValueKind::Iterable | ValueKind::Map => {
            let text = serde_json::to_string(value).map_err(|error| ExpressionError(error.to_string()))?;
            // Members in one order and none too deep, as in every row.
            let cell = json::with_value(&text, Cell::from_value).map_err(ExpressionError)?;
            match cell.to_json() {
                serde_json::Value::Object(members) => {
                    Item::Row(members.iter().map(|(name, value)| (name.as_str(), Cell::from_json(value))).collect())
                }
                _ => Item::Bare(cell),
            }
        }
        kind => return Err(ExpressionError(format!("it comes to a {kind}; expected a text, number, list or map"))),
    })
}

/// What can be called by name.
const FUNCTIONS: [&str; 1] = ["times"];

/// The words of the language. Only what takes bounded time and memory is in here.
static ENVIRONMENT: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut environment = Environment::empty();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_fuel(Some(FUEL));
    environment.set_recursion_limit(64);
    environment.add_function("times", times);
    environment.add_filter("upper", filters::upper);
    environment.add_filter("lower", filters::lower);
    environment.add_filter("trim", filters::trim);
    environment.add_filter("length", filters::length);
    environment.add_filter("first", filters::first);
    environment.add_filter("last", filters::last);
    environment.add_filter("abs", filters::abs);
    environment.add_filter("int", filters::int);
    environment.add_filter("float", filters::float);
    environment.add_filter("round", filters::round);
    environment.add_filter("default", filters::default);
    environment.add_filter("string", |value: &Value| bounded(value.to_string()));
    environment.add_filter("replace", replace);
    environment.add_filter("split", split);
    environment.add_filter("join", join);
    environment.add_filter("regex_find", regex_find);
    environment.add_filter("regex_replace", regex_replace);
    environment.add_test("defined", tests::is_defined);
    environment.add_test("undefined", tests::is_undefined);
    environment.add_test("none", tests::is_none);
    environment.add_test("number", tests::is_number);
    environment.add_test("string", tests::is_string);
    environment.add_test("boolean", tests::is_boolean);
    environment.add_test("sequence", tests::is_sequence);
    environment.add_test("mapping", tests::is_mapping);
    environment.add_test("startingwith", tests::is_startingwith);
    environment.add_test("endingwith", tests::is_endingwith);
    environment.add_test("in", tests::is_in);
    environment.add_test("matches", |text: &str, pattern: &str| Ok::<_, Error>(regex(pattern)?.is_match(text)));
    environment
});

fn refused(problem: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidOperation, problem.into())
}

fn bounded(text: String) -> Result<String, Error> {
    if text.len() <= MAX_TEXT_BYTES { Ok(text) } else { Err(too_long()) }
}

fn too_long() -> Error {
    refused(format!("a text becomes longer than {MAX_TEXT_BYTES} bytes"))
}

fn times(first: &Value, second: &Value) -> Result<Value, Error> {
    let number = |value: &Value| match value.is_number() {
        true => f64::try_from(value.clone()),
        false => Err(refused(format!("times takes numbers, found a {}; |int or |float makes one", value.kind()))),
    };
    if let (Some(first), Some(second)) = (first.as_i64(), second.as_i64())
        && let Some(product) = first.checked_mul(second)
    {
        return Ok(Value::from(product));
    }
    Ok(Value::from(number(first)? * number(second)?))
}

fn replace(text: &str, from: &str, to: &str) -> Result<String, Error> {
    if text.matches(from).count().saturating_mul(to.len()).saturating_add(text.len()) > MAX_TEXT_BYTES.saturating_mul(2)
    {
        return Err(too_long());
    }
    bounded(text.replace(from, to))
}

fn split(text: &str, by: &str) -> Result<Vec<String>, Error> {
    if by.is_empty() {
        return Err(refused("split takes a text that is not empty"));
    }
    if text.len() > MAX_TEXT_BYTES { Err(too_long()) } else { Ok(text.split(by).map(str::to_owned).collect()) }
}

#[expect(clippy::needless_pass_by_value, reason = "a function of the language takes its arguments so")]
fn join(list: &Value, by: Rest<String>) -> Result<String, Error> {
    let by = by.first().map_or("", String::as_str);
    let mut text = String::new();
    for (i, part) in list.try_iter()?.enumerate() {
        if i > 0 {
            text.push_str(by);
        }
        match part.as_str() {
            Some(part) => text.push_str(part),
            None => text.push_str(&part.to_string()),
        }
        if text.len() > MAX_TEXT_BYTES {
            return Err(too_long());
        }
    }
    Ok(text)
}

/// Gives the first group, or without groups all of the first match; the empty text where nothing matches.
fn regex_find(text: &str, pattern: &str) -> Result<String, Error> {
    Ok(patterns::first_match(&regex(pattern)?, text).unwrap_or_default().to_owned())
}

fn regex_replace(text: &str, pattern: &str, with: &str) -> Result<String, Error> {
    let regex = regex(pattern)?;
    patterns::replace(&regex, text, with, true, MAX_TEXT_BYTES).ok_or_else(too_long)
}

/// Compiles a pattern, or finds it among those of earlier evaluations.
fn regex(pattern: &str) -> Result<Regex, Error> {
    static KNOWN: LazyLock<Mutex<HashMap<String, Regex>>> = LazyLock::new(Mutex::default);
    let known = || KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(regex) = known().get(pattern) {
        return Ok(regex.clone());
    }
    let regex = patterns::compile(pattern, "").map_err(refused)?;
    let mut known = known();
    if known.len() >= MAX_REGEXES {
        known.clear();
    }
    known.insert(pattern.to_owned(), regex.clone());
    Ok(regex)
}

/// Returns whether an expression can run on rows, as far as that shows without any.
pub(super) fn is_understood(text: &str, variable: &str) -> bool {
    let Ok(expression) = Expression::compile(text, variable) else { return false };
    // Unknown filters only show when they are called.
    let record: Record = [(DN, Cell::text("uni"))].into_iter().collect();
    !matches!(expression.evaluate(&Item::Row(record)), Err(ExpressionError(problem)) if problem.contains("unknown"))
}
