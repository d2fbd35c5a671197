//! Transactions on their way into a batch, and the promise each caller holds.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;

use brainy_core::clock::before;
use brainy_core::{Clock, Moment};
use futures_channel::oneshot;
use futures_util::task::AtomicWaker;

use crate::batch::{MAX_BATCH_TRANSACTIONS, SizeOf, Transaction};
use crate::error::Error;
use crate::machine::Rejection;
use crate::token::{OpId, Receipt};

/// How an append ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "a rejected or unknown outcome is not an error of the call"]
pub enum Outcome {
    /// It took effect, once.
    Committed(Receipt),
    /// Nothing of it took effect, nor ever will.
    Rejected(Withdrawal),
    /// It may have taken effect, or may still: ask `resolve`, here or on any other instance.
    Unknown(OpId),
}

/// Why a transaction has no effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Withdrawal {
    /// Its own verdict: a precondition did not hold.
    Precondition {
        /// The transaction.
        op: OpId,
        /// Which operation, and why.
        rejection: Rejection,
    },
    /// The log says that it had no effect, but no longer why.
    Ineffective {
        /// The transaction.
        op: OpId,
    },
    /// Somebody who asked what became of it gave it up first.
    Cancelled {
        /// The transaction.
        op: OpId,
    },
    /// Nobody could read it.
    Refused {
        /// The transaction.
        op: OpId,
    },
    /// The log went on too far before it arrived.
    Stale {
        /// The transaction.
        op: OpId,
    },
    /// Another process writes under the same identity (a copied machine): this one took a fresh one.
    Foreign {
        /// The transaction.
        op: OpId,
    },
    /// Its deadline passed, or its caller went away, before it was sent.
    NotSent,
}

/// Where a transaction stands, as its caller can know it.
#[derive(Debug, Default)]
enum Phase {
    #[default]
    Waiting,
    /// Its bytes are closed; from here on they may be in the log.
    Sent(OpId),
    /// The caller gave up first: it must never be sent.
    Withdrawn,
}

type SharedPhase = Arc<Mutex<Phase>>;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A submitted transaction: its name once its bytes close, and its outcome.
///
/// Dropping it abandons the answer, not the transaction: if its bytes were closed it is in the log or will be, unless the store takes nothing until
/// its deadline. One that was not sent yet never will be.
#[derive(Debug)]
pub struct Pending {
    clock: Arc<dyn Clock>,
    deadline: Moment,
    queue: Arc<Mutex<Inner>>,
    phase: SharedPhase,
    name: Option<oneshot::Receiver<OpId>>,
    outcome: oneshot::Receiver<Result<Outcome, Error>>,
}

impl Pending {
    /// The transaction's name, as soon as its bytes are closed and before they are sent; none if it was not sent by its deadline, nor ever will be.
    pub async fn op_id(&mut self) -> Option<OpId> {
        // Whoever stops waiting may ask again.
        if let Some(name) = &mut self.name {
            // Either the name comes, or the sender is gone with the transaction.
            let _ = before(&*self.clock, self.deadline, name).await;
            self.name = None;
        }
        // Who is told that it has no name must be able to rely on it: at the deadline it is withdrawn.
        match self.give_up() {
            Outcome::Unknown(op) => Some(op),
            _ => None,
        }
    }

    /// How it ended, at its deadline at the latest: then [`Outcome::Unknown`] if it was sent, [`Withdrawal::NotSent`] if not.
    ///
    /// # Errors
    /// [`Error`]: the handle cannot go on (closed, diverged, rolled back …) and the transaction was never sent.
    pub async fn outcome(mut self) -> Result<Outcome, Error> {
        let decided = before(&*self.clock, self.deadline, &mut self.outcome).await;
        if let Some(Ok(outcome)) = decided {
            return outcome;
        }
        Ok(self.give_up())
    }

