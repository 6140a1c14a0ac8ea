//! What a GET asks for.

mod options;
mod path;

use chrono::{DateTime, TimeDelta, Utc};

pub(crate) use path::parse_target;

use super::class::ClassId;
use super::error::ApicError;
use super::evaluate::{Condition, parse_time};
use super::event::Event;
use super::render::Format;
use crate::dn;

/// How a query wants to be told of changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SubscriptionOptions {
    /// For how many seconds the subscription holds without a refresh.
    pub(crate) refresh_timeout: Option<u64>,
}

/// A GET below `/api`: a class, node class or mo query with its options.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(super) format: Format,
    pub(super) base: Base,
    pub(super) target: Target,
    /// Classes to keep of the target set.
    pub(super) target_classes: Option<Vec<ClassId>>,
    pub(super) filter: Option<Condition>,
    pub(super) nesting: Nesting,
    pub(super) properties: Properties,
    pub(super) order: Vec<Order>,
    pub(super) page: Option<Page>,
    pub(super) time_range: Option<TimeRange>,
    subscription: Option<SubscriptionOptions>,
    warnings: Vec<String>,
}

/// Where a query begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Base {
    /// All objects of some classes, on one node if it is given.
    Classes { node: Option<String>, classes: Vec<ClassId> },
    /// The object with this DN.
    Object(String),
}

/// How the base set is widened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    Itself,
    Children,
    Subtree,
}

/// What comes with each hit.
#[derive(Clone, Debug, Default)]
pub(super) struct Nesting {
    pub(super) depth: Depth,
    pub(super) classes: Option<Vec<ClassId>>,
    pub(super) filter: Option<Condition>,
    pub(super) include: Include,
}

/// How far below a hit objects are nested.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Depth {
    #[default]
    Nothing,
    Children,
    Full,
}

/// What `rsp-subtree-include` says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Include {
    pub(super) kinds: Vec<Included>,
    /// Only the number of objects.
    pub(super) count: bool,
    /// Only what is included, not the object itself.
    pub(super) no_scoped: bool,
    /// Only objects with which something comes.
    pub(super) required: bool,
    /// Look further down than the children.
    pub(super) subtree: bool,
}

/// What can come with a hit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Included {
    Health,
    Faults,
    AuditLogs,
    EventLogs,
    Relations,
    /// Statistics, tasks and the like, of which there are none.
    Absent,
}

/// Which attributes are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Properties {
    All,
    Naming,
    Config,
    State,
}

/// One key to sort by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Order {
    pub(super) class: ClassId,
    pub(super) place: usize,
    pub(super) descending: bool,
}

/// A part of the hits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Page {
    pub(super) number: usize,
    pub(super) size: usize,
}

/// When log records were written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TimeRange {
    Last(TimeDelta),
    Between(i64, i64),
}

impl TimeRange {
    /// Returns whether a time as it stands in a record lies in the range.
    pub(super) fn contains(self, time: &str, now: DateTime<Utc>) -> bool {
        let (from, to) = match self {
            Self::Last(span) => (now.timestamp_millis() - span.num_milliseconds(), i64::MAX),
            Self::Between(from, to) => (from, to),
        };
        parse_time(time).is_some_and(|at| (from..=to).contains(&at))
    }
}

impl Request {
    /// Parses path and query as they came, raw or percent-encoded.
    pub(crate) fn parse(path: &str, query: Option<&str>) -> Result<Self, ApicError> {
        let (base, format) = path::parse(path)?;
        let mut request = Self {
            format,
            base,
            target: Target::Itself,
            target_classes: None,
            filter: None,
            nesting: Nesting::default(),
            properties: Properties::All,
            order: Vec::new(),
            page: None,
            time_range: None,
            subscription: None,
            warnings: Vec::new(),
        };
        options::apply(query.unwrap_or(""), &mut request)?;
        Ok(request)
    }

    /// Returns the format of the answer.
    pub(crate) fn format(&self) -> Format {
        self.format
    }

    /// Returns how to subscribe to the query, if it wants that.
    pub(crate) fn subscription(&self) -> Option<SubscriptionOptions> {
        self.subscription
    }

    /// Returns what was tolerated in the request but should not be in it.
    pub(crate) fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Returns whether an event concerns a subscription to this request.
    pub(crate) fn selects(&self, event: &Event) -> bool {
        self.reaches(event)
            && self.target_classes.as_ref().is_none_or(|classes| classes.contains(&event.class_id()))
            && self.filter.as_ref().is_none_or(|filter| event.meets(filter))
    }

    fn reaches(&self, event: &Event) -> bool {
        match &self.base {
            Base::Classes { node, classes } => {
                let on_node = node.as_ref().is_none_or(|node| is_within(&event.dn, node));
                let mut above = event.ancestors().iter();
                on_node
                    && match self.target {
                        Target::Itself => classes.contains(&event.class_id()),
                        Target::Children => above.next().is_some_and(|class| classes.contains(class)),
                        Target::Subtree => {
                            classes.contains(&event.class_id()) || above.any(|class| classes.contains(class))
                        }
                    }
            }
            Base::Object(dn) => match self.target {
                Target::Itself => event.dn == *dn,
                Target::Children => dn::parent(&event.dn) == Some(dn),
                Target::Subtree => is_within(&event.dn, dn),
            },
        }
    }
}

/// Returns whether a DN is that of an object or of something below it.
pub(super) fn is_within(dn: &str, above: &str) -> bool {
    dn.strip_prefix(above).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}
