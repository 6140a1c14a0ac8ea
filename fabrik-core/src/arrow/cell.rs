//! One cell of an array as the value of an attribute.

use std::fmt::Write;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    ArrowDictionaryKeyType, ArrowPrimitiveType, ArrowTimestampType, Date32Type, Date64Type, Decimal32Type,
    Decimal64Type, Decimal128Type, Decimal256Type, DecimalType, Float16Type, Float32Type, Float64Type, Int8Type,
    Int16Type, Int32Type, Int64Type, TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType,
    TimestampSecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{Array, ArrayRef};
use arrow_schema::{DataType, Field, TimeUnit};
use serde_json::value::RawValue;

use super::float::{Whole, write_float};
use super::{JSON, WHOLE};
use crate::row::{MAX_DEPTH, json};
use crate::time;

/// What a cell holds; numbers and times lie as text in the scratch that was given to [`read`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cell<'a> {
    Null,
    Bool(bool),
    Number(&'a str),
    Text(&'a str),
    /// The JSON text of any value, with no space around it.
    Json(&'a str),
}

/// Checks that the cells of a field can be read; the error names the type that cannot.
pub(super) fn check(field: &Field) -> Result<(), String> {
    check_type(field.data_type(), MAX_DEPTH)
}

fn check_type(data_type: &DataType, depth: usize) -> Result<(), String> {
    use DataType as T;
    if depth == 0 {
        return Err(format!("nests deeper than {MAX_DEPTH} levels"));
    }
    match data_type {
        T::Null | T::Boolean | T::Utf8 | T::LargeUtf8 | T::Utf8View => Ok(()),
        T::Int8 | T::Int16 | T::Int32 | T::Int64 | T::UInt8 | T::UInt16 | T::UInt32 | T::UInt64 => Ok(()),
        T::Float16 | T::Float32 | T::Float64 => Ok(()),
        T::Decimal32(..) | T::Decimal64(..) | T::Decimal128(..) | T::Decimal256(..) => Ok(()),
        T::Date32 | T::Date64 | T::Timestamp(..) => Ok(()),
        T::Dictionary(_, values) => check_type(values, depth),
        T::List(item) | T::LargeList(item) | T::FixedSizeList(item, _) => check_type(item.data_type(), depth - 1),
        T::Struct(members) => members.iter().try_for_each(|member| check_type(member.data_type(), depth - 1)),
        other => Err(format!(
            "is of type {other}; expected texts, booleans, numbers, dates, timestamps, or lists and structs of them"
        )),
    }
}

/// Reads a cell whose type has passed [`check`]; the error says what is wrong with its value.
pub(super) fn read<'a>(
    field: &Field,
    array: &'a dyn Array,
    i: usize,
    scratch: &'a mut String,
) -> Result<Cell<'a>, String> {
    use DataType as T;
    if array.is_null(i) {
        return Ok(Cell::Null);
    }
    scratch.clear();
    let text = |text: &'a str| {
        let is_json = field.metadata().get(JSON).is_some_and(|says| says == "true");
        if is_json { parsed(text).map(Cell::Json) } else { Ok(Cell::Text(text)) }
    };
    match array.data_type() {
        T::Null => return Ok(Cell::Null),
        T::Boolean => return Ok(Cell::Bool(array.as_boolean().value(i))),
        T::Utf8 => return text(array.as_string::<i32>().value(i)),
        T::LargeUtf8 => return text(array.as_string::<i64>().value(i)),
        T::Utf8View => return text(array.as_string_view().value(i)),
        T::Dictionary(key, _) => return read_entry(field, key, array, i, scratch),
        T::List(_) | T::LargeList(_) | T::FixedSizeList(..) | T::Struct(_) => {
            write_nested(field, array, i, scratch)?;
            return Ok(Cell::Json(scratch));
        }
        T::Date32 | T::Date64 | T::Timestamp(..) => {
            write_time(array, i, scratch)?;
            return Ok(Cell::Text(scratch));
        }
        T::Int8 => write_whole::<Int8Type>(array, i, scratch),
        T::Int16 => write_whole::<Int16Type>(array, i, scratch),
        T::Int32 => write_whole::<Int32Type>(array, i, scratch),
        T::Int64 => write_whole::<Int64Type>(array, i, scratch),
        T::UInt8 => write_whole::<UInt8Type>(array, i, scratch),
        T::UInt16 => write_whole::<UInt16Type>(array, i, scratch),
        T::UInt32 => write_whole::<UInt32Type>(array, i, scratch),
        T::UInt64 => write_whole::<UInt64Type>(array, i, scratch),
        T::Float16 => write_finite(field, array.as_primitive::<Float16Type>().value(i).to_f64(), scratch)?,
        T::Float32 => write_finite(field, array.as_primitive::<Float32Type>().value(i).into(), scratch)?,
        T::Float64 => write_finite(field, array.as_primitive::<Float64Type>().value(i), scratch)?,
        T::Decimal32(..) => write_decimal::<Decimal32Type>(array, i, scratch),
        T::Decimal64(..) => write_decimal::<Decimal64Type>(array, i, scratch),
        T::Decimal128(..) => write_decimal::<Decimal128Type>(array, i, scratch),
        T::Decimal256(..) => write_decimal::<Decimal256Type>(array, i, scratch),
        other => unreachable!("type {other} was checked before"),
    }
    Ok(Cell::Number(scratch))
}

/// Returns a JSON text once it is found to be one, without what stands around it.
fn parsed(text: &str) -> Result<&str, String> {
    let raw: &RawValue = serde_json::from_str(text).map_err(|error| format!("is no JSON text: {error}"))?;
    Ok(raw.get())
}

