//! What a handle promises its callers.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use brainy_coordination::{
    ChangeLog, Constants, Error, Fence, LogOptions, NewStore, OpId, Outcome, ProtocolOperation, Receipt, Rejection, Space, Token,
    Transaction, Truncation, Withdrawal, create_store, find_tail, read_slot,
};
use brainy_core::{Clock, ContentHash, ErrorKind, Metric, SeededEntropy, SequenceNumber, StoreId, WriterId};
use brainy_storage::{GetOptions, InMemoryStore, Key, Precondition, Store};
use brainy_testkit::{Fault, FaultStore, Faults, Lie, LyingStore, ManualClock};
use futures_util::future::{join, join_all};

use crate::register::{Change, Register};
use crate::stores::{Cut, Last, NoWrites, Slow, constants, environment, fresh, made, opened, within};

fn add(by: i64) -> Transaction {
    Change::Add("sum".into(), by).transaction(by.unsigned_abs())
}

/// Drives `log` while `work` goes on, and stops it then.
async fn driven<T>(log: &ChangeLog<Register>, work: impl Future<Output = T>) -> T {
    let work = async {
        let done = work.await;
        log.stop("the test is over");
        done
    };
    join(log.run(), work).await.1
}

async fn commit(log: &ChangeLog<Register>, transaction: &Transaction) -> Receipt {
    match log.submit(transaction, within(log.environment(), 600)).unwrap().outcome().await.unwrap() {
        Outcome::Committed(receipt) => receipt,
        other => panic!("{other:?}"),
    }
}

/// A handle of its own commits this.
async fn commit_alone(log: &ChangeLog<Register>, transactions: &[Transaction]) -> Vec<Receipt> {
    driven(log, async {
        let mut receipts = Vec::new();
        for transaction in transactions {
            receipts.push(commit(log, transaction).await);
        }
        receipts
    })
    .await
}

/// One fault at every request.
fn always(fault: impl Fn(&mut Faults) -> &mut u16) -> Faults {
    let mut faults = Faults::default();
    *fault(&mut faults) = 1_000;
    faults
}

fn seq(number: u64) -> SequenceNumber {
    SequenceNumber::new(number).unwrap()
}

fn slot_key(number: u64) -> Key {
    Key::new(format!("log/{number:020}")).unwrap()
}

#[test]
fn what_was_not_sent_by_its_deadline_never_is() {
    let (_, clock, environment) = fresh(1);
    clock.run(async {
        let log = opened(&environment).await;
        let late = log.submit(&add(1), within(&environment, 1)).unwrap();
        let mut unnamed = log.submit(&add(2), within(&environment, 1)).unwrap();
        let dropped = log.submit(&add(4), within(&environment, 600)).unwrap();
        drop(dropped);
        assert_eq!(late.outcome().await.unwrap(), Outcome::Rejected(Withdrawal::NotSent));
        assert_eq!(unnamed.op_id().await, None);
        driven(&log, commit(&log, &add(8))).await;
        assert_eq!(unnamed.outcome().await.unwrap(), Outcome::Rejected(Withdrawal::NotSent));
        assert_eq!(log.machine().get("sum"), 8);
    });
}

#[test]
fn at_its_deadline_what_was_sent_is_unknown_and_its_dropped_callers_change_goes_on() {
    let (memory, clock, plain) = fresh(2);
    // Every reply to the create is lost on the way, whatever became of it.
    let faults = Arc::new(FaultStore::scripted(Arc::new(memory), []));
    let environment = environment(faults.clone(), &clock, 3);
    let (sent, abandoned) = clock.run(async {
        let log = opened(&environment).await;
        faults.set_faults(always(|faults| &mut faults.lost_after));
        driven(&log, async {
            faults.script([Fault::None; 1]);
            let mut first = log.submit(&add(1), within(&environment, 5)).unwrap();
            let mut second = log.submit(&add(2), within(&environment, 500)).unwrap();
            let names = (first.op_id().await.unwrap(), second.op_id().await.unwrap());
            drop(second);
            assert_eq!(first.outcome().await.unwrap(), Outcome::Unknown(names.0), "a copy is on its way: nobody may say Rejected");
            names
        })
        .await
    });
    clock.run(async {
        let log = opened(&plain).await;
        for op in [sent, abandoned] {
            assert!(matches!(driven_resolve(&log, op).await, Outcome::Committed(_)), "a lost reply is not a lost write");
        }
        assert_eq!(log.machine().get("sum"), 3);
    });
}

