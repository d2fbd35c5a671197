//! The time that commands take. The ban on clocks is for the protocols; this tool measures other programs.
#![expect(clippy::disallowed_methods, reason = "the one place where xtask reads a clock or sleeps: it waits for and times other programs")]

use std::time::{Duration, Instant};

/// Runs from the moment it is made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stopwatch(Instant);

impl Stopwatch {
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    pub(crate) fn elapsed(self) -> Duration {
        self.0.elapsed()
    }
}

/// Asks `done` every tenth of a second until it says yes; `false` once `limit` has passed without a yes.
pub(crate) fn poll_until(limit: Duration, mut done: impl FnMut() -> bool) -> bool {
    const PAUSE: Duration = Duration::from_millis(100);
    let watch = Stopwatch::start();
    loop {
        if done() {
            return true;
        }
        if watch.elapsed() >= limit {
            return false;
        }
        std::thread::sleep(PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_ends_at_its_limit_and_asks_at_least_once() {
        let mut asked = 0;
        let came = poll_until(Duration::ZERO, || {
            asked += 1;
            false
        });
        assert_eq!((came, asked), (false, 1));
        assert!(poll_until(Duration::ZERO, || true));
    }
}
