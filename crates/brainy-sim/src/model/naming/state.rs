//! What there is, and what of it makes a difference.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use brainy_coordination::internals::{Decision, Identity, IntentName, LogState, is_dead};
use brainy_coordination::{Constants, OpId, RULES, Truncation};
use brainy_core::{ContentHash, Epoch, StoreId, WriterId};

use super::Naming;

pub(super) const STORE: StoreId = StoreId::from_bytes([7; 16]);
/// Where the log begins, so that nothing is near its first slot.
const BEGIN: u16 = 100;

/// The name of a batch, and what is in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Name {
    pub(super) base: u16,
    pub(super) writer: u8,
    pub(super) wseq: u8,
    /// Its transaction; of a cancellation, that of what it cancels.
    pub(super) work: u8,
    /// It is a cancellation.
    pub(super) cancels: bool,
}

impl Name {
    pub(super) fn intent(&self) -> IntentName {
        IntentName { base: self.base.into(), writer: writer_id(self.writer), wseq: self.wseq.into() }
    }

    pub(super) fn op(&self) -> OpId {
        let Self { base, writer, wseq, work, cancels } = *self;
        let [high, low] = base.to_be_bytes();
        let hash = ContentHash::of(&[high, low, writer, wseq, work, u8::from(cancels)]);
        OpId { writer: writer_id(writer), wseq: wseq.into(), index: 0, base: base.into(), hash }
    }
}

/// A batch that was sent: any later slot may hold it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Sent {
    pub(super) name: Name,
    /// Of a cancellation.
    pub(super) target: Option<Name>,
}

pub(super) const fn writer_id(writer: u8) -> WriterId {
    WriterId::from_bytes([writer; 16])
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Role {
    /// Not there yet.
    Off,
    /// Has a transaction to send, or the next.
    Sends,
    /// Waits for the outcome of its batch.
    Waits,
    /// Wants to know what became of an operation.
    Resolves,
    /// Saw it undecided, and gives it up.
    GivesUp,
    /// Waits for its cancellation.
    Cancels,
    Done,
}

/// Under which identity a process writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Writing {
    pub(super) id: u8,
    pub(super) next: u8,
    pub(super) last_slot: u16,
}

impl Writing {
    pub(super) fn identity(self) -> Identity {
        Identity { id: writer_id(self.id), next: self.next.into(), last_slot: self.last_slot.into() }
    }
}

/// One process.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Process {
    pub(super) role: Role,
    /// Slots behind the tail; none: so far that it has to load a snapshot.
    pub(super) lag: Option<u8>,
    pub(super) writing: Option<Writing>,
    pub(super) turn: u8,
    /// What it has in play: its batch, or its cancellation.
    pub(super) play: Option<Name>,
    /// The operation that it answers for.
    pub(super) op: Option<Name>,
    /// The log refused its cancellation.
    pub(super) refused: bool,
}

/// All of it.
#[derive(Clone, Debug)]
pub(in super::super) struct World {
    /// The state at the tail, and before: as far back as somebody stands.
    pub(super) tails: Vec<Arc<LogState>>,
    pub(super) sent: Vec<Sent>,
    pub(super) processes: Vec<Process>,
    /// How often each transaction took effect.
    pub(super) times: Vec<u8>,
    /// Batches that took effect, and where.
    pub(super) effects: Vec<(Name, u16)>,
    /// Transactions of which somebody was told that they never will take effect.
    pub(super) denied: Vec<bool>,
    pub(super) crashes: u8,
    pub(super) handed: u8,
    pub(super) forged: u8,
    pub(super) copies: u8,
    pub(super) next_id: u8,
    pub(super) broken: Option<&'static str>,
}

impl World {
    pub(super) fn first(case: &Naming) -> Self {
        let constants = Constants::new(Truncation::Tombstone).with_horizon_slots(case.h.into());
        let state = LogState::new(STORE, Epoch::FIRST, BEGIN.into(), ContentHash::of(b"before"), RULES, &constants);
        let process = |index| Process {
            role: if index < case.active { Role::Sends } else { Role::Off },
            lag: Some(0),
            writing: None,
            turn: 0,
            play: None,
            op: None,
            refused: false,
        };
        Self {
            tails: vec![Arc::new(state)],
            sent: Vec::new(),
            processes: (0..case.scripts.len()).map(process).collect(),
            times: vec![0; case.works()],
            effects: Vec::new(),
            denied: vec![false; case.works()],
            crashes: case.crashes,
            handed: case.handed,
            forged: case.forged,
            copies: case.copies,
            next_id: 1,
            broken: None,
        }
    }

    pub(super) fn tail(&self) -> u16 {
        u16::try_from(self.tails[0].position).expect("a model's log is short")
    }

    pub(super) fn at(&self, lag: u8) -> &LogState {
        &self.tails[usize::from(lag)]
    }

