//! Clients that go away while the engine works for them.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use fabrik_core::store::{
    CapturedChanges, CapturedQuery, Document, MemoryStore, QueryHistory, ReadChunks, ReadRecords, SnapshotFilter,
    Store, StoredChunk, Transaction,
};
use fabrik_core::{ChunkId, Result, Snapshot};
use fabrik_http::server::serve;
use tokio::sync::oneshot;

use crate::server::Server;

/// A store that blocks the thread when it is asked for snapshots, as a slow disk does, until it is let go.
#[derive(Debug, Default)]
struct Slow {
    inner: MemoryStore,
    is_held: AtomicBool,
    /// How often it was asked for snapshots, and how often for queries, which comes after that.
    asked: [AtomicUsize; 2],
}

impl Slow {
    fn asked(&self) -> [usize; 2] {
        [0, 1].map(|one| self.asked[one].load(Ordering::SeqCst))
    }
}

#[async_trait]
impl ReadChunks for Slow {
    async fn read_chunks(&self, ids: &[ChunkId]) -> Result<Vec<Bytes>> {
        self.inner.read_chunks(ids).await
    }
}

#[async_trait]
impl ReadRecords for Slow {
    async fn queries(&self) -> Result<Vec<QueryHistory>> {
        self.asked[1].fetch_add(1, Ordering::SeqCst);
        self.inner.queries().await
    }

    async fn query(&self, name: &str) -> Result<Option<CapturedQuery>> {
        self.inner.query(name).await
    }

    async fn changes(&self, filter: &SnapshotFilter) -> Result<Vec<CapturedChanges>> {
        self.inner.changes(filter).await
    }

    async fn snapshots(&self, filter: &SnapshotFilter) -> Result<Vec<Snapshot>> {
        self.asked[0].fetch_add(1, Ordering::SeqCst);
        while self.is_held.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(1));
        }
        self.inner.snapshots(filter).await
    }

    async fn stored_chunks(&self) -> Result<Vec<StoredChunk>> {
        self.inner.stored_chunks().await
    }

    async fn documents(&self, kind: &str) -> Result<Vec<Document>> {
        self.inner.documents(kind).await
    }
}

#[async_trait]
impl Store for Slow {
    async fn begin(&self) -> Result<Box<dyn Transaction + '_>> {
        self.inner.begin().await
    }

    async fn check(&self) -> Result<Vec<String>> {
        self.inner.check().await
    }

    async fn disk_bytes(&self) -> Result<u64> {
        self.inner.disk_bytes().await
    }
}

/// Asks for the queries with a history, over a socket.
fn ask(address: SocketAddr, token: &str) -> TcpStream {
    let mut client = TcpStream::connect(address).unwrap();
    let request = "GET /api/time-machine/queries/ HTTP/1.1\r\nhost: fab.lab\r\nauthorization: Bearer ";
    client.write_all(format!("{request}{token}\r\n\r\n").as_bytes()).unwrap();
    client
}

#[tokio::test(flavor = "multi_thread")]
async fn work_for_a_client_that_goes_away_ends() {
    let store = Arc::new(Slow::default());
    let server = Server::on_with(Arc::clone(&store) as Arc<dyn Store>, &[("listen", "127.0.0.1:0")]).await;
    let root = server.token("root", true).await;
    let (stop, stopped) = oneshot::channel::<()>();
    let (started, bound) = oneshot::channel();
    let done = tokio::spawn(serve(server.state.clone(), move |address| started.send(address).unwrap(), async {
        let _ = stopped.await;
    }));
    let address = bound.await.unwrap();
    let at_rest = Arc::strong_count(&store);
    let is_idle = async || {
        // Whoever works holds the store.
        while Arc::strong_count(&store) > at_rest {
            tokio::task::yield_now().await;
        }
    };

    for goes_away in [false, true] {
        let before = store.asked();
        store.is_held.store(true, Ordering::SeqCst);
        let client = ask(address, &root);
        while store.asked()[0] == before[0] {
            tokio::task::yield_now().await;
        }
        let stays = (!goes_away).then_some(client);
        // Who is served after the client left is served by a server that has seen it leave.
        for _ in 0..200 {
            assert_eq!(server.get("/api/health/").send().await.status, 200);
            drop(TcpStream::connect(address).unwrap());
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        store.is_held.store(false, Ordering::SeqCst);
        is_idle().await;

        let after = store.asked();
        let expected = [before[0] + 1, before[1] + usize::from(!goes_away)];
        assert_eq!(after, expected, "goes away: {goes_away}");
        drop(stays);
    }
    stop.send(()).unwrap();
    done.await.unwrap().unwrap();
}
