//! The handle: opening, call defaults, freshness, closing.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use brainy_coordination::{ChangeLog, Figures, OpId, Token};
use brainy_core::clock::before;
use brainy_core::{ContentHash, Metric, Moment, ServiceTag, StoreId};
use brainy_engine::{Engine, Reader};
use brainy_storage::{Metered, Usage};
use tokio::task::{AbortHandle, JoinHandle};
use tracing::Instrument;

use crate::background::{Health, IndexThread, OwnRuntime, panic_text};
use crate::error::Error;
use crate::freshness::Freshness;
use crate::lock::Locks;
use crate::options::{Builder, CallDefaults, Mode};

/// A handle on a shared store. Cheap to clone; clones, and the variants made by the `with_` functions, are one instance: one writer, one index, one follower.
///
/// Its futures run on any executor: what waits for the store runs on the handle's own runtime. Dropping the last clone stops at once; [`close`](Self::close) drains first.
#[derive(Clone)]
pub struct Brainy {
    pub(crate) inner: Arc<Inner>,
    pub(crate) defaults: CallDefaults,
}

/// Shows where it stands, not what it holds.
impl std::fmt::Debug for Brainy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Brainy")
            .field("location", &self.location())
            .field("mode", &self.mode())
            .field("position", &self.position().seq)
            .field("defaults", &self.defaults)
            .finish_non_exhaustive()
    }
}

pub(crate) struct Inner {
    pub(crate) log: ChangeLog<Engine>,
    pub(crate) engine: Arc<Engine>,
    pub(crate) metered: Arc<Metered>,
    pub(crate) mode: Mode,
    pub(crate) health: Health,
    pub(crate) locks: Locks,
    pub(crate) _index: Option<IndexThread>,
    pub(crate) runtime: OwnRuntime,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.log.stop("its last handle was dropped");
    }
}

/// A task that is dropped with this, if it has not ended.
struct Aborted(AbortHandle);

impl Drop for Aborted {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Brainy {
    /// Makes a store at `url` for vectors of `dimension` components under `metric`, and opens it. Everything else as [`builder`](Self::builder) has it.
    ///
    /// # Errors
    /// As [`Builder::create`].
    pub async fn create(url: &str, dimension: usize, metric: Metric) -> Result<Self, Error> {
        Self::builder(url).dimension(dimension).metric(metric).create().await
    }

    /// Opens the store at `url`.
    ///
    /// # Errors
    /// As [`Builder::open`].
    pub async fn open(url: &str) -> Result<Self, Error> {
        Self::builder(url).open().await
    }

    /// Opens the store at `url`, or makes it if there is none.
    ///
    /// # Errors
    /// As [`Builder::open_or_create`].
    pub async fn open_or_create(url: &str, dimension: usize, metric: Metric) -> Result<Self, Error> {
        Self::builder(url).dimension(dimension).metric(metric).open_or_create().await
    }

    /// Everything that can be chosen about the store at `url` and the handle. URLs: `memory://` (private), `memory://name` (one of each name in this process),
    /// `file:///path`, `s3://bucket/prefix` (credentials and endpoint from `AWS_*` variables).
    pub fn builder(url: impl Into<String>) -> Builder {
        Builder::new(url)
    }

    pub(crate) fn new(inner: Inner, defaults: CallDefaults) -> Self {
        Self { inner: Arc::new(inner), defaults }
    }

    /// The same handle whose calls take at most `deadline`.
    #[must_use]
    pub fn with_deadline(&self, deadline: Duration) -> Self {
        Self { inner: Arc::clone(&self.inner), defaults: CallDefaults { deadline, ..self.defaults.clone() } }
    }

    /// The same handle whose reads are this fresh.
    #[must_use]
    pub fn with_freshness(&self, freshness: Freshness) -> Self {
        Self { inner: Arc::clone(&self.inner), defaults: CallDefaults { freshness, ..self.defaults.clone() } }
    }

    /// The same handle, writing in the name of `service` where an item does not say.
    #[must_use]
    pub fn with_service(&self, service: ServiceTag) -> Self {
        Self { inner: Arc::clone(&self.inner), defaults: CallDefaults { service: Some(service), ..self.defaults.clone() } }
    }

    /// The store's identity.
    pub fn store_id(&self) -> StoreId {
        self.inner.log.descriptor().store
    }

    /// Components of every noun's vector.
    pub fn dimension(&self) -> usize {
        self.inner.engine.space().dimension
    }

    /// How far apart vectors are.
    pub fn metric(&self) -> Metric {
        self.inner.engine.space().metric
    }

    /// What the handle may do.
    pub fn mode(&self) -> Mode {
        self.inner.mode
    }

    /// Where the store is, without credentials.
    pub fn location(&self) -> String {
        self.inner.metered.inner().location()
    }

    /// The position that this handle has applied.
    pub fn position(&self) -> Token {
        self.inner.log.position()
    }

    /// Requests and bytes of this handle since it was opened, the probe's not counted.
    pub fn usage(&self) -> Usage {
        self.inner.metered.snapshot()
    }

    /// Batches, lost races and failures of this handle since it was opened.
    pub fn figures(&self) -> Figures {
        self.inner.log.figures()
    }

    /// The failure that the handle met last in the background, while it followed the log or sent transactions; it goes on trying. None if there was none.
    pub fn last_failure(&self) -> Option<Error> {
        self.inner.log.last_failure().map(Error::from)
    }

    /// How many changed vectors the index has still to take in; they are searched one by one meanwhile.
    pub fn index_pending(&self) -> usize {
        self.inner.engine.index_pending(0)
    }

