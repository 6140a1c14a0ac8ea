//! How the fabric is laid out: who belongs to whom, and what everything is called.
//!
//! Everything here is a function of the seed, a class and a serial number, so that an object takes sixteen
//! bytes until somebody changes it. The children of the n-th parent are the serials equal to n modulo the
//! number of parents; a DN therefore never repeats, however many objects are added later.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;

use super::class::{Class, Table};
use super::random::{mix, scale};
use super::text::{PORTS, leaf_of_port, pod_of_leaf, put, write_gateway, write_mac, write_path_of};

pub(super) const DESCRIPTIONS: &[&str] = &[
    "managed by the network team",
    "Gebäude Süd, Etage 3",
    "Übergang zum alten Kern, bis Q3",
    "see \"RFC 2231\" before touching",
    "owner: NETZ\\betrieb",
    "path C:\\cmdb\\sites\\\"north\"",
    "sauvegarde de la région",
    "temporary",
];
pub(super) const ORCHESTRATORS: &[&str] = &["", "orchestrator:terraform", "orchestrator:ansible"];
pub(super) const SUBNET_SCOPES: &[&str] = &["private", "public", "public,shared", "private,shared"];

const BUSINESSES: &[&str] =
    &["lager", "kasse", "produktion", "labor", "vertrieb", "archiv", "telefonie", "gebaeude", "partner", "plattform"];
const STAGES: &[&str] = &["prod", "int", "dev"];
const ZONES: &[&str] = &["intern", "dmz", "gast", "oob", "shared"];
const NETS: &[&str] = &["server", "client", "storage", "vmotion", "iot", "voice", "mgmt"];
const APPS: &[&str] = &["erp", "shop", "crm", "mail", "monitoring", "files", "intranet"];
const TIERS: &[&str] = &["front", "logic", "data", "queue", "cache", "batch"];
const OUTSIDES: &[&str] = &["wan", "internet", "core", "mpls", "firewall"];

/// The plan of a fabric.
#[derive(Clone, Debug)]
pub(super) struct World {
    pub(super) seed: u64,
    pub(super) start_ms: i64,
    pub(super) tables: Arc<[Table]>,
    counts: [u32; Class::ALL.len()],
    pub(super) leaves: u32,
    /// The VRF of each bridge domain that was moved out of its first one.
    pub(super) moved: BTreeMap<u32, u32>,
}

impl World {
    pub(super) fn new(seed: u64, start_ms: i64, objects: u32) -> Self {
        let leaves = (objects / 800).clamp(2, 400) & !1;
        let mut world = Self {
            seed,
            start_ms,
            tables: Table::all().into(),
            counts: [0; Class::ALL.len()],
            leaves,
            moved: BTreeMap::new(),
        };
        for class in Class::ALL {
            let share = u64::from(objects) * class.share() / 10_000;
            world.counts[class as usize] = u32::try_from(share).unwrap_or(u32::MAX).max(1);
        }
        world.counts[Class::RsCtx as usize] = world.count(Class::Bd);
        world.counts[Class::RsBd as usize] = world.count(Class::Epg);
        world.counts[Class::Node as usize] = 3 + 2 * world.pods() + leaves;
        world.counts[Class::PhysIf as usize] = world.count(Class::PhysIf).min(world.ports());
        let others: u32 = world.counts.iter().sum::<u32>() - world.count(Class::Endpoint);
        world.counts[Class::Endpoint as usize] = objects.saturating_sub(others).max(1);
        world
    }

    /// Returns how many objects of a class the fabric has at first, at least 1.
    pub(super) fn count(&self, class: Class) -> u32 {
        self.counts[class as usize]
    }

    pub(super) fn ports(&self) -> u32 {
        self.leaves * PORTS
    }

    fn pods(&self) -> u32 {
        self.leaves.div_ceil(100)
    }

    /// Returns random bits that belong to one question (`salt`) about one object.
    pub(super) fn bits(&self, class: Class, serial: u32, salt: u64) -> u64 {
        mix(mix(self.seed ^ salt.wrapping_mul(0xD6E8_FEB8_6659_FD93)) ^ (u64::from(serial) << 8 | class as u64))
    }