    /// The names that somebody holds, or that a slot may still hold; in an order that means nothing but what they are.
    fn names(&self) -> Vec<Name> {
        let held = self.processes.iter().flat_map(|process| [process.play, process.op]).flatten();
        let mut sent: Vec<_> = self.sent.iter().flat_map(|sent| [Some(sent.name), sent.target]).flatten().collect();
        sent.sort_by_key(|name| (name.base, name.work, name.wseq, name.cancels));
        held.chain(sent).collect()
    }
}

impl PartialEq for World {
    fn eq(&self, other: &Self) -> bool {
        self.essence() == other.essence()
    }
}

impl Hash for World {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        hasher.write(&self.essence());
    }
}

impl World {
    /// Everything that makes a difference: distances from the tail instead of positions, and writers numbered as they are met.
    fn essence(&self) -> Vec<u8> {
        let tail = self.tail();
        let names = self.names();
        let mut ids: Vec<u8> = Vec::new();
        let met = self.processes.iter().filter_map(|process| process.writing.map(|writing| writing.id));
        for id in met.chain(names.iter().map(|name| name.writer)) {
            if !ids.contains(&id) {
                ids.push(id);
            }
        }
        let small = |number: usize| u8::try_from(number).unwrap_or(u8::MAX);
        let number = |id: u8| small(ids.iter().position(|known| *known == id).unwrap_or(255));
        // Beyond it every decision has turned to what it stays.
        let oldest = 4 * self.tails[0].horizon() + 4;
        let age = |position: u16| u8::try_from(u64::from(tail - position).min(oldest)).unwrap_or(u8::MAX);
        let mut out = Vec::with_capacity(256);
        let put_name = |out: &mut Vec<u8>, name: Option<Name>| match name {
            Some(name) => out.extend([number(name.writer), name.wseq, age(name.base), name.work, u8::from(name.cancels)]),
            None => out.push(254),
        };
        out.extend([self.crashes, self.handed, self.forged, self.copies, self.broken.map_or(0, |property| property.as_bytes()[1])]);
        for process in &self.processes {
            out.extend([process.role as u8, process.lag.unwrap_or(200), process.turn, u8::from(process.refused)]);
            match process.writing {
                Some(writing) => out.extend([number(writing.id), writing.next, age(writing.last_slot)]),
                None => out.push(253),
            }
            put_name(&mut out, process.play);
            put_name(&mut out, process.op);
        }
        out.extend(&self.times);
        out.extend(self.denied.iter().map(|denied| u8::from(*denied)));
        let mut listed: Vec<Vec<u8>> = Vec::new();
        let mut list = |kind: u8, first: Option<Name>, second: Option<Name>, at: u8| {
            let mut entry = vec![kind, at];
            put_name(&mut entry, first);
            put_name(&mut entry, second);
            listed.push(entry);
        };
        self.sent.iter().for_each(|sent| list(1, Some(sent.name), sent.target, 0));
        self.effects.iter().for_each(|(name, slot)| list(2, Some(*name), None, age(*slot)));
        listed.sort_unstable();
        out.extend(listed.concat());
        for state in &self.tails {
            out.push(250);
            for (place, id) in (0_u8..).zip(&ids) {
                let Some(record) = state.writer(writer_id(*id)) else { continue };
                let slot = u16::try_from(record.slot).expect("a model's log is short");
                let whose = record.hash.map_or(252, |hash| small(names.iter().position(|name| name.op().hash == hash).unwrap_or(251)));
                let how = match &record.decision {
                    Decision::Applied(verdicts) => u8::from(verdicts.iter().all(|verdict| verdict.is_effective())),
                    Decision::Cancelled => 2,
                    Decision::Refused => 3,
                };
                out.extend([place, u8::try_from(record.wseq).unwrap_or(u8::MAX), age(slot), whose, how]);
            }
        }
        out
    }
}

impl Naming {
    /// Forgets what can make no difference any more.
    pub(super) fn settle(&self, world: &mut World) {
        let (tail, h) = (world.tail(), u16::from(self.h));
        for sent in &world.sent {
            // Whoever lists the inbox must be able to tell one day that a key is of no use.
            if tail - sent.name.base > 2 * h && !is_dead(&world.tails[0], &sent.name.intent()) {
                world.broken = world.broken.or(Some("P10"));
            }
        }
        let most = if self.keeps_stale() { 2 * h + 3 } else { h };
        world.sent.retain(|sent| tail + 1 - sent.name.base <= most);
        world.sent.sort_unstable();
        world.sent.dedup();
        let farthest = world.processes.iter().filter(|process| !matches!(process.role, Role::Off | Role::Done));
        let farthest = farthest.filter_map(|process| process.lag).max().unwrap_or(0);
        world.tails.truncate(usize::from(farthest) + 1);
        let names = world.names();
        world.effects.retain(|(name, _)| names.contains(name));
    }
}
