//! The stored bytes: pinned, and read by a second reader that knows the documentation only.
//!
//! A test here that turns red without a change of the layout's version is a **break of the format**: stores
//! written before could no longer be read, or equal rows would no longer have equal hashes.

use fabrik_core::store::{MemoryStore, ReadChunks};
use fabrik_core::{ChunkId, KeySpec, Snapshot};
use proptest::prelude::*;

use crate::helpers::{block_on, capture, capture_with, keyed, read};
use crate::model::{self, quote, to_json};

/// Reads fields off the front of a node.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, len: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(len);
        self.0 = rest;
        taken
    }

    fn byte(&mut self) -> u8 {
        self.take(1)[0]
    }

    fn varint(&mut self) -> usize {
        let byte = usize::from(self.byte());
        if byte < 128 { byte } else { byte - 128 + 128 * self.varint() }
    }

    fn bytes(&mut self) -> &'a [u8] {
        let len = self.varint();
        self.take(len)
    }

    fn text(&mut self) -> String {
        String::from_utf8(self.bytes().to_vec()).unwrap()
    }

    /// Returns a value as JSON.
    fn value(&mut self) -> String {
        let header = self.varint();
        let text = std::str::from_utf8(self.take(header / 8)).unwrap();
        match header % 8 {
            0 => "null".into(),
            1 => "false".into(),
            2 => "true".into(),
            3 | 5 => text.into(),
            4 => quote(text),
            tag => panic!("unknown tag {tag}"),
        }
    }

    fn keys(&mut self, count: usize) -> Vec<Vec<u8>> {
        let mut keys: Vec<Vec<u8>> = Vec::new();
        for _ in 0..count {
            let shared = self.varint();
            let own = self.bytes();
            let before = keys.last().cloned().unwrap_or_default();
            keys.push([&before[..shared], own].concat());
        }
        keys
    }
}

/// Reads a leaf: the key of each row, and the row as JSON.
fn leaf(bytes: &[u8]) -> Vec<(Vec<u8>, String)> {
    let mut bytes = Bytes(bytes);
    assert_eq!(bytes.take(2), [1, 1], "kind and layout");
    let count = bytes.varint();
    let keys = bytes.keys(count);
    let n_shapes = bytes.varint();
    let shapes: Vec<(Vec<String>, Vec<u8>, Vec<String>)> = (0..n_shapes)
        .map(|_| {
            let n_names = bytes.varint();
            let names: Vec<String> = (0..n_names).map(|_| bytes.text()).collect();
            let kinds = bytes.take(n_names).to_vec();
            let usual = kinds.iter().filter(|kind| **kind == 1).map(|_| bytes.value()).collect();
            (names, kinds, usual)
        })
        .collect();
    let numbers: Vec<usize> = (0..count).map(|_| if n_shapes == 1 { 0 } else { bytes.varint() }).collect();
    let mut rows = Vec::new();
    for (key, number) in keys.into_iter().zip(numbers) {
        let (names, kinds, usual) = &shapes[number];
        let bits = bytes.take(usual.len().div_ceil(8));
        let mut row = model::Row::new();
        let mut bit = 0;
        for (name, kind) in names.iter().zip(kinds) {
            let value = match kind {
                0 => bytes.value(),
                1 => {
                    let is_own = bits[bit / 8] & 1 << (bit % 8) != 0;
                    bit += 1;
                    if is_own { bytes.value() } else { usual[bit - 1].clone() }
                }
                2 => quote(std::str::from_utf8(&key[1..]).unwrap()),
                kind => panic!("unknown kind of column {kind}"),
            };
            row.insert(name.clone(), value);
        }
        rows.push((key, model::json(&row)));
    }
    assert!(bytes.0.is_empty(), "nothing follows the last row");
    rows
}

struct Entry {
    first_key: Vec<u8>,
    rows: usize,
    continued: bool,
    id: ChunkId,
}

