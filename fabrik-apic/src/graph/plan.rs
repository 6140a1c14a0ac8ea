//! From a question to what a controller is asked.
//!
//! The target class is asked for directly, so that every row has a DN and the answer can be paged. What stands above it
//! goes into a text that its DN must contain; parents with conditions that no DN can express are read first.

use std::fmt;
use std::str::FromStr;

use fabrik_core::process::StepSpec;
use serde::Serialize;

use super::GraphError;
use super::chain::{self, Link, RnPattern, is_directly_below};
use super::check::RowCheck;
use super::condition::{Condition, Join, and, plain_part};
use super::flow::Flow;
use super::model::{Containment, may_contain};
use super::node::{self, Scope};
use super::question::{PlainQuery, Question, wanted_class};
use super::variables::{Variables, substitute};
use crate::dn;
use crate::filter::{Filter, Property};
use crate::query::{ApicQuery, QueryTarget};

/// How the rows are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Strategy {
    /// One object by its DN.
    Mo,
    /// All objects of a class below one object.
    MoPartial,
    /// All objects of a class.
    Class,
    /// All objects of a class that a node has, or that nodes have.
    NodeClass,
}

impl Strategy {
    pub(super) const FORCED: &str = "MO, Class or NodeClass";

    /// Returns the name: `mo`, `mo_partial`, `class` or `node_class`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Mo => "mo",
            Self::MoPartial => "mo_partial",
            Self::Class => "class",
            Self::NodeClass => "node_class",
        }
    }
}

impl fmt::Display for Strategy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Strategy {
    type Err = GraphError;

    /// Reads what a strategy can be forced to be: `MO`, `Class` or `NodeClass`, in any case.
    fn from_str(text: &str) -> Result<Self, GraphError> {
        match text.to_ascii_lowercase().replace(['_', '-'], "").as_str() {
            "mo" => Ok(Self::Mo),
            "class" => Ok(Self::Class),
            "nodeclass" => Ok(Self::NodeClass),
            _ => Err(GraphError::new("force_strategy", text, Self::FORCED)),
        }
    }
}

/// What a query costs a controller, by experience.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Cost {
    /// Less than a second.
    Low,
    /// Up to three seconds.
    Medium,
    /// More.
    High,
}

/// How a question is compiled.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct CompileOptions {
    /// The values of the graph's variables.
    pub variables: Variables,
    /// Only up to this node.
    pub preview_node_id: Option<String>,
    /// In place of the strategy that is found.
    pub force_strategy: Option<Strategy>,
}

impl CompileOptions {
    /// Sets the values of the variables.
    #[must_use]
    pub fn with_variables(mut self, variables: Variables) -> Self {
        self.variables = variables;
        self
    }

    /// Compiles up to a node only.
    #[must_use]
    pub fn with_preview_node(mut self, id: impl Into<String>) -> Self {
        self.preview_node_id = Some(id.into());
        self
    }

    /// Forces a strategy.
    #[must_use]
    pub fn with_strategy(mut self, strategy: Strategy) -> Self {
        self.force_strategy = Some(strategy);
        self
    }
}

/// What a controller is asked, and what happens to the answer.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Plan {
    /// How the rows are asked for.
    pub strategy: Strategy,
    /// The class of the rows, where it is one.
    pub target: Option<String>,
    /// What is read before, in this order.
    pub steps: Vec<Step>,
    /// What the rows are read with.
    pub query: ApicQuery,
    /// The steps that work on the rows, in this order.
    pub processors: Vec<StepSpec>,
    /// What all queries cost together.
    pub estimated_cost: Cost,
    /// What could be better, in words.
    pub suggestions: Vec<String>,
    /// What the plan is made of.
    pub metadata: PlanMetadata,
    pub(super) check: RowCheck,
}

/// Objects that are read before the rows, because a DN cannot tell which of them are meant.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Step {
    /// Their class.
    pub class: String,
    /// What they are read with.
    pub query: ApicQuery,
    pub(super) check: RowCheck,
}

/// What a plan is made of.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct PlanMetadata {
    /// The classes from the root to the target.
    pub chain: Vec<String>,
    /// The DN that is asked about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dn: Option<String>,
    /// How many conditions there are.
    pub conditions: usize,
    /// The paths that are read before.
    pub steps: Vec<String>,
    /// Whether rows are left out on this side, after the controller has sent them.
    pub checked_here: bool,
    /// What all queries take together, in milliseconds, by experience.
    pub estimated_ms: u64,
}

impl Plan {
    /// Returns the path of the query as a person would send it.
    #[must_use]
    pub fn path(&self) -> String {
        let path = self.query.to_string();
        match (self.strategy, path.strip_prefix("/api/class/")) {
            // Another spelling of the same question.
            (Strategy::NodeClass, Some(rest)) => format!("/api/node/class/{rest}"),
            _ => path,
        }
    }

