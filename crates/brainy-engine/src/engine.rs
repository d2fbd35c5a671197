//! The state machine: what a log drives and what readers ask.

use std::sync::{Arc, Mutex, RwLock};

use async_trait::async_trait;
use brainy_coordination::{Context, MachineError, Retired, StateMachine, Summary, Verdict};
use brainy_core::{MAX_DIMENSION, Noun, NounId, SetHash, Statistics, Verb, VerbId, Version};

use crate::command::Command;
use crate::contents::{Contents, DeadKeys};
use crate::vector_index::VectorIndex;
use crate::{Error, ItemFilter, Reader, SearchQuery, Space, Traversal, TraverseOptions, VerbQuery, View, apply::apply, counters, snapshot};

const LOCK: &str = "no code panics while it holds this lock";

/// How an engine works. Nothing here changes what a transaction does.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct EngineOptions {
    /// Links a vector asks for in the index: more finds more of the true nearest on hard data, costs 8 to 16 bytes each a vector, and slows inserts.
    /// Default: that of [`brainy_hnsw::Options`].
    pub m: usize,
    /// Candidates an insert into the index gathers: more makes a better graph, inserts slower in proportion. Default: that of [`brainy_hnsw::Options`].
    pub ef_construction: usize,
    /// Candidates a search keeps that does not say: more finds more of the true nearest, slower in proportion.
    /// Default: [`brainy_hnsw::DEFAULT_EF_SEARCH`].
    pub ef_search: usize,
    /// Whether vectors are indexed for search; without, an instance that only writes saves the memory of the graph and a second copy of the vectors.
    /// Default: true.
    pub vector_index: bool,
}

impl Default for EngineOptions {
    fn default() -> Self {
        Self {
            m: brainy_hnsw::Options::M,
            ef_construction: brainy_hnsw::Options::EF_CONSTRUCTION,
            ef_search: brainy_hnsw::DEFAULT_EF_SEARCH,
            vector_index: true,
        }
    }
}

impl EngineOptions {
    /// These options with another [`m`](Self::m).
    #[must_use]
    pub fn with_m(mut self, m: usize) -> Self {
        self.m = m;
        self
    }

    /// These options with another [`ef_construction`](Self::ef_construction).
    #[must_use]
    pub fn with_ef_construction(mut self, ef_construction: usize) -> Self {
        self.ef_construction = ef_construction;
        self
    }

    /// These options with another [`ef_search`](Self::ef_search).
    #[must_use]
    pub fn with_ef_search(mut self, ef_search: usize) -> Self {
        self.ef_search = ef_search;
        self
    }

    /// These options with a vector index, or without.
    #[must_use]
    pub fn with_vector_index(mut self, vector_index: bool) -> Self {
        self.vector_index = vector_index;
        self
    }
}

/// The replicated state of one store in memory: a [`StateMachine`] for the log, reads and search for everybody else. A clone is another handle on the
/// same state.
///
/// Each read works on one state, that of the last install before it began; [`reader`](Self::reader) holds on to one for several reads. Reads do not
/// wait for installs or the other way round.
#[derive(Clone)]
pub struct Engine(Arc<Inner>);

struct Inner {
    space: Space,
    options: EngineOptions,
    shared: RwLock<Shared>,
    /// Held while a new state is being made, so that there is one at a time.
    installing: Mutex<()>,
    nouns: Option<VectorIndex>,
    verbs: Option<VectorIndex>,
}

struct Shared {
    /// What is installed.
    contents: Arc<Contents>,
    /// What is confirmed, for everybody who reads.
    confirmed: Arc<Contents>,
    /// Keys that are dead in `confirmed` and may be in an index.
    dead: DeadKeys,
    /// Keys that are dead in `contents` and not in `confirmed`.
    dying: DeadKeys,
}

