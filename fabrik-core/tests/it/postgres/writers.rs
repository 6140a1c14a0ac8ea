//! Many processes over one database: one writer at a time, and nobody loses what another has.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use fabrik_core::store::conformance::postgres::server;
use fabrik_core::store::{PostgresAddress, ReadChunks, ReadRecords, Store, Transaction};
use fabrik_core::{
    ChunkId, ErrorKind, NewChunk, RetentionOptions, RetentionPolicy, apply_retention, plan_retention, verify,
};

use super::{Sql, open};
use crate::helpers::{assert_sound, block_on, capture, capture_with, day, list, options, read};

/// How many wait for the right to write to the store.
const WAITING: &str = "SELECT count(*)::text FROM pg_locks WHERE relation = 'fabrik_store'::regclass AND NOT granted";

fn chunk(text: &str) -> NewChunk {
    let bytes = bytes::Bytes::from(text.repeat(40));
    NewChunk { id: ChunkId::of(&bytes), bytes, base: None }
}

#[test]
fn a_second_writer_is_told_who_holds_the_lock() {
    let address = server().new_address();
    let named: PostgresAddress =
        format!("{}&application_name=night-shift", server().url(address.schema())).parse().unwrap();
    let (store, other) = (open(&named), open(&address).with_wait(Duration::from_millis(50)));
    let transaction = block_on(store.begin()).unwrap();

    let error = block_on(other.begin()).unwrap_err();

    assert_eq!(error.kind(), ErrorKind::Locked);
    let (sentence, start) =
        (error.to_string(), format!("the store {address} is locked by \"night-shift\", user \"fabrik\" (process "));
    assert!(sentence.starts_with(&start) && sentence.ends_with(" of the database server); waited 0 s"), "{sentence}");
    assert!(list(&other).is_empty(), "readers do not wait");
    drop(transaction);
    capture(&other.with_wait(Duration::from_secs(10)), 1, ["{}"]);
    assert_eq!(list(&store).len(), 1);
}

#[test]
fn a_second_writer_of_the_same_process_is_told_so() {
    let store = open(&server().new_address()).with_wait(Duration::from_millis(50));
    let transaction = block_on(store.begin()).unwrap();

    let error = block_on(store.begin()).unwrap_err();

    assert_eq!(error.kind(), ErrorKind::Locked);
    assert!(error.to_string().contains("is locked by another transaction of this process"), "{error}");
    drop(transaction);
}

#[test]
fn a_writer_that_waited_finds_what_it_waited_for() {
    let address = server().new_address();
    let (first, second) = (open(&address), open(&address));
    let mut sql = Sql::new(&address);
    let new = chunk("new");

    std::thread::scope(|threads| {
        let mut writing = block_on(first.begin()).unwrap();
        let waiter = threads.spawn(|| {
            let mut transaction = block_on(second.begin()).unwrap();
            let missing = block_on(transaction.missing(&[new.id])).unwrap();
            let series = block_on(transaction.series("q", None)).unwrap();
            (missing, series.query.id)
        });
        sql.wait_for(WAITING, "1");
        block_on(writing.put_chunks(vec![new.clone()])).unwrap();
        let series = block_on(writing.series("q", None)).unwrap();
        block_on(writing.commit()).unwrap();

        assert_eq!(waiter.join().unwrap(), (vec![false], series.query.id));
    });
}

#[test]
fn what_a_transaction_has_found_it_finds_again() {
    let address = server().new_address();
    let store = open(&address);
    capture(&store, 1, ["{}"]);
    let transaction = block_on(store.begin()).unwrap();
    let found = block_on(transaction.queries()).unwrap();

    // One that keeps to no rule and takes no lock.
    Sql::new(&address).run("INSERT INTO query (name) VALUES ('smuggled')");

    assert_eq!(block_on(transaction.queries()).unwrap(), found);
    drop(transaction);
    assert_eq!(block_on(store.queries()).unwrap().len(), 2);
}

#[test]
fn a_commit_after_a_failure_is_a_failure() {
    let address = server().new_address();
    let store = open(&address);
    let known = capture(&store, 1, ["{}"]);
    let new = chunk("new");
    let mut transaction = block_on(store.begin()).unwrap();
    block_on(transaction.put_chunks(vec![new.clone()])).unwrap();
    let mut unknown = known.clone();
    unknown.series.query.id += 1_000;

    let failed = block_on(transaction.put_snapshot(&unknown)).unwrap_err();
    let committed = block_on(transaction.commit()).unwrap_err();

    assert_eq!((failed.kind(), committed.kind()), (ErrorKind::Storage, ErrorKind::Storage));
    assert_eq!(list(&store), [known]);
    assert!(block_on(store.read_chunks(&[new.id])).is_err());
    assert_sound(&store);
}

