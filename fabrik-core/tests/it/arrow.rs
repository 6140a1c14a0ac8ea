//! Snapshots and changes as Arrow, Arrow as rows, and back.

mod changes;
mod source;

use std::collections::BTreeMap;

use arrow_array::RecordBatch;
use arrow_ipc::reader::StreamReader;
use arrow_schema::{DataType, Schema};
use fabrik_core::arrow::{ArrowSource, Columns, JSON, WHOLE, row_batches, write_ipc};
use fabrik_core::store::{MemoryStore, ReadChunks, Store};
use fabrik_core::{Snapshot, capture as capture_source};
use proptest::prelude::*;

use crate::helpers::{block_on, capture, options, read};
use crate::model::{self, Row, json, sorted, to_json};

fn batches(store: &dyn ReadChunks, snapshot: &Snapshot) -> Vec<RecordBatch> {
    block_on(async {
        let mut stream = row_batches(store, snapshot).await.unwrap();
        let mut batches = Vec::new();
        while let Some(batch) = stream.next_batch().await.unwrap() {
            assert_eq!(&batch.schema(), stream.schema());
            batches.push(batch);
        }
        batches
    })
}

/// Captures record batches as the snapshot of this number.
fn capture_batches(store: &dyn Store, number: u32, batches: Vec<RecordBatch>) -> Snapshot {
    let mut source = ArrowSource::new("batches", batches.into_iter().map(Ok));
    block_on(capture_source(store, &mut source, &options(number))).unwrap().snapshot
}

fn ipc(store: &dyn ReadChunks, snapshot: &Snapshot) -> (Schema, Vec<RecordBatch>) {
    let mut file = Vec::new();
    block_on(write_ipc(store, snapshot, &mut file)).unwrap();
    let reader = StreamReader::try_new(file.as_slice(), None).unwrap();
    (reader.schema().as_ref().clone(), reader.map(Result::unwrap).collect())
}

#[cfg(feature = "parquet")]
fn parquet(store: &dyn ReadChunks, snapshot: &Snapshot) -> (Schema, Vec<RecordBatch>) {
    use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

    let mut file = Vec::new();
    block_on(fabrik_core::arrow::write_parquet(store, snapshot, &mut file)).unwrap();
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes::Bytes::from(file)).unwrap();
    let schema = reader.schema().as_ref().clone();
    (schema, reader.with_batch_size(1 << 20).build().unwrap().map(Result::unwrap).collect())
}

fn without_nulls(mut row: Row) -> Row {
    row.retain(|_, value| value != "null");
    row
}

/// Rows whose columns have mostly values of one kind, as tables do.
fn table() -> impl Strategy<Value = Vec<Row>> {
    let column = prop_oneof![
        Just(vec!["\"\"", "\"a\"", "\"ä\\n\\\"\"", "\"1\""]),
        Just(vec!["true", "false"]),
        Just(vec!["0", "-1", "9223372036854775807", "-9223372036854775808"]),
        Just(vec!["1.0", "-0.0", "0.1", "1e-07", "1e+16", "1.5e+300"]),
        Just(vec!["1", "-3", "0.5", "9007199254740991"]),
        Just(vec!["1", "1.0", "1e5", "1E5", "1e16", "-0", "0.10", "18446744073709551615", "1e999"]),
        Just(vec!["\"a\"", "1", "true", "[1,null]", "{\"x\":{\"y\":\"b\"}}"]),
        Just(vec!["null"]),
    ];
    let column = column.prop_flat_map(|values| {
        let cell =
            prop_oneof![1 => Just(None), 1 => Just(Some("null")), 6 => prop::sample::select(values).prop_map(Some)];
        prop::collection::vec(cell, 20)
    });
    let names = prop::sample::select(vec!["dn", "className", "a", "b.c", "", "ä"]);
    (prop::collection::btree_map(names, column, 0..5), 0..20_usize).prop_map(|(columns, n_rows)| {
        let cell = |name: &&str, column: &Vec<Option<&str>>, i: usize| {
            column[i].map(|value| ((*name).to_owned(), value.to_owned()))
        };
        (0..n_rows).map(|i| columns.iter().filter_map(|(name, column)| cell(name, column, i)).collect()).collect()
    })
}

proptest! {
    #[test]
    fn rows_come_back_as_they_were_but_for_nulls(
        rows in prop_oneof![table(), model::rows(30)],
        cut in any::<prop::sample::Index>(),
    ) {
        let store = MemoryStore::default();
        let snapshot = capture(&store, 1, to_json(&rows));

        let mut pieces = Vec::new();
        for batch in batches(&store, &snapshot) {
            let at = cut.index(batch.num_rows() + 1);
            pieces.extend([batch.slice(0, at), batch.slice(at, batch.num_rows() - at)]);
        }
        let again = capture_batches(&store, 2, pieces);

        let expected = rows.into_iter().map(without_nulls).map(|row| json(&row)).collect();
        prop_assert_eq!(sorted(read(&store, &again)), sorted(expected));
    }

    #[test]
    fn files_read_back_as_the_batches(rows in prop_oneof![table(), model::rows(30)]) {
        let store = MemoryStore::default();
        let snapshot = capture(&store, 1, to_json(&rows));

        let expected = batches(&store, &snapshot);
        let schema = block_on(Columns::find(&store, &snapshot)).unwrap().schema().as_ref().clone();

        prop_assert_eq!(ipc(&store, &snapshot), (schema.clone(), expected.clone()));
        #[cfg(feature = "parquet")]
        {
            let (found_schema, found) = parquet(&store, &snapshot);
            // A Parquet file without columns has no rows.
            prop_assert!(found == expected || schema.fields().is_empty());
            prop_assert_eq!(found_schema, schema);
        }
    }
}

