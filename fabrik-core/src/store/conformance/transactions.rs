//! The laws of transactions: all of one is seen, or nothing.

use super::{assert_not_found, assert_reads, at, chunk, chunk_after, put, put_records, record, stored, version};
use crate::chunk::NewChunk;
use crate::id::ChunkPrefix;
use crate::snapshot::Snapshot;
use crate::store::{SnapshotFilter, Store};

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
