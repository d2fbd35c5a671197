//! Simulated services: what each process does with a store while the run lasts, and how it ends.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use brainy_coordination::{ChangeLog, Constants, Environment, LogOptions, NewStore, OpId, Outcome, Transaction, create_store};
use brainy_core::{Clock, ErrorKind};
use brainy_storage::Store;

use crate::decoder::Decoder;
use crate::domain::{Author, Domain};
use crate::history::{Ending, Failure, History, Look, Resolved};
use crate::random::Random;
use crate::scheduler::{Life, ProcessId};

/// How long a handle may take to open.
const OPENING: Duration = Duration::from_secs(60);
/// So many tries to open fail at most once the faults have ended.
const MOST_OPENINGS: u32 = 5;
/// After the faults have ended, everything must be decided within so long.
pub(crate) const RECOVERY: Duration = Duration::from_secs(600);
/// So many operations at most wait to be asked for by somebody else.
const NOTEBOOK: usize = 64;

/// What all processes of a run share.
#[derive(Debug)]
pub(crate) struct Plan<D> {
    pub(crate) domain: D,
    pub(crate) history: History,
    pub(crate) constants: Constants,
    /// Faults happen and calls are made until then.
    pub(crate) until: Duration,
    pub(crate) callers: u64,
    /// Longest pause between two calls of a caller.
    pub(crate) think: Duration,
    /// One life in so many ends by itself after some calls; 0: none does.
    pub(crate) churn: u64,
    /// The first two processes were copied from one machine image: they draw the same identities.
    pub(crate) clones: bool,
    /// Handles are opened, looked through and dropped again and again until the time is up.
    pub(crate) doors: bool,
    /// Operations whose fate somebody else will ask for.
    pub(crate) notebook: Mutex<Vec<OpId>>,
}

/// Makes a process's store.
pub(crate) type MakeStore = Arc<dyn Fn(ProcessId) -> Arc<dyn Store> + Send + Sync>;

type Log<D> = ChangeLog<<D as Domain>::Machine>;

/// What a life of a process that is nobody's copy sees of the world.
pub(crate) fn environment(make_store: &MakeStore, life: &Life) -> Environment {
    Environment { store: make_store(life.process()), clock: Arc::new(life.clock()), entropy: Arc::new(life.entropy()) }
}

/// One life of one service, from opening its handle to closing it.
pub(crate) async fn live<D: Domain>(plan: Arc<Plan<D>>, make_store: MakeStore, life: Life) {
    let clock = life.clock();
    let copied = plan.clones && life.process().0 == 1;
    let entropy = life.entropy_of(if copied { ProcessId(0) } else { life.process() });
    let environment = Environment { store: make_store(life.process()), clock: Arc::new(clock.clone()), entropy: Arc::new(entropy) };
    let mut random = life.random();
    while plan.doors && life.scheduler().now() < plan.until {
        let Some(log) = open(&plan, &life, environment.clone()).await else { return };
        look(&plan, &log, &life, &mut random).await;
        clock.sleep(random.between(Duration::ZERO, Duration::from_millis(100))).await;
    }
    let Some(log) = open(&plan, &life, environment).await else { return };
    let driven = log.clone();
    life.spawn(async move { drop(driven.run().await) });
    if random.below(2) == 0 {
        let followed = log.clone();
        life.spawn(async move { followed.follow().await });
    }
    let calling = Arc::new(Mutex::new(plan.callers));
    for number in 0..plan.callers {
        let (plan, log, own, calling) = (Arc::clone(&plan), log.clone(), life.clone(), Arc::clone(&calling));
        let random = Random::new(random.bits(), number);
        life.spawn(async move {
            call(&plan, &log, &own, random).await;
            *calling.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        });
    }
    let short_lived = plan.churn > 0 && random.below(plan.churn) == 0;
    let end = life.scheduler().now() + random.between(Duration::from_secs(2), Duration::from_secs(40));
    loop {
        clock.sleep(Duration::from_millis(500)).await;
        let now = life.scheduler().now();
        if *calling.lock().unwrap_or_else(PoisonError::into_inner) == 0 || log.closed().is_some() {
            break;
        }
        if short_lived && now >= end && now < plan.until {
            // It ends without a word: its calls stay open, and a fresh writer takes its place.
            life.scheduler().start_after(life.process(), Duration::from_millis(100));
            life.scheduler().kill(life.process());
            std::future::pending::<()>().await;
        }
    }
    if life.scheduler().now() < plan.until {
        // Its handle ended before its time: another life.
        life.scheduler().start_after(life.process(), Duration::from_secs(1));
        drop(log.close(clock.now().after(RECOVERY)).await);
        return;
    }
    farewell(&plan, &log, &life).await;
}

