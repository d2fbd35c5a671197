//! The one task of a handle that makes slots: group commit, lost races, unknown outcomes.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Mutex;
use std::sync::atomic::Ordering;
use std::time::Duration;

use brainy_core::codec::{self, ObjectKind};
use brainy_core::{ContentHash, ErrorKind, Moment, WriterId};
use brainy_storage::{Answer, Created, conditional};
use bytes::Bytes;

use crate::apply::{self, LoadedBatch};
use crate::batch::{self, Batch, BlobReference, Contents};
use crate::error::Error;
use crate::keys;
use crate::log::Shared;
use crate::machine::{StateMachine, Verdict};
use crate::protocol::ProtocolOperation;
use crate::queue::{Outcome, Sent, Withdrawal};
use crate::state::Decision;
use crate::tip::{Decided, Tip};
use crate::token::{OpId, Receipt};

/// A batch is closed at about so many bytes; a single larger transaction makes one of its own.
const BATCH_BYTES: usize = 4 << 20;
/// One try to create a slot, retries of its request included, takes at most this long before the log is read again.
const ATTEMPT: Duration = Duration::from_secs(10);
/// Longest pause before the next try after lost races or failures.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// Shortest time taken as the store's latency when pauses are drawn.
const SHORTEST_LATENCY: Duration = Duration::from_millis(1);
/// So many outcomes of its own a handle keeps for callers who come back, and those of its last batch in any case.
const KEPT_OUTCOMES: usize = 16_384;

/// Under which identity a handle writes. (writer, wseq) binds to one byte string for ever; one batch is in play at a time.
#[derive(Debug)]
struct Writer {
    id: WriterId,
    next: u64,
    /// The slot of its newest decided batch, or the base of its first.
    last_slot: u64,
}

/// What a handle remembers of the batches it sent.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    inner: Mutex<LedgerInner>,
}

#[derive(Debug, Default)]
struct LedgerInner {
    in_play: Option<(WriterId, u64, Vec<OpId>)>,
    decided: BTreeMap<(WriterId, u64), Vec<(OpId, Outcome)>>,
    order: VecDeque<(WriterId, u64)>,
    /// How many outcomes they are.
    kept: usize,
}

/// What the ledger says of an operation.
pub(crate) enum Remembered {
    InPlay,
    Decided(Outcome),
    Unknown,
}

impl Ledger {
    fn lock(&self) -> std::sync::MutexGuard<'_, LedgerInner> {
        self.inner.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn start(&self, writer: WriterId, wseq: u64, ops: Vec<OpId>) {
        self.lock().in_play = Some((writer, wseq, ops));
    }

    fn finish(&self, outcomes: Vec<Outcome>) {
        let mut inner = self.lock();
        let Some((writer, wseq, ops)) = inner.in_play.take() else { return };
        inner.kept += ops.len();
        inner.decided.insert((writer, wseq), ops.into_iter().zip(outcomes).collect());
        inner.order.push_back((writer, wseq));
        while inner.kept > KEPT_OUTCOMES && inner.order.len() > 1 {
            let oldest = inner.order.pop_front().expect("more than one is there");
            inner.kept -= inner.decided.remove(&oldest).map_or(0, |outcomes| outcomes.len());
        }
    }

    /// Operations that were sent and are not decided.
    pub(crate) fn undecided(&self) -> Vec<OpId> {
        self.lock().in_play.as_ref().map_or_else(Vec::new, |(_, _, ops)| ops.clone())
    }

    pub(crate) fn remembered(&self, op: OpId) -> Remembered {
        let inner = self.lock();
        if inner.in_play.as_ref().is_some_and(|(_, _, ops)| ops.contains(&op)) {
            return Remembered::InPlay;
        }
        let decided = inner.decided.get(&(op.writer, op.wseq)).and_then(|outcomes| outcomes.get(op.index as usize));
        match decided.filter(|(known, _)| *known == op) {
            Some((_, outcome)) => Remembered::Decided(outcome.clone()),
            None => Remembered::Unknown,
        }
    }
}