#[test]
fn a_column_has_the_type_that_loses_nothing() {
    let is_json = (DataType::Utf8, Some((JSON, "true")));
    for (values, (data_type, says)) in [
        (r#"["a", "1", null]"#, (DataType::Utf8, None)),
        ("[null, null]", (DataType::Utf8, None)),
        ("[true, null, false]", (DataType::Boolean, None)),
        ("[0, -9223372036854775808, 9223372036854775807]", (DataType::Int64, None)),
        ("[9223372036854775808]", is_json.clone()),
        ("[0, -0]", (DataType::Float64, Some((WHOLE, "digits")))),
        ("[1.0, 0.1, 1e-07]", (DataType::Float64, None)),
        ("[1, 1.5]", (DataType::Float64, Some((WHOLE, "digits")))),
        ("[1, 1.0]", is_json.clone()),
        ("[1e-7]", is_json.clone()),
        ("[1.50]", is_json.clone()),
        ("[1e999]", is_json.clone()),
        ("[0.30000000000000000001]", is_json.clone()),
        (r#"["a", 1]"#, is_json.clone()),
        ("[true, 1]", is_json.clone()),
        ("[[1]]", is_json.clone()),
        (r#"["a", {"x": 1}]"#, is_json),
    ] {
        let store = MemoryStore::default();
        let values: Vec<Box<serde_json::value::RawValue>> = serde_json::from_str(values).unwrap();
        let snapshot = capture(&store, 1, values.iter().map(|value| format!("{{\"a\":{value}}}")));

        let columns = block_on(Columns::find(&store, &snapshot)).unwrap();

        let field = columns.schema().field(0);
        let expected: BTreeMap<&str, &str> = says.into_iter().collect();
        let metadata: BTreeMap<&str, &str> =
            field.metadata().iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!((field.data_type(), metadata), (&data_type, expected), "{values:?}");
        assert!(field.is_nullable());
    }
}

#[test]
fn columns_stand_by_name_behind_the_dn_and_the_class() {
    let store = MemoryStore::default();
    let snapshot = capture(&store, 1, [r#"{"b":"","a":"","zz":"","dn":"uni"}"#, r#"{"className":"fvBD","Z":""}"#]);

    let columns = block_on(Columns::find(&store, &snapshot)).unwrap();

    let names: Vec<&str> = columns.schema().fields().iter().map(|field| field.name().as_str()).collect();
    assert_eq!(names, ["dn", "className", "Z", "a", "b", "zz"]);
}

/// Rows enough for many batches, of columns that change their kind on the way.
fn many_rows() -> impl Iterator<Item = String> {
    (0..40_000).map(|i| match i {
        12_345 => format!(r#"{{"dn":"uni/tn-{i:05}","once":{i},"mixed":"text"}}"#),
        _ => format!(r#"{{"dn":"uni/tn-{i:05}","number":{i},"half":{}.5,"mixed":{i}}}"#, i % 7),
    })
}

#[test]
fn a_large_snapshot_comes_in_batches_of_bounded_size() {
    let store = MemoryStore::default();
    let snapshot = capture(&store, 1, many_rows());

    let found = batches(&store, &snapshot);

    assert!(found.len() > 1);
    assert!(found.iter().all(|batch| (1..=24_576).contains(&batch.num_rows())));
    assert_eq!(found.iter().map(RecordBatch::num_rows).sum::<usize>(), 40_000);
    assert_eq!(found, batches(&store, &snapshot));
    assert_eq!(capture_batches(&store, 2, found).version_hash, snapshot.version_hash);
}

#[test]
fn a_large_snapshot_is_written_and_read_back() {
    let store = MemoryStore::default();
    let snapshot = capture(&store, 1, many_rows());

    assert_eq!(capture_batches(&store, 2, ipc(&store, &snapshot).1).version_hash, snapshot.version_hash);
    #[cfg(feature = "parquet")]
    assert_eq!(capture_batches(&store, 3, parquet(&store, &snapshot).1).version_hash, snapshot.version_hash);
}

#[test]
fn an_output_that_fails_is_said_to_have_failed() {
    #[derive(Debug)]
    struct Full;
    impl std::io::Write for Full {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::StorageFull.into())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let store = MemoryStore::default();
    let snapshot = capture(&store, 1, ["{}"]);

    let error = block_on(write_ipc(&store, &snapshot, &mut Full)).unwrap_err();

    assert!(matches!(error, fabrik_core::Error::Output(source) if source.kind() == std::io::ErrorKind::StorageFull));
}
