//! What the log means by the book: slots replayed by rules written down here a second time, apart from the code under test.
//!
//! It keeps no state per writer but the last number and its slot, and it knows each command by a number of the caller's own: so a command that takes effect
//! twice shows, whatever names it went under.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use brainy_coordination::{Context, Environment, OpId, ProtocolOperation, SlotRecord, StateMachine, Verdict, read_slot};
use brainy_core::{ContentHash, Moment, SequenceNumber, SetHash, Version, WriterId};
use brainy_storage::{InMemoryStore, Key, Precondition, Store};
use futures_util::FutureExt;

use crate::domain::Domain;
use crate::history::Events;
use crate::witness::Witness;

/// What became of one embedded copy of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Copy {
    pub(crate) op: OpId,
    pub(crate) seq: u64,
    pub(crate) ordinal: u32,
    /// Whether its batch was applied here; else this copy means nothing.
    pub(crate) applied: bool,
    /// Whether the transaction took effect here.
    pub(crate) effective: bool,
}

/// The state after one slot.
#[derive(Clone, Debug)]
pub(crate) struct After {
    pub(crate) hash: ContentHash,
    pub(crate) machine: SetHash,
}

/// A token that was claimed.
#[derive(Clone, Debug)]
pub(crate) struct Claimed {
    pub(crate) name: String,
    pub(crate) token: u64,
    pub(crate) slot: u64,
}

/// A transaction under a lease.
#[derive(Clone, Debug)]
pub(crate) struct Fenced {
    pub(crate) token: u64,
    pub(crate) slot: u64,
    pub(crate) effective: bool,
    pub(crate) payload: bytes::Bytes,
}

/// The log, replayed.
pub(crate) struct Reference<M> {
    /// Every embedded copy, in the order of the log.
    pub(crate) copies: Vec<Copy>,
    /// The copies of each command, by its number.
    pub(crate) by_unique: HashMap<u64, Vec<usize>>,
    pub(crate) by_op: HashMap<OpId, Vec<usize>>,
    /// Effective claims, in the order of the log.
    pub(crate) claimed: Vec<Claimed>,
    /// What was written under leases, in the order of the log.
    pub(crate) fenced: Vec<Fenced>,
    /// After slot n at n.
    pub(crate) states: BTreeMap<u64, After>,
    /// The slot in which each number of each writer was decided.
    pub(crate) decided: HashMap<(WriterId, u64), u64>,
    /// What each slot's header says of listings: the tail up to which it vouches, and the newest tail before a listing that it stands on.
    pub(crate) scans: BTreeMap<u64, (u64, u64)>,
    pub(crate) machine: Arc<M>,
    /// What is wrong with the log itself.
    pub(crate) complaints: Vec<(&'static str, String)>,
    pub(crate) batches: u64,
}

impl<M> Reference<M> {
    /// The commands that took effect, in the order of the log.
    pub(crate) fn effective<'a>(&self, events: &'a Events) -> Vec<&'a [u8]> {
        let position = |unique: u64| {
            let copies = self.by_unique.get(&unique).into_iter().flatten().map(|at| &self.copies[*at]);
            copies.into_iter().find(|copy| copy.effective).map(|copy| (copy.seq, copy.ordinal))
        };
        let mut commands: Vec<_> = events.calls.iter().filter_map(|call| Some((position(call.unique)?, call.payload.as_slice()))).collect();
        commands.sort_unstable_by_key(|(position, _)| *position);
        commands.into_iter().map(|(_, payload)| payload).collect()
    }
}

struct Replay<'a, D: Domain> {
    domain: &'a D,
    horizon: u64,
    last: HashMap<WriterId, (u64, u64)>,
    claims: BTreeMap<String, u64>,
    reference: Reference<D::Machine>,
}

/// Replays what the witness saw from slot 1 on.
pub(crate) fn replay<D: Domain>(domain: &D, witness: &Witness, horizon: u64) -> Reference<D::Machine> {
    let reference = Reference {
        copies: Vec::new(),
        by_unique: HashMap::new(),
        by_op: HashMap::new(),
        claimed: Vec::new(),
        fenced: Vec::new(),
        states: BTreeMap::new(),
        decided: HashMap::new(),
        scans: BTreeMap::new(),
        machine: domain.machine(),
        complaints: Vec::new(),
        batches: 0,
    };
    let mut replay = Replay { domain, horizon, last: HashMap::new(), claims: BTreeMap::new(), reference };
    let environment = environment_of(witness);
    for (number, slot) in &witness.slots {
        let Some(seq) = SequenceNumber::new(*number) else { continue };
        let record = read_slot(&environment, seq, Moment::after_origin(std::time::Duration::MAX)).now_or_never();
        match record {
            Some(Ok(Some(record))) => {
                replay.check(&record, *number);
                let header = &record.header;
                replay.reference.scans.insert(*number, (header.scan_base, header.scan_base.max(header.listed.unwrap_or(0))));
                replay.apply(&record);
                let summary = replay.reference.machine.summary();
                replay.compare(&record, *number);
                let hash = ContentHash::of(&slot.bytes);
                replay.reference.states.insert(*number, After { hash, machine: summary.digest });
                if let Some(wrong) = domain.audit(&replay.reference.machine) {
                    replay.complain("P6", format!("after slot {number}: {wrong}"));
                }
            }
            Some(Err(error)) => replay.complain("P5", format!("slot {number} cannot be read: {error}")),
            Some(Ok(None)) | None => replay.complain("P5", format!("slot {number} is not there")),
        }
    }
    replay.reference
}

