//! Plans against a simulated controller: what they deliver is what a person meant.

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use fabrik_core::process::{Pipeline, ProcessLimits, Processed};
use fabrik_core::{Source, Verdict};
use serde_json::{Value, json};
use tokio::runtime::{Builder, Runtime};

use super::super::*;
use super::{eq, flow};
use crate::simulator::{Scheme, Simulator, SimulatorOptions, SimulatorUser};
use crate::{Client, ConnectionOptions, Credentials, LiveOptions, Secret};

struct Fabric {
    simulator: Simulator,
    client: Client,
    runtime: Runtime,
}

impl Fabric {
    fn new() -> Self {
        let admin = SimulatorUser::new("admin").with_password("correct-horse");
        let options =
            SimulatorOptions::default().without_users().with_user(admin).with_scheme(Scheme::Http).with_objects(8000);
        let simulator = Simulator::start(options).unwrap();
        let mut options = ConnectionOptions::new(simulator.url());
        options.requests_per_second = NonZeroU32::new(100_000).unwrap();
        let password = Secret::new("correct-horse");
        let client =
            Client::new(options, Credentials::Password { username: "admin".into(), domain: None, password }).unwrap();
        Self { simulator, client, runtime: Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap() }
    }

    /// Runs a plan; returns the DNs with their classes.
    fn run(&self, plan: Plan) -> (BTreeMap<String, String>, Verdict) {
        let options = LiveOptions { page_size: Some(50), ..LiveOptions::default() };
        let mut source = PlanSource::start(&self.client, plan, &options, self.runtime.handle()).unwrap();
        let mut rows = BTreeMap::new();
        while let Some(batch) = pollster::block_on(source.next_batch()).unwrap() {
            assert!(!source.has_started_over());
            for row in batch.iter() {
                let before = rows.insert(row.dn().unwrap().to_owned(), row.class_name().unwrap().to_owned());
                assert_eq!(before, None, "{:?} came twice", row.dn());
            }
        }
        (rows, source.verdict())
    }

    /// Returns all objects of a class, with their attributes.
    fn all(&self, class: &str) -> BTreeMap<String, Value> {
        let answer = self.simulator.answer(&format!("/api/class/{class}.json")).unwrap();
        let answer: Value = serde_json::from_slice(&answer).unwrap();
        let objects = answer["imdata"].as_array().unwrap().iter().map(|object| object[class]["attributes"].clone());
        objects.map(|attributes| (attributes["dn"].as_str().unwrap().to_owned(), attributes)).collect()
    }

    /// Checks that a chain delivers just the objects of the target class that `is_meant` says, and some.
    fn check(&self, chain: &Value, target: &str, is_meant: impl Fn(&str, &Value) -> bool) -> Plan {
        let plan = compile(&flow(chain.clone()), &CompileOptions::default()).unwrap();
        let meant: Vec<String> =
            self.all(target).into_iter().filter(|(dn, object)| is_meant(dn, object)).map(|(dn, _)| dn).collect();
        let (rows, verdict) = self.run(plan.clone());
        assert_eq!(rows.into_keys().collect::<Vec<_>>(), meant, "{chain}");
        assert!(!meant.is_empty(), "{chain}");
        assert_eq!(verdict, Verdict::Complete, "{chain}");
        plan
    }
}

#[test]
fn plans_deliver_what_was_meant() {
    let fabric = Fabric::new();
    let bds = fabric.all("fvBD");
    let (bd_dn, bd) = bds.iter().nth(bds.len() / 2).unwrap();
    let tenant_dn = crate::dn::parent(bd_dn).unwrap();
    let tenant = tenant_dn.strip_prefix("uni/tn-").unwrap();
    let name = bd["name"].as_str().unwrap();
    let flooding = |dn: &str| bds.get(dn).is_some_and(|bd| bd["arpFlood"] == "yes");
    let above = |dn: &str| crate::dn::parent(dn).unwrap_or("").to_owned();

    let pinned_tenant = json!({"className": "fvTenant", "filters": [eq("name", tenant)]});
    fabric.check(&json!([pinned_tenant, {"className": "fvBD", "filters": [eq("name", name)]}]), "fvBD", |dn, _| {
        dn == bd_dn
    });
    fabric.check(&json!([pinned_tenant, {"className": "fvBD"}]), "fvBD", |dn, _| above(dn) == tenant_dn);
    fabric.check(
        &json!([{"className": "fvTenant"}, {"className": "fvBD"}, {"className": "fvSubnet"}]),
        "fvSubnet",
        |dn, _| bds.contains_key(&above(dn)),
    );
    let of_name = json!([{"className": "fvTenant"}, {"className": "fvBD", "filters": [eq("name", name)]}, {"className": "fvRsCtx"}]);
    fabric.check(&of_name, "fvRsCtx", |dn, _| above(dn).ends_with(&format!("/BD-{name}")));
    let starts =
        json!([{"className": "fvBD", "filters": [{"property": "name", "operator": "starts", "value": &name[..1]}]}]);
    fabric.check(&starts, "fvBD", |_, bd| bd["name"].as_str().unwrap().starts_with(&name[..1]));
    let not_starts = json!([{"className": "fvBD", "filters": [{"wildcardPatterns": [{"property": "name", "type": "starts", "pattern": name, "negate": true}]}]}]);
    fabric.check(&not_starts, "fvBD", |_, bd| !bd["name"].as_str().unwrap().starts_with(name));

    // Bridge domains are read first, whether they are few or many.
    for value in ["yes", "no"] {
        let joined = json!([{"className": "fvTenant"}, {"className": "fvBD", "filters": [eq("arpFlood", value)]}, {"className": "fvRsCtx"}]);
        let plan = fabric.check(&joined, "fvRsCtx", |dn, _| flooding(&above(dn)) == (value == "yes"));
        assert_eq!(plan.steps.len(), 1);
    }
    let endpoints = fabric.all("fvCEp");
    let odd = |dn: &str| endpoints.get(dn).is_some_and(|endpoint| endpoint["mac"].as_str().unwrap().contains('1'));
    assert!(endpoints.keys().filter(|dn| odd(dn)).count() > 200, "more than are asked about by name");
    let many = json!([{"className": "fvCEp", "filters": [{"property": "mac", "operator": "contains", "value": "1"}]}, {"className": "fvIp"}]);
    fabric.check(&many, "fvIp", |dn, _| odd(&above(dn)));
    // A gap in the chain takes any depth.
    let gap = json!([{"className": "fvTenant", "filters": [eq("name", tenant)]}, {"className": "fvRsCtx", "filters": [json!({"property": "tnFvCtxName", "operator": "ne", "value": "~"})]}]);
    fabric.check(&gap, "fvRsCtx", |dn, _| dn.starts_with(&format!("{tenant_dn}/")));
}

