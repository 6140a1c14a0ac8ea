//! Captures: nothing is lost, and equal rows give equal snapshots.

use chrono::TimeDelta;
use fabrik_core::store::{MemoryStore, ReadRecords, Store};
use fabrik_core::{
    Annotate, CaptureOptions, Captured, ErrorKind, KeySpec, RetentionPolicy, Row, Snapshot, Verdict, annotate, stats,
};
use proptest::prelude::*;

use crate::helpers::{
    VecSource, assert_sound, block_on, capture, capture_with, keyed, list, options, read, start, stores,
};
use crate::model::{self, sorted, to_json};

fn capture_shuffled(store: &dyn Store, number: u32, key: &KeySpec, rows: &[String], batch_rows: usize) -> Snapshot {
    let mut source = VecSource::in_batches(rows, batch_rows);
    block_on(fabrik_core::capture(store, &mut source, &keyed(number, key))).unwrap().snapshot
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_snapshot_has_the_rows_that_were_captured(rows in model::rows(60), key in model::key_spec()) {
        let store = MemoryStore::default();

        let snapshot = capture_with(&store, &keyed(1, &key), to_json(&rows)).snapshot;

        let found = read(&store, &snapshot);
        prop_assert_eq!(snapshot.row_count, rows.len() as u64);
        prop_assert_eq!(snapshot.size_bytes, found.iter().map(|row| row.len() as u64).sum::<u64>());
        prop_assert_eq!(snapshot.duplicate_keys, model::duplicate_keys(&rows, &[], &key));
        prop_assert_eq!(sorted(found), sorted(to_json(&rows)));
        assert_sound(&store);
    }

    #[test]
    fn rows_come_out_in_the_order_of_their_keys(rows in model::rows(60)) {
        let store = MemoryStore::default();

        let snapshot = capture(&store, 1, to_json(&rows));

        let mut with_dn: Vec<(String, Vec<u8>, String)> =
            rows.iter().filter_map(|row| Some((model::dn(row)?, model::content(row), model::json(row)))).collect();
        with_dn.sort();
        let found = read(&store, &snapshot);
        prop_assert_eq!(&found[..with_dn.len()], with_dn.into_iter().map(|(_, _, json)| json).collect::<Vec<_>>());
    }

    #[test]
    fn neither_arrival_nor_batches_change_a_root(
        (rows, shuffled) in model::rows(60).prop_flat_map(|rows| (Just(rows.clone()), Just(rows).prop_shuffle())),
        key in model::key_spec(),
        batch_rows in 1..20_usize,
    ) {
        let store = MemoryStore::default();

        let one = capture_shuffled(&store, 1, &key, &to_json(&rows), usize::MAX);
        let other = capture_shuffled(&store, 2, &key, &to_json(&shuffled), batch_rows);

        prop_assert_eq!((one.root, one.version_hash), (other.root, other.version_hash));
        prop_assert_eq!((one.size_bytes, one.duplicate_keys), (other.size_bytes, other.duplicate_keys));
        prop_assert_eq!(other.stored_bytes, 0, "equal rows take no space");
        prop_assert!(!other.has_changes());
    }

    #[test]
    fn setting_rows_aside_on_disk_changes_nothing(
        rows in model::rows(60),
        key in model::key_spec(),
        memory_bytes in 0..2_000_usize,
    ) {
        let store = MemoryStore::default();
        let folder = tempfile::tempdir().unwrap();
        let in_memory = capture_shuffled(&store, 1, &key, &to_json(&rows), usize::MAX);

        let mut tight = keyed(2, &key);
        (tight.memory_bytes, tight.spill_dir) = (memory_bytes, Some(folder.path().to_owned()));
        let mut source = VecSource::in_batches(to_json(&rows), 7);
        let spilled = block_on(fabrik_core::capture(&store, &mut source, &tight)).unwrap().snapshot;

        prop_assert_eq!((in_memory.root, in_memory.version_hash), (spilled.root, spilled.version_hash));
        prop_assert_eq!(folder.path().read_dir().unwrap().count(), 0, "unnamed files leave nothing behind");
    }

    #[test]
    fn hashes_are_equal_exactly_when_rows_are((before, after) in model::two_versions(12), key in model::key_spec()) {
        let store = MemoryStore::default();

        let older = capture_with(&store, &keyed(1, &key), to_json(&before)).snapshot;
        let newer = capture_with(&store, &keyed(2, &key), to_json(&after));

        let equal = sorted(to_json(&before)) == sorted(to_json(&after));
        prop_assert_eq!(older.version_hash == newer.snapshot.version_hash, equal);
        prop_assert_eq!(older.root == newer.snapshot.root, equal);
        prop_assert_eq!(newer.is_duplicate(), equal);
        // Under the key `dn`, rows without one are not counted among the changes.
        prop_assert!(key == KeySpec::Dn || newer.snapshot.has_changes() != equal);
    }
}

