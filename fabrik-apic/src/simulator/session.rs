//! Sessions: who holds which token, and until when.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::rand;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// A user who logged in. It may hold several tokens, because renewing one does not end the one before.
#[derive(Debug)]
pub(super) struct Session {
    /// Base64, as `sessionId` of the login answer and of audit records.
    pub(super) id: String,
    pub(super) user: String,
    /// Uptime of the simulator at the login.
    pub(super) since: Duration,
    /// What each request must repeat when the login asked for it.
    url_token: Option<String>,
}

impl Session {
    /// Returns whether a request with this challenge belongs to the session.
    pub(super) fn accepts(&self, challenge: Option<&str>) -> bool {
        self.url_token.as_deref().is_none_or(|token| challenge == Some(token))
    }

    pub(super) fn url_token(&self) -> Option<&str> {
        self.url_token.as_deref()
    }
}

/// A token and the session it opens.
pub(super) struct Grant {
    pub(super) token: String,
    pub(super) session: Arc<Session>,
}

struct Ticket {
    session: Arc<Session>,
    expires: Duration,
}

/// The tokens that are good, each until its end.
pub(super) struct Sessions {
    refresh_timeout: Duration,
    maximum_lifetime: Duration,
    tickets: HashMap<String, Ticket>,
}

impl Sessions {
    pub(super) fn new(refresh_timeout: Duration, maximum_lifetime: Duration) -> Self {
        Self { refresh_timeout, maximum_lifetime, tickets: HashMap::new() }
    }

    /// Starts a session; `challenged` ones have a second token that every request must carry.
    pub(super) fn open(&mut self, user: &str, challenged: bool, now: Duration) -> Grant {
        let session = Arc::new(Session {
            id: random_text::<16>(),
            user: user.to_owned(),
            since: now,
            url_token: challenged.then(random_text::<32>),
        });
        self.grant(session, now)
    }

    /// Gives a new token to the session of `token`, unless it is as old as a session can get.
    pub(super) fn renew(&mut self, token: &str, now: Duration) -> Option<Grant> {
        let session = self.find(token, now)?;
        (now < session.since + self.maximum_lifetime).then(|| self.grant(session, now))
    }

    /// Returns the session of a token that is still good.
    pub(super) fn find(&self, token: &str, now: Duration) -> Option<Arc<Session>> {
        self.tickets.get(token).filter(|ticket| now < ticket.expires).map(|ticket| Arc::clone(&ticket.session))
    }

    /// Ends a session with all its tokens.
    pub(super) fn close(&mut self, id: &str) {
        self.tickets.retain(|_, ticket| ticket.session.id != id);
    }

    /// Ends all sessions.
    pub(super) fn close_all(&mut self) {
        self.tickets.clear();
    }

    /// Forgets tokens that are over.
    pub(super) fn sweep(&mut self, now: Duration) {
        self.tickets.retain(|_, ticket| now < ticket.expires);
    }

    /// Returns whether a session has a token that is still good.
    pub(super) fn is_open(&self, id: &str, now: Duration) -> bool {
        self.tickets.values().any(|ticket| ticket.session.id == id && now < ticket.expires)
    }

    fn grant(&mut self, session: Arc<Session>, now: Duration) -> Grant {
        let expires = (now + self.refresh_timeout).min(session.since + self.maximum_lifetime);
        let token = new_token();
        self.tickets.insert(token.clone(), Ticket { session: Arc::clone(&session), expires });
        Grant { token, session }
    }
}

/// Makes a token with each of the characters that clients get wrong in cookies and URLs: `+`, `/` and `=`.
fn new_token() -> String {
    loop {
        let token = random_text::<100>();
        if token.contains('+') && token.contains('/') {
            return token;
        }
    }
}

fn random_text<const LEN_BYTES: usize>() -> String {
    let mut bytes = [0; LEN_BYTES];
    rand::fill(&mut bytes).expect("the generator of the operating system works");
    STANDARD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Sessions;

    const REFRESH: Duration = Duration::from_secs(600);
    const MAXIMUM: Duration = Duration::from_secs(1500);

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn token_is_good_until_its_timeout_and_not_at_it() {
        let mut sessions = Sessions::new(REFRESH, MAXIMUM);

        let token = sessions.open("admin", false, at(0)).token;

        assert!(sessions.find(&token, at(599)).is_some());
        assert!(sessions.find(&token, at(600)).is_none());
        assert!(sessions.renew(&token, at(600)).is_none());
    }

    #[test]
    fn renewing_gives_another_token_of_the_same_session_and_keeps_the_first() {
        let mut sessions = Sessions::new(REFRESH, MAXIMUM);
        let first = sessions.open("admin", false, at(0));

        let second = sessions.renew(&first.token, at(300)).unwrap();

        assert_ne!(second.token, first.token);
        assert_eq!(second.session.id, first.session.id);
        assert!(sessions.find(&first.token, at(599)).is_some());
        assert!(sessions.find(&second.token, at(899)).is_some());
        assert!(sessions.find(&second.token, at(900)).is_none());
    }

    #[test]
    fn session_ends_at_its_maximum_lifetime_however_often_it_is_renewed() {
        let mut sessions = Sessions::new(REFRESH, MAXIMUM);
        let mut token = sessions.open("admin", false, at(0)).token;

        for now in [500, 1000, 1499] {
            token = sessions.renew(&token, at(now)).unwrap().token;
        }

        assert!(sessions.find(&token, at(1499)).is_some());
        assert!(sessions.find(&token, at(1500)).is_none());
    }

    #[test]
    fn closing_a_session_ends_all_of_its_tokens_and_no_others() {
        let mut sessions = Sessions::new(REFRESH, MAXIMUM);
        let first = sessions.open("admin", false, at(0));
        let renewed = sessions.renew(&first.token, at(1)).unwrap();
        let other = sessions.open("admin", false, at(1));

        sessions.close(&first.session.id);

        assert!(sessions.find(&first.token, at(2)).is_none());
        assert!(sessions.find(&renewed.token, at(2)).is_none());
        assert!(sessions.find(&other.token, at(2)).is_some());
        assert!(!sessions.is_open(&first.session.id, at(2)));
    }

    #[test]
    fn challenged_session_wants_its_second_token() {
        let mut sessions = Sessions::new(REFRESH, MAXIMUM);

        let session = sessions.open("admin", true, at(0)).session;

        assert!(session.accepts(session.url_token()));
        assert!(!session.accepts(None));
        assert!(!session.accepts(Some("wrong")));
    }

    #[test]
    fn tokens_hold_the_characters_that_clients_get_wrong() {
        let mut sessions = Sessions::new(REFRESH, MAXIMUM);

        let token = sessions.open("admin", false, at(0)).token;

        assert!(token.contains('+') && token.contains('/') && token.ends_with('='), "{token}");
    }
}
