//! Subscriptions: which queries want to be told of changes, and the websockets that tell them.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::sync::mpsc;

use super::event::Event;
use super::query::Request;
use super::render::Format;

/// How long a subscription holds without a refresh when the client says nothing else.
const DEFAULT_LIFETIME: Duration = Duration::from_secs(60);

/// How many frames wait for a client that does not read before its websocket is closed.
const WAITING_FRAMES: usize = 10_000;

/// Ids begin where a real controller's do: 17 digits, odd, and so beyond what a float can hold.
const FIRST_ID: u64 = 72_066_106_679_951_361;

struct Subscription {
    session: String,
    request: Request,
    lifetime: Duration,
    expires: Duration,
}

struct Socket {
    serial: u64,
    session: String,
    frames: mpsc::Sender<String>,
}

/// The subscriptions and websockets of all sessions.
pub(super) struct Subscriptions {
    next_id: u64,
    next_socket: u64,
    active: BTreeMap<u64, Subscription>,
    sockets: Vec<Socket>,
}

impl Subscriptions {
    pub(super) fn new() -> Self {
        Self { next_id: FIRST_ID, next_socket: 0, active: BTreeMap::new(), sockets: Vec::new() }
    }

    /// Subscribes a session to a query and returns the id.
    pub(super) fn subscribe(&mut self, session: &str, request: &Request, now: Duration) -> String {
        let asked = request.subscription().and_then(|options| options.refresh_timeout);
        let lifetime = asked.map_or(DEFAULT_LIFETIME, Duration::from_secs);
        let id = self.next_id;
        self.next_id += 2;
        let expires = now.saturating_add(lifetime);
        self.active
            .insert(id, Subscription { session: session.to_owned(), request: request.clone(), lifetime, expires });
        id.to_string()
    }

    /// Prolongs a subscription; `false` when the session has none of that id any more.
    pub(super) fn refresh(&mut self, session: &str, id: &str, lifetime: Option<Duration>, now: Duration) -> bool {
        let found = id.parse().ok().and_then(|id: u64| self.active.get_mut(&id));
        let Some(subscription) = found.filter(|have| have.session == session && now < have.expires) else {
            return false;
        };
        subscription.lifetime = lifetime.unwrap_or(subscription.lifetime);
        subscription.expires = now.saturating_add(subscription.lifetime);
        true
    }

    /// Opens a websocket of a session: its number, and the frames to send until there are no more.
    pub(super) fn connect(&mut self, session: &str) -> (u64, mpsc::Receiver<String>) {
        let (frames, receiver) = mpsc::channel(WAITING_FRAMES);
        let serial = self.next_socket;
        self.next_socket += 1;
        self.sockets.push(Socket { serial, session: session.to_owned(), frames });
        (serial, receiver)
    }

    pub(super) fn disconnect(&mut self, serial: u64) {
        self.sockets.retain(|socket| socket.serial != serial);
    }

    /// Sends each event to every websocket whose session subscribed to it, once per format.
    ///
    /// Nothing is kept for a session without a websocket: there is no replay.
    pub(super) fn publish(&mut self, events: &[Event], now: Duration) {
        if self.sockets.is_empty() {
            return;
        }
        for event in events {
            for (session, format, ids) in self.interested(event, now) {
                let frame = event.to_frame(format, &ids);
                // A client that does not read loses its websocket rather than single frames.
                self.sockets
                    .retain(|socket| socket.session != session || socket.frames.try_send(frame.clone()).is_ok());
            }
        }
    }

    /// Returns which sessions an event concerns, in which format, and under which ids.
    fn interested(&self, event: &Event, now: Duration) -> Vec<(String, Format, Vec<String>)> {
        let mut groups: Vec<(String, Format, Vec<String>)> = Vec::new();
        for (id, subscription) in &self.active {
            if now >= subscription.expires || !subscription.request.selects(event) {
                continue;
            }
            let format = subscription.request.format();
            let group =
                groups.iter_mut().find(|(session, have, _)| *session == subscription.session && *have == format);
            match group {
                Some((.., ids)) => ids.push(id.to_string()),
                None => groups.push((subscription.session.clone(), format, vec![id.to_string()])),
            }
        }
        groups
    }

    /// Ends what belongs to sessions that are over, and subscriptions nobody refreshed.
    pub(super) fn sweep(&mut self, now: Duration, is_open: impl Fn(&str) -> bool) {
        self.active.retain(|_, subscription| now < subscription.expires && is_open(&subscription.session));
        self.sockets.retain(|socket| !socket.frames.is_closed() && is_open(&socket.session));
    }

    /// Closes all websockets, as a controller that restarts.
    pub(super) fn disconnect_all(&mut self) {
        self.sockets.clear();
    }

    pub(super) fn len(&self) -> usize {
        self.active.len()
    }
}