/// Opens the store, and makes it if there is none; none if the time is up or the store cannot be opened.
pub(crate) async fn open<D: Domain>(plan: &Plan<D>, life: &Life, environment: Environment) -> Option<Log<D>> {
    let clock = life.clock();
    let mut in_calm = 0;
    loop {
        let calm = life.scheduler().now() >= plan.until;
        let deadline = clock.now().after(OPENING);
        let mut options = LogOptions::default();
        // Every second process decodes long logs beside.
        if life.process().0 % 2 == 1 {
            options = options.with_decoder(Arc::new(Decoder(life.clone())));
        }
        let result = ChangeLog::open(environment.clone(), plan.domain.machine(), options, deadline).await;
        let error = match result {
            Ok(log) => return Some(log),
            Err(brainy_coordination::Error::NoStore { .. }) => {
                let new = NewStore::new(plan.domain.spaces()).with_constants(plan.constants);
                match create_store(&environment, &new, deadline).await {
                    Ok(_) | Err(brainy_coordination::Error::Exists { .. }) => continue,
                    Err(error) => error,
                }
            }
            Err(error) => error,
        };
        fail(plan, life, &error, "opening");
        in_calm += u32::from(calm);
        if in_calm == MOST_OPENINGS {
            plan.history.events().complaints.push(format!("process {} cannot open the store: {error}", life.process().0));
            return None;
        }
        clock.sleep(Duration::from_secs(1)).await;
    }
}

pub(crate) fn fail<D>(plan: &Plan<D>, life: &Life, error: &brainy_coordination::Error, doing: &str) {
    let passing = [ErrorKind::Unavailable, ErrorKind::Overloaded, ErrorKind::OutcomeUnknown, ErrorKind::Closed, ErrorKind::NotFound];
    let at = life.scheduler().now();
    let text = format!("{doing}: {error}");
    life.scheduler().note(|| format!("{}: {text}", life.scheduler().name(life.process())));
    if !passing.contains(&error.kind()) {
        plan.history.events().failures.push(Failure { process: life.process(), at, kind: error.kind(), text });
    }
}

/// One caller: transactions, looks, and questions about others' operations, until the time is up.
async fn call<D: Domain>(plan: &Plan<D>, log: &Log<D>, life: &Life, mut random: Random) {
    let clock = life.clock();
    while life.scheduler().now() < plan.until && log.closed().is_none() {
        match random.below(16) {
            0..11 => transact(plan, log, life, &mut random).await,
            11..15 => look(plan, log, life, &mut random).await,
            _ => ask(plan, log, life).await,
        }
        if !plan.think.is_zero() {
            clock.sleep(random.between(Duration::ZERO, plan.think)).await;
        }
    }
}

async fn transact<D: Domain>(plan: &Plan<D>, log: &Log<D>, life: &Life, random: &mut Random) {
    let clock = life.clock();
    let unique = plan.history.call(life.process(), life.scheduler().now());
    let payload = plan.domain.command(random, log.machine(), Author { process: life.process().0, unique });
    plan.history.asks(unique, &payload);
    // Deadlines of every size: too short for one request, and long enough for every fault.
    let patience = [Duration::from_millis(80), Duration::from_secs(2), Duration::from_secs(20), Duration::from_secs(120)];
    let deadline = clock.now().after(*random.choose(&patience));
    let ended = |ending| plan.history.end(unique, life.scheduler().now(), ending);
    let mut pending = match log.submit(&Transaction::payload(payload), deadline) {
        Ok(pending) => pending,
        Err(error) => return ended(Ending::Refused(error.to_string())),
    };
    match random.below(12) {
        // The caller goes away at once, or in the middle.
        0 => return,
        1 => {
            let leave = clock.now().after(random.between(Duration::ZERO, Duration::from_millis(200)));
            if let Some(Some(op)) = brainy_core::clock::before(&clock, leave, pending.op_id()).await {
                plan.history.named(unique, op);
                note(plan, op);
            }
            return;
        }
        _ => {}
    }
    if random.below(4) == 0 {
        match pending.op_id().await {
            Some(op) => plan.history.named(unique, op),
            None => {
                let withdrawn = Outcome::Rejected(brainy_coordination::Withdrawal::NotSent);
                return ended(Ending::Told(withdrawn));
            }
        }
    }
    match pending.outcome().await {
        Ok(outcome) => {
            if let Outcome::Unknown(op) = outcome {
                note(plan, op);
            }
            ended(Ending::Told(outcome));
        }
        Err(error) => {
            fail(plan, life, &error, "submitting");
            ended(Ending::Refused(error.to_string()));
        }
    }
}

