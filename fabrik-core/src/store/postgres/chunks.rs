//! The content of chunks, and the dictionaries it is packed with.
//!
//! Everything is asked for in batches: one statement brings all chunks wanted and all that they are stored against,
//! since every question costs a way to the server and back.

use std::sync::{Arc, PoisonError};

use bytes::Bytes;
use hashbrown::{HashMap, HashSet};
use sqlx::{PgConnection, Row, query, query_scalar};

use super::PostgresStore;
use crate::chunk::NewChunk;
use crate::error::{Error, Result};
use crate::id::{ChunkId, ChunkPrefix};
use crate::store::StoredChunk;
use crate::store::frame::{Dictionaries, Dictionary, needs_base};
use crate::store::packed::{Fetched, MAX_CHAIN, Stored, pack};

/// How many chunks one statement inserts at most.
const ROWS_AT_ONCE: usize = 512;
/// How many bytes of frames it inserts, unless one chunk alone has more.
const BYTES_AT_ONCE: usize = 4 << 20;

/// Finds chunks of chains up to a length, then their bases level by level, and at last fetches each once. The server
/// does not know how many ids it is given: `LATERAL … LIMIT 1` keeps it from reading the whole table instead.
const FETCH: &str = "
WITH RECURSIVE needed (id, base, chain) AS (
  SELECT found.* FROM unnest($1) AS wanted (id)
  CROSS JOIN LATERAL (SELECT id, base, chain FROM chunk WHERE id = wanted.id AND chain < $2 LIMIT 1) AS found
 UNION
  SELECT found.* FROM needed
  CROSS JOIN LATERAL (SELECT id, base, chain FROM chunk WHERE id = needed.base LIMIT 1) AS found
)
SELECT needed.id, needed.base, needed.chain, found.frame FROM needed
CROSS JOIN LATERAL (SELECT frame FROM chunk WHERE id = needed.id LIMIT 1) AS found";

type Id = [u8; 16];

fn prefixes<'i>(ids: impl IntoIterator<Item = &'i ChunkId>) -> Vec<Id> {
    ids.into_iter().map(|id| *ChunkPrefix::from(id).as_bytes()).collect()
}

/// Chunks with what they are stored against, and how long the chain of each is.
type WithChains = (Fetched<ChunkPrefix>, HashMap<ChunkPrefix, u32>);

/// Fetches those of the chunks that are there and have chains shorter than `below`.
async fn fetch(connection: &mut PgConnection, ids: Vec<Id>, below: u32) -> sqlx::Result<WithChains> {
    let below = i32::try_from(below).unwrap_or(i32::MAX);
    let rows = query(FETCH).bind(ids).bind(below).fetch_all(connection).await?;
    let mut fetched = Fetched::with_capacity(rows.len());
    let mut chains = HashMap::with_capacity(rows.len());
    for row in rows {
        let key = ChunkPrefix::from_bytes(row.try_get(0)?);
        let base = row.try_get::<Option<Id>, _>(1)?.map(ChunkPrefix::from_bytes);
        chains.insert(key, u32::try_from(row.try_get::<i32, _>(2)?).unwrap_or(u32::MAX));
        fetched.add(Stored { key, base, frame: row.try_get(3)? });
    }
    Ok((fetched, chains))
}

/// Reads chunks, the bases they need included, each once.
pub(super) async fn read(store: &PostgresStore, connection: &mut PgConnection, ids: &[ChunkId]) -> Result<Vec<Bytes>> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let wanted: HashSet<&ChunkId> = ids.iter().collect();
    let (fetched, _) = fetch(connection, prefixes(wanted), u32::MAX).await.map_err(store.failed("reading chunks"))?;
    let place = |id: &ChunkId| {
        fetched.place(&ChunkPrefix::from(id)).ok_or(Error::ChunkNotFound { id: *id, snapshots: Vec::new() })
    };
    let places = ids.iter().map(place).collect::<Result<Vec<usize>>>()?;
    let dictionaries = dictionaries(store, connection, fetched.dictionaries()).await?;
    fetched.read(ids, &places, &dictionaries)
}