impl Engine {
    /// An engine without items.
    ///
    /// # Errors
    /// [`Error::Option`]: a dimension or an option outside its range.
    pub fn new(space: Space, options: EngineOptions) -> Result<Self, Error> {
        for (field, dimension) in [("dimension", Some(space.dimension)), ("verb_dimension", space.verb_dimension)] {
            if dimension.is_some_and(|dimension| dimension == 0 || dimension > MAX_DIMENSION) {
                return Err(Error::Option { field, reason: format!("it must lie in 1..={MAX_DIMENSION}") });
            }
        }
        if options.ef_search == 0 {
            return Err(Error::Option { field: "ef_search", reason: "it must be 1 at least".into() });
        }
        let graph = brainy_hnsw::Options::default().with_m(options.m).with_ef_construction(options.ef_construction);
        let index = |dimension: Option<usize>| {
            let dimension = dimension.filter(|_| options.vector_index);
            dimension.map(|dimension| VectorIndex::new(dimension, space.metric, graph.clone())).transpose()
        };
        let (nouns, verbs) = (index(Some(space.dimension))?, index(space.verb_dimension)?);
        let contents = Arc::new(Contents::empty(options.vector_index));
        let confirmed = Arc::clone(&contents);
        let shared = RwLock::new(Shared { contents, confirmed, dead: DeadKeys::default(), dying: DeadKeys::default() });
        Ok(Self(Arc::new(Inner { space, options, shared, installing: Mutex::new(()), nouns, verbs })))
    }

    /// The vectors it keeps.
    pub fn space(&self) -> Space {
        self.0.space
    }

    /// The options it was made with.
    pub fn options(&self) -> &EngineOptions {
        &self.0.options
    }

    /// The present state, to be read from at leisure: everything that was installed before the last [`confirm`](StateMachine::confirm).
    pub fn reader(&self) -> Reader {
        Reader { contents: Arc::clone(&self.0.shared.read().expect(LOCK).confirmed) }
    }

    /// What is installed, confirmed or not.
    fn installed(&self) -> Arc<Contents> {
        Arc::clone(&self.0.shared.read().expect(LOCK).contents)
    }

    /// The exact counts.
    pub fn statistics(&self) -> Statistics {
        self.reader().statistics().clone()
    }

    /// The set hash over every noun and verb.
    pub fn digest(&self) -> SetHash {
        self.reader().digest()
    }

    /// [`Reader::position`] of the present state.
    pub fn position(&self) -> Option<Version> {
        self.reader().position()
    }

    /// [`Reader::noun`] of the present state.
    pub fn noun(&self, id: &NounId) -> Option<Noun> {
        self.reader().noun(id)
    }

    /// [`Reader::nouns`] of the present state.
    pub fn nouns(&self, ids: &[NounId]) -> Vec<Option<Noun>> {
        self.reader().nouns(ids)
    }

    /// [`Reader::scan_nouns`] of the present state.
    pub fn scan_nouns(&self, after: Option<&NounId>, limit: usize, filter: &ItemFilter) -> Vec<Noun> {
        self.reader().scan_nouns(after, limit, filter)
    }

    /// [`Reader::verb`] of the present state.
    pub fn verb(&self, id: &VerbId) -> Option<Verb> {
        self.reader().verb(id)
    }

    /// [`Reader::verbs`] of the present state.
    pub fn verbs(&self, query: &VerbQuery) -> Vec<Verb> {
        self.reader().verbs(query)
    }

    /// [`Reader::traverse`] in the present state.
    pub fn traverse(&self, starts: &[NounId], options: &TraverseOptions) -> Traversal {
        self.reader().traverse(starts, options)
    }

    pub(crate) fn ef_search(&self, query: &SearchQuery) -> usize {
        query.ef_search.unwrap_or(self.0.options.ef_search)
    }

    pub(crate) fn noun_index(&self) -> Result<&VectorIndex, Error> {
        self.0.nouns.as_ref().ok_or(Error::NoVectorIndex)
    }

