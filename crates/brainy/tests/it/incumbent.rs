//! The interleavings that lose data in the system before this one, against this one. Each test bears the label that it has in `docs/testing.md`.

mod contention;
#[cfg(test)]
#[cfg(unix)]
mod processes;
mod search;
mod statistics;
mod synchronisation;

use std::future::poll_fn;
use std::num::NonZeroUsize;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};
use std::time::Duration;

use async_trait::async_trait;
use brainy::storage::{Capabilities, Get, GetOptions, Key, Operation, Outcome, Page, Precondition, Prefix, Store, StoreError, StoreResult};
use brainy::{Brainy, Clock, ErrorKind, Freshness, NounDraft, Search, ServiceTag, Statistics};
use brainy_core::Moment;
use brainy_core::clock::Sleep;
use brainy_testkit::ManualClock;
use bytes::Bytes;
use futures_executor::block_on;

use crate::support::{PATIENCE, at, quiet};

fn service(text: &str) -> ServiceTag {
    ServiceTag::new(text).unwrap()
}

/// The `n`-th of many nouns, each at a place of its own on a line.
fn numbered(n: usize) -> NounDraft {
    at(&n.to_string(), [n as f32, 0.0])
}

/// A handle that looks at the tail only when it is told to.
fn still(store: &Arc<dyn Store>) -> Brainy {
    block_on(quiet(store).freshness(Freshness::Local).open()).unwrap()
}

/// The names of the `k` nearest nouns.
async fn nearest(db: &Brainy, to: [f32; 2], k: usize) -> Vec<String> {
    let found = db.search(&Search::new(to, k)).await.unwrap();
    found.into_iter().map(|hit| hit.noun.id.to_string()).collect()
}

/// Waits until the index has taken in everything.
fn until_indexed(db: &Brainy) {
    while db.index_pending() > 0 {
        std::thread::yield_now();
    }
}

/// What a stranger reads who opens nothing.
fn peeked(store: &Arc<dyn Store>) -> Statistics {
    block_on(quiet(store).peek()).unwrap().statistics
}

/// Which requests a [`Gate`] is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Get,
    Put,
    List,
}

/// Where a request stands still.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum When {
    /// It has had no effect yet.
    Before,
    /// It has had its effect, and its reply is on the way.
    After,
}

/// A store some of whose requests stand still, or are refused, until the test lets them go.
struct Gate {
    inner: Arc<dyn Store>,
    state: Mutex<Closed>,
    arrived: Condvar,
}

#[derive(Default)]
struct Closed {
    held: Option<(Kind, When)>,
    refused: Option<Kind>,
    standing: usize,
    wakers: Vec<Waker>,
}

impl Gate {
    fn new(inner: &Arc<dyn Store>) -> Arc<Self> {
        Arc::new(Self { inner: Arc::clone(inner), state: Mutex::default(), arrived: Condvar::new() })
    }

    fn state(&self) -> MutexGuard<'_, Closed> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on such requests stand still.
    fn hold(&self, kind: Kind, when: When) {
        *self.state() = Closed { held: Some((kind, when)), ..Closed::default() };
    }

    /// From now on such requests are refused without effect, as by a server that is overloaded.
    fn refuse(&self, kind: Kind) {
        *self.state() = Closed { refused: Some(kind), ..Closed::default() };
    }

    /// Waits until a request stands still.
    fn until_standing(&self) {
        let standing = self.arrived.wait_timeout_while(self.state(), PATIENCE, |state| state.standing == 0);
        assert!(!standing.unwrap_or_else(PoisonError::into_inner).1.timed_out(), "no request comes");
    }

    /// Lets everything pass.
    fn open(&self) {
        let closed = std::mem::take(&mut *self.state());
        closed.wakers.into_iter().for_each(Waker::wake);
    }

    async fn stand(&self, kind: Kind, when: When) {
        let mut stands = false;
        poll_fn(|context| {
            let mut state = self.state();
            if state.held != Some((kind, when)) {
                return Poll::Ready(());
            }
            if !std::mem::replace(&mut stands, true) {
                state.standing += 1;
                self.arrived.notify_all();
            }
            state.wakers.push(context.waker().clone());
            Poll::Pending
        })
        .await;
    }

    async fn through<T>(&self, kind: Kind, operation: Operation, request: impl Future<Output = StoreResult<T>>) -> StoreResult<T> {
        if self.state().refused == Some(kind) {
            return Err(StoreError::new(ErrorKind::Unavailable, operation, "a request", "503 Slow Down"));
        }
        self.stand(kind, When::Before).await;
        let done = request.await;
        self.stand(kind, When::After).await;
        done
    }
}

impl std::fmt::Debug for Gate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Gate")
    }
}

#[async_trait]
impl Store for Gate {
    async fn get(&self, key: &Key, options: GetOptions) -> StoreResult<Get> {
        self.through(Kind::Get, Operation::Get, self.inner.get(key, options)).await
    }

    async fn put(&self, key: &Key, body: Bytes, precondition: Precondition) -> StoreResult<Outcome> {
        self.through(Kind::Put, Operation::Put, self.inner.put(key, body, precondition)).await
    }

    async fn list(&self, prefix: &Prefix, after: Option<&Key>, limit: NonZeroUsize) -> StoreResult<Page> {
        self.through(Kind::List, Operation::List, self.inner.list(prefix, after, limit)).await
    }

    async fn delete(&self, key: &Key) -> StoreResult<()> {
        self.inner.delete(key).await
    }

    fn location(&self) -> String {
        self.inner.location()
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }
}

/// A store whose listings end after so many keys, as S3's do after a thousand.
#[derive(Debug)]
struct Paged {
    inner: Arc<dyn Store>,
    page: NonZeroUsize,
}

impl Paged {
    fn over(inner: &Arc<dyn Store>, page: usize) -> Arc<dyn Store> {
        Arc::new(Self { inner: Arc::clone(inner), page: NonZeroUsize::new(page).unwrap() })
    }
}

#[async_trait]
impl Store for Paged {
    async fn get(&self, key: &Key, options: GetOptions) -> StoreResult<Get> {
        self.inner.get(key, options).await
    }

    async fn put(&self, key: &Key, body: Bytes, precondition: Precondition) -> StoreResult<Outcome> {
        self.inner.put(key, body, precondition).await
    }

    async fn list(&self, prefix: &Prefix, after: Option<&Key>, limit: NonZeroUsize) -> StoreResult<Page> {
        self.inner.list(prefix, after, limit.min(self.page)).await
    }

    async fn delete(&self, key: &Key) -> StoreResult<()> {
        self.inner.delete(key).await
    }

    fn location(&self) -> String {
        self.inner.location()
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }
}

/// A clock whose wall time is wrong.
#[derive(Debug)]
struct Wrong {
    clock: ManualClock,
    off_ms: i64,
}

impl Clock for Wrong {
    fn now(&self) -> Moment {
        self.clock.now()
    }

    fn wall_ms(&self) -> u64 {
        self.clock.wall_ms().saturating_add_signed(self.off_ms)
    }

    fn sleep_until(&self, moment: Moment) -> Sleep {
        self.clock.sleep_until(moment)
    }
}

/// Three days.
const LONG: Duration = Duration::from_secs(3 * 24 * 3_600);
