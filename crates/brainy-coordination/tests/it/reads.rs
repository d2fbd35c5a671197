//! What a handle promises those who read.

use std::sync::Arc;
use std::time::Duration;

use brainy_coordination::{ChangeLog, Constants, Error, LogOptions, Outcome, Spawn, Task, Token, Truncation, find_tail};
use brainy_core::{Clock, ContentHash, SeededEntropy, StoreId};
use brainy_storage::{GetOptions, InMemoryStore, Key, Precondition, Store};
use brainy_testkit::{FaultStore, Faults, Lie, LyingStore, ManualClock};
use futures_executor::block_on;
use futures_util::FutureExt;
use futures_util::future::{join, join_all, join3};

use crate::stores::{Slow, Unsettled, environment, fresh, made, opened, within};

use crate::driving::{add, always, commit, commit_alone, driven, seq, slot_key};
use crate::register::{Change, Register};

#[test]
fn inv_8_callers_who_come_at_once_share_looks_and_nobody_gets_one_sent_before_he_asked() {
    let (memory, clock, plain) = fresh(15);
    let counted = Arc::new(FaultStore::scripted(Arc::new(memory), []));
    let entropy = SeededEntropy::new(16);
    let slow = Slow { inner: Arc::<FaultStore>::clone(&counted), clock: clock.clone(), entropy };
    let environment = environment(Arc::new(slow), &clock, 17);
    clock.run(async {
        let log = opened(&environment).await;
        let other = opened(&plain).await;
        let before = counted.requests();
        let deadline = within(&environment, 600);
        join_all((0..100).map(|_| log.refresh(deadline))).await;
        assert!(counted.requests() - before <= 3, "{} requests for 100 callers", counted.requests() - before);
        // One looks; while the reply is on its way somebody commits, then a second asks.
        let first = log.refresh(deadline);
        let second = async {
            clock.sleep(Duration::from_micros(1)).await;
            let receipt = commit_alone(&other, &[add(1)]).await.remove(0);
            (log.refresh(deadline).await.unwrap().seq, receipt.version.seq.get())
        };
        let (_, (seen, committed)) = join(first, second).await;
        assert!(seen >= committed, "INV-8: an older look was shown to a younger caller");
        let before = counted.requests();
        log.refresh_older_than(Duration::from_secs(600), deadline).await.unwrap();
        assert_eq!(counted.requests(), before, "a young look answers without a request");
        clock.advance(Duration::from_secs(601));
        log.refresh_older_than(Duration::from_secs(600), within(&environment, 60)).await.unwrap();
        assert!(counted.requests() > before);
    });
}

#[test]
fn whoever_looks_without_end_keeps_nobody_from_committing() {
    let took = [0, 1, 8].map(|readers| {
        let (memory, clock, _) = fresh(31);
        let slow = Slow { inner: Arc::new(memory), clock: clock.clone(), entropy: SeededEntropy::new(32) };
        let environment = environment(Arc::new(slow), &clock, 33);
        clock.run(async {
            let log = opened(&environment).await;
            let looking = join_all((0..readers).map(async |_| {
                while log.closed().is_none() {
                    let looked = log.refresh(within(&environment, 60)).await;
                    assert!(looked.is_ok() || log.closed().is_some(), "{looked:?}");
                }
            }));
            let committing = async {
                let before = clock.now();
                for _ in 0..50 {
                    commit(&log, &add(1)).await;
                }
                log.stop("the test is over");
                clock.now().since(before)
            };
            let (_, _, took) = join3(log.run().boxed_local(), looking.boxed_local(), committing.boxed_local()).await;
            took
        })
    });
    assert!(took[1] < took[0].mul_f64(1.25) && took[2] < took[0].mul_f64(1.25), "50 commits beside 0, 1 and 8 readers: {took:?}");
}

/// Each task on a thread of its own.
#[derive(Debug)]
struct Threads;

impl Spawn for Threads {
    fn spawn(&self, task: Task) {
        std::thread::spawn(move || block_on(task));
    }
}