/// Tells for each id whether the chunk is not there.
pub(super) async fn missing(
    store: &PostgresStore,
    connection: &mut PgConnection,
    ids: &[ChunkId],
) -> Result<Vec<bool>> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let there = "SELECT found.id FROM unnest($1) AS wanted (id)
                 CROSS JOIN LATERAL (SELECT id FROM chunk WHERE id = wanted.id LIMIT 1) AS found";
    let there: Vec<Id> = query_scalar(there)
        .bind(prefixes(ids))
        .fetch_all(connection)
        .await
        .map_err(store.failed("looking for chunks"))?;
    let there: HashSet<Id> = there.into_iter().collect();
    Ok(ids.iter().map(|id| !there.contains(ChunkPrefix::from(id).as_bytes())).collect())
}

/// Packs chunks and stores those that are not there; returns the bytes that this took.
pub(super) async fn put(store: &PostgresStore, connection: &mut PgConnection, chunks: &[NewChunk]) -> Result<u64> {
    let failed = || store.failed("storing chunks");
    let mut in_batch: HashSet<&ChunkId> = HashSet::with_capacity(chunks.len());
    let chunks: Vec<NewChunk> = chunks.iter().filter(|chunk| in_batch.insert(&chunk.id)).cloned().collect();

    let hinted: HashSet<&ChunkId> = chunks.iter().filter_map(|chunk| chunk.base.as_ref()).collect();
    let (fetched, chains) = if hinted.is_empty() {
        (Fetched::with_capacity(0), HashMap::new())
    } else {
        fetch(connection, prefixes(hinted.iter().copied()), MAX_CHAIN).await.map_err(failed())?
    };
    // A longer chain may be among them as something else's base.
    let usable = |id: &&ChunkId| chains.get(&ChunkPrefix::from(*id)).is_some_and(|&chain| chain < MAX_CHAIN);
    let bases: Vec<ChunkId> = hinted.into_iter().filter(usable).copied().collect();
    let places: Vec<usize> = bases.iter().filter_map(|id| fetched.place(&ChunkPrefix::from(id))).collect();
    let known = dictionaries(store, connection, fetched.dictionaries()).await?;
    let bytes: HashMap<ChunkId, Bytes> = bases.iter().copied().zip(fetched.read(&bases, &places, &known)?).collect();
    let bases: Vec<Option<&Bytes>> = chunks.iter().map(|chunk| bytes.get(chunk.base.as_ref()?)).collect();
    let dictionary = newest_dictionary(store, connection).await?;
    let frames = pack(&chunks, &bases, dictionary.as_deref());

    let mut added = 0;
    let mut first = 0;
    while first < chunks.len() {
        let mut batch_bytes = 0;
        let in_batch = frames[first..].iter().take(ROWS_AT_ONCE).take_while(|frame| {
            let fits = batch_bytes == 0 || batch_bytes + frame.len() <= BYTES_AT_ONCE;
            batch_bytes += frame.len();
            fits
        });
        let end = first + in_batch.count();
        let mut columns: (Vec<Id>, Vec<Option<Id>>, Vec<i32>) = Default::default();
        for (chunk, frame) in chunks[first..end].iter().zip(&frames[first..end]) {
            let base = chunk.base.as_ref().filter(|_| needs_base(frame)).map(ChunkPrefix::from);
            let chain = base.map_or(0, |base| chains[&base] + 1);
            columns.0.push(*ChunkPrefix::from(&chunk.id).as_bytes());
            columns.1.push(base.map(|base| *base.as_bytes()));
            columns.2.push(i32::try_from(chain).expect("a chain is at most sixteen long"));
        }
        let insert = "WITH stored AS (
                        INSERT INTO chunk (id, base, chain, frame)
                        SELECT * FROM unnest($1::bytea[], $2::bytea[], $3::int[], $4::bytea[])
                        ON CONFLICT DO NOTHING RETURNING octet_length(frame) AS bytes)
                      SELECT coalesce(sum(bytes), 0)::bigint FROM stored";
        let bytes: i64 = query_scalar(insert)
            .bind(columns.0)
            .bind(columns.1)
            .bind(columns.2)
            .bind(&frames[first..end])
            .fetch_one(&mut *connection)
            .await
            .map_err(failed())?;
        added += bytes.unsigned_abs();
        first = end;
    }
    Ok(added)
}

