//! A handle on a log.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use brainy_core::clock::before;
use brainy_core::{Moment, SetHash};
use brainy_storage::StoreTime;
use bytes::Bytes;

use crate::batch::Transaction;
use crate::committer;
use crate::descriptor::Descriptor;
use crate::environment::Environment;
use crate::error::Error;
use crate::head;
use crate::inbox::Inbox;
use crate::ledger::Ledger;
use crate::machine::StateMachine;
use crate::make::{self, Known};
use crate::queue::{Pending, Queue};
use crate::reader::Reader;
use crate::state::LogState;
use crate::tip::Tip;
use crate::token::{OpId, Token};

mod options;

pub use options::LogOptions;

/// Largest transaction that can be submitted, its envelope included.
const MOST_TRANSACTION_BYTES: usize = brainy_core::MAX_TRANSACTION_BYTES + (64 << 10);
/// How often `close` looks whether everything is decided.
const CLOSE_INTERVAL: Duration = Duration::from_millis(2);
/// So often a look at the tail is sent beside the committer, before the committer has to wait for one.
const MOST_LOOKS_BESIDE: u32 = 3;

/// What a handle counted since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Figures {
    /// Batches decided.
    pub batches: u64,
    /// Slots that somebody else created first.
    pub lost_races: u64,
    /// Tries that failed and were repeated.
    pub failures: u64,
    /// Batches left in the inbox, to be carried by others.
    pub posted: u64,
    /// Others' batches carried in own slots.
    pub carried: u64,
    /// Listings of the inbox.
    pub listings: u64,
    /// Looks at the tail while following.
    pub looks: u64,
    /// Those of them that a wake-up brought forward.
    pub woken: u64,
    /// Slots, by anybody, for which a listing was due and not made. Their batches count.
    pub breaches: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) batches: AtomicU64,
    pub(crate) lost_races: AtomicU64,
    pub(crate) failures: AtomicU64,
    pub(crate) posted: AtomicU64,
    pub(crate) carried: AtomicU64,
    pub(crate) listings: AtomicU64,
    pub(crate) looks: AtomicU64,
    pub(crate) woken: AtomicU64,
    breaches: AtomicU64,
}

/// What reads need without waiting for the tip.
#[derive(Debug)]
struct Seen {
    token: Token,
    /// When the last confirmed look at the tail was sent; a create that succeeded is one, too.
    confirmed: Option<Moment>,
    failed: Option<Error>,
}

#[derive(Debug)]
pub(crate) struct Shared<M: StateMachine> {
    pub(crate) reader: Reader<M>,
    pub(crate) descriptor: Descriptor,
    pub(crate) options: LogOptions,
    /// Whoever waits for it gets it in turn: readers who ask without end must not keep the committer from it.
    pub(crate) tip: tokio::sync::Mutex<Tip>,
    /// Held by whoever looks at the tail for everybody who waits, without the tip.
    looking: tokio::sync::Mutex<()>,
    pub(crate) queue: Queue,
    pub(crate) ledger: Ledger,
    pub(crate) inbox: Inbox<M::Command>,
    pub(crate) figures: Counters,
    pub(crate) store_time: Mutex<Option<(StoreTime, Moment)>>,
    pub(crate) last_failure: Mutex<Option<Error>>,
    seen: Mutex<Seen>,
    stopped: Mutex<Option<String>>,
    running: AtomicBool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<M: StateMachine> Shared<M> {
    /// Makes the tip's position known to reads that do not wait for it.
    pub(crate) fn publish(&self, tip: &Tip) {
        // What readers saw before may be large: it is freed when nothing is held here any more.
        let _retired = tip.is_firm().then(|| self.reader.machine.confirm());
        let moved = {
            let mut seen = lock(&self.seen);
            let before = seen.token.seq;
            if tip.is_firm() {
                seen.token = tip.token();
            }
            seen.failed = tip.check().err();
            (seen.token.seq > before).then_some(seen.token.seq)
        };
        self.figures.breaches.store(tip.breaches, Ordering::Relaxed);
        if let (Some(seq), Some(wake)) = (moved, &self.options.wake) {
            wake.moved(seq);
        }
    }

    /// A look at the tail that was sent then was confirmed.
    pub(crate) fn note_look(&self, sent: Moment) {
        let mut seen = lock(&self.seen);
        seen.confirmed = seen.confirmed.max(Some(sent));
    }

    fn has_looked_since(&self, asked: Moment) -> bool {
        lock(&self.seen).confirmed.is_some_and(|sent| sent > asked)
    }

    /// The failure that somebody who asks is told.
    pub(crate) fn note_failure(&self, error: &Error) {
        *lock(&self.last_failure) = Some(error.clone());
    }

    /// The tip, as soon as nobody else works on it.
    ///
    /// # Errors
    /// [`Error::Deadline`].
    pub(crate) async fn lock_tip(&self, deadline: Moment) -> Result<tokio::sync::MutexGuard<'_, Tip>, Error> {
        let locked = before(&*self.reader.environment.clock, deadline, self.tip.lock()).await;
        locked.ok_or(Error::Deadline { doing: "waiting for the tail of the log" })
    }