#[test]
fn a_long_log_read_beside_is_the_log_and_fails_where_it_is_damaged() {
    let (clock, memory) = (ManualClock::new(), InMemoryStore::new());
    let plain = environment(Arc::new(memory.clone()), &clock, 41);
    let mut constants = Constants::new(Truncation::Tombstone);
    constants.inline_bytes = 1_024;
    clock.run(made(&plain, constants));
    let log = clock.run(opened(&plain));
    // Some lie in blobs.
    let transactions: Vec<_> = (0..70).map(|by| Change::Add("k".repeat(1 + by * 30), 1).transaction(1)).collect();
    clock.run(commit_alone(&log, &transactions));
    let digests = clock.run(log.digests()).unwrap();
    // No virtual time from here on: it would stand still for want of anything to wait for while the other thread works.
    let open = |beside| {
        let options = if beside { LogOptions::default().with_decoder(Arc::new(Threads)) } else { LogOptions::default() };
        block_on(ChangeLog::open(plain.clone(), Arc::new(Register::default()), options, within(&plain, 600)))
    };
    for beside in [false, true] {
        assert_eq!(block_on(open(beside).unwrap().digests()).unwrap(), digests, "{beside}");
    }
    for slot in [5, 30, 60] {
        let object = block_on(memory.get(&slot_key(slot), GetOptions::whole())).unwrap().value;
        let brainy_storage::Get::Found(object) = object else { panic!("it is there") };
        let mut damaged = object.bytes.to_vec();
        damaged[100] ^= 1;
        block_on(memory.put(&slot_key(slot), damaged.into(), Precondition::None)).unwrap();
        for beside in [false, true] {
            let refused = open(beside).map(drop);
            assert!(matches!(&refused, Err(Error::Bytes { key, .. }) if *key == slot_key(slot).to_string()), "{beside}: {refused:?}");
        }
        block_on(memory.put(&slot_key(slot), object.bytes, Precondition::None)).unwrap();
    }
}

#[test]
fn inv_19_nothing_that_is_not_confirmed_is_answered_from_or_shown() {
    let (memory, clock, plain) = fresh(51);
    let unsettled = Arc::new(Unsettled { inner: Arc::new(memory), fails: false.into() });
    let environment = environment(Arc::<Unsettled>::clone(&unsettled), &clock, 52);
    clock.run(async {
        let (writer, reader) = (opened(&plain).await, opened(&environment).await);
        commit_alone(&writer, &[add(1), add(2), add(3)]).await;
        unsettled.fails.store(true, std::sync::atomic::Ordering::Release);
        let deadline = within(&environment, 60);
        assert!(reader.refresh(deadline).await.is_err());
        assert_eq!((reader.machine().effects().len(), reader.machine().confirmed()), (3, 0), "INV-19: a power cut may take them back");
        assert!(reader.digests().await.is_err() && reader.highest_claim("any", deadline).await.is_err(), "INV-19");
        assert_eq!(reader.position().seq, 0);
        unsettled.fails.store(false, std::sync::atomic::Ordering::Release);
        assert_eq!(reader.digests().await.unwrap(), writer.digests().await.unwrap());
        assert_eq!((reader.machine().confirmed(), reader.position().seq), (3, writer.position().seq));
    });
}

#[test]
fn a_position_is_reached_or_refused_by_name_and_never_waited_for_in_vain() {
    let (_, clock, environment) = fresh(18);
    clock.run(async {
        let (log, reader) = (opened(&environment).await, opened(&environment).await);
        let receipts = commit_alone(&log, &[add(1), add(2)]).await;
        let deadline = within(&environment, 60);
        assert_eq!(reader.position().seq, 0);
        assert_eq!(reader.reach(receipts[1].token, deadline).await.unwrap(), receipts[1].token);
        assert_eq!(reader.machine().get("sum"), 3, "read your own writes, on any instance");
        let token = receipts[1].token;
        let foreign = Token { store: StoreId::from_bytes([9; 16]), ..token };
        assert!(matches!(reader.reach(foreign, deadline).await, Err(Error::ForeignToken { .. })));
        for gone in [Token { seq: 3, ..token }, Token { seq: u64::MAX, ..token }, Token { hash: ContentHash::of(b"other"), ..token }] {
            let refused = reader.reach(gone, deadline).await;
            assert!(matches!(refused, Err(Error::RolledBack { .. })), "{refused:?}");
        }
    });
}

