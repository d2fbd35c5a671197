//! What a handle remembers of what it sent, and what a decision means for each caller.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Mutex;

use brainy_core::WriterId;

use crate::decide::{Answer, Decided, answer_of};
use crate::queue::Outcome;
use crate::tip::Tip;
use crate::token::{OpId, Receipt};

/// So many outcomes of its own a handle keeps for callers who come back, and those of its last batch in any case.
const KEPT_OUTCOMES: usize = 16_384;

/// What a handle remembers of the batches it sent.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    inner: Mutex<LedgerInner>,
}

#[derive(Debug, Default)]
struct LedgerInner {
    in_play: Option<(WriterId, u64, Vec<OpId>)>,
    decided: BTreeMap<(WriterId, u64), Vec<(OpId, Outcome)>>,
    order: VecDeque<(WriterId, u64)>,
    /// How many outcomes they are.
    kept: usize,
}

/// What the ledger says of an operation.
pub(crate) enum Remembered {
    InPlay,
    Decided(Outcome),
    Unknown,
}

impl Ledger {
    fn lock(&self) -> std::sync::MutexGuard<'_, LedgerInner> {
        self.inner.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    pub(crate) fn start(&self, writer: WriterId, wseq: u64, ops: Vec<OpId>) {
        self.lock().in_play = Some((writer, wseq, ops));
    }

    pub(crate) fn finish(&self, outcomes: Vec<Outcome>) {
        let mut inner = self.lock();
        let Some((writer, wseq, ops)) = inner.in_play.take() else { return };
        inner.kept += ops.len();
        inner.decided.insert((writer, wseq), ops.into_iter().zip(outcomes).collect());
        inner.order.push_back((writer, wseq));
        while inner.kept > KEPT_OUTCOMES && inner.order.len() > 1 {
            let oldest = inner.order.pop_front().expect("more than one is there");
            inner.kept -= inner.decided.remove(&oldest).map_or(0, |outcomes| outcomes.len());
        }
    }

    /// Operations that were sent and are not decided.
    pub(crate) fn undecided(&self) -> Vec<OpId> {
        self.lock().in_play.as_ref().map_or_else(Vec::new, |(_, _, ops)| ops.clone())
    }

    pub(crate) fn remembered(&self, op: OpId) -> Remembered {
        let inner = self.lock();
        if inner.in_play.as_ref().is_some_and(|(_, _, ops)| ops.contains(&op)) {
            return Remembered::InPlay;
        }
        let decided = inner.decided.get(&(op.writer, op.wseq)).and_then(|outcomes| outcomes.get(op.index as usize));
        match decided.filter(|(known, _)| *known == op) {
            // Of what this handle could not tell the log may know more.
            Some((_, Outcome::Unknown(_))) | None => Remembered::Unknown,
            Some((_, outcome)) => Remembered::Decided(outcome.clone()),
        }
    }
}

/// What became of transaction `op` of a batch that was decided so.
pub(crate) fn outcome_of(op: OpId, decided: &Decided, tip: &Tip) -> Outcome {
    match answer_of(op, decided) {
        Answer::Committed { slot, ordinal, changed } => {
            let seq = brainy_core::SequenceNumber::new(slot).expect("batches are applied in slots from 1");
            let version = brainy_core::Version { epoch: tip.state.epoch, seq, ordinal };
            Outcome::Committed(Receipt::new(op, version, changed, tip.token_of(slot)))
        }
        Answer::Rejected(withdrawal) => Outcome::Rejected(withdrawal),
        Answer::Unknown => Outcome::Unknown(op),
    }
}

#[cfg(test)]
mod tests {
    use brainy_core::ContentHash;

    use super::*;
    use crate::queue::Withdrawal;

    #[test]
    fn a_handle_remembers_its_last_outcomes_within_a_bound() {
        let ledger = Ledger::default();
        let op = |wseq, index| OpId { writer: WriterId::from_bytes([1; 16]), wseq, index, base: 0, hash: ContentHash::of(b"batch") };
        let batch = |wseq| (0..4_000).map(|index| op(wseq, index)).collect::<Vec<_>>();
        for wseq in 1..=100 {
            ledger.start(op(wseq, 0).writer, wseq, batch(wseq));
            assert!(matches!(ledger.remembered(op(wseq, 3_999)), Remembered::InPlay));
            let outcomes = batch(wseq).into_iter().map(|op| Outcome::Rejected(Withdrawal::Stale { op })).collect();
            ledger.finish(outcomes);
            let inner = ledger.lock();
            assert!(inner.kept <= KEPT_OUTCOMES && inner.kept == inner.decided.values().map(Vec::len).sum::<usize>());
        }
        let known = |wseq| match ledger.remembered(op(wseq, 7)) {
            Remembered::Decided(outcome) => Some(outcome),
            Remembered::InPlay | Remembered::Unknown => None,
        };
        assert_eq!(known(100), Some(Outcome::Rejected(Withdrawal::Stale { op: op(100, 7) })));
        assert_eq!(known(1), None);
        let other = OpId { hash: ContentHash::of(b"a clone's"), ..op(100, 7) };
        assert!(matches!(ledger.remembered(other), Remembered::Unknown), "the name is the whole name");
    }
}
