//! One step through time: every change of an object goes through here and is noted.

use std::collections::BTreeSet;

use super::Step;
use super::class::Class;
use super::mutation::mutations;
use super::random::Random;
use super::state::{Object, State};
use super::text::write_time;

/// A step under way. What it notes is never found by comparing rows, so that it can judge those that do.
#[derive(Debug)]
pub(super) struct Edit<'a> {
    pub(super) state: &'a mut State,
    pub(super) random: &'a mut Random,
    since_ms: i64,
    until_ms: i64,
    added: Vec<u32>,
    removed: Vec<u32>,
    changed: BTreeSet<u32>,
    touched: Vec<u32>,
}

/// The objects of a [`Step`] by their numbers.
#[cfg_attr(not(feature = "simulator"), expect(dead_code, reason = "only the simulator asks for the numbers"))]
#[derive(Debug)]
pub(crate) struct StepIds {
    pub(crate) added: Vec<u32>,
    pub(crate) removed: Vec<u32>,
    pub(crate) changed: Vec<u32>,
    pub(crate) touched: Vec<u32>,
}

impl<'a> Edit<'a> {
    /// Starts a step whose changes happen after `since_ms` and not after `until_ms`, which is later.
    pub(super) fn new(state: &'a mut State, random: &'a mut Random, since_ms: i64, until_ms: i64) -> Self {
        let (added, removed, changed, touched) = Default::default();
        Self { state, random, since_ms, until_ms, added, removed, changed, touched }
    }

    /// Adds an object that never was.
    pub(super) fn create(&mut self, class: Class, serial: u32) -> u32 {
        let id = u32::try_from(self.state.objects.len()).expect("fewer than 2^32 objects: each takes 16 bytes");
        let mod_ms = self.moment();
        self.state.objects.push(Object { class, serial, live: true, mod_ms });
        self.added.push(id);
        self.date_fault(id);
        id
    }

    /// Adds an object that was removed in an earlier step.
    pub(super) fn bring_back(&mut self, id: u32) {
        self.stamp(id);
        self.state.object_mut(id).live = true;
        self.added.push(id);
        self.date_fault(id);
    }

    pub(super) fn remove(&mut self, id: u32) {
        self.state.object_mut(id).live = false;
        self.removed.push(id);
    }

    /// Writes an object without changing anything but its `modTs`.
    pub(super) fn touch(&mut self, id: u32) {
        self.stamp(id);
        self.touched.push(id);
    }

    /// Sets one attribute of an object; nothing happens when it has that value. Returns whether it had another.
    pub(super) fn set(&mut self, id: u32, name: &str, value: &str) -> bool {
        let differs = self.state.set(id, name, value);
        if differs {
            self.note_changed(id);
        }
        differs
    }

    /// Changes one to three attributes that change in daily life.
    pub(super) fn mutate(&mut self, id: u32) {
        self.note_changed(id);
        let object = self.state.object(id);
        let mut pool = mutations(object.class).to_vec();
        let count = 1 + self.random.index(3);
        for (name, next) in self.random.draw(&mut pool, count) {
            let current = self.state.value(id, name);
            let value = next.value(&self.state.world, &current, self.state.object(id).mod_ms, self.random);
            self.state.set(id, name, &value);
        }
    }

    /// Notes that an attribute of the object has changed, by whatever means.
    pub(super) fn note_changed(&mut self, id: u32) {
        self.stamp(id);
        self.changed.insert(id);
    }

    /// Returns the time of the object's last change as text.
    pub(super) fn time_of(&self, id: u32) -> String {
        let mut text = String::new();
        write_time(self.state.object(id).mod_ms, &mut text);
        text
    }

    /// Ends the step.
    pub(super) fn finish(self) -> Step {
        self.finish_with_ids().0
    }

    /// Ends the step and tells the numbers of its objects besides.
    pub(super) fn finish_with_ids(self) -> (Step, StepIds) {
        let objects = &self.state.objects;
        if !self.removed.is_empty() {
            self.state.live.retain(|&id| objects[id as usize].live);
        }
        self.state.live.extend(&self.added);
        let changed: Vec<u32> = self.changed.into_iter().collect();
        let dns = |ids: &[u32]| {
            let mut dns: Vec<String> = ids.iter().map(|&id| self.state.dn(id)).collect();
            dns.sort_unstable();
            dns
        };
        let step = Step {
            added: dns(&self.added),
            removed: dns(&self.removed),
            changed: dns(&changed),
            touched: dns(&self.touched),
        };
        let ids = StepIds { added: self.added, removed: self.removed, changed, touched: self.touched };
        (step, ids)
    }

    fn moment(&mut self) -> i64 {
        let span = u64::try_from(self.until_ms - self.since_ms).unwrap_or(1);
        self.until_ms - i64::try_from(self.random.below(span)).unwrap_or(0)
    }

    fn stamp(&mut self, id: u32) {
        self.state.object_mut(id).mod_ms = self.moment();
    }

    /// A fault that is raised anew knows nothing of the last time.
    fn date_fault(&mut self, id: u32) {
        if self.state.object(id).class != Class::Fault {
            return;
        }
        let time = self.time_of(id);
        self.state.reset(id);
        self.state.set(id, "created", &time);
        self.state.set(id, "lastTransition", &time);
        self.state.set(id, "lc", "raised");
        self.state.set(id, "occur", "1");
    }
}
