//! Processes on machines of their own, in one thread: each with its clock, its tasks, its client; it may stand still, or its machine.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Context;
use std::time::Duration;

use async_trait::async_trait;
use brainy_coordination::{ChangeLog, Environment, Lock, LockOptions, LogOptions, Spawn, Task};
use brainy_core::clock::Sleep;
use brainy_core::{Clock, ErrorKind, Moment, SeededEntropy};
use brainy_storage::{
    Answer, Capabilities, Get, GetOptions, InMemoryStore, Key, Operation, Outcome, Page, Precondition, Prefix, Revision, Store, StoreError,
    StoreResult,
};
use brainy_testkit::ManualClock;
use bytes::Bytes;

use crate::register::Register;
use crate::stores::{constants, environment, made};

/// A life for leases that are tested.
pub(crate) const TTL: Duration = Duration::from_secs(9);

/// Tasks of one kind of one process.
#[derive(Default)]
pub(crate) struct Tasks {
    tasks: Mutex<Vec<Task>>,
    stopped: AtomicBool,
}

impl std::fmt::Debug for Tasks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tasks")
    }
}

impl Spawn for Tasks {
    fn spawn(&self, task: Task) {
        self.tasks.lock().unwrap().push(task);
    }
}

impl Tasks {
    /// They stand still, or go on.
    pub(crate) fn stop(&self, stopped: bool) {
        self.stopped.store(stopped, Ordering::Relaxed);
    }

    /// The process died: its tasks are gone.
    pub(crate) fn kill(&self) {
        let dead = std::mem::take(&mut *self.tasks.lock().unwrap());
        drop(dead);
    }

    fn poll(&self, context: &mut Context<'_>) {
        if self.stopped.load(Ordering::Relaxed) {
            return;
        }
        let mut due = std::mem::take(&mut *self.tasks.lock().unwrap());
        due.retain_mut(|task| task.as_mut().poll(context).is_pending());
        let mut tasks = self.tasks.lock().unwrap();
        due.append(&mut tasks);
        *tasks = due;
    }
}

/// A machine's clock: it may stand still, and its wall clock may be wrong.
#[derive(Clone, Debug)]
pub(crate) struct HostClock {
    base: ManualClock,
    state: Arc<Mutex<Standstill>>,
}

#[derive(Debug, Default)]
struct Standstill {
    frozen: Option<Moment>,
    lost: Duration,
    wall_offset_ms: i64,
}

impl HostClock {
    pub(crate) fn freeze(&self) {
        let now = self.now();
        self.state.lock().unwrap().frozen = Some(now);
    }

    pub(crate) fn thaw(&self) {
        let mut state = self.state.lock().unwrap();
        if let Some(frozen) = state.frozen.take() {
            state.lost = self.base.now().since(frozen);
        }
    }

    pub(crate) fn set_wall_clock_wrong_by_ms(&self, ms: i64) {
        self.state.lock().unwrap().wall_offset_ms = ms;
    }
}

impl Clock for HostClock {
    fn now(&self) -> Moment {
        let state = self.state.lock().unwrap();
        state.frozen.unwrap_or_else(|| Moment::after_origin(self.base.now().since_origin() - state.lost))
    }

    fn wall_ms(&self) -> u64 {
        self.base.wall_ms().saturating_add_signed(self.state.lock().unwrap().wall_offset_ms)
    }

    fn sleep_until(&self, moment: Moment) -> Sleep {
        let clock = self.clone();
        Box::pin(async move {
            while clock.now() < moment {
                clock.base.sleep(moment.since(clock.now())).await;
            }
        })
    }
}

/// What happens to requests about leases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// No reply, ever; no effect.
    Hang,
    /// A put takes effect and its reply is lost.
    LostReply,
    /// A put has no effect, and its reply says only that somebody may be at it (409).
    Conflict,
    /// The store refuses it.
    Refuse,
    /// A put takes effect at once, and its reply comes after so many milliseconds.
    SlowReply(u64),
    /// A put takes effect after so many milliseconds and never has a reply.
    Late(u64),
}

