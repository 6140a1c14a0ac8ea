//! Queries against an evaluator that knows nothing but a list of objects.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::dn;
use crate::filter::{Expression, Filter, Operator};

#[derive(Debug)]
struct Object {
    class: String,
    dn: String,
    attributes: BTreeMap<String, String>,
}

/// As small as a fabric gets: the evaluator compares every object with every other.
fn tiny() -> &'static Mit {
    static TINY: LazyLock<Mit> = LazyLock::new(|| fabric(600));
    &TINY
}

fn objects() -> &'static [Object] {
    static OBJECTS: LazyLock<Vec<Object>> = LazyLock::new(|| {
        let tree = &tiny().tree;
        let ids = class::all().iter().flat_map(|class| tree.of_class(class.id));
        ids.map(|&id| {
            let node = tree.node(id);
            let names = node.class().attributes.iter().map(|attribute| attribute.name.to_owned());
            let attributes = names.zip(node.body().values().map(str::to_owned)).collect();
            Object { class: node.class().name.to_owned(), dn: node.dn().to_owned(), attributes }
        })
        .collect()
    });
    &OBJECTS
}

fn holds(filter: &Filter, object: &Object) -> bool {
    match &filter.expression {
        Expression::Constant(value) => *value,
        Expression::And(parts) => parts.iter().all(|part| holds(part, object)),
        Expression::Or(parts) => parts.iter().any(|part| holds(part, object)),
        Expression::Xor(parts) => parts.iter().fold(false, |odd, part| odd ^ holds(part, object)),
        Expression::Not(part) => !holds(part, object),
        Expression::Test { operator, property, value } => {
            let have = || &object.attributes[property.name()];
            property.class() == object.class
                && match operator {
                    Operator::Eq => have() == value,
                    Operator::Ne => have() != value,
                    Operator::Wcard => have().contains(value),
                    _ => unreachable!("not generated"),
                }
        }
        Expression::Between { .. } => unreachable!("not generated"),
    }
}

#[derive(Clone, Debug)]
struct Query {
    base: String,
    target: &'static str,
    target_classes: Vec<&'static str>,
    filter: Option<Filter>,
    nested: &'static str,
    nested_classes: Vec<&'static str>,
    nested_filter: Option<Filter>,
    required: bool,
}

impl Query {
    fn url(&self) -> String {
        let mut url = format!("{}.json?query-target={}&rsp-subtree={}", self.base, self.target, self.nested);
        for (name, classes) in
            [("target-subtree-class", &self.target_classes), ("rsp-subtree-class", &self.nested_classes)]
        {
            if !classes.is_empty() {
                url.push_str(&format!("&{name}={}", classes.join(",")));
            }
        }
        for (name, filter) in [("query-target-filter", &self.filter), ("rsp-subtree-filter", &self.nested_filter)] {
            if let Some(filter) = filter {
                url.push_str(&format!("&{name}={filter}"));
            }
        }
        if self.required && self.nested != "no" {
            url.push_str("&rsp-subtree-include=required");
        }
        url
    }

    /// Returns each hit with what is nested in it, as lines with the DN of each object, all sorted.
    fn expected(&self) -> Vec<String> {
        let base: Vec<&Object> = match self.base.split_once("/mo/") {
            Some((_, dn)) => objects().iter().filter(|object| object.dn == dn).collect(),
            None => {
                let (_, class) = self.base.rsplit_once('/').unwrap();
                objects().iter().filter(|object| object.class == class).collect()
            }
        };
        let is_target = |object: &&Object| {
            base.iter().any(|base| match self.target {
                "self" => base.dn == object.dn,
                "children" => dn::parent(&object.dn) == Some(&base.dn),
                _ => object.dn == base.dn || is_below(&object.dn, &base.dn),
            })
        };
        let mut hits: Vec<String> = objects()
            .iter()
            .filter(is_target)
            .filter(|object| self.target_classes.is_empty() || self.target_classes.contains(&&*object.class))
            .filter(|object| self.filter.as_ref().is_none_or(|filter| holds(filter, object)))
            .filter_map(|object| {
                let nested = self.nested_of(object);
                let kept = !self.required || self.nested == "no" || !nested.is_empty();
                kept.then(|| format!("{}\n{}", object.dn, nested.join("\n")))
            })
            .collect();
        hits.sort();
        hits
    }

