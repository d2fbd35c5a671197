//! Stores between a handle and its objects, and what every test here starts from.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use brainy_coordination::{ChangeLog, Constants, Environment, LogOptions, NewStore, Truncation, create_store};
use brainy_core::{Clock, Entropy, ErrorKind, Moment, SeededEntropy};
use brainy_storage::{
    Capabilities, Get, GetOptions, InMemoryStore, Key, Operation, Outcome, Page, Precondition, Prefix, Store, StoreError, StoreResult,
};
use brainy_testkit::ManualClock;
use bytes::Bytes;
use futures_util::task::AtomicWaker;

use crate::register::Register;

/// A new store in memory.
pub(crate) async fn made(environment: &Environment, constants: Constants) {
    let new = NewStore::new(vec![]).with_constants(constants);
    create_store(environment, &new, within(environment, 60)).await.unwrap();
}

pub(crate) fn constants() -> Constants {
    Constants::new(Truncation::Tombstone)
}

/// So many seconds from now.
pub(crate) fn within(environment: &Environment, seconds: u64) -> Moment {
    environment.clock.now().after(Duration::from_secs(seconds))
}

pub(crate) fn environment(store: Arc<dyn Store>, clock: &ManualClock, seed: u64) -> Environment {
    let mut environment = Environment::new(store);
    environment.clock = Arc::new(clock.clone());
    environment.entropy = Arc::new(SeededEntropy::new(seed));
    environment
}

/// An empty store in memory, its clock, and the way to it.
pub(crate) fn fresh(seed: u64) -> (InMemoryStore, ManualClock, Environment) {
    let (store, clock) = (InMemoryStore::new(), ManualClock::new());
    let environment = environment(Arc::new(store.clone()), &clock, seed);
    clock.run(made(&environment, constants()));
    (store, clock, environment)
}

pub(crate) async fn opened(environment: &Environment) -> ChangeLog<Register> {
    let deadline = within(environment, 600);
    ChangeLog::open(environment.clone(), Arc::new(Register::default()), LogOptions::default(), deadline).await.unwrap()
}

/// A store whose requests take a random time before and after their effect, so that those of several handles fall between each other.
#[derive(Debug)]
pub(crate) struct Slow {
    pub(crate) inner: Arc<dyn Store>,
    pub(crate) clock: ManualClock,
    pub(crate) entropy: SeededEntropy,
}

impl Slow {
    async fn wait(&self) {
        self.clock.sleep(Duration::from_millis(20).mul_f64(self.entropy.fraction())).await;
    }

    async fn around<T>(&self, request: impl Future<Output = T>) -> T {
        self.wait().await;
        let answer = request.await;
        self.wait().await;
        answer
    }
}

/// What happens to the request at which a [`Cut`] process dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Last {
    Effective,
    Lost,
}

/// A store behind a process that dies at a certain request: no reply comes from there on.
#[derive(Debug)]
pub(crate) struct Cut {
    pub(crate) inner: Arc<dyn Store>,
    pub(crate) left: AtomicU64,
    pub(crate) last: Last,
    dead: AtomicBool,
    waker: AtomicWaker,
}

impl Cut {
    pub(crate) fn new(inner: Arc<dyn Store>, requests: u64, last: Last) -> Self {
        Self { inner, left: AtomicU64::new(requests), last, dead: AtomicBool::new(false), waker: AtomicWaker::new() }
    }

    pub(crate) fn is_dead(&self) -> bool {
        self.dead.load(Ordering::Acquire)
    }

    /// Until the process dies.
    pub(crate) async fn death(&self) {
        std::future::poll_fn(|context| {
            self.waker.register(context.waker());
            if self.is_dead() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
        })
        .await;
    }

    async fn around<T>(&self, request: impl Future<Output = T>) -> T {
        let left = self.left.fetch_update(Ordering::AcqRel, Ordering::Acquire, |left| Some(left.saturating_sub(1)));
        if left != Ok(0) {
            return request.await;
        }
        if !self.dead.swap(true, Ordering::AcqRel) && self.last == Last::Effective {
            request.await;
        }
        self.waker.wake();
        std::future::pending().await
    }
}

/// A store that refuses every write with this kind of error: nothing is written, and the reply says so.
#[derive(Debug)]
pub(crate) struct NoWrites {
    pub(crate) inner: Arc<dyn Store>,
    pub(crate) kind: ErrorKind,
}

impl NoWrites {
    async fn around<T>(&self, request: impl Future<Output = T>) -> T {
        request.await
    }
}

/// A directory whose newest entries cannot be made durable while it says so.
#[derive(Debug)]
pub(crate) struct Unsettled {
    pub(crate) inner: Arc<dyn Store>,
    pub(crate) fails: AtomicBool,
}

impl Unsettled {
    async fn around<T>(&self, request: impl Future<Output = T>) -> T {
        request.await
    }

    fn settled(&self, prefix: &Prefix) -> Result<(), StoreError> {
        match self.fails.load(Ordering::Acquire) {
            true => Err(StoreError::new(ErrorKind::Unavailable, Operation::List, prefix, "the disk does not answer")),
            false => Ok(()),
        }
    }
}

/// The others settle at once.
trait Settles {
    fn settled(&self, _prefix: &Prefix) -> Result<(), StoreError> {
        Ok(())
    }
}

impl Settles for Slow {}
impl Settles for Cut {}
impl Settles for NoWrites {}

macro_rules! wrap {
    ($name:ident, $refusal:expr) => {
        #[async_trait]
        impl Store for $name {
            async fn get(&self, key: &Key, options: GetOptions) -> StoreResult<Get> {
                self.around(self.inner.get(key, options)).await
            }

            async fn put(&self, key: &Key, body: Bytes, precondition: Precondition) -> StoreResult<Outcome> {
                let refusal: fn(&$name) -> Option<ErrorKind> = $refusal;
                match refusal(self) {
                    Some(kind) => Err(StoreError::new(kind, Operation::Put, key, "only reading is allowed")),
                    None => self.around(self.inner.put(key, body, precondition)).await,
                }
            }

            async fn list(&self, prefix: &Prefix, after: Option<&Key>, limit: NonZeroUsize) -> StoreResult<Page> {
                self.around(self.inner.list(prefix, after, limit)).await
            }

            async fn delete(&self, key: &Key) -> StoreResult<()> {
                self.around(self.inner.delete(key)).await
            }

            async fn settle(&self, prefix: &Prefix) -> Result<(), StoreError> {
                self.settled(prefix)
            }

            fn location(&self) -> String {
                self.inner.location()
            }

            fn capabilities(&self) -> Capabilities {
                self.inner.capabilities()
            }
        }
    };
}

wrap!(Unsettled, |_| None);
wrap!(Slow, |_| None);
wrap!(Cut, |_| None);
wrap!(NoWrites, |this| Some(this.kind));
