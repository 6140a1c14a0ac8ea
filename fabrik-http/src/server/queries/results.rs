//! Rows of runs in the background, kept for whoever ran them: for a while, and as much as is allowed.
//!
//! They lie in the database, so that they are there on whichever server is asked, and after a restart. A row is a line of
//! JSON; some hundred kilobytes of lines at a time are packed and stored as they come, so that no server holds them all.

use std::io::{Read, Write};

use chrono::TimeDelta;
use fabrik_core::RowRef;
use flate2::Compression;
use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;
use sea_query::{Alias, Expr, ExprTrait, Func, Order, Query};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use uuid::Uuid;

use super::Outcome;
use crate::server::db::DbError;
use crate::server::error::ApiError;
use crate::server::state::AppState;

const RESULT: &str = "query_result";
const PIECE: &str = "query_result_piece";
/// How large a piece is before it is packed, but for its last row.
const PIECE_BYTES: usize = 256 << 10;
/// How many pieces wait for the database.
const PIECES_WAITING: usize = 4;
/// What is still written after this time was lost with its server.
const LONGEST: TimeDelta = TimeDelta::hours(2);

/// Something for whoever writes to the database.
enum Part {
    Lines(Vec<u8>),
    StartOver,
}

/// Takes rows that are to be kept. To be used where a thread may block.
pub(crate) struct KeptLines {
    /// `None` once there is no use in keeping more.
    sender: Option<mpsc::Sender<Part>>,
    lines: Vec<u8>,
    size_bytes: u64,
    most_bytes: u64,
    is_too_large: bool,
}

impl KeptLines {
    /// Takes a row.
    pub(crate) fn row(&mut self, row: RowRef<'_>) {
        if self.sender.is_none() || self.is_too_large {
            return;
        }
        let before = self.lines.len();
        row.write_json(&mut self.lines);
        self.lines.push(b'\n');
        self.size_bytes += (self.lines.len() - before) as u64;
        if self.size_bytes > self.most_bytes {
            self.is_too_large = true;
            self.lines = Vec::new();
        } else if self.lines.len() >= PIECE_BYTES {
            self.flush();
        }
    }

    /// Forgets all rows: they come anew.
    pub(crate) fn start_over(&mut self) {
        self.lines.clear();
        (self.size_bytes, self.is_too_large) = (0, false);
        self.send(Part::StartOver);
    }

    /// Says that this was the last row, and returns how many bytes there are where all are kept.
    pub(crate) fn finish(&mut self) -> Option<u64> {
        if !self.lines.is_empty() {
            self.flush();
        }
        let is_whole = self.sender.take().is_some() && !self.is_too_large;
        is_whole.then_some(self.size_bytes)
    }

    fn flush(&mut self) {
        let mut packed = ZlibEncoder::new(Vec::new(), Compression::fast());
        let packed = packed.write_all(&self.lines).and_then(|()| packed.finish());
        self.lines.clear();
        self.send(Part::Lines(packed.expect("memory takes all that is written")));
    }

    fn send(&mut self, part: Part) {
        // Whoever writes has gone where the database failed; the run itself goes on.
        if self.sender.as_ref().is_some_and(|sender| sender.blocking_send(part).is_err()) {
            self.sender = None;
        }
    }
}

/// Rows that are being kept.
pub(crate) struct Keeping {
    state: AppState,
    id: Uuid,
    user: i64,
    writer: Option<JoinHandle<Result<(), DbError>>>,
}

impl Keeping {
    /// Begins to keep the rows of a run, unless the settings keep none.
    pub(crate) fn begin(state: &AppState, id: Uuid, user: i64) -> (KeptLines, Self) {
        let most_bytes = state.settings().kept_rows_bytes;
        let (sender, receiver) = mpsc::channel(PIECES_WAITING);
        let is_on = most_bytes > 0;
        let writer = is_on.then(|| tokio::spawn(write(state.clone(), id, user, receiver)));
        let sender = is_on.then_some(sender);
        let lines = KeptLines { sender, lines: Vec::new(), size_bytes: 0, most_bytes, is_too_large: false };
        (lines, Self { state: state.clone(), id, user, writer })
    }

    /// Keeps the rows, or forgets them where it is not told what came of reading; returns whether they are kept. The first
    /// part is what [`KeptLines::finish`] returned.
    pub(crate) async fn end(mut self, whole: Option<(u64, &Outcome)>) -> bool {
        let Some(writer) = self.writer.take() else { return false };
        let ended = match whole {
            Some((size_bytes, outcome)) => match writer.await {
                Ok(Ok(())) => self.complete(size_bytes, outcome).await.map(|()| true),
                Ok(Err(error)) => Err(error),
                // It was stopped with the server.
                Err(_) => Ok(false),
            },
            None => {
                writer.abort();
                // Only once it is over is nothing written any more.
                let _ = writer.await;
                Ok(false)
            }
        };
        match ended {
            Ok(true) => true,
            other => {
                if let Err(error) = other.map(|_| ()).and(delete(&self.state, &[self.id]).await) {
                    tracing::warn!(%error, run = %self.id, "the rows of a run could not be kept");
                }
                false
            }
        }
    }

