//! What a slot means: a pure function of the state before it and of its bytes.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use brainy_core::codec::CodecError;
use brainy_core::{SequenceNumber, SetHash, Version, WriterId};
use bytes::Bytes;

use crate::batch::{Batch, Fence, Transaction};
use crate::helping::stands_next;
use crate::machine::{Context, Rejection, StateMachine, Summary, Verdict};
use crate::mutants::broken;
use crate::protocol::ProtocolOperation;
use crate::slot::pack_bits;
use crate::state::{Decision, LogDelta, LogState, Publication, WriterRecord};

/// The lease under which manifests are published.
pub const COMPACTOR: &str = "compactor";

/// A transaction whose payload was read, too.
#[derive(Debug)]
pub struct Order<C> {
    protocol: Vec<ProtocolOperation>,
    fence: Option<Fence>,
    command: Option<C>,
}

impl<C> Order<C> {
    /// `transaction`, read for machine `M`.
    pub fn read<M: StateMachine<Command = C>>(transaction: Transaction) -> Self {
        let Transaction { payload, protocol, fence } = transaction;
        Self { protocol, fence, command: payload.map(|payload| M::decode(&payload)) }
    }
}

/// The transactions of a batch, read. One that cannot be stands as `Err`: it is rejected alone. `Err`: the list is broken, each of its transactions is rejected.
pub type Orders<C> = Result<Vec<Result<Order<C>, CodecError>>, CodecError>;

/// One batch of a slot, as far as it could be read.
#[derive(Debug)]
pub enum LoadedBatch<C> {
    /// Bytes that are no batch: no transaction, no effect.
    Undecodable,
    /// A batch; its transactions are there if it may apply.
    Known {
        batch: Batch,
        /// None: it cannot apply, so nobody fetched them.
        orders: Option<Arc<Orders<C>>>,
    },
}

impl<C> Clone for LoadedBatch<C> {
    fn clone(&self) -> Self {
        match self {
            Self::Undecodable => Self::Undecodable,
            Self::Known { batch, orders } => Self::Known { batch: batch.clone(), orders: orders.clone() },
        }
    }
}

impl<C> LoadedBatch<C> {
    /// A batch with its transactions.
    pub fn new(batch: Batch, orders: Orders<C>) -> Self {
        Self::Known { batch, orders: Some(Arc::new(orders)) }
    }

    /// Its bytes, as a slot embeds them.
    pub fn bytes(&self) -> Option<&Bytes> {
        match self {
            Self::Undecodable => None,
            Self::Known { batch, .. } => Some(&batch.bytes),
        }
    }
}

/// Whether a batch may stand next in this slot, whatever the batches before it in the slot do: what has to be fetched.
pub fn may_apply(state: &LogState, batch: &Batch, slot: u64) -> bool {
    batch.store == state.store
        && batch.base < slot
        && (slot - batch.base <= state.horizon() || broken!(ApplyStale))
        && (batch.wseq > state.writer(batch.writer).map_or(0, |record| record.wseq) || broken!(ApplyOutOfTurn))
}

/// A slot's effects, not yet those of the state.
#[derive(Debug)]
pub struct Staged<V> {
    pub view: V,
    pub delta: LogDelta,
    /// Verdict bits of all transactions embedded in the slot.
    pub bits: Vec<u8>,
    pub summary: Summary,
    pub bookkeeping: SetHash,
    /// Slots whose diverging header was overridden.
    pub overrides: Vec<u64>,
    /// Batches embedded in the slot.
    pub batches: u64,
}

