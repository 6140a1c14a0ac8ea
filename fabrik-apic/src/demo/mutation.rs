//! Which attributes change in daily life, and to what.

use std::fmt::Write;

use super::class::Class;
use super::random::Random;
use super::text::write_time;
use super::world::World;

/// How an attribute finds its next value.
#[derive(Clone, Copy, Debug)]
pub(super) enum Next {
    /// Another one of these.
    OneOf(&'static [&'static str]),
    /// The number of a change ticket where there was nothing, and the other way round.
    Ticket,
    /// Another VLAN.
    Encap,
    /// Another IPv4 address.
    Ip,
    /// Another port or virtual port channel.
    Path,
    /// A greater number.
    Count,
    /// The moment of the change.
    Now,
}

use Next::{Count, Encap, Ip, Now, OneOf, Path, Ticket};

const YES_NO: Next = OneOf(&["yes", "no"]);
const SEVERITY: Next = OneOf(&["critical", "major", "minor", "warning", "cleared"]);
const PRIORITY: Next = OneOf(&["unspecified", "level1", "level2", "level3"]);
const TEXT: Next = OneOf(super::world::DESCRIPTIONS);
const ALIAS: (&str, Next) = ("nameAlias", Ticket);
const DESCR: (&str, Next) = ("descr", TEXT);

/// Returns the attributes of a class that change by themselves.
///
/// Those that follow from where a bridge domain lives (`scope` of a BD or EPG, `vrfDn`, the targets of
/// relations) are not among them: they move with the bridge domain, and with nothing else.
pub(super) fn mutations(class: Class) -> &'static [(&'static str, Next)] {
    match class {
        Class::Tenant => &[DESCR, ALIAS, ("ownerTag", Ticket)],
        Class::Ctx => &[
            DESCR,
            ALIAS,
            ("pcEnfPref", OneOf(&["enforced", "unenforced"])),
            ("bdEnforcedEnable", YES_NO),
            ("ipDataPlaneLearning", OneOf(&["enabled", "disabled"])),
        ],
        Class::Bd => &[
            DESCR,
            ALIAS,
            ("arpFlood", YES_NO),
            ("epMoveDetectMode", OneOf(&["", "garp"])),
            ("limitIpLearnToSubnets", YES_NO),
            ("unkMcastAct", OneOf(&["flood", "opt-flood"])),
        ],
        Class::RsCtx | Class::RsBd => &[("annotation", OneOf(super::world::ORCHESTRATORS))],
        Class::Subnet => &[
            DESCR,
            ("scope", OneOf(super::world::SUBNET_SCOPES)),
            ("preferred", YES_NO),
            ("ctrl", OneOf(&["", "nd", "querier", "no-default-gateway"])),
        ],
        Class::Ap => &[DESCR, ALIAS, ("prio", PRIORITY)],
        Class::Epg => &[
            DESCR,
            ALIAS,
            ("prefGrMemb", OneOf(&["include", "exclude"])),
            ("pcEnfPref", OneOf(&["enforced", "unenforced"])),
            ("floodOnEncap", OneOf(&["enabled", "disabled"])),
            ("configSt", OneOf(&["applied", "not-applied", "failed-to-apply"])),
        ],
        Class::PathAtt => &[
            DESCR,
            ("encap", Encap),
            ("instrImedcy", OneOf(&["lazy", "immediate"])),
            ("mode", OneOf(&["regular", "native", "untagged"])),
            ("state", OneOf(&["formed", "unformed", "missing-target"])),
        ],
        Class::Contract => &[
            DESCR,
            ("scope", OneOf(&["context", "tenant", "global", "application-profile"])),
            ("prio", PRIORITY),
            ("targetDscp", OneOf(&["unspecified", "AF11", "EF", "CS3"])),
        ],
        Class::L3Out => &[DESCR, ALIAS, ("targetDscp", OneOf(&["unspecified", "EF", "CS6"]))],
        Class::Endpoint => &[
            ("ip", Ip),
            ("fabricPathDn", Path),
            ("lcC", OneOf(&["learned", "learned,vmm", "static"])),
            ("reportingControllerName", OneOf(&["", "vcenter-a", "vcenter-b"])),
        ],
        Class::Fault => &[
            ("occur", Count),
            ("severity", SEVERITY),
            ("lc", OneOf(&["raised", "soaking", "soaking-clearing", "raised-clearing", "retaining"])),
            ("ack", YES_NO),
            ("prevSeverity", SEVERITY),
            ("lastTransition", Now),
        ],
        Class::Node => &[ALIAS, ("delayedHeartbeat", YES_NO), ("lastStateModTs", Now)],
        Class::PhysIf => &[
            DESCR,
            ("adminSt", OneOf(&["up", "down"])),
            ("autoNeg", OneOf(&["on", "off"])),
            ("linkDebounce", OneOf(&["0", "100", "300"])),
            ("switchingSt", OneOf(&["enabled", "disabled"])),
            ("usage", OneOf(&["discovery", "epg", "fabric", "blacklist"])),
        ],
    }
}

impl Next {
    /// Returns a value other than `current`.
    pub(super) fn value(self, world: &World, current: &str, now_ms: i64, random: &mut Random) -> String {
        if let Self::OneOf(values) = self {
            // Skipping the current value by counting is what makes every other one equally likely.
            let others = values.iter().filter(|&&value| value != current).count();
            let nth = random.index(others);
            return values
                .iter()
                .filter(|&&value| value != current)
                .nth(nth)
                .map_or_else(String::new, |&v| v.to_owned());
        }
        loop {
            let value = self.candidate(world, current, now_ms, random);
            if value != current {
                return value;
            }
        }
    }

    fn candidate(self, world: &World, current: &str, now_ms: i64, random: &mut Random) -> String {
        let mut value = String::new();
        let written = match self {
            Self::Ticket if !current.is_empty() => Ok(()),
            Self::Ticket => write!(value, "CHG{:07}", random.below(10_000_000)),
            Self::Encap => write!(value, "vlan-{}", 100 + random.below(3900)),
            Self::Ip => write!(value, "10.{}.{}.{}", random.below(250), random.below(250), 2 + random.below(250)),
            Self::Count => write!(value, "{}", current.parse::<u64>().unwrap_or(0) + 1 + random.below(9)),
            Self::Path => {
                world.write_any_path(random.next(), &mut value);
                Ok(())
            }
            Self::Now | Self::OneOf(_) => {
                write_time(now_ms, &mut value);
                Ok(())
            }
        };
        written.expect("a String takes any text");
        value
    }
}
