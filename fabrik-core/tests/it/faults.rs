//! Whatever call fails, the store is as it was, and the error says so.

use std::error::Error as _;

use fabrik_core::store::{FaultyStore, Store};
use fabrik_core::{
    Annotate, DiffOptions, ErrorKind, RetentionOptions, RetentionPolicy, TimelineOptions, annotate, apply_retention,
    plan_retention,
};

use crate::helpers::{VecSource, assert_sound, block_on, capture_with, compare, day, id, list, minute, options, read};

fn rows(version: u32) -> impl Iterator<Item = String> {
    (0..3_000_u32)
        .map(move |i| format!(r#"{{"dn":"uni/tn-{i:05}","v":{}}}"#, if i % 700 == version { version } else { 0 }))
}

fn filled<S: Store>(store: &FaultyStore<S>) {
    for (number, policy) in [(1, RetentionPolicy::SevenDays), (3, RetentionPolicy::Forever)] {
        let mut options = options(number);
        options.retention_policy = policy;
        capture_with(store, &options, rows(number));
    }
}

/// Lets one call after the other fail until `work` gets through, and looks at the store each time.
fn assert_all_or_nothing<S: Store>(store: &FaultyStore<S>, work: impl Fn(&dyn Store) -> fabrik_core::Result<()>) {
    let before = list(store.inner());
    for call in 1.. {
        store.fail_at(call);
        let result = work(store);
        store.fail_at(0);
        let Err(error) = result else {
            assert!(call > 3, "some calls were made");
            assert_ne!(list(store.inner()), before);
            assert_sound(store.inner());
            return;
        };
        assert_eq!(error.kind(), ErrorKind::Storage, "{error}");
        let cause = error.source().expect("the cause is told").to_string();
        assert_eq!(cause, format!("call {call} was chosen to fail"));
        assert_eq!(list(store.inner()), before, "after call {call} failed: {error}");
        assert_sound(store.inner());
    }
}

fn all_faults<S: Store>(make: impl Fn() -> FaultyStore<S>) {
    let store = make();
    filled(&store);
    // Between two snapshots, so that the later one's record changes as well.
    assert_all_or_nothing(&store, |store| {
        block_on(fabrik_core::capture(store, &mut VecSource::new(rows(2)), &options(2))).map(drop)
    });
    assert_all_or_nothing(&store, |store| {
        block_on(fabrik_core::capture(store, &mut VecSource::new(rows(4)), &options(4))).map(drop)
    });
    assert_all_or_nothing(&store, |store| {
        let note = Annotate { annotation: Some(Some("new".into())), pinned: Some(true), ..Annotate::default() };
        block_on(annotate(store, id(2), &note)).map(drop)
    });
    assert_all_or_nothing(&store, |store| {
        block_on(async {
            let plan = plan_retention(store, &RetentionOptions::new(day(60))).await?;
            apply_retention(store, &plan).await.map(drop)
        })
    });
    let left = list(store.inner());
    assert_eq!(left.iter().map(|one| one.captured_at).collect::<Vec<_>>(), [minute(3), minute(2)]);
    assert!(left.iter().zip([3, 2]).all(|(one, version)| read(store.inner(), one).into_iter().eq(rows(version))));
}

#[test]
fn a_change_that_fails_halfway_leaves_a_memory_store_as_it_was() {
    all_faults(|| FaultyStore::new(fabrik_core::store::MemoryStore::default()));
}

#[cfg(feature = "sqlite")]
#[test]
fn a_change_that_fails_halfway_leaves_a_file_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    all_faults(|| {
        let path = folder.path().join("fabrik.db");
        FaultyStore::new(fabrik_core::store::SqliteStore::open(path, fabrik_core::store::OpenMode::Create).unwrap())
    });
}

#[cfg(feature = "postgres")]
#[test]
fn a_change_that_fails_halfway_leaves_a_database_as_it_was() {
    all_faults(|| FaultyStore::new(crate::helpers::postgres()));
}

#[test]
fn a_question_that_meets_a_failure_has_no_answer() {
    let store = FaultyStore::new(fabrik_core::store::MemoryStore::default());
    filled(&store);
    let newest_first = list(store.inner());
    let (newer, older) = (&newest_first[0], &newest_first[1]);
    let expected = compare(store.inner(), older, newer, DiffOptions::default()).1;
    let questions: [&dyn Fn() -> fabrik_core::Result<bool>; 4] = [
        &|| block_on(fabrik_core::summarize(&store, older, newer)).map(|summary| summary == expected),
        &|| {
            let timeline = block_on(fabrik_core::timeline(&store, "q", "uni/tn-00001", &TimelineOptions::default()));
            timeline.map(|timeline| timeline.points.iter().all(|point| point.present))
        },
        &|| block_on(fabrik_core::search_keys(&store, "q", None, "", 5)).map(|page| page.total_matches == 3_000),
        &|| block_on(fabrik_core::verify(&store)).map(|found| found.is_clean() && found.rows >= 3_000),
    ];
    for (number, question) in questions.iter().enumerate() {
        for call in 1.. {
            store.fail_at(call);
            match question() {
                Ok(right) => {
                    assert!(right, "question {number} after {call} calls");
                    assert!(call > 1);
                    break;
                }
                Err(error) => assert_eq!(error.kind(), ErrorKind::Storage),
            }
        }
    }
}