/// Applies `batches` as slot `seq` on top of `state` and `view`. Fails only on what a build that knows the rules could not have been given.
///
/// # Errors
/// [`CodecError::Unsupported`]: a transaction uses what this build does not know.
pub fn apply<M: StateMachine>(
    state: &LogState,
    mut view: M::View,
    seq: SequenceNumber,
    at_ms: u64,
    batches: &[LoadedBatch<M::Command>],
) -> Result<Staged<M::View>, CodecError> {
    let mut protocol = Overlay::default();
    let mut bits = Vec::new();
    for loaded in batches {
        let LoadedBatch::Known { batch, orders } = loaded else { continue };
        let first_ordinal = u32::try_from(bits.len()).expect("a slot holds far fewer than 2³² transactions");
        let count = batch.count as usize;
        let last = protocol.last(state, batch.writer);
        // INV-3: a batch of another store has no effect.
        if batch.store != state.store || !stands_next(last, &batch.name(), seq.get(), state.horizon()) {
            bits.resize(bits.len() + count, false);
            if broken!(StaleTakesNumber) && last.map_or(0, |(wseq, _)| wseq) + 1 == batch.wseq {
                let decision =
                    Decision::Applied(vec![Verdict::Rejected(Rejection { operation: 0, code: Rejection::NOT_APPLICABLE }); count]);
                let record = WriterRecord { wseq: batch.wseq, hash: Some(batch.hash), slot: seq.get(), first_ordinal, decision };
                protocol.delta.writers.insert(batch.writer, record);
            }
            continue;
        }
        let malformed = Verdict::Rejected(Rejection { operation: 0, code: Rejection::MALFORMED });
        let mut verdicts = Vec::with_capacity(count);
        match orders.as_deref().expect("a batch that stands next was fetched") {
            Err(CodecError::Unsupported { what, reason }) => {
                return Err(CodecError::unsupported(what, reason.clone()));
            }
            Err(_) => verdicts.resize(count, malformed),
            Ok(orders) => {
                for (at, order) in (first_ordinal..).zip(orders) {
                    let context = Context::new(state.rules, Version { epoch: state.epoch, seq, ordinal: at }, at_ms);
                    verdicts.push(match order {
                        Err(CodecError::Unsupported { what, reason }) => return Err(CodecError::unsupported(what, reason.clone())),
                        Err(_) => malformed,
                        Ok(order) => apply_order::<M>(state, &mut protocol, &mut view, batch.writer, context, order),
                    });
                }
            }
        }
        bits.extend(verdicts.iter().map(|verdict| verdict.is_effective()));
        if broken!(RejectedKeepsNumber) && !verdicts.iter().any(|verdict| verdict.is_effective()) {
            continue;
        }
        protocol.delta.writers.insert(
            batch.writer,
            WriterRecord {
                wseq: batch.wseq,
                hash: Some(batch.hash),
                slot: seq.get(),
                first_ordinal,
                decision: Decision::Applied(verdicts),
            },
        );
    }
    let bookkeeping = state.digest_with(&protocol.delta, seq.get());
    Ok(Staged {
        summary: M::summary_of(&view),
        view,
        delta: protocol.delta,
        bits: pack_bits(&bits),
        bookkeeping,
        overrides: protocol.overrides,
        batches: batches.len() as u64,
    })
}

fn apply_order<M: StateMachine>(
    state: &LogState,
    protocol: &mut Overlay,
    view: &mut M::View,
    writer: WriterId,
    context: Context,
    order: &Order<M::Command>,
) -> Verdict {
    if let Some(fence) = &order.fence
        && fence.token < protocol.claim(state, &fence.name)
    {
        return Verdict::Rejected(Rejection { operation: 0, code: Rejection::FENCED });
    }
    // Operations of the log come first; they count only if the payload takes effect too.
    let mut staged = None;
    let mut changed = 0_u32;
    for (at, operation) in (0..).zip(&order.protocol) {
        let staged = staged.get_or_insert_with(|| protocol.clone());
        match staged.apply(state, writer, context.version.seq.get(), operation) {
            Ok(effect) => changed += u32::from(effect),
            Err(code) => return Verdict::Rejected(Rejection { operation: at, code }),
        }
    }
    let verdict = match &order.command {
        Some(command) => M::apply(view, context, command),
        None => Verdict::Effective { changed: 0 },
    };
    match verdict {
        Verdict::Effective { changed: items } => {
            if let Some(staged) = staged {
                *protocol = staged;
            }
            Verdict::Effective { changed: changed.saturating_add(items) }
        }
        rejected @ Verdict::Rejected(_) => rejected,
    }
}

/// Changes of the bookkeeping by the slot so far.
#[derive(Clone, Debug, Default)]
struct Overlay {
    delta: LogDelta,
    overrides: Vec<u64>,
}

impl Overlay {
    /// A writer's newest decided number, and the slot that decided it.
    fn last(&self, state: &LogState, writer: WriterId) -> Option<(u64, u64)> {
        self.delta.writers.get(&writer).or_else(|| state.writer(writer)).map(|record| (record.wseq, record.slot))
    }

    fn claim(&self, state: &LogState, name: &str) -> u64 {
        self.delta.claims.get(name).copied().unwrap_or_else(|| state.claim(name))
    }

