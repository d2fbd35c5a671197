//! A lock that guards a register: whoever has it reads the register and writes what it read, plus one, under its fencing token.
//!
//! What a run must keep (P7): each guard has a token of its own, claimed in the log before it was given out; no two processes that are awake believe at once; no update is lost, so
//! no write of a fenced holder took effect after a later holder read; nobody deletes a lease, nobody makes a vanished one anew but the operator; and once nothing goes
//! wrong any more everybody gets the lock in turn.

mod judge;
mod staged;

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use brainy_coordination::{ChangeLog, Environment, Error, Guard, Lock, LockOptions, Outcome, Spawn, Task, Transaction};
use brainy_core::clock::before;
use brainy_core::{Clock, ErrorKind};
use brainy_storage::{Get, GetOptions, Key, Precondition};
use bytes::Bytes;

use crate::accounts::{Accounts, Command, Kind};
use crate::bucket::Request;
use crate::domain::Domain;
use crate::history::{Ending, Failure};
use crate::random::Random;
use crate::scheduler::{Life, ProcessId};
use crate::service::{self, MakeStore, Plan, RECOVERY};
use crate::wire::Wire;

pub(crate) use staged::staged;

/// The lock.
const NAME: &str = "register";
/// What it guards.
const REGISTER: u16 = 4_000;
/// So often a process looks whether it still believes.
const TICK: Duration = Duration::from_millis(40);
/// A lease that was first written so long ago is not about to be made by a request that is still on its way.
const SETTLED: Duration = Duration::from_secs(20);

/// What somebody does to the lease from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Harm {
    /// A rule of the bucket deletes it; later an operator makes it anew.
    Vanish,
    /// It is put back to an older version of itself.
    Restore,
}

/// The lock of one run, and what is written down about it.
#[derive(Debug)]
pub(crate) struct Locks {
    ttl: Duration,
    poll: Duration,
    harm: Option<(Harm, Duration)>,
    told: Mutex<Told>,
    /// The way to the bucket for whoever harms the lease.
    wire: OnceLock<Wire>,
}

#[derive(Debug, Default)]
struct Told {
    beliefs: Vec<Belief>,
    /// An older version of the lease.
    old: Option<Bytes>,
    harmed: Option<Duration>,
    remade: Option<Duration>,
    complaints: Vec<String>,
}

/// One guard: from when until when at least its process believed, while its machine was awake.
#[derive(Clone, Copy, Debug)]
struct Belief {
    process: ProcessId,
    token: u64,
    /// When the lock was asked for: the lease was written later.
    asked: Duration,
    from: Duration,
    until: Duration,
    /// The machine was suspended while it waited for the guard: what it believes counts for nothing, that is what the token is for.
    slept: bool,
}

impl std::fmt::Display for Belief {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { process, token, from, until, .. } = self;
        write!(f, "process {} with token {token} from {from:?} until {until:?}", process.0)
    }
}

/// Runs tasks in a process's life.
#[derive(Debug)]
struct InLife(Life);

impl Spawn for InLife {
    fn spawn(&self, task: Task) {
        self.0.spawn(task);
    }
}

fn key() -> Key {
    Key::new(format!("lease/{NAME}")).expect("a legal name")
}

impl Locks {
    pub(crate) fn draw(random: &mut Random, until: Duration) -> Self {
        let harm = match random.below(5) {
            0 => Some(Harm::Vanish),
            1 => Some(Harm::Restore),
            _ => None,
        };
        Self {
            ttl: *random.choose(&[Duration::from_secs(2), Duration::from_secs(4)]),
            poll: *random.choose(&[Duration::from_millis(200), Duration::from_millis(500)]),
            harm: harm.map(|harm| (harm, until.mul_f64(0.4))),
            told: Mutex::default(),
            wire: OnceLock::new(),
        }
    }

