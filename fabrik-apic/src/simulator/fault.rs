//! What can go wrong with a controller, on demand.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use percent_encoding::percent_decode_str;

use super::state::State;

/// Something that goes wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// A query is answered 200 with the right `totalCount` and no objects.
    BusyPage,
    /// The web server answers with a page of its own, such as 404, 502, 503 or 504.
    HtmlPage {
        /// The HTTP status.
        status: u16,
    },
    /// The web server refuses the request because there are too many.
    Refused {
        /// The HTTP status, 429 or 503.
        status: u16,
        /// The seconds of the header `Retry-After`, which is absent without them.
        retry_after: Option<u32>,
    },
    /// The connection ends in the middle of the body.
    CutBody {
        /// How many bytes of the body are sent, less where it is not that long.
        after: usize,
    },
    /// The body ends too early, although everything about the transfer is right.
    TruncatedBody {
        /// How many bytes of the body are left, less where it is not that long.
        after: usize,
    },
    /// A query that matches more than `threshold` objects is too big, on whatever page.
    TooBig {
        /// The HTTP status, 400 or 503.
        status: u16,
        /// How many objects are not too many.
        threshold: usize,
    },
    /// A query is not answered in time by the part of the controller or the node that has the objects.
    ResolveTimeout,
    /// A node does not answer: a query fails that names it or matches an object below it, on whatever page.
    LostNode {
        /// The number of the node, as in `topology/pod-1/node-101`.
        node: u32,
    },
    /// The answer takes its time.
    Slow {
        /// How much.
        delay: Duration,
    },
    /// Apostrophes in JSON strings come as `\'`, which is no escape of JSON.
    InvalidEscape,
    /// `totalCount` is wrong.
    WrongTotalCount {
        /// By how much.
        by: i64,
    },
    /// The last object of a page is that of the page before, as when pages have no order. Page 0 is as it is.
    RepeatedObject,
    /// Before a query is answered, the first objects it matches are removed from the fabric.
    Shrink {
        /// How many.
        objects: usize,
    },
    /// Before a query is answered, endpoints, faults, bindings and subnets appear in the fabric.
    Grow {
        /// How many.
        objects: usize,
    },
    /// The session of the request is over before it is looked at.
    ExpiredToken,
    /// A change is answered 202: the work goes on, and the client has to ask for its state.
    Pending {
        /// How often the state is "in progress" before the work is done.
        polls: usize,
    },
}

/// When a [`Fault`] happens: to every request below `/api` until it is removed, unless it is told otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FaultRule {
    fault: Fault,
    skip: usize,
    times: usize,
    text: Option<String>,
}

impl FaultRule {
    /// Makes a rule for every request.
    #[must_use]
    pub fn new(fault: Fault) -> Self {
        Self { fault, skip: 0, times: usize::MAX, text: None }
    }

    /// Lets the fault happen that often.
    #[must_use]
    pub fn with_times(mut self, times: usize) -> Self {
        self.times = times;
        self
    }

    /// Leaves the first requests alone.
    #[must_use]
    pub fn after(mut self, requests: usize) -> Self {
        self.skip = requests;
        self
    }

    /// Leaves requests alone whose path and query do not contain `text`, as they came or decoded.
    #[must_use]
    pub fn with_text(mut self, text: impl Into<String>) -> Self {
        self.text = Some(text.into());
        self
    }
}

/// Names a rule that was added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FaultId(u64);

/// Switches faults of a running simulator. Copies switch the same ones.
#[derive(Clone)]
pub struct Faults {
    state: Arc<State>,
}

impl Faults {
    pub(super) fn new(state: Arc<State>) -> Self {
        Self { state }
    }

    /// Adds a rule. Where several concern a request, all of them happen as far as they can together.
    pub fn add(&self, rule: FaultRule) -> FaultId {
        self.state.rules.add(rule)
    }

    /// Makes the next requests that contain `text` fail.
    pub fn next(&self, times: usize, text: &str, fault: Fault) -> FaultId {
        self.add(FaultRule::new(fault).with_times(times).with_text(text))
    }

