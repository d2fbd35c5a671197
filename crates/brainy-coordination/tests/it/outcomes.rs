//! What becomes of an operation, and who can tell.

use std::sync::Arc;
use std::time::Duration;

use brainy_coordination::{ChangeLog, Error, LogOptions, OpId, Outcome, Withdrawal};
use brainy_core::{Clock, ContentHash, SeededEntropy, WriterId};
use brainy_storage::InMemoryStore;
use brainy_testkit::{Fault, FaultStore, Faults, ManualClock};
use futures_util::future::join;

use crate::register::{Change, Register};
use crate::stores::{Cut, Last, constants, environment, fresh, made, opened, within};

use crate::driving::{add, always, commit, driven, driven_resolve};

#[test]
fn at_its_deadline_what_was_sent_is_unknown_and_its_dropped_callers_change_goes_on() {
    let (memory, clock, plain) = fresh(2);
    // Every reply to the create is lost on the way, whatever became of it.
    let faults = Arc::new(FaultStore::scripted(Arc::new(memory), []));
    let environment = environment(Arc::<FaultStore>::clone(&faults), &clock, 3);
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

#[test]
fn stopping_refuses_what_waits_and_names_what_is_undecided() {
    let (memory, clock, plain) = fresh(11);
    let environment = environment(Arc::new(Cut::new(Arc::new(memory), 5, Last::Effective)), &clock, 12);
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
fn a_cancelled_operation_stays_without_effect_when_its_copy_lands_at_last() {
    let (memory, clock, plain) = fresh(26);
    let faults = Arc::new(FaultStore::scripted(Arc::new(memory), []));
    let environment = environment(Arc::<FaultStore>::clone(&faults), &clock, 27);
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
        let writer = |seed| WriterId::of(log.descriptor().store, &SeededEntropy::new(seed));
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
            for forged in [OpId { wseq: 9, ..newest }, OpId { wseq: 99, base: slots, ..newest }] {
                assert_eq!(driven_resolve(&other, forged).await, Outcome::Unknown(forged));
            }
            assert!(other.position().seq <= slots + 2, "one cancellation each");
            // What the log cannot tell, it is not made to tell by a cancellation.
            let ask = async |op| other.resolve(op, within(&plain, 60)).await;
            let ahead = OpId { wseq: 99, base: u64::MAX, ..newest };
            assert!(matches!(ask(ahead).await, Err(Error::RolledBack { .. })), "the log does not reach to where it was formed");
            let elsewhere = OpId { writer: WriterId::from_bytes([7; 16]), ..newest };
            let refused = ask(elsewhere).await.unwrap_err();
            assert!(matches!(refused, Error::ForeignOperation { op, .. } if op == elsewhere), "{refused}");
            assert!(other.position().seq <= slots + 2, "nothing was given up");
            // One of a writer that never was is given up.
            let nobody = OpId { writer: writer(1), wseq: 1, base: slots, ..newest };
            assert_eq!(driven_resolve(&other, nobody).await, Outcome::Rejected(Withdrawal::Cancelled { op: nobody }));
            let lost = OpId { writer: writer(2), wseq: 1, base: other.position().seq, ..newest };
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
        let open = OpId { writer: writer(3), wseq: 1, base: reader.position().seq, ..receipts[0].op };
        assert_eq!(driven_resolve(&reader, open).await, Outcome::Unknown(open), "who cannot give up does not guess");
    });
}