    pub(super) fn choose(&self, class: Class, serial: u32, salt: u64, end: u32) -> u32 {
        u32::try_from(scale(self.bits(class, serial, salt), u64::from(end))).unwrap_or(0)
    }

    pub(super) fn pick(&self, class: Class, serial: u32, salt: u64, words: &[&'static str]) -> &'static str {
        usize::try_from(scale(self.bits(class, serial, salt), words.len() as u64)).map_or("", |place| words[place])
    }

    /// Returns when an object of the first moment was written: within two years before the start, rather late.
    pub(super) fn birth_ms(&self, class: Class, serial: u32) -> i64 {
        const TWO_YEARS_MS: u64 = 730 * 86_400_000;
        let age = scale(self.bits(class, serial, 1), TWO_YEARS_MS);
        let age = scale(self.bits(class, serial, 2), age);
        self.start_ms - i64::try_from(age).unwrap_or(0)
    }

    /// Returns the tenant of a VRF, bridge domain, application profile, contract or L3Out.
    pub(super) fn tenant_of(&self, serial: u32) -> u32 {
        serial % self.count(Class::Tenant)
    }

    pub(super) fn tenant_of_epg(&self, epg: u32) -> u32 {
        self.tenant_of(epg % self.count(Class::Ap))
    }

    /// Returns one of the first objects of a class that belong to a tenant.
    fn within_tenant(&self, class: Class, tenant: u32, bits: u64) -> u32 {
        let tenants = self.count(Class::Tenant);
        let siblings = (self.count(class) - tenant).div_ceil(tenants);
        let nth = u32::try_from(scale(bits, u64::from(siblings))).unwrap_or(0);
        tenant + nth * tenants
    }

    pub(super) fn bd_of_epg(&self, epg: u32) -> u32 {
        self.within_tenant(Class::Bd, self.tenant_of_epg(epg), self.bits(Class::Epg, epg, 3))
    }

    pub(super) fn ctx_of_bd(&self, bd: u32) -> u32 {
        let first = || self.within_tenant(Class::Ctx, self.tenant_of(bd), self.bits(Class::Bd, bd, 4));
        self.moved.get(&bd).copied().unwrap_or_else(first)
    }

    pub(super) fn bd_of_subnet(&self, subnet: u32) -> u32 {
        subnet % self.count(Class::Bd)
    }

    pub(super) fn epg_of_path(&self, path: u32) -> u32 {
        path % self.count(Class::Epg)
    }

    /// Returns the EPG of an endpoint: few have many endpoints and many have few.
    pub(super) fn epg_of_endpoint(&self, endpoint: u32) -> u32 {
        let first = scale(self.bits(Class::Endpoint, endpoint, 5), u64::from(self.count(Class::Epg)) + 1);
        u32::try_from(scale(self.bits(Class::Endpoint, endpoint, 6), first)).unwrap_or(0)
    }

    /// Returns the name of an object, or nothing for classes without one.
    pub(super) fn write_name(&self, class: Class, serial: u32, out: &mut String) {
        let tenants = self.count(Class::Tenant);
        let word = |words| self.pick(class, serial, 7, words);
        match class {
            Class::Tenant if serial == 0 => out.push_str("common"),
            Class::Tenant => put!(out, "{}-{}-{serial:02}", word(BUSINESSES), self.pick(class, serial, 8, STAGES)),
            Class::Ctx => put!(out, "{}-{:02}", word(ZONES), serial / tenants + 1),
            Class::Bd => put!(out, "{}-{:03}", word(NETS), serial / tenants + 1),
            Class::Ap => put!(out, "{}-{:02}", word(APPS), serial / tenants + 1),
            Class::Epg => put!(out, "{}-{:03}", word(TIERS), serial / self.count(Class::Ap) + 1),
            Class::Contract => {
                put!(out, "{}-to-{}-{:03}", word(TIERS), self.pick(class, serial, 8, TIERS), serial / tenants + 1);
            }
            Class::L3Out => put!(out, "{}-{:02}", word(OUTSIDES), serial / tenants + 1),
            Class::Endpoint => write_mac(serial, out),
            Class::Node => {
                let (role, number) = self.node(serial);
                match role {
                    "controller" => put!(out, "apic{number}"),
                    _ => put!(out, "{role}-{number}"),
                }
            }
            _ => {}
        }
    }

    pub(super) fn write_dn(&self, class: Class, serial: u32, out: &mut String) {
        let parent = |prefix: &str, out: &mut String| {
            out.push_str("uni/tn-");
            self.write_name(Class::Tenant, self.tenant_of(serial), out);
            out.push_str(prefix);
        };
        match class {
            Class::Tenant => parent("", out),
            Class::Ctx => parent("/ctx-", out),
            Class::Bd => parent("/BD-", out),
            Class::Ap => parent("/ap-", out),
            Class::Contract => parent("/brc-", out),
            Class::L3Out => parent("/out-", out),
            Class::RsCtx | Class::Subnet => self.write_dn(Class::Bd, self.bd_of_subnet(serial), out),
            Class::Epg => {
                self.write_dn(Class::Ap, serial % self.count(Class::Ap), out);
                out.push_str("/epg-");
            }
            Class::RsBd => self.write_dn(Class::Epg, serial, out),
            Class::PathAtt => self.write_dn(Class::Epg, self.epg_of_path(serial), out),
            Class::Endpoint => {
                self.write_dn(Class::Epg, self.epg_of_endpoint(serial), out);
                out.push_str("/cep-");
            }
            Class::Fault => self.write_fault_dn(serial, out),
            Class::Node => put!(out, "topology/pod-{}/node-{}", self.pod_of_node(serial), self.node(serial).1),
            Class::PhysIf => self.write_port(serial, out),
        }
        match class {
            Class::RsCtx => out.push_str("/rsctx"),
            Class::RsBd => out.push_str("/rsbd"),
            Class::Subnet => {
                out.push_str("/subnet-[");
                write_gateway(serial, out);
                out.push(']');
            }
            Class::PathAtt => {
                out.push_str("/rspathAtt-[");
                self.write_path(serial, out);
                out.push(']');
            }
            Class::Tenant | Class::Fault | Class::Node | Class::PhysIf => {}
            _ => self.write_name(class, serial, out),
        }
    }

    /// Returns role and number of a node: controllers, then spines, then leaves.
    pub(super) fn node(&self, serial: u32) -> (&'static str, u32) {
        let spines = 2 * self.pods();
        match serial {
            0..3 => ("controller", serial + 1),
            _ if serial < 3 + spines => ("spine", 1001 + serial - 3),
            _ => ("leaf", 101 + serial - 3 - spines),
        }
    }

    fn pod_of_node(&self, serial: u32) -> u32 {
        match self.node(serial) {
            ("controller", _) => 1,
            ("spine", number) => 1 + (number - 1001) / 2,
            (_, number) => pod_of_leaf(number),
        }
    }

    pub(super) fn write_port(&self, port: u32, out: &mut String) {
        let leaf = leaf_of_port(port);
        put!(out, "topology/pod-{}/node-{leaf}/sys/phys-[eth1/{}]", pod_of_leaf(leaf), port % PORTS + 1);
    }

    /// Returns the port of a static binding and whether it stands for a virtual port channel.
    ///
    /// Every EPG starts at a port of its own and takes one after the other, singles and channels in turn.
    /// When it has them all, it goes on at switches that do not exist, which still gives every DN once.
    pub(super) fn place_of_path(&self, serial: u32) -> (u32, bool) {
        let (epg, nth) = (self.epg_of_path(serial), serial / self.count(Class::Epg));
        let ports = self.ports();
        let (step, channel) = (nth / 2, nth % 2 == 1);
        let first = self.choose(Class::Epg, epg, 9, ports);
        (if step < ports { (first + step) % ports } else { step }, channel)
    }

    /// Writes the port that a static binding names.
    pub(super) fn write_path(&self, serial: u32, out: &mut String) {
        let (port, channel) = self.place_of_path(serial);
        write_path_of(port, channel, out);
    }

    /// Writes one of the ports or channels there are.
    pub(super) fn write_any_path(&self, bits: u64, out: &mut String) {
        let port = u32::try_from(scale(bits, u64::from(self.ports()))).unwrap_or(0);
        write_path_of(port, bits & 1 == 1, out);
    }
}
