//! What becomes of each Arrow type in a row.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::builder::{
    Decimal128Builder, FixedSizeListBuilder, Float64Builder, Int64Builder, ListBuilder, StringBuilder,
    StringDictionaryBuilder, StringViewBuilder,
};
use arrow_array::types::Int8Type;
use arrow_array::{
    ArrayRef, BinaryArray, BooleanArray, Date32Array, Date64Array, Float32Array, Float64Array, Int8Array, Int64Array,
    LargeStringArray, NullArray, RecordBatch, StringArray, StructArray, TimestampMillisecondArray,
    TimestampNanosecondArray, TimestampSecondArray, UInt64Array,
};
use arrow_schema::{ArrowError, DataType, Field, Schema};
use fabrik_core::arrow::{ArrowSource, JSON, WHOLE};
use fabrik_core::store::MemoryStore;
use fabrik_core::{Error, ErrorKind, Source};

use super::capture_batches;
use crate::helpers::{block_on, json};

fn batch(field: Field, array: ArrayRef) -> RecordBatch {
    RecordBatch::try_new(Arc::new(Schema::new(vec![field])), vec![array]).unwrap()
}

/// Returns the rows of a column `a` as JSON, in the order of arrival.
fn rows_of(field: Field, array: ArrayRef) -> Vec<String> {
    let mut source = ArrowSource::new("a table", [Ok(batch(field, array))]);
    let mut rows = Vec::new();
    while let Some(batch) = block_on(source.next_batch()).unwrap() {
        rows.extend(batch.iter().map(json));
    }
    rows
}

fn error_of(batches: Vec<Result<RecordBatch, ArrowError>>) -> Error {
    let mut source = ArrowSource::new("a table", batches);
    loop {
        if let Err(error) = block_on(source.next_batch()).map(Option::unwrap) {
            return error;
        }
    }
}

fn strings(values: &[&str]) -> ArrayRef {
    Arc::new(StringArray::from(values.to_vec()))
}

#[test]
fn every_type_has_its_value() {
    let mut dictionary = StringDictionaryBuilder::<Int8Type>::new();
    dictionary.append_value("x");
    dictionary.append_null();
    dictionary.append_value("x");
    let mut view = StringViewBuilder::new();
    view.append_value("a text that is longer than a view holds");
    view.append_value("");
    let mut decimal = Decimal128Builder::new().with_precision_and_scale(38, 2).unwrap();
    decimal.append_value(-5);
    decimal.append_value(12_345_678_901_234_567_890_123_456_789_012_345_678);
    let mut list = ListBuilder::new(Float64Builder::new());
    list.append_value([Some(1.0), None]);
    list.append_null();
    list.append_value([]);
    let mut fixed = FixedSizeListBuilder::new(Int64Builder::new(), 2);
    fixed.values().append_slice(&[1, 2]);
    fixed.append(true);
    let mut nested = ListBuilder::new(ListBuilder::new(StringBuilder::new()));
    nested.values().append_value([Some("\"")]);
    nested.values().append_null();
    nested.append(true);
    let member = |name: &str, array: ArrayRef| (Arc::new(Field::new(name, array.data_type().clone(), true)), array);
    let structure = StructArray::from(vec![
        member("b", Arc::new(Int64Array::from(vec![Some(1), None]))),
        member("a", Arc::new(StringArray::from(vec![None::<&str>, None]))),
    ]);
    let day = 20_513; // 2026-03-01
    let second = i64::from(day) * 86_400 + 5;
    let cases: Vec<(ArrayRef, &[&str])> = vec![
        (Arc::new(NullArray::new(2)), &["", ""]),
        (Arc::new(BooleanArray::from(vec![Some(true), None])), &["true", ""]),
        (strings(&["ä", ""]), &["\"ä\"", "\"\""]),
        (Arc::new(LargeStringArray::from(vec![Some("ä"), None])), &["\"ä\"", ""]),
        (Arc::new(view.finish()), &["\"a text that is longer than a view holds\"", "\"\""]),
        (Arc::new(dictionary.finish()), &["\"x\"", "", "\"x\""]),
        (Arc::new(Int8Array::from(vec![Some(-128), None])), &["-128", ""]),
        (Arc::new(UInt64Array::from(vec![u64::MAX])), &["18446744073709551615"]),
        (Arc::new(Float64Array::from(vec![1.0, -0.0, 1e-7, 1e16])), &["1.0", "-0.0", "1e-07", "1e+16"]),
        (Arc::new(Float32Array::from(vec![0.1])), &["0.10000000149011612"]),
        (Arc::new(decimal.finish()), &["-0.05", "123456789012345678901234567890123456.78"]),
        (Arc::new(Date32Array::from(vec![day, -1])), &["\"2026-03-01\"", "\"1969-12-31\""]),
        (Arc::new(Date64Array::from(vec![second * 1000])), &["\"2026-03-01\""]),
        (Arc::new(TimestampSecondArray::from(vec![second])), &["\"2026-03-01T00:00:05\""]),
        (
            Arc::new(TimestampMillisecondArray::from(vec![second * 1000 + 250]).with_timezone("Europe/Berlin")),
            &["\"2026-03-01T00:00:05.250+00:00\""],
        ),
        (
            Arc::new(TimestampNanosecondArray::from(vec![second * 1_000_000_000 + 1]).with_timezone("UTC")),
            &["\"2026-03-01T00:00:05.000000001+00:00\""],
        ),
        (Arc::new(list.finish()), &["[1.0,null]", "", "[]"]),
        (Arc::new(fixed.finish()), &["[1,2]"]),
        (Arc::new(nested.finish()), &["[[\"\\\"\"],null]"]),
        (Arc::new(structure), &["{\"b\":1}", "{}"]),
    ];
    for (array, values) in cases {
        let data_type = array.data_type().clone();

        let rows = rows_of(Field::new("a", data_type.clone(), true), array);

        let expected =
            values.iter().map(|value| if value.is_empty() { "{}".into() } else { format!("{{\"a\":{value}}}") });
        assert_eq!(rows, expected.collect::<Vec<String>>(), "{data_type}");
    }
}

