//! What each incident costs in requests: the figures of `docs/operations.md`.

use std::sync::Arc;
use std::time::Duration;

use brainy_coordination::{ChangeLog, CollectOptions, Collector, Constants, Environment, Outcome, Truncation};
use brainy_core::Clock;
use brainy_storage::{InMemoryStore, Metered, Store, Usage};
use brainy_testkit::{FaultStore, Faults, ManualClock};
use futures_util::FutureExt;
use futures_util::future::{join, join3};

use crate::driving::{add, always, commit, commit_alone, driven};
use crate::register::Register;
use crate::stores::{Cut, Last, environment, made, opened, within};

/// A store as S3 is: replies carry time, and old slots may be deleted.
struct World {
    clock: ManualClock,
    memory: InMemoryStore,
}

/// A process of its own: how it reaches the store, and what it asked.
struct Process {
    environment: Environment,
    metered: Arc<Metered>,
    faults: Arc<FaultStore>,
}

impl World {
    fn new(seed: u64) -> Self {
        let clock = ManualClock::new();
        let memory = InMemoryStore::new().with_store_clock(Arc::new(clock.clone()));
        clock.run(made(&environment(Arc::new(memory.clone()), &clock, seed), Constants::new(Truncation::Delete)));
        Self { clock, memory }
    }

    fn process(&self, seed: u64) -> Process {
        let faults = Arc::new(FaultStore::scripted(Arc::new(self.memory.clone()), []));
        let metered = Arc::new(Metered::new(Arc::<FaultStore>::clone(&faults) as Arc<dyn Store>));
        Process { environment: environment(Arc::<Metered>::clone(&metered), &self.clock, seed), metered, faults }
    }
}

/// Requests of a kind: PUT, GET, LIST.
fn counts(asked: &Usage) -> [u64; 3] {
    [asked.put.requests(), asked.get.requests(), asked.list.requests()]
}

/// What `work` asked for.
async fn cost<T>(process: &Process, work: impl Future<Output = T>) -> ([u64; 3], T) {
    let before = process.metered.snapshot();
    let done = work.await;
    (counts(&process.metered.snapshot().since(&before)), done)
}

#[test]
fn a_lost_race_costs_a_put_and_two_reads() {
    let world = World::new(1);
    let (winner, loser) = (world.process(2), world.process(3));
    world.clock.run(async {
        let (one, two) = (opened(&winner.environment).await, opened(&loser.environment).await);
        driven(&two, async {
            commit(&two, &add(1)).await;
            one.refresh(within(&winner.environment, 60)).await.unwrap();
            let (alone, _) = cost(&loser, commit(&two, &add(1))).await;
            // Somebody else is faster, and nobody looked since.
            commit_alone(&one, &[add(1)]).await;
            let (met, _) = cost(&loser, commit(&two, &add(1))).await;
            assert_eq!((alone, met, two.figures().lost_races), ([1, 0, 0], [2, 2, 0], 1));
        })
        .await;
    });
}

/// A process dies at a request of its commit; what it costs another one to find out what became of it.
fn died(last: Last) -> ([u64; 3], Outcome, i64) {
    let world = World::new(11);
    let cut = Arc::new(Cut::new(Arc::new(world.memory.clone()), u64::MAX, last));
    let dying = environment(Arc::<Cut>::clone(&cut), &world.clock, 12);
    let asking = world.process(13);
    world.clock.run(async {
        let (log, other) = (opened(&dying).await, opened(&asking.environment).await);
        let op = {
            let run = std::pin::pin!(log.run().fuse());
            let mut sent = log.submit(&add(7), within(&dying, 600)).unwrap();
            // A fresh identity looks at the tail first; then its bytes close, and the second request is the slot.
            cut.left.store(1, std::sync::atomic::Ordering::Release);
            let (op, ()) = {
                let both = join(sent.op_id(), cut.death());
                let mut both = std::pin::pin!(both);
                match futures_util::future::select(run, both.as_mut()).await {
                    futures_util::future::Either::Right((done, _)) => done,
                    futures_util::future::Either::Left(_) => panic!("its process died"),
                }
            };
            op.unwrap()
        };
        driven(&other, async {
            let (asked, outcome) = cost(&asking, other.resolve(op, within(&asking.environment, 60))).await;
            (asked, outcome.unwrap(), other.machine().get("sum"))
        })
        .await
    })
}