    fn give_up(&self) -> Outcome {
        // The queue's lock is held from picking a batch to closing it: a transaction is either withdrawn or sent, never both.
        let _queue = lock(&self.queue);
        let mut phase = lock(&self.phase);
        match *phase {
            Phase::Sent(op) => Outcome::Unknown(op),
            Phase::Waiting | Phase::Withdrawn => {
                *phase = Phase::Withdrawn;
                Outcome::Rejected(Withdrawal::NotSent)
            }
        }
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        let _queue = lock(&self.queue);
        let mut phase = lock(&self.phase);
        if matches!(*phase, Phase::Waiting) {
            *phase = Phase::Withdrawn;
        }
    }
}

/// One transaction waiting for its batch.
struct Waiting {
    encoded: Vec<u8>,
    overrides_digest: bool,
    deadline: Moment,
    phase: SharedPhase,
    name: oneshot::Sender<OpId>,
    outcome: oneshot::Sender<Result<Outcome, Error>>,
}

impl Waiting {
    /// Whether its caller went away or ran out of time.
    fn is_abandoned(&self, now: Moment) -> bool {
        self.deadline <= now || self.outcome.is_canceled() || matches!(*lock(&self.phase), Phase::Withdrawn)
    }
}

/// Shows the size of the transaction only: what users write must not reach logs.
impl std::fmt::Debug for Waiting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = f.debug_struct("Waiting");
        shown.field("encoded", &SizeOf(self.encoded.len())).field("deadline", &self.deadline).field("phase", &self.phase);
        shown.finish_non_exhaustive()
    }
}

/// One transaction of a closed batch.
#[derive(Debug)]
pub(crate) struct Sent {
    pub(crate) op: OpId,
    deadline: Moment,
    outcome: oneshot::Sender<Result<Outcome, Error>>,
}

impl Sent {
    pub(crate) fn decide(self, outcome: Outcome) {
        // The caller may have gone: the handle keeps the outcome for `resolve`.
        self.outcome.send(Ok(outcome)).ok();
    }

    /// Whether its deadline is still to come. A caller who went away has not taken that back.
    pub(crate) fn is_awaited(&self, now: Moment) -> bool {
        now < self.deadline
    }

    /// Nothing of it was written, nor will be.
    pub(crate) fn refuse(self, error: Error) {
        self.outcome.send(Err(error)).ok();
    }
}

/// What was picked for a batch: the transactions' bytes, and what closes them.
///
/// Whoever is told something is woken only once the queue is free again: a waker is a stranger's code, and may drop another [`Pending`] of this queue.
pub(crate) struct Picked<'a> {
    queue: MutexGuard<'a, Inner>,
    taken: Vec<Waiting>,
    /// Those whose callers went away or ran out of time.
    abandoned: Vec<Waiting>,
}

#[derive(Debug, Default)]
struct Inner {
    waiting: VecDeque<Waiting>,
    bytes: usize,
    closed: Option<String>,
}

/// The bounded queue between callers and the committer.
#[derive(Debug)]
pub(crate) struct Queue {
    inner: Arc<Mutex<Inner>>,
    committer: AtomicWaker,
    most_transactions: usize,
    most_bytes: usize,
}

impl Queue {
    pub(crate) fn new(most_transactions: usize, most_bytes: usize) -> Self {
        Self { inner: Arc::default(), committer: AtomicWaker::new(), most_transactions, most_bytes }
    }

    /// # Errors
    /// [`Error::Overloaded`], [`Error::Closed`]: it was not taken.
    pub(crate) fn submit(
        &self,
        transaction: &Transaction,
        encoded: Vec<u8>,
        clock: &Arc<dyn Clock>,
        deadline: Moment,
    ) -> Result<Pending, Error> {
        let overrides_digest =
            transaction.protocol.iter().any(|operation| matches!(operation, crate::protocol::ProtocolOperation::DigestOverride { .. }));
        let (name, name_receiver) = oneshot::channel();
        let (outcome, outcome_receiver) = oneshot::channel();
        let phase = SharedPhase::default();
        {
            let mut inner = lock(&self.inner);
            if let Some(cause) = &inner.closed {
                return Err(Error::Closed { cause: cause.clone() });
            }
            let (waiting, bytes) = (inner.waiting.len(), inner.bytes);
            if waiting >= self.most_transactions || (waiting > 0 && bytes + encoded.len() > self.most_bytes) {
                return Err(Error::Overloaded { waiting, bytes });
            }
            inner.bytes += encoded.len();
            inner.waiting.push_back(Waiting { encoded, overrides_digest, deadline, phase: Arc::clone(&phase), name, outcome });
        }
        self.committer.wake();
        Ok(Pending {
            clock: Arc::clone(clock),
            deadline,
            queue: Arc::clone(&self.inner),
            phase,
            name: Some(name_receiver),
            outcome: outcome_receiver,
        })
    }

