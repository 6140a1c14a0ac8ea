//! Damage to tables is found, named, and stays where it is.

use fabrik_core::store::conformance::postgres::server;
use fabrik_core::store::{PostgresAddress, PostgresStore, Store};
use fabrik_core::{Error, ErrorKind, explain_damage, verify};

use super::{Sql, open};
use crate::helpers::{assert_sound, block_on, capture, list};

/// Two snapshots that share most of their content.
fn two_snapshots() -> (PostgresAddress, PostgresStore, Sql) {
    let address = server().new_address();
    let store = open(&address);
    let row = |i: u32, v: u32| format!(r#"{{"dn":"uni/tn-{i:04}","v":{v}}}"#);
    capture(&store, 1, (0..600).map(|i| row(i, 0)));
    capture(&store, 2, (0..600).map(|i| row(i, u32::from(i == 300))));
    assert_sound(&store);
    let sql = Sql::new(&address);
    (address, store, sql)
}

fn problems(store: &PostgresStore) -> Vec<String> {
    block_on(store.check()).unwrap()
}

#[test]
fn a_changed_frame_is_an_error_that_names_what_it_hurts() {
    let (_, store, mut sql) = two_snapshots();
    sql.run("UPDATE chunk SET frame = set_byte(frame, 9, get_byte(frame, 9) # 1) WHERE base IS NOT NULL");

    let [newer, older] = &list(&store)[..] else { panic!("two were captured") };

    let found = block_on(verify(&store)).unwrap();
    assert!(!found.damage.is_empty());
    assert!(found.damage.iter().all(|damage| damage.snapshots == [newer.id] && damage.chunk.is_some()));
    let error = block_on(fabrik_core::summarize(&store, older, newer)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Damaged);
    let explained = block_on(explain_damage(&store, error));
    assert!(explained.to_string().contains(&newer.id.to_string()), "{explained}");
}

#[test]
fn a_record_that_cannot_be_read_is_named() {
    let (_, store, mut sql) = two_snapshots();
    let newest = list(&store)[0].id;
    for change in [
        "verdict = 'certainly'::bytea",
        "captured_at = 9223372036854775807",
        "row_count = -1",
        "root = '\\x00'",
        "captured_by = '\\xff'",
        "retention_policy = 'for now'",
    ] {
        sql.run(&format!("BEGIN; UPDATE snapshot SET {change} WHERE id = '{newest}'; COMMIT"));

        let error = block_on(fabrik_core::stats(&store)).unwrap_err();

        let Error::RecordDamaged { snapshot, .. } = &error else { panic!("{change}: {error:?}") };
        assert_eq!(*snapshot, newest.to_string());
        assert_eq!(error.kind(), ErrorKind::Damaged);
    }
}

#[test]
fn a_base_that_is_gone_is_found_without_reading() {
    let (_, store, mut sql) = two_snapshots();
    let gone = sql.run("DELETE FROM chunk WHERE id IN (SELECT base FROM chunk) RETURNING 1::text").len();
    assert!(gone > 0);

    assert_eq!(problems(&store), [format!("{gone} chunks whose base is missing")]);
}

#[test]
fn a_chain_of_the_wrong_length_is_found() {
    let (_, store, mut sql) = two_snapshots();
    sql.run(
        "UPDATE chunk SET chain = 9 WHERE base IS NULL AND id NOT IN (SELECT base FROM chunk WHERE base IS NOT NULL)",
    );

    assert!(problems(&store)[0].ends_with("chunks whose chain is not one longer than that of their base"));
}

#[test]
fn an_index_that_has_lost_a_row_is_found() {
    let (_, store, mut sql) = two_snapshots();
    let count = sql.run("SELECT count(*)::text FROM chunk").remove(0).parse::<u64>().unwrap();
    sql.run(
        "SET allow_system_table_mods = on;
         UPDATE pg_index SET indisready = false, indisvalid = false WHERE indexrelid = 'chunk_pkey'::regclass",
    );
    sql.run("INSERT INTO chunk (id, chain, frame) VALUES ('0123456789abcdef', 0, '\\x00')");
    sql.run("UPDATE pg_index SET indisready = true, indisvalid = true WHERE indexrelid = 'chunk_pkey'::regclass");

    assert_eq!(problems(&store), [format!("the table chunk has {} rows and its index {count}", count + 1)]);
}