async fn driven_resolve(log: &ChangeLog<Register>, op: OpId) -> Outcome {
    log.resolve(op, within(log.environment(), 600)).await.unwrap()
}

#[test]
fn a_store_that_takes_no_writes_is_an_error_of_the_call_and_the_handle_lives_on() {
    for kind in [ErrorKind::Invalid, ErrorKind::NotFound, ErrorKind::Unsupported] {
        let (memory, clock, _) = fresh(4);
        let environment = environment(Arc::new(NoWrites { inner: Arc::new(memory), kind }), &clock, 5);
        clock.run(async {
            let log = opened(&environment).await;
            driven(&log, async {
                for by in [1, 2] {
                    let mut pending = log.submit(&add(by), within(&environment, 600)).unwrap();
                    let op = pending.op_id().await.unwrap();
                    let error = pending.outcome().await.unwrap_err();
                    assert_eq!(error.kind(), kind, "{error}");
                    let outcome = log.resolve(op, within(&environment, 600)).await.unwrap();
                    assert_eq!(outcome, Outcome::Rejected(Withdrawal::NotSent));
                }
            })
            .await;
            assert_eq!(log.figures().batches, 0);
        });
    }
}

#[test]
fn a_store_that_refuses_writes_for_the_moment_leaves_the_caller_in_doubt_and_the_queue_free_afterwards() {
    let (memory, clock, _) = fresh(6);
    let environment = environment(Arc::new(NoWrites { inner: Arc::new(memory), kind: ErrorKind::Unavailable }), &clock, 7);
    clock.run(async {
        let log = opened(&environment).await;
        driven(&log, async {
            let mut pending = log.submit(&add(1), within(&environment, 5)).unwrap();
            let op = pending.op_id().await.unwrap();
            let end = within(&environment, 5);
            assert_eq!(pending.outcome().await.unwrap(), Outcome::Unknown(op));
            assert!(clock.now() <= end.after(Duration::from_millis(1)), "the deadline is the caller's");
            // Nobody waits any more and no copy was ever written: the committer lets go of it.
            let outcome = log.resolve(op, within(&environment, 600)).await.unwrap();
            assert_eq!(outcome, Outcome::Rejected(Withdrawal::NotSent));
            assert!(log.last_failure().is_some());
            assert!(log.submit(&add(2), within(&environment, 5)).unwrap().op_id().await.is_some(), "the next batch gets its turn");
        })
        .await;
    });
}

#[test]
fn a_committer_that_is_dropped_closes_the_handle_and_nobody_hangs() {
    let (memory, clock, _) = fresh(8);
    let environment = environment(Arc::new(Cut::new(Arc::new(memory), 4, Last::Lost)), &clock, 9);
    clock.run(async {
        let log = opened(&environment).await;
        let mut sent = log.submit(&add(1), within(&environment, 1 << 20)).unwrap();
        let op = {
            let run = std::pin::pin!(log.run());
            let name = std::pin::pin!(sent.op_id());
            let futures_util::future::Either::Right((op, _)) = futures_util::future::select(run, name).await else { panic!("it runs") };
            op.unwrap()
        };
        let began = clock.now();
        assert_eq!(sent.outcome().await.unwrap(), Outcome::Unknown(op));
        let refused = log.submit(&add(2), within(&environment, 60));
        assert!(matches!(refused, Err(Error::Closed { .. })), "{refused:?}");
        assert_eq!(log.close(within(&environment, 60)).await, [op]);
        assert_eq!(clock.now(), began, "nobody waited");
    });
}

