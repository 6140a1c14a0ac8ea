//! The tree of a fabric at its first moment.
//!
//! Most objects come from the demo fabric. What it leaves out is added here: everything above its objects, so
//! that none hangs in the air, what contracts and outsides consist of, switches, users and records. Addresses
//! of endpoints fill the tree up to the size that is asked for.

mod hardware;
mod records;
mod tenants;

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};

pub(super) use records::user_of;

use super::body::Body;
use super::log::Logbook;
use super::tree::{NodeId, Tree};
use super::{FabricOptions, time_text};
use crate::demo::{DemoFabric, DemoOptions, mix};
use crate::simulator::class::{self, Class};

/// The release that controllers say they run.
pub(crate) const VERSION: &str = "6.0(2h)";

/// What a generation makes.
#[derive(Debug)]
pub(super) struct Generated {
    pub(super) tree: Tree,
    pub(super) fabric: DemoFabric,
    pub(super) logbook: Logbook,
}

/// Makes the tree; the same options make the same tree.
pub(super) fn generate(options: &FabricOptions) -> Generated {
    // What is added makes up about half of the tree, addresses included.
    let objects = options.objects * 10 / 19;
    let fabric = DemoFabric::new(DemoOptions { seed: options.seed, objects, start: options.start });
    let mut builder = Builder {
        tree: Tree::new(options.objects),
        seed: options.seed,
        start: options.start,
        start_text: time_text(options.start - TimeDelta::days(900)),
    };
    let mut by_class: HashMap<&'static str, Vec<NodeId>> = HashMap::new();
    let mut reader = DemoReader::default();
    for &id in fabric.ids() {
        let class = class::known(fabric.class_name(id));
        let node = builder.tree.add_body(class.id, reader.body(&fabric, id, class));
        by_class.entry(class.name).or_default().push(node);
    }
    tenants::add(&mut builder, &by_class);
    hardware::add(&mut builder, &by_class);
    builder.tree.complete(&builder.start_text);
    let mut logbook = Logbook::default();
    records::add(&mut builder, &fabric, &mut logbook);
    let endpoints = by_class.get("fvCEp").map_or(&[][..], Vec::as_slice);
    tenants::fill_with_addresses(&mut builder, endpoints, options.objects);
    builder.tree.settle(&builder.start_text);
    Generated { tree: builder.tree, fabric, logbook }
}

/// Reads objects of the demo fabric, with one set of buffers for all.
#[derive(Debug, Default)]
pub(super) struct DemoReader {
    scratch: String,
    text: String,
    ends: Vec<usize>,
}

impl DemoReader {
    /// Returns the values of an object in the order of its class; what the demo does not have is the default.
    pub(super) fn body(&mut self, fabric: &DemoFabric, id: u32, class: &Class) -> Body {
        let Self { scratch, text, ends } = self;
        text.clear();
        ends.clear();
        let mut attributes = class.attributes.iter();
        // Both lists ascend by name, and the class has every attribute that the demo has.
        fabric.each_attribute(id, scratch, |name, value| {
            for attribute in attributes.by_ref() {
                let found = attribute.name == name;
                text.push_str(if found { value } else { attribute.default });
                ends.push(text.len());
                if found {
                    return;
                }
            }
        });
        for attribute in attributes {
            text.push_str(attribute.default);
            ends.push(text.len());
        }
        let starts = std::iter::once(0).chain(ends.iter().copied());
        Body::new(starts.zip(ends.iter()).map(|(start, &end)| &text[start..end]))
    }
}

/// A tree in the making.
#[derive(Debug)]
struct Builder {
    tree: Tree,
    seed: u64,
    start: DateTime<Utc>,
    /// When what has always been there was made.
    start_text: String,
}

impl Builder {
    /// Adds an object that came some time before the start, if it is not there.
    fn add(&mut self, class: &'static str, dn: &str, set: &[(&str, &str)]) {
        let age = self.dice(dn, 99).below(700 * 24 * 3600);
        let age = TimeDelta::seconds(i64::try_from(age).unwrap_or(0));
        let mod_ts = if class == "healthInst" { "never".to_owned() } else { time_text(self.start - age) };
        self.tree.add(class::known(class), dn, &mod_ts, set);
    }

    /// Adds the health score of an object.
    fn add_health(&mut self, dn: &str) {
        let mut dice = self.dice(dn, 1);
        let current = if dice.below(4) == 0 { 60 + dice.below(40) } else { 100 };
        let severity = if current == 100 { "cleared" } else { "minor" };
        let (current, updated) = (current.to_string(), time_text(self.start));
        let set = [
            ("cur", &*current),
            ("prev", &*current),
            ("twScore", &*current),
            ("maxSev", severity),
            ("updTs", &*updated),
        ];
        self.add("healthInst", &format!("{dn}/health"), &set);
    }

    /// Returns the DN of an object.
    fn dn(&self, id: NodeId) -> String {
        self.tree.node(id).dn().to_owned()
    }

    fn value(&self, id: NodeId, name: &str) -> String {
        self.tree.node(id).value(name).unwrap_or_default().to_owned()
    }

    /// Returns chance that belongs to one question (`salt`) about one object.
    fn dice(&self, dn: &str, salt: u64) -> Dice {
        // FNV-1a: the standard hash differs from release to release.
        let hash = dn
            .bytes()
            .fold(0xCBF2_9CE4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3));
        Dice(mix(hash ^ mix(self.seed ^ salt)))
    }
}

/// Chance that is the same every time.
#[derive(Debug)]
struct Dice(u64);

impl Dice {
    /// Returns a number from 0 to `end` - 1.
    fn below(&mut self, end: u64) -> u64 {
        self.0 = mix(self.0.wrapping_add(0x9E37_79B9_7F4A_7C15));
        (self.0 >> 16) % end.max(1)
    }

    fn pick<'a, T>(&mut self, items: &'a [T]) -> Option<&'a T> {
        let nth = usize::try_from(self.below(items.len() as u64)).unwrap_or(0);
        items.get(nth)
    }
}
