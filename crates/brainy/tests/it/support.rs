//! What the tests share: short names for items, directories of their own, and a store whose requests a test stops, breaks or loses.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};
use std::time::Duration;

use async_trait::async_trait;
use brainy::storage::{
    Capabilities, Get, GetOptions, InMemoryStore, Key, Operation, Outcome, Page, Precondition, Prefix, Store, StoreError, StoreResult,
};
use brainy::{Brainy, Builder, Clock, ErrorKind, Metric, NounDraft, NounId, TypeName, Vector, VerbDraft};
use brainy_core::SystemClock;
use brainy_testkit::ManualClock;
use bytes::Bytes;
use futures_executor::block_on;
use futures_util::FutureExt;

/// How long a call may take here that must come back: more than a busy machine needs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// A deadline that virtual time does not reach.
pub(crate) const NEVER: Duration = Duration::from_secs(1 << 32);

pub(crate) fn id(text: &str) -> NounId {
    NounId::new(text).unwrap()
}

pub(crate) fn kind(text: &str) -> TypeName {
    TypeName::new(text).unwrap()
}

pub(crate) fn thing(text: &str) -> NounDraft {
    NounDraft::new(id(text), kind("thing"))
}

pub(crate) fn at(text: &str, vector: [f32; 2]) -> NounDraft {
    thing(text).with_vector(Vector::new(vector).unwrap())
}

pub(crate) fn edge(source: &str, target: &str) -> VerbDraft {
    VerbDraft::new(id(source), kind("to"), id(target))
}

/// A handle that asks nothing of the store unless it is called.
pub(crate) fn quiet(store: &Arc<dyn Store>) -> Builder {
    Brainy::builder("memory://").store(Arc::clone(store)).dimension(2).metric(Metric::L2).follow(false)
}

/// A new store in memory and a handle on it.
pub(crate) fn memory() -> (Arc<dyn Store>, Brainy) {
    let store: Arc<dyn Store> = Arc::new(InMemoryStore::new());
    let db = block_on(quiet(&store).create()).unwrap();
    (store, db)
}

/// A directory of a test's own, gone with it.
pub(crate) struct Directory(PathBuf);

impl Directory {
    pub(crate) fn new() -> Self {
        let path = std::env::temp_dir().join(format!("brainy-facade-{}", brainy_core::Nonce::random(&brainy_core::OsEntropy)));
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn url(&self) -> String {
        format!("file://{}", self.0.display())
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

/// Every file below `path`, with its bytes and the time of its last change; folders too.
pub(crate) fn tree(path: &Path) -> BTreeMap<PathBuf, (Option<Vec<u8>>, std::time::SystemTime)> {
    let mut found = BTreeMap::new();
    let mut folders = vec![path.to_owned()];
    while let Some(folder) = folders.pop() {
        found.insert(folder.clone(), (None, folder.metadata().unwrap().modified().unwrap()));
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let modified = path.metadata().unwrap().modified().unwrap();
                found.insert(path.clone(), (Some(std::fs::read(&path).unwrap()), modified));
            }
        }
    }
    found
}

/// What a store in memory answers: at once, so that a test may ask it anywhere.
fn at_once<T>(answer: impl Future<Output = T>) -> T {
    answer.now_or_never().expect("memory answers at once")
}

/// Every object of a store in memory.
pub(crate) fn objects(store: &dyn Store) -> BTreeMap<String, Bytes> {
    let page = at_once(store.list(&Prefix::root(), None, NonZeroUsize::new(100_000).unwrap())).unwrap().value;
    assert!(!page.more);
    let mut found = BTreeMap::new();
    for entry in page.entries {
        let Get::Found(object) = at_once(store.get(&entry.key, GetOptions::whole())).unwrap().value else { panic!("{entry:?}") };
        found.insert(entry.key.as_str().to_owned(), object.bytes);
    }
    found
}

/// Overwrites an object in memory behind everybody's back.
pub(crate) fn overwrite(store: &dyn Store, key: &str, bytes: impl Into<Bytes>) {
    let written = at_once(store.put(&Key::new(key).unwrap(), bytes.into(), Precondition::None)).unwrap();
    assert!(matches!(written.value, Outcome::Committed(_)), "{written:?}");
}

/// Runs `future` while time passes, for other threads too: what takes real work must have a deadline far away.
pub(crate) fn elapse<F: Future>(clock: &ManualClock, future: F) -> F::Output {
    let mut future = std::pin::pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut std::task::Context::from_waker(Waker::noop())) {
            return output;
        }
        clock.advance(Duration::from_millis(10));
        std::thread::yield_now();
    }
}

