//! A made-up fabric that changes through time, for demos, tests and benchmarks.
//!
//! A [`DemoFabric`] has objects of fifteen classes with the attributes and DNs that an APIC shows. The same
//! options give the same rows on every machine. [`DemoFabric::advance`] lets time pass; the events
//! ([`DemoFabric::change_window`], [`DemoFabric::mistake`], [`DemoFabric::repair`]) are what people do. Each
//! of them returns a [`Step`], which says exactly what a comparison of the rows before and after must find.
//! [`story`] strings them together into a month.
//!
//! ```
//! use chrono::{TimeDelta, Utc};
//! use fabrik_apic::demo::{Churn, DemoFabric, DemoOptions};
//!
//! let start = "2026-03-02T02:00:00Z".parse::<chrono::DateTime<Utc>>()?;
//! let mut fabric = DemoFabric::new(DemoOptions { seed: 7, objects: 2000, start });
//! let before = fabric.rows(None);
//! let churn = Churn { changed: 5, added: 4, removed: 3, touched: 2 };
//! let step = fabric.advance(start + TimeDelta::days(1), &churn);
//! assert_eq!((step.changed.len(), fabric.len()), (5, 2001));
//! # drop(before);
//! # Ok::<(), chrono::ParseError>(())
//! ```

mod class;
mod edit;
mod events;
mod fault;
mod mutation;
#[cfg(feature = "simulator")]
mod objects;
mod random;
mod source;
mod state;
mod story;
mod text;
mod values;
mod world;

use std::io::{self, Write};
use std::sync::Arc;

use chrono::{DateTime, Utc};

use class::Class;
use edit::Edit;
use events::History;
use random::Random;
use state::State;
use world::World;

#[cfg(feature = "simulator")]
pub(crate) use random::mix;
#[cfg(feature = "simulator")]
pub(crate) use text::{OFFSET_HOURS, write_time};

pub use source::DemoSource;
pub use story::{Chapter, Story, story};

/// What a [`DemoFabric`] is made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DemoOptions {
    /// Chooses one of 2^64 fabrics.
    pub seed: u64,
    /// How many objects it has at first; more than 2^30 count as 2^30.
    pub objects: usize,
    /// The moment it is at first; all objects are older. Fractions of a millisecond are cut off.
    pub start: DateTime<Utc>,
}

/// How much happens by itself in a step. All rows meant are different ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Churn {
    /// Rows of which one to three attributes change, and `modTs` with them.
    pub changed: usize,
    /// Endpoints, faults, bindings and subnets that appear; some had been there before.
    pub added: usize,
    /// Endpoints, faults, bindings and subnets that vanish.
    pub removed: usize,
    /// Rows that are written again as they are, so that only `modTs` changes.
    pub touched: usize,
}

/// What happened between two moments, each list as ascending DNs. No DN is in two lists.
///
/// It is noted while the fabric changes and never found by comparing rows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Step {
    /// Rows only in the later moment.
    pub added: Vec<String>,
    /// Rows only in the earlier moment.
    pub removed: Vec<String>,
    /// Rows with `modTs` and at least one other attribute changed.
    pub changed: Vec<String>,
    /// Rows with nothing but `modTs` changed.
    pub touched: Vec<String>,
}

/// A fabric at one moment, which can go on to the next.
///
/// Copies are cheap until one of them goes on; an object takes some twenty bytes.
#[derive(Clone, Debug)]
pub struct DemoFabric {
    state: Arc<State>,
    random: Random,
    now_ms: i64,
    /// The serial of the next new object of each class.
    next_serial: [u32; Class::ALL.len()],
    /// Objects that vanished by themselves and may come back.
    gone: Vec<u32>,
    history: History,
}

/// Starts a step to a moment. A macro, because a method would borrow the whole fabric.
macro_rules! begin_edit {
    ($fabric:ident, $at:expr) => {{
        let since_ms = $fabric.now_ms;
        $fabric.now_ms = $at.timestamp_millis().max(since_ms + 1);
        let state = std::sync::Arc::make_mut(&mut $fabric.state);
        $crate::demo::Edit::new(state, &mut $fabric.random, since_ms, $fabric.now_ms)
    }};
}
use begin_edit;