fn note<D>(plan: &Plan<D>, op: OpId) {
    let mut notebook = plan.notebook.lock().unwrap_or_else(PoisonError::into_inner);
    if notebook.len() < NOTEBOOK {
        notebook.push(op);
    }
}

async fn look<D: Domain>(plan: &Plan<D>, log: &Log<D>, life: &Life, random: &mut Random) {
    let clock = life.clock();
    let asked = life.scheduler().now();
    let deadline = clock.now().after(random.between(Duration::from_millis(100), Duration::from_secs(20)));
    let latest = random.below(4) > 0;
    if latest && let Err(error) = log.refresh(deadline).await {
        return fail(plan, life, &error, "refreshing");
    }
    match log.digests().await {
        Ok((token, machine, bookkeeping)) => {
            let answered = life.scheduler().now();
            // A position that is not vouched for yet is no answer to anybody.
            if token.seq <= log.position().seq {
                plan.history.events().looks.push(Look { process: life.process(), asked, answered, latest, token, machine, bookkeeping });
            }
        }
        Err(error) => fail(plan, life, &error, "looking"),
    }
}

/// Asks what became of an operation whose caller does not know, wherever that was.
async fn ask<D: Domain>(plan: &Plan<D>, log: &Log<D>, life: &Life) {
    let op = plan.notebook.lock().unwrap_or_else(PoisonError::into_inner).pop();
    let Some(op) = op else { return };
    match log.resolve(op, life.clock().now().after(Duration::from_secs(60))).await {
        Ok(outcome) => {
            if matches!(outcome, Outcome::Unknown(_)) {
                note(plan, op);
            }
            plan.history.events().resolved.push(Resolved { process: life.process(), op, at: life.scheduler().now(), outcome });
        }
        Err(error) => fail(plan, life, &error, "resolving"),
    }
}

/// The faults have ended: everybody can commit, everything is decided, and all see the same.
pub(crate) async fn farewell<D: Domain>(plan: &Plan<D>, log: &Log<D>, life: &Life) {
    let clock = life.clock();
    let deadline = clock.now().after(RECOVERY);
    // Who stood still for longer than writers are remembered looks first: what it sends from where it stood may be beyond anybody's knowledge.
    drop(log.refresh(deadline).await);
    loop {
        let unique = plan.history.call(life.process(), life.scheduler().now());
        let payload = plan.domain.command(&mut life.random(), log.machine(), Author { process: life.process().0, unique });
        plan.history.asks(unique, &payload);
        let outcome = match log.submit(&Transaction::payload(payload), deadline) {
            Ok(pending) => pending.outcome().await,
            Err(error) => Err(error),
        };
        let now = life.scheduler().now();
        let complain = |text| plan.history.events().complaints.push(text);
        match outcome {
            Ok(outcome) => {
                if let Outcome::Unknown(op) = outcome {
                    complain(format!("process {} could not commit {op} within {RECOVERY:?} without a fault", life.process().0));
                }
                plan.history.end(unique, now, Ending::Told(outcome));
                break;
            }
            Err(error) => {
                plan.history.end(unique, now, Ending::Refused(error.to_string()));
                // What a pause kept from being sent in time may be sent anew.
                if error.kind() != ErrorKind::Unavailable || clock.now() >= deadline {
                    complain(format!("process {} cannot commit although nothing goes wrong any more: {error}", life.process().0));
                    break;
                }
            }
        }
    }
    look(plan, log, life, &mut Random::new(0, 1)).await;
    let undecided = log.close(clock.now().after(RECOVERY)).await;
    if !undecided.is_empty() {
        let (closed, failure) = (log.closed(), log.last_failure());
        let text = format!("process {} left {undecided:?} undecided (closed: {closed:?}, last failure: {failure:?})", life.process().0);
        plan.history.events().complaints.push(text);
    }
}
