//! Locks: which process does some work, and whose work counts.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use brainy_coordination::{Environment, Holder, LockOptions, Loss, Spawn, Task};
use brainy_engine::Engine;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::error::Error;
use crate::handle::Brainy;
use crate::location::Location;
use crate::transaction::TransactionBuilder;

/// The thread that renews a handle's leases: nothing else runs there, so no search or apply keeps a renewal waiting. It ends with the handle, once what was
/// released is free.
#[derive(Debug)]
pub(crate) struct RenewalThread(mpsc::UnboundedSender<Task>);

impl RenewalThread {
    fn start() -> Result<Self, Error> {
        let failed = |error: std::io::Error| Error::Closed { cause: format!("its renewal thread could not be started: {error}") };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let (sender, mut receiver) = mpsc::unbounded_channel::<Task>();
        let driven = async move {
            let mut tasks = JoinSet::new();
            while let Some(task) = receiver.recv().await {
                tasks.spawn(task);
                while tasks.try_join_next().is_some() {}
            }
            // Each ends within its lease's life: no guard of this handle is left.
            while tasks.join_next().await.is_some() {}
        };
        std::thread::Builder::new().name("brainy-lock".into()).spawn(move || runtime.block_on(driven)).map_err(failed)?;
        Ok(Self(sender))
    }
}

impl Spawn for RenewalThread {
    fn spawn(&self, task: Task) {
        // Where the thread is gone the task is dropped, which ends its guard.
        self.0.send(task).ok();
    }
}

/// What a handle's locks share, made when the first is.
#[derive(Debug, Default)]
pub(crate) struct Locks {
    thread: OnceLock<Arc<RenewalThread>>,
    /// The store's URL, where another client of it can be made.
    pub(crate) location: Option<Location>,
}

impl Locks {
    pub(crate) fn new(location: Option<Location>) -> Self {
        Self { thread: OnceLock::new(), location: location.filter(|location| matches!(location, Location::S3(_))) }
    }

    fn thread(&self) -> Result<Arc<RenewalThread>, Error> {
        if let Some(thread) = self.thread.get() {
            return Ok(Arc::clone(thread));
        }
        let started = Arc::new(RenewalThread::start()?);
        Ok(Arc::clone(self.thread.get_or_init(|| started)))
    }
}

/// One name for which at most one process works at a time, on the log of a store.
///
/// A lock decides who works, never whether the work is sound: put what must not be overtaken into transactions [`under`](TransactionBuilder::under) its guard, or show its
/// [`token`](Guard::token) to whatever else the work changes.
#[derive(Clone, Debug)]
pub struct Lock {
    handle: Brainy,
    lock: brainy_coordination::Lock<Engine>,
}

impl Brainy {
    /// The lock `name` (`[a-z0-9_-]`, 1 to 64) of this store. Nothing is read or written yet. While it is held its lease is renewed on a thread of the handle's own, and on S3 by a client of its own, whose
    /// requests [`usage`](Self::usage) does not count.
    ///
    /// # Errors
    /// Kind `Invalid`: no such name or options, or a handle that does not write; `Closed`.
    pub fn lock(&self, name: &str, options: LockOptions) -> Result<Lock, Error> {
        self.check()?;
        let thread = self.inner.locks.thread()?;
        let mut environment: Environment = self.log().environment().clone();
        if let Some(location) = &self.inner.locks.location {
            environment.store = location.open(false, false, true)?;
        }
        let lock = brainy_coordination::Lock::open_in(self.log(), environment, thread, name, options)?;
        Ok(Lock { handle: self.clone(), lock })
    }
}

impl Lock {
    /// Its name.
    pub fn name(&self) -> &str {
        self.lock.name()
    }

    /// Takes it if it is free, or if this `Lock` has seen its holder silent for the holder's whole life.
    ///
    /// # Errors
    /// Kind `Invalid`: the store has no room for another lock's name; `Conflict`: somebody has it ([`holder`](Self::holder) says who); `OutcomeUnknown`: the store did not tell in time, it is not held here, and free for others when its life ends at the
    /// latest; `Corrupt`: the lease was deleted from the bucket ([`remake`](Self::remake)).
    pub async fn try_acquire(&self) -> Result<Guard, Error> {
        let (lock, deadline) = (self.lock.clone(), self.handle.deadline());
        let guard = self.handle.run_while_awaited(async move { Ok(lock.try_acquire(deadline).await?) }).await?;
        Ok(Guard { handle: self.handle.clone(), guard })
    }