    fn of_plain(plain: &PlainQuery) -> Result<Self, GraphError> {
        let query = plain.to_query()?;
        let (strategy, filtered) = match query.target() {
            QueryTarget::Object(_) => (Strategy::Mo, true),
            QueryTarget::NodeClass { .. } => (Strategy::NodeClass, true),
            QueryTarget::Classes(_) => (Strategy::Class, query.option("query-target-filter").is_some()),
        };
        let only = wanted_class(&query);
        let target = only.clone().or_else(|| query.hit_class().map(str::to_owned));
        let check = RowCheck { only, ..RowCheck::default() };
        let mut plan = Self {
            strategy,
            target: target.clone(),
            steps: Vec::new(),
            query,
            processors: plain.post_processors.clone(),
            estimated_cost: Cost::Low,
            suggestions: Vec::new(),
            metadata: PlanMetadata { chain: target.into_iter().collect(), ..PlanMetadata::default() },
            check,
        };
        plan.metadata.conditions = usize::from(plan.query.option("query-target-filter").is_some());
        plan.finish(filtered);
        Ok(plan)
    }

    /// Adds what follows from the rest.
    fn finish(&mut self, filtered: bool) {
        let class_ms = |filtered: bool| if filtered { 1500 } else { 4000 };
        let own: u64 = match self.strategy {
            Strategy::Mo | Strategy::MoPartial => 300,
            Strategy::Class => class_ms(filtered),
            Strategy::NodeClass => 6000,
        };
        let before: u64 =
            self.steps.iter().map(|step| class_ms(step.query.option("query-target-filter").is_some())).sum();
        self.metadata.estimated_ms = own + before;
        self.estimated_cost = match own + before {
            ..1000 => Cost::Low,
            1000..3000 => Cost::Medium,
            _ => Cost::High,
        };
        self.metadata.steps = self.steps.iter().map(|step| step.query.to_string()).collect();
        self.metadata.checked_here = !self.check.is_empty();
        if self.strategy == Strategy::Class && !filtered {
            let class = self.target.as_deref().unwrap_or("these classes");
            self.suggestions.push(format!("no filter: all objects of {class} are read"));
        }
    }
}

/// Compiles a question.
///
/// # Errors
///
/// A [`GraphError`] that names the node, the field, its value and what was expected.
pub fn compile(question: &Question, options: &CompileOptions) -> Result<Plan, GraphError> {
    match question {
        Question::Plain(plain) => match options.variables.keys().next() {
            Some(id) => Err(GraphError::new("variables", id, "no variables: a plain query has none")),
            None => Plan::of_plain(plain),
        },
        Question::Graph(flow) => compile_flow(flow, options),
    }
}

fn compile_flow(flow: &Flow, options: &CompileOptions) -> Result<Plan, GraphError> {
    flow.check()?;
    let flow = substitute(flow, &options.variables)?;
    let path = flow.path(options.preview_node_id.as_deref())?;
    let links = path.classes.iter().map(|(class, filters)| Link::new(class, filters)).collect::<Result<Vec<_>, _>>()?;
    let mut processors = path.processors.iter().map(|node| node::step(node)).collect::<Result<Vec<_>, _>>()?;
    if options.preview_node_id.is_none() {
        processors.extend(flow.post_processors.iter().cloned());
    }
    let (target_node, _) = path.classes.last().expect("a path has a class");
    Chain { links }.plan(options, processors).map_err(|error| error.at(&target_node.id))
}

/// The classes of a graph from the root to the target, at least one.
struct Chain {
    links: Vec<Link>,
}

impl Chain {
    fn target(&self) -> &Link {
        self.links.last().expect("a chain has a class")
    }

    fn parents(&self) -> &[Link] {
        &self.links[..self.links.len() - 1]
    }

