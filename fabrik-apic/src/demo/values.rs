//! The attributes that differ from object to object, as they are before anybody changes them.

use std::fmt::Write;

use super::class::Class;
use super::fault::fault_kind;
use super::text::{PORTS, put, write_gateway, write_time};
use super::world::{DESCRIPTIONS, ORCHESTRATORS, SUBNET_SCOPES, World};

const USERS: &[&str] = &["15374", "15901", "16210"];
/// The VNID of the first VRF.
const FIRST_SCOPE: u32 = 2_097_152;

impl World {
    /// Writes an attribute that the table of its class leaves open, other than `modTs`.
    pub(super) fn write_value(&self, class: Class, serial: u32, name: &str, out: &mut String) {
        match name {
            "dn" => self.write_dn(class, serial, out),
            "name" => self.write_name(class, serial, out),
            "uid" => out.push_str(self.pick(class, serial, 10, USERS)),
            "annotation" => out.push_str(self.pick(class, serial, 11, ORCHESTRATORS)),
            "descr" if class == Class::Fault => out.push_str(fault_kind(serial).descr),
            // Most objects in most fabrics have no description and no owner.
            "descr" if self.choose(class, serial, 12, 5) == 0 => {
                out.push_str(self.pick(class, serial, 13, DESCRIPTIONS));
            }
            "ownerTag" if self.choose(class, serial, 14, 12) == 0 => {
                put!(out, "CHG{:07}", self.choose(class, serial, 15, 10_000_000));
            }
            "descr" | "ownerTag" => {}
            "pcTag" => put!(out, "{}", 16_386 + self.choose(class, serial, 16, 49_000)),
            "txId" => put!(out, "5764607523{:08}", self.choose(class, serial, 17, 100_000_000)),
            _ => match class {
                Class::Ctx | Class::Bd | Class::RsCtx | Class::Subnet => self.write_network(class, serial, name, out),
                Class::Epg | Class::RsBd | Class::PathAtt => self.write_attachment(class, serial, name, out),
                Class::Endpoint => self.write_endpoint(serial, name, out),
                Class::Fault => self.write_fault(serial, name, out),
                Class::Node => self.write_node(serial, name, out),
                Class::PhysIf => self.write_interface_value(serial, name, out),
                Class::Tenant | Class::Ap | Class::Contract | Class::L3Out => {}
            },
        }
    }

    fn write_network(&self, class: Class, serial: u32, name: &str, out: &mut String) {
        // One in four bridge domains only switches: the rest of its settings follow from that.
        let switches = || self.choose(class, serial, 20, 4) == 0;
        match (class, name) {
            (Class::Ctx, "scope" | "seg") => put!(out, "{}", FIRST_SCOPE + serial * 32),
            (Class::Bd, "scope") => put!(out, "{}", FIRST_SCOPE + self.ctx_of_bd(serial) * 32),
            (Class::Bd, "seg") => put!(out, "{}", 15_000_000 + serial * 16),
            (Class::Bd, "bcastP") => {
                put!(out, "225.{}.{}.{}", serial >> 12 & 0xFF, serial >> 4 & 0xFF, (serial & 0xF) << 4);
            }
            (Class::Bd, "unicastRoute") => out.push_str(if switches() { "no" } else { "yes" }),
            (Class::Bd, "arpFlood") => out.push_str(if switches() { "yes" } else { "no" }),
            (Class::Bd, "unkMacUcastAct") => out.push_str(if switches() { "flood" } else { "proxy" }),
            (Class::RsCtx, "tDn") => self.write_dn(Class::Ctx, self.ctx_of_bd(serial), out),
            (Class::RsCtx, "tnFvCtxName") => self.write_name(Class::Ctx, self.ctx_of_bd(serial), out),
            (Class::RsCtx, "tRn") => {
                out.push_str("ctx-");
                self.write_name(Class::Ctx, self.ctx_of_bd(serial), out);
            }
            (Class::Subnet, "ip") => write_gateway(serial, out),
            (Class::Subnet, "scope") => out.push_str(self.pick(class, serial, 21, SUBNET_SCOPES)),
            _ => {}
        }
    }

    fn write_attachment(&self, class: Class, serial: u32, name: &str, out: &mut String) {
        match (class, name) {
            (Class::Epg, "scope") => put!(out, "{}", FIRST_SCOPE + self.ctx_of_bd(self.bd_of_epg(serial)) * 32),
            (Class::RsBd, "tDn") => self.write_dn(Class::Bd, self.bd_of_epg(serial), out),
            (Class::RsBd, "tnFvBDName") => self.write_name(Class::Bd, self.bd_of_epg(serial), out),
            (Class::RsBd, "tRn") => {
                out.push_str("BD-");
                self.write_name(Class::Bd, self.bd_of_epg(serial), out);
            }
            (Class::PathAtt, "tDn") => self.write_path(serial, out),
            (Class::PathAtt, "encap") => self.write_encap(self.epg_of_path(serial), out),
            (Class::PathAtt, "instrImedcy") => {
                out.push_str(self.pick(class, serial, 22, &["immediate", "immediate", "lazy"]));
            }
            (Class::PathAtt, "mode") => {
                out.push_str(self.pick(class, serial, 23, &["regular", "regular", "regular", "native", "untagged"]));
            }
            _ => {}
        }
    }

