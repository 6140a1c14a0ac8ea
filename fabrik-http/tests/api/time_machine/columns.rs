//! Snapshots as Arrow and Parquet, read back by the readers of those formats.

use arrow_array::RecordBatch;
use arrow_ipc::reader::StreamReader;
use bytes::{Buf, Bytes};
use fabrik_core::Source;
use fabrik_core::arrow::ArrowSource;
use parquet::arrow::arrow_reader::ParquetRecordBatchReader;
use serde_json::{Value, json};

use super::{API, Lab};

const ARROW: &str = "application/vnd.apache.arrow.stream";
const PARQUET: &str = "application/vnd.apache.parquet";

fn batches(kind: &str, body: Bytes) -> Vec<RecordBatch> {
    if kind == ARROW {
        StreamReader::try_new(body.reader(), None).unwrap().map(Result::unwrap).collect()
    } else {
        ParquetRecordBatchReader::try_new(body, 1000).unwrap().map(Result::unwrap).collect()
    }
}

async fn rows(batches: Vec<RecordBatch>) -> Vec<Value> {
    let mut source = ArrowSource::new("the answer", batches.into_iter().map(Ok));
    let mut rows = Vec::new();
    while let Some(batch) = source.next_batch().await.unwrap() {
        rows.extend(batch.iter().map(|row| serde_json::to_value(row).unwrap()));
    }
    rows
}

#[tokio::test]
async fn a_snapshot_is_read_as_an_arrow_stream_and_as_a_parquet_file() {
    let lab = Lab::new().await;
    let captured = lab.capture(json!({})).await;
    let path = format!("{API}snapshots/{}/", captured["id"].as_str().unwrap());
    let get = |path: &str| lab.server.get(path).token(&lab.root);
    let expected = get(&path).send().await.body;

    let mut tags = Vec::new();
    for (format, kind) in [("arrow", ARROW), ("parquet", PARQUET)] {
        let accepted = get(&path).header("accept", kind).send().await;
        assert_eq!((accepted.status, accepted.header("content-type")), (200, kind));
        let named = get(&format!("{path}?format={format}")).send().await;
        assert_eq!((&named.bytes, named.header("etag")), (&accepted.bytes, accepted.header("etag")));

        let batches = batches(kind, accepted.bytes.clone());
        let schema = batches[0].schema();
        let columns: Vec<&String> = schema.fields().iter().map(|field| field.name()).collect();
        assert_eq!(json!(columns), expected["columns"]);
        assert_eq!(json!(rows(batches).await), expected["rows"]);

        let tag = accepted.header("etag").to_owned();
        assert!(tag.starts_with('"') && !tags.contains(&tag), "{tag}");
        let known = get(&path).header("accept", kind).header("if-none-match", &tag).send().await;
        assert_eq!((known.status, known.bytes.len()), (304, 0));
        tags.push(tag);
    }
}

#[tokio::test]
async fn a_parquet_file_is_not_compressed_twice() {
    let lab = Lab::new().await;
    let captured = lab.capture(json!({})).await;
    let path = format!("{API}snapshots/{}/", captured["id"].as_str().unwrap());
    let get = async |kind: &str| {
        lab.server.get(&path).token(&lab.root).header("accept-encoding", "gzip").header("accept", kind).send().await
    };

    assert_eq!(get(ARROW).await.header("content-encoding"), "gzip");
    assert_eq!(get(PARQUET).await.header("content-encoding"), "");
}