/// What became of transaction `op` of a batch that was decided so.
pub(crate) fn outcome_of(op: OpId, decided: &Decided, tip: &Tip) -> Outcome {
    match decided {
        Decided::Applied { slot, first_ordinal, decision: Decision::Applied(verdicts) } => match verdicts.get(op.index as usize) {
            Some(Verdict::Effective { changed }) => {
                let version = brainy_core::Version {
                    epoch: tip.state.epoch,
                    seq: brainy_core::SequenceNumber::new(*slot).expect("batches are applied in slots from 1"),
                    ordinal: first_ordinal + op.index,
                };
                Outcome::Committed(Receipt::new(op, version, Some(*changed), tip.token_of(*slot)))
            }
            Some(Verdict::Rejected(rejection)) => Outcome::Rejected(Withdrawal::Precondition { op, rejection: *rejection }),
            None => Outcome::Rejected(Withdrawal::Foreign { op }),
        },
        Decided::Withdrawn(Decision::Refused) => Outcome::Rejected(Withdrawal::Refused { op }),
        Decided::Applied { .. } | Decided::Withdrawn(_) => Outcome::Rejected(Withdrawal::Cancelled { op }),
        Decided::Foreign => Outcome::Rejected(Withdrawal::Foreign { op }),
        Decided::Stale => Outcome::Rejected(Withdrawal::Stale { op }),
    }
}

/// A batch that was closed and is not decided yet.
struct Play {
    batch: Batch,
    /// The blob's body, where the transactions do not lie in the batch itself.
    blob: Option<Bytes>,
    /// Its transactions as every replica will read them.
    loaded: [LoadedBatch; 1],
    sent: Vec<Sent>,
    /// A copy may lie in the log, or may come there still.
    in_doubt: bool,
    pause: Pause,
}

/// How a play ended.
enum Ended {
    /// The log says so.
    Decided(Decided),
    /// No copy of the batch was ever written, nor will be: this is why.
    NotSent(Error),
}

/// Runs until the handle is closed and everything it sent is decided.
pub(crate) async fn run<M: StateMachine>(shared: &Shared<M>) -> Result<(), Error> {
    let mut writer = None;
    while shared.queue.ready().await {
        let Some(mut play) = form(shared, &mut writer).await else { continue };
        let ended = decide(shared, &mut play).await?;
        let outcomes: Vec<_> = match &ended {
            Ended::Decided(decided) => {
                shared.figures.batches.fetch_add(1, Ordering::Relaxed);
                let tip = shared.tip.lock().await;
                play.sent.iter().map(|sent| outcome_of(sent.op, decided, &tip)).collect()
            }
            Ended::NotSent(_) => vec![Outcome::Rejected(Withdrawal::NotSent); play.sent.len()],
        };
        match (&ended, &mut writer) {
            (Ended::Decided(Decided::Applied { slot, .. }), Some(writer)) => {
                writer.next += 1;
                writer.last_slot = *slot;
            }
            // INV-6: a number that was taken from us, and one that went stale, end the identity; so does one whose name is out and whose bytes never were.
            _ => writer = None,
        }
        shared.ledger.finish(outcomes.clone());
        for (sent, outcome) in play.sent.into_iter().zip(outcomes) {
            match &ended {
                Ended::Decided(_) => sent.decide(outcome),
                Ended::NotSent(error) => sent.refuse(error.clone()),
            }
        }
    }
    Ok(())
}

/// Closes the bytes of the next batch; none if nobody waits for one any more. A failure refuses everything that waits: nothing of it was sent.
async fn form<M: StateMachine>(shared: &Shared<M>, writer: &mut Option<Writer>) -> Option<Play> {
    let environment = &shared.reader.environment;
    let mut tip = shared.tip.lock().await;
    let ready = async {
        tip.check_next()?;
        if !shared.queue.overrides_digest() {
            tip.check()?;
        }
        let aged = writer.as_ref().is_some_and(|writer| tip.state.position.saturating_sub(writer.last_slot) > tip.state.horizon());
        if aged {
            *writer = None;
        }
        if writer.is_none() {
            // INV-6: a fresh id forms its first batch at a confirmed tail, so that its base is not older than the id itself.
            let deadline = environment.clock.now().after(ATTEMPT);
            shared.reader.catch_up(&mut tip, deadline).await?;
            shared.publish(&tip);
            tip.check_next()?;
            let id = WriterId::random(&*environment.entropy);
            *writer = Some(Writer { id, next: 1, last_slot: tip.state.position });
        }
        Ok::<(), Error>(())
    };
    if let Err(error) = ready.await {
        shared.queue.fail(&error);
        return None;
    }
    let writer = writer.as_ref().expect("set above");
    let base = tip.state.position;
    let picked = shared.queue.pick(environment.clock.now(), BATCH_BYTES);
    let transactions = picked.transactions();
    if transactions.is_empty() {
        picked.release();
        return None;
    }
    let count = u32::try_from(transactions.len()).expect("a batch holds a bounded number of transactions");
    let list = Bytes::from(codec::encode_list(&transactions));
    let decoded = batch::decode_transactions(&list, count);
    let (contents, blob) = if list.len() as u64 > shared.descriptor.constants.inline_bytes {
        (Contents::Blob(BlobReference { hash: ContentHash::of(&list), bytes: list.len() as u64 }), Some(list))
    } else {
        (Contents::Inline(list), None)
    };
    let batch = Batch::new(shared.descriptor.store, writer.id, writer.next, base, count, contents);
    let name = |index| OpId { writer: batch.writer, wseq: batch.wseq, index, base, hash: batch.hash };
    // INV-6: the state may forget a writer before a slow owner looks: its decision is noted in the slot that makes it.
    tip.watch(name(0));
    // Before anybody learns a name: who resolves it here must find it in play.
    shared.ledger.start(batch.writer, batch.wseq, (0..count).map(name).collect());
    let sent = picked.close(name);
    let loaded = [LoadedBatch::Known { batch: batch.clone(), transactions: Some(decoded) }];
    Some(Play { batch, blob, loaded, sent, in_doubt: false, pause: Pause::new() })
}

