//! Values of rows as Python objects, and back.
//!
//! A whole number is an `int`; another is a `float` when its `repr` gives the stored digits back, else a `Decimal`.

use fabrik_core::{MAX_DEPTH, RowBatchBuilder, RowError, RowRef, Value};
use hashbrown::HashMap;
use pyo3::exceptions::PyUnicodeEncodeError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBool, PyDict, PyFloat, PyInt, PyList, PyMapping, PyString, PyTuple};

/// Names that were made into Python strings, so that the rows of a result share them.
#[derive(Debug, Default)]
pub(crate) struct Names(HashMap<Box<str>, Py<PyString>>);

impl Names {
    /// Beyond this many, names are made anew: what calls itself a name may be anything.
    const MOST: usize = 1 << 16;

    pub(crate) fn get<'py>(&mut self, py: Python<'py>, name: &str) -> Bound<'py, PyString> {
        if let Some(known) = self.0.get(name) {
            return known.bind(py).clone();
        }
        let made = PyString::new(py, name);
        if self.0.len() < Self::MOST {
            self.0.insert(name.into(), made.clone().unbind());
        }
        made
    }
}

/// Makes a dict of a row, attributes in name order.
pub(crate) fn to_dict<'py>(py: Python<'py>, row: RowRef<'_>, names: &mut Names) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    for (name, value) in row.attributes() {
        dict.set_item(names.get(py, name), to_python(py, value)?)?;
    }
    Ok(dict)
}

/// Makes a Python object of a value.
pub(crate) fn to_python<'py>(py: Python<'py>, value: Value<'_>) -> PyResult<Bound<'py, PyAny>> {
    Ok(match value {
        Value::Null => py.None().into_bound(py),
        Value::Bool(value) => PyBool::new(py, value).to_owned().into_any(),
        Value::Number(text) => number(py, text)?,
        Value::String(text) => PyString::new(py, text).into_any(),
        Value::Json(text) => loads(py, text)?,
    })
}

/// Makes a Python object of the text of a JSON document, numbers as in rows.
#[pyfunction]
pub(crate) fn loads<'py>(py: Python<'py>, text: &str) -> PyResult<Bound<'py, PyAny>> {
    static LOADS: PyOnceLock<Py<PyAny>> = PyOnceLock::new();

    // Python's own parser builds objects faster than calls from here can, and asks back for numbers only.
    let loads = LOADS.get_or_try_init(py, || {
        let number = wrap_pyfunction!(number, py)?;
        let arguments = PyDict::new(py);
        arguments.set_item("parse_float", &number)?;
        arguments.set_item("parse_int", &number)?;
        let partial = py.import("functools")?.getattr("partial")?;
        partial.call((py.import("json")?.getattr("loads")?,), Some(&arguments)).map(Bound::unbind)
    })?;
    loads.bind(py).call1((text,))
}

/// Makes a number of its digits, so that they can be told from it again.
#[pyfunction]
pub(crate) fn number<'py>(py: Python<'py>, text: &str) -> PyResult<Bound<'py, PyAny>> {
    static DECIMAL: PyOnceLock<Py<PyAny>> = PyOnceLock::new();

    if text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-') && text != "-0" {
        if let Ok(number) = text.parse::<i64>() {
            return Ok(number.into_pyobject(py)?.into_any());
        }
        // Python refuses to read very long ones by default.
        if text.len() <= 4000 {
            return py.get_type::<PyInt>().call1((text,));
        }
    } else if let Ok(number) = text.parse::<f64>() {
        let float = PyFloat::new(py, number);
        if is_text(&float.repr()?, text) {
            return Ok(float.into_any());
        }
    }
    DECIMAL.import(py, "decimal", "Decimal")?.call1((text,))
}

fn is_text(string: &Bound<'_, PyString>, text: &str) -> bool {
    string.to_cow().is_ok_and(|string| string == text)
}