#[test]
fn after_a_panic_in_the_machine_nothing_is_applied_twice_and_everything_says_closed() {
    let (_, clock, environment) = fresh(10);
    let log = clock.run(opened(&environment));
    log.machine().panic_at_next_install();
    let pending = [1, 2].map(|by| log.submit(&add(by), within(&environment, 60)).unwrap());
    let run = std::panic::AssertUnwindSafe(|| clock.run(log.run()));
    assert!(std::panic::catch_unwind(run).is_err());
    clock.run(async {
        for pending in pending {
            assert!(matches!(pending.outcome().await, Ok(Outcome::Unknown(_))));
        }
        assert!(matches!(log.submit(&add(4), within(&environment, 60)), Err(Error::Closed { .. })));
        let looked = log.refresh(within(&environment, 60)).await;
        assert!(matches!(looked, Err(Error::Closed { .. })), "{looked:?}");
        let other = opened(&environment).await;
        assert_eq!(other.machine().get("sum"), 3);
    });
}

#[test]
fn stopping_refuses_what_waits_and_names_what_is_undecided() {
    let (memory, clock, plain) = fresh(11);
    let environment = environment(Arc::new(Cut::new(Arc::new(memory), 4, Last::Effective)), &clock, 12);
    let undecided = clock.run(async {
        let log = opened(&environment).await;
        let work = async {
            let mut sent = log.submit(&add(1), within(&environment, 600)).unwrap();
            let op = sent.op_id().await.unwrap();
            let waiting = log.submit(&add(2), within(&environment, 600)).unwrap();
            let undecided = log.close(within(&environment, 3)).await;
            assert_eq!(undecided, [op]);
            assert!(matches!(waiting.outcome().await, Err(Error::Closed { .. })), "what waited was never sent");
            undecided
        };
        let (ran, undecided) = join(log.run(), work).await;
        assert!(matches!(ran, Err(Error::Closed { .. })), "{ran:?}");
        undecided
    });
    clock.run(async {
        let log = opened(&plain).await;
        assert!(matches!(driven_resolve(&log, undecided[0]).await, Outcome::Committed(_)));
        assert_eq!(log.machine().get("sum"), 1);
    });
}

#[test]
fn closing_waits_for_everything_that_was_taken() {
    let (_, clock, environment) = fresh(13);
    clock.run(async {
        let log = opened(&environment).await;
        let pending: Vec<_> = (0..10).map(|bit| log.submit(&add(1 << bit), within(&environment, 60)).unwrap()).collect();
        let (ran, undecided) = join(log.run(), log.close(within(&environment, 60))).await;
        assert!(ran.is_ok() && undecided.is_empty());
        assert_eq!(log.machine().get("sum"), 1_023);
        for pending in pending {
            assert!(matches!(pending.outcome().await, Ok(Outcome::Committed(_))));
        }
        assert_eq!(log.position().seq, 1, "what came together is one batch in one slot");
    });
}

#[test]
fn what_cannot_be_sent_is_refused_before_it_gets_a_name() {
    let (_, clock, environment) = fresh(14);
    clock.run(async {
        let options = LogOptions::default().with_queue(2, 1_000);
        let machine = Arc::new(Register::default());
        let log = ChangeLog::open(environment.clone(), machine, options, within(&environment, 60)).await.unwrap();
        let deadline = within(&environment, 60);
        let long = "x".repeat(2_000);
        for wrong in [
            Transaction::payload(vec![0; 40 << 20]),
            Transaction::protocol(ProtocolOperation::LeaseClaim { name: "Ä".into(), token: 1 }),
            Transaction::protocol(ProtocolOperation::LeaseClaim { name: String::new(), token: 1 }),
            Transaction::protocol(ProtocolOperation::DigestOverride { seq: 1, reason: long }),
            add(1).with_fence(Fence { name: "../x".into(), token: 1 }),
        ] {
            let refused = log.submit(&wrong, deadline);
            assert!(matches!(&refused, Err(Error::Invalid { .. })), "{refused:?}");
        }
        let taken = [1, 2].map(|by| log.submit(&add(by), deadline).unwrap());
        let refused = log.submit(&add(4), deadline);
        assert!(matches!(refused, Err(Error::Overloaded { waiting: 2, .. })), "{refused:?}");
        drop(taken);
        let options = LogOptions::default().with_read_only(true);
        let reader = ChangeLog::open(environment.clone(), Arc::new(Register::default()), options, deadline).await.unwrap();
        assert!(matches!(reader.submit(&add(1), deadline), Err(Error::ReadOnly)));
    });
}