/// Works until the log says what became of the batch, or until it is certain that the log will never hold it: only closing the handle hard ends it before.
async fn decide<M: StateMachine>(shared: &Shared<M>, play: &mut Play) -> Result<Ended, Error> {
    loop {
        let error = match attempt(shared, play).await {
            Ok(Some(decided)) => return Ok(Ended::Decided(decided)),
            Ok(None) => {
                shared.figures.lost_races.fetch_add(1, Ordering::Relaxed);
                shared.pause(&mut play.pause).await?;
                continue;
            }
            Err(error) => error,
        };
        shared.note_failure(&error, &mut play.pause);
        let now = shared.reader.environment.clock.now();
        if !play.in_doubt && (!may_pass(&error) || !play.sent.iter().any(|sent| sent.is_awaited(now))) {
            return Ok(Ended::NotSent(error));
        }
        if !may_pass(&error) {
            // The batch in play has to wait, but nobody else has to learn it from a deadline.
            shared.queue.fail(&error);
        }
        shared.pause(&mut play.pause).await?;
    }
}

/// Whether time alone may mend it.
fn may_pass(error: &Error) -> bool {
    match error {
        Error::Truncated { .. } => false,
        error => matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Overloaded | ErrorKind::OutcomeUnknown),
    }
}

/// One try: create the next slot with the batch in it, take in what is there, look what became of the batch. None: the race was lost, it is still open.
async fn attempt<M: StateMachine>(shared: &Shared<M>, play: &mut Play) -> Result<Option<Decided>, Error> {
    let environment = &shared.reader.environment;
    if let (Some(body), Contents::Blob(reference)) = (&play.blob, &play.batch.contents) {
        let key = keys::blob(play.batch.base, play.batch.writer, play.batch.wseq, reference.hash);
        let object = Bytes::from(codec::seal(ObjectKind::Blob, body));
        let deadline = environment.clock.now().after(ATTEMPT * 6);
        // INV-5: what a slot refers to is durable before the slot is sent.
        conditional::write(&*environment.store, &*environment.clock, &*environment.entropy, &key, object, deadline).await?;
        play.blob = None;
    }
    let overrides = overrides_digest(&play.loaded);
    let (header, object, staged) = {
        let mut tip = shared.tip.lock().await;
        if play.pause.tries > 0 || !tip.is_firm() {
            // Somebody else moved the tail, or a reply was lost: another slot, or our own, may be there.
            let caught_up = shared.reader.catch_up(&mut tip, environment.clock.now().after(ATTEMPT)).await;
            shared.publish(&tip);
            caught_up?;
        }
        tip.check_next()?;
        if !overrides {
            // A replica that may be wrong neither creates slots nor tells outcomes.
            tip.check()?;
        }
        if let Some(decided) = tip.decision() {
            return Ok(Some(decided.clone()));
        }
        let at_ms = shared.corrected_wall_ms();
        let view = shared.reader.machine.fetch(&apply::payloads(&play.loaded)).await?;
        let staged =
            apply::apply::<M>(&tip.state, view, tip.next(), at_ms, &play.loaded).map_err(|error| Error::bytes("own batch", error))?;
        let (header, object) = tip.slot_of(&staged, play.batch.writer, at_ms, &play.batch);
        (header, object, staged)
    };
    if object.len() as u64 > shared.descriptor.constants.slot_bytes {
        // A slot that a reader could not take would end the log for everybody.
        let reason = format!("its slot would have {} bytes, at most {} are allowed", object.len(), shared.descriptor.constants.slot_bytes);
        return Err(Error::Invalid { reason });
    }
    let hash = ContentHash::of(&object);
    let sent_at = environment.clock.now();
    let doubted = std::mem::replace(&mut play.in_doubt, true);
    // INV-1: a slot is created only if absent, so each number is decided once.
    let created = environment.create(&keys::slot(header.seq), object, sent_at.after(ATTEMPT)).await;
    if matches!(&created, Err(_) | Ok(Answer { value: Created::Rejected(_), .. })) {
        // This copy is nowhere, nor will it be: an error says so, and a slot that somebody else holds stays theirs.
        play.in_doubt = doubted;
    }
    let created = created?;
    play.pause.observe(environment.clock.now().since(sent_at));
    shared.note_store_time(created.at);
    let mut tip = shared.tip.lock().await;
    let untouched = tip.next() == header.seq;
    let deadline = environment.clock.now().after(ATTEMPT);
    match created.value {
        Created::Committed(revision) if untouched => {
            shared.reader.settle(&mut tip).await?;
            shared.reader.confirm(&mut tip, created.at, false, deadline).await?;
            tip.install(&*shared.reader.machine, staged, &header, hash, Some(revision));
            tip.trusted = tip.state.position;
        }
        Created::Committed(_) if tip.hash_of(header.seq.get()).is_some_and(|there| there != hash) => {
            let reason = format!("slot {} was created by this handle and holds something else now", header.seq);
            return Err(Error::RolledBack { reason });
        }
        Created::Committed(_) => {}
        Created::Rejected(winner) if untouched => {
            let loaded = shared.reader.load(header.seq, winner, Some(&tip), deadline).await?;
            shared.reader.advance(&mut tip, loaded, deadline).await?;
        }
        Created::Rejected(_) => {}
        Created::Unknown(error) => return Err(error.into()),
    }
    if !tip.is_firm() {
        shared.reader.settle(&mut tip).await?;
        shared.reader.confirm(&mut tip, created.at, false, deadline).await?;
    }
    shared.publish(&tip);
    if !overrides {
        tip.check()?;
    }
    Ok(tip.decision().cloned())
}

