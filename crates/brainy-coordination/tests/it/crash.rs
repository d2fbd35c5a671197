//! A process that dies at any request leaves a store that needs no repair, and every journalled operation can be resolved.

use std::sync::{Arc, Mutex};

use brainy_coordination::{ChangeLog, OpId, Outcome, Receipt, Transaction};
use futures_util::future::{Either, join, select};

use crate::register::{Change, Register};
use crate::stores::{Cut, Last, environment, fresh, opened, within};

#[derive(Debug, Default)]
struct Journal {
    ops: Vec<(u64, OpId)>,
    acknowledged: Vec<(u64, Receipt)>,
}

/// A change whose payload is too large for a slot.
fn large(change: &Change, label: u64) -> Transaction {
    let mut bytes = change.transaction(label).payload.unwrap().to_vec();
    bytes.resize(100_000, b' ');
    Transaction::payload(bytes)
}

async fn life(log: &ChangeLog<Register>, journal: &Mutex<Journal>) {
    let add = |by| Change::Add("sum".into(), by);
    let changes = [add(1).transaction(1), large(&add(10), 2), add(100).transaction(3)];
    for (label, transaction) in (1..).zip(&changes) {
        let mut pending = log.submit(transaction, within(log.environment(), 600)).unwrap();
        if let Some(op) = pending.op_id().await {
            journal.lock().unwrap().ops.push((label, op));
        }
        if let Ok(Outcome::Committed(receipt)) = pending.outcome().await {
            journal.lock().unwrap().acknowledged.push((label, receipt));
        }
    }
    log.stop("done");
}

/// One life cut at request `requests`; whether it was.
fn die_at(requests: u64, last: Last, rival: bool) -> bool {
    let (memory, clock, plain) = fresh(requests);
    let journal = Mutex::new(Journal::default());
    let cut = Arc::new(Cut::new(Arc::new(memory), requests, last));
    let dying = environment(Arc::<Cut>::clone(&cut), &clock, 1_000 + requests);
    clock.run(async {
        let life = async {
            let log = opened(&dying).await;
            if rival {
                // Somebody else takes the slot that the first change is made for.
                let other = opened(&plain).await;
                let pending = other.submit(&Change::Add("other".into(), 1).transaction(0), within(&plain, 60)).unwrap();
                let wait = async {
                    assert!(matches!(pending.outcome().await, Ok(Outcome::Committed(_))));
                    other.stop("done");
                };
                drop(join(other.run(), wait).await);
            }
            join(log.run(), life(&log, &journal)).await.0.ok();
        };
        let (life, death) = (std::pin::pin!(life), std::pin::pin!(cut.death()));
        match select(life, death).await {
            Either::Left(_) => assert!(!cut.is_dead()),
            Either::Right(_) => assert!(cut.is_dead()),
        }
    });
    let journal = journal.into_inner().unwrap();
    clock.run(async {
        let log = opened(&plain).await;
        let ask = async {
            let mut sum = 0;
            for (label, op) in &journal.ops {
                let outcome = log.resolve(*op, within(&plain, 600)).await.unwrap();
                let effects = log.machine().effects();
                let effects: Vec<_> = effects.iter().filter(|effect| effect.label == *label).collect();
                let acknowledged = journal.acknowledged.iter().find(|(known, _)| known == label);
                match outcome {
                    Outcome::Committed(receipt) => {
                        assert_eq!(effects.iter().map(|effect| effect.at).collect::<Vec<_>>(), [receipt.version], "{label} at {requests}");
                        assert!(acknowledged.is_none_or(|(_, known)| known.version == receipt.version));
                        sum += 10_i64.pow(*label as u32 - 1);
                    }
                    Outcome::Rejected(_) => {
                        assert!(effects.is_empty() && acknowledged.is_none(), "{label} at {requests}: {acknowledged:?}")
                    }
                    Outcome::Unknown(op) => panic!("{op} cannot be resolved"),
                }
            }
            assert_eq!(log.machine().get("sum"), sum, "nothing but what was journalled took effect, at {requests}");
            log.stop("done");
        };
        drop(join(log.run(), ask).await);
    });
    cut.is_dead()
}

#[test]
fn inv_5_a_process_may_die_at_any_request_and_every_journalled_operation_is_resolved() {
    for rival in [false, true] {
        for last in [Last::Effective, Last::Lost] {
            let cuts = (0..200).take_while(|requests| die_at(*requests, last, rival)).count();
            assert!((8..200).contains(&cuts), "{cuts} requests were cut");
        }
    }
}
