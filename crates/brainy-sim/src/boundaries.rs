//! A crash and a restart at every request of a fixed run: not a sample of the boundaries, all of them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::checker::Violation;
use crate::fault::Fault;
use crate::run::{Connect, Report, Settings, crash_at};

/// The three sides of a boundary.
const SIDES: [Fault; 3] = [Fault::CrashBefore, Fault::CrashDuring, Fault::CrashAfter];
/// The fixed run has fewer requests of one process.
const MOST: u64 = 10_000;

/// Where the first process of a run dies, to be started again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Crash {
    /// Which of the fixed runs.
    pub seed: u64,
    /// At which of its requests, from 1.
    pub request: u64,
    /// Before it is sent, while it is on its way, or when its reply arrives.
    pub side: Fault,
}

impl std::fmt::Display for Crash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}@{}", self.side.name(), self.request)
    }
}

impl Crash {
    /// The crash that is shown as `text`.
    pub fn parse(seed: u64, text: &str) -> Option<Self> {
        let (side, request) = text.split_once('@')?;
        let side = SIDES.into_iter().find(|known| known.name() == side)?;
        Some(Self { seed, request: request.parse().ok()?, side })
    }
}

/// What crashes at every boundary came to.
#[derive(Clone, Debug, Default)]
pub struct Boundaries {
    /// Boundaries at which a process died: three sides of each request.
    pub crashes: u64,
    /// Requests of all runs.
    pub requests: u64,
    /// Promises that were not kept, and where.
    pub violations: Vec<(Crash, Violation)>,
}

/// Runs each of the fixed runs `from..to` once for every side of every request of its first process.
pub fn crash_everywhere(from: u64, to: u64, threads: usize, connect: &Connect) -> Boundaries {
    let mut all = Boundaries::default();
    for seed in from..to {
        for side in SIDES {
            let (next, total) = (AtomicU64::new(1), Mutex::new(Boundaries::default()));
            std::thread::scope(|scope| {
                for _ in 0..threads.max(1) {
                    scope.spawn(|| {
                        loop {
                            let crash = Crash { seed, request: next.fetch_add(1, Ordering::Relaxed), side };
                            let Report { matrix, violations, .. } = crash_at(crash, Settings::default(), connect);
                            let mut total = total.lock().unwrap_or_else(PoisonError::into_inner);
                            total.requests += matrix.requests();
                            total.violations.extend(violations.into_iter().map(|violation| (crash, violation)));
                            // The process sends fewer requests than that: nothing is left to die at.
                            if matrix.of_fault(side) == 0 || crash.request >= MOST {
                                return;
                            }
                            total.crashes += 1;
                        }
                    });
                }
            });
            let total = total.into_inner().unwrap_or_else(PoisonError::into_inner);
            all.crashes += total.crashes;
            all.requests += total.requests;
            all.violations.extend(total.violations);
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::fast;
    use crate::sim_s3::http;

    #[test]
    fn a_crash_at_any_request_of_a_service_needs_no_repair() {
        for connect in [fast(), http()] {
            let all = crash_everywhere(0, 1, 2, &connect);
            assert!(all.violations.is_empty(), "{:#?}", all.violations);
            assert!(all.crashes > 100, "{} crashes", all.crashes);
        }
    }

    #[test]
    fn a_crash_is_named_so_that_it_can_be_repeated() {
        let crash = Crash { seed: 3, request: 17, side: Fault::CrashDuring };
        assert_eq!(crash.to_string(), "crash_during@17");
        assert_eq!(Crash::parse(3, &crash.to_string()), Some(crash));
        for wrong in ["", "crash_during", "crash_during@x", "pause@3"] {
            assert_eq!(Crash::parse(3, wrong), None, "{wrong}");
        }
        let traces = [(); 2].map(|()| crash_at(crash, Settings::default(), &fast()).trace);
        assert_eq!(traces[0], traces[1]);
    }
}