fn overrides_digest(loaded: &[LoadedBatch]) -> bool {
    let overrides = |operation: &ProtocolOperation| matches!(operation, ProtocolOperation::DigestOverride { .. });
    loaded.iter().any(|loaded| match loaded {
        LoadedBatch::Known { transactions: Some(Ok(transactions)), .. } => {
            transactions.iter().flatten().any(|one| one.protocol.iter().any(overrides))
        }
        _ => false,
    })
}

/// How long to wait before the next try: a random share of a span that doubles with each, in units of the store's own latency.
#[derive(Debug)]
pub(crate) struct Pause {
    tries: u32,
    latency: Duration,
}

impl Pause {
    const fn new() -> Self {
        Self { tries: 0, latency: SHORTEST_LATENCY }
    }

    fn observe(&mut self, latency: Duration) {
        self.latency = latency.max(SHORTEST_LATENCY);
    }

    fn next(&mut self, fraction: f64) -> Duration {
        self.tries = self.tries.saturating_add(1);
        let span = self.latency.saturating_mul(1 << self.tries.min(6)).min(LONGEST_PAUSE);
        span.mul_f64(fraction)
    }
}

impl<M: StateMachine> Shared<M> {
    /// Waits a little, unless the handle was told to stop.
    async fn pause(&self, pause: &mut Pause) -> Result<(), Error> {
        if let Some(cause) = self.stopped() {
            return Err(Error::Closed { cause });
        }
        let environment = &self.reader.environment;
        let span = pause.next(environment.entropy.fraction());
        environment.clock.sleep(span).await;
        Ok(())
    }

