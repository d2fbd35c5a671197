//! What became of an operation, asked on any instance.

use brainy_core::{Moment, SequenceNumber};
use brainy_storage::{Get, GetOptions};

use crate::batch::{Batch, Transaction};
use crate::decide::{Told, tell};
use crate::descriptor::Truncation;
use crate::error::Error;
use crate::head;
use crate::keys;
use crate::ledger::{Remembered, outcome_of};
use crate::log::ChangeLog;
use crate::machine::StateMachine;
use crate::mutants::broken;
use crate::protocol::ProtocolOperation;
use crate::queue::{Outcome, Withdrawal};
use crate::slot::{self, Slot};
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
    /// [`Error::OutsideWindow`]: nobody can tell any more; [`Error::ForeignOperation`]: it is of another store; [`Error::RolledBack`]: the log does not reach to where it was formed. Else the
    /// log cannot be read, or the cancellation could not be handed in ([`Error::Overloaded`], [`Error::Closed`]): asking again is safe, and tells whether it was given up.
    pub async fn resolve(&self, op: OpId, deadline: Moment) -> Result<Outcome, Error> {
        let shared = self.shared();
        if !op.writer.is_of(shared.descriptor.store) {
            return Err(Error::ForeignOperation { op, expected: shared.descriptor.store });
        }
        let clock = &shared.reader.environment.clock;
        loop {
            match shared.ledger.remembered(op) {
                Remembered::Decided(outcome) => return Ok(outcome),
                Remembered::InPlay if clock.now() >= deadline => return Ok(Outcome::Unknown(op)),
                Remembered::InPlay if shared.is_running() => clock.sleep(OWN_INTERVAL).await,
                // Nobody will decide it here any more: the log is asked like for a stranger's.
                Remembered::InPlay | Remembered::Unknown => break,
            }
        }
        let mut cancelled = false;
        loop {
            match self.look_up(op, deadline).await? {
                Look::Outcome(outcome) => return Ok(outcome),
                Look::InSlots => {
                    let outcome = self.resolve_from_slots(op, deadline).await?;
                    self.check_no_ghosts(op, deadline).await?;
                    return Ok(outcome);
                }
                Look::Open => {}
            }
            // A cancellation that the log refused (a number that no writer of ours would use) would be refused again.
            if cancelled || shared.options.read_only || shared.queue.closed().is_some() || clock.now() >= deadline {
                return Ok(Outcome::Unknown(op));
            }
            let cancel = Transaction::protocol(ProtocolOperation::Cancel { op });
            // Whatever becomes of the cancellation, the state tells afterwards what became of the operation.
            match self.submit(&cancel, deadline)?.outcome().await? {
                Outcome::Unknown(_) => return Ok(Outcome::Unknown(op)),
                Outcome::Rejected(Withdrawal::Precondition { .. }) => cancelled = true,
                Outcome::Committed(_) | Outcome::Rejected(_) if broken!(IgnoreCancellation) => {
                    return Ok(Outcome::Rejected(Withdrawal::Cancelled { op }));
                }
                Outcome::Committed(_) | Outcome::Rejected(_) => {}
            }
        }
    }

    /// What the state at the tail tells.
    async fn look_up(&self, op: OpId, deadline: Moment) -> Result<Look, Error> {
        let shared = self.shared();
        let mut tip = shared.lock_tip(deadline).await?;
        let caught_up = shared.reader.catch_up(&mut tip, deadline).await;
        shared.publish(&tip);
        caught_up?;
        tip.check()?;
        if op.base > tip.state.position {
            let reason = format!(
                "the log ends at slot {}, and operation {op}, if it is one of this store, was formed at {}",
                tip.state.position, op.base
            );
            return Err(Error::RolledBack { reason });
        }
        Ok(match tell(&tip.state, op) {
            Told::Decided(decided) => Look::Outcome(outcome_of(op, &decided, &tip)),
            Told::InSlots => Look::InSlots,
            Told::Stale => Look::Outcome(Outcome::Rejected(Withdrawal::Stale { op })),
            Told::Outside => return Err(Error::OutsideWindow { op }),
            Told::Open => Look::Open,
        })
    }

    /// A writer's older number: found in the first slot that embeds it, by the verdict bits that its header or one of the next D states.
    async fn resolve_from_slots(&self, op: OpId, deadline: Moment) -> Result<Outcome, Error> {
        let shared = self.shared();
        let (tail, horizon) = {
            let tip = shared.lock_tip(deadline).await?;
            (tip.state.position, tip.state.horizon())
        };
        let lag = shared.descriptor.constants.summary_lag_slots;
        let last = op.base.saturating_add(horizon).min(tail);
        for number in op.base.saturating_add(1)..=last {
            let slot = self.read_retained(op, number, deadline).await?;
            let Some(ordinal) = ordinal_of(&slot, op) else { continue };
            for stating in number..=number.saturating_add(lag).min(tail) {
                let summary = if stating == number {
                    slot.header.summary.clone()
                } else {
                    self.read_retained(op, stating, deadline).await?.header.summary
                };
                let bits = summary.as_ref().and_then(|summary| summary.bits_of(number));
                match bits.and_then(|bits| slot::bit(bits, ordinal as usize)) {
                    Some(true) => {
                        let tip = shared.lock_tip(deadline).await?;
                        let version = brainy_core::Version { epoch: tip.state.epoch, seq: slot.header.seq, ordinal };
                        return Ok(Outcome::Committed(Receipt::new(op, version, None, tip.token_of(number))));
                    }
                    Some(false) => return Ok(Outcome::Rejected(Withdrawal::Ineffective { op })),
                    None => {}
                }
            }
            return Err(Error::OutsideWindow { op });
        }
        // Decided by a number above it, and embedded nowhere since its base: cancelled, or another batch of a copied writer.
        Ok(Outcome::Rejected(Withdrawal::Ineffective { op }))
    }

    /// INV-9: what was read behind the boundary may be a ghost, which a sleeper created where a slot had been collected: an outcome that rests on it is none. The boundary
    /// is read after the slots; each of them lies behind the operation's base.
    async fn check_no_ghosts(&self, op: OpId, deadline: Moment) -> Result<(), Error> {
        let shared = self.shared();
        if shared.descriptor.constants.truncation == Truncation::Tombstone {
            return Ok(());
        }
        let seen = head::read_head(&shared.reader.environment, shared.descriptor.store, deadline).await?;
        if seen.head.boundary > op.base && !broken!(SkipBoundary) { Err(Error::OutsideWindow { op }) } else { Ok(()) }
    }

    /// Slot `number`, if it was not collected.
    async fn read_retained(&self, op: OpId, number: u64, deadline: Moment) -> Result<Slot, Error> {
        let Some(seq) = SequenceNumber::new(number) else { return Err(Error::OutsideWindow { op }) };
        let key = keys::slot(seq);
        let found = self.shared().reader.environment.read(&key, GetOptions::whole(), deadline).await?.value;
        match found {
            Get::Found(object) if !slot::is_tombstone(&object.bytes) => {
                slot::decode(&object.bytes).map_err(|error| Error::bytes(&key, error))
            }
            _ => Err(Error::OutsideWindow { op }),
        }
    }
}

/// What a look at the tail tells of an operation.
enum Look {
    Outcome(Outcome),
    /// It was decided, and a later number of its writer since: only the slots know how.
    InSlots,
    /// It is not decided.
    Open,
}

/// The ordinal of an operation in a slot that embeds its batch.
fn ordinal_of(slot: &Slot, op: OpId) -> Option<u32> {
    let mut first = 0;
    for batch in slot.batches.iter().filter_map(|bytes| Batch::decode(bytes).ok()) {
        if (batch.writer, batch.wseq, batch.hash) == (op.writer, op.wseq, op.hash) && op.index < batch.count {
            return Some(first + op.index);
        }
        first = u32::saturating_add(first, batch.count);
    }
    None
}