    /// Refuses what is still to come; what waits is still sent.
    pub(crate) fn close(&self, cause: &str) {
        lock(&self.inner).closed.get_or_insert_with(|| cause.to_owned());
        self.committer.wake();
    }

    /// Why nothing is taken any more, if so.
    pub(crate) fn closed(&self) -> Option<String> {
        lock(&self.inner).closed.clone()
    }

    /// Refuses everything that waits.
    pub(crate) fn fail(&self, error: &Error) {
        let failed: Vec<_> = {
            let mut inner = lock(&self.inner);
            inner.bytes = 0;
            let failed = inner.waiting.drain(..).collect::<Vec<_>>();
            failed.iter().for_each(|waiting| *lock(&waiting.phase) = Phase::Withdrawn);
            failed
        };
        for waiting in failed {
            waiting.outcome.send(Err(error.clone())).ok();
        }
    }

    /// Until something waits; false once the queue is closed and empty.
    pub(crate) async fn ready(&self) -> bool {
        poll_fn(|context| {
            self.committer.register(context.waker());
            let inner = lock(&self.inner);
            if !inner.waiting.is_empty() {
                Poll::Ready(true)
            } else if inner.closed.is_some() {
                Poll::Ready(false)
            } else {
                Poll::Pending
            }
        })
        .await
    }

    /// Whether something waits.
    pub(crate) fn has_waiting(&self) -> bool {
        !lock(&self.inner).waiting.is_empty()
    }

    /// Lets go of what nobody waits for any more.
    pub(crate) fn drop_abandoned(&self, now: Moment) {
        let gone: Vec<_> = {
            let mut inner = lock(&self.inner);
            let (gone, kept): (Vec<_>, Vec<_>) = inner.waiting.drain(..).partition(|waiting| waiting.is_abandoned(now));
            inner.waiting = kept.into();
            inner.bytes = inner.waiting.iter().map(|waiting| waiting.encoded.len()).sum();
            gone.iter().for_each(|waiting| *lock(&waiting.phase) = Phase::Withdrawn);
            gone
        };
        // Whoever is told something is woken only once the queue is free again.
        refuse_abandoned(gone);
    }

    /// Whether an operator's override waits, which is sent even by a replica that diverged.
    pub(crate) fn overrides_digest(&self) -> bool {
        lock(&self.inner).waiting.iter().any(|waiting| waiting.overrides_digest)
    }

    /// Takes what fits into one batch of about `most_bytes`: at least one transaction, if one waits whose caller does.
    pub(crate) fn pick(&self, now: Moment, most_bytes: usize) -> Picked<'_> {
        let mut queue = lock(&self.inner);
        let (mut taken, mut gone) = (Vec::new(), Vec::new());
        let mut bytes = 0;
        while let Some(next) = queue.waiting.front() {
            let abandoned = next.is_abandoned(now);
            if !abandoned && !taken.is_empty() && (bytes + next.encoded.len() > most_bytes || taken.len() == MAX_BATCH_TRANSACTIONS) {
                break;
            }
            let next = queue.waiting.pop_front().expect("the front is there");
            queue.bytes -= next.encoded.len();
            if abandoned {
                *lock(&next.phase) = Phase::Withdrawn;
                gone.push(next);
            } else {
                bytes += next.encoded.len();
                taken.push(next);
            }
        }
        Picked { queue, taken, abandoned: gone }
    }
}

