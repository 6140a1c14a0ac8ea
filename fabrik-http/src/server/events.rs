//! Events for whoever is connected: by channel, in the envelope of the API.
//!
//! Who publishes need not know who listens, nor where: with PostgreSQL, an event reaches the listeners of every server
//! on the database (`link`). Frames of a job are numbered and the last one is kept (`jobs`), so that a late client and
//! one that missed something can be told how things stand.

mod jobs;
pub(crate) mod link;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hashbrown::HashMap;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, broadcast, watch};
use uuid::Uuid;

use super::error::ApiError;
use super::moment::Moment;
use super::state::AppState;

pub(crate) use jobs::{close_job, job_state, open_job};

/// How many events may wait for a slow client before it misses some.
const WAITING: usize = 64;

/// What is listened to.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) enum Channel {
    /// The notifications of a user.
    Notifications(i64),
    /// The progress of a job.
    Job(Uuid),
}

/// What a listener hears.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Heard {
    /// A frame, as it goes out. Those of a job are numbered from 1; others are 0.
    Frame { number: i64, text: String },
    /// There will be no more.
    End,
}

/// Who listens to what on this server.
#[derive(Debug)]
pub(crate) struct Events {
    /// The name of this server among those on the database.
    server: Uuid,
    channels: Mutex<HashMap<Channel, broadcast::Sender<Heard>>>,
    /// Counts the times when events of other servers may have been missed.
    gaps: watch::Sender<u64>,
    sockets: Arc<Semaphore>,
    most_sockets: u32,
}

impl Events {
    /// Returns the events of a server that keeps at most so many sockets open.
    pub(crate) fn new(most_sockets: u32) -> Self {
        Self {
            server: Uuid::now_v7(),
            channels: Mutex::default(),
            gaps: watch::Sender::default(),
            sockets: Arc::new(Semaphore::new(most_sockets as usize)),
            most_sockets,
        }
    }

    /// Tells everybody who listens, here and on the other servers.
    ///
    /// What fails is logged: who publishes has done its work.
    pub(crate) async fn publish(&self, state: &AppState, channel: &Channel, kind: &str, data: Value) {
        let text = frame(state, kind, &data);
        let number = match channel {
            Channel::Notifications(_) => 0,
            Channel::Job(id) => match jobs::keep(state, *id, &text).await {
                Ok(Some(number)) => number,
                Ok(None) => return,
                Err(error) => {
                    tracing::warn!(?error, job = %id, "a frame of a job could not be kept");
                    return;
                }
            },
        };
        self.spread(state, channel, Heard::Frame { number, text }).await;
    }

    async fn spread(&self, state: &AppState, channel: &Channel, heard: Heard) {
        self.hear(channel, heard.clone());
        link::tell(state, link::Message::Heard(channel.clone(), heard)).await;
    }

    /// Tells those who listen here.
    fn hear(&self, channel: &Channel, heard: Heard) {
        let mut channels = self.channels.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sender) = channels.get(channel)
            && sender.send(heard).is_err()
        {
            channels.remove(channel);
        }
    }

    /// Listens from now on.
    pub(crate) fn listen(&self, channel: Channel) -> broadcast::Receiver<Heard> {
        let mut channels = self.channels.lock().unwrap_or_else(PoisonError::into_inner);
        channels.entry(channel).or_insert_with(|| broadcast::channel(WAITING).0).subscribe()
    }

    /// Forgets channels that nobody listens to any more.
    pub(crate) fn forget_unheard(&self) {
        let mut channels = self.channels.lock().unwrap_or_else(PoisonError::into_inner);
        channels.retain(|_, sender| sender.receiver_count() > 0);
    }

    /// Returns what changes when events of other servers may have been missed.
    pub(crate) fn gaps(&self) -> watch::Receiver<u64> {
        self.gaps.subscribe()
    }

    /// Takes the place of one socket, if there is one left.
    pub(crate) fn enter(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.sockets).try_acquire_owned().ok()
    }

    /// Waits until no socket is open, at most for so long.
    pub(crate) async fn all_left(&self, at_most: Duration) {
        if tokio::time::timeout(at_most, self.sockets.acquire_many(self.most_sockets)).await.is_err() {
            tracing::warn!("not every socket was closed in time");
        }
    }
}

/// Writes a frame: what happened, when, and the details.
pub(crate) fn frame(state: &AppState, kind: &str, data: &Value) -> String {
    json!({ "type": kind, "timestamp": Moment(state.clock().now()), "data": data }).to_string()
}

/// Forgets jobs of long ago, and messages that every server has read.
pub(crate) async fn purge(state: &AppState) -> Result<(), ApiError> {
    jobs::purge(state).await?;
    link::purge(state).await
}