    /// Wall-clock milliseconds for a header: the store's time where it has one, moved on by what has passed since.
    pub(crate) fn corrected_wall_ms(&self) -> u64 {
        let clock = &self.reader.environment.clock;
        let noted = *lock(&self.store_time);
        match noted {
            Some((at, moment)) => at.as_ms().saturating_add(u64::try_from(clock.now().since(moment).as_millis()).unwrap_or(u64::MAX)),
            None => clock.wall_ms(),
        }
    }

    pub(crate) fn note_store_time(&self, at: Option<StoreTime>) {
        if let Some(at) = at {
            let now: Moment = self.reader.environment.clock.now();
            *lock(&self.store_time) = Some((at, now));
        }
    }

    /// Whether somebody drives the committer.
    pub(crate) fn is_running(&self) -> bool {
        self.running.load(Ordering::Acquire)
    }

    /// Why the committer must stop before everything is decided, if so.
    pub(crate) fn stopped(&self) -> Option<String> {
        lock(&self.stopped).clone()
    }
}

/// Ends a handle together with whoever drives it.
struct Driver<'a, M: StateMachine> {
    shared: &'a Shared<M>,
    cause: String,
}

impl<M: StateMachine> Drop for Driver<'_, M> {
    fn drop(&mut self) {
        let cause = std::mem::take(&mut self.cause);
        self.shared.queue.close(&cause);
        self.shared.queue.fail(&Error::Closed { cause });
        self.shared.running.store(false, Ordering::Release);
    }
}

/// A handle on a log and on the state machine it drives. Cheap to clone; all clones are one handle with one writer identity.
///
/// It has no runtime of its own: somebody must drive [`run`](Self::run) for submitted transactions to be sent, and may drive [`follow`](Self::follow).
#[derive(Debug)]
pub struct ChangeLog<M: StateMachine> {
    shared: Arc<Shared<M>>,
}

impl<M: StateMachine> Clone for ChangeLog<M> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<M: StateMachine> ChangeLog<M> {
    /// Opens the store's log with an empty `machine` and applies everything there is.
    ///
    /// # Errors
    /// [`Error::NoStore`]: a store is made by [`create_store`](crate::create_store), never by opening it; else the log cannot be read or applied. Nothing was written.
    pub async fn open(environment: Environment, machine: Arc<M>, options: LogOptions, deadline: Moment) -> Result<Self, Error> {
        options.validate()?;
        let known = make::read_known(&environment, deadline).await?;
        Self::open_known(environment, known, machine, options, deadline).await
    }

