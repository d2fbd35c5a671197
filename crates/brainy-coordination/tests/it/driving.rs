//! Driving a handle in a test.

use std::future::Future;

use brainy_coordination::{ChangeLog, OpId, Outcome, Receipt, Transaction};
use brainy_core::SequenceNumber;
use brainy_storage::Key;
use brainy_testkit::Faults;
use futures_util::FutureExt;
use futures_util::future::{LocalBoxFuture, join};

use crate::register::{Change, Register};
use crate::stores::within;

pub(crate) fn add(by: i64) -> Transaction {
    Change::Add("sum".into(), by).transaction(by.unsigned_abs())
}

/// Drives `log` while `work` goes on, and stops it then.
pub(crate) fn driven<'a, T: 'a>(log: &'a ChangeLog<Register>, work: impl Future<Output = T> + 'a) -> LocalBoxFuture<'a, T> {
    let work = async {
        let done = work.await;
        log.stop("the test is over");
        done
    };
    join(log.run(), work).map(|(_, done)| done).boxed_local()
}

pub(crate) async fn commit(log: &ChangeLog<Register>, transaction: &Transaction) -> Receipt {
    match log.submit(transaction, within(log.environment(), 600)).unwrap().outcome().await.unwrap() {
        Outcome::Committed(receipt) => receipt,
        other => panic!("{other:?}"),
    }
}

/// A handle of its own commits this.
pub(crate) async fn commit_alone(log: &ChangeLog<Register>, transactions: &[Transaction]) -> Vec<Receipt> {
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
pub(crate) fn always(fault: impl Fn(&mut Faults) -> &mut u16) -> Faults {
    let mut faults = Faults::default();
    *fault(&mut faults) = 1_000;
    faults
}

pub(crate) fn seq(number: u64) -> SequenceNumber {
    SequenceNumber::new(number).unwrap()
}

pub(crate) fn slot_key(number: u64) -> Key {
    Key::new(format!("log/{number:020}")).unwrap()
}

/// What a handle says of an operation, asked by itself.
pub(crate) async fn driven_resolve(log: &ChangeLog<Register>, op: OpId) -> Outcome {
    log.resolve(op, within(log.environment(), 600)).await.unwrap()
}
