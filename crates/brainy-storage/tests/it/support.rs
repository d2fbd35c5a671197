//! What several tests need.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use async_trait::async_trait;
use brainy_core::clock::Sleep;
use brainy_core::{Clock, Moment, Nonce, OsEntropy};
use brainy_storage::{Capabilities, Get, GetOptions, InMemoryStore, Key, Outcome, Page, Precondition, Prefix, Store, StoreResult};
use bytes::Bytes;

pub(crate) fn key(text: impl AsRef<str>) -> Key {
    Key::new(text).expect("tests use allowed names")
}

/// A directory that is gone at the end.
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub(crate) fn new() -> Self {
        let path = std::env::temp_dir().join(format!("brainy-storage-{}", Nonce::random(&OsEntropy)));
        std::fs::create_dir(&path).expect("the directory for temporary files can be written");
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

/// A clock on which time passes only by sleeping, and sleeping takes no time. Each sleep lets other tasks run once.
#[derive(Debug, Default)]
pub(crate) struct LeapClock(Arc<Mutex<Duration>>);

impl Clock for LeapClock {
    fn now(&self) -> Moment {
        Moment::after_origin(*self.0.lock().expect("no test panics with it"))
    }

    fn wall_ms(&self) -> u64 {
        1_700_000_000_000 + self.now().since_origin().as_millis() as u64
    }

    fn sleep_until(&self, moment: Moment) -> Sleep {
        let now = Arc::clone(&self.0);
        let mut slept = false;
        Box::pin(std::future::poll_fn(move |context| {
            if slept {
                return Poll::Ready(());
            }
            slept = true;
            let mut now = now.lock().expect("no test panics with it");
            *now = (*now).max(moment.since_origin());
            context.waker().wake_by_ref();
            Poll::Pending
        })) as Pin<Box<_>>
    }
}

/// Memory that remembers every write that ever took effect.
#[derive(Debug, Default)]
pub(crate) struct Recorder {
    pub(crate) store: InMemoryStore,
    written: Mutex<Vec<(Key, Bytes)>>,
}

impl Recorder {
    pub(crate) fn wrote(&self, key: &Key, body: &[u8]) -> bool {
        self.written.lock().expect("no test panics with it").iter().any(|(written, bytes)| written == key && bytes == body)
    }

    pub(crate) fn writes(&self) -> usize {
        self.written.lock().expect("no test panics with it").len()
    }
}

#[async_trait]
impl Store for Recorder {
    async fn get(&self, key: &Key, options: GetOptions) -> StoreResult<Get> {
        self.store.get(key, options).await
    }

    async fn put(&self, key: &Key, body: Bytes, precondition: Precondition) -> StoreResult<Outcome> {
        let answer = self.store.put(key, body.clone(), precondition).await?;
        if matches!(answer.value, Outcome::Committed(_)) {
            self.written.lock().expect("no test panics with it").push((key.clone(), body));
        }
        Ok(answer)
    }

    async fn list(&self, prefix: &Prefix, after: Option<&Key>, limit: NonZeroUsize) -> StoreResult<Page> {
        self.store.list(prefix, after, limit).await
    }

    async fn delete(&self, key: &Key) -> StoreResult<()> {
        self.store.delete(key).await
    }

    fn location(&self) -> String {
        self.store.location()
    }

    fn capabilities(&self) -> Capabilities {
        self.store.capabilities()
    }
}

/// A number that is raised by compare-and-swap, and the marks of its last states, newest first.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Counter {
    pub(crate) total: u64,
    pub(crate) marks: Vec<String>,
}

impl Counter {
    pub(crate) fn raised(&self, mark: &str) -> Self {
        let marks = std::iter::once(mark.to_owned()).chain(self.marks.iter().take(8).cloned()).collect();
        Self { total: self.total + 1, marks }
    }

    pub(crate) fn encode(&self) -> Bytes {
        format!("{} {}", self.total, self.marks.join(" ")).into()
    }

    pub(crate) fn decode(bytes: &[u8]) -> Self {
        let text = std::str::from_utf8(bytes).expect("counters are text");
        let mut words = text.split_whitespace();
        let total = words.next().and_then(|word| word.parse().ok()).expect("a counter begins with its number");
        Self { total, marks: words.map(str::to_owned).collect() }
    }

    pub(crate) fn standing(bytes: &[u8], mark: &str) -> brainy_storage::Standing {
        match Self::decode(bytes).marks.iter().position(|other| other == mark) {
            Some(0) => brainy_storage::Standing::Ours,
            Some(_) => brainy_storage::Standing::Superseded,
            None => brainy_storage::Standing::Foreign,
        }
    }
}
