//! What people do to the fabric: a planned change, a mistake, and its repair.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};

use super::class::Class;
use super::fault::ROUTING_FAULT;
use super::{DemoFabric, Step};

/// What the mistakes so far have broken, and what else must be remembered about people.
#[derive(Clone, Debug, Default)]
pub(super) struct History {
    /// The tenant of the last event; the next one hits another.
    tenant: Option<u32>,
    /// Object, attribute and the value it had.
    broken: Vec<(u32, &'static str, String)>,
    deleted_paths: Vec<u32>,
    raised: Vec<u32>,
    /// The object of each routing fault that was ever raised, by its bridge domain.
    routing_faults: BTreeMap<u32, u32>,
}

impl DemoFabric {
    /// Carries out a planned change on one tenant: a new VRF, half of the bridge domains moved to it, and
    /// their subnets announced to the outside and to other VRFs.
    ///
    /// Everything that shows the VRF of a bridge domain changes with it: its relation and scope, its EPGs
    /// and the endpoints behind them.
    pub fn change_window(&mut self, at: DateTime<Utc>) -> Step {
        let tenant = self.next_tenant();
        let mut edit = super::begin_edit!(self, at);

        let tenants = edit.state.world.count(Class::Tenant);
        let free = &mut self.next_serial[Class::Ctx as usize];
        let ctx = *free + (tenant + tenants - *free % tenants) % tenants;
        *free = ctx + 1;
        let ctx_id = edit.create(Class::Ctx, ctx);
        edit.state.set(ctx_id, "descr", "Trennung der Dienste, geplante Änderung");

        let mut bds: Vec<u32> = serials(edit.state, Class::Bd).filter(|bd| bd % tenants == tenant).collect();
        let half = bds.len().div_ceil(2);
        let moved: BTreeSet<u32> = edit.random.draw(&mut bds, half).into_iter().collect();
        edit.state.world.moved.extend(moved.iter().map(|&bd| (bd, ctx)));

        for id in edit.state.live.clone() {
            let (object, world) = (edit.state.object(id), &edit.state.world);
            match object.class {
                Class::Bd | Class::RsCtx if moved.contains(&object.serial) => edit.note_changed(id),
                Class::Epg if moved.contains(&world.bd_of_epg(object.serial)) => edit.note_changed(id),
                Class::Endpoint if moved.contains(&world.bd_of_epg(world.epg_of_endpoint(object.serial))) => {
                    edit.note_changed(id);
                }
                Class::Subnet if moved.contains(&world.bd_of_subnet(object.serial)) => {
                    edit.set(id, "scope", "public,shared");
                }
                _ => {}
            }
        }
        edit.finish()
    }

    /// Makes a mistake on one tenant: all its bridge domains stop routing and flood ARP, and a few static
    /// path bindings are deleted. Faults follow.
    pub fn mistake(&mut self, at: DateTime<Utc>) -> Step {
        const DELETED_PATHS: usize = 3;
        let tenant = self.next_tenant();
        let mut edit = super::begin_edit!(self, at);

        let world = &edit.state.world;
        let of_tenant = |id: &u32| {
            let object = edit.state.object(*id);
            match object.class {
                Class::Bd => world.tenant_of(object.serial) == tenant,
                Class::PathAtt => world.tenant_of_epg(world.epg_of_path(object.serial)) == tenant,
                _ => false,
            }
        };
        let hit = edit.state.live.iter().copied().filter(of_tenant);
        let (bds, mut paths): (Vec<u32>, Vec<u32>) = hit.partition(|&id| edit.state.object(id).class == Class::Bd);

        for id in bds {
            let mut stopped = false;
            for (name, value) in [("unicastRoute", "no"), ("arpFlood", "yes")] {
                let before = edit.state.value(id, name);
                if edit.set(id, name, value) {
                    self.history.broken.push((id, name, before));
                    stopped |= name == "unicastRoute";
                }
            }
            if !stopped {
                continue;
            }
            let bd = edit.state.object(id).serial;
            let known = self.history.routing_faults.get(&bd).copied();
            let fault = match known {
                // An earlier mistake's fault may still stand there as cleared.
                Some(fault) if edit.state.object(fault).live => {
                    edit.set(fault, "severity", "major");
                    edit.set(fault, "lc", "raised");
                    fault
                }
                Some(fault) => {
                    edit.bring_back(fault);
                    fault
                }
                None => edit.create(Class::Fault, ROUTING_FAULT + bd),
            };
            self.history.routing_faults.insert(bd, fault);
            self.history.raised.push(fault);
        }
        for id in edit.random.draw(&mut paths, DELETED_PATHS) {
            edit.remove(id);
            self.history.deleted_paths.push(id);
        }
        edit.finish()
    }

    /// Puts back what [`DemoFabric::mistake`] broke since the last repair. Most of its faults vanish, some
    /// stay for a while as cleared.
    pub fn repair(&mut self, at: DateTime<Utc>) -> Step {
        let mut edit = super::begin_edit!(self, at);
        for (id, name, value) in self.history.broken.drain(..) {
            edit.set(id, name, &value);
        }
        for id in self.history.deleted_paths.drain(..) {
            edit.bring_back(id);
        }
        for (nth, id) in self.history.raised.drain(..).enumerate() {
            if !edit.state.object(id).live {
                continue;
            }
            if nth % 3 < 2 {
                edit.remove(id);
            } else {
                edit.set(id, "severity", "cleared");
                edit.set(id, "lc", "retaining");
                let time = edit.time_of(id);
                edit.state.set(id, "lastTransition", &time);
            }
        }
        edit.finish()
    }

    /// Draws a tenant: neither `common` nor that of the last event, as far as there are others.
    fn next_tenant(&mut self) -> u32 {
        let tenants = self.state.world.count(Class::Tenant);
        let others: Vec<u32> = (1..tenants).filter(|&tenant| Some(tenant) != self.history.tenant).collect();
        let tenant = if others.is_empty() { 0 } else { *self.random.pick(&others) };
        self.history.tenant = Some(tenant);
        tenant
    }
}

fn serials(state: &super::state::State, class: Class) -> impl Iterator<Item = u32> {
    state
        .live
        .iter()
        .map(|&id| state.object(id))
        .filter(move |object| object.class == class)
        .map(|object| object.serial)
}
