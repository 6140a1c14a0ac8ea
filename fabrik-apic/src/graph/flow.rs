//! The graph as a canvas stores it, and its shape: which class follows which, and what belongs to it.

use fabrik_core::process::StepSpec;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::GraphError;
use super::variables::Variable;

/// The most nodes that a graph has.
const MAX_NODES: usize = 500;

/// A graph of nodes. What only a canvas needs is kept and does not count.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Flow {
    /// The nodes, in no particular order.
    pub nodes: Vec<Node>,
    /// What follows what.
    pub edges: Vec<Edge>,
    /// Values that are given for each run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub variables: Vec<Variable>,
    /// Steps that work on the rows after those of the post-processor nodes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub post_processors: Vec<StepSpec>,
    /// Everything else.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// A node of a graph.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Node {
    /// Unique within the graph.
    pub id: String,
    /// `startNode`, `classNode`, `filterNode`, `postProcessorNode` or `outputNode`.
    #[serde(rename = "type")]
    pub kind: String,
    /// What it says, by its kind.
    #[serde(default)]
    pub data: Map<String, Value>,
    /// Everything else, such as the position.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// Says that one node follows another.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Edge {
    /// The id of the node before.
    pub source: String,
    /// The id of the node after.
    pub target: String,
    /// How it is to be used, such as `{"edgeType":"pipeline"}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<Value>,
    /// Everything else.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

impl Node {
    pub(super) fn is(&self, kind: Kind) -> bool {
        Kind::of(&self.kind) == Some(kind)
    }

    /// Returns how far down it lies on the canvas.
    fn height(&self) -> Option<f64> {
        self.rest.get("position")?.get("y")?.as_f64()
    }
}

impl Edge {
    pub(super) fn is_pipeline(&self) -> bool {
        let kind = |value: &Value| value.get("edgeType").and_then(Value::as_str) == Some("pipeline");
        self.data.as_ref().is_some_and(kind) || self.rest.get("type").and_then(Value::as_str) == Some("pipeline")
    }
}

/// What a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Start,
    Class,
    Filter,
    PostProcessor,
    Output,
}

impl Kind {
    pub(super) fn of(name: &str) -> Option<Self> {
        Some(match name {
            "startNode" | "start" => Self::Start,
            "classNode" | "class" => Self::Class,
            "filterNode" | "filter" => Self::Filter,
            "postProcessorNode" | "postProcessor" => Self::PostProcessor,
            "outputNode" | "output" => Self::Output,
            _ => return None,
        })
    }
}

/// The part of a graph that leads to the rows which are wanted.
#[derive(Debug)]
pub(super) struct Path<'f> {
    /// The classes from the root to the target, at least one, each with its filters in their order.
    pub(super) classes: Vec<(&'f Node, Vec<&'f Node>)>,
    /// The post-processors, in the order in which they run.
    pub(super) processors: Vec<&'f Node>,
}

impl Flow {
    /// Checks what every graph must keep to: ids, kinds, edges between nodes that are there and fit each other.
    ///
    /// # Errors
    ///
    /// A [`GraphError`] that names the node or edge.
    pub fn check(&self) -> Result<(), GraphError> {
        if self.nodes.len() > MAX_NODES {
            return Err(GraphError::new("nodes", self.nodes.len().to_string(), format!("at most {MAX_NODES} nodes")));
        }
        for (i, node) in self.nodes.iter().enumerate() {
            if node.id.is_empty() || self.nodes[..i].iter().any(|other| other.id == node.id) {
                return Err(GraphError::new("id", &*node.id, "an id that no other node has").at(&node.id));
            }
            if Kind::of(&node.kind).is_none() {
                let expected = "startNode, classNode, filterNode, postProcessorNode or outputNode";
                return Err(GraphError::new("type", &*node.kind, expected).at(&node.id));
            }
        }
        let count = |kind: Kind| self.nodes.iter().filter(|node| node.is(kind)).count();
        for (kind, name) in [(Kind::Start, "startNode"), (Kind::Output, "outputNode")] {
            if count(kind) > 1 {
                return Err(GraphError::new("nodes", format!("{} of {name}", count(kind)), "one of them at most"));
            }
        }
        for edge in &self.edges {
            self.check_edge(edge)?;
        }
        for node in &self.nodes {
            let before: Vec<&str> = self.before(node).map(|node| node.id.as_str()).collect();
            if before.len() > 1 {
                return Err(GraphError::new("edges", before.join(", "), "one edge into a node").at(&node.id));
            }
            // One edge in for each node, so that whoever walks back either ends or comes round.
            let mut at = node;
            for _ in 0..=self.nodes.len() {
                match self.before(at).next() {
                    Some(previous) => at = previous,
                    None => break,
                }
            }
            if self.before(at).next().is_some() {
                return Err(GraphError::new("edges", &*at.id, "edges that do not lead in a circle").at(&at.id));
            }
        }
        Ok(())
    }