#[test]
fn inv_8_callers_who_come_at_once_share_looks_and_nobody_gets_one_sent_before_he_asked() {
    let (memory, clock, plain) = fresh(15);
    let counted = Arc::new(FaultStore::scripted(Arc::new(memory), []));
    let entropy = SeededEntropy::new(16);
    let slow = Slow { inner: counted.clone(), clock: clock.clone(), entropy };
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
            assert!(matches!(refused, Err(Error::RolledBack { .. })), "{refused:?}");
        });
    }
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
fn processes_that_make_one_store_at_once_agree_on_it() {
    for seed in 0..50 {
        let (memory, clock) = (InMemoryStore::new(), ManualClock::new());
        let faults: Arc<dyn Store> = Arc::new(FaultStore::seeded(Arc::new(memory), seed, Faults::all(300)));
        let makers = (0..6_u64).map(|maker| {
            let entropy = SeededEntropy::new(seed * 100 + maker);
            let slow: Arc<dyn Store> = Arc::new(Slow { inner: Arc::clone(&faults), clock: clock.clone(), entropy });
            let environment = environment(slow, &clock, seed * 1_000 + maker);
            let dimension = if maker < 3 { 3 } else { 4 };
            let new = NewStore::new(vec![Space::nouns(dimension, Metric::Cosine)]);
            async move { create_store(&environment, &new, within(&environment, 3_600)).await }
        });
        let results = clock.run(join_all(makers));
        let made: Vec<_> = results.iter().filter_map(|result| result.as_ref().ok()).collect();
        assert!(!made.is_empty(), "seed {seed}: {results:?}");
        assert!(made.iter().all(|one| one == &made[0]), "seed {seed}: {made:?}");
        for refused in results.iter().filter_map(|result| result.as_ref().err()) {
            assert!(matches!(refused, Error::Different { field: "spaces", .. } | Error::Exists { .. }), "seed {seed}: {refused}");
        }
    }
}

#[test]
fn a_half_made_store_is_completed_and_a_whole_one_never_made_again() {
    let (memory, clock) = (InMemoryStore::new(), ManualClock::new());
    let cut = Arc::new(Cut::new(Arc::new(memory.clone()), 2, Last::Lost));
    let dying = environment(cut.clone(), &clock, 21);
    clock.run(async {
        let new = NewStore::new(vec![]);
        let making = std::pin::pin!(create_store(&dying, &new, within(&dying, 600)));
        drop(futures_util::future::select(making, std::pin::pin!(cut.death())).await);
        let plain = environment(Arc::new(memory), &clock, 22);
        let machine = || Arc::new(Register::default());
        let refused = ChangeLog::open(plain.clone(), machine(), LogOptions::default(), within(&plain, 60)).await;
        assert!(matches!(refused, Err(Error::NoStore { .. })), "{refused:?}");
        create_store(&plain, &new, within(&plain, 60)).await.unwrap();
        assert!(matches!(create_store(&plain, &new, within(&plain, 60)).await, Err(Error::Exists { .. })));
    });
}