    /// Says that all is there. The oldest rows of the user make room where together they are more than is allowed.
    async fn complete(&self, size_bytes: u64, outcome: &Outcome) -> Result<(), DbError> {
        let verdict = (!outcome.is_truncated).then(|| json!(outcome.verdict));
        let mut transaction = self.state.db().begin().await?;
        let update = Query::update()
            .table(Alias::new(RESULT))
            .value(Alias::new("completed_at"), self.state.clock().now())
            .value(Alias::new("size_bytes"), i64::try_from(size_bytes).unwrap_or(i64::MAX))
            .value(Alias::new("is_truncated"), outcome.is_truncated)
            .value(Alias::new("verdict"), verdict)
            .and_where(is(self.id))
            .take();
        transaction.run(&update).await?;
        let query = Query::select()
            .columns(["id", "size_bytes"].map(Alias::new))
            .from(Alias::new(RESULT))
            .and_where(Expr::col(Alias::new("user_id")).eq(self.user))
            .and_where(Expr::col(Alias::new("completed_at")).is_not_null())
            .order_by(Alias::new("created_at"), Order::Desc)
            .order_by(Alias::new("id"), Order::Desc)
            .take();
        let mut left = i64::try_from(self.state.settings().kept_rows_bytes).unwrap_or(i64::MAX);
        let mut too_many = Vec::new();
        // What was just made counts first, also where something newer was quicker.
        let mut all = transaction.all::<(Uuid, i64)>(&query).await?;
        all.sort_by_key(|(id, _)| *id != self.id);
        for (id, size_bytes) in all {
            left = left.saturating_sub(size_bytes);
            if left < 0 {
                too_many.push(id);
            }
        }
        if !too_many.is_empty() {
            let gone = Expr::col(Alias::new("id")).is_in(too_many);
            transaction.run(&Query::delete().from_table(Alias::new(RESULT)).and_where(gone).take()).await?;
        }
        transaction.commit().await
    }
}

/// Writes pieces as they come.
async fn write(state: AppState, id: Uuid, user: i64, mut parts: mpsc::Receiver<Part>) -> Result<(), DbError> {
    let begin = Query::insert()
        .into_table(Alias::new(RESULT))
        .columns(["id", "user_id", "created_at"].map(Alias::new))
        .values_panic([id.into(), user.into(), state.clock().now().into()])
        .take();
    state.db().run(&begin).await?;
    let mut place = 0_i64;
    while let Some(part) = parts.recv().await {
        match part {
            Part::Lines(lines) => {
                let insert = Query::insert()
                    .into_table(Alias::new(PIECE))
                    .columns(["result_id", "place", "lines"].map(Alias::new))
                    .values_panic([id.into(), place.into(), lines.into()])
                    .take();
                state.db().run(&insert).await?;
                place += 1;
            }
            Part::StartOver => {
                let of_result = Expr::col(Alias::new("result_id")).eq(id);
                state.db().run(&Query::delete().from_table(Alias::new(PIECE)).and_where(of_result).take()).await?;
                place = 0;
            }
        }
    }
    Ok(())
}

fn is(id: Uuid) -> Expr {
    Expr::col(Alias::new("id")).eq(id)
}

async fn delete(state: &AppState, ids: &[Uuid]) -> Result<(), DbError> {
    let gone = Expr::col(Alias::new("id")).is_in(ids.iter().copied());
    state.db().run(&Query::delete().from_table(Alias::new(RESULT)).and_where(gone).take()).await.map(|_| ())
}

/// Rows that were kept.
#[derive(Clone, Debug)]
pub(crate) struct KeptRows {
    id: Uuid,
    /// How many pieces they lie in.
    pub(crate) pieces: i64,
    pub(crate) is_truncated: bool,
    /// How complete they are; `None` where not all were read.
    pub(crate) verdict: Option<Value>,
}

/// Returns the rows of a run, where they are still kept.
pub(crate) async fn kept(state: &AppState, id: Uuid) -> Result<Option<KeptRows>, DbError> {
    let query = Query::select()
        .columns(["is_truncated", "verdict"].map(Alias::new))
        .from(Alias::new(RESULT))
        .and_where(is(id))
        .and_where(Expr::col(Alias::new("completed_at")).gt(state.clock().now() - state.settings().kept_rows_life))
        .take();
    let Some((is_truncated, verdict)) = state.db().first::<(bool, Option<Value>)>(&query).await? else {
        return Ok(None);
    };
    let count = Query::select()
        .expr(Func::count(Expr::col(Alias::new("place"))))
        .from(Alias::new(PIECE))
        .and_where(Expr::col(Alias::new("result_id")).eq(id))
        .take();
    Ok(Some(KeptRows { id, pieces: state.db().number(&count).await?, is_truncated, verdict }))
}

impl KeptRows {
    /// Returns whether nothing is known to be missing, but for what was not wanted.
    pub(crate) fn is_whole(&self) -> bool {
        self.verdict.as_ref().is_none_or(|verdict| verdict["status"] == "complete")
    }

    /// Returns the lines of a piece, each with its end; a failure where they have gone meanwhile.
    pub(crate) async fn lines(&self, state: &AppState, place: i64) -> Result<Vec<u8>, ApiError> {
        let query = Query::select()
            .column(Alias::new("lines"))
            .from(Alias::new(PIECE))
            .and_where(Expr::col(Alias::new("result_id")).eq(self.id))
            .and_where(Expr::col(Alias::new("place")).eq(place))
            .take();
        let (packed,) = state.db().first::<(Vec<u8>,)>(&query).await?.ok_or(ApiError::NotFound)?;
        let mut lines = Vec::with_capacity(PIECE_BYTES);
        ZlibDecoder::new(&*packed).read_to_end(&mut lines)?;
        Ok(lines)
    }
}

/// Forgets rows whose time is over, and those that were lost with their server.
pub(crate) async fn purge(state: &AppState) -> Result<(), DbError> {
    let now = state.clock().now();
    let is_over = Expr::col(Alias::new("completed_at")).lt(now - state.settings().kept_rows_life);
    let is_lost =
        Expr::col(Alias::new("completed_at")).is_null().and(Expr::col(Alias::new("created_at")).lt(now - LONGEST));
    let gone = Query::delete().from_table(Alias::new(RESULT)).and_where(is_over.or(is_lost)).take();
    state.db().run(&gone).await.map(|_| ())
}
