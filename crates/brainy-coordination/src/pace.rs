//! How long to wait, in units of the store's own latency.

use std::time::Duration;

/// Taken as the latency of a create before one was seen.
const FIRST_LATENCY: Duration = Duration::from_millis(20);
/// Longest pause before the next try after failures.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// Shortest unit of a pause.
const SHORTEST_UNIT: Duration = Duration::from_millis(1);

/// Waits of a committer. All are multiples of the typical time a create takes, so that one policy fits memory, a directory and a bucket.
#[derive(Debug)]
pub(crate) struct Pace {
    create: Duration,
    failures: u32,
}

impl Pace {
    pub(crate) const fn new() -> Self {
        Self { create: FIRST_LATENCY, failures: 0 }
    }

    /// A create took so long.
    pub(crate) fn observe(&mut self, took: Duration) {
        self.failures = 0;
        // Sinks fast, rises slowly: one slow reply must not make everybody wait.
        self.create = if took < self.create { (self.create + took) / 2 } else { (self.create * 7 + took.min(self.create * 8)) / 8 };
    }

    /// The typical time a create takes.
    pub(crate) const fn create(&self) -> Duration {
        self.create
    }

    /// For how long a committer remembers how fast the log went on: some dozen commits.
    pub(crate) fn memory(&self) -> Duration {
        self.times(50, 1, 50 * SHORTEST_UNIT, Duration::from_secs(60))
    }

    fn times(&self, numerator: u32, denominator: u32, shortest: Duration, longest: Duration) -> Duration {
        (self.create * numerator / denominator).clamp(shortest, longest)
    }

    /// Between two looks at the tail by whoever waits to be carried.
    pub(crate) fn poll(&self) -> Duration {
        self.times(2, 5, SHORTEST_UNIT, Duration::from_secs(1))
    }

    /// Without any new slot for so long, somebody who waits to be carried makes one; `fraction` spreads them.
    pub(crate) fn quiet(&self, fraction: f64) -> Duration {
        self.times(4, 1, 10 * SHORTEST_UNIT, LONGEST_PAUSE).mul_f64(1.0 + fraction)
    }

    /// Who carried somebody goes on looking for so long after the last intent.
    pub(crate) fn hold(&self) -> Duration {
        self.times(2, 1, 2 * SHORTEST_UNIT, Duration::from_secs(1))
    }

    /// Between two looks at an empty inbox meanwhile.
    pub(crate) fn idle(&self) -> Duration {
        self.times(1, 3, SHORTEST_UNIT, Duration::from_millis(500))
    }

    /// After a failure: a random share of a span that doubles with each one in a row. `hopeless`: nothing that time alone mends.
    pub(crate) fn back_off(&mut self, hopeless: bool, fraction: f64) -> Duration {
        self.failures = self.failures.saturating_add(1);
        let span = if hopeless { LONGEST_PAUSE } else { (self.create.max(SHORTEST_UNIT) * (1 << self.failures.min(6))).min(LONGEST_PAUSE) };
        span.mul_f64(fraction)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_follow_the_store_and_back_off_doubles_up_to_its_bound() {
        let mut pace = Pace::new();
        (0..50).for_each(|_| pace.observe(Duration::from_millis(60)));
        assert!(pace.create > Duration::from_millis(55) && pace.create <= Duration::from_millis(60), "{pace:?}");
        pace.observe(Duration::from_secs(20));
        assert!(pace.quiet(0.0) < Duration::from_millis(500), "one slow reply is no new pace: {pace:?}");
        (0..20).for_each(|_| pace.observe(Duration::from_micros(10)));
        assert_eq!((pace.poll(), pace.idle()), (SHORTEST_UNIT, SHORTEST_UNIT));
        let spans: Vec<_> = (0..20).map(|_| pace.back_off(false, 1.0)).collect();
        assert!(spans.is_sorted() && spans[1] == 2 * spans[0] && spans[19] <= LONGEST_PAUSE, "{spans:?}");
        assert_eq!(Pace::new().back_off(true, 1.0), LONGEST_PAUSE);
    }
}
