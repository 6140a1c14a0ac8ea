//! Records of the month before the start.

use chrono::TimeDelta;

use super::Builder;
use crate::demo::DemoFabric;
use crate::simulator::class;
use crate::simulator::event::Change;
use crate::simulator::mit::log::{Affected, Logbook, modification_set};
use crate::simulator::mit::time_text;

const USERS: [&str; 3] = ["admin", "netops", "svc-terraform"];
/// One record for so many objects of the demo fabric, and no more than that many in all.
const OBJECTS_PER_RECORD: usize = 60;
const MOST_RECORDS: usize = 20_000;

/// Returns one of the people who change the fabric.
pub(in crate::simulator::mit) fn user_of(dn: &str) -> &'static str {
    USERS[dn.len() % USERS.len()]
}

/// Adds records of changes of configuration, and events of interfaces, from the oldest to the newest.
pub(super) fn add(builder: &mut Builder, fabric: &DemoFabric, logbook: &mut Logbook) {
    let ids = fabric.ids();
    let count = (ids.len() / OBJECTS_PER_RECORD).clamp(8, MOST_RECORDS);
    let month = TimeDelta::days(30);
    let mut dice = builder.dice("records", 20);
    let mut number = 4_294_967_296_u64;
    for nth in 0..count {
        let left = i32::try_from(count - nth).unwrap_or(i32::MAX);
        let at = time_text(builder.start - month / i32::try_from(count).unwrap_or(i32::MAX) * left);
        let Some(&id) = dice.pick(ids) else { return };
        let dn = fabric.dn(id);
        let Some(node) = builder.tree.find(&dn) else { continue };
        if builder.tree.node(node).class().is_config {
            let ticket = format!("CHG{:07}", dice.below(10_000_000));
            let set = modification_set([("descr", "", &*ticket)].into_iter());
            let affected = Affected::of(&builder.tree, node, Change::Modified, set);
            let transaction = logbook.begin(user_of(&dn), "", &at);
            logbook.record(&mut builder.tree, &transaction, &affected);
        } else if fabric.class_name(id) == "l1PhysIf" {
            number += 1 + dice.below(1000);
            let id = number.to_string();
            let set = [
                ("affected", &*dn),
                ("cause", "link-state-change"),
                ("changeSet", "operSt (Old: down, New: up)"),
                ("code", "E4205125"),
                ("created", &*at),
                ("descr", "Port is up"),
            ];
            builder.tree.add(class::known("eventRecord"), &format!("subj-[{dn}]/rec-{id}"), "never", &set);
        }
    }
}
