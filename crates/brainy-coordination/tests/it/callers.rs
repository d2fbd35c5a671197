//! What each caller is promised whose transaction shares a handle, a batch or a log with strangers'.

use std::cell::Cell;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use brainy_coordination::Outcome;
use brainy_core::Clock;
use brainy_core::clock::before;
use brainy_storage::{InMemoryStore, Prefix, Store};
use brainy_testkit::{FaultStore, Faults, Latencies, Latency, LatencyStore};
use futures_util::future::{Either, join, join_all, select};

use crate::driving::{add, always, commit, driven, driven_resolve};
use crate::stores::{environment, fresh, opened, within};

/// Every write takes 60 ms, every read 25, every listing 40.
fn steady() -> Latencies {
    Latencies { put: Latency::from_ms(60, 60), get: Latency::from_ms(25, 25), list: Latency::from_ms(40, 40) }
}

const WRITE: u128 = 60;
const LISTING: u128 = 40;

#[test]
fn group_commit_waits_for_nothing_when_idle_and_for_one_write_otherwise() {
    let (memory, clock, _) = fresh(61);
    let slow = LatencyStore::new(Arc::new(memory), Arc::new(clock.clone()), 61, steady());
    let environment = environment(Arc::new(slow), &clock, 62);
    clock.run(async {
        let log = opened(&environment).await;
        driven(&log, async {
            // A fresh identity looks at the tail first.
            commit(&log, &add(1)).await;
            let took = |began| clock.now().since(began).as_millis();
            let mut waits = Vec::new();
            for by in 2..=65 {
                clock.sleep(Duration::from_secs(1)).await;
                let began = clock.now();
                commit(&log, &add(by)).await;
                waits.push(took(began));
            }
            assert!(waits.iter().all(|wait| [WRITE, WRITE + LISTING].contains(wait)), "{waits:?}");
            assert!(waits.iter().filter(|wait| **wait > WRITE).count() <= 64 / 8 + 1, "a listing every K slots: {waits:?}");
            // What comes while a batch is on its way goes out with the reply to it, all together.
            let began = clock.now();
            let first = log.submit(&add(100), within(&environment, 60)).unwrap();
            clock.sleep(Duration::from_millis(10)).await;
            let rest: Vec<_> = (101..106).map(|by| log.submit(&add(by), within(&environment, 60)).unwrap()).collect();
            let Outcome::Committed(first) = first.outcome().await.unwrap() else { panic!("nothing is in its way") };
            for outcome in join_all(rest.into_iter().map(|pending| pending.outcome())).await {
                let Outcome::Committed(receipt) = outcome.unwrap() else { panic!("nothing is in its way") };
                assert_eq!(receipt.version.seq.get(), first.version.seq.get() + 1);
            }
            assert!([2 * WRITE, 2 * WRITE + LISTING].contains(&took(began)), "{} ms", took(began));
        })
        .await;
    });
}

#[test]
fn strangers_in_one_batch_keep_their_own_deadlines() {
    let (memory, clock, plain) = fresh(63);
    let faults = Arc::new(FaultStore::scripted(Arc::new(memory), []));
    let environment = environment(Arc::<FaultStore>::clone(&faults), &clock, 64);
    clock.run(async {
        let log = opened(&environment).await;
        let ops = driven(&log, async {
            commit(&log, &add(1)).await;
            faults.set_faults(always(|faults| &mut faults.lost_before));
            let began = clock.now();
            let mut pending = [(5, 2), (20, 4), (500, 8)].map(|(span, by)| log.submit(&add(by), within(&environment, span)).unwrap());
            let mut ops = Vec::new();
            for one in &mut pending {
                ops.push(one.op_id().await.unwrap());
            }
            assert!(ops.iter().all(|op| (op.writer, op.wseq) == (ops[0].writer, ops[0].wseq)), "one batch: {ops:?}");
            let ends = join_all(pending.map(async |pending| (pending.outcome().await.unwrap(), clock.now().since(began))));
            let mend = async {
                clock.sleep(Duration::from_secs(60)).await;
                faults.set_faults(Faults::default());
            };
            let (ends, ()) = join(ends, mend).await;
            assert_eq!(ends[0], (Outcome::Unknown(ops[0]), Duration::from_secs(5)));
            assert_eq!(ends[1], (Outcome::Unknown(ops[1]), Duration::from_secs(20)));
            let (Outcome::Committed(receipt), waited) = &ends[2] else { panic!("{ends:?}") };
            assert!(receipt.op == ops[2] && *waited >= Duration::from_secs(60), "{receipt:?} after {waited:?}");
            ops
        })
        .await;
        let other = opened(&plain).await;
        for op in ops {
            assert!(matches!(driven_resolve(&other, op).await, Outcome::Committed(_)), "they went together");
        }
        assert_eq!(other.machine().get("sum"), 15);
    });
}

