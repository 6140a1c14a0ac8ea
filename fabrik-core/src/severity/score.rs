//! How many changes matter how much, and one number for all of them.

use serde::Serialize;

use super::Severity;

/// How many changes have which severity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct SeverityCounts {
    /// Those that are critical.
    pub critical: u64,
    /// Those that are high.
    pub high: u64,
    /// Those that are medium.
    pub medium: u64,
    /// Those that are low.
    pub low: u64,
    /// Those that are for information only.
    pub info: u64,
}

impl SeverityCounts {
    /// Counts one more change.
    pub fn add(&mut self, severity: Severity) {
        let count = match severity {
            Severity::Critical => &mut self.critical,
            Severity::High => &mut self.high,
            Severity::Medium => &mut self.medium,
            Severity::Low => &mut self.low,
            Severity::Info => &mut self.info,
        };
        *count += 1;
    }

    /// Returns how many have a severity.
    #[must_use]
    pub fn of(&self, severity: Severity) -> u64 {
        match severity {
            Severity::Critical => self.critical,
            Severity::High => self.high,
            Severity::Medium => self.medium,
            Severity::Low => self.low,
            Severity::Info => self.info,
        }
    }

    /// Returns how many there are.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.critical + self.high + self.medium + self.low + self.info
    }

    /// Returns how many are at least so severe.
    #[must_use]
    pub fn at_least(&self, least: Severity) -> u64 {
        Severity::WORST_FIRST.into_iter().filter(|severity| *severity >= least).map(|severity| self.of(severity)).sum()
    }

    /// Returns the worst severity of which there is a change.
    #[must_use]
    pub fn worst(&self) -> Option<Severity> {
        Severity::WORST_FIRST.into_iter().find(|severity| self.of(*severity) > 0)
    }

    /// Returns the risk of all changes together, from 0 to 100.
    ///
    /// 0 is no change. Else the worst change says in which band the score lies, and all changes together how far up:
    ///
    /// | worst | band |
    /// | --- | --- |
    /// | critical | 80–100 |
    /// | high | 60–79 |
    /// | medium | 40–59 |
    /// | low | 20–39 |
    /// | info | 1–19 |
    ///
    /// With the mass `m` of all changes (critical 100, high 75, medium 50, low 25, info 5 each) the score is the start
    /// of the band plus the whole part of its width times `m / (m + 1000)`: ten critical changes are half way up.
    /// So one more change never lowers the score, no number of harmless changes hides or outweighs a dangerous one, and
    /// the score alone tells the worst severity.
    #[must_use]
    pub fn score(&self) -> u8 {
        let Some(worst) = self.worst() else { return 0 };
        let (start, width) = match worst {
            Severity::Critical => (80, 21),
            Severity::High => (60, 20),
            Severity::Medium => (40, 20),
            Severity::Low => (20, 20),
            Severity::Info => (1, 19),
        };
        let weights = [100_u128, 75, 50, 25, 5];
        let counted = Severity::WORST_FIRST.into_iter().zip(weights);
        let mass: u128 = counted.map(|(severity, weight)| u128::from(self.of(severity)) * weight).sum();
        let up = width * mass / (mass + 1000);
        start + u8::try_from(up).expect("it is below the width")
    }
}

/// What the changes of a comparison amount to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Risk {
    /// From 0 to 100, see [`SeverityCounts::score`].
    pub risk_score: u8,
    /// The worst severity; null when nothing changed.
    pub risk_level: Option<Severity>,
    /// How many changes have which severity.
    pub by_severity: SeverityCounts,
    /// Of those, how many were not given, being less severe than asked for.
    pub below_min_severity: u64,
}

impl Risk {
    pub(crate) fn add(&mut self, severity: Severity, is_given: bool) {
        self.by_severity.add(severity);
        self.below_min_severity += u64::from(!is_given);
        self.risk_score = self.by_severity.score();
        self.risk_level = self.by_severity.worst();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn severity() -> impl Strategy<Value = Severity> {
        prop::sample::select(Severity::WORST_FIRST.to_vec())
    }

    fn count() -> impl Strategy<Value = u64> {
        prop_oneof![3 => Just(0), 3 => 0..30_u64, 1 => 0..1_u64 << 50, 1 => Just(u64::MAX >> 3)]
    }

    fn counts() -> impl Strategy<Value = SeverityCounts> {
        (count(), count(), count(), count(), count()).prop_map(|(critical, high, medium, low, info)| SeverityCounts {
            critical,
            high,
            medium,
            low,
            info,
        })
    }

    proptest! {
        #[test]
        fn one_more_change_never_lowers_the_score(counts in counts(), more in severity()) {
            let mut after = counts;
            after.add(more);

            prop_assert!(after.score() >= counts.score(), "{counts:?} {} {after:?} {}", counts.score(), after.score());
            prop_assert!(after.score() <= 100);
        }

        #[test]
        fn a_change_that_is_worse_never_scores_less(counts in counts(), one in severity(), other in severity()) {
            let (mut milder, mut worse) = (counts, counts);
            milder.add(one.min(other));
            worse.add(one.max(other));

            prop_assert!(milder.score() <= worse.score());
        }

        #[test]
        fn the_score_tells_the_worst_severity(counts in counts()) {
            let of_score = match counts.score() {
                0 => None,
                1..20 => Some(Severity::Info),
                20..40 => Some(Severity::Low),
                40..60 => Some(Severity::Medium),
                60..80 => Some(Severity::High),
                _ => Some(Severity::Critical),
            };

            prop_assert_eq!(of_score, counts.worst());
        }
    }

    #[test]
    fn scores_of_few_and_of_many_are_as_documented() {
        let critical = |critical| SeverityCounts { critical, ..SeverityCounts::default() };
        let scores = [0, 1, 10, 200, 100_000].map(|count| critical(count).score());
        assert_eq!(scores, [0, 81, 90, 100, 100]);

        let info = |info| SeverityCounts { info, ..SeverityCounts::default() };
        assert_eq!([1, 200, 1_000_000].map(|count| info(count).score()), [1, 10, 19]);
    }
}
