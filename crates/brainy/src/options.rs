//! How a handle is opened.

use std::sync::Arc;
use std::time::Duration;

use brainy_coordination::{Constants, Environment, LogOptions};
use brainy_core::{Clock, Entropy, Metric, Moment, OsEntropy, ServiceTag, SystemClock};
use brainy_engine::{Engine, EngineOptions, Space};
use brainy_storage::{Metered, Store};

use crate::decode::DecodeThreads;
use crate::error::Error;
use crate::freshness::Freshness;
use crate::handle::Brainy;
use crate::location::{Location, shown};
use crate::lock::Locks;
use crate::opening::{Intent, Parts, Wanted};

/// What a handle may do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Mode {
    /// Reads, searches and writes.
    #[default]
    ReadWrite,
    /// Reads and searches, and follows what others write.
    ReadOnly,
    /// Reads and searches the state at which it was opened, for ever.
    Frozen,
    /// Reads by id and graph, and writes; keeps no vector index, so it cannot search and needs less memory and time.
    WriteOnly,
}

impl Mode {
    pub(crate) const fn writes(self) -> bool {
        matches!(self, Self::ReadWrite | Self::WriteOnly)
    }
}

/// What a handle's calls do unless they are told otherwise.
#[derive(Clone, Debug)]
pub(crate) struct CallDefaults {
    pub(crate) deadline: Duration,
    pub(crate) freshness: Freshness,
    pub(crate) service: Option<ServiceTag>,
}

/// Opens or makes a store, with everything that can be chosen about the handle.
#[derive(Clone)]
pub struct Builder {
    url: String,
    store: Option<Arc<dyn Store>>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    wanted: Wanted,
    mode: Mode,
    defaults: CallDefaults,
    load_deadline: Duration,
    follow: bool,
    file_events: bool,
    probe: bool,
    allow_network: bool,
    log: LogOptions,
    engine: EngineOptions,
}

/// Shows where and how, never a URL's secrets.
impl std::fmt::Debug for Builder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Builder")
            .field("url", &shown(&self.url))
            .field("mode", &self.mode)
            .field("wanted", &self.wanted)
            .field("defaults", &self.defaults)
            .finish_non_exhaustive()
    }
}

impl Builder {
    /// Default of [`deadline`](Self::deadline).
    pub const DEADLINE: Duration = Duration::from_secs(30);
    /// Default of [`freshness`](Self::freshness): answers are at most this old.
    pub const FRESHNESS: Duration = Duration::from_secs(1);

    /// Default of [`load_deadline`](Self::load_deadline).
    pub const LOAD_DEADLINE: Duration = Duration::from_secs(600);

    pub(crate) fn new(url: impl Into<String>) -> Self {
        let mut log = LogOptions::default();
        if std::thread::available_parallelism().is_ok_and(|cores| cores.get() > 1) {
            log = log.with_decoder(Arc::new(DecodeThreads));
        }
        Self {
            url: url.into(),
            store: None,
            clock: Arc::new(SystemClock),
            entropy: Arc::new(OsEntropy),
            wanted: Wanted::default(),
            mode: Mode::default(),
            defaults: CallDefaults { deadline: Self::DEADLINE, freshness: Freshness::Bounded(Self::FRESHNESS), service: None },
            load_deadline: Self::LOAD_DEADLINE,
            follow: true,
            file_events: true,
            probe: true,
            allow_network: false,
            log,
            engine: EngineOptions::default(),
        }
    }

    /// On these objects instead of the URL's. The URL stays the handle's name.
    #[must_use]
    pub fn store(mut self, store: Arc<dyn Store>) -> Self {
        self.store = Some(store);
        self
    }

    /// With this time.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// With this chance. Only for tests: two handles with the same chance are a copied machine.
    #[must_use]
    pub fn entropy(mut self, entropy: Arc<dyn Entropy>) -> Self {
        self.entropy = entropy;
        self
    }

    /// Components of every noun's vector; needed to make a store, checked when one is opened.
    #[must_use]
    pub fn dimension(mut self, dimension: usize) -> Self {
        self.wanted.dimension = Some(dimension);
        self
    }

