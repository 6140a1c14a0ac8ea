//! Connections that break and processes that are killed: what was not committed was never there.

use std::future::Future;
use std::pin::pin;
use std::process::{Command, Stdio};
use std::task::{Context, Waker};

use fabrik_core::ErrorKind;
use fabrik_core::store::conformance::postgres::server;
use fabrik_core::store::{OpenMode, PostgresAddress, PostgresStore, ReadChunks, ReadRecords, Store};

use super::proxy::{self, Cut};
use super::{Sql, open};
use crate::helpers::{VecSource, assert_sound, block_on, capture, capture_with, list, options, read};

/// Rows long enough for a dictionary.
fn rows() -> impl Iterator<Item = String> {
    let digits =
        |i: u64| (1..9).map(|j| format!("{:016x}", (i * j).wrapping_mul(0x9e37_79b9_7f4a_7c15))).collect::<String>();
    (0..3_000).map(move |i| format!(r#"{{"dn":"uni/tn-{i:05}","descr":"{}"}}"#, digits(i)))
}

/// Ends all connections of the stores of one address, as a server that restarts does.
fn end_connections(sql: &mut Sql, address: &PostgresAddress) {
    // What the others use is their schema, which shows in the table that they have locked or in nothing; hence by name.
    let name = address.schema();
    sql.run(&format!("SELECT pg_terminate_backend(pid)::text FROM pg_stat_activity WHERE application_name = '{name}'"));
    sql.wait_for(&format!("SELECT count(*)::text FROM pg_stat_activity WHERE application_name = '{name}'"), "0");
}

/// An address of which all connections can be told from those of other tests.
fn named_address() -> PostgresAddress {
    let address = server().new_address();
    format!("{}&application_name={}", server().url(address.schema()), address.schema()).parse().unwrap()
}

#[test]
fn a_connection_that_dies_in_a_transaction_leaves_nothing() {
    let address = named_address();
    let store = open(&address);
    let kept = capture(&store, 1, ["{}"]);
    let mut sql = Sql::new(&address);
    let mut transaction = block_on(store.begin()).unwrap();
    block_on(transaction.series("lost", None)).unwrap();
    block_on(transaction.delete_snapshots(&[kept.id])).unwrap();
    // A second connection, which is then at hand.
    assert_eq!(list(&store).len(), 1);

    end_connections(&mut sql, &address);

    assert_eq!(block_on(transaction.commit()).unwrap_err().kind(), ErrorKind::Storage);
    // The next writer does not care that the connections at hand are gone.
    capture(&store, 2, ["{}"]);
    assert_eq!(list(&store).len(), 2);
    assert_eq!(block_on(store.queries()).unwrap().len(), 1);
    assert_sound(&store);
}

#[test]
fn a_server_that_comes_back_costs_a_reader_one_call_at_most() {
    let address = named_address();
    let store = open(&address);
    let snapshot = capture(&store, 1, rows());
    std::thread::scope(|threads| (0..6).for_each(|_| _ = threads.spawn(|| read(&store, &snapshot))));

    end_connections(&mut Sql::new(&address), &address);

    if let Err(error) = block_on(store.queries()) {
        assert_eq!(error.kind(), ErrorKind::Storage, "{error}");
    }
    assert_eq!(read(&store, &snapshot).len(), 3_000);
}

/// Starts something and drops it, nearly always before its answer is there.
fn give_up<T>(work: impl Future<Output = T>) {
    let _ = pin!(work).poll(&mut Context::from_waker(Waker::noop()));
}

#[test]
fn a_question_that_is_given_up_leaves_the_store_usable() {
    let store = open(&server().new_address());
    let snapshot = capture(&store, 1, rows());
    for _ in 0..30 {
        give_up(store.read_chunks(std::slice::from_ref(&snapshot.root)));
    }
    let mut transaction = block_on(store.begin()).unwrap();
    give_up(transaction.series("given up", None));
    drop(transaction);

    assert_eq!(read(&store, &snapshot).len(), 3_000);
    capture(&store, 2, rows());
    assert_eq!(block_on(store.queries()).unwrap().len(), 1);
    assert_sound(&store);
}

#[test]
fn a_commit_whose_answer_is_lost_is_found_to_be_done() {
    let address = server().new_address();
    let store = open(&address);
    let cut = block_on(PostgresStore::open(&proxy::address(address.schema(), Cut::AfterCommit), OpenMode::Existing));

    let snapshot = capture(&cut.unwrap(), 1, rows());

    assert_eq!(list(&store), [snapshot]);
    assert_sound(&store);
}

#[test]
fn a_commit_that_does_not_arrive_is_a_failure_and_leaves_nothing() {
    let address = server().new_address();
    let store = open(&address);
    let cut = block_on(PostgresStore::open(&proxy::address(address.schema(), Cut::BeforeCommit), OpenMode::Existing));
    let cut = cut.unwrap();

    let lost = block_on(fabrik_core::capture(&cut, &mut VecSource::new(rows()), &options(1)));

    assert_eq!(lost.unwrap_err().kind(), ErrorKind::Storage);
    assert!(list(&store).is_empty());
    assert!(block_on(store.stored_chunks()).unwrap().is_empty());
    let snapshot = capture(&cut, 2, rows());
    assert_eq!(list(&store), [snapshot]);
    assert_sound(&store);
}

#[test]
fn a_full_disk_is_told_from_other_failures_and_changes_nothing() {
    let address = server().new_address();
    let store = open(&address);
    let kept = capture(&store, 1, ["{}"]);
    let mut sql = Sql::new(&address);
    sql.run(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
           $$ BEGIN RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = '53100'; END $$;
         CREATE TRIGGER full_disk BEFORE INSERT ON chunk FOR EACH ROW EXECUTE FUNCTION refuse()",
    );

    let full = block_on(fabrik_core::capture(&store, &mut VecSource::new(rows()), &options(2))).unwrap_err();

    assert_eq!(full.kind(), ErrorKind::StorageFull, "{full:?}");
    assert_eq!(full.to_string(), format!("no space left while storing chunks in {address}"));
    assert_eq!(list(&store), [kept]);
    sql.run("DROP TRIGGER full_disk ON chunk");
    capture(&store, 3, rows());
    assert_sound(&store);
}

/// Where the process that is to be killed finds the store.
const VICTIM_OF: &str = "FABRIK_TEST_VICTIM_OF";

/// What the process does that is killed.
fn be_the_victim(url: &str) {
    let address: PostgresAddress = url.parse().unwrap();
    let mut options = options(2);
    options.query = "killed".into();
    capture_with(&open(&address), &options, rows());
}

#[test]
fn a_capture_that_is_killed_anywhere_leaves_no_trace() {
    // The process that is killed runs this test, too, and goes this way.
    #[expect(clippy::disallowed_methods, reason = "this is how a test tells a process of itself what to do")]
    let url = std::env::var(VICTIM_OF);
    if let Ok(url) = url {
        return be_the_victim(&url);
    }
    let address = server().new_address();
    let store = open(&address);
    let kept = capture(&store, 1, ["{}"]);
    let before = block_on(async { (store.queries().await.unwrap(), store.stored_chunks().await.unwrap().len()) });
    let mut blocker = Sql::new(&address);
    let mut sql = Sql::new(&address);

    // In the order in which a capture comes by.
    for table in ["fabrik_store", "query", "dictionary", "chunk", "snapshot"] {
        blocker.run(&format!("BEGIN; LOCK TABLE {table} IN SHARE MODE"));
        let victim = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "postgres::lost::a_capture_that_is_killed_anywhere_leaves_no_trace"])
            .env(VICTIM_OF, server().url(address.schema()))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let mut victim = victim.unwrap();
        let waiting = "SELECT count(*)::text FROM pg_locks WHERE NOT granted AND relation = ";
        sql.wait_for(&format!("{waiting} '{table}'::regclass"), "1");

        // SIGKILL: nothing in the process gets to say goodbye.
        victim.kill().unwrap();
        victim.wait().unwrap();
        blocker.run("ROLLBACK");

        // Waits for the server to notice.
        drop(block_on(store.begin()).unwrap());
        assert_eq!(list(&store), std::slice::from_ref(&kept), "killed before it wrote to {table}");
        let after = block_on(async { (store.queries().await.unwrap(), store.stored_chunks().await.unwrap().len()) });
        assert_eq!(after, before);
        assert_sound(&store);
    }
    capture(&store, 3, rows());
    assert_eq!(list(&store).len(), 2);
    assert_sound(&store);
}
