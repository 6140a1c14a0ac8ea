//! A file that is no store of this version is refused with a reason, and left as it is.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use fabrik_core::store::{OpenMode, ReadRecords, SqliteStore, Store};
use fabrik_core::{Coverage, Error, ErrorKind};
use rusqlite::Connection;

use crate::helpers::{VecSource, assert_sound, block_on, capture, list, listed, read, sqlite};

/// All files of a folder with their content.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let read = |entry: std::io::Result<fs::DirEntry>| {
        let path = entry.unwrap().path();
        (path.display().to_string(), fs::read(&path).unwrap_or_default())
    };
    fs::read_dir(folder).unwrap().map(read).collect()
}

/// Asserts that a file is refused for this reason, and that no byte of the folder changes.
fn assert_refused(path: &Path, reason: &str) {
    let folder = path.parent().unwrap();
    let before = files(folder);
    for mode in [OpenMode::Existing, OpenMode::Create] {
        let error = SqliteStore::open(path, mode).unwrap_err();

        assert!(matches!(error, Error::NotAStore { .. }), "{error:?}");
        let expected = format!("{} cannot be opened as a Fabrik store: {reason}", path.display());
        assert!(error.to_string().starts_with(&expected), "{error}");
        assert!(files(folder) == before, "opening changed the folder");
    }
}

/// A closed store with one snapshot.
fn closed() -> tempfile::TempDir {
    let store = sqlite();
    capture(&*store, 1, (0..500).map(|i| format!(r#"{{"dn":"uni/tn-{i}"}}"#)));
    store.close()
}

fn change(path: &Path, statement: &str) {
    let connection = Connection::open(path).unwrap();
    connection.execute_batch(statement).unwrap();
    connection.close().unwrap();
}

#[test]
fn a_store_can_be_closed_and_opened_again() {
    let folder = closed();

    let store = SqliteStore::open(folder.path().join("fabrik.db"), OpenMode::Existing).unwrap();

    assert_eq!(read(&store, &list(&store)[0]).len(), 500);
    assert_sound(&store);
    assert!(block_on(store.disk_bytes()).unwrap() > 0);
}

/// A store that a program of format 1 wrote, in a folder of its own.
fn of_format_1() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let packed = include_bytes!("../fixtures/format-1.db.zst");
    fs::write(folder.path().join("fabrik.db"), zstd::decode_all(&packed[..]).unwrap()).unwrap();
    folder
}

/// The format of a file and the text of its tables.
fn schema(path: &Path) -> (i32, Vec<String>) {
    let connection = Connection::open(path).unwrap();
    let mut tables = connection.prepare("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY name").unwrap();
    let tables = tables.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap();
    (connection.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap(), tables)
}

#[test]
fn a_store_of_format_1_is_read_and_captured_into() {
    let folder = of_format_1();
    let path = folder.path().join("fabrik.db");

    let store = SqliteStore::open(&path, OpenMode::Existing).unwrap();

    let snapshots = list(&store);
    let [changed, tenants, first] = &snapshots[..] else { panic!("{} snapshots", snapshots.len()) };
    assert_eq!((&*changed.series.query.name, changed.pinned, changed.changes.unwrap().changed), ("BDs", true, 8));
    assert_eq!((first.label.as_deref(), first.row_count), (Some("baseline"), 1_600));
    assert_eq!((tenants.key.to_string().as_str(), tenants.verdict.name()), ("name", "partial"));
    assert!(snapshots.iter().all(|snapshot| snapshot.coverage == Coverage::Full));
    assert_eq!(read(&store, changed).len(), 1_600);
    assert_eq!(block_on(fabrik_core::summarize(&store, first, changed)).unwrap().changed, 8);
    assert!(block_on(store.documents("connection")).unwrap().is_empty());

    let mut options = crate::helpers::options(1);
    (options.query, options.connection) = ("BDs".into(), Some("east".into()));
    options.captured_at = crate::helpers::day(9);
    let mut rows = read(&store, changed);
    rows.truncate(1_599);
    let mut source = VecSource::new(rows).with_coverage(Coverage::ConfigOnly);
    let captured = block_on(fabrik_core::capture(&store, &mut source, &options)).unwrap().snapshot;

    assert_eq!(captured.changes.unwrap().removed, 1);
    assert_eq!(listed(&store, captured.id), captured);
    assert_sound(&store);
    drop(store);
    let again = SqliteStore::open(&path, OpenMode::Existing).unwrap();
    assert_eq!(listed(&again, captured.id), captured);
}

#[test]
fn a_store_that_was_brought_up_to_date_is_like_a_new_one() {
    let (old, new) = (of_format_1(), closed());
    let [old, new] = [old, new].map(|folder| (folder.path().join("fabrik.db"), folder));
    assert_eq!(schema(&old.0).0, 1);

    drop(SqliteStore::open(&old.0, OpenMode::Existing).unwrap());

    assert_eq!(schema(&old.0), schema(&new.0));
    assert_eq!(schema(&old.0).0, 3);
}

#[test]
fn a_store_of_format_1_may_be_opened_many_times_at_once() {
    let folder = of_format_1();
    let path = folder.path().join("fabrik.db");

    std::thread::scope(|threads| {
        for _ in 0..6 {
            threads.spawn(|| assert_eq!(list(&SqliteStore::open(&path, OpenMode::Existing).unwrap()).len(), 3));
        }
    });
}

#[test]
fn a_file_of_a_newer_format_is_refused() {
    let folder = closed();
    let path = folder.path().join("fabrik.db");
    change(&path, "PRAGMA user_version = 4");

    assert_refused(&path, "it has format 4, and this version reads formats 1 to 3");
}

#[test]
fn a_file_of_another_program_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("other.db");
    change(&path, "PRAGMA application_id = 7; CREATE TABLE chunk (x); INSERT INTO chunk VALUES (1)");

    assert_refused(&path, "it is a SQLite file of another program");
}

#[test]
fn a_sqlite_file_of_nobody_in_particular_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("other.db");
    change(&path, "CREATE TABLE notes (x)");

    assert_refused(&path, "it is a SQLite file of another program");
}

