//! Which faults there are and where they hang. Codes and texts are plausible, not quotations.

use std::fmt::Write;

use super::class::Class;
use super::text::{first_of_pair, leaf_of_port, pod_of_leaf, put, write_interface};
use super::world::World;

/// Serials from here on are faults of the bridge domain with the number that is left, raised by an event.
/// A background fault would need more than 2^31 of its kind to get here.
pub(super) const ROUTING_FAULT: u32 = 1 << 31;

/// What every fault of one code has in common.
#[derive(Debug)]
pub(super) struct FaultKind {
    target: Target,
    code: u32,
    pub(super) severity: &'static str,
    pub(super) cause: &'static str,
    pub(super) rule: &'static str,
    pub(super) subject: &'static str,
    pub(super) domain: &'static str,
    pub(super) type_: &'static str,
    pub(super) descr: &'static str,
}

#[derive(Clone, Copy, Debug)]
enum Target {
    Port,
    Path,
    BdOfEpg,
    CtxOfBd,
    Fan,
    Bd,
}

/// The kinds of background faults, with the first of 16 serials in a row that are of this kind.
static KINDS: [(u32, FaultKind); 5] = [
    (
        0,
        FaultKind {
            target: Target::Port,
            code: 532,
            severity: "minor",
            cause: "port-failure",
            rule: "ethpm-if-port-down",
            subject: "port-down",
            domain: "access",
            type_: "communications",
            descr: "Port is down, reason:\"not connected\", used by:EPG",
        },
    ),
    (
        7,
        FaultKind {
            target: Target::Path,
            code: 467,
            severity: "major",
            cause: "configuration-failed",
            rule: "fv-nw-issues-config-failed",
            subject: "management",
            domain: "tenant",
            type_: "config",
            descr: "Configuration failed due to Invalid VLAN, debug message: invalid-vlan: encap not in pool",
        },
    ),
    (
        12,
        FaultKind {
            target: Target::BdOfEpg,
            code: 955,
            severity: "warning",
            cause: "resolution-failed",
            rule: "fv-rs-bd-resolve-fail",
            subject: "relation-resolution",
            domain: "infra",
            type_: "config",
            descr: "Failed to form relation to MO of class fvBD in context",
        },
    ),
    (
        14,
        FaultKind {
            target: Target::CtxOfBd,
            code: 956,
            severity: "warning",
            cause: "resolution-failed",
            rule: "fv-rs-ctx-resolve-fail",
            subject: "relation-resolution",
            domain: "infra",
            type_: "config",
            descr: "Failed to form relation to MO of class fvCtx in context",
        },
    ),
    (
        15,
        FaultKind {
            target: Target::Fan,
            code: 411,
            severity: "critical",
            cause: "equipment-fan-failed",
            rule: "eqpt-ft-failed",
            subject: "failed-to-read",
            domain: "infra",
            type_: "environmental",
            descr: "Fan tray is not operational",
        },
    ),
];

static ROUTING: FaultKind = FaultKind {
    target: Target::Bd,
    code: 4210,
    severity: "major",
    cause: "unicast-routing-disabled",
    rule: "fv-bd-subnet-not-deployed",
    subject: "subnet-deployment",
    domain: "tenant",
    type_: "operational",
    descr: "Subnets are not deployed because unicast routing is off; hosts have lost their gateway",
};

/// Returns the kind of a fault and how many of the same kind have lower serials.
fn kind_of(serial: u32) -> (&'static FaultKind, u32) {
    if serial >= ROUTING_FAULT {
        return (&ROUTING, serial - ROUTING_FAULT);
    }
    let slot = serial % 16;
    let place = KINDS.partition_point(|&(first, _)| first <= slot) - 1;
    let (first, kind) = &KINDS[place];
    let end = KINDS.get(place + 1).map_or(16, |next| next.0);
    (kind, serial / 16 * (end - first) + slot - first)
}

pub(super) fn fault_kind(serial: u32) -> &'static FaultKind {
    kind_of(serial).0
}

impl World {
    pub(super) fn write_fault_dn(&self, serial: u32, out: &mut String) {
        let (kind, nth) = kind_of(serial);
        let target = nth % self.targets(kind.target);
        match kind.target {
            Target::Port => {
                self.write_port(target, out);
                out.push_str("/phys");
            }
            Target::Path => {
                let (port, channel) = self.place_of_path(target);
                let leaf = if channel { first_of_pair(port) } else { leaf_of_port(port) };
                put!(out, "topology/pod-{}/node-{leaf}/local/svc-policyelem-id-0/uni/epp/fv-[", pod_of_leaf(leaf));
                self.write_dn(Class::Epg, self.epg_of_path(target), out);
                put!(out, "]/node-{leaf}/stpathatt-[");
                write_interface(port, channel, out);
                out.push_str("]/nwissues");
            }
            Target::BdOfEpg => self.write_dn(Class::RsBd, target, out),
            Target::CtxOfBd => self.write_dn(Class::RsCtx, target, out),
            Target::Bd => self.write_dn(Class::Bd, target, out),
            Target::Fan => {
                let leaf = 101 + target / 6;
                put!(out, "topology/pod-{}/node-{leaf}/sys/ch/ftslot-{}/ft", pod_of_leaf(leaf), target % 6 + 1);
            }
        }
        out.push_str("/fault-");
        self.write_fault_code(serial, out);
    }

    /// Writes the code: that of the kind, or a higher one at a target that has this fault already.
    pub(super) fn write_fault_code(&self, serial: u32, out: &mut String) {
        let (kind, nth) = kind_of(serial);
        put!(out, "F{:04}", kind.code + nth / self.targets(kind.target) * 10_000);
    }

    fn targets(&self, target: Target) -> u32 {
        match target {
            Target::Port => self.ports(),
            Target::Path => self.count(Class::PathAtt),
            Target::BdOfEpg => self.count(Class::Epg),
            Target::CtxOfBd => self.count(Class::Bd),
            Target::Fan => self.leaves * 6,
            Target::Bd => u32::MAX,
        }
    }
}
