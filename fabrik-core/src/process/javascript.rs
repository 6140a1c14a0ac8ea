//! JavaScript that was written for another engine: not run, but turned into the expression to write instead.

use super::error::Fault;
use super::expression::{ExpressionError, is_understood};

/// Explains why a parameter is no expression; where it looks like JavaScript, with what to write instead.
pub(super) fn explain(field: &str, text: &str, variable: &str, error: &ExpressionError) -> Fault {
    let problem = match translate(text, variable) {
        Some(instead) => format!("{field} is JavaScript, which is not run; write {instead}"),
        None if looks_like_javascript(text) => {
            format!("{field} is JavaScript, which is not run; write an expression such as {}", example(variable))
        }
        None => format!("{field} is no expression: {error}"),
    };
    Fault::new(problem).in_expression(text)
}

/// Refuses a step of free code.
pub(super) fn refuse_code(code: &str) -> Fault {
    let body = code.trim().trim_end_matches(';').trim();
    let body = body.strip_prefix("return ").unwrap_or(body);
    let call = ["map", "filter"].into_iter().find_map(|method| {
        // `data.map(row => row.name)` and the like.
        let (list, rest) = body.split_once(&format!(".{method}("))?;
        let is_name = list.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '.');
        let (variable, expression) = rest.strip_suffix(')')?.split_once("=>")?;
        let variable = variable.trim().trim_matches(['(', ')']).trim();
        let expression = translate(expression.trim(), variable).or_else(|| {
            let plain = expression.trim();
            is_understood(plain, variable).then(|| plain.to_owned())
        })?;
        is_name.then(|| (method, rename(&expression, variable)))
    });
    let problem = match call {
        Some(("map", expression)) => {
            format!("JavaScript is not run; write a step map-transform with the expression {expression}")
        }
        Some((_, condition)) => {
            format!("JavaScript is not run; write a step filter_rows with the condition {condition}")
        }
        None => format!(
            "JavaScript is not run; write a step map-transform with an expression such as {}, or filter_rows with a \
             condition such as item.name == \"web\"",
            example("item")
        ),
    };
    Fault::new(problem).in_expression(code)
}

fn example(variable: &str) -> String {
    format!("{variable}.name|upper if {variable}.name is startingwith(\"a\") else {variable}.dn")
}

fn rename(expression: &str, variable: &str) -> String {
    let prefix = format!("{variable}.");
    if variable == "item" { expression.to_owned() } else { expression.replace(&prefix, "item.") }
}

fn looks_like_javascript(text: &str) -> bool {
    ["=>", "===", "!==", "&&", "||", ";", "function", "return ", "?.", "`", "const ", "let ", "new ", ".includes("]
        .iter()
        .any(|sign| text.contains(sign))
}

/// The parts of JavaScript that have one counterpart each.
const COUNTERPARTS: [(&str, &str); 12] = [
    ("===", "=="),
    ("!==", "!="),
    ("&&", " and "),
    ("||", " or "),
    (".toUpperCase()", "|upper"),
    (".toLowerCase()", "|lower"),
    (".trim()", "|trim"),
    (".toString()", "|string"),
    (".length", "|length"),
    (".split(", "|split("),
    (".startsWith(", " is startingwith("),
    (".endsWith(", " is endingwith("),
];

/// Returns the expression that means the same, where the text is not one already and there is one.
fn translate(text: &str, variable: &str) -> Option<String> {
    let text = text.trim().trim_end_matches(';');
    let text = text.strip_prefix("return ").unwrap_or(text).trim();
    // A `!==` holds a `==`, and `!=` stays as it is.
    let mut translated = text.replace("!==", "!=");
    for (javascript, own) in COUNTERPARTS {
        translated = translated.replace(javascript, own);
    }
    if let Some((condition, (then, otherwise))) =
        translated.split_once(" ? ").and_then(|(c, rest)| Some((c, rest.split_once(" : ")?)))
    {
        translated = format!("{then} if {condition} else {otherwise}");
    }
    let translated = translated.split_whitespace().collect::<Vec<_>>().join(" ");
    (translated != text && is_understood(&translated, variable)).then_some(translated)
}