    async fn open_known(
        environment: Environment,
        known: Known,
        machine: Arc<M>,
        options: LogOptions,
        deadline: Moment,
    ) -> Result<Self, Error> {
        let mut tip = Tip::new(&known);
        let reader = Reader { environment, machine, decoder: options.decoder.clone() };
        let seen = head::read_head(&reader.environment, known.descriptor.store, deadline).await?;
        let at = seen.at;
        Box::pin(reader.begin(&mut tip, seen, deadline)).await?;
        let sent = reader.environment.clock.now();
        reader.catch_up(&mut tip, deadline).await?;
        reader.check_gap(&mut tip, deadline).await?;
        drop(reader.machine.confirm());
        let seen = Seen { token: tip.token(), confirmed: Some(sent), failed: tip.check().err() };
        let queue = Queue::new(options.queue_transactions, options.queue_bytes);
        let shared = Shared {
            reader,
            descriptor: known.descriptor,
            options,
            tip: tokio::sync::Mutex::new(tip),
            looking: tokio::sync::Mutex::default(),
            queue,
            ledger: Ledger::default(),
            inbox: Inbox::default(),
            figures: Counters::default(),
            store_time: Mutex::default(),
            last_failure: Mutex::default(),
            seen: Mutex::new(seen),
            stopped: Mutex::default(),
            running: AtomicBool::new(false),
        };
        shared.note_store_time(at);
        Ok(Self { shared: Arc::new(shared) })
    }

    pub(crate) fn shared(&self) -> &Shared<M> {
        &self.shared
    }

    /// What the store is.
    pub fn descriptor(&self) -> &Descriptor {
        &self.shared.descriptor
    }

    /// The machine it drives.
    pub fn machine(&self) -> &Arc<M> {
        &self.shared.reader.machine
    }

    /// Where it lives.
    pub fn environment(&self) -> &Environment {
        &self.shared.reader.environment
    }

    /// The position that this handle has applied.
    pub fn position(&self) -> Token {
        lock(&self.shared.seen).token
    }

    /// The position that is applied, with this replica's digests of the machine's state and of the log's bookkeeping as of it. Equal positions have
    /// equal digests on every instance.
    ///
    /// # Errors
    /// [`Error::Diverged`]: this replica stopped answering. As [`refresh`](Self::refresh), where what was read last is not confirmed yet.
    pub async fn digests(&self) -> Result<(Token, SetHash, SetHash), Error> {
        let tip = self.firm_tip().await?;
        Ok((tip.token(), self.machine().summary().digest, tip.state.digest()))
    }

    /// What `read` finds in the machine, and the position it is of: nothing is installed meanwhile.
    ///
    /// # Errors
    /// As [`digests`](Self::digests).
    pub async fn at_rest<T>(&self, read: impl FnOnce(&M) -> T) -> Result<(Token, T), Error> {
        let tip = self.firm_tip().await?;
        Ok((tip.token(), read(self.machine())))
    }

    /// What `decide` makes of the bookkeeping at a position that is confirmed.
    pub(crate) async fn at_confirmed<T>(&self, decide: impl FnOnce(&LogState) -> T) -> Result<T, Error> {
        Ok(decide(&self.firm_tip().await?.state))
    }

