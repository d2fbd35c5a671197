//! From a builder's choices to an open handle.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use brainy_coordination::{
    ChangeLog, Constants, Descriptor, Environment, InProcessWake, LogOptions, NewStore, Space, WakeSource, compare_store, create_store,
    read_descriptor,
};
use brainy_core::clock::before;
use brainy_core::{Metric, Moment, StoreId};
use brainy_engine::{Engine, EngineOptions};
use brainy_storage::{Metered, Store, probe};
use tracing::{Instrument, Span, field};

use crate::background::{self, Health, IndexThread, OwnRuntime, panic_text};
use crate::error::Error;
use crate::handle::{Brainy, Inner};
use crate::lock::Locks;
use crate::options::{CallDefaults, Mode};

/// Everything an opened handle is made from.
pub(crate) struct Parts {
    pub(crate) environment: Environment,
    pub(crate) metered: Arc<Metered>,
    pub(crate) mode: Mode,
    pub(crate) defaults: CallDefaults,
    pub(crate) load_deadline: Duration,
    pub(crate) follow: bool,
    /// The directory whose events wake the follower.
    pub(crate) watched: Option<PathBuf>,
    pub(crate) probe: bool,
    pub(crate) log: LogOptions,
    pub(crate) engine: EngineOptions,
    pub(crate) wanted: Wanted,
    pub(crate) locks: Locks,
}

/// Whether a store is made, opened, or either.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Intent {
    Create,
    Open,
    OpenOrCreate,
}

/// What was asked of the store itself: what a new one gets, and what one that is there must have.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Wanted {
    pub(crate) dimension: Option<usize>,
    pub(crate) metric: Option<Metric>,
    pub(crate) verb_dimension: Option<usize>,
    pub(crate) constants: Option<Constants>,
}

impl Wanted {
    pub(crate) fn new_store(&self) -> Result<NewStore, Error> {
        let size = |field: &'static str, dimension: usize| {
            u32::try_from(dimension).map_err(|_| Error::invalid(field, format!("{dimension} components are too many")))
        };
        let metric = self.metric.unwrap_or_default();
        let dimension = self.dimension.ok_or_else(|| Error::invalid("dimension", "a new store needs one"))?;
        let mut spaces = vec![Space::nouns(size("dimension", dimension)?, metric)];
        if let Some(dimension) = self.verb_dimension {
            spaces.push(Space::verbs(size("verb_dimension", dimension)?, metric));
        }
        let new = NewStore::new(spaces);
        Ok(match self.constants {
            Some(constants) => new.with_constants(constants),
            None => new,
        })
    }

    /// Whether `found` is as asked; what was not asked for may be anything.
    fn compare(&self, found: &Descriptor, location: &str) -> Result<(), Error> {
        let text = |dimension: Option<usize>| dimension.map_or_else(|| "none".into(), |dimension| dimension.to_string());
        let differs = |field, found: String, wanted: String| {
            Err(brainy_coordination::Error::Different { location: location.to_owned(), field, found, wanted }.into())
        };
        let nouns = found.nouns();
        let (dimension, verb_dimension) =
            (nouns.map(|space| space.dimension as usize), found.verbs().map(|space| space.dimension as usize));
        if self.dimension.is_some() && self.dimension != dimension {
            return differs("dimension", text(dimension), text(self.dimension));
        }
        let metric = nouns.map(|space| space.metric);
        if let (Some(wanted), Some(metric)) = (self.metric, metric)
            && wanted != metric
        {
            return differs("metric", metric.to_string(), wanted.to_string());
        }
        if self.verb_dimension.is_some() && self.verb_dimension != verb_dimension {
            return differs("verb_dimension", text(verb_dimension), text(self.verb_dimension));
        }
        match self.constants {
            Some(constants) => Ok(compare_store(found, &NewStore::new(found.spaces.clone()).with_constants(constants), location)?),
            None => Ok(()),
        }
    }
}

impl Brainy {
    pub(crate) async fn start(parts: Parts, intent: Intent) -> Result<Self, Error> {
        let (location, mode) = (parts.metered.inner().location(), parts.mode);
        let span = tracing::info_span!("brainy.open", location, ?mode, ?intent, store = field::Empty, slot = field::Empty);
        let started = start(parts, intent, &span).instrument(span.clone()).await;
        let _in_span = span.enter();
        match &started {
            Ok(handle) => {
                span.record("store", field::display(handle.store_id()));
                span.record("slot", handle.position().seq);
                tracing::info!("opened");
            }
            Err(error) => tracing::warn!(%error, "not opened"),
        }
        started
    }
}