    fn plan(&self, options: &CompileOptions, processors: Vec<StepSpec>) -> Result<Plan, GraphError> {
        let target = self.target();
        let forced = options.force_strategy.or(target.spec.strategy);
        let clean = self.parents().iter().all(|parent| parent.others.is_empty());
        let dn = chain::dn_of(&self.links).filter(|_| clean);
        let parent_dn = chain::dn_of(self.parents()).filter(|_| clean);
        let own_only = target.spec.scope == Scope::Own || target.others.is_empty();

        let found = match (&dn, &parent_dn) {
            (Some(dn), _) if own_only => Some((Strategy::Mo, dn.clone())),
            (_, Some(parent)) if target.conditions.is_empty() => Some((Strategy::MoPartial, parent.clone())),
            _ => None,
        };
        let (strategy, query, dn) = match (forced, found) {
            (None | Some(Strategy::Mo | Strategy::MoPartial), Some((strategy, dn))) => {
                let query = ApicQuery::object(&dn)?;
                (strategy, self.with_mo_options(query, strategy)?, Some(dn))
            }
            (Some(Strategy::Mo | Strategy::MoPartial), None) => {
                let expected = "a chain whose objects all are named by equalities, or Class";
                return Err(GraphError::new("force_strategy", "MO", expected));
            }
            (forced, _) => {
                let strategy = forced.unwrap_or(Strategy::Class);
                let node = parent_dn.as_deref().filter(|dn| strategy == Strategy::NodeClass && is_node(dn));
                let query = match node {
                    Some(node) => ApicQuery::node_class(node, &target.spec.class)?,
                    None => ApicQuery::class(&target.spec.class)?,
                };
                (strategy, query, dn)
            }
        };
        let by_class = matches!(strategy, Strategy::Class | Strategy::NodeClass);
        let first = self.first_that_counts();
        let above = if strategy == Strategy::Mo { Vec::new() } else { self.above(first, self.links.len() - 1) };
        let steps = if by_class { self.steps(first)? } else { Vec::new() };
        // One node is asked about what is below it anyhow.
        let is_of_node = matches!(query.target(), QueryTarget::NodeClass { .. });
        let said_from = if is_of_node { self.links.len() - 1 } else { first };
        let query = if by_class { self.with_class_options(query, said_from, dn.as_deref())? } else { query };
        let filtered = !by_class || query.option("query-target-filter").is_some();
        let condition = Join::And.of(target.conditions.clone()).rest();
        let check = RowCheck {
            class: target.spec.class.clone(),
            above,
            condition,
            joined: self.joined(first, self.links.len() - 1).filter(|_| by_class),
            only: None,
        };
        let loose = ["no-scoped", "count"].into_iter().find(|option| target.spec.include.contains(option));
        if let Some(option) = loose
            && !(check.is_empty() || strategy == Strategy::Mo && check.condition.is_none())
        {
            let expected =
                "neither countOnly nor noScoped where rows are told apart by what is above them or by patterns";
            return Err(GraphError::new("supplementalData", option, expected));
        }
        let mut plan = Plan {
            strategy,
            target: Some(target.spec.class.clone()),
            steps,
            query,
            processors,
            estimated_cost: Cost::Low,
            suggestions: self.suggestions(),
            metadata: PlanMetadata {
                chain: self.links.iter().map(|link| link.spec.class.clone()).collect(),
                dn,
                conditions: self.links.iter().map(|link| link.conditions.len()).sum(),
                ..PlanMetadata::default()
            },
            check,
        };
        plan.finish(filtered);
        Ok(plan)
    }

    /// Returns the first parent that says more than the class below it does.
    fn first_that_counts(&self) -> usize {
        self.links.windows(2).take_while(|pair| pair[0].is_implied_by(&pair[1])).count()
    }

    /// Returns what stands above the link at `place`, from the link at `first` on.
    fn above(&self, first: usize, place: usize) -> Vec<(RnPattern, bool)> {
        let pairs = self.links[..=place].windows(2).skip(first);
        pairs.map(|pair| (pair[0].pattern(), is_directly_below(&pair[0], &pair[1]))).collect()
    }

    /// Returns whether a link must be below objects that were read before, and if so, whether directly.
    fn joined(&self, first: usize, place: usize) -> Option<bool> {
        let last = (first..place).rev().find(|before| self.links[*before].must_be_read())?;
        Some(last + 1 == place && is_directly_below(&self.links[last], &self.links[place]))
    }

    fn steps(&self, first: usize) -> Result<Vec<Step>, GraphError> {
        let places = (first..self.links.len() - 1).filter(|place| self.links[*place].must_be_read());
        places
            .map(|place| {
                let link = &self.links[place];
                let class = &link.spec.class;
                let condition = Join::And.of(link.conditions.clone());
                let mut query = ApicQuery::class(class)?;
                if let Some(filter) = self.filter(first, place, None)? {
                    query = query.with_filter(&filter);
                }
                let condition = condition.rest();
                // What is checked here must come along; else the DNs are enough.
                if condition.is_none() {
                    query = query.with("rsp-prop-include", "naming-only");
                }
                let check = RowCheck {
                    class: class.clone(),
                    above: self.above(first, place),
                    condition,
                    joined: self.joined(first, place),
                    only: None,
                };
                Ok(Step { class: class.clone(), query, check })
            })
            .collect()
    }