    /// Lets every query fail for good that needs this node.
    pub fn lose_node(&self, node: u32) -> FaultId {
        self.add(FaultRule::new(Fault::LostNode { node }))
    }

    /// Removes a rule.
    pub fn remove(&self, id: FaultId) {
        self.state.rules.lock().active.retain(|active| active.id != id);
    }

    /// Removes all rules.
    pub fn clear(&self) {
        self.state.rules.lock().active.clear();
    }

    /// Returns how many requests a rule was applied to; 0 once it is removed.
    #[must_use]
    pub fn hits(&self, id: FaultId) -> usize {
        self.state.rules.lock().active.iter().find(|active| active.id == id).map_or(0, |active| active.hits)
    }

    /// Ends all sessions: every token there is answers 403 from now on.
    pub fn expire_tokens(&self) {
        self.state.expire_tokens();
    }

    /// Closes all websockets. Subscriptions stay until they are over.
    pub fn close_websockets(&self) {
        self.state.subscriptions().disconnect_all();
    }
}

impl fmt::Debug for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Faults").field("rules", &self.state.rules).finish_non_exhaustive()
    }
}

#[derive(Debug)]
struct ActiveRule {
    id: FaultId,
    rule: FaultRule,
    hits: usize,
}

/// The rules of a simulator.
#[derive(Debug, Default)]
pub(super) struct Rules {
    list: Mutex<RuleList>,
}

#[derive(Debug, Default)]
struct RuleList {
    next_id: u64,
    active: Vec<ActiveRule>,
}

impl Rules {
    fn lock(&self) -> MutexGuard<'_, RuleList> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, rule: FaultRule) -> FaultId {
        let mut list = self.lock();
        let id = FaultId(list.next_id);
        list.next_id += 1;
        list.active.push(ActiveRule { id, rule, hits: 0 });
        id
    }

    /// Returns what happens to a request, and counts it.
    pub(super) fn take(&self, target: &str) -> Vec<Fault> {
        let mut list = self.lock();
        if list.active.is_empty() {
            return Vec::new();
        }
        let decoded = percent_decode_str(target).decode_utf8_lossy();
        let concerns = |rule: &FaultRule| {
            rule.text.as_ref().is_none_or(|text| target.contains(text.as_str()) || decoded.contains(text.as_str()))
        };
        let mut faults = Vec::new();
        for ActiveRule { rule, hits, .. } in list.active.iter_mut().filter(|active| concerns(&active.rule)) {
            if rule.skip > 0 {
                rule.skip -= 1;
            } else if rule.times > 0 {
                rule.times -= 1;
                *hits += 1;
                faults.push(rule.fault.clone());
            }
        }
        faults
    }
}

#[cfg(test)]
mod tests {
    use super::{Fault, FaultRule, Rules};

    #[test]
    fn rule_happens_after_so_many_requests_and_so_often() {
        let rules = Rules::default();
        rules.add(FaultRule::new(Fault::BusyPage).after(1).with_times(2).with_text("fvBD"));

        let happened: Vec<usize> = (0..5).map(|_| rules.take("/api/class/fvBD.json").len()).collect();

        assert_eq!(happened, [0, 1, 1, 0, 0]);
        assert_eq!(rules.lock().active[0].hits, 2);
    }

    #[test]
    fn rule_leaves_other_requests_alone_and_does_not_count_them() {
        let rules = Rules::default();
        rules.add(FaultRule::new(Fault::BusyPage).with_times(1).with_text("x=[a]"));

        assert!(rules.take("/api/class/fvBD.json?x=[b]").is_empty());
        assert_eq!(rules.take("/api/class/fvBD.json?x=%5Ba%5D"), [Fault::BusyPage]);
        assert!(rules.take("/api/class/fvBD.json?x=[a]").is_empty());
    }

    #[test]
    fn several_rules_happen_to_one_request() {
        let rules = Rules::default();
        rules.add(FaultRule::new(Fault::BusyPage));
        rules.add(FaultRule::new(Fault::InvalidEscape));

        assert_eq!(rules.take("/api/class/fvBD.json"), [Fault::BusyPage, Fault::InvalidEscape]);
    }
}
