//! A bucket that goes back to an older state under living processes, as when somebody restores a backup of it.
//!
//! What was acknowledged and is gone cannot be saved: it is counted apart. What must hold (P12): a handle that stands on what is gone notices within G/4, and
//! nothing is acknowledged on the strength of it from then on, nor on a handle that noticed. Whoever stands on what is left goes on, under all the other promises.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use brainy_coordination::{
    ChangeLog, Constants, Environment, Error, LogOptions, NewStore, Outcome, Transaction, Truncation, Withdrawal, create_store,
};
use brainy_core::{Clock, ErrorKind};

use crate::checker::{self, Rules, Violation};
use crate::domain::{Author, Bank, Domain};
use crate::fault::{Fault, Faults};
use crate::history::{Call, Ending, Events, Failure, History, Look};
use crate::random::Random;
use crate::reference;
use crate::run::{Connect, Report, Settings};
use crate::scheduler::{End, Life, Scheduler};
use crate::wire::{Latencies, Wire};

/// G/4 of the store.
const QUARTER: Duration = Duration::from_millis(Constants::GRACE_MS / 4);
/// Dates are in whole seconds, and a reply from before may be on its way for as long as a client waits.
const SLACK: Duration = Duration::from_secs(10);
/// Longer than any request.
const PATIENCE: Duration = Duration::from_secs(30);
/// So often somebody goes on who was told that the log went back.
const STUBBORN: u32 = 3;

/// What became of what was there when a bucket went back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WentBack {
    /// Buckets that went back.
    pub buckets: u64,
    /// Slots that were gone then.
    pub slots: u64,
    /// Calls whose acknowledgement or refusal no longer holds.
    pub lost: u64,
    /// Answers that somebody gave on the strength of what is gone after G/4, because others had filled the hole.
    pub unnoticed: u64,
    /// Handles that noticed, those that could not be opened any more included.
    pub noticed: u64,
}

impl WentBack {
    pub(crate) fn add(&mut self, other: Self) {
        self.buckets += other.buckets;
        self.slots += other.slots;
        self.lost += other.lost;
        self.unnoticed += other.unnoticed;
        self.noticed += other.noticed;
    }
}