/// The last slot that a newcomer can read: gap-free from the first on, each naming the one before.
pub(crate) fn chain_end(witness: &Witness) -> u64 {
    let environment = environment_of(witness);
    let mut end = None;
    for (number, slot) in &witness.slots {
        let next = end.map_or(1, |(end, _)| end + 1);
        let Some(seq) = SequenceNumber::new(*number).filter(|_| *number == next) else { break };
        let Some(Ok(Some(record))) = read_slot(&environment, seq, Moment::after_origin(std::time::Duration::MAX)).now_or_never() else {
            break;
        };
        if end.is_some_and(|(_, hash)| hash != record.header.previous) {
            break;
        }
        end = Some((*number, ContentHash::of(&slot.bytes)));
    }
    end.map_or(0, |(end, _)| end)
}

/// The witness's slots and blobs as a store of their own.
fn environment_of(witness: &Witness) -> Environment {
    let store = InMemoryStore::new();
    let put = |key: Key, bytes: &bytes::Bytes| {
        let put = store.put(&key, bytes.clone(), Precondition::None).now_or_never();
        assert!(matches!(put, Some(Ok(_))), "a store in memory answers at once");
    };
    for (number, slot) in &witness.slots {
        put(Key::new(format!("log/{number:020}")).expect("digits make a key"), &slot.bytes);
    }
    for (key, bytes) in &witness.blobs {
        put(key.clone(), bytes);
    }
    Environment::new(Arc::new(store))
}

