//! What a run must have kept, judged with the log as witness order: sorting, no search.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use brainy_coordination::{OpId, Outcome, StateMachine, Withdrawal};
use brainy_core::WriterId;

use crate::history::{Call, Ending, Events};
use crate::reference::{Copy, Reference};
use crate::witness::Witness;

/// A promise that was not kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which: P1 acknowledged exactly once, P2 rejected never appears, P3 real-time order, P4 linearizable reads, P5 equal digests at equal positions, P6
    /// counters equal a recount, P7 one effective holder per token, P8 nothing needed is collected, P9 bounded slots waited, P10 crashes need no repair, P11 request budget,
    /// P12 a bucket that went back is noticed.
    pub property: &'static str,
    /// What was seen.
    pub text: String,
}

impl Violation {
    /// Whether it names a promise of the protocol, not a run that broke down or did not end.
    pub fn is_named(&self) -> bool {
        self.number().is_some()
    }

    pub(crate) fn number(&self) -> Option<u8> {
        self.property.strip_prefix('P').and_then(|number| number.parse().ok())
    }
}

/// Writers that were decided so many slots before or after an intent may have had a batch in play beside it.
const IN_PLAY: u64 = 64;

/// What the checker needs to know about the store.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    pub(crate) scan_slots: u64,
    pub(crate) horizon: u64,
    /// At least so many strangers' batches fit a slot.
    pub(crate) carried: u64,
}

struct Checker<'a, M> {
    events: &'a Events,
    reference: &'a Reference<M>,
    witness: &'a Witness,
    found: Vec<Violation>,
}

/// Every promise that the run broke.
pub(crate) fn check<M: StateMachine>(events: &Events, reference: &Reference<M>, witness: &Witness, rules: Rules) -> Vec<Violation> {
    let mut checker = Checker { events, reference, witness, found: Vec::new() };
    for (property, text) in &reference.complaints {
        checker.found.push(Violation { property, text: text.clone() });
    }
    for (property, text) in &events.broken {
        checker.complain(property, text.clone());
    }
    for text in &events.complaints {
        checker.complain("P10", text.clone());
    }
    checker.calls();
    checker.resolved();
    checker.order();
    checker.looks();
    checker.bound(rules);
    checker.scans(rules);
    checker.found
}