#[test]
fn what_became_of_a_dead_process_commit_costs_two_reads_or_a_commit() {
    let (asked, outcome, sum) = died(Last::Effective);
    assert!(matches!(outcome, Outcome::Committed(_)), "{outcome:?}");
    assert_eq!((asked, sum), ([0, 2, 0], 7), "it is in the log: reading it tells");
    let (asked, outcome, sum) = died(Last::Lost);
    assert!(matches!(outcome, Outcome::Rejected(_)), "{outcome:?}");
    assert_eq!((asked, sum), ([1, 3, 0], 0), "it is not: it is given up, for good, by a commit");
}

#[test]
fn a_machine_that_was_suspended_looks_at_the_boundary_and_its_newest_slot_first() {
    let world = World::new(21);
    let process = world.process(22);
    world.clock.run(async {
        let log = opened(&process.environment).await;
        commit_alone(&log, &[add(1)]).await;
        let log = opened(&process.environment).await;
        let refresh = |log: ChangeLog<Register>| async move { log.refresh(within(log.environment(), 60)).await.unwrap() };
        let (awake, _) = cost(&process, refresh(log.clone())).await;
        world.clock.advance(Duration::from_secs(3 * 24 * 3_600));
        let (woken, _) = cost(&process, refresh(log.clone())).await;
        assert_eq!((awake, woken), ([0, 1, 0], [0, 3, 0]));
    });
}

#[test]
fn a_store_that_refuses_everything_is_asked_seldom_and_used_again_at_once() {
    let world = World::new(31);
    let process = world.process(32);
    world.clock.run(async {
        let log = opened(&process.environment).await;
        let work = async {
            commit(&log, &add(1)).await;
            world.clock.sleep(Duration::from_secs(60)).await;
            process.faults.set_faults(always(|faults| &mut faults.refused));
            let hour = world.clock.sleep(Duration::from_secs(3_600));
            let (idle, ()) = cost(&process, hour).await;
            let (write, outcome) = cost(&process, log.submit(&add(2), within(&process.environment, 30)).unwrap().outcome()).await;
            process.faults.set_faults(Faults::default());
            let healed = world.clock.now();
            commit(&log, &add(4)).await;
            let took = world.clock.now().since(healed);
            log.stop("the test is over");
            (idle, write, outcome, took)
        };
        let (_, (), (idle, write, outcome, took)) = join3(log.run().boxed_local(), log.follow().boxed_local(), work.boxed_local()).await;
        // Pauses are random, so the figures are bounds. Some of the reads of the second are the follower's.
        assert!(idle[1] <= 3_000 && idle[0] + idle[2] == 0, "an idle hour: {idle:?}");
        assert!(write[0] <= 16 && write[1] <= 60 && write[2] == 0, "a commit with 30 s: {write:?}");
        assert!(matches!(outcome, Ok(Outcome::Unknown(_))), "{outcome:?}");
        assert!(took <= Duration::from_secs(3), "the next commit after it: {took:?}");
    });
}

#[test]
fn a_handle_that_fell_behind_the_collector_reads_the_published_state() {
    let world = World::new(41);
    let (working, behind) = (world.process(42), world.process(43));
    world.clock.run(async {
        let (log, sleeper) = (opened(&working.environment).await, opened(&behind.environment).await);
        let soon = || within(&working.environment, 600);
        driven(&log, async {
            for by in 1..=20 {
                commit(&log, &add(by)).await;
            }
            log.publish_snapshot(soon()).await.unwrap();
            let mut collector = Collector::new(&log, CollectOptions::default().with_truncate(true).with_retain_slots(0)).unwrap();
            collector.round(soon()).await.unwrap();
            world.clock.advance(Duration::from_millis(Constants::GRACE_MS));
            let removed = collector.round(soon()).await.unwrap().slots.objects;
            let (asked, seen) = cost(&behind, sleeper.refresh(soon())).await;
            // One of the reads is the only slot since.
            assert_eq!((removed, asked, seen.unwrap()), (21, [0, 7, 0], log.position()));
            assert_eq!(sleeper.machine().get("sum"), 210);
        })
        .await;
    });
}
