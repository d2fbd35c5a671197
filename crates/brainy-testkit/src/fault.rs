//! Stores that fail, and stores that lie.

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;

use async_trait::async_trait;
use brainy_core::{Entropy, ErrorKind, SeededEntropy};
use brainy_storage::{
    Answer, Capabilities, Get, GetOptions, Key, Operation, Outcome, Page, Precondition, Prefix, Store, StoreError, StoreResult,
};
use bytes::Bytes;

/// What goes wrong with one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// Nothing.
    None,
    /// The store refuses it with a server error; it has no effect and the reply says so.
    Refused,
    /// It is lost on the way: no effect, no reply.
    LostBefore,
    /// It takes effect; the reply is lost.
    LostAfter,
    /// The reply is lost and the effect comes late: a put takes effect before the so-manieth later request, or with [`FaultStore::land`]. For
    /// other requests as [`Fault::LostBefore`].
    Late(u32),
    /// It takes effect, its reply is lost, and the client asks again behind the caller's back: a create that took effect is answered by a refusal.
    Repeated,
}

/// How often each fault happens, in thousandths of the requests; their sum must not exceed 1,000.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Faults {
    /// Share of [`Fault::Refused`].
    pub refused: u16,
    /// Share of [`Fault::LostBefore`].
    pub lost_before: u16,
    /// Share of [`Fault::LostAfter`].
    pub lost_after: u16,
    /// Share of [`Fault::Late`].
    pub late: u16,
    /// A late put takes effect within so many later requests.
    pub late_within: u32,
    /// Share of [`Fault::Repeated`].
    pub repeated: u16,
}

impl Faults {
    /// Every kind of fault, together `per_mille` thousandths of the requests; late puts land within 8 requests.
    pub const fn all(per_mille: u16) -> Self {
        let each = per_mille / 5;
        Self { refused: each, lost_before: each, lost_after: each, late: each, late_within: 8, repeated: each }
    }

    fn draw(&self, entropy: &dyn Entropy) -> Fault {
        let mut left = (entropy.fraction() * 1_000.0) as u16;
        let late = Fault::Late(1 + (entropy.fraction() * f64::from(self.late_within)) as u32);
        for (share, fault) in [
            (self.refused, Fault::Refused),
            (self.lost_before, Fault::LostBefore),
            (self.lost_after, Fault::LostAfter),
            (self.late, late),
            (self.repeated, Fault::Repeated),
        ] {
            if left < share {
                return fault;
            }
            left -= share;
        }
        Fault::None
    }
}

/// A store whose requests fail as a seed or a script says. The same requests in the same order meet the same faults.
pub struct FaultStore {
    inner: Arc<dyn Store>,
    entropy: SeededEntropy,
    plan: Mutex<Plan>,
}

#[derive(Default)]
struct Plan {
    faults: Faults,
    script: std::collections::VecDeque<Fault>,
    late: Vec<Late>,
    injected: u64,
    requests: u64,
}

struct Late {
    requests_left: u32,
    key: Key,
    body: Bytes,
    precondition: Precondition,
}

impl FaultStore {
    /// `inner` with faults drawn from `seed`.
    pub fn seeded(inner: Arc<dyn Store>, seed: u64, faults: Faults) -> Self {
        Self { inner, entropy: SeededEntropy::new(seed), plan: Mutex::new(Plan { faults, ..Plan::default() }) }
    }

    /// `inner` with these faults on its first requests and none after.
    pub fn scripted(inner: Arc<dyn Store>, script: impl IntoIterator<Item = Fault>) -> Self {
        let store = Self::seeded(inner, 0, Faults::default());
        store.script(script);
        store
    }

    /// Puts these faults on the next requests, after those scripted before.
    pub fn script(&self, script: impl IntoIterator<Item = Fault>) {
        self.plan().script.extend(script);
    }

    /// From now on faults happen at these rates; `Faults::default()` ends them.
    pub fn set_faults(&self, faults: Faults) {
        self.plan().faults = faults;
    }