    /// Lets somebody from outside reach the bucket.
    pub(crate) fn stands_beside(&self, wire: &Wire) {
        drop(self.wire.set(wire.clone()));
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn complain(&self, text: String) {
        self.told().complaints.push(text);
    }

    fn lock(&self, log: &ChangeLog<Accounts>, life: &Life) -> Lock<Accounts> {
        let options = LockOptions::default().with_ttl(self.ttl).with_poll(self.poll).with_note(format!("process {}", life.process().0));
        Lock::open(log, Arc::new(InLife(life.clone())), NAME, options).expect("a legal name and legal options")
    }

    /// Notes for how long `guard` is believed in, from now on. `asked`: when it was asked for, and how often the machine had been suspended by then; its belief counts from then.
    fn watch(self: &Arc<Self>, guard: &Guard, life: &Life, (asked, awake): (Duration, u32)) {
        let now = life.scheduler().now();
        let at = {
            let mut told = self.told();
            let slept = life.scheduler().standstills(life.process()) != awake;
            told.beliefs.push(Belief { process: life.process(), token: guard.token(), asked, from: now, until: now, slept });
            told.beliefs.len() - 1
        };
        let (locks, own, mut lost) = (Arc::clone(self), life.clone(), Box::pin(guard.lost()));
        life.spawn(async move {
            let (clock, scheduler) = (own.clock(), own.scheduler());
            while before(&clock, clock.now().after(TICK), &mut lost).await.is_none() {
                // Whose machine was suspended believes what it likes: that is what the token is for.
                if scheduler.standstills(own.process()) != awake {
                    return;
                }
                locks.told().beliefs[at].until = scheduler.now();
            }
        });
    }
}

/// One life of one process: the first is the operator's, the others want the lock.
pub(crate) async fn live<D: Domain<Machine = Accounts>>(locks: Arc<Locks>, plan: Arc<Plan<D>>, make_store: MakeStore, life: Life) {
    match locks.wire.get().filter(|_| life.process().0 == 0) {
        Some(wire) => operate(&locks, &plan, wire, make_store, &life).await,
        None => contend(locks, plan, make_store, life).await,
    }
}

async fn contend<D: Domain<Machine = Accounts>>(locks: Arc<Locks>, plan: Arc<Plan<D>>, make_store: MakeStore, life: Life) {
    let environment = service::environment(&make_store, &life);
    let Some(log) = service::open(&plan, &life, environment).await else { return };
    let driven = log.clone();
    life.spawn(async move { drop(driven.run().await) });
    let lock = locks.lock(&log, &life);
    let (clock, mut random) = (life.clock(), life.random());
    while life.scheduler().now() < plan.until && log.closed().is_none() {
        let deadline = clock.now().after(random.between(locks.ttl / 4, locks.ttl * 4));
        let asked = (life.scheduler().now(), life.scheduler().standstills(life.process()));
        let got = if random.below(4) == 0 { lock.try_acquire(deadline).await } else { lock.acquire(deadline).await };
        match got {
            Ok(guard) => {
                locks.watch(&guard, &life, asked);
                hold(&locks, &plan, &log, &lock, guard, &life, &mut random).await;
            }
            Err(error) => fail(&locks, &plan, &life, &error, "acquiring"),
        }
        clock.sleep(random.between(Duration::ZERO, locks.poll)).await;
    }
    if life.scheduler().now() < plan.until {
        life.scheduler().start_after(life.process(), Duration::from_secs(1));
        drop(log.close(clock.now().after(RECOVERY)).await);
        return;
    }
    last_turn(&locks, &plan, &log, &lock, &life).await;
    service::farewell(&plan, &log, &life).await;
}

fn fail<D>(locks: &Locks, plan: &Plan<D>, life: &Life, error: &Error, doing: &str) {
    let passing = match error.kind() {
        ErrorKind::Conflict | ErrorKind::Fenced => true,
        ErrorKind::Unavailable | ErrorKind::Overloaded | ErrorKind::OutcomeUnknown | ErrorKind::Closed => true,
        _ => matches!(error, Error::LeaseVanished { .. }) && locks.told().harmed.is_some(),
    };
    let (at, text) = (life.scheduler().now(), format!("{doing}: {error}"));
    life.scheduler().note(|| format!("{}: {text}", life.scheduler().name(life.process())));
    if matches!(error, Error::LeaseVanished { .. }) && !passing {
        locks.complain(format!("at {at:?} process {} found that the lease had vanished, and nobody outside deleted it", life.process().0));
    } else if !passing {
        plan.history.events().failures.push(Failure { process: life.process(), at, kind: error.kind(), text });
    }
}

/// Some updates of the register under a guard, and one of the ways to part with it.
async fn hold<D: Domain<Machine = Accounts>>(
    locks: &Arc<Locks>,
    plan: &Plan<D>,
    log: &ChangeLog<Accounts>,
    lock: &Lock<Accounts>,
    guard: Guard,
    life: &Life,
    random: &mut Random,
) {
    let clock = life.clock();
    for _ in 0..1 + random.below(4) {
        if !update(locks, plan, log, lock, &guard, life).await {
            break;
        }
        clock.sleep(random.between(Duration::ZERO, locks.ttl / 4)).await;
    }
    match random.below(4) {
        0 => return,
        1 => {
            // It holds on to it, or waits for its loss.
            let until = clock.now().after(random.between(Duration::ZERO, locks.ttl * 3));
            before(&clock, until, guard.lost()).await;
        }
        _ => {}
    }
    let deadline = clock.now().after(random.between(locks.ttl / 8, locks.ttl * 2));
    if let Err(error) = guard.release(deadline).await {
        fail(locks, plan, life, &error, "releasing");
    }
}

/// Reads the register and writes one more; false if the holder must not go on.
async fn update<D: Domain<Machine = Accounts>>(
    locks: &Locks,
    plan: &Plan<D>,
    log: &ChangeLog<Accounts>,
    lock: &Lock<Accounts>,
    guard: &Guard,
    life: &Life,
) -> bool {
    let deadline = life.clock().now().after(locks.ttl * 4);
    if let Err(error) = log.refresh(deadline).await {
        fail(locks, plan, life, &error, "refreshing");
        return false;
    }
    let value = log.machine().book().balances().get(&REGISTER).copied().unwrap_or(0);
    let unique = plan.history.call(life.process(), life.scheduler().now());
    let read = u16::try_from(value).expect("a run writes less often");
    let payload = Command { unique, kind: Kind::Set, a: REGISTER, b: read, amount: value + 1 }.encode(0);
    plan.history.asks(unique, &payload);
    let written = lock.commit(guard, Transaction::payload(payload), deadline).await;
    let now = life.scheduler().now();
    match written {
        Ok(outcome) => {
            // What may still come must not find a newer update of the same holder in its place.
            let goes_on = matches!(outcome, Outcome::Committed(_));
            plan.history.end(unique, now, Ending::Told(outcome));
            goes_on
        }
        Err(error) => {
            plan.history.end(unique, now, Ending::Refused(error.to_string()));
            fail(locks, plan, life, &error, "writing");
            false
        }
    }
}

/// Nothing goes wrong any more: everybody gets the lock in turn and writes under it.
async fn last_turn<D: Domain<Machine = Accounts>>(
    locks: &Arc<Locks>,
    plan: &Plan<D>,
    log: &ChangeLog<Accounts>,
    lock: &Lock<Accounts>,
    life: &Life,
) {
    let clock = life.clock();
    let deadline = clock.now().after(RECOVERY);
    loop {
        let asked = (life.scheduler().now(), life.scheduler().standstills(life.process()));
        match lock.acquire(deadline).await {
            Ok(guard) => {
                locks.watch(&guard, life, asked);
                let wrote = update(locks, plan, log, lock, &guard, life).await;
                if let Err(error) = guard.release(deadline).await {
                    locks.complain(format!("process {} cannot release although nothing goes wrong any more: {error}", life.process().0));
                }
                if wrote {
                    return;
                }
            }
            // An operator makes it anew, or a request was still on its way.
            Err(error) if clock.now() < deadline => {
                fail(locks, plan, life, &error, "acquiring");
                clock.sleep(locks.ttl).await;
            }
            Err(error) => {
                let process = life.process().0;
                return locks.complain(format!("process {process} does not get the lock in {RECOVERY:?} without a fault: {error}"));
            }
        }
        if clock.now() >= deadline {
            return locks.complain(format!("process {} does not get to write under the lock in {RECOVERY:?}", life.process().0));
        }
    }
}

/// Harms the lease from outside, and makes it anew where it is gone.
async fn operate<D: Domain>(locks: &Locks, plan: &Plan<D>, wire: &Wire, make_store: MakeStore, life: &Life) {
    let Some((harm, at)) = locks.harm else { return };
    let (clock, scheduler) = (life.clock(), life.scheduler().clone());
    while locks.told().harmed.is_none() {
        let settled = wire.witness().leases_made.first().is_some_and(|made| *made + SETTLED < scheduler.now());
        if let (true, Some(there)) = (settled, wire.look(|bucket| bucket.peek(&key()))) {
            let mut told = locks.told();
            let old = told.old.get_or_insert_with(|| there.clone()).clone();
            if scheduler.now() >= at && old != there {
                let request = match harm {
                    Harm::Vanish => Request::Delete { keys: vec![key()] },
                    Harm::Restore => Request::Put { key: key(), body: old, condition: Precondition::None },
                };
                wire.tamper(|bucket| bucket.execute(&request));
                told.harmed = Some(scheduler.now());
                scheduler.note(|| format!("the lease suffers harm: {harm:?}"));
            }
        }
        if scheduler.now() >= plan.until {
            return;
        }
        clock.sleep(Duration::from_secs(1)).await;
    }
    if harm == Harm::Restore {
        return;
    }
    // Long enough for every holder to know.
    while locks.told().harmed.is_some_and(|harmed| scheduler.now() < harmed + locks.ttl * 4) {
        clock.sleep(locks.ttl).await;
    }
    locks.told().remade.get_or_insert(scheduler.now());
    let environment = service::environment(&make_store, life);
    let Some(log) = service::open(plan, life, environment).await else { return };
    let lock = Lock::open(&log, Arc::new(InLife(life.clone())), NAME, LockOptions::default()).expect("a legal name");
    loop {
        match lock.remake(clock.now().after(Duration::from_secs(20))).await {
            Ok(()) | Err(Error::LeaseTaken { .. }) => return,
            Err(_) => clock.sleep(Duration::from_secs(1)).await,
        }
    }
}

/// The lease's bytes as a process reads them.
async fn lease_in(environment: &Environment) -> Option<Bytes> {
    match environment.store.get(&key(), GetOptions::whole()).await.ok()?.value {
        Get::Found(object) => Some(object.bytes),
        Get::Absent | Get::NotModified => None,
    }
}
