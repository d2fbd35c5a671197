//! A lock on a log: a lease with fencing tokens.

mod guard;
mod keeper;
mod tenure;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use brainy_core::clock::before;
use brainy_core::{HolderId, Moment};
use brainy_storage::{Created, Get, GetOptions, Key, Revision, Swapped};
use futures_channel::oneshot;
use futures_util::future::{Either, select};

use crate::batch::Transaction;
use crate::environment::Environment;
use crate::error::Error;
use crate::keys;
use crate::lease::decide::{Seen, Sight, Turn, believed_for, turn};
use crate::lease::{LONGEST_TTL, Lease, SHORTEST_TTL, Term};
use crate::log::ChangeLog;
use crate::machine::{Rejection, StateMachine};
use crate::mutants::broken;
use crate::protocol::{MAX_NAME_BYTES, MAX_REASON_BYTES, ProtocolOperation, is_name};
use crate::queue::{Outcome, Withdrawal};
use crate::spawn::Spawn;

pub use guard::Guard;
pub use tenure::Loss;

use keeper::{Keeper, standing};
use tenure::Tenure;

/// How a lock behaves.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct LockOptions {
    /// How long a lease lives unrenewed; shorter fails over sooner, and costs one PUT per third of it while it is held. Default: [`Self::TTL`].
    pub ttl: Duration,
    /// How often whoever waits looks; shorter notices a release sooner, each look costs one GET, without a body where nothing changed. Default: [`Self::POLL`].
    pub poll: Duration,
    /// For people who ask who holds it: a host, a job. At most [`MAX_REASON_BYTES`] bytes.
    pub note: String,
}

impl LockOptions {
    /// Default of [`Self::ttl`].
    pub const TTL: Duration = Duration::from_secs(15);
    /// Default of [`Self::poll`].
    pub const POLL: Duration = Duration::from_secs(1);

    /// With this life.
    #[must_use]
    pub const fn with_ttl(mut self, ttl: Duration) -> Self {
        self.ttl = ttl;
        self
    }

    /// With this interval of looks.
    #[must_use]
    pub const fn with_poll(mut self, poll: Duration) -> Self {
        self.poll = poll;
        self
    }

    /// With this note.
    #[must_use]
    pub fn with_note(mut self, note: impl Into<String>) -> Self {
        self.note = note.into();
        self
    }

    fn validate(&self) -> Result<(), Error> {
        let wrong = |field, reason: String| Err(Error::Option { field, reason });
        if !(SHORTEST_TTL..=LONGEST_TTL).contains(&self.ttl) {
            return wrong("ttl", format!("it must be between {SHORTEST_TTL:?} and {LONGEST_TTL:?}"));
        }
        if self.poll.is_zero() {
            return wrong("poll", "it must be above 0".into());
        }
        if self.note.len() > MAX_REASON_BYTES {
            return wrong("note", format!("{} bytes, at most {MAX_REASON_BYTES} are allowed", self.note.len()));
        }
        Ok(())
    }
}

impl Default for LockOptions {
    fn default() -> Self {
        Self { ttl: Self::TTL, poll: Self::POLL, note: String::new() }
    }
}

/// Who holds a lock, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Holder {
    /// Which handle on the lock.
    pub id: HolderId,
    /// Its fencing token.
    pub token: u64,
    /// Its note.
    pub note: String,
    /// Its own wall clock, in milliseconds since 1970, when it took the lease.
    pub since_ms: u64,
    /// How long a lease of it lives unrenewed.
    pub ttl: Duration,
    /// How long this handle has seen the lease exactly as it is; after little more than `ttl` it can be taken over.
    pub unchanged_for: Duration,
}

/// One name for which at most one of any number of processes works at a time.
///
/// It lives on a log (its own, with a [`NullMachine`](crate::NullMachine), or a store's), where each holder's token is claimed: so tokens survive the loss of the lease
/// object, and transactions can be fenced. Somebody must drive [`ChangeLog::run`] while it is taken. Cheap to clone; clones are one handle with one identity.
///
/// Leases after Gray and Cheriton (1989), fencing tokens after Burrows (Chubby, 2006): <https://research.google/pubs/pub27897/>.
#[derive(Debug)]
pub struct Lock<M: StateMachine> {
    inner: Arc<Inner<M>>,
}

impl<M: StateMachine> Clone for Lock<M> {
    fn clone(&self) -> Self {
        Self { inner: Arc::clone(&self.inner) }
    }
}

