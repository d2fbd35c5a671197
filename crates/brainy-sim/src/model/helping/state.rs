//! What there is: the store, what is on its way, the processes, what was promised.

use brainy_coordination::internals::{Identity, Listing, is_pending};

use super::book::{Formed, Library, Log, SlotSent};
use super::{Helping, book};

/// A request on its way.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in super::super) struct Sent {
    /// Who waits for its reply; none: nobody any more.
    pub(super) from: Option<u8>,
    pub(super) what: Asks,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Asks {
    Slot { seq: u8, slot: SlotSent },
    Intent(Formed),
}

/// What became of a transaction, as far as its caller was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Told {
    Nothing,
    Asked,
    Committed(u8),
    Rejected,
    Unknown,
}

/// Under which identity a process writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Writing {
    pub(super) id: u8,
    pub(super) next: u8,
    pub(super) last_slot: u8,
}

impl Writing {
    /// As the committer has it.
    pub(super) fn identity(self) -> Identity {
        Identity { id: book::writer_id(self.id), next: self.next.into(), last_slot: self.last_slot.into() }
    }
}

/// A listing that was read.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Held {
    pub(super) tail: u8,
    pub(super) pending: Vec<Formed>,
    pub(super) cut: Option<Formed>,
}

/// A listing that is being read.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Paging {
    pub(super) listing: Listing,
    pub(super) pending: Vec<Formed>,
    pub(super) after: Option<Formed>,
}

/// One process.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Process {
    /// What it has applied.
    pub(super) at: u8,
    /// Where it is in its script.
    pub(super) turn: u8,
    pub(super) writing: Option<Writing>,
    pub(super) play: Option<Formed>,
    pub(super) posted: bool,
    /// It has a request on its way.
    pub(super) waits: bool,
    /// It cannot know whether a slot of its own is there.
    pub(super) doubts: bool,
    pub(super) held: Option<Held>,
    pub(super) paging: Option<Paging>,
    /// What it resolves, after a crash.
    pub(super) resolves: Option<Formed>,
    pub(super) cancelled: bool,
    pub(super) dead: bool,
}

/// All of it.
#[derive(Clone, Debug, PartialEq, Hash)]
pub(in super::super) struct World {
    pub(super) log: Log,
    /// In the order of the keys.
    pub(super) inbox: Vec<Formed>,
    pub(super) net: Vec<Sent>,
    pub(super) processes: Vec<Process>,
    pub(super) told: Vec<Told>,
    /// Of each transaction, the newest slot that was reported to somebody before it was asked for.
    pub(super) floor: Vec<u8>,
    /// Intents that wait, and at which tail they became visible.
    pub(super) waiting: Vec<(Formed, u8)>,
    pub(super) next_id: u8,
    pub(super) late: u8,
    pub(super) crashes: u8,
    pub(super) again: u8,
    pub(super) broken: Option<&'static str>,
}

impl World {
    pub(super) fn first(case: &Helping) -> Self {
        let process = |id| Process {
            at: 0,
            turn: 0,
            writing: Some(Writing { id, next: 1, last_slot: 0 }),
            play: None,
            posted: false,
            waits: false,
            doubts: false,
            held: None,
            paging: None,
            resolves: None,
            cancelled: false,
            dead: false,
        };
        let count = u8::try_from(case.scripts.len()).expect("few");
        Self {
            log: Library::empty(case.h),
            inbox: Vec::new(),
            net: Vec::new(),
            processes: (0..count).map(|id| process(if case.copied { 0 } else { id })).collect(),
            told: vec![Told::Nothing; case.works()],
            floor: vec![0; case.works()],
            waiting: Vec::new(),
            next_id: count,
            late: case.late,
            crashes: case.crashes,
            again: case.again,
            broken: None,
        }
    }

    /// Brings what has no order into one.
    pub(super) fn settle(&mut self) {
        self.inbox.sort_unstable();
        self.net.sort_unstable();
        self.net.dedup();
        // A slot that is taken stays taken: what asked for it and is waited for by nobody has no effect any more.
        let next = self.log.len() + 1;
        self.net.retain(|sent| sent.from.is_some() || !matches!(sent.what, Asks::Slot { seq, .. } if seq < next));
    }

    /// After a slot landed: who was to be decided by it?
    pub(super) fn hold_to_the_bound(&mut self, bound: u8) {
        let (log, len) = (self.log.clone(), self.log.len());
        self.waiting.retain(|(formed, _)| is_pending(log.state(), &formed.name(), u64::from(len) + 1));
        if self.waiting.iter().any(|(_, since)| len >= since + bound) {
            self.broken = self.broken.or(Some("P9"));
        }
    }
}
