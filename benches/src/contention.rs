//! Writers that meet on one log, in virtual time: the production code over a store that takes its time.

use std::cell::RefCell;
use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use brainy_coordination::internals::SharedDecoding;
use brainy_coordination::{ChangeLog, Environment, LogOptions, NewStore, Outcome, Receipt, Space, StateMachine, Transaction, create_store};
use brainy_core::clock::before;
use brainy_core::{Clock, Entropy, Metric, NounDraft, Operation, SeededEntropy, encode_operations};
use brainy_storage::{
    Capabilities, Get, GetOptions, InMemoryStore, Key, Metered, Outcome as Put, Page, Precondition, Prefix, Store, StoreResult, Usage,
};
use brainy_testkit::{Latencies, LatencyStore, ManualClock};
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::future::LocalBoxFuture;
use futures_util::stream::FuturesUnordered;

use crate::vectors::DIMENSION;
use crate::{Random, Tally, measured_noun, put};

/// Puts in each batch.
const PUTS: usize = 10;
/// Different contents that a writer sends in turn.
const CONTENTS: usize = 4;
/// Writers begin within this time.
const START_WITHIN: Duration = Duration::from_millis(200);
/// Longer than any contest.
const FAR: Duration = Duration::from_secs(1 << 20);

/// How writers that lose a race go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Protocol {
    /// Numbered slots with helping: what brainy does.
    Helping,
    /// Numbered slots alone: who loses a race tries again.
    Plain,
}

impl Protocol {
    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Helping => "helping",
            Self::Plain => "plain",
        }
    }
}

/// Who meets, and for how long.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Contest {
    /// How losers go on.
    pub protocol: Protocol,
    /// Writers, each with one batch in play.
    pub writers: usize,
    /// Mean of the exponentially distributed pause after each batch.
    pub think: Duration,
    /// Virtual time from the first writer's start to the end of counting.
    pub span: Duration,
    /// Where all chance comes from.
    pub seed: u64,
    /// How long requests take.
    pub latencies: Latencies,
}

/// What became of it.
#[derive(Clone, Debug)]
pub struct Contested {
    /// Microseconds from handing a batch over to its acknowledgement, of each batch acknowledged in time; sorted.
    pub waits: Vec<u64>,
    /// Slots that were created.
    pub slots: u64,
    /// Requests of each writer, those that it gave up included.
    pub usage: Vec<Usage>,
    /// From the tail at which an intent became visible to the slot that committed it: the most slots of any intent.
    pub max_slots_waited: u64,
}

impl Contested {
    /// Sum over the writers.
    pub fn requests(&self, of: impl Fn(&Usage) -> u64) -> u64 {
        self.usage.iter().map(of).sum()
    }

    /// What the requests cost, as [`Usage::dollars`].
    pub fn dollars(&self) -> f64 {
        self.usage.iter().map(Usage::dollars).sum()
    }
}

/// Runs a contest on this thread. Each writer has a handle of its own and puts its own ten nouns of 384 components and 200 bytes of metadata anew with each batch.
///
/// Committers, codec and log are those that ship. Two things are cheaper than in as many processes, and neither costs virtual time: the replicas only count what
/// the log holds (see [`Tally`]), and bytes that several of them read are decoded once.
///
/// # Panics
/// A batch was rejected, or the log holds other batches than were written, or the replicas differ.
pub fn contest(contest: &Contest) -> Contested {
    let (contested, logs) = contest_between(contest, Tally::default);
    let counted = logs[0].machine().counted().transactions;
    let acknowledged = contested.waits.len() as u64;
    // Each writer has one batch in play when time is up; some of them are in the log.
    let expected = acknowledged..=acknowledged + contest.writers as u64;
    assert!(expected.contains(&counted), "{acknowledged} batches were acknowledged, the log holds {counted}");
    contested
}

