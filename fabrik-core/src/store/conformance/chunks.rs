//! The laws of chunks: what was put comes back, once stored and whatever it is stored against.

use super::{assert_not_found, assert_reads, chunk, chunk_after, put, stored, version};
use crate::chunk::NewChunk;
use crate::error::Error;
use crate::id::ChunkPrefix;
use crate::store::Store;

/// What was put comes back unchanged, whatever its length and however well it packs.
pub async fn what_was_put_comes_back(store: &dyn Store) {
    let chunks =
        [chunk(&b""[..]), chunk(&b"x"[..]), chunk(vec![7; 100_000]), chunk(noise(70_000, 1)), chunk(version(0))];

    put(store, &chunks).await;

    assert_reads(store, &chunks).await;
}

/// Putting a chunk again changes nothing and adds no bytes.
pub async fn putting_again_changes_nothing_and_adds_no_bytes(store: &dyn Store) {
    let chunks = [chunk(version(0)), chunk(version(1))];
    assert!(put(store, &chunks).await > 0);
    let before = stored(store).await;

    let added = put(store, &chunks).await;

    assert_eq!(added, 0);
    assert_eq!(stored(store).await, before);
    assert_reads(store, &chunks).await;
}

/// A chunk that is in a batch twice is stored once.
pub async fn a_chunk_that_is_twice_in_one_batch_is_stored_once(store: &dyn Store) {
    let one = chunk(version(0));

    let added = put(store, &[one.clone(), chunk(version(1)), one.clone()]).await;

    let listed = store.stored_chunks().await.unwrap();
    assert_eq!(listed.len(), 2);
    assert_eq!(listed.iter().map(|chunk| chunk.stored_bytes).sum::<u64>(), added);
    assert_reads(store, &[one]).await;
}

/// Reading an id that was never put is an error that names it, also among ids that are there.
pub async fn a_chunk_that_was_never_put_is_not_found(store: &dyn Store) {
    let (there, absent) = (chunk(version(0)), chunk(version(1)));
    put(store, std::slice::from_ref(&there)).await;

    let among = store.read_chunks(&[there.id, absent.id, there.id]).await.unwrap_err();

    assert!(matches!(among, Error::ChunkNotFound { id, .. } if id == absent.id), "{among}");
    assert_not_found(store, &absent).await;
}

/// `missing` answers for each id, in order, repeats included.
pub async fn missing_tells_what_the_store_lacks(store: &dyn Store) {
    let (there, absent) = (chunk(version(0)), chunk(version(1)));
    put(store, std::slice::from_ref(&there)).await;

    let transaction = store.begin().await.unwrap();
    let missing = transaction.missing(&[absent.id, there.id, absent.id]).await.unwrap();

    assert_eq!(missing, [true, false, true]);
    assert!(transaction.missing(&[]).await.unwrap().is_empty());
}

/// Chunks come back in the order that they were asked for, as often as they were.
pub async fn chunks_come_in_the_order_asked_for_and_may_repeat(store: &dyn Store) {
    let chunks: Vec<NewChunk> = (0..40).map(|i| chunk(version(i))).collect();
    put(store, &chunks).await;
    let asked: Vec<NewChunk> = [3, 3, 0, 39, 7, 0, 3].map(|i: usize| chunks[i].clone()).into();

    assert_reads(store, &asked).await;
    assert!(store.read_chunks(&[]).await.unwrap().is_empty());
}

/// Many chunks at a time come back as well as few, those with a base among them.
pub async fn a_thousand_chunks_are_put_and_read_together(store: &dyn Store) {
    let first: Vec<NewChunk> = (0..500).map(|i| chunk([version(i), noise(i, 9)].concat())).collect();
    let second: Vec<NewChunk> =
        (0..500).map(|i| chunk_after(&first[i], [version(i + 1), noise(i, 9)].concat())).collect();

    put(store, &first).await;
    put(store, &second).await;

    let all: Vec<NewChunk> = first.iter().zip(&second).flat_map(|(one, other)| [other.clone(), one.clone()]).collect();
    assert_reads(store, &all).await;
}

/// A chunk put next to a base comes back whole.
pub async fn a_chunk_put_next_to_a_base_comes_back(store: &dyn Store) {
    let base = chunk(version(0));
    let similar = chunk_after(&base, version(1));
    let different = chunk_after(&base, noise(5_000, 2));
    let empty = chunk_after(&base, &b""[..]);
    put(store, std::slice::from_ref(&base)).await;

    put(store, &[similar.clone(), different.clone(), empty.clone()]).await;

    assert_reads(store, &[similar, different, empty, base]).await;
}

