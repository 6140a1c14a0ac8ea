//! Damage is found, named, and stays where it is.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use fabrik_core::store::{MemoryStore, OpenMode, ReadRecords, SqliteStore, Store};
use fabrik_core::{ChunkId, Error, ErrorKind, NewChunk, Snapshot, SnapshotId, VersionHash, explain_damage, verify};
use rusqlite::{Connection, params};

use crate::helpers::{assert_sound, block_on, capture, capture_with, id, list, options, read, sqlite};

/// Two snapshots that share most of their content, and one of another query that shares none.
fn three_snapshots() -> tempfile::TempDir {
    let store = sqlite();
    let row = |i: u32, v: u32| format!(r#"{{"dn":"uni/tn-{i:04}","v":{v}}}"#);
    capture(&*store, 1, (0..600).map(|i| row(i, 0)));
    capture(&*store, 2, (0..600).map(|i| row(i, u32::from(i == 300))));
    let mut other = options(3);
    other.query = "other".into();
    capture_with(&*store, &other, (0..100).map(|i| format!(r#"{{"dn":"topology/pod-{i}"}}"#)));
    assert_sound(&*store);
    store.close()
}

fn open(folder: &Path) -> SqliteStore {
    SqliteStore::open(folder.join("fabrik.db"), OpenMode::Existing).unwrap()
}

/// The frames of all chunks, by the row they lie in.
fn frames(folder: &Path) -> BTreeMap<i64, Vec<u8>> {
    let file = Connection::open(folder.join("fabrik.db")).unwrap();
    let mut select = file.prepare("SELECT rowid, frame FROM chunk").unwrap();
    select.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap().map(Result::unwrap).collect()
}

fn set_frame(folder: &Path, seq: i64, frame: &[u8]) {
    let file = Connection::open(folder.join("fabrik.db")).unwrap();
    assert_eq!(file.execute("UPDATE chunk SET frame = ?2 WHERE rowid = ?1", params![seq, frame]).unwrap(), 1);
}

async fn read_all(store: &dyn Store, snapshot: &Snapshot) -> fabrik_core::Result<u64> {
    let mut rows = fabrik_core::rows(store, snapshot).await?;
    let mut count = 0;
    loop {
        let batch = rows.next_batch().await?;
        if batch.is_empty() {
            return Ok(count);
        }
        count += batch.len() as u64;
    }
}

/// Asserts that what verify says is hurt is exactly what cannot be read, and that errors name it.
fn assert_damage_is_known(store: &dyn Store) -> BTreeSet<SnapshotId> {
    let found = block_on(verify(store)).unwrap();
    let mut hurt = BTreeSet::new();
    for snapshot in list(store) {
        match block_on(read_all(store, &snapshot)) {
            Ok(rows) => assert_eq!(rows, snapshot.row_count, "what can be read is whole"),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Damaged, "{error}");
                let text = block_on(explain_damage(store, error)).to_string();
                assert!(text.contains(&snapshot.id.to_string()), "{text}");
                hurt.insert(snapshot.id);
            }
        }
    }
    let named: BTreeSet<SnapshotId> = found.damage.iter().flat_map(|damage| damage.snapshots.clone()).collect();
    assert_eq!(named, hurt, "{:?}", found.damage);
    assert!(
        found.damage.iter().all(|damage| damage.chunk.is_some() && !damage.snapshots.is_empty()),
        "{:?}",
        found.damage
    );
    assert_eq!(found.is_clean(), hurt.is_empty());
    hurt
}

#[test]
fn a_flipped_byte_anywhere_is_found_and_hurts_only_those_that_need_it() {
    let folder = three_snapshots();
    let whole = frames(folder.path());
    let mut seen = BTreeSet::new();
    for (place, (&seq, frame)) in whole.iter().enumerate() {
        let mut spoiled = frame.clone();
        let at = place * 13 % spoiled.len();
        spoiled[at] ^= 1 << (place % 8);
        set_frame(folder.path(), seq, &spoiled);

        // A bit that zstd does not look at may leave the content whole; all others are noticed.
        let hurt = assert_damage_is_known(&open(folder.path()));

        seen.insert(hurt);
        set_frame(folder.path(), seq, frame);
    }
    let both = BTreeSet::from([id(1), id(2)]);
    assert!(
        seen.contains(&both) && seen.contains(&BTreeSet::from([id(3)])) && seen.contains(&BTreeSet::from([id(2)])),
        "{seen:?}"
    );
    assert!(!seen.iter().any(|hurt| hurt.len() == 3), "nothing is shared by all");
    assert_sound(&open(folder.path()));
}

#[test]
fn frames_that_are_empty_cut_or_of_an_unknown_kind_are_found() {
    let folder = three_snapshots();
    let (seq, frame) = frames(folder.path()).pop_first().unwrap();
    for spoiled in
        [vec![], vec![0], vec![9, 9, 9], frame[..frame.len() - 1].to_vec(), [&frame[..], b"x"].concat(), vec![0xff; 64]]
    {
        set_frame(folder.path(), seq, &spoiled);

        let hurt = assert_damage_is_known(&open(folder.path()));

        assert!(!hurt.is_empty() && !hurt.contains(&id(3)), "{spoiled:?}: {hurt:?}");
    }
}

#[test]
fn a_chunk_that_is_gone_is_found() {
    let folder = three_snapshots();
    let last = *frames(folder.path()).keys().last().unwrap();
    let file = Connection::open(folder.path().join("fabrik.db")).unwrap();
    file.execute("DELETE FROM chunk WHERE rowid = ?1", [last]).unwrap();
    drop(file);
    let store = open(folder.path());

    let found = block_on(verify(&store)).unwrap();

    assert!(
        found.damage.iter().any(|damage| damage.snapshots == [id(3)] && damage.problem.contains("missing")),
        "{:?}",
        found.damage
    );
    assert!(found.damage.iter().any(|damage| damage.problem.contains("index")), "{:?}", found.damage);
    let third = list(&store).remove(0);
    let error = block_on(explain_damage(&store, block_on(read_all(&store, &third)).unwrap_err()));
    assert!(matches!(&error, Error::ChunkNotFound { snapshots, .. } if *snapshots == [id(3)]), "{error}");
    assert_eq!(read(&store, &list(&store)[1]).len(), 600);
}

#[test]
fn a_record_that_contradicts_its_tree_is_found() {
    for (statement, problem) in [
        ("UPDATE snapshot SET row_count = row_count + 1 WHERE query = 2", "the record says 101 rows, the tree has 100"),
        ("UPDATE snapshot SET version_hash = zeroblob(32) WHERE query = 2", "is not that of its root"),
    ] {
        let folder = three_snapshots();
        Connection::open(folder.path().join("fabrik.db")).unwrap().execute_batch(statement).unwrap();

        let found = block_on(verify(&open(folder.path()))).unwrap();

        assert_eq!(found.damage.len(), 1);
        assert_eq!(found.damage[0].snapshots, [id(3)]);
        assert!(found.damage[0].problem.contains(problem), "{:?}", found.damage);
    }
}

#[test]
fn a_record_that_cannot_be_read_is_an_error_that_names_it() {
    for statement in [
        "UPDATE snapshot SET key = ',' WHERE query = 2",
        "UPDATE snapshot SET verdict = '{' WHERE query = 2",
        "UPDATE snapshot SET retention_policy = '8d' WHERE query = 2",
        "UPDATE snapshot SET root = x'00' WHERE query = 2",
        "UPDATE snapshot SET captured_at = 9223372036854775807 WHERE query = 2",
        "UPDATE snapshot SET row_count = -1 WHERE query = 2",
    ] {
        let folder = three_snapshots();
        Connection::open(folder.path().join("fabrik.db")).unwrap().execute_batch(statement).unwrap();

        let error = block_on(open(folder.path()).snapshots(&Default::default())).unwrap_err();

        assert_eq!(error.kind(), ErrorKind::Damaged, "{statement}: {error}");
        assert!(error.to_string().contains(&id(3).to_string()), "{error}");
    }
}

#[test]
fn damage_in_memory_is_found_too() {
    let store = MemoryStore::default();
    let older = capture(&store, 1, ["{\"dn\":\"a\"}"]);
    let newer = capture(&store, 2, ["{\"dn\":\"b\"}"]);
    store.damage(&older.root, b"nothing like it");

    let hurt = assert_damage_is_known(&store);

    assert_eq!(hurt, BTreeSet::from([older.id]));
    assert_eq!(read(&store, &newer).len(), 1);
}

#[test]
fn a_chunk_that_a_tree_has_several_times_hurts_its_snapshot_once() {
    let store = MemoryStore::default();
    let snapshot = capture(&store, 1, [r#"{"dn":"a"}"#; 500]);
    let full_leaf = block_on(store.stored_chunks()).unwrap().len();
    assert!(full_leaf <= 3, "a full leaf, the last one and a branch");
    let leaf: Vec<u8> = (0..96).flat_map(|i| if i == 0 { [0, 2, 1, b'a'].to_vec() } else { vec![2, 0] }).collect();
    let leaf = [&[1, 1, 96][..], &leaf, &[1, 1, 2, b'd', b'n', 2]].concat();
    store.damage(&ChunkId::of(&leaf), b"nothing like it");

    let found = block_on(verify(&store)).unwrap();

    assert_eq!(found.damage.iter().map(|damage| damage.snapshots.clone()).collect::<Vec<_>>(), [[snapshot.id]]);
}

/// Puts nodes made by hand into a store, and a record that points to the last of them.
fn with_tree(nodes: &[Vec<u8>], rows: u64) -> MemoryStore {
    let store = MemoryStore::default();
    let mut snapshot = capture(&store, 1, ["{}"]);
    let chunks: Vec<NewChunk> = (nodes.iter())
        .map(|bytes| NewChunk { id: ChunkId::of(bytes), bytes: bytes.clone().into(), base: None })
        .collect();
    snapshot.root = chunks.last().unwrap().id;
    snapshot.version_hash = VersionHash::of_root(nodes.last().unwrap());
    snapshot.row_count = rows;
    block_on(async {
        let mut transaction = store.begin().await.unwrap();
        transaction.put_chunks(chunks).await.unwrap();
        transaction.put_snapshot(&snapshot).await.unwrap();
        transaction.commit().await.unwrap();
    });
    store
}

/// A leaf of rows that have nothing but a DN of one letter.
fn leaf(dns: &[u8]) -> Vec<u8> {
    let keys = dns.iter().flat_map(|dn| [0, 2, 1, *dn]);
    let shape = [1, 1, 2, b'd', b'n', 2];
    [1, 1, u8::try_from(dns.len()).unwrap()].into_iter().chain(keys).chain(shape).collect()
}

/// A branch over children: the letter of the first DN, rows twice and whether it goes on with the key before, the node.
fn branch(level: u8, children: &[(u8, u8, &[u8])]) -> Vec<u8> {
    let mut bytes = vec![2, 1, level, u8::try_from(children.len()).unwrap()];
    children.iter().for_each(|(dn, _, _)| bytes.extend_from_slice(&[0, 2, 1, *dn]));
    bytes.extend(children.iter().map(|(_, rows, _)| *rows));
    children.iter().for_each(|(_, _, node)| bytes.extend_from_slice(ChunkId::of(node).as_bytes()));
    bytes
}

#[test]
fn a_tree_that_is_sound_by_its_hashes_and_wrong_in_itself_is_found() {
    let (ab, bc, cd) = (leaf(b"ab"), leaf(b"bc"), leaf(b"cd"));
    let top = |children: &[(u8, u8, &[u8])]| branch(1, children);
    let sound = top(&[(b'a', 4, &ab), (b'c', 4, &cd)]);
    assert!(block_on(verify(&with_tree(&[ab.clone(), cd.clone(), sound.clone()], 4))).unwrap().is_clean());
    let going_on = top(&[(b'a', 4, &ab), (b'b', 5, &bc)]);
    assert!(block_on(verify(&with_tree(&[ab.clone(), bc.clone(), going_on], 4))).unwrap().is_clean());

    for (root, rows, problem) in [
        (top(&[(b'a', 4, &ab), (b'c', 6, &cd)]), 5, "it counts 3 rows below"),
        (top(&[(b'a', 4, &ab), (b'b', 4, &cd)]), 4, "under a key that is not its first"),
        (top(&[(b'a', 4, &ab), (b'c', 5, &cd)]), 4, "is out of order"),
        (top(&[(b'a', 4, &ab), (b'b', 4, &bc)]), 4, "is out of order"),
        (top(&[(b'c', 4, &cd), (b'a', 4, &ab)]), 4, "its keys are not ascending"),
        (branch(2, &[(b'a', 4, &ab), (b'c', 4, &cd)]), 4, "is on level 0"),
        (branch(2, &[(b'a', 8, &sound), (b'e', 4, &cd)]), 6, "is on level 0"),
        (top(&[(b'a', 4, &ab), (b'e', 4, b"nowhere")]), 4, "it is missing from the store"),
        (branch(0, &[(b'a', 4, &ab)]), 2, "its level is out of range"),
        (vec![2, 1, 1, 0], 0, "it has an impossible number of children"),
        (leaf(b"ba"), 2, "its keys are not ascending"),
        ([&ab[..], b"x"].concat(), 2, "it goes on after its end"),
        (ab[..ab.len() - 1].to_vec(), 2, "it ends early"),
        (vec![1, 2, 0, 0], 0, "its first bytes are unknown"),
        (vec![], 0, "its first bytes are unknown"),
        (sound.clone(), 5, "the record says 5 rows, the tree has 4"),
    ] {
        let store = with_tree(&[ab.clone(), bc.clone(), cd.clone(), sound.clone(), root], rows);

        let found = block_on(verify(&store)).unwrap();

        assert!(found.damage.iter().all(|damage| damage.snapshots == [id(1)]), "{:?}", found.damage);
        assert!(found.damage.iter().any(|damage| damage.problem.contains(problem)), "{problem}: {:?}", found.damage);
    }
}

#[test]
fn a_lost_leaf_at_the_edge_of_a_branch_does_not_make_the_branch_above_look_wrong() {
    let (ab, bc, cd) = (leaf(b"ab"), leaf(b"bc"), leaf(b"cd"));
    let (left, right) = (branch(1, &[(b'a', 4, &ab), (b'b', 5, &bc)]), branch(1, &[(b'c', 5, &cd)]));
    let root = branch(2, &[(b'a', 8, &left), (b'c', 5, &right)]);
    let whole = [ab.clone(), bc.clone(), cd.clone(), left.clone(), right.clone(), root.clone()];
    assert!(block_on(verify(&with_tree(&whole, 6))).unwrap().is_clean());

    let found = block_on(verify(&with_tree(&[ab, cd, left, right, root], 6))).unwrap();

    assert_eq!(found.damage.len(), 1, "{:?}", found.damage);
    assert_eq!(found.damage[0].chunk, Some(ChunkId::of(&bc).to_string()));
}
