//! Whether two questions mean the same, and how the version of a saved query rises when they do not.
//!
//! A question is written in a normal form: what only a canvas needs, the ids of nodes, the order of fields, of filters and
//! of nodes, and paused steps are not in it. What decides which objects and columns there are, is its structure: classes,
//! what is below what, scope, options. Filters, post-processors and variables are the rest.

use std::fmt::{self, Write as _};

use aws_lc_rs::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::flow::{Flow, Kind, Node};
use super::node::{self, ClassSpec};
use super::question::{PlainQuery, Question};

/// The hashes of a question's meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Fingerprint {
    structure: [u8; 32],
    whole: [u8; 32],
}

impl Fingerprint {
    /// Computes the hashes of a question, which need not compile.
    #[must_use]
    pub fn of(question: &Question) -> Self {
        let form = Form::of(question);
        let hash = |text: &str| digest(&SHA256, text.as_bytes()).as_ref().try_into().expect("SHA-256 has 32 bytes");
        Self { structure: hash(&form.structure), whole: hash(&form.whole()) }
    }

    /// Returns whether classes, edges and scopes are the same.
    #[must_use]
    pub fn has_structure_of(&self, other: &Self) -> bool {
        self.structure == other.structure
    }
}

impl fmt::Display for Fingerprint {
    /// Writes `sha256:` and eight digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("sha256:")?;
        self.whole[..4].iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The number of a version, such as 2.3.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Version {
    /// Rises with the structure.
    pub major: u32,
    /// Rises with the rest, and is 0 again when the other rises.
    pub minor: u32,
}

impl Version {
    /// The version of a new query.
    pub const FIRST: Self = Self { major: 1, minor: 0 };
}

impl Default for Version {
    fn default() -> Self {
        Self::FIRST
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// Which part of a version rises.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Change {
    /// Classes, edges, scopes or options.
    Major,
    /// Filters, post-processors or variables.
    Minor,
}

/// A new version of a question, for its history.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rise {
    /// The new number.
    pub version: Version,
    /// The new hashes.
    pub fingerprint: Fingerprint,
    /// Which part rose.
    pub change: Change,
    /// What has changed, in words.
    pub changes: String,
}

/// Compares two questions; `None` when they mean the same.
#[must_use]
pub fn rise(current: Version, older: &Question, newer: &Question) -> Option<Rise> {
    let (before, after) = (Form::of(older), Form::of(newer));
    let changes = before.changes_to(&after);
    let (version, change) = if before.structure != after.structure {
        (Version { major: current.major.saturating_add(1), minor: 0 }, Change::Major)
    } else if before.whole() != after.whole() {
        (Version { major: current.major, minor: current.minor.saturating_add(1) }, Change::Minor)
    } else {
        return None;
    };
    Some(Rise { version, fingerprint: Fingerprint::of(newer), change, changes })
}

/// A question in its normal form.
#[derive(Debug, Default)]
struct Form {
    structure: String,
    /// Filters where they belong.
    filters: String,
    processors: String,
    variables: String,
    /// The classes, for the words of a history.
    classes: Vec<String>,
}

impl Form {
    fn of(question: &Question) -> Self {
        match question {
            Question::Graph(flow) => Self::of_flow(flow),
            Question::Plain(plain) => Self::of_plain(plain),
        }
    }

    fn whole(&self) -> String {
        canonical(&json!([self.structure, self.filters, self.processors, self.variables]))
    }

    fn of_plain(plain: &PlainQuery) -> Self {
        let steps = plain.post_processors.iter().filter(|step| !step.is_paused);
        let steps: Vec<Value> = steps.map(|step| json!([step.kind(), step.config])).collect();
        let mut form = Self { processors: canonical(&steps.into()), ..Self::default() };
        match plain.to_query() {
            Ok(query) => {
                let is_filter = |name: &str| name.ends_with("-filter");
                let mut options: Vec<(&str, &str)> = query.options().collect();
                options.sort_unstable();
                let (filters, options): (Vec<_>, Vec<_>) = options.into_iter().partition(|(name, _)| is_filter(name));
                form.structure = canonical(&json!([format!("{:?}", query.target()), options]));
                form.filters = canonical(&json!(filters));
                form.classes = query.hit_class().map(str::to_owned).into_iter().collect();
            }
            // What cannot be asked still differs from other things that cannot.
            Err(_) => {
                form.structure = canonical(&json!([plain.class, plain.path, plain.scope, plain.options]));
                form.filters = canonical(&json!(plain.filter));
            }
        }
        form
    }

