//! One seed: a world, its services, its faults, and the verdict on what they did.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use brainy_core::Clock;
use brainy_storage::{Key, Store};

use crate::boundaries::Crash;
use crate::checker::{self, Rules, Violation};
use crate::collecting::{self, Collecting};
use crate::domain::{Bank, Domain};
use crate::fast_store::FastStore;
use crate::fault::{Faults, Matrix};
use crate::graph::Graph;
use crate::history::History;
use crate::locks::{self, Locks};
use crate::random::Random;
use crate::reference;
use crate::rollback::{self, WentBack};
use crate::scheduler::{End, Life, ProcessId, Scheduler};
use crate::service::{self, MakeStore, Plan};
use crate::shape::Shape;
use crate::wire::{Latencies, Sent, Wire};

/// What one seed came to.
#[derive(Clone, Debug)]
pub struct Report {
    /// The seed.
    pub seed: u64,
    /// What happened to requests.
    pub matrix: Matrix,
    /// Hash of everything that happened.
    pub trace: u64,
    /// Slots, applied batches and calls.
    pub slots: u64,
    /// Batches that took effect.
    pub batches: u64,
    /// Calls that were made.
    pub calls: u64,
    /// 1 if an order was searched for without the log.
    pub searched: u64,
    /// What became of what was there when the bucket went back, where it did.
    pub went_back: WentBack,
    /// Promises that were not kept.
    pub violations: Vec<Violation>,
    /// What happened, in words, if asked for.
    pub words: Vec<String>,
}

/// How a seed is run.
#[derive(Clone, Copy, Debug, Default)]
pub struct Settings {
    /// Keep the trace in words.
    pub words: bool,
}

/// How a process of a run reaches the bucket: what makes its store of a wire.
pub type Connect = Arc<dyn Fn(&Wire, ProcessId) -> Arc<dyn Store> + Send + Sync>;

/// The fast store for every process.
pub fn fast() -> Connect {
    Arc::new(|wire, process| Arc::new(FastStore::new(wire.clone(), process)))
}

/// Runs `seed`: everything about the run follows from it.
pub fn run_seed(seed: u64, settings: Settings, connect: &Connect) -> Report {
    let mut random = Random::new(seed, 0x5eed);
    if Shape::goes_back(seed) {
        return rollback::run_seed(seed, &mut random, settings, connect);
    }
    let shape = Shape::of(seed, &mut random);
    // The engine costs more than all else together: one run in eight shows that its states agree too.
    if shape.locks {
        let locks = Arc::new(Locks::draw(&mut random, shape.until));
        let lives = Arc::clone(&locks);
        let live: Live<Bank> = Arc::new(move |plan, make_store, life| Box::pin(locks::live(Arc::clone(&lives), plan, make_store, life)));
        let simulated =
            simulate(seed, &mut random, &shape, settings, connect, Bank { padded: None }, &live, |wire| locks.stands_beside(wire));
        simulated.judge(seed, &shape, Some(&locks))
    } else if shape.engine {
        run(seed, &mut random, &shape, settings, connect, Graph)
    } else {
        run(seed, &mut random, &shape, settings, connect, Bank { padded: shape.padded })
    }
}

/// What each life of a process does.
pub(crate) type Live<D> = Arc<dyn Fn(Arc<Plan<D>>, MakeStore, Life) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

pub(crate) fn services<D: Domain>() -> Live<D> {
    Arc::new(|plan, make_store, life| Box::pin(service::live(plan, make_store, life)))
}

/// Runs the fixed run that `crash` names, in which the first process dies there and is started again.
pub fn crash_at(crash: Crash, settings: Settings, connect: &Connect) -> Report {
    let mut random = Random::new(crash.seed, 0xc4a5);
    let shape = Shape::fixed();
    let simulated = simulate(crash.seed, &mut random, &shape, settings, connect, Bank { padded: shape.padded }, &services(), |wire| {
        let at = move |sent: &Sent<'_>| (sent.process == ProcessId(0) && sent.of_process == crash.request).then_some(crash.side);
        wire.set_script(at);
    });
    simulated.judge(crash.seed, &shape, None)
}

fn run<D: Domain>(seed: u64, random: &mut Random, shape: &Shape, settings: Settings, connect: &Connect, domain: D) -> Report {
    simulate(seed, random, shape, settings, connect, domain, &services(), |_| {}).judge(seed, shape, None)
}

/// A run that is over and not judged yet.
pub(crate) struct Simulated<D> {
    pub(crate) plan: Arc<Plan<D>>,
    pub(crate) wire: Wire,
    scheduler: Scheduler,
    end: End,
    collecting: Arc<Collecting>,
}