#[test]
fn what_is_nested_below_a_row_that_is_left_out_is_left_out_too() {
    let fabric = Fabric::new();
    let first = fabric.all("fvBD").values().next().unwrap()["name"].as_str().unwrap()[..1].to_owned();
    let starts = json!([{"className": "fvBD", "scope": "children", "filters": [{"property": "name", "operator": "starts", "value": first}]}]);
    let plan = compile(&flow(starts), &CompileOptions::default()).unwrap();

    let (rows, _) = fabric.run(plan);

    let (bds, others): (Vec<_>, Vec<_>) = rows.into_iter().partition(|(_, class)| class == "fvBD");
    assert!(!others.is_empty());
    assert!(bds.iter().all(|(dn, _)| dn.rsplit("/BD-").next().unwrap().starts_with(&first)));
    assert!(others.iter().all(|(dn, _)| bds.iter().any(|(bd, _)| dn.starts_with(&format!("{bd}/")))));
}

#[test]
fn a_path_with_several_classes_delivers_the_last() {
    let fabric = Fabric::new();
    let question: Question = serde_json::from_value(
        json!({"path": "/api/class/fvTenant.json?rsp-subtree=full&rsp-subtree-class=fvBD,fvSubnet"}),
    )
    .unwrap();
    let plan = compile(&question, &CompileOptions::default()).unwrap();

    let (rows, _) = fabric.run(plan);

    assert!(!rows.is_empty() && rows.values().all(|class| class == "fvSubnet"));
}

#[test]
fn parents_whose_names_begin_alike_give_each_row_once() {
    let fabric = Fabric::new();
    let bd = |i: u32| {
        let subnet = json!({"fvSubnet": {"attributes": {"ip": format!("10.0.{i}.1/24")}}});
        json!({"fvBD": {"attributes": {"name": format!("a-rather-long-name-{i}"), "descr": "of this test"}, "children": [subnet]}})
    };
    let children: Vec<Value> = (1..=60).map(bd).collect();
    let tenant = json!({"fvTenant": {"attributes": {"name": "x"}, "children": children}});
    fabric.simulator.post(Some("uni/tn-x"), &tenant.to_string()).unwrap();

    // Several questions, each for some of the parents.
    let chain = json!([{"className": "fvBD", "filters": [eq("descr", "of this test")]}, {"className": "fvSubnet"}]);
    fabric.check(&chain, "fvSubnet", |dn, _| dn.starts_with("uni/tn-x/"));

    let asked =
        fabric.simulator.requests().iter().filter(|served| served.target.contains("or%28wcard%28fvSubnet.dn")).count();
    assert!(asked > 1, "{asked} questions");
}

#[test]
fn the_steps_of_a_plan_run_behind_its_rows() {
    let fabric = Fabric::new();
    let question: Question = serde_json::from_value(json!({"class": "fvBD", "post_processors": [
        {"processorType": "aggregate", "config": {"operation": "count", "groupBy": "arpFlood"}},
        {"processorType": "array-sort", "config": {"field": "arpFlood"}},
    ]}))
    .unwrap();
    let plan = compile(&question, &CompileOptions::default()).unwrap();
    let pipeline = Pipeline::compile(&plan.processors, ProcessLimits::default()).unwrap();
    let source = PlanSource::start(&fabric.client, plan, &LiveOptions::default(), fabric.runtime.handle()).unwrap();

    let mut processed = Processed::new(source, pipeline);
    let items = pollster::block_on(processed.next_items()).unwrap().unwrap();

    let flooding = |value: &str| fabric.all("fvBD").values().filter(|bd| bd["arpFlood"] == value).count();
    let expected = json!([{"arpFlood": "no", "count": flooding("no")}, {"arpFlood": "yes", "count": flooding("yes")}]);
    assert_eq!(serde_json::to_value(items).unwrap(), expected);
}