    fn of_flow(flow: &Flow) -> Self {
        let is_below = |class: &Node| {
            flow.nodes
                .iter()
                .any(|node| node.is(Kind::Class) && after(flow, node).next.iter().any(|n| n.id == class.id))
        };
        let classes: Vec<&Node> = flow.nodes.iter().filter(|node| node.is(Kind::Class)).collect();
        let mut roots: Vec<&Node> = classes.iter().copied().filter(|class| !is_below(class)).collect();
        if roots.is_empty() {
            // A circle, which will not compile.
            roots.clone_from(&classes);
        }
        let trees = roots.iter().map(|root| Tree::of(flow, root, &mut Vec::new()));
        let mut trees: Vec<Tree> = trees.collect();
        trees.sort_by_cached_key(|tree| (tree.structure.to_string(), tree.filters.to_string()));
        let mut processors: Vec<Value> = match flow.path(None) {
            Ok(path) => path.processors.iter().filter_map(|node| processor(node)).collect(),
            Err(_) => flow.nodes.iter().filter(|node| node.is(Kind::PostProcessor)).filter_map(processor).collect(),
        };
        let steps = flow.post_processors.iter().filter(|step| !step.is_paused);
        processors.extend(steps.map(|step| json!([step.kind(), step.config])));
        let mut variables: Vec<Value> = flow
            .variables
            .iter()
            .map(|variable| {
                let binding = variable.binding.as_ref().map(|binding| {
                    let node = flow.nodes.iter().find(|node| node.id == binding.node_id);
                    json!([node.map(|node| &node.kind), node.map(class_form), binding.field_path])
                });
                json!([
                    variable.id,
                    variable.kind,
                    variable.required,
                    variable.default_value,
                    variable.options,
                    binding
                ])
            })
            .collect();
        variables.sort_by_cached_key(canonical);
        let mut names: Vec<String> =
            classes.iter().map(|class| node::text(&class.data, "className").unwrap_or_default()).collect();
        names.sort();
        Self {
            structure: canonical(&trees.iter().map(|tree| tree.structure.clone()).collect::<Vec<_>>().into()),
            filters: canonical(&trees.iter().map(|tree| tree.filters.clone()).collect::<Vec<_>>().into()),
            processors: canonical(&processors.into()),
            variables: canonical(&variables.into()),
            classes: names,
        }
    }

    fn changes_to(&self, newer: &Self) -> String {
        let missing_in = |from: &[String], all: &[String]| -> Vec<String> {
            let mut rest = all.to_vec();
            let gone = from.iter().filter(|class| match rest.iter().position(|have| have == *class) {
                Some(place) => {
                    rest.swap_remove(place);
                    false
                }
                None => true,
            });
            gone.cloned().collect()
        };
        let (added, removed) = (missing_in(&newer.classes, &self.classes), missing_in(&self.classes, &newer.classes));
        let mut changes = Vec::new();
        if !added.is_empty() {
            changes.push(format!("added {}", added.join(", ")));
        }
        if !removed.is_empty() {
            changes.push(format!("removed {}", removed.join(", ")));
        }
        if self.structure != newer.structure && changes.is_empty() {
            changes.push("changed scope, options or edges".to_owned());
        }
        for (what, before, after) in [
            ("filters", &self.filters, &newer.filters),
            ("post-processors", &self.processors, &newer.processors),
            ("variables", &self.variables, &newer.variables),
        ] {
            // With other classes the filters stand elsewhere, which says nothing more.
            if before != after && !(what == "filters" && self.classes != newer.classes) {
                changes.push(format!("changed {what}"));
            }
        }
        changes.join("; ")
    }
}

/// A class with the classes below it.
struct Tree {
    structure: Value,
    filters: Value,
}

/// What follows a class.
struct After<'f> {
    filters: Vec<&'f Node>,
    next: Vec<&'f Node>,
    has_output: bool,
}