    fn write_encap(&self, epg: u32, out: &mut String) {
        put!(out, "vlan-{}", 100 + self.choose(Class::Epg, epg, 24, 3900));
    }

    fn write_endpoint(&self, serial: u32, name: &str, out: &mut String) {
        let class = Class::Endpoint;
        let epg = self.epg_of_endpoint(serial);
        let byte = |salt| self.choose(class, serial, salt, 250);
        // Some endpoints are virtual machines, which the hypervisor tells more about.
        let virtual_machine = || self.choose(class, serial, 30, 3) == 0;
        match name {
            "mac" => self.write_name(class, serial, out),
            "bdDn" => self.write_dn(Class::Bd, self.bd_of_epg(epg), out),
            "vrfDn" => self.write_dn(Class::Ctx, self.ctx_of_bd(self.bd_of_epg(epg)), out),
            "encap" => self.write_encap(epg, out),
            "fabricPathDn" => self.write_any_path(self.bits(class, serial, 31), out),
            "ip" if byte(32) < 60 => out.push_str("0.0.0.0"),
            "ip" => put!(out, "10.{}.{}.{}", byte(33), byte(34), 2 + byte(35)),
            "idepdn" => {
                out.push_str("uni/epp/fv-[");
                self.write_dn(Class::Epg, epg, out);
                put!(out, "]/node-{}/cep-", 101 + self.choose(class, serial, 36, self.leaves));
                self.write_name(class, serial, out);
            }
            "uuid" => {
                let (high, low) = (self.bits(class, serial, 37), self.bits(class, serial, 38));
                put!(out, "{:08x}-{:04x}-4{:03x}-", high >> 32, high >> 16 & 0xFFFF, high & 0xFFF);
                put!(out, "a{:03x}-{:012x}", low >> 52, low & 0xFFFF_FFFF_FFFF);
            }
            "lcC" => out.push_str(if virtual_machine() { "learned,vmm" } else { "learned" }),
            "hostingServer" if virtual_machine() => put!(out, "esx-{:03}.rz1.example.net", byte(39)),
            "contName" if virtual_machine() => put!(out, "vm-{:06}", self.choose(class, serial, 40, 1_000_000)),
            "reportingControllerName" if virtual_machine() => out.push_str("vcenter-a"),
            _ => {}
        }
    }

    fn write_fault(&self, serial: u32, name: &str, out: &mut String) {
        let kind = fault_kind(serial);
        match name {
            "code" => self.write_fault_code(serial, out),
            "severity" | "origSeverity" | "prevSeverity" | "highestSeverity" => out.push_str(kind.severity),
            "cause" => out.push_str(kind.cause),
            "rule" => out.push_str(kind.rule),
            "subject" => out.push_str(kind.subject),
            "domain" => out.push_str(kind.domain),
            "type" => out.push_str(kind.type_),
            "created" | "lastTransition" => write_time(self.birth_ms(Class::Fault, serial), out),
            "lc" => out.push_str(self.pick(Class::Fault, serial, 41, &["raised", "raised", "raised", "soaking"])),
            "occur" => put!(out, "{}", 1 + self.choose(Class::Fault, serial, 42, 20)),
            "changeSet" => match kind.domain {
                "access" => out.push_str("operSt:down, operStQual:link-failure, usage:epg"),
                _ => out.push_str("state (New: failed), state (Old: formed)"),
            },
            _ => {}
        }
    }

    fn write_node(&self, serial: u32, name: &str, out: &mut String) {
        let (role, number) = self.node(serial);
        let controller = role == "controller";
        match name {
            "id" => put!(out, "{number}"),
            "role" => out.push_str(role),
            "address" => put!(out, "10.0.{}.{}", serial / 250 + 64, serial % 250 + 1),
            "fabricSt" => out.push_str(if controller { "unknown" } else { "active" }),
            "lastStateModTs" => write_time(self.birth_ms(Class::Node, serial), out),
            "model" => out.push_str(match role {
                "controller" => "APIC-SERVER-M3",
                "spine" => "N9K-C9364C",
                _ => "N9K-C93180YC-FX",
            }),
            "serial" => put!(out, "FDO{:08X}", self.bits(Class::Node, serial, 43) >> 32),
            "vendor" => out.push_str("Cisco Systems, Inc"),
            "version" if !controller => out.push_str("n9000-16.0(2h)"),
            _ => {}
        }
    }

    fn write_interface_value(&self, serial: u32, name: &str, out: &mut String) {
        let class = Class::PhysIf;
        match name {
            "id" => put!(out, "eth1/{}", serial % PORTS + 1),
            "speed" => out.push_str(self.pick(class, serial, 44, &["inherit", "10G", "25G"])),
            "switchingSt" => out.push_str(self.pick(class, serial, 45, &["enabled", "enabled", "disabled"])),
            "usage" => out.push_str(self.pick(class, serial, 46, &["epg", "epg", "discovery"])),
            _ => {}
        }
    }
}
