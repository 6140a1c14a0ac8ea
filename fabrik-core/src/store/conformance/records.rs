//! The laws of records: snapshots, queries and connections.

use chrono::{DateTime, TimeDelta};
use uuid::Uuid;

use super::{assert_reads, at, chunk, put, put_records, record};
use crate::id::{ChunkId, SnapshotId, VersionHash};
use crate::key::KeySpec;
use crate::snapshot::{ChangeSummary, Coverage, RetentionPolicy, Series, Snapshot, Verdict};
use crate::store::{SnapshotFilter, Store};

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
        records.extend(Coverage::ALL.map(|coverage| Snapshot { coverage, ..plain.clone() }));
        records.extend(RetentionPolicy::ALL.map(|policy| Snapshot { retention_policy: policy, ..plain.clone() }));
        for (record, number) in records.iter_mut().zip(1..) {
            record.id = SnapshotId::new(Uuid::from_u128(number << 100 | number));
        }
        records
    })
    .await;

    for expected in made {
        let filter = SnapshotFilter::default().with_id_prefix(expected.id.as_uuid().simple().to_string());
        assert_eq!(list(store, filter.clone()).await.len(), 1);
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
    assert!(start("0198ABCD").await.is_empty());
    assert!(start("0198abcd0000700080000000000000010").await.is_empty());
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
        let annotated = Snapshot { annotation: Some("before the move".into()), ..record(series, 1, at(0)) };
        vec![annotated, with(record(series, 2, at(1)), 3)]
    })
    .await;
    put_records(store, "zones", Some("east"), |series| vec![with(record(series, 3, at(7)), 0)]).await;
    put_records(store, "Zones", None, |series| vec![record(series, 4, at(4))]).await;
    put_records(store, "empty", Some("north"), |_| vec![]).await;

    let queries = store.queries().await.unwrap();

    let names: Vec<&str> = queries.iter().map(|history| &*history.query.name).collect();
    assert_eq!(names, ["Zones", "empty", "zones"]);
    assert_eq!(list(store, SnapshotFilter::default()).await, [3, 4, 2, 1]);
    for history in &queries {
        let found = store.query(&history.query.name).await.unwrap().unwrap();
        assert_eq!((&found.query, &found.query.name), (&history.query, &history.query.name));
        assert_eq!(found.connections, history.connections);
    }
    assert!(store.query("zone").await.unwrap().is_none());
    let zones = &queries[2];
    assert_eq!(zones.connections.iter().map(|one| &*one.name).collect::<Vec<_>>(), ["east", "west"]);
    assert_eq!((zones.snapshot_count, zones.latest_snapshot_at, zones.last_change_at), (3, Some(at(7)), Some(at(1))));
    assert_eq!(queries.iter().map(|history| history.annotated_count).collect::<Vec<_>>(), [0, 0, 1]);
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
    for (name, series) in names.iter().zip(&numbers) {
        let found = store.query(name).await.unwrap().unwrap();
        assert_eq!((&found.query, &*found.query.name, &found.connections[..]), (&series.query, *name, &[][..]));
    }
    assert!(store.query("é ").await.unwrap().is_none());
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

/// A store starts with nothing in it and nothing wrong.
pub async fn a_new_store_is_empty_and_sound(store: &dyn Store) {
    assert!(store.snapshots(&SnapshotFilter::default()).await.unwrap().is_empty());
    assert!(store.queries().await.unwrap().is_empty());
    assert!(store.stored_chunks().await.unwrap().is_empty());
    assert!(store.check().await.unwrap().is_empty());
    store.disk_bytes().await.unwrap();
}

/// Lists snapshots, and holds what is told of their changes against their records.
async fn list(store: &dyn Store, filter: SnapshotFilter) -> Vec<u128> {
    let listed = store.snapshots(&filter).await.unwrap();
    let changes = |snapshot: &Snapshot| (snapshot.captured_at, snapshot.changes);
    let told = store.changes(&filter).await.unwrap();
    let told: Vec<_> = told.into_iter().map(|captured| (captured.captured_at, captured.changes)).collect();
    assert_eq!(told, listed.iter().map(changes).collect::<Vec<_>>());
    listed.iter().map(|snapshot| snapshot.id.as_uuid().as_u128()).collect()
}