#[test]
fn a_field_may_say_that_its_texts_are_json_and_its_whole_numbers_have_no_fraction() {
    let says = |name: &str, value: &str| HashMap::from([(name.to_owned(), value.to_owned())]);
    let texts = Field::new("a", DataType::Utf8, true).with_metadata(says(JSON, "true"));
    let numbers = Field::new("a", DataType::Float64, true).with_metadata(says(WHOLE, "digits"));

    let rows = rows_of(texts, strings(&[" {\"y\": 1.50, \"x\": []} ", "\"\\u0041\"", "null", "-0"]));
    assert_eq!(rows, [r#"{"a":{"x":[],"y":1.50}}"#, r#"{"a":"A"}"#, r#"{"a":null}"#, r#"{"a":-0}"#]);

    let rows = rows_of(numbers, Arc::new(Float64Array::from(vec![1.0, 1.5])));
    assert_eq!(rows, [r#"{"a":1}"#, r#"{"a":1.5}"#]);
}

#[test]
fn what_is_no_finite_number_is_refused_with_its_row_and_column() {
    for (number, name) in [(f64::NAN, "NaN"), (f64::INFINITY, "inf"), (f64::NEG_INFINITY, "-inf")] {
        let good = batch(Field::new("load", DataType::Float64, true), Arc::new(Float64Array::from(vec![1.0; 3])));
        let bad = batch(Field::new("load", DataType::Float64, true), Arc::new(Float64Array::from(vec![1.0, number])));

        let error = error_of(vec![Ok(good), Ok(bad)]);

        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        let expected = format!("row 5 is not valid: column \"load\" is {name}; expected a finite number");
        assert_eq!(error.to_string(), expected);
    }
}

#[test]
fn a_type_that_no_row_can_hold_is_refused_with_its_column() {
    let inner: ArrayRef = Arc::new(BinaryArray::from(vec![b"x".as_slice()]));
    let member = Arc::new(Field::new("x", DataType::Binary, true));
    let cases: [(ArrayRef, &str); 2] =
        [(Arc::clone(&inner), "Binary"), (Arc::new(StructArray::from(vec![(member, inner)])), "Binary")];
    for (array, name) in cases {
        let error = error_of(vec![Ok(batch(Field::new("raw", array.data_type().clone(), true), array))]);

        let expected = format!(
            "a table cannot be captured: column \"raw\" is of type {name}; expected texts, booleans, numbers, dates, \
             timestamps, or lists and structs of them"
        );
        assert_eq!(error.to_string(), expected);
    }
}

#[test]
fn types_nested_without_end_are_refused() {
    let mut data_type = DataType::Int64;
    for _ in 0..101 {
        data_type = DataType::List(Arc::new(Field::new("item", data_type, true)));
    }
    let empty = RecordBatch::new_empty(Arc::new(Schema::new(vec![Field::new("a", data_type, true)])));

    let error = error_of(vec![Ok(empty)]).to_string();

    assert_eq!(error, "a table cannot be captured: column \"a\" nests deeper than 100 levels");
}

#[test]
fn a_name_that_is_there_twice_is_refused() {
    let fields = vec![Field::new("a", DataType::Utf8, true), Field::new("a", DataType::Utf8, true)];
    let twice = RecordBatch::try_new(Arc::new(Schema::new(fields)), vec![strings(&["x"]), strings(&["y"])]).unwrap();

    let error = error_of(vec![Ok(twice)]).to_string();

    assert_eq!(error, "a table cannot be captured: column \"a\" is there twice; expected names that differ");
}

#[test]
fn a_text_that_only_claims_to_be_json_is_refused() {
    let field =
        Field::new("a", DataType::Utf8, true).with_metadata(HashMap::from([(JSON.to_owned(), "true".to_owned())]));
    for text in ["", "x", "\"", "{\"a\":", "1 2", "01"] {
        let error = error_of(vec![Ok(batch(field.clone(), strings(&[text])))]).to_string();

        assert!(error.starts_with("row 1 is not valid: column \"a\" is no JSON text: "), "{error}");
    }
}

#[test]
fn batches_that_break_off_are_an_error_and_no_shorter_snapshot() {
    let good = batch(Field::new("a", DataType::Utf8, true), strings(&["x"]));
    let broken = ArrowError::IpcError("cut off".to_owned());

    let error = error_of(vec![Ok(good), Err(broken)]);

    assert_eq!(error.to_string(), "a table cannot be captured: the record batches broke off");
    assert_eq!(std::error::Error::source(&error).unwrap().to_string(), "Ipc error: cut off");
}

#[test]
fn one_large_batch_is_taken_in_pieces() {
    let texts: Vec<String> = (0..50_000).map(|i| format!("uni/tn-{i}")).collect();
    let large = batch(Field::new("dn", DataType::Utf8, true), Arc::new(StringArray::from(texts)));

    let mut source = ArrowSource::new("a table", [Ok(large.clone())]);
    let first = block_on(source.next_batch()).unwrap().unwrap();

    assert!(first.len() < 10_000);
    assert_eq!(source.progress().rows, first.len() as u64);
    assert_eq!(capture_batches(&MemoryStore::default(), 1, vec![large]).row_count, 50_000);
}