    /// Applies everything that was acknowledged to anybody before the call. A frozen handle stays where it is.
    ///
    /// # Errors
    /// [`Error::Log`]: the handle stands where it could get to; asking again is safe.
    pub async fn refresh(&self) -> Result<Token, Error> {
        self.freshen(Freshness::Latest).await?;
        Ok(self.position())
    }

    /// The position that is applied and a digest of everything the store holds there, in hexadecimal: equal on every instance at an equal position.
    ///
    /// # Errors
    /// As any read.
    pub async fn digest(&self) -> Result<(Token, String), Error> {
        self.fresh().await?;
        let (token, machine, bookkeeping) = self.in_time(|log| async move { log.digests().await }).await?;
        Ok((token, ContentHash::of_parts(&[&machine.to_bytes(), &bookkeeping.to_bytes()]).to_string()))
    }

    /// Takes no more calls, waits until everything that was taken is decided, at most `deadline`, and stops. Returns the operations that were sent and
    /// are still undecided: [`resolve`](Self::resolve) them on another handle.
    pub async fn close(&self, deadline: Duration) -> Vec<OpId> {
        let undecided = self.inner.log.close(self.deadline_in(deadline)).await;
        self.inner.health.fail("it was closed");
        tracing::info!(store = %self.store_id(), undecided = undecided.len(), "closed");
        undecided
    }

    pub(crate) fn log(&self) -> &ChangeLog<Engine> {
        &self.inner.log
    }

    pub(crate) fn engine(&self) -> &Arc<Engine> {
        &self.inner.engine
    }

    /// # Errors
    /// [`Error::Closed`], [`Error::Log`] where this replica stopped answering.
    pub(crate) fn check(&self) -> Result<(), Error> {
        self.inner.health.check()?;
        Ok(self.inner.log.check()?)
    }

    pub(crate) fn deadline(&self) -> Moment {
        self.deadline_in(self.defaults.deadline)
    }

    fn deadline_in(&self, span: Duration) -> Moment {
        self.inner.log.environment().clock.now().after(span)
    }

    /// Runs what waits for the store on the handle's own runtime. A panic there ends the handle.
    pub(crate) async fn run<T, F>(&self, future: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, Error>> + Send + 'static,
    {
        self.inner.health.check()?;
        self.result_of(self.inner.runtime.spawn(future.in_current_span())).await
    }

    /// As [`Self::run`], and dropped with the caller's future.
    pub(crate) async fn run_while_awaited<T, F>(&self, future: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, Error>> + Send + 'static,
    {
        self.inner.health.check()?;
        let task = self.inner.runtime.spawn(future.in_current_span());
        let _ends_with_us = Aborted(task.abort_handle());
        self.result_of(task).await
    }

    async fn result_of<T>(&self, task: JoinHandle<Result<T, Error>>) -> Result<T, Error> {
        match task.await {
            Ok(result) => result,
            Err(error) if error.is_panic() => {
                let cause = format!("a call panicked: {}", panic_text(&*error.into_panic()));
                self.inner.health.end(&self.inner.log, &cause);
                Err(Error::Closed { cause })
            }
            Err(_) => Err(Error::Closed { cause: "its runtime ended".into() }),
        }
    }

    /// What `looked` finds in the state at rest, which somebody with a longer deadline may hold.
    ///
    /// It runs on the handle's own runtime: whoever waits for the state must be driven when its turn comes, and a caller may stop polling.
    pub(crate) async fn in_time<T, F>(&self, looked: impl FnOnce(ChangeLog<Engine>) -> F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, brainy_coordination::Error>> + Send + 'static,
    {
        let clock = Arc::clone(&self.inner.log.environment().clock);
        let (looked, deadline) = (looked(self.inner.log.clone()), self.deadline());
        let looked = Box::pin(looked);
        self.run(async move {
            let looked = before(&*clock, deadline, looked).await;
            Ok(looked.unwrap_or(Err(brainy_coordination::Error::Deadline { doing: "waiting for the state to rest" }))?)
        })
        .await
    }

    /// A state that is as fresh as this handle's reads are.
    pub(crate) async fn fresh(&self) -> Result<Reader, Error> {
        self.freshen(self.defaults.freshness).await?;
        Ok(self.inner.engine.reader())
    }

    async fn freshen(&self, freshness: Freshness) -> Result<(), Error> {
        self.check()?;
        let log = &self.inner.log;
        match freshness {
            Freshness::Local => return Ok(()),
            Freshness::Bounded(age) if self.inner.mode == Mode::Frozen || log.is_younger(age)? => return Ok(()),
            Freshness::Latest if self.inner.mode == Mode::Frozen => return Ok(()),
            Freshness::AtLeast(token) if self.inner.mode == Mode::Frozen => {
                let position = self.position();
                if token.store == position.store && token.seq > position.seq {
                    let reason = format!("a frozen handle stays at slot {}, slot {} was asked for", position.seq, token.seq);
                    return Err(Error::invalid("freshness", reason));
                }
            }
            Freshness::Bounded(_) | Freshness::Latest | Freshness::AtLeast(_) => {}
        }
        let span = tracing::debug_span!("brainy.refresh", freshness = freshness.name(), slot = tracing::field::Empty);
        let (log, deadline) = (log.clone(), self.deadline());
        let refreshed = self.run(async move {
            Ok(match freshness {
                Freshness::AtLeast(token) => log.reach(token, deadline).await?,
                Freshness::Bounded(age) => log.refresh_older_than(age, deadline).await?,
                Freshness::Latest | Freshness::Local => log.refresh(deadline).await?,
            })
        });
        let token = refreshed.instrument(span.clone()).await?;
        span.record("slot", token.seq);
        Ok(())
    }
}