/// Deletes chunks; returns the bytes that this freed, which PostgreSQL hands out again once it has cleaned up.
pub(super) async fn delete(
    store: &PostgresStore,
    connection: &mut PgConnection,
    chunks: &[ChunkPrefix],
) -> Result<u64> {
    let ids: Vec<Id> = chunks.iter().map(|chunk| *chunk.as_bytes()).collect();
    let delete = "WITH deleted AS (
                    DELETE FROM chunk WHERE id = ANY($1) RETURNING octet_length(frame) AS bytes)
                  SELECT coalesce(sum(bytes), 0)::bigint FROM deleted";
    let freed: i64 =
        query_scalar(delete).bind(ids).fetch_one(connection).await.map_err(store.failed("deleting chunks"))?;
    Ok(freed.unsigned_abs())
}

/// Lists all chunks. The length of a frame is known without reading it.
pub(super) async fn list(store: &PostgresStore, connection: &mut PgConnection) -> Result<Vec<StoredChunk>> {
    let failed = || store.failed("listing chunks");
    let rows = query("SELECT id, base, octet_length(frame), chain FROM chunk").fetch_all(connection).await;
    let stored = |row: sqlx::postgres::PgRow| -> sqlx::Result<StoredChunk> {
        let number = |at: usize| row.try_get::<i32, _>(at).map(i32::unsigned_abs);
        Ok(StoredChunk {
            id: ChunkPrefix::from_bytes(row.try_get(0)?),
            base: row.try_get::<Option<Id>, _>(1)?.map(ChunkPrefix::from_bytes),
            stored_bytes: number(2)?.into(),
            chain: number(3)?,
        })
    };
    rows.map_err(failed())?.into_iter().map(stored).collect::<sqlx::Result<_>>().map_err(failed())
}

/// Returns the dictionaries, after fetching those of `wanted` that are not at hand.
///
/// Numbers are never used again, not even after a transaction was rolled back, so what is at hand stays right.
async fn dictionaries(
    store: &PostgresStore,
    connection: &mut PgConnection,
    wanted: impl Iterator<Item = u64>,
) -> Result<Arc<Dictionaries>> {
    let failed = || store.failed("reading dictionaries");
    let known = Arc::clone(&store.dictionaries.lock().unwrap_or_else(PoisonError::into_inner));
    let absent: HashSet<i64> =
        wanted.filter(|number| !known.contains_key(number)).filter_map(|number| i64::try_from(number).ok()).collect();
    if absent.is_empty() {
        return Ok(known);
    }
    let rows = query("SELECT number, content FROM dictionary WHERE number = ANY($1)")
        .bind(Vec::from_iter(absent))
        .fetch_all(connection)
        .await
        .map_err(failed())?;
    let mut found = Vec::new();
    for row in rows {
        let number = row.try_get::<i64, _>(0).map_err(failed())?.unsigned_abs();
        let packed: &[u8] = row.try_get(1).map_err(failed())?;
        // One that cannot be read is missed by the chunks that need it, and they report it.
        if let Ok(content) = zstd::decode_all(packed) {
            found.push((number, Arc::new(Dictionary::new(number, content))));
        }
    }
    let mut all = store.dictionaries.lock().unwrap_or_else(PoisonError::into_inner);
    Arc::make_mut(&mut all).extend(found);
    Ok(Arc::clone(&all))
}

/// Returns the dictionary to pack with, if there is one.
async fn newest_dictionary(store: &PostgresStore, connection: &mut PgConnection) -> Result<Option<Arc<Dictionary>>> {
    let newest: Option<i64> = query_scalar("SELECT max(number) FROM dictionary")
        .fetch_one(&mut *connection)
        .await
        .map_err(store.failed("looking for a dictionary"))?;
    let newest = newest.map(i64::unsigned_abs);
    let known = dictionaries(store, connection, newest.into_iter()).await?;
    Ok(newest.and_then(|newest| known.get(&newest).cloned()))
}

/// Makes a dictionary from samples, where that pays.
pub(super) async fn make_dictionary(
    store: &PostgresStore,
    connection: &mut PgConnection,
    samples: &[Vec<u8>],
) -> Result<()> {
    let current = newest_dictionary(store, connection).await?;
    let Some(content) = Dictionary::make(samples, current.as_deref()) else { return Ok(()) };
    let packed = zstd::encode_all(&content[..], 6).expect("a vector takes whatever zstd writes");
    query("INSERT INTO dictionary (content) VALUES ($1)")
        .bind(packed)
        .execute(connection)
        .await
        .map_err(store.failed("storing a dictionary"))?;
    Ok(())
}