#[derive(Debug)]
struct Inner<M: StateMachine> {
    log: ChangeLog<M>,
    environment: Environment,
    spawn: Arc<dyn Spawn>,
    name: String,
    key: Key,
    options: LockOptions,
    watch: Mutex<Watch>,
    /// One attempt of this handle at a time.
    attempts: futures_util::lock::Mutex<()>,
}

/// What this handle has seen of the lease.
#[derive(Debug)]
struct Watch {
    /// Who this handle is to others.
    holder: HolderId,
    /// The highest token that it ever asked for under that name.
    asked: u64,
    seen: Option<(Sight, Lease)>,
    /// It was there once.
    known: bool,
    /// This handle's newest turn.
    current: Option<Arc<Tenure>>,
}

/// How one attempt ended.
enum Attempt {
    Got(Guard),
    /// Somebody else has it, at least until then.
    Taken {
        until: Moment,
        holder: Lease,
    },
    /// The state moved under it: look again.
    Again,
}

/// So many times at most [`Lock::try_acquire`] looks again at a lease that moves under it.
const MOST_ROUNDS: usize = 8;

impl<M: StateMachine> Lock<M> {
    /// A handle on the lock `name` that lives on `log`. Nothing is read or written yet. `spawn` runs what renews the lease while it is held.
    ///
    /// # Errors
    /// [`Error::Invalid`]: no name of a lock (`[a-z0-9_-]`, 1 to 64); [`Error::Option`]; [`Error::ReadOnly`]: a handle that cannot claim.
    pub fn open(log: &ChangeLog<M>, spawn: Arc<dyn Spawn>, name: &str, options: LockOptions) -> Result<Self, Error> {
        Self::open_in(log, log.environment().clone(), spawn, name, options)
    }

