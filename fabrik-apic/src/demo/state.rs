//! The objects of the fabric at one moment.

use std::collections::HashMap;

use super::class::Class;
use super::text::write_time;
use super::world::World;

/// An object; what it is called and has follows from the two numbers, see [`World`].
#[derive(Clone, Copy, Debug)]
pub(super) struct Object {
    pub(super) class: Class,
    pub(super) serial: u32,
    pub(super) live: bool,
    pub(super) mod_ms: i64,
}

/// Everything that a row depends on.
#[derive(Clone, Debug)]
pub(super) struct State {
    pub(super) world: World,
    /// Every object that ever was; an object's number is its place here.
    pub(super) objects: Vec<Object>,
    /// The numbers of the objects there are, in the order they came.
    pub(super) live: Vec<u32>,
    /// Attributes that somebody has set, by their place in the table of the class. Only looked up, never
    /// walked through, because the order of a hash map differs from run to run.
    set: HashMap<u32, Vec<(usize, Box<str>)>>,
}

impl State {
    pub(super) fn new(world: World, objects: u32) -> Self {
        let mut state =
            Self { world, objects: Vec::with_capacity(objects as usize), live: Vec::new(), set: HashMap::new() };
        let mut left = objects;
        for class in Class::ALL {
            let count = state.world.count(class).min(left);
            left -= count;
            for serial in 0..count {
                let mod_ms = state.world.birth_ms(class, serial);
                state.objects.push(Object { class, serial, live: true, mod_ms });
            }
        }
        state.live = (0..objects).take(state.objects.len()).collect();
        state
    }

    pub(super) fn object(&self, id: u32) -> Object {
        self.objects[id as usize]
    }

    pub(super) fn object_mut(&mut self, id: u32) -> &mut Object {
        &mut self.objects[id as usize]
    }

    pub(super) fn dn(&self, id: u32) -> String {
        let object = self.object(id);
        let mut dn = String::with_capacity(96);
        self.world.write_dn(object.class, object.serial, &mut dn);
        dn
    }

    /// Calls `each` with every attribute in name order, the class under its column name among them.
    pub(super) fn each_attribute(&self, id: u32, scratch: &mut String, mut each: impl FnMut(&str, &str)) {
        let object = self.object(id);
        let table = &self.world.tables[object.class as usize];
        let set = self.set.get(&id);
        for (place, &(name, fixed)) in table.attributes.iter().enumerate() {
            if place == table.class_name_at {
                each(fabrik_core::CLASS_NAME, object.class.name());
            }
            let own = set.and_then(|set| set.iter().find(|(at, _)| *at == place));
            match (own, fixed) {
                (Some((_, value)), _) => each(name, value),
                (None, Some(value)) => each(name, value),
                (None, None) => {
                    scratch.clear();
                    self.write_open(object, name, scratch);
                    each(name, scratch);
                }
            }
        }
    }

    /// Returns one attribute; empty where the class has none of this name.
    pub(super) fn value(&self, id: u32, name: &str) -> String {
        let object = self.object(id);
        let table = &self.world.tables[object.class as usize];
        let Some(place) = table.position(name) else { return String::new() };
        if let Some((_, value)) = self.set.get(&id).and_then(|set| set.iter().find(|(at, _)| *at == place)) {
            return value.to_string();
        }
        let mut value = String::new();
        match table.attributes[place].1 {
            Some(fixed) => value.push_str(fixed),
            None => self.write_open(object, name, &mut value),
        }
        value
    }

    fn write_open(&self, object: Object, name: &str, out: &mut String) {
        match name {
            "modTs" => write_time(object.mod_ms, out),
            _ => self.world.write_value(object.class, object.serial, name, out),
        }
    }

    /// Sets an attribute and returns whether it had another value before.
    pub(super) fn set(&mut self, id: u32, name: &str, value: &str) -> bool {
        let Some(place) = self.world.tables[self.object(id).class as usize].position(name) else { return false };
        if self.value(id, name) == value {
            return false;
        }
        let set = self.set.entry(id).or_default();
        match set.iter_mut().find(|(at, _)| *at == place) {
            Some((_, have)) => *have = value.into(),
            None => set.push((place, value.into())),
        }
        true
    }

    /// Forgets what was set at an object.
    pub(super) fn reset(&mut self, id: u32) {
        self.set.remove(&id);
    }
}