#[test]
fn more_readers_than_connections_all_get_their_answer() {
    let store = open(&server().new_address());
    let snapshot = capture(&store, 1, (0..500).map(|i| format!(r#"{{"dn":"uni/tn-{i}"}}"#)));

    std::thread::scope(|threads| {
        for _ in 0..40 {
            threads.spawn(|| assert_eq!(read(&store, &snapshot).len(), 500));
        }
    });
}

/// Rows of which a tenth is new in every version, the same in whatever query they are.
fn rows(version: u32) -> impl Iterator<Item = String> {
    (0..2_500_u32).map(move |i| {
        let of = if i % 10 == version % 10 { version } else { version / 10 };
        format!(r#"{{"dn":"uni/tn-{i:04}","text":"object {} of version {of}"}}"#, i * 7919 % 2_500)
    })
}

#[test]
fn captures_and_clean_ups_of_several_processes_leave_one_truth() {
    const VERSIONS: u32 = 12;
    let address = server().new_address();
    let done = AtomicBool::new(false);

    std::thread::scope(|threads| {
        let capture_all = |query: &'static str, first: u32| {
            let store = open(&address);
            for version in 1..=VERSIONS {
                let mut options = options(first + version);
                options.query = query.into();
                options.captured_at = day(i64::from(version));
                // Every third stays; clean-ups take the others as soon as they see them.
                let stays = version % 3 == 0;
                options.retention_policy = if stays { RetentionPolicy::Forever } else { RetentionPolicy::SevenDays };
                capture_with(&store, &options, rows(version));
            }
        };
        let captures = [threads.spawn(move || capture_all("east", 0)), threads.spawn(move || capture_all("west", 100))];
        let cleaner = threads.spawn(|| {
            let store = open(&address);
            let mut deleted = 0;
            loop {
                let is_last = done.load(Ordering::SeqCst);
                let plan = block_on(plan_retention(&store, &RetentionOptions::new(day(90)))).unwrap();
                deleted += block_on(apply_retention(&store, &plan)).unwrap().deleted.len();
                if is_last {
                    return deleted;
                }
            }
        });
        // The cleaner ends whatever became of them.
        let captured = captures.map(|capture| capture.join());
        done.store(true, Ordering::SeqCst);
        assert!(captured.iter().all(Result::is_ok));

        assert_eq!(cleaner.join().unwrap(), 2 * 8);
    });

    let store = open(&address);
    let left = list(&store);
    assert_eq!(left.len(), 2 * 4);
    for snapshot in &left {
        let version = u32::try_from((snapshot.captured_at - day(0)).num_days()).unwrap();
        assert!(read(&store, snapshot).into_iter().eq(rows(version)), "version {version}");
    }
    let found = block_on(verify(&store)).unwrap();
    assert_eq!((found.damage, found.unreferenced_chunks), (vec![], 0));
}

#[test]
fn chains_of_differences_stay_short() {
    let store = open(&server().new_address());
    for number in 1..=30 {
        capture(
            &store,
            number,
            (0..200).map(|i| format!(r#"{{"dn":"uni/tn-{i}","v":{}}}"#, if i == 77 { number } else { 0 })),
        );
    }

    let chains = block_on(fabrik_core::stats(&store)).unwrap().delta_chains;

    let longest = *chains.keys().max().unwrap();
    assert!((1..=16).contains(&longest), "up to {longest} chunks are fetched for one");
    assert!(list(&store).iter().all(|snapshot| read(&store, snapshot).len() == 200));
}

#[test]
fn chunks_too_many_or_too_long_for_one_statement_are_stored() {
    let store = open(&server().new_address());
    let noise = |seed: u64, len: u64| {
        let mix = |i: u64| (i ^ seed << 32).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes()[0];
        (0..len).map(|i| mix(i * i)).collect::<Vec<u8>>()
    };
    let lengths = (0..1_300).map(|_| 50).chain([3 << 20, 3 << 20, 9 << 20, 10]);
    let chunks: Vec<NewChunk> = lengths
        .zip(1..)
        .map(|(len, seed)| {
            let bytes = bytes::Bytes::from([noise(seed, len), seed.to_be_bytes().to_vec()].concat());
            NewChunk { id: ChunkId::of(&bytes), bytes, base: None }
        })
        .collect();

    let mut transaction: Box<dyn Transaction + '_> = block_on(store.begin()).unwrap();
    let added = block_on(transaction.put_chunks(chunks.clone())).unwrap();
    block_on(transaction.commit()).unwrap();

    assert_eq!(added, block_on(store.stored_chunks()).unwrap().iter().map(|chunk| chunk.stored_bytes).sum::<u64>());
    let ids: Vec<ChunkId> = chunks.iter().map(|chunk| chunk.id).collect();
    let read = block_on(store.read_chunks(&ids)).unwrap();
    assert!(read.iter().eq(chunks.iter().map(|chunk| &chunk.bytes)));
}
