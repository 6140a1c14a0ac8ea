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

use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use hashbrown::HashMap;
use uuid::Uuid;

use super::{SnapshotFilter, Store, StoredChunk};
use crate::chunk::NewChunk;
use crate::error::{Error, ErrorKind};
use crate::id::{ChunkId, ChunkPrefix, SnapshotId, VersionHash};
use crate::key::KeySpec;
use crate::snapshot::{ChangeSummary, RetentionPolicy, Series, Snapshot, Verdict};

/// Makes one test for each law.
///
/// Takes the path of a function that runs a future to its end, and an expression that opens a new, empty store:
/// anything that dereferences to one, such as a box, or a guard that removes the store's folder when dropped.
#[macro_export]
macro_rules! store_conformance {
    ($block_on:path, $open:expr) => {
        $crate::store_conformance! {
            @laws $block_on, $open;
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
            a_dropped_transaction_leaves_no_trace,
            a_transaction_sees_its_own_changes,
            readers_see_the_old_state_while_a_transaction_is_open,
            a_commit_is_visible_at_once_and_in_full,
            a_transaction_begins_once_the_one_before_has_ended,
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
            deleting_chunks_frees_what_the_listing_said,
            a_deleted_chunk_can_be_put_again,
            a_new_store_is_empty_and_sound,
        }
    };
    (@laws $block_on:path, $open:expr; $($law:ident),+ $(,)?) => {
        $(
            #[test]
            fn $law() {
                let store = $open;
                $block_on($crate::store::conformance::$law(&*store));
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

/// Bytes that no compression shortens.
fn noise(len: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    (0..len).map(|_| next()).collect()
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

async fn list(store: &dyn Store, filter: SnapshotFilter) -> Vec<u128> {
    store.snapshots(&filter).await.unwrap().iter().map(|snapshot| snapshot.id.as_uuid().as_u128()).collect()
}

async fn stored(store: &dyn Store) -> HashMap<ChunkPrefix, StoredChunk> {
    store.stored_chunks().await.unwrap().into_iter().map(|chunk| (chunk.id, chunk)).collect()
}

/// What was put comes back unchanged, whatever its length and however well it packs.
pub async fn what_was_put_comes_back(store: &dyn Store) {
    let chunks =
        [chunk(&b""[..]), chunk(&b"x"[..]), chunk(vec![7; 100_000]), chunk(noise(70_000, 1)), chunk(version(0))];

    put(store, &chunks).await;

    assert_reads(store, &chunks).await;
}

/// Putting a chunk again changes nothing and adds no bytes.
pub async fn putting_again_changes_nothing_and_adds_no_bytes(store: &dyn Store) {
    let chunks = [chunk(version(0)), chunk(version(1))];
    assert!(put(store, &chunks).await > 0);
    let before = stored(store).await;

    let added = put(store, &chunks).await;

    assert_eq!(added, 0);
    assert_eq!(stored(store).await, before);
    assert_reads(store, &chunks).await;
}

/// A chunk that is in a batch twice is stored once.
pub async fn a_chunk_that_is_twice_in_one_batch_is_stored_once(store: &dyn Store) {
    let one = chunk(version(0));

    let added = put(store, &[one.clone(), chunk(version(1)), one.clone()]).await;

    let listed = store.stored_chunks().await.unwrap();
    assert_eq!(listed.len(), 2);
    assert_eq!(listed.iter().map(|chunk| chunk.stored_bytes).sum::<u64>(), added);
    assert_reads(store, &[one]).await;
}

/// Reading an id that was never put is an error that names it, also among ids that are there.
pub async fn a_chunk_that_was_never_put_is_not_found(store: &dyn Store) {
    let (there, absent) = (chunk(version(0)), chunk(version(1)));
    put(store, std::slice::from_ref(&there)).await;

    let among = store.read_chunks(&[there.id, absent.id, there.id]).await.unwrap_err();

    assert!(matches!(among, Error::ChunkNotFound { id, .. } if id == absent.id), "{among}");
    assert_not_found(store, &absent).await;
}

/// `missing` answers for each id, in order, repeats included.
pub async fn missing_tells_what_the_store_lacks(store: &dyn Store) {
    let (there, absent) = (chunk(version(0)), chunk(version(1)));
    put(store, std::slice::from_ref(&there)).await;

    let transaction = store.begin().await.unwrap();
    let missing = transaction.missing(&[absent.id, there.id, absent.id]).await.unwrap();

    assert_eq!(missing, [true, false, true]);
    assert!(transaction.missing(&[]).await.unwrap().is_empty());
}

/// Chunks come back in the order that they were asked for, as often as they were.
pub async fn chunks_come_in_the_order_asked_for_and_may_repeat(store: &dyn Store) {
    let chunks: Vec<NewChunk> = (0..40).map(|i| chunk(version(i))).collect();
    put(store, &chunks).await;
    let asked: Vec<NewChunk> = [3, 3, 0, 39, 7, 0, 3].map(|i: usize| chunks[i].clone()).into();

    assert_reads(store, &asked).await;
    assert!(store.read_chunks(&[]).await.unwrap().is_empty());
}

/// Many chunks at a time come back as well as few, those with a base among them.
pub async fn a_thousand_chunks_are_put_and_read_together(store: &dyn Store) {
    let first: Vec<NewChunk> = (0..500).map(|i| chunk([version(i), noise(i, 9)].concat())).collect();
    let second: Vec<NewChunk> =
        (0..500).map(|i| chunk_after(&first[i], [version(i + 1), noise(i, 9)].concat())).collect();

    put(store, &first).await;
    put(store, &second).await;

    let all: Vec<NewChunk> = first.iter().zip(&second).flat_map(|(one, other)| [other.clone(), one.clone()]).collect();
    assert_reads(store, &all).await;
}

/// A chunk put next to a base comes back whole.
pub async fn a_chunk_put_next_to_a_base_comes_back(store: &dyn Store) {
    let base = chunk(version(0));
    let similar = chunk_after(&base, version(1));
    let different = chunk_after(&base, noise(5_000, 2));
    let empty = chunk_after(&base, &b""[..]);
    put(store, std::slice::from_ref(&base)).await;

    put(store, &[similar.clone(), different.clone(), empty.clone()]).await;

    assert_reads(store, &[similar, different, empty, base]).await;
}

/// Thirty versions, each put next to the one before it, all come back: alone and together.
pub async fn a_chain_of_versions_comes_back(store: &dyn Store) {
    let versions = put_versions(store, 30).await;

    for one in &versions {
        assert_reads(store, std::slice::from_ref(one)).await;
    }
    assert_reads(store, &versions).await;
}

async fn put_versions(store: &dyn Store, count: usize) -> Vec<NewChunk> {
    let mut versions: Vec<NewChunk> = Vec::new();
    for number in 0..count {
        let next = match versions.last() {
            Some(last) => chunk_after(last, version(number)),
            None => chunk(version(number)),
        };
        put(store, std::slice::from_ref(&next)).await;
        versions.push(next);
    }
    versions
}

/// The listing says how many chunks must be read before each: one more than for its base.
pub async fn chain_lengths_agree_with_bases(store: &dyn Store) {
    put_versions(store, 30).await;

    let listed = stored(store).await;

    assert_eq!(listed.len(), 30);
    for chunk in listed.values() {
        let expected = chunk.base.map_or(0, |base| listed[&base].chain + 1);
        assert_eq!(chunk.chain, expected, "{chunk:?}");
    }
}

/// A base that is not there is only a hint that does not help.
pub async fn a_base_that_the_store_lacks_is_ignored(store: &dyn Store) {
    let absent = chunk(version(0));
    let next = chunk_after(&absent, version(1));

    put(store, std::slice::from_ref(&next)).await;

    assert_reads(store, std::slice::from_ref(&next)).await;
    assert_eq!(stored(store).await[&ChunkPrefix::from(&next.id)].base, None);
    assert_not_found(store, &absent).await;
}

/// The bytes that putting reports are those that the listing shows.
pub async fn bytes_added_are_those_listed(store: &dyn Store) {
    let base = chunk(version(0));
    let first = put(store, &[base.clone(), chunk(noise(3_000, 3))]).await;

    let second = put(store, &[chunk_after(&base, version(1)), base.clone()]).await;

    assert_eq!(stored(store).await.values().map(|chunk| chunk.stored_bytes).sum::<u64>(), first + second);
}

/// Nothing of a transaction that was dropped is seen: no chunk, no record, no name.
pub async fn a_dropped_transaction_leaves_no_trace(store: &dyn Store) {
    let kept = put_records(store, "kept", None, |series| vec![record(series, 1, at(0))]).await;
    let (old, new) = (chunk(version(0)), chunk(version(1)));
    put(store, std::slice::from_ref(&old)).await;
    let before = (store.queries().await.unwrap(), stored(store).await);

    let mut transaction = store.begin().await.unwrap();
    let series = transaction.series("dropped", Some("fabric")).await.unwrap();
    transaction.put_chunks(vec![new.clone()]).await.unwrap();
    transaction.put_snapshot(&record(&series, 2, at(1))).await.unwrap();
    transaction.put_snapshot(&Snapshot { pinned: true, ..kept[0].clone() }).await.unwrap();
    transaction.delete_snapshots(&[kept[0].id]).await.unwrap();
    transaction.delete_chunks(&[ChunkPrefix::from(&old.id)]).await.unwrap();
    drop(transaction);

    assert_eq!((store.queries().await.unwrap(), stored(store).await), before);
    assert_eq!(store.snapshots(&SnapshotFilter::default()).await.unwrap(), kept);
    assert_reads(store, &[old]).await;
    assert_not_found(store, &new).await;
    assert!(store.check().await.unwrap().is_empty());
}

/// A transaction reads what it has written itself.
pub async fn a_transaction_sees_its_own_changes(store: &dyn Store) {
    let kept = put_records(store, "kept", None, |series| vec![record(series, 1, at(0))]).await;
    let new = chunk(version(0));

    let mut transaction = store.begin().await.unwrap();
    let series = transaction.series("new", None).await.unwrap();
    transaction.put_chunks(vec![new.clone()]).await.unwrap();
    transaction.put_snapshot(&record(&series, 2, at(1))).await.unwrap();
    transaction.delete_snapshots(&[kept[0].id]).await.unwrap();

    assert_eq!(transaction.read_chunks(&[new.id]).await.unwrap(), std::slice::from_ref(&new.bytes));
    assert_eq!(transaction.missing(&[new.id]).await.unwrap(), [false]);
    assert_eq!(transaction.stored_chunks().await.unwrap().len(), 1);
    let listed = transaction.snapshots(&SnapshotFilter::default()).await.unwrap();
    assert_eq!(listed, [record(&series, 2, at(1))]);
    let counts: Vec<(String, u64)> = (transaction.queries().await.unwrap().into_iter())
        .map(|history| (history.query.name, history.snapshot_count))
        .collect();
    assert_eq!(counts, [("kept".into(), 0), ("new".into(), 1)]);
}

/// Until the commit, readers see the store as it was, and are not kept waiting.
pub async fn readers_see_the_old_state_while_a_transaction_is_open(store: &dyn Store) {
    let old = chunk(version(0));
    put(store, std::slice::from_ref(&old)).await;
    let kept = put_records(store, "q", None, |series| vec![record(series, 1, at(0))]).await;

    let mut transaction = store.begin().await.unwrap();
    let new = chunk_after(&old, version(1));
    transaction.put_chunks(vec![new.clone()]).await.unwrap();
    transaction.delete_snapshots(&[kept[0].id]).await.unwrap();
    transaction.series("other", None).await.unwrap();

    assert_eq!(store.snapshots(&SnapshotFilter::default()).await.unwrap(), kept);
    assert_eq!(store.queries().await.unwrap().len(), 1);
    assert_eq!(stored(store).await.len(), 1);
    assert_reads(store, std::slice::from_ref(&old)).await;
    assert_not_found(store, &new).await;
    drop(transaction);
}

/// What a transaction did is all there when its commit returns.
pub async fn a_commit_is_visible_at_once_and_in_full(store: &dyn Store) {
    let chunks: Vec<NewChunk> = (0..20).map(|i| chunk(version(i))).collect();

    let mut transaction = store.begin().await.unwrap();
    let series = transaction.series("q", Some("fabric")).await.unwrap();
    transaction.put_chunks(chunks.clone()).await.unwrap();
    transaction.put_snapshot(&record(&series, 1, at(0))).await.unwrap();
    transaction.commit().await.unwrap();

    assert_reads(store, &chunks).await;
    assert_eq!(store.snapshots(&SnapshotFilter::of_series(&series)).await.unwrap(), [record(&series, 1, at(0))]);
}

/// Transactions follow one another, whether the one before was committed or dropped.
pub async fn a_transaction_begins_once_the_one_before_has_ended(store: &dyn Store) {
    for round in 0..6_usize {
        let mut transaction = store.begin().await.unwrap();
        assert_eq!(transaction.stored_chunks().await.unwrap().len(), round / 2);
        transaction.put_chunks(vec![chunk(version(round))]).await.unwrap();
        if round % 2 == 1 {
            transaction.commit().await.unwrap();
        }
    }
}

/// A record comes back with every field as it was, also the rare ones.
pub async fn records_come_back_with_every_field(store: &dyn Store) {
    let made = put_records(store, "a query@with \"marks\" ✓", Some("fabric é"), |series| {
        let plain = record(series, 1, at(0));
        let verdicts = [
            Verdict::Partial { reason: "shard 2 ⚠ \"down\"".into(), expected_rows: None, missing: vec![] },
            Verdict::Partial {
                reason: String::new(),
                expected_rows: Some(u64::from(u32::MAX)),
                missing: vec!["uni/tn-ä".into()],
            },
            Verdict::Unstable { rows_before: 0, rows_after: 17 },
        ];
        let mut records: Vec<Snapshot> = vec![
            plain.clone(),
            Snapshot {
                captured_by: "Mára Ø".into(),
                key: KeySpec::Hash,
                root: ChunkId::of(b"other"),
                version_hash: VersionHash::of_root(b"other"),
                row_count: 1 << 40,
                duplicate_keys: 1 << 33,
                size_bytes: 1 << 50,
                stored_bytes: 1 << 41,
                pinned: true,
                annotation: Some("before the move\nof \"VRF\" 🜁".into()),
                label: Some("baseline".into()),
                changes: Some(ChangeSummary {
                    previous: plain.id,
                    added: 1,
                    removed: 2,
                    changed: 3,
                    unchanged: 1 << 40,
                }),
                ..plain.clone()
            },
            Snapshot {
                annotation: Some(String::new()),
                label: Some(String::new()),
                captured_by: String::new(),
                ..plain.clone()
            },
            Snapshot { captured_at: DateTime::from_timestamp_micros(-1).unwrap(), ..plain.clone() },
            Snapshot {
                captured_at: DateTime::from_timestamp_micros(253_402_300_799_999_999).unwrap(),
                ..plain.clone()
            },
        ];
        let keys = [
            KeySpec::Dn,
            KeySpec::fields(["name"]).unwrap(),
            KeySpec::fields(["attributes.näme", "b c", "d.e.f"]).unwrap(),
            KeySpec::fields(["dn"]).unwrap(),
            KeySpec::fields(["auto"]).unwrap(),
            KeySpec::fields(["hash"]).unwrap(),
            KeySpec::fields(["dn", "hash"]).unwrap(),
        ];
        records.extend(keys.map(|key| Snapshot { key, ..plain.clone() }));
        records.extend(verdicts.map(|verdict| Snapshot { verdict, ..plain.clone() }));
        records.extend(RetentionPolicy::ALL.map(|policy| Snapshot { retention_policy: policy, ..plain.clone() }));
        for (record, number) in records.iter_mut().zip(1..) {
            record.id = SnapshotId::new(Uuid::from_u128(number << 100 | number));
        }
        records
    })
    .await;

    for expected in made {
        let filter = SnapshotFilter::default().with_id_prefix(expected.id.as_uuid().simple().to_string());
        let found = store.snapshots(&filter).await.unwrap();

        assert_eq!(found, std::slice::from_ref(&expected));
        let names = |series: &Series| (series.query.clone(), series.connection.clone());
        assert_eq!(names(&found[0].series), names(&expected.series));
    }
}

/// Storing a record whose id is there replaces it, whatever else is different.
pub async fn a_record_is_replaced_by_one_with_its_id(store: &dyn Store) {
    let old = put_records(store, "q", None, |series| vec![record(series, 1, at(0)), record(series, 2, at(1))]).await;
    let mut changed = Snapshot { pinned: true, annotation: Some("new".into()), ..old[0].clone() };
    changed.changes = Some(ChangeSummary { previous: old[1].id, added: 1, removed: 0, changed: 0, unchanged: 0 });

    put_records(store, "q", None, |_| vec![changed.clone()]).await;

    assert_eq!(store.snapshots(&SnapshotFilter::default()).await.unwrap(), [old[1].clone(), changed]);
}

/// Newest first; what was captured at the same moment goes by id, the greatest first.
pub async fn snapshots_are_listed_newest_first_and_ties_go_by_id(store: &dyn Store) {
    let micro = TimeDelta::microseconds(1);
    put_records(store, "q", None, |series| {
        vec![
            record(series, 5, at(0)),
            record(series, 1 << 100, at(0)),
            record(series, 2, at(9)),
            record(series, 3, at(0)),
            record(series, 9, at(-9)),
            record(series, 1, at(0) + micro),
        ]
    })
    .await;
    put_records(store, "r", None, |series| vec![record(series, 4, at(0))]).await;

    assert_eq!(list(store, SnapshotFilter::default()).await, [2, 1, 1 << 100, 5, 4, 3, 9]);
}

/// Filters select one query, and of it one connection, or none, or any.
pub async fn filters_select_by_query_and_connection(store: &dyn Store) {
    let mut numbers = 1..;
    let mut made = Vec::new();
    for (query, connection) in [("q", None), ("q", Some("east")), ("q", Some("west")), ("r", None), ("r", Some("east"))]
    {
        let number = numbers.next().unwrap();
        made.extend(put_records(store, query, connection, |series| vec![record(series, number, at(0))]).await);
    }
    let query = made[0].series.query.id;
    let west = made[2].series.connection.as_ref().unwrap().id;

    assert_eq!(list(store, SnapshotFilter::of_query(query)).await, [3, 2, 1]);
    assert_eq!(list(store, SnapshotFilter::of_query(query).with_connection(None)).await, [1]);
    assert_eq!(list(store, SnapshotFilter::of_query(query).with_connection(Some(west))).await, [3]);
    assert_eq!(list(store, SnapshotFilter::default().with_connection(None)).await, [4, 1]);
    for snapshot in &made {
        assert_eq!(
            store.snapshots(&SnapshotFilter::of_series(&snapshot.series)).await.unwrap(),
            std::slice::from_ref(snapshot)
        );
    }
    assert!(list(store, SnapshotFilter::of_query(query + 1_000)).await.is_empty());
}

/// A range of time includes both its ends, to the microsecond.
pub async fn filters_take_both_ends_of_a_range(store: &dyn Store) {
    let micro = TimeDelta::microseconds(1);
    put_records(store, "q", None, |series| {
        vec![record(series, 1, at(0)), record(series, 2, at(0) + micro), record(series, 3, at(5))]
    })
    .await;
    let range = |from, to| list(store, SnapshotFilter::default().with_range(from, to));

    assert_eq!(range(Some(at(0)), Some(at(5))).await, [3, 2, 1]);
    assert_eq!(range(Some(at(0) + micro), Some(at(5) - micro)).await, [2]);
    assert_eq!(range(None, Some(at(0))).await, [1]);
    assert_eq!(range(Some(at(5)), None).await, [3]);
    assert!(range(Some(at(5) + micro), None).await.is_empty());
    assert!(range(Some(at(5)), Some(at(0))).await.is_empty());
}

/// An id is found by its first digits, and only by its first.
pub async fn filters_select_by_the_start_of_an_id(store: &dyn Store) {
    let one = 0x0198_abcd_0000_7000_8000_0000_0000_0001_u128;
    let other = 0x0198_abce_0000_7000_8000_0000_0000_abcd_u128;
    put_records(store, "q", None, |series| vec![record(series, one, at(0)), record(series, other, at(1))]).await;
    let start = |digits: &str| list(store, SnapshotFilter::default().with_id_prefix(digits));

    assert_eq!(start("0198").await, [other, one]);
    assert_eq!(start("0198abc").await, [other, one]);
    assert_eq!(start("0198abcd").await, [one]);
    assert_eq!(start("0198abcd00007000800000000000000").await, [one]);
    assert_eq!(start("0198abcd000070008000000000000001").await, [one]);
    assert!(start("abcd").await.is_empty());
    assert_eq!(start("").await, [other, one]);
}

/// Pages of a listing follow one another without gaps.
pub async fn pages_follow_one_another(store: &dyn Store) {
    put_records(store, "q", None, |series| (1..=7).map(|number| record(series, number, at(0))).collect()).await;
    let page = |skip, limit| list(store, SnapshotFilter::default().with_page(skip, limit));

    assert_eq!(page(0, 3).await, [7, 6, 5]);
    assert_eq!(page(3, 3).await, [4, 3, 2]);
    assert_eq!(page(6, 3).await, [1]);
    assert!(page(7, 3).await.is_empty());
    assert!(page(0, 0).await.is_empty());
    assert_eq!(page(5, u64::MAX).await, [2, 1]);
    assert!(page(u64::MAX, 1).await.is_empty());
}

/// Queries are listed by name, with their connections and what the records say of them.
pub async fn queries_are_listed_by_name_with_their_history(store: &dyn Store) {
    let summary =
        |changed| ChangeSummary { previous: SnapshotId::new(Uuid::nil()), added: 0, removed: 0, changed, unchanged: 9 };
    let with = |mut snapshot: Snapshot, changed| {
        snapshot.changes = Some(summary(changed));
        snapshot
    };
    put_records(store, "zones", Some("west"), |series| {
        vec![record(series, 1, at(0)), with(record(series, 2, at(1)), 3)]
    })
    .await;
    put_records(store, "zones", Some("east"), |series| vec![with(record(series, 3, at(7)), 0)]).await;
    put_records(store, "Zones", None, |series| vec![record(series, 4, at(4))]).await;
    put_records(store, "empty", Some("north"), |_| vec![]).await;

    let queries = store.queries().await.unwrap();

    let names: Vec<&str> = queries.iter().map(|history| &*history.query.name).collect();
    assert_eq!(names, ["Zones", "empty", "zones"]);
    let zones = &queries[2];
    assert_eq!(zones.connections.iter().map(|one| &*one.name).collect::<Vec<_>>(), ["east", "west"]);
    assert_eq!((zones.snapshot_count, zones.latest_snapshot_at, zones.last_change_at), (3, Some(at(7)), Some(at(1))));
    let single = &queries[0];
    assert_eq!((single.snapshot_count, single.latest_snapshot_at, single.last_change_at), (1, Some(at(4)), None));
    let empty = &queries[1];
    assert_eq!((empty.snapshot_count, empty.latest_snapshot_at, empty.last_change_at), (0, None, None));
    assert!(single.connections.is_empty() && empty.connections.is_empty());
}

/// A name keeps its number, in this transaction and in later ones, and no two names share one.
pub async fn numbers_of_series_are_stable_and_distinct(store: &dyn Store) {
    let mut transaction = store.begin().await.unwrap();
    let first = transaction.series("q", Some("east")).await.unwrap();
    let again = transaction.series("q", Some("east")).await.unwrap();
    let other = transaction.series("r", Some("west")).await.unwrap();
    let without = transaction.series("q", None).await.unwrap();
    transaction.commit().await.unwrap();
    let mut transaction = store.begin().await.unwrap();
    transaction.series("a", Some("a")).await.unwrap();
    let later = transaction.series("q", Some("east")).await.unwrap();

    assert_eq!(first, again);
    assert_eq!(first, later);
    assert_eq!(first.query, without.query);
    assert_ne!(first.query.id, other.query.id);
    assert_ne!(first.connection, other.connection);
    assert_eq!((&*first.query.name, without.connection), ("q", None));
}

/// Names that differ in case, spaces or composition are different names.
pub async fn names_are_told_apart_by_every_byte(store: &dyn Store) {
    let names = ["q", "Q", "q ", " q", "é", "e\u{301}", "q%", "q_", "1", "01"];
    let mut transaction = store.begin().await.unwrap();
    let mut numbers = Vec::new();
    for name in names {
        numbers.push(transaction.series(name, Some(name)).await.unwrap());
    }
    transaction.commit().await.unwrap();

    for (i, one) in numbers.iter().enumerate() {
        assert!(numbers[..i].iter().all(|other| other.query.id != one.query.id && other.connection != one.connection));
    }
    assert_eq!(store.queries().await.unwrap().len(), names.len());
}

/// Deleting records counts those that were there and leaves the others.
pub async fn deleting_snapshots_counts_those_that_were_there(store: &dyn Store) {
    let made =
        put_records(store, "q", None, |series| (1..=4).map(|number| record(series, number, at(0))).collect()).await;
    let unknown = SnapshotId::new(Uuid::from_u128(99));

    let mut transaction = store.begin().await.unwrap();
    let deleted = transaction.delete_snapshots(&[made[0].id, unknown, made[2].id]).await.unwrap();
    let again = transaction.delete_snapshots(&[made[0].id]).await.unwrap();
    transaction.commit().await.unwrap();

    assert_eq!((deleted, again), (2, 0));
    assert_eq!(list(store, SnapshotFilter::default()).await, [4, 2]);
}

/// Deleting a record leaves chunks and names alone.
pub async fn deleting_snapshots_leaves_their_chunks(store: &dyn Store) {
    let root = chunk(&b"root"[..]);
    put(store, std::slice::from_ref(&root)).await;
    let made = put_records(store, "q", None, |series| vec![record(series, 1, at(0))]).await;

    let mut transaction = store.begin().await.unwrap();
    transaction.delete_snapshots(&[made[0].id]).await.unwrap();
    transaction.commit().await.unwrap();

    assert_reads(store, &[root]).await;
    assert_eq!(store.queries().await.unwrap()[0].snapshot_count, 0);
}

/// Deleting chunks frees what the listing said they take; the others can still be read.
pub async fn deleting_chunks_frees_what_the_listing_said(store: &dyn Store) {
    let versions = put_versions(store, 12).await;
    let plain = [chunk(noise(2_000, 4)), chunk(version(77))];
    put(store, &plain).await;
    let listed = stored(store).await;
    // The newest versions, on which no other is based, and one that stands alone.
    let doomed: Vec<&NewChunk> = versions[6..].iter().chain(&plain[..1]).collect();
    let prefixes: Vec<ChunkPrefix> = doomed.iter().map(|chunk| ChunkPrefix::from(&chunk.id)).collect();
    let expected: u64 = prefixes.iter().map(|prefix| listed[prefix].stored_bytes).sum();

    let mut transaction = store.begin().await.unwrap();
    let freed = transaction.delete_chunks(&prefixes).await.unwrap();
    let again = transaction.delete_chunks(&prefixes).await.unwrap();
    transaction.commit().await.unwrap();

    assert_eq!((freed, again), (expected, 0));
    for gone in doomed {
        assert_not_found(store, gone).await;
    }
    assert_reads(store, &versions[..6]).await;
    assert_reads(store, &plain[1..]).await;
    assert_eq!(stored(store).await.len(), 7);
    assert!(store.check().await.unwrap().is_empty());
}

/// A chunk that was deleted is missing, and can be put again.
pub async fn a_deleted_chunk_can_be_put_again(store: &dyn Store) {
    let versions = put_versions(store, 3).await;
    let last = &versions[2];

    let mut transaction = store.begin().await.unwrap();
    transaction.delete_chunks(&[ChunkPrefix::from(&last.id)]).await.unwrap();
    assert_eq!(transaction.missing(&[last.id]).await.unwrap(), [true]);
    assert!(transaction.put_chunks(vec![last.clone()]).await.unwrap() > 0);
    transaction.commit().await.unwrap();

    assert_reads(store, &versions).await;
}

/// A store starts with nothing in it and nothing wrong.
pub async fn a_new_store_is_empty_and_sound(store: &dyn Store) {
    assert!(store.snapshots(&SnapshotFilter::default()).await.unwrap().is_empty());
    assert!(store.queries().await.unwrap().is_empty());
    assert!(store.stored_chunks().await.unwrap().is_empty());
    assert!(store.check().await.unwrap().is_empty());
    store.disk_bytes().await.unwrap();
}
