//! Checks JSON against a schema of the API, and says by field what is wrong.
//!
//! The schema is the one that the OpenAPI document shows, so what is documented is what is enforced. Numbers and
//! switches that came as text are turned into what the schema says, because ids may be given either way.

use serde_json::{Map, Value};

use super::error::{FieldErrors, NON_FIELD};

/// The schemas that others refer to, by name.
pub(crate) type Components = Map<String, Value>;

/// Checks the object `value` and writes what is wrong into `errors`.
pub(crate) fn check_object(schema: &Value, components: &Components, value: &mut Value, errors: &mut FieldErrors) {
    let schema = resolve(schema, components);
    let Value::Object(object) = value else {
        let sentence = format!("Invalid data. Expected a dictionary, but got {}.", kind_of(value));
        errors.add(NON_FIELD, sentence);
        return;
    };
    let required = schema["required"].as_array().map_or(&[][..], Vec::as_slice);
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        match object.get_mut(name) {
            Some(value) => {
                if let Err(sentence) = check(field, components, value) {
                    errors.add(name, sentence);
                }
            }
            None if required.iter().any(|other| other == name) => errors.add(name, "This field is required."),
            None => {}
        }
    }
}

/// Checks one value.
pub(crate) fn check(schema: &Value, components: &Components, value: &mut Value) -> Result<(), String> {
    let is_nullable = schema["nullable"] == true;
    let schema = resolve(schema, components);
    if value.is_null() {
        return if is_nullable || schema["nullable"] == true {
            Ok(())
        } else {
            Err("This field may not be null.".into())
        };
    }
    match schema["type"].as_str() {
        Some("string") => check_text(schema, value)?,
        Some("integer") => check_integer(schema, value)?,
        Some("number") => {
            if let Some(number) = value.as_str().and_then(|text| text.parse::<serde_json::Number>().ok()) {
                *value = Value::Number(number);
            }
            if !value.is_number() {
                return Err("A valid number is required.".into());
            }
        }
        Some("boolean") => match value {
            Value::Bool(_) => {}
            Value::String(text) if text.eq_ignore_ascii_case("true") || text == "1" => *value = true.into(),
            Value::String(text) if text.eq_ignore_ascii_case("false") || text == "0" => *value = false.into(),
            _ => return Err("Must be a valid boolean.".into()),
        },
        Some("array") => {
            let Value::Array(items) = value else {
                return Err(format!("Expected a list of items but got type \"{}\".", kind_of(value)));
            };
            if let Some(most) = schema["maxItems"].as_u64().filter(|most| items.len() as u64 > *most) {
                return Err(format!("Ensure this field has no more than {most} elements."));
            }
            items.iter_mut().try_for_each(|item| check(&schema["items"], components, item))?;
        }
        Some("object") if schema.get("properties").is_some() => {
            let mut inner = FieldErrors::default();
            check_object(schema, components, value, &mut inner);
            if !inner.is_empty() {
                return Err(inner.first_sentence());
            }
        }
        Some("object") if !value.is_object() => {
            return Err(format!("Expected a dictionary of items but got type \"{}\".", kind_of(value)));
        }
        // Free JSON; PostgreSQL keeps no null characters in it either.
        _ if has_null_character(value) => return Err(NULL_CHARACTERS.into()),
        _ => {}
    }
    match schema["enum"].as_array() {
        Some(choices) if !choices.contains(value) => {
            let given = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            Err(format!("\"{given}\" is not a valid choice."))
        }
        _ => Ok(()),
    }
}

const NULL_CHARACTERS: &str = "Null characters are not allowed.";

fn check_text(schema: &Value, value: &mut Value) -> Result<(), String> {
    // A number for a text is taken as it is written, as clients send ids either way.
    if let Value::Number(number) = &*value {
        *value = Value::String(number.to_string());
    }
    let Value::String(text) = value else { return Err("Not a valid string.".into()) };
    if text.contains('\0') {
        return Err(NULL_CHARACTERS.into());
    }
    let length = text.chars().count() as u64;
    match schema["minLength"].as_u64() {
        Some(least) if least > 0 && text.trim().is_empty() => return Err("This field may not be blank.".into()),
        Some(least) if length < least => return Err(format!("Ensure this field has at least {least} characters.")),
        _ => {}
    }
    if let Some(most) = schema["maxLength"].as_u64().filter(|most| length > *most) {
        return Err(format!("Ensure this field has no more than {most} characters."));
    }
    match schema["format"].as_str() {
        Some("uuid") => match uuid::Uuid::try_parse(text) {
            Ok(id) => *text = id.to_string(),
            Err(_) => return Err("Must be a valid UUID.".into()),
        },
        Some("date-time") if chrono::DateTime::parse_from_rfc3339(text).is_err() => {
            return Err(
                "Datetime has wrong format. Use ISO 8601 with an offset, like 2026-04-22T14:30:00+00:00.".into()
            );
        }
        Some("date") if !is_day(text) && chrono::DateTime::parse_from_rfc3339(text).is_err() => {
            return Err("Date has wrong format. Use ISO 8601, like 2026-04-22.".into());
        }
        Some("email") if !text.is_empty() && !is_email(text) => return Err("Enter a valid email address.".into()),
        _ => {}
    }
    Ok(())
}