/// What all processes of a run share.
struct World {
    bank: Bank,
    history: History,
    constants: Constants,
    until: Duration,
    think: Duration,
    /// When the bucket went back.
    back_at: Mutex<Option<Duration>>,
    noticed: Mutex<u64>,
    /// Acknowledgements of handles that had noticed.
    late: Mutex<Vec<String>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One handle, and when somebody learned from it that the log went back.
struct Handle {
    log: ChangeLog<<Bank as Domain>::Machine>,
    noticed: Mutex<Option<Duration>>,
}

/// Runs `seed` as a bucket that goes back.
pub(crate) fn run_seed(seed: u64, random: &mut Random, settings: Settings, connect: &Connect) -> Report {
    let scheduler = Scheduler::new(seed);
    if settings.words {
        scheduler.trace().keep_words();
    }
    let wire = Wire::new(&scheduler, Latencies::S3);
    let mut constants = Constants::new(Truncation::Delete);
    constants.scan_slots = *random.choose(&[1, 8]);
    let back_at = random.between(Duration::from_secs(30), Duration::from_secs(90));
    let age = *random.choose(&[Duration::from_secs(1), Duration::from_secs(8), Duration::from_secs(20)]);
    let world = Arc::new(World {
        bank: Bank { padded: None },
        history: History::default(),
        constants,
        until: back_at + QUARTER + random.between(Duration::from_secs(30), Duration::from_secs(120)),
        think: *random.choose(&[Duration::from_secs(1), Duration::from_secs(5)]),
        back_at: Mutex::default(),
        noticed: Mutex::default(),
        late: Mutex::default(),
    });
    wire.set_faults(Faults::all(*random.choose(&[0, 1_000])).without(&[Fault::Suspend]));
    for number in 0..2 + random.below(3) {
        let (world, wire, connect) = (Arc::clone(&world), wire.clone(), Arc::clone(connect));
        let process = scheduler.process(format!("p{number}"), move |life| {
            let store = connect(&wire, life.process());
            let environment = Environment { store, clock: Arc::new(life.clock()), entropy: Arc::new(life.entropy()) };
            Box::pin(serve(Arc::clone(&world), environment, life))
        });
        scheduler.start_after(process, random.between(Duration::ZERO, Duration::from_secs(3)));
    }
    let gone = Arc::new(Mutex::new(BTreeMap::new()));
    let operator = {
        let (world, wire, gone) = (Arc::clone(&world), wire.clone(), Arc::clone(&gone));
        scheduler.process("operator", move |life| {
            let (world, wire, gone) = (Arc::clone(&world), wire.clone(), Arc::clone(&gone));
            Box::pin(async move {
                life.clock().sleep(back_at - age).await;
                let backup = wire.snapshot();
                life.clock().sleep(age).await;
                *lock(&gone) = wire.go_back(&backup);
                *lock(&world.back_at) = Some(life.scheduler().now());
            })
        })
    };
    scheduler.start(operator);
    let mut end = scheduler.run_for(world.until);
    wire.set_faults(Faults::none());
    if end != End::Stuck {
        end = scheduler.run_for(Duration::from_secs(3_600));
    }
    let gone = std::mem::take(&mut *lock(&gone));
    let mut witness = wire.witness();
    for (number, before) in &gone {
        // A create that was sent again after the bucket went back made the same slot: it was there from the first time on.
        if let Some(again) = witness.slots.get_mut(number).filter(|again| again.bytes == before.bytes) {
            again.first_at = again.first_at.min(before.at);
        }
    }
    let (slots, mut events) = (witness.slots.len() as u64, std::mem::take(&mut *world.history.events()));
    // What is left is what a newcomer would read: gap-free from the first slot on, each naming the one before.
    let left = reference::chain_end(&witness);
    let behind = witness.slots.split_off(&(left + 1));
    let filled = behind.contains_key(&(left + 1));
    witness.intents.clear();
    let reference = reference::replay(&world.bank, &witness, constants.horizon_slots);
    let mut judge = Judge { deadline: back_at + QUARTER + SLACK, filled, lost: 0, unnoticed: 0, found: Vec::new() };
    judge.calls(&mut events, &reference);
    judge.looks(&mut events, &reference);
    std::mem::take(&mut *lock(&world.late)).into_iter().for_each(|text| judge.complain(text));
    let rules = Rules { scan_slots: constants.scan_slots, horizon: constants.horizon_slots, carried: 13 };
    let mut violations = judge.found;
    violations.extend(checker::check(&events, &reference, &witness, rules));
    if end != End::Idle {
        violations.push(Violation { property: "rest", text: format!("the run did not come to rest: {end:?}") });
    }
    for failure in &events.failures {
        let text = format!("process {} at {:?}: {}", failure.process.0, failure.at, failure.text);
        violations.push(Violation { property: "P10", text });
    }
    scheduler.end();
    let noticed = *lock(&world.noticed);
    Report {
        seed,
        matrix: wire.matrix(),
        trace: scheduler.trace().hash(),
        slots,
        batches: reference.batches,
        calls: events.calls.len() as u64,
        searched: 0,
        went_back: WentBack { buckets: 1, slots: gone.len() as u64, lost: judge.lost, unnoticed: judge.unnoticed, noticed },
        violations,
        words: scheduler.trace().take_words(),
    }
}

/// Tells what the bucket's going back excuses from what nothing excuses.
struct Judge {
    /// From here on everybody must have noticed.
    deadline: Duration,
    /// Whether others filled the hole before slots that were made behind it.
    filled: bool,
    lost: u64,
    unnoticed: u64,
    found: Vec<Violation>,
}

impl Judge {
    /// Somebody has not noticed in time. Where others filled the hole with slots of their own, only the joint shows it, to them.
    fn late(&mut self, text: String) {
        if self.filled { self.unnoticed += 1 } else { self.complain(text) }
    }

