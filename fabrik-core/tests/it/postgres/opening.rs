//! A database that holds no store of this version is refused with a reason, and left as it is.

use std::net::TcpListener;

use fabrik_core::store::conformance::postgres::{PostgresServer, server};
use fabrik_core::store::{OpenMode, PostgresAddress, PostgresStore, Store};
use fabrik_core::{Error, ErrorKind};

use super::{Sql, contents, open};
use crate::helpers::{assert_sound, block_on, capture, list, read};

fn rows() -> impl Iterator<Item = String> {
    (0..500).map(|i| format!(r#"{{"dn":"uni/tn-{i}"}}"#))
}

fn error(address: &PostgresAddress, mode: OpenMode) -> Error {
    block_on(PostgresStore::open(address, mode)).unwrap_err()
}

/// Asserts that a database is refused for this reason, and that nothing in the schema changes.
fn assert_refused(address: &PostgresAddress, reason: &str) {
    let before = contents(address);
    for mode in [OpenMode::Existing, OpenMode::Create] {
        let error = error(address, mode);

        assert!(matches!(error, Error::NotAStore { .. }), "{error:?}");
        assert_eq!(error.to_string(), format!("{address} cannot be opened as a Fabrik store: {reason}"));
        assert_eq!(contents(address), before);
    }
}

#[test]
fn a_store_can_be_closed_and_opened_again() {
    let address = server().new_address();
    let store = open(&address);
    let snapshot = capture(&store, 1, rows());
    drop(store);

    let again = block_on(PostgresStore::open(&address, OpenMode::Existing)).unwrap();

    assert_eq!(list(&again), [snapshot]);
    assert_eq!(read(&again, &list(&again)[0]).len(), 500);
    assert_sound(&again);
}

#[test]
fn a_store_takes_more_space_the_more_is_in_it() {
    let address = server().new_address();
    let store = open(&address);
    let empty = block_on(store.disk_bytes()).unwrap();

    capture(&store, 1, (0..30_000_u64).map(|i| format!(r#"{{"dn":"uni/tn-{i}","v":{}}}"#, i.wrapping_mul(i * i + 7))));

    let stored = block_on(fabrik_core::stats(&store)).unwrap().stored_bytes;
    assert!(empty > 0);
    assert!(block_on(store.disk_bytes()).unwrap() >= empty + stored, "{stored}");
}

#[test]
fn a_missing_store_is_made_only_when_asked_for() {
    let address = server().new_address();
    let schemas = format!("SELECT nspname::text FROM pg_namespace WHERE nspname = '{}'", address.schema());
    let mut sql = Sql::new(&address);

    let missing = error(&address, OpenMode::Existing);

    assert!(matches!(missing, Error::NotAStore { .. }), "{missing:?}");
    let expected = format!("there is no store in its schema {:?}", address.schema());
    assert!(missing.to_string().ends_with(&expected), "{missing}");
    assert!(sql.run(&schemas).is_empty());
    drop(open(&address));
    assert_eq!(sql.run(&schemas).len(), 1);
    block_on(PostgresStore::open(&address, OpenMode::Existing)).unwrap();
}

#[test]
fn a_new_store_may_be_opened_many_times_at_once() {
    let address = server().new_address();

    std::thread::scope(|threads| {
        for number in 0..8 {
            let address = &address;
            threads.spawn(move || {
                let mut options = crate::helpers::options(number);
                options.query = format!("q{number}");
                crate::helpers::capture_with(&open(address), &options, rows());
            });
        }
    });

    let store = open(&address);
    assert_eq!(list(&store).len(), 8);
    assert_eq!(Sql::new(&address).run("SELECT format::text FROM fabrik_store"), ["2"]);
    assert_sound(&store);
}

#[test]
fn a_store_of_format_1_becomes_like_a_new_one() {
    let [old, new] = [server().new_address(), server().new_address()];
    let indexes = |address: &PostgresAddress| {
        let schema = address.schema();
        let of_schema = format!("SELECT indexdef FROM pg_indexes WHERE schemaname = '{schema}' ORDER BY indexname");
        let found = Sql::new(address).run(&of_schema);
        found.iter().map(|index| index.replace(schema, "s")).collect::<Vec<_>>()
    };
    capture(&open(&old), 1, rows());
    drop(open(&new));
    Sql::new(&old).run(
        "DROP INDEX snapshot_by_connection; DROP INDEX snapshot_by_time;
         CREATE INDEX snapshot_by_time ON snapshot (query, captured_at, id); UPDATE fabrik_store SET format = 1",
    );
    assert_ne!(indexes(&old), indexes(&new));

    let store = open(&old);

    assert_eq!(indexes(&old), indexes(&new));
    assert_eq!(Sql::new(&old).run("SELECT format::text FROM fabrik_store"), ["2"]);
    assert_eq!(list(&store).len(), 1);
    assert_sound(&store);
}

#[test]
fn a_store_of_a_newer_format_is_refused() {
    let address = server().new_address();
    capture(&open(&address), 1, rows());
    Sql::new(&address).run("UPDATE fabrik_store SET format = 3; ALTER TABLE chunk ADD COLUMN better integer");

    assert_refused(&address, "it has format 3, and this version reads formats 1 to 2");
}

#[test]
fn a_schema_of_another_program_is_refused() {
    let address = server().new_address();
    let schema = address.schema();
    let mut sql = Sql::new(&address);
    sql.run(&format!("CREATE SCHEMA {schema}; CREATE TABLE {schema}.snapshot (picture bytea)"));
    let before = contents(&address);

    let refused = error(&address, OpenMode::Create);

    assert!(matches!(refused, Error::NotAStore { .. }), "{refused:?}");
    assert!(refused.to_string().ends_with("has tables of another program"), "{refused}");
    assert_eq!(contents(&address), before);
}

#[test]
fn a_store_shares_a_database_with_other_tables_and_stores() {
    let addresses = [server().new_address(), server().new_address()];
    let mut sql = Sql::new(&addresses[0]);
    sql.run(&format!("CREATE SCHEMA {0}; CREATE TABLE {0}.users (name text)", addresses[0].schema()));
    let stores = addresses.each_ref().map(open);

    capture(&stores[0], 1, rows());

    assert_eq!((list(&stores[0]).len(), list(&stores[1]).len()), (1, 0));
    // A writer of one does not keep a writer of the other waiting.
    let writing = block_on(stores[0].begin()).unwrap();
    capture(&stores[1], 2, rows());
    drop(writing);
    stores.iter().for_each(|store| assert_sound(store));
}

#[test]
fn a_server_says_whom_it_does_not_let_in_and_nobody_says_the_password() {
    let (user, folder) = (PostgresServer::USER, server().folder().display());
    for (login, database, reason) in [
        (format!("{user}:wr0ng"), "postgres", "password authentication failed for user \"fabrik\" (SQLSTATE 28P01)"),
        ("nobody:wr0ng".into(), "postgres", "password authentication failed for user \"nobody\" (SQLSTATE 28P01)"),
        (
            format!("{user}:{}", PostgresServer::PASSWORD),
            "absent",
            "database \"absent\" does not exist (SQLSTATE 3D000)",
        ),
    ] {
        let address: PostgresAddress = format!("postgres://{login}@/{database}?host={folder}").parse().unwrap();

        let error = error(&address, OpenMode::Create);

        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error:?}");
        let expected = format!("{address} cannot be opened as a Fabrik store: PostgreSQL reports: {reason}");
        assert_eq!(error.to_string(), expected);
        let told = format!("{error:?} {error} {address:?} {address}");
        assert!(!told.contains("wr0ng") && !told.contains(PostgresServer::PASSWORD), "{told}");
    }
}

#[test]
fn a_store_does_not_say_its_password() {
    let store = open(&server().new_address());
    let transaction = block_on(store.begin()).unwrap();

    let told = format!("{store:?} {transaction:?}");

    assert!(told.contains("test_"), "{told}");
    assert!(!told.contains(PostgresServer::PASSWORD), "{told}");
}

#[test]
fn a_server_that_is_not_there_is_no_fault_of_the_address() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let folder = tempfile::tempdir().unwrap();
    for address in [
        format!("postgres://fabrik:s3cret@127.0.0.1:{port}/a"),
        format!("postgres://fabrik:s3cret@/a?host={}", folder.path().display()),
    ] {
        let address: PostgresAddress = address.parse().unwrap();

        let error = error(&address, OpenMode::Create);

        assert_eq!(error.kind(), ErrorKind::Storage, "{error:?}");
        assert_eq!(error.to_string(), format!("connecting failed in {address}"));
        let cause = std::error::Error::source(&error).unwrap().to_string();
        assert!(cause.contains("refused") || cause.contains("No such file"), "{cause}");
        assert!(!format!("{error:?}").contains("s3cret"));
    }
}

#[test]
fn a_user_who_may_not_make_a_schema_is_told_so() {
    let address = server().new_address();
    let schema = address.schema();
    let mut sql = Sql::new(&address);
    sql.run(&format!("CREATE ROLE {schema} LOGIN PASSWORD 'guest'"));
    let folder = server().folder().display();
    let guest: PostgresAddress =
        format!("postgres://{schema}:guest@/postgres?host={folder}&schema={schema}").parse().unwrap();

    let refused = error(&guest, OpenMode::Create);

    assert!(matches!(refused, Error::NotAStore { .. }), "{refused:?}");
    assert!(refused.to_string().contains("permission denied for database postgres"), "{refused}");
    // One that was made for the user is enough.
    sql.run(&format!("CREATE SCHEMA {schema} AUTHORIZATION {schema}"));
    let store = open(&guest);
    capture(&store, 1, rows());
    assert_sound(&store);
}