/// A store whose replies carry time and whose old slots may be deleted.
fn timed(seed: u64) -> (InMemoryStore, ManualClock, brainy_coordination::Environment) {
    let clock = ManualClock::new();
    let store = InMemoryStore::new().with_store_clock(Arc::new(clock.clone()));
    let environment = environment(Arc::new(store.clone()), &clock, seed);
    clock.run(made(&environment, Constants::new(Truncation::Delete)));
    (store, clock, environment)
}

#[test]
fn inv_10_a_bucket_that_went_back_is_noticed_at_the_next_confirmation() {
    for restored in [None, Some(1)] {
        let (store, clock, environment) = timed(19);
        clock.run(async {
            let log = opened(&environment).await;
            commit_alone(&log, &[add(1), add(2)]).await;
            let deadline = within(&environment, 1 << 20);
            log.refresh(deadline).await.unwrap();
            store.delete(&slot_key(2)).await.unwrap();
            if let Some(other) = restored {
                let object = store.get(&slot_key(other), GetOptions::whole()).await.unwrap().value;
                let brainy_storage::Get::Found(object) = object else { panic!("it is there") };
                drop(store.put(&slot_key(2), object.bytes, Precondition::None).await);
            }
            clock.advance(Duration::from_millis(Constants::GRACE_MS / 4));
            let refused = log.refresh(deadline).await;
            assert!(matches!(refused, Err(Error::RolledBack { .. })), "INV-10: {refused:?}");
        });
    }
}

#[test]
fn inv_10_whoever_writes_on_behind_the_hole_of_a_bucket_that_went_back_notices_too() {
    // The own newest slot is there: this handle made it after the others were gone, while its last confirmation still counted.
    for gone in [[2, 2], [2, 3], [3, 3]] {
        let (store, clock, environment) = timed(21);
        clock.run(async {
            let log = opened(&environment).await;
            let deadline = within(&environment, 1 << 20);
            driven(&log, async {
                for value in 1..4 {
                    commit(&log, &add(value)).await;
                }
                // Looks at the tail do not put the next look at the own slots off.
                clock.advance(Duration::from_millis(Constants::GRACE_MS / 8));
                log.refresh(deadline).await.unwrap();
                for slot in gone {
                    store.delete(&slot_key(slot)).await.unwrap();
                }
                commit(&log, &add(4)).await;
                clock.advance(Duration::from_millis(Constants::GRACE_MS / 8));
            })
            .await;
            let refused = log.refresh(deadline).await;
            assert!(matches!(refused, Err(Error::RolledBack { .. })), "INV-10: {refused:?}");
        });
    }
}

#[test]
fn inv_10_an_idle_follower_notices_within_a_quarter_of_the_grace_that_the_bucket_went_back() {
    let (store, clock, environment) = timed(26);
    clock.run(async {
        let log = opened(&environment).await;
        commit_alone(&log, &[add(1), add(2)]).await;
        let log = opened(&environment).await;
        let watch = async {
            clock.sleep(Duration::from_secs(7_200)).await;
            assert!(log.last_failure().is_none(), "{:?}", log.last_failure());
            store.delete(&slot_key(2)).await.unwrap();
            clock.sleep(Duration::from_millis(Constants::GRACE_MS / 4) + LogOptions::POLL_LONGEST * 2).await;
            let failure = log.last_failure();
            assert!(matches!(failure, Some(Error::RolledBack { .. })), "INV-10: {failure:?}");
            log.stop("done");
        };
        join(log.follow(), watch).await;
    });
}