    fn complain(&mut self, text: String) {
        self.found.push(Violation { property: "P12", text });
    }

    /// Takes the calls out whose answer no longer holds.
    fn calls<M>(&mut self, events: &mut Events, reference: &reference::Reference<M>) {
        let calls = std::mem::take(&mut events.calls);
        events.calls = calls.into_iter().filter(|call| self.holds(call, reference)).collect();
    }

    fn holds<M>(&mut self, call: &Call, reference: &reference::Reference<M>) -> bool {
        let copies: Vec<_> = reference.by_unique.get(&call.unique).into_iter().flatten().map(|at| &reference.copies[*at]).collect();
        let effect = copies.iter().find(|copy| copy.effective).map(|copy| (copy.seq, copy.ordinal));
        let void = match &call.ending {
            Ending::Told(Outcome::Committed(receipt)) => effect != Some((receipt.version.seq.get(), receipt.version.ordinal)),
            Ending::Told(Outcome::Rejected(Withdrawal::Precondition { op, .. })) => {
                effect.is_some() || !copies.iter().any(|copy| copy.applied && copy.op == *op)
            }
            // Its copy in the inbox came back with the bucket.
            Ending::Told(Outcome::Rejected(_)) | Ending::Refused(_) => effect.is_some(),
            Ending::Told(Outcome::Unknown(_)) | Ending::Silence => false,
        };
        if !void {
            return true;
        }
        self.lost += 1;
        if call.asked > self.deadline {
            self.late(format!("call {} of process {} ended as {:?}, which is in no log", call.unique, call.process.0, call.ending));
        }
        false
    }