/// Adds a mapping to the rows; `number` is its place in the input, counted from 1.
pub(crate) fn push_row(
    rows: &mut RowBatchBuilder,
    row: &Bound<'_, PyAny>,
    number: u64,
) -> PyResult<Result<(), fabrik_core::Error>> {
    let added = match row.cast::<PyDict>() {
        Ok(dict) => push_dict(rows, dict),
        Err(_) => match as_dict(row)? {
            Some(dict) => push_dict(rows, &dict),
            None => Err(RowError::new(format!("it is of type {}; expected a dict", type_name(row)))),
        },
    };
    Ok(added.map_err(|problem| {
        rows.discard_row();
        problem.at(number)
    }))
}

/// Makes a dict of another mapping, such as a row of a database.
fn as_dict<'py>(row: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyDict>>> {
    if row.cast::<PyMapping>().is_err() && !row.hasattr("keys")? {
        return Ok(None);
    }
    let made = row.py().get_type::<PyDict>().call1((row,))?;
    Ok(made.cast_into::<PyDict>().ok())
}

fn push_dict(rows: &mut RowBatchBuilder, dict: &Bound<'_, PyDict>) -> Result<(), RowError> {
    let mut json = String::new();
    for (name, value) in dict.iter() {
        let name = name.cast::<PyString>().map_err(|_| {
            RowError::new(format!("the name of an attribute is of type {}; expected a str", type_name(&name)))
        })?;
        let name = text(name).map_err(|problem| RowError::new(format!("the name of an attribute {problem}")))?;
        push_value(rows, &name, &value, &mut json)
            .map_err(|problem| RowError::new(format!("attribute {name:?}: {problem}")))?;
    }
    rows.finish_row()
}

/// Adds an attribute. `json` is room for a nested value.
fn push_value(
    rows: &mut RowBatchBuilder,
    name: &str,
    value: &Bound<'_, PyAny>,
    json: &mut String,
) -> Result<(), String> {
    if let Ok(string) = value.cast::<PyString>() {
        rows.attribute(name, Value::String(&text(string)?));
    } else if value.is_none() {
        rows.attribute(name, Value::Null);
    } else if let Ok(value) = value.cast::<PyBool>() {
        rows.attribute(name, Value::Bool(value.is_true()));
    } else if let Some(digits) = digits(value)? {
        // The text of a number is canonical but for a Decimal's, whose exponent may be written in other ways.
        rows.attribute_json(name, &digits).map_err(|_| format!("{digits} is no number that JSON can hold"))?;
    } else if value.is_instance_of::<PyDict>() || value.is_instance_of::<PyList>() || value.is_instance_of::<PyTuple>()
    {
        json.clear();
        write_json(value, json, 0)?;
        rows.attribute_json(name, json).map_err(|error| error.to_string())?;
    } else if let Some(plain) = of_numpy(value)? {
        return push_value(rows, name, &plain, json);
    } else {
        return Err(refusal(value));
    }
    Ok(())
}

/// Returns the digits of a number; `None` for what is none.
fn digits(value: &Bound<'_, PyAny>) -> Result<Option<String>, String> {
    static DECIMAL: PyOnceLock<Py<PyAny>> = PyOnceLock::new();

    let py = value.py();
    if value.is_instance_of::<PyInt>() {
        if let Ok(number) = value.extract::<i64>() {
            return Ok(Some(number.to_string()));
        }
        let plain = py.get_type::<PyInt>().call_method1("__str__", (value,));
        return plain.and_then(|text| text.extract()).map(Some).map_err(|error| error.value(py).to_string());
    }
    if let Ok(float) = value.cast::<PyFloat>() {
        let number = float.value();
        if !number.is_finite() {
            return Err(format!("{number} is no number that JSON can hold; leave the attribute out or write None"));
        }
        // Of a subclass, such as NumPy's, `repr` may be anything.
        let digits = PyFloat::new(py, number).repr().map_err(|error| error.to_string())?;
        return Ok(Some(digits.to_string()));
    }
    let decimal = DECIMAL.import(py, "decimal", "Decimal").map_err(|error| error.to_string())?;
    if !value.is_instance(decimal).map_err(|error| error.to_string())? {
        return Ok(None);
    }
    let is_finite = value.call_method0(intern!(py, "is_finite")).and_then(|answer| answer.is_truthy());
    if !is_finite.map_err(|error| error.to_string())? {
        return Err(format!("{value} is no number that JSON can hold; leave the attribute out or write None"));
    }
    Ok(Some(value.to_string()))
}