impl<M: StateMachine> Checker<'_, M> {
    fn complain(&mut self, property: &'static str, text: String) {
        self.found.push(Violation { property, text });
    }

    fn copies_of(&self, unique: u64) -> impl Iterator<Item = &Copy> {
        self.reference.by_unique.get(&unique).into_iter().flatten().map(|at| &self.reference.copies[*at])
    }

    fn effect_of(&self, op: OpId) -> Option<&Copy> {
        let copies = self.reference.by_op.get(&op).into_iter().flatten().map(|at| &self.reference.copies[*at]);
        copies.into_iter().find(|copy| copy.effective)
    }

    /// P1 and P2: what each caller was told, against the log.
    fn calls(&mut self) {
        for call in &self.events.calls {
            let effects: Vec<Copy> = self.copies_of(call.unique).filter(|copy| copy.effective).copied().collect();
            let name = || format!("call {} of process {}", call.unique, call.process.0);
            if effects.len() > 1 {
                self.complain("P1", format!("{} took effect {} times: {effects:?}", name(), effects.len()));
                continue;
            }
            match (&call.ending, effects.first()) {
                (Ending::Told(Outcome::Committed(receipt)), Some(effect)) => {
                    let version = (receipt.version.seq.get(), receipt.version.ordinal);
                    if version != (effect.seq, effect.ordinal) || receipt.op != effect.op {
                        self.complain("P1", format!("{} was acknowledged at {version:?} and took effect at {effect:?}", name()));
                    }
                }
                (Ending::Told(Outcome::Committed(receipt)), None) => {
                    self.complain("P1", format!("{} was acknowledged at {} and never took effect", name(), receipt.version.seq));
                }
                (Ending::Told(Outcome::Rejected(withdrawal)), Some(effect)) => {
                    self.complain("P2", format!("{} was rejected ({withdrawal:?}) and took effect at {effect:?}", name()));
                }
                (Ending::Refused(error), Some(effect)) => {
                    self.complain("P2", format!("{} was refused ({error}) and took effect at {effect:?}", name()));
                }
                (Ending::Told(Outcome::Rejected(Withdrawal::Precondition { op, .. })), None) => {
                    let judged = self.copies_of(call.unique).any(|copy| copy.applied && copy.op == *op);
                    if !judged {
                        self.complain("P2", format!("{} was rejected by a verdict that the log does not hold", name()));
                    }
                }
                _ => {}
            }
            if let (Some(op), Some(effect)) = (call.op, effects.first())
                && op != effect.op
            {
                self.complain("P1", format!("{} is called {op} and took effect as {}", name(), effect.op));
            }
        }
    }

    /// P2 and P1 for answers of `resolve`.
    fn resolved(&mut self) {
        for resolved in &self.events.resolved {
            let effect = self.effect_of(resolved.op).copied();
            let name = || format!("{} resolved by process {}", resolved.op, resolved.process.0);
            match (&resolved.outcome, effect) {
                (Outcome::Committed(receipt), Some(effect)) => {
                    if (receipt.version.seq.get(), receipt.version.ordinal) != (effect.seq, effect.ordinal) {
                        self.complain("P1", format!("{}: said {}, is {effect:?}", name(), receipt.version.seq));
                    }
                }
                (Outcome::Committed(_), None) => self.complain("P1", format!("{}: said committed, is not in the log", name())),
                (Outcome::Rejected(withdrawal), Some(effect)) => {
                    self.complain("P2", format!("{}: said {withdrawal:?}, took effect at {effect:?}", name()));
                }
                (Outcome::Rejected(_), None) | (Outcome::Unknown(_), _) => {}
            }
        }
    }

    /// P3: what was acknowledged before another call began lies before it in the log.
    fn order(&mut self) {
        let position = |call: &Call| {
            let copies = self.copies_of(call.unique).filter(|copy| copy.applied);
            copies.map(|copy| (copy.seq, copy.ordinal)).next()
        };
        let mut ended: Vec<(Duration, (u64, u32), u64)> = Vec::new();
        let mut asked: Vec<(Duration, (u64, u32), u64)> = Vec::new();
        for call in &self.events.calls {
            let Some(at) = position(call) else { continue };
            asked.push((call.asked, at, call.unique));
            let told = matches!(&call.ending, Ending::Told(Outcome::Committed(_) | Outcome::Rejected(Withdrawal::Precondition { .. })));
            if let (true, Some(end)) = (told, call.ended) {
                ended.push((end, at, call.unique));
            }
        }
        ended.sort_unstable();
        asked.sort_unstable();
        let mut highest: Option<((u64, u32), u64)> = None;
        let mut next = 0;
        let mut wrong = Vec::new();
        for (at, position, unique) in asked {
            while ended.get(next).is_some_and(|(end, ..)| *end < at) {
                let (_, before, who) = ended[next];
                highest = highest.max(Some((before, who)));
                next += 1;
            }
            if let Some((before, who)) = highest
                && before >= position
            {
                wrong.push(format!("call {who} was decided at {before:?} before call {unique} began, which lies at {position:?}"));
            }
            if self.witness.slots.get(&position.0).is_some_and(|slot| slot.at < at) {
                wrong.push(format!("call {unique} lies in slot {}, which was there before it began", position.0));
            }
        }
        for text in wrong {
            self.complain("P3", text);
        }
        for call in &self.events.calls {
            if let (Ending::Told(Outcome::Committed(receipt)), Some(end)) = (&call.ending, call.ended)
                && self.witness.slots.get(&receipt.version.seq.get()).is_none_or(|slot| slot.first_at > end)
            {
                self.complain("P1", format!("call {} was acknowledged before its slot was there", call.unique));
            }
        }
    }

    /// P4 and P5: each look is the state of one position, and not of an older one than it may be.
    fn looks(&mut self) {
        let mut digests = BTreeMap::new();
        for look in &self.events.looks {
            let seq = look.token.seq;
            let who = look.process.0;
            if seq > 0 {
                match self.reference.states.get(&seq) {
                    None => self.complain("P4", format!("process {who} looked at slot {seq}, which nobody created")),
                    Some(after) if after.hash != look.token.hash => {
                        self.complain("P4", format!("process {who} looked at another slot {seq} than the log has"));
                    }
                    Some(after) if after.machine != look.machine => {
                        self.complain("P5", format!("process {who} has another state at slot {seq} than the log gives"));
                    }
                    Some(_) => {}
                }
                if *digests.entry(seq).or_insert(look.bookkeeping) != look.bookkeeping {
                    self.complain("P5", format!("process {who} has another bookkeeping at slot {seq} than others"));
                }
                if self.witness.slots.get(&seq).is_some_and(|slot| slot.first_at > look.answered) {
                    self.complain("P4", format!("process {who} saw slot {seq} before it was there"));
                }
            }
            let due = self.witness.tail_at(look.asked);
            if look.latest && seq < due {
                self.complain(
                    "P4",
                    format!("process {who} asked at {:?} for the latest state and got slot {seq}; slot {due} was there", look.asked),
                );
            }
        }
    }

    /// P9: an intent visible at tail N is decided by slot N + K + ⌈(W − 1) / C⌉, W the writers with a batch in play.
    fn bound(&mut self, rules: Rules) {
        let newest = self.witness.slots.last_key_value().map_or(0, |(number, _)| *number);
        let mut by_slot: Vec<(u64, WriterId)> = self.reference.decided.iter().map(|((writer, _), slot)| (*slot, *writer)).collect();
        by_slot.sort_unstable();
        let mut wrong = Vec::new();
        let mut known = BTreeSet::new();
        for intent in &self.witness.intents {
            let first = known.insert(intent.key.as_str());
            let Some((base, writer, wseq)) = intent_name(intent.key.as_str()) else { continue };
            let decided = self.reference.decided.get(&(writer, wseq)).copied();
            // What nobody can read is not carried: whoever finds it refuses it a little later.
            if !first || !intent.readable || decided.is_some_and(|slot| slot <= intent.tail) || !self.stands(writer, wseq, intent.tail) {
                continue;
            }
            let (from, to) = (intent.tail.saturating_sub(IN_PLAY), intent.tail + IN_PLAY);
            let near = &by_slot[by_slot.partition_point(|(slot, _)| *slot < from)..by_slot.partition_point(|(slot, _)| *slot <= to)];
            // Its own among them, also where its batch was never decided.
            let writers = near.iter().map(|(_, writer)| *writer).chain([writer]).collect::<BTreeSet<_>>().len() as u64;
            let limit = intent.tail + rules.scan_slots + writers.saturating_sub(1).div_ceil(rules.carried.max(1));
            // What goes stale before it is due owes nobody anything.
            if decided.unwrap_or(newest + 1) > limit && newest >= limit && base.saturating_add(rules.horizon) >= limit {
                let (key, tail) = (&intent.key, intent.tail);
                wrong.push(format!("the intent {key} was visible at tail {tail}, due by slot {limit}, decided in {decided:?}"));
            }
        }
        for text in wrong {
            self.complain("P9", text);
        }
    }

    /// P9: a slot is made on a listing that is young enough, and what it vouches for is true: what was visible before is decided.
    fn scans(&mut self, rules: Rules) {
        let mut wrong = Vec::new();
        for (slot, (_, newest)) in &self.reference.scans {
            if slot - 1 - (*newest).min(slot - 1) >= rules.scan_slots {
                wrong.push(format!("slot {slot} stands on a listing at tail {newest}"));
            }
        }
        let mut highest = 0;
        let vouched: Vec<(u64, u64)> = self
            .reference
            .scans
            .iter()
            .map(|(slot, (vouched, _))| {
                highest = highest.max(*vouched);
                (highest, *slot)
            })
            .collect();
        for intent in &self.witness.intents {
            let Some((base, writer, wseq)) = intent_name(intent.key.as_str()) else { continue };
            let Some((tail, slot)) = vouched.get(vouched.partition_point(|(vouched, _)| *vouched <= intent.tail)).copied() else {
                continue;
            };
            let decided = self.reference.decided.get(&(writer, wseq)).copied();
            let stood = self.stands(writer, wseq, intent.tail) && base.saturating_add(rules.horizon) >= slot;
            if stood && decided.unwrap_or(slot + 1) > slot {
                let (key, seen) = (&intent.key, intent.tail);
                wrong.push(format!("slot {slot} vouches for tail {tail}, but {key}, visible at tail {seen}, is decided in {decided:?}"));
            }
        }
        for text in wrong {
            self.complain("P9", text);
        }
    }

    /// Whether the numbers of its writer before it were decided at that tail.
    fn stands(&self, writer: WriterId, wseq: u64, tail: u64) -> bool {
        wseq == 1 || self.reference.decided.get(&(writer, wseq - 1)).is_some_and(|slot| *slot <= tail)
    }
}

/// Base, writer and number of the intent called `inbox/{base}/{writer}/{wseq}`.
fn intent_name(key: &str) -> Option<(u64, WriterId, u64)> {
    let mut parts = key.strip_prefix("inbox/")?.split('/');
    Some((parts.next()?.parse().ok()?, WriterId::from_hex(parts.next()?)?, parts.next()?.parse().ok()?))
}