    /// How far apart vectors are; cosine if a store is made without saying, checked when one is opened.
    #[must_use]
    pub fn metric(mut self, metric: Metric) -> Self {
        self.wanted.metric = Some(metric);
        self
    }

    /// Components of every verb's vector; without it verbs have none.
    #[must_use]
    pub fn verb_dimension(mut self, dimension: usize) -> Self {
        self.wanted.verb_dimension = Some(dimension);
        self
    }

    /// The protocol's constants of a new store, instead of those that fit its storage.
    #[must_use]
    pub fn constants(mut self, constants: Constants) -> Self {
        self.wanted.constants = Some(constants);
        self
    }

    /// What the handle may do. Default: everything.
    #[must_use]
    pub fn mode(mut self, mode: Mode) -> Self {
        self.mode = mode;
        self
    }

    /// The service that items are written by, where they do not say.
    #[must_use]
    pub fn service(mut self, service: ServiceTag) -> Self {
        self.defaults.service = Some(service);
        self
    }

    /// How long a call may take, and the steps of opening before the log is read. Default: [`Self::DEADLINE`].
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.defaults.deadline = deadline;
        self
    }

    /// How long reading the log may take when the handle is opened: a store that is alive is not given up because its log is long. Default:
    /// [`Self::LOAD_DEADLINE`].
    #[must_use]
    pub fn load_deadline(mut self, load_deadline: Duration) -> Self {
        self.load_deadline = load_deadline;
        self
    }

    /// How old an answer may be. Default: [`Self::FRESHNESS`]: at most one request a second for any number of reads.
    #[must_use]
    pub fn freshness(mut self, freshness: Freshness) -> Self {
        self.defaults.freshness = freshness;
        self
    }

    /// Whether the handle follows the log in the background. Without it nothing is asked of an idle store, and a read after a long time has more to catch
    /// up with. Default: true.
    #[must_use]
    pub fn follow(mut self, follow: bool) -> Self {
        self.follow = follow;
        self
    }

    /// Whether a handle that follows a directory is woken by file-system events, so that it sees what another process commits at once instead of at its next look.
    /// They cost a watch of the operating system and a thread a directory and process, and a look for each commit. Where the system gives none, the log is
    /// followed by polling, and the log of this library says so. Without the feature `file-events`, and for any store but a directory's, it does nothing. Default: true.
    #[must_use]
    pub fn file_events(mut self, file_events: bool) -> Self {
        self.file_events = file_events;
        self
    }

    /// Shortest and longest pause between two looks at the tail while following. Defaults: [`LogOptions::POLL_SHORTEST`], [`LogOptions::POLL_LONGEST`].
    #[must_use]
    pub fn poll(mut self, shortest: Duration, longest: Duration) -> Self {
        self.log = self.log.with_poll(shortest, longest);
        self
    }

    /// Most transactions, and most bytes of them, that wait to be sent; more are `Overloaded`. Defaults: [`LogOptions::QUEUE_TRANSACTIONS`], [`LogOptions::QUEUE_BYTES`].
    #[must_use]
    pub fn queue(mut self, transactions: usize, bytes: usize) -> Self {
        self.log = self.log.with_queue(transactions, bytes);
        self
    }

    /// Links of a node of the vector index (`M`): more finds better and costs memory and insertion time.
    #[must_use]
    pub fn m(mut self, m: usize) -> Self {
        self.engine = self.engine.with_m(m);
        self
    }

    /// Candidates looked at for each insertion: more builds a better index, slower.
    #[must_use]
    pub fn ef_construction(mut self, ef_construction: usize) -> Self {
        self.engine = self.engine.with_ef_construction(ef_construction);
        self
    }

    /// Candidates looked at by each search that does not say: more finds more of the true nearest, slower.
    #[must_use]
    pub fn ef_search(mut self, ef_search: usize) -> Self {
        self.engine = self.engine.with_ef_search(ef_search);
        self
    }

    /// Whether the store is asked to prove, when it is made and at this process's first opening for writing, that it honours preconditions (at most 40 requests).
    /// Default: true; without it a store that does not is found out by losing data.
    #[must_use]
    pub fn probe(mut self, probe: bool) -> Self {
        self.probe = probe;
        self
    }

    /// Whether a directory may lie on a network file system. Default: false, since their locks and links differ.
    #[must_use]
    pub fn allow_network_file_system(mut self, allow: bool) -> Self {
        self.allow_network = allow;
        self
    }

    /// Makes the store and opens it.
    ///
    /// # Errors
    /// Kind `Conflict`: there is one already; `Invalid`: no dimension was given, or options that cannot be; `Unsupported`: the storage does not honour preconditions.
    /// Nothing of a store was made then. Of several that make the same store at the same moment all succeed, on one store.
    pub async fn create(self) -> Result<Brainy, Error> {
        Brainy::start(self.parts(Intent::Create)?, Intent::Create).await
    }

    /// Opens a store that is there.
    ///
    /// # Errors
    /// Kind `NotFound`: there is none (it is never made here); `Conflict`: it has another dimension or metric than was asked for. Nothing was changed.
    pub async fn open(self) -> Result<Brainy, Error> {
        Brainy::start(self.parts(Intent::Open)?, Intent::Open).await
    }

    /// Opens the store, or makes it if there is none. Any number of processes may do so at once.
    ///
    /// # Errors
    /// As [`create`](Self::create) and [`open`](Self::open).
    pub async fn open_or_create(self) -> Result<Brainy, Error> {
        Brainy::start(self.parts(Intent::OpenOrCreate)?, Intent::OpenOrCreate).await
    }

    /// The store, to be read only, and the deadline of one call.
    pub(crate) fn peeking(self) -> Result<(Environment, Moment), Error> {
        let store = match self.store {
            Some(store) => store,
            None => Location::parse(&self.url)?.open(false, true, true)?,
        };
        let deadline = self.clock.now().after(self.defaults.deadline);
        Ok((Environment { store, clock: self.clock, entropy: self.entropy }, deadline))
    }

    /// Options that cannot be are told before anything is made, be it a directory.
    fn check(&self) -> Result<(), Error> {
        if self.log.queue_transactions == 0 {
            return Err(Error::invalid("queue", "it must take at least 1 transaction"));
        }
        if self.log.poll_shortest.is_zero() || self.log.poll_shortest > self.log.poll_longest {
            return Err(Error::invalid("poll", "the shortest pause must be above 0 and at most the longest"));
        }
        let space = Space::new(self.wanted.dimension.unwrap_or(1), Metric::L2).with_verb_dimension(self.wanted.verb_dimension);
        Ok(Engine::new(space, self.engine.clone()).map(drop)?)
    }

    fn parts(self, intent: Intent) -> Result<Parts, Error> {
        let writes = self.mode.writes();
        if intent != Intent::Open {
            if !writes {
                return Err(Error::invalid("mode", "a store is made by a handle that writes"));
            }
            self.wanted.new_store()?;
        }
        self.check()?;
        let follow = self.follow && self.mode != Mode::Frozen;
        let (store, watched, location) = match self.store {
            Some(store) => (store, None, None),
            None => {
                let location = Location::parse(&self.url)?;
                let store = location.open(intent != Intent::Open, !writes, self.allow_network)?;
                let watched = location.directory().filter(|_| follow && self.file_events);
                (store, watched, Some(location))
            }
        };
        let metered = Arc::new(Metered::new(store));
        let counted: Arc<dyn Store> = Arc::<Metered>::clone(&metered);
        Ok(Parts {
            environment: Environment { store: counted, clock: self.clock, entropy: self.entropy },
            metered,
            mode: self.mode,
            defaults: self.defaults,
            load_deadline: self.load_deadline,
            follow,
            watched,
            probe: self.probe && writes,
            log: self.log.with_read_only(!writes),
            engine: self.engine.with_vector_index(self.mode != Mode::WriteOnly),
            wanted: self.wanted,
            locks: Locks::new(location),
        })
    }
}
