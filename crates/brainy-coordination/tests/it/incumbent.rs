//! L5 and L15 of the interleavings that lose data in the system before this one; see `docs/testing.md`.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use brainy_coordination::{ChangeLog, CollectOptions, Collector, Constants, Environment, Truncation};
use brainy_core::Clock;
use brainy_core::clock::before;
use brainy_storage::{InMemoryStore, Metered, Prefix, Store};
use brainy_testkit::{Latencies, LatencyStore, ManualClock};
use futures_util::future::{join, join_all};

use crate::driving::{add, commit, driven};
use crate::register::Register;
use crate::stores::{constants, environment, made, opened, within};

/// A new store whose slots are deleted once they are collected.
fn fresh(seed: u64) -> (InMemoryStore, ManualClock, Environment) {
    let clock = ManualClock::new();
    let store = InMemoryStore::new().with_store_clock(Arc::new(clock.clone()));
    let environment = environment(Arc::new(store.clone()), &clock, seed);
    clock.run(made(&environment, Constants::new(Truncation::Delete)));
    (store, clock, environment)
}

async fn objects(store: &InMemoryStore, folder: &str) -> usize {
    store.list(&Prefix::new(folder).unwrap(), None, NonZeroUsize::MAX).await.unwrap().value.entries.len()
}

/// Publishes the state and removes every slot before it.
async fn collect(log: &ChangeLog<Register>, clock: &ManualClock) {
    let environment = log.environment();
    log.publish_snapshot(within(environment, 600)).await.unwrap();
    let options = CollectOptions::default().with_truncate(true).with_retain_slots(0);
    let mut collector = Collector::new(log, options).unwrap();
    for _ in 0..2 {
        collector.round(within(environment, 600)).await.unwrap();
        clock.advance(Duration::from_millis(Constants::GRACE_MS));
    }
    collector.round(within(environment, 600)).await.unwrap();
}

/// There, the code that removes old entries and dead locks is called by nobody.
#[test]
fn l5_what_dead_processes_left_goes_with_the_next_slots_and_old_slots_with_a_collection() {
    let (store, clock, plain) = fresh(51);
    let mut left = 0;
    for round in 0..3 {
        let member = |number: u64| {
            let seed = round * 100 + number;
            let slow = LatencyStore::new(Arc::new(store.clone()), Arc::new(clock.clone()), seed, Latencies::S3);
            let environment = environment(Arc::new(slow), &clock, 1_000 + seed);
            let clock = &clock;
            async move {
                let log = opened(&environment).await;
                let work = async {
                    // Whatever becomes of one: the next.
                    while let Ok(pending) = log.submit(&add(1), within(&environment, 600)) {
                        drop(pending.outcome().await);
                    }
                };
                let life = std::pin::pin!(join(log.run(), work));
                let dies = clock.now().after(Duration::from_millis(4_000 + 97 * number));
                assert!(before(clock, dies, life).await.is_none(), "it dies in the middle");
            }
        };
        clock.run(join_all((0..16).map(member)));
        left += clock.run(objects(&store, "inbox"));
    }
    assert!(left > 0, "nobody died with an intent in the inbox");
    clock.run(async {
        let log = opened(&plain).await;
        driven(&log, async {
            for _ in 0..3 * constants().scan_slots {
                commit(&log, &add(1)).await;
            }
            assert_eq!(objects(&store, "inbox").await, 0);
            let mut after = Vec::new();
            for _ in 0..4 {
                for _ in 0..20 {
                    commit(&log, &add(1)).await;
                }
                collect(&log, &clock).await;
                after.push([objects(&store, "log").await, objects(&store, "manifest").await, objects(&store, "segment").await]);
            }
            assert!(after.iter().all(|counts| *counts == after[0] && counts.iter().sum::<usize>() < 10), "{after:?}");
        })
        .await;
    });
}

/// There, the first look after loading everything applies the whole log again, deletes of what was made anew included.
#[test]
fn l15_a_handle_that_began_at_a_snapshot_applies_what_lies_behind_it_once_and_its_first_look_nothing() {
    let (store, clock, plain) = fresh(52);
    clock.run(async {
        let log = opened(&plain).await;
        driven(&log, async {
            for by in 1..=45 {
                commit(&log, &add(by)).await;
            }
            log.publish_snapshot(within(&plain, 600)).await.unwrap();
            for by in 46..=50 {
                commit(&log, &add(by)).await;
            }
            let metered = Arc::new(Metered::new(Arc::new(store.clone()) as Arc<dyn Store>));
            let other = opened(&environment(Arc::<Metered>::clone(&metered), &clock, 53)).await;
            let labels = || other.machine().effects().iter().map(|effect| effect.label).collect::<Vec<_>>();
            assert_eq!(labels(), [46, 47, 48, 49, 50]);
            for _ in 0..2 {
                let before = metered.snapshot();
                other.refresh(within(&plain, 60)).await.unwrap();
                let asked = metered.snapshot().since(&before);
                assert_eq!((asked.requests(), asked.get.bytes_down), (1, 0), "{asked}");
                assert_eq!((labels().len(), other.machine().get("sum")), (5, 50 * 51 / 2));
                assert_eq!(other.digests().await.unwrap(), log.digests().await.unwrap());
            }
        })
        .await;
    });
}
