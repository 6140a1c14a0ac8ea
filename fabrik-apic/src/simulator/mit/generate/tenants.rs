//! What tenants have beside the objects of the demo fabric.

use std::collections::HashMap;

use super::Builder;
use crate::simulator::mit::tree::NodeId;

/// A filter's name, and of its entries name, protocol and port.
type FilterPlan = (&'static str, &'static [(&'static str, &'static str, &'static str)]);

const FILTERS: [FilterPlan; 4] = [
    ("https", &[("https", "tcp", "https")]),
    ("ssh", &[("ssh", "tcp", "22")]),
    ("dns", &[("dns-udp", "udp", "dns"), ("dns-tcp", "tcp", "dns")]),
    ("any", &[("any", "unspecified", "unspecified")]),
];

/// The names of what the objects of one tenant can refer to.
#[derive(Debug, Default)]
struct Names {
    contexts: Vec<String>,
    contracts: Vec<String>,
    outsides: Vec<String>,
}

/// Adds policies, domains, and what hangs below the tenants of the demo fabric.
pub(super) fn add(builder: &mut Builder, by_class: &HashMap<&'static str, Vec<NodeId>>) {
    add_common(builder);
    let of = |class: &str| by_class.get(class).map_or(&[][..], Vec::as_slice);
    let mut names: HashMap<String, Names> = HashMap::new();
    for (class, list) in [
        ("fvCtx", (|names| &mut names.contexts) as fn(&mut Names) -> &mut Vec<String>),
        ("vzBrCP", |names| &mut names.contracts),
        ("l3extOut", |names| &mut names.outsides),
    ] {
        for &id in of(class) {
            let tenant = tenant_of(&builder.dn(id)).to_owned();
            let name = builder.value(id, "name");
            list(names.entry(tenant).or_default()).push(name);
        }
    }
    for (class, add) in [
        ("fvTenant", add_to_tenant as fn(&mut Builder, &str, &Names)),
        ("fvCtx", add_to_context),
        ("fvBD", add_to_bridge_domain),
        ("fvAEPg", add_to_group),
        ("vzBrCP", add_to_contract),
        ("l3extOut", add_to_outside),
    ] {
        for &id in of(class) {
            let dn = builder.dn(id);
            let names = names.entry(tenant_of(&dn).to_owned()).or_default();
            add(builder, &dn, names);
        }
    }
}

/// Adds addresses to endpoints until the tree has as many objects as it shall, one round after the other.
pub(super) fn fill_with_addresses(builder: &mut Builder, endpoints: &[NodeId], objects: usize) {
    const ROUNDS: u64 = 8;
    for round in 0..ROUNDS {
        for &endpoint in endpoints {
            if builder.tree.len() >= objects {
                return;
            }
            let dn = builder.dn(endpoint);
            let own = builder.value(endpoint, "ip");
            let address = if round == 0 && own != "0.0.0.0" {
                own
            } else {
                let mut dice = builder.dice(&dn, 40 + round);
                let (high, low) = (dice.below(250), 2 + dice.below(250));
                // Two rounds of other networks, so that no address comes twice to one endpoint.
                format!("10.{}.{high}.{low}", 240 + round)
            };
            let (bd, context, path) = (
                builder.value(endpoint, "bdDn"),
                builder.value(endpoint, "vrfDn"),
                builder.value(endpoint, "fabricPathDn"),
            );
            let created = builder.value(endpoint, "modTs");
            let set = [("bdDn", &*bd), ("createTs", &*created), ("fabricPathDn", &*path), ("vrfDn", &*context)];
            builder.add("fvIp", &format!("{dn}/ip-[{address}]"), &set);
        }
    }
}

fn tenant_of(dn: &str) -> &str {
    let end = dn.match_indices('/').nth(1).map_or(dn.len(), |(at, _)| at);
    &dn[..end]
}

fn add_common(builder: &mut Builder) {
    for name in ["infra", "mgmt"] {
        let dn = format!("uni/tn-{name}");
        builder.add("fvTenant", &dn, &[]);
        add_to_tenant(builder, &dn, &Names::default());
    }
    builder.add("monEPGPol", "uni/tn-common/monepg-default", &[]);
    let pool = "uni/infra/vlanns-[servers]-static";
    builder.add("fvnsVlanInstP", pool, &[]);
    builder.add("fvnsEncapBlk", &format!("{pool}/from-[vlan-100]-to-[vlan-3999]"), &[]);
    builder.add("infraAttEntityP", "uni/infra/attentp-servers", &[]);
    for (class, dn) in [("physDomP", "uni/phys-servers"), ("l3extDomP", "uni/l3dom-outside")] {
        builder.add(class, dn, &[]);
        builder.add("infraRsVlanNs", &format!("{dn}/rsvlanNs"), &[("tDn", pool)]);
        builder.add("infraRsDomP", &format!("uni/infra/attentp-servers/rsdomP-[{dn}]"), &[("tCl", class)]);
    }
    for name in ["admin", "netops", "svc-terraform"] {
        let dn = format!("uni/userext/user-{name}");
        let unix = (15_374 + name.len() * 31).to_string();
        builder.add("aaaUser", &dn, &[("unixUserId", &unix), ("firstName", name)]);
        builder.add("aaaUserDomain", &format!("{dn}/userdomain-all"), &[]);
        builder.add("aaaUserRole", &format!("{dn}/userdomain-all/role-admin"), &[("privType", "writePriv")]);
    }
    for name in ["all", "common", "mgmt"] {
        builder.add("aaaDomain", &format!("uni/userext/domain-{name}"), &[]);
    }
    for name in ["fallback", "local"] {
        builder.add("aaaLoginDomain", &format!("uni/userext/logindomain-{name}"), &[]);
    }
}

fn add_to_tenant(builder: &mut Builder, dn: &str, names: &Names) {
    builder.add_health(dn);
    let set = [("tDn", "uni/tn-common/monepg-default"), ("tRn", "monepg-default"), ("stateQual", "default-target")];
    builder.add("fvRsTenantMonPol", &format!("{dn}/rsTenantMonPol"), &set);
    if names.contracts.is_empty() {
        return;
    }
    for (filter, entries) in FILTERS {
        builder.add("vzFilter", &format!("{dn}/flt-{filter}"), &[]);
        for (entry, protocol, port) in entries {
            let ether = if *protocol == "unspecified" { "unspecified" } else { "ip" };
            let set = [("etherT", ether), ("prot", *protocol), ("dFromPort", *port), ("dToPort", *port)];
            builder.add("vzEntry", &format!("{dn}/flt-{filter}/e-{entry}"), &set);
        }
    }
}

fn add_to_context(builder: &mut Builder, dn: &str, _: &Names) {
    builder.add("vzAny", &format!("{dn}/any"), &[]);
}

fn add_to_bridge_domain(builder: &mut Builder, dn: &str, names: &Names) {
    if builder.dice(dn, 2).below(3) == 0 {
        builder.add_health(dn);
    }
    let mut dice = builder.dice(dn, 3);
    if dice.below(3) == 0
        && let Some(outside) = dice.pick(&names.outsides)
    {
        let tenant = tenant_of(dn);
        let (target, rn) = (format!("{tenant}/out-{outside}"), format!("out-{outside}"));
        let set = [("tDn", &*target), ("tRn", &*rn)];
        builder.add("fvRsBDToOut", &format!("{dn}/rsBDToOut-{outside}"), &set);
    }
}

fn add_to_group(builder: &mut Builder, dn: &str, names: &Names) {
    builder.add_health(dn);
    let encap = [("instrImedcy", "immediate"), ("tCl", "physDomP")];
    builder.add("fvRsDomAtt", &format!("{dn}/rsdomAtt-[uni/phys-servers]"), &encap);
    add_contracts(builder, dn, names);
}

/// Lets a group consume one contract of its tenant and provide another.
fn add_contracts(builder: &mut Builder, dn: &str, names: &Names) {
    let mut dice = builder.dice(dn, 4);
    for (class, prefix) in [("fvRsCons", "rscons"), ("fvRsProv", "rsprov")] {
        if let Some(contract) = dice.pick(&names.contracts) {
            let (target, rn) = (format!("{}/brc-{contract}", tenant_of(dn)), format!("brc-{contract}"));
            builder.add(class, &format!("{dn}/{prefix}-{contract}"), &[("tDn", &target), ("tRn", &rn)]);
        }
    }
}

fn add_to_contract(builder: &mut Builder, dn: &str, _: &Names) {
    let mut dice = builder.dice(dn, 5);
    let (filter, _) = FILTERS[usize::try_from(dice.below(4)).unwrap_or(0)];
    let subject = format!("{dn}/subj-{filter}");
    builder.add("vzSubj", &subject, &[]);
    let (target, rn) = (format!("{}/flt-{filter}", tenant_of(dn)), format!("flt-{filter}"));
    let set = [("tDn", &*target), ("tRn", &*rn)];
    builder.add("vzRsSubjFiltAtt", &format!("{subject}/rssubjFiltAtt-{filter}"), &set);
}

fn add_to_outside(builder: &mut Builder, dn: &str, names: &Names) {
    let mut dice = builder.dice(dn, 6);
    if let Some(context) = dice.pick(&names.contexts) {
        let (target, rn) = (format!("{}/ctx-{context}", tenant_of(dn)), format!("ctx-{context}"));
        let set = [("tDn", &*target), ("tRn", &*rn), ("tnFvCtxName", context)];
        builder.add("l3extRsEctx", &format!("{dn}/rsectx"), &set);
    }
    let (node, network) = (101 + dice.below(2), dice.below(250));
    let nodes = format!("{dn}/lnodep-border");
    let interfaces = format!("{nodes}/lifp-uplinks");
    builder.add("l3extLNodeP", &nodes, &[]);
    let router = format!("10.255.{network}.{node}");
    builder.add(
        "l3extRsNodeL3OutAtt",
        &format!("{nodes}/rsnodeL3OutAtt-[topology/pod-1/node-{node}]"),
        &[("rtrId", &router)],
    );
    builder.add("l3extLIfP", &interfaces, &[]);
    let port = format!("topology/pod-1/paths-{node}/pathep-[eth1/{}]", 1 + dice.below(48));
    let address = format!("10.254.{network}.1/30");
    let set = [("addr", &*address), ("ifInstT", "l3-port"), ("mtu", "9000")];
    builder.add("l3extRsPathL3OutAtt", &format!("{interfaces}/rspathL3OutAtt-[{port}]"), &set);
    builder.add("bgpPeerP", &format!("{nodes}/peerP-[10.254.{network}.2]"), &[]);
    builder.add("bgpExtP", &format!("{dn}/bgpExtP"), &[]);
    let group = format!("{dn}/instP-all");
    builder.add("l3extInstP", &group, &[]);
    builder.add("l3extSubnet", &format!("{group}/extsubnet-[0.0.0.0/0]"), &[]);
    add_contracts(builder, &group, names);
}
