//! How fast others add to the log, as a committer sees it.

use std::time::Duration;

use brainy_core::Moment;

/// Slots that others make a second, remembered for a while: whoever knows it can ask for as many as will be there, in one round of requests instead of several.
#[derive(Debug, Default)]
pub(crate) struct Flow {
    /// When the tail was known last, and how many slots of others it had.
    seen: Option<(Moment, u64)>,
    per_second: f64,
}

impl Flow {
    /// At `at` the log had so many slots of others. What was seen longer ago than `memory` counts less than half.
    pub(crate) fn note(&mut self, at: Moment, others: u64, memory: Duration) {
        let Some((before, known)) = self.seen.replace((at, others)) else { return };
        let took = at.since(before);
        if took.is_zero() {
            return;
        }
        let rate = others.saturating_sub(known) as f64 / took.as_secs_f64();
        // A longer stretch tells more.
        self.per_second += (rate - self.per_second) * took.as_secs_f64() / (took + memory).as_secs_f64();
    }

    /// How many slots others make in so long, on average.
    pub(crate) fn expected(&self, within: Duration) -> f64 {
        self.per_second * within.as_secs_f64()
    }

    /// As many slots as others have hardly made more of by `now`, beyond the `others` that are known: what is expected and one standard deviation (arrivals that
    /// know nothing of each other), rounded. Each too many costs a read that finds nothing, one too few a round of requests more.
    pub(crate) fn likely_by(&self, now: Moment, others: u64) -> usize {
        let Some((at, known)) = self.seen else { return 0 };
        let expected = self.expected(now.since(at));
        let likely = (expected + expected.sqrt()).round() as usize;
        likely.saturating_sub(usize::try_from(others.saturating_sub(known)).unwrap_or(usize::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEMORY: Duration = Duration::from_secs(3);

    fn at(ms: u64) -> Moment {
        Moment::default().after(Duration::from_millis(ms))
    }

    #[test]
    fn a_steady_log_is_expected_to_go_on_and_a_silent_one_is_not() {
        let mut flow = Flow::default();
        assert_eq!(flow.likely_by(at(1_000), 0), 0, "nothing was seen yet");
        (0..200).for_each(|tenth| flow.note(at(tenth * 100), tenth, MEMORY));
        assert!((flow.expected(Duration::from_secs(1)) - 10.0).abs() < 0.2, "{flow:?}");
        assert_eq!(flow.likely_by(at(199 * 100 + 400), 199), 6, "four, and two for chance");
        assert_eq!(flow.likely_by(at(199 * 100 + 400), 201), 4, "two are known already");
        assert_eq!(flow.likely_by(at(199 * 100), 199), 0);
        // However many looks it takes to see that nothing comes.
        let mut once = Flow { seen: flow.seen, per_second: flow.per_second };
        once.note(at(80_000), 199, MEMORY);
        (200..=800).for_each(|tenth| flow.note(at(tenth * 100), 199, MEMORY));
        assert!(flow.expected(Duration::from_secs(1)) < 0.1 && once.expected(Duration::from_secs(1)) < 1.0, "{flow:?} {once:?}");
    }

    #[test]
    fn looks_at_one_moment_and_a_log_that_went_back_do_no_harm() {
        let mut flow = Flow::default();
        flow.note(at(0), 10, MEMORY);
        flow.note(at(0), 20, MEMORY);
        flow.note(at(1), 5, MEMORY);
        assert_eq!((flow.likely_by(at(10_000), 5), flow.expected(Duration::MAX)), (0, 0.0));
    }
}
