//! The laws of documents: kept as they are, by kind and name, in the same transactions as all else.

use super::{at, chunk, put, put_records, record};
use crate::id::ChunkPrefix;
use crate::store::{Document, Store};

/// Documents come back byte by byte, whatever is in them.
pub async fn documents_come_back_as_they_were(store: &dyn Store) {
    let long = format!("[{}0]", "1.50, ".repeat(50_000));
    let bodies = ["{}", "", "null", "{ \"a\" : 1.0,\n\t\"b\":\"ä\\u0000✓\" }", "not JSON", "\0", &long];
    let made: Vec<Document> =
        bodies.iter().zip(1..).map(|(body, number)| document("k", &number.to_string(), body)).collect();

    put_documents(store, &made).await;

    assert_eq!(store.documents("k").await.unwrap(), made);
}

/// The documents of a kind are listed by name, by its bytes, and no others with them.
pub async fn documents_are_listed_by_name(store: &dyn Store) {
    let names = ["b", "é", "a b", "B", "", "a", "ab", "10", "9"];
    let made: Vec<Document> = names.iter().map(|name| document("query", name, name)).collect();

    put_documents(store, &made).await;
    put_documents(store, &[document("connection", "aa", "{}"), document("queries", "aa", "{}")]).await;

    assert_eq!(names_of(store, "query").await, ["", "10", "9", "B", "a", "a b", "ab", "b", "é"]);
    assert_eq!(names_of(store, "connection").await, ["aa"]);
}

/// A kind that nobody stored has no documents, which is no error.
pub async fn a_kind_without_documents_has_an_empty_list(store: &dyn Store) {
    assert!(store.documents("query").await.unwrap().is_empty());

    put_documents(store, &[document("connection", "east", "{}")]).await;

    assert!(store.documents("query").await.unwrap().is_empty());
}

/// Kinds and names that differ in case, spaces or composition are different, and so are `ab`, `c` and `a`, `bc`.
pub async fn documents_are_told_apart_by_every_byte(store: &dyn Store) {
    let texts = ["q", "Q", "q ", " q", "é", "e\u{301}", "q%", "q_", "q\0", "q\0r", "1", "01"];
    let mut made = vec![document("ab", "c", "1"), document("a", "bc", "2")];
    for kind in texts {
        made.extend(texts.map(|name| document(kind, name, &format!("{kind}/{name}"))));
    }

    put_documents(store, &made).await;

    for one in &made {
        assert!(store.documents(&one.kind).await.unwrap().contains(one), "{one:?}");
    }
    assert_eq!(store.documents("q").await.unwrap().len(), texts.len());
    assert_eq!(store.documents("ab").await.unwrap(), [document("ab", "c", "1")]);
}

/// Storing a document whose name is there replaces its body and nothing else.
pub async fn a_document_is_overwritten_by_one_with_its_name(store: &dyn Store) {
    put_documents(store, &[document("k", "a", "1"), document("k", "b", "2"), document("other", "a", "3")]).await;

    put_documents(store, &[document("k", "a", "4"), document("k", "a", "5")]).await;

    assert_eq!(store.documents("k").await.unwrap(), [document("k", "a", "5"), document("k", "b", "2")]);
    assert_eq!(store.documents("other").await.unwrap(), [document("other", "a", "3")]);
}

/// Deleting says whether there was such a document, and leaves all others.
pub async fn deleting_a_document_tells_whether_it_was_there(store: &dyn Store) {
    put_documents(store, &[document("k", "a", "1"), document("k", "b", "2"), document("other", "a", "3")]).await;

    let mut transaction = store.begin().await.unwrap();
    let was_there = transaction.delete_document("k", "a").await.unwrap();
    let again = transaction.delete_document("k", "a").await.unwrap();
    let unknown = transaction.delete_document("kind", "a").await.unwrap();
    transaction.commit().await.unwrap();

    assert_eq!((was_there, again, unknown), (true, false, false));
    assert_eq!((names_of(store, "k").await, names_of(store, "other").await), (vec!["b".into()], vec!["a".into()]));
}

/// A transaction reads its own documents; readers see them from the commit on, and never when there is none.
pub async fn documents_change_with_their_transaction_or_not_at_all(store: &dyn Store) {
    let old = [document("k", "a", "1"), document("k", "b", "2")];
    let new = [document("k", "a", "3"), document("k", "c", "4")];
    put_documents(store, &old).await;

    for commits in [false, true] {
        let mut transaction = store.begin().await.unwrap();
        for document in &new {
            transaction.put_document(document).await.unwrap();
        }
        transaction.delete_document("k", "b").await.unwrap();

        assert_eq!(transaction.documents("k").await.unwrap(), new);
        assert_eq!(store.documents("k").await.unwrap(), old);
        if commits {
            transaction.commit().await.unwrap();
        } else {
            drop(transaction);
            assert_eq!(store.documents("k").await.unwrap(), old);
        }
    }

    assert_eq!(store.documents("k").await.unwrap(), new);
}

/// Deleting records and chunks leaves documents alone.
pub async fn documents_outlive_snapshots_and_chunks(store: &dyn Store) {
    let kept = [document("k", "a", "1")];
    put_documents(store, &kept).await;
    let root = chunk(&b"root"[..]);
    put(store, std::slice::from_ref(&root)).await;
    let made = put_records(store, "a", Some("a"), |series| vec![record(series, 1, at(0))]).await;

    let mut transaction = store.begin().await.unwrap();
    transaction.delete_snapshots(&[made[0].id]).await.unwrap();
    transaction.delete_chunks(&[ChunkPrefix::from(&root.id)]).await.unwrap();
    transaction.commit().await.unwrap();

    assert_eq!(store.documents("k").await.unwrap(), kept);
    assert!(store.stored_chunks().await.unwrap().is_empty());
}

fn document(kind: &str, name: &str, body: &str) -> Document {
    Document { kind: kind.into(), name: name.into(), body: body.into() }
}

async fn put_documents(store: &dyn Store, documents: &[Document]) {
    let mut transaction = store.begin().await.unwrap();
    for document in documents {
        transaction.put_document(document).await.unwrap();
    }
    transaction.commit().await.unwrap();
}

async fn names_of(store: &dyn Store, kind: &str) -> Vec<String> {
    store.documents(kind).await.unwrap().into_iter().map(|document| document.name).collect()
}