#[test]
fn a_follower_takes_in_what_others_commit_and_outlives_failures() {
    let (memory, clock, plain) = fresh(23);
    let faults = Arc::new(FaultStore::seeded(Arc::new(memory), 24, Faults::default()));
    let environment = environment(faults.clone(), &clock, 25);
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
fn a_cancelled_operation_stays_without_effect_when_its_copy_lands_at_last() {
    let (memory, clock, plain) = fresh(26);
    let faults = Arc::new(FaultStore::scripted(Arc::new(memory), []));
    let environment = environment(faults.clone(), &clock, 27);
    clock.run(async {
        let log = opened(&environment).await;
        let mut pending = log.submit(&add(1), within(&environment, 600)).unwrap();
        let op = {
            // The look at the tail; then the create, which lands much later; from then on the process hangs.
            faults.script([Fault::None, Fault::Late(u32::MAX)]);
            faults.set_faults(always(|faults| &mut faults.refused));
            let life = async {
                let op = pending.op_id().await.unwrap();
                clock.sleep(Duration::from_secs(1)).await;
                op
            };
            let futures_util::future::Either::Right((op, _)) =
                futures_util::future::select(std::pin::pin!(log.run()), std::pin::pin!(life)).await
            else {
                panic!("it runs")
            };
            op
        };
        faults.set_faults(Faults::default());
        let other = opened(&plain).await;
        let outcome = driven(&other, other.resolve(op, within(&plain, 60))).await.unwrap();
        assert_eq!(outcome, Outcome::Rejected(Withdrawal::Cancelled { op }));
        faults.land().await;
        let third = opened(&plain).await;
        assert_eq!(third.machine().get("sum"), 0);
        assert_eq!(driven_resolve(&third, op).await, Outcome::Rejected(Withdrawal::Cancelled { op }));
    });
}

#[test]
fn any_handle_tells_what_became_of_an_operation_old_foreign_forged_or_out_of_the_window() {
    let (memory, clock) = (InMemoryStore::new(), ManualClock::new());
    let plain = environment(Arc::new(memory), &clock, 28);
    clock.run(async {
        made(&plain, constants().with_horizon_slots(10)).await;
        let log = opened(&plain).await;
        let (receipts, refused) = driven(&log, async {
            let mut receipts = Vec::new();
            for by in 1..=3 {
                receipts.push(commit(&log, &add(by)).await);
            }
            let cas = Change::CompareAndSet("sum".into(), 77, 78).transaction(100);
            let mut pending = log.submit(&cas, within(&plain, 60)).unwrap();
            let refused = pending.op_id().await.unwrap();
            assert!(matches!(pending.outcome().await, Ok(Outcome::Rejected(Withdrawal::Precondition { .. }))));
            receipts.push(commit(&log, &add(4)).await);
            (receipts, refused)
        })
        .await;
        let other = opened(&plain).await;
        let slots = other.position().seq;
        driven(&other, async {
            for receipt in &receipts {
                let Outcome::Committed(found) = driven_resolve(&other, receipt.op).await else { panic!("it was acknowledged") };
                assert_eq!((found.op, found.version), (receipt.op, receipt.version));
            }
            assert_eq!(driven_resolve(&other, refused).await, Outcome::Rejected(Withdrawal::Ineffective { op: refused }));
            let newest = receipts[3].op;
            let foreign = OpId { hash: ContentHash::of(b"a clone's"), ..newest };
            assert_eq!(driven_resolve(&other, foreign).await, Outcome::Rejected(Withdrawal::Foreign { op: foreign }));
            let beyond = OpId { index: 7, ..newest };
            assert!(matches!(driven_resolve(&other, beyond).await, Outcome::Rejected(_)));
            assert_eq!(other.position().seq, slots, "the state told all that: nothing was written");
            // Numbers nobody could have: a claim would be a guess, and asking must not fill the log.
            for forged in [OpId { wseq: 9, ..newest }, OpId { wseq: 99, base: u64::MAX, ..newest }] {
                assert_eq!(driven_resolve(&other, forged).await, Outcome::Unknown(forged));
            }
            assert!(other.position().seq <= slots + 2, "one cancellation each");
            // One of a writer that never was is given up.
            let nobody = OpId { writer: WriterId::from_bytes([7; 16]), wseq: 1, base: slots, ..newest };
            assert_eq!(driven_resolve(&other, nobody).await, Outcome::Rejected(Withdrawal::Cancelled { op: nobody }));
            let lost = OpId { writer: WriterId::from_bytes([8; 16]), wseq: 1, base: other.position().seq, ..newest };
            for by in 10..=20 {
                commit(&other, &add(by)).await;
            }
            assert_eq!(driven_resolve(&other, lost).await, Outcome::Rejected(Withdrawal::Stale { op: lost }), "INV-6");
            for by in 21..=31 {
                commit(&other, &add(by)).await;
            }
            let told = other.resolve(lost, within(&plain, 60)).await;
            assert!(matches!(told, Err(Error::OutsideWindow { .. })), "INV-6: no claim beyond twice the horizon: {told:?}");
        })
        .await;
        let options = LogOptions::default().with_read_only(true);
        let reader = ChangeLog::open(plain.clone(), Arc::new(Register::default()), options, within(&plain, 60)).await.unwrap();
        let open = OpId { writer: WriterId::from_bytes([6; 16]), wseq: 1, base: reader.position().seq, ..receipts[0].op };
        assert_eq!(driven_resolve(&reader, open).await, Outcome::Unknown(open), "who cannot give up does not guess");
    });
}

#[test]
fn rules_that_a_build_does_not_know_stop_it_from_the_next_slot_on() {
    let (memory, clock, plain) = fresh(29);
    clock.run(async {
        let log = opened(&plain).await;
        driven(&log, async {
            commit(&log, &Transaction::protocol(ProtocolOperation::Upgrade { rules: 2 })).await;
            let refused = log.submit(&add(1), within(&plain, 60)).unwrap().outcome().await;
            assert!(matches!(refused, Err(Error::Rules { rules: 2, seq: 2, .. })), "{refused:?}");
            assert!(matches!(log.refresh(within(&plain, 60)).await, Err(Error::Rules { .. })));
        })
        .await;
        let refused = ChangeLog::open(plain.clone(), Arc::new(Register::default()), LogOptions::default(), within(&plain, 60)).await;
        assert!(matches!(refused, Err(Error::Rules { .. })), "{refused:?}");
        let next = memory.get(&slot_key(2), GetOptions::whole()).await.unwrap().value;
        assert_eq!(next, brainy_storage::Get::Absent, "nothing was written under rules that are not known");
    });
}

#[test]
fn a_fenced_write_is_without_effect_once_a_higher_token_was_claimed() {
    let (_, clock, plain) = fresh(30);
    clock.run(async {
        let (old, new) = (opened(&plain).await, opened(&plain).await);
        let claim = |token| Transaction::protocol(ProtocolOperation::LeaseClaim { name: "job".into(), token });
        let fenced = |by, token| add(by).with_fence(Fence { name: "job".into(), token });
        driven(&old, async {
            commit(&old, &claim(1)).await;
            commit(&old, &fenced(1, 1)).await;
            commit_alone(&new, &[claim(2), fenced(2, 2)]).await;
            let stalled = old.submit(&fenced(4, 1), within(&plain, 60)).unwrap().outcome().await.unwrap();
            let Outcome::Rejected(Withdrawal::Precondition { rejection, .. }) = stalled else { panic!("{stalled:?}") };
            assert_eq!(rejection.code, Rejection::FENCED);
            assert_eq!(old.machine().get("sum"), 3);
        })
        .await;
        let slot = read_slot(&plain, seq(old.position().seq), within(&plain, 60)).await.unwrap().unwrap();
        assert_eq!(slot.header.tokens.get("job"), Some(&2));
        assert_eq!(slot.batches[0].transactions[0].effective, Some(false));
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
    assert!(found > 20, "only {found} of 40 runs noticed");
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
        let reading = environment(counted.clone(), &clock, 32);
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

#[test]
fn group_commit_of_many_callers_takes_few_slots_and_a_large_batch_lies_in_a_blob() {
    let (memory, clock, _) = fresh(33);
    let slow: Arc<dyn Store> = Arc::new(Slow { inner: Arc::new(memory), clock: clock.clone(), entropy: SeededEntropy::new(34) });
    let environment = environment(slow, &clock, 35);
    clock.run(async {
        let log = opened(&environment).await;
        driven(&log, async {
            let changes: Vec<_> = (1..=6_000).map(add).collect();
            let pending = changes.iter().map(|change| log.submit(change, within(&environment, 600)).unwrap().outcome());
            let outcomes = join_all(pending).await;
            assert!(outcomes.iter().all(|outcome| matches!(outcome, Ok(Outcome::Committed(_)))));
        })
        .await;
        assert_eq!(log.position().seq, 2, "4,096 transactions a batch at most");
        let slot = read_slot(&environment, seq(1), within(&environment, 60)).await.unwrap().unwrap();
        assert!(slot.bytes < 64 << 10, "{} bytes: the transactions lie in a blob", slot.bytes);
        assert_eq!(slot.batches[0].transactions.len(), 4_096);
        let other = opened(&environment).await;
        assert_eq!(other.digests().await.unwrap(), log.digests().await.unwrap());
    });
}