/// A process's way to the store: what is to go wrong with its next writes of leases goes wrong, and each request about one is written down.
#[derive(Debug)]
pub(crate) struct Way {
    inner: InMemoryStore,
    clock: ManualClock,
    /// For each next put, then for all puts.
    pub(crate) puts: Mutex<Vec<Option<Trouble>>>,
    pub(crate) all: Mutex<Option<Trouble>>,
    pub(crate) seen: Mutex<Vec<(Duration, &'static str)>>,
    late: Arc<Tasks>,
}

impl Way {
    fn note(&self, key: &Key, what: &'static str) {
        if key.as_str().starts_with("lease/") {
            self.seen.lock().unwrap().push((self.clock.now().since_origin(), what));
        }
    }

    fn trouble(&self, key: &Key) -> Option<Trouble> {
        if !key.as_str().starts_with("lease/") {
            return None;
        }
        let mut puts = self.puts.lock().unwrap();
        if puts.is_empty() { *self.all.lock().unwrap() } else { puts.remove(0) }
    }
}

/// Revisions are the store's own: nobody but the store may read anything in them.
fn veiled(revision: &Revision) -> Revision {
    Revision::new(format!("\"sse-kms:{}\"", revision.as_str()))
}

fn unveiled(revision: &Revision) -> Revision {
    let text = revision.as_str().strip_prefix("\"sse-kms:").and_then(|rest| rest.strip_suffix('"'));
    Revision::new(text.expect("a revision is only ever echoed"))
}

#[async_trait]
impl Store for Way {
    async fn get(&self, key: &Key, mut options: GetOptions) -> StoreResult<Get> {
        self.note(key, "get");
        options.if_changed_from = options.if_changed_from.as_ref().map(unveiled);
        let answer = self.inner.get(key, options).await?;
        Ok(answer.map(|get| match get {
            Get::Found(mut object) => {
                object.revision = veiled(&object.revision);
                Get::Found(object)
            }
            other => other,
        }))
    }

    async fn put(&self, key: &Key, body: Bytes, precondition: Precondition) -> StoreResult<Outcome> {
        self.note(key, "put");
        let precondition = match precondition {
            Precondition::IfMatch(revision) => Precondition::IfMatch(unveiled(&revision)),
            other => other,
        };
        let lost =
            |reason: &str| Ok(Answer::new(Outcome::Unknown(StoreError::new(ErrorKind::Unavailable, Operation::Put, key, reason)), None));
        let put = self.inner.put(key, body.clone(), precondition.clone());
        let answer = match self.trouble(key) {
            None => put.await?,
            Some(Trouble::Hang) => std::future::pending().await,
            Some(Trouble::LostReply) => {
                drop(put.await);
                return lost("the reply was lost");
            }
            Some(Trouble::Conflict) => return lost("409 ConditionalRequestConflict"),
            Some(Trouble::Refuse) => return Err(StoreError::new(ErrorKind::Invalid, Operation::Put, key, "403")),
            Some(Trouble::SlowReply(ms)) => {
                let answer = put.await?;
                self.clock.sleep(Duration::from_millis(ms)).await;
                answer
            }
            Some(Trouble::Late(ms)) => {
                let (inner, clock, key) = (self.inner.clone(), self.clock.clone(), key.clone());
                self.late.spawn(Box::pin(async move {
                    clock.sleep(Duration::from_millis(ms)).await;
                    drop(inner.put(&key, body, precondition).await);
                }));
                return std::future::pending().await;
            }
        };
        Ok(answer.map(|outcome| match outcome {
            Outcome::Committed(revision) => Outcome::Committed(veiled(&revision)),
            other => other,
        }))
    }

    async fn list(&self, prefix: &Prefix, after: Option<&Key>, limit: NonZeroUsize) -> StoreResult<Page> {
        self.inner.list(prefix, after, limit).await
    }