impl DemoFabric {
    /// Makes a fabric.
    #[must_use]
    pub fn new(options: DemoOptions) -> Self {
        const MOST_OBJECTS: u32 = 1 << 30;
        let objects = u32::try_from(options.objects).unwrap_or(u32::MAX).min(MOST_OBJECTS);
        let now_ms = options.start.timestamp_millis();
        let world = World::new(options.seed, now_ms, objects);
        let next_serial = Class::ALL.map(|class| world.count(class));
        Self {
            state: Arc::new(State::new(world, objects)),
            random: Random::new(options.seed),
            now_ms,
            next_serial,
            gone: Vec::new(),
            history: History::default(),
        }
    }

    /// Returns the number of rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.state.live.len()
    }

    /// Returns whether there are no rows.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.state.live.is_empty()
    }

    /// Returns the moment the fabric is at.
    #[must_use]
    pub fn now(&self) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(self.now_ms).unwrap_or_default()
    }

    /// Returns the DN of every row, in the order of [`DemoFabric::rows`] without a seed. No two are equal.
    pub fn dns(&self) -> impl ExactSizeIterator<Item = String> {
        self.state.live.iter().map(|&id| self.state.dn(id))
    }

    /// Returns the rows at this moment, shuffled when there is a seed for it and otherwise class by class.
    #[must_use]
    pub fn rows(&self, order_seed: Option<u64>) -> DemoSource {
        DemoSource::new(Arc::clone(&self.state), order_seed)
    }

    /// Writes the rows as the answer to one query, in the order of [`DemoFabric::rows`] with the same seed.
    ///
    /// There is one write per row: hand over something buffered.
    ///
    /// # Errors
    ///
    /// Those of `out`.
    pub fn write_json(&self, out: &mut impl Write, order_seed: Option<u64>) -> io::Result<()> {
        source::write_envelope(&self.state, order_seed, out)
    }

    /// Lets time pass until `to`, in which exactly `churn` happens, or less where too few rows are left.
    ///
    /// A moment that is not later than the present counts as one millisecond after it; that is so for events, too.
    pub fn advance(&mut self, to: DateTime<Utc>, churn: &Churn) -> Step {
        self.advance_with_ids(to, churn).0
    }

    pub(crate) fn advance_with_ids(&mut self, to: DateTime<Utc>, churn: &Churn) -> (Step, edit::StepIds) {
        let mut edit = begin_edit!(self, to);

        // An event may have brought some of them back.
        self.gone.retain(|&id| !edit.state.object(id).live);
        let removed = draw_leaves(&mut edit, churn.removed);
        for &id in &removed {
            edit.remove(id);
        }
        let mut rest = edit.state.live.clone();
        rest.retain(|&id| edit.state.object(id).live);
        for id in edit.random.draw(&mut rest, churn.changed) {
            edit.mutate(id);
        }
        for id in edit.random.draw(&mut rest, churn.touched) {
            edit.touch(id);
        }
        for _ in 0..churn.added {
            let returns = edit.random.below(4) == 0;
            if let Some(id) = returns.then(|| edit.random.draw(&mut self.gone, 1).pop()).flatten() {
                edit.bring_back(id);
                continue;
            }
            let class = draw_leaf_class(edit.random);
            let serial = &mut self.next_serial[class as usize];
            edit.create(class, *serial);
            *serial += 1;
        }
        self.gone.extend(removed);
        edit.finish_with_ids()
    }
}

/// Draws objects of the classes that come and go.
fn draw_leaves(edit: &mut Edit<'_>, count: usize) -> Vec<u32> {
    let of = |class| -> Vec<u32> {
        edit.state.live.iter().copied().filter(|&id| edit.state.object(id).class == class).collect()
    };
    let mut pools = Class::LEAVES.map(|(class, _)| (class, of(class)));
    let mut drawn = Vec::new();
    while drawn.len() < count && pools.iter().any(|(_, pool)| !pool.is_empty()) {
        let class = draw_leaf_class(edit.random);
        let pool = pools.iter_mut().filter(|(have, _)| *have == class);
        drawn.extend(pool.flat_map(|(_, pool)| edit.random.draw(pool, 1)));
    }
    drawn
}

fn draw_leaf_class(random: &mut Random) -> Class {
    let mut part = random.below(100);
    for (class, share) in Class::LEAVES {
        if part < share {
            return class;
        }
        part -= share;
    }
    Class::Endpoint
}

#[cfg(test)]
mod tests;
