//! The handle: opening, call defaults, freshness, closing.

use std::collections::HashSet;
use std::future::Future;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use brainy_coordination::{ChangeLog, Descriptor, Environment, Figures, OpId, Token, compare_store, create_store, read_descriptor};
use brainy_core::{ContentHash, Metric, Moment, ServiceTag, StoreId};
use brainy_engine::{Engine, Reader, Space};
use brainy_storage::{Metered, Usage, probe};
use tokio::runtime::Runtime;

use crate::background::{self, Health, IndexThread};
use crate::error::Error;
use crate::freshness::Freshness;
use crate::options::{Builder, CallDefaults, Intent, Mode, Parts};

/// A handle on a shared store. Cheap to clone; clones, and the variants made by the `with_` functions, are one instance: one writer, one index, one follower.
///
/// Its futures run on any executor: what waits for the store runs on the handle's own runtime. Dropping the last clone stops at once; [`close`](Self::close) drains first.
#[derive(Clone, Debug)]
pub struct Brainy {
    inner: Arc<Inner>,
    pub(crate) defaults: CallDefaults,
}

#[derive(Debug)]
struct Inner {
    log: ChangeLog<Engine>,
    engine: Arc<Engine>,
    metered: Arc<Metered>,
    mode: Mode,
    health: Health,
    _index: Option<IndexThread>,
    runtime: Option<Runtime>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.log.stop("its last handle was dropped");
        if let Some(runtime) = self.runtime.take() {
            // A handle may be dropped inside somebody's runtime, where waiting for another one is not allowed.
            runtime.shutdown_background();
        }
    }
}

/// A runtime that is shut down without waiting, unless it is taken out.
struct Starting(Option<Runtime>);

impl Drop for Starting {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
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

    pub(crate) async fn start(parts: Parts, intent: Intent) -> Result<Self, Error> {
        let mut starting = Starting(Some(background::runtime()?));
        let runtime = starting.0.as_ref().expect("just made");
        let environment = parts.environment.clone();
        let deadline = environment.clock.now().after(parts.defaults.deadline);
        let (engine, log_options, new, probes, mode) =
            (parts.engine.clone(), parts.log.clone(), parts.new.clone(), parts.probe, parts.mode);
        let raw = Arc::clone(parts.metered.inner());
        let opened = runtime.spawn(async move {
            let descriptor = make_or_read(&environment, new, intent, probes.then_some(&*raw), deadline).await?;
            let space = space_of(&descriptor)?;
            let engine = Arc::new(Engine::new(space, engine)?);
            let log = ChangeLog::open(environment, Arc::clone(&engine), log_options, deadline).await?;
            Ok::<_, Error>((log, engine))
        });
        let (log, engine) = opened.await.map_err(|error| Error::Closed { cause: format!("opening it failed: {error}") })??;
        log.check()?;
        let health = Health::default();
        if mode.writes() {
            background::start_committer(runtime, &log, &health);
        }
        if parts.follow {
            background::start_follower(runtime, &log, &health);
        }
        let index = match mode {
            Mode::WriteOnly => None,
            Mode::ReadWrite | Mode::ReadOnly | Mode::Frozen => Some(IndexThread::start(Arc::clone(&engine), log.clone(), health.clone())?),
        };
        tracing::info!(store = %log.descriptor().store, location = parts.metered.inner().location(), position = log.position().seq, ?mode, "opened");
        let inner = Inner { log, engine, metered: parts.metered, mode, health, _index: index, runtime: starting.0.take() };
        Ok(Self { inner: Arc::new(inner), defaults: parts.defaults })
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
        let (token, machine, bookkeeping) = self.inner.log.digests().await?;
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
        let runtime = self.inner.runtime.as_ref().expect("taken out only when dropped");
        match runtime.spawn(future).await {
            Ok(result) => result,
            Err(error) => {
                let cause = format!("a call failed inside: {error}");
                self.inner.health.fail(&*cause);
                self.inner.log.stop(&cause);
                Err(Error::Closed { cause })
            }
        }
    }