    /// Takes the looks out that show what is gone.
    fn looks<M>(&mut self, events: &mut Events, reference: &reference::Reference<M>) {
        let looks = std::mem::take(&mut events.looks);
        for look in looks {
            if look.token.seq == 0 || reference.states.get(&look.token.seq).is_some_and(|after| after.hash == look.token.hash) {
                events.looks.push(look);
            } else if look.asked > self.deadline {
                self.late(format!(
                    "process {} asked at {:?} and was shown slot {}, which is gone",
                    look.process.0, look.asked, look.token.seq
                ));
            }
        }
    }
}

/// One life of a service: it opens the store, works, and opens it anew where a handle ends.
async fn serve(world: Arc<World>, environment: Environment, life: Life) {
    let clock = life.clock();
    let mut random = life.random();
    while life.scheduler().now() < world.until {
        let Some(log) = open(&world, &environment, &life).await else { return };
        let driven = log.clone();
        life.spawn(async move { drop(driven.run().await) });
        let handle = Handle { log, noticed: Mutex::default() };
        work(&world, &handle, &life, &mut random).await;
        drop(handle.log.close(clock.now().after(PATIENCE)).await);
        clock.sleep(Duration::from_secs(1)).await;
    }
}

/// A handle; none if the time is up or the store cannot be opened because it went back.
async fn open(world: &World, environment: &Environment, life: &Life) -> Option<ChangeLog<<Bank as Domain>::Machine>> {
    let clock = life.clock();
    while life.scheduler().now() < world.until {
        let deadline = clock.now().after(PATIENCE);
        let error = match ChangeLog::open(environment.clone(), world.bank.machine(), LogOptions::default(), deadline).await {
            Ok(log) => return Some(log),
            Err(Error::NoStore { .. }) => {
                let new = NewStore::new(world.bank.spaces()).with_constants(world.constants);
                match create_store(environment, &new, deadline).await {
                    Ok(_) | Err(Error::Exists { .. }) => continue,
                    Err(error) => error,
                }
            }
            Err(error) => error,
        };
        if fails(world, life, &error, "opening") {
            *lock(&world.noticed) += 1;
            return None;
        }
        clock.sleep(Duration::from_secs(1)).await;
    }
    None
}

/// Whether the error says that the log went back, which it did. What is neither that nor passes is kept as a failure.
fn fails(world: &World, life: &Life, error: &Error, doing: &str) -> bool {
    let at = life.scheduler().now();
    let text = format!("{doing}: {error}");
    life.scheduler().note(|| format!("{}: {text}", life.scheduler().name(life.process())));
    let passing = [ErrorKind::Unavailable, ErrorKind::Overloaded, ErrorKind::OutcomeUnknown, ErrorKind::Closed, ErrorKind::NotFound];
    let told = error.kind() == ErrorKind::RolledBack || (error.kind() == ErrorKind::Closed && text.contains("the log went back"));
    let went_back = told && lock(&world.back_at).is_some();
    if !went_back && !passing.contains(&error.kind()) {
        world.history.events().failures.push(Failure { process: life.process(), at, kind: error.kind(), text });
    }
    went_back
}

async fn work(world: &World, handle: &Handle, life: &Life, random: &mut Random) {
    let mut stubborn = 0;
    while life.scheduler().now() < world.until && handle.log.closed().is_none() && stubborn < STUBBORN {
        if random.below(3) == 0 {
            look(world, handle, life).await;
        } else {
            transact(world, handle, life, random).await;
        }
        stubborn += u32::from(lock(&handle.noticed).is_some());
        life.clock().sleep(random.between(Duration::ZERO, world.think)).await;
    }
    // Whoever is told only by his handle's end is told too.
    if let Some(cause) = handle.log.closed() {
        notice(world, handle, life, &Error::Closed { cause }, "driving");
    }
}

fn notice(world: &World, handle: &Handle, life: &Life, error: &Error, doing: &str) {
    if fails(world, life, error, doing) {
        let mut noticed = lock(&handle.noticed);
        if noticed.is_none() {
            *noticed = Some(life.scheduler().now());
            *lock(&world.noticed) += 1;
        }
    }
}

async fn transact(world: &World, handle: &Handle, life: &Life, random: &mut Random) {
    let unique = world.history.call(life.process(), life.scheduler().now());
    let payload = world.bank.command(random, handle.log.machine(), Author { process: life.process().0, unique });
    world.history.asks(unique, &payload);
    let noticed = *lock(&handle.noticed);
    let result = match handle.log.submit(&Transaction::payload(payload), life.clock().now().after(PATIENCE)) {
        Ok(pending) => pending.outcome().await,
        Err(error) => Err(error),
    };
    let now = life.scheduler().now();
    match result {
        Ok(outcome) => {
            if let (Outcome::Committed(receipt), Some(noticed)) = (&outcome, noticed) {
                let seq = receipt.version.seq;
                let text = format!(
                    "call {unique} was acknowledged in slot {seq} by a handle that had told of a log that went back at {noticed:?}"
                );
                lock(&world.late).push(text);
            }
            world.history.end(unique, now, Ending::Told(outcome));
        }
        Err(error) => {
            notice(world, handle, life, &error, "submitting");
            world.history.end(unique, now, Ending::Refused(error.to_string()));
        }
    }
}

async fn look(world: &World, handle: &Handle, life: &Life) {
    let asked = life.scheduler().now();
    if let Err(error) = handle.log.refresh(life.clock().now().after(PATIENCE)).await {
        return notice(world, handle, life, &error, "refreshing");
    }
    match handle.log.digests().await {
        Ok((token, machine, bookkeeping)) => {
            let answered = life.scheduler().now();
            if token.seq <= handle.log.position().seq {
                let look = Look { process: life.process(), asked, answered, latest: true, token, machine, bookkeeping };
                world.history.events().looks.push(look);
            }
        }
        Err(error) => notice(world, handle, life, &error, "looking"),
    }
}
