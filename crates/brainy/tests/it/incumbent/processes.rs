//! Real processes: this test binary, started again in a role, and killed when the test says so.

use std::io::{BufRead as _, BufReader, Write as _, stderr, stdin};
use std::num::NonZeroUsize;
use std::path::Path;
use std::process::{Child, ChildStderr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use brainy::storage::{
    Capabilities, Get, GetOptions, Key, LocalOptions, LocalStore, Outcome, Page, Precondition, Prefix, Store, StoreResult,
};
use brainy::{Brainy, Mode};
use bytes::Bytes;
use futures_executor::block_on;

use super::service;
use crate::members::start_in_role;
use crate::support::{edge, thing};

/// The variable that gives a process its role.
const ROLE: &str = "BRAINY_TEST_ROLE";
/// The test that such a process runs.
const HERE: &str = "incumbent::processes::a_process_of_these_tests_lives_here";

/// In a process without a role, it has nothing to do.
#[test]
fn a_process_of_these_tests_lives_here() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let words: Vec<&str> = role.splitn(5, ' ').collect();
    match words.as_slice() {
        ["adds", name, count, of, url] => adds(name, count.parse().unwrap(), of, url),
        ["stops", when, puts, path] => stops(*when == "after", puts.parse().unwrap(), Path::new(path)),
        _ => panic!("the role is {role:?}"),
    }
    // Its parent decides when a life is over.
    drop(stdin().lock().lines().next());
}

/// Adds one noun after the other once it is told to, and says so after each acknowledgement.
fn adds(name: &str, count: usize, of: &str, url: &str) {
    let db = block_on(Brainy::builder(url).mode(Mode::WriteOnly).probe(false).service(service(of)).open()).unwrap();
    say("ready");
    assert!(stdin().lock().lines().next().unwrap().is_ok());
    for n in 0..count {
        block_on(db.put(thing(&format!("{name}-{n}")))).unwrap();
        say(&format!("added {n}"));
    }
}

/// Writes a noun, another and a verb between them in one transaction over 64 KiB, and stands still at its `puts`-th request to write.
fn stops(after: bool, puts: usize, path: &Path) {
    let store = Stopping { inner: LocalStore::open(path, LocalOptions::default()).unwrap(), left: AtomicUsize::new(usize::MAX), after };
    let store = Arc::new(store);
    let shared: Arc<dyn Store> = Arc::<Stopping>::clone(&store);
    let db = block_on(Brainy::builder("memory://").store(shared).mode(Mode::WriteOnly).probe(false).service(service("s")).open()).unwrap();
    store.left.store(puts, Ordering::SeqCst);
    let text = "x".repeat(100_000);
    let metadata = brainy::Metadata::new(&serde_json::json!({ "text": text })).unwrap();
    let whole = db.transaction().put(thing("one").with_metadata(metadata)).put(thing("two")).relate(edge("one", "two"));
    match block_on(whole.commit()) {
        Ok(_) => say("acknowledged"),
        Err(error) => say(&error.to_string()),
    }
}

/// A directory whose user stops, as if its processor did, before or after its n-th write.
#[derive(Debug)]
struct Stopping {
    inner: LocalStore,
    left: AtomicUsize,
    after: bool,
}

#[async_trait]
impl Store for Stopping {
    async fn get(&self, key: &Key, options: GetOptions) -> StoreResult<Get> {
        self.inner.get(key, options).await
    }

    async fn put(&self, key: &Key, body: Bytes, precondition: Precondition) -> StoreResult<Outcome> {
        let stops = self.left.fetch_sub(1, Ordering::SeqCst) == 1;
        if stops && self.after {
            drop(self.inner.put(key, body, precondition).await);
        } else if !stops {
            return self.inner.put(key, body, precondition).await;
        }
        let folder = key.as_str().split('/').next().unwrap_or_default();
        say(&format!("stopped {folder}"));
        std::future::pending().await
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

fn say(what: &str) {
    // In one piece, and not through the harness, which writes to standard output only.
    stderr().lock().write_all(format!("@ {what}\n").as_bytes()).unwrap();
}

/// A process in a role, killed when it is dropped.
pub(crate) struct Process {
    child: Child,
    lines: BufReader<ChildStderr>,
}

impl Process {
    pub(crate) fn start(role: &str) -> Self {
        let (child, lines) = start_in_role(HERE, (ROLE, role));
        Self { child, lines }
    }

    /// The next thing it says; none: it is gone.
    pub(crate) fn says(&mut self) -> Option<String> {
        let mut line = String::new();
        while self.lines.read_line(&mut line).unwrap() > 0 {
            if let Some(said) = line.trim_end().strip_prefix("@ ") {
                return Some(said.to_owned());
            }
            print!("{line}");
            line.clear();
        }
        None
    }

    pub(crate) fn go(&mut self) {
        self.child.stdin.as_mut().unwrap().write_all(b"go\n").unwrap();
    }

    /// SIGKILL, and what it had said before that was not read yet.
    pub(crate) fn kill(mut self) -> Vec<String> {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        std::iter::from_fn(|| self.says()).collect()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may be gone already, which is as good.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