    /// A state that is as fresh as this handle's reads are.
    pub(crate) async fn fresh(&self) -> Result<Reader, Error> {
        self.freshen(self.defaults.freshness).await?;
        Ok(self.inner.engine.reader())
    }

    async fn freshen(&self, freshness: Freshness) -> Result<(), Error> {
        self.check()?;
        let (log, deadline) = (self.inner.log.clone(), self.deadline());
        match (self.inner.mode, freshness) {
            (Mode::Frozen, Freshness::AtLeast(token)) => {
                let position = self.position();
                if token.store != position.store || token.seq > position.seq {
                    return Err(Error::invalid(
                        "freshness",
                        format!("a frozen handle stays at slot {}, slot {} was asked for", position.seq, token.seq),
                    ));
                }
                Ok(())
            }
            (Mode::Frozen, _) | (_, Freshness::Local) => Ok(()),
            (_, Freshness::Latest) => self.run(async move { Ok(log.refresh(deadline).await.map(drop)?) }).await,
            (_, Freshness::Bounded(age)) => {
                if log.is_younger(age)? {
                    return Ok(());
                }
                self.run(async move { Ok(log.refresh_older_than(age, deadline).await.map(drop)?) }).await
            }
            (_, Freshness::AtLeast(token)) => self.run(async move { Ok(log.reach(token, deadline).await.map(drop)?) }).await,
        }
    }
}

/// The store, made where it is to be made.
async fn make_or_read(
    environment: &Environment,
    new: Option<brainy_coordination::NewStore>,
    intent: Intent,
    probed: Option<&dyn brainy_storage::Store>,
    deadline: Moment,
) -> Result<Descriptor, Error> {
    let location = environment.store.location();
    let found = match intent {
        Intent::Create => None,
        Intent::Open => Some(read_descriptor(environment, deadline).await?),
        Intent::OpenOrCreate => match read_descriptor(environment, deadline).await {
            Ok(descriptor) => Some(descriptor),
            Err(brainy_coordination::Error::NoStore { .. }) => None,
            Err(error) => return Err(error.into()),
        },
    };
    if let (Some(found), Some(new)) = (&found, &new) {
        compare_store(found, new, &location)?;
    }
    if let Some(store) = probed {
        probe_once(store, environment).await?;
    }
    match (found, new) {
        (Some(found), _) => Ok(found),
        (None, Some(new)) => match create_store(environment, &new, deadline).await {
            // Somebody made it between our look and our try.
            Err(brainy_coordination::Error::Exists { .. }) if intent == Intent::OpenOrCreate => {
                let found = read_descriptor(environment, deadline).await?;
                compare_store(&found, &new, &location)?;
                Ok(found)
            }
            made => Ok(made?),
        },
        (None, None) => Err(Error::invalid("dimension", "a new store needs one")),
    }
}

/// Asks the store once per process and place for its promises.
async fn probe_once(store: &dyn brainy_storage::Store, environment: &Environment) -> Result<(), Error> {
    static PROBED: OnceLock<Mutex<HashSet<String>>> = OnceLock::new();
    let probed = PROBED.get_or_init(Mutex::default);
    let location = store.location();
    let shared = store.capabilities().shared;
    if shared && probed.lock().unwrap_or_else(PoisonError::into_inner).contains(&location) {
        return Ok(());
    }
    let report = probe(store, &*environment.clock, &*environment.entropy).await?;
    tracing::debug!(location, ?report, "the store honours preconditions");
    if shared {
        probed.lock().unwrap_or_else(PoisonError::into_inner).insert(location);
    }
    Ok(())
}

fn space_of(descriptor: &Descriptor) -> Result<Space, Error> {
    let nouns = descriptor.nouns().ok_or_else(|| Error::invalid("store", "it has no vector space of nouns"))?;
    let verbs = descriptor.verbs().map(|space| space.dimension as usize);
    Ok(Space::new(nouns.dimension as usize, nouns.metric).with_verb_dimension(verbs))
}