    /// A try failed. Where the batch may be in the log, or may come there, the committer goes on until the log says so.
    fn note_failure(&self, error: &Error, pause: &mut Pause) {
        self.figures.failures.fetch_add(1, Ordering::Relaxed);
        tracing::warn!(error = %error, tries = pause.tries, "a commit could not be completed yet");
        if !may_pass(error) {
            // Nothing that time alone mends: try seldom.
            pause.latency = LONGEST_PAUSE;
        }
        *self.last_failure.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(error.clone());
    }

    /// Wall-clock milliseconds for a header: the store's time where it has one, moved on by what has passed since.
    fn corrected_wall_ms(&self) -> u64 {
        let clock = &self.reader.environment.clock;
        let noted = *self.store_time.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        match noted {
            Some((at, moment)) => at.as_ms().saturating_add(u64::try_from(clock.now().since(moment).as_millis()).unwrap_or(u64::MAX)),
            None => clock.wall_ms(),
        }
    }

    pub(crate) fn note_store_time(&self, at: Option<brainy_storage::StoreTime>) {
        if let Some(at) = at {
            let now: Moment = self.reader.environment.clock.now();
            *self.store_time.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some((at, now));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::sync::Arc;
    use std::task::{Context, Wake, Waker};

    use brainy_storage::InMemoryStore;
    use brainy_testkit::ManualClock;

    use super::*;
    use crate::batch::Transaction;
    use crate::environment::Environment;
    use crate::log::{ChangeLog, LogOptions};
    use crate::machine::NullMachine;
    use crate::make::{NewStore, create_store};

    /// Asks the handle, in the very moment in which a name comes, what is in play.
    struct Curious {
        log: ChangeLog<NullMachine>,
        found: Mutex<Vec<OpId>>,
    }

    impl Wake for Curious {
        fn wake(self: Arc<Self>) {
            self.found.lock().unwrap().extend(self.log.shared().ledger.undecided());
        }
    }

    #[test]
    fn whoever_learns_a_name_finds_it_in_play() {
        let clock = ManualClock::new();
        let mut environment = Environment::new(Arc::new(InMemoryStore::new()));
        environment.clock = Arc::new(clock.clone());
        let far = Moment::after_origin(Duration::from_secs(600));
        let log = clock.run(async {
            create_store(&environment, &NewStore::new(vec![]), far).await.unwrap();
            ChangeLog::open(environment.clone(), Arc::new(NullMachine), LogOptions::default(), far).await.unwrap()
        });
        let mut pending = log.submit(&Transaction::payload("x"), far).unwrap();
        let curious = Arc::new(Curious { log: log.clone(), found: Mutex::default() });
        let waker = Waker::from(Arc::clone(&curious));
        {
            let mut name = Box::pin(pending.op_id());
            assert!(name.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
            let stop = async {
                brainy_core::Clock::sleep(&clock, Duration::from_secs(1)).await;
                log.stop("done");
            };
            drop(clock.run(futures_util::future::join(log.run(), stop)));
        }
        let name = clock.run(pending.op_id()).unwrap();
        assert_eq!(*curious.found.lock().unwrap(), [name]);
    }

    #[test]
    fn a_handle_remembers_its_last_outcomes_within_a_bound() {
        let ledger = Ledger::default();
        let op = |wseq, index| OpId { writer: WriterId::from_bytes([1; 16]), wseq, index, base: 0, hash: ContentHash::of(b"batch") };
        let batch = |wseq| (0..4_000).map(|index| op(wseq, index)).collect::<Vec<_>>();
        for wseq in 1..=100 {
            ledger.start(op(wseq, 0).writer, wseq, batch(wseq));
            assert!(matches!(ledger.remembered(op(wseq, 3_999)), Remembered::InPlay));
            let outcomes = batch(wseq).into_iter().map(|op| Outcome::Rejected(Withdrawal::Stale { op })).collect();
            ledger.finish(outcomes);
            let inner = ledger.lock();
            assert!(inner.kept <= KEPT_OUTCOMES && inner.kept == inner.decided.values().map(Vec::len).sum::<usize>());
        }
        let known = |wseq| match ledger.remembered(op(wseq, 7)) {
            Remembered::Decided(outcome) => Some(outcome),
            Remembered::InPlay | Remembered::Unknown => None,
        };
        assert_eq!(known(100), Some(Outcome::Rejected(Withdrawal::Stale { op: op(100, 7) })));
        assert_eq!(known(1), None);
        let other = OpId { hash: ContentHash::of(b"a clone's"), ..op(100, 7) };
        assert!(matches!(ledger.remembered(other), Remembered::Unknown), "the name is the whole name");
    }
}