    fn nested_of(&self, hit: &Object) -> Vec<String> {
        let matches = |object: &Object| {
            (self.nested_classes.is_empty() || self.nested_classes.contains(&&*object.class))
                && self.nested_filter.as_ref().is_none_or(|filter| holds(filter, object))
        };
        let below = |object: &Object, above: &Object| is_below(&object.dn, &above.dn);
        let candidates: Vec<&Object> = objects().iter().filter(|object| below(object, hit)).collect();
        let mut nested: Vec<String> = candidates
            .iter()
            .filter(|object| match self.nested {
                "no" => false,
                "children" => dn::parent(&object.dn) == Some(&hit.dn) && matches(object),
                // An object stays for itself, for what is below it, and below what stays for itself.
                _ => candidates.iter().any(|other| {
                    matches(other) && (other.dn == object.dn || below(other, object) || below(object, other))
                }),
            })
            .map(|object| format!("  {}", object.dn))
            .collect();
        nested.sort();
        nested
    }
}

fn is_below(dn: &str, above: &str) -> bool {
    dn.len() > above.len() && dn.starts_with(above) && dn.as_bytes()[above.len()] == b'/'
}

fn actual(url: &str) -> Vec<String> {
    fn collect(object: &Value, parent: Option<&str>, nested: &mut Vec<String>) {
        let (_, body) = parts(object);
        for child in body["children"].as_array().into_iter().flatten() {
            let dn = format!("{}/{}", parent.unwrap(), attribute(child, "rn"));
            nested.push(format!("  {dn}"));
            collect(child, Some(&dn), nested);
        }
    }
    let (count, objects) = get(tiny(), url);
    assert_eq!(count, objects.len());
    let mut hits: Vec<String> = objects
        .iter()
        .map(|object| {
            let dn = attribute(object, "dn");
            let mut nested = Vec::new();
            collect(object, Some(dn), &mut nested);
            nested.sort();
            format!("{dn}\n{}", nested.join("\n"))
        })
        .collect();
    hits.sort();
    hits
}

const CLASSES: [&str; 9] = ["fvTenant", "fvBD", "fvAEPg", "fvAp", "fvRsBd", "fvCEp", "fvIp", "faultInst", "l1PhysIf"];

fn any_filter() -> impl Strategy<Value = Filter> {
    let operator = prop::sample::select(vec!["eq", "ne", "wcard"]);
    let value = prop::sample::select(vec!["common", "-01", "uni/tn-", "prod", "server", ""]);
    let leaf = (operator, prop::sample::select(CLASSES.to_vec()), value)
        .prop_map(|(operator, class, value)| format!("{operator}({class}.dn,\"{value}\")").parse::<Filter>().unwrap());
    leaf.prop_recursive(2, 6, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 1..3).prop_map(Filter::and),
            prop::collection::vec(inner.clone(), 1..3).prop_map(Filter::or),
            (inner.clone(), inner.clone()).prop_map(|(first, second)| Filter::xor(first, second)),
            inner.prop_map(Filter::not),
        ]
    })
}

fn any_query() -> impl Strategy<Value = Query> {
    let some_of = || prop::collection::vec(prop::sample::select(CLASSES.to_vec()), 0..3);
    let base = prop_oneof![
        prop::sample::select(vec![
            "/api/mo/uni",
            "/api/mo/uni/tn-common",
            "/api/mo/topology/pod-1",
            "/api/mo/uni/tn-none"
        ])
        .prop_map(str::to_owned),
        prop::sample::select(CLASSES.to_vec()).prop_map(|class| format!("/api/class/{class}")),
    ];
    let (targets, depths) = (vec!["self", "children", "subtree"], vec!["no", "children", "full"]);
    (
        (base, prop::sample::select(targets), some_of(), prop::option::of(any_filter())),
        (prop::sample::select(depths), some_of(), prop::option::of(any_filter()), any::<bool>()),
    )
        .prop_map(|((base, target, target_classes, filter), (nested, nested_classes, nested_filter, required))| Query {
            base,
            target,
            target_classes,
            filter,
            nested,
            nested_classes,
            nested_filter,
            required,
        })
        // A subtree with everything nested in each of its objects is only large.
        .prop_filter("large", |query| query.target == "self" || query.nested != "full")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]
    #[test]
    fn a_query_gives_what_a_search_through_all_objects_gives(query in any_query()) {
        prop_assert_eq!(actual(&query.url()), query.expected(), "{}", query.url());
    }
}