impl Picked<'_> {
    /// Whether an operator's override is among them.
    pub(crate) fn overrides_digest(&self) -> bool {
        self.taken.iter().any(|waiting| waiting.overrides_digest)
    }

    pub(crate) fn transactions(&self) -> Vec<&[u8]> {
        self.taken.iter().map(|waiting| waiting.encoded.as_slice()).collect()
    }

    /// Closes the bytes: from here on each transaction has its name. `name` gives that of the n-th.
    pub(crate) fn close(self, name: impl Fn(u32) -> OpId) -> Vec<Sent> {
        let Self { queue, taken, abandoned } = self;
        let named: Vec<_> = (0..).zip(taken).map(|(index, waiting)| (name(index), waiting)).collect();
        for (op, waiting) in &named {
            *lock(&waiting.phase) = Phase::Sent(*op);
        }
        drop(queue);
        refuse_abandoned(abandoned);
        let tell = |(op, waiting): (OpId, Waiting)| {
            waiting.name.send(op).ok();
            Sent { op, deadline: waiting.deadline, outcome: waiting.outcome }
        };
        named.into_iter().map(tell).collect()
    }

    /// Ends without a batch: what was taken was abandoned.
    pub(crate) fn release(self) {
        let Self { queue, abandoned, .. } = self;
        drop(queue);
        refuse_abandoned(abandoned);
    }
}

fn refuse_abandoned(abandoned: Vec<Waiting>) {
    for waiting in abandoned {
        waiting.outcome.send(Ok(Outcome::Rejected(Withdrawal::NotSent))).ok();
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::task::{Context, Wake, Waker};

    use brainy_core::{ContentHash, SystemClock, WriterId};

    use super::*;

    /// On being woken, notes what a stranger would find, and drops another caller's promise.
    struct Nosy {
        other: Mutex<Option<Pending>>,
        found: Mutex<Vec<usize>>,
        ledger: Arc<Mutex<usize>>,
        queue: Arc<Mutex<Inner>>,
    }

    impl Wake for Nosy {
        fn wake(self: Arc<Self>) {
            // A queue that is still held would hang whoever drops a promise here.
            assert!(self.queue.try_lock().is_ok(), "woken while the queue is held");
            drop(lock(&self.other).take());
            lock(&self.found).push(*lock(&self.ledger));
        }
    }

    #[test]
    fn whoever_learns_a_name_finds_the_queue_free() {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let deadline = clock.now().after(std::time::Duration::from_secs(600));
        let queue = Queue::new(9, 900);
        let submit = || queue.submit(&Transaction::payload("x"), vec![1], &clock, deadline).unwrap();
        let (mut first, second) = (submit(), submit());
        let ledger = Arc::new(Mutex::new(0));
        let nosy = Arc::new(Nosy {
            other: Mutex::new(Some(second)),
            found: Mutex::default(),
            ledger: Arc::clone(&ledger),
            queue: Arc::clone(&queue.inner),
        });
        let waker = Waker::from(Arc::clone(&nosy));
        let mut name = Box::pin(first.op_id());
        assert!(name.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        let picked = queue.pick(clock.now(), 900);
        *lock(&ledger) = 2;
        let hash = ContentHash::of(b"batch");
        let sent = picked.close(|index| OpId { writer: WriterId::from_bytes([1; 16]), wseq: 1, index, base: 0, hash });
        assert_eq!(sent.len(), 2, "a promise that is dropped once the bytes are closed abandons the answer only");
        assert_eq!(*lock(&nosy.found), [2]);
    }

    #[test]
    fn whoever_stops_waiting_for_a_name_may_ask_again() {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let deadline = clock.now().after(std::time::Duration::from_secs(600));
        let queue = Queue::new(9, 900);
        let mut pending = queue.submit(&Transaction::payload("x"), vec![1], &clock, deadline).unwrap();
        for _ in 0..2 {
            let mut name = Box::pin(pending.op_id());
            assert!(name.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending(), "it waits still, and is not withdrawn");
        }
        let op = OpId { writer: WriterId::from_bytes([1; 16]), wseq: 1, index: 0, base: 0, hash: ContentHash::of(b"batch") };
        assert_eq!(queue.pick(clock.now(), 900).close(|_| op).len(), 1);
        assert_eq!(futures_executor::block_on(pending.op_id()), Some(op));
        assert_eq!(futures_executor::block_on(pending.op_id()), Some(op), "and as often as it likes");
    }
}