    /// Waits for it, `patience` at most: for a release, or until its holder has been silent for its whole life. Whoever stops waiting, by dropping the future too, holds nothing; a request that was on its way may keep
    /// others waiting for one life of the lease.
    ///
    /// # Errors
    /// As [`try_acquire`](Self::try_acquire); kind `Conflict` when the time is up.
    pub async fn acquire(&self, patience: Duration) -> Result<Guard, Error> {
        let lock = self.lock.clone();
        let deadline = self.handle.log().environment().clock.now().after(patience);
        let guard = self.handle.run_while_awaited(async move { Ok(lock.acquire(deadline).await?) }).await?;
        Ok(Guard { handle: self.handle.clone(), guard })
    }

    /// Who holds it now; none if nobody does. One request.
    ///
    /// # Errors
    /// The lease cannot be read.
    pub async fn holder(&self) -> Result<Option<Holder>, Error> {
        let (lock, deadline) = (self.lock.clone(), self.handle.deadline());
        self.handle.run(async move { Ok(lock.holder(deadline).await?) }).await
    }

    /// Makes a lease anew that was deleted from the bucket. For an operator who has made sure that no holder of the old one still works.
    ///
    /// # Errors
    /// Kind `Conflict`: it is there.
    pub async fn remake(&self) -> Result<(), Error> {
        let (lock, deadline) = (self.lock.clone(), self.handle.deadline());
        self.handle.run(async move { Ok(lock.remake(deadline).await?) }).await
    }
}

/// A lock that is held. Dropping it stops believing at once and frees the lease in the background.
#[derive(Debug)]
#[must_use = "dropped, it frees the lease"]
pub struct Guard {
    handle: Brainy,
    guard: brainy_coordination::Guard,
}

impl Guard {
    /// The lock's name.
    pub fn name(&self) -> &str {
        self.guard.name()
    }

    /// The fencing token: larger than every earlier holder's.
    pub fn token(&self) -> u64 {
        self.guard.token()
    }

    /// Whether the lease is still believed to be held. Once false it stays so.
    pub fn is_held(&self) -> bool {
        self.guard.is_held()
    }

    /// # Errors
    /// Kind `Fenced`: it is no longer held; stop its work.
    pub fn check(&self) -> Result<(), Error> {
        Ok(self.guard.check()?)
    }

    /// Ends when the lease is no longer held, and says why. It does not borrow the guard.
    pub fn lost(&self) -> impl Future<Output = Loss> + Send + 'static {
        self.guard.lost()
    }

    /// Frees the lease and waits until the store has confirmed it, for a call's deadline at most.
    ///
    /// # Errors
    /// It is not known to be free: others get it when its life ends at the latest. This process holds nothing any more, however it ends.
    pub async fn release(self) -> Result<(), Error> {
        let Self { handle, guard } = self;
        let deadline = handle.deadline();
        handle.run(async move { Ok(guard.release(deadline).await?) }).await
    }
}

impl TransactionBuilder {
    /// Written under this guard: without effect, and an error of kind `Fenced`, once a later holder has claimed the lock.
    ///
    /// # Errors
    /// Kind `Fenced`: the guard is lost already; `Invalid`: it is of another store.
    pub fn under(mut self, guard: &Guard) -> Result<Self, Error> {
        guard.check()?;
        let (given, expected) = (guard.handle.store_id(), self.handle.store_id());
        if given != expected {
            return Err(Error::invalid("guard", format!("it is of store {given}, this is store {expected}")));
        }
        self.fence = Some(guard.guard.fence());
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// Longer than any thread needs to start on a busy machine.
    const PATIENCE: Duration = Duration::from_secs(60);

    #[test]
    fn leases_are_renewed_on_a_thread_of_their_own_which_ends_what_it_began() {
        let thread = RenewalThread::start().unwrap();
        let (sender, receiver) = mpsc::channel();
        let (go, wait) = tokio::sync::oneshot::channel::<()>();
        thread.spawn(Box::pin(async move {
            sender.send(std::thread::current().name().map(str::to_owned)).unwrap();
            drop(wait.await);
            sender.send(None).unwrap();
        }));
        assert_eq!(receiver.recv_timeout(PATIENCE).unwrap().as_deref(), Some("brainy-lock"));
        // The handle is gone; what was to be freed still is.
        drop(thread);
        go.send(()).unwrap();
        assert_eq!(receiver.recv_timeout(PATIENCE), Ok(None));
        assert_eq!(receiver.recv_timeout(PATIENCE), Err(mpsc::RecvTimeoutError::Disconnected));
    }
}
