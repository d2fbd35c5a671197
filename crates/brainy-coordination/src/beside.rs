//! A task that reads slots ahead of whoever applies them.

use std::sync::Arc;

use brainy_core::clock::before;
use brainy_core::{Clock, Moment};
use futures_channel::mpsc::{UnboundedSender, unbounded};
use futures_channel::oneshot;
use futures_util::StreamExt;

use crate::spawn::Spawn;

type Job = Box<dyn FnOnce() + Send>;

/// Does what it is handed in that order, while whoever hands it over goes on. The task ends with this handle.
///
/// What waits is bounded by whoever hands it over: a slot that is to be decoded waits behind what was to be dropped before it, and a reader has sixteen slots in hand.
pub(crate) struct Beside {
    jobs: UnboundedSender<Job>,
    clock: Arc<dyn Clock>,
    /// Until when it is waited for.
    deadline: Moment,
}

impl Beside {
    pub(crate) fn start(spawn: &dyn Spawn, clock: Arc<dyn Clock>, deadline: Moment) -> Self {
        let (jobs, mut taken) = unbounded::<Job>();
        spawn.spawn(Box::pin(async move {
            while let Some(job) = taken.next().await {
                job();
            }
        }));
        Self { jobs, clock, deadline }
    }

    /// Drops `value` there, or here where the task is gone.
    pub(crate) fn drop<T: Send + 'static>(&self, value: T) {
        // What is not taken comes back and is dropped.
        self.jobs.unbounded_send(Box::new(move || drop(value))).ok();
    }

    /// What `work` gives; none if the task is gone, or did not come to it in time.
    async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        let (done, result) = oneshot::channel();
        // Whoever waited may have gone.
        let job = move || drop(done.send(work()));
        self.jobs.unbounded_send(Box::new(job)).ok()?;
        before(&*self.clock, self.deadline, result).await?.ok()
    }
}

/// What `work`, a function of what it holds, gives: done there if there is a task for it, else here.
pub(crate) async fn beside<T: Send + 'static>(task: Option<&Beside>, work: impl Fn() -> T + Clone + Send + 'static) -> T {
    if let Some(task) = task
        && let Some(done) = task.run(work.clone()).await
    {
        return done;
    }
    work()
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::time::Duration;

    use brainy_core::SystemClock;
    use futures_executor::block_on;

    use super::*;
    use crate::spawn::Task;

    #[derive(Debug)]
    struct Threads;

    impl Spawn for Threads {
        fn spawn(&self, task: Task) {
            std::thread::spawn(move || block_on(task));
        }
    }

    #[derive(Debug)]
    struct Nowhere;

    impl Spawn for Nowhere {
        fn spawn(&self, task: Task) {
            drop(task);
        }
    }

    /// Takes tasks and never runs them.
    #[derive(Default)]
    struct Never(Mutex<Vec<Task>>);

    impl std::fmt::Debug for Never {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("Never")
        }
    }

    impl Spawn for Never {
        fn spawn(&self, task: Task) {
            self.0.lock().unwrap().push(task);
        }
    }

    #[test]
    fn work_is_done_beside_and_here_where_nobody_takes_it() {
        let begin = |spawn: &dyn Spawn, patience: u64| {
            let clock: Arc<dyn Clock> = Arc::new(SystemClock);
            let deadline = clock.now().after(Duration::from_millis(patience));
            Beside::start(spawn, clock, deadline)
        };
        let thread = begin(&Threads, 600_000);
        let here = std::thread::current().id();
        let work = || std::thread::current().id();
        assert_ne!(block_on(beside(Some(&thread), work)), here);
        assert_eq!(block_on(beside(None, work)), here);
        assert_eq!(block_on(beside(Some(&begin(&Nowhere, 600_000)), work)), here);
        let never = Never::default();
        assert_eq!(block_on(beside(Some(&begin(&never, 1)), work)), here, "once the time is up");
        let fails_elsewhere = move || {
            assert_eq!(std::thread::current().id(), here, "as the test wished");
            1
        };
        assert_eq!(block_on(beside(Some(&thread), fails_elsewhere)), 1);
        assert_eq!(block_on(beside(Some(&thread), work)), here, "nobody takes work any more");
    }
}
