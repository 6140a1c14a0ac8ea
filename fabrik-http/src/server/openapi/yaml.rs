//! JSON written as YAML.

use std::fmt::Write;

use serde_json::Value;

/// Writes a document as YAML. Texts and keys stay in JSON's quotes, which YAML reads the same.
pub(crate) fn to_yaml(value: &Value) -> String {
    let mut text = String::new();
    write(value, 0, &mut text);
    text
}

fn write(value: &Value, depth: usize, text: &mut String) {
    match value {
        Value::Object(object) if !object.is_empty() => {
            for (key, value) in object {
                let _ = write!(text, "{:depth$}{}:", "", Value::from(key.as_str()));
                nested(value, depth, text);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for item in items {
                let _ = write!(text, "{:depth$}-", "");
                nested(item, depth, text);
            }
        }
        plain => {
            let _ = writeln!(text, "{:depth$}{plain}", "");
        }
    }
}

/// Writes what follows a key or a dash: on the same line where it is one word, else below.
fn nested(value: &Value, depth: usize, text: &mut String) {
    let is_block = match value {
        Value::Object(object) => !object.is_empty(),
        Value::Array(items) => !items.is_empty(),
        _ => false,
    };
    if is_block {
        text.push('\n');
        write(value, depth + 2, text);
    } else {
        let _ = writeln!(text, " {value}");
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn nesting_becomes_indentation() {
        let value = json!({ "a": { "b": [1, { "c": "x: y\n" }, []] }, "d": null, "e": {} });

        assert_eq!(
            to_yaml(&value),
            "\"a\":\n  \"b\":\n    - 1\n    -\n      \"c\": \"x: y\\n\"\n    - []\n\"d\": null\n\"e\": {}\n"
        );
    }
}
