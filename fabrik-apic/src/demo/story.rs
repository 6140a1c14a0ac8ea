//! A month in the life of a fabric, for a demo that needs no controller.

use std::collections::VecDeque;
use std::iter::FusedIterator;

use chrono::{DateTime, Datelike, TimeDelta, Utc, Weekday};

use super::random::Random;
use super::{Churn, DemoFabric, DemoOptions, Step};

/// How many days it takes.
const DAYS: i64 = 30;
/// How many objects the fabric has.
const OBJECTS: usize = 4000;

/// One capture of the story: when, why, and the fabric to read.
#[derive(Clone, Debug)]
pub struct Chapter {
    /// When to say it was captured.
    pub at: DateTime<Utc>,
    /// Free text for captures that mean something.
    pub annotation: Option<String>,
    /// A short tag for the same.
    pub label: Option<String>,
    /// What happened since the chapter before; nothing in the first.
    pub step: Step,
    /// The fabric at this moment, a cheap copy.
    pub fabric: DemoFabric,
}

/// Tells thirty days of a fabric with about 4000 objects.
///
/// There is a capture a day at the time of day of `start`, the first at `start`, and one before and after each
/// event: a change window on a Thursday evening of the second or third week, and a mistake with its repair on a
/// Tuesday of the third or fourth. Working days are busy and weekends quiet. A start in the small hours, when a
/// nightly capture would run, makes the hours of the events plausible.
#[must_use]
pub fn story(seed: u64, start: DateTime<Utc>) -> Story {
    let day_of = |first: i64, weekday: Weekday| {
        (first..first + 7).find(|&day| after(start, TimeDelta::days(day)).weekday() == weekday).unwrap_or(first)
    };
    let (window, trouble) = (day_of(9, Weekday::Thu), day_of(17, Weekday::Tue));
    let mut scenes = VecDeque::new();
    for day in 0..DAYS {
        let mut add = |minutes: i64, scene: Scene| {
            scenes.push_back((after(start, TimeDelta::days(day) + TimeDelta::minutes(minutes)), scene));
        };
        add(0, if day == 0 { BASELINE } else { DAILY });
        if day == window {
            add(18 * 60, BEFORE_WINDOW);
            add(19 * 60 + 10, AFTER_WINDOW);
        }
        if day == trouble {
            add(10 * 60, BEFORE_MISTAKE);
            add(10 * 60 + 20, AFTER_MISTAKE);
            add(11 * 60 + 45, BEFORE_REPAIR);
            add(12 * 60 + 30, AFTER_REPAIR);
        }
    }
    let fabric = DemoFabric::new(DemoOptions { seed, objects: OBJECTS, start });
    // Its own sequence, so that how busy a day is does not depend on what happened the day before.
    Story { fabric, random: Random::new(!seed), now: start, scenes }
}

/// The chapters of [`story`], in order.
#[derive(Clone, Debug)]
pub struct Story {
    fabric: DemoFabric,
    random: Random,
    now: DateTime<Utc>,
    scenes: VecDeque<(DateTime<Utc>, Scene)>,
}

impl Iterator for Story {
    type Item = Chapter;

    fn next(&mut self) -> Option<Chapter> {
        let (at, scene) = self.scenes.pop_front()?;
        let step = match scene.act {
            Act::Nothing => Step::default(),
            Act::Daily => {
                let churn = churn(&mut self.random, self.now, at);
                self.fabric.advance(at, &churn)
            }
            Act::Window => self.fabric.change_window(at),
            Act::Mistake => self.fabric.mistake(at),
            Act::Repair => self.fabric.repair(at),
        };
        self.now = at;
        let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        Some(Chapter {
            at,
            annotation: text(scene.annotation),
            label: text(scene.label),
            step,
            fabric: self.fabric.clone(),
        })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.scenes.len(), Some(self.scenes.len()))
    }
}

impl ExactSizeIterator for Story {}
impl FusedIterator for Story {}

#[derive(Clone, Copy, Debug)]
struct Scene {
    act: Act,
    label: &'static str,
    annotation: &'static str,
}

/// What happens between the chapter before and this one.
#[derive(Clone, Copy, Debug)]
enum Act {
    Nothing,
    Daily,
    Window,
    Mistake,
    Repair,
}

const DAILY: Scene = Scene { act: Act::Daily, label: "", annotation: "" };
const BASELINE: Scene = Scene { act: Act::Nothing, label: "baseline", annotation: "first capture of the fabric" };
const BEFORE_WINDOW: Scene =
    Scene { act: Act::Daily, label: "before-change", annotation: "before the change window: a new VRF for one tenant" };
const AFTER_WINDOW: Scene = Scene {
    act: Act::Window,
    label: "after-change",
    annotation: "after the change window: bridge domains moved to the new VRF, their subnets announced",
};
const BEFORE_MISTAKE: Scene =
    Scene { act: Act::Daily, label: "before-maintenance", annotation: "before routine work on a tenant" };
const AFTER_MISTAKE: Scene =
    Scene { act: Act::Mistake, label: "incident", annotation: "hosts report that they cannot reach their gateway" };
const BEFORE_REPAIR: Scene =
    Scene { act: Act::Daily, label: "before-repair", annotation: "cause found, before the repair" };
const AFTER_REPAIR: Scene = Scene {
    act: Act::Repair,
    label: "after-repair",
    annotation: "routing is back, bindings restored, faults clearing",
};

/// Returns what happens by itself between two moments: the share of a day's worth.
fn churn(random: &mut Random, from: DateTime<Utc>, to: DateTime<Utc>) -> Churn {
    let middle = from + (to - from) / 2;
    let quiet = matches!(middle.weekday(), Weekday::Sat | Weekday::Sun);
    let minutes = usize::try_from((to - from).num_minutes()).unwrap_or(0);
    // From a slow day to one on which everybody wants something.
    let busy = 4 + random.index(10);
    let mut worth = |working_day: usize, weekend: usize| {
        let most = if quiet { weekend } else { working_day * busy / 8 };
        (most / 2 + random.index(most / 2 + 1)) * minutes / (24 * 60)
    };
    Churn { changed: worth(40, 2), added: worth(26, 3), removed: worth(24, 3), touched: worth(70, 8) }
}

/// Adds to a moment; at the far end of what can be told, time stands still.
fn after(start: DateTime<Utc>, delta: TimeDelta) -> DateTime<Utc> {
    start.checked_add_signed(delta).unwrap_or(start)
}
