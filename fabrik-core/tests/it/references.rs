//! References name snapshots.

use chrono::{DateTime, Utc};
use fabrik_core::store::MemoryStore;
use fabrik_core::{Error, ErrorKind, SnapshotId, resolve};
use uuid::Uuid;

use crate::helpers::{block_on, capture_with, day, options};

const FIRST: u128 = 0x0198_abcd_0000_7000_8000_0000_0000_0001;
const SECOND: u128 = 0x0198_abce_0000_7000_8000_0000_0000_0002;
const THIRD: u128 = 0xffff_0000_0000_7000_8000_0000_0000_0003;

fn take(store: &MemoryStore, number: u128, query: &str, connection: Option<&str>, at: DateTime<Utc>) {
    let mut options = options(1);
    options.id = SnapshotId::new(Uuid::from_u128(number));
    (options.query, options.connection, options.captured_at) = (query.into(), connection.map(str::to_owned), at);
    capture_with(store, &options, ["{}"]);
}

/// Three days of the query `q`.
fn three_days() -> MemoryStore {
    let store = MemoryStore::default();
    take(&store, FIRST, "q", None, day(1));
    take(&store, SECOND, "q", None, day(2));
    take(&store, THIRD, "q", None, day(3));
    store
}

fn find(store: &MemoryStore, reference: &str) -> Result<u128, Error> {
    block_on(resolve(store, reference, day(4))).map(|snapshot| snapshot.id.as_uuid().as_u128())
}

fn found(store: &MemoryStore, reference: &str) -> u128 {
    find(store, reference).unwrap_or_else(|error| panic!("{reference}: {error}"))
}

#[test]
fn an_id_is_taken_whole_or_cut_in_either_case_with_and_without_dashes() {
    let store = three_days();

    for reference in [
        "0198abcd-0000-7000-8000-000000000001",
        "0198ABCD-0000-7000-8000-000000000001",
        "0198abcd000070008000000000000001",
        "0198abcd",
        "0198ABCD-0000-7",
        "0198abcd-",
    ] {
        assert_eq!(found(&store, reference), FIRST, "{reference}");
    }
    assert_eq!(found(&store, "ffff"), THIRD);
}

#[test]
fn an_id_that_is_cut_too_short_names_its_candidates() {
    let error = find(&three_days(), "0198abc").unwrap_err();

    assert_eq!(error.kind(), ErrorKind::Ambiguous);
    assert_eq!(
        error.to_string(),
        "\"0198abc\" is ambiguous: it may be \
         0198abce-0000-7000-8000-000000000002, 0198abcd-0000-7000-8000-000000000001"
    );
}

#[test]
fn a_query_and_a_moment_name_the_newest_up_to_then() {
    let store = three_days();

    for (reference, expected) in [
        ("q@latest", THIRD),
        ("q@latest~0", THIRD),
        ("q@latest~1", SECOND),
        ("q@latest~2", FIRST),
        ("q@2026-03-03T00:00:00Z", SECOND),
        ("q@2026-03-03T01:00:00+01:00", SECOND),
        ("q@2026-03-03T23:59:59.999999Z", SECOND),
        ("q@2026-03-04T00:00:00Z", THIRD),
        ("q@2030-01-01T00:00:00Z", THIRD),
        ("q@-0m", THIRD),
        ("q@-24h", THIRD),
        ("q@-1441m", SECOND),
        ("q@-2d", SECOND),
        ("q@-3d", FIRST),
    ] {
        assert_eq!(found(&store, reference), expected, "{reference}");
    }
}

#[test]
fn what_is_not_there_is_not_found() {
    let store = three_days();

    for (reference, message) in [
        ("q@latest~3", "snapshot \"q@latest~3\" not found; the query has fewer snapshots"),
        ("q@-1w", "snapshot \"q@-1w\" not found; the query has none that early"),
        ("q@2026-03-01T00:00:00Z", "snapshot \"q@2026-03-01T00:00:00Z\" not found; the query has none that early"),
        ("r@latest", "query \"r\" not found; there is \"q\""),
        ("q@east@latest", "query \"q@east\" not found; \"q\" was captured without a connection"),
        ("aaaa", "snapshot \"aaaa\" not found"),
        ("0198abcd-0000-7000-8000-000000000009", "snapshot \"0198abcd-0000-7000-8000-000000000009\" not found"),
    ] {
        let error = find(&store, reference).unwrap_err();

        assert_eq!((error.kind(), error.to_string().as_str()), (ErrorKind::NotFound, message));
    }
    let empty = find(&MemoryStore::default(), "q@latest").unwrap_err();
    assert_eq!(empty.to_string(), "query \"q\" not found; the store has no queries yet");
}

#[test]
fn what_is_no_reference_is_refused() {
    let store = three_days();

    for reference in [
        "",
        "@",
        "abc",
        "xyz",
        "q@",
        "q@yesterday",
        "q@latest~",
        "q@latest~-1",
        "q@latest~x",
        "q@-7",
        "q@-7y",
        "q@2026-03-03T00:00:00",
        "q@2026-03-03",
        "0198abcd-0000-7000-8000-0000000000011",
        "q@-99999999999w",
        "é@-1é",
    ] {
        let error = find(&store, reference).unwrap_err();

        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{reference}: {error}");
        assert!(error.to_string().contains(&format!("{reference:?}")), "{error}");
    }
}

#[test]
fn a_query_by_itself_gets_a_hint() {
    let store = three_days();
    take(&store, 9, "ops@lab", None, day(1));

    for (reference, better) in [("q", "q@latest"), ("ops@lab", "ops@lab@latest")] {
        let error = find(&store, reference).unwrap_err();

        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert!(error.to_string().ends_with(&format!("write \"{better}\" for its newest snapshot")), "{error}");
    }
}

#[test]
fn names_may_hold_spaces_and_at_signs() {
    let store = MemoryStore::default();
    take(&store, 1, "BD subnets", None, day(1));
    take(&store, 2, "ops@lab", None, day(1));
    take(&store, 3, "a@latest", None, day(1));
    take(&store, 4, "a", Some("b@c"), day(1));
    take(&store, 5, "a@b", Some("c"), day(1));

    assert_eq!(found(&store, "BD subnets@latest"), 1);
    assert_eq!(found(&store, "ops@lab@-1h"), 2);
    assert_eq!(found(&store, "a@latest@latest"), 3);
    assert_eq!(found(&store, "a@latest"), 4);
    assert_eq!(found(&store, "a@b@latest"), 5, "a query's own name comes before a query and a connection");
    assert_eq!(found(&store, "a@b@c@latest"), 5, "the longest query's name wins");
}

#[test]
fn of_several_connections_one_must_be_named() {
    let store = MemoryStore::default();
    take(&store, 1, "q", Some("east"), day(1));
    take(&store, 2, "q", Some("west"), day(2));

    let ambiguous = find(&store, "q@latest").unwrap_err();

    assert_eq!(ambiguous.to_string(), "\"q\" is ambiguous: it may be q@east, q@west");
    assert_eq!(found(&store, "q@east@latest"), 1);
    assert_eq!(found(&store, "q@west@-1d"), 2);
    let unknown = find(&store, "q@north@latest").unwrap_err();
    assert_eq!(unknown.to_string(), "query \"q@north\" not found; \"q\" was captured on \"east\", \"west\"");
}
