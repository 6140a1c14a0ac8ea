//! Switches and controllers, and what they consist of.

use std::collections::HashMap;

use chrono::TimeDelta;

use super::{Builder, VERSION};
use crate::dn;
use crate::simulator::mit::time_text;
use crate::simulator::mit::tree::NodeId;

/// Adds systems, interfaces and paths to the nodes and ports of the demo fabric.
pub(super) fn add(builder: &mut Builder, by_class: &HashMap<&'static str, Vec<NodeId>>) {
    let of = |class: &str| by_class.get(class).map_or(&[][..], Vec::as_slice);
    for &id in of("fabricNode") {
        add_system(builder, id);
    }
    for &id in of("l1PhysIf") {
        add_interface(builder, id);
    }
}

fn add_system(builder: &mut Builder, node: NodeId) {
    let node_dn = builder.dn(node);
    let value = |name| builder.value(node, name);
    let (id, name, role, serial, address) =
        (value("id"), value("name"), value("role"), value("serial"), value("address"));
    let pod = dn::parent(&node_dn).and_then(|pod| pod.rsplit_once("pod-")).map_or("1", |(_, pod)| pod).to_owned();
    let controller = role == "controller";
    let version = if controller { VERSION.to_owned() } else { value("version") };
    let mut dice = builder.dice(&node_dn, 10);
    let hours = i64::try_from(100 + dice.below(9000)).unwrap_or(0);
    let (days, rest) = (hours / 24, hours % 24);
    let up = format!("{days:02}:{rest:02}:13:37.000");
    let rebooted = time_text(builder.start - TimeDelta::hours(hours));
    let number: u64 = id.parse().unwrap_or(0);
    let management = format!("192.168.{}.{}", 10 + number / 250, 1 + number % 250);
    let current = time_text(builder.start);
    let system = format!("{node_dn}/sys");
    let set = [
        ("address", &*address),
        ("currentTime", &*current),
        ("fabricDomain", "fabrik"),
        ("id", &*id),
        ("lastRebootTime", &*rebooted),
        ("name", &*name),
        ("oobMgmtAddr", &*management),
        ("oobMgmtGateway", "192.168.10.254"),
        ("podId", &*pod),
        ("role", &*role),
        ("serial", &*serial),
        ("systemUpTime", &*up),
        ("version", &*version),
    ];
    builder.add("topSystem", &system, &set);
    builder.add_health(&system);
    builder.add(
        "eqptCh",
        &format!("{system}/ch"),
        &[("role", &role), ("ser", &serial), ("model", &builder.value(node, "model"))],
    );
    if controller {
        let running = format!("{system}/ctrlrfwstatuscont/ctrlrrunning");
        builder.add("firmwareCtrlrRunning", &running, &[("version", VERSION)]);
    }
}

fn add_interface(builder: &mut Builder, port: NodeId) {
    let port_dn = builder.dn(port);
    let up = builder.dice(&port_dn, 11).below(4) != 0;
    let changed = builder.value(port, "modTs");
    let set = [
        ("lastLinkStChg", &*changed),
        ("operSt", if up { "up" } else { "down" }),
        ("operStQual", if up { "none" } else { "sfp-missing" }),
    ];
    builder.add("ethpmPhysIf", &format!("{port_dn}/phys"), &set);
    // topology/pod-1/node-101/sys/phys-[eth1/1] is reached as topology/pod-1/paths-101/pathep-[eth1/1].
    let name = builder.value(port, "id");
    let node = dn::parent(&port_dn).and_then(dn::parent).map(str::to_owned);
    if let Some((pod, number)) = node.as_deref().and_then(|node| node.split_once("/node-")) {
        builder.add("fabricPathEp", &format!("{pod}/paths-{number}/pathep-[{name}]"), &[]);
    }
}
