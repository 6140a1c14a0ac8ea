//! Annotations change what is said of a snapshot and nothing else.

use fabrik_core::store::MemoryStore;
use fabrik_core::{Annotate, ErrorKind, Snapshot, annotate};

use crate::helpers::{block_on, capture, id, list, stores};

fn text(text: &str) -> Option<Option<String>> {
    Some(Some(text.to_owned()))
}

#[test]
fn an_annotation_replaces_only_what_is_given() {
    for store in stores() {
        let plain = capture(&*store, 1, [r#"{"dn":"a"}"#]);
        let other = capture(&*store, 2, [r#"{"dn":"b"}"#]);
        let change = |change: Annotate| block_on(annotate(&*store, plain.id, &change)).unwrap();

        let noted = change(Annotate { annotation: text("before the move"), ..Annotate::default() });
        let labelled = change(Annotate { label: text("baseline"), pinned: Some(true), ..Annotate::default() });
        let cleared = change(Annotate { annotation: Some(None), label: text(""), ..Annotate::default() });

        let plain_with = |annotation: Option<&str>, label: Option<&str>, pinned| {
            let mut snapshot: Snapshot = plain.clone();
            (snapshot.annotation, snapshot.label) = (annotation.map(str::to_owned), label.map(str::to_owned));
            snapshot.pinned = pinned;
            snapshot
        };
        assert_eq!(noted, plain_with(Some("before the move"), None, false));
        assert_eq!(labelled, plain_with(Some("before the move"), Some("baseline"), true));
        assert_eq!(cleared, plain_with(None, None, true));
        assert_eq!(list(&*store), [other, cleared]);
    }
}

#[test]
fn an_unknown_snapshot_or_a_long_text_is_refused() {
    let store = MemoryStore::default();
    let plain = capture(&store, 1, ["{}"]);
    let long = Annotate { label: text(&"x".repeat(101)), pinned: Some(true), ..Annotate::default() };

    let unknown = block_on(annotate(&store, id(99), &Annotate::default())).unwrap_err();
    let refused = block_on(annotate(&store, plain.id, &long)).unwrap_err();

    assert_eq!((unknown.kind(), refused.kind()), (ErrorKind::NotFound, ErrorKind::InvalidInput));
    assert_eq!(list(&store), [plain]);
}