    /// Lets every put that is still on its way take effect now, in the order in which they were sent.
    pub async fn land(&self) {
        let late = std::mem::take(&mut self.plan().late);
        for put in late {
            self.land_one(put).await;
        }
    }

    /// How many requests met a fault so far.
    pub fn injected(&self) -> u64 {
        self.plan().injected
    }

    /// How many requests were made so far.
    pub fn requests(&self) -> u64 {
        self.plan().requests
    }

    fn plan(&self) -> MutexGuard<'_, Plan> {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn land_one(&self, put: Late) {
        // Nobody waits for the reply: whatever it says is lost.
        drop(self.inner.put(&put.key, put.body, put.precondition).await);
    }

    /// The fault of the next request, after what was due to land before it has landed.
    async fn next(&self) -> Fault {
        let due = {
            let mut plan = self.plan();
            plan.requests += 1;
            for late in &mut plan.late {
                late.requests_left = late.requests_left.saturating_sub(1);
            }
            plan.late.extract_if(.., |late| late.requests_left == 0).collect::<Vec<_>>()
        };
        for put in due {
            self.land_one(put).await;
        }
        let mut plan = self.plan();
        let fault = plan.script.pop_front().unwrap_or_else(|| plan.faults.draw(&self.entropy));
        plan.injected += u64::from(fault != Fault::None);
        fault
    }

    async fn repeatable<T, F: Future<Output = StoreResult<T>>>(
        &self,
        operation: Operation,
        subject: impl std::fmt::Display,
        request: impl Fn() -> F,
    ) -> StoreResult<T> {
        match self.next().await {
            Fault::None => request().await,
            Fault::Refused => Err(refused(operation, subject)),
            Fault::LostBefore | Fault::Late(_) => Err(lost(operation, subject)),
            Fault::LostAfter => {
                drop(request().await);
                Err(lost(operation, subject))
            }
            Fault::Repeated => {
                drop(request().await);
                request().await
            }
        }
    }
}

fn refused(operation: Operation, subject: impl std::fmt::Display) -> StoreError {
    StoreError::new(ErrorKind::Unavailable, operation, subject, "injected: 503")
}

fn lost(operation: Operation, subject: impl std::fmt::Display) -> StoreError {
    StoreError::new(ErrorKind::Unavailable, operation, subject, "injected: the reply was lost")
}

/// Shows the store underneath and the counts.
impl std::fmt::Debug for FaultStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "FaultStore({:?}, {} faults in {} requests)", self.inner, self.injected(), self.requests())
    }
}

#[async_trait]
impl Store for FaultStore {
    async fn get(&self, key: &Key, options: GetOptions) -> StoreResult<Get> {
        self.repeatable(Operation::Get, key, || self.inner.get(key, options.clone())).await
    }

    async fn put(&self, key: &Key, body: Bytes, precondition: Precondition) -> StoreResult<Outcome> {
        let unknown = || Ok(Answer::new(Outcome::Unknown(lost(Operation::Put, key)), None));
        match self.next().await {
            Fault::None => self.inner.put(key, body, precondition).await,
            Fault::Refused => Err(refused(Operation::Put, key)),
            Fault::LostBefore => unknown(),
            Fault::LostAfter => {
                drop(self.inner.put(key, body, precondition).await);
                unknown()
            }
            Fault::Late(requests) => {
                self.plan().late.push(Late { requests_left: requests.max(1), key: key.clone(), body, precondition });
                unknown()
            }
            Fault::Repeated => {
                drop(self.inner.put(key, body.clone(), precondition.clone()).await);
                self.inner.put(key, body, precondition).await
            }
        }
    }

    async fn list(&self, prefix: &Prefix, after: Option<&Key>, limit: NonZeroUsize) -> StoreResult<Page> {
        self.repeatable(Operation::List, prefix, || self.inner.list(prefix, after, limit)).await
    }

    async fn delete(&self, key: &Key) -> StoreResult<()> {
        self.repeatable(Operation::Delete, key, || self.inner.delete(key)).await
    }

