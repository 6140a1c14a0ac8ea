//! What of a row counts in a comparison: all but what patterns hide and what changes by itself.

use hashbrown::HashMap;

use super::Ignore;
use crate::noise;

/// Whether a difference counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Visibility {
    /// It does.
    Shown,
    /// The caller does not want to see it.
    Hidden,
    /// It comes by itself.
    Noise,
}

/// Remembers what counts in which class: rows come in thousands, classes in dozens.
#[derive(Debug, Default)]
pub(super) struct Visibilities {
    by_class: HashMap<String, ClassVisibility>,
}

/// What counts in one class.
#[derive(Debug)]
pub(super) struct ClassVisibility {
    /// Its rows come and go by themselves.
    pub(super) is_noise: bool,
    by_name: HashMap<String, Visibility>,
}

impl Visibilities {
    /// Returns what counts in a class.
    pub(super) fn of(&mut self, class: Option<&str>, noise: Option<&noise::Table>) -> &mut ClassVisibility {
        self.by_class.entry_ref(class.unwrap_or_default()).or_insert_with(|| ClassVisibility {
            is_noise: noise.is_some_and(|noise| noise.is_noise_class(class)),
            by_name: HashMap::new(),
        })
    }
}

impl ClassVisibility {
    /// Returns whether an attribute of the class counts.
    pub(super) fn of(
        &mut self,
        name: &str,
        class: Option<&str>,
        ignore: &Ignore,
        noise: Option<&noise::Table>,
    ) -> Visibility {
        *self.by_name.entry_ref(name).or_insert_with(|| {
            if ignore.hides_attribute(class, name) {
                Visibility::Hidden
            } else if noise.is_some_and(|noise| noise.is_noise(class, name)) {
                Visibility::Noise
            } else {
                Visibility::Shown
            }
        })
    }
}
