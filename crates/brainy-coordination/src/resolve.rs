//! What became of an operation, asked on any instance.

use brainy_core::{Moment, SequenceNumber};
use brainy_storage::{Get, GetOptions};

use crate::batch::{Batch, Transaction};
use crate::committer::{Remembered, outcome_of};
use crate::error::Error;
use crate::keys;
use crate::log::ChangeLog;
use crate::machine::StateMachine;
use crate::protocol::ProtocolOperation;
use crate::queue::{Outcome, Withdrawal};
use crate::slot;
use crate::tip::{Decided, Tip};
use crate::token::{OpId, Receipt};

/// A live owner looks so often whether its own batch was decided.
const OWN_INTERVAL: std::time::Duration = std::time::Duration::from_millis(5);

impl<M: StateMachine> ChangeLog<M> {
    /// What became of the operation `op`, whoever submitted it, wherever.
    ///
    /// An operation that is not decided yet is given up (by a `Cancel` in the log) and the log's decision returned; the handle's own is waited for instead.
    /// A read-only handle cannot give up and answers [`Outcome::Unknown`].
    ///
    /// # Errors
    /// [`Error::OutsideWindow`]: nobody can tell any more; else the log cannot be read. Nothing changes by asking again.
    pub async fn resolve(&self, op: OpId, deadline: Moment) -> Result<Outcome, Error> {
        let shared = self.shared();
        let clock = &shared.reader.environment.clock;
        loop {
            match shared.ledger.remembered(op) {
                Remembered::Decided(outcome) => return Ok(outcome),
                Remembered::InPlay if clock.now() >= deadline => return Ok(Outcome::Unknown(op)),
                Remembered::InPlay => clock.sleep(OWN_INTERVAL).await,
                Remembered::Unknown => break,
            }
        }
        loop {
            let decided = {
                let mut tip = shared.tip.lock().await;
                shared.reader.catch_up(&mut tip, deadline).await?;
                shared.publish(&tip);
                tip.check()?;
                if let Some(outcome) = known(&tip, op) {
                    return Ok(outcome);
                }
                let age = tip.state.position.saturating_sub(op.base);
                let horizon = tip.state.horizon();
                if tip.state.writer(op.writer).is_some_and(|record| record.wseq > op.wseq) {
                    true
                } else if age > horizon.saturating_mul(2) {
                    return Err(Error::OutsideWindow { op });
                } else if age > horizon {
                    // INV-6: older than the horizon and never decided: it is stale for ever.
                    return Ok(Outcome::Rejected(Withdrawal::Stale { op }));
                } else {
                    false
                }
            };
            if decided {
                return self.resolve_from_slots(op, deadline).await;
            }
            if shared.options.read_only || clock.now() >= deadline {
                return Ok(Outcome::Unknown(op));
            }
            let cancel = Transaction::protocol(ProtocolOperation::Cancel { op });
            // Whatever becomes of the cancellation, the state tells afterwards what became of the operation.
            if let Outcome::Unknown(_) = self.submit(&cancel, deadline)?.outcome().await? {
                return Ok(Outcome::Unknown(op));
            }
        }
    }

    /// A writer's older number: found in the first slot that embeds it, by the verdict bits in that slot's header.
    async fn resolve_from_slots(&self, op: OpId, deadline: Moment) -> Result<Outcome, Error> {
        let shared = self.shared();
        let tail = shared.tip.lock().await.state.position;
        for number in op.base + 1..=tail {
            let seq = SequenceNumber::new(number).expect("from 1");
            let Get::Found(object) = shared.reader.environment.read(&keys::slot(seq), GetOptions::whole(), deadline).await?.value else {
                return Err(Error::OutsideWindow { op });
            };
            if slot::is_tombstone(&object.bytes) {
                return Err(Error::OutsideWindow { op });
            }
            let slot = slot::decode(&object.bytes).map_err(|error| Error::bytes(keys::slot(seq), error))?;
            let mut ordinal = 0;
            for bytes in &slot.batches {
                let Ok(batch) = Batch::decode(bytes) else { continue };
                if (batch.writer, batch.wseq, batch.hash) == (op.writer, op.wseq, op.hash) && op.index < batch.count {
                    let ordinal = ordinal + op.index;
                    let effective = slot
                        .header
                        .summary
                        .filter(|summary| summary.as_of == number)
                        .and_then(|summary| summary.verdicts.last().and_then(|bits| slot::bit(bits, ordinal as usize)));
                    return match effective {
                        Some(true) => {
                            let tip = shared.tip.lock().await;
                            let version = brainy_core::Version { epoch: tip.state.epoch, seq, ordinal };
                            Ok(Outcome::Committed(Receipt::new(op, version, None, tip.token_of(number))))
                        }
                        Some(false) => Ok(Outcome::Rejected(Withdrawal::Ineffective { op })),
                        None => Err(Error::OutsideWindow { op }),
                    };
                }
                ordinal += batch.count;
            }
        }
        // Decided by a number above it, and embedded nowhere since its base: cancelled, or another batch of a copied writer.
        Ok(Outcome::Rejected(Withdrawal::Ineffective { op }))
    }
}

/// What the state itself tells.
fn known(tip: &Tip, op: OpId) -> Option<Outcome> {
    match tip.decision_of(op) {
        Some(Decided::Foreign) if tip.state.writer(op.writer).is_some_and(|record| record.wseq > op.wseq) => None,
        Some(Decided::Stale) | None => None,
        Some(decided) => Some(outcome_of(op, &decided, tip)),
    }
}