    fn check_edge(&self, edge: &Edge) -> Result<(), GraphError> {
        let name = format!("{} → {}", edge.source, edge.target);
        let find = |id: &str| {
            let found = self.nodes.iter().find(|node| node.id == id).and_then(|node| Kind::of(&node.kind));
            found.ok_or_else(|| GraphError::new("edge", name.as_str(), "an edge between nodes of the graph").at(id))
        };
        let (source, target) = (find(&edge.source)?, find(&edge.target)?);
        if edge.is_pipeline() {
            let expected = "a graph of one stage; stages that feed one another are a pipeline";
            return Err(GraphError::new("edge", name, expected).at(&edge.source));
        }
        let fits = match (source, target) {
            (Kind::Start, to) => to == Kind::Class,
            (Kind::Class | Kind::Filter, to) => to != Kind::Start,
            (Kind::PostProcessor, to) => matches!(to, Kind::PostProcessor | Kind::Output),
            (Kind::Output, _) => false,
        };
        let expected =
            "an edge from a start to a class, from a class or filter on, or from a post-processor to the output";
        if fits { Ok(()) } else { Err(GraphError::new("edge", name, expected).at(&edge.source)) }
    }

    /// Returns the nodes with an edge to this one.
    fn before<'f>(&'f self, node: &Node) -> impl Iterator<Item = &'f Node> {
        let sources: Vec<&str> =
            self.edges.iter().filter(|edge| edge.target == node.id).map(|edge| edge.source.as_str()).collect();
        self.nodes.iter().filter(move |node| sources.contains(&node.id.as_str()))
    }

    pub(super) fn after<'f>(&'f self, node: &Node) -> impl Iterator<Item = &'f Node> {
        let targets: Vec<&str> =
            self.edges.iter().filter(|edge| edge.source == node.id).map(|edge| edge.target.as_str()).collect();
        self.nodes.iter().filter(move |node| targets.contains(&node.id.as_str()))
    }

    /// Finds what leads to the rows that are wanted, or to those that are there at the node `up_to`.
    ///
    /// The graph must have passed [`Flow::check`].
    pub(super) fn path(&self, up_to: Option<&str>) -> Result<Path<'_>, GraphError> {
        let none = || GraphError::new("nodes", "", "a graph with at least one classNode");
        let (end, whole) = match up_to {
            Some(id) => {
                let found = self.nodes.iter().find(|node| node.id == id);
                let end =
                    found.ok_or_else(|| GraphError::new("preview_node_id", id, "the id of a node of the graph"))?;
                (end, end.is(Kind::Output))
            }
            None => {
                let output = self.nodes.iter().find(|node| node.is(Kind::Output));
                let class = self.nodes.iter().rev().find(|node| node.is(Kind::Class));
                (output.or(class).ok_or_else(none)?, true)
            }
        };
        // From the end to the root.
        let back: Vec<&Node> = std::iter::successors(Some(end), |node| self.before(node).next()).collect();
        let classes: Vec<&Node> = back.iter().copied().filter(|node| node.is(Kind::Class)).collect();
        if classes.is_empty() {
            let expected = "a node that a classNode leads to";
            return Err(if up_to.is_some() || self.nodes.iter().any(|node| node.is(Kind::Class)) {
                GraphError::new("edges", &*end.id, expected).at(&end.id)
            } else {
                none()
            });
        }
        let target = classes[0];
        let classes = classes.iter().rev().map(|class| {
            let cut = up_to.filter(|_| class.id == target.id && !whole);
            (*class, self.filters_of(class, cut.map(|_| &back[..])))
        });
        let classes: Vec<_> = classes.collect();
        let mut processors: Vec<&Node> = match whole {
            // Those of the target's branch, also where no output follows them.
            true => self.below(target).into_iter().filter(|node| node.is(Kind::PostProcessor)).collect(),
            false => back.iter().rev().copied().filter(|node| node.is(Kind::PostProcessor)).collect(),
        };
        // From top to bottom on the canvas; without positions, along the edges.
        if processors.iter().all(|node| node.height().is_some()) {
            processors.sort_by(|before, after| {
                before.height().partial_cmp(&after.height()).unwrap_or(std::cmp::Ordering::Equal)
            });
        }
        Ok(Path { classes, processors })
    }

    /// Returns the filters up to the next class or the output; with `only`, those of them that are there.
    fn filters_of<'f>(&'f self, class: &'f Node, only: Option<&[&Node]>) -> Vec<&'f Node> {
        let mut filters = Vec::new();
        let mut waiting: Vec<&Node> = self.after(class).collect();
        while let Some(node) = waiting.pop() {
            if node.is(Kind::Filter) {
                filters.push(node);
                waiting.extend(self.after(node));
            }
        }
        if let Some(only) = only {
            filters.retain(|filter| only.iter().any(|node| node.id == filter.id));
        }
        // In the order of the graph's list, whatever the order of its edges.
        filters.sort_by_key(|filter| self.nodes.iter().position(|node| node.id == filter.id));
        filters
    }

    /// Returns the filters and post-processors after a class, up to the next class.
    fn below<'f>(&'f self, class: &'f Node) -> Vec<&'f Node> {
        let mut found = Vec::new();
        let mut next: std::collections::VecDeque<&Node> = self.after(class).collect();
        while let Some(node) = next.pop_front() {
            if matches!(Kind::of(&node.kind), Some(Kind::Filter | Kind::PostProcessor)) {
                found.push(node);
                next.extend(self.after(node));
            }
        }
        found
    }
}