#[test]
fn a_file_that_is_cut_short_is_refused() {
    let folder = closed();
    let path = folder.path().join("fabrik.db");
    let whole = fs::read(&path).unwrap();
    for keep in [whole.len() - 1, whole.len() / 2, 8192, 4096, 100] {
        fs::write(&path, &whole[..keep]).unwrap();

        assert_refused(&path, &format!("it is cut short: {keep} of {} bytes are there", whole.len()));
    }
    fs::write(&path, &whole[..99]).unwrap();
    assert_refused(&path, "it is not a SQLite file");
}

#[test]
fn what_is_not_sqlite_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    for content in [&b"{}"[..], b"\0", &[b'x'; 5_000], b"SQLite format 3"] {
        let path = folder.path().join("notes.json");
        fs::write(&path, content).unwrap();

        assert_refused(&path, "it is not a SQLite file");
    }
}

#[test]
fn a_folder_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("inner");
    fs::create_dir(&path).unwrap();

    assert_refused(&path, "it is a folder");
}

#[test]
fn a_missing_file_is_made_only_when_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("fabrik.db");

    let error = SqliteStore::open(&path, OpenMode::Existing).unwrap_err();

    assert!(error.to_string().ends_with("there is no such file"), "{error}");
    assert!(files(folder.path()).is_empty());
    assert!(SqliteStore::open(folder.path().join("no/fabrik.db"), OpenMode::Create).is_err());
    assert!(SqliteStore::open(&path, OpenMode::Create).is_ok());
    assert!(SqliteStore::open(&path, OpenMode::Existing).is_ok());
}

#[test]
fn an_empty_file_becomes_a_store() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("fabrik.db");
    fs::write(&path, "").unwrap();

    let store = SqliteStore::open(&path, OpenMode::Create).unwrap();

    capture(&store, 1, ["{}"]);
    assert_sound(&store);
}

#[test]
fn a_second_writer_is_told_who_holds_the_lock() {
    let store = sqlite();
    capture(&*store, 1, ["{}"]);
    let other = SqliteStore::open(store.path(), OpenMode::Existing).unwrap().with_wait(Duration::from_millis(50));
    let transaction = block_on(store.begin()).unwrap();

    let error = block_on(other.begin()).unwrap_err();

    assert_eq!(error.kind(), ErrorKind::Locked);
    assert!(error.to_string().contains("is locked by"), "{error}");
    assert_eq!(list(&other).len(), 1, "readers do not wait");
    drop(transaction);
    drop(block_on(other.begin()).unwrap());
}

#[test]
fn a_second_writer_waits_for_the_first() {
    let store = sqlite();
    let other = SqliteStore::open(store.path(), OpenMode::Existing).unwrap();
    let (begun, has_begun) = std::sync::mpsc::channel();

    std::thread::scope(|threads| {
        threads.spawn(|| {
            let transaction = block_on(store.begin()).unwrap();
            begun.send(()).unwrap();
            block_on(transaction.commit()).unwrap();
        });
        has_begun.recv().unwrap();
        capture(&other, 1, ["{}"]);
    });

    assert_eq!(list(&*store).len(), 1);
}

#[test]
fn two_processes_worth_of_stores_see_each_others_commits() {
    let store = sqlite();
    let other = SqliteStore::open(store.path(), OpenMode::Existing).unwrap();
    for number in 1..6 {
        let writer: &dyn Store = if number % 2 == 0 { &other } else { &*store };
        let reader: &dyn Store = if number % 2 == 0 { &*store } else { &other };

        // Enough rows for a dictionary, which the other must come to know.
        let snapshot = capture(
            writer,
            number,
            (0..6_000)
                .map(|i| format!(r#"{{"dn":"uni/tn-{i}","descr":"object {} of version {number}"}}"#, i * 7919 % 6_000)),
        );

        assert_eq!(read(reader, &snapshot).len(), 6_000);
    }
    assert_sound(&other);
}

#[test]
fn chains_of_differences_stay_short() {
    let store = sqlite();
    for number in 1..=30 {
        capture(
            &*store,
            number,
            (0..200).map(|i| format!(r#"{{"dn":"uni/tn-{i}","v":{}}}"#, if i == 77 { number } else { 0 })),
        );
    }

    let chains = block_on(fabrik_core::stats(&*store)).unwrap().delta_chains;

    let longest = *chains.keys().max().unwrap();
    assert!((1..=16).contains(&longest), "up to {longest} chunks are read for one");
    assert!(list(&*store).iter().all(|snapshot| read(&*store, snapshot).len() == 200));
}