fn write_whole<T: ArrowPrimitiveType<Native: std::fmt::Display>>(array: &dyn Array, i: usize, out: &mut String) {
    write!(out, "{}", array.as_primitive::<T>().value(i)).expect("a string takes everything");
}

fn write_decimal<T: DecimalType + ArrowPrimitiveType>(array: &dyn Array, i: usize, out: &mut String) {
    out.push_str(&array.as_primitive::<T>().value_as_string(i));
}

fn write_finite(field: &Field, number: f64, out: &mut String) -> Result<(), String> {
    if !number.is_finite() {
        return Err(format!("is {number}; expected a finite number"));
    }
    let has_digits = field.metadata().get(WHOLE).is_some_and(|says| says == "digits");
    write_float(number, if has_digits { Whole::Digits } else { Whole::WithFraction }, out);
    Ok(())
}

/// Appends a date, a moment with its zone (in UTC), or a time of no zone as it stands.
fn write_time(array: &dyn Array, i: usize, out: &mut String) -> Result<(), String> {
    fn moment<T: ArrowTimestampType>(array: &dyn Array, i: usize) -> Option<chrono::NaiveDateTime> {
        array.as_primitive::<T>().value_as_datetime(i)
    }
    let date = match array.data_type() {
        DataType::Date32 => Some(array.as_primitive::<Date32Type>().value_as_date(i)),
        DataType::Date64 => Some(array.as_primitive::<Date64Type>().value_as_date(i)),
        _ => None,
    };
    if let Some(date) = date {
        let date = date.ok_or("is a date that is too far away")?;
        write!(out, "{}", date.format("%Y-%m-%d")).expect("a string takes everything");
        return Ok(());
    }
    let (found, has_zone) = match array.data_type() {
        DataType::Timestamp(unit, zone) => {
            let found = match unit {
                TimeUnit::Second => moment::<TimestampSecondType>(array, i),
                TimeUnit::Millisecond => moment::<TimestampMillisecondType>(array, i),
                TimeUnit::Microsecond => moment::<TimestampMicrosecondType>(array, i),
                TimeUnit::Nanosecond => moment::<TimestampNanosecondType>(array, i),
            };
            (found, zone.is_some())
        }
        other => unreachable!("type {other} is none of times"),
    };
    let found = found.ok_or("is a time that is too far away")?;
    if has_zone {
        out.push_str(&time::format(found.and_utc()));
    } else {
        write!(out, "{}", found.format("%Y-%m-%dT%H:%M:%S%.f")).expect("a string takes everything");
    }
    Ok(())
}

/// Reads the entry that a cell of a dictionary stands for.
fn read_entry<'a>(
    field: &Field,
    key: &DataType,
    array: &'a dyn Array,
    i: usize,
    scratch: &'a mut String,
) -> Result<Cell<'a>, String> {
    fn entry<K: ArrowDictionaryKeyType>(array: &dyn Array, i: usize) -> (&ArrayRef, usize) {
        let dictionary = array.as_dictionary::<K>();
        (dictionary.values(), dictionary.key(i).expect("a null was found before"))
    }
    let (values, place) = match key {
        DataType::Int8 => entry::<Int8Type>(array, i),
        DataType::Int16 => entry::<Int16Type>(array, i),
        DataType::Int32 => entry::<Int32Type>(array, i),
        DataType::Int64 => entry::<Int64Type>(array, i),
        DataType::UInt8 => entry::<UInt8Type>(array, i),
        DataType::UInt16 => entry::<UInt16Type>(array, i),
        DataType::UInt32 => entry::<UInt32Type>(array, i),
        DataType::UInt64 => entry::<UInt64Type>(array, i),
        other => unreachable!("a dictionary has no keys of type {other}"),
    };
    read(field, values, place, scratch)
}

/// Appends a list or a struct as JSON. What is null stays so in a list; a struct has no such member.
fn write_nested(field: &Field, array: &dyn Array, i: usize, out: &mut String) -> Result<(), String> {
    let mut scratch = String::new();
    let item_field = match array.data_type() {
        DataType::Struct(members) => {
            let columns = array.as_struct().columns();
            let mut separator = "{";
            for (member, column) in members.iter().zip(columns) {
                let cell = read(member, column, i, &mut scratch)
                    .map_err(|problem| format!("has a member {:?} that {problem}", member.name()))?;
                if cell != Cell::Null {
                    out.push_str(separator);
                    separator = ",";
                    write_text(member.name(), out);
                    out.push(':');
                    write_cell(cell, out);
                }
            }
            out.push_str(if separator == "{" { "{}" } else { "}" });
            return Ok(());
        }
        DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => item,
        other => unreachable!("type {other} of {} is none of nested values", field.name()),
    };
    let items = match array.data_type() {
        DataType::List(_) => array.as_list::<i32>().value(i),
        DataType::LargeList(_) => array.as_list::<i64>().value(i),
        _ => array.as_fixed_size_list().value(i),
    };
    out.push('[');
    for i in 0..items.len() {
        if i > 0 {
            out.push(',');
        }
        let cell =
            read(item_field, &items, i, &mut scratch).map_err(|problem| format!("has an item that {problem}"))?;
        write_cell(cell, out);
    }
    out.push(']');
    Ok(())
}

fn write_cell(cell: Cell<'_>, out: &mut String) {
    match cell {
        Cell::Null => out.push_str("null"),
        Cell::Bool(value) => out.push_str(if value { "true" } else { "false" }),
        Cell::Number(text) | Cell::Json(text) => out.push_str(text),
        Cell::Text(text) => write_text(text, out),
    }
}

fn write_text(text: &str, out: &mut String) {
    let mut quoted = Vec::with_capacity(text.len() + 2);
    json::write_string(text, &mut quoted);
    out.push_str(std::str::from_utf8(&quoted).expect("JSON of valid texts is valid UTF-8"));
}