pub(crate) fn slot_key(seq: u64) -> String {
    format!("log/{seq:020}")
}

/// What a [`Rig`] does with requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    Pass,
    /// No reply until another act is set; only then the request is carried out.
    Hang,
    /// Carried out; no reply until another act is set.
    HangAfter,
    /// Neither carried out nor answered, whatever comes.
    Never,
    Panic,
    /// Refused without effect.
    NoSpace,
}

/// A store that a test breaks and mends.
pub(crate) struct Rig {
    pub(crate) inner: Arc<dyn Store>,
    acts: Mutex<Acts>,
    /// Requests that met another act than to pass.
    stopped: AtomicUsize,
}

struct Acts {
    put: Act,
    get: Act,
    parked: Vec<Waker>,
}

impl Rig {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            inner: Arc::new(InMemoryStore::new()),
            acts: Mutex::new(Acts { put: Act::Pass, get: Act::Pass, parked: Vec::new() }),
            stopped: AtomicUsize::new(0),
        })
    }

    /// A new store on it, with its own time.
    pub(crate) fn create(self: &Arc<Self>) -> (ManualClock, Brainy) {
        let clock = ManualClock::new();
        let db = block_on(self.builder().clock(Arc::new(clock.clone())).create()).unwrap();
        (clock, db)
    }

    pub(crate) fn builder(self: &Arc<Self>) -> Builder {
        let store: Arc<dyn Store> = Arc::<Self>::clone(self);
        quiet(&store)
    }

    /// Waits until a request met what was set: a name is told before its request is made.
    pub(crate) fn until_stopped(&self) {
        let started = SystemClock.now();
        while self.stopped.load(Ordering::Relaxed) == 0 {
            assert!(SystemClock.now().since(started) < PATIENCE, "no request comes");
            std::thread::yield_now();
        }
    }

    pub(crate) fn puts(&self, act: Act) {
        self.set(|acts| acts.put = act);
    }

    pub(crate) fn gets(&self, act: Act) {
        self.set(|acts| acts.get = act);
    }

    fn lock(&self) -> MutexGuard<'_, Acts> {
        self.acts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, change: impl FnOnce(&mut Acts)) {
        let parked = {
            let mut acts = self.lock();
            change(&mut acts);
            std::mem::take(&mut acts.parked)
        };
        parked.into_iter().for_each(Waker::wake);
    }

    async fn while_hanging(&self, act: impl Fn(&Acts) -> Act) {
        poll_fn(|context| {
            let mut acts = self.lock();
            if matches!(act(&acts), Act::Hang | Act::HangAfter) {
                acts.parked.push(context.waker().clone());
                return Poll::Pending;
            }
            Poll::Ready(())
        })
        .await;
    }

    async fn through<T>(
        &self,
        act: fn(&Acts) -> Act,
        operation: Operation,
        subject: &str,
        request: impl Future<Output = StoreResult<T>>,
    ) -> StoreResult<T> {
        let first = act(&self.lock());
        if first != Act::Pass {
            self.stopped.fetch_add(1, Ordering::Relaxed);
        }
        match first {
            Act::Pass => request.await,
            Act::Hang => {
                self.while_hanging(act).await;
                request.await
            }
            Act::HangAfter => {
                let done = request.await;
                self.while_hanging(act).await;
                done
            }
            Act::Never => std::future::pending().await,
            Act::Panic => panic!("the store panics, on purpose"),
            Act::NoSpace => Err(StoreError::new(ErrorKind::Unavailable, operation, subject, "no space left on device")),
        }
    }
}

impl std::fmt::Debug for Rig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Rig")
    }
}

#[async_trait]
impl Store for Rig {
    async fn get(&self, key: &Key, options: GetOptions) -> StoreResult<Get> {
        self.through(|acts| acts.get, Operation::Get, key.as_str(), self.inner.get(key, options)).await
    }

    async fn put(&self, key: &Key, body: Bytes, precondition: Precondition) -> StoreResult<Outcome> {
        self.through(|acts| acts.put, Operation::Put, key.as_str(), self.inner.put(key, body, precondition)).await
    }

    async fn list(&self, prefix: &Prefix, after: Option<&Key>, limit: NonZeroUsize) -> StoreResult<Page> {
        self.inner.list(prefix, after, limit).await
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