    async fn delete(&self, key: &Key) -> StoreResult<()> {
        self.note(key, "delete");
        self.inner.delete(key).await
    }

    fn location(&self) -> String {
        self.inner.location()
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }
}

/// One process.
#[derive(Debug)]
pub(crate) struct Host {
    pub(crate) clock: HostClock,
    pub(crate) way: Arc<Way>,
    /// What renews leases.
    pub(crate) renewals: Arc<Tasks>,
    /// What drives the log.
    pub(crate) work: Arc<Tasks>,
    pub(crate) log: ChangeLog<Register>,
    pub(crate) environment: Environment,
}

impl Host {
    pub(crate) fn lock(&self, name: &str) -> Lock<Register> {
        let options = LockOptions::default().with_ttl(TTL).with_note("a test");
        Lock::open(&self.log, self.spawn(), name, options).unwrap()
    }

    /// Where its renewals run.
    pub(crate) fn spawn(&self) -> Arc<dyn Spawn> {
        Arc::clone(&self.renewals) as Arc<dyn Spawn>
    }

    /// So many seconds from now, on its own clock.
    pub(crate) fn within(&self, seconds: u64) -> Moment {
        self.clock.now().after(Duration::from_secs(seconds))
    }

    /// All of it stands still, or goes on.
    pub(crate) fn stop(&self, stopped: bool) {
        self.renewals.stop(stopped);
        self.work.stop(stopped);
    }

    pub(crate) fn kill(&self) {
        self.renewals.kill();
        self.work.kill();
    }
}

/// A store and the processes on it.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) clock: ManualClock,
    pub(crate) store: InMemoryStore,
    tasks: Mutex<Vec<Arc<Tasks>>>,
    hosts: Mutex<u64>,
}

impl World {
    pub(crate) fn new() -> Self {
        let (store, clock) = (InMemoryStore::new(), ManualClock::new());
        clock.run(made(&environment(Arc::new(store.clone()), &clock, 0), constants()));
        Self { clock, store, tasks: Mutex::default(), hosts: Mutex::new(0) }
    }

    pub(crate) async fn host(&self) -> Host {
        let number = {
            let mut hosts = self.hosts.lock().unwrap();
            *hosts += 1;
            *hosts
        };
        let [renewals, work, late] = [(); 3].map(|()| Arc::new(Tasks::default()));
        self.tasks.lock().unwrap().extend([Arc::clone(&renewals), Arc::clone(&work), Arc::clone(&late)]);
        let way = Arc::new(Way {
            inner: self.store.clone(),
            clock: self.clock.clone(),
            puts: Mutex::default(),
            all: Mutex::default(),
            seen: Mutex::default(),
            late,
        });
        let clock = HostClock { base: self.clock.clone(), state: Arc::default() };
        let mut environment = Environment::new(Arc::clone(&way) as Arc<dyn Store>);
        environment.clock = Arc::new(clock.clone());
        environment.entropy = Arc::new(SeededEntropy::new(number));
        let deadline = clock.now().after(Duration::from_secs(60));
        let log = ChangeLog::open(environment.clone(), Arc::new(Register::default()), LogOptions::default(), deadline).await.unwrap();
        let driven = log.clone();
        work.spawn(Box::pin(async move { drop(driven.run().await) }));
        Host { clock, way, renewals, work, log, environment }
    }

    pub(crate) async fn sleep(&self, duration: Duration) {
        self.clock.sleep(duration).await;
    }

    /// Runs `test` and everything that its processes run.
    pub(crate) fn run<F: Future>(&self, test: F) -> F::Output {
        let mut test = std::pin::pin!(test);
        self.clock.run(std::future::poll_fn(|context| {
            let told = test.as_mut().poll(context);
            let all = self.tasks.lock().unwrap().clone();
            all.iter().for_each(|tasks| tasks.poll(context));
            if told.is_pending() {
                // What a task did may be what the test waits for, and the other way round.
                return test.as_mut().poll(context);
            }
            told
        }))
    }
}