    pub(crate) fn verb_index(&self) -> Result<&VectorIndex, Error> {
        match (&self.0.verbs, self.0.space.verb_dimension) {
            (Some(index), _) => Ok(index),
            (None, None) => Err(Error::NoVerbVectors),
            (None, Some(_)) => Err(Error::NoVectorIndex),
        }
    }

    /// The present state and the keys that died on the way to it, both of the same moment.
    pub(crate) fn newest_and_dead<R>(&self, take: impl FnOnce(&Contents, &mut DeadKeys) -> R) -> R {
        let shared = &mut *self.0.shared.write().expect(LOCK);
        take(&shared.confirmed, &mut shared.dead)
    }

    /// Makes `contents` what is installed; returns what was. Readers wait for a pointer only: the state is made before, and the old one freed after, the lock is held.
    fn publish(&self, contents: Contents, dead: DeadKeys) -> Arc<Contents> {
        let new = Arc::new(contents);
        let mut shared = self.0.shared.write().expect(LOCK);
        shared.dying.nouns.extend(dead.nouns);
        shared.dying.verbs.extend(dead.verbs);
        std::mem::replace(&mut shared.contents, new)
    }

    /// Shows readers what is installed; returns what they saw before.
    fn show(&self) -> Arc<Contents> {
        let shared = &mut *self.0.shared.write().expect(LOCK);
        // A clear or a restore drops whole indexes, and with them what was queued.
        let floors = |contents: &Contents| (contents.noun_vectors.floor, contents.verb_vectors.floor);
        let (before, after) = (floors(&shared.confirmed), floors(&shared.contents));
        if before.0 < after.0 {
            shared.dead.nouns.clear();
            shared.dying.nouns.retain(|key| *key >= after.0);
        }
        if before.1 < after.1 {
            shared.dead.verbs.clear();
            shared.dying.verbs.retain(|key| *key >= after.1);
        }
        shared.dead.nouns.append(&mut shared.dying.nouns);
        shared.dead.verbs.append(&mut shared.dying.verbs);
        std::mem::replace(&mut shared.confirmed, Arc::clone(&shared.contents))
    }
}

/// Shows how much it holds, not what.
impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("space", &self.0.space).field("options", &self.0.options).field("state", &self.reader()).finish()
    }
}

#[async_trait]
impl StateMachine for Engine {
    type Command = Command;
    type View = View;

    fn decode(payload: &[u8]) -> Command {
        Command::decode(payload)
    }

    async fn fetch(&self, commands: &[&Command]) -> Result<View, MachineError> {
        Ok(View::fetch(self.0.space, &self.installed(), commands))
    }

    fn apply(view: &mut View, context: Context, command: &Command) -> Verdict {
        apply(view, context, command)
    }

    fn summary_of(view: &View) -> Summary {
        Summary { counters: counters::encode_counters(view.statistics()), digest: view.digest() }
    }

    fn install(&self, view: View, position: Version) -> Retired {
        let _one_at_a_time = self.0.installing.lock().expect(LOCK);
        let mut contents = Contents::clone(&self.installed());
        let dead = view.install(&mut contents);
        contents.position = Some(position);
        Retired::new(self.publish(contents, dead))
    }

    fn confirm(&self) -> Retired {
        Retired::new(self.show())
    }

    fn summary(&self) -> Summary {
        let installed = self.installed();
        Summary { counters: counters::encode_counters(&installed.statistics), digest: installed.digest }
    }

    fn snapshot(&self) -> Vec<u8> {
        snapshot::write(self.0.space, &self.installed())
    }

    fn restore(&self, bytes: &[u8]) -> Result<(), MachineError> {
        let _one_at_a_time = self.0.installing.lock().expect(LOCK);
        let before = Contents::clone(&self.installed());
        let contents = snapshot::read(self.0.space, before, bytes).map_err(|error| MachineError { reason: error.to_string() })?;
        // What was published is confirmed.
        drop((self.publish(contents, DeadKeys::default()), self.show()));
        Ok(())
    }
}
