//! Deadlines, and what became of what was on its way.

use std::time::Duration;

use brainy::{Clock, ErrorKind, OpId, Resolution};
use futures_executor::block_on;
use futures_util::FutureExt;

use crate::support::{Act, NEVER, PATIENCE, Rig, elapse, memory, quiet, thing};
use brainy_core::{SeededEntropy, SystemClock, WriterId};

#[test]
fn a_deadline_that_passes_on_the_way_says_unknown_and_another_handle_says_what_became_of_it() {
    // Whether the request took effect before its reply was lost.
    for landed in [true, false] {
        let rig = Rig::new();
        let (clock, db) = rig.create();
        let other = block_on(rig.builder().open()).unwrap();
        rig.puts(if landed { Act::HangAfter } else { Act::Never });
        let mut commit = db.transaction().put(thing("a")).submit().unwrap();
        let op = block_on(commit.op_id()).unwrap();
        rig.until_stopped();
        if landed {
            // The slot is there, and nobody was told.
            while !crate::support::objects(&*rig.inner).contains_key(&crate::support::slot_key(1)) {
                std::thread::yield_now();
            }
        }
        // Reading back would find it.
        rig.gets(Act::Never);
        let before = clock.now();
        let error = clock.run(commit.wait()).unwrap_err();
        assert_eq!((error.kind(), error.op_id()), (ErrorKind::OutcomeUnknown, Some(op)), "{error}");
        assert!(error.to_string().contains(&op.to_string()) && error.to_string().contains("resolve"), "{error}");
        let waited = clock.now().since(before);
        assert!(waited >= brainy::Builder::DEADLINE, "the default deadline: {waited:?}");
        drop(db);
        rig.puts(Act::Pass);
        rig.gets(Act::Pass);
        match block_on(other.resolve(op)).unwrap() {
            Resolution::Committed(receipt) => {
                assert!(landed);
                assert_eq!((receipt.op, receipt.version.seq.get(), receipt.changed), (op, 1, Some(1)));
            }
            Resolution::Rejected(error) => {
                assert!(!landed, "{error}");
                assert_eq!((error.kind(), error.op_id()), (ErrorKind::Withdrawn, Some(op)), "{error}");
            }
            undecided => panic!("{undecided:?}"),
        }
        // The answer is final, whoever asks.
        let third = block_on(rig.builder().open()).unwrap();
        let again = block_on(third.resolve(op)).unwrap();
        assert_eq!(matches!(again, Resolution::Committed(_)), landed, "{again:?}");
        assert_eq!(block_on(third.get("a")).unwrap().is_some(), landed);
    }
}

#[test]
fn a_call_ends_at_its_own_deadline_not_at_the_handles() {
    let rig = Rig::new();
    let (clock, db) = rig.create();
    rig.gets(Act::Never);
    let short = Duration::from_secs(5);
    for (deadline, db) in [(brainy::Builder::DEADLINE, db.clone()), (short, db.with_deadline(NEVER).with_deadline(short))] {
        let start = clock.now();
        let error = elapse(&clock, db.refresh()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
        assert!(clock.now().since(start) >= deadline, "{deadline:?}");
    }
    let patient = db.with_deadline(NEVER);
    let mut patient = Box::pin(patient.refresh());
    for _ in 0..100 {
        clock.advance(Duration::from_secs(10));
        assert!(patient.as_mut().now_or_never().is_none(), "it has more time than the handle's calls");
        std::thread::yield_now();
    }
}

#[test]
fn what_was_never_sent_by_its_deadline_never_will_be() {
    let rig = Rig::new();
    let (clock, db) = rig.create();
    rig.puts(Act::Hang);
    let mut first = db.transaction().put(thing("a")).submit().unwrap();
    block_on(first.op_id()).unwrap();
    let mut late = db.with_deadline(Duration::from_secs(1)).transaction().put(thing("late")).submit().unwrap();
    assert_eq!(clock.run(late.op_id()), None);
    let error = clock.run(late.wait()).unwrap_err();
    assert_eq!((error.kind(), error.op_id()), (ErrorKind::Withdrawn, None), "{error}");
    rig.puts(Act::Pass);
    block_on(first.wait()).ok();
    block_on(db.put(thing("b"))).unwrap();
    assert_eq!(block_on(db.get("late")).unwrap(), None);
}

#[test]
fn a_full_disk_fails_the_write_by_its_deadline_and_leaves_the_store_usable() {
    let rig = Rig::new();
    let (clock, db) = rig.create();
    block_on(db.put(thing("a"))).unwrap();
    let before = crate::support::objects(&*rig.inner);
    rig.puts(Act::NoSpace);
    let mut commit = db.transaction().put(thing("b")).submit().unwrap();
    let op = block_on(commit.op_id()).unwrap();
    let error = elapse(&clock, commit.wait()).unwrap_err();
    assert_eq!((error.kind(), error.op_id()), (ErrorKind::OutcomeUnknown, Some(op)), "{error}");
    let started = SystemClock.now();
    while db.last_failure().is_none() {
        assert!(SystemClock.now().since(started) < PATIENCE, "the committer never gives up a try");
        clock.advance(Duration::from_millis(10));
    }
    assert!(db.figures().failures > 0);
    assert!(db.last_failure().unwrap().to_string().contains("no space left"), "{:?}", db.last_failure());
    assert_eq!(crate::support::objects(&*rig.inner), before);
    let db = db.with_deadline(NEVER);
    assert!(elapse(&clock, db.get("a")).unwrap().is_some(), "reads go on");
    rig.puts(Act::Pass);
    elapse(&clock, db.put(thing("c"))).unwrap();
    let resolved = elapse(&clock, db.resolve(op)).unwrap();
    let landed = matches!(resolved, Resolution::Committed(_));
    assert_eq!(elapse(&clock, db.get("b")).unwrap().is_some(), landed, "{resolved:?}");
    assert!(!matches!(resolved, Resolution::Undecided));
}

#[test]
fn the_verdict_of_a_refused_transaction_can_be_asked_for_by_its_name() {
    let (store, db) = memory();
    block_on(async {
        db.put(thing("a")).await.unwrap();
        let op = db.put_if_absent(thing("a")).await.unwrap_err().op_id().unwrap();
        for handle in [db.clone(), quiet(&store).open().await.unwrap()] {
            let Resolution::Rejected(error) = handle.resolve(op).await.unwrap() else { panic!("{op}") };
            assert_eq!((error.kind(), error.op_id()), (ErrorKind::Conflict, Some(op)), "{error}");
        }
    });
}

#[test]
fn who_only_reads_cannot_give_up_what_is_open_and_says_so() {
    let (store, db) = memory();
    let (_, stranger) = memory();
    block_on(async {
        let foreign = stranger.put(thing("a")).await.unwrap().op;
        let elsewhere = db.resolve(foreign).await.unwrap_err();
        assert_eq!(elsewhere.kind(), ErrorKind::Invalid, "{elsewhere}");
        let writer = WriterId::of(db.store_id(), &SeededEntropy::new(1));
        let never = OpId { base: 0, writer, ..foreign };
        let reader = quiet(&store).mode(brainy::Mode::ReadOnly).open().await.unwrap();
        assert!(matches!(reader.resolve(never).await.unwrap(), Resolution::Undecided));
        // Who may write gives it up, for good.
        let Resolution::Rejected(error) = db.resolve(never).await.unwrap() else { panic!("{never}") };
        assert_eq!(error.kind(), ErrorKind::Withdrawn, "{error}");
        assert!(matches!(reader.resolve(never).await.unwrap(), Resolution::Rejected(_)));
    });
}
