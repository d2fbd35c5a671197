//! What the state says of an operation and of the identity it was sent under: pure decisions (DESIGN §4.4, §4.5).

use brainy_core::WriterId;

use crate::helping::{IntentName, is_dead};
use crate::machine::Verdict;
use crate::mutants::broken;
use crate::queue::Withdrawal;
use crate::state::{Decision, LogState};
use crate::token::OpId;

/// How a batch was decided.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "simulation", derive(Hash))]
pub enum Decided {
    /// Applied in this slot.
    Applied { slot: u64, first_ordinal: u32, decision: Decision },
    /// Cancelled or refused by another writer.
    Withdrawn(Decision),
    /// Another batch has our number: our id is shared, ours never applied, nor will it.
    Foreign,
    /// Too old to apply in any later slot.
    Stale,
    /// In a slot that this handle never read, since it had been collected: the state that it loaded instead does not tell how.
    Untold,
}

/// What became of an operation's batch, if the state tells. An older number than the writer's newest is [`Decided::Foreign`] only to its owner, who
/// looks after every slot (see [`Watch`]): a resolver has to look into the slots. So is [`Decided::Stale`]: to anybody who looks later, the state
/// may only have forgotten the writer.
pub fn decision_of(state: &LogState, op: OpId) -> Option<Decided> {
    let record = state.writer(op.writer).filter(|record| record.wseq >= op.wseq);
    match record {
        Some(record) if record.wseq > op.wseq => Some(Decided::Foreign),
        Some(record) => Some(match (&record.decision, record.hash) {
            (Decision::Applied(_), Some(hash)) if hash == op.hash || broken!(HashNotInOpId) => {
                Decided::Applied { slot: record.slot, first_ordinal: record.first_ordinal, decision: record.decision.clone() }
            }
            (Decision::Applied(_), _) => Decided::Foreign,
            (withdrawn, _) => Decided::Withdrawn(withdrawn.clone()),
        }),
        // INV-6: a batch whose base lies more than H slots before every slot still to come never takes effect.
        None if (state.position + 1).saturating_sub(op.base) > state.horizon() => Some(Decided::Stale),
        None => None,
    }
}

/// What a look at the state tells somebody who did not follow every slot: a resolver, or an owner that skipped some.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// So it was decided.
    Decided(Decided),
    /// It was decided, and a later number of its writer since: only the slots know how.
    InSlots,
    /// Never decided, and too old ever to be.
    Stale,
    /// Nobody can tell any more.
    Outside,
    /// It is not decided, and may still be.
    Open,
}

/// What the state tells of an operation.
pub fn tell(state: &LogState, op: OpId) -> Told {
    match decision_of(state, op) {
        Some(Decided::Foreign) if state.writer(op.writer).is_some_and(|record| record.wseq > op.wseq) => Told::InSlots,
        Some(Decided::Stale) | None => {
            let age = state.position.saturating_sub(op.base);
            // INV-6: older than the horizon and never decided: it is stale for ever, while the state would still know better.
            match age {
                _ if age > state.horizon().saturating_mul(2) => Told::Outside,
                _ if age > state.horizon() || (age > state.horizon() / 2 && broken!(StaleAtHalf)) => Told::Stale,
                _ => Told::Open,
            }
        }
        Some(decided) => Told::Decided(decided),
    }
}

/// The own batch in play, and how it was decided, noted in the very slot that decides it: the state may forget it later.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "simulation", derive(Hash))]
pub struct Watch {
    op: OpId,
    /// How, and after which slot that was noted.
    decided: Option<(Decided, u64)>,
}

impl Watch {
    /// Of this operation's batch, from here on.
    pub fn new(state: &LogState, op: OpId) -> Self {
        let mut watch = Self { op, decided: None };
        watch.note(state);
        watch
    }

    /// How the batch was decided, if it was. It counts once every slot up to the position is vouched for.
    pub const fn decided(&self) -> Option<&Decided> {
        match &self.decided {
            Some((decided, _)) => Some(decided),
            None => None,
        }
    }

