//! The laws of a [`Store`], which every implementation passes.
//!
//! Each law is given a store of its own, new and empty. [`store_conformance!`](crate::store_conformance) makes a
//! test of each:
//!
//! ```
//! # fn main() {}
//! mod memory {
//!     use fabrik_core::store::MemoryStore;
//!     fabrik_core::store_conformance!(pollster::block_on, Box::new(MemoryStore::default()));
//! }
//! ```

#![expect(clippy::unwrap_used, clippy::missing_panics_doc, reason = "a failing law panics")]

pub mod chunks;
pub mod documents;
#[cfg(all(feature = "postgres", unix))]
pub mod postgres;
pub mod records;
pub mod transactions;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use hashbrown::HashMap;
use uuid::Uuid;

use super::{Store, StoredChunk};
use crate::chunk::NewChunk;
use crate::error::{Error, ErrorKind};
use crate::id::{ChunkId, ChunkPrefix, SnapshotId, VersionHash};
use crate::key::KeySpec;
use crate::snapshot::{Coverage, RetentionPolicy, Series, Snapshot, Verdict};

/// Makes one test for each law.
///
/// Takes the path of a function that runs a future to its end, and an expression that opens a new, empty store:
/// anything that dereferences to one, such as a box, or a guard that removes the store's folder when dropped.
#[macro_export]
macro_rules! store_conformance {
    ($block_on:path, $open:expr) => {
        $crate::store_conformance! { @laws chunks, $block_on, $open;
            what_was_put_comes_back,
            putting_again_changes_nothing_and_adds_no_bytes,
            a_chunk_that_is_twice_in_one_batch_is_stored_once,
            a_chunk_that_was_never_put_is_not_found,
            missing_tells_what_the_store_lacks,
            chunks_come_in_the_order_asked_for_and_may_repeat,
            a_thousand_chunks_are_put_and_read_together,
            a_chunk_put_next_to_a_base_comes_back,
            a_chain_of_versions_comes_back,
            chain_lengths_agree_with_bases,
            a_base_that_the_store_lacks_is_ignored,
            bytes_added_are_those_listed,
            deleting_chunks_frees_what_the_listing_said,
            a_deleted_chunk_can_be_put_again,
        }
        $crate::store_conformance! { @laws transactions, $block_on, $open;
            a_dropped_transaction_leaves_no_trace,
            a_transaction_sees_its_own_changes,
            readers_see_the_old_state_while_a_transaction_is_open,
            a_commit_is_visible_at_once_and_in_full,
            a_transaction_begins_once_the_one_before_has_ended,
        }
        $crate::store_conformance! { @laws records, $block_on, $open;
            records_come_back_with_every_field,
            a_record_is_replaced_by_one_with_its_id,
            snapshots_are_listed_newest_first_and_ties_go_by_id,
            filters_select_by_query_and_connection,
            filters_take_both_ends_of_a_range,
            filters_select_by_the_start_of_an_id,
            pages_follow_one_another,
            queries_are_listed_by_name_with_their_history,
            numbers_of_series_are_stable_and_distinct,
            names_are_told_apart_by_every_byte,
            deleting_snapshots_counts_those_that_were_there,
            deleting_snapshots_leaves_their_chunks,
            a_new_store_is_empty_and_sound,
        }
        $crate::store_conformance! { @laws documents, $block_on, $open;
            documents_come_back_as_they_were,
            documents_are_listed_by_name,
            a_kind_without_documents_has_an_empty_list,
            documents_are_told_apart_by_every_byte,
            a_document_is_overwritten_by_one_with_its_name,
            deleting_a_document_tells_whether_it_was_there,
            documents_change_with_their_transaction_or_not_at_all,
            documents_outlive_snapshots_and_chunks,
        }
    };
    (@laws $of:ident, $block_on:path, $open:expr; $($law:ident),+ $(,)?) => {
        $(
            #[test]
            fn $law() {
                let store = $open;
                $block_on($crate::store::conformance::$of::$law(&*store));
            }
        )+
    };
}

fn chunk(bytes: impl Into<Bytes>) -> NewChunk {
    let bytes = bytes.into();
    NewChunk { id: ChunkId::of(&bytes), bytes, base: None }
}

fn chunk_after(base: &NewChunk, bytes: impl Into<Bytes>) -> NewChunk {
    NewChunk { base: Some(base.id), ..chunk(bytes) }
}

async fn put(store: &dyn Store, chunks: &[NewChunk]) -> u64 {
    let mut transaction = store.begin().await.unwrap();
    let added = transaction.put_chunks(chunks.to_vec()).await.unwrap();
    transaction.commit().await.unwrap();
    added
}

async fn read(store: &dyn Store, chunks: &[NewChunk]) -> Vec<Bytes> {
    let ids: Vec<ChunkId> = chunks.iter().map(|chunk| chunk.id).collect();
    store.read_chunks(&ids).await.unwrap()
}

async fn assert_reads(store: &dyn Store, chunks: &[NewChunk]) {
    let found = read(store, chunks).await;
    assert!(found.iter().eq(chunks.iter().map(|chunk| &chunk.bytes)), "the bytes differ from those that were put");
}

async fn assert_not_found(store: &dyn Store, chunk: &NewChunk) {
    let error = store.read_chunks(&[chunk.id]).await.unwrap_err();
    assert!(matches!(error, Error::ChunkNotFound { id, .. } if id == chunk.id), "{error}");
    assert_eq!(error.kind(), ErrorKind::Damaged);
}

/// Text like that of a leaf, of which successive versions differ in one line.
fn version(number: usize) -> Vec<u8> {
    let line = |i: usize| {
        let descr = if i == number % 40 { format!("version {number}") } else { String::new() };
        format!("uni/tn-{i}/BD-{}/descr={descr};arpFlood=no;mtu=9000\n", i * 7919 % 1000)
    };
    (0..40).map(line).collect::<String>().into_bytes()
}

fn at(second: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_770_000_000 + second, 123_456_000).unwrap()
}

/// A record with nothing in it that matters to most laws.
fn record(series: &Series, number: u128, captured_at: DateTime<Utc>) -> Snapshot {
    Snapshot {
        id: SnapshotId::new(Uuid::from_u128(number)),
        series: series.clone(),
        captured_at,
        captured_by: "mara".into(),
        key: KeySpec::Auto,
        root: ChunkId::of(b"root"),
        version_hash: VersionHash::of_root(b"root"),
        row_count: 1,
        duplicate_keys: 0,
        size_bytes: 2,
        stored_bytes: 3,
        retention_policy: RetentionPolicy::ThirtyDays,
        pinned: false,
        annotation: None,
        label: None,
        verdict: Verdict::Complete,
        coverage: Coverage::Full,
        changes: None,
    }
}

/// Stores records made from the series of one query.
async fn put_records(
    store: &dyn Store,
    query: &str,
    connection: Option<&str>,
    make: impl FnOnce(&Series) -> Vec<Snapshot>,
) -> Vec<Snapshot> {
    let mut transaction = store.begin().await.unwrap();
    let series = transaction.series(query, connection).await.unwrap();
    let records = make(&series);
    for record in &records {
        transaction.put_snapshot(record).await.unwrap();
    }
    transaction.commit().await.unwrap();
    records
}

async fn stored(store: &dyn Store) -> HashMap<ChunkPrefix, StoredChunk> {
    store.stored_chunks().await.unwrap().into_iter().map(|chunk| (chunk.id, chunk)).collect()
}
