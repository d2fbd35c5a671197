//! Time that a test moves.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use brainy_core::clock::Sleep;
use brainy_core::{Clock, Moment};

/// Wall-clock milliseconds at the origin of a [`ManualClock`]: 2026-01-01.
const WALL_MS: u64 = 1_767_225_600_000;

/// A clock that stands still until a test moves it. Clones are one clock.
#[derive(Clone, Debug, Default)]
pub struct ManualClock {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    now: Moment,
    sleepers: BTreeMap<(Moment, u64), Waker>,
    next: u64,
}

impl ManualClock {
    /// A clock at its origin.
    pub fn new() -> Self {
        Self::default()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Moves time on and wakes who slept until then.
    pub fn advance(&self, duration: Duration) {
        let to = self.now().after(duration);
        self.advance_to(to);
    }

    fn advance_to(&self, moment: Moment) {
        let due: Vec<Waker> = {
            let mut state = self.lock();
            state.now = state.now.max(moment);
            let later = state.sleepers.split_off(&(moment, u64::MAX));
            std::mem::replace(&mut state.sleepers, later).into_values().collect()
        };
        due.into_iter().for_each(Waker::wake);
    }

    /// Moves time on to the next moment that somebody sleeps until; false if nobody sleeps.
    pub fn advance_to_next(&self) -> bool {
        let next = self.lock().sleepers.first_key_value().map(|((moment, _), _)| *moment);
        if let Some(next) = next {
            self.advance_to(next);
        }
        next.is_some()
    }

    /// Runs `future` on this thread, moving time on whenever all of it waits for time: no test waits for real.
    ///
    /// # Panics
    /// It waits, but not for time: it would wait for ever.
    pub fn run<F: Future>(&self, future: F) -> F::Output {
        self.poll_until_stuck(std::pin::pin!(future)).expect("what waits for nothing but itself never ends")
    }

    /// As [`Self::run`]; none if it waits, but not for time.
    pub fn run_until_stuck<F: Future>(&self, future: F) -> Option<F::Output> {
        self.poll_until_stuck(std::pin::pin!(future))
    }

    fn poll_until_stuck<F: Future>(&self, mut future: Pin<&mut F>) -> Option<F::Output> {
        let flag = Arc::new(Flag(AtomicBool::new(true)));
        let waker = Waker::from(Arc::clone(&flag));
        loop {
            while flag.0.swap(false, Ordering::AcqRel) {
                if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
                    return Some(output);
                }
            }
            if !self.advance_to_next() {
                return None;
            }
        }
    }
}

struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Release);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Moment {
        self.lock().now
    }

    fn wall_ms(&self) -> u64 {
        WALL_MS + u64::try_from(self.now().since_origin().as_millis()).expect("tests end before the end of time")
    }

    fn sleep_until(&self, moment: Moment) -> Sleep {
        Box::pin(ManualSleep { clock: self.clone(), moment, key: None })
    }
}

struct ManualSleep {
    clock: ManualClock,
    moment: Moment,
    key: Option<(Moment, u64)>,
}

impl Future for ManualSleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        let mut state = this.clock.lock();
        if state.now >= this.moment {
            return Poll::Ready(());
        }
        let key = *this.key.get_or_insert_with(|| {
            state.next += 1;
            (this.moment, state.next)
        });
        let old = state.sleepers.insert(key, context.waker().clone());
        drop(state);
        drop(old);
        Poll::Pending
    }
}

impl Drop for ManualSleep {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            let waker = self.clock.lock().sleepers.remove(&key);
            drop(waker);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[test]
    fn sleepers_wake_in_the_order_of_their_moments_and_time_jumps_between_them() {
        let clock = ManualClock::new();
        let order = Mutex::new(Vec::new());
        let sleeper = |seconds| {
            let (clock, order) = (&clock, &order);
            async move {
                clock.sleep(Duration::from_secs(seconds)).await;
                order.lock().unwrap().push((seconds, clock.now().since_origin()));
            }
        };
        let [mut a, mut b] = [3_600, 60].map(|seconds| Box::pin(sleeper(seconds)));
        clock.run(std::future::poll_fn(|context| {
            let mut done = true;
            // A future that ended must not be polled again.
            for (future, seconds) in [(&mut a, 3_600), (&mut b, 60)] {
                let ended = order.lock().unwrap().iter().any(|(known, _)| *known == seconds);
                done &= ended || future.as_mut().poll(context).is_ready();
            }
            if done { Poll::Ready(()) } else { Poll::Pending }
        }));
        let expected = [60, 3_600].map(|seconds| (seconds, Duration::from_secs(seconds)));
        assert_eq!(*order.lock().unwrap(), expected);
        assert_eq!(clock.wall_ms(), WALL_MS + 3_600_000);
    }

    #[test]
    fn what_waits_for_nothing_that_comes_is_noticed() {
        assert_eq!(ManualClock::new().run_until_stuck(std::future::pending::<()>()), None);
    }
}
