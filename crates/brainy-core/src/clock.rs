//! Time, as an argument.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant, SystemTime};

/// A moment on one clock's monotonic time line: how long after that clock's own origin. Moments of different clocks do not compare.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment(Duration);

impl Moment {
    /// So long after the clock's origin.
    pub const fn after_origin(duration: Duration) -> Self {
        Self(duration)
    }

    /// How long after the clock's origin.
    pub const fn since_origin(self) -> Duration {
        self.0
    }

    /// This moment and `duration` more; the last representable moment where that overflows.
    pub fn after(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(duration))
    }

    /// How long after `earlier` this is; zero if it is not later.
    pub fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

/// What a sleep returns.
pub type Sleep = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The only source of time in the library.
pub trait Clock: std::fmt::Debug + Send + Sync + 'static {
    /// Monotonic time. It may stop while the machine is suspended.
    fn now(&self) -> Moment;

    /// Wall-clock time in milliseconds since 1970 (UTC), for people; it decides nothing.
    fn wall_ms(&self) -> u64;

    /// Ends at `moment` or soon after; at once if it has passed.
    fn sleep_until(&self, moment: Moment) -> Sleep;

    /// Ends after `duration`.
    fn sleep(&self, duration: Duration) -> Sleep {
        self.sleep_until(self.now().after(duration))
    }
}

/// `future`'s output, or none once `deadline` has passed; the future is dropped then.
pub async fn before<F: Future>(clock: &dyn Clock, deadline: Moment, future: F) -> Option<F::Output> {
    let mut future = std::pin::pin!(future);
    let mut sleep = clock.sleep_until(deadline);
    std::future::poll_fn(|context| {
        if let Poll::Ready(output) = future.as_mut().poll(context) {
            return Poll::Ready(Some(output));
        }
        sleep.as_mut().poll(context).map(|()| None)
    })
    .await
}

/// The operating system's clocks. Sleeps are driven by one thread of the process, started at the first sleep, so no runtime is needed.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl SystemClock {
    fn origin() -> Instant {
        static ORIGIN: OnceLock<Instant> = OnceLock::new();
        #[expect(clippy::disallowed_methods, reason = "this is the one clock")]
        *ORIGIN.get_or_init(Instant::now)
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Moment {
        let origin = Self::origin();
        #[expect(clippy::disallowed_methods, reason = "this is the one clock")]
        let now = Instant::now();
        Moment(now.saturating_duration_since(origin))
    }

    fn wall_ms(&self) -> u64 {
        #[expect(clippy::disallowed_methods, reason = "this is the one clock")]
        let now = SystemTime::now();
        let since = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }

    fn sleep_until(&self, moment: Moment) -> Sleep {
        Box::pin(SystemSleep { moment, key: None })
    }
}

/// One sleep: registered with the timer thread at its first poll, taken out when dropped.
struct SystemSleep {
    moment: Moment,
    key: Option<(Moment, u64)>,
}

impl Future for SystemSleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if SystemClock.now() >= self.moment {
            if let Some(key) = self.key.take() {
                Timer::get().remove(key);
            }
            return Poll::Ready(());
        }
        let timer = Timer::get();
        let moment = self.moment;
        match self.key {
            Some(key) => timer.replace(key, context.waker().clone()),
            None => self.key = Some(timer.insert(moment, context.waker().clone())),
        }
        Poll::Pending
    }
}

impl Drop for SystemSleep {
    fn drop(&mut self) {
        if let Some(key) = self.key.take() {
            Timer::get().remove(key);
        }
    }
}

/// The timer thread looks again after this long at the latest; not every platform can wait for the end of time.
const LONGEST_PAUSE: Duration = Duration::from_secs(3_600);

#[derive(Default)]
struct Waiting {
    sleepers: BTreeMap<(Moment, u64), Waker>,
    next: u64,
}

struct Timer {
    waiting: Mutex<Waiting>,
    changed: Condvar,
}

impl Timer {
    fn get() -> &'static Arc<Self> {
        static TIMER: OnceLock<Arc<Timer>> = OnceLock::new();
        TIMER.get_or_init(|| {
            let timer = Arc::new(Self { waiting: Mutex::default(), changed: Condvar::new() });
            let driven = Arc::clone(&timer);
            std::thread::Builder::new()
                .name("brainy-timer".into())
                .spawn(move || driven.run())
                .expect("the operating system gives the process one more thread");
            timer
        })
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        // A panic under the lock leaves the map whole: every change of it is one call.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn insert(&self, moment: Moment, waker: Waker) -> (Moment, u64) {
        let mut waiting = self.lock();
        waiting.next += 1;
        let key = (moment, waiting.next);
        waiting.sleepers.insert(key, waker);
        let first = waiting.sleepers.first_key_value().is_some_and(|(first, _)| *first == key);
        drop(waiting);
        if first {
            self.changed.notify_one();
        }
        key
    }

    /// The sleeper is polled by a task that may not be the one that polled it first. One that fired meanwhile finds its moment passed and
    /// is simply entered again, to fire at once.
    ///
    /// A waker's clone and drop are a stranger's code: dropping the last one of a task drops the task, and with it perhaps another sleep, which
    /// takes this lock. So both happen outside of it, here and in [`Self::remove`].
    fn replace(&self, key: (Moment, u64), waker: Waker) {
        let known = self.lock().sleepers.insert(key, waker);
        if known.is_none() {
            self.changed.notify_one();
        }
    }

    fn remove(&self, key: (Moment, u64)) {
        let known = self.lock().sleepers.remove(&key);
        drop(known);
    }

    fn run(&self) {
        let mut waiting = self.lock();
        loop {
            let now = SystemClock.now();
            let later = waiting.sleepers.split_off(&(now, u64::MAX));
            let due = std::mem::replace(&mut waiting.sleepers, later);
            if !due.is_empty() {
                drop(waiting);
                for waker in due.into_values() {
                    // An executor whose waker panics must not end every other sleep of the process; the panic was already reported by its hook.
                    drop(std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| waker.wake())));
                }
                waiting = self.lock();
                continue;
            }
            let first = waiting.sleepers.first_key_value().map(|((moment, _), _)| moment.since(now));
            waiting = match first {
                Some(pause) => {
                    let waited = self.changed.wait_timeout(waiting, pause.min(LONGEST_PAUSE));
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
                None => self.changed.wait(waiting).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }
}