#[test]
fn members_in_any_order_with_any_spaces_are_the_same_row() {
    let store = MemoryStore::default();

    let one = capture(&store, 1, [r#"{"dn":"a","o":{"x":[1,{"p":1,"q":"ä"}],"y":2},"n":1.0}"#]);
    let other = capture(
        &store,
        2,
        [r#" { "n" : 1.0, "o":{ "y":2 , "x" : [ 1, {"q":"\u00e4","p":1} ] }, "d\u006e":"\u0061" } "#],
    );

    assert_eq!(one.version_hash, other.version_hash);
}

#[test]
fn values_that_look_alike_are_different_rows() {
    let values = [
        "1", "1.0", "1e0", "10e-1", "\"1\"", "true", "\"true\"", "null", "\"\"", "\"null\"", "[]", "{}", "[1]", "[1.0]",
    ];
    let store = MemoryStore::default();
    let mut hashes: Vec<String> = values
        .iter()
        .zip(1..)
        .map(|(value, number)| {
            capture(&store, number, [format!(r#"{{"dn":"a","v":{value}}}"#)]).version_hash.to_string()
        })
        .collect();
    hashes.push(capture(&store, 99, [r#"{"dn":"a"}"#]).version_hash.to_string());

    hashes.sort();
    hashes.dedup();

    assert_eq!(hashes.len(), values.len() + 1);
}

#[test]
fn a_snapshot_of_nothing_is_a_snapshot() {
    for store in stores() {
        let empty = capture(&*store, 1, [""; 0]);
        let again = capture(&*store, 2, [""; 0]);
        let one = capture(&*store, 3, ["{}"]);

        assert_eq!((empty.row_count, empty.size_bytes, empty.root), (0, 0, again.root));
        assert!(read(&*store, &empty).is_empty());
        assert_eq!((one.row_count, one.changes.unwrap().added), (1, 1));
        assert_eq!(read(&*store, &one), ["{}"]);
        assert_sound(&*store);
    }
}

#[test]
fn a_record_says_what_was_captured() {
    for store in stores() {
        let mut options = options(1);
        options.captured_by = "mara".into();
        options.connection = Some("east".into());
        options.retention_policy = RetentionPolicy::OneYear;
        options.annotation = Some("before the move".into());
        options.label = Some("baseline".into());
        options.captured_at = start() + TimeDelta::nanoseconds(1_999);

        let captured = capture_with(&*store, &options, [r#"{"dn":"b"}"#, r#"{"dn":"a"}"#, r#"{"dn":"b","x":1}"#]);

        let snapshot = captured.snapshot;
        assert_eq!(list(&*store), std::slice::from_ref(&snapshot));
        assert_eq!((snapshot.row_count, snapshot.duplicate_keys, snapshot.size_bytes), (3, 1, 36));
        assert_eq!(snapshot.captured_at, start() + TimeDelta::microseconds(1), "times are kept to the microsecond");
        assert_eq!(snapshot.expires_at(), Some(snapshot.captured_at + TimeDelta::days(365)));
        assert_eq!((&*snapshot.captured_by, &*snapshot.series.query.name), ("mara", "q"));
        assert_eq!(snapshot.series.connection.as_ref().unwrap().name, "east");
        assert_eq!(
            (snapshot.annotation.as_deref(), snapshot.label.as_deref()),
            (Some("before the move"), Some("baseline"))
        );
        assert!(
            snapshot.stored_bytes > 0 && snapshot.changes.is_none() && !snapshot.pinned && captured.previous.is_none()
        );
    }
}

#[test]
fn stored_bytes_are_what_the_listing_of_chunks_grew_by() {
    for store in stores() {
        let total = || block_on(store.stored_chunks()).unwrap().iter().map(|chunk| chunk.stored_bytes).sum::<u64>();
        let rows = |mtu: u32| {
            (0..500).map(move |i| format!(r#"{{"dn":"uni/tn-{i}","mtu":{}}}"#, if i % 90 == 0 { mtu } else { 9_000 }))
        };

        let first = capture(&*store, 1, rows(1));
        let first_total = total();
        let second = capture(&*store, 2, rows(2));

        assert_eq!(first.stored_bytes, first_total);
        assert_eq!(first.stored_bytes + second.stored_bytes, total());
        assert!(second.stored_bytes < first.stored_bytes);
    }
}

#[test]
fn a_refused_option_names_itself_and_stores_nothing() {
    let long = |chars: usize| "ä".repeat(chars);
    type Spoil = Box<dyn Fn(&mut CaptureOptions)>;
    let cases: Vec<(&str, Spoil)> = vec![
        ("query", Box::new(|options| options.query = "  ".into())),
        ("query", Box::new(|options| options.query = "a\nb".into())),
        ("query", Box::new(move |options| options.query = long(201))),
        ("connection", Box::new(|options| options.connection = Some(String::new()))),
        ("annotation", Box::new(move |options| options.annotation = Some(long(10_001)))),
        ("label", Box::new(move |options| options.label = Some(long(101)))),
    ];
    let store = MemoryStore::default();
    for (field, spoil) in cases {
        let mut options = options(1);
        spoil(&mut options);

        let error = block_on(fabrik_core::capture(&store, &mut VecSource::new(["{}"]), &options)).unwrap_err();

        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.to_string().starts_with(field), "{error}");
        assert!(list(&store).is_empty() && block_on(store.queries()).unwrap().is_empty());
    }
    let mut longest = options(1);
    (longest.query, longest.annotation, longest.label) = (long(200), Some(long(10_000)), Some(long(100)));
    capture_with(&store, &longest, ["{}"]);
}

#[test]
fn a_source_that_fails_stores_nothing() {
    #[derive(Debug)]
    struct Failing(VecSource);

    #[async_trait::async_trait]
    impl fabrik_core::Source for Failing {
        async fn next_batch(&mut self) -> fabrik_core::Result<Option<fabrik_core::RowBatch>> {
            match self.0.next_batch().await? {
                Some(batch) => Ok(Some(batch)),
                None => Err(fabrik_core::Error::Source {
                    origin: "a.json".into(),
                    problem: "it is cut off".into(),
                    source: None,
                }),
            }
        }
        fn verdict(&self) -> fabrik_core::Verdict {
            fabrik_core::Verdict::Complete
        }
    }
    for store in stores() {
        let error =
            block_on(fabrik_core::capture(&*store, &mut Failing(VecSource::new(["{}"])), &options(1))).unwrap_err();

        assert_eq!(error.to_string(), "a.json cannot be captured: it is cut off");
        assert!(list(&*store).is_empty());
        assert!(block_on(store.stored_chunks()).unwrap().is_empty());
    }
}

#[test]
fn series_do_not_meet() {
    for store in stores() {
        let take = |number: u32, query: &str, connection: Option<&str>, row: &str| {
            let mut options = options(number);
            (options.query, options.connection) = (query.into(), connection.map(str::to_owned));
            capture_with(&*store, &options, [row])
        };

        let east = take(1, "q", Some("east"), r#"{"dn":"a"}"#);
        let west = take(2, "q", Some("west"), r#"{"dn":"b"}"#);
        let none = take(3, "q", None, r#"{"dn":"c"}"#);
        let other = take(4, "r", Some("east"), r#"{"dn":"d"}"#);
        let east_again = take(5, "q", Some("east"), r#"{"dn":"a"}"#);

        assert!([&west, &none, &other].into_iter().all(|captured| captured.previous.is_none()));
        assert_eq!(east_again.previous.as_ref().map(|previous| previous.id), Some(east.snapshot.id));
        assert!(east_again.is_duplicate());
    }
}

#[test]
fn a_row_of_sixteen_mebibytes_is_captured_and_a_longer_one_refused() {
    let mut rows = fabrik_core::RowBatchBuilder::default();
    let text = "x".repeat(fabrik_core::MAX_ROW_BYTES - 100);

    let refused = rows.push_json(&format!(r#"{{"dn":"a","v":"{text}{text}"}}"#)).unwrap_err().to_string();

    assert!(refused.contains("at most 16777216 are taken"), "{refused}");
    for store in stores() {
        let row = format!(r#"{{"dn":"a","v":"{text}"}}"#);
        let snapshot = capture(&*store, 1, [row.as_str(), r#"{"dn":"b"}"#]);

        assert_eq!(read(&*store, &snapshot), [row.as_str(), r#"{"dn":"b"}"#]);
    }
}

#[test]
fn rows_with_more_names_than_a_chunk_can_hold_are_refused() {
    let names: Vec<String> = (0..200_000).map(|i| format!("{:?}:1", format!("{i:0100}"))).collect();
    let row = format!("{{{}}}", names.join(","));

    let mut rows = fabrik_core::RowBatchBuilder::default();
    let refused = rows.push_json(&row);

    assert!(refused.is_err(), "a row of {} bytes of names was taken", row.len());
}

#[test]
#[cfg(feature = "sqlite")]
fn rows_with_very_long_keys_can_be_read_again_or_are_refused() {
    let store = crate::helpers::sqlite();
    let rows = (0..40).map(|i| format!(r#"{{"dn":"{i:04}{}"}}"#, "x".repeat(2_000_000)));

    let captured = block_on(fabrik_core::capture(&*store, &mut VecSource::in_batches(rows, 4), &options(1)));

    match captured {
        Ok(captured) => assert_eq!(read(&*store, &captured.snapshot).len(), 40),
        Err(error) => assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}"),
    }
}

#[test]
fn an_id_that_is_taken_is_refused() {
    for store in stores() {
        let first = capture(&*store, 1, [r#"{"dn":"a"}"#]);
        let mut again = options(2);
        again.id = first.id;

        let result = block_on(fabrik_core::capture(&*store, &mut VecSource::new(["{}"]), &again));

        assert!(result.is_err(), "a capture took the place of snapshot {}", first.id);
        assert_eq!(list(&*store), [first]);
    }
}

#[test]
fn rows_can_be_read_by_attribute_after_a_round_trip() {
    let store = MemoryStore::default();
    let snapshot = capture(&store, 1, [r#"{"dn":"uni/tn-a","className":"fvTenant","n":1.50}"#]);

    let rows: Vec<Row> =
        block_on(async { fabrik_core::rows(&store, &snapshot).await.unwrap().next_batch().await.unwrap() });

    let row = rows[0].as_ref();
    assert_eq!((row.dn(), row.class_name()), (Some("uni/tn-a"), Some("fvTenant")));
    assert_eq!(row.get("n").unwrap().to_string(), "1.50");
    assert!(row.get("absent").is_none());
}

/// Batches, and for each whether it begins the stream anew.
#[derive(Debug)]
struct Restarting {
    batches: std::collections::VecDeque<(Option<fabrik_core::RowBatch>, bool)>,
    has_started_over: bool,
}

#[async_trait::async_trait]
impl fabrik_core::Source for Restarting {
    async fn next_batch(&mut self) -> fabrik_core::Result<Option<fabrik_core::RowBatch>> {
        let (batch, starts_over) = self.batches.pop_front().unwrap_or_default();
        self.has_started_over = starts_over;
        Ok(batch)
    }

    fn has_started_over(&mut self) -> bool {
        std::mem::take(&mut self.has_started_over)
    }

    fn verdict(&self) -> fabrik_core::Verdict {
        fabrik_core::Verdict::Complete
    }
}

/// Delivers each list of rows in batches; the last may be empty, and then comes without any.
fn restarting(deliveries: &[Vec<model::Row>], batch_rows: usize) -> Restarting {
    let mut batches = std::collections::VecDeque::new();
    for (i, rows) in deliveries.iter().enumerate() {
        let of_rows = rows.chunks(batch_rows).map(|rows| {
            let mut builder = fabrik_core::RowBatchBuilder::default();
            to_json(rows).iter().for_each(|row| builder.push_json(row).unwrap());
            Some(builder.take())
        });
        let is_last = i + 1 == deliveries.len();
        let end = is_last.then_some(None);
        for (j, batch) in of_rows.chain(end).enumerate() {
            batches.push_back((batch, i > 0 && j == 0));
        }
    }
    Restarting { batches, has_started_over: false }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn of_a_source_that_starts_over_the_last_delivery_alone_is_captured(
        void in prop::collection::vec(prop::collection::vec(model::row(), 1..20), 0..3),
        last in model::rows(20),
        batch_rows in 1..9_usize,
        memory_bytes in prop::sample::select(vec![0, 64 << 20]),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let store = MemoryStore::default();
        let deliveries: Vec<Vec<model::Row>> = void.into_iter().chain([last.clone()]).collect();
        let mut options = options(1);
        (options.memory_bytes, options.spill_dir) = (memory_bytes, Some(folder.path().to_owned()));

        let source = &mut restarting(&deliveries, batch_rows);
        let found = block_on(fabrik_core::capture(&store, source, &options)).unwrap().snapshot;

        let expected = capture(&MemoryStore::default(), 1, to_json(&last));
        prop_assert_eq!(found, expected);
    }
}

/// Captures two rows unless the snapshot before tells the same.
fn capture_news(store: &dyn Store, options: CaptureOptions, verdict: Verdict) -> Captured {
    let mut source = VecSource::new([r#"{"dn":"a","v":1}"#, r#"{"dn":"b"}"#]).with_verdict(verdict);
    block_on(fabrik_core::capture(store, &mut source, &options.with_duplicate_skipped(true))).unwrap()
}

#[test]
fn what_tells_the_same_as_before_leaves_no_trace_where_that_is_wanted() {
    for store in stores() {
        let first = capture_news(&*store, options(1), Verdict::Complete);
        let (before, stored) = (list(&*store), block_on(stats(&*store)).unwrap());

        let again = capture_news(&*store, options(2), Verdict::Complete);

        assert_eq!((first.is_skipped, again.is_skipped), (false, true));
        assert!(again.is_duplicate());
        assert_eq!(again.previous, Some(first.snapshot.clone()));
        assert_eq!((again.snapshot.row_count, again.snapshot.version_hash), (2, first.snapshot.version_hash));
        assert_eq!((list(&*store), block_on(stats(&*store)).unwrap()), (before, stored));
        let changed = capture_with(&*store, &options(3).with_duplicate_skipped(true), [r#"{"dn":"a"}"#]);
        assert!(!changed.is_skipped);
        assert_eq!(changed.previous, Some(first.snapshot));
        assert_sound(&*store);
    }
}

#[test]
fn equal_rows_that_tell_something_new_are_stored() {
    let partial = Verdict::Partial { reason: "no answer".into(), expected_rows: None, missing: Vec::new() };
    let with = |change: fn(&mut CaptureOptions)| {
        let mut options = options(2);
        change(&mut options);
        options
    };
    let longer = with(|options| options.retention_policy = RetentionPolicy::OneYear);
    let labelled = with(|options| options.label = Some("baseline".into()));
    let annotated = with(|options| options.annotation = Some("before".into()));
    let elsewhere = with(|options| options.connection = Some("east".into()));
    for (options_2, verdict) in [
        (longer.clone(), Verdict::Complete),
        (labelled, Verdict::Complete),
        (annotated, Verdict::Complete),
        (elsewhere, Verdict::Complete),
        (options(2), partial),
    ] {
        let store = MemoryStore::default();
        capture_news(&store, options(1), Verdict::Complete);

        assert!(!capture_news(&store, options_2.clone(), verdict).is_skipped, "{options_2:?}");
    }
    let store = MemoryStore::default();
    let first = capture_news(&store, options(1), Verdict::Complete).snapshot;
    let pin = Annotate { pinned: Some(true), ..Annotate::default() };
    block_on(annotate(&store, first.id, &pin)).unwrap();
    assert!(capture_news(&store, longer, Verdict::Complete).is_skipped, "a pinned one is kept for longer");
}
