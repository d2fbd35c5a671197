//! A few threads for calls that block.

use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread::JoinHandle;

use crossbeam_channel::{Sender, TrySendError, bounded};
use futures_channel::oneshot;

/// Most calls that wait for a thread; one more is refused.
pub(super) const MAX_WAITING: usize = 4_096;

type Job = Box<dyn FnOnce() + Send>;

/// Threads that run calls in the order in which they come. They end when the pool is dropped and the calls that wait are done.
pub(super) struct Pool {
    jobs: Sender<Job>,
    #[cfg_attr(not(test), expect(dead_code, reason = "nobody waits for the threads outside tests: dropping a store must not block"))]
    threads: Vec<JoinHandle<()>>,
}

/// Why a call gave no answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NoAnswer {
    /// Too many calls wait; this one was never begun.
    Full,
    /// It was begun and did not end.
    Lost,
}

impl Pool {
    /// # Errors
    /// The operating system gives no more threads.
    pub(super) fn start(threads: NonZeroUsize) -> std::io::Result<Self> {
        let (jobs, waiting) = bounded::<Job>(MAX_WAITING);
        let threads = (0..threads.get())
            .map(|_| {
                let waiting = waiting.clone();
                std::thread::Builder::new().name("brainy-files".into()).spawn(move || {
                    for job in waiting {
                        // A panic loses its own call, which is told by the dropped sender, and no other.
                        drop(catch_unwind(AssertUnwindSafe(job)));
                    }
                })
            })
            .collect::<Result<_, _>>()?;
        Ok(Self { jobs, threads })
    }

    /// Runs `call` on a thread. It runs to its end also when the future is dropped.
    pub(super) async fn run<T: Send + 'static>(&self, call: impl FnOnce() -> T + Send + 'static) -> Result<T, NoAnswer> {
        let (sender, receiver) = oneshot::channel();
        let job = Box::new(move || drop(sender.send(call())));
        match self.jobs.try_send(job) {
            Ok(()) => receiver.await.map_err(|_| NoAnswer::Lost),
            Err(TrySendError::Full(_)) => Err(NoAnswer::Full),
            Err(TrySendError::Disconnected(_)) => Err(NoAnswer::Lost),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dropped_pool_finishes_its_calls_and_ends_its_threads() {
        let pool = Pool::start(NonZeroUsize::new(3).unwrap()).unwrap();
        let (done, finished) = bounded(10);
        for _ in 0..10 {
            let done = done.clone();
            pool.jobs.send(Box::new(move || done.send(()).unwrap())).unwrap();
        }
        let Pool { jobs, threads } = pool;
        drop((jobs, done));
        for thread in threads {
            thread.join().unwrap();
        }
        assert_eq!(finished.iter().count(), 10);
    }

    #[test]
    fn a_call_beyond_the_bound_is_refused_and_never_begun() {
        let pool = Pool::start(NonZeroUsize::MIN).unwrap();
        let (release, held) = bounded::<()>(0);
        let (began, begun) = bounded(1);
        let blocked = pool.jobs.send(Box::new(move || {
            began.send(()).unwrap();
            assert!(held.recv().is_err(), "it waits until the other end is dropped");
        }));
        blocked.unwrap();
        begun.recv().unwrap();
        for _ in 0..MAX_WAITING {
            pool.jobs.send(Box::new(|| ())).unwrap();
        }
        assert_eq!(futures_executor::block_on(pool.run(|| panic!("it was refused"))), Err::<(), _>(NoAnswer::Full));
        drop(release);
    }

    #[test]
    fn a_panic_loses_its_own_call_and_no_other() {
        let pool = Pool::start(NonZeroUsize::MIN).unwrap();
        let lost = futures_executor::block_on(pool.run(|| -> u8 { panic!("on purpose") }));
        assert_eq!(lost, Err(NoAnswer::Lost));
        assert_eq!(futures_executor::block_on(pool.run(|| 7)), Ok(7));
    }
}