/// Appends a nested value as JSON.
fn write_json(value: &Bound<'_, PyAny>, out: &mut String, depth: usize) -> Result<(), String> {
    // The engine refuses such a value with a sentence of its own, if only it is given one that ends.
    if depth > MAX_DEPTH + 1 {
        return Err(format!("it nests deeper than {MAX_DEPTH}"));
    }
    if let Ok(string) = value.cast::<PyString>() {
        write_string(&text(string)?, out);
    } else if value.is_none() {
        out.push_str("null");
    } else if let Ok(value) = value.cast::<PyBool>() {
        out.push_str(if value.is_true() { "true" } else { "false" });
    } else if let Some(digits) = digits(value)? {
        out.push_str(&digits);
    } else if let Ok(dict) = value.cast::<PyDict>() {
        out.push('{');
        for (i, (name, value)) in dict.iter().enumerate() {
            let name = name
                .cast::<PyString>()
                .map_err(|_| format!("the name of a member is of type {}; expected a str", type_name(&name)))?;
            if i > 0 {
                out.push(',');
            }
            write_string(&text(name)?, out);
            out.push(':');
            write_json(&value, out, depth + 1)?;
        }
        out.push('}');
    } else if value.is_instance_of::<PyList>() || value.is_instance_of::<PyTuple>() {
        out.push('[');
        for (i, item) in value.try_iter().map_err(|error| error.to_string())?.enumerate() {
            if i > 0 {
                out.push(',');
            }
            write_json(&item.map_err(|error| error.to_string())?, out, depth + 1)?;
        }
        out.push(']');
    } else if let Some(plain) = of_numpy(value)? {
        return write_json(&plain, out, depth);
    } else {
        return Err(refusal(value));
    }
    Ok(())
}

fn write_string(text: &str, out: &mut String) {
    out.push_str(&serde_json::to_string(text).expect("a string has a JSON form"));
}

/// Borrows the text of a string, which may hold what no other program could read.
fn text<'a>(string: &'a Bound<'_, PyString>) -> Result<std::borrow::Cow<'a, str>, String> {
    string.to_cow().map_err(|error| {
        let py = string.py();
        let is_surrogate = error.is_instance_of::<PyUnicodeEncodeError>(py);
        if is_surrogate { "has half a surrogate pair, which is no text".to_owned() } else { error.to_string() }
    })
}

/// Returns what a scalar of NumPy stands for; `None` for anything else.
fn of_numpy<'py>(value: &Bound<'py, PyAny>) -> Result<Option<Bound<'py, PyAny>>, String> {
    let is_scalar = || -> PyResult<bool> {
        let module: String = value.get_type().getattr("__module__")?.extract()?;
        Ok(module.starts_with("numpy") && value.hasattr("item")? && value.getattr("shape")?.len()? == 0)
    };
    if !is_scalar().unwrap_or(false) {
        return Ok(None);
    }
    let plain = value.call_method0("item").map_err(|error| error.to_string())?;
    // Of what Python has no number for, it returns the scalar itself.
    Ok((!plain.get_type().is(value.get_type())).then_some(plain))
}

fn refusal(value: &Bound<'_, PyAny>) -> String {
    let name = type_name(value);
    let hint = match name.as_str() {
        "datetime" | "date" | "time" => "; write it as text, such as value.isoformat()",
        "bytes" | "bytearray" | "memoryview" => "; write it as text, such as value.decode() or value.hex()",
        "set" | "frozenset" => "; write it as a list, such as sorted(value)",
        _ => "; expected a str, bool, int, float, Decimal, list, dict or None",
    };
    format!("it is of type {name}{hint}")
}

fn type_name(value: &Bound<'_, PyAny>) -> String {
    value.get_type().name().map_or_else(|_| "unknown".to_owned(), |name| name.to_string())
}