async fn start(parts: Parts, intent: Intent, span: &Span) -> Result<Brainy, Error> {
    let Parts { environment, metered, mode, defaults, load_deadline, follow, watched, probe, log, engine, wanted, locks } = parts;
    let runtime = OwnRuntime::start()?;
    let probed = probe.then(|| Arc::clone(metered.inner()));
    let deadline = environment.clock.now().after(defaults.deadline);
    let opened = runtime.spawn(
        async move {
            let descriptor = make_or_read(&environment, &wanted, intent, probed.as_deref(), deadline).await?;
            let nouns = descriptor.nouns().ok_or_else(|| Error::invalid("store", "it has no vector space of nouns"))?;
            let verbs = descriptor.verbs().map(|space| space.dimension as usize);
            let space = brainy_engine::Space::new(nouns.dimension as usize, nouns.metric).with_verb_dimension(verbs);
            let engine = Arc::new(Engine::new(space, engine)?);
            // By now the store is there and answers; what its log holds takes the time it takes.
            let log = log.with_wake_source(wake_source(descriptor.store, watched.as_deref()));
            let loaded = environment.clock.now().after(load_deadline);
            let log = ChangeLog::open(environment, Arc::clone(&engine), log, loaded).await?;
            Ok::<_, Error>((log, engine))
        }
        .instrument(span.clone()),
    );
    let (log, engine) = opened.await.map_err(|error| {
        let cause = if error.is_panic() { panic_text(&*error.into_panic()) } else { "its runtime ended".into() };
        Error::Closed { cause: format!("opening it failed inside: {cause}") }
    })??;
    log.check()?;
    let health = Health::default();
    if mode.writes() {
        background::start_committer(&runtime, &log, &health);
    }
    if follow {
        background::start_follower(&runtime, &log, &health);
    }
    let index = match mode {
        Mode::WriteOnly => None,
        Mode::ReadWrite | Mode::ReadOnly | Mode::Frozen => Some(IndexThread::start(Arc::clone(&engine), log.clone(), health.clone())?),
    };
    Ok(Brainy::new(Inner { log, engine, metered, mode, health, locks, _index: index, runtime }, defaults))
}

/// What wakes a follower: the other handles of this process, and the file system.
fn wake_source(store: StoreId, watched: Option<&Path>) -> Arc<dyn WakeSource> {
    let siblings: Arc<dyn WakeSource> = Arc::new(InProcessWake::of(store));
    #[cfg(feature = "file-events")]
    if let Some(directory) = watched {
        match brainy_coordination::FileWake::watch(directory) {
            Ok(events) => return Arc::new(brainy_coordination::AnyWake::new(vec![siblings, Arc::new(events)])),
            // INV-31: changes are seen all the same, later.
            Err(error) => tracing::warn!(%error, "following by polling alone"),
        }
    }
    #[cfg(not(feature = "file-events"))]
    let _ = watched;
    siblings
}

/// The store, made where it is to be made.
async fn make_or_read(
    environment: &Environment,
    wanted: &Wanted,
    intent: Intent,
    probed: Option<&dyn Store>,
    deadline: Moment,
) -> Result<Descriptor, Error> {
    let location = environment.store.location();
    let found = match (read_descriptor(environment, deadline).await, intent) {
        (Ok(_), Intent::Create) => return Err(brainy_coordination::Error::Exists { location }.into()),
        (Ok(found), Intent::Open | Intent::OpenOrCreate) => Some(found),
        (Err(brainy_coordination::Error::NoStore { .. }), Intent::Create | Intent::OpenOrCreate) => None,
        (Err(error), _) => return Err(error.into()),
    };
    if let Some(found) = &found {
        wanted.compare(found, &location)?;
    }
    let new = if found.is_none() { Some(wanted.new_store()?) } else { None };
    if let Some(store) = probed {
        let trial = probe_once(store, environment);
        let tried = before(&*environment.clock, deadline, trial).await;
        tried.unwrap_or_else(|| Err(brainy_coordination::Error::Deadline { doing: "trying out the store" }.into()))?;
    }
    match (found, new) {
        (Some(found), _) => Ok(found),
        (None, Some(new)) => match create_store(environment, &new, deadline).await {
            // Somebody made it between our look and our try.
            Err(brainy_coordination::Error::Exists { .. }) if intent == Intent::OpenOrCreate => {
                let found = read_descriptor(environment, deadline).await?;
                wanted.compare(&found, &location)?;
                Ok(found)
            }
            made => Ok(made?),
        },
        (None, None) => Err(brainy_coordination::Error::NoStore { location }.into()),
    }
}

/// Asks the store once per process and place for its promises.
async fn probe_once(store: &dyn Store, environment: &Environment) -> Result<(), Error> {
    static PROBED: OnceLock<Mutex<HashSet<String>>> = OnceLock::new();
    let probed = PROBED.get_or_init(Mutex::default);
    let location = store.location();
    let shared = store.capabilities().shared;
    if shared && probed.lock().unwrap_or_else(PoisonError::into_inner).contains(&location) {
        return Ok(());
    }
    let report = probe(store, &*environment.clock, &*environment.entropy).await?;
    tracing::debug!(?report, "the store honours preconditions");
    if shared {
        probed.lock().unwrap_or_else(PoisonError::into_inner).insert(location);
    }
    Ok(())
}
