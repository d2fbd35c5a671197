//! A thread that reads slots ahead of whoever applies them.

use std::sync::mpsc::{Sender, channel};

use futures_channel::oneshot;

type Job = Box<dyn FnOnce() + Send>;

/// Does what it is handed in that order, while whoever hands it over goes on. The thread ends with this handle.
///
/// What waits is bounded by whoever hands it over: a slot that is to be decoded waits behind what was to be dropped before it, and a reader has sixteen slots in hand.
#[derive(Debug)]
pub(crate) struct Beside {
    jobs: Sender<Job>,
}

impl Beside {
    /// None: there is no thread to be had.
    pub(crate) fn start() -> Option<Self> {
        let (jobs, taken) = channel::<Job>();
        let work = move || taken.into_iter().for_each(|job| job());
        std::thread::Builder::new().name("brainy-decode".into()).spawn(work).ok()?;
        Some(Self { jobs })
    }

    /// Drops `value` there, or here where the thread died.
    pub(crate) fn drop<T: Send + 'static>(&self, value: T) {
        // What is not taken comes back and is dropped.
        self.jobs.send(Box::new(move || drop(value))).ok();
    }

    /// What `work` gives; none if the thread died.
    async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        let (done, result) = oneshot::channel();
        // Whoever waited may have gone.
        let job = move || drop(done.send(work()));
        self.jobs.send(Box::new(job)).ok()?;
        result.await.ok()
    }
}

/// What `work`, a function of what it holds, gives: done there if there is a thread for it, else here.
pub(crate) async fn beside<T: Send + 'static>(thread: Option<&Beside>, work: impl Fn() -> T + Clone + Send + 'static) -> T {
    if let Some(thread) = thread
        && let Some(done) = thread.run(work.clone()).await
    {
        return done;
    }
    work()
}

#[cfg(test)]
mod tests {
    use futures_executor::block_on;

    use super::*;

    #[test]
    fn work_is_done_beside_and_here_where_the_thread_died() {
        let thread = Beside::start().unwrap();
        let here = std::thread::current().id();
        let work = || std::thread::current().id();
        assert_ne!(block_on(beside(Some(&thread), work)), here);
        assert_eq!(block_on(beside(None, work)), here);
        let fails_elsewhere = move || {
            assert_eq!(std::thread::current().id(), here, "as the test wished");
            1
        };
        assert_eq!(block_on(beside(Some(&thread), fails_elsewhere)), 1);
        assert_eq!(block_on(beside(Some(&thread), work)), here, "nobody takes work any more");
    }
}