fn after<'f>(flow: &'f Flow, class: &Node) -> After<'f> {
    let mut found = After { filters: Vec::new(), next: Vec::new(), has_output: false };
    let mut seen: Vec<&str> = Vec::new();
    let mut waiting: Vec<&Node> = flow.after(class).collect();
    while let Some(node) = waiting.pop() {
        if seen.contains(&node.id.as_str()) {
            continue;
        }
        seen.push(&node.id);
        match Kind::of(&node.kind) {
            Some(Kind::Class) => found.next.push(node),
            Some(Kind::Output) => found.has_output = true,
            Some(Kind::Filter) => {
                found.filters.push(node);
                waiting.extend(flow.after(node));
            }
            Some(Kind::PostProcessor) => waiting.extend(flow.after(node)),
            Some(Kind::Start) | None => {}
        }
    }
    found
}

impl Tree {
    fn of<'f>(flow: &'f Flow, class: &'f Node, above: &mut Vec<&'f str>) -> Self {
        let After { filters, mut next, has_output } = after(flow, class);
        above.push(&class.id);
        next.retain(|node| !above.contains(&node.id.as_str()));
        let mut below: Vec<Self> = next.iter().map(|node| Self::of(flow, node, above)).collect();
        above.pop();
        below.sort_by_cached_key(|tree| (tree.structure.to_string(), tree.filters.to_string()));
        let mut own: Vec<String> = filters.iter().map(|filter| filter_form(class, filter)).collect();
        own.sort();
        let structures: Vec<&Value> = below.iter().map(|tree| &tree.structure).collect();
        let inner: Vec<&Value> = below.iter().map(|tree| &tree.filters).collect();
        Self { structure: json!([class_form(class), has_output, structures]), filters: json!([own, inner]) }
    }
}

fn class_form(node: &Node) -> String {
    match ClassSpec::of(node) {
        Ok(spec) => format!("{spec:?}"),
        Err(_) => canonical(&Value::Object(meaningful(&node.data))),
    }
}

fn filter_form(class: &Node, filter: &Node) -> String {
    let name = node::text(&class.data, "className").unwrap_or_default();
    match node::condition(&name, filter) {
        Ok(condition) => format!("{condition:?}"),
        Err(_) => canonical(&Value::Object(meaningful(&filter.data))),
    }
}

fn processor(node: &Node) -> Option<Value> {
    match node::step(node) {
        Ok(step) if step.is_paused => None,
        Ok(step) => Some(json!([step.kind(), step.config])),
        Err(_) => Some(Value::Object(meaningful(&node.data))),
    }
}

/// Leaves out what is only shown.
fn meaningful(data: &Map<String, Value>) -> Map<String, Value> {
    let shown = ["label", "description", "color", "icon", "selected", "width", "height"];
    data.iter().filter(|(name, _)| !shown.contains(&name.as_str())).map(|(n, v)| (n.clone(), v.clone())).collect()
}

/// Writes JSON with members in the order of their names.
fn canonical(value: &Value) -> String {
    fn append(value: &Value, out: &mut String) {
        match value {
            Value::Array(elements) => {
                out.push('[');
                for (i, element) in elements.iter().enumerate() {
                    out.push_str(if i == 0 { "" } else { "," });
                    append(element, out);
                }
                out.push(']');
            }
            Value::Object(members) => {
                let mut members: Vec<(&String, &Value)> = members.iter().collect();
                members.sort_by_key(|(name, _)| *name);
                out.push('{');
                for (i, (name, member)) in members.into_iter().enumerate() {
                    let comma = if i == 0 { "" } else { "," };
                    write!(out, "{comma}{}:", Value::from(name.as_str())).expect("a string takes everything");
                    append(member, out);
                }
                out.push('}');
            }
            plain => write!(out, "{plain}").expect("a string takes everything"),
        }
    }
    let mut out = String::new();
    append(value, &mut out);
    out
}