    /// The tip at a position that is confirmed.
    async fn firm_tip(&self) -> Result<tokio::sync::MutexGuard<'_, Tip>, Error> {
        let mut tip = self.shared.tip.lock().await;
        if !tip.is_firm() {
            let deadline = self.environment().clock.now().after(committer::ATTEMPT);
            let caught_up = self.shared.reader.catch_up(&mut tip, deadline).await;
            self.shared.publish(&tip);
            caught_up?;
        }
        tip.check()?;
        Ok(tip)
    }

    /// Whether the handle's last look at the tail is younger than `age`: no request.
    ///
    /// # Errors
    /// [`Error::Diverged`]: this replica stopped answering.
    pub fn is_younger(&self, age: Duration) -> Result<bool, Error> {
        self.check()?;
        let now = self.environment().clock.now();
        Ok(lock(&self.shared.seen).confirmed.is_some_and(|sent| now.since(sent) < age))
    }

    /// The highest token that was claimed for the lease `name`, as of the position that is applied; 0 if none was. Whoever keeps a resource outside of the log
    /// may ask it which holders are of the past.
    ///
    /// # Errors
    /// [`Error::Deadline`]; as [`digests`](Self::digests).
    pub async fn highest_claim(&self, name: &str, deadline: Moment) -> Result<u64, Error> {
        let clock = &*self.environment().clock;
        let claim = before(clock, deadline, self.at_confirmed(|state| state.claim(name))).await;
        claim.unwrap_or(Err(Error::Deadline { doing: "waiting for the tail of the log" }))
    }

    /// Whether the handle only reads.
    pub fn is_read_only(&self) -> bool {
        self.shared.options.read_only
    }

    /// Counts since the handle was opened.
    pub fn figures(&self) -> Figures {
        let Counters { batches, lost_races, failures, posted, carried, listings, looks, woken, breaches } = &self.shared.figures;
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Figures {
            batches: read(batches),
            lost_races: read(lost_races),
            failures: read(failures),
            posted: read(posted),
            carried: read(carried),
            listings: read(listings),
            looks: read(looks),
            woken: read(woken),
            breaches: read(breaches),
        }
    }

    /// The failure that the committer or follower met last, if any.
    pub fn last_failure(&self) -> Option<Error> {
        lock(&self.shared.last_failure).clone()
    }

    /// Whether answers may be given at all.
    ///
    /// # Errors
    /// [`Error::Diverged`]: this replica stopped answering.
    pub fn check(&self) -> Result<(), Error> {
        lock(&self.shared.seen).failed.clone().map_or(Ok(()), Err)
    }

    /// Hands a transaction over for the next batch. It is sent by whoever drives [`run`](Self::run), as soon as no earlier batch is in flight.
    ///
    /// # Errors
    /// [`Error::Overloaded`], [`Error::ReadOnly`], [`Error::Invalid`], [`Error::Closed`]: it was not taken and will not be sent.
    pub fn submit(&self, transaction: &Transaction, deadline: Moment) -> Result<Pending, Error> {
        if self.shared.options.read_only {
            return Err(Error::ReadOnly);
        }
        let bytes = transaction.payload.as_ref().map_or(0, Bytes::len);
        let too_large = |bytes| Error::Invalid { reason: format!("{bytes} bytes, at most {MOST_TRANSACTION_BYTES} are allowed") };
        if bytes > MOST_TRANSACTION_BYTES {
            return Err(too_large(bytes));
        }
        let encoded = transaction.encode();
        if encoded.len() > MOST_TRANSACTION_BYTES {
            return Err(too_large(encoded.len()));
        }
        if !transaction.protocol.is_empty() || transaction.fence.is_some() {
            // What no replica would read must not get a number.
            Transaction::decode(&Bytes::copy_from_slice(&encoded)).map_err(|error| Error::Invalid { reason: error.to_string() })?;
        }
        self.shared.queue.submit(transaction, encoded, &self.environment().clock, deadline)
    }

    /// Sends what is submitted, until the handle is closed and everything sent is decided. One of the handle's clones drives it at a time. However it
    /// ends, by a panic or by being dropped too, the handle takes nothing more, and what waits is refused: nothing of that was sent.
    ///
    /// # Errors
    /// [`Error::Closed`]: it was told to stop before everything was decided, or somebody drives it already.
    pub async fn run(&self) -> Result<(), Error> {
        if self.shared.running.swap(true, Ordering::AcqRel) {
            return Err(Error::Closed { cause: "another task drives this handle's committer".into() });
        }
        let mut driver = Driver { shared: &self.shared, cause: "its committer was dropped or panicked".into() };
        let result = committer::run(&self.shared).await;
        driver.cause = match &result {
            Ok(()) => "it was closed".to_owned(),
            Err(error) => error.to_string(),
        };
        result
    }

    /// Takes no more transactions, waits until all that were taken are decided, and at the deadline tells the committer to stop.
    /// Returns the operations that were sent and are still undecided: `resolve` them later, anywhere.
    pub async fn close(&self, deadline: Moment) -> Vec<OpId> {
        let clock = &self.environment().clock;
        self.shared.queue.close("it was closed");
        while self.shared.running.load(Ordering::Acquire) && clock.now() < deadline {
            clock.sleep(CLOSE_INTERVAL).await;
        }
        self.stop("it was closed");
        self.shared.ledger.undecided()
    }

    /// Stops at once: nothing more is taken or repeated, and what waits is refused. What is in flight may still take effect.
    pub fn stop(&self, cause: &str) {
        lock(&self.shared.stopped).get_or_insert_with(|| cause.to_owned());
        self.shared.queue.close(cause);
        // Under the queue's lock: a batch was closed before and is in the ledger, or nothing is left to make one of.
        self.shared.queue.fail(&Error::Closed { cause: cause.to_owned() });
    }

    /// Why the handle takes nothing any more, if so.
    pub fn closed(&self) -> Option<String> {
        self.shared.queue.closed()
    }

    /// Applies everything that was committed before the call: a linearizable look at the tail. Callers who come at once share looks.
    ///
    /// Whoever began it polls it to its end or drops it: who waits for the replica is served in turn, the committer too, and a future that is kept and not polled keeps
    /// the turn that it got. This holds for every call of this handle that waits for the replica.
    ///
    /// # Errors
    /// [`Error`]: the handle stands where it could get to; asking again is safe.
    pub async fn refresh(&self, deadline: Moment) -> Result<Token, Error> {
        let clock = &self.environment().clock;
        let asked = clock.now();
        let looked = before(&**clock, deadline, async {
            let _turn = self.shared.looking.lock().await;
            let mut tries = MOST_LOOKS_BESIDE;
            loop {
                let next = {
                    let tip = self.shared.tip.lock().await;
                    tip.check_next()?;
                    // INV-9: somebody may have read on since, and not be sure yet of what he found.
                    if tip.is_firm() && self.shared.has_looked_since(asked) {
                        tip.check()?;
                        return Ok(tip.token());
                    }
                    tip.next()
                };
                let sent = clock.now();
                // The committer goes on meanwhile. Where its creates leave nothing of the look but answer nobody either, it waits in the end.
                let read = if tries > 0 { Some(self.shared.reader.read_slot(next, deadline).await?) } else { None };
                let mut tip = self.shared.tip.lock().await;
                if read.is_some() && tip.next() != next {
                    tries -= 1;
                    continue;
                }
                let result = Box::pin(self.shared.reader.catch_up_from(read, &mut tip, deadline)).await;
                self.shared.publish(&tip);
                result?;
                // INV-8: only a look that was sent after a caller asked answers that caller.
                self.shared.note_look(sent);
                tip.check()?;
                return Ok(tip.token());
            }
        });
        looked.await.unwrap_or(Err(Error::Deadline { doing: "reading the tail of the log" }))
    }

    /// Makes sure that everything that was committed up to `age` before the call is applied: no request if a look at the tail is younger.
    ///
    /// # Errors
    /// As [`refresh`](Self::refresh).
    pub async fn refresh_older_than(&self, age: Duration, deadline: Moment) -> Result<Token, Error> {
        let now = self.environment().clock.now();
        let young = {
            let seen = lock(&self.shared.seen);
            seen.confirmed.is_some_and(|sent| now.since(sent) < age).then(|| seen.failed.clone().map_or(Ok(seen.token), Err))
        };
        match young {
            Some(known) => known,
            None => self.refresh(deadline).await,
        }
    }

    /// Waits until the position of `token` is applied: read your own writes on any instance.
    ///
    /// # Errors
    /// [`Error::ForeignToken`]: of another store; [`Error::RolledBack`]: the log does not reach it, or holds another slot there: it is no matter of waiting.
    pub async fn reach(&self, token: Token, deadline: Moment) -> Result<Token, Error> {
        let store = self.shared.descriptor.store;
        if token.store != store {
            return Err(Error::ForeignToken { found: token.store, expected: store });
        }
        let known = self.position();
        if known.seq < token.seq {
            self.refresh(deadline).await?;
        } else {
            self.check()?;
        }
        let tip = before(&*self.environment().clock, deadline, self.firm_tip()).await;
        let tip = tip.unwrap_or(Err(Error::Deadline { doing: "waiting for the tail of the log" }))?;
        let position = tip.token();
        if position.seq < token.seq || position.epoch < token.epoch {
            let reason = format!(
                "the token names slot {} of epoch {}, the log ends at {} of epoch {}",
                token.seq, token.epoch, position.seq, position.epoch
            );
            return Err(Error::RolledBack { reason });
        }
        if tip.hash_of(token.seq).is_some_and(|hash| hash != token.hash) {
            return Err(Error::RolledBack { reason: format!("slot {} is not the one the token names", token.seq) });
        }
        Ok(position)
    }
}
