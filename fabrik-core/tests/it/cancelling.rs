//! Work that is called off at whatever call has left no trace, or was done.

use std::sync::Arc;

use fabrik_core::store::{CancellableStore, FaultyStore, MemoryStore, Store};
use fabrik_core::{
    Annotate, Cancel, CancellableSource, DiffOptions, ErrorKind, RetentionOptions, RetentionPolicy, annotate,
    apply_retention, plan_retention,
};

use crate::helpers::{VecSource, assert_sound, block_on, capture_with, compare, day, id, list, options, read};

fn rows(version: u32) -> impl Iterator<Item = String> {
    (0..3_000_u32)
        .map(move |i| format!(r#"{{"dn":"uni/tn-{i:05}","v":{}}}"#, if i % 700 == version { version } else { 0 }))
}

/// Calls off one call after the other until there is none left to call off, and looks at the store each time; then
/// does the work.
fn assert_no_trace<S: Store>(store: &Arc<FaultyStore<S>>, work: impl Fn(&dyn Store) -> fabrik_core::Result<()>) {
    let before = list(store.inner());
    for call in 1.. {
        let cancel = Cancel::default();
        store.cancel_at(call, cancel.clone());
        let result = work(&CancellableStore::new(Arc::clone(store), cancel));
        assert_sound(store.inner());
        let Err(error) = result else {
            assert_eq!(call, store.calls(), "the commit, which comes last, is all that is not called off");
            assert_ne!(list(store.inner()), before, "what was not called off in time is done");
            return;
        };
        assert_eq!(error.kind(), ErrorKind::Cancelled, "{error}");
        assert_eq!(list(store.inner()), before, "called off at call {call}");
    }
}

fn all_work<S: Store>(store: &Arc<FaultyStore<S>>) {
    for (number, policy) in [(1, RetentionPolicy::SevenDays), (3, RetentionPolicy::Forever)] {
        let mut options = options(number);
        options.retention_policy = policy;
        capture_with(&**store, &options, rows(number));
    }
    assert_no_trace(store, |store| {
        block_on(fabrik_core::capture(store, &mut VecSource::new(rows(2)), &options(2))).map(drop)
    });
    assert_no_trace(store, |store| {
        let note = Annotate { annotation: Some(Some("new".into())), ..Annotate::default() };
        block_on(annotate(store, id(2), &note)).map(drop)
    });
    assert_no_trace(store, |store| {
        block_on(async {
            let plan = plan_retention(store, &RetentionOptions::new(day(20))).await?;
            apply_retention(store, &plan).await.map(drop)
        })
    });
    let left = list(store.inner());
    assert!(read(store.inner(), &left[0]).into_iter().eq(rows(3)));
}

#[test]
fn work_called_off_halfway_leaves_no_trace_in_memory() {
    all_work(&Arc::new(FaultyStore::new(MemoryStore::default())));
}

#[cfg(feature = "sqlite")]
#[test]
fn work_called_off_halfway_leaves_no_trace_in_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("fabrik.db");
    let store = fabrik_core::store::SqliteStore::open(path, fabrik_core::store::OpenMode::Create).unwrap();
    all_work(&Arc::new(FaultyStore::new(store)));
}

#[cfg(feature = "postgres")]
#[test]
fn work_called_off_halfway_leaves_no_trace_in_a_database() {
    all_work(&Arc::new(FaultyStore::new(crate::helpers::postgres())));
}

#[test]
fn a_capture_ends_between_two_batches_of_its_source() {
    let store = MemoryStore::default();
    let cancel = Cancel::default();
    let mut inner = VecSource::in_batches(rows(1), 1_000);
    let mut source = CancellableSource::new(&mut inner, cancel.clone());

    let first = block_on(fabrik_core::Source::next_batch(&mut source)).unwrap();
    cancel.cancel();
    let error = block_on(fabrik_core::capture(&store, &mut source, &options(1))).unwrap_err();

    assert_eq!((first.map(|batch| batch.len()), error.kind()), (Some(1_000), ErrorKind::Cancelled));
    assert_eq!(list(&store), []);
}

#[test]
fn a_comparison_that_is_called_off_gives_no_more_changes() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::default());
    let taken = [1, 2].map(|number| {
        let rows = (0..20_000).map(|i| format!(r#"{{"dn":"uni/tn-{i:05}","v":{number}}}"#));
        capture_with(&*store, &options(number), rows).snapshot
    });
    let n_changes = compare(&*store, &taken[0], &taken[1], DiffOptions::default()).0.len();
    let cancel = Cancel::default();
    let cancellable = CancellableStore::new(store, cancel.clone());

    let (n_given, error) = block_on(async {
        let mut comparison =
            fabrik_core::compare(&cancellable, &taken[0], &taken[1], DiffOptions::default()).await.unwrap();
        let mut n_given = comparison.next_batch().await.unwrap().len();
        cancel.cancel();
        loop {
            match comparison.next_batch().await {
                Ok(batch) => n_given += batch.len(),
                Err(error) => return (n_given, error),
            }
        }
    });

    assert_eq!((n_changes, error.kind()), (20_000, ErrorKind::Cancelled));
    assert!(n_given > 0 && n_given < n_changes, "{n_given}");
}
