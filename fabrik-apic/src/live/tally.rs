//! What came, against what was announced.

use fabrik_core::Verdict;

use crate::error::ApicError;

/// The sums of a reading, or of a part of it.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// Objects that the controller announced before; unknown when it could not count them.
    pub(super) announced: Option<u64>,
    /// Objects that came.
    pub(super) delivered: u64,
    /// A number announced later that differs from the one before.
    pub(super) moved_to: Option<u64>,
    /// Whether a part of it changed while it was read.
    pub(super) unsettled: bool,
    /// Objects that came in more than one page.
    pub(super) repeated: u64,
    pub(super) missing: Vec<Missing>,
}

/// A part that could not be read.
#[derive(Debug)]
pub(super) struct Missing {
    /// Everything at and below this object; `None` when it is not a branch of the tree.
    pub(super) dn: Option<String>,
    pub(super) error: ApicError,
}

impl Tally {
    /// Adds a further page of the same query.
    pub(super) fn add_page(&mut self, page: &Self) {
        self.delivered += page.delivered;
        self.repeated += page.repeated;
        self.moved_to = self.moved_to.or(page.moved_to);
    }

    /// Adds what came of a branch. What was announced for it is not added: branches are counted at different moments.
    pub(super) fn add_branch(&mut self, branch: Self) {
        let sum_differs = branch.announced.is_some_and(|announced| announced != branch.delivered);
        self.unsettled |= branch.unsettled || branch.moved_to.is_some() || sum_differs;
        self.delivered += branch.delivered;
        self.repeated += branch.repeated;
        self.missing.extend(branch.missing);
    }

    /// Adds the sums of a reading of its own.
    pub(super) fn add_reading(&mut self, other: Self) {
        let (announced, moved_to) = match (self.announced, other.announced) {
            (Some(before), Some(after)) => {
                let moves = self.moved_to.is_some() || other.moved_to.is_some();
                let moved_to = self.moved_to.unwrap_or(before) + other.moved_to.unwrap_or(after);
                (Some(before + after), moves.then_some(moved_to))
            }
            _ => (None, self.moved_to.or(other.moved_to)),
        };
        (self.announced, self.moved_to) = (announced, moved_to);
        self.unsettled |= other.unsettled;
        self.delivered += other.delivered;
        self.repeated += other.repeated;
        self.missing.extend(other.missing);
    }

    /// Returns whether reading again might give something better.
    pub(super) fn is_inconsistent(&self) -> bool {
        let sum_differs = self.announced.is_some_and(|announced| announced != self.delivered);
        self.missing.is_empty() && (self.moved_to.is_some() || self.unsettled || self.repeated > 0 || sum_differs)
    }

    pub(super) fn verdict(&self) -> Verdict {
        if !self.missing.is_empty() {
            return self.partial();
        }
        let partial = |reason: String| Verdict::Partial { reason, expected_rows: self.announced, missing: Vec::new() };
        match (self.announced, self.moved_to) {
            (Some(rows_before), Some(rows_after)) => Verdict::Unstable { rows_before, rows_after },
            (None, Some(rows_after)) => Verdict::Unstable { rows_before: self.delivered, rows_after },
            (announced, None) if self.unsettled => {
                Verdict::Unstable { rows_before: announced.unwrap_or(self.delivered), rows_after: self.delivered }
            }
            _ if self.repeated > 0 => partial(format!(
                "{} objects came twice: their order changed while they were read, and as many may be missing",
                self.repeated
            )),
            (Some(announced), None) if announced < self.delivered => {
                Verdict::Unstable { rows_before: announced, rows_after: self.delivered }
            }
            (Some(announced), None) if announced > self.delivered => {
                partial(format!("the controller announced {announced} objects and sent {}", self.delivered))
            }
            _ => Verdict::Complete,
        }
    }

    fn partial(&self) -> Verdict {
        let [first, others @ ..] = &self.missing[..] else { return Verdict::Complete };
        let place = first.dn.as_deref().unwrap_or("what lies outside of the known branches");
        let more = match others.len() {
            0 => String::new(),
            n => format!("; and {n} more"),
        };
        // One part of unknown extent makes the extent of all unknown.
        let missing: Option<Vec<String>> = self.missing.iter().map(|part| part.dn.clone()).collect();
        let mut missing = missing.unwrap_or_default();
        missing.sort_unstable();
        Verdict::Partial {
            reason: format!("{place} could not be read: {}{more}", first.error),
            expected_rows: self.announced,
            missing,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(announced: u64, delivered: u64) -> Tally {
        Tally { announced: Some(announced), delivered, ..Tally::default() }
    }

    #[test]
    fn only_what_adds_up_is_complete() {
        assert_eq!(tally(7, 7).verdict(), Verdict::Complete);
        assert_eq!(tally(7, 5).verdict().name(), "partial");
        assert_eq!(tally(7, 8).verdict(), Verdict::Unstable { rows_before: 7, rows_after: 8 });
        let moved = Tally { moved_to: Some(6), ..tally(7, 7) };
        assert_eq!(moved.verdict(), Verdict::Unstable { rows_before: 7, rows_after: 6 });
        assert!(moved.is_inconsistent());
        let repeated = Tally { repeated: 1, ..tally(7, 7) };
        assert_eq!(repeated.verdict().name(), "partial");
        assert!(repeated.is_inconsistent());
    }

    #[test]
    fn a_missing_part_of_unknown_extent_hides_the_others() {
        let error = || ApicError::TimedOut { path: "/api/x".into(), seconds: 1 };
        let known = Missing { dn: Some("uni/tn-a".into()), error: error() };
        let mut whole = Tally { missing: vec![known], ..tally(9, 4) };
        let Verdict::Partial { missing, expected_rows: Some(9), .. } = whole.verdict() else { panic!() };
        assert_eq!(missing, ["uni/tn-a"]);

        whole.missing.push(Missing { dn: None, error: error() });

        let Verdict::Partial { missing, reason, .. } = whole.verdict() else { panic!() };
        assert!(missing.is_empty());
        assert_eq!(reason, "uni/tn-a could not be read: /api/x was not answered within 1 s; and 1 more");
    }

    #[test]
    fn readings_of_several_classes_add_up() {
        let mut sum = tally(3, 3);
        sum.add_reading(Tally { moved_to: Some(6), ..tally(5, 5) });

        assert_eq!(sum.verdict(), Verdict::Unstable { rows_before: 8, rows_after: 9 });
    }
}
