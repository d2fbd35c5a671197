//! What a handle promises those who write through it.

use std::sync::Arc;
use std::time::Duration;

use brainy_coordination::{ChangeLog, Error, Fence, LogOptions, Outcome, ProtocolOperation, Rejection, Transaction, Withdrawal, read_slot};
use brainy_core::{Clock, ErrorKind, SeededEntropy};
use brainy_storage::Store;
use futures_util::future::{join, join_all};

use crate::register::Register;
use crate::stores::{Cut, Last, NoWrites, Slow, environment, fresh, opened, within};

use crate::driving::{add, commit, commit_alone, driven, seq};

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
    let environment = environment(Arc::new(Cut::new(Arc::new(memory), 5, Last::Lost)), &clock, 9);
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
        assert!(matches!(log.digests().await, Err(Error::Closed { .. })), "what the machine holds is not known");
        let other = opened(&environment).await;
        assert_eq!(other.machine().get("sum"), 3);
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

#[test]
fn inv_17_no_text_of_a_caller_becomes_part_of_an_object_key() {
    let (memory, clock, environment) = fresh(36);
    clock.run(async {
        let log = opened(&environment).await;
        let hostile = [Transaction::payload("../../x"), Transaction::payload(vec![b'/'; 100_000])];
        driven(&log, join_all(hostile.iter().map(|one| log.submit(one, within(&environment, 60)).unwrap().outcome()))).await;
        let mut keys = Vec::new();
        for folder in ["log", "blob", "ctl", "inbox"] {
            let prefix = brainy_storage::Prefix::new(folder).unwrap();
            let page = memory.list(&prefix, None, std::num::NonZeroUsize::MAX).await.unwrap().value;
            keys.extend(page.entries.into_iter().map(|entry| entry.key));
        }
        assert_eq!(keys.len(), 3, "one slot, one blob, ctl/head: {keys:?}");
        for key in keys.iter().map(brainy_storage::Key::as_str).filter(|key| *key != "ctl/head") {
            let parts: Vec<_> = key.split('/').skip(1).collect();
            assert!(parts.iter().all(|part| part.bytes().all(|byte| byte.is_ascii_hexdigit())), "INV-17: {key}");
        }
    });
}

#[test]
fn what_users_write_is_not_shown_by_debug_output() {
    let (_, clock, environment) = fresh(71);
    clock.run(async {
        let log = opened(&environment).await;
        let secret = Transaction::payload(b"sesame".to_vec());
        let pending = log.submit(&secret, within(&environment, 600)).unwrap();
        let shown = format!("{secret:?} {pending:?} {log:?}");
        let as_numbers = format!("{:?}", b"sesame");
        assert!(!shown.contains("sesame") && !shown.contains(as_numbers.trim_matches(['[', ']'])), "{shown}");
        assert!(shown.contains("6 bytes"), "{shown}");
        drop(pending);
        commit_alone(&log, &[add(1)]).await;
        let slot = read_slot(&environment, seq(1), within(&environment, 600)).await.unwrap().unwrap();
        let payload = slot.batches[0].transactions[0].payload.clone().unwrap();
        assert!(!format!("{slot:?}").contains(&format!("{payload:?}")), "{slot:?}");
    });
}