fn check_integer(schema: &Value, value: &mut Value) -> Result<(), String> {
    let number = match &*value {
        Value::Number(number) => number.as_i64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    };
    let Some(number) = number else { return Err("A valid integer is required.".into()) };
    if let Some(least) = schema["minimum"].as_f64().filter(|least| (number as f64) < *least) {
        return Err(format!("Ensure this value is greater than or equal to {least}."));
    }
    if let Some(most) = schema["maximum"].as_f64().filter(|most| number as f64 > *most) {
        return Err(format!("Ensure this value is less than or equal to {most}."));
    }
    *value = number.into();
    Ok(())
}

fn is_day(text: &str) -> bool {
    text.len() == 10 && chrono::NaiveDate::parse_from_str(text, "%Y-%m-%d").is_ok()
}

/// Says whether a text can be an address: something, one `@`, and a host with a dot, without spaces.
fn is_email(text: &str) -> bool {
    let Some((local, host)) = text.rsplit_once('@') else { return false };
    let is_plain = |c: char| !c.is_whitespace() && !c.is_control() && !"()<>,;:\\\"[]@".contains(c);
    let is_host = |c: char| c.is_alphanumeric() || c == '-' || c == '.';
    let labels_are_full = host.split('.').all(|label| !label.is_empty());
    !local.is_empty()
        && text.len() <= 254
        && local.chars().all(is_plain)
        && host.chars().all(is_host)
        && host.contains('.')
        && labels_are_full
}

fn has_null_character(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(items) => items.iter().any(has_null_character),
        Value::Object(object) => object.iter().any(|(key, value)| key.contains('\0') || has_null_character(value)),
        _ => false,
    }
}

fn resolve<'a>(mut schema: &'a Value, components: &'a Components) -> &'a Value {
    // `allOf` with one part is how OpenAPI 3.0 writes a reference with something beside it.
    loop {
        let reference = schema["$ref"].as_str().or_else(|| schema["allOf"][0]["$ref"].as_str());
        let name = reference.and_then(|reference| reference.strip_prefix("#/components/schemas/"));
        match name.and_then(|name| components.get(name)) {
            Some(found) => schema = found,
            None => return schema,
        }
    }
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "str",
        Value::Array(_) => "list",
        Value::Object(_) => "dict",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn checked(schema: &Value, mut value: Value) -> Result<Value, String> {
        check(schema, &Components::new(), &mut value).map(|()| value)
    }

    #[test]
    fn integers_may_come_as_text() {
        let schema = json!({ "type": "integer", "minimum": 0, "maximum": 9 });

        assert_eq!(checked(&schema, json!("7")), Ok(json!(7)));
        assert_eq!(checked(&schema, json!(7)), Ok(json!(7)));
        for other in [json!("7.5"), json!(7.5), json!(true), json!([]), json!("99999999999999999999")] {
            assert_eq!(checked(&schema, other), Err("A valid integer is required.".into()));
        }
        assert_eq!(checked(&schema, json!(-1)), Err("Ensure this value is greater than or equal to 0.".into()));
        assert_eq!(checked(&schema, json!(10)), Err("Ensure this value is less than or equal to 9.".into()));
    }

    #[test]
    fn texts_have_lengths_formats_and_no_null_characters() {
        let schema = json!({ "type": "string", "minLength": 1, "maxLength": 3 });

        assert_eq!(checked(&schema, json!("äöü")), Ok(json!("äöü")));
        assert_eq!(checked(&schema, json!("  ")), Err("This field may not be blank.".into()));
        assert_eq!(checked(&schema, json!("abcd")), Err("Ensure this field has no more than 3 characters.".into()));
        assert_eq!(checked(&schema, json!("a\0")), Err(NULL_CHARACTERS.into()));
        assert_eq!(checked(&schema, Value::Null), Err("This field may not be null.".into()));
        assert_eq!(checked(&json!({}), json!({ "a": ["\0"] })), Err(NULL_CHARACTERS.into()));
    }

    #[test]
    fn emails_have_a_name_and_a_host() {
        for good in ["mara@lab.example", "a.b+c@x.y.z"] {
            assert!(is_email(good), "{good}");
        }
        for bad in
            ["mara", "@lab.example", "mara@lab", "mara@lab..example", "a b@lab.example", "a@b@c.d", "a@b.c\r\nBcc:d"]
        {
            assert!(!is_email(bad), "{bad}");
        }
    }

    #[test]
    fn every_bad_field_is_named() {
        let schema = json!({
            "type": "object",
            "required": ["a", "b"],
            "properties": { "a": { "type": "string" }, "b": { "type": "integer" }, "c": { "$ref": "#/components/schemas/C" } },
        });
        let components = Components::from_iter([("C".to_owned(), json!({ "type": "string", "enum": ["x"] }))]);
        let mut errors = FieldErrors::default();

        check_object(&schema, &components, &mut json!({ "b": "?", "c": "y" }), &mut errors);

        let mut expected = FieldErrors::default();
        expected.add("a", "This field is required.");
        expected.add("b", "A valid integer is required.");
        expected.add("c", "\"y\" is not a valid choice.");
        assert_eq!(errors, expected);
    }
}
