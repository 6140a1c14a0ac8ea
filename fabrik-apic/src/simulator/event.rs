//! What has changed in the tree, and how subscribers are told.

use super::class::{self, ClassId};
use super::evaluate::Condition;
use super::mit::{Body, Node};
use super::render::{self, Answer, Format};

/// How an object has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// It is new.
    Created,
    /// It has other attributes.
    Modified,
    /// It is gone.
    Deleted,
}

impl Change {
    /// Returns the word for it.
    pub(crate) fn status(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Modified => "modified",
            Self::Deleted => "deleted",
        }
    }
}

/// One changed object.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    /// How it changed.
    pub(crate) status: Change,
    /// Its class.
    pub(crate) class: &'static str,
    /// Its name.
    pub(crate) dn: String,
    /// What a frame tells beside `dn`, `rn` and `status`: everything of a created object, what changed and `modTs`
    /// of a modified one, nothing of a deleted one.
    pub(crate) attributes: Vec<(&'static str, String)>,
    class_id: ClassId,
    /// The object as it is now, or as it was last.
    body: Body,
    /// The classes above, the nearest first.
    ancestors: Vec<ClassId>,
}

impl Event {
    /// Tells of an object that has come; `ancestors` are the classes above it, the nearest first.
    pub(super) fn created(node: &Node, ancestors: Vec<ClassId>) -> Self {
        let class = node.class();
        let shown = (0..class.attributes.len()).filter(|place| ![class.dn, class.status].contains(place));
        Self::new(Change::Created, node, shown, ancestors)
    }

    /// Tells of an object that has other values at some places.
    pub(super) fn modified(node: &Node, places: &[usize], ancestors: Vec<ClassId>) -> Self {
        Self::new(Change::Modified, node, places.iter().copied(), ancestors)
    }

    /// Tells of an object that goes.
    pub(super) fn deleted(node: &Node, ancestors: Vec<ClassId>) -> Self {
        Self::new(Change::Deleted, node, std::iter::empty(), ancestors)
    }

    fn new(status: Change, node: &Node, shown: impl Iterator<Item = usize>, ancestors: Vec<ClassId>) -> Self {
        let class = node.class();
        Self {
            status,
            class: class.name,
            dn: node.dn().to_owned(),
            attributes: shown
                .map(|place| (class.attributes[place].name, node.body().value(place).to_owned()))
                .collect(),
            class_id: class.id,
            body: node.body().clone(),
            ancestors,
        }
    }

    pub(super) fn class_id(&self) -> ClassId {
        self.class_id
    }

    pub(super) fn ancestors(&self) -> &[ClassId] {
        &self.ancestors
    }

    /// Returns whether the object meets a condition, with the status that the frame shows.
    pub(super) fn meets(&self, condition: &Condition) -> bool {
        condition.holds(self.class_id, &self.body, Some(self.status.status()))
    }

    /// Renders the answer to a POST that wants to see what it changed; records are not part of that.
    pub(crate) fn answer(events: &[Self], format: Format) -> Answer {
        let changed: Vec<String> = events
            .iter()
            .filter(|event| event.class_id != class::known("aaaModLR").id)
            .map(|event| event.to_object(format, &[]))
            .collect();
        Answer::of_objects(format, &changed)
    }

    /// Renders the websocket frame that tells these subscriptions.
    pub(crate) fn to_frame(&self, format: Format, subscription_ids: &[String]) -> String {
        let object = self.to_object(format, &[("rn", "")]);
        match format {
            Format::Json => {
                let ids: Vec<String> = subscription_ids.iter().map(|id| format!("\"{id}\"")).collect();
                format!("{{\"subscriptionId\":[{}],\"imdata\":[{object}]}}", ids.join(","))
            }
            Format::Xml => {
                let ids = subscription_ids.join(",");
                format!("{}<imdata subscriptionId=\"{ids}\">{object}</imdata>", render::XML_PROLOG)
            }
        }
    }

    fn to_object(&self, format: Format, more: &[(&str, &str)]) -> String {
        let mut attributes: Vec<(&str, &str)> = self.attributes.iter().map(|(name, value)| (*name, &**value)).collect();
        attributes.extend([("dn", self.dn.as_str()), ("status", self.status.status())]);
        attributes.extend(more);
        attributes.sort_unstable_by_key(|(name, _)| *name);
        render::plain_object(format, self.class, &attributes)
    }
}