    /// As [`open`](Self::open), with a client of its own to the same objects for the lease: so that renewals do not queue behind other requests.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_in(
        log: &ChangeLog<M>,
        environment: Environment,
        spawn: Arc<dyn Spawn>,
        name: &str,
        options: LockOptions,
    ) -> Result<Self, Error> {
        options.validate()?;
        if !is_name(name) {
            let shown: String = name.chars().take(MAX_NAME_BYTES).collect();
            return Err(Error::Invalid { reason: format!("{shown:?} is no name of a lock: 1 to {MAX_NAME_BYTES} of a-z, 0-9, _ and -") });
        }
        if log.is_read_only() {
            return Err(Error::ReadOnly);
        }
        let inner = Inner {
            log: log.clone(),
            watch: Mutex::new(Watch { holder: HolderId::random(&*environment.entropy), asked: 0, seen: None, known: false, current: None }),
            environment,
            spawn,
            name: name.to_owned(),
            key: keys::lease(name),
            options,
            attempts: futures_util::lock::Mutex::new(()),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.inner.name
    }

    /// This handle's identity, as others see it in [`holder`](Self::holder). It changes where another process turns out to have it too: a copy of this machine.
    pub fn id(&self) -> HolderId {
        self.watch().holder
    }

    /// Takes the lock if it is free, or if this handle has seen its holder silent for the holder's whole life (call it again and again, or use
    /// [`acquire`](Self::acquire)).
    ///
    /// # Errors
    /// [`Error::Invalid`]: the store has no room for another lock's name, or the lock's tokens are used up; [`Error::LeaseTaken`]: somebody has it; [`Error::LeaseVanished`]: a human must look; [`Error::LeaseUnknown`]: whether we took it is not known (we do not
    /// hold it, and others get it when its life ends at the latest). No guard, nothing held.
    pub async fn try_acquire(&self, deadline: Moment) -> Result<Guard, Error> {
        let mut rounds = 1;
        loop {
            match self.attempt(deadline).await? {
                Attempt::Got(guard) => return Ok(guard),
                Attempt::Taken { holder, .. } => return Err(self.taken(&holder)),
                Attempt::Again if rounds >= MOST_ROUNDS => {
                    return Err(self.unknown(0, "it changed hands again and again"));
                }
                Attempt::Again => rounds += 1,
            }
        }
    }

    /// Waits for the lock until `deadline`: for a release, or until its holder has been silent for its whole life.
    ///
    /// # Errors
    /// As [`try_acquire`](Self::try_acquire); [`Error::LeaseTaken`] only at the deadline.
    pub async fn acquire(&self, deadline: Moment) -> Result<Guard, Error> {
        let clock = &self.inner.environment.clock;
        let mut rounds = 0;
        loop {
            let (until, holder) = match self.attempt(deadline).await? {
                Attempt::Got(guard) => return Ok(guard),
                Attempt::Taken { until, holder } => (until, holder),
                Attempt::Again if clock.now() >= deadline => return Err(self.unknown(0, "it changed hands again and again")),
                // A race that was lost is run again at once, but not for ever: a store that refuses without a rival is no race.
                Attempt::Again if rounds < MOST_ROUNDS => {
                    rounds += 1;
                    continue;
                }
                Attempt::Again => {
                    let next = clock.now().after(self.inner.options.poll.mul_f64(0.5 + self.inner.environment.entropy.fraction()));
                    clock.sleep_until(next.min(deadline)).await;
                    if next >= deadline {
                        return Err(self.unknown(0, "it changed hands again and again"));
                    }
                    continue;
                }
            };
            rounds = 0;
            // Those who wait for one lease do not all come in the same moment, neither to look nor when it ends.
            let fraction = self.inner.environment.entropy.fraction();
            let look = clock.now().after(self.inner.options.poll.mul_f64(0.5 + fraction));
            let end = until.after((self.inner.options.ttl / 10).min(self.inner.options.poll).mul_f64(fraction));
            let next = look.min(end);
            if next >= deadline {
                clock.sleep_until(deadline).await;
                return Err(self.taken(&holder));
            }
            clock.sleep_until(next).await;
        }
    }

    /// Who holds the lock now; none if nobody does. Looking counts as watching: a later [`try_acquire`](Self::try_acquire) knows since when nothing changed.
    ///
    /// # Errors
    /// The lease cannot be read.
    pub async fn holder(&self, deadline: Moment) -> Result<Option<Holder>, Error> {
        let seen = self.look(deadline).await?;
        let now = self.inner.environment.clock.now();
        Ok(seen.filter(|(_, lease)| lease.held).map(|(sight, lease)| Holder {
            id: lease.holder,
            token: lease.token,
            note: lease.note,
            since_ms: lease.since_ms,
            ttl: lease.ttl,
            unchanged_for: now.since(sight.since),
        }))
    }

    /// Makes a lease that vanished anew, free. For an operator who has made sure that no holder of the old one still works; nothing calls it by itself.
    ///
    /// # Errors
    /// [`Error::LeaseTaken`]: it is there; else it could not be made, and is not there unless [`Error::LeaseUnknown`] says so.
    pub async fn remake(&self, deadline: Moment) -> Result<(), Error> {
        if let Some((_, lease)) = self.look(deadline).await? {
            return Err(self.taken(&lease));
        }
        self.inner.log.refresh(deadline).await?;
        let claimed = self.inner.log.highest_claim(&self.inner.name, deadline).await?;
        let body = Lease::remade(self.term(claimed), &*self.inner.environment.entropy);
        match self.inner.environment.create(&self.inner.key, body.encode(), deadline).await?.value {
            Created::Committed(_) => Ok(()),
            Created::Rejected(_) => match self.look(deadline).await? {
                Some((_, lease)) => Err(self.taken(&lease)),
                None => Err(Error::LeaseVanished { name: self.inner.name.clone() }),
            },
            Created::Unknown(error) => Err(self.unknown(claimed, error.to_string())),
        }
    }

    /// Commits `transaction` under `guard`'s fencing token.
    ///
    /// # Errors
    /// [`Error::Invalid`]: a guard of another lock; [`Error::LeaseLost`]: nothing was sent; [`Error::Fenced`]: a later holder has claimed its token, the transaction has no effect; else as
    /// [`ChangeLog::submit`] and [`Pending::outcome`](crate::Pending::outcome).
    pub async fn commit(&self, guard: &Guard, transaction: Transaction, deadline: Moment) -> Result<Outcome, Error> {
        if (guard.name(), guard.store()) != (self.name(), self.inner.log.descriptor().store) {
            return Err(Error::Invalid {
                reason: format!("the guard is of {} in store {}, the lock is {}", guard.name(), guard.store(), self.name()),
            });
        }
        guard.check()?;
        let outcome = self.inner.log.submit(&transaction.with_fence(guard.fence()), deadline)?.outcome().await?;
        match outcome {
            Outcome::Rejected(Withdrawal::Precondition { op, rejection }) if rejection.code == Rejection::FENCED => {
                Err(Error::Fenced { name: guard.name().to_owned(), token: guard.token(), op })
            }
            outcome => Ok(outcome),
        }
    }

    fn watch(&self) -> MutexGuard<'_, Watch> {
        self.inner.watch.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn too_many(&self) -> Error {
        let most = self.inner.log.descriptor().constants.most_leases();
        Error::Invalid { reason: format!("lock {} would be one name of a lock too many for this store, which has {most}", self.name()) }
    }

    fn taken(&self, holder: &Lease) -> Error {
        Error::LeaseTaken { name: self.inner.name.clone(), token: holder.token, note: holder.note.clone() }
    }

    fn unknown(&self, token: u64, reason: impl Into<String>) -> Error {
        Error::LeaseUnknown { name: self.inner.name.clone(), token, reason: reason.into() }
    }

    fn term(&self, token: u64) -> Term {
        let Inner { log, environment, options, .. } = &*self.inner;
        Term {
            store: log.descriptor().store,
            holder: self.id(),
            token,
            ttl: options.ttl,
            note: options.note.clone(),
            since_ms: environment.clock.wall_ms(),
        }
    }

    /// Reads the lease, without its body where it is as this handle last saw it.
    async fn look(&self, deadline: Moment) -> Result<Option<(Sight, Lease)>, Error> {
        let Inner { environment, key, log, .. } = &*self.inner;
        let known = self.watch().seen.as_ref().map(|(sight, _)| sight.revision.clone());
        let options = known.clone().map_or_else(GetOptions::whole, GetOptions::if_changed_from);
        let found = environment.read(key, options, deadline).await?.value;
        let now = environment.clock.now();
        let mut watch = self.watch();
        watch.seen = match found {
            Get::Found(object) => {
                // What nobody can read is nobody's to take: it may be held.
                let lease = Lease::decode(&object.bytes).map_err(|error| Error::bytes(key, error))?;
                let store = log.descriptor().store;
                if lease.store != store {
                    return Err(Error::ForeignObject { key: key.to_string(), found: lease.store, expected: store });
                }
                watch.known = true;
                let before = watch.seen.as_ref().map(|(sight, _)| sight);
                Some((Sight::after(before, &object.revision, lease.marks.nonce, now), lease))
            }
            // Another clone of this handle may have seen a newer state meanwhile: that one stands.
            Get::NotModified => watch.seen.take(),
            Get::Absent => None,
        };
        Ok(watch.seen.clone())
    }

    fn turn_of(&self, seen: Option<&(Sight, Lease)>, claimed: u64) -> Turn {
        let Inner { environment, .. } = &*self.inner;
        let (known, current, holder) = {
            let mut watch = self.watch();
            let current = watch.current.clone();
            let taken = |token| current.as_ref().is_some_and(|current| current.token == token && current.loss() == Some(Loss::Taken));
            // A turn under our name that is not ours: a copy of this machine has it, and believes in it.
            if seen.is_some_and(|(_, lease)| lease.holder == watch.holder && (lease.token > watch.asked || taken(lease.token))) {
                watch.holder = HolderId::random(&*environment.entropy);
            }
            (watch.known, current, watch.holder)
        };
        let seen = seen.map(|(sight, lease)| {
            // A turn of our own that we do not believe in: an attempt whose outcome we never learned, or one that ended here.
            let believed = current.is_some_and(|current| current.token == lease.token && current.loss().is_none());
            let expired = broken!(CompareWallClocks)
                && environment.clock.wall_ms() > lease.since_ms.saturating_add(u64::try_from(lease.ttl.as_millis()).unwrap_or(u64::MAX));
            Seen {
                token: lease.token,
                held: lease.held,
                ttl: lease.ttl,
                since: sight.since,
                forsaken: (lease.holder == holder && !believed) || expired,
            }
        });
        turn(seen, claimed, known, environment.clock.now())
    }

    async fn attempt(&self, deadline: Moment) -> Result<Attempt, Error> {
        let Inner { environment, log, name, .. } = &*self.inner;
        let _one = before(&*environment.clock, deadline, self.inner.attempts.lock())
            .await
            .ok_or(Error::Deadline { doing: "another attempt of this handle took the lock's time" })?;
        let mut seen = self.look(deadline).await?;
        if let (Turn::Wait { until }, Some((_, lease))) = (self.turn_of(seen.as_ref(), 0), &seen) {
            return Ok(Attempt::Taken { until, holder: lease.clone() });
        }
        log.refresh(deadline).await?;
        let known = before(&*environment.clock, deadline, log.at_confirmed(|state| (state.claim(name), state.has_room_for(name, 0)))).await;
        let (claimed, has_room) = known.unwrap_or(Err(Error::Deadline { doing: "waiting for the tail of the log" }))?;
        if !has_room {
            return Err(self.too_many());
        }
        if seen.is_none() && claimed > 0 {
            // INV-22: whether it vanished is told by claims that were there before it was found absent.
            seen = self.look(deadline).await?;
        }
        match (self.turn_of(seen.as_ref(), claimed), seen) {
            (Turn::Wait { until }, Some((_, holder))) => Ok(Attempt::Taken { until, holder }),
            (Turn::Create { token } | Turn::Take { token }, seen) => self.take(token, seen, deadline).await,
            (Turn::Exhausted, _) => Err(Error::Invalid { reason: format!("lock {name}: its tokens are used up") }),
            (Turn::Vanished | Turn::Wait { .. }, _) => Err(Error::LeaseVanished { name: name.clone() }),
        }
    }

    /// Writes the lease under `token` in place of what was seen, and claims it in the log.
    async fn take(&self, token: u64, seen: Option<(Sight, Lease)>, deadline: Moment) -> Result<Attempt, Error> {
        let Inner { environment, key, options, .. } = &*self.inner;
        {
            let mut watch = self.watch();
            watch.asked = watch.asked.max(token);
        }
        let sent = environment.clock.now();
        let patience = deadline.min(sent.after(believed_for(options.ttl)));
        let (body, written) = match seen {
            None => {
                let body = Lease::first(self.term(token), &*environment.entropy);
                let created = environment.create(key, body.encode(), patience).await?.value;
                let written = match created {
                    Created::Committed(revision) => Written::Ours(revision),
                    Created::Rejected(_) => Written::Lost,
                    Created::Unknown(error) => Written::Unknown(error.to_string()),
                };
                (body, written)
            }
            Some((sight, lease)) => {
                let body = lease.taken(self.term(token), &*environment.entropy);
                let written = match environment.swap(key, body.encode(), sight.revision, &standing(&body), patience).await? {
                    Swapped::Committed(revision) => Written::Ours(revision),
                    Swapped::Rejected | Swapped::Superseded => Written::Lost,
                    Swapped::Unknown(error) => Written::Unknown(error.to_string()),
                };
                (body, written)
            }
        };
        match written {
            Written::Ours(revision) => self.claim(body, revision, sent, deadline).await,
            Written::Lost => Ok(Attempt::Again),
            // If it lands all the same, the next look finds a turn of our own that nobody believes in.
            Written::Unknown(reason) if patience == deadline => Err(self.unknown(token, reason)),
            Written::Unknown(_) => Ok(Attempt::Again),
        }
    }

    /// The lease is ours: from now on it is renewed. The guard is given out once the log says that its token is the highest.
    async fn claim(&self, lease: Lease, revision: Revision, sent: Moment, deadline: Moment) -> Result<Attempt, Error> {
        let Inner { environment, key, log, name, options, spawn, .. } = &*self.inner;
        let token = lease.token;
        let tenure = Arc::new(Tenure::begun(Arc::clone(&environment.clock), name.clone(), token, options.ttl, sent));
        self.watch().current = Some(Arc::clone(&tenure));
        let (freed, told) = oneshot::channel();
        let keeper = Keeper {
            environment: environment.clone(),
            tenure: Arc::clone(&tenure),
            key: key.clone(),
            sent: vec![lease.marks.nonce],
            lease,
            revision: Some(revision),
            freed: Some(freed),
        };
        spawn.spawn(Box::pin(keeper.keep(sent)));
        // From here on, however this ends, dropping the guard frees the lease.
        let guard = Guard::new(environment.clone(), log.descriptor().store, Arc::clone(&tenure), told);
        let claim = ProtocolOperation::LeaseClaim { name: name.clone(), token };
        let pending = log.submit(&Transaction::protocol(claim), deadline)?;
        if broken!(ActBeforeClaim) {
            spawn.spawn(Box::pin(async move { drop(pending.outcome().await) }));
            return Ok(Attempt::Got(guard));
        }
        // INV-24: nothing is done under a token before its claim is read as effective.
        let outcome = match select(std::pin::pin!(pending.outcome()), std::pin::pin!(tenure.lost())).await {
            Either::Left((outcome, _)) => outcome?,
            Either::Right(_) => return Ok(Attempt::Again),
        };
        match outcome {
            Outcome::Committed(_) if guard.is_held() => Ok(Attempt::Got(guard)),
            Outcome::Unknown(op) => Err(self.unknown(token, format!("its claim {op} is not decided"))),
            Outcome::Rejected(Withdrawal::NotSent) => Err(Error::Deadline { doing: "claiming a lease's token in the log" }),
            Outcome::Rejected(Withdrawal::Precondition { rejection, .. }) if rejection.code == Rejection::TOO_MANY_LEASES => {
                Err(self.too_many())
            }
            // A token that the log has seen, or a claim that was withdrawn: a higher one is needed.
            Outcome::Committed(_) | Outcome::Rejected(_) => Ok(Attempt::Again),
        }
    }
}

/// How writing the lease ended.
enum Written {
    Ours(Revision),
    Lost,
    Unknown(String),
}
