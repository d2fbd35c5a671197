//! What runs beside the calls: the handle's own runtime, its committer and follower, and the thread that grows the vector index.

use std::ops::Deref;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use brainy_coordination::ChangeLog;
use brainy_engine::Engine;
use tokio::runtime::{Builder, Runtime};

use crate::error::Error;

/// Threads of a handle's runtime: they wait for the store and apply slots.
const THREADS: usize = 2;
/// Vectors taken into the index in one step, between which searches get their turn.
const INDEX_STEP: usize = 16;
/// How often the index thread looks for changed vectors while there are none.
const INDEX_INTERVAL: Duration = Duration::from_millis(50);

/// A runtime of our own: a caller's may end before its commits do. It is dropped without waiting, since that may happen inside somebody's runtime,
/// where waiting for another one is not allowed.
#[derive(Debug)]
pub(crate) struct OwnRuntime(Option<Runtime>);

impl OwnRuntime {
    pub(crate) fn start() -> Result<Self, Error> {
        let runtime = Builder::new_multi_thread().worker_threads(THREADS).thread_name("brainy").enable_all().build();
        let runtime = runtime.map_err(|error| Error::Closed { cause: format!("its runtime could not be started: {error}") })?;
        Ok(Self(Some(runtime)))
    }
}

impl Deref for OwnRuntime {
    type Target = Runtime;

    fn deref(&self) -> &Runtime {
        self.0.as_ref().expect("taken out only when dropped")
    }
}

impl Drop for OwnRuntime {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// Whether the handle's parts are alive, and if not, why.
#[derive(Clone, Debug, Default)]
pub(crate) struct Health(Arc<Mutex<Option<String>>>);

impl Health {
    pub(crate) fn check(&self) -> Result<(), Error> {
        match &*self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(cause) => Err(Error::Closed { cause: cause.clone() }),
            None => Ok(()),
        }
    }

    pub(crate) fn fail(&self, cause: impl Into<String>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(|| cause.into());
    }

    /// A part of the handle failed: with it the whole handle ends, so that no call waits for what never comes.
    pub(crate) fn end(&self, log: &ChangeLog<Engine>, cause: &str) {
        self.fail(cause);
        log.stop(cause);
        tracing::error!(store = %log.descriptor().store, cause, "the handle ended");
    }
}

/// Drives the committer; its end, by a panic too, ends the handle.
pub(crate) fn start_committer(runtime: &Runtime, log: &ChangeLog<Engine>, health: &Health) {
    let (log, health) = (log.clone(), health.clone());
    let driven = log.clone();
    let task = runtime.spawn(async move { driven.run().await });
    runtime.spawn(async move {
        match task.await {
            Ok(Ok(())) => health.fail("it was closed"),
            Ok(Err(error)) => health.fail(error.to_string()),
            Err(error) if error.is_panic() => health.end(&log, &format!("its committer panicked: {}", panic_text(&*error.into_panic()))),
            Err(_) => health.fail("its runtime ended"),
        }
    });
}

/// Follows the log; a panic ends the handle.
pub(crate) fn start_follower(runtime: &Runtime, log: &ChangeLog<Engine>, health: &Health) {
    let (log, health) = (log.clone(), health.clone());
    let driven = log.clone();
    let task = runtime.spawn(async move { driven.follow().await });
    runtime.spawn(async move {
        if let Err(error) = task.await
            && error.is_panic()
        {
            health.end(&log, &format!("its follower panicked: {}", panic_text(&*error.into_panic())));
        }
    });
}

/// The thread that takes changed vectors into the index. Searches are right without it, only slower. It ends with the handle.
#[derive(Debug)]
pub(crate) struct IndexThread {
    stop: Arc<AtomicBool>,
    thread: std::thread::Thread,
}

impl IndexThread {
    pub(crate) fn start(engine: Arc<Engine>, log: ChangeLog<Engine>, health: Health) -> Result<Self, Error> {
        let open = health.clone();
        let grow = move || open.check().is_ok().then(|| engine.index_pending(INDEX_STEP));
        Self::repeat(grow, move |cause| health.end(&log, &cause))
    }

    /// Calls `grow` until it returns none, resting whenever it left nothing to do; a panic in it is told to `failed`.
    fn repeat(
        mut grow: impl FnMut() -> Option<usize> + Send + 'static,
        failed: impl FnOnce(String) + Send + 'static,
    ) -> Result<Self, Error> {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let handle = std::thread::Builder::new()
            .name("brainy-index".into())
            .spawn(move || {
                let grown = std::panic::catch_unwind(AssertUnwindSafe(|| {
                    while !stopped.load(Ordering::Relaxed) {
                        match grow() {
                            Some(0) => std::thread::park_timeout(INDEX_INTERVAL),
                            Some(_) => {}
                            None => break,
                        }
                    }
                }));
                if let Err(panic) = grown {
                    failed(format!("its index thread panicked: {}", panic_text(&*panic)));
                }
            })
            .map_err(|error| Error::Closed { cause: format!("its index thread could not be started: {error}") })?;
        Ok(Self { stop, thread: handle.thread().clone() })
    }
}

impl Drop for IndexThread {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.unpark();
    }
}

pub(crate) fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "without a message".into())
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// Longer than any thread needs to start on a busy machine.
    const PATIENCE: Duration = Duration::from_secs(60);

    #[test]
    fn a_panic_of_the_index_thread_ends_the_handle_with_its_text() {
        let (sender, receiver) = mpsc::channel();
        let mut steps = 0;
        let grow = move || {
            steps += 1;
            assert!(steps < 3, "a step that panics, on purpose");
            Some(1)
        };
        let _thread = IndexThread::repeat(grow, move |cause| sender.send(cause).unwrap()).unwrap();
        let cause = receiver.recv_timeout(PATIENCE).unwrap();
        assert_eq!(cause, "its index thread panicked: a step that panics, on purpose");
    }

    #[test]
    fn the_index_thread_ends_when_the_handle_is_closed_or_dropped() {
        for closed in [true, false] {
            let (sender, receiver) = mpsc::channel::<()>();
            let grow = move || {
                // Held by the thread until it ends.
                let _held = &sender;
                (!closed).then_some(0)
            };
            let thread = IndexThread::repeat(grow, |_| {}).unwrap();
            let kept = closed.then_some(thread);
            assert_eq!(receiver.recv_timeout(PATIENCE), Err(mpsc::RecvTimeoutError::Disconnected), "closed: {closed}");
            drop(kept);
        }
    }

    #[test]
    fn the_first_cause_is_the_one_that_is_told() {
        let health = Health::default();
        health.check().unwrap();
        health.fail("one");
        health.fail("two");
        assert_eq!(health.check().unwrap_err().to_string(), "this handle is closed: one");
    }
}