/// Runs the processes of `shape`, each of which lives as `live` says; `script` may say what goes wrong.
#[expect(clippy::too_many_arguments, reason = "a run has these parts")]
pub(crate) fn simulate<D: Domain>(
    seed: u64,
    random: &mut Random,
    shape: &Shape,
    settings: Settings,
    connect: &Connect,
    domain: D,
    live: &Live<D>,
    script: impl FnOnce(&Wire),
) -> Simulated<D> {
    let scheduler = Scheduler::new(seed);
    if settings.words {
        scheduler.trace().keep_words();
    }
    let wire = Wire::new(&scheduler, Latencies::S3);
    let Shape { constants, until, .. } = *shape;
    let plan = Arc::new(Plan {
        domain,
        history: History::default(),
        constants,
        until,
        callers: shape.callers,
        think: shape.think,
        churn: shape.churn,
        clones: shape.clones,
        doors: shape.doors,
        notebook: Mutex::default(),
    });
    wire.set_faults(shape.faults.clone());
    script(&wire);
    let make_store: MakeStore = {
        let (wire, connect) = (wire.clone(), Arc::clone(connect));
        Arc::new(move |process| connect(&wire, process))
    };
    let collecting =
        Arc::new(Collecting { awaited: shape.processes + shape.collecting.map_or(0, |(_, readers)| readers), ..Collecting::default() });
    for number in 0..shape.processes {
        let (plan, make_store, live, collecting) = (Arc::clone(&plan), Arc::clone(&make_store), Arc::clone(live), Arc::clone(&collecting));
        let process = scheduler.process(format!("p{number}"), move |life| {
            let (lived, collecting) = (live(Arc::clone(&plan), Arc::clone(&make_store), life.clone()), Arc::clone(&collecting));
            Box::pin(async move {
                lived.await;
                if life.scheduler().now() >= until {
                    collecting.end(life.process());
                }
            })
        });
        let furthest = i64::from(Faults::none().rate_ppm);
        let ppm = i64::try_from(random.below(2 * furthest.unsigned_abs())).unwrap_or(0) - furthest;
        scheduler.set_rate(process, i32::try_from(ppm).expect("a small number"));
        scheduler.start_after(process, random.between(Duration::ZERO, Duration::from_secs(3)));
    }
    if let Some((collectors, readers)) = shape.collecting {
        for number in 0..collectors + readers {
            let (plan, make_store, collecting) = (Arc::clone(&plan), Arc::clone(&make_store), Arc::clone(&collecting));
            let collects = number < collectors;
            let name = if collects { format!("collector{number}") } else { format!("reader{}", number - collectors) };
            let process = scheduler.process(name, move |life| {
                let (plan, make_store, collecting) = (Arc::clone(&plan), Arc::clone(&make_store), Arc::clone(&collecting));
                Box::pin(async move {
                    if collects {
                        collecting::collect(plan, collecting, make_store, life, number == 0).await;
                    } else {
                        collecting::read(plan, make_store, life.clone(), number == collectors).await;
                        collecting.end(life.process());
                    }
                })
            });
            scheduler.start_after(process, random.between(Duration::ZERO, Duration::from_secs(6)));
        }
    }
    if shape.unreadable > 0 {
        let (wire, count) = (wire.clone(), shape.unreadable);
        let vandal = scheduler.process("vandal", move |life| Box::pin(vandalize(wire.clone(), life, until, count)));
        scheduler.start_after(vandal, Duration::from_secs(4));
    }
    let mut end = scheduler.run_for(until);
    wire.set_faults(Faults::none());
    if end != End::Stuck {
        // Longer than the longest standstill, and the recovery after it.
        end = scheduler.run_for(Duration::from_secs(4 * 3_600));
    }
    Simulated { plan, wire, scheduler, end, collecting }
}

impl<D: Domain> Simulated<D> {
    /// What was promised, held against what came of it.
    fn judge(self, seed: u64, shape: &Shape, locks: Option<&Arc<Locks>>) -> Report {
        let Self { plan, wire, scheduler, end, collecting } = self;
        let constants = shape.constants;
        let witness = wire.witness();
        let events = std::mem::take(&mut *plan.history.events());
        let reference = reference::replay(&plan.domain, &witness, constants.horizon_slots);
        let rules = Rules { scan_slots: constants.scan_slots, horizon: constants.horizon_slots, carried: shape.carried };
        let mut violations = checker::check(&events, &reference, &witness, rules);
        let beside = shape.collecting.map(|_| &*collecting);
        violations.extend(wire.look(|bucket| collecting::check(&witness, &reference, bucket, &constants, beside)));
        if end != End::Idle {
            violations.push(Violation { property: "rest", text: format!("the run did not come to rest: {end:?}") });
        }
        if let Some(wrong) = plan.domain.recount(&reference.effective(&events), &reference.machine) {
            violations.push(Violation { property: "P6", text: wrong });
        }
        violations.extend(locks.into_iter().flat_map(|locks| locks.judge(&reference, &witness)));
        // What a fence refuses is beyond that search.
        let searched = if shape.locks { None } else { plan.domain.explains(&events) };
        if searched == Some(false) {
            violations.push(Violation { property: "P4", text: "no order of the calls explains what the callers were told".into() });
        }
        for (process, asked) in wire.asked() {
            let calls = events.calls.iter().filter(|call| call.process == process).count() as u64;
            if let Some(text) = asked.beyond(witness.tail(), calls, shape.until) {
                violations.push(Violation { property: "P11", text: format!("{}: {text}", scheduler.name(process)) });
            }
        }
        for failure in &events.failures {
            let text = format!("process {} at {:?}: {}", failure.process.0, failure.at, failure.text);
            violations.push(Violation { property: "P10", text });
        }
        scheduler.end();
        Report {
            seed,
            matrix: wire.matrix(),
            trace: scheduler.trace().hash(),
            slots: witness.slots.len() as u64,
            batches: reference.batches,
            calls: events.calls.len() as u64,
            searched: u64::from(searched.is_some()),
            went_back: WentBack::default(),
            violations,
            words: scheduler.trace().take_words(),
        }
    }
}

/// Lays intents into the inbox that nobody can read, each under a fresh writer's name.
async fn vandalize(wire: Wire, life: Life, until: Duration, count: u64) {
    let mut random = life.random();
    let clock = life.clock();
    for _ in 0..count {
        clock.sleep(random.between(Duration::ZERO, until / 8)).await;
        let base = wire.witness().tail();
        let writer = format!("{:016x}{:016x}", random.bits(), random.bits());
        let key = Key::new(format!("inbox/{base:020}/{writer}/{:020}", 1)).expect("digits make a key");
        wire.plant(key, "nobody can read this".into());
    }
}