    /// Whether the operation changed something; `Err`: it makes its transaction ineffective, with this code.
    fn apply(&mut self, state: &LogState, writer: WriterId, slot: u64, operation: &ProtocolOperation) -> Result<bool, u16> {
        match operation {
            ProtocolOperation::LeaseClaim { name, token } => {
                if *token <= self.claim(state, name) {
                    return Err(Rejection::CLAIM_STALE);
                }
                // INV-33: every slot's header states all claims.
                let fresh = self.delta.claims.keys().filter(|name| **name != COMPACTOR && !state.claims().contains_key(*name)).count();
                if self.claim(state, name) == 0 && !state.has_room_for(name, fresh) {
                    return Err(Rejection::TOO_MANY_LEASES);
                }
                self.delta.claims.insert(name.clone(), *token);
                Ok(true)
            }
            ProtocolOperation::Cancel { op } => {
                if op.writer == writer {
                    return Err(Rejection::NOT_APPLICABLE);
                }
                if slot.saturating_sub(op.base) > state.horizon() && !broken!(CancelAtAnyAge) {
                    return Ok(false);
                }
                self.decide(state, slot, op.writer, op.wseq, Decision::Cancelled)
            }
            ProtocolOperation::Refuse { writer: author, wseq, .. } => {
                if *author == writer {
                    return Err(Rejection::NOT_APPLICABLE);
                }
                self.decide(state, slot, *author, *wseq, Decision::Refused)
            }
            ProtocolOperation::Upgrade { rules } => {
                if *rules <= self.delta.rules.unwrap_or(state.rules) {
                    return Err(Rejection::NOT_APPLICABLE);
                }
                self.delta.rules = Some(*rules);
                Ok(true)
            }
            ProtocolOperation::DigestOverride { seq, .. } => {
                if *seq == 0 || *seq >= slot {
                    return Err(Rejection::NOT_APPLICABLE);
                }
                self.overrides.push(*seq);
                Ok(true)
            }
            ProtocolOperation::SnapshotPublished { seq, token, manifest } => {
                if *token < self.claim(state, COMPACTOR) {
                    return Err(Rejection::FENCED);
                }
                let newest = self.delta.published.as_ref().map_or_else(|| state.published_seq(), |publication| publication.seq);
                if *seq >= slot || *seq <= newest {
                    return Err(Rejection::NOT_APPLICABLE);
                }
                self.delta.published = Some(Publication { seq: *seq, token: *token, manifest: manifest.clone() });
                Ok(true)
            }
            ProtocolOperation::Forked { child, manifest } => {
                self.delta.forks.insert(*child, Some(manifest.clone()));
                Ok(true)
            }
            ProtocolOperation::Unforked { child } => {
                let there = self.delta.forks.get(child).map_or_else(|| state.has_fork(child), Option::is_some);
                if there {
                    self.delta.forks.insert(*child, None);
                }
                Ok(there)
            }
        }
    }

    /// Decides a number of another writer without its batch. An older number is decided already; one out of turn is refused: its predecessor may
    /// still come, and would find its own successor decided.
    fn decide(&mut self, state: &LogState, slot: u64, writer: WriterId, wseq: u64, decision: Decision) -> Result<bool, u16> {
        match self.last(state, writer) {
            Some((last, _)) if wseq < last || (wseq == last && !broken!(CancelWhatIsDecided)) => Ok(false),
            // INV-4: an owner looks after each slot what became of its number, so a slot decides one of each writer.
            Some((last, decided)) if wseq > last && decided == slot && !broken!(TwoNumbersInASlot) => Err(Rejection::NOT_APPLICABLE),
            Some((last, _)) if wseq > last + 1 && !broken!(CancelOutOfTurn) => Err(Rejection::NOT_APPLICABLE),
            _ if wseq == 0 => Err(Rejection::NOT_APPLICABLE),
            _ => {
                let record = WriterRecord { wseq, hash: None, slot, first_ordinal: 0, decision };
                self.delta.writers.insert(writer, record);
                Ok(true)
            }
        }
    }
}

/// The commands of a slot in the order in which they may be applied.
pub fn commands<C>(batches: &[LoadedBatch<C>]) -> Vec<&C> {
    let mut commands = Vec::new();
    for loaded in batches {
        if let LoadedBatch::Known { orders: Some(orders), .. } = loaded
            && let Ok(orders) = &**orders
        {
            commands.extend(orders.iter().flatten().filter_map(|order| order.command.as_ref()));
        }
    }
    commands
}

/// Highest token claimed by each lease, for a header.
pub fn tokens(state: &LogState) -> BTreeMap<String, u64> {
    state.claims().clone()
}