/// Reads a branch: its level and its children.
fn branch(bytes: &[u8]) -> (u8, Vec<Entry>) {
    let mut bytes = Bytes(bytes);
    assert_eq!(bytes.take(2), [2, 1], "kind and layout");
    let level = bytes.byte();
    let count = bytes.varint();
    let keys = bytes.keys(count);
    let rows: Vec<usize> = (0..count).map(|_| bytes.varint()).collect();
    let entry = |(first_key, rows): (Vec<u8>, usize)| {
        let id = ChunkId::from_bytes(bytes.take(32).try_into().unwrap());
        Entry { first_key, rows: rows / 2, continued: rows % 2 == 1, id }
    };
    let entries = keys.into_iter().zip(rows).map(entry).collect();
    assert!(bytes.0.is_empty(), "nothing follows the last id");
    (level, entries)
}

fn chunk(store: &MemoryStore, id: ChunkId) -> Vec<u8> {
    block_on(store.read_chunks(&[id])).unwrap()[0].to_vec()
}

/// Reads the tree below a node, checking what branches say of it.
fn walk(store: &MemoryStore, id: ChunkId, level: Option<u8>) -> Vec<(Vec<u8>, String)> {
    let bytes = chunk(store, id);
    assert_eq!(ChunkId::of(&bytes), id);
    if bytes[0] == 1 {
        assert!(level.is_none_or(|level| level == 0));
        return leaf(&bytes);
    }
    let (own_level, entries) = branch(&bytes);
    assert!(level.is_none_or(|level| level == own_level));
    let mut rows: Vec<(Vec<u8>, String)> = Vec::new();
    for (i, entry) in entries.iter().enumerate() {
        let below = walk(store, entry.id, Some(own_level - 1));
        assert_eq!((&below[0].0, below.len()), (&entry.first_key, entry.rows));
        if i > 0 {
            assert_eq!(entry.continued, rows.last().unwrap().0 == entry.first_key);
        }
        rows.extend(below);
    }
    rows
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_second_reader_agrees(rows in model::rows(200), key in model::key_spec()) {
        let store = MemoryStore::default();
        let snapshot = capture_with(&store, &keyed(1, &key), to_json(&rows)).snapshot;

        let second = walk(&store, snapshot.root, None);

        prop_assert!(second.is_sorted_by(|before, after| before.0 <= after.0), "keys ascend");
        prop_assert_eq!(second.into_iter().map(|(_, row)| row).collect::<Vec<_>>(), read(&store, &snapshot));
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn root_hex(store: &MemoryStore, snapshot: &Snapshot) -> String {
    hex(&chunk(store, snapshot.root))
}

#[test]
fn an_empty_snapshot_has_these_bytes() {
    let store = MemoryStore::default();

    let empty = capture(&store, 1, [""; 0]);

    assert_eq!(root_hex(&store, &empty), "01010000");
    assert_eq!(empty.root.to_string(), "7bb22cd9f7ce9f3ea01a5cc21ef19a0f74a624ef91d31d1912f9a7744788c55c");
    assert_eq!(
        empty.version_hash.to_string(),
        "sha256:a0454a24dd4bc418448ca19320519ea3fe544fa1a910868b62ca210614f119f8"
    );
}

#[test]
fn a_leaf_has_these_bytes() {
    let store = MemoryStore::default();
    let rows = [
        r#"{"dn":"uni/tn-a","mtu":9000,"descr":""}"#,
        r#"{"dn":"uni/tn-b","mtu":9000,"descr":"ä"}"#,
        r#"{"dn":"uni/tn-b","mtu":1.50,"descr":""}"#,
        r#"{"dn":"uni/tn-c","mtu":9000,"descr":""}"#,
        r#"{"n":null,"t":true,"f":false,"o":{"b":[1,2],"a":"x"}}"#,
    ];

    let leaf = capture(&store, 1, rows);

    assert_eq!(
        root_hex(&store, &leaf),
        concat!(
            "010105",                                           // a leaf of five rows
            "000901756e692f746e2d61",                           // the key uni/tn-a
            "080162",                                           // and b
            "0900",                                             // and b again
            "080163",                                           // and c
            "001103a445ca7ce3fd9faf13fca5ee2fad4b40",           // the hash of the row without a DN
            "02",                                               // two shapes
            "0305646573637202646e036d7475",                     // descr, dn, mtu
            "010201",                                           // usual, in the key, usual
            "042339303030",                                     // "" and 9000
            "040166016e016f0174",                               // f, n, o, t
            "01010101",                                         // all usual
            "01009d017b2261223a2278222c2262223a5b312c325d7d02", // false, null, the object, true
            "0000000001",                                       // the shape of each row
            "00",                                               // all usual
            "0223312e3530",                                     // its own mtu
            "0114c3a4",                                         // its own descr
            "00",                                               // all usual
            "00",                                               // all usual
        )
    );
    assert_eq!(leaf.root.to_string(), "a04b22681ab77f79ca27603949487bbd683a8bfd53c52752edba948251e08cb5");
    assert_eq!(
        leaf.version_hash.to_string(),
        "sha256:f5cba0d7e0383161e37a0af200656c6430ea447cfa487aa71d92dd299ba85559"
    );
}

#[test]
fn keys_of_fields_and_hashes_have_these_bytes() {
    let store = MemoryStore::default();
    let key = KeySpec::fields(["a", "b.c"]).unwrap();
    let rows = [r#"{"a":"x\u0000y","b":{"c":[1]}}"#, r#"{"a":true,"b":{"c":1.0}}"#, "{}"];

    let by_fields = capture_with(&store, &keyed(1, &key), rows).snapshot;
    let by_hash = capture_with(&store, &keyed(2, &KeySpec::Hash), rows).snapshot;

    let keys = |snapshot: &Snapshot| -> Vec<String> {
        leaf(&chunk(&store, snapshot.root)).iter().map(|(key, _)| hex(key)).collect()
    };
    assert_eq!(keys(&by_fields), ["02000000000000", "020174727565000002312e300000", "02037800ff790000045b315d0000"]);
    assert_eq!(
        keys(&by_hash),
        [
            "03199933b8efeb577052478d211d6b05b2",
            "032d3adedff11b61f14c886e35afa03673",
            "0351ab51d287e4ccc13addd6cd266ae4f2"
        ]
    );
}

#[test]
fn a_branch_has_these_bytes() {
    let store = MemoryStore::default();

    let tree = capture(&store, 1, (0..60).map(|i| format!(r#"{{"dn":"uni/tn-{i:02}"}}"#)));

    assert_eq!(
        root_hex(&store, &tree),
        concat!(
            "020101",                                                           // a branch of level 1
            "04",                                                               // four children
            "000a01756e692f746e2d3030",                                         // the key uni/tn-00
            "08023131",                                                         // and 11
            "08023335",                                                         // and 35
            "08023438",                                                         // and 48
            "16301a18", // 11, 24, 13 and 12 rows, no key on two sides
            "4d09b6504c0187a4f9403e9ab8ce424e9bb05adeeee29a35ecc9637ab5f70063", // the id of the first
            "f58894440db015acc35bf60c06c82c31c4a6ece8295435cf78425c770a643196", // the id of the second
            "0f6b877746452812dfbc28502dde5e6369c7c7c4e616b539f3d2a698fd91a25f", // the id of the third
            "313655a09676360903f2934f17e163351b112b07db2c3a09382821d9fa0f107c", // the id of the fourth
        )
    );
    assert_eq!(tree.root.to_string(), "506a98b71a81f8551582a83f5d8fb9b3ef0b37e3f9717ca2b8273a069bb5b561");
    assert_eq!(
        tree.version_hash.to_string(),
        "sha256:0e37da2d81333a22437e3d98852d5d319d2e54e0db92567a8a8c6933f5e5a935"
    );
}

#[test]
fn a_tree_of_three_levels_has_this_root() {
    let store = MemoryStore::default();
    let row = |i: u32| format!(r#"{{"className":"fvBD","dn":"uni/tn-{}/BD-{i}","mtu":"{}"}}"#, i % 97, i % 3);

    let tree = capture(&store, 1, (0..12_000).map(row));

    assert_eq!(branch(&chunk(&store, tree.root)).0, 2);
    assert_eq!(tree.root.to_string(), "344a34d6896076d3d4e6c452022f7ef49b1787d4437cb8a39b754cf890bd01f8");
    assert_eq!(
        tree.version_hash.to_string(),
        "sha256:b5b3aede3f201fc09343e27d28dcfeea214238f9ade69e785b6270f102961116"
    );
}
