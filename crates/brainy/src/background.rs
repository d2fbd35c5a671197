//! What runs beside the calls: the handle's own runtime, its committer and follower, and the thread that grows the vector index.

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

/// A runtime of our own: a caller's may end before its commits do.
pub(crate) fn runtime() -> Result<Runtime, Error> {
    Builder::new_multi_thread()
        .worker_threads(THREADS)
        .thread_name("brainy")
        .enable_all()
        .build()
        .map_err(|error| Error::Closed { cause: format!("its runtime could not be started: {error}") })
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
}

/// Drives the committer; its end, by a panic too, ends the handle.
pub(crate) fn start_committer(runtime: &Runtime, log: &ChangeLog<Engine>, health: &Health) {
    let (log, health) = (log.clone(), health.clone());
    let driven = log.clone();
    let task = runtime.spawn(async move { driven.run().await });
    runtime.spawn(async move {
        let cause = match task.await {
            Ok(Ok(())) => "it was closed".to_owned(),
            Ok(Err(error)) => error.to_string(),
            Err(error) if error.is_panic() => format!("its committer panicked: {}", panic_text(&*error.into_panic())),
            Err(_) => "its runtime ended".to_owned(),
        };
        health.fail(&*cause);
        log.stop(&cause);
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
            let cause = format!("its follower panicked: {}", panic_text(&*error.into_panic()));
            health.fail(&*cause);
            log.stop(&cause);
        }
    });
}

/// The thread that takes changed vectors into the index. Searches are right without it, only slower.
#[derive(Debug)]
pub(crate) struct IndexThread {
    stop: Arc<AtomicBool>,
    thread: std::thread::Thread,
}

impl IndexThread {
    pub(crate) fn start(engine: Arc<Engine>, log: ChangeLog<Engine>, health: Health) -> Result<Self, Error> {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let handle = std::thread::Builder::new()
            .name("brainy-index".into())
            .spawn(move || {
                let grown = std::panic::catch_unwind(AssertUnwindSafe(|| {
                    while !stopped.load(Ordering::Relaxed) {
                        if engine.index_pending(INDEX_STEP) == 0 {
                            std::thread::park_timeout(INDEX_INTERVAL);
                        }
                    }
                }));
                if let Err(panic) = grown {
                    let cause = format!("its index thread panicked: {}", panic_text(&*panic));
                    health.fail(&*cause);
                    log.stop(&cause);
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

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "without a message".into())
}