/// A contest between replicas of any kind, and the writers' handles when it is over.
fn contest_between<M: StateMachine>(contest: &Contest, machine: impl Fn() -> M) -> (Contested, Vec<ChangeLog<M>>) {
    let _sharing = SharedDecoding::new();
    let clock = ManualClock::new();
    let timed: Arc<dyn Clock> = Arc::new(clock.clone());
    let watched = Arc::new(Watched::new(InMemoryStore::new().with_store_clock(Arc::clone(&timed))));
    let environment = |writer: usize, store| Environment {
        store,
        clock: Arc::clone(&timed),
        entropy: Arc::new(SeededEntropy::new(stream(contest.seed, writer, 1))),
    };
    let far = clock.now().after(FAR);
    let new = NewStore::new(vec![Space::nouns(DIMENSION as u32, Metric::L2)]);
    clock.run(create_store(&environment(contest.writers, Arc::clone(&watched) as Arc<dyn Store>), &new, far)).expect("a new store");
    let slow = |writer: usize| {
        let (store, seed) = (Arc::clone(&watched) as Arc<dyn Store>, stream(contest.seed, writer, 2));
        LatencyStore::new(store, Arc::clone(&timed), seed, contest.latencies)
    };
    let meters: Vec<_> = (0..contest.writers).map(|writer| Arc::new(Metered::new(Arc::new(slow(writer))))).collect();
    let logs: Vec<_> = meters
        .iter()
        .enumerate()
        .map(|(writer, meter)| {
            let options = LogOptions::default().with_helping(contest.protocol == Protocol::Helping);
            let environment = environment(writer, Arc::clone(meter) as Arc<dyn Store>);
            let opened = ChangeLog::open(environment, Arc::new(machine()), options, far);
            clock.run(opened).expect("the store was made above")
        })
        .collect();

    let before_all: Vec<_> = meters.iter().map(|meter| meter.snapshot()).collect();
    let end = clock.now().after(contest.span);
    let results = RefCell::new((Vec::new(), 0_u64));
    let work = |writer: usize| {
        let (log, clock, results, watched) = (&logs[writer], &clock, &results, &watched);
        let chance = SeededEntropy::new(stream(contest.seed, writer, 3));
        let batches: Vec<Transaction> = contents(contest.seed, writer).into_iter().map(Transaction::payload).collect();
        async move {
            clock.sleep(START_WITHIN.mul_f64(chance.fraction())).await;
            for batch in batches.iter().cycle() {
                let handed = clock.now();
                let pending = log.submit(batch, far).expect("the queue is empty");
                let outcome = pending.outcome().await.expect("nothing fails");
                let Outcome::Committed(receipt) = outcome else { panic!("a batch without preconditions ended as {outcome:?}") };
                let took = u64::try_from(clock.now().since(handed).as_micros()).expect("contests are short");
                {
                    let (waits, most) = &mut *results.borrow_mut();
                    waits.push(took);
                    *most = (*most).max(watched.slots_waited(&receipt));
                }
                if !contest.think.is_zero() {
                    clock.sleep(contest.think.mul_f64(-(1.0 - chance.fraction()).ln())).await;
                }
            }
        }
    };
    let usage = clock.run(async {
        let mut all: FuturesUnordered<LocalBoxFuture<'_, ()>> = FuturesUnordered::new();
        for (writer, log) in logs.iter().enumerate() {
            all.push(Box::pin(async move { log.run().await.expect("nothing stops it") }));
            all.push(Box::pin(work(writer)));
        }
        assert!(before(&clock, end, all.next()).await.is_none(), "no writer ends before its time");
        // Before those that are still under way are dropped.
        meters.iter().zip(&before_all).map(|(meter, before)| meter.snapshot().since(before)).collect()
    });
    check(&logs, &clock);
    let (mut waits, max_slots_waited) = results.into_inner();
    waits.sort_unstable();
    (Contested { waits, slots: watched.tail(), usage, max_slots_waited }, logs)
}

/// Every replica, once it has read the log to its end, holds the same.
fn check<M: StateMachine>(logs: &[ChangeLog<M>], clock: &ManualClock) {
    let digests: Vec<_> = logs
        .iter()
        .map(|log| {
            let digest = async {
                log.refresh(clock.now().after(FAR)).await?;
                log.digests().await
            };
            clock.run(digest).expect("the log is there")
        })
        .collect();
    assert!(digests.windows(2).all(|two| two[0] == two[1]), "replicas differ");
}

/// A seed for one purpose of one writer, the same under every protocol.
fn stream(seed: u64, writer: usize, purpose: u64) -> u64 {
    let mut random = Random::new(seed.wrapping_mul(1 << 20).wrapping_add(writer as u64));
    (0..purpose).map(|_| random.number()).last().expect("purposes count from 1")
}

/// The payloads that a writer sends in turn.
fn contents(seed: u64, writer: usize) -> Vec<Vec<u8>> {
    let mut random = Random::new(stream(seed, writer, 4));
    let mut noun = |at: usize| -> NounDraft { measured_noun(&format!("noun-{writer}-{at}"), &random.row(DIMENSION)) };
    let mut one = || -> Vec<Operation> { (0..PUTS).map(|at| put(noun(at))).collect() };
    (0..CONTENTS).map(|_| encode_operations(&one())).collect()
}