#[test]
fn inv_9_a_write_is_acknowledged_only_by_a_confirmation_of_the_last_quarter_of_the_grace() {
    let (store, clock, environment) = timed(20);
    clock.run(async {
        let log = opened(&environment).await;
        driven(&log, async {
            commit(&log, &add(1)).await;
            clock.advance(Duration::from_millis(Constants::GRACE_MS / 4));
            // Without `ctl/head` no confirmation can be had: the create succeeds and proves nothing.
            store.delete(&Key::new("ctl/head").unwrap()).await.unwrap();
            let mut pending = log.submit(&add(2), within(&environment, 60)).unwrap();
            let op = pending.op_id().await.unwrap();
            assert_eq!(pending.outcome().await.unwrap(), Outcome::Unknown(op), "INV-9");
            assert!(store.get(&slot_key(2), GetOptions::whole()).await.is_ok_and(|found| found.value != brainy_storage::Get::Absent));
        })
        .await;
    });
}

#[test]
fn a_follower_takes_in_what_others_commit_and_outlives_failures() {
    let (memory, clock, plain) = fresh(23);
    let faults = Arc::new(FaultStore::seeded(Arc::new(memory), 24, Faults::default()));
    let environment = environment(Arc::<FaultStore>::clone(&faults), &clock, 25);
    clock.run(async {
        let (log, other) = (opened(&environment).await, opened(&plain).await);
        let watch = async {
            faults.set_faults(always(|faults| &mut faults.refused));
            clock.sleep(Duration::from_secs(60)).await;
            assert!(log.last_failure().is_some());
            faults.set_faults(Faults::default());
            commit_alone(&other, &[add(5)]).await;
            clock.sleep(Duration::from_secs(60)).await;
            assert_eq!(log.machine().get("sum"), 5);
            log.stop("done");
        };
        join(log.follow(), watch).await;
    });
}

#[test]
fn inv_2_a_store_that_lets_two_create_one_slot_is_found_out_by_the_chain() {
    let mut found = 0;
    for seed in 0..40 {
        let (memory, clock, _) = fresh(seed);
        let lying: Arc<dyn Store> = Arc::new(LyingStore::new(Arc::new(memory), Lie::ChecksThenWrites));
        let errors = clock.run(join_all((0..3_u64).map(|handle| {
            let entropy = SeededEntropy::new(seed * 10 + handle);
            let slow: Arc<dyn Store> = Arc::new(Slow { inner: Arc::clone(&lying), clock: clock.clone(), entropy });
            let slow: Arc<dyn Store> = Arc::new(LyingStore::new(slow, Lie::ChecksThenWrites));
            let environment = environment(slow, &clock, seed * 10 + handle);
            async move {
                let log = opened(&environment).await;
                driven(&log, async {
                    for by in 1..5 {
                        drop(log.submit(&add(by), within(&environment, 20)).unwrap().outcome().await);
                    }
                    log.refresh(within(&environment, 20)).await.err().or_else(|| log.last_failure())
                })
                .await
            }
        })));
        found += usize::from(errors.iter().any(|error| matches!(error, Some(Error::RolledBack { .. }))));
    }
    assert!(found > 20, "INV-1 does not hold there, and only {found} of 40 runs noticed");
}

#[test]
fn the_tail_is_found_by_galloping_and_far_behind_is_caught_up_by_a_listing() {
    let (memory, clock, plain) = fresh(31);
    clock.run(async {
        assert!(find_tail(&plain, seq(1), within(&plain, 60)).await.unwrap().is_none());
        let log = opened(&plain).await;
        let changes: Vec<_> = (1..=200).map(add).collect();
        commit_alone(&log, &changes).await;
        let counted = Arc::new(FaultStore::scripted(Arc::new(memory), []));
        let reading = environment(Arc::<FaultStore>::clone(&counted), &clock, 32);
        let tail = find_tail(&reading, seq(1), within(&plain, 60)).await.unwrap().unwrap();
        assert_eq!(tail.header.seq, seq(200));
        assert!(counted.requests() <= 2 * 8 + 3, "{} reads", counted.requests());
        let before = counted.requests();
        let other = opened(&reading).await;
        assert_eq!(other.machine().get("sum"), (1..=200).sum::<i64>());
        assert!(counted.requests() - before < 200 + 12, "{} requests", counted.requests() - before);
        assert_eq!(other.digests().await.unwrap(), log.digests().await.unwrap());
    });
}