    async fn delete_many(&self, keys: &[Key]) -> StoreResult<()> {
        let subject = format!("{} keys", keys.len());
        self.repeatable(Operation::Delete, subject, || self.inner.delete_many(keys)).await
    }

    fn location(&self) -> String {
        self.inner.location()
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    async fn settle(&self, prefix: &Prefix) -> Result<(), StoreError> {
        self.inner.settle(prefix).await
    }
}

/// What a [`LyingStore`] does not keep of the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Lie {
    /// Conditions are accepted and ignored.
    IgnoresConditions,
    /// `IfAbsent` is honoured, `IfMatch` is ignored.
    IgnoresMatch,
    /// Conditions are checked first and the object is written after, with room for others between.
    ChecksThenWrites,
    /// As [`Lie::ChecksThenWrites`], for `IfMatch` alone.
    ChecksMatchThenWrites,
    /// `IfMatch` on an absent object makes it.
    MatchesAbsent,
    /// A get-if-changed always sends the object.
    AlwaysChanged,
}

/// A store that claims what it does not do. `probe` must refuse every one of them.
#[derive(Debug)]
pub struct LyingStore {
    inner: Arc<dyn Store>,
    lie: Lie,
}

impl LyingStore {
    /// `inner` with this lie.
    pub fn new(inner: Arc<dyn Store>, lie: Lie) -> Self {
        Self { inner, lie }
    }

    async fn check_then_write(&self, key: &Key, body: Bytes, precondition: Precondition) -> StoreResult<Outcome> {
        let Answer { value: found, at } = self.inner.get(key, GetOptions::whole()).await?;
        let holds = match (&precondition, found) {
            (Precondition::None, _) | (Precondition::IfAbsent, Get::Absent) => true,
            (Precondition::IfMatch(expected), Get::Found(object)) => object.revision == *expected,
            _ => false,
        };
        yield_once().await;
        if holds { self.inner.put(key, body, Precondition::None).await } else { Ok(Answer::new(Outcome::Rejected, at)) }
    }
}

/// Lets every other task of the same executor run once.
async fn yield_once() {
    let mut yielded = false;
    std::future::poll_fn(|context| {
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

#[async_trait]
impl Store for LyingStore {
    async fn get(&self, key: &Key, mut options: GetOptions) -> StoreResult<Get> {
        if self.lie == Lie::AlwaysChanged {
            options.if_changed_from = None;
        }
        self.inner.get(key, options).await
    }

    async fn put(&self, key: &Key, body: Bytes, precondition: Precondition) -> StoreResult<Outcome> {
        match (self.lie, &precondition) {
            (Lie::IgnoresConditions, _) | (Lie::IgnoresMatch, Precondition::IfMatch(_)) => {
                self.inner.put(key, body, Precondition::None).await
            }
            (Lie::ChecksThenWrites, _) | (Lie::ChecksMatchThenWrites, Precondition::IfMatch(_)) => {
                self.check_then_write(key, body, precondition).await
            }
            (Lie::MatchesAbsent, Precondition::IfMatch(_)) => {
                let matched = self.inner.put(key, body.clone(), precondition).await?;
                match (matched.value, self.inner.get(key, GetOptions::whole()).await?.value) {
                    (Outcome::Rejected, Get::Absent) => self.inner.put(key, body, Precondition::None).await,
                    (outcome, _) => Ok(Answer::new(outcome, matched.at)),
                }
            }
            _ => self.inner.put(key, body, precondition).await,
        }
    }

    async fn list(&self, prefix: &Prefix, after: Option<&Key>, limit: NonZeroUsize) -> StoreResult<Page> {
        self.inner.list(prefix, after, limit).await
    }

    async fn delete(&self, key: &Key) -> StoreResult<()> {
        self.inner.delete(key).await
    }

    async fn delete_many(&self, keys: &[Key]) -> StoreResult<()> {
        self.inner.delete_many(keys).await
    }

    fn location(&self) -> String {
        self.inner.location()
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }
}