    /// Returns what a controller is asked of the objects of a link: their conditions, and what their DN must contain.
    fn filter(&self, first: usize, place: usize, dn: Option<&str>) -> Result<Option<Filter>, GraphError> {
        let link = &self.links[place];
        let class = &link.spec.class;
        let of_dn =
            || Property::new(class, "dn").map_err(|error| GraphError::new("className", class, error.to_string()));
        let mut filters: Vec<Filter> = Vec::new();
        match dn {
            Some(dn) => filters.push(Filter::eq(of_dn()?, dn)),
            None => {
                for text in self.texts_above(first, place) {
                    filters.push(Filter::wcard(of_dn()?, text));
                }
            }
        }
        let own = Condition::Join(Join::And, link.conditions.clone());
        let own: Vec<Condition> = own.conjuncts();
        for condition in &own {
            filters.extend(condition.to_filter(class)?);
        }
        Ok((!filters.is_empty()).then(|| and(filters)))
    }

    /// Returns texts that the DN of every object at `place` contains, because of what is above it.
    fn texts_above(&self, first: usize, place: usize) -> Vec<String> {
        let mut texts = Vec::new();
        let mut text = match chain::dn_above(&self.links[first].spec.class) {
            Some(dn) if dn.is_empty() => String::new(),
            Some(dn) => format!("{dn}/"),
            None => "/".to_owned(),
        };
        let flush = |text: &mut String, texts: &mut Vec<String>| {
            let plain = plain_part(text);
            if plain.trim_matches('/').len() > 1 {
                texts.push(plain.to_owned());
            }
            "/".clone_into(text);
        };
        for (pattern, is_direct) in self.above(first, place) {
            match pattern {
                RnPattern::Exact(rn) => {
                    text.push_str(&rn);
                    text.push('/');
                    if !is_direct {
                        flush(&mut text, &mut texts);
                    }
                }
                RnPattern::Prefix(prefix) => {
                    text.push_str(prefix);
                    flush(&mut text, &mut texts);
                }
                RnPattern::Any => flush(&mut text, &mut texts),
            }
        }
        if first < place && text.len() > 1 {
            flush(&mut text, &mut texts);
        }
        texts
    }

    fn with_mo_options(&self, query: ApicQuery, strategy: Strategy) -> Result<ApicQuery, GraphError> {
        let target = self.target();
        let scope = target.spec.scope;
        let mut query = match (strategy, scope) {
            (Strategy::Mo, Scope::Own) => query,
            (Strategy::Mo, scope) => query.with("query-target", scope.name()),
            (_, scope) => {
                let below = query.with("query-target", "subtree").with("target-subtree-class", &target.spec.class);
                scope.nested().map_or(below.clone(), |nested| below.with("rsp-subtree", nested))
            }
        };
        // Equalities that the DN says already are not said again.
        for condition in &target.others {
            if let Some(filter) = condition.to_filter(&target.spec.class)? {
                query = query.with_filter(&filter);
            }
        }
        Ok(self.with_spec_options(query))
    }

    fn with_class_options(&self, query: ApicQuery, first: usize, dn: Option<&str>) -> Result<ApicQuery, GraphError> {
        let mut query = query;
        if let Some(filter) = self.filter(first, self.links.len() - 1, dn)? {
            query = query.with_filter(&filter);
        }
        if let Some(nested) = self.target().spec.scope.nested() {
            query = query.with("rsp-subtree", nested);
        }
        Ok(self.with_spec_options(query))
    }

    fn with_spec_options(&self, query: ApicQuery) -> ApicQuery {
        let spec = &self.target().spec;
        let query = match &spec.properties {
            Some(properties) => query.with("rsp-prop-include", properties),
            None => query,
        };
        if spec.include.is_empty() { query } else { query.with("rsp-subtree-include", &spec.include.join(",")) }
    }

    fn suggestions(&self) -> Vec<String> {
        let mut suggestions = Vec::new();
        for pair in self.links.windows(2) {
            let (above, below) = (&pair[0].spec.class, &pair[1].spec.class);
            match may_contain(above, below) {
                Containment::Yes => {}
                Containment::No => {
                    suggestions.push(format!("{below} is not directly below {above}: any depth is taken"))
                }
                Containment::Unknown => {
                    suggestions
                        .push(format!("it is not known whether {below} is directly below {above}: any depth is taken"));
                }
            }
        }
        for parent in self.parents().iter().filter(|parent| parent.must_be_read()) {
            let class = &parent.spec.class;
            suggestions.push(match parent.format {
                None => format!("{class} is read first, because it is not known how its objects are named"),
                Some(format) => format!(
                    "{class} is read first; an equality on {} would make that unnecessary",
                    format.properties().join(" and ")
                ),
            });
        }
        suggestions
    }
}

/// Returns whether a DN is that of a node, `topology/pod-1/node-101`.
fn is_node(dn: &str) -> bool {
    let rns: Vec<&str> = dn::split(dn).collect();
    matches!(rns[..], ["topology", pod, node] if pod.starts_with("pod-") && node.starts_with("node-"))
}