    /// Looks after one more slot.
    pub fn note(&mut self, state: &LogState) {
        if self.decided.is_none() {
            self.decided = decision_of(state, self.op).map(|decided| (decided, state.position));
        }
    }

    /// Looks after a jump from a position that was vouched for up to `trusted`: slots were left out, and what one of them decided the state may have forgotten since.
    pub fn note_after_jump(&mut self, state: &LogState, trusted: u64) {
        // INV-9: what a slot beyond that decided, a ghost may have decided.
        self.decided.take_if(|(_, noted)| *noted > trusted && !broken!(DecisionOutlivesJump));
        if self.decided.is_none() {
            let decided = match tell(state, self.op) {
                Told::Decided(decided) => Some(decided),
                Told::Stale => Some(Decided::Stale),
                Told::InSlots | Told::Outside => Some(Decided::Untold),
                Told::Open => None,
            };
            self.decided = decided.map(|decided| (decided, state.position));
        }
    }
}

/// Under which identity a handle writes. (writer, wseq) binds to one byte string for ever; one batch is in play at a time.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Identity {
    pub id: WriterId,
    pub next: u64,
    /// The slot of its newest decided batch, or the tail at which it was made.
    pub last_slot: u64,
}

impl Identity {
    /// A new one, made at this position, which must be confirmed.
    pub const fn new(id: WriterId, position: u64) -> Self {
        Self { id, next: 1, last_slot: position }
    }

    /// Whether no batch may be formed under it at `state`: it was silent for so long that the state may soon know nothing of it.
    pub fn is_aged(&self, state: &LogState) -> bool {
        // INV-6: an identity is used only while base − last slot ≤ H.
        state.position.saturating_sub(self.last_slot) > state.horizon() && !broken!(ReuseIdAfterH)
    }

    /// What it is after its batch `wseq` was decided so; none: it ended.
    pub const fn after(self, wseq: u64, decided: &Decided) -> Option<Self> {
        match decided {
            Decided::Applied { slot, .. } => Some(Self { id: self.id, next: wseq + 1, last_slot: *slot }),
            // INV-6: a number that was taken from us, and one that went stale, end the identity.
            Decided::Withdrawn(_) | Decided::Foreign | Decided::Stale | Decided::Untold => None,
        }
    }
}

/// What a decided batch means for one of its transactions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    Committed {
        slot: u64,
        ordinal: u32,
        changed: Option<u32>,
    },
    Rejected(Withdrawal),
    /// Nobody here knows.
    Unknown,
}

/// What became of transaction `op` of a batch that was decided so.
pub fn answer_of(op: OpId, decided: &Decided) -> Answer {
    Answer::Rejected(match decided {
        Decided::Applied { slot, first_ordinal, decision: Decision::Applied(verdicts) } => match verdicts.get(op.index as usize) {
            Some(Verdict::Rejected(_)) if broken!(AcknowledgeByPresence) => {
                return Answer::Committed { slot: *slot, ordinal: first_ordinal + op.index, changed: None };
            }
            Some(Verdict::Effective { changed }) => {
                return Answer::Committed { slot: *slot, ordinal: first_ordinal + op.index, changed: Some(*changed) };
            }
            Some(Verdict::Rejected(rejection)) => Withdrawal::Precondition { op, rejection: *rejection },
            None => Withdrawal::Foreign { op },
        },
        Decided::Withdrawn(Decision::Refused) => Withdrawal::Refused { op },
        Decided::Applied { .. } | Decided::Withdrawn(_) => Withdrawal::Cancelled { op },
        Decided::Foreign => Withdrawal::Foreign { op },
        Decided::Stale => Withdrawal::Stale { op },
        Decided::Untold => return Answer::Unknown,
    })
}

/// Whether anybody may remove an intent, at a position that is confirmed: it is decided or stale, and its owner had time to remove it.
pub fn is_leftover(state: &LogState, name: &IntentName, k: u64) -> bool {
    is_dead(state, name) && name.base.saturating_add(2 * k) < state.position
}