/// Notes at which tail each intent became visible.
#[derive(Debug)]
struct Watched {
    inner: InMemoryStore,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    tail: u64,
    /// Tail by the key of the intent.
    intents: HashMap<String, u64>,
}

impl Watched {
    fn new(inner: InMemoryStore) -> Self {
        Self { inner, seen: Mutex::default() }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tail(&self) -> u64 {
        self.lock().tail
    }

    /// 0 for a batch that was committed without an intent, or before its intent came.
    fn slots_waited(&self, receipt: &Receipt) -> u64 {
        let key = format!("inbox/{:020}/{}/{:020}", receipt.op.base, receipt.op.writer, receipt.op.wseq);
        let visible = self.lock().intents.remove(&key);
        visible.map_or(0, |tail| receipt.version.seq.get().saturating_sub(tail))
    }
}

#[async_trait]
impl Store for Watched {
    async fn get(&self, key: &Key, options: GetOptions) -> StoreResult<Get> {
        self.inner.get(key, options).await
    }

    async fn put(&self, key: &Key, body: Bytes, precondition: Precondition) -> StoreResult<Put> {
        let answer = self.inner.put(key, body, precondition).await?;
        if matches!(answer.value, Put::Committed(_)) {
            let mut seen = self.lock();
            if key.as_str().starts_with("log/") {
                seen.tail += 1;
            } else if key.as_str().starts_with("inbox/") {
                let tail = seen.tail;
                seen.intents.insert(key.as_str().to_owned(), tail);
            }
        }
        Ok(answer)
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

#[cfg(test)]
mod tests {
    use brainy_engine::{Engine, EngineOptions};

    use super::*;

    fn of(protocol: Protocol, writers: usize, seed: u64) -> Contested {
        let (think, span) = (Duration::ZERO, Duration::from_secs(20));
        contest(&Contest { protocol, writers, think, span, seed, latencies: Latencies::S3 })
    }

    #[test]
    fn a_seed_gives_the_same_contest_again_and_another_seed_another() {
        let all = |contested: Contested| (contested.waits, contested.slots, contested.usage, contested.max_slots_waited);
        assert_eq!(all(of(Protocol::Helping, 4, 1)), all(of(Protocol::Helping, 4, 1)));
        assert_ne!(all(of(Protocol::Helping, 4, 1)), all(of(Protocol::Helping, 4, 2)));
    }

    #[test]
    fn replicas_that_only_count_meet_as_those_that_hold_everything_do() {
        let settings = Contest {
            protocol: Protocol::Helping,
            writers: 8,
            think: Duration::from_millis(100),
            span: Duration::from_secs(20),
            seed: 1,
            latencies: Latencies::S3,
        };
        let engine = || Engine::new(brainy_engine::Space::new(DIMENSION, Metric::L2), EngineOptions::default().with_vector_index(false));
        let (whole, logs) = contest_between(&settings, || engine().expect("valid options"));
        assert_eq!(logs[0].machine().statistics().nouns, (settings.writers * PUTS) as u64, "each writer puts its own nouns");
        let counting = contest(&settings);
        assert_eq!((counting.waits, counting.slots, counting.max_slots_waited), (whole.waits, whole.slots, whole.max_slots_waited));
        // Headers state other counters, so bytes differ.
        let requests = |usage: &Usage| [&usage.put, &usage.get, &usage.list, &usage.delete].map(|kind| kind.requests());
        assert!(counting.usage.iter().map(requests).eq(whole.usage.iter().map(requests)));
    }

    #[test]
    fn a_lone_plain_writer_pays_a_put_a_batch_and_waits_as_long_as_it_takes() {
        let alone = of(Protocol::Plain, 1, 1);
        // The last one may be on its way still.
        let puts = alone.requests(|usage| usage.put.requests());
        assert!(alone.slots - puts <= 1 && alone.requests(|usage| usage.list.requests()) == 0, "{puts} for {} slots", alone.slots);
        let median = crate::percentile(&alone.waits, 0.5);
        assert!((50_000..70_000).contains(&median), "{median}");
        assert!(alone.waits.len() as u64 <= alone.slots && alone.waits.len() > 200);
    }

    #[test]
    fn plain_writers_leave_no_intent_and_helping_ones_are_carried() {
        let plain = of(Protocol::Plain, 16, 1);
        assert_eq!((plain.max_slots_waited, plain.requests(|usage| usage.delete.requests())), (0, 0));
        let helping = of(Protocol::Helping, 16, 1);
        assert!(helping.max_slots_waited > 0 && helping.requests(|usage| usage.delete.requests()) > 0);
        assert!(helping.waits.len() > plain.waits.len());
    }
}