/// Thirty versions, each put next to the one before it, all come back: alone and together.
pub async fn a_chain_of_versions_comes_back(store: &dyn Store) {
    let versions = put_versions(store, 30).await;

    for one in &versions {
        assert_reads(store, std::slice::from_ref(one)).await;
    }
    assert_reads(store, &versions).await;
}

/// The listing says how many chunks must be read before each: one more than for its base.
pub async fn chain_lengths_agree_with_bases(store: &dyn Store) {
    put_versions(store, 30).await;

    let listed = stored(store).await;

    assert_eq!(listed.len(), 30);
    for chunk in listed.values() {
        let expected = chunk.base.map_or(0, |base| listed[&base].chain + 1);
        assert_eq!(chunk.chain, expected, "{chunk:?}");
    }
}

/// A base that is not there is only a hint that does not help.
pub async fn a_base_that_the_store_lacks_is_ignored(store: &dyn Store) {
    let absent = chunk(version(0));
    let next = chunk_after(&absent, version(1));

    put(store, std::slice::from_ref(&next)).await;

    assert_reads(store, std::slice::from_ref(&next)).await;
    assert_eq!(stored(store).await[&ChunkPrefix::from(&next.id)].base, None);
    assert_not_found(store, &absent).await;
}

/// The bytes that putting reports are those that the listing shows.
pub async fn bytes_added_are_those_listed(store: &dyn Store) {
    let base = chunk(version(0));
    let first = put(store, &[base.clone(), chunk(noise(3_000, 3))]).await;

    let second = put(store, &[chunk_after(&base, version(1)), base.clone()]).await;

    assert_eq!(stored(store).await.values().map(|chunk| chunk.stored_bytes).sum::<u64>(), first + second);
}

/// Deleting chunks frees what the listing said they take; the others can still be read.
pub async fn deleting_chunks_frees_what_the_listing_said(store: &dyn Store) {
    let versions = put_versions(store, 12).await;
    let plain = [chunk(noise(2_000, 4)), chunk(version(77))];
    put(store, &plain).await;
    let listed = stored(store).await;
    // The newest versions, on which no other is based, and one that stands alone.
    let doomed: Vec<&NewChunk> = versions[6..].iter().chain(&plain[..1]).collect();
    let prefixes: Vec<ChunkPrefix> = doomed.iter().map(|chunk| ChunkPrefix::from(&chunk.id)).collect();
    let expected: u64 = prefixes.iter().map(|prefix| listed[prefix].stored_bytes).sum();

    let mut transaction = store.begin().await.unwrap();
    let freed = transaction.delete_chunks(&prefixes).await.unwrap();
    let again = transaction.delete_chunks(&prefixes).await.unwrap();
    transaction.commit().await.unwrap();

    assert_eq!((freed, again), (expected, 0));
    for gone in doomed {
        assert_not_found(store, gone).await;
    }
    assert_reads(store, &versions[..6]).await;
    assert_reads(store, &plain[1..]).await;
    assert_eq!(stored(store).await.len(), 7);
    assert!(store.check().await.unwrap().is_empty());
}

/// A chunk that was deleted is missing, and can be put again.
pub async fn a_deleted_chunk_can_be_put_again(store: &dyn Store) {
    let versions = put_versions(store, 3).await;
    let last = &versions[2];

    let mut transaction = store.begin().await.unwrap();
    transaction.delete_chunks(&[ChunkPrefix::from(&last.id)]).await.unwrap();
    assert_eq!(transaction.missing(&[last.id]).await.unwrap(), [true]);
    assert!(transaction.put_chunks(vec![last.clone()]).await.unwrap() > 0);
    transaction.commit().await.unwrap();

    assert_reads(store, &versions).await;
}

/// Bytes that no compression shortens.
fn noise(len: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    (0..len).map(|_| next()).collect()
}

async fn put_versions(store: &dyn Store, count: usize) -> Vec<NewChunk> {
    let mut versions: Vec<NewChunk> = Vec::new();
    for number in 0..count {
        let next = match versions.last() {
            Some(last) => chunk_after(last, version(number)),
            None => chunk(version(number)),
        };
        put(store, std::slice::from_ref(&next)).await;
        versions.push(next);
    }
    versions
}