#[test]
fn a_pending_commit_dropped_at_any_moment_is_in_the_log_or_never_will_be_and_its_name_tells_which() {
    let (mut inside, mut outside) = (0, 0);
    for after in (0..220).step_by(10) {
        let (memory, clock, plain) = fresh(100 + after);
        let slow = LatencyStore::new(Arc::new(memory.clone()), Arc::new(clock.clone()), 65, steady());
        let environment = environment(Arc::new(slow), &clock, 66 + after);
        clock.run(async {
            let log = opened(&environment).await;
            let name = driven(&log, async {
                commit(&log, &add(1)).await;
                // One is on its way, so that the next waits for its turn.
                let mut first = log.submit(&add(2), within(&environment, 600)).unwrap();
                first.op_id().await.unwrap();
                let mut pending = log.submit(&add(4), within(&environment, 600)).unwrap();
                let drop_at = clock.now().after(Duration::from_millis(after));
                let name = before(&clock, drop_at, pending.op_id()).await.flatten();
                clock.sleep_until(drop_at).await;
                drop(pending);
                assert!(matches!(first.outcome().await, Ok(Outcome::Committed(_))));
                commit(&log, &add(8)).await;
                name
            })
            .await;
            let other = opened(&plain).await;
            let effect = other.machine().effects().iter().any(|effect| effect.label == 4);
            assert_eq!(other.machine().get("sum"), if effect { 15 } else { 11 });
            match name {
                Some(op) => assert_eq!(matches!(driven_resolve(&other, op).await, Outcome::Committed(_)), effect, "{after} ms"),
                None => assert!(!effect, "dropped after {after} ms without a name, and it took effect"),
            }
            if effect { inside += 1 } else { outside += 1 }
        });
    }
    assert!(inside > 3 && outside > 3, "{inside} in, {outside} out");
}

async fn in_inbox(store: &InMemoryStore) -> Vec<String> {
    let page = store.list(&Prefix::new("inbox").unwrap(), None, NonZeroUsize::MAX).await.unwrap().value;
    page.entries.iter().map(|entry| entry.key.to_string()).collect()
}

#[test]
fn a_writer_whose_carriers_died_commits_what_it_left_with_them_itself() {
    let (memory, clock, _) = fresh(67);
    let through = |number: u64| {
        let slow = LatencyStore::new(Arc::new(memory.clone()), Arc::new(clock.clone()), 67 + number, Latencies::S3);
        environment(Arc::new(slow), &clock, 200 + number)
    };
    let alone = Cell::new(false);
    let stranger = |number: u64| {
        let (environment, clock, alone) = (through(number), &clock, &alone);
        async move {
            let log = opened(&environment).await;
            let work = async {
                while let Ok(pending) = log.submit(&add(1), within(&environment, 600)) {
                    drop(pending.outcome().await);
                }
            };
            let dies = async {
                while !alone.get() {
                    clock.sleep(Duration::from_millis(5)).await;
                }
            };
            let lives = std::pin::pin!(join(log.run(), work));
            let Either::Right(_) = select(lives, std::pin::pin!(dies)).await else { panic!("it dies at work") };
        }
    };
    let survivor = async {
        let environment = through(0);
        let log = opened(&environment).await;
        driven(&log, async {
            loop {
                let mut pending = log.submit(&add(1), within(&environment, 600)).unwrap();
                let writer = pending.op_id().await.unwrap().writer.to_string();
                let mut outcome = std::pin::pin!(pending.outcome());
                loop {
                    let wait = std::pin::pin!(clock.sleep(Duration::from_millis(5)));
                    if let Either::Left((outcome, _)) = select(outcome.as_mut(), wait).await {
                        assert!(matches!(outcome, Ok(Outcome::Committed(_))), "{outcome:?}");
                        break;
                    }
                    if in_inbox(&memory).await.iter().any(|key| key.contains(&writer)) {
                        // It lies there, and from now on nobody comes who could carry it.
                        alone.set(true);
                        let died = clock.now();
                        let outcome = outcome.await;
                        assert!(matches!(outcome, Ok(Outcome::Committed(_))), "{outcome:?}");
                        return clock.now().since(died);
                    }
                }
            }
        })
        .await
    };
    let (waited, _) = clock.run(join(survivor, join_all((1..12).map(stranger))));
    // Some times the store's latency, not a ttl or a deadline.
    assert!(waited < Duration::from_secs(3), "{waited:?}");
}