impl<D: Domain> Replay<'_, D> {
    fn complain(&mut self, property: &'static str, text: String) {
        self.reference.complaints.push((property, text));
    }

    /// The chain: gap-free, each slot naming the one before.
    fn check(&mut self, record: &SlotRecord, number: u64) {
        if record.header.seq.get() != number {
            self.complain("P5", format!("slot {number} calls itself {}", record.header.seq));
        }
        let before = self.reference.states.last_key_value().map(|(before, after)| (*before, after.hash));
        match before {
            Some((before, hash)) if before + 1 != number || hash != record.header.previous => {
                self.complain("P5", format!("slot {number} does not follow slot {before}"));
            }
            _ => {}
        }
    }

    fn apply(&mut self, record: &SlotRecord) {
        let slot = record.header.seq.get();
        let transactions = || record.batches.iter().flat_map(|batch| &batch.transactions);
        let commands: Vec<_> = transactions().filter_map(|transaction| Some(D::Machine::decode(transaction.payload.as_deref()?))).collect();
        let machine = Arc::clone(&self.reference.machine);
        let Some(Ok(mut view)) = machine.fetch(&commands.iter().collect::<Vec<_>>()).now_or_never() else {
            self.complain("P5", format!("slot {slot}: the machine cannot go on"));
            return;
        };
        for batch in &record.batches {
            let (last, decided) = self.last_of(batch.writer, slot);
            let fresh = batch.base < slot && slot - batch.base <= self.horizon;
            let applied = fresh && batch.wseq == last + 1 && decided <= batch.base;
            if applied {
                self.last.insert(batch.writer, (batch.wseq, slot));
                self.reference.decided.insert((batch.writer, batch.wseq), slot);
                self.reference.batches += 1;
            }
            for transaction in &batch.transactions {
                let version = Version { epoch: record.header.epoch, seq: record.header.seq, ordinal: transaction.ordinal };
                let context = Context::new(record.header.rules, version, record.header.at_ms);
                let effective = applied && self.judge(&mut view, context, batch.writer, transaction, slot);
                self.note_leases(slot, effective, transaction);
                let at = self.reference.copies.len();
                self.reference.by_op.entry(transaction.op).or_default().push(at);
                if let Some(unique) = transaction.payload.as_deref().and_then(|payload| self.domain.unique_of(payload)) {
                    self.reference.by_unique.entry(unique).or_default().push(at);
                }
                let copy = Copy { op: transaction.op, seq: slot, ordinal: transaction.ordinal, applied, effective };
                self.reference.copies.push(copy);
            }
        }
        drop(machine.install(view, Version { epoch: record.header.epoch, seq: record.header.seq, ordinal: u32::MAX }));
        machine.confirm();
    }

    fn judge(
        &mut self,
        view: &mut <D::Machine as StateMachine>::View,
        context: Context,
        writer: WriterId,
        transaction: &brainy_coordination::TransactionRecord,
        slot: u64,
    ) -> bool {
        let kept = (self.last.clone(), self.claims.clone());
        let fenced = transaction.fence.as_ref().is_some_and(|fence| fence.token < self.claims.get(&fence.name).copied().unwrap_or(0));
        let whole = !fenced && transaction.protocol.iter().all(|operation| self.operate(writer, slot, operation));
        let effective = whole
            && transaction
                .payload
                .as_deref()
                .is_none_or(|payload| matches!(D::Machine::apply(view, context, &D::Machine::decode(payload)), Verdict::Effective { .. }));
        if !effective && !transaction.protocol.is_empty() {
            (self.last, self.claims) = kept;
        }
        effective
    }

    fn note_leases(&mut self, slot: u64, effective: bool, transaction: &brainy_coordination::TransactionRecord) {
        for operation in transaction.protocol.iter().filter(|_| effective) {
            if let ProtocolOperation::LeaseClaim { name, token } = operation {
                self.reference.claimed.push(Claimed { name: name.clone(), token: *token, slot });
            }
        }
        if let (Some(fence), Some(payload)) = (&transaction.fence, &transaction.payload) {
            self.reference.fenced.push(Fenced { token: fence.token, slot, effective, payload: payload.clone() });
        }
    }

    /// Whether the operation of the log can be done.
    fn operate(&mut self, writer: WriterId, slot: u64, operation: &ProtocolOperation) -> bool {
        match operation {
            ProtocolOperation::LeaseClaim { name, token } => {
                let highest = self.claims.entry(name.clone()).or_default();
                let effective = *token > *highest;
                *highest = (*highest).max(*token);
                effective
            }
            ProtocolOperation::Cancel { op } if op.writer != writer => {
                slot.saturating_sub(op.base) > self.horizon || self.give_up(slot, op.writer, op.wseq)
            }
            ProtocolOperation::Refuse { writer: author, wseq, .. } if *author != writer => self.give_up(slot, *author, *wseq),
            ProtocolOperation::Cancel { .. } | ProtocolOperation::Refuse { .. } => false,
            // Not used by any workload here.
            _ => true,
        }
    }

    /// A writer's newest decided number and the slot that decided it; 0 once it has been silent for more than 2H slots.
    fn last_of(&self, writer: WriterId, slot: u64) -> (u64, u64) {
        let known = self.last.get(&writer).copied();
        known.filter(|(_, decided)| (slot - 1).saturating_sub(*decided) <= self.horizon.saturating_mul(2)).unwrap_or((0, 0))
    }

    fn give_up(&mut self, slot: u64, writer: WriterId, wseq: u64) -> bool {
        let (last, decided) = self.last_of(writer, slot);
        if wseq > last {
            if wseq != last + 1 || decided == slot {
                return false;
            }
            self.last.insert(writer, (wseq, slot));
            self.reference.decided.insert((writer, wseq), slot);
        }
        true
    }

    /// What the header states about this slot, against what it came to.
    fn compare(&mut self, record: &SlotRecord, number: u64) {
        let Some(stated) = record.header.summary.as_ref().filter(|stated| stated.as_of == number) else { return };
        let summary = self.reference.machine.summary();
        if stated.counters != summary.counters {
            self.complain("P6", format!("slot {number} states other counters than a recount gives"));
        }
        if stated.machine != summary.digest {
            let told = |batch: &brainy_coordination::BatchRecord| {
                let copies = batch.transactions.iter().filter_map(|transaction| self.reference.by_op.get(&transaction.op)?.last());
                let effects: Vec<_> = copies.map(|at| self.reference.copies[*at]).map(|copy| (copy.applied, copy.effective)).collect();
                let protocol: Vec<_> = batch.transactions.iter().flat_map(|transaction| &transaction.protocol).collect();
                format!("{} {} from {}: {effects:?} {protocol:?}", batch.writer, batch.wseq, batch.base)
            };
            let batches: Vec<_> = record.batches.iter().map(told).collect();
            self.complain("P5", format!("slot {number} states another digest than its log gives; by the book it is {batches:?}"));
        }
    }
}
